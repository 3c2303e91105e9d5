//! `jobwatch submit`.

use serde_json::{Value, json as object};

use crate::backend::{Answer, Backend, Nobody, code, created, json, simulator};
use crate::program::{Scratch, tracker};

#[test]
fn ids_come_one_a_line_in_the_order_of_creation() {
    let simulator = simulator("constant:30").seed(11).start().unwrap();
    let ran = tracker("submit", &simulator.url(), &["--count", "3"]).run().exits_with(0);
    let ids: Vec<String> = simulator.ledger().jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), ids);
    assert_eq!(ran.err, "");
}

#[test]
fn one_job_is_created_unless_a_count_is_given() {
    let simulator = simulator("constant:30").start().unwrap();
    let ran = tracker("submit", &simulator.url(), &[]).run().exits_with(0);
    assert_eq!(ran.out.lines().count(), 1);
    tracker("submit", &simulator.url(), &["--count", "0"]).run().exits_with(0).prints_nothing();
    assert_eq!(simulator.ledger().jobs_created, 1);
}

#[test]
fn json_has_one_object_for_each_id() {
    let backend = Backend::start(|asked| created(asked.earlier));
    let ran = tracker("submit", &backend.url(), &["--count", "2", "--json"]).run().exits_with(0);
    let object = |id: &str| object!({"v": 1, "type": "created", "id": id});
    assert_eq!(ran.json(), [object("0"), object("1")]);
    assert_eq!(ran.err, "");
}

