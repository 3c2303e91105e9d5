//! A worker at work, and looking at what it has done.

use std::time::Duration;

use jobwatch_pgmq::{News, Queue, RateLimit, Summary, Until, Worker, WorkerError};
use sqlx::{Executor, PgConnection, Row};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::backend::{Backend, jobs};
use crate::postgres::Database;

/// Far above what the tests need: they are not about the rate.
pub(crate) const FAST: f64 = 5_000.0;

/// Far longer than anything here takes: it turns a test that would hang into one that fails.
pub(crate) const HANG_GUARD: Duration = Duration::from_secs(60);

pub(crate) fn worker(queue: &Queue, backend: &Backend, name: &str) -> Worker {
    let worker = Worker::new(queue.clone(), backend.client(), backend.destination()).with_name(name);
    worker.with_rate(RateLimit::per_second(FAST).unwrap())
}

/// A worker at work, and what it has told.
pub(crate) struct AtWork {
    stop: Option<oneshot::Sender<()>>,
    told: watch::Receiver<Vec<String>>,
    done: JoinHandle<Result<Summary, WorkerError>>,
}

impl AtWork {
    pub(crate) fn begin(worker: Worker, until: Until) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = watch::channel(Vec::new());
        let stopped = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let done = tokio::spawn(worker.run(until, stopped, move |news| {
            let line = match news {
                News::Recorded(end) => format!("{} {}", end.job, end.outcome),
                News::Outage(_) => "outage".to_owned(),
                News::Back(_) => "back".to_owned(),
                other => format!("{other:?}"),
            };
            tell.send_modify(|told| told.push(line));
        }));
        Self { stop: Some(stop), told, done }
    }

    pub(crate) async fn tells(&mut self, line: &str) {
        let waited = tokio::time::timeout(HANG_GUARD, self.told.wait_for(|told| told.iter().any(|told| told == line)));
        let waited = matches!(waited.await, Ok(Ok(_)));
        assert!(waited, "it never told {line:?}, but {:?}", self.told.borrow());
    }

    pub(crate) async fn stop(mut self) -> Summary {
        self.stop.take().map(|stop| stop.send(()));
        self.end().await.unwrap()
    }

    pub(crate) async fn end(self) -> Result<Summary, WorkerError> {
        tokio::time::timeout(HANG_GUARD, self.done).await.expect("it ends").unwrap()
    }

    /// Ends it without a word, as a crash does.
    pub(crate) async fn crash(self) {
        self.done.abort();
        let _ = self.done.await;
    }
}

/// All leases end now.
pub(crate) async fn expire(database: &mut PgConnection) {
    database.execute("UPDATE pgmq.q_jobs SET vt = clock_timestamp()").await.unwrap();
}

pub(crate) async fn results(database: &mut PgConnection) -> Vec<(String, String, String)> {
    let query = sqlx::query("SELECT id, outcome, worker FROM jobwatch.results ORDER BY id");
    let rows = query.fetch_all(database).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

pub(crate) fn result(id: &str, outcome: &str, worker: &str) -> (String, String, String) {
    (id.to_owned(), outcome.to_owned(), worker.to_owned())
}

pub(crate) async fn started(database: &Database, ids: &[&str]) -> (Backend, Queue, PgConnection) {
    let (backend, queue) = (Backend::start(), Queue::open(&database.url(), "jobs").await.unwrap());
    queue.enqueue(&backend.destination(), &jobs(ids.iter().copied())).await.unwrap();
    (backend, queue, database.connect().await)
}
