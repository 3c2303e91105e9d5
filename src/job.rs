//! The whole HTTP life of one job: the poller's state, and what the dialect has to remember beside it.

mod hop;
mod lesson;
mod packed;
mod reading;
mod result;
mod shared;

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use http::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::{Address, Answer, JobClass, shortened, without_secrets};
use crate::finished::{Finished, TransportError, explain};
use crate::learn::Taught;
use crate::{
    Action, AttemptId, Backend, EndReason, Ended, JobRef, LookError, Observation, Outcome, Policy, PollerState,
    Schedule, Spacing, Timestamp, WaitReason,
};
use hop::Hop;
pub(crate) use packed::{Packed, Words};

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
    /// It told nothing, for a reason that may pass.
    pub(crate) failed: Option<LookError>,
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
    /// The wait has ended without the result: looks may be allowed all the same.
    Result,
}

/// By which rules a job is stepped.
#[derive(Debug)]
pub(crate) struct Terms<'a, S> {
    pub(crate) backend: &'a Backend,
    pub(crate) policy: &'a Policy,
    pub(crate) schedule: S,
    /// Refused credentials can be renewed.
    pub(crate) renewable: bool,
    /// Also where a result was refused.
    pub(crate) renewable_for_results: bool,
}

impl<'a, S> Terms<'a, S> {
    /// The same rules by another schedule.
    fn with_schedule<T>(&self, schedule: T) -> Terms<'a, T> {
        let Self { backend, policy, renewable, renewable_for_results, .. } = *self;
        Terms { backend, policy, schedule, renewable, renewable_for_results }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // `job` is a reference to it
pub(crate) struct Job {
    pub(crate) poller: PollerState,
    pub(crate) job: JobRef,
    #[serde(skip)]
    hop: Option<Box<Hop>>,
    state: Option<Arc<str>>,
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
    /// When the last of the answers that told it came.
    told_at: Option<Timestamp>,
    /// The last shared answer did not mention the job.
    missed: bool,
    /// It is not asked for among others.
    apart: bool,
    /// The corrections for a limited time, by their places in the dialect, and when each was made first.
    refined: Vec<(usize, Timestamp)>,
    created_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    #[serde(skip)]
    result: Option<Value>,
    #[serde(skip)]
    progress: Option<f64>,
    #[serde(skip)]
    queue_position: Option<u64>,
    /// Resolved against the address of the answer that told it.
    #[serde(skip)]
    cancel_at: Option<Address>,
    /// The backend is jobwatch's own simulator.
    #[serde(skip)]
    simulated: bool,
    /// What the end of the wait has taught.
    #[serde(skip)]
    taught: Option<Taught>,
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
    pub(crate) fn new(job: JobRef, policy: &Policy, schedule: &impl Schedule, now: Timestamp, seed: u64) -> Self {
        let mut poller = PollerState::seeded(policy, schedule, now, seed);
        if let Some(born) = job.creation() {
            poller = poller.with_born(born);
            // Ours, and good a moment ago: there is no wrong id to find out about.
            if policy.set.first_look.is_none() && policy.spacing() == Spacing::Learned {
                poller.look_first_by(policy, schedule, now);
            }
            if let Some(expected) = job.expected_duration() {
                poller.expect(policy, now, born.saturating_add(expected));
            }
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
            for at in extra.refined.iter_mut().map(|(_, since)| since).chain(&mut extra.told_at) {
                *at = at.saturating_sub(back);
            }
        }
        self.hop = None;
        self.poller.rebase(now);
        self.poller.abandon_in_flight(policy, now);
    }

    /// Gives the wait a fresh budget, unless it has seen the job's end.
    pub(crate) fn renew(&mut self, policy: &Policy, now: Timestamp) {
        self.poller.renew(policy, now);
        if self.poller.ended().is_none() {
            self.message = None;
        }
    }

    /// The present instant on a clock that may have been set back: time that goes backwards counts as no time passing.
    pub(crate) fn clamped(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_nanos(self.poller.latest))
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

    /// Where the further request of its own goes that is to be sent at the next poll: a redirect, a detail, a repetition. A
    /// shared one was sent nowhere for this job.
    pub(crate) fn next_address(&self) -> Option<&str> {
        self.hop.as_ref().filter(|hop| hop.pending)?.visited.last().map(url::Url::as_str)
    }

    /// An attempt is under way, and none of its requests: the next one is still to be sent.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.hop.as_ref().is_some_and(|hop| hop.pending)
    }

    /// Where the job is asked for, if not by the dialect's path.
    pub(crate) fn asked_at(&self) -> Option<&str> {
        let moved_to = self.extra.as_ref().and_then(|extra| extra.moved_to.as_deref());
        moved_to.or(self.job.poll_url())
    }

