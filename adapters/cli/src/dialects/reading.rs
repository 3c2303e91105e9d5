//! How an answer is read, in words.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use http::header::LOCATION;
use jobwatch::{Address, Dialect, HintSource, LookError, Observation, Outcome, Policy, Reading, Rule, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::answer::Recorded;
use crate::report::one_line;

/// The most of a result that people get to see, in characters; machines get it whole.
const LONGEST_RESULT: usize = 300;

/// What an answer says and why, and what `jobwatch wait` would do.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    v: u8,
    r#type: &'static str,
    dialect: String,
    status: u16,
    /// Only a body was given: the status is an assumption.
    status_assumed: bool,
    class: &'static str,
    /// How the wait would end, if this answer ends it.
    outcome: Option<Outcome>,
    rule: String,
    state: Option<String>,
    unknown_state: bool,
    hint_s: Option<f64>,
    hint_source: Option<&'static str>,
    cool_down_s: Option<f64>,
    ask_again_s: Option<f64>,
    progress: Option<f64>,
    queue_position: Option<u64>,
    message: Option<String>,
    result: Option<Value>,
    result_at: Option<String>,
    moved_to: Option<String>,
    cancel_at: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    next: String,
}

impl Explained {
    pub(super) fn of(dialect: &Dialect, policy: &Policy, recorded: &Recorded, reading: &Reading) -> Self {
        let hint = hint(reading.observation);
        let redirect = redirect(recorded, reading);
        let (class, outcome) = class(reading.observation);
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Self {
            v: 1,
            r#type: "reading",
            dialect: dialect.name().to_owned(),
            status: recorded.response.status().as_u16(),
            status_assumed: recorded.body_alone,
            class: if redirect.is_some() { "redirect" } else { class },
            outcome,
            rule: reading.rule.to_string(),
            state: reading.state.clone(),
            unknown_state: reading.unknown_state,
            hint_s: seconds(hint),
            hint_source: reading.hint_source.map(source),
            cool_down_s: seconds(reading.cool_down),
            ask_again_s: seconds(reading.ask_again),
            progress: reading.progress,
            queue_position: reading.queue_position,
            message: reading.message.clone(),
            result: reading.result.clone(),
            result_at: reading.result_at.as_ref().map(without_secrets),
            moved_to: reading.moved_to.as_ref().map(without_secrets),
            cancel_at: reading.cancel_at.as_ref().map(without_secrets),
            created_at: reading.created_at.map(instant),
            started_at: reading.started_at.map(instant),
            ended_at: reading.ended_at.map(instant),
            next: redirect.unwrap_or_else(|| next(policy, reading)),
        }
    }

    /// The same for people: a row for each thing that the answer tells.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let assumed = if self.status_assumed { " (assumed: there is only a body)" } else { "" };
        row(out, "status", &format!("{}{assumed}", self.status))?;
        row(out, "says", meaning(self.class))?;
        row(out, "because", &self.rule)?;
        let hint = self
            .hint_s
            .map(|hint| format!("ask again after {hint} s, by {}", self.hint_source.unwrap_or("the answer")));
        let result = self.result.as_ref().map(|result| {
            let text = result.as_str().map_or_else(|| result.to_string(), str::to_owned);
            match text.char_indices().nth(LONGEST_RESULT) {
                Some((end, _)) => format!("{}… ({} bytes; --json has it whole)", &text[..end], text.len()),
                None => text,
            }
        });
        let unknown = if self.unknown_state { " (unknown to the dialect)" } else { "" };
        let rows = [
            ("state", self.state.as_ref().map(|state| format!("{state}{unknown}"))),
            ("hint", hint),
            ("cool-down", self.cool_down_s.map(|time| format!("nobody with this key asks for {time} s"))),
            ("progress", self.progress.map(|progress| format!("{:.0}%", progress * 100.0))),
            ("queue", self.queue_position.map(|ahead| format!("{ahead} before it"))),
            ("message", self.message.clone()),
            ("result", result),
            ("result at", self.result_at.clone()),
            ("moved to", self.moved_to.clone()),
            ("cancel at", self.cancel_at.clone()),
            ("created", self.created_at.clone()),
            ("started", self.started_at.clone()),
            ("ended", self.ended_at.clone()),
            ("next", Some(self.next.clone())),
        ];
        for (name, text) in rows {
            if let Some(text) = text {
                row(out, name, &text)?;
            }
        }
        Ok(())
    }
}

/// A name, and what there is to tell.
pub(super) fn row(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{name:<10}  {}", one_line(text))
}

fn hint(observation: Observation) -> Option<Duration> {
    match observation {
        Observation::Pending { hint }
        | Observation::Running { hint }
        | Observation::Transient { hint, .. }
        | Observation::Throttled { hint, .. } => hint.map(jobwatch::Hint::delay),
        _ => None,
    }
}

