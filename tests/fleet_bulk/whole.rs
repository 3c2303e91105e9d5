//! What becomes of a shared request that fails as a whole.

use core::time::Duration;
use std::collections::HashSet;

use jobwatch::{EndReason, LookError, Outcome, Policy};

use crate::fleet_support::{Sent, World};
use crate::http_support::{Reply, at, millis, response, secs};
use crate::oven::{Oven, answer, backend, backend_for, backend_with_envelope, patient, world};

fn names(sent: &Sent, id: &str) -> bool {
    sent.ids.iter().any(|named| named == id)
}

/// One id spoils every request that names it, alone or not.
#[test]
fn a_poisoned_id_is_found_by_halves() {
    for status in [400, 403, 422] {
        let oven = Oven::default();
        let mut world = World::new(backend_for(100), patient());
        world.insert(100);
        world.run(&mut |sent| {
            if names(sent, "job-37") {
                answer(status, &[], r#"{"error":"job-37?"}"#)
            } else {
                oven.serve(sent, secs(5))
            }
        });
        assert_eq!((world.ended(Outcome::Rejected), world.ended(Outcome::Succeeded)), (1, 99));
        let rejected = world.finished.values().find(|done| done.outcome == Outcome::Rejected).unwrap();
        assert_eq!((rejected.job.id(), rejected.last_error), ("job-37", Some(LookError::Status(status))));
        // 100 50 25 12 6 3 2 1, with the other half each time.
        let first_round = world.sent.iter().filter(|sent| sent.time() < secs(2)).count();
        assert!(first_round <= 25, "{first_round}");
        let bulk = world.bulk().count();
        assert!(bulk <= 15 + 3 * 10, "{bulk}");
    }
}

/// The same under a good status: what an envelope calls a refusal is one.
#[test]
fn a_poisoned_id_is_found_in_an_envelope() {
    let oven = Oven::default();
    let mut world = World::new(backend_with_envelope(), patient());
    world.insert(10);
    world.run(&mut |sent| {
        if names(sent, "job-7") { answer(200, &[], r#"{"refused":"spoilt"}"#) } else { oven.serve(sent, secs(3)) }
    });
    assert_eq!((world.ended(Outcome::Rejected), world.ended(Outcome::Succeeded)), (1, 9));
}

/// A hint of a day is the longest that is believed, from a list as from a job.
#[test]
fn a_list_that_is_throttled_for_more_than_a_day_hints_at_nothing() {
    for (seconds, hints) in [("86400", 1), ("86401", 0)] {
        let mut world = world(10);
        world.poll(&mut |_| answer(429, &[("retry-after", seconds)], ""));
        world.clock = at(millis(100));
        world.arrive();
        assert_eq!(world.fleet.stats().hints, hints, "{seconds}");
    }
}

/// Whoever refuses for good has answered: after a throttle the others need not go one by one.
#[test]
fn a_bill_that_is_not_paid_is_an_answer() {
    let (oven, mut world) = (Oven::default(), world(30).limits(2, None));
    let mut asked = 0;
    world.run(&mut |sent| {
        asked += 1;
        let reply = match asked {
            1 => answer(429, &[("retry-after", "5")], ""),
            3 => answer(402, &[], ""),
            _ => oven.serve(sent, secs(7)),
        };
        // Slow, so that two can be seen on the wire at once.
        let Reply::Answer(_, response) = reply else { panic!() };
        Reply::Answer(millis(400), response)
    });
    assert_eq!((world.ended(Outcome::Rejected), world.ended(Outcome::Succeeded)), (10, 20));
    let probe = world.sent.iter().position(|sent| sent.time() > secs(5)).unwrap();
    let times: Vec<_> = world.sent[probe..probe + 3].iter().map(Sent::time).collect();
    assert!(times[1] > times[0] && times[1] == times[2], "one, and then two at once: {times:?}");
}

/// One that spoils the company is asked for alone from then on.
#[test]
fn regression_a_poisoned_id_that_is_fine_alone_spoils_no_second_round() {
    let oven = Oven::default();
    let mut world = World::new(backend_for(100), patient());
    world.insert(100);
    world.run(&mut |sent| {
        if sent.bulk && names(sent, "job-37") { answer(400, &[], "") } else { oven.serve(sent, secs(30)) }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 100);
    let failed = world.fleet.stats().failed_requests;
    assert!(failed <= 8, "{failed} requests were spoilt");
    assert!(world.bulk().count() <= 15 + 40, "{}", world.bulk().count());
}

/// Nothing but refusals: twice as many requests as jobs, once.
#[test]
fn regression_where_every_list_is_refused_nobody_asks_for_one_for_long() {
    let (oven, mut world) = (Oven::default(), world(40));
    world.run(&mut |sent| if sent.bulk { answer(400, &[], "") } else { oven.serve(sent, secs(30)) });
    assert_eq!(world.ended(Outcome::Succeeded), 40);
    assert!(world.bulk().count() <= 80, "{}", world.bulk().count());
    assert!(world.bulk().all(|sent| sent.time() < secs(3)));
}

/// A key that is good for nothing: the jobs are rejected, each by its own word.
#[test]
fn a_spent_quota_is_not_asked_for_by_halves() {
    let mut world = world(40);
    world.run(&mut |_| answer(402, &[], ""));
    assert_eq!(world.ended(Outcome::Rejected), 40);
    assert_eq!(world.sent.len(), 4);
}

#[test]
fn regression_a_list_that_is_too_long_is_not_tried_again() {
    for status in [413, 414, 431] {
        let oven = Oven::default();
        let mut world = World::new(backend_for(100), patient());
        world.insert(100);
        world.run(&mut |sent| {
            if sent.ids.len() > 30 { answer(status, &[], "") } else { oven.serve(sent, secs(20)) }
        });
        assert_eq!(world.ended(Outcome::Succeeded), 100);
        let too_long = world.sent.iter().filter(|sent| sent.ids.len() > 30).count();
        assert_eq!(too_long, 3, "100, 50 and 50: {status}");
        assert_eq!(world.fleet.stats().failed_requests, 3);
    }
}

#[test]
fn regression_an_answer_that_is_too_large_is_asked_for_in_parts() {
    let oven = Oven::default();
    let mut world = World::new(backend_for(100), patient());
    world.insert(150);
    world.run(&mut |sent| {
        if sent.ids.len() > 2 { Reply::Error(millis(50), LookError::TooLarge) } else { oven.serve(sent, secs(20)) }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 150);
    let too_long: Vec<_> = world.sent.iter().filter(|sent| sent.ids.len() > 2).map(|sent| sent.ids.len()).collect();
    assert!(too_long.len() <= 130, "{too_long:?}");
    assert!(world.sent.iter().filter(|sent| sent.ids.len() > 2).all(|sent| sent.time() < secs(10)));
}

#[test]
fn where_there_are_no_lists_they_are_asked_for_once() {
    for status in [404, 405, 410] {
        let (oven, mut world) = (Oven::default(), world(40));
        world.run(&mut |sent| if sent.bulk { answer(status, &[], "") } else { oven.serve(sent, secs(20)) });
        assert_eq!(world.ended(Outcome::Succeeded), 40);
        assert_eq!(world.bulk().count(), 4, "those that were under way at once");
        assert!(world.bulk().all(|sent| sent.time() == Duration::ZERO));
    }
}

/// Lists are broken for a minute, for good, or always on every other day; the jobs themselves can be asked for.
#[test]
fn where_lists_are_broken_the_jobs_are_asked_for_alone() {
    let broken = [
        answer(500, &[], ""),
        answer(200, &[("content-type", "text/html")], "<html>sorry"),
        answer(200, &[], r#"{"jobs":[{"id":"job-1","sta"#),
        answer(200, &[], r#"{"jobs":{"job-1":"baking"}}"#),
        answer(204, &[], ""),
        answer(302, &[("location", "/login")], ""),
        Reply::Error(millis(100), LookError::Disconnected),
        Reply::Error(millis(100), LookError::TooLarge),
        Reply::Never,
    ];
    for (broken, ends) in broken.iter().flat_map(|broken| [(broken, secs(60)), (broken, secs(3_000))]) {
        let (oven, mut world) = (Oven::default(), world(40));
        world.run(&mut |sent| {
            if sent.bulk && sent.time() < ends { broken.clone() } else { oven.serve(sent, secs(100)) }
        });
        assert_eq!(world.ended(Outcome::Succeeded), 40, "{broken:?}");
        let (all, failed) = (world.fleet.stats().requests, world.fleet.stats().failed_requests);
        assert!(failed * 2 <= all, "{failed} of {all} requests failed: {broken:?}");
        let latest = world.finished.values().map(|done| done.elapsed).max().unwrap();
        assert!(latest < secs(200), "{latest:?}: {broken:?}");
    }
}

/// Once lists work again, they are used again.
#[test]
fn after_a_breakdown_lists_are_whole_again() {
    let (oven, mut world) = (Oven::default(), world(40));
    world.run(&mut |sent| {
        if sent.bulk && sent.time() > secs(5) && sent.time() < secs(60) {
            answer(500, &[], "")
        } else {
            oven.serve(sent, secs(200))
        }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 40);
    let late: Vec<_> = world.sent.iter().filter(|sent| sent.time() > secs(150) && sent.time() < secs(199)).collect();
    assert!(late.iter().all(|sent| sent.ids.len() == 10), "{}", late.len());
}

/// Whole outages: a probe a second, and afterwards a few requests for a thousand jobs.
#[test]
fn an_outage_ends_in_company() {
    for down in [answer(502, &[], ""), Reply::Error(millis(100), LookError::Unreachable), Reply::Never] {
        let oven = Oven::default();
        let mut world = World::new(backend_for(100), Policy::builder());
        world.insert(1_000);
        let outage = secs(30)..secs(630);
        world.run(&mut |sent| if outage.contains(&sent.time()) { down.clone() } else { oven.serve(sent, secs(600)) });
        assert_eq!(world.ended(Outcome::Succeeded), 1_000);
        let during = world.sent.iter().filter(|sent| outage.contains(&sent.time())).count();
        assert!(during <= 600 + 3 * 16, "{during}");
        let after = world.sent.iter().filter(|sent| sent.time() >= outage.end);
        let alone: usize = after.clone().filter(|sent| !sent.bulk).count();
        println!(
            "an outage, 1,000 jobs in lists: {during} requests, afterwards {}, {alone} of them alone",
            after.count()
        );
        let naming = |sent: &&Sent| sent.time() >= outage.end;
        assert!(world.sent.iter().filter(naming).count() <= 1_000 + 100, "details, and few others");
    }
}

/// A backend that forgets its jobs as soon as it has told their ends works: others are asked for as ever.
#[test]
fn regression_to_know_an_ended_job_no_more_was_taken_for_an_outage() {
    let oven = Oven { words: vec!["baked", "baking"] };
    let mut world = world(40).limits(4, None);
    let mut forgotten = 0;
    world.run_until(at(secs(30)), &mut |sent| {
        if !sent.bulk && oven.end(&sent.ids[0]) == "baked" {
            forgotten += 1;
            return answer(404, &[], "");
        }
        oven.serve(sent, secs(2))
    });
    assert!(forgotten >= 20);
    for n in (1..40).step_by(2) {
        let id = format!("job-{n}");
        let looks: Vec<_> = world.sent.iter().filter(|sent| names(sent, &id)).map(Sent::time).collect();
        assert!(looks.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) <= secs(2)), "{id}: {looks:?}");
        assert_eq!(world.alone(&id).count(), 0, "in company all the time");
    }
}

#[test]
fn a_throttled_list_silences_the_lane() {
    let (oven, mut world) = (Oven::default(), world(100));
    let mut number = 0;
    world.run(&mut |sent| {
        number += 1;
        if number == 1 {
            return answer(429, &[("retry-after", "20")], "");
        }
        assert!(sent.time() < millis(100) || sent.time() >= millis(20_100));
        oven.serve(sent, secs(30))
    });
    assert_eq!(world.ended(Outcome::Succeeded), 100);
    let stats = world.fleet.stats();
    assert_eq!((stats.failed_requests, stats.throttled_requests), (1, 1));
    assert_eq!(stats.hints, 1, "a hint that a throttled list told is followed");
    assert_eq!(world.finished.values().filter(|done| done.failed_requests == 1).count(), 10);
}

#[test]
fn refused_credentials_are_renewed_and_the_list_repeated() {
    let oven = Oven::default();
    let mut world = world(25).with_renewal();
    let until = world.poll(&mut |_| answer(401, &[], "")).unwrap();
    world.pass_until(until);
    world.poll(&mut |_| panic!("with a key that was refused"));
    assert_eq!((world.renewals_wanted, world.sent.len()), (1, 3));
    world.fleet.renewed(world.clock, Ok(backend().renewed([("x-api-key", "new")]).unwrap().into()));
    world.run(&mut |sent| oven.serve(sent, secs(4)));
    assert_eq!((world.ended(Outcome::Succeeded), world.renewals_wanted), (25, 1));
    assert_eq!(world.fleet.stats().failed_requests, 3);
    assert!(world.finished.values().all(|done| done.failed_requests == 1), "each was asked for in vain once");
    assert!(world.bulk().skip(3).take(3).all(|sent| sent.time() == millis(100)), "in the same attempt");
}

/// The refusal of an old key says nothing of the new one, however late it comes.
#[test]
fn a_list_that_was_refused_with_the_old_key_is_repeated_with_the_new_one() {
    let oven = Oven::default();
    let mut world = world(20).with_renewal();
    let until = world
        .poll(&mut |sent| {
            let after = if names(sent, "job-0") { millis(100) } else { secs(5) };
            Reply::Answer(after, response(401, &[], ""))
        })
        .unwrap();
    world.pass_until(until);
    world.poll(&mut |_| panic!("with a key that was refused"));
    world.fleet.renewed(world.clock, Ok(backend().renewed([("x-api-key", "new")]).unwrap().into()));
    world.run(&mut |sent| oven.serve(sent, secs(8)));
    assert_eq!((world.ended(Outcome::Succeeded), world.renewals_wanted), (20, 1));
    assert!(world.finished.values().all(|done| done.failed_requests == 1));
    assert!(world.bulk().any(|sent| sent.time() == secs(5) && names(sent, "job-19")), "in the same attempt");
}

#[test]
fn refused_credentials_without_others_end_it() {
    let mut world = world(250).limits(16, None);
    world.run(&mut |_| answer(401, &[], ""));
    assert_eq!((world.ended(Outcome::Rejected), world.sent.len()), (250, 16));
}

/// A part of a list that waits to be sent goes nowhere with a key that was refused meanwhile.
#[test]
fn regression_no_part_of_a_list_is_sent_with_a_refused_key() {
    let mut world = world(20).limits(2, None);
    let mut first = true;
    world.run(&mut |_| {
        if std::mem::take(&mut first) { answer(413, &[], "") } else { answer(401, &[], "") }
    });
    // Ten and ten; the first list in halves was to follow.
    assert_eq!((world.ended(Outcome::Rejected), world.sent.len()), (20, 2));
}

/// Whoever asked for ten jobs by a request that failed has asked for each of them by one that failed.
#[test]
fn regression_a_list_that_failed_has_failed_for_each_of_its_jobs() {
    for status in [400, 404, 413, 500] {
        let (oven, mut world) = (Oven::default(), world(10));
        let mut asked = HashSet::new();
        world.run(&mut |sent| {
            if sent.bulk && asked.insert(sent.ids.len()) && sent.ids.len() == 10 {
                answer(status, &[], "")
            } else {
                oven.serve(sent, secs(3))
            }
        });
        assert_eq!((world.ended(Outcome::Succeeded), world.fleet.stats().failed_requests), (10, 1));
        assert!(world.finished.values().all(|done| done.failed_requests == 1), "{status}");
    }
}

/// A list that stalls ends for each of its jobs at its own time.
#[test]
fn a_list_without_an_answer_ends_with_the_final_looks() {
    let policy = patient().with_total_timeout(secs(30)).with_attempt_timeout(secs(60));
    let mut world = World::new(backend(), policy);
    world.insert(10);
    world.run(&mut |_| Reply::Never);
    assert_eq!(world.ended(Outcome::TimedOut), 10);
    assert!(world.finished.values().all(|done| done.reason == EndReason::Deadline && done.failed_requests == 1));
}
