//! A backend that is a closure, a clock that is a number, and a loop that drives one watch between them.
#![allow(dead_code)] // every test file uses a part of it

use core::time::Duration;

use http::{Request, Response};
use jobwatch::{
    Backend, Dialect, Finished, JobRef, LookError, Policy, PolicyBuilder, Spacing, Timestamp, TransportError, Watch,
    WatchAction,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// When every story begins: Tue, 14 Nov 2023 22:13:20 GMT.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Where the simulated backend lives, below a path of its own.
pub(crate) const BASE: &str = "https://api.example.com/v1";

/// A dialect with every class of word, an error and a result.
pub(crate) const KILN: &str = r#"
    name = "kiln"
    [create]
    path = "/firings"
    [poll]
    path = "/firings/{id}"
    [state]
    pointer = "/state"
    pending = ["queued"]
    running = ["Heating"]
    succeeded = ["fired"]
    failed = ["cracked"]
    cancelled = ["cooled early"]
    lost = ["no such firing"]
    [error]
    pointer = "/error/message"
    [result]
    pointer = "/vase"
    [times]
    ended = { header = "x-jobwatch-ended-at" }
"#;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The instant so long after the start of the story.
pub(crate) const fn at(since_start: Duration) -> Timestamp {
    START.saturating_add(since_start)
}

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn dialect(text: &str) -> Dialect {
    Dialect::from_toml(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn kiln() -> Backend {
    Backend::new(dialect(KILN), Some(BASE)).unwrap().with_header("x-api-key", SECRET).unwrap()
}

/// What no text may repeat.
pub(crate) const SECRET: &str = "hush-hush-4711";

/// Looks every second, so that randomness is not the subject.
pub(crate) fn every_second() -> PolicyBuilder {
    Policy::builder().with_spacing(Spacing::Constant).with_min_delay(secs(1))
}

pub(crate) fn job(id: &str) -> JobRef {
    JobRef::new(id).unwrap()
}

pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response<Vec<u8>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.as_ref().to_vec()).unwrap()
}

/// What the backend does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer(Duration, Response<Vec<u8>>),
    Error(Duration, LookError),
    Never,
}

/// An answer that takes no time.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Answer(Duration::ZERO, response(status, headers, body))
}

pub(crate) fn state(word: &str) -> Reply {
    reply(200, &[], &format!(r#"{{"state":"{word}"}}"#))
}

/// A request as the backend saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) url: String,
}

/// Where a watch lives.
pub(crate) struct World<F> {
    pub(crate) clock: Timestamp,
    pub(crate) sent: Vec<Sent>,
    pub(crate) backend: F,
}

impl<F: FnMut(&Request<Vec<u8>>, Duration) -> Reply> World<F> {
    /// The closure is told the time since the start of the story.
    pub(crate) fn new(backend: F) -> Self {
        Self { clock: START, sent: Vec::new(), backend }
    }

    /// Waits for a job from now on, to the end.
    pub(crate) fn wait(&mut self, backend: &Backend, policy: PolicyBuilder, job: JobRef) -> Finished {
        let mut watch = Watch::new(backend, policy.build().unwrap(), job, self.clock, &mut rng(7));
        self.drive(&mut watch)
    }

    pub(crate) fn drive(&mut self, watch: &mut Watch<&Backend, Policy>) -> Finished {
        loop {
            if let Some(finished) = self.step(watch) {
                return finished;
            }
        }
    }

    /// Carries out one action.
    pub(crate) fn step(&mut self, watch: &mut Watch<&Backend, Policy>) -> Option<Finished> {
        match watch.poll(self.clock) {
            WatchAction::Finished(finished) => return Some(finished),
            WatchAction::Sleep { until, .. } => {
                assert!(until > self.clock, "a sleep that is over before it begins");
                assert!(until < Timestamp::MAX, "nothing would ever happen again");
                self.clock = until;
            }
            WatchAction::Send { id, request, timeout } => match self.ask(&request, timeout) {
                Some(Ok(response)) => watch.handle_response(self.clock, id, &response),
                Some(Err(error)) => watch.handle_error(self.clock, id, &error),
                None => {}
            },
        }
        None
    }

    /// Sends a request and lets the time pass that its answer takes; `None` where none comes in time.
    pub(crate) fn ask(
        &mut self,
        request: &Request<Vec<u8>>,
        timeout: Duration,
    ) -> Option<Result<Response<Vec<u8>>, TransportError>> {
        self.sent.push(Sent { at: self.clock, url: request.uri().to_string() });
        assert!(self.sent.len() < 100_000, "this does not end");
        let (after, answer) = match (self.backend)(request, self.clock.saturating_since(START)) {
            Reply::Answer(after, response) => (after, Some(Ok(response))),
            Reply::Error(after, error) => (after, Some(Err(TransportError::new(error, "")))),
            Reply::Never => (Duration::MAX, None),
        };
        self.clock = self.clock.saturating_add(after.min(timeout));
        answer.filter(|_| after < timeout)
    }

    pub(crate) fn urls(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.url.as_str()).collect()
    }
}

/// A backend that follows a script, one reply to a request; the last one is repeated.
pub(crate) fn script(replies: Vec<Reply>) -> impl FnMut(&Request<Vec<u8>>, Duration) -> Reply {
    let mut next = 0;
    move |_, _| {
        let reply = replies[next.min(replies.len() - 1)].clone();
        next += 1;
        reply
    }
}
