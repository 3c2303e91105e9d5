//! Asking the backend to cancel a job: never by stopping, only on explicit request.

use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{Request, Response};
use rand_core::Rng;

use crate::dialect::{is_success, shortened};
use crate::finished::TransportError;
use crate::submit::Renewal;
use crate::{
    Action, AttemptId, Backend, Dialect, JobRef, LookError, Observation, Outcome, Policy, PolicySchedule, PollerState,
    Status, Timestamp,
};

/// The request that cancels a job, without a socket or a clock. It is repeated by the policy's failure backoff, since
/// cancelling twice is cancelling once.
///
/// It begins with a look, whose [`Status`] says whether there is anything to cancel, and where.
#[derive(Debug)]
pub struct Cancel<B, P> {
    backend: B,
    policy: P,
    status: Status,
    poller: PollerState,
    message: Option<String>,
    problem: Option<String>,
    renewal: Renewal,
}

/// What the loop around a [`Cancel`] must do next.
#[derive(Debug)]
#[must_use = "an action that is not carried out delays the request"]
#[allow(clippy::large_enum_variant)] // lives on the stack, until it is carried out
pub enum CancelAction {
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
    /// The credentials were refused: renew them, and hand the backend in with [`Cancel::renewed`]. Comes once at the most,
    /// and only after [`Cancel::with_renewal`].
    Renew,
    /// It is over.
    Done(Result<Cancellation, CancelError>),
}

/// What came of a cancellation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cancellation {
    /// What the look before it said of the job.
    pub status: Status,
    /// The backend was asked and has agreed, which may take it a while; `false` where the job had ended already.
    pub requested: bool,
}

/// Why a job was not cancelled. It may go on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CancelError {
    /// What the look before it said of the job; nothing, where there was none.
    pub status: Box<Status>,
    /// What the last request ran into; `None` where none was sent.
    pub error: Option<LookError>,
    /// The backend's words, or ours.
    pub message: String,
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for CancelError {}

impl Backend {
    /// Whether jobs can be cancelled here at all: to be asked before the look, which would be in vain.
    ///
    /// # Errors
    /// The dialect does not say how.
    pub fn check_cancel(&self, job: &JobRef) -> Result<(), CancelError> {
        match no_way(self.dialect()) {
            Some(message) => Err(CancelError { status: Box::new(Status::unknown(job.clone())), error: None, message }),
            None => Ok(()),
        }
    }
}

fn no_way(dialect: &Dialect) -> Option<String> {
    (!dialect.can_cancel()).then(|| format!("the dialect {:?} does not say how to cancel a job", dialect.name()))
}

impl<B: Borrow<Backend>, P: Borrow<Policy>> Cancel<B, P> {
    /// A cancellation that starts now, after a look that said this. Takes one `u64` from the generator.
    pub fn new(backend: B, policy: P, status: Status, now: Timestamp, rng: &mut impl Rng) -> Self {
        let mut poller = PollerState::new(policy.borrow(), &PolicySchedule, now, rng);
        // The policy's first look is at a job; this does not wait for it.
        poller.note_wake(policy.borrow(), now);
        let problem = no_way(backend.borrow().dialect()).or_else(|| {
            status.outcome.filter(|outcome| !outcome.is_jobs_end())?;
            Some(status.error.clone().unwrap_or_else(|| "the job could not be looked at".to_string()))
        });
        Self { backend, policy, status, poller, message: None, problem, renewal: Renewal::Impossible }
    }

    /// Refused credentials (401) can be renewed: once, by [`CancelAction::Renew`].
    #[must_use]
    pub fn with_renewal(mut self) -> Self {
        self.renewal = Renewal::Possible;
        self
    }

    /// Ends the renewal that [`CancelAction::Renew`] asked for: the same backend with other credentials, or why there
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

