//! What storms have found, told as stories.

use std::sync::Arc;

use jobwatch::{
    Backend, Fleet, FleetAction, FleetEvent, LookError, Outcome, Submit, SubmitAction, Timestamp, TransportError,
    Watch, WatchAction,
};

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

const LISTS: &str = "[bulk]\n    path = \"/firings?ids={ids}\"\n    max = 10\n    items = \"/firings\"\n    id = \"/id\"\n    \
    next = \"/next\"\n    next_parameter = \"page\"\n    [bulk.state]\n    pointer = \"/state\"\n    \
    succeeded = [\"fired\"]\n    [result]\n";

/// A list under way when another request is refused for good: whatever comes of it, nothing else is sent with that key.
#[test]
fn regression_a_list_under_way_was_asked_for_again_with_a_refused_key() {
    let backend = || Backend::new(dialect(&KILN.replace("[result]\n", LISTS)), Some(BASE)).unwrap();
    let too_large = TransportError::new(LookError::TooLarge, "the wire");
    for story in ["too large", "too many", "one is to blame", "a page", "refused, too", "not there", "broken"] {
        for renewable in [false, true] {
            let mut fleet = fleet(backend());
            fleet = if renewable { fleet.with_renewal() } else { fleet };
            // Its own address keeps it out of lists.
            let alone = fleet.insert(job("https://api.example.com/v1/firings/alone"), START);
            for id in ["a", "b", "c", "d"] {
                fleet.insert(job(id), START);
            }
            let (first, second) = (sent(&mut fleet, START).unwrap(), sent(&mut fleet, START).unwrap());
            let (list, alone) = if first.job() == alone { (second, first) } else { (first, second) };
            assert_eq!((fleet.asked_for(list), fleet.asked_for(alone)), (4, 1));
            fleet.handle_response(at(millis(10)), alone, &response(401, &[], ""));
            if renewable {
                assert!(matches!(fleet.poll(at(millis(10))), FleetAction::Renew));
                fleet.renewed(at(millis(10)), Err("nobody has another".to_owned()));
            }
            assert_eq!(fleet.len(), 4, "the list may still tell ends");
            let page = r#"{"firings":[{"id":"a","state":"fired"}],"next":"2"}"#;
            match story {
                "too large" => fleet.handle_error(at(millis(20)), list, &too_large),
                "too many" => fleet.handle_response(at(millis(20)), list, &response(414, &[], "")),
                "one is to blame" => fleet.handle_response(at(millis(20)), list, &response(400, &[], "")),
                "a page" => fleet.handle_response(at(millis(20)), list, &response(200, &[], page)),
                "refused, too" => fleet.handle_response(at(millis(20)), list, &response(401, &[], "")),
                "not there" => fleet.handle_response(at(millis(20)), list, &response(404, &[], "")),
                _ => fleet.handle_response(at(millis(20)), list, &response(503, &[], "")),
            }
            assert!(matches!(fleet.poll(at(millis(20))), FleetAction::Idle), "{story}");
            let ends = core::iter::from_fn(|| fleet.next_event()).filter_map(|event| match event {
                FleetEvent::Finished { finished, .. } => Some(finished.outcome),
                _ => None,
            });
            let ends: Vec<_> = ends.collect();
            let rejected = ends.iter().filter(|outcome| **outcome == Outcome::Rejected).count();
            assert_eq!((ends.len(), rejected), (5, if story == "a page" { 4 } else { 5 }), "{story}");
        }
    }
}

/// A driver that comes late hands in the answer after the time of its look, and polls after that: the end cannot have been
/// known before it was told.
#[test]
fn regression_an_end_told_after_the_time_of_its_look_was_dated_before_it() {
    let policy = every_second().with_attempt_timeout(secs(5)).with_total_timeout(secs(30)).with_max_polls(1);
    let mut fleet = Fleet::new(Arc::new(kiln_with_results()), Arc::new(policy.build().unwrap()), &mut rng(3));
    fleet.insert(job("late"), START);
    let id = sent(&mut fleet, START).unwrap();
    fleet.handle_response(at(secs(9)), id, &response(200, &[], r#"{"state":"fired"}"#));
    assert!(
        matches!(fleet.poll(at(secs(10))), FleetAction::Idle),
        "nobody asks for a result after the time of the look"
    );
    let told = core::iter::from_fn(|| fleet.next_event()).find_map(|event| match event {
        FleetEvent::Finished { finished, .. } => Some(finished),
        _ => None,
    });
    let finished = told.unwrap();
    assert_eq!((finished.outcome, finished.elapsed), (Outcome::Succeeded, secs(9)));
    assert_eq!(finished.detection_delay_max, None, "nobody has seen it unfinished");

    let created = job("late").with_created_at(START);
    fleet.insert(created, at(secs(20)));
    let id = (20..30).find_map(|second| sent(&mut fleet, at(secs(second)))).unwrap();
    fleet.handle_response(at(secs(40)), id, &response(200, &[], r#"{"state":"fired"}"#));
    assert!(matches!(fleet.poll(at(secs(41))), FleetAction::Idle));
    let told = core::iter::from_fn(|| fleet.next_event()).find_map(|event| match event {
        FleetEvent::Finished { finished, .. } => Some(finished),
        _ => None,
    });
    assert_eq!(told.unwrap().detection_delay_max, Some(secs(40)), "it may have ended when it was created");
}

/// The clock is set back while a look is under way: what it is redirected to has what is left of its time, and no more.
#[test]
fn regression_a_redirect_had_the_time_by_which_the_clock_was_set_back() {
    let policy = every_second().with_attempt_timeout(secs(5)).build().unwrap();
    let mut watch = Watch::new(kiln_with_results(), policy, job("late"), START, &mut rng(3));
    let WatchAction::Send { id, timeout, .. } = watch.poll(START) else { panic!() };
    assert_eq!(timeout, secs(5));
    watch.wake(at(secs(2)));
    let back = START.saturating_sub(secs(1_000));
    watch.handle_response(back, id, &response(302, &[("location", "/v1/elsewhere")], ""));
    let WatchAction::Send { timeout, .. } = watch.poll(back) else { panic!() };
    assert_eq!(timeout, secs(3));
}
