//! A million jobs in one fleet, in simulated time, from the first look to the last end: what a job costs in memory and a
//! step in time; beside it, other ways to keep as many timers.
//!
//! The backend is the bench's own: it answers a tick after it was asked, from prepared answers, with a job's end once its
//! time is over. Twice, with a request for each look and with shared requests.
//!
//! `cargo bench -p jobwatch-benches --bench fleet -- 100000` takes fewer jobs.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use jobwatch::{
    Backend, Dialect, Fleet, FleetAction, FleetEvent, JobRef, Outcome, Policy, RequestId, Spacing, Timestamp, Watch,
    WatchAction,
};
use jobwatch_benches::{Memory, Peer, Stopwatch, argument, job_id, job_number, peers, resident, table};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, LogNormal};
use serde_json::Value;

#[global_allocator]
static MEMORY: Memory = Memory::new(System, usize::MAX);

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The time from a request to its answer, and how late the fleet is polled at the most.
const TICK: Duration = Duration::from_millis(50);

/// Room for 80,000 requests a second of simulated time; a million jobs want a quarter of it.
const IN_FLIGHT: usize = 4_096;

/// How long jobs take: the median, and the standard deviation of the logarithm.
const DURATIONS: (f64, f64) = (480.0, 0.5);

const RUNNING: &str = r#"{"data":{"no":"7e7bfe92-0000-4000-8000-000000000000","status":"running",
    "output_language":"German","created_at":1700000000,"title":"A translated video"}}"#;

const COMPLETED: &str = r#"{"data":{"no":"7e7bfe92-0000-4000-8000-000000000000","status":"completed",
    "output_language":"German","created_at":1700000000,"title":"A translated video","duration":61.5,
    "video_url":"https://files.example.com/7e7bfe92.mp4?Expires=1700003600&Signature=0123456789abcdef"}}"#;

fn main() {
    let jobs = argument(1_000_000);
    let durations = durations(jobs);
    let learned = Policy::default();
    let single = run(&dialect(false), &learned, &durations);
    let shared = run(&dialect(true), &learned, &durations);
    let (watch, json) = (watch_alone(), json_alone());
    print_fleets(jobs, &[single, shared], &watch, json);
    print_sizes(jobs);
    print_peers(jobs, &peers(&MEMORY, jobs));
}

/// The preset `heygen-v3`, as it is or without its requests for many jobs.
fn dialect(bulk: bool) -> Dialect {
    let file = Dialect::preset_file("heygen-v3").expect("it is a preset");
    let mut table: toml::Table = file.parse().expect("presets are TOML");
    if !bulk {
        table.remove("bulk");
    }
    Dialect::from_toml(&table.to_string()).expect("a preset may go without bulk requests")
}

/// When each job ends.
fn durations(jobs: usize) -> Vec<Timestamp> {
    let durations = LogNormal::new(DURATIONS.0.ln(), DURATIONS.1).expect("the parameters are valid");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..jobs).map(|_| START.saturating_add(Duration::from_secs_f64(durations.sample(&mut rng)))).collect()
}

/// What one run has cost.
#[derive(Default)]
struct Cost {
    insert: Duration,
    snapshot: Duration,
    restore: Duration,
    /// Bytes that were asked for and that are in memory.
    inserted: (usize, usize),
    looked: (usize, usize),
    most: usize,
    poll: Duration,
    answer: Duration,
    requests: u64,
    looks: u64,
    simulated: Duration,
    ends: [u64; 3],
}

/// An answer on its way.
enum Answer {
    Running,
    Completed,
    Many(Response<Vec<u8>>),
}

