//! Bounds, held against what really happened.

use core::fmt;
use core::time::Duration;
use std::vec::Vec;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::{Answer, START, Seed};
use crate::{Action, AttemptId, Bounds, Hint, LookError, Observation, Policy, PollerState, Schedule, Timestamp};

/// Looks after which a wait is followed no further.
const MOST_LOOKS: usize = 100_000;

/// When a wait looked, was answered and ended: recorded by a [`World`](super::World), by [`check_bounds`], or by a loop of
/// one's own under test, and then held to bounds.
///
/// ```
/// use core::time::Duration;
/// use jobwatch::testing::{Breach, Looks, START};
/// use jobwatch::Policy;
///
/// let after = |ms| START.saturating_add(Duration::from_millis(ms));
/// let mut looks = Looks::new(START);
/// looks.sent(after(0));
/// looks.answered(after(80));
/// looks.sent(after(580)); // a loop that slept for half a second; the policy says one
/// looks.answered(after(660));
/// looks.sent(after(2_000));
///
/// let breach = looks.check(&Policy::default().bounds()).unwrap_err();
/// assert_eq!(breach.to_string(), "look 2 came 500ms after the answer before it, and at least 1s is asked for");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    started: Timestamp,
    /// When each was sent and answered.
    all: Vec<(Timestamp, Option<Timestamp>)>,
    ended: Option<Timestamp>,
}

impl Looks {
    /// A wait that starts now.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, all: Vec::new(), ended: None }
    }

    /// A look is sent.
    pub fn sent(&mut self, now: Timestamp) {
        self.all.push((now, None));
    }

    /// The last look is answered, or nobody waits for its answer any more.
    pub fn answered(&mut self, now: Timestamp) {
        if let Some((_, answered)) = self.all.last_mut() {
            answered.get_or_insert(now);
        }
    }

    /// The wait has ended.
    pub fn ended(&mut self, now: Timestamp) {
        self.ended.get_or_insert(now);
    }

    /// When each look was sent.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.all.iter().map(|(sent, _)| *sent)
    }

    /// Holds it to these bounds: [`Policy::bounds`], or narrower ones.
    ///
    /// The last look may be the final one, which alone keeps no shortest gap. The first look has no gap before it. The
    /// length of a wait that has not ended is not checked.
    ///
    /// # Errors
    /// The first bound that was broken.
    pub fn check(&self, bounds: &Bounds) -> Result<(), Breach> {
        let looks = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        for (index, pair) in self.all.windows(2).enumerate() {
            let ((asked, answered), (next, _)) = (pair[0], pair[1]);
            let gap = next.saturating_since(answered.unwrap_or(asked));
            let (look, is_last) = (index + 2, index + 2 == self.all.len());
            // Where time cannot go on, nothing can be waited for.
            if gap < bounds.min_gap && !is_last && next < Timestamp::MAX {
                return Err(Breach::GapTooShort { look, gap, least: bounds.min_gap });
            }
            if let Some(most) = bounds.max_gap.filter(|most| gap > *most) {
                return Err(Breach::GapTooLong { look, gap, most });
            }
        }
        if let Some(most) = bounds.max_looks.filter(|most| looks > *most) {
            return Err(Breach::TooManyLooks { looks, most });
        }
        let lasted = self.ended.map(|ended| ended.saturating_since(self.started));
        match (lasted, bounds.max_wait) {
            (Some(lasted), Some(most)) if lasted > most => Err(Breach::WaitTooLong { lasted, most }),
            _ => Ok(()),
        }
    }
}

/// Which bound was broken, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// More looks than [`Bounds::max_looks`].
    TooManyLooks {
        /// So many.
        looks: u32,
        /// At most so many were allowed.
        most: u32,
    },
    /// A look came sooner than [`Bounds::min_gap`].
    GapTooShort {
        /// Which one, from 1.
        look: usize,
        /// So long after the answer before it.
        gap: Duration,
        /// At least so long was asked for.
        least: Duration,
    },
    /// A look came later than [`Bounds::max_gap`].
    GapTooLong {
        /// Which one, from 1.
        look: usize,
        /// So long after the answer before it.
        gap: Duration,
        /// At most so long was allowed.
        most: Duration,
    },
    /// The wait lasted longer than [`Bounds::max_wait`].
    WaitTooLong {
        /// So long.
        lasted: Duration,
        /// At most so long was allowed.
        most: Duration,
    },
    /// Time went on and on, and the wait neither looked nor ended.
    Endless,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyLooks { looks, most } => write!(f, "{looks} looks were made, and at most {most} are allowed"),
            Self::GapTooShort { look, gap, least } => {
                write!(f, "look {look} came {gap:?} after the answer before it, and at least {least:?} is asked for")
            }
            Self::GapTooLong { look, gap, most } => {
                write!(f, "look {look} came {gap:?} after the answer before it, and at most {most:?} is allowed")
            }
            Self::WaitTooLong { lasted, most } => {
                write!(f, "the wait lasted {lasted:?}, and at most {most:?} is allowed")
            }
            Self::Endless => f.write_str("the wait neither looks nor ends"),
        }
    }
}

impl core::error::Error for Breach {}

/// Drives waits under this policy and schedule in simulated time, against backends that are prompt, slow, silent, broken,
/// throttling, full of hints, urging, and all of it by turns, and holds each to these bounds.
///
/// What is longer than 100,000 looks is followed no further. Equal seeds give equal waits.
///
/// # Errors
/// The first backend under which a bound was broken, and the bound.
pub fn check_bounds(
    bounds: &Bounds,
    policy: &Policy,
    schedule: &impl Schedule,
    seed: u64,
) -> Result<(), (Temper, Breach)> {
    Temper::ALL.into_iter().try_for_each(|temper| {
        let looks = drive(policy, schedule, seed, temper).map_err(|breach| (temper, breach))?;
        looks.check(bounds).map_err(|breach| (temper, breach))
    })
}

