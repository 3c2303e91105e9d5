//! A directory, a backend, jobs in it, and a wait that makes snapshots and ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use jobwatch::store::{BackendKey, Kept, Record, Standing, Store};
use jobwatch::{Backend, Dialect, Finished, Fleet, FleetAction, FleetEvent, JobRef, JobSnapshot, Policy, Timestamp};
use jobwatch_sqlite::Sqlite;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) fn at(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

/// A directory of its own, and a state file in it.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("jobs.state")
    }

    pub(crate) fn open(&self) -> Sqlite {
        Sqlite::open(self.path()).unwrap()
    }

    /// Every file and what is in it.
    pub(crate) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }
}

pub(crate) fn backend() -> Arc<Backend> {
    let backend = Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000")).unwrap();
    Arc::new(backend.with_header("x-api-key", "hush-hush").unwrap())
}

pub(crate) fn key() -> BackendKey {
    BackendKey::of(&backend())
}

pub(crate) fn job(id: &str) -> JobRef {
    JobRef::new(id).unwrap().with_created_at(NOW)
}

/// A wait for one job, as a driver would lead it.
pub(crate) struct Wait {
    pub(crate) fleet: Fleet,
    pub(crate) now: Timestamp,
}

impl Wait {
    pub(crate) fn new(policy: Policy) -> Self {
        let fleet = Fleet::new(backend(), Arc::new(policy), &mut ChaCha8Rng::seed_from_u64(1));
        Self { fleet, now: NOW }
    }

    pub(crate) fn hourly() -> Self {
        Self::new(Policy::default())
    }

    /// Sends what is due next, and answers it with this state.
    pub(crate) fn answer(&mut self, state: &str) -> Vec<FleetEvent> {
        let body = format!(r#"{{"result":"{state}"}}"#).into_bytes();
        let id = loop {
            match self.fleet.poll(self.now) {
                FleetAction::Sleep { until } => self.now = until,
                FleetAction::Send { id, .. } => break id,
                other => panic!("there is nothing to send: {other:?}"),
            }
        };
        let answer = Response::builder().header("content-type", "application/json").body(body).unwrap();
        self.fleet.handle_response(self.now, id, &answer);
        std::iter::from_fn(|| self.fleet.next_event()).collect()
    }
}

/// Where a wait stands after one look.
pub(crate) fn snapshot(id: &str, state: &str) -> Box<JobSnapshot> {
    let mut wait = Wait::hourly();
    let handle = wait.fleet.insert(job(id), NOW);
    wait.answer(state);
    Box::new(wait.fleet.snapshot(handle).unwrap())
}

/// How a job ended.
pub(crate) fn ended(id: &str, state: &str) -> Box<Finished> {
    let mut wait = Wait::hourly();
    wait.fleet.insert(job(id), NOW);
    let mut ends = wait.answer(state).into_iter().filter_map(|event| match event {
        FleetEvent::Finished { finished, .. } => Some(finished),
        _ => None,
    });
    ends.next().expect("it is an end")
}

pub(crate) fn unfinished(store: &mut Sqlite, key: &BackendKey) -> Vec<Record> {
    let mut records = Vec::new();
    store.unfinished(key, &mut |record| records.push(record)).unwrap();
    records
}

/// A record in a few words.
pub(crate) fn told(record: &Record) -> String {
    match &record.standing {
        Standing::Open(Kept::Job(job)) => format!("{job} new"),
        Standing::Open(Kept::Wait(snapshot)) => format!("{} waiting", snapshot.job()),
        Standing::Ended { finished, told: false } => format!("{} {}", finished.job, finished.outcome),
        Standing::Ended { finished, told: true } => format!("{} {}, told", finished.job, finished.outcome),
    }
}

pub(crate) fn left(store: &mut Sqlite) -> Vec<String> {
    unfinished(store, &key()).iter().map(told).collect()
}
