//! One duration as text: exact to the nanosecond, without floating point.

use std::time::Duration;

use super::LONGEST;

/// Reads `90`, `1.5`, `500ms`, `30s`, `5m`, `2h`, `3650d` or `1h30m`. The error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "is not a time such as 90, 1.5, 500ms, 30s, 5m or 1h30m";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty where a time is needed");
    }
    let mut total: u128 = 0;
    let mut first = true;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let end = tail.find(is_number).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "" if first => 1_000_000_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(FORM),
        };
        total = total.saturating_add(amount(number, scale).ok_or(FORM)?);
        rest = tail;
        first = false;
    }
    if total == 0 {
        return Err("is not above zero");
    }
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    in_range(Duration::from_nanos(total))
}

/// What every duration must satisfy, however it came in.
pub(super) fn in_range(duration: Duration) -> Result<Duration, &'static str> {
    if duration.is_zero() {
        return Err("is not above zero");
    }
    if duration > LONGEST {
        return Err("is longer than 3650d");
    }
    Ok(duration)
}

fn is_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// A decimal number in units of `scale` nanoseconds; what is finer than a nanosecond is dropped.
fn amount(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut total = digits(whole)?.saturating_mul(scale);
    let mut place = scale;
    for digit in fraction.chars() {
        place /= 10;
        total = total.saturating_add(u128::from(digit.to_digit(10)?) * place);
    }
    Some(total)
}

fn digits(text: &str) -> Option<u128> {
    text.chars().try_fold(0_u128, |sum, c| {
        let digit = u128::from(c.to_digit(10)?);
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

/// Seconds with as many decimals as it takes; [`parse`] reads back the same duration.
pub(super) fn text(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos == 0 {
        return seconds.to_string();
    }
    format!("{seconds}.{nanos:09}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_sums() {
        for (given, ms) in [
            ("20", 20_000),
            ("1.5", 1_500),
            (".5", 500),
            ("500ms", 500),
            ("0.5m", 30_000),
            ("1h30m", 5_400_000),
            ("1m0.25s", 60_250),
            (" 2d ", 172_800_000),
        ] {
            assert_eq!(parse(given), Ok(Duration::from_millis(ms)), "{given}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for bad in [
            "",
            " ",
            ".",
            "x",
            "1x",
            "-1",
            "1e3",
            "1.2.3",
            "NaN",
            "inf",
            "1h30",
            "0",
            "0s",
            "1 s",
            "3651d",
            "99999999999999999999999999999999999999999999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_reads_back_exactly() {
        for ns in [1, 999, 1_000_000_000, 1_500_000_000, 315_359_999_999_999_999] {
            let duration = Duration::from_nanos(ns);
            assert_eq!(parse(&text(duration)), Ok(duration));
        }
    }
}
