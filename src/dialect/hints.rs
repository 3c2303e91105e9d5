//! Hints: when the server wants to be asked again.
//!
//! A server says it in many ways. They are ranked, the most binding first; what is absent or unreadable at
//! one rank falls through to the next, so garbage never hides a good hint further down:
//!
//! | rank | where | read as |
//! |---|---|---|
//! | 1 | the dialect's own header | seconds or milliseconds, as the dialect says |
//! | 2 | `retry-after-ms`, `x-ms-retry-after-ms` | milliseconds |
//! | 3 | `Retry-After` (RFC 9110 §10.2.3) | seconds, or one of the three HTTP dates |
//! | 4 | the dialect's body field | a duration already |
//! | 5 | `RateLimit` (draft-ietf-httpapi-ratelimit-headers) | the largest `t` among items with `r=0` |
//! | 6 | `x-ratelimit-reset*` and its spellings, where nothing remains | epoch, seconds or a Go duration |
//!
//! Numbers saturate and nothing is clamped here: what is too long to be believed is the caller's to discard.

use core::time::Duration;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName};

use super::rate_limit::{exhausted_for, reset};
use crate::{Hint, Timestamp};

/// Where a hint was found, the most binding first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HintSource {
    /// A header that only this dialect has, such as `openai-poll-after-ms`.
    DialectHeader,
    /// `retry-after-ms` or `x-ms-retry-after-ms`.
    RetryAfterMs,
    /// `Retry-After`, as seconds or as a date.
    RetryAfter,
    /// The field of the body that the dialect names.
    Body,
    /// The `RateLimit` structured field, which says that nothing remains.
    RateLimit,
    /// `x-ratelimit-reset`, or another of its family, where nothing remains.
    RateLimitReset,
}

/// A dialect's own header that carries a delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HintHeader {
    /// The header's name.
    pub(crate) name: HeaderName,
    /// What its number counts.
    pub(crate) unit: HintUnit,
}

/// What the number of a [`HintHeader`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HintUnit {
    /// Thousandths of a second.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// The server's word on when to ask again, read from an answer's headers, with the body's field where the
/// dialect names one.
///
/// Of repeated headers the first readable one counts; `RateLimit` lines are one list. A date or an epoch
/// in the past is a delay of zero.
///
/// A delay from a date or an epoch is counted from the server's own clock, since that is the clock which
/// set it: from the answer's `Date`, plus its `Age` if a cache held it (RFC 9111 §4.2.3). `now` serves only
/// where `Date` is absent or unreadable.
pub(crate) fn read_hint(
    headers: &HeaderMap,
    own: Option<&HintHeader>,
    body: Option<Duration>,
    now: Timestamp,
) -> Option<(Hint, HintSource)> {
    if body.is_none() && !headers.keys().any(|name| may_hint(name, own)) {
        return None;
    }
    let answer = Answer { headers, own, body, now };
    RANKS.iter().find_map(|&source| Some((Hint::after(answer.delay(source)?), source)))
}

/// Whether a header of this name may say when to ask again. Most answers have none, and are looked through but once.
fn may_hint(name: &HeaderName, own: Option<&HintHeader>) -> bool {
    const BEGINNINGS: [&str; 5] = ["retry-after", "ratelimit", "x-ms-retry-after", "x-ratelimit", "x-rate-limit"];
    let text = name.as_str();
    let may = text.starts_with(['r', 'x']) && BEGINNINGS.iter().any(|start| text.starts_with(start));
    may || own.is_some_and(|own| own.name == *name)
}

/// A delay as the wire writes it: ASCII digits, perhaps with a decimal fraction, whitespace around them.
///
/// Exact to the nanosecond; further digits are dropped, and a number too large saturates. A sign, an
/// exponent, `NaN`, an infinity or a unit make it `None`.
pub(crate) fn parse_delay(text: &str, unit: HintUnit) -> Option<Duration> {
    let nanos = match unit {
        HintUnit::Milliseconds => NANOS_PER_MILLI,
        HintUnit::Seconds => NANOS_PER_SEC,
    };
    Some(Decimal::parse(text)?.times(nanos))
}

