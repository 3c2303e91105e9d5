//! Requests that ask for many jobs at once.

use std::sync::Arc;
use std::vec::Vec;

use http::Response;

use super::requests::Batch;
use super::slab::{Queue, View};
use super::words::{FleetAction, JobHandle};
use super::{Asks, Fleet, Renewal, terms};
use crate::dialect::{BulkAnswer, Reading};
use crate::finished::TransportError;
use crate::job::{Refused, Taken};
use crate::{AttemptId, LookError, Observation, Timestamp};

/// Pages of one answer that are asked for.
const MOST_PAGES: u8 = 20;

/// For each free place so many sleeping jobs are considered.
const CANDIDATES: usize = 2;

impl Fleet {
    /// A look at a due job: in company where that is possible, else alone.
    pub(super) fn look(&mut self, lane: usize, first: u32, now: Timestamp) -> Option<FleetAction> {
        let most = match self.backend.dialect().bulk_limit() {
            Some(most) if self.may_share(first) => usize::from(most).min(self.lanes[lane].company),
            _ => 1,
        };
        let mut members = Vec::new();
        if most > 1 {
            self.gather_due(lane, most - 1, now, &mut members);
            self.gather_early(lane, most - 1, now, &mut members);
        }
        if members.is_empty() {
            return self.step(first, now);
        }
        self.join(first, now, &mut members);
        self.send_batch(lane, Batch { members, ..Batch::default() }, now)
    }

    /// Lets those in line join, in their order; who cannot share keeps the place.
    fn gather_due(&mut self, lane: usize, most: usize, now: Timestamp, members: &mut Vec<(JobHandle, AttemptId)>) {
        let mut others = Vec::new();
        while members.len() < most
            && let Some(slot) = self.lanes[lane].ready.pop_front()
        {
            if self.slab.at(slot).queue != Queue::Ready {
                continue;
            }
            if self.may_share(slot) && self.join(slot, now, members) {
                continue;
            }
            others.push(slot);
        }
        for slot in others.into_iter().rev() {
            self.lanes[lane].ready.push_front(slot);
        }
    }

    /// Fills the free places with those whose own looks come soonest.
    fn gather_early(&mut self, lane: usize, most: usize, now: Timestamp, members: &mut Vec<(JobHandle, AttemptId)>) {
        let mut others = Vec::new();
        let free = most.saturating_sub(members.len());
        for _ in 0..free.saturating_mul(CANDIDATES) {
            if members.len() >= most {
                break;
            }
            let Some((at, slot)) = self.timers.pop_first() else { break };
            let kept = self.slab.at(slot);
            let is_here = usize::from(kept.lane) == lane && kept.queue == Queue::None;
            if !(is_here && self.may_share(slot) && self.join(slot, now, members)) {
                others.push((at, slot));
            }
        }
        for (at, slot) in others {
            self.timers.set(slot, at);
        }
    }

    fn may_share(&self, slot: u32) -> bool {
        let separator = self.backend.dialect().bulk().map_or(",", |bulk| bulk.separator.as_str());
        let is_named = self.slab.job(slot).is_some_and(|job| !job.id().contains(separator) && job.poll_url().is_none());
        is_named
            && match self.slab.view(slot) {
                Some(View::Packed(..)) => true,
                Some(View::Open(job)) => job.can_share(),
                None => false,
            }
    }

    /// Lets a job take part, if it is due or may be looked at early.
    fn join(&mut self, slot: u32, now: Timestamp, members: &mut Vec<(JobHandle, AttemptId)>) -> bool {
        let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
        let (handle, proven) = (self.slab.handle(slot), self.lanes[usize::from(self.slab.at(slot).lane)].proven);
        let backend = Arc::clone(&self.backend);
        let Some(job) = self.slab.open(slot) else { return false };
        if proven {
            job.poller.note_backend_proven();
        }
        let joined = job.share(&backend, &policy, now).map(|(attempt, _)| members.push((handle, attempt)));
        match joined {
            Some(()) => self.settle(slot, now),
            None => self.slab.close(slot),
        }
        joined.is_some()
    }

