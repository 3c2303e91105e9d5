//! A queue: what can be done with it, each in one statement or one transaction.

mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobwatch::{Finished, JobRef, JobSnapshot, RateLimit, Timestamp};
use serde_json::Value;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgRow};
use sqlx::{Connection, PgPool, Postgres, Row};

use crate::message::{self, Destination, storable};
use crate::{Error, schema};
pub(crate) use words::Wanted;
pub use words::{Adopted, Claim, Enqueued, Grant};

/// A request of the database that is not answered by then is taken for lost, and its connection is given up.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);

/// So long the first connection is waited for.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// So long the others, in which time the server is tried again and again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Adopting, extending, recording and granting go on at the same time; one more listens.
const CONNECTIONS: u32 = 6;

/// PostgreSQL cuts names at 63 bytes, and pgmq puts up to 16 before it.
const LONGEST_NAME: usize = 47;

/// A queue of jobs in a PostgreSQL database. Cloning it is cheap and shares its connections.
///
/// Every change of a message is guarded by the epoch of its ownership: what an expired owner asks for does not happen.
/// No transaction outlasts one call.
#[derive(Clone)]
pub struct Queue {
    pool: PgPool,
    name: Arc<str>,
}

impl Queue {
    /// Opens a queue, and makes it first where there is none: pgmq's functions where the database lacks them, the schema
    /// `jobwatch`, and the queue itself.
    ///
    /// # Errors
    /// What is wrong with the address or the name, or what the database says.
    pub async fn open(url: &str, name: &str) -> Result<Self, Error> {
        let (queue, mut connection) = Self::connect(url, name).await?;
        within(schema::prepare(&mut connection, name)).await?;
        let _ = connection.close().await;
        Ok(queue)
    }

    /// Opens a queue that is there, and changes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::NoQueue`].
    pub async fn find(url: &str, name: &str) -> Result<Self, Error> {
        let (queue, mut connection) = Self::connect(url, name).await?;
        let found = within(schema::is_complete(&mut connection, name)).await?;
        let _ = connection.close().await;
        if found { Ok(queue) } else { Err(Error::NoQueue(name.to_owned())) }
    }

