//! What one answer says, in full, and by which rule.

use core::fmt;
use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use serde_json::Value;

use super::{Address, HintSource};
use crate::{Observation, Timestamp};

/// What one answer says, in full.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// What it says about the job, in codes.
    pub observation: Observation,
    /// The rule that says so.
    pub rule: Rule,
    /// The state word as the backend wrote it.
    pub state: Option<String>,
    /// The state is a word that the dialect does not know.
    pub unknown_state: bool,
    /// The backend's words on what went wrong, or ours where the answer could not be understood.
    pub message: Option<String>,
    /// The job's result, where the answer carries it.
    pub result: Option<Value>,
    /// The address that has the result, where it has to be asked for.
    pub result_at: Option<Address>,
    /// How far the job is, from 0 to 1.
    pub progress: Option<f64>,
    /// How many jobs stand before it in the backend's queue.
    pub queue_position: Option<u64>,
    /// Where the hint in the observation was found.
    pub hint_source: Option<HintSource>,
    /// How long nobody with this credential should ask this backend, whatever the job.
    pub cool_down: Option<Duration>,
    /// When the job was created, as the backend tells.
    pub created_at: Option<Timestamp>,
    /// When work on the job began, as the backend tells.
    pub started_at: Option<Timestamp>,
    /// When the job ended, as the backend tells.
    pub ended_at: Option<Timestamp>,
    /// A 202 moved the poll URL here.
    pub moved_to: Option<Address>,
    /// Where the job can be cancelled, as this answer tells.
    pub cancel_at: Option<Address>,
    /// When to ask again, by the dialect's own rule for this correction.
    pub ask_again: Option<Duration>,
    /// The corrections that were made and hold for a limited time only, by their places in the list.
    pub(crate) refined_for_now: Vec<usize>,
}

/// Which rule decided what an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The state's word, which the dialect knows.
    Word,
    /// The state's word, which the dialect does not know: `state.unknown`.
    UnknownWord,
    /// There is no state: `state.missing`.
    MissingState,
    /// The dialect says what this HTTP status means: `state.status`.
    DeclaredStatus,
    /// What the HTTP status means to everybody.
    Status,
    /// The envelope tells an error.
    Envelope,
    /// A correction, by its place in the list from 0: `refine`.
    Refined(usize),
    /// The error code is one of `error.quota`.
    Quota,
    /// The answer is not what the dialect speaks.
    Malformed,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word => "the state's word is in the lists of `state`",
            Self::UnknownWord => "the state's word is in none of the lists of `state`, and `state.unknown` decides",
            Self::MissingState => "there is no state where `state.pointer` says, and `state.missing` decides",
            Self::DeclaredStatus => "`state.status` says what this HTTP status means",
            Self::Status => "this is what the HTTP status means to everybody",
            Self::Envelope => "the envelope tells that the request failed",
            Self::Refined(number) => return write!(f, "`refine[{number}]` corrects the state's class"),
            Self::Quota => "the error's code is in `error.quota`, and waiting does not cure a spent quota",
            Self::Malformed => "the answer is not what the dialect speaks",
        })
    }
}

impl Reading {
    pub(super) fn of(observation: Observation, rule: Rule) -> Self {
        Self {
            observation,
            rule,
            state: None,
            unknown_state: false,
            message: None,
            result: None,
            result_at: None,
            progress: None,
            queue_position: None,
            hint_source: None,
            cool_down: None,
            created_at: None,
            started_at: None,
            ended_at: None,
            moved_to: None,
            cancel_at: None,
            ask_again: None,
            refined_for_now: Vec::new(),
        }
    }
}
