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
    SnapshotError, Stats, Status, Submit, SubmitAction, SubmitError, Timestamp, TransportError,
};
use serde::Serialize;
use ureq::tls::RootCerts;

use crate::agents::Agents;
use crate::clock::Clock;
use crate::exchange::{self, exchange};
use crate::wait_all::{Tracker, WaitAll};

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
    class: Arc<str>,
}

pub(crate) struct Shared {
    pub(crate) session: Session,
    pub(crate) agents: Arc<Agents>,
    pub(crate) clock: Clock,
}

impl Client {
    /// Starts to build a client for a backend that speaks this dialect.
    pub fn builder(dialect: Dialect) -> ClientBuilder {
        ClientBuilder::new(dialect)
    }

    /// Creates a job, or several where the backend fans one request out. The body is sent as JSON; `&()` sends none.
    ///
    /// The request is repeated only where the dialect has an idempotency key.
    ///
    /// # Errors
    /// What the backend said, and whether the job may have been created all the same.
    pub fn create(&self, body: &(impl Serialize + ?Sized)) -> Result<Vec<JobRef>, SubmitError> {
        let body = serde_json::to_value(body).map_err(|error| SubmitError::unsent(format!("the body: {error}")))?;
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.create_raw(body)
    }

    /// Creates a job from a body that is JSON already; an empty one sends none.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub fn create_raw(&self, body: Vec<u8>) -> Result<Vec<JobRef>, SubmitError> {
        self.create_intended(&self.intent(body))
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
    pub fn create_intended(&self, intent: &Intent) -> Result<Vec<JobRef>, SubmitError> {
        let shared = &self.shared;
        let (backend, policy) = (shared.session.backend(), Arc::clone(shared.session.policy()));
        let rng = &mut shared.session.rng(shared.entropy());
        let now = || shared.clock.now();
        let mut submit = Submit::of_intent(Arc::clone(&backend), policy, intent, now(), rng);
        if shared.session.can_renew() {
            submit = submit.with_renewal();
        }
        let at = shared.session.reserve_create(now());
        while now() < at {
            shared.sleep(at);
        }
        loop {
            match submit.poll(now()) {
                SubmitAction::Created(jobs) => return Ok(jobs),
                SubmitAction::Failed(error) => return Err(error),
                SubmitAction::Sleep { until } => shared.sleep(until),
                SubmitAction::Renew => {
                    submit.renewed(now(), shared.session.renew(&backend));
                }
                SubmitAction::Send { id, request, timeout } => {
                    match exchange(&shared.agents, request, timeout, shared.session.max_body()) {
                        Ok(response) => submit.handle_response(now(), id, &response),
                        Err(error) => submit.handle_error(now(), id, &error),
                    }
                }
            }
        }
    }

    /// One look at a job.
    pub fn status(&self, job: &JobRef) -> Status {
        let mut found = self.looks(vec![job.clone()]);
        Status::of(found.next().expect("one job gives one outcome"))
    }

    /// One look at each job, several at a time: a map from id to status.
    pub fn statuses(&self, jobs: &[JobRef]) -> BTreeMap<String, Status> {
        self.looks(jobs.to_vec()).map(|found| (found.job.id().to_owned(), Status::of(found))).collect()
    }

    /// Asks the backend to cancel a job, after a look whether there is anything to cancel. Nothing else ever does.
    ///
    /// That it was asked does not mean that the job has ended: [`wait`](Self::wait) tells.
    ///
    /// # Errors
    /// The dialect does not say how, the look told nothing, or what the backend said. The job may go on.
    pub fn cancel(&self, job: &JobRef) -> Result<Cancellation, CancelError> {
        let shared = &self.shared;
        let now = || shared.clock.now();
        shared.session.backend().check_cancel(job)?;
        let status = self.status(job);
        let (backend, policy) = (shared.session.backend(), Arc::clone(shared.session.policy()));
        let rng = &mut shared.session.rng(shared.entropy());
        let mut cancel = Cancel::new(Arc::clone(&backend), policy, status, now(), rng);
        if shared.session.can_renew() {
            cancel = cancel.with_renewal();
        }
        loop {
            match cancel.poll(now()) {
                CancelAction::Done(done) => return done,
                CancelAction::Sleep { until } => shared.sleep(until),
                CancelAction::Renew => cancel.renewed(now(), shared.session.renew(&backend)),
                CancelAction::Send { id, request, timeout } => {
                    match exchange(&shared.agents, request, timeout, shared.session.max_body()) {
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
    pub fn download(
        &self,
        url: &str,
        sink: &mut (impl Write + ?Sized),
        timeout: Duration,
    ) -> Result<u64, TransportError> {
        let download = Download::new(&self.shared.session.backend(), url)?;
        exchange::download(&self.shared.agents, download, sink, timeout)
    }

    /// Waits for a job to end, or for the policy to end the wait.
    pub fn wait(&self, job: &JobRef) -> Finished {
        self.wait_all([job.clone()]).next().expect("one job gives one outcome")
    }

    /// Waits for many jobs under shared limits: an iterator in order of completion. An id that is given twice is asked
    /// for and told once.
    ///
    /// The jobs are taken from the given iterator as the wait goes on, a thousand at a time: a million ids from a file sit
    /// in memory once. One that blocks, blocks the wait; see [`track`](Self::track) for jobs that come in their own time.
    pub fn wait_all<I>(&self, jobs: I) -> WaitAll
    where
        I: IntoIterator<Item = JobRef>,
        I::IntoIter: Send + 'static,
    {
        WaitAll::new(Arc::clone(&self.shared), Arc::clone(&self.class), Arc::clone(self.shared.session.policy()), jobs)
    }

    /// Waits for jobs that are yet to come, for a service that submits all day: the [`Tracker`] takes them from anywhere,
    /// and the iterator tells their ends. The iterator itself ends when every clone of the tracker was dropped and every
    /// job has ended.
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

    /// What was learned so far of how long jobs take, to be kept and given to
    /// [`histories`](jobwatch::ClientBuilder::histories) the next time.
    pub fn histories(&self) -> Histories {
        self.shared.session.histories()
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
        let agents = Arc::new(Agents::new(session.max_in_flight(), RootCerts::WebPki));
        let shared = Shared { agents, clock: Clock::start(), session };
        Ok(Self { shared: Arc::new(shared), class: Arc::from("") })
    }
}

/// Builds a [`Client`].
pub type ClientBuilder = jobwatch::ClientBuilder<Client>;

impl Shared {
    fn sleep(&self, until: Timestamp) {
        std::thread::park_timeout(until.saturating_since(self.clock.now()).max(Duration::from_micros(1)));
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
