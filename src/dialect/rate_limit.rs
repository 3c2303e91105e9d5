//! What remains of a backend's quotas, and when they are full again, as its headers tell it.

use core::time::Duration;
use std::vec::Vec;

use http::{HeaderMap, HeaderName};

use super::hints::{Decimal, NANOS_PER_MILLI, NANOS_PER_SEC, age, first, until};
use super::names::Names;
use crate::Timestamp;

/// Whether `x-ratelimit-remaining: 0`, or another of its family, says that nothing remains.
///
/// This is what makes a 403 a throttle and not a refusal.
pub(super) fn nothing_remains(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let known = FAMILIES.iter().any(|(remaining, _)| suffix(name, remaining).is_some());
        known && is_zero(headers, name.as_str())
    })
}

/// How long the `RateLimit` structured field says that nothing is left: the largest `t` among its items with `r=0`.
///
/// A malformed field says nothing, and neither does one that a cache kept (`Age` above zero).
pub(crate) fn exhausted_for(headers: &HeaderMap) -> Option<Duration> {
    if !Names::of(headers).may_have(&RATE_LIMIT) {
        return None;
    }
    let quotas = rate_limit(headers)?;
    let exhausted = quotas.iter().filter(|quota| quota.remaining == 0);
    exhausted.filter_map(|quota| quota.window).max().map(Duration::from_secs)
}

/// How long the `x-ratelimit-reset*` family says that a quota stays exhausted, where nothing remains of it.
pub(super) fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let exhausted = |name: &HeaderName| {
        FAMILIES.iter().any(|(remaining, reset)| {
            let Some(suffix) = suffix(name, reset) else {
                return false;
            };
            // Discord tells one quota's reset twice: as `-reset`, an epoch, and as `-reset-after`.
            let quota = suffix.strip_suffix("-after").unwrap_or(suffix);
            is_zero(headers, &std::format!("{remaining}{quota}"))
        })
    };
    let delay = |text: &str| {
        let Some(number) = Decimal::parse(text) else {
            return go_duration(text);
        };
        let epoch = |unit| until(headers, Timestamp::UNIX_EPOCH.saturating_add(number.times(unit)), now);
        Some(match number.whole {
            EPOCH_MILLIS.. => epoch(NANOS_PER_MILLI),
            EPOCH_SECONDS.. => epoch(NANOS_PER_SEC),
            _ => number.times(NANOS_PER_SEC),
        })
    };
    let names = headers.keys().filter(|name| exhausted(name));
    names.filter_map(|name| first(headers, name.as_str(), delay)).max()
}

/// Looked for in every answer.
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What remains of a quota, and when it is full again: prefixes, since what follows (`-requests`,
/// `-tokens`) tells the quotas of one answer apart.
const FAMILIES: [(&str, &str); 3] = [
    // GitHub, OpenAI, Discord and most others.
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    // X (Twitter).
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    // draft-ietf-httpapi-ratelimit-headers up to revision 06.
    ("ratelimit-remaining", "ratelimit-reset"),
];

/// From here a reset is an epoch in seconds: as a delay it would be 31 years.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// From here a reset is an epoch in milliseconds: in seconds it would be the year 33658.
const EPOCH_MILLIS: u64 = 1_000_000_000_000;
/// The units of a Go duration in nanoseconds; what is a prefix of another comes after it.
const GO_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", NANOS_PER_MILLI),
    ("s", NANOS_PER_SEC),
    ("m", 60 * NANOS_PER_SEC),
    ("h", 3_600 * NANOS_PER_SEC),
];

fn suffix<'a>(name: &'a HeaderName, prefix: &str) -> Option<&'a str> {
    let suffix = name.as_str().strip_prefix(prefix)?;
    (suffix.is_empty() || suffix.starts_with('-')).then_some(suffix)
}

fn is_zero(headers: &HeaderMap, name: &str) -> bool {
    first(headers, name, Decimal::parse).is_some_and(|number| number == Decimal::default())
}

/// `1h2m3.5s`, `6m0s`, `250ms`: what Go's `Duration.String` writes, without a sign.
fn go_duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text.trim_ascii());
    loop {
        let (number, after) = Decimal::leading(rest)?;
        let strip = |&(unit, nanos): &(&str, u64)| Some((after.strip_prefix(unit)?, nanos));
        let (after, nanos) = GO_UNITS.iter().find_map(strip)?;
        total = total.saturating_add(number.times(nanos));
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
}

