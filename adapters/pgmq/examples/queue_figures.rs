//! What a queue costs on this machine: `cargo run --release -p jobwatch-pgmq --example queue_figures [JOBS]`.
//!
//! Starts a PostgreSQL of its own, with its default durability. A step is a change that is durable before anybody relies on
//! it: an adoption, a change of phase written into the message, an outcome.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::cast_precision_loss)] // figures to be read

#[path = "../tests/it/ended.rs"]
mod ended;
#[path = "../tests/it/postgres.rs"]
#[allow(dead_code)] // the tests use more of it
mod postgres;

use std::time::{Duration, Instant};

use jobwatch_pgmq::{Claim, Destination, JobRef, Queue, RateLimit, Until, Worker};
use jobwatch_reqwest::{Client, Dialect, Policy};
use jobwatch_simulator::{Durations, Simulator};
use tokio::task::JoinSet;

use postgres::Database;

const LEASE: Duration = Duration::from_secs(600);

/// So many jobs are adopted at once, as workers do.
const BATCH: u32 = 500;

#[tokio::main]
async fn main() {
    let jobs = std::env::args().nth(1).and_then(|jobs| jobs.parse().ok()).unwrap_or(30_000);
    let Some(database) = Database::create_alone(true).await else { return };
    for workers in [1, 3] {
        steps(&database, workers, jobs).await;
    }
    for workers in [1, 3] {
        whole_lives(&database, workers, jobs / 3).await;
    }
    leases(&database, 100_000).await;
}

fn destination(url: &str) -> Destination {
    Destination::new(&Dialect::tracker(), Some(url), "default").unwrap()
}

async fn filled(database: &Database, name: &str, url: &str, ids: Vec<String>) -> Queue {
    let queue = Queue::open(&database.url(), name).await.unwrap();
    let start = Instant::now();
    let jobs: Vec<JobRef> = ids.into_iter().map(|id| JobRef::new(id).unwrap()).collect();
    for jobs in jobs.chunks(1_000) {
        queue.enqueue(&destination(url), jobs).await.unwrap();
    }
    let rate = jobs.len() as f64 / start.elapsed().as_secs_f64();
    println!("{name}: enqueued {} jobs, {rate:.0} a second", jobs.len());
    queue
}

/// The database alone, without a backend.
async fn steps(database: &Database, workers: usize, jobs: usize) {
    let name = format!("steps_{workers}");
    let url = "http://127.0.0.1:9";
    let queue = filled(database, &name, url, (0..jobs).map(|number| format!("job-{number:036}")).collect()).await;
    let start = Instant::now();
    let mut working = JoinSet::new();
    for number in 0..workers {
        // Like a program of its own, with connections of its own.
        let (url, name) = (database.url(), name.clone());
        working.spawn(async move {
            let (queue, worker) = (Queue::open(&url, &name).await.unwrap(), format!("w{number}"));
            let mut steps = 0;
            loop {
                let adopted = queue.adopt(&destination("http://127.0.0.1:9"), &worker, LEASE, BATCH).await.unwrap();
                if adopted.is_empty() {
                    return steps;
                }
                let waits = adopted.iter().map(|adopted| {
                    let (job, _) = adopted.job.as_ref().unwrap();
                    (adopted.claim, ended::ended(job.id(), r#"{"result":"completed"}"#))
                });
                let waits: Vec<_> = waits.collect();
                let changed: Vec<_> =
                    waits.iter().map(|(claim, (_, snapshot))| (*claim, Some(snapshot.clone()))).collect();
                steps += adopted.len();
                steps += queue.progress(&worker, &changed).await.unwrap().len();
                let ends = waits.iter().map(|(claim, (finished, _))| (*claim, finished));
                steps += queue.finish(&worker, ends).await.unwrap().len();
            }
        });
    }
    let steps: usize = working.join_all().await.into_iter().sum();
    assert_eq!((steps, queue.status().await.unwrap().ended["succeeded"]), (3 * jobs, jobs as u64));
    let rate = steps as f64 / start.elapsed().as_secs_f64();
    println!("{name}: {workers} workers, {steps} steps, {rate:.0} a second, {:.0} jobs a second", rate / 3.0);
}

/// Workers with a backend: each job is looked at, at least once.
async fn whole_lives(database: &Database, workers: usize, jobs: usize) {
    let simulator = Simulator::builder().durations(Durations::parse("constant:0.001").unwrap()).fail_rate(0.0);
    let simulator = simulator.start().unwrap();
    let client = || {
        let policy = Policy::builder().with_min_delay(Duration::from_millis(100)).build().unwrap();
        Client::builder(Dialect::tracker()).base_url(simulator.url()).policy(policy).rate(None).build().unwrap()
    };
    let (creating, mut ids) = (client(), Vec::new());
    for _ in 0..jobs {
        ids.extend(creating.create(&()).await.unwrap().iter().map(|job| job.id().to_owned()));
    }
    let name = format!("lives_{workers}");
    let queue = filled(database, &name, &simulator.url(), ids).await;
    let start = Instant::now();
    let mut working = JoinSet::new();
    for number in 0..workers {
        let queue = Queue::open(&database.url(), &name).await.unwrap();
        let worker = Worker::new(queue, client(), destination(&simulator.url())).with_name(format!("w{number}"));
        let worker = worker.with_rate(RateLimit::per_second(100_000.0).unwrap());
        working.spawn(worker.run(Until::Drained, std::future::pending(), |_| ()));
    }
    let recorded: u64 = working.join_all().await.into_iter().map(|done| done.unwrap().recorded).sum();
    let elapsed = start.elapsed().as_secs_f64();
    assert_eq!((recorded, queue.remaining(&destination(&simulator.url())).await.unwrap()), (jobs as u64, 0));
    println!("{name}: {workers} workers, {jobs} jobs over HTTP, {:.0} a second", jobs as f64 / elapsed);
}

/// What it costs to keep leases, a statement for every 5,000.
async fn leases(database: &Database, jobs: usize) {
    let url = "http://127.0.0.1:9";
    let queue = filled(database, "leases", url, (0..jobs).map(|number| format!("job-{number}")).collect()).await;
    let mut claims: Vec<Claim> = Vec::new();
    let start = Instant::now();
    while claims.len() < jobs {
        let adopted = queue.adopt(&destination(url), "w", LEASE, BATCH).await.unwrap();
        claims.extend(adopted.iter().map(|adopted| adopted.claim));
    }
    println!("leases: adopted {jobs} in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    for claims in claims.chunks(5_000) {
        assert_eq!(queue.extend(claims, LEASE).await.unwrap().len(), claims.len());
    }
    println!("leases: extended {jobs} in {:.2} s", start.elapsed().as_secs_f64());
}
