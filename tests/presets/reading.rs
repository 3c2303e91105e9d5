//! Whole answers: the traps that each API sets, results, words on failures, progress, hints and times.

use core::time::Duration;

use http_support::{START, millis, response, secs};
use jobwatch::{HintSource, LookError, Observation, Reading, Timestamp};
use serde_json::Value;

use crate::{Cancelled, Failed, LOST, MALFORMED, PENDING, RUNNING, Succeeded, hinted, http_support, is_end, preset};

/// An answer, and all that a preset reads in it.
struct Row {
    preset: &'static str,
    why: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    says: Observation,
    unknown: bool,
    message: &'static str,
    /// As JSON.
    result: Option<&'static str>,
    result_at: Option<&'static str>,
    progress: Option<f64>,
    queue: Option<u64>,
    hint: Option<HintSource>,
    ask_again: Option<Duration>,
}

/// The rest of a row.
const PLAIN: Row = Row {
    preset: "",
    why: "",
    status: 200,
    headers: &[],
    body: "",
    says: RUNNING,
    unknown: false,
    message: "",
    result: None,
    result_at: None,
    progress: None,
    queue: None,
    hint: None,
    ask_again: None,
};

fn check(rows: &[Row]) {
    for row in rows {
        let why = format!("{}: {}", row.preset, row.why);
        let reading = preset(row.preset).read(&response(row.status, row.headers, row.body), START);
        let Reading { observation, unknown_state, message, result, result_at, .. } = &reading;
        assert_eq!(*observation, row.says, "{why}");
        assert_eq!(*unknown_state, row.unknown, "{why}");
        assert_eq!(message.as_deref().unwrap_or_default(), row.message, "{why}");
        let expected = row.result.map(|json| serde_json::from_str::<Value>(json).unwrap());
        assert_eq!(*result, expected, "{why}");
        assert_eq!(result_at.as_deref(), row.result_at, "{why}");
        assert!(is_end(*observation) || result.is_none(), "{why}");
        assert_eq!(reading.progress, row.progress, "{why}");
        assert_eq!(reading.queue_position, row.queue, "{why}");
        assert_eq!(reading.hint_source, row.hint, "{why}");
        assert_eq!(reading.ask_again, row.ask_again, "{why}");
    }
}

const fn throttled(status: u16, after: Option<Duration>) -> Observation {
    let hint = match after {
        Some(after) => hinted(after),
        None => None,
    };
    Observation::Throttled { error: LookError::Status(status), hint }
}

const fn fatal(status: u16) -> Observation {
    Observation::Fatal { error: LookError::Status(status) }
}

const fn broken(status: u16) -> Observation {
    Observation::Transient { error: LookError::Status(status), hint: None }
}

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
        Row { why: "trap: a gateway sends HTML", status: 502, body: "<html>Bad Gateway</html>", says: broken(502), ..ROW },
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
        Row {
            why: "without an envelope the state counts",
            body: r#"{"data":{"status":"running"}}"#,
            ..ROW
        },
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

