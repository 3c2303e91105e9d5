//! Workers that die without a word, and a database that is started anew: every job has exactly one outcome.
#![cfg(unix)]
#![allow(clippy::cast_precision_loss)] // figures to be read

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jobwatch_simulator::{Durations, JobState, Ledger, Simulator};
use sqlx::{Connection, PgConnection, Row};

use crate::postgres::Database;
use crate::program::{Running, tracker};
use crate::queue::{enqueue, on_queue, runtime};

/// The time between two looks at the database.
const PAUSE: Duration = Duration::from_millis(50);

/// Far longer than a run takes.
const HANG_GUARD: Duration = Duration::from_secs(600);

struct Story {
    jobs: usize,
    workers: usize,
    durations: &'static str,
    rate: u32,
    lease: Duration,
    /// One worker is killed so often, in turn.
    kill_every: Duration,
    /// So many are killed at the most.
    kills: usize,
    /// The server crashes and is started again once, this long after the start.
    restart: Option<Duration>,
    durable: bool,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    /// Names of those who were killed, and when.
    killed: Vec<(String, Instant)>,
    /// How long the last job of each waited until another worker had it.
    adopted_after: Vec<Duration>,
    restarts: usize,
    wall: Duration,
}

#[test]
fn workers_are_killed_and_each_job_has_one_outcome() {
    let story = Story {
        jobs: 600,
        workers: 3,
        durations: "uniform:1..4",
        rate: 400,
        lease: Duration::from_secs(3),
        kill_every: Duration::from_millis(900),
        kills: 6,
        restart: None,
        durable: false,
    };
    tell(&story);
}

/// `cargo test --release -p jobwatch-cli --test it ten_thousand -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_jobs_over_three_workers_of_which_one_dies_every_few_seconds() {
    tell(&Story {
        jobs: number("JOBS", 10_000),
        workers: number("WORKERS", 3),
        durations: "uniform:5..60",
        rate: u32::try_from(number("RATE", 500)).unwrap(),
        lease: Duration::from_secs(number("LEASE", 10) as u64),
        kill_every: Duration::from_secs(number("KILL_EVERY", 4) as u64),
        kills: usize::MAX,
        restart: None,
        durable: true,
    });
}

/// `cargo test --release -p jobwatch-cli --test it started_anew -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn the_database_is_started_anew_in_the_middle() {
    tell(&Story {
        jobs: number("JOBS", 3_000),
        workers: 3,
        durations: "uniform:5..40",
        rate: 500,
        lease: Duration::from_secs(10),
        kill_every: Duration::from_secs(6),
        kills: usize::MAX,
        restart: Some(Duration::from_secs(15)),
        durable: true,
    });
}

/// A figure of the story, from the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

fn tell(story: &Story) {
    let runtime = runtime();
    let Some(database) = runtime.block_on(Database::create_alone(story.durable)) else { return };
    let simulator =
        Simulator::builder().durations(Durations::parse(story.durations).expect("durations")).fail_rate(0.1);
    let simulator = simulator.ledger_limit(2_000_000).start().expect("loopback has a free port");
    let count = story.jobs.to_string();
    let created = tracker("submit", &simulator.url(), &["--rate", "100000/s", "--count", &count]).run().exits_with(0);
    let ids: Vec<String> = created.out.lines().map(str::to_owned).collect();
    enqueue(&database, &simulator.url(), &ids);

    let seen = runtime.block_on(live(story, &database, &simulator));
    let ledger = simulator.ledger();
    let mut connection = runtime.block_on(database.connect());
    runtime.block_on(check(story, &mut connection, &ledger, &seen));
    report(story, &ledger, &seen);
}

fn start(story: &Story, database: &Database, url: &str, name: &str) -> Running {
    let (lease, rate) = (format!("{}ms", story.lease.as_millis()), format!("{}/s", story.rate));
    let own = ["--api", "tracker", "--base-url", url, "--name", name, "--lease", &lease, "--rate", &rate];
    on_queue("worker", database, &own)
        .args(&["--drain", "--quiet", "--min-delay", "500ms", "--max-delay", "5s"])
        .start()
}

