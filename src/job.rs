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

use crate::dialect::{Answer, Reading, header_text, shortened, without_query};
use crate::finished::{Finished, TransportError, explain};
use crate::policy::LONGEST_CREDIBLE_HINT;
use crate::{
    Action, AttemptId, Backend, Ended, Hint, JobRef, LookError, Observation, Outcome, Policy, PollerState, Schedule,
    Timestamp, WaitReason,
};

/// Redirects followed in a row.
const MOST_HOPS: u8 = 5;

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
}

#[derive(Clone, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // `job` is a reference to it
pub(crate) struct Job {
    pub(crate) poller: PollerState,
    pub(crate) job: JobRef,
    /// Where a 301, 308 or 202 moved the poll URL; validated again whenever it is used.
    moved_to: Option<Box<str>>,
    #[serde(skip)]
    hop: Option<Box<Hop>>,
    state: Option<Box<str>>,
    message: Option<Box<str>>,
    #[serde(skip)]
    result: Option<Box<Value>>,
    requests: u32,
    failed_requests: u32,
    /// The backend has told a state of this job at least once.
    seen: bool,
    sent_at: Timestamp,
    /// The latest instant at which the job was certainly unfinished.
    unfinished_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// The request under way, or the redirect to be followed next.
#[derive(Clone)]
struct Hop {
    number: u8,
    pending: bool,
    /// Every redirect so far was for ever (301, 308).
    permanent: bool,
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
            moved_to: None,
            hop: None,
            state: None,
            message: None,
            result: None,
            requests: 0,
            failed_requests: 0,
            seen: false,
            sent_at: now,
            unfinished_at: job.creation(),
            ended_at: None,
            job,
        }
    }

    /// Takes a stored job up: nothing that was under way will be answered.
    pub(crate) fn resume(&mut self, policy: &Policy, now: Timestamp) {
        // Like the poller's instants, these move where the clock was set back.
        let back = Timestamp::from_nanos(self.poller.latest).saturating_since(now);
        self.sent_at = self.sent_at.saturating_sub(back);
        self.unfinished_at = self.unfinished_at.map(|at| at.saturating_sub(back));
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
    pub(crate) fn expire(&mut self, policy: &Policy, schedule: &impl Schedule, now: Timestamp) {
        if let (Some(attempt), Some(expires)) = (self.poller.in_flight(), self.poller.due())
            && now >= expires
        {
            let observation = Observation::Transient { error: LookError::Expired, hint: None };
            let id = HopId { attempt, hop: 0 };
            self.conclude(policy, schedule, expires, id, observation, Some(LookError::Expired.to_string()));
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

    pub(crate) fn poll(
        &mut self,
        backend: &Backend,
        policy: &Policy,
        schedule: &impl Schedule,
        now: Timestamp,
    ) -> JobStep {
        loop {
            let failed_looks = self.poller.failed_looks;
            let action = self.poller.poll(policy, now);
            if self.poller.failed_looks > failed_looks {
                self.note_expiry();
            }
            match action {
                Action::Done(ended) | Action::TimedOut(ended) => return JobStep::Ended(ended),
                Action::Sleep { until, reason } => {
                    return match self.next_hop(backend, until, now) {
                        Some(step) => step,
                        None => JobStep::Sleep { until, reason },
                    };
                }
                Action::Send(attempt) => {
                    let id = HopId { attempt: attempt.id, hop: 0 };
                    self.sent_at = now;
                    let url = match &self.moved_to {
                        Some(url) => backend.poll_url(&self.job).and_then(|own| backend.trusted(&own, url)),
                        None => backend.poll_url(&self.job),
                    };
                    match url.and_then(|url| Ok((backend.poll_request(&url)?, url))) {
                        Ok((request, url)) => {
                            let hop = Hop { number: 0, pending: false, permanent: true, visited: vec![url] };
                            self.hop = Some(Box::new(hop));
                            return self.send(id, request, attempt.timeout);
                        }
                        Err(error) => {
                            let error = TransportError::new(error, "");
                            self.conclude(policy, schedule, now, id, error.observation(), Some(error.to_string()));
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn handle_response<B: AsRef<[u8]>>(
        &mut self,
        backend: &Backend,
        policy: &Policy,
        schedule: &impl Schedule,
        now: Timestamp,
        id: HopId,
        response: &Response<B>,
    ) -> Option<Taken> {
        if !self.is_under_way(id) {
            return None;
        }
        match backend.dialect().answer(response, now) {
            Answer::Follow { to, permanent } => match self.follow(backend, &to, permanent) {
                Ok(()) => Some(Taken::default()),
                Err(error) => {
                    let observation = match error {
                        LookError::RedirectLoop => Observation::Transient { error, hint: None },
                        error => Observation::Fatal { error },
                    };
                    let to = shortened(without_query(&to));
                    self.conclude(policy, schedule, now, id, observation, Some(format!("{error}: {to}")));
                    Some(Taken::default())
                }
            },
            Answer::Read(reading) => Some(self.take_reading(backend, policy, schedule, now, id, response, *reading)),
        }
    }

    pub(crate) fn handle_error(
        &mut self,
        policy: &Policy,
        schedule: &impl Schedule,
        now: Timestamp,
        id: HopId,
        error: &TransportError,
    ) -> Option<Taken> {
        if !self.is_under_way(id) {
            return None;
        }
        self.conclude(policy, schedule, now, id, error.observation(), Some(error.to_string()));
        Some(Taken::default())
    }

    /// What is to be told once the wait has ended.
    pub(crate) fn into_finished(self, ended: Ended) -> Finished {
        let known = ended.outcome.is_jobs_end();
        let now = self.poller.started().saturating_add(ended.elapsed);
        let error = match ended.outcome {
            Outcome::Succeeded => None,
            _ => Some(explain(&ended, self.message.as_deref())),
        };
        Finished {
            outcome: ended.outcome,
            reason: ended.reason,
            state: self.state.map(String::from),
            result: self.result.map(|result| *result),
            error,
            last_error: ended.last_error,
            requests: self.requests,
            failed_requests: self.failed_requests,
            elapsed: ended.elapsed,
            detection_delay: self.ended_at.filter(|_| known).map(|end| now.saturating_since(end)),
            detection_delay_max: self.unfinished_at.filter(|_| known).map(|last| now.saturating_since(last)),
            job: self.job,
        }
    }

    #[allow(clippy::too_many_arguments)] // private, and each is a different thing
    fn take_reading<B>(
        &mut self,
        backend: &Backend,
        policy: &Policy,
        schedule: &impl Schedule,
        now: Timestamp,
        id: HopId,
        response: &Response<B>,
        reading: Reading,
    ) -> Taken {
        let observation = match reading.observation {
            Observation::Lost { definite: false } if self.is_not_yet_visible(now) => {
                Observation::Pending { hint: None }
            }
            observation => observation,
        };
        let known = reading.observation == observation;
        let tells_state = known && reading.state.is_some();
        let changed = tells_state && reading.state.as_deref() != self.state.as_deref();
        if tells_state {
            self.state = reading.state.map(String::into_boxed_str);
        }
        if known && matches!(observation, Observation::Pending { .. } | Observation::Running { .. }) {
            self.seen = true;
            let age = header_text(response.headers(), "age").and_then(|age| age.trim().parse().ok()).unwrap_or(0);
            let unfinished_at = self.sent_at.saturating_sub(Duration::from_secs(age));
            self.unfinished_at = self.unfinished_at.max(Some(unfinished_at));
        }
        self.ended_at = reading.ended_at.map(|end| by_our_clock(end, response, now));
        self.result = reading.result.map(Box::new);
        if let Some(address) = reading.moved_to {
            self.move_to(backend, &address);
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
        let message =
            reading.message.or_else(|| (!told).then(|| format!("HTTP status {}", response.status().as_u16())));
        let throttled = matches!(observation, Observation::Throttled { .. });
        self.conclude(policy, schedule, now, id, observation, message);
        Taken {
            good: told && !matches!(observation, Observation::Lost { .. }),
            answered: told || matches!(observation, Observation::Fatal { .. }),
            throttled,
            hinted: hint_of(observation).is_some_and(|hint| hint.delay() <= LONGEST_CREDIBLE_HINT),
            cool_down: reading.cool_down,
            changed,
        }
    }

    /// Hands an attempt's last word to the poller.
    fn conclude(
        &mut self,
        policy: &Policy,
        schedule: &impl Schedule,
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
        let _ = self.poller.handle_observation(policy, schedule, now, id.attempt, observation);
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
        if hop.number >= MOST_HOPS || hop.visited.contains(&url) {
            return Err(LookError::RedirectLoop);
        }
        backend.poll_request(&url)?;
        // What a temporary address says of itself does not bind the job's own.
        hop.permanent &= permanent;
        if hop.permanent {
            self.moved_to = Some(String::from(url.clone()).into_boxed_str());
        }
        hop.visited.push(url);
        hop.number += 1;
        hop.pending = true;
        Ok(())
    }

    fn next_hop(&mut self, backend: &Backend, expires: Timestamp, now: Timestamp) -> Option<JobStep> {
        let attempt = self.poller.in_flight()?;
        let hop = self.hop.as_mut().filter(|hop| hop.pending)?;
        hop.pending = false;
        let id = HopId { attempt, hop: hop.number };
        let request = backend.poll_request(hop.visited.last()?).ok()?;
        Some(self.send(id, request, expires.saturating_since(now)))
    }

    /// A 202's `Location`: asked from now on, if it may be; else the old address goes on serving.
    fn move_to(&mut self, backend: &Backend, address: &str) {
        let told_at = self.hop.as_ref().and_then(|hop| hop.visited.last());
        let url = told_at.and_then(|told_at| backend.trusted(told_at, address).ok());
        if let Some(url) = url.filter(|url| backend.poll_request(url).is_ok()) {
            self.moved_to = Some(String::from(url).into_boxed_str());
        }
    }
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
