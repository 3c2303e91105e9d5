//! What the waiting cost, and what came of it: mergeable counters and histograms.

use core::time::Duration;

use hdrhistogram::Histogram;

use crate::Outcome;

/// Counts and times over many requests and jobs. Merge those of several fleets with [`merge`](Self::merge).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent: looks and their redirects. Creates are not counted here.
    pub requests: u64,
    /// Requests that told nothing about the job: broken, refused, malformed, throttled.
    pub failed_requests: u64,
    /// Of the failed requests, those that were throttled.
    pub throttled_requests: u64,
    /// Requests that asked for several jobs at once.
    pub bulk_requests: u64,
    /// Answers whose hint was followed.
    pub hints: u64,
    /// Bytes of the answers' bodies, decoded.
    pub bytes: u64,
    /// Jobs whose wait ended, by outcome.
    pub outcomes: Outcomes,
    /// From sending a request to having its whole answer; requests that brought no answer are left out.
    pub response_time: Times,
    /// From a job's real end to the moment we knew, for backends that tell the real end.
    pub detection_delay: Times,
}

impl Stats {
    /// Adds everything that another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed_requests += other.failed_requests;
        self.throttled_requests += other.throttled_requests;
        self.bulk_requests += other.bulk_requests;
        self.hints += other.hints;
        self.bytes += other.bytes;
        self.outcomes.merge(&other.outcomes);
        self.response_time.merge(&other.response_time);
        self.detection_delay.merge(&other.detection_delay);
    }

    /// The share of requests that told something; `None` before the first.
    pub fn request_success_rate(&self) -> Option<f64> {
        ratio(self.requests.saturating_sub(self.failed_requests), self.requests)
    }

    /// The share of jobs that succeeded, of all whose wait ended; `None` before the first.
    pub fn job_success_rate(&self) -> Option<f64> {
        ratio(self.outcomes.of(Outcome::Succeeded), self.outcomes.total())
    }

    /// Requests for each job whose wait ended; `None` before the first.
    pub fn requests_per_job(&self) -> Option<f64> {
        ratio(self.requests, self.outcomes.total())
    }

    pub(crate) fn note_end(&mut self, outcome: Outcome, detection_delay: Option<Duration>) {
        self.outcomes.count(outcome);
        if let Some(delay) = detection_delay {
            self.detection_delay.record(delay);
        }
    }
}

/// How many waits ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    counts: [u64; 8],
}

impl Outcomes {
    /// Waits with this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize]
    }

    /// All waits that ended.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Counts one.
    pub fn count(&mut self, outcome: Outcome) {
        self.counts[outcome as usize] += 1;
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count += other;
        }
    }
}

/// A distribution of times: exact mean and maximum, quantiles within one percent.
#[derive(Clone, Debug)]
pub struct Times {
    /// Microseconds, from one to a day.
    histogram: Histogram<u64>,
    sum: Duration,
    max: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, 24 * 60 * 60 * 1_000_000, 2);
        Self { histogram: histogram.expect("the bounds are in order"), sum: Duration::ZERO, max: Duration::ZERO }
    }
}

impl Times {
    /// Adds one; longer than a day counts as a day in the quantiles.
    pub fn record(&mut self, time: Duration) {
        self.histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.sum = self.sum.saturating_add(time);
        self.max = self.max.max(time);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The mean; `None` of nothing.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count()))?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// The time that this share of all does not exceed, for example 0.99; `None` of nothing.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let value = || Duration::from_micros(self.histogram.value_at_quantile(share)).min(self.max);
        (self.count() > 0).then(value)
    }

    /// The longest; `None` of nothing.
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then_some(self.max)
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

#[allow(clippy::cast_precision_loss)] // a ratio is for the eye
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
