//! Keeps the jobs that [`jobwatch`] waits for in a file, so that neither `kill -9` nor a power cut loses one.
//!
//! [`Sqlite`] is a [`Store`](jobwatch::store::Store) in one SQLite file. [`Journal`] writes into any store on a thread of
//! its own, and what comes while the disk is busy shares the next transaction, so that a loop that must not block never
//! does, and a thousand changes cost one sync.
//!
//! ```
//! use jobwatch::store::{BackendKey, Change, Kept, Standing, Store};
//! use jobwatch::{Backend, Dialect, JobRef};
//! use jobwatch_sqlite::Sqlite;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("jobs.state");
//! let backend = BackendKey::of(&Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000"))?);
//! let mut store = Sqlite::open(&path)?;
//! store.write(&backend, &[Change::Added(Kept::Job(JobRef::new("job-1")?))])?;
//! drop(store); // or the machine goes dark
//!
//! let mut store = Sqlite::open(&path)?;
//! store.unfinished(&backend, &mut |record| match record.standing {
//!     Standing::Open(kept) => println!("{} is to be waited for", kept.job()),
//!     Standing::Ended { finished, .. } => println!("{} was perhaps not told", finished.job),
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! What is written when, and what becomes of it after a crash, is told in [the guide](jobwatch::guide::nothing_lost).
//!
//! # The file
//!
//! One row for each job: its id, a revision, the snapshot or the end as versioned JSON, the dialect's digest. The owner
//! alone may read a new file (mode 0600 on Unix); no credential is ever in it, but results are, and addresses in them may
//! be signed. Ended jobs stay, to be told again when somebody asks for them by their ids.
//!
//! The journal mode is WAL, and a commit with a [lasting](jobwatch::store::Change::is_lasting) change is synced
//! (`synchronous=FULL`), so that it survives power loss once it has returned, as far as the disk tells the truth. A `FILE-wal` beside the file belongs to it. There is no index by due
//! time: the fleet owns time, and a restart reads the unfinished jobs and is done.
//!
//! [`Sqlite::open`] takes a lock that ends with the process. It refuses, and leaves untouched, what is no state file, is
//! damaged, or was written by a newer release; the version is SQLite's `user_version`, and an older file is brought up to
//! date in one transaction.

mod error;
mod file;
mod journal;
mod lock;
mod schema;
mod store;

pub use error::Error;
pub use journal::{Journal, JournalError};
pub use schema::VERSION;
pub use store::{Left, Sqlite};

/// The code of the package's page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
