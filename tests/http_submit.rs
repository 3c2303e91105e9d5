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
    Watch, WatchAction,
};
use proptest::prelude::*;

type Created = Result<Vec<JobRef>, SubmitError>;

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
    // The backend may have made it as soon as it was asked.
    assert_eq!(created, [JobRef::new("7e7bfe92").unwrap().with_created_at(START)]);

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

/// One that cannot have reached the backend made no job.
#[test]
fn a_job_is_as_old_as_the_first_create_that_may_have_made_it() {
    let backend = keyed();
    for (trouble, which) in [(LookError::Unreachable, 1), (LookError::Disconnected, 0)] {
        let mut world = World::new(script(vec![Reply::Error(millis(5), trouble), created_a()]));
        let mut submit = Submit::new(&backend, every_second().build().unwrap(), Vec::new(), START, &mut rng(1));
        let jobs = world.submit(&mut submit).unwrap();
        assert!(world.sent[0].at < world.sent[1].at);
        assert_eq!(jobs, [JobRef::new("a").unwrap().with_created_at(world.sent[which].at)]);
    }
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

/// A backend whose file says this beside its name and its words.
fn backend(keys: &str) -> Backend {
    let text = format!("name = \"x\"\nstate = {{ pointer = \"/s\", succeeded = [1] }}\n{keys}");
    Backend::new(dialect(&text), Some(BASE)).unwrap()
}

/// The jobs' ids, and where the first is asked for.
fn named(keys: &str, answer: Reply) -> (Vec<String>, String) {
    let backend = backend(keys);
    let (created, _) = submit(&backend, every_second(), vec![answer]);
    let jobs = created.unwrap();
    let mut watch = Watch::new(&backend, every_second().build().unwrap(), jobs[0].clone(), START, &mut rng(1));
    let asked = match watch.poll(START) {
        WatchAction::Send { request, .. } => request.uri().to_string(),
        _ => "nowhere".to_owned(),
    };
    (jobs.iter().map(|job| job.id().to_owned()).collect(), asked)
}

mod places {
    use super::*;

    const PATH: &str = "create.path = \"/jobs?new=1\"\npoll.path = \"/jobs/{id}\"";
    const URL: &str = "create.path = \"/jobs\"\njob.poll_url = [{ header = \"Operation-Location\" }, { header = \"Location\" }, \"/url\"]";

    #[test]
    fn an_id_in_a_header_in_the_body_or_where_it_is_found_first() {
        let keys = format!("{PATH}\njob.id = [\"/data/id\", {{ header = \"X-Id\" }}]");
        for (headers, body, id) in [
            (&[][..], r#"{"data":{"id":"b"}}"#, "b"),
            (&[("x-id", "h")], r#"{"data":{"id":null}}"#, "h"),
            (&[("x-id", "h")], "<html>", "h"),
            (&[("x-id", "h")], r#"{"data":{"id":7}}"#, "7"),
        ] {
            let (ids, asked) = named(&keys, reply(201, headers, body));
            assert_eq!((ids, asked), (vec![id.to_owned()], format!("https://api.example.com/v1/jobs/{id}")), "{body}");
        }
    }

    #[test]
    fn an_address_alone_is_the_jobs_name() {
        for (headers, body, url) in [
            (&[("location", "/v1/ops/7?k=1")][..], "", "https://api.example.com/v1/ops/7?k=1"),
            (&[("location", "ops/7")], "", "https://api.example.com/v1/ops/7"),
            (&[("location", "/l"), ("operation-location", "/o")], r#"{"url":"/u"}"#, "https://api.example.com/o"),
            (&[], r#"{"url":"https://api.example.com/u"}"#, "https://api.example.com/u"),
        ] {
            for status in [200, 201, 202, 204] {
                let (ids, asked) = named(URL, reply(status, headers, body));
                assert_eq!((ids, asked.as_str()), (vec![url.to_owned()], url), "{body}");
            }
        }
    }

    #[test]
    fn an_address_that_may_not_be_asked_names_the_job_all_the_same() {
        let (ids, asked) = named(URL, reply(202, &[("location", "https://evil.example/7")], ""));
        assert_eq!((ids, asked.as_str()), (vec!["https://evil.example/7".to_owned()], "nowhere"));
    }

    #[test]
    fn with_an_id_beside_it_a_bad_address_is_done_without() {
        let keys = format!("{PATH}\njob = {{ id = \"/id\", poll_url = \"/url\" }}");
        for (url, asked) in [
            ("/v1/ops/7", "https://api.example.com/v1/ops/7"),
            ("https://evil.example/7", "https://api.example.com/v1/jobs/a"),
            ("http://api.example.com/7", "https://api.example.com/v1/jobs/a"),
            ("javascript:x", "https://api.example.com/v1/jobs/a"),
            ("https://[::1", "https://api.example.com/v1/jobs/a"),
        ] {
            let body = format!(r#"{{"id":"a","url":"{url}"}}"#);
            assert_eq!(named(&keys, created(&body)), (vec!["a".to_owned()], asked.to_owned()), "{url}");
        }
        // One address for several jobs is none for each.
        let (ids, asked) = named(&keys, created(r#"{"id":["a","b"],"url":"/v1/ops/7"}"#));
        assert_eq!((ids, asked.as_str()), (vec!["a".into(), "b".into()], "https://api.example.com/v1/jobs/a"));
    }

    #[test]
    fn what_is_missing_is_told_with_its_places() {
        for (keys, answer, says) in [
            (URL.to_owned(), created("{}"), "no id at the header operation-location or the header location or /url"),
            (format!("{PATH}\njob.id = \"/data/id\""), created("{}"), "the answer to the create has no id at /data/id"),
            (PATH.to_owned(), created("<html>"), "the answer to the create is no JSON"),
            (PATH.to_owned(), created(""), "the answer to the create has no id at /id"),
        ] {
            let (result, requests) = submit(&backend(&keys), every_second(), vec![answer]);
            let error = result.unwrap_err();
            assert!(error.maybe_created && error.message.contains(says), "{error}");
            assert_eq!(requests, 1);
        }
    }
}

mod requests {
    use super::*;

    fn request(backend: &Backend, body: &str) -> http::Request<Vec<u8>> {
        let policy = every_second().build().unwrap();
        let mut submit = Submit::new(backend, policy, body.into(), START, &mut rng(1));
        let SubmitAction::Send { request, .. } = submit.poll(START) else { panic!("it is sent at once") };
        request
    }

    #[test]
    fn constant_fields_join_the_callers_object_where_it_lacks_them() {
        let keys = "poll.path = \"/{id}\"\n[create]\npath = \"/jobs\"\nbody = { mode = \"fast\", deep = { a = 1, list = [1.5, true] } }";
        let constant = r#"{"deep":{"a":1,"list":[1.5,true]},"mode":"fast"}"#;
        for (body, sent) in [
            ("", constant),
            ("{}", constant),
            (r#"{"clay":1}"#, r#"{"clay":1,"deep":{"a":1,"list":[1.5,true]},"mode":"fast"}"#),
            (r#"{"mode":"slow","deep":null}"#, r#"{"deep":null,"mode":"slow"}"#),
            // Nothing is added to what is no object.
            ("[1]", "[1]"),
            ("\"text\"", "\"text\""),
            ("clay=1&mode=slow", "clay=1&mode=slow"),
            ("{broken", "{broken"),
            (" ", " "),
        ] {
            let request = request(&backend(keys), body);
            let text = String::from_utf8(request.body().clone()).unwrap();
            match serde_json::from_str::<serde_json::Value>(sent) {
                Ok(expected) => assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected),
                Err(_) => assert_eq!(text, sent),
            }
            assert_eq!(request.headers()["content-type"], "application/json");
        }
    }

    #[test]
    fn without_constant_fields_the_callers_bytes_are_sent() {
        let keys = "poll.path = \"/{id}\"\ncreate.path = \"/jobs\"";
        for body in ["{\"b\":1, \"a\":12345678901234567890123}", "\u{feff}", "[]"] {
            assert_eq!(request(&backend(keys), body).body(), body.as_bytes());
        }
        let empty = request(&backend(keys), "");
        assert!(empty.body().is_empty() && !empty.headers().contains_key("content-type"));
    }

    #[test]
    fn regression_the_callers_own_fields_stay_what_they_are() {
        let keys = "poll.path = \"/{id}\"\ncreate = { path = \"/jobs\", body = { mode = \"fast\" } }";
        for own in ["12345678901234567890123", "0.10000000000000000000000001", "1e400"] {
            let sent = request(&backend(keys), &format!("{{\"seed\":{own}}}"));
            let text = String::from_utf8(sent.body().clone()).unwrap();
            assert!(text.contains(&format!("\"seed\":{own}")) && text.contains("\"mode\":\"fast\""), "{text}");
        }
    }

    #[test]
    fn the_callers_headers_come_before_constant_ones() {
        let keys = "poll.path = \"/{id}\"\n[create]\npath = \"/jobs\"\nidempotency_header = \"X-Key\"\n\
                    headers = { X-Version = \"1\", X-Own = \"file\", Content-Type = \"text/plain\", X-Key = \"constant\" }";
        let backend = backend(keys).with_header("x-own", "caller").unwrap().with_header("x-key", "caller").unwrap();
        let request = request(&backend, "{}");
        let all = |name: &str| request.headers().get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(
            (all("x-version"), all("x-own"), all("content-type")),
            (vec!["1"], vec!["caller"], vec!["text/plain"])
        );
        assert!(all("x-key").len() == 1 && all("x-key")[0].len() == 32, "the key of this create: {:?}", all("x-key"));
    }
}

mod patience {
    use super::*;

    const KEYED: &str = "poll.path = \"/{id}\"\nerror = { code = \"/code\", pointer = \"/why\", quota = [\"spent\"] }\n\
                         [create]\npath = \"/jobs\"\nidempotency_header = \"K\"\nin_progress = [\"busy\", 7]\nidempotency_ttl = ";

    fn keyed_for(ttl: &str) -> Backend {
        backend(&format!("{KEYED}\"{ttl}\""))
    }

    fn conflict(code: &str) -> Reply {
        reply(409, &[], &format!(r#"{{"code":{code},"why":"conflict"}}"#))
    }

    #[test]
    fn a_create_in_progress_is_asked_for_again_under_its_key() {
        for code in ["\"busy\"", "\"BUSY\"", "7", "\"7\""] {
            let (created, requests) =
                submit(&keyed_for("1h"), every_second(), vec![conflict(code), conflict(code), created_a()]);
            assert_eq!((ids(&created), requests), (vec!["a"], 3), "{code}");
        }
        let (created, requests) = submit(&keyed_for("1h"), every_second(), vec![conflict("\"exists\""), created_a()]);
        let error = created.unwrap_err();
        assert_eq!((error.error, error.maybe_created, requests), (Some(LookError::Status(409)), false, 1));
        // A spent budget does not undo that some create is under way.
        let error = submit(&keyed_for("1h"), every_second(), vec![conflict("7")]).0.unwrap_err();
        assert_eq!((error.maybe_created, error.message.as_str()), (true, "conflict"));
    }

    #[test]
    fn regression_a_create_in_progress_waits_as_long_as_it_is_told() {
        let told = reply(409, &[("retry-after", "40")], r#"{"code":7}"#);
        let mut world = World::new(script(vec![told, created_a()]));
        let backend = keyed_for("1h");
        world
            .submit(&mut Submit::new(&backend, every_second().build().unwrap(), Vec::new(), START, &mut rng(1)))
            .unwrap();
        assert!(world.sent[1].at >= at(secs(40)), "{:?}", world.sent);
    }

    #[test]
    fn a_key_is_never_used_after_its_time() {
        for (ttl, seconds) in [("0s", 0), ("1s", 1), ("10s", 10), ("2m", 120), ("1h", 3_600)] {
            for trouble in [reply(503, &[], ""), reply(429, &[("retry-after", "7")], ""), conflict("7"), Reply::Never] {
                let mut world = World::new(script(vec![trouble.clone()]));
                let backend = keyed_for(ttl);
                let policy = every_second().with_max_consecutive_failures(1_000).with_total_timeout(secs(7_200));
                let mut submit = Submit::new(&backend, policy.build().unwrap(), Vec::new(), START, &mut rng(1));
                let error = world.submit(&mut submit).unwrap_err();
                let late = world.sent.iter().skip(1).filter(|sent| sent.at >= at(secs(seconds))).count();
                assert_eq!(late, 0, "{ttl} {trouble:?}: {error}");
                assert!(!error.message.contains("earlier create"), "{ttl} {trouble:?}: {error}");
                if seconds >= 100 {
                    assert!(world.sent.len() > 1, "{ttl} {trouble:?}");
                }
            }
        }
    }

    #[test]
    fn a_driver_that_is_late_begins_all_the_same() {
        let backend = keyed_for("10s");
        let mut submit = Submit::new(&backend, every_second().build().unwrap(), Vec::new(), START, &mut rng(1));
        assert!(matches!(submit.poll(at(secs(60))), SubmitAction::Send { .. }));
        let SubmitAction::Sleep { until } = submit.poll(at(secs(90))) else { panic!("it expired") };
        assert!(matches!(submit.poll(until), SubmitAction::Failed(error) if error.maybe_created));
    }

    #[test]
    fn a_spent_quota_is_not_waited_for() {
        let spent = reply(429, &[("retry-after", "1")], r#"{"code":"spent","why":"no money"}"#);
        let (created, requests) = submit(&keyed_for("1h"), every_second(), vec![spent, created_a()]);
        let error = created.unwrap_err();
        assert_eq!((error.message.as_str(), error.maybe_created, requests), ("no money", false, 1));
    }

    /// Both have status 429, and only one of them passes.
    #[test]
    fn a_throttle_is_told_from_a_spent_quota() {
        let keyless = backend(
            "poll.path = \"/{id}\"\ncreate.path = \"/jobs\"\nerror = { code = \"/code\", quota = [\"spent\"] }",
        );
        let told = |hint: &str, body: &str| reply(429, &[("retry-after", hint)], body);
        for (answer, throttled, retry_after) in [
            (told("7", "{}"), true, Some(secs(7))),
            (reply(429, &[], ""), true, None),
            (told("864000", ""), true, None),
            (told("7", r#"{"code":"spent"}"#), false, None),
            (reply(503, &[("retry-after", "9")], ""), false, Some(secs(9))),
            (Reply::Never, false, None),
            (Reply::Error(millis(5), LookError::Unreachable), false, None),
        ] {
            let error = submit(&keyless, every_second(), vec![answer.clone()]).0.unwrap_err();
            assert_eq!((error.throttled, error.retry_after), (throttled, retry_after), "{answer:?}");
        }
    }

    #[test]
    fn a_bad_envelope_creates_nothing() {
        let envelope = "envelope = { pointer = \"/e\", throttled = [29], fatal = [13], lost = [4] }\n";
        let keyed = backend(&format!("{envelope}{KEYED}\"1h\""));
        let keyless = backend(&format!("{envelope}poll.path = \"/{{id}}\"\ncreate.path = \"/jobs\""));
        let told = |e: &str| reply(200, &[], &format!(r#"{{"e":{e},"id":"wrong","why":"no"}}"#));
        for (e, repeated) in [("29", true), ("7", true), ("{}", true), ("13", false), ("4", false)] {
            let (created, requests) = submit(&keyed, every_second(), vec![told(e), created_a()]);
            assert_eq!((created.is_ok(), requests), (repeated, if repeated { 2 } else { 1 }), "{e}");
            let (created, requests) = submit(&keyless, every_second(), vec![told(e), created_a()]);
            let error = created.unwrap_err();
            assert_eq!((error.error, error.created.len(), requests), (Some(LookError::Envelope), 0, 1), "{e}");
        }
        let (created, _) = submit(&keyless, every_second(), vec![reply(200, &[], r#"{"e":null,"id":"a"}"#)]);
        assert_eq!(ids(&created), ["a"]);
    }

    /// An answer without the envelope is not understood; it does not say that nothing was created.
    #[test]
    fn regression_an_answer_without_its_envelope_may_have_created_a_job() {
        let keys = "envelope = { pointer = \"/e\", ok = [0] }\npoll.path = \"/{id}\"\ncreate.path = \"/jobs\"";
        let (created, _) = submit(&backend(keys), every_second(), vec![reply(200, &[], r#"{"id":"a"}"#)]);
        let error = created.unwrap_err();
        assert_eq!((error.error, error.maybe_created), (Some(LookError::Malformed), true));
    }
}

mod renewal {
    use super::*;

    fn unauthorised() -> http::Response<Vec<u8>> {
        response(401, &[], r#"{"error":{"message":"expired key"}}"#)
    }

    /// A submission whose first request was refused.
    fn refused(backend: &Backend) -> Submit<&Backend, Policy> {
        let policy = every_second().build().unwrap();
        let mut submit = Submit::new(backend, policy, b"{}".to_vec(), START, &mut rng(1)).with_renewal();
        let SubmitAction::Send { id, .. } = submit.poll(START) else { panic!() };
        submit.handle_response(START, id, &unauthorised());
        submit
    }

    fn next(submit: &mut Submit<&Backend, Policy>) -> (jobwatch::AttemptId, http::Request<Vec<u8>>) {
        let mut clock = at(secs(3));
        loop {
            match submit.poll(clock) {
                SubmitAction::Send { id, request, .. } => return (id, request),
                SubmitAction::Sleep { until } => clock = until,
                action => panic!("{action:?}"),
            }
        }
    }

    #[test]
    fn refused_credentials_are_renewed_once_even_where_a_create_is_never_repeated() {
        for backend in [keyed(), keyless()] {
            let renewed = backend.renewed([("x-api-key", "new")]).unwrap();
            let mut submit = refused(&backend);
            let key = submit.idempotency_key().map(str::to_owned);
            for late in [0, 1, 100] {
                assert!(matches!(submit.poll(at(secs(late))), SubmitAction::Renew), "until it is done");
            }
            submit.renewed(at(secs(3)), Ok(&renewed));
            let (id, request) = next(&mut submit);
            assert_eq!(
                (&request.headers()["x-api-key"], request.body().as_slice()),
                (&"new".parse().unwrap(), &b"{}"[..])
            );
            let sent_key = request.headers().get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
            assert_eq!(sent_key, key);
            submit.handle_response(at(secs(4)), id, &unauthorised());
            let SubmitAction::Failed(error) = submit.poll(at(secs(4))) else { panic!("not twice") };
            assert_eq!((error.error, error.maybe_created), (Some(LookError::Status(401)), false));
        }
    }

    #[test]
    fn with_the_new_credentials_the_job_is_created() {
        let backend = keyless();
        let renewed = backend.renewed([("x-api-key", "new")]).unwrap();
        let mut submit = refused(&backend);
        assert!(matches!(submit.poll(START), SubmitAction::Renew));
        submit.renewed(at(secs(3)), Ok(&renewed));
        let (id, _) = next(&mut submit);
        submit.handle_response(at(secs(4)), id, &response(201, &[], r#"{"id":"a"}"#));
        let SubmitAction::Created(jobs) = submit.poll(at(secs(4))) else { panic!() };
        assert_eq!(jobs[0].id(), "a");
    }

    #[test]
    fn a_renewal_that_fails_is_the_end() {
        let backend = keyed();
        let mut submit = refused(&backend);
        assert!(matches!(submit.poll(START), SubmitAction::Renew));
        submit.renewed(START, Err("the vault is shut".to_owned()));
        for late in [0, 100, 1_000_000] {
            let SubmitAction::Failed(error) = submit.poll(at(secs(late))) else { panic!() };
            assert!(error.message.ends_with("not renewed: the vault is shut") && !error.maybe_created, "{error}");
        }
    }

    #[test]
    fn late_and_foreign_refusals_ask_for_nothing() {
        let backend = keyed();
        let policy = every_second().build().unwrap();
        let begin = |seed| Submit::new(&backend, policy.clone(), Vec::new(), START, &mut rng(seed)).with_renewal();
        let (mut one, mut other) = (begin(1), begin(2));
        let SubmitAction::Send { id, .. } = one.poll(START) else { panic!() };
        let SubmitAction::Send { id: foreign, .. } = other.poll(START) else { panic!() };
        one.handle_response(START, foreign, &unauthorised());
        assert!(matches!(one.poll(START), SubmitAction::Sleep { .. }));
        one.handle_response(START, id, &response(201, &[], r#"{"id":"a"}"#));
        one.handle_response(START, id, &unauthorised());
        assert!(matches!(one.poll(START), SubmitAction::Created(_)));
    }

    #[test]
    fn regression_a_policy_of_one_poll_can_be_renewed() {
        let backend = keyless();
        let renewed = backend.renewed([("x-api-key", "new")]).unwrap();
        let policy = every_second().with_max_polls(1).build().unwrap();
        let mut submit = Submit::new(&backend, policy, Vec::new(), START, &mut rng(1)).with_renewal();
        let SubmitAction::Send { id, .. } = submit.poll(START) else { panic!() };
        submit.handle_response(START, id, &unauthorised());
        assert!(matches!(submit.poll(START), SubmitAction::Renew));
        submit.renewed(START, Ok(&renewed));
        let action = submit.poll(START);
        assert!(!matches!(action, SubmitAction::Failed(_)), "renewed in vain: {action:?}");
    }
}

proptest! {
    #![proptest_config(http_support::cases(300))]

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

/// The first look at a job of which the backend says how long it will take.
#[test]
fn an_expected_duration_sets_the_first_look() {
    let text = KILN.replace("[create]", "[job]\nid = \"/id\"\nexpected_duration = \"/seconds\"\n[create]");
    let backend = Backend::new(dialect(&text), Some(BASE)).unwrap();
    for (seconds, least, most) in [("40", 40, 41), ("40.5", 40, 42), ("600", 60, 60), ("0", 0, 0), ("\"soon\"", 0, 0)] {
        let answer = created(&format!(r#"{{"id":"a","seconds":{seconds}}}"#));
        let (jobs, _) = submit(&backend, every_second(), vec![answer]);
        let mut world = World::new(script(vec![http_support::state("fired")]));
        world.wait(&backend, every_second(), jobs.unwrap().remove(0));
        let first = world.sent[0].at.saturating_since(START);
        assert!(first >= secs(least) && first <= secs(most), "{seconds}: {first:?}");
    }
}
