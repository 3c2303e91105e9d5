//! A wait as a value that can be stored: versioned, and validated when it is taken up again.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::poller::Phase;
use crate::{EndReason, Outcome, PollerState, Timestamp, WaitReason};

/// The version this release writes, and the newest it reads.
pub const SNAPSHOT_VERSION: u16 = 1;

/// The state of a wait, ready for any serde format. Plain data: nothing in it is executed, and nothing in it is secret.
///
/// ```
/// # use rand_chacha::ChaCha8Rng;
/// # use rand_core::SeedableRng;
/// use jobwatch::{Policy, Poller, PolicySchedule, PollerSnapshot, Timestamp};
/// # let mut rng = ChaCha8Rng::seed_from_u64(0);
/// let now = Timestamp::from_secs(1_700_000_000);
/// let poller = Poller::new(Policy::default(), now, &mut rng);
///
/// let stored = serde_json::to_string(&PollerSnapshot::of(poller.state()))?;
///
/// let snapshot: PollerSnapshot = serde_json::from_str(&stored)?;
/// let resumed = Poller::from_state(Policy::default(), PolicySchedule, snapshot.restore(now)?);
/// assert_eq!(resumed.state(), poller.state());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollerSnapshot {
    v: u16,
    state: PollerState,
}

impl PollerSnapshot {
    /// Takes a snapshot.
    pub fn of(state: &PollerState) -> Self {
        Self { v: SNAPSHOT_VERSION, state: state.clone() }
    }

    /// The state again, on a clock that shows `now`: where that is earlier than the snapshot, the clock was set back and
    /// every instant is shifted with it.
    ///
    /// # Errors
    /// The snapshot is of a newer version, or no wait can be in the state it tells.
    pub fn restore(self, now: Timestamp) -> Result<PollerState, SnapshotError> {
        if self.v != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(self.v));
        }
        let mut state = self.state;
        check(&state)?;
        state.rebase(now);
        Ok(state)
    }
}

/// The wait for one job over HTTP as a value that can be stored: no credentials, no result, plain data.
#[cfg(feature = "http")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobSnapshot {
    v: u16,
    job: crate::job::Job,
    /// It is taken up with a fresh budget.
    #[serde(skip)]
    anew: bool,
}

#[cfg(feature = "http")]
impl JobSnapshot {
    pub(crate) fn of(job: &crate::job::Job) -> Self {
        Self { v: SNAPSHOT_VERSION, job: job.clone(), anew: false }
    }

    /// The same with a fresh budget: the time limit, the looks and the failures allowed count from the moment it is taken
    /// up, and the first look comes at once. The job's age and what is known of it are kept.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { anew: true, ..self }
    }

    /// The job that the snapshot tells of.
    pub fn job(&self) -> &crate::JobRef {
        &self.job.job
    }

    /// The job again, due as soon as `min_delay` allows if a request was under way: its answer is lost.
    pub(crate) fn restore(self, policy: &crate::Policy, now: Timestamp) -> Result<crate::job::Job, SnapshotError> {
        if self.v != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(self.v));
        }
        let mut job = self.job;
        check(&job.poller)?;
        job.resume(policy, now);
        if self.anew {
            job.renew(policy, now);
        }
        Ok(job)
    }
}

/// Why a snapshot was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It was written by another version of the format.
    Version(u16),
    /// No wait can be in this state; the snapshot was damaged or tampered with.
    Impossible(&'static str),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(v) => {
                write!(f, "the snapshot has version {v}, this release reads version {SNAPSHOT_VERSION}")
            }
            Self::Impossible(what) => write!(f, "the snapshot is damaged: {what}"),
        }
    }
}

impl core::error::Error for SnapshotError {}

/// What holds for every state that inputs can lead to.
fn check(state: &PollerState) -> Result<(), SnapshotError> {
    let rules = [
        (state.born <= state.started, "the job began after its wait"),
        (state.started <= state.latest, "the wait began in the future"),
        (state.anchor <= state.latest, "the last answer lies in the future"),
        (state.started <= state.anchor, "the last answer precedes the wait"),
        (state.failures <= state.failed_looks, "more failures in a row than in all"),
        (state.failures <= state.setbacks, "more failures than setbacks"),
        (state.failed_looks <= state.looks, "more failed looks than looks"),
        (state.setbacks <= state.looks, "more setbacks than looks"),
        (state.denials <= state.looks, "more denials than looks"),
        (state.failing_since <= state.latest, "the failures began in the future"),
        (state.denied_since <= state.latest, "the denials began in the future"),
        (state.failed_looks == 0 || state.last_error.is_some(), "failed looks without an error"),
    ];
    if let Some((_, what)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(SnapshotError::Impossible(what));
    }
    match state.phase {
        Phase::Waiting { reason: WaitReason::InFlight, .. } => {
            Err(SnapshotError::Impossible("waiting for an answer without a look in flight"))
        }
        Phase::InFlight { .. } if state.looks == 0 => Err(SnapshotError::Impossible("in flight without a look")),
        Phase::InFlight { expires } if expires < state.anchor => {
            Err(SnapshotError::Impossible("the look in flight expired before it was sent"))
        }
        Phase::Ended { at, .. } if at < state.started || at > state.latest => {
            Err(SnapshotError::Impossible("the wait ended outside its time"))
        }
        Phase::Ended { outcome, reason, .. } if !can_end(outcome, reason) => {
            Err(SnapshotError::Impossible("the wait's outcome contradicts its reason"))
        }
        _ => Ok(()),
    }
}

/// Whether this rule ends a wait this way.
fn can_end(outcome: Outcome, reason: EndReason) -> bool {
    match reason {
        EndReason::Told => outcome.is_jobs_end(),
        EndReason::DeniedRepeatedly => outcome == Outcome::Lost,
        EndReason::Deadline
        | EndReason::ThrottledPastDeadline
        | EndReason::NoRoomAtDeadline
        | EndReason::PollsSpent => outcome == Outcome::TimedOut,
        EndReason::FailuresSpent | EndReason::FailingTooLong => outcome == Outcome::GaveUp,
        EndReason::Refused => outcome == Outcome::Rejected,
        EndReason::Stopped => outcome == Outcome::Stopped,
    }
}