/// An item of the `RateLimit` field.
struct Quota {
    remaining: u64,
    window: Option<u64>,
}

/// The items of all `RateLimit` lines, unless one is malformed (then the whole field is to be ignored) or
/// the answer was kept by a cache.
fn rate_limit(headers: &HeaderMap) -> Option<Vec<Quota>> {
    if age(headers) > Duration::ZERO {
        return None;
    }
    let is_blank = |c| c == b' ' || c == b'\t';
    let mut quotas = Vec::new();
    for line in headers.get_all(&RATE_LIMIT) {
        let mut list = List(line.as_bytes().trim_ascii());
        while !list.0.is_empty() {
            quotas.push(list.quota()?);
            list.take_while(is_blank);
            if list.eat(b',').is_some() {
                list.take_while(is_blank);
                // A comma promises another item.
                list.0.first()?;
            } else if !list.0.is_empty() {
                return None;
            }
        }
    }
    Some(quotas)
}

/// What is left of a structured list (RFC 9651 §4.2.1), as far as `RateLimit` has use for it: without inner
/// lists and display strings, and without a limit to the digits of a parameter that nobody reads.
struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// `"name";r=0;t=30`. The draft requires `r`; parameters unknown to us are comments, and of a repeated
    /// one the last counts.
    fn quota(&mut self) -> Option<Quota> {
        self.bare_item()?;
        let (mut remaining, mut window) = (None, None);
        while self.eat(b';').is_some() {
            self.take_while(|c| c == b' ');
            let key = self.take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-.*".contains(&c));
            key.first().filter(|c| c.is_ascii_lowercase() || **c == b'*')?;
            // A parameter without a value is a true one.
            let value = if self.eat(b'=').is_some() { self.bare_item()? } else { b"?1" };
            match key {
                b"r" => remaining = Some(count(value)?),
                b"t" => window = Some(count(value)?),
                _ => {}
            }
        }
        Some(Quota { remaining: remaining?, window })
    }

    /// One value as it is written, quotes included.
    fn bare_item(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        match self.next()? {
            b'"' => loop {
                match self.next()? {
                    b'"' => break,
                    b'\\' => {
                        self.next().filter(|c| b"\"\\".contains(c))?;
                    }
                    b' '..=b'~' => {}
                    _ => return None,
                }
            },
            b'-' | b'@' | b'0'..=b'9' => {
                self.take_while(|c| c.is_ascii_digit() || c == b'.');
            }
            b'?' => {
                self.next().filter(|c| b"01".contains(c))?;
            }
            b':' => {
                self.take_while(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c));
                self.eat(b':')?;
            }
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.take_while(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&c));
            }
            _ => return None,
        }
        before.get(..before.len().saturating_sub(self.0.len()))
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&c| !accept(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}

/// A whole number that is not negative; RFC 9651 §3.3.1 allows 15 digits.
fn count(item: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(item).ok().filter(|digits| digits.len() <= 15)?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::hints::tests::parse;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_remains() {
        let rows: &[(&[&str], bool, bool)] = &[
            (&["x-ratelimit-remaining: 0"], true, false),
            (&["x-ratelimit-remaining: 1"], false, false),
            (&["x-ratelimit-remaining: -1"], false, false),
            (&["x-ratelimit-remaining: "], false, false),
            (&["x-ratelimit-remaining-tokens: 0"], true, false),
            (&["x-ratelimit-remainings: 0"], false, false),
            (&["RateLimit: a;r=0;t=1"], false, true),
            (&["RateLimit: a;r=1;t=1"], false, false),
            (&["RateLimit: a;r=0"], false, false),
            (&["RateLimit: a;r=0;t=1", "Age: 5"], false, false),
            (&["RateLimit: a;r=0;t=1;"], false, false),
            (&["RateLimit: a;*q_1-a.b=7;r=0;t=000000000000001"], false, true),
            (&["RateLimit: a;1q=7;r=0;t=1"], false, false),
            (&["RateLimit: a;r=0;t=0000000000000001"], false, false),
        ];
        for (lines, remaining, structured) in rows {
            let headers = parse(lines);
            assert_eq!(nothing_remains(&headers), *remaining, "{lines:?}");
            assert_eq!(exhausted_for(&headers).is_some(), *structured, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn no_go_duration_panics(text: std::string::String) {
            go_duration(&text);
        }
    }
}
