//! Dialect files.

use serde_json::json as object;

use crate::backend::{Backend, code, json};
use crate::program::{Scratch, jobwatch, sorted, text};

const KILN: &str = r#"
name = "kiln"
create = { method = "PUT", path = "/v2/firings?kind=glaze" }
job = { id = "/firing/number" }
poll = { path = "/v2/firings/{id}/report" }
error = { pointer = "/why/text" }
result = { pointer = "/piece" }
defaults = { min_delay = "10ms", max_delay = "20ms" }

[state]
pointer = "/phase/code"
pending = ["0"]
succeeded = ["2"]
failed = ["3"]
cancelled = ["4"]
"#;

#[test]
fn a_dialect_of_ones_own_works_from_end_to_end() {
    let scratch = Scratch::new();
    let kiln = scratch.file("kiln.toml", KILN);
    let backend = Backend::start(|asked| match (asked.method.as_str(), asked.path.as_str(), asked.earlier) {
        ("PUT", "/base/v2/firings?kind=glaze", earlier) => json(format!(r#"{{"firing":{{"number":{earlier}}}}}"#)),
        ("GET", "/base/v2/firings/0/report", 0..6) => json(r#"{"phase":{"code":0}}"#),
        ("GET", "/base/v2/firings/0/report", _) => json(r#"{"phase":{"code":2},"piece":{"glaze":"blue"}}"#),
        ("GET", "/base/v2/firings/1/report", _) => json(r#"{"phase":{"code":3},"why":{"text":"cracked"}}"#),
        ("GET", "/base/v2/firings/2/report", _) => json(r#"{"phase":{"code":"4"}}"#),
        _ => code(400),
    });
    let kiln = |command| jobwatch(&[command, "--api", &kiln, "--base-url", &format!("{}/base/", backend.url())]);
    let created = kiln("submit").args(&["--count", "3"]).run().exits_with(0);
    assert_eq!(created.out, "0\n1\n2\n");

    let ran = kiln("wait").args(&["--json", "-"]).input(created.out).run().exits_with(1);
    let (jobs, summary) = ran.report();
    let outcomes = sorted(jobs.iter().map(|job| (text(&job["id"]), text(&job["outcome"]))));
    assert_eq!(outcomes, [("0", "succeeded"), ("1", "failed"), ("2", "cancelled")]);
    let job = |id: &str| jobs.iter().find(|job| job["id"] == id).unwrap();
    assert_eq!(job("0")["result"], object!({"glaze": "blue"}));
    assert_eq!((&job("1")["error"], &job("1")["state"]), (&"cracked".into(), &"3".into()));
    assert_eq!((&summary["cancelled"], &summary["failed"]), (&1.into(), &1.into()));

    let text = kiln("wait").args(&["0", "1"]).run().exits_with(1);
    assert_eq!(text.rows(), [["0", "succeeded", r#"{"glaze":"blue"}"#], ["1", "failed", "cracked"]]);
    assert_eq!(kiln("status").args(&["0"]).run().exits_with(0).rows(), [["0", "succeeded", r#"{"glaze":"blue"}"#]]);
}

#[test]
fn a_file_may_name_its_own_address() {
    let scratch = Scratch::new();
    let backend = Backend::start(|_| json(r#"{"phase":{"code":2}}"#));
    let kiln = scratch.file("kiln.TOML", &format!("base_url = \"{}/own\"\n{KILN}", backend.url()));
    jobwatch(&["wait", "--api", &kiln, "7"]).run().exits_with(0);
    assert_eq!(backend.asked()[0].path, "/own/v2/firings/7/report");
    let other = Backend::start(|_| json(r#"{"phase":{"code":2}}"#));
    jobwatch(&["wait", "--api", &kiln, "--base-url", &other.url(), "7"]).run().exits_with(0);
    assert_eq!((backend.asked().len(), other.asked().len()), (1, 1));
}

#[test]
fn a_dialect_that_cannot_create_says_so() {
    let scratch = Scratch::new();
    let file = scratch.file("kiln.toml", &KILN.replace("create = ", "# create = "));
    let ran = jobwatch(&["submit", "--api", &file, "--base-url", "http://127.0.0.1:9"]).run();
    let ran = ran.prints_nothing().complains(&["kiln", "does not say how to create a job"]);
    assert!(matches!(ran.code, Some(2 | 4)), "{ran:#?}");
}

#[test]
fn a_broken_file_is_refused_with_its_name_and_the_key() {
    let scratch = Scratch::new();
    for (wrong, key) in [
        (KILN.replace("succeeded = [\"2\"]", ""), "state.succeeded"),
        (KILN.replace("/phase/code", "phase.code"), "state.pointer"),
        (KILN.replace("{id}", ""), "poll.path"),
        (KILN.replace("[\"3\"]", "[\"2\"]"), "state.failed"),
        (KILN.replace("\"10ms\"", "\"ten\""), "defaults.min_delay"),
        (KILN.replace("\"10ms\"", "\"1h\""), "defaults"),
        (KILN.replace("PUT", "put"), "create.method"),
        (format!("max_body = 0\n{KILN}"), "max_body"),
        (format!("no_such_key = 1\n{KILN}"), "no_such_key"),
        (KILN.replace("name = \"kiln\"", ""), "name"),
        ("this is no TOML".to_owned(), ""),
        (String::new(), ""),
    ] {
        let path = scratch.file("wrong.toml", &wrong);
        for command in ["wait", "status", "submit"] {
            let id: &[&str] = if command == "submit" { &[] } else { &["j"] };
            let program = jobwatch(&[command, "--api", &path, "--base-url", "http://127.0.0.1:9"]).args(id);
            program.run().exits_with(2).prints_nothing().complains(&[&path, key]);
        }
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let scratch = Scratch::new();
    let path = scratch.path("nowhere.toml");
    let program = jobwatch(&["wait", "--api", &path, "--base-url", "http://127.0.0.1:9", "j"]);
    program.run().exits_with(2).prints_nothing().complains(&["cannot read", &path]);
}
