//! The figures of many jobs in a few lines, as cheap with a million jobs as with twenty: what is shown of single jobs is
//! found without looking at the others, and what cannot be had so is counted rarely.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jobwatch::{Fleet, JobHandle, Stats, Timestamp};

use crate::report::Summary;
use crate::view::live::{Clock, row};
use crate::view::{columns, requests};

/// Unfinished jobs that are shown, the oldest.
const SLOWEST: usize = 4;

/// Rates are those of about this time.
const WINDOW: Duration = Duration::from_secs(5);

/// The time between two points from which rates are told.
const SAMPLE: Duration = Duration::from_millis(500);

/// A walk over all jobs takes one part of the time in this many at the most.
const WALK_SHARE: u32 = 50;

/// Rather than to leave something else out, an id is cut to this.
const ID_WIDTH: usize = 24;

pub(super) struct Block {
    clock: Clock,
    /// The oldest jobs that were unfinished at the last tick.
    slowest: Vec<(JobHandle, Instant)>,
    /// All later ones in order of age, those that have ended too.
    later: VecDeque<(JobHandle, Instant)>,
    samples: VecDeque<Sample>,
    in_flight: usize,
    next_walk: Instant,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    requests: u64,
    ended: u64,
}

/// Requests and ends of jobs in each second.
#[derive(Clone, Copy, Default)]
struct Rates {
    requests: f64,
    ended: f64,
}

impl Block {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            slowest: Vec::new(),
            later: VecDeque::new(),
            samples: VecDeque::new(),
            in_flight: 0,
            next_walk: Instant::now(),
        }
    }

    /// Each job is younger than those that were added before it.
    pub(super) fn added(&mut self, handle: JobHandle, since: Instant) {
        self.later.push_back((handle, since));
    }

    pub(super) fn lines(&mut self, fleet: &Fleet, now: Timestamp, width: usize) -> Vec<String> {
        let real = Instant::now();
        let rates = self.rates(fleet.stats(), real);
        self.count_in_flight(fleet, real);
        self.slowest.retain(|(handle, _)| fleet.job(*handle).is_some());
        while self.slowest.len() < SLOWEST
            && let Some(job) = self.later.pop_front()
        {
            if fleet.job(job.0).is_some() {
                self.slowest.push(job);
            }
        }
        let oldest = self.slowest.iter().filter_map(|(handle, since)| {
            let progress = fleet.progress(*handle)?;
            Some(row(&progress, now, self.clock, *since, " "))
        });
        let oldest = columns::lines(&oldest.collect::<Vec<_>>(), width, ID_WIDTH);
        let heading = format!("{} unfinished, {} being asked for; the oldest:", fleet.len(), self.in_flight);
        let lines = std::iter::once(heading).chain(oldest);
        lines.chain(figures(fleet.stats(), rates, self.clock)).collect()
    }

    fn rates(&mut self, stats: &Stats, now: Instant) -> Rates {
        let latest = Sample { at: now, requests: stats.requests, ended: stats.outcomes.total() };
        if self.samples.back().is_none_or(|sample| now.saturating_duration_since(sample.at) >= SAMPLE) {
            self.samples.push_back(latest);
        }
        while self.samples.get(1).is_some_and(|second| now.saturating_duration_since(second.at) >= WINDOW) {
            self.samples.pop_front();
        }
        self.samples.front().map(|first| first.rates(&latest, self.clock)).unwrap_or_default()
    }

    fn count_in_flight(&mut self, fleet: &Fleet, now: Instant) {
        if now < self.next_walk {
            return;
        }
        let asked = |handle| fleet.progress(handle).is_some_and(|progress| progress.in_flight);
        self.in_flight = fleet.jobs().filter(|(handle, _)| asked(*handle)).count();
        let done = Instant::now();
        self.next_walk = done + done.saturating_duration_since(now) * WALK_SHARE;
    }
}

impl Sample {
    #[allow(clippy::cast_precision_loss)] // these are for the eye
    fn rates(&self, later: &Self, clock: Clock) -> Rates {
        let seconds = clock.seconds(later.at.saturating_duration_since(self.at));
        let each = |from: u64, to: u64| if seconds > 0.0 { to.saturating_sub(from) as f64 / seconds } else { 0.0 };
        Rates { requests: each(self.requests, later.requests), ended: each(self.ended, later.ended) }
    }
}

fn figures(stats: &Stats, rates: Rates, clock: Clock) -> [String; 2] {
    let outcomes = Summary::of(stats, Duration::ZERO).outcomes();
    let ended = if outcomes.is_empty() { "none has ended yet".to_owned() } else { outcomes };
    let late = stats.detection_delay.mean().map(|delay| clock.seconds(delay));
    let late = late.map(|late| format!("; noticed {late:.1} s late in the mean")).unwrap_or_default();
    [
        format!("{ended}{late}"),
        format!("{}; {:.1} a second, and {:.1} jobs ended a second", requests(stats), rates.requests, rates.ended),
    ]
}

#[cfg(test)]
mod tests {
    use jobwatch::Outcome;

    use super::*;

    #[test]
    fn figures_fit_into_80_columns() {
        let mut stats = Stats::default();
        (stats.requests, stats.failed_requests) = (999_999, 99_999);
        for _ in 0..9_999 {
            stats.outcomes.count(Outcome::Succeeded);
            stats.outcomes.count(Outcome::Failed);
        }
        stats.detection_delay.record(Duration::from_secs(99));
        let rates = Rates { requests: 999.9, ended: 999.9 };
        for line in figures(&stats, rates, Clock::real()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut block = Block::new(Clock::real());
        let start = Instant::now();
        let mut stats = Stats::default();
        for second in 0..60_u64 {
            stats.requests += if second < 30 { 1_000 } else { 7 };
            let rates = block.rates(&stats, start + Duration::from_secs(second));
            if second > 40 {
                assert!((rates.requests - 7.0).abs() < 0.01, "{}", rates.requests);
            }
        }
        assert!(block.samples.len() < 20);
    }
}
