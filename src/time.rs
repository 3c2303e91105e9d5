//! Instants, as integers that the caller provides.

use core::fmt;
use core::time::Duration;

/// An instant: whole nanoseconds since the Unix epoch, good until the year 2554.
///
/// The core never reads a clock. Drivers read the wall clock once, advance it by a monotonic one, and hand the sum in,
/// so that a timestamp can be stored, compared after a restart, and printed. Arithmetic saturates at both ends.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1 January 1970, 00:00:00 UTC.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The last instant that can be told, in the year 2554.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant so many nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant so many seconds after the Unix epoch; [`MAX`](Self::MAX) where that is too far.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant moved later, at most to [`MAX`](Self::MAX).
    #[must_use]
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }

    /// This instant moved earlier, at most to the epoch.
    #[must_use]
    pub const fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// The time from `earlier` to this instant; zero where `earlier` is the later of the two.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in nanoseconds, saturating after 584 years.
#[allow(clippy::cast_possible_truncation)] // compared just before
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Timestamp {
    /// Unix seconds with nine decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(feature = "http")]
impl From<std::time::SystemTime> for Timestamp {
    /// Times before 1970 become the epoch, times after 2554 become [`Timestamp::MAX`].
    fn from(time: std::time::SystemTime) -> Self {
        let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH);
        Self(since.map_or(0, nanos))
    }
}

#[cfg(feature = "http")]
impl From<Timestamp> for std::time::SystemTime {
    /// Where the system cannot tell an instant so late, its epoch.
    fn from(at: Timestamp) -> Self {
        let epoch = Self::UNIX_EPOCH;
        epoch.checked_add(Duration::from_nanos(at.0)).unwrap_or(epoch)
    }
}
