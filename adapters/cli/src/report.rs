//! What is printed: lines or JSON on standard output.

use std::io::{self, Write};
use std::time::Duration;

use jobwatch::{Finished, Outcome, Stats, Status};
use serde::Serialize;
use serde_json::Value;

use crate::view::how_far;

/// Prints one job after another, and a summary.
pub(crate) struct Report<W> {
    out: W,
    json: bool,
    /// Simulated seconds for each real one.
    speed: f64,
}

#[derive(Serialize)]
struct JobLine<'a> {
    v: u8,
    r#type: &'static str,
    id: &'a str,
    outcome: Option<Outcome>,
    state: Option<&'a str>,
    requests: u32,
    failed_requests: u32,
    elapsed_s: f64,
    detection_delay_s: Option<f64>,
    detection_delay_max_s: Option<f64>,
    result: Option<&'a Value>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct CreatedLine<'a> {
    v: u8,
    r#type: &'static str,
    id: &'a str,
}

/// What came of asking to cancel one job.
#[derive(Debug, Serialize)]
pub(crate) struct Cancelled {
    pub(crate) id: String,
    /// The backend agreed.
    pub(crate) requested: bool,
    /// How the job had ended before, or why the look told nothing.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) state: Option<String>,
    pub(crate) error: Option<String>,
    /// For people, where nothing went wrong.
    #[serde(skip)]
    pub(crate) detail: String,
}

#[derive(Serialize)]
struct CancelLine<'a> {
    v: u8,
    r#type: &'static str,
    #[serde(flatten)]
    cancelled: &'a Cancelled,
}

/// What came of asking to cancel several.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Cancels {
    pub(crate) jobs: u64,
    pub(crate) requested: u64,
    pub(crate) ended: u64,
    pub(crate) lost: u64,
    pub(crate) not_cancelled: u64,
}

#[derive(Serialize)]
struct CancelsLine {
    v: u8,
    r#type: &'static str,
    summary: Cancels,
}

#[derive(Serialize)]
struct SummaryLine {
    v: u8,
    r#type: &'static str,
    summary: Summary,
}

/// What all of it cost and came to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    jobs: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    lost: u64,
    timed_out: u64,
    gave_up: u64,
    rejected: u64,
    stopped: u64,
    requests: u64,
    failed_requests: u64,
    bulk_requests: u64,
    requests_per_job: Option<f64>,
    request_success_rate: Option<f64>,
    job_success_rate: Option<f64>,
    mean_response_s: Option<f64>,
    p99_response_s: Option<f64>,
    mean_detection_delay_s: Option<f64>,
    wall_s: f64,
}

impl Summary {
    pub(crate) fn of(stats: &Stats, wall: Duration) -> Self {
        let outcomes = &stats.outcomes;
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Self {
            jobs: outcomes.total(),
            succeeded: outcomes.of(Outcome::Succeeded),
            failed: outcomes.of(Outcome::Failed),
            cancelled: outcomes.of(Outcome::Cancelled),
            lost: outcomes.of(Outcome::Lost),
            timed_out: outcomes.of(Outcome::TimedOut),
            gave_up: outcomes.of(Outcome::GaveUp),
            rejected: outcomes.of(Outcome::Rejected),
            stopped: outcomes.of(Outcome::Stopped),
            requests: stats.requests,
            failed_requests: stats.failed_requests,
            bulk_requests: stats.bulk_requests,
            requests_per_job: stats.requests_per_job(),
            request_success_rate: stats.request_success_rate(),
            job_success_rate: stats.job_success_rate(),
            mean_response_s: seconds(stats.response_time.mean()),
            p99_response_s: seconds(stats.response_time.quantile(0.99)),
            mean_detection_delay_s: seconds(stats.detection_delay.mean()),
            wall_s: wall.as_secs_f64(),
        }
    }

    /// The same with jobs that have not ended, which count among the jobs alone.
    #[allow(clippy::cast_precision_loss)] // nobody asks for more than 2^52 jobs
    pub(crate) fn with_unfinished(self, unfinished: u64) -> Self {
        let jobs = self.jobs + unfinished;
        let each = |count: f64| (jobs > 0).then(|| count / jobs as f64);
        let (requests_per_job, job_success_rate) = (each(self.requests as f64), each(self.succeeded as f64));
        Self { jobs, requests_per_job, job_success_rate, ..self }
    }

    /// The same with simulated seconds, so many for each real one; response times stay real.
    pub(crate) fn at_speed(self, speed: f64) -> Self {
        let mean_detection_delay_s = self.mean_detection_delay_s.map(|delay| delay * speed);
        Self { mean_detection_delay_s, wall_s: self.wall_s * speed, ..self }
    }

    /// How many ended how.
    pub(crate) fn outcomes(&self) -> String {
        let counts = [
            (self.succeeded, "succeeded"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.lost, "lost"),
            (self.timed_out, "timed out"),
            (self.gave_up, "given up"),
            (self.rejected, "rejected"),
            (self.stopped, "stopped"),
        ];
        let counts: Vec<_> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        counts.join(", ")
    }

