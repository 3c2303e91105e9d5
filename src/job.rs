//! The whole HTTP life of one job: the poller's state, and what the dialect has to remember beside it.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;

use http::{Request, Response};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::dialect::{Answer, JobClass, Reading, ResultAnswer, header_text, shortened, without_query};
use crate::finished::{Finished, TransportError, explain};
use crate::policy::LONGEST_CREDIBLE_HINT;
use crate::{
    Action, AttemptId, Backend, Ended, Hint, JobRef, LookError, Observation, Outcome, Policy, PollerState, Schedule,
    Timestamp, WaitReason,
};

/// Redirects followed in a row.
const MOST_HOPS: usize = 5;

/// How long after our own create a 404 means "not yet visible".
const VISIBLE_AFTER: Duration = Duration::from_secs(30);

/// Below this, the server's `Date`, which has whole seconds and travels for a while, does not prove its clock wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Names one request of one job: an attempt, and its redirect hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HopId {
    pub(crate) attempt: AttemptId,
    pub(crate) hop: u8,
}

/// What a job wants next.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // lives on the stack, for one step
pub(crate) enum JobStep {
    Sleep { until: Timestamp, reason: WaitReason },
    Send { id: HopId, request: Request<Vec<u8>>, timeout: Duration },
    Ended(Ended),
}

/// What became of an answer.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Taken {
    /// The answer told the state of a job that the backend knows.
    pub(crate) good: bool,
    /// The backend did its work, whatever it said: the answer was no redirect, no breakdown and no call for patience.
    pub(crate) answered: bool,
    /// It was throttled: neither good nor bad.
    pub(crate) throttled: bool,
    /// A hint was followed.
    pub(crate) hinted: bool,
    /// Nobody should ask this backend for so long.
    pub(crate) cool_down: Option<Duration>,
    /// The state is another than before.
    pub(crate) changed: bool,
    /// The state is a word that the dialect does not know.
    pub(crate) unknown_state: bool,
    /// The credentials were refused.
    pub(crate) refused: Option<Refused>,
}

/// What refused credentials (401) mean for the job that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// They have been renewed since the request was sent: the job asks again.
    Outdated,
    /// The job waits for them to be renewed.
    Renewable,
    /// The wait has ended.
    ForGood,
}

/// By which rules a job is stepped.
#[derive(Debug)]
pub(crate) struct Terms<'a, S> {
    pub(crate) backend: &'a Backend,
    pub(crate) policy: &'a Policy,
    pub(crate) schedule: &'a S,
    /// Refused credentials can be renewed.
    pub(crate) renewable: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // `job` is a reference to it
pub(crate) struct Job {
    pub(crate) poller: PollerState,
    pub(crate) job: JobRef,
    #[serde(skip)]
    hop: Option<Box<Hop>>,
    state: Option<Box<str>>,
    message: Option<Box<str>>,
    requests: u32,
    failed_requests: u32,
    /// The backend has told a state of this job at least once.
    seen: bool,
    sent_at: Timestamp,
    /// The latest instant at which the job was certainly unfinished.
    unfinished_at: Option<Timestamp>,
    #[serde(default)]
    extra: Option<Box<Extra>>,
}

/// What most jobs never need.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Extra {
    /// Where a 301, 308 or 202 moved the poll URL; validated again whenever it is used.
    moved_to: Option<Box<str>>,
    /// The job's end, known from an answer that did not carry the result.
    told: Option<JobClass>,
    /// When the first correction for a limited time was made.
    refined_since: Option<Timestamp>,
    created_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    #[serde(skip)]
    result: Option<Value>,
    #[serde(skip)]
    progress: Option<f64>,
    #[serde(skip)]
    queue_position: Option<u64>,
    #[serde(skip)]
    cancel_at: Option<Box<str>>,
}

/// The request under way, or the redirect to be followed next.
#[derive(Clone)]
struct Hop {
    number: u8,
    pending: bool,
    /// Every redirect so far was for ever (301, 308).
    permanent: bool,
    /// The request asks for the result, not for the state.
    for_result: bool,
    /// How often the backend's credentials had been renewed when it was sent.
    renewals: u32,
    /// Where this attempt has been, the present address last.
    visited: Vec<Url>,
}

