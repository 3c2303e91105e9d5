//! From arguments to a queue in a database.

use std::env;

use jobwatch::{Dialect, JobRef};
use jobwatch_pgmq::{Destination, Error};
use jobwatch_reqwest::BuildError;

use crate::args::DatabaseArgs;
use crate::credentials::expand;
use crate::failure::Failure;
use crate::target::{self, origin_of_first_url};

/// The variable with the database's address, as other programs know it.
const VARIABLE: &str = "DATABASE_URL";

/// The database's address. It may hold a password and is never printed.
pub(crate) fn address(args: &DatabaseArgs) -> Result<String, Failure> {
    match (&args.database, env::var(VARIABLE)) {
        (Some(url), _) => expand(url, "--database"),
        (None, Ok(url)) if !url.trim().is_empty() => Ok(url.trim().to_owned()),
        _ => Err(Failure::usage(format_args!("say where the queue is: with --database URL or in {VARIABLE}"))),
    }
}

/// Whose jobs these are.
pub(crate) fn destination(
    dialect: &Dialect,
    base_url: Option<&String>,
    credential: &str,
    jobs: &[JobRef],
) -> Result<Destination, Failure> {
    let base_url = base_url.cloned().or_else(|| origin_of_first_url(jobs));
    let destination = Destination::new(dialect, base_url.as_deref(), credential);
    destination.map_err(|error| target::explain(&BuildError::Backend(error)))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Url(_) | Error::Name(_) | Error::NoQueue(_) => Self::usage(error),
            error => Self::local(error),
        }
    }
}
