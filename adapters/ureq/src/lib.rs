//! The blocking client of [`jobwatch`]: waits for long-running jobs from a plain thread.
//!
//! ```
//! use std::time::Duration;
//!
//! use jobwatch_ureq::{Client, Dialect, Outcome, Policy};
//!
//! # let simulator = jobwatch_simulator::Simulator::builder()
//! #     .durations("constant:0.05".parse()?).fail_rate(0.0).start()?;
//! # let url = simulator.url();
//! let policy = Policy::builder()
//!     .with_min_delay(Duration::from_millis(20))
//!     .with_max_delay(Duration::from_millis(500))
//!     .with_total_timeout(Duration::from_secs(60))
//!     .build()?;
//! let client = Client::builder(Dialect::tracker()).base_url(url).policy(policy).build()?;
//!
//! let jobs = client.create(&())?;
//! let finished = client.wait(&jobs[0]);
//! assert_eq!(finished.outcome, Outcome::Succeeded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One agent and one pool of connections serve all requests of a client. Every decision is made by the core's
//! [`Fleet`](jobwatch::Fleet); this crate sends, sleeps and returns.
//!
//! Requests and ends of jobs are told with `tracing` at `debug`: ids, statuses and times, never the value of a header
//! or the query of a URL.

mod client;
mod clock;
mod exchange;
mod wait_all;
mod workers;

pub use client::{Client, ClientBuilder};
pub use jobwatch::{
    BuildError, CancelError, Cancellation, Credentials, Dialect, Finished, FleetEvent, JobRef, Outcome, Policy,
    RateLimit, Stats, Status, SubmitError, TransportError,
};
pub use wait_all::{Stopper, Tracker, WaitAll};
