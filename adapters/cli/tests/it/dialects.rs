//! `jobwatch dialects`.

use jobwatch::Dialect;
use serde_json::{Value, json as object};

use crate::program::{Ran, Scratch, jobwatch, text};

#[test]
fn every_preset_is_listed_within_80_columns() {
    let ran = jobwatch(&["dialects"]).run().exits_with(0);
    assert_eq!(ran.err, "");
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for name in Dialect::presets() {
        let dialect = Dialect::preset(name).unwrap();
        let mark = if dialect.is_untried() { " *" } else { "" };
        let begins = |line: &str| line.trim().starts_with(&format!("{name}{mark} "));
        assert!(ran.out.lines().any(begins), "no {name}{mark} in {}", ran.out);
    }
    for word in ["https://api.heygen.com", "bulk 100", "create", "cancel", "* described from"] {
        assert!(ran.out.contains(word), "no {word} in {}", ran.out);
    }
}

#[test]
fn machines_get_an_object_for_each_preset() {
    let lines = jobwatch(&["dialects", "--json"]).run().exits_with(0).json();
    assert_eq!(
        lines.iter().map(|line| text(&line["name"])).collect::<Vec<_>>(),
        Dialect::presets().collect::<Vec<_>>()
    );
    assert!(lines.iter().all(|line| line["v"] == 1 && line["type"] == "dialect"));
    let heygen = lines.iter().find(|line| line["name"] == "heygen-v3").unwrap();
    let told = ["untried", "create", "bulk", "cancel"].map(|field| heygen[field].clone());
    assert_eq!(told, [object!(true), object!(true), object!(100), object!(true)]);
    assert_eq!(lines[0]["base_url"], Value::Null);
}

#[test]
fn a_preset_is_shown_as_it_is() {
    for name in Dialect::presets() {
        let ran = jobwatch(&["dialects", "show", name]).run().exits_with(0);
        assert_eq!(Some(ran.out.as_str()), Dialect::preset_file(name));
    }
    let ran = jobwatch(&["dialects", "show", "trakcer"]).run().exits_with(2).prints_nothing();
    ran.complains(&["trakcer", "tracker"]);
}

#[test]
fn what_is_shown_is_well_formed() {
    let scratch = Scratch::new();
    for name in Dialect::presets() {
        let file = scratch.file("copy.toml", &jobwatch(&["dialects", "show", name]).run().out);
        for dialect in [name, &file] {
            let ran = jobwatch(&["dialects", "check", dialect]).run().exits_with(0);
            assert!(ran.out.starts_with(&format!("{name} is well-formed")), "{}", ran.out);
            let ran = jobwatch(&["dialects", "check", "--json", dialect]).run().exits_with(0);
            assert_eq!(ran.json()[0]["name"], name);
        }
    }
}

#[test]
fn a_wrong_file_is_told_with_its_key() {
    let scratch = Scratch::new();
    let file = scratch.file("wrong.toml", "name = \"x\"\npoll.path = \"/{id}\"\nstate.pionter = \"/s\"\n");
    jobwatch(&["dialects", "check", &file]).run().exits_with(2).prints_nothing().complains(&[&file, "pionter"]);
    let missing = scratch.path("nowhere.toml");
    jobwatch(&["dialects", "check", &missing]).run().exits_with(2).complains(&["cannot read", &missing]);
}

/// How a dialect reads an answer.
fn read(dialect: &str, answer: &str) -> (Value, Ran) {
    let check = || jobwatch(&["dialects", "check", dialect, "--answer", "-"]).input(answer);
    let json = check().args(&["--json"]).run().exits_with(0);
    let mut lines = json.json();
    assert_eq!((lines.len(), &lines[0]["type"]), (1, &"reading".into()));
    (lines.remove(0), check().run().exits_with(0))
}

#[track_caller]
fn tells(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.out.contains(word), "no {word:?} in {}", ran.out);
    }
}

#[test]
fn an_answer_is_read_with_its_reason() {
    let answer = "HTTP/1.1 200 OK\r\nRetry-After: 7\r\n\r\n{\"data\":{\"status\":\"running\"}}";
    let (json, ran) = read("heygen-v3", answer);
    assert_eq!(json["class"], "running");
    assert_eq!((&json["hint_s"], &json["hint_source"]), (&object!(7.0), &"Retry-After".into()));
    assert_eq!((&json["state"], &json["outcome"]), (&"running".into(), &Value::Null));
    tells(&ran, &["running: the job is being worked on", "lists of `state`", "7 s, by Retry-After", "again after 7s"]);
}

