//! Anything at all: durations, policies, schedules and histories, extremes included.

use core::time::Duration;

use jobwatch::{
    Action, Attempt, FirstLook, GapRange, Hint, HintRule, Jitter, LookError, Observation, Policy, PolicySchedule,
    PollerState, Position, Schedule, Spacing, StaleAttempt, Steps, Timestamp,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{Seed, millis, nanos, secs};

const SHORTEST: Duration = millis(1);

/// Evenly over the orders of magnitude, with both ends.
pub(crate) fn any_duration() -> BoxedStrategy<Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => Just(Duration::from_nanos(1)),
        1 => Just(Duration::from_nanos(u64::MAX)),
        1 => Just(Duration::MAX),
        4 => (0_u32..64, any::<u64>()).prop_map(|(bits, word)| Duration::from_nanos(word >> bits)),
        8 => ordinary_duration(),
    ]
    .boxed()
}

/// Up to half an hour.
pub(crate) fn ordinary_duration() -> BoxedStrategy<Duration> {
    prop_oneof![
        (0_u64..3_000).prop_map(millis),
        (0_u64..1_800).prop_map(secs),
        (0_u64..3_000_000_000).prop_map(Duration::from_nanos)
    ]
    .boxed()
}

pub(crate) fn any_instant() -> BoxedStrategy<Timestamp> {
    prop_oneof![
        4 => Just(super::START),
        1 => Just(Timestamp::UNIX_EPOCH),
        1 => (0_u64..5_000_000_000).prop_map(Timestamp::from_nanos),
        1 => (0_u64..5_000_000_000).prop_map(|back| Timestamp::from_nanos(u64::MAX - back)),
        1 => Just(Timestamp::MAX),
        2 => any::<u64>().prop_map(Timestamp::from_nanos),
    ]
    .boxed()
}

fn spacing() -> BoxedStrategy<Spacing> {
    let factor = prop_oneof![Just(1.0), 1.0..4.0_f64, Just(1.5), Just(2.0), Just(1e300), Just(f64::MAX)];
    let steps = vec((any_duration(), any_duration()), 1..=Steps::MAX).prop_map(|mut steps| {
        steps.sort_by_key(|step| nanos(step.1));
        steps.dedup_by_key(|step| nanos(step.1));
        steps[0].1 = Duration::ZERO;
        steps.dedup_by_key(|step| nanos(step.1));
        for step in &mut steps {
            step.0 = step.0.max(Duration::from_nanos(1));
        }
        Spacing::Steps(Steps::new(&steps).expect("the steps are sorted"))
    });
    prop_oneof![3 => factor.prop_map(|factor| Spacing::Exponential { factor }), 1 => Just(Spacing::Constant), 2 => steps]
    .boxed()
}

pub(crate) fn any_jitter() -> BoxedStrategy<Jitter> {
    prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated)].boxed()
}

fn first_look(delay: impl Strategy<Value = Duration> + 'static) -> BoxedStrategy<FirstLook> {
    prop_oneof![Just(FirstLook::AtOnce), delay.prop_map(FirstLook::After), Just(FirstLook::BySchedule)].boxed()
}

/// Everything that a policy is told, in plain sight.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) spacing: Spacing,
    pub(crate) jitter: Option<Jitter>,
    pub(crate) min: Duration,
    pub(crate) max: Option<Duration>,
    pub(crate) first: FirstLook,
    pub(crate) total: Option<Duration>,
    pub(crate) attempt: Duration,
    pub(crate) grace: Duration,
    pub(crate) polls: Option<u32>,
    pub(crate) failures: Option<u32>,
    pub(crate) failure_time: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) retry_after: Duration,
    pub(crate) lost: (u32, Duration),
}

