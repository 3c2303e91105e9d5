//! Cancelling: on explicit request alone, and only what is unfinished.

use jobwatch::{Dialect, LookError, Outcome};
use serde_json::json;

use crate::kiln::{KEY, build, dialect_with, fired, firing, firings, giving_up_after, heating, hurried, millis, state};
use crate::{Answer, Driver, Server, Setup};

fn by_path() -> Dialect {
    dialect_with(r#"cancel = { path = "/firings/{id}/stop", headers = { "x-why" = "asked" } }"#)
}

fn by_address() -> Dialect {
    dialect_with(r#"cancel = { method = "PUT", path = "/firings/{id}/stop", url = "/stop" }"#)
}

fn setup(server: &Server) -> Setup {
    Setup::of(server).dialect(by_path())
}

/// A look, then the request.
pub fn cancel_by_its_path(driver: &dyn Driver) {
    for agreed in [Answer::status(204), Answer::json(200, "{}"), Answer::status(202), Answer::status(200).body("ok")] {
        let server = Server::start();
        server.on("/firings/a%2Fb", [heating()]);
        server.on("/firings/a%2Fb/stop", [agreed]);
        let done = driver.client(setup(&server)).cancel(&firing("a/b")).expect("the kiln agrees");

        assert!(done.requested);
        assert_eq!((done.status.outcome, done.status.state.as_deref()), (None, Some("heating")));
        let requests = server.requests();
        assert_eq!(server.targets(), ["/firings/a%2Fb", "/firings/a%2Fb/stop"]);
        assert_eq!((&*requests[0].method, &*requests[1].method), ("GET", "POST"));
        assert!(requests.iter().all(|request| request.header("x-api-key") == Some(KEY)));
        assert_eq!(requests[1].header("x-why"), Some("asked"));
        assert!(requests[1].body.is_empty());
    }
}

/// The address that the look told comes before the path; it is resolved against where it was told.
pub fn cancel_by_its_address(driver: &dyn Driver) {
    let server = Server::start();
    let absolute = format!("{}/bell?row=2", server.url());
    let rows = [(json!(absolute), "/bell?row=2"), (json!("/bell"), "/bell"), (json!(null), "/firings/a/stop")];
    server.on("/bell", [Answer::status(204)]);
    server.on("/bell?row=2", [Answer::status(204)]);
    server.on("/firings/a/stop", [Answer::status(204)]);
    let client = driver.client(setup(&server).dialect(by_address()));
    for (told, target) in rows {
        server.on("/firings/a", [Answer::json(200, json!({"state": "heating", "stop": told}).to_string())]);
        assert!(client.cancel(&firing("a")).expect("the kiln agrees").requested);
        let request = server.requests().pop().expect("it was asked");
        assert_eq!((&*request.method, &*request.target), ("PUT", target));
        assert_eq!(request.header("x-api-key"), Some(KEY));
    }
}

/// RFC 3986 §5: a relative address is relative to the one that told it.
pub fn cancel_by_a_relative_address(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/studio/firings/a", [Answer::json(200, r#"{"state":"heating","stop":"a/bell"}"#)]);
    server.on("/studio/firings/a/bell", [Answer::status(204)]);
    let setup = Setup::at(format!("{}/studio", server.url())).dialect(by_address());
    assert!(driver.client(setup).cancel(&firing("a")).expect("the kiln agrees").requested);
    assert_eq!(server.targets(), ["/studio/firings/a", "/studio/firings/a/bell"]);
}

/// What has ended is not cancelled, and that is no error: the look's word is told.
pub fn cancel_what_has_ended(driver: &dyn Driver) {
    let ends = [
        (fired(), Outcome::Succeeded),
        (state("cracked"), Outcome::Failed),
        (state("called off"), Outcome::Cancelled),
        (Answer::status(404), Outcome::Lost),
        (Answer::status(410), Outcome::Lost),
    ];
    for (answer, outcome) in ends {
        let server = Server::start();
        server.on("/firings/a", [answer]);
        let done = driver.client(setup(&server)).cancel(&firing("a")).expect("there is nothing to cancel");

        assert_eq!((done.requested, done.status.outcome), (false, Some(outcome)));
        assert_eq!(server.targets(), ["/firings/a"]);
    }
}

/// A look that tells nothing does not cancel on suspicion.
pub fn cancel_after_a_failed_look(driver: &dyn Driver) {
    let rows = [
        (Answer::status(500), LookError::Status(500)),
        (Answer::status(401), LookError::Status(401)),
        (Answer::status(429), LookError::Status(429)),
        (Answer::status(200).body("<html>"), LookError::Malformed),
        (Answer::reset(), LookError::Disconnected),
    ];
    for (answer, error) in rows {
        let server = Server::start();
        server.on("/firings/a", [answer]);
        let failed = driver.client(setup(&server)).cancel(&firing("a")).expect_err("nobody knows the job's state");

        assert_eq!(failed.error, Some(error), "{failed}");
        assert_eq!(server.targets(), ["/firings/a"]);
    }
}

/// The job went away between the look and the request: nothing is left to cancel.
pub fn cancel_what_has_gone_since(driver: &dyn Driver) {
    for status in [404, 410] {
        let server = Server::start();
        server.on("/firings/a", [heating()]);
        server.on("/firings/a/stop", [Answer::status(status)]);
        driver.client(setup(&server)).cancel(&firing("a")).expect("nothing is left to cancel");
        assert_eq!(server.requests().len(), 2);
    }
}

/// What the backend refuses is told in its words, and not asked again.
pub fn cancel_refused(driver: &dyn Driver) {
    for status in [400, 401, 403, 405, 409, 422, 423] {
        let server = Server::start();
        server.on("/firings/a", [heating()]);
        server.on("/firings/a/stop", [Answer::json(status, r#"{"error":"too hot"}"#), Answer::status(204)]);
        let failed = driver.client(setup(&server)).cancel(&firing("a")).expect_err("the kiln refuses");

        assert_eq!((failed.error, &*failed.message), (Some(LookError::Status(status)), "too hot"));
        assert_eq!((failed.status.outcome, failed.status.state.as_deref()), (None, Some("heating")));
        assert_eq!(server.requests().len(), 2);
    }
}

/// What may pass is asked again, since cancelling twice is cancelling once; a throttle is obeyed.
pub fn cancel_is_repeated(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    let throttled = Answer::status(429).header("retry-after-ms", "300");
    server.on("/firings/a/stop", [Answer::status(502), throttled, Answer::reset(), Answer::status(204)]);
    assert!(driver.client(setup(&server)).cancel(&firing("a")).expect("the kiln agrees").requested);
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests[3].at - requests[2].answered_at() >= millis(300));

    server.on("/firings/a/stop", [Answer::status(503)]);
    let client = driver.client(setup(&server).policy(giving_up_after(3)));
    let failed = client.cancel(&firing("a")).expect_err("it never works");
    assert_eq!(failed.error, Some(LookError::Status(503)));
    assert_eq!(server.requests().len(), 5 + 4);
}

/// A cancellation that hangs ends with the policy's patience.
pub fn cancel_that_hangs(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    server.on("/firings/a/stop", [Answer::hang()]);
    let policy = build(hurried().with_attempt_timeout(millis(300)).with_max_consecutive_failures(2));
    let failed = driver.client(setup(&server).policy(policy)).cancel(&firing("a")).expect_err("nobody answers");
    assert_eq!(failed.error, Some(LookError::Expired));
    assert_eq!(server.requests().len(), 3);
}

/// A redirect is not followed: the request is not sent anywhere else, and not abroad.
pub fn cancel_follows_no_redirect(driver: &dyn Driver) {
    let other = Server::start();
    for status in [301, 302, 303, 307, 308] {
        for to in ["/elsewhere".to_owned(), format!("{}/stop", other.url())] {
            let server = Server::start();
            server.on("/firings/a", [heating()]);
            server.on("/firings/a/stop", [Answer::status(status).header("location", to)]);
            let failed = driver.client(setup(&server)).cancel(&firing("a")).expect_err("it is redirected");
            assert_eq!(failed.error, Some(LookError::Status(status)));
            assert_eq!(server.requests().len(), 2);
        }
    }
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// An error under a good status is no agreement.
pub fn cancel_refused_by_the_envelope(driver: &dyn Driver) {
    let envelope = r#"envelope = { pointer = "/code", ok = [0], fatal = [7], throttled = [8], lost = [9] }"#;
    let dialect = dialect_with(&format!("{envelope}\ncancel.path = '/firings/{{id}}/stop'"));
    let server = Server::start();
    server.on("/firings/a", [Answer::json(200, r#"{"code":0,"state":"heating"}"#)]);
    let client = driver.client(setup(&server).dialect(dialect));
    server.on("/firings/a/stop", [Answer::json(200, r#"{"code":7,"error":"too hot"}"#), Answer::status(204)]);
    let failed = client.cancel(&firing("a")).expect_err("the envelope tells an error");
    assert_eq!((failed.error, &*failed.message), (Some(LookError::Envelope), "too hot"));

    let agreed = Answer::json(200, r#"{"code":0}"#);
    server.on("/firings/a/stop", [Answer::json(200, r#"{"code":8}"#), Answer::json(200, r#"{"code":5}"#), agreed]);
    assert!(client.cancel(&firing("a")).expect("the third is agreed to").requested);
    server.on("/firings/a/stop", [Answer::json(200, r#"{"code":9}"#)]);
    client.cancel(&firing("a")).expect("nothing is left to cancel");
    assert_eq!(server.requests().len(), 2 + 4 + 2);
}

/// Where the dialect does not say how, nothing is sent at all.
pub fn cancel_without_a_way(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [heating()]);
    let failed = driver.client(Setup::of(&server)).cancel(&firing("a")).expect_err("there is no way");

    assert!(failed.to_string().contains("kiln"), "it names the dialect: {failed}");
    assert_eq!(server.log(|log| log.connections), 0);
}

/// Neither a stop nor a drop nor the end of patience ever cancels a job.
pub fn nothing_else_cancels(driver: &dyn Driver) {
    let server = Server::start();
    for id in ["a", "b", "c"] {
        server.on(format!("/firings/{id}"), [heating()]);
    }
    server.on("/firings/quick", [fired().held_until_answered(10)]);
    let client = driver.client(setup(&server));
    client.wait_all_stopped(firings(["a", "b", "c"]), &|| server.wait_until(|log| log.answered >= 9));
    let done = client.wait_all_while(firings(["quick", "a", "b"]), &mut |_| false);
    assert_eq!(done.len(), 1);

    let policies = [build(hurried().with_total_timeout(millis(300))), build(hurried().with_max_polls(2))];
    for policy in policies {
        let client = driver.client(setup(&server).policy(policy));
        assert!(client.wait_all(firings(["a", "b"])).iter().all(|done| done.outcome == Outcome::TimedOut));
    }
    for trouble in [Answer::status(500), Answer::status(401), Answer::status(404), Answer::hang()] {
        server.on("/firings/c", [heating(), trouble]);
        let hurry = hurried().with_max_consecutive_failures(2).with_lost_after(2, millis(0));
        let policy = build(hurry.with_attempt_timeout(millis(200)).with_total_timeout(millis(500)));
        assert_ne!(driver.client(setup(&server).policy(policy)).wait(&firing("c")).outcome, Outcome::Succeeded);
    }
    for request in server.requests() {
        assert!(request.method == "GET" && !request.target.ends_with("/stop"), "{request:?}");
    }
}
