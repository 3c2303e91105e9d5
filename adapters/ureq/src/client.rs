//! The client and its builder.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobwatch::{
    Backend, BackendError, DEFAULT_MAX_IN_FLIGHT, Dialect, Finished, Fleet, JobRef, JobSnapshot, Policy, PolicyError,
    SnapshotError, Stats, Status, Submit, SubmitAction, SubmitError,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::Serialize;
use ureq::Agent;

use crate::clock::Clock;
use crate::exchange::{agent, exchange};
use crate::wait_all::WaitAll;

/// A blocking client for one backend. Cloning it is cheap and shares its connections.
///
/// ```no_run
/// use jobwatch_ureq::{Client, Dialect};
///
/// let client = Client::builder(Dialect::tracker()).base_url("http://127.0.0.1:5000").build()?;
/// let jobs = client.create(&())?; // ids first: printed, stored, never lost
/// for job in &jobs {
///     println!("{job}");
/// }
/// for finished in client.wait_all(jobs) {
///     println!("{}\t{}", finished.job, finished.outcome);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) backend: Arc<Backend>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) agent: Agent,
    pub(crate) clock: Clock,
    pub(crate) max_in_flight: usize,
    seed: Option<u64>,
    proven: AtomicBool,
    stats: Mutex<Stats>,
}

impl Client {
    /// Starts to build a client for a backend that speaks this dialect.
    pub fn builder(dialect: Dialect) -> ClientBuilder {
        ClientBuilder {
            dialect,
            base_url: None,
            headers: Vec::new(),
            allowed: Vec::new(),
            policy: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            max_body: None,
            seed: None,
        }
    }

    /// Creates a job, or several where the backend fans one request out. The body is sent as JSON; `&()` sends none.
    ///
    /// The request is repeated only where the dialect has an idempotency key.
    ///
    /// # Errors
    /// What the backend said, and whether the job may have been created all the same.
    pub fn create(&self, body: &impl Serialize) -> Result<Vec<JobRef>, SubmitError> {
        let body = serde_json::to_value(body).map_err(|error| SubmitError::unsent(format!("the body: {error}")))?;
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.create_raw(body)
    }

    /// Creates a job from a body that is JSON already; an empty one sends none.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub fn create_raw(&self, body: Vec<u8>) -> Result<Vec<JobRef>, SubmitError> {
        let shared = &self.shared;
        let now = || shared.clock.now();
        let mut submit = Submit::new(&*shared.backend, &*shared.policy, body, now(), &mut shared.rng());
        loop {
            match submit.poll(now()) {
                SubmitAction::Created(jobs) => return Ok(jobs),
                SubmitAction::Failed(error) => return Err(error),
                SubmitAction::Sleep { until } => {
                    std::thread::park_timeout(until.saturating_since(now()).max(Duration::from_micros(1)));
                }
                SubmitAction::Send { id, request, timeout } => {
                    match exchange(&shared.agent, request, timeout, shared.backend.max_body()) {
                        Ok(response) => submit.handle_response(now(), id, &response),
                        Err(error) => submit.handle_error(now(), id, &error),
                    }
                }
            }
        }
    }

    /// One look at a job.
    pub fn status(&self, job: &JobRef) -> Status {
        let mut found = self.looks([job.clone()]);
        Status::of(found.next().expect("one job gives one outcome"))
    }

    /// One look at each job, several at a time: a map from id to status.
    pub fn statuses(&self, jobs: &[JobRef]) -> BTreeMap<String, Status> {
        self.looks(jobs.iter().cloned()).map(|found| (found.job.id().to_owned(), Status::of(found))).collect()
    }

    /// Waits for a job to end, or for the policy to end the wait.
    pub fn wait(&self, job: &JobRef) -> Finished {
        self.wait_all([job.clone()]).next().expect("one job gives one outcome")
    }

    /// Waits for many jobs under shared limits: an iterator in order of completion. An id that is given twice is asked
    /// for and told once.
    pub fn wait_all(&self, jobs: impl IntoIterator<Item = JobRef>) -> WaitAll {
        WaitAll::new(Arc::clone(&self.shared), Arc::clone(&self.shared.policy), jobs)
    }

    /// Goes on waiting for jobs where snapshots left them, which [`WaitAll::fleet`] takes with
    /// [`snapshots`](jobwatch::Fleet::snapshots): with their age, their counts and what is left of their time.
    ///
    /// # Errors
    /// A snapshot is of a newer version, or damaged; nothing is waited for then.
    pub fn resume(&self, snapshots: impl IntoIterator<Item = JobSnapshot>) -> Result<WaitAll, SnapshotError> {
        WaitAll::resume(Arc::clone(&self.shared), Arc::clone(&self.shared.policy), snapshots)
    }

    /// What all ended waits and looks of this client and its clones have cost and reached; a wait under way tells its
    /// own with [`WaitAll::stats`].
    pub fn metrics(&self) -> Stats {
        self.shared.stats().clone()
    }

    /// The backend.
    pub fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    fn looks(&self, jobs: impl IntoIterator<Item = JobRef>) -> WaitAll {
        WaitAll::new(Arc::clone(&self.shared), Arc::new(self.shared.policy.one_look()), jobs)
    }
}

