//! Keys and the maximum of unfinished jobs, which every API has.

use jobwatch_simulator::{Api, Simulator};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::wire::{ended_at_once, never_ending};

const LANGUAGE: &str = r#"{"output_languages":["x"]}"#;

/// Where an API creates jobs, reads one, and finds nothing.
fn paths(api: Api) -> (&'static str, &'static str) {
    match api {
        Api::Tracker => ("/create_job", "/status/x"),
        Api::HeygenV3 => ("/v3/video-translations", "/v3/video-translations/x"),
        Api::Rfc9110 => ("/jobs", "/jobs/x"),
        Api::Azure => ("/operations", "/operations/x?api-version=1"),
        _ => panic!("an API without paths: {api}"),
    }
}

fn create(client: &mut Client, api: Api, headers: &[(&str, &str)]) -> Answer {
    client.ask_with("POST", paths(api).0, headers, LANGUAGE)
}

#[test]
fn a_key_is_asked_for_and_can_be_changed() {
    for api in Api::ALL {
        let simulator = never_ending().api(*api).api_key("first").start().unwrap();
        let mut client = Client::new(&simulator);
        let (_, one) = paths(*api);
        for headers in [
            &[][..],
            &[("X-Api-Key", "second")],
            &[("Authorization", "first")],
            &[("Authorization", "Basic first")],
            &[("Authorization", "Bearer second")],
        ] {
            for answer in [
                create(&mut client, *api, headers),
                client.ask_with("GET", one, headers, ""),
                client.ask_with("GET", "/nothing", headers, ""),
            ] {
                assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("unauthorized")));
            }
        }
        assert_eq!(simulator.ledger().jobs_created, 0);
        for headers in [[("X-Api-Key", "first")], [("Authorization", "bearer first")]] {
            assert!(create(&mut client, *api, &headers).status < 300);
            assert_ne!(client.ask_with("GET", one, &headers, "").status, 401);
        }
        assert_eq!((client.get("/_health").status, client.get("/_ledger").status), (200, 200));

        simulator.set_api_key("second");
        assert_eq!(create(&mut client, *api, &[("X-Api-Key", "first")]).status, 401);
        assert!(create(&mut client, *api, &[("X-Api-Key", "second")]).status < 300);
        simulator.set_api_key("");
        assert!(create(&mut client, *api, &[]).status < 300);
    }
}

#[test]
fn a_refused_look_counts_but_does_not_move_the_faults() {
    let simulator = never_ending().api_key("k").start().unwrap();
    let mut client = Client::new(&simulator);
    create(&mut client, Api::Tracker, &[("X-Api-Key", "k")]);
    let id = simulator.ledger().jobs[0].id.clone();
    client.get(&format!("/status/{id}"));
    let ledger = simulator.ledger();
    assert_eq!((ledger.jobs[0].requests, ledger.requests[1].status), (1, Some(401)));
    assert_eq!(ledger.requests[1].job_id, Some(id));
}

#[test]
fn a_key_does_not_show() {
    let builder = Simulator::builder().api_key("sesame");
    let shown = format!("{builder:?}{:?}", builder.clone().start().unwrap());
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn creates_beyond_the_maximum_are_throttled() {
    for api in Api::ALL {
        let simulator = never_ending().api(*api).max_active(2).start().unwrap();
        let mut client = Client::new(&simulator);
        for _ in 0..2 {
            assert!(create(&mut client, *api, &[]).status < 300);
        }
        let refused = create(&mut client, *api, &[]);
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
        assert_eq!(refused.header("retry-after"), Some("1"));
        let ledger = simulator.ledger();
        assert_eq!((ledger.jobs_created, ledger.requests[2].status), (2, Some(429)));
        let entry = &ledger.requests[2];
        assert_eq!(entry.throttled_until_ns, Some(entry.at_ns + 1_000_000_000));
    }
}

#[test]
fn the_maximum_asks_to_wait_in_scaled_time() {
    let simulator = never_ending().max_active(0).speed(100.0).start().unwrap();
    let refused = create(&mut Client::new(&simulator), Api::Tracker, &[]);
    assert_eq!((refused.header("retry-after"), refused.header("retry-after-ms")), (None, Some("10")));
}

#[test]
fn ended_and_cancelled_jobs_leave_room() {
    let simulator = ended_at_once().max_active(1).start().unwrap();
    let mut client = Client::new(&simulator);
    for _ in 0..5 {
        client.create();
    }

    let simulator = never_ending().api(Api::Rfc9110).max_active(1).start().unwrap();
    let mut client = Client::new(&simulator);
    let first = create(&mut client, Api::Rfc9110, &[]);
    assert_eq!(create(&mut client, Api::Rfc9110, &[]).status, 429);
    client.ask("DELETE", first.header("location").unwrap()).unwrap();
    assert_eq!(create(&mut client, Api::Rfc9110, &[]).status, 202);
}

#[test]
fn a_create_for_many_is_all_or_nothing_and_its_replay_needs_no_room() {
    let simulator = never_ending().api(Api::HeygenV3).max_active(2).start().unwrap();
    let mut client = Client::new(&simulator);
    let key = [("Idempotency-Key", "k")];
    assert_eq!(create(&mut client, Api::HeygenV3, &key).status, 200);
    let two = r#"{"output_languages":["x","y"]}"#;
    assert_eq!(client.ask_with("POST", "/v3/video-translations", &[], two).status, 429);
    assert_eq!(simulator.ledger().jobs_created, 1);
    assert_eq!(create(&mut client, Api::HeygenV3, &[]).status, 200);
    assert_eq!(create(&mut client, Api::HeygenV3, &[]).status, 429);
    assert_eq!(create(&mut client, Api::HeygenV3, &key).status, 200);
    assert_eq!(simulator.ledger().jobs_created, 2);
}
