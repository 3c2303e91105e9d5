//! What both clients are built from, so that drivers differ in how they send alone.

use core::fmt;
use core::marker::PhantomData;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::{String, ToString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::fleet::Pace;
use crate::learn::{Histories, History, HistoryKey, Learner, Since};
use crate::{
    Backend, BackendError, ClassId, DEFAULT_MAX_IN_FLIGHT, Dialect, Finished, Fleet, JobRef, Policy, PolicyError,
    RateLimit, Stats, Timestamp,
};

/// Limits are the business of fleets: to a session no job is an explorer.
const NO_EXPLORER: u64 = 1;

/// A client that can be built from a [`Session`]; for those who write a driver.
pub trait FromSession: Sized {
    /// The client.
    ///
    /// # Errors
    /// What the HTTP client says that could not be set up, as [`BuildError::Http`].
    fn from_session(session: Session) -> Result<Self, BuildError>;
}

/// A source of credentials that expire, for example a token endpoint or a secret store.
///
/// Any `Fn() -> Result<Vec<(String, String)>, E>` is one, where `E` can be printed.
pub trait Credentials: Send {
    /// New headers, as name and value, in place of those of the same names. May block: the asynchronous client calls it
    /// on a thread for blocking work.
    ///
    /// # Errors
    /// Why there are none, in words that may be printed.
    fn renew(&self) -> Result<Vec<(String, String)>, String>;
}

impl<F, E> Credentials for F
where
    F: Fn() -> Result<Vec<(String, String)>, E> + Send,
    E: fmt::Display,
{
    fn renew(&self) -> Result<Vec<(String, String)>, String> {
        self().map_err(|error| error.to_string())
    }
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
    rate: Option<RateLimit>,
    max_body: Option<u64>,
    seed: Option<u64>,
    credentials: Option<Box<dyn Credentials>>,
    histories: Histories,
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
            rate: Some(RateLimit::POLITE),
            max_body: None,
            seed: None,
            credentials: None,
            histories: Histories::new(),
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

    /// The most requests per second in one `wait_all`, for each origin; creates have as many of their own, over all clones
    /// of the client. `None` for no limit. Default: [`RateLimit::POLITE`], 50 a second and 100 at once.
    pub fn rate(mut self, rate: impl Into<Option<RateLimit>>) -> Self {
        self.rate = rate.into();
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

    /// Where new credentials come from when the backend refuses those of [`header`](Self::header) (401): they are asked
    /// for once, and the refused requests are repeated with them. Default: a refusal ends the waits of all jobs.
    pub fn credentials(mut self, credentials: impl Credentials + 'static) -> Self {
        self.credentials = Some(Box::new(credentials));
        self
    }

    /// What is known already of how long jobs take, for the learned schedule: what the `histories` of an earlier client
    /// told. Kinds of jobs of other backends do no harm. Default: nothing.
    pub fn histories(mut self, histories: Histories) -> Self {
        self.histories = histories;
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
        let policy = Arc::new(policy);
        let (dialect, origin) = (backend.dialect().name(), backend.origin());
        let known = self.histories.iter().filter(|(key, _)| key.dialect == dialect && key.origin == origin);
        let learners = known.map(|(key, history)| {
            let kind = (Box::from(key.class.as_str()), key.since);
            (kind, Learner::new(history.clone(), Arc::clone(&policy)))
        });
        C::from_session(Session {
            learners: Mutex::new(learners.collect()),
            max_body: backend.max_body(),
            backend: Mutex::new(Arc::new(backend)),
            credentials: self.credentials.map(Mutex::new),
            policy,
            max_in_flight: self.max_in_flight,
            rate: self.rate,
            creates: Mutex::new(Pace::new(self.rate)),
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
    backend: Mutex<Arc<Backend>>,
    credentials: Option<Mutex<Box<dyn Credentials>>>,
    policy: Arc<Policy>,
    max_in_flight: usize,
    max_body: u64,
    rate: Option<RateLimit>,
    /// Creates do not queue behind looks, nor looks behind creates.
    creates: Mutex<Pace>,
    seed: Option<u64>,
    /// The backend has given a good answer in some wait.
    proven: AtomicBool,
    stats: Mutex<Stats>,
    /// What the ends of jobs have taught, by the caller's class of job and by where ages are counted from.
    learners: Mutex<BTreeMap<(Box<str>, Since), Learner>>,
}

impl Session {
    /// The backend, with the credentials that are used now.
    pub fn backend(&self) -> Arc<Backend> {
        Arc::clone(&lock(&self.backend))
    }

    /// Whether refused credentials can be renewed.
    pub fn can_renew(&self) -> bool {
        self.credentials.is_some()
    }

    /// The backend with other credentials than this one, which were refused: those that another wait has renewed in the
    /// meantime, or new ones. May block.
    ///
    /// # Errors
    /// Why there are none.
    pub fn renew(&self, refused: &Backend) -> Result<Arc<Backend>, String> {
        let Some(credentials) = &self.credentials else {
            return Err("no source of credentials was given".to_string());
        };
        // Held all the while, so that waits that were refused together ask once.
        let credentials = lock(credentials);
        let current = self.backend();
        if current.renewals() > refused.renewals() {
            return Ok(current);
        }
        // Whoever waits for them must hear of it.
        let headers = catch_unwind(AssertUnwindSafe(|| credentials.renew()));
        let headers = headers.unwrap_or_else(|_| Err("the source of credentials panicked".to_string()))?;
        let renewed = current.renewed(headers).map_err(|error| error.to_string())?;
        let renewed = Arc::new(renewed);
        *lock(&self.backend) = Arc::clone(&renewed);
        Ok(renewed)
    }

    /// The policy of waits.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The largest body that is read, in decoded bytes.
    pub fn max_body(&self) -> u64 {
        self.max_body
    }

    /// The most requests in flight at once in one wait.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// A generator for the jitter of one wait: from the seed that was given, or else from this word of entropy.
    pub fn rng(&self, entropy: u64) -> impl Rng + use<> {
        ChaCha8Rng::seed_from_u64(self.seed.unwrap_or(entropy))
    }

    /// A fleet for one wait for jobs of this class under this policy, with what is known of such jobs.
    pub fn fleet(&self, policy: Arc<Policy>, class: &str, entropy: u64) -> Fleet {
        let fleet = Fleet::new(self.backend(), policy, &mut self.rng(entropy));
        let mut fleet = fleet.with_max_in_flight(self.max_in_flight).with_rate(self.rate);
        if self.can_renew() {
            fleet = fleet.with_renewal();
        }
        if self.proven.load(Ordering::Relaxed) {
            fleet.note_backend_proven();
        }
        for ((_, since), learner) in lock(&self.learners).iter().filter(|((known, _), _)| **known == *class) {
            fleet.set_learner(ClassId::default(), *since, learner.clone());
        }
        fleet
    }

    /// A wait of this class has ended: what that taught is known to the fleets of later waits. Nothing is learned from
    /// waits under policies whose schedule is not learned.
    pub fn learn(&self, fleet: &Fleet, class: &str, finished: &Finished) {
        if let Some(taught) = finished.taught.filter(|_| fleet.is_learned(ClassId::default())) {
            let mut learners = lock(&self.learners);
            let kind = (Box::from(class), taught.since);
            let learner = learners.entry(kind);
            let learner = learner.or_insert_with(|| Learner::new(History::new(), Arc::clone(&self.policy)));
            learner.note(NO_EXPLORER, &taught.lesson);
        }
    }

    /// What is known of how long jobs take, to be kept and given to [`ClientBuilder::histories`] the next time.
    pub fn histories(&self) -> Histories {
        let backend = self.backend();
        let mut histories = Histories::new();
        for ((class, since), learner) in lock(&self.learners).iter() {
            histories.insert(HistoryKey::of(&backend, class, *since), learner.history().clone());
        }
        histories
    }

    /// Takes a create's token, and tells when the create may be sent.
    pub fn reserve_create(&self, now: Timestamp) -> Timestamp {
        lock(&self.creates).reserve(now)
    }

    /// A wait is over: what it has learned and cost counts for the session.
    pub fn note_wait(&self, fleet: &Fleet) {
        self.proven.fetch_or(fleet.is_backend_proven(), Ordering::Relaxed);
        lock(&self.stats).merge(fleet.stats());
    }

    /// What all waits that are over have cost and reached.
    pub fn stats(&self) -> Stats {
        lock(&self.stats).clone()
    }
}

/// What a panic elsewhere left behind is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A job that was given to a wait which is gone, so that nobody would hear of it: it is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackError {
    job: JobRef,
}

impl TrackError {
    /// The wait is gone; for those who write a driver.
    pub fn new(job: JobRef) -> Self {
        Self { job }
    }

    /// The job, which goes on and can be waited for elsewhere.
    pub fn into_job(self) -> JobRef {
        self.job
    }
}

impl fmt::Display for TrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address keeps its secrets so.
        write!(f, "the wait is gone, and nobody would hear of {:?}", self.job)
    }
}

impl core::error::Error for TrackError {}
