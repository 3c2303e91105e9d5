//! The client and its builder.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use jobwatch::driver::{Download, FromSession, Session};
use jobwatch::learn::Histories;
use jobwatch::store::Intent;
use jobwatch::{
    Backend, BuildError, Cancel, CancelAction, CancelError, Cancellation, Dialect, Finished, JobRef, JobSnapshot,
    LookError, SnapshotError, Stats, Status, Submit, SubmitAction, SubmitError, Timestamp, TransportError,
};
use serde::Serialize;
use tracing::{Instrument, debug_span};

use crate::alarm::LONGEST_SLEEP;
use crate::clock::Clock;
use crate::exchange::{self, exchange_from_rest};
use crate::handles::Tracker;
use crate::http::{Http, public_roots};
use crate::wait_all::WaitAll;

/// An asynchronous client for one backend. Cloning it is cheap and shares its connections.
///
/// ```no_run
/// use jobwatch_reqwest::{Client, Dialect};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder(Dialect::tracker()).base_url("http://127.0.0.1:5000").build()?;
/// let jobs = client.create(&()).await?; // ids first: printed, stored, never lost
/// for job in &jobs {
///     println!("{job}");
/// }
/// let mut all = client.wait_all(jobs);
/// while let Some(finished) = all.next().await {
///     println!("{}\t{}", finished.job, finished.outcome);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    class: Arc<str>,
}

pub(crate) struct Shared {
    pub(crate) session: Arc<Session>,
    pub(crate) http: Http,
    pub(crate) clock: Arc<Clock>,
}

impl Client {
    /// Starts to build a client for a backend that speaks this dialect.
    pub fn builder(dialect: Dialect) -> ClientBuilder {
        ClientBuilder::new(dialect)
    }

