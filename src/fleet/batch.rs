//! Requests that ask for many jobs at once: who takes part, and how they are sent.

use std::boxed::Box;
use std::collections::HashSet;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use super::requests::{Batch, Page};
use super::slab::{Queue, View};
use super::words::{FleetAction, JobHandle};
use super::{Asks, Fleet};
use crate::job::Taken;
use crate::{AttemptId, Timestamp};

/// For each free place so many jobs are considered.
const CANDIDATES: usize = 2;

/// The jobs of a shared request, each by an attempt of its own.
type Members = Vec<(JobHandle, AttemptId)>;

impl Fleet {
    /// A look at a due job: in company where that is possible, else alone.
    pub(super) fn look(&mut self, lane: usize, first: u32, now: Timestamp) -> Option<FleetAction> {
        let kept = &self.lanes[lane];
        let most = match self.backend.dialect().bulk_limit() {
            // What an outage is asked about is whether there is an answer at all.
            Some(most) if !kept.is_out() && self.may_share(first) => usize::from(most).min(kept.company.most()),
            _ => 1,
        };
        // Its deadline's timer is no other look of its own.
        self.timers.clear(first);
        let mut members = Vec::new();
        if most > 1 {
            for queue in [Queue::Urgent, Queue::Ready] {
                self.gather_due(lane, queue, most - 1, now, &mut members);
            }
            self.gather_early(lane, most - 1, now, &mut members);
        }
        if members.is_empty() {
            return self.step(lane, first, now);
        }
        if !self.join(first, now, &mut members) {
            self.settle(first, now);
        }
        self.send_batch(lane, Batch { members, ..Batch::default() }, now)
    }

    /// Lets those in line join, in their order; who cannot share keeps the place.
    fn gather_due(&mut self, lane: usize, queue: Queue, most: usize, now: Timestamp, members: &mut Members) {
        let mut others = Vec::new();
        let free = most.saturating_sub(members.len());
        self.slab.fetch(self.lanes[lane].line(queue).iter().take(free).copied());
        for _ in 0..free.saturating_mul(CANDIDATES) {
            if members.len() >= most {
                break;
            }
            let Some(slot) = self.lanes[lane].line(queue).pop_front() else { break };
            if self.stands_in(lane, slot, queue) && !(self.may_share(slot) && self.join(slot, now, members)) {
                others.push(slot);
            }
        }
        for slot in others.into_iter().rev() {
            self.lanes[lane].line(queue).push_front(slot);
        }
    }

