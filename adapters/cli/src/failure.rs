//! What ends the program, and with which exit status.

use std::fmt;
use std::io;

use jobwatch::{Finished, LookError, Outcome};

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    /// Wrong usage, or an unreadable or wrong file.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { status: 2, message: message.to_string() }
    }

    /// Local trouble: no socket, no thread, a full disk.
    pub(crate) fn local(message: impl fmt::Display) -> Self {
        Self { status: 5, message: message.to_string() }
    }
}

impl From<io::Error> for Failure {
    /// Output that cannot be written; a closed pipe is no trouble and says nothing.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self { status: 4, message: String::new() }
        } else {
            Self::local(format_args!("cannot write the output: {error}"))
        }
    }
}

/// The exit status of several ends: the first of 3, 4, 1, 0 that fits any of them.
#[derive(Debug, Default)]
pub(crate) struct ExitStatus {
    refused: bool,
    unknown: bool,
    bad: bool,
}

impl ExitStatus {
    pub(crate) fn note(&mut self, finished: &Finished) {
        self.note_outcome(Some(finished.outcome), finished.last_error);
    }

    /// `None` is a job that has not ended.
    pub(crate) fn note_outcome(&mut self, outcome: Option<Outcome>, error: Option<LookError>) {
        match outcome {
            Some(Outcome::Succeeded) => {}
            Some(Outcome::Failed | Outcome::Cancelled | Outcome::Lost) => self.bad = true,
            Some(Outcome::Rejected) if is_refusal(error) => self.refused = true,
            Some(Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped) | None => {
                self.unknown = true;
            }
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self { refused: true, .. } => 3,
            Self { unknown: true, .. } => 4,
            Self { bad: true, .. } => 1,
            _ => 0,
        }
    }
}

/// Whether the backend refused the credentials.
pub(crate) fn is_refusal(error: Option<LookError>) -> bool {
    matches!(error, Some(LookError::Status(401 | 403)))
}
