//! What one answer says about a job.

use core::fmt;
use core::time::Duration;

/// The server's word on when to ask again, counted from the receipt of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint(Duration);

impl Hint {
    /// "Ask again after this long."
    pub const fn after(delay: Duration) -> Self {
        Self(delay)
    }

    /// How long the server asks to wait.
    pub const fn delay(self) -> Duration {
        self.0
    }
}

/// What one answer says about the job, in codes alone; words, bodies and results stay with whoever read them.
///
/// The ground rule: **a failed request is not a failed job.** Only [`Succeeded`](Self::Succeeded),
/// [`Failed`](Self::Failed), [`Cancelled`](Self::Cancelled) and [`Lost`](Self::Lost) speak of the job's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Observation {
    /// The job waits for its turn.
    Pending {
        /// When the server wants to be asked again.
        hint: Option<Hint>,
    },
    /// The job is being worked on.
    Running {
        /// When the server wants to be asked again.
        hint: Option<Hint>,
    },
    /// The job ended well.
    Succeeded,
    /// The job ended badly, says the backend.
    Failed,
    /// The job was cancelled.
    Cancelled,
    /// The backend does not know the job. Unless `definite`, this is believed only when it is told repeatedly, since
    /// backends forget jobs for moments (replication, routing, restarts).
    Lost {
        /// The backend says that the job is gone for good (410).
        definite: bool,
    },
    /// Reading the status failed in a way that may pass: a gateway's error, a broken connection, a malformed answer.
    Transient {
        /// What went wrong.
        error: LookError,
        /// When the server wants to be asked again.
        hint: Option<Hint>,
    },
    /// The backend asks for patience; nothing is wrong.
    Throttled {
        /// The answer that said so.
        error: LookError,
        /// When the server wants to be asked again.
        hint: Option<Hint>,
    },
    /// Reading the status failed in a way that asking again cannot cure: wrong credentials, a wrong address.
    Fatal {
        /// What went wrong.
        error: LookError,
    },
}

#[cfg(feature = "http")]
impl Observation {
    /// When the server wants to be asked again, if it said so.
    pub(crate) fn hint(self) -> Option<Hint> {
        match self {
            Self::Pending { hint }
            | Self::Running { hint }
            | Self::Transient { hint, .. }
            | Self::Throttled { hint, .. } => hint,
            _ => None,
        }
    }

    /// Whether the request came to nothing: of the job nothing was said.
    pub(crate) fn is_of_the_request(self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Throttled { .. } | Self::Fatal { .. })
    }
}

/// Why an answer told nothing about the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LookError {
    /// An HTTP status that does not tell the job's state.
    Status(u16),
    /// No answer within the attempt's timeout.
    Expired,
    /// No connection: name resolution failed, or it was refused.
    Unreachable,
    /// The connection broke before the answer was whole.
    Disconnected,
    /// The server's certificate was not accepted.
    Tls,
    /// The answer is not what the dialect speaks: no JSON, or no state in it.
    Malformed,
    /// The answer has a good status, and an envelope that tells an error.
    Envelope,
    /// What was downloaded could not be written down: local trouble.
    Sink,
    /// The state is a word that the dialect does not know and was told to refuse.
    UnknownState,
    /// The answer's body is larger than the limit.
    TooLarge,
    /// Too many redirects in a row, or one that leads back to where it came from.
    RedirectLoop,
    /// The backend points at another origin, or from https to http, and that is not allowed.
    ForeignOrigin,
    /// The address cannot be asked.
    BadUrl,
}

impl LookError {
    /// The kind in one word, as in `unreachable`; for labels.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
            Self::Disconnected => "disconnected",
            Self::Tls => "tls",
            Self::Malformed => "malformed",
            Self::Envelope => "envelope",
            Self::Sink => "sink",
            Self::UnknownState => "unknown_state",
            Self::TooLarge => "too_large",
            Self::RedirectLoop => "redirect_loop",
            Self::ForeignOrigin => "foreign_origin",
            Self::BadUrl => "bad_url",
        }
    }
}

impl fmt::Display for LookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status(code) => return write!(f, "HTTP status {code}"),
            Self::Expired => "no answer in time",
            Self::Unreachable => "the server could not be reached",
            Self::Disconnected => "the connection broke",
            Self::Tls => "the server's certificate was not accepted",
            Self::Malformed => "the answer was malformed",
            Self::Envelope => "the answer's envelope tells an error",
            Self::Sink => "what was downloaded could not be written",
            Self::UnknownState => "the state is an unknown word",
            Self::TooLarge => "the answer was larger than the limit",
            Self::RedirectLoop => "the redirects do not end",
            Self::ForeignOrigin => "the server pointed at an origin that is not allowed",
            Self::BadUrl => "the address cannot be asked",
        })
    }
}

impl core::error::Error for LookError {}
