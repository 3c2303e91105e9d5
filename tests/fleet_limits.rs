//! Requests in flight and requests per second are never exceeded by a single request, whatever arrives when; what an
//! outage, a throttle and a wrong address cost; and that nothing queues without bound.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod fleet_support;
mod http_support;

use core::time::Duration;
use std::collections::HashMap;

use fleet_support::{Sent, World};
use http_support::{Reply, START, at, every_second, job, kiln, millis, response, secs};
use jobwatch::{EndReason, FirstLook, LookError, Outcome, Policy, RateLimit, Spacing, Steps, Timestamp};
use proptest::prelude::*;

fn answer(after: Duration, status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Answer(after, response(status, headers, body))
}

fn state(word: &str) -> Reply {
    answer(millis(100), 200, &[], &format!(r#"{{"state":"{word}"}}"#))
}

fn number(sent: &Sent) -> u64 {
    sent.ids[0].rsplit('-').next().unwrap().parse().unwrap()
}

/// What a backend does with the n-th request, for an arbitrary one.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Fine(u16),
    Slow,
    Broken(u16),
    Silent,
    Throttling(u8),
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        8 => (0_u16..900).prop_map(Mood::Fine),
        1 => Just(Mood::Slow),
        1 => (0_u16..300).prop_map(Mood::Broken),
        1 => Just(Mood::Silent),
        1 => (0_u8..20).prop_map(Mood::Throttling),
    ]
}

