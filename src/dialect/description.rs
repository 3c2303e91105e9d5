//! What a dialect file says, once it is known to be right.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;

use super::names::Names;
use super::template::Template;
use super::{HintHeader, HintUnit, as_text, at, header_text};
use crate::policy::PolicyBuilder;

/// The validated content of a dialect file.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) untried: bool,
    pub(crate) base_url: Option<Url>,
    pub(crate) create: Option<Create>,
    pub(crate) ids: Option<Place>,
    pub(crate) poll_url: Option<Place>,
    pub(crate) expected_duration: Place,
    pub(crate) poll: Ask,
    /// Where an answer to a look names its job.
    pub(crate) poll_id: Place,
    pub(crate) envelope: Option<Envelope>,
    pub(crate) state: StateRules,
    pub(crate) refine: Vec<Refine>,
    pub(crate) error: Place,
    pub(crate) code: Place,
    pub(crate) quota: Vec<String>,
    pub(crate) result: ResultRules,
    pub(crate) progress: ProgressRules,
    pub(crate) times: TimesRules,
    pub(crate) freshness: Duration,
    pub(crate) hint_header: Option<HintHeader>,
    pub(crate) hint_pointer: Option<(String, HintUnit)>,
    pub(crate) bulk: Option<Bulk>,
    pub(crate) cancel: Option<Cancel>,
    pub(crate) credential_headers: Vec<HeaderName>,
    pub(crate) key: Option<KeySource>,
    pub(crate) allowed_origins: Vec<Url>,
    pub(crate) max_body: u64,
    pub(crate) policy: PolicyBuilder,
}

/// How a job is created.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Map<String, Value>>,
    pub(crate) idempotency_header: Option<HeaderName>,
    pub(crate) idempotency_ttl: Duration,
    pub(crate) in_progress: Vec<String>,
}

/// A request about one job.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// `None` where only the backend tells the address.
    pub(crate) path: Option<Template>,
    pub(crate) headers: HeaderMap,
}

/// Where an answer tells something: the first of these that is there.
#[derive(Debug, Default)]
pub(crate) struct Place(pub(crate) Vec<Source>);

#[derive(Debug)]
pub(crate) enum Source {
    Pointer(String),
    Header(HeaderName),
}

/// A wrapper that tells failed requests under a good status.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) pointer: String,
    /// In lower case; none: absence is good.
    pub(crate) ok: Vec<String>,
    pub(crate) words: Vec<(String, EnvelopeClass)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvelopeClass {
    Throttled,
    Lost,
    Fatal,
}

/// What a state word, or an HTTP status that stands for one, says of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobClass {
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Lost,
}

/// Where the state is, and what its words mean.
#[derive(Debug)]
pub(crate) struct StateRules {
    pub(crate) place: Place,
    pub(crate) words: Words,
    pub(crate) statuses: Vec<(u16, JobClass)>,
    /// What an answer without a state says; `None` is an error.
    pub(crate) missing: Option<JobClass>,
}

/// What state words mean.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// In lower case.
    pub(crate) known: Vec<(String, JobClass)>,
    /// An unknown word is an error, not "running".
    pub(crate) refuse_unknown: bool,
}

/// A correction of the class that the state's word gave.
#[derive(Debug)]
pub(crate) struct Refine {
    pub(crate) when: JobClass,
    pub(crate) condition: Condition,
    pub(crate) then: JobClass,
    /// For how long after the first time.
    pub(crate) within: Option<Duration>,
    pub(crate) ask_again: Option<Duration>,
}

#[derive(Debug)]
pub(crate) enum Condition {
    Present(String),
    Absent(String),
    /// The word in lower case.
    Equals(String, String),
}

#[derive(Debug, Default)]
pub(crate) struct ResultRules {
    /// The first that is there counts.
    pub(crate) pointers: Vec<String>,
    pub(crate) follow: Option<Place>,
    pub(crate) path: Option<Template>,
}

#[derive(Debug, Default)]
pub(crate) struct ProgressRules {
    pub(crate) place: Place,
    pub(crate) of: f64,
    pub(crate) queue: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct TimesRules {
    pub(crate) created: Place,
    pub(crate) started: Place,
    pub(crate) ended: Place,
}

/// How many jobs are asked for at once.
#[derive(Debug)]
pub(crate) struct Bulk {
    /// The path before and after the ids.
    pub(crate) path: (String, String),
    pub(crate) separator: String,
    pub(crate) max: u16,
    pub(crate) items: String,
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) words: Words,
    pub(crate) next: Option<(String, String)>,
    pub(crate) detail: bool,
}

/// How the backend is asked to cancel a job.
#[derive(Debug)]
pub(crate) struct Cancel {
    pub(crate) ask: Ask,
    pub(crate) url: Place,
}

/// The environment variable that holds the credential, and what stands before it in the header.
#[derive(Clone, Debug)]
pub(crate) struct KeySource {
    pub(crate) header: HeaderName,
    pub(crate) variable: String,
    pub(crate) prefix: String,
}

impl Place {
    pub(crate) fn is_nowhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an answer with headers of these names can have none of the sources.
    pub(crate) fn is_missing(&self, names: Names) -> bool {
        self.0.iter().all(|source| matches!(source, Source::Header(name) if !names.may_have(name)))
    }

    /// The first source that is there.
    pub(crate) fn find<'a>(&self, body: Option<&'a Value>, headers: &HeaderMap) -> Option<Cow<'a, Value>> {
        self.0.iter().find_map(|source| match source {
            Source::Pointer(pointer) => at(body?, pointer).map(Cow::Borrowed),
            Source::Header(name) => header_text(headers, name).map(|text| Cow::Owned(Value::String(text.to_owned()))),
        })
    }

    /// The same as text; arrays and objects have none.
    pub(crate) fn text(&self, body: Option<&Value>, headers: &HeaderMap) -> Option<String> {
        self.find(body, headers).and_then(|value| as_text(&value))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, source) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(" or ")?;
            }
            match source {
                Source::Pointer(pointer) => f.write_str(pointer)?,
                Source::Header(name) => write!(f, "the header {name}")?,
            }
        }
        Ok(())
    }
}

impl Words {
    /// What a word means; `None` where it is unknown.
    pub(crate) fn class(&self, word: &str) -> Option<JobClass> {
        let lower = (!word.is_ascii()).then(|| word.to_lowercase());
        let is_same = |known: &str| match &lower {
            Some(lower) => known == lower,
            None => known.eq_ignore_ascii_case(word),
        };
        self.known.iter().find(|(known, _)| is_same(known)).map(|(_, class)| *class)
    }
}

impl Condition {
    pub(crate) fn holds(&self, body: Option<&Value>) -> bool {
        let found = |pointer: &str| body.and_then(|body| at(body, pointer));
        match self {
            Self::Present(pointer) => found(pointer).is_some(),
            Self::Absent(pointer) => found(pointer).is_none(),
            Self::Equals(pointer, word) => {
                found(pointer).and_then(as_text).is_some_and(|text| text.to_lowercase() == *word)
            }
        }
    }
}

/// Constant headers, which a caller's own headers of the same name replace.
pub(crate) fn extend_missing(headers: &mut HeaderMap, constant: &HeaderMap) {
    for (name, value) in constant {
        headers.entry(name).or_insert_with(|| HeaderValue::clone(value));
    }
}
