//! What a driver adds to its HTTP client: requests per second over loopback, beside a bare loop over the same client.
//!
//! Jobs that need five looks each, never due later than the driver can ask; the bare loop sends the same requests with
//! the same number in flight, reads the bodies and parses them. Both take turns, so that whatever else the machine does
//! meets both; the middle of all rounds counts. Processor time is the process's without the server's thread.
//!
//! A server that answers at once keeps the client's processor busy all the time: the ratio is then that of the work a
//! request costs, the hardest case there is. One that takes two milliseconds, still faster than any network, leaves the
//! requests in flight as the limit.
//!
//! `cargo bench -p jobwatch-benches --bench loopback -- 1000 ureq` takes 1,000 jobs in place of 10,000, and the rows with
//! `ureq` in their names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobwatch::{Dialect, JobRef, Outcome, Policy, Spacing};
use jobwatch_benches::{
    Fetcher, LOOKS, Server, argument, async_client, blocking_agent, cpu_time, fetch_all_async, fetch_all_blocking,
    is_wanted, job_id, median,
};
use tokio::runtime::{Builder, Runtime};

/// So many times each of the two has its turn.
const ROUNDS: usize = 7;

/// The driver should reach this share of the bare loop's requests per second.
const TARGET: f64 = 0.95;

/// How long the slower server takes.
const THOUGHT: Duration = Duration::from_millis(2);

fn main() {
    let jobs = argument(10_000);
    println!("{jobs} jobs of {LOOKS} looks; requests per second, processor time a request; middle of {ROUNDS} rounds");
    println!(
        "{:<36}{:>9}{:>10}{:>10}{:>8}{:>10}{:>10}{:>8}",
        "", "in flight", "bare 1/s", "driver", "ratio", "bare µs", "driver", "ratio"
    );
    let bench = Bench { server: Server::start(jobs, Duration::ZERO), jobs };
    for in_flight in [16, 64] {
        bench.drivers("at once", in_flight);
    }
    // As long a round as with the other.
    let jobs = jobs.div_ceil(5);
    let bench = Bench { server: Server::start(jobs, THOUGHT), jobs };
    bench.drivers("after 2 ms", 16);
}

struct Bench {
    server: Server,
    jobs: usize,
}

/// What one round cost.
struct Cost {
    per_second: f64,
    cpu_micros: f64,
}

impl Bench {
    fn drivers(&self, answered: &str, in_flight: usize) {
        let one = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        let two = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be had");
        self.reqwest(&format!("reqwest, one thread, {answered}"), &one, in_flight);
        self.reqwest(&format!("reqwest, two threads, {answered}"), &two, in_flight);
        self.ureq(&format!("ureq, {answered}"), in_flight);
    }

    fn reqwest(&self, name: &str, runtime: &Runtime, in_flight: usize) {
        let bare = async_client(in_flight);
        let driver = jobwatch_reqwest::Client::builder(Dialect::tracker())
            .base_url(self.server.base_url())
            .policy(policy())
            .max_in_flight(in_flight)
            .rate(None)
            .build()
            .expect("the client can be built");
        self.compare(
            name,
            in_flight,
            |fetcher| runtime.block_on(fetch_all_async(&bare, Arc::new(fetcher), in_flight)),
            |jobs| {
                runtime.block_on(async {
                    let (mut all, mut completed) = (driver.wait_all(jobs), 0);
                    while let Some(finished) = all.next().await {
                        completed += usize::from(finished.outcome == Outcome::Succeeded);
                    }
                    completed
                })
            },
        );
    }

    fn ureq(&self, name: &str, in_flight: usize) {
        let bare = blocking_agent(in_flight);
        let driver = jobwatch_ureq::Client::builder(Dialect::tracker())
            .base_url(self.server.base_url())
            .policy(policy())
            .max_in_flight(in_flight)
            .rate(None)
            .build()
            .expect("the client can be built");
        self.compare(
            name,
            in_flight,
            |fetcher| fetch_all_blocking(&bare, &fetcher, in_flight),
            |jobs| driver.wait_all(jobs).filter(|finished| finished.outcome == Outcome::Succeeded).count(),
        );
    }

    fn compare(
        &self,
        name: &str,
        in_flight: usize,
        bare: impl Fn(Fetcher) -> usize,
        driver: impl Fn(Vec<JobRef>) -> usize,
    ) {
        if !is_wanted(name) {
            return;
        }
        let urls = || (0..self.jobs).map(|job| format!("{}/status/{}", self.server.base_url(), job_id(job))).collect();
        let jobs = || (0..self.jobs).map(|job| JobRef::new(job_id(job)).expect("it is an id")).collect();
        let (mut bares, mut drivers) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let fetcher = Fetcher::new(urls(), LOOKS as usize);
            bares.push(self.round(|| bare(fetcher)));
            let jobs = jobs();
            drivers.push(self.round(|| driver(jobs)));
        }
        let ratio = |of: fn(&Cost) -> f64| median(bares.iter().zip(&drivers).map(|(a, b)| of(b) / of(a)).collect());
        let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
        let speed: fn(&Cost) -> f64 = |cost| cost.per_second;
        let cpu: fn(&Cost) -> f64 = |cost| cost.cpu_micros;
        let reached = ratio(speed);
        println!(
            "{name:<36}{in_flight:>9}{:>10.0}{:>10.0}{reached:>8.3}{:>10.1}{:>10.1}{:>8.3}{}",
            middle(&bares, speed),
            middle(&drivers, speed),
            middle(&bares, cpu),
            middle(&drivers, cpu),
            ratio(cpu),
            if reached < TARGET { "  below 0.95" } else { "" }
        );
    }

    #[allow(clippy::cast_precision_loss)] // these are counts of a benchmark
    fn round(&self, run: impl FnOnce() -> usize) -> Cost {
        let (looks, cpu, start) = (self.server.looks(), self.cpu(), Instant::now());
        let completed = run();
        let (time, cpu) = (start.elapsed(), self.cpu().saturating_sub(cpu));
        let requests = self.server.looks() - looks;
        assert_eq!(completed, self.jobs, "every job ends well");
        assert_eq!(requests, self.jobs as u64 * u64::from(LOOKS), "nobody asks more often than need be");
        let requests = requests as f64;
        Cost { per_second: requests / time.as_secs_f64(), cpu_micros: cpu.as_secs_f64() * 1e6 / requests }
    }

    /// The client's share.
    fn cpu(&self) -> Duration {
        cpu_time().saturating_sub(self.server.cpu_time())
    }
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
