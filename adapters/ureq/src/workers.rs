//! Threads that send requests over one agent, and the inbox into which their answers fall.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{Request, Response};
use jobwatch::{Backend, JobRef, RequestId, TransportError};
use tracing::Span;
use ureq::Agent;

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

/// As many threads as there ever were requests in flight at once; joined on drop, which takes one attempt's timeout at
/// the longest.
pub(crate) struct Workers {
    agent: Agent,
    max_body: u64,
    orders: Option<Sender<Order>>,
    queue: Arc<Mutex<Receiver<Order>>>,
    inbox: Receiver<Message>,
    answers: Sender<Message>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
}

impl Workers {
    pub(crate) fn new(agent: Agent, max_body: u64) -> Self {
        let (orders, queue) = mpsc::channel();
        let (answers, inbox) = mpsc::channel();
        Self {
            agent,
            max_body,
            orders: Some(orders),
            queue: Arc::new(Mutex::new(queue)),
            inbox,
            answers,
            threads: Vec::new(),
            in_flight: 0,
        }
    }

    /// A way into the inbox for others.
    pub(crate) fn sender(&self) -> Sender<Message> {
        self.answers.clone()
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
        if let Some(orders) = &self.orders {
            let sent = orders.send(Order { id, span, request, timeout });
            sent.expect("this end of the channel owns the other");
        }
        Ok(())
    }

    /// Has credentials renewed on a thread of its own, which may take as long as its source does.
    pub(crate) fn renew(&self, renew: impl FnOnce() -> Result<Arc<Backend>, String> + Send + 'static) {
        let inbox = self.answers.clone();
        let thread = thread::Builder::new().name("jobwatch-renewal".to_owned()).spawn(move || {
            // A wait that has ended needs no credentials.
            let _ = inbox.send(Message::Renewed(renew()));
        });
        if let Err(error) = thread {
            let _ = self.answers.send(Message::Renewed(Err(format!("no thread: {error}"))));
        }
    }

    /// Waits for a message, at most so long.
    pub(crate) fn receive(&mut self, timeout: Duration) -> Option<Message> {
        let message = match self.inbox.recv_timeout(timeout) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        if matches!(message, Message::Answer(..)) {
            self.in_flight -= 1;
        }
        Some(message)
    }

    fn spawn(&self) -> std::io::Result<JoinHandle<()>> {
        let (agent, max_body) = (self.agent.clone(), self.max_body);
        let (queue, answers) = (Arc::clone(&self.queue), self.answers.clone());
        thread::Builder::new().name("jobwatch".to_owned()).spawn(move || {
            loop {
                let order = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(Order { id, span, request, timeout }) = order else { return };
                let answer = Box::new(span.in_scope(|| exchange(&agent, request, timeout, max_body)));
                if answers.send(Message::Answer(id, answer)).is_err() {
                    return;
                }
            }
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.orders = None;
        for thread in self.threads.drain(..) {
            // A worker cannot panic on purpose; if one did, its request has expired like any other.
            let _ = thread.join();
        }
    }
}