impl fmt::Debug for Job {
    /// Leaves out the result and the addresses, whose queries may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("job", &self.job)
            .field("poller", &self.poller)
            .field("state", &self.state)
            .field("message", &self.message)
            .field("requests", &self.requests)
            .field("failed_requests", &self.failed_requests)
            .finish_non_exhaustive()
    }
}

impl Job {
    pub(crate) fn new(
        job: JobRef,
        policy: &Policy,
        schedule: &impl Schedule,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Self {
        let mut poller = PollerState::new(policy, schedule, now, rng);
        if let Some(born) = job.creation() {
            poller = poller.with_born(born);
        }
        Self {
            poller,
            hop: None,
            state: None,
            message: None,
            requests: 0,
            failed_requests: 0,
            seen: false,
            sent_at: now,
            unfinished_at: job.creation(),
            extra: None,
            job,
        }
    }

    /// Takes a stored job up: nothing that was under way will be answered.
    pub(crate) fn resume(&mut self, policy: &Policy, now: Timestamp) {
        // Like the poller's instants, these move where the clock was set back.
        let back = Timestamp::from_nanos(self.poller.latest).saturating_since(now);
        self.sent_at = self.sent_at.saturating_sub(back);
        self.unfinished_at = self.unfinished_at.map(|at| at.saturating_sub(back));
        if let Some(extra) = &mut self.extra {
            extra.refined_since = extra.refined_since.map(|at| at.saturating_sub(back));
        }
        self.poller.rebase(now);
        self.poller.abandon_in_flight(policy, now);
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    pub(crate) fn failed_requests(&self) -> u32 {
        self.failed_requests
    }

    /// Takes the attempt under way back if its time is over at `now`, as of the instant at which it was over.
    pub(crate) fn expire<S: Schedule>(&mut self, terms: &Terms<'_, S>, now: Timestamp) {
        if let (Some(attempt), Some(expires)) = (self.poller.in_flight(), self.poller.due())
            && now >= expires
        {
            let observation = Observation::Transient { error: LookError::Expired, hint: None };
            let id = HopId { attempt, hop: 0 };
            self.conclude(terms, expires, id, observation, Some(LookError::Expired.to_string()));
        }
    }

    /// Gives up following a redirect because the backend wants to be left alone until then. No failure is counted.
    pub(crate) fn put_off(&mut self, policy: &Policy, now: Timestamp, until: Timestamp) {
        self.hop = None;
        self.poller.abandon_in_flight(policy, now);
        self.poller.hold(policy, now, until);
    }

    /// A redirect is to be followed at the next poll.
    pub(crate) fn has_hop(&self) -> bool {
        self.hop.as_ref().is_some_and(|hop| hop.pending)
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    pub(crate) fn progress(&self) -> Option<f64> {
        self.extra.as_ref()?.progress
    }

    pub(crate) fn queue_position(&self) -> Option<u64> {
        self.extra.as_ref()?.queue_position
    }

    /// Ends the wait, since the credentials were refused to another job.
    pub(crate) fn refuse(&mut self, now: Timestamp, message: &str) {
        self.message = Some(shortened(message).into());
        self.poller.refuse(now, LookError::Status(401));
    }

    pub(crate) fn poll<S: Schedule>(&mut self, terms: &Terms<'_, S>, now: Timestamp) -> JobStep {
        loop {
            let failed_looks = self.poller.failed_looks;
            let action = self.poller.poll(terms.policy, now);
            if self.poller.failed_looks > failed_looks {
                self.note_expiry();
            }
            match action {
                Action::Done(ended) | Action::TimedOut(ended) => return JobStep::Ended(ended),
                Action::Sleep { until, reason } => {
                    return match self.next_hop(terms.backend, until, now) {
                        Some(step) => step,
                        None => JobStep::Sleep { until, reason },
                    };
                }
                Action::Send(attempt) => {
                    let id = HopId { attempt: attempt.id, hop: 0 };
                    self.sent_at = now;
                    let moved_to = self.extra.as_ref().and_then(|extra| extra.moved_to.as_deref());
                    let url = match moved_to {
                        Some(url) => terms.backend.trusted(terms.backend.base(), url),
                        None => terms.backend.poll_url(&self.job),
                    };
                    match url.and_then(|url| Ok((terms.backend.poll_request(&url)?, url))) {
                        Ok((request, url)) => {
                            self.hop = Some(Box::new(Hop {
                                number: 0,
                                pending: false,
                                permanent: true,
                                for_result: false,
                                renewals: terms.backend.renewals(),
                                visited: vec![url],
                            }));
                            return self.send(id, request, attempt.timeout);
                        }
                        Err(error) => {
                            let error = TransportError::new(error, "");
                            self.conclude(terms, now, id, error.observation(), Some(error.to_string()));
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn handle_response<S: Schedule, B: AsRef<[u8]>>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        response: &Response<B>,
    ) -> Option<Taken> {
        if !self.is_under_way(id) {
            return None;
        }
        if response.status().as_u16() == 401
            && let Some(taken) = self.ask_with_other_credentials(terms)
        {
            return Some(taken);
        }
        if self.hop.as_ref().is_some_and(|hop| hop.for_result) {
            return Some(self.take_result(terms, now, id, response));
        }
        let refined_since = self.extra.as_ref().and_then(|extra| extra.refined_since);
        match terms.backend.dialect().answer(response, now, refined_since) {
            Answer::Follow { to, permanent } => match self.follow(terms.backend, &to, permanent) {
                Ok(()) => Some(Taken::default()),
                Err(error) => {
                    let observation = match error {
                        LookError::RedirectLoop => Observation::Transient { error, hint: None },
                        error => Observation::Fatal { error },
                    };
                    let to = shortened(without_query(&to));
                    self.conclude(terms, now, id, observation, Some(format!("{error}: {to}")));
                    Some(Taken::default())
                }
            },
            Answer::Read(reading) => Some(self.take_reading(terms, now, id, response, *reading)),
        }
    }

    pub(crate) fn handle_error<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        error: &TransportError,
    ) -> Option<Taken> {
        if !self.is_under_way(id) {
            return None;
        }
        let for_result = self.hop.as_ref().is_some_and(|hop| hop.for_result);
        match error.observation() {
            // The job has succeeded; asking again brings no smaller result.
            observation if for_result && (error.error == LookError::TooLarge || is_fatal(observation)) => {
                self.conclude_without_result(terms, now, id, error);
            }
            observation => self.conclude(terms, now, id, observation, Some(error.to_string())),
        }
        Some(Taken::default())
    }

    /// What is to be told once the wait has ended.
    pub(crate) fn into_finished(self, ended: Ended) -> Finished {
        let now = self.poller.started().saturating_add(ended.elapsed);
        let extra = self.extra.map_or_else(Extra::default, |extra| *extra);
        let told = extra.told.filter(|_| !ended.outcome.is_jobs_end()).and_then(outcome);
        let error = match (ended.outcome, told) {
            (_, Some(_)) => Some(format!("the result was not had: {}", explain(&ended, self.message.as_deref()))),
            (Outcome::Succeeded, None) => self.message.filter(|_| extra.told.is_some()).map(String::from),
            (_, None) => Some(explain(&ended, self.message.as_deref())),
        };
        let outcome = told.unwrap_or(ended.outcome);
        let known = outcome.is_jobs_end();
        Finished {
            outcome,
            reason: ended.reason,
            state: self.state.map(String::from),
            result: extra.result.filter(|_| outcome == Outcome::Succeeded),
            error,
            last_error: ended.last_error,
            requests: self.requests,
            failed_requests: self.failed_requests,
            elapsed: ended.elapsed,
            detection_delay: extra.ended_at.filter(|_| known).map(|end| now.saturating_since(end)),
            detection_delay_max: self.unfinished_at.filter(|_| known).map(|last| now.saturating_since(last)),
            created_at: extra.created_at,
            started_at: extra.started_at,
            ended_at: extra.ended_at,
            progress: extra.progress,
            queue_position: extra.queue_position,
            cancel_at: extra.cancel_at.map(String::from),
            job: self.job,
        }
    }

    /// Repeats a request whose credentials were refused, where others are there or can be had.
    fn ask_with_other_credentials<S>(&mut self, terms: &Terms<'_, S>) -> Option<Taken> {
        let hop = self.hop.as_mut()?;
        let refused = match hop.renewals < terms.backend.renewals() {
            true => Refused::Outdated,
            false if terms.renewable => Refused::Renewable,
            false => return None,
        };
        hop.pending = true;
        hop.number = hop.number.checked_add(1)?;
        self.failed_requests = self.failed_requests.saturating_add(1);
        Some(Taken { refused: Some(refused), ..Taken::default() })
    }

    fn take_reading<S: Schedule, B>(
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
        let known = reading.observation == observation;
        let unfinished = matches!(observation, Observation::Pending { .. } | Observation::Running { .. });
        let tells_state = known && reading.state.is_some() && !(unfinished && told.is_some());
        let changed = tells_state && reading.state.as_deref() != self.state.as_deref();
        if tells_state {
            self.state = reading.state.take().map(String::into_boxed_str);
        }
        if known && unfinished {
            self.seen = true;
            let age = header_text(response.headers(), "age").and_then(|age| age.trim().parse().ok()).unwrap_or(0);
            let stale = Duration::from_secs(age).max(terms.backend.dialect().freshness());
            self.unfinished_at = self.unfinished_at.max(Some(self.sent_at.saturating_sub(stale)));
        }
        self.note_extra(terms.backend, now, response, &mut reading);
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
        self.conclude(terms, now, id, observation, message);
        if let Some(after) = reading.ask_again.filter(|_| unfinished) {
            self.poller.ask_again_after(terms.policy, now, after);
        }
        let refused = status == 401 && is_fatal(observation);
        Taken {
            good: told && !matches!(observation, Observation::Lost { .. }),
            answered: told || is_fatal(observation),
            throttled,
            hinted: hint_of(observation).is_some_and(|hint| hint.delay() <= LONGEST_CREDIBLE_HINT),
            cool_down: reading.cool_down,
            changed,
            unknown_state: changed && reading.unknown_state,
            refused: refused.then_some(Refused::ForGood),
        }
    }

    /// Notes what an answer tells beside the state.
    fn note_extra<B>(&mut self, backend: &Backend, now: Timestamp, response: &Response<B>, reading: &mut Reading) {
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
            self.extra().cancel_at = Some(address.into_boxed_str());
        }
        if let Some(result) = reading.result.take() {
            self.extra().result = Some(result);
        }
        if reading.refined_for_now {
            self.extra().refined_since.get_or_insert(now);
        }
        if let Some(address) = reading.moved_to.take() {
            self.move_to(backend, &address);
        }
    }

    /// Follows a success to its result, where the answer or the dialect tells that it is elsewhere.
    fn go_for_result<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        reading: &mut Reading,
        changed: bool,
    ) -> Option<Taken> {
        let told_at = self.hop.as_ref()?.visited.last()?.clone();
        let url = match reading.result_at.take() {
            Some(address) => match terms.backend.trusted(&told_at, &address) {
                Err(LookError::ForeignOrigin) => {
                    // It may not see the credentials, and is told instead of asked.
                    let result = told_at.join(&address).ok()?;
                    self.extra().result = Some(Value::String(result.into()));
                    return None;
                }
                url => url,
            },
            None => terms.backend.result_url(&self.job)?,
        };
        self.extra().told = Some(JobClass::Succeeded);
        let hop = self.hop.as_mut()?;
        let next = url.and_then(|url| terms.backend.result_request(&url).map(|_| url));
        match (next, hop.number.checked_add(1)) {
            (Ok(url), Some(number)) => {
                hop.visited.push(url);
                (hop.number, hop.pending, hop.for_result) = (number, true, true);
            }
            (next, _) => {
                let error = next.err().unwrap_or(LookError::RedirectLoop);
                self.conclude_without_result(terms, now, id, &TransportError::new(error, ""));
            }
        }
        Some(Taken { good: true, answered: true, changed, ..Taken::default() })
    }

    /// Takes the answer to a request for the result.
    fn take_result<S: Schedule, B: AsRef<[u8]>>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        response: &Response<B>,
    ) -> Taken {
        let url = self.hop.as_ref().and_then(|hop| hop.visited.last()).map(|url| Value::String(url.to_string()));
        let answered = Taken { good: true, answered: true, ..Taken::default() };
        match terms.backend.dialect().read_result(response, now) {
            ResultAnswer::Found(result) => {
                // What is no text is told by its address.
                self.extra().result = result.or(url);
                self.conclude(terms, now, id, Observation::Succeeded, None);
                answered
            }
            ResultAnswer::Follow(to) => match self.follow(terms.backend, &to, false) {
                Ok(()) => Taken::default(),
                Err(LookError::ForeignOrigin) => {
                    let from = self.hop.as_ref().and_then(|hop| hop.visited.last());
                    let to = from.and_then(|from| from.join(&to).ok());
                    self.extra().result = to.map(|to| Value::String(to.into())).or(url);
                    self.conclude(terms, now, id, Observation::Succeeded, None);
                    answered
                }
                Err(error) => {
                    self.conclude_without_result(terms, now, id, &TransportError::new(error, ""));
                    answered
                }
            },
            ResultAnswer::Missing(reading) => {
                let (status, observation) = (response.status().as_u16(), reading.observation);
                let message = reading.message.unwrap_or_else(|| format!("HTTP status {status}"));
                if is_fatal(observation) || matches!(observation, Observation::Lost { .. }) {
                    let error = TransportError::new(LookError::Status(status), message);
                    self.conclude_without_result(terms, now, id, &error);
                    return answered;
                }
                self.conclude(terms, now, id, observation, Some(message));
                let throttled = matches!(observation, Observation::Throttled { .. });
                Taken { throttled, cool_down: reading.cool_down, ..Taken::default() }
            }
        }
    }

    /// The job has succeeded, and its result cannot be had.
    fn conclude_without_result<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        error: &TransportError,
    ) {
        let message = format!("the result was not had: {error}");
        self.conclude(terms, now, id, Observation::Succeeded, Some(message));
    }

    /// Hands an attempt's last word to the poller.
    fn conclude<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        id: HopId,
        observation: Observation,
        message: Option<String>,
    ) {
        // An attempt may end before anything was sent: at an address that may not be asked.
        let asked = self.take_hop();
        let told_end = matches!(
            observation,
            Observation::Succeeded
                | Observation::Failed
                | Observation::Cancelled
                | Observation::Lost { definite: true }
        );
        // What went wrong with an earlier request does not say why the job failed.
        if message.is_some() || told_end {
            self.message = message.map(|message| shortened(&message).into());
        }
        let failed = matches!(
            observation,
            Observation::Transient { .. } | Observation::Throttled { .. } | Observation::Fatal { .. }
        );
        self.failed_requests = self.failed_requests.saturating_add(u32::from(asked && failed));
        // An expired attempt was taken back by the poller already; then its end stands.
        let _ = self.poller.handle_observation(terms.policy, terms.schedule, now, id.attempt, observation);
    }

    /// The poller took an attempt back whose time was over.
    fn note_expiry(&mut self) {
        let asked = self.take_hop();
        self.failed_requests = self.failed_requests.saturating_add(u32::from(asked));
        self.message = Some(LookError::Expired.to_string().into_boxed_str());
    }

    /// Forgets the request under way; tells whether there was one.
    fn take_hop(&mut self) -> bool {
        self.hop.take().is_some_and(|hop| !hop.pending)
    }

    fn send(&mut self, id: HopId, request: Request<Vec<u8>>, timeout: Duration) -> JobStep {
        self.requests = self.requests.saturating_add(1);
        JobStep::Send { id, request, timeout }
    }

    fn is_under_way(&self, id: HopId) -> bool {
        self.poller.in_flight() == Some(id.attempt)
            && self.hop.as_ref().is_some_and(|hop| hop.number == id.hop && !hop.pending)
    }

    fn is_not_yet_visible(&self, now: Timestamp) -> bool {
        // In both directions: the clock may have been set back since.
        let is_young =
            |created: Timestamp| now.saturating_since(created).max(created.saturating_since(now)) < VISIBLE_AFTER;
        !self.seen && self.job.creation().is_some_and(is_young)
    }

    /// Notes a redirect, to be sent at the next poll.
    fn follow(&mut self, backend: &Backend, to: &str, permanent: bool) -> Result<(), LookError> {
        let hop = self.hop.as_mut().ok_or(LookError::RedirectLoop)?;
        let from = hop.visited.last().ok_or(LookError::RedirectLoop)?;
        let url = backend.trusted(from, to)?;
        if hop.visited.len() > MOST_HOPS || hop.visited.contains(&url) {
            return Err(LookError::RedirectLoop);
        }
        backend.poll_request(&url)?;
        hop.number = hop.number.checked_add(1).ok_or(LookError::RedirectLoop)?;
        hop.pending = true;
        // What a temporary address says of itself does not bind the job's own.
        hop.permanent &= permanent;
        let moved_to = (hop.permanent && !hop.for_result).then(|| String::from(url.clone()));
        hop.visited.push(url);
        if let Some(url) = moved_to {
            self.extra().moved_to = Some(url.into_boxed_str());
        }
        Ok(())
    }

    fn next_hop(&mut self, backend: &Backend, expires: Timestamp, now: Timestamp) -> Option<JobStep> {
        let attempt = self.poller.in_flight()?;
        let hop = self.hop.as_mut().filter(|hop| hop.pending)?;
        hop.pending = false;
        hop.renewals = backend.renewals();
        let id = HopId { attempt, hop: hop.number };
        let url = hop.visited.last()?;
        let request = if hop.for_result { backend.result_request(url) } else { backend.poll_request(url) };
        Some(self.send(id, request.ok()?, expires.saturating_since(now)))
    }

    /// A 202's `Location`: asked from now on, if it may be; else the old address goes on serving.
    fn move_to(&mut self, backend: &Backend, address: &str) {
        let told_at = self.hop.as_ref().and_then(|hop| hop.visited.last());
        let url = told_at.and_then(|told_at| backend.trusted(told_at, address).ok());
        if let Some(url) = url.filter(|url| backend.poll_request(url).is_ok()) {
            self.extra().moved_to = Some(String::from(url).into_boxed_str());
        }
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

/// The end that a class is.
fn outcome(class: JobClass) -> Option<Outcome> {
    match class {
        JobClass::Succeeded => Some(Outcome::Succeeded),
        JobClass::Failed => Some(Outcome::Failed),
        JobClass::Cancelled => Some(Outcome::Cancelled),
        JobClass::Pending | JobClass::Running | JobClass::Lost => None,
    }
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

fn is_fatal(observation: Observation) -> bool {
    matches!(observation, Observation::Fatal { .. })
}

/// The hint that the poller is handed.
fn hint_of(observation: Observation) -> Option<Hint> {
    match observation {
        Observation::Pending { hint }
        | Observation::Running { hint }
        | Observation::Transient { hint, .. }
        | Observation::Throttled { hint, .. } => hint,
        _ => None,
    }
}

/// An instant of the server's clock on ours, as far as its `Date` (RFC 9110 §6.6.1) tells the difference.
fn by_our_clock<B>(instant: Timestamp, response: &Response<B>, now: Timestamp) -> Timestamp {
    let date = header_text(response.headers(), "date").and_then(|date| crate::dialect::parse_http_date(&date));
    let Some(date) = date.filter(|_| !response.headers().contains_key("age")) else { return instant };
    let (behind, ahead) = (now.saturating_since(date), date.saturating_since(now));
    if behind > CLOCK_TOLERANCE {
        instant.saturating_add(behind)
    } else if ahead > CLOCK_TOLERANCE {
        instant.saturating_sub(ahead)
    } else {
        instant
    }
}
