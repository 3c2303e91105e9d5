//! From an HTTP answer to what it says about the job.
//!
//! The ground rule: a 4xx or 5xx answer says that *reading the status* failed, not that the job failed.

use core::time::Duration;

use http::header::{AsHeaderName, LOCATION};
use http::{HeaderMap, Response};
use serde_json::Value;

use super::description::{Description, EnvelopeClass, JobClass, Place};
use super::hints::{parse_delay, read_hint};
use super::instant::parse_instant;
use super::names::Names;
use super::rate_limit::{exhausted_for, nothing_remains};
use super::wanted::Node;
use super::{
    Address, Dialect, HintSource, Reading, Rule, as_text, at, is_among, shorten, shortened, take_at, without_secrets,
};
use crate::{Hint, LookError, Observation, Timestamp};

/// An answer is either read, or followed elsewhere.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // lives on the stack, until it is taken apart
pub(crate) enum Answer {
    Read(Reading),
    /// Ask there instead; for ever, where `permanent`.
    Follow {
        to: String,
        permanent: bool,
    },
}

/// What an answer says that was asked for the result alone.
#[derive(Debug)]
pub(crate) enum ResultAnswer {
    /// `None` where the answer is no text.
    Found(Option<Value>),
    Follow(String),
    /// Why there is none, as an answer to a look would say it.
    Missing(Box<Reading>),
}

/// What a status means when no dialect says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The body tells the state.
    Body,
    /// Running, unless the body holds a terminal word.
    Accepted,
    /// Nothing has changed since the last answer.
    Unchanged,
    Redirect {
        permanent: bool,
    },
    /// A success without a state, for dialects that do not know it.
    Unexpected,
    Fatal,
    /// Throttled where a limit is told, else fatal.
    Forbidden,
    Missing,
    Gone,
    Throttled,
    Transient,
}

/// RFC 9110 §15 by section, with RFC 4918 (423), RFC 8470 (425) and RFC 6585 (429).
fn meaning(status: u16) -> Meaning {
    match status {
        200 | 201 => Meaning::Body,                                // §15.3.1, §15.3.2
        202 => Meaning::Accepted,                                  // §15.3.3
        301 | 308 => Meaning::Redirect { permanent: true },        // §15.4.2, §15.4.9
        302 | 303 | 307 => Meaning::Redirect { permanent: false }, // §15.4.3, §15.4.4, §15.4.8
        304 => Meaning::Unchanged,                                 // §15.4.5
        200..=399 => Meaning::Unexpected,                          // 204 (§15.3.5) and the rest
        403 => Meaning::Forbidden,                                 // §15.5.4
        404 => Meaning::Missing,                                   // §15.5.5
        410 => Meaning::Gone,                                      // §15.5.11
        429 => Meaning::Throttled,                                 // RFC 6585 §4
        408 | 409 | 423 | 425 => Meaning::Transient,               // §15.5.9, §15.5.10, RFC 4918 §11.3, RFC 8470 §5.2
        400..=499 => Meaning::Fatal,                               // 400, 401, 405, 422 and the rest: §15.5
        _ => Meaning::Transient,                                   // 5xx (§15.6), 1xx and what is no status
    }
}

impl Dialect {
    /// What an answer to a look says; redirects, which have to be followed, are read as transient. Corrections that hold
    /// for a limited time are made as for the first time, and whatever job it names is taken for the right one.
    pub fn read<B: AsRef<[u8]>>(&self, answer: &Response<B>, now: Timestamp) -> Reading {
        match self.answer(answer, now, None, &[]) {
            Answer::Read(reading) => reading,
            Answer::Follow { to, .. } => {
                let error = LookError::Status(answer.status().as_u16());
                let mut reading = Reading::of(Observation::Transient { error, hint: None }, Rule::Status);
                reading.message = Some(format!("redirected to {}", shortened(&without_secrets(&to))));
                reading
            }
        }
    }

