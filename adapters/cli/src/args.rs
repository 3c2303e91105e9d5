//! The command line. Its doc comments are the program's help, which is no Markdown.
#![allow(clippy::doc_markdown)]

mod compare;
mod plan;
mod policy;
mod queue;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use jobwatch::{Dialect, RateLimit};
use jobwatch_simulator::{Api, Durations, Faults};

pub(crate) use compare::CompareArgs;
pub(crate) use plan::PlanArgs;
pub(crate) use policy::PolicyArgs;
use policy::parse_duration;
pub(crate) use queue::{DatabaseArgs, EnqueueArgs, QueueArgs, WorkerArgs};

/// Waits for long-running jobs on remote backends, with as few requests and as little delay as can be had.
#[derive(Debug, Parser)]
#[command(name = "jobwatch", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log each request on standard error; twice, in more detail. JOBWATCH_LOG=jobwatch_reqwest=debug does the same
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

const EXAMPLES: &str = "\
See it work:
  jobwatch demo

Or in two terminals:
  jobwatch simulate --speed 10
  jobwatch submit --api tracker --base-url http://127.0.0.1:5000 --count 60 |
    jobwatch wait --api tracker --base-url http://127.0.0.1:5000 -

The same in one command, with ten jobs at once at the most, and their results as files:
  jobwatch submit --api NAME --body @job.json --count 60 --max-active 10 --wait --save-results results

Ending the waiting (Ctrl-C) leaves the jobs alone; this asks the backend to cancel them:
  jobwatch cancel --api NAME ID...

On several machines, with DATABASE_URL in the environment:
  jobwatch submit --api NAME --body @job.json --count 60 | jobwatch enqueue --queue videos --api NAME -
  jobwatch worker --queue videos --api NAME
  jobwatch queue --queue videos

Backends that are known, and one of your own:
  jobwatch dialects
  jobwatch dialects show heygen-v3 >mine.toml
  curl -i https://api.example.com/jobs/7 | jobwatch dialects check mine.toml --answer -

Exit status:
  0 all jobs succeeded, or there were none     1 a job failed, was cancelled or lost
  2 wrong usage, or an unreadable file         3 credentials refused
  4 an end is unknown: jobs may still run      5 local trouble
  130, 143 interrupted; the jobs go on";

impl Cli {
    /// This process's command line. One that is wrong, or asks for help, ends the program.
    pub(crate) fn read() -> Self {
        let given = Self::with_requirements().get_matches();
        Self::from_arg_matches(&given).unwrap_or_else(|error| error.exit())
    }

    /// Where nothing is waited for, a flag that is about waiting would have no effect, and is refused.
    fn with_requirements() -> clap::Command {
        let command =
            Self::command().mut_subcommand("worker", |worker| worker.mut_arg("rate", |rate| rate.help(SHARED_RATE)));
        command.mut_subcommand("submit", |submit| {
            submit.mut_args(|flag| {
                let about_waiting = matches!(flag.get_help_heading(), Some(policy::HEADING | WAITING));
                // A create has this limit too.
                if about_waiting && flag.get_id() != "attempt_timeout" { flag.requires("wait") } else { flag }
            })
        })
    }
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // there is one, once
pub(crate) enum Command {
    /// Watch it work: a simulated backend, jobs and a client in one process
    Demo(DemoArgs),
    /// Create jobs and print their ids, one a line, each as soon as it is known; wait for them, too, if asked to
    Submit(SubmitArgs),
    /// Wait for jobs to end and print each outcome as it comes: ID, OUTCOME, DETAIL
    Wait(WaitArgs),
    /// Look once at each job
    Status(StatusArgs),
    /// Ask the backend to cancel jobs, after a look at each
    Cancel(CancelArgs),
    /// Put jobs into a queue in a PostgreSQL database, for workers on any machine
    Enqueue(EnqueueArgs),
    /// Wait for the jobs of a queue, beside other workers, and record how they end
    Worker(WorkerArgs),
    /// Show what waits in a queue, what runs and what has ended, by worker
    Queue(QueueArgs),
    /// List the backends that are known, show a dialect's file, or check one
    Dialects(DialectsArgs),
    /// Tell when one job will be asked for and why, and the worst-case bounds
    Plan(PlanArgs),
    /// Play polling rules on the same durations, in simulated time: requests against delay
    Compare(CompareArgs),
    /// Run a job backend to try things against
    Simulate(SimulateArgs),
}

/// Which backend, and how to speak to it. Like every struct with a heading it stands last where it is used: the heading
/// holds for what follows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Backend")]
pub(crate) struct BackendArgs {
    #[arg(long, value_name = "NAME|FILE.toml", help = api_help())]
    pub(crate) api: String,
    /// Where the backend is, for example http://127.0.0.1:5000 [default: the dialect's own address, where it has one]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// A header for every request; `${env:NAME}` in its value stands for an environment variable, and @FILE for a file
    /// with one header a line. What comes from the environment goes to the preset's own address, to loopback and to an
    /// https --base-url alone
    #[arg(long = "header", short = 'H', value_name = "'K: V'|@FILE")]
    pub(crate) headers: Vec<String>,
    /// A command of the shell that prints headers, one a line; it runs at the start, and again when the backend refuses
    /// the credentials
    #[arg(long, value_name = "COMMAND")]
    pub(crate) header_command: Option<String>,
    /// The most looks a second, and the most creates; after a pause, twice as many at once [default: 50/s, burst 100]
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    pub(crate) rate: Option<Rate>,
    /// The largest answer that is accepted, in bytes [default: the dialect's, usually 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_body: Option<u64>,
}

/// A rate as it was written, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    pub(crate) text: String,
    pub(crate) limit: RateLimit,
}

