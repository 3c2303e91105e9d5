//! Backends with words of their own: envelopes, integers, letter case, and what is in no list.

use jobwatch::{Dialect, EndReason, FleetEvent, LookError, Outcome};
use serde_json::json;

use crate::kiln::{
    KEY, build, dialect_with, fired, firing, firings, giving_up_after, heating, hurried, millis, preset, state,
};
use crate::{Answer, Driver, Server, Setup};

/// An API that nobody but this file knows: every answer is 200, codes are numbers, and so are states and ids.
const FURNACE: &str = r#"
    name = "furnace"
    about = "an API for this story alone"

    [create]
    path = "/api?do=submit"
    headers = { x-version = "7" }
    idempotency_header = "x-once"

    [job]
    id = "/Data/JobId"

    [poll]
    method = "POST"
    path = "/api?do=query&job={id}"

    [envelope]
    pointer = "/Code"
    ok = [0, "OK"]
    throttled = [1010]
    lost = [404]
    fatal = ["Auth_Failed"]

    [state]
    pointer = "/Data/State"
    pending = [1, "Waiting"]
    running = [2]
    succeeded = [3, "DONE"]
    failed = [4]
    cancelled = [5]
    unknown = "error"

    [error]
    pointer = ["/Data/Why", "/Message"]

    [result]
    pointer = "/Data/Out/0"

    [progress]
    pointer = "/Data/Percent"
    of = 100

    [cancel]
    method = "DELETE"
    path = "/api?do=cancel&job={id}"

    [trust]
    credential_headers = ["x-api-key"]
"#;

fn furnace(server: &Server) -> Setup {
    let dialect = Dialect::from_toml(FURNACE).expect("the dialect is well-formed");
    Setup::of(server).dialect(dialect).policy(build(hurried().with_lost_after(2, millis(0))))
}

fn told(data: &serde_json::Value) -> Answer {
    Answer::json(200, json!({"Code": 0, "Data": data}).to_string())
}

fn failing(code: &serde_json::Value) -> Answer {
    Answer::json(200, json!({"Code": code, "Message": "the furnace says no"}).to_string())
}

/// Created, waited for, looked at and cancelled, described by a file alone.
pub fn api_from_a_file(driver: &dyn Driver) {
    let server = Server::start();
    let id = 9_007_199_254_740_993_u64;
    let query = format!("/api?do=query&job={id}");
    server.on("/api?do=submit", [failing(&json!(99)), failing(&json!(1010)), told(&json!({"JobId": id}))]);
    let word = |state: &str| told(&json!({"State": state}));
    let done = told(&json!({"State": "done", "Out": ["a vase"]}));
    server.on(&query, [told(&json!({"State": 1})), word("WAITING"), told(&json!({"State": 2, "Percent": 40})), done]);
    let client = driver.client(furnace(&server));
    let jobs = client.create(&json!({"cone": 6})).expect("the furnace accepts in the end");
    assert_eq!(jobs[0].id(), id.to_string());
    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some("a vase".into())));
    assert_eq!((done.state.as_deref(), done.requests, done.failed_requests), (Some("done"), 4, 0));

    server.on(&query, [told(&json!({"State": 2, "Percent": "40"}))]);
    let status = client.status(&jobs[0]);
    assert_eq!((status.outcome, status.progress, status.state.as_deref()), (None, Some(0.4), Some("2")));
    server.on(format!("/api?do=cancel&job={id}"), [failing(&json!(5)), told(&json!(null))]);
    assert!(client.cancel(&jobs[0]).expect("the furnace agrees").requested);

    let methods: Vec<_> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, [["POST"; 3].as_slice(), &["POST"; 4], &["POST"; 2], &["DELETE"; 2]].concat());
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.header("x-api-key") == Some(KEY)));
    assert!(requests[..3].iter().all(|request| request.header("x-version") == Some("7")));
    assert!(requests[..3].iter().all(|request| request.header("x-once") == requests[0].header("x-once")));
    assert!(requests[3..].iter().all(|request| request.body.is_empty() && request.header("x-once").is_none()));
}

