//! The one place that reads a clock.

use std::time::SystemTime;

use boot_time::Instant;
use jobwatch::Timestamp;

/// The wall clock, read once, and advanced by a clock that never steps and counts the time the machine is suspended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Timestamp,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { epoch: SystemTime::now().into(), start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.epoch.saturating_add(self.start.elapsed())
    }
}
