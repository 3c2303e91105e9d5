//! What is believed of how long jobs take: masses over a growing grid of durations.

use alloc::vec;
use alloc::vec::Vec;

use crate::schedule::grid::{self, UNIT};

/// Buckets to each doubling of the duration: `2^BITS`.
pub(super) const BITS: u32 = 4;

/// How many buckets there are.
pub(super) const LENGTH: usize = grid::index(grid::LAST, BITS);

/// What is believed before the first job, in jobs.
const PRIOR: f64 = 2.0;

/// The prior is uniform over the logarithm of the duration from a quarter of a second ...
const PRIOR_FROM: u64 = 1 << 8;

/// ... to a day and a half.
const PRIOR_TO: u64 = 1 << 27;

/// From the prior it takes so many steps to the estimate. More would follow every accident of the lessons.
const ITERATIONS: u32 = 4;

/// What lies in a bucket may fade to numbers that have lost their digits; so little is nothing, and is not shared out.
const NOTHING: f64 = 1e-200;

/// No history remembers more.
#[cfg(feature = "serde")]
const MOST_JOBS: f64 = 1e6;

/// A job ended between these durations, in units, and counts for so much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) from: f64,
    /// Infinite where the job outlasted its wait.
    pub(super) to: f64,
    pub(super) weight: f64,
}

