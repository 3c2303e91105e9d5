//! Each policy flag can be seen from the outside.
//!
//! Waits are told apart by how a wait ends, where one schedule spends its looks long before the time that another needs
//! for its second.

use jobwatch_simulator::Simulator;
use serde_json::Value;

use crate::backend::{Backend, code, simulator, state, with_header};
use crate::program::{Ran, jobwatch, number, submit, text, tracker};

/// Waits for one job that never ends.
fn wait_for_ever(flags: &[&str]) -> (Value, Vec<f64>) {
    let simulator = simulator("constant:1000000").start().expect("a simulator");
    let ids = submit(&simulator.url(), 1);
    let program = jobwatch(&["wait", "--api", "tracker", "--base-url", &simulator.url(), "--json", &ids[0]]);
    let ran = program.args(flags).run().exits_with(4);
    (ran.job(), gaps(&simulator, &ids[0]))
}

/// The seconds between two looks at a job.
#[allow(clippy::cast_precision_loss)] // of nanoseconds
fn gaps(simulator: &Simulator, id: &str) -> Vec<f64> {
    let ledger = simulator.ledger();
    let looks: Vec<u64> =
        ledger.requests_for(id).filter(|entry| &*entry.method == "GET").map(|entry| entry.at_ns).collect();
    looks.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect()
}

#[track_caller]
fn ended(job: &Value, outcome: &str, requests: u64) {
    assert_eq!((text(&job["outcome"]), job["requests"].as_u64()), (outcome, Some(requests)), "{job}");
}

/// The wait ended since no look was left, long before its deadline.
#[track_caller]
fn looks_spent(job: &Value, requests: u64) {
    ended(job, "timed_out", requests);
    assert!(text(&job["error"]).contains("looks"), "{job}");
}

/// The wait ended with a look at its deadline.
#[track_caller]
fn deadline_passed(job: &Value, requests: u64) {
    ended(job, "timed_out", requests);
    assert!(!text(&job["error"]).contains("looks"), "{job}");
}

#[test]
fn max_polls_counts_looks() {
    let (job, gaps) = wait_for_ever(&["--max-polls", "3", "--min-delay", "20ms", "--max-delay", "50ms"]);
    looks_spent(&job, 3);
    assert_eq!(gaps.len(), 2);
    assert!(gaps.iter().all(|gap| *gap >= 0.02), "{gaps:?}");
    looks_spent(&wait_for_ever(&["--max-polls", "1"]).0, 1);
}

#[test]
fn max_failures_counts_failures_in_a_row() {
    let backend = Backend::start(|_| code(500));
    let job = tracker("wait", &backend.url(), &["--max-failures", "2", "--json", "j"]).run().exits_with(4).job();
    ended(&job, "gave_up", 2);
    assert_eq!(job["failed_requests"], 2);
    assert!(text(&job["error"]).contains("500"), "{job}");
    // One good answer between failures begins anew.
    let backend = Backend::start(|asked| match asked.earlier {
        1 | 3 => state("pending"),
        0 | 2 => code(500),
        _ => state("completed"),
    });
    tracker("wait", &backend.url(), &["--max-failures", "2", "j"]).run().exits_with(0);
}

#[test]
fn initial_delay_comes_before_the_first_look() {
    let backend = Backend::start(|_| state("completed"));
    let job = tracker("wait", &backend.url(), &["--initial-delay", "300ms", "--json", "j"]).run().exits_with(0).job();
    ended(&job, "succeeded", 1);
    assert!(number(&job["elapsed_s"]) >= 0.3, "{job}");
    // Without it the first look is at once, or this would end with the final look alone.
    let (job, _) = wait_for_ever(&["--timeout", "1s", "--min-delay", "1m"]);
    deadline_passed(&job, 2);
    let (job, _) = wait_for_ever(&["--timeout", "300ms", "--initial-delay", "1m"]);
    deadline_passed(&job, 1);
}

#[test]
fn a_constant_schedule_does_not_grow() {
    let flags = ["--min-delay", "10ms", "--max-delay", "1h", "--max-polls", "20", "--timeout", "30s"];
    let (job, gaps) = wait_for_ever(&[&flags[..], &["--schedule", "constant"]].concat());
    looks_spent(&job, 20);
    assert!(gaps.iter().all(|gap| *gap >= 0.01), "{gaps:?}");
}

/// Also where nothing has been learned yet.
#[test]
fn a_learned_schedule_keeps_the_bounds() {
    let flags = ["--schedule", "learned", "--request-cost", "100ms", "--min-delay", "10ms", "--max-delay", "30ms"];
    let (job, gaps) = wait_for_ever(&[&flags[..], &["--max-polls", "10", "--timeout", "30s"]].concat());
    looks_spent(&job, 10);
    assert!(gaps.iter().all(|gap| *gap >= 0.01), "{gaps:?}");
}

