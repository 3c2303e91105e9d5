//! Creating a job: once, or as often as an idempotency key makes safe.

use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{Request, Response};
use rand_core::Rng;
use serde_json::Value;

use crate::backend::IdError;
use crate::dialect::{HintUnit, Place, as_text, is_among, is_success, parse_delay, shortened};
use crate::finished::TransportError;
use crate::policy::LONGEST_CREDIBLE_HINT;
use crate::store::Intent;
use crate::{
    Action, AttemptId, Backend, Hint, JobRef, LookError, Observation, Outcome, Policy, PolicySchedule, PollerState,
    Timestamp,
};

/// The creation of one job (or of several, where the backend fans one request out), without a socket or a clock.
///
/// Where the dialect names an idempotency header, a key is drawn and failed attempts are repeated under it by the
/// policy's failure backoff. Where it does not, the request is sent **once**: a create that may have been accepted is
/// never repeated.
pub struct Submit<B, P> {
    backend: B,
    policy: P,
    body: Vec<u8>,
    key: Option<String>,
    poller: PollerState,
    /// When it was sent for the first time, by somebody who did not live to hear the answer.
    repeats: Option<Timestamp>,
    created: Vec<JobRef>,
    message: Option<String>,
    /// Some attempt may have been accepted without our learning of it.
    maybe_created: bool,
    /// When the first attempt was sent that may have been accepted: the job is no older.
    creating_since: Timestamp,
    /// The last answer was a throttle.
    throttled: bool,
    /// After which time it wants to be asked again.
    retry_after: Option<Duration>,
    renewal: Renewal,
}

/// Whether refused credentials can be renewed: once, for a create and for a cancellation alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    Impossible,
    Possible,
    Wanted,
}

/// What the loop around a [`Submit`] must do next.
#[derive(Debug)]
#[must_use = "an action that is not carried out delays the job"]
#[allow(clippy::large_enum_variant)] // lives on the stack, until it is carried out
pub enum SubmitAction {
    /// Nothing to do until then.
    Sleep {
        /// When to poll again.
        until: Timestamp,
    },
    /// Send this request and hand in what comes of it under this id. Follow no redirect.
    Send {
        /// The name under which the answer is handed in.
        id: AttemptId,
        /// The request, with an absolute URL.
        request: Request<Vec<u8>>,
        /// How long to wait for the whole answer.
        timeout: Duration,
    },
    /// The credentials were refused: renew them, and hand the backend in with [`Submit::renewed`]. Comes once at the most,
    /// and only after [`Submit::with_renewal`].
    Renew,
    /// The jobs exist.
    Created(Vec<JobRef>),
    /// No job was created, as far as we know.
    Failed(SubmitError),
}

/// Why no job was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmitError {
    /// What the last attempt ran into; `None` where the dialect does not say how to create.
    pub error: Option<LookError>,
    /// The backend's words, or ours.
    pub message: String,
    /// The backend may have created the job without our learning its id: the answer was lost or unreadable.
    pub maybe_created: bool,
    /// The jobs that were created all the same, where one create makes several and not every id could be read.
    pub created: Vec<JobRef>,
    /// The last answer asked for patience: too many requests or too many jobs, which may pass. A spent quota, which has
    /// the same status, does not.
    pub throttled: bool,
    /// After which time the last answer wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl SubmitError {
    /// Nothing was sent.
    pub fn unsent(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { error: None, message, maybe_created: false, created: Vec::new(), throttled: false, retry_after: None }
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.maybe_created {
            f.write_str(" (the job may have been created all the same)")?;
        }
        if !self.created.is_empty() {
            let ids = self.created.iter().map(JobRef::id).collect::<Vec<_>>().join(", ");
            write!(f, "; these were created: {ids}")?;
        }
        Ok(())
    }
}

impl core::error::Error for SubmitError {}

