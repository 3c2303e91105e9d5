//! The preset `heygen-v3`, by the vendor's specification.

use jobwatch::{EndReason, LookError, Outcome};
use serde_json::{Value, json};

use crate::kiln::{KEY, build, firing, hurried, millis, preset};
use crate::{Answer, Driver, Server, Setup};

const CREATE: &str = "/v3/video-translations";
const DETAIL: &str = "/v3/video-translations/t1";

fn setup(server: &Server) -> Setup {
    Setup::of(server).dialect(preset("heygen-v3"))
}

/// A detail answer with this status and these fields.
fn detail(status: &str, fields: Value) -> Answer {
    let mut data = json!({"id": "t1", "status": status, "output_language": "French", "created_at": 1_700_000_000});
    if let (Some(data), Value::Object(fields)) = (data.as_object_mut(), fields) {
        data.extend(fields);
    }
    Answer::json(200, json!({"data": data}).to_string())
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, json!({"error": {"code": code, "message": message}}).to_string())
}

/// From the create to the video: its words, and the address that comes a little after the end.
pub fn heygen_v3_succeeds(driver: &dyn Driver) {
    let server = Server::start();
    server.on(CREATE, [Answer::json(200, r#"{"data":{"video_translation_ids":["t1"]}}"#)]);
    let url = "https://files.heygen.example/t1.mp4?Signature=s3cret";
    let answers = [
        error(404, "not_found", "not visible yet"),
        detail("pending", json!({})),
        detail("running", json!({})),
        detail("completed", json!({"video_url": null})),
        detail("completed", json!({})),
        detail("completed", json!({"video_url": url, "duration": 12.5})),
    ];
    server.on(DETAIL, answers);
    let client = driver.client(setup(&server));
    let body = json!({"video": {"type": "url", "url": "https://x"}, "output_languages": ["French"], "mode": "speed"});
    let jobs = client.create(&body).expect("it accepts");
    let done = client.wait(&jobs[0]);

    assert_eq!((done.outcome, done.state.as_deref()), (Outcome::Succeeded, Some("completed")));
    assert_eq!((done.result, done.error), (Some(url.into()), None));
    assert_eq!((done.requests, done.failed_requests), (6, 0));
    assert!(done.created_at.is_some());
    let requests = server.requests();
    let key = requests[0].header("idempotency-key").expect("a create has a key");
    assert!((1..=255).contains(&key.len()));
    assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || "_:.-".contains(c)), "{key}");
    assert!(requests.iter().all(|request| request.header("x-api-key") == Some(KEY)));
    assert!(requests[1..].iter().all(|request| (&*request.method, &*request.target) == ("GET", DETAIL)));
}

/// The vendor's words on why it failed.
pub fn heygen_v3_fails(driver: &dyn Driver) {
    let server = Server::start();
    let failed = json!({"failure_message": "no speech found", "video_url": null});
    server.on(DETAIL, [detail("RUNNING", json!({})), detail("failed", failed)]);
    let done = driver.client(setup(&server)).wait(&firing("t1"));

    assert_eq!((done.outcome, done.error.as_deref()), (Outcome::Failed, Some("no speech found")));
    assert_eq!((done.requests, server.requests().len()), (2, 2));
}

/// An id that nobody knows, three times over.
pub fn heygen_v3_loses(driver: &dyn Driver) {
    let server = Server::start();
    server.on(DETAIL, [error(404, "not_found", "no such translation")]);
    let policy = build(hurried().with_lost_after(3, millis(0)));
    let done = driver.client(setup(&server).policy(policy)).wait(&firing("t1"));

    assert_eq!((done.outcome, done.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
    assert_eq!((done.requests, done.failed_requests, server.requests().len()), (3, 0, 3));
}

/// Too many at once is waited out; a spent quota is not.
pub fn heygen_v3_throttles(driver: &dyn Driver) {
    let server = Server::start();
    let busy = || error(429, "rate_limit_exceeded", "slow down").header("retry-after", "1");
    server.on(DETAIL, [busy(), detail("completed", json!({"video_url": "https://x"}))]);
    server.on(CREATE, [busy(), Answer::json(200, r#"{"data":{"video_translation_ids":["t1"]}}"#)]);
    let client = driver.client(setup(&server));
    let done = client.wait(&firing("t1"));
    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 2));
    client.create(&json!({})).expect("there is a free place in the end");
    for target in [DETAIL, CREATE] {
        let asked = server.requests_for(target);
        assert_eq!(asked.len(), 2);
        assert!(asked[1].at - asked[0].answered_at() >= millis(1_000));
    }

    let spent = || error(429, "quota_exceeded", "your plan is used up");
    server.on(DETAIL, [spent()]);
    server.on(CREATE, [spent()]);
    let done = client.wait(&firing("t1"));
    assert_eq!((done.outcome, done.last_error), (Outcome::Rejected, Some(LookError::Status(429))));
    assert!(done.error.is_some_and(|error| error.contains("your plan is used up")));
    let failed = client.create(&json!({})).expect_err("the quota is spent");
    assert_eq!((failed.error, &*failed.message), (Some(LookError::Status(429)), "your plan is used up"));
    assert_eq!(server.requests().len(), 6);
}

/// The same address with DELETE, and only while there is something to cancel.
pub fn heygen_v3_cancels(driver: &dyn Driver) {
    let server = Server::start();
    server.on(DETAIL, [detail("running", json!({})), Answer::status(204)]);
    let client = driver.client(setup(&server));
    assert!(client.cancel(&firing("t1")).expect("it agrees").requested);
    server.on(DETAIL, [detail("completed", json!({"video_url": "https://x"}))]);
    assert!(!client.cancel(&firing("t1")).expect("it has ended").requested);

    let methods: Vec<_> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "DELETE", "GET"]);
    assert!(server.targets().iter().all(|target| target == DETAIL));
}

/// A gateway's page is nobody's state.
pub fn heygen_v3_behind_a_gateway(driver: &dyn Driver) {
    let server = Server::start();
    let page =
        |status| Answer::status(status).header("content-type", "text/html").body("<html>error code: 1015</html>");
    let done = detail("completed", json!({"video_url": "https://x"}));
    server.on(DETAIL, [page(502), page(200), page(520), Answer::status(200), done]);
    let done = driver.client(setup(&server)).wait(&firing("t1"));

    assert_eq!((done.outcome, done.failed_requests), (Outcome::Succeeded, 4));
}
