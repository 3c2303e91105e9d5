//! `jobwatch wait`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jobwatch::{JobRef, Stats};
use jobwatch_reqwest::Client;

use crate::args::{BackendArgs, PolicyArgs, WaitArgs, WaitFlags};
use crate::credentials;
use crate::failure::{Failure, graver};
use crate::go_on::{Kept, command_to_go_on};
use crate::history::History;
use crate::ids::{self, Intake};
use crate::interrupt::Interrupt;
use crate::report::{Report, Summary, counted};
use crate::saving::Saver;
use crate::state::StateFile;
use crate::target::{self, Target};
use crate::view::{View, note, sentence};
use crate::waiting::{Told, Waiting};

pub(crate) async fn wait(args: &WaitArgs, logging: bool) -> Result<u8, Failure> {
    if let Some(problem) = args.policy.contradiction() {
        return Err(Failure::usage(problem));
    }
    let target = Target::named(&args.backend.api)?;
    let policy = args.policy.apply(target.dialect.policy()).map_err(Failure::usage)?;
    let patience = policy.attempt_timeout();
    let start = Instant::now();
    let (mut jobs, mut intake) = ids::named(&args.ids, args.quiet)?;
    let limit = args.waiting.overall_timeout;
    if jobs.is_empty() && args.backend.base_url.is_none() && args.state.is_none() {
        // The first job may tell by its URL where the backend is; without one there is nobody to ask.
        match first(intake.as_mut(), limit).await? {
            First::Job(job) => jobs.push(job),
            First::End => return finish_empty(args.json),
            First::TooLate => {
                tell_of_unread();
                return finish_empty(args.json).map(|_| 4);
            }
        }
    }
    let (mut history, known) = History::open(&args.waiting.history)?;
    let interrupt = Interrupt::watch()?;
    let builder = target.client(&args.backend, &jobs, args.quiet, &interrupt)?.policy(policy);
    let client = built(builder.max_in_flight(args.waiting.concurrency as usize).histories(known))?;
    let client = client.with_class(history.class());

    let view = View::new(args.quiet, logging, 1.0, true);
    let mut waiting = Waiting::new(&client, view, Report::new(io::stdout(), args.json));
    if let Some(directory) = &args.waiting.save_results {
        waiting = waiting.with_saver(Saver::open(directory, &client, patience)?);
    }
    if let Some(intake) = intake {
        waiting = waiting.with_intake(intake);
    }
    waiting = match &args.state {
        Some(path) => waiting.with_state(StateFile::open(path, &client.backend())?, &client, jobs)?,
        None => waiting.with_jobs(jobs),
    };
    let limit = limit.map(|limit| limit.saturating_sub(start.elapsed()));
    let backend = client.backend();
    let ended = waiting.run(limit, &interrupt, |finished| history.note(&backend, finished)).await;
    let kept = history.finish(&backend);
    let (mut told, report) = ended?;
    told.status = graver(told.status, kept);
    let flags = Flags {
        backend: &args.backend,
        policy: &args.policy,
        waiting: &args.waiting,
        state: args.state.as_deref(),
        quiet: args.quiet,
    };
    conclude(&target, &flags, &told, report, start.elapsed())
}

/// What comes of the wait for a first id.
enum First {
    Job(JobRef),
    End,
    TooLate,
}

async fn first(intake: Option<&mut Intake>, limit: Option<Duration>) -> Result<First, Failure> {
    let Some(intake) = intake else { return Ok(First::End) };
    let came = match limit {
        Some(limit) => tokio::time::timeout(limit, intake.first()).await,
        None => Ok(intake.first().await),
    };
    match came {
        Ok(Some(job)) => job.map(First::Job),
        Ok(None) => Ok(First::End),
        Err(_) => Ok(First::TooLate),
    }
}

fn tell_of_unread() {
    note(format_args!("standard input was not read to its end: what is still to come there is not waited for"));
}

/// The flags that `wait` and `submit --wait` share.
pub(crate) struct Flags<'a> {
    pub(crate) backend: &'a BackendArgs,
    pub(crate) policy: &'a PolicyArgs,
    pub(crate) waiting: &'a WaitFlags,
    pub(crate) state: Option<&'a Path>,
    pub(crate) quiet: bool,
}

/// Tells what it came to and how to go on, and gives the exit status.
pub(crate) fn conclude<W: Write>(
    target: &Target,
    flags: &Flags<'_>,
    told: &Told,
    mut report: Report<W>,
    wall: Duration,
) -> Result<u8, Failure> {
    let summary = Summary::of(&told.stats, wall);
    if !flags.quiet {
        sentence(format_args!("{}", summary.sentence()));
    }
    let printed = report.summary(summary);
    if told.not_created > 0 {
        note(format_args!("left undone: {}", counted(told.not_created.into(), "create")));
    }
    if told.unread {
        tell_of_unread();
    }
    if !told.unfinished.is_empty() {
        note(format_args!("not known to have ended: {}; to go on waiting:", told.unfinished.len()));
        // What the state file does not hold is named.
        let named = if flags.state.is_some() && !told.broken { &[][..] } else { &told.unfinished };
        note(format_args!("  {}", to_go_on(flags, told, named)));
    }
    tell_of_credentials(told.status, target);
    match printed {
        // Who would have read it was interrupted, too.
        Err(error) if told.status < 128 => Err(error.into()),
        _ => Ok(told.status),
    }
}

fn to_go_on(flags: &Flags<'_>, told: &Told, jobs: &[JobRef]) -> String {
    let kept = Kept {
        results: flags.waiting.save_results.as_deref(),
        state: flags.state,
        history: &flags.waiting.history,
        address: &told.address,
    };
    command_to_go_on(flags.backend, flags.policy, &kept, jobs)
}

/// Where credentials were refused, how the backend takes them.
pub(crate) fn tell_of_credentials(status: u8, target: &Target) {
    if let (3, Some(advice)) = (status, credentials::advice(&target.dialect)) {
        note(format_args!("the credentials were refused; this backend takes its key with {advice}"));
    }
}

/// The client, or what is wrong in terms of flags.
pub(crate) fn built(builder: jobwatch_reqwest::ClientBuilder) -> Result<Client, Failure> {
    builder.build().map_err(|error| target::explain(&error))
}

/// What is told where there is neither a job nor a backend to ask for one.
pub(crate) fn finish_empty(json: bool) -> Result<u8, Failure> {
    let mut report = Report::new(io::stdout().lock(), json);
    report.summary(Summary::of(&Stats::default(), Duration::ZERO))?;
    Ok(0)
}
