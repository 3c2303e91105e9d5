//! The wire of `heygen-v3`, and what is surprising about it.

use std::collections::HashSet;
use std::time::Duration;

use jobwatch_simulator::{Api, CREATED_AT, Durations, ENDED_AT, FaultKind, Faults, JobState, LONGEST, Simulator};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::wire::{ended_at_once, never_ending};

const TRANSLATIONS: &str = "/v3/video-translations";

fn create_with(client: &mut Client, headers: &[(&str, &str)], body: &Value) -> Answer {
    client.ask_with("POST", TRANSLATIONS, headers, &body.to_string())
}

/// One job for each language.
fn create(client: &mut Client, languages: &[&str]) -> Vec<String> {
    let answer = create_with(client, &[], &json!({ "output_languages": languages }));
    assert_eq!(answer.status, 200);
    ids(&answer)
}

fn ids(answer: &Answer) -> Vec<String> {
    let ids = answer.json()["data"]["video_translation_ids"].clone();
    serde_json::from_value(ids).expect("an array of ids")
}

fn detail(client: &mut Client, id: &str) -> Answer {
    client.get(&format!("{TRANSLATIONS}/{id}"))
}

fn statuses(client: &mut Client, ids: &str) -> Answer {
    client.get(&format!("{TRANSLATIONS}/statuses?video_translation_ids={ids}"))
}

fn code(answer: &Answer) -> String {
    let error = &answer.json()["error"];
    assert!(error["message"].is_string(), "{error}");
    error["code"].as_str().expect("a code").to_owned()
}

/// The URL of a job's video without its origin, asked for until it is there.
fn video_path(client: &mut Client, simulator: &Simulator, id: &str) -> String {
    loop {
        let told = detail(client, id).json();
        if let Some(url) = told["data"]["video_url"].as_str() {
            return url.strip_prefix(&simulator.url()).expect("the same origin").to_owned();
        }
        assert_ne!(told["data"]["status"], "failed", "{told}");
        std::thread::yield_now();
    }
}

#[test]
fn a_create_makes_one_job_for_each_language() {
    let simulator = never_ending().api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let body = json!({"output_languages": ["Spanish (Spain)", "French (France)"], "title": "Two"});
    let created = create_with(&mut client, &[], &body);
    let ids = ids(&created);
    assert_eq!(ids.len(), 2);

    let told = detail(&mut client, &ids[1]);
    assert_eq!(told.status, 200);
    assert_eq!(told.time(CREATED_AT), created.time(CREATED_AT));
    assert_eq!(told.header(ENDED_AT), None);
    let seconds = created.time(CREATED_AT).unwrap() / 1_000_000_000;
    let data = json!({
        "id": ids[1], "status": "pending", "title": "Two", "output_language": "French (France)",
        "created_at": seconds,
    });
    assert_eq!(told.json(), json!({ "data": data }));

    let one = create(&mut client, &["German"]);
    let ledger = simulator.ledger();
    let kept: Vec<&str> = ledger.jobs.iter().map(|job| &*job.id).collect();
    assert_eq!(kept, [&ids[0], &ids[1], &one[0]]);
    let made: Vec<&str> = ledger.requests[0].job_ids.iter().map(|id| &**id).collect();
    assert_eq!((made, ledger.requests[0].job_id.as_deref()), (kept[..2].to_vec(), None));
    assert_eq!((&ledger.requests[2].job_ids[..], ledger.requests[2].job_id.as_deref()), (&[][..], Some(&*one[0])));
    assert!(ledger.requests.iter().all(|entry| !entry.bulk));
}

#[test]
fn bad_creates_are_refused_and_make_nothing() {
    let simulator = never_ending().api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let too_many = json!({"output_languages": vec!["x"; 101]}).to_string();
    for body in [
        "",
        "no JSON",
        "[]",
        "{}",
        r#"{"output_languages":[]}"#,
        r#"{"output_languages":"x"}"#,
        r#"{"output_languages":["x",1]}"#,
        r#"{"output_languages":["x",""]}"#,
        &too_many,
    ] {
        let answer = client.ask_with("POST", TRANSLATIONS, &[], body);
        assert_eq!((answer.status, code(&answer)), (400, "invalid_parameter".into()), "{body}");
        assert!(answer.json()["error"]["param"].is_string());
    }
    let long = "k".repeat(256);
    for key in ["", "a b", "a/b", "ü", &long] {
        let answer = create_with(&mut client, &[("Idempotency-Key", key)], &json!({"output_languages": ["x"]}));
        assert_eq!((answer.status, code(&answer)), (400, "invalid_parameter".into()), "{key}");
        assert_eq!(answer.json()["error"]["param"], "Idempotency-Key");
    }
    assert_eq!(simulator.ledger().jobs_created, 0);
}

