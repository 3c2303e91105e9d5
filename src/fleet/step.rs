//! The fleet's decisions: who goes next.

use core::time::Duration;
use std::collections::{HashSet, VecDeque};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use super::slab::{Queue, View, excess};
use super::words::{FleetAction, JobHandle};
use super::{Asks, Fleet, News, Renewal};
use crate::job::JobStep;
use crate::{AttemptId, EndReason, LookError, Timestamp};

/// So many leftovers are not worth a sweep.
pub(super) const MOST_LEFTOVERS: usize = 64;

/// So many jobs are fetched from memory at the same time.
const TOGETHER: usize = 32;

/// A job in line whose deadline is as close as this has a timer for it.
const SOON: Duration = Duration::from_secs(60);

impl Fleet {
    /// What to do at this instant.
    pub fn poll(&mut self, now: Timestamp) -> FleetAction {
        let now = self.advance(now);
        self.weigh_limits(now);
        self.free_places(now);
        self.run_timers(now);
        if self.renewal == Renewal::Wanted {
            self.renewal = Renewal::UnderWay;
            return FleetAction::Renew;
        }
        if self.renewal != Renewal::UnderWay {
            let (lanes, turn) = (self.lanes.len(), self.turn);
            for lane in (0..lanes).map(|next| (turn + next) % lanes) {
                if let Some(action) = self.send_from(lane, now) {
                    // The others come first next time.
                    self.turn = (lane + 1) % lanes;
                    return action;
                }
            }
        }
        if self.is_empty() { FleetAction::Idle } else { FleetAction::Sleep { until: self.next_instant(now) } }
    }

    /// When there is something to do at the earliest, if no answer comes.
    fn next_instant(&mut self, now: Timestamp) -> Timestamp {
        let search = self.lanes.iter().filter(|lane| !lane.ready.is_empty()).filter_map(|lane| lane.search_at).min();
        let first =
            self.timers.first().map(|(at, _)| at).into_iter().chain(self.requests.next_expiry()).chain(search).min();
        let mut until = first.unwrap_or(Timestamp::MAX);
        if self.renewal != Renewal::UnderWay {
            let spacing = self.probe_spacing();
            for lane in self.lanes.iter().filter(|lane| lane.has_line()) {
                // Where it is open, there is no place, and a request that ends leaves one.
                let open_at = lane.open_at(spacing);
                if open_at > now {
                    until = until.min(open_at);
                }
            }
        }
        until
    }

    /// The time between two probes in an outage: the shortest that a failed job waits anyway.
    fn probe_spacing(&self) -> Duration {
        let policy = self.policy_of(0);
        policy.set.failure_backoff.0.max(policy.min_delay())
    }

    /// Ends the requests whose time is over.
    fn free_places(&mut self, now: Timestamp) {
        while let Some(under) = self.requests.expire(now) {
            let lane = &mut self.lanes[usize::from(under.lane)];
            lane.note_ended();
            lane.note_failure(LookError::Expired, under.sent_at, now);
            if let Asks::Many(batch) = &under.asks {
                lane.company.note_failure(batch.ids.len());
                self.count(under.lane, |stats| stats.failed_requests += 1);
            }
            for slot in self.asked_by(&under.asks) {
                self.expire(slot, under.lane, now);
                self.settle_unless_in_line(slot, now);
            }
        }
    }

    /// Those whose attempt a request may still belong to.
    pub(super) fn asked_by(&self, asks: &Asks) -> Vec<u32> {
        match asks {
            Asks::One(handle, _) => self.waiting(*handle).into_iter().collect(),
            Asks::Many(batch) => batch.members.iter().filter_map(|member| self.sharing(*member)).collect(),
        }
    }

    /// The slot of a job that still takes part in a shared request.
    pub(super) fn sharing(&self, (handle, attempt): (JobHandle, AttemptId)) -> Option<u32> {
        let slot = self.slab.slot(handle)?;
        matches!(self.slab.view(slot), Some(View::Open(job)) if job.is_sharing(attempt)).then_some(slot)
    }

