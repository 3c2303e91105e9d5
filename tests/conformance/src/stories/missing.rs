//! Jobs that the backend does not know: not yet, for the moment, or any more.

use jobwatch::{EndReason, Outcome};
use serde_json::Value;

use crate::kiln::{build, fired, firing, heating, hurried, millis};
use crate::{Answer, Driver, Server, Setup};

/// Right after our own create, 404 means "not yet visible".
pub fn not_yet_visible_after_create(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [Answer::json(201, r#"{"id":"a"}"#)]);
    server.on("/firings/a", [Answer::status(404), Answer::status(404), heating(), fired()]);
    // The first denial that counted would end the wait.
    let policy = build(hurried().with_lost_after(1, millis(0)));
    let client = driver.client(Setup::of(&server).policy(policy));
    let jobs = client.create(&Value::Null).expect("the kiln accepts");
    let done = client.wait(&jobs[0]);

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests), (4, 0));
    assert_eq!(server.requests_for("/firings/a").len(), 4);
}

/// A 404 that is repeated for long enough is believed; nothing went wrong with the requests.
pub fn not_found_for_ever(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::status(404)]);
    let policy = build(hurried().with_lost_after(3, millis(100)));
    let done = driver.client(Setup::of(&server).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
    assert_eq!(done.job.id(), "a");
    let requests = server.requests();
    assert!(requests.len() >= 3);
    assert_eq!(done.requests as usize, requests.len());
    assert!(done.elapsed >= millis(100));
}

/// A 404 in between is a lapse of the backend's memory.
pub fn not_found_in_between(driver: &dyn Driver) {
    let server = Server::start();
    let missing = || Answer::status(404);
    server.on("/firings/a", [missing(), missing(), heating(), missing(), missing(), fired()]);
    let policy = build(hurried().with_lost_after(3, millis(0)));
    let done = driver.client(Setup::of(&server).policy(policy)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, server.requests().len()), (6, 6));
}

/// 410 says that the job is gone for good.
pub fn gone_at_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), Answer::json(410, r#"{"error":"swept up"}"#)]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Lost, EndReason::Told));
    assert_eq!(done.error.as_deref(), Some("swept up"));
    assert_eq!((done.requests, server.requests().len()), (2, 2));
}
