//! Many jobs of one backend under shared limits, without a socket, a thread or a clock.
//!
//! The fleet holds a job's timer in a heap while the job sleeps, and its place in a queue while it is due and waits for
//! room. Room is taken before a job is stepped, so that no look is spent on waiting in line; final looks go first.

mod lane;
mod timers;
mod words;

use std::boxed::Box;
use std::collections::{HashSet, VecDeque};
use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

use http::Response;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::finished::TransportError;
use crate::job::{Job, JobStep, Refused, Taken, Terms};
use crate::{Backend, Ended, JobRef, JobSnapshot, Policy, PolicySchedule, SnapshotError, Stats, Timestamp};
use lane::{Lane, Renewal};
use timers::Timers;
pub use words::{FleetAction, FleetEvent, JobHandle, Progress, RequestId};

/// Requests in flight at once unless [`Fleet::with_max_in_flight`] says otherwise.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 16;

/// Waits for many jobs of one backend.
///
/// Call [`poll`](Self::poll) and carry out what it says until it says `Sleep` or `Idle`; then, before sleeping or leaving,
/// drain [`next_event`](Self::next_event): polling ends waits, too. Hand in what comes of each request. Each job inserted
/// gets exactly one [`FleetEvent::Finished`].
#[derive(Debug)]
pub struct Fleet {
    backend: Arc<Backend>,
    policy: Arc<Policy>,
    lane: Lane,
    slots: Vec<Slot>,
    free: Vec<u32>,
    timers: Timers,
    /// Due at or after their deadline.
    urgent: VecDeque<u32>,
    /// Due, in the order in which they became so.
    ready: VecDeque<u32>,
    /// In flight, with a redirect to follow.
    hops: VecDeque<u32>,
    jobs: usize,
    events: VecDeque<FleetEvent>,
    stats: Stats,
    rng: ChaCha8Rng,
    /// The greatest instant ever handed in.
    latest: Timestamp,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    job: Job,
    queue: Queue,
    /// A place in flight is taken.
    in_flight: bool,
    /// When the present request was sent.
    sent_at: Timestamp,
}

/// Where a job waits for room; entries of the queues that disagree are leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    None,
    Ready,
    Urgent,
}

impl Fleet {
    /// An empty fleet. Takes seeds from the generator once.
    pub fn new(backend: Arc<Backend>, policy: Arc<Policy>, rng: &mut impl Rng) -> Self {
        Self {
            backend,
            policy,
            lane: Lane::new(DEFAULT_MAX_IN_FLIGHT),
            slots: Vec::new(),
            free: Vec::new(),
            timers: Timers::default(),
            urgent: VecDeque::new(),
            ready: VecDeque::new(),
            hops: VecDeque::new(),
            jobs: 0,
            events: VecDeque::new(),
            stats: Stats::default(),
            rng: ChaCha8Rng::from_rng(rng),
            latest: Timestamp::UNIX_EPOCH,
        }
    }

    /// The most requests in flight at once, at least 1. Default: [`DEFAULT_MAX_IN_FLIGHT`].
    #[must_use]
    pub fn with_max_in_flight(mut self, most: usize) -> Self {
        self.set_max_in_flight(most);
        self
    }

    /// Changes the limit of [`with_max_in_flight`](Self::with_max_in_flight); requests already sent are left alone.
    pub fn set_max_in_flight(&mut self, most: usize) {
        self.lane.set_limit(most);
    }

    /// Refused credentials (401) can be renewed: by [`FleetAction::Renew`]. Unless this is called, they end the waits of
    /// all jobs as rejected.
    #[must_use]
    pub fn with_renewal(mut self) -> Self {
        self.lane.renewal = Renewal::Possible;
        self
    }