#[test]
fn a_key_replays_its_create_and_refuses_another_body() {
    let simulator = never_ending().api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let body = json!({"output_languages": ["x", "y"]});
    let key = [("Idempotency-Key", "A-z_0:9.")];
    let first = create_with(&mut client, &key, &body);
    let again = create_with(&mut client, &key, &body);
    assert_eq!((first.json(), first.time(CREATED_AT)), (again.json(), again.time(CREATED_AT)));
    let other = create_with(&mut client, &key, &json!({"output_languages": ["x"]}));
    assert_eq!((other.status, code(&other)), (409, "idempotency_mismatch".into()));
    let elsewhere = create_with(&mut client, &[("Idempotency-Key", "b")], &body);
    assert_ne!(first.json(), elsewhere.json());
    let ledger = simulator.ledger();
    assert_eq!(ledger.jobs_created, 4);
    assert_eq!(ledger.requests[0].job_ids, ledger.requests[1].job_ids);
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    // 24 simulated hours are 86 real nanoseconds.
    let simulator = never_ending().api(Api::HeygenV3).speed(1e12).start().unwrap();
    let mut client = Client::new(&simulator);
    let mut made = || ids(&create_with(&mut client, &[("Idempotency-Key", "k")], &json!({"output_languages": ["x"]})));
    assert_ne!(made(), made());
}

#[test]
fn a_job_is_pending_then_running_then_at_its_end() {
    for (fail_rate, end) in [(0.0, "completed"), (1.0, "failed")] {
        // Ever longer jobs: on however slow a machine, one is seen in the middle of its life.
        let lengths: Vec<Duration> = (0..14).map(|n| Duration::from_millis(20 << n)).collect();
        let simulator = Simulator::builder().durations(Durations::list(lengths).unwrap()).fail_rate(fail_rate);
        let simulator = simulator.api(Api::HeygenV3).start().unwrap();
        let mut client = Client::new(&simulator);
        loop {
            let id = create(&mut client, &["x"]).remove(0);
            let mut seen = Vec::new();
            while seen.last().is_none_or(|word| word != end) {
                let word = detail(&mut client, &id).json()["data"]["status"].as_str().unwrap().to_owned();
                if seen.last() != Some(&word) {
                    seen.push(word);
                }
            }
            assert!(["pending", "running", end].ends_with(&seen.iter().map(String::as_str).collect::<Vec<_>>()[1..]));
            if seen.len() == 3 {
                break;
            }
        }
    }
}

#[test]
fn a_completed_job_has_no_url_at_first() {
    // Slow motion: the job ends after a millisecond, its URL comes after weeks.
    let simulator = ended_at_once().fail_rate(0.0).speed(1e-6).api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let id = create(&mut client, &["x"]).remove(0);
    let told = loop {
        let told = detail(&mut client, &id);
        if told.json()["data"]["status"] == "completed" {
            break told;
        }
        std::thread::yield_now();
    };
    let data = told.json()["data"].clone();
    assert_eq!(data.get("video_url"), Some(&Value::Null));
    assert!(data["duration"].is_number());
    assert_eq!(told.time(ENDED_AT), Some(simulator.ledger().jobs[0].ended_at_ns));
}

#[test]
fn a_failed_job_says_so() {
    let simulator = ended_at_once().fail_rate(1.0).api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let id = create(&mut client, &["x"]).remove(0);
    let data = detail(&mut client, &id).json()["data"].clone();
    assert_eq!(data["status"], "failed");
    assert!(data["failure_message"].is_string() && data.get("video_url").is_none());
}

