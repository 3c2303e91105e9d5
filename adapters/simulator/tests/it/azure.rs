//! The wire of `azure`.

use std::time::Duration;

use jobwatch_simulator::{Api, CREATED_AT, Durations, ENDED_AT, JobState, LONGEST, Simulator};
use serde_json::json;

use crate::client::Client;
use crate::wire::{ended_at_once, never_ending};

/// The path and query to poll for a new operation.
fn create(client: &mut Client, simulator: &Simulator) -> String {
    let created = client.ask("POST", "/operations").expect("an answer");
    let url = created.header("operation-location").expect("a URL");
    url.strip_prefix(&simulator.url()).expect("the same origin").to_owned()
}

#[test]
fn a_create_answers_with_an_absolute_url() {
    let simulator = never_ending().api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    let created = client.ask_with("POST", "/operations", &[], "anything");
    assert_eq!((created.status, &*created.body), (202, ""));
    let id = simulator.ledger().jobs[0].id.clone();
    let path = format!("/operations/{id}?api-version=2024-01-01");
    assert_eq!(created.header("operation-location"), Some(&*(simulator.url() + &path)));

    let told = client.get(&path);
    assert_eq!(told.json(), json!({"id": id, "status": "NotStarted", "percentComplete": 0}));
    assert_eq!((told.status, told.header("retry-after")), (200, Some("1")));
    assert_eq!(told.time(CREATED_AT), created.time(CREATED_AT));
}

#[test]
fn a_create_names_the_host_that_was_asked() {
    let simulator = never_ending().api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    let head = b"POST /operations HTTP/1.1\r\nHost: localhost:99\r\nContent-Length: 0\r\n\r\n";
    std::io::Write::write_all(&mut client.stream(), head).unwrap();
    let created = client.receive().unwrap();
    assert!(created.header("operation-location").unwrap().starts_with("http://localhost:99/operations/"));
}

#[test]
fn an_operation_ends_with_a_result_or_an_error() {
    for (fail_rate, word) in [(0.0, "Succeeded"), (1.0, "Failed")] {
        let simulator = ended_at_once().fail_rate(fail_rate).api(Api::Azure).start().unwrap();
        let mut client = Client::new(&simulator);
        let path = create(&mut client, &simulator);
        let told = client.get(&path);
        assert_eq!(told.header("retry-after"), None);
        assert_eq!(told.time(ENDED_AT), Some(simulator.ledger().jobs[0].ended_at_ns));
        let body = told.json();
        assert_eq!(body["status"], word);
        let well = word == "Succeeded";
        assert_eq!(body["result"]["output"].is_string(), well);
        assert_eq!(body["error"]["code"].is_string(), !well);
        assert_eq!(body["error"]["message"].is_string(), !well);
        assert_eq!(body["percentComplete"] == 100, well);
    }
}

#[test]
fn progress_grows() {
    // Ever longer operations: on however slow a machine, one is seen in the middle of its life.
    let lengths: Vec<Duration> = (0..14).map(|n| Duration::from_millis(20 << n)).collect();
    let simulator = Simulator::builder().durations(Durations::list(lengths).unwrap()).fail_rate(0.0);
    let simulator = simulator.api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    let mut ran = false;
    while !ran {
        let path = create(&mut client, &simulator);
        let mut last = 0;
        loop {
            let body = client.get(&path).json();
            let percent = body["percentComplete"].as_u64().unwrap();
            assert!((last..=100).contains(&percent));
            last = percent;
            match body["status"].as_str().unwrap() {
                "NotStarted" => assert!(percent < 10),
                "Running" => ran = (10..100).contains(&percent),
                word => break assert_eq!((word, percent), ("Succeeded", 100)),
            }
        }
    }
}

#[test]
fn a_poll_without_a_version_is_refused() {
    let simulator = never_ending().cache(LONGEST).api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = create(&mut client, &simulator);
    let (bare, _) = path.split_once('?').unwrap();
    for bad in [bare, &format!("{bare}?api-version="), &format!("{bare}?version=1")] {
        let refused = client.get(bad);
        assert_eq!((refused.status, refused.json()["error"]["code"].is_string()), (400, true));
    }
    // A refusal is not kept in the cache.
    assert_eq!(client.get(&path).status, 200);
    assert_eq!(client.get(&format!("{bare}?api-version=2030-01-01")).status, 200);
}

#[test]
fn a_cancelled_operation_says_so_and_an_ended_one_stays() {
    let simulator = never_ending().api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = create(&mut client, &simulator);
    for _ in 0..2 {
        let cancelled = client.ask("DELETE", &path).unwrap();
        assert_eq!((cancelled.status, &*cancelled.body), (202, ""));
    }
    let told = client.get(&path);
    assert_eq!((&told.json()["status"], told.header("retry-after")), (&json!("Canceled"), None));
    let ledger = simulator.ledger();
    let job = &ledger.jobs[0];
    assert_eq!((job.outcome, job.ended_at_ns), (JobState::Cancelled, ledger.requests[1].at_ns));
    assert_eq!(told.time(ENDED_AT), Some(job.ended_at_ns));
    assert_eq!(ledger.requests[3].state, Some(JobState::Cancelled));

    let simulator = ended_at_once().fail_rate(0.0).api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = create(&mut client, &simulator);
    assert_eq!(client.ask("DELETE", &path).unwrap().status, 202);
    assert_eq!(client.get(&path).json()["status"], "Succeeded");
}

#[test]
fn an_unknown_id_is_not_found() {
    let simulator = never_ending().api(Api::Azure).start().unwrap();
    let mut client = Client::new(&simulator);
    for method in ["GET", "DELETE"] {
        let answer = client.ask(method, "/operations/x?api-version=1").unwrap();
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("OperationNotFound")));
    }
}