    /// Sends a shared request for those of its members that still wait for it.
    pub(super) fn send_batch(&mut self, lane: usize, mut batch: Batch, now: Timestamp) -> Option<FleetAction> {
        let mut expires = now;
        batch.members.retain(|(handle, attempt)| {
            let slot = self.slab.slot(*handle);
            match slot.and_then(|slot| self.slab.view(slot)) {
                Some(View::Open(job)) if job.is_sharing(*attempt) => {
                    expires = expires.max(job.poller.due().unwrap_or(now));
                    true
                }
                _ => false,
            }
        });
        if let ([member], None) = (batch.members.as_slice(), &batch.page) {
            let member = *member;
            self.ask_alone(member, now);
            return None;
        }
        let ids = batch.members.iter().filter_map(|(handle, _)| Some(self.slab.job(handle.slot)?.id()));
        let Ok(request) = self.backend.bulk_request(ids, batch.page.as_deref()) else {
            for member in batch.members {
                self.ask_alone(member, now);
            }
            return None;
        };
        if batch.again {
            let backend = Arc::clone(&self.backend);
            for (handle, _) in &batch.members {
                if let Some(job) = self.slab.open(handle.slot) {
                    job.share_again(&backend);
                }
            }
        }
        batch.renewals = self.backend.renewals();
        let lane_number = u8::try_from(lane).unwrap_or_default();
        let id = self.requests.insert(lane_number, now, expires, Asks::Many(batch))?;
        self.lanes[lane].note_sent(now);
        self.count(lane_number, |stats| {
            stats.requests += 1;
            stats.bulk_requests += 1;
        });
        Some(FleetAction::Send { id, request, timeout: expires.saturating_since(now) })
    }

    /// A job leaves the company and goes on by itself, in the same attempt.
    fn ask_alone(&mut self, (handle, attempt): (JobHandle, AttemptId), now: Timestamp) {
        let Some(slot) = self.waiting(handle) else { return };
        let (backend, policy) = (Arc::clone(&self.backend), Arc::clone(self.policy_of(self.slab.at(slot).class)));
        let terms = terms(&backend, &policy, self.renewal);
        if let Some(job) = self.slab.open(slot).filter(|job| job.is_sharing(attempt)) {
            job.ask_alone(&terms, now, attempt);
        }
        self.take_further(slot, now, &Taken::default());
    }

    pub(super) fn take_shared_answer<B: AsRef<[u8]>>(
        &mut self,
        lane: u8,
        batch: Batch,
        sent_at: Timestamp,
        now: Timestamp,
        response: &Response<B>,
    ) {
        let backend = Arc::clone(&self.backend);
        let longest = self.policy_of(0).max_retry_after();
        let (mut entries, next) = match backend.dialect().read_bulk(response, now) {
            BulkAnswer::Entries { entries, next } => (entries, next.filter(|_| batch.pages < MOST_PAGES)),
            BulkAnswer::Failed(reading) => {
                self.count(lane, |stats| stats.failed_requests += 1);
                return self.take_shared_failure(lane, batch, sent_at, now, *reading);
            }
        };
        let detail = backend.dialect().bulk().is_some_and(|bulk| bulk.detail);
        let next = next.filter(|token| batch.page.as_ref() != Some(token));
        let (mut missing, mut whole) = (Vec::new(), Taken { answered: true, ..Taken::default() });
        for (handle, attempt) in batch.members {
            let Some(slot) = self.waiting(handle) else { continue };
            let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
            let terms = terms(&backend, &policy, self.renewal);
            let proven = self.lanes[usize::from(lane)].proven;
            let Some(job) = self.slab.open(slot).filter(|job| job.is_sharing(attempt)) else { continue };
            let reading = entries.remove(job.job.id());
            if reading.is_none() && next.is_some() {
                missing.push((handle, attempt));
                continue;
            }
            if proven {
                job.poller.note_backend_proven();
            }
            let taken = job.take_shared(&terms, now, attempt, response, reading, detail);
            whole.good |= taken.good;
            whole.hinted |= taken.hinted;
            self.take_further(slot, now, &taken);
        }
        self.count(lane, |stats| stats.hints += u64::from(whole.hinted));
        self.lanes[usize::from(lane)].note_answer(&whole, sent_at, now, longest);
        self.note_credentials(&whole, now, response.status().as_u16());
        if !missing.is_empty() {
            let pages = batch.pages + 1;
            let page = Batch { members: missing, page: next, pages, again: true, ..Batch::default() };
            self.lanes[usize::from(lane)].batches.push_back(page);
        }
    }

