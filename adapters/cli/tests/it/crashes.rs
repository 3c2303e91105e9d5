//! `kill -9` at any moment of a wait: no job is lost, none has two outcomes, and none is told twice but the one that was
//! being told.
#![allow(clippy::unwrap_used)] // in shared functions too

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use jobwatch_simulator::{Api, JobState, Ledger, Simulator};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::backend::simulator;
use crate::program::{Program, Ran, Running, Scratch, jobwatch, tracker};
use crate::state::{killed, whole_lines};

/// How often it is killed; `JOBWATCH_CRASHES=100` says otherwise.
const CRASHES: u64 = 15;

const JOBS: usize = 60;

/// As many at once as do not get into each other's way.
const AT_ONCE: usize = 3;

/// What one crash showed.
#[derive(Debug)]
struct Crash {
    /// Outcomes told before it.
    before: usize,
    /// Jobs that were told twice.
    twice: usize,
}

#[test]
fn a_kill_at_any_moment_loses_no_job_and_tells_none_otherwise() {
    let crashes = env::var("JOBWATCH_CRASHES").map_or(CRASHES, |crashes| crashes.parse().unwrap());
    let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= crashes {
                        return;
                    }
                    let crash = crash(seed);
                    done.lock().unwrap().push(crash);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    assert_eq!(done.len() as u64, crashes);
    let twice: usize = done.iter().map(|crash| crash.twice).sum();
    let early = done.iter().filter(|crash| crash.before == 0).count();
    let late = done.iter().filter(|crash| crash.before == JOBS).count();
    println!(
        "{crashes} crashes: {twice} outcomes told twice; {early} before the first was told, {late} after the last"
    );
    assert!(
        done.iter().any(|crash| (1..JOBS).contains(&crash.before)),
        "every crash came too early or too late: {done:?}"
    );
}

fn crash(seed: u64) -> Crash {
    let simulator = simulator("uniform:4..30").fail_rate(0.3).speed(20.0).seed(seed).start().unwrap();
    let scratch = Scratch::new();
    let file = scratch.path("jobs.state");
    let flags = ["--count", &JOBS.to_string(), "--rate", "10000/s", "--state", &file];
    let made = tracker("submit", &simulator.url(), &flags).run().exits_with(0);
    assert_eq!(made.out.lines().count(), JOBS);

    let first = kill_at_random(wait(&simulator, &file).start(), &mut ChaCha8Rng::seed_from_u64(seed));
    let ended_before: Vec<_> = outcomes(&first).map(|(id, _)| id.to_owned()).collect();
    let asked = simulator.ledger();
    let second = wait(&simulator, &file).run();
    assert!(matches!(second.code, Some(0 | 1)), "{second:#?}");

    let ledger = simulator.ledger();
    let told = check(&ledger, &[&first, &second]);
    let twice: Vec<_> = told.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id).collect();
    assert!(twice.len() <= 1, "{twice:?} were told twice: {first:#?} {second:#?}");
    if let (Some(again), Some(last)) = (twice.first(), ended_before.last()) {
        assert_eq!(*again, last, "it was not the one that was being told");
    }
    for id in ended_before {
        let requests = |ledger: &Ledger| ledger.requests_for(&id).count();
        assert_eq!(requests(&ledger), requests(&asked), "{id} had ended, and was asked for again");
    }
    wait(&simulator, &file).run().exits_with(0).prints_nothing();
    let before = whole_lines(&first.out).count();
    Crash { before, twice: twice.len() }
}

/// Where creates have keys, not even the one that was under way is lost, and none is made twice.
#[test]
fn a_kill_while_creating_loses_no_job_and_makes_none_twice() {
    const CREATES: usize = 30;
    let body = r#"{"video":{"type":"url","url":"https://x/v.mp4"},"output_languages":["French","German"]}"#;
    for seed in 0..5 {
        let simulator = simulator("uniform:4..30").api(Api::HeygenV3).speed(20.0).seed(seed).start().unwrap();
        let scratch = Scratch::new();
        let (file, url) = (scratch.path("jobs.state"), simulator.url());
        let command = |command: &str| {
            let program = jobwatch(&[command, "--api", "heygen-v3", "--base-url", &url, "--rate", "10000/s"]);
            program.args(&["--state", &file])
        };
        let flags = ["--wait", "--min-delay", "20ms", "--max-delay", "200ms", "--body", body, "--count"];
        let running = command("submit").args(&flags).args(&[CREATES.to_string()]).start();
        let first = kill_at_random(running, &mut ChaCha8Rng::seed_from_u64(seed));
        let second = command("wait").args(&["--min-delay", "20ms", "--max-delay", "200ms"]).run().exits_with(0);

        let ledger = simulator.ledger();
        let creates = ledger.requests.iter().filter(|entry| &*entry.method == "POST").count();
        assert!(ledger.jobs.len() % 2 == 0 && ledger.jobs.len() <= 2 * CREATES, "{}", ledger.jobs.len());
        assert!(creates <= ledger.jobs.len() / 2 + 1, "{creates} creates for {} jobs", ledger.jobs.len());
        for job in &ledger.jobs {
            let told = outcomes(&first).chain(outcomes(&second));
            let times = told.filter(|told| *told == (&*job.id, "succeeded"));
            assert!((1..=2).contains(&times.count()), "{} is lost: {first:#?} {second:#?}", job.id);
        }
        command("wait").run().exits_with(0).prints_nothing();
    }
}

fn wait(simulator: &Simulator, file: &str) -> Program {
    tracker("wait", &simulator.url(), &["--rate", "10000/s", "--state", file])
}

/// At the start, after some outcomes, or after some changes of state, and a random little later.
fn kill_at_random(running: Running, rng: &mut ChaCha8Rng) -> Ran {
    let mut below = |bound: u32| usize::try_from(rng.next_u32() % bound).unwrap();
    let (what, lines, spins) = (below(8), below(60) + 1, below(20_000));
    match what {
        0 => {}
        // A slow machine may find many jobs ended at its first look.
        1 | 2 => running.err.wait_for_lines_or_end(lines),
        _ => running.out().wait_for_lines_or_end(lines),
    }
    for _ in 0..spins {
        std::hint::spin_loop();
    }
    killed(running)
}

/// How often each job was told; each was told at least once, and always as it ended.
fn check(ledger: &Ledger, runs: &[&Ran]) -> BTreeMap<String, usize> {
    let truth: BTreeMap<&str, JobState> = ledger.jobs.iter().map(|job| (&*job.id, job.outcome)).collect();
    assert_eq!(truth.len(), JOBS);
    let mut told = BTreeMap::new();
    for (id, outcome) in runs.iter().flat_map(|ran| outcomes(ran)) {
        let expected = if truth[id] == JobState::Succeeded { "succeeded" } else { "failed" };
        assert_eq!(outcome, expected, "{id} was told otherwise: {runs:#?}");
        *told.entry(id.to_owned()).or_default() += 1;
    }
    let lost: Vec<_> = truth.keys().filter(|id| !told.contains_key(**id)).collect();
    assert!(lost.is_empty(), "{lost:?} were lost: {runs:#?}");
    told
}

/// Ids and outcomes in the order in which they were told.
fn outcomes(ran: &Ran) -> impl Iterator<Item = (&str, &str)> {
    whole_lines(&ran.out).map(|line| {
        let mut columns = line.split('\t');
        (columns.next().unwrap(), columns.next().unwrap_or_default())
    })
}
