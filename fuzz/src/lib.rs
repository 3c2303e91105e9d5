//! The bodies of the fuzz targets: plain functions of bytes, which panic where a promise is broken.
//!
//! `cargo +nightly fuzz run --features libfuzzer answer` fuzzes one; `cargo test -p jobwatch-fuzz` replays the committed
//! corpus on stable.

use std::time::Duration;

use http::Response;
use http::header::{HeaderName, HeaderValue};
use jobwatch::{
    Action, Backend, Dialect, Fleet, FleetAction, Hint, JobSnapshot, LookError, Observation, Policy, Poller, Timestamp,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// An instant like any other.
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

/// More steps than any wait under the policies used here takes.
const MOST_STEPS: usize = 100_000;

/// An HTTP answer is read without a panic, and a failed request is never a failed job.
///
/// The bytes: a status in two, then header lines up to an empty one, then the body.
pub fn answer(data: &[u8]) {
    let Some((status, rest)) = data.split_at_checked(2) else { return };
    let status = 100 + u16::from_le_bytes([status[0], status[1]]) % 500;
    let (head, body) = split_head(rest);
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().expect("it lies within 100 to 599");
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    let reading = Dialect::tracker().read(&response, NOW);
    let tells_an_end =
        matches!(reading.observation, Observation::Succeeded | Observation::Failed | Observation::Cancelled);
    assert!(!tells_an_end || (200..300).contains(&status), "{status} was read as the job's end");
}

/// A dialect file is refused or well-formed: what it makes can read an answer.
pub fn dialect_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Dialect::from_toml(text) {
        Ok(dialect) => {
            let _ = dialect.read(&Response::new(br#"{"state":"done"}"#), NOW);
            assert!(!dialect.name().is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
}

/// A stored job is refused or can be waited for to an end, without a request to a foreign origin.
pub fn snapshot(data: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<JobSnapshot>(data) else { return };
    let backend = Backend::new(Dialect::tracker(), Some("http://own.test")).expect("it is a URL");
    let mut fleet = Fleet::new(backend.into(), Policy::default().into(), &mut ChaCha8Rng::seed_from_u64(0));
    if fleet.resume(snapshot, NOW).is_err() {
        return;
    }
    let mut now = NOW;
    for _ in 0..MOST_STEPS {
        match fleet.poll(now) {
            FleetAction::Idle | FleetAction::Renew => return,
            FleetAction::Sleep { until } => now = until.max(now),
            FleetAction::Send { id, request, .. } => {
                assert_eq!(request.uri().host(), Some("own.test"), "credentials would travel");
                fleet.handle_response(now, id, &Response::new(br#"{"result":"pending"}"#));
            }
        }
    }
    panic!("the wait does not end");
}

/// Whatever comes, a wait ends, looks keep their distance, and their number keeps its bound.
///
/// The bytes: eight for the seed, then two for each event.
pub fn poller(data: &[u8]) {
    let Some((seed, events)) = data.split_at_checked(8) else { return };
    let seed = u64::from_le_bytes(seed.try_into().expect("these are eight bytes"));
    let policy = Policy::builder().with_total_timeout(Duration::from_secs(600)).build().expect("it is valid");
    let bounds = policy.bounds();
    let mut poller = Poller::new(policy, NOW, &mut ChaCha8Rng::seed_from_u64(seed));
    let mut now = NOW;
    let mut looks = 0;
    let mut last_answer: Option<Timestamp> = None;
    let deadline = NOW.saturating_add(Duration::from_secs(600));
    let mut events = events.chunks_exact(2);
    for _ in 0..MOST_STEPS {
        let (kind, argument) = events.next().map_or((0, 0), |event| (event[0], event[1]));
        match kind % 16 {
            14 => drop(poller.wake(now)),
            15 => now = now.saturating_add(Duration::from_secs(u64::from(argument))),
            _ => {}
        }
        let attempt = match poller.poll(now) {
            Action::Done(_) | Action::TimedOut(_) => {
                assert!(Some(looks) <= bounds.max_looks, "{looks} looks");
                return;
            }
            Action::Sleep { until, .. } => {
                now = now.max(until);
                continue;
            }
            Action::Send(attempt) => attempt,
        };
        looks += 1;
        if let Some(last) = last_answer.filter(|_| now < deadline) {
            assert!(now.saturating_since(last) >= bounds.min_gap, "a look came too soon");
        }
        let observation = observation(kind, argument);
        last_answer = Some(now);
        let _ = poller.handle_observation(now, attempt.id, observation).expect("it is in flight");
    }
    panic!("the wait does not end");
}

fn observation(kind: u8, argument: u8) -> Observation {
    let hint = (argument > 127).then(|| Hint::after(Duration::from_secs(u64::from(argument).pow(2))));
    let error = LookError::Status(500);
    match kind % 8 {
        0 => Observation::Pending { hint },
        1 => Observation::Running { hint },
        2 => Observation::Transient { error, hint },
        3 => Observation::Throttled { error, hint },
        4 => Observation::Lost { definite: argument == 255 },
        5 if argument == 255 => Observation::Succeeded,
        6 if argument == 255 => Observation::Fatal { error },
        _ => Observation::Running { hint: None },
    }
}

/// The head up to an empty line, and the body.
fn split_head(data: &[u8]) -> (&[u8], &[u8]) {
    match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[]),
    }
}
