//! `--history`: what jobs teach is kept from run to run, and nothing that happens to the file stops a wait.

use serde_json::Value;

use crate::backend::{Backend, created, simulator, state};
use crate::program::{Program, Scratch, number, submit, text, tracker};

/// Every job is found unfinished once, and then over.
fn backend() -> Backend {
    Backend::start(|asked| {
        let seen = asked.earlier % 2 == 1;
        state(if seen { "completed" } else { "pending" })
    })
}

fn wait(url: &str, history: &str, more: &[&str]) -> Program {
    tracker("wait", url, &["--history", history]).args(more)
}

/// What is kept, by class: the jobs that are remembered.
fn kept(files: &Scratch, name: &str) -> Vec<(String, f64)> {
    let stored: Value = serde_json::from_str(&files.read(name)).expect("a history is JSON");
    let histories = stored["histories"].as_array().expect("a list");
    let jobs = |history: &Value| {
        let buckets = history["history"]["jobs"].as_array().expect("a list").iter();
        buckets.map(|bucket| number(&bucket[1])).sum()
    };
    histories.iter().map(|history| (text(&history["class"]).to_owned(), jobs(history))).collect()
}

#[test]
fn each_run_adds_to_what_the_one_before_has_learned() {
    let (backend, files) = (backend(), Scratch::new());
    let path = files.path("history.json");
    wait(&backend.url(), &path, &["one"]).run().exits_with(0);
    wait(&backend.url(), &path, &["two", "--class", "lip sync"]).run().exits_with(0);
    wait(&backend.url(), &path, &["three"]).run().exits_with(0);
    let kept = kept(&files, "history.json");
    assert_eq!(kept.iter().map(|(class, _)| class.as_str()).collect::<Vec<_>>(), ["", "lip sync"]);
    assert!((kept[0].1 - 2.0).abs() < 0.1 && (kept[1].1 - 1.0).abs() < 0.1, "{kept:?}");
    let stored: Value = serde_json::from_str(&files.read("history.json")).unwrap();
    let history = &stored["histories"][0];
    assert_eq!((text(&history["dialect"]), text(&history["origin"])), ("tracker", backend.url().as_str()));
    assert_eq!(text(&history["since"]), "pick_up");
}

#[test]
fn the_environment_names_a_file_where_no_flag_does() {
    let (backend, files) = (backend(), Scratch::new());
    let (theirs, ours) = (files.path("environment.json"), files.path("flag.json"));
    tracker("wait", &backend.url(), &["one"]).env("JOBWATCH_HISTORY", &theirs).run().exits_with(0);
    assert_eq!(kept(&files, "environment.json").len(), 1);
    wait(&backend.url(), &ours, &["two"]).env("JOBWATCH_HISTORY", &theirs).run().exits_with(0);
    assert!((kept(&files, "environment.json")[0].1 - 1.0).abs() < 0.1);
    assert!((kept(&files, "flag.json")[0].1 - 1.0).abs() < 0.1);
}

#[test]
fn what_is_no_history_is_set_aside_with_a_warning_and_stops_nothing() {
    let (backend, files) = (backend(), Scratch::new());
    for (number, spoilt) in ["not json", r#"{"v":7,"histories":[]}"#, "{\"v\":1,"].into_iter().enumerate() {
        let path = files.file("history.json", spoilt);
        let ran = wait(&backend.url(), &path, &["one"]).run().exits_with(0);
        let aside = format!("history.json.bad-{}", number + 1);
        let ran = ran.complains(&["no history of jobwatch", &aside]);
        assert_eq!(ran.ends(), [("one", "succeeded")]);
        assert_eq!(files.read(&aside), spoilt);
        assert_eq!(kept(&files, "history.json").len(), 1);
    }
}

#[test]
fn a_history_that_cannot_be_there_is_told_before_anything_is_asked() {
    let (backend, files) = (backend(), Scratch::new());
    let nowhere = files.path("no/such/history.json");
    wait(&backend.url(), &nowhere, &["one"]).run().exits_with(2).complains(&["history", "no/such"]).prints_nothing();
    assert!(backend.asked().is_empty());
}

/// The outcome is told all the same; that what was learned is lost is local trouble.
#[test]
fn a_history_that_cannot_be_written_is_local_trouble() {
    let (backend, files) = (backend(), Scratch::new());
    std::fs::create_dir(files.path("history.json.lock")).unwrap();
    let ran = wait(&backend.url(), &files.path("history.json"), &["one"]).run().exits_with(5);
    assert_eq!(ran.complains(&["cannot write the history"]).ends(), [("one", "succeeded")]);
}

#[test]
fn what_a_simulator_teaches_is_not_kept() {
    let files = Scratch::new();
    let backend = simulator("uniform:0.1..0.2").start().unwrap();
    let ids = submit(&backend.url(), 2);
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let ran = wait(&backend.url(), &files.path("history.json"), &ids).run().exits_with(0);
    ran.complains(&["simulator", "not kept"]);
    assert_eq!(files.names("."), Vec::<String>::new());
}

/// A run that creates its jobs knows their age.
#[test]
fn submit_learns_from_what_it_waits_for() {
    let files = Scratch::new();
    let backend = Backend::start(|asked| match asked.method.as_str() {
        "POST" => created(asked.earlier),
        _ => state("completed"),
    });
    let path = files.path("history.json");
    let flags = ["--wait", "--history", &path, "--max-delay", "100ms"];
    tracker("submit", &backend.url(), &flags).run().exits_with(0);
    let stored: Value = serde_json::from_str(&files.read("history.json")).unwrap();
    assert_eq!(text(&stored["histories"][0]["since"]), "creation");
}