    /// One line for people.
    pub(crate) fn sentence(&self) -> String {
        let mut parts = vec![match self.jobs {
            0 => "no jobs".to_owned(),
            jobs => format!("{}: {}", counted(jobs, "job"), self.outcomes()),
        }];
        if let Some(per_job) = self.requests_per_job {
            let failed = match self.failed_requests {
                0 => String::new(),
                failed => format!(", {failed} of them failed"),
            };
            parts.push(format!("{}, {per_job:.1} a job{failed}", counted(self.requests, "request")));
        }
        if let Some(delay) = self.mean_detection_delay_s {
            parts.push(format!("noticed {delay:.1} s late in the mean"));
        }
        parts.push(format!("{:.1} s in all", self.wall_s));
        parts.join("; ")
    }
}

impl<W: Write> Report<W> {
    pub(crate) fn new(out: W, json: bool) -> Self {
        Self { out, json, speed: 1.0 }
    }

    /// Tells simulated seconds, so many for each real one.
    pub(crate) fn at_speed(self, speed: f64) -> Self {
        Self { speed, ..self }
    }

    /// Where there is something better to tell people than the result, it is the detail.
    pub(crate) fn finished(&mut self, finished: &Finished, detail: Option<&str>) -> io::Result<()> {
        if !self.json {
            let told = || {
                let detail =
                    self::detail(finished.result.as_ref(), finished.error.as_deref(), finished.state.as_deref());
                match &finished.state {
                    Some(state) if !finished.outcome.is_jobs_end() => format!("{detail}; last seen: {state}"),
                    _ => detail,
                }
            };
            let detail = detail.map_or_else(told, str::to_owned);
            return self.text(finished.job.id(), finished.outcome.as_str(), &detail);
        }
        let speed = self.speed;
        let seconds = |time: Duration| time.as_secs_f64() * speed;
        self.line(&JobLine {
            v: 1,
            r#type: "job",
            id: finished.job.id(),
            outcome: Some(finished.outcome),
            state: finished.state.as_deref(),
            requests: finished.requests,
            failed_requests: finished.failed_requests,
            elapsed_s: seconds(finished.elapsed),
            detection_delay_s: finished.detection_delay.map(seconds),
            detection_delay_max_s: finished.detection_delay_max.map(seconds),
            result: finished.result.as_ref(),
            error: finished.error.as_deref(),
        })
    }

    pub(crate) fn status(&mut self, status: &Status) -> io::Result<()> {
        if !self.json {
            let mut detail = detail(status.result.as_ref(), status.error.as_deref(), status.state.as_deref());
            if let (None, Some(how_far)) = (status.outcome, how_far(status.progress, status.queue_position)) {
                detail = format!("{detail}, {how_far}");
            }
            return self.text(status.job.id(), status.outcome.map_or("unfinished", Outcome::as_str), &detail);
        }
        self.line(&JobLine {
            v: 1,
            r#type: "job",
            id: status.job.id(),
            outcome: status.outcome,
            state: status.state.as_deref(),
            requests: status.requests,
            failed_requests: status.failed_requests,
            elapsed_s: status.elapsed.as_secs_f64(),
            detection_delay_s: None,
            detection_delay_max_s: None,
            result: status.result.as_ref(),
            error: status.error.as_deref(),
        })
    }

    pub(crate) fn cancelled(&mut self, cancelled: &Cancelled) -> io::Result<()> {
        if self.json {
            return self.line(&CancelLine { v: 1, r#type: "cancel", cancelled });
        }
        let outcome = match (cancelled.requested, cancelled.outcome) {
            (true, _) => "cancel_requested",
            (false, Some(outcome)) => outcome.as_str(),
            (false, None) => "not_cancelled",
        };
        self.text(&cancelled.id, outcome, cancelled.error.as_deref().unwrap_or(&cancelled.detail))
    }

    /// How many of what, for machines.
    pub(crate) fn cancels(&mut self, summary: Cancels) -> io::Result<()> {
        if self.json { self.line(&CancelsLine { v: 1, r#type: "summary", summary }) } else { Ok(()) }
    }

    pub(crate) fn created(&mut self, id: &str) -> io::Result<()> {
        if self.json {
            return self.line(&CreatedLine { v: 1, r#type: "created", id });
        }
        writeln!(self.out, "{id}")?;
        self.out.flush()
    }

    /// Machines get it here; people get [`Summary::sentence`] on standard error.
    pub(crate) fn summary(&mut self, summary: Summary) -> io::Result<()> {
        if self.json { self.line(&SummaryLine { v: 1, r#type: "summary", summary }) } else { Ok(()) }
    }

    fn text(&mut self, id: &str, outcome: &str, detail: &str) -> io::Result<()> {
        writeln!(self.out, "{}\t{outcome}\t{}", one_line(id), one_line(detail))?;
        self.out.flush()
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        writeln!(self.out)?;
        self.out.flush()
    }
}

/// `1 job`, `2 jobs`.
pub(crate) fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// What one most wants to know: the result, what went wrong, or the state.
fn detail(result: Option<&Value>, error: Option<&str>, state: Option<&str>) -> String {
    match (result, error, state) {
        (_, Some(error), _) => error.to_owned(),
        (Some(Value::String(result)), ..) => result.clone(),
        (Some(result), ..) => result.to_string(),
        (None, None, state) => state.unwrap_or_default().to_owned(),
    }
}

/// Text that cannot break a line or a column, nor speak to the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
