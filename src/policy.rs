//! How long, how often and how patiently to ask: everything about a wait that does not change while it runs.

use core::fmt;
use core::time::Duration;

use crate::time::nanos;
use crate::{Jitter, Spacing};

/// A hint longer than this is garbage and ignored.
pub(crate) const LONGEST_CREDIBLE_HINT: Duration = Duration::from_secs(24 * 60 * 60);

/// The most that jitter adds to a hint; below ten times as much, a tenth of the hint.
const MOST_HINT_JITTER: Duration = Duration::from_secs(1);

/// Below this, a loop is a busy one.
const SHORTEST_DELAY: Duration = Duration::from_millis(1);

/// Schedule, jitter, bounds, deadlines and budgets of a wait, validated as a whole.
///
/// What exists can be run: it ends, it never spins, and its bounds do not contradict each other.
///
/// ```
/// use core::time::Duration;
/// use jobwatch::Policy;
///
/// let policy = Policy::builder()
///     .with_min_delay(Duration::from_secs(2))
///     .with_max_delay(Duration::from_secs(30))
///     .with_total_timeout(Duration::from_secs(600))
///     .build()?;
/// assert_eq!(policy.bounds().max_looks, Some(301));
/// # Ok::<(), jobwatch::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(crate) set: PolicyBuilder,
}

impl Policy {
    /// A builder that starts from the defaults, which are documented at its setters.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// This policy for a world that runs `speed` times as fast, as a simulation does: every wait is divided by it.
    /// The time limits of single looks stay what they are, since requests are real.
    ///
    /// # Errors
    /// The speed is so great that a delay falls below the shortest that is allowed, or is no positive number.
    pub fn at_speed(&self, speed: f64) -> Result<Self, PolicyError> {
        if !(speed.is_finite() && speed > 0.0) {
            return Err(PolicyError::Factor(speed));
        }
        let scale = |time: Duration| Duration::try_from_secs_f64(time.as_secs_f64() / speed).unwrap_or(Duration::MAX);
        let mut set = self.set.clone();
        if let Spacing::Steps(steps) = set.spacing {
            set.spacing = Spacing::Steps(steps.map(scale).ok_or(PolicyError::MinDelayTooShort(Duration::ZERO))?);
        }
        if let Some(FirstLook::After(delay)) = set.first_look {
            set.first_look = Some(FirstLook::After(scale(delay)));
        }
        set.request_cost = scale(set.request_cost);
        set.min_delay = scale(set.min_delay);
        set.max_delay = set.max_delay.map(scale);
        set.total_timeout = set.total_timeout.map(scale);
        set.max_failure_time = scale(set.max_failure_time);
        set.failure_backoff = (scale(set.failure_backoff.0), scale(set.failure_backoff.1));
        set.max_retry_after = scale(set.max_retry_after);
        set.lost_after.1 = scale(set.lost_after.1);
        set.build()
    }

    /// A builder that starts from this policy.
    pub fn to_builder(&self) -> PolicyBuilder {
        self.set.clone()
    }

    /// The schedule that the policy names.
    pub fn spacing(&self) -> Spacing {
        self.set.spacing
    }

    /// The jitter in force: the one given, or else [`Jitter::Equal`] for an exponential schedule and
    /// [`Jitter::None`] for the others, whose gaps are somebody's words.
    pub fn jitter(&self) -> Jitter {
        self.set.jitter.unwrap_or(match self.set.spacing {
            Spacing::Exponential { .. } | Spacing::Learned => Jitter::Equal,
            Spacing::Constant | Spacing::Steps(_) => Jitter::None,
        })
    }

    /// The shortest time from an answer to the next look.
    pub fn min_delay(&self) -> Duration {
        self.set.min_delay
    }

    /// The longest gap that a schedule or a failure backoff sets; `None` where there is no limit.
    pub fn max_delay(&self) -> Option<Duration> {
        self.set.max_delay
    }

    /// When the first look comes.
    pub fn first_look(&self) -> FirstLook {
        self.set.first_look.unwrap_or(FirstLook::AtOnce)
    }

