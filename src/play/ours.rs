//! Our own schedules, by the very poller that waits for real jobs.

use alloc::sync::Arc;
use core::time::Duration;

use rand_core::Rng;

use super::Rule;
use crate::learn::{History, Learner, Lesson};
use crate::{Action, FirstLook, Observation, Policy, PolicySchedule, PollerState, Schedule, Timestamp};

/// The schedule that a policy names: exponential, constant, steps.
#[derive(Clone, Debug)]
pub struct Exponential {
    policy: Policy,
}

impl Exponential {
    /// Plays this policy's schedule, without its time limits.
    pub fn new(policy: &Policy) -> Self {
        Self { policy: endless(policy) }
    }
}

impl Rule for Exponential {
    type Job = PollerState;

    fn start(&mut self, rng: &mut dyn Rng) -> (PollerState, Duration) {
        start(&self.policy, &PolicySchedule, rng)
    }

    fn next(&mut self, job: &mut PollerState, age: Duration, _: u32, _: &mut dyn Rng) -> Option<Duration> {
        next(&self.policy, &PolicySchedule, job, age)
    }
}

/// The learned schedule: knows nothing at first, and learns from each job that ends.
#[derive(Clone, Debug)]
pub struct Learned {
    policy: Policy,
    learner: Learner,
    jobs: u64,
}

impl Learned {
    /// Plays the learned schedule under this policy, without its time limits.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self::knowing(History::new(), policy)
    }

    /// The same with what is known already.
    pub fn knowing(history: History, policy: Arc<Policy>) -> Self {
        Self { policy: endless(&policy), learner: Learner::new(history, policy), jobs: 0 }
    }

    /// What it knows.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }
}

impl Rule for Learned {
    type Job = (PollerState, u64);

    fn start(&mut self, rng: &mut dyn Rng) -> (Self::Job, Duration) {
        self.jobs += 1;
        let (state, first) = start(&self.policy, self.learner.plan_for(self.jobs), rng);
        ((state, self.jobs), first)
    }

    fn next(&mut self, job: &mut Self::Job, age: Duration, _: u32, _: &mut dyn Rng) -> Option<Duration> {
        next(&self.policy, self.learner.plan_for(job.1), &mut job.0, age)
    }

    fn ended(&mut self, job: &Self::Job, lesson: &Lesson) {
        self.learner.learn(job.1, lesson);
    }

    fn budget(&mut self, requests: f64) {
        self.learner.set_limits(1.0, Some(requests));
    }
}

/// The policy for jobs that are created now and waited for to their end.
fn endless(policy: &Policy) -> Policy {
    let set = policy.to_builder().with_first_look(FirstLook::BySchedule).without_total_timeout();
    set.with_max_polls(u32::MAX).build().unwrap_or_else(|_| policy.clone())
}

fn start(policy: &Policy, schedule: &impl Schedule, mut rng: &mut dyn Rng) -> (PollerState, Duration) {
    let state = PollerState::new(policy, schedule, Timestamp::UNIX_EPOCH, &mut rng);
    let first = state.due().unwrap_or_default().saturating_since(Timestamp::UNIX_EPOCH);
    (state, first)
}

fn next(policy: &Policy, schedule: &impl Schedule, job: &mut PollerState, age: Duration) -> Option<Duration> {
    let now = Timestamp::UNIX_EPOCH.saturating_add(age);
    let Action::Send(attempt) = job.poll(policy, now) else { return None };
    let unfinished = Observation::Running { hint: None };
    let _ = job.handle_observation(policy, schedule, now, attempt.id, unfinished);
    Some(job.due()?.saturating_since(now))
}
