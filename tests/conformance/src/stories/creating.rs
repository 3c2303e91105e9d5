//! Creating jobs: never twice by accident.

use std::collections::BTreeSet;
use std::time::Duration;

use jobwatch::LookError;
use jobwatch::store::Intent;
use serde_json::{Value, json};

use crate::kiln::{KEY, build, dialect_with_idempotency, fired, firing, giving_up_after, hurried, millis};
use crate::server::Refusing;
use crate::{Answer, Driver, Server, Setup};

fn created() -> Answer {
    Answer::json(201, r#"{"id":"a"}"#)
}

/// A body is sent as JSON; no body is none.
pub fn create_sends_its_body(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [created()]);
    let client = driver.client(Setup::of(&server));
    let jobs = client.create(&json!({"piece": "väse", "cone": 6})).expect("the kiln accepts");
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].id(), "a");
    client.create(&Value::Null).expect("the kiln accepts");

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| (&*request.method, &*request.target) == ("POST", "/firings")));
    assert!(requests.iter().all(|request| request.header("x-api-key") == Some(KEY)));
    assert!(requests.iter().all(|request| request.header("idempotency-key").is_none()));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&requests[0].body).expect("the body is JSON");
    assert_eq!(body, json!({"piece": "väse", "cone": 6}));
    assert!(requests[1].body.is_empty());
    assert_eq!(requests[1].header("content-length"), Some("0"), "a POST without a body says so");
}

/// One create can make several jobs, whose ids may be numbers too large for a double.
pub fn create_fans_out(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [Answer::json(200, r#"{"id":["b","a/1",9007199254740993]}"#)]);
    let jobs = driver.client(Setup::of(&server)).create(&Value::Null).expect("the kiln accepts");

    let ids: Vec<_> = jobs.iter().map(jobwatch::JobRef::id).collect();
    assert_eq!(ids, ["b", "a/1", "9007199254740993"]);
    assert_eq!(server.requests().len(), 1);
}

/// Without an idempotency key a create is sent exactly once, and its error says whether there may be a job.
pub fn create_without_key_is_sent_once(driver: &dyn Driver) {
    let rows = [
        (Answer::status(502), Some(LookError::Status(502)), true),
        (Answer::status(503).header("retry-after-ms", "10"), Some(LookError::Status(503)), true),
        (Answer::reset(), Some(LookError::Disconnected), true),
        (Answer::raw(""), Some(LookError::Disconnected), true),
        (Answer::status(200).body("<html>"), Some(LookError::Malformed), true),
        (Answer::json(200, "{}"), Some(LookError::Malformed), true),
        (Answer::status(429).header("retry-after-ms", "10"), Some(LookError::Status(429)), false),
        (Answer::status(409), Some(LookError::Status(409)), false),
    ];
    for (answer, error, maybe_created) in rows {
        let server = Server::start();
        server.on("/firings", [answer.clone(), created()]);
        let failed = driver.client(Setup::of(&server)).create(&Value::Null).expect_err("the kiln does not accept");

        assert_eq!((failed.error, failed.maybe_created), (error, maybe_created), "after {answer:?}: {failed}");
        assert_eq!(server.requests().len(), 1, "after {answer:?}");
    }
}

/// A create that is never answered is not sent again: there may be a job.
pub fn create_that_hangs_is_sent_once(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [Answer::hang(), created()]);
    let policy = build(hurried().with_attempt_timeout(millis(1_000)));
    let client = driver.client(Setup::of(&server).policy(policy));
    let failed = client.create(&Value::Null).expect_err("the kiln does not answer");

    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Expired), true));
    assert_eq!(server.requests().len(), 1);
}

/// Connections that were used before break more easily, and tempt clients into repeating what they sent.
pub fn create_on_a_used_connection_is_sent_once(driver: &dyn Driver) {
    for answer in [Answer::reset(), Answer::raw("")] {
        let server = Server::start();
        server.on("/firings/z", [fired()]);
        server.on("/firings", [answer, created()]);
        let client = driver.client(Setup::of(&server));
        client.wait(&firing("z"));
        let failed = client.create(&json!({"cone": 6})).expect_err("the kiln does not accept");

        assert!(failed.maybe_created);
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].connection, requests[1].connection, "the connection was used before");
    }
}