impl<B: Borrow<Backend>, P: Borrow<Policy>> Submit<B, P> {
    /// A submission that starts now. Takes up to three `u64` from the generator.
    pub fn new(backend: B, policy: P, body: Vec<u8>, now: Timestamp, rng: &mut impl Rng) -> Self {
        let key = backend.borrow().has_idempotency_key();
        let key = key.then(|| format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()));
        Self::under(backend, policy, body, key, now, rng)
    }

    /// A submission that was written down before it is sent, under its key. Takes one `u64` from the generator.
    ///
    /// One that a store gives back may have been sent already. It is sent again only under a key that the backend is sure
    /// to remember; without one it fails at once, and says that there may be a job.
    pub fn of_intent(backend: B, policy: P, intent: &Intent, now: Timestamp, rng: &mut impl Rng) -> Self {
        let key = intent.key().map(ToString::to_string);
        let mut submit = Self::under(backend, policy, intent.body().to_vec(), key, now, rng);
        submit.repeats = intent.may_have_been_sent().then(|| intent.at());
        submit.maybe_created = intent.may_have_been_sent();
        submit.creating_since = submit.repeats.unwrap_or(now);
        submit
    }

    fn under(backend: B, policy: P, body: Vec<u8>, key: Option<String>, now: Timestamp, rng: &mut impl Rng) -> Self {
        let mut poller = PollerState::new(policy.borrow(), &PolicySchedule, now, rng);
        // The policy's first look is at a job that exists; a create does not wait for it.
        poller.note_wake(policy.borrow(), now);
        let (created, message) = (Vec::new(), None);
        let (maybe_created, throttled, retry_after) = (false, false, None);
        let (renewal, repeats) = (Renewal::Impossible, None);
        Self {
            backend,
            policy,
            body,
            key,
            poller,
            repeats,
            created,
            message,
            maybe_created,
            creating_since: now,
            throttled,
            retry_after,
            renewal,
        }
    }

    /// Refused credentials (401) can be renewed: once, by [`SubmitAction::Renew`].
    #[must_use]
    pub fn with_renewal(mut self) -> Self {
        self.renewal = Renewal::Possible;
        self
    }

    /// Ends the renewal that [`SubmitAction::Renew`] asked for: the same backend with other credentials, or why there
    /// are none.
    pub fn renewed(&mut self, now: Timestamp, backend: Result<B, String>) {
        self.renewal = Renewal::Impossible;
        match backend {
            Ok(backend) => self.backend = backend,
            Err(problem) => {
                self.message = Some(format!("the credentials were refused and not renewed: {problem}"));
                self.poller.refuse(now, LookError::Status(401));
            }
        }
    }

    /// The idempotency key that goes with the request, to be stored before it is sent.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What to do at this instant.
    pub fn poll(&mut self, now: Timestamp) -> SubmitAction {
        if self.backend.borrow().dialect().description().create.is_none() {
            let name = self.backend.borrow().dialect().name();
            let message = format!("the dialect {name:?} does not say how to create a job");
            return SubmitAction::Failed(SubmitError::unsent(message));
        }
        if self.renewal == Renewal::Wanted {
            return SubmitAction::Renew;
        }
        let expired = self.poller.failed_looks;
        let mut action = self.poller.poll(self.policy.borrow(), now);
        if self.poller.failed_looks > expired {
            self.message = Some(LookError::Expired.to_string());
            self.maybe_created = true;
            (self.throttled, self.retry_after) = (false, None);
            if self.key.is_none() && self.poller.ended().is_none() {
                action = self.poller.stop(now);
            }
        }
        match action {
            Action::Sleep { until, .. } => SubmitAction::Sleep { until },
            Action::Send(attempt) if self.is_key_forgotten(now) => {
                let error = LookError::Expired;
                if self.repeats.is_some() {
                    self.message = Some("an earlier create was cut short and is not repeated".to_string());
                }
                self.observe(now, attempt.id, Observation::Fatal { error });
                SubmitAction::Failed(self.failure(Some(error)))
            }
            Action::Send(attempt) => match self.backend.borrow().create_request(&self.body, self.key.as_deref()) {
                Ok(request) => {
                    if !self.maybe_created {
                        self.creating_since = now;
                    }
                    SubmitAction::Send { id: attempt.id, request, timeout: attempt.timeout }
                }
                Err(error) => {
                    self.message = Some(error.to_string());
                    self.observe(now, attempt.id, Observation::Fatal { error });
                    SubmitAction::Failed(self.failure(Some(error)))
                }
            },
            Action::Done(ended) if ended.outcome == Outcome::Succeeded => SubmitAction::Created(self.created.clone()),
            Action::Done(ended) | Action::TimedOut(ended) => SubmitAction::Failed(self.failure(ended.last_error)),
        }
    }

    /// Takes an answer; one that is late or not ours changes nothing.
    pub fn handle_response<T: AsRef<[u8]>>(&mut self, now: Timestamp, id: AttemptId, response: &Response<T>) {
        if self.poller.in_flight() != Some(id) {
            return;
        }
        let status = response.status();
        let backend = self.backend.borrow();
        let refused = backend.dialect().envelope_error(response, now);
        let observation = if let Some(reading) = refused {
            self.message = reading.message;
            // An answer without its envelope is not understood, which does not say that nothing was created.
            let malformed = LookError::Malformed;
            self.maybe_created |=
                matches!(reading.observation, Observation::Transient { error, .. } if error == malformed);
            match reading.observation {
                Observation::Lost { .. } => Observation::Fatal { error: LookError::Envelope },
                observation => observation,
            }
        } else if is_success(status.as_u16()) {
            match self.created_jobs(response) {
                Ok(created) => {
                    self.created = created;
                    Observation::Succeeded
                }
                Err((created, problem)) => {
                    self.created = created;
                    self.message = Some(problem);
                    self.maybe_created = true;
                    Observation::Fatal { error: LookError::Malformed }
                }
            }
        } else if status.as_u16() == 401 && self.renewal == Renewal::Possible {
            self.renewal = Renewal::Wanted;
            self.poller.give_back(self.policy.borrow(), now);
            return;
        } else {
            self.refusal(now, response)
        };
        self.observe(now, id, observation);
    }

    /// What an answer says that creates nothing.
    fn refusal<T: AsRef<[u8]>>(&mut self, now: Timestamp, response: &Response<T>) -> Observation {
        let code = response.status().as_u16();
        let backend = self.backend.borrow();
        let reading = backend.dialect().read(response, now);
        let create = backend.dialect().description().create.as_ref();
        let is_in_progress = |told: String| create.is_some_and(|create| is_among(&create.in_progress, &told));
        let in_progress = code == 409 && backend.dialect().error_code(response).is_some_and(is_in_progress);
        self.message = Some(reading.message.unwrap_or_else(|| format!("HTTP status {}", response.status())));
        // Behind a gateway's error the backend may have done its work, and 303 says where to see what it did.
        self.maybe_created |= in_progress || code == 303 || code == 408 || code >= 500;
        match reading.observation {
            _ if in_progress => {
                let hint = reading.observation.hint();
                Observation::Transient { error: LookError::Status(code), hint }
            }
            Observation::Fatal { .. } | Observation::Transient { .. } | Observation::Throttled { .. }
                if !response.status().is_redirection() && !matches!(code, 409 | 423) =>
            {
                reading.observation
            }
            _ => Observation::Fatal { error: LookError::Status(code) },
        }
    }

    /// Takes the news that no answer will come.
    pub fn handle_error(&mut self, now: Timestamp, id: AttemptId, error: &TransportError) {
        if self.poller.in_flight() != Some(id) {
            return;
        }
        self.message = Some(shortened(&error.to_string()).into_owned());
        self.maybe_created |= !matches!(error.error, LookError::Unreachable | LookError::Tls | LookError::BadUrl);
        let observation = match error.error {
            error @ (LookError::Tls | LookError::BadUrl) => Observation::Fatal { error },
            error => Observation::Transient { error, hint: None },
        };
        self.observe(now, id, observation);
    }

    fn observe(&mut self, now: Timestamp, id: AttemptId, observation: Observation) {
        self.throttled = matches!(observation, Observation::Throttled { .. });
        self.retry_after = observation.hint().map(Hint::delay).filter(|delay| *delay <= LONGEST_CREDIBLE_HINT);
        let observation = match observation {
            Observation::Transient { error, .. } | Observation::Throttled { error, .. } if self.key.is_none() => {
                Observation::Fatal { error }
            }
            observation => observation,
        };
        let _ = self.poller.handle_observation(self.policy.borrow(), &PolicySchedule, now, id, observation);
    }

    /// The key's time to live is over: under it a second job might be created.
    fn is_key_forgotten(&self, now: Timestamp) -> bool {
        let backend = self.backend.borrow();
        if let Some(at) = self.repeats {
            return !can_repeat(backend, self.key.as_deref(), at, now);
        }
        self.poller.looks() > 1 && !backend.remembers_key_of(self.poller.started(), now)
    }

    /// The jobs that the answer names: by an id or an array of them, by an address, or by both.
    fn created_jobs<T: AsRef<[u8]>>(&self, response: &Response<T>) -> Result<Vec<JobRef>, (Vec<JobRef>, String)> {
        let backend = self.backend.borrow();
        let description = backend.dialect().description();
        let body = serde_json::from_slice::<Value>(response.body().as_ref()).ok();
        let place = |place: Option<&Place>| place.and_then(|place| place.find(body.as_ref(), response.headers()));
        let missing = || {
            let places = [&description.ids, &description.poll_url].map(Option::as_ref).into_iter().flatten();
            let places = places.map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            match body {
                None if !response.body().as_ref().is_empty() => "the answer to the create is no JSON".to_string(),
                _ => format!("the answer to the create has no id at {places}"),
            }
        };
        let expected = description.expected_duration.text(body.as_ref(), response.headers());
        let expected = expected.and_then(|text| parse_delay(&text, HintUnit::Seconds));
        let created = |job: JobRef| {
            expected.into_iter().fold(job.with_created_at(self.creating_since), JobRef::with_expected_duration)
        };
        let address = place(description.poll_url.as_ref()).and_then(|address| as_text(&address));
        let address = address.and_then(|address| backend.create_url().ok()?.join(&address).ok());
        if description.poll.path.is_none() {
            let named = address.map(|address| JobRef::new(address.as_str()));
            return match named {
                Some(Ok(job)) => Ok(vec![created(job)]),
                Some(Err(error)) => Err((Vec::new(), error.to_string())),
                None => Err((Vec::new(), missing())),
            };
        }
        let ids = place(description.ids.as_ref()).ok_or_else(|| (Vec::new(), missing()))?;
        let ids = ids.as_array().map_or(core::slice::from_ref(&*ids), Vec::as_slice);
        let (mut jobs, mut problem) = (Vec::new(), ids.is_empty().then(missing));
        for id in ids {
            match created_id(id) {
                Some(Ok(job)) => jobs.push(created(job)),
                Some(Err(error)) => problem = Some(error.to_string()),
                None => problem = Some(missing()),
            }
        }
        // An address that may not be asked is no loss where there is a path.
        if let (Some(address), [job]) = (address, jobs.as_mut_slice())
            && backend.is_trusted(&address)
        {
            *job = job.clone().asked_for_at(&address);
        }
        match problem {
            None => Ok(jobs),
            // What was created and can be named must not be lost for what cannot.
            Some(problem) => Err((jobs, problem)),
        }
    }

    fn failure(&self, error: Option<LookError>) -> SubmitError {
        let message = match (&self.message, error) {
            (Some(message), _) => message.clone(),
            (None, Some(error)) => error.to_string(),
            (None, None) => "the time allowed was spent".to_string(),
        };
        SubmitError {
            error,
            message,
            maybe_created: self.maybe_created,
            created: self.created.clone(),
            throttled: self.throttled,
            retry_after: self.retry_after,
        }
    }
}

