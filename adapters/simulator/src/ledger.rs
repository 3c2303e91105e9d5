//! The ledger: what the simulator was asked, when, by whom, and what it answered.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::faults::FaultKind;

/// Longer paths are cut in the ledger, so that its memory stays bounded.
const LONGEST_PATH: usize = 512;

/// What was told about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JobState {
    /// Not ended yet.
    Pending,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended because somebody cancelled it.
    Cancelled,
    /// There is no job of that id.
    Unknown,
}

/// A copy of what the simulator has recorded. Serialized, it is what `GET /_ledger` answers.
///
/// Times are nanoseconds since the Unix epoch here and seconds in JSON (exact to about a
/// microsecond there).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    /// The version of the serialized form: 1.
    pub v: u32,
    /// The requests in order of arrival: the last ones, where there were more than the limit.
    pub requests: Vec<LedgerEntry>,
    /// How many requests there were in all, those no longer in `requests` included.
    pub requests_seen: u64,
    /// The jobs in order of creation: the last ones, where there were more than the limit.
    pub jobs: Vec<LedgerJob>,
    /// How many jobs were created in all.
    pub jobs_created: u64,
    /// How many connections carried at least one request of the ledger.
    pub connections: u64,
    /// How many connections were accepted, whatever they carried.
    pub connections_accepted: u64,
    /// How many connections are open now.
    pub connections_open: u64,
}

impl Ledger {
    /// The requests for one job, in order: those for many jobs at once too, where this one is among
    /// them.
    pub fn requests_for<'l>(&'l self, id: &'l str) -> impl Iterator<Item = &'l LedgerEntry> + 'l {
        self.requests.iter().filter(move |entry| entry.all_job_ids().any(|found| found == id))
    }

    /// The requests that asked for a job before the time that an earlier answer for the same job
    /// had asked to wait for. An answer for many jobs asks for each of them, and a request for many
    /// is too early when it is for one of them. Creating and cancelling is never too early. A polite
    /// client leaves this empty.
    pub fn asked_too_early(&self) -> Vec<&LedgerEntry> {
        let mut waits: HashMap<&str, u64> = HashMap::new();
        let mut early = Vec::new();
        for entry in &self.requests {
            let waited_for = |id| waits.get(id).is_some_and(|until| entry.at_ns < *until);
            if &*entry.method == "GET" && entry.all_job_ids().any(waited_for) {
                early.push(entry);
            }
            if let Some(until) = entry.throttled_until_ns {
                waits.extend(entry.all_job_ids().map(|id| (id, until)));
            }
        }
        early
    }
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Counted from 1, in order of arrival.
    pub number: u64,
    /// When the request had arrived as a whole.
    #[serde(rename = "at", serialize_with = "seconds")]
    pub at_ns: u64,
    /// The connection that carried it, counted from 1. Equal numbers mean a connection was reused.
    pub connection: u64,
    /// The HTTP method.
    pub method: Arc<str>,
    /// The path without its query, cut at 512 bytes.
    pub path: Arc<str>,
    /// The one job that was asked for, created or cancelled; for an unknown job, as asked.
    pub job_id: Option<Arc<str>>,
    /// The jobs of a request for many: what a bulk status asked for, each once, or what a create
    /// made when it made several. Empty where there is one job or none.
    pub job_ids: Vec<Arc<str>>,
    /// Whether it asked for the status of many jobs at once, even where it named only one.
    pub bulk: bool,
    /// The HTTP status that was answered; `None` where there was no answer.
    pub status: Option<u16>,
    /// The fault that stood in for the answer.
    pub fault: Option<FaultKind>,
    /// When the client may ask again, where the answer told it to wait.
    #[serde(rename = "throttled_until", serialize_with = "maybe_seconds")]
    pub throttled_until_ns: Option<u64>,
    /// The state that was told; `None` where several were.
    pub state: Option<JobState>,
    /// Whether the answer was an old one, repeated from the cache.
    pub cached: bool,
}

impl LedgerEntry {
    fn all_job_ids(&self) -> impl Iterator<Item = &str> {
        self.job_id.iter().chain(&self.job_ids).map(|id| &**id)
    }
}

/// One job and its fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerJob {
    /// Its id.
    pub id: Arc<str>,
    /// When it was created.
    #[serde(rename = "created_at", serialize_with = "seconds")]
    pub created_at_ns: u64,
    /// When it ends, in the future or in the past.
    #[serde(rename = "ended_at", serialize_with = "seconds")]
    pub ended_at_ns: u64,
    /// How it ends: [`JobState::Succeeded`] or [`JobState::Failed`]; [`JobState::Cancelled`] from the
    /// moment on in which somebody cancels it, which is its end.
    pub outcome: JobState,
    /// How many status requests there were for it, those included that were for many jobs, were
    /// refused or met a fault. Reading a result or a file, and cancelling, are no status requests.
    pub requests: u64,
}

#[expect(clippy::cast_precision_loss, reason = "a microsecond is exact enough in JSON")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn seconds<S: Serializer>(ns: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*ns as f64 / 1e9)
}

#[expect(clippy::ref_option, reason = "serde wants it so")]
fn maybe_seconds<S: Serializer>(ns: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ns {
        Some(ns) => seconds(ns, serializer),
        None => serializer.serialize_none(),
    }
}

/// The growing side of the ledger: the last entries, and counts that go on.
#[derive(Debug)]
pub(crate) struct Log {
    entries: VecDeque<LedgerEntry>,
    limit: usize,
    pub(crate) seen: u64,
    pub(crate) connections: u64,
}

impl Log {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), limit, seen: 0, connections: 0 }
    }

    /// Records an entry and numbers it.
    pub(crate) fn push(&mut self, mut entry: LedgerEntry) {
        self.seen += 1;
        entry.number = self.seen;
        if self.entries.len() >= self.limit {
            self.entries.pop_front();
        }
        if self.limit > 0 {
            self.entries.push_back(entry);
        }
    }

    pub(crate) fn entries(&self) -> Vec<LedgerEntry> {
        self.entries.iter().cloned().collect()
    }
}

/// A path as the ledger keeps it.
pub(crate) fn kept_path(path: &str) -> Arc<str> {
    let mut end = path.len().min(LONGEST_PATH);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    path[..end].into()
}
