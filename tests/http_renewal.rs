//! Credentials that the backend refuses: renewed once for all jobs of a fleet, or the end of all waits.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

#[path = "renewal/histories.rs"]
mod histories;
#[path = "renewal/sessions.rs"]
mod sessions;

use core::time::Duration;
use std::sync::Arc;

use http::{Request, Response};
use http_support::{BASE, START, at, dialect, every_second, job, response, rng, secs};
use jobwatch::{
    Backend, EndReason, Finished, Fleet, FleetAction, FleetEvent, LookError, Outcome, PolicyBuilder, RequestId,
    Timestamp, Watch, WatchAction,
};

const TEXT: &str = r#"
name = "locked"
poll.path = "/jobs/{id}"
state.pointer = "/state"
state.running = ["working"]
state.succeeded = ["done"]
state.failed = ["broken"]
error.pointer = "/error"
result.follow = "/at"
"#;

/// A backend with the key of this number.
fn locked(key: u32) -> Backend {
    let backend = Backend::new(dialect(TEXT), Some(BASE)).unwrap();
    backend.with_header("x-api-key", &format!("key-{key}")).unwrap().with_header("x-tenant", "t").unwrap()
}

fn key_of(request: &Request<Vec<u8>>) -> u32 {
    assert_eq!(request.headers()["x-tenant"], "t");
    assert_eq!(request.headers().get_all("x-api-key").iter().count(), 1);
    request.headers()["x-api-key"].to_str().unwrap().strip_prefix("key-").unwrap().parse().unwrap()
}

fn renewable(policy: PolicyBuilder, jobs: usize) -> Fleet {
    let mut fleet = without_provider(policy, jobs).with_renewal();
    fleet.set_max_in_flight(jobs);
    fleet
}

fn without_provider(policy: PolicyBuilder, jobs: usize) -> Fleet {
    let mut fleet = Fleet::new(Arc::new(locked(0)), Arc::new(policy.build().unwrap()), &mut rng(1));
    for number in 0..jobs {
        fleet.insert(job(&format!("{number}")), START);
    }
    fleet
}

