//! Pipes that close, as in `jobwatch … | head -1`.

use std::io::{BufRead, BufReader};

use crate::backend::{Backend, created, state};
use crate::program::{Program, Ran, jobwatch, tracker};

/// Reads so many lines and leaves.
fn head(program: Program, lines: usize) -> Ran {
    let (running, stdout) = program.start_unread();
    let mut stdout = BufReader::new(stdout);
    for _ in 0..lines {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("text");
        assert!(line.ends_with('\n'), "{line:?}");
    }
    drop(stdout);
    let ran = running.finish();
    for word in ["panicked", "roken pipe", "os error", "RUST_BACKTRACE"] {
        assert!(!ran.err.contains(word), "{ran:#?}");
    }
    // Its own exit status, whatever it is, and no signal's.
    assert!(ran.code.is_some(), "{ran:#?}");
    ran
}

#[test]
fn wait_stops_quietly() {
    let ids: Vec<String> = (0..3_000).map(|number| format!("job-{number}")).collect();
    for flags in [&["--rate", "100000/s", "-"][..], &["--json", "-"]] {
        let backend = Backend::start(|_| state("completed"));
        let ran = head(tracker("wait", &backend.url(), flags).input(ids.join("\n")), 1).exits_with(4);
        assert_eq!(ran.err.lines().filter(|line| !line.ends_with(": completed")).count(), 0, "{ran:#?}");
        assert!(backend.asked().len() < ids.len());
    }
}

#[test]
fn submit_stops_quietly() {
    let backend = Backend::start(|asked| created(asked.earlier));
    let ran = head(tracker("submit", &backend.url(), &["--count", "1000000"]), 2);
    assert_eq!(ran.err, "");
}

#[test]
fn status_stops_quietly() {
    let ids: Vec<String> = (0..600).map(|number| format!("job-{number}-{}", "x".repeat(50))).collect();
    let backend = Backend::start(|_| state("completed"));
    head(tracker("status", &backend.url(), &["--json", "--rate", "100000/s", "-"]).input(ids.join("\n")), 1);
}

#[test]
fn demo_stops_quietly() {
    head(jobwatch(&["demo", "--jobs", "12", "--speed", "200", "--json"]), 3);
}

#[test]
fn a_reader_that_never_came_is_no_trouble() {
    let backend = Backend::start(|_| state("completed"));
    head(tracker("wait", &backend.url(), &["j"]), 0);
    head(jobwatch(&["--help"]), 0);
}
