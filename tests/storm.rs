//! Storms: whole systems in simulated time, with everything that can go wrong in them drawn from one number.
//!
//! One to three clients with a fleet each, creates beside them and up to two jobs in a loop of their own (a watch) share one
//! backend that speaks one of many dialects.
//! Networks lose, delay, repeat and reorder; the backend throttles, breaks, crashes, forgets, repeats old answers and
//! lies; clocks jump, stop, begin at zero or shortly before the end of time; keys are replaced; clients crash and go on
//! from what they have stored. After every step all of this must hold, each under its name in the message:
//!
//! | name | what holds |
//! |---|---|
//! | one end | each job has one end, told once; a job taken out has none |
//! | truth | the end is one that the backend told of that job, the first of them; a failed request is no failed job |
//! | limits | requests in flight and per second, by origin; one request for a job at a time |
//! | throttles | nobody asks an origin that asked for patience, nor the job that was told so |
//! | probes | after a throttle, and in an outage, one request goes at a time |
//! | hints | no look before the hint on its job is over, unless somebody wakes it or it is the final one |
//! | distance | no look sooner than `min_delay` after the last one's answer, the final one aside |
//! | deadline | one final look, and an end within its grace; none is said to be late that was never looked at |
//! | bounds | looks never exceed what the policy promises |
//! | credentials | they go to allowed origins alone, and nothing is sent while they are renewed |
//! | stale | late, repeated and foreign answers change nothing |
//! | delay | the delay that is told is never less than it was |
//! | creates | a paid job is made once, and never in silence |
//! | handles, memory | a handle names one job; nothing is kept of those that are gone |
//! | no hot loop | so many actions at one instant, and no sleep that is over before it begins |
//! | progress | everything ends |
//!
//! `STORM_SEED=7 cargo test --test storm -- --nocapture` replays one with its last events; `STORM_SEEDS` sets how many
//! there are, `STORM_FROM` where they begin.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

#[path = "storm/client.rs"]
mod client;
#[path = "storm/clock.rs"]
mod clock;
#[path = "storm/creates.rs"]
mod creates;
#[path = "storm/dice.rs"]
mod dice;
#[path = "storm/driving.rs"]
mod driving;
#[path = "storm/hints.rs"]
mod hints;
#[path = "storm/lanes.rs"]
mod lanes;
#[path = "storm/ledger.rs"]
mod ledger;
#[path = "storm/outside.rs"]
mod outside;
#[path = "storm/policies.rs"]
mod policies;
#[path = "storm/regressions.rs"]
mod regressions;
#[path = "storm/server.rs"]
mod server;
#[path = "storm/speech.rs"]
mod speech;
#[path = "storm/waits.rs"]
mod waits;
#[path = "storm/watcher.rs"]
mod watcher;
#[path = "storm/weather.rs"]
mod weather;
#[path = "storm/world.rs"]
mod world;

use core::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Tally, Trace, World};

/// Storms in an ordinary run.
const SEEDS: u64 = 20_000;

/// Storms that go on for long, and visits from outside in each.
const LONG_SEEDS: u64 = 12;
const LONG_VISITS: u64 = 1_200;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// One storm; what went wrong in it, if anything.
fn storm(seed: u64, trace: Trace) -> Result<Tally, String> {
    play(|| World::new(seed, trace).run())
}

fn play(play: impl FnOnce() -> Tally) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(play)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

/// Plays a storm again and tells its last events.
fn replay(seed: u64) -> Result<Tally, String> {
    let lines = Rc::new(RefCell::new(VecDeque::new()));
    let came = storm(seed, Trace(Some(Rc::clone(&lines))));
    for line in lines.borrow().iter() {
        println!("{line}");
    }
    came
}

#[test]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // how long the tests take is no business of the core
fn every_storm_passes() {
    if let Some(seed) = number("STORM_SEED") {
        let came = replay(seed);
        println!("seed {seed}: {came:?}");
        return assert!(came.is_ok(), "seed {seed}");
    }
    let (from, count) = (number("STORM_FROM").unwrap_or(0), number("STORM_SEEDS").unwrap_or(SEEDS));
    let began = std::time::Instant::now();
    let (next, failed, sum) = (AtomicU64::new(from), Mutex::new(Vec::new()), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count || failed.lock().unwrap().len() >= 3 {
                        break;
                    }
                    match storm(seed, Trace::default()) {
                        Ok(tally) => sum.lock().unwrap().add(tally),
                        Err(problem) => {
                            println!("seed {seed}: {problem}");
                            failed.lock().unwrap().push((seed, problem));
                        }
                    }
                }
            });
        }
    });
    let (failed, sum, took) = (failed.into_inner().unwrap(), sum.into_inner().unwrap(), began.elapsed());
    let a_second = u128::from(count) * 1_000 / took.as_millis().max(1);
    println!("{count} storms in {took:?}, {a_second} a second: {sum:?}");
    if let Some((seed, _)) = failed.iter().min() {
        let _ = replay(*seed);
    }
    for (seed, problem) in &failed {
        println!("\n{problem}\nreplay it: STORM_SEED={seed} cargo test --test storm -- --nocapture");
    }
    assert!(failed.is_empty(), "{} storms did not pass", failed.len());
}

/// Hundreds of jobs pass through each fleet, in weather that never clears; what it keeps does not grow.
#[test]
fn long_storms_take_no_memory() {
    let mut sum = Tally::default();
    for seed in 0..LONG_SEEDS {
        let lines = Rc::new(RefCell::new(VecDeque::new()));
        match play(|| World::long(seed, LONG_VISITS, Trace(Some(Rc::clone(&lines)))).run()) {
            Ok(tally) => sum.add(tally),
            Err(problem) => {
                lines.borrow().iter().for_each(|line| println!("{line}"));
                panic!("long storm {seed}: {problem}");
            }
        }
    }
    println!("{LONG_SEEDS} long storms: {sum:?}");
    assert!(sum.ends > 100 * LONG_SEEDS, "{sum:?}");
}