    /// What to do at this instant.
    pub fn poll(&mut self, now: Timestamp) -> CancelAction {
        if let Some(message) = &self.problem {
            let (status, message) = (Box::new(self.status.clone()), message.clone());
            return CancelAction::Done(Err(CancelError { error: status.last_error, status, message }));
        }
        if self.status.outcome.is_some() {
            return CancelAction::Done(Ok(Cancellation { status: self.status.clone(), requested: false }));
        }
        if self.renewal == Renewal::Wanted {
            return CancelAction::Renew;
        }
        let expired = self.poller.failed_looks;
        let action = self.poller.poll(self.policy.borrow(), now);
        if self.poller.failed_looks > expired {
            self.message = Some(LookError::Expired.to_string());
        }
        match action {
            Action::Sleep { until, .. } => CancelAction::Sleep { until },
            Action::Send(attempt) => {
                let told = self.status.cancel_at.as_deref();
                match self.backend.borrow().cancel_request(&self.status.job, told) {
                    Ok(request) => CancelAction::Send { id: attempt.id, request, timeout: attempt.timeout },
                    Err(error) => {
                        self.message = Some(match error {
                            LookError::BadUrl => "nobody has told where this job can be cancelled".to_string(),
                            error => error.to_string(),
                        });
                        self.observe(now, attempt.id, Observation::Fatal { error });
                        self.failed(Some(error))
                    }
                }
            }
            Action::Done(ended) if ended.outcome == Outcome::Succeeded => {
                CancelAction::Done(Ok(Cancellation { status: self.status.clone(), requested: true }))
            }
            Action::Done(ended) | Action::TimedOut(ended) => self.failed(ended.last_error),
        }
    }

    /// Takes an answer; one that is late or not ours changes nothing.
    pub fn handle_response<T: AsRef<[u8]>>(&mut self, now: Timestamp, id: AttemptId, response: &Response<T>) {
        if self.poller.in_flight() != Some(id) {
            return;
        }
        let dialect = self.backend.borrow().dialect();
        let status = response.status().as_u16();
        if status == 401 && self.renewal == Renewal::Possible {
            self.renewal = Renewal::Wanted;
            self.poller.give_back(self.policy.borrow(), now);
            return;
        }
        let reading = match dialect.envelope_error(response, now) {
            None if is_success(status) => return self.observe(now, id, Observation::Succeeded),
            Some(reading) => reading,
            None => dialect.read(response, now),
        };
        let observation = match reading.observation {
            // It was there a moment ago, and nothing is left to cancel.
            Observation::Lost { .. } => Observation::Succeeded,
            // Nothing but these may pass; a conflict says that the job cannot be cancelled any more.
            observation @ (Observation::Transient { .. } | Observation::Throttled { .. })
                if !response.status().is_redirection() && !matches!(status, 409 | 423) =>
            {
                observation
            }
            Observation::Fatal { error } => Observation::Fatal { error },
            _ => Observation::Fatal { error: LookError::Status(status) },
        };
        self.message = Some(reading.message.unwrap_or_else(|| format!("HTTP status {status}")));
        self.observe(now, id, observation);
    }

    /// Takes the news that no answer will come.
    pub fn handle_error(&mut self, now: Timestamp, id: AttemptId, error: &TransportError) {
        if self.poller.in_flight() == Some(id) {
            self.message = Some(shortened(&error.to_string()).into_owned());
            self.observe(now, id, error.observation());
        }
    }

    fn observe(&mut self, now: Timestamp, id: AttemptId, observation: Observation) {
        let _ = self.poller.handle_observation(self.policy.borrow(), &PolicySchedule, now, id, observation);
    }

    fn failed(&self, error: Option<LookError>) -> CancelAction {
        let message = match (&self.message, error) {
            (Some(message), _) => message.clone(),
            (None, Some(error)) => error.to_string(),
            (None, None) => "the time allowed was spent".to_string(),
        };
        CancelAction::Done(Err(CancelError { status: Box::new(self.status.clone()), error, message }))
    }
}
