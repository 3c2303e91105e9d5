//! The asynchronous client of [`jobwatch`]: waits for long-running jobs on a tokio runtime, over reqwest.
//!
//! ```
//! use std::time::Duration;
//!
//! use jobwatch_reqwest::{Client, Dialect, Outcome, Policy};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
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
//! let jobs = client.create(&()).await?;
//! let finished = client.wait(&jobs[0]).await;
//! assert_eq!(finished.outcome, Outcome::Succeeded);
//! # Ok(())
//! # }
//! ```
//!
//! The [guide](jobwatch::guide) leads through all of it.
//!
//! # A video in three languages
//!
//! One create makes three jobs, and one look asks for all of them; `examples/translate_video.rs` is the whole program.
//!
//! ```
//! use jobwatch_reqwest::{Client, Dialect};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let simulator = jobwatch_simulator::Simulator::builder().api(jobwatch_simulator::Api::HeygenV3)
//! #     .durations("constant:60".parse()?).speed(100.0).fail_rate(0.0).start()?;
//! # let policy = jobwatch_reqwest::Policy::builder().with_min_delay(std::time::Duration::from_millis(20))
//! #     .with_max_delay(std::time::Duration::from_millis(200)).build()?;
//! let client = Client::builder(Dialect::heygen_v3()).header("x-api-key", "secret");
//! # let client = client.base_url(simulator.url()).policy(policy);
//! let client = client.build()?;
//! let jobs = client.create(&json!({
//!     "video": { "type": "url", "url": "https://example.com/video.mp4" },
//!     "output_languages": ["Spanish (Spain)", "French", "German"],
//! })).await?;
//! assert_eq!(jobs.len(), 3);
//!
//! let mut all = client.wait_all(jobs);
//! while let Some(done) = all.next().await {
//!     let url = done.result.expect("each has one");
//!     println!("{}: {url}", done.job);
//! #   assert!(url.as_str().unwrap().contains("/files/"));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! One client and one pool of connections serve all requests. Every decision is made by the core's
//! [`Fleet`](jobwatch::Fleet); this crate sends, sleeps and returns.
//!
//! # The runtime
//!
//! A tokio runtime with time and I/O enabled is needed wherever a future or a stream of this crate is polled; both
//! flavours will do. All of them are `Send`, and dropping one ends what it does. Connections belong to the runtime in
//! which they were opened and are opened anew in another. The time is the machine's: pausing tokio's clock brings no
//! job to its end sooner.
//!
//! Connections by way of a proxy of one's own, with other roots of trust, or by HTTP/2 (feature `http2`) are had with
//! [`Client::with_http`].
//!
//! The feature `metrics` tells counters and histograms to the facade of that name: [`meter`](jobwatch::driver::meter).
//!
//! # What is logged
//!
//! Requests and ends of jobs are told with `tracing` at `debug`: ids, statuses and times, never the value of a header
//! or the query of a URL.

mod alarm;
mod client;
mod clock;
mod couriers;
mod errors;
mod exchange;
mod handles;
mod http;
mod wait_all;

pub use client::{Client, ClientBuilder};
pub use handles::{Stopper, Tracker};
pub use jobwatch::{
    self, BuildError, CancelError, Cancellation, Credentials, Dialect, EndReason, Finished, FirstLook, FleetEvent,
    IdError, Jitter, JobHandle, JobRef, JobSnapshot, LookError, Outcome, Policy, PolicyBuilder, PolicyError, RateError,
    RateLimit, SnapshotError, Spacing, Stats, Status, Steps, StepsError, SubmitError, TrackError, TransportError,
};
pub use reqwest;
pub use wait_all::{Step, WaitAll};

/// The code of the package's page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
