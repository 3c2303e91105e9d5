//! The store in a file.

use std::fmt;
use std::path::{Path, PathBuf};

use jobwatch::store::{BackendKey, Change, Intent, Kept, Record, Standing, Store};
use jobwatch::{Finished, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::file;

/// A state file, open, and this process's alone.
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Commits are synced.
    syncs: bool,
}

/// Jobs of one backend, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The dialect's name.
    pub dialect: String,
    /// Where the backend is.
    pub base_url: String,
    /// Jobs that have not ended or whose outcome was not told, and creates of unknown end.
    pub jobs: u64,
}

impl Sqlite {
    /// Opens the file, or makes it where there is none.
    ///
    /// # Errors
    /// It is none of ours, damaged, newer or in use: nothing was changed. Or there is no way to read or make it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (connection, path) = file::open(path.as_ref())?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { connection, path, syncs: true })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is left to do, by backend, for those that have something.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn left(&self) -> Result<Vec<Left>, Error> {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare(
                "SELECT dialect, base_url, (SELECT count(*) FROM job WHERE backend = backend.number AND told = 0)
                    + (SELECT count(*) FROM intent WHERE backend = backend.number) AS jobs
                 FROM backend WHERE jobs > 0 ORDER BY number",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(Left { dialect: row.get(0)?, base_url: row.get(1)?, jobs: row.get::<_, i64>(2)?.cast_unsigned() })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read(&self.connection).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        Error::of_sqlite(&self.path, error)
    }

    fn number(&self, backend: &BackendKey) -> Result<Option<i64>, Error> {
        number_of(&self.connection, backend).map_err(|error| self.failed(error))
    }

    /// A row of [`COLUMNS`].
    fn record(&self, row: &Row<'_>) -> Result<Record, Error> {
        let failed = |error| self.failed(error);
        let id: String = row.get(0).map_err(failed)?;
        let text = |at| row.get_ref(at).and_then(|text| Ok(text.as_str_or_null()?)).map_err(failed);
        let standing = if let Some(ended) = text(4)? {
            let finished: Box<Finished> = self.read(&id, ended)?;
            Standing::Ended { finished, told: row.get(5).map_err(failed)? }
        } else {
            Standing::Open(self.read::<Kept>(&id, text(3)?.unwrap_or_default())?)
        };
        let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned).map_err(failed);
        Ok(Record { revision: number(1)?, digest: number(2)?, standing })
    }

    fn read<T: DeserializeOwned>(&self, id: &str, json: &str) -> Result<T, Error> {
        let read = serde_json::from_str(json);
        read.map_err(|error| Error::damaged(&self.path, format_args!("the row of job {id:?} cannot be read: {error}")))
    }
}

const COLUMNS: &str = "id, revision, digest, kept, ended, told";

impl Store for Sqlite {
    type Error = Error;