/// The name of what an answer says, and how it ends a wait at once.
fn class(observation: Observation) -> (&'static str, Option<Outcome>) {
    match observation {
        Observation::Pending { .. } => ("pending", None),
        Observation::Running { .. } => ("running", None),
        Observation::Succeeded => ("succeeded", Some(Outcome::Succeeded)),
        Observation::Failed => ("failed", Some(Outcome::Failed)),
        Observation::Cancelled => ("cancelled", Some(Outcome::Cancelled)),
        Observation::Lost { definite } => ("lost", definite.then_some(Outcome::Lost)),
        Observation::Throttled { .. } => ("throttled", None),
        Observation::Fatal { .. } => ("fatal", Some(Outcome::Rejected)),
        _ => ("transient", None),
    }
}

fn meaning(class: &'static str) -> &'static str {
    match class {
        "pending" => "pending: the job waits for its turn",
        "running" => "running: the job is being worked on",
        "succeeded" => "succeeded: the job ended well",
        "failed" => "failed: the job ended badly, says the backend",
        "cancelled" => "cancelled: the job was cancelled",
        "lost" => "lost: the backend does not know the job",
        "throttled" => "throttled: the backend asks for patience; nothing is said of the job",
        "fatal" => "fatal: the request failed in a way that asking again cannot cure; nothing is said of the job",
        "redirect" => "redirect: the answer is elsewhere",
        _ => "transient: the request failed in a way that may pass; nothing is said of the job",
    }
}

fn source(source: HintSource) -> &'static str {
    match source {
        HintSource::DialectHeader => "the dialect's own header (hints.header)",
        HintSource::RetryAfterMs => "retry-after-ms",
        HintSource::RetryAfter => "Retry-After",
        HintSource::Body => "the body's field (hints.pointer)",
        HintSource::RateLimit => "RateLimit, by which nothing remains",
        HintSource::RateLimitReset => "x-ratelimit-reset, where nothing remains",
        _ => "the answer",
    }
}

/// An answer that only points elsewhere, which the dialect does not read as a state.
fn redirect(recorded: &Recorded, reading: &Reading) -> Option<String> {
    let status = recorded.response.status();
    let location = recorded.response.headers().get(LOCATION)?;
    let followed = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && reading.rule == Rule::Status;
    let to = without_secrets(&Address::new(String::from_utf8_lossy(location.as_bytes())));
    followed.then(|| format!("follows the redirect to {to}, if that is at the backend's own origin or an allowed one"))
}

/// What `jobwatch wait` does with such an answer.
fn next(policy: &Policy, reading: &Reading) -> String {
    let time = humantime::format_duration;
    let longest = policy.max_delay().map_or_else(|| "ever more".to_owned(), |longest| time(longest).to_string());
    let hinted = hint(reading.observation).map(|hint| time(hint.min(policy.max_retry_after())));
    match reading.observation {
        Observation::Pending { .. } | Observation::Running { .. } => match (reading.ask_again, hinted) {
            (Some(again), _) => format!("asks again after {}, by the dialect's own rule", time(again)),
            (None, Some(_)) => {
                let hint = hint(reading.observation).unwrap_or_default().max(policy.min_delay());
                let after = time(hint.min(policy.max_retry_after().max(policy.min_delay())));
                format!("asks again after {after} and a little more, as the backend wants")
            }
            (None, None) => format!("asks again by the schedule: after {} to {longest}", time(policy.min_delay())),
        },
        Observation::Succeeded if reading.result_at.is_some() => {
            "fetches the result, with the credentials where the address is the backend's, and ends: succeeded, exit \
             status 0"
                .to_owned()
        }
        Observation::Succeeded => "ends: succeeded, exit status 0".to_owned(),
        Observation::Failed => "ends: failed, exit status 1".to_owned(),
        Observation::Cancelled => "ends: cancelled, exit status 1".to_owned(),
        Observation::Lost { definite: true } => "ends: lost, exit status 1".to_owned(),
        Observation::Lost { definite: false } => {
            "asks again: at the third such answer in a row, over at least 15 s, it ends: lost, exit status 1".to_owned()
        }
        Observation::Throttled { .. } => match hinted {
            Some(hinted) => format!("asks nothing for {hinted}, for no job of this backend; this counts as no failure"),
            None => "backs off, for 1 s to 30 s; this counts as no failure".to_owned(),
        },
        Observation::Fatal { error: LookError::Status(401) } => {
            "renews the credentials once where --header-command tells how; else ends: rejected, exit status 3"
                .to_owned()
        }
        Observation::Fatal { error: LookError::Status(403) } => "ends: rejected, exit status 3".to_owned(),
        Observation::Fatal { .. } => "ends: rejected, exit status 4".to_owned(),
        _ => {
            let after = hinted.map_or_else(|| "a back-off of 1 s to 30 s".to_owned(), |hinted| hinted.to_string());
            format!(
                "asks again after {after}; gives the job up after 5 such answers in a row, or 15 minutes of them once \
                 the backend has given a good one"
            )
        }
    }
}

/// A presigned address is a secret; only as a result it is told whole.
fn without_secrets(address: &Address) -> String {
    let cut = if address.contains(['?', '#']) { "?…" } else { "" };
    format!("{}{cut}", address.without_secrets())
}

fn instant(at: Timestamp) -> String {
    let since = at.saturating_since(Timestamp::UNIX_EPOCH);
    match SystemTime::UNIX_EPOCH.checked_add(since) {
        Some(time) => humantime::format_rfc3339_millis(time).to_string(),
        None => at.to_string(),
    }
}