fn run(dialect: &Dialect, policy: &Policy, ends: &[Timestamp]) -> Cost {
    let (running, completed) = (Response::new(RUNNING), Response::new(COMPLETED));
    let (mut sent, mut answers) = (Vec::with_capacity(IN_FLIGHT), Vec::with_capacity(IN_FLIGHT));
    let mut cost = Cost::default();
    let before = (MEMORY.allocated(), resident());
    let held = || (MEMORY.allocated().saturating_sub(before.0), resident().saturating_sub(before.1));

    let start = Stopwatch::start();
    let mut fleet = new_fleet(Arc::new(backend(dialect)), policy);
    for number in 0..ends.len() {
        fleet.insert(JobRef::new(job_id(number)).expect("it is an id"), START);
    }
    cost.insert = start.elapsed();
    cost.inserted = held();

    let (mut now, mut sample_at) = (START, START);
    loop {
        let start = Stopwatch::start();
        let until = poll(&mut fleet, now, &mut sent);
        cost.poll += start.elapsed();

        cost.looks += sent.iter().map(|(id, _)| fleet.asked_for(*id) as u64).sum::<u64>();
        answers.extend(sent.drain(..).map(|(id, request)| (id, answer(&request, ends, now))));
        now = if answers.is_empty() { until.max(now) } else { now.saturating_add(TICK) };

        let start = Stopwatch::start();
        for (id, answer) in &answers {
            match answer {
                Answer::Running => fleet.handle_response(now, *id, &running),
                Answer::Completed => fleet.handle_response(now, *id, &completed),
                Answer::Many(many) => fleet.handle_response(now, *id, many),
            }
            count_ends(&mut fleet, &mut cost.ends);
        }
        count_ends(&mut fleet, &mut cost.ends);
        cost.answer += start.elapsed();

        answers.clear();
        if cost.looked.0 == 0 && cost.looks >= ends.len() as u64 {
            cost.looked = held();
            restart(&fleet, policy, now, &mut cost);
        }
        if now >= sample_at {
            cost.most = cost.most.max(held().0);
            sample_at = now.saturating_add(Duration::from_secs(1));
        }
        if fleet.is_empty() {
            break;
        }
    }
    cost.requests = fleet.stats().requests;
    cost.simulated = now.saturating_since(START);
    cost
}

fn backend(dialect: &Dialect) -> Backend {
    let backend = Backend::new(dialect.clone(), None).and_then(|backend| backend.with_header("x-api-key", "secret"));
    backend.expect("the preset has an address")
}

fn new_fleet(backend: Arc<Backend>, policy: &Policy) -> Fleet {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    Fleet::new(backend, Arc::new(policy.clone()), rng).with_max_in_flight(IN_FLIGHT).with_rate(None)
}

/// Every job written down as JSON, and read back into another fleet.
fn restart(fleet: &Fleet, policy: &Policy, now: Timestamp, cost: &mut Cost) {
    let mut other = new_fleet(Arc::clone(fleet.backend()), policy);
    let mut snapshots = fleet.snapshots();
    loop {
        let start = Stopwatch::start();
        let some: Vec<_> = snapshots.by_ref().take(10_000).map(|job| serde_json::to_vec(&job)).collect();
        cost.snapshot += start.elapsed();
        if some.is_empty() {
            break;
        }
        let start = Stopwatch::start();
        for text in some {
            let text = text.expect("snapshots can be written");
            other.resume(serde_json::from_slice(&text).expect("it was written as one"), now).expect("it is whole");
        }
        cost.restore += start.elapsed();
    }
    assert_eq!(other.len(), fleet.len(), "every one of them goes on");
}

/// Polls until there is nothing to send any more; tells when there will be.
fn poll(fleet: &mut Fleet, now: Timestamp, sent: &mut Vec<(RequestId, Request<Vec<u8>>)>) -> Timestamp {
    loop {
        match fleet.poll(now) {
            FleetAction::Send { id, request, .. } => sent.push((id, request)),
            FleetAction::Sleep { until } => return until,
            FleetAction::Idle | FleetAction::Renew => return now,
        }
    }
}

