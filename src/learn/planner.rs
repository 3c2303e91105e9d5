//! The plan that wastes least: the optimum checking problem, solved backwards over the ages.
//!
//! A look costs `c`, and a job that ended at `t` and is seen at `u` costs `u - t`. With `S` the share of jobs that live
//! longer than an age, `W(a) = S(a) · (expected cost from an unfinished look at age a on)` obeys
//!
//! ```text
//! W(a) = min over b of  c·S(a) + (b - a)·S(a) - ∫ S(u) du over [a, b] + W(b),     min_delay ≤ b - a ≤ max_delay
//! ```
//!
//! which is computed from the greatest age down (Barlow, Hunter, Proschan, "Optimum Checking Procedures", 1963). The
//! instants `b` are not confined to the grid: between its points `S` and `W` are linear, since instants as coarse as the
//! buckets would overshoot `max_delay` at great ages.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::History;
use super::histogram::BITS;
use crate::Policy;
use crate::schedule::grid::{self, UNIT};
use crate::schedule::plan::{PLAN_BITS, PLAN_LENGTH, PlanView};
use crate::schedule::{GapRange, HintRule, Position, Schedule};

/// Each gap that is tried is this much longer than the one before.
const RATIO: f64 = 1.07;

/// One in so many is tried at first, and then those around the best.
const STRIDE: usize = 3;

/// An age is as good as another that is off by this part of the gap.
const NEGLIGIBLE: f64 = REFINEMENT / 2.0;

/// A delay of this part of a look's cost may be worth the look.
const WORTH_A_LOOK: f64 = 0.05;

/// The golden ratio less one.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// A gap that waits for an instant is found to this part of itself.
const REFINEMENT: f64 = 0.01;

/// When to look at jobs whose durations are known from a [`History`]: the gap to the next look for every age.
///
/// Cloning it is cheap. It is a [`Schedule`]; see [`PlanView`] for how it is read.
#[derive(Clone, Debug)]
pub struct Plan {
    gaps: Arc<[u32]>,
    requests: f64,
    delay: f64,
}

impl Plan {
    /// The plan for jobs like those of the history: `request_cost` is the delay that is accepted to save one request,
    /// and no gap leaves the bounds, of which the greater is at most 26 days.
    pub fn new(history: &History, min_delay: Duration, max_delay: Duration, request_cost: Duration) -> Self {
        Program::new(history, min_delay, max_delay).solve(request_cost.as_secs_f64())
    }

    /// The plan under this policy, at `price` times the policy's request cost.
    pub fn for_policy(history: &History, policy: &Policy, price: f64) -> Self {
        let max = policy.max_delay().unwrap_or(Duration::MAX);
        let cost = policy.request_cost().as_secs_f64() * price;
        Program::new(history, policy.min_delay(), max).solve(cost)
    }

    /// The cheapest plan that makes no more than so many requests for each job, where the plan at the `least` price makes
    /// more, and its price; the greatest price where even that makes more.
    pub(super) fn dearer(history: &History, policy: &Policy, requests: f64, least: f64, before: f64) -> (Self, f64) {
        let max = policy.max_delay().unwrap_or(Duration::MAX);
        let program = Program::new(history, policy.min_delay(), max);
        let solve = |price: f64| program.solve(policy.request_cost().as_secs_f64() * price);
        // The dearer, the fewer: first outwards from the price of before, then ever closer.
        let start = least * START;
        let (mut low, mut high) = (least, MOST_PRICE);
        let mut best = None;
        let mut price = before.clamp(start, MOST_PRICE);
        for _ in 0..STEPS {
            let plan = solve(price);
            if plan.requests > requests {
                low = price;
            } else {
                high = price;
                best = Some((plan, price));
            }
            if high / low < PRECISION {
                break;
            }
            price = match &best {
                None => (low * 4.0).min(MOST_PRICE),
                Some(_) if low <= least => (high / 4.0).max(start),
                Some(_) => libm::sqrt(low * high),
            };
        }
        best.unwrap_or_else(|| (solve(MOST_PRICE), MOST_PRICE))
    }

    /// The gap to the next look at a job that was found unfinished at this age.
    pub fn gap(&self, age: Duration) -> Duration {
        self.view().gap(age)
    }

