//! What the suite wants of a driver.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io::Write;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jobwatch::store::Intent;
use jobwatch::{
    CancelError, Cancellation, Credentials, DEFAULT_MAX_IN_FLIGHT, Dialect, Finished, FleetEvent, JobRef, JobSnapshot,
    Policy, RateLimit, Stats, Status, SubmitError, TrackError, TransportError,
};
use serde_json::Value;

use crate::{Server, kiln};

/// Longer than any story takes, however busy the machine.
pub const HANG_GUARD: Duration = Duration::from_secs(60);

/// A driver: something that builds clients.
pub trait Driver: Sync {
    /// A new client, with connections of its own.
    fn client(&self, setup: Setup) -> Box<dyn Client>;
}

/// How a client is to be built.
#[derive(Clone, Debug)]
#[must_use]
pub struct Setup {
    /// What the server speaks.
    pub dialect: Dialect,
    /// Where the server is.
    pub base_url: String,
    /// Headers for every request.
    pub headers: Vec<(String, String)>,
    /// Origins beside the server's own that may be asked.
    pub allowed_origins: Vec<String>,
    /// Where new credentials come from.
    pub provider: Option<Provider>,
    /// How patiently to ask.
    pub policy: Policy,
    /// The most requests in flight at once.
    pub max_in_flight: usize,
    /// The most requests a second.
    pub rate: Option<RateLimit>,
    /// The largest body; `None` leaves the dialect's.
    pub max_body: Option<u64>,
    /// The seed of the jitter; `None` leaves it to chance.
    pub seed: Option<u64>,
}

/// A source of credentials: headers, or why there are none.
#[derive(Clone)]
pub struct Provider(Arc<Renew>);

/// Adds a job to a wait that runs, or gives it back; dropped, it adds no more.
pub type Add = Box<dyn Fn(JobRef) -> Result<(), TrackError> + Send>;

/// Stops a wait.
pub type Stop = Box<dyn Fn() + Send>;

type Renew = dyn Fn() -> Result<Vec<(String, String)>, String> + Send + Sync;

/// A client of the driver under test: the face that all drivers have in common, with `async` blocked on.
pub trait Client: Debug {
    /// Creates jobs.
    ///
    /// # Errors
    /// As the driver says.
    fn create(&self, body: &Value) -> Result<Vec<JobRef>, SubmitError>;

    /// A create to be written down before it is sent.
    fn intent(&self, body: &[u8]) -> Intent;

    /// Carries one out that is new, or that a store gave back.
    ///
    /// # Errors
    /// As the driver says.
    fn create_intended(&self, intent: &Intent) -> Result<Vec<JobRef>, SubmitError>;

    /// One look at a job.
    fn status(&self, job: &JobRef) -> Status;

    /// One look at each job.
    fn statuses(&self, jobs: &[JobRef]) -> BTreeMap<String, Status>;

    /// Asks the backend to cancel a job.
    ///
    /// # Errors
    /// As the driver says.
    fn cancel(&self, job: &JobRef) -> Result<Cancellation, CancelError>;

    /// Fetches what is at an address that was told as a result.
    ///
    /// # Errors
    /// As the driver says.
    fn download(&self, url: &str, sink: &mut dyn Write, timeout: Duration) -> Result<u64, TransportError>;

    /// Waits for a job.
    fn wait(&self, job: &JobRef) -> Finished;

    /// Waits for many jobs, to the last.
    fn wait_all(&self, jobs: Vec<JobRef>) -> Vec<Finished>;

    /// Waits for many jobs, to the last, and has another thread stop the wait once `when` has returned there.
    fn wait_all_stopped(&self, jobs: Vec<JobRef>, when: &(dyn Fn() + Sync)) -> Vec<Finished>;