    /// `id`: the job that was asked for, where it has one. `refined`: the corrections for a limited time, and when each was
    /// made first.
    pub(crate) fn answer<B: AsRef<[u8]>>(
        &self,
        answer: &Response<B>,
        now: Timestamp,
        id: Option<&str>,
        refined: &[(usize, Timestamp)],
    ) -> Answer {
        let context = Context { refined, ..Context::of(self, &self.wanted.look, answer, now) };
        let declared = context.declared();
        if declared.is_none()
            && let Meaning::Redirect { permanent } = meaning(context.status)
            && let Some(to) = header_text(context.headers, LOCATION)
        {
            return Answer::Follow { to: to.to_owned(), permanent };
        }
        let stranger = id.and_then(|id| context.stranger(id)).map(|stranger| (stranger, context.hint()));
        let mut reading = context.read(declared);
        if let Some((stranger, found)) = stranger
            && !reading.observation.is_of_the_request()
        {
            let problem = format!("the answer is about another job: {:?}", shortened(&stranger));
            let (cool_down, hint_source) = (reading.cool_down, found.map(|(_, source)| source));
            reading = Reading { hint_source, cool_down, ..malformed(&problem, found.map(|(hint, _)| hint)) };
        }
        Answer::Read(reading)
    }

    /// What an answer says that was asked for the result alone.
    pub(crate) fn read_result<B: AsRef<[u8]>>(&self, answer: &Response<B>, now: Timestamp) -> ResultAnswer {
        let context = Context::of(self, &self.wanted.look, answer, now);
        let unfinished = |rule: Rule| {
            let hint = context.hint().map(|(hint, _)| hint);
            ResultAnswer::Missing(Box::new(Reading::of(Observation::Running { hint }, rule)))
        };
        // The job has succeeded: what its status says now is said of the result.
        match (context.declared(), meaning(context.status)) {
            (Some(JobClass::Pending | JobClass::Running), _) => unfinished(Rule::DeclaredStatus),
            (Some(class @ (JobClass::Failed | JobClass::Cancelled | JobClass::Lost)), _) => {
                ResultAnswer::Missing(Box::new(context.read(Some(class))))
            }
            (None, Meaning::Accepted) => unfinished(Rule::Status),
            (_, Meaning::Redirect { .. }) if context.headers.contains_key("location") => {
                ResultAnswer::Follow(header_text(context.headers, LOCATION).unwrap_or_default().to_owned())
            }
            _ if !is_success(context.status) => ResultAnswer::Missing(Box::new(context.read(None))),
            _ => {
                // A result need not be wrapped.
                if let Some(failed) = context.read_envelope(context.hint().map(|(hint, _)| hint))
                    && !matches!(failed.observation, Observation::Transient { error: LookError::Malformed, .. })
                {
                    return ResultAnswer::Missing(Box::new(failed));
                }
                ResultAnswer::Found(match &context.body {
                    Some(_) if self.description().result.pointers.is_empty() => {
                        serde_json::from_slice(context.bytes).ok()
                    }
                    Some(_) => context.wanted_result.read(context.bytes).and_then(|body| context.result(body)),
                    None => context.text(),
                })
            }
        }
    }

    /// A failed request under a good status.
    pub(crate) fn envelope_error<B: AsRef<[u8]>>(&self, answer: &Response<B>, now: Timestamp) -> Option<Reading> {
        let context = Context::of(self, &self.wanted.look, answer, now);
        context.read_envelope(context.hint().map(|(hint, _)| hint))
    }

    /// The backend's code for a failed request.
    pub(crate) fn error_code<B: AsRef<[u8]>>(&self, answer: &Response<B>) -> Option<String> {
        let body = self.wanted.look.read(answer.body().as_ref());
        self.description().code.text(body.as_ref(), answer.headers())
    }
}

/// A number beyond that is read as the nearest that can be kept: the end of 64 bits.
const EXACT: f64 = 18_446_744_073_709_551_615.0;

pub(super) struct Context<'a> {
    description: &'a Description,
    pub(super) status: u16,
    headers: &'a HeaderMap,
    names: Names,
    bytes: &'a [u8],
    /// What is wanted of the body; `None` where it is no JSON.
    pub(super) body: Option<Value>,
    wanted_result: &'a Node,
    now: Timestamp,
    refined: &'a [(usize, Timestamp)],
}

