//! The words in which a fleet speaks with its driver.

use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use http::Request;

use crate::finished::Finished;
use crate::{JobRef, Timestamp};

/// Names one job of a fleet; never reused for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobHandle {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Names one request of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    pub(super) slot: u32,
    pub(super) generation: u32,
    pub(super) first: JobHandle,
}

impl RequestId {
    /// The job that is asked for; the first of them where a request is shared.
    pub fn job(self) -> JobHandle {
        self.first
    }
}

/// Names one class of jobs of a fleet: those that are waited for under one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClassId(pub(super) u16);

/// What the driver of a [`Fleet`](crate::Fleet) must do next.
#[derive(Debug)]
#[must_use = "an action that is not carried out delays a job"]
#[allow(clippy::large_enum_variant)] // lives on the stack, until it is carried out
pub enum FleetAction {
    /// Send this request, without waiting for the answer before polling on. Follow no redirect.
    Send {
        /// The name under which the answer is handed in.
        id: RequestId,
        /// The request, with an absolute URL.
        request: Request<Vec<u8>>,
        /// How long to wait for the whole answer.
        timeout: Duration,
    },
    /// Nothing to do until then, unless an answer arrives.
    Sleep {
        /// When to poll again.
        until: Timestamp,
    },
    /// The credentials were refused: renew them, without waiting for that before polling on, and hand what comes of it to
    /// [`Fleet::renewed`](crate::Fleet::renewed). Until then nothing is sent. Comes only after
    /// [`Fleet::with_renewal`](crate::Fleet::with_renewal).
    Renew,
    /// There is no job.
    Idle,
}

/// News of a fleet, in the order in which they happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum FleetEvent {
    /// A job is in another state than before.
    Changed {
        /// The job.
        handle: JobHandle,
        /// Its state, in the backend's word.
        state: String,
    },
    /// A job's new state is a word that the dialect does not know, and is taken as its `state.unknown` says.
    UnknownState {
        /// The job.
        handle: JobHandle,
        /// The word.
        state: String,
    },
    /// A job's wait has ended; the handle names nothing any more.
    Finished {
        /// The job.
        handle: JobHandle,
        /// How it ended.
        finished: Box<Finished>,
    },
}

/// Where a job stands, for those who show it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The job.
    pub job: &'a JobRef,
    /// Its state, in the backend's word; `None` before the first answer.
    pub state: Option<&'a str>,
    /// Requests sent, redirects included.
    pub requests: u32,
    /// A request is under way.
    pub in_flight: bool,
    /// How far the job is, from 0 to 1, where the backend tells.
    pub fraction: Option<f64>,
    /// How many jobs stand before it in the backend's queue, where the backend tells.
    pub queue_position: Option<u64>,
    /// When the next look is due, or the request under way expires. Limits may add to it.
    pub next: Timestamp,
}