    /// Ends the renewal that [`FleetAction::Renew`] asked for: the same backend with other credentials, or why there are
    /// none. In the first case the refused requests are repeated, in the second the waits of all jobs end as rejected.
    pub fn renewed(&mut self, now: Timestamp, backend: Result<Arc<Backend>, String>) {
        let now = self.advance(now);
        match backend {
            Ok(backend) => {
                self.backend = backend;
                self.lane.renewal = Renewal::Unproven;
                self.lane.refused = None;
                let hops = (0..).zip(&self.slots).filter(|(_, kept)| {
                    let entry = kept.entry.as_ref();
                    entry.is_some_and(|entry| entry.job.has_hop())
                });
                self.hops = hops.map(|(slot, _)| slot).collect();
            }
            Err(problem) => {
                self.lane.renewal = Renewal::Possible;
                self.lane.refused = Some(format!("the credentials were refused and not renewed: {problem}"));
                self.refuse_waiting(now);
            }
        }
    }

    /// The backend, with the credentials that are used now.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The backend has answered well before: an outage is ridden out from the start.
    pub fn note_backend_proven(&mut self) {
        self.lane.proven = true;
    }

    /// Whether the backend has given a good answer.
    pub fn is_backend_proven(&self) -> bool {
        self.lane.proven
    }

    /// Starts to wait for a job.
    pub fn insert(&mut self, job: JobRef, now: Timestamp) -> JobHandle {
        let now = self.advance(now);
        let job = Job::new(job, &self.policy, &PolicySchedule, now, &mut self.rng);
        self.add(job, now)
    }

    /// Starts to wait for each of these jobs, an id that comes twice once.
    pub fn insert_distinct(&mut self, jobs: impl IntoIterator<Item = JobRef>, now: Timestamp) {
        let mut known = HashSet::new();
        for job in jobs {
            if known.insert(job.id().to_string()) {
                self.insert(job, now);
            }
        }
    }

    /// Goes on waiting for a job where a snapshot left it.
    ///
    /// # Errors
    /// The snapshot is of a newer version, or damaged.
    pub fn resume(&mut self, snapshot: JobSnapshot, now: Timestamp) -> Result<JobHandle, SnapshotError> {
        let now = self.advance(now);
        let job = snapshot.restore(&self.policy, now)?;
        Ok(self.add(job, now))
    }

    /// Jobs whose wait has not ended.
    pub fn len(&self) -> usize {
        self.jobs
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs == 0
    }

    /// The jobs whose wait has not ended, in no particular order.
    pub fn jobs(&self) -> impl Iterator<Item = (JobHandle, &JobRef)> {
        (0..).zip(&self.slots).filter_map(|(slot, kept)| {
            let handle = JobHandle { slot, generation: kept.generation };
            kept.entry.as_ref().map(|entry| (handle, &entry.job.job))
        })
    }

    /// The job behind a handle; `None` once its wait has ended.
    pub fn job(&self, handle: JobHandle) -> Option<&JobRef> {
        self.kept(handle).map(|kept| &kept.job)
    }

