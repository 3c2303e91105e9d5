//! Each fault as it reaches a client.

use std::io::{ErrorKind, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobwatch_simulator::{CREATED_AT, FaultKind, Faults, FaultsError, Simulator};

use crate::client::{Answer, Client, until};
use crate::wire::never_ending;

fn always(kind: FaultKind) -> jobwatch_simulator::SimulatorBuilder {
    never_ending().faults(Faults::rate(1.0).only(&[kind]))
}

/// Creates a job, asks for it once, and checks the ledger's word on it.
fn meet(kind: FaultKind, speed: f64) -> (Simulator, Answer) {
    let simulator = always(kind).speed(speed).start().expect("a start");
    let mut client = Client::new(&simulator);
    let id = client.create();
    let answer = client.get(&format!("/status/{id}"));
    let ledger = simulator.ledger();
    let entry = ledger.requests.last().expect("an entry");
    assert_eq!(entry.status, Some(answer.status));
    assert_eq!(entry.fault, Some(kind));
    assert_eq!(entry.job_id.as_deref(), Some(id.as_str()));
    assert_eq!((entry.state, entry.cached), (None, false));
    assert_eq!(answer.header(CREATED_AT), None);
    (simulator, answer)
}

#[test]
fn bad_gateway_is_502_in_html() {
    let (_, answer) = meet(FaultKind::BadGateway, 1.0);
    assert_eq!(answer.status, 502);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    assert!(answer.body.starts_with("<!DOCTYPE html>"));
}

#[test]
fn server_error_is_500_in_json() {
    let (_, answer) = meet(FaultKind::ServerError, 1.0);
    assert_eq!(answer.status, 500);
    assert!(answer.json()["error"].is_string());
}

#[test]
fn html_is_200_in_html() {
    let (_, answer) = meet(FaultKind::Html, 1.0);
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
}

#[test]
fn truncated_is_200_with_half_the_json() {
    let (_, answer) = meet(FaultKind::Truncated, 1.0);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(r#"{"result":"pending"}"#.starts_with(&answer.body));
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
}

#[test]
fn throttle_asks_for_one_second() {
    let (simulator, answer) = meet(FaultKind::Throttle, 1.0);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("retry-after-ms"), None);
    let ledger = simulator.ledger();
    let entry = ledger.requests.last().unwrap();
    assert_eq!(entry.throttled_until_ns, Some(entry.at_ns + 1_000_000_000));
}

#[test]
fn throttle_asks_in_milliseconds_when_time_is_scaled() {
    let (simulator, answer) = meet(FaultKind::Throttle, 300.0);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("retry-after-ms"), Some("4"));
    let ledger = simulator.ledger();
    let entry = ledger.requests.last().unwrap();
    assert_eq!(entry.throttled_until_ns, Some(entry.at_ns + 4_000_000));
}

#[test]
fn unavailable_asks_with_a_date() {
    let (simulator, answer) = meet(FaultKind::Unavailable, 1.0);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after-ms"), None);
    let date: SystemTime = httpdate::parse_http_date(answer.header("retry-after").unwrap()).unwrap();
    let date = date.duration_since(UNIX_EPOCH).unwrap();
    let ledger = simulator.ledger();
    let entry = ledger.requests.last().unwrap();
    assert_eq!(date.as_secs(), entry.at_ns / 1_000_000_000 + 2);
    assert_eq!(entry.throttled_until_ns.map(Duration::from_nanos), Some(date));
}

#[test]
fn unavailable_asks_in_milliseconds_when_time_is_scaled() {
    let (_, answer) = meet(FaultKind::Unavailable, 0.5);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("retry-after-ms"), Some("4000"));
}

#[test]
fn reset_is_a_reset_and_close_is_an_end() {
    for (kind, seen) in [(FaultKind::Reset, ErrorKind::ConnectionReset), (FaultKind::Close, ErrorKind::UnexpectedEof)] {
        let simulator = always(kind).start().unwrap();
        let mut client = Client::new(&simulator);
        let id = client.create();
        let error = client.ask("GET", &format!("/status/{id}")).unwrap_err();
        assert_eq!(error.kind(), seen, "{kind}");
        let ledger = until(&simulator, |ledger| ledger.connections_open == 0);
        let entry = ledger.requests.last().unwrap();
        assert_eq!((entry.status, entry.fault), (None, Some(kind)));
        assert_eq!(ledger.jobs[0].requests, 1);
    }
}

