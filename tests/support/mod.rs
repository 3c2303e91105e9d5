//! The words in which the stories about pollers are told; worlds and strategies are those of the public kit.
#![allow(dead_code, unused_imports)] // every test file uses a part of it

/// Anything at all, under the names that the properties know.
pub(crate) mod arbitrary {
    pub(crate) use jobwatch::testing::{
        AnySchedule, Input, Move, Played, Rules, Said, any_history as history, any_input, any_instant, any_move,
        any_observation as any_answer, any_played, any_rules, any_schedule, ending_rules,
        last_observation as last_word, ordinary_duration, ordinary_played, ordinary_rules, peaceful_history,
        unfinished_observation as unfinished, wild_history,
    };
}

mod cases;

use core::convert::Infallible;
use core::time::Duration;

pub(crate) use cases::cases;
pub(crate) use jobwatch::testing::{Answer as Reply, Event, START, World};
use jobwatch::{Hint, LookError, Observation, Policy, PolicyBuilder, Timestamp};

pub(crate) const RUNNING: Observation = Observation::Running { hint: None };
pub(crate) const DENIED: Observation = Observation::Lost { definite: false };
pub(crate) const BROKEN: Observation = Observation::Transient { error: LookError::Disconnected, hint: None };
pub(crate) const THROTTLED: Observation = Observation::Throttled { error: LookError::Status(429), hint: None };

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn mins(mins: u64) -> Duration {
    Duration::from_secs(60 * mins)
}

/// The instant so long after the start of the story.
pub(crate) const fn at(since_start: Duration) -> Timestamp {
    START.saturating_add(since_start)
}

#[allow(clippy::unnecessary_wraps)] // it stands where an observation has its hint
pub(crate) const fn hint(delay: Duration) -> Option<Hint> {
    Some(Hint::after(delay))
}

pub(crate) const fn running_hint(delay: Duration) -> Observation {
    Observation::Running { hint: hint(delay) }
}

pub(crate) const fn throttled_for(delay: Duration) -> Observation {
    Observation::Throttled { error: LookError::Status(429), hint: hint(delay) }
}

pub(crate) const fn status(code: u16) -> Observation {
    Observation::Transient { error: LookError::Status(code), hint: None }
}

/// Nanoseconds, saturating, as the poller counts them.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A generator that has one word, this seed: nothing else may be taken.
pub(crate) struct Seed(pub(crate) u64);

impl rand_core::TryRng for Seed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("a poller takes one u64 and nothing else");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("a poller takes one u64 and nothing else");
    }
}

/// Waits of exactly one second, for stories in which randomness is not the subject.
pub(crate) fn every_second() -> PolicyBuilder {
    Policy::builder().with_spacing(jobwatch::Spacing::Constant).with_min_delay(secs(1))
}
