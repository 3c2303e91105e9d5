//! From sections to a description: each rule names the key that breaks it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;

use super::DialectError;
use super::sections::{
    BulkSection, CancelSection, CreateSection, DefaultsSection, EnvelopeSection, File, HintsSection, MissingState,
    PlaceValue, PointersValue, PollSection, ProgressSection, RefineSection, ResultSection, SourceValue, StateSection,
    TrustSection, Unit, UnknownWord, WordValue,
};
use crate::dialect::description::{
    Ask, Bulk, Cancel, Condition, Create, Description, Envelope, EnvelopeClass, JobClass, KeySource, Place,
    ProgressRules, Refine, ResultRules, Source, StateRules, TimesRules, Words,
};
use crate::dialect::template::Template;
use crate::dialect::{HintHeader, HintUnit};
use crate::policy::{Policy, PolicyBuilder};

/// Long inline results are successes; a body beyond this is an accident or an attack.
const DEFAULT_MAX_BODY: u64 = 16 * 1024 * 1024;

/// For how long most backends know an idempotency key.
const DEFAULT_KEY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

type Checked<T> = Result<T, DialectError>;

fn wrong<T>(key: &str, problem: impl core::fmt::Display) -> Checked<T> {
    Err(DialectError::new(key, problem))
}

impl File {
    pub(super) fn check(self) -> Checked<Description> {
        if self.name.trim().is_empty() {
            return wrong("name", "give the dialect a name");
        }
        if self.max_body == Some(0) {
            return wrong("max_body", "no answer is that short: give the most bytes to be read");
        }
        let poll_url = self.job.poll_url.map(|place| self::place("job.poll_url", place)).transpose()?;
        let ids = self.job.id.map(|place| self::place("job.id", place)).transpose()?;
        let (poll, poll_id) = self.poll.check(poll_url.is_some())?;
        if self.create.is_some() && poll.path.is_some() && ids.is_none() && poll_url.is_some() {
            let problem = "say where the answer to a create has the id, or leave out `poll.path`";
            return wrong("job.id", problem);
        }
        let in_progress = self.create.as_ref().is_some_and(|create| !create.in_progress.is_empty());
        for (key, given) in [("error.quota", !self.error.quota.is_empty()), ("create.in_progress", in_progress)] {
            if given && self.error.code.is_none() {
                return wrong(key, "say where an answer has its error code: give `error.code` beside it");
            }
        }
        let freshness = duration("freshness", self.freshness)?.unwrap_or_default();
        let (hint_header, hint_pointer) = self.hints.check()?;
        let (credential_headers, key, allowed_origins) = self.trust.check()?;
        Ok(Description {
            name: self.name,
            about: self.about,
            untried: self.untried,
            base_url: self.base_url.map(|text| base_url("base_url", &text)).transpose()?,
            create: self.create.map(CreateSection::check).transpose()?,
            // Where nothing is said, the id is where most APIs have it.
            ids: ids.or_else(|| poll_url.is_none().then(|| Place(vec![Source::Pointer("/id".to_string())]))),
            poll_url,
            expected_duration: optional_place("job.expected_duration", self.job.expected_duration)?,
            poll,
            poll_id,
            envelope: self.envelope.map(EnvelopeSection::check).transpose()?,
            state: self.state.check()?,
            refine: refine(self.refine)?,
            error: optional_place("error.pointer", self.error.pointer)?,
            code: optional_place("error.code", self.error.code)?,
            quota: self.error.quota.into_iter().map(WordValue::lower).collect(),
            result: self.result.check()?,
            progress: self.progress.check()?,
            times: TimesRules {
                created: optional_place("times.created", self.times.created)?,
                started: optional_place("times.started", self.times.started)?,
                ended: optional_place("times.ended", self.times.ended)?,
            },
            freshness,
            hint_header,
            hint_pointer,
            bulk: self.bulk.map(BulkSection::check).transpose()?,
            cancel: self.cancel.map(CancelSection::check).transpose()?,
            credential_headers,
            key,
            allowed_origins,
            max_body: self.max_body.unwrap_or(DEFAULT_MAX_BODY),
            policy: self.defaults.check(freshness)?,
        })
    }
}

