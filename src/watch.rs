//! One job, for those who write their own loop.

use core::borrow::Borrow;
use core::time::Duration;
use std::vec::Vec;

use http::{Request, Response};
use rand_core::Rng;

use crate::finished::{Finished, TransportError};
use crate::job::{HopId, Job, JobStep, Terms};
use crate::{Backend, JobRef, JobSnapshot, Policy, PolicySchedule, SnapshotError, Timestamp, WaitReason};

/// The wait for one job over HTTP, without a socket or a clock: it says which request to send and when, and is handed
/// the answers.
///
/// Call [`poll`](Self::poll) at the start, after every wait, and after every answer or error that was handed in.
///
/// ```no_run
/// use jobwatch::{Backend, Dialect, JobRef, Policy, Timestamp, Watch, WatchAction};
/// # fn now() -> Timestamp { unimplemented!() }
/// # fn sleep_until(_: Timestamp) {}
/// # fn send(_: &http::Request<Vec<u8>>, _: core::time::Duration)
/// #     -> Result<http::Response<Vec<u8>>, jobwatch::TransportError> { unimplemented!() }
/// # fn wait(rng: &mut impl rand_core::Rng) -> Result<(), Box<dyn std::error::Error>> {
/// let backend = Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000"))?;
/// let mut watch = Watch::new(&backend, Policy::default(), JobRef::new("7e7bfe92")?, now(), rng);
/// let finished = loop {
///     match watch.poll(now()) {
///         WatchAction::Sleep { until, .. } => sleep_until(until),
///         WatchAction::Send { id, request, timeout } => match send(&request, timeout) {
///             Ok(response) => watch.handle_response(now(), id, &response),
///             Err(error) => watch.handle_error(now(), id, &error),
///         },
///         WatchAction::Finished(finished) => break finished,
///     }
/// };
/// println!("{}: {}", finished.job, finished.outcome);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watch<B, P> {
    backend: B,
    policy: P,
    job: Option<Job>,
}

/// What the loop around a [`Watch`] must do next.
#[derive(Debug)]
#[must_use = "an action that is not carried out delays the job"]
#[allow(clippy::large_enum_variant)] // lives on the stack, until it is carried out
pub enum WatchAction {
    /// Nothing to do until then.
    Sleep {
        /// When to poll again.
        until: Timestamp,
        /// Which rule set the wait.
        reason: WaitReason,
    },
    /// Send this request and hand in what comes of it under this id. Follow no redirect.
    Send {
        /// The name under which the answer is handed in.
        id: WatchRequestId,
        /// The request, with an absolute URL.
        request: Request<Vec<u8>>,
        /// How long to wait for the whole answer.
        timeout: Duration,
    },
    /// The wait has ended.
    Finished(Finished),
}

/// Names one request of a [`Watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchRequestId(HopId);

impl<B: Borrow<Backend>, P: Borrow<Policy>> Watch<B, P> {
    /// A wait that starts now. Takes one `u64` from the generator.
    pub fn new(backend: B, policy: P, job: JobRef, now: Timestamp, rng: &mut impl Rng) -> Self {
        let job = Some(Job::new(job, policy.borrow(), &PolicySchedule, now, rng.next_u64()));
        Self { backend, policy, job }
    }

    /// Goes on waiting where a snapshot left off.
    ///
    /// # Errors
    /// The snapshot is of a newer version, or damaged.
    pub fn resume(backend: B, policy: P, snapshot: JobSnapshot, now: Timestamp) -> Result<Self, SnapshotError> {
        let job = Some(snapshot.restore(policy.borrow(), now)?);
        Ok(Self { backend, policy, job })
    }

    /// The wait as a value that can be stored; `None` once it has ended, since a snapshot carries no result.
    pub fn snapshot(&self) -> Option<JobSnapshot> {
        self.job.as_ref().filter(|job| job.poller.ended().is_none()).map(JobSnapshot::of)
    }

    /// What to do at this instant.
    ///
    /// [`WatchAction::Finished`] hands out everything that was learned, by value, once; asked again, the watch sleeps
    /// for ever.
    pub fn poll(&mut self, now: Timestamp) -> WatchAction {
        let Some(mut job) = self.job.take() else {
            return WatchAction::Sleep { until: Timestamp::MAX, reason: WaitReason::Interval };
        };
        match job.poll(&terms(&self.backend, &self.policy), job.clamped(now)) {
            JobStep::Ended(ended) => WatchAction::Finished(job.into_finished(ended)),
            JobStep::Sleep { until, reason } => {
                self.job = Some(job);
                WatchAction::Sleep { until, reason }
            }
            JobStep::Send { id, request, timeout } => {
                self.job = Some(job);
                WatchAction::Send { id: WatchRequestId(id), request, timeout }
            }
        }
    }

    /// Takes an answer; one that is late, repeated or not ours changes nothing.
    pub fn handle_response<T: AsRef<[u8]>>(&mut self, now: Timestamp, id: WatchRequestId, response: &Response<T>) {
        if let Some(job) = &mut self.job {
            job.handle_response(&terms(&self.backend, &self.policy), job.clamped(now), id.0, response);
        }
    }

    /// Takes the news that no answer will come.
    pub fn handle_error(&mut self, now: Timestamp, id: WatchRequestId, error: &TransportError) {
        if let Some(job) = &mut self.job {
            job.handle_error(&terms(&self.backend, &self.policy), job.clamped(now), id.0, error);
        }
    }

    /// Something outside says "look now".
    pub fn wake(&mut self, now: Timestamp) {
        if let Some(job) = &mut self.job {
            job.poller.note_wake(self.policy.borrow(), now);
        }
    }

    /// Ends the wait, never the job.
    pub fn stop(&mut self, now: Timestamp) {
        if let Some(job) = &mut self.job {
            let _ = job.poller.stop(now);
        }
    }
}

/// Refused credentials end the wait: a new watch goes on from a snapshot, with a backend that has others.
fn terms<'a, B: Borrow<Backend>, P: Borrow<Policy>>(backend: &'a B, policy: &'a P) -> Terms<'a, PolicySchedule> {
    let (backend, policy) = (backend.borrow(), policy.borrow());
    Terms { backend, policy, schedule: PolicySchedule, renewable: false, renewable_for_results: false }
}