    /// Fills the free places with those whose own looks come soonest.
    fn gather_early(&mut self, lane: usize, most: usize, now: Timestamp, members: &mut Members) {
        let mut others = Vec::new();
        let mut candidates = most.saturating_sub(members.len()).saturating_mul(CANDIDATES);
        while candidates > 0 && members.len() < most {
            let many = candidates.min(most - members.len());
            let next: Vec<_> = core::iter::from_fn(|| self.timers.pop_first()).take(many).collect();
            if next.is_empty() {
                break;
            }
            candidates -= next.len();
            self.slab.fetch(next.iter().map(|(_, slot)| *slot));
            for (at, slot) in next {
                let kept = self.slab.at(slot);
                let is_here = usize::from(kept.lane) == lane && kept.queue == Queue::None;
                // Where looks are counted, an early one is taken from the end of the wait.
                let is_free = is_here && self.policy_of(kept.class).max_polls().is_none();
                if !(is_free && self.may_share(slot) && self.join(slot, now, members)) {
                    others.push((at, slot));
                }
            }
        }
        for (at, slot) in others {
            self.timers.put_back(slot, at);
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

    /// Lets a job take part, if it is due or may be looked at early; whoever does has to be settled.
    fn join(&mut self, slot: u32, now: Timestamp, members: &mut Members) -> bool {
        let (handle, lane) = (self.slab.handle(slot), self.slab.at(slot).lane);
        let Some((terms, job)) = self.open(lane, slot) else { return false };
        let joined = job.share(terms.backend, terms.policy, now).map(|attempt| members.push((handle, attempt)));
        if joined.is_some() {
            // By its deadline's timer it would be considered for the free places.
            self.timers.clear(slot);
        } else {
            self.slab.close(slot);
        }
        joined.is_some()
    }

    /// Sends a shared request for those of its members that still wait for it.
    pub(super) fn send_batch(&mut self, lane: usize, mut batch: Batch, now: Timestamp) -> Option<FleetAction> {
        let mut expires = now;
        batch.members.retain(|member| {
            let job = self.sharing(*member).and_then(|slot| self.slab.open(slot));
            expires = expires.max(job.as_ref().and_then(|job| job.poller.due()).unwrap_or(now));
            job.is_some()
        });
        if let ([member], None) = (batch.members.as_slice(), &batch.page) {
            let member = *member;
            if let Some(job) = self.slab.open(member.0.slot).filter(|_| batch.suspect) {
                job.keep_apart();
            }
            self.ask_alone(member, now, false);
            return None;
        }
        if batch.page.is_none() {
            batch.ids = self.distinct_ids(&batch.members);
        }
        let token = batch.page.as_ref().map(|page| page.token.as_str());
        let Ok(request) = self.backend.bulk_request(batch.ids.iter().map(AsRef::as_ref), token) else {
            for member in batch.members {
                self.ask_alone(member, now, false);
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
        for (handle, _) in &batch.members {
            self.settle_under_way(handle.slot, expires, now);
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

    /// Two jobs may have the same id.
    fn distinct_ids(&self, members: &Members) -> Vec<Box<str>> {
        let mut known = HashSet::with_capacity(members.len());
        let ids = members.iter().filter_map(|(handle, _)| Some(self.slab.job(handle.slot)?.id()));
        ids.filter(|id| known.insert(*id)).map(Box::from).collect()
    }

    /// Those who have not been told of by this page wait for the next one.
    pub(super) fn ask_for_page(&mut self, lane: u8, batch: Batch, token: String, now: Timestamp) {
        if self.may_go_on(&batch.members, false, now) {
            let page = Some(Page { token, number: batch.page.map_or(1, |page| page.number + 1) });
            self.lanes[usize::from(lane)].batches.push_back(Batch { page, again: true, ..batch });
        }
    }

    /// The same again, with other credentials.
    pub(super) fn repeat(&mut self, lane: u8, batch: Batch, now: Timestamp) {
        if self.may_go_on(&batch.members, true, now) {
            self.lanes[usize::from(lane)].batches.push_back(Batch { again: true, ..batch });
        }
    }

    /// Asks again for each half, in the same attempt.
    pub(super) fn split(&mut self, lane: u8, batch: Batch, suspect: bool, now: Timestamp) {
        if !self.may_go_on(&batch.members, true, now) {
            return;
        }
        let mut members = batch.members;
        let second = members.split_off(members.len().div_ceil(2));
        for members in [second, members].into_iter().filter(|members| !members.is_empty()) {
            let half = Batch { members, again: true, suspect, ..Batch::default() };
            self.lanes[usize::from(lane)].batches.push_front(half);
        }
    }

    /// Whether another request may follow in the same attempts: not with credentials that were refused for good while this
    /// one was on its way, which ends the waits.
    fn may_go_on(&mut self, members: &Members, failed: bool, now: Timestamp) -> bool {
        for member in members {
            if let Some(slot) = self.sharing(*member)
                && let Some(job) = self.slab.open(slot)
            {
                job.share_later(failed);
                self.settle(slot, now);
            }
        }
        self.refused.is_none()
    }

    /// A job leaves the company and goes on by itself, in the same attempt; where it was `refused` there, that request
    /// has failed.
    pub(super) fn ask_alone(&mut self, (handle, attempt): (JobHandle, AttemptId), now: Timestamp, refused: bool) {
        // Whose attempt has ended meanwhile may stand in line, and keeps the place.
        let Some(slot) = self.sharing((handle, attempt)) else { return };
        let lane = self.slab.at(slot).lane;
        if let Some((terms, job)) = self.open(lane, slot) {
            job.share_later(refused);
            job.ask_alone(&terms, now, attempt);
        }
        self.take_further(slot, now, &Taken::default());
    }
}
