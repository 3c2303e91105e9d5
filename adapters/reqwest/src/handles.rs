//! Handles that reach a wait from anywhere.

use std::fmt;

use jobwatch::{JobRef, TrackError};
use tokio::sync::mpsc;

/// Adds jobs to a running [`WaitAll`](crate::WaitAll) from anywhere; see [`Client::track`](crate::Client::track). Cloning it is cheap.
#[derive(Clone)]
pub struct Tracker {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// What a tracker sends.
pub(crate) enum Order {
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

/// Stops a [`WaitAll`](crate::WaitAll) from anywhere: the jobs that are left end as `stopped`, at once.
#[derive(Clone)]
pub struct Stopper {
    pub(crate) stops: mpsc::Sender<()>,
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
