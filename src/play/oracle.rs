//! The bound: the optimum checking plan for the very durations that are played.

use core::time::Duration;

use rand_core::Rng;

use super::Rule;
use crate::learn::{History, Plan};

/// Knows how the durations are distributed, though not which job has which, and looks by the plan that wastes least for
/// them, without jitter.
#[derive(Clone, Debug)]
pub struct Oracle {
    plan: Plan,
}

impl Oracle {
    /// Solves the optimum checking problem on the durations, with gaps in `[min_delay, max_delay]`.
    pub fn new(durations: &[Duration], min_delay: Duration, max_delay: Duration, request_cost: Duration) -> Self {
        Self { plan: Plan::new(&History::of(durations), min_delay, max_delay, request_cost) }
    }
}

impl Rule for Oracle {
    type Job = ();

    fn start(&mut self, _rng: &mut dyn Rng) -> ((), Duration) {
        ((), self.plan.gap(Duration::ZERO))
    }

    fn next(&mut self, (): &mut (), age: Duration, _looks: u32, _rng: &mut dyn Rng) -> Option<Duration> {
        Some(self.plan.gap(age))
    }
}
