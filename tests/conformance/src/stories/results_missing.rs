//! Results that cannot be had: the job has succeeded all the same.

use jobwatch::{Finished, LookError, Outcome};
use serde_json::json;

use crate::kiln::{KEY, build, dialect_with, firing, firings, giving_up_after, hurried, millis};
use crate::{Answer, Driver, Server, Setup};

/// A backend that has fired `a`, and keeps the result on a shelf.
fn shelf(answers: impl IntoIterator<Item = Answer>) -> Server {
    let server = Server::start();
    server.on("/firings/a", [Answer::json(200, r#"{"state":"fired","more":"/shelf/a?sig=s3cret"}"#)]);
    server.on("/shelf/a?sig=s3cret", answers);
    server
}

fn setup(server: &Server) -> Setup {
    Setup::of(server).dialect(dialect_with("result.follow = '/more'"))
}

fn vase() -> Answer {
    Answer::json(200, r#"{"result":"a vase"}"#)
}

/// The job's end is told, with what happened to its result.
fn has_no_result(done: &Finished) {
    assert_eq!((done.outcome, &done.result), (Outcome::Succeeded, &None));
    assert_eq!(done.state.as_deref(), Some("fired"));
    let error = done.error.as_deref().expect("it is said why");
    assert!(error.contains("result") && !error.contains("s3cret") && !error.contains(KEY), "{error}");
}

/// Where asking again cannot help, it is not tried.
pub fn result_refused(driver: &dyn Driver) {
    for status in [400, 401, 403, 404, 410, 422] {
        let server = shelf([Answer::json(status, r#"{"error":"swept up"}"#), vase()]);
        let done = driver.client(setup(&server)).wait(&firing("a"));

        has_no_result(&done);
        assert!(done.error.is_some_and(|error| error.contains("swept up")));
        assert_eq!((done.requests, server.requests().len()), (2, 2), "after {status}");
    }
}

/// What may pass is ridden out, like any other failed request, and counted.
pub fn result_that_comes_later(driver: &dyn Driver) {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"result\":";
    let reset = Answer::raw(half).then_reset();
    let troubles = [Answer::status(500), Answer::status(503), reset, Answer::raw(half), Answer::status(409)];
    for trouble in troubles {
        let server = shelf([trouble.clone(), trouble, vase()]);
        let done = driver.client(setup(&server)).wait(&firing("a"));

        assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some("a vase".into())));
        assert_eq!((done.error, done.failed_requests), (None, 2));
        assert_eq!(done.requests as usize, server.requests().len());
        assert_eq!(server.requests_for("/shelf/a?sig=s3cret").len(), 3);
    }
}

/// A result that is still being written down: 202 says so, and nothing has failed.
pub fn result_accepted(driver: &dyn Driver) {
    let server = shelf([Answer::status(202).header("retry-after-ms", "50"), vase()]);
    let done = driver.client(setup(&server)).wait(&firing("a"));

    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some("a vase".into())));
    assert_eq!((done.error, done.failed_requests), (None, 0));
    let asked = server.requests_for("/shelf/a?sig=s3cret");
    assert!(asked[1].at - asked[0].answered_at() >= millis(50));
}

/// A throttle is obeyed, and costs nothing of the failure budget.
pub fn result_throttled(driver: &dyn Driver) {
    let server = shelf([Answer::status(429).header("retry-after", "1"), vase()]);
    let done = driver.client(setup(&server).policy(giving_up_after(1))).wait(&firing("a"));

    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some("a vase".into())));
    let requests = server.requests();
    let throttle = &requests[1];
    assert_eq!(&*throttle.target, "/shelf/a?sig=s3cret");
    assert!(requests[2].at - throttle.answered_at() >= millis(1_000));
}

/// An attempt for the result that is not answered is repeated.
pub fn result_that_hangs(driver: &dyn Driver) {
    let server = shelf([Answer::hang(), vase()]);
    let policy = build(hurried().with_attempt_timeout(millis(500)));
    let done = driver.client(setup(&server).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some("a vase".into())));
    assert_eq!((done.failed_requests, done.last_error), (1, Some(LookError::Expired)));
}

/// A result that is too large gets no smaller by asking again; the error names the limit.
pub fn result_too_large(driver: &dyn Driver) {
    let server = shelf([Answer::json(200, json!({"result": "x".repeat(2_000)}).to_string())]);
    let done = driver.client(setup(&server).max_body(1_000)).wait(&firing("a"));

    has_no_result(&done);
    assert!(done.error.is_some_and(|error| error.contains("1000") && error.contains("max_body")));
    assert_eq!((done.requests, server.requests().len()), (2, 2));
}

