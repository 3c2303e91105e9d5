//! What an HTTP answer says about the job: RFC 9110 §15 row by row, through `Dialect::read`.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;

use http_support::{KILN, START, dialect, millis, response, secs};
use jobwatch::LookError::{Malformed, UnknownState};
use jobwatch::Observation::{self, Cancelled, Failed, Lost, Pending, Running, Succeeded, Throttled, Transient};
use jobwatch::{Dialect, Hint, HintSource, LookError, Reading};

const PENDING: Observation = Pending { hint: None };
const RUNNING: Observation = Running { hint: None };
const MISSING: Observation = Lost { definite: false };
const GONE: Observation = Lost { definite: true };
const MALFORMED: Observation = Transient { error: Malformed, hint: None };

const fn broken(status: u16) -> Observation {
    Transient { error: LookError::Status(status), hint: None }
}

const fn throttled(status: u16) -> Observation {
    Throttled { error: LookError::Status(status), hint: None }
}

const fn fatal(status: u16) -> Observation {
    Observation::Fatal { error: LookError::Status(status) }
}

fn read(dialect: &Dialect, status: u16, headers: &[(&str, &str)], body: &str) -> Reading {
    dialect.read(&response(status, headers, body), START)
}

const DONE: &str = r#"{"state":"fired","vase":[1,2]}"#;