/// Lets them work, kill by kill, until the queue is empty.
async fn live(story: &Story, database: &Database, simulator: &Simulator) -> Seen {
    let mut seen = Seen::default();
    let url = simulator.url();
    let mut names = (1..).map(|number| format!("worker-{number}"));
    let mut workers: Vec<(String, Running)> = (0..story.workers)
        .map(|_| {
            let name = names.next().expect("there is no end of names");
            (name.clone(), start(story, database, &url, &name))
        })
        .collect();
    let (begin, mut next_kill) = (Instant::now(), story.kill_every);
    let mut connection = database.connect().await;
    let mut orphaned: HashMap<String, Instant> = HashMap::new();
    loop {
        assert!(begin.elapsed() < HANG_GUARD, "it does not end: {seen:?}");
        if story.restart.is_some_and(|at| seen.restarts == 0 && begin.elapsed() >= at) {
            database.server().crash();
            assert!(database.server().begin(), "the server starts again");
            connection = database.connect().await;
            seen.restarts += 1;
        }
        if begin.elapsed() >= next_kill && seen.killed.len() < story.kills {
            next_kill += story.kill_every;
            let (name, victim) = workers.remove(0);
            victim.signal("KILL");
            let died = Instant::now();
            victim.finish();
            assert_no_lease_is_longer(story, &mut connection, &name).await;
            orphaned.insert(name.clone(), died);
            seen.killed.push((name, died));
            let name = names.next().expect("there is no end of names");
            workers.push((name.clone(), start(story, database, &url, &name)));
        }
        let owned = "SELECT worker FROM jobwatch.jobs WHERE worker = ANY($1) GROUP BY worker";
        let dead: Vec<String> = orphaned.keys().cloned().collect();
        let owned = sqlx::query(owned).bind(dead).fetch_all(&mut connection).await.expect("the database answers");
        let owned: Vec<String> = owned.iter().map(|row| row.get(0)).collect();
        orphaned.retain(|name, died| {
            let waits = owned.contains(name);
            if !waits {
                seen.adopted_after.push(died.elapsed());
            }
            waits
        });
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pgmq.q_jobs")
            .fetch_one(&mut connection)
            .await
            .expect("the database answers");
        if left == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    seen.wall = begin.elapsed();
    for (_, worker) in workers {
        let ran = worker.finish();
        assert!(matches!(ran.code, Some(0 | 1)), "{:?} {}", ran.code, ran.err);
    }
    let _ = connection.close().await;
    seen
}

/// By the database's own clock: whatever the dead worker owned is free within the lease.
async fn assert_no_lease_is_longer(story: &Story, connection: &mut PgConnection, name: &str) {
    let longest = "SELECT coalesce(max(extract(epoch FROM q.vt - clock_timestamp())), 0)::double precision
                   FROM pgmq.q_jobs q JOIN jobwatch.jobs j USING (msg_id) WHERE j.worker = $1";
    let longest: f64 =
        sqlx::query_scalar(longest).bind(name).fetch_one(connection).await.expect("the database answers");
    assert!(longest <= story.lease.as_secs_f64(), "{name} has a lease of {longest} s");
}

async fn check(story: &Story, connection: &mut PgConnection, ledger: &Ledger, seen: &Seen) {
    let rows = sqlx::query("SELECT id, outcome FROM jobwatch.results")
        .fetch_all(&mut *connection)
        .await
        .expect("the database answers");
    let outcomes: HashMap<String, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!((rows.len(), outcomes.len()), (story.jobs, story.jobs), "each job has one outcome");
    for job in &ledger.jobs {
        let expected = if job.outcome == JobState::Succeeded { "succeeded" } else { "failed" };
        assert_eq!(outcomes.get(&*job.id).map(String::as_str), Some(expected), "{}", job.id);
    }
    for empty in ["pgmq.q_jobs", "pgmq.a_jobs", "jobwatch.jobs"] {
        let left: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {empty}"))
            .fetch_one(&mut *connection)
            .await
            .expect("the database answers");
        assert_eq!(left, 0, "{empty}");
    }
    assert_eq!(seen.restarts, usize::from(story.restart.is_some()));
    assert!(!seen.killed.is_empty(), "nobody was killed");
    // Grants follow each other on one line of time, and are used within a second.
    let (looks, span) = looks(ledger);
    let most = f64::from(story.rate) * (span.as_secs_f64() + 2.0);
    assert!(looks.len() as f64 <= most, "{} looks in {span:?} at {} a second", looks.len(), story.rate);
}

/// When each look arrived, and the time from the first to the last.
fn looks(ledger: &Ledger) -> (Vec<u64>, Duration) {
    let looks: Vec<u64> =
        ledger.requests.iter().filter(|entry| &*entry.method == "GET").map(|entry| entry.at_ns).collect();
    let span = looks.last().zip(looks.first()).map_or(0, |(last, first)| last - first);
    (looks, Duration::from_nanos(span))
}

fn report(story: &Story, ledger: &Ledger, seen: &Seen) {
    let (looks, span) = looks(ledger);
    let second = 1_000_000_000;
    let most = looks.iter().enumerate().map(|(n, from)| looks[n..].partition_point(|at| *at < from + second)).max();
    let wall = seen.wall.as_secs_f64();
    println!(
        "{} jobs, {} workers, {} killed, {} restarts of the server: {:.1} s, {:.0} jobs/s, {} looks, {:.2} a job, {:.1} \
         looks/s of {}, at most {} in any second",
        story.jobs,
        story.workers,
        seen.killed.len(),
        seen.restarts,
        wall,
        story.jobs as f64 / wall,
        looks.len(),
        looks.len() as f64 / story.jobs as f64,
        looks.len() as f64 / span.as_secs_f64(),
        story.rate,
        most.unwrap_or_default(),
    );
    let mut waits = seen.adopted_after.clone();
    waits.sort_unstable();
    println!("from a worker's death until others had all of its jobs, with a lease of {:?}: {waits:.1?}", story.lease);
}