/// `50/s`, `0.5/s`.
fn parse_rate(text: &str) -> Result<Rate, String> {
    let number = text.strip_suffix("/s").and_then(|number| number.trim().parse().ok());
    let number: f64 = number.ok_or("write a number of requests per second, as in 50/s or 0.5/s")?;
    let limit = RateLimit::per_second(number).map_err(|error| error.to_string())?;
    Ok(Rate { text: text.to_owned(), limit })
}

/// What a rate is for a worker.
const SHARED_RATE: &str = "The most looks a second of all workers together that have this origin and a credential of this \
                           name, without a burst; give all of them the same [default: 50/s]";

/// The presets by name, as there are.
fn api_help() -> String {
    let presets: Vec<_> = Dialect::presets().collect();
    format!(
        "How the backend speaks: a dialect file of your own, or one of the presets, about which `jobwatch dialects` \
         tells more: {}",
        presets.join(", ")
    )
}

/// The heading of [`WaitFlags`] in the help.
const WAITING: &str = "Waiting";

/// How jobs are waited for, beside the policy.
#[derive(Debug, Args)]
#[command(next_help_heading = WAITING)]
pub(crate) struct WaitFlags {
    /// The most requests in flight at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// Stop waiting for whatever is left after this time; the jobs go on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) overall_timeout: Option<Duration>,
    /// Write the result of each job that succeeds into this directory, as ID with the extension that suits it. What is at
    /// an http or https address is fetched, without credentials; an outcome is printed once its result is there. A file
    /// of an earlier run is replaced, by a whole result only
    #[arg(long, value_name = "DIR")]
    pub(crate) save_results: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) history: HistoryFlags,
}

/// What is known of how long jobs take.
#[derive(Debug, Default, Args)]
pub(crate) struct HistoryFlags {
    /// Keep what the learned schedule learns in this file, and begin with what it knows; programs may share it. What a
    /// simulator teaches is not kept [default: the environment's JOBWATCH_HISTORY, else nothing is kept]
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Your own word for this class of jobs, for example their mode, language or length: how long they take is learned
    /// apart from others
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
}

