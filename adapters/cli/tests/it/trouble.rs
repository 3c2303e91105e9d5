//! Exit statuses other than 0 and 1.

use jobwatch_simulator::Simulator;

use crate::backend::{Answer, Backend, Nobody, code, simulator, state};
use crate::program::{Scratch, jobwatch, number, sorted, submit, text, tracker};

#[test]
fn wrong_usage_is_named() {
    let backend = Backend::start(|_| state("completed"));
    for (flags, words) in [
        (&["--no-such-flag", "j"][..], &["--no-such-flag"][..]),
        (&["--timeout", "soon", "j"], &["--timeout", "soon", "30s"]),
        (&["--timeout", "10", "j"], &["--timeout", "30s"]),
        (&["--min-delay", "-1s", "j"], &["-1"]),
        (&["--min-delay", "2s", "--max-delay", "1s", "j"], &["min", "max"]),
        (&["--factor", "0.5", "j"], &["factor"]),
        (&["--factor", "NaN", "j"], &["factor"]),
        (&["--factor", "2", "--schedule", "constant", "j"], &["--factor", "--schedule"]),
        (&["--request-cost", "1s", "--schedule", "constant", "j"], &["--request-cost", "--schedule"]),
        (&["--request-cost", "1s", "--factor", "2", "j"], &["--request-cost", "--factor"]),
        (&["--request-cost", "0", "j"], &["request cost"]),
        (&["--schedule", "linear", "j"], &["--schedule", "learned", "constant"]),
        (&["--schedule", "steps:30s", "j"], &["--schedule", "30s@0"]),
        (&["--jitter", "some", "j"], &["--jitter", "decorrelated"]),
        (&["--max-failures", "0", "j"], &["--max-failures"]),
        (&["--max-polls", "0", "j"], &["--max-polls"]),
        (&["--concurrency", "0", "j"], &["--concurrency"]),
        (&["--max-body", "many", "j"], &["--max-body"]),
        (&[".."], &[".."]),
        (&["ok", "."], &["."]),
        (&[""], &["empty"]),
        (&["a\tb"], &["a\\tb"]),
        (&["--header", "no colon", "j"], &["--header"]),
        (&["--header", "bad name: v", "j"], &["bad"]),
        (&["--header", "@/no/such/file", "j"], &["/no/such/file"]),
    ] {
        let ran = tracker("wait", &backend.url(), flags).run();
        assert_eq!(ran.code, Some(2), "{flags:?} {ran:#?}");
        ran.prints_nothing().complains(words);
    }
    for command in ["status", "cancel"] {
        let program = tracker(command, &backend.url(), &["-"]).input("fine\n..\n");
        program.run().exits_with(2).prints_nothing();
    }
    assert!(backend.asked().is_empty());
}

#[test]
fn commands_and_presets_are_named() {
    jobwatch(&[]).run().exits_with(2).prints_nothing().complains(&["wait", "demo"]);
    jobwatch(&["wiat"]).run().exits_with(2).complains(&["wiat"]);
    jobwatch(&["wait", "j"]).run().exits_with(2).complains(&["--api"]);
    let program = jobwatch(&["wait", "--api", "no-such-preset", "--base-url", "http://127.0.0.1:9", "j"]);
    program.run().exits_with(2).complains(&["no-such-preset", "tracker", ".toml"]);
}

#[test]
fn an_address_has_to_be_given_and_right() {
    for command in ["wait", "status", "submit"] {
        let id: &[&str] = if command == "submit" { &[] } else { &["j"] };
        jobwatch(&[command, "--api", "tracker"]).args(id).run().exits_with(2).complains(&["--base-url"]);
        for wrong in ["127.0.0.1:5000", "ftp://127.0.0.1", "http://", "nonsense"] {
            let ran = tracker(command, wrong, id).run().exits_with(2).prints_nothing();
            ran.complains(&["base URL"]);
        }
        let ran = tracker(command, "http://me:hush@127.0.0.1:9", id).run().exits_with(2);
        ran.complains(&["base URL"]).never_tells("hush");
    }
}

#[test]
fn refused_credentials_end_the_wait_at_once() {
    for status in [401, 403] {
        let backend = Backend::start(move |_| code(status));
        let ran = tracker("wait", &backend.url(), &["--json", "j"]).run().exits_with(3);
        let job = ran.job();
        assert_eq!((&job["outcome"], &job["requests"]), (&"rejected".into(), &1.into()));
        assert!(text(&job["error"]).contains(&status.to_string()), "{job}");
        ran.complains(&["1 rejected", "jobwatch wait --api tracker"]);
    }
}

