//! Fleets that learn: what an ended job teaches, to whom, and what the others make of it.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod fleet_support;
mod http_support;

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use fleet_support::{Sent, World, build};
use http_support::{BASE, KILN, Reply, at, dialect, every_second, job, kiln, millis, response, rng, secs};
use jobwatch::learn::{History, Learner, Lesson, Since};
use jobwatch::play::{Peer, play};
use jobwatch::{Backend, ClassId, Fleet, JobRef, LookError, Outcome, Policy, PolicyBuilder, RateLimit, Spacing};
use rand_core::Rng;

/// What becomes of jobs, by their ids: when each is over, and by which word.
#[derive(Default)]
struct Kilns {
    over: HashMap<String, (Duration, &'static str)>,
}

impl Kilns {
    /// Starts a firing now, and has it waited for.
    fn fire(&mut self, world: &mut World, duration: Duration, word: &'static str) -> JobRef {
        let job = job(&format!("job-{}", self.over.len())).with_created_at(world.clock);
        self.over.insert(job.id().to_owned(), (world.clock.saturating_since(http_support::START) + duration, word));
        world.fleet.insert(job.clone(), world.clock);
        job
    }

    fn state(&self, id: &str, now: Duration) -> &'static str {
        let (over, word) = self.over[id];
        if now < over { "Heating" } else { word }
    }

