//! How a wait ended, in full, and why a request brought no answer.

use core::fmt;
use core::time::Duration;
use std::string::{String, ToString};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::learn::Taught;
use crate::{Address, EndReason, Ended, JobRef, LookError, Observation, Outcome, Timestamp};

/// How a wait ended, with everything that was learned about the job: a timeout never loses a paid job.
///
/// It can be stored in any serde format, and then lacks only the address where the job could be cancelled. A later release
/// reads what this one writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finished {
    /// The job.
    pub job: JobRef,
    /// How it ended.
    pub outcome: Outcome,
    /// The rule that ended the wait.
    pub reason: EndReason,
    /// The state last seen, in the backend's word.
    pub state: Option<String>,
    /// The job's result, where an answer carried it.
    pub result: Option<Value>,
    /// What went wrong, in the backend's words or ours; `None` for a success.
    pub error: Option<String>,
    /// What the last look that told nothing ran into.
    pub last_error: Option<LookError>,
    /// Requests sent, redirects included.
    pub requests: u32,
    /// Requests that told nothing about the job: broken, refused, malformed. Throttled ones count.
    pub failed_requests: u32,
    /// From the start of the wait to its end.
    pub elapsed: Duration,
    /// From the job's real end to the moment we knew, where the backend tells the real end. Never a guess.
    pub detection_delay: Option<Duration>,
    /// The most that it can have been: from the last look that found the job unfinished to the moment we knew.
    pub detection_delay_max: Option<Duration>,
    /// When the job was created, by our clock, as the backend told.
    pub created_at: Option<Timestamp>,
    /// When work on the job began, by our clock, as the backend told.
    pub started_at: Option<Timestamp>,
    /// When the job ended, by our clock, as the backend told.
    pub ended_at: Option<Timestamp>,
    /// How far the job was, from 0 to 1, as last told.
    pub progress: Option<f64>,
    /// How many jobs stood before it in the backend's queue, as last told.
    pub queue_position: Option<u64>,
    /// What the wait says about how long such jobs take, for those who keep [`Histories`](crate::learn::Histories); `None`
    /// where it says nothing.
    #[serde(skip)] // what is told again teaches nothing
    pub taught: Option<Taught>,
    /// Where the job can be cancelled, as last told.
    #[serde(skip)]
    pub(crate) cancel_at: Option<Address>,
}

/// Why a request brought no answer. Drivers translate their client's errors into these.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportError {
    /// What happened, in the terms of the core.
    pub error: LookError,
    /// The client's words, without URL queries and secrets.
    pub message: String,
}

impl TransportError {
    /// An error with the client's words for it.
    pub fn new(error: LookError, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }

    /// Names the server that could not be reached; other errors stay as they are.
    #[must_use]
    pub fn at(mut self, server: Option<&http::uri::Authority>) -> Self {
        if let (LookError::Unreachable, Some(server)) = (self.error, server) {
            // `host()` and `port()`: a user name and a password are nobody's business.
            let port = server.port().map_or_else(String::new, |port| format!(":{port}"));
            self.message = format!("{}{port}: {}", server.host(), self.message);
        }
        self
    }

    /// What it says about the job: an unusable address and a certificate that is not the server's cannot be cured by
    /// asking again, everything else can.
    pub(crate) fn observation(&self) -> Observation {
        match self.error {
            LookError::BadUrl | LookError::Tls | LookError::ForeignOrigin => Observation::Fatal { error: self.error },
            error => Observation::Transient { error, hint: None },
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.as_str() {
            "" => write!(f, "{}", self.error),
            message => write!(f, "{}: {message}", self.error),
        }
    }
}

impl core::error::Error for TransportError {}

/// Why a wait did not end well, in one sentence. A stop has nothing to do with what went wrong, but where no look has ever
/// told a state, that is all that is known.
pub(crate) fn explain(ended: &Ended, message: Option<&str>, has_answered: bool) -> String {
    match (ended.reason, message) {
        (EndReason::Told, Some(message)) => message.to_string(),
        (EndReason::Told, None) => match ended.outcome {
            Outcome::Cancelled => "the job was cancelled".to_string(),
            Outcome::Lost => "the backend does not know the job any more".to_string(),
            _ => "the backend reports that the job failed".to_string(),
        },
        (EndReason::Stopped, Some(_)) if has_answered || ended.last_error.is_none() => ended.reason.to_string(),
        (reason @ EndReason::DeniedRepeatedly, _) | (reason, None) => reason.to_string(),
        (reason, Some(message)) => format!("{reason}; the last error was: {message}"),
    }
}
