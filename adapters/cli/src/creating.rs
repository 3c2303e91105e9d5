//! Creates, one after another, as long as there is room.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use jobwatch::store::Intent;
use jobwatch::{JobRef, SubmitError};
use jobwatch_reqwest::Client;
use tokio::time::{Instant, sleep_until};

use crate::failure::{Failure, is_refusal};
use crate::state::Creator;

/// After a create that was refused for too many jobs, the time to the next; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

type UnderWay = Pin<Box<dyn Future<Output = Result<Vec<JobRef>, SubmitError>>>>;

/// Creates that earlier runs left without an answer, to be sent again under their keys, before any that is new.
struct Earlier {
    creator: Creator,
    left: VecDeque<Intent>,
    /// The one under way is one of them.
    under_way: bool,
}

/// The creates of one `submit`. The first that fails ends them, since it may stand for the rest.
pub(crate) struct Creates {
    client: Client,
    body: Vec<u8>,
    count: u32,
    /// Those that were answered well.
    done: u32,
    under_way: Option<UnderWay>,
    /// No more are begun.
    over: bool,
    limit: Option<Limit>,
    earlier: Option<Earlier>,
}

/// The most jobs that may be unfinished at once.
struct Limit {
    most: usize,
    /// What the last create made: the next one will make as many.
    made: usize,
    /// For so long a backend may go on to refuse.
    patience: Duration,
    refusal: Option<Refusal>,
}

/// The backend has no place for another job.
struct Refusal {
    since: Instant,
    pause: Duration,
    /// Not before then, as the backend told.
    told: Option<Instant>,
    again_at: Instant,
}

/// What came of a create.
#[derive(Debug)]
pub(crate) enum Created {
    Jobs(Vec<JobRef>),
    /// The same by a create of an earlier run, which may have made them then.
    Again(Vec<JobRef>),
    /// The backend has no place for another job yet; told once until it has one.
    NoPlace(String),
    /// No more creates are sent; the jobs exist all the same.
    Failed(Vec<JobRef>, Failure),
    /// There may be room now.
    TryAgain,
}

impl Creates {
    /// So many creates with this body.
    pub(crate) fn new(client: Client, body: Vec<u8>, count: u32) -> Self {
        Self { client, body, count, done: 0, under_way: None, over: false, limit: None, earlier: None }
    }

    /// The same, with each written down before it is sent; and before them those of earlier runs.
    pub(crate) fn with_state(self, creator: Creator, intents: Vec<Intent>) -> Self {
        Self { earlier: Some(Earlier { creator, left: intents.into(), under_way: false }), ..self }
    }

    /// The same with so many jobs unfinished at once at the most. A create that is throttled is no failure then, unless
    /// nothing else has come for so long.
    pub(crate) fn with_limit(self, most: usize, patience: Duration) -> Self {
        Self { limit: Some(Limit { most, made: 1, patience, refusal: None }), ..self }
    }

    /// Creates that were not begun, or whose end is not known.
    pub(crate) fn left(&self) -> u32 {
        self.count - self.done
    }

