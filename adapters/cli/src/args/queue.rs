//! The flags of the commands that use a queue.
#![allow(clippy::doc_markdown)] // the doc comments are the program's help, which is no Markdown

use std::time::Duration;

use clap::Args;

use super::policy::parse_duration;
use super::{BackendArgs, PolicyArgs, api_help};

/// Which queue, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Queue")]
pub(crate) struct DatabaseArgs {
    /// The PostgreSQL database of the queue, as in postgres://user@host/database; `${env:NAME}` in it stands for an
    /// environment variable, so that no list of processes shows a password [default: what DATABASE_URL says]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// The queue's name: small letters, digits and underscores
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: String,
}

#[derive(Debug, Args)]
pub(crate) struct EnqueueArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Ids or poll URLs of jobs; - reads them from standard input, one a line, and enqueues them as they come
    #[arg(value_name = "ID|URL", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) destination: DestinationArgs,
}

/// Whose jobs they are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Backend")]
pub(crate) struct DestinationArgs {
    #[arg(long, value_name = "NAME|FILE.toml", help = api_help())]
    pub(crate) api: String,
    /// Where the backend is, as its workers say it [default: the dialect's own address, where it has one, or that of the
    /// first job that is given by its URL]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    #[command(flatten)]
    pub(crate) credential: CredentialArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// The name of the credential with which the jobs are asked for, and never its value: workers adopt the jobs whose
    /// credential has the same name as theirs, and share a rate with those
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) credential: String,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // flags are
pub(crate) struct WorkerArgs {
    /// A job whose worker has died is adopted by another one within this time; each job costs a write in every third of it
    #[arg(long, value_name = "DURATION", value_parser = parse_lease, default_value = "60s")]
    pub(crate) lease: Duration,
    /// The most jobs at once
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_jobs: u32,
    /// The name under which `jobwatch queue` shows it [default: the machine's, with two numbers]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// End when the jobs that can be adopted at the start have ended
    #[arg(long)]
    pub(crate) once: bool,
    /// End when no job for this backend is in the queue any more, not even with another worker
    #[arg(long, conflicts_with = "once")]
    pub(crate) drain: bool,
    /// The most requests in flight at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// Print one JSON object a line, and a summary at the end
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing on standard error but what went wrong
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) credential: CredentialArgs,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text)?;
    let shortest = jobwatch_pgmq::SHORTEST_LEASE;
    if lease < shortest {
        return Err(format!("a lease is at least {}", humantime::format_duration(shortest)));
    }
    Ok(lease)
}
