//! A wait for many jobs: what goes in, what comes out, and what it consists of.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use http::Request;
use jobwatch::driver::Feed;
use jobwatch::{
    Backend, Finished, Fleet, FleetEvent, JobHandle, JobRef, JobSnapshot, Policy, RequestId, SnapshotError, Stats,
    Timestamp,
};
use tokio::sync::mpsc;

use crate::alarm::Alarm;
use crate::client::Shared;
use crate::couriers::Couriers;
use crate::handles::{Order, Stopper, Tracker};

mod steps;

type Renewal = Pin<Box<dyn Future<Output = Result<Arc<Backend>, String>> + Send>>;

/// Waits for many jobs, in order of completion; see [`Client::wait_all`](crate::Client::wait_all).
///
/// A [`Stream`] of [`Finished`], and complete without it: [`next`](Self::next) needs no extension trait. Nothing is
/// asked before the first poll. Requests in flight go on while the caller is busy with an outcome; new ones are sent when
/// the stream is polled.
///
/// Dropping it ends the waiting and the requests in flight, never the jobs.
///
/// # Panics
/// Polling it outside of a tokio runtime with time and I/O enabled.
#[must_use = "nothing is asked until the stream is polled"]
pub struct WaitAll {
    shared: Arc<Shared>,
    /// The caller's class of job.
    class: Arc<str>,
    fleet: Fleet,
    couriers: Couriers,
    alarm: Alarm,
    /// The present instant, as of when the clock was read last: it is not read for each of many answers that came together.
    at: Timestamp,
    /// A turn of the runtime that is waited for, before anything is sent.
    turn: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When the runtime has looked at its sockets.
    turned_at: Option<Timestamp>,
    /// When it was handed back to the runtime, if that was the last that happened.
    pending_since: Option<Timestamp>,
    /// New credentials under way.
    renewal: Option<Renewal>,
    /// Requests that may still be sent, where somebody allows them.
    allowance: Option<u64>,
    /// A request that is ready and cannot be sent yet: it is not allowed, or the runtime has its turn first.
    held: Option<(RequestId, Request<Vec<u8>>, Duration)>,
    /// Jobs that are not in the fleet yet.
    feed: Feed,
    /// What a tracker sends; `None` without one, or once the last is gone.
    orders: Option<mpsc::UnboundedReceiver<Order>>,
    stops: mpsc::Receiver<()>,
    stopper: Stopper,
}

/// What a [`WaitAll`] whose requests are allowed by somebody else has to tell; see [`WaitAll::allow`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// A piece of news.
    Event(FleetEvent),
    /// A request is ready and none is allowed. Told once for each; nothing is asked for until [`WaitAll::allow`].
    NeedsAllowance,
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
        let (sender, orders) = mpsc::unbounded_channel();
        let mut all = Self::empty(shared, class, policy);
        all.orders = Some(orders);
        (Tracker { orders: sender }, all)
    }

    pub(crate) fn resume(
        shared: Arc<Shared>,
        class: Arc<str>,
        policy: Arc<Policy>,
        snapshots: impl IntoIterator<Item = JobSnapshot>,
    ) -> Result<Self, SnapshotError> {
        let mut all = Self::empty(shared, class, policy);
        let now = all.now();
        for snapshot in snapshots {
            all.fleet.resume(snapshot, now)?;
        }
        Ok(all)
    }

    fn empty(shared: Arc<Shared>, class: Arc<str>, policy: Arc<Policy>) -> Self {
        let fleet = shared.session.fleet(policy, &class, shared.entropy());
        let (sender, stops) = mpsc::channel(1);
        Self {
            couriers: Couriers::new(Arc::clone(&shared)),
            shared,
            class,
            fleet,
            alarm: Alarm::default(),
            at: Timestamp::UNIX_EPOCH,
            turn: None,
            turned_at: None,
            pending_since: None,
            renewal: None,
            allowance: None,
            held: None,
            feed: Feed::empty(),
            orders: None,
            stops,
            stopper: Stopper { stops: sender },
        }
    }

    /// A handle that stops this wait from another task, thread or a signal handler's task.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for another job, too; after the end has been told there is something to poll for again. A wait that was
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
        self.fleet.resume(snapshot, now)
    }

    /// Something outside says "look now" at this job: its next look comes as soon as `min_delay`, limits and a throttle
    /// allow. Tells whether its wait has not ended. A [`Tracker`] wakes from anywhere, and by id.
    pub fn wake(&mut self, job: JobHandle) -> bool {
        let now = self.now();
        self.fleet.wake(job, now)
    }

    /// Takes a job out without a word, as a value that can be stored: somebody else goes on waiting. `None` once its wait
    /// has ended.
    pub fn release(&mut self, job: JobHandle) -> Option<JobSnapshot> {
        self.fleet.remove(job)
    }

    /// The next outcome, in order of completion. `None` when every job has ended.
    ///
    /// Cancel-safe: dropping the future, as `select!` does, loses no outcome and no answer.
    pub async fn next(&mut self) -> Option<Finished> {
        poll_fn(|cx| self.poll_finished(cx)).await
    }

    /// The next piece of news: changes of state as well as ends. `None` when every job has ended.
    ///
    /// Cancel-safe, like [`next`](Self::next), which skips the changes.
    pub async fn next_event(&mut self) -> Option<FleetEvent> {
        poll_fn(|cx| self.poll_next_event(cx)).await
    }

    /// The same as [`next_event`](Self::next_event), for those who write their own futures.
    pub fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<FleetEvent>> {
        match ready!(self.poll_step(cx)) {
            Some(Step::Event(event)) => Poll::Ready(Some(event)),
            // Whoever allows the next one polls again.
            Some(Step::NeedsAllowance) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    /// The next piece of news, or that a request needs to be allowed. `None` when every job has ended.
    ///
    /// Cancel-safe, like [`next`](Self::next).
    pub async fn next_step(&mut self) -> Option<Step> {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    /// From now on at most so many requests are sent, until others are allowed: for a limit that is shared with other
    /// programs. Replaces what was left of an earlier allowance. The limits of the client hold all the same.
    pub fn allow(&mut self, requests: u64) {
        self.allowance = Some(requests);
    }

    /// How many more requests are allowed; `None` where nobody has called [`allow`](Self::allow).
    pub fn allowance(&self) -> Option<u64> {
        self.allowance
    }

    /// Whether a request is ready and not allowed.
    pub fn needs_allowance(&self) -> bool {
        self.held.is_some() && self.allowance == Some(0)
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

    /// The outcome of the one job there is.
    pub(crate) async fn only(mut self) -> Finished {
        self.next().await.expect("one job gives one outcome")
    }

    fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished>> {
        loop {
            match ready!(self.poll_next_event(cx)) {
                Some(FleetEvent::Finished { finished, .. }) => return Poll::Ready(Some(*finished)),
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for WaitAll {
    type Item = Finished;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Finished>> {
        self.poll_finished(cx)
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
