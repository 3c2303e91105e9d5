//! Many jobs of one backend under shared limits, without a socket, a thread or a clock.
//!
//! A sleeping job is a packed record and a timer; a due one stands in the line of its lane, which is one origin with one
//! credential. A place and a token are taken before a job is stepped, so that no look is spent on waiting in line; final
//! looks go first. Where the dialect can ask for many jobs at once, due jobs share a request, and its free places are
//! filled with those whose own looks come soonest: each of them puts the next request off.

mod answers;
mod batch;
mod class;
mod company;
mod feed;
#[cfg(feature = "testing")]
mod kept;
mod lane;
mod limits;
mod rate;
mod requests;
mod shared;
mod slab;
mod step;
mod timers;
mod words;

use core::time::Duration;
use std::boxed::Box;
use std::collections::VecDeque;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use http::Response;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::finished::TransportError;
use crate::job::{Job, Terms};
use crate::learn::{Learner, Since};
use crate::{Backend, JobRef, JobSnapshot, LookError, Policy, SnapshotError, Stats, Timestamp};
use class::{Class, ClassSchedule};
pub use feed::{Distinct, Feed};
#[cfg(feature = "testing")]
pub use kept::KeptEntries;
use lane::Lane;
use limits::Demand;
pub(crate) use rate::Pace;
pub use rate::{RateError, RateLimit};
use requests::{Asks, Requests};
use slab::{Queue, Slab, View};
use timers::Timers;
pub use words::{ClassId, FleetAction, FleetEvent, JobHandle, Progress, RequestId};

/// Requests in flight at once in each lane unless [`Fleet::with_max_in_flight`] says otherwise.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 16;

/// Waits for many jobs of one backend.
///
/// Call [`poll`](Self::poll) and carry out what it says until it says `Sleep` or `Idle`; then, before sleeping or leaving,
/// drain [`next_event`](Self::next_event): polling ends waits, too. Hand in what comes of each request. Each job inserted
/// gets exactly one [`FleetEvent::Finished`].
#[derive(Debug)]
pub struct Fleet {
    backend: Arc<Backend>,
    classes: Vec<Class>,
    limit: usize,
    rate: Option<RateLimit>,
    /// The first is that of the base address.
    lanes: Vec<Lane>,
    /// The lane that is asked first.
    turn: usize,
    slab: Slab,
    timers: Timers,
    /// Empty, but for its room.
    due_together: VecDeque<(Timestamp, u32)>,
    requests: Requests,
    jobs: usize,
    news: VecDeque<News>,
    renewal: Renewal,
    /// A result was refused with credentials that had just been renewed: they are not renewed again for that.
    results_refused: bool,
    /// Why nobody may ask any more: the credentials were refused for good.
    refused: Option<String>,
    /// Jobs whose end has not been learned from, while one answer may tell of more.
    told_together: Option<Vec<u32>>,
    demand: Demand,
    stats: Stats,
    rng: ChaCha8Rng,
    /// The greatest instant ever handed in.
    latest: Timestamp,
}

/// An event that has not been drained.
#[derive(Debug)]
enum News {
    Changed { handle: JobHandle, state: Arc<str>, unknown: bool },
    Finished(u32),
}

/// Whether refused credentials can be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Impossible,
    Possible,
    /// A request was refused, and nobody knows yet.
    Wanted,
    UnderWay,
    /// The new ones have not been accepted yet: if they are refused, it is for good.
    Unproven,
}

impl Fleet {
    /// An empty fleet. Takes seeds from the generator once.
    pub fn new(backend: Arc<Backend>, policy: Arc<Policy>, rng: &mut impl Rng) -> Self {
        let (limit, rate) = (DEFAULT_MAX_IN_FLIGHT, Some(RateLimit::POLITE));
        Self {
            lanes: vec![Lane::new(backend.origin(), limit, rate)],
            backend,
            classes: vec![Class::new("", policy)],
            limit,
            rate,
            turn: 0,
            slab: Slab::default(),
            timers: Timers::default(),
            due_together: VecDeque::new(),
            requests: Requests::default(),
            jobs: 0,
            news: VecDeque::new(),
            renewal: Renewal::Impossible,
            results_refused: false,
            refused: None,
            told_together: None,
            demand: Demand::default(),
            stats: Stats::default(),
            rng: ChaCha8Rng::from_rng(rng),
            latest: Timestamp::UNIX_EPOCH,
        }
    }

