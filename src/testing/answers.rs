//! What answers say.

use core::time::Duration;

use proptest::option;
use proptest::prelude::*;

use super::{any_duration, ordinary_duration};
use crate::{Hint, LookError, Observation};

/// What a backend does with one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers after this long.
    After(Duration, Observation),
    /// It never answers.
    Never,
}

impl From<Observation> for Answer {
    /// At once.
    fn from(observation: Observation) -> Self {
        Self::After(Duration::ZERO, observation)
    }
}

/// A hint of any length, or none.
pub fn any_hint() -> BoxedStrategy<Option<Hint>> {
    option::of(any_duration().prop_map(Hint::after)).boxed()
}

/// Why a look told nothing.
pub fn any_error() -> BoxedStrategy<LookError> {
    prop_oneof![any::<u16>().prop_map(LookError::Status), Just(LookError::Disconnected), Just(LookError::Malformed)]
        .boxed()
}

/// An answer after which the wait may go on.
pub fn unfinished_observation() -> BoxedStrategy<Observation> {
    prop_oneof![
        1 => any_hint().prop_map(|hint| Observation::Pending { hint }),
        4 => any_hint().prop_map(|hint| Observation::Running { hint }),
        1 => Just(Observation::Lost { definite: false }),
        2 => (any_error(), any_hint()).prop_map(|(error, hint)| Observation::Transient { error, hint }),
        2 => (any_error(), any_hint()).prop_map(|(error, hint)| Observation::Throttled { error, hint }),
    ]
    .boxed()
}

/// An answer that ends a wait.
pub fn last_observation() -> BoxedStrategy<Observation> {
    prop_oneof![
        Just(Observation::Succeeded),
        Just(Observation::Failed),
        Just(Observation::Cancelled),
        Just(Observation::Lost { definite: true }),
        any_error().prop_map(|error| Observation::Fatal { error }),
    ]
    .boxed()
}

/// What any answer may say; one in twenty ends the wait.
pub fn any_observation() -> BoxedStrategy<Observation> {
    prop_oneof![20 => unfinished_observation(), 1 => last_observation()].boxed()
}

/// Anything that a backend may do with a look: at once, late or never.
pub fn any_answer() -> BoxedStrategy<Answer> {
    prop_oneof![
        4 => any_observation().prop_map(Answer::from),
        4 => (ordinary_duration(), any_observation()).prop_map(|(after, says)| Answer::After(after, says)),
        1 => Just(Answer::Never),
    ]
    .boxed()
}
