//! `jobwatch submit --wait`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jobwatch_simulator::{Ledger, Simulator};

use crate::backend::{Answer, Backend, code, created, json, simulator, state, with_header};
use crate::program::{Program, sorted, text, tracker};
use crate::wait::{is_job_object, is_summary};

/// Creates and waits, with short delays.
fn submit(url: &str, flags: &[&str]) -> Program {
    tracker("submit", url, &["--wait", "--min-delay", "10ms", "--max-delay", "100ms"]).args(flags)
}

fn ids(simulator: &Simulator) -> Vec<String> {
    simulator.ledger().jobs.iter().map(|job| job.id.to_string()).collect()
}

#[test]
fn each_id_comes_before_its_outcome() {
    let simulator = simulator("uniform:5..10").fail_rate(0.3).speed(20.0).seed(4).start().unwrap();
    let ran = submit(&simulator.url(), &["--count", "10"]).run().exits_with(1);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 20);
    for id in ids(&simulator) {
        let told: Vec<_> = lines.iter().filter(|line| line.split('\t').next() == Some(&id)).collect();
        assert!(told.len() == 2 && *told[0] == id && told[1].split('\t').count() == 3, "{told:?}");
    }
    ran.complains(&["10 jobs: "]);
}

#[test]
fn json_tells_what_is_created_then_what_became_of_it_then_a_summary() {
    let simulator = simulator("constant:4").speed(20.0).start().unwrap();
    let ran = submit(&simulator.url(), &["--count", "5", "--json", "--quiet"]).run().exits_with(0);
    let mut lines = ran.json();
    let summary = lines.pop().unwrap();
    assert_eq!((&summary["type"], &summary["summary"]["jobs"]), (&"summary".into(), &5.into()));
    is_summary(&summary["summary"]);
    let (made, ended): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["type"] == "created");
    assert_eq!(made.iter().map(|line| text(&line["id"])).collect::<Vec<_>>(), ids(&simulator));
    for job in &ended {
        is_job_object(job);
    }
    assert_eq!(sorted(ended.iter().map(|job| text(&job["id"]).to_owned())), sorted(ids(&simulator)));
    assert_eq!(ran.err, "");
}

#[test]
fn no_job_is_waited_for_where_none_is_wanted() {
    let ran = submit("http://127.0.0.1:9", &["--count", "0", "--json"]).run().exits_with(0);
    let (jobs, summary) = ran.report();
    assert!(jobs.is_empty() && summary["jobs"] == 0);
}

#[test]
fn jobs_that_were_created_before_a_failure_are_waited_for() {
    for (status, exit) in [(500, 4), (429, 4), (400, 4), (401, 3), (403, 3)] {
        let backend = Backend::start(move |asked| match (asked.method.as_str(), asked.earlier) {
            ("POST", 0) => created("first"),
            ("POST", _) => code(status),
            _ => state("completed"),
        });
        let ran = submit(&backend.url(), &["--count", "3"]).run().exits_with(exit);
        assert_eq!(ran.out, "first\nfirst\tsucceeded\tcompleted\n");
        ran.complains(&["create 2 of 3 failed", &status.to_string(), "1 succeeded"]);
        assert_eq!(backend.asked().iter().filter(|asked| asked.method == "POST").count(), 2);
    }
}

#[test]
fn jobs_of_a_create_that_failed_in_part_are_told_and_waited_for() {
    for flags in [&["--wait"][..], &[]] {
        let backend = Backend::start(|asked| match asked.method.as_str() {
            "POST" => json(r#"{"job_id":["good",{},"better"]}"#),
            _ => state("completed"),
        });
        let ran = tracker("submit", &backend.url(), flags).run().exits_with(4);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines[..2], ["good", "better"], "{ran:#?}");
        assert_eq!(lines.len(), if flags.is_empty() { 2 } else { 4 });
        ran.complains(&["failed"]);
    }
}

/// The most jobs that were unfinished at once.
fn most_at_once(ledger: &Ledger) -> usize {
    let jobs = &ledger.jobs;
    let at_once =
        |instant: u64| jobs.iter().filter(move |job| job.created_at_ns <= instant && job.ended_at_ns > instant);
    jobs.iter().map(|job| at_once(job.created_at_ns).count()).max().unwrap_or_default()
}

