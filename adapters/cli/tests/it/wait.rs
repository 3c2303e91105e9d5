//! `jobwatch wait`: what it is given, and what it tells.

use std::collections::BTreeMap;

use jobwatch_simulator::{FaultKind, Faults, JobState};
use serde_json::Value;

use crate::backend::{Backend, simulator, state};
use crate::program::{jobwatch, number, sorted, submit, text, tracker};

const JOB_FIELDS: [&str; 12] = [
    "detection_delay_max_s",
    "detection_delay_s",
    "elapsed_s",
    "error",
    "failed_requests",
    "id",
    "outcome",
    "requests",
    "result",
    "state",
    "type",
    "v",
];

const COUNTS: [&str; 12] = [
    "jobs",
    "succeeded",
    "failed",
    "cancelled",
    "lost",
    "timed_out",
    "gave_up",
    "rejected",
    "stopped",
    "requests",
    "failed_requests",
    "bulk_requests",
];

const MEANS: [&str; 6] = [
    "requests_per_job",
    "request_success_rate",
    "job_success_rate",
    "mean_response_s",
    "p99_response_s",
    "mean_detection_delay_s",
];

/// The object has these fields and no others, and its line no blanks.
#[track_caller]
fn has_fields<'f>(object: &Value, fields: impl IntoIterator<Item = &'f str>) {
    let found = object.as_object().map(|object| sorted(object.keys().map(String::as_str)));
    assert_eq!(found, Some(sorted(fields)), "{object}");
}

#[track_caller]
fn is_text_or_null(value: &Value) {
    assert!(value.is_string() || value.is_null(), "{value}");
}

#[track_caller]
fn is_number_or_null(value: &Value) {
    assert!(value.is_null() || number(value) >= 0.0, "{value}");
}

#[track_caller]
pub(crate) fn is_job_object(job: &Value) {
    has_fields(job, JOB_FIELDS);
    assert_eq!(job["v"], 1);
    assert_eq!(job["type"], "job");
    assert!(!text(&job["id"]).is_empty());
    for name in ["outcome", "state", "error"] {
        is_text_or_null(&job[name]);
    }
    assert!(job["requests"].as_u64() >= job["failed_requests"].as_u64() && job["requests"].is_u64(), "{job}");
    assert!(number(&job["elapsed_s"]) >= 0.0);
    is_number_or_null(&job["detection_delay_s"]);
    is_number_or_null(&job["detection_delay_max_s"]);
}

#[track_caller]
pub(crate) fn is_summary(summary: &Value) {
    has_fields(summary, COUNTS.into_iter().chain(MEANS).chain(["wall_s"]));
    assert!(COUNTS.iter().all(|name| summary[name].is_u64()), "{summary}");
    for name in MEANS {
        is_number_or_null(&summary[name]);
    }
    assert!(number(&summary["wall_s"]) >= 0.0);
    let ends: u64 = COUNTS[1..9].iter().filter_map(|name| summary[name].as_u64()).sum();
    assert_eq!(summary["jobs"], ends, "{summary}");
}

