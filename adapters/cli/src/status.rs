//! `jobwatch status`.

use std::io;
use std::time::Instant;

use jobwatch::Outcomes;

use crate::args::{PolicyArgs, StatusArgs};
use crate::failure::{ExitStatus, Failure};
use crate::ids;
use crate::interrupt::Interrupt;
use crate::report::{Report, Summary};
use crate::target::Target;
use crate::wait::{built, finish_empty, tell_of_credentials};

pub(crate) async fn status(args: &StatusArgs) -> Result<u8, Failure> {
    let target = Target::named(&args.backend.api)?;
    let policy = PolicyArgs::with_attempt_timeout(args.attempt_timeout);
    let policy = policy.apply(target.dialect.policy()).map_err(Failure::usage)?;
    let jobs = ids::all(&args.ids)?;
    if jobs.is_empty() && args.backend.base_url.is_none() {
        return finish_empty(args.json);
    }
    let interrupt = Interrupt::watch()?;
    let builder = target.client(&args.backend, &jobs, false, &interrupt)?.policy(policy);
    let client = built(builder.max_in_flight(args.concurrency as usize))?;

    let start = Instant::now();
    let mut found = interrupt.or(async { Ok(client.statuses(&jobs).await) }).await?;
    let mut report = Report::new(io::stdout().lock(), args.json);
    let mut exit = ExitStatus::default();
    let (mut stats, mut unfinished) = (client.metrics(), 0);
    stats.outcomes = Outcomes::default();
    // In the order in which they were asked for, each once.
    for status in jobs.iter().filter_map(|job| found.remove(job.id())) {
        exit.note_outcome(status.outcome, status.last_error);
        match status.outcome {
            Some(outcome) => stats.outcomes.count(outcome),
            None => unfinished += 1,
        }
        report.status(&status)?;
    }
    report.summary(Summary::of(&stats, start.elapsed()).with_unfinished(unfinished))?;
    tell_of_credentials(exit.code(), &target);
    Ok(exit.code())
}
