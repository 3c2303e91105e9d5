//! Instants as backends write them: RFC 3339, an HTTP date, or Unix seconds or milliseconds.

use core::time::Duration;

use serde_json::Value;

use super::hints::{HintUnit, parse_delay, parse_http_date};
use crate::Timestamp;

/// Unix seconds reach this in the year 33658: what is greater counts milliseconds.
const FIRST_MILLISECONDS: u64 = 1_000_000_000_000;

/// The instant that a value tells; `None` of what is none, or before 1970. Zero is how some write that there is none.
pub(super) fn parse_instant(value: &Value) -> Option<Timestamp> {
    let instant = match value {
        Value::String(text) => parse_text(text.trim()),
        Value::Number(number) => {
            number.as_u64().map_or_else(|| parse_number(&number.to_string()), |whole| Some(of(whole)))
        }
        _ => None,
    };
    instant.filter(|instant| *instant > Timestamp::UNIX_EPOCH)
}

fn parse_text(text: &str) -> Option<Timestamp> {
    parse_number(text).or_else(|| parse_http_date(text)).or_else(|| {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Timestamp::from_nanos(u64::try_from(instant.as_nanosecond()).ok()?))
    })
}

/// As most backends write them.
fn of(whole: u64) -> Timestamp {
    let is_milliseconds = whole >= FIRST_MILLISECONDS;
    let since = if is_milliseconds { Duration::from_millis(whole) } else { Duration::from_secs(whole) };
    Timestamp::UNIX_EPOCH.saturating_add(since)
}

#[allow(clippy::cast_precision_loss)] // of a number that is exact
fn parse_number(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok()?;
    let unit = if number >= FIRST_MILLISECONDS as f64 { HintUnit::Milliseconds } else { HintUnit::Seconds };
    Some(Timestamp::UNIX_EPOCH.saturating_add(parse_delay(text, unit)?))
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn instants_are_read_in_every_form() {
        let then = Timestamp::from_secs(1_700_000_000);
        for value in [
            json!(1_700_000_000),
            json!(1_700_000_000_000_u64),
            json!("1700000000"),
            json!("2023-11-14T22:13:20Z"),
            json!("2023-11-15T00:13:20+02:00"),
            json!("2023-11-14T22:13:20.000000Z"),
            json!("Tue, 14 Nov 2023 22:13:20 GMT"),
        ] {
            assert_eq!(parse_instant(&value), Some(then), "{value}");
        }
        assert_eq!(parse_instant(&json!(1_700_000_000.25)), Some(Timestamp::from_nanos(1_700_000_000_250_000_000)));
        assert_eq!(
            parse_instant(&json!("1700000000.000000001")),
            Some(Timestamp::from_nanos(1_700_000_000_000_000_001))
        );
    }

    proptest! {
        /// A whole number tells the same instant as its digits.
        #[test]
        fn numbers_are_read_as_their_text_is(number in prop_oneof![any::<u64>(), 999_999_999_990..1_000_000_000_010_u64, 0..9_u64]) {
            prop_assert_eq!(parse_instant(&json!(number)), parse_instant(&json!(number.to_string())));
        }
    }

    #[test]
    fn what_is_no_instant() {
        for value in
            [json!(0), json!(-1), json!("soon"), json!(""), json!(true), json!({}), json!("1969-12-31T23:59:59Z")]
        {
            assert_eq!(parse_instant(&value), None, "{value}");
        }
    }
}
