//! One of those who take turns: a client and its server, in processes of their own.

use std::io::stdin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobwatch::{Dialect, JobRef, Outcome, Policy, Spacing};
use jobwatch_benches::{cpu_time, job_id};
use tokio::runtime::{Builder, Runtime};

use crate::bare::{Connections, Fetcher, async_client, blocking_agent, fetch_all_async, fetch_all_blocking};
use crate::child::Child;
use crate::server::{LOOKS, Server};

/// What a client does, and how often at once.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    pub(crate) is_http2: bool,
    /// Threads of the asynchronous ones' runtime.
    pub(crate) threads: usize,
    pub(crate) in_flight: usize,
    pub(crate) jobs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hyper,
    BareReqwest,
    Reqwest,
    BareUreq,
    Ureq,
}

/// What one round cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) per_second: f64,
    pub(crate) cpu_micros: f64,
}

/// A client that waits for its turn.
pub(crate) struct Contender(Child);

impl Kind {
    const ALL: [(&str, Self); 5] = [
        ("hyper", Self::Hyper),
        ("bare-reqwest", Self::BareReqwest),
        ("reqwest", Self::Reqwest),
        ("bare-ureq", Self::BareUreq),
        ("ureq", Self::Ureq),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

impl Contender {
    /// Starts it, and lets it open its connections in a round that is not measured.
    pub(crate) fn start(kind: Kind, task: Task) -> Self {
        let mut child = Child::start(&[
            "contend",
            kind.word(),
            if task.is_http2 { "2" } else { "1" },
            &task.threads.to_string(),
            &task.in_flight.to_string(),
            &task.jobs.to_string(),
        ]);
        child.hear();
        Self(child)
    }

    /// A round of its own.
    pub(crate) fn turn(&mut self) -> Cost {
        let line = self.0.ask("go");
        let mut figures = line.split(' ').map(|figure| figure.parse().expect("a contender tells numbers"));
        let mut next = || figures.next().expect("a contender tells three numbers");
        let (requests, seconds, cpu): (f64, f64, f64) = (next(), next(), next());
        Cost { per_second: requests / seconds, cpu_micros: cpu * 1e6 / requests }
    }
}

/// What a contender's process does; tells whether the words are such a process's.
pub(crate) fn contend(words: &[String]) -> bool {
    let [word, version, numbers @ ..] = words else { return false };
    let Some((_, kind)) = Kind::ALL.into_iter().find(|(known, _)| known == word) else { return false };
    let numbers: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let [threads, in_flight, jobs] = numbers[..] else { return false };
    let task = Task { is_http2: version == "2", threads, in_flight, jobs };
    let mut server = Server::start(jobs);
    let mut run = client(kind, task, server.authority());
    round(&mut server, task, &mut run);
    println!("ready");
    for line in stdin().lines() {
        line.expect("lines come in UTF-8");
        let (requests, time, cpu) = round(&mut server, task, &mut run);
        println!("{requests} {} {}", time.as_secs_f64(), cpu.as_secs_f64());
    }
    true
}

fn round(server: &mut Server, task: Task, run: &mut dyn FnMut() -> usize) -> (u64, Duration, Duration) {
    let (looks, cpu, start) = (server.looks(), cpu_time(), Instant::now());
    let completed = run();
    let (time, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    let requests = server.looks() - looks;
    assert_eq!(completed, task.jobs, "every job ends well");
    assert_eq!(requests, task.jobs as u64 * u64::from(LOOKS), "nobody asks more often than need be");
    (requests, time, cpu)
}

/// Asks for all jobs until they have ended, each time it is called; tells how many ended well.
fn client(kind: Kind, task: Task, authority: String) -> Box<dyn FnMut() -> usize> {
    let Task { is_http2, in_flight, jobs, .. } = task;
    let fetcher = {
        let authority = authority.clone();
        move || Fetcher::new(&authority, jobs, LOOKS as usize)
    };
    let refs = move || (0..jobs).map(|job| JobRef::new(job_id(job)).expect("it is an id"));
    let url = format!("http://{authority}");
    match kind {
        Kind::Hyper => {
            let runtime = runtime(task.threads);
            let mut connections = runtime.block_on(Connections::open(&authority, in_flight, is_http2));
            Box::new(move || runtime.block_on(connections.fetch_all(&authority, Arc::new(fetcher()), in_flight)))
        }
        Kind::BareReqwest => {
            let (runtime, client) = (runtime(task.threads), async_client(in_flight, is_http2));
            Box::new(move || runtime.block_on(fetch_all_async(&client, Arc::new(fetcher()), in_flight)))
        }
        Kind::Reqwest => {
            let (runtime, client) = (runtime(task.threads), driver(url, task));
            Box::new(move || {
                let mut all = client.wait_all(refs());
                // In a task, as services and the bare loops do: what a runtime blocks on is woken by a call to the system.
                let waiting = async move {
                    let mut completed = 0;
                    while let Some(finished) = all.next().await {
                        completed += usize::from(finished.outcome == Outcome::Succeeded);
                    }
                    completed
                };
                runtime.block_on(async { tokio::spawn(waiting).await.expect("the wait does not panic") })
            })
        }
        Kind::BareUreq => {
            let agent = blocking_agent(in_flight);
            Box::new(move || fetch_all_blocking(&agent, &fetcher(), in_flight))
        }
        Kind::Ureq => {
            let client = jobwatch_ureq::Client::builder(Dialect::tracker())
                .base_url(url)
                .policy(policy())
                .max_in_flight(in_flight)
                .rate(None)
                .build()
                .expect("the client can be built");
            let succeeded = |finished: &jobwatch::Finished| finished.outcome == Outcome::Succeeded;
            Box::new(move || client.wait_all(refs()).filter(succeeded).count())
        }
    }
}

fn driver(url: String, task: Task) -> jobwatch_reqwest::Client {
    let client = jobwatch_reqwest::Client::builder(Dialect::tracker())
        .base_url(url)
        .policy(policy())
        .max_in_flight(task.in_flight)
        .rate(None)
        .build()
        .expect("the client can be built");
    if !task.is_http2 {
        return client;
    }
    client.with_http(reqwest::ClientBuilder::http2_prior_knowledge).expect("the client can be built")
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).enable_all().build().expect("a runtime can be had")
}

/// Looks as soon as one is allowed again.
fn policy() -> Policy {
    Policy::builder()
        .with_spacing(Spacing::Constant)
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(1))
        .build()
        .expect("the policy is valid")
}
