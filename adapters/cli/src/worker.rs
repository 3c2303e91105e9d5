//! `jobwatch worker`.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use jobwatch_pgmq::{News, Queue, Until, Worker, WorkerError};
use tokio::sync::Notify;

use crate::args::WorkerArgs;
use crate::database;
use crate::failure::{ExitStatus, Failure};
use crate::interrupt::Interrupt;
use crate::report::{Report, Summary, counted, one_line};
use crate::target::Target;
use crate::view::note;
use crate::wait::{built, tell_of_credentials};

pub(crate) async fn worker(args: &WorkerArgs) -> Result<u8, Failure> {
    if let Some(problem) = args.policy.contradiction() {
        return Err(Failure::usage(problem));
    }
    let target = Target::named(&args.backend.api)?;
    let policy = args.policy.apply(target.dialect.policy()).map_err(Failure::usage)?;
    let address = database::address(&args.database)?;
    let (url, credential) = (args.backend.base_url.as_ref(), &args.credential.credential);
    let destination = database::destination(&target.dialect, url, credential, &[])?;
    let interrupt = Interrupt::watch()?;
    let builder = target.client(&args.backend, &[], args.quiet, &interrupt)?.policy(policy);
    // The rate is the queue's.
    let client = built(builder.rate(None).max_in_flight(args.concurrency as usize))?;
    let queue = interrupt.or(async { Ok(Queue::open(&address, &args.database.queue).await?) }).await?;

    let mut worker = Worker::new(queue, client.clone(), destination);
    worker = worker.with_lease(args.lease).with_max_jobs(args.max_jobs as usize);
    if let Some(rate) = &args.backend.rate {
        worker = worker.with_rate(rate.limit);
    }
    if let Some(name) = &args.name {
        worker = worker.with_name(name);
    }
    let until = match (args.once, args.drain) {
        (true, _) => Until::Once,
        (_, true) => Until::Drained,
        _ => Until::Stopped,
    };
    let start = Instant::now();
    if !args.quiet {
        note(format_args!("worker {} on queue {}", one_line(worker.name()), args.database.queue));
    }
    let teller = Teller::new(args);
    let stop = async {
        tokio::select! {
            () = interrupt.came() => {}
            () = teller.cannot_tell.notified() => {}
        }
    };
    let done = worker.run(until, stop, |news| teller.tell(&news)).await;

    let summary = Summary::of(&client.metrics(), start.elapsed());
    if !args.quiet {
        note(format_args!("{}", summary.sentence()));
    }
    let (mut report, exit, trouble) = teller.into_parts();
    let status = conclude(done, exit, &interrupt, &target);
    match trouble {
        Some(failure) if interrupt.status().is_none() => Err(failure),
        Some(_) => Ok(status),
        None => report.summary(summary).map(|()| status).map_err(Failure::from),
    }
}

/// Tells what is left to be known, and gives the exit status.
fn conclude(
    done: Result<jobwatch_pgmq::Summary, WorkerError>,
    mut exit: ExitStatus,
    interrupt: &Interrupt,
    target: &Target,
) -> u8 {
    match done {
        Ok(summary) => {
            let jobs = |count| counted(count, "job");
            if summary.handed_back > 0 {
                note(format_args!("handed back: {}", jobs(summary.handed_back)));
            }
            if summary.left_behind > 0 {
                exit.note_status(5);
                note(format_args!(
                    "jobwatch: the database could not be told of {}: they are in the queue, and other workers adopt them \
                     when the lease ends",
                    jobs(summary.left_behind)
                ));
            }
        }
        Err(error) => {
            note(format_args!("jobwatch: {}", one_line(&error.to_string())));
            exit.note_status(match error {
                WorkerError::CredentialsRefused(_) => 3,
                WorkerError::NeverAnswered(_) => 4,
                _ => 5,
            });
        }
    }
    let status = interrupt.status().unwrap_or_else(|| exit.code());
    tell_of_credentials(status, target);
    status
}

/// Prints what a worker has to tell.
struct Teller {
    quiet: bool,
    told: RefCell<Told>,
    /// Standard output is closed or full.
    cannot_tell: Notify,
}

struct Told {
    report: Report<io::Stdout>,
    exit: ExitStatus,
    trouble: Option<Failure>,
}

impl Teller {
    fn new(args: &WorkerArgs) -> Self {
        let told = Told { report: Report::new(io::stdout(), args.json), exit: ExitStatus::default(), trouble: None };
        Self { quiet: args.quiet, told: RefCell::new(told), cannot_tell: Notify::new() }
    }

    fn tell(&self, news: &News<'_>) {
        let mut told = self.told.borrow_mut();
        let remark = |line: std::fmt::Arguments<'_>| {
            if !self.quiet {
                note(line);
            }
        };
        match news {
            News::Recorded(finished) => {
                told.exit.note(finished);
                if told.trouble.is_none()
                    && let Err(error) = told.report.finished(finished, None)
                {
                    told.trouble = Some(error.into());
                    self.cannot_tell.notify_one();
                }
            }
            News::Adopted(count) => remark(format_args!("adopted {}", counted(*count as u64, "job"))),
            News::Lost(count) => {
                let jobs = counted(*count as u64, "job");
                remark(format_args!("other workers have {jobs} whose leases had ended"));
            }
            News::SetAside(reason) => {
                told.exit.note_status(4);
                note(format_args!("jobwatch: a message was set aside: {}", one_line(reason)));
            }
            News::Outage(problem) => {
                note(format_args!("jobwatch: {}; what is known is kept until it is back", one_line(problem)));
            }
            News::Back(time) => note(format_args!("the database is back after {:.1} s", time.as_secs_f64())),
            _ => {}
        }
    }

    fn into_parts(self) -> (Report<io::Stdout>, ExitStatus, Option<Failure>) {
        let Told { report, exit, trouble } = self.told.into_inner();
        (report, exit, trouble)
    }
}
