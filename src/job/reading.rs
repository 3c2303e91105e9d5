//! Taking an answer that was read.

use core::time::Duration;
use std::string::ToString;
use std::sync::Arc;

use http::header::{self, CACHE_CONTROL, DATE};
use http::{HeaderMap, HeaderName, Response};

use super::lesson::{Expecting, SIMULATED};
use super::{HopId, Job, Refused, Taken, Terms, failure_of, is_fatal};
use crate::dialect::{Address, JobClass, Names, Reading, header_text};
use crate::policy::LONGEST_CREDIBLE_HINT;
use crate::{Backend, LookError, Observation, Schedule, Timestamp};

/// How long after our own create a 404 means "not yet visible".
const VISIBLE_AFTER: Duration = Duration::from_secs(30);

/// Below this, the server's `Date`, which has whole seconds and travels for a while, does not prove its clock wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Looked for in every answer.
static AGE: HeaderName = header::AGE;

impl Job {
    pub(super) fn take_reading<S: Schedule, B>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        response: &Response<B>,
        mut reading: Reading,
    ) -> Taken {
        let told = self.extra.as_ref().and_then(|extra| extra.told).and_then(observation_of);
        let observation = match (reading.observation, told) {
            // An end that was told never changes, and a job that has ended is not lost.
            (Observation::Succeeded | Observation::Failed | Observation::Cancelled, Some(told)) => told,
            (Observation::Lost { .. }, Some(_)) => {
                let error = LookError::Status(response.status().as_u16());
                Observation::Transient { error, hint: None }
            }
            (Observation::Lost { definite: false }, None) if self.is_not_yet_visible(now) => {
                Observation::Pending { hint: None }
            }
            (observation, _) => observation,
        };
        // That it does not know the job any more is an answer all the same.
        let is_denied = matches!(reading.observation, Observation::Lost { .. }) && told.is_some();
        let known = reading.observation == observation;
        let names = Names::of(response.headers());
        let age = if names.may_have(&AGE) { age_of(response.headers()) } else { None };
        let unfinished = matches!(observation, Observation::Pending { .. } | Observation::Running { .. });
        let tells_state = known && reading.state.is_some() && !(unfinished && told.is_some());
        let changed = tells_state && reading.state.as_deref() != self.state.as_deref();
        if changed {
            self.state = reading.state.take().map(Arc::from);
        }
        if known && unfinished && told.is_none() {
            self.seen = true;
            let stale = age.unwrap_or_default().max(terms.backend.dialect().freshness());
            self.unfinished_at = self.unfinished_at.max(Some(self.sent_at.saturating_sub(stale)));
        }
        let progress = reading.progress;
        self.note_extra(terms.backend, now, response, names, &mut reading);
        if observation == Observation::Succeeded && !known {
            let other = reading.message.or(reading.state).unwrap_or_else(|| "no success".to_string());
            let why = format!("after the success the backend told another end: {other}");
            self.conclude_without_result(terms, now, id, &why);
            return Taken { good: true, answered: true, cool_down: reading.cool_down, ..Taken::default() };
        }
        if observation == Observation::Succeeded
            && let Some(taken) = self.go_for_result(terms, now, id, &mut reading, changed)
        {
            return taken;
        }
        let told = matches!(
            observation,
            Observation::Pending { .. }
                | Observation::Running { .. }
                | Observation::Succeeded
                | Observation::Failed
                | Observation::Cancelled
                | Observation::Lost { .. }
        );
        let status = response.status().as_u16();
        let message = reading.message.or_else(|| (!told).then(|| format!("HTTP status {status}")));
        let throttled = matches!(observation, Observation::Throttled { .. });
        let schedule = Expecting { schedule: &terms.schedule, end: self.expected_end(progress, now) };
        self.conclude(&terms.with_schedule(schedule), now, id, observation, message);
        if let Some(after) = reading.ask_again.filter(|_| unfinished) {
            self.poller.ask_again_after(terms.policy, now, after);
        }
        if let Some(time) = age.and_then(|age| repeated_for(response.headers(), age)).filter(|_| unfinished) {
            self.poller.skip_repetitions(terms.policy, now, time);
        }
        let refused = status == 401 && is_fatal(observation);
        Taken {
            good: told && !matches!(observation, Observation::Lost { .. }),
            answered: told || is_denied || is_fatal(observation),
            throttled,
            failed: failure_of(observation).filter(|_| !is_denied),
            hinted: observation.hint().is_some_and(|hint| hint.delay() <= LONGEST_CREDIBLE_HINT),
            cool_down: reading.cool_down,
            changed,
            unknown_state: changed && reading.unknown_state,
            refused: refused.then_some(Refused::ForGood),
        }
    }

    /// Notes what an answer tells beside the state.
    pub(super) fn note_extra<B>(
        &mut self,
        backend: &Backend,
        now: Timestamp,
        response: &Response<B>,
        names: Names,
        reading: &mut Reading,
    ) {
        if names.may_have(&SIMULATED) {
            self.note_simulation(response.headers());
        }
        let here = |at: Option<Timestamp>| at.map(|at| by_our_clock(at, response, now));
        if let Some(created) = here(reading.created_at) {
            self.poller.note_born(created);
            self.extra().created_at = Some(created);
        }
        if let Some(started) = here(reading.started_at) {
            self.extra().started_at = Some(started);
        }
        if let Some(ended) = here(reading.ended_at) {
            self.extra().ended_at = Some(ended);
        }
        if reading.progress.is_some() || reading.queue_position.is_some() {
            let extra = self.extra();
            (extra.progress, extra.queue_position) = (reading.progress, reading.queue_position);
        }
        if let Some(address) = reading.cancel_at.take() {
            let told_at = self.hop.as_mut().and_then(|hop| hop.url(backend, &self.job)).unwrap_or(backend.base());
            let address = told_at.join(&address).map_or(address, Address::new);
            self.extra().cancel_at = Some(address);
        }
        if let Some(result) = reading.result.take() {
            self.extra().result = Some(result);
        }
        for rule in reading.refined_for_now.drain(..) {
            let refined = &mut self.extra().refined;
            if refined.iter().all(|(known, _)| *known != rule) {
                refined.push((rule, now));
            }
        }
        if let Some(address) = reading.moved_to.take() {
            self.move_to(backend, &address);
        }
    }

    fn is_not_yet_visible(&self, now: Timestamp) -> bool {
        // In both directions: the clock may have been set back since.
        let is_young =
            |created: Timestamp| now.saturating_since(created).max(created.saturating_since(now)) < VISIBLE_AFTER;
        !self.seen && self.job.creation().is_some_and(is_young)
    }
}

