//! What can go wrong with a queue, divided by what helps.

use std::fmt;

/// Why a queue could not be opened or used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The database's address is no URL of PostgreSQL. It may hold a password and is not repeated.
    Url(String),
    /// The queue's name has other characters than small letters, digits and underscores, none at all, or more than 47.
    Name(String),
    /// There is no such queue in this database. Enqueuing a job makes it, and so does starting a worker.
    NoQueue(String),
    /// The database cannot be reached, is starting or stopping, or does not answer. It may come back, and nothing is
    /// known of the last request.
    Outage(String),
    /// One of the values cannot be stored.
    Value(String),
    /// The database refuses for good: credentials, permissions, a schema of another version.
    Refused(String),
}

impl Error {
    /// Whether trying again may help.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(problem) => write!(
                f,
                "the database's address is no URL as in postgres://user@host/database: {problem}; write what is special in \
                 a password in percent"
            ),
            Self::Name(name) => write!(
                f,
                "{name:?} is no name of a queue: use small letters, digits and underscores, at most 47, a letter first"
            ),
            Self::NoQueue(name) => {
                write!(f, "there is no queue {name:?} in this database; `jobwatch enqueue` makes one")
            }
            Self::Outage(problem) => write!(f, "the database cannot be used now: {problem}"),
            Self::Value(problem) => write!(f, "the database does not take a value: {problem}"),
            Self::Refused(problem) => write!(f, "the database refuses: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

/// Classes of SQLSTATE that pass: connections, lost transactions, resources, interventions, the system around it.
const PASSING: [&str; 5] = ["08", "40", "53", "57", "58"];

/// Classes that say that a value is to blame: data, limits.
const VALUES: [&str; 2] = ["22", "54"];

/// For this crate alone: which `sqlx` is behind it is nobody else's business.
#[doc(hidden)]
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let told = error.to_string();
        match &error {
            sqlx::Error::Database(database) => {
                let (told, code) = (database.message().to_owned(), database.code().unwrap_or_default());
                let is_of = |classes: &[&str]| classes.iter().any(|class| code.starts_with(class));
                match &*code {
                    // A lock that took too long, or a server that has become a standby.
                    "55P03" | "25006" => Self::Outage(told),
                    "42501" => Self::Refused(format!(
                        "{told}; it takes the right to create schemas the first time, and afterwards the use of the \
                         schemas pgmq and jobwatch"
                    )),
                    _ if is_of(&PASSING) => Self::Outage(told),
                    _ if is_of(&VALUES) => Self::Value(told),
                    _ => Self::Refused(format!("{told} (SQLSTATE {code})")),
                }
            }
            sqlx::Error::Configuration(_) => Self::Url(told),
            sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Self::Value(told),
            sqlx::Error::Tls(_) => Self::Refused(told),
            _ => Self::Outage(told),
        }
    }
}
