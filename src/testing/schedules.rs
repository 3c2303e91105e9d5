//! Schedules, the worst included.

use core::time::Duration;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::any_duration;
use crate::time::nanos;
use crate::{GapRange, HintRule, Policy, PolicySchedule, Position, Schedule};

/// One of the built-in schedules, one that was learned from whatever, or one that wants the worst.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnySchedule {
    /// The one that the policy names.
    Named,
    #[cfg(feature = "alloc")]
    /// A plan from a history that no honest backend could have taught.
    Learned(crate::learn::Plan),
    /// Gaps that nobody would want, chosen by the position alone.
    Adversary {
        /// The ends of the ranges; in the wrong order, too.
        gaps: Vec<(Duration, Duration)>,
        /// What a hint does.
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

/// Any schedule at all: what a poller has to keep within its policy's bounds.
pub fn any_schedule() -> BoxedStrategy<AnySchedule> {
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
    use std::vec::Vec;

    use crate::learn::{History, Lesson, Plan};
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