    /// The most requests in flight at once in each lane, at least 1. Default: [`DEFAULT_MAX_IN_FLIGHT`].
    #[must_use]
    pub fn with_max_in_flight(mut self, most: usize) -> Self {
        self.set_max_in_flight(most);
        self
    }

    /// Changes the limit of [`with_max_in_flight`](Self::with_max_in_flight); requests already sent are left alone.
    pub fn set_max_in_flight(&mut self, most: usize) {
        self.limit = most;
        for lane in &mut self.lanes {
            lane.set_limit(most);
        }
    }

    /// The most requests per second in each lane; `None` for no limit. Default: [`RateLimit::POLITE`].
    #[must_use]
    pub fn with_rate(mut self, rate: Option<RateLimit>) -> Self {
        self.set_rate(rate);
        self
    }

    /// Changes the limit of [`with_rate`](Self::with_rate).
    pub fn set_rate(&mut self, rate: Option<RateLimit>) {
        self.rate = rate;
        for lane in &mut self.lanes {
            lane.set_rate(rate);
        }
    }

    /// Refused credentials (401) can be renewed: by [`FleetAction::Renew`]. Unless this is called, they end the waits of
    /// all jobs as rejected.
    #[must_use]
    pub fn with_renewal(mut self) -> Self {
        self.renewal = Renewal::Possible;
        self
    }

    /// Ends the renewal that [`FleetAction::Renew`] asked for: the same backend with other credentials, or why there are
    /// none. In the first case the refused requests are repeated, in the second the waits of all jobs end as rejected.
    pub fn renewed(&mut self, now: Timestamp, backend: Result<Arc<Backend>, String>) {
        let now = self.advance(now);
        match backend {
            Ok(backend) => {
                self.backend = backend;
                self.renewal = Renewal::Unproven;
                (self.results_refused, self.refused) = (false, None);
            }
            Err(problem) => {
                self.renewal = Renewal::Possible;
                self.refuse(now, format!("the credentials were refused and not renewed: {problem}"));
            }
        }
    }

    /// The backend, with the credentials that are used now.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The backend has answered well before: an outage is ridden out from the start.
    pub fn note_backend_proven(&mut self) {
        self.lanes[0].proven = true;
    }

    /// Whether the backend has given a good answer.
    pub fn is_backend_proven(&self) -> bool {
        self.lanes[0].proven
    }

    /// A further class of jobs, which are waited for under a policy of their own, teach each other how long they take, and
    /// share everything else. The first class is that of the policy the fleet was made with, and has no name.
    pub fn add_class(&mut self, name: &str, policy: Arc<Policy>) -> ClassId {
        let is_known = |class: &Class| *class.name == *name && class.policy == policy;
        if let Some(known) = self.classes.iter().position(is_known) {
            return ClassId(u16::try_from(known).unwrap_or_default());
        }
        // After 65,536 different classes the last one has company.
        let class = u16::try_from(self.classes.len()).unwrap_or(u16::MAX);
        self.classes.truncate(usize::from(class));
        self.classes.push(Class::new(name, policy));
        ClassId(class)
    }

    /// What is known of how long the jobs of a class take, for a policy whose schedule is learned; others do not heed it.
    /// By default nothing is known at first. Each end that the fleet sees is learned from.
    pub fn set_learner(&mut self, class: ClassId, since: Since, learner: Learner) {
        if let Some(class) = self.classes.get_mut(usize::from(class.0)) {
            class.set_learner(since, learner);
        }
    }

    /// Whether the schedule of a class is learned.
    pub fn is_learned(&self, class: ClassId) -> bool {
        self.classes.get(usize::from(class.0)).is_some_and(Class::is_learned)
    }

    /// What the jobs of a class have taught so far, and the plan made of it; `None` where the schedule is not learned, or
    /// there was nothing to plan yet.
    pub fn learner(&self, class: ClassId, since: Since) -> Option<&Learner> {
        self.classes.get(usize::from(class.0))?.known(since)
    }

    /// Starts to wait for a job.
    pub fn insert(&mut self, job: JobRef, now: Timestamp) -> JobHandle {
        self.insert_in(ClassId::default(), job, now)
    }

