//! `jobwatch demo`: a simulated backend, jobs and a client in one process.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use jobwatch::{Dialect, Finished, Outcome, Policy, PolicyError, Stats};
use jobwatch_reqwest::Client;
use jobwatch_simulator::{Faults, JobState, LedgerJob, Simulator};

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::report::{Report, Summary, counted};
use crate::view::{View, note, shorten};
use crate::waiting::Waiting;
use crate::{simulate, target};

/// Jobs with a row of their own in the table; more would scroll the figures away.
const MOST_ROWS: usize = 40;

/// The least real time that a look is given, however fast simulated time runs.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// Enough to tell the demo's jobs apart.
const ID_WIDTH: usize = 18;

pub(crate) async fn demo(args: &DemoArgs, logging: bool) -> Result<u8, Failure> {
    let seed = args.seed.or_else(|| getrandom::u32().ok().map(u64::from)).unwrap_or_default();
    let simulator = Simulator::builder()
        .faults(args.faults.clone().unwrap_or_else(Faults::none))
        .speed(args.speed)
        .seed(seed)
        .start()
        .map_err(|error| simulate::explain(&error))?;
    let dialect = Dialect::tracker();
    let policy = policy(&dialect, args.speed).map_err(|error| {
        Failure::usage(format_args!("{} is no --speed for the demo, which goes up to 1000: {error}", args.speed))
    })?;
    if !args.json {
        introduce(args, seed, &policy);
    }
    let builder = Client::builder(dialect).base_url(simulator.url()).policy(policy).seed(seed);
    let client = builder.build().map_err(|error| target::explain(&error))?;

    let interrupt = Interrupt::watch()?;
    let start = Instant::now();
    let mut jobs = Vec::new();
    for _ in 0..args.jobs {
        jobs.extend(client.create(&()).await.map_err(Failure::local)?);
    }
    // People get a table at the end instead of a line per job.
    let lines: Box<dyn Write> = if args.json { Box::new(io::stdout()) } else { Box::new(io::sink()) };
    let report = Report::new(lines, args.json).at_speed(args.speed);
    let view = View::new(false, logging, args.speed, args.json);
    let mut ends = Vec::new();
    let waiting = Waiting::new(&client, view, report).with_jobs(jobs);
    let (told, mut report) = waiting.run(None, &interrupt, |finished| ends.push(finished.clone())).await?;

    let wall = start.elapsed();
    let truth: HashMap<String, LedgerJob> =
        simulator.ledger().jobs.into_iter().map(|job| (job.id.to_string(), job)).collect();
    if args.json {
        report.summary(Summary::of(&told.stats, wall).at_speed(args.speed))?;
    } else {
        conclude(&ends, &truth, wall, &told.stats, args.speed)?;
    }
    if told.unfinished.is_empty() {
        let right = ends.iter().filter(|end| truth.get(end.job.id()).is_some_and(|job| agrees(end, job))).count();
        return Ok(if right == ends.len() { 0 } else { 4 });
    }
    note(format_args!("not known to have ended: {}; this backend ends with the demo", told.unfinished.len()));
    let faults = args.faults.as_ref().map(|faults| format!(" --faults {faults}")).unwrap_or_default();
    let (jobs, speed) = (args.jobs, args.speed);
    note(format_args!("  to run it again: jobwatch demo --jobs {jobs} --speed {speed} --seed {seed}{faults}"));
    Ok(told.status)
}

/// The dialect's policy in simulated time, the limit of a look included: with faults there are looks that are never
/// answered, and a job must not wait for one until all others have long ended.
fn policy(dialect: &Dialect, speed: f64) -> Result<Policy, PolicyError> {
    let policy = dialect.policy().build()?.at_speed(speed)?;
    let real = policy.attempt_timeout();
    let scaled = Duration::try_from_secs_f64(real.as_secs_f64() / speed).unwrap_or(real);
    policy.to_builder().with_attempt_timeout(scaled.clamp(SHORTEST_LOOK.min(real), real)).build()
}

/// Whether what was told is what happened.
fn agrees(end: &Finished, job: &LedgerJob) -> bool {
    let told = match end.outcome {
        Outcome::Succeeded => JobState::Succeeded,
        Outcome::Failed => JobState::Failed,
        _ => JobState::Unknown,
    };
    told == job.outcome
}

