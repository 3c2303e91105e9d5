//! Randomness that spreads clients apart: where in its range a gap falls.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::GapRange;

/// How much of a backoff's ceiling is left to chance.
///
/// `c_n = min(max_delay, min_delay · factor^n)`. The range comes first and the draw falls inside it: clamping a drawn
/// value would pile probability on the bound. Names after Brooker, "Exponential Backoff And Jitter" (AWS, 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly `c_n`.
    None,
    /// Between `min_delay` and `c_(n+1)`.
    Full,
    /// Between half of `c_(n+1)`, though at least `min_delay`, and `c_(n+1)`.
    #[default]
    Equal,
    /// Between `min_delay` and three times the previous gap, though at most `max_delay`. The schedule's own gaps do not
    /// count.
    Decorrelated,
}

impl Jitter {
    /// The `n` of the ceiling that the range of the gap number `gaps` needs.
    pub(crate) fn step(self, gaps: u32) -> u32 {
        match self {
            Self::None => gaps,
            Self::Full | Self::Equal | Self::Decorrelated => gaps.saturating_add(1),
        }
    }

    /// The range for a gap whose ceiling is `c_n`, `n` as [`step`](Self::step) says, in nanoseconds.
    pub(crate) fn range(self, ceiling: u64, previous: Option<u64>, min: u64, max: u64) -> GapRange {
        let (lo, hi) = match self {
            Self::None => (ceiling, ceiling),
            Self::Full => (min, ceiling),
            Self::Equal => (min.max(ceiling / 2), ceiling),
            Self::Decorrelated => (min, max.min(previous.unwrap_or(min).saturating_mul(3))),
        };
        GapRange::from_nanos(lo, hi)
    }
}

/// The value in `[lo, hi]` that belongs to this seed and attempt, and to no earlier draw.
///
/// Part of the semver promise: `ChaCha8` seeded with `seed_from_u64`, stream = attempt, first `u64`, mapped to the range
/// by widening multiplication.
pub(crate) fn draw(seed: u64, attempt: u32, lo: u64, hi: u64) -> u64 {
    if lo >= hi {
        return lo;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(attempt));
    let width = u128::from(hi - lo) + 1;
    let offset = (u128::from(rng.next_u64()) * width) >> 64;
    lo + u64::try_from(offset).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_vectors() {
        let draws = [(0, 0), (0, 1), (1, 0), (u64::MAX, u32::MAX)].map(|(seed, n)| draw(seed, n, 0, 999_999_999));
        assert_eq!(draws, GOLDEN);
    }
    const GOLDEN: [u64; 4] = [709_075_415, 755_531_016, 402_485_663, 358_258_280];

    #[test]
    fn draws_stay_inside_the_range_at_the_ends_of_u64() {
        for attempt in 0..1000 {
            assert_eq!(draw(7, attempt, 5, 5), 5);
            assert!((3..=4).contains(&draw(7, attempt, 3, 4)));
            let _ = draw(7, attempt, 0, u64::MAX);
            assert!(draw(7, attempt, u64::MAX - 1, u64::MAX) >= u64::MAX - 1);
        }
    }
}
