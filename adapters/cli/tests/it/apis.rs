//! Every API that the simulator speaks, from `submit` to the last outcome.

use std::collections::BTreeMap;

use jobwatch_simulator::{Api, JobState, Simulator};
use serde_json::{Value, json as object};

use crate::backend::simulator;
use crate::program::{Program, jobwatch, text};

fn program(command: &str, simulator: &Simulator, api: Api) -> Program {
    let program = jobwatch(&[command, "--api", api.name(), "--base-url", &simulator.url()]);
    if command == "wait" { program.args(&["--min-delay", "20ms", "--max-delay", "200ms"]) } else { program }
}

fn body(api: Api) -> &'static str {
    match api {
        Api::HeygenV3 => r#"{"video":{"type":"url","url":"https://x/v.mp4"},"output_languages":["Spanish (Spain)"]}"#,
        _ => "{}",
    }
}

/// How a job of this id ended, by the ledger; a job may be named by its address.
fn truth(simulator: &Simulator) -> BTreeMap<String, JobState> {
    simulator.ledger().jobs.iter().map(|job| (job.id.to_string(), job.outcome)).collect()
}

/// The simulator's id of a job.
fn plain(id: &str) -> &str {
    let path = id.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

#[test]
fn what_is_submitted_can_be_waited_for_by_every_api() {
    for &api in Api::ALL {
        let simulator = simulator("uniform:1..4").api(api).fail_rate(0.4).speed(20.0).seed(8).start().unwrap();
        let created = program("submit", &simulator, api).args(&["--count", "8", "--body", body(api)]);
        let created = created.run().exits_with(0);
        let wait = program("wait", &simulator, api).args(&["--json", "-"]).input(created.out.clone());
        let (jobs, _) = wait.run().exits_with(1).report();
        assert_eq!(jobs.len(), 8, "{api}");
        agree(api, &jobs, &truth(&simulator));

        // Jobs that are named by their addresses say where the backend is.
        if created.out.starts_with("http") {
            let flags = ["wait", "--api", api.name(), "--json", "-"];
            let (again, _) = jobwatch(&flags).input(created.out).run().exits_with(1).report();
            agree(api, &again, &truth(&simulator));
        }
    }
}

#[track_caller]
fn agree(api: Api, jobs: &[Value], truth: &BTreeMap<String, JobState>) {
    for job in jobs {
        let told = match (text(&job["outcome"]), api) {
            ("succeeded", _) => JobState::Succeeded,
            // Plain HTTP has no status for a failed job: it is gone.
            ("failed", _) | ("lost", Api::Rfc9110) => JobState::Failed,
            (outcome, _) => panic!("{api}: {outcome} {job}"),
        };
        assert_eq!(Some(&told), truth.get(plain(text(&job["id"]))), "{api} {job}");
        if told == JobState::Succeeded && api != Api::Tracker {
            assert!(!job["result"].is_null(), "{api} {job}");
        }
    }
}

#[test]
fn what_is_submitted_and_waited_for_at_once_ends_as_it_ended() {
    for &api in Api::ALL {
        let simulator = simulator("uniform:1..4").api(api).fail_rate(0.4).speed(20.0).seed(8).start().unwrap();
        let flags = ["--count", "8", "--body", body(api), "--wait", "--min-delay", "20ms", "--max-delay", "200ms"];
        let lines = program("submit", &simulator, api).args(&flags).args(&["--json"]).run().exits_with(1).json();
        let jobs: Vec<Value> = lines.into_iter().filter(|line| line["type"] == "job").collect();
        assert_eq!(jobs.len(), 8, "{api}");
        agree(api, &jobs, &truth(&simulator));
    }
}

#[test]
fn results_of_every_api_become_files() {
    for (api, extension) in [(Api::HeygenV3, "mp4"), (Api::Rfc9110, "json"), (Api::Azure, "json")] {
        let scratch = crate::program::Scratch::new();
        let simulator = simulator("constant:1").api(api).speed(20.0).api_key("k").start().unwrap();
        let flags = ["--count", "2", "--body", body(api), "--wait", "--min-delay", "20ms", "--max-delay", "200ms"];
        let program = program("submit", &simulator, api).args(&flags);
        program.args(&["-H", "X-Api-Key: k", "--save-results", &scratch.path("results")]).run().exits_with(0);
        let names = scratch.names("results");
        assert_eq!(names.len(), 2, "{api} {names:?}");
        assert!(names.iter().all(|name| name.ends_with(extension)), "{api} {names:?}");
    }
}

#[test]
fn two_hundred_and_fifty_translations_and_one_that_nobody_knows() {
    let simulator = simulator("uniform:2..6").api(Api::HeygenV3).fail_rate(0.2).speed(20.0).seed(2).start().unwrap();
    let languages = ["Spanish (Spain)", "French (France)", "German", "Japanese", "Hindi (India)"];
    let body = object!({
        "video": {"type": "url", "url": "https://example.com/talk.mp4"},
        "output_languages": languages,
    });
    let submit = program("submit", &simulator, Api::HeygenV3).args(&["--count", "50", "--body", "-"]);
    let created = submit.input(body.to_string()).run().exits_with(0);
    assert_eq!(created.out.lines().count(), 250);

    let flags = ["--schedule", "exponential", "--jitter", "full", "--factor", "1.3", "--json", "no-such-id", "-"];
    let wait = program("wait", &simulator, Api::HeygenV3).args(&flags).input(created.out);
    let (jobs, summary) = wait.run().exits_with(1).report();
    let unknown = jobs.iter().find(|job| job["id"] == "no-such-id").unwrap();
    assert_eq!(unknown["outcome"], "lost");
    let known: Vec<Value> = jobs.iter().filter(|job| job["id"] != "no-such-id").cloned().collect();
    assert_eq!(known.len(), 250);
    agree(Api::HeygenV3, &known, &truth(&simulator));
    for job in known.iter().filter(|job| job["outcome"] == "succeeded") {
        let url = text(&job["result"]);
        assert!(url.starts_with(&simulator.url()) && url.contains(text(&job["id"])), "{job}");
    }
    let failed = truth(&simulator).values().filter(|outcome| **outcome == JobState::Failed).count();
    assert_eq!((&summary["failed"], &summary["lost"], &summary["jobs"]), (&failed.into(), &1.into(), &251.into()));
    assert!(simulator.ledger().asked_too_early().is_empty());
}