impl CreateSection {
    fn check(self) -> Checked<Create> {
        if !(self.path.is_empty() || self.path.starts_with(['/', '?'])) || self.path.contains(['{', '}']) {
            let problem = "write a path without placeholders, as in `/jobs`, or nothing for the base URL itself";
            return wrong("create.path", problem);
        }
        let idempotency_header = self.idempotency_header.map(|name| header("create.idempotency_header", &name));
        let idempotency_header = idempotency_header.transpose()?;
        for (key, given) in [
            ("create.idempotency_ttl", self.idempotency_ttl.is_some()),
            ("create.in_progress", !self.in_progress.is_empty()),
        ] {
            if given && idempotency_header.is_none() {
                return wrong(key, "without `create.idempotency_header` no create is ever repeated");
            }
        }
        let field = |(name, value): (String, toml::Value)| {
            let value = json(&format!("create.body.{name}"), value)?;
            Ok((name, value))
        };
        let body = self.body.map(|table| table.into_iter().map(field).collect::<Checked<Map<_, _>>>());
        Ok(Create {
            method: method("create.method", self.method, Method::POST)?,
            path: self.path,
            headers: headers("create.headers", self.headers)?,
            body: body.transpose()?,
            idempotency_header,
            idempotency_ttl: duration("create.idempotency_ttl", self.idempotency_ttl)?.unwrap_or(DEFAULT_KEY_LIFE),
            in_progress: self.in_progress.into_iter().map(WordValue::lower).collect(),
        })
    }
}

impl PollSection {
    fn check(self, has_url: bool) -> Checked<(Ask, Place)> {
        if self.path.is_none() && !has_url {
            let problem = "say where a job is asked for: a path as in `/jobs/{id}`, or `job.poll_url`";
            return wrong("poll.path", problem);
        }
        if self.path.is_none() && self.id.is_some() {
            return wrong(
                "poll.id",
                "without `poll.path` a job is named by its address, which no answer has to repeat",
            );
        }
        let ask = Ask {
            method: method("poll.method", self.method, Method::GET)?,
            path: self.path.map(|path| template("poll.path", &path)).transpose()?,
            headers: headers("poll.headers", self.headers)?,
        };
        Ok((ask, optional_place("poll.id", self.id)?))
    }
}

impl EnvelopeSection {
    fn check(self) -> Checked<Envelope> {
        let mut words: Vec<(String, EnvelopeClass)> = Vec::new();
        let ok: Vec<_> = self.ok.into_iter().map(WordValue::lower).collect();
        for (key, list, class) in [
            ("envelope.throttled", self.throttled, EnvelopeClass::Throttled),
            ("envelope.lost", self.lost, EnvelopeClass::Lost),
            ("envelope.fatal", self.fatal, EnvelopeClass::Fatal),
        ] {
            for word in list.into_iter().map(WordValue::lower) {
                if ok.contains(&word) || words.iter().any(|(known, _)| *known == word) {
                    return wrong(key, format!("the word `{word}` is given twice"));
                }
                words.push((word, class));
            }
        }
        Ok(Envelope { pointer: pointer("envelope.pointer", self.pointer)?, ok, words })
    }
}

impl StateSection {
    fn check(self) -> Checked<StateRules> {
        let mut statuses = Vec::new();
        for (status, class) in &self.status {
            let is_code = |code: &u16| (100..600).contains(code) && code.to_string() == *status;
            let Some(code) = status.parse().ok().filter(is_code) else {
                return wrong("state.status", format!("`{status}` is no HTTP status"));
            };
            statuses.push((code, *class));
        }
        let missing = match self.missing {
            MissingState::Error => None,
            MissingState::Pending => Some(JobClass::Pending),
            MissingState::Running => Some(JobClass::Running),
            MissingState::Succeeded => Some(JobClass::Succeeded),
            MissingState::Failed => Some(JobClass::Failed),
            MissingState::Cancelled => Some(JobClass::Cancelled),
            MissingState::Lost => Some(JobClass::Lost),
        };
        let (pointer, words) = self.words("state")?;
        let place = optional_place("state.pointer", pointer)?;
        if place.is_nowhere() && statuses.is_empty() {
            return wrong("state", "say where the state is: give `pointer`, or `status`");
        }
        if place.is_nowhere() != words.known.is_empty() {
            let problem = "a pointer needs words (`succeeded = [\"done\"]`), and words need a pointer";
            return wrong("state.pointer", problem);
        }
        if place.is_nowhere() && missing.is_some() {
            return wrong("state.missing", "nothing can be missing where there is no `state.pointer`");
        }
        let classes = words.known.iter().map(|(_, class)| *class);
        let mut classes = classes.chain(statuses.iter().map(|(_, class)| *class)).chain(missing);
        if !classes.any(|class| class == JobClass::Succeeded) {
            return wrong("state.succeeded", "name the word for success, or no job could ever succeed");
        }
        Ok(StateRules { place, words, statuses, missing })
    }

