//! What the backend knows and says: every decision, without a socket, a lock or a clock.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Answer, Reply, spoil};
use crate::api::{Order, Route, Scene, Wire, nothing_here, wrong_method};
use crate::asked::{ApiKey, Asked};
use crate::cache::Cache;
use crate::clock::unix_text;
use crate::faults::FaultKind;
use crate::jobs::{Job, Jobs};
use crate::ledger::{JobState, kept_path};
use crate::world::Settings;

/// How long a create is remembered under its idempotency key, in simulated time.
const REPLAY_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What is known of an answer beside its bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    pub(crate) job_id: Option<Arc<str>>,
    pub(crate) job_ids: Vec<Arc<str>>,
    pub(crate) bulk: bool,
    pub(crate) fault: Option<FaultKind>,
    pub(crate) state: Option<JobState>,
    pub(crate) cached: bool,
}

impl Note {
    /// About the jobs that a create made.
    fn made(jobs: &[Job]) -> Self {
        let mut ids = jobs.iter().map(|job| Arc::clone(&job.shown.id));
        match jobs {
            [_] => Self { job_id: ids.next(), ..Self::default() },
            _ => Self { job_ids: ids.collect(), ..Self::default() },
        }
    }
}

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) jobs: Jobs,
    api_key: ApiKey,
    /// Honest status answers, where the backend has a cache.
    told: Option<Cache<Told>>,
    /// Creates that came with an idempotency key.
    made: Cache<Made>,
    status_requests: u64,
}

/// A status answer as it was first given.
#[derive(Debug)]
struct Told {
    at_ns: u64,
    state: Option<JobState>,
    answer: Answer,
}

/// A create and its answer.
#[derive(Debug)]
struct Made {
    body: Box<[u8]>,
    answer: Answer,
    note: Note,
}

