//! The command line. Its doc comments are the program's help, which is no Markdown.
#![allow(clippy::doc_markdown)]

mod backend;
mod compare;
mod dialects;
mod plan;
mod policy;
mod queue;
mod shell;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use jobwatch_simulator::{Api, Durations, FaultKind, Faults};

pub(crate) use backend::{BackendArgs, Rate};
use backend::{SHARED_RATE, api_help};
pub(crate) use compare::CompareArgs;
pub(crate) use dialects::{CheckArgs, DialectsArgs, DialectsCommand};
pub(crate) use plan::PlanArgs;
use policy::parse_duration;
pub(crate) use policy::{HEADING as POLICY, PolicyArgs};
pub(crate) use queue::{DatabaseArgs, EnqueueArgs, QueueArgs, WorkerArgs};
pub(crate) use shell::{CompletionsArgs, ManArgs};

/// Waits for long-running jobs on remote backends, with as few requests and as little delay as can be had.
#[derive(Debug, Parser)]
#[command(name = "jobwatch", version, subcommand_value_name = "COMMAND", propagate_version = true, max_term_width = 100, after_help = after_help())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log each request on standard error; twice, in more detail. JOBWATCH_LOG=jobwatch_reqwest=debug does the same
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

pub(crate) const EXAMPLES: &str = "\
See it work:
  jobwatch demo

Or in two terminals:
  jobwatch simulate --speed 10
  jobwatch submit --api tracker --base-url http://127.0.0.1:5000 --count 60 |
    jobwatch wait --api tracker --base-url http://127.0.0.1:5000 -

In one command, with ten jobs at once at the most, and their results as files:
  jobwatch submit --api NAME --body @job.json --count 60 --max-active 10 \\
    --wait --save-results results

Ctrl-C ends the waiting and leaves the jobs alone. To cancel them:
  jobwatch cancel --api NAME ID...

On several machines, with DATABASE_URL in the environment:
  jobwatch submit --api NAME --body @job.json --count 60 |
    jobwatch enqueue --queue videos --api NAME -
  jobwatch worker --queue videos --api NAME
  jobwatch queue --queue videos

Backends that are known, and one of your own:
  jobwatch dialects
  jobwatch dialects show heygen-v3 >mine.toml
  curl -i https://api.example.com/jobs/7 |
    jobwatch dialects check mine.toml --answer -

Completions for this shell, and the manual:
  source <(jobwatch completions bash)
  jobwatch man | man -l -";

pub(crate) const EXIT_STATUS: &str = "  0 all jobs succeeded, or there were none
  1 a job failed, was cancelled or lost
  2 wrong usage, or an unreadable or wrong file
  3 credentials refused
  4 an end is unknown: jobs may still run
  5 local trouble
  130, 143 interrupted; the jobs go on";

fn after_help() -> String {
    format!("{EXAMPLES}\n\nExit status:\n{EXIT_STATUS}")
}

impl Cli {
    /// This process's command line. One that is wrong, or asks for help, ends the program.
    pub(crate) fn read() -> Self {
        let given = Self::with_requirements().get_matches();
        Self::from_arg_matches(&given).unwrap_or_else(|error| error.exit())
    }

