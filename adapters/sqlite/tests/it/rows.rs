//! What is written comes back, and what contradicts it does not.

use std::time::Duration;

use jobwatch::store::{BackendKey, Change, Intent, Kept, Standing, Store};
use jobwatch::{Backend, Dialect, FleetAction, FleetEvent, Outcome, Policy};
use jobwatch_sqlite::Sqlite;
use rusqlite::Connection;

use crate::support::{NOW, Scratch, Wait, at, backend, ended, job, key, left, snapshot, told, unfinished};

fn find(store: &mut Sqlite, id: &str) -> String {
    store.find(&key(), id).unwrap().map_or_else(|| "unknown".to_owned(), |record| told(&record))
}

#[test]
fn the_life_of_a_job_over_restarts() {
    let scratch = Scratch::new();
    assert_eq!(scratch.open().path(), scratch.path());
    let steps: [(Change, &[&str]); 6] = [
        (Change::Added(Kept::Job(job("a"))), &["a new"]),
        (Change::Added(Kept::Job(job("b"))), &["a new", "b new"]),
        (Change::Moved(snapshot("a", "pending")), &["a waiting", "b new"]),
        (Change::Ended(ended("a", "completed")), &["a succeeded", "b new"]),
        (Change::Told("a".to_owned()), &["b new"]),
        (Change::Ended(ended("b", "error")), &["b failed"]),
    ];
    for (change, expected) in steps {
        scratch.open().write(&key(), &[change]).unwrap();
        assert_eq!(left(&mut scratch.open()), expected);
    }
    let mut store = scratch.open();
    assert_eq!(find(&mut store, "a"), "a succeeded, told");
    assert_eq!((find(&mut store, "b"), find(&mut store, "c")), ("b failed".into(), "unknown".into()));
    // Added, moved, ended, told.
    assert_eq!(store.find(&key(), "a").unwrap().unwrap().revision, 4);
}

#[test]
fn an_end_comes_back_as_it_was() {
    let scratch = Scratch::new();
    let mut end = ended("a", "error");
    scratch.open().write(&key(), &[Change::Ended(end.clone())]).unwrap();
    end.taught = None; // what is told again teaches nothing
    let Standing::Ended { finished, told: false } = scratch.open().find(&key(), "a").unwrap().unwrap().standing else {
        panic!("it has ended and was not told");
    };
    assert_eq!(finished, end);
}

#[test]
fn the_first_end_stands_and_nothing_comes_after_it() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    store.write(&key(), &[Change::Ended(ended("a", "completed"))]).unwrap();
    let later = [
        Change::Ended(ended("a", "error")),
        Change::Moved(snapshot("a", "pending")),
        Change::Added(Kept::Job(job("a"))),
        Change::Settled { intent: "none".to_owned(), jobs: vec![job("a")] },
    ];
    for change in later {
        store.write(&key(), &[change]).unwrap();
        assert_eq!(left(&mut store), ["a succeeded"]);
    }
}

#[test]
fn what_is_not_known_cannot_be_moved_or_told() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let told = |id: &str| Change::Told(id.to_owned());
    let changes = [Change::Moved(snapshot("a", "pending")), told("a"), Change::Added(Kept::Job(job("b"))), told("b")];
    store.write(&key(), &changes).unwrap();
    assert_eq!(left(&mut store), ["b new"], "a job that goes on has no outcome to tell");
}

#[test]
fn a_wait_that_ends_without_its_job_leaves_it_unfinished() {
    let policy = Policy::builder().with_total_timeout(Duration::from_secs(30)).build().unwrap();
    let mut wait = Wait::new(policy);
    let handle = wait.fleet.insert(job("a"), NOW);
    wait.answer("pending");
    let snapshot = Box::new(wait.fleet.snapshot(handle).unwrap());
    let end = loop {
        let events = wait.answer("pending");
        if let Some(FleetEvent::Finished { finished, .. }) = events.into_iter().next_back() {
            break finished;
        }
    };
    assert_eq!(end.outcome, Outcome::TimedOut);
    let scratch = Scratch::new();
    let mut store = scratch.open();
    store.write(&key(), &[Change::Moved(snapshot.clone()), Change::Added(Kept::Wait(snapshot))]).unwrap();
    store.write(&key(), &[Change::Ended(end)]).unwrap();

    // Two hours later the time limit of the first wait is long over.
    let record = unfinished(&mut store, &key()).pop().unwrap();
    let Standing::Open(Kept::Wait(stored)) = record.standing else { panic!("it is waited for") };
    wait.now = at(7_200);
    wait.fleet.resume(stored.anew(), at(7_200)).unwrap();
    assert!(matches!(wait.fleet.poll(at(7_200)), FleetAction::Send { .. }), "the first look comes at once");
}