/// A result that is no JSON is text; one that is no text is told by its address.
pub fn result_that_is_no_json(driver: &dyn Driver) {
    let server = shelf([Answer::status(200).body("1\n00:00:01 --> 00:00:02\nväse\n")]);
    let done = driver.client(setup(&server)).wait(&firing("a"));
    assert_eq!((done.outcome, done.error), (Outcome::Succeeded, None));
    assert_eq!(done.result, Some("1\n00:00:01 --> 00:00:02\nväse\n".into()));

    let server = shelf([Answer::status(200).body(vec![0xff, 0xd8, 0xff, 0xe0, 0])]);
    let done = driver.client(setup(&server)).wait(&firing("a"));
    assert_eq!((done.outcome, done.error), (Outcome::Succeeded, None));
    assert_eq!(done.result, Some(format!("{}/shelf/a?sig=s3cret", server.url()).into()));
    assert_eq!(done.requests, 2);
}

/// A redirected result: at home it is followed, abroad its address is the result, in circles there is none.
pub fn result_redirected(driver: &dyn Driver) {
    let other = Server::start();
    let abroad = format!("{}/vase?sig=1", other.url());
    let rows = [("/cellar/a", Some("a vase")), (&abroad, Some(&*abroad)), ("/shelf/a?sig=s3cret", None)];
    for (location, result) in rows {
        let server = shelf([Answer::status(302).header("location", location)]);
        server.on("/cellar/a", [vase()]);
        let done = driver.client(setup(&server)).wait(&firing("a"));

        match result {
            Some(result) => assert_eq!((&done.result, &done.error), (&Some(result.into()), &None)),
            None => has_no_result(&done),
        }
        assert_eq!(done.outcome, Outcome::Succeeded);
        assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
        assert!(server.requests().len() <= 3);
    }
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// The end of the wait does not undo the job's: whatever runs out first, it has succeeded.
pub fn result_outlasts_the_wait(driver: &dyn Driver) {
    let policies =
        [build(hurried().with_total_timeout(millis(600))), build(hurried().with_max_polls(3)), giving_up_after(3)];
    for policy in policies {
        let server = shelf([Answer::status(500)]);
        let done = driver.client(setup(&server).policy(policy)).wait(&firing("a"));

        has_no_result(&done);
        assert_eq!(done.last_error, Some(LookError::Status(500)));
        assert!(done.requests >= 4);
        assert_eq!(done.requests as usize, server.requests().len());
    }
    let server = shelf([Answer::hang()]);
    let policy = build(hurried().with_total_timeout(millis(600)));
    has_no_result(&driver.client(setup(&server).policy(policy)).wait(&firing("a")));
}

/// That the job has succeeded is stored with its wait, and its result is had by the next one.
pub fn result_after_a_restart(driver: &dyn Driver) {
    let server = shelf([Answer::status(503)]);
    server.on("/firings/quick", [Answer::json(200, r#"{"state":"fired"}"#).held_until_answered(4)]);
    let (first, snapshots) = driver.client(setup(&server)).wait_for_first(firings(["a", "quick"]));
    assert_eq!((first.job.id(), snapshots.len()), ("quick", 1));
    let stored = serde_json::to_string(&snapshots).expect("a snapshot can be stored");

    // The backend has forgotten the state, but not the vase.
    let lapse = Answer::json(200, r#"{"state":"heating"}"#);
    let fired = Answer::json(200, r#"{"state":"fired","more":"/shelf/a?sig=s3cret"}"#);
    server.on("/firings/a", [lapse, fired]);
    server.on("/shelf/a?sig=s3cret", [vase()]);
    let snapshots = serde_json::from_str(&stored).expect("and read again");
    let done = driver.client(setup(&server)).resume(snapshots);
    assert_eq!((done[0].outcome, &done[0].result), (Outcome::Succeeded, &Some("a vase".into())));

    server.on("/shelf/a?sig=s3cret", [Answer::status(410)]);
    let snapshots = serde_json::from_str(&stored).expect("as often as one likes");
    has_no_result(&driver.client(setup(&server)).resume(snapshots)[0]);
}

/// A stop while the result is awaited does not undo the job's end, and neither does what the backend says later.
pub fn result_of_a_known_end(driver: &dyn Driver) {
    let server = shelf([Answer::hang()]);
    let policy = build(hurried().with_attempt_timeout(millis(2_000)));
    let client = driver.client(setup(&server).policy(policy));
    let hangs = || server.wait_until(|log| log.requests.len() == 2);
    let done = client.wait_all_stopped(firings(["a"]), &hangs);
    has_no_result(&done[0]);

    for later in [r#"{"state":"heating"}"#, r#"{"state":"cracked"}"#, r#"{"state":"no such firing"}"#] {
        let server = shelf([Answer::status(500), vase()]);
        let fired = Answer::json(200, r#"{"state":"fired","more":"/shelf/a?sig=s3cret"}"#);
        server.on("/firings/a", [fired.clone(), Answer::json(200, later), Answer::json(200, later), fired]);
        let policy = build(hurried().with_lost_after(2, millis(0)));
        let done = driver.client(setup(&server).policy(policy)).wait(&firing("a"));

        assert_eq!(done.outcome, Outcome::Succeeded, "after {later}");
        assert_eq!(done.state.as_deref(), Some("fired"), "after {later}");
    }
}