    fn write(&mut self, backend: &BackendKey, changes: &[Change]) -> Result<(), Error> {
        let lasting = changes.iter().any(Change::is_lasting);
        let syncs = &mut self.syncs;
        let mut write = |connection: &mut Connection| {
            if lasting != *syncs {
                // In WAL mode the next synced commit takes those before it along.
                connection.pragma_update(None, "synchronous", if lasting { "FULL" } else { "NORMAL" })?;
                *syncs = lasting;
            }
            let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
            let number = if let Some(number) = number_of(&transaction, backend)? {
                number
            } else {
                let new = "INSERT INTO backend (dialect, base_url) VALUES (?1, ?2)";
                transaction.execute(new, params![backend.dialect, backend.base_url])?;
                transaction.last_insert_rowid()
            };
            let digest = backend.digest.cast_signed();
            for change in changes {
                apply(&transaction, number, digest, change)?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(|error| Error::of_sqlite(&self.path, error))
    }

    fn unfinished(&mut self, backend: &BackendKey, take: &mut dyn FnMut(Record)) -> Result<(), Error> {
        let failed = |error| self.failed(error);
        let Some(number) = self.number(backend)? else { return Ok(()) };
        let left = format!("SELECT {COLUMNS} FROM job WHERE backend = ?1 AND told = 0 ORDER BY number");
        let mut statement = self.connection.prepare_cached(&left).map_err(failed)?;
        let mut rows = statement.query([number]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            take(self.record(row)?);
        }
        Ok(())
    }

    fn find(&mut self, backend: &BackendKey, id: &str) -> Result<Option<Record>, Error> {
        let failed = |error| self.failed(error);
        let Some(number) = self.number(backend)? else { return Ok(None) };
        let one = format!("SELECT {COLUMNS} FROM job WHERE backend = ?1 AND id = ?2");
        let mut statement = self.connection.prepare_cached(&one).map_err(failed)?;
        let mut rows = statement.query(params![number, id]).map_err(failed)?;
        rows.next().map_err(failed)?.map(|row| self.record(row)).transpose()
    }

    fn intents(&mut self, backend: &BackendKey) -> Result<Vec<Intent>, Error> {
        let Some(number) = self.number(backend)? else { return Ok(Vec::new()) };
        let read = |connection: &Connection| {
            let intents = "SELECT id, key, body, at FROM intent WHERE backend = ?1 ORDER BY number";
            let mut statement = connection.prepare_cached(intents)?;
            let rows = statement.query_map([number], |row| {
                let at = Timestamp::from_nanos(row.get::<_, i64>(3)?.cast_unsigned());
                Ok(Intent::stored(row.get(0)?, row.get(1)?, row.get(2)?, at))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read(&self.connection).map_err(|error| self.failed(error))
    }
}

fn number_of(connection: &Connection, backend: &BackendKey) -> rusqlite::Result<Option<i64>> {
    let find = "SELECT number FROM backend WHERE dialect = ?1 AND base_url = ?2";
    let mut statement = connection.prepare_cached(find)?;
    statement.query_row(params![backend.dialect, backend.base_url], |row| row.get(0)).optional()
}

/// Writes one change in a transaction.
fn apply(connection: &Connection, backend: i64, digest: i64, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Intended(intent) => {
            let new =
                "INSERT INTO intent (backend, id, key, body, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            let at = intent.at().as_nanos().cast_signed();
            let row = params![backend, intent.id(), intent.key(), intent.body(), at];
            connection.prepare_cached(new)?.execute(row)?;
        }
        Change::Settled { intent, jobs } => {
            let over = "DELETE FROM intent WHERE backend = ?1 AND id = ?2";
            connection.prepare_cached(over)?.execute(params![backend, intent])?;
            for job in jobs {
                add(connection, backend, digest, &Kept::Job(job.clone()))?;
            }
        }
        Change::Added(kept) => add(connection, backend, digest, kept)?,
        Change::Moved(snapshot) => {
            let (id, kept) = (snapshot.job().id(), json(&Kept::Wait(snapshot.clone()))?);
            let moved = "UPDATE job SET revision = revision + 1, digest = ?3, kept = ?4
                         WHERE backend = ?1 AND id = ?2 AND ended IS NULL";
            connection.prepare_cached(moved)?.execute(params![backend, id, digest, kept])?;
        }
        Change::Ended(finished) if !finished.outcome.is_jobs_end() => {}
        Change::Ended(finished) => {
            let (id, ended) = (finished.job.id(), json(finished)?);
            let first = "INSERT INTO job (backend, id, revision, digest, ended) VALUES (?1, ?2, 1, ?3, ?4)
                         ON CONFLICT DO UPDATE SET revision = revision + 1, digest = excluded.digest, kept = NULL,
                         ended = excluded.ended WHERE ended IS NULL";
            connection.prepare_cached(first)?.execute(params![backend, id, digest, ended])?;
        }
        Change::Told(id) => {
            let told = "UPDATE job SET revision = revision + 1, told = 1
                        WHERE backend = ?1 AND id = ?2 AND ended IS NOT NULL AND told = 0";
            connection.prepare_cached(told)?.execute(params![backend, id])?;
        }
    }
    Ok(())
}

fn add(connection: &Connection, backend: i64, digest: i64, kept: &Kept) -> rusqlite::Result<()> {
    let new = "INSERT INTO job (backend, id, revision, digest, kept) VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT DO NOTHING";
    connection.prepare_cached(new)?.execute(params![backend, kept.job().id(), digest, json(kept)?])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jobwatch::{Backend, Dialect, JobRef};

    use super::*;

    #[test]
    fn what_has_to_last_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000")).unwrap();
        let key = BackendKey::of(&backend);
        let mut store = Sqlite::open(directory.path().join("jobs.state")).unwrap();
        let pragma = |store: &Sqlite, name: &str| -> String {
            let value = store.connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
            format!("{:?}", value.unwrap())
        };
        let [full, normal] = ["Integer(2)", "Integer(1)"];
        assert_eq!(pragma(&store, "synchronous"), full);
        let added = |id: &str| Change::Added(Kept::Job(JobRef::new(id).unwrap()));
        let told = || Change::Told("a".to_owned());
        let rows = [
            (vec![added("a")], full),
            (vec![told()], normal),
            (vec![told(), told()], normal),
            (vec![told(), added("b")], full),
        ];
        for (changes, expected) in rows {
            store.write(&key, &changes).unwrap();
            assert_eq!(pragma(&store, "synchronous"), expected, "{changes:?}");
        }
        assert_eq!(pragma(&store, "journal_mode"), "Text(\"wal\")");
        assert_eq!(pragma(&store, "locking_mode"), "Text(\"exclusive\")");
    }
}
