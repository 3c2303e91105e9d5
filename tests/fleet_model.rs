//! Any history of a fleet, beside plain models: lists of jobs without packing, heaps or timers.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod fleet_support;
mod http_support;

#[path = "fleet_model/histories.rs"]
mod histories;
#[path = "fleet_model/list_alone.rs"]
mod list_alone;
#[path = "fleet_model/list_answers.rs"]
mod list_answers;
#[path = "fleet_model/list_check.rs"]
mod list_check;
#[path = "fleet_model/list_company.rs"]
mod list_company;
#[path = "fleet_model/list_duo.rs"]
mod list_duo;
#[path = "fleet_model/list_job.rs"]
mod list_job;
#[path = "fleet_model/list_key.rs"]
mod list_key;
#[path = "fleet_model/list_lane.rs"]
mod list_lane;
#[path = "fleet_model/list_next.rs"]
mod list_next;
#[path = "fleet_model/list_reference.rs"]
mod list_reference;
#[path = "fleet_model/list_says.rs"]
mod list_says;
#[path = "fleet_model/lists.rs"]
mod lists;
#[path = "fleet_model/model.rs"]
mod model;
#[path = "fleet_model/plans.rs"]
mod plans;
#[path = "fleet_model/twins.rs"]
mod twins;

use fleet_support::World;
use http_support::{Reply, START, every_second, kiln, millis, response};
use jobwatch::{FleetEvent, Outcome};

/// Undrained changes are kept in order as long as they are few; of very many at least the last of each job.
#[test]
fn regression_news_that_nobody_drains_take_no_memory() {
    let mut world = World::new(kiln(), every_second());
    let handles = world.insert(3);
    let mut flips = 0;
    for _ in 0..3_000 {
        let action = world.fleet.poll(world.clock);
        if let jobwatch::FleetAction::Sleep { until } = action {
            world.clock = until;
        } else if let jobwatch::FleetAction::Send { id, .. } = action {
            flips += 1;
            let word = format!(r#"{{"state":"phase {flips}"}}"#);
            world.fleet.handle_response(world.clock, id, &response(200, &[], word));
        }
    }
    assert!(flips > 1_000);
    let mut news = Vec::new();
    while let Some(event) = world.fleet.next_event() {
        news.push(event);
    }
    assert!(news.len() <= 4 * 3 + 64 + 2, "{}", news.len());
    for handle in handles {
        let last = news.iter().rev().find_map(|event| match event {
            FleetEvent::Changed { handle: of, state } if *of == handle => Some(state.as_str()),
            _ => None,
        });
        assert_eq!(last, world.fleet.progress(handle).unwrap().state);
    }
}

/// As long as they are few, and four each are few, nobody misses one: here each job has two unknown words, each told twice.
#[test]
fn every_change_of_a_while_is_kept_in_its_order() {
    let mut world = World::new(kiln(), every_second()).limits(100, None);
    let handles = world.insert(100);
    for round in 0..2 {
        while let jobwatch::FleetAction::Send { id, .. } = world.fleet.poll(world.clock) {
            let word = format!(r#"{{"state":"phase {round}"}}"#);
            world.fleet.handle_response(world.clock, id, &response(200, &[], word));
        }
        world.clock = world.clock.saturating_add(http_support::secs(1));
    }
    world.drain();
    for handle in handles {
        let words: Vec<_> = world.changes.iter().filter(|(of, _)| *of == handle).map(|(_, word)| word).collect();
        assert_eq!(words, ["phase 0", "phase 1"]);
    }
}

/// Who adds jobs and takes them out again, and never asks for news, is told nothing and keeps nothing.
#[test]
fn regression_news_of_jobs_that_were_taken_out_took_memory() {
    let mut world = World::new(kiln(), every_second());
    for number in 0..1_000 {
        let handle = world.fleet.insert(http_support::job(&format!("job-{number}")), world.clock);
        while let jobwatch::FleetAction::Send { id, .. } = world.fleet.poll(world.clock) {
            world.fleet.handle_response(world.clock, id, &response(200, &[], r#"{"state":"glowing"}"#));
        }
        world.fleet.remove(handle).unwrap();
        world.clock = world.clock.saturating_add(millis(100));
    }
    let kept = world.fleet.kept();
    assert!(kept.news <= 4 + 64 + 2 && kept.places == 1, "{kept:?}");
}

/// A lane whose only place is taken for long, and jobs of another that are led there, look after look.
#[test]
fn regression_further_requests_that_nobody_waits_for_took_memory() {
    let backend = kiln().with_allowed_origin(model::ABROAD).unwrap();
    let quick = every_second().with_min_delay(millis(10)).with_attempt_timeout(millis(10));
    let quick =
        quick.with_failure_backoff(millis(10), millis(10)).with_max_consecutive_failures(100_000).build().unwrap();
    let slow = every_second().with_attempt_timeout(http_support::secs(60)).build().unwrap();
    let mut fleet = jobwatch::Fleet::new(backend.into(), quick.into(), &mut http_support::rng(5));
    fleet = fleet.with_max_in_flight(1).with_rate(None);
    let class = fleet.add_class("slow", slow.into());
    fleet.insert_in(class, http_support::job("slow"), START);
    assert!(matches!(fleet.poll(START), jobwatch::FleetAction::Send { .. }));
    let here = http_support::job(&format!("{}/firings/quick", model::ABROAD));
    fleet.insert(here, START);
    let (mut now, mut looks) = (START, 0);
    while now < http_support::at(http_support::secs(20)) {
        match fleet.poll(now) {
            jobwatch::FleetAction::Send { id, .. } => {
                looks += 1;
                let to = [("location", "https://api.example.com/v1/firings/quick")];
                fleet.handle_response(now, id, &response(302, &to, ""));
            }
            jobwatch::FleetAction::Sleep { until } => now = until,
            action => panic!("{action:?}"),
        }
    }
    let kept = fleet.kept();
    assert!(looks > 500 && kept.in_line <= 2 * 2 + 64 + 1, "{looks} looks, {kept:?}");
}

/// Taken out without a word: what it has been through before is nobody's news.
#[test]
fn regression_a_removed_job_is_not_heard_of_again() {
    let mut world = World::new(kiln(), every_second());
    let handles = world.insert(2);
    let jobwatch::FleetAction::Send { id, .. } = world.fleet.poll(START) else { panic!() };
    world.fleet.handle_response(START, id, &response(200, &[], r#"{"state":"queued"}"#));
    world.fleet.remove(handles[0]).unwrap();
    assert!(world.fleet.next_event().is_none());
}

/// Snapshots do not tell the class; whoever takes them up does.
#[test]
fn regression_a_job_is_resumed_in_its_class() {
    let mut world = World::new(kiln(), every_second());
    let patient = every_second().with_min_delay(http_support::secs(30)).build().unwrap();
    let class = world.fleet.add_class("patient", patient.into());
    let handle = world.fleet.insert_in(class, http_support::job("slow"), START);
    let queued = || Reply::Answer(millis(100), response(200, &[], r#"{"state":"queued"}"#));
    world.run_until(http_support::at(millis(500)), &mut |_| queued());
    let snapshot = world.fleet.remove(handle).unwrap();
    world.fleet.resume_in(class, snapshot, world.clock).unwrap();
    world.run(&mut |sent| {
        assert!(sent.time() < millis(1) || sent.time() >= millis(30_100));
        if sent.time() > millis(1) {
            Reply::Answer(millis(1), response(200, &[], r#"{"state":"fired"}"#))
        } else {
            queued()
        }
    });
    assert_eq!(world.ended(Outcome::Succeeded), 1);
}
