//! The tracker's wire.

use jobwatch_simulator::{CREATED_AT, Durations, ENDED_AT, LONGEST, Simulator, SimulatorBuilder};
use serde_json::json;
use std::time::Duration;

use crate::client::Client;

pub(crate) fn never_ending() -> SimulatorBuilder {
    let durations = Durations::constant(LONGEST).expect("in range");
    Simulator::builder().durations(durations)
}

pub(crate) fn ended_at_once() -> SimulatorBuilder {
    let durations = Durations::constant(Duration::from_nanos(1)).expect("in range");
    Simulator::builder().durations(durations)
}

#[test]
fn a_job_is_created_and_is_pending() {
    let simulator = never_ending().start().unwrap();
    let mut client = Client::new(&simulator);
    let created = client.ask("POST", "/create_job").unwrap();
    assert_eq!(created.status, 200);
    assert_eq!(created.header("content-type"), Some("application/json"));
    assert!(created.header("date").is_some());
    let body = created.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let id = body["job_id"].as_str().unwrap();

    let status = client.get(&format!("/status/{id}"));
    assert_eq!((status.status, status.json()), (200, json!({"result": "pending"})));
    assert!(status.header("date").is_some());
    assert_eq!(status.time(CREATED_AT), created.time(CREATED_AT));
    assert_eq!(status.header(ENDED_AT), None);
    assert_eq!(status.header("age"), None);
}

#[test]
fn a_job_ends_as_it_was_drawn_and_tells_when() {
    for (fail_rate, word) in [(0.0, "completed"), (1.0, "error")] {
        let simulator = ended_at_once().fail_rate(fail_rate).start().unwrap();
        let mut client = Client::new(&simulator);
        let id = client.create();
        let status = client.get(&format!("/status/{id}?x=1"));
        assert_eq!(status.json(), json!({ "result": word }));
        let job = &simulator.ledger().jobs[0];
        assert_eq!(status.time(CREATED_AT), Some(job.created_at_ns));
        assert_eq!(status.time(ENDED_AT), Some(job.ended_at_ns));
        assert_eq!(job.ended_at_ns, job.created_at_ns + 1);
    }
}

#[test]
fn an_unknown_id_is_still_200() {
    let simulator = never_ending().start().unwrap();
    let answer = Client::new(&simulator).get("/status/no-such-job");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"result": "Job ID not found"}));
    assert_eq!(answer.header(CREATED_AT), None);
}

#[test]
fn other_paths_and_methods_are_refused_in_json() {
    let simulator = never_ending().start().unwrap();
    let mut client = Client::new(&simulator);
    for path in ["/", "/status/", "/status/a/b", "/create_job/"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string());
    }
    for (method, path, allow) in [
        ("GET", "/create_job", "POST"),
        ("DELETE", "/status/x", "GET"),
        ("POST", "/_health", "GET"),
        ("POST", "/_ledger", "GET"),
    ] {
        let answer = client.ask(method, path).unwrap();
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow));
        assert!(answer.json()["error"].is_string());
    }
}

#[test]
fn a_large_body_is_ignored_and_the_connection_goes_on() {
    let simulator = never_ending().start().unwrap();
    let mut client = Client::new(&simulator);
    client.send("POST", "/create_job", &"x".repeat(1 << 20)).unwrap();
    assert_eq!(client.receive().unwrap().status, 200);
    assert_eq!(client.get("/_health").status, 200);
    assert_eq!(simulator.ledger().connections_accepted, 1);
}

#[test]
fn jobs_repeat_from_the_seed_whatever_else_is_asked() {
    let fates = |seed, nosy: bool| {
        let simulator = Simulator::builder().seed(seed).start().unwrap();
        let mut client = Client::new(&simulator);
        for _ in 0..20 {
            let id = client.create();
            if nosy {
                client.get(&format!("/status/{id}"));
                client.get("/nothing");
            }
        }
        let fate =
            |job: &jobwatch_simulator::LedgerJob| (job.id.clone(), job.outcome, job.ended_at_ns - job.created_at_ns);
        simulator.ledger().jobs.iter().map(fate).collect::<Vec<_>>()
    };
    let first = fates(7, false);
    assert_eq!(first, fates(7, true));
    assert_ne!(first, fates(8, false));
    let range = 20_000_000_000..=40_000_000_000;
    assert!(first.iter().all(|(_, _, took)| range.contains(took)));
}

#[test]
fn speed_shortens_real_time() {
    let durations = Durations::list([Duration::from_secs(30), Duration::from_secs(5)]).unwrap();
    let simulator = Simulator::builder().durations(durations).speed(10.0);
    let simulator = simulator.start().unwrap();
    let mut client = Client::new(&simulator);
    for _ in 0..3 {
        client.create();
    }
    let took = |job: &jobwatch_simulator::LedgerJob| job.ended_at_ns - job.created_at_ns;
    let took: Vec<u64> = simulator.ledger().jobs.iter().map(took).collect();
    assert_eq!(took, [3_000_000_000, 500_000_000, 3_000_000_000]);
}

#[test]
fn the_cache_repeats_an_old_answer() {
    // Ever longer jobs: on however slow a machine, one is still pending when it is first asked for.
    let lengths: Vec<Duration> = (0..14).map(|n| Duration::from_millis(20 << n)).collect();
    let simulator = Simulator::builder().durations(Durations::list(lengths).unwrap()).cache(LONGEST).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = loop {
        let path = format!("/status/{}", client.create());
        let first = client.get(&path);
        assert_eq!(first.header("age"), None);
        if first.json() == json!({"result": "pending"}) {
            break path;
        }
    };
    loop {
        let again = client.get(&path);
        assert_eq!(again.json(), json!({"result": "pending"}));
        assert!(again.header("age").unwrap().parse::<u64>().is_ok());
        assert!(again.header(CREATED_AT).is_some());
        assert_eq!(again.header(ENDED_AT), None);
        let ledger = simulator.ledger();
        let (asked, job) = (ledger.requests.last().unwrap(), ledger.jobs.last().unwrap());
        assert!(asked.cached);
        if asked.at_ns > job.ended_at_ns {
            break;
        }
    }
}

#[test]
fn a_cache_that_has_expired_tells_the_truth() {
    let simulator = ended_at_once().fail_rate(0.0);
    let simulator = simulator.cache(Duration::from_nanos(1)).start().unwrap();
    let mut client = Client::new(&simulator);
    let path = format!("/status/{}", client.create());
    for _ in 0..3 {
        let answer = client.get(&path);
        assert_eq!(answer.json(), json!({"result": "completed"}));
        assert_eq!(answer.header("age"), None);
    }
}
