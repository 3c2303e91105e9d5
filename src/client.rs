//! What both clients are built from, so that drivers differ in how they send alone.

use core::fmt;
use core::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::{Backend, BackendError, DEFAULT_MAX_IN_FLIGHT, Dialect, Fleet, Policy, PolicyError, Stats};

/// A client that can be built from a [`Session`]; for those who write a driver.
pub trait FromSession: Sized {
    /// The client.
    ///
    /// # Errors
    /// What the HTTP client says that could not be set up, as [`BuildError::Http`].
    fn from_session(session: Session) -> Result<Self, BuildError>;
}

/// Builds a client. Its `Debug` leaves the values of headers out.
#[must_use]
pub struct ClientBuilder<C> {
    dialect: Dialect,
    base_url: Option<String>,
    headers: Vec<(String, String)>,
    allowed: Vec<String>,
    policy: Option<Policy>,
    max_in_flight: usize,
    max_body: Option<u64>,
    seed: Option<u64>,
    client: PhantomData<fn() -> C>,
}

impl<C: FromSession> ClientBuilder<C> {
    /// A client for a backend that speaks this dialect.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            base_url: None,
            headers: Vec::new(),
            allowed: Vec::new(),
            policy: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            max_body: None,
            seed: None,
            client: PhantomData,
        }
    }

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
    /// What is wrong with the address, a header or the dialect's policy, or why the HTTP client could not be set up.
    pub fn build(self) -> Result<C, BuildError> {
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
        C::from_session(Session {
            backend: Arc::new(backend),
            policy: Arc::new(policy),
            max_in_flight: self.max_in_flight,
            seed: self.seed,
            proven: AtomicBool::new(false),
            stats: Mutex::new(Stats::default()),
        })
    }
}

impl<C> fmt::Debug for ClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ClientBuilder")
            .field("dialect", &self.dialect)
            .field("headers", &headers)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What all waits of one client have in common: backend, policy, limits, and what they have learned and cost.
pub struct Session {
    backend: Arc<Backend>,
    policy: Arc<Policy>,
    max_in_flight: usize,
    seed: Option<u64>,
    /// The backend has given a good answer in some wait.
    proven: AtomicBool,
    stats: Mutex<Stats>,
}

impl Session {
    /// The backend.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The policy of waits.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The most requests in flight at once in one wait.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// A generator for the jitter of one wait: from the seed that was given, or else from this word of entropy.
    pub fn rng(&self, entropy: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed.unwrap_or(entropy))
    }

    /// A fleet for one wait under this policy.
    pub fn fleet(&self, policy: Arc<Policy>, entropy: u64) -> Fleet {
        let fleet = Fleet::new(Arc::clone(&self.backend), policy, &mut self.rng(entropy));
        let mut fleet = fleet.with_max_in_flight(self.max_in_flight);
        if self.proven.load(Ordering::Relaxed) {
            fleet.note_backend_proven();
        }
        fleet
    }

    /// A wait is over: what it has learned and cost counts for the session.
    pub fn note_wait(&self, fleet: &Fleet) {
        self.proven.fetch_or(fleet.is_backend_proven(), Ordering::Relaxed);
        self.lock_stats().merge(fleet.stats());
    }

    /// What all waits that are over have cost and reached.
    pub fn stats(&self) -> Stats {
        self.lock_stats().clone()
    }

    fn lock_stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("backend", &self.backend).field("policy", &self.policy).finish_non_exhaustive()
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
    /// The HTTP client could not be set up; in its own words.
    Http(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(error) => error.fmt(f),
            Self::Policy(error) => error.fmt(f),
            Self::Http(message) => write!(f, "the HTTP client could not be set up: {message}"),
        }
    }
}

impl core::error::Error for BuildError {}
