//! `jobwatch wait -`: ids that come in their own time, and outcomes that do not wait for the last of them.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::backend::{Backend, created, state};
use crate::program::{Input, Running, jobwatch, sorted, text, tracker};
use crate::wait::is_summary;

/// Jobs whose ids begin with `late` go on for ever.
fn backend() -> Backend {
    Backend::start(|asked| match asked.id() {
        id if id.starts_with("late") => state("pending"),
        id if id.starts_with("bad") => state("error"),
        _ => state("completed"),
    })
}

fn wait(backend: &Backend, flags: &[&str]) -> (Running, Input) {
    tracker("wait", &backend.url(), flags).args(&["-"]).start_open()
}

#[test]
fn each_id_is_waited_for_as_its_line_comes() {
    let backend = backend();
    let (running, mut input) = wait(&backend, &[]);
    for number in 0..5 {
        input.line(&format!("job-{number}"));
        running.out().wait_for(|line| line == format!("job-{number}\tsucceeded\tcompleted"));
    }
    // The same again is no other job.
    input.line("job-0");
    input.line("bad");
    running.out().wait_for(|line| line.starts_with("bad\t"));
    drop(input);
    let ran = running.finish().exits_with(1).complains(&["6 jobs: 5 succeeded, 1 failed; 6 requests"]);
    assert_eq!(ran.rows().len(), 6);
    assert_eq!(backend.asked().len(), 6);
}

#[test]
fn arguments_do_not_wait_for_standard_input() {
    let backend = backend();
    let (running, mut input) = wait(&backend, &["--json", "argument"]);
    running.out().wait_for(|line| line.contains("argument"));
    input.line("line");
    drop(input);
    let (jobs, summary) = running.finish().exits_with(0).report();
    is_summary(&summary);
    assert_eq!(sorted(jobs.iter().map(|job| text(&job["id"]))), ["argument", "line"]);
}