#[test]
fn hang_lasts_until_the_client_leaves() {
    let simulator = always(FaultKind::Hang).start().unwrap();
    let mut client = Client::new(&simulator);
    let id = client.create();
    client.send("GET", &format!("/status/{id}"), "").unwrap();
    let ledger = until(&simulator, |ledger| ledger.requests.len() == 2);
    assert_eq!(ledger.requests[1].fault, Some(FaultKind::Hang));
    assert_eq!(ledger.requests[1].status, None);

    let short = Duration::from_millis(20);
    client.stream().set_read_timeout(Some(short)).unwrap();
    let nothing = client.stream().read(&mut [0]).unwrap_err().kind();
    assert!(matches!(nothing, ErrorKind::WouldBlock | ErrorKind::TimedOut));

    assert_eq!(simulator.ledger().connections_open, 1);
    drop(client);
    until(&simulator, |ledger| ledger.connections_open == 0);
}

#[test]
fn creates_health_ledger_and_wrong_paths_are_spared() {
    let simulator = always(FaultKind::Reset).start().unwrap();
    let mut client = Client::new(&simulator);
    for _ in 0..20 {
        client.create();
        assert_eq!(client.get("/_health").status, 200);
        assert_eq!(client.get("/_ledger").status, 200);
        assert_eq!(client.get("/nothing").status, 404);
    }
}

#[test]
fn faults_repeat_from_the_seed() {
    let statuses = |seed| {
        let kinds = [FaultKind::BadGateway, FaultKind::ServerError, FaultKind::Throttle];
        let faults = Faults::rate(0.5).only(&kinds);
        let simulator = never_ending().faults(faults).seed(seed).start().unwrap();
        let mut client = Client::new(&simulator);
        (0..64).map(|_| client.get("/status/x").status).collect::<Vec<_>>()
    };
    let first = statuses(1);
    assert_eq!(first, statuses(1));
    assert_ne!(first, statuses(2));
    for status in [200, 429, 500, 502] {
        assert!(first.contains(&status), "{status}");
    }
}

#[test]
fn a_fault_is_not_kept_in_the_cache() {
    let kinds = [FaultKind::ServerError];
    let simulator =
        never_ending().faults(Faults::rate(0.5).only(&kinds)).cache(Duration::from_secs(3600)).start().unwrap();
    let mut client = Client::new(&simulator);
    for _ in 0..32 {
        client.get("/status/x");
    }
    let ledger = simulator.ledger();
    assert!(ledger.requests.iter().any(|entry| entry.fault.is_some()));
    let honest: Vec<_> = ledger.requests.iter().filter(|entry| entry.fault.is_none()).collect();
    let fresh = honest.iter().filter(|entry| !entry.cached).count();
    assert_eq!(fresh, 1);
    assert!(honest.len() > 1 && honest.iter().all(|entry| entry.status == Some(200)));
}

#[test]
fn specifications_are_read_and_refused() {
    let faults: Faults = "0.25:throttle, reset".parse().unwrap();
    assert_eq!(faults.to_string(), "0.25:throttle,reset");
    assert_eq!(faults.kinds(), [FaultKind::Throttle, FaultKind::Reset]);
    assert_eq!("1".parse::<Faults>().unwrap(), Faults::rate(1.0));
    for kind in FaultKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(*kind));
    }
    for bad in ["", "x", "-0.1", "1.5", "NaN", "inf", ":reset"] {
        let error = bad.parse::<Faults>().unwrap_err();
        assert!(matches!(error, FaultsError::BadRate(_)), "{bad}");
        assert!(error.to_string().contains("from 0 to 1"));
    }
    let error = "0.1:reset,explode".parse::<Faults>().unwrap_err().to_string();
    assert!(error.contains("'explode'") && error.contains("bad-gateway, "), "{error}");
}

#[test]
fn a_rate_is_a_probability() {
    for (rate, probability) in [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)] {
        assert!((Faults::rate(rate).probability() - probability).abs() < 1e-9, "{rate}");
    }
}
