//! A client's clock: it may be wrong, jump, stand still at either end of time, and the fleet knows nothing of it.

use jobwatch::Timestamp;

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// What it shows when the world begins, in nanoseconds; may lie before the epoch or after the last instant.
    offset: i128,
    /// The greatest instant that the present fleet was told.
    latest: Timestamp,
    jumped: bool,
}

impl Clock {
    pub(crate) fn starting_at(instant: u64) -> Self {
        Self { offset: i128::from(instant), latest: Timestamp::UNIX_EPOCH, jumped: false }
    }

    pub(crate) fn shows(&self, world: u64) -> Timestamp {
        let nanos = (i128::from(world) + self.offset).clamp(0, i128::from(u64::MAX));
        Timestamp::from_nanos(u64::try_from(nanos).unwrap())
    }

    /// What it shows, and is told to the fleet.
    pub(crate) fn hear(&mut self, world: u64) -> Timestamp {
        let shown = self.shows(world);
        // The last two instants are one.
        self.latest = self.latest.max(if shown.as_nanos() == u64::MAX - 1 { Timestamp::MAX } else { shown });
        shown
    }

    /// What the fleet holds it to show: time that goes backwards counts as no time passing.
    pub(crate) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// A new fleet knows nothing.
    pub(crate) fn forget(&mut self) {
        self.latest = Timestamp::UNIX_EPOCH;
    }

    pub(crate) fn jump(&mut self, nanos: i128) {
        self.offset += nanos;
        self.jumped = true;
    }

    /// It has always gone as the world does.
    pub(crate) fn is_true(&self) -> bool {
        !self.jumped && self.latest < Timestamp::MAX
    }

    /// When it will show this instant, in nanoseconds of the world.
    pub(crate) fn when(&self, instant: Timestamp) -> u64 {
        let nanos = (i128::from(instant.as_nanos()) - self.offset).clamp(0, i128::from(u64::MAX));
        u64::try_from(nanos).unwrap()
    }
}
