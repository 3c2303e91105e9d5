//! Ids that would be something else in an address: encoded or refused, never obeyed.

use jobwatch::{Dialect, JobRef, LookError, Outcome};
use serde_json::{Value, json};

use crate::kiln::{fired, firing};
use crate::{Answer, Driver, Server, Setup};

fn asked_at(path: &str) -> Dialect {
    let text =
        format!("name = \"kiln\"\npoll.path = \"{path}\"\nstate.pointer = \"/state\"\nstate.succeeded = [\"fired\"]");
    Dialect::from_toml(&text).expect("the dialect is well-formed")
}

/// Each id is asked for at this target and no other.
fn are_asked_at(driver: &dyn Driver, path: &str, rows: &[(&str, &str)]) {
    let server = Server::start();
    let client = driver.client(Setup::of(&server).dialect(asked_at(path)));
    for (id, target) in rows {
        server.on(*target, [fired()]);
        let done = client.wait(&firing(id));
        assert_eq!(server.targets().pop().as_deref(), Some(*target));
        assert_eq!((done.outcome, done.job.id()), (Outcome::Succeeded, *id));
    }
    assert_eq!(server.requests().len(), rows.len());
}

/// Each id is refused without a request.
fn are_refused(driver: &dyn Driver, path: &str, ids: &[&str]) {
    let server = Server::start();
    let client = driver.client(Setup::of(&server).dialect(asked_at(path)));
    for id in ids {
        let done = client.wait(&firing(id));
        assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::BadUrl)), "{id}");
        assert_eq!(done.requests, 0);
    }
    assert_eq!(server.log(|log| log.connections), 0);
}

/// An id that is a path keeps its slashes and nothing else.
pub fn ids_that_are_paths(driver: &dyn Driver) {
    let rows = [
        ("projects/p/operations/7", "/v1/projects/p/operations/7"),
        ("a?b#c", "/v1/a%3Fb%23c"),
        ("a b/ä", "/v1/a%20b/%C3%A4"),
        ("%2e%2e/x", "/v1/%252e%252e/x"),
        ("a\\..\\b", "/v1/a%5C..%5Cb"),
        ("a//b", "/v1/a//b"),
        ("//203.0.113.1/x", "/v1///203.0.113.1/x"),
        ("@203.0.113.1:80", "/v1/@203.0.113.1:80"),
        ("a.../b", "/v1/a.../b"),
    ];
    are_asked_at(driver, "/v1/{+id}", &rows);
    are_refused(driver, "/v1/{+id}", &["../x", "a/../b", "a/..", "./a", "a/.", "../../v2/x"]);
}

/// In a query an id is one value.
pub fn ids_in_a_query(driver: &dyn Driver) {
    let rows = [
        ("a&b=c", "/status?id=a%26b%3Dc"),
        ("a+b c", "/status?id=a%2Bb%20c"),
        ("é#x?/..", "/status?id=%C3%A9%23x%3F%2F.."),
        ("%26", "/status?id=%2526"),
        ("'\"<>", "/status?id=%27%22%3C%3E"),
    ];
    are_asked_at(driver, "/status?id={id}", &rows);
    are_asked_at(driver, "?id={id}", &[("a&b=c", "/?id=a%26b%3Dc")]);
}

/// In a query an id that is a path is one value, too, slashes and all.
pub fn ids_that_are_paths_in_a_query(driver: &dyn Driver) {
    let rows = [
        ("projects/p/operations/7", "/status?name=projects/p/operations/7"),
        ("a&name=b", "/status?name=a%26name%3Db"),
        ("a;b+c#d", "/status?name=a%3Bb%2Bc%23d"),
    ];
    are_asked_at(driver, "/status?name={+id}", &rows);
}

/// What no request can ask for is no id, whoever says so; what was created beside it is not lost.
pub fn impossible_ids(driver: &dyn Driver) {
    for id in ["", ".", "..", "a\nb", "a\r\nx-evil: 1", "a\0", "\t", "\u{7f}", "a\u{85}"] {
        assert!(JobRef::new(id).is_err(), "{id:?}");
        let server = Server::start();
        server.on("/firings", [Answer::json(200, json!({"id": ["a", id, "b"]}).to_string())]);
        let failed = driver.client(Setup::of(&server)).create(&Value::Null).expect_err("an id is missing");

        assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Malformed), true));
        assert_eq!(failed.created.iter().map(JobRef::id).collect::<Vec<_>>(), ["a", "b"]);
        assert!(!failed.to_string().contains(char::is_control), "{failed:?}");
        assert_eq!(server.requests().len(), 1);
    }
}
