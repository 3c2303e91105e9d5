//! What the learned schedule reaches, beside the original client and the best that is possible: on five distributions of
//! durations, at the start and later, after a change, behind a limit, and on a server that repeats old answers.
//!
//! `cargo run --release --example learning`; the same numbers at every run.

use core::time::Duration;
use std::sync::Arc;

use jobwatch::Policy;
use jobwatch::play::{Learned, Limit, Oracle, Peer, Played, Rule, play, play_limited};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const COST: Duration = Duration::from_secs(1);

/// How long jobs take, in seconds.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    draw: fn(&mut ChaCha8Rng) -> f64,
}

const KINDS: [Kind; 5] = [
    Kind { name: "uniform 20 to 40 s", draw: |rng| 20.0 + 20.0 * uniform(rng) },
    Kind { name: "log-normal, median 8 min, sigma 0.5", draw: |rng| 480.0 * (0.5 * normal(rng)).exp() },
    Kind { name: "60 % about 30 s, 40 % about 10 min", draw: mixed },
    Kind { name: "exponential, mean 60 s", draw: |rng| -60.0 * (1.0 - uniform(rng)).ln() },
    Kind { name: "Pareto 1.5 from 10 s", draw: |rng| 10.0 * (1.0 - uniform(rng)).powf(-1.0 / 1.5) },
];

fn mixed(rng: &mut ChaCha8Rng) -> f64 {
    let median = if uniform(rng) < 0.6 { 30.0 } else { 600.0 };
    median * (0.1 * normal(rng)).exp()
}

#[allow(clippy::cast_precision_loss)] // 53 bits fit
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Box and Muller.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - uniform(rng), uniform(rng));
    (-2.0 * radius.ln()).sqrt() * (core::f64::consts::TAU * angle).cos()
}

fn durations(kind: Kind, jobs: usize, seed: u64) -> Vec<Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..jobs).map(|_| Duration::from_secs_f64((kind.draw)(&mut rng))).collect()
}

fn policy(min: Duration, max: Duration) -> Arc<Policy> {
    let policy = Policy::builder().with_min_delay(min).with_max_delay(max).with_request_cost(COST);
    Arc::new(policy.build().expect("the bounds are in order"))
}

fn run<R: Rule>(rule: &mut R, durations: &[Duration], seed: u64) -> Played {
    play(rule, durations, &mut ChaCha8Rng::seed_from_u64(seed))
}

fn shown(played: &Played) -> String {
    let (requests, delay, cost) = (played.requests_per_job(), played.mean_delay(), played.cost(COST));
    format!("{requests:6.2} / {delay:5.2} = {cost:5.2}")
}

fn main() {
    let (min, max) = (Duration::from_millis(500), Duration::from_secs(30));
    let policy = policy(min, max);
    println!("requests a job / mean delay in s = cost at 1 s a request; gaps in [0.5, 30] s\n");
    println!(
        "{:36} {:>22} {:>22} {:>22} {:>7}",
        "", "original client", "best possible", "learned, 100 to 1,000", "ratio"
    );
    for kind in KINDS {
        let durations = durations(kind, 1_000, 1);
        let original = run(&mut Peer::Tracker, &durations, 2);
        let learned = run(&mut Learned::new(Arc::clone(&policy)), &durations, 2).part(100..1_000);
        let part = &durations[100..1_000];
        let oracle = run(&mut Oracle::new(part, min, max, COST), part, 2);
        let ratio = learned.cost(COST) / oracle.cost(COST);
        println!("{:36} {} {} {} {ratio:7.3}", kind.name, shown(&original), shown(&oracle), shown(&learned));
    }
    at_the_start(&policy);
    after_a_change(&policy, min, max);
    behind_a_limit(min, max);
    on_a_caching_server(max);
}

