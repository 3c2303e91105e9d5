//! The fields of the JSON are those that the guide lists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::backend::{Backend, code, json, simulator};
use crate::program::{jobwatch, text, tracker};

/// The table of `src/guide/observing.md`: the fields of each type.
fn listed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let page = include_str!("../../../../src/guide/observing.md");
    let (_, table) = page.split_once("| `type` | printed by | fields |").expect("the page has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        // What is said of a field stands in brackets.
        let words = cells[2].split(['(', ')']).step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
        (cells[0].trim().trim_matches('`'), words.collect())
    };
    rows.map(row).collect()
}

/// This line has the fields that are listed for its type, and no others.
#[track_caller]
fn is_as_listed(line: &Value) {
    let listed = listed();
    let kind = text(&line["type"]);
    let within = if kind == "summary" { &line["summary"] } else { line };
    let found = within.as_object().expect("an object").keys().map(String::as_str);
    let found: BTreeSet<&str> = found.filter(|field| !["v", "type"].contains(field)).collect();
    assert_eq!(Some(&found), listed.get(kind), "{line}");
    assert_eq!(line["v"], 1);
}

/// Every line, and that these types are among them.
#[track_caller]
fn are_as_listed(lines: &[Value], kinds: &[&str]) {
    lines.iter().for_each(is_as_listed);
    let found: BTreeSet<&str> = lines.iter().map(|line| text(&line["type"])).collect();
    assert_eq!(found, kinds.iter().copied().collect());
}

#[test]
fn created_jobs_and_summaries_are_as_the_guide_lists_them() {
    let backend = simulator("constant:1").speed(20.0).start().expect("it starts");
    let flags = ["--wait", "--json", "--quiet", "--count", "2", "--min-delay", "10ms", "--max-delay", "100ms"];
    let ran = tracker("submit", &backend.url(), &flags).run().exits_with(0);
    are_as_listed(&ran.json(), &["created", "job", "summary"]);
}

#[test]
fn cancellations_are_as_the_guide_lists_them() {
    let backend = Backend::start(|asked| match asked.method.as_str() {
        "DELETE" => code(204),
        _ => json(r#"{"data":{"id":"a","status":"running"}}"#),
    });
    let flags = ["--api", "heygen-v3", "--base-url", &backend.url(), "--header", "x-api-key: k", "--json", "a"];
    let ran = jobwatch(&["cancel"]).args(&flags).run().exits_with(0);
    is_as_listed(&ran.json()[0]);
}

#[test]
fn plans_policies_and_dialects_are_as_the_guide_lists_them() {
    let ran = jobwatch(&["compare", "--durations", "constant:5", "--jobs", "3", "--json"]).run().exits_with(0);
    are_as_listed(&ran.json(), &["policy"]);
    let ran = jobwatch(&["plan", "--schedule", "constant", "--timeout", "10s", "--json"]).run().exits_with(0);
    are_as_listed(&ran.json(), &["plan"]);
    let ran = jobwatch(&["dialects", "--json"]).run().exits_with(0);
    are_as_listed(&ran.json(), &["dialect"]);
}
