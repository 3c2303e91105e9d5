//! Why a dialect file was refused.

use core::fmt;
use std::string::{String, ToString};

/// Why a dialect file was refused: the key, its line, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectError {
    key: String,
    line: Option<usize>,
    problem: String,
}

impl DialectError {
    pub(super) fn new(key: &str, problem: impl fmt::Display) -> Self {
        Self { key: key.to_string(), line: None, problem: problem.to_string() }
    }

    pub(super) fn on_line(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    /// The key that is wrong, as in `state.pointer`; empty where the file is no TOML or a key is unknown or missing, in
    /// which case the message tells key and line.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The line of the key, from 1; of the section it is missing from, or `None` where that is the whole file, or where
    /// [`key`](Self::key) is empty.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), self.line) {
            ("", _) => f.write_str(self.problem.trim_end()),
            (key, Some(line)) => write!(f, "line {line}: {key}: {}", self.problem),
            (key, None) => write!(f, "{key}: {}", self.problem),
        }
    }
}

impl core::error::Error for DialectError {}