/// With an idempotency key a create is repeated under the same one, with the same body.
pub fn create_with_key_is_repeated_under_it(driver: &dyn Driver) {
    let server = Server::start();
    let throttled = Answer::status(429).header("retry-after-ms", "50");
    server.on("/firings", [Answer::status(502), Answer::reset(), throttled, created()]);
    let client = driver.client(Setup::of(&server).dialect(dialect_with_idempotency()));
    let jobs = client.create(&json!({"cone": 6})).expect("the kiln accepts in the end");
    assert_eq!(jobs[0].id(), "a");
    client.create(&json!({"cone": 6})).expect("the kiln accepts");

    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    let keys: Vec<_> = requests.iter().map(|request| request.header("idempotency-key")).collect();
    assert!(keys[0].is_some_and(|key| key.len() >= 16), "a key cannot be guessed: {:?}", keys[0]);
    assert!(keys[1..4].iter().all(|key| *key == keys[0]), "one create has one key: {keys:?}");
    assert_ne!(keys[4], keys[0], "another create has another key");
    assert!(requests.iter().all(|request| request.body == requests[0].body));
    assert!(requests[3].at - requests[2].answered_at() >= millis(50));
}

/// A seed repeats the jitter and nothing else: each create of each client has a key of its own.
pub fn regression_a_seeded_client_drew_one_key_for_all_creates(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [created()]);
    let client = || driver.client(Setup::of(&server).dialect(dialect_with_idempotency()).seed(7));
    for client in [client(), client()] {
        for _ in 0..3 {
            client.create(&Value::Null).expect("the kiln accepts");
        }
    }
    let keys: BTreeSet<_> =
        server.requests().iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys.len() == 6 && !keys.contains(&None), "{keys:?}");
}

/// What asking again cannot cure is not asked again, key or no key; the backend's words are told.
pub fn create_refused_is_not_repeated(driver: &dyn Driver) {
    for status in [400, 401, 403, 404, 422] {
        let server = Server::start();
        server.on("/firings", [Answer::json(status, r#"{"error":"kiln is closed"}"#), created()]);
        let client = driver.client(Setup::of(&server).dialect(dialect_with_idempotency()));
        let failed = client.create(&Value::Null).expect_err("the kiln does not accept");

        assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Status(status)), false));
        assert_eq!(failed.message, "kiln is closed");
        assert_eq!(server.requests().len(), 1);
    }
}

/// A redirected create is not sent anywhere else: not as a GET, and not abroad.
pub fn create_follows_no_redirect(driver: &dyn Driver) {
    let other = Server::start();
    for status in [301, 302, 303, 307, 308] {
        for to in ["/elsewhere".to_owned(), format!("{}/firings", other.url())] {
            let server = Server::start();
            server.on("/elsewhere", [created()]);
            server.on("/firings", [Answer::status(status).header("location", to)]);
            driver.client(Setup::of(&server)).create(&Value::Null).expect_err("the kiln does not accept");
            assert_eq!(server.targets(), ["/firings"]);
        }
    }
    assert_eq!(other.log(|log| log.connections), 0, "nobody came");
}

/// Where nobody listened, no job can have been created.
pub fn create_that_never_left(driver: &dyn Driver) {
    let refusing = Refusing::bind();
    let client = driver.client(Setup::at(refusing.url()).policy(giving_up_after(2)));
    let failed = client.create(&Value::Null).expect_err("nobody is there");

    assert_eq!((failed.error, failed.maybe_created), (Some(LookError::Unreachable), false));
}

/// A create that was written down is sent under its key; what a store gives back is sent again under the same one.
pub fn intent_is_carried_out_again_under_its_key(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [created()]);
    let client = driver.client(Setup::of(&server).dialect(dialect_with_idempotency()));
    let intent = client.intent(br#"{"cone":6}"#);
    assert_ne!(client.intent(b"").key(), intent.key(), "another create has another key");
    let key = intent.key().map(str::to_owned);
    let stored = Intent::stored(intent.id().to_owned(), key, intent.body().to_vec(), intent.at());
    for intent in [intent, stored] {
        assert_eq!(client.create_intended(&intent).expect("the kiln accepts")[0].id(), "a");
    }

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].header("idempotency-key").is_some() && requests[0].body == br#"{"cone":6}"#);
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    assert_eq!(requests[0].body, requests[1].body);
}

/// Without a key, or under one that is too old, what may have been sent is never sent again.
pub fn intent_that_may_make_a_second_job_is_not_sent(driver: &dyn Driver) {
    let server = Server::start();
    server.on("/firings", [created()]);
    let client = driver.client(Setup::of(&server).dialect(dialect_with_idempotency()));
    let now = client.intent(b"").at();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    for (key, at) in [
        (None, now),
        (Some("k"), now.saturating_sub(days(2))),
        // The clock was set back since.
        (Some("k"), now.saturating_add(days(2))),
    ] {
        let intent = Intent::stored("i".to_owned(), key.map(str::to_owned), Vec::new(), at);
        let failed = client.create_intended(&intent).expect_err("it is not sent");
        assert!(failed.maybe_created && failed.message.contains("not repeated"), "{failed}");
    }
    assert!(server.requests().is_empty());
}
