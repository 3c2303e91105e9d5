//! Creating jobs: ids first, and never twice by accident.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;

use http_support::{
    BASE, KILN, Reply, START, World, at, dialect, every_second, millis, reply, response, rng, script, secs,
};
use jobwatch::{
    Backend, FirstLook, JobRef, LookError, Policy, PolicyBuilder, Submit, SubmitAction, SubmitError, TransportError,
};
use proptest::prelude::*;

type Created = Result<Vec<JobRef>, SubmitError>;

impl<F: FnMut(&http::Request<Vec<u8>>, Duration) -> Reply> World<F> {
    fn submit(&mut self, submit: &mut Submit<&Backend, Policy>) -> Created {
        loop {
            match submit.poll(self.clock) {
                SubmitAction::Created(jobs) => return Ok(jobs),
                SubmitAction::Failed(error) => return Err(error),
                SubmitAction::Renew => panic!("nobody can renew"),
                SubmitAction::Sleep { until } => {
                    assert!(until > self.clock);
                    self.clock = until;
                }
                SubmitAction::Send { id, request, timeout } => match self.ask(&request, timeout) {
                    Some(Ok(response)) => submit.handle_response(self.clock, id, &response),
                    Some(Err(error)) => submit.handle_error(self.clock, id, &error),
                    None => {}
                },
            }
        }
    }
}

/// A dialect whose creates are safe to repeat.
fn keyed() -> Backend {
    let text = KILN.replace("[create]", "[create]\nidempotency_header = \"Idempotency-Key\"");
    Backend::new(dialect(&text), Some(BASE)).unwrap()
}

fn keyless() -> Backend {
    http_support::kiln()
}

