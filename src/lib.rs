//! Waits for long-running jobs on remote backends, with as few requests and as little delay as can be had.
#![cfg_attr(not(feature = "http"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "http")]
extern crate std;

mod action;
#[cfg(feature = "http")]
mod backend;
#[cfg(feature = "http")]
mod dialect;
#[cfg(feature = "http")]
mod fleet;
#[cfg(feature = "http")]
mod job;
mod observation;
mod policy;
pub mod poller;
mod schedule;
#[cfg(feature = "serde")]
mod snapshot;
#[cfg(feature = "http")]
mod stats;
#[cfg(feature = "http")]
mod status;
#[cfg(feature = "http")]
mod submit;
mod time;
#[cfg(feature = "http")]
mod watch;

pub use action::{Action, Attempt, AttemptId, EndReason, Ended, Explanation, Outcome, StaleAttempt, WaitReason};
pub use observation::{Hint, LookError, Observation};
pub use policy::{Bounds, FirstLook, Policy, PolicyBuilder, PolicyError};
pub use poller::{Poller, PollerState};
pub use schedule::{GapRange, HintRule, Jitter, PolicySchedule, Position, Schedule, Spacing, Steps, StepsError};
#[cfg(feature = "serde")]
pub use snapshot::{PollerSnapshot, SNAPSHOT_VERSION, SnapshotError};
pub use time::Timestamp;

#[cfg(feature = "http")]
pub use {
    backend::{Backend, BackendError, IdError, JobRef},
    dialect::{Dialect, DialectError, HintSource, Reading},
    fleet::{DEFAULT_MAX_IN_FLIGHT, Fleet, FleetAction, FleetEvent, JobHandle, RequestId},
    job::{Finished, TransportError},
    snapshot::JobSnapshot,
    stats::{Outcomes, Stats, Times},
    status::Status,
    submit::{Submit, SubmitAction, SubmitError},
    watch::{Watch, WatchAction, WatchRequestId},
};
