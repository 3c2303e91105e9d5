//! Jobs that are taken from an iterator as the wait goes on, each id once.

use core::fmt;
use std::boxed::Box;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::Fleet;
use crate::{JobRef, Timestamp};

/// So many are taken at a time, lest requests wait for a million ids to be read.
const CHUNK: usize = 1_000;

/// An iterator of jobs on its way into a fleet: they sit in memory once, in the fleet.
pub struct Feed {
    jobs: Option<Box<dyn Iterator<Item = JobRef> + Send>>,
    distinct: Distinct,
    stopped: bool,
}

impl Feed {
    /// Nothing is taken yet.
    pub fn new(jobs: impl Iterator<Item = JobRef> + Send + 'static) -> Self {
        Self { jobs: Some(Box::new(jobs)), distinct: Distinct::default(), stopped: false }
    }

    /// Nothing to take.
    pub fn empty() -> Self {
        Self { jobs: None, distinct: Distinct::default(), stopped: false }
    }

    /// Takes the next jobs into the fleet, an id that came before not again. Tells whether there may be more.
    pub fn take_some(&mut self, fleet: &mut Fleet, now: Timestamp) -> bool {
        let Some(jobs) = &mut self.jobs else { return false };
        for _ in 0..CHUNK {
            let Some(job) = jobs.next() else {
                *self = Self::empty();
                return false;
            };
            if self.distinct.is_new(job.id()) {
                let handle = fleet.insert(job, now);
                if self.stopped {
                    fleet.stop(handle, now);
                }
            }
        }
        true
    }

    /// The wait is over: what is still to come is taken all the same, and stopped at once, so that each job is told of.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_none()
    }

    /// The least and the most that are still to come.
    pub fn size_hint(&self) -> (usize, Option<usize>) {
        self.jobs.as_ref().map_or((0, Some(0)), Iterator::size_hint)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

/// Finds out ids that come twice, by 128 bits of each: that two different ones agree in all of them does not happen.
#[derive(Debug, Default)]
pub struct Distinct {
    known: HashSet<u128>,
}

impl Distinct {
    /// Whether this id comes for the first time.
    pub fn is_new(&mut self, id: &str) -> bool {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let (low, high) = (hasher.hash_one(id), hasher.hash_one((id, "again")));
        self.known.insert(u128::from(high) << 64 | u128::from(low))
    }
}
