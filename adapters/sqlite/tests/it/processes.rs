//! Other processes: one that has the file, and one that is killed.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use jobwatch::store::{Change, Kept, Store};
use jobwatch_sqlite::{Error, Sqlite};

use crate::support::{Scratch, job, key, left};

const PATH: &str = "JOBWATCH_SQLITE_TEST";

/// What the other process does: this test, by itself, in this very program.
#[test]
fn another_process() {
    let Some(path) = env::var_os(PATH) else { return };
    let mut store = Sqlite::open(path).unwrap();
    for number in 0.. {
        let id = format!("{number:06}");
        store.write(&key(), &[Change::Added(Kept::Job(job(&id)))]).unwrap();
        // Told after it is written; nobody who listens any more is the end.
        if writeln!(std::io::stdout(), "written {id}").is_err() {
            return;
        }
    }
}

struct Other {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Other {
    fn start(scratch: &Scratch) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "processes::another_process", "--nocapture"]).env(PATH, scratch.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The id of the next job that it says it has written.
    fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.out.read_line(&mut line).unwrap() > 0 {
            if let Some((_, id)) = line.trim_end().split_once("written ") {
                return Some(id.to_owned());
            }
            line.clear();
        }
        None
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_process_at_a_time() {
    let scratch = Scratch::new();
    let mut other = Other::start(&scratch);
    other.next().unwrap();
    let error = Sqlite::open(scratch.path()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }) && !error.is_wrong_file(), "{error:?}");
    if cfg!(target_os = "linux") {
        assert!(error.to_string().contains(&format!("process {}", other.child.id())), "{error}");
    }
    assert!(other.next().is_some(), "the other is not disturbed");
    other.kill();
    // The lock has died with it.
    assert!(!left(&mut scratch.open()).is_empty());
}

#[test]
fn one_owner_at_a_time_in_one_process_too() {
    let scratch = Scratch::new();
    let first = scratch.open();
    assert!(matches!(Sqlite::open(scratch.path()), Err(Error::InUse { .. })));
    drop(first);
    scratch.open();
}

#[test]
fn what_was_written_survives_a_kill_at_any_moment() {
    let scratch = Scratch::new();
    let mut written = 0;
    for round in 0..10 {
        let mut other = Other::start(&scratch);
        // Which it writes anew up to where the last one came; from there on they are news.
        let last = (0..written + 1 + round * 7).map_while(|_| other.next()).last().unwrap();
        other.kill();
        let rest = std::iter::from_fn(|| other.next()).last().unwrap_or(last);
        let jobs = left(&mut scratch.open());
        let said: usize = rest.parse::<usize>().unwrap() + 1;
        assert!(jobs.len() >= said, "{} are there of {said}", jobs.len());
        let all: Vec<_> = (0..jobs.len()).map(|number| format!("{number:06} new")).collect();
        assert_eq!(jobs, all, "each once, in its order");
        written = jobs.len();
    }
}