    /// Where nothing is waited for, a flag that is about waiting would have no effect, and is refused.
    pub(crate) fn with_requirements() -> clap::Command {
        let needs_wait = |flag: Arg| {
            let about_waiting = matches!(flag.get_help_heading(), Some(POLICY | WAITING));
            // A create has this limit too.
            if about_waiting && flag.get_id() != "attempt_timeout" { flag.requires("wait") } else { flag }
        };
        Self::command().mut_subcommands(|command| match command.get_name() {
            "submit" => command.mut_args(needs_wait),
            "worker" => command.mut_arg("rate", |rate| rate.help(SHARED_RATE)),
            _ => command,
        })
    }
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)] // there is one, once
pub(crate) enum Command {
    /// Watch it work: a simulated backend, jobs and a client in one process
    ///
    /// The exit status is 0 when every job's end was told as it was, failed jobs included: those are part of the show.
    Demo(DemoArgs),
    /// Create jobs and print their ids, one a line, each as soon as it is known; wait for them, too, if asked to
    Submit(SubmitArgs),
    /// Wait for jobs to end and print each outcome as it comes: ID, OUTCOME, DETAIL
    ///
    /// Each line comes as soon as its job has ended; a summary comes last, on standard error. Ctrl-C and SIGTERM end
    /// the waiting and leave the jobs alone: what is unfinished is told, with the command that goes on.
    Wait(WaitArgs),
    /// Look once at each job
    Status(StatusArgs),
    /// Ask the backend to cancel jobs, after a look at each
    ///
    /// Looks first: a job that has ended is told as it ended, and the backend is asked to cancel the others. That it
    /// agreed does not mean that the job has ended; `jobwatch wait` tells.
    Cancel(CancelArgs),
    /// Put jobs into a queue in a PostgreSQL database, for workers on any machine
    ///
    /// Prints what became of each: queued, waiting (it was in the queue already), or how it has ended. A job that has
    /// ended is not waited for again; one whose wait alone has ended (timed_out, gave_up, rejected) is. Enqueuing
    /// twice is harmless.
    Enqueue(EnqueueArgs),
    /// Wait for the jobs of a queue, beside other workers, and record how they end
    ///
    /// Adopts the queue's jobs for this backend, waits for them, and records how each one ends, in the table
    /// jobwatch.results and on standard output: ID, OUTCOME, DETAIL. Ctrl-C and SIGTERM hand back what has not ended.
    /// What is set with --rate is shared by all workers of the same origin and credential.
    Worker(WorkerArgs),
    /// Show what waits in a queue, what runs and what has ended, by worker
    Queue(QueueArgs),
    /// List the backends that are known, show a dialect's file, or check one
    Dialects(DialectsArgs),
    /// Tell when one job will be asked for and why, and the worst-case bounds
    ///
    /// With neither --durations nor a history nothing is known of how long the jobs take, as before the first of them.
    Plan(PlanArgs),
    /// Play polling rules on the same durations, in simulated time: requests against delay
    ///
    /// Jobs are waited for to their end: of the policy flags, delays, factor, jitter and request cost are played, and
    /// a constant or stepped schedule beside the named policies.
    Compare(CompareArgs),
    /// Run a job backend to try things against
    Simulate(SimulateArgs),
    /// Print what completes commands, flags and their values in a shell
    ///
    /// For bash, put this into ~/.bashrc: source <(jobwatch completions bash). The other shells read a file: jobwatch
    /// completions zsh >_jobwatch in a directory of $fpath, or jobwatch completions fish
    /// >~/.config/fish/completions/jobwatch.fish.
    Completions(CompletionsArgs),
    /// Print the manual page
    ///
    /// One page with all commands, in the format of man: jobwatch man | man -l -
    Man(ManArgs),
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
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) save_results: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) history: HistoryFlags,
}

/// What is known of how long jobs take.
#[derive(Debug, Default, Args)]
pub(crate) struct HistoryFlags {
    /// Keep what the learned schedule learns in this file, and begin with what it knows; programs may share it. What a
    /// simulator teaches is not kept [default: the environment's JOBWATCH_HISTORY, else nothing is kept]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) history: Option<PathBuf>,
    /// Your own word for this class of jobs, for example their mode, language or length: how long they take is learned
    /// apart from others
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
}

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
    #[arg(long, value_name = "CHANCE")]
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
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
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
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
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
pub(crate) struct SimulateArgs {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, default_value = "127.0.0.1:5000")]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_name = "NAME", default_value_t = Api::Tracker, help = simulated_help())]
    pub(crate) api: Api,
    /// How long jobs take, in seconds: uniform:20..40, lognormal:MEDIAN,SIGMA, exponential:MEAN, pareto:SHAPE,SCALE,
    /// constant:5, list:5,2,9, mix:0.6*FORM+0.4*FORM, or file:PATH with one duration a line
    #[arg(long, value_name = "SPEC", default_value_t = Durations::default())]
    pub(crate) duration: Durations,
    /// The chance that a job fails, 0 to 1
    #[arg(long, value_name = "CHANCE", default_value_t = 0.1)]
    pub(crate) fail_rate: f64,
    #[arg(long, value_name = "CHANCE", help = faults_help())]
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

fn faults_help() -> String {
    let kinds: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
    format!(
        "The chance that a status request meets a fault, as in 0.25, or 0.25:throttle,reset for certain kinds: {} \
         [default: 0]",
        kinds.join(", ")
    )
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, as in 127.0.0.1:5000")
}

#[cfg(test)]
mod tests {
    use jobwatch::Dialect;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::with_requirements().debug_assert();
    }

    /// zsh takes a colon for the end of the name, and a quote for the end of the word: it completed nothing.
    #[test]
    fn regression_names_of_values_can_be_completed_around() {
        let mut commands = vec![Cli::with_requirements()];
        while let Some(command) = commands.pop() {
            let names = command.get_arguments().filter_map(Arg::get_value_names).flatten();
            for name in names {
                assert!(!name.contains([':', '\'', '[']), "{} {name}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn every_simulated_api_is_a_preset() {
        for api in Api::ALL {
            assert!(Dialect::preset(api.name()).is_some(), "{api}");
        }
    }
}
