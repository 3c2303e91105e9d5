//! The preset `heygen-v3`, by the vendor's specification.

use jobwatch::{EndReason, JobRef, LookError, Outcome};
use serde_json::{Value, json};

use crate::kiln::{KEY, build, firing, firings, hurried, millis, outcomes, preset};
use crate::{Answer, Client, Driver, Provider, Server, Setup};

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
    assert_eq!((done.failed_requests, server.requests().len()), (0, 7));
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
    assert_eq!(server.requests().len(), 2);
}

/// An id that nobody knows, three times over.
pub fn heygen_v3_loses(driver: &dyn Driver) {
    let server = Server::start();
    server.on(DETAIL, [error(404, "not_found", "no such translation")]);
    let policy = build(hurried().with_lost_after(3, millis(0)));
    let done = driver.client(setup(&server).policy(policy)).wait(&firing("t1"));

    assert_eq!((done.outcome, done.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
    assert_eq!((done.failed_requests, server.requests().len()), (0, 3));
}

/// Too many at once is waited out; a spent quota is not.
pub fn heygen_v3_throttles(driver: &dyn Driver) {
    let server = Server::start();
    let busy = || error(429, "rate_limit_exceeded", "slow down").header("retry-after", "1");
    server.on(DETAIL, [busy(), detail("completed", json!({"video_url": "https://x"}))]);
    server.on(CREATE, [busy(), Answer::json(200, r#"{"data":{"video_translation_ids":["t1"]}}"#)]);
    let client = driver.client(setup(&server));
    let done = client.wait(&firing("t1"));
    assert_eq!(done.outcome, Outcome::Succeeded);
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

/// Three jobs are asked for at once, in whatever order.
const BULK: [&str; 6] = ["t1,t2,t3", "t1,t3,t2", "t2,t1,t3", "t2,t3,t1", "t3,t1,t2", "t3,t2,t1"];

fn is_bulk(target: &str) -> bool {
    let ids = target.strip_prefix("/v3/video-translations/statuses?video_translation_ids=");
    ids.is_some_and(|ids| BULK.contains(&ids))
}

/// A backend that tells in one answer, in an order of its own, how three jobs have ended, and the rest in another each.
fn three_ended() -> Server {
    let server = Server::start();
    let entry = |id: Value, status: &str| json!({"video_id": id, "status": status});
    let entries = [
        entry(json!("t3"), "completed"),
        entry(json!(null), "failed"),
        entry(json!("t2"), "failed"),
        entry(json!("elsewhere"), "processing"),
        entry(json!("t1"), "completed"),
    ];
    let answer = json!({"data": entries, "has_more": false, "next_token": null});
    for ids in BULK {
        let target = format!("{CREATE}/statuses?video_translation_ids={ids}");
        server.on(target, [Answer::json(200, answer.to_string())]);
    }
    for id in ["t1", "t3"] {
        let told = json!({"id": id, "video_url": format!("https://files.example/{id}")});
        server.on(format!("{CREATE}/{id}"), [detail("completed", told)]);
    }
    server.on(format!("{CREATE}/t2"), [detail("failed", json!({"id": "t2", "failure_message": "no speech found"}))]);
    server
}

fn wait_for_three(client: &dyn Client) {
    let mut done = client.wait_all(firings(["t1", "t2", "t3"]));
    done.sort_by(|a, b| a.job.id().cmp(b.job.id()));
    let (succeeded, failed) = (Outcome::Succeeded, Outcome::Failed);
    assert_eq!(outcomes(&done), [("t1", succeeded), ("t2", failed), ("t3", succeeded)]);
    assert_eq!(done[0].result, Some("https://files.example/t1".into()));
    assert_eq!(done[1].error.as_deref(), Some("no speech found"));
}

/// Many jobs are one request, and each end one more, for what the shared answer does not tell.
pub fn heygen_v3_asks_for_many_at_once(driver: &dyn Driver) {
    let server = three_ended();
    let client = driver.client(setup(&server));
    wait_for_three(&*client);

    let mut targets = server.targets();
    targets[1..].sort();
    assert!(is_bulk(&targets[0]), "{}", targets[0]);
    assert_eq!(targets[1..], ["t1", "t2", "t3"].map(|id| format!("{CREATE}/{id}")));
    assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
    let metrics = client.metrics();
    assert_eq!((metrics.requests, metrics.bulk_requests, metrics.failed_requests), (4, 1, 0));
}

/// A shared request that is refused is repeated once with new credentials, for all.
pub fn heygen_v3_renews_for_many_at_once(driver: &dyn Driver) {
    let server = three_ended();
    server.lock("x-api-key", "new", error(401, "unauthorized", "the key has expired"));
    let provider = Provider::new(|| Ok(vec![("x-api-key".to_owned(), "new".to_owned())]));
    wait_for_three(&*driver.client(setup(&server).credentials(provider)));
    assert!(server.targets()[..2].iter().all(|target| is_bulk(target)));
    assert_eq!(server.requests().len(), 5);

    let server = three_ended();
    server.lock("x-api-key", "new", error(401, "unauthorized", "the key has expired"));
    let done = driver.client(setup(&server)).wait_all(firings(["t1", "t2", "t3"]));
    assert!(done.iter().all(|done| done.outcome == Outcome::Rejected));
    assert!(done.iter().all(|done| done.last_error == Some(LookError::Status(401))));
    assert_eq!((done.len(), server.requests().len()), (3, 1));
}

/// A job that is asked for alone is counted like any other: each request once.
pub fn heygen_v3_counts_each_request_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on(CREATE, [Answer::json(200, r#"{"data":{"video_translation_ids":["t1"]}}"#)]);
    let done = detail("completed", json!({"video_url": "https://x"}));
    server.on(DETAIL, [detail("running", json!({})), Answer::status(502), done]);
    let client = driver.client(setup(&server));
    let jobs: Vec<JobRef> = client.create(&json!({})).expect("it accepts");
    let done = client.wait(&jobs[0]);

    assert_eq!((done.outcome, done.failed_requests), (Outcome::Succeeded, 1));
    assert_eq!((done.requests, server.requests_for(DETAIL).len()), (3, 3));
    assert_eq!(client.metrics().requests, 3);
}
