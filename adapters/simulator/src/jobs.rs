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

/// The state of a job now.
pub(crate) fn state_at(job: &LedgerJob, now_ns: u64) -> JobState {
    if now_ns >= job.ended_at_ns { job.outcome } else { JobState::Pending }
}

/// The jobs by id, the oldest forgotten when there are too many.
#[derive(Debug)]
pub(crate) struct Jobs {
    kept: VecDeque<LedgerJob>,
    numbers: HashMap<Arc<str>, u64>,
    limit: usize,
    pub(crate) created: u64,
}

impl Jobs {
    pub(crate) fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), numbers: HashMap::new(), limit: limit.max(1), created: 0 }
    }

    pub(crate) fn create(&mut self, recipe: &Recipe, now_ns: u64) -> LedgerJob {
        let (id, outcome, duration) = recipe.job(self.created);
        let job = LedgerJob {
            id,
            created_at_ns: now_ns,
            ended_at_ns: now_ns.saturating_add(recipe.pace.real_ns(duration)),
            outcome,
            requests: 0,
        };
        if self.kept.len() >= self.limit
            && let Some(oldest) = self.kept.pop_front()
        {
            self.numbers.remove(&oldest.id);
        }
        self.numbers.insert(Arc::clone(&job.id), self.created);
        self.kept.push_back(job.clone());
        self.created += 1;
        job
    }

    pub(crate) fn find(&mut self, id: &str) -> Option<&mut LedgerJob> {
        let number = *self.numbers.get(id)?;
        let first = self.created - self.kept.len() as u64;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.kept.get_mut(index)
    }

    pub(crate) fn all(&self) -> Vec<LedgerJob> {
        self.kept.iter().cloned().collect()
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
        let mut jobs = Jobs::new(2);
        let ids: Vec<Arc<str>> = (0..3).map(|now| jobs.create(&recipe(0), now).id).collect();
        assert!(jobs.find(&ids[0]).is_none());
        for (now, id) in (1..).zip(&ids[1..]) {
            assert_eq!(jobs.find(id).unwrap().created_at_ns, now);
        }
        assert_eq!(jobs.created, 3);
    }
}
