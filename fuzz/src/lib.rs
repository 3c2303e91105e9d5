//! The bodies of the fuzz targets: plain functions of bytes, which panic where a promise is broken.
//!
//! `cargo +nightly fuzz run --features libfuzzer --sanitizer none answer` fuzzes one (a sanitizer makes it slower
//! and has no unsafe code to watch here); `cargo test -p jobwatch-fuzz` replays the committed corpus on stable.

mod hints;
mod histories;
mod operations;
mod policies;

use std::sync::OnceLock;
use std::time::Duration;

pub use hints::hints;
pub use histories::history;
pub use operations::operations;
pub use policies::policy;

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use jobwatch::{
    Action, Backend, Cancel, CancelAction, Dialect, Finished, Fleet, FleetAction, Hint, JobRef, JobSnapshot, LookError,
    Observation, Policy, Poller, Reading, Status, Submit, SubmitAction, Timestamp, Watch, WatchAction,
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
    let Some(response) = response(data) else { return };
    let status = response.status();
    let reading = tracker().read(&response, NOW);
    assert!(!tells_an_end(&reading) || status.is_success(), "{status} was read as the job's end");
}

/// Every preset reads any answer, and lives with it as the answer to its requests.
///
/// The bytes are those of [`answer`].
pub fn presets(data: &[u8]) {
    static PRESETS: OnceLock<Vec<Dialect>> = OnceLock::new();
    let Some(response) = response(data) else { return };
    for dialect in PRESETS.get_or_init(|| Dialect::presets().filter_map(Dialect::preset).collect()) {
        let (name, status) = (dialect.name(), response.status().as_u16());
        let reading = dialect.read(&response, NOW);
        // 303 is an end where plain HTTP is spoken.
        assert!(!tells_an_end(&reading) || (200..300).contains(&status) || status == 303, "{name}: {status}");
        check(&reading);
        let stays_at_home = Dialect::preset_file(name).is_some_and(|file| !file.contains("allowed_origins"));
        live(dialect, stays_at_home, core::slice::from_ref(&response));
    }
}

/// A dialect file is refused, or what it makes lives with any answers: a wait, a create and a cancellation end.
///
/// The bytes: the file, then answers as those of [`answer`], each after a line of three equals signs.
pub fn dialect_life(data: &[u8]) {
    let mut parts = split(data, b"\n===\n").into_iter();
    let Some(Ok(text)) = parts.next().map(std::str::from_utf8) else { return };
    let Ok(dialect) = Dialect::from_toml(text) else { return };
    let responses: Vec<_> = parts.filter_map(response).collect();
    for response in &responses {
        check(&dialect.read(response, NOW));
    }
    if !responses.is_empty() {
        live(&dialect, !text.contains("allowed_origins"), &responses);
    }
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
    let backend = Backend::new(tracker().clone(), Some("http://own.test")).expect("it is a URL");
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

/// A create, a wait and a cancellation against a backend that answers with these in turn.
fn live(dialect: &Dialect, stays_at_home: bool, responses: &[Response<Vec<u8>>]) {
    let backend = Backend::new(dialect.clone(), Some("https://own.test/base")).expect("it is a URL");
    let policy = Policy::builder().with_total_timeout(Duration::from_secs(120)).build().expect("it is valid");
    let mut answers = responses.iter().cycle();
    let mut answer = |request: &Request<Vec<u8>>| {
        let is_home = request.uri().host() == Some("own.test") && request.uri().scheme_str() == Some("https");
        assert!(is_home || !stays_at_home, "credentials would travel to {}", request.uri());
        answers.next().expect("there is one at least")
    };
    let mut jobs = create(&backend, &policy, &mut answer);
    jobs.truncate(2);
    jobs.push(JobRef::new("a/b").expect("it is an id"));
    for job in jobs {
        let finished = wait(&backend, &policy, job, &mut answer);
        assert!(finished.failed_requests <= finished.requests, "{finished:?}");
        cancel(&backend, &policy, Status::of(finished), &mut answer);
    }
}

fn create<'r>(
    backend: &Backend,
    policy: &Policy,
    answer: &mut impl FnMut(&Request<Vec<u8>>) -> &'r Response<Vec<u8>>,
) -> Vec<JobRef> {
    let mut submit = Submit::new(backend, policy, b"{\"a\":1}".to_vec(), NOW, &mut ChaCha8Rng::seed_from_u64(0));
    let mut now = NOW;
    let (is_keyed, mut sent) = (submit.idempotency_key().is_some(), 0);
    for _ in 0..MOST_STEPS {
        match submit.poll(now) {
            SubmitAction::Created(jobs) => return jobs,
            SubmitAction::Failed(error) => return error.created,
            SubmitAction::Renew => panic!("nobody can renew"),
            SubmitAction::Sleep { until } => now = until,
            SubmitAction::Send { id, request, .. } => {
                sent += 1;
                assert!(is_keyed || sent == 1, "a create was repeated without a key");
                submit.handle_response(now, id, answer(&request));
            }
        }
    }
    panic!("the create does not end");
}

