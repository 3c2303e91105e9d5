//! Waits for long-running jobs on remote backends, with as few requests and as little delay as can be had.
#![cfg_attr(not(feature = "http"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod action;
mod observation;
mod policy;
pub mod poller;
mod schedule;
#[cfg(feature = "serde")]
mod snapshot;
mod time;

pub use action::{Action, Attempt, AttemptId, EndReason, Ended, Explanation, Outcome, StaleAttempt, WaitReason};
pub use observation::{Hint, LookError, Observation};
pub use policy::{Bounds, FirstLook, Policy, PolicyBuilder, PolicyError};
pub use poller::{Poller, PollerState};
pub use schedule::{GapRange, HintRule, Jitter, PolicySchedule, Position, Schedule, Spacing, Steps, StepsError};
#[cfg(feature = "serde")]
pub use snapshot::{PollerSnapshot, SNAPSHOT_VERSION, SnapshotError};
pub use time::Timestamp;