    /// Creates a job, or several where the backend fans one request out. The body is sent as JSON; `&()` sends none.
    ///
    /// The request is repeated only where the dialect has an idempotency key. The body is written down at once and is
    /// not borrowed while the future waits. A future that is dropped between its first poll and its end may leave a job
    /// behind whose id nobody has learned.
    ///
    /// # Errors
    /// What the backend said, and whether the job may have been created all the same.
    pub fn create<'c, T: Serialize + ?Sized>(
        &'c self,
        body: &T,
    ) -> impl Future<Output = Result<Vec<JobRef>, SubmitError>> + Send + use<'c, T> {
        let body = serde_json::to_value(body).map_err(|error| SubmitError::unsent(format!("the body: {error}")));
        async move {
            let body = body?;
            self.create_raw(if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }).await
        }
    }

    /// Creates a job from a body that is JSON already; an empty one sends none.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn create_raw(&self, body: Vec<u8>) -> Result<Vec<JobRef>, SubmitError> {
        self.create_intended(&self.intent(body)).await
    }

    /// A create to be written down before it is sent, so that no crash makes a job of which nobody knows; see
    /// [`store`](jobwatch::store). The body is JSON already; an empty one sends none.
    pub fn intent(&self, body: Vec<u8>) -> Intent {
        let shared = &self.shared;
        // Not from the seed of the jitter: it gives every create the same.
        let entropy = u128::from(shared.entropy()) << 64 | u128::from(shared.entropy());
        Intent::new(&shared.session.backend(), body, shared.clock.now(), entropy)
    }

    /// Carries an [`intent`](Self::intent) out: one that is new like [`create_raw`](Self::create_raw), and one that a store
    /// gave back, and that may have been sent already, only if that can make no second job.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn create_intended(&self, intent: &Intent) -> Result<Vec<JobRef>, SubmitError> {
        let shared = &self.shared;
        let (backend, policy) = (shared.session.backend(), Arc::clone(shared.session.policy()));
        let rng = &mut shared.session.rng(shared.entropy());
        let now = || shared.clock.now();
        let mut submit = Submit::of_intent(Arc::clone(&backend), policy, intent, now(), rng);
        if shared.session.can_renew() {
            submit = submit.with_renewal();
        }
        shared.sleep(shared.session.reserve_create(now())).await;
        loop {
            match submit.poll(now()) {
                SubmitAction::Created(jobs) => return Ok(jobs),
                SubmitAction::Failed(error) => return Err(error),
                SubmitAction::Sleep { until } => shared.sleep(until).await,
                SubmitAction::Renew => {
                    let renewed = Shared::renew(shared, Arc::clone(&backend)).await;
                    submit.renewed(now(), renewed);
                }
                SubmitAction::Send { id, request, timeout } => {
                    match exchange_from_rest(shared, request, timeout).instrument(debug_span!("create")).await {
                        Ok(response) => submit.handle_response(now(), id, &response),
                        Err(error) => submit.handle_error(now(), id, &error),
                    }
                }
            }
        }
    }

    /// One look at a job.
    pub async fn status(&self, job: &JobRef) -> Status {
        Status::of(self.looks(vec![job.clone()]).only().await)
    }

    /// One look at each job, several at a time: a map from id to status.
    pub async fn statuses(&self, jobs: &[JobRef]) -> BTreeMap<String, Status> {
        let mut looks = self.looks(jobs.to_vec());
        let mut statuses = BTreeMap::new();
        while let Some(found) = looks.next().await {
            statuses.insert(found.job.id().to_owned(), Status::of(found));
        }
        statuses
    }

    /// Asks the backend to cancel a job, after a look whether there is anything to cancel. Nothing else ever does.
    ///
    /// That it was asked does not mean that the job has ended: [`wait`](Self::wait) tells.
    ///
    /// # Errors
    /// The dialect does not say how, the look told nothing, or what the backend said. The job may go on.
    pub async fn cancel(&self, job: &JobRef) -> Result<Cancellation, CancelError> {
        let shared = &self.shared;
        let now = || shared.clock.now();
        shared.session.backend().check_cancel(job)?;
        let status = self.status(job).await;
        let (backend, policy) = (shared.session.backend(), Arc::clone(shared.session.policy()));
        let rng = &mut shared.session.rng(shared.entropy());
        let mut cancel = Cancel::new(Arc::clone(&backend), policy, status, now(), rng);
        if shared.session.can_renew() {
            cancel = cancel.with_renewal();
        }
        loop {
            match cancel.poll(now()) {
                CancelAction::Done(done) => return done,
                CancelAction::Sleep { until } => shared.sleep(until).await,
                CancelAction::Renew => {
                    let renewed = Shared::renew(shared, Arc::clone(&backend)).await;
                    cancel.renewed(now(), renewed);
                }
                CancelAction::Send { id, request, timeout } => {
                    match exchange_from_rest(shared, request, timeout).instrument(debug_span!("cancel", ?job)).await {
                        Ok(response) => cancel.handle_response(now(), id, &response),
                        Err(error) => cancel.handle_error(now(), id, &error),
                    }
                }
            }
        }
    }

    /// Fetches what is at an address that the backend told as a result, **without** any of the client's headers, and
    /// writes it into the sink piece by piece; tells how many bytes that were. Redirects are followed.
    ///
    /// # Errors
    /// Why there is nothing, or not all of it within the timeout; what was written until then is in the sink.
    pub async fn download(
        &self,
        url: &str,
        sink: &mut (impl Write + ?Sized),
        timeout: Duration,
    ) -> Result<u64, TransportError> {
        let download = Download::new(&self.shared.session.backend(), url)?;
        match tokio::time::timeout(timeout, exchange::download(&self.shared.http, download, sink)).await {
            Ok(done) => done,
            Err(_) => Err(TransportError::new(LookError::Expired, "")),
        }
    }

    /// Waits for a job to end, or for the policy to end the wait.
    pub async fn wait(&self, job: &JobRef) -> Finished {
        self.wait_all([job.clone()]).only().await
    }

    /// Waits for many jobs under shared limits: a stream in order of completion. An id that is given twice is asked for
    /// and told once.
    ///
    /// The jobs are taken from the iterator as the stream is polled, a thousand at a time: a million ids from a file sit in
    /// memory once. An iterator that blocks, blocks the stream; see [`track`](Self::track) for jobs that come in their own
    /// time.
    pub fn wait_all<I>(&self, jobs: I) -> WaitAll
    where
        I: IntoIterator<Item = JobRef>,
        I::IntoIter: Send + 'static,
    {
        WaitAll::new(Arc::clone(&self.shared), Arc::clone(&self.class), Arc::clone(self.shared.session.policy()), jobs)
    }

    /// Waits for jobs that are yet to come, for a service that submits all day: the [`Tracker`] takes them from anywhere,
    /// and the stream tells their ends. The stream itself ends when every clone of the tracker was dropped and every job
    /// has ended.
    pub fn track(&self) -> (Tracker, WaitAll) {
        WaitAll::tracked(Arc::clone(&self.shared), Arc::clone(&self.class), Arc::clone(self.shared.session.policy()))
    }

    /// Goes on waiting for jobs where snapshots left them, which [`WaitAll::fleet`] takes with
    /// [`snapshots`](jobwatch::Fleet::snapshots): with their age, their counts and what is left of their time.
    ///
    /// # Errors
    /// A snapshot is of a newer version, or damaged; nothing is waited for then.
    pub fn resume(&self, snapshots: impl IntoIterator<Item = JobSnapshot>) -> Result<WaitAll, SnapshotError> {
        WaitAll::resume(
            Arc::clone(&self.shared),
            Arc::clone(&self.class),
            Arc::clone(self.shared.session.policy()),
            snapshots,
        )
    }

    /// The same client for a class of jobs of the caller's own, for example by mode, language or length: how long they take
    /// is learned and kept apart. It shares everything else. Default: the class without a name.
    #[must_use]
    pub fn with_class(&self, class: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), class: Arc::from(class) }
    }

    /// The same client over connections that are set up otherwise, for example by way of a proxy, with other roots of trust
    /// or by HTTP/2; it shares everything else, and makes connections of its own. Given is the builder with the settings
    /// that this client has; that redirects, repetitions and decoding are off is set afterwards, since what is promised
    /// of credentials and of counts depends on it.
    ///
    /// ```no_run
    /// use jobwatch_reqwest::{Client, Dialect};
    /// use std::net::{IpAddr, Ipv4Addr};
    ///
    /// let client = Client::builder(Dialect::tracker()).base_url("http://127.0.0.1:5000").build()?;
    /// let client = client.with_http(|http| http.local_address(IpAddr::from(Ipv4Addr::LOCALHOST)))?;
    /// # Ok::<(), jobwatch_reqwest::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// What reqwest says that could not be set up, as [`BuildError::Http`].
    pub fn with_http(
        &self,
        adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, BuildError> {
        let (session, clock) = (Arc::clone(&self.shared.session), Arc::clone(&self.shared.clock));
        let http = Http::new(session.max_in_flight(), public_roots(), adjust).map_err(BuildError::Http)?;
        Ok(Self { shared: Arc::new(Shared { session, http, clock }), class: Arc::clone(&self.class) })
    }

    /// What was learned so far of how long jobs take, to be kept and given to
    /// [`histories`](jobwatch::ClientBuilder::histories) the next time.
    pub fn histories(&self) -> Histories {
        self.shared.session.histories()
    }

    /// Sets the clock of this client and its clones, which goes on from there, to the one of a machine that several clients
    /// go by: a snapshot that one of them takes is as old for another. To be called before anything is waited for.
    /// Default: this machine's time.
    pub fn set_time(&self, now: Timestamp) {
        self.shared.clock.set(now);
    }

    /// What all ended waits and looks of this client and its clones have cost and reached; a wait under way tells its
    /// own with [`WaitAll::stats`].
    pub fn metrics(&self) -> Stats {
        self.shared.session.stats()
    }

    /// The backend, with the credentials that are used now.
    pub fn backend(&self) -> Arc<Backend> {
        self.shared.session.backend()
    }

    fn looks(&self, jobs: Vec<JobRef>) -> WaitAll {
        WaitAll::new(
            Arc::clone(&self.shared),
            Arc::clone(&self.class),
            Arc::new(self.shared.session.policy().one_look()),
            jobs,
        )
    }
}