    /// Waits for many jobs, tells each end at once, and drops the wait when it is told not to go on.
    fn wait_all_while(&self, jobs: Vec<JobRef>, go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished>;

    /// Waits for the jobs of an iterator, hands over what stops the wait before it begins, tells each end at once, and
    /// drops the wait when it is told not to go on.
    fn wait_all_from(
        &self,
        jobs: Box<dyn Iterator<Item = JobRef> + Send>,
        begin: &mut dyn FnMut(Stop),
        go_on: &mut dyn FnMut(&Finished) -> bool,
    ) -> Vec<Finished>;

    /// Waits for the jobs that are added by what is handed over before the wait begins, tells each end at once, and drops
    /// the wait when it is told not to go on.
    fn track(&self, begin: &mut dyn FnMut(Add), go_on: &mut dyn FnMut(&Finished) -> bool) -> Vec<Finished>;

    /// Waits for jobs that are added to a tracker, to the last; on another thread the tracker wakes the one whose id `wake`
    /// returns there.
    fn track_waking(&self, jobs: Vec<JobRef>, wake: &(dyn Fn() -> String + Sync)) -> Vec<Finished>;

    /// Waits for a job to the end, and wakes it by its handle at the first news of it.
    fn wait_waking(&self, job: JobRef) -> Finished;

    /// Waits for many jobs, to the last, and tells all news of them.
    fn events(&self, jobs: Vec<JobRef>) -> Vec<FleetEvent>;

    /// Waits for many jobs until the first has ended; then takes snapshots of the others and drops the wait.
    fn wait_for_first(&self, jobs: Vec<JobRef>) -> (Finished, Vec<JobSnapshot>);

    /// Goes on waiting where snapshots left off, to the last.
    fn resume(&self, snapshots: Vec<JobSnapshot>) -> Vec<Finished>;

    /// Waits for many jobs, for some of them where snapshots left off, to the last.
    fn wait_all_with(&self, jobs: Vec<JobRef>, snapshots: Vec<JobSnapshot>) -> Vec<Finished>;

    /// What all waits and looks of this client have cost.
    fn metrics(&self) -> Stats;
}

impl Setup {
    /// A client of the kiln at this server, with a key, and in a hurry.
    pub fn of(server: &Server) -> Self {
        Self::at(server.url())
    }

    /// The same at any address.
    pub fn at(base_url: impl Into<String>) -> Self {
        Self {
            dialect: kiln::dialect(),
            base_url: base_url.into(),
            headers: vec![("x-api-key".to_owned(), kiln::KEY.to_owned())],
            allowed_origins: Vec::new(),
            provider: None,
            policy: kiln::hurried().build().expect("the stories' policy is sound"),
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            rate: Some(RateLimit::POLITE),
            max_body: None,
            seed: None,
        }
    }

    /// Another dialect.
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Another origin that may be asked.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.allowed_origins.push(origin.into());
        self
    }

    /// Where new credentials come from.
    pub fn credentials(self, provider: Provider) -> Self {
        Self { provider: Some(provider), ..self }
    }

    /// Another policy.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// At most so many requests a second.
    pub fn rate(self, rate: RateLimit) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// At most so many requests at once.
    pub fn max_in_flight(self, max_in_flight: usize) -> Self {
        Self { max_in_flight, ..self }
    }

    /// A jitter that can be repeated.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// At most so many bytes of a body.
    pub fn max_body(self, bytes: u64) -> Self {
        Self { max_body: Some(bytes), ..self }
    }
}

impl Provider {
    /// A source that gives what this function returns.
    pub fn new(renew: impl Fn() -> Result<Vec<(String, String)>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(renew))
    }
}

impl Credentials for Provider {
    fn renew(&self) -> Result<Vec<(String, String)>, String> {
        (self.0)()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// Tells a story to a driver on a thread of its own, so that one that hangs fails.
pub fn tell(story: fn(&dyn Driver), driver: impl Driver + Send + 'static) {
    let (ended, end) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        // Dropped at the end, also by a panic.
        let _ended = ended;
        story(&driver);
    });
    match end.recv_timeout(HANG_GUARD) {
        Err(RecvTimeoutError::Timeout) => panic!("the driver hangs: the story is not over after {HANG_GUARD:?}"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    }
}