#[test]
fn no_more_jobs_than_wanted_are_unfinished_at_once() {
    let simulator = simulator("uniform:1..3").speed(20.0).max_active(3).start().unwrap();
    let ran = submit(&simulator.url(), &["--count", "12", "--max-active", "3", "--quiet"]).run().exits_with(0);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (24, ""));
    let ledger = simulator.ledger();
    assert_eq!((ledger.jobs_created, most_at_once(&ledger)), (12, 3));
    let creates = ledger.requests.iter().filter(|entry| &*entry.method == "POST").count();
    assert_eq!(creates, 12, "none was refused");
}

#[test]
fn a_create_that_finds_no_place_is_tried_again() {
    let simulator = simulator("uniform:1..3").speed(20.0).max_active(2).start().unwrap();
    let ran = submit(&simulator.url(), &["--count", "8", "--max-active", "5"]).run().exits_with(0);
    assert_eq!(ran.out.lines().count(), 16);
    ran.complains(&["no place for another job yet", "8 jobs: 8 succeeded"]);
    let ledger = simulator.ledger();
    assert_eq!((ledger.jobs_created, most_at_once(&ledger)), (8, 2));
}

#[test]
fn a_backend_without_a_place_is_tried_again_though_no_job_ends() {
    let backend = Backend::start(|asked| match (asked.method.as_str(), asked.earlier) {
        ("POST", 0) => code(429),
        ("POST", _) => created("j"),
        _ => state("completed"),
    });
    submit(&backend.url(), &["--max-active", "1"]).run().exits_with(0);
}

