//! Histories: what a driver, a fleet or the world may do to a poller, and when.

use core::time::Duration;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    AnySchedule, Rules, START, Seed, any_duration, any_instant, any_observation, any_schedule, ending_rules,
    ordinary_duration, ordinary_rules,
};
use crate::{Action, Attempt, Observation, Policy, PollerState, StaleAttempt, Timestamp};

/// Where the clock goes before an input.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    /// Nowhere.
    Stay,
    /// To the instant that the poller asked for, and past it.
    Due(Duration),
    /// One nanosecond before it.
    JustBefore,
    /// On.
    Forward(Duration),
    /// Back: somebody set it.
    Back(Duration),
}

impl Move {
    /// The instant that comes of it, for a wait that is due then.
    pub fn from(self, clock: Timestamp, due: Option<Timestamp>) -> Timestamp {
        match self {
            Self::Stay => clock,
            Self::Due(late) => due.map_or(clock, |due| due.max(clock).saturating_add(late)),
            Self::JustBefore => due.map_or(clock, |due| due.saturating_sub(Duration::from_nanos(1))),
            Self::Forward(by) => clock.saturating_add(by),
            Self::Back(by) => clock.saturating_sub(by),
        }
    }
}

/// Moves of up to half an hour, and backwards ones.
pub fn any_move() -> BoxedStrategy<Move> {
    prop_oneof![
        3 => Just(Move::Stay),
        8 => Just(Move::Due(Duration::ZERO)),
        2 => ordinary_duration().prop_map(Move::Due),
        1 => Just(Move::JustBefore),
        3 => ordinary_duration().prop_map(Move::Forward),
        1 => any_duration().prop_map(Move::Back),
    ]
    .boxed()
}

/// The same with leaps to the end of time included.
pub fn wild_move() -> BoxedStrategy<Move> {
    prop_oneof![9 => any_move(), 1 => any_duration().prop_map(Move::Forward), 1 => any_duration().prop_map(Move::Due)]
        .boxed()
}

/// What a driver, a fleet or the world may do to a poller.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// The driver asks what to do.
    Poll,
    /// An answer to the look under way, if there is one; else a poll.
    Answer(Observation),
    /// Somebody says "look now".
    Wake,
    /// There is a free place in a shared request.
    LookEarly,
    /// Nobody wants to know any more.
    Stop,
    /// A throttle told to a neighbour, from now on.
    Hold(Duration),
    /// There is no room for the look that is due.
    EndOverdue,
    /// Another job has had a good answer.
    Proven,
    /// The driver died with a look under way.
    Abandon,
}

/// All that may come while nobody stops the wait and nothing crashes.
pub fn peaceful_input() -> BoxedStrategy<Input> {
    prop_oneof![
        6 => Just(Input::Poll),
        8 => any_observation().prop_map(Input::Answer),
        2 => Just(Input::Wake),
        2 => Just(Input::LookEarly),
        1 => any_duration().prop_map(Input::Hold),
        1 => Just(Input::EndOverdue),
        1 => Just(Input::Proven),
    ]
    .boxed()
}

/// Any input at all.
pub fn any_input() -> BoxedStrategy<Input> {
    prop_oneof![40 => peaceful_input(), 1 => Just(Input::Stop), 2 => Just(Input::Abandon)].boxed()
}

/// What the poller said to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// An action.
    Act(Action),
    /// A look before its time, if there may be one.
    Early(Option<Attempt>),
    /// Whether the wait has ended for want of room.
    Overdue(bool),
    /// An answer came too late.
    Stale(StaleAttempt),
    /// The input has no answer.
    Nothing,
}

impl Said {
    /// The look that is to be sent, if any.
    pub fn sent(self) -> Option<Attempt> {
        match self {
            Self::Act(Action::Send(attempt)) | Self::Early(Some(attempt)) => Some(attempt),
            _ => None,
        }
    }
}

