//! The loop: polls a fleet, sends what it wants sent, sleeps as long as it says.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use http::Request;
use jobwatch::driver::{Feed, meter};
use jobwatch::{
    Backend, Finished, Fleet, FleetAction, FleetEvent, JobHandle, JobRef, JobSnapshot, Policy, RequestId,
    SnapshotError, Stats, Timestamp, TrackError,
};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep};
use tracing::{debug, debug_span};

use crate::client::Shared;
use crate::couriers::{Couriers, Errand};

/// A machine that was suspended notices within this time that it is late.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// So long after the runtime has looked at its sockets it need not look again before something is sent: what comes within
/// that time might as well come a moment later, when the request is under way.
const SEEN: Duration = Duration::from_millis(1);

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
    /// Made at the first sleep, since it needs a runtime.
    timer: Option<Pin<Box<Sleep>>>,
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

/// Adds jobs to a running [`WaitAll`] from anywhere; see [`Client::track`](crate::Client::track). Cloning it is cheap.
#[derive(Clone)]
pub struct Tracker {
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Add(JobRef),
    Wake(String),
}

impl Tracker {
    /// Has this job waited for, too. Needs no runtime and never blocks.
    ///
    /// An id that is waited for already is waited for and told twice.
    ///
    /// # Errors
    /// The wait is gone, and nobody would hear of the job: it is given back.
    pub fn add(&self, job: JobRef) -> Result<(), TrackError> {
        self.orders.send(Order::Add(job)).map_err(|refused| match refused.0 {
            Order::Add(job) => TrackError::new(job),
            Order::Wake(_) => unreachable!("what was sent comes back"),
        })
    }

    /// Something outside, such as a webhook, says "look now" at the job of this id: its next look comes as soon as
    /// `min_delay`, limits and a throttle allow. A hint and no more: what ended the job is what the backend answers. Needs
    /// no runtime and never blocks; an id that is not waited for, and a wait that is gone, are none the worse for it.
    pub fn wake(&self, id: impl Into<String>) {
        let _ = self.orders.send(Order::Wake(id.into()));
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
    stops: mpsc::Sender<()>,
}

impl Stopper {
    /// Stops the wait. The jobs themselves go on.
    ///
    /// Needs no runtime and never blocks; a wait that sleeps wakes up.
    pub fn stop(&self) {
        // A wait that has ended needs no stopping, and one that is about to stop needs no second word.
        let _ = self.stops.try_send(());
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
            timer: None,
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

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let now = self.now();
        if self.pending_since.take().is_some_and(|since| now.saturating_since(since) < SEEN) {
            self.turned_at = Some(now);
        }
        let step = self.poll_on(cx);
        if step.is_pending() {
            self.pending_since = Some(self.now());
        }
        step
    }

    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            // Before the fleet is asked: an answer that is there has not expired.
            self.take_what_came(cx);
            let fed = !self.feed.take_some(&mut self.fleet, self.shared.clock.now());
            if self.held.is_some() {
                // No job is stepped that could not be asked for.
                if self.allowance != Some(0) {
                    ready!(self.poll_turn(cx));
                    self.send_held();
                    continue;
                }
                return match self.fleet.next_event() {
                    Some(event) => Poll::Ready(Some(self.told(event))),
                    None => Poll::Pending,
                };
            }
            let action = self.fleet.poll(self.now());
            if let FleetAction::Send { id, request, timeout } = action {
                self.held = Some((id, request, timeout));
                if self.allowance == Some(0) {
                    return Poll::Ready(Some(Step::NeedsAllowance));
                }
                continue;
            }
            if let FleetAction::Renew = action {
                let (shared, refused) = (Arc::clone(&self.shared), Arc::clone(self.fleet.backend()));
                self.renewal = Some(Box::pin(async move { Shared::renew(&shared, refused).await }));
                continue;
            }
            // After it was asked: polling ends waits, too.
            if let Some(event) = self.fleet.next_event() {
                return Poll::Ready(Some(self.told(event)));
            }
            if !fed {
                // Others have their turn before the next thousand.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let FleetAction::Sleep { until } = action {
                ready!(self.poll_sleep(until, cx));
            } else if self.orders.is_some() {
                // A tracker may send more.
                return Poll::Pending;
            } else {
                // Only requests that nobody waits for any more can be left.
                self.couriers.abort_all();
                return Poll::Ready(None);
            }
        }
    }

    /// Ready when the runtime has looked at its sockets not long ago; see [`exchange_from_rest`].
    ///
    /// [`exchange_from_rest`]: crate::exchange::exchange_from_rest
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.now();
        if self.turned_at.is_some_and(|at| now.saturating_since(at) < SEEN) {
            self.turn = None;
            return Poll::Ready(());
        }
        ready!(self.turn.get_or_insert_with(|| Box::pin(yield_now())).as_mut().poll(cx));
        self.turn = None;
        self.turned_at = Some(now);
        Poll::Ready(())
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

    /// A piece of news on its way out.
    fn told(&self, event: FleetEvent) -> Step {
        if let FleetEvent::Finished { finished, .. } = &event {
            self.shared.session.learn(&self.fleet, &self.class, finished);
            tell(finished);
        }
        Step::Event(event)
    }

    fn take_what_came(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.stops.poll_recv(cx) {
            self.feed.stop();
            self.fleet.stop_all(self.now());
            self.couriers.abort_all();
            self.fleet.forget_requests();
            self.held = None;
        }
        while let Some(orders) = &mut self.orders
            && let Poll::Ready(order) = orders.poll_recv(cx)
        {
            match order {
                Some(Order::Add(job)) => drop(self.add(job)),
                Some(Order::Wake(id)) => drop(self.fleet.wake_id(&id, self.shared.clock.now())),
                None => self.orders = None,
            }
        }
        if let Some(renewal) = &mut self.renewal
            && let Poll::Ready(renewed) = renewal.as_mut().poll(cx)
        {
            self.renewal = None;
            self.fleet.renewed(self.now(), renewed);
        }
        while let Poll::Ready((id, answer)) = self.couriers.poll_answer(cx) {
            match answer {
                Ok(response) => self.fleet.handle_response(self.now(), id, &response),
                Err(error) => self.fleet.handle_error(self.now(), id, &error),
            }
        }
    }

    /// Ready when it is time to ask the fleet again; that may be sooner than it said.
    fn poll_sleep(&mut self, until: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        // tokio's timers round up to whole milliseconds, so that nothing is polled a moment too early, over and over.
        let time = until.saturating_since(self.now()).min(LONGEST_SLEEP);
        let at = Instant::now() + time;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(time)));
        // One that rings sooner does no harm, and costs less than to set it anew.
        if timer.is_elapsed() || timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }

    fn send_held(&mut self) {
        let Some((id, request, timeout)) = self.held.take() else { return };
        self.allowance = self.allowance.map(|left| left.saturating_sub(1));
        let job = self.fleet.job(id.job()).map(tracing::field::debug);
        let span = debug_span!("look", job, jobs = self.fleet.asked_for(id));
        self.couriers.send(Errand { id, span, request, timeout });
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