/// An HTTP date in any of the three forms of RFC 9110 §5.6.7: IMF-fixdate, RFC 850 and asctime.
///
/// `None` for other forms (ISO 8601 among them), for a date that does not exist or has another weekday,
/// and before 1970. A date past the last [`Timestamp`] saturates.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::UNIX_EPOCH.saturating_add(since_epoch))
}

/// The precedence.
const RANKS: [HintSource; 6] = [
    HintSource::DialectHeader,
    HintSource::RetryAfterMs,
    HintSource::RetryAfter,
    HintSource::Body,
    HintSource::RateLimit,
    HintSource::RateLimitReset,
];

pub(super) const NANOS_PER_MILLI: u64 = 1_000_000;
pub(super) const NANOS_PER_SEC: u64 = 1_000_000_000;

struct Answer<'a> {
    headers: &'a HeaderMap,
    own: Option<&'a HintHeader>,
    body: Option<Duration>,
    now: Timestamp,
}

impl Answer<'_> {
    fn delay(&self, source: HintSource) -> Option<Duration> {
        match source {
            HintSource::DialectHeader => self.dialect_header(),
            HintSource::RetryAfterMs => self.retry_after_ms(),
            HintSource::RetryAfter => self.retry_after(),
            HintSource::Body => self.body,
            HintSource::RateLimit => exhausted_for(self.headers),
            HintSource::RateLimitReset => reset(self.headers, self.now),
        }
    }

    fn dialect_header(&self) -> Option<Duration> {
        let own = self.own?;
        first(self.headers, own.name.as_str(), |text| parse_delay(text, own.unit))
    }

    fn retry_after_ms(&self) -> Option<Duration> {
        let read = |name| first(self.headers, name, |text| parse_delay(text, HintUnit::Milliseconds));
        read("retry-after-ms").or_else(|| read("x-ms-retry-after-ms"))
    }

    fn retry_after(&self) -> Option<Duration> {
        first(self.headers, "retry-after", |text| {
            parse_delay(text, HintUnit::Seconds).or_else(|| Some(until(self.headers, parse_http_date(text)?, self.now)))
        })
    }
}

/// How long it is until an instant of the server's clock.
pub(super) fn until(headers: &HeaderMap, then: Timestamp, now: Timestamp) -> Duration {
    let date = first(headers, "date", parse_http_date);
    let server_now = date.map_or(now, |date| date.saturating_add(age(headers)));
    then.saturating_since(server_now)
}

/// The first of a header's values that can be read.
pub(super) fn first<T>(headers: &HeaderMap, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let values = headers.get_all(name).into_iter();
    // Not `to_str`, which refuses the micro sign of a Go duration.
    values.filter_map(|value| str::from_utf8(value.as_bytes()).ok()).find_map(read)
}

pub(super) fn age(headers: &HeaderMap) -> Duration {
    first(headers, "age", |text| parse_delay(text, HintUnit::Seconds)).unwrap_or_default()
}

/// A number of the wire, without a float's rounding.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) whole: u64,
    pub(super) billionths: u64,
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, rest) = Self::leading(text.trim_ascii())?;
        rest.is_empty().then_some(number)
    }

    /// The number at the start of a text, and what follows it.
    pub(super) fn leading(text: &str) -> Option<(Self, &str)> {
        let (digits, mut rest) = split_digits(text)?;
        let append = |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        let whole = digits.bytes().fold(0, append);
        let mut billionths = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let (digits, after) = split_digits(fraction)?;
            let nine = digits.bytes().chain(core::iter::repeat(b'0')).take(9);
            (billionths, rest) = (nine.fold(0, append), after);
        }
        Some((Self { whole, billionths }, rest))
    }

    /// So many units of so many nanoseconds each.
    pub(super) fn times(self, unit: u64) -> Duration {
        let (unit, second) = (u128::from(unit), u128::from(NANOS_PER_SEC));
        let nanos = u128::from(self.whole) * unit + u128::from(self.billionths) * unit / second;
        match (u64::try_from(nanos / second), u32::try_from(nanos % second)) {
            (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
            _ => Duration::MAX,
        }
    }
}

