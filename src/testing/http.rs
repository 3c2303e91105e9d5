//! HTTP without a socket: what a backend answers, and a clock around a watch or a fleet.

use core::borrow::Borrow;
use core::time::Duration;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::{START, ordinary_duration};
use crate::{
    Backend, Cancel, CancelAction, CancelError, Cancellation, Finished, Fleet, FleetAction, FleetEvent, JobRef,
    LookError, Policy, PolicyBuilder, RequestId, Submit, SubmitAction, SubmitError, Timestamp, TransportError, Watch,
    WatchAction,
};

/// Requests after which a story does not end any more.
const MOST_REQUESTS: usize = 100_000;

/// Turns at the end of time after which nothing happens any more.
const MOST_TURNS: usize = 1_000;

/// Why a renewal that is asked for fails.
const NO_OTHERS: &str = "nobody has other credentials";

/// What a backend does with one request.
#[derive(Clone, Debug)]
pub enum HttpReply {
    /// It answers after this long.
    Answer(Duration, Response<Vec<u8>>),
    /// The request fails after this long.
    Error(Duration, LookError),
    /// Nothing ever comes.
    Never,
}

impl HttpReply {
    /// This answer, at once.
    ///
    /// # Panics
    /// A status or a header that cannot be.
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Self::Answer(Duration::ZERO, response.body(body.into()).expect("the answer can be"))
    }

    /// 200 with this JSON, at once.
    pub fn json(body: &str) -> Self {
        Self::new(200, &[("content-type", "application/json")], body)
    }

    /// The same so much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        match self {
            Self::Answer(after, response) => Self::Answer(after.saturating_add(by), response),
            Self::Error(after, error) => Self::Error(after.saturating_add(by), error),
            Self::Never => Self::Never,
        }
    }
}

/// Anything that a backend, a gateway before it or the network may do with a request, these honest bodies among it: what a
/// dialect of one's own has to survive.
pub fn any_http_reply(bodies: Vec<String>) -> BoxedStrategy<HttpReply> {
    let honest = if bodies.is_empty() { Just(String::new()).boxed() } else { proptest::sample::select(bodies).boxed() };
    let text = prop_oneof![
        4 => honest.clone().prop_map(String::into_bytes),
        1 => (honest, any::<prop::sample::Index>()).prop_map(|(body, cut)| {
            let cut = if body.is_empty() { 0 } else { cut.index(body.len()) };
            body.into_bytes()[..cut].to_vec()
        }),
        1 => Just(b"<html><h1>Bad gateway</h1></html>".to_vec()),
        1 => vec(any::<u8>(), 0..40),
    ];
    let usual = prop::sample::select(vec![202, 204, 303, 404, 410, 429, 500, 502, 503]);
    let status = prop_oneof![4 => Just(200_u16), 1 => usual, 1 => 200_u16..600];
    let hint = prop_oneof![
        4 => Just(None),
        1 => (0_u32..100_000).prop_map(|seconds| Some(seconds.to_string())),
        1 => "[ -~]{0,12}".prop_map(Some),
    ];
    let told = (status, hint, text).prop_map(|(status, hint, body)| match hint {
        Some(hint) => HttpReply::new(status, &[("retry-after", hint.as_str())], body),
        None => HttpReply::new(status, &[], body),
    });
    let error = prop::sample::select(vec![LookError::Disconnected, LookError::Unreachable, LookError::TooLarge]);
    let answer = prop_oneof![8 => told, 1 => error.prop_map(|error| HttpReply::Error(Duration::ZERO, error))];
    prop_oneof![
        4 => answer.clone(),
        2 => (answer, ordinary_duration()).prop_map(|(answer, by)| answer.later(by)),
        1 => Just(HttpReply::Never),
    ]
    .boxed()
}

