//! `jobwatch submit`.

use std::io;
use std::time::{Duration, Instant};

use jobwatch::{FirstLook, Policy};

use crate::args::{PolicyArgs, SubmitArgs};
use crate::creating::Creates;
use crate::failure::{Failure, graver};
use crate::history::History;
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::saving::Saver;
use crate::state::StateFile;
use crate::target::{self, Target};
use crate::view::View;
use crate::wait::{Flags, built, conclude, tell_of_credentials};
use crate::waiting::Waiting;

/// Creates one job after another and prints each id as soon as it is known; with `--wait`, waits for them meanwhile.
pub(crate) async fn submit(args: &SubmitArgs, logging: bool) -> Result<u8, Failure> {
    if let Some(problem) = args.policy.contradiction() {
        return Err(Failure::usage(problem));
    }
    let target = Target::named(&args.backend.api)?;
    let body = target::body(args.body.as_deref())?;
    let policy = policy(args, &target)?;
    let (patience, look) = (policy.total_timeout().unwrap_or(Duration::MAX), policy.attempt_timeout());
    let (mut history, known) = History::open(&args.waiting.history)?;
    let interrupt = Interrupt::watch()?;
    let builder = target.client(&args.backend, &[], args.quiet, &interrupt)?.policy(policy);
    let client = built(builder.max_in_flight(args.waiting.concurrency as usize).histories(known))?;
    let client = client.with_class(history.class());

    let start = Instant::now();
    let mut creates = Creates::new(client.clone(), body, args.count);
    if let Some(most) = args.max_active {
        creates = creates.with_limit(most as usize, patience);
    }
    let view = View::new(args.quiet || !args.wait, logging, 1.0, true);
    let mut waiting = Waiting::new(&client, view, Report::new(io::stdout(), args.json)).with_creates(creates);
    if let Some(directory) = &args.waiting.save_results {
        waiting = waiting.with_saver(Saver::open(directory, &client, look)?);
    }
    if let Some(path) = &args.state {
        waiting = waiting.with_state_of_creates(StateFile::open(path, &client.backend())?, &client)?;
    }
    if !args.wait {
        let (told, _) = waiting.only_creating().run(None, &interrupt, |_| ()).await?;
        tell_of_credentials(told.status, &target);
        return Ok(told.status);
    }
    let backend = client.backend();
    let keep = |finished: &_| history.note(&backend, finished);
    let ended = waiting.run(args.waiting.overall_timeout, &interrupt, keep).await;
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

/// The policy of waits for jobs that were created just now: nothing has become of them yet.
fn policy(args: &SubmitArgs, target: &Target) -> Result<Policy, Failure> {
    let fresh = target.dialect.policy().with_first_look(FirstLook::BySchedule);
    let flags: &PolicyArgs = &args.policy;
    flags.apply(fresh).map_err(Failure::usage)
}