impl Rules {
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = Policy::builder()
            .with_spacing(self.spacing)
            .with_min_delay(self.min)
            .with_first_look(self.first)
            .with_attempt_timeout(self.attempt)
            .with_final_grace(self.grace)
            .with_max_failure_time(self.failure_time)
            .with_failure_backoff(self.backoff.0, self.backoff.1)
            .with_max_retry_after(self.retry_after)
            .with_lost_after(self.lost.0, self.lost.1);
        policy = match self.max {
            Some(max) => policy.with_max_delay(max),
            None => policy.without_max_delay(),
        };
        policy = match self.total {
            Some(total) => policy.with_total_timeout(total),
            None => policy.without_total_timeout(),
        };
        if let Some(jitter) = self.jitter {
            policy = policy.with_jitter(jitter);
        }
        if let Some(failures) = self.failures {
            policy = policy.with_max_consecutive_failures(failures);
        }
        if let Some(polls) = self.polls {
            policy = policy.with_max_polls(polls);
        }
        policy.build().expect("the rules were made to fit")
    }

    /// Cuts the time, and where that does not suffice the looks, until the wait ends soon.
    fn ending(mut self, quarters: u32, polls: u32) -> Self {
        let soon = |rules: &Self| rules.policy().bounds().max_looks.is_some_and(|looks| looks <= 200);
        if !soon(&self) {
            match self.total {
                Some(_) => self.total = Some((self.min / 4).saturating_mul(quarters).max(SHORTEST)),
                None => self.polls = Some(polls),
            }
        }
        assert!(soon(&self), "{self:?}");
        self
    }
}

fn rules_of<D: Strategy<Value = Duration> + 'static>(duration: impl Fn() -> D) -> BoxedStrategy<Rules> {
    let spaced = (spacing(), option::of(any_jitter()), duration(), option::weighted(0.7, duration()));
    let limits = (
        first_look(duration()),
        option::weighted(0.7, duration()),
        duration(),
        duration(),
        option::weighted(0.5, prop_oneof![4 => 1_u32..40, 1 => 1..=u32::MAX]),
    );
    let budgets = (
        option::of(prop_oneof![4 => 1_u32..8, 1 => Just(u32::MAX)]),
        duration(),
        (duration(), duration()),
        duration(),
        (1_u32..5, duration()),
    );
    (spaced, limits, budgets)
        .prop_map(|((spacing, jitter, min, max), limits, budgets)| {
            let (first, total, attempt, grace, polls) = limits;
            let (failures, failure_time, (one, other), retry_after, lost) = budgets;
            let min = min.max(SHORTEST);
            Rules {
                spacing,
                jitter,
                min,
                max: max.map(|max| max.max(min)),
                first,
                total: total.map(|total| total.max(SHORTEST)),
                attempt: attempt.max(SHORTEST),
                grace: grace.max(SHORTEST),
                polls: if total.is_none() { polls.or(Some(9)) } else { polls },
                failures,
                failure_time,
                backoff: (one.min(other), one.max(other)),
                retry_after,
                lost,
            }
        })
        .boxed()
}

/// Whatever `build` accepts.
pub(crate) fn any_rules() -> BoxedStrategy<Rules> {
    rules_of(any_duration).boxed()
}

/// With times up to half an hour, so that nothing saturates in our century; ends within some hundred looks.
pub(crate) fn ordinary_rules() -> BoxedStrategy<Rules> {
    (rules_of(ordinary_duration), 1_u32..200, 1_u32..60)
        .prop_map(|(rules, quarters, polls)| rules.ending(quarters, polls))
        .boxed()
}

/// Whatever `build` accepts and that ends within some hundred looks, so that a test can see the end.
pub(crate) fn ending_rules() -> BoxedStrategy<Rules> {
    (any_rules(), 1_u32..200, 1_u32..60).prop_map(|(rules, quarters, polls)| rules.ending(quarters, polls)).boxed()
}

/// One of the built-in schedules, one that was learned from whatever, or one that wants the worst.
#[derive(Clone, Debug)]
pub(crate) enum AnySchedule {
    Named,
    #[cfg(feature = "alloc")]
    Learned(jobwatch::learn::Plan),
    Adversary {
        gaps: Vec<(Duration, Duration)>,
        rule: HintRule,
    },
}

