//! The loop: polls a fleet, sends what it wants sent, sleeps as long as it says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use jobwatch::driver::{Feed, meter};
use jobwatch::{
    Finished, Fleet, FleetAction, FleetEvent, JobHandle, JobRef, JobSnapshot, LookError, Policy, RequestId,
    SnapshotError, Stats, Timestamp, TrackError, TransportError,
};

use tracing::{Span, debug, debug_span};

use crate::client::Shared;
use crate::workers::{Line, Message, Workers};

/// A machine that was suspended notices within this time that it is late.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Waits for many jobs, in order of completion; see [`Client::wait_all`](crate::Client::wait_all).
///
/// Dropping it ends the waiting, never the jobs.
#[must_use = "nothing is asked until the iterator is"]
pub struct WaitAll {
    shared: Arc<Shared>,
    /// The caller's class of job.
    class: Arc<str>,
    fleet: Fleet,
    /// Jobs that are not in the fleet yet.
    feed: Feed,
    /// A tracker may send more.
    is_open: bool,
    /// No wait reaches its deadline before that.
    first_deadline: Timestamp,
    workers: Workers,
}

/// Adds jobs to a running [`WaitAll`] from anywhere; see [`Client::track`](crate::Client::track). Cloning it is cheap.
#[derive(Clone)]
pub struct Tracker {
    inbox: Arc<Inbox>,
}

/// What all clones of a tracker share; the last one closes it.
struct Inbox(Arc<Line<Message>>);

impl Drop for Inbox {
    fn drop(&mut self) {
        // A wait that is gone need not be told.
        let _ = self.0.send(Message::Closed);
    }
}

impl Tracker {
    /// Has this job waited for, too. Never blocks.
    ///
    /// An id that is waited for already is waited for and told twice.
    ///
    /// # Errors
    /// The wait is gone, and nobody would hear of the job: it is given back.
    pub fn add(&self, job: JobRef) -> Result<(), TrackError> {
        self.inbox.0.send(Message::Add(job)).map_err(|refused| match refused {
            Message::Add(job) => TrackError::new(job),
            _ => unreachable!("what was sent comes back"),
        })
    }

    /// Something outside, such as a webhook, says "look now" at the job of this id: its next look comes as soon as
    /// `min_delay`, limits and a throttle allow. A hint and no more: what ended the job is what the backend answers. Never
    /// blocks; an id that is not waited for, and a wait that is gone, are none the worse for it.
    pub fn wake(&self, id: impl Into<String>) {
        let _ = self.inbox.0.send(Message::Wake(id.into()));
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").finish_non_exhaustive()
    }
}

/// Stops a [`WaitAll`] from anywhere: the jobs that are left end as `stopped`, at once.
#[derive(Clone)]
pub struct Stopper {
    inbox: Arc<Line<Message>>,
}

impl Stopper {
    /// Stops the wait. The jobs themselves go on.
    pub fn stop(&self) {
        // A wait that has ended needs no stopping.
        let _ = self.inbox.send(Message::Stop);
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}

impl WaitAll {
    pub(crate) fn new<I>(shared: Arc<Shared>, class: Arc<str>, policy: Arc<Policy>, jobs: I) -> Self
    where
        I: IntoIterator<Item = JobRef>,
        I::IntoIter: Send + 'static,
    {
        let mut all = Self::empty(shared, class, policy);
        all.feed = Feed::new(jobs.into_iter());
        all
    }

    pub(crate) fn tracked(shared: Arc<Shared>, class: Arc<str>, policy: Arc<Policy>) -> (Tracker, Self) {
        let mut all = Self::empty(shared, class, policy);
        all.is_open = true;
        (Tracker { inbox: Arc::new(Inbox(all.workers.inbox())) }, all)
    }

    /// Waits for another job, too; after the end has been told there is something to ask for again. A wait that was
    /// stopped before does not stop this one.
    ///
    /// An id that is waited for already is waited for and told twice.
    pub fn add(&mut self, job: JobRef) -> JobHandle {
        let now = self.now();
        self.fleet.insert(job, now)
    }

    /// The same for a job where a snapshot left it; with what is left of its time, or [anew](JobSnapshot::anew).
    ///
    /// # Errors
    /// The snapshot is of a newer version, or damaged.
    pub fn add_snapshot(&mut self, snapshot: JobSnapshot) -> Result<JobHandle, SnapshotError> {
        let now = self.now();
        self.first_deadline = now;
        self.fleet.resume(snapshot, now)
    }

    /// Something outside says "look now" at this job: its next look comes as soon as `min_delay`, limits and a throttle
    /// allow. Tells whether its wait has not ended. A [`Tracker`] wakes from anywhere, and by id.
    pub fn wake(&mut self, job: JobHandle) -> bool {
        let now = self.now();
        self.fleet.wake(job, now)
    }

    pub(crate) fn resume(
        shared: Arc<Shared>,
        class: Arc<str>,
        policy: Arc<Policy>,
        snapshots: impl IntoIterator<Item = JobSnapshot>,
    ) -> Result<Self, SnapshotError> {
        let mut all = Self::empty(shared, class, policy);
        let now = all.now();
        all.first_deadline = now;
        for snapshot in snapshots {
            all.fleet.resume(snapshot, now)?;
        }
        Ok(all)
    }

