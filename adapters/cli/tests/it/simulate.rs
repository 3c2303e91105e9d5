//! `jobwatch simulate`.

use crate::backend::simulator;
use crate::program::{Program, Ran, Running, Scratch, jobwatch, submit, tracker};

/// The simulator at a port that is free.
fn simulate(flags: &[&str]) -> Program {
    jobwatch(&["simulate", "--listen", "127.0.0.1:0"]).args(flags)
}

fn url_of(running: &Running) -> String {
    let line = running.out().wait_for(|_| true);
    let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
    assert!(url.starts_with("http://127.0.0.1:") && !url.ends_with(":0"), "{url}");
    url.to_owned()
}

#[test]
fn it_tells_where_it_listens_and_serves() {
    let running = simulate(&["--duration", "constant:1", "--speed", "20", "--fail-rate", "0"]).start();
    let url = url_of(&running);
    let ids = submit(&url, 3);
    let ran = tracker("wait", &url, &["-"]).input(ids.join("\n")).run().exits_with(0);
    assert_eq!(ran.rows().len(), 3);
    running.err.wait_for(|line| line.contains("/_ledger") && line.contains("seed "));
}

/// Ids and outcomes of ten jobs of a simulator with this seed.
fn ends(seed: &str) -> Vec<(String, String)> {
    let running = simulate(&["--seed", seed, "--speed", "200", "--fail-rate", "0.5"]).start();
    let url = url_of(&running);
    let ids = submit(&url, 10);
    let ran = tracker("wait", &url, &["--quiet", "-"]).input(ids.join("\n")).run();
    let ends = ran.ends().into_iter().map(|(id, outcome)| (id.to_owned(), outcome.to_owned())).collect();
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:#?}");
    ends
}

#[test]
fn a_seed_repeats_ids_and_outcomes() {
    let first = ends("9");
    assert_eq!(first, ends("9"));
    assert_ne!(first, ends("10"));
    let outcomes = |word| first.iter().filter(|(_, outcome)| outcome == word).count();
    assert!(outcomes("succeeded") > 0 && outcomes("failed") > 0, "{first:?}");
}

#[test]
fn a_fail_rate_of_one_fails_every_job() {
    let running = simulate(&["--duration", "list:1,2", "--speed", "100", "--fail-rate", "1"]).start();
    let url = url_of(&running);
    let ids = submit(&url, 4);
    let ran = tracker("wait", &url, &["-"]).input(ids.join("\n")).run().exits_with(1);
    assert!(ran.ends().iter().all(|(_, outcome)| *outcome == "failed"));
}

#[test]
fn durations_are_read_from_a_file() {
    let scratch = Scratch::new();
    let file = scratch.file("durations", "1s\n2s # slow\n");
    let running = simulate(&["--duration", &format!("file:{file}"), "--speed", "100", "--fail-rate", "0"]).start();
    let url = url_of(&running);
    let ids = submit(&url, 2);
    tracker("wait", &url, &["-"]).input(ids.join("\n")).run().exits_with(0);
}

#[test]
fn a_port_in_use_is_local_trouble_and_named() {
    let taken = simulator("constant:1").start().unwrap();
    let address = taken.address().to_string();
    let ran = jobwatch(&["simulate", "--listen", &address]).run().exits_with(5).prints_nothing();
    ran.complains(&[&address, "in use"]);
}

#[test]
fn a_wrong_specification_is_named() {
    let scratch = Scratch::new();
    let missing = format!("file:{}", scratch.path("nowhere"));
    let refused = |flags: &[&str]| -> Ran { simulate(flags).run().exits_with(2).prints_nothing() };
    for spec in ["uniform:40..20", "uniform:x..y", "gaussian:1,2", "lognormal:480", "soon", "constant:-1", &missing] {
        refused(&["--duration", spec]).complains(&["--duration", spec]);
    }
    for spec in ["2", "-0.1", "many", "0.1:plague"] {
        refused(&[&format!("--faults={spec}")]).complains(&["--faults", spec]);
    }
    refused(&["--fail-rate", "1.5"]).complains(&["fail rate", "1.5"]);
    refused(&["--speed", "0"]).complains(&["speed"]);
    refused(&["--speed", "NaN"]).complains(&["speed"]);
    refused(&["--cache", "long"]).complains(&["--cache"]);
    refused(&["--api", "no-such-api"]).complains(&["no-such-api", "tracker"]);
    refused(&["--seed", "x"]).complains(&["--seed"]);
    jobwatch(&["simulate", "--listen", "nowhere"]).run().exits_with(2).complains(&[
        "--listen",
        "nowhere",
        "127.0.0.1:5000",
    ]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    for signal in ["INT", "TERM"] {
        let running = simulate(&[]).start();
        url_of(&running);
        running.signal(signal);
        let ran = running.finish().exits_with(0);
        assert!(!ran.err.contains("panicked"), "{ran:#?}");
    }
}
