//! Threads that send requests, and the inbox into which their answers fall.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{Request, Response};
use jobwatch::{Backend, JobRef, RequestId, TransportError};
use tracing::Span;

use crate::agents::Agents;
use crate::exchange::exchange;

/// What falls into the inbox.
pub(crate) enum Message {
    Answer(RequestId, Box<Result<Response<Vec<u8>>, TransportError>>),
    Add(JobRef),
    Wake(String),
    /// The last tracker is gone.
    Closed,
    Renewed(Result<Arc<Backend>, String>),
    Stop,
}

struct Order {
    id: RequestId,
    span: Span,
    request: Request<Vec<u8>>,
    timeout: Duration,
}

/// A line in which threads wait. The channels of the standard library spin for a while before they sleep, which for an
/// answer that takes longer than that is waste, and one of their ends cannot be shared without a second lock.
pub(crate) struct Line<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    queue: VecDeque<T>,
    waiting: usize,
    closed: bool,
}

/// As many threads as there ever were requests in flight at once; joined on drop, which takes one attempt's timeout at
/// the longest.
pub(crate) struct Workers {
    agents: Arc<Agents>,
    max_body: u64,
    orders: Arc<Line<Order>>,
    inbox: Arc<Line<Message>>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
}

impl<T> Line<T> {
    fn new() -> Arc<Self> {
        let state = State { queue: VecDeque::new(), waiting: 0, closed: false };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Gives it back where nobody is there any more to take it.
    pub(crate) fn send(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        state.queue.push_back(item);
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// The next one, or `None` once it is closed.
    fn receive(&self) -> Option<T> {
        let mut state = self.lock();
        while state.queue.is_empty() && !state.closed {
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        // What nobody waits for any more is not begun.
        if state.closed { None } else { state.queue.pop_front() }
    }

    /// The next one, if it comes within this time.
    fn receive_within(&self, timeout: Duration) -> Option<T> {
        let mut state = self.lock();
        if state.queue.is_empty() && !timeout.is_zero() {
            state.waiting += 1;
            let waited = self.changed.wait_timeout_while(state, timeout, |state| state.queue.is_empty());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        state.queue.pop_front()
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workers {
    pub(crate) fn new(agents: Arc<Agents>, max_body: u64) -> Self {
        Self { agents, max_body, orders: Line::new(), inbox: Line::new(), threads: Vec::new(), in_flight: 0 }
    }

    /// A way into the inbox for others.
    pub(crate) fn inbox(&self) -> Arc<Line<Message>> {
        Arc::clone(&self.inbox)
    }

    /// Whether anything can fall into the inbox but the answers to what is sent from now on.
    pub(crate) fn is_alone(&self) -> bool {
        // Each thread has its own way in, and says nothing while it has nothing to do.
        self.in_flight == 0 && Arc::strong_count(&self.inbox) == 1 + self.threads.len()
    }

    /// Has a request sent; fails where the system gives no thread and there is none yet.
    pub(crate) fn send(
        &mut self,
        id: RequestId,
        span: Span,
        request: Request<Vec<u8>>,
        timeout: Duration,
    ) -> std::io::Result<()> {
        if self.in_flight >= self.threads.len() {
            match self.spawn() {
                Ok(thread) => self.threads.push(thread),
                // With some threads the order waits for one of them; its attempt's timeout goes on.
                Err(error) if self.threads.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        self.in_flight += 1;
        // It is closed on drop alone.
        let _ = self.orders.send(Order { id, span, request, timeout });
        Ok(())
    }

    /// Sends a request and waits for its answer, on this thread.
    pub(crate) fn exchange(
        &self,
        span: &Span,
        request: Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        span.in_scope(|| exchange(&self.agents, request, timeout, self.max_body))
    }

    /// Has credentials renewed on a thread of its own, which may take as long as its source does.
    pub(crate) fn renew(&self, renew: impl FnOnce() -> Result<Arc<Backend>, String> + Send + 'static) {
        let inbox = self.inbox();
        let thread = thread::Builder::new().name("jobwatch-renewal".to_owned()).spawn(move || {
            // A wait that has ended needs no credentials.
            let _ = inbox.send(Message::Renewed(renew()));
        });
        if let Err(error) = thread {
            let _ = self.inbox.send(Message::Renewed(Err(format!("no thread: {error}"))));
        }
    }

    /// Waits for a message, at most so long.
    pub(crate) fn receive(&mut self, timeout: Duration) -> Option<Message> {
        let message = self.inbox.receive_within(timeout)?;
        if matches!(message, Message::Answer(..)) {
            self.in_flight -= 1;
        }
        Some(message)
    }

    fn spawn(&self) -> std::io::Result<JoinHandle<()>> {
        let (agents, max_body) = (Arc::clone(&self.agents), self.max_body);
        let (orders, inbox) = (Arc::clone(&self.orders), self.inbox());
        thread::Builder::new().name("jobwatch".to_owned()).spawn(move || {
            while let Some(Order { id, span, request, timeout }) = orders.receive() {
                let answer = Box::new(span.in_scope(|| exchange(&agents, request, timeout, max_body)));
                if inbox.send(Message::Answer(id, answer)).is_err() {
                    return;
                }
            }
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.orders.close();
        self.inbox.close();
        for thread in self.threads.drain(..) {
            // A worker cannot panic on purpose; if one did, its request has expired like any other.
            let _ = thread.join();
        }
    }
}
