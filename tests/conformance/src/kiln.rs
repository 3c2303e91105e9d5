//! The backend of the stories: a kiln, whose jobs are firings.

use std::time::Duration;

use jobwatch::{Dialect, Finished, JobRef, Outcome, Policy, PolicyBuilder};

use crate::Answer;

/// The credential, which nobody but the server may see.
pub(crate) const KEY: &str = "sesame-4711";

const DIALECT: &str = r#"
    name = "kiln"
    job.id = "/id"
    poll.path = "/firings/{id}"
    error.pointer = "/error"
    result.pointer = "/result"

    [state]
    pointer = "/state"
    pending = ["queued"]
    running = ["heating"]
    succeeded = ["fired"]
    failed = ["cracked"]
    cancelled = ["called off"]
    lost = ["no such firing"]
"#;

/// The kiln, where a create may be sent only once.
pub(crate) fn dialect() -> Dialect {
    dialect_with(r#"create.path = "/firings""#)
}

/// The kiln, where a create can be repeated under a key.
pub(crate) fn dialect_with_idempotency() -> Dialect {
    dialect_with(r#"create = { path = "/firings", idempotency_header = "idempotency-key" }"#)
}

/// The kiln, with these keys too.
pub(crate) fn dialect_with(keys: &str) -> Dialect {
    Dialect::from_toml(&format!("{keys}\n{DIALECT}")).expect("the kiln's dialect is well-formed")
}

/// The preset of this name.
pub(crate) fn preset(name: &str) -> Dialect {
    Dialect::preset(name).expect("the story's preset is there")
}

/// Gaps of 10 to 50 ms, and patience enough for any machine.
pub(crate) fn hurried() -> PolicyBuilder {
    Policy::builder()
        .with_min_delay(millis(10))
        .with_max_delay(millis(50))
        .with_failure_backoff(millis(10), millis(20))
        .with_attempt_timeout(millis(20_000))
        .with_final_grace(millis(200))
        .with_total_timeout(millis(40_000))
}

/// A policy for stories that end in failure: the n-th failed look in a row ends the wait.
pub(crate) fn giving_up_after(failures: u32) -> Policy {
    build(hurried().with_max_consecutive_failures(failures))
}

pub(crate) fn build(policy: PolicyBuilder) -> Policy {
    policy.build().expect("the story's policy is sound")
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A firing by its id.
pub(crate) fn firing(id: &str) -> JobRef {
    JobRef::new(id).expect("the story's id is sound")
}

/// Firings by their ids.
pub(crate) fn firings<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<JobRef> {
    ids.into_iter().map(firing).collect()
}

/// Says the state of a firing.
pub(crate) fn state(word: &str) -> Answer {
    Answer::json(200, format!(r#"{{"state":"{word}"}}"#))
}

pub(crate) fn heating() -> Answer {
    state("heating")
}

pub(crate) fn fired() -> Answer {
    state("fired")
}

/// The outcomes by id, sorted.
pub(crate) fn outcomes(finished: &[Finished]) -> Vec<(&str, Outcome)> {
    let mut outcomes: Vec<_> = finished.iter().map(|finished| (finished.job.id(), finished.outcome)).collect();
    outcomes.sort_unstable();
    outcomes
}