#[test]
fn a_wrong_request_is_rejected_but_no_matter_of_credentials() {
    let backend = Backend::start(|_| code(400));
    let ran = tracker("wait", &backend.url(), &["j"]).run().exits_with(4);
    assert_eq!(ran.ends(), [("j", "rejected")]);
}

#[test]
fn a_job_that_is_gone_for_good_is_lost() {
    let backend = Backend::start(|_| code(410));
    let ran = tracker("wait", &backend.url(), &["j"]).run().exits_with(1);
    assert_eq!(ran.ends(), [("j", "lost")]);
    assert_eq!(backend.asked().len(), 1);
}

#[test]
fn a_timeout_comes_with_a_look_at_the_deadline_and_names_the_job() {
    let simulator = simulator("constant:1000000").start().unwrap();
    let ids = submit(&simulator.url(), 1);
    // Nothing but the deadline can cause a second look.
    let flags = ["--json", "--min-delay", "1h", "--timeout", "1s", &ids[0]];
    let ran = tracker("wait", &simulator.url(), &flags).run().exits_with(4);
    let job = ran.job();
    assert_eq!(
        (text(&job["id"]), text(&job["outcome"]), text(&job["state"])),
        (ids[0].as_str(), "timed_out", "pending")
    );
    assert_eq!(job["requests"], 2);
    assert!(number(&job["elapsed_s"]) >= 1.0, "{job}");
    let ledger = simulator.ledger();
    let looks: Vec<u64> =
        ledger.requests_for(&ids[0]).filter(|entry| &*entry.method == "GET").map(|entry| entry.at_ns).collect();
    assert_eq!(looks.len(), 2);
    ran.complains(&["1 timed out", &ids[0]]);
}

#[test]
fn a_job_that_ended_during_the_last_sleep_has_not_timed_out() {
    let backend = Backend::start(|asked| state(if asked.earlier == 0 { "pending" } else { "completed" }));
    let ran = tracker("wait", &backend.url(), &["--json", "--min-delay", "1h", "--timeout", "1s", "j"]).run();
    let job = ran.exits_with(0).job();
    assert_eq!((text(&job["outcome"]), &job["requests"]), ("succeeded", &2.into()));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let simulator = Simulator::builder().unresponsive(true).start().unwrap();
    let flags = ["--attempt-timeout", "100ms", "--max-failures", "2", "--json", "j"];
    let ran = tracker("wait", &simulator.url(), &flags).run().exits_with(4);
    let job = ran.job();
    assert_eq!((text(&job["outcome"]), &job["requests"], &job["failed_requests"]), ("gave_up", &2.into(), &2.into()));
    assert!(text(&job["error"]).contains("no answer in time"), "{job}");
    assert!(job["state"].is_null());
}

#[test]
fn a_refused_connection_is_given_up() {
    let nobody = Nobody::listens();
    let ran = tracker("wait", &nobody.url(), &["--max-failures", "2", "a", "b"]).run().exits_with(4);
    assert_eq!(ran.ends(), [("a", "gave_up"), ("b", "gave_up")]);
    assert!(ran.rows().iter().all(|row| row[2].contains("could not be reached")), "{ran:#?}");
}

#[test]
fn an_address_where_nobody_ever_answered_is_given_up_after_five_failures() {
    let nobody = Nobody::listens();
    let job = tracker("wait", &nobody.url(), &["--json", "a"]).run().exits_with(4).job();
    assert_eq!((text(&job["outcome"]), &job["requests"]), ("gave_up", &5.into()));
}

#[test]
fn the_overall_limit_stops_what_is_left_and_no_more() {
    let backend = Backend::start(|asked| state(if asked.id() == "soon" { "completed" } else { "pending" }));
    let flags = ["--overall-timeout", "1500ms", "--json", "a", "soon", "b"];
    let ran = tracker("wait", &backend.url(), &flags).run().exits_with(4);
    let (jobs, summary) = ran.report();
    let ends = sorted(jobs.iter().map(|job| (text(&job["id"]), text(&job["outcome"]))));
    assert_eq!(ends, [("a", "stopped"), ("b", "stopped"), ("soon", "succeeded")]);
    assert_eq!((&summary["stopped"], &summary["succeeded"]), (&2.into(), &1.into()));
    assert!(number(&summary["wall_s"]) >= 1.5);
    ran.complains(&["to go on waiting:"]);
}

