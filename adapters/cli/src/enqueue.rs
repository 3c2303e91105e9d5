//! `jobwatch enqueue`.

use std::io::{self, Write};

use jobwatch::JobRef;
use jobwatch_pgmq::{Destination, Enqueued, Queue};
use serde::Serialize;

use crate::args::EnqueueArgs;
use crate::database;
use crate::failure::{ExitStatus, Failure};
use crate::ids::{self, Intake};
use crate::interrupt::Interrupt;
use crate::report::one_line;
use crate::target::Target;
use crate::view::note;

/// So many jobs are sent in one transaction.
const BATCH: usize = 1_000;

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    r#type: &'static str,
    id: &'a str,
    standing: &'a str,
}

pub(crate) async fn enqueue(args: &EnqueueArgs) -> Result<u8, Failure> {
    let target = Target::named(&args.destination.api)?;
    let address = database::address(&args.database)?;
    let (mut jobs, mut intake) = ids::named(&args.ids, false)?;
    let mut exit = ExitStatus::default();
    if jobs.is_empty() && args.destination.base_url.is_none() {
        // The first job may tell by its URL where the backend is.
        match first(intake.as_mut()).await {
            Some(job) => jobs.push(job?),
            None => return Ok(0),
        }
    }
    let (url, credential) = (args.destination.base_url.as_ref(), &args.destination.credential.credential);
    let destination = database::destination(&target.dialect, url, credential, &jobs)?;
    let interrupt = Interrupt::watch()?;
    let queue = interrupt.or(async { Ok(Queue::open(&address, &args.database.queue).await?) }).await?;
    let work = async {
        send(&queue, &destination, &jobs, args.json).await?;
        while let Some(came) = next(intake.as_mut()).await {
            let (jobs, failure) = until_failure(came);
            send(&queue, &destination, &jobs, args.json).await?;
            if let Some(failure) = failure {
                note(format_args!("jobwatch: {}", one_line(&failure.message)));
                exit.note_status(failure.status);
                break;
            }
        }
        Ok(exit.code())
    };
    interrupt.or(work).await
}

async fn first(intake: Option<&mut Intake>) -> Option<Result<JobRef, Failure>> {
    intake?.first().await
}

/// The jobs that have come, once there are any.
async fn next(intake: Option<&mut Intake>) -> Option<Vec<Result<JobRef, Failure>>> {
    Some(intake?.next().await).filter(|came| !came.is_empty())
}

/// A line that is no id ends the reading, not the sending of those before it.
fn until_failure(came: Vec<Result<JobRef, Failure>>) -> (Vec<JobRef>, Option<Failure>) {
    let mut jobs = Vec::new();
    for job in came {
        match job {
            Ok(job) => jobs.push(job),
            Err(failure) => return (jobs, Some(failure)),
        }
    }
    (jobs, None)
}

async fn send(queue: &Queue, destination: &Destination, jobs: &[JobRef], json: bool) -> Result<(), Failure> {
    let mut out = io::stdout();
    for jobs in jobs.chunks(BATCH) {
        let standings = queue.enqueue(destination, jobs).await?;
        for (job, standing) in jobs.iter().zip(&standings) {
            let standing = match standing {
                Enqueued::Queued => "queued",
                Enqueued::Ended(outcome) => outcome.as_str(),
                _ => "waiting",
            };
            if json {
                let line = Line { v: 1, r#type: "enqueued", id: job.id(), standing };
                serde_json::to_writer(&mut out, &line).map_err(io::Error::from)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}\t{standing}", one_line(job.id()))?;
            }
        }
        out.flush()?;
    }
    Ok(())
}
