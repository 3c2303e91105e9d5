//! An end that a list tells, and the request for what the list does not tell.

use core::time::Duration;

use jobwatch::{EndReason, LookError, Outcome};

use crate::fleet_support::World;
use crate::http_support::{Reply, at, millis, secs};
use crate::oven::{BURNT, Oven, answer, backend, backend_without_details, patient, world};

#[test]
fn a_detail_brings_the_result_or_the_error() {
    let oven = Oven { words: vec!["baked", BURNT] };
    let mut world = world(0);
    let handles = world.insert(10);
    world.run(&mut |sent| oven.serve(sent, secs(5)));
    for (n, handle) in handles.iter().enumerate() {
        let done = &world.finished[handle];
        let (result, error) = match n % 2 {
            0 => (Some(format!("cake of job-{n}").into()), None),
            _ => (None, Some(format!("job-{n} was burnt"))),
        };
        assert_eq!((&done.result, &done.error, done.reason), (&result, &error, EndReason::Told));
        assert_eq!(world.alone(done.job.id()).count(), 1);
    }
}

#[test]
fn where_the_list_tells_all_there_is_no_detail() {
    let oven = Oven::default();
    let mut world = World::new(backend_without_details(), patient());
    world.insert(10);
    world.run(&mut |sent| {
        assert!(sent.bulk);
        oven.serve(sent, secs(5))
    });
    assert_eq!(world.ended(Outcome::Succeeded), 10);
    assert!(world.finished.values().all(|done| done.result.is_none() && done.error.is_none()));
}

/// The detail does not know the job, cannot be had, says something else: the end that was told stands.
#[test]
fn an_end_that_was_told_stands_whatever_the_detail_says() {
    let details = [
        (answer(404, &[], ""), Some(LookError::Status(404))),
        (answer(503, &[], ""), Some(LookError::Status(503))),
        (answer(200, &[], "<html>"), Some(LookError::Malformed)),
        (answer(200, &[], r#"{"state":"baking"}"#), None),
        (answer(200, &[], r#"{"state":"baked"}"#), None),
        (answer(302, &[("location", "/v1/jobs/job-1")], ""), Some(LookError::RedirectLoop)),
        (Reply::Error(millis(10), LookError::Disconnected), Some(LookError::Disconnected)),
        (Reply::Never, Some(LookError::Expired)),
    ];
    for (detail, last_error) in details {
        let oven = Oven::default();
        let mut world = World::new(backend(), patient().with_total_timeout(secs(90)));
        world.insert(4);
        world.run(&mut |sent| if sent.bulk { oven.serve(sent, secs(5)) } else { detail.clone() });
        for done in world.finished.values() {
            assert_eq!((done.outcome, &done.result), (Outcome::Succeeded, &None), "{detail:?}");
            assert!(done.error.as_ref().is_some_and(|error| error.starts_with("the result was not had")), "{done:?}");
            assert_eq!((done.last_error, done.state.as_deref()), (last_error, Some("baked")), "{detail:?}");
            assert!(done.elapsed >= secs(85) && done.elapsed <= secs(95), "{detail:?} {done:?}");
        }
        // Asked for alone from then on.
        assert!(world.bulk().all(|sent| sent.time() < secs(7)));
    }
}

/// The vendor's own way: an end without its result for a while.
#[test]
fn a_detail_is_repeated_until_the_result_is_there() {
    let oven = Oven::default();
    let mut world = World::new(backend(), patient().with_max_delay(secs(60)));
    world.insert(10);
    world.run(&mut |sent| {
        if sent.bulk || sent.time() > secs(40) {
            oven.serve(sent, secs(5))
        } else {
            answer(200, &[], r#"{"state":"baked"}"#)
        }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 10);
    assert!(world.finished.values().all(|done| done.result.is_some() && done.error.is_none()));
    let looks: Vec<_> = world.alone("job-3").map(crate::fleet_support::Sent::time).collect();
    assert_eq!(looks.len(), 3, "{looks:?}");
    assert!(looks.windows(2).all(|pair| pair[1] >= pair[0] + secs(30)), "as the dialect says: {looks:?}");
}

/// The most that the delay can have been is at least what it was, also where the result came late.
#[test]
fn regression_the_delay_counts_from_before_the_end_was_told() {
    let oven = Oven::default();
    let mut world = world(3);
    let ended = at(secs(5)).as_nanos() / 1_000_000_000;
    world.run(&mut |sent| match (sent.bulk, sent.time()) {
        (true, _) => oven.serve(sent, secs(5)),
        (false, time) if time < secs(100) => answer(200, &[], &format!(r#"{{"state":"baked","ended":{ended}}}"#)),
        (false, _) => answer(200, &[], &format!(r#"{{"state":"baked","ended":{ended},"cake":1}}"#)),
    });
    for done in world.finished.values() {
        let (delay, most) = (done.detection_delay.unwrap(), done.detection_delay_max.unwrap());
        assert!(delay > secs(95) && most >= delay && most < delay + secs(2), "{delay:?} {most:?}");
    }
}

/// The deadline passes between the end and its detail.
#[test]
fn an_end_that_the_final_look_finds_is_told() {
    for detail in [Reply::Never, answer(500, &[], "")] {
        let oven = Oven::default();
        let mut world = World::new(backend(), patient().with_total_timeout(secs(20)));
        world.insert(10);
        world.run(&mut |sent| if sent.bulk { oven.serve(sent, secs(20)) } else { detail.clone() });
        assert_eq!(world.ended(Outcome::Succeeded), 10, "{detail:?}");
        assert!(world.finished.values().all(|done| done.result.is_none() && done.error.is_some()));
        assert!(world.finished.values().all(|done| done.elapsed <= secs(25)));
    }
}

#[test]
fn a_stop_between_the_end_and_its_detail_tells_the_end() {
    let oven = Oven::default();
    let mut world = world(4);
    world.run_until(at(millis(2_000)), &mut |sent| if sent.bulk { oven.serve(sent, secs(1)) } else { Reply::Never });
    world.fleet.stop_all(world.clock);
    world.run(&mut |_| panic!("nobody waits"));
    assert_eq!(world.ended(Outcome::Succeeded), 4);
    assert!(world.finished.values().all(|done| done.reason == EndReason::Stopped && done.error.is_some()));
}

/// Taken out between the end and its detail, stored, and taken up elsewhere: the end is not forgotten.
#[test]
fn a_snapshot_between_the_end_and_its_detail_knows_the_end() {
    let oven = Oven::default();
    let mut world = world(4);
    world.run_until(at(millis(2_000)), &mut |sent| if sent.bulk { oven.serve(sent, secs(1)) } else { Reply::Never });
    let stored = serde_json::to_string(&world.fleet.snapshots().collect::<Vec<_>>()).unwrap();
    let mut other = World::new(backend(), patient().with_total_timeout(secs(60)));
    other.clock = world.clock;
    other.fleet.note_backend_proven();
    for snapshot in serde_json::from_str::<Vec<_>>(&stored).unwrap() {
        other.fleet.resume(snapshot, other.clock).unwrap();
    }
    other.run(&mut |sent| {
        assert!(!sent.bulk, "an end that is known is asked for alone");
        answer(410, &[], "")
    });
    assert_eq!(other.ended(Outcome::Succeeded), 4);
    assert!(other.finished.values().all(|done| done.elapsed >= Duration::from_secs(60)));
}