#[test]
fn a_body_beyond_the_limit_names_the_flag() {
    let backend = Backend::start(|_| state("completed"));
    let wait =
        |limit| tracker("wait", &backend.url(), &["--max-failures", "1", "--max-body", limit, "--json", "j"]).run();
    let job = wait("10").exits_with(4).job();
    assert_eq!(job["outcome"], "gave_up");
    assert!(text(&job["error"]).contains("--max-body"), "{job}");
    wait("22").exits_with(0);
    wait("21").exits_with(4);
}

#[test]
fn the_gravest_exit_status_of_several_wins() {
    let backend = Backend::start(|asked| match asked.id() {
        "refused" => code(401),
        "failed" => state("error"),
        "good" => state("completed"),
        _ => state("pending"),
    });
    for (ids, expected) in [
        (&["refused", "late", "failed", "good"][..], 3),
        (&["late", "failed", "good"], 4),
        (&["failed", "good"], 1),
        (&["good"], 0),
    ] {
        let flags = ["--timeout", "100ms", "--concurrency", "1"];
        let ran = tracker("wait", &backend.url(), &flags).args(ids).run().exits_with(expected);
        assert_eq!(ran.rows().len(), ids.len());
    }
}

#[test]
fn a_broken_connection_is_no_failed_job() {
    let backend = Backend::start(|asked| match asked.earlier {
        0 => state("pending"),
        1 => Answer::Leaves,
        2 => code(500),
        3 => code(404),
        _ => state("completed"),
    });
    let flags = ["--json", "--attempt-timeout", "5s", "j"];
    let job = tracker("wait", &backend.url(), &flags).run().exits_with(0).job();
    assert_eq!(job["outcome"], "succeeded");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_local_trouble() {
    let backend = Backend::start(|_| state("completed"));
    for flags in [&["j"][..], &["--json", "j"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        tracker("wait", &backend.url(), flags).run_into(full).exits_with(5).complains(&["cannot write the output"]);
    }
}

#[test]
fn the_log_is_on_standard_error_and_asked_for() {
    let backend = Backend::start(|_| state("completed"));
    let wait = |flags: &[&str]| tracker("wait", &backend.url(), flags).args(&["j"]);
    let outputs = [
        wait(&["-v"]).run(),
        wait(&["-vv"]).run(),
        wait(&[]).env("JOBWATCH_LOG", "jobwatch_reqwest=debug").run(),
        wait(&[]).env("JOBWATCH_LOG", "debug").run(),
    ];
    for ran in outputs {
        let ran = ran.exits_with(0).complains(&["jobwatch_reqwest", "status=200"]);
        assert_eq!(ran.out, "j\tsucceeded\tcompleted\n");
    }
    assert!(!wait(&[]).run().err.contains("jobwatch_reqwest"));
    wait(&[]).env("JOBWATCH_LOG", "").run().exits_with(0);
    let wrong = wait(&[]).env("JOBWATCH_LOG", "jobwatch=loudly").run();
    wrong.exits_with(2).prints_nothing().complains(&["JOBWATCH_LOG", "loudly"]);
}

#[test]
fn a_file_of_something_else_is_no_list_of_ids() {
    let long = "x".repeat(10_000);
    let ran = tracker("wait", "http://127.0.0.1:9", &["-"]).input(long).run().exits_with(2);
    ran.complains(&["10000 bytes"]);
}

#[test]
fn an_argument_that_is_a_file_too_is_an_id_and_said_to_be() {
    let backend = Backend::start(|_| state("completed"));
    let scratch = Scratch::new();
    scratch.file("ids.txt", "a\n");
    let ran = tracker("wait", &backend.url(), &["ids.txt"]).within(&scratch.path("")).run().exits_with(0);
    assert_eq!(ran.ends(), [("ids.txt", "succeeded")]);
    ran.complains(&["ids.txt is taken for an id", "- <ids.txt"]);
    let ran = tracker("wait", &backend.url(), &["--quiet", "ids.txt"]).within(&scratch.path("")).run().exits_with(0);
    assert_eq!(ran.err, "");
}
