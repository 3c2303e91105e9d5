//! Looks that fail: none of them says anything about the job.

use std::time::{Duration, Instant};

use jobwatch::{EndReason, LookError, Outcome};

use crate::kiln::{build, fired, firing, giving_up_after, heating, hurried, millis};
use crate::server::Refusing;
use crate::{Answer, Driver, HANG_GUARD, Server, Setup};

const HTML: &str = "<html><body>We are sorry.</body></html>";

/// One failed look is counted, and the next one finds the end.
fn then_success(driver: &dyn Driver, trouble: Answer, error: LookError) {
    let server = Server::start();
    server.on("/firings/a", [trouble, fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests), (2, 1));
    assert_eq!((done.last_error, done.error), (Some(error), None));
    assert_eq!(server.requests().len(), 2, "no look is repeated behind the core's back");
}

/// A gateway's error passes.
pub fn bad_gateway_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::status(502).body(HTML), LookError::Status(502));
}

/// A server's error passes, even where its body has the word for a failed job.
pub fn internal_error_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::json(500, r#"{"state":"cracked"}"#), LookError::Status(500));
}

/// A page for people with status 200 passes.
pub fn html_page_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::status(200).header("content-type", "text/html").body(HTML), LookError::Malformed);
}

/// A whole answer with half a JSON text passes.
pub fn truncated_json_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::json(200, r#"{"state":"fir"#), LookError::Malformed);
}

/// What is no HTTP at all passes.
pub fn garbage_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::raw("\0\x01\x02 no HTTP\r\n\r\n"), LookError::Disconnected);
}

/// A connection that is closed instead of an answer passes.
pub fn closed_unanswered_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::raw(""), LookError::Disconnected);
}

/// A body that is shorter than its length is no answer, even if what there is of it could be read.
pub fn closed_early_then_success(driver: &dyn Driver) {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"state\":\"cracked\"}";
    then_success(driver, Answer::raw(answer), LookError::Disconnected);
}

/// A reset connection passes.
pub fn reset_then_success(driver: &dyn Driver) {
    then_success(driver, Answer::reset(), LookError::Disconnected);
}

/// A connection that is reset within a chunked body passes.
pub fn reset_within_the_body_then_success(driver: &dyn Driver) {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n13\r\n{\"state\":\"cracked\"}\r\n";
    then_success(driver, Answer::raw(answer).then_reset(), LookError::Disconnected);
}

/// A wrong address fails fast: the wait ends with the last error, and the job is not called failed.
pub fn failure_budget_spent(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::status(500), Answer::status(502)]);
    let done = driver.client(Setup::of(&server).policy(giving_up_after(3))).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::GaveUp, EndReason::FailuresSpent));
    assert_eq!(done.job.id(), "a");
    assert_eq!(done.last_error, Some(LookError::Status(502)));
    assert!(done.error.is_some_and(|error| error.contains("502")));
    assert_eq!((done.requests, done.failed_requests), (3, 3));
    assert_eq!(server.requests().len(), 3);
}

/// Failures count only in a row.
pub fn good_answer_forgives_failures(driver: &dyn Driver) {
    let server = Server::start();
    let bad = || Answer::status(502);
    server.on("/firings/a", [bad(), bad(), heating(), bad(), bad(), heating(), bad(), bad(), fired()]);
    let done = driver.client(Setup::of(&server).policy(giving_up_after(3))).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!((done.requests, done.failed_requests), (9, 6));
    assert_eq!(server.requests().len(), 9);
}

/// A portal that answers every request with a page ends the wait instead of looking like progress.
pub fn html_is_never_running(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::status(200).header("content-type", "text/html").body(HTML)]);
    let done = driver.client(Setup::of(&server).policy(giving_up_after(3))).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::GaveUp, Some(LookError::Malformed)));
    assert_eq!((done.state, done.failed_requests), (None, 3));
    assert_eq!(server.requests().len(), 3);
}

/// Nobody listens: the wait ends with its failure budget and keeps the id.
pub fn refused_connection(driver: &dyn Driver) {
    let refusing = Refusing::bind();
    let done = driver.client(Setup::at(refusing.url()).policy(giving_up_after(2))).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::GaveUp, EndReason::FailuresSpent));
    assert_eq!((done.job.id(), done.last_error), ("a", Some(LookError::Unreachable)));
    assert_eq!((done.requests, done.failed_requests), (2, 2));
}

/// A server that says nothing does not hold the wait beyond its deadline.
pub fn hung_server_ends_with_the_deadline(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), Answer::hang()]);
    // One attempt would be given longer than the story has.
    let policy = hurried().with_attempt_timeout(2 * HANG_GUARD).with_final_grace(millis(50));
    let policy = build(policy.with_total_timeout(millis(1_000)));
    let client = driver.client(Setup::of(&server).policy(policy));
    let start = Instant::now();
    let done = client.wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::TimedOut, EndReason::Deadline));
    assert_eq!((done.job.id(), done.last_error), ("a", Some(LookError::Expired)));
    assert_eq!(done.state.as_deref(), Some("heating"), "the last state is kept");
    assert_eq!((done.requests, done.failed_requests), (2, 1));
    assert_eq!(server.requests().len(), 2);
    assert!(done.elapsed >= millis(1_000) && start.elapsed() >= millis(1_000));
}

/// An attempt that is not answered in time is a failed look, and the next one finds the end.
pub fn hung_attempt_is_repeated(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::hang(), fired()]);
    let policy = build(hurried().with_attempt_timeout(millis(1_000)));
    let done = driver.client(Setup::of(&server).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::Succeeded, Some(LookError::Expired)));
    assert_eq!((done.requests, done.failed_requests), (2, 1));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].connection > requests[0].connection, "the hung connection is not used again");
}

/// One look at a server that says nothing tells just that.
pub fn hung_look_tells_nothing(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::hang()]);
    let policy = build(hurried().with_attempt_timeout(millis(1_000)));
    let status = driver.client(Setup::of(&server).policy(policy)).status(&firing("a"));

    assert_eq!((status.outcome, status.state), (Some(Outcome::GaveUp), None));
    assert!(status.error.is_some_and(|error| error.contains(&LookError::Expired.to_string())));
    assert_eq!((status.requests, status.failed_requests), (1, 1));
    assert_eq!(server.requests().len(), 1);
}

/// An attempt's time is for the whole answer: neither a head nor a body can be drawn out byte by byte.
pub fn dripping_answers_are_cut_off(driver: &dyn Driver) {
    let server = Server::start();
    let every = Duration::from_millis(20);
    let head = Answer::endless("HTTP/1.1 200 OK\r\nx-drip: ", "x", every);
    let body = Answer::endless("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", " ", every);
    server.on("/firings/a", [head, body, fired()]);
    let policy = build(hurried().with_attempt_timeout(millis(1_000)));
    let done = driver.client(Setup::of(&server).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.last_error), (Outcome::Succeeded, Some(LookError::Expired)));
    assert_eq!((done.requests, done.failed_requests), (3, 2));
    assert_eq!(server.requests().len(), 3);
}
