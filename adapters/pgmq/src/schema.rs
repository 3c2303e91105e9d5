//! What has to be in a database before it is a queue, and how it gets there.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use crate::Error;

/// The version of `jobwatch.sql` that this release works with.
const VERSION: i32 = 1;

const PGMQ: &str = include_str!("../sql/pgmq.sql");
const JOBWATCH: &str = include_str!("../sql/jobwatch.sql");

/// Makes what is missing: pgmq's functions, unless the database has them, ours, and the queue.
pub(crate) async fn prepare(connection: &mut PgConnection, queue: &str) -> Result<(), Error> {
    // Two programs that start together make it once.
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('jobwatch.schema'))").execute(&mut *transaction).await?;
    if !has_pgmq(&mut transaction).await? {
        if exists(&mut transaction, "SELECT to_regnamespace('pgmq') IS NOT NULL").await? {
            return Err(Error::Refused(
                "its pgmq is older than 1.5 and cannot read by condition; update it with ALTER EXTENSION pgmq UPDATE"
                    .to_owned(),
            ));
        }
        transaction.execute(PGMQ).await?;
    }
    if !is_prepared(&mut transaction).await? {
        transaction.execute(JOBWATCH).await?;
    }
    sqlx::query("SELECT jobwatch.create_queue($1)").bind(queue).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether everything is there. Changes nothing.
pub(crate) async fn is_complete(connection: &mut PgConnection, queue: &str) -> Result<bool, Error> {
    if !has_pgmq(connection).await? || !is_prepared(connection).await? {
        return Ok(false);
    }
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pgmq.meta WHERE queue_name = $1)").bind(queue);
    Ok(found.fetch_one(connection).await?)
}

async fn has_pgmq(connection: &mut PgConnection) -> Result<bool, Error> {
    exists(connection, "SELECT to_regprocedure('pgmq.read(text,integer,integer,jsonb)') IS NOT NULL").await
}

async fn is_prepared(connection: &mut PgConnection) -> Result<bool, Error> {
    if !exists(connection, "SELECT to_regclass('jobwatch.version') IS NOT NULL").await? {
        return Ok(false);
    }
    match sqlx::query_scalar::<_, i32>("SELECT version FROM jobwatch.version").fetch_one(connection).await? {
        VERSION => Ok(true),
        other => Err(Error::Refused(format!(
            "its schema jobwatch has version {other}, and this release works with version {VERSION}; use the release that \
             made it"
        ))),
    }
}

async fn exists(connection: &mut PgConnection, question: &'static str) -> Result<bool, Error> {
    Ok(sqlx::query_scalar(question).fetch_one(connection).await?)
}
