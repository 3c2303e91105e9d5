//! The answers of plain HTTP, and of the operations and jobs of Azure and Google.

use http_support::{millis, secs};
use jobwatch::{HintSource, Observation};

use crate::reading::{PLAIN, Row, broken, check, fatal, pending, running};
use crate::{Cancelled, Failed, LOST, MALFORMED, Succeeded, http_support};

/// WIRE §2, `rfc9110`.
#[test]
fn rfc9110() {
    const ROW: Row = Row { preset: "rfc9110", ..PLAIN };
    check(&[
        Row {
            why: "202 is running, and says when to ask again",
            status: 202,
            headers: &[("Retry-After", "3")],
            says: running(secs(3)),
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
        Row {
            why: "200 has the result, text as text",
            body: "a,b\n1,2\n",
            says: Succeeded,
            result: Some(r#""a,b\n1,2\n""#),
            ..ROW
        },
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
        Row {
            why: "a problem's title",
            status: 500,
            body: r#"{"title":"Oops"}"#,
            says: broken(500),
            message: "Oops",
            ..ROW
        },
        Row {
            why: "the body as it is",
            status: 500,
            body: r#"{"oops":1}"#,
            says: broken(500),
            message: r#"{"oops":1}"#,
            ..ROW
        },
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
            says: running(secs(10)),
            hint: Some(HintSource::RetryAfter),
            ..ROW
        },
        Row {
            why: "and on a 202, in milliseconds before seconds",
            status: 202,
            headers: &[("Retry-After", "10"), ("x-ms-retry-after-ms", "2500")],
            body: r#"{"status":"NotStarted","percentComplete":0}"#,
            says: pending(millis(2500)),
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
        Row {
            why: "done, with nothing to tell",
            body: r#"{"name":"operations/7","done":true}"#,
            says: Succeeded,
            ..ROW
        },
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

/// WIRE §2, `bigquery`.
#[test]
fn bigquery() {
    const ROW: Row = Row { preset: "bigquery", ..PLAIN };
    check(&[
        Row { why: "done", body: r#"{"id":"p:US.j1","status":{"state":"DONE"}}"#, says: Succeeded, ..ROW },
        Row {
            why: "errors along the way are no failure",
            body: r#"{"status":{"state":"DONE","errors":[{"reason":"invalid","message":"row 7"}]}}"#,
            says: Succeeded,
            ..ROW
        },
        Row {
            why: "trap: done with an error has failed",
            body: r#"{"status":{"state":"DONE","errorResult":{"reason":"invalidQuery","message":"Syntax error"}}}"#,
            says: Failed,
            message: "Syntax error",
            ..ROW
        },
        Row {
            why: "a job that was cancelled has stopped",
            body: r#"{"status":{"state":"DONE","errorResult":{"reason":"stopped","message":"Job execution was cancelled"}}}"#,
            says: Cancelled,
            message: "Job execution was cancelled",
            ..ROW
        },
        Row {
            why: "a failed request",
            status: 403,
            body: r#"{"error":{"code":403,"message":"Access Denied"}}"#,
            says: fatal(403),
            message: "Access Denied",
            ..ROW
        },
    ]);
}
