//! What a worker asks the database for, and when.

use std::collections::HashSet;
use std::time::Duration;

use jobwatch::JobSnapshot;
use tokio::time::Instant;

use super::super::outbox::End;
use super::super::owned::Demand;
use super::super::{News, Until, Worker};
use super::{Running, SEARCH};
use crate::{Adopted, Claim, Error, Grant, Queue};

/// The time between two attempts while the database cannot be used.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// So many jobs are adopted at once.
const ADOPTION: usize = 500;

/// So many leases are extended in one statement.
const EXTENSION: usize = 5_000;

/// The time between two looks at a queue in which there was nothing, at first.
const SHORTEST_IDLE: Duration = Duration::from_millis(50);

/// How often a worker tells that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// How soon it is looked again whether there is more to ask for.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// Which kinds of requests are under way.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(super) struct Kinds {
    pub(super) adopt: bool,
    pub(super) extend: bool,
    pub(super) record: bool,
    pub(super) progress: bool,
    pub(super) grant: bool,
    pub(super) beat: bool,
    pub(super) set_aside: bool,
    pub(super) release: bool,
}

/// What came of a request.
pub(super) enum Done {
    Adopted { asked: usize, left: Option<u64>, result: Result<Vec<Adopted>, Error> },
    Extended { began: Instant, result: Result<Vec<Claim>, Error> },
    Recorded { batch: Vec<End>, result: Result<Vec<i64>, Error> },
    Progressed { news: Vec<(Claim, Option<JobSnapshot>)>, result: Result<Vec<i64>, Error> },
    Granted { demand: Demand, result: Result<Grant, Error> },
    Beaten(Result<(), Error>),
    SetAside { batch: Vec<(Claim, String)>, result: Result<Vec<i64>, Error> },
    Released { batch: Vec<(Claim, Option<JobSnapshot>)>, result: Result<Vec<i64>, Error> },
}

/// When each is due.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) adopt_at: Instant,
    pub(super) extend_at: Instant,
    pub(super) beat_at: Instant,
    pub(super) search_at: Instant,
    idle: Duration,
    pub(super) extension: Duration,
}

impl Times {
    pub(super) fn new(worker: &Worker, now: Instant) -> Self {
        // Twice more before it ends.
        let extension = worker.visibility() / 3;
        let (extend_at, beat_at) = (now + extension, now + BEAT);
        Self { adopt_at: now, extend_at, beat_at, search_at: now, idle: SHORTEST_IDLE, extension }
    }

    pub(super) fn adopt_now(&mut self, now: Instant) {
        self.adopt_at = now;
        self.idle = SHORTEST_IDLE;
    }

    /// So many jobs were there to be adopted, of so many that there was room for.
    pub(super) fn note_adopted(&mut self, count: usize, asked: usize, longest: Duration, now: Instant) {
        self.idle = if count > 0 { SHORTEST_IDLE } else { (self.idle * 2).min(longest) };
        self.adopt_at = if count == asked { now } else { now + self.idle };
    }
}

