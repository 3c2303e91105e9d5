//! What a succeeded job made: in the answer that told it, or elsewhere.

use jobwatch::{Dialect, Outcome};
use serde_json::{Value, json};

use crate::kiln::{KEY, build, dialect_with, fired, firing, hurried, millis, preset};
use crate::{Answer, Driver, Server, Setup};

/// The kiln, where each is told where its result is.
fn following() -> Dialect {
    dialect_with(r#"result.follow = ["/more", { header = "x-result" }]"#)
}

/// Of several places the first that is there counts; where there is none, a success has no result.
pub fn result_in_the_answer(driver: &dyn Driver) {
    let dialect = r#"
        name = "kiln"
        poll.path = "/firings/{id}"
        state = { pointer = "/state", succeeded = ["fired"] }
        result.pointer = ["/result", "/pieces/1", "/note"]
    "#;
    let rows = [
        (json!({"state": "fired", "result": {"glaze": "blue"}, "note": "well"}), Some(json!({"glaze": "blue"}))),
        (json!({"state": "fired", "result": null, "pieces": [1, false]}), Some(json!(false))),
        (json!({"state": "fired", "pieces": [1], "note": ""}), Some(json!(""))),
        (json!({"state": "fired", "pieces": []}), None),
    ];
    for (body, result) in rows {
        let server = Server::start();
        server.on("/firings/a", [Answer::json(200, body.to_string())]);
        let dialect = Dialect::from_toml(dialect).expect("the dialect is well-formed");
        let client = driver.client(Setup::of(&server).dialect(dialect));
        let (done, status) = (client.wait(&firing("a")), client.status(&firing("a")));

        assert_eq!((done.outcome, done.error, done.requests), (Outcome::Succeeded, None, 1));
        assert_eq!((&done.result, &status.result), (&result, &result));
    }
}

/// A result at another address of the backend is asked for with the credentials, at once and once.
pub fn result_is_followed(driver: &dyn Driver) {
    let server = Server::start();
    let rows = [
        (Answer::json(200, r#"{"state":"fired","more":"../shelf/a?row=2"}"#), "/shelf/a?row=2"),
        (fired().header("x-result", format!("{}/shelf/b", server.url())), "/shelf/b"),
    ];
    let policy = build(hurried().with_min_delay(millis(30_000)).with_max_delay(millis(30_000)));
    let client = driver.client(Setup::of(&server).dialect(following()).policy(policy));
    for (answer, target) in rows {
        server.on("/firings/a", [answer]);
        server.on(target, [Answer::json(200, r#"{"result":{"glaze":"blue"}}"#)]);
        let done = client.wait(&firing("a"));

        assert_eq!((done.outcome, done.state.as_deref()), (Outcome::Succeeded, Some("fired")));
        assert_eq!((done.result, done.error), (Some(json!({"glaze": "blue"})), None));
        assert_eq!((done.requests, done.failed_requests), (2, 0));
        let request = server.requests().pop().expect("it was asked for");
        assert_eq!((&*request.method, &*request.target), ("GET", target));
        assert_eq!(request.header("x-api-key"), Some(KEY));
    }
    assert_eq!(server.requests().len(), 4);
    assert_eq!(server.log(|log| log.connections), 1);
}

/// One look follows a result, too.
pub fn status_follows_the_result(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a", [Answer::json(200, r#"{"state":"fired","more":"/shelf/a"}"#)]);
    server.on("/shelf/a", [Answer::json(200, r#"{"result":7}"#), Answer::status(500)]);
    let client = driver.client(Setup::of(&server).dialect(following()));
    let found = client.status(&firing("a"));
    assert_eq!((found.outcome, found.result, found.requests), (Some(Outcome::Succeeded), Some(7.into()), 2));

    // A result that fails does not make the job unfinished, and a look does not wait.
    let found = client.status(&firing("a"));
    assert_eq!((found.outcome, found.result, found.requests), (Some(Outcome::Succeeded), None, 2));
    assert!(found.error.is_some());
}

/// Nothing is followed before the end, nor after a failure.
pub fn only_successes_are_followed(driver: &dyn Driver) {
    let server = Server::start();
    let with = |state: &str| Answer::json(200, json!({"state": state, "more": "/shelf/a"}).to_string());
    server.on("/firings/a", [with("queued"), with("heating"), with("cracked")]);
    let done = driver.client(Setup::of(&server).dialect(following())).wait(&firing("a"));

    assert_eq!((done.outcome, done.result), (Outcome::Failed, None));
    assert_eq!(server.targets(), ["/firings/a"; 3]);
}

/// A dialect may have a path for results.
pub fn result_has_a_path(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings/a%2Fb", [fired()]);
    server.on("/firings/a%2Fb/vase?row=2", [Answer::json(200, r#"{"result":7}"#)]);
    let dialect = dialect_with(r#"result.path = "/firings/{id}/vase?row=2""#);
    let done = driver.client(Setup::of(&server).dialect(dialect)).wait(&firing("a/b"));

    assert_eq!((done.outcome, done.result, done.requests), (Outcome::Succeeded, Some(7.into()), 2));
    assert_eq!(server.targets(), ["/firings/a%2Fb", "/firings/a%2Fb/vase?row=2"]);
}

/// fal: everything by the addresses that the create tells; completed is a failure where there is an error.
pub fn preset_fal(driver: &dyn Driver) {
    let server = Server::start();
    let at = |path: &str| format!("{}/requests/7{path}", server.url());
    let created = json!({"request_id": "7", "status_url": at("/status"), "response_url": at("")});
    server.on("/fal-ai/flux", [Answer::json(200, created.to_string())]);
    let queued = Answer::json(200, r#"{"status":"IN_QUEUE","queue_position":3}"#);
    let working = Answer::json(200, r#"{"status":"IN_PROGRESS"}"#);
    let completed = json!({"status": "COMPLETED", "response_url": at("")}).to_string();
    let failed = json!({"status": "COMPLETED", "response_url": at(""), "error": "no such model"}).to_string();
    server.on("/requests/7/status", [queued, working, Answer::json(200, completed), Answer::json(200, failed)]);
    server.on("/requests/7", [Answer::json(200, r#"{"images":[{"url":"https://cdn.example/1?sig=1"}]}"#)]);
    let mut setup = Setup::at(format!("{}/fal-ai/flux", server.url())).dialect(preset("fal"));
    setup.headers = vec![("authorization".to_owned(), format!("Key {KEY}"))];
    let client = driver.client(setup);
    let jobs = client.create(&json!({"prompt": "a vase"})).expect("fal accepts");
    assert_eq!(jobs[0].id(), at("/status"));
    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 4));
    assert_eq!(done.result, Some(json!({"images": [{"url": "https://cdn.example/1?sig=1"}]})));

    let done = client.wait(&jobs[0]);
    assert_eq!((done.outcome, done.error.as_deref()), (Outcome::Failed, Some("no such model")));
    let key = format!("Key {KEY}");
    assert!(server.requests().iter().all(|request| request.header("authorization") == Some(&key)));
    assert_eq!(server.requests().len(), 6);
}

/// RFC 9110 §15.4.4: 303 leads to the result; a result that is not JSON is text.
pub fn preset_rfc9110(driver: &dyn Driver) {
    let rows = [
        ("/vases/1?row=2", Answer::json(200, r#"{"glaze":"blue"}"#), json!({"glaze": "blue"})),
        ("../vases/1", Answer::status(200).body("a blue vase"), json!("a blue vase")),
        ("./1", Answer::status(201).body("[1,2]"), json!([1, 2])),
    ];
    for (location, answer, result) in rows {
        let server = Server::start();
        server.on("/", [Answer::status(202).header("location", "/work/7")]);
        let working = Answer::status(202).header("retry-after-ms", "20");
        server.on("/work/7", [working, Answer::status(303).header("location", location)]);
        for target in ["/vases/1?row=2", "/vases/1", "/work/1"] {
            server.on(target, [answer.clone()]);
        }
        let client = driver.client(Setup::of(&server).dialect(preset("rfc9110")));
        let jobs = client.create(&Value::Null).expect("the backend accepts");
        assert_eq!(jobs[0].id(), format!("{}/work/7", server.url()));
        let done = client.wait(&jobs[0]);

        assert_eq!((done.outcome, done.error), (Outcome::Succeeded, None));
        assert_eq!((done.result, done.requests), (Some(result), 3));
        assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
    }
}

/// 303 abroad is not asked for: the address is the result.
pub fn see_other_abroad(driver: &dyn Driver) {
    let (server, other) = (Server::start(), Server::start());
    let address = format!("{}/vases/1?sig=1", other.url());
    server.on("/work/7", [Answer::status(202), Answer::status(303).header("location", &address)]);
    let job = firing(&format!("{}/work/7", server.url()));
    let done = driver.client(Setup::of(&server).dialect(preset("rfc9110"))).wait(&job);

    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some(address.into())));
    assert_eq!((done.error, done.requests), (None, 2));
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// The answer that ends the work can be the result itself: JSON, text, or nothing.
pub fn result_is_the_whole_answer(driver: &dyn Driver) {
    let rows = [
        (Answer::json(200, r#"{"glaze":"blue"}"#), Some(json!({"glaze": "blue"}))),
        (Answer::status(200).body("a blue vase"), Some(json!("a blue vase"))),
        (Answer::status(204), None),
    ];
    for (answer, result) in rows {
        let server = Server::start();
        server.on("/work/7", [Answer::status(202), answer]);
        let job = firing(&format!("{}/work/7", server.url()));
        let done = driver.client(Setup::of(&server).dialect(preset("rfc9110"))).wait(&job);

        assert_eq!((done.outcome, done.result, done.error), (Outcome::Succeeded, result, None));
        assert_eq!(done.requests, 2);
    }
}

/// A succeeded job without its address yet is asked again, as soon as `max_delay` allows; then it has succeeded.
pub fn refined_until_there_is_a_result(driver: &dyn Driver) {
    let dialect = dialect_with(
        r#"refine = [{ when = "succeeded", absent = "/result", then = "running", for = "10m", ask_again = "30s" }]"#,
    );
    let server = Server::start();
    let vase = Answer::json(200, r#"{"state":"fired","result":"a vase"}"#);
    let empty = Answer::json(200, r#"{"state":"fired","result":null}"#);
    server.on("/firings/a", [empty.clone(), empty.clone(), fired(), empty, vase]);
    let policy =
        build(hurried().with_min_delay(millis(10)).with_max_delay(millis(50)).with_total_timeout(millis(9_000)));
    let done = driver.client(Setup::of(&server).dialect(dialect).policy(policy)).wait(&firing("a"));

    assert_eq!((done.outcome, done.result), (Outcome::Succeeded, Some("a vase".into())));
    assert_eq!((done.requests, done.failed_requests), (5, 0));
    for pair in server.requests().windows(2) {
        assert!(pair[1].at - pair[0].answered_at() >= millis(50), "ask_again is what max_delay leaves of it");
    }
}

/// After that time the class stands that the state's word gave, with or without a result.
pub fn refined_for_a_limited_time(driver: &dyn Driver) {
    let dialect = dialect_with(
        r#"refine = [{ when = "succeeded", absent = "/result", then = "running", for = "200ms", ask_again = "20ms" }]"#,
    );
    let server = Server::start();
    server.on("/firings/a", [fired()]);
    let client = driver.client(Setup::of(&server).dialect(dialect));
    let done = client.wait(&firing("a"));

    assert_eq!((done.outcome, done.result, done.error), (Outcome::Succeeded, None, None));
    assert!(done.elapsed >= millis(200));
    let requests = server.requests();
    assert!(requests.len() >= 2);
    assert!(requests[requests.len() - 1].at - requests[0].answered_at() >= millis(190));
}
