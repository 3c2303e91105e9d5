//! The words in which a queue speaks with its workers.

use std::time::Duration;

use jobwatch::{JobRef, JobSnapshot};

/// Names one ownership of one message: its number, and the epoch, which each adoption raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// pgmq's `msg_id`.
    pub id: i64,
    /// pgmq's `read_ct` at the time of the adoption.
    pub epoch: i32,
}

/// What became of a job that was enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enqueued {
    /// It is in the queue now. A wait for it that had ended without the job's end is forgotten.
    Queued,
    /// It was in the queue already.
    Waiting,
    /// It has ended, as recorded: `succeeded`, `failed`, `cancelled` or `lost`.
    Ended(String),
}

/// A message that is owned now.
#[derive(Debug)]
#[non_exhaustive]
pub struct Adopted {
    /// The ownership.
    pub claim: Claim,
    /// The job, with the newest snapshot of its wait where there is one that this release can read; or why it is none.
    pub job: Result<(JobRef, Option<JobSnapshot>), String>,
    /// How many owners in a row began a look at the job, and nobody heard of its end.
    pub tries: u32,
}

/// Requests that may be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Grant {
    /// How many.
    pub requests: u32,
    /// The first of them so long after the answer, the others at the rate's interval.
    pub wait: Duration,
}

/// A grant as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) requests: u32,
    /// Jobs that are to be looked at for the first time in their ownership, in the order in which they are due.
    pub(crate) started: Vec<i64>,
    /// How many of them one request begins with at most.
    pub(crate) each: u16,
}