    /// Its gaps in units of 2^20 ns, to be compiled into a program without an allocator: [`PlanView::new`].
    pub fn gaps(&self) -> &[u32] {
        &self.gaps
    }

    /// The requests that a job is expected to need from its birth on.
    pub fn expected_requests(&self) -> f64 {
        self.requests
    }

    /// The delay with which a job's end is expected to be noticed, in seconds.
    pub fn expected_delay(&self) -> f64 {
        self.delay
    }

    fn view(&self) -> PlanView<'_> {
        PlanView::new(&self.gaps).expect("a plan has as many gaps as there must be")
    }
}

impl Schedule for Plan {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        Schedule::gap(&self.view(), policy, at)
    }

    fn hint_rule(&self) -> HintRule {
        HintRule::Floor
    }
}

/// Beyond this factor a request hardly gets dearer.
const MOST_PRICE: f64 = 10_000.0;

/// The least price above the one without a limit that is tried, as a factor.
const START: f64 = 1.02;

/// The price is found to this factor, in at most so many steps.
const PRECISION: f64 = 1.04;
const STEPS: u32 = 16;

/// The problem on the grid.
struct Program {
    steps: Vec<Step>,
    gaps: Vec<f64>,
}

/// What is known of the ages from one place of the grid to the next; in seconds, like everything here.
#[derive(Clone, Copy)]
struct Step {
    age: f64,
    width: f64,
    survival: f64,
    /// What survival changes by within the step, in a straight line.
    slope: f64,
    /// Of survival, up to here.
    integral: f64,
    /// The survival of the jobs that were seen, for the forecast.
    seen: f64,
}

/// A point between two ages of the grid.
#[derive(Clone, Copy)]
struct Point {
    place: usize,
    part: f64,
}