impl Mood {
    fn reply(self, word: &str) -> Reply {
        let body = format!(r#"{{"state":"{word}"}}"#);
        match self {
            Self::Fine(ms) => answer(millis(ms.into()), 200, &[], &body),
            Self::Slow => answer(secs(12), 200, &[], &body),
            Self::Broken(ms) => answer(millis(ms.into()), 502, &[], ""),
            Self::Silent => Reply::Never,
            Self::Throttling(seconds) => answer(millis(20), 429, &[("retry-after", &seconds.to_string())], ""),
        }
    }
}

proptest! {
    #![proptest_config(http_support::cases(60))]

    /// The meters of the world count every request and panic at the first that is too many.
    #[test]
    fn no_request_exceeds_a_limit(
        arrivals in prop::collection::vec((0_u64..4_000, 1_usize..12), 1..25),
        limit in 1_usize..9,
        (rate, burst) in (0.2_f64..40.0, 1_u32..20),
        moods in prop::collection::vec(mood(), 1..40),
    ) {
        let rate = RateLimit::per_second(rate).unwrap().with_burst(burst);
        let policy = every_second().with_total_timeout(secs(120));
        let mut world = World::new(kiln(), policy).limits(limit, Some(rate));
        let mut asked = 0;
        let mut backend = |sent: &Sent| {
            asked += 1;
            moods[asked % moods.len()].reply(if sent.time() > secs(40) { "fired" } else { "Heating" })
        };
        let mut inserted = 0;
        for (gap, count) in arrivals {
            let next = world.clock.saturating_add(millis(gap));
            world.run_until(next, &mut backend);
            for _ in 0..count {
                world.insert_one(&format!("job-{inserted}"));
                inserted += 1;
            }
        }
        world.run(&mut backend);
        prop_assert_eq!(world.finished.len(), inserted);
        prop_assert!(world.clock <= at(secs(100 + 120 + 5 + 20)), "{:?}", world.clock);
    }

    /// Limits that change while requests are under way hold from the next request on.
    #[test]
    fn no_request_exceeds_a_limit_that_changes(
        changes in prop::collection::vec((0_u64..5_000, 1_usize..9, prop::option::of((0.5_f64..60.0, 1_u32..30))), 1..12),
    ) {
        let mut world = World::new(kiln(), every_second()).limits(4, None);
        world.insert(60);
        let mut backend = |sent: &Sent| state(if sent.time() > secs(30) { "fired" } else { "Heating" });
        for (gap, limit, rate) in changes {
            let next = world.clock.saturating_add(millis(gap));
            world.run_until(next, &mut backend);
            let rate = rate.map(|(rate, burst)| RateLimit::per_second(rate).unwrap().with_burst(burst));
            (world.limit, world.rate) = (limit, rate);
            world.fleet.set_max_in_flight(limit);
            world.fleet.set_rate(rate);
        }
        while let Some(until) = world.poll(&mut backend) {
            world.pass_until(until);
        }
        prop_assert_eq!(world.ended(Outcome::Succeeded), 60);
    }
}

/// BASELINES 28: jobs that were inserted at the same instant are looked at over the whole range of their gaps.
#[test]
fn those_who_came_together_do_not_look_together() {
    let mut world = World::new(kiln(), Policy::builder().with_factor(1.5)).limits(2_000, None);
    world.insert(1_000);
    world.run_until(at(millis(1_700)), &mut |_| state("Heating"));
    let second: Vec<_> = world.sent.iter().skip(1_000).map(Sent::time).collect();
    assert_eq!(second.len(), 1_000);
    // Equal jitter from one second to one and a half, after an answer that took a tenth.
    for tenth in 0..10 {
        let range = millis(1_100 + 50 * tenth)..millis(1_150 + 50 * tenth);
        let there = second.iter().filter(|time| range.contains(time)).count();
        assert!((60..=140).contains(&there), "{there} in {range:?}");
    }
}

#[test]
fn a_whole_burst_then_the_rate_to_the_nanosecond() {
    let rate = RateLimit::per_second(4.0).unwrap().with_burst(3);
    let mut world = World::new(kiln(), every_second()).limits(16, Some(rate));
    world.insert(9);
    world.run(&mut |_| state("fired"));
    let times: Vec<_> = world.sent.iter().map(|sent| sent.time().as_millis()).collect();
    assert_eq!(times, [0, 0, 0, 250, 500, 750, 1000, 1250, 1500]);
}

/// 50 arrivals a second under 100 requests a second: two looks a job, where the schedule alone would take eight.
#[test]
fn fifty_arrivals_a_second_do_not_queue_without_bound() {
    for (name, first) in [("at once", FirstLook::AtOnce), ("by the schedule", FirstLook::BySchedule)] {
        let rate = RateLimit::per_second(100.0).unwrap();
        let policy = Policy::builder().with_first_look(first);
        let mut world = World::new(kiln(), policy).limits(64, Some(rate));
        let mut ends = HashMap::new();
        let mut lengths = Vec::new();
        for arrival in 0..30_000_u64 {
            let now = START.saturating_add(millis(20 * arrival));
            let mut backend = |sent: &Sent| told(&ends, sent);
            world.run_until(now, &mut backend);
            let id = format!("job-{arrival}");
            ends.insert(id.clone(), now.saturating_add(lasts(arrival)));
            world.insert_one(&id);
            if arrival % 50 == 0 {
                lengths.push(world.fleet.len());
            }
        }
        world.run(&mut |sent| told(&ends, sent));
        assert_eq!(world.ended(Outcome::Succeeded), 30_000);

        // Jobs that really run are 30 s times 50; what is more than that waits to be noticed.
        let most = |from: usize, to: usize| lengths[from..to].iter().copied().max().unwrap();
        assert!(most(0, 600) <= 50 * (40 + 40), "{}", most(0, 600));
        assert!(most(540, 600) <= most(240, 300) * 11 / 10, "the line grows: {} {}", most(240, 300), most(540, 600));
        let delay = world.fleet.stats().detection_delay.clone();
        println!(
            "first look {name}: mean detection delay {:.2} s, p99 {:.2} s, {:.2} requests a job, at most {} jobs at once",
            delay.mean().unwrap().as_secs_f64(),
            delay.quantile(0.99).unwrap().as_secs_f64(),
            world.fleet.stats().requests_per_job().unwrap(),
            most(0, 600)
        );
        assert!(delay.mean().unwrap() < secs(20));
    }
}

/// Uniform between 20 and 40 seconds.
fn lasts(job: u64) -> Duration {
    Duration::from_nanos(20_000_000_000 + job.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 20_000_000_000)
}

fn told(ends: &HashMap<String, Timestamp>, sent: &Sent) -> Reply {
    let end = ends[&sent.ids[0]];
    if sent.at < end {
        return answer(millis(50), 200, &[], r#"{"state":"Heating"}"#);
    }
    // Of the milliseconds that the header can tell, the next one.
    let end = end.as_nanos().div_ceil(1_000_000);
    let ended_at = format!("{}.{:03}", end / 1_000, end % 1_000);
    answer(millis(50), 200, &[("x-jobwatch-ended-at", &ended_at)], r#"{"state":"fired"}"#)
}

mod trouble {
    use super::*;

    /// The backend is down from the first minute to the eleventh, in each of the ways in which one is down.
    #[test]
    fn an_outage_costs_a_probe_a_second_and_no_job() {
        let down = [
            answer(millis(100), 502, &[], "<html>"),
            Reply::Error(millis(100), LookError::Unreachable),
            Reply::Error(millis(100), LookError::Disconnected),
            Reply::Never,
        ];
        for down in down {
            let mut world = World::new(kiln(), Policy::builder());
            let handles = world.insert(1_000);
            let outage = secs(60)..secs(660);
            world.run(&mut |sent| match (number(sent) % 3, sent.time()) {
                (_, time) if outage.contains(&time) => down.clone(),
                (_, time) if time < secs(30 + number(sent)) => state("Heating"),
                (0, _) => state("cracked"),
                _ => state("fired"),
            });
            for (n, handle) in handles.iter().enumerate() {
                let expected = if n % 3 == 0 { Outcome::Failed } else { Outcome::Succeeded };
                assert_eq!(world.finished[handle].outcome, expected, "{down:?}");
            }
            let during = world.sent.iter().filter(|sent| outage.contains(&sent.time())).count();
            assert!(during <= 600 + 3 * 16, "{during} requests into the outage: {down:?}");
            // Afterwards the line goes at the rate, after a probe by itself.
            let after: Vec<_> = world.sent.iter().filter(|sent| sent.time() >= outage.end).collect();
            assert!(after[1].at >= after[0].at.saturating_add(millis(100)), "the probe goes alone");
            println!("an outage of ten minutes, 1,000 jobs: {during} requests");
        }
    }

    #[test]
    fn a_wrong_address_fails_fast() {
        let wrong = [
            answer(millis(100), 200, &[("content-type", "text/html")], "<html>welcome"),
            answer(millis(100), 302, &[("location", "/login")], ""),
            answer(millis(100), 500, &[], ""),
            Reply::Error(millis(100), LookError::Unreachable),
            Reply::Never,
        ];
        for wrong in wrong {
            let mut world = World::new(kiln(), Policy::builder());
            world.insert(10_000);
            world.run(&mut |_| wrong.clone());
            assert!(world.sent.len() <= 200, "{} requests: {wrong:?}", world.sent.len());
            assert!(world.finished.values().all(|done| done.reason == EndReason::FailuresSpent), "{wrong:?}");
            assert_eq!(world.ended(Outcome::GaveUp), 10_000);
            println!(
                "a wrong address, 10,000 jobs: {} requests, {:?}",
                world.sent.len(),
                world.clock.saturating_since(START)
            );
        }
    }

    /// A wrong key: the first answers end everything.
    #[test]
    fn a_wrong_key_fails_faster() {
        let mut world = World::new(kiln(), Policy::builder());
        world.insert(10_000);
        world.run(&mut |_| answer(millis(100), 401, &[], ""));
        assert_eq!((world.ended(Outcome::Rejected), world.sent.len()), (10_000, 16));
        // Who comes later is not asked for either.
        world.insert(5);
        world.run(&mut |_| panic!("with a key that was refused"));
        assert_eq!(world.ended(Outcome::Rejected), 10_005);
    }

    /// Throttled over and over: no request before its end, one first, and then not all at once.
    #[test]
    fn after_each_throttle_the_line_starts_gently() {
        let mut world = World::new(kiln(), every_second());
        world.insert(1_000);
        let (mut silent_until, mut last, mut throttles) = (START, START, 0);
        world.run(&mut |sent| {
            assert!(sent.at >= silent_until, "asked during a throttle");
            if sent.at >= last.saturating_add(secs(20)) && throttles < 5 {
                throttles += 1;
                last = sent.at;
                silent_until = sent.at.saturating_add(millis(10_000));
                return answer(Duration::ZERO, 429, &[("retry-after", "10")], "");
            }
            state(if sent.time() > secs(120) { "fired" } else { "Heating" })
        });
        assert_eq!((world.ended(Outcome::Succeeded), throttles), (1_000, 5));
        let stats = world.fleet.stats();
        assert_eq!((stats.throttled_requests, stats.failed_requests), (5, 5));
        let starts: Vec<_> =
            world.sent.windows(2).filter(|pair| pair[1].at.saturating_since(pair[0].at) >= secs(9)).collect();
        assert_eq!(starts.len(), 5);
        for start in starts {
            let soon = |sent: &&Sent| sent.at >= start[1].at && sent.at < start[1].at.saturating_add(millis(100));
            assert_eq!(world.sent.iter().filter(soon).count(), 1, "one goes first");
        }
    }

    /// BASELINES 27: whoever hears of a throttle hears it for all, also where the one who asked has left.
    #[test]
    fn regression_a_throttle_counts_though_its_job_was_stopped() {
        for removed in [false, true] {
            let mut world = World::new(kiln(), every_second()).limits(1, None);
            let handles = world.insert(3);
            world.poll(&mut |_| answer(millis(100), 429, &[("retry-after", "30")], ""));
            if removed {
                world.fleet.remove(handles[0]).unwrap();
            } else {
                world.fleet.stop(handles[0], world.clock);
            }
            world.clock = at(millis(100));
            world.arrive();
            world.run(&mut |sent| {
                assert!(sent.time() >= millis(30_100), "asked during a throttle");
                state("fired")
            });
            assert_eq!(world.ended(Outcome::Succeeded), 2);
        }
    }
}

/// A line of jobs that nobody waits for any more takes no memory.
#[test]
fn regression_those_who_left_the_line_leave_nothing_behind() {
    let mut world = World::new(kiln(), every_second()).limits(1, None);
    world.insert(2);
    world.poll(&mut |_| Reply::Never);
    let before = format!("{:?}", world.fleet).len();
    for _ in 0..2_000 {
        let handle = world.fleet.insert(job("brief"), world.clock);
        world.poll(&mut |_| unreachable!());
        world.fleet.remove(handle).unwrap();
    }
    let after = format!("{:?}", world.fleet).len();
    assert!(after < before + 2_000, "{before} {after}");
}

#[test]
fn a_wake_by_id_is_for_the_jobs_of_that_id_alone() {
    let seldom = Steps::new(&[(secs(60), Duration::ZERO)]).unwrap();
    let mut world = World::new(kiln(), every_second().with_spacing(Spacing::Steps(seldom)));
    let inserted = ["a", "b", "a"].map(|id| world.fleet.insert(job(id), START));
    world.run_until(at(secs(10)), &mut |_| state("Heating"));
    assert_eq!(world.sent.len(), 3);
    assert_eq!((world.fleet.wake_id("a", world.clock), world.fleet.wake_id("c", world.clock)), (2, 0));
    world.run_until(at(secs(20)), &mut |_| state("fired"));
    assert_eq!(world.ends, [inserted[0], inserted[2]]);
    assert_eq!(world.fleet.wake_id("a", world.clock), 0, "their waits have ended");
}
