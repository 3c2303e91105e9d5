//! What the answer to a create tells: ids, addresses, or why there is no job.

use jobwatch::{JobRef, LookError, Outcome};
use serde_json::{Value, json};

use crate::kiln::{KEY, dialect_with, fired, heating, preset};
use crate::{Answer, Driver, Server, Setup};

/// Azure's three headers, in their precedence; addresses may be relative.
pub fn preset_azure(driver: &dyn Driver) {
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[("operation-location", "/1"), ("azure-asyncoperation", "/2"), ("location", "/3")], "/1"),
        (&[("location", "/3"), ("azure-asyncoperation", "/2?api-version=1")], "/2?api-version=1"),
        (&[("location", "/3")], "/3"),
        (&[("operation-location", "operations/7")], "/sub/operations/7"),
        (&[("operation-location", "../operations/7?a=b")], "/operations/7?a=b"),
    ];
    for absolute in [false, true] {
        for (headers, target) in rows {
            let server = Server::start();
            let address = |told: &str| if absolute { format!("{}{target}", server.url()) } else { told.to_owned() };
            let first =
                headers.iter().fold(Answer::status(202), |answer, (name, told)| answer.header(name, address(told)));
            server.on("/sub/x", [first]);
            let running = Answer::json(200, r#"{"status":"Reticulating","percentComplete":40}"#);
            let done = Answer::json(200, r#"{"status":"Succeeded","properties":{"vase":1}}"#);
            server.on(target, [running.header("retry-after-ms", "30"), done]);
            let client = driver.client(Setup::at(format!("{}/sub/x", server.url())).dialect(preset("azure")));
            let jobs = client.create(&json!({"cone": 6})).expect("the backend accepts");
            let done = client.wait(&jobs[0]);

            assert_eq!((done.outcome, done.requests), (Outcome::Succeeded, 2));
            assert_eq!(done.result, Some(json!({"vase": 1})));
            assert_eq!(done.job.id(), format!("{}{target}", server.url()));
            assert_eq!(server.targets(), ["/sub/x", target, target]);
            assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
        }
    }
}

/// A dialect that creates at the base URL creates there, and not beside it.
pub fn create_at_the_base_url(driver: &dyn Driver) {
    for base in ["/", "/operations", "/operations/"] {
        let server = Server::start();
        server.on(base, [Answer::status(202).header("location", "/3")]);
        let client = driver.client(Setup::at(format!("{}{base}", server.url())).dialect(preset("rfc9110")));
        client.create(&Value::Null).expect("the backend accepts");
        assert_eq!(server.targets(), [base]);
    }
}

/// An answer that is larger than the limit may have told of a job.
pub fn create_answered_too_large(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [Answer::json(200, json!({"id": "a", "note": "x".repeat(2_000)}).to_string())]);
    let failed = driver.client(Setup::of(&server).max_body(1_000)).create(&Value::Null).expect_err("it is too large");

    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::TooLarge), true));
    assert!(failed.message.contains("max_body"), "{failed}");
    assert_eq!(server.requests().len(), 1);
}