    fn answer(&self, sent: &Sent) -> Reply {
        let now = sent.time();
        let body = if sent.bulk {
            let items = sent.ids.iter().map(|id| format!(r#"{{"id":"{id}","state":"{}"}}"#, self.state(id, now)));
            format!(r#"{{"items":[{}]}}"#, items.collect::<Vec<_>>().join(","))
        } else {
            format!(r#"{{"state":"{}"}}"#, self.state(&sent.ids[0], now))
        };
        Reply::Answer(millis(50), response(200, &[], body))
    }
}

fn learned() -> PolicyBuilder {
    Policy::builder().with_min_delay(millis(500)).with_max_delay(secs(30)).with_request_cost(secs(1))
}

fn durations(jobs: usize) -> Vec<Duration> {
    let mut rng = rng(3);
    (0..jobs).map(|_| millis(20_000 + rng.next_u64() % 20_000)).collect()
}

fn jobs_known(world: &World, since: Since) -> f64 {
    world.fleet.learner(ClassId::default(), since).map_or(0.0, |learner| learner.history().jobs())
}

/// The first twenty teach, the others profit: half the requests of the original client, a quarter of its delay.
#[test]
fn twenty_jobs_are_enough_to_know_when_to_look() {
    let durations = durations(120);
    let (mut world, mut kilns) = (World::new(kiln(), learned()), Kilns::default());
    let mut late = Duration::ZERO;
    for (number, duration) in durations.iter().enumerate() {
        let begin = world.clock;
        kilns.fire(&mut world, *duration, "fired");
        world.run(&mut |sent| kilns.answer(sent));
        if number >= 20 {
            late += world.clock.saturating_since(begin).saturating_sub(*duration);
        }
    }
    let asked = |job: usize| world.naming(&format!("job-{job}"));
    let requests: usize = (20..120).map(asked).sum();
    let theirs = play(&mut Peer::Tracker, &durations, &mut rng(4)).part(20..120);
    assert!(requests as u64 * 2 <= theirs.requests(), "{requests} of {}", theirs.requests());
    let late = late.as_secs_f64() / 100.0;
    assert!(late * 4.0 <= theirs.mean_delay(), "{late} of {}", theirs.mean_delay());
}

/// A wrong id or key shows at once where the job is somebody else's; one of our own making needs no such look.
#[test]
fn the_first_look_at_a_job_of_our_own_making_comes_by_the_plan() {
    let policy: Arc<Policy> = Arc::new(build(learned()));
    let mut history = History::new();
    (20..40).for_each(|end| _ = history.learn(&Lesson::ended(secs(end), secs(end))));
    let knows = |world: &mut World| {
        let learner = Learner::new(history.clone(), Arc::clone(&policy));
        world.fleet.set_learner(ClassId::default(), Since::Creation, learner);
    };
    let first = |job: JobRef, policy: PolicyBuilder| {
        let mut world = World::new(kiln(), policy);
        knows(&mut world);
        world.fleet.insert(job, world.clock);
        world.run_until(at(secs(35)), &mut |_| Reply::Answer(millis(50), response(200, &[], r#"{"state":"Heating"}"#)));
        world.sent[0].time()
    };
    let now = at(Duration::ZERO);
    assert_eq!(first(job("theirs"), learned()), Duration::ZERO);
    let ours = first(job("ours").with_created_at(now), learned());
    assert!((secs(15)..secs(31)).contains(&ours), "{ours:?}");
    // What has passed since has passed.
    let later = first(job("ours").with_created_at(now.saturating_sub(secs(10))), learned());
    assert!(later.abs_diff(ours.saturating_sub(secs(10))) < secs(1), "{later:?} after {ours:?}");
    assert_eq!(first(job("ours").with_created_at(now.saturating_sub(secs(100))), learned()), Duration::ZERO);
    // A first look that the policy sets is not touched, and neither are other schedules.
    let at_once = learned().with_first_look(jobwatch::FirstLook::AtOnce);
    assert_eq!(first(job("ours").with_created_at(now), at_once), Duration::ZERO);
    assert_eq!(first(job("ours").with_created_at(now), learned().with_factor(1.5)), Duration::ZERO);
}

#[test]
fn ages_since_creation_and_since_the_beginning_of_the_wait_are_learned_apart() {
    let (mut world, mut kilns) = (World::new(kiln(), learned()), Kilns::default());
    kilns.fire(&mut world, secs(25), "fired");
    kilns.over.insert("theirs".to_owned(), (secs(12), "cracked"));
    world.insert_one("theirs");
    world.run(&mut |sent| kilns.answer(sent));
    for (since, age) in [(Since::Creation, 25), (Since::PickUp, 12)] {
        assert!((jobs_known(&world, since) - 1.0).abs() < 1e-9);
        let learner = world.fleet.learner(ClassId::default(), since).unwrap();
        assert!(learner.history().survival(secs(age / 2)) > 0.5 && learner.history().survival(secs(age * 3)) < 0.5);
    }
}

/// What each end teaches: the interval in which it lay, the end that the backend tells, or that it is not over.
#[test]
fn lessons_of_every_outcome() {
    let policy = || learned().with_spacing(Spacing::Constant).with_min_delay(secs(10)).with_total_timeout(secs(95));
    let lesson = |word: &'static str, ended: Option<&'static str>, after: u64| {
        let mut world = World::new(kiln(), policy());
        world.fleet.insert(job("a").with_created_at(world.clock), world.clock);
        world.run(&mut |sent| {
            let headers: Vec<_> = ended.map(|at| ("x-jobwatch-ended-at", at)).into_iter().collect();
            let over = sent.time() >= secs(after);
            let body = format!(r#"{{"state":"{}"}}"#, if over { word } else { "Heating" });
            Reply::Answer(Duration::ZERO, response(200, if over { &headers } else { &[] }, body))
        });
        let finished = world.finished.into_values().next().unwrap();
        finished.taught.map(|taught| {
            assert_eq!((taught.since, taught.simulated, taught.lesson.weight), (Since::Creation, false, 1.0));
            (taught.lesson.unfinished_at, taught.lesson.ended_by)
        })
    };
    let range = (secs(20), Some(secs(30)));
    assert_eq!(lesson("fired", None, 25), Some(range));
    assert_eq!(lesson("cracked", None, 25), Some(range));
    assert_eq!(lesson("fired", None, 0), Some((Duration::ZERO, Some(Duration::ZERO))));
    // To the second, where the backend tells; but not against what was seen.
    assert_eq!(lesson("fired", Some("1700000024"), 25), Some((secs(24), Some(secs(24)))));
    assert_eq!(lesson("fired", Some("1700000015"), 25), Some(range));
    assert_eq!(lesson("fired", Some("1700000099"), 25), Some(range));
    // Cancelled or out of time: left alone it would have taken longer.
    assert_eq!(lesson("cooled early", None, 25), Some((secs(20), None)));
    assert_eq!(lesson("fired", None, 200), Some((secs(95), None)));
    assert_eq!(lesson("no such firing", None, 25), None);
}

#[test]
fn what_was_over_before_anybody_looked_teaches_nothing_of_the_time_since_pick_up() {
    let mut world = World::new(kiln(), learned());
    world.insert(3);
    world.run(&mut |_| http_support::state("fired"));
    assert!(world.finished.values().all(|finished| finished.taught.is_none()));
    assert!(jobs_known(&world, Since::PickUp) == 0.0);
}

#[test]
fn refused_and_stopped_waits_teach_the_fleet_nothing() {
    let mut world = World::new(kiln(), learned());
    world.insert(2);
    world.run_until(at(secs(60)), &mut |_| http_support::state("Heating"));
    world.fleet.stop_all(world.clock);
    world.insert(2);
    world.run(&mut |_| Reply::Error(millis(10), LookError::Tls));
    assert_eq!((world.ended(Outcome::Stopped), world.ended(Outcome::Rejected)), (2, 2));
    assert!(jobs_known(&world, Since::PickUp) == 0.0);
    // To those who keep histories a stopped wait says that the job was not over.
    let stopped = world.finished.values().filter(|finished| finished.outcome == Outcome::Stopped);
    assert!(stopped.into_iter().all(|finished| finished.taught.unwrap().lesson.ended_by.is_none()));
}

#[test]
fn our_own_simulator_is_known_by_its_header() {
    let mut world = World::new(kiln(), learned());
    world.fleet.insert(job("a").with_created_at(world.clock), world.clock);
    world.run(&mut |sent| {
        let word = if sent.time() < secs(20) { "Heating" } else { "fired" };
        Reply::Answer(
            millis(5),
            response(200, &[("x-jobwatch-created-at", "1700000000")], format!(r#"{{"state":"{word}"}}"#)),
        )
    });
    assert!(world.finished.values().all(|finished| finished.taught.unwrap().simulated));
}

/// Jobs of which one list tells that they are over say one thing, and not each its own.
#[test]
fn jobs_that_end_in_one_answer_count_for_less() {
    let lists = Backend::new(dialect(&format!("{KILN}{LISTS}")), Some(BASE)).unwrap();
    let mut world = World::new(lists, learned());
    let mut kilns = Kilns::default();
    for _ in 0..9 {
        kilns.fire(&mut world, secs(25), "fired");
    }
    world.run(&mut |sent| kilns.answer(sent));
    let weights: Vec<_> = world.finished.values().map(|finished| finished.taught.unwrap().lesson.weight).collect();
    assert!(weights.iter().all(|weight| (weight - 1.0 / 3.0).abs() < 1e-9), "{weights:?}");
    assert!((jobs_known(&world, Since::Creation) - 3.0).abs() < 0.1);
}

const LISTS: &str = r#"
    [bulk]
    path = "/firings?ids={ids}"
    max = 100
    items = "/items"
    id = "/id"
    [bulk.state]
    pointer = "/state"
    running = ["Heating"]
    succeeded = ["fired"]
"#;

/// In company a look costs each job a part of a request, so that all are looked at more often.
#[test]
fn a_list_for_many_jobs_makes_each_look_cheaper() {
    let requests = |jobs: usize, lists: bool| {
        let text = if lists { format!("{KILN}{LISTS}") } else { KILN.to_owned() };
        let backend = Backend::new(dialect(&text), Some(BASE)).unwrap();
        let mut world = World::new(backend, learned()).limits(500, None);
        let learner = || {
            let mut history = History::new();
            (20..40).for_each(|end| _ = history.learn(&Lesson::ended(secs(end), secs(end))));
            Learner::new(history, Arc::new(build(learned())))
        };
        world.fleet.set_learner(ClassId::default(), Since::Creation, learner());
        let mut kilns = Kilns::default();
        for duration in durations(jobs) {
            kilns.fire(&mut world, duration, "fired");
        }
        world.run(&mut |sent| kilns.answer(sent));
        let late =
            world.finished.values().map(|finished| finished.detection_delay_max.unwrap().as_secs_f64()).sum::<f64>();
        (world.sent.len(), late / f64::from(u32::try_from(jobs).unwrap()))
    };
    let (alone, late_alone) = requests(100, false);
    let (together, late_together) = requests(100, true);
    assert!(together * 4 < alone, "{together} requests instead of {alone}");
    assert!(late_together < late_alone / 2.0, "{late_together} s instead of {late_alone} s");
}

/// Under a limit a request gets dearer, until the demand fits: nobody stands in line for long.
#[test]
fn under_a_limit_a_look_gets_dearer_instead_of_waiting_in_line() {
    let rate = RateLimit::per_second(20.0).unwrap();
    let mut world = World::new(kiln(), learned()).limits(1_000, Some(rate));
    let (mut kilns, mut random) = (Kilns::default(), rng(5));
    let policy = Arc::new(build(learned()));
    let mut history = History::new();
    (0..100).for_each(|n| _ = history.learn(&Lesson::ended(millis(20_000 + 200 * n), millis(20_000 + 200 * n))));
    world.fleet.set_learner(ClassId::default(), Since::Creation, Learner::new(history, policy));
    // That others are looked at by the clock changes nothing.
    world.fleet.add_class("fixed", Arc::new(build(every_second())));
    // Ten jobs a second, which would like five looks each, and may have two.
    for second in 0..200 {
        for _ in 0..10 {
            kilns.fire(&mut world, millis(20_000 + random.next_u64() % 20_000), "fired");
        }
        world.run_until(at(secs(second + 1)), &mut |sent| kilns.answer(sent));
    }
    let learner = world.fleet.learner(ClassId::default(), Since::Creation).unwrap();
    assert!(learner.price() > 1.2, "{}", learner.price());
    assert!(learner.plan().expected_requests() < 2.2, "{}", learner.plan().expected_requests());
    // Nobody waits for longer than in the line of the start.
    world.run(&mut |sent| kilns.answer(sent));
    let late: Vec<_> = world.finished.values().map(|finished| finished.detection_delay_max.unwrap()).collect();
    assert!(late.iter().max() < Some(&secs(45)), "{:?}", late.iter().max());
    assert_eq!(world.ended(Outcome::Succeeded), 2_000);
}

/// Who says that it is at nine tenths is looked at when the last one is over, not by the plan alone.
#[test]
fn progress_sharpens_the_plan_of_one_job() {
    let backend = |text: &str| Backend::new(dialect(&format!("{KILN}{text}")), Some(BASE)).unwrap();
    let looks = |backend: Backend| {
        let mut world = World::new(backend, learned().with_request_cost(secs(5)));
        world.fleet.insert(job("a").with_created_at(world.clock), world.clock);
        world.run(&mut |sent| {
            let done = sent.time().as_secs_f64() / 600.0;
            let word = if done < 1.0 { "Heating" } else { "fired" };
            let body = format!(r#"{{"state":"{word}","done":{}}}"#, done.min(1.0));
            Reply::Answer(Duration::ZERO, response(200, &[], body))
        });
        (world.sent.len(), world.clock.saturating_since(at(secs(600))))
    };
    let (blind, _) = looks(backend(""));
    let (sharp, late) = looks(backend("[progress]\npointer = \"/done\"\n"));
    assert!(sharp <= blind, "{sharp} looks instead of {blind}");
    assert!(late < secs(8), "{late:?}");
}

/// A learner for another policy keeps its history, and plans anew; where nothing is learned none is kept.
#[test]
fn a_learner_is_one_for_the_policy_of_its_class() {
    let (policy, theirs) = (Arc::new(build(learned())), Arc::new(build(learned().with_request_cost(secs(20)))));
    let mut history = History::new();
    (20..40).for_each(|end| _ = history.learn(&Lesson::ended(secs(end), secs(end))));
    let mut fleet = Fleet::new(Arc::new(kiln()), Arc::clone(&policy), &mut rng(1));
    fleet.set_learner(ClassId::default(), Since::Creation, Learner::new(history.clone(), theirs));
    let kept = fleet.learner(ClassId::default(), Since::Creation).unwrap();
    assert!(*kept.policy() == policy && (kept.history().jobs() - history.jobs()).abs() < 1e-9);
    let planned = kept.plan().expected_requests();
    assert!((planned - Learner::new(history.clone(), Arc::clone(&policy)).plan().expected_requests()).abs() < 1e-9);
    let fixed = fleet.add_class("fixed", Arc::new(build(every_second())));
    fleet.set_learner(fixed, Since::Creation, Learner::new(history, policy));
    assert!(fleet.learner(fixed, Since::Creation).is_none());
}

/// They say nothing of how long the others stay.
#[test]
fn jobs_that_were_over_at_once_make_no_look_dearer() {
    let mut world = World::new(kiln(), learned()).limits(16, Some(RateLimit::per_second(5.0).unwrap()));
    let mut kilns = Kilns::default();
    world.insert_one("theirs");
    world.run(&mut |_| http_support::state("fired"));
    assert_eq!(world.finished.values().next().unwrap().elapsed, Duration::ZERO);
    kilns.fire(&mut world, secs(20), "fired");
    world.run_until(at(secs(5)), &mut |sent| kilns.answer(sent));
    let price = world.fleet.learner(ClassId::default(), Since::Creation).unwrap().price();
    assert!((price - 1.0).abs() < 1e-9, "{price}");
}

/// Five minutes in the queue say nothing of how long ten minutes of work take.
#[test]
fn progress_counts_from_when_the_work_began() {
    let text = KILN.replace("ended = {", "started = \"/begun\"\n    ended = {");
    let backend = Backend::new(dialect(&format!("{text}[progress]\npointer = \"/done\"\n")), Some(BASE)).unwrap();
    let mut world = World::new(backend, learned().with_request_cost(secs(5)));
    world.fleet.insert(job("a").with_created_at(world.clock), world.clock);
    world.run(&mut |sent| {
        let done = sent.time().saturating_sub(secs(300)).as_secs_f64() / 600.0;
        let body = match done {
            0.0 => r#"{"state":"queued"}"#.to_owned(),
            done if done < 1.0 => format!(r#"{{"state":"Heating","begun":1700000300,"done":{done}}}"#),
            _ => r#"{"state":"fired"}"#.to_owned(),
        };
        Reply::Answer(Duration::ZERO, response(200, &[], body))
    });
    let late = world.clock.saturating_since(at(secs(900)));
    assert!(late < secs(8), "{late:?}");
}

#[test]
fn classes_and_policies_learn_apart_and_single_looks_nothing() {
    let mut fleet = Fleet::new(Arc::new(kiln()), Arc::new(build(learned())), &mut rng(1));
    let policy = Arc::new(build(learned()));
    let short = fleet.add_class("short", Arc::clone(&policy));
    let long = fleet.add_class("long", Arc::clone(&policy));
    assert_ne!(short, long);
    assert_eq!(short, fleet.add_class("short", Arc::clone(&policy)));
    let fixed = fleet.add_class("short", Arc::new(build(learned().with_spacing(Spacing::Constant))));
    let once = fleet.add_class("", Arc::new(policy.one_look()));
    let mut world = World::of(fleet);
    let mut kilns = Kilns::default();
    for (number, (class, duration)) in [(short, 5), (long, 500), (fixed, 5), (once, 5)].into_iter().enumerate() {
        let id = format!("job-{number}");
        kilns.over.insert(id.clone(), (secs(duration), "fired"));
        world.fleet.insert_in(class, job(&id).with_created_at(world.clock), world.clock);
    }
    world.run(&mut |sent| kilns.answer(sent));
    let survival = |class| Some(world.fleet.learner(class, Since::Creation)?.history().survival(secs(50)));
    let (brief, lasting) = (survival(short).unwrap(), survival(long).unwrap());
    assert!(brief + 0.15 < lasting, "{brief} {lasting}");
    assert_eq!((survival(fixed), survival(once)), (None, None));
    assert!(world.fleet.is_learned(short) && !world.fleet.is_learned(once));
}

/// A cache that says so is not asked for what it has said already.
#[test]
fn no_look_is_wasted_on_an_answer_that_a_cache_repeats() {
    let looks = |control: &'static str, told: bool| {
        let mut world = World::new(kiln(), every_second().with_min_delay(secs(1)));
        world.insert_one("a");
        let (mut kept_at, mut kept, mut stale) = (None::<Duration>, "", 0);
        world.run(&mut |sent| {
            let now = sent.time();
            match kept_at {
                Some(at) if now < at + secs(10) => stale += 1,
                _ => (kept_at, kept) = (Some(now), if now < secs(55) { "Heating" } else { "fired" }),
            }
            let age = now.saturating_sub(kept_at.unwrap()).as_secs().to_string();
            let headers = [("cache-control", control), ("age", age.as_str())];
            let headers = if told { &headers[..] } else { &headers[..1] };
            Reply::Answer(Duration::ZERO, response(200, headers, format!(r#"{{"state":"{kept}"}}"#)))
        });
        (world.sent.len(), stale)
    };
    for control in ["max-age=10", "private, Max-Age = \"10\"", "max-age=600, s-maxage=10"] {
        let (looks, stale) = looks(control, true);
        assert!((6..=7).contains(&looks) && stale == 0, "{control}: {looks} looks, {stale} of them stale");
    }
    // Nonsense, and what no cache says, changes nothing.
    for (control, told) in [("max-age=ten", true), ("no-store", true), ("max-age=10", false), ("max-age=-5", true)] {
        assert!(looks(control, told).1 > 40, "{control}");
    }
    assert_eq!(looks("max-age=80000", true), (2, 0), "the longest delay is a minute all the same");
}

/// What a cache has kept for a while it repeats for the rest of its time, if that can be meant.
#[test]
fn an_answer_that_has_lain_in_a_cache_is_repeated_for_less_long() {
    let second_look = |control: &str, age: &str| {
        let mut world = World::new(kiln(), every_second());
        world.insert_one("a");
        let headers = [("cache-control", control), ("age", age)];
        world.run_until(at(secs(30)), &mut |_| {
            Reply::Answer(Duration::ZERO, response(200, &headers, r#"{"state":"Heating"}"#))
        });
        world.sent[1].time()
    };
    for (control, age, look) in
        [("max-age=10", "8", 2), ("max-age=10", "4", 6), ("max-age=10", "10", 1), ("max-age=9000000", "8", 1)]
    {
        let second = second_look(control, age);
        assert!((secs(look)..secs(look) + millis(500)).contains(&second), "{control} at {age} s: {second:?}");
    }
}

/// Of jobs that began together the short ones end first and the long ones last. Neither is a change, and the last ones,
/// with hardly anybody beside them any more, count for no more than the first.
#[test]
fn regression_a_batch_that_began_together_was_taken_for_a_change() {
    let fleet = Fleet::new(Arc::new(kiln()), Arc::new(build(learned())), &mut rng(12)).with_rate(None);
    let (mut world, mut kilns) = (World::of(fleet), Kilns::default());
    world.rate = None;
    let mut rng = rng(13);
    for _ in 0..1_000 {
        kilns.fire(&mut world, millis(60_000 + rng.next_u64() % 540_000), "fired");
    }
    world.run(&mut |sent| kilns.answer(sent));
    let history = world.fleet.learner(ClassId::default(), Since::Creation).unwrap().history();
    assert!(history.jobs() > 50.0, "{} of a thousand are remembered", history.jobs());
    for (age, share) in [(195, 0.75), (330, 0.5), (465, 0.25)] {
        let survival = history.survival(secs(age));
        assert!((survival - share).abs() < 0.1, "{survival} outlast {age} s, and not {share}");
    }
}