    pub(super) fn take_shared_error(&mut self, lane: u8, batch: Batch, now: Timestamp, error: &TransportError) {
        self.count(lane, |stats| stats.failed_requests += 1);
        if error.error == LookError::TooLarge && batch.members.len() > 1 {
            self.lanes[usize::from(lane)].company = batch.members.len() / 2;
            return self.split(lane, batch);
        }
        self.fail_all(lane, batch, now, error.observation(), &error.to_string());
    }

    /// What becomes of a shared request that failed as a whole.
    fn take_shared_failure(&mut self, lane: u8, batch: Batch, sent_at: Timestamp, now: Timestamp, reading: Reading) {
        let longest = self.policy_of(0).max_retry_after();
        let kept = &mut self.lanes[usize::from(lane)];
        let mut taken = Taken { cool_down: reading.cool_down, ..Taken::default() };
        let message = |what: LookError| reading.message.clone().unwrap_or_else(|| format!("{what}"));
        match reading.observation {
            Observation::Fatal { error: LookError::Status(401) } if batch.renewals < self.backend.renewals() => {
                self.lanes[usize::from(lane)].batches.push_back(Batch { again: true, ..batch });
            }
            Observation::Fatal { error: LookError::Status(401) }
                if !matches!(self.renewal, Renewal::Impossible | Renewal::Unproven) =>
            {
                kept.batches.push_back(Batch { again: true, ..batch });
                taken.refused = Some(Refused::Renewable);
                self.note_credentials(&taken, now, 401);
            }
            // One id may spoil the request for all, or there are too many.
            Observation::Fatal { error: LookError::Status(status @ (400 | 413 | 414 | 422 | 431)) } => {
                taken.answered = true;
                if matches!(status, 413 | 414 | 431) {
                    kept.company = (batch.members.len() / 2).max(1);
                }
                kept.note_answer(&taken, sent_at, now, longest);
                self.split(lane, batch);
            }
            // There are no bulk requests here, whatever the dialect says.
            Observation::Lost { .. } | Observation::Fatal { error: LookError::Status(405) } => {
                kept.company = 0;
                for member in batch.members {
                    self.ask_alone(member, now);
                }
            }
            observation @ (Observation::Throttled { error, .. } | Observation::Fatal { error }) => {
                taken.throttled = matches!(observation, Observation::Throttled { .. });
                taken.answered = !taken.throttled;
                kept.note_answer(&taken, sent_at, now, longest);
                let throttled = u64::from(taken.throttled);
                self.count(lane, |stats| stats.throttled_requests += throttled);
                self.fail_all(lane, batch, now, observation, &message(error));
                if error == LookError::Status(401) {
                    taken.refused = Some(Refused::ForGood);
                    self.note_credentials(&taken, now, 401);
                }
            }
            observation => {
                let (error, hint) = match observation {
                    Observation::Transient { error, hint } => (error, hint),
                    _ => (LookError::Malformed, None),
                };
                kept.note_answer(&taken, sent_at, now, longest);
                kept.note_failure(error, sent_at, now);
                kept.company = (batch.members.len() / 2).max(1);
                self.fail_all(lane, batch, now, Observation::Transient { error, hint }, &message(error));
            }
        }
    }

    /// Asks again for each half, in the same attempt.
    fn split(&mut self, lane: u8, batch: Batch) {
        let Batch { mut members, renewals, .. } = batch;
        let second = members.split_off(members.len().div_ceil(2));
        for members in [second, members].into_iter().filter(|members| !members.is_empty()) {
            let half = Batch { members, renewals, again: true, ..Batch::default() };
            self.lanes[usize::from(lane)].batches.push_front(half);
        }
    }

    fn fail_all(&mut self, lane: u8, batch: Batch, now: Timestamp, observation: Observation, message: &str) {
        let backend = Arc::clone(&self.backend);
        for (handle, attempt) in batch.members {
            let Some(slot) = self.waiting(handle) else { continue };
            let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
            let terms = terms(&backend, &policy, self.renewal);
            let proven = self.lanes[usize::from(lane)].proven;
            if let Some(job) = self.slab.open(slot).filter(|job| job.is_sharing(attempt)) {
                if proven {
                    job.poller.note_backend_proven();
                }
                job.fail_shared(&terms, now, attempt, observation, message);
                self.settle(slot, now);
            }
        }
    }
}