/// Masses of jobs by duration, beside a prior.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    masses: Vec<f64>,
    total: f64,
    /// The prior's weight in jobs.
    prior: f64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { masses: vec![0.0; LENGTH], total: 0.0, prior: PRIOR }
    }

    /// The estimate from intervals: the expectation-maximisation algorithm for interval-censored durations (Turnbull,
    /// 1976), started from the prior and stopped early.
    pub(super) fn fit(intervals: &[Interval]) -> Self {
        let mut histogram = Self::new();
        for _ in 0..ITERATIONS {
            histogram.improve(intervals);
        }
        histogram
    }

    /// Learns of one more job, one step of the same algorithm; `keep` is what remains of everything older.
    pub(super) fn learn(&mut self, interval: Interval, keep: f64) {
        let (first, last) = (bucket_of(interval.from), bucket_of(interval.to));
        let parts: Vec<f64> = (first..=last).map(|bucket| self.part(bucket, interval.from, interval.to)).collect();
        let inside: f64 = parts.iter().sum();
        for mass in &mut self.masses {
            *mass *= keep;
        }
        if inside > NOTHING {
            for (mass, part) in self.masses[first..=last].iter_mut().zip(parts) {
                *mass += interval.weight * part / inside;
            }
        } else {
            // Beyond everything believed: the nearest bucket.
            self.masses[first] += interval.weight;
        }
        self.total = self.total * keep + interval.weight;
    }

    /// Adds another's jobs.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mass, other_mass) in self.masses.iter_mut().zip(&other.masses) {
            *mass += other_mass;
        }
        self.total = self.masses.iter().sum();
    }

    /// The jobs in memory, older ones counted for less.
    pub(super) fn jobs(&self) -> f64 {
        self.total
    }

    /// The buckets that are not empty, and their jobs.
    #[cfg(feature = "serde")]
    pub(super) fn sparse(&self) -> Vec<(u16, f64)> {
        let filled = (0..).zip(&self.masses).filter(|(_, mass)| **mass > 1e-9);
        filled.map(|(bucket, mass)| (bucket, *mass)).collect()
    }

    /// The same from what [`sparse`](Self::sparse) told; `None` where no jobs can have taught that.
    #[cfg(feature = "serde")]
    pub(super) fn from_sparse(sparse: &[(u16, f64)]) -> Option<Self> {
        let mut histogram = Self::new();
        for (bucket, mass) in sparse {
            if !(*mass >= 0.0 && *mass <= MOST_JOBS) {
                return None;
            }
            *histogram.masses.get_mut(usize::from(*bucket))? += mass;
        }
        histogram.total = histogram.masses.iter().sum();
        Some(histogram)
    }

    /// Exactly these durations, in units, and nothing believed beside them.
    pub(super) fn of(durations: impl Iterator<Item = f64>) -> Self {
        let mut histogram = Self { prior: 0.0, ..Self::new() };
        for duration in durations {
            histogram.masses[bucket_of(duration)] += 1.0;
            histogram.total += 1.0;
        }
        histogram
    }

    /// The share of all jobs that is believed to take between these times, in units.
    pub(super) fn probability(&self, from: f64, to: f64) -> f64 {
        let (sums, whole) = (self.sums(), self.total + self.prior);
        self.between(&sums, from, to) / whole
    }

    /// The share of jobs that are believed to take longer than each bucket's beginning; one more than there are buckets.
    pub(super) fn survival(&self) -> Vec<f64> {
        let whole = self.total + self.prior;
        self.sums().iter().map(|sum| 1.0 - sum / whole).collect()
    }

    /// The same of the jobs that were seen, as far as there were any: the prior's long tail is a reason to go on looking,
    /// and no forecast.
    pub(super) fn seen_survival(&self) -> Vec<f64> {
        if self.total < 1.0 {
            return self.survival();
        }
        let seen = Self { masses: self.masses.clone(), prior: 0.0, ..*self };
        seen.survival()
    }

    /// One step: each interval's weight is spread over it as the present estimate says.
    fn improve(&mut self, intervals: &[Interval]) {
        let sums = self.sums();
        // What each bucket's density is multiplied by, as differences between neighbours.
        let mut steps = vec![0.0; LENGTH + 1];
        let mut masses = vec![0.0; LENGTH];
        let mut total = 0.0;
        for interval in intervals {
            let (first, last) = (bucket_of(interval.from), bucket_of(interval.to));
            let inside = self.between(&sums, interval.from, interval.to);
            total += interval.weight;
            if inside <= NOTHING {
                // Beyond everything believed: the nearest bucket.
                masses[first] += interval.weight;
                continue;
            }
            let factor = interval.weight / inside;
            if first == last {
                masses[first] += interval.weight;
                continue;
            }
            masses[first] += factor * self.part(first, interval.from, interval.to);
            masses[last] += factor * self.part(last, interval.from, interval.to);
            steps[first + 1] += factor;
            steps[last] -= factor;
        }
        let mut factor = 0.0;
        for bucket in 0..LENGTH {
            factor += steps[bucket];
            masses[bucket] += f64::max(factor, 0.0) * self.density(bucket);
        }
        (self.masses, self.total) = (masses, total);
    }

    /// What lies before each bucket; one more than there are buckets.
    fn sums(&self) -> Vec<f64> {
        let mut sums = Vec::with_capacity(LENGTH + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for bucket in 0..LENGTH {
            sum += self.density(bucket);
            sums.push(sum);
        }
        sums
    }

    /// What lies between these times.
    fn between(&self, sums: &[f64], from: f64, to: f64) -> f64 {
        let (first, last) = (bucket_of(from), bucket_of(to));
        if first == last {
            return self.part(first, from, to);
        }
        self.part(first, from, to) + (sums[last] - sums[first + 1]) + self.part(last, from, to)
    }

    /// What a bucket holds of the time between.
    fn part(&self, bucket: usize, from: f64, to: f64) -> f64 {
        let (begin, end) = edges(bucket);
        let overlap = (end.min(to) - begin.max(from)).max(0.0);
        self.density(bucket) * overlap / (end - begin)
    }

    /// What a bucket holds: its jobs and its part of the prior.
    fn density(&self, bucket: usize) -> f64 {
        self.masses[bucket] + self.prior * prior(bucket)
    }
}