    /// Where a job stands; `None` once its wait has ended.
    pub fn progress(&self, handle: JobHandle) -> Option<Progress<'_>> {
        let job = self.kept(handle)?;
        Some(Progress {
            job: &job.job,
            state: job.state(),
            requests: job.requests(),
            in_flight: job.poller.in_flight().is_some(),
            fraction: job.progress(),
            queue_position: job.queue_position(),
            next: job.poller.due()?,
        })
    }

    /// A job as a value that can be stored and taken up again; `None` once its wait has ended.
    pub fn snapshot(&self, handle: JobHandle) -> Option<JobSnapshot> {
        self.kept(handle).map(JobSnapshot::of)
    }

    /// Every job whose wait has not ended, as values that can be stored.
    pub fn snapshots(&self) -> impl Iterator<Item = JobSnapshot> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref()).map(|entry| JobSnapshot::of(&entry.job))
    }

    /// Something outside says "look now" at this job. Tells whether the job is there.
    pub fn wake(&mut self, handle: JobHandle, now: Timestamp) -> bool {
        let (backend, policy, now) = (Arc::clone(&self.backend), Arc::clone(&self.policy), self.advance(now));
        let terms = terms(&backend, &policy, &self.lane);
        let Some(entry) = self.entry(handle) else { return false };
        // An attempt whose time is over must not hear of later instants first: it may have been the last before the
        // deadline, and then the final look is still to come.
        let failed = entry.job.failed_requests();
        entry.job.expire(&terms, now);
        entry.job.poller.note_wake(&policy, now);
        let failed = entry.job.failed_requests() - failed;
        // A job in line keeps its place.
        let in_line = entry.queue != Queue::None;
        self.stats.failed_requests += u64::from(failed);
        if !in_line {
            self.settle(handle.slot);
        }
        true
    }

    /// Ends the wait for a job, which is told as an event. The job itself goes on. Tells whether the job was there.
    pub fn stop(&mut self, handle: JobHandle, now: Timestamp) -> bool {
        let now = self.advance(now);
        let Some(entry) = self.entry(handle) else { return false };
        let _ = entry.job.poller.stop(now);
        self.settle(handle.slot);
        true
    }

    /// Ends the wait for every job.
    pub fn stop_all(&mut self, now: Timestamp) {
        let handles: Vec<_> = self.jobs().map(|(handle, _)| handle).collect();
        for handle in handles {
            self.stop(handle, now);
        }
    }

    /// What to do at this instant.
    pub fn poll(&mut self, now: Timestamp) -> FleetAction {
        let now = self.advance(now);
        self.run_timers(now);
        self.refuse_waiting(now);
        if self.lane.renewal == Renewal::Wanted {
            self.lane.renewal = Renewal::UnderWay;
            return FleetAction::Renew;
        }
        while let Some(slot) = self.next_hop(now) {
            if let Some(action) = self.step(slot, now) {
                return action;
            }
        }
        while let Some(slot) = self.next_in_line(now) {
            if let Some(action) = self.step(slot, now) {
                return action;
            }
        }
        match self.timers.next() {
            Some(until) => FleetAction::Sleep { until },
            None => FleetAction::Idle,
        }
    }

    /// Takes an answer; one that is late, repeated or not ours changes nothing.
    pub fn handle_response<B: AsRef<[u8]>>(&mut self, now: Timestamp, id: RequestId, response: &Response<B>) {
        let now = self.advance(now);
        let (backend, policy, proven) = (Arc::clone(&self.backend), Arc::clone(&self.policy), self.lane.proven);
        let terms = terms(&backend, &policy, &self.lane);
        let Some(entry) = self.entry(id.handle) else { return };
        let sent_at = entry.sent_at;
        if proven {
            entry.job.poller.note_backend_proven();
        }
        let failed = entry.job.failed_requests();
        let Some(taken) = entry.job.handle_response(&terms, now, id.hop, response) else { return };
        let failed = entry.job.failed_requests() - failed;
        let hop = entry.job.has_hop() && taken.refused != Some(Refused::Renewable);
        self.stats.failed_requests += u64::from(failed);
        self.stats.throttled_requests += u64::from(taken.throttled);
        self.stats.hints += u64::from(taken.hinted);
        self.stats.bytes += response.body().as_ref().len() as u64;
        self.stats.response_time.record(now.saturating_since(sent_at));
        self.lane.note_answer(&taken, sent_at, now, policy.max_retry_after());
        self.tell_change(id.handle, &taken);
        if hop {
            self.hops.push_back(id.handle.slot);
        }
        if taken.refused == Some(Refused::ForGood) {
            self.lane.refused =
                Some(format!("the credentials were refused: HTTP status {}", response.status().as_u16()));
        }
        self.settle(id.handle.slot);
        self.refuse_waiting(now);
    }

    /// Takes the news that no answer will come.
    pub fn handle_error(&mut self, now: Timestamp, id: RequestId, error: &TransportError) {
        let now = self.advance(now);
        let (backend, policy, proven) = (Arc::clone(&self.backend), Arc::clone(&self.policy), self.lane.proven);
        let terms = terms(&backend, &policy, &self.lane);
        let Some(entry) = self.entry(id.handle) else { return };
        if proven {
            entry.job.poller.note_backend_proven();
        }
        if entry.job.handle_error(&terms, now, id.hop, error).is_some() {
            self.stats.failed_requests += 1;
            self.settle(id.handle.slot);
        }
    }

    /// The next piece of news, if any.
    pub fn next_event(&mut self) -> Option<FleetEvent> {
        self.events.pop_front()
    }

    /// What the fleet has cost and reached so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The one place where time comes in: it never goes backwards.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }

    fn add(&mut self, job: Job, now: Timestamp) -> JobHandle {
        let entry = Entry { job, queue: Queue::None, in_flight: false, sent_at: now };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize].entry = Some(entry);
            slot
        } else {
            let slot = u32::try_from(self.slots.len()).expect("four thousand million jobs do not fit into memory");
            self.slots.push(Slot { generation: 0, entry: Some(entry) });
            slot
        };
        self.jobs += 1;
        let generation = self.slots[slot as usize].generation;
        self.settle(slot);
        JobHandle { slot, generation }
    }

    fn kept(&self, handle: JobHandle) -> Option<&Job> {
        let slot = self.slots.get(handle.slot as usize).filter(|slot| slot.generation == handle.generation)?;
        slot.entry.as_ref().map(|entry| &entry.job)
    }

    fn entry(&mut self, handle: JobHandle) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        slot.entry.as_mut().filter(|_| slot.generation == handle.generation)
    }

    /// Lets every timer fire that is due: requests in flight expire, waiting jobs get in line.
    fn run_timers(&mut self, now: Timestamp) {
        let (backend, policy) = (Arc::clone(&self.backend), Arc::clone(&self.policy));
        while let Some(slot) = self.timers.pop_due(now) {
            let terms = terms(&backend, &policy, &self.lane);
            let Some(entry) = self.slots[slot as usize].entry.as_mut() else { continue };
            if entry.job.poller.in_flight().is_some() {
                // Taken back without a look in its place, which would need room and might fall into a cool-down.
                let failed = entry.job.failed_requests();
                entry.job.expire(&terms, now);
                self.stats.failed_requests += u64::from(entry.job.failed_requests() - failed);
                self.settle(slot);
                continue;
            }
            let in_last_line = entry.queue == Queue::Urgent;
            if entry.job.poller.ended().is_some() || (in_last_line && entry.job.poller.end_overdue(&policy, now)) {
                self.settle(slot);
                continue;
            }
            let started = entry.job.poller.started();
            match policy.total_timeout().map(|timeout| started.saturating_add(timeout)) {
                Some(deadline) if now >= deadline => {
                    entry.queue = Queue::Urgent;
                    self.urgent.push_back(slot);
                    // However late the driver is, a final look has this long to find room.
                    self.timers.set(slot, now.saturating_add(policy.final_grace()));
                }
                deadline => {
                    entry.queue = Queue::Ready;
                    self.ready.push_back(slot);
                    if let Some(deadline) = deadline {
                        self.timers.set(slot, deadline);
                    }
                }
            }
        }
    }

    /// Takes the next job that has a redirect to follow, which needs no place beside the one that it has. While the
    /// lane cools down, nothing is followed.
    fn next_hop(&mut self, now: Timestamp) -> Option<u32> {
        if self.lane.renewal == Renewal::UnderWay {
            return None;
        }
        loop {
            let slot = self.hops.pop_front()?;
            // The job may have ended since, and the slot may be another's.
            let Some(entry) = self.slots[slot as usize].entry.as_mut().filter(|entry| entry.job.has_hop()) else {
                continue;
            };
            match self.lane.cooling(now) {
                None => return Some(slot),
                Some(until) => {
                    entry.job.put_off(&self.policy, now, until);
                    self.settle(slot);
                }
            }
        }
    }

    /// Takes the job that may look now out of the line. While the lane cools down, the line is sent away.
    fn next_in_line(&mut self, now: Timestamp) -> Option<u32> {
        if self.lane.renewal == Renewal::UnderWay {
            return None;
        }
        loop {
            let cooling = self.lane.cooling(now);
            if cooling.is_none() && !self.lane.has_room() {
                return None;
            }
            let (slot, queue) = match self.urgent.pop_front() {
                Some(slot) => (slot, Queue::Urgent),
                None => (self.ready.pop_front()?, Queue::Ready),
            };
            let Some(entry) = self.slots[slot as usize].entry.as_mut().filter(|entry| entry.queue == queue) else {
                continue;
            };
            entry.queue = Queue::None;
            match cooling {
                None => return Some(slot),
                Some(until) => {
                    entry.job.poller.hold(&self.policy, now, until);
                    self.settle(slot);
                }
            }
        }
    }

    /// Polls a job: a request to send, or whatever else has become of it.
    fn step(&mut self, slot: u32, now: Timestamp) -> Option<FleetAction> {
        let generation = self.slots[slot as usize].generation;
        let entry = self.slots[slot as usize].entry.as_mut()?;
        if self.lane.proven {
            entry.job.poller.note_backend_proven();
        }
        let failed = entry.job.failed_requests();
        let step = entry.job.poll(&terms(&self.backend, &self.policy, &self.lane), now);
        self.stats.failed_requests += u64::from(entry.job.failed_requests() - failed);
        let action = match step {
            JobStep::Send { id, request, timeout } => {
                entry.sent_at = now;
                self.stats.requests += 1;
                let id = RequestId { handle: JobHandle { slot, generation }, hop: id };
                Some(FleetAction::Send { id, request, timeout })
            }
            JobStep::Sleep { .. } | JobStep::Ended(_) => None,
        };
        self.settle(slot);
        action
    }

    /// Brings places, timers and events in line with what a job has become.
    fn settle(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.as_mut() else { return };
        let in_flight = entry.job.poller.in_flight().is_some();
        if in_flight != entry.in_flight {
            entry.in_flight = in_flight;
            self.lane.in_flight = if in_flight { self.lane.in_flight + 1 } else { self.lane.in_flight - 1 };
        }
        if let Some(ended) = entry.job.poller.ended() {
            self.finish(slot, ended);
        } else if let Some(due) = entry.job.poller.due() {
            entry.queue = Queue::None;
            self.timers.set(slot, due);
        }
    }

    /// Where the credentials were refused, nobody asks with them any more; what is under way may still tell an end.
    fn refuse_waiting(&mut self, now: Timestamp) {
        let Some(message) = self.lane.refused.clone() else { return };
        for slot in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            if let Some(entry) = self.slots[slot as usize].entry.as_mut()
                && (!entry.in_flight || entry.job.has_hop())
            {
                entry.job.refuse(now, &message);
                self.settle(slot);
            }
        }
    }

    fn finish(&mut self, slot: u32, ended: Ended) {
        let kept = &mut self.slots[slot as usize];
        let Some(entry) = kept.entry.take() else { return };
        let handle = JobHandle { slot, generation: kept.generation };
        // A slot whose generations are used up is never used again, so that no handle can name two jobs.
        if let Some(next) = kept.generation.checked_add(1) {
            kept.generation = next;
            self.free.push(slot);
        }
        self.timers.clear(slot);
        self.jobs -= 1;
        let finished = Box::new(entry.job.into_finished(ended));
        self.stats.note_finished(&finished);
        self.events.push_back(FleetEvent::Finished { handle, finished });
    }

    fn tell_change(&mut self, handle: JobHandle, taken: &Taken) {
        if taken.changed
            && let Some(state) = self.entry(handle).and_then(|entry| entry.job.state().map(str::to_string))
        {
            if taken.unknown_state {
                self.events.push_back(FleetEvent::UnknownState { handle, state: state.clone() });
            }
            self.events.push_back(FleetEvent::Changed { handle, state });
        }
    }
}

/// By which rules the jobs are stepped.
fn terms<'a>(backend: &'a Backend, policy: &'a Policy, lane: &Lane) -> Terms<'a, PolicySchedule> {
    Terms { backend, policy, schedule: &PolicySchedule, renewable: lane.can_renew() }
}
