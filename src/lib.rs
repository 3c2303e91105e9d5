//! Waits for long-running jobs on remote backends, with as few requests and as little delay as can be had.
//!
//! People submit work to an API that answers "pending" for minutes, and write a loop with `sleep` in it. That loop polls
//! too often or notices too late, dies on one bad gateway, ignores `Retry-After`, overflows its backoff and loses the id
//! of a paid job. This crate is what such a loop should decide; it never does it itself: there is no socket, no thread,
//! no clock and no entropy in here. Time and randomness are arguments, so that a wait of hours is tested in
//! microseconds.
//!
//! # Where to begin
//!
//! | you want | take |
//! |---|---|
//! | to be led through all of it | the [`guide`] |
//! | a client that does everything | the crates `jobwatch-ureq` (blocking) and `jobwatch-reqwest` (tokio) |
//! | many jobs in a runtime of your own | `Fleet` |
//! | one job over HTTP in a loop of your own | `Watch`; `Submit` to create it, `Cancel` to cancel it |
//! | a backend that nobody has described yet | `Dialect` |
//! | to lose no job in a crash | [`store`], and the crate `jobwatch-sqlite` |
//! | several machines to share the waiting | the crate `jobwatch-pgmq` |
//! | to know when jobs end before they do | [`learn`], and [`play`] to see what it is worth |
//! | only the decision *when*, for anything that can be asked | [`Poller`] |
//! | to test polling of your own, of hours in microseconds | `testing` |
//!
//! # The loop
//!
//! A [`Poller`] is given the time and the answers, and says what to do next: this is all there is to it.
//!
//! ```
//! use core::time::Duration;
//! use jobwatch::{Action, Observation, Outcome, Policy, Poller, Timestamp};
//! # use rand_chacha::ChaCha8Rng;
//! # use rand_core::SeedableRng;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let policy = Policy::builder()
//!     .with_max_delay(Duration::from_secs(30))
//!     .with_total_timeout(Duration::from_secs(600))
//!     .build()?;
//!
//! # let mut rng = ChaCha8Rng::seed_from_u64(7);
//! let mut now = Timestamp::from_secs(1_700_000_000); // your clock
//! let mut poller = Poller::new(policy, now, &mut rng);
//! # let start = now;
//! # let mut ask = |now: Timestamp| match now.saturating_since(start).as_secs() {
//! #     0..40 => Observation::Running { hint: None },
//! #     _ => Observation::Succeeded,
//! # };
//! let ended = loop {
//!     match poller.poll(now) {
//!         Action::Sleep { until, .. } => now = until, // sleep, in real life
//!         Action::Send(attempt) => {
//!             let observation = ask(now); // a request, and what its answer says
//!             let _ = poller.handle_observation(now, attempt.id, observation)?;
//!         }
//!         Action::Done(ended) | Action::TimedOut(ended) => break ended,
//!     }
//! };
//! assert_eq!(ended.outcome, Outcome::Succeeded);
//! assert!(ended.looks < 12);
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! 1. The same policy, seed and inputs give the same actions.
//! 2. Without a server's hint each wait lies within `[min_delay, max_delay]`; after a throttle, never before its end.
//! 3. A job that is unfinished at the deadline gets exactly one final look, however late the machine wakes up.
//! 4. Every wait ends. Looks never exceed [`Bounds::max_looks`], and none come closer than `min_delay`, the final one aside.
//! 5. Nothing panics or overflows, for any time, count, hint or valid policy.
//! 6. Time that goes backwards counts as no time passing.
//! 7. Late, repeated and foreign answers change nothing.
//! 8. An end never changes.
//! 9. A lost action heals: an attempt that is never answered expires.
//! 10. A snapshot cut anywhere and restored has the identical future; a damaged or newer one is refused.
//! 11. Pollers that start together spread over the whole range of the jitter.
//! 12. A failed request is never reported as a failed job, nor the reverse, and a timeout never loses a job's id.
//!
//! Each is a property test under its number in `tests/`; [`promises`] names them, and tells what else is promised.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | none | [`Poller`], [`Policy`], schedules: `no_std`, no `alloc`, `rand_core` and `rand_chacha` alone |
//! | `alloc` | `learn`: histories of durations and the plans that waste least; needs `libm` |
//! | `serde` | snapshots, still without `std` |
//! | `http` (default) | dialects, `Backend`, `Watch`, `Submit`, `Cancel`, `Fleet`, `Stats`: the HTTP life of a job, without a socket |
//! | `metrics` | requests and ends told to the `metrics` facade, see `driver::meter` |
//! | `testing` | `testing`: worlds in simulated time, strategies and assertions, for your own tests |
//! | `gzip` | `driver::body`: answers decoded and bounded as they come |
//!
//! Features add API and never change what is there. What stays as it is from release to release is told in
//! [`guide::stability`].
#![cfg_attr(not(feature = "http"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "http", feature = "testing"))]
extern crate std;

mod action;
#[cfg(feature = "http")]
mod backend;
#[cfg(feature = "http")]
mod cancel;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod dialect;
#[cfg(feature = "http")]
mod download;
#[cfg(feature = "http")]
pub mod driver;
#[cfg(feature = "http")]
mod finished;
#[cfg(feature = "http")]
mod fleet;
#[cfg(feature = "http")]
pub mod guide;
#[cfg(feature = "http")]
mod job;
#[cfg(feature = "alloc")]
pub mod learn;
mod observation;
#[cfg(feature = "alloc")]
pub mod play;
mod policy;
pub mod poller;
#[doc = include_str!("promises.md")]
pub mod promises {}
mod schedule;
#[cfg(feature = "serde")]
mod snapshot;
#[cfg(feature = "http")]
mod stats;
#[cfg(feature = "http")]
mod status;
#[cfg(feature = "http")]
pub mod store;
#[cfg(feature = "http")]
mod submit;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
#[cfg(feature = "http")]
mod watch;

pub use action::{Action, Attempt, AttemptId, EndReason, Ended, Explanation, Outcome, StaleAttempt, WaitReason};
pub use observation::{Hint, LookError, Observation};
pub use policy::{Bounds, FirstLook, Policy, PolicyBuilder, PolicyError};
pub use poller::{Poller, PollerState};
pub use schedule::{
    GapRange, HintRule, Jitter, PlanView, PolicySchedule, Position, Schedule, Spacing, Steps, StepsError,
};
#[cfg(feature = "serde")]
pub use snapshot::{PollerSnapshot, SNAPSHOT_VERSION, SnapshotError};
pub use time::Timestamp;

/// The crates whose types are part of this one's face, in the versions that it speaks.
#[doc(no_inline)]
pub use rand_core;
#[cfg(feature = "http")]
#[doc(no_inline)]
pub use {http, serde_json};

#[cfg(feature = "http")]
pub use {
    backend::{Backend, BackendError, IdError, JobRef},
    cancel::{Cancel, CancelAction, CancelError, Cancellation},
    client::{BuildError, ClientBuilder, Credentials, TrackError},
    dialect::{Address, Dialect, DialectError, HintSource, Reading, Rule},
    finished::{Finished, TransportError},
    fleet::{
        ClassId, DEFAULT_MAX_IN_FLIGHT, Fleet, FleetAction, FleetEvent, JobHandle, Progress, RateError, RateLimit,
        RequestId,
    },
    snapshot::JobSnapshot,
    stats::{Outcomes, Stats, Times},
    status::Status,
    submit::{Submit, SubmitAction, SubmitError},
    watch::{Watch, WatchAction, WatchRequestId},
};
