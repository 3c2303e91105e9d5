//! Dialect files: what a user writes, and what a wrong one is told.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use http_support::{KILN, START, dialect, response, secs};
use jobwatch::Observation::{self, Failed, Lost, Pending, Running, Succeeded};
use jobwatch::{Dialect, DialectError, Reading};

fn read(dialect: &Dialect, body: &str) -> Reading {
    dialect.read(&response(200, &[], body), START)
}

#[test]
fn every_preset_is_well_formed() {
    for name in Dialect::presets() {
        let dialect = Dialect::preset(name).unwrap();
        assert_eq!(dialect.name(), name);
        assert!(!dialect.about().is_empty());
        assert!(dialect.policy().build().is_ok());
    }
    assert!(Dialect::preset("Tracker").is_none());
}

#[test]
fn the_tracker_reads_each_of_its_states() {
    let tracker = Dialect::tracker();
    let rows: [(&str, Observation); 5] = [
        ("pending", Pending { hint: None }),
        ("completed", Succeeded),
        ("error", Failed),
        ("Job ID not found", Lost { definite: false }),
        ("something new", Running { hint: None }),
    ];
    for (word, expected) in rows {
        let reading = read(&tracker, &format!(r#"{{"result":"{word}"}}"#));
        assert_eq!(reading.observation, expected, "{word}");
        assert_eq!(reading.state.as_deref(), Some(word));
    }
    let headers = [("x-jobwatch-created-at", "1699999990"), ("x-jobwatch-ended-at", "1699999999.25")];
    let reading = tracker.read(&response(200, &headers, r#"{"result":"completed"}"#), START);
    assert_eq!(reading.created_at, Some(START.saturating_sub(secs(10))));
    assert_eq!(reading.ended_at, Some(START.saturating_sub(http_support::millis(750))));
}

fn refused(text: &str) -> DialectError {
    Dialect::from_toml(text).expect_err(text)
}

/// A file that is well-formed but for one replacement; the key blamed; what the message says.
type Broken = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const BROKEN: &[Broken] = &[
    ("name = \"kiln\"", "name = \" \"", "name", "give the dialect a name"),
    ("[create]", "base_url = \"api.example.com\"\n[create]", "base_url", "`api.example.com` is no http or https URL"),
    ("[create]", "base_url = \"ftp://example.com\"\n[create]", "base_url", "is no http or https URL"),
    ("[create]", "base_url = \"https://me:pw@example.com\"\n[create]", "base_url", "give them in a header"),
    ("[create]", "max_body = 0\n[create]", "max_body", "give the most bytes"),
    ("[create]", "[create]\nmethod = \"P OST\"", "create.method", "is no HTTP method"),
    ("[create]", "[create]\nmethod = \"post\"", "create.method", "`POST`"),
    ("path = \"/firings\"", "path = \"firings\"", "create.path", "write a path"),
    ("path = \"/firings\"", "path = \"/firings/{id}\"", "create.path", "without placeholders"),
    ("[create]", "[create]\nidempotency_header = \"Idempotency Key\"", "create.idempotency_header", "is no header name"),
    ("[poll]", "[job]\nid = \"job_id\"\n[poll]", "job.id", "as in `/job_id`"),
    ("[poll]", "[job]\nid = \"$.data.id\"\n[poll]", "job.id", "as in `/data/id`"),
    ("[poll]", "[job]\nid = \"/a~b\"\n[poll]", "job.id", "as in `/a~0b`"),
    ("/firings/{id}", "/firings", "poll.path", "one `{id}`"),
    ("/firings/{id}", "firings/{id}", "poll.path", "as in `/jobs/{id}`"),
    ("/firings/{id}", "/firings/{id}/{id}", "poll.path", "one `{id}`"),
    ("/firings/{id}", "/{kind}/{id}", "poll.path", "one `{id}`"),
    ("pointer = \"/state\"", "pointer = \"state\"", "state.pointer", "as in `/state`"),
    ("pointer = \"/state\"", "", "state", "give `pointer`, or `status`"),
    ("running = [\"Heating\"]", "running = [\"Queued\"]", "state.running", "`queued` is given twice"),
    ("succeeded = [\"fired\"]", "", "state.succeeded", "name the word for success"),
    ("[error]", "[state.status]\n99 = \"running\"\n[error]", "state.status", "`99` is no HTTP status"),
    ("[error]", "[state.status]\n2xx = \"running\"\n[error]", "state.status", "`2xx` is no HTTP status"),
    ("\"/error/message\"", "\"error.message\"", "error.pointer", "as in `/error/message`"),
    ("\"/vase\"", "\"vase\"", "result.pointer", "as in `/vase`"),
    ("x-jobwatch-ended-at", "ended at", "times.ended", "`ended at` is no header name"),
    ("[times]", "[times]\ncreated = { header = \"\" }", "times.created", "is no header name"),
    ("[error]", "[hints]\nheader = \"a b\"\n[error]", "hints.header", "is no header name"),
    ("[error]", "[hints]\npointer = \"x\"\n[error]", "hints.pointer", "as in `/x`"),
    ("[error]", "[hints]\nunit = \"seconds\"\n[error]", "hints.unit", "beside it"),
    ("[error]", "[defaults]\nmin_delay = \"soon\"\n[error]", "defaults.min_delay", "as in `500ms`"),
    ("[error]", "[defaults]\nmax_delay = \"30\"\n[error]", "defaults.max_delay", "as in `500ms`"),
    ("[error]", "[defaults]\ntimeout = \"-1s\"\n[error]", "defaults.timeout", "as in `500ms`"),
    ("[error]", "[defaults]\nattempt_timeout = \"\"\n[error]", "defaults.attempt_timeout", "as in `500ms`"),
    ("[error]", "[defaults]\nmax_retry_after = \"1 fortnight\"\n[error]", "defaults.max_retry_after", "as in `500ms`"),
    ("[error]", "[defaults]\nfactor = 0.5\n[error]", "defaults", "at least 1, not 0.5"),
    ("[error]", "[defaults]\nmin_delay = \"2m\"\nmax_delay = \"1m\"\n[error]", "defaults", "longer than the maximum delay"),
    ("[error]", "[defaults]\nmin_delay = \"0s\"\n[error]", "defaults", "at least 1ms"),
    // What the TOML reader refuses: the message tells the line.
    ("[poll]", "[pol]", "", "unknown field `pol`"),
    ("name = \"kiln\"", "", "", "missing field `name`"),
    ("[create]", "colour = 1\n[create]", "", "unknown field `colour`"),
    ("succeeded", "success", "", "unknown field `success`"),
    ("succeeded = [\"fired\"]", "succeeded = \"fired\"", "", "succeeded"),
    ("succeeded = [\"fired\"]", "succeeded = [[3]]", "", "write a word: a string, an integer or a boolean"),
    ("pointer = \"/state\"", "pointer = \"/state\"\nunknown = \"pending\"", "", "expected `running` or `error`"),
    ("[error]", "[state.status]\n200 = \"done\"\n[error]", "", "unknown variant `done`"),
    ("[error]", "[hints]\nheader = \"x\"\nunit = \"minutes\"\n[error]", "", "expected `seconds` or `milliseconds`"),
    ("[create]", "max_body = -1\n[create]", "", "max_body"),
    ("[create]", "[create", "", "line"),
    ("pointer = \"/state\"", "pointer = \"/state\"\npointer = \"/other\"", "", "duplicate key"),
];

#[test]
fn a_broken_file_is_told_the_key_and_the_cure() {
    for (good, bad, key, says) in BROKEN {
        assert!(KILN.contains(good), "{good}");
        let error = refused(&KILN.replacen(good, bad, 1));
        let message = error.to_string();
        assert_eq!(error.key(), *key, "{bad}: {message}");
        assert!(message.contains(says), "{bad}: {message}");
        match *key {
            "" => assert!(message.contains("line "), "{bad}: {message}"),
            key => {
                let line = error.line().expect("the key stands somewhere");
                assert!(message.starts_with(&format!("line {line}: {key}: ")), "{bad}: {message}");
            }
        }
        assert!(!message.contains("pw@"), "{message}");
    }
}

#[test]
fn words_need_a_pointer_and_a_pointer_needs_words() {
    let no_words =
        "name = \"x\"\npoll.path = \"/{id}\"\nstate.pointer = \"/s\"\nstate.status = { 200 = \"succeeded\" }";
    assert_eq!(refused(no_words).key(), "state.pointer");
    let no_pointer =
        "name = \"x\"\npoll.path = \"/{id}\"\nstate.succeeded = [\"s\"]\nstate.status = { 200 = \"running\" }";
    assert_eq!(refused(no_pointer).key(), "state.pointer");
}

const TYPES: &str = r#"
    name = "types"
    poll.path = "/jobs/{id}"
    [state]
    pointer = "/state"
    pending = ["0"]
    running = ["1", "9007199254740993", "-3"]
    succeeded = ["2", "TRUE", "18446744073709551615"]
    failed = ["false"]
"#;

#[test]
fn integer_and_boolean_states() {
    let dialect = dialect(TYPES);
    #[rustfmt::skip]
    let rows: [(&str, Observation, &str); 9] = [
        ("0", Pending { hint: None }, "0"),
        ("1", Running { hint: None }, "1"),
        ("2", Succeeded, "2"),
        ("\"2\"", Succeeded, "2"),
        ("-3", Running { hint: None }, "-3"),
        ("true", Succeeded, "true"),
        ("false", Failed, "false"),
        ("\"True\"", Succeeded, "True"),
        ("18446744073709551615", Succeeded, "18446744073709551615"),
    ];
    for (json, expected, word) in rows {
        let reading = read(&dialect, &format!(r#"{{"state":{json}}}"#));
        assert_eq!(reading.observation, expected, "{json}");
        assert_eq!(reading.state.as_deref(), Some(word));
        assert!(!reading.unknown_state, "{json}");
    }
}

#[test]
fn integers_beyond_2_pow_53_keep_their_digits() {
    let dialect = dialect(TYPES);
    let reading = read(&dialect, r#"{"state":9007199254740993}"#);
    assert_eq!((reading.state.as_deref(), reading.unknown_state), (Some("9007199254740993"), false));
    // Its neighbour, which it would be taken for as a float.
    assert!(read(&dialect, r#"{"state":9007199254740992}"#).unknown_state);
}

#[test]
fn letter_case_beyond_ascii() {
    let dialect = dialect(&KILN.replace("\"fired\"", "\"ÜBERGEBEN\""));
    assert_eq!(read(&dialect, r#"{"state":"übergeben"}"#).observation, Succeeded);
}

#[test]
fn defaults_reach_the_policy() {
    let text = format!(
        "{KILN}\n[defaults]\nmin_delay = \"500ms\"\nmax_delay = \"2m\"\ntimeout = \"1h30m\"\nattempt_timeout = \"9s\"\n\
         max_retry_after = \"1m\"\nfactor = 2.0"
    );
    let policy = dialect(&text).policy().build().unwrap();
    assert_eq!(policy.min_delay(), http_support::millis(500));
    assert_eq!(policy.max_delay(), Some(secs(120)));
    assert_eq!(policy.total_timeout(), Some(secs(5_400)));
    assert_eq!(policy.attempt_timeout(), secs(9));
    assert_eq!(policy.max_retry_after(), secs(60));
}

#[test]
fn pointers_may_have_escapes() {
    let dialect = dialect(&KILN.replace("\"/state\"", "\"/a~1b/m~0n/0\""));
    assert_eq!(read(&dialect, r#"{"a/b":{"m~n":["fired"]}}"#).observation, Succeeded);
}
