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

/// The named rules stay what they are, and the schedule that a flag asks for is played beside them.
#[test]
fn a_schedule_of_ones_own_is_played_beside_the_others() {
    let durations = ["--durations", "constant:95", "--policies", "exponential,heygen-guide", "--jobs", "5"];
    let usual = played(&durations);
    let lines = played(&[&durations[..], &["--schedule", "steps:30s@0,60s@1m"]].concat());
    assert_eq!(lines[..2], usual[..]);
    assert_eq!(lines[2]["policy"], "steps:30s@0s,1m@1m");
    // Looks at 30 and 60, and at 120.
    assert!((number(&lines[2], "requests_per_job") - 3.0).abs() < 1e-9, "{}", lines[2]);
    assert!((number(&lines[2], "delay_mean_s") - 25.0).abs() < 1e-6, "{}", lines[2]);
    let lines = played(&[&durations[..], &["--jitter", "none", "--factor", "2"]].concat());
    // Looks at 1, 3, 7, 15, 31, 63, 123.
    assert!((number(&lines[0], "requests_per_job") - 7.0).abs() < 1e-9, "{}", lines[0]);
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

/// The texts of a picture, and how many curves it has.
fn drawn(arguments: &[&str]) -> (Vec<String>, usize) {
    let scratch = Scratch::new();
    let path = scratch.path("compare.svg");
    jobwatch(&["compare", "--svg", &path]).args(arguments).run().exits_with(0);
    let svg = scratch.read("compare.svg");
    assert!(svg.len() < 60_000 && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    let picture = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    let texts = picture.descendants().filter(|node| node.has_tag_name("text")).filter_map(|node| node.text());
    let texts = texts.map(|text| text.trim().to_owned()).collect();
    let curves = picture.descendants().filter(|node| node.has_tag_name("polyline"));
    (
        texts,
        curves.filter(|node| node.attribute("points").is_some_and(|points| points.matches(',').count() > 5)).count(),
    )
}

#[test]
fn the_picture_names_every_policy() {
    let (texts, curves) = drawn(&["--durations", "uniform:20..40", "--jobs", "30"]);
    for line in played(&["--durations", "uniform:20..40", "--jobs", "30"]) {
        let name = text(&line["policy"]);
        assert!(texts.iter().any(|text| text == name || text.starts_with(&format!("{name}: "))), "{name}: {texts:?}");
    }
    assert_eq!(curves, 2);
    for told in ["learned 0.25 s", "oracle 30 s", "requests for each job", "mean delay until the end is noticed"] {
        assert!(texts.iter().any(|text| text == told), "no {told:?} in {texts:?}");
    }
    // What is far from the others stands at the edge with its numbers.
    assert!(texts.iter().any(|text| text.starts_with("k8s: ")), "{texts:?}");
}

#[test]
fn a_picture_of_few_or_odd_policies_is_drawn() {
    for (policies, durations, curves) in
        [("k8s", "constant:5", 0), ("fixed:5s", "constant:5", 0), ("learned,fixed:1h", "exponential:60", 1)]
    {
        let (texts, drawn) = drawn(&["--durations", durations, "--policies", policies, "--jobs", "20"]);
        assert_eq!(drawn, curves, "{policies}");
        for name in policies.split(',') {
            assert!(texts.iter().any(|text| text.starts_with(name)), "{name}: {texts:?}");
        }
    }
    let (texts, curves) = drawn(&[
        "--durations",
        "constant:10",
        "--policies",
        "k8s,learned",
        "--jobs",
        "50",
        "--rate",
        "10/s",
        "--arrivals",
        "5/s",
    ]);
    assert!(curves == 0 && texts.iter().any(|text| text.contains("at most 10 requests a second")), "{texts:?}");
}

#[test]
fn a_picture_that_cannot_be_written_is_local_trouble() {
    let ran = jobwatch(&["compare", "--durations", "constant:5", "--policies", "k8s", "--svg", "/no/such/place.svg"]);
    ran.run().exits_with(5).prints_nothing().complains(&["cannot write", "/no/such/place.svg"]);
}

#[test]
fn what_cannot_be_played_is_refused() {
    for (arguments, says) in [
        (vec!["--durations", "gaussian:3"], "--durations"),
        (vec!["--durations", "no-such-file"], "--durations: there is no such file"),
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
