//! Hints: a server's word on when to ask again, in every spelling.

use std::time::{Duration, SystemTime};

use arbitrary::{Result, Unstructured};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use jobwatch::{Action, Hint, HintSource, Observation, Policy, Poller, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::tracker;

/// The headers that speak of time.
const NAMES: [&str; 14] = [
    "retry-after",
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "ratelimit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "ratelimit-remaining",
    "ratelimit-reset",
    "date",
    "age",
];

/// A hint that was told plainly is read exactly, whatever stands below it; and no hint harms a wait.
pub fn hints(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(data: &mut Unstructured<'_>) -> Result<()> {
    let mut headers = HeaderMap::new();
    let plain = plain(data, &mut headers)?;
    for _ in 0..data.int_in_range(0..=6)? {
        let (name, value) = noise(data)?;
        let outranks = ["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "date", "age"].contains(&name);
        if let Ok(value) = HeaderValue::from_bytes(&value)
            && !(plain.is_some() && outranks)
        {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let mut answer = Response::new(br#"{"result":"pending"}"#.to_vec());
    *answer.headers_mut() = headers;
    *answer.status_mut() = http::StatusCode::from_u16(*data.choose(&[200, 202, 403, 429, 503])?).expect("a status");
    let now = Timestamp::from_nanos(data.arbitrary()?);
    let reading = tracker().read(&answer, now);
    let hint = hint_of(reading.observation);
    // What is refused for good is not asked again, whatever it says of the time: a 403 that tells of no limit.
    let refused = matches!(reading.observation, Observation::Fatal { .. });
    if let Some((source, after)) = plain {
        let told = if refused { None } else { Some(after) };
        assert_eq!((reading.hint_source, hint.map(Hint::delay)), (Some(source), told), "{:?}", answer.headers());
    }
    assert!(refused || reading.hint_source.is_some() == hint.is_some(), "{reading:?}");
    heed(now, hint);
    Ok(())
}

/// One header that everybody understands, and what it says.
fn plain(data: &mut Unstructured<'_>, headers: &mut HeaderMap) -> Result<Option<(HintSource, Duration)>> {
    let date = |time: SystemTime| HeaderValue::try_from(httpdate::fmt_http_date(time)).expect("a date is text");
    let seconds = u64::from(data.arbitrary::<u32>()?);
    Ok(match data.int_in_range(0..=5)? {
        0 => {
            headers.insert("retry-after", seconds.into());
            Some((HintSource::RetryAfter, Duration::from_secs(seconds)))
        }
        1 => {
            headers.insert("retry-after-ms", seconds.into());
            Some((HintSource::RetryAfterMs, Duration::from_millis(seconds)))
        }
        2 => {
            let text = format!("{seconds}.{:03}", seconds % 1_000);
            headers.insert("retry-after", text.parse().expect("a number is text"));
            Some((HintSource::RetryAfter, Duration::from_millis(seconds * 1_000 + seconds % 1_000)))
        }
        3 => {
            let (said, then) = (data.arbitrary::<u32>()?, seconds);
            let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            headers.insert("date", date(at(said.into())));
            headers.insert("retry-after", date(at(then)));
            Some((HintSource::RetryAfter, Duration::from_secs(then.saturating_sub(said.into()))))
        }
        _ => None,
    })
}

/// Anything at all, or what looks like a hint.
fn noise<'d>(data: &mut Unstructured<'d>) -> Result<(&'static str, Vec<u8>)> {
    let name = *data.choose(&NAMES)?;
    let value = match data.int_in_range(0..=4)? {
        0 => data.arbitrary::<&'d [u8]>()?.to_vec(),
        1 => data.arbitrary::<u64>()?.to_string().into_bytes(),
        2 => data.arbitrary::<f64>()?.to_string().into_bytes(),
        3 => format!("\"a\";r={};t={}", data.arbitrary::<i8>()?, data.arbitrary::<i64>()?).into_bytes(),
        _ => {
            format!("{}h{}m{}s", data.arbitrary::<u8>()?, data.arbitrary::<u8>()?, data.arbitrary::<u8>()?).into_bytes()
        }
    };
    Ok((name, value))
}

fn hint_of(observation: Observation) -> Option<Hint> {
    match observation {
        Observation::Pending { hint }
        | Observation::Running { hint }
        | Observation::Transient { hint, .. }
        | Observation::Throttled { hint, .. } => hint,
        _ => None,
    }
}

/// A wait that is told this hint looks again neither sooner, nor much later than the longest that it follows.
fn heed(now: Timestamp, hint: Option<Hint>) {
    let policy = Policy::default();
    let (min, longest, most) = (policy.min_delay(), policy.max_retry_after(), policy.bounds().max_gap);
    let deadline = now.saturating_add(policy.total_timeout().expect("the default has one"));
    let mut poller = Poller::new(policy, now, &mut ChaCha8Rng::seed_from_u64(0));
    let Action::Send(attempt) = poller.poll(now) else { panic!("the first look comes at once") };
    let next = poller.handle_observation(now, attempt.id, Observation::Running { hint }).expect("it is in flight");
    // At the end of time the deadline has come.
    if deadline == now {
        return assert!(matches!(next, Action::TimedOut(_)), "{next:?}");
    }
    let Action::Sleep { until, .. } = next else { panic!("{next:?}") };
    let asked = hint.map(Hint::delay).filter(|hint| *hint <= Duration::from_secs(86_400));
    let least = now.saturating_add(asked.unwrap_or(min).min(longest).max(min));
    assert!(until >= least.min(deadline), "looks again at {until}, told {hint:?} at {now}");
    assert!(until <= now.saturating_add(most.expect("the default has one")), "looks again at {until}");
}