#[test]
fn an_exponential_schedule_grows_by_its_factor() {
    let flags = ["--schedule", "exponential", "--min-delay", "10ms", "--max-delay", "1h", "--jitter", "none"];
    let (job, gaps) = wait_for_ever(&[&flags[..], &["--factor", "4", "--max-polls", "5"]].concat());
    looks_spent(&job, 5);
    for (gap, least) in gaps.iter().zip([0.01, 0.04, 0.16, 0.64]) {
        assert!(*gap >= least, "{gaps:?}");
    }
    // With so large a factor the third look would come after ten seconds; the final one comes before.
    let (job, _) = wait_for_ever(&[&flags[..], &["--factor", "1000", "--timeout", "3s"]].concat());
    deadline_passed(&job, 3);
}

#[test]
fn max_delay_bounds_the_growth() {
    let flags = ["--min-delay", "10ms", "--max-delay", "20ms", "--factor", "1000", "--max-polls", "10"];
    let (job, gaps) = wait_for_ever(&[&flags[..], &["--timeout", "30s"]].concat());
    looks_spent(&job, 10);
    assert!(gaps.iter().all(|gap| *gap >= 0.01), "{gaps:?}");
}

#[test]
fn steps_go_by_the_age_of_the_job() {
    let flags = ["--min-delay", "10ms", "--max-delay", "1h", "--timeout", "1s"];
    let (job, gaps) = wait_for_ever(&[&flags[..], &["--schedule", "steps:50ms@0,1m@200ms"]].concat());
    assert_eq!(job["outcome"], "timed_out");
    // At 0, 50, 100, 150 and 200 ms at most, and at the deadline.
    let requests = job["requests"].as_u64().unwrap();
    assert!((2..=6).contains(&requests), "{job}");
    assert!(gaps[0] >= 0.05, "{gaps:?}");
}

#[test]
fn without_jitter_the_first_gap_is_the_shortest() {
    // With the default it is half of the next step at the least: half an hour.
    let flags = ["--min-delay", "10ms", "--max-delay", "1h", "--factor", "1000000", "--max-polls", "2"];
    let wait = |jitter: &[&str]| wait_for_ever(&[&flags[..], jitter].concat()).0;
    looks_spent(&wait(&["--jitter", "none"]), 2);
    deadline_passed(&wait(&["--jitter", "equal", "--timeout", "1s"]), 2);
    deadline_passed(&wait(&["--timeout", "1s"]), 2);
}

#[test]
fn full_jitter_reaches_down_to_the_minimum() {
    let backend = Backend::start(|_| state("pending"));
    let flags = ["--min-delay", "10ms", "--max-delay", "1h", "--factor", "40000", "--max-polls", "2", "--quiet"];
    let input: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    let program = tracker("wait", &backend.url(), &flags).args(&["--jitter", "full", "-"]);
    let running = program.input(input.join("\n")).start();
    // The second look at each comes between 10 ms and 400 s after the first: at one of them soon, while half of the
    // step would be more than three minutes.
    running.out().wait_for(|line| line.contains("looks"));
}

#[test]
fn decorrelated_jitter_reaches_to_three_times_the_wait_before() {
    let simulator = simulator("constant:1000000").start().unwrap();
    let ids = submit(&simulator.url(), 40);
    let flags = ["--min-delay", "100ms", "--max-delay", "1h", "--max-polls", "2", "--jitter", "decorrelated", "-"];
    let program = tracker("wait", &simulator.url(), &flags).args(&["--schedule", "exponential"]);
    program.input(ids.join("\n")).run().exits_with(4);
    let gaps: Vec<f64> = ids.iter().flat_map(|id| gaps(&simulator, id)).collect();
    assert_eq!(gaps.len(), 40);
    assert!(gaps.iter().all(|gap| *gap >= 0.1) && gaps.iter().any(|gap| *gap >= 0.15), "{gaps:?}");
}

#[test]
fn max_retry_after_bounds_what_a_server_may_ask_for() {
    let start = || {
        Backend::start(|asked| match asked.earlier {
            0 => with_header(429, "retry-after: 3600"),
            _ => state("completed"),
        })
    };
    let wait = |flags: &[&str]| -> Ran {
        let backend = start();
        tracker("wait", &backend.url(), &["--timeout", "40s", "--json", "j"]).args(flags).run()
    };
    let job = wait(&["--max-retry-after", "50ms"]).exits_with(0).job();
    ended(&job, "succeeded", 2);
    // What is asked for reaches beyond the deadline, and that is told at once.
    let job = wait(&[]).exits_with(4).job();
    deadline_passed(&job, 1);
    assert!(number(&job["elapsed_s"]) < 40.0 && job["error"].is_string(), "{job}");
}

#[test]
fn attempt_timeout_bounds_a_look() {
    let simulator = Simulator::builder().unresponsive(true).start().unwrap();
    let flags = ["--attempt-timeout", "200ms", "--max-failures", "1", "--json", "j"];
    let job = tracker("wait", &simulator.url(), &flags).run().exits_with(4).job();
    ended(&job, "gave_up", 1);
    assert!(number(&job["elapsed_s"]) >= 0.2, "{job}");
}

#[test]
fn concurrency_bounds_requests_in_flight() {
    let backend = Backend::start(|_| crate::backend::Answer::Hangs);
    let flags = ["--concurrency", "3", "--attempt-timeout", "10m", "-"];
    let input: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let running = tracker("wait", &backend.url(), &flags).input(input.join("\n")).start();
    backend.wait_for(3);
    drop(running);
    assert_eq!(backend.asked().len(), 3);
}
