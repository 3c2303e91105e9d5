//! Progress as lines that stay: in a log, or with one.

use std::time::{Duration, Instant};

use jobwatch::{Fleet, Stats};

use crate::report::{Summary, counted, one_line};
use crate::view::{note, requests};

/// With more jobs, a line for each change would bury whatever else is to be read there.
const MOST_JOBS: u64 = 100;

/// How often it is looked whether it is time for a line of figures.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// The time between two lines of figures grows from a tick to this: a short wait is told of soon, and a long one does not
/// fill a log.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A line per change of a few jobs; of many, their figures now and then.
pub(crate) struct Plain {
    jobs: u64,
    pause: Duration,
    next: Option<Instant>,
    /// What was told last: unfinished jobs, and requests.
    told: (usize, u64),
}

impl Plain {
    pub(super) fn new() -> Self {
        Self { jobs: 0, pause: TICK, next: None, told: (0, 0) }
    }

    pub(super) fn added(&mut self) {
        self.jobs += 1;
    }

    pub(super) fn changed(&self, id: &str, state: &str) {
        if self.jobs <= MOST_JOBS {
            note(format_args!("{}: {}", one_line(id), one_line(state)));
        }
    }

    pub(super) fn tick(&mut self, fleet: &Fleet) {
        let now = Instant::now();
        let figures = (fleet.len(), fleet.stats().requests);
        if self.jobs <= MOST_JOBS || self.next.is_some_and(|next| now < next) || figures == self.told {
            return;
        }
        self.told = figures;
        self.next = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        note(format_args!("{}", sentence(self.jobs, fleet.len(), fleet.stats())));
    }
}

fn sentence(jobs: u64, unfinished: usize, stats: &Stats) -> String {
    let outcomes = Summary::of(stats, Duration::ZERO).outcomes();
    let ended = if outcomes.is_empty() { String::new() } else { format!(", {outcomes}") };
    format!("{}: {unfinished} unfinished{ended}; {} so far", counted(jobs, "job"), requests(stats))
}

#[cfg(test)]
mod tests {
    use jobwatch::Outcome;

    use super::*;

    #[test]
    fn figures_are_one_sentence() {
        let mut stats = Stats::default();
        assert_eq!(sentence(200, 200, &stats), "200 jobs: 200 unfinished; 0 requests so far");
        (stats.requests, stats.failed_requests) = (7, 2);
        stats.outcomes.count(Outcome::Succeeded);
        stats.outcomes.count(Outcome::Lost);
        let expected = "200 jobs: 198 unfinished, 1 succeeded, 1 lost; 7 requests, 2 failed so far";
        assert_eq!(sentence(200, 198, &stats), expected);
    }
}
