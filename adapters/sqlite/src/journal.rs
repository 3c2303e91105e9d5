//! Writes into a store on a thread of its own; what comes while one transaction is synced shares the next.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use jobwatch::store::{BackendKey, Change, Store};

/// Changes in one transaction, lest the first waits for all of a million.
const MOST_CHANGES: usize = 4_096;

/// Writes the changes of one backend into a store, in the order in which they are handed in, without blocking those who do.
///
/// Whoever needs to know that a change is safe gives a function that is called afterwards, on the journal's thread, to
/// which it must be short. Dropping the journal waits until everything is written.
#[must_use = "dropping it closes the store"]
pub struct Journal<S: Store> {
    orders: Option<Sender<Order<S>>>,
    thread: Option<JoinHandle<S>>,
}

enum Order<S: Store> {
    Write(Vec<Change>, Done<S::Error>),
    Ask(Question<S>),
}

/// Is called in any case: whoever waits for it must not wait for ever.
struct Done<E>(Option<Acknowledge<E>>);

type Acknowledge<E> = Box<dyn FnOnce(Result<(), JournalError<E>>) + Send>;

impl<E> Done<E> {
    fn call(mut self, written: Result<(), JournalError<E>>) {
        if let Some(done) = self.0.take() {
            done(written);
        }
    }
}

impl<E> Drop for Done<E> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(JournalError::Gone));
        }
    }
}

/// The same of a question.
struct Question<S>(Option<Ask<S>>);

type Ask<S> = Box<dyn FnOnce(Option<&mut S>) + Send>;

impl<S> Question<S> {
    fn call(mut self, store: &mut S) {
        if let Some(ask) = self.0.take() {
            ask(Some(store));
        }
    }
}

impl<S> Drop for Question<S> {
    fn drop(&mut self) {
        if let Some(ask) = self.0.take() {
            ask(None);
        }
    }
}

/// Why changes were not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError<E> {
    /// What the store says. It is the same for all changes that shared a transaction.
    Store(Arc<E>),
    /// The thread is gone: the store panicked.
    Gone,
}

impl<S: Store + Send + 'static> Journal<S> {
    /// Begins to write into this store.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(store: S, backend: BackendKey) -> io::Result<Self> {
        let (sender, orders) = mpsc::channel();
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || run(store, &backend, &orders))?;
        Ok(Self { orders: Some(sender), thread: Some(thread) })
    }

    /// Writes these, all or none, and then calls `done`.
    pub fn write(&self, changes: Vec<Change>, done: impl FnOnce(Result<(), JournalError<S::Error>>) + Send + 'static) {
        self.order(Order::Write(changes, Done(Some(Box::new(done)))));
    }

    /// Calls a function with the store, after everything that was handed in before; with `None` where the store panicked.
    pub fn ask(&self, ask: impl FnOnce(Option<&mut S>) + Send + 'static) {
        self.order(Order::Ask(Question(Some(Box::new(ask)))));
    }

    /// Waits until everything is written, and gives the store back; `None` where it panicked.
    pub fn close(mut self) -> Option<S> {
        self.end()
    }

    fn order(&self, order: Order<S>) {
        if let Some(orders) = &self.orders {
            // What is refused is dropped, and says so.
            let _ = orders.send(order);
        }
    }
}

impl<S: Store> Journal<S> {
    fn end(&mut self) -> Option<S> {
        self.orders = None;
        self.thread.take()?.join().ok()
    }
}

impl<S: Store> Drop for Journal<S> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Carries orders out until nobody can give any more.
fn run<S: Store>(mut store: S, backend: &BackendKey, orders: &Receiver<Order<S>>) -> S {
    let (mut changes, mut waiting) = (Vec::new(), Vec::new());
    while let Ok(first) = orders.recv() {
        let mut order = Some(first);
        while let Some(next) = order.take() {
            match next {
                Order::Write(mut more, done) => {
                    changes.append(&mut more);
                    waiting.push(done);
                    if changes.len() < MOST_CHANGES {
                        order = orders.try_recv().ok();
                    }
                }
                Order::Ask(ask) => {
                    // What was handed in before it comes before it.
                    commit(&mut store, backend, &mut changes, &mut waiting);
                    ask.call(&mut store);
                }
            }
        }
        commit(&mut store, backend, &mut changes, &mut waiting);
    }
    store
}

fn commit<S: Store>(store: &mut S, backend: &BackendKey, changes: &mut Vec<Change>, waiting: &mut Vec<Done<S::Error>>) {
    let written = if changes.is_empty() { Ok(()) } else { store.write(backend, changes).map_err(Arc::new) };
    changes.clear();
    for done in mem::take(waiting) {
        done.call(written.clone().map_err(JournalError::Store));
    }
}

impl<S: Store> fmt::Debug for Journal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl<E: fmt::Display> fmt::Display for JournalError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Gone => f.write_str("nothing can be written any more: the store panicked"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for JournalError<E> {}