impl Schedule for AnySchedule {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        match self {
            Self::Named => PolicySchedule.gap(policy, at),
            #[cfg(feature = "alloc")]
            Self::Learned(plan) => Schedule::gap(plan, policy, at),
            Self::Adversary { gaps, .. } => {
                let mixed = nanos(at.age) ^ u64::from(at.looks) ^ at.previous_gap.map_or(1, nanos);
                let (lo, hi) = gaps[usize::try_from(mixed % gaps.len() as u64).expect("small")];
                GapRange::new(lo, hi)
            }
        }
    }

    fn hint_rule(&self) -> HintRule {
        match self {
            Self::Named => PolicySchedule.hint_rule(),
            #[cfg(feature = "alloc")]
            Self::Learned(plan) => plan.hint_rule(),
            Self::Adversary { rule, .. } => *rule,
        }
    }
}

pub(crate) fn any_schedule() -> BoxedStrategy<AnySchedule> {
    let rule = prop_oneof![Just(HintRule::Follow), Just(HintRule::Floor)];
    let adversary = (vec((any_duration(), any_duration()), 1..6), rule)
        .prop_map(|(gaps, rule)| AnySchedule::Adversary { gaps, rule });
    #[cfg(feature = "alloc")]
    let adversary = prop_oneof![1 => adversary, 1 => learned::any_plan().prop_map(AnySchedule::Learned)];
    prop_oneof![1 => Just(AnySchedule::Named), 1 => adversary].boxed()
}

/// Plans from histories that no honest backend could have taught.
#[cfg(feature = "alloc")]
mod learned {
    use core::time::Duration;
    use std::sync::LazyLock;

    use jobwatch::learn::{History, Lesson, Plan};
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    /// Planning takes a while without optimisation: these are made once.
    static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| (0..16).map(plan).collect());

    pub(super) fn any_plan() -> impl Strategy<Value = Plan> {
        any::<prop::sample::Index>().prop_map(|index| index.get(&PLANS).clone())
    }

    fn plan(seed: u64) -> Plan {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Every order of magnitude from nothing to centuries.
        let mut time = || Duration::from_nanos(rng.next_u64() >> (rng.next_u64() % 64));
        let mut history = History::new();
        for job in 0..seed * 8 {
            let (from, to) = (time(), time());
            history.learn(&if job % 5 == 0 { Lesson::outlasted(from) } else { Lesson::ended(from, to) });
        }
        Plan::new(&history, time(), time(), time())
    }
}

fn any_hint() -> BoxedStrategy<Option<Hint>> {
    option::of(any_duration().prop_map(Hint::after)).boxed()
}

fn any_error() -> BoxedStrategy<LookError> {
    prop_oneof![any::<u16>().prop_map(LookError::Status), Just(LookError::Disconnected), Just(LookError::Malformed)]
        .boxed()
}

/// An answer after which the wait may go on.
pub(crate) fn unfinished() -> BoxedStrategy<Observation> {
    prop_oneof![
        1 => any_hint().prop_map(|hint| Observation::Pending { hint }),
        4 => any_hint().prop_map(|hint| Observation::Running { hint }),
        1 => Just(Observation::Lost { definite: false }),
        2 => (any_error(), any_hint()).prop_map(|(error, hint)| Observation::Transient { error, hint }),
        2 => (any_error(), any_hint()).prop_map(|(error, hint)| Observation::Throttled { error, hint }),
    ]
    .boxed()
}

pub(crate) fn last_word() -> BoxedStrategy<Observation> {
    prop_oneof![
        Just(Observation::Succeeded),
        Just(Observation::Failed),
        Just(Observation::Cancelled),
        Just(Observation::Lost { definite: true }),
        any_error().prop_map(|error| Observation::Fatal { error }),
    ]
    .boxed()
}

pub(crate) fn any_answer() -> BoxedStrategy<Observation> {
    prop_oneof![20 => unfinished(), 1 => last_word()].boxed()
}

/// Where the clock goes before an input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    Stay,
    /// To the instant that the poller asked for, and past it.
    Due(Duration),
    /// One nanosecond before it.
    JustBefore,
    Forward(Duration),
    Back(Duration),
}

impl Move {
    pub(crate) fn from(self, clock: Timestamp, due: Option<Timestamp>) -> Timestamp {
        match self {
            Self::Stay => clock,
            Self::Due(late) => due.map_or(clock, |due| due.max(clock).saturating_add(late)),
            Self::JustBefore => due.map_or(clock, |due| due.saturating_sub(Duration::from_nanos(1))),
            Self::Forward(by) => clock.saturating_add(by),
            Self::Back(by) => clock.saturating_sub(by),
        }
    }
}

