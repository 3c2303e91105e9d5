//! `jobwatch enqueue` and `jobwatch queue`, and what is wrong with a database.

use serde_json::json;

use crate::backend::Nobody;
use crate::postgres::{Database, PASSWORD};
use crate::program::{Program, jobwatch};

/// Carries a test out on a database of its own, where there is PostgreSQL.
pub(crate) fn on_database(test: impl FnOnce(&Database)) {
    if let Some(database) = runtime().block_on(Database::create()) {
        test(&database);
    }
}

/// What looks at a database.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A command that uses the queue `jobs` of this database.
pub(crate) fn on_queue(command: &str, database: &Database, arguments: &[&str]) -> Program {
    jobwatch(&[command, "--queue", "jobs"]).args(arguments).env("DATABASE_URL", &database.url())
}

/// Enqueues these jobs of a tracker.
pub(crate) fn enqueue(database: &Database, url: &str, ids: &[String]) {
    let arguments = ["--api", "tracker", "--base-url", url, "-"];
    let ran = on_queue("enqueue", database, &arguments).input(ids.join("\n")).run().exits_with(0);
    assert!(ran.rows().iter().all(|row| row[1] == "queued") && ran.rows().len() == ids.len(), "{ran:?}");
}

#[test]
fn what_is_enqueued_is_told_and_shown() {
    on_database(|database| {
        let arguments = ["--api", "tracker", "--base-url", "http://127.0.0.1:9", "-"];
        let lines = "a\n\nb\tfailed\tas told by wait\n{\"v\":1,\"type\":\"created\",\"id\":\"c\"}\na\n";
        let ran = on_queue("enqueue", database, &arguments).input(lines).run().exits_with(0);
        assert_eq!(ran.ends(), [("a", "queued"), ("a", "waiting"), ("b", "queued"), ("c", "queued")]);
        let again = on_queue("enqueue", database, &arguments).args(&["--json", "d"]).input("b").run().exits_with(0);
        let line = |id, standing| json!({ "v": 1, "type": "enqueued", "id": id, "standing": standing });
        assert_eq!(again.json(), [line("d", "queued"), line("b", "waiting")]);

        let shown = on_queue("queue", database, &["--json"]).run().exits_with(0).never_tells(PASSWORD).json().remove(0);
        assert_eq!((&shown["v"], &shown["type"], &shown["queue"]), (&1.into(), &"queue".into(), &"jobs".into()));
        assert_eq!((&shown["waiting"], &shown["running"], &shown["set_aside"]), (&4.into(), &0.into(), &0.into()));
        assert!(
            shown["oldest_waiting_s"].is_f64() && shown["ended"] == json!({}) && shown["workers"] == json!([]),
            "{shown}"
        );
        let text = on_queue("queue", database, &[]).run().exits_with(0);
        assert!(
            text.out.starts_with("4 waiting (the oldest for ") && text.out.contains("0 running, 0 ended"),
            "{text:?}"
        );
    });
}

#[test]
fn a_line_that_is_no_id_ends_the_reading_after_those_before_it() {
    on_database(|database| {
        let arguments = ["--api", "tracker", "--base-url", "http://127.0.0.1:9", "-"];
        let ran = on_queue("enqueue", database, &arguments).input("a\n..\nb\n").run().exits_with(2);
        assert_eq!(ran.ends(), [("a", "queued")]);
        ran.complains(&["line 2"]);
        let empty = on_queue("enqueue", database, &arguments).run().exits_with(0).prints_nothing();
        assert_eq!(empty.err, "");
    });
}

#[test]
fn the_backend_is_that_of_the_first_url() {
    on_database(|database| {
        let urls = ["http://127.0.0.1:9/status/a", "http://127.0.0.1:9/status/b"];
        on_queue("enqueue", database, &["--api", "tracker"]).args(&urls).run().exits_with(0);
        let nowhere = on_queue("enqueue", database, &["--api", "tracker", "a"]).run().exits_with(2);
        nowhere.complains(&["--base-url"]);
    });
}

#[test]
fn wrong_usage_is_told_without_secrets() {
    let nowhere = jobwatch(&["queue", "--queue", "jobs"]).env("DATABASE_URL", "").run().exits_with(2);
    nowhere.complains(&["--database", "DATABASE_URL"]);
    let flag = |url: &str| jobwatch(&["queue", "--queue", "jobs", "--database", url]).run();
    flag("mysql://u:hush-1@h/d").exits_with(2).complains(&["postgres://"]).never_tells("hush-1");
    flag("postgres://u:hush-1@h:port/d").exits_with(2).never_tells("hush-1");
    flag("postgres://u:${env:JOBWATCH_NO_SUCH}@h/d").exits_with(2).complains(&["--database", "JOBWATCH_NO_SUCH"]);
    let named = jobwatch(&["queue", "--database", "postgres://h/d", "--queue", "No-Name"]).run();
    named.exits_with(2).complains(&["\"No-Name\"", "small letters"]);
    let lease = ["worker", "--queue", "jobs", "--api", "tracker", "--lease", "1s"];
    jobwatch(&lease).run().exits_with(2).complains(&["at least 2s"]);
}

#[test]
fn trouble_with_the_database_is_local_trouble() {
    let nobody = Nobody::listens();
    let url = format!("postgres://u:${{env:JW_PW}}@{}/d", nobody.url().trim_start_matches("http://"));
    for command in ["queue", "enqueue", "worker"] {
        let mut program = jobwatch(&[command, "--queue", "jobs", "--database", &url]).env("JW_PW", "hush-2");
        if command != "queue" {
            program = program.args(&["--api", "tracker", "--base-url", "http://127.0.0.1:9"]);
        }
        if command == "enqueue" {
            program = program.args(&["id"]);
        }
        program.run().exits_with(5).complains(&["the database cannot be used now"]).never_tells("hush-2");
    }
    on_database(|database| {
        let missing = on_queue("queue", database, &[]).run().exits_with(2).prints_nothing();
        missing.complains(&["no queue \"jobs\"", "jobwatch enqueue"]);
        let wrong = database.url().replace(PASSWORD, "hush-3");
        let refused = jobwatch(&["queue", "--queue", "jobs", "--database", &wrong]).run();
        if wrong != database.url() {
            refused.exits_with(5).complains(&["password"]).never_tells("hush-3");
        }
    });
}
