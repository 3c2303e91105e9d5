//! A worker: takes jobs from a queue, waits for them, and records how they end.

mod outbox;
mod owned;
mod pace;
mod running;

use std::fmt;
use std::time::Duration;

use jobwatch::{Finished, RateLimit};
use jobwatch_reqwest::Client;

use crate::message::Destination;
use crate::{Error, Queue};
use running::Running;

/// The lease unless [`Worker::with_lease`] says otherwise.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(60);

/// The shortest lease: whole seconds are leased, and a part of it is kept in reserve.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(2);

/// The most jobs of one worker unless [`Worker::with_max_jobs`] says otherwise.
pub const DEFAULT_MAX_JOBS: usize = 10_000;

/// So many owners in a row that begin a look and are not heard of again are too many.
pub const MOST_CRASHES: u32 = 5;

/// So long a worker that was told to stop tries to reach the database.
const GRACE: Duration = Duration::from_secs(10);

/// Waits for the jobs of one destination that are in a queue, beside other workers.
///
/// It takes jobs into its own fleet, each for the time of the lease, which it keeps extending. Its requests go at a rate
/// that all workers share. How a wait ends is recorded in one transaction with the deletion of its message. While the
/// database cannot be reached, nothing is adopted and nothing is asked for, since both need its word; ends that are known
/// are kept until it is back.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Worker {
    queue: Queue,
    client: Client,
    destination: Destination,
    name: String,
    lease: Duration,
    max_jobs: usize,
    rate: RateLimit,
    grace: Duration,
}

/// How long a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// Until it is told to stop.
    Stopped,
    /// Until no job for its destination is in the queue any more, not even with another worker.
    Drained,
    /// Until the jobs that it could adopt at the start have ended.
    Once,
}

/// What a worker has to tell while it works.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<'n> {
    /// So many jobs were adopted.
    Adopted(usize),
    /// A wait has ended, and its end is recorded.
    Recorded(&'n Finished),
    /// So many jobs are with other workers now: their leases had ended before they could be extended.
    Lost(usize),
    /// A message was taken out of the queue, for this reason.
    SetAside(&'n str),
    /// The database cannot be used, in its words or ours.
    Outage(&'n str),
    /// It can be used again, after this time.
    Back(Duration),
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Ends recorded.
    pub recorded: u64,
    /// Jobs handed back unfinished.
    pub handed_back: u64,
    /// Jobs that went to other workers, since their leases had ended.
    pub lost: u64,
    /// Messages taken out of the queue.
    pub set_aside: u64,
    /// Ends that could not be recorded and jobs that could not be handed back, since the database could not be reached
    /// before the worker had to leave: others adopt these jobs when their leases end, and ask again.
    pub left_behind: u64,
}

/// Why a worker has left before its time. Its jobs are back in the queue, as far as the database could be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerError {
    /// The database refuses what the worker cannot do without.
    Queue(Error),
    /// The backend refuses the credentials (401, or 403 without a good answer before), in its words. Going on would end
    /// the wait for every job in the queue.
    CredentialsRefused(String),
    /// The backend has not given this worker a single good answer: the last error. The address may be wrong.
    NeverAnswered(String),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(error) => error.fmt(f),
            Self::CredentialsRefused(problem) => {
                write!(f, "the backend refuses the credentials, and the jobs are left in the queue: {problem}")
            }
            Self::NeverAnswered(problem) => {
                write!(f, "the backend has never answered, and the jobs are left in the queue: {problem}")
            }
        }
    }
}

impl std::error::Error for WorkerError {}

impl From<Error> for WorkerError {
    fn from(error: Error) -> Self {
        Self::Queue(error)
    }
}

impl Worker {
    /// A worker for a destination, with a client for it. The client should have no rate of its own: the shared one holds.
    pub fn new(queue: Queue, client: Client, destination: Destination) -> Self {
        Self {
            queue,
            client,
            destination,
            name: some_name(),
            lease: DEFAULT_LEASE,
            max_jobs: DEFAULT_MAX_JOBS,
            rate: RateLimit::POLITE,
            grace: GRACE,
        }
    }

    /// Its name, under which the database shows it; no two at work should share one. Default: the machine's name with the
    /// process's number and a random one.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// No job waits longer than this after the death of its worker before another one adopts it, if one has room. Each
    /// job costs a write for every third of it, so that a large queue wants a long one. Default: [`DEFAULT_LEASE`]; at
    /// least [`SHORTEST_LEASE`].
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(SHORTEST_LEASE);
        self
    }

    /// The most jobs it owns at once, at least one. Default: [`DEFAULT_MAX_JOBS`].
    pub fn with_max_jobs(mut self, most: usize) -> Self {
        self.max_jobs = most.max(1);
        self
    }

    /// The rate of requests that all workers share which ask the same origin with a credential of the same name; all of
    /// them should be given the same. There is no burst. Default: 50 a second.
    pub fn with_rate(mut self, rate: RateLimit) -> Self {
        self.rate = rate;
        self
    }

    /// How long it tries to reach the database after it was told to stop. Default: 10 s.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The name under which the database shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Works. When `stop` comes, hands back what has not ended, each job with the newest snapshot of its wait, records the
    /// ends that are known, and leaves. Dropping the future is a crash: the jobs are adopted by others when their leases
    /// end.
    ///
    /// # Errors
    /// Why it has left before its time. An outage of the database is none, but at the very start.
    pub async fn run(
        self,
        until: Until,
        stop: impl Future<Output = ()>,
        tell: impl FnMut(News<'_>),
    ) -> Result<Summary, WorkerError> {
        Running::start(self, until, tell).await?.run(stop).await
    }

    /// For how long messages are leased: less than the lease, so that somebody notices in time that it has ended.
    fn visibility(&self) -> Duration {
        Duration::from_secs((self.lease.as_millis() * 9 / 10_000).try_into().unwrap_or(u64::from(u32::MAX))).max(SECOND)
    }

    /// The longest time between two looks at a queue in which there was nothing.
    fn longest_idle(&self) -> Duration {
        (self.lease / 20).clamp(Duration::from_millis(100), Duration::from_secs(5))
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Nobody else has it.
fn some_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = Some(machine.trim()).filter(|name| !name.is_empty()).unwrap_or("worker");
    let chance = getrandom::u32().unwrap_or_default();
    format!("{machine}-{}-{chance:08x}", std::process::id())
}
