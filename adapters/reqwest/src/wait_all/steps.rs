//! The loop: polls the fleet, sends what it wants sent, sleeps as long as it says.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jobwatch::driver::meter;
use jobwatch::{Finished, FleetAction, FleetEvent, Timestamp};
use tokio::task::yield_now;
use tracing::{debug, debug_span};

use super::{Step, WaitAll};
use crate::client::Shared;
use crate::couriers::Errand;
use crate::exchange::begin;
use crate::handles::Order;

/// So many requests are sent before what has come meanwhile is heard.
const SENT_AT_ONCE: usize = 32;

/// So long after the runtime has looked at its sockets it need not look again before something is sent: what comes within
/// that time might as well come a moment later, when the request is under way.
const SEEN: Duration = Duration::from_millis(1);

/// What is to be done when nothing can be sent, or that more can be.
enum Next {
    Send,
    BeAllowed,
    Renew,
    Sleep { until: Timestamp },
    Nothing,
}

impl WaitAll {
    /// The next piece of news, or that a request needs to be allowed; pending while there is neither.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
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
