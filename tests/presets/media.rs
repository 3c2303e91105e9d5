//! The answers of the APIs that make and process media, and of batches of messages.

use http_support::{millis, secs};
use jobwatch::HintSource;

use crate::reading::{PLAIN, Row, broken, check, fatal, pending, running, throttled};
use crate::{Failed, PENDING, Succeeded, http_support};

/// WIRE §2, `openai`.
#[test]
fn openai() {
    const ROW: Row = Row { preset: "openai", ..PLAIN };
    check(&[
        Row {
            why: "progress, and the vendor's own hint before all others",
            headers: &[("openai-poll-after-ms", "1500"), ("retry-after", "9")],
            body: r#"{"id":"video_1","status":"in_progress","progress":42}"#,
            says: running(millis(1500)),
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
        Row {
            why: "the finished video is elsewhere",
            body: r#"{"id":"video_1","status":"completed"}"#,
            says: Succeeded,
            ..ROW
        },
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
        Row {
            why: "trap: throttled is a state, not a failure",
            body: r#"{"id":"r1","status":"THROTTLED"}"#,
            says: PENDING,
            ..RUNWAY
        },
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
        Row { why: "an error that is none", body: r#"{"status":"COMPLETED","error":null}"#, says: Succeeded, ..FAL },
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
        Row {
            why: "a failed request",
            status: 422,
            body: r#"{"detail":"no prompt"}"#,
            says: fatal(422),
            message: "no prompt",
            ..LUMA
        },
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
        Row {
            why: "trap: the word for success",
            body: r#"{"dubbing_id":"d1","status":"dubbed","error":null}"#,
            says: Succeeded,
            ..ELEVENLABS
        },
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

/// WIRE §2, `anthropic-batches` and `x-media`.
#[test]
fn anthropic_and_x() {
    const ANTHROPIC: Row = Row { preset: "anthropic-batches", ..PLAIN };
    const X: Row = Row { preset: "x-media", ..PLAIN };
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
            says: running(secs(10)),
            progress: Some(0.08),
            hint: Some(HintSource::Body),
            ..X
        },
        Row {
            why: "a header counts more than the body",
            headers: &[("Retry-After", "2")],
            body: r#"{"data":{"id":"1","processing_info":{"state":"pending","check_after_secs":10}}}"#,
            says: pending(secs(2)),
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
    ]);
}
