//! `jobwatch demo`.

use crate::program::{jobwatch, number, sorted, text};
use crate::wait::{is_job_object, is_summary};

#[test]
fn json_has_each_job_and_a_summary_in_simulated_seconds() {
    let ran = jobwatch(&["demo", "--json", "--jobs", "8", "--speed", "50", "--seed", "1"]).run().exits_with(0);
    let (jobs, summary) = ran.report();
    jobs.iter().for_each(is_job_object);
    is_summary(&summary);
    assert_eq!((jobs.len(), &summary["jobs"]), (8, &8.into()));
    let mut ids = sorted(jobs.iter().map(|job| text(&job["id"])));
    ids.dedup();
    assert_eq!(ids.len(), 8);
    // Jobs take 20 to 40 simulated seconds, less than one real one.
    assert!(number(&summary["wall_s"]) >= 20.0, "{summary}");
    assert!(jobs.iter().any(|job| number(&job["elapsed_s"]) >= 10.0), "{jobs:?}");
    for job in &jobs {
        assert!(number(&job["detection_delay_s"]) >= 0.0, "{job}");
        assert!(["succeeded", "failed"].contains(&text(&job["outcome"])), "{job}");
    }
}

#[test]
fn text_has_a_table_and_the_figures() {
    let ran = jobwatch(&["demo", "--jobs", "5", "--speed", "50", "--seed", "2"]).run().exits_with(0);
    for word in ["job", "outcome", "took", "noticed", "requests"] {
        assert!(ran.out.lines().next().unwrap().contains(word), "{}", ran.out);
    }
    let rows = ran.out.lines().filter(|line| line.contains('✔') || line.contains('✘')).count();
    assert_eq!(rows, 5, "{}", ran.out);
    for figure in ["requests made", "detection delay", "response time", "p99", "mean", "succeeded", "failed", "jobs"] {
        assert!(ran.out.contains(figure), "no {figure} in {}", ran.out);
    }
    ran.complains(&["5 jobs", "50 times as fast", "seed 2"]);
}

#[test]
fn a_seed_repeats_ids_and_outcomes() {
    let ends = |seed| {
        let ran = jobwatch(&["demo", "--json", "--speed", "100", "--seed", seed]).run().exits_with(0);
        sorted(ran.report().0.iter().map(|job| (text(&job["id"]).to_owned(), text(&job["outcome"]).to_owned())))
    };
    let first = ends("4");
    assert_eq!(first.len(), 12);
    assert_eq!(first, ends("4"));
    assert_ne!(first, ends("5"));
}

#[test]
fn faults_are_ridden_out() {
    let flags = ["--faults", "0.3", "--jobs", "20", "--speed", "20", "--seed", "7", "--json"];
    let ran = jobwatch(&["demo"]).args(&flags).run().exits_with(0);
    let (jobs, summary) = ran.report();
    assert_eq!(jobs.len(), 20);
    assert!(number(&summary["failed_requests"]) > 0.0, "{summary}");
    assert!(number(&summary["request_success_rate"]) < 1.0, "{summary}");
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(count("succeeded") + count("failed"), 20);
}

#[test]
fn no_jobs_are_soon_done() {
    let ran = jobwatch(&["demo", "--jobs", "0", "--json"]).run().exits_with(0);
    let (jobs, summary) = ran.report();
    assert!(jobs.is_empty());
    is_summary(&summary);
    jobwatch(&["demo", "--jobs", "0"]).run().exits_with(0).complains(&["0 jobs"]);
}

#[test]
fn one_job_is_a_job() {
    let ran = jobwatch(&["demo", "--jobs", "1", "--speed", "100"]).run().exits_with(0);
    ran.complains(&["1 job of 20 to 40 s"]);
}

#[test]
fn wrong_values_are_named() {
    for speed in ["0", "-1", "NaN", "inf", "fast", "1e300", "5000"] {
        let ran = jobwatch(&["demo", &format!("--speed={speed}")]).run();
        assert_eq!(ran.code, Some(2), "{speed} {ran:#?}");
        ran.prints_nothing().complains(&["speed"]);
    }
    jobwatch(&["demo", "--faults", "7"]).run().exits_with(2).complains(&["--faults", "7"]);
    jobwatch(&["demo", "--jobs", "many"]).run().exits_with(2).complains(&["--jobs", "many"]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_with_what_is_unfinished() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let running = jobwatch(&["demo", "--jobs", "3", "--speed", "1", "--json", "--verbose"]).start();
        // The jobs are being created.
        running.err.wait_for(|line| line.contains("answered status=200"));
        running.signal(signal);
        let ran = running.finish().exits_with(status);
        let (jobs, summary) = ran.report();
        assert_eq!(jobs.len(), 3);
        assert!(jobs.iter().all(|job| job["outcome"] == "stopped"), "{ran:#?}");
        assert_eq!(summary["stopped"], 3);
        ran.complains(&["not known to have ended: 3"]);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_the_table_to_people() {
    let running = jobwatch(&["demo", "--jobs", "2", "--speed", "1", "--verbose"]).start();
    running.err.wait_for(|line| line.contains("answered status=200"));
    running.signal("INT");
    let ran = running.finish().exits_with(130);
    assert_eq!(ran.out.matches("? stopped").count(), 2, "{}", ran.out);
}
