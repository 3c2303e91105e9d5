//! How looks are spaced while a job is unfinished.
//!
//! A [`Schedule`] maps a [`Position`] in a job's life to a *range* for the next gap. It never draws: the poller cuts the
//! range to the policy's bounds and draws inside what is left, so that no schedule can break a bound or pile
//! probability on one.

pub(crate) mod backoff;
pub(crate) mod grid;
pub(crate) mod jitter;
pub(crate) mod plan;
mod steps;

use core::time::Duration;

pub use jitter::Jitter;
pub use plan::PlanView;
pub use steps::{Steps, StepsError};

use crate::Policy;
use crate::time::nanos;

/// Spaces looks while the job is unfinished. Implement it for a schedule of your own; the policy's bounds hold for it
/// too.
///
/// ```
/// use core::time::Duration;
/// use jobwatch::{GapRange, Policy, Position, Schedule};
///
/// /// A tenth of the job's age, so that the relative delay is the same for short and long jobs.
/// struct TenthOfAge;
///
/// impl Schedule for TenthOfAge {
///     fn gap(&self, _policy: &Policy, at: &Position) -> GapRange {
///         GapRange::new(at.age / 11, at.age / 9)
///     }
/// }
///
/// let later = Position::new(Duration::from_secs(99), 4, 3, None);
/// assert_eq!(TenthOfAge.gap(&Policy::default(), &later).hi(), Duration::from_secs(11));
/// ```
pub trait Schedule {
    /// The range of the next gap, before it is cut to the policy's `[min_delay, max_delay]`.
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange;

    /// What a server's hint on an unfinished job does to the schedule.
    fn hint_rule(&self) -> HintRule {
        HintRule::Follow
    }
}

impl<S: Schedule + ?Sized> Schedule for &S {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        (**self).gap(policy, at)
    }

    fn hint_rule(&self) -> HintRule {
        (**self).hint_rule()
    }
}

/// How a schedule treats the server's word on when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintRule {
    /// The hint replaces the gap, in both directions: the server knows more than a backoff does.
    Follow,
    /// The gap is at least the hint: the schedule knows something too.
    Floor,
}

/// Where in its life a job is when the next gap is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// The job's age: since its creation where that is known, else since the wait began.
    pub age: Duration,
    /// Looks sent so far, failed ones included.
    pub looks: u32,
    /// Gaps this schedule was asked for so far: zero for the first.
    pub gaps: u32,
    /// The gap drawn last, if any.
    pub previous_gap: Option<Duration>,
    /// The age at which the job will end, as its backend guesses.
    pub expected_end: Option<Duration>,
}

impl Position {
    /// A position, to try a schedule of one's own with.
    pub const fn new(age: Duration, looks: u32, gaps: u32, previous_gap: Option<Duration>) -> Self {
        Self { age, looks, gaps, previous_gap, expected_end: None }
    }
}

/// A closed range for the next gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRange {
    lo: u64,
    hi: u64,
}

impl GapRange {
    /// From `lo` to `hi`, both included; where they come in the wrong order, both are `lo`.
    pub const fn new(lo: Duration, hi: Duration) -> Self {
        Self::from_nanos(nanos(lo), nanos(hi))
    }

    /// Exactly this gap.
    pub const fn exactly(gap: Duration) -> Self {
        Self::new(gap, gap)
    }

    pub(crate) const fn from_nanos(lo: u64, hi: u64) -> Self {
        Self { lo, hi: if hi < lo { lo } else { hi } }
    }

    /// The shortest gap of the range.
    pub const fn lo(self) -> Duration {
        Duration::from_nanos(self.lo)
    }

    /// The longest gap of the range.
    pub const fn hi(self) -> Duration {
        Duration::from_nanos(self.hi)
    }

    /// Both ends cut to `[min, max]`.
    pub(crate) fn cut(self, min: u64, max: u64) -> Self {
        Self { lo: self.lo.clamp(min, max), hi: self.hi.clamp(min, max) }
    }

    /// Both ends raised to what a hint allows.
    pub(crate) fn raised_to(self, hint: Self) -> Self {
        Self { lo: self.lo.max(hint.lo), hi: self.hi.max(hint.hi) }
    }

    pub(crate) const fn nanos(self) -> (u64, u64) {
        (self.lo, self.hi)
    }
}

/// The schedules a policy can name.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Spacing {
    /// Ever wider, from `min_delay` by `factor` to `max_delay`: for jobs about which nothing is known.
    Exponential {
        /// At least 1.
        factor: f64,
    },
    /// Always `min_delay`.
    Constant,
    /// By the job's age.
    Steps(Steps),
    /// By a plan learned from the jobs before: `learn::Plan`. Where none is at hand, exponential with factor 1.5.
    Learned,
}

impl Default for Spacing {
    /// Exponential with factor 1.5, which bounds the delay relative to the job's length.
    fn default() -> Self {
        Self::Exponential { factor: DEFAULT_FACTOR }
    }
}

/// It bounds the delay relative to the job's length: a gap is at most half of the age.
const DEFAULT_FACTOR: f64 = 1.5;

/// The schedule that the policy itself names, see [`Policy::spacing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicySchedule;

impl Schedule for PolicySchedule {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        let (min, max) = policy.delay_bounds();
        let jitter = policy.jitter();
        let ceiling = match policy.spacing() {
            Spacing::Exponential { factor } => backoff::ceiling(min, max, factor, jitter.step(at.gaps)),
            Spacing::Learned => backoff::ceiling(min, max, DEFAULT_FACTOR, jitter.step(at.gaps)),
            Spacing::Constant => min,
            Spacing::Steps(steps) => steps.gap(nanos(at.age)),
        };
        jitter.range(ceiling, at.previous_gap.map(nanos), min, max)
    }
}
