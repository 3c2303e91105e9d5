//! Looks that several jobs share: one request asks for all of them.

use core::time::Duration;
use std::boxed::Box;
use std::sync::Arc;

use http::Response;

use super::hop::Hop;
use super::{HopId, Job, Taken, Terms};
use crate::dialect::{JobClass, Names, Reading};
use crate::finished::TransportError;
use crate::{AttemptId, Backend, Observation, Policy, Schedule, Timestamp};

/// A job whose looks fail repeatedly is asked for by itself, lest the company is to blame.
const MOST_FAILURES: u32 = 1;

impl Job {
    /// Whether a request may ask for this job among others.
    pub(crate) fn can_share(&self) -> bool {
        let extra = self.extra.as_ref();
        self.hop.is_none()
            && self.job.poll_url().is_none()
            && self.poller.failures <= MOST_FAILURES
            && extra.is_none_or(|extra| extra.moved_to.is_none() && extra.told.is_none() && !extra.apart)
    }

    /// Takes part in a request that is sent now, if the job is due or may be looked at early.
    pub(crate) fn share(&mut self, backend: &Backend, policy: &Policy, now: Timestamp) -> Option<AttemptId> {
        let attempt = self.poller.look_early(policy, now)?;
        self.hop = Some(Box::new(Hop::shared(backend.renewals())));
        self.sent_at = now;
        self.requests = self.requests.saturating_add(1);
        Some(attempt.id)
    }

    /// Whether the job takes part in a shared request that is under way or about to be sent.
    pub(crate) fn is_sharing(&self, attempt: AttemptId) -> bool {
        self.poller.in_flight() == Some(attempt) && self.is_in_company()
    }

    pub(crate) fn is_in_company(&self) -> bool {
        self.hop.as_ref().is_some_and(|hop| hop.shared)
    }

    /// The shared request has ended without a word about this job, and another is to follow in the same attempt: a part
    /// of the first, its next page, its repetition.
    pub(crate) fn share_later(&mut self, failed: bool) {
        if let Some(hop) = &mut self.hop {
            hop.pending = true;
            self.failed_requests = self.failed_requests.saturating_add(u32::from(failed));
        }
    }

    /// The other request is sent.
    pub(crate) fn share_again(&mut self, backend: &Backend) {
        self.requests = self.requests.saturating_add(1);
        if let Some(hop) = &mut self.hop {
            (hop.pending, hop.renewals) = (false, backend.renewals());
        }
    }

    /// Lists that name this job were refused: it is asked for by itself from now on.
    pub(crate) fn keep_apart(&mut self) {
        self.extra().apart = true;
    }

    /// The same attempt goes on with a request for this job alone.
    pub(crate) fn ask_alone<S: Schedule>(&mut self, terms: &Terms<'_, S>, now: Timestamp, attempt: AttemptId) {
        let url = terms.backend.poll_url(&self.job);
        match (url, self.hop.as_mut().filter(|hop| hop.shared)) {
            (Ok(url), Some(hop)) => {
                (hop.shared, hop.pending, hop.number) = (false, true, hop.number.saturating_add(1));
                hop.visited.push(url);
            }
            (Err(error), Some(_)) => {
                let error = TransportError::new(error, "");
                self.conclude(terms, now, HopId { attempt, hop: 0 }, error.observation(), Some(format!("{error}")));
            }
            (_, None) => {}
        }
    }

    /// Takes what a shared answer says of this job; `None` where it does not mention it. With `detail`, an end is asked
    /// for once more, alone: the shared answer carries no result.
    pub(crate) fn take_shared<S: Schedule, B>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        attempt: AttemptId,
        response: &Response<B>,
        reading: Option<Reading>,
        detail: bool,
    ) -> Taken {
        let id = HopId { attempt, hop: 0 };
        let Some(mut reading) = reading else {
            // Once may be an accident of the backend's; then, and where there is no other look, the job is asked for by
            // itself.
            let missed = core::mem::replace(&mut self.extra().missed, true);
            if missed || self.is_last_look(terms.policy, now) {
                self.ask_alone(terms, now, attempt);
            } else {
                self.conclude_untold(terms, now, id);
            }
            return Taken::default();
        };
        if let Some(extra) = &mut self.extra {
            extra.missed = false;
        }
        let told = match reading.observation {
            Observation::Succeeded => JobClass::Succeeded,
            Observation::Failed => JobClass::Failed,
            Observation::Cancelled => JobClass::Cancelled,
            _ => return self.take_reading(terms, now, id, response, reading),
        };
        if !detail {
            return self.take_reading(terms, now, id, response, reading);
        }
        self.tell(now, told);
        let changed = reading.state.is_some() && reading.state.as_deref() != self.state.as_deref();
        if changed {
            self.state = reading.state.take().map(Arc::from);
        }
        self.note_extra(terms.backend, now, response, Names::of(response.headers()), &mut reading);
        self.ask_alone(terms, now, attempt);
        Taken { good: true, answered: true, changed, ..Taken::default() }
    }

    /// What does not mention the job is no failure, and neither does it say that the backend knows the job.
    fn conclude_untold<S: Schedule>(&mut self, terms: &Terms<'_, S>, now: Timestamp, id: HopId) {
        let (denials, proven) = (self.poller.denials, self.poller.proven);
        self.conclude(terms, now, id, Observation::Running { hint: None }, None);
        (self.poller.denials, self.poller.proven) = (denials, proven);
    }

    fn is_last_look(&self, policy: &Policy, now: Timestamp) -> bool {
        let is_past = |timeout: Duration| now >= self.poller.started().saturating_add(timeout);
        policy.total_timeout().is_some_and(is_past)
            || policy.max_polls().is_some_and(|most| self.poller.looks() >= most)
    }

    /// The whole shared request failed.
    pub(crate) fn fail_shared<S: Schedule>(
        &mut self,
        terms: &Terms<'_, S>,
        now: Timestamp,
        attempt: AttemptId,
        observation: Observation,
        message: &str,
    ) {
        self.conclude(terms, now, HopId { attempt, hop: 0 }, observation, Some(message.into()));
    }
}