impl FromSession for Client {
    fn from_session(session: Session) -> Result<Self, BuildError> {
        let shared = Shared {
            http: Http::new(session.max_in_flight(), public_roots(), |http| http).map_err(BuildError::Http)?,
            clock: Arc::new(Clock::start()),
            session: Arc::new(session),
        };
        Ok(Self { shared: Arc::new(shared), class: Arc::from("") })
    }
}

/// Builds a [`Client`].
pub type ClientBuilder = jobwatch::ClientBuilder<Client>;

impl Shared {
    async fn sleep(&self, until: Timestamp) {
        tokio::time::sleep(until.saturating_since(self.clock.now()).min(LONGEST_SLEEP)).await;
    }

    /// Other credentials in place of those that were refused, from a thread that may block.
    pub(crate) async fn renew(shared: &Arc<Self>, refused: Arc<Backend>) -> Result<Arc<Backend>, String> {
        let shared = Arc::clone(shared);
        let renewed = tokio::task::spawn_blocking(move || shared.session.renew(&refused)).await;
        renewed.unwrap_or_else(|_| Err("the source of credentials panicked".to_owned()))
    }

    /// A seed from the system; without one the clock still keeps clients apart.
    pub(crate) fn entropy(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| self.clock.now().as_nanos())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("session", &self.session).finish_non_exhaustive()
    }
}