/// Asserts that waits under this policy and schedule keep the policy's own bounds, whatever the backend does; see
/// [`check_bounds`].
///
/// ```
/// use core::time::Duration;
/// use jobwatch::testing::assert_within_bounds;
/// use jobwatch::{GapRange, Policy, Position, Schedule};
///
/// /// Eager, far below what any policy allows.
/// struct Eager;
///
/// impl Schedule for Eager {
///     fn gap(&self, _: &Policy, _: &Position) -> GapRange {
///         GapRange::exactly(Duration::ZERO)
///     }
/// }
///
/// for seed in 0..20 {
///     assert_within_bounds(&Policy::default(), &Eager, seed); // cut to `min_delay`
/// }
/// ```
///
/// # Panics
/// They do not. The message names the backend, the bound and the seed.
#[track_caller]
pub fn assert_within_bounds(policy: &Policy, schedule: &impl Schedule, seed: u64) {
    assert_within(&policy.bounds(), policy, schedule, seed);
}

/// The same for bounds that are narrower than the policy's own: what you have promised to somebody.
///
/// ```should_panic
/// use jobwatch::testing::assert_within;
/// use jobwatch::{Policy, PolicySchedule};
///
/// let policy = Policy::default();
/// let mut promised = policy.bounds();
/// promised.max_looks = Some(100);
/// assert_within(&promised, &policy, &PolicySchedule, 1); // a backend that says "ask again at once" takes more
/// ```
///
/// # Panics
/// They do not. The message names the backend, the bound and the seed.
#[track_caller]
pub fn assert_within(bounds: &Bounds, policy: &Policy, schedule: &impl Schedule, seed: u64) {
    if let Err((temper, breach)) = check_bounds(bounds, policy, schedule, seed) {
        panic!("against a backend that is {temper}, with seed {seed}: {breach}");
    }
}

/// What a backend of [`check_bounds`] is like. Its job never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Temper {
    /// Each answer comes at once, and says that the job runs.
    Prompt,
    /// The same, after half of the time that a look has.
    Slow,
    /// No answer ever comes.
    Silent,
    /// Each answer is a bad gateway.
    Broken,
    /// Each answer asks for patience, from none to far too much.
    Throttling,
    /// The job runs, and each answer has a hint, from none to far too long.
    Hinting,
    /// The job runs, and each answer says "ask again at once": what makes the most looks.
    Urging,
    /// All of these in turn.
    Moody,
}

impl Temper {
    /// Every one there is.
    pub const ALL: [Self; 8] = [
        Self::Prompt,
        Self::Slow,
        Self::Silent,
        Self::Broken,
        Self::Throttling,
        Self::Hinting,
        Self::Urging,
        Self::Moody,
    ];

    fn answer(self, policy: &Policy, rng: &mut ChaCha8Rng) -> Answer {
        // Every order of magnitude up to some hours.
        let hint = Some(Hint::after(Duration::from_nanos((rng.next_u64() >> 18) >> (rng.next_u64() % 46))));
        let running = Observation::Running { hint: None };
        match self {
            Self::Prompt => running.into(),
            Self::Slow => Answer::After(policy.attempt_timeout() / 2, running),
            Self::Silent => Answer::Never,
            Self::Broken => Observation::Transient { error: LookError::Status(502), hint: None }.into(),
            Self::Throttling => Observation::Throttled { error: LookError::Status(429), hint }.into(),
            Self::Hinting => Observation::Running { hint }.into(),
            Self::Urging => Observation::Running { hint: Some(Hint::after(Duration::ZERO)) }.into(),
            Self::Moody => Self::ALL[usize::try_from(rng.next_u64() % 7).unwrap_or_default()].answer(policy, rng),
        }
    }
}

impl fmt::Display for Temper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prompt => "prompt",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Broken => "broken",
            Self::Throttling => "throttling",
            Self::Hinting => "full of hints",
            Self::Urging => "urging",
            Self::Moody => "moody",
        })
    }
}

/// One wait to its end, by a driver that is on time.
fn drive(policy: &Policy, schedule: &impl Schedule, seed: u64, temper: Temper) -> Result<Looks, Breach> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut state = PollerState::new(policy, schedule, START, &mut Seed(seed));
    let (mut now, mut looks) = (START, Looks::new(START));
    let mut arriving: Option<(Timestamp, AttemptId, Observation)> = None;
    for _ in 0..4 * MOST_LOOKS {
        let asked = state.in_flight();
        let action = match arriving.take() {
            Some((arrives, id, says)) if asked == Some(id) && state.due().is_some_and(|due| arrives < due) => {
                now = arrives;
                state.handle_observation(policy, schedule, now, id, says).expect("it is the look under way")
            }
            _ => {
                now = state.due().unwrap_or(now).max(now);
                state.poll(policy, now)
            }
        };
        if asked.is_some() && state.in_flight() != asked {
            looks.answered(now);
        }
        match action {
            Action::Send(attempt) => {
                looks.sent(now);
                if let Answer::After(after, says) = temper.answer(policy, &mut rng) {
                    arriving = Some((now.saturating_add(after), attempt.id, says));
                }
            }
            Action::Sleep { .. } => {}
            Action::Done(_) | Action::TimedOut(_) => {
                looks.ended(now);
                return Ok(looks);
            }
        }
        if looks.all.len() == MOST_LOOKS {
            return Ok(looks);
        }
    }
    Err(Breach::Endless)
}