/// With `Location` alone the status tells, and the body is the result.
pub fn preset_azure_without_a_state(driver: &dyn Driver) {
    let rows = [
        (Answer::json(200, r#"{"vase":1}"#), Outcome::Succeeded, Some(json!({"vase": 1}))),
        (Answer::status(204), Outcome::Succeeded, None),
        (Answer::json(200, r#"{"status":"Canceled"}"#), Outcome::Cancelled, None),
        (Answer::json(200, r#"{"status":"failed","error":{"message":"cracked"}}"#), Outcome::Failed, None),
    ];
    for (answer, outcome, result) in rows {
        let server = Server::start();
        server.on("/", [Answer::status(202).header("location", "/3")]);
        server.on("/3", [Answer::status(202), Answer::status(202).header("location", "/4")]);
        server.on("/4", [answer]);
        let client = driver.client(Setup::of(&server).dialect(preset("azure")));
        let done = client.wait(&client.create(&Value::Null).expect("the backend accepts")[0]);

        assert_eq!((done.outcome, done.result), (outcome, result));
        assert_eq!(server.targets(), ["/", "/3", "/3", "/4"]);
    }
}

/// An id and an address: the job is called by the one and asked for at the other.
pub fn created_with_id_and_address(driver: &dyn Driver) {
    let server = Server::start();
    let urls = json!({"get": format!("{}/elsewhere/7?v=1", server.url())});
    server
        .on("/v1/predictions", [Answer::json(201, json!({"id": "7", "status": "starting", "urls": urls}).to_string())]);
    let running = Answer::json(200, r#"{"status":"processing"}"#);
    server.on("/elsewhere/7?v=1", [running, Answer::json(200, r#"{"status":"succeeded","output":["a vase"]}"#)]);
    let client = driver.client(Setup::of(&server).dialect(preset("replicate")));
    let jobs = client.create(&json!({"version": "1"})).expect("the backend accepts");
    let done = client.wait(&jobs[0]);

    assert_eq!((done.outcome, done.job.id()), (Outcome::Succeeded, "7"));
    assert_eq!(done.result, Some(json!(["a vase"])));
    assert_eq!(server.targets(), ["/v1/predictions", "/elsewhere/7?v=1", "/elsewhere/7?v=1"]);
}

/// Where an answer has no address, the path serves.
pub fn created_without_its_address(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/v1/predictions", [Answer::json(201, r#"{"id":"7"}"#)]);
    server.on("/v1/predictions/7", [Answer::json(200, r#"{"status":"aborted","error":"too late"}"#)]);
    let client = driver.client(Setup::of(&server).dialect(preset("replicate")));
    let done = client.wait(&client.create(&json!({"version": "1"})).expect("the backend accepts")[0]);

    assert_eq!((done.outcome, done.error.as_deref()), (Outcome::Failed, Some("too late")));
}

/// A dialect's own fields complete the caller's body, which comes first; its headers go along likewise.
pub fn create_has_fields_and_headers(driver: &dyn Driver) {
    let dialect = dialect_with(
        r#"
        create.path = "/firings"
        create.method = "PUT"
        create.headers = { "x-version" = "2", "accept" = "application/kiln" }
        create.body = { cone = 6, glaze = { colour = "blue" }, note = "ours" }
        poll.headers = { "x-version" = "1" }
    "#,
    );
    let server = Server::start();
    server.on("/firings", [Answer::json(200, r#"{"id":"a"}"#)]);
    server.on("/firings/a", [heating(), fired()]);
    let client = driver.client(Setup::of(&server).dialect(dialect.clone()));
    let bodies = [
        (json!({"piece": "vase", "cone": 9, "note": null}), json!({"piece": "vase", "cone": 9, "note": null})),
        (Value::Null, json!({"cone": 6, "note": "ours"})),
        (json!([1]), json!([1])),
    ];
    for (body, mut expected) in bodies {
        client.create(&body).expect("the kiln accepts");
        if let Some(fields) = expected.as_object_mut() {
            fields.insert("glaze".to_owned(), json!({"colour": "blue"}));
        }
        let request = server.requests().pop().expect("it was sent");
        assert_eq!(serde_json::from_slice::<Value>(&request.body).expect("it is JSON"), expected);
        assert_eq!((&*request.method, request.header("x-version")), ("PUT", Some("2")));
        assert_eq!(request.header("accept"), Some("application/kiln"));
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    let jobs = client.create(&Value::Null).expect("the kiln accepts");
    client.wait(&jobs[0]);
    let asked = server.requests_for("/firings/a");
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|request| request.header("x-version") == Some("1")));

    let mut setup = Setup::of(&server).dialect(dialect);
    setup.headers.push(("X-Version".to_owned(), "3".to_owned()));
    let client = driver.client(setup);
    client.create(&Value::Null).expect("the kiln accepts");
    client.status(&jobs[0]);
    let requests = server.requests();
    assert!(requests[requests.len() - 2..].iter().all(|request| request.header("x-version") == Some("3")));
}

/// A conflict that says "the same is under way" is waited out under the same key; no other is.
pub fn create_in_progress(driver: &dyn Driver) {
    let conflict = |code: &str| Answer::json(409, json!({"error": {"code": code, "message": "busy"}}).to_string());
    let created = || Answer::json(200, r#"{"data":{"video_translation_ids":["t1"]}}"#);
    let server = Server::start();
    let path = "/v3/video-translations";
    server.on(path, [conflict("request_in_progress"), conflict("Request_In_Progress"), created()]);
    let client = driver.client(Setup::of(&server).dialect(preset("heygen-v3")));
    let jobs = client.create(&json!({"mode": "speed"})).expect("it was under way");
    assert_eq!(jobs[0].id(), "t1");
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    let key = requests[0].header("idempotency-key").expect("it has a key");
    assert!(requests.iter().all(|request| request.header("idempotency-key") == Some(key)));
    assert!(requests.iter().all(|request| request.body == requests[0].body));

    server.on(path, [conflict("idempotency_key_reused"), created()]);
    let failed = client.create(&json!({"mode": "speed"})).expect_err("that is another conflict");
    assert_eq!((failed.error, &*failed.message), (Some(LookError::Status(409)), "busy"));
    assert_eq!(server.requests().len(), 4);
}

/// An error under a good status creates nothing, and is told in the backend's words.
pub fn create_refused_by_the_envelope(driver: &dyn Driver) {
    let server = Server::start();
    let refused =
        json!({"error": {"code": "bad_url", "message": "no such video"}, "data": {"video_translate_id": "x"}});
    server.on("/v2/video_translate", [Answer::json(200, refused.to_string())]);
    let client = driver.client(Setup::of(&server).dialect(preset("heygen-v2")));
    let failed = client.create(&json!({"video_url": "x"})).expect_err("the envelope tells an error");

    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Envelope), false));
    assert_eq!((&*failed.message, failed.created.len()), ("no such video", 0));
    assert_eq!(server.requests().len(), 1);
}

/// One create, several jobs: each is waited for by its own id.
pub fn created_in_a_fan(driver: &dyn Driver) {
    let server = Server::start();
    let ids = json!({"data": {"video_translation_ids": ["t1", "t/2", "t3"]}});
    server.on("/v3/video-translations", [Answer::json(200, ids.to_string())]);
    let client = driver.client(Setup::of(&server).dialect(preset("heygen-v3")));
    let jobs = client.create(&json!({"output_languages": ["Spanish", "French", "German"]})).expect("it accepts");
    assert_eq!(jobs.iter().map(JobRef::id).collect::<Vec<_>>(), ["t1", "t/2", "t3"]);

    server.on("/v3/video-translations", [Answer::json(200, r#"{"data":{"video_translation_ids":[]}}"#)]);
    let failed = client.create(&Value::Null).expect_err("there is no id");
    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Malformed), true));
}
