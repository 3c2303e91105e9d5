//! Creating a job: once, or as often as an idempotency key makes safe.

use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{Request, Response};
use rand_core::Rng;
use serde_json::Value;

use crate::dialect::{as_text, at};
use crate::job::TransportError;
use crate::{
    Action, AttemptId, Backend, Ended, JobRef, LookError, Observation, Outcome, Policy, PolicySchedule, PollerState,
    Timestamp,
};

/// The creation of one job (or of several, where the backend fans one request out), without a socket or a clock.
///
/// Where the dialect names an idempotency header, a key is drawn and failed attempts are repeated under it by the
/// policy's failure backoff. Where it does not, the request is sent **once**: a create that may have been accepted is
/// never repeated.
#[derive(Debug)]
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
        let poller = PollerState::new(policy.borrow(), &PolicySchedule, now, rng);
        let (created, message) = (Vec::new(), None);
        Self { backend, policy, body, key, poller, created, message, maybe_created: false }
    }

    /// The idempotency key that goes with the request, to be stored before it is sent.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What to do at this instant.
    pub fn poll(&mut self, now: Timestamp) -> SubmitAction {
        match self.poller.poll(self.policy.borrow(), now) {
            Action::Sleep { until, .. } => SubmitAction::Sleep { until },
            Action::Send(attempt) => match self.backend.borrow().create_request(&self.body, self.key.as_deref()) {
                Some(request) => SubmitAction::Send { id: attempt.id, request, timeout: attempt.timeout },
                None => {
                    let name = self.backend.borrow().dialect().name().to_string();
                    let message = format!("the dialect {name:?} does not say how to create a job");
                    SubmitAction::Failed(SubmitError { error: None, message, maybe_created: false })
                }
            },
            Action::Done(ended) if ended.outcome == Outcome::Succeeded => SubmitAction::Created(self.created.clone()),
            Action::Done(ended) | Action::TimedOut(ended) => SubmitAction::Failed(self.failure(&ended)),
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
                // Behind a gateway's error the backend may have done its work.
                self.maybe_created |= code >= 500 || code == 408;
                match reading.observation {
                    Observation::Fatal { .. } | Observation::Transient { .. } | Observation::Throttled { .. }
                        if code != 409 =>
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
        self.message = Some(error.to_string());
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
        let job = |id| {
            let id = as_text(id).ok_or_else(missing)?;
            JobRef::new(id).map(|job| job.created_at(now)).map_err(|error| error.to_string())
        };
        ids.iter().map(job).collect()
    }

    fn failure(&self, ended: &Ended) -> SubmitError {
        let message = match (&self.message, ended.last_error) {
            (Some(message), _) => message.clone(),
            (None, Some(error)) => error.to_string(),
            (None, None) => ended.reason.to_string(),
        };
        // An attempt that expired within the poller was never answered either.
        let maybe_created = self.maybe_created || ended.last_error == Some(LookError::Expired);
        SubmitError { error: ended.last_error, message, maybe_created }
    }
}