pub(crate) fn any_move() -> BoxedStrategy<Move> {
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

/// Leaps to the end of time included.
pub(crate) fn wild_move() -> BoxedStrategy<Move> {
    prop_oneof![9 => any_move(), 1 => any_duration().prop_map(Move::Forward), 1 => any_duration().prop_map(Move::Due)]
        .boxed()
}

/// What a driver, a fleet or the world may do to a poller.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    Poll,
    /// An answer to the look under way, if there is one; else a poll.
    Answer(Observation),
    Wake,
    LookEarly,
    Stop,
    /// A throttle told to a neighbour, from now on.
    Hold(Duration),
    EndOverdue,
    Proven,
    Abandon,
}

/// All that may come while nobody stops the wait and nothing crashes.
pub(crate) fn peaceful_input() -> BoxedStrategy<Input> {
    prop_oneof![
        6 => Just(Input::Poll),
        8 => any_answer().prop_map(Input::Answer),
        2 => Just(Input::Wake),
        2 => Just(Input::LookEarly),
        1 => any_duration().prop_map(Input::Hold),
        1 => Just(Input::EndOverdue),
        1 => Just(Input::Proven),
    ]
    .boxed()
}

pub(crate) fn any_input() -> BoxedStrategy<Input> {
    prop_oneof![40 => peaceful_input(), 1 => Just(Input::Stop), 2 => Just(Input::Abandon)].boxed()
}

/// What the poller said to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Act(Action),
    Early(Option<Attempt>),
    Overdue(bool),
    Stale(StaleAttempt),
    Nothing,
}

impl Said {
    pub(crate) fn sent(self) -> Option<Attempt> {
        match self {
            Self::Act(Action::Send(attempt)) | Self::Early(Some(attempt)) => Some(attempt),
            _ => None,
        }
    }
}

/// A poller in the hands of anybody: what a history is played on.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) rules: Rules,
    pub(crate) policy: Policy,
    pub(crate) schedule: AnySchedule,
    pub(crate) state: PollerState,
    pub(crate) clock: Timestamp,
    /// The greatest instant so far, which is what the poller goes by.
    pub(crate) latest: Timestamp,
}

impl Played {
    pub(crate) fn new(rules: Rules, schedule: AnySchedule, start: Timestamp, seed: u64) -> Self {
        let policy = rules.policy();
        let state = PollerState::new(&policy, &schedule, start, &mut Seed(seed));
        Self { rules, policy, schedule, state, clock: start, latest: start }
    }

    pub(crate) fn play(&mut self, step: (Move, Input)) -> Said {
        self.clock = step.0.from(self.clock, self.state.due());
        self.input(step.1)
    }

    pub(crate) fn input(&mut self, input: Input) -> Said {
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
    pub(crate) fn play_while_alive(&mut self, history: Vec<(Move, Input)>) {
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
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.policy.total_timeout().map(|total| self.state.started().saturating_add(total))
    }
}

/// A poller under an ending policy, before its first input.
pub(crate) fn any_played() -> BoxedStrategy<Played> {
    (ending_rules(), any_schedule(), any_instant(), any::<u64>())
        .prop_map(|(rules, schedule, start, seed)| Played::new(rules, schedule, start, seed))
        .boxed()
}

/// The same in our century and with times up to half an hour.
pub(crate) fn ordinary_played() -> BoxedStrategy<Played> {
    (ordinary_rules(), any_schedule(), any::<u64>())
        .prop_map(|(rules, schedule, seed)| Played::new(rules, schedule, super::START, seed))
        .boxed()
}

pub(crate) fn history() -> BoxedStrategy<Vec<(Move, Input)>> {
    vec((any_move(), any_input()), 0..60).boxed()
}

pub(crate) fn peaceful_history() -> BoxedStrategy<Vec<(Move, Input)>> {
    vec((any_move(), peaceful_input()), 0..60).boxed()
}

pub(crate) fn wild_history() -> BoxedStrategy<Vec<(Move, Input)>> {
    vec((wild_move(), any_input()), 0..60).boxed()
}