#[test]
fn sixty_jobs_end_as_they_ended_through_every_fault_there_is() {
    let simulator = simulator("uniform:20..40").fail_rate(0.2).faults(Faults::rate(0.25)).speed(25.0).seed(3);
    let simulator = simulator.start().unwrap();
    let ids = submit(&simulator.url(), 60);
    let flags = ["--attempt-timeout", "1s", "--max-failures", "100", "--json", "-"];
    let ran = tracker("wait", &simulator.url(), &flags).input(ids.join("\n")).run().exits_with(1);
    let (jobs, summary) = ran.report();

    let ledger = simulator.ledger();
    let truth: BTreeMap<&str, &str> = ledger.jobs.iter().map(|job| (&*job.id, word(job.outcome))).collect();
    let told: BTreeMap<&str, &str> = jobs.iter().map(|job| (text(&job["id"]), text(&job["outcome"]))).collect();
    assert_eq!((jobs.len(), told), (60, truth));

    // Throttling was met, and kept to.
    let met = |kind| ledger.requests.iter().filter(|entry| entry.fault == Some(kind)).count();
    assert!(met(FaultKind::Throttle) > 0 && met(FaultKind::Unavailable) > 0);
    assert!(ledger.asked_too_early().is_empty(), "{:#?}", ledger.asked_too_early());

    jobs.iter().for_each(is_job_object);
    is_summary(&summary);
    let sum = |name: &str| jobs.iter().filter_map(|job| job[name].as_u64()).sum::<u64>();
    assert_eq!(
        (summary["requests"].as_u64(), summary["failed_requests"].as_u64()),
        (Some(sum("requests")), Some(sum("failed_requests")))
    );
    assert!(sum("failed_requests") > 0);
    // One that breaks the connection of an earlier answer is repeated once, as after an idle time, and not counted.
    let looks = ledger.requests.iter().filter(|entry| &*entry.method == "GET").count() as u64;
    let breaks = (met(FaultKind::Reset) + met(FaultKind::Close)) as u64;
    assert!((looks - breaks..=looks).contains(&sum("requests")), "{} of {looks}, {breaks}", sum("requests"));
    // This backend tells the real end.
    for job in &jobs {
        assert!(number(&job["detection_delay_s"]) >= 0.0, "{job}");
    }
    assert!(summary["mean_detection_delay_s"].is_f64());
}

fn word(outcome: JobState) -> &'static str {
    if outcome == JobState::Succeeded { "succeeded" } else { "failed" }
}

#[test]
fn throttles_alone_are_kept_to_by_all_jobs() {
    let faults = Faults::rate(0.4).only(&[FaultKind::Throttle, FaultKind::Unavailable]);
    let simulator = simulator("uniform:5..10").faults(faults).speed(10.0).seed(5).start().unwrap();
    let ids = submit(&simulator.url(), 10);
    let ran = tracker("wait", &simulator.url(), &["-"]).input(ids.join("\n")).run().exits_with(0);
    assert_eq!(ran.ends(), sorted(ids.iter().map(|id| (id.as_str(), "succeeded"))));
    assert!(simulator.ledger().asked_too_early().is_empty());
    assert!(simulator.ledger().requests.iter().any(|entry| entry.fault.is_some()));
}

#[test]
fn text_has_three_columns_and_the_rest_goes_to_standard_error() {
    let backend = Backend::start(|asked| state(if asked.id() == "good" { "completed" } else { "error" }));
    let ran = tracker("wait", &backend.url(), &["good", "bad"]).run().exits_with(1);
    let rows = ran.rows();
    assert_eq!(rows[1], ["good", "succeeded", "completed"]);
    assert_eq!(rows[0][..2], ["bad", "failed"]);
    assert!(rows[0].len() == 3 && !rows[0][2].is_empty(), "{rows:?}");
    assert_eq!(rows.len(), 2);
    ran.complains(&["2 jobs: 1 succeeded, 1 failed; 2 requests, 1.0 a job"]);
}

