//! Files that are no state files, or not whole: each is refused with a clear error, and nothing is changed.

use std::fs;
use std::path::Path;

use jobwatch::store::{Change, Kept, Store};
use jobwatch_sqlite::{Error, Sqlite, VERSION};
use rusqlite::Connection;

use crate::support::{Scratch, job, key, left, snapshot};

/// Opens what is there, which has to be refused, and looks whether anything has changed.
#[track_caller]
fn refused(scratch: &Scratch) -> Error {
    let before = scratch.contents();
    let error = Sqlite::open(scratch.path()).expect_err("it was opened");
    assert_eq!(scratch.contents(), before, "{error}");
    assert!(error.to_string().contains("jobs.state"), "{error}");
    error
}

/// A state file with so many jobs in it, closed.
fn with_jobs(count: usize) -> Scratch {
    let scratch = Scratch::new();
    let jobs = (0..count).map(|number| Change::Added(Kept::Wait(snapshot(&format!("job-{number}"), "pending"))));
    scratch.open().write(&key(), &jobs.collect::<Vec<_>>()).unwrap();
    scratch
}

#[test]
fn what_is_something_else_is_refused() {
    let contents: [&[u8]; 6] = [
        b"",
        b"a",
        b"id-1\nid-2\n",
        b"\0\0\0\0",
        &[0xff; 5_000],
        b"sqlite format 3\0 and no more of it, in small letters",
    ];
    for content in contents {
        let scratch = Scratch::new();
        fs::write(scratch.path(), content).unwrap();
        let error = refused(&scratch);
        assert!(matches!(error, Error::Foreign { .. }) && error.is_wrong_file(), "{error:?}");
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.path()).unwrap();
    let error = Sqlite::open(scratch.path()).unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
}

#[test]
fn the_database_of_another_program_is_refused() {
    for journal in ["DELETE", "WAL"] {
        let scratch = Scratch::new();
        let other = Connection::open(scratch.path()).unwrap();
        other.pragma_update(None, "journal_mode", journal).unwrap();
        other.execute_batch("CREATE TABLE job (id TEXT); INSERT INTO job VALUES ('a')").unwrap();
        // Open, with its log beside it, and closed.
        assert!(refused(&scratch).to_string().contains("another program"));
        other.pragma_update(None, "application_id", 0x1234).unwrap();
        other.pragma_update(None, "user_version", 1).unwrap();
        drop(other);
        assert!(refused(&scratch).to_string().contains("another program"));
    }
}

#[test]
fn a_file_of_a_newer_release_is_refused() {
    let scratch = with_jobs(1);
    let other = Connection::open(scratch.path()).unwrap();
    other.pragma_update(None, "user_version", VERSION + 1).unwrap();
    // While the version stands in the log alone, and when it has reached the file.
    let log = scratch.contents();
    drop(other);
    let error = refused(&scratch);
    assert!(matches!(error, Error::Newer { version, .. } if version == VERSION + 1), "{error:?}");
    assert!(error.to_string().contains("version 2") && error.is_wrong_file(), "{error}");
    for (path, content) in log.iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")) {
        fs::write(path, content).unwrap();
    }
    assert!(matches!(refused(&scratch), Error::Newer { .. }));
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let whole = with_jobs(200);
    let bytes = fs::read(whole.path()).unwrap();
    assert!(bytes.len() > 50_000, "{}", bytes.len());
    for length in [1, 15, 16, 60, 99, 100, 4_095, 4_096, 10_000, bytes.len() / 2, bytes.len() - 1] {
        let scratch = Scratch::new();
        fs::write(scratch.path(), &bytes[..length]).unwrap();
        let error = refused(&scratch);
        assert!(error.is_wrong_file(), "{length}: {error:?}");
        assert!(error.to_string().contains("damaged"), "{length}: {error}");
    }
}

#[test]
fn a_file_that_was_overwritten_is_refused() {
    let whole = with_jobs(200);
    let bytes = fs::read(whole.path()).unwrap();
    let pages = bytes.len() / 4_096;
    for page in 0..pages {
        let scratch = Scratch::new();
        let mut damaged = bytes.clone();
        // Behind the header, which is another test's.
        let from = page * 4_096 + if page == 0 { 100 } else { 0 };
        damaged[from..(page + 1) * 4_096].fill(0xa5);
        fs::write(scratch.path(), damaged).unwrap();
        let error = refused(&scratch);
        assert!(matches!(error, Error::Damaged { .. }), "page {page}: {error:?}");
    }
}

