//! Replays the committed corpus on stable.

use std::fs;
use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("the folder can be listed").path();
        println!("{}", path.display());
        body(&fs::read(&path).expect("the file can be read"));
        replayed += 1;
    }
    assert!(replayed > 0, "{target} has a corpus");
}

#[test]
fn answer() {
    replay("answer", jobwatch_fuzz::answer);
}

#[test]
fn dialect_file() {
    replay("dialect_file", jobwatch_fuzz::dialect_file);
}

#[test]
fn snapshot() {
    replay("snapshot", jobwatch_fuzz::snapshot);
}

#[test]
fn poller() {
    replay("poller", jobwatch_fuzz::poller);
}

#[test]
fn presets() {
    replay("presets", jobwatch_fuzz::presets);
}

#[test]
fn dialect_life() {
    replay("dialect_life", jobwatch_fuzz::dialect_life);
}

#[test]
fn hints() {
    replay("hints", jobwatch_fuzz::hints);
}

#[test]
fn history() {
    replay("history", jobwatch_fuzz::history);
}

#[test]
fn operations() {
    replay("operations", jobwatch_fuzz::operations);
}

#[test]
fn policy() {
    replay("policy", jobwatch_fuzz::policy);
}