/// How old an answer of a cache is (RFC 9111 §5.1).
fn age_of(headers: &HeaderMap) -> Option<Duration> {
    Some(Duration::from_secs(header_text(headers, &AGE)?.trim().parse().ok()?))
}

/// For how long a cache will repeat its answer: what is left of `max-age`, for a cache in front of many `s-maxage` (RFC
/// 9111 §5.2.2), whose answer is so old. Where no `Age` tells that a cache has answered, none is known of.
fn repeated_for(headers: &HeaderMap, age: Duration) -> Option<Duration> {
    let control = header_text(headers, CACHE_CONTROL)?;
    let seconds = |name: &str| {
        control.split(',').find_map(|directive| {
            let (key, value) = directive.split_once('=')?;
            let value = value.trim().trim_matches('"');
            key.trim().eq_ignore_ascii_case(name).then(|| value.parse::<u32>().ok()).flatten()
        })
    };
    let most = Duration::from_secs(seconds("s-maxage").or_else(|| seconds("max-age"))?.into());
    Some(most.saturating_sub(age)).filter(|left| !left.is_zero() && *left <= LONGEST_CREDIBLE_HINT)
}

/// The same as an answer says it.
fn observation_of(class: JobClass) -> Option<Observation> {
    match class {
        JobClass::Succeeded => Some(Observation::Succeeded),
        JobClass::Failed => Some(Observation::Failed),
        JobClass::Cancelled => Some(Observation::Cancelled),
        JobClass::Pending | JobClass::Running | JobClass::Lost => None,
    }
}

/// An instant of the server's clock on ours, as far as its `Date` (RFC 9110 §6.6.1) tells the difference.
fn by_our_clock<B>(instant: Timestamp, response: &Response<B>, now: Timestamp) -> Timestamp {
    let date = header_text(response.headers(), DATE).and_then(crate::dialect::parse_http_date);
    let Some(date) = date.filter(|_| !response.headers().contains_key(&AGE)) else { return instant };
    let (behind, ahead) = (now.saturating_since(date), date.saturating_since(now));
    if behind > CLOCK_TOLERANCE {
        instant.saturating_add(behind)
    } else if ahead > CLOCK_TOLERANCE {
        instant.saturating_sub(ahead)
    } else {
        instant
    }
}
