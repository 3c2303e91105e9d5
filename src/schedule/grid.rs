//! A grid of ages that grows with them: equal steps within each doubling, so that no logarithm is needed to find one's
//! place.

/// The unit of the grid is 2^20 ns, about a millisecond.
pub(crate) const UNIT_BITS: u32 = 20;

/// A unit in seconds.
#[cfg(feature = "alloc")]
pub(crate) const UNIT: f64 = 1_048_576e-9;

/// The greatest age on the grid, 2^31 units: 26 days.
pub(crate) const LAST: u64 = 1 << 31;

/// The place of an age, with `2^bits` steps to a doubling; ages beyond [`LAST`] count as that.
#[allow(clippy::cast_possible_truncation)] // at most 2^31
pub(crate) const fn index(units: u64, bits: u32) -> usize {
    let units = if units > LAST { LAST } else { units };
    if units < 1 << bits {
        return units as usize;
    }
    let doubling = units.ilog2() - bits;
    ((doubling as usize) << bits) + (units >> doubling) as usize
}

/// The age at a place: where the step begins.
pub(crate) const fn begin(index: usize, bits: u32) -> u64 {
    if index < 1 << (bits + 1) {
        return index as u64;
    }
    let doubling = (index >> bits) - 1;
    ((index - (doubling << bits)) as u64) << doubling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_ages_agree() {
        for bits in [0, 3, 5, 6] {
            for place in 0..=index(LAST, bits) {
                let at = begin(place, bits);
                assert_eq!(index(at, bits), place);
                assert!(place == 0 || index(at - 1, bits) == place - 1);
            }
            assert_eq!(begin(index(LAST, bits), bits), LAST);
            assert_eq!(index(u64::MAX, bits), index(LAST, bits));
        }
    }
}
