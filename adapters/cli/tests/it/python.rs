//! The README's Python, run as printed against a simulated backend.

use std::env;
use std::path::Path;
use std::process::Command;

use jobwatch_simulator::LedgerJob;

use crate::backend::{Backend, simulator, state};
use crate::program::{Program, Ran, submit};

/// The Python of the README, which defines `wait`.
fn printed() -> &'static str {
    let readme = include_str!("../../../../README.md");
    let (_, block) = readme.split_once("```python\n").expect("the README has Python");
    block.split_once("```").expect("the block ends").0
}

/// Runs what the README prints and then these lines; nothing where there is no Python.
fn python(lines: &str, url: &str, ids: &[&str]) -> Option<Ran> {
    if Command::new("python3").arg("--version").output().map_or(true, |output| !output.status.success()) {
        println!("left out: there is no python3");
        return None;
    }
    let directory = Path::new(env!("CARGO_BIN_EXE_jobwatch")).parent().expect("it lies somewhere");
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([directory.to_owned()].into_iter().chain(env::split_paths(&others))).expect("a path");
    let script = format!("{}\nimport sys\nurl, *ids = sys.argv[1:]\n{lines}", printed());
    let program = Program::other("python3").env("PATH", path.to_str().expect("a path in UTF-8"));
    Some(program.args(&["-c", &script, url]).args(ids).run())
}

const ARGUMENTS: &str = r#""--api", "tracker", "--base-url", url, "--min-delay", "20ms", "--max-delay", "200ms""#;

#[test]
fn each_job_is_told_as_it_ended() {
    let backend = simulator("uniform:20..40").speed(50.0).fail_rate(0.3).seed(2).start().expect("it starts");
    let ids = submit(&backend.url(), 12);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let lines = format!("for job in wait(ids, {ARGUMENTS}):\n    print(job['id'], job['outcome'])\nprint('over')");
    let Some(ran) = python(&lines, &backend.url(), &ids) else { return };

    let ran = ran.exits_with(0);
    let mut told: Vec<&str> = ran.out.lines().collect();
    assert_eq!(told.pop(), Some("over"));
    told.sort_unstable();
    let word = |job: &LedgerJob| format!("{} {:?}", job.id, job.outcome).to_lowercase();
    let mut truth: Vec<String> = backend.ledger().jobs.iter().map(word).collect();
    truth.sort_unstable();
    assert_eq!(told, truth);
    assert!(truth.iter().any(|line| line.ends_with("failed")), "a job that fails is no error of the program");
}

#[test]
fn refused_credentials_are_an_error_and_no_silence() {
    let backend = simulator("constant:1").api_key("another").start().expect("it starts");
    let lines = format!("for job in wait(ids, {ARGUMENTS}):\n    print(job['outcome'])");
    let Some(ran) = python(&lines, &backend.url(), &["a"]) else { return };
    let ran = ran.exits_with(1);
    assert_eq!(ran.out.trim(), "rejected");
    assert!(ran.err.contains("jobwatch ended with status 3"), "{ran:?}");
}

#[test]
fn who_wants_no_more_is_not_kept_waiting() {
    let backend = Backend::start(|asked| state(if asked.id() == "a" { "completed" } else { "pending" }));
    let lines = format!("for job in wait(ids, {ARGUMENTS}):\n    print(job['id'])\n    break");
    let Some(ran) = python(&lines, &backend.url(), &["a", "b"]) else { return };
    assert_eq!(ran.exits_with(0).out.trim(), "a");
}
