//! `--header`, and that what is in it stays there.

use crate::backend::{Backend, code, created, state};
use crate::program::{Program, Scratch, jobwatch, tracker};

const SECRET: &str = "hush-5d1f7e";

#[test]
fn headers_arrive_in_every_form() {
    let scratch = Scratch::new();
    let file = scratch.file("headers", "# who asks\nX-From: file\n\n  X-Colon : a:b  \nX-Both: ${env:JW_KEY}\n");
    let backend = Backend::start(|asked| if asked.method == "POST" { created("j") } else { state("completed") });
    for command in ["submit", "wait", "status"] {
        let id: &[&str] = if command == "submit" { &[] } else { &["j"] };
        let ran = tracker(command, &backend.url(), &["-H", "X-Literal: plain text", "--header", &format!("@{file}")])
            .args(&["--header", "Authorization: Bearer ${env:JW_KEY}/${env:JW_USER}", "-H", "X-Empty:"])
            .args(id)
            .env("JW_KEY", SECRET)
            .env("JW_USER", " me\n")
            .run();
        ran.exits_with(0).never_tells(SECRET);
        let asked = backend.asked().pop().unwrap();
        assert_eq!(asked.header("x-literal"), Some("plain text"));
        assert_eq!(asked.header("x-from"), Some("file"));
        assert_eq!(asked.header("x-colon"), Some("a:b"));
        assert_eq!(asked.header("x-both"), Some(SECRET));
        assert_eq!(asked.header("authorization"), Some(format!("Bearer {SECRET}/me").as_str()));
        assert_eq!(asked.header("x-empty"), Some(""));
        assert!(asked.header("user-agent").is_some_and(|agent| agent.starts_with("jobwatch/")), "{asked:?}");
        assert_eq!(asked.header("accept"), Some("application/json"));
    }
}

#[test]
fn a_variable_that_is_missing_is_named_and_nothing_is_sent() {
    let backend = Backend::start(|_| state("completed"));
    for command in ["submit", "wait", "status"] {
        let id: &[&str] = if command == "submit" { &[] } else { &["j"] };
        let flags = ["--header", "X-Api-Key: ${env:JW_MISSING}"];
        let ran = tracker(command, &backend.url(), &flags).args(id).run();
        ran.exits_with(2).prints_nothing().complains(&["X-Api-Key", "JW_MISSING"]);
    }
    assert!(backend.asked().is_empty());
}

#[test]
fn a_wrong_header_is_refused_without_being_repeated() {
    let scratch = Scratch::new();
    let file = format!("@{}", scratch.file("headers", SECRET));
    for (header, word) in [
        (SECRET.to_owned(), "--header"),
        (format!("X-Key: {SECRET}\u{7}"), "X-Key"),
        (format!("X Key: {SECRET}"), "header"),
        (format!("X-Key: ${{env:{SECRET}"), "X-Key"),
        (file, "headers"),
    ] {
        let program = tracker("wait", "http://127.0.0.1:9", &["--header", &header, "j"]);
        let ran = program.run().exits_with(2).prints_nothing().complains(&[word]);
        if !header.contains("env") {
            ran.never_tells(SECRET);
        }
    }
}

#[test]
fn secrets_are_in_no_log() {
    let scratch = Scratch::new();
    let file = format!("@{}", scratch.file("headers", &format!("X-File: {SECRET}")));
    let backend = Backend::start(|asked| match (asked.id(), asked.method.as_str()) {
        (_, "POST") => created("j"),
        ("good", _) => state("completed"),
        ("refused", _) => code(401),
        _ => state("pending"),
    });
    let url = backend.url();
    let flagged = |program: Program| {
        let literal = format!("Authorization: Bearer {SECRET}");
        program.args(&["-H", &literal, "-H", "X-Env: ${env:JW_KEY}", "-H", &file]).env("JW_KEY", SECRET)
    };
    let wait = || tracker("wait", &url, &["--timeout", "100ms", "good", "refused", "late"]);
    for ran in [
        flagged(wait()).run(),
        flagged(wait()).args(&["-vv"]).run(),
        flagged(wait()).args(&["--json"]).env("JOBWATCH_LOG", "debug").run(),
        flagged(wait()).env("JOBWATCH_LOG", "trace").run(),
        flagged(tracker("status", &url, &["good", "refused"])).args(&["-vv"]).run(),
        flagged(tracker("submit", &url, &[])).env("JOBWATCH_LOG", "trace").run(),
    ] {
        assert!(matches!(ran.code, Some(0 | 3)), "{ran:#?}");
        ran.never_tells(SECRET);
    }
    assert!(backend.asked().iter().all(|asked| asked.header("x-file") == Some(SECRET)));
}

#[test]
fn the_command_that_goes_on_repeats_no_secret() {
    let scratch = Scratch::new();
    let file = format!("@{}", scratch.file("headers", &format!("X-File: {SECRET}")));
    let backend = Backend::start(|_| state("pending"));
    for (header, told) in [
        (format!("X-Api-Key: {SECRET}"), "--header 'X-Api-Key: …'".to_owned()),
        (format!("X-Api-Key: ${{env:JW_KEY}}{SECRET}"), "--header 'X-Api-Key: …'".to_owned()),
        ("X-Api-Key: ${env:JW_KEY}".to_owned(), "--header 'X-Api-Key: ${env:JW_KEY}'".to_owned()),
        ("X: Bearer ${env:JW_KEY}".to_owned(), "--header 'X: Bearer ${env:JW_KEY}'".to_owned()),
        (file.clone(), format!("--header {file}")),
    ] {
        let ran =
            tracker("wait", &backend.url(), &["--max-polls", "1", "-H", &header, "j"]).env("JW_KEY", SECRET).run();
        ran.exits_with(4).complains(&["jobwatch wait --api tracker", &told]).never_tells(SECRET);
    }
}

#[test]
fn a_header_file_that_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    let path = scratch.path("nowhere");
    let header = format!("@{path}");
    let program = jobwatch(&["wait", "--api", "tracker", "--base-url", "http://127.0.0.1:9", "-H", &header, "j"]);
    program.run().exits_with(2).prints_nothing().complains(&["cannot read", &path]);
}

#[test]
fn the_command_that_goes_on_leaves_out_the_query_of_the_address() {
    let backend = Backend::start(|_| state("pending"));
    let url = format!("{}/?key={SECRET}", backend.url());
    let ran = tracker("wait", &url, &["--max-polls", "1", "j"]).run().exits_with(4);
    let told = format!("--base-url {}/ --min-delay 20ms --max-delay 200ms --max-polls 1 j", backend.url());
    ran.complains(&[&told]).never_tells(SECRET);
}
