//! How a backend speaks: a declarative description of one job API.
//!
//! A [`Dialect`] is read from TOML, the presets like a user's own, and one interpreter serves them all: it builds
//! requests ([`crate::Backend`]) and turns answers into [`Reading`]s ([`Dialect::read`]).

mod classify;
mod file;
mod hints;
mod rate_limit;

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;
use std::vec::Vec;

use http::{HeaderName, Method};
use serde_json::Value;

pub use classify::Reading;
pub(crate) use classify::{Answer, header_text, without_query};
pub use file::DialectError;
pub use hints::HintSource;
pub(crate) use hints::parse_http_date;
pub(crate) use hints::{HintHeader, HintUnit};

use crate::policy::PolicyBuilder;

/// The most bytes that are kept of a backend's word or message; a body may be megabytes of one.
const LONGEST_TEXT: usize = 1_000;

/// The presets, in the order in which they are listed.
const PRESETS: [(&str, &str); 1] = [("tracker", include_str!("presets/tracker.toml"))];

/// How one backend's job API speaks. What exists is well-formed; cloning is cheap.
#[derive(Clone)]
pub struct Dialect {
    inner: Arc<Description>,
}

/// The validated content of a dialect file.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) base_url: Option<url::Url>,
    pub(crate) create: Option<Create>,
    pub(crate) ids: Option<String>,
    pub(crate) poll: Template,
    pub(crate) state: StateRules,
    pub(crate) error: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) ended: Option<HeaderName>,
    pub(crate) created: Option<HeaderName>,
    pub(crate) hint_header: Option<HintHeader>,
    pub(crate) hint_pointer: Option<(String, HintUnit)>,
    pub(crate) max_body: u64,
    pub(crate) policy: PolicyBuilder,
}

/// How a job is created.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) idempotency_header: Option<HeaderName>,
}

/// A path with one `{id}` in it.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) before: String,
    pub(crate) after: String,
}

/// What a state word, or an HTTP status that stands for one, says of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
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
    pub(crate) pointer: Option<String>,
    /// Words in lower case.
    pub(crate) words: Vec<(String, JobClass)>,
    pub(crate) statuses: Vec<(u16, JobClass)>,
    /// An unknown word is an error, not "running".
    pub(crate) refuse_unknown: bool,
}

impl Dialect {
    /// The preset of this name.
    pub fn preset(name: &str) -> Option<Self> {
        let (_, text) = PRESETS.iter().find(|(preset, _)| *preset == name)?;
        Some(Self::from_toml(text).expect("presets are well-formed, as a test shows"))
    }

    /// The names of the presets.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// The status tracker: the system that jobwatch was born from, and what `jobwatch simulate` speaks.
    pub fn tracker() -> Self {
        Self::preset("tracker").expect("it is a preset")
    }

    /// Reads a dialect file.
    ///
    /// ```
    /// use jobwatch::Dialect;
    ///
    /// let dialect = Dialect::from_toml(r#"
    ///     name = "kiln"
    ///     poll.path = "/firings/{id}"
    ///     state.pointer = "/firing/state"
    ///     state.running = ["heating", "cooling"]
    ///     state.succeeded = ["fired"]
    ///     state.failed = ["cracked"]
    /// "#)?;
    /// assert_eq!(dialect.name(), "kiln");
    /// # Ok::<(), jobwatch::DialectError>(())
    /// ```
    ///
    /// # Errors
    /// The key that is wrong, and what to write instead.
    pub fn from_toml(text: &str) -> Result<Self, DialectError> {
        Ok(Self { inner: Arc::new(file::parse(text)?) })
    }

    /// The dialect's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// One line on what it speaks to.
    pub fn about(&self) -> &str {
        &self.inner.about
    }

    /// The backend's own address, where it has one.
    pub fn base_url(&self) -> Option<&str> {
        self.inner.base_url.as_ref().map(url::Url::as_str)
    }

    /// The policy that suits this backend, to start from.
    pub fn policy(&self) -> PolicyBuilder {
        self.inner.policy.clone()
    }

    pub(crate) fn description(&self) -> &Description {
        &self.inner
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialect").field(&self.inner.name).finish()
    }
}

/// The value at a JSON pointer, with `null` as absent.
pub(crate) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    value.pointer(pointer).filter(|value| !value.is_null())
}

/// The beginning of a text that is too long to be kept.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_TEXT {
        return Cow::Borrowed(text);
    }
    let end = (0..=LONGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}…", &text[..end]))
}

/// A word or an id as text: strings as they are, numbers and booleans as written.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