#[test]
fn each_class_says_what_comes_next() {
    for (dialect, answer, class, next) in [
        ("tracker", r#"{"result":"pending"}"#, "pending", "by the schedule"),
        ("tracker", r#"{"result":"completed"}"#, "succeeded", "ends: succeeded, exit status 0"),
        ("tracker", r#"{"result":"error"}"#, "failed", "ends: failed, exit status 1"),
        ("tracker", r#"{"result":"Job ID not found"}"#, "lost", "third"),
        ("tracker", r#"{"result":"melting"}"#, "running", "by the schedule"),
        ("tracker", "HTTP/1.1 410 Gone\n\n", "lost", "ends: lost, exit status 1"),
        ("tracker", "HTTP/2 502\n\n<html>", "transient", "back-off"),
        ("tracker", "HTTP/1.1 200 OK\n\n<html>", "transient", "gives the job up"),
        ("tracker", "HTTP/1.1 429 X\nRetry-After: 30\n\n", "throttled", "asks nothing for 30s"),
        ("tracker", "HTTP/1.1 401 X\n\n", "fatal", "exit status 3"),
        ("tracker", "HTTP/1.1 400 X\n\n", "fatal", "exit status 4"),
        ("tracker", "HTTP/1.1 307 X\nLocation: /else?key=hush\n\n", "redirect", "/else"),
        ("azure", r#"{"status":"Canceled"}"#, "cancelled", "ends: cancelled, exit status 1"),
        (
            "heygen-v3",
            r#"{"data":{"status":"completed"}}"#,
            "running",
            "asks again after 30s, by the dialect's own rule",
        ),
        ("rfc9110", "HTTP/1.1 303 X\nLocation: /done?key=hush\n\n", "succeeded", "fetches the result"),
    ] {
        let (json, ran) = read(dialect, answer);
        assert_eq!(json["class"], class, "{answer} {json}");
        assert!(text(&json["next"]).contains(next), "{answer} {json}");
        tells(&ran, &[class, next]);
        ran.never_tells("hush");
        assert!(!json.to_string().contains("hush"), "{json}");
    }
}

#[test]
fn what_else_an_answer_tells_is_told() {
    let answer = "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\n\n\
                  {\"status\":\"Running\",\"percentComplete\":45,\"startTime\":\"1994-11-15T08:00:00Z\"}";
    let (json, ran) = read("azure", answer);
    assert_eq!(json["progress"], 0.45);
    tells(&ran, &["45%", "Running", "started     1994-11-15T08:00:00"]);
    let (json, ran) = read("fal", r#"{"status":"IN_QUEUE","queue_position":3}"#);
    assert_eq!(json["queue_position"], 3);
    tells(&ran, &["3 before it", "assumed"]);
    let (json, ran) = read("heygen-v3", r#"{"data":{"status":"completed","video_url":"https://x/v.mp4?Signature=s"}}"#);
    assert_eq!(json["result"], "https://x/v.mp4?Signature=s");
    tells(&ran, &["https://x/v.mp4?Signature=s"]);
    let (json, _) = read("heygen-v3", "HTTP/1.1 404 X\n\n{\"error\":{\"message\":\"no such video\"}}");
    assert_eq!(json["message"], "no such video");
}

#[test]
fn an_answer_comes_from_a_file_too() {
    let scratch = Scratch::new();
    let answer = scratch.file("answer", "HTTP/1.1 200 OK\n\n{\"result\":\"completed\"}");
    let ran = jobwatch(&["dialects", "check", "tracker", "--answer", &answer]).run().exits_with(0);
    tells(&ran, &["succeeded"]);
    for (content, words) in [("<html>", "neither"), ("", "empty"), ("HTTP/1.1 200 OK\nno header\n\n", "line 2")] {
        let path = scratch.file("answer", content);
        let ran = jobwatch(&["dialects", "check", "tracker", "--answer", &path]).run().exits_with(2);
        ran.prints_nothing().complains(&[&path, words]);
    }
    let missing = scratch.path("nowhere");
    let ran = jobwatch(&["dialects", "check", "tracker", "--answer", &missing]).run().exits_with(2);
    ran.complains(&["cannot read", &missing]);
}
