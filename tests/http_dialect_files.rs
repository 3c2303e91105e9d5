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
    ("path = \"/firings\"", "path = \"firings\"", "create.path", "or nothing for the base URL itself"),
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
    ("name = \"kiln\"", "name = \"kiln\"\nfreshness = \"10s\"\ndefaults.min_delay = \"9s\"", "defaults.min_delay", "old news"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\npresent = \"/a\"\nthen = \"running\"\nfor = \"0s\"\n[error]", "refine[0].for", "corrects nothing"),
    // Each rule of a section, whose key and line are told beneath too.
    ("[create]", "base_url = \"https://\"\n[create]", "base_url", "is no http or https URL"),
    ("[create]", "freshness = \"10\"\n[create]", "freshness", "as in `500ms`"),
    ("path = \"/firings\"", "path = \"/firings\"\nheaders = { \"X Y\" = \"1\" }", "create.headers.X Y", "is no header name"),
    ("path = \"/firings\"", "path = \"/firings\"\nheaders = { X-Y = \"a\\nb\" }", "create.headers.X-Y", "cannot stand in a header"),
    ("path = \"/firings\"", "path = \"/firings\"\nheaders = { X-Y = \"a\", x-y = \"b\" }", "create.headers.x-y", "given twice"),
    ("path = \"/firings\"", "path = \"/firings\"\nidempotency_ttl = \"1h\"", "create.idempotency_ttl", "`create.idempotency_header`"),
    ("path = \"/firings\"", "path = \"/firings\"\nidempotency_header = \"K\"\nidempotency_ttl = \"ever\"", "create.idempotency_ttl", "as in `500ms`"),
    ("path = \"/firings\"", "path = \"/firings\"\nidempotency_header = \"K\"\nin_progress = [1]", "create.in_progress", "`error.code` beside it"),
    ("path = \"/firings\"", "path = \"/firings\"\nbody = { when = 2024-01-01 }", "create.body.when", "write it as a string"),
    ("path = \"/firings\"", "path = \"/firings\"\nbody = { heat = [{ most = inf }] }", "create.body.heat", "JSON has no such number"),
    ("[poll]", "[job]\nid = []\n[poll]", "job.id", "an empty list is nowhere"),
    ("[poll]", "[job]\npoll_url = { header = \"a b\" }\n[poll]", "job.poll_url", "is no header name"),
    ("[poll]", "[job]\npoll_url = \"/u\"\n[poll]", "job.id", "leave out `poll.path`"),
    ("path = \"/firings/{id}\"", "", "poll.path", "a path as in `/jobs/{id}`, or `job.poll_url`"),
    ("/firings/{id}", "/firings/{+id}/{id}", "poll.path", "one `{id}`"),
    ("[state]", "id = \"id\"\n[state]", "poll.id", "as in `/id`"),
    ("[poll]\n    path = \"/firings/{id}\"", "[job]\n    poll_url = \"/u\"\n    [poll]\n    id = \"/id\"", "poll.id", "named by its address"),
    ("[state]", "method = \"get\"\n[state]", "poll.method", "`GET`"),
    ("[state]", "headers = { a = \"\\u0000\" }\n[state]", "poll.headers.a", "cannot stand in a header"),
    ("[error]", "[envelope]\npointer = \"code\"\n[error]", "envelope.pointer", "as in `/code`"),
    ("[error]", "[envelope]\npointer = \"/c\"\nok = [0]\nthrottled = [\"0\"]\n[error]", "envelope.throttled", "`0` is given twice"),
    ("[error]", "[envelope]\npointer = \"/c\"\nthrottled = [1]\nlost = [1]\n[error]", "envelope.lost", "`1` is given twice"),
    ("[error]", "[envelope]\npointer = \"/c\"\nlost = [\"A\"]\nfatal = [\"a\"]\n[error]", "envelope.fatal", "`a` is given twice"),
    ("pending = [\"queued\"]", "pending = [true, \"TRUE\"]", "state.pending", "`true` is given twice"),
    ("failed = [\"cracked\"]", "failed = [\"Fired\"]", "state.failed", "`fired` is given twice"),
    ("cancelled = [\"cooled early\"]", "cancelled = [\"CRACKED\"]", "state.cancelled", "`cracked` is given twice"),
    ("lost = [\"no such firing\"]", "lost = [\"heating\"]", "state.lost", "`heating` is given twice"),
    ("[error]", "[state.status]\n600 = \"running\"\n[error]", "state.status", "`600` is no HTTP status"),
    ("[error]", "[state.status]\n0200 = \"running\"\n[error]", "state.status", "`0200` is no HTTP status"),
    ("[error]", "[state.status]\n\"+200\" = \"running\"\n[error]", "state.status", "`+200` is no HTTP status"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\n[error]", "refine[0]", "give one condition"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\npresent = \"/a\"\nabsent = \"/b\"\n[error]", "refine[0]", "give one condition"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\nat = \"/a\"\n[error]", "refine[0]", "`at` with `equals`"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\nequals = 1\n[error]", "refine[0]", "`at` with `equals`"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\npresent = \"a\"\n[error]", "refine[0].present", "as in `/a`"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\nabsent = \"a.b\"\n[error]", "refine[0].absent", "as in `/a/b`"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\nat = \"a\"\nequals = 1\n[error]", "refine[0].at", "as in `/a`"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"failed\"\npresent = \"\"\n[error]", "refine[0].then", "this changes nothing"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\npresent = \"\"\nask_again = \"1s\"\n[error]", "refine[0].ask_again", "is not asked again"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"running\"\npresent = \"\"\nask_again = \"1\"\n[error]", "refine[0].ask_again", "as in `500ms`"),
    ("[error]", "[[refine]]\nwhen = \"failed\"\nthen = \"lost\"\npresent = \"\"\nfor = \"long\"\n[error]", "refine[0].for", "as in `500ms`"),
    ("\"/error/message\"", "[]", "error.pointer", "an empty list is nowhere"),
    ("[result]", "code = \"c\"\n[result]", "error.code", "as in `/c`"),
    ("[result]", "quota = [1]\n[result]", "error.quota", "`error.code` beside it"),
    ("\"/vase\"", "[\"/vase\", \"url\"]", "result.pointer", "as in `/url`"),
    ("[times]", "follow = \"url\"\n[times]", "result.follow", "as in `/url`"),
    ("[times]", "path = \"/firings\"\n[times]", "result.path", "one `{id}`"),
    ("[times]", "path = \"/{id}\"\nfollow = \"/url\"\n[times]", "result.path", "not both"),
    ("[times]", "[progress]\npointer = \"p\"\n[times]", "progress.pointer", "as in `/p`"),
    ("[times]", "[progress]\nqueue = \"q\"\n[times]", "progress.queue", "as in `/q`"),
    ("[times]", "[progress]\npointer = \"/p\"\nof = 0\n[times]", "progress.of", "above zero"),
    ("[times]", "[progress]\npointer = \"/p\"\nof = nan\n[times]", "progress.of", "above zero"),
    ("[times]", "[progress]\nof = 100\n[times]", "progress.of", "`progress.pointer` beside it"),
    ("[times]", "[times]\nstarted = \"s\"", "times.started", "as in `/s`"),
    ("[times]", "[cancel]\n[times]", "cancel.path", "or `cancel.url`"),
    ("[times]", "[cancel]\npath = \"/cancel\"\n[times]", "cancel.path", "one `{id}`"),
    ("[times]", "[cancel]\nurl = \"u\"\n[times]", "cancel.url", "as in `/u`"),
    ("[times]", "[cancel]\nurl = \"/u\"\nmethod = \"delete\"\n[times]", "cancel.method", "`DELETE`"),
    ("[times]", "[cancel]\nurl = \"/u\"\nheaders = { \"\" = \"1\" }\n[times]", "cancel.headers.", "is no header name"),
    ("[times]", "[trust]\ncredential_headers = [\"a b\"]\n[times]", "trust.credential_headers", "is no header name"),
    ("[times]", "[trust]\nenv = \"KEY\"\n[times]", "trust.env", "`trust.credential_headers`"),
    ("[times]", "[trust]\ncredential_headers = [\"a\"]\nprefix = \"Key \"\n[times]", "trust.prefix", "`trust.env` beside it"),
    ("[times]", "[trust]\nallowed_origins = [\"cdn.example\"]\n[times]", "trust.allowed_origins", "is no http or https URL"),
    ("[times]", "[bulk]\npath = \"/s\"\nmax = 9\nitems = \"\"\nid = \"/i\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.path", "one `{ids}`"),
    ("[times]", "[bulk]\npath = \"/{ids}/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.path", "one `{ids}`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 1\nitems = \"\"\nid = \"/i\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.max", "at least two jobs"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"i\"\nid = \"/i\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.items", "as in `/i`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"i\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.id", "as in `/i`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\nnext = \"/n\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.next", "`next_parameter`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\nnext = \"n\"\nnext_parameter = \"t\"\nstate = { pointer = \"/s\", succeeded = [1] }\n[times]", "bulk.next", "as in `/n`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\npointer = \"/s\"\nsucceeded = [1]\nstatus = { 200 = \"lost\" }\n[times]", "bulk.state.status", "no HTTP status of its own"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\npointer = \"/s\"\nsucceeded = [1]\nmissing = \"lost\"\n[times]", "bulk.state.missing", "is asked for by itself"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\nsucceeded = [1]\n[times]", "bulk.state.pointer", "as in `/status`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\npointer = { header = \"s\" }\nsucceeded = [1]\n[times]", "bulk.state.pointer", "as in `/status`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\npointer = \"s\"\nsucceeded = [1]\n[times]", "bulk.state.pointer", "as in `/s`"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\npointer = \"/s\"\nlost = [1]\n[times]", "bulk.state.succeeded", "name the word for success"),
    ("[times]", "[bulk]\npath = \"/{ids}\"\nmax = 9\nitems = \"\"\nid = \"/i\"\n[bulk.state]\npointer = \"/s\"\nlost = [1]\nsucceeded = [1]\n[times]", "bulk.state.lost", "`1` is given twice"),
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

/// A file, the key that is wrong in it, and its line.
#[rustfmt::skip]
const LINES: &[(&str, &str, Option<usize>)] = &[
    ("name = \"\"", "name", Some(1)),
    ("\n\nname = \"\"", "name", Some(3)),
    ("name = \"x\"\npoll.path = \"/\"\n", "poll.path", Some(2)),
    ("name = \"x\"\npoll.method = \"GET\"\npoll.path = \"/\"", "poll.path", Some(3)),
    ("name = \"x\"\npoll = { method = \"GET\", path = \"/\" }", "poll.path", Some(2)),
    ("name = \"x\"\n[poll]\nmethod = \"GET\"\npath = \"/\"", "poll.path", Some(4)),
    ("name = \"x\"\n[ poll ]\n\n'path' = \"/\"", "poll.path", Some(4)),
    ("name = \"x\"\n\"poll\".\"path\" = \"/\"", "poll.path", Some(2)),
    ("name = \"x\"\r\n[poll]\r\npath = \"/\"", "poll.path", Some(3)),
    ("name = \"ä\"\nabout = \"\"\"\nö\nü\"\"\"\npoll.path = \"/\"", "poll.path", Some(5)),
    // What is missing is missed where its section stands, and nowhere where there is none.
    ("name = \"x\"", "poll.path", None),
    ("name = \"x\"\n[poll]\nmethod = \"GET\"", "poll.path", Some(2)),
    ("name = \"x\"\npoll.method = \"GET\"", "poll.path", Some(2)),
    ("name = \"x\"\npoll.path = \"/{id}\"\n# here\n[cancel]\n", "cancel.path", Some(4)),
    ("name = \"x\"\npoll.path = \"/{id}\"\n[create]\npath = \"/\"\nmethod = \"GET\"\n[create.headers]\n\nx = \"\\u0000\"", "create.headers.x", Some(8)),
    ("name = \"x\"\npoll.path = \"/{id}\"\nrefine = [\n{ when = \"lost\", present = \"\", then = \"failed\" },\n{ when = \"lost\", present = \"\", then = \"lost\" },\n]", "refine[1].then", Some(5)),
    ("name = \"x\"\npoll.path = \"/{id}\"\n[[refine]]\nwhen = \"lost\"\npresent = \"\"\nthen = \"failed\"\n[[refine]]\nwhen = \"lost\"\npresent = \"\"\n\nthen = \"lost\"", "refine[1].then", Some(11)),
    ("name = \"x\"\npoll.path = \"/{id}\"\n[[refine]]\nwhen = \"lost\"\npresent = \"\"\nthen = \"failed\"\n\n[[refine]]\nwhen = \"lost\"\nthen = \"failed\"", "refine[1]", Some(8)),
    ("name = \"x\"\npoll.path = \"/{id}\"\njob.id = [\n  \"/a\",\n  \"b\",\n]", "job.id", Some(3)),
    ("name = \"x\"\npoll.path = \"/{id}\"\n[defaults]\nmin_delay = \"1s\"\nfactor = 0", "defaults", Some(3)),
    ("name = \"x\"\npoll.path = \"/{id}\"\ndefaults = { factor = 0 }", "defaults", Some(3)),
];

#[test]
fn the_line_is_the_keys_wherever_it_is_written() {
    for (text, key, line) in LINES {
        // A state that is right, after or before, as the file's last section allows.
        let state = "state = { pointer = \"/s\", succeeded = [1] }\n";
        let error = refused(&format!("{state}{text}"));
        assert_eq!((error.key(), error.line()), (*key, line.map(|line| line + 1)), "{text}\n{error}");
        let start = line.map_or(String::new(), |line| format!("line {}: ", line + 1));
        assert!(error.to_string().starts_with(&format!("{start}{key}: ")), "{error}");
    }
}

#[test]
fn what_is_missing_or_unknown_to_the_reader_is_told_with_its_line() {
    #[rustfmt::skip]
    let rows = [
        ("name = \"x\"\n[poll]\npath = \"/{id}\"\n[state]\n[envelope]\nok = [0]", "missing field `pointer`", 5),
        ("name = \"x\"\n[poll]\npath = \"/{id}\"\n[state]\n[create]\nmethod = \"POST\"", "missing field `path`", 5),
        ("name = \"x\"\n[poll]\npath = \"/{id}\"\n[state]\n[[refine]]\nwhen = \"lost\"\npresent = \"\"", "missing field `then`", 5),
        ("name = \"x\"\n[poll]\npath = \"/{id}\"\n[state]\n[[refine]]\nwhen = \"lost\"\nthen = \"done\"", "unknown variant `done`", 7),
        ("name = \"x\"\n[poll]\npath = \"/{id}\"\n[state]\n[bulk]\npath = \"/{ids}\"", "missing field `max`", 5),
        ("name = \"x\"\n[poll]\npath = 7", "expected a string", 3),
        ("name = \"x\"\n[state]\npending = [1.5]", "write a word: a string, an integer or a boolean", 3),
        ("name = \"x\"\n[job]\nid = { heading = \"X\" }", "write a JSON pointer as in \"/data/id\", { header = \"Name\" }", 3),
        ("name = \"x\"\n[result]\npointer = { header = \"X\" }", "write a JSON pointer as in \"/data/url\"", 3),
    ];
    for (text, says, line) in rows {
        let error = refused(text);
        let message = error.to_string();
        assert_eq!((error.key(), error.line()), ("", None), "{message}");
        assert!(message.contains(says) && message.contains(&format!("line {line}, ")), "{line} {message}");
    }
}

/// Whatever is written, a refusal says something and nothing panics: the file below is well-formed but for one value.
#[test]
fn odd_values_are_refused_or_taken_but_never_panic() {
    let odd =
        ["0", "-1", "1e400", "nan", "inf", "true", "\"\"", "\"\\u0000\"", "\"~\"", "[]", "{}", "[[]]", "1979-05-27"];
    for line in KILN.lines().filter(|line| line.contains(" = ")) {
        let (key, _) = line.split_once(" = ").unwrap();
        for value in odd {
            if let Err(error) = Dialect::from_toml(&KILN.replacen(line, &format!("{key} = {value}"), 1)) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