/// So much of a key's life has to be left when a create is sent again: it takes its time to get there. As far may an
/// intent lie in the future; beyond it the clock was set, and nobody knows how old the key is.
const KEY_MARGIN: Duration = Duration::from_secs(60);

/// Whether a create of this instant can be sent again at that one, since it cannot make a second job.
pub(crate) fn can_repeat(backend: &Backend, key: Option<&str>, at: Timestamp, now: Timestamp) -> bool {
    let remembered = backend.remembers_key_of(at, now.saturating_add(KEY_MARGIN));
    key.is_some() && remembered && at.saturating_since(now) <= KEY_MARGIN
}

/// An id as a backend writes it: a string, or an integer as far as it is read exactly.
fn created_id(id: &Value) -> Option<Result<JobRef, IdError>> {
    let exact = id.is_string() || id.is_u64() || id.is_i64();
    Some(JobRef::new(as_text(id).filter(|_| exact)?))
}

impl<B: fmt::Debug, P: fmt::Debug> fmt::Debug for Submit<B, P> {
    /// Leaves out the body, which is the caller's own and may be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submit")
            .field("backend", &self.backend)
            .field("policy", &self.policy)
            .field("poller", &self.poller)
            .field("created", &self.created)
            .field("message", &self.message)
            .field("maybe_created", &self.maybe_created)
            .finish_non_exhaustive()
    }
}