    pub(crate) fn state_word(&self) -> Option<&Arc<str>> {
        self.state.as_ref()
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

    /// Ends the wait, since nobody gets an answer from this backend.
    pub(crate) fn give_up(&mut self, now: Timestamp, error: LookError, reason: EndReason) {
        self.message = Some(error.to_string().into_boxed_str());
        self.poller.give_up(now, error, reason);
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
                    let backend = terms.backend;
                    let moved_to = moved_to.map(|url| backend.trusted(backend.base(), url)).transpose();
                    let request = moved_to.and_then(|url| {
                        let request = match &url {
                            Some(url) => backend.poll_request(url),
                            None => backend.look_request(&self.job),
                        };
                        Ok((request?, url))
                    });
                    match request {
                        Ok((request, url)) => {
                            self.hop = Some(Box::new(Hop::new(backend.renewals(), url)));
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
        let refined = self.extra.as_ref().map_or(&[][..], |extra| &extra.refined);
        let id_told = Some(self.job.id()).filter(|_| !self.job.is_named_by_url());
        match terms.backend.dialect().answer(response, now, id_told, refined) {
            Answer::Follow { to, permanent } => match self.follow(terms.backend, &to, permanent) {
                Ok(()) => Some(Taken::default()),
                Err(error) => {
                    let observation = match error {
                        LookError::RedirectLoop => Observation::Transient { error, hint: None },
                        error => Observation::Fatal { error },
                    };
                    let to = without_secrets(&to);
                    self.conclude(terms, now, id, observation, Some(format!("{error}: {to}")));
                    let failed = failure_of(observation);
                    Some(Taken { failed, answered: failed.is_none(), ..Taken::default() })
                }
            },
            Answer::Read(reading) => Some(self.take_reading(terms, now, id, response, reading)),
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

    /// How the wait ended, and how late that was noticed: an end that was told stands, whatever came after.
    pub(crate) fn verdict(&self, ended: &Ended) -> (Outcome, Option<Duration>) {
        let told = self.extra.as_ref().and_then(|extra| extra.told).and_then(outcome);
        let outcome = told.filter(|_| !ended.outcome.is_jobs_end()).unwrap_or(ended.outcome);
        let now = self.over_at(ended);
        let end = self.extra.as_ref().and_then(|extra| extra.ended_at).filter(|_| outcome.is_jobs_end());
        (outcome, end.map(|end| now.saturating_since(end)))
    }

    /// When the wait was over: not before its last answer, which may have come when the time of its attempt had passed and
    /// nobody had noticed.
    fn over_at(&self, ended: &Ended) -> Timestamp {
        let at = self.poller.started().saturating_add(ended.elapsed);
        self.extra.as_ref().and_then(|extra| extra.told_at).map_or(at, |told| at.max(told))
    }

    /// What is to be told once the wait has ended.
    pub(crate) fn into_finished(self, ended: Ended) -> Finished {
        let (outcome, detection_delay) = self.verdict(&ended);
        let (now, started) = (self.over_at(&ended), self.poller.started());
        let taught = self.taught();
        let extra = self.extra.map_or_else(Extra::default, |extra| *extra);
        let told = Some(outcome).filter(|outcome| *outcome != ended.outcome);
        let has_answered = self.state.is_some();
        let error = match (ended.outcome, told) {
            (_, Some(_)) => {
                Some(format!("the result was not had: {}", explain(&ended, self.message.as_deref(), has_answered)))
            }
            (Outcome::Succeeded, None) => self.message.map(String::from),
            (_, None) => Some(explain(&ended, self.message.as_deref(), has_answered)),
        };
        let known = outcome.is_jobs_end();
        Finished {
            outcome,
            reason: ended.reason,
            state: self.state.map(|state| state.to_string()),
            result: extra.result.filter(|_| outcome == Outcome::Succeeded),
            error,
            last_error: ended.last_error,
            requests: self.requests,
            failed_requests: self.failed_requests,
            elapsed: now.saturating_since(started),
            detection_delay,
            detection_delay_max: self.unfinished_at.filter(|_| known).map(|last| now.saturating_since(last)),
            created_at: extra.created_at,
            started_at: extra.started_at,
            ended_at: extra.ended_at,
            progress: extra.progress,
            queue_position: extra.queue_position,
            cancel_at: extra.cancel_at,
            taught,
            job: self.job,
        }
    }

    /// The job's end is known, which proves the backend, and more is asked for in the same attempt.
    fn tell(&mut self, now: Timestamp, class: JobClass) {
        let extra = self.extra();
        (extra.told, extra.told_at) = (Some(class), extra.told_at.max(Some(now)));
        self.poller.note_backend_proven();
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
        let failed = asked && observation.is_of_the_request();
        self.failed_requests = self.failed_requests.saturating_add(u32::from(failed));
        // An expired attempt was taken back by the poller already; then its end stands.
        let _ = self.poller.handle_observation(terms.policy, &terms.schedule, now, id.attempt, observation);
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
            && self.hop.as_ref().is_some_and(|hop| hop.number == id.hop && !hop.pending && !hop.shared)
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

fn failure_of(observation: Observation) -> Option<LookError> {
    match observation {
        Observation::Transient { error, .. } => Some(error),
        _ => None,
    }
}

fn is_fatal(observation: Observation) -> bool {
    matches!(observation, Observation::Fatal { .. })
}
