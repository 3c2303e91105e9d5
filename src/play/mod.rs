//! Playing polling rules on jobs whose durations are known, in simulated time: how many requests they make, and how late
//! they notice.
//!
//! Every rule is played on the same durations in the same order, and counted by the same code. A look takes no time.
//!
//! ```
//! use std::sync::Arc;
//! use core::time::Duration;
//! use jobwatch::Policy;
//! use jobwatch::play::{Learned, Peer, play};
//! # use rand_chacha::ChaCha8Rng;
//! # use rand_core::SeedableRng;
//!
//! # let mut rng = ChaCha8Rng::seed_from_u64(1);
//! let durations: Vec<_> = (0..300).map(|n| Duration::from_secs(20 + n * 7 % 20)).collect();
//! let original = play(&mut Peer::Tracker, &durations, &mut rng);
//! let learned = play(&mut Learned::new(Arc::new(Policy::default())), &durations, &mut rng);
//! assert!(learned.requests() < original.requests() / 2);
//! assert!(learned.mean_delay() < original.mean_delay() / 2.0);
//! ```

mod limited;
mod oracle;
mod ours;
mod peers;

use alloc::vec::Vec;
use core::time::Duration;

use rand_core::Rng;

pub use limited::{Limit, play_limited};
pub use oracle::Oracle;
pub use ours::{Exponential, Learned};
pub use peers::Peer;

use crate::learn::Lesson;

/// A rule that says when to look at a job next.
pub trait Rule {
    /// What the rule remembers of one job.
    type Job;

    /// A job was created now. Returns its memory, and the age at which it is looked at first.
    fn start(&mut self, rng: &mut dyn Rng) -> (Self::Job, Duration);

    /// The job was found unfinished at this age, after so many looks. Returns the time to the next look, or `None` where
    /// the rule gives up.
    fn next(&mut self, job: &mut Self::Job, age: Duration, looks: u32, rng: &mut dyn Rng) -> Option<Duration>;

    /// The job was found to have ended: what that teaches.
    fn ended(&mut self, job: &Self::Job, lesson: &Lesson) {
        let _ = (job, lesson);
    }

    /// So many requests are allowed for each job, under a limit.
    fn budget(&mut self, requests: f64) {
        let _ = requests;
    }
}

/// What playing came to.
#[derive(Clone, Debug, Default)]
pub struct Played {
    looks: Vec<u32>,
    /// In nanoseconds; those of jobs that were given up are missing.
    delays: Vec<Option<u64>>,
}

impl Played {
    /// Jobs played.
    pub fn jobs(&self) -> usize {
        self.looks.len()
    }

    /// Jobs that the rule gave up before they ended.
    pub fn given_up(&self) -> usize {
        self.delays.iter().filter(|delay| delay.is_none()).count()
    }

    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.looks.iter().map(|looks| u64::from(*looks)).sum()
    }

    /// Requests for each job in the mean; not a number without jobs.
    #[allow(clippy::cast_precision_loss)] // nobody plays 2^52 of them
    pub fn requests_per_job(&self) -> f64 {
        self.requests() as f64 / self.jobs() as f64
    }

    /// The mean delay from a job's end to the look that noticed it, in seconds; not a number without jobs.
    #[allow(clippy::cast_precision_loss)] // nobody plays 2^52 of them
    pub fn mean_delay(&self) -> f64 {
        let delays: Vec<u64> = self.delays.iter().flatten().copied().collect();
        delays.iter().map(|delay| *delay as f64).sum::<f64>() / delays.len() as f64 / 1e9
    }

    /// The delay in seconds that this share of the jobs does not exceed; `None` of nothing.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn delay_quantile(&self, share: f64) -> Option<f64> {
        let mut delays: Vec<u64> = self.delays.iter().flatten().copied().collect();
        delays.sort_unstable();
        let index = libm::ceil(share.clamp(0.0, 1.0) * delays.len() as f64) as usize;
        delays.get(index.max(1) - 1).map(|delay| *delay as f64 / 1e9)
    }

    /// What a job cost in the mean: its delay, and its requests at this price.
    pub fn cost(&self, request_cost: Duration) -> f64 {
        self.mean_delay() + request_cost.as_secs_f64() * self.requests_per_job()
    }

    /// Only the jobs of this range, by their order.
    #[must_use]
    pub fn part(&self, jobs: core::ops::Range<usize>) -> Self {
        let jobs = jobs.start.min(self.jobs())..jobs.end.min(self.jobs());
        Self { looks: self.looks[jobs.clone()].to_vec(), delays: self.delays[jobs].to_vec() }
    }
}

/// A rule that finds no end after so many looks is broken; a thousand million would take an hour to count.
const MOST_LOOKS: u32 = 10_000_000;

/// Plays a rule on jobs one after another, so that each can learn from all before it.
pub fn play<R: Rule>(rule: &mut R, durations: &[Duration], rng: &mut dyn Rng) -> Played {
    let mut played = Played::default();
    for duration in durations {
        let (mut job, mut age) = rule.start(rng);
        let (mut looks, mut before) = (1, Duration::ZERO);
        let delay = loop {
            if age >= *duration {
                rule.ended(&job, &Lesson::ended(before, age));
                break Some(age.saturating_sub(*duration));
            }
            before = age;
            match rule.next(&mut job, age, looks, rng).filter(|_| looks < MOST_LOOKS) {
                Some(gap) => age = age.saturating_add(gap),
                None => break None,
            }
            looks += 1;
        };
        played.looks.push(looks);
        played.delays.push(delay.map(crate::time::nanos));
    }
    played
}
