//! How waits end when nothing goes wrong.

use std::time::Instant;

use jobwatch::{EndReason, Outcome, Policy};
use serde_json::json;

use crate::kiln::{KEY, build, fired, firing, heating, hurried, millis, state};
use crate::{Answer, Driver, Server, Setup};

/// The first answer is the end: one request, well dressed, and the result is handed over.
pub fn immediate_success(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::json(200, r#"{"state":"fired","result":{"glaze":"blue"}}"#)]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Succeeded, EndReason::Told));
    assert_eq!(done.job.id(), "a");
    assert_eq!(done.state.as_deref(), Some("fired"));
    assert_eq!(done.result, Some(json!({"glaze": "blue"})));
    assert_eq!((done.requests, done.failed_requests, done.error), (1, 0, None));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((&*request.method, &*request.target), ("GET", "/firings/a"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("x-api-key"), Some(KEY));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("jobwatch/")));
    assert!(request.body.is_empty());
}

/// Every state on the way is seen, and no look is made after the end.
pub fn slow_success(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [state("queued"), heating(), heating(), heating(), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests), (5, 0));
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    for pair in requests.windows(2) {
        assert!(pair[1].at - pair[0].answered_at() >= millis(10), "two looks are at least min_delay apart");
    }
}

/// A failed job is told as failed, in the backend's words.
pub fn failure_with_its_message(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), Answer::json(200, r#"{"state":"cracked","error":"cooled too fast"}"#)]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Failed, EndReason::Told));
    assert_eq!(done.error.as_deref(), Some("cooled too fast"));
    assert_eq!(done.state.as_deref(), Some("cracked"));
    assert_eq!((done.requests, done.failed_requests, done.last_error), (2, 0, None));
    assert_eq!(server.requests().len(), 2);
}

/// A cancelled job is neither a failure nor a success; letter case does not matter.
pub fn cancelled_job(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), state("Called OFF")]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Cancelled, EndReason::Told));
    assert_eq!(done.state.as_deref(), Some("Called OFF"));
    assert_eq!(server.requests().len(), 2);
}

/// A backend that denies the job with 200 is believed when it repeats itself.
pub fn job_lost_by_its_word(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [state("no such firing"), heating(), state("no such firing")]);
    let policy = build(hurried().with_lost_after(2, millis(0)));
    let done = driver.client(Setup::of(&server).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
    assert_eq!((done.requests, server.requests().len()), (4, 4));
}

/// A word that the dialect does not know is no end and no error.
pub fn unknown_state_goes_on(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [state("vitrifying"), state("vitrifying"), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests), (3, 0));
    assert_eq!(server.requests().len(), 3);
}

/// One look at once and one at the deadline: the gap between them is cut short by it.
fn two_looks() -> Policy {
    let gap = millis(30_000);
    build(hurried().with_min_delay(gap).with_max_delay(gap).with_total_timeout(millis(1_000)))
}

/// At the deadline comes one more look, and what is known of the job is kept.
pub fn timeout_has_a_final_look(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [state("queued"), heating()]);
    let client = driver.client(Setup::of(&server).policy(two_looks()));
    let start = Instant::now();
    let done = client.wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::TimedOut, EndReason::Deadline));
    assert_eq!(done.job.id(), "a");
    assert_eq!(done.state.as_deref(), Some("heating"));
    assert!(done.error.is_some());
    assert!(done.elapsed >= millis(1_000));
    let requests = server.requests();
    assert_eq!((done.requests, requests.len()), (2, 2));
    assert!(requests[1].at - start >= millis(1_000), "the final look comes at or after the deadline");
}

/// A job that ended during the last gap is not reported as timed out.
pub fn end_found_by_the_final_look(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), fired()]);
    let done = driver.client(Setup::of(&server).policy(two_looks())).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, server.requests().len()), (2, 2));
}

/// A maximum of looks counts the first one.
pub fn looks_are_spent(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    let policy = build(hurried().with_max_polls(3));
    let done = driver.client(Setup::of(&server).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::TimedOut, EndReason::PollsSpent));
    assert_eq!(done.state.as_deref(), Some("heating"));
    assert_eq!((done.requests, server.requests().len()), (3, 3));
}
