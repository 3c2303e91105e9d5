//! The worker's loop: one task that drives its jobs, and beside it at most one request of each kind to the database.

mod answers;
mod leaving;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use jobwatch::{Finished, FleetEvent, JobHandle, LookError, Outcome};
use jobwatch_reqwest::{Step, Tracker, WaitAll};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::outbox::{End, Outbox};
use super::owned::Owned;
use super::pace::Pace;
use super::{News, Summary, Until, Worker, WorkerError};
use crate::{Claim, Queue};
use leaving::Leaving;
use requests::{Done, Kinds, Times};

/// How often ends of looks are searched for that only the count of crashes is interested in.
const SEARCH: Duration = Duration::from_millis(200);

pub(super) struct Running<T> {
    worker: Arc<Worker>,
    until: Until,
    tell: T,
    all: WaitAll,
    /// As long as it lives, the wait does not end for want of jobs.
    _tracker: Tracker,
    each: u16,
    owned: Owned,
    outbox: Outbox,
    aside: Vec<(Claim, String)>,
    pace: Pace,
    requests: JoinSet<Done>,
    busy: Kinds,
    times: Times,
    outage: Option<Outage>,
    /// Jobs can be adopted that could not be a moment ago.
    news: Arc<Notify>,
    listening: JoinSet<()>,
    adopting: bool,
    leaving: Option<Leaving>,
    summary: Summary,
}

/// The database cannot be used.
struct Outage {
    since: Instant,
    pause: Duration,
    retry_at: Instant,
    /// What is over at the second attempt is none.
    told: bool,
}

