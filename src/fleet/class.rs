//! A class of jobs: the policy under which they are waited for, and what those that ended have taught.

use std::boxed::Box;
use std::sync::Arc;

use crate::learn::{History, Learner, Lesson, Plan, Since};
use crate::{GapRange, HintRule, Policy, PolicySchedule, Position, Schedule, Spacing};

/// Jobs that are waited for alike.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: Box<str>,
    pub(super) policy: Arc<Policy>,
    /// By where ages are counted from; made when there is something to plan.
    learners: [Option<Box<Learner>>; 2],
    limits: Limits,
}

/// What limits leave for each job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// The jobs that one look asks for.
    pub(super) company: f64,
    /// The looks that each job may cost; `None` where there are enough.
    pub(super) looks: Option<f64>,
}

impl Class {
    pub(super) fn new(name: &str, policy: Arc<Policy>) -> Self {
        Self { name: name.into(), policy, learners: [None, None], limits: Limits { company: 1.0, looks: None } }
    }

    /// Whether its jobs are looked at by a plan.
    pub(super) fn is_learned(&self) -> bool {
        self.policy.spacing() == Spacing::Learned
    }

    /// When to look at the job of this seed.
    pub(super) fn rules(&mut self, since: Since, seed: u64) -> (&Arc<Policy>, ClassSchedule<'_>) {
        if let Some(learner) = self.learner(since) {
            learner.refresh();
        }
        let plan = self.known(since).map(|learner| learner.plan_for(seed));
        (&self.policy, plan.map_or(ClassSchedule::Policy, ClassSchedule::Plan))
    }

    pub(super) fn learn(&mut self, since: Since, seed: u64, lesson: &Lesson) {
        if let Some(learner) = self.learner(since) {
            learner.note(seed, lesson);
        }
    }

    pub(super) fn known(&self, since: Since) -> Option<&Learner> {
        self.learners[since as usize].as_deref()
    }

    /// A learner for another policy keeps its history, and plans anew.
    pub(super) fn set_learner(&mut self, since: Since, learner: Learner) {
        if self.is_learned() {
            let fits = *learner.policy() == self.policy;
            let mut learner =
                if fits { learner } else { Learner::new(learner.history().clone(), Arc::clone(&self.policy)) };
            learner.set_limits(self.limits.company, self.limits.looks);
            self.learners[since as usize] = Some(Box::new(learner));
        }
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for learner in self.learners.iter_mut().flatten() {
            learner.set_limits(limits.company, limits.looks);
        }
    }

    fn learner(&mut self, since: Since) -> Option<&mut Learner> {
        if self.is_learned() && self.learners[since as usize].is_none() {
            self.set_learner(since, Learner::new(History::new(), Arc::clone(&self.policy)));
        }
        self.learners[since as usize].as_deref_mut()
    }
}

/// The schedule of one job: the policy's own, or the plan of its class.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClassSchedule<'a> {
    Policy,
    Plan(&'a Plan),
}

impl Schedule for ClassSchedule<'_> {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        match self {
            Self::Policy => PolicySchedule.gap(policy, at),
            Self::Plan(plan) => Schedule::gap(*plan, policy, at),
        }
    }

    fn hint_rule(&self) -> HintRule {
        match self {
            Self::Policy => PolicySchedule.hint_rule(),
            Self::Plan(plan) => plan.hint_rule(),
        }
    }
}
