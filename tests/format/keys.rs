//! One effect of every key; what the keys do together is in the files beside this one.

use core::time::Duration;
use std::collections::BTreeSet;

use http_support::{START, World, at, dialect, every_second, job, millis, reply, rng, script, secs, state};
use jobwatch::Observation::{Cancelled, Failed, Lost, Pending, Running, Succeeded};
use jobwatch::{
    Backend, Cancel, CancelAction, Hint, HintSource, JobRef, LookError, Observation, Outcome, Policy, Status, Submit,
};
use serde_json::json;

use crate::{backend, create, http_support, look, read, with};

type Effect = (&'static str, fn());

/// Keys that only a fleet's shared requests make use of; `bulk.max` tells that there are such.
const OF_BULK: [&str; 9] = [
    "bulk.path",
    "bulk.separator",
    "bulk.items",
    "bulk.id",
    "bulk.state",
    "bulk.next",
    "bulk.next_parameter",
    "bulk.detail",
    "bulk.max",
];

const EFFECTS: &[Effect] = &[
    ("name", || assert_eq!(with("").name(), "plain")),
    ("about", || assert_eq!(with("about = \"a kiln\"").about(), "a kiln")),
    ("base_url", || {
        let own = Backend::new(with("base_url = \"https://own.example/v2\""), None).unwrap();
        assert_eq!(look(&own).uri(), "https://own.example/v2/jobs/a%20b");
        assert!(Backend::new(with(""), None).is_err());
    }),
    ("untried", || assert!(with("untried = true").is_untried() && !with("").is_untried())),
    ("max_body", || {
        assert_eq!(backend("max_body = 1000").max_body(), 1000);
        assert_eq!(backend("").max_body(), 16 * 1024 * 1024);
    }),
    ("freshness", || {
        let dialect = with("freshness = \"10s\"");
        assert_eq!(dialect.freshness(), secs(10));
        assert_eq!(dialect.policy().build().unwrap().min_delay(), secs(10));
    }),
    ("create.method", || {
        assert_eq!(create(&backend("create.path = \"/jobs\""), "").method(), "POST");
        assert_eq!(create(&backend("create.path = \"/jobs\"\ncreate.method = \"PUT\""), "").method(), "PUT");
    }),
    ("create.path", || {
        let request = create(&backend("create.path = \"/jobs?mode=fast\""), "");
        assert_eq!(request.uri(), "https://api.example.com/v1/jobs?mode=fast");
        assert!(with("create.path = \"/jobs\"").can_create() && !with("").can_create());
        for base in ["https://api.example.com/", "https://api.example.com/v1", "https://api.example.com/v1/"] {
            for query in ["", "?mode=fast"] {
                let dialect = with(&format!("create.path = \"{query}\""));
                let request = create(&Backend::new(dialect, Some(base)).unwrap(), "");
                assert_eq!(request.uri().to_string(), format!("{base}{query}"));
            }
        }
    }),
    ("create.headers", || {
        let backend =
            backend("create.path = \"/jobs\"\ncreate.headers = { X-Version = \"7\", Accept = \"text/plain\" }");
        let request = create(&backend, "");
        assert_eq!(
            (&request.headers()["x-version"], &request.headers()["accept"]),
            (&"7".parse().unwrap(), &"text/plain".parse().unwrap())
        );
        assert!(!look(&backend).headers().contains_key("x-version"));
    }),
    ("create.body", || {
        let request = create(&backend("create.path = \"/jobs\"\ncreate.body = { mode = \"fast\" }"), "{\"clay\":1}");
        assert_eq!(body(request.body()), json!({ "clay": 1, "mode": "fast" }));
    }),
    ("create.idempotency_header", || {
        let text = "create.path = \"/jobs\"\ncreate.idempotency_header = \"Idempotency-Key\"";
        assert!(create(&backend(text), "").headers().contains_key("idempotency-key"));
    }),
    ("create.idempotency_ttl", || {
        let known_for = |ttl| requests_of_a_create(ttl, 503, "");
        assert!(known_for("3s") < known_for("3m"));
    }),
    ("create.in_progress", || {
        assert_eq!(requests_of_a_create("1h", 409, r#"{"code":"in_flight"}"#), 5);
        assert_eq!(requests_of_a_create("1h", 409, r#"{"code":"exists"}"#), 1);
    }),
    ("job.id", || assert_eq!(created("job.id = \"/data/ids\"", r#"{"data":{"ids":["x","y"]}}"#), ["x", "y"])),
    ("job.expected_duration", || {
        let mut world = World::new(script(vec![reply(201, &[], r#"{"id":"x","takes":30}"#), state("done")]));
        let backend = backend("create.path = \"/jobs\"\njob = { id = \"/id\", expected_duration = \"/takes\" }");
        let jobs = submitted(&mut world, &backend);
        world.wait(&backend, every_second(), jobs[0].clone());
        assert!(world.sent[1].at >= at(secs(30)));
    }),
    ("job.poll_url", || {
        let mut world =
            World::new(script(vec![reply(201, &[], r#"{"id":"x","urls":{"get":"/v1/there"}}"#), state("done")]));
        let backend = backend("create.path = \"/jobs\"\njob = { id = \"/id\", poll_url = \"/urls/get\" }");
        let jobs = submitted(&mut world, &backend);
        world.wait(&backend, every_second(), jobs[0].clone());
        assert_eq!((jobs[0].id(), world.urls()[1]), ("x", "https://api.example.com/v1/there"));
    }),
    ("poll.path", || assert_eq!(look(&backend("")).uri(), "https://api.example.com/v1/jobs/a%20b")),
    ("poll.method", || assert_eq!(look(&backend("poll.method = \"POST\"")).method(), "POST")),
    ("poll.headers", || {
        assert_eq!(look(&backend("poll.headers = { X-Version = \"7\" }")).headers()["x-version"], "7");
    }),
    ("poll.id", || {
        let another = reply(200, &[], r#"{"id":"b","state":"broken"}"#);
        let mut world = World::new(script(vec![another, reply(200, &[], r#"{"id":"a","state":"done"}"#)]));
        let finished = world.wait(&backend("poll.id = \"/id\""), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.failed_requests), (Outcome::Succeeded, 1));
    }),
    ("envelope.pointer", || {
        let observation = observe("envelope.pointer = \"/error\"", r#"{"error":"busy","state":"done"}"#);
        assert_eq!(observation, Observation::Transient { error: LookError::Envelope, hint: None });
    }),
    ("envelope.ok", || {
        let keys = "envelope = { pointer = \"/code\", ok = [0, \"fine\"] }";
        for good in ["0", "\"0\"", "\"FINE\""] {
            assert_eq!(observe(keys, &format!(r#"{{"code":{good},"state":"done"}}"#)), Succeeded);
        }
    }),
    ("envelope.throttled", || {
        let observation = observe("envelope = { pointer = \"/code\", throttled = [7] }", r#"{"code":7}"#);
        assert_eq!(observation, Observation::Throttled { error: LookError::Envelope, hint: None });
    }),
    ("envelope.lost", || {
        let observation = observe("envelope = { pointer = \"/code\", lost = [\"gone\"] }", r#"{"code":"Gone"}"#);
        assert_eq!(observation, Lost { definite: false });
    }),
    ("envelope.fatal", || {
        let observation = observe("envelope = { pointer = \"/code\", fatal = [true] }", r#"{"code":true}"#);
        assert_eq!(observation, Observation::Fatal { error: LookError::Envelope });
    }),
    ("state.pointer", || {
        let text = "name = \"x\"\npoll.path = \"/{id}\"\n[state]\npointer = [\"/a\", { header = \"X-State\" }]\nsucceeded = [\"done\"]";
        let dialect = dialect(text);
        assert_eq!(read(&dialect, 200, &[("x-state", "working")], r#"{"a":"done"}"#).observation, Succeeded);
        assert_eq!(read(&dialect, 200, &[("x-state", "done")], "<html>").observation, Succeeded);
    }),
    ("state.pending", || {
        assert_eq!(observe("state.pending = [\"new\"]", r#"{"state":"new"}"#), Pending { hint: None });
    }),
    ("state.running", || assert_eq!(read(&with(""), 200, &[], r#"{"state":"working"}"#).rule, jobwatch::Rule::Word)),
    ("state.succeeded", || assert_eq!(observe("", r#"{"state":"done"}"#), Succeeded)),
    ("state.failed", || assert_eq!(observe("", r#"{"state":"broken"}"#), Failed)),
    ("state.cancelled", || assert_eq!(observe("state.cancelled = [\"cut\"]", r#"{"state":"cut"}"#), Cancelled)),
    ("state.lost", || assert_eq!(observe("state.lost = [0]", r#"{"state":0}"#), Lost { definite: false })),
    ("state.status", || {
        let dialect = with("state.status = { 409 = \"failed\", 204 = \"succeeded\" }");
        assert_eq!(read(&dialect, 409, &[], "").observation, Failed);
        assert_eq!(read(&dialect, 204, &[], "").observation, Succeeded);
    }),
    ("state.unknown", || {
        let unknown = |keys| observe(keys, r#"{"state":"?"}"#);
        assert_eq!(unknown("state.unknown = \"running\""), Running { hint: None });
        let error = LookError::UnknownState;
        assert_eq!(unknown("state.unknown = \"error\""), Observation::Transient { error, hint: None });
    }),
    ("state.missing", || {
        let missing = |class| observe(&format!("state.missing = \"{class}\""), "{}");
        assert_eq!(missing("error"), Observation::Transient { error: LookError::Malformed, hint: None });
        assert_eq!((missing("pending"), missing("running")), (Pending { hint: None }, Running { hint: None }));
        assert_eq!((missing("succeeded"), missing("failed")), (Succeeded, Failed));
        assert_eq!((missing("cancelled"), missing("lost")), (Cancelled, Lost { definite: false }));
    }),
    ("refine.when", || assert_eq!(refined("present = \"/x\""), [Failed, Succeeded, Succeeded])),
    ("refine.then", || assert_eq!(refined("present = \"/x\""), [Failed, Succeeded, Succeeded])),
    ("refine.present", || assert_eq!(refined("present = \"/x\""), [Failed, Succeeded, Succeeded])),
    ("refine.absent", || assert_eq!(refined("absent = \"/x\""), [Succeeded, Failed, Failed])),
    ("refine.at", || assert_eq!(refined("at = \"/x\"\nequals = 1"), [Failed, Succeeded, Succeeded])),
    ("refine.equals", || assert_eq!(refined("at = \"/x\"\nequals = 2"), [Succeeded, Succeeded, Succeeded])),
    ("refine.for", || {
        let keys = "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\nfor = \"10s\"";
        let finished = World::new(script(vec![state("done")])).wait(&backend(keys), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.elapsed), (Outcome::Succeeded, secs(10)));
    }),
    ("refine.ask_again", || {
        let keys = "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\nask_again = \"30s\"";
        let mut world = World::new(script(vec![state("done"), reply(200, &[], r#"{"state":"done","url":1}"#)]));
        let finished = world.wait(&backend(keys), every_second(), job("a"));
        assert!(finished.elapsed >= secs(30) && finished.elapsed <= secs(31), "{:?}", finished.elapsed);
    }),
    ("error.pointer", || {
        let dialect = with("error.pointer = [\"/why\", \"/error\"]");
        let message = |status, body| read(&dialect, status, &[], body).message;
        assert_eq!(message(200, r#"{"state":"broken","why":"too hot"}"#).as_deref(), Some("too hot"));
        assert_eq!(message(400, r#"{"error":{"is":"long"}}"#).as_deref(), Some(r#"{"is":"long"}"#));
    }),
    ("error.code", || {
        let quota = |code| read(&with("error = { code = \"/code\", quota = [\"spent\"] }"), 429, &[], code).observation;
        assert_eq!(quota(r#"{"code":"Spent"}"#), Observation::Fatal { error: LookError::Status(429) });
        assert_eq!(quota(r#"{"code":"slow"}"#), Observation::Throttled { error: LookError::Status(429), hint: None });
    }),
    ("error.quota", || {
        let dialect = with("error = { code = { header = \"X-Code\" }, quota = [17] }");
        let observation = read(&dialect, 429, &[("x-code", "17")], "").observation;
        assert_eq!(observation, Observation::Fatal { error: LookError::Status(429) });
    }),
    ("result.pointer", || {
        let result = |body| read(&with("result.pointer = [\"/video\", \"/image\"]"), 200, &[], body).result;
        assert_eq!(result(r#"{"state":"done","video":null,"image":7}"#), Some(json!(7)));
        assert_eq!(result(r#"{"state":"done"}"#), None);
    }),
    ("result.follow", || {
        let mut world =
            World::new(script(vec![reply(200, &[], r#"{"state":"done","at":"/v1/r"}"#), reply(200, &[], "[1]")]));
        let finished = world.wait(&backend("result.follow = \"/at\""), every_second(), job("a"));
        assert_eq!((finished.result, world.urls()[1]), (Some(json!([1])), "https://api.example.com/v1/r"));
    }),
    ("result.path", || {
        let mut world = World::new(script(vec![state("done"), reply(200, &[], "[1]")]));
        let finished = world.wait(&backend("result.path = \"/jobs/{id}/result\""), every_second(), job("a"));
        assert_eq!((finished.result, world.urls()[1]), (Some(json!([1])), "https://api.example.com/v1/jobs/a/result"));
    }),
    ("progress.pointer", || assert_eq!(progress("progress.pointer = \"/p\"", "0.25"), Some(0.25))),
    ("progress.of", || assert_eq!(progress("progress = { pointer = \"/p\", of = 8 }", "2"), Some(0.25))),
    ("progress.queue", || {
        let reading = read(&with("progress.queue = \"/ahead\""), 200, &[], r#"{"state":"working","ahead":3}"#);
        assert_eq!(reading.queue_position, Some(3));
    }),
    ("times.created", || {
        let reading = read(&with("times.created = \"/t\""), 200, &[], r#"{"state":"working","t":1700000000}"#);
        assert_eq!(reading.created_at, Some(START));
    }),
    ("times.started", || {
        let reading =
            read(&with("times.started = [\"/t\", \"/u\"]"), 200, &[], r#"{"state":"working","u":1700000000}"#);
        assert_eq!(reading.started_at, Some(START));
    }),
    ("times.ended", || {
        let dialect = with("times.ended = { header = \"X-Ended\" }");
        let reading = read(&dialect, 200, &[("x-ended", "Tue, 14 Nov 2023 22:13:20 GMT")], r#"{"state":"done"}"#);
        assert_eq!(reading.ended_at, Some(START));
    }),
    ("hints.header", || {
        assert_eq!(hint("hints.header = \"X-After\""), (Some(secs(3)), Some(HintSource::DialectHeader)));
    }),
    ("hints.pointer", || assert_eq!(hint("hints.pointer = \"/after\""), (Some(secs(5)), Some(HintSource::Body)))),
    ("hints.unit", || {
        assert_eq!(hint("hints = { header = \"X-After\", unit = \"milliseconds\" }").0, Some(millis(3)));
        assert_eq!(hint("hints = { pointer = \"/after\", unit = \"seconds\" }").0, Some(secs(5)));
    }),
    ("cancel.method", || {
        assert_eq!(cancel("cancel.path = \"/jobs/{id}\"").unwrap().method(), "POST");
        assert_eq!(cancel("cancel = { path = \"/jobs/{id}\", method = \"DELETE\" }").unwrap().method(), "DELETE");
    }),
    ("cancel.path", || {
        let request = cancel("cancel.path = \"/jobs/{id}/cancel\"").unwrap();
        assert_eq!(request.uri(), "https://api.example.com/v1/jobs/a/cancel");
    }),
    ("cancel.headers", || {
        let request = cancel("cancel = { path = \"/jobs/{id}\", headers = { X-Version = \"7\" } }").unwrap();
        assert_eq!(request.headers()["x-version"], "7");
    }),
    ("cancel.url", || {
        let request = cancel("cancel.url = \"/cancel_at\"").unwrap();
        assert_eq!(request.uri(), "https://api.example.com/v1/stop/a");
        assert!(cancel("cancel.url = \"/nowhere\"").is_none());
    }),
    ("trust.credential_headers", || {
        let dialect = with("trust.credential_headers = [\"X-Api-Key\", \"Authorization\"]");
        assert_eq!(dialect.credential_headers().collect::<Vec<_>>(), ["x-api-key", "authorization"]);
    }),
    ("trust.env", || {
        let dialect = with("trust = { credential_headers = [\"X-Api-Key\"], env = \"KILN_KEY\" }");
        assert_eq!(
            (dialect.key_variable(), dialect.key_header("k")),
            (Some("KILN_KEY"), Some(("x-api-key", "k".into())))
        );
    }),
    ("trust.prefix", || {
        let dialect = with("trust = { credential_headers = [\"Authorization\"], env = \"K\", prefix = \"Key \" }");
        assert_eq!(dialect.key_header("k"), Some(("authorization", "Key k".into())));
    }),
    ("trust.allowed_origins", || {
        let moved = || script(vec![reply(302, &[("location", "https://eu.example.com/a")], ""), state("done")]);
        let outcome = |keys| World::new(moved()).wait(&backend(keys), every_second(), job("a")).outcome;
        assert_eq!(outcome("trust.allowed_origins = [\"https://eu.example.com\"]"), Outcome::Succeeded);
        assert_eq!(outcome(""), Outcome::Rejected);
    }),
    ("defaults.min_delay", || assert_eq!(policy("min_delay = \"3s\"").min_delay(), secs(3))),
    ("defaults.max_delay", || assert_eq!(policy("max_delay = \"3m\"").max_delay(), Some(secs(180)))),
    ("defaults.factor", || {
        assert_eq!(policy("factor = 3").spacing(), jobwatch::Spacing::Exponential { factor: 3.0 });
    }),
    ("defaults.timeout", || assert_eq!(policy("timeout = \"1h30m\"").total_timeout(), Some(secs(5_400)))),
    ("defaults.attempt_timeout", || assert_eq!(policy("attempt_timeout = \"500ms\"").attempt_timeout(), millis(500))),
    ("defaults.max_retry_after", || assert_eq!(policy("max_retry_after = \"3m\"").max_retry_after(), secs(180))),
];

#[test]
fn each_key_has_an_effect() {
    for (key, effect) in EFFECTS {
        println!("{key}");
        effect();
    }
}

#[test]
fn every_documented_key_is_in_the_table() {
    let documented = documented_keys();
    let tested = EFFECTS.iter().map(|(key, _)| *key).chain(OF_BULK).map(str::to_owned).collect();
    let missing: Vec<_> = documented.difference(&tested).collect();
    let unknown: Vec<_> = tested.difference(&documented).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not tested: {missing:?}; not documented: {unknown:?}");
}

#[test]
fn bulk_tells_how_many_jobs_a_request_asks_for() {
    assert_eq!(with("").bulk_limit(), None);
    let bulk = "[bulk]\npath = \"/s?ids={ids}\"\nmax = 50\nitems = \"/data\"\nid = \"/id\"\nnext = \"/next\"\n\
                next_parameter = \"token\"\nseparator = \";\"\ndetail = true\n[bulk.state]\npointer = \"/s\"\nsucceeded = [1]";
    assert_eq!(with(bulk).bulk_limit(), Some(50));
}

/// The keys that `format.md` has in its table, with their sections.
fn documented_keys() -> BTreeSet<String> {
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let (mut keys, mut section) = (BTreeSet::new(), String::new());
    let rows = include_str!("../../src/dialect/format.md").lines().filter(|line| line.starts_with("| "));
    for row in rows.skip(1) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let mut names = words(cells[1]);
        if let Some(name) = names[0].strip_prefix('[') {
            section = format!("{}.", name.trim_matches(['[', ']']));
            // Of these the keys stand beside the section's name.
            names = match name {
                "times]" | "defaults]" => words(cells[2]),
                _ => Vec::new(),
            };
        }
        keys.extend(names.into_iter().map(|name| format!("{section}{name}")));
    }
    keys
}

fn observe(keys: &str, body: &str) -> Observation {
    read(&with(keys), 200, &[], body).observation
}

/// What a success with `x` = 1, one with `x` = null and one without `x` are, under this condition of a failure.
fn refined(condition: &str) -> [Observation; 3] {
    let keys = format!("[[refine]]\nwhen = \"succeeded\"\nthen = \"failed\"\n{condition}");
    [r#","x":1"#, r#","x":null"#, ""].map(|rest| observe(&keys, &format!(r#"{{"state":"done"{rest}}}"#)))
}

fn progress(keys: &str, json: &str) -> Option<f64> {
    read(&with(keys), 200, &[], &format!(r#"{{"state":"working","p":{json}}}"#)).progress
}

fn hint(keys: &str) -> (Option<Duration>, Option<HintSource>) {
    let reading = read(&with(keys), 200, &[("x-after", "3")], r#"{"state":"working","after":5}"#);
    let Running { hint } = reading.observation else { panic!("{reading:?}") };
    (hint.map(Hint::delay), reading.hint_source)
}

fn policy(keys: &str) -> Policy {
    with(&format!("[defaults]\n{keys}")).policy().build().unwrap()
}

fn body(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The request that cancels a job whose look told `cancel_at`; `None` where nobody knows how.
fn cancel(keys: &str) -> Option<http::Request<Vec<u8>>> {
    let backend = backend(keys);
    let looked = reply(200, &[], r#"{"state":"working","cancel_at":"https://api.example.com/v1/stop/a"}"#);
    let policy = every_second().build().unwrap();
    let finished = World::new(script(vec![looked])).wait(&backend, policy.one_look().to_builder(), job("a"));
    let mut cancel = Cancel::new(&backend, policy, Status::of(finished), START, &mut rng(1));
    match cancel.poll(START) {
        CancelAction::Send { request, .. } => Some(request),
        _ => None,
    }
}

fn created(keys: &str, answer: &str) -> Vec<String> {
    let backend = backend(&format!("create.path = \"/jobs\"\n{keys}"));
    let jobs = submitted(&mut World::new(script(vec![reply(201, &[], answer)])), &backend);
    jobs.iter().map(|job| job.id().to_owned()).collect()
}

/// How many requests a create sends that is always answered so.
fn requests_of_a_create(ttl: &str, status: u16, answer: &str) -> usize {
    let keys = format!(
        "create = {{ path = \"/jobs\", idempotency_header = \"K\", idempotency_ttl = \"{ttl}\", in_progress = [\"in_flight\"] }}\n\
         error.code = \"/code\""
    );
    let mut world = World::new(script(vec![reply(status, &[], answer)]));
    submitted(&mut world, &backend(&keys));
    assert!(world.sent.iter().all(|sent| sent.at <= at(secs(3_600))));
    world.sent.len()
}

/// The jobs that are created; none where the create fails.
fn submitted<F>(world: &mut World<F>, backend: &Backend) -> Vec<JobRef>
where
    F: FnMut(&http::Request<Vec<u8>>, Duration) -> http_support::Reply,
{
    let policy = every_second().build().unwrap();
    world.submit(&mut Submit::new(backend, policy, Vec::new(), world.clock, &mut rng(1))).unwrap_or_default()
}
