//! The words in which the stories over HTTP are told; the world is that of the public kit.
#![allow(dead_code, unused_imports)] // every test file uses a part of it

#[path = "../support/cases.rs"]
mod cases;

use core::time::Duration;

pub(crate) use cases::cases;
use http::Response;
pub(crate) use jobwatch::testing::{
    HttpReply as Reply, HttpSent as Sent, HttpWorld as World, START, http_script as script,
};
use jobwatch::{Backend, Dialect, JobRef, Policy, PolicyBuilder, Spacing, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// Where the simulated backend lives, below a path of its own.
pub(crate) const BASE: &str = "https://api.example.com/v1";

/// A dialect with every class of word, an error and a result.
pub(crate) const KILN: &str = r#"
    name = "kiln"
    [create]
    path = "/firings"
    [poll]
    path = "/firings/{id}"
    [state]
    pointer = "/state"
    pending = ["queued"]
    running = ["Heating"]
    succeeded = ["fired"]
    failed = ["cracked"]
    cancelled = ["cooled early"]
    lost = ["no such firing"]
    [error]
    pointer = "/error/message"
    [result]
    pointer = "/vase"
    [times]
    ended = { header = "x-jobwatch-ended-at" }
"#;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The instant so long after the start of the story.
pub(crate) const fn at(since_start: Duration) -> Timestamp {
    START.saturating_add(since_start)
}

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn dialect(text: &str) -> Dialect {
    Dialect::from_toml(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn kiln() -> Backend {
    Backend::new(dialect(KILN), Some(BASE)).unwrap().with_header("x-api-key", SECRET).unwrap()
}

/// What no text may repeat.
pub(crate) const SECRET: &str = "hush-hush-4711";

/// Looks every second, so that randomness is not the subject.
pub(crate) fn every_second() -> PolicyBuilder {
    Policy::builder().with_spacing(Spacing::Constant).with_min_delay(secs(1))
}

pub(crate) fn job(id: &str) -> JobRef {
    JobRef::new(id).unwrap()
}

pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response<Vec<u8>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.as_ref().to_vec()).unwrap()
}

/// An answer that takes no time.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    Reply::Answer(Duration::ZERO, response(status, headers, body))
}

pub(crate) fn state(word: &str) -> Reply {
    reply(200, &[], &format!(r#"{{"state":"{word}"}}"#))
}