impl Shared {
    /// A generator for the jitter of one wait.
    pub(crate) fn rng(&self) -> ChaCha8Rng {
        let seed = self.seed.or_else(|| getrandom::u64().ok());
        // Without entropy the clock still keeps clients apart.
        ChaCha8Rng::seed_from_u64(seed.unwrap_or_else(|| self.clock.now().as_nanos()))
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    pub(crate) fn note_wait(&self, fleet: &Fleet) {
        self.proven.fetch_or(fleet.is_backend_proven(), Ordering::Relaxed);
        self.stats().merge(fleet.stats());
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("backend", &self.backend).field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Builds a [`Client`]. Its `Debug` leaves the values of headers out.
#[must_use]
pub struct ClientBuilder {
    dialect: Dialect,
    base_url: Option<String>,
    headers: Vec<(String, String)>,
    allowed: Vec<String>,
    policy: Option<Policy>,
    max_in_flight: usize,
    max_body: Option<u64>,
    seed: Option<u64>,
}

impl ClientBuilder {
    /// Where the backend is. Default: the dialect's own address, if it has one.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// A header for every request, for example a credential. It goes to the base URL's origin and to allowed origins
    /// alone.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Another origin that the backend may point at. It gets the headers too.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.allowed.push(origin.into());
        self
    }

    /// How long, how often and how patiently to ask. Default: [`Dialect::policy`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The most requests in flight at once in one `wait_all`, at least 1. Default: 16.
    pub fn max_in_flight(mut self, most: usize) -> Self {
        self.max_in_flight = most.max(1);
        self
    }

    /// The largest body that is read, in decoded bytes. Default: the dialect's, usually 16 MiB.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// A seed for the jitter, to repeat a run. Default: from the system, anew for every wait.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    /// What is wrong with the address, a header or the dialect's policy.
    pub fn build(self) -> Result<Client, BuildError> {
        let policy = match self.policy {
            Some(policy) => policy,
            None => self.dialect.policy().build().map_err(BuildError::Policy)?,
        };
        let mut backend = Backend::new(self.dialect, self.base_url.as_deref()).map_err(BuildError::Backend)?;
        for (name, value) in &self.headers {
            backend = backend.with_header(name, value).map_err(BuildError::Backend)?;
        }
        for origin in &self.allowed {
            backend = backend.with_allowed_origin(origin).map_err(BuildError::Backend)?;
        }
        if let Some(bytes) = self.max_body {
            backend = backend.with_max_body(bytes);
        }
        let shared = Shared {
            backend: Arc::new(backend),
            policy: Arc::new(policy),
            agent: agent(self.max_in_flight),
            clock: Clock::start(),
            max_in_flight: self.max_in_flight,
            seed: self.seed,
            proven: AtomicBool::new(false),
            stats: Mutex::new(Stats::default()),
        };
        Ok(Client { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ClientBuilder")
            .field("dialect", &self.dialect)
            .field("headers", &headers)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Why no client could be built; the caller's configuration is to blame.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// The address or a header.
    Backend(BackendError),
    /// The dialect's default policy contradicts itself.
    Policy(PolicyError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(error) => error.fmt(f),
            Self::Policy(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}