impl Program {
    #[allow(clippy::cast_precision_loss)] // at most 2^31
    fn new(history: &History, min_delay: Duration, max_delay: Duration) -> Self {
        let ages: Vec<f64> = (0..PLAN_LENGTH).map(|place| grid::begin(place, PLAN_BITS) as f64 * UNIT).collect();
        // A bucket of the history is four steps of the plan, within which jobs end evenly.
        let buckets = history.histogram().survival();
        let survival: Vec<f64> = (0..PLAN_LENGTH).map(|place| survival_at(&buckets, place)).collect();
        let buckets = history.histogram().seen_survival();
        let mut integral = 0.0;
        let steps = (0..PLAN_LENGTH).map(|place| {
            let next = (place + 1).min(PLAN_LENGTH - 1);
            let (width, slope) = (ages[next] - ages[place], survival[next] - survival[place]);
            let until = integral;
            integral += f64::midpoint(survival[place], survival[next]) * width;
            let seen = survival_at(&buckets, place);
            Step { age: ages[place], width, survival: survival[place], slope, integral: until, seen }
        });
        let steps = steps.collect();
        let last = ages[PLAN_LENGTH - 1];
        let (min, max) = (min_delay.as_secs_f64().clamp(UNIT, last), max_delay.as_secs_f64().clamp(UNIT, last));
        let mut gaps = vec![min];
        while let Some(gap) = gaps.last().map(|gap| gap * RATIO)
            && gap < max
        {
            gaps.push(gap);
        }
        gaps.push(max.max(min));
        Self { steps, gaps }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a gap is on the grid
    fn solve(&self, cost: f64) -> Plan {
        let mut value = vec![0.0; PLAN_LENGTH];
        let mut requests = vec![0.0; PLAN_LENGTH];
        // The sum over jobs of the age at which each is found to have ended.
        let mut found = vec![0.0; PLAN_LENGTH];
        let mut chosen = vec![(self.gaps[self.gaps.len() - 1] / UNIT) as u32; PLAN_LENGTH];
        let last = self.gaps.len() - 1;
        let mut near = last;
        // The last age for which a gap was searched, who lives longer, that gap, and where it leads to.
        let (mut searched, mut survivors, mut gap, mut instant) = (f64::INFINITY, 0.0, 0.0, 0.0);
        for place in (0..PLAN_LENGTH - 1).rev() {
            let Step { age, survival, seen, .. } = self.steps[place];
            if survival <= 0.0 {
                continue;
            }
            // From an age so little earlier the same instant is the best, unless a look is worth its cost for those that end
            // in between.
            let is_near = searched - age <= NEGLIGIBLE * gap;
            if is_near && (survival - survivors) * gap <= WORTH_A_LOOK * cost * survival {
                gap = (instant - age).min(self.gaps[last]);
            } else {
                (gap, near) = self.best_gap(place, cost, &value, near);
                (searched, survivors, instant) = (age, survival, age + gap);
            }
            let (next, now) = self.now(place, gap, cost);
            value[place] = Self::ahead(place, next, now, &value);
            chosen[place] = (gap / UNIT + 0.5) as u32;
            requests[place] = Self::ahead(place, next, seen, &requests);
            found[place] = Self::ahead(place, next, gap * seen, &found);
        }
        let alive = self.steps[0].seen.max(f64::MIN_POSITIVE);
        let delay = (found[0] - self.mean_duration()) / alive;
        Plan { gaps: chosen.into(), requests: requests[0] / alive, delay: delay.max(0.0) }
    }

    /// The mean duration of the jobs that were seen: the integral of their survival.
    fn mean_duration(&self) -> f64 {
        self.steps.windows(2).map(|two| two[0].width * f64::midpoint(two[0].seen, two[1].seen)).sum()
    }

    /// The gap that costs least from this age on, and which of those that are tried is next to it; `near` is the one of the
    /// age after this.
    fn best_gap(&self, place: usize, cost: f64, value: &[f64], near: usize) -> (f64, usize) {
        let last = self.gaps.len() - 1;
        let (mut best, mut least) = (near, self.cost(place, self.gaps[near], cost, value));
        for candidate in (0..last).step_by(STRIDE).chain([last]) {
            let (next, now) = self.now(place, self.gaps[candidate], cost);
            if now >= least {
                // Every longer one costs at least as much by itself, and what is to come never less than nothing.
                break;
            }
            let total = Self::ahead(place, next, now, value);
            if total < least {
                (best, least) = (candidate, total);
            }
        }
        // From there to the least one around.
        let around = best;
        for down in [true, false] {
            loop {
                let candidate = if down { best.saturating_sub(1) } else { (best + 1).min(last) };
                let total = self.cost(place, self.gaps[candidate], cost, value);
                if total >= least {
                    break;
                }
                (best, least) = (candidate, total);
            }
            if best != around {
                break;
            }
        }
        let refined = self.refined(place, cost, value, best);
        let gap = if self.cost(place, refined, cost, value) < least { refined } else { self.gaps[best] };
        (gap, best)
    }

    /// Between the neighbours of the best one the best may be a little better still: by the golden section.
    fn refined(&self, place: usize, cost: f64, value: &[f64], best: usize) -> f64 {
        let (mut low, mut high) = (self.gaps[best.saturating_sub(1)], self.gaps[(best + 1).min(self.gaps.len() - 1)]);
        let inside = |low: f64, high: f64| high - (high - low) * GOLDEN;
        let at = |gap: f64| (gap, self.cost(place, gap, cost, value));
        let (mut a, mut b) = (at(inside(low, high)), at(inside(high, low)));
        while high - low > REFINEMENT * high {
            if a.1 <= b.1 {
                (high, b) = (b.0, a);
                a = at(inside(low, high));
            } else {
                (low, a) = (a.0, b);
                b = at(inside(high, low));
            }
        }
        f64::midpoint(low, high)
    }

    fn cost(&self, place: usize, gap: f64, cost: f64, value: &[f64]) -> f64 {
        let (next, now) = self.now(place, gap, cost);
        Self::ahead(place, next, now, value)
    }

    /// Where the gap leads to, and what it costs by itself: the look that was made, and the delay of those that end in it.
    fn now(&self, place: usize, gap: f64, cost: f64) -> (Point, f64) {
        let here = &self.steps[place];
        let next = self.point(here.age + gap, place);
        let step = &self.steps[next.place];
        let inside = step.width * next.part;
        // Within a step the survival falls in a straight line.
        let lived = step.integral + inside * (step.survival + step.slope * next.part / 2.0) - here.integral;
        (next, cost * here.survival + (gap * here.survival - lived).max(0.0))
    }

    /// What is to come from a point on, after `now` here. Where the point lies within the step that begins here, the same
    /// gap is made again and again until the step is over.
    fn ahead(place: usize, next: Point, now: f64, values: &[f64]) -> f64 {
        let after = values[(next.place + 1).min(PLAN_LENGTH - 1)];
        if next.place == place {
            return now / next.part.max(f64::EPSILON) + after;
        }
        now + values[next.place] + (after - values[next.place]) * next.part
    }

    /// The place of an age that is not before that of `from`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // ages are positive and on the grid
    fn point(&self, age: f64, from: usize) -> Point {
        let place = grid::index((age / UNIT) as u64, PLAN_BITS).clamp(from, PLAN_LENGTH - 1);
        let step = &self.steps[place];
        let part = if step.width > 0.0 { ((age - step.age) / step.width).clamp(0.0, 1.0) } else { 0.0 };
        Point { place, part }
    }
}

/// The survival at a step of the plan.
fn survival_at(buckets: &[f64], place: usize) -> f64 {
    let age = grid::begin(place, PLAN_BITS);
    let bucket = grid::index(age, BITS).min(buckets.len() - 1);
    let begin = grid::begin(bucket, BITS);
    let Some(next) = buckets.get(bucket + 1) else { return 0.0 };
    let width = grid::begin(bucket + 1, BITS) - begin;
    #[allow(clippy::cast_precision_loss)] // at most 2^31
    let part = (age - begin) as f64 / width as f64;
    buckets[bucket] + (next - buckets[bucket]) * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Lesson;

    /// From the birth of a job on, trying every gap at every age is hardly better; what outlives all is looked at as seldom
    /// as may be.
    #[test]
    fn no_search_finds_a_better_plan() {
        let durations: Vec<_> = (0..20).map(|n| Duration::from_secs(if n < 12 { 20 } else { 100 })).collect();
        let program = Program::new(&History::of(&durations), Duration::from_secs(1), Duration::from_secs(600));
        for price in [0.5, 2.0, 10.0] {
            let plan = program.solve(price);
            let gaps: Vec<_> =
                core::iter::successors(Some(1.0), |gap| Some(gap * 1.003)).take_while(|gap| *gap < 600.0).collect();
            let (mut planned, mut least) = (vec![0.0; PLAN_LENGTH], vec![0.0; PLAN_LENGTH]);
            for place in (0..PLAN_LENGTH - 1).rev() {
                let gap = f64::from(plan.gaps[place]) * UNIT;
                if program.steps[place].survival > 0.0 {
                    planned[place] = program.cost(place, gap, price, &planned);
                    let all = gaps.iter().map(|gap| program.cost(place, *gap, price, &least));
                    least[place] = all.fold(f64::INFINITY, f64::min);
                } else {
                    assert!((gap - 600.0).abs() < 0.01);
                }
            }
            assert!(planned[0] <= least[0] * 1.015, "{} instead of {} at {price}", planned[0], least[0]);
            let told = plan.requests * price + plan.delay;
            assert!((told - planned[0]).abs() < 0.02 * told, "{told} was expected, not {}", planned[0]);
        }
    }

    /// Wherever the search begins, it finds the least price at which the looks are few enough; where there is none, the
    /// greatest.
    #[test]
    fn looks_are_no_dearer_than_they_must_be() {
        let mut history = History::new();
        let end = |seconds| Lesson::ended(Duration::from_secs(seconds), Duration::from_secs(seconds));
        (20..40).for_each(|seconds| _ = history.learn(&end(seconds)));
        let policy = Policy::builder().with_max_delay(Duration::from_secs(600)).build().unwrap();
        for least in [1.0, 0.05] {
            let free = Plan::for_policy(&history, &policy, least).requests;
            for share in [0.98, 0.8, 0.6] {
                for before in [least, 30.0, MOST_PRICE] {
                    let (plan, price) = Plan::dearer(&history, &policy, free * share, least, before);
                    assert!(plan.requests <= free * share && price >= least * START, "{share} from {before}: {price}");
                    let cheaper = Plan::for_policy(&history, &policy, (price / 1.05).max(least)).requests;
                    assert!(cheaper > free * share, "{share} from {before}: {price} is too dear");
                }
            }
            let (_, price) = Plan::dearer(&history, &policy, 0.001, least, least);
            assert!((price - MOST_PRICE).abs() < 1e-9, "{price}");
        }
    }
}
