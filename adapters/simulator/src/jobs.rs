//! The jobs: made from the seed and their number, and read from the clock without any timer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::clock::Pace;
use crate::durations::Durations;
use crate::ledger::{JobState, LedgerJob};
use crate::seed::{Domain, stream};

/// What jobs are made from.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    pub(crate) durations: Durations,
    pub(crate) fail_rate: f64,
    pub(crate) pace: Pace,
}

impl Recipe {
    /// Id, outcome and simulated duration of job `number`, counted from 0.
    fn job(&self, number: u64) -> (Arc<str>, JobState, Duration) {
        let mut rng = stream(self.seed, Domain::Job, number);
        let id = uuid(&mut rng);
        let outcome = if rng.random::<f64>() < self.fail_rate { JobState::Failed } else { JobState::Succeeded };
        (id, outcome, self.durations.nth(number, &mut rng))
    }
}

/// A random UUID in the form of version 4.
fn uuid(rng: &mut impl Rng) -> Arc<str> {
    let bits = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    let version = bits & !(0xf << 76) | (0x4 << 76);
    let variant = version & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{variant:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into()
}

/// What a create says of one job that it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) language: Option<Arc<str>>,
    pub(crate) title: Option<Arc<str>>,
}

/// One job: what the ledger shows of it, and what only the wires tell.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) shown: LedgerJob,
    pub(crate) details: Details,
    /// How long it takes in simulated time, unless it is cancelled.
    pub(crate) takes: Duration,
    /// Somebody has asked to cancel it, whether or not it was too late for that.
    pub(crate) deleted: bool,
    /// When it ends unless it is cancelled.
    planned_end_ns: u64,
}

impl Job {
    /// The state now.
    pub(crate) fn state_at(&self, now_ns: u64) -> JobState {
        if now_ns >= self.shown.ended_at_ns { self.shown.outcome } else { JobState::Pending }
    }

    /// Whether it has left the queue, where it stands for the first tenth of its time.
    pub(crate) fn has_begun_at(&self, now_ns: u64) -> bool {
        let (passed, whole) = self.passed_at(now_ns);
        passed >= whole / 10
    }

    /// How much of it is done: 100 only once it has succeeded.
    pub(crate) fn percent_at(&self, now_ns: u64) -> u64 {
        if self.state_at(now_ns) == JobState::Succeeded {
            return 100;
        }
        let (passed, whole) = self.passed_at(now_ns);
        let percent = u128::from(passed) * 100 / u128::from(whole.max(1));
        u64::try_from(percent).unwrap_or(99).min(99)
    }

    fn passed_at(&self, now_ns: u64) -> (u64, u64) {
        let LedgerJob { created_at_ns, ended_at_ns, .. } = self.shown;
        let passed = now_ns.min(ended_at_ns).saturating_sub(created_at_ns);
        (passed, self.planned_end_ns.saturating_sub(created_at_ns))
    }

    /// Ends it now, unless it has ended before.
    pub(crate) fn cancel(&mut self, now_ns: u64) {
        if self.state_at(now_ns) == JobState::Pending {
            self.shown.outcome = JobState::Cancelled;
            self.shown.ended_at_ns = now_ns;
        }
        self.deleted = true;
    }
}

/// The jobs by id, the oldest forgotten when there are too many.
#[derive(Debug)]
pub(crate) struct Jobs {
    kept: VecDeque<Job>,
    numbers: HashMap<Arc<str>, u64>,
    limit: usize,
    max_active: Option<usize>,
    /// The numbers of the jobs that may be unfinished, where there is a maximum of them.
    active: Vec<u64>,
    pub(crate) created: u64,
}

impl Jobs {
    pub(crate) fn new(limit: usize, max_active: Option<usize>) -> Self {
        let limit = limit.max(1);
        Self { kept: VecDeque::new(), numbers: HashMap::new(), limit, max_active, active: Vec::new(), created: 0 }
    }

    /// Whether so many more jobs may be unfinished at once.
    pub(crate) fn has_room_for(&mut self, more: usize, now_ns: u64) -> bool {
        let Some(max_active) = self.max_active else {
            return true;
        };
        let mut active = std::mem::take(&mut self.active);
        active.retain(|number| {
            let job = self.index(*number).and_then(|index| self.kept.get(index));
            job.is_some_and(|job| job.state_at(now_ns) == JobState::Pending)
        });
        self.active = active;
        self.active.len().saturating_add(more) <= max_active
    }

