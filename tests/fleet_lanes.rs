//! Lanes: limits, throttles and outages are an origin's own, wherever its requests come from.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod fleet_support;
mod http_support;

use core::ops::Range;
use core::time::Duration;

use fleet_support::{Sent, World};
use http_support::{BASE, KILN, Reply, START, at, dialect, every_second, job, kiln, millis, response, secs};
use jobwatch::{Backend, LookError, Outcome, RateLimit, Stats, Timestamp};
use proptest::prelude::*;

const HOME: &str = "https://api.example.com";
const ABROAD: &str = "https://b.example.com";
const FAR: &str = "https://c.example.com:8443";

fn backend() -> Backend {
    kiln().with_allowed_origin(ABROAD).unwrap().with_allowed_origin(FAR).unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Answer(millis(100), response(status, headers, body))
}

fn state(word: &str) -> Reply {
    answer(200, &[], &format!(r#"{{"state":"{word}"}}"#))
}

/// So many jobs here and so many there.
fn world(home: usize, abroad: usize) -> World {
    let mut world = World::new(backend(), every_second());
    world.insert(home);
    for n in 0..abroad {
        world.insert_one(&format!("{ABROAD}/x/job-{n}"));
    }
    world
}

fn is_abroad(sent: &Sent) -> bool {
    sent.origin() == ABROAD
}

fn check_sums(world: &World) {
    let sum = |count: fn(&Stats) -> u64| world.fleet.stats_by_origin().map(|(_, stats)| count(stats)).sum::<u64>();
    let all = world.fleet.stats();
    assert_eq!(sum(|stats| stats.requests), all.requests);
    assert_eq!(sum(|stats| stats.failed_requests), all.failed_requests);
    assert_eq!(sum(|stats| stats.throttled_requests), all.throttled_requests);
    assert_eq!(sum(|stats| stats.hints), all.hints);
    assert_eq!(sum(|stats| stats.bytes), all.bytes);
    assert_eq!(sum(|stats| stats.outcomes.total()), all.outcomes.total());
    assert_eq!(sum(|stats| stats.response_time.count()), all.response_time.count());
    assert_eq!(world.fleet.stats_by_origin().next().unwrap().0, HOME);
    for (origin, stats) in world.fleet.stats_by_origin() {
        let sent = world.sent.iter().filter(|sent| sent.origin() == origin).count();
        assert_eq!(stats.requests, sent as u64, "{origin}");
    }
}

#[test]
fn a_throttle_there_does_not_silence_us_here() {
    let mut world = world(20, 20);
    world.run(&mut |sent| match (is_abroad(sent), sent.time()) {
        (true, time) if time < secs(1) => answer(429, &[("retry-after", "60")], ""),
        (true, time) => {
            assert!(time >= secs(60), "during a throttle");
            state("fired")
        }
        (false, time) => state(if time > secs(10) { "fired" } else { "Heating" }),
    });
    assert_eq!(world.ended(Outcome::Succeeded), 40);
    let home: Vec<_> = world.sent.iter().filter(|sent| !is_abroad(sent)).map(Sent::time).collect();
    assert!(*home.iter().max().unwrap() < secs(14));
    assert_eq!(world.sent.iter().filter(|sent| is_abroad(sent) && sent.time() < secs(60)).count(), 16);
    check_sums(&world);
}

#[test]
fn an_outage_there_is_none_here() {
    let mut world = world(20, 20);
    world.run(&mut |sent| match (is_abroad(sent), sent.time()) {
        (true, time) if time > secs(2) && time < secs(120) => Reply::Error(millis(10), LookError::Unreachable),
        (true, time) => state(if time > secs(10) { "fired" } else { "Heating" }),
        (false, time) => state(if time > secs(60) { "fired" } else { "Heating" }),
    });
    assert_eq!(world.ended(Outcome::Succeeded), 40);
    // Here everybody looks every second, and there one probe does.
    let home = world.sent.iter().filter(|sent| !is_abroad(sent)).count();
    assert!(home >= 20 * 55, "{home}");
    let abroad = world.sent.iter().filter(|sent| is_abroad(sent) && sent.time() > secs(10) && sent.time() < secs(120));
    assert!(abroad.count() <= 110);
    check_sums(&world);
}

#[test]
fn each_lane_has_its_own_places_and_its_own_rate() {
    let rate = RateLimit::per_second(10.0).unwrap().with_burst(2);
    let mut world = world(30, 30).limits(3, Some(rate));
    world.run(&mut |sent| state(if sent.time() > secs(8) { "fired" } else { "Heating" }));
    assert_eq!(world.ended(Outcome::Succeeded), 60);
    // Both go at their full rate at the same time.
    for lane in [HOME, ABROAD] {
        let before = world.sent.iter().filter(|sent| sent.origin() == lane && sent.time() < secs(5)).count();
        assert_eq!(before, 51, "{lane}");
    }
    check_sums(&world);
}

/// Where jobs are due in several lanes, none of them sends all of its requests before the others send one.
#[test]
fn lanes_take_turns() {
    let mut world = world(3, 3);
    for n in 0..3 {
        world.insert_one(&format!("{FAR}/x/job-{n}"));
    }
    world.poll(&mut |_| state("fired"));
    let origins: Vec<_> = world.sent.iter().map(Sent::origin).collect();
    assert_eq!(origins, [HOME, ABROAD, FAR].repeat(3));
}

/// Every look is led elsewhere from here: an outage here is over once that works again, and nobody gives up.
#[test]
fn regression_an_outage_went_on_where_all_answers_are_redirects() {
    for status in [302, 308] {
        let mut world = World::new(backend(), every_second().with_min_delay(secs(10)));
        world.insert(40);
        let outage = secs(15)..secs(120);
        world.run_until(START.saturating_add(secs(1_300)), &mut |sent| match (is_abroad(sent), sent.time()) {
            (false, time) if outage.contains(&time) => answer(502, &[], ""),
            (false, _) => answer(status, &[("location", &format!("{ABROAD}/y/{}", sent.ids[0]))], ""),
            (true, _) => state("Heating"),
        });
        assert_eq!(world.fleet.len(), 40, "{:?}", world.finished.values().next());
        // A newcomer is led there as soon as ever, among others.
        let before = world.sent.len();
        for n in 40..56 {
            world.insert_one(&format!("job-{n}"));
        }
        let clock = world.clock;
        world.run_until(clock.saturating_add(millis(50)), &mut |_| answer(502, &[], ""));
        let at_once = world.sent[before..].iter().filter(|sent| !is_abroad(sent)).count();
        assert_eq!(at_once, 16, "{status}");
    }
}

/// A redirect is asked of another server: it is that one's places and rate which it takes.
#[test]
fn regression_a_redirect_counts_where_it_goes() {
    let rate = RateLimit::per_second(5.0).unwrap().with_burst(1);
    let mut world = world(40, 5).limits(2, Some(rate));
    let there = format!("{ABROAD}/y");
    world.run(&mut |sent| match (is_abroad(sent), sent.time()) {
        (false, _) => answer(302, &[("location", &format!("{there}/{}", sent.ids[0]))], ""),
        (true, time) => state(if time > secs(4) { "fired" } else { "Heating" }),
    });
    assert_eq!(world.ended(Outcome::Succeeded), 45);
    check_sums(&world);
}

/// The throttle of the server that was redirected to is that server's, and not of the one that pointed there.
#[test]
fn regression_a_throttle_after_a_redirect_cools_where_it_came_from() {
    let mut world = world(2, 1);
    world.run(&mut |sent| match (is_abroad(sent), sent.time()) {
        (false, Duration::ZERO) if sent.ids == ["job-0"] => answer(302, &[("location", &format!("{ABROAD}/y"))], ""),
        (false, time) => state(if time > secs(20) { "fired" } else { "Heating" }),
        (true, time) if sent.url.path() == "/y" => {
            assert!(time < secs(1) || time > secs(30));
            if time < secs(1) { answer(429, &[("retry-after", "30")], "") } else { state("fired") }
        }
        (true, time) => {
            assert!(time < secs(1) || time >= millis(30_200), "during a throttle: {time:?}");
            state(if time > secs(2) { "fired" } else { "Heating" })
        }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 3);
    let looks = world.alone("job-1").count();
    assert!(looks >= 18, "silenced by another server's throttle: {looks}");
    check_sums(&world);
}

#[test]
fn a_job_that_moves_takes_its_looks_along() {
    let mut world = world(6, 0);
    world.run(&mut |sent| match (sent.origin().as_str(), sent.time()) {
        (HOME, _) => answer(308, &[("location", &format!("{ABROAD}/z/{}", sent.ids[0]))], ""),
        (_, time) => state(if time > secs(5) { "fired" } else { "Heating" }),
    });
    assert_eq!(world.ended(Outcome::Succeeded), 6);
    let mut by_origin = world.fleet.stats_by_origin().map(|(origin, stats)| (origin, stats.outcomes.total()));
    assert_eq!(by_origin.next(), Some((HOME, 0)));
    assert_eq!(by_origin.next(), Some((ABROAD, 6)));
    assert_eq!(world.sent.iter().filter(|sent| !is_abroad(sent)).count(), 6);
    check_sums(&world);
}

/// A result that is asked for by itself counts where it is.
#[test]
fn regression_a_result_counts_where_it_is() {
    let text = KILN.replace("pointer = \"/vase\"", "follow = \"/vase\"");
    let backend = Backend::new(dialect(&text), Some(BASE)).unwrap().with_allowed_origin(ABROAD).unwrap();
    let rate = RateLimit::per_second(5.0).unwrap().with_burst(1);
    let mut world = World::new(backend, every_second()).limits(1, Some(rate));
    world.insert(10);
    for n in 0..5 {
        world.insert_one(&format!("{ABROAD}/x/other-{n}"));
    }
    world.run(&mut |sent| match is_abroad(sent) {
        false => answer(200, &[], &format!(r#"{{"state":"fired","vase":"{ABROAD}/vases/{}"}}"#, sent.ids[0])),
        true if sent.url.path().starts_with("/x/") => state("cracked"),
        true => answer(200, &[], r#""glazed""#),
    });
    assert_eq!((world.ended(Outcome::Succeeded), world.ended(Outcome::Failed)), (10, 5));
    check_sums(&world);
}

#[test]
fn what_may_not_be_asked_has_no_lane() {
    let mut world = World::new(kiln(), every_second());
    world.insert_one("https://evil.example.com/x/1");
    world.insert_one("http://api.example.com/v1/firings/1");
    world.run(&mut |_| panic!("with our key"));
    assert_eq!((world.ended(Outcome::Rejected), world.fleet.stats_by_origin().count()), (2, 1));
}

/// Refused credentials are the same everywhere, and so are new ones.
#[test]
fn a_renewal_holds_in_every_lane() {
    let mut world = world(4, 4).with_renewal();
    let until = world.poll(&mut |_| answer(401, &[], "")).unwrap();
    world.pass_until(until);
    world.poll(&mut |_| panic!("before the renewal"));
    assert_eq!(world.renewals_wanted, 1);
    let renewed = backend().renewed([("x-api-key", "new")]).unwrap();
    world.fleet.renewed(world.clock, Ok(renewed.into()));
    world.run(&mut |_| state("fired"));
    assert_eq!((world.ended(Outcome::Succeeded), world.renewals_wanted, world.sent.len()), (8, 1, 16));
    check_sums(&world);
}

#[test]
fn a_hundred_and_more_origins_are_asked_at_home_in_the_end() {
    let allow = |backend: Backend, n: usize| backend.with_allowed_origin(&format!("https://n{n}.example.com")).unwrap();
    let backend = (0..300).fold(kiln(), allow);
    let mut world = World::new(backend, every_second()).limits(1_000, None);
    for n in 0..300 {
        world.insert_one(&format!("https://n{n}.example.com/x/1"));
    }
    world.run(&mut |_| state("fired"));
    assert_eq!((world.ended(Outcome::Succeeded), world.fleet.stats_by_origin().count()), (300, 256));
}

/// An entry of a line is left behind by one who left; whoever has the slot next, and moves abroad, is not sent from it.
#[test]
fn regression_a_place_in_a_line_here_sends_nobody_there() {
    let mut world = world(3, 0).limits(1, None);
    let silent = |_: &Sent| Reply::Never;
    world.poll(&mut { silent });
    let handles: Vec<_> = world.fleet.jobs().map(|(handle, _)| handle).collect();
    world.fleet.remove(handles[1]).unwrap();
    world.insert_one("job-3");
    world.run(&mut |sent| match (sent.ids[0].as_str(), sent.origin() == ABROAD, sent.time()) {
        ("job-3", false, _) => answer(308, &[("location", &format!("{ABROAD}/z/job-3"))], ""),
        (_, _, time) if time < secs(60) => Reply::Never,
        _ => state("fired"),
    });
    assert_eq!(world.ended(Outcome::Succeeded), 3);
    check_sums(&world);
}

/// A further request that found no room abroad is given up with its attempt: a throttle there is none of the next one's
/// business, which asks at home.
#[test]
fn a_throttle_holds_nobody_whose_request_has_left_the_line() {
    let mut world = World::new(backend(), every_second().with_attempt_timeout(secs(3))).limits(1, None);
    world.insert(1);
    let patient = every_second().with_attempt_timeout(secs(60)).build().unwrap();
    let patient = world.fleet.add_class("patient", patient.into());
    world.fleet.insert_in(patient, job(&format!("{ABROAD}/x/job-0")), world.clock);
    world.run_until(at(secs(40)), &mut |sent| match (is_abroad(sent), sent.time()) {
        (true, _) => Reply::Answer(secs(10), response(429, &[("retry-after", "60")], "")),
        (false, Duration::ZERO) => answer(302, &[("location", &format!("{ABROAD}/y"))], ""),
        (false, _) => Reply::Answer(millis(2_900), response(200, &[], r#"{"state":"Heating"}"#)),
    });
    assert!(world.sent.iter().all(|sent| sent.url.path() != "/y"), "there was no room for it");
    let looks: Vec<_> = world.sent.iter().filter(|sent| !is_abroad(sent)).map(Sent::time).collect();
    assert!(looks.windows(2).skip(1).all(|pair| pair[1].saturating_sub(pair[0]) == millis(3_900)), "{looks:?}");
    assert!(looks.len() >= 9, "{looks:?}");
}

/// Who is handed over while its redirect waits for room abroad asks anew: at home, and when there is room.
#[test]
fn regression_who_was_handed_over_between_requests_looked_at_home_in_a_place_abroad() {
    let mut world = world(0, 1).limits(1, None);
    let moved = world.insert_one("job-1");
    let abroad = format!("{ABROAD}/y");
    world.run_until(at(secs(1)), &mut |sent| {
        if is_abroad(sent) {
            Reply::Answer(secs(5), response(200, &[], r#"{"state":"fired"}"#))
        } else {
            answer(302, &[("location", &abroad)], "")
        }
    });
    world.insert_one("job-2");
    world.poll(&mut |_| Reply::Answer(secs(9), response(200, &[], r#"{"state":"fired"}"#)));
    let snapshot = world.fleet.remove(moved).unwrap();
    world.fleet.resume(snapshot, world.clock).unwrap();
    world.run(&mut |sent| {
        assert!(!is_abroad(sent) && sent.time() >= secs(10), "{sent:?}");
        state("fired")
    });
    assert_eq!(world.ended(Outcome::Succeeded), 3);
    check_sums(&world);
}

/// What a server does, for an arbitrary one.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Heat,
    Fire,
    Send(u8),
    Move(u8),
    Break,
    Throttle(u8),
    Exhaust(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => Just(Deed::Heat),
        2 => Just(Deed::Fire),
        4 => (0_u8..9).prop_map(Deed::Send),
        2 => (0_u8..9).prop_map(Deed::Move),
        1 => Just(Deed::Break),
        1 => (1_u8..9).prop_map(Deed::Throttle),
        1 => (1_u8..9).prop_map(Deed::Exhaust),
    ]
}

impl Deed {
    fn reply(self) -> Reply {
        let place = |n: u8| format!("{}/p/{n}", [HOME, ABROAD, FAR][usize::from(n) % 3]);
        match self {
            Self::Heat => state("Heating"),
            Self::Fire => state("fired"),
            Self::Send(n) => answer(302, &[("location", &place(n))], ""),
            Self::Move(n) => answer(308, &[("location", &place(n))], ""),
            Self::Break => answer(502, &[], ""),
            Self::Throttle(seconds) => answer(429, &[("retry-after", &seconds.to_string())], ""),
            Self::Exhaust(seconds) => {
                answer(200, &[("ratelimit", &format!("a;r=0;t={seconds}"))], r#"{"state":"Heating"}"#)
            }
        }
    }

    fn silence(self) -> Option<Duration> {
        match self {
            Self::Throttle(seconds) | Self::Exhaust(seconds) => Some(secs(seconds.into())),
            _ => None,
        }
    }
}

proptest! {
    #![proptest_config(http_support::cases(100))]

    /// Wherever jobs are sent: no lane's limits are exceeded, and nobody who asked for silence is asked.
    #[test]
    fn every_lane_keeps_its_limits_and_its_silence(
        deeds in prop::collection::vec(deed(), 1..60),
        limit in 1_usize..4,
        rate in prop::option::of(2.0_f64..20.0),
    ) {
        let rate = rate.map(|rate| RateLimit::per_second(rate).unwrap().with_burst(2));
        let policy = every_second().with_total_timeout(secs(90)).with_attempt_timeout(secs(15));
        let mut world = World::new(backend(), policy).limits(limit, rate);
        world.insert(6);
        for origin in [ABROAD, FAR] {
            for n in 0..3 {
                world.insert_one(&format!("{origin}/x/{n}"));
            }
        }
        let (mut asked, mut silences) = (0, Vec::new());
        world.run(&mut |sent| {
            let is_silent = |(origin, during): &(String, Range<Timestamp>)| {
                *origin == sent.origin() && during.contains(&sent.at)
            };
            assert!(!silences.iter().any(is_silent), "asked during a throttle");
            let deed = deeds[asked % deeds.len()];
            asked += 1;
            if let Some(time) = deed.silence() {
                let arrives = sent.at.saturating_add(millis(100));
                silences.push((sent.origin(), arrives..arrives.saturating_add(time)));
            }
            deed.reply()
        });
        prop_assert_eq!(world.finished.len(), 12);
        check_sums(&world);
    }
}
