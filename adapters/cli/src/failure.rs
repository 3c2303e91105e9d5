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

/// The exit status of several ends: the first of 5, 3, 2, 4, 1, 0 that fits any of them. A line of standard input that
/// is no id comes to 2: whoever wrote it has to mend it, whatever becomes of the jobs before it.
#[derive(Debug, Default)]
pub(crate) struct ExitStatus(u8);

/// From the mildest to the gravest.
const RANKS: [u8; 6] = [0, 1, 4, 2, 3, 5];

impl ExitStatus {
    pub(crate) fn note(&mut self, finished: &Finished) {
        self.note_outcome(Some(finished.outcome), finished.last_error);
    }

    /// `None` is a job that has not ended.
    pub(crate) fn note_outcome(&mut self, outcome: Option<Outcome>, error: Option<LookError>) {
        self.note_status(match outcome {
            Some(Outcome::Succeeded) => 0,
            Some(Outcome::Failed | Outcome::Cancelled | Outcome::Lost) => 1,
            Some(Outcome::Rejected) if is_refusal(error) => 3,
            Some(Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped) | None => 4,
        });
    }

    /// Something came to this status by itself.
    pub(crate) fn note_status(&mut self, status: u8) {
        let rank = |status| RANKS.iter().position(|ranked| *ranked == status);
        if rank(status) > rank(self.0) {
            self.0 = status;
        }
    }

    pub(crate) fn code(&self) -> u8 {
        self.0
    }
}

/// The status of both: a signal's own stays.
pub(crate) fn graver(status: u8, other: u8) -> u8 {
    if status >= 128 {
        return status;
    }
    let mut both = ExitStatus(status);
    both.note_status(other);
    both.code()
}

/// Whether the backend refused the credentials.
pub(crate) fn is_refusal(error: Option<LookError>) -> bool {
    matches!(error, Some(LookError::Status(401 | 403)))
}
