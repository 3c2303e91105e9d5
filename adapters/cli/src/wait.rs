//! `jobwatch wait` and `jobwatch status`.

use std::io::{self, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use jobwatch::{Finished, FleetEvent, JobRef, Outcomes, Stats};
use jobwatch_reqwest::{Client, WaitAll};

use crate::args::{BackendArgs, PolicyArgs, StatusArgs, WaitArgs};
use crate::failure::{ExitStatus, Failure};
use crate::interrupt::Interrupt;
use crate::report::{Report, Summary, one_line};
use crate::target;
use crate::view::{TICK, View, note};

/// Ids named in the command that goes on; with more, a file of ids is of more use.
const MOST_IDS_TOLD: usize = 20;

pub(crate) async fn wait(args: &WaitArgs, logging: bool) -> Result<u8, Failure> {
    if let Some(problem) = args.policy.contradiction() {
        return Err(Failure::usage(problem));
    }
    let Some((client, jobs)) = prepare(&args.backend, &args.policy, &args.ids, args.concurrency)? else {
        return finish_empty(args.json);
    };

    let start = Instant::now();
    let mut all = client.wait_all(jobs);
    let mut view = View::new(args.quiet, logging, all.fleet(), 1.0);
    let mut report = Report::new(io::stdout(), args.json);
    let told = tell(&mut all, &mut view, &mut report, args.overall_timeout, |_| {}).await;
    view.close();
    let told = told?;

    let summary = Summary::of(all.stats(), start.elapsed());
    if !args.quiet {
        note(format_args!("{}", summary.sentence()));
    }
    report.summary(summary)?;
    if !told.unfinished.is_empty() {
        note(format_args!("not known to have ended: {}; to go on waiting:", told.unfinished.len()));
        note(format_args!("  {}", command_to_go_on(&args.backend, &args.policy, &told.unfinished)));
    }
    Ok(told.status)
}

/// What was told, and what is left.
pub(crate) struct Told {
    pub(crate) status: u8,
    pub(crate) unfinished: Vec<JobRef>,
}

/// Shows and prints each outcome as it comes, until all have; a signal or the limit stops what is left.
pub(crate) async fn tell<W: Write>(
    all: &mut WaitAll,
    view: &mut View,
    report: &mut Report<W>,
    limit: Option<Duration>,
    mut keep: impl FnMut(&Finished),
) -> Result<Told, Failure> {
    let stopper = all.stopper();
    let interrupt = Interrupt::watch(move || stopper.stop()).map_err(Failure::local)?;
    let mut over = pin!(after(limit));
    let mut exit = ExitStatus::default();
    let mut unfinished = Vec::new();
    loop {
        let event = tokio::select! {
            event = all.next_event() => event,
            () = &mut over => {
                over.set(after(None));
                all.stopper().stop();
                continue;
            }
            () = after(view.is_live().then_some(TICK)) => {
                view.tick(all.fleet(), all.now());
                continue;
            }
        };
        match event {
            None => break,
            Some(FleetEvent::Changed { handle, state }) => view.changed(all.fleet(), handle, &state),
            Some(FleetEvent::Finished { handle, finished }) => {
                exit.note(&finished);
                if !finished.outcome.is_jobs_end() {
                    unfinished.push(finished.job.clone());
                }
                view.finished(handle, &finished, all.fleet());
                view.aside(|| report.finished(&finished))?;
                keep(&finished);
            }
            Some(_) => {}
        }
    }
    Ok(Told { status: interrupt.status().unwrap_or_else(|| exit.code()), unfinished })
}

/// Comes after this time, or never.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn status(args: &StatusArgs) -> Result<u8, Failure> {
    let policy = PolicyArgs::with_attempt_timeout(args.attempt_timeout);
    let Some((client, jobs)) = prepare(&args.backend, &policy, &args.ids, args.concurrency)? else {
        return finish_empty(args.json);
    };

    let start = Instant::now();
    let mut found = client.statuses(&jobs).await;
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
    Ok(exit.code())
}

/// The client and the jobs; `None` where there is neither a job nor a backend to ask for one.
fn prepare(
    backend: &BackendArgs,
    policy: &PolicyArgs,
    ids: &[String],
    concurrency: u32,
) -> Result<Option<(Client, Vec<JobRef>)>, Failure> {
    let dialect = target::dialect(&backend.api)?;
    let policy = policy.apply(dialect.policy()).map_err(Failure::usage)?;
    let jobs = target::jobs(ids)?;
    if jobs.is_empty() && backend.base_url.is_none() {
        return Ok(None);
    }
    let builder = target::client(backend, dialect, &jobs)?.policy(policy);
    let client = builder.max_in_flight(concurrency as usize).build().map_err(|error| target::explain(&error))?;
    Ok(Some((client, jobs)))
}

fn finish_empty(json: bool) -> Result<u8, Failure> {
    let mut report = Report::new(io::stdout().lock(), json);
    report.summary(Summary::of(&Stats::default(), Duration::ZERO))?;
    Ok(0)
}

/// The command that takes up what was left, without secrets.
fn command_to_go_on(backend: &BackendArgs, policy: &PolicyArgs, jobs: &[JobRef]) -> String {
    let mut words = vec!["jobwatch wait --api".to_owned(), quote(&backend.api)];
    // Without a query, which is never sent and may be a secret.
    if let Some(url) = backend.base_url.as_ref().and_then(|url| url.split(['?', '#']).next()) {
        words.push(format!("--base-url {}", quote(url)));
    }
    for header in &backend.headers {
        let header = match header.split_once(':') {
            Some((name, value)) if !header.starts_with('@') && !is_reference(value) => format!("{name}: …"),
            _ => header.clone(),
        };
        words.push(format!("--header {}", quote(&header)));
    }
    words.extend(policy.words());
    if jobs.iter().any(|job| job.id().starts_with('-')) {
        words.push("--".to_owned());
    }
    words.extend(jobs.iter().take(MOST_IDS_TOLD).map(|job| quote(job.id())));
    if jobs.len() > MOST_IDS_TOLD {
        words.push(format!("… ({} more ids)", jobs.len() - MOST_IDS_TOLD));
    }
    one_line(&words.join(" "))
}

/// Whether a header's value is one variable of the environment, after a scheme such as `Bearer` at the most; then it
/// holds no secret.
fn is_reference(value: &str) -> bool {
    let value = value.trim();
    let schemes = ["Bearer ", "Basic ", "Token ", "Key "];
    let value = schemes.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or(value);
    let name = value.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['$', '{', '}']))
}

/// A word as a shell reads it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_go_on_holds_no_secret() {
        let backend = BackendArgs {
            api: "tracker".to_owned(),
            base_url: Some("http://127.0.0.1:5000?key=hush".to_owned()),
            headers: ["X-Api-Key: hush", "A: ${env:KEY}", "B: Bearer ${env:KEY}", "C: ${env:KEY}hush}", "@keys.txt"]
                .map(str::to_owned)
                .to_vec(),
            max_body: None,
        };
        let jobs = [JobRef::new("it's").unwrap()];
        let command =
            command_to_go_on(&backend, &PolicyArgs::with_attempt_timeout(Some(Duration::from_secs(90))), &jobs);
        assert_eq!(
            command,
            "jobwatch wait --api tracker --base-url http://127.0.0.1:5000 --header 'X-Api-Key: …' \
             --header 'A: ${env:KEY}' --header 'B: Bearer ${env:KEY}' --header 'C: …' --header @keys.txt \
             --attempt-timeout 1m30s 'it'\\''s'"
        );
    }
}
