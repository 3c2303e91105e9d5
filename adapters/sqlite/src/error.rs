//! Why a state file cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a state file was refused, could not be read or not be written. Names the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It is something else: not a file, no SQLite file, or one of another program. It was not touched.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It was written by a newer release, which alone can read it. It was not touched.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// It is a state file, and damaged: cut off, overwritten. It was not touched.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another program works with it.
    InUse {
        /// The file.
        path: PathBuf,
        /// Which, where the system tells.
        process: Option<u32>,
    },
    /// The system does not let us: no such directory, no permission, a full disk.
    Io {
        /// The file.
        path: PathBuf,
        /// In the system's words.
        error: io::Error,
    },
    /// SQLite could not do its work: a full disk, a disk that fails.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// In its words.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether the file is to blame, and not the machine: trying again with the same one is of no use.
    pub fn is_wrong_file(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Newer { .. } | Self::Damaged { .. })
    }

    pub(crate) fn foreign(path: &Path, what: &'static str) -> Self {
        Self::Foreign { path: path.to_owned(), what }
    }

    pub(crate) fn damaged(path: &Path, what: impl fmt::Display) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }

    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    pub(crate) fn read_only(path: &Path) -> Self {
        let words = "it and its directory have to be writable";
        Self::io(path, io::Error::new(io::ErrorKind::PermissionDenied, words))
    }

    /// What SQLite says, by blame.
    pub(crate) fn of_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase, ReadOnly};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::damaged(path, error),
            Some(DatabaseBusy | DatabaseLocked) => {
                Self::InUse { path: path.to_owned(), process: crate::lock::holder(path) }
            }
            Some(ReadOnly | CannotOpen) => Self::read_only(path),
            _ => Self::Sqlite { path: path.to_owned(), error: Box::new(error) },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { path, what } => {
                write!(f, "{} is no state file of jobwatch: it {what}; name another file", path.display())
            }
            Self::Newer { path, version } => {
                let (path, known) = (path.display(), crate::VERSION);
                write!(
                    f,
                    "the state file {path} has version {version}, and this release knows versions up to {known}; use"
                )?;
                f.write_str(" the release that wrote it, or a newer one")
            }
            Self::Damaged { path, what } => {
                let path = path.display();
                write!(f, "the state file {path} is damaged: {what}; restore it, or name another file and give the ids")
            }
            Self::InUse { path, process: Some(process) } => {
                write!(f, "the state file {} is in use by another program, process {process}", path.display())
            }
            Self::InUse { path, process: None } => {
                write!(f, "the state file {} is in use by another program", path.display())
            }
            Self::Io { path, error } => write!(f, "cannot use the state file {}: {error}", path.display()),
            Self::Sqlite { path, error } => write!(f, "cannot use the state file {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Sqlite { error, .. } => Some(&**error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_sqlite_says_is_told_by_blame() {
        let told = |code| {
            let error =
                Error::of_sqlite(Path::new("jobs.state"), rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            (error.is_wrong_file(), error.to_string())
        };
        for (code, is_wrong_file, words) in [
            (ffi::SQLITE_CORRUPT, true, "damaged"),
            (ffi::SQLITE_NOTADB, true, "damaged"),
            (ffi::SQLITE_BUSY, false, "in use"),
            (ffi::SQLITE_READONLY, false, "writable"),
            (ffi::SQLITE_CANTOPEN, false, "writable"),
            (ffi::SQLITE_FULL, false, "full"),
            (ffi::SQLITE_IOERR_WRITE, false, "I/O"),
        ] {
            let told = told(code);
            assert!(told.0 == is_wrong_file && told.1.contains(words) && told.1.contains("jobs.state"), "{told:?}");
        }
    }
}