impl<'a> Context<'a> {
    pub(super) fn of<B: AsRef<[u8]>>(
        dialect: &'a Dialect,
        wanted: &Node,
        answer: &'a Response<B>,
        now: Timestamp,
    ) -> Self {
        let bytes = answer.body().as_ref();
        Self {
            description: dialect.description(),
            status: answer.status().as_u16(),
            headers: answer.headers(),
            names: Names::of(answer.headers()),
            bytes,
            body: wanted.read(bytes),
            wanted_result: &dialect.wanted.result,
            now,
            refined: &[],
        }
    }

    /// The job that the answer is about, where that is not this one. Letter case does not tell two jobs apart, and neither
    /// does a number that is too large to be read exactly.
    fn stranger(&self, id: &str) -> Option<String> {
        let told = self.description.poll_id.find(self.body.as_ref(), self.headers)?;
        let is_same = match &*told {
            Value::String(told) => told.eq_ignore_ascii_case(id),
            Value::Number(told) => told.to_string() == id || told.as_f64().is_some_and(|told| told.abs() > EXACT),
            other => as_text(other).is_none_or(|told| told == id),
        };
        if is_same { None } else { as_text(&told) }
    }

    fn declared(&self) -> Option<JobClass> {
        let statuses = &self.description.state.statuses;
        statuses.iter().find(|(code, _)| *code == self.status).map(|(_, class)| *class)
    }

    pub(super) fn read(self, declared: Option<JobClass>) -> Reading {
        let found = self.hint();
        let hint = found.map(|(hint, _)| hint);
        let reading = match (self.read_envelope(hint), declared) {
            (Some(failed), _) => failed,
            (None, Some(class)) => self.read_class(class, Rule::DeclaredStatus, hint),
            (None, None) => self.read_by_meaning(hint),
        };
        self.completed(reading, found)
    }

    /// A reading with everything that the answer tells beside the state, and the hint that was found in it.
    pub(super) fn completed(&self, mut reading: Reading, found: Option<(Hint, HintSource)>) -> Reading {
        let hint = found.map(|(hint, _)| hint);
        let told_to_all = match reading.observation {
            Observation::Throttled { .. } => hint,
            Observation::Transient { .. } if self.status == 503 => hint,
            _ => None,
        };
        // What else an answer asks for concerns its job alone; an exhausted quota concerns all.
        reading.cool_down = told_to_all.map(Hint::delay).or_else(|| exhausted_for(self.headers));
        reading.state = reading.state.map(shorten);
        reading.message = reading.message.map(shorten);
        if matches!(reading.observation, Observation::Pending { .. } | Observation::Running { .. }) {
            let location =
                Some(LOCATION).filter(|_| self.status == 202).and_then(|name| header_text(self.headers, name));
            reading.moved_to = location.map(|address| Address::new(address.to_owned()));
            reading.progress = self.progress();
            let queue = self.pointed(self.description.progress.queue.as_deref());
            reading.queue_position = queue.and_then(Value::as_u64);
        }
        reading.hint_source = found.map(|(_, source)| source);
        let times = &self.description.times;
        reading.created_at = self.time(&times.created);
        reading.started_at = self.time(&times.started);
        reading.ended_at = self.time(&times.ended);
        let cancel = self.description.cancel.as_ref();
        let cancel_at = cancel.and_then(|cancel| cancel.url.text(self.body.as_ref(), self.headers));
        reading.cancel_at = cancel_at.map(Address::new);
        reading
    }

    /// A failed request under a good status, where the dialect has an envelope.
    pub(super) fn read_envelope(&self, hint: Option<Hint>) -> Option<Reading> {
        let envelope = self.description.envelope.as_ref().filter(|_| is_success(self.status))?;
        let body = self.body.as_ref()?;
        let told = at(body, &envelope.pointer);
        let code = told.and_then(as_text);
        if told.is_none() && envelope.ok.is_empty() {
            return None;
        }
        let Some(told) = told else {
            let mut reading = malformed(&format!("the answer has no envelope at {}", envelope.pointer), hint);
            reading.rule = Rule::Envelope;
            return Some(reading);
        };
        if code.as_ref().is_some_and(|code| is_among(&envelope.ok, code)) {
            return None;
        }
        let lower = code.as_ref().map(|code| code.to_lowercase());
        let class = envelope.words.iter().find(|(word, _)| lower.as_ref() == Some(word)).map(|(_, class)| *class);
        let error = LookError::Envelope;
        let observation = match class {
            Some(EnvelopeClass::Throttled) => Observation::Throttled { error, hint },
            Some(EnvelopeClass::Lost) => Observation::Lost { definite: false },
            Some(EnvelopeClass::Fatal) => Observation::Fatal { error },
            None => Observation::Transient { error, hint },
        };
        let message = self.message().or(code).unwrap_or_else(|| told.to_string());
        Some(Reading { message: Some(message), ..Reading::of(observation, Rule::Envelope) })
    }

