//! When to ask next.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use jobwatch::learn::{History, Learner};
use jobwatch::{Action, FirstLook, Jitter, Observation, Policy, Poller, Schedule, Spacing};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::{START, Step, endless};

pub(super) const STEPS: [Step; 5] = [
    Step::ours("decision: a look's whole round, with a draw", 10_000, with_draw),
    Step::ours("decision: a look's whole round, no jitter", 10_000, without_jitter),
    Step::ours("decision: a poll while nothing is due", 100_000, not_due),
    Step::ours("decision: the same round by a learned plan", 10_000, learned),
    Step::ours("learning: a plan made of a history", 2, plan),
];

const RUNNING: Observation = Observation::Running { hint: None };

pub(super) fn backoff(jitter: Jitter, first: FirstLook) -> Policy {
    Policy::builder()
        .with_spacing(Spacing::Exponential { factor: 1.5 })
        .with_jitter(jitter)
        .with_first_look(first)
        .without_total_timeout()
        .with_max_polls(u32::MAX)
        .build()
        .expect("the policy is valid")
}

fn poller(jitter: Jitter, first: FirstLook) -> Poller<Policy> {
    Poller::new(backoff(jitter, first), START, &mut ChaCha8Rng::seed_from_u64(1))
}

/// Answers the looks of a poller, one after the other.
fn rounds<S: Schedule>(mut poller: Poller<Policy, S>, times: u32) {
    let mut now = START;
    for _ in 0..times {
        let Action::Send(look) = poller.poll(black_box(now)) else { unreachable!("it is due") };
        let Ok(Action::Sleep { until, .. }) = poller.handle_observation(now, look.id, black_box(RUNNING)) else {
            unreachable!("it goes on");
        };
        now = until;
    }
}

fn with_draw(times: u32) {
    rounds(poller(Jitter::Equal, FirstLook::AtOnce), times);
}

fn without_jitter(times: u32) {
    rounds(poller(Jitter::None, FirstLook::AtOnce), times);
}

fn not_due(times: u32) {
    let mut poller = poller(Jitter::Equal, FirstLook::After(Duration::from_secs(10)));
    for nanos in 0..times {
        let now = START.saturating_add(Duration::from_nanos(nanos.into()));
        black_box(poller.poll(black_box(now))).ended();
    }
}

fn history() -> History {
    let durations: Vec<_> = (20..40).map(Duration::from_secs).collect();
    History::of(&durations)
}

/// What a class of jobs costs now and then, as its jobs end.
fn plan(times: u32) {
    let (history, policy) = (history(), Arc::new(Policy::default()));
    for _ in 0..times {
        black_box(Learner::new(black_box(history.clone()), Arc::clone(&policy)));
    }
}

fn learned(times: u32) {
    let learner = Learner::new(history(), Arc::new(Policy::default()));
    let plan = learner.plan_for(1).clone();
    rounds(Poller::with_schedule(endless(), plan, START, &mut ChaCha8Rng::seed_from_u64(1)), times);
}
