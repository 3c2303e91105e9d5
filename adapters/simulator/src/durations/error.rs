//! Why durations were refused.

use std::fmt;
use std::path::PathBuf;

/// Why durations were refused. All of these are the caller's to correct.
#[derive(Debug)]
#[non_exhaustive]
pub enum DurationsError {
    /// The text does not begin with a form that is known here.
    UnknownForm(String),
    /// The form is known but what follows it has the wrong shape.
    BadSpec {
        /// The whole specification.
        spec: String,
        /// What it lacks.
        reason: &'static str,
    },
    /// A time or number within the specification cannot be read.
    BadTime {
        /// The whole specification.
        spec: String,
        /// The part that cannot be read.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A parameter is out of its range.
    BadValue {
        /// The parameter.
        what: &'static str,
        /// Its value, times in seconds.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file cannot be read; the source says why.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line of the file is not a time.
    BadLine {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The line without its comment.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file has no line with a time.
    NoValues(PathBuf),
}

impl fmt::Display for DurationsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownForm(spec) => write!(
                f,
                "unknown durations '{spec}': want one of uniform:20..40, constant:5, \
                 lognormal:480,0.5, exponential:60, pareto:1.5,10, list:5,2,9, file:PATH, \
                 mix:0.6*FORM+0.4*FORM"
            ),
            Self::BadSpec { spec, reason } => write!(f, "durations '{spec}': {reason}"),
            Self::BadTime { spec, text, reason } => {
                write!(f, "durations '{spec}': '{text}' {reason}")
            }
            Self::BadValue { what, value, reason } if value.is_empty() => {
                write!(f, "durations: the {what} {reason}")
            }
            Self::BadValue { what, value, reason } => {
                write!(f, "durations: the {what} {value} {reason}")
            }
            Self::Unreadable { path, .. } => {
                write!(f, "cannot read durations from {}", path.display())
            }
            Self::BadLine { path, line, text, reason } => {
                write!(f, "{}, line {line}: '{text}' {reason}", path.display())
            }
            Self::NoValues(path) => write!(f, "{} holds no durations", path.display()),
        }
    }
}

impl std::error::Error for DurationsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