fn submit(backend: &Backend, policy: PolicyBuilder, replies: Vec<Reply>) -> (Created, usize) {
    let mut world = World::new(script(replies));
    let mut submit = Submit::new(backend, policy.build().unwrap(), br#"{"clay":1}"#.to_vec(), START, &mut rng(5));
    let created = world.submit(&mut submit);
    // The end stands, whenever it is asked for.
    for later in [Duration::ZERO, secs(5), secs(1_000_000)] {
        let again = match submit.poll(world.clock.saturating_add(later)) {
            SubmitAction::Created(jobs) => Ok(jobs),
            SubmitAction::Failed(error) => Err(error),
            action => panic!("{action:?}"),
        };
        assert_eq!(again, created);
    }
    (created, world.sent.len())
}

fn ids(created: &Created) -> Vec<&str> {
    created.as_ref().unwrap().iter().map(JobRef::id).collect()
}

fn created(body: &str) -> Reply {
    reply(201, &[], body)
}

#[test]
fn one_id_several_ids_and_numbers() {
    for (body, expected) in [
        (r#"{"id":"a"}"#, &["a"][..]),
        (r#"{"id":["a","b","c"]}"#, &["a", "b", "c"]),
        (r#"{"id":17}"#, &["17"]),
        (r#"{"id":[9007199254740993,18446744073709551615,-1]}"#, &["9007199254740993", "18446744073709551615", "-1"]),
        (r#"{"id":"a/b?c"}"#, &["a/b?c"]),
    ] {
        for status in [200, 201, 202] {
            let (created, requests) = submit(&keyless(), every_second(), vec![reply(status, &[], body)]);
            assert_eq!((ids(&created), requests), (expected.to_vec(), 1), "{body}");
        }
    }
}

#[test]
fn the_request() {
    let backend = Backend::new(jobwatch::Dialect::tracker(), Some("http://127.0.0.1:5000/p")).unwrap();
    let mut world = World::new(|request: &http::Request<Vec<u8>>, _| {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "http://127.0.0.1:5000/p/create_job");
        assert!(request.body().is_empty() && !request.headers().contains_key("content-type"));
        Reply::Answer(millis(250), response(200, &[], r#"{"job_id":"7e7bfe92"}"#))
    });
    let mut submission = Submit::new(&backend, Policy::default(), Vec::new(), START, &mut rng(1));
    assert_eq!(submission.idempotency_key(), None);
    let created = world.submit(&mut submission).unwrap();
    assert_eq!(created, [JobRef::new("7e7bfe92").unwrap().created_at(at(millis(250)))]);

    let mut world = World::new(|request: &http::Request<Vec<u8>>, _| {
        assert_eq!(request.body(), b"{}");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers()["x-api-key"], http_support::SECRET);
        created_a()
    });
    let backend = keyless();
    assert!(world.submit(&mut Submit::new(&backend, Policy::default(), b"{}".to_vec(), START, &mut rng(1))).is_ok());
}

fn created_a() -> Reply {
    created(r#"{"id":"a"}"#)
}

#[test]
fn regression_a_create_does_not_wait_for_the_first_look() {
    for first in [FirstLook::After(secs(30)), FirstLook::BySchedule] {
        let mut world = World::new(script(vec![created_a()]));
        let policy = every_second().with_first_look(first).build().unwrap();
        let backend = keyless();
        world.submit(&mut Submit::new(&backend, policy, Vec::new(), START, &mut rng(1))).unwrap();
        assert_eq!(world.sent[0].at, START);
    }
}

#[test]
fn an_answer_without_an_id_may_have_created_a_job() {
    for body in [
        "<html>",
        "",
        "{}",
        r#"{"id":null}"#,
        r#"{"id":[]}"#,
        r#"{"id":{}}"#,
        r#"{"id":""}"#,
        r#"{"id":".."}"#,
        r#"{"id":"a\nb"}"#,
        r#"{"id":true}"#,
        r#"{"id":1.5}"#,
    ] {
        for backend in [keyed(), keyless()] {
            let (created, requests) = submit(&backend, every_second(), vec![created(body), created_a()]);
            let error = created.unwrap_err();
            assert_eq!((error.maybe_created, error.error, requests), (true, Some(LookError::Malformed), 1), "{body}");
            assert!(error.to_string().ends_with(" (the job may have been created all the same)"), "{error}");
        }
    }
}

#[test]
fn regression_a_number_that_cannot_be_read_exactly_is_no_id() {
    // As a float it would name job 18446744073709552000.
    for body in [r#"{"id":18446744073709551616}"#, r#"{"id":1e3}"#, r#"{"id":[18446744073709551616]}"#] {
        let (created, _) = submit(&keyless(), every_second(), vec![created(body)]);
        assert!(created.unwrap_err().maybe_created, "{body}");
    }
}

/// BASELINES 30.
#[test]
fn regression_the_ids_that_can_be_read_are_told_beside_one_that_cannot() {
    let (created, _) = submit(&keyless(), every_second(), vec![created(r#"{"id":["a",null,"c"]}"#)]);
    let error = created.unwrap_err();
    assert!(error.maybe_created && error.to_string().ends_with("these were created: a, c"), "{error}");
    assert_eq!(error.created.iter().map(JobRef::id).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn other_successes_may_have_created_a_job_too() {
    for status in [203, 204, 206] {
        for backend in [keyed(), keyless()] {
            let (created, requests) = submit(&backend, every_second(), vec![reply(status, &[], ""), created_a()]);
            assert!(created.unwrap_err().maybe_created, "regression: {status}");
            assert_eq!(requests, 1);
        }
    }
}

#[test]
fn redirects_of_a_create_are_not_followed() {
    for (status, maybe) in [(301, false), (302, false), (303, true), (307, false), (308, false)] {
        for backend in [keyed(), keyless()] {
            let there = reply(status, &[("location", "https://evil.example/")], "");
            let (created, requests) = submit(&backend, every_second(), vec![there, created_a()]);
            let error = created.unwrap_err();
            assert_eq!((error.maybe_created, requests), (maybe, 1), "{status}");
            assert!(error.message.contains("redirected to https://evil.example/"), "{error}");
        }
    }
}

/// Everything that may go wrong with a create, and whether the job may exist all the same.
fn failures() -> Vec<(Reply, bool)> {
    let status = |status| reply(status, &[("retry-after", "1"), ("x-should-retry", "true")], "");
    vec![
        (status(400), false),
        (status(401), false),
        (status(404), false),
        (status(408), true),
        (status(409), false),
        (status(410), false),
        (status(423), false),
        (status(425), false),
        (status(429), false),
        (status(500), true),
        (status(502), true),
        (status(503), true),
        (status(504), true),
        (Reply::Error(millis(10), LookError::Unreachable), false),
        (Reply::Error(millis(10), LookError::Tls), false),
        (Reply::Error(millis(10), LookError::BadUrl), false),
        (Reply::Error(millis(10), LookError::Disconnected), true),
        (Reply::Error(millis(10), LookError::Expired), true),
        (Reply::Error(millis(10), LookError::TooLarge), true),
        (Reply::Never, true),
    ]
}

#[test]
fn regression_without_a_key_exactly_one_request_is_ever_sent() {
    for (failure, maybe) in failures() {
        let (created, requests) = submit(&keyless(), every_second(), vec![failure.clone(), created_a()]);
        let error = created.unwrap_err();
        assert_eq!((requests, error.maybe_created), (1, maybe), "{failure:?}");
        assert!(error.error.is_some() && !error.message.is_empty(), "{error:?}");
    }
}

#[test]
fn regression_without_a_key_a_driver_that_comes_back_late_sends_nothing_more() {
    let backend = keyless();
    let policy = every_second().with_attempt_timeout(secs(10)).with_total_timeout(secs(60)).build().unwrap();
    for late in [secs(10), secs(11), secs(59), secs(60), secs(61), secs(100_000)] {
        let mut submit = Submit::new(&backend, policy.clone(), Vec::new(), START, &mut rng(1));
        assert!(matches!(submit.poll(START), SubmitAction::Send { .. }));
        let action = submit.poll(at(late));
        let SubmitAction::Failed(error) = action else { panic!("{late:?}: {action:?}") };
        assert_eq!((error.maybe_created, error.message.as_str()), (true, "no answer in time"));
    }
}

#[test]
fn with_a_key_the_same_key_is_sent_each_time() {
    let backend = keyed();
    let mut keys = Vec::new();
    let mut replies = vec![
        Reply::Error(millis(10), LookError::Disconnected),
        reply(503, &[], ""),
        Reply::Never,
        Reply::Error(millis(10), LookError::Unreachable),
        created_a(),
    ]
    .into_iter();
    let mut world = World::new(|request: &http::Request<Vec<u8>>, _| {
        keys.push(request.headers()["idempotency-key"].to_str().unwrap().to_owned());
        assert_eq!(request.body(), b"{}");
        replies.next().unwrap()
    });
    let mut submit = Submit::new(&backend, every_second().build().unwrap(), b"{}".to_vec(), START, &mut rng(1));
    let key = submit.idempotency_key().unwrap().to_owned();
    assert_eq!(ids(&world.submit(&mut submit)), ["a"]);
    assert_eq!(keys, vec![key.clone(); 5]);
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let other = Submit::new(&backend, Policy::default(), Vec::new(), START, &mut rng(2));
    assert_ne!(other.idempotency_key(), Some(key.as_str()));
}

#[test]
fn with_a_key_patience_is_had() {
    let replies = vec![reply(429, &[("retry-after", "120")], ""), created_a()];
    let mut world = World::new(script(replies));
    let backend = keyed();
    world.submit(&mut Submit::new(&backend, Policy::default(), Vec::new(), START, &mut rng(1))).unwrap();
    let waited = world.sent[1].at.saturating_since(START);
    assert!(waited >= secs(120) && waited <= secs(121), "{waited:?}");
}

#[test]
fn with_a_key_refusals_are_final() {
    for status in [400, 401, 403, 404, 405, 409, 410, 422, 423] {
        let (created, requests) = submit(&keyed(), every_second(), vec![reply(status, &[], ""), created_a()]);
        let error = created.unwrap_err();
        assert_eq!((error.error, error.maybe_created), (Some(LookError::Status(status)), false));
        assert_eq!((error.message.contains(&status.to_string()), requests), (true, 1), "{error}");
    }
}

#[test]
fn regression_a_create_that_expired_may_exist_whatever_comes_later() {
    let (created, requests) = submit(&keyed(), every_second(), vec![Reply::Never, reply(400, &[], "")]);
    let error = created.unwrap_err();
    assert_eq!((error.error, error.maybe_created, requests), (Some(LookError::Status(400)), true, 2));
}

#[test]
fn a_spent_budget_tells_the_last_error() {
    let (created, requests) = submit(&keyed(), every_second(), vec![reply(500, &[], ""), reply(502, &[], "")]);
    let error = created.unwrap_err();
    assert_eq!((requests, error.error, error.maybe_created), (5, Some(LookError::Status(502)), true));
    assert_eq!(error.message, "HTTP status 502 Bad Gateway");
}

#[test]
fn the_backends_words_on_a_refusal() {
    let refusal = reply(422, &[], r#"{"error":{"message":"no such clay"}}"#);
    let (created, _) = submit(&keyless(), every_second(), vec![refusal]);
    assert_eq!(created.unwrap_err().to_string(), "no such clay");
}

#[test]
fn late_and_foreign_answers_change_nothing() {
    let backend = keyed();
    let policy = every_second().build().unwrap();
    let (mut one, mut other) = (
        Submit::new(&backend, policy.clone(), Vec::new(), START, &mut rng(1)),
        Submit::new(&backend, policy, Vec::new(), START, &mut rng(2)),
    );
    let SubmitAction::Send { id: first, .. } = one.poll(START) else { panic!() };
    let SubmitAction::Send { id: foreign, .. } = other.poll(START) else { panic!() };
    one.handle_response(START, foreign, &response(200, &[], r#"{"id":"x"}"#));
    one.handle_error(START, foreign, &TransportError::new(LookError::Tls, ""));
    one.handle_response(START, first, &response(200, &[], r#"{"id":"a"}"#));
    one.handle_response(START, first, &response(200, &[], r#"{"id":"b"}"#));
    let SubmitAction::Created(jobs) = one.poll(START) else { panic!() };
    assert_eq!(jobs[0].id(), "a");
}

#[test]
fn regression_a_dialect_that_cannot_create_says_so_each_time() {
    let text = KILN.replace("[create]\n    path = \"/firings\"\n", "");
    let backend = Backend::new(dialect(&text), Some(BASE)).unwrap();
    let (created, requests) = submit(&backend, every_second(), vec![created_a()]);
    let error = created.unwrap_err();
    assert_eq!((error.error, error.maybe_created, requests), (None, false, 0));
    assert_eq!(error.to_string(), "the dialect \"kiln\" does not say how to create a job");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is answered and whenever the driver comes round, a create without a key is sent once.
    #[test]
    fn once_without_a_key(
        status in 100_u16..1000,
        body: Vec<u8>,
        steps in prop::collection::vec(prop_oneof![0_u64..3, 0_u64..100_000], 1..20),
        answer_at in 0_usize..20,
    ) {
        let backend = keyless();
        let policy = every_second().with_total_timeout(secs(600)).build().unwrap();
        let mut submit = Submit::new(&backend, policy, Vec::new(), START, &mut rng(1));
        let (mut clock, mut under_way, mut sends) = (START, None, 0);
        for (number, step) in steps.into_iter().enumerate() {
            if let SubmitAction::Send { id, .. } = submit.poll(clock) {
                under_way = Some(id);
                sends += 1;
            }
            clock = clock.saturating_add(secs(step));
            if number >= answer_at && let Some(id) = under_way {
                submit.handle_response(clock, id, &response(status, &[("retry-after", "1")], &body));
            }
        }
        prop_assert_eq!(sends, 1);
    }
}
