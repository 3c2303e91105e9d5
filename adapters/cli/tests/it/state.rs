//! `--state FILE`: going on without ids, telling once, and refusing what is no state file.
#![allow(clippy::unwrap_used)] // in shared functions too

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{Answer, Backend, code, created, json, state};
use crate::program::{Program, Ran, Scratch, jobwatch, sorted, text, tracker};

/// Jobs end as their ids say, those called `late…` once it is over.
fn backend(over: &Arc<AtomicBool>) -> Backend {
    let over = Arc::clone(over);
    Backend::start(move |asked| match asked.id() {
        id if id.starts_with("late") && !over.load(Ordering::SeqCst) => state("pending"),
        id if id.starts_with("bad") => state("error"),
        _ => state("completed"),
    })
}

fn never() -> Arc<AtomicBool> {
    Arc::default()
}

/// `jobwatch wait --state` with these arguments.
fn wait(backend: &Backend, scratch: &Scratch, arguments: &[&str]) -> Program {
    tracker("wait", &backend.url(), &["--state", &scratch.path("jobs.state")]).args(arguments)
}

/// How often each job was asked for.
fn asked(backend: &Backend) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in backend.asked() {
        *counts.entry(asked.id().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn an_outcome_is_told_once_unless_its_job_is_named() {
    let (backend, scratch) = (backend(&never()), Scratch::new());
    let first = wait(&backend, &scratch, &["good", "bad"]).run().exits_with(1);
    assert_eq!(first.ends(), [("bad", "failed"), ("good", "succeeded")]);
    assert_eq!(asked(&backend).len(), 2);
    let requests = backend.asked().len();

    wait(&backend, &scratch, &[]).run().exits_with(0).prints_nothing().complains(&["no unfinished jobs", "jobs.state"]);
    // The same line, the same exit status, and no request.
    for (id, exit) in [("good", 0), ("bad", 1)] {
        let again = wait(&backend, &scratch, &[id, id]).run().exits_with(exit);
        assert_eq!(
            again.out.lines().collect::<Vec<_>>(),
            first.out.lines().filter(|line| line.starts_with(id)).collect::<Vec<_>>()
        );
    }
    let (jobs, summary) = wait(&backend, &scratch, &["--json", "bad", "good"]).run().exits_with(1).report();
    assert_eq!(sorted(jobs.iter().map(|job| text(&job["outcome"]))), ["failed", "succeeded"]);
    assert_eq!((&summary["jobs"], &summary["failed"], &summary["requests"]), (&2.into(), &1.into(), &0.into()));
    assert_eq!(backend.asked().len(), requests);
}

#[test]
fn ids_are_added_to_those_of_the_file() {
    let over = never();
    let (backend, scratch) = (backend(&over), Scratch::new());
    wait(&backend, &scratch, &["--timeout", "50ms", "late-1", "late-2"]).run().exits_with(4);
    over.store(true, Ordering::SeqCst);
    let ran = wait(&backend, &scratch, &["late-2", "new"]).run().exits_with(0);
    assert_eq!(ran.ends(), [("late-1", "succeeded"), ("late-2", "succeeded"), ("new", "succeeded")]);
    ran.complains(&["going on with", "2 jobs"]);
}

#[test]
fn what_timed_out_or_was_given_up_is_taken_up_with_a_fresh_budget() {
    let over = never();
    let down = Arc::new(AtomicBool::new(true));
    let backend = Backend::start({
        let (over, down) = (Arc::clone(&over), Arc::clone(&down));
        move |asked| match asked.id() {
            "down" if down.load(Ordering::SeqCst) => code(502),
            "late" if !over.load(Ordering::SeqCst) => state("pending"),
            _ => state("completed"),
        }
    });
    let scratch = Scratch::new();
    let flags = ["--timeout", "300ms", "--max-failures", "2"];
    for round in 0..3 {
        let ids: &[&str] = if round == 0 { &["late", "down"] } else { &[] };
        let ran = wait(&backend, &scratch, &flags).args(ids).run().exits_with(4);
        assert_eq!(ran.ends(), [("down", "gave_up"), ("late", "timed_out")]);
        ran.complains(&["jobwatch wait --api tracker", "--state"]);
    }
    over.store(true, Ordering::SeqCst);
    down.store(false, Ordering::SeqCst);
    let ran = wait(&backend, &scratch, &flags).run().exits_with(0);
    assert_eq!(ran.ends(), [("down", "succeeded"), ("late", "succeeded")]);
}

#[test]
fn ids_from_standard_input_are_looked_up_too() {
    let over = never();
    let (backend, scratch) = (backend(&over), Scratch::new());
    wait(&backend, &scratch, &["bad"]).run().exits_with(1);
    let requests = backend.asked().len();
    let ran = wait(&backend, &scratch, &["-"]).input("bad\ngood\nbad\ngood\n").run().exits_with(1);
    assert_eq!(ran.ends(), [("bad", "failed"), ("good", "succeeded")]);
    assert_eq!(backend.asked().len(), requests + 1, "the end of one of them was known");

    // What came this way is kept as well.
    let running = wait(&backend, &scratch, &["-"]).input("late-1\nlate-2\n").start();
    crate::program::eventually("looks", || asked(&backend).keys().filter(|id| id.starts_with("late")).count() == 2);
    drop(running);
    over.store(true, Ordering::SeqCst);
    let ran = wait(&backend, &scratch, &[]).run().exits_with(0);
    assert_eq!(ran.ends(), [("late-1", "succeeded"), ("late-2", "succeeded")]);
}

#[test]
fn an_outcome_whose_telling_fails_is_told_the_next_time() {
    let (backend, scratch) = (backend(&never()), Scratch::new());
    let (running, stdout) = wait(&backend, &scratch, &["good", "bad", "ugly"]).start_unread();
    // Nobody reads any more; what is told now reaches nobody.
    drop(stdout);
    running.finish();
    let requests = backend.asked().len();
    let ran = wait(&backend, &scratch, &[]).run().exits_with(1);
    assert_eq!(ran.ends(), [("bad", "failed"), ("good", "succeeded"), ("ugly", "succeeded")]);
    assert!(backend.asked().len() - requests <= 2, "the first was known, or all of them were");
    wait(&backend, &scratch, &[]).run().exits_with(0).prints_nothing();
}

#[cfg(unix)]
#[test]
fn the_command_that_goes_on_needs_no_ids() {
    let over = never();
    let (backend, scratch) = (backend(&over), Scratch::new());
    let running = wait(&backend, &scratch, &["late-1", "late-2"]).start();
    backend.wait_for(4);
    running.signal("INT");
    let interrupted = running.finish().exits_with(130);
    assert_eq!(interrupted.ends(), [("late-1", "stopped"), ("late-2", "stopped")]);
    let command = interrupted.err.lines().find(|line| line.trim().starts_with("jobwatch wait")).unwrap().trim();
    assert!(command.contains("--state") && !command.contains("late"), "{command}");

    over.store(true, Ordering::SeqCst);
    let here = std::path::Path::new(env!("CARGO_BIN_EXE_jobwatch")).parent().unwrap();
    let path = format!("{}:{}", here.display(), std::env::var("PATH").unwrap());
    let went_on = Command::new("sh").args(["-c", command]).env("PATH", path).output().unwrap();
    assert_eq!(went_on.status.code(), Some(0), "{went_on:?}");
    assert_eq!(String::from_utf8(went_on.stdout).unwrap().lines().count(), 2);
}

#[test]
fn backends_share_a_file_and_not_their_jobs() {
    let over = never();
    let (one, other, scratch) = (backend(&over), backend(&over), Scratch::new());
    for (backend, ids) in [(&one, ["late-1", "late-2"]), (&other, ["late-2", "late-3"])] {
        wait(backend, &scratch, &["--timeout", "50ms"]).args(&ids).run().exits_with(4);
    }
    over.store(true, Ordering::SeqCst);
    let ran = wait(&one, &scratch, &[]).run().exits_with(0);
    assert_eq!(ran.ends(), [("late-1", "succeeded"), ("late-2", "succeeded")]);
    ran.complains(&["left alone", "2 jobs of tracker at", &other.url()]);
    assert_eq!(wait(&other, &scratch, &[]).run().exits_with(0).ends().len(), 2);
    assert!(!asked(&one).contains_key("late-3") && !asked(&other).contains_key("late-1"));
}

const API: &str = r#"
name = "mill"
job.id = "/id"
poll.path = "/jobs/{id}"
state.pointer = "/state"
state.running = ["running"]
state.succeeded = ["done"]
result.pointer = "/result"
defaults = { min_delay = "10ms", max_delay = "50ms" }
"#;

fn mill(scratch: &Scratch, backend: &Backend, command: &str, api: &str, arguments: &[&str]) -> Program {
    let (api, file) = (scratch.file("mill.toml", api), scratch.path("jobs.state"));
    jobwatch(&[command, "--api", &api, "--base-url", &backend.url(), "--state", &file]).args(arguments)
}

#[test]
fn a_dialect_that_was_mended_goes_on_with_its_jobs() {
    let backend = Backend::start(|_| json(r#"{"state":"fertig","result":1}"#));
    let scratch = Scratch::new();
    mill(&scratch, &backend, "wait", API, &["--timeout", "50ms", "j"]).run().exits_with(4);
    let mended = API.replace(r#""done""#, r#""done", "fertig""#);
    assert_eq!(mill(&scratch, &backend, "wait", &mended, &[]).run().exits_with(0).ends(), [("j", "succeeded")]);
}

#[test]
fn a_result_is_saved_when_its_job_is_told_again() {
    let backend = Backend::start(|_| json(r#"{"state":"done","result":"the film"}"#));
    let scratch = Scratch::new();
    mill(&scratch, &backend, "wait", API, &["j"]).run().exits_with(0);
    let results = scratch.path("results");
    let ran = mill(&scratch, &backend, "wait", API, &["--save-results", &results, "j"]).run().exits_with(0);
    assert!(ran.out.starts_with("j\tsucceeded\t") && ran.out.contains("j.txt"), "{ran:#?}");
    assert_eq!((scratch.read("results/j.txt"), backend.asked().len()), ("the film".to_owned(), 1));
}

#[test]
fn no_key_is_in_the_file() {
    let backend = backend(&never());
    let scratch = Scratch::new();
    wait(&backend, &scratch, &["-H", "X-Api-Key: hush-77", "--timeout", "50ms", "good", "late"]).run().exits_with(4);
    for name in scratch.names("") {
        let content = fs::read(scratch.path(&name)).unwrap();
        assert!(!content.windows(7).any(|window| window == b"hush-77"), "{name}");
    }
}

/// Runs it with a file that has to be refused, and looks whether it has changed.
fn refuses(content: &[u8], exit: i32, words: &[&str]) {
    let scratch = Scratch::new();
    let path = scratch.path("jobs.state");
    fs::write(&path, content).unwrap();
    let backend = backend(&never());
    for command in ["wait", "submit"] {
        let ran = tracker(command, &backend.url(), &["--state", &path]).run().exits_with(exit).prints_nothing();
        ran.complains(&["jobs.state"]).complains(words);
        assert_eq!((fs::read(&path).unwrap(), scratch.names("")), (content.to_vec(), vec!["jobs.state".to_owned()]));
    }
    assert!(backend.asked().is_empty());
}

#[test]
fn a_wrong_file_is_refused_and_left_as_it_is() {
    refuses(b"", 2, &["is empty"]);
    refuses(b"id-1\nid-2\n", 2, &["is something else"]);
    let scratch = Scratch::new();
    let backend = backend(&never());
    let ids: Vec<_> = (0..100).map(|number| format!("good-{number}")).collect();
    wait(&backend, &scratch, &["-", "--rate", "10000/s"]).input(ids.join("\n")).run().exits_with(0);
    let whole = fs::read(scratch.path("jobs.state")).unwrap();
    refuses(&whole[..whole.len() / 2], 2, &["is damaged"]);
    let mut overwritten = whole.clone();
    overwritten[5_000..20_000].fill(7);
    refuses(&overwritten, 2, &["is damaged"]);
    let mut newer = whole;
    newer[63] += 1;
    refuses(&newer, 2, &["version 2", "newer"]);
}

#[test]
fn a_file_that_cannot_be_made_is_local_trouble() {
    let backend = backend(&never());
    let ran = tracker("wait", &backend.url(), &["--state", "/nowhere/at/all.state", "good"]).run().exits_with(5);
    ran.prints_nothing().complains(&["/nowhere/at/all.state"]);
}

#[test]
fn two_programs_do_not_share_a_file() {
    let (backend, scratch) = (backend(&never()), Scratch::new());
    let first = wait(&backend, &scratch, &["late"]).start();
    backend.wait_for(2);
    let second = wait(&backend, &scratch, &["good"]).run().exits_with(5).prints_nothing().complains(&["in use"]);
    if cfg!(target_os = "linux") {
        assert!(second.err.contains("process "), "{second:#?}");
    }
    assert!(!asked(&backend).contains_key("good"));
    drop(first);
    assert_eq!(wait(&backend, &scratch, &["--timeout", "50ms", "good"]).run().exits_with(4).ends().len(), 2);
}

#[test]
fn without_a_file_ids_are_needed() {
    tracker("wait", "http://127.0.0.1:9", &[]).run().exits_with(2).complains(&["ID|URL"]);
    let scratch = Scratch::new();
    // Nobody says where the backend of these jobs is.
    let ran = jobwatch(&["wait", "--api", "tracker", "--state", &scratch.path("jobs.state")]).run().exits_with(2);
    ran.complains(&["--base-url"]);
}

// Creating.

fn posts(backend: &Backend) -> usize {
    backend.asked().iter().filter(|asked| asked.method == "POST").count()
}

#[test]
fn what_submit_creates_is_waited_for_without_ids() {
    let backend =
        Backend::start(|asked| if asked.method == "POST" { created(asked.earlier) } else { state("completed") });
    let scratch = Scratch::new();
    let file = scratch.path("jobs.state");
    let made = tracker("submit", &backend.url(), &["--count", "3", "--state", &file]).run().exits_with(0);
    assert_eq!(made.out, "0\n1\n2\n");
    let ran = wait(&backend, &scratch, &[]).run().exits_with(0);
    assert_eq!(ran.ends(), [("0", "succeeded"), ("1", "succeeded"), ("2", "succeeded")]);

    let flags = ["--wait", "--count", "2", "--state", &file];
    let both = tracker("submit", &backend.url(), &flags).run().exits_with(0);
    assert_eq!(both.out.lines().count(), 4);
    wait(&backend, &scratch, &[]).run().exits_with(0).prints_nothing();
}

#[test]
fn a_create_without_a_key_that_was_cut_short_is_reported_once_and_never_sent_again() {
    let backend = Backend::start(|asked| if asked.method == "POST" { Answer::Hangs } else { state("completed") });
    let scratch = Scratch::new();
    let file = scratch.path("jobs.state");
    let running = tracker("submit", &backend.url(), &["--state", &file]).start();
    backend.wait_for(1);
    // Killed.
    drop(running);
    let ran = wait(&backend, &scratch, &[]).run().exits_with(4).prints_nothing();
    ran.complains(&["maybe submitted", "no idempotency key", "1 create that was cut short"]);
    wait(&backend, &scratch, &[]).run().exits_with(0).complains(&["no unfinished jobs"]);
    assert_eq!(posts(&backend), 1);
}

/// A backend whose creates have keys; the first is not answered.
fn forgetful() -> Backend {
    Backend::start(|asked| match asked.method.as_str() {
        "POST" if asked.earlier == 0 => Answer::Hangs,
        "POST" => json(r#"{"id":"j"}"#),
        _ => json(r#"{"state":"done"}"#),
    })
}

fn keyed(ttl: &str) -> String {
    format!("create = {{ path = \"/jobs\", idempotency_header = \"key\", idempotency_ttl = \"{ttl}\" }}\n{API}")
}

#[test]
fn a_create_with_a_key_that_was_cut_short_is_sent_again_under_it() {
    for command in ["wait", "submit"] {
        let (backend, scratch, api) = (forgetful(), Scratch::new(), keyed("1h"));
        let running = mill(&scratch, &backend, "submit", &api, &["--body", r#"{"film":1}"#]).start();
        backend.wait_for(1);
        drop(running);
        let flags: &[&str] = if command == "submit" { &["--count", "0"] } else { &[] };
        let ran = mill(&scratch, &backend, command, &api, flags).run().exits_with(0);
        // `wait` goes on to the job's end.
        assert_eq!(ran.out, if command == "submit" { "j\n" } else { "j\tsucceeded\tdone\n" });
        let asked = backend.asked();
        let creates: Vec<_> = asked.iter().filter(|asked| asked.method == "POST").collect();
        assert_eq!(creates.len(), 2);
        assert!(creates[0].header("key").is_some() && creates[0].header("key") == creates[1].header("key"));
        assert_eq!((&*creates[0].body, &*creates[1].body), (r#"{"film":1}"#, r#"{"film":1}"#));
        // And that was it.
        mill(&scratch, &backend, "submit", &api, &["--count", "0"]).run().exits_with(0).prints_nothing();
        assert_eq!(posts(&backend), 2);
    }
}

#[test]
fn a_create_whose_key_is_too_old_is_reported_and_not_sent_again() {
    // Less than the minute that has to be left of it.
    let (backend, scratch, api) = (forgetful(), Scratch::new(), keyed("10s"));
    let running = mill(&scratch, &backend, "submit", &api, &[]).start();
    backend.wait_for(1);
    drop(running);
    mill(&scratch, &backend, "wait", &api, &[]).run().exits_with(4).complains(&["maybe submitted", "too old"]);
    mill(&scratch, &backend, "wait", &api, &[]).run().exits_with(0);
    assert_eq!(posts(&backend), 1);
}

#[test]
fn a_create_that_failed_with_an_unknown_end_is_finished_later() {
    let up = never();
    let backend = Backend::start({
        let up = Arc::clone(&up);
        move |asked| match (asked.method.as_str(), up.load(Ordering::SeqCst)) {
            ("POST", false) => code(502),
            ("POST", true) => json(r#"{"id":"j"}"#),
            _ => json(r#"{"state":"done"}"#),
        }
    });
    let (scratch, api) = (Scratch::new(), format!("{}\n", keyed("1h")));
    let api = api.replace("defaults = {", "defaults = { timeout = \"100ms\",");
    mill(&scratch, &backend, "submit", &api, &[])
        .run()
        .exits_with(4)
        .prints_nothing()
        .complains(&["may have been created"]);
    // Still down: it stays in the file.
    mill(&scratch, &backend, "wait", &api, &[]).run().exits_with(4).complains(&["was cut short earlier"]);
    up.store(true, Ordering::SeqCst);
    assert_eq!(mill(&scratch, &backend, "wait", &api, &[]).run().exits_with(0).ends(), [("j", "succeeded")]);
}

#[test]
fn every_id_that_was_printed_is_in_the_file() {
    for lines in [1, 2, 5, 17] {
        let backend = Backend::start(|asked| match asked.method.as_str() {
            "POST" => created(format_args!("job-{}", asked.earlier)),
            _ => state("completed"),
        });
        let scratch = Scratch::new();
        let flags = ["--count", "1000", "--rate", "10000/s", "--state", &scratch.path("jobs.state")];
        let running = tracker("submit", &backend.url(), &flags).start();
        running.out().wait_for_lines(lines);
        let printed = killed(running).out;
        let ran = wait(&backend, &scratch, &["--rate", "10000/s"]).run();
        let told: Vec<_> = ran.ends().iter().map(|(id, _)| (*id).to_owned()).collect();
        for id in whole_lines(&printed) {
            assert!(told.contains(&id.to_owned()), "{id} is lost: {ran:#?}");
        }
        // One create at a time: at the most one can have been cut short.
        assert!(posts(&backend) - told.len() <= 1, "{} of {} are lost", posts(&backend) - told.len(), posts(&backend));
    }
}

/// Runs it with files of at most so many blocks of 512 bytes, as on a disk that is full.
#[cfg(unix)]
fn with_room(blocks: u32, arguments: &str, backend: &Backend, scratch: &Scratch) -> Ran {
    // The signal that comes with it is ignored, so that it is an error like any other.
    let script = format!(
        "trap '' XFSZ; ulimit -f {blocks}; \
         exec \"$0\" {arguments} --rate 100000/s --api tracker --base-url \"$1\" --state \"$2\""
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_jobwatch"), &backend.url(), &scratch.path("jobs.state")]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_creating_with_what_is_known() {
    let backend =
        Backend::start(|asked| if asked.method == "POST" { created(asked.earlier) } else { state("pending") });
    let scratch = Scratch::new();
    for arguments in ["submit --count 1000", "submit --wait --count 1000"] {
        let before = posts(&backend);
        let ran = with_room(2_000, arguments, &backend, &scratch);
        let made = posts(&backend) - before;
        assert!(made < 1_000, "it went on without a disk");
        let printed = ran.out.lines().filter(|line| !line.contains('\t')).count();
        assert_eq!(printed, made, "an id is lost: {ran:#?}");
        ran.exits_with(5).complains(&["jobs.state"]);
    }
    // With room again it goes on.
    let ran = wait(&backend, &scratch, &["--timeout", "50ms", "--rate", "100000/s"]).run().exits_with(4);
    assert!(ran.out.lines().count() > 10, "{ran:#?}");
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_a_wait_with_what_is_known() {
    let over = never();
    let (backend, scratch) = (backend(&over), Scratch::new());
    let ids: Vec<_> = (0..300).map(|number| format!("late-{number}")).collect();
    let flags = ["--timeout", "50ms", "--rate", "100000/s", "-"];
    wait(&backend, &scratch, &flags).input(ids.join("\n")).run().exits_with(4);
    over.store(true, Ordering::SeqCst);
    // Room for a few of three hundred outcomes.
    let ran = with_room(60, "wait --min-delay 10ms", &backend, &scratch);
    let ran = ran.exits_with(5).complains(&["jobs.state"]);
    let told = ran.ends();
    assert_eq!(sorted(told.iter().map(|(id, _)| (*id).to_owned())), sorted(ids.clone()), "each is told as what it is");
    assert!(told.iter().all(|(_, outcome)| ["succeeded", "stopped"].contains(outcome)), "{told:?}");
    // What could not be written is told once more.
    let again = wait(&backend, &scratch, &["--rate", "100000/s"]).run().exits_with(0);
    let told: std::collections::BTreeSet<_> =
        told.iter().filter(|(_, how)| *how == "succeeded").map(|(id, _)| *id).collect();
    assert!(ids.iter().all(|id| told.contains(&**id) || again.out.contains(&format!("{id}\tsucceeded"))), "{again:#?}");
}

/// Kills it, and gives what it has printed.
pub(crate) fn killed(running: crate::program::Running) -> Ran {
    running.kill().finish()
}

/// The lines that have an end.
pub(crate) fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}
