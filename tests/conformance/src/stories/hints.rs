//! The server's word on when to ask again: nothing is asked before that is over.

use std::time::{Duration, Instant, SystemTime};

use httpdate::fmt_http_date;
use jobwatch::{EndReason, LookError, Outcome};

use crate::kiln::{fired, firing, firings, giving_up_after, heating, millis, outcomes};
use crate::{Answer, Driver, Server, Setup};

const SECOND: Duration = Duration::from_secs(1);

/// Is told this answer, then the end, and looks again only after the wait. Tells how many requests failed.
fn nothing_is_asked_for(driver: &dyn Driver, wait: Duration, answer: Answer) -> u32 {
    let server = Server::start();
    server.on("/firings/a", [answer, fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    let requests = server.requests();
    assert_eq!((done.requests, requests.len()), (2, 2));
    let waited = requests[1].at - requests[0].answered_at();
    assert!(waited >= wait, "asked again after {waited:?}");
    done.failed_requests
}

fn with_state(status: u16) -> Answer {
    Answer::json(status, r#"{"state":"heating"}"#)
}

fn in_seconds(answer: Answer) -> Answer {
    answer.header("retry-after", "1")
}

/// A second after the server's own clock, which is that of another year.
fn as_a_date(answer: Answer) -> Answer {
    let now = SystemTime::now() - 10_000 * 3_600 * SECOND;
    answer.header("date", fmt_http_date(now)).header("retry-after", fmt_http_date(now + SECOND))
}

/// The usual hint on an unfinished job.
pub fn retry_after_seconds_on_200(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, in_seconds(with_state(200))), 0);
}

/// The usual hint on an accepted job, which needs no body.
pub fn retry_after_seconds_on_202(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, in_seconds(Answer::status(202))), 0);
}

/// A throttle.
pub fn retry_after_seconds_on_429(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, in_seconds(with_state(429))), 1);
}

/// An outage that tells its end.
pub fn retry_after_seconds_on_503(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, in_seconds(Answer::status(503))), 1);
}

/// A date on an unfinished job.
pub fn retry_after_date_on_200(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, as_a_date(with_state(200))), 0);
}

/// A date on an accepted job.
pub fn retry_after_date_on_202(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, as_a_date(with_state(202))), 0);
}

/// A throttle until a date.
pub fn retry_after_date_on_429(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, as_a_date(Answer::status(429))), 1);
}

/// An outage until a date.
pub fn retry_after_date_on_503(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, as_a_date(with_state(503))), 1);
}

/// Without a `Date` the client's clock has to serve.
pub fn retry_after_date_without_the_servers_clock(driver: &dyn Driver) {
    let server = Server::start();
    let (start, wall) = (Instant::now(), SystemTime::now());
    let date = fmt_http_date(wall + 2 * SECOND);
    let exact = httpdate::parse_http_date(&date).expect("it was written by the same crate");
    server.on("/firings/a", [Answer::status(503).header("retry-after", date), fired()]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let wait = exact.duration_since(wall).expect("it is in the future");
    // The two clocks were not read at the same instant.
    assert!(requests[1].at - start + millis(10) >= wait);
}

/// `retry-after-ms` is finer than `Retry-After` and comes before it.
pub fn retry_after_in_milliseconds(driver: &dyn Driver) {
    let answer = heating().header("retry-after", "3600").header("retry-after-ms", "300");
    assert_eq!(nothing_is_asked_for(driver, millis(300), answer), 0);
}

/// A 403 that tells when to come back is a limit, not a refusal.
pub fn forbidden_with_retry_after_is_throttled(driver: &dyn Driver) {
    assert_eq!(nothing_is_asked_for(driver, SECOND, in_seconds(Answer::status(403))), 1);
}

/// A throttle that one job is told holds for all of them, and costs nobody's failure budget.
pub fn throttle_silences_the_other_jobs(driver: &dyn Driver) {
    let server = Server::start();
    let throttled = || Answer::status(429).header("retry-after-ms", "400");
    server.on("/firings/a", [heating(), throttled(), throttled(), fired()]);
    server.on("/firings/b", [heating(), heating(), heating(), fired()]);
    server.on("/firings/c", [heating(), heating(), heating(), fired()]);
    // With one request at a time, none is under way when the throttle is told.
    let setup = Setup::of(&server).policy(giving_up_after(1)).max_in_flight(1);
    let done = driver.client(setup).wait_all(firings(["a", "b", "c"]));

    let succeeded = Outcome::Succeeded;
    assert_eq!(outcomes(&done), [("a", succeeded), ("b", succeeded), ("c", succeeded)]);
    let (requests, asked) = (server.requests(), server.requests_for("/firings/a"));
    assert_eq!(asked.len(), 4);
    for throttle in &asked[1..3] {
        let told = throttle.answered_at();
        let next = requests.iter().find(|request| request.at > told).expect("the job goes on");
        assert!(next.at - told >= millis(400), "{} was asked for after {:?}", next.target, next.at - told);
    }
}

/// Where waiting as long as asked would outlast the deadline, the wait ends at once and says so.
pub fn throttle_past_the_deadline(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating(), Answer::status(429).header("retry-after", "600")]);
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.reason), (Outcome::TimedOut, EndReason::ThrottledPastDeadline));
    assert_eq!((done.state.as_deref(), done.last_error), (Some("heating"), Some(LookError::Status(429))));
    assert_eq!((done.requests, server.requests().len()), (2, 2));
}

/// Hints that no server can mean neither crash the client nor put it to sleep.
pub fn absurd_hints_are_ignored(driver: &dyn Driver) {
    let absurd = ["-1", "9999999999", "1e3", "NaN", "soon", "2099-01-01T00:00:00Z", "99999999999999999999999"];
    let server = Server::start();
    let answers = absurd.map(|hint| Answer::status(429).header("retry-after", hint));
    server.on("/firings/a", answers.into_iter().chain([fired()]));
    let done = driver.client(Setup::of(&server)).wait(&firing("a"));

    assert_eq!(done.outcome, Outcome::Succeeded);
    assert_eq!(server.requests().len(), absurd.len() + 1);
}