#[test]
fn a_transaction_is_whole_or_nothing() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let other = Connection::open(scratch.path()).unwrap();
    let refuses = "CREATE TRIGGER no BEFORE INSERT ON job WHEN new.id = 'bad' BEGIN SELECT RAISE(ABORT, 'bad'); END";
    other.execute_batch(refuses).unwrap();
    drop(other);
    let mut store = scratch.open();
    let changes = ["a", "bad"].map(|id| Change::Added(Kept::Job(job(id))));
    store.write(&key(), &changes).unwrap_err();
    assert_eq!(left(&mut store), Vec::<String>::new());
    store.write(&key(), &changes[..1]).unwrap();
    assert_eq!(left(&mut store), ["a new"]);
}

#[test]
fn an_intent_stays_until_it_is_settled() {
    let scratch = Scratch::new();
    let (first, second) = (intent("one", Some("key")), intent("two", None));
    let changes = [Change::Intended(first.clone()), Change::Intended(second.clone())];
    scratch.open().write(&key(), &changes).unwrap();
    let mut store = scratch.open();
    assert_eq!(store.intents(&key()).unwrap(), [first, second.clone()]);

    let jobs = vec![job("a"), job("b")];
    store.write(&key(), &[Change::Settled { intent: "one".to_owned(), jobs }]).unwrap();
    assert_eq!(store.intents(&key()).unwrap(), [second]);
    assert_eq!(left(&mut store), ["a new", "b new"]);
    assert_eq!(store.left().unwrap()[0].jobs, 3);
    store.write(&key(), &[Change::Settled { intent: "two".to_owned(), jobs: Vec::new() }]).unwrap();
    assert!(store.intents(&key()).unwrap().is_empty());
}

fn intent(id: &str, key: Option<&str>) -> Intent {
    Intent::stored(id.to_owned(), key.map(str::to_owned), br#"{"a":1}"#.to_vec(), NOW)
}

#[test]
fn backends_are_kept_apart() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let other = |dialect: Dialect, url| BackendKey::of(&Backend::new(dialect, Some(url)).unwrap());
    let keys = [
        key(),
        other(Dialect::tracker(), "http://127.0.0.1:5001"),
        other(Dialect::heygen_v3(), "http://127.0.0.1:5000"),
    ];
    for (key, state) in keys.iter().zip(["completed", "error", "completed"]) {
        store
            .write(key, &[Change::Ended(ended("same", state)), Change::Intended(intent(&key.dialect.repeat(2), None))])
            .unwrap();
    }
    let outcomes = keys.iter().map(|key| told(&unfinished(&mut store, key)[0])).collect::<Vec<_>>();
    assert_eq!(outcomes, ["same succeeded", "same failed", "same succeeded"]);
    let left = store.left().unwrap();
    assert_eq!(
        left.iter().map(|left| (&*left.dialect, left.jobs)).collect::<Vec<_>>(),
        [("tracker", 2), ("tracker", 1), ("heygen-v3", 2)]
    );
    // With a slash or a query more it is the same backend, and by another version of the dialect, too.
    let same = other(Dialect::tracker(), "http://127.0.0.1:5000/?key=hush");
    assert_eq!(unfinished(&mut store, &BackendKey { digest: 7, ..same }).len(), 1);
}

#[test]
fn no_credential_is_in_the_file() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let changes = [
        Change::Added(Kept::Job(job("a"))),
        Change::Moved(snapshot("a", "pending")),
        Change::Ended(ended("b", "completed")),
        Change::Intended(Intent::new(&backend(), b"{}".to_vec(), NOW, 7)),
    ];
    store.write(&key(), &changes).unwrap();
    drop(store);
    for (path, content) in scratch.contents() {
        assert!(!content.windows(9).any(|window| window == b"hush-hush"), "{}", path.display());
    }
}

#[test]
fn ids_of_all_kinds_are_kept() {
    let scratch = Scratch::new();
    let ids = [
        "'; DROP TABLE job; --",
        "ä\u{1f980}",
        "%",
        "NULL",
        " a ",
        "https://x.example/jobs/1?sig=2",
        &"x".repeat(8_000),
    ];
    scratch.open().write(&key(), &ids.map(|id| Change::Added(Kept::Job(job(id))))).unwrap();
    let mut store = scratch.open();
    for id in ids {
        assert_eq!(find(&mut store, id), format!("{id} new"));
    }
    assert_eq!(unfinished(&mut store, &key()).len(), ids.len());
}