fn unauthorised() -> Response<Vec<u8>> {
    response(401, &[], r#"{"error":"expired key"}"#)
}

fn state(word: &str) -> Response<Vec<u8>> {
    response(200, &[], format!(r#"{{"state":"{word}"}}"#))
}

type Sent = (RequestId, Request<Vec<u8>>);

/// Everything that is to be sent at this instant, and what comes after it.
fn sends(fleet: &mut Fleet, now: Timestamp) -> (Vec<Sent>, FleetAction) {
    let mut sent = Vec::new();
    loop {
        match fleet.poll(now) {
            FleetAction::Send { id, request, .. } => sent.push((id, request)),
            action => return (sent, action),
        }
    }
}

fn finished(fleet: &mut Fleet) -> Vec<Finished> {
    let events = core::iter::from_fn(|| fleet.next_event());
    events
        .filter_map(|event| if let FleetEvent::Finished { finished, .. } = event { Some(*finished) } else { None })
        .collect()
}

fn new_key(fleet: &mut Fleet, now: Timestamp, key: u32) {
    let backend = fleet.backend().renewed([("X-Api-Key", format!("key-{key}"))]).unwrap();
    fleet.renewed(now, Ok(Arc::new(backend)));
}

mod stories {
    use super::*;

    #[test]
    fn a_refused_request_is_repeated_with_the_new_credentials_within_its_look() {
        let mut fleet = renewable(every_second(), 1);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        new_key(&mut fleet, at(secs(2)), 1);
        let FleetAction::Send { id, request, timeout } = fleet.poll(at(secs(2))) else { panic!("at once") };
        assert_eq!((key_of(&request), request.uri().path(), timeout), (1, "/v1/jobs/0", secs(18)));
        fleet.handle_response(at(secs(3)), id, &state("done"));
        let done = &finished(&mut fleet)[0];
        assert_eq!((done.outcome, done.requests, done.failed_requests), (Outcome::Succeeded, 2, 1));
        assert_eq!((fleet.stats().requests, fleet.stats().failed_requests), (2, 1));
        assert!(matches!(fleet.poll(at(secs(3))), FleetAction::Idle));
    }

    #[test]
    fn all_that_were_refused_cost_one_renewal() {
        let mut fleet = renewable(every_second(), 5);
        let (sent, _) = sends(&mut fleet, START);
        assert_eq!(sent.len(), 5);
        for (id, _) in &sent[..3] {
            fleet.handle_response(START, *id, &unauthorised());
        }
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        // Refused while it is under way, and after it with the old ones: no reason for another.
        fleet.handle_response(START, sent[3].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Sleep { .. }));
        new_key(&mut fleet, START, 1);
        fleet.handle_response(START, sent[4].0, &unauthorised());
        let (again, action) = sends(&mut fleet, START);
        assert!(matches!(action, FleetAction::Sleep { .. }), "{action:?}");
        assert_eq!(again.iter().map(|(_, request)| key_of(request)).collect::<Vec<_>>(), [1; 5]);
        for (id, _) in again {
            fleet.handle_response(START, id, &state("done"));
        }
        assert!(finished(&mut fleet).iter().all(|job| (job.outcome, job.requests) == (Outcome::Succeeded, 2)));
        assert_eq!(fleet.len(), 0);
    }

    #[test]
    fn credentials_that_were_accepted_can_be_renewed_again() {
        let mut fleet = renewable(every_second(), 1);
        let mut clock = START;
        for key in 1..20 {
            let (sent, _) = sends(&mut fleet, clock);
            fleet.handle_response(clock, sent[0].0, &unauthorised());
            assert!(matches!(fleet.poll(clock), FleetAction::Renew), "{key}");
            new_key(&mut fleet, clock, key);
            let (sent, _) = sends(&mut fleet, clock);
            assert_eq!(key_of(&sent[0].1), key);
            fleet.handle_response(clock, sent[0].0, &state("working"));
            clock = clock.saturating_add(secs(2));
        }
        assert!(finished(&mut fleet).is_empty());
    }

    #[test]
    fn new_credentials_that_are_refused_too_end_all_waits() {
        let mut fleet = renewable(every_second(), 3);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        new_key(&mut fleet, START, 1);
        let (again, _) = sends(&mut fleet, START);
        fleet.handle_response(START, again[0].0, &unauthorised());
        // What was sent with the old ones may still tell an end.
        fleet.handle_response(START, sent[1].0, &state("done"));
        fleet.handle_response(START, sent[2].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Idle));
        let outcomes: Vec<_> = finished(&mut fleet).iter().map(|job| (job.job.to_string(), job.outcome)).collect();
        assert_eq!(
            outcomes,
            [("0".into(), Outcome::Rejected), ("1".into(), Outcome::Succeeded), ("2".into(), Outcome::Rejected)]
        );
        fleet.insert(job("late"), START);
        assert!(matches!(fleet.poll(START), FleetAction::Idle));
        assert_eq!(finished(&mut fleet)[0].outcome, Outcome::Rejected);
    }

    #[test]
    fn a_renewal_that_fails_ends_all_waits_in_its_words() {
        let mut fleet = renewable(every_second(), 2);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &state("working"));
        fleet.handle_response(START, sent[1].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        fleet.renewed(START, Err("the vault is shut".to_owned()));
        let ends = finished(&mut fleet);
        assert_eq!(ends.len(), 2);
        for end in ends {
            assert_eq!(
                (end.outcome, end.reason, end.last_error),
                (Outcome::Rejected, EndReason::Refused, Some(LookError::Status(401)))
            );
            assert!(end.error.unwrap().contains("not renewed: the vault is shut"));
        }
        assert!(matches!(fleet.poll(START), FleetAction::Idle));
    }

    #[test]
    fn regression_a_renewal_that_failed_is_not_asked_for_again() {
        let mut fleet = renewable(every_second(), 2);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        fleet.renewed(START, Err("the vault is shut".to_owned()));
        fleet.handle_response(START, sent[1].0, &unauthorised());
        assert_eq!(finished(&mut fleet).len(), 2);
        let action = fleet.poll(START);
        assert!(matches!(action, FleetAction::Idle), "{action:?}");
    }

    /// An answer to a request with the old credentials says nothing about the new ones.
    #[test]
    fn regression_an_old_good_answer_does_not_prove_new_credentials() {
        let mut fleet = renewable(every_second(), 2);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        new_key(&mut fleet, START, 1);
        let (again, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[1].0, &state("working"));
        fleet.handle_response(START, again[0].0, &unauthorised());
        let action = fleet.poll(START);
        assert!(!matches!(action, FleetAction::Renew), "the same key would be asked for again");
    }

    #[test]
    fn without_a_provider_nothing_more_is_sent() {
        let mut fleet = without_provider(every_second(), 20);
        fleet.set_max_in_flight(3);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert_eq!(finished(&mut fleet).len(), 18);
        assert_eq!(fleet.len(), 2);
        // Under way still: an end that is told counts, and nothing is asked again, followed or fetched.
        fleet.handle_response(START, sent[1].0, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        fleet.handle_response(START, sent[2].0, &response(302, &[("location", "/v1/x")], ""));
        let ends = finished(&mut fleet);
        assert_eq!(ends.iter().map(|end| end.outcome).collect::<Vec<_>>(), [Outcome::Succeeded, Outcome::Rejected]);
        assert!(ends[0].result.is_none() && ends[0].error.as_ref().unwrap().starts_with("the result was not had"));
        assert!(matches!(fleet.poll(START), FleetAction::Idle));
        assert_eq!(fleet.stats().requests, 3);
    }

    #[test]
    fn a_redirect_and_a_result_are_repeated_where_they_were_refused() {
        let mut fleet = renewable(every_second(), 1);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &response(302, &[("location", "/v1/there")], ""));
        let (hop, _) = sends(&mut fleet, START);
        fleet.handle_response(START, hop[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        new_key(&mut fleet, START, 1);
        let (hop, _) = sends(&mut fleet, START);
        assert_eq!((key_of(&hop[0].1), hop[0].1.uri().path()), (1, "/v1/there"));
        fleet.handle_response(START, hop[0].0, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        let (fetch, _) = sends(&mut fleet, START);
        fleet.handle_response(START, fetch[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        new_key(&mut fleet, START, 2);
        let (fetch, _) = sends(&mut fleet, START);
        assert_eq!((key_of(&fetch[0].1), fetch[0].1.uri().path()), (2, "/v1/r"));
        fleet.handle_response(START, fetch[0].0, &response(200, &[], "[7]"));
        let end = &finished(&mut fleet)[0];
        assert_eq!(
            (end.outcome, end.result.clone(), end.error.clone()),
            (Outcome::Succeeded, Some(serde_json::json!([7])), None)
        );
        assert_eq!((end.requests, end.failed_requests), (5, 2));
    }

    /// The looks are answered well all the while, which proves nothing for the results.
    #[test]
    fn a_result_that_no_credentials_open_is_no_reason_to_renew_for_each_job() {
        for in_flight in [1, 2, 6] {
            let mut fleet = renewable(every_second(), 6);
            fleet.set_max_in_flight(in_flight);
            let (mut key, mut under_way) = (0, Vec::new());
            loop {
                match fleet.poll(START) {
                    FleetAction::Send { id, request, .. } => under_way.push((id, request)),
                    FleetAction::Renew => {
                        key += 1;
                        new_key(&mut fleet, START, key);
                    }
                    FleetAction::Idle => break,
                    FleetAction::Sleep { .. } => {
                        let (id, request) = under_way.remove(0);
                        let answer = match request.uri().path() {
                            "/v1/r" => unauthorised(),
                            _ => response(200, &[], r#"{"state":"done","at":"/v1/r"}"#),
                        };
                        fleet.handle_response(START, id, &answer);
                    }
                }
            }
            assert_eq!(key, 1, "{in_flight} at once");
            let ends = finished(&mut fleet);
            assert_eq!(ends.len(), 6);
            let failed: u64 = ends.iter().map(|end| u64::from(end.failed_requests)).sum();
            assert_eq!(failed, fleet.stats().failed_requests);
            for end in ends {
                assert_eq!((end.outcome, &end.result), (Outcome::Succeeded, &None));
                assert!(end.error.unwrap().starts_with("the result was not had: HTTP status 401"));
                assert!(end.failed_requests >= 1);
            }
        }
    }

    /// What they do not open says nothing of the looks, whose refusal is a reason to renew them.
    #[test]
    fn a_refused_look_is_renewed_for_after_a_refused_result() {
        let mut fleet = renewable(every_second(), 2);
        let answer = |fleet: &mut Fleet, now, answers: &[&dyn Fn() -> Response<Vec<u8>>]| {
            let (sent, _) = sends(fleet, now);
            assert_eq!(sent.len(), answers.len());
            for ((id, _), answer) in sent.into_iter().zip(answers) {
                fleet.handle_response(now, id, &answer());
            }
        };
        let done = || response(200, &[], r#"{"state":"done","at":"/v1/r"}"#);
        let working = || state("working");
        answer(&mut fleet, START, &[&done, &working]);
        answer(&mut fleet, START, &[&unauthorised]);
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        new_key(&mut fleet, START, 1);
        answer(&mut fleet, START, &[&unauthorised]);
        assert_eq!(finished(&mut fleet).len(), 1);
        let later = at(secs(2));
        answer(&mut fleet, later, &[&working]);
        answer(&mut fleet, at(secs(4)), &[&unauthorised]);
        assert!(matches!(fleet.poll(at(secs(4))), FleetAction::Renew));
    }

    #[test]
    fn new_jobs_wait_for_the_renewal() {
        let mut fleet = renewable(every_second(), 1);
        fleet.set_max_in_flight(9);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        fleet.insert(job("new"), START);
        assert!(matches!(fleet.poll(at(secs(1))), FleetAction::Sleep { .. }));
        new_key(&mut fleet, at(secs(2)), 1);
        let (sent, _) = sends(&mut fleet, at(secs(2)));
        assert_eq!(sent.iter().map(|(_, request)| key_of(request)).collect::<Vec<_>>(), [1, 1]);
    }
}

mod time {
    use super::*;

    #[test]
    fn a_renewal_that_outlasts_the_look_costs_a_failure_and_no_job() {
        let mut fleet = renewable(every_second(), 1);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        let mut clock = START;
        while clock < at(secs(100)) {
            let FleetAction::Sleep { until } = fleet.poll(clock) else { panic!("nothing is sent") };
            clock = until.max(clock.saturating_add(secs(10)));
        }
        new_key(&mut fleet, clock, 1);
        let (sent, _) = sends(&mut fleet, clock);
        assert_eq!(key_of(&sent[0].1), 1);
        fleet.handle_response(clock, sent[0].0, &state("done"));
        assert_eq!(finished(&mut fleet)[0].outcome, Outcome::Succeeded);
    }

    #[test]
    fn the_deadline_passes_while_nobody_has_the_key() {
        let mut fleet = renewable(every_second().with_total_timeout(secs(30)), 2);
        fleet.set_max_in_flight(1);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        let mut clock = START;
        loop {
            match fleet.poll(clock) {
                FleetAction::Sleep { until } => clock = until,
                FleetAction::Idle => break,
                action => panic!("{action:?}"),
            }
        }
        assert!(clock <= at(secs(30 + 5 + 20)), "{clock}");
        assert!(finished(&mut fleet).iter().all(|end| end.outcome == Outcome::TimedOut));
        // The news comes late and harms nobody.
        new_key(&mut fleet, clock, 1);
        assert!(matches!(fleet.poll(clock), FleetAction::Idle));
        fleet.insert(job("new"), clock);
        let (sent, _) = sends(&mut fleet, clock);
        assert_eq!(key_of(&sent[0].1), 1);
    }

    #[test]
    fn stopping_does_not_wait_for_it() {
        let mut fleet = renewable(every_second(), 1);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        assert!(fleet.stop(sent[0].0.job(), START));
        assert_eq!(finished(&mut fleet)[0].outcome, Outcome::Stopped);
        new_key(&mut fleet, START, 1);
        assert!(matches!(fleet.poll(START), FleetAction::Idle));
    }

    #[test]
    fn a_snapshot_while_it_is_under_way_asks_anew() {
        let mut fleet = renewable(every_second(), 1);
        let (sent, _) = sends(&mut fleet, START);
        fleet.handle_response(START, sent[0].0, &unauthorised());
        assert!(matches!(fleet.poll(START), FleetAction::Renew));
        let snapshot = fleet.snapshot(sent[0].0.job()).unwrap();
        let mut later = Fleet::new(Arc::new(locked(7)), Arc::new(every_second().build().unwrap()), &mut rng(2));
        later.resume(snapshot, at(secs(5))).unwrap();
        let (sent, _) = sends(&mut later, at(secs(5)));
        assert_eq!(key_of(&sent[0].1), 7);
    }

    #[test]
    fn a_watch_is_rejected_and_goes_on_with_another_backend() {
        let (old, new) = (locked(0), locked(1));
        let policy = every_second().build().unwrap();
        let mut watch = Watch::new(&old, policy.clone(), job("a"), START, &mut rng(1));
        let WatchAction::Send { .. } = watch.poll(START) else { panic!() };
        let snapshot = watch.snapshot().unwrap();
        let mut watch = Watch::resume(&new, policy, snapshot, at(secs(3))).unwrap();
        let WatchAction::Send { id, request, .. } = watch.poll(at(secs(3))) else { panic!() };
        assert_eq!(key_of(&request), 1);
        watch.handle_response(at(secs(3)), id, &unauthorised());
        let WatchAction::Finished(end) = watch.poll(at(secs(3))) else { panic!("it cannot renew") };
        assert_eq!((end.outcome, end.error.unwrap().contains("expired key")), (Outcome::Rejected, true));
    }
}

#[test]
fn renewed_headers_replace_those_of_the_same_names_and_are_printed_nowhere() {
    let old = locked(0);
    let new = old.renewed([("x-api-KEY", "hush")]).unwrap();
    let printed = format!("{new:?} {old:?}");
    assert!(!printed.contains("hush") && !printed.contains("key-0"), "{printed}");
    let error = old.renewed([("x-api-key", "hu\nsh")]).unwrap_err();
    assert!(!error.to_string().contains("sh\""), "{error}");
    let mut watch = Watch::new(&new, every_second().build().unwrap(), job("a"), START, &mut rng(1));
    let WatchAction::Send { request, timeout, .. } = watch.poll(START) else { panic!() };
    assert_eq!((&request.headers()["x-api-key"], timeout), (&"hush".parse().unwrap(), Duration::from_secs(20)));
    assert!(request.headers()["x-api-key"].is_sensitive());
}
