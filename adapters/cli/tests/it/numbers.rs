//! The numbers that the README and the guide show are those that `jobwatch compare` prints.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::{jobwatch, number, text};

/// What a policy came to: requests for each job, mean delay, cost.
type Played = BTreeMap<String, [f64; 3]>;

fn play(durations: &str, policies: &str) -> Played {
    let ran = jobwatch(&["compare", "--json", "--durations", durations, "--policies", policies]).run().exits_with(0);
    let figures = |line: &Value| ["requests_per_job", "delay_mean_s", "cost_s"].map(|field| number(&line[field]));
    ran.json().iter().map(|line| (text(&line["policy"]).to_owned(), figures(line))).collect()
}

/// The rows of the table that begins with this line.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<Vec<&'p str>> {
    let (_, table) = page.split_once(heading).unwrap_or_else(|| panic!("there is no table {heading}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The numbers in a cell, in their order.
fn numbers(cell: &str) -> Vec<f64> {
    let words = cell.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The cell shows these figures, rounded to a decimal; another machine's logarithms may move the last one.
#[track_caller]
fn shows(cell: &str, figures: &[f64]) {
    let shown = numbers(cell);
    assert_eq!(shown.len(), figures.len(), "{cell}");
    for (shown, is) in shown.iter().zip(figures) {
        assert!((shown - is).abs() <= 0.15 + is / 50.0, "{cell} shows {shown}, and it is {is}");
    }
}

#[test]
fn the_guides_table_of_schedules_is_what_compare_prints() {
    let page = include_str!("../../../../src/guide/schedules.md");
    let heading = page.lines().find(|line| line.starts_with("| durations |")).expect("the table is there");
    let policies: Vec<&str> = heading.split('`').skip(1).step_by(2).collect();
    let rows = rows(page, heading);
    assert!(rows.len() >= 6 && policies.len() >= 8, "{policies:?}");
    for row in rows {
        let durations = row[0].split('`').nth(1).expect("the durations are named");
        let played = play(durations, &policies.join(","));
        for (policy, cell) in policies.iter().zip(&row[1..]) {
            shows(cell, &played[*policy]);
        }
    }
}

#[test]
fn the_readmes_first_table_is_what_compare_prints() {
    let page = include_str!("../../../../README.md");
    let heading = page.lines().find(|line| line.starts_with("| jobs that take |")).expect("the table is there");
    let rows = rows(page, heading);
    let durations = ["uniform:20..40", "mix:0.6*lognormal:30,0.2+0.4*lognormal:600,0.2", "lognormal:480,0.5"];
    assert_eq!(rows.len(), durations.len());
    for (row, durations) in rows.iter().zip(durations) {
        let played = play(durations, "tracker,fixed:10s,learned,oracle");
        for (policy, cell) in ["tracker", "fixed:10s", "learned", "oracle"].iter().zip(&row[1..]) {
            shows(cell, &played[*policy][..2]);
        }
    }
}

#[test]
fn the_first_chapters_last_sentence_is_what_compare_prints() {
    let page = include_str!("../../../../src/guide/ten_lines.md");
    let (_, sentence) = page.split_once("with jitter, makes ").expect("the loop is compared");
    let (theirs, ours) = sentence.split_once("this one makes ").expect("and ours");
    let played = play("uniform:20..40", "tracker,learned");
    shows(theirs, &played["tracker"][..2]);
    shows(ours.split_once(" late,").expect("its delay is told").0, &played["learned"][..2]);
}
