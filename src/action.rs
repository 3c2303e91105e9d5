//! What a driver must do next, and how a wait ended.

use core::fmt;
use core::time::Duration;

use crate::{LookError, Timestamp};

/// What the driver must do next. Exactly one of these answers every input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an action that is not carried out delays the job"]
pub enum Action {
    /// Nothing to do until this instant, unless an answer arrives: then call `poll` again.
    Sleep {
        /// When to call `poll` again. Calling earlier or later is harmless.
        until: Timestamp,
        /// Which rule set the wait.
        reason: WaitReason,
    },
    /// Ask the backend, and hand in what the answer says under this attempt's id.
    Send(Attempt),
    /// The wait has ended.
    Done(Ended),
    /// The wait has ended because its time or its looks were spent; the job may go on.
    TimedOut(Ended),
}

impl Action {
    /// How long to sleep from `now`, in milliseconds rounded up, so that a timer of that grain does not fire early;
    /// zero for every action that is not a sleep.
    pub fn delay(&self, now: Timestamp) -> u64 {
        match self {
            Self::Sleep { until, .. } => until.as_nanos().saturating_sub(now.as_nanos()).div_ceil(1_000_000),
            Self::Send(_) | Self::Done(_) | Self::TimedOut(_) => 0,
        }
    }

    /// How the wait ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        match *self {
            Self::Done(ended) | Self::TimedOut(ended) => Some(ended),
            Self::Sleep { .. } | Self::Send(_) => None,
        }
    }
}

/// One look at the job, to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an attempt that is not sent counts as a failed look when its time is over"]
#[non_exhaustive]
pub struct Attempt {
    /// The name under which its answer is handed in.
    pub id: AttemptId,
    /// How long to wait for the answer, redirects included.
    pub timeout: Duration,
}

/// Names one attempt of one poller: a tag drawn from the poller's seed, and the attempt's number from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

impl AttemptId {
    pub(crate) const fn new(tag: u32, number: u32) -> Self {
        Self((tag as u64) << 32 | number as u64)
    }

    /// The attempt's number within its poller, from 1.
    pub const fn number(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptId({:08x}:{})", self.0 >> 32, self.number())
    }
}

/// An answer under an attempt id that is not in flight: late, repeated, or another poller's. Harmless; drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleAttempt(pub AttemptId);

impl fmt::Display for StaleAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} is not in flight", self.0.number())
    }
}

impl core::error::Error for StaleAttempt {}

/// Which rule set a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WaitReason {
    /// The wait before the first look.
    InitialDelay,
    /// The schedule's gap between two looks at an unfinished job.
    Interval,
    /// The backoff after a failed or throttled look.
    FailureBackoff,
    /// The server said when to ask again.
    Hint,
    /// A look is under way; the wait is for its answer.
    InFlight,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InitialDelay => "initial delay",
            Self::Interval => "interval",
            Self::FailureBackoff => "failure backoff",
            Self::Hint => "hint",
            Self::InFlight => "in flight",
        })
    }
}

/// What set the present wait, in full; [`fmt::Display`] says it as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The rule.
    pub reason: WaitReason,
    /// The instant waited for.
    pub until: Timestamp,
    /// The wait was cut short so that the final look comes at the deadline.
    pub clipped_to_deadline: bool,
    /// Somebody said "look now" and the wait was cut short for it.
    pub woken: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting until {} by the rule: {}", self.until, self.reason)?;
        if self.clipped_to_deadline {
            f.write_str(", cut short by the deadline")?;
        }
        if self.woken {
            f.write_str(", cut short by a wake-up")?;
        }
        Ok(())
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// The job ended well.
    Succeeded,
    /// The job ended badly.
    Failed,
    /// The job was cancelled.
    Cancelled,
    /// The backend does not know the job any more, or never did.
    Lost,
    /// The time or the looks allowed were spent. The job may go on.
    TimedOut,
    /// Too many looks failed in a row. The job may go on.
    GaveUp,
    /// The backend refused to be asked: credentials, address. The job may go on.
    Rejected,
    /// We were told to stop waiting. The job may go on.
    Stopped,
}

impl Outcome {
    /// Whether this is the job's own end, and not only the end of this wait.
    pub const fn is_jobs_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Lost)
    }

    /// The word used on every interface, as in `timed_out`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
            Self::GaveUp => "gave_up",
            Self::Rejected => "rejected",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The rule that ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EndReason {
    /// The backend told the job's end.
    Told,
    /// The backend denied knowing the job: for good, or often enough, for long enough.
    DeniedRepeatedly,
    /// The total time limit was reached, and the final look found the job unfinished.
    Deadline,
    /// The backend asked for more patience than the total time limit leaves.
    ThrottledPastDeadline,
    /// The deadline passed without a free place for the final look.
    NoRoomAtDeadline,
    /// All looks that the policy allows were made.
    PollsSpent,
    /// Too many looks failed in a row.
    FailuresSpent,
    /// Looks failed for too long.
    FailingTooLong,
    /// The backend refused in a way that asking again cannot cure.
    Refused,
    /// The caller said so.
    Stopped,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Told => "the backend told the job's end",
            Self::DeniedRepeatedly => "the backend does not know the job",
            Self::Deadline => "the time limit was reached",
            Self::ThrottledPastDeadline => "the backend asked to wait until after the time limit",
            Self::NoRoomAtDeadline => "the time limit was reached while other requests held every place",
            Self::PollsSpent => "all allowed looks were made",
            Self::FailuresSpent => "too many looks failed in a row",
            Self::FailingTooLong => "looks failed for too long",
            Self::Refused => "the backend refused the request",
            Self::Stopped => "the wait was stopped",
        })
    }
}

/// The end of a wait: what, why, and at what expense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// The rule that ended it.
    pub reason: EndReason,
    /// The last thing that went wrong, also where the wait ended well.
    pub last_error: Option<LookError>,
    /// Looks made.
    pub looks: u32,
    /// Looks that failed; throttled ones are not failures.
    pub failed_looks: u32,
    /// Time from the start of the wait to its end.
    pub elapsed: Duration,
}