    fn read_by_meaning(&self, hint: Option<Hint>) -> Reading {
        let error = LookError::Status(self.status);
        let mut rule = Rule::Status;
        let observation = match meaning(self.status) {
            Meaning::Body => return self.read_state(hint),
            Meaning::Accepted => return self.read_accepted(hint),
            Meaning::Unchanged => Observation::Running { hint },
            Meaning::Missing => Observation::Lost { definite: false },
            Meaning::Gone => Observation::Lost { definite: true },
            Meaning::Throttled if self.tells_a_spent_quota() => {
                rule = Rule::Quota;
                Observation::Fatal { error }
            }
            Meaning::Throttled => Observation::Throttled { error, hint },
            Meaning::Forbidden if self.tells_a_limit() => Observation::Throttled { error, hint },
            Meaning::Forbidden | Meaning::Fatal => Observation::Fatal { error },
            Meaning::Transient => Observation::Transient { error, hint },
            Meaning::Redirect { .. } | Meaning::Unexpected => {
                Observation::Transient { error: LookError::Malformed, hint }
            }
        };
        let observation = match (header_text(self.headers, "x-should-retry"), observation) {
            (Some("true"), Observation::Fatal { error }) => Observation::Transient { error, hint },
            (Some("false"), Observation::Transient { error, .. } | Observation::Throttled { error, .. }) => {
                Observation::Fatal { error }
            }
            (_, observation) => observation,
        };
        Reading { message: self.message(), ..Reading::of(observation, rule) }
    }

    /// The state by its word in the body.
    fn read_state(&self, hint: Option<Hint>) -> Reading {
        let rules = &self.description.state;
        if rules.place.is_nowhere() {
            return malformed(&format!("the dialect does not say what status {} means", self.status), hint);
        }
        let Some(word) = rules.place.text(self.body.as_ref(), self.headers) else {
            return match rules.missing {
                Some(class) if self.body.is_some() || self.bytes.is_empty() => {
                    self.read_class(class, Rule::MissingState, hint)
                }
                _ if self.body.is_none() => malformed("the answer is no JSON", hint),
                _ => malformed(&format!("the answer has no state at {}", rules.place), hint),
            };
        };
        let class = rules.words.class(&word);
        let mut reading = match class {
            Some(class) => self.read_class(class, Rule::Word, hint),
            None if rules.words.refuse_unknown => {
                let observation = Observation::Transient { error: LookError::UnknownState, hint };
                let message = format!("the state {:?} is unknown to the dialect", shortened(&word));
                Reading { message: Some(message), ..Reading::of(observation, Rule::UnknownWord) }
            }
            None => self.read_class(JobClass::Running, Rule::UnknownWord, hint),
        };
        reading.unknown_state = class.is_none();
        reading.state = Some(word);
        reading
    }

    /// 202: running, unless the body holds a terminal word.
    fn read_accepted(&self, hint: Option<Hint>) -> Reading {
        let told = self.read_state(hint);
        if told.state.is_none() || matches!(told.observation, Observation::Transient { .. }) {
            return Reading::of(Observation::Running { hint }, Rule::Status);
        }
        told
    }