    pub(crate) fn create(&mut self, recipe: &Recipe, details: Details, now_ns: u64) -> Job {
        let (id, outcome, takes) = recipe.job(self.created);
        let planned_end_ns = now_ns.saturating_add(recipe.pace.real_ns(takes));
        let shown = LedgerJob { id, created_at_ns: now_ns, ended_at_ns: planned_end_ns, outcome, requests: 0 };
        let job = Job { shown, details, takes, deleted: false, planned_end_ns };
        if self.kept.len() >= self.limit
            && let Some(oldest) = self.kept.pop_front()
        {
            self.numbers.remove(&oldest.shown.id);
        }
        if self.max_active.is_some() {
            self.active.push(self.created);
        }
        self.numbers.insert(Arc::clone(&job.shown.id), self.created);
        self.kept.push_back(job.clone());
        self.created += 1;
        job
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Job> {
        self.kept.get(self.index(*self.numbers.get(id)?)?)
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Job> {
        let index = self.index(*self.numbers.get(id)?)?;
        self.kept.get_mut(index)
    }

    fn index(&self, number: u64) -> Option<usize> {
        let first = self.created - self.kept.len() as u64;
        usize::try_from(number.checked_sub(first)?).ok()
    }

    pub(crate) fn all(&self) -> Vec<LedgerJob> {
        self.kept.iter().map(|job| job.shown.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(seed: u64) -> Recipe {
        Recipe { seed, durations: Durations::default(), fail_rate: 0.1, pace: Pace::new(1.0).unwrap() }
    }

    #[test]
    fn ids_have_the_form_of_version_4() {
        for number in 0..1_000 {
            let (id, _, _) = recipe(9).job(number);
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }

    #[test]
    fn a_job_depends_on_seed_and_number_alone() {
        assert_eq!(recipe(1).job(5), recipe(1).job(5));
        assert_ne!(recipe(1).job(5), recipe(1).job(6));
        assert_ne!(recipe(1).job(5), recipe(2).job(5));
    }

    #[test]
    fn about_a_tenth_fails() {
        let failed = (0..10_000).filter(|number| recipe(4).job(*number).1 == JobState::Failed).count();
        assert!((850..1_150).contains(&failed), "{failed}");
    }

    #[test]
    fn the_oldest_jobs_are_forgotten() {
        let mut jobs = Jobs::new(2, None);
        let ids: Vec<Arc<str>> = (0..3).map(|now| jobs.create(&recipe(0), Details::default(), now).shown.id).collect();
        assert!(jobs.find(&ids[0]).is_none());
        for (now, id) in (1..).zip(&ids[1..]) {
            assert_eq!(jobs.find(id).unwrap().shown.created_at_ns, now);
        }
        assert_eq!(jobs.created, 3);
    }

    #[test]
    fn a_job_waits_runs_and_ends() {
        let day = 86_400_000_000_000;
        let recipe = Recipe { durations: "constant:1d".parse().unwrap(), fail_rate: 0.0, ..recipe(0) };
        let mut job = Jobs::new(1, None).create(&recipe, Details::default(), 0);
        assert!(!job.has_begun_at(day / 10 - 1) && job.has_begun_at(day / 10));
        let told = |job: &Job, now| (job.state_at(now), job.percent_at(now));
        assert_eq!(told(&job, 0), (JobState::Pending, 0));
        assert_eq!(told(&job, day - 1), (JobState::Pending, 99));
        assert_eq!(told(&job, day), (JobState::Succeeded, 100));

        let mut late = job.clone();
        job.cancel(day / 4);
        assert_eq!(told(&job, day), (JobState::Cancelled, 25));
        assert_eq!(job.shown.ended_at_ns, day / 4);
        late.cancel(day);
        assert_eq!(told(&late, day), (JobState::Succeeded, 100));
        assert!(job.deleted && late.deleted);
    }

    #[test]
    fn ended_cancelled_and_forgotten_jobs_make_room() {
        let recipe = Recipe { durations: "list:1,2,3,4".parse().unwrap(), ..recipe(0) };
        let mut jobs = Jobs::new(2, Some(2));
        let second = 1_000_000_000;
        assert!(jobs.has_room_for(2, 0) && !jobs.has_room_for(3, 0));
        jobs.create(&recipe, Details::default(), 0);
        let id = jobs.create(&recipe, Details::default(), 0).shown.id;
        assert!(!jobs.has_room_for(1, second - 1) && jobs.has_room_for(1, second));
        jobs.find_mut(&id).unwrap().cancel(second);
        assert!(jobs.has_room_for(2, second));
        for _ in 0..2 {
            jobs.create(&recipe, Details::default(), second);
        }
        assert!(!jobs.has_room_for(1, second));
        jobs.create(&recipe, Details::default(), second);
        assert!(!jobs.has_room_for(1, second));
    }
}
