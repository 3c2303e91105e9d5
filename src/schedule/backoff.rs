//! The ceiling of an exponential backoff.

/// `min(max, min · factor^n)` in nanoseconds, for any `n`, without overflow.
///
/// The power is taken by squaring in IEEE 754 doubles, whose products are the same on every machine; what exceeds `max`,
/// infinity included, is `max` before anything is converted to an integer.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn ceiling(min: u64, max: u64, factor: f64, n: u32) -> u64 {
    let mut power = 1.0_f64;
    let (mut base, mut exponent) = (factor, n);
    while exponent > 0 {
        // Every further factor is at least 1, and one of them is at least this base.
        if min as f64 * base >= max as f64 {
            return max;
        }
        if exponent & 1 == 1 {
            power *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    let ceiling = min as f64 * power;
    // A NaN (zero times infinity, impossible under a valid policy) falls to `max` too.
    if ceiling < max as f64 { (ceiling as u64).clamp(min.min(max), max) } else { max }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn doubles_until_the_cap() {
        let got = [0, 1, 2, 3, 4, 5].map(|n| ceiling(SECOND, 10 * SECOND, 2.0, n) / SECOND);
        assert_eq!(got, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn mistake_06_the_power_never_overflows() {
        for n in [31, 32, 33, 63, 64, 65, 1023, 1024, u32::MAX - 1, u32::MAX] {
            for factor in [2.0, 1e300, f64::MAX] {
                assert_eq!(ceiling(SECOND, 30 * SECOND, factor, n), 30 * SECOND, "{factor}^{n}");
            }
        }
        assert_eq!(ceiling(SECOND, u64::MAX, 2.0, u32::MAX), u64::MAX);
        assert_eq!(ceiling(u64::MAX, u64::MAX, 1.0, 0), u64::MAX);
        assert_eq!(ceiling(SECOND, 30 * SECOND, 1.0, u32::MAX), SECOND, "a factor of one is constant");
        assert_eq!(ceiling(SECOND, SECOND + 1, 1.0, u32::MAX), SECOND, "however close the cap is");
    }

    #[test]
    fn mistake_10_and_11_small_delays_keep_their_nanoseconds() {
        assert_eq!(ceiling(200_000_000, SECOND, 1.0, 9), 200_000_000);
        assert_eq!(ceiling(1_000_001, SECOND, 1.5, 1), 1_500_001);
    }
}
