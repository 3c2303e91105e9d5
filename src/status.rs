//! One look at a job, without waiting.

use core::time::Duration;
use std::string::String;

use serde_json::Value;

use crate::{Address, EndReason, Finished, FirstLook, JobRef, LookError, Outcome, Policy, Spacing};

/// What one look said of a job.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The job.
    pub job: JobRef,
    /// The state, in the backend's word.
    pub state: Option<String>,
    /// How the job ended, or why the look told nothing (`gave_up`, `rejected`, `timed_out`); `None` where the job is
    /// unfinished.
    pub outcome: Option<Outcome>,
    /// The job's result, where the answer carried it.
    pub result: Option<Value>,
    /// What went wrong with the job or with the look.
    pub error: Option<String>,
    /// How far the job is, from 0 to 1, where the backend tells.
    pub progress: Option<f64>,
    /// How many jobs stand before it in the backend's queue, where the backend tells.
    pub queue_position: Option<u64>,
    /// What the look ran into, if it told nothing.
    pub last_error: Option<LookError>,
    /// Requests sent, redirects included.
    pub requests: u32,
    /// Requests that told nothing about the job.
    pub failed_requests: u32,
    /// How long the look took.
    pub elapsed: Duration,
    /// Where the job can be cancelled, where the answer told.
    pub(crate) cancel_at: Option<Address>,
}

impl Status {
    /// Nobody has looked.
    pub(crate) fn unknown(job: JobRef) -> Self {
        Self {
            job,
            state: None,
            outcome: None,
            result: None,
            error: None,
            progress: None,
            queue_position: None,
            last_error: None,
            requests: 0,
            failed_requests: 0,
            elapsed: Duration::ZERO,
            cancel_at: None,
        }
    }

    /// What a wait under [`Policy::one_look`] has found.
    pub fn of(finished: Finished) -> Self {
        let unfinished = finished.reason == EndReason::PollsSpent && finished.last_error.is_none();
        Self {
            job: finished.job,
            state: finished.state,
            outcome: (!unfinished).then_some(finished.outcome),
            result: finished.result,
            error: finished.error.filter(|_| !unfinished),
            progress: finished.progress,
            queue_position: finished.queue_position,
            last_error: finished.last_error,
            requests: finished.requests,
            failed_requests: finished.failed_requests,
            elapsed: finished.elapsed,
            cancel_at: finished.cancel_at,
        }
    }
}

impl Policy {
    /// This policy for a single look instead of a wait: at once, and its answer is taken at its word.
    #[must_use]
    pub fn one_look(&self) -> Self {
        let set = self.to_builder().with_first_look(FirstLook::AtOnce).with_max_polls(1);
        // It says nothing about how long jobs take.
        let set = set.with_spacing(Spacing::Constant);
        // A valid policy stays valid with one poll, one failure and one denial.
        Self { set: set.with_max_consecutive_failures(1).with_lost_after(1, Duration::ZERO) }
    }
}