#[test]
fn one_create_may_make_several_jobs_and_ids_may_be_numbers() {
    let backend = Backend::start(|_| json(r#"{"job_id":["a",7]}"#));
    let ran = tracker("submit", &backend.url(), &[]).run().exits_with(0);
    assert_eq!(ran.out, "a\n7\n");
}

#[test]
fn ids_are_printed_while_the_next_create_is_under_way() {
    let backend = Backend::start(|asked| if asked.earlier < 2 { created(asked.earlier) } else { Answer::Hangs });
    let running = tracker("submit", &backend.url(), &["--count", "3"]).start();
    backend.wait_for(3);
    running.out().wait_for_lines(2);
    assert_eq!(running.out().so_far(), "0\n1\n");
}

#[test]
fn ids_that_are_known_survive_the_death_of_the_backend() {
    let simulator = simulator("constant:30").start().unwrap();
    let running = tracker("submit", &simulator.url(), &["--count", "1000000"]).start();
    running.out().wait_for_lines(5);
    simulator.stop();
    let ran = running.finish().exits_with(4).complains(&["of 1000000 failed: "]);
    let jobs: Vec<String> = simulator.ledger().jobs.iter().map(|job| job.id.to_string()).collect();
    let ids: Vec<&str> = ran.out.lines().collect();
    assert_eq!(ids, jobs[..ids.len()]);
    // The answer to the last create may have been lost, and nobody else's.
    assert!(ids.len() + 1 >= jobs.len(), "{} ids of {} jobs", ids.len(), jobs.len());
}

#[test]
fn the_first_create_that_fails_ends_it_and_says_which_it_was() {
    let backend = Backend::start(|asked| if asked.earlier == 2 { Answer::Leaves } else { created(asked.earlier) });
    let ran = tracker("submit", &backend.url(), &["--count", "9"]).run().exits_with(4);
    assert_eq!(ran.out, "0\n1\n");
    ran.complains(&["create 3 of 9 failed", "may have been created"]);
    assert_eq!(backend.asked().len(), 3);
}

#[test]
fn refused_credentials_have_their_own_exit_status() {
    for status in [401, 403] {
        let backend = Backend::start(move |_| code(status));
        let ran = tracker("submit", &backend.url(), &["--count", "3"]).run().exits_with(3).prints_nothing();
        let ran = ran.complains(&[&status.to_string()]);
        assert!(!ran.err.contains("may have been created"), "{ran:#?}");
        assert_eq!(backend.asked().len(), 1);
    }
}

#[test]
fn a_refused_connection_is_told_and_created_nothing() {
    let nobody = Nobody::listens();
    let ran = tracker("submit", &nobody.url(), &[]).run().exits_with(4).prints_nothing();
    let ran = ran.complains(&["no job was created", "could not be reached"]);
    assert!(!ran.err.contains("may have been created"), "{ran:#?}");
}

#[test]
fn a_page_of_html_may_stand_for_a_job() {
    let backend = Backend::start(|_| Answer::Says {
        status: 200,
        headers: "content-type: text/html\r\n".to_owned(),
        body: "<html>welcome</html>".to_owned(),
    });
    let ran = tracker("submit", &backend.url(), &[]).run().exits_with(4).prints_nothing();
    ran.complains(&["no JSON", "may have been created"]);
}

#[test]
fn a_create_is_sent_once_whatever_becomes_of_it() {
    for answer in [|| code(502), || code(503), || code(429), || Answer::Leaves] {
        let backend = Backend::start(move |_| answer());
        tracker("submit", &backend.url(), &[]).run().exits_with(4).prints_nothing();
        assert_eq!(backend.asked().len(), 1);
    }
    let backend = Backend::start(|_| code(502));
    let ran =
        tracker("submit", &backend.url(), &[]).run().complains(&["create failed", "502", "may have been created"]);
    assert!(!ran.err.contains("no job was created"), "nobody can know: {ran:#?}");
}

#[test]
fn a_create_that_is_never_answered_ends_in_time_and_is_not_repeated() {
    let backend = Backend::start(|_| Answer::Hangs);
    let program = tracker("submit", &backend.url(), &["--attempt-timeout", "100ms"]);
    program.run().exits_with(4).complains(&["no answer in time", "may have been created"]);
    assert_eq!(backend.asked().len(), 1);
}

#[test]
fn a_body_comes_from_the_argument_a_file_or_standard_input() {
    let scratch = Scratch::new();
    let file = format!("@{}", scratch.file("body.json", r#" {"from":"file"} "#));
    let backend = Backend::start(|_| created("j"));
    let submit = |body: &str| tracker("submit", &backend.url(), &["--body", body]);
    submit(r#"{"from":"argument"}"#).run().exits_with(0);
    submit(&file).run().exits_with(0);
    submit("-").input(r#"{"from":"input"}"#).run().exits_with(0);
    tracker("submit", &backend.url(), &[]).run().exits_with(0);

    let asked = backend.asked();
    let bodies: Vec<&str> = asked.iter().map(|asked| asked.body.trim()).collect();
    assert_eq!(bodies, [r#"{"from":"argument"}"#, r#"{"from":"file"}"#, r#"{"from":"input"}"#, ""]);
    for asked in &asked[..3] {
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/create_job"));
    }
    assert_eq!(asked[3].header("content-type"), None);
}

#[test]
fn every_job_gets_the_body() {
    let backend = Backend::start(|asked| created(asked.earlier));
    let program = tracker("submit", &backend.url(), &["--count", "3", "--body", "-"]);
    program.input(r#"{"n":1}"#).run().exits_with(0);
    let body = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert!(backend.asked().iter().all(|asked| body(&asked.body) == object!({"n": 1})));
    assert_eq!(backend.asked().len(), 3);
}

#[test]
fn a_body_that_is_no_json_is_named_and_not_sent() {
    let scratch = Scratch::new();
    let path = scratch.file("body.json", "{\"half\":");
    let missing = scratch.path("missing.json");
    let backend = Backend::start(|_| created("j"));
    let submit = |body: &str| tracker("submit", &backend.url(), &["--body", body]).input("nonsense").run();
    for (body, name) in [
        ("{oops", "--body"),
        ("", "--body"),
        ("-", "standard input"),
        (format!("@{path}").as_str(), path.as_str()),
        (format!("@{missing}").as_str(), missing.as_str()),
    ] {
        submit(body).exits_with(2).prints_nothing().complains(&[name]);
    }
    assert!(backend.asked().is_empty());
}
