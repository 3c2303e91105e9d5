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
use crate::dialect::{as_text, at, shortened};
use crate::finished::TransportError;
use crate::{
    Action, AttemptId, Backend, JobRef, LookError, Observation, Outcome, Policy, PolicySchedule, PollerState, Timestamp,
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
    created: Vec<JobRef>,
    message: Option<String>,
    /// Some attempt may have been accepted without our learning of it.
    maybe_created: bool,
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
}

impl SubmitError {
    /// Nothing was sent.
    pub fn unsent(message: impl Into<String>) -> Self {
        Self { error: None, message: message.into(), maybe_created: false }
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.maybe_created {
            f.write_str(" (the job may have been created all the same)")?;
        }
        Ok(())
    }
}

impl core::error::Error for SubmitError {}

impl<B: Borrow<Backend>, P: Borrow<Policy>> Submit<B, P> {
    /// A submission that starts now. Takes up to three `u64` from the generator.
    pub fn new(backend: B, policy: P, body: Vec<u8>, now: Timestamp, rng: &mut impl Rng) -> Self {
        let create = backend.borrow().dialect().description().create.as_ref();
        let key = create.and_then(|create| create.idempotency_header.as_ref());
        let key = key.map(|_| format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()));
        let mut poller = PollerState::new(policy.borrow(), &PolicySchedule, now, rng);
        // The policy's first look is at a job that exists; a create does not wait for it.
        poller.note_wake(policy.borrow(), now);
        let (created, message) = (Vec::new(), None);
        Self { backend, policy, body, key, poller, created, message, maybe_created: false }
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
            return SubmitAction::Failed(SubmitError { error: None, message, maybe_created: false });
        }
        let expired = self.poller.failed_looks;
        let mut action = self.poller.poll(self.policy.borrow(), now);
        if self.poller.failed_looks > expired {
            self.message = Some(LookError::Expired.to_string());
            self.maybe_created = true;
            if self.key.is_none() && self.poller.ended().is_none() {
                action = self.poller.stop(now);
            }
        }
        match action {
            Action::Sleep { until, .. } => SubmitAction::Sleep { until },
            Action::Send(attempt) => match self.backend.borrow().create_request(&self.body, self.key.as_deref()) {
                Ok(request) => SubmitAction::Send { id: attempt.id, request, timeout: attempt.timeout },
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
        let observation = match status.as_u16() {
            200..=202 => match self.created_ids(now, response.body().as_ref()) {
                Ok(created) => {
                    self.created = created;
                    Observation::Succeeded
                }
                Err(problem) => {
                    self.message = Some(problem);
                    self.maybe_created = true;
                    Observation::Fatal { error: LookError::Malformed }
                }
            },
            code => {
                let backend = self.backend.borrow();
                let reading = backend.dialect().read(response, now);
                self.message = Some(reading.message.unwrap_or_else(|| format!("HTTP status {status}")));
                // Behind a gateway's error the backend may have done its work, and 303 says where to see what it did.
                self.maybe_created |= status.is_success() || code == 303 || code == 408 || code >= 500;
                let is_final = status.is_success() || status.is_redirection() || matches!(code, 409 | 423);
                match reading.observation {
                    Observation::Fatal { .. } | Observation::Transient { .. } | Observation::Throttled { .. }
                        if !is_final =>
                    {
                        reading.observation
                    }
                    _ => Observation::Fatal { error: LookError::Status(code) },
                }
            }
        };
        self.observe(now, id, observation);
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
        let observation = match observation {
            Observation::Transient { error, .. } | Observation::Throttled { error, .. } if self.key.is_none() => {
                Observation::Fatal { error }
            }
            observation => observation,
        };
        let _ = self.poller.handle_observation(self.policy.borrow(), &PolicySchedule, now, id, observation);
    }

    /// The ids in the answer: one, or an array of them.
    fn created_ids(&self, now: Timestamp, body: &[u8]) -> Result<Vec<JobRef>, String> {
        let description = self.backend.borrow().dialect().description();
        let pointer = description.ids.as_deref().unwrap_or("/id");
        let body: Value =
            serde_json::from_slice(body).map_err(|_| "the answer to the create is no JSON".to_string())?;
        let missing = || format!("the answer to the create has no id at {pointer}");
        let ids = at(&body, pointer).ok_or_else(missing)?;
        let ids = ids.as_array().map_or(std::slice::from_ref(ids), Vec::as_slice);
        if ids.is_empty() {
            return Err(missing());
        }
        let (mut jobs, mut problem) = (Vec::new(), None);
        for id in ids {
            match created_id(id) {
                Some(Ok(job)) => jobs.push(job.created_at(now)),
                Some(Err(error)) => problem = Some(error.to_string()),
                None => problem = Some(missing()),
            }
        }
        match problem {
            None => Ok(jobs),
            Some(problem) if jobs.is_empty() => Err(problem),
            // What was created and can be named must not be lost for what cannot.
            Some(problem) => {
                let ids = jobs.iter().map(JobRef::id).collect::<Vec<_>>().join(", ");
                Err(format!("{problem}; these were created: {ids}"))
            }
        }
    }

    fn failure(&self, error: Option<LookError>) -> SubmitError {
        let message = match (&self.message, error) {
            (Some(message), _) => message.clone(),
            (None, Some(error)) => error.to_string(),
            (None, None) => "the time allowed was spent".to_string(),
        };
        SubmitError { error, message, maybe_created: self.maybe_created }
    }
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
