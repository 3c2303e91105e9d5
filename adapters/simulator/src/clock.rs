//! The one place where real time comes from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the wall clock once and advances it by the monotone clock, so that the times told in
/// headers and in the ledger never run backwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    start_unix_ns: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_unix_ns: nanoseconds(since_epoch) }
    }

    /// Nanoseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        self.start_unix_ns.saturating_add(nanoseconds(self.start.elapsed()))
    }
}

/// How fast simulated time runs: simulated seconds per real second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(f64);

impl Pace {
    /// `None` unless the speed is a finite number above zero.
    pub(crate) fn new(speed: f64) -> Option<Self> {
        (speed.is_finite() && speed > 0.0).then_some(Self(speed))
    }

    pub(crate) fn is_real_time(self) -> bool {
        (self.0 - 1.0).abs() < f64::EPSILON
    }

    /// The real nanoseconds that a simulated time takes; never less than one.
    pub(crate) fn real_ns(self, simulated: Duration) -> u64 {
        if self.is_real_time() {
            return nanoseconds(simulated).max(1);
        }
        Duration::try_from_secs_f64(simulated.as_secs_f64() / self.0).map_or(u64::MAX, nanoseconds).max(1)
    }
}

/// Saturates after 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Unix time in seconds with nine decimals, as the headers carry it.
pub(crate) fn unix_text(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let clock = Clock::new();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn pace_scales_and_refuses_nonsense() {
        let minute = Duration::from_secs(60);
        assert_eq!(Pace::new(1.0).unwrap().real_ns(minute), 60_000_000_000);
        assert_eq!(Pace::new(10.0).unwrap().real_ns(minute), 6_000_000_000);
        assert_eq!(Pace::new(1e-300).unwrap().real_ns(minute), u64::MAX);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Pace::new(bad).is_none());
        }
    }

    #[test]
    fn times_are_written_with_nine_decimals() {
        assert_eq!(unix_text(1_764_000_000_000_000_042), "1764000000.000000042");
    }
}