/// WIRE §2, `rfc9110`.
#[test]
fn rfc9110() {
    const ROW: Row = Row { preset: "rfc9110", ..PLAIN };
    check(&[
        Row {
            why: "202 is running, and says when to ask again",
            status: 202,
            headers: &[("Retry-After", "3")],
            says: Observation::Running { hint: hinted(secs(3)) },
            hint: Some(HintSource::RetryAfter),
            ..ROW
        },
        Row { why: "202 with whatever it says", status: 202, body: r#"{"state":"done"}"#, ..ROW },
        Row {
            why: "200 has the result, JSON as JSON",
            body: r#"{"rows":[1,2]}"#,
            says: Succeeded,
            result: Some(r#"{"rows":[1,2]}"#),
            ..ROW
        },
        Row { why: "200 has the result, text as text", body: "a,b\n1,2\n", says: Succeeded, result: Some(r#""a,b\n1,2\n""#), ..ROW },
        Row { why: "201 has the result", status: 201, body: "[]", says: Succeeded, result: Some("[]"), ..ROW },
        Row {
            why: "201 says where the result is",
            status: 201,
            headers: &[("Location", "/reports/7")],
            says: Succeeded,
            result_at: Some("/reports/7"),
            ..ROW
        },
        Row { why: "204 is success without a result", status: 204, says: Succeeded, ..ROW },
        Row {
            why: "trap: 303 is no redirect of the question but says where the result is",
            status: 303,
            headers: &[("Location", "https://api.example.com/reports/7")],
            says: Succeeded,
            result_at: Some("https://api.example.com/reports/7"),
            ..ROW
        },
        Row {
            why: "302 is a redirect of the question",
            status: 302,
            headers: &[("Location", "/elsewhere?token=1")],
            says: broken(302),
            message: "redirected to /elsewhere",
            ..ROW
        },
        Row {
            why: "a problem's detail (RFC 9457)",
            status: 400,
            body: r#"{"title":"Bad Request","detail":"no such report"}"#,
            says: fatal(400),
            message: "no such report",
            ..ROW
        },
        Row { why: "a problem's title", status: 500, body: r#"{"title":"Oops"}"#, says: broken(500), message: "Oops", ..ROW },
        Row { why: "the body as it is", status: 500, body: r#"{"oops":1}"#, says: broken(500), message: r#"{"oops":1}"#, ..ROW },
        Row { why: "404", status: 404, says: LOST, ..ROW },
        Row { why: "410", status: 410, says: Observation::Lost { definite: true }, ..ROW },
    ]);
}

/// WIRE §2, `azure`.
#[test]
fn azure() {
    const ROW: Row = Row { preset: "azure", ..PLAIN };
    check(&[
        Row {
            why: "trap: a word of a service's own is running",
            body: r#"{"status":"ApplyingPatches","percentComplete":40}"#,
            unknown: true,
            progress: Some(0.4),
            ..ROW
        },
        Row {
            why: "trap: Retry-After counts on a 200",
            headers: &[("Retry-After", "10")],
            body: r#"{"status":"Running"}"#,
            says: Observation::Running { hint: hinted(secs(10)) },
            hint: Some(HintSource::RetryAfter),
            ..ROW
        },
        Row {
            why: "and on a 202, in milliseconds before seconds",
            status: 202,
            headers: &[("Retry-After", "10"), ("x-ms-retry-after-ms", "2500")],
            body: r#"{"status":"NotStarted","percentComplete":0}"#,
            says: Observation::Pending { hint: hinted(millis(2500)) },
            progress: Some(0.0),
            hint: Some(HintSource::RetryAfterMs),
            ..ROW
        },
        Row {
            why: "a word of the end counts on a 202",
            status: 202,
            body: r#"{"status":"Succeeded","result":1}"#,
            says: Succeeded,
            result: Some("1"),
            ..ROW
        },
        Row {
            why: "the result, before the properties",
            body: r#"{"status":"Succeeded","percentComplete":100,"result":{"a":1},"properties":{"b":2}}"#,
            says: Succeeded,
            result: Some(r#"{"a":1}"#),
            ..ROW
        },
        Row {
            why: "the properties",
            body: r#"{"status":"Succeeded","properties":{"b":2}}"#,
            says: Succeeded,
            result: Some(r#"{"b":2}"#),
            ..ROW
        },
        Row {
            why: "neither",
            body: r#"{"status":"Succeeded"}"#,
            says: Succeeded,
            result: Some(r#"{"status":"Succeeded"}"#),
            ..ROW
        },
        Row {
            why: "a failed job",
            body: r#"{"status":"Failed","error":{"code":"Conflict","message":"the disk is in use"}}"#,
            says: Failed,
            message: "the disk is in use",
            ..ROW
        },
        Row { why: "a cancelled job", body: r#"{"status":"Canceled"}"#, says: Cancelled, ..ROW },
        Row { why: "trap: with Location alone 202 is running", status: 202, ..ROW },
        Row { why: "with Location alone and something to say", status: 202, body: r#"{"id":"o1"}"#, ..ROW },
        Row {
            why: "trap: with Location alone 200 is the result",
            body: r#"{"name":"disk1","properties":{"size":4}}"#,
            says: Succeeded,
            result: Some(r#"{"size":4}"#),
            ..ROW
        },
        Row { why: "with Location alone 200 without a body", says: Succeeded, ..ROW },
        Row { why: "with Location alone 204 is success", status: 204, says: Succeeded, ..ROW },
        Row {
            why: "a page is no result",
            body: "<html>login</html>",
            says: MALFORMED,
            message: "the answer is no JSON",
            ..ROW
        },
        Row {
            why: "a failed request",
            status: 404,
            body: r#"{"error":{"code":"OperationNotFound","message":"there is no such operation"}}"#,
            says: LOST,
            message: "there is no such operation",
            ..ROW
        },
    ]);
}

/// WIRE §2, `google-lro`.
#[test]
fn google_lro() {
    const ROW: Row = Row { preset: "google-lro", ..PLAIN };
    check(&[
        Row { why: "trap: JSON leaves out what is false", body: r#"{"name":"operations/7"}"#, ..ROW },
        Row {
            why: "not done, with a service's own metadata",
            body: r#"{"name":"operations/7","done":false,"metadata":{"@type":"x","progressPercent":25}}"#,
            progress: Some(0.25),
            ..ROW
        },
        Row {
            why: "done",
            body: r#"{"name":"operations/7","done":true,"response":{"@type":"x","uri":"gs://b/o"}}"#,
            says: Succeeded,
            result: Some(r#"{"@type":"x","uri":"gs://b/o"}"#),
            ..ROW
        },
        Row { why: "done, with nothing to tell", body: r#"{"name":"operations/7","done":true}"#, says: Succeeded, ..ROW },
        Row {
            why: "trap: done with an error has failed",
            body: r#"{"name":"operations/7","done":true,"error":{"code":3,"message":"bad sample rate"}}"#,
            says: Failed,
            message: "bad sample rate",
            ..ROW
        },
        Row {
            why: "trap: done with the error 1 was cancelled",
            body: r#"{"name":"operations/7","done":true,"error":{"code":1,"message":"CANCELLED"}}"#,
            says: Cancelled,
            message: "CANCELLED",
            ..ROW
        },
        Row {
            why: "an error before the end is none yet",
            body: r#"{"name":"operations/7","error":{"code":1,"message":"CANCELLED"}}"#,
            ..ROW
        },
        Row { why: "a page", body: "<html>", says: MALFORMED, message: "the answer is no JSON", ..ROW },
        Row {
            why: "a failed request",
            status: 403,
            body: r#"{"error":{"code":403,"message":"no permission","status":"PERMISSION_DENIED"}}"#,
            says: fatal(403),
            message: "no permission",
            ..ROW
        },
    ]);
}

/// WIRE §2, `openai`.
#[test]
fn openai() {
    const ROW: Row = Row { preset: "openai", ..PLAIN };
    check(&[
        Row {
            why: "progress, and the vendor's own hint before all others",
            headers: &[("openai-poll-after-ms", "1500"), ("retry-after", "9")],
            body: r#"{"id":"video_1","status":"in_progress","progress":42}"#,
            says: Observation::Running { hint: hinted(millis(1500)) },
            progress: Some(0.42),
            hint: Some(HintSource::DialectHeader),
            ..ROW
        },
        Row {
            why: "a failed video",
            body: r#"{"id":"video_1","status":"failed","error":{"code":"moderation","message":"not that"}}"#,
            says: Failed,
            message: "not that",
            ..ROW
        },
        Row {
            why: "a failed batch",
            body: r#"{"id":"batch_1","status":"failed","errors":{"data":[{"message":"line 3 is no JSON"}]}}"#,
            says: Failed,
            message: "line 3 is no JSON",
            ..ROW
        },
        Row { why: "the finished video is elsewhere", body: r#"{"id":"video_1","status":"completed"}"#, says: Succeeded, ..ROW },
        Row {
            why: "too many requests",
            status: 429,
            headers: &[("retry-after-ms", "250")],
            body: r#"{"error":{"code":"rate_limit_exceeded","message":"slow down"}}"#,
            says: throttled(429, Some(millis(250))),
            message: "slow down",
            hint: Some(HintSource::RetryAfterMs),
            ..ROW
        },
        Row {
            why: "too many requests, without a hint",
            status: 429,
            body: r#"{"error":{"code":"rate_limit_exceeded","message":"slow down"}}"#,
            says: throttled(429, None),
            message: "slow down",
            ..ROW
        },
        Row {
            why: "a spent quota, which waiting does not cure",
            status: 429,
            body: r#"{"error":{"code":"insufficient_quota","message":"check your plan"}}"#,
            says: fatal(429),
            message: "check your plan",
            ..ROW
        },
    ]);
}

/// WIRE §2, `replicate` and `runway`.
#[test]
fn replicate_and_runway() {
    const REPLICATE: Row = Row { preset: "replicate", ..PLAIN };
    const RUNWAY: Row = Row { preset: "runway", ..PLAIN };
    check(&[
        Row {
            why: "the output",
            body: r#"{"id":"p1","status":"succeeded","output":["https://x.example/1.png"],"error":null}"#,
            says: Succeeded,
            result: Some(r#"["https://x.example/1.png"]"#),
            ..REPLICATE
        },
        Row {
            why: "a failed prediction",
            body: r#"{"id":"p1","status":"failed","output":null,"error":"out of memory"}"#,
            says: Failed,
            message: "out of memory",
            ..REPLICATE
        },
        Row {
            why: "trap: aborted has failed, nobody cancelled it",
            body: r#"{"id":"p1","status":"aborted","error":null}"#,
            says: Failed,
            ..REPLICATE
        },
        Row {
            why: "a failed request",
            status: 401,
            body: r#"{"title":"Unauthenticated","detail":"no token","status":401}"#,
            says: fatal(401),
            message: "no token",
            ..REPLICATE
        },
        Row {
            why: "progress goes to 1",
            body: r#"{"id":"r1","status":"RUNNING","progress":0.25}"#,
            progress: Some(0.25),
            ..RUNWAY
        },
        Row { why: "trap: throttled is a state, not a failure", body: r#"{"id":"r1","status":"THROTTLED"}"#, says: PENDING, ..RUNWAY },
        Row {
            why: "the output",
            body: r#"{"id":"r1","status":"SUCCEEDED","output":["https://x.example/v.mp4"]}"#,
            says: Succeeded,
            result: Some(r#"["https://x.example/v.mp4"]"#),
            ..RUNWAY
        },
        Row {
            why: "a failed task",
            body: r#"{"id":"r1","status":"FAILED","failure":"no people, please","failureCode":"SAFETY.INPUT"}"#,
            says: Failed,
            message: "no people, please",
            ..RUNWAY
        },
        Row {
            why: "a failed request",
            status: 400,
            body: r#"{"error":"the version is missing"}"#,
            says: fatal(400),
            message: "the version is missing",
            ..RUNWAY
        },
    ]);
}

/// WIRE §2, `fal` and `bfl`.
#[test]
fn fal_and_bfl() {
    const FAL: Row = Row { preset: "fal", ..PLAIN };
    const BFL: Row = Row { preset: "bfl", ..PLAIN };
    check(&[
        Row {
            why: "its place in the queue, on a 202",
            status: 202,
            body: r#"{"status":"IN_QUEUE","queue_position":3,"response_url":"https://queue.fal.run/a/requests/1"}"#,
            says: PENDING,
            queue: Some(3),
            ..FAL
        },
        Row {
            why: "the result is to be asked for",
            body: r#"{"status":"COMPLETED","response_url":"https://queue.fal.run/a/requests/1"}"#,
            says: Succeeded,
            result_at: Some("https://queue.fal.run/a/requests/1"),
            ..FAL
        },
        Row {
            why: "trap: completed with an error has failed, and has no result",
            body: r#"{"status":"COMPLETED","error":"bad prompt","response_url":"https://queue.fal.run/a/requests/1"}"#,
            says: Failed,
            message: "bad prompt",
            ..FAL
        },
        Row {
            why: "an error that is none",
            body: r#"{"status":"COMPLETED","error":null}"#,
            says: Succeeded,
            ..FAL
        },
        Row {
            why: "trap: words with spaces",
            body: r#"{"id":"b1","status":"Request Moderated","details":{"Moderation Reasons":["Derivative Works"]}}"#,
            says: Failed,
            message: r#"{"Moderation Reasons":["Derivative Works"]}"#,
            ..BFL
        },
        Row {
            why: "the result",
            body: r#"{"id":"b1","status":"Ready","result":{"sample":"https://delivery.example/1.png?sig=2"}}"#,
            says: Succeeded,
            result: Some(r#"{"sample":"https://delivery.example/1.png?sig=2"}"#),
            ..BFL
        },
        Row {
            why: "a failed request",
            status: 403,
            body: r#"{"detail":"Not authenticated"}"#,
            says: fatal(403),
            message: "Not authenticated",
            ..BFL
        },
    ]);
}

/// WIRE §2, `luma`, `assemblyai` and `elevenlabs-dubbing`.
#[test]
fn luma_assemblyai_and_elevenlabs() {
    const LUMA: Row = Row { preset: "luma", ..PLAIN };
    const ASSEMBLYAI: Row = Row { preset: "assemblyai", ..PLAIN };
    const ELEVENLABS: Row = Row { preset: "elevenlabs-dubbing", ..PLAIN };
    check(&[
        Row {
            why: "the video",
            body: r#"{"id":"l1","state":"completed","assets":{"video":"https://x.example/v.mp4","image":null}}"#,
            says: Succeeded,
            result: Some(r#""https://x.example/v.mp4""#),
            ..LUMA
        },
        Row {
            why: "an image",
            body: r#"{"id":"l1","state":"completed","assets":{"image":"https://x.example/i.jpg"}}"#,
            says: Succeeded,
            result: Some(r#""https://x.example/i.jpg""#),
            ..LUMA
        },
        Row {
            why: "a failed generation",
            body: r#"{"id":"l1","state":"failed","failure_reason":"bad frame","assets":null}"#,
            says: Failed,
            message: "bad frame",
            ..LUMA
        },
        Row { why: "a failed request", status: 422, body: r#"{"detail":"no prompt"}"#, says: fatal(422), message: "no prompt", ..LUMA },
        Row {
            why: "the text",
            body: r#"{"id":"a1","status":"completed","text":"Hello.","error":null}"#,
            says: Succeeded,
            result: Some(r#""Hello.""#),
            ..ASSEMBLYAI
        },
        Row {
            why: "trap: the word for failure is error, and the request succeeded",
            body: r#"{"id":"a1","status":"error","text":null,"error":"no audio"}"#,
            says: Failed,
            message: "no audio",
            ..ASSEMBLYAI
        },
        Row { why: "trap: the word for success", body: r#"{"dubbing_id":"d1","status":"dubbed","error":null}"#, says: Succeeded, ..ELEVENLABS },
        Row {
            why: "a failed dubbing",
            body: r#"{"dubbing_id":"d1","status":"failed","error":"no speakers"}"#,
            says: Failed,
            message: "no speakers",
            ..ELEVENLABS
        },
        Row { why: "trap: 425 is not ready yet", status: 425, body: r#"{"detail":"not ready"}"#, ..ELEVENLABS },
        Row {
            why: "a failed request",
            status: 401,
            body: r#"{"detail":{"status":"invalid_api_key","message":"wrong key"}}"#,
            says: fatal(401),
            message: "wrong key",
            ..ELEVENLABS
        },
    ]);
}

/// WIRE §2, `anthropic-batches`, `x-media` and `bigquery`.
#[test]
fn anthropic_x_and_bigquery() {
    const ANTHROPIC: Row = Row { preset: "anthropic-batches", ..PLAIN };
    const X: Row = Row { preset: "x-media", ..PLAIN };
    const BIGQUERY: Row = Row { preset: "bigquery", ..PLAIN };
    check(&[
        Row {
            why: "unfinished, and the results have no address yet",
            body: r#"{"id":"msgbatch_1","processing_status":"canceling","results_url":null}"#,
            ..ANTHROPIC
        },
        Row {
            why: "trap: the only end is ended, however its requests ended",
            body: r#"{"id":"msgbatch_1","processing_status":"ended","request_counts":{"errored":2},
                "results_url":"https://api.anthropic.com/v1/messages/batches/msgbatch_1/results"}"#,
            says: Succeeded,
            result: Some(r#""https://api.anthropic.com/v1/messages/batches/msgbatch_1/results""#),
            ..ANTHROPIC
        },
        Row {
            why: "a failed request",
            status: 529,
            body: r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            says: broken(529),
            message: "Overloaded",
            ..ANTHROPIC
        },
        Row {
            why: "the hint in the body, and the progress",
            body: r#"{"data":{"id":"1","processing_info":{"state":"in_progress","check_after_secs":10,"progress_percent":8}}}"#,
            says: Observation::Running { hint: hinted(secs(10)) },
            progress: Some(0.08),
            hint: Some(HintSource::Body),
            ..X
        },
        Row {
            why: "a header counts more than the body",
            headers: &[("Retry-After", "2")],
            body: r#"{"data":{"id":"1","processing_info":{"state":"pending","check_after_secs":10}}}"#,
            says: Observation::Pending { hint: hinted(secs(2)) },
            hint: Some(HintSource::RetryAfter),
            ..X
        },
        Row {
            why: "failed media",
            body: r#"{"data":{"id":"1","processing_info":{"state":"failed","error":{"code":1,"message":"Unsupported format"}}}}"#,
            says: Failed,
            message: "Unsupported format",
            ..X
        },
        Row {
            why: "failed media whose error has no words",
            body: r#"{"data":{"id":"1","processing_info":{"state":"failed"}}}"#,
            says: Failed,
            ..X
        },
        Row {
            why: "a failed request",
            status: 400,
            body: r#"{"title":"Invalid Request","detail":"media_id is no number"}"#,
            says: fatal(400),
            message: "media_id is no number",
            ..X
        },
        Row { why: "done", body: r#"{"id":"p:US.j1","status":{"state":"DONE"}}"#, says: Succeeded, ..BIGQUERY },
        Row {
            why: "errors along the way are no failure",
            body: r#"{"status":{"state":"DONE","errors":[{"reason":"invalid","message":"row 7"}]}}"#,
            says: Succeeded,
            ..BIGQUERY
        },
        Row {
            why: "trap: done with an error has failed",
            body: r#"{"status":{"state":"DONE","errorResult":{"reason":"invalidQuery","message":"Syntax error"}}}"#,
            says: Failed,
            message: "Syntax error",
            ..BIGQUERY
        },
        Row {
            why: "a job that was cancelled has stopped",
            body: r#"{"status":{"state":"DONE","errorResult":{"reason":"stopped","message":"Job execution was cancelled"}}}"#,
            says: Cancelled,
            message: "Job execution was cancelled",
            ..BIGQUERY
        },
        Row {
            why: "a failed request",
            status: 403,
            body: r#"{"error":{"code":403,"message":"Access Denied"}}"#,
            says: fatal(403),
            message: "Access Denied",
            ..BIGQUERY
        },
    ]);
}

/// The preset, the answer, and when its job was created, started and ended, in seconds from START.
type Times = (&'static str, &'static str, [Option<i64>; 3]);

#[test]
fn when_a_job_was_created_started_and_ended() {
    // START is 2023-11-14T22:13:20Z.
    let rows: [Times; 8] = [
        ("heygen-v3", r#"{"data":{"status":"running","created_at":1699999990}}"#, [Some(-10), None, None]),
        (
            "azure",
            r#"{"status":"Succeeded","startTime":"2023-11-14T22:13:00Z","endTime":"2023-11-14T22:13:19.0000000Z"}"#,
            [None, Some(-20), Some(-1)],
        ),
        (
            "google-lro",
            r#"{"done":true,"metadata":{"createTime":"2023-11-14T22:13:10Z","endTime":"2023-11-14T22:13:20Z"}}"#,
            [Some(-10), None, Some(0)],
        ),
        ("openai", r#"{"status":"completed","created_at":1699999900,"completed_at":1700000000}"#, [Some(-100), None, Some(0)]),
        (
            "replicate",
            r#"{"status":"succeeded","created_at":"2023-11-14T22:13:10.000Z","started_at":"2023-11-14T22:13:15Z",
                "completed_at":"2023-11-14T22:13:18Z"}"#,
            [Some(-10), Some(-5), Some(-2)],
        ),
        ("runway", r#"{"status":"RUNNING","createdAt":"2023-11-14T22:13:10.000Z"}"#, [Some(-10), None, None]),
        (
            "anthropic-batches",
            r#"{"processing_status":"ended","created_at":"2023-11-14T22:12:20+00:00","ended_at":"2023-11-14T22:13:20Z"}"#,
            [Some(-60), None, Some(0)],
        ),
        // Milliseconds, as strings.
        (
            "bigquery",
            r#"{"status":{"state":"DONE"},"statistics":{"creationTime":"1699999990000","startTime":"1699999991000",
                "endTime":"1699999999000"}}"#,
            [Some(-10), Some(-9), Some(-1)],
        ),
    ];
    for (name, body, expected) in rows {
        let reading = preset(name).read(&response(200, &[], body), START);
        let told = [reading.created_at, reading.started_at, reading.ended_at];
        assert_eq!(told, expected.map(|offset| offset.map(from_start)), "{name}");
    }
}

fn from_start(offset: i64) -> Timestamp {
    START.saturating_sub(secs(offset.unsigned_abs()))
}
