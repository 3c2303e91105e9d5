//! The wire of `rfc9110`, where the HTTP status is the state.

use jobwatch_simulator::{Api, CREATED_AT, ENDED_AT, FaultKind, Faults, JobState};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::wire::{ended_at_once, never_ending};

/// The path of a new job.
fn create(client: &mut Client) -> String {
    let created = client.ask("POST", "/jobs").expect("an answer");
    created.header("location").expect("a location").to_owned()
}

fn check_problem(answer: &Answer, status: u16, title: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")));
    let body = answer.json();
    assert_eq!((&body["status"], &body["title"]), (&json!(status), &json!(title)));
}

#[test]
fn a_create_answers_with_a_location_and_a_hint() {
    let simulator = never_ending().api(Api::Rfc9110).start().unwrap();
    let mut client = Client::new(&simulator);
    let created = client.ask_with("POST", "/jobs", &[], "anything");
    assert_eq!((created.status, &*created.body, created.header("content-type")), (202, "", None));
    assert_eq!(created.header("retry-after"), Some("1"));
    let id = simulator.ledger().jobs[0].id.clone();
    assert_eq!(created.header("location"), Some(&*format!("/jobs/{id}")));

    let told = client.get(&format!("/jobs/{id}"));
    assert_eq!((told.status, &*told.body), (202, ""));
    assert_eq!((told.header("retry-after"), told.header("location")), (Some("1"), None));
    assert_eq!(told.time(CREATED_AT), created.time(CREATED_AT));
    assert_eq!(told.header(ENDED_AT), None);
    check_problem(&client.get(&format!("/jobs/{id}/result")), 404, "There is no result yet");

    let ledger = simulator.ledger();
    let asked = &ledger.requests[1];
    assert_eq!((asked.state, asked.fault), (Some(JobState::Pending), None));
    assert_eq!(asked.throttled_until_ns, Some(asked.at_ns + 1_000_000_000));
}

/// As at `/jobs`: the preset creates at the base URL itself.
#[test]
fn the_base_itself_creates_too() {
    for api in [Api::Rfc9110, Api::Azure] {
        let simulator = never_ending().api(api).start().unwrap();
        let mut client = Client::new(&simulator);
        assert_eq!(client.ask_with("POST", "/", &[], "{}").status, 202, "{api}");
        assert_eq!(simulator.ledger().jobs.len(), 1, "{api}");
    }
}

#[test]
fn hints_are_scaled_and_their_breach_shows() {
    let simulator = never_ending().speed(0.001).api(Api::Rfc9110).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = create(&mut client);
    let told = client.get(&path);
    assert_eq!((told.header("retry-after"), told.header("retry-after-ms")), (None, Some("1000000")));
    let ledger = simulator.ledger();
    let early: Vec<u64> = ledger.asked_too_early().iter().map(|entry| entry.number).collect();
    assert_eq!(early, [2]);
}

#[test]
fn a_success_leads_to_its_result() {
    let simulator = ended_at_once().fail_rate(0.0).api(Api::Rfc9110).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = create(&mut client);
    let told = client.get(&path);
    let result = format!("{path}/result");
    assert_eq!((told.status, told.header("location")), (303, Some(&*result)));
    assert_eq!(told.header("retry-after"), None);

    let got = client.get(&result);
    let ledger = simulator.ledger();
    let job = &ledger.jobs[0];
    assert_eq!((got.status, &got.json()["id"]), (200, &json!(job.id)));
    assert!(got.json()["output"].is_string());
    assert_eq!((told.time(ENDED_AT), got.time(ENDED_AT)), (Some(job.ended_at_ns), Some(job.ended_at_ns)));
    assert_eq!((job.requests, ledger.requests_for(&job.id).count()), (1, 3));
    assert_eq!(ledger.requests[1].state, Some(JobState::Succeeded));
}

#[test]
fn a_failure_is_gone() {
    let simulator = ended_at_once().fail_rate(1.0).api(Api::Rfc9110).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = create(&mut client);
    let told = client.get(&path);
    check_problem(&told, 410, "The job failed");
    assert!(told.header(ENDED_AT).is_some());
    check_problem(&client.get(&format!("{path}/result")), 410, "The job failed");
    assert_eq!(simulator.ledger().requests[1].state, Some(JobState::Failed));
}

#[test]
fn a_deleted_job_is_gone() {
    for (builder, title, outcome) in [
        (never_ending(), "The job was cancelled", JobState::Cancelled),
        (ended_at_once(), "The job was deleted", JobState::Succeeded),
    ] {
        let simulator = builder.fail_rate(0.0).api(Api::Rfc9110).start().unwrap();
        let mut client = Client::new(&simulator);
        let path = create(&mut client);
        let deleted = client.ask("DELETE", &path).unwrap();
        assert_eq!((deleted.status, &*deleted.body), (204, ""));
        let job = simulator.ledger().jobs[0].clone();
        assert_eq!((job.outcome, deleted.time(ENDED_AT)), (outcome, Some(job.ended_at_ns)));
        check_problem(&client.get(&path), 410, title);
        check_problem(&client.get(&format!("{path}/result")), 410, title);
        assert_eq!(client.ask("DELETE", &path).unwrap().status, 410);
    }
}

#[test]
fn an_unknown_id_is_not_found() {
    let simulator = never_ending().api(Api::Rfc9110).start().unwrap();
    let mut client = Client::new(&simulator);
    for (method, path) in [("GET", "/jobs/x"), ("GET", "/jobs/x/result"), ("DELETE", "/jobs/x")] {
        check_problem(&client.ask(method, path).unwrap(), 404, "There is no job of this id");
    }
    let refused = client.ask("PUT", "/jobs/x").unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, DELETE")));
}

#[test]
fn no_fault_passes_for_a_success() {
    for kind in FaultKind::ALL {
        if matches!(kind, FaultKind::Reset | FaultKind::Close | FaultKind::Hang) {
            continue;
        }
        let faults = Faults::rate(1.0).only(&[*kind]);
        let simulator = never_ending().faults(faults).api(Api::Rfc9110).start().unwrap();
        let mut client = Client::new(&simulator);
        let path = create(&mut client);
        assert!(client.get(&path).status >= 400, "{kind}");
    }
}
