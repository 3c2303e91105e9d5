//! What is in a queue, for those who look at it.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;

use crate::queue::{settle, within_sql};
use crate::{Error, Queue};

/// What is in a queue, and what has become of its jobs.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Jobs that nobody owns.
    pub waiting: u64,
    /// Jobs that a worker owns.
    pub running: u64,
    /// How long ago the oldest of the waiting jobs was enqueued.
    pub oldest_waiting: Option<Duration>,
    /// Messages that were taken out of the queue, since nobody should try them again.
    pub set_aside: u64,
    /// Waits that have ended, by outcome.
    pub ended: BTreeMap<String, u64>,
    /// Those who are at work, or were when something was heard of them.
    pub workers: Vec<WorkerStatus>,
}

/// A worker, as the database knows it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// When something was last heard of it; `None` for one that has left and left results behind.
    pub seen: Option<Duration>,
    /// Jobs that it owns.
    pub running: u64,
    /// Ends that it has recorded, by outcome.
    pub ended: BTreeMap<String, u64>,
}

impl Queue {
    /// What is in the queue. Counts every message and result, one look.
    ///
    /// # Errors
    /// What the database says.
    pub async fn status(&self) -> Result<QueueStatus, Error> {
        let mut status = QueueStatus::default();
        let mut workers: BTreeMap<String, WorkerStatus> = BTreeMap::new();
        let mut connection = self.connection().await?;
        let rows = within_sql(async {
            let standing = sqlx::query("SELECT waiting, running, oldest_s, set_aside FROM jobwatch.standing($1)");
            let standing = standing.bind(self.name()).fetch_one(&mut *connection).await?;
            let owners = sqlx::query("SELECT worker, running FROM jobwatch.owners($1)");
            let owners = owners.bind(self.name()).fetch_all(&mut *connection).await?;
            let ended =
                "SELECT worker, outcome, count(*) FROM jobwatch.results WHERE queue = $1 GROUP BY worker, outcome";
            let ended = sqlx::query(ended).bind(self.name()).fetch_all(&mut *connection).await?;
            let seen = "SELECT worker, extract(epoch FROM clock_timestamp() - seen_at)::double precision \
                        FROM jobwatch.workers WHERE queue = $1";
            let seen = sqlx::query(seen).bind(self.name()).fetch_all(&mut *connection).await?;
            Ok((standing, owners, ended, seen))
        });
        let rows = rows.await;
        let (standing, owners, ended, seen) = settle(connection, rows)?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        status.waiting = count(standing.try_get(0)?);
        status.running = count(standing.try_get(1)?);
        status.oldest_waiting = standing.try_get::<Option<f64>, _>(2)?.map(time);
        status.set_aside = count(standing.try_get(3)?);
        for row in owners {
            workers.entry(row.try_get(0)?).or_default().running = count(row.try_get(1)?);
        }
        for row in ended {
            let (outcome, ends): (String, u64) = (row.try_get(1)?, count(row.try_get(2)?));
            *status.ended.entry(outcome.clone()).or_default() += ends;
            workers.entry(row.try_get(0)?).or_default().ended.insert(outcome, ends);
        }
        for row in seen {
            workers.entry(row.try_get(0)?).or_default().seen = Some(time(row.try_get(1)?));
        }
        status.workers = workers.into_iter().map(|(name, worker)| WorkerStatus { name, ..worker }).collect();
        Ok(status)
    }
}
