//! `jobwatch compare`: rules played on durations.

use serde_json::Value;

use crate::program::{Scratch, jobwatch, text};

fn played(arguments: &[&str]) -> Vec<Value> {
    let ran = jobwatch(&["compare", "--json"]).args(arguments).run().exits_with(0);
    assert_eq!(ran.err, "");
    ran.json()
}

fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("no {field} in {line}"))
}

#[test]
fn every_policy_is_played_on_the_same_jobs() {
    let lines = played(&["--durations", "uniform:20..40", "--jobs", "300"]);
    let names: Vec<_> = lines.iter().map(|line| text(&line["policy"])).collect();
    let expected =
        "tracker heygen-cli heygen-guide aws-waiter google-lro azure-lro openai-sdk k8s exponential learned oracle";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
    for line in &lines {
        assert!(line["v"] == 1 && line["type"] == "policy" && line["jobs"] == 300, "{line}");
        let (mean, p50, p99, max) = ("delay_mean_s", "delay_p50_s", "delay_p99_s", "delay_max_s");
        assert!(number(line, p50) <= number(line, p99) && number(line, p99) <= number(line, max), "{line}");
        let cost = number(line, mean) + 2.0 * number(line, "requests_per_job");
        assert!((number(line, "cost_s") - cost).abs() < 1e-9, "{line}");
    }
    let cost = |name: &str| number(lines.iter().find(|line| line["policy"] == name).unwrap(), "cost_s");
    assert!(cost("learned") < cost("exponential") && cost("exponential") < cost("k8s"));
}

/// What the original client measures with jobs of 20 to 40 s.
#[test]
fn the_tracker_reproduces_its_own_measurement() {
    let lines = played(&["--durations", "uniform:20..40", "--policies", "tracker", "--jobs", "4000"]);
    assert!((number(&lines[0], "requests_per_job") - 7.8).abs() < 0.1, "{}", lines[0]);
    assert!((number(&lines[0], "delay_mean_s") - 12.3).abs() < 0.4, "{}", lines[0]);
}

#[test]
fn the_same_seed_plays_the_same() {
    let run = |seed: &str| {
        played(&["--durations", "exponential:60", "--policies", "learned,fixed:7s", "--jobs", "60", "--seed", seed])
    };
    assert_eq!(run("3"), run("3"));
    assert_ne!(run("3"), run("4"));
}

#[test]
fn a_file_is_played_in_its_order_and_its_length() {
    let scratch = Scratch::new();
    let path = scratch.file("durations", "30\n1m\n# a remark\n90\n");
    let lines = played(&["--durations", &path, "--policies", "fixed:20s"]);
    assert_eq!(lines[0]["jobs"], 3);
    // Looks at 20 and 40; at 60; at 100.
    assert!((number(&lines[0], "requests_per_job") - (2.0 + 3.0 + 5.0) / 3.0).abs() < 1e-9, "{}", lines[0]);
    assert!((number(&lines[0], "delay_mean_s") - (10.0 + 0.0 + 10.0) / 3.0).abs() < 1e-9, "{}", lines[0]);
}

#[test]
fn behind_a_limit_looks_stand_in_line() {
    let arguments = ["--durations", "constant:10", "--policies", "k8s", "--jobs", "200"];
    let free = played(&arguments);
    let limited = played(&[&arguments[..], &["--rate", "10/s", "--arrivals", "5/s"]].concat());
    assert!(number(&limited[0], "delay_mean_s") > 2.0 * number(&free[0], "delay_mean_s"), "{free:?} {limited:?}");
}

#[test]
fn people_get_a_table_within_80_columns() {
    let ran = jobwatch(&["compare", "--durations", "constant:5", "--jobs", "20"]).run().exits_with(0);
    assert!(ran.out.lines().all(|line| line.trim_end().chars().count() <= 80), "{}", ran.out);
    assert!(ran.out.contains("learned") && ran.out.contains("cost: the mean delay"), "{}", ran.out);
}

#[test]
fn what_cannot_be_played_is_refused() {
    for (arguments, says) in [
        (vec!["--durations", "gaussian:3"], "--durations"),
        (vec!["--durations", "no-such-file"], "--durations"),
        (vec!["--durations", "constant:5", "--policies", "best"], "there is no policy \"best\""),
        (vec!["--durations", "constant:5", "--policies", "fixed:0s"], "fixed:30s"),
        (vec!["--durations", "constant:5", "--rate", "5/s"], "go together"),
        (vec!["--durations", "constant:5", "--request-cost", "0s"], "request cost"),
        (vec!["--durations", "constant:5", "--min-delay", "0s"], "minimum delay"),
        (vec![], "--durations"),
    ] {
        let ran = jobwatch(&["compare"]).args(&arguments).run().exits_with(2);
        assert!(ran.err.contains(says), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out, "");
    }
}
