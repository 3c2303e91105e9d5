//! What the backend knows and says: every decision, without a socket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hyper::Method;

use crate::answer::{Answer, Reply, spoil};
use crate::api::{Api, Route};
use crate::cache::{Cache, Kept};
use crate::clock::{Clock, unix_text};
use crate::faults::{FaultKind, Faults};
use crate::jobs::{Jobs, Recipe, state_at};
use crate::ledger::{JobState, Ledger, LedgerEntry, LedgerJob, Log, kept_path};

/// What the simulator was set to, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) api: Api,
    pub(crate) recipe: Recipe,
    pub(crate) faults: Faults,
    pub(crate) cache_ns: Option<u64>,
    pub(crate) unresponsive: bool,
    pub(crate) ledger_limit: usize,
}

/// One open connection as the ledger knows it: numbered when it carries its first recorded request.
#[derive(Debug)]
pub(crate) struct Link {
    number: OnceLock<u64>,
    world: Arc<World>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.world.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Link {
    pub(crate) fn open(world: Arc<World>) -> Self {
        world.accepted.fetch_add(1, Ordering::Relaxed);
        Self { number: OnceLock::new(), world }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }
}

/// The backend. Its lock is held for a few map look-ups at a time and never across an await.
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
    jobs: Jobs,
    log: Log,
    cache: Option<Cache>,
    status_requests: u64,
}

/// What is known of an answer beside its bytes.
#[derive(Debug, Default)]
struct Note {
    job_id: Option<Arc<str>>,
    fault: Option<FaultKind>,
    throttled_until_ns: Option<u64>,
    state: Option<JobState>,
    cached: bool,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let state = State {
            jobs: Jobs::new(settings.ledger_limit),
            log: Log::new(settings.ledger_limit),
            cache: settings.cache_ns.map(Cache::new),
            status_requests: 0,
        };
        Self {
            settings,
            clock: Clock::new(),
            accepted: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Decides what to do with a request that has arrived as a whole, and records it.
    pub(crate) fn answer(&self, link: &Link, method: &Method, path: &str) -> Reply {
        let mut state = self.lock();
        // Read under the lock, so that entries are in order of time.
        let now_ns = self.clock.now();
        let path_kept = kept_path(path);
        let (reply, note) = self.decide(&mut state, method, path, now_ns);
        let connection = *link.number.get_or_init(|| {
            state.log.connections += 1;
            state.log.connections
        });
        let status = match &reply {
            Reply::Answer(answer) => Some(answer.status),
            Reply::Reset | Reply::Close | Reply::Hang => None,
        };
        state.log.push(LedgerEntry {
            number: 0,
            at_ns: now_ns,
            connection,
            method: method.as_str().into(),
            path: path_kept,
            job_id: note.job_id,
            status,
            fault: note.fault,
            throttled_until_ns: note.throttled_until_ns,
            state: note.state,
            cached: note.cached,
        });
        reply
    }

    fn decide(&self, state: &mut State, method: &Method, path: &str, now_ns: u64) -> (Reply, Note) {
        let route = self.settings.api.route(method, path);
        if self.settings.unresponsive {
            let job_id = match route {
                Route::Status(id) => Some(kept_path(id)),
                _ => None,
            };
            let note = Note { job_id, fault: Some(FaultKind::Hang), ..Note::default() };
            return (Reply::Hang, note);
        }
        match route {
            Route::Create => self.create(state, now_ns),
            Route::Status(id) => self.status(state, path, id, now_ns),
            Route::Unknown => {
                let answer = Answer::json(404, r#"{"error":"there is nothing at this path"}"#);
                (Reply::Answer(answer), Note::default())
            }
            Route::WrongMethod { allow } => (Reply::Answer(wrong_method(allow)), Note::default()),
        }
    }

    fn create(&self, state: &mut State, now_ns: u64) -> (Reply, Note) {
        let job = state.jobs.create(&self.settings.recipe, now_ns);
        let answer = with_times(Answer::json(200, self.settings.api.created(&job.id)), &job, now_ns);
        let note = Note { job_id: Some(job.id), ..Note::default() };
        (Reply::Answer(answer), note)
    }

    fn status(&self, state: &mut State, path: &str, id: &str, now_ns: u64) -> (Reply, Note) {
        let Settings { api, recipe, faults, .. } = &self.settings;
        let job = state.jobs.find(id).map(|job| {
            job.requests += 1;
            job.clone()
        });
        let told = job.as_ref().map_or(JobState::Unknown, |job| state_at(job, now_ns));
        let body = api.told(told);
        let mut note = Note {
            job_id: Some(job.as_ref().map_or_else(|| kept_path(id), |job| Arc::clone(&job.id))),
            ..Note::default()
        };

        let number = state.status_requests;
        state.status_requests += 1;
        if let Some(kind) = faults.draw(recipe.seed, number) {
            let (reply, until) = spoil(body, kind, now_ns, recipe.pace);
            note.fault = Some(kind);
            note.throttled_until_ns = until;
            return (reply, note);
        }

        if let Some(kept) = state.cache.as_mut().and_then(|cache| cache.get(path, now_ns)) {
            note.state = Some(kept.state);
            note.cached = true;
            let age = now_ns.saturating_sub(kept.at_ns) / 1_000_000_000;
            return (Reply::Answer(kept.answer.clone().with("age", age.to_string())), note);
        }

        let mut answer = Answer::json(200, body);
        if let Some(job) = &job {
            answer = with_times(answer, job, now_ns);
        }
        if let Some(cache) = &mut state.cache {
            let kept = Kept { at_ns: now_ns, state: told, answer: answer.clone() };
            cache.put(&path.into(), kept);
        }
        note.state = Some(told);
        (Reply::Answer(answer), note)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let closed = self.closed.load(Ordering::Relaxed);
        let accepted = self.accepted.load(Ordering::Relaxed);
        let state = self.lock();
        Ledger {
            v: 1,
            requests: state.log.entries(),
            requests_seen: state.log.seen,
            jobs: state.jobs.all(),
            jobs_created: state.jobs.created,
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

/// The documented headers: when the job was created and, once it has ended, when that was.
fn with_times(answer: Answer, job: &LedgerJob, now_ns: u64) -> Answer {
    let answer = answer.with(crate::CREATED_AT, unix_text(job.created_at_ns));
    if state_at(job, now_ns) == JobState::Pending {
        return answer;
    }
    answer.with(crate::ENDED_AT, unix_text(job.ended_at_ns))
}

pub(crate) fn wrong_method(allow: &'static str) -> Answer {
    let body = format!("{{\"error\":\"this path takes {allow}\"}}");
    Answer::json(405, body).with("allow", allow.to_owned())
}