#[test]
fn json_has_an_object_for_each_job_then_a_summary() {
    let backend = Backend::start(|asked| match (asked.id(), asked.earlier) {
        (_, 0) => state("pending"),
        ("bad", _) => state("error"),
        _ => state("completed"),
    });
    let ran = tracker("wait", &backend.url(), &["--json", "--concurrency", "1", "bad", "good"]).run().exits_with(1);
    let (jobs, summary) = ran.report();
    jobs.iter().for_each(is_job_object);
    is_summary(&summary);
    for line in ran.out.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value.to_string().len(), line.len(), "not compact: {line}");
        assert!(line.starts_with(r#"{"v":1,"type":""#), "{line}");
    }
    let job = |id: &str| jobs.iter().find(|job| job["id"] == id).unwrap();
    let (good, bad) = (job("good"), job("bad"));
    assert_eq!(
        (&good["outcome"], &good["state"], &good["requests"]),
        (&"succeeded".into(), &"completed".into(), &1.into())
    );
    assert_eq!((&bad["outcome"], &bad["state"], &bad["requests"]), (&"failed".into(), &"error".into(), &2.into()));
    assert!(good["error"].is_null() && bad["error"].is_string());
    // The delay is no measurement where nobody tells the end, and bounded where the job was seen unfinished.
    assert!(good["detection_delay_s"].is_null() && good["detection_delay_max_s"].is_null(), "{good}");
    assert!(bad["detection_delay_s"].is_null());
    assert!(number(&bad["detection_delay_max_s"]) <= number(&bad["elapsed_s"]), "{bad}");
    assert_eq!((&summary["jobs"], &summary["succeeded"], &summary["failed"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!((number(&summary["requests_per_job"]), number(&summary["job_success_rate"])), (1.5, 0.5));
    assert_eq!(summary["request_success_rate"], 1.0);
}

#[test]
fn ids_come_as_arguments_lines_addresses_and_printed_lines() {
    let backend = Backend::start(|_| state("completed"));
    let address = format!("{}/elsewhere/7?x=y", backend.url());
    let input = format!("\n  in-1  \n\n\nin-2\tfailed\twhy\twhy\n{address}\r\n\t\narg\n");
    let ran = tracker("wait", &backend.url(), &["arg", "-", "arg"]).input(input).run().exits_with(0);
    let expected = ["arg", "in-1", "in-2", &address].map(|id| (id, "succeeded"));
    assert_eq!(ran.ends(), sorted(expected));
    let paths = sorted(backend.asked().into_iter().map(|asked| asked.path));
    assert_eq!(paths, ["/elsewhere/7?x=y", "/status/arg", "/status/in-1", "/status/in-2"]);
}

#[test]
fn a_last_line_without_its_end_is_a_line() {
    let backend = Backend::start(|_| state("completed"));
    let ran = tracker("wait", &backend.url(), &["-"]).input("a\nb").run().exits_with(0);
    assert_eq!(ran.ends(), [("a", "succeeded"), ("b", "succeeded")]);
}

#[test]
fn what_submit_and_wait_print_can_be_waited_for() {
    let simulator = simulator("constant:1").speed(10.0).start().unwrap();
    let created = tracker("submit", &simulator.url(), &["--count", "4"]).run().exits_with(0);
    let waited = tracker("wait", &simulator.url(), &["-"]).input(created.out).run().exits_with(0);
    let again = tracker("wait", &simulator.url(), &["-"]).input(waited.out.clone()).run().exits_with(0);
    assert_eq!(again.rows(), waited.rows());
    assert_eq!(again.rows().len(), 4);
}

#[test]
fn addresses_alone_tell_where_the_backend_is() {
    let backend = Backend::start(|_| state("completed"));
    let address = format!("{}/status/a", backend.url());
    let ran = jobwatch(&["wait", "--api", "tracker", &address]).run().exits_with(0);
    assert_eq!(ran.ends(), [(address.as_str(), "succeeded")]);
}

#[test]
fn another_origin_gets_nothing() {
    let (backend, other) = (Backend::start(|_| state("completed")), Backend::start(|_| state("completed")));
    let address = format!("{}/status/a", other.url());
    let ran = tracker("wait", &backend.url(), &["--header", "x-api-key: hush", &address]).run().exits_with(4);
    assert_eq!(ran.ends(), [(address.as_str(), "rejected")]);
    assert!(other.asked().is_empty());
}

#[test]
fn odd_ids_are_asked_for_as_they_are() {
    let backend = Backend::start(|_| state("completed"));
    let ids = ["a/b", "a b", "ä?x=1#y", "%2e%2e", "...", "--x", "{\"id\":1}"];
    let ran = tracker("wait", &backend.url(), &["-"]).input(ids.join("\n")).run().exits_with(0);
    assert_eq!(ran.ends(), sorted(ids.map(|id| (id, "succeeded"))));
    let paths = sorted(backend.asked().into_iter().map(|asked| asked.path));
    let expected = ["a%2Fb", "a%20b", "%C3%A4%3Fx%3D1%23y", "%252e%252e", "...", "--x", "%7B%22id%22%3A1%7D"];
    assert_eq!(paths, sorted(expected.map(|id| format!("/status/{id}"))));
}

#[test]
fn no_ids_on_standard_input_are_a_success() {
    for flags in [&["--base-url", "http://127.0.0.1:9"][..], &[]] {
        let text = jobwatch(&["wait", "--api", "tracker"]).args(flags).args(&["-"]).run().exits_with(0);
        text.prints_nothing();
        let json = jobwatch(&["wait", "--api", "tracker", "--json"]).args(flags).args(&["-"]);
        let ran = json.input("\n \n").run().exits_with(0);
        let (jobs, summary) = ran.report();
        is_summary(&summary);
        assert!(jobs.is_empty() && COUNTS.iter().all(|name| summary[name] == 0), "{summary}");
        assert!(MEANS.iter().all(|name| summary[name].is_null()), "{summary}");
    }
}

#[test]
fn a_thousand_ids_on_standard_input() {
    let backend = Backend::start(|asked| state(if asked.id().ends_with('7') { "error" } else { "completed" }));
    let ids: Vec<String> = (0..1_000).map(|number| format!("job-{number:04}")).collect();
    let ran = tracker("wait", &backend.url(), &["--quiet", "--rate", "100000/s", "-"]);
    let ran = ran.input(ids.join("\n")).run().exits_with(1);
    let expected: Vec<_> =
        ids.iter().map(|id| (id.as_str(), if id.ends_with('7') { "failed" } else { "succeeded" })).collect();
    assert_eq!(ran.ends(), expected);
    assert_eq!(ran.err, "");
    assert_eq!(backend.asked().len(), 1_000);
}

#[test]
fn a_missing_id_is_a_missing_argument() {
    let ran = jobwatch(&["wait", "--api", "tracker", "--base-url", "http://127.0.0.1:9"]).run();
    ran.exits_with(2).prints_nothing().complains(&["ID|URL"]);
}

#[test]
fn each_outcome_is_printed_when_it_is_known() {
    let backend = Backend::start(|asked| state(if asked.id() == "soon" { "completed" } else { "pending" }));
    let running = tracker("wait", &backend.url(), &["late", "soon"]).start();
    assert_eq!(running.out().wait_for(|_| true), "soon\tsucceeded\tcompleted");
}

#[test]
fn changes_are_told_on_standard_error_unless_it_is_to_be_quiet() {
    let answer = |asked: &crate::backend::Asked| match asked.earlier {
        0 => state("pending"),
        1 => state("rendering"),
        _ => state("completed"),
    };
    let loud = Backend::start(answer);
    let ran = tracker("wait", &loud.url(), &["j"]).run().exits_with(0);
    assert_eq!(ran.out, "j\tsucceeded\tcompleted\n");
    ran.complains(&["j: pending", "j: rendering", "1 job: 1 succeeded; 3 requests"]);
    let quiet = Backend::start(answer);
    for flag in ["-q", "--quiet"] {
        let ran = tracker("wait", &quiet.url(), &[flag, "j"]).run().exits_with(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("j\tsucceeded\tcompleted\n", ""));
    }
}

#[test]
fn an_unknown_state_is_warned_of_once_for_each_word() {
    let backend = Backend::start(|asked| match asked.earlier {
        0..4 => state("melting"),
        4..8 => state("setting"),
        _ => state("completed"),
    });
    let ran = tracker("wait", &backend.url(), &["a", "b", "c"]).run().exits_with(0);
    for word in ["melting", "setting"] {
        let warned = ran.err.lines().filter(|line| line.contains("unknown to the dialect") && line.contains(word));
        assert_eq!(warned.count(), 1, "{ran:#?}");
    }
}

#[test]
fn what_the_backend_says_breaks_no_line_and_speaks_to_no_terminal() {
    let backend = Backend::start(|_| crate::backend::json(r#"{"result":"a\tb\nc\u001b[31m\u0007"}"#));
    let program = tracker("wait", &backend.url(), &["--max-polls", "1", "j"]);
    let ran = program.run().exits_with(4);
    assert_eq!(ran.out.lines().count(), 1);
    assert_eq!(ran.rows()[0].len(), 3);
    assert!(!ran.out.contains(['\u{1b}', '\u{7}']) && !ran.err.contains(['\u{1b}', '\u{7}']), "{ran:#?}");
}
