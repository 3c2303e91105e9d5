//! Requests per second: the generic cell rate algorithm (ITU-T I.371), a token bucket that needs one instant of memory.

use core::fmt;
use core::time::Duration;

use crate::Timestamp;

/// So many requests per second, with a burst after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The time between two requests in the long run.
    interval: u64,
    burst: u32,
}

/// A rate that is zero, negative, no number, or slower than one request a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateError(f64);

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a rate is a number of requests per second above zero, as in 50 or 0.5, not {}", self.0)
    }
}

impl core::error::Error for RateError {}

impl RateLimit {
    /// What is polite unless a backend says otherwise: 50 a second, 100 at once.
    pub const POLITE: Self = Self { interval: 20_000_000, burst: 100 };

    /// At most so many requests per second in the long run, and twice as many, at least one, at once after a pause.
    ///
    /// # Errors
    /// The rate is not above zero, no number, or below one a day.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // compared just before
    pub fn per_second(rate: f64) -> Result<Self, RateError> {
        let interval = (1e9 / rate).ceil();
        if !(rate > 0.0 && interval <= 86_400e9) {
            return Err(RateError(rate));
        }
        let burst = (2.0 * rate).clamp(1.0, f64::from(u32::MAX)) as u32;
        Ok(Self { interval: (interval as u64).max(1), burst })
    }

    /// So many requests may go at once after a pause, at least one.
    #[must_use]
    pub fn with_burst(mut self, burst: u32) -> Self {
        self.burst = burst.max(1);
        self
    }

    /// The time between two requests in the long run.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How many requests may go at once after a pause.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// The head start that a burst is.
    fn head_start(self) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(u64::from(self.burst) - 1))
    }
}

/// When the next request may go under a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    limit: Option<RateLimit>,
    /// The instant at which the bucket is full again.
    full_at: Timestamp,
}

impl Pace {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, full_at: Timestamp::UNIX_EPOCH }
    }

    /// Changes the limit; what was taken stays taken.
    pub(crate) fn set_limit(&mut self, limit: Option<RateLimit>) {
        self.limit = limit;
    }

    pub(crate) fn limit(&self) -> Option<RateLimit> {
        self.limit
    }

    /// When the next request may go; the past means now.
    pub(crate) fn next(&self) -> Timestamp {
        match self.limit {
            Some(limit) => self.full_at.saturating_sub(limit.head_start()),
            None => Timestamp::UNIX_EPOCH,
        }
    }

    /// Takes the token of a request that goes now.
    pub(crate) fn take(&mut self, now: Timestamp) {
        if let Some(limit) = self.limit {
            self.full_at = self.full_at.max(now).saturating_add(Duration::from_nanos(limit.interval));
        }
    }

    /// Takes the token of a request that goes as soon as it may, and tells when that is.
    pub(crate) fn reserve(&mut self, now: Timestamp) -> Timestamp {
        let at = self.next().max(now);
        self.take(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_rate() {
        for rate in [0.0, -0.0, -1.0, f64::NAN, f64::NEG_INFINITY, 1e-9] {
            assert!(RateLimit::per_second(rate).is_err(), "{rate}");
        }
        for rate in [f64::INFINITY, 1e300, 1e9, 0.5, 1.0 / 86_400.0] {
            assert!(RateLimit::per_second(rate).is_ok(), "{rate}");
        }
        assert_eq!(RateLimit::per_second(50.0).unwrap(), RateLimit::POLITE);
    }

    proptest! {
        /// In no window do more requests go than the burst and what the rate allows in it.
        #[test]
        fn the_limit_holds_for_any_pattern(
            rate in 0.1_f64..1_000.0, burst in 1_u32..50, gaps in prop::collection::vec(0_u64..3_000_000_000, 1..200)
        ) {
            let limit = RateLimit::per_second(rate).unwrap().with_burst(burst);
            let (mut pace, mut now, mut sent) = (Pace::new(Some(limit)), Timestamp::from_secs(1_000), Vec::new());
            for gap in gaps {
                now = now.saturating_add(Duration::from_nanos(gap));
                while pace.next() <= now {
                    pace.take(now);
                    sent.push(now.as_nanos());
                }
            }
            for (n, from) in sent.iter().enumerate() {
                for (m, to) in sent.iter().enumerate().skip(n) {
                    let allowed = u64::from(burst) + (to - from) / limit.interval;
                    prop_assert!(((m - n) as u64) < allowed, "{} in {} ns", m - n + 1, to - from);
                }
            }
        }
    }
}