#[test]
fn a_presigned_url_serves_a_file_and_wants_no_key() {
    let simulator = ended_at_once().fail_rate(0.0).speed(1e6).api_key("secret").api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    simulator.set_api_key("");
    let id = create(&mut client, &["x"]).remove(0);
    let path = video_path(&mut client, &simulator, &id);
    simulator.set_api_key("secret");

    let file = client.get(&path);
    assert_eq!((file.status, file.header("content-type")), (200, Some("video/mp4")));
    assert_eq!((&file.body[4..12], file.body.len()), ("ftypmp42", 24 + 264));
    assert_eq!(client.get(&path).body, file.body);
    let job = &simulator.ledger().jobs[0];
    assert_eq!(file.time(ENDED_AT), Some(job.ended_at_ns));

    for header in [("X-Api-Key", "secret"), ("Authorization", "Bearer secret"), ("x-api-key", "")] {
        let refused = client.ask_with("GET", &path, &[header], "");
        assert_eq!((refused.status, code(&refused)), (400, "invalid_request".into()));
    }
    let (bare, query) = path.split_once('?').unwrap();
    let expires = query.split(['=', '&']).nth(1).unwrap();
    let later = path.replace(expires, &format!("{expires}0"));
    let other = path.replace(&id, "other");
    for bad in [bare, &format!("{bare}?Expires={expires}"), &format!("{path}0"), &later, &other] {
        let refused = client.get(bad);
        assert_eq!((refused.status, code(&refused)), (403, "access_denied".into()), "{bad}");
    }
}

#[test]
fn the_status_of_many_has_other_words_another_order_and_no_urls() {
    let mut some = HashSet::new();
    for (builder, fail_rate, word) in
        [(never_ending(), 0.0, "queued"), (ended_at_once(), 0.0, "completed"), (ended_at_once(), 1.0, "failed")]
    {
        let simulator = builder.fail_rate(fail_rate).api(Api::HeygenV3).start().unwrap();
        let mut client = Client::new(&simulator);
        let mut asked = create(&mut client, &["a", "b", "c"]);
        asked.push("nobody".to_owned());
        for separator in [",", "%2C"] {
            let told = statuses(&mut client, &asked.join(separator));
            assert_eq!((told.status, told.header(CREATED_AT), told.header(ENDED_AT)), (200, None, None));
            let told = told.json();
            assert_eq!((&told["has_more"], &told["next_token"]), (&json!(false), &Value::Null));
            let entries = told["data"].as_array().unwrap();
            assert!(entries.len() == asked.len() || entries.len() + 1 == asked.len());
            let order: Vec<&str> = entries.iter().map(|entry| entry["video_id"].as_str().unwrap()).collect();
            assert_ne!(order, asked);
            for entry in entries {
                let expected = if entry["video_id"] == "nobody" { "not_found" } else { word };
                assert_eq!(entry["status"], expected);
                assert_eq!(entry.as_object().unwrap().len(), 2);
                some.insert(expected);
            }
        }
    }
    assert_eq!(some.len(), 4);
}

#[test]
fn the_status_of_many_leaves_one_out_now_and_then() {
    let losses = |seed| {
        let simulator = never_ending().seed(seed).api(Api::HeygenV3).start().unwrap();
        let mut client = Client::new(&simulator);
        let all = create(&mut client, &["a", "b", "c"]).join(",");
        let told = (0..400).map(|_| statuses(&mut client, &all).json()["data"].as_array().unwrap().len());
        told.collect::<Vec<_>>()
    };
    let first = losses(1);
    assert!(first.iter().all(|entries| (2..=3).contains(entries)));
    let lost = first.iter().filter(|entries| **entries == 2).count();
    assert!((5..=45).contains(&lost), "{lost}");
    assert_eq!(first, losses(1));
    assert_ne!(first, losses(2));
}

#[test]
fn the_status_of_many_is_for_1_to_100() {
    let simulator = never_ending().api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let (most, too_many) = (vec!["x"; 100].join(","), vec!["x"; 101].join(","));
    assert_eq!(statuses(&mut client, &most).status, 200);
    for bad in ["", ",", &too_many] {
        let refused = statuses(&mut client, bad);
        assert_eq!((refused.status, code(&refused)), (400, "invalid_parameter".into()));
    }
    assert_eq!(detail(&mut client, "statuses").status, 400);
}

