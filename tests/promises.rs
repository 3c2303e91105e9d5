//! The page of promises names tests that are there, and none of those that must be named is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../src/promises.md");

/// Tests that are called so hold a promise.
const FAMILIES: [&str; 2] = ["guarantee_", "mistake_"];

#[test]
fn every_promise_is_held_by_tests_that_exist() {
    let tests = tests_of_the_workspace();
    for promise in promises() {
        let (sentence, names) = promise.split_once("Held by").unwrap_or_else(|| panic!("nothing holds: {promise}"));
        let names = quoted(names);
        assert!(!names.is_empty(), "no test holds: {sentence}");
        for name in names {
            assert!(tests.iter().any(|test| is_meant(name, test)), "no test is called {name}, which holds: {sentence}");
        }
    }
}

#[test]
fn every_test_of_a_promise_is_on_the_page() {
    let names: Vec<_> = promises()
        .iter()
        .filter_map(|promise| promise.split_once("Held by"))
        .flat_map(|(_, names)| quoted(names))
        .collect();
    for test in tests_of_the_workspace() {
        let must_be_named = FAMILIES.iter().any(|family| test.starts_with(family));
        let is_named = names.iter().any(|name| is_meant(name, &test));
        assert!(!must_be_named || is_named, "src/promises.md does not name {test}");
    }
}

#[test]
fn all_twelve_guarantees_are_promised() {
    for number in 1..=12 {
        let is_there = promises().iter().any(|promise| promise.starts_with(&format!("**{number}.** ")));
        assert!(is_there, "guarantee {number} is not on the page");
    }
}

/// The items of the page, each with what holds it.
fn promises() -> Vec<&'static str> {
    let promises: Vec<_> = PAGE.split("\n* ").skip(1).map(|item| item.split("\n\n").next().unwrap_or(item)).collect();
    assert!(promises.len() > 30, "the page is not read as it is written");
    promises
}

/// What stands between backticks.
fn quoted(text: &'static str) -> Vec<&'static str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn is_meant(name: &str, test: &str) -> bool {
    name.strip_suffix('*').map_or(name == test, |family| test.starts_with(family))
}

/// The names of all tests, and of the stories that each driver is told.
fn tests_of_the_workspace() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), &mut tests);
    assert!(tests.len() > 500, "only {} tests were found", tests.len());
    tests
}

fn collect(directory: &Path, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("the workspace can be read") {
        let path = entry.expect("the workspace can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("the workspace can be read");
            let is_story = path.to_string_lossy().replace('\\', "/").contains("/conformance/src/stories/");
            tests.extend(if is_story { stories(&text) } else { marked(&text) });
        }
    }
}

/// Functions under a `#[test]` of whatever kind.
fn marked(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        if let Some(name) = function(line).filter(|_| is_test) {
            found.push(name);
            is_test = false;
        }
    }
    found
}

/// Public functions that take a driver; the compiler sees to it that each is in the table.
fn stories(text: &str) -> Vec<String> {
    let stories = text.lines().filter(|line| line.starts_with("pub fn ") && line.contains("(driver: &dyn Driver)"));
    stories.filter_map(function).collect()
}

fn function(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let is_function = before.split_whitespace().all(|word| matches!(word, "pub" | "async"));
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (is_function && !name.is_empty()).then_some(name)
}