    /// Starts to wait for a job of this class.
    pub fn insert_in(&mut self, class: ClassId, job: JobRef, now: Timestamp) -> JobHandle {
        let now = self.advance(now);
        let since = if job.creation().is_some() { Since::Creation } else { Since::PickUp };
        let seed = self.rng.next_u64();
        let class = ClassId(self.class_index(class.0));
        let (policy, schedule) = self.classes[usize::from(class.0)].rules(since, seed);
        let job = Job::new(job, policy, &schedule, now, seed);
        self.add(job, class, now)
    }

    /// Goes on waiting for a job where a snapshot left it.
    ///
    /// # Errors
    /// The snapshot is of a newer version, or damaged.
    pub fn resume(&mut self, snapshot: JobSnapshot, now: Timestamp) -> Result<JobHandle, SnapshotError> {
        self.resume_in(ClassId::default(), snapshot, now)
    }

    /// The same for a job of this class: a snapshot does not tell by which policy its job was waited for.
    ///
    /// # Errors
    /// The snapshot is of a newer version, or damaged.
    pub fn resume_in(
        &mut self,
        class: ClassId,
        snapshot: JobSnapshot,
        now: Timestamp,
    ) -> Result<JobHandle, SnapshotError> {
        let now = self.advance(now);
        let job = snapshot.restore(self.policy_of(class.0), now)?;
        Ok(self.add(job, class, now))
    }

    /// Jobs whose wait has not ended.
    pub fn len(&self) -> usize {
        self.jobs
    }

    /// Whether there is no job whose wait has not ended.
    pub fn is_empty(&self) -> bool {
        self.jobs == 0
    }

    /// The jobs whose wait has not ended, in no particular order.
    pub fn jobs(&self) -> impl Iterator<Item = (JobHandle, &JobRef)> {
        self.slab.occupied().filter_map(|slot| Some((self.slab.handle(slot), self.slab.job(slot)?)))
    }

    /// The job behind a handle; `None` once its wait has ended.
    pub fn job(&self, handle: JobHandle) -> Option<&JobRef> {
        self.slab.job(self.waiting(handle)?)
    }

    /// How many jobs a request that is under way asks for.
    pub fn asked_for(&self, id: RequestId) -> usize {
        self.requests.asked_for(id)
    }

