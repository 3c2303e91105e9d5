//! The backend as connections see it: one lock, one clock, and the record of what was asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::answer::Reply;
use crate::api::Api;
use crate::asked::{ApiKey, Asked};
use crate::backend::Backend;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::jobs::Recipe;
use crate::ledger::{Ledger, LedgerEntry, Log, kept_path};

/// What the simulator was set to, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) api: Api,
    pub(crate) recipe: Recipe,
    pub(crate) faults: Faults,
    pub(crate) cache_ns: Option<u64>,
    pub(crate) api_key: ApiKey,
    pub(crate) max_active: Option<usize>,
    pub(crate) unresponsive: bool,
    pub(crate) ledger_limit: usize,
}

/// One open connection as the ledger knows it: numbered when it carries its first recorded request.
#[derive(Debug)]
pub(crate) struct Link {
    number: OnceLock<u64>,
    /// Our end of it.
    local: Option<SocketAddr>,
    world: Arc<World>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.world.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Link {
    pub(crate) fn open(world: Arc<World>, local: Option<SocketAddr>) -> Self {
        world.accepted.fetch_add(1, Ordering::Relaxed);
        Self { number: OnceLock::new(), local, world }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }
}

/// The backend behind its lock, which is held for a few map look-ups at a time and never across an
/// await.
#[derive(Debug)]
pub(crate) struct World {
    settings: Settings,
    clock: Clock,
    accepted: AtomicU64,
    closed: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    backend: Backend,
    log: Log,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let state = State { backend: Backend::new(&settings), log: Log::new(settings.ledger_limit) };
        Self {
            settings,
            clock: Clock::new(),
            accepted: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Decides what to do with a request that has arrived as a whole, and records it.
    pub(crate) fn answer(&self, link: &Link, asked: &Asked<'_>) -> Reply {
        let mut state = self.lock();
        // Read under the lock, so that entries are in order of time.
        let now_ns = self.clock.now();
        let (reply, note) = state.backend.decide(&self.settings, asked, now_ns);
        let connection = *link.number.get_or_init(|| {
            state.log.connections += 1;
            state.log.connections
        });
        let answer = match &reply {
            Reply::Answer(answer) => Some(answer),
            Reply::Reset | Reply::Close | Reply::Hang => None,
        };
        state.log.push(LedgerEntry {
            number: 0,
            at_ns: now_ns,
            connection,
            method: asked.method.as_str().into(),
            path: kept_path(asked.path),
            job_id: note.job_id,
            job_ids: note.job_ids,
            bulk: note.bulk,
            status: answer.map(|answer| answer.status),
            fault: note.fault,
            throttled_until_ns: answer.and_then(|answer| answer.wait_ns).map(|wait| now_ns.saturating_add(wait)),
            state: note.state,
            cached: note.cached,
        });
        reply
    }

    pub(crate) fn set_api_key(&self, key: ApiKey) {
        self.lock().backend.set_api_key(key);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let closed = self.closed.load(Ordering::Relaxed);
        let accepted = self.accepted.load(Ordering::Relaxed);
        let state = self.lock();
        Ledger {
            v: 1,
            requests: state.log.entries(),
            requests_seen: state.log.seen,
            jobs: state.backend.jobs.all(),
            jobs_created: state.backend.jobs.created,
            connections: state.log.connections,
            connections_accepted: accepted,
            connections_open: accepted.saturating_sub(closed),
        }
    }

    /// A panic elsewhere leaves no half-made state behind that would matter to a simulation.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