    async fn connect(url: &str, name: &str) -> Result<(Self, PgConnection), Error> {
        let first = name.chars().next().is_some_and(|first| first.is_ascii_lowercase());
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !first || !name.chars().all(fits) || name.len() > LONGEST_NAME {
            return Err(Error::Name(name.to_owned()));
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Error::Url("it begins with another scheme".to_owned()));
        }
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| Error::Url(error.to_string()))?;
        let options = options.application_name(&format!("jobwatch {name}"));
        // Not from the pool: what is wrong is told at once, and as it is.
        let connection = tokio::time::timeout(LONGEST_CONNECT, PgConnection::connect_with(&options)).await;
        let connection = connection.map_err(|_| Error::Outage("it does not answer".to_owned()))??;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(LONGEST_WAIT);
        Ok((Self { pool: pool.connect_lazy_with(options), name: name.into() }, connection))
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends jobs, those once that are given twice, and tells what became of each, in their order. Doing so again is
    /// harmless.
    ///
    /// # Errors
    /// What the database says; then none of these jobs has been sent, or, after an outage, all may have been.
    pub async fn enqueue(&self, to: &Destination, jobs: &[JobRef]) -> Result<Vec<Enqueued>, Error> {
        let messages: Vec<String> = jobs.iter().map(|job| to.message(job)).collect();
        let query = sqlx::query("SELECT standing FROM jobwatch.enqueue($1, $2::text[]::jsonb[]) ORDER BY place");
        let mut connection = self.connection().await?;
        let rows = within_sql(query.bind(&*self.name).bind(messages).fetch_all(&mut *connection)).await;
        settle(connection, rows)?.iter().map(enqueued).collect()
    }

    /// Takes ownership of at most so many jobs that nobody owns, for this time, of which whole seconds count.
    ///
    /// # Errors
    /// What the database says; after an outage some may be owned whose claims nobody knows, until the time is over.
    pub async fn adopt(
        &self,
        from: &Destination,
        worker: &str,
        time: Duration,
        most: u32,
    ) -> Result<Vec<Adopted>, Error> {
        let query =
            sqlx::query("SELECT id, epoch, message, tries FROM jobwatch.adopt($1, $2, $3, $4, $5::text::jsonb)");
        let query = query.bind(&*self.name).bind(worker).bind(whole_seconds(time)).bind(int(most));
        let mut connection = self.connection().await?;
        let rows = within_sql(query.bind(from.filter().to_string()).fetch_all(&mut *connection)).await;
        settle(connection, rows)?.iter().map(adopted).collect()
    }

    /// Owns messages for this time from now on. Tells which are still owned; the others have been adopted by others.
    ///
    /// # Errors
    /// What the database says.
    pub async fn extend(&self, claims: &[Claim], time: Duration) -> Result<Vec<i64>, Error> {
        let (ids, epochs) = columns(claims);
        let query = sqlx::query_scalar("SELECT * FROM jobwatch.extend($1, $2, $3, $4)");
        let query = query.bind(&*self.name).bind(ids).bind(epochs).bind(time.as_secs_f64());
        let mut connection = self.connection().await?;
        let kept = within_sql(query.fetch_all(&mut *connection)).await;
        settle(connection, kept)
    }

    /// Looks at these jobs have come to an end, so that nothing is held against them; where there is a snapshot, the
    /// message is rewritten with it. Tells which are still owned.
    ///
    /// # Errors
    /// What the database says.
    pub async fn progress(&self, worker: &str, news: &[(Claim, Option<JobSnapshot>)]) -> Result<Vec<i64>, Error> {
        self.rewrite("SELECT * FROM jobwatch.progress($1, $2, $3, $4, $5)", worker, news).await
    }

    /// Hands jobs back, which can be adopted at once; where there is a snapshot, the message is rewritten with it.
    /// Tells which were still owned.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release(&self, worker: &str, jobs: &[(Claim, Option<JobSnapshot>)]) -> Result<Vec<i64>, Error> {
        self.rewrite("SELECT * FROM jobwatch.release($1, $2, $3, $4, $5)", worker, jobs).await
    }

    async fn rewrite(
        &self,
        statement: &'static str,
        worker: &str,
        jobs: &[(Claim, Option<JobSnapshot>)],
    ) -> Result<Vec<i64>, Error> {
        let (ids, epochs) = columns(jobs.iter().map(|(claim, _)| claim));
        let snapshots: Vec<_> = jobs.iter().map(|(_, snapshot)| snapshot.as_ref().and_then(message::written)).collect();
        let query = sqlx::query_scalar(statement).bind(&*self.name).bind(worker);
        let mut connection = self.connection().await?;
        let kept = within_sql(query.bind(ids).bind(epochs).bind(snapshots).fetch_all(&mut *connection)).await;
        settle(connection, kept)
    }

    /// Records how waits have ended and deletes their messages, in one transaction. Tells which are recorded; the others
    /// had been adopted by others, to whom their ends belong. Doing so again after an outage is harmless.
    ///
    /// # Errors
    /// What the database says; then none of them is recorded, or, after an outage, all may be.
    pub async fn finish<'f>(
        &self,
        worker: &str,
        ends: impl IntoIterator<Item = (Claim, &'f Finished)>,
    ) -> Result<Vec<i64>, Error> {
        let (claims, ends): (Vec<Claim>, Vec<&Finished>) = ends.into_iter().unzip();
        let (ids, epochs) = columns(&claims);
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let query = sqlx::query_scalar(
            "SELECT * FROM jobwatch.finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        );
        let query = query.bind(&*self.name).bind(storable(worker)).bind(ids).bind(epochs);
        let query = query.bind(each(&ends, |end| end.outcome.as_str()));
        let query = query.bind(each(&ends, reason));
        let query = query.bind(each(&ends, |end| end.state.as_deref().map(storable)));
        let query = query.bind(each(&ends, |end| end.result.as_ref().map(Value::to_string)));
        let query = query.bind(each(&ends, |end| end.error.as_deref().map(storable)));
        let query = query.bind(each(&ends, |end| i64::from(end.requests)));
        let query = query.bind(each(&ends, |end| i64::from(end.failed_requests)));
        let query = query.bind(each(&ends, |end| end.elapsed.as_secs_f64()));
        let query = query.bind(each(&ends, |end| seconds(end.detection_delay)));
        let query = query.bind(each(&ends, |end| seconds(end.detection_delay_max)));
        let mut connection = self.connection().await?;
        let recorded = within_sql(query.fetch_all(&mut *connection)).await;
        settle(connection, recorded)
    }

    /// Takes messages out of the queue that nobody should try again, each with the reason: into pgmq's archive. The job,
    /// where one can be named, ends as `gave_up`, and can be enqueued again. Tells which were still owned.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_aside(&self, worker: &str, messages: &[(Claim, String)]) -> Result<Vec<i64>, Error> {
        let (ids, epochs) = columns(messages.iter().map(|(claim, _)| claim));
        let reasons: Vec<String> = messages.iter().map(|(_, reason)| storable(reason)).collect();
        let query = sqlx::query_scalar("SELECT * FROM jobwatch.set_aside($1, $2, $3, $4, $5)");
        let query = query.bind(&*self.name).bind(worker).bind(ids).bind(epochs).bind(reasons);
        let mut connection = self.connection().await?;
        let gone = within_sql(query.fetch_all(&mut *connection)).await;
        settle(connection, gone)
    }

    /// Asks for requests of this destination's rate, which all workers share that ask its origin with its credential.
    ///
    /// # Errors
    /// What the database says; then nothing is granted.
    pub(crate) async fn grant(
        &self,
        of: &Destination,
        rate: RateLimit,
        worker: &str,
        wanted: Wanted,
    ) -> Result<Grant, Error> {
        let query = sqlx::query("SELECT granted, wait_s FROM jobwatch.grant_requests($1, $2, $3, $4, $5, $6, $7)");
        let query = query.bind(of.lane()).bind(1.0 / rate.interval().as_secs_f64()).bind(int(wanted.requests));
        let query = query.bind(&*self.name).bind(worker).bind(wanted.started).bind(i32::from(wanted.each));
        let mut connection = self.connection().await?;
        let row = within_sql(query.fetch_one(&mut *connection)).await;
        let row = settle(connection, row)?;
        let requests = u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or_default();
        Ok(Grant { requests, wait: Duration::try_from_secs_f64(row.try_get(1)?).unwrap_or_default() })
    }

    /// Asks for requests as a worker does that has this many to send.
    ///
    /// # Errors
    /// What the database says; then nothing is granted.
    pub async fn ask_for(
        &self,
        of: &Destination,
        rate: RateLimit,
        worker: &str,
        requests: u32,
    ) -> Result<Grant, Error> {
        self.grant(of, rate, worker, Wanted { requests, started: Vec::new(), each: 1 }).await
    }

    /// Tells that a worker is at work, with how many jobs, and how many ends it has recorded.
    ///
    /// # Errors
    /// What the database says.
    pub async fn beat(&self, of: &Destination, worker: &str, jobs: usize, recorded: u64) -> Result<(), Error> {
        let query =
            sqlx::query("SELECT jobwatch.beat($1, $2, $3, $4, $5)").bind(worker).bind(&*self.name).bind(of.lane());
        let query =
            query.bind(i64::try_from(jobs).unwrap_or(i64::MAX)).bind(i64::try_from(recorded).unwrap_or(i64::MAX));
        let mut connection = self.connection().await?;
        let done = within_sql(query.execute(&mut *connection)).await;
        settle(connection, done).map(drop)
    }

    /// A worker has left in good order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn leave(&self, worker: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM jobwatch.workers WHERE worker = $1").bind(worker);
        let mut connection = self.connection().await?;
        let done = within_sql(query.execute(&mut *connection)).await;
        settle(connection, done).map(drop)
    }

    /// How many jobs for this destination are in the queue, owned or not.
    ///
    /// # Errors
    /// What the database says.
    pub async fn remaining(&self, to: &Destination) -> Result<u64, Error> {
        let query = sqlx::query_scalar::<_, i64>("SELECT jobwatch.remaining($1, $2::text::jsonb)");
        let query = query.bind(&*self.name).bind(to.filter().to_string());
        let mut connection = self.connection().await?;
        let count = within_sql(query.fetch_one(&mut *connection)).await;
        settle(connection, count).map(|count| u64::try_from(count).unwrap_or_default())
    }

    /// The present instant on the database's clock, by which all workers go.
    ///
    /// # Errors
    /// What the database says.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        let query = sqlx::query_scalar::<_, i64>("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
        let mut connection = self.connection().await?;
        let micros = within_sql(query.fetch_one(&mut *connection)).await;
        let micros = u64::try_from(settle(connection, micros)?).unwrap_or_default();
        Ok(Timestamp::from_nanos(micros.saturating_mul(1_000)))
    }

    /// Hears of jobs that can be adopted.
    pub(crate) async fn listen(&self) -> Result<PgListener, Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(&format!("jobwatch.{}", self.name)).await?;
        Ok(listener)
    }

    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        match self.pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) => Err(Error::Outage("no connection could be had".to_owned())),
            connection => Ok(connection?),
        }
    }
}