fn split_digits(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::rate_limit::nothing_remains;
    use super::HintSource::*;
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    /// Tue, 14 Nov 2023 22:13:20 GMT.
    const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000 * NANOS_PER_SEC);

    /// `Name: value` lines, as on the wire.
    pub(in super::super) fn parse(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    type Row = (&'static str, &'static [&'static str], Option<(Duration, HintSource)>);

    #[rustfmt::skip]
    const WIRE: &[Row] = &[
        ("no headers at all", &[], None),
        // Retry-After: numbers.
        ("RFC 9110 §10.2.3, delay-seconds", &["Retry-After: 120"], Some((secs(120), RetryAfter))),
        ("zero is a hint too", &["Retry-After: 0"], Some((secs(0), RetryAfter))),
        ("seen: whitespace", &["Retry-After:   5 \t"], Some((secs(5), RetryAfter))),
        ("seen: a fraction", &["Retry-After: 120.5"], Some((millis(120_500), RetryAfter))),
        ("digits past the nanosecond", &["Retry-After: 0.1234567899"], Some((Duration::from_nanos(123_456_789), RetryAfter))),
        ("seen: 317 years", &["Retry-After: 9999999999"], Some((secs(9_999_999_999), RetryAfter))),
        ("saturates", &["Retry-After: 99999999999999999999999999"], Some((secs(u64::MAX), RetryAfter))),
        ("seen: negative, panicking a client", &["Retry-After: -1"], None),
        ("a sign is not a digit", &["Retry-After: +5"], None),
        ("seen: an exponent", &["Retry-After: 1e3"], None),
        ("not a number", &["Retry-After: NaN"], None),
        ("infinity", &["Retry-After: inf"], None),
        ("empty", &["Retry-After: "], None),
        ("half a fraction", &["Retry-After: 5."], None),
        ("the other half", &["Retry-After: .5"], None),
        ("a unit", &["Retry-After: 30s"], None),
        ("digits of another script", &["Retry-After: ٣"], None),
        ("a list", &["Retry-After: 5, 6"], None),
        // Retry-After: dates.
        ("RFC 9110 §5.6.7, IMF-fixdate", &["Retry-After: Tue, 14 Nov 2023 22:14:20 GMT"], Some((secs(60), RetryAfter))),
        ("RFC 9110 §5.6.7, RFC 850", &["Retry-After: Tuesday, 14-Nov-23 22:14:20 GMT"], Some((secs(60), RetryAfter))),
        ("RFC 9110 §5.6.7, asctime", &["Retry-After: Tue Nov 14 22:14:20 2023"], Some((secs(60), RetryAfter))),
        ("the past is zero", &["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"], Some((secs(0), RetryAfter))),
        ("before the epoch", &["Retry-After: Wed, 31 Dec 1969 23:59:59 GMT"], None),
        ("past the last Timestamp", &["Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"],
            Some((Duration::from_nanos(u64::MAX - NOW.as_nanos()), RetryAfter))),
        ("seen: ISO 8601", &["Retry-After: 2023-11-14T22:14:20Z"], None),
        ("the server's clock is a day off", &["Date: Wed, 15 Nov 2023 22:13:20 GMT", "Retry-After: Wed, 15 Nov 2023 22:13:50 GMT"], Some((secs(30), RetryAfter))),
        ("an unreadable Date", &["Date: yesterday", "Retry-After: Tue, 14 Nov 2023 22:14:20 GMT"], Some((secs(60), RetryAfter))),
        ("RFC 9111 §4.2.3, kept by a cache", &["Date: Tue, 14 Nov 2023 22:12:20 GMT", "Age: 60", "Retry-After: Tue, 14 Nov 2023 22:14:20 GMT"], Some((secs(60), RetryAfter))),
        // Milliseconds, repetition, precedence.
        ("Azure OpenAI", &["Retry-After: 2", "Retry-After-Ms: 1350"], Some((millis(1_350), RetryAfterMs))),
        ("Cosmos DB", &["x-ms-retry-after-ms: 20.5"], Some((Duration::from_micros(20_500), RetryAfterMs))),
        ("garbage falls through to the next name", &["retry-after-ms: soon", "x-ms-retry-after-ms: 7"], Some((millis(7), RetryAfterMs))),
        ("garbage falls through to the next rank", &["retry-after-ms: -5", "Retry-After: 3"], Some((secs(3), RetryAfter))),
        ("repeated: the first readable one", &["Retry-After: soon", "Retry-After: 4", "Retry-After: 9"], Some((secs(4), RetryAfter))),
        ("Retry-After before RateLimit", &["RateLimit: \"a\";r=0;t=30", "Retry-After: 1"], Some((secs(1), RetryAfter))),
        ("RateLimit before its elders", &["RateLimit: \"a\";r=0;t=30", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 50"], Some((secs(30), RateLimit))),
        // RateLimit.
        ("draft, one policy", &["RateLimit: \"default\";r=0;t=30"], Some((secs(30), RateLimit))),
        ("something remains", &["RateLimit: \"default\";r=1;t=30"], None),
        ("the largest of the exhausted", &["RateLimit: \"s\";r=0;t=5, \"h\";r=0;t=90 ,\t\"d\";r=7;t=900"], Some((secs(90), RateLimit))),
        ("RFC 9651 §4.2, lines join", &["RateLimit: \"s\";r=0;t=5", "RateLimit: \"h\";r=0;t=90"], Some((secs(90), RateLimit))),
        ("comments of every type", &["RateLimit: \"a\\\"b\";r=0; pk=:cHI=:;x=?1;y=tok/en;z=-1.5;w=@123;v;t=30"], Some((secs(30), RateLimit))),
        ("RFC 9651 §4.2.3.2, the last wins", &["RateLimit: a;r=9;r=0;t=3"], Some((secs(3), RateLimit))),
        ("no window", &["RateLimit: a;r=0"], None),
        ("no quota, which is required", &["RateLimit: a;t=3, b;r=0;t=9"], None),
        ("a negative window", &["RateLimit: a;r=0;t=-3"], None),
        ("a quota of another type", &["RateLimit: a;r=\"0\";t=3"], None),
        ("more than 15 digits", &["RateLimit: a;r=0;t=1234567890123456"], None),
        ("one bad item spoils the list", &["RateLimit: a;r=0;t=30, b;r=;t=1"], None),
        ("one bad line spoils the list", &["RateLimit: a;r=0;t=30", "RateLimit: \"b"], None),
        ("a comma at the end", &["RateLimit: a;r=0;t=30,"], None),
        ("revision 07, a dictionary", &["RateLimit: limit=9, remaining=0, reset=30"], None),
        ("kept by a cache", &["RateLimit: a;r=0;t=30", "Age: 1"], None),
        ("fresh from a cache", &["RateLimit: a;r=0;t=30", "Age: 0"], Some((secs(30), RateLimit))),
        // x-ratelimit-reset and its family.
        ("GitHub: epoch seconds", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 1700000060"], Some((secs(60), RateLimitReset))),
        ("epoch milliseconds", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 1700000060250"], Some((millis(60_250), RateLimitReset))),
        ("an epoch in the past", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 1600000000"], Some((secs(0), RateLimitReset))),
        ("an epoch, and the server's clock", &["Date: Tue, 14 Nov 2023 22:14:10 GMT", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 1700000060"], Some((secs(10), RateLimitReset))),
        ("delta seconds", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 30"], Some((secs(30), RateLimitReset))),
        ("something remains", &["x-ratelimit-remaining: 1", "x-ratelimit-reset: 30"], None),
        ("nobody says what remains", &["x-ratelimit-reset: 30"], None),
        ("ISO 8601", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 2023-11-14T22:14:20Z"], None),
        ("OpenAI: the exhausted pair", &["x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 6m0s", "x-ratelimit-remaining-tokens: 8", "x-ratelimit-reset-tokens: 9m"], Some((secs(360), RateLimitReset))),
        ("OpenAI: the larger pair", &["x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 250ms", "x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 1h2m3.5s"], Some((millis(3_723_500), RateLimitReset))),
        ("Azure OpenAI: unknown", &["x-ratelimit-remaining-tokens: -1", "x-ratelimit-reset-tokens: 0"], None),
        ("Discord", &["x-ratelimit-remaining: 0", "x-ratelimit-reset-after: 64.57"], Some((millis(64_570), RateLimitReset))),
        ("X", &["x-rate-limit-remaining: 0", "x-rate-limit-reset: 1700000900"], Some((secs(900), RateLimitReset))),
        ("draft, up to revision 06", &["RateLimit-Remaining: 0", "RateLimit-Reset: 7"], Some((secs(7), RateLimitReset))),
        ("micro sign", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 830µs"], Some((Duration::from_micros(830), RateLimitReset))),
        ("half a Go duration", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 6m0"], None),
        ("a Go duration that saturates", &["x-ratelimit-remaining: 0", "x-ratelimit-reset: 99999999999999999999h99999999999999999999h"], Some((Duration::MAX, RateLimitReset))),
        ("another header", &["x-ratelimit-remaining: 0", "x-ratelimit-resets: 5"], None),
    ];

    #[test]
    fn the_wire() {
        for (why, lines, expected) in WIRE {
            let read = read_hint(&parse(lines), None, None, NOW);
            let read = read.map(|(hint, source)| (hint.delay(), source));
            assert_eq!(read, *expected, "{why}: {lines:?}");
        }
    }

    #[test]
    fn the_dialects_own_header_comes_first_and_the_body_after_retry_after() {
        let name = HeaderName::from_static("openai-poll-after-ms");
        let own = HintHeader { name, unit: HintUnit::Milliseconds };
        let body = Some(secs(9));
        #[rustfmt::skip]
        let rows: &[(&[&str], Duration, HintSource)] = &[
            (&["openai-poll-after-ms: 500", "retry-after-ms: 1", "Retry-After: 2"], millis(500), DialectHeader),
            (&["openai-poll-after-ms: x", "retry-after-ms: 1", "Retry-After: 2"], millis(1), RetryAfterMs),
            (&["openai-poll-after-ms: x", "Retry-After: 2"], secs(2), RetryAfter),
            (&["Retry-After: x", "RateLimit: a;r=0;t=30"], secs(9), Body),
        ];
        for (lines, delay, source) in rows {
            let (hint, found) = read_hint(&parse(lines), Some(&own), body, NOW).unwrap();
            assert_eq!((hint.delay(), found), (*delay, *source), "{lines:?}");
        }
    }

    #[rustfmt::skip]
    const NAMES: [&str; 13] = [
        "openai-poll-after-ms", "retry-after-ms", "x-ms-retry-after-ms", "retry-after", "ratelimit", "age", "date",
        "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-reset-after", "x-rate-limit-reset",
        "ratelimit-remaining", "ratelimit-reset",
    ];

    /// Anything at all, and what nearly makes sense.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<Vec<u8>>(),
            "[0-9.]{0,40}(h|m|s|ms|us|µs|ns)?[0-9]{0,30}[hms]?".prop_map(Into::into),
            "(\"a\"|a|:YQ==:|[?]1|@1|-?[0-9.]{1,17})(;(r|t|[*a-z_]{1,2})=?([0-9]{1,17}|\"|a)?){0,4}[, ]{0,2}"
                .prop_map(Into::into),
            "(Tue|Tuesday),? [0-9]{2}[ -](Nov|Feb)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT| [0-9]{4})"
                .prop_map(Into::into),
            "0".prop_map(Into::into),
        ]
    }

    proptest! {
        #[test]
        fn no_headers_panic(lines in prop::collection::vec((0..NAMES.len(), value()), 0..12), now: u64) {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(NAMES[name], value);
                }
            }
            let own = HintHeader { name: HeaderName::from_static(NAMES[0]), unit: HintUnit::Seconds };
            read_hint(&headers, Some(&own), None, Timestamp::from_nanos(now));
            nothing_remains(&headers);
        }

        #[test]
        fn no_text_panics(text: std::string::String) {
            parse_delay(&text, HintUnit::Milliseconds);
            parse_delay(&text, HintUnit::Seconds);
            parse_http_date(&text);
        }

        #[test]
        fn numbers_are_exact(whole: u64, nanos in 0_u32..1_000_000_000) {
            let text = std::format!(" {whole}.{nanos:09}999");
            prop_assert_eq!(parse_delay(&text, HintUnit::Seconds), Some(Duration::new(whole, nanos)));
            let nanos = nanos / 1_000;
            let text = std::format!("{whole}.{nanos:06}9");
            let expected = Duration::from_millis(whole) + Duration::from_nanos(nanos.into());
            prop_assert_eq!(parse_delay(&text, HintUnit::Milliseconds), Some(expected));
        }

        #[test]
        fn every_date_reads_back(seconds in 0_u64..18_446_744_073) {
            let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + secs(seconds));
            prop_assert_eq!(parse_http_date(&text), Some(Timestamp::from_nanos(seconds * NANOS_PER_SEC)));
        }
    }
}
