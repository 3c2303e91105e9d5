//! `jobwatch cancel`.

use std::collections::{BTreeMap, HashSet};
use std::io;

use jobwatch::{CancelError, Cancellation, JobRef, Outcome, Status};
use jobwatch_reqwest::Client;
use tokio::task::JoinSet;

use crate::args::{CancelArgs, PolicyArgs};
use crate::failure::{ExitStatus, Failure, is_refusal};
use crate::ids;
use crate::interrupt::Interrupt;
use crate::report::{Cancelled, Cancels, Report};
use crate::target::Target;
use crate::view::note;
use crate::wait::{built, tell_of_credentials};

type Answer = Result<Cancellation, CancelError>;

/// Asks for each job, several at a time, and tells them in the order in which they were named.
pub(crate) async fn cancel(args: &CancelArgs) -> Result<u8, Failure> {
    let target = Target::named(&args.backend.api)?;
    if !target.dialect.can_cancel() {
        let name = target.dialect.name();
        return Err(Failure::usage(format_args!(
            "the dialect {name:?} does not say how a job is cancelled; a dialect file can say so under [cancel]"
        )));
    }
    let policy = PolicyArgs::with_timeouts(args.timeout, args.attempt_timeout);
    let policy = policy.apply(target.dialect.policy()).map_err(Failure::usage)?;
    let mut jobs = ids::all(&args.ids)?;
    let mut named = HashSet::new();
    jobs.retain(|job| named.insert(job.id().to_owned()));
    let mut report = Report::new(io::stdout(), args.json);
    let mut counts = Cancels::default();
    if jobs.is_empty() && args.backend.base_url.is_none() {
        report.cancels(counts)?;
        return Ok(0);
    }
    let interrupt = Interrupt::watch()?;
    let client = built(target.client(&args.backend, &jobs, false, &interrupt)?.policy(policy))?;

    let mut exit = ExitStatus::default();
    let asked = ask(&client, &jobs, args.concurrency as usize, |answer| {
        let told = tell(&answer, &mut exit, &mut counts);
        report.cancelled(&told)
    });
    if let Err(failure) = interrupt.or(async { Ok(asked.await?) }).await {
        if interrupt.status().is_some() {
            note(format_args!("interrupted: what was not told may have been cancelled or not"));
        }
        return Err(failure);
    }
    report.cancels(counts)?;
    tell_of_credentials(exit.code(), &target);
    Ok(exit.code())
}

/// So many at once, and each told when all before it have been.
async fn ask(
    client: &Client,
    jobs: &[JobRef],
    most: usize,
    mut tell: impl FnMut(Answer) -> io::Result<()>,
) -> io::Result<()> {
    let mut waiting = jobs.iter().cloned().enumerate();
    let mut asking = JoinSet::new();
    let mut answers = BTreeMap::new();
    let mut told = 0;
    loop {
        for (number, job) in waiting.by_ref().take(most - asking.len()) {
            let client = client.clone();
            asking.spawn(async move { (number, client.cancel(&job).await) });
        }
        let Some(answer) = asking.join_next().await else { return Ok(()) };
        let (number, answer) = answer.map_err(io::Error::other)?;
        answers.insert(number, answer);
        while let Some(answer) = answers.remove(&told) {
            tell(answer)?;
            told += 1;
        }
    }
}

/// What to print of an answer, and what it counts as.
fn tell(answer: &Answer, exit: &mut ExitStatus, counts: &mut Cancels) -> Cancelled {
    let (status, requested, error) = match answer {
        Ok(cancellation) => (&cancellation.status, cancellation.requested, None),
        Err(error) => (&*error.status, false, Some(error)),
    };
    let outcome = status.outcome;
    counts.jobs += 1;
    match (outcome, error) {
        (_, Some(error)) => {
            counts.not_cancelled += 1;
            let refused = is_refusal(error.error) || is_refusal(status.last_error);
            exit.note_status(if refused { 3 } else { 4 });
        }
        (Some(Outcome::Lost), None) => {
            counts.lost += 1;
            exit.note_status(1);
        }
        (Some(_), None) => counts.ended += 1,
        (None, None) => counts.requested += 1,
    }
    Cancelled {
        id: status.job.id().to_owned(),
        requested,
        outcome,
        state: status.state.clone(),
        error: error.map(|error| error.message.clone()).or_else(|| status.error.clone()),
        detail: detail(status, requested),
    }
}

fn detail(status: &Status, requested: bool) -> String {
    let state = status.state.clone().unwrap_or_default();
    match (requested, state.as_str()) {
        (true, "") => "the backend agreed".to_owned(),
        (true, state) => format!("it was {state}"),
        (false, _) => state,
    }
}