fn wait<'r>(
    backend: &Backend,
    policy: &Policy,
    job: JobRef,
    answer: &mut impl FnMut(&Request<Vec<u8>>) -> &'r Response<Vec<u8>>,
) -> Finished {
    let mut watch = Watch::new(backend, policy, job, NOW, &mut ChaCha8Rng::seed_from_u64(0));
    let mut now = NOW;
    for _ in 0..MOST_STEPS {
        match watch.poll(now) {
            WatchAction::Finished(finished) => return finished,
            WatchAction::Sleep { until, .. } => now = until,
            WatchAction::Send { id, request, .. } => watch.handle_response(now, id, answer(&request)),
        }
    }
    panic!("the wait does not end");
}

fn cancel<'r>(
    backend: &Backend,
    policy: &Policy,
    status: Status,
    answer: &mut impl FnMut(&Request<Vec<u8>>) -> &'r Response<Vec<u8>>,
) {
    let mut cancel = Cancel::new(backend, policy, status, NOW, &mut ChaCha8Rng::seed_from_u64(0));
    let mut now = NOW;
    for _ in 0..MOST_STEPS {
        match cancel.poll(now) {
            CancelAction::Done(_) | CancelAction::Renew => return,
            CancelAction::Sleep { until } => now = until,
            CancelAction::Send { id, request, .. } => cancel.handle_response(now, id, answer(&request)),
        }
    }
    panic!("the cancellation does not end");
}

/// The dialect of most targets, read once: a fuzzer's time is for the answers.
fn tracker() -> &'static Dialect {
    static TRACKER: OnceLock<Dialect> = OnceLock::new();
    TRACKER.get_or_init(Dialect::tracker)
}

fn tells_an_end(reading: &Reading) -> bool {
    matches!(reading.observation, Observation::Succeeded | Observation::Failed | Observation::Cancelled)
}

/// What holds for every reading.
fn check(reading: &Reading) {
    assert!(reading.progress.is_none_or(|share| (0.0..=1.0).contains(&share)), "{reading:?}");
    let lengths = [&reading.state, &reading.message].map(|text| text.as_ref().map_or(0, String::len));
    assert!(lengths.iter().all(|length| *length < 2_000), "megabytes are kept");
    let is_success = reading.observation == Observation::Succeeded;
    assert!(is_success || (reading.result.is_none() && reading.result_at.is_none()), "{reading:?}");
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

/// A response of a status in two bytes, header lines up to an empty one, and a body.
fn response(data: &[u8]) -> Option<Response<Vec<u8>>> {
    let (status, rest) = data.split_at_checked(2)?;
    let status = 100 + u16::from_le_bytes([status[0], status[1]]) % 500;
    let (head, body) = split_head(rest);
    let mut response = Response::new(body.to_vec());
    *response.status_mut() = status.try_into().expect("it lies within 100 to 599");
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    Some(response)
}

/// The parts between separators.
fn split<'d>(mut data: &'d [u8], separator: &[u8]) -> Vec<&'d [u8]> {
    let mut parts = Vec::new();
    while let Some(end) = data.windows(separator.len()).position(|window| window == separator) {
        parts.push(&data[..end]);
        data = &data[end + separator.len()..];
    }
    parts.push(data);
    parts
}

/// The head up to an empty line, and the body.
fn split_head(data: &[u8]) -> (&[u8], &[u8]) {
    match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[]),
    }
}
