//! Reads a learned plan: the gap to the next look as a function of the job's age.

use core::time::Duration;

use super::{GapRange, HintRule, Position, Schedule, grid};
use crate::Policy;
use crate::time::nanos;

/// Steps of a plan to each doubling of the age: `2^PLAN_BITS`.
pub(crate) const PLAN_BITS: u32 = 6;

/// How many gaps a plan has.
pub(crate) const PLAN_LENGTH: usize = grid::index(grid::LAST, PLAN_BITS) + 1;

/// A gap is spread over this part of itself, half of it to each side, so that clients that start together part and the
/// durations learned do not cluster on the plan's own instants.
const SPREAD: u64 = 16;

/// But at most over this many nanoseconds.
const MOST_SPREAD: u64 = 2_000_000_000;

/// A plan as a borrowed slice, for those who have no allocator: made by `learn::Plan` on a machine that has one.
///
/// It is a [`Schedule`]: the gap depends on the job's age alone, so that late answers and late pick-ups need no special
/// case. The server's hint is a floor. A job whose end is expected ([`Position::expected_end`]) is asked when that comes,
/// within a quarter and four times of the plan's own gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanView<'a> {
    gaps: &'a [u32],
}

impl<'a> PlanView<'a> {
    /// A plan from its gaps, as `learn::Plan::gaps` tells them; `None` where there are not as many as there must be.
    pub fn new(gaps: &'a [u32]) -> Option<Self> {
        (gaps.len() == PLAN_LENGTH).then_some(Self { gaps })
    }

    /// The gap to the next look at a job that was found unfinished at this age.
    pub fn gap(self, age: Duration) -> Duration {
        let units = (nanos(age) >> grid::UNIT_BITS).min(grid::LAST);
        let place = grid::index(units, PLAN_BITS);
        let here = u64::from(self.gaps[place]);
        let units_gap = match self.gaps.get(place + 1) {
            // The plan is piecewise linear: while it waits for an instant, the gap shrinks as the age grows.
            Some(next) => {
                let (begin, end) = (grid::begin(place, PLAN_BITS), grid::begin(place + 1, PLAN_BITS));
                let (part, whole) = (units - begin, end - begin);
                (here * (whole - part) + u64::from(*next) * part) / whole
            }
            None => here,
        };
        Duration::from_nanos(units_gap << grid::UNIT_BITS)
    }
}

impl Schedule for PlanView<'_> {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        let mut gap = nanos(PlanView::gap(*self, at.age));
        if let Some(end) = at.expected_end {
            // What a server expects is a guess, and one that is stuck at 99 % must not be asked in a hot loop.
            let left = nanos(end.saturating_sub(at.age));
            gap = left.saturating_add(left / 16).clamp(gap / 4, gap.saturating_mul(4));
        }
        let (min, max) = policy.delay_bounds();
        let gap = gap.clamp(min, max);
        if let Some(jitter) = policy.set.jitter {
            return jitter.range(gap, at.previous_gap.map(nanos), min, max);
        }
        let spread = (gap / SPREAD).min(MOST_SPREAD);
        let lo = gap.saturating_sub(spread / 2);
        GapRange::from_nanos(lo, lo.saturating_add(spread))
    }

    fn hint_rule(&self) -> HintRule {
        HintRule::Floor
    }
}