    /// What a class says, once it is corrected.
    fn read_class(&self, class: JobClass, rule: Rule, hint: Option<Hint>) -> Reading {
        let (mut class, mut rule) = (class, rule);
        let (mut ask_again, mut for_now) = (None, Vec::new());
        for (number, refine) in self.description.refine.iter().enumerate() {
            let since = self.refined.iter().find(|(known, _)| *known == number).map(|(_, since)| *since);
            let age = since.map_or(Duration::ZERO, |since| self.now.saturating_since(since));
            let over = refine.within.is_some_and(|within| age >= within);
            if refine.when == class && !over && refine.condition.holds(self.body.as_ref()) {
                (class, rule, ask_again) = (refine.then, Rule::Refined(number), refine.ask_again);
                for_now.extend(refine.within.map(|_| number));
            }
        }
        let observation = match class {
            JobClass::Pending => Observation::Pending { hint },
            JobClass::Running => Observation::Running { hint },
            JobClass::Succeeded => Observation::Succeeded,
            JobClass::Failed => Observation::Failed,
            JobClass::Cancelled => Observation::Cancelled,
            JobClass::Lost => Observation::Lost { definite: false },
        };
        let mut reading = Reading { ask_again, refined_for_now: for_now, ..Reading::of(observation, rule) };
        match class {
            JobClass::Succeeded => self.read_result(&mut reading),
            JobClass::Failed | JobClass::Cancelled | JobClass::Lost => reading.message = self.message(),
            JobClass::Pending | JobClass::Running => {}
        }
        reading
    }

    fn read_result(&self, reading: &mut Reading) {
        let rules = &self.description.result;
        let follow = rules.follow.as_ref().and_then(|place| place.text(self.body.as_ref(), self.headers));
        match (&self.body, follow) {
            (_, Some(address)) => reading.result_at = Some(Address::new(address)),
            (Some(_), None) => match self.wanted_result.read(self.bytes) {
                Some(body) => reading.result = self.result(body),
                None => reading.message = Some("the result in the answer is no JSON that can be kept".to_string()),
            },
            // The whole body is text.
            (None, None) if rules.pointers.iter().any(String::is_empty) => reading.result = self.text(),
            (None, None) => {}
        }
    }

    /// The result in what is wanted of the body for it. Read by itself, since it may be most of the body, and hardly an
    /// answer has one.
    fn result(&self, mut body: Value) -> Option<Value> {
        self.description.result.pointers.iter().find_map(|pointer| take_at(&mut body, pointer))
    }

    /// The body as text, where it is that.
    fn text(&self) -> Option<Value> {
        let text = str::from_utf8(self.bytes).ok().filter(|text| !text.is_empty())?;
        Some(Value::String(text.to_owned()))
    }

    fn progress(&self) -> Option<f64> {
        let rules = &self.description.progress;
        let text = rules.place.text(self.body.as_ref(), self.headers)?;
        // A percentage counts up to a hundred, whatever the numbers do.
        let (part, of) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text.trim(), rules.of),
        };
        let share = part.parse::<f64>().ok()? / of;
        share.is_finite().then(|| share.clamp(0.0, 1.0))
    }

    pub(super) fn hint(&self) -> Option<(Hint, HintSource)> {
        let told = self.description.hint_pointer.as_ref().and_then(|(pointer, unit)| {
            let text = self.pointed(Some(pointer)).and_then(as_text)?;
            parse_delay(&text, *unit)
        });
        read_hint(self.headers, self.description.hint_header.as_ref(), told, self.now)
    }

    /// Whether a 403 is a limit's: GitHub and others say so with these headers.
    fn tells_a_limit(&self) -> bool {
        self.headers.contains_key("retry-after") || nothing_remains(self.headers)
    }

    fn tells_a_spent_quota(&self) -> bool {
        let code = self.description.code.text(self.body.as_ref(), self.headers);
        code.is_some_and(|code| is_among(&self.description.quota, &code))
    }

    fn message(&self) -> Option<String> {
        let told = self.description.error.find(self.body.as_ref(), self.headers)?;
        Some(as_text(&told).unwrap_or_else(|| told.to_string()))
    }

    fn pointed(&self, pointer: Option<&str>) -> Option<&Value> {
        at(self.body.as_ref()?, pointer?)
    }

    fn time(&self, place: &Place) -> Option<Timestamp> {
        let place = Some(place).filter(|place| !place.is_missing(self.names))?;
        parse_instant(&*place.find(self.body.as_ref(), self.headers)?)
    }
}

pub(super) fn malformed(message: &str, hint: Option<Hint>) -> Reading {
    let observation = Observation::Transient { error: LookError::Malformed, hint };
    Reading { message: Some(message.to_owned()), ..Reading::of(observation, Rule::Malformed) }
}

/// 2xx.
pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// A header's text, where it is visible ASCII.
pub(crate) fn header_text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