/// Every way in which such an API ends a wait.
pub fn api_from_a_file_ends(driver: &dyn Driver) {
    let rows = [
        (told(&json!({"State": 4, "Why": "too hot"})), Outcome::Failed, Some("too hot"), None),
        (told(&json!({"State": 5})), Outcome::Cancelled, None, None),
        (failing(&json!(404)), Outcome::Lost, None, None),
        (failing(&json!("AUTH_FAILED")), Outcome::Rejected, Some("the furnace says no"), Some(LookError::Envelope)),
        (failing(&json!(77)), Outcome::GaveUp, Some("the furnace says no"), Some(LookError::Envelope)),
        (told(&json!({"State": 6})), Outcome::GaveUp, Some("\"6\""), Some(LookError::UnknownState)),
        (told(&json!({})), Outcome::GaveUp, Some("/Data/State"), Some(LookError::Malformed)),
        (Answer::json(200, r#"{"Data":{"State":3}}"#), Outcome::GaveUp, Some("envelope"), Some(LookError::Malformed)),
    ];
    for (answer, outcome, words, last_error) in rows {
        let server = Server::start();
        server.on("/api?do=query&job=a", [answer]);
        let policy = hurried().with_lost_after(2, millis(0)).with_max_consecutive_failures(2);
        let done = driver.client(furnace(&server).policy(build(policy))).wait(&firing("a"));

        assert_eq!((done.outcome, done.last_error), (outcome, last_error));
        let error = done.error.as_deref().unwrap_or_default();
        assert!(error.contains(words.unwrap_or_default()), "{outcome}: {error}");
        assert_eq!(done.requests as usize, server.requests().len());
    }
}

/// A throttle in an envelope is one: it is obeyed, and costs nothing of the failure budget.
pub fn throttled_by_the_envelope(driver: &dyn Driver) {
    let server = Server::start();
    let throttled = || failing(&json!(1010)).header("retry-after-ms", "200");
    server.on("/api?do=query&job=a", [throttled(), throttled(), told(&json!({"State": 3}))]);
    let done = driver.client(furnace(&server).policy(giving_up_after(1))).wait(&firing("a"));

    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 3));
    for pair in server.requests().windows(2) {
        assert!(pair[1].at - pair[0].answered_at() >= millis(200));
    }
}

/// heygen-v2: an error on 200 is the request's and not the job's, whatever the data beside it say.
pub fn preset_heygen_v2(driver: &dyn Driver) {
    let server = Server::start();
    let answer = |error: serde_json::Value, status: &str| {
        let data = json!({"video_translate_id": "t1", "title": "x", "status": status, "url": null, "message": null});
        Answer::json(200, json!({"error": error, "data": data}).to_string())
    };
    let none = || json!(null);
    let url = "https://files.example/1.mp4?sig=1";
    let end = json!({"error": null, "data": {"video_translate_id": "t1", "status": "success", "url": url}});
    server.on("/v2/video_translate", [answer(none(), "pending")]);
    server.on(
        "/v2/video_translate/t1",
        [
            answer(none(), "pending"),
            answer(json!({"code": "internal", "message": "try later"}), "failed"),
            answer(none(), "running"),
            answer(json!("try later"), "success"),
            Answer::json(200, end.to_string()),
        ],
    );
    let client = driver.client(Setup::of(&server).dialect(preset("heygen-v2")));
    let jobs = client.create(&json!({"video_url": "https://x", "output_language": "French"})).expect("it accepts");
    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some(url.into())));
    assert_eq!((done.requests, done.failed_requests), (5, 2));
    assert_eq!((done.error, done.last_error), (None, Some(LookError::Envelope)));

    let failed = json!({"error": null, "data": {"status": "failed", "message": "no speech found"}});
    server.on("/v2/video_translate/t1", [Answer::json(200, failed.to_string())]);
    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.error.as_deref()), (Outcome::Failed, Some("no speech found")));
}

/// A spent quota is no throttle: waiting does not cure it.
pub fn quota_is_no_throttle(driver: &dyn Driver) {
    let dialect = || dialect_with("error.code = '/code'\nerror.quota = ['spent', 12]\ncreate.path = '/firings'");
    let limited = |code: serde_json::Value| {
        let body = json!({"code": code, "error": "too much"}).to_string();
        Answer::json(429, body).header("retry-after-ms", "50")
    };
    let server = Server::start();
    server.on("/firings/a", [limited(json!("busy")), limited(json!(null)), fired()]);
    let done = driver.client(Setup::of(&server).dialect(dialect())).wait(&firing("a"));
    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 3));

    for code in [json!("spent"), json!("SPENT"), json!(12)] {
        let server = Server::start();
        server.on("/firings/a", [heating(), limited(code.clone()), fired()]);
        server.on("/firings", [limited(code), Answer::json(200, r#"{"id":"a"}"#)]);
        let client = driver.client(Setup::of(&server).dialect(dialect()));
        let done = client.wait(&firing("a"));
        assert_eq!((done.outcome, done.reason), (Outcome::Rejected, EndReason::Refused));
        assert_eq!(done.last_error, Some(LookError::Status(429)));
        assert!(done.error.is_some_and(|error| error.contains("too much")));
        let failed = client.create(&json!(null)).expect_err("the quota is spent");
        assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Status(429)), false));
        assert_eq!(server.requests().len(), 3);
    }
}

/// A word that nobody knows is told once as such, and goes on as running.
pub fn unknown_state_is_reported(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [state("queued"), state("vitrifying"), state("vitrifying"), heating(), fired()]);
    let events = driver.client(Setup::of(&server)).events(firings(["a"]));

    let told: Vec<_> = events
        .iter()
        .map(|event| match event {
            FleetEvent::Changed { state, .. } => format!("changed to {state}"),
            FleetEvent::UnknownState { state, .. } => format!("{state} is unknown"),
            FleetEvent::Finished { finished, .. } => format!("{}", finished.outcome),
            _ => "other news".to_owned(),
        })
        .collect();
    let unknown = ["vitrifying is unknown", "changed to vitrifying"];
    let expected = [&["changed to queued"], &unknown[..], &["changed to heating", "changed to fired", "succeeded"]];
    assert_eq!(told, expected.concat());
}