    /// The total time limit of a wait.
    pub fn total_timeout(&self) -> Option<Duration> {
        self.set.total_timeout
    }

    /// The delay that is accepted to save one request.
    pub fn request_cost(&self) -> Duration {
        self.set.request_cost
    }

    /// The time limit of one look.
    pub fn attempt_timeout(&self) -> Duration {
        self.set.attempt_timeout
    }

    /// The time that the final look has, at most.
    pub fn final_grace(&self) -> Duration {
        self.set.final_grace
    }

    /// The most looks of a wait.
    pub fn max_polls(&self) -> Option<u32> {
        self.set.max_polls
    }

    /// The failed look in a row that ends the wait; `None` where that is limited by time alone, once the backend has given
    /// a good answer.
    pub fn max_consecutive_failures(&self) -> Option<u32> {
        self.set.max_failures
    }

    /// How long looks may go on failing, once the backend has given a good answer.
    pub fn max_failure_time(&self) -> Duration {
        self.set.max_failure_time
    }

    /// The ends of the backoff after failed looks.
    pub fn failure_backoff(&self) -> (Duration, Duration) {
        self.set.failure_backoff
    }

    /// How often in a row, and over how long, the backend denies knowing a job before it counts as lost.
    pub fn lost_after(&self) -> (u32, Duration) {
        self.set.lost_after
    }

    /// The longest server's hint that is followed in full.
    pub fn max_retry_after(&self) -> Duration {
        self.set.max_retry_after
    }

    /// What holds for every wait under this policy, whatever the schedule, the answers and the hints.
    pub fn bounds(&self) -> Bounds {
        let set = &self.set;
        let by_time = set.total_timeout.map(|total| {
            // Sends before the deadline are at least min_delay apart; the final look comes on top.
            let before = nanos(total).div_ceil(nanos(set.min_delay));
            u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
        });
        let max_looks = match (by_time, set.max_polls) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let longest_hint = set.max_retry_after.min(LONGEST_CREDIBLE_HINT).max(set.min_delay);
        let longest_hint = longest_hint.saturating_add(Duration::from_nanos(hint_jitter(nanos(longest_hint))));
        Bounds {
            max_looks,
            min_gap: set.min_delay,
            max_gap: set.max_delay.map(|max| max.max(longest_hint)),
            max_wait: set.total_timeout.map(|total| total.saturating_add(set.final_grace.min(set.attempt_timeout))),
        }
    }

    /// `(min_delay, max_delay)` in nanoseconds.
    pub(crate) fn delay_bounds(&self) -> (u64, u64) {
        (nanos(self.set.min_delay), self.set.max_delay.map_or(u64::MAX, nanos))
    }
}

impl Default for Policy {
    /// The defaults of [`PolicyBuilder`]'s setters.
    fn default() -> Self {
        Self { set: PolicyBuilder::default() }
    }
}

/// The width of the jitter that is added to a hint of so many nanoseconds.
pub(crate) fn hint_jitter(hint: u64) -> u64 {
    (hint / 10).min(nanos(MOST_HINT_JITTER))
}

/// What holds for every wait under a policy; `None` where there is no such bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// The most looks, the final one included. Wake-ups and early looks are within it, since they keep `min_delay` too;
    /// a look abandoned in a crash at the very deadline may add one.
    pub max_looks: Option<u32>,
    /// The shortest time from an answer to the next look; the final look alone may come sooner.
    pub min_gap: Duration,
    /// The longest time from an answer to the next look. A fleet's limits, shared with other jobs, may add to it.
    pub max_gap: Option<Duration>,
    /// The longest a wait lasts, for a driver that is on time.
    pub max_wait: Option<Duration>,
}

/// When the first look comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstLook {
    /// At once: a wrong key or id shows immediately.
    #[default]
    AtOnce,
    /// After this delay, plus the small upward jitter that hints get.
    After(Duration),
    /// After the schedule's first gap, for a job that was created just now.
    BySchedule,
}

