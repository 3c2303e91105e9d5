//! The answers of `HeyGen`'s two video translation APIs.

use http_support::secs;
use jobwatch::testing::{HttpReply, HttpWorld, http_script};
use jobwatch::{Backend, HintSource, JobRef, LookError, Observation, Outcome, Policy};

use crate::reading::{PLAIN, Row, broken, check, fatal, throttled};
use crate::{Failed, LOST, MALFORMED, PENDING, Succeeded, http_support};

/// WIRE §1.2.
#[test]
fn heygen_v3() {
    const ROW: Row = Row { preset: "heygen-v3", ..PLAIN };
    check(&[
        Row {
            why: "only id and status are required",
            body: r#"{"data":{"id":"t1","status":"pending"}}"#,
            says: PENDING,
            ..ROW
        },
        Row {
            why: "the result is the address",
            body: r#"{"data":{"id":"t1","status":"completed","video_url":"https://files.example/v.mp4?sig=1"}}"#,
            says: Succeeded,
            result: Some(r#""https://files.example/v.mp4?sig=1""#),
            ..ROW
        },
        Row {
            why: "trap: completed, and the address is still null",
            body: r#"{"data":{"id":"t1","status":"completed","video_url":null}}"#,
            ask_again: Some(secs(30)),
            ..ROW
        },
        Row {
            why: "trap: completed, and the address is missing",
            body: r#"{"data":{"id":"t1","status":"completed"}}"#,
            ask_again: Some(secs(30)),
            ..ROW
        },
        Row {
            why: "the vendor's words on a failed job",
            body: r#"{"data":{"id":"t1","status":"failed","failure_message":"no speech found"}}"#,
            says: Failed,
            message: "no speech found",
            ..ROW
        },
        Row {
            why: "trap: the words of a bulk answer are not those of a single job",
            body: r#"{"data":{"id":"t1","status":"processing"}}"#,
            unknown: true,
            ..ROW
        },
    ]);
}

/// WIRE §1.2: failed requests.
#[test]
fn heygen_v3_failures() {
    const ROW: Row = Row { preset: "heygen-v3", ..PLAIN };
    check(&[
        Row {
            why: "a failed request and its words",
            status: 401,
            body: r#"{"error":{"code":"unauthorized","message":"invalid API key"}}"#,
            says: fatal(401),
            message: "invalid API key",
            ..ROW
        },
        Row {
            why: "no credit",
            status: 402,
            body: r#"{"error":{"code":"insufficient_credit","message":"no credit"}}"#,
            says: fatal(402),
            message: "no credit",
            ..ROW
        },
        Row {
            why: "an unknown id",
            status: 404,
            body: r#"{"error":{"code":"not_found","message":"no such translation"}}"#,
            says: LOST,
            message: "no such translation",
            ..ROW
        },
        Row {
            why: "trap: 429 for too many jobs, which waiting cures",
            status: 429,
            headers: &[("Retry-After", "7")],
            body: r#"{"error":{"code":"rate_limit_exceeded","message":"slow down"}}"#,
            says: throttled(429, Some(secs(7))),
            message: "slow down",
            hint: Some(HintSource::RetryAfter),
            ..ROW
        },
        Row {
            why: "trap: 429 for a spent quota, which waiting does not cure",
            status: 429,
            headers: &[("Retry-After", "7")],
            body: r#"{"error":{"code":"quota_exceeded","message":"buy more"}}"#,
            says: fatal(429),
            message: "buy more",
            hint: Some(HintSource::RetryAfter),
            ..ROW
        },
        Row {
            why: "trap: a gateway sends HTML",
            status: 502,
            body: "<html>Bad Gateway</html>",
            says: broken(502),
            ..ROW
        },
        Row { why: "trap: a gateway sends nothing", status: 500, says: broken(500), ..ROW },
        Row {
            why: "a page instead of an answer",
            body: "<html>login</html>",
            says: MALFORMED,
            message: "the answer is no JSON",
            ..ROW
        },
        Row {
            why: "an answer without a state",
            body: r#"{"data":{"id":"t1"}}"#,
            says: MALFORMED,
            message: "the answer has no state at /data/status",
            ..ROW
        },
    ]);
}

/// WIRE §1.3.
#[test]
fn heygen_v2() {
    const ROW: Row = Row { preset: "heygen-v2", ..PLAIN };
    const ENVELOPE: Observation = Observation::Transient { error: LookError::Envelope, hint: None };
    check(&[
        Row {
            why: "the result is the address",
            body: r#"{"error":null,"data":{"status":"success","url":"https://files.example/v.mp4","message":null}}"#,
            says: Succeeded,
            result: Some(r#""https://files.example/v.mp4""#),
            ..ROW
        },
        Row {
            why: "a failed job",
            body: r#"{"error":null,"data":{"status":"failed","url":null,"message":"no speech found"}}"#,
            says: Failed,
            message: "no speech found",
            ..ROW
        },
        Row {
            why: "trap: an error on HTTP 200 is a failed request, not a failed job",
            body: r#"{"error":{"code":"internal_error","message":"try again"},"data":null}"#,
            says: ENVELOPE,
            message: "try again",
            ..ROW
        },
        Row {
            why: "trap: an error counts more than what stands beside it",
            body: r#"{"error":"something broke","data":{"status":"failed","message":null}}"#,
            says: ENVELOPE,
            message: "something broke",
            ..ROW
        },
        Row { why: "without an envelope the state counts", body: r#"{"data":{"status":"running"}}"#, ..ROW },
        Row {
            why: "the envelope of a bad status",
            status: 400,
            body: r#"{"error":{"code":"invalid_parameter","message":"no such video"},"data":null}"#,
            says: fatal(400),
            message: "no such video",
            ..ROW
        },
    ]);
}

/// WIRE §1.2 and §1.3: an answer to a look names its job, and one that a cache has mixed up is not believed.
#[test]
fn an_answer_about_another_job_is_not_believed() {
    for (preset, about) in [
        ("heygen-v3", r#"{"data":{"id":"ID","status":"failed","failure_message":"no speech found"}}"#),
        ("heygen-v2", r#"{"error":null,"data":{"video_translate_id":"ID","status":"failed"}}"#),
    ] {
        let backend = Backend::new(super::preset(preset), None).unwrap();
        let answers = ["t2", "t1"].map(|id| HttpReply::json(&about.replace("ID", id)));
        let mut world = HttpWorld::new(http_script(answers.to_vec()));
        let finished = world.wait(&backend, Policy::builder(), JobRef::new("t1").unwrap());
        let (outcome, error) = (finished.outcome, finished.last_error);
        assert_eq!((outcome, error, finished.requests), (Outcome::Failed, Some(LookError::Malformed), 2), "{preset}");
    }
}
