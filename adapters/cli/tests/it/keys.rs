//! Keys from the environment and from a command: where they come from, and where they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{Backend, code, json};
use crate::program::{Program, Scratch, jobwatch};

const SECRET: &str = "hush-81c2";

fn heygen(command: &str, url: &str) -> Program {
    jobwatch(&[command, "--api", "heygen-v3", "--base-url", url])
}

fn done() -> crate::backend::Answer {
    json(r#"{"data":{"status":"completed","video_url":"https://x/y","video_translation_ids":["j"]}}"#)
}

#[test]
fn the_key_of_the_environment_goes_along_unless_another_is_given() {
    let backend = Backend::start(|_| done());
    let url = backend.url();
    for (command, id) in [("wait", &["j"][..]), ("status", &["j"]), ("cancel", &["j"]), ("submit", &[])] {
        let run = |flags: &[&str]| {
            let ran = heygen(command, &url).args(flags).args(id).env("HEYGEN_API_KEY", SECRET).run().exits_with(0);
            ran.never_tells(SECRET);
            backend.asked().pop().unwrap()
        };
        assert_eq!(run(&[]).header("x-api-key"), Some(SECRET));
        assert_eq!(run(&["-H", "X-Api-Key: mine"]).header("x-api-key"), Some("mine"));
        let bearer = run(&["-H", "Authorization: Bearer mine"]);
        assert_eq!((bearer.header("x-api-key"), bearer.header("authorization")), (None, Some("Bearer mine")));
        assert_eq!(run(&["-H", "X-Other: mine"]).header("x-api-key"), Some(SECRET));
    }
    heygen("wait", &url).args(&["j"]).env("HEYGEN_API_KEY", " ").run().exits_with(0);
    assert_eq!(backend.asked().pop().unwrap().header("x-api-key"), None);
}

#[test]
fn a_key_has_the_prefix_that_its_backend_wants() {
    let backend = Backend::start(|_| json(r#"{"status":"succeeded"}"#));
    let program = jobwatch(&["wait", "--api", "replicate", "--base-url", &backend.url(), "j"]);
    program.env("REPLICATE_API_TOKEN", SECRET).run().exits_with(0).never_tells(SECRET);
    let sent = backend.asked().remove(0).header("authorization").unwrap().to_owned();
    assert_eq!(sent, format!("Bearer {SECRET}"));
}

#[test]
fn a_key_of_the_environment_is_kept_from_strangers() {
    // Nothing is created, and so nothing is asked.
    let submit = |url: &str, flags: &[&str]| {
        let program = heygen("submit", url).args(&["--count", "0"]).args(flags);
        program.env("HEYGEN_API_KEY", SECRET).env("JW_KEY", SECRET).run().never_tells(SECRET)
    };
    for stranger in ["http://stranger.example", "http://api.heygen.com"] {
        submit(stranger, &[]).exits_with(0).complains(&["HEYGEN_API_KEY is not sent", stranger, "--base-url"]);
        assert_eq!(submit(stranger, &["-q"]).exits_with(0).err, "");
        let ran = submit(stranger, &["-H", "X-Api-Key: ${env:JW_KEY}"]).exits_with(2);
        ran.complains(&["X-Api-Key", stranger, "--base-url"]);
        assert_eq!(submit(stranger, &["-H", "X-Api-Key: mine"]).exits_with(0).err, "");
    }
    for friend in ["https://proxy.example", "https://api.heygen.com", "http://localhost:9", "http://[::1]:9"] {
        assert_eq!(submit(friend, &[]).exits_with(0).err, "");
        assert_eq!(submit(friend, &["-H", "X-Api-Key: ${env:JW_KEY}"]).exits_with(0).err, "");
    }
}

#[test]
fn an_address_in_a_list_of_jobs_gets_no_key() {
    let scratch = Scratch::new();
    let header = format!("@{}", scratch.file("headers", "X-Api-Key: ${env:JW_KEY}"));
    for header in ["X-Api-Key: ${env:JW_KEY}", &header] {
        for command in ["wait", "status", "cancel"] {
            let program = jobwatch(&[command, "--api", "heygen-v3", "-H", header, "https://stranger.example/jobs/1"]);
            let ran = program.env("JW_KEY", SECRET).run().exits_with(2).prints_nothing().never_tells(SECRET);
            ran.complains(&["X-Api-Key", "https://stranger.example", "--base-url"]);
        }
    }
}

#[test]
fn a_file_does_not_choose_where_a_key_goes() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "own.toml",
        "name = \"own\"\nbase_url = \"https://stranger.example\"\npoll.path = \"/{id}\"\ncreate.path = \"/\"\n\
         state.pointer = \"/s\"\nstate.succeeded = [\"done\"]\ntrust.credential_headers = [\"x-key\"]\ntrust.env = \"JW_KEY\"\n",
    );
    let submit = |flags: &[&str]| {
        jobwatch(&["submit", "--api", &file, "--count", "0"]).args(flags).env("JW_KEY", SECRET).run().exits_with(0)
    };
    submit(&[]).complains(&["JW_KEY is not sent", "https://stranger.example"]).never_tells(SECRET);
    assert_eq!(submit(&["--base-url", "https://stranger.example"]).err, "");
}

#[test]
fn refused_credentials_tell_the_header() {
    let backend = Backend::start(|_| code(401));
    for (command, id) in [("wait", &["j"][..]), ("status", &["j"]), ("submit", &[])] {
        let ran = heygen(command, &backend.url()).args(id).run().exits_with(3);
        ran.complains(&["--header 'X-Api-Key: ${env:HEYGEN_API_KEY}'"]);
    }
}

#[cfg(unix)]
#[test]
fn a_command_prints_headers_and_renews_them() {
    let scratch = Scratch::new();
    let file = scratch.file("key", "X-Api-Key: first\nX-Other: a:b\n");
    let renewed = Arc::new(AtomicBool::new(false));
    let backend = Backend::start({
        let renewed = Arc::clone(&renewed);
        move |asked| match (asked.header("x-api-key"), renewed.load(Ordering::SeqCst)) {
            (Some("first"), false) => json(r#"{"data":{"status":"running"}}"#),
            (Some("second"), true) => done(),
            _ => code(401),
        }
    });
    let command = format!("echo run >>{}; cat {file}", scratch.path("runs"));
    let flags = ["--header-command", &command, "--min-delay", "10ms", "--max-delay", "50ms", "a", "b"];
    let running = heygen("wait", &backend.url()).args(&flags).start();
    backend.wait_for(2);
    scratch.file("key", "X-Api-Key: second\n");
    renewed.store(true, Ordering::SeqCst);
    let ran = running.finish().exits_with(0).never_tells("second");
    assert_eq!(ran.ends(), [("a", "succeeded"), ("b", "succeeded")]);
    assert_eq!(scratch.read("runs"), "run\nrun\n");
    assert!(backend.asked().iter().all(|asked| asked.header("x-other") == Some("a:b")));
}

#[cfg(unix)]
#[test]
fn a_command_that_fails_is_told_without_its_output() {
    let backend = Backend::start(|_| done());
    for (command, word) in [
        (format!("echo 'X-Api-Key: {SECRET}'; echo trouble >&2; exit 7"), "exit status: 7"),
        (format!("echo {SECRET}"), "line 1"),
        ("true".to_owned(), "no header"),
        ("/no/such/program".to_owned(), "exit status: 127"),
    ] {
        let ran = heygen("wait", &backend.url()).args(&["--header-command", &command, "j"]).run().exits_with(3);
        let ran = ran.prints_nothing().complains(&["the header command", word]).never_tells(SECRET);
        assert_eq!(ran.err.contains("trouble"), command.contains("trouble"), "its standard error goes through");
    }
    assert!(backend.asked().is_empty());
}

#[cfg(unix)]
#[test]
fn a_command_that_fails_to_renew_ends_the_wait() {
    let scratch = Scratch::new();
    let mark = scratch.path("mark");
    let command = format!("test ! -e {mark} || exit 7; touch {mark}; echo 'X-Api-Key: first'");
    let backend = Backend::start(|_| code(401));
    let ran = heygen("wait", &backend.url()).args(&["--header-command", &command, "j"]).run().exits_with(3);
    assert_eq!(ran.ends(), [("j", "rejected")]);
    assert!(ran.rows()[0][2].contains("exit status: 7"), "{ran:#?}");
    assert!(!ran.err.contains("touch"), "{ran:#?}");
}

#[cfg(unix)]
#[test]
fn a_command_that_hangs_is_interrupted() {
    let backend = Backend::start(|_| done());
    let command = "echo it hangs >&2; exec sleep 1000";
    let running = heygen("wait", &backend.url()).args(&["--header-command", command, "j"]).start();
    running.err.wait_for(|line| line == "it hangs");
    running.signal("INT");
    running.finish().exits_with(130).prints_nothing();
    assert!(backend.asked().is_empty());
}
