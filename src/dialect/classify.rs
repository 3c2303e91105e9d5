//! From an HTTP answer to what it says about the job.
//!
//! The ground rule: a 4xx or 5xx answer says that *reading the status* failed, not that the job failed.

use core::time::Duration;

use http::{HeaderMap, Response};
use serde_json::Value;

use super::hints::{parse_delay, read_hint};
use super::rate_limit::{exhausted_for, nothing_remains};
use super::{Description, Dialect, HintSource, JobClass, as_text, at, shortened};
use crate::{Hint, LookError, Observation, Timestamp};

/// What one answer says, in full.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// What it says about the job, in codes.
    pub observation: Observation,
    /// The state word as the backend wrote it.
    pub state: Option<String>,
    /// The state is a word that the dialect does not know.
    pub unknown_state: bool,
    /// The backend's words on what went wrong, or ours where the answer could not be understood.
    pub message: Option<String>,
    /// The job's result, where the answer carries it.
    pub result: Option<Value>,
    /// Where the hint in the observation was found.
    pub hint_source: Option<HintSource>,
    /// How long nobody with this credential should ask this backend, whatever the job.
    pub cool_down: Option<Duration>,
    /// When the job was created, as the backend tells.
    pub created_at: Option<Timestamp>,
    /// When the job ended, as the backend tells.
    pub ended_at: Option<Timestamp>,
    /// A 202 moved the poll URL here.
    pub moved_to: Option<String>,
}

/// An answer is either read, or followed elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Read(Box<Reading>),
    /// Ask there instead; for ever, where `permanent`.
    Follow {
        to: String,
        permanent: bool,
    },
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
    /// What an answer to a look says; redirects, which have to be followed, are read as transient.
    pub fn read<B: AsRef<[u8]>>(&self, answer: &Response<B>, now: Timestamp) -> Reading {
        match self.answer(answer, now) {
            Answer::Read(reading) => *reading,
            Answer::Follow { to, .. } => {
                let error = LookError::Status(answer.status().as_u16());
                let mut reading = Reading::of(Observation::Transient { error, hint: None });
                reading.message = Some(format!("redirected to {}", shortened(without_query(&to))));
                reading
            }
        }
    }

    pub(crate) fn answer<B: AsRef<[u8]>>(&self, answer: &Response<B>, now: Timestamp) -> Answer {
        let description = self.description();
        let (status, headers) = (answer.status().as_u16(), answer.headers());
        let declared = description.state.statuses.iter().find(|(code, _)| *code == status).map(|(_, class)| *class);
        if declared.is_none()
            && let Meaning::Redirect { permanent } = meaning(status)
            && let Some(to) = header_text(headers, "location")
        {
            return Answer::Follow { to, permanent };
        }
        let body = serde_json::from_slice::<Value>(answer.body().as_ref()).ok();
        let context = Context { description, status, headers, body, now };
        Answer::Read(Box::new(context.read(declared)))
    }
}

impl Reading {
    fn of(observation: Observation) -> Self {
        Self {
            observation,
            state: None,
            unknown_state: false,
            message: None,
            result: None,
            hint_source: None,
            cool_down: None,
            created_at: None,
            ended_at: None,
            moved_to: None,
        }
    }
}

struct Context<'a> {
    description: &'a Description,
    status: u16,
    headers: &'a HeaderMap,
    body: Option<Value>,
    now: Timestamp,
}