impl fmt::Debug for Queue {
    /// Leaves out the database's address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let done = tokio::time::timeout(LONGEST_REQUEST, work).await;
    done.unwrap_or_else(|_| Err(Error::Outage("it does not answer".to_owned())))
}

/// What came of a statement; `None` where no answer came in time.
pub(crate) async fn within_sql<T>(work: impl Future<Output = sqlx::Result<T>>) -> Option<sqlx::Result<T>> {
    tokio::time::timeout(LONGEST_REQUEST, work).await.ok()
}

/// Gives a connection back, unless an answer may still come on it.
pub(crate) fn settle<T>(connection: PoolConnection<Postgres>, done: Option<sqlx::Result<T>>) -> Result<T, Error> {
    let Some(done) = done else {
        drop(connection.detach());
        return Err(Error::Outage("it does not answer".to_owned()));
    };
    Ok(done?)
}

fn enqueued(row: &PgRow) -> Result<Enqueued, Error> {
    Ok(match row.try_get::<String, _>(0)?.as_str() {
        "queued" => Enqueued::Queued,
        "waiting" => Enqueued::Waiting,
        ended => Enqueued::Ended(ended.to_owned()),
    })
}

fn adopted(row: &PgRow) -> Result<Adopted, Error> {
    let claim = Claim { id: row.try_get(0)?, epoch: row.try_get(1)? };
    let job = message::read(&row.try_get::<String, _>(2)?);
    Ok(Adopted { claim, job, tries: u32::try_from(row.try_get::<i32, _>(3)?).unwrap_or_default() })
}

/// A column of what is recorded.
fn each<T>(ends: &[&Finished], what: impl Fn(&Finished) -> T) -> Vec<T> {
    ends.iter().map(|end| what(end)).collect()
}

/// The rule that ended a wait, as a word.
fn reason(end: &Finished) -> String {
    match serde_json::to_value(end.reason) {
        Ok(Value::String(word)) => word,
        _ => end.reason.to_string(),
    }
}

fn columns<'c>(claims: impl IntoIterator<Item = &'c Claim>) -> (Vec<i64>, Vec<i32>) {
    claims.into_iter().map(|claim| (claim.id, claim.epoch)).unzip()
}

fn whole_seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX).max(1)
}

fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
