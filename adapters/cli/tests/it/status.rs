//! `jobwatch status`.

use crate::backend::{Answer, Backend, Nobody, code, json, state};
use crate::program::{jobwatch, number, text, tracker};
use crate::wait::{is_job_object, is_summary};

fn backend() -> Backend {
    Backend::start(|asked| match asked.id() {
        "good" => state("completed"),
        "bad" => state("error"),
        "unknown" => state("Job ID not found"),
        "refused" => code(401),
        "broken" => code(502),
        "hung" => Answer::Hangs,
        _ => state("pending"),
    })
}

#[test]
fn one_look_tells_each_state_and_the_exit_status() {
    for (id, outcome, status) in [
        ("good", "succeeded", 0),
        ("bad", "failed", 1),
        ("unknown", "lost", 1),
        ("late", "unfinished", 4),
        ("refused", "rejected", 3),
        ("broken", "gave_up", 4),
    ] {
        let backend = backend();
        let ran = tracker("status", &backend.url(), &[id]).run().exits_with(status);
        assert_eq!(ran.ends(), [(id, outcome)]);
        assert_eq!(backend.asked().len(), 1, "{id}");
        assert_eq!(ran.rows()[0].len(), 3);
    }
}

#[test]
fn json_tells_an_unfinished_job_with_null() {
    let backend = backend();
    let ran = tracker("status", &backend.url(), &["--json", "late", "good"]).run().exits_with(4);
    let (jobs, summary) = ran.report();
    jobs.iter().for_each(is_job_object);
    assert_eq!(jobs.iter().map(|job| text(&job["id"])).collect::<Vec<_>>(), ["late", "good"]);
    assert!(jobs[0]["outcome"].is_null() && jobs[0]["error"].is_null(), "{}", jobs[0]);
    assert_eq!((text(&jobs[0]["state"]), &jobs[0]["requests"]), ("pending", &1.into()));
    assert_eq!(text(&jobs[1]["outcome"]), "succeeded");
    assert!(number(&summary["wall_s"]) >= 0.0);
    assert_eq!(summary["requests"], 2);
}

#[test]
fn the_summary_of_ends_has_its_counts() {
    let backend = backend();
    let ran = tracker("status", &backend.url(), &["--json", "good", "bad", "unknown"]).run().exits_with(1);
    let (_, summary) = ran.report();
    is_summary(&summary);
    let counts = ["jobs", "succeeded", "failed", "lost"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [3, 1, 1, 1]);
}

#[test]
fn order_is_that_of_the_arguments_and_repetitions_are_told_once() {
    let backend = backend();
    let ran = tracker("status", &backend.url(), &["z", "-", "good", "z"]).input("bad\n\nb\tstopped\t\n").run();
    let ran = ran.exits_with(4);
    let ids: Vec<_> = ran.out.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(ids, ["z", "bad", "b", "good"]);
    assert_eq!(backend.asked().len(), 4);
}

#[test]
fn a_look_that_is_never_answered_ends_in_time() {
    let backend = backend();
    let ran = tracker("status", &backend.url(), &["--attempt-timeout", "100ms", "hung"]).run().exits_with(4);
    assert_eq!(ran.ends(), [("hung", "gave_up")]);
    assert!(ran.rows()[0][2].contains("no answer in time"), "{ran:#?}");
}

#[test]
fn nobody_there_is_told() {
    let nobody = Nobody::listens();
    let ran = tracker("status", &nobody.url(), &["a"]).run().exits_with(4);
    assert!(ran.rows()[0][2].contains("could not be reached"), "{ran:#?}");
}

#[test]
fn no_ids_on_standard_input_are_a_success() {
    let ran = tracker("status", "http://127.0.0.1:9", &["--json", "-"]).run().exits_with(0);
    let (jobs, summary) = ran.report();
    assert!(jobs.is_empty());
    is_summary(&summary);
}

#[test]
fn an_unfinished_job_tells_how_far_it_is() {
    for (dialect, answer, detail) in [
        ("azure", r#"{"status":"Running","percentComplete":45}"#, "Running, 45%"),
        ("fal", r#"{"status":"IN_QUEUE","queue_position":3}"#, "IN_QUEUE, 3 before it"),
        ("azure", r#"{"status":"Running"}"#, "Running"),
    ] {
        let backend = Backend::start(move |_| json(answer));
        let address = format!("{}/jobs/7", backend.url());
        let ran = jobwatch(&["status", "--api", dialect, &address]).run().exits_with(4);
        assert_eq!(ran.rows(), [[address.as_str(), "unfinished", detail]]);
    }
}
