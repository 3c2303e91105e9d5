//! What is in the file, by version.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The version of the file that this release writes, and the newest that it reads.
pub const VERSION: i64 = 1;

/// SQLite's `application_id`: "jobw".
pub(crate) const APPLICATION: u32 = 0x6a6f_6277;

/// What brings a file of each version to the next, from version 0, which is empty. A step is never changed once it was
/// released.
pub(crate) const STEPS: [&str; 1] = ["
    CREATE TABLE backend (
        number INTEGER PRIMARY KEY,
        dialect TEXT NOT NULL,
        base_url TEXT NOT NULL,
        UNIQUE (dialect, base_url)
    ) STRICT;
    -- `number` is the order in which jobs came. A job has either a `kept` or an `ended`, both JSON.
    CREATE TABLE job (
        number INTEGER PRIMARY KEY,
        backend INTEGER NOT NULL REFERENCES backend,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        digest INTEGER NOT NULL,
        kept TEXT,
        ended TEXT,
        told INTEGER NOT NULL DEFAULT 0,
        UNIQUE (backend, id),
        CHECK ((kept IS NULL) <> (ended IS NULL))
    ) STRICT;
    -- What a restart reads, however many have ended.
    CREATE INDEX job_left ON job (backend, number) WHERE told = 0;
    CREATE TABLE intent (
        number INTEGER PRIMARY KEY,
        backend INTEGER NOT NULL REFERENCES backend,
        id TEXT NOT NULL UNIQUE,
        key TEXT,
        body BLOB NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
"];

pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file to the version after the last of these steps: wholly, or not at all.
pub(crate) fn bring_up_to_date(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let from = usize::try_from(version(connection)?).unwrap_or(steps.len());
    let Some(steps_left) = steps.get(from..).filter(|left| !left.is_empty()) else { return Ok(()) };
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    for step in steps_left {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: [&str; 3] = [
        STEPS[0],
        "ALTER TABLE job ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",
        "CREATE TABLE remark (job INTEGER NOT NULL); INSERT INTO remark SELECT number FROM job",
    ];

    fn with_a_job() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        bring_up_to_date(&mut connection, &STEPS).unwrap();
        assert_eq!(version(&connection).unwrap(), VERSION);
        let job = "INSERT INTO backend VALUES (1, 'd', 'u'); INSERT INTO job VALUES (7, 1, 'j', 1, 2, '{}', NULL, 0)";
        connection.execute_batch(job).unwrap();
        connection
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_with_its_jobs() {
        let mut connection = with_a_job();
        bring_up_to_date(&mut connection, &LATER).unwrap();
        assert_eq!(version(&connection).unwrap(), 3);
        let read = "SELECT id || note || (SELECT count(*) FROM remark) FROM job";
        assert_eq!(connection.query_row(read, [], |row| row.get::<_, String>(0)).unwrap(), "jnone1");
        // Once is enough.
        bring_up_to_date(&mut connection, &LATER).unwrap();
        assert_eq!(version(&connection).unwrap(), 3);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = with_a_job();
        let broken = [LATER[0], LATER[1], "INSERT INTO nowhere VALUES (1)"];
        bring_up_to_date(&mut connection, &broken).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(connection.prepare("SELECT note FROM job").is_err(), "half of it was done");
        bring_up_to_date(&mut connection, &LATER).unwrap();
    }
}