impl Context<'_> {
    fn read(self, declared: Option<JobClass>) -> Reading {
        let found = self.hint();
        let hint = found.map(|(hint, _)| hint);
        let mut reading = match declared {
            Some(class) => self.read_class(class, hint),
            None => self.read_by_meaning(hint),
        };
        let told_to_all = match reading.observation {
            Observation::Throttled { .. } => hint,
            Observation::Transient { .. } if self.status == 503 => hint,
            _ => None,
        };
        // What else an answer asks for concerns its job alone; an exhausted quota concerns all.
        reading.cool_down = told_to_all.map(Hint::delay).or_else(|| exhausted_for(self.headers));
        reading.state = reading.state.map(|state| shortened(&state).into_owned());
        reading.message = reading.message.map(|message| shortened(&message).into_owned());
        if self.status == 202
            && matches!(reading.observation, Observation::Pending { .. } | Observation::Running { .. })
        {
            reading.moved_to = header_text(self.headers, "location");
        }
        reading.hint_source = found.map(|(_, source)| source);
        reading.created_at = self.time(self.description.created.as_ref());
        reading.ended_at = self.time(self.description.ended.as_ref());
        reading
    }

    fn read_by_meaning(&self, hint: Option<Hint>) -> Reading {
        let error = LookError::Status(self.status);
        let observation = match meaning(self.status) {
            Meaning::Body => return self.read_state(hint),
            Meaning::Accepted => return self.read_accepted(hint),
            Meaning::Unchanged => Observation::Running { hint },
            Meaning::Missing => Observation::Lost { definite: false },
            Meaning::Gone => Observation::Lost { definite: true },
            Meaning::Throttled => Observation::Throttled { error, hint },
            Meaning::Forbidden if self.tells_a_limit() => Observation::Throttled { error, hint },
            Meaning::Forbidden | Meaning::Fatal => Observation::Fatal { error },
            Meaning::Transient => Observation::Transient { error, hint },
            Meaning::Redirect { .. } | Meaning::Unexpected => {
                Observation::Transient { error: LookError::Malformed, hint }
            }
        };
        let observation = match (header_text(self.headers, "x-should-retry").as_deref(), observation) {
            (Some("true"), Observation::Fatal { error }) => Observation::Transient { error, hint },
            (Some("false"), Observation::Transient { error, .. } | Observation::Throttled { error, .. }) => {
                Observation::Fatal { error }
            }
            (_, observation) => observation,
        };
        Reading { message: self.message(), ..Reading::of(observation) }
    }

    /// The state by its word in the body.
    fn read_state(&self, hint: Option<Hint>) -> Reading {
        let rules = &self.description.state;
        let malformed = |message: &str| Reading {
            message: Some(message.to_owned()),
            ..Reading::of(Observation::Transient { error: LookError::Malformed, hint })
        };
        let Some(pointer) = &rules.pointer else {
            return malformed(&format!("the dialect does not say what status {} means", self.status));
        };
        let Some(body) = &self.body else {
            return malformed("the answer is no JSON");
        };
        let Some(word) = at(body, pointer).and_then(as_text) else {
            return malformed(&format!("the answer has no state at {pointer}"));
        };
        let lower = word.to_lowercase();
        let class = rules.words.iter().find(|(known, _)| *known == lower).map(|(_, class)| *class);
        let mut reading = match class {
            Some(class) => self.read_class(class, hint),
            None if rules.refuse_unknown => Reading {
                message: Some(format!("the state {:?} is unknown to the dialect", shortened(&word))),
                ..Reading::of(Observation::Transient { error: LookError::UnknownState, hint })
            },
            None => Reading::of(Observation::Running { hint }),
        };
        reading.unknown_state = class.is_none();
        reading.state = Some(word);
        reading
    }

    /// 202: running, unless the body holds a terminal word.
    fn read_accepted(&self, hint: Option<Hint>) -> Reading {
        let told = self.read_state(hint);
        match told.observation {
            Observation::Transient { .. } => Reading::of(Observation::Running { hint }),
            _ => told,
        }
    }

    fn read_class(&self, class: JobClass, hint: Option<Hint>) -> Reading {
        let mut reading = Reading::of(match class {
            JobClass::Pending => Observation::Pending { hint },
            JobClass::Running => Observation::Running { hint },
            JobClass::Succeeded => Observation::Succeeded,
            JobClass::Failed => Observation::Failed,
            JobClass::Cancelled => Observation::Cancelled,
            JobClass::Lost => Observation::Lost { definite: false },
        });
        match class {
            JobClass::Succeeded => reading.result = self.pointed(self.description.result.as_deref()).cloned(),
            JobClass::Failed | JobClass::Cancelled | JobClass::Lost => reading.message = self.message(),
            JobClass::Pending | JobClass::Running => {}
        }
        reading
    }

    fn hint(&self) -> Option<(Hint, HintSource)> {
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

    fn message(&self) -> Option<String> {
        self.pointed(self.description.error.as_deref()).map(|value| as_text(value).unwrap_or_else(|| value.to_string()))
    }

    fn pointed(&self, pointer: Option<&str>) -> Option<&Value> {
        at(self.body.as_ref()?, pointer?)
    }

    /// Unix seconds with decimals, as a header tells them.
    fn time(&self, header: Option<&http::HeaderName>) -> Option<Timestamp> {
        let text = header_text(self.headers, header?.as_str())?;
        parse_delay(&text, super::HintUnit::Seconds).map(|since| Timestamp::UNIX_EPOCH.saturating_add(since))
    }
}

/// A header's text, where it is visible ASCII.
pub(crate) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// An address without what may be secret in it.
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