impl Backend {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            jobs: Jobs::new(settings.ledger_limit, settings.max_active),
            api_key: settings.api_key.clone(),
            told: settings.cache_ns.map(Cache::new),
            made: Cache::new(settings.recipe.pace.real_ns(REPLAY_LIFE)),
            status_requests: 0,
        }
    }

    pub(crate) fn set_api_key(&mut self, key: ApiKey) {
        self.api_key = key;
    }

    /// Decides what to do with a request.
    pub(crate) fn decide(&mut self, settings: &Settings, asked: &Asked<'_>, now_ns: u64) -> (Reply, Note) {
        let wire = settings.api.wire();
        let route = wire.route(asked);
        let note = self.note(&route);
        if settings.unresponsive {
            return (Reply::Hang, Note { fault: Some(FaultKind::Hang), ..note });
        }
        if !matches!(route, Route::File(_)) && !self.api_key.admits(asked) {
            let answer = Answer::error(401, "unauthorized", "the API key is missing or wrong");
            return (Reply::Answer(answer), note);
        }
        let scene = Scene { asked, now_ns, pace: settings.recipe.pace, seed: settings.recipe.seed };
        let answer = match route {
            Route::Status(_) | Route::Bulk(_) => return self.status(settings, &route, &scene, note),
            Route::Create => {
                let (answer, note) = self.create(settings, &scene);
                return (Reply::Answer(answer), note);
            }
            Route::Cancel(id) => self.cancel(wire, id, &scene),
            Route::Result(id) | Route::File(id) => {
                let job = self.jobs.find(id);
                with_times(wire.result(id, job, &scene), job, now_ns)
            }
            Route::Refused(answer) => answer,
            Route::Unknown => nothing_here(),
            Route::WrongMethod { allow } => wrong_method(allow),
        };
        (Reply::Answer(answer), note)
    }

    /// Notes which jobs a request is for, and counts it for each if it asks for their status.
    fn note(&mut self, route: &Route<'_>) -> Note {
        match route {
            Route::Status(id) => Note { job_id: Some(self.count(id)), ..Note::default() },
            Route::Bulk(ids) => {
                let job_ids = ids.iter().map(|id| self.count(id)).collect();
                Note { job_ids, bulk: true, ..Note::default() }
            }
            Route::Cancel(id) | Route::Result(id) | Route::File(id) => {
                let id = self.jobs.find(id).map_or_else(|| kept_path(id), |job| Arc::clone(&job.shown.id));
                Note { job_id: Some(id), ..Note::default() }
            }
            _ => Note::default(),
        }
    }

    fn count(&mut self, id: &str) -> Arc<str> {
        let Some(job) = self.jobs.find_mut(id) else {
            return kept_path(id);
        };
        job.shown.requests += 1;
        Arc::clone(&job.shown.id)
    }

    fn create(&mut self, settings: &Settings, scene: &Scene<'_>) -> (Answer, Note) {
        let (wire, now_ns) = (settings.api.wire(), scene.now_ns);
        let Order { key, jobs } = match wire.order(scene.asked) {
            Ok(order) => order,
            Err(refusal) => return (refusal, Note::default()),
        };
        if let Some(made) = key.as_ref().and_then(|key| self.made.get(key, now_ns)) {
            if *made.body == *scene.asked.body {
                return (made.answer.clone(), made.note.clone());
            }
            let message = "this idempotency key came with another body before";
            return (Answer::error(409, "idempotency_mismatch", message), Note::default());
        }
        if !self.jobs.has_room_for(jobs.len(), now_ns) {
            let refusal = Answer::error(429, "rate_limit_exceeded", "too many jobs are unfinished");
            return (refusal.with_wait(1, scene.pace), Note::default());
        }
        let jobs: Vec<Job> =
            jobs.into_iter().map(|details| self.jobs.create(&settings.recipe, details, now_ns)).collect();
        let answer = with_times(wire.created(&jobs, scene), jobs.first(), now_ns);
        let note = Note::made(&jobs);
        if let Some(key) = key {
            let made = Made { body: scene.asked.body.into(), answer: answer.clone(), note: note.clone() };
            self.made.put(&key, now_ns, made);
        }
        (answer, note)
    }

    fn cancel(&mut self, wire: &dyn Wire, id: &str, scene: &Scene<'_>) -> Answer {
        let answer = wire.cancelled(id, self.jobs.find(id), scene);
        let Some(job) = self.jobs.find_mut(id) else {
            return answer;
        };
        job.cancel(scene.now_ns);
        with_times(answer, Some(job), scene.now_ns)
    }

    /// Tells the state of one job or of many, as a fault or the cache lets it.
    fn status(&mut self, settings: &Settings, route: &Route<'_>, scene: &Scene<'_>, note: Note) -> (Reply, Note) {
        let (wire, now_ns) = (settings.api.wire(), scene.now_ns);
        let number = self.status_requests;
        self.status_requests += 1;
        let (state, answer) = self.honest(wire, route, number, scene);
        if let Some(kind) = settings.faults.draw(scene.seed, number) {
            let reply = spoil(&answer, kind, wire.posing_status(), now_ns, scene.pace);
            return (reply, Note { fault: Some(kind), ..note });
        }
        let Some(cache) = &mut self.told else {
            return (Reply::Answer(answer), Note { state, ..note });
        };
        let name = match route {
            Route::Bulk(ids) => &format!("{}?{}", scene.asked.path, ids.join(",")),
            _ => scene.asked.path,
        };
        if let Some(told) = cache.get(name, now_ns) {
            let age = now_ns.saturating_sub(told.at_ns) / 1_000_000_000;
            let answer = told.answer.clone().with("age", age.to_string());
            return (Reply::Answer(answer), Note { state: told.state, cached: true, ..note });
        }
        cache.put(name, now_ns, Told { at_ns: now_ns, state, answer: answer.clone() });
        (Reply::Answer(answer), Note { state, ..note })
    }

    fn honest(&self, wire: &dyn Wire, route: &Route<'_>, number: u64, scene: &Scene<'_>) -> (Option<JobState>, Answer) {
        match route {
            Route::Status(id) => {
                let job = self.jobs.find(id);
                let (state, answer) = wire.told(id, job, scene);
                (Some(state), with_times(answer, job, scene.now_ns))
            }
            Route::Bulk(ids) => {
                let jobs: Vec<_> = ids.iter().map(|id| (Arc::from(&**id), self.jobs.find(id))).collect();
                (None, wire.told_of_many(&jobs, number, scene))
            }
            _ => (None, nothing_here()),
        }
    }
}

/// The documented headers: when the job was created and, once it has ended, when that was.
fn with_times(answer: Answer, job: Option<&Job>, now_ns: u64) -> Answer {
    let Some(job) = job else {
        return answer;
    };
    let answer = answer.with(crate::CREATED_AT, unix_text(job.shown.created_at_ns));
    if job.state_at(now_ns) == JobState::Pending {
        return answer;
    }
    answer.with(crate::ENDED_AT, unix_text(job.shown.ended_at_ns))
}
