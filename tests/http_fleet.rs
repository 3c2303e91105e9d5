//! Many jobs of one backend: limits, cool-downs, fairness and bookkeeping, over arbitrary histories.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use http::Response;
use http_support::{START, at, every_second, job, kiln, millis, response, rng, secs};
use jobwatch::{
    EndReason, Finished, Fleet, FleetAction, FleetEvent, JobHandle, JobRef, LookError, Outcome, Policy, PolicyBuilder,
    RequestId, Timestamp, TransportError,
};
use proptest::prelude::*;

/// What the backend does with a request.
#[derive(Clone, Debug)]
enum Reply {
    Answer(Duration, Response<Vec<u8>>),
    Error(Duration, LookError),
    Never,
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Answer(millis(100), response(status, headers, body))
}

fn state(word: &str) -> Reply {
    answer(200, &[], &format!(r#"{{"state":"{word}"}}"#))
}

/// A fleet, its clock, its requests on the wire, and what was seen of it.
struct World {
    clock: Timestamp,
    fleet: Fleet,
    /// By the time of arrival.
    wire: BTreeMap<(Timestamp, usize), (RequestId, Reply)>,
    /// The fleet's own count: sent, neither answered nor expired.
    under_way: HashMap<JobHandle, Timestamp>,
    sent: Vec<(Timestamp, JobHandle, String)>,
    finished: HashMap<JobHandle, Finished>,
    changes: Vec<(JobHandle, String)>,
    most_under_way: usize,
}

impl World {
    fn new(policy: PolicyBuilder, most: usize) -> Self {
        let fleet = Fleet::new(Arc::new(kiln()), Arc::new(policy.build().unwrap()), &mut rng(11));
        Self {
            clock: START,
            fleet: fleet.with_max_in_flight(most),
            wire: BTreeMap::new(),
            under_way: HashMap::new(),
            sent: Vec::new(),
            finished: HashMap::new(),
            changes: Vec::new(),
            most_under_way: 0,
        }
    }

    fn insert(&mut self, count: usize) -> Vec<JobHandle> {
        (0..count).map(|n| self.fleet.insert(job(&format!("job-{n}")), self.clock)).collect()
    }

    /// Polls until there is nothing to send; returns when to poll again, `None` if idle.
    fn poll(&mut self, backend: &mut impl FnMut(&str, Duration) -> Reply) -> Option<Timestamp> {
        loop {
            let action = self.fleet.poll(self.clock);
            self.drain();
            self.under_way.retain(|_, expires| *expires > self.clock);
            match action {
                FleetAction::Renew => panic!("nobody can renew"),
                FleetAction::Idle => {
                    assert!(self.fleet.is_empty());
                    return None;
                }
                FleetAction::Sleep { until } => {
                    assert!(!self.fleet.is_empty());
                    assert!(until > self.clock, "a sleep that is over before it begins");
                    return Some(until);
                }
                FleetAction::Send { id, request, timeout } => {
                    assert!(self.sent.len() < 1_000_000, "this does not end");
                    let url = request.uri().to_string();
                    self.sent.push((self.clock, id.job(), url.clone()));
                    self.under_way.insert(id.job(), self.clock.saturating_add(timeout));
                    self.most_under_way = self.most_under_way.max(self.under_way.len());
                    let reply = backend(&url, self.clock.saturating_since(START));
                    let after = match reply {
                        Reply::Answer(after, _) | Reply::Error(after, _) => after,
                        Reply::Never => continue,
                    };
                    if after < timeout {
                        self.wire.insert((self.clock.saturating_add(after), self.sent.len()), (id, reply));
                    }
                }
            }
        }
    }

    /// Hands in everything that has arrived by now.
    fn arrive(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.clock) {
            let (id, reply) = entry.remove();
            self.under_way.remove(&id.job());
            match reply {
                Reply::Answer(_, response) => self.fleet.handle_response(self.clock, id, &response),
                Reply::Error(_, error) => self.fleet.handle_error(self.clock, id, &TransportError::new(error, "")),
                Reply::Never => {}
            }
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            match event {
                FleetEvent::Changed { handle, state } => {
                    assert!(!self.finished.contains_key(&handle), "news of a job after its end");
                    self.changes.push((handle, state));
                }
                FleetEvent::Finished { handle, finished } => {
                    self.under_way.remove(&handle);
                    assert!(self.finished.insert(handle, *finished).is_none(), "two ends of one job");
                }
                event => panic!("{event:?}"),
            }
        }
    }

    /// Drives time forward until nothing is left to do.
    fn run(&mut self, mut backend: impl FnMut(&str, Duration) -> Reply) {
        while let Some(until) = self.poll(&mut backend) {
            let arrival = self.wire.first_key_value().map(|(key, _)| key.0);
            self.clock = arrival.map_or(until, |arrival| arrival.min(until)).max(self.clock);
            self.arrive();
        }
        self.drain();
        self.check_stats();
    }

    /// The sums over all jobs that ended are what the fleet has counted.
    fn check_stats(&self) {
        let stats = self.fleet.stats();
        let sum = |count: fn(&Finished) -> u32| self.finished.values().map(|job| u64::from(count(job))).sum::<u64>();
        assert_eq!(stats.requests, self.sent.len() as u64);
        assert_eq!(stats.requests, sum(|job| job.requests));
        assert_eq!(stats.failed_requests, sum(|job| job.failed_requests));
        assert_eq!(stats.outcomes.total(), self.finished.len() as u64);
        assert!(stats.throttled_requests <= stats.failed_requests && stats.failed_requests <= stats.requests);
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.finished.values().map(|finished| finished.outcome).collect()
    }
}

mod stories {
    use super::*;

    #[test]
    fn empty_is_idle() {
        let mut world = World::new(every_second(), 4);
        assert_eq!(world.poll(&mut |_, _| unreachable!()), None);
        world.insert(1);
        assert_eq!((world.fleet.len(), world.fleet.is_empty()), (1, false));
        world.run(|_, _| state("fired"));
        assert_eq!(world.fleet.len(), 0);
        assert_eq!(world.poll(&mut |_, _| unreachable!()), None);
    }

    #[test]
    fn all_jobs_end_in_their_own_way() {
        let mut world = World::new(every_second(), 4);
        let handles = world.insert(40);
        world.run(|url, time| match url.rsplit('-').next().unwrap().parse::<u32>().unwrap() % 4 {
            _ if time < secs(5) => state("queued"),
            0 => state("fired"),
            1 => state("cracked"),
            2 => answer(410, &[], ""),
            _ => answer(403, &[], ""),
        });
        let expected = [Outcome::Succeeded, Outcome::Failed, Outcome::Lost, Outcome::Rejected];
        for (n, handle) in handles.iter().enumerate() {
            assert_eq!(world.finished[handle].outcome, expected[n % 4]);
            assert_eq!(world.finished[handle].job.id(), format!("job-{n}"));
        }
        for outcome in expected {
            assert_eq!(world.fleet.stats().outcomes.of(outcome), 10);
        }
        assert_eq!(world.fleet.stats().job_success_rate(), Some(0.25));
        assert_eq!(world.most_under_way, 4);
        assert_eq!(world.changes.iter().filter(|(_, state)| state == "queued").count(), 40);
        assert_eq!(world.changes.iter().filter(|(_, state)| state == "fired").count(), 10);
    }

    #[test]
    fn the_same_id_twice_is_two_jobs() {
        let mut world = World::new(every_second(), 4);
        let (one, two) = (world.fleet.insert(job("a"), START), world.fleet.insert(job("a"), START));
        assert_ne!(one, two);
        assert_eq!(world.fleet.jobs().count(), 2);
        world.run(|_, _| state("fired"));
        assert_eq!(world.outcomes(), [Outcome::Succeeded; 2]);
    }

    #[test]
    fn how_far_a_job_is_and_its_place_in_the_queue_are_told() {
        let text = format!("{}\n[progress]\npointer = \"/done\"\nqueue = \"/ahead\"", http_support::KILN);
        let backend = jobwatch::Backend::new(http_support::dialect(&text), Some(http_support::BASE)).unwrap();
        let mut fleet = Fleet::new(Arc::new(backend), Arc::new(every_second().build().unwrap()), &mut rng(11));
        let handle = fleet.insert(job("a"), START);
        for (body, told) in [
            (r#"{"state":"queued","ahead":3}"#, (None, Some(3))),
            (r#"{"state":"Heating","done":0.25}"#, (Some(0.25), None)),
        ] {
            let now = fleet.progress(handle).unwrap().next;
            let FleetAction::Send { id, .. } = fleet.poll(now) else { panic!() };
            fleet.handle_response(now, id, &response(200, &[], body));
            let progress = fleet.progress(handle).unwrap();
            assert_eq!((progress.fraction, progress.queue_position), told);
        }
    }

    /// Another fleet has more of them: here its jobs are waited for as those of no class are.
    #[test]
    fn a_class_of_another_fleet_is_none_here() {
        let slow = Arc::new(every_second().with_min_delay(secs(50)).build().unwrap());
        let class = World::new(every_second(), 4).fleet.add_class("slow", slow);
        let mut world = World::new(every_second(), 4);
        let handle = world.fleet.insert_in(class, job("a"), START);
        let snapshot = world.fleet.snapshot(handle).unwrap();
        world.fleet.resume_in(class, snapshot, START).unwrap();
        world.run(|_, time| state(if time < secs(2) { "Heating" } else { "fired" }));
        assert_eq!((world.outcomes().len(), world.clock < at(secs(5))), (2, true));
    }

    /// BASELINES 29.
    #[test]
    fn a_stale_handle_names_no_other_job() {
        let mut world = World::new(every_second(), 4);
        let old = world.insert(1)[0];
        world.run(|_, _| state("fired"));
        let new = world.insert(1)[0];
        assert_ne!(old, new);
        assert!(!world.fleet.wake(old, START) && !world.fleet.stop(old, START));
        assert!(world.fleet.snapshot(old).is_none() && world.fleet.snapshot(new).is_some());
        assert_eq!((world.fleet.job(old), world.fleet.job(new).map(JobRef::id)), (None, Some("job-0")));
        assert_eq!(
            world.fleet.jobs().map(|(handle, job)| (handle, job.id().to_owned())).collect::<Vec<_>>(),
            [(new, "job-0".to_owned())]
        );
        assert_eq!(world.fleet.len(), 1);
    }

    #[test]
    fn late_and_repeated_answers_change_nothing() {
        let mut world = World::new(every_second(), 4);
        world.insert(1);
        let FleetAction::Send { id, .. } = world.fleet.poll(START) else { panic!() };
        for word in ["queued", "fired", "cracked"] {
            world.fleet.handle_response(START, id, &response(200, &[], format!(r#"{{"state":"{word}"}}"#)));
        }
        world.fleet.handle_error(START, id, &TransportError::new(LookError::Tls, ""));
        assert_eq!(world.fleet.stats().bytes, 18);
        let FleetAction::Sleep { until } = world.fleet.poll(START) else { panic!() };
        let FleetAction::Send { id: second, .. } = world.fleet.poll(until) else { panic!() };
        world.fleet.stop(second.job(), until);
        world.insert(1);
        world.fleet.handle_response(until, second, &response(200, &[], r#"{"state":"fired"}"#));
        world.drain();
        assert_eq!(world.outcomes(), [Outcome::Stopped]);
        assert_eq!((world.fleet.len(), world.fleet.stats().response_time.count()), (1, 1));
    }

    #[test]
    fn a_snapshot_goes_on_in_another_fleet() {
        let mut world = World::new(every_second(), 4);
        let handle = world.insert(1)[0];
        let until = world.poll(&mut |_, _| state("queued")).unwrap();
        world.clock = until.min(at(millis(100)));
        world.arrive();
        let stored = serde_json::to_string(&world.fleet.snapshot(handle).unwrap()).unwrap();
        let mut other = World::new(every_second(), 4);
        let handle = other.fleet.resume(serde_json::from_str(&stored).unwrap(), at(secs(9))).unwrap();
        other.clock = at(secs(9));
        while let Some(until) = other.poll(&mut |_, _| state("fired")) {
            other.clock = other.wire.first_key_value().map_or(until, |(key, _)| key.0);
            other.arrive();
        }
        other.drain();
        assert_eq!((other.finished[&handle].outcome, other.finished[&handle].requests), (Outcome::Succeeded, 2));
    }

    #[test]
    fn stop_all_ends_every_wait_and_touches_no_job() {
        let mut world = World::new(every_second(), 4);
        world.insert(30);
        world.poll(&mut |_, _| Reply::Never);
        world.fleet.stop_all(START);
        world.drain();
        assert_eq!(world.outcomes(), [Outcome::Stopped; 30]);
        assert_eq!((world.sent.len(), world.poll(&mut |_, _| unreachable!())), (4, None));
    }

    #[test]
    fn limits_change_while_it_runs() {
        let mut world = World::new(every_second(), 1);
        world.insert(30);
        world.poll(&mut |_, _| Reply::Never);
        assert_eq!(world.sent.len(), 1);
        world.fleet.set_max_in_flight(10);
        world.poll(&mut |_, _| Reply::Never);
        assert_eq!(world.sent.len(), 10);
        world.fleet.set_max_in_flight(0);
        world.poll(&mut |_, _| Reply::Never);
        assert_eq!(world.sent.len(), 10);
        world.run(|_, _| state("fired"));
        assert_eq!(world.outcomes(), [Outcome::Succeeded; 30]);
    }

    #[test]
    fn one_good_answer_proves_the_backend_to_all() {
        let policy = || every_second().with_total_timeout(secs(300));
        let mut world = World::new(policy(), 4);
        world.insert(3);
        world.run(|url, _| if url.ends_with("job-0") { state("fired") } else { answer(500, &[], "") });
        assert!(world.fleet.is_backend_proven());
        let mut ends: Vec<_> = world.finished.values().map(|finished| finished.reason).collect();
        ends.sort_by_key(|reason| *reason != EndReason::Told);
        assert_eq!(ends, [EndReason::Told, EndReason::Deadline, EndReason::Deadline]);

        let mut world = World::new(policy(), 4);
        world.insert(3);
        world.run(|_, _| answer(500, &[], ""));
        assert!(world.finished.values().all(|finished| finished.reason == EndReason::FailuresSpent));

        let mut world = World::new(policy(), 4);
        world.fleet.note_backend_proven();
        world.insert(3);
        world.run(|_, _| answer(500, &[], ""));
        assert!(world.finished.values().all(|finished| finished.reason == EndReason::Deadline));
    }

    /// A wrong address that sends everybody to a login page fails fast.
    #[test]
    fn regression_a_redirect_proves_nothing() {
        let mut world = World::new(every_second(), 4);
        world.insert(3);
        world.run(|url, _| {
            if url.ends_with("/login") {
                answer(200, &[], "<html>")
            } else {
                answer(302, &[("location", "/login")], "")
            }
        });
        assert!(!world.fleet.is_backend_proven());
        assert!(world.finished.values().all(|finished| finished.reason == EndReason::FailuresSpent));
    }

    #[test]
    fn ten_thousand_jobs_run_to_their_end() {
        let mut world = World::new(Policy::builder(), 64);
        world.insert(10_000);
        world.run(|url, time| {
            let number: u64 = url.rsplit('-').next().unwrap().parse().unwrap();
            if time < secs(20 + number % 20) { state("Heating") } else { state("fired") }
        });
        assert_eq!(world.fleet.stats().outcomes.of(Outcome::Succeeded), 10_000);
        assert_eq!(world.most_under_way, 64);
    }

    #[test]
    fn means_and_quantiles() {
        let mut world = World::new(every_second(), 16);
        world.insert(100);
        world.run(|_, _| {
            Reply::Answer(millis(250), response(200, &[("x-jobwatch-ended-at", "1699999990")], r#"{"state":"fired"}"#))
        });
        let stats = world.fleet.stats();
        assert_eq!((stats.response_time.count(), stats.response_time.mean()), (100, Some(millis(250))));
        assert_eq!((stats.response_time.max(), stats.request_success_rate()), (Some(millis(250)), Some(1.0)));
        let p99 = stats.response_time.quantile(0.99).unwrap();
        assert!(p99 >= millis(247) && p99 <= millis(253), "{p99:?}");
        assert!(stats.detection_delay.mean().unwrap() > secs(10));
        assert_eq!(stats.requests_per_job(), Some(1.0));
        let mut both = stats.clone();
        both.merge(stats);
        assert_eq!((both.requests, both.outcomes.total(), both.response_time.count()), (200, 200, 200));
        assert_eq!(jobwatch::Stats::default().requests_per_job(), None);
        assert_eq!(jobwatch::Stats::default().response_time.mean(), None);
    }

    #[test]
    fn regression_the_mean_of_the_longest_times_does_not_panic() {
        let mut times = jobwatch::Times::default();
        times.record(Duration::MAX);
        assert!(times.mean().is_some());
        times.record(Duration::MAX);
        assert!(times.mean() <= times.max());
        for share in [f64::NAN, -1.0, 0.0, 1.0, 2.0, f64::INFINITY] {
            assert!(times.quantile(share).is_some());
        }
    }

    #[test]
    fn regression_only_hints_that_are_followed_are_counted() {
        let hint = [("retry-after", "2")];
        for (status, headers, body, hints) in [
            (200, &hint[..], r#"{"state":"fired"}"#, 0),
            (401, &hint, "", 0),
            (200, &[("retry-after", "9999999999")], r#"{"state":"queued"}"#, 0),
            (200, &hint, r#"{"state":"queued"}"#, 1),
            (503, &hint, "", 1),
        ] {
            let mut world = World::new(every_second(), 4);
            world.insert(1);
            let mut first = true;
            world.run(|_, _| if std::mem::take(&mut first) { answer(status, headers, body) } else { state("fired") });
            assert_eq!(world.fleet.stats().hints, hints, "{status} {headers:?}");
        }
    }
}

mod cool_downs {
    use super::*;

    /// BASELINES 27.
    #[test]
    fn one_throttle_silences_all_and_then_one_goes_first() {
        let mut world = World::new(every_second(), 8);
        world.insert(50);
        // Eight are under way when the first is throttled.
        let mut number = 0;
        world.run(|_, _| {
            number += 1;
            if number == 1 { answer(429, &[("retry-after", "30")], "") } else { state("fired") }
        });
        assert_eq!(world.outcomes(), [Outcome::Succeeded; 50]);
        let over = at(millis(30_100));
        let before = world.sent.iter().filter(|(time, ..)| *time < over).count();
        assert_eq!(before, 8);
        // The probe alone, until it is answered.
        let probe = world.sent[8].0;
        assert!(probe >= over);
        assert_eq!(
            world.sent.iter().filter(|(time, ..)| *time >= probe && *time < probe.saturating_add(millis(100))).count(),
            1
        );
        assert!(world.sent.last().unwrap().0 < at(secs(35)));
    }

    /// BASELINES 27, where the throttle does not say for how long.
    #[test]
    fn after_a_throttle_without_a_hint_jobs_go_one_by_one_until_a_good_answer() {
        let mut world = World::new(every_second(), 8);
        world.insert(50);
        world.run(|_, time| if time < secs(5) { answer(429, &[], "") } else { state("fired") });
        assert_eq!(world.outcomes(), [Outcome::Succeeded; 50]);
        let throttled: Vec<_> = world
            .sent
            .iter()
            .map(|(time, ..)| *time)
            .filter(|time| *time >= at(millis(100)) && *time < at(secs(5)))
            .collect();
        assert!(throttled.len() > 10, "the others are not silenced for ever");
        assert!(throttled.windows(2).all(|pair| pair[1].saturating_since(pair[0]) >= millis(100)));
    }

    #[test]
    fn regression_a_probe_that_fails_lets_nobody_go() {
        for broken in [answer(500, &[], ""), answer(429, &[], ""), Reply::Error(millis(100), LookError::Disconnected)] {
            let mut world = World::new(every_second().with_total_timeout(secs(60)), 8);
            world.fleet.note_backend_proven();
            world.insert(50);
            world.run(|_, time| match time {
                Duration::ZERO => answer(503, &[("retry-after", "20")], ""),
                time if time < secs(40) => broken.clone(),
                _ => state("fired"),
            });
            let outage: Vec<_> = world
                .sent
                .iter()
                .map(|(time, ..)| *time)
                .filter(|time| *time > at(secs(1)) && *time < at(secs(40)))
                .collect();
            assert!(!outage.is_empty());
            assert!(outage.windows(2).all(|pair| pair[1].saturating_since(pair[0]) >= millis(100)), "{broken:?}");
        }
    }

    #[test]
    fn a_job_that_is_lost_is_an_answer_all_the_same() {
        let mut world = World::new(every_second(), 8);
        world.insert(50);
        let mut number = 0;
        world.run(|_, _| {
            number += 1;
            if number == 1 { answer(429, &[("retry-after", "5")], "") } else { answer(410, &[], "") }
        });
        // In sevens and eights after the probe, not one by one.
        assert!(world.sent.last().unwrap().0 < at(secs(8)));
    }

    #[test]
    fn regression_a_redirect_is_not_followed_into_a_cool_down() {
        let policy = every_second().with_attempt_timeout(secs(120));
        // In the second case the attempt's time is over before the cool-down is.
        for cool_down in [10_u64, 200] {
            let mut world = World::new(policy.clone(), 8);
            world.insert(2);
            let throttle = cool_down.to_string();
            world.poll(&mut |url, _| {
                if url.ends_with("job-0") {
                    answer(302, &[("location", "/x")], "")
                } else {
                    answer(429, &[("retry-after", &throttle)], "")
                }
            });
            // Both answers arrive before the next poll.
            world.clock = at(millis(100));
            world.arrive();
            world.run(|_, time| {
                assert!(time >= secs(cool_down), "{time:?}");
                state("fired")
            });
            assert_eq!(world.outcomes(), [Outcome::Succeeded; 2]);
            // Putting it off is no failure.
            assert_eq!(world.fleet.stats().failed_requests, 1);
        }
    }

    #[test]
    fn a_throttle_past_the_deadline_ends_the_waits() {
        let mut world = World::new(every_second().with_total_timeout(secs(60)), 8);
        world.insert(20);
        world.run(|_, _| answer(429, &[("retry-after", "61")], ""));
        assert!(world.finished.values().all(|finished| finished.reason == EndReason::ThrottledPastDeadline));
        assert!(world.sent.len() <= 8);
    }

    #[test]
    fn a_hint_on_an_unfinished_answer_concerns_that_job_alone() {
        let mut world = World::new(every_second(), 8);
        world.insert(2);
        world.run(|url, time| match time {
            time if time > secs(9) => state("fired"),
            _ if url.ends_with("job-0") => answer(200, &[("retry-after", "10")], r#"{"state":"queued"}"#),
            _ => state("queued"),
        });
        let looks = |id: &str| world.sent.iter().filter(|(.., url)| url.ends_with(id)).count();
        assert_eq!((looks("job-0"), looks("job-1")), (2, 10));
    }
}

mod deadlines {
    use super::*;

    #[test]
    fn hung_requests_in_every_place_do_not_queue_up_the_final_looks() {
        let policy =
            every_second().with_total_timeout(secs(30)).with_attempt_timeout(secs(10)).with_final_grace(secs(5));
        let mut world = World::new(policy, 4);
        world.insert(100);
        world.run(|_, _| Reply::Never);
        assert_eq!(world.finished.len(), 100);
        assert!(world.clock <= at(secs(30 + 5 + 10)), "{:?}", world.clock);
        assert!(world.finished.values().any(|finished| finished.reason == EndReason::NoRoomAtDeadline));
    }

    #[test]
    fn final_looks_go_first() {
        let policy = every_second().with_total_timeout(secs(30));
        let mut world = World::new(policy, 1);
        let old = world.insert(1)[0];
        // The old job hangs in its place until its deadline is near; fifty young ones wait.
        world.clock = at(secs(29));
        world.poll(&mut |_, _| state("queued"));
        world.insert(50);
        world.clock = at(millis(29_100));
        world.arrive();
        world.run(|_, time| {
            if time < secs(30) {
                Reply::Answer(secs(2), response(200, &[], r#"{"state":"queued"}"#))
            } else {
                state("fired")
            }
        });
        assert_eq!(world.finished[&old].outcome, Outcome::Succeeded);
        assert!(world.finished[&old].elapsed <= millis(32_000), "{:?}", world.finished[&old]);
    }

    /// Not even those whose deadline was far ahead when they got in line.
    #[test]
    fn nobody_stands_in_line_past_the_deadline() {
        let policy =
            every_second().with_total_timeout(secs(600)).with_attempt_timeout(secs(10)).with_final_grace(secs(5));
        let mut world = World::new(policy, 2);
        let early = world.insert(500);
        world.poll(&mut |_, _| Reply::Answer(secs(9), response(200, &[], r#"{"state":"queued"}"#)));
        world.clock = at(secs(7));
        let late = world.insert(500);
        world.run(|_, _| Reply::Answer(secs(9), response(200, &[], r#"{"state":"queued"}"#)));
        for handle in early.iter().chain(&late) {
            let finished = &world.finished[handle];
            assert!(finished.elapsed >= secs(600) && finished.elapsed <= secs(610), "{finished:?}");
        }
        let without_room = |finished: &&Finished| finished.reason == EndReason::NoRoomAtDeadline;
        assert!(world.finished.values().filter(without_room).count() > 900);
        assert!(world.sent.iter().any(|(time, ..)| *time >= at(secs(600))), "no final look");
    }

    /// Guarantee 3: at the first input after the deadline, however late, comes the final look.
    #[test]
    fn regression_a_driver_that_slept_over_the_deadline_still_looks_once_more() {
        let mut world = World::new(every_second().with_total_timeout(secs(60)), 4);
        world.insert(20);
        for _ in 0..10 {
            world.poll(&mut |_, _| state("queued"));
            world.clock = world.clock.saturating_add(millis(100));
            world.arrive();
        }
        let looked = world.sent.len();
        // The laptop is closed for a day.
        world.clock = at(secs(86_400));
        world.run(|_, _| state("fired"));
        assert_eq!(world.sent.len(), looked + 20);
        assert_eq!(world.outcomes(), [Outcome::Succeeded; 20]);
    }

    #[test]
    fn regression_a_look_after_a_late_expiry_is_not_dropped() {
        let policy = every_second().with_total_timeout(secs(60)).with_attempt_timeout(secs(10));
        for woken in [false, true] {
            let mut world = World::new(policy.clone(), 4);
            let handles = world.insert(2);
            world.poll(&mut |_, _| Reply::Never);
            // Expired at 10 s, deadline at 60 s, and nobody came by.
            world.clock = at(secs(100));
            if woken {
                for handle in &handles {
                    assert!(world.fleet.wake(*handle, world.clock));
                }
            }
            world.run(|_, _| state("fired"));
            assert_eq!(world.outcomes(), [Outcome::Succeeded; 2]);
            assert_eq!((world.sent.len(), world.fleet.stats().failed_requests), (4, 2));
        }
    }

    #[test]
    fn a_late_expiry_sends_nothing_into_a_cool_down() {
        let policy = every_second().with_total_timeout(secs(60)).with_attempt_timeout(secs(10));
        let mut world = World::new(policy, 4);
        world.insert(2);
        world.poll(&mut |url, _| {
            if url.ends_with("job-0") {
                Reply::Never
            } else {
                Reply::Answer(secs(9), response(429, &[("retry-after", "100")], ""))
            }
        });
        world.clock = at(secs(9));
        world.arrive();
        // Expired and past the deadline: the final look is due, and may not be sent.
        world.clock = at(secs(70));
        world.run(|_, _| panic!("in a cool-down"));
        assert!(world.finished.values().all(|finished| finished.reason == EndReason::ThrottledPastDeadline));
    }
}

mod bookkeeping {
    use super::*;

    #[test]
    fn regression_a_hop_that_is_left_over_steps_no_other_job() {
        let mut world = World::new(every_second(), 2);
        let handles = world.insert(2);
        let FleetAction::Send { id: first, .. } = world.fleet.poll(START) else { panic!() };
        let FleetAction::Send { id: second, .. } = world.fleet.poll(START) else { panic!() };
        assert_eq!([first.job(), second.job()], *handles);
        world.fleet.handle_response(START, first, &response(302, &[("location", "/x")], ""));
        world.fleet.handle_response(START, second, &response(429, &[("retry-after", "30")], ""));
        world.fleet.stop(first.job(), START);
        // It takes the slot of the stopped job, and would look at once if the backend had not asked for patience.
        world.insert(1);
        world.poll(&mut |_, _| panic!("in a cool-down"));
    }

    #[test]
    fn regression_wakes_in_line_cost_neither_the_place_nor_memory() {
        let mut world = World::new(every_second(), 1);
        let handles = world.insert(4);
        world.poll(&mut |_, _| Reply::Never);
        let before = format!("{:?}", world.fleet).len();
        for _ in 0..1_000 {
            world.fleet.wake(handles[1], START);
            world.poll(&mut |_, _| unreachable!());
        }
        // A line of a thousand entries would show here.
        let after = format!("{:?}", world.fleet).len();
        assert!(after < before + 1_000, "{before} {after}");
        let mut order = Vec::new();
        world.run(|url, _| {
            order.push(url.to_owned());
            state("fired")
        });
        assert!(order[0].ends_with("job-1") && order[1].ends_with("job-2"), "{order:?}");
    }

    /// A redirect answered, the rest of the attempt's time spent asleep: no request was broken.
    #[test]
    fn regression_an_attempt_that_expires_between_hops_is_no_failed_request() {
        let mut world = World::new(every_second(), 1);
        world.insert(1);
        world.poll(&mut |_, _| answer(302, &[("location", "/x")], ""));
        world.clock = at(millis(100));
        world.arrive();
        world.clock = at(secs(50));
        world.run(|_, _| state("fired"));
        assert_eq!((world.sent.len(), world.fleet.stats().failed_requests), (2, 0));
    }

    #[test]
    fn regression_time_that_goes_backwards_is_no_time() {
        let mut world = World::new(every_second(), 4);
        world.insert(8);
        world.poll(&mut |_, _| state("queued"));
        world.clock = at(millis(100));
        world.arrive();
        let clock = world.clock;
        world.clock = Timestamp::from_secs(5);
        let later = world.insert(1)[0];
        let FleetAction::Send { id, .. } = world.fleet.poll(Timestamp::UNIX_EPOCH) else { panic!() };
        world.sent.push((clock, id.job(), String::new()));
        world.fleet.handle_error(Timestamp::UNIX_EPOCH, id, &TransportError::new(LookError::Disconnected, ""));
        world.clock = clock;
        world.run(|_, _| state("fired"));
        assert_eq!(world.outcomes(), [Outcome::Succeeded; 9]);
        assert!(world.finished[&later].elapsed < secs(10));
    }
}

mod histories {
    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u8),
        /// Answers the request on the wire that the index names.
        Answer(usize, Kind),
        /// Answers a request that was answered or given up before.
        Late(usize, Kind),
        Stop(usize),
        Wake(usize),
        Advance(Duration),
        Back(Duration),
        Limit(usize),
        Poll,
        Snapshot(usize),
    }

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Running,
        Hinted(u8),
        Fired,
        Cracked,
        Missing,
        Redirect(u8),
        Broken,
        Unavailable(u8),
        Throttled(Option<u8>),
        Exhausted(u8),
        Malformed,
        Disconnected,
    }

    impl Kind {
        fn response(self) -> Result<Response<Vec<u8>>, LookError> {
            let retry =
                |status, seconds: u8, body: &str| response(status, &[("retry-after", &seconds.to_string())], body);
            Ok(match self {
                Self::Running => response(200, &[], r#"{"state":"Heating"}"#),
                Self::Hinted(seconds) => retry(200, seconds, r#"{"state":"Heating"}"#),
                Self::Fired => response(200, &[], r#"{"state":"fired"}"#),
                Self::Cracked => response(200, &[], r#"{"state":"cracked"}"#),
                Self::Missing => response(404, &[], ""),
                Self::Redirect(n) => response(302, &[("location", &format!("/v1/x/{n}"))], ""),
                Self::Broken => response(502, &[], "<html>"),
                Self::Unavailable(seconds) => retry(503, seconds, ""),
                Self::Throttled(Some(seconds)) => retry(429, seconds, ""),
                Self::Throttled(None) => response(429, &[], ""),
                Self::Exhausted(seconds) => {
                    response(200, &[("ratelimit", &format!("a;r=0;t={seconds}"))], r#"{"state":"Heating"}"#)
                }
                Self::Malformed => response(200, &[], "<html>"),
                Self::Disconnected => return Err(LookError::Disconnected),
            })
        }

        fn cools(self) -> Option<Duration> {
            match self {
                Self::Unavailable(seconds) | Self::Throttled(Some(seconds)) | Self::Exhausted(seconds) => {
                    Some(secs(seconds.into()))
                }
                _ => None,
            }
        }
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            4 => Just(Kind::Running),
            1 => (0_u8..30).prop_map(Kind::Hinted),
            2 => Just(Kind::Fired),
            1 => Just(Kind::Cracked),
            1 => Just(Kind::Missing),
            3 => (0_u8..4).prop_map(Kind::Redirect),
            2 => Just(Kind::Broken),
            1 => (0_u8..40).prop_map(Kind::Unavailable),
            1 => prop::option::of(0_u8..90).prop_map(Kind::Throttled),
            1 => (0_u8..20).prop_map(Kind::Exhausted),
            1 => Just(Kind::Malformed),
            1 => Just(Kind::Disconnected),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            2 => (1_u8..6).prop_map(Op::Insert),
            8 => (any::<usize>(), kind()).prop_map(|(which, kind)| Op::Answer(which, kind)),
            1 => (any::<usize>(), kind()).prop_map(|(which, kind)| Op::Late(which, kind)),
            1 => any::<usize>().prop_map(Op::Stop),
            2 => any::<usize>().prop_map(Op::Wake),
            4 => (0_u64..3_000).prop_map(|ms| Op::Advance(millis(ms))),
            1 => (0_u64..200).prop_map(|s| Op::Advance(secs(s))),
            1 => (0_u64..5_000).prop_map(|ms| Op::Back(millis(ms))),
            1 => (0_usize..6).prop_map(Op::Limit),
            8 => Just(Op::Poll),
            1 => any::<usize>().prop_map(Op::Snapshot),
        ]
    }

    /// What must hold, counted beside the fleet.
    struct Ledger {
        fleet: Fleet,
        clock: Timestamp,
        /// The greatest instant that the fleet has heard of.
        latest: Timestamp,
        limit: usize,
        cool_until: Timestamp,
        handles: Vec<JobHandle>,
        all: HashSet<JobHandle>,
        open: HashMap<JobHandle, (RequestId, Timestamp)>,
        /// Every job with a place taken.
        old: Vec<RequestId>,
        finished: HashMap<JobHandle, Finished>,
        sent: u64,
        by_job: HashMap<JobHandle, u64>,
    }

    impl Ledger {
        fn new(limit: usize) -> Self {
            let policy = every_second().with_total_timeout(secs(300)).with_attempt_timeout(secs(10)).build().unwrap();
            Self {
                fleet: Fleet::new(Arc::new(kiln()), Arc::new(policy), &mut rng(3)).with_max_in_flight(limit),
                clock: START,
                latest: Timestamp::UNIX_EPOCH,
                limit,
                cool_until: Timestamp::UNIX_EPOCH,
                handles: Vec::new(),
                all: HashSet::new(),
                open: HashMap::new(),
                old: Vec::new(),
                finished: HashMap::new(),
                sent: 0,
                by_job: HashMap::new(),
            }
        }

        fn hear(&mut self) -> Timestamp {
            self.latest = self.latest.max(self.clock);
            self.clock
        }

        fn pick(&self, which: usize) -> Option<JobHandle> {
            (!self.handles.is_empty()).then(|| self.handles[which % self.handles.len()])
        }

        fn apply(&mut self, op: &Op) {
            match *op {
                Op::Insert(count) => {
                    for _ in 0..count {
                        let now = self.hear();
                        let handle = self.fleet.insert(job("a"), now);
                        assert!(self.all.insert(handle), "a handle that named another job");
                        self.handles.push(handle);
                    }
                }
                Op::Answer(which, kind) => {
                    let mut open: Vec<_> = self.open.values().map(|(id, _)| *id).collect();
                    open.sort_by_key(|id| self.handles.iter().position(|handle| *handle == id.job()));
                    if !open.is_empty() {
                        let id = open[which % open.len()];
                        self.answer(id, kind);
                    }
                }
                Op::Late(which, kind) => {
                    if !self.old.is_empty() {
                        let (now, id) = (self.hear(), self.old[which % self.old.len()]);
                        let seen = |fleet: &Fleet| (fleet.stats().bytes, fleet.stats().failed_requests);
                        let before = seen(&self.fleet);
                        match kind.response() {
                            Ok(response) => self.fleet.handle_response(now, id, &response),
                            Err(error) => self.fleet.handle_error(now, id, &TransportError::new(error, "")),
                        }
                        assert_eq!(seen(&self.fleet), before);
                    }
                }
                Op::Stop(which) => {
                    if let Some(handle) = self.pick(which) {
                        let now = self.hear();
                        let is_there = !self.finished.contains_key(&handle);
                        assert_eq!(self.fleet.stop(handle, now), is_there);
                        self.close(handle);
                        self.drain();
                        if is_there {
                            assert_eq!(self.finished[&handle].outcome, Outcome::Stopped);
                        }
                    }
                }
                Op::Wake(which) => {
                    if let Some(handle) = self.pick(which) {
                        let now = self.hear();
                        assert_eq!(self.fleet.wake(handle, now), !self.finished.contains_key(&handle));
                        if self.open.get(&handle).is_some_and(|(_, expires)| *expires <= self.latest) {
                            self.close(handle);
                        }
                    }
                }
                Op::Snapshot(which) => {
                    if let Some(handle) = self.pick(which) {
                        assert_eq!(self.fleet.snapshot(handle).is_some(), !self.finished.contains_key(&handle));
                    }
                }
                Op::Advance(by) => self.clock = self.clock.saturating_add(by),
                Op::Back(by) => self.clock = self.clock.saturating_sub(by),
                Op::Limit(limit) => {
                    self.limit = limit.max(1);
                    self.fleet.set_max_in_flight(limit);
                }
                Op::Poll => {
                    self.poll();
                }
            }
            self.drain();
            self.check();
            self.check_handles();
        }

        fn close(&mut self, handle: JobHandle) {
            if let Some((id, _)) = self.open.remove(&handle) {
                self.old.push(id);
            }
        }

        fn answer(&mut self, id: RequestId, kind: Kind) {
            let now = self.hear();
            match kind.response() {
                Ok(response) => self.fleet.handle_response(now, id, &response),
                Err(error) => self.fleet.handle_error(now, id, &TransportError::new(error, "")),
            }
            if let Some(cool_down) = kind.cools() {
                self.cool_until = self.cool_until.max(self.latest.saturating_add(cool_down));
            }
            self.close(id.job());
        }

        /// Everything that is to be sent now; then when to come again.
        fn poll(&mut self) -> Option<Timestamp> {
            loop {
                let now = self.hear();
                let action = self.fleet.poll(now);
                let expired: Vec<_> = self
                    .open
                    .iter()
                    .filter(|(_, (_, expires))| *expires <= self.latest)
                    .map(|(handle, _)| *handle)
                    .collect();
                for handle in expired {
                    self.close(handle);
                }
                self.drain();
                match action {
                    FleetAction::Send { id, request, timeout } => {
                        assert!(self.latest >= self.cool_until, "sent in a cool-down");
                        assert!(!self.finished.contains_key(&id.job()), "sent for a job that has ended");
                        self.sent += 1;
                        *self.by_job.entry(id.job()).or_default() += 1;
                        self.open.insert(id.job(), (id, self.latest.saturating_add(timeout)));
                        // A redirect is followed in the place that the job has, though the limit may be lower now.
                        let is_hop = request.uri().path().starts_with("/v1/x/");
                        assert!(is_hop || self.open.len() <= self.limit, "more under way than allowed");
                    }
                    FleetAction::Sleep { until } => {
                        assert!(until > self.latest, "a sleep that is over before it begins");
                        return Some(until);
                    }
                    FleetAction::Renew => panic!("nobody can renew"),
                    FleetAction::Idle => {
                        assert_eq!(self.finished.len(), self.all.len());
                        return None;
                    }
                }
            }
        }

        fn drain(&mut self) {
            while let Some(event) = self.fleet.next_event() {
                if let FleetEvent::Finished { handle, finished } = event {
                    self.close(handle);
                    assert!(self.all.contains(&handle));
                    assert_eq!(u64::from(finished.requests), self.by_job.get(&handle).copied().unwrap_or_default());
                    assert!(self.finished.insert(handle, *finished).is_none(), "two ends of one job");
                }
            }
        }

        fn check(&self) {
            let stats = self.fleet.stats();
            assert_eq!(stats.requests, self.sent);
            assert_eq!(self.fleet.len() + self.finished.len(), self.all.len());
            assert_eq!(stats.outcomes.total(), self.finished.len() as u64);
            assert!(stats.failed_requests <= stats.requests && stats.throttled_requests <= stats.failed_requests);
        }

        fn check_handles(&self) {
            let there: HashSet<_> = self.fleet.jobs().map(|(handle, _)| handle).collect();
            assert!(there.iter().all(|handle| self.all.contains(handle) && !self.finished.contains_key(handle)));
        }
    }

    proptest! {
        #![proptest_config(http_support::cases(150))]

        #[test]
        fn whatever_happens(ops in prop::collection::vec(op(), 1..150), limit in 1_usize..6, end in prop_oneof![Just(None), kind().prop_map(Some)]) {
            let mut ledger = Ledger::new(limit);
            for op in ops {
                ledger.apply(&op);
            }
            // Driving time forward ends every wait, even where the backend answers the same for ever or never.
            ledger.clock = ledger.latest;
            let began = ledger.clock;
            let mut turns = 0;
            while let Some(until) = ledger.poll() {
                turns += 1;
                assert!(turns < 100_000, "this does not end");
                let mut open: Vec<_> = ledger.open.values().map(|(id, _)| *id).collect();
                open.sort_by_key(|id| ledger.handles.iter().position(|handle| *handle == id.job()));
                match end {
                    Some(kind) if !open.is_empty() => {
                        ledger.clock = ledger.clock.saturating_add(millis(500)).min(until);
                        for id in open {
                            ledger.answer(id, kind);
                        }
                    }
                    _ => ledger.clock = until,
                }
                ledger.drain();
                ledger.check();
            }
            prop_assert_eq!(ledger.finished.len(), ledger.all.len());
            // Deadline, the final look's grace before it finds room, and the look itself.
            prop_assert!(ledger.clock <= began.saturating_add(secs(300 + 5 + 10)), "{:?}", ledger.clock.saturating_since(began));
            let sum = |count: fn(&Finished) -> u32| ledger.finished.values().map(|job| u64::from(count(job))).sum::<u64>();
            prop_assert_eq!(ledger.fleet.stats().requests, sum(|job| job.requests));
            prop_assert_eq!(ledger.fleet.stats().failed_requests, sum(|job| job.failed_requests));
        }
    }

    proptest! {
        #![proptest_config(http_support::cases(20))]

        /// Nobody starves: who is due waits for those before him in line, and for nobody else.
        #[test]
        fn nobody_starves(jobs in 1_usize..40, most in 1_usize..4) {
            let mut world = World::new(every_second(), most);
            world.insert(jobs);
            world.run(|_, time| if time < secs(60) { state("queued") } else { state("fired") });
            let line = millis(100) * u32::try_from(jobs.div_ceil(most)).unwrap();
            let mut last: HashMap<JobHandle, Timestamp> = HashMap::new();
            for (time, handle, _) in &world.sent {
                let gap = time.saturating_since(last.insert(*handle, *time).unwrap_or(START));
                prop_assert!(gap <= millis(1_100) + line, "{gap:?}");
            }
            prop_assert_eq!(world.finished.len(), jobs);
        }
    }
}