    fn empty(shared: Arc<Shared>, class: Arc<str>, policy: Arc<Policy>) -> Self {
        let first_deadline =
            policy.total_timeout().map_or(Timestamp::MAX, |timeout| shared.clock.now().saturating_add(timeout));
        let fleet = shared.session.fleet(policy, &class, shared.entropy());
        let workers = Workers::new(Arc::clone(&shared.agents), shared.session.max_body());
        Self { shared, class, fleet, feed: Feed::empty(), is_open: false, first_deadline, workers }
    }

    /// A handle that stops this wait from another thread or a signal handler.
    pub fn stopper(&self) -> Stopper {
        Stopper { inbox: self.workers.inbox() }
    }

    /// The next piece of news: changes of state as well as ends. `None` when every job has ended.
    pub fn next_event(&mut self) -> Option<FleetEvent> {
        loop {
            // Before the fleet is asked: an answer that is there has not expired.
            while let Some(message) = self.workers.receive(Duration::ZERO) {
                self.take(message);
            }
            let fed = !self.feed.take_some(&mut self.fleet, self.shared.clock.now());
            let action = self.fleet.poll(self.now());
            if let FleetAction::Send { id, request, timeout } = action {
                if self.is_alone(fed, timeout) {
                    let answer = self.workers.exchange(&self.span(id), request, timeout);
                    self.take_answer(id, answer);
                    continue;
                }
                if let Err(error) = self.workers.send(id, self.span(id), request, timeout) {
                    let error = TransportError::new(LookError::Unreachable, format!("no thread: {error}"));
                    self.fleet.handle_error(self.now(), id, &error);
                }
                continue;
            }
            if let FleetAction::Renew = action {
                let (shared, refused) = (Arc::clone(&self.shared), Arc::clone(self.fleet.backend()));
                self.workers.renew(move || shared.session.renew(&refused));
                continue;
            }
            // After it was asked: polling ends waits, too.
            if let Some(event) = self.fleet.next_event() {
                if let FleetEvent::Finished { finished, .. } = &event {
                    self.shared.session.learn(&self.fleet, &self.class, finished);
                    tell(finished);
                }
                return Some(event);
            }
            if !fed {
                continue;
            }
            let until = match action {
                FleetAction::Sleep { until } => until,
                _ if self.is_open => Timestamp::MAX,
                _ => return None,
            };
            // Timers have grains: round up, so that nothing is polled a moment too early, over and over.
            let sleep = until.saturating_since(self.now()).saturating_add(Duration::from_micros(1));
            if let Some(message) = self.workers.receive(sleep.min(LONGEST_SLEEP)) {
                self.take(message);
            }
        }
    }

    /// The fleet behind it, to look at: who is waited for, and where each job stands.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The present instant on the clock by which the fleet is driven.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Jobs whose wait has not ended, as far as they are known.
    pub fn remaining(&self) -> usize {
        self.fleet.len() + self.feed.size_hint().0
    }

    /// What this wait has cost and reached so far.
    pub fn stats(&self) -> &Stats {
        self.fleet.stats()
    }

    fn take(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Stop => {
                self.feed.stop();
                self.fleet.stop_all(now);
            }
            Message::Add(job) => {
                self.fleet.insert(job, now);
            }
            Message::Wake(id) => {
                self.fleet.wake_id(&id, now);
            }
            Message::Closed => self.is_open = false,
            Message::Renewed(renewed) => self.fleet.renewed(now, renewed),
            Message::Answer(id, answer) => self.take_answer(id, *answer),
        }
    }

    fn take_answer(&mut self, id: RequestId, answer: Result<Response<Vec<u8>>, TransportError>) {
        let now = self.now();
        match answer {
            Ok(response) => self.fleet.handle_response(now, id, &response),
            Err(error) => self.fleet.handle_error(now, id, &error),
        }
    }

    /// There is nothing to do while a request is under way, and no other thread is needed for it: there is one job, or none
    /// but one may be asked for at a time and none reaches its deadline meanwhile, and nobody could stop the wait or add
    /// another.
    fn is_alone(&self, fed: bool, timeout: Duration) -> bool {
        let one_by_one = || {
            self.shared.session.max_in_flight() == 1
                && self.fleet.stats_by_origin().count() == 1
                && self.now().saturating_add(timeout) < self.first_deadline
        };
        fed && !self.is_open && self.workers.is_alone() && (self.fleet.len() == 1 || one_by_one())
    }

    fn span(&self, id: RequestId) -> Span {
        let job = self.fleet.job(id.job()).map(tracing::field::debug);
        debug_span!("look", job, jobs = self.fleet.asked_for(id))
    }
}

fn tell(finished: &Finished) {
    meter::wait_ended(finished);
    debug!(
        job = ?finished.job,
        outcome = %finished.outcome,
        state = finished.state.as_deref(),
        requests = finished.requests,
        failed_requests = finished.failed_requests,
        elapsed = ?finished.elapsed,
        "the wait has ended"
    );
}

impl Iterator for WaitAll {
    type Item = Finished;

    fn next(&mut self) -> Option<Finished> {
        loop {
            if let FleetEvent::Finished { finished, .. } = self.next_event()? {
                return Some(*finished);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), None)
    }
}

impl Drop for WaitAll {
    fn drop(&mut self) {
        self.shared.session.note_wait(&self.fleet);
    }
}

impl fmt::Debug for WaitAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAll").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
