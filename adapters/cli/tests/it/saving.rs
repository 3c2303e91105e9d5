//! `--save-results`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::backend::{Answer, Asked, Backend, code, json};
use crate::program::{Program, Ran, Scratch, jobwatch, sorted, text};

const API: &str = r#"
name = "mill"
poll.path = "/jobs/{id}"
state.pointer = "/state"
state.running = ["running"]
state.succeeded = ["done"]
state.failed = ["bad"]
result.pointer = "/result"
defaults = { min_delay = "10ms", max_delay = "50ms" }
"#;

/// A job that is done and made this; `@` stands for the backend's address.
fn made(asked: &Asked, result: &str) -> Answer {
    let here = format!("http://{}", asked.header("host").unwrap_or_default());
    json(format!(r#"{{"state":"done","result":{}}}"#, result.replace('@', &here)))
}

fn says(body: &str) -> Answer {
    Answer::Says { status: 200, headers: String::new(), body: body.to_owned() }
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_file(asked: &Asked) -> bool {
    asked.path.starts_with("/files/")
}

/// Waits for these jobs and saves into `results`, a directory of the scratch one.
fn save(scratch: &Scratch, backend: &Backend, arguments: &[&str]) -> Program {
    let api = scratch.file("mill.toml", API);
    let program = jobwatch(&["wait", "--api", &api, "--base-url", &backend.url(), "-H", "X-Api-Key: hush"]);
    program.args(&["--save-results", &scratch.path("results")]).args(arguments)
}

#[test]
fn what_is_at_an_address_is_fetched_without_credentials() {
    let scratch = Scratch::new();
    let film = r#""@/files/v.MP4?Signature=s3cret""#;
    let backend = Backend::start(move |asked| if is_file(asked) { says("the film") } else { made(asked, film) });
    let ran = save(&scratch, &backend, &["--json", "j-1"]).run().exits_with(0);
    assert!(text(&ran.job()["result"]).ends_with("/files/v.MP4?Signature=s3cret"));
    assert_eq!(
        (scratch.names("results"), scratch.read("results/j-1.mp4")),
        (vec!["j-1.mp4".into()], "the film".into())
    );
    let asked = backend.asked().pop().unwrap();
    assert_eq!((asked.path.as_str(), asked.header("x-api-key")), ("/files/v.MP4?Signature=s3cret", None));

    let text = save(&scratch, &backend, &["j-2"]).run().exits_with(0);
    assert_eq!(text.rows(), [["j-2", "succeeded", &scratch.path("results/j-2.mp4")]]);
}

#[test]
fn every_kind_of_result_is_written() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| match asked.id() {
        "object" => made(asked, r#"{"films":["@/files/1.mp4","@/files/2.webm?x=y","@/files/1.mp4"],"n":3}"#),
        "array" => made(asked, r#"["@/files/3"]"#),
        "words" => made(asked, r#""so be it""#),
        "number" => made(asked, "7"),
        "nothing" => made(asked, "null"),
        "bad" => json(r#"{"state":"bad","result":"@/files/4"}"#),
        _ => says(&format!("from {}", asked.path)),
    });
    let ids = ["object", "array", "words", "number", "nothing", "bad"];
    let ran = save(&scratch, &backend, &ids).run().exits_with(1);
    let names = ["array-1", "array.json", "number.json", "object-1.mp4", "object-2.webm", "object.json", "words.txt"];
    assert_eq!(scratch.names("results"), names);
    assert_eq!(scratch.read("results/words.txt"), "so be it");
    assert_eq!(scratch.read("results/number.json"), "7\n");
    assert_eq!(scratch.read("results/object-2.webm"), "from /files/2.webm?x=y");
    assert_eq!(scratch.read("results/array-1"), "from /files/3");
    let object: serde_json::Value = serde_json::from_str(&scratch.read("results/object.json")).unwrap();
    assert_eq!(object["n"], 3);
    let detail = |id: &str| ran.rows().into_iter().find(|row| row[0] == id).unwrap()[2].to_owned();
    assert_eq!(detail("object"), format!("{} and 2 more", scratch.path("results/object.json")));
    assert_eq!(detail("nothing"), "done");
}

#[test]
fn whatever_a_job_is_called_its_result_stays_in_the_directory() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| if is_file(asked) { says("x") } else { made(asked, r#""@/files/a.bin""#) });
    let long = "x".repeat(300);
    let elsewhere = format!("{}/jobs/..%2f..%2fy?key=1", backend.url());
    let ids = ["../x", "/etc/x", "..\\x", "a/b", "a:b", "A:B", ".hidden", "-rf", "...", "~", &long, &elsewhere];
    let ran = save(&scratch, &backend, &["-"]).input(ids.join("\n")).run().exits_with(0);
    assert_eq!(ran.rows().len(), ids.len());
    let names = scratch.names("results");
    assert_eq!(names.len(), ids.len(), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with('.') && extension(name) == "bin"), "{names:?}");
    assert_eq!(scratch.names(""), ["mill.toml", "results"]);
}

#[test]
fn a_download_that_fails_for_a_moment_is_tried_again() {
    let scratch = Scratch::new();
    let tries = AtomicUsize::new(0);
    let backend = Backend::start(move |asked| {
        if !is_file(asked) {
            return made(asked, r#""@/files/v.mp4""#);
        }
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => code(503),
            1 => Answer::Breaks("half of".to_owned()),
            _ => says("all of it"),
        }
    });
    save(&scratch, &backend, &["j"]).run().exits_with(0);
    assert_eq!(scratch.read("results/j.mp4"), "all of it");
    assert_eq!(scratch.names("results"), ["j.mp4"]);
}

#[test]
fn a_download_that_is_stuck_is_tried_again() {
    let scratch = Scratch::new();
    let tries = AtomicUsize::new(0);
    let backend = Backend::start(move |asked| {
        if !is_file(asked) {
            return made(asked, r#""@/files/v.mp4""#);
        }
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Stalls("half of".to_owned()),
            _ => says("all of it"),
        }
    });
    save(&scratch, &backend, &["--attempt-timeout", "300ms", "j"]).run().exits_with(0);
    assert_eq!(scratch.read("results/j.mp4"), "all of it");
}

#[test]
fn a_result_that_cannot_be_had_is_told_and_leaves_no_part() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| match (is_file(asked), asked.id()) {
        (true, "gone.mp4?key=s3cret") => code(404),
        (true, _) => says("whole"),
        (false, "j") => made(asked, r#""@/files/gone.mp4?key=s3cret""#),
        (false, _) => made(asked, r#""@/files/good.mp4""#),
    });
    std::fs::create_dir(scratch.path("results")).unwrap();
    scratch.file("results/j.mp4", "from an earlier run");
    let ran = save(&scratch, &backend, &["--json", "j", "good"]).run().exits_with(5);
    let (jobs, summary) = ran.report();
    let job = jobs.iter().find(|job| job["id"] == "j").unwrap();
    assert_eq!(job["outcome"], "succeeded");
    assert!(text(&job["error"]).contains("not saved") && text(&job["error"]).contains("404"), "{job}");
    assert!(!text(&job["error"]).contains("s3cret"), "{job}");
    assert_eq!((&summary["succeeded"], &summary["jobs"]), (&2.into(), &2.into()));
    ran.complains(&["j: the result was not saved"]);
    assert_eq!(scratch.names("results"), ["good.mp4", "j.mp4"]);
    assert_eq!(scratch.read("results/j.mp4"), "from an earlier run");
    let gone = backend.asked().iter().filter(|asked| asked.path.contains("gone")).count();
    assert_eq!(gone, 1, "what cannot be cured is not tried again");
    save(&scratch, &backend, &["j"]).run().exits_with(5).complains(&["not saved"]).never_tells("s3cret");
}

#[test]
fn a_file_of_an_earlier_run_is_replaced_and_told() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| if is_file(asked) { says("new") } else { made(asked, r#""@/files/v.mp4""#) });
    save(&scratch, &backend, &["j"]).run().exits_with(0);
    scratch.file("results/j.mp4", "older and longer");
    let ran = save(&scratch, &backend, &["j"]).run().exits_with(0);
    ran.complains(&[&format!("{} was replaced", scratch.path("results/j.mp4"))]);
    assert_eq!(scratch.read("results/j.mp4"), "new");
    assert_eq!(save(&scratch, &backend, &["-q", "j"]).run().exits_with(0).err, "");
    assert_eq!(scratch.names("results"), ["j.mp4"]);
}

#[test]
fn a_directory_that_cannot_be_is_local_trouble_before_anything_is_asked() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| made(asked, "1"));
    scratch.file("results", "a file in the way");
    save(&scratch, &backend, &["j"]).run().exits_with(5).prints_nothing().complains(&["--save-results", "results"]);
    assert!(backend.asked().is_empty());
}

#[test]
fn a_name_that_is_taken_by_a_directory_is_local_trouble() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| made(asked, "1"));
    std::fs::create_dir_all(scratch.path("results/j.json/full")).unwrap();
    let ran = save(&scratch, &backend, &["j"]).run().exits_with(5).complains(&["cannot write into"]);
    assert_eq!(ran.ends(), [("j", "succeeded")]);
    assert_eq!(scratch.names("results"), ["j.json"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_directory_leads_nowhere() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| made(asked, "1"));
    let outside = scratch.file("outside", "untouched");
    std::fs::create_dir(scratch.path("results")).unwrap();
    std::os::unix::fs::symlink(outside, scratch.path("results/j.json")).unwrap();
    save(&scratch, &backend, &["j"]).run().exits_with(0);
    assert_eq!((scratch.read("outside"), scratch.read("results/j.json")), ("untouched".into(), "1\n".into()));
}

#[test]
fn downloads_run_beside_the_waiting() {
    let scratch = Scratch::new();
    let fetched = AtomicBool::new(false);
    // The second job ends only when the first one's result is being fetched.
    let backend = Backend::start(move |asked| match (is_file(asked), asked.id()) {
        (true, _) => {
            fetched.store(true, Ordering::SeqCst);
            says("x")
        }
        (false, "late") if !fetched.load(Ordering::SeqCst) => json(r#"{"state":"running"}"#),
        _ => made(asked, r#""@/files/v.mp4""#),
    });
    save(&scratch, &backend, &["soon", "late"]).run().exits_with(0);
    assert_eq!(scratch.names("results"), ["late.mp4", "soon.mp4"]);
}

#[test]
fn few_downloads_run_at_once() {
    let scratch = Scratch::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let backend = Backend::start(move |asked| {
        if !is_file(asked) {
            return made(asked, r#""@/files/v.mp4""#);
        }
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // A server takes its time.
        std::thread::sleep(Duration::from_millis(10));
        now.fetch_sub(1, Ordering::SeqCst);
        says("x")
    });
    let ids: Vec<String> = (0..30).map(|number| format!("j{number}")).collect();
    let ran = save(&scratch, &backend, &["-"]).input(ids.join("\n")).run().exits_with(0);
    assert_eq!((ran.rows().len(), scratch.names("results").len()), (30, 30));
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)), "{most:?} at once");
}

#[test]
fn an_outcome_is_told_when_its_result_is_there() {
    let scratch = Scratch::new();
    let release = Arc::new(AtomicBool::new(false));
    let backend = Backend::start({
        let release = Arc::clone(&release);
        move |asked| match (is_file(asked), asked.id()) {
            (true, _) => says("x"),
            (false, "late") if !release.load(Ordering::SeqCst) => json(r#"{"state":"running"}"#),
            _ => made(asked, r#""@/files/v.mp4""#),
        }
    });
    let running = save(&scratch, &backend, &["soon", "late"]).start();
    let line = running.out().wait_for(|_| true);
    assert!(line.starts_with("soon\tsucceeded\t"), "{line}");
    assert_eq!(scratch.read("results/soon.mp4"), "x");
    release.store(true, Ordering::SeqCst);
    running.finish().exits_with(0);
}

#[cfg(unix)]
#[test]
fn a_signal_stops_downloads_and_leaves_no_part() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| match (is_file(asked), asked.id()) {
        (true, _) => Answer::Stalls("half of it".to_owned()),
        (false, "late") => json(r#"{"state":"running"}"#),
        _ => made(asked, r#""@/files/v.mp4""#),
    });
    let running = save(&scratch, &backend, &["--json", "a", "late", "b"]).start();
    crate::program::eventually("two downloads", || backend.asked().iter().filter(|asked| is_file(asked)).count() == 2);
    running.signal("INT");
    let ran: Ran = running.finish().exits_with(130);
    let (jobs, _) = ran.report();
    let ends = sorted(jobs.iter().map(|job| (text(&job["id"]), text(&job["outcome"]))));
    assert_eq!(ends, [("a", "succeeded"), ("b", "succeeded"), ("late", "stopped")]);
    assert!(jobs.iter().filter(|job| job["id"] != "late").all(|job| text(&job["error"]).contains("interrupted")));
    assert!(scratch.names("results").is_empty());
    let flag = format!("--save-results {}", scratch.path("results"));
    ran.complains(&["jobwatch wait", &flag, "late"]).never_tells("hush");
}

#[test]
fn results_of_submitted_jobs_are_saved_too() {
    let scratch = Scratch::new();
    let backend = Backend::start(|asked| match (asked.method.as_str(), is_file(asked)) {
        ("POST", _) => json(format!(r#"{{"id":"made-{}"}}"#, asked.earlier)),
        (_, true) => says("x"),
        _ => made(asked, r#""@/files/v.mp4""#),
    });
    let api = scratch.file("mill.toml", &format!("create.path = \"/jobs\"\njob.id = \"/id\"\n{API}"));
    let flags = ["--count", "2", "--wait", "--save-results", &scratch.path("results")];
    jobwatch(&["submit", "--api", &api, "--base-url", &backend.url()]).args(&flags).run().exits_with(0);
    let names = scratch.names("results");
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("made-")), "{names:?}");
}