impl<T: FnMut(News<'_>)> Running<T> {
    pub(super) async fn start(worker: Worker, until: Until, tell: T) -> Result<Self, WorkerError> {
        worker.client.set_time(worker.queue.now().await?);
        // Before anything is granted: the others share with this one.
        worker.queue.beat(&worker.destination, &worker.name, 0, 0).await?;
        let (tracker, mut all) = worker.client.track();
        all.allow(0);
        let news = Arc::new(Notify::new());
        let mut listening = JoinSet::new();
        listening.spawn(listen(worker.queue.clone(), Arc::clone(&news)));
        let now = Instant::now();
        Ok(Self {
            each: worker.client.backend().dialect().bulk_limit().unwrap_or(1).max(1),
            pace: Pace::new(worker.rate, now),
            times: Times::new(&worker, now),
            worker: Arc::new(worker),
            until,
            tell,
            all,
            _tracker: tracker,
            owned: Owned::default(),
            outbox: Outbox::default(),
            aside: Vec::new(),
            requests: JoinSet::new(),
            busy: Kinds::default(),
            outage: None,
            news,
            listening,
            adopting: true,
            leaving: None,
            summary: Summary::default(),
        })
    }

    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Summary, WorkerError> {
        let mut stop = std::pin::pin!(stop);
        let mut stopped = false;
        while !self.is_over() {
            let now = Instant::now();
            self.all.allow(self.pace.allowed(self.all.allowance().unwrap_or_default(), now));
            self.begin_requests(now);
            let wake = self.next_instant(now);
            let news = Arc::clone(&self.news);
            tokio::select! {
                // What the backend and the database have said comes before what time has brought.
                biased;
                () = &mut stop, if !stopped => {
                    stopped = true;
                    self.leave(None);
                }
                Some(done) = self.requests.join_next() => match done {
                    Ok(done) => self.take(done),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                step = self.all.next_step() => match step {
                    Some(Step::Event(event)) => self.take_event(event),
                    // What comes next is decided above.
                    _ => self.pace.ask_now(now),
                },
                () = news.notified() => self.times.adopt_now(now),
                () = sleep_until(wake) => {}
            }
        }
        self.conclude().await
    }

    fn take_event(&mut self, event: FleetEvent) {
        match event {
            FleetEvent::Changed { handle, .. } | FleetEvent::UnknownState { handle, .. } => {
                self.owned.note_changed(handle);
            }
            FleetEvent::Finished { handle, finished } => self.take_end(handle, *finished),
            _ => {}
        }
    }

    fn take_end(&mut self, handle: JobHandle, finished: Finished) {
        let Some(claim) = self.owned.remove(handle) else { return };
        let problem = finished.error.clone().unwrap_or_default();
        let proven = self.all.fleet().is_backend_proven();
        let is_refusal = match finished.last_error {
            Some(LookError::Status(401)) => true,
            Some(LookError::Status(403)) => !proven,
            _ => false,
        };
        // What is wrong with this worker is not the end of a wait.
        let why = match finished.outcome {
            Outcome::Rejected if is_refusal => WorkerError::CredentialsRefused(problem),
            Outcome::GaveUp if !proven => WorkerError::NeverAnswered(problem),
            _ => return self.outbox.push(End { claim, finished }),
        };
        self.leave(Some(why));
        if let Some(leaving) = &mut self.leaving {
            leaving.jobs.push((claim, None));
        }
    }

    /// Whether all is done that is to be done.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        let is_idle = self.outbox.is_empty() && self.aside.is_empty() && self.owned.is_empty();
        match &self.leaving {
            Some(leaving) => {
                now >= leaving.deadline || (is_idle && leaving.jobs.is_empty() && self.requests.is_empty())
            }
            None => match self.until {
                Until::Stopped => false,
                Until::Once => !self.adopting && is_idle && !self.busy.adopt && !self.busy.record,
                Until::Drained => !self.adopting && is_idle && !self.busy.record,
            },
        }
    }

    fn next_instant(&self, now: Instant) -> Instant {
        let far = now + Duration::from_secs(3600);
        let can_adopt = self.can_adopt() && !self.busy.adopt;
        let of_database = [
            (can_adopt, self.times.adopt_at),
            (!self.busy.extend, self.times.extend_at),
            (!self.busy.beat, self.times.beat_at),
            (self.owned.may_have_news() && !self.busy.progress, self.times.search_at),
        ];
        let of_database = of_database.into_iter().filter_map(|(wanted, at)| wanted.then_some(at));
        let of_database = of_database.chain((!self.busy.grant).then(|| self.pace.next(self.is_needy())).flatten());
        let soonest = of_database.min().unwrap_or(far);
        // In an outage everything waits for the next attempt, and while that is under way for what comes of it.
        let soonest = match &self.outage {
            Some(_) if !self.requests.is_empty() => far,
            Some(outage) => soonest.max(outage.retry_at),
            None => soonest,
        };
        let own = self.pace.next(false).into_iter().chain(self.leaving.as_ref().map(|leaving| leaving.deadline));
        own.fold(soonest.min(far), Instant::min)
    }

    /// Whether requests wait to be granted, or will soon.
    fn is_needy(&self) -> bool {
        self.leaving.is_none() && (self.all.needs_allowance() || self.pace.left() > 0)
    }

    fn can_adopt(&self) -> bool {
        self.leaving.is_none() && self.adopting && self.room() > 0
    }

    fn room(&self) -> usize {
        self.worker.max_jobs.saturating_sub(self.owned.len() + self.outbox.len())
    }

    fn note_outage(&mut self, problem: &str, now: Instant) {
        debug!(problem, "the database cannot be used");
        let Some(outage) = &mut self.outage else {
            let pause = requests::SHORTEST_PAUSE;
            self.outage = Some(Outage { since: now, pause, retry_at: now + pause, told: false });
            return;
        };
        outage.pause = (outage.pause * 2).min(requests::LONGEST_PAUSE);
        outage.retry_at = now + outage.pause;
        if !std::mem::replace(&mut outage.told, true) {
            (self.tell)(News::Outage(problem));
        }
    }

    fn note_answer(&mut self, now: Instant) {
        if let Some(outage) = self.outage.take() {
            if outage.told {
                (self.tell)(News::Back(now.saturating_duration_since(outage.since)));
            }
            // Whatever was put off comes now.
            self.times.adopt_now(now);
            self.pace.ask_now(now);
        }
    }
}

/// Tells of jobs that can be adopted, as long as it is let.
async fn listen(queue: Queue, news: Arc<Notify>) {
    loop {
        if let Ok(mut listener) = queue.listen().await {
            // Something may have come before.
            news.notify_one();
            while listener.recv().await.is_ok() {
                news.notify_one();
            }
        }
        // Without it the queue is looked at from time to time all the same.
        tokio::time::sleep(requests::LONGEST_PAUSE).await;
    }
}