/// Builds a [`Policy`].
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct PolicyBuilder {
    spacing: Spacing,
    pub(crate) jitter: Option<Jitter>,
    request_cost: Duration,
    min_delay: Duration,
    max_delay: Option<Duration>,
    pub(crate) first_look: Option<FirstLook>,
    total_timeout: Option<Duration>,
    attempt_timeout: Duration,
    final_grace: Duration,
    max_polls: Option<u32>,
    pub(crate) max_first_failures: u32,
    pub(crate) max_failures: Option<u32>,
    pub(crate) max_failure_time: Duration,
    pub(crate) failure_backoff: (Duration, Duration),
    pub(crate) max_retry_after: Duration,
    pub(crate) lost_after: (u32, Duration),
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            spacing: Spacing::Learned,
            jitter: None,
            request_cost: Duration::from_secs(2),
            min_delay: Duration::from_secs(1),
            max_delay: Some(Duration::from_secs(60)),
            first_look: None,
            total_timeout: Some(Duration::from_secs(60 * 60)),
            attempt_timeout: Duration::from_secs(20),
            final_grace: Duration::from_secs(5),
            max_polls: None,
            max_first_failures: 5,
            max_failures: None,
            max_failure_time: Duration::from_secs(15 * 60),
            failure_backoff: (Duration::from_secs(1), Duration::from_secs(30)),
            max_retry_after: Duration::from_secs(15 * 60),
            lost_after: (3, Duration::from_secs(15)),
        }
    }
}

impl PolicyBuilder {
    /// The schedule. Default: learned; where no plan is at hand, as for a [`Poller`](crate::Poller) without one, that is
    /// exponential with factor 1.5.
    pub fn with_spacing(mut self, spacing: Spacing) -> Self {
        self.spacing = spacing;
        self
    }

    /// An exponential schedule with this factor: finite and at least 1. Default: 1.5.
    pub fn with_factor(self, factor: f64) -> Self {
        self.with_spacing(Spacing::Exponential { factor })
    }

    /// The delay that you would accept to save one request, at least 1 ms: what a learned schedule weighs the two by.
    /// Others do not heed it. Default: 2 s.
    pub fn with_request_cost(mut self, cost: Duration) -> Self {
        self.request_cost = cost;
        self
    }

