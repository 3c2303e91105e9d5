//! The dialect format, key by key: what each key of `src/dialect/format.md` does to a request, a reading or a wait.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

#[path = "format/keys.rs"]
mod keys;
#[path = "format/reading.rs"]
mod reading;
#[path = "format/trust.rs"]
mod trust;
#[path = "format/waits.rs"]
mod waits;

use http::Request;
use http_support::{BASE, START, dialect, every_second, job, response, rng};
use jobwatch::{Backend, Dialect, Reading, Submit, SubmitAction, Watch, WatchAction};

/// What each test's keys are added to, dotted as here or as sections.
const PLAIN: &str = r#"
name = "plain"
poll.path = "/jobs/{id}"
state.pointer = "/state"
state.running = ["working"]
state.succeeded = ["done"]
state.failed = ["broken"]
"#;

fn with(keys: &str) -> Dialect {
    dialect(&format!("{PLAIN}{keys}"))
}

fn backend(keys: &str) -> Backend {
    Backend::new(with(keys), Some(BASE)).unwrap()
}

fn read(dialect: &Dialect, status: u16, headers: &[(&str, &str)], body: &str) -> Reading {
    dialect.read(&response(status, headers, body), START)
}

/// The first request for a job.
fn look(backend: &Backend) -> Request<Vec<u8>> {
    let mut watch = Watch::new(backend, every_second().build().unwrap(), job("a b"), START, &mut rng(1));
    let WatchAction::Send { request, .. } = watch.poll(START) else { panic!("the first look comes at once") };
    request
}

/// The request that creates a job.
fn create(backend: &Backend, body: &str) -> Request<Vec<u8>> {
    let mut submit = Submit::new(backend, every_second().build().unwrap(), body.into(), START, &mut rng(1));
    let SubmitAction::Send { request, .. } = submit.poll(START) else { panic!("it is sent at once") };
    request
}

/// The fenced TOML of a document.
fn examples(document: &str) -> Vec<&str> {
    document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_is_a_dialect() {
    for (name, document) in
        [("format.md", include_str!("../src/dialect/format.md")), ("README.md", include_str!("../README.md"))]
    {
        let examples = examples(document);
        assert!(!examples.is_empty(), "{name} shows none");
        for example in examples {
            Dialect::from_toml(example).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
