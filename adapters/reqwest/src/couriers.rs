//! Tasks that send requests and read answers, and the inbox into which the answers fall.
//!
//! A courier carries one request at a time and lives as long as the wait: a task made anew for each request would cost
//! about as much as all else that this crate does for it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use jobwatch::{RequestId, TransportError};
use tokio::runtime::{self, Handle};
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use crate::client::Shared;
use crate::exchange::exchange;

/// What a request has come to.
pub(crate) type Answer = (RequestId, Result<Response<Vec<u8>>, TransportError>);

/// A request to be carried.
pub(crate) struct Errand {
    pub(crate) id: RequestId,
    pub(crate) span: Span,
    pub(crate) request: Request<Vec<u8>>,
    pub(crate) timeout: Duration,
}

/// As many couriers as there ever were requests in flight at once. Dropping it ends what they do.
pub(crate) struct Couriers {
    shared: Arc<Shared>,
    /// Dropping the set aborts them.
    tasks: JoinSet<()>,
    /// Where those are that have nothing to do.
    idle: Vec<Arc<Hand>>,
    /// The runtime of those that are idle.
    runtime: Option<runtime::Id>,
    inbox: Arc<Inbox>,
    /// Answers that were taken out of the inbox together.
    taken: VecDeque<Arrived>,
}

/// What a courier is handed, or who is to be woken when it is.
#[derive(Default)]
struct Hand(Mutex<(Option<Errand>, Option<Waker>)>);

/// Answers, or who is to be woken when one comes.
#[derive(Default)]
struct Inbox(Mutex<(VecDeque<Arrived>, Option<Waker>)>);

/// An answer, and the courier that brought it.
type Arrived = (Arc<Hand>, Answer);

impl Couriers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            idle: Vec::new(),
            runtime: None,
            inbox: Arc::default(),
            taken: VecDeque::new(),
        }
    }

    /// Has a request sent.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(crate) fn send(&mut self, errand: Errand) {
        let runtime = Some(Handle::current().id());
        if self.runtime != runtime {
            // Those of another runtime, which may not run any more, are of no use here; what they carry goes on.
            self.idle.clear();
            self.runtime = runtime;
        }
        if let Some(hand) = self.idle.pop() {
            hand.give(errand);
            return;
        }
        let hand = Arc::new(Hand(Mutex::new((Some(errand), None))));
        self.tasks.spawn(carry(Arc::clone(&self.shared), hand, Arc::clone(&self.inbox)));
    }

    /// The next answer; pending also where there is nothing to wait for.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        if self.taken.is_empty() {
            let mut inbox = lock(&self.inbox.0);
            std::mem::swap(&mut self.taken, &mut inbox.0);
            if self.taken.is_empty() {
                if !inbox.1.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    inbox.1 = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
        }
        let Some((hand, answer)) = self.taken.pop_front() else { return Poll::Pending };
        self.idle.push(hand);
        Poll::Ready(answer)
    }

    /// Ends what is under way; nothing is heard of it any more.
    pub(crate) fn abort_all(&mut self) {
        *self = Self::new(Arc::clone(&self.shared));
    }
}

impl Hand {
    fn give(&self, errand: Errand) {
        let mut kept = lock(&self.0);
        kept.0 = Some(errand);
        let waker = kept.1.take();
        drop(kept);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_errand(&self, cx: &mut Context<'_>) -> Poll<Errand> {
        let mut kept = lock(&self.0);
        if let Some(errand) = kept.0.take() {
            return Poll::Ready(errand);
        }
        kept.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A courier's life: it ends when it is aborted, or nobody can hand it anything any more.
async fn carry(shared: Arc<Shared>, hand: Arc<Hand>, inbox: Arc<Inbox>) {
    loop {
        let Errand { id, span, request, timeout } = poll_fn(|cx| hand.poll_errand(cx)).await;
        let answer = exchange(&shared, request, timeout).instrument(span).await;
        let mut kept = lock(&inbox.0);
        kept.0.push_back((Arc::clone(&hand), (id, answer)));
        // Whoever was woken takes all that has come until then.
        let waker = kept.1.take();
        drop(kept);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Nothing panics while it is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
