//! The one place that reads a clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use boot_time::Instant;
use jobwatch::Timestamp;

/// The wall clock, read once, and advanced by a clock that never steps and counts the time the machine is suspended.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What it showed when it was started, in nanoseconds since the Unix epoch.
    epoch: AtomicU64,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let now: Timestamp = SystemTime::now().into();
        Self { epoch: AtomicU64::new(now.as_nanos()), start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.epoch.load(Ordering::Relaxed)).saturating_add(self.start.elapsed())
    }

    /// Sets the clock, which goes on from there.
    pub(crate) fn set(&self, now: Timestamp) {
        let elapsed: Duration = self.start.elapsed();
        self.epoch.store(now.saturating_sub(elapsed).as_nanos(), Ordering::Relaxed);
    }
}