/// The bucket of a duration in units; the last for what is beyond the grid.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is cut to the grid
fn bucket_of(units: f64) -> usize {
    grid::index(units.max(0.0) as u64, BITS).min(LENGTH - 1)
}

/// Where a bucket begins and ends, in units.
#[allow(clippy::cast_precision_loss)] // at most 2^31
fn edges(bucket: usize) -> (f64, f64) {
    (grid::begin(bucket, BITS) as f64, grid::begin(bucket + 1, BITS) as f64)
}

/// The same in seconds.
pub(super) fn edges_in_seconds(bucket: usize) -> (f64, f64) {
    let (begin, end) = edges(bucket);
    (begin * UNIT, end * UNIT)
}

/// The prior's share of a bucket: every doubling has as much, shared equally by its buckets.
fn prior(bucket: usize) -> f64 {
    let begin = grid::begin(bucket, BITS);
    if !(PRIOR_FROM..PRIOR_TO).contains(&begin) {
        return 0.0;
    }
    let doublings = f64::from(PRIOR_TO.ilog2() - PRIOR_FROM.ilog2());
    1.0 / (doublings * f64::from(1_u32 << BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson(from: f64, to: f64) -> Interval {
        Interval { from, to, weight: 0.5 }
    }

    /// One job is spread over its interval as is believed, however often that is done; what lies beyond everything believed
    /// is in the bucket where it begins.
    #[test]
    fn an_estimate_from_one_job_is_what_it_has_taught() {
        let (from, to) = (edges(100).0, edges(120).0);
        let beyond = f64::from(1_u32 << 28);
        for interval in [lesson(from, to), lesson(from, from + 1.0), lesson(beyond, beyond * 1.5)] {
            let mut learned = Histogram::new();
            learned.learn(interval, 1.0);
            let (fitted, mut improved) = (Histogram::fit(&[interval]), Histogram::new());
            improved.improve(&[interval]);
            let is_near = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-9;
            assert!(fitted.masses.iter().zip(&learned.masses).all(is_near), "{interval:?}");
            assert!(improved.masses.iter().zip(&learned.masses).all(is_near), "{interval:?}");
        }
        assert!(Histogram::fit(&[lesson(beyond, beyond * 1.5)]).masses[bucket_of(beyond)] > 0.4);
        // Of the buckets at its ends it has a part.
        let fitted = Histogram::fit(&[lesson(from * 1.01, to * 1.01)]);
        assert!((fitted.masses[100..=120].iter().sum::<f64>() - 0.5).abs() < 1e-9);
        assert!(fitted.masses.iter().all(|mass| *mass >= 0.0) && fitted.masses[100] > 0.0 && fitted.masses[120] > 0.0);
    }

    #[test]
    fn the_first_whole_job_is_what_was_seen() {
        let mut histogram = Histogram::new();
        histogram.learn(lesson(5_000.0, 5_001.0), 1.0);
        assert!(histogram.seen_survival()[bucket_of(90_000.0)] > 0.1);
        histogram.learn(lesson(5_000.0, 5_001.0), 1.0);
        assert!(histogram.seen_survival()[bucket_of(90_000.0)].abs() < 1e-9);
    }

    #[test]
    fn buckets_lie_side_by_side() {
        let buckets: Vec<_> = (0..LENGTH).map(edges_in_seconds).collect();
        assert!(buckets.windows(2).all(|two| two[0].1 > two[0].0 && (two[0].1 - two[1].0).abs() < 1e-9));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn what_a_store_can_have_kept() {
        for mass in [0.0, 1.0, MOST_JOBS] {
            assert!(Histogram::from_sparse(&[(7, mass)]).is_some(), "{mass}");
        }
        for mass in [-0.1, MOST_JOBS * 1.001, f64::NAN] {
            assert!(Histogram::from_sparse(&[(7, mass)]).is_none(), "{mass}");
        }
        assert!(Histogram::from_sparse(&[(u16::MAX, 1.0)]).is_none());
    }
}