/// A world for a [`Watch`] or a [`Fleet`] to live in: a clock, a backend that is a function of the request and of the time
/// since the start, and a record of what it was asked.
///
/// ```
/// use core::time::Duration;
/// use jobwatch::testing::{HttpReply, HttpWorld, START, Seed};
/// use jobwatch::{Backend, Dialect, JobRef, Outcome, Policy, Watch};
///
/// let backend = Backend::new(Dialect::tracker(), Some("https://api.example.com"))?;
/// let mut world = HttpWorld::new(|_, since| match since.as_secs() {
///     0..95 => HttpReply::json(r#"{"result":"pending"}"#),
///     95..110 => HttpReply::new(502, &[], "<h1>Bad gateway</h1>"),
///     _ => HttpReply::json(r#"{"result":"completed"}"#),
/// });
/// let mut watch = Watch::new(&backend, Policy::default(), JobRef::new("7e7bfe92")?, START, &mut Seed(1));
/// let finished = world.drive(&mut watch);
/// assert_eq!(finished.outcome, Outcome::Succeeded);
/// assert!(world.sent.iter().all(|sent| sent.url == "https://api.example.com/status/7e7bfe92"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HttpWorld<F> {
    /// The present instant.
    pub clock: Timestamp,
    /// What the backend was asked so far.
    pub sent: Vec<HttpSent>,
    /// The backend.
    pub backend: F,
    /// Sleeps in a row in which no time passed.
    standing: usize,
}

/// A request as the backend saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpSent {
    /// When it was sent.
    pub at: Timestamp,
    /// Where to.
    pub url: String,
}

impl<F: FnMut(&Request<Vec<u8>>, Duration) -> HttpReply> HttpWorld<F> {
    /// A world at [`START`] with this backend.
    pub fn new(backend: F) -> Self {
        Self { clock: START, sent: Vec::new(), backend, standing: 0 }
    }

    /// The time since the start of the story.
    pub fn now(&self) -> Duration {
        self.clock.saturating_since(START)
    }

    /// Waits for a job from now on, to the end.
    ///
    /// # Panics
    /// The policy is not valid, or see [`drive`](Self::drive).
    pub fn wait(&mut self, backend: &Backend, policy: PolicyBuilder, job: JobRef) -> Finished {
        let policy = policy.build().expect("the story's policy is valid");
        self.drive(&mut Watch::new(backend, policy, job, self.clock, &mut ChaCha8Rng::seed_from_u64(7)))
    }

    /// Drives a watch to the end of the wait.
    ///
    /// # Panics
    /// It sends 100,000 requests and does not end, or has ended before.
    pub fn drive<B: Borrow<Backend>, P: Borrow<Policy>>(&mut self, watch: &mut Watch<B, P>) -> Finished {
        loop {
            if let Some(finished) = self.step(watch) {
                return finished;
            }
        }
    }

    /// Carries out one action of a watch; tells the end, once it has come.
    ///
    /// # Panics
    /// See [`drive`](Self::drive).
    pub fn step<B: Borrow<Backend>, P: Borrow<Policy>>(&mut self, watch: &mut Watch<B, P>) -> Option<Finished> {
        match watch.poll(self.clock) {
            WatchAction::Finished(finished) => return Some(finished),
            WatchAction::Sleep { until, .. } => self.pass_until(until),
            WatchAction::Send { id, request, timeout } => match self.ask(&request, timeout) {
                Some(Ok(response)) => watch.handle_response(self.clock, id, &response),
                Some(Err(error)) => watch.handle_error(self.clock, id, &error),
                None => {}
            },
        }
        None
    }

    /// Drives a create to its end: the jobs that were created, or why there are none.
    ///
    /// # Errors
    /// The create failed.
    ///
    /// # Panics
    /// It sends 100,000 requests and does not end.
    pub fn submit<B: Borrow<Backend>, P: Borrow<Policy>>(
        &mut self,
        submit: &mut Submit<B, P>,
    ) -> Result<Vec<JobRef>, SubmitError> {
        loop {
            match submit.poll(self.clock) {
                SubmitAction::Created(jobs) => return Ok(jobs),
                SubmitAction::Failed(error) => return Err(error),
                SubmitAction::Renew => submit.renewed(self.clock, Err(NO_OTHERS.to_string())),
                SubmitAction::Sleep { until } => self.pass_until(until),
                SubmitAction::Send { id, request, timeout } => match self.ask(&request, timeout) {
                    Some(Ok(response)) => submit.handle_response(self.clock, id, &response),
                    Some(Err(error)) => submit.handle_error(self.clock, id, &error),
                    None => {}
                },
            }
        }
    }