    /// The jitter of the schedule; by default equal for an exponential schedule, none for the others.
    pub fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// The shortest time from an answer to the next look: at least 1 ms, at most `max_delay`. Default: 1 s.
    pub fn with_min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay;
        self
    }

    /// The longest gap that the schedule and the failure backoff may set. Default: 60 s.
    pub fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = Some(delay);
        self
    }

    /// Lets gaps grow without limit.
    pub fn without_max_delay(mut self) -> Self {
        self.max_delay = None;
        self
    }

    /// When the first look comes. Default: at once, so that a wrong id or key shows; where the schedule is learned, a client
    /// looks at a job of its own making by the plan.
    pub fn with_first_look(mut self, first: FirstLook) -> Self {
        self.first_look = Some(first);
        self
    }

    /// The time limit of the whole wait, at least 1 ms; at its end comes one final look. Default: 60 min.
    pub fn with_total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = Some(timeout);
        self
    }

    /// No time limit; then [`with_max_polls`](Self::with_max_polls) must end the wait.
    pub fn without_total_timeout(mut self) -> Self {
        self.total_timeout = None;
        self
    }

    /// The time limit of one look with its redirects, longer than zero. Default: 20 s.
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// The time that a look under way at the deadline is given at least, and the final look at most; longer than zero.
    /// Default: 5 s.
    pub fn with_final_grace(mut self, grace: Duration) -> Self {
        self.final_grace = grace;
        self
    }

    /// The most looks of the wait, the first one counted, at least 1. Default: no limit but time.
    pub fn with_max_polls(mut self, polls: u32) -> Self {
        self.max_polls = Some(polls);
        self
    }

    /// The wait ends with the n-th failed look in a row, at least 1. Default: the fifth, as long as the backend has
    /// never given a good answer (a wrong address fails fast); afterwards time alone counts (an outage is ridden out).
    pub fn with_max_consecutive_failures(mut self, failures: u32) -> Self {
        self.max_first_failures = failures;
        self.max_failures = Some(failures);
        self
    }

    /// How long looks may go on failing, once the backend has given a good answer. Default: 15 min.
    pub fn with_max_failure_time(mut self, time: Duration) -> Self {
        self.max_failure_time = time;
        self
    }

    /// The ends of the backoff after failed looks, which doubles with full jitter; cut to `[min_delay, max_delay]`.
    /// Default: 1 s to 30 s.
    pub fn with_failure_backoff(mut self, from: Duration, to: Duration) -> Self {
        self.failure_backoff = (from, to);
        self
    }

    /// The longest server's hint that is followed in full; longer ones are cut to it. Default: 15 min.
    pub fn with_max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// A job is lost when the backend has denied knowing it so many times in a row (at least 1), over at least this
    /// time. Default: three times over 15 s.
    pub fn with_lost_after(mut self, denials: u32, time: Duration) -> Self {
        self.lost_after = (denials, time);
        self
    }

    /// Validates the whole.
    ///
    /// # Errors
    /// The first rule broken, see [`PolicyError`].
    pub fn build(self) -> Result<Policy, PolicyError> {
        if let Spacing::Exponential { factor } = self.spacing
            && !(factor.is_finite() && factor >= 1.0)
        {
            return Err(PolicyError::Factor(factor));
        }
        if self.min_delay < SHORTEST_DELAY {
            return Err(PolicyError::MinDelayTooShort(self.min_delay));
        }
        if let Some(max) = self.max_delay
            && max < self.min_delay
        {
            return Err(PolicyError::DelaysCrossed { min: self.min_delay, max });
        }
        if self.failure_backoff.0 > self.failure_backoff.1 {
            let (min, max) = self.failure_backoff;
            return Err(PolicyError::DelaysCrossed { min, max });
        }
        if self.total_timeout.is_none() && self.max_polls.is_none() {
            return Err(PolicyError::Endless);
        }
        let zero = [
            ("total timeout", self.total_timeout.is_some_and(|t| t < SHORTEST_DELAY)),
            ("attempt timeout", self.attempt_timeout < SHORTEST_DELAY),
            ("final grace", self.final_grace < SHORTEST_DELAY),
            ("request cost", self.request_cost < SHORTEST_DELAY),
            ("number of polls", self.max_polls == Some(0)),
            ("number of failures", self.max_first_failures == 0),
            ("number of denials", self.lost_after.0 == 0),
        ];
        match zero.into_iter().find(|(_, wrong)| *wrong) {
            Some((what, _)) => Err(PolicyError::Zero(what)),
            None => Ok(Policy { set: self }),
        }
    }
}

/// Why a policy was refused; the caller's configuration is to blame.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The factor of the backoff is below 1, infinite or no number.
    Factor(f64),
    /// The minimum delay is below 1 ms: that loop would spin.
    MinDelayTooShort(Duration),
    /// The shortest delay exceeds the longest.
    DelaysCrossed {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Neither a total timeout nor a number of polls ends the wait.
    Endless,
    /// A limit is zero (for a time: below 1 ms), so that nothing could ever be asked.
    Zero(&'static str),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "the factor must be a number of at least 1, not {factor}"),
            Self::MinDelayTooShort(delay) => write!(f, "the minimum delay must be at least 1ms, not {delay:?}"),
            Self::DelaysCrossed { min, max } => {
                write!(f, "the minimum delay of {min:?} is longer than the maximum delay of {max:?}")
            }
            Self::Endless => f.write_str("the wait could last for ever: give a total timeout or a maximum of polls"),
            Self::Zero(what) => write!(f, "the {what} must be greater than zero (a time: at least 1ms)"),
        }
    }
}

impl core::error::Error for PolicyError {}