impl<T: FnMut(News<'_>)> Running<T> {
    /// Asks for what is due. In an outage one attempt at a time finds out whether it is over.
    pub(super) fn begin_requests(&mut self, now: Instant) {
        let begin: [fn(&mut Self, Instant); 8] = [
            Self::begin_recording,
            Self::begin_progress,
            Self::begin_leaving,
            Self::begin_grant,
            Self::begin_adopting,
            Self::begin_setting_aside,
            Self::begin_extending,
            Self::begin_beat,
        ];
        for begin in begin {
            let waits = |now: Instant, retry_at: Instant| now < retry_at || !self.requests.is_empty();
            if self.outage.as_ref().is_some_and(|outage| waits(now, outage.retry_at)) {
                return;
            }
            begin(self, now);
        }
    }

    fn begin_recording(&mut self, _: Instant) {
        if self.busy.record || self.outbox.is_empty() {
            return;
        }
        self.busy.record = true;
        let (worker, batch) = (self.worker.clone(), self.outbox.batch());
        self.requests.spawn(async move {
            let ends = batch.iter().map(|end| (end.claim, &end.finished));
            let result = worker.queue.finish(&worker.name, ends).await;
            Done::Recorded { batch, result }
        });
    }

    fn begin_progress(&mut self, now: Instant) {
        let is_due = self.owned.has_news() || (self.owned.may_have_news() && now >= self.times.search_at);
        if self.busy.progress || !is_due {
            return;
        }
        self.times.search_at = now + SEARCH;
        let news = self.owned.news(self.all.fleet());
        if news.is_empty() {
            return;
        }
        self.busy.progress = true;
        let worker = self.worker.clone();
        self.requests.spawn(async move {
            let result = worker.queue.progress(&worker.name, &news).await;
            Done::Progressed { news, result }
        });
    }

    fn begin_grant(&mut self, now: Instant) {
        if self.busy.grant || !self.is_needy() || !self.pace.is_short(now) {
            return;
        }
        let held = self.all.needs_allowance();
        let mut demand = self.owned.demand(self.all.fleet(), self.all.now(), self.each, held);
        // What was granted already serves the first of them.
        demand.wanted.requests = demand.wanted.requests.saturating_sub(self.pace.left());
        if demand.wanted.requests == 0 {
            self.pace.ask_after(SECOND_LOOK, now);
            return;
        }
        self.busy.grant = true;
        let worker = self.worker.clone();
        self.requests.spawn(async move {
            let wanted = demand.wanted.clone();
            let result = worker.queue.grant(&worker.destination, worker.rate, &worker.name, wanted).await;
            Done::Granted { demand, result }
        });
    }

    fn begin_adopting(&mut self, now: Instant) {
        if self.busy.adopt || !self.can_adopt() || now < self.times.adopt_at {
            return;
        }
        self.busy.adopt = true;
        let (worker, most) = (self.worker.clone(), self.room().min(ADOPTION));
        let drains = self.until == Until::Drained && self.owned.is_empty();
        self.requests.spawn(async move {
            let number = u32::try_from(most).unwrap_or(u32::MAX);
            let result = worker.queue.adopt(&worker.destination, &worker.name, worker.visibility(), number).await;
            let found_none = result.as_ref().is_ok_and(Vec::is_empty);
            let left = if drains && found_none { worker.queue.remaining(&worker.destination).await.ok() } else { None };
            Done::Adopted { asked: most, left, result }
        });
    }

    fn begin_setting_aside(&mut self, _: Instant) {
        if self.busy.set_aside || self.aside.is_empty() || self.leaving.is_some() {
            return;
        }
        self.busy.set_aside = true;
        let (worker, batch) = (self.worker.clone(), std::mem::take(&mut self.aside));
        self.requests.spawn(async move {
            let result = worker.queue.set_aside(&worker.name, &batch).await;
            Done::SetAside { batch, result }
        });
    }

    fn begin_extending(&mut self, now: Instant) {
        if self.busy.extend || now < self.times.extend_at {
            return;
        }
        let claims: Vec<Claim> = self.owned.claims().chain(self.outbox.claims()).collect();
        if claims.is_empty() {
            self.times.extend_at = now + self.times.extension;
            return;
        }
        self.busy.extend = true;
        let worker = self.worker.clone();
        self.requests.spawn(async move {
            Done::Extended { began: now, result: extend(&worker.queue, claims, worker.visibility()).await }
        });
    }

    fn begin_beat(&mut self, now: Instant) {
        if self.busy.beat || now < self.times.beat_at {
            return;
        }
        self.busy.beat = true;
        let (worker, jobs, recorded) = (self.worker.clone(), self.owned.len(), self.summary.recorded);
        self.requests.spawn(async move {
            Done::Beaten(worker.queue.beat(&worker.destination, &worker.name, jobs, recorded).await)
        });
    }
}

/// Extends leases, and tells which have been lost.
async fn extend(queue: &Queue, claims: Vec<Claim>, time: Duration) -> Result<Vec<Claim>, Error> {
    let mut lost = Vec::new();
    for claims in claims.chunks(EXTENSION) {
        let kept: HashSet<i64> = queue.extend(claims, time).await?.into_iter().collect();
        lost.extend(claims.iter().filter(|claim| !kept.contains(&claim.id)));
    }
    Ok(lost)
}