type Row = (&'static str, u16, &'static [(&'static str, &'static str)], &'static str, Observation);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Successes: the body tells.
    ("RFC 9110 §15.3.1, 200", 200, &[], r#"{"state":"queued"}"#, PENDING),
    ("RFC 9110 §15.3.1, 200", 200, &[], r#"{"state":"Heating"}"#, RUNNING),
    ("RFC 9110 §15.3.1, 200", 200, &[], DONE, Succeeded),
    ("RFC 9110 §15.3.1, 200", 200, &[], r#"{"state":"cracked"}"#, Failed),
    ("RFC 9110 §15.3.1, 200", 200, &[], r#"{"state":"cooled early"}"#, Cancelled),
    ("an unknown id answered with 200", 200, &[], r#"{"state":"no such firing"}"#, MISSING),
    ("RFC 9110 §15.3.2, 201", 201, &[], DONE, Succeeded),
    ("words are compared without case", 200, &[], r#"{"state":"FIRED"}"#, Succeeded),
    ("words are compared without case", 200, &[], r#"{"state":"hEATING"}"#, RUNNING),
    ("words are compared whole", 200, &[], r#"{"state":"fired "}"#, RUNNING),
    ("an unknown word", 200, &[], r#"{"state":"glazing"}"#, RUNNING),
    ("an unknown number", 200, &[], r#"{"state":7}"#, RUNNING),
    // Successes that tell nothing: never "running".
    ("a gateway's HTML page", 200, &[("content-type", "text/html")], "<html>fired</html>", MALFORMED),
    ("an empty body", 200, &[], "", MALFORMED),
    ("truncated JSON", 200, &[], r#"{"state":"fired""#, MALFORMED),
    ("two documents", 200, &[], r#"{"state":"fired"}{}"#, MALFORMED),
    ("no state", 200, &[], "{}", MALFORMED),
    ("a null state", 200, &[], r#"{"state":null}"#, MALFORMED),
    ("a state that is no word", 200, &[], r#"{"state":{"fired":true}}"#, MALFORMED),
    ("a state that is a list", 200, &[], r#"{"state":["fired"]}"#, MALFORMED),
    ("another shape", 200, &[], r#"["fired"]"#, MALFORMED),
    ("RFC 9110 §15.3.4, 203", 203, &[], DONE, MALFORMED),
    ("RFC 9110 §15.3.5, 204", 204, &[], "", MALFORMED),
    ("RFC 9110 §15.3.7, 206", 206, &[], DONE, MALFORMED),
    // Accepted.
    ("RFC 9110 §15.3.3, 202", 202, &[], "", RUNNING),
    ("RFC 9110 §15.3.3, 202", 202, &[], "<html>", RUNNING),
    ("RFC 9110 §15.3.3, 202", 202, &[], r#"{"state":"glazing"}"#, RUNNING),
    ("202 and a word", 202, &[], r#"{"state":"queued"}"#, PENDING),
    ("202 and a terminal word", 202, &[], DONE, Succeeded),
    ("202 and a terminal word", 202, &[], r#"{"state":"cracked"}"#, Failed),
    // Redirects cannot be followed by a reading.
    ("RFC 9110 §15.4.2, 301", 301, &[("location", "/there")], "", broken(301)),
    ("RFC 9110 §15.4.3, 302", 302, &[("location", "/there")], "", broken(302)),
    ("RFC 9110 §15.4.4, 303", 303, &[("location", "/there")], "", broken(303)),
    ("RFC 9110 §15.4.8, 307", 307, &[("location", "/there")], "", broken(307)),
    ("RFC 9110 §15.4.9, 308", 308, &[("location", "/there")], "", broken(308)),
    ("a redirect to nowhere", 302, &[], DONE, MALFORMED),
    ("RFC 9110 §15.4.5, 304", 304, &[], "", RUNNING),
    // The request is wrong.
    ("RFC 9110 §15.5.1, 400", 400, &[], "", fatal(400)),
    ("RFC 9110 §15.5.2, 401", 401, &[], "", fatal(401)),
    ("RFC 9110 §15.5.6, 405", 405, &[], "", fatal(405)),
    ("RFC 9110 §15.5.21, 422", 422, &[], "", fatal(422)),
    ("a status says more than the body", 400, &[], DONE, fatal(400)),
    ("a status says more than the body", 500, &[], r#"{"state":"cracked"}"#, broken(500)),
    // The job is unknown.
    ("RFC 9110 §15.5.5, 404", 404, &[], "", MISSING),
    ("RFC 9110 §15.5.11, 410", 410, &[], "", GONE),
    // Patience.
    ("RFC 6585 §4, 429", 429, &[], "", throttled(429)),
    ("RFC 9110 §15.5.4, 403", 403, &[], "", fatal(403)),
    ("403, some remain", 403, &[("x-ratelimit-remaining", "12")], "", fatal(403)),
    ("403, none remain", 403, &[("x-ratelimit-remaining", "0")], "", throttled(403)),
    ("403 and an unreadable Retry-After", 403, &[("retry-after", "soon")], "", throttled(403)),
    // Breakdowns.
    ("RFC 9110 §15.5.9, 408", 408, &[], "", broken(408)),
    ("RFC 9110 §15.5.10, 409", 409, &[], "", broken(409)),
    ("RFC 4918 §11.3, 423", 423, &[], "", broken(423)),
    ("RFC 8470 §5.2, 425", 425, &[], "", broken(425)),
    ("RFC 9110 §15.6.1, 500", 500, &[], "<html>", broken(500)),
    ("RFC 9110 §15.6.3, 502", 502, &[], "<html>", broken(502)),
    ("RFC 9110 §15.6.4, 503", 503, &[], "", broken(503)),
    ("RFC 9110 §15.6.5, 504", 504, &[], "", broken(504)),
    ("no status at all", 600, &[], DONE, broken(600)),
    ("no status at all", 999, &[], DONE, broken(999)),
    // The server's own word on it.
    ("x-should-retry", 400, &[("x-should-retry", "true")], "", broken(400)),
    ("x-should-retry", 401, &[("x-should-retry", "true")], "", broken(401)),
    ("x-should-retry", 403, &[("x-should-retry", "true")], "", broken(403)),
    ("x-should-retry", 500, &[("x-should-retry", "false")], "", fatal(500)),
    ("x-should-retry", 429, &[("x-should-retry", "false")], "", fatal(429)),
    ("x-should-retry, what is so already", 400, &[("x-should-retry", "false")], "", fatal(400)),
    ("x-should-retry, what is so already", 500, &[("x-should-retry", "true")], "", broken(500)),
    ("x-should-retry, another word", 400, &[("x-should-retry", "perhaps")], "", fatal(400)),
    ("x-should-retry says nothing about a job", 200, &[("x-should-retry", "false")], DONE, Succeeded),
    ("x-should-retry says nothing about a job", 404, &[("x-should-retry", "true")], "", MISSING),
];

#[test]
fn the_table() {
    let dialect = dialect(KILN);
    for (why, status, headers, body, expected) in ROWS {
        let reading = read(&dialect, *status, headers, body);
        assert_eq!(reading.observation, *expected, "{why}: {status} {headers:?} {body}");
    }
}

/// The meaning of each status, whatever the table's author thought of.
#[test]
fn every_status_has_a_meaning() {
    let dialect = dialect(KILN);
    for status in 100..=599_u16 {
        let expected = match status {
            200..=202 => Succeeded,
            203..=299 | 300..=303 | 305..=399 => MALFORMED,
            304 => RUNNING,
            404 => MISSING,
            410 => GONE,
            429 => throttled(429),
            100..=199 | 408 | 409 | 423 | 425 | 500..=599 => broken(status),
            _ => fatal(status),
        };
        assert_eq!(read(&dialect, status, &[], DONE).observation, expected, "{status}");
    }
}

#[test]
fn what_a_reading_carries() {
    let dialect = dialect(KILN);
    let done = read(&dialect, 200, &[("x-jobwatch-ended-at", "1699999999.5")], DONE);
    assert_eq!(done.state.as_deref(), Some("fired"));
    assert_eq!(done.result, Some(serde_json::json!([1, 2])));
    assert_eq!(done.ended_at, Some(START.saturating_sub(millis(500))));
    assert_eq!((done.unknown_state, done.message), (false, None));

    let unknown = read(&dialect, 200, &[], r#"{"state":"Glazing"}"#);
    assert_eq!((unknown.state.as_deref(), unknown.unknown_state), (Some("Glazing"), true));

    let failed = read(&dialect, 200, &[], r#"{"state":"cracked","error":{"message":"too hot"},"vase":1}"#);
    assert_eq!((failed.message.as_deref(), failed.result), (Some("too hot"), None));

    let refused = read(&dialect, 401, &[], r#"{"error":{"message":"wrong key"}}"#);
    assert_eq!(refused.message.as_deref(), Some("wrong key"));

    let elsewhere = read(&dialect, 302, &[("location", "https://x.example/login?token=abc#f")], "");
    assert_eq!(elsewhere.message.as_deref(), Some("redirected to https://x.example/login"));
}

#[test]
fn accepted_moves_the_poll_url_while_the_job_is_unfinished() {
    let dialect = dialect(KILN);
    let headers = [("location", "/v1/elsewhere")];
    assert_eq!(read(&dialect, 202, &headers, "").moved_to.as_deref(), Some("/v1/elsewhere"));
    assert_eq!(read(&dialect, 202, &headers, DONE).moved_to, None);
    assert_eq!(read(&dialect, 200, &headers, r#"{"state":"queued"}"#).moved_to, None);
    assert_eq!(read(&dialect, 201, &headers, r#"{"state":"queued"}"#).moved_to, None);
}

const BY_STATUS: &str = r#"
    name = "by status"
    poll.path = "/operations/{id}"
    result.pointer = "/vase"
    [state.status]
    202 = "running"
    200 = "succeeded"
    204 = "succeeded"
    303 = "succeeded"
    425 = "running"
    406 = "pending"
    409 = "failed"
    418 = "cancelled"
    404 = "lost"
"#;

#[test]
fn a_dialect_can_declare_what_a_status_means() {
    let dialect = dialect(BY_STATUS);
    let to = &[("location", "/done")][..];
    #[rustfmt::skip]
    let rows = [
        (200, Succeeded), (202, RUNNING), (204, Succeeded), (303, Succeeded), (425, RUNNING), (406, PENDING),
        (409, Failed), (418, Cancelled), (404, MISSING), (302, broken(302)), (201, MALFORMED), (500, broken(500)),
    ];
    for (status, expected) in rows {
        assert_eq!(read(&dialect, status, to, "no JSON").observation, expected, "{status}");
    }
    assert_eq!(read(&dialect, 200, &[], DONE).result, Some(serde_json::json!([1, 2])));
}

#[test]
fn regression_a_declared_202_moves_the_poll_url_too() {
    let reading = read(&dialect(BY_STATUS), 202, &[("location", "/operations/2")], "");
    assert_eq!(reading.moved_to.as_deref(), Some("/operations/2"));
}

/// A body that is no JSON is a result only where the dialect says that all of it is one.
#[test]
fn a_text_is_the_result_where_the_whole_body_is() {
    for (pointer, expected) in [("\"\"", Some("glazed")), ("[\"/vase\", \"\"]", Some("glazed")), ("\"/vase\"", None)] {
        let dialect = dialect(&BY_STATUS.replace("\"/vase\"", pointer));
        let reading = read(&dialect, 200, &[], "glazed");
        assert_eq!((reading.observation, reading.result), (Succeeded, expected.map(Into::into)), "{pointer}");
    }
}

#[test]
fn an_unknown_word_can_be_refused() {
    let dialect = dialect(&KILN.replace("[state]", "[state]\nunknown = \"error\""));
    let reading = read(&dialect, 200, &[], r#"{"state":"glazing"}"#);
    assert_eq!(reading.observation, Transient { error: UnknownState, hint: None });
    assert_eq!(reading.message.as_deref(), Some("the state \"glazing\" is unknown to the dialect"));
    assert_eq!(read(&dialect, 200, &[], DONE).observation, Succeeded);
}

/// The hint of an observation that can have one.
fn hint(reading: &Reading) -> Option<Duration> {
    match reading.observation {
        Pending { hint } | Running { hint } | Transient { hint, .. } | Throttled { hint, .. } => hint.map(Hint::delay),
        _ => None,
    }
}

#[test]
fn retry_after_counts_in_both_forms_and_cools_the_lane_only_as_a_throttle() {
    let dialect = dialect(KILN);
    for value in ["60", "Tue, 14 Nov 2023 22:14:20 GMT"] {
        for (status, cools) in [(200, false), (202, false), (403, true), (429, true), (500, false), (503, true)] {
            let reading = read(&dialect, status, &[("retry-after", value)], r#"{"state":"queued"}"#);
            assert_eq!(hint(&reading), Some(secs(60)), "{status} {value}");
            assert_eq!(reading.hint_source, Some(HintSource::RetryAfter), "{status} {value}");
            assert_eq!(reading.cool_down, cools.then_some(secs(60)), "{status} {value}");
        }
    }
}

#[test]
fn a_date_counts_by_the_servers_clock() {
    let date = ("date", "Mon, 13 Nov 2023 22:13:20 GMT");
    let reading = read(&dialect(KILN), 429, &[date, ("retry-after", "Mon, 13 Nov 2023 22:13:50 GMT")], "");
    assert_eq!(hint(&reading), Some(secs(30)));
}

#[test]
fn without_a_hint_there_is_no_cool_down() {
    for status in [200, 403, 429, 500, 503] {
        assert_eq!(read(&dialect(KILN), status, &[("retry-after", "never")], DONE).cool_down, None, "{status}");
    }
}

#[test]
fn an_exhausted_quota_cools_the_lane_whatever_the_answer() {
    let quota = ("ratelimit", "\"default\";r=0;t=30");
    for (status, body) in [(200, r#"{"state":"queued"}"#), (200, DONE), (202, ""), (429, ""), (503, ""), (500, "")] {
        assert_eq!(read(&dialect(KILN), status, &[quota], body).cool_down, Some(secs(30)), "{status}");
    }
    assert_eq!(read(&dialect(KILN), 200, &[("ratelimit", "\"a\";r=1;t=30")], DONE).cool_down, None);
    assert_eq!(read(&dialect(KILN), 200, &[quota, ("age", "3")], DONE).cool_down, None);
}

#[test]
fn regression_a_hint_for_one_job_is_not_the_lanes_cool_down() {
    for (hint_for_one, told) in [("900", secs(900)), ("1", secs(1))] {
        let headers = [("retry-after", hint_for_one), ("ratelimit", "\"default\";r=0;t=30")];
        let reading = read(&dialect(KILN), 200, &headers, r#"{"state":"queued"}"#);
        assert_eq!((hint(&reading), reading.cool_down), (Some(told), Some(secs(30))));
    }
    // A throttle's own word comes first.
    let headers = [("retry-after", "5"), ("ratelimit", "\"default\";r=0;t=30")];
    assert_eq!(read(&dialect(KILN), 429, &headers, "").cool_down, Some(secs(5)));
}

#[test]
fn hints_of_the_dialect() {
    let text = format!("{KILN}\n[hints]\nheader = \"x-poll-after-ms\"\nunit = \"milliseconds\"");
    let reading = read(&dialect(&text), 202, &[("x-poll-after-ms", "250"), ("retry-after", "9")], "");
    assert_eq!((hint(&reading), reading.hint_source), (Some(millis(250)), Some(HintSource::DialectHeader)));

    let text = format!("{KILN}\n[hints]\npointer = \"/check_after\"");
    for (body, expected) in [
        (r#"{"state":"queued","check_after":15}"#, Some(secs(15))),
        (r#"{"state":"queued","check_after":"2.5"}"#, Some(millis(2_500))),
        (r#"{"state":"queued","check_after":-15}"#, None),
        (r#"{"state":"queued","check_after":1e300}"#, None),
        (r#"{"state":"queued","check_after":null}"#, None),
        (r#"{"state":"queued","check_after":[15]}"#, None),
    ] {
        assert_eq!(hint(&read(&dialect(&text), 200, &[], body)), expected, "{body}");
    }
}

#[test]
fn regression_megabytes_of_a_word_or_a_message_are_not_kept() {
    let long = "ä".repeat(1 << 20);
    let dialect = dialect(KILN);
    let unknown = read(&dialect, 200, &[], &format!(r#"{{"state":"{long}"}}"#));
    assert!(unknown.state.is_some_and(|state| state.len() < 2_000 && state.ends_with('…')));
    let failed = read(&dialect, 200, &[], &format!(r#"{{"state":"cracked","error":{{"message":"{long}"}}}}"#));
    assert!(failed.message.is_some_and(|message| message.len() < 2_000 && message.starts_with('ä')));
    let strict = http_support::dialect(&KILN.replace("[state]", "[state]\nunknown = \"error\""));
    let refused = read(&strict, 200, &[], &format!(r#"{{"state":"{long}"}}"#));
    assert!(refused.message.is_some_and(|message| message.len() < 2_000));
}
