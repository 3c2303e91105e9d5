//! The file form of a dialect: parsed into a [`Description`] that cannot be wrong, or refused with the key's name.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{HeaderName, Method};
use serde::Deserialize;
use url::Url;

use super::{Create, Description, HintHeader, HintUnit, JobClass, StateRules, Template};
use crate::policy::{Policy, PolicyBuilder};

/// Long inline results are successes; a body beyond this is an accident or an attack.
const DEFAULT_MAX_BODY: u64 = 16 * 1024 * 1024;

/// Why a dialect file was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectError {
    key: String,
    problem: String,
}

impl DialectError {
    fn new(key: &str, problem: impl fmt::Display) -> Self {
        Self { key: key.to_string(), problem: problem.to_string() }
    }

    /// The key that is wrong, as in `state.pointer`; empty where the file is no TOML or a key is unknown or missing, in
    /// which case the message tells the line.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(self.problem.trim_end()),
            key => write!(f, "{key}: {}", self.problem),
        }
    }
}

impl core::error::Error for DialectError {}

pub(super) fn parse(text: &str) -> Result<Description, DialectError> {
    let file: File = toml::from_str(text).map_err(|error| DialectError::new("", error))?;
    file.check()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    about: String,
    base_url: Option<String>,
    create: Option<CreateSection>,
    #[serde(default)]
    job: JobSection,
    poll: PollSection,
    state: StateSection,
    #[serde(default)]
    error: PointerSection,
    #[serde(default)]
    result: PointerSection,
    #[serde(default)]
    times: TimesSection,
    #[serde(default)]
    hints: HintsSection,
    max_body: Option<u64>,
    #[serde(default)]
    defaults: DefaultsSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateSection {
    #[serde(default = "post")]
    method: String,
    path: String,
    idempotency_header: Option<String>,
}

fn post() -> String {
    "POST".to_string()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobSection {
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PollSection {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateSection {
    pointer: Option<String>,
    #[serde(default)]
    pending: Vec<String>,
    #[serde(default)]
    running: Vec<String>,
    #[serde(default)]
    succeeded: Vec<String>,
    #[serde(default)]
    failed: Vec<String>,
    #[serde(default)]
    cancelled: Vec<String>,
    #[serde(default)]
    lost: Vec<String>,
    #[serde(default)]
    status: BTreeMap<String, JobClass>,
    #[serde(default)]
    unknown: UnknownWord,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnknownWord {
    #[default]
    Running,
    Error,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointerSection {
    pointer: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimesSection {
    created: Option<HeaderSection>,
    ended: Option<HeaderSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderSection {
    header: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HintsSection {
    header: Option<String>,
    pointer: Option<String>,
    unit: Option<Unit>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unit {
    Seconds,
    Milliseconds,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultsSection {
    min_delay: Option<String>,
    max_delay: Option<String>,
    factor: Option<f64>,
    timeout: Option<String>,
    attempt_timeout: Option<String>,
    max_retry_after: Option<String>,
}

impl File {
    fn check(self) -> Result<Description, DialectError> {
        if self.name.trim().is_empty() {
            return Err(DialectError::new("name", "give the dialect a name"));
        }
        let unit = match self.hints.unit {
            Some(Unit::Milliseconds) => HintUnit::Milliseconds,
            Some(Unit::Seconds) | None => HintUnit::Seconds,
        };
        if self.hints.unit.is_some() && self.hints.header.is_none() && self.hints.pointer.is_none() {
            let problem = "a unit of nothing: give `hints.header` or `hints.pointer` beside it";
            return Err(DialectError::new("hints.unit", problem));
        }
        if self.max_body == Some(0) {
            return Err(DialectError::new("max_body", "no answer is that short: give the most bytes to be read"));
        }
        let hint_header = header("hints.header", self.hints.header)?.map(|name| HintHeader { name, unit });
        Ok(Description {
            name: self.name,
            about: self.about,
            base_url: self.base_url.map(|text| base_url("base_url", &text)).transpose()?,
            create: self.create.map(CreateSection::check).transpose()?,
            ids: pointer("job.id", self.job.id)?,
            poll: template("poll.path", &self.poll.path)?,
            state: self.state.check()?,
            error: pointer("error.pointer", self.error.pointer)?,
            result: pointer("result.pointer", self.result.pointer)?,
            created: header("times.created.header", self.times.created.map(|section| section.header))?,
            ended: header("times.ended.header", self.times.ended.map(|section| section.header))?,
            hint_header,
            hint_pointer: pointer("hints.pointer", self.hints.pointer)?.map(|pointer| (pointer, unit)),
            max_body: self.max_body.unwrap_or(DEFAULT_MAX_BODY),
            policy: self.defaults.check()?,
        })
    }
}

impl CreateSection {
    fn check(self) -> Result<Create, DialectError> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| DialectError::new("create.method", format!("`{}` is no HTTP method", self.method)))?;
        if self.method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            let problem = format!("methods are written in capitals: `{}`", self.method.to_uppercase());
            return Err(DialectError::new("create.method", problem));
        }
        if !self.path.starts_with('/') || self.path.contains(['{', '}']) {
            return Err(DialectError::new("create.path", "write a path without placeholders, as in `/jobs`"));
        }
        let idempotency_header = header("create.idempotency_header", self.idempotency_header)?;
        Ok(Create { method, path: self.path, idempotency_header })
    }
}

impl StateSection {
    fn check(self) -> Result<StateRules, DialectError> {
        let mut words: Vec<(String, JobClass)> = Vec::new();
        for (key, list, class) in [
            ("state.pending", self.pending, JobClass::Pending),
            ("state.running", self.running, JobClass::Running),
            ("state.succeeded", self.succeeded, JobClass::Succeeded),
            ("state.failed", self.failed, JobClass::Failed),
            ("state.cancelled", self.cancelled, JobClass::Cancelled),
            ("state.lost", self.lost, JobClass::Lost),
        ] {
            for word in list {
                let word = word.to_lowercase();
                if words.iter().any(|(known, _)| *known == word) {
                    let problem = format!("the word `{word}` is given twice; letter case does not distinguish words");
                    return Err(DialectError::new(key, problem));
                }
                words.push((word, class));
            }
        }
        let mut statuses = Vec::new();
        for (status, class) in self.status {
            let code = status.parse().ok().filter(|code| (100..600).contains(code));
            let problem = || DialectError::new("state.status", format!("`{status}` is no HTTP status"));
            statuses.push((code.ok_or_else(problem)?, class));
        }
        let pointer = pointer("state.pointer", self.pointer)?;
        if pointer.is_none() && statuses.is_empty() {
            return Err(DialectError::new("state", "say where the state is: give `pointer`, or `status`"));
        }
        if pointer.is_some() == words.is_empty() {
            let problem = "a pointer needs words (`succeeded = [\"done\"]`), and words need a pointer";
            return Err(DialectError::new("state.pointer", problem));
        }
        let classes = words.iter().map(|(_, class)| class).chain(statuses.iter().map(|(_, class)| class));
        if !classes.into_iter().any(|class| *class == JobClass::Succeeded) {
            return Err(DialectError::new(
                "state.succeeded",
                "name the word for success, or no job could ever succeed",
            ));
        }
        Ok(StateRules { pointer, words, statuses, refuse_unknown: self.unknown == UnknownWord::Error })
    }
}

impl DefaultsSection {
    fn check(self) -> Result<PolicyBuilder, DialectError> {
        let mut policy = Policy::builder();
        if let Some(delay) = duration("defaults.min_delay", self.min_delay)? {
            policy = policy.with_min_delay(delay);
        }
        if let Some(delay) = duration("defaults.max_delay", self.max_delay)? {
            policy = policy.with_max_delay(delay);
        }
        if let Some(factor) = self.factor {
            policy = policy.with_factor(factor);
        }
        if let Some(timeout) = duration("defaults.timeout", self.timeout)? {
            policy = policy.with_total_timeout(timeout);
        }
        if let Some(timeout) = duration("defaults.attempt_timeout", self.attempt_timeout)? {
            policy = policy.with_attempt_timeout(timeout);
        }
        if let Some(longest) = duration("defaults.max_retry_after", self.max_retry_after)? {
            policy = policy.with_max_retry_after(longest);
        }
        policy.clone().build().map_err(|error| DialectError::new("defaults", error))?;
        Ok(policy)
    }
}

fn duration(key: &str, text: Option<String>) -> Result<Option<Duration>, DialectError> {
    let parse = |text: String| {
        let problem = |error| DialectError::new(key, format!("`{text}`: {error}; write it as in `500ms` or `1h30m`"));
        humantime::parse_duration(&text).map_err(problem)
    };
    text.map(parse).transpose()
}

fn pointer(key: &str, text: Option<String>) -> Result<Option<String>, DialectError> {
    match text {
        Some(text) if !text.starts_with('/') || text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) => {
            let path = text.trim_start_matches(['$', '.', '/']).replace('.', "/").replace('~', "~0");
            Err(DialectError::new(key, format!("write a JSON pointer (RFC 6901), as in `/{path}`")))
        }
        text => Ok(text),
    }
}

fn header(key: &str, name: Option<String>) -> Result<Option<HeaderName>, DialectError> {
    let parse = |name: String| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| DialectError::new(key, format!("`{name}` is no header name")))
    };
    name.map(parse).transpose()
}

fn template(key: &str, text: &str) -> Result<Template, DialectError> {
    match text.split_once("{id}") {
        Some((before, after)) if before.starts_with('/') && !format!("{before}{after}").contains(['{', '}']) => {
            Ok(Template { before: before.to_string(), after: after.to_string() })
        }
        _ => Err(DialectError::new(key, "write a path with one `{id}` in it, as in `/jobs/{id}`")),
    }
}

fn base_url(key: &str, text: &str) -> Result<Url, DialectError> {
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err(DialectError::new(key, "leave user and password out of the address, and give them in a header"))
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(DialectError::new(key, format!("`{text}` is no http or https URL"))),
    }
}