#[test]
fn a_cancelled_job_is_not_found() {
    let simulator = never_ending().api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let id = create(&mut client, &["x"]).remove(0);
    let path = format!("{TRANSLATIONS}/{id}");
    let cancelled = client.ask("DELETE", &path).unwrap();
    assert_eq!((cancelled.status, cancelled.json()), (200, json!({"data": {"id": id}})));

    let ledger = simulator.ledger();
    let job = &ledger.jobs[0];
    assert_eq!((job.outcome, job.ended_at_ns), (JobState::Cancelled, ledger.requests[1].at_ns));
    assert_eq!(cancelled.time(ENDED_AT), Some(job.ended_at_ns));
    assert_eq!(ledger.requests[1].job_id.as_deref(), Some(&*id));
    assert_eq!(job.requests, 0);

    for answer in [detail(&mut client, &id), client.ask("DELETE", &path).unwrap(), detail(&mut client, "nobody")] {
        assert_eq!((answer.status, code(&answer)), (404, "not_found".into()));
    }
    let all = format!("{id},nobody");
    // One of the two may be left out.
    for entry in statuses(&mut client, &all).json()["data"].as_array().unwrap() {
        assert_eq!(entry["status"], "not_found");
    }
    assert_eq!(simulator.ledger().requests[2].state, Some(JobState::Unknown));
}

#[test]
fn the_ledger_counts_a_bulk_look_for_each_of_its_jobs() {
    let simulator = never_ending().api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let ids = create(&mut client, &["a", "b"]);
    statuses(&mut client, &format!("{},{},{},nobody", ids[0], ids[1], ids[0]));
    statuses(&mut client, &ids[0]);
    detail(&mut client, &ids[0]);

    let ledger = simulator.ledger();
    let requests: Vec<u64> = ledger.jobs.iter().map(|job| job.requests).collect();
    assert_eq!(requests, [3, 1]);
    let asked: Vec<&str> = ledger.requests[1].job_ids.iter().map(|id| &**id).collect();
    assert_eq!(asked, [&ids[0], &ids[1], "nobody"]);
    let bulk: Vec<bool> = ledger.requests.iter().map(|entry| entry.bulk).collect();
    assert_eq!(bulk, [false, true, true, false]);
    assert_eq!((ledger.requests[1].state, ledger.requests[1].job_id.as_deref()), (None, None));
    assert_eq!(ledger.requests_for(&ids[0]).count(), 4);
    assert_eq!(ledger.requests_for("nobody").count(), 1);

    let told = client.get("/_ledger").json();
    assert_eq!((&told["v"], &told["requests"][1]["bulk"]), (&json!(1), &json!(true)));
    assert_eq!(told["requests"][2]["job_ids"], json!([ids[0]]));
}

#[test]
fn a_throttled_bulk_look_asks_for_each_of_its_jobs_to_wait() {
    let faults = Faults::rate(1.0).only(&[FaultKind::Throttle]);
    // Slow motion: one simulated second of waiting lasts far longer than this test.
    let simulator = never_ending().faults(faults).speed(1e-6).api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let ids = create(&mut client, &["a", "b", "c"]);
    assert_eq!(statuses(&mut client, &ids[..2].join(",")).status, 429);
    detail(&mut client, &ids[2]);
    assert!(simulator.ledger().asked_too_early().is_empty());
    client.ask("DELETE", &format!("{TRANSLATIONS}/{}", ids[0])).unwrap();
    assert!(simulator.ledger().asked_too_early().is_empty());
    detail(&mut client, &ids[1]);
    statuses(&mut client, &format!("{},nobody", ids[2]));
    let ledger = simulator.ledger();
    let early: Vec<u64> = ledger.asked_too_early().iter().map(|entry| entry.number).collect();
    assert_eq!(early, [5, 6]);
}

#[test]
fn the_cache_tells_bulk_looks_apart_by_their_jobs() {
    let simulator = never_ending().cache(LONGEST).api(Api::HeygenV3).start().unwrap();
    let mut client = Client::new(&simulator);
    let ids = create(&mut client, &["a", "b", "c"]);
    let first = statuses(&mut client, &ids[..2].join(","));
    let again = statuses(&mut client, &ids[..2].join("%2C"));
    assert_eq!(first.json(), again.json());
    assert!(first.header("age").is_none() && again.header("age").is_some());
    assert!(statuses(&mut client, &ids[1..].join(",")).header("age").is_none());
    let cached: Vec<bool> = simulator.ledger().requests.iter().map(|entry| entry.cached).collect();
    assert_eq!(cached, [false, false, true, false]);
}
