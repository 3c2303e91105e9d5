//! What WIRE §2 saw elsewhere, and a user can write: integer states, envelopes with a code, other letter cases, twins of
//! a word, ids beyond 2^53.

use http_support::{BASE, START, dialect, response, rng};
use jobwatch::{
    Backend, Dialect, JobRef, LookError, Observation, Reading, Rule, Submit, SubmitAction, Watch, WatchAction,
};

use crate::{Cancelled, Failed, LOST, MALFORMED, PENDING, RUNNING, Succeeded, http_support};

fn read(dialect: &Dialect, body: &str) -> Reading {
    dialect.read(&response(200, &[], body), START)
}

/// Tencent's states 1 to 8.
const INTEGERS: &str = r#"
    name = "integers"
    create.path = "/jobs"
    job.id = "/Response/TaskId"
    poll.path = "/jobs/{id}"
    [state]
    pointer = "/Response/Status"
    pending = [1, 6]
    running = [2, 3, 7, 8]
    succeeded = [5]
    failed = [4]
"#;

#[test]
fn integer_states() {
    let dialect = dialect(INTEGERS);
    let rows = [
        ("1", PENDING),
        ("2", RUNNING),
        ("3", RUNNING),
        ("4", Failed),
        ("5", Succeeded),
        ("6", PENDING),
        ("7", RUNNING),
        ("8", RUNNING),
        // The same as text.
        (r#""5""#, Succeeded),
        (r#""4""#, Failed),
    ];
    for (status, says) in rows {
        let reading = read(&dialect, &format!(r#"{{"Response":{{"Status":{status}}}}}"#));
        assert_eq!((reading.observation, reading.unknown_state), (says, false), "{status}");
        assert_eq!(reading.state.as_deref(), Some(status.trim_matches('"')));
    }
    for unknown in ["0", "9", "-5", "55", "9007199254740993"] {
        let reading = read(&dialect, &format!(r#"{{"Response":{{"Status":{unknown}}}}}"#));
        assert_eq!((reading.observation, reading.unknown_state), (RUNNING, true), "{unknown}");
        assert_eq!(reading.state.as_deref(), Some(unknown));
    }
    for no_state in ["null", "[5]", r#"{"code":5}"#] {
        let reading = read(&dialect, &format!(r#"{{"Response":{{"Status":{no_state}}}}}"#));
        assert_eq!(reading.observation, MALFORMED, "{no_state}");
    }
}

const CODES: [&str; 3] = ["0", "100", "1000"];

fn envelope(ok: &str) -> Dialect {
    dialect(&format!(
        r#"
        name = "envelope"
        poll.path = "/jobs/{{id}}"
        error.pointer = "/message"
        [envelope]
        pointer = "/code"
        ok = [{ok}]
        throttled = [1302, "busy"]
        lost = [1404]
        fatal = [1401]
        [state]
        pointer = "/data/state"
        running = ["doing"]
        succeeded = ["done"]
        failed = ["broken"]
        "#
    ))
}

/// The code must be this one, in whichever way it is written.
#[test]
fn an_envelope_whose_code_must_equal_0_100_or_1000() {
    for ok in CODES {
        let dialect = envelope(ok);
        for (written, state, says) in [
            (ok.to_string(), "done", Succeeded),
            (format!("\"{ok}\""), "broken", Failed),
            (ok.to_string(), "doing", RUNNING),
        ] {
            let reading = read(&dialect, &format!(r#"{{"code":{written},"data":{{"state":"{state}"}}}}"#));
            assert_eq!((reading.observation, reading.rule), (says, Rule::Word), "{written}");
        }
    }
}

/// Whatever stands beside it: a failed request is not a failed job.
#[test]
fn every_other_code_is_a_failed_request() {
    const ERROR: LookError = LookError::Envelope;
    for ok in CODES {
        let dialect = envelope(ok);
        let others = CODES.iter().filter(|code| **code != ok).copied().chain(["1", "-1", "10000", "\"no\"", "{}"]);
        for code in others {
            let reading = read(&dialect, &format!(r#"{{"code":{code},"message":"oops","data":{{"state":"broken"}}}}"#));
            assert_eq!(reading.observation, Observation::Transient { error: ERROR, hint: None }, "{ok}: {code}");
            assert_eq!((reading.message.as_deref(), reading.rule), (Some("oops"), Rule::Envelope));
        }
        let rows = [
            ("1302", Observation::Throttled { error: ERROR, hint: None }),
            ("\"BUSY\"", Observation::Throttled { error: ERROR, hint: None }),
            ("1404", LOST),
            ("1401", Observation::Fatal { error: ERROR }),
        ];
        for (code, says) in rows {
            let reading = read(&dialect, &format!(r#"{{"code":{code},"data":{{"state":"done"}}}}"#));
            assert_eq!(reading.observation, says, "{ok}: {code}");
        }
        // Without its envelope an answer is not the backend's.
        for absent in [r#"{"data":{"state":"done"}}"#, r#"{"code":null,"data":{"state":"done"}}"#] {
            assert_eq!(read(&dialect, absent).observation, MALFORMED, "{ok}: {absent}");
        }
    }
}

const TWINS: &str = r#"
    name = "twins"
    poll.path = "/jobs/{id}"
    [state]
    pointer = "/state"
    running = ["In Progress", "IN_PROGRESS"]
    succeeded = ["SUCCESS", "Erledigt", "ГОТОВО"]
    failed = ["failed"]
    cancelled = ["cancelled", "canceled"]
"#;

#[test]
fn other_letter_cases_and_cancelled_beside_canceled() {
    let dialect = dialect(TWINS);
    let rows = [
        ("in progress", RUNNING),
        ("In_Progress", RUNNING),
        ("success", Succeeded),
        ("Success", Succeeded),
        ("ERLEDIGT", Succeeded),
        ("готово", Succeeded),
        ("FAILED", Failed),
        ("Cancelled", Cancelled),
        ("canceled", Cancelled),
        ("CANCELED", Cancelled),
    ];
    for (word, says) in rows {
        let reading = read(&dialect, &format!(r#"{{"state":"{word}"}}"#));
        assert_eq!((reading.observation, reading.unknown_state), (says, false), "{word}");
        assert_eq!(reading.state.as_deref(), Some(word));
    }
}

#[test]
fn twins_that_differ_in_case_alone_are_refused() {
    let error = Dialect::from_toml(&TWINS.replace("\"canceled\"", "\"CANCELLED\"")).unwrap_err();
    assert_eq!((error.key(), error.line()), ("state.cancelled", Some(9)), "{error}");
}

#[test]
fn integer_ids_beyond_2_pow_53() {
    let backend = Backend::new(dialect(INTEGERS), Some(BASE)).unwrap();
    let policy = backend.dialect().policy().build().unwrap();
    for id in ["9007199254740993", "18446744073709551615", "-9007199254740993"] {
        let mut submit = Submit::new(&backend, &policy, b"{}".to_vec(), START, &mut rng(1));
        let SubmitAction::Send { id: attempt, .. } = submit.poll(START) else { panic!("nothing is sent") };
        submit.handle_response(START, attempt, &response(200, &[], format!(r#"{{"Response":{{"TaskId":{id}}}}}"#)));
        let SubmitAction::Created(jobs) = submit.poll(START) else { panic!("{id}") };
        assert_eq!(jobs.iter().map(JobRef::id).collect::<Vec<_>>(), [id]);
        let mut watch = Watch::new(&backend, policy.one_look(), jobs[0].clone(), START, &mut rng(1));
        let WatchAction::Send { request, .. } = watch.poll(START) else { panic!("{id}") };
        assert_eq!(request.uri().to_string(), format!("{BASE}/jobs/{id}"));
    }
}