fn introduce(args: &DemoArgs, seed: u64, policy: &Policy) {
    let real = |time: Duration| time.as_secs_f64() * args.speed;
    let longest = policy.max_delay().map_or(f64::INFINITY, real);
    let jobs = counted(args.jobs.into(), "job");
    note(format_args!("{jobs} of 20 to 40 s, {} times as fast as life (seed {seed}).", args.speed));
    note(format_args!(
        "The backend says \"pending\" until a job ends. It is asked ever later, up to\n\
         {longest:.0} s apart, and the first jobs to end teach how long such jobs take.\n"
    ));
}

/// The table of jobs, and the figures.
fn conclude(
    ends: &[Finished],
    truth: &HashMap<String, LedgerJob>,
    wall: Duration,
    stats: &Stats,
    speed: f64,
) -> io::Result<()> {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64() * speed);
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["job", "outcome", "took", "noticed", "requests"]);
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for end in ends.iter().take(MOST_ROWS) {
        let took = truth
            .get(end.job.id())
            .filter(|_| end.outcome.is_jobs_end())
            .map(|job| job.ended_at_ns.saturating_sub(job.created_at_ns));
        table.add_row([
            shorten(end.job.id(), ID_WIDTH),
            format!("{} {}", mark(end.outcome), end.outcome),
            took.map_or_else(|| "–".to_owned(), |took| seconds(Duration::from_nanos(took))),
            end.detection_delay.map_or_else(|| "–".to_owned(), |delay| format!("+{}", seconds(delay))),
            end.requests.to_string(),
        ]);
    }
    let mut out = io::stdout();
    writeln!(out, "{table}")?;
    if ends.len() > MOST_ROWS {
        writeln!(out, "… and {} jobs more", ends.len() - MOST_ROWS)?;
    }
    let percent = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    let millis = |time: Option<Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let (response, noticed) = (&stats.response_time, &stats.detection_delay);
    writeln!(out)?;
    let rows = [
        ("in all", format!("{:.1} s, which took {:.1} s", wall.as_secs_f64() * speed, wall.as_secs_f64())),
        ("requests made", format!("{} ({:.1} a job)", stats.requests, stats.requests_per_job().unwrap_or_default())),
        (
            "detection delay",
            match (noticed.mean(), noticed.quantile(0.5), noticed.max()) {
                (Some(mean), Some(half), Some(worst)) => {
                    let [mean, half, worst] = [mean, half, worst].map(seconds);
                    format!("{mean} in the mean, half within {half}, the worst {worst}")
                }
                _ => "–".to_owned(),
            },
        ),
        (
            "response time",
            format!(
                "{:.1} ms in the mean, p99 {:.1} ms (real)",
                millis(response.mean()),
                millis(response.quantile(0.99))
            ),
        ),
        (
            "requests",
            format!(
                "{} succeeded, {} of {} failed",
                percent(stats.request_success_rate()),
                stats.failed_requests,
                stats.requests
            ),
        ),
        (
            "jobs",
            format!(
                "{} succeeded, {} of {} failed",
                percent(stats.job_success_rate()),
                stats.outcomes.of(Outcome::Failed),
                stats.outcomes.total()
            ),
        ),
    ];
    for (name, figure) in rows {
        writeln!(out, "{name:>16}  {figure}")?;
    }
    Ok(())
}

fn mark(outcome: Outcome) -> char {
    match outcome {
        Outcome::Succeeded => '✔',
        Outcome::Failed | Outcome::Cancelled | Outcome::Lost => '✘',
        Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_look_is_in_simulated_time_too() {
        let limit = |speed| policy(&Dialect::tracker(), speed).map(|policy| policy.attempt_timeout());
        let seconds = Duration::from_secs;
        assert_eq!(limit(10.0), Ok(seconds(2)));
        assert_eq!(limit(500.0), Ok(seconds(1)));
        assert_eq!(limit(0.1), Ok(seconds(20)));
        assert!(limit(5_000.0).is_err() && limit(f64::NAN).is_err());
    }
}