    /// The pointer, and the words as a table.
    fn words(self, section: &str) -> Checked<(Option<PlaceValue>, Words)> {
        let mut known: Vec<(String, JobClass)> = Vec::new();
        for (key, list, class) in [
            ("pending", self.pending, JobClass::Pending),
            ("running", self.running, JobClass::Running),
            ("succeeded", self.succeeded, JobClass::Succeeded),
            ("failed", self.failed, JobClass::Failed),
            ("cancelled", self.cancelled, JobClass::Cancelled),
            ("lost", self.lost, JobClass::Lost),
        ] {
            for word in list.into_iter().map(WordValue::lower) {
                if known.iter().any(|(twin, _)| *twin == word) {
                    let problem = format!("the word `{word}` is given twice; letter case does not distinguish words");
                    return wrong(&format!("{section}.{key}"), problem);
                }
                known.push((word, class));
            }
        }
        Ok((self.pointer, Words { known, refuse_unknown: self.unknown == UnknownWord::Error }))
    }
}

fn refine(sections: Vec<RefineSection>) -> Checked<Vec<Refine>> {
    let check = |(number, section): (usize, RefineSection)| {
        let key = |name: &str| format!("refine[{number}].{name}");
        let condition = match (section.present, section.absent, section.at, section.equals) {
            (Some(text), None, None, None) => Condition::Present(pointer(&key("present"), text)?),
            (None, Some(text), None, None) => Condition::Absent(pointer(&key("absent"), text)?),
            (None, None, Some(text), Some(word)) => Condition::Equals(pointer(&key("at"), text)?, word.lower()),
            _ => {
                let problem = "give one condition: `present`, `absent`, or `at` with `equals`";
                return wrong(&format!("refine[{number}]"), problem);
            }
        };
        if section.when == section.then {
            return wrong(&key("then"), "this changes nothing: `when` and `then` are the same");
        }
        let unfinished = matches!(section.then, JobClass::Pending | JobClass::Running);
        if !unfinished && section.ask_again.is_some() {
            return wrong(&key("ask_again"), "an ended job is not asked again: `then` is no unfinished class");
        }
        let within = duration(&key("for"), section.r#for)?;
        if within == Some(Duration::ZERO) {
            return wrong(&key("for"), "this corrects nothing: leave it out for a correction without an end");
        }
        Ok(Refine {
            when: section.when,
            condition,
            then: section.then,
            within,
            ask_again: duration(&key("ask_again"), section.ask_again)?,
        })
    };
    sections.into_iter().enumerate().map(check).collect()
}

impl ResultSection {
    fn check(self) -> Checked<ResultRules> {
        let pointers = match self.pointer {
            None => Vec::new(),
            Some(PointersValue::One(text)) => vec![text],
            Some(PointersValue::Many(texts)) => texts,
        };
        if self.follow.is_some() && self.path.is_some() {
            return wrong("result.path", "give `follow` or `path`, not both");
        }
        Ok(ResultRules {
            pointers: pointers.into_iter().map(|text| pointer("result.pointer", text)).collect::<Checked<_>>()?,
            follow: self.follow.map(|follow| place("result.follow", follow)).transpose()?,
            path: self.path.map(|path| template("result.path", &path)).transpose()?,
        })
    }
}

impl ProgressSection {
    fn check(self) -> Checked<ProgressRules> {
        let of = self.of.unwrap_or(1.0);
        if !(of.is_finite() && of > 0.0) {
            return wrong("progress.of", "what the progress counts up to is a number above zero, as in `100`");
        }
        if self.of.is_some() && self.pointer.is_none() {
            return wrong("progress.of", "a whole without a part: give `progress.pointer` beside it");
        }
        Ok(ProgressRules {
            place: optional_place("progress.pointer", self.pointer)?,
            of,
            queue: self.queue.map(|text| pointer("progress.queue", text)).transpose()?,
        })
    }
}

/// A header, and a pointer with the unit of what is there.
type HintPlaces = (Option<HintHeader>, Option<(String, HintUnit)>);

impl HintsSection {
    fn check(self) -> Checked<HintPlaces> {
        if self.unit.is_some() && self.header.is_none() && self.pointer.is_none() {
            return wrong("hints.unit", "a unit of nothing: give `hints.header` or `hints.pointer` beside it");
        }
        let unit = match self.unit {
            Some(Unit::Milliseconds) => HintUnit::Milliseconds,
            Some(Unit::Seconds) | None => HintUnit::Seconds,
        };
        let name = self.header.map(|name| header("hints.header", &name)).transpose()?;
        let pointer = self.pointer.map(|text| pointer("hints.pointer", text)).transpose()?;
        Ok((name.map(|name| HintHeader { name, unit }), pointer.map(|pointer| (pointer, unit))))
    }
}

impl BulkSection {
    fn check(self) -> Checked<Bulk> {
        let path = match self.path.split_once("{ids}") {
            Some((before, after))
                if before.starts_with(['/', '?']) && !format!("{before}{after}").contains(['{', '}']) =>
            {
                (before.to_string(), after.to_string())
            }
            _ => return wrong("bulk.path", "write a path with one `{ids}` in it, as in `/jobs?ids={ids}`"),
        };
        if self.max < 2 {
            return wrong("bulk.max", "a bulk request asks for at least two jobs");
        }
        if self.next.is_some() != self.next_parameter.is_some() {
            return wrong("bulk.next", "pages need both `next` and `next_parameter`");
        }
        if !self.state.status.is_empty() {
            return wrong("bulk.state.status", "an entry of a bulk answer has no HTTP status of its own");
        }
        if self.state.missing != MissingState::Error {
            return wrong("bulk.state.missing", "an entry without a state is asked for by itself");
        }
        let (state, words) = self.state.words("bulk.state")?;
        let state = match state {
            Some(PlaceValue::One(SourceValue::Pointer(text))) => pointer("bulk.state.pointer", text)?,
            _ => return wrong("bulk.state.pointer", "say where an entry has its state, as in `/status`"),
        };
        if !words.known.iter().any(|(_, class)| *class == JobClass::Succeeded) {
            return wrong("bulk.state.succeeded", "name the word for success, or no job could ever succeed");
        }
        Ok(Bulk {
            path,
            separator: self.separator.unwrap_or_else(|| ",".to_string()),
            max: self.max,
            items: pointer("bulk.items", self.items)?,
            id: pointer("bulk.id", self.id)?,
            state,
            words,
            next: match (self.next, self.next_parameter) {
                (Some(text), Some(parameter)) => Some((pointer("bulk.next", text)?, parameter)),
                _ => None,
            },
            detail: self.detail,
        })
    }
}

impl CancelSection {
    fn check(self) -> Checked<Cancel> {
        if self.path.is_none() && self.url.is_none() {
            return wrong("cancel.path", "say where to cancel: a path as in `/jobs/{id}/cancel`, or `cancel.url`");
        }
        let ask = Ask {
            method: method("cancel.method", self.method, Method::POST)?,
            path: self.path.map(|path| template("cancel.path", &path)).transpose()?,
            headers: headers("cancel.headers", self.headers)?,
        };
        Ok(Cancel { ask, url: optional_place("cancel.url", self.url)? })
    }
}

impl TrustSection {
    fn check(self) -> Checked<(Vec<HeaderName>, Option<KeySource>, Vec<Url>)> {
        let headers = self.credential_headers.iter().map(|name| header("trust.credential_headers", name));
        let headers = headers.collect::<Checked<Vec<_>>>()?;
        let key = match (self.env, headers.first()) {
            (None, _) if self.prefix.is_some() => {
                return wrong("trust.prefix", "a prefix of nothing: give `trust.env` beside it");
            }
            (None, _) => None,
            (Some(_), None) => {
                return wrong("trust.env", "say in which of `trust.credential_headers` the key is sent");
            }
            (Some(variable), Some(header)) => {
                Some(KeySource { header: header.clone(), variable, prefix: self.prefix.unwrap_or_default() })
            }
        };
        let origins = self.allowed_origins.iter().map(|text| base_url("trust.allowed_origins", text));
        Ok((headers, key, origins.collect::<Checked<_>>()?))
    }
}

impl DefaultsSection {
    fn check(self, freshness: Duration) -> Checked<PolicyBuilder> {
        let mut policy = Policy::builder();
        let usual = Policy::default();
        // A look that comes sooner may be told what was told before.
        let shortest = usual.min_delay().max(freshness);
        let min = duration("defaults.min_delay", self.min_delay)?.unwrap_or(shortest);
        if min < freshness {
            let problem =
                "a look that comes sooner than `freshness` may be told old news: leave it out, or wait longer";
            return wrong("defaults.min_delay", problem);
        }
        policy = policy.with_min_delay(min);
        match (duration("defaults.max_delay", self.max_delay)?, usual.max_delay()) {
            (Some(max), _) => policy = policy.with_max_delay(max),
            (None, Some(max)) => policy = policy.with_max_delay(max.max(min)),
            (None, None) => {}
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

impl WordValue {
    fn lower(self) -> String {
        match self {
            Self::Text(text) => text.to_lowercase(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

fn optional_place(key: &str, value: Option<PlaceValue>) -> Checked<Place> {
    value.map_or_else(|| Ok(Place::default()), |value| place(key, value))
}

fn place(key: &str, value: PlaceValue) -> Checked<Place> {
    let values = match value {
        PlaceValue::One(value) => vec![value],
        PlaceValue::Many(values) if values.is_empty() => return wrong(key, "an empty list is nowhere: leave it out"),
        PlaceValue::Many(values) => values,
    };
    let source = |value| match value {
        SourceValue::Pointer(text) => Ok(Source::Pointer(pointer(key, text)?)),
        SourceValue::Header(value) => Ok(Source::Header(header(key, &value.header)?)),
    };
    Ok(Place(values.into_iter().map(source).collect::<Checked<_>>()?))
}

fn pointer(key: &str, text: String) -> Checked<String> {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if text.is_empty() || (text.starts_with('/') && escaped) {
        return Ok(text);
    }
    let path = text.trim_start_matches(['$', '.', '/']).replace('.', "/").replace('~', "~0");
    wrong(key, format!("write a JSON pointer (RFC 6901), as in `/{path}`"))
}

fn template(key: &str, text: &str) -> Checked<Template> {
    let problem = || DialectError::new(key, "write a path with one `{id}` in it, as in `/jobs/{id}`");
    Template::parse(text).ok_or_else(problem)
}

fn method(key: &str, text: Option<String>, usual: Method) -> Checked<Method> {
    let Some(text) = text else { return Ok(usual) };
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return wrong(key, format!("methods are written in capitals: `{}`", text.to_uppercase()));
    }
    Method::from_bytes(text.as_bytes()).or_else(|_| wrong(key, format!("`{text}` is no HTTP method")))
}

fn header(key: &str, name: &str) -> Checked<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).or_else(|_| wrong(key, format!("`{name}` is no header name")))
}

fn headers(key: &str, table: BTreeMap<String, String>) -> Checked<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, text) in table {
        let key = format!("{key}.{name}");
        let value = HeaderValue::from_str(&text).or_else(|_| wrong(&key, "this value cannot stand in a header"))?;
        if headers.insert(header(&key, &name)?, value).is_some() {
            return wrong(&key, "this header is given twice; letter case does not distinguish headers");
        }
    }
    Ok(headers)
}

/// The same in JSON, which has no dates, and no numbers that are none.
fn json(key: &str, value: toml::Value) -> Checked<Value> {
    Ok(match value {
        toml::Value::Datetime(_) => return wrong(key, "JSON has no dates: write it as a string"),
        toml::Value::Float(number) if !number.is_finite() => return wrong(key, "JSON has no such number"),
        toml::Value::Array(values) => values.into_iter().map(|value| json(key, value)).collect::<Checked<_>>()?,
        toml::Value::Table(table) => {
            let field = |(name, value)| Ok((name, json(key, value)?));
            Value::Object(table.into_iter().map(field).collect::<Checked<_>>()?)
        }
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
    })
}

fn duration(key: &str, text: Option<String>) -> Checked<Option<Duration>> {
    let parse = |text: String| {
        let problem = |error| DialectError::new(key, format!("`{text}`: {error}; write it as in `500ms` or `1h30m`"));
        humantime::parse_duration(&text).map_err(problem)
    };
    text.map(parse).transpose()
}

fn base_url(key: &str, text: &str) -> Checked<Url> {
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            wrong(key, "leave user and password out of the address, and give them in a header")
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => wrong(key, format!("`{text}` is no http or https URL")),
    }
}
