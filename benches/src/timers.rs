//! What timers are measured with.

use std::alloc::System;

use cap::Cap;

/// The system's allocator, which counts the bytes that it was asked for and has not got back.
///
/// Counting costs two atomic additions an allocation.
pub type Memory = Cap<System>;

/// Gaps as a fleet draws them in the long run, of 30 to 60 s, in nanoseconds; cheap, and the same in every run.
#[derive(Clone, Debug)]
pub struct Gaps(u64);

impl Gaps {
    /// Gaps that differ from those of another seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next gap.
    pub fn draw(&mut self) -> u64 {
        self.within(30_000_000_000) + 30_000_000_000
    }

    /// A number below this one: `SplitMix64` (Steele, Lea, Flood, 2014), mapped by a widening multiplication.
    pub fn within(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        u64::try_from((u128::from(word) * u128::from(limit)) >> 64).unwrap_or_default()
    }
}
