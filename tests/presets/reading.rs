//! Whole answers: what a row of the tables beside this file says, and how it is checked; and the times that answers tell.

use core::time::Duration;

use http_support::{START, response, secs};
use jobwatch::{Hint, HintSource, LookError, Observation, Reading, Timestamp};
use serde_json::Value;

use crate::{RUNNING, http_support, is_end, preset};

/// An answer, and all that a preset reads in it.
pub(crate) struct Row {
    pub(crate) preset: &'static str,
    pub(crate) why: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static str,
    pub(crate) says: Observation,
    pub(crate) unknown: bool,
    pub(crate) message: &'static str,
    /// As JSON.
    pub(crate) result: Option<&'static str>,
    pub(crate) result_at: Option<&'static str>,
    pub(crate) progress: Option<f64>,
    pub(crate) queue: Option<u64>,
    pub(crate) hint: Option<HintSource>,
    pub(crate) ask_again: Option<Duration>,
}

/// The rest of a row.
pub(crate) const PLAIN: Row = Row {
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

pub(crate) fn check(rows: &[Row]) {
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

/// Ask again after this.
pub(crate) const fn pending(after: Duration) -> Observation {
    Observation::Pending { hint: Some(Hint::after(after)) }
}

/// Ask again after this.
pub(crate) const fn running(after: Duration) -> Observation {
    Observation::Running { hint: Some(Hint::after(after)) }
}

pub(crate) const fn throttled(status: u16, after: Option<Duration>) -> Observation {
    let hint = match after {
        Some(after) => Some(Hint::after(after)),
        None => None,
    };
    Observation::Throttled { error: LookError::Status(status), hint }
}

pub(crate) const fn fatal(status: u16) -> Observation {
    Observation::Fatal { error: LookError::Status(status) }
}

pub(crate) const fn broken(status: u16) -> Observation {
    Observation::Transient { error: LookError::Status(status), hint: None }
}

/// The preset, the answer, and when its job was created, started and ended, in seconds from START.
type Times = (&'static str, &'static str, [Option<i64>; 3]);

#[test]
fn when_a_job_was_created_started_and_ended() {
    // START is 2023-11-14T22:13:20Z.
    let rows: [Times; 12] = [
        ("heygen-v3", r#"{"data":{"status":"running","created_at":1699999990}}"#, [Some(-10), None, None]),
        (
            "azure",
            r#"{"status":"Succeeded","startTime":"2023-11-14T22:13:00Z","endTime":"2023-11-14T22:13:19.0000000Z"}"#,
            [None, Some(-20), Some(-1)],
        ),
        ("azure", r#"{"status":"running","createdDateTime":"2023-11-14T22:13:10Z"}"#, [Some(-10), None, None]),
        ("azure", r#"{"status":"running","createdDateTimeUtc":"2023-11-14T22:13:10Z"}"#, [Some(-10), None, None]),
        ("luma", r#"{"state":"dreaming","created_at":"2023-11-14T22:13:10.000Z"}"#, [Some(-10), None, None]),
        (
            "elevenlabs-dubbing",
            r#"{"status":"dubbing","created_at":"2023-11-14T22:13:10+00:00"}"#,
            [Some(-10), None, None],
        ),
        (
            "google-lro",
            r#"{"done":true,"metadata":{"createTime":"2023-11-14T22:13:10Z","startTime":"2023-11-14T22:13:12Z",
                "endTime":"2023-11-14T22:13:20Z"}}"#,
            [Some(-10), Some(-8), Some(0)],
        ),
        (
            "openai",
            r#"{"status":"completed","created_at":1699999900,"in_progress_at":1699999910,"completed_at":1700000000}"#,
            [Some(-100), Some(-90), Some(0)],
        ),
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