/// The exit status is 0 when every job's end was told as it was, failed jobs included: those are part of the show.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many jobs to wait for
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) jobs: u32,
    /// Simulated seconds for each real one
    #[arg(long, value_name = "FACTOR", default_value_t = 10.0)]
    pub(crate) speed: f64,
    /// The same seed makes the same jobs and faults [default: from the system]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The chance that a request is answered with an error, a reset, a page of HTML …; as in 0.25
    #[arg(long, value_name = "RATE")]
    pub(crate) faults: Option<Faults>,
    /// Print one JSON object a line, then a summary
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The request's body: JSON, @FILE, or - for standard input [default: none]
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(crate) body: Option<String>,
    /// How many times to create, one request each, which some backends make several jobs of
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u32,
    /// Go on as `jobwatch wait` does: wait for the jobs and print their outcomes
    #[arg(long)]
    pub(crate) wait: bool,
    /// Have at most so many of these jobs unfinished at once, and create the others as jobs end. A create that is refused
    /// with 429 is tried again then
    #[arg(long, value_name = "N", requires = "wait", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_active: Option<u32>,
    /// Keep what is created in this file, so that no crash makes a job of which nobody knows: each create is written down
    /// before it is sent, and the ids before they are printed. `jobwatch wait --state FILE` goes on with what is in it
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Print one JSON object a line, and after --wait a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing on standard error but what went wrong
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitFlags,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Print one JSON object a line, then a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing on standard error but what went wrong
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Keep the jobs and their outcomes in this file, which is made where there is none: after a crash, or whenever
    /// jobwatch is started again with it, it goes on with those that have not ended, without ids. An outcome is written
    /// down before it is printed; one of a job that is named again is printed again. The jobs of other backends in the
    /// file are left alone
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Ids or poll URLs of jobs; - reads them from standard input, one a line, and waits for each as soon as its line
    /// comes
    #[arg(value_name = "ID|URL", required_unless_present = "state")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitFlags,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The time limit of one look [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) attempt_timeout: Option<Duration>,
    /// The most requests in flight at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// Print one JSON object a line, then a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Ids or poll URLs of jobs; - reads them from standard input, one a line
    #[arg(value_name = "ID|URL", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
}

/// Looks first: a job that has ended is told as it ended, and the backend is asked to cancel the others. That it agreed
/// does not mean that the job has ended; `jobwatch wait` tells.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// Leave a job after this time, in which failed requests are repeated
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2m")]
    pub(crate) timeout: Duration,
    /// The time limit of one request [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) attempt_timeout: Option<Duration>,
    /// The most jobs that are dealt with at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// Print one JSON object a line, then a summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Ids or poll URLs of jobs; - reads them from standard input, one a line
    #[arg(value_name = "ID|URL", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = DIALECTS)]
pub(crate) struct DialectsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DialectsCommand>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

const DIALECTS: &str = "\
To describe a backend of your own, start from the preset that is closest, and try the file on recorded answers:
  jobwatch dialects show tracker >mine.toml
  curl -i https://api.example.com/jobs/7 >answer
  jobwatch dialects check mine.toml --answer answer";

#[derive(Debug, Subcommand)]
pub(crate) enum DialectsCommand {
    /// Print a preset's file, to start one of your own from
    Show {
        /// The preset's name
        name: String,
    },
    /// Check a dialect file; with --answer, tell how an answer would be read, and why
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A dialect file, or the name of a preset
    #[arg(value_name = "FILE.toml|NAME")]
    pub(crate) dialect: String,
    /// A recorded answer to a look at a job: as `curl -i` prints it, or only its JSON body, which stands for status 200;
    /// - for standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) answer: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_name = "NAME", default_value_t = Api::Tracker, help = simulated_help())]
    pub(crate) api: Api,
    /// How long jobs take, in seconds: uniform:20..40, lognormal:MEDIAN,SIGMA, exponential:MEAN, pareto:SHAPE,SCALE,
    /// constant:5, list:5,2,9, or file:PATH with one duration a line
    #[arg(long, value_name = "SPEC", default_value_t = Durations::default())]
    pub(crate) duration: Durations,
    /// The chance that a job fails, 0 to 1
    #[arg(long, value_name = "CHANCE", default_value_t = 0.1)]
    pub(crate) fail_rate: f64,
    /// The chance that a status request is answered with an error, a reset, a page of HTML …; as in 0.25, or
    /// 0.25:throttle,reset for certain kinds [default: 0]
    #[arg(long, value_name = "CHANCE[:KINDS]")]
    pub(crate) faults: Option<Faults>,
    /// Repeat an answer for this long, as a caching server does [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) cache: Option<Duration>,
    /// Simulated seconds for each real one
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(crate) speed: f64,
    /// The same seed makes the same jobs and faults [default: from the system]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// The APIs of the simulator by name, as there are.
fn simulated_help() -> String {
    let names: Vec<_> = Api::ALL.iter().map(|api| api.name()).collect();
    format!("Which API to speak: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::with_requirements().debug_assert();
    }

    #[test]
    fn rates_are_read_as_documented() {
        assert_eq!(parse_rate("50/s").unwrap().limit, RateLimit::POLITE);
        assert!(parse_rate("0.5/s").is_ok());
        for wrong in ["", "50", "50/m", "/s", "0/s", "-1/s", "NaN/s", "many/s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn every_simulated_api_is_a_preset() {
        for api in Api::ALL {
            assert!(Dialect::preset(api.name()).is_some(), "{api}");
        }
    }
}