    /// Drives a cancellation to its end.
    ///
    /// # Errors
    /// It failed; the job may go on.
    ///
    /// # Panics
    /// It sends 100,000 requests and does not end.
    pub fn cancel<B: Borrow<Backend>, P: Borrow<Policy>>(
        &mut self,
        cancel: &mut Cancel<B, P>,
    ) -> Result<Cancellation, CancelError> {
        loop {
            match cancel.poll(self.clock) {
                CancelAction::Done(done) => return done,
                CancelAction::Renew => cancel.renewed(self.clock, Err(NO_OTHERS.to_string())),
                CancelAction::Sleep { until } => self.pass_until(until),
                CancelAction::Send { id, request, timeout } => match self.ask(&request, timeout) {
                    Some(Ok(response)) => cancel.handle_response(self.clock, id, &response),
                    Some(Err(error)) => cancel.handle_error(self.clock, id, &error),
                    None => {}
                },
            }
        }
    }

    /// Sends a request and lets the time pass that its answer takes; `None` where none comes in time.
    ///
    /// # Panics
    /// It is the 100,000th request.
    pub fn ask(
        &mut self,
        request: &Request<Vec<u8>>,
        timeout: Duration,
    ) -> Option<Result<Response<Vec<u8>>, TransportError>> {
        let (after, answer) = self.send(request);
        self.clock = self.clock.saturating_add(after.min(timeout));
        answer.filter(|_| after < timeout)
    }

    /// Where the requests went.
    pub fn urls(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.url.as_str()).collect()
    }

    /// Drives a fleet until none of its jobs is waited for any more; tells its news in order.
    ///
    /// # Panics
    /// It sends 100,000 requests and does not end.
    pub fn drive_fleet(&mut self, fleet: &mut Fleet) -> Vec<FleetEvent> {
        let (mut told, mut wire) = (Vec::new(), Wire::new());
        loop {
            while let Some(entry) = wire.first_entry().filter(|entry| entry.key().0 <= self.clock) {
                match entry.remove() {
                    (id, Ok(response)) => fleet.handle_response(self.clock, id, &response),
                    (id, Err(error)) => fleet.handle_error(self.clock, id, &error),
                }
            }
            let action = fleet.poll(self.clock);
            told.extend(core::iter::from_fn(|| fleet.next_event()));
            match action {
                FleetAction::Send { id, request, timeout } => {
                    let (after, answer) = self.send(&request);
                    if let Some(answer) = answer.filter(|_| after < timeout) {
                        wire.insert((self.clock.saturating_add(after), self.sent.len()), (id, answer));
                    }
                }
                FleetAction::Sleep { until } => {
                    let arrival = wire.first_key_value().map_or(until, |((at, _), _)| *at);
                    self.pass_until(until.min(arrival));
                }
                FleetAction::Renew => fleet.renewed(self.clock, Err(NO_OTHERS.to_string())),
                FleetAction::Idle => return told,
            }
        }
    }

    /// What the backend says to this request, and after how long.
    fn send(&mut self, request: &Request<Vec<u8>>) -> (Duration, Came) {
        self.standing = 0;
        self.sent.push(HttpSent { at: self.clock, url: request.uri().to_string() });
        assert!(self.sent.len() < MOST_REQUESTS, "this does not end");
        let since = self.now();
        match (self.backend)(request, since) {
            HttpReply::Answer(after, response) => (after, Some(Ok(response))),
            HttpReply::Error(after, error) => (after, Some(Err(TransportError::new(error, "")))),
            HttpReply::Never => (Duration::MAX, None),
        }
    }

    fn pass_until(&mut self, until: Timestamp) {
        // At the end of time nothing can be waited for; what has an end comes to it there.
        self.standing = if until > self.clock { 0 } else { self.standing + 1 };
        assert!(self.standing == 0 || until == Timestamp::MAX, "a sleep that is over before it begins");
        assert!(self.standing < MOST_TURNS, "nothing would ever happen again");
        self.clock = until;
    }
}

/// What comes of a request: nothing, where no answer ever does.
type Came = Option<Result<Response<Vec<u8>>, TransportError>>;

/// Answers by the time of their arrival.
type Wire = BTreeMap<(Timestamp, usize), (RequestId, Result<Response<Vec<u8>>, TransportError>)>;

/// A backend that follows a script, one answer to a request; the last one is repeated.
///
/// # Panics
/// The script is empty.
pub fn http_script(answers: Vec<HttpReply>) -> impl FnMut(&Request<Vec<u8>>, Duration) -> HttpReply {
    assert!(!answers.is_empty(), "a script has an answer");
    let mut next = 0;
    move |_, _| {
        let answer = answers[next.min(answers.len() - 1)].clone();
        next += 1;
        answer
    }
}
