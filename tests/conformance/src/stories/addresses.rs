//! Where jobs are asked for.

use jobwatch::{LookError, Outcome};
use serde_json::Value;

use crate::kiln::{KEY, fired, firing, heating};
use crate::{Answer, Driver, Server, Setup};

/// Whatever an id holds, it stays one segment of the path.
pub fn ids_are_percent_encoded(driver: &dyn Driver) {
    let rows = [
        ("a/b", "a%2Fb"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("a b", "a%20b"),
        ("väse ✓", "v%C3%A4se%20%E2%9C%93"),
        ("what?is#this", "what%3Fis%23this"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("a+b&c=d;e,f", "a%2Bb%26c%3Dd%3Be%2Cf"),
        ("plain-1.2_3~4", "plain-1.2_3~4"),
        ("...", "..."),
    ];
    let server = Server::start();
    let client = driver.client(Setup::of(&server));
    for (id, encoded) in rows {
        server.on(format!("/firings/{encoded}"), [fired()]);
        let done = client.wait(&firing(id));
        assert_eq!((done.outcome, done.job.id()), (Outcome::Succeeded, id));
        assert_eq!(server.targets().pop(), Some(format!("/firings/{encoded}")));
    }
    assert_eq!(server.requests().len(), rows.len());
}

/// A base URL may have a path, with or without a slash at its end.
pub fn base_url_with_a_path(driver: &dyn Driver) {
    for base in ["/studio/v1", "/studio/v1/"] {
        let server = Server::start();
        server.on("/studio/v1/firings", [Answer::json(200, r#"{"id":"a"}"#)]);
        server.on("/studio/v1/firings/a", [heating(), fired()]);
        let client = driver.client(Setup::at(format!("{}{base}", server.url())));
        let jobs = client.create(&Value::Null).expect("the kiln accepts");

        assert_eq!(client.wait(&jobs[0]).outcome, Outcome::Succeeded);
        assert_eq!(server.targets(), ["/studio/v1/firings", "/studio/v1/firings/a", "/studio/v1/firings/a"]);
    }
}

/// A job can be named by the address where it is asked for, query and all.
pub fn poll_url_instead_of_an_id(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/shelf/a?row=2", [heating(), fired()]);
    let url = format!("{}/shelf/a?row=2", server.url());
    let done = driver.client(Setup::of(&server)).wait(&firing(&url));

    assert_eq!((done.outcome, done.job.id()), (Outcome::Succeeded, url.as_str()));
    assert_eq!(server.targets(), ["/shelf/a?row=2", "/shelf/a?row=2"]);
    assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
}

/// An address abroad is not asked at all.
pub fn poll_url_of_another_origin(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let done = driver.client(Setup::of(&server)).wait(&firing(&format!("{}/firings/a", other.url())));

    assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
    assert_eq!(done.requests, 0);
    assert_eq!((server.log(|log| log.connections), other.log(|log| log.connections)), (0, 0));
}
