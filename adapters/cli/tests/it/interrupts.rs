//! Ctrl-C and SIGTERM.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{Answer, Backend, code, simulator, state};
use crate::program::{eventually, sorted, submit, text, tracker};
use crate::wait::{is_job_object, is_summary};

#[test]
fn a_signal_prints_what_is_unfinished_the_summary_and_how_to_go_on() {
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let backend = Backend::start(|asked| state(if asked.id() == "good" { "completed" } else { "pending" }));
        let flags = ["--json", "--header", "X-Api-Key: hush-77", "a", "good", "b"];
        let running = tracker("wait", &backend.url(), &flags).start();
        running.out().wait_for_lines(1);
        running.signal(signal);
        let ran = running.finish().exits_with(expected);
        let (jobs, summary) = ran.report();
        jobs.iter().for_each(is_job_object);
        is_summary(&summary);
        let ends = sorted(jobs.iter().map(|job| (text(&job["id"]), text(&job["outcome"]))));
        assert_eq!(ends, [("a", "stopped"), ("b", "stopped"), ("good", "succeeded")]);
        assert_eq!((&summary["stopped"], &summary["succeeded"]), (&2.into(), &1.into()));
        let command = format!("jobwatch wait --api tracker --base-url {} --header 'X-Api-Key: …'", backend.url());
        ran.complains(&[&command, "2 stopped", "to go on waiting"]).never_tells("hush-77");
    }
}

#[test]
fn text_tells_unfinished_jobs_too() {
    let simulator = simulator("constant:1000000").start().unwrap();
    let ids = submit(&simulator.url(), 2);
    let running = tracker("wait", &simulator.url(), &["--quiet", "-"]).input(ids.join("\n")).start();
    eventually("a look at each job", || ids.iter().all(|id| simulator.ledger().requests_for(id).nth(1).is_some()));
    running.signal("INT");
    let ran = running.finish().exits_with(130);
    assert_eq!(ran.ends(), sorted(ids.iter().map(|id| (id.as_str(), "stopped"))));
    ran.complains(&[&ids[0], &ids[1]]);
}

#[test]
fn the_command_that_is_told_goes_on() {
    let over = Arc::new(AtomicBool::new(false));
    let backend = Backend::start({
        let over = Arc::clone(&over);
        move |_| state(if over.load(Ordering::SeqCst) { "completed" } else { "pending" })
    });
    let ids = ["it's a job", "--odd", "$HOME `id`", "plain"];
    let flags = ["--header", "X-Api-Key: ${env:JW_KEY}", "-"];
    let running = tracker("wait", &backend.url(), &flags).input(ids.join("\n")).env("JW_KEY", "k").start();
    backend.wait_for(4);
    running.signal("INT");
    let interrupted = running.finish().exits_with(130);
    let command = interrupted.err.lines().find(|line| line.trim().starts_with("jobwatch wait")).unwrap().trim();

    over.store(true, Ordering::SeqCst);
    let here = std::path::Path::new(env!("CARGO_BIN_EXE_jobwatch")).parent().unwrap();
    let path = format!("{}:{}", here.display(), std::env::var("PATH").unwrap());
    let went_on = Command::new("sh").args(["-c", command]).env("PATH", path).env("JW_KEY", "k").output().unwrap();
    let out = String::from_utf8(went_on.stdout).unwrap();
    let told = sorted(out.lines().map(|line| line.split('\t').next().unwrap_or_default()));
    assert_eq!(told, sorted(ids), "{command}\n{}", String::from_utf8_lossy(&went_on.stderr));
    assert_eq!(went_on.status.code(), Some(0));
    assert!(backend.asked().iter().all(|asked| asked.header("x-api-key") == Some("k")));
}

#[test]
fn a_request_in_flight_does_not_hold_it_up() {
    let backend = Backend::start(|_| Answer::Hangs);
    let running = tracker("wait", &backend.url(), &["--attempt-timeout", "10m", "j"]).start();
    backend.wait_for(1);
    running.signal("TERM");
    assert_eq!(running.finish().exits_with(143).ends(), [("j", "stopped")]);
}

#[test]
fn an_interruption_outweighs_refused_credentials() {
    let backend = Backend::start(|asked| if asked.id() == "refused" { code(403) } else { state("pending") });
    let running = tracker("wait", &backend.url(), &["refused", "late"]).start();
    running.out().wait_for_lines(1);
    running.signal("INT");
    assert_eq!(running.finish().exits_with(130).ends(), [("late", "stopped"), ("refused", "rejected")]);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // More than a pipe holds, and nobody reads it: the first signal's report is stuck.
    let ids: Vec<String> = (0..4_000).map(|number| format!("job-{number}-{}", "x".repeat(100))).collect();
    let backend = Backend::start(|_| Answer::Hangs);
    let (running, stdout) = tracker("wait", &backend.url(), &["--json", "-"]).input(ids.join("\n")).start_unread();
    backend.wait_for(1);
    running.signal("INT");
    let mut stdout = BufReader::with_capacity(1, stdout);
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.contains(r#""outcome":"stopped""#), "{first}");
    running.signal("TERM");
    running.finish().exits_with(143);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("summary") && rest.lines().count() < ids.len(), "it printed everything");
}