/// A poller in the hands of anybody: what a history is played on.
///
/// ```
/// use jobwatch::testing::{any_history, any_played};
/// use proptest::prelude::*;
///
/// proptest!(|(mut played in any_played(), history in any_history())| {
///     for step in history {
///         let ended = played.state.ended();
///         let _ = played.play(step);
///         prop_assert!(ended.is_none() || ended == played.state.ended(), "an end never changes");
///     }
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Played {
    /// What the policy was told.
    pub rules: Rules,
    /// The policy.
    pub policy: Policy,
    /// The schedule.
    pub schedule: AnySchedule,
    /// The poller itself.
    pub state: PollerState,
    /// The driver's clock, which may go backwards.
    pub clock: Timestamp,
    /// The greatest instant so far, which is what the poller goes by.
    pub latest: Timestamp,
}

impl Played {
    /// Before the first input.
    pub fn new(rules: Rules, schedule: AnySchedule, start: Timestamp, seed: u64) -> Self {
        let policy = rules.policy();
        let state = PollerState::new(&policy, &schedule, start, &mut Seed(seed));
        Self { rules, policy, schedule, state, clock: start, latest: start }
    }

    /// Moves the clock, then hands in the input.
    pub fn play(&mut self, step: (Move, Input)) -> Said {
        self.clock = step.0.from(self.clock, self.state.due());
        self.input(step.1)
    }

    /// Hands in an input at this instant.
    pub fn input(&mut self, input: Input) -> Said {
        let (policy, now, state) = (&self.policy, self.clock, &mut self.state);
        if !matches!(input, Input::Proven) {
            self.latest = self.latest.max(now); // it is the only input that tells no time
        }
        match input {
            Input::Poll => Said::Act(state.poll(policy, now)),
            Input::Answer(observation) => match state.in_flight() {
                None => Said::Act(state.poll(policy, now)),
                Some(id) => match state.handle_observation(policy, &self.schedule, now, id, observation) {
                    Ok(action) => Said::Act(action),
                    Err(stale) => Said::Stale(stale),
                },
            },
            Input::Wake => Said::Act(state.wake(policy, now)),
            Input::LookEarly => Said::Early(state.look_early(policy, now)),
            Input::Stop => Said::Act(state.stop(now)),
            Input::Hold(by) => {
                state.hold(policy, now, self.latest.saturating_add(by));
                Said::Nothing
            }
            Input::EndOverdue => Said::Overdue(state.end_overdue(policy, now)),
            Input::Proven => {
                state.note_backend_proven();
                Said::Nothing
            }
            Input::Abandon => {
                state.abandon_in_flight(policy, now);
                Said::Nothing
            }
        }
    }

    /// As much of a history as the wait survives.
    pub fn play_while_alive(&mut self, history: Vec<(Move, Input)>) {
        for step in history {
            let before = self.clone();
            let _ = self.play(step);
            if self.state.ended().is_some() {
                *self = before;
                return;
            }
        }
    }

    /// The deadline, as anybody can reckon it.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.policy.total_timeout().map(|total| self.state.started().saturating_add(total))
    }
}

/// A poller under an ending policy, before its first input.
pub fn any_played() -> BoxedStrategy<Played> {
    (ending_rules(), any_schedule(), any_instant(), any::<u64>())
        .prop_map(|(rules, schedule, start, seed)| Played::new(rules, schedule, start, seed))
        .boxed()
}

/// The same in our century and with times up to half an hour.
pub fn ordinary_played() -> BoxedStrategy<Played> {
    (ordinary_rules(), any_schedule(), any::<u64>())
        .prop_map(|(rules, schedule, seed)| Played::new(rules, schedule, START, seed))
        .boxed()
}

/// A history: any inputs, with times of up to half an hour.
pub fn any_history() -> BoxedStrategy<Vec<(Move, Input)>> {
    vec((any_move(), any_input()), 0..60).boxed()
}

/// The same, in which nobody stops the wait and nothing crashes.
pub fn peaceful_history() -> BoxedStrategy<Vec<(Move, Input)>> {
    vec((any_move(), peaceful_input()), 0..60).boxed()
}

/// The same, with leaps to the end of time.
pub fn wild_history() -> BoxedStrategy<Vec<(Move, Input)>> {
    vec((wild_move(), any_input()), 0..60).boxed()
}
