//! How answers are read by the format's rules, and which of them comes first.

use core::time::Duration;

use http_support::{START, World, dialect, every_second, job, reply, script, secs};
use jobwatch::Observation::{self, Cancelled, Failed, Lost, Pending, Running, Succeeded};
use jobwatch::{Dialect, Hint, LookError, Outcome, Reading, Rule};
use serde_json::json;

use crate::{backend, http_support, read, with};

const RUNNING: Observation = Running { hint: None };
const PENDING: Observation = Pending { hint: None };
const MISSING: Observation = Lost { definite: false };
const MALFORMED: Observation = Observation::Transient { error: LookError::Malformed, hint: None };
const REFUSED: Observation = Observation::Transient { error: LookError::Envelope, hint: None };

const fn broken(status: u16) -> Observation {
    Observation::Transient { error: LookError::Status(status), hint: None }
}

const fn fatal(status: u16) -> Observation {
    Observation::Fatal { error: LookError::Status(status) }
}

const fn hinted(seconds: u64) -> Hint {
    Hint::after(secs(seconds))
}

/// Status, body, what it says, and by which rule.
type Row = (u16, &'static str, Observation, Rule);

fn check(dialect: &Dialect, rows: &[Row]) {
    for (status, body, expected, rule) in rows {
        let reading = read(dialect, *status, &[], body);
        assert_eq!((reading.observation, reading.rule), (*expected, *rule), "{status} {body}");
    }
}

mod envelopes {
    use super::*;

    #[test]
    fn absence_is_good_where_no_word_is() {
        let dialect =
            with("envelope = { pointer = \"/error\", fatal = [\"auth\"], lost = [404], throttled = [\"slow\"] }");
        let throttled = Observation::Throttled { error: LookError::Envelope, hint: None };
        check(
            &dialect,
            &[
                (200, r#"{"state":"done"}"#, Succeeded, Rule::Word),
                (200, r#"{"error":null,"state":"done"}"#, Succeeded, Rule::Word),
                (200, r#"{"error":"odd","state":"done"}"#, REFUSED, Rule::Envelope),
                (201, r#"{"error":"odd","state":"done"}"#, REFUSED, Rule::Envelope),
                (202, r#"{"error":"odd"}"#, REFUSED, Rule::Envelope),
                (200, r#"{"error":{"code":"auth"},"state":"done"}"#, REFUSED, Rule::Envelope),
                (200, r#"{"error":["auth"]}"#, REFUSED, Rule::Envelope),
                (200, r#"{"error":false,"state":"done"}"#, REFUSED, Rule::Envelope),
                (200, r#"{"error":"","state":"done"}"#, REFUSED, Rule::Envelope),
                (200, r#"{"error":"AUTH"}"#, Observation::Fatal { error: LookError::Envelope }, Rule::Envelope),
                (200, r#"{"error":404}"#, MISSING, Rule::Envelope),
                (200, r#"{"error":"slow","state":"done"}"#, throttled, Rule::Envelope),
                // It wraps good statuses alone.
                (404, r#"{"error":"auth"}"#, MISSING, Rule::Status),
                (500, r#"{"error":"auth"}"#, broken(500), Rule::Status),
                (400, r#"{"error":"slow"}"#, fatal(400), Rule::Status),
                (410, r#"{"error":"slow"}"#, Lost { definite: true }, Rule::Status),
                (302, r#"{"error":"auth"}"#, MALFORMED, Rule::Status),
                // What is no JSON has no envelope.
                (200, "<html>", MALFORMED, Rule::Malformed),
                (200, "", MALFORMED, Rule::Malformed),
            ],
        );
    }

    #[test]
    fn words_for_good_make_absence_an_error() {
        let dialect = with("envelope = { pointer = \"/code\", ok = [0, \"OK\", true], throttled = [1] }");
        let throttled = Observation::Throttled { error: LookError::Envelope, hint: None };
        check(
            &dialect,
            &[
                (200, r#"{"code":0,"state":"done"}"#, Succeeded, Rule::Word),
                (200, r#"{"code":"0","state":"done"}"#, Succeeded, Rule::Word),
                (200, r#"{"code":"ok","state":"done"}"#, Succeeded, Rule::Word),
                (200, r#"{"code":true,"state":"broken"}"#, Failed, Rule::Word),
                (200, r#"{"code":1,"state":"done"}"#, throttled, Rule::Envelope),
                (200, r#"{"code":2,"state":"done"}"#, REFUSED, Rule::Envelope),
                (200, r#"{"code":{},"state":"done"}"#, REFUSED, Rule::Envelope),
                (200, r#"{"state":"done"}"#, MALFORMED, Rule::Envelope),
                (200, r#"{"code":null,"state":"done"}"#, MALFORMED, Rule::Envelope),
                (200, "[]", MALFORMED, Rule::Envelope),
                (200, "<html>", MALFORMED, Rule::Malformed),
                (500, r#"{"code":0,"state":"done"}"#, broken(500), Rule::Status),
            ],
        );
    }

    #[test]
    fn its_words_are_told() {
        let dialect = with("envelope.pointer = \"/code\"\nerror.pointer = \"/why\"");
        let message = |body| read(&dialect, 200, &[], body).message;
        assert_eq!(message(r#"{"code":7,"why":"too many"}"#).as_deref(), Some("too many"));
        assert_eq!(message(r#"{"code":7}"#).as_deref(), Some("7"));
        assert_eq!(message(r#"{"code":{"a":1}}"#).as_deref(), Some(r#"{"a":1}"#));
        let strict = with("envelope = { pointer = \"/code\", ok = [0] }");
        let absent = read(&strict, 200, &[], "{}").message;
        assert_eq!(absent.as_deref(), Some("the answer has no envelope at /code"));
    }

    #[test]
    fn a_throttle_cools_the_lane_for_as_long_as_is_told() {
        let dialect = with("envelope = { pointer = \"/code\", throttled = [1] }");
        let reading = read(&dialect, 200, &[("retry-after", "40")], r#"{"code":1}"#);
        let expected = Observation::Throttled { error: LookError::Envelope, hint: Some(hinted(40)) };
        assert_eq!((reading.observation, reading.cool_down), (expected, Some(secs(40))));
        let transient = read(&dialect, 200, &[("retry-after", "40")], r#"{"code":2}"#);
        assert_eq!(transient.cool_down, None);
    }

    /// The table of statuses says what the status means; the envelope, that it may not be believed.
    #[test]
    fn an_envelope_unmasks_a_declared_status_too() {
        let dialect = with("envelope.pointer = \"/error\"\nstate.status = { 200 = \"succeeded\", 404 = \"failed\" }");
        check(
            &dialect,
            &[
                (200, r#"{"error":"odd"}"#, REFUSED, Rule::Envelope),
                (200, "{}", Succeeded, Rule::DeclaredStatus),
                (404, r#"{"error":"odd"}"#, Failed, Rule::DeclaredStatus),
            ],
        );
    }
}

mod states {
    use super::*;

    const TYPES: &str = "name = \"types\"\npoll.path = \"/{id}\"\n[state]\npointer = \"/s\"\npending = [0, \"wartend\"]\n\
                         running = [1, -2]\nsucceeded = [true, 9223372036854775807, \"Größe Ω\"]\nfailed = [false]";

    #[test]
    fn words_are_strings_integers_and_booleans_in_any_letter_case() {
        for (json, expected) in [
            ("0", PENDING),
            ("\"0\"", PENDING),
            ("\"WARTEND\"", PENDING),
            ("1", RUNNING),
            ("-2", RUNNING),
            ("true", Succeeded),
            ("\"True\"", Succeeded),
            ("9223372036854775807", Succeeded),
            ("\"GRÖßE ω\"", Succeeded),
            ("\"größe ω\"", Succeeded),
            ("false", Failed),
        ] {
            let reading = read(&dialect(TYPES), 200, &[], &format!(r#"{{"s":{json}}}"#));
            assert_eq!((reading.observation, reading.rule), (expected, Rule::Word), "{json}");
        }
        for json in ["1.0", "2", "\" 0\"", "9223372036854775808", "\"Grösse Ω\"", "\"\""] {
            let reading = read(&dialect(TYPES), 200, &[], &format!(r#"{{"s":{json}}}"#));
            assert_eq!((reading.observation, reading.rule), (RUNNING, Rule::UnknownWord), "{json}");
            assert!(reading.unknown_state, "{json}");
        }
    }

    #[test]
    fn the_first_place_that_is_there_counts() {
        let text = "name = \"x\"\npoll.path = \"/{id}\"\n[state]\npointer = [\"/a\", { header = \"X-S\" }, \"/b\"]\n\
                    running = [\"on\"]\nsucceeded = [\"done\"]\nfailed = [\"bad\"]";
        let dialect = dialect(text);
        for (header, body, expected) in [
            (None, r#"{"a":"done","b":"bad"}"#, Succeeded),
            (None, r#"{"a":null,"b":"bad"}"#, Failed),
            (Some("on"), r#"{"a":"done"}"#, Succeeded),
            (Some("on"), r#"{"b":"bad"}"#, RUNNING),
            (Some("Done"), "<html>", Succeeded),
            (Some("d\u{f6}ne"), r#"{"b":"bad"}"#, Failed),
            // It is there, and no word.
            (Some("done"), r#"{"a":{}}"#, MALFORMED),
            (None, "<html>", MALFORMED),
        ] {
            let headers: Vec<_> = header.map(|value| ("x-s", value)).into_iter().collect();
            assert_eq!(read(&dialect, 200, &headers, body).observation, expected, "{header:?} {body}");
        }
        let message = read(&dialect, 200, &[], "{}").message.unwrap();
        assert_eq!(message, "the answer has no state at /a or the header x-s or /b");
    }

    #[test]
    fn declared_statuses_come_first() {
        let keys = "state.status = { 200 = \"running\", 202 = \"succeeded\", 404 = \"pending\", 410 = \"cancelled\", 429 = \
                    \"running\", 401 = \"failed\", 302 = \"lost\", 500 = \"failed\" }\nerror.code = \"/c\"\nerror.quota = [1]";
        check(
            &with(keys),
            &[
                (200, r#"{"state":"done"}"#, RUNNING, Rule::DeclaredStatus),
                (200, "<html>", RUNNING, Rule::DeclaredStatus),
                (202, r#"{"state":"broken"}"#, Succeeded, Rule::DeclaredStatus),
                (404, "", PENDING, Rule::DeclaredStatus),
                (410, "", Cancelled, Rule::DeclaredStatus),
                (429, r#"{"c":1}"#, RUNNING, Rule::DeclaredStatus),
                (401, "", Failed, Rule::DeclaredStatus),
                (302, "", MISSING, Rule::DeclaredStatus),
                (500, "", Failed, Rule::DeclaredStatus),
                (201, r#"{"state":"done"}"#, Succeeded, Rule::Word),
            ],
        );
        // A declared redirect is not followed.
        assert_eq!(read(&with(keys), 302, &[("location", "/x")], "").observation, MISSING);
        let retried = read(&with(keys), 401, &[("x-should-retry", "true")], "");
        assert_eq!(retried.observation, Failed);
    }

    #[test]
    fn an_answer_without_a_state() {
        let dialect = with("state.missing = \"succeeded\"\nresult.pointer = \"\"");
        check(
            &dialect,
            &[
                (200, "{}", Succeeded, Rule::MissingState),
                (200, "[1]", Succeeded, Rule::MissingState),
                (200, "", Succeeded, Rule::MissingState),
                (201, r#"{"state":null}"#, Succeeded, Rule::MissingState),
                (200, r#"{"state":"working"}"#, RUNNING, Rule::Word),
                (200, "<html>", MALFORMED, Rule::Malformed),
                (200, r#"{"state":"#, MALFORMED, Rule::Malformed),
                (202, "{}", RUNNING, Rule::Status),
                (202, "", RUNNING, Rule::Status),
                (204, "", MALFORMED, Rule::Status),
                (400, "{}", fatal(400), Rule::Status),
                (503, "{}", broken(503), Rule::Status),
            ],
        );
        assert_eq!(read(&dialect, 200, &[], "[1]").result, Some(json!([1])));
    }

    #[test]
    fn regression_a_202_without_a_word_tells_no_end_however_it_is_corrected() {
        let keys =
            "state.missing = \"succeeded\"\n[[refine]]\nwhen = \"succeeded\"\npresent = \"/error\"\nthen = \"failed\"";
        let dialect = with(keys);
        assert_eq!(read(&dialect, 200, &[], r#"{"error":1}"#).observation, Failed);
        assert_eq!(read(&dialect, 202, &[], r#"{"error":1}"#).observation, RUNNING);
        assert_eq!(read(&dialect, 202, &[], r#"{"state":"done","error":1}"#).observation, Failed);
    }
}

mod corrections {
    use super::*;

    #[test]
    fn each_applies_to_what_the_ones_before_made() {
        let keys = "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\n\
                    [[refine]]\nwhen = \"running\"\nat = \"/step\"\nequals = \"Queue\"\nthen = \"pending\"\n\
                    [[refine]]\nwhen = \"succeeded\"\npresent = \"/error\"\nthen = \"failed\"\n\
                    [[refine]]\nwhen = \"failed\"\nat = \"/error/code\"\nequals = 1\nthen = \"cancelled\"\n\
                    [[refine]]\nwhen = \"failed\"\nat = \"/error/gone\"\nequals = true\nthen = \"lost\"";
        check(
            &with(keys),
            &[
                (200, r#"{"state":"done","url":1}"#, Succeeded, Rule::Word),
                (200, r#"{"state":"done"}"#, RUNNING, Rule::Refined(0)),
                (200, r#"{"state":"done","url":null}"#, RUNNING, Rule::Refined(0)),
                (200, r#"{"state":"done","step":"QUEUE"}"#, PENDING, Rule::Refined(1)),
                (200, r#"{"state":"working","step":"queue"}"#, PENDING, Rule::Refined(1)),
                (200, r#"{"state":"new word","step":"queue"}"#, PENDING, Rule::Refined(1)),
                (200, r#"{"state":"done","url":1,"error":{}}"#, Failed, Rule::Refined(2)),
                (200, r#"{"state":"done","url":1,"error":{"code":"1"}}"#, Cancelled, Rule::Refined(3)),
                (200, r#"{"state":"broken","error":{"code":1}}"#, Cancelled, Rule::Refined(3)),
                (200, r#"{"state":"broken","error":{"code":2,"gone":true}}"#, MISSING, Rule::Refined(4)),
                (200, r#"{"state":"broken","error":{"code":[1]}}"#, Failed, Rule::Word),
                // Failed requests have no class.
                (500, r#"{"error":{"code":1}}"#, broken(500), Rule::Status),
                (404, r#"{"error":{"code":1}}"#, MISSING, Rule::Status),
            ],
        );
    }

    #[test]
    fn what_was_corrected_away_leaves_nothing() {
        let keys = "result.pointer = \"/r\"\nerror.pointer = \"/e\"\nprogress.pointer = \"/p\"\n\
                    [[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\nask_again = \"9s\"\n\
                    [[refine]]\nwhen = \"succeeded\"\npresent = \"/e\"\nthen = \"failed\"";
        let running = read(&with(keys), 200, &[], r#"{"state":"done","r":1,"e":"x","p":0.5}"#);
        assert_eq!((running.result, running.message), (None, None));
        assert_eq!((running.progress, running.ask_again), (Some(0.5), Some(secs(9))));
        let failed = read(&with(keys), 200, &[], r#"{"state":"done","url":1,"r":1,"e":"x","p":0.5}"#);
        assert_eq!((failed.result, failed.message.as_deref()), (None, Some("x")));
        assert_eq!((failed.progress, failed.ask_again), (None, None));
    }
}

mod details {
    use super::*;

    fn progress(keys: &str, json: &str) -> Option<f64> {
        read(&with(keys), 200, &[], &format!(r#"{{"state":"working","p":{json}}}"#)).progress
    }

    #[test]
    fn progress_in_every_form() {
        let share = "progress.pointer = \"/p\"";
        for (json, expected) in [
            ("0.5", Some(0.5)),
            ("\"0.5\"", Some(0.5)),
            ("0", Some(0.0)),
            ("1", Some(1.0)),
            ("7", Some(1.0)),
            ("-3", Some(0.0)),
            ("\"50%\"", Some(0.5)),
            ("\" 50 % \"", Some(0.5)),
            ("\"120%\"", Some(1.0)),
            ("1e300", Some(1.0)),
            ("\"NaN\"", None),
            ("\"inf\"", None),
            ("\"1e999\"", None),
            ("\"half\"", None),
            ("\"%\"", None),
            ("\"\"", None),
            ("true", None),
            ("null", None),
            ("[0.5]", None),
        ] {
            assert_eq!(progress(share, json), expected, "{json}");
        }
        let of_eight = "progress = { pointer = [\"/q\", \"/p\"], of = 8 }";
        for (json, expected) in [("2", Some(0.25)), ("\"2\"", Some(0.25)), ("9", Some(1.0)), ("\"25%\"", Some(0.25))] {
            assert_eq!(progress(of_eight, json), expected, "regression: a percentage is one of whatever: {json}");
        }
    }

    #[test]
    fn an_ended_job_has_no_progress() {
        let keys = "progress = { pointer = \"/p\", queue = \"/q\" }";
        for (state, there) in [("working", true), ("new word", true), ("done", false), ("broken", false)] {
            let reading = read(&with(keys), 200, &[], &format!(r#"{{"state":"{state}","p":0.5,"q":3}}"#));
            assert_eq!((reading.progress.is_some(), reading.queue_position.is_some()), (there, there), "{state}");
        }
    }

    #[test]
    fn the_place_in_a_queue() {
        for (json, expected) in [("3", Some(3)), ("0", Some(0)), ("-1", None), ("null", None), ("[1]", None)] {
            let body = format!(r#"{{"state":"working","q":{json}}}"#);
            assert_eq!(read(&with("progress.queue = \"/q\""), 200, &[], &body).queue_position, expected, "{json}");
        }
    }

    #[test]
    fn what_went_wrong_is_told_for_jobs_and_requests_alike() {
        let dialect = with("error.pointer = [{ header = \"X-Why\" }, \"/failure\", \"/error/message\", \"/error\"]");
        for (status, headers, body, expected) in [
            (200, &[][..], r#"{"state":"broken","failure":"hot"}"#, Some("hot")),
            (200, &[], r#"{"state":"broken","failure":null,"error":"cold"}"#, Some("cold")),
            (200, &[], r#"{"state":"broken","error":{"message":"m"}}"#, Some("m")),
            (200, &[], r#"{"state":"broken","error":[7]}"#, Some("[7]")),
            (200, &[], r#"{"state":"broken","error":7}"#, Some("7")),
            (200, &[("x-why", "header")], r#"{"state":"broken","failure":"hot"}"#, Some("header")),
            (401, &[], r#"{"error":{"message":"key"}}"#, Some("key")),
            (404, &[], r#"{"error":"none"}"#, Some("none")),
            (503, &[("x-why", "header")], "<html>", Some("header")),
            (200, &[], r#"{"state":"working","failure":"none yet"}"#, None),
            (200, &[], r#"{"state":"broken"}"#, None),
        ] {
            assert_eq!(read(&dialect, status, headers, body).message.as_deref(), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_spent_quota_is_no_throttle() {
        let dialect = with("error = { code = [\"/error/code\", \"/code\"], quota = [\"insufficient_quota\", 17] }");
        let throttled = Observation::Throttled { error: LookError::Status(429), hint: None };
        check(
            &dialect,
            &[
                (429, r#"{"error":{"code":"INSUFFICIENT_QUOTA"}}"#, fatal(429), Rule::Quota),
                (429, r#"{"code":17}"#, fatal(429), Rule::Quota),
                (429, r#"{"code":18}"#, throttled, Rule::Status),
                (429, "", throttled, Rule::Status),
                (429, "<html>", throttled, Rule::Status),
                (403, r#"{"code":17}"#, fatal(403), Rule::Status),
                (503, r#"{"code":17}"#, broken(503), Rule::Status),
                (200, r#"{"code":17,"state":"done"}"#, Succeeded, Rule::Word),
            ],
        );
        let spent = read(&dialect, 429, &[("retry-after", "60")], r#"{"code":17}"#);
        assert_eq!((spent.observation, spent.cool_down), (fatal(429), None));
    }

    #[test]
    fn instants_in_every_form() {
        let dialect = with("times.ended = [\"/t\", { header = \"X-T\" }]");
        let ended = |json: &str| read(&dialect, 200, &[], &format!(r#"{{"state":"done","t":{json}}}"#)).ended_at;
        for json in [
            "1700000000",
            "1700000000.0",
            "1700000000000",
            "\"1700000000\"",
            "\" 1700000000000 \"",
            "\"2023-11-14T22:13:20Z\"",
            "\"2023-11-14 22:13:20z\"",
            "\"2023-11-14T22:13:20.000+00:00\"",
            "\"2023-11-14T17:13:20-05:00\"",
            "\"Tue, 14 Nov 2023 22:13:20 GMT\"",
            "\"Tue Nov 14 22:13:20 2023\"",
        ] {
            assert_eq!(ended(json), Some(START), "{json}");
        }
        for json in ["-1", "\"soon\"", "true", "{}", "null", "\"2023-11-14\"", "\"0001-01-01T00:00:00Z\"", "\"NaN\""] {
            assert_eq!(ended(json), None, "{json}");
        }
        let by_header = read(&dialect, 200, &[("x-t", "1700000000")], r#"{"state":"done"}"#);
        assert_eq!(by_header.ended_at, Some(START));
    }

    #[test]
    fn regression_zero_is_no_instant() {
        let dialect = with("times.ended = \"/t\"");
        for json in ["0", "\"0\"", "0.0", "\"1970-01-01T00:00:00Z\""] {
            let reading = read(&dialect, 200, &[], &format!(r#"{{"state":"done","t":{json}}}"#));
            assert_eq!(reading.ended_at, None, "{json}: a job that has not ended, as some write it");
        }
    }

    #[test]
    fn a_declared_303_points_at_the_result() {
        let keys = "state.status = { 303 = \"succeeded\" }\nresult.follow = [{ header = \"Location\" }, \"/at\"]";
        let reading: Reading = read(&with(keys), 303, &[("location", "/v1/r")], "");
        assert_eq!((reading.observation, reading.result_at.as_deref()), (Succeeded, Some("/v1/r")));
        let in_body = read(&with(keys), 303, &[], r#"{"at":"/v1/s"}"#);
        assert_eq!(in_body.result_at.as_deref(), Some("/v1/s"));
        assert_eq!(read(&with(""), 303, &[("location", "/v1/r")], "").observation, broken(303));
    }

    #[test]
    fn conflicts_and_what_is_too_early() {
        check(&with(""), &[(409, "", broken(409), Rule::Status), (425, "", broken(425), Rule::Status)]);
        let dialect = with("state.status = { 425 = \"running\", 409 = \"pending\" }");
        check(&dialect, &[(409, "", PENDING, Rule::DeclaredStatus), (425, "<html>", RUNNING, Rule::DeclaredStatus)]);
        let hinted_425 = read(&dialect, 425, &[("retry-after", "7")], "");
        assert_eq!((hinted_425.observation, hinted_425.cool_down), (Running { hint: Some(hinted(7)) }, None));
    }

    #[test]
    fn hints_of_the_body_and_of_headers() {
        let keys = "hints = { header = \"X-After\", pointer = \"/after\", unit = \"milliseconds\" }";
        let hint = |headers: &[_], json: &str| {
            let reading = read(&with(keys), 200, headers, &format!(r#"{{"state":"working","after":{json}}}"#));
            let Running { hint } = reading.observation else { panic!("{reading:?}") };
            hint.map(Hint::delay)
        };
        assert_eq!(hint(&[("x-after", "1500"), ("retry-after", "9")], "20"), Some(Duration::from_millis(1_500)));
        assert_eq!(hint(&[("x-after", "soon"), ("retry-after", "9")], "20"), Some(secs(9)));
        assert_eq!(hint(&[], "20"), Some(Duration::from_millis(20)));
        assert_eq!(hint(&[], "\"20.5\""), Some(Duration::from_micros(20_500)));
        assert_eq!(hint(&[], "-1"), None);
    }

    #[test]
    fn regression_a_number_that_nobody_asked_for_spoiled_the_answer() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for odd in ["1e400", "[-1e999, {\"x\": 1e400}]", "\"\\udfff\"", &deep] {
            let dialect = with("result.pointer = \"/cake\"\nerror.pointer = \"/error\"");
            let body =
                |state: &str| format!(r#"{{"cost":{odd},"state":"{state}","cake":"nut","more":{{"a":[{odd}]}}}}"#);
            assert_eq!(read(&dialect, 200, &[], &body("working")).observation, Running { hint: None }, "{odd}");
            assert_eq!(read(&dialect, 200, &[], &body("broken")).observation, Failed, "{odd}");
            let done = read(&dialect, 200, &[], &body("done"));
            assert_eq!((done.observation, done.result, done.message), (Succeeded, Some("nut".into()), None), "{odd}");
            // A success stands, too, whose result nobody can keep, and says so.
            let unkept = format!(r#"{{"state":"done","cake":{odd}}}"#);
            let mut world = World::new(script(vec![reply(200, &[], &unkept)]));
            let keys = "result.pointer = \"/cake\"";
            let finished = world.wait(&backend(keys), every_second(), job("a"));
            assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, None), "{odd}");
            assert_eq!(
                finished.error.as_deref(),
                Some("the result in the answer is no JSON that can be kept"),
                "{odd}"
            );
        }
        // What is asked for has to be read.
        assert_eq!(read(&with(""), 200, &[], r#"{"state":1e400}"#).rule, Rule::Malformed);
    }
}
