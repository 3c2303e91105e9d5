//! `jobwatch cancel`.

use jobwatch_simulator::{Api, JobState, Simulator};
use serde_json::json as object;

use crate::backend::{Answer, Asked, Backend, code, json, simulator};
use crate::program::{Program, Scratch, jobwatch, text};

fn heygen(command: &str, url: &str) -> Program {
    jobwatch(&[command, "--api", "heygen-v3", "--base-url", url])
}

/// Jobs of a simulator, one for each language.
fn submit(simulator: &Simulator, jobs: usize) -> Vec<String> {
    let languages: Vec<String> = (0..jobs).map(|number| format!("L{number}")).collect();
    let body = object!({ "output_languages": languages }).to_string();
    let ran = heygen("submit", &simulator.url()).args(&["--body", &body]).run().exits_with(0);
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn unfinished_jobs_are_cancelled_in_the_order_asked() {
    let simulator = simulator("constant:1000000").api(Api::HeygenV3).start().unwrap();
    let ids = submit(&simulator, 30);
    let asked = heygen("cancel", &simulator.url()).args(&["--concurrency", "7", &ids[0], "-"]);
    let ran = asked.input(ids.join("\n")).run().exits_with(0);
    let told: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(told.iter().map(|row| row[0]).collect::<Vec<_>>(), ids);
    assert!(told.iter().all(|row| row[1] == "cancel_requested" && row.len() == 3), "{told:?}");
    assert!(simulator.ledger().jobs.iter().all(|job| job.outcome == JobState::Cancelled));
    // What is printed can be piped on.
    let after = heygen("status", &simulator.url()).args(&["-"]).input(ran.out).run().exits_with(1);
    assert_eq!(after.ends().len(), 30);
}

/// Answers by the id, which says how the look and the cancelling end: `LOOK-CANCEL`.
fn by_id(asked: &Asked) -> Answer {
    let (look, cancel) = asked.id().split_once('-').unwrap_or_default();
    match (asked.method.as_str(), look, cancel) {
        ("GET", "good", _) => json(r#"{"data":{"status":"completed","video_url":"https://x/y"}}"#),
        ("GET", "bad", _) => json(r#"{"data":{"status":"failed","failure_message":"no voice"}}"#),
        ("GET", "unknown", _) => code(404),
        ("GET", "refused", _) => code(401),
        ("GET", "broken", _) => code(400),
        ("GET", ..) => json(r#"{"data":{"status":"running"}}"#),
        (_, _, "agreed") => json("{}"),
        (_, _, "conflict") => Answer::Says {
            status: 409,
            headers: String::new(),
            body: r#"{"error":{"message":"too late for it"}}"#.to_owned(),
        },
        (_, _, "forbidden") => code(403),
        _ => code(400),
    }
}

#[test]
fn each_end_has_its_word_and_its_exit_status() {
    for (id, word, status, detail) in [
        ("late-agreed", "cancel_requested", 0, "running"),
        ("good-", "succeeded", 0, "completed"),
        ("bad-", "failed", 0, "no voice"),
        ("unknown-", "lost", 1, ""),
        ("refused-", "rejected", 3, "401"),
        ("late-forbidden", "not_cancelled", 3, "403"),
        ("broken-", "rejected", 4, "400"),
        ("late-conflict", "not_cancelled", 4, "too late for it"),
    ] {
        let backend = Backend::start(by_id);
        let ran = heygen("cancel", &backend.url()).args(&[id]).run().exits_with(status);
        assert_eq!(ran.ends(), [(id, word)]);
        assert!(ran.rows()[0][2].contains(detail), "{ran:#?}");
        let asked = backend.asked();
        assert!(asked[0].method == "GET", "it looks first");
        let cancels = asked.iter().filter(|asked| asked.method == "DELETE").count();
        assert_eq!(cancels, usize::from(id.starts_with("late")), "{id}");
        if status == 3 {
            ran.complains(&["--header 'X-Api-Key: ${env:HEYGEN_API_KEY}'"]);
        }
    }
}

#[test]
fn json_has_an_object_for_each_job_then_counts() {
    let backend = Backend::start(by_id);
    let ids = ["late-agreed", "bad-", "unknown-", "late-conflict", "good-"];
    let ran = heygen("cancel", &backend.url()).args(&["--json"]).args(&ids).run().exits_with(4);
    let mut lines = ran.json();
    let summary = lines.pop().unwrap();
    let counts = object!({"jobs": 5, "requested": 1, "ended": 2, "lost": 1, "not_cancelled": 1});
    assert_eq!(summary, object!({"v": 1, "type": "summary", "summary": counts}));
    let line = |id: &str, requested: bool, outcome: Option<&str>, state: Option<&str>, error: Option<&str>| {
        object!({
            "v": 1, "type": "cancel", "id": id, "requested": requested,
            "outcome": outcome, "state": state, "error": error,
        })
    };
    assert_eq!(lines[0], line(ids[0], true, None, Some("running"), None));
    assert_eq!(lines[1], line(ids[1], false, Some("failed"), Some("failed"), Some("no voice")));
    assert_eq!((text(&lines[2]["outcome"]), &lines[2]["requested"]), ("lost", &false.into()));
    assert_eq!(lines[3], line(ids[3], false, None, Some("running"), Some("too late for it")));
    assert_eq!(lines[4], line(ids[4], false, Some("succeeded"), Some("completed"), None));
    assert!(ran.out.lines().all(|line| line.starts_with(r#"{"v":1,"type":""#)), "{ran:#?}");
}

#[test]
fn the_gravest_exit_status_wins() {
    let backend = Backend::start(by_id);
    for (ids, status) in [
        (&["unknown-", "good-"][..], 1),
        (&["late-conflict", "unknown-"], 4),
        (&["late-forbidden", "late-conflict", "unknown-", "late-agreed"], 3),
    ] {
        heygen("cancel", &backend.url()).args(ids).run().exits_with(status);
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    let scratch = Scratch::new();
    let quick = preset_with(&scratch, "heygen-v3", "min_delay = \"5s\"", "min_delay = \"10ms\"");
    let backend = Backend::start(|asked| match (asked.method.as_str(), asked.earlier) {
        ("DELETE", 1) => code(503),
        _ => by_id(asked),
    });
    let ran = jobwatch(&["cancel", "--api", &quick, "--base-url", &backend.url(), "late-agreed"]).run().exits_with(0);
    assert_eq!(ran.ends(), [("late-agreed", "cancel_requested")]);
    assert_eq!(backend.asked().len(), 3);
}

/// A copy of a preset's file with one line changed.
fn preset_with(scratch: &Scratch, preset: &str, line: &str, other: &str) -> String {
    let shown = jobwatch(&["dialects", "show", preset]).run().exits_with(0).out;
    assert!(shown.contains(line), "{shown}");
    scratch.file("copy.toml", &shown.replace(line, other))
}

#[test]
fn a_dialect_that_cannot_cancel_asks_nothing() {
    let backend = Backend::start(by_id);
    let program = jobwatch(&["cancel", "--api", "tracker", "--base-url", &backend.url(), "late-agreed"]);
    program.run().exits_with(2).prints_nothing().complains(&["tracker", "[cancel]"]);
    assert!(backend.asked().is_empty());
}

#[test]
fn no_ids_on_standard_input_are_a_success() {
    for flags in [&["--base-url", "http://127.0.0.1:9"][..], &[]] {
        let program = jobwatch(&["cancel", "--api", "heygen-v3", "--json", "-"]).args(flags);
        let ran = program.run().exits_with(0);
        assert_eq!(ran.json()[0]["summary"]["jobs"], 0);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_what_is_under_way() {
    let backend = Backend::start(|asked| if asked.id() == "hung" { Answer::Hangs } else { by_id(asked) });
    let running = heygen("cancel", &backend.url()).args(&["late-agreed", "hung"]).start();
    running.out().wait_for_lines(1);
    running.signal("INT");
    let ran = running.finish().exits_with(130).complains(&["interrupted"]);
    assert_eq!(ran.ends(), [("late-agreed", "cancel_requested")]);
}