    /// A create is under way, or there will be another.
    pub(crate) fn is_busy(&self) -> bool {
        let earlier = self.earlier.as_ref().is_some_and(|earlier| !earlier.left.is_empty());
        self.is_under_way() || (!self.over && (earlier || self.left() > 0))
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins the next create, if there is one and room for it beside so many unfinished jobs. Tells whether there is
    /// something to wait for.
    pub(crate) fn start(&mut self, unfinished: usize) -> bool {
        if self.is_under_way() {
            return true;
        }
        if !self.is_busy() {
            return false;
        }
        if let Some(under_way) = self.earlier.as_mut().and_then(|earlier| earlier.next(&self.client)) {
            self.under_way = Some(under_way);
            return true;
        }
        if let Some(limit) = &self.limit {
            if limit.refusal.as_ref().is_some_and(|refusal| refusal.again_at > Instant::now()) {
                return true;
            }
            // One create may make more jobs than the limit allows; then it waits for all others to end.
            if unfinished > 0 && unfinished + limit.made > limit.most {
                return false;
            }
        }
        let (client, body) = (self.client.clone(), self.body.clone());
        let creator = self.earlier.as_ref().map(|earlier| earlier.creator.clone());
        self.under_way = Some(Box::pin(async move {
            match creator {
                Some(creator) => creator.create(&client, body).await,
                None => client.create_raw(body).await,
            }
        }));
        true
    }

    /// What comes next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Created {
        let Some(under_way) = &mut self.under_way else {
            match self.limit.as_ref().and_then(|limit| limit.refusal.as_ref()) {
                Some(refusal) if refusal.again_at > Instant::now() => sleep_until(refusal.again_at).await,
                _ => std::future::pending().await,
            }
            return Created::TryAgain;
        };
        let answer = under_way.await;
        self.under_way = None;
        if self.earlier.as_mut().is_some_and(|earlier| std::mem::take(&mut earlier.under_way)) {
            return match answer {
                Ok(jobs) => Created::Again(jobs),
                Err(error) => self.fail(error, Some("a create that was cut short earlier was sent again, and failed")),
            };
        }
        match answer {
            Ok(jobs) => {
                self.done += 1;
                if let Some(limit) = &mut self.limit {
                    limit.made = jobs.len().max(1);
                    limit.refusal = None;
                }
                Created::Jobs(jobs)
            }
            Err(error) if !self.over && error.created.is_empty() && self.may_pass(&error) => {
                let limit = self.limit.as_mut().expect("only with a limit a refusal may pass");
                if limit.refuse(error.retry_after) { Created::NoPlace(error.message) } else { Created::TryAgain }
            }
            Err(error) => self.fail(error, None),
        }
    }

    /// A job has ended: a backend that had no place may have one.
    pub(crate) fn note_end(&mut self) {
        if let Some(refusal) = self.limit.as_mut().and_then(|limit| limit.refusal.as_mut()) {
            let now = Instant::now();
            let again_at = refusal.told.unwrap_or(now);
            *refusal = Refusal { since: now, pause: FIRST_PAUSE, told: refusal.told, again_at };
        }
    }

    /// Begins no more.
    pub(crate) fn stop(&mut self) {
        self.over = true;
    }

    /// Leaves the create that is under way. Tells whether there was one.
    pub(crate) fn abandon(&mut self) -> bool {
        self.over = true;
        self.under_way.take().is_some()
    }

    fn may_pass(&self, error: &SubmitError) -> bool {
        let Some(limit) = &self.limit else { return false };
        let spent = limit.refusal.as_ref().is_some_and(|refusal| refusal.since.elapsed() >= limit.patience);
        error.throttled && !error.maybe_created && !spent
    }

    fn fail(&mut self, error: SubmitError, what: Option<&str>) -> Created {
        self.over = true;
        let message = match (what, self.count) {
            (Some(what), _) => format!("{what}: {error}"),
            (None, 1) if error.maybe_created => format!("the create failed: {error}"),
            (None, 1) if error.created.is_empty() => format!("no job was created: {error}"),
            (None, count) => format!("create {} of {count} failed: {error}", self.done + 1),
        };
        let status = if is_refusal(error.error) { 3 } else { 4 };
        Created::Failed(error.created, Failure { status, message })
    }
}

impl Earlier {
    /// Begins the next, if there is one.
    fn next(&mut self, client: &Client) -> Option<UnderWay> {
        let intent = self.left.pop_front()?;
        self.under_way = true;
        let (client, creator) = (client.clone(), self.creator.clone());
        Some(Box::pin(async move { creator.carry_out(&client, &intent).await }))
    }
}

impl Limit {
    /// The backend has no place, and may have told when to ask again. Tells whether that is news.
    fn refuse(&mut self, retry_after: Option<Duration>) -> bool {
        let now = Instant::now();
        let before = self.refusal.take();
        let pause = before.as_ref().map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let since = before.as_ref().map_or(now, |before| before.since);
        // What the backend tells comes before the end of a job, too, which makes room only as far as we know.
        let longest = self.patience.max(FIRST_PAUSE);
        let told = retry_after.map(|told| now + told.clamp(FIRST_PAUSE, longest));
        self.refusal = Some(Refusal { since, pause, told, again_at: told.unwrap_or(now + pause) });
        before.is_none()
    }
}