    /// Lets every timer fire that is due: requests in flight expire, waiting jobs get in line.
    fn run_timers(&mut self, now: Timestamp) {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].search_at.is_some_and(|at| at <= now) {
                self.search_line(lane, now);
            }
        }
        let mut due = core::mem::take(&mut self.due_together);
        while let Some(slot) = self.pop_due(&mut due, now) {
            self.run_timer(slot, now);
        }
        self.due_together = due;
    }

    /// The next whose timer is due: one of several that are fetched at the same time, or one whose timer was set since and
    /// comes before them.
    fn pop_due(&mut self, due: &mut VecDeque<(Timestamp, u32)>, now: Timestamp) -> Option<u32> {
        if due.is_empty() {
            due.extend(core::iter::from_fn(|| self.timers.pop_until((now, u32::MAX))).take(TOGETHER));
            self.slab.fetch(due.iter().map(|(_, slot)| *slot));
        }
        let sooner = self.timers.pop_until(*due.front()?);
        sooner.or_else(|| due.pop_front()).map(|(_, slot)| slot)
    }

    fn run_timer(&mut self, slot: u32, now: Timestamp) {
        let (class, queue) = (self.slab.at(slot).class, self.slab.at(slot).queue);
        let is_waiting = match self.slab.view(slot) {
            None => return,
            Some(View::Packed(..)) => true,
            Some(View::Open(job)) => job.poller.in_flight().is_none() && job.poller.ended().is_none(),
        };
        if !is_waiting {
            // Taken back without a look in its place, which would need room and might fall into a cool-down.
            self.expire(slot, self.slab.at(slot).lane, now);
            self.settle(slot, now);
            return;
        }
        if queue == Queue::Urgent && self.is_overdue(slot, now) {
            self.settle(slot, now);
            return;
        }
        let lane = usize::from(self.slab.at(slot).lane);
        match self.deadline(slot) {
            Some(deadline) if now >= deadline => {
                self.line_up(lane, slot, Queue::Urgent);
                // However late the driver is, a final look has this long to find room.
                let grace = self.policy_of(class).final_grace();
                self.timers.set(slot, now.saturating_add(grace), now);
            }
            deadline => {
                self.line_up(lane, slot, Queue::Ready);
                if let Some(deadline) = deadline {
                    self.expect_deadline(lane, slot, deadline, now);
                }
            }
        }
    }

    fn deadline(&self, slot: u32) -> Option<Timestamp> {
        let timeout = self.policy_of(self.slab.at(slot).class).total_timeout()?;
        match self.slab.view(slot)? {
            View::Packed(packed, _) => Some(packed.deadline(timeout)),
            View::Open(job) => Some(job.poller.started().saturating_add(timeout)),
        }
    }

    /// Most jobs leave the line long before their deadline, which therefore gets no timer until it is close: the line is
    /// searched for such jobs, but not twice within half of [`SOON`].
    fn expect_deadline(&mut self, lane: usize, slot: u32, deadline: Timestamp, now: Timestamp) {
        if deadline <= now.saturating_add(SOON) {
            self.timers.set(slot, deadline, now);
        } else {
            let at = deadline.saturating_sub(SOON / 2);
            let known = &mut self.lanes[lane].search_at;
            *known = Some(known.map_or(at, |known| known.min(at)));
        }
    }

    fn search_line(&mut self, lane: usize, now: Timestamp) {
        self.lanes[lane].search_at = None;
        let line = core::mem::take(&mut self.lanes[lane].ready);
        for slot in &line {
            if self.stands_in(lane, *slot, Queue::Ready)
                && let Some(deadline) = self.deadline(*slot)
            {
                self.expect_deadline(lane, *slot, deadline, now);
            }
        }
        self.lanes[lane].ready = line;
    }

    fn line_up(&mut self, lane: usize, slot: u32, queue: Queue) {
        self.slab.at_mut(slot).queue = queue;
        self.lanes[lane].line(queue).push_back(slot);
        // Who has left leaves an entry behind.
        self.sweep(|fleet| fleet.lanes[lane].line(queue), |fleet, slot| fleet.stands_in(lane, slot, queue));
    }

    /// The same for a further request of its own in the attempt under way.
    pub(super) fn line_up_hop(&mut self, lane: usize, slot: u32) {
        self.lanes[lane].hops.push_back(slot);
        // Whose attempt has ended leaves an entry behind.
        self.sweep(|fleet| &mut fleet.lanes[lane].hops, |fleet, slot| fleet.has_hop_to(lane, slot));
    }

    /// Of a line with many leftovers only those stay who stand in it, each once.
    fn sweep(&mut self, line: impl Fn(&mut Self) -> &mut VecDeque<u32>, stands_in: impl Fn(&mut Self, u32) -> bool) {
        if line(self).len() > 2 * self.jobs + MOST_LEFTOVERS {
            let mut known = HashSet::new();
            let mut kept = core::mem::take(line(self));
            kept.retain(|slot| stands_in(self, *slot) && known.insert(*slot));
            *line(self) = kept;
        }
    }

    /// Ends the wait of a job that found no room for its final look.
    fn is_overdue(&mut self, slot: u32, now: Timestamp) -> bool {
        let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
        self.slab.open(slot).is_some_and(|job| job.poller.end_overdue(&policy, now))
    }

    /// Takes a job's attempt back, if its time is over; its request was this lane's.
    pub(super) fn expire(&mut self, slot: u32, lane: u8, now: Timestamp) {
        let Some((terms, job)) = self.open(lane, slot) else { return };
        let (failed, in_company) = (job.failed_requests(), job.is_in_company());
        job.expire(&terms, now);
        // A shared request is counted once, by itself.
        let failed = if in_company { 0 } else { job.failed_requests() - failed };
        self.count(lane, |stats| stats.failed_requests += u64::from(failed));
    }

    /// The next request of a lane, if it may send one.
    fn send_from(&mut self, lane: usize, now: Timestamp) -> Option<FleetAction> {
        loop {
            if let Some(until) = self.lanes[lane].cooling(now) {
                self.send_line_away(lane, now, until);
                return None;
            }
            let spacing = self.probe_spacing();
            let kept = &mut self.lanes[lane];
            if !kept.has_room() || kept.open_at(spacing) > now {
                return None;
            }
            let action = if let Some(slot) = kept.hops.pop_front() {
                if self.has_hop_to(lane, slot) { self.step(lane, slot, now) } else { None }
            } else if let Some(batch) = kept.batches.pop_front() {
                self.send_batch(lane, batch, now)
            } else if let Some(slot) = kept.urgent.pop_front() {
                if self.leaves_line(lane, slot, Queue::Urgent) { self.look(lane, slot, now) } else { None }
            } else {
                if kept.ready.len().is_multiple_of(TOGETHER) {
                    self.slab.fetch(kept.ready.iter().take(TOGETHER).copied());
                }
                let slot = kept.ready.pop_front()?;
                if let Some(enough) = excess(kept.ready.len(), kept.ready.capacity()) {
                    kept.ready.shrink_to(enough);
                }
                let goes = self.leaves_line(lane, slot, Queue::Ready) && !self.gives_up(slot, now);
                if goes { self.look(lane, slot, now) } else { None }
            };
            if action.is_some() {
                return action;
            }
        }
    }

    /// Takes a job out of this line, if it still stands there.
    fn leaves_line(&mut self, lane: usize, slot: u32, queue: Queue) -> bool {
        let stands = self.stands_in(lane, slot, queue);
        if stands {
            self.slab.at_mut(slot).queue = Queue::None;
        }
        stands
    }

    /// Whether it is this line where the job of a slot stands: the entry may be of one that has left, whose slot another
    /// has now.
    pub(super) fn stands_in(&self, lane: usize, slot: u32, queue: Queue) -> bool {
        let kept = self.slab.at(slot);
        kept.queue == queue && usize::from(kept.lane) == lane
    }

    /// The same for a further request of its own that goes to this lane.
    fn has_hop_to(&mut self, lane: usize, slot: u32) -> bool {
        let Some(View::Open(job)) = self.slab.view(slot) else { return false };
        let Some(address) = job.next_address().map(String::from) else { return false };
        usize::from(self.lane_of(Some(&address))) == lane
    }

    /// In an outage that has lasted for longer than the policy allows, waiting in line is of no use.
    fn gives_up(&mut self, slot: u32, now: Timestamp) -> bool {
        let kept = self.slab.at(slot);
        let (lane, set) = (&self.lanes[usize::from(kept.lane)], &self.policy_of(kept.class).set);
        let (rounds, time, reason) = if lane.proven {
            (0, set.max_failure_time, EndReason::FailingTooLong)
        } else {
            (set.max_first_failures, Duration::ZERO, EndReason::FailuresSpent)
        };
        let Some(outage) = lane.outage(rounds, time, now) else { return false };
        if let Some(job) = self.slab.open(slot) {
            job.give_up(now, outage.error, reason);
        }
        self.settle(slot, now);
        true
    }

    /// While a lane cools down, nobody stands in line: each waits for the end, plus some jitter.
    fn send_line_away(&mut self, lane: usize, now: Timestamp, until: Timestamp) {
        let kept = &mut self.lanes[lane];
        let (hops, batches) = (core::mem::take(&mut kept.hops), core::mem::take(&mut kept.batches));
        let (urgent, ready) = (core::mem::take(&mut kept.urgent), core::mem::take(&mut kept.ready));
        for slot in hops {
            if self.has_hop_to(lane, slot) {
                self.put_off(slot, now, until);
            }
        }
        for member in batches.into_iter().flat_map(|batch| batch.members) {
            if let Some(slot) = self.sharing(member) {
                self.put_off(slot, now, until);
            }
        }
        let urgent = urgent.into_iter().map(|slot| (slot, Queue::Urgent));
        for (slot, queue) in urgent.chain(ready.into_iter().map(|slot| (slot, Queue::Ready))) {
            if self.leaves_line(lane, slot, queue) {
                let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
                if let Some(job) = self.slab.open(slot) {
                    job.poller.hold(&policy, now, until);
                }
                self.settle(slot, now);
            }
        }
    }

    fn put_off(&mut self, slot: u32, now: Timestamp, until: Timestamp) {
        let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
        if let Some(job) = self.slab.open(slot) {
            job.put_off(&policy, now, until);
        }
        self.settle(slot, now);
    }

    /// Polls a job: a request of this lane to send, or whatever else has become of it.
    pub(super) fn step(&mut self, lane: usize, slot: u32, now: Timestamp) -> Option<FleetAction> {
        let handle = self.slab.handle(slot);
        let lane = u8::try_from(lane).unwrap_or_default();
        let (terms, job) = self.open(lane, slot)?;
        // No request of its own fails by this: an attempt whose time is over was taken back before.
        let step = job.poll(&terms, now);
        let JobStep::Send { id, request, timeout } = step else {
            self.settle(slot, now);
            return None;
        };
        let expires = now.saturating_add(timeout);
        let id = self.requests.insert(lane, now, expires, Asks::One(handle, id))?;
        self.lanes[usize::from(lane)].note_sent(now);
        self.count(lane, |stats| stats.requests += 1);
        self.settle_under_way(slot, expires, now);
        Some(FleetAction::Send { id, request, timeout })
    }

    /// The same for a job that a request asks for: an attempt that does not end before ends with its request.
    pub(super) fn settle_under_way(&mut self, slot: u32, expires: Timestamp, now: Timestamp) {
        self.slab.at_mut(slot).queue = Queue::None;
        let due = self.slab.open(slot).and_then(|job| job.poller.due()).unwrap_or(expires);
        if due < expires {
            self.timers.set(slot, due, now);
        } else {
            self.timers.clear(slot);
        }
    }

    /// The same for a job whose attempt may have ended before its request did, and which may stand in line again.
    pub(super) fn settle_unless_in_line(&mut self, slot: u32, now: Timestamp) {
        match self.slab.at(slot).queue {
            Queue::None => self.settle(slot, now),
            Queue::Ready | Queue::Urgent | Queue::Told => self.slab.close(slot),
        }
    }

    /// Brings timers and news in line with what a job has become.
    pub(super) fn settle(&mut self, slot: u32, now: Timestamp) {
        if self.slab.at(slot).queue == Queue::Told {
            return;
        }
        let refused = self.refused.clone();
        let Some(job) = self.slab.open(slot) else { return };
        if let Some(why) = refused
            && job.poller.ended().is_none()
            && (job.poller.in_flight().is_none() || job.is_between_requests())
        {
            job.refuse(now, &why);
        }
        if let Some(ended) = job.poller.ended() {
            let (outcome, delay) = job.verdict(&ended);
            let lane = self.slab.at(slot).lane;
            self.demand.note_stay(ended.elapsed);
            self.count(lane, |stats| stats.note_end(outcome, delay));
            self.timers.clear(slot);
            self.jobs -= 1;
            self.slab.at_mut(slot).queue = Queue::Told;
            self.news.push_back(News::Finished(slot));
            self.learn_from(slot);
        } else if let Some(due) = job.poller.due() {
            self.slab.at_mut(slot).queue = Queue::None;
            self.timers.set(slot, due, now);
        }
        self.slab.close(slot);
    }
}