/// In the mean over 200 seeds: no job of the first twenty costs more than the original client's.
fn at_the_start(policy: &Arc<Policy>) {
    println!("\nthe first 20 jobs, mean cost over 200 seeds: jobs 1, 2, 3, 5, 10, 20, and the worst ratio of any");
    for kind in KINDS {
        let (mut ours, mut theirs) = ([0.0; 20], [0.0; 20]);
        for seed in 0..200 {
            let durations = durations(kind, 20, 1_000 + seed);
            let learned = run(&mut Learned::new(Arc::clone(policy)), &durations, seed);
            let original = run(&mut Peer::Tracker, &durations, seed);
            for job in 0..20 {
                ours[job] += learned.part(job..job + 1).cost(COST) / 200.0;
                theirs[job] += original.part(job..job + 1).cost(COST) / 200.0;
            }
        }
        let worst = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).fold(0.0, f64::max);
        let some = [0, 1, 2, 4, 9, 19].map(|job| format!("{:5.1}", ours[job])).join(" ");
        println!(
            "{:36} {some}   original {:5.1}   worst ratio {worst:.2}",
            kind.name,
            theirs.iter().sum::<f64>() / 20.0
        );
    }
}

/// After 500 jobs the durations become ten times as long, or a tenth.
fn after_a_change(policy: &Arc<Policy>, min: Duration, max: Duration) {
    println!("\nafter a change of scale at job 500: ratio to the best possible in jobs 500 to 700, and in 700 to 900");
    for kind in KINDS {
        for factor in [10.0, 0.1] {
            let mut durations = durations(kind, 900, 3);
            for duration in &mut durations[500..] {
                *duration = duration.mul_f64(factor);
            }
            let learned = run(&mut Learned::new(Arc::clone(policy)), &durations, 4);
            let ratio = |jobs: core::ops::Range<usize>| {
                let part = &durations[jobs.clone()];
                let oracle = run(&mut Oracle::new(part, min, max, COST), part, 4);
                learned.part(jobs).cost(COST) / oracle.cost(COST)
            };
            println!("{:36} times {factor:4}: {:6.3} {:6.3}", kind.name, ratio(500..700), ratio(700..900));
        }
    }
}

/// Fifty jobs a second under a hundred requests a second.
fn behind_a_limit(min: Duration, max: Duration) {
    println!("\n50 jobs a second of 20 to 40 s under 100 requests a second: requests a job / mean delay in s");
    let ratios = [5, 6, 7, 8].map(|seed| behind_a_limit_once(min, max, seed));
    println!("mean ratio {:.3}", ratios.iter().sum::<f64>() / 4.0);
}

fn behind_a_limit_once(min: Duration, max: Duration, seed: u64) -> f64 {
    let limit = Limit { arrivals: 50.0, rate: 100.0 };
    let durations = durations(KINDS[0], 30_000, seed);
    // The first three minutes, in which the line of the start is worked off, are left out for both.
    let play =
        |played: Played| (played.part(10_000..30_000).requests_per_job(), played.part(10_000..30_000).mean_delay());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let original = play(play_limited(&mut Peer::Tracker, &durations, limit, &mut rng));
    let learned = play(play_limited(&mut Learned::new(policy(min, max)), &durations, limit, &mut rng));
    let ratio = learned.1 / original.1;
    println!(
        "original {:.2} / {:.2}   learned {:.2} / {:.2}   ratio {ratio:.3}",
        original.0, original.1, learned.0, learned.1
    );
    ratio
}

/// A server that repeats answers for 10 s: looks keep that distance.
fn on_a_caching_server(max: Duration) {
    let min = Duration::from_secs(10);
    let durations = durations(KINDS[0], 1_000, 7);
    let learned = run(&mut Learned::new(policy(min, max)), &durations, 8).part(100..1_000);
    let part = &durations[100..];
    let oracle = run(&mut Oracle::new(part, min, max, COST), part, 8);
    println!("\nlooks at least 10 s apart, for a server that repeats answers so long, on 20 to 40 s");
    println!(
        "best possible {}   learned {}   ratio {:.3}",
        shown(&oracle),
        shown(&learned),
        learned.cost(COST) / oracle.cost(COST)
    );
}
