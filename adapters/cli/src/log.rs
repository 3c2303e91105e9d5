//! The log on standard error, for `-v` and `JOBWATCH_LOG`.

use std::env;
use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::failure::Failure;

/// Starts the log that was asked for; tells whether there is one.
pub(crate) fn start(verbose: u8) -> Result<bool, Failure> {
    let asked = env::var("JOBWATCH_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let filter = match (verbose, asked) {
        (0, None) => return Ok(false),
        (0, Some(filter)) => filter,
        (1, _) => "jobwatch_reqwest=debug,jobwatch_pgmq=debug".to_owned(),
        (_, _) => "debug".to_owned(),
    };
    let targets: Targets = filter.parse().map_err(|error| {
        Failure::usage(format_args!("JOBWATCH_LOG={filter}: {error}; write it as in jobwatch_reqwest=debug"))
    })?;
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(false);
    registry().with(targets).with(layer).init();
    Ok(true)
}
