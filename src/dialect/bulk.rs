//! Answers that tell the states of many jobs.

use core::time::Duration;
use std::boxed::Box;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::string::String;

use http::Response;
use serde_json::Value;

use super::classify::{Context, is_success, malformed};
use super::description::{Bulk, JobClass};
use super::rate_limit::exhausted_for;
use super::{Dialect, Reading, Rule, as_text, at, shorten};
use crate::{Hint, LookError, Observation, Timestamp};

/// What an answer to a bulk request says.
#[derive(Debug)]
pub(crate) enum BulkAnswer {
    Entries {
        /// By id, each once; without those of which the list says two things.
        entries: HashMap<String, Reading>,
        /// The token of the next page.
        next: Option<String>,
        /// Nobody should ask this backend for so long.
        cool_down: Option<Duration>,
    },
    /// The request failed as a whole, as an answer to a look would say it.
    Failed(Box<Reading>),
}

impl Dialect {
    pub(crate) fn bulk(&self) -> Option<&Bulk> {
        self.description().bulk.as_ref()
    }

    /// What an answer to a bulk request says, by a dialect that has such requests.
    pub(crate) fn read_bulk<B: AsRef<[u8]>>(&self, answer: &Response<B>, now: Timestamp) -> BulkAnswer {
        let context = Context::of(self, &self.wanted.list, answer, now);
        let found = context.hint();
        let hint = found.map(|(hint, _)| hint);
        let failed = |reading: Reading| BulkAnswer::Failed(Box::new(reading));
        let Some(bulk) = self.bulk() else { return failed(malformed("the dialect has no bulk requests", hint)) };
        if let Some(reading) = context.read_envelope(hint) {
            return failed(context.completed(reading, found));
        }
        if !is_success(context.status) {
            return failed(context.read(None));
        }
        let items = context.body.as_ref().and_then(|body| at(body, &bulk.items)).and_then(Value::as_array);
        let Some(items) = items else {
            let problem = format!("the answer has no list of jobs at {}", bulk.items);
            return failed(context.completed(malformed(&problem, hint), found));
        };
        // A list that says two things of one job says nothing of it.
        let mut told: HashMap<String, Option<Reading>> = HashMap::with_capacity(items.len());
        for item in items {
            if let Some(id) = at(item, &bulk.id).and_then(as_text)
                && let Some(reading) = bulk.read_entry(item, hint)
            {
                match told.entry(id) {
                    Entry::Vacant(place) => drop(place.insert(Some(reading))),
                    Entry::Occupied(mut place) => {
                        place.get_mut().take_if(|known| known.observation != reading.observation);
                    }
                }
            }
        }
        let entries = told.into_iter().filter_map(|(id, reading)| Some((id, reading?))).collect();
        let next = bulk.next.as_ref().and_then(|(pointer, _)| at(context.body.as_ref()?, pointer)).and_then(as_text);
        let next = next.filter(|token| !token.is_empty());
        BulkAnswer::Entries { entries, next, cool_down: exhausted_for(answer.headers()) }
    }
}

impl Bulk {
    /// What an entry says; `None` where it has no state, as if it were not there.
    fn read_entry(&self, item: &Value, hint: Option<Hint>) -> Option<Reading> {
        let word = at(item, &self.state).and_then(as_text)?;
        let class = self.words.class(&word);
        let observation = match class {
            Some(JobClass::Pending) => Observation::Pending { hint },
            Some(JobClass::Succeeded) => Observation::Succeeded,
            Some(JobClass::Failed) => Observation::Failed,
            Some(JobClass::Cancelled) => Observation::Cancelled,
            Some(JobClass::Lost) => Observation::Lost { definite: false },
            None if self.words.refuse_unknown => Observation::Transient { error: LookError::UnknownState, hint },
            Some(JobClass::Running) | None => Observation::Running { hint },
        };
        let mut reading = Reading::of(observation, if class.is_some() { Rule::Word } else { Rule::UnknownWord });
        reading.unknown_state = class.is_none();
        reading.state = Some(shorten(word));
        Some(reading)
    }
}
