//! Everything that is left to chance, from one number.

use core::time::Duration;

/// The generator of one storm: `SplitMix64` (Steele, Lea, Flood, 2014), which needs no library and is quick without
/// optimisation.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From zero to one less than this.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.roll()) * u128::from(end.max(1));
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, lo: u64, hi: u64) -> u64 {
        lo + self.below(hi - lo + 1)
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    /// Evenly over the orders of magnitude.
    pub(crate) fn time(&mut self, lo: Duration, hi: Duration) -> Duration {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let (lo, hi) = (nanos(lo), nanos(hi));
        let octave = self.between(lo.ilog2().into(), hi.ilog2().into());
        let nanos = (1 << octave) + self.below(1 << octave);
        Duration::from_nanos(nanos.clamp(lo, hi))
    }

    /// So many milliseconds, both ends included.
    pub(crate) fn millis(&mut self, lo: u64, hi: u64) -> Duration {
        Duration::from_millis(self.between(lo, hi))
    }
}