#[test]
fn a_throttled_create_waits_as_long_as_it_is_told() {
    let backend = Backend::start(|asked| match (asked.method.as_str(), asked.earlier) {
        ("POST", 0) => with_header(429, "retry-after: 2"),
        ("POST", _) => created("j"),
        _ => state("completed"),
    });
    let begun = Instant::now();
    submit(&backend.url(), &["--max-active", "1"]).run().exits_with(0);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// The same status, and nothing that passes: no further create is sent.
#[test]
fn a_refusal_for_good_is_not_tried_again() {
    let backend = Backend::start(|_| with_header(429, "x-should-retry: false"));
    submit(&backend.url(), &["--max-active", "1"]).run().exits_with(4).complains(&["no job was created", "429"]);
    assert_eq!(backend.asked().len(), 1);
}

#[test]
fn a_backend_that_never_has_a_place_is_given_up_in_time() {
    let backend = Backend::start(|_| code(429));
    let ran = submit(&backend.url(), &["--max-active", "1", "--timeout", "100ms"]).run().exits_with(4);
    ran.prints_nothing().complains(&["no job was created", "429"]);
}

#[test]
fn a_job_of_unknown_end_keeps_its_place() {
    let backend =
        Backend::start(|asked| if asked.method == "POST" { created(asked.earlier) } else { state("pending") });
    let flags = ["--count", "3", "--max-active", "1", "--timeout", "100ms"];
    let ran = submit(&backend.url(), &flags).run().exits_with(4);
    assert_eq!(backend.asked().iter().filter(|asked| asked.method == "POST").count(), 1);
    assert_eq!(ran.out.lines().count(), 2);
    ran.complains(&["--max-active leaves no room beside 1 job", "2 creates", "jobwatch wait --api tracker"]);
}

#[test]
fn one_create_of_many_jobs_waits_for_all_places() {
    let (made, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let backend = Backend::start(move |asked| {
        if asked.method == "POST" {
            let number = made.fetch_add(1, Ordering::SeqCst);
            assert_eq!(open.swap(3, Ordering::SeqCst), 0, "jobs were unfinished");
            return json(format!(r#"{{"job_id":["{number}a","{number}b","{number}c"]}}"#));
        }
        open.fetch_sub(1, Ordering::SeqCst);
        state("completed")
    });
    let ran = submit(&backend.url(), &["--count", "3", "--max-active", "2"]).run().exits_with(0);
    assert_eq!(ran.out.lines().count(), 18);
}

#[test]
fn an_id_that_is_created_twice_is_waited_for_once() {
    let backend = Backend::start(|asked| if asked.method == "POST" { created("j") } else { state("completed") });
    let ran = submit(&backend.url(), &["--count", "3"]).run().exits_with(0);
    assert_eq!(ran.out.lines().filter(|line| line.contains("succeeded")).count(), 1, "{ran:#?}");
}

#[test]
fn flags_about_waiting_need_a_wait() {
    let backend = Backend::start(|_| created("j"));
    for flags in [
        &["--timeout", "1m"][..],
        &["--min-delay", "1s"],
        &["--schedule", "constant"],
        &["--max-polls", "3"],
        &["--concurrency", "3"],
        &["--overall-timeout", "1m"],
        &["--save-results", "results"],
        &["--max-active", "2"],
    ] {
        let ran = tracker("submit", &backend.url(), flags).run().exits_with(2).prints_nothing();
        ran.complains(&["--wait"]);
    }
    assert!(backend.asked().is_empty());
}

#[test]
fn the_overall_limit_stops_waiting_and_creating() {
    let backend = Backend::start(|asked| match (asked.method.as_str(), asked.earlier) {
        ("POST", 0) => created("a"),
        ("POST", _) => code(429),
        _ => state("pending"),
    });
    let flags = ["--count", "2", "--max-active", "2", "--overall-timeout", "300ms"];
    let ran = submit(&backend.url(), &flags).run().exits_with(4);
    assert!(ran.out.starts_with("a\na\tstopped\t"), "{ran:#?}");
    ran.complains(&["1 create", "jobwatch wait"]);
}

#[cfg(unix)]
#[test]
fn a_signal_tells_what_is_unfinished_and_how_to_go_on() {
    let simulator = simulator("constant:1000000").start().unwrap();
    let running = submit(&simulator.url(), &["--count", "3"]).start();
    crate::program::eventually("a look at each job", || {
        let ledger = simulator.ledger();
        ledger.jobs.len() == 3 && ledger.jobs.iter().all(|job| ledger.requests_for(&job.id).nth(1).is_some())
    });
    running.signal("INT");
    let ran = running.finish().exits_with(130);
    let made = ids(&simulator);
    assert_eq!(ran.out.lines().take(3).collect::<Vec<_>>(), made);
    assert!(made.iter().all(|id| ran.out.contains(&format!("{id}\tstopped\t"))), "{ran:#?}");
    ran.complains(&["jobwatch wait --api tracker --base-url", &made[0], &made[1], &made[2]]);
}

#[cfg(unix)]
#[test]
fn a_create_under_way_is_waited_for_a_little_when_a_signal_comes() {
    let posts = |backend: &Backend| backend.asked().iter().filter(|asked| asked.method == "POST").count();
    let start = |flags: &[&str]| {
        let backend = Backend::start(|asked| match (asked.method.as_str(), asked.earlier) {
            ("POST", 0) => created("a"),
            ("POST", _) => Answer::Hangs,
            _ => state("pending"),
        });
        let running = tracker("submit", &backend.url(), &["--count", "2"]).args(flags).start();
        crate::program::eventually("a create that hangs", || posts(&backend) == 2);
        running.signal("TERM");
        (backend, running)
    };
    for (_backend, running) in [start(&["--wait"]), start(&[])] {
        let ran = running.finish().exits_with(143).complains(&["may have made a job"]);
        assert!(ran.out.starts_with("a\n"), "{ran:#?}");
    }
}

#[cfg(unix)]
#[test]
fn a_job_that_is_created_at_the_last_moment_is_told() {
    let backend = Backend::start(|asked| {
        // The answer comes when the signal has come, or a little later.
        std::thread::sleep(std::time::Duration::from_millis(300));
        if asked.method == "POST" { created(asked.earlier) } else { state("pending") }
    });
    let running = submit(&backend.url(), &["--count", "1000"]).start();
    backend.wait_for(1);
    running.signal("INT");
    let ran = running.finish().exits_with(130);
    let made = backend.asked().iter().filter(|asked| asked.method == "POST").count();
    assert_eq!(ran.out.lines().filter(|line| line.contains("\tstopped\t")).count(), made, "{ran:#?}");
}