#[test]
fn a_row_that_makes_no_sense_is_told_with_its_job() {
    let scratch = with_jobs(3);
    let other = Connection::open(scratch.path()).unwrap();
    other.execute_batch(r#"UPDATE job SET kept = '{"wait":{"v":1}}' WHERE id = 'job-1'"#).unwrap();
    drop(other);
    let mut store = scratch.open();
    let error = store.unfinished(&key(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("job-1") && error.is_wrong_file(), "{error}");
}

#[test]
fn a_file_of_strange_name_is_a_file() {
    let scratch = Scratch::new();
    for name in [":memory:", "a b?c#d%41&e", "file:x", "ä\u{1f980}"] {
        let path = scratch.directory().join(name);
        for _ in 0..2 {
            let mut store = Sqlite::open(&path).unwrap();
            store.write(&key(), &[Change::Added(Kept::Job(job("a")))]).unwrap();
        }
        assert!(path.is_file(), "{name}");
        assert_eq!(left(&mut Sqlite::open(&path).unwrap()), ["a new"]);
    }
    assert_eq!(scratch.contents().len(), 4, "and nothing else is left");
}

#[test]
fn where_nothing_can_be_made_the_system_says_why() {
    let scratch = Scratch::new();
    let error = Sqlite::open(scratch.directory().join("nowhere/jobs.state")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && !error.is_wrong_file(), "{error:?}");
    assert!(error.to_string().contains("nowhere") && scratch.contents().is_empty(), "{error}");
    assert!(Sqlite::open(Path::new("")).is_err());
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_it_and_what_is_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let mut store = scratch.open();
    store.write(&key(), &[Change::Added(Kept::Job(job("a")))]).unwrap();
    let contents = scratch.contents();
    assert!(contents.keys().any(|path| path.to_string_lossy().ends_with("-wal")), "{contents:?}");
    for path in contents.keys() {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_log_that_was_left_behind_is_read() {
    let scratch = with_jobs(2);
    let mut store = scratch.open();
    store.write(&key(), &[Change::Added(Kept::Job(job("late")))]).unwrap();
    // As after a power cut: the files as they are now, elsewhere.
    let elsewhere = Scratch::new();
    for (path, content) in scratch.contents() {
        fs::write(elsewhere.directory().join(path.file_name().unwrap()), content).unwrap();
    }
    assert_eq!(left(&mut elsewhere.open()).last().unwrap(), "late new");
}

#[test]
fn a_damaged_file_with_a_log_is_left_alone_too() {
    let scratch = with_jobs(200);
    let mut store = scratch.open();
    store.write(&key(), &[Change::Added(Kept::Job(job("late")))]).unwrap();
    let elsewhere = Scratch::new();
    for (path, mut content) in scratch.contents() {
        if path == scratch.path() {
            let middle = content.len() / 2;
            content[middle..middle + 20_000].fill(0xa5);
        }
        fs::write(elsewhere.directory().join(path.file_name().unwrap()), content).unwrap();
    }
    assert!(matches!(refused(&elsewhere), Error::Damaged { .. }));
}

#[test]
fn a_log_that_breaks_off_anywhere_has_what_came_before() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    for number in 0..20 {
        store.write(&key(), &[Change::Added(Kept::Job(job(&format!("{number:02}"))))]).unwrap();
    }
    let contents = scratch.contents();
    let (log, whole) = contents.iter().find(|(path, _)| path.to_string_lossy().ends_with("-wal")).unwrap();
    let expected: Vec<_> = (0..20).map(|number| format!("{number:02} new")).collect();
    let mut most = 0;
    for length in (0..whole.len()).step_by(1_777) {
        let elsewhere = Scratch::new();
        fs::write(elsewhere.path(), &contents[&scratch.path()]).unwrap();
        fs::write(elsewhere.directory().join(log.file_name().unwrap()), &whole[..length]).unwrap();
        let jobs = left(&mut elsewhere.open());
        assert_eq!(jobs, expected[..jobs.len()], "cut at {length}");
        assert!(jobs.len() >= most, "less of the log has more in it");
        most = jobs.len();
    }
    assert!(most > 10, "{most}");
}
