//! A history and the plan made from it, made anew when the history has changed enough.

use alloc::sync::Arc;

use super::{History, Lesson, Plan};
use crate::Policy;

/// A plan is made anew when so much of the history is new.
const NEWS: f64 = 0.05;

/// Under a limit, one in so many jobs is looked at as if there were none: what the few looks at the others teach is too
/// vague to find a better plan by.
const EXPLORERS: u64 = 48;

/// What the others teach then counts for so much less.
const HEARSAY: f64 = 0.25;

/// A budget that changes by this factor is worth another plan, and so is another number of jobs to a request.
const BUDGET_CHANGE: f64 = 1.05;
const COMPANY_CHANGE: f64 = 1.5;

/// Learns from jobs and keeps the plan up to date: one for each kind of job and each policy.
#[derive(Clone, Debug)]
pub struct Learner {
    policy: Arc<Policy>,
    history: History,
    plan: Plan,
    /// The plan at the price that a request has without a limit.
    free_plan: Plan,
    /// By how much a request is dearer than the policy says.
    price: f64,
    /// The jobs that one request asks for.
    company: f64,
    /// The requests that each job may cost; `None` without a limit.
    budget: Option<f64>,
    /// Jobs learned since the plan was made.
    news: f64,
}

impl Learner {
    /// Starts from what a history knows.
    pub fn new(history: History, policy: Arc<Policy>) -> Self {
        let plan = Plan::for_policy(&history, &policy, 1.0);
        let free_plan = plan.clone();
        Self { policy, history, plan, free_plan, price: 1.0, company: 1.0, budget: None, news: 0.0 }
    }

    /// For what policy it plans.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// What is known.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// When to look.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When to look at the job of this number or seed: under a limit a few jobs go exploring.
    pub fn plan_for(&self, number: u64) -> &Plan {
        if number.is_multiple_of(EXPLORERS) { &self.free_plan } else { &self.plan }
    }

    /// By how much a request is dearer at present than the policy says, since there are too few of them.
    pub fn price(&self) -> f64 {
        self.price
    }

    /// Learns from the job of this number or seed, see [`plan_for`](Self::plan_for), and makes the plan anew when enough is
    /// new. Tells whether it did: planning takes a millisecond or so and is not done for every job.
    pub fn learn(&mut self, number: u64, lesson: &Lesson) -> bool {
        self.note(number, lesson);
        self.refresh()
    }

    /// Learns without planning, which [`refresh`](Self::refresh) does when somebody wants to look by the plan.
    pub fn note(&mut self, number: u64, lesson: &Lesson) {
        let is_limited = self.price > 1.0 / self.company;
        let lesson = match is_limited {
            false => *lesson,
            true if number.is_multiple_of(EXPLORERS) => lesson.beside(0),
            true => Lesson { weight: lesson.weight * HEARSAY, ..*lesson },
        };
        if self.history.learn(&lesson) {
            self.news += 1.0;
        }
    }

    /// Makes the plan anew if enough was learned since it was made, and tells whether it did.
    pub fn refresh(&mut self) -> bool {
        // After a change there are few jobs in the history, and each is news.
        let is_due = self.news > 0.0 && self.news >= NEWS * self.history.jobs();
        if is_due {
            self.make_plan();
        }
        is_due
    }

    /// What is known is this from now on.
    pub fn set_history(&mut self, history: History) {
        self.history = history;
        self.make_plan();
    }

    /// One look asks for so many jobs at once, so that each of them pays a part of it, and each job may cost so many looks
    /// from now on; where the plan needs more, a request gets dearer until it does not. Tells whether the plan is another
    /// now.
    pub fn set_limits(&mut self, company: f64, looks: Option<f64>) -> bool {
        let (company, is_other_company) = changed(self.company, company.max(1.0), COMPANY_CHANGE);
        let (budget, is_other_budget) =
            changed(self.budget.unwrap_or(f64::MAX), looks.unwrap_or(f64::MAX), BUDGET_CHANGE);
        let is_dearer = self.price > 1.0 / self.company;
        (self.company, self.budget) = (company, Some(budget).filter(|budget| *budget < f64::MAX));
        let is_off = is_other_company || is_other_budget && (is_dearer || self.plan.expected_requests() > budget);
        if is_off {
            self.make_plan();
        }
        is_off
    }

    fn make_plan(&mut self) {
        self.news = 0.0;
        let price = 1.0 / self.company;
        self.free_plan = Plan::for_policy(&self.history, &self.policy, price);
        (self.plan, self.price) = match self.budget {
            Some(budget) if self.free_plan.expected_requests() > budget => {
                Plan::dearer(&self.history, &self.policy, budget, price, self.price)
            }
            _ => (self.free_plan.clone(), price),
        };
    }
}

/// Small changes are not worth a plan: the value of before, and whether it is another.
fn changed(before: f64, now: f64, factor: f64) -> (f64, bool) {
    let is_other = now / before > factor || before / now > factor;
    (if is_other { now } else { before }, is_other)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    /// Knows jobs of twenty to forty seconds.
    fn learner() -> Learner {
        let mut history = History::new();
        let end = |seconds| Lesson::ended(Duration::from_secs(seconds), Duration::from_secs(seconds));
        (20..40).for_each(|seconds| _ = history.learn(&end(seconds)));
        Learner::new(history, Arc::new(Policy::default()))
    }

    fn is(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{value} instead of {expected}");
    }

    /// Who is looked at less often knows less, whether each pays for a whole request or for a part of one.
    #[test]
    fn under_a_limit_explorers_teach_in_full_and_the_others_a_quarter() {
        let lesson = Lesson::ended(Duration::from_secs(30), Duration::from_secs(30));
        for company in [1.0, 20.0] {
            let mut learner = learner();
            let teaches = |learner: &mut Learner, number| {
                let before = learner.history.clone();
                learner.note(number, &lesson.beside(1_000));
                learner.history.jobs() - before.jobs()
            };
            let weight = |lesson: Lesson, history: &History| {
                let mut history = history.clone();
                let before = history.jobs();
                history.learn(&lesson);
                history.jobs() - before
            };
            learner.set_limits(company, None);
            let free = weight(lesson.beside(1_000), &learner.history);
            is(teaches(&mut learner, EXPLORERS), free);
            learner.set_limits(company, Some(learner.plan().expected_requests() / 2.0));
            assert!(learner.price() > 1.0 / company);
            let full = weight(lesson.beside(0), &learner.history);
            is(teaches(&mut learner, 2 * EXPLORERS), full);
            let quarter = weight(Lesson { weight: 0.25, ..lesson.beside(1_000) }, &learner.history);
            is(teaches(&mut learner, 2 * EXPLORERS + 1), quarter);
        }
    }

    #[test]
    fn limits_that_do_not_bind_are_worth_no_plan_and_those_that_fall_away_are() {
        for company in [1.0, 20.0] {
            let mut learner = learner();
            learner.set_limits(company, None);
            assert!(!learner.set_limits(company, Some(1_000.0)));
            is(learner.price(), 1.0 / company);
            assert!(learner.set_limits(company, Some(learner.plan().expected_requests() / 2.0)));
            assert!(learner.price() > 1.0 / company);
            assert!(learner.set_limits(company, None));
            is(learner.price(), 1.0 / company);
        }
    }

    #[test]
    fn small_steps_add_up() {
        let mut learner = learner();
        let budget = learner.plan().expected_requests() / 2.0;
        let steps = [1.0, 0.97, 0.94, 0.92].map(|part| learner.set_limits(1.0, Some(budget * part)));
        assert_eq!(steps, [true, false, true, false]);
    }
}