    /// Where a job stands; `None` once its wait has ended.
    pub fn progress(&self, handle: JobHandle) -> Option<Progress<'_>> {
        Some(match self.slab.view(self.waiting(handle)?)? {
            View::Packed(packed, words) => Progress {
                job: packed.job(),
                state: packed.state(words),
                requests: packed.requests(),
                in_flight: false,
                fraction: None,
                queue_position: None,
                next: packed.due()?,
            },
            View::Open(job) => Progress {
                job: &job.job,
                state: job.state(),
                requests: job.requests(),
                in_flight: job.poller.in_flight().is_some(),
                fraction: job.progress(),
                queue_position: job.queue_position(),
                next: job.poller.due()?,
            },
        })
    }

    /// A job as a value that can be stored; `None` once its wait has ended.
    pub fn snapshot(&self, handle: JobHandle) -> Option<JobSnapshot> {
        self.snapshot_at(self.waiting(handle)?)
    }

    /// Every job whose wait has not ended, as values that can be stored.
    pub fn snapshots(&self) -> impl Iterator<Item = JobSnapshot> {
        self.slab.occupied().filter_map(|slot| self.snapshot_at(slot))
    }

    /// Something outside says "look now" at this job. Tells whether the job is there.
    pub fn wake(&mut self, handle: JobHandle, now: Timestamp) -> bool {
        let now = self.advance(now);
        let Some(slot) = self.waiting(handle) else { return false };
        // An attempt whose time is over must not hear of later instants first: it may have been the last before the
        // deadline, and then the final look is still to come.
        self.expire(slot, self.slab.at(slot).lane, now);
        let policy = Arc::clone(self.policy_of(self.slab.at(slot).class));
        if let Some(job) = self.slab.open(slot) {
            job.poller.note_wake(&policy, now);
        }
        // A job in line keeps its place.
        if self.slab.at(slot).queue == Queue::None {
            self.settle(slot, now);
        } else {
            self.slab.close(slot);
        }
        true
    }

    /// The same for the jobs of this id, as a webhook names them; tells how many there are. It goes over all that are waited
    /// for: who keeps handles wakes by them.
    pub fn wake_id(&mut self, id: &str, now: Timestamp) -> usize {
        let named: Vec<JobHandle> = self.jobs().filter(|(_, job)| job.id() == id).map(|(handle, _)| handle).collect();
        named.iter().filter(|handle| self.wake(**handle, now)).count()
    }

    /// Ends the wait for a job, which is told as an event. The job itself goes on. Tells whether the job was there.
    pub fn stop(&mut self, handle: JobHandle, now: Timestamp) -> bool {
        let now = self.advance(now);
        let Some(slot) = self.waiting(handle) else { return false };
        self.stop_at(slot, now);
        true
    }

    /// Ends the wait for every job.
    pub fn stop_all(&mut self, now: Timestamp) {
        let now = self.advance(now);
        for slot in 0..self.slab.len() {
            if self.slab.is_occupied(slot) {
                self.stop_at(slot, now);
            }
        }
    }

    /// Takes a job out without a word, as a value that can be stored: somebody else goes on waiting. `None` once its wait
    /// has ended.
    pub fn remove(&mut self, handle: JobHandle) -> Option<JobSnapshot> {
        let slot = self.waiting(handle)?;
        self.timers.clear(slot);
        self.slab.at_mut(slot).queue = Queue::None;
        let job = self.slab.remove(slot)?;
        self.jobs -= 1;
        Some(JobSnapshot::of(&job))
    }

    /// Takes an answer; one that is late, repeated or not ours changes nothing.
    pub fn handle_response<B: AsRef<[u8]>>(&mut self, now: Timestamp, id: RequestId, response: &Response<B>) {
        let now = self.advance(now);
        let Some(under) = self.requests.take(id) else { return };
        let lane = under.lane;
        self.lanes[usize::from(lane)].note_ended();
        let heard = match under.asks {
            Asks::One(handle, hop) => {
                let heard = self.take_answer(lane, handle, hop, under.sent_at, now, response);
                if !heard {
                    self.overhear(lane, under.sent_at, now, response);
                }
                heard
            }
            Asks::Many(batch) => {
                self.take_shared_answer(lane, batch, under.sent_at, now, response);
                true
            }
        };
        if heard {
            let (bytes, time) = (response.body().as_ref().len() as u64, now.saturating_since(under.sent_at));
            self.count(lane, |stats| {
                stats.bytes += bytes;
                stats.response_time.record(time);
            });
        }
    }

    /// Takes the news that no answer will come.
    pub fn handle_error(&mut self, now: Timestamp, id: RequestId, error: &TransportError) {
        let now = self.advance(now);
        let Some(under) = self.requests.take(id) else { return };
        let lane = under.lane;
        let kept = &mut self.lanes[usize::from(lane)];
        kept.note_ended();
        // A list's answer that is too large is an answer, and asked for in parts.
        if !(error.error == LookError::TooLarge && matches!(under.asks, Asks::Many(_))) {
            kept.note_failure(error.error, under.sent_at, now);
        }
        match under.asks {
            Asks::One(handle, hop) => self.take_error(lane, handle, hop, now, error),
            Asks::Many(batch) => self.take_shared_error(lane, batch, now, error),
        }
    }

    /// Every request under way was dropped: nothing will come of them. Their jobs ask again when their attempts expire.
    pub fn forget_requests(&mut self) {
        while let Some(under) = self.requests.forget() {
            self.lanes[usize::from(under.lane)].note_ended();
            for slot in self.asked_by(&under.asks) {
                self.settle_unless_in_line(slot, self.latest);
            }
        }
    }

    /// The next piece of news, if any.
    ///
    /// Nothing is forgotten that matters: each job's end is kept until it is drained, and of its changes at least the last.
    pub fn next_event(&mut self) -> Option<FleetEvent> {
        loop {
            return Some(match self.news.pop_front()? {
                // It was taken out meanwhile, without a word.
                News::Changed { handle, .. } if self.slab.slot(handle).is_none() => continue,
                News::Changed { handle, state, unknown: true } => {
                    FleetEvent::UnknownState { handle, state: state.to_string() }
                }
                News::Changed { handle, state, unknown: false } => {
                    FleetEvent::Changed { handle, state: state.to_string() }
                }
                News::Finished(slot) => {
                    let handle = self.slab.handle(slot);
                    let job = self.slab.remove(slot)?;
                    let ended = job.poller.ended()?;
                    FleetEvent::Finished { handle, finished: Box::new(job.into_finished(ended)) }
                }
            });
        }
    }

    /// What the fleet has cost and reached so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The same by origin, as in `https://api.example.com`; the base address's own comes first.
    pub fn stats_by_origin(&self) -> impl Iterator<Item = (&str, &Stats)> {
        self.lanes.iter().map(|lane| (lane.origin.as_str(), &lane.stats))
    }

    /// The one place where time comes in: it never goes backwards. The last two instants are one, as they are to the
    /// timers, or else what is due at the last one would be stepped over and over at the one before.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        let last = Timestamp::MAX.saturating_sub(Duration::from_nanos(1));
        self.latest = self.latest.max(if now == last { Timestamp::MAX } else { now });
        self.latest
    }

    fn class_index(&self, class: u16) -> u16 {
        if usize::from(class) < self.classes.len() { class } else { 0 }
    }

    fn policy_of(&self, class: u16) -> &Arc<Policy> {
        &self.classes[usize::from(self.class_index(class))].policy
    }

    /// A job to be stepped by its rules, in a lane that may have proven its backend.
    fn open(&mut self, lane: u8, slot: u32) -> Option<(Terms<'_, ClassSchedule<'_>>, &mut Job)> {
        let class = self.class_index(self.slab.at(slot).class);
        let job = self.slab.open(slot)?;
        if self.lanes[usize::from(lane)].proven {
            job.poller.note_backend_proven();
        }
        let (policy, schedule) = self.classes[usize::from(class)].rules(job.since(), job.poller.seed);
        let renewable = !matches!(self.renewal, Renewal::Impossible | Renewal::Unproven);
        let terms = Terms {
            backend: &self.backend,
            policy,
            schedule,
            renewable,
            renewable_for_results: renewable && !self.results_refused,
        };
        Some((terms, job))
    }

    /// The slot of a job whose wait has not ended.
    fn waiting(&self, handle: JobHandle) -> Option<u32> {
        self.slab.slot(handle).filter(|slot| self.slab.at(*slot).queue != Queue::Told)
    }

    fn snapshot_at(&self, slot: u32) -> Option<JobSnapshot> {
        Some(match self.slab.view(slot)? {
            View::Packed(packed, words) => JobSnapshot::of(&packed.unpacked(words)),
            View::Open(job) => JobSnapshot::of(job),
        })
    }

    fn add(&mut self, job: Job, class: ClassId, now: Timestamp) -> JobHandle {
        let lane = self.lane_of(job.asked_at());
        let slot = self.slab.insert(job, class.0, lane);
        self.jobs += 1;
        let handle = self.slab.handle(slot);
        self.settle(slot, now);
        handle
    }

    /// The lane of a job that is asked for at this address, or by the dialect's path.
    fn lane_of(&mut self, address: Option<&str>) -> u8 {
        let origin = address.filter(|_| self.backend.has_other_origins()).and_then(|url| url::Url::parse(url).ok());
        let Some(origin) = origin.map(|url| url.origin().ascii_serialization()) else { return 0 };
        if let Some(known) = self.lanes.iter().position(|lane| lane.origin == origin) {
            return u8::try_from(known).unwrap_or_default();
        }
        // What may not be asked needs no lane, and of more than 255 origins the last ones share one.
        if !self.backend.is_allowed(&origin) || self.lanes.len() > usize::from(u8::MAX) {
            return 0;
        }
        self.lanes.push(Lane::new(origin, self.limit, self.rate));
        u8::try_from(self.lanes.len() - 1).unwrap_or_default()
    }

    fn stop_at(&mut self, slot: u32, now: Timestamp) {
        if let Some(job) = self.slab.open(slot) {
            let _ = job.poller.stop(now);
        }
        self.settle(slot, now);
    }

    /// Counts for the whole and for the lane.
    fn count(&mut self, lane: u8, count: impl Fn(&mut Stats)) {
        count(&mut self.stats);
        count(&mut self.lanes[usize::from(lane)].stats);
    }
}
