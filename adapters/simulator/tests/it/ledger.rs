//! What the ledger keeps.

use jobwatch_simulator::{FaultKind, Faults, JobState};
use serde_json::json;

use crate::client::Client;
use crate::wire::{ended_at_once, never_ending};

#[test]
fn every_request_is_there_with_its_answer() {
    let simulator = ended_at_once().fail_rate(0.0).start().unwrap();
    let mut client = Client::new(&simulator);
    let id = client.create();
    client.get(&format!("/status/{id}?q=1"));
    client.get("/status/other");
    client.get("/nothing");
    client.get("/_health");

    let ledger = simulator.ledger();
    let told: Vec<_> =
        ledger.requests.iter().map(|entry| (&*entry.method, &*entry.path, entry.status, entry.state)).collect();
    let own = format!("/status/{id}");
    let expected = [
        ("POST", "/create_job", Some(200), None),
        ("GET", &*own, Some(200), Some(JobState::Succeeded)),
        ("GET", "/status/other", Some(200), Some(JobState::Unknown)),
        ("GET", "/nothing", Some(404), None),
    ];
    assert_eq!(told, expected);
    let numbers: Vec<u64> = ledger.requests.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(ledger.requests.is_sorted_by_key(|entry| entry.at_ns));
    assert_eq!(ledger.requests_for(&id).count(), 2);
    assert_eq!((ledger.jobs[0].requests, ledger.jobs_created), (1, 1));
    assert_eq!(&*ledger.jobs[0].id, id);
}

#[test]
fn the_endpoint_tells_the_same() {
    let faults = Faults::rate(1.0).only(&[FaultKind::Throttle]);
    let simulator = ended_at_once().fail_rate(1.0).faults(faults).start().unwrap();
    let mut client = Client::new(&simulator);
    let id = client.create();
    client.get(&format!("/status/{id}"));
    let told = client.get("/_ledger").json();

    assert_eq!(told["v"], 1);
    assert_eq!((&told["connections"], &told["requests_seen"]), (&json!(1), &json!(2)));
    let job = &told["jobs"][0];
    assert_eq!((&job["id"], &job["outcome"]), (&json!(id), &json!("failed")));
    assert_eq!(job["requests"], 1);
    assert!(job["created_at"].as_f64().unwrap() <= job["ended_at"].as_f64().unwrap());
    let request = &told["requests"][1];
    assert_eq!(request["job_id"], json!(id));
    assert_eq!((&request["status"], &request["fault"]), (&json!(429), &json!("throttle")));
    let wait = request["throttled_until"].as_f64().unwrap() - request["at"].as_f64().unwrap();
    assert!((wait - 1.0).abs() < 1e-5, "{wait}");
}

#[test]
fn connections_are_told_apart_and_their_reuse_shows() {
    let simulator = never_ending().start().unwrap();
    let (mut first, mut second) = (Client::new(&simulator), Client::new(&simulator));
    first.create();
    second.create();
    first.get("/status/x");
    first.get("/status/x");
    Client::new(&simulator).get("/_ledger");
    let ledger = simulator.ledger();
    let carried: Vec<u64> = ledger.requests.iter().map(|entry| entry.connection).collect();
    assert_eq!(carried, [1, 2, 1, 1]);
    assert_eq!((ledger.connections, ledger.connections_accepted), (2, 3));
}

#[test]
fn asking_before_the_end_of_a_throttle_shows() {
    let faults = Faults::rate(1.0).only(&[FaultKind::Throttle]);
    // Slow motion: one simulated second of waiting lasts far longer than this test.
    let simulator = never_ending().faults(faults).speed(1e-6).start().unwrap();
    let mut client = Client::new(&simulator);
    client.get("/status/a");
    client.get("/status/b");
    assert!(simulator.ledger().asked_too_early().is_empty());
    client.get("/status/a");
    let ledger = simulator.ledger();
    let early: Vec<u64> = ledger.asked_too_early().iter().map(|entry| entry.number).collect();
    assert_eq!(early, [3]);
}

#[test]
fn memory_is_bounded_and_counts_go_on() {
    let simulator = never_ending().ledger_limit(3).start().unwrap();
    let mut client = Client::new(&simulator);
    let ids: Vec<String> = (0..5).map(|_| client.create()).collect();
    let ledger = simulator.ledger();
    let numbers: Vec<u64> = ledger.requests.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [3, 4, 5]);
    let kept: Vec<&str> = ledger.jobs.iter().map(|job| &*job.id).collect();
    assert_eq!(kept, ids[2..]);
    assert_eq!((ledger.requests_seen, ledger.jobs_created), (5, 5));
    let forgotten = client.get(&format!("/status/{}", ids[0])).json();
    assert_eq!(forgotten, json!({"result": "Job ID not found"}));
}

#[test]
fn a_long_path_is_cut() {
    let simulator = never_ending().start().unwrap();
    let mut client = Client::new(&simulator);
    client.get(&format!("/{}", "x".repeat(5_000)));
    assert_eq!(simulator.ledger().requests[0].path.len(), 512);
}
