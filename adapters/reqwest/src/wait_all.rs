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
    SnapshotError, Stats, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tracing::{debug, debug_span};

use crate::alarm::Alarm;
use crate::client::Shared;
use crate::couriers::{Couriers, Errand};
use crate::exchange::begin;
use crate::handles::{Order, Stopper, Tracker};

/// So many requests are sent before what has come meanwhile is heard.
const SENT_AT_ONCE: usize = 32;

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

/// What is to be done when nothing can be sent, or that more can be.
enum Next {
    Send,
    BeAllowed,
    Renew,
    Sleep { until: Timestamp },
    Nothing,
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

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        self.at = self.now();
        if self.pending_since.take().is_some_and(|since| self.at.saturating_since(since) < SEEN) {
            self.turned_at = Some(self.at);
        }
        let step = self.poll_on(cx);
        self.couriers.set_off();
        if step.is_pending() {
            self.pending_since = Some(self.at);
        }
        step
    }

    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        loop {
            // Before the fleet is asked: an answer that is there has not expired.
            self.take_what_came(cx);
            let fed = !self.feed.take_some(&mut self.fleet, self.at);
            if self.needs_allowance() {
                // No job is stepped that could not be asked for.
                return match self.fleet.next_event() {
                    Some(event) => Poll::Ready(Some(self.told(event))),
                    None => Poll::Pending,
                };
            }
            let next = ready!(self.poll_send(cx));
            self.couriers.set_off();
            match next {
                Next::Send => {
                    self.at = self.now();
                    continue;
                }
                Next::BeAllowed => return Poll::Ready(Some(Step::NeedsAllowance)),
                Next::Renew => {
                    let (shared, refused) = (Arc::clone(&self.shared), Arc::clone(self.fleet.backend()));
                    self.renewal = Some(Box::pin(async move { Shared::renew(&shared, refused).await }));
                    continue;
                }
                Next::Sleep { .. } | Next::Nothing => {}
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
            if let Next::Sleep { until } = next {
                ready!(self.alarm.poll(&self.shared.clock, until, cx));
                self.at = self.now();
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
    /// Sends what the fleet wants sent, some of it at a time.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        for _ in 0..SENT_AT_ONCE {
            if self.held.is_none() {
                match self.fleet.poll(self.at) {
                    FleetAction::Send { id, request, timeout } => self.held = Some((id, request, timeout)),
                    FleetAction::Sleep { until } => return Poll::Ready(Next::Sleep { until }),
                    FleetAction::Renew => return Poll::Ready(Next::Renew),
                    FleetAction::Idle => return Poll::Ready(Next::Nothing),
                }
                if self.needs_allowance() {
                    return Poll::Ready(Next::BeAllowed);
                }
            }
            ready!(self.poll_turn(cx));
            self.send_held();
        }
        Poll::Ready(Next::Send)
    }

    /// Ready when the runtime has looked at its sockets not long ago; see [`exchange_from_rest`].
    ///
    /// [`exchange_from_rest`]: crate::exchange::exchange_from_rest
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turned_at.is_some_and(|at| self.at.saturating_since(at) < SEEN) {
            self.turn = None;
            return Poll::Ready(());
        }
        ready!(self.turn.get_or_insert_with(|| Box::pin(yield_now())).as_mut().poll(cx));
        self.turn = None;
        self.at = self.now();
        self.turned_at = Some(self.at);
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
            self.fleet.stop_all(self.at);
            self.couriers.abort_all();
            self.fleet.forget_requests();
            self.held = None;
        }
        while let Some(orders) = &mut self.orders
            && let Poll::Ready(order) = orders.poll_recv(cx)
        {
            match order {
                Some(Order::Add(job)) => drop(self.fleet.insert(job, self.at)),
                Some(Order::Wake(id)) => drop(self.fleet.wake_id(&id, self.at)),
                None => self.orders = None,
            }
        }
        if let Some(renewal) = &mut self.renewal
            && let Poll::Ready(renewed) = renewal.as_mut().poll(cx)
        {
            self.renewal = None;
            self.fleet.renewed(self.at, renewed);
        }
        while let Poll::Ready(answer) = self.couriers.poll_answer(cx) {
            match &answer.outcome {
                Ok(response) => self.fleet.handle_response(self.at, answer.id, response),
                Err(error) => self.fleet.handle_error(self.at, answer.id, error),
            }
        }
    }

    fn send_held(&mut self) {
        let Some((id, request, timeout)) = self.held.take() else { return };
        self.allowance = self.allowance.map(|left| left.saturating_sub(1));
        let job = self.fleet.job(id.job()).map(tracing::field::debug);
        let span = debug_span!("look", job, jobs = self.fleet.asked_for(id));
        let expires = self.at.saturating_add(timeout);
        let begun = span.in_scope(|| begin(&self.shared.http, request));
        self.couriers.send(Errand { id, span, begun, expires });
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
