//! Leaving in good order: jobs go back into the queue, ends that are known are recorded.

use std::time::Duration;

use jobwatch::JobSnapshot;
use tokio::time::{Instant, timeout};

use super::super::{News, Summary, WorkerError};
use super::Running;
use super::requests::Done;
use crate::Claim;

/// So many jobs are handed back at once.
const BATCH: usize = 500;

/// So long the last word to the database may take.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A worker on its way out.
pub(super) struct Leaving {
    pub(super) deadline: Instant,
    /// Jobs to be handed back.
    pub(super) jobs: Vec<(Claim, Option<JobSnapshot>)>,
    pub(super) why: Option<WorkerError>,
}

impl<T: FnMut(News<'_>)> Running<T> {
    /// Begins to leave. Nothing is adopted or asked for any more.
    pub(super) fn leave(&mut self, why: Option<WorkerError>) {
        if let Some(leaving) = &mut self.leaving {
            leaving.why = leaving.why.take().or(why);
            return;
        }
        self.leaving = Some(Leaving { deadline: Instant::now() + self.worker.grace, jobs: Vec::new(), why });
    }

    /// Hands the next jobs back, those included that were being adopted.
    pub(super) fn begin_leaving(&mut self, _: Instant) {
        let Some(leaving) = &mut self.leaving else { return };
        for handle in self.owned.all() {
            let snapshot = self.all.release(handle);
            if let Some(claim) = self.owned.remove(handle) {
                leaving.jobs.push((claim, snapshot));
            }
        }
        leaving.jobs.extend(std::mem::take(&mut self.aside).into_iter().map(|(claim, _)| (claim, None)));
        // A rewriting that is under way would bring an older snapshot, and an adoption might take what was just handed back.
        if self.busy.release || self.busy.progress || self.busy.adopt || leaving.jobs.is_empty() {
            return;
        }
        self.busy.release = true;
        let batch = leaving.jobs.split_off(leaving.jobs.len().saturating_sub(BATCH));
        let worker = self.worker.clone();
        self.requests.spawn(async move {
            let result = worker.queue.release(&worker.name, &batch).await;
            Done::Released { batch, result }
        });
    }

    /// The last word.
    pub(super) async fn conclude(mut self) -> Result<Summary, WorkerError> {
        self.listening.abort_all();
        let (jobs, why) = self.leaving.map_or((0, None), |leaving| (leaving.jobs.len(), leaving.why));
        self.summary.left_behind = (jobs + self.owned.len() + self.outbox.len()) as u64;
        // Whoever cannot say it is forgotten after a day.
        let _ = timeout(LAST_WORD, self.worker.queue.leave(&self.worker.name)).await;
        match why {
            Some(why) => Err(why),
            None => Ok(self.summary),
        }
    }
}
