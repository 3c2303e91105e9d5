//! `jobwatch worker`.
#![cfg(unix)]

use serde_json::Value;

use crate::backend::{Backend, code, json, simulator, state};
use crate::postgres::{Database, PASSWORD};
use crate::program::{Program, sorted, submit, text};
use crate::queue::{enqueue, on_database, on_queue};
use crate::wait::{is_job_object, is_summary};

/// A worker for a tracker, with short delays.
fn worker(database: &Database, url: &str, arguments: &[&str]) -> Program {
    let own = ["--api", "tracker", "--base-url", url, "--min-delay", "20ms", "--max-delay", "200ms", "--rate", "500/s"];
    on_queue("worker", database, &own).args(arguments)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn jobs_go_from_a_queue_to_their_ends() {
    on_database(|database| {
        let simulator = simulator("uniform:0.1..0.5").fail_rate(0.5).start().unwrap();
        let ids = submit(&simulator.url(), 20);
        enqueue(database, &simulator.url(), &ids);
        let ran = worker(database, &simulator.url(), &["--drain", "--json", "--name", "w-1"]).run().exits_with(1);
        let (jobs, summary) = ran.never_tells(PASSWORD).report();
        jobs.iter().for_each(is_job_object);
        is_summary(&summary);
        assert_eq!(sorted(jobs.iter().map(|job| text(&job["id"]))), sorted(ids.iter().map(String::as_str)));
        assert_eq!(summary["jobs"], 20);

        let shown = on_queue("queue", database, &["--json"]).run().exits_with(0).json().remove(0);
        let ends = |of: &Value| of.as_object().unwrap().values().map(|ends| ends.as_u64().unwrap()).sum::<u64>();
        assert_eq!((&shown["waiting"], &shown["running"], ends(&shown["ended"])), (&0.into(), &0.into(), 20));
        let at_work = &shown["workers"][0];
        assert_eq!((&at_work["name"], &at_work["seen_s"], ends(&at_work["ended"])), (&"w-1".into(), &Value::Null, 20));
        let shown = on_queue("queue", database, &[]).run().exits_with(0).out;
        assert!(shown.contains("w-1") && shown.contains("has left") && shown.contains("20 ended"), "{shown}");

        // They have ended: there is nothing to wait for.
        let again = on_queue("enqueue", database, &["--api", "tracker", "--base-url", &simulator.url(), &ids[0]]).run();
        assert!(["succeeded", "failed"].contains(&again.exits_with(0).ends()[0].1));
    });
}

#[test]
fn a_signal_hands_back_what_has_not_ended() {
    on_database(|database| {
        let backend = Backend::start(|asked| state(if asked.id() == "good" { "completed" } else { "pending" }));
        enqueue(database, &backend.url(), &ids(&["good", "a", "b"]));
        for (signal, expected) in [("TERM", 143), ("INT", 130)] {
            let asked = backend.asked().len();
            let running = worker(database, &backend.url(), &[]).start();
            backend.wait_for(asked + 6);
            if signal == "TERM" {
                running.out().wait_for_lines(1);
            }
            running.signal(signal);
            let ran = running.finish().exits_with(expected);
            ran.complains(&["handed back: 2 jobs"]);
            let shown = on_queue("queue", database, &["--json"]).run().json().remove(0);
            assert_eq!((&shown["waiting"], &shown["running"]), (&2.into(), &0.into()));
        }
    });
}

#[test]
fn the_exit_status_tells_how_jobs_ended() {
    on_database(|database| {
        let backend = Backend::start(|asked| match asked.id() {
            "bad" => state("error"),
            "slow" => state("pending"),
            _ => state("completed"),
        });
        for (id, status, outcome) in [("good", 0, "succeeded"), ("bad", 1, "failed"), ("slow", 4, "timed_out")] {
            enqueue(database, &backend.url(), &ids(&[id]));
            let ran = worker(database, &backend.url(), &["--drain", "--quiet", "--max-polls", "2"]).run();
            let ran = ran.exits_with(status);
            assert_eq!((ran.ends(), ran.err.as_str()), (vec![(id, outcome)], ""));
        }
        let nothing = worker(database, &backend.url(), &["--once", "--quiet"]).run().exits_with(0).prints_nothing();
        assert_eq!(nothing.err, "");
    });
}

#[test]
fn refused_credentials_leave_the_queue_as_it_is() {
    on_database(|database| {
        let backend = Backend::start(|asked| match asked.header("x-api-key") {
            Some("right") => json(r#"{"result":"completed"}"#),
            _ => code(401),
        });
        enqueue(database, &backend.url(), &ids(&["a", "b"]));
        let wrong = worker(database, &backend.url(), &["--header", "X-Api-Key: hush-9"]).run().exits_with(3);
        wrong.prints_nothing().complains(&["left in the queue"]).never_tells("hush-9");
        let other = worker(database, &backend.url(), &["--drain", "--credential", "second"]).run().exits_with(0);
        other.prints_nothing();
        let right = worker(database, &backend.url(), &["--drain", "--header", "X-Api-Key: right"]).run().exits_with(0);
        assert_eq!(right.ends(), [("a", "succeeded"), ("b", "succeeded")]);
    });
}

#[test]
fn a_closed_pipe_hands_back() {
    on_database(|database| {
        let backend =
            Backend::start(|asked| state(if asked.id().starts_with("good") { "completed" } else { "pending" }));
        enqueue(database, &backend.url(), &ids(&["late", "good-1", "good-2"]));
        let (running, stdout) = worker(database, &backend.url(), &["--quiet"]).start_unread();
        drop(stdout);
        let ran = running.finish();
        assert!(ran.code == Some(4), "{ran:?}");
        // The other good job may have been recorded before or handed back.
        let shown = on_queue("queue", database, &["--json"]).run().json().remove(0);
        let (waiting, ended) = (shown["waiting"].as_u64().unwrap(), shown["ended"]["succeeded"].as_u64().unwrap());
        assert!(shown["running"] == 0 && ended >= 1 && waiting + ended == 3, "{shown}");
    });
}
