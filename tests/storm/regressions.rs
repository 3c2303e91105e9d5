//! What storms have found, told as stories.

use std::sync::Arc;

use jobwatch::{Backend, Fleet, FleetAction, Submit, SubmitAction, Timestamp, Watch, WatchAction};

use crate::http_support::{BASE, KILN, START, at, dialect, every_second, job, millis, response, rng, secs};

const EXHAUSTED: (&str, &str) = ("ratelimit", "\"day\";r=0;t=7");

fn fleet(backend: Backend) -> Fleet {
    let policy = every_second().with_total_timeout(secs(60)).build().unwrap();
    Fleet::new(Arc::new(backend), Arc::new(policy), &mut rng(3))
}

fn kiln_with_results() -> Backend {
    let text = KILN.replace("[result]\n", "[result]\n    path = \"/firings/{id}/vase\"\n");
    Backend::new(dialect(&text), Some(BASE)).unwrap()
}

fn sent(fleet: &mut Fleet, now: Timestamp) -> Option<jobwatch::RequestId> {
    match fleet.poll(now) {
        FleetAction::Send { id, .. } => Some(id),
        _ => None,
    }
}

/// A timer cannot tell the last two instants apart: at the one before the last it was due, and its job was not.
#[test]
fn regression_the_last_instants_of_time_are_one() {
    for nanos in [u64::MAX - 2, u64::MAX - 1, u64::MAX] {
        let (mut fleet, mut now) = (fleet(kiln_with_results()), Timestamp::from_nanos(nanos));
        fleet.insert(job("late"), now);
        for _ in 0..100 {
            match fleet.poll(now) {
                FleetAction::Send { .. } => {}
                FleetAction::Sleep { until } => now = now.max(until),
                FleetAction::Idle => break,
                FleetAction::Renew => panic!("nobody can renew"),
            }
        }
        assert!(fleet.is_empty() && fleet.next_event().is_some(), "{nanos}");
    }
}

/// The success that leads to a result, the result itself, a redirect, and a redirect that nobody waits for any more.
#[test]
fn regression_an_exhausted_quota_is_heard_beside_any_answer() {
    let (fired, vase) = (r#"{"state":"fired"}"#, r#"{"vase":1}"#);
    let redirect = || response(302, &[EXHAUSTED, ("location", "/v1/elsewhere")], "");
    for story in ["success", "result", "redirect", "overheard"] {
        let mut fleet = fleet(kiln_with_results());
        let first = fleet.insert(job("first"), START);
        let id = sent(&mut fleet, START).unwrap();
        fleet.insert(job("second"), at(millis(10)));
        match story {
            "success" => fleet.handle_response(at(millis(10)), id, &response(200, &[EXHAUSTED], fired)),
            "result" => {
                fleet.handle_response(at(millis(10)), id, &response(200, &[], fired));
                let id = sent(&mut fleet, at(millis(10))).unwrap();
                assert!(id.job() == first);
                fleet.handle_response(at(millis(10)), id, &response(200, &[EXHAUSTED], vase));
            }
            "redirect" => fleet.handle_response(at(millis(10)), id, &redirect()),
            _ => {
                fleet.stop(first, at(millis(10)));
                fleet.handle_response(at(millis(10)), id, &redirect());
            }
        }
        for ms in (10..7_010).step_by(100) {
            assert!(sent(&mut fleet, at(millis(ms))).is_none(), "{story}: sent after {ms} ms");
        }
        assert!(sent(&mut fleet, at(secs(9))).is_some(), "{story}");
    }
}

/// The job is as old as the first create that may have made it, not as the answer that tells of it.
#[test]
fn regression_a_job_may_have_ended_before_its_create_was_answered() {
    let text = KILN.replace("[create]\n", "[create]\n    idempotency_header = \"idempotency-key\"\n");
    let backend =
        Backend::new(dialect(&text.replace("[poll]", "[job]\n    id = \"/id\"\n    [poll]")), Some(BASE)).unwrap();
    let policy = every_second().with_attempt_timeout(secs(5)).build().unwrap();
    let mut submit = Submit::new(&backend, policy.clone(), Vec::new(), START, &mut rng(3));
    // Refused: nothing was created yet.
    let SubmitAction::Send { id, .. } = submit.poll(START) else { panic!() };
    submit.handle_response(at(secs(1)), id, &response(429, &[("retry-after", "9")], ""));
    let SubmitAction::Sleep { until } = submit.poll(at(secs(1))) else { panic!() };
    // The answer is lost, and the next one tells of a job that has ended already.
    let SubmitAction::Send { .. } = submit.poll(until) else { panic!() };
    let SubmitAction::Sleep { until: again } = submit.poll(until.saturating_add(secs(5))) else { panic!() };
    let SubmitAction::Send { id, .. } = submit.poll(again) else { panic!() };
    submit.handle_response(again, id, &response(200, &[], r#"{"id":"quick"}"#));
    let SubmitAction::Created(jobs) = submit.poll(again) else { panic!() };

    let mut watch = Watch::new(&backend, policy, jobs[0].clone(), again, &mut rng(4));
    let WatchAction::Send { id, .. } = watch.poll(again) else { panic!() };
    watch.handle_response(again, id, &response(200, &[], r#"{"state":"cracked"}"#));
    let WatchAction::Finished(finished) = watch.poll(again) else { panic!() };
    assert_eq!(finished.detection_delay_max, Some(again.saturating_since(until)));
}
