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
//! The [guide](jobwatch::guide) leads through all of it.
//!
//! # A video in three languages
//!
//! One create makes three jobs, and one look asks for all of them; the example `translate_video_blocking` is the whole
//! program.
//!
//! ```
//! use jobwatch_ureq::{Client, Dialect};
//! use serde_json::json;
//!
//! # let simulator = jobwatch_simulator::Simulator::builder().api(jobwatch_simulator::Api::HeygenV3)
//! #     .durations("constant:60".parse()?).speed(100.0).fail_rate(0.0).start()?;
//! # let policy = jobwatch_ureq::Policy::builder().with_min_delay(std::time::Duration::from_millis(20))
//! #     .with_max_delay(std::time::Duration::from_millis(200)).build()?;
//! let client = Client::builder(Dialect::heygen_v3()).header("x-api-key", "secret");
//! # let client = client.base_url(simulator.url()).policy(policy);
//! let client = client.build()?;
//! let jobs = client.create(&json!({
//!     "video": { "type": "url", "url": "https://example.com/video.mp4" },
//!     "output_languages": ["Spanish (Spain)", "French", "German"],
//! }))?;
//! assert_eq!(jobs.len(), 3);
//!
//! for done in client.wait_all(jobs) {
//!     let url = done.result.expect("each has one");
//!     println!("{}: {url}", done.job);
//! #   assert!(url.as_str().unwrap().contains("/files/"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One pool of connections serves all requests of a client. Every decision is made by the core's
//! [`Fleet`](jobwatch::Fleet); this crate sends, sleeps and returns.
//!
//! The feature `metrics` tells counters and histograms to the facade of that name: [`meter`](jobwatch::driver::meter).
//!
//! Requests and ends of jobs are told with `tracing` at `debug`: ids, statuses and times, never the value of a header
//! or the query of a URL.

mod agents;
mod client;
mod clock;
mod exchange;
mod names;
mod strict;
mod wait_all;
mod workers;

pub use client::{Client, ClientBuilder};
pub use jobwatch::{
    self, BuildError, CancelError, Cancellation, Credentials, Dialect, EndReason, Finished, FirstLook, FleetEvent,
    IdError, Jitter, JobHandle, JobRef, JobSnapshot, LookError, Outcome, Policy, PolicyBuilder, PolicyError, RateError,
    RateLimit, SnapshotError, Spacing, Stats, Status, Steps, StepsError, SubmitError, TrackError, TransportError,
};
pub use wait_all::{Stopper, Tracker, WaitAll};

/// The code of the package's page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