#[test]
fn what_submit_creates_is_told_while_it_creates() {
    // The second create is answered once the first job's outcome has been read.
    let (told, answered) = std::sync::mpsc::channel::<()>();
    let answered = std::sync::Mutex::new(answered);
    let backend = Backend::start(move |asked| match asked.method.as_str() {
        "POST" => {
            if asked.earlier > 0 {
                let _ = answered.lock().unwrap().recv();
            }
            created(format!("job-{}", asked.earlier))
        }
        _ => state("completed"),
    });
    let program = env!("CARGO_BIN_EXE_jobwatch");
    let at = ["--api", "tracker", "--base-url", &backend.url()];
    let mut submit = Command::new(program)
        .arg("submit")
        .args(at)
        .args(["--count", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let created = submit.stdout.take().expect("a pipe");
    let mut wait = Command::new(program)
        .args(["wait", "--quiet", "-"])
        .args(at)
        .stdin(created)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut outcomes = wait.stdout.take().expect("a pipe");
    let mut first = [0; 6];
    outcomes.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"job-0\t");
    told.send(()).unwrap();
    let mut rest = String::new();
    outcomes.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().filter(|line| line.contains("succeeded\tcompleted")).count(), 2, "{rest}");
    assert!(submit.wait().unwrap().success() && wait.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_signal_does_not_wait_for_the_next_line() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let backend = backend();
        let (running, mut input) = wait(&backend, &["--json"]);
        input.line("late");
        input.line("good");
        running.out().wait_for(|line| line.contains("good"));
        running.signal(signal);
        let ran = running.finish().exits_with(status);
        let (jobs, summary) = ran.report();
        assert_eq!(sorted(jobs.iter().map(|job| text(&job["outcome"]))), ["stopped", "succeeded"]);
        assert_eq!(summary["jobs"], 2);
        ran.complains(&["standard input was not read to its end", "to go on waiting", " late"]);
        drop(input);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_before_the_first_line_ends_it_too() {
    let backend = backend();
    let (running, input) = wait(&backend, &["good"]);
    running.out().wait_for_lines(1);
    running.signal("INT");
    running.finish().exits_with(130);
    drop(input);
}

#[test]
fn the_overall_limit_holds_while_more_may_come() {
    let backend = backend();
    let (running, mut input) = wait(&backend, &["--overall-timeout", "1500ms"]);
    input.line("good");
    input.line("late");
    let ran = running.finish().exits_with(4);
    assert_eq!(ran.ends(), [("good", "succeeded"), ("late", "stopped")]);
    ran.complains(&["standard input was not read to its end"]);
    drop(input);
}

#[test]
fn the_overall_limit_holds_before_the_first_line() {
    for flags in [&["--base-url", "http://127.0.0.1:9"][..], &[]] {
        let program = jobwatch(&["wait", "--api", "tracker", "--overall-timeout", "100ms", "-"]);
        let (running, input) = program.args(flags).start_open();
        running.finish().exits_with(4).prints_nothing().complains(&["standard input was not read to its end"]);
        drop(input);
    }
}

#[test]
fn the_first_address_tells_where_the_backend_is() {
    let backend = backend();
    let (running, mut input) = jobwatch(&["wait", "--api", "tracker", "-"]).start_open();
    let addresses = ["a", "b"].map(|id| format!("{}/status/{id}", backend.url()));
    for address in &addresses {
        input.line(address);
        running.out().wait_for(|line| line.starts_with(address));
    }
    drop(input);
    let ran = running.finish().exits_with(0);
    assert_eq!(ran.rows().len(), 2);
}

#[test]
fn a_first_id_without_a_backend_is_told_at_once() {
    let (running, mut input) = jobwatch(&["wait", "--api", "tracker", "-"]).start_open();
    input.line("a");
    running.finish().exits_with(2).prints_nothing().complains(&["--base-url"]);
    drop(input);
}

#[test]
fn a_bad_line_is_told_at_once_and_ends_the_reading_alone() {
    let backend = backend();
    let long = "x".repeat(9_000);
    for bad in ["..", "a\u{7}b", &long] {
        let (running, mut input) = wait(&backend, &[]);
        input.line("before");
        input.line(bad);
        input.line("after");
        running.err.wait_for(|line| line.contains("line 2 of standard input"));
        let ran = running.finish().exits_with(2);
        assert_eq!(ran.ends(), [("before", "succeeded")]);
        drop(input);
    }
}

#[test]
fn refused_credentials_outweigh_a_bad_line_and_a_bad_line_an_unknown_end() {
    for (status, expected) in [(403, 3), (500, 2)] {
        let backend = Backend::start(move |_| crate::backend::code(status));
        let flags = ["--max-failures", "1", "-"];
        let ran = tracker("wait", &backend.url(), &flags).input("a\n..\n").run().exits_with(expected);
        assert_eq!(ran.rows().len(), 1);
    }
}

#[test]
fn many_jobs_are_told_in_figures_where_there_is_no_terminal() {
    let backend = backend();
    let (running, mut input) = wait(&backend, &["--rate", "100000/s", "--overall-timeout", "1m", "late"]);
    for number in 0..1_000 {
        input.line(&format!("job-{number}"));
    }
    running.err.wait_for(|line| line.contains(" unfinished, ") && line.ends_with(" so far"));
    running.out().wait_for_lines(1_000);
    drop(input);
    // The job that goes on for ever is left to the guard of the test.
    let so_far = running.err.so_far().lines().count();
    assert!(so_far < 300, "{so_far} lines on standard error");
}

#[test]
fn twenty_thousand_ids() {
    let backend = Backend::start(|_| state("completed"));
    let mut ids = Vec::new();
    for number in 0..20_000 {
        writeln!(ids, "job-{number}").unwrap();
    }
    let ids = String::from_utf8(ids).unwrap();
    let flags = ["--quiet", "--rate", "1000000/s", "--concurrency", "64", "-"];
    let ran = tracker("wait", &backend.url(), &flags).input(ids).run().exits_with(0);
    assert_eq!(ran.out.lines().count(), 20_000);
    assert_eq!(ran.err, "");
}