/// Drains the events.
fn count_ends(fleet: &mut Fleet, ends: &mut [u64; 3]) {
    while let Some(event) = fleet.next_event() {
        if let FleetEvent::Finished { finished, .. } = event {
            ends[match finished.outcome {
                Outcome::Succeeded => 0,
                Outcome::TimedOut => 1,
                _ => 2,
            }] += 1;
        }
    }
}

/// What the backend says at this instant.
fn answer(request: &Request<Vec<u8>>, ends: &[Timestamp], now: Timestamp) -> Answer {
    let has_ended = |id: &str| job_number(id).and_then(|number| ends.get(number)).is_some_and(|end| *end <= now);
    match request.uri().query().and_then(|query| query.split_once('=')) {
        None if has_ended(request.uri().path()) => Answer::Completed,
        None => Answer::Running,
        Some((_, ids)) => {
            let mut body = String::with_capacity(8_192);
            body.push_str(r#"{"data":["#);
            for (number, id) in ids.split(',').enumerate() {
                body.push_str(if number == 0 { r#"{"video_id":""# } else { r#",{"video_id":""# });
                body.push_str(id);
                body.push_str(r#"","status":""#);
                body.push_str(if has_ended(id) { "completed" } else { "processing" });
                body.push_str(r#""}"#);
            }
            body.push_str(r#"],"has_more":false,"next_token":null}"#);
            Answer::Many(Response::new(body.into_bytes()))
        }
    }
}

/// What one request costs without a fleet: to be made, and to have its answer read; both with the decision.
fn watch_alone() -> (f64, f64) {
    const WATCHES: usize = 1_000;
    const ROUNDS: u64 = 200;
    let backend = backend(&dialect(false));
    let policy = Policy::builder().without_total_timeout().with_max_polls(u32::MAX).build().expect("it is valid");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut watch = |number| {
        let job = JobRef::new(job_id(number)).expect("it is an id");
        Watch::new(&backend, &policy, job, START, &mut rng)
    };
    let mut watches: Vec<_> = (0..WATCHES).map(&mut watch).collect();
    let (running, mut sent) = (Response::new(RUNNING), Vec::with_capacity(WATCHES));
    let (mut making, mut reading) = (Duration::ZERO, Duration::ZERO);
    for round in 1..=ROUNDS {
        // Every gap is over by then.
        let now = START.saturating_add(Duration::from_secs(100 * round));
        let start = Stopwatch::start();
        for watch in &mut watches {
            if let WatchAction::Send { id, request, .. } = watch.poll(now) {
                sent.push((id, request));
            }
        }
        making += start.elapsed();
        assert_eq!(sent.len(), WATCHES, "each of them is due");
        let start = Stopwatch::start();
        for (watch, (id, _)) in watches.iter_mut().zip(&sent) {
            watch.handle_response(now, *id, &running);
        }
        reading += start.elapsed();
        sent.clear();
    }
    let looks = ROUNDS * WATCHES as u64;
    (each(making, looks), each(reading, looks))
}

/// What it costs to parse the body of such an answer.
fn json_alone() -> f64 {
    const ROUNDS: u64 = 200_000;
    let start = Stopwatch::start();
    for _ in 0..ROUNDS {
        black_box(serde_json::from_slice::<Value>(black_box(RUNNING.as_bytes()))).expect("it is JSON");
    }
    each(start.elapsed(), ROUNDS)
}

#[allow(clippy::cast_precision_loss)] // these are counts of a benchmark
fn each(time: Duration, times: u64) -> f64 {
    time.as_secs_f64() * 1e9 / times as f64
}

#[allow(clippy::cast_precision_loss)] // these are counts of a benchmark
fn print_fleets(jobs: usize, costs: &[Cost; 2], watch: &(f64, f64), json: f64) {
    let a_job = |bytes: usize| bytes as f64 / jobs as f64;
    let row = |name: &str, value: &dyn Fn(&Cost) -> f64, digits: usize| {
        table::row(name, &costs.each_ref().map(|cost| format!("{:.digits$}", value(cost))));
    };
    // Of the second fleet this tells nothing: it has the pages of the first one.
    let resident = |name, bytes: usize| table::row(name, &[format!("{:.1}", a_job(bytes)), "-".into()]);
    println!("{jobs} jobs with ids of 36 bytes; log-normal durations of median 8 min, σ 0.5; default policy");
    table::heading(&format!("{jobs} jobs in a fleet"), &["one by one", "shared"]);
    row("bytes a job, inserted (target: 200)", &|cost| a_job(cost.inserted.0), 1);
    resident("bytes a job, resident", costs[0].inserted.1);
    row("bytes a job, looked at once and asleep (target: 200)", &|cost| a_job(cost.looked.0), 1);
    resident("bytes a job, looked at once, resident", costs[0].looked.1);
    row("bytes a job, at its greatest, each second", &|cost| a_job(cost.most), 1);
    row("insert, ns a job", &|cost| each(cost.insert, jobs as u64), 0);
    row("snapshot, ns a job", &|cost| each(cost.snapshot, jobs as u64), 0);
    row("restore, ns a job", &|cost| each(cost.restore, jobs as u64), 0);
    row("poll, ns a request", &|cost| each(cost.poll, cost.requests), 0);
    row("answer, ns a request", &|cost| each(cost.answer, cost.requests), 0);
    row("poll and answer, ns a look", &|cost| each(cost.poll + cost.answer, cost.looks), 0);
    row("requests a job", &|cost| cost.requests as f64 / jobs as f64, 2);
    row("looks a job", &|cost| cost.looks as f64 / jobs as f64, 2);
    row("succeeded", &|cost| cost.ends[0] as f64, 0);
    row("timed out", &|cost| cost.ends[1] as f64, 0);
    row("other ends", &|cost| cost.ends[2] as f64, 0);
    row("processor time in the fleet, s", &|cost| (cost.insert + cost.poll + cost.answer).as_secs_f64(), 1);
    row("simulated time, s", &|cost| cost.simulated.as_secs_f64(), 0);
    let fleet = each(costs[0].poll + costs[0].answer, costs[0].requests) - watch.0 - watch.1;
    let line = |name: &str, value: f64| table::row(name, &[format!("{value:.0}")]);
    table::heading("of a look one by one", &["ns"]);
    line("making the request, in a Watch alone", watch.0);
    line("reading the answer, in a Watch alone", watch.1);
    line("the same body by serde_json into a Value", json);
    line("the fleet's share: what a step takes above a Watch", fleet);
}

/// The same with fewer jobs: a look should not get dearer where there are more of them. A plan is made for all jobs
/// together, so that few jobs pay more of it.
fn print_sizes(jobs: usize) {
    table::heading("by the number of jobs, ns", &["insert", "backoff", "learned", "shared"]);
    let (learned, backoff) = (Policy::default(), Policy::builder().with_spacing(Spacing::Exponential { factor: 1.5 }));
    let backoff = backoff.build().expect("the policy is valid");
    let sizes = [1_000, 10_000, 100_000].into_iter().filter(|size| *size < jobs).chain([jobs]);
    for jobs in sizes {
        let durations = durations(jobs);
        let costs = [(false, &backoff), (false, &learned), (true, &learned)]
            .map(|(bulk, policy)| run(&dialect(bulk), policy, &durations));
        let insert = each(costs[0].insert, jobs as u64);
        let looks = costs.iter().map(|cost| each(cost.poll + cost.answer, cost.looks));
        let figures: Vec<_> = std::iter::once(insert).chain(looks).map(|nanos| format!("{nanos:.0}")).collect();
        table::row(&format!("a look, {jobs} jobs"), &figures);
    }
}

fn print_peers(timers: usize, peers: &[Peer]) {
    table::heading(&format!("{timers} timers: pop the earliest, push it again"), &["ns", "bytes"]);
    for peer in peers {
        table::row(peer.name, &[format!("{:.0}", peer.nanos), format!("{:.1}", peer.bytes)]);
    }
}
