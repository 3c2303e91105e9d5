//! Whole waits, where an end is more than one answer: an address that comes late, and a result that is elsewhere.

use core::time::Duration;

use http::Request;
use http_support::{BASE, Reply, START, World, job, reply, response, rng, script, secs};
use jobwatch::{Backend, Finished, Outcome, Watch};
use serde_json::json;

use crate::{http_support, preset};

const NO_ADDRESS: &str = r#"{"data":{"id":"t1","status":"completed","video_url":null}}"#;

/// WIRE §1.2: ask again after about 30 s.
#[test]
fn a_heygen_job_has_ended_when_its_address_is_there() {
    let backend = Backend::new(preset("heygen-v3"), None).unwrap();
    let found = r#"{"data":{"id":"t1","status":"completed","video_url":"https://files.example/v.mp4"}}"#;
    let mut world =
        World::new(script(vec![reply(200, &[], NO_ADDRESS), reply(200, &[], NO_ADDRESS), reply(200, &[], found)]));
    let finished = wait(&mut world, &backend, "t1");
    assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(json!("https://files.example/v.mp4"))));
    assert_eq!(world.sent.len(), 3);
    for gap in gaps(&world) {
        assert!(gap >= secs(30) && gap <= secs(33), "{gap:?}");
    }
}

/// WIRE §1.2: bounded. The job did succeed.
#[test]
fn a_heygen_job_whose_address_never_comes_has_succeeded_all_the_same() {
    let backend = Backend::new(preset("heygen-v3"), None).unwrap();
    let mut world = World::new(script(vec![reply(200, &[], NO_ADDRESS)]));
    let finished = wait(&mut world, &backend, "t1");
    assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, None));
    assert!(finished.elapsed >= secs(10 * 60) && finished.elapsed <= secs(11 * 60), "{:?}", finished.elapsed);
    assert_eq!(finished.state.as_deref(), Some("completed"));
}

/// WIRE §2, fal: GET `response_url`, with the key.
#[test]
fn a_fal_result_is_followed_to() {
    let backend = Backend::new(preset("fal"), None).unwrap().with_header("authorization", "Key k").unwrap();
    let mut world = World::new(|request: &Request<Vec<u8>>, _| {
        assert_eq!(request.headers()["authorization"], "Key k");
        match request.uri().path() {
            "/a/requests/q1" => reply(200, &[], r#"{"images":[1]}"#),
            _ => reply(200, &[], r#"{"status":"COMPLETED","response_url":"https://queue.fal.run/a/requests/q1"}"#),
        }
    });
    let finished = wait(&mut world, &backend, "https://queue.fal.run/a/requests/q1/status");
    assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(json!({"images": [1]}))));
    let urls = ["https://queue.fal.run/a/requests/q1/status", "https://queue.fal.run/a/requests/q1"];
    assert_eq!(world.urls(), urls);
}

/// WIRE §2, fal: a failed job has no result to be asked for.
#[test]
fn a_fal_failure_is_not_followed() {
    let backend = Backend::new(preset("fal"), None).unwrap();
    let failed = r#"{"status":"COMPLETED","error":"bad prompt","response_url":"https://queue.fal.run/a/requests/q1"}"#;
    let mut world = World::new(script(vec![reply(200, &[], failed)]));
    let finished = wait(&mut world, &backend, "https://queue.fal.run/a/requests/q1/status");
    assert_eq!((finished.outcome, finished.error.as_deref()), (Outcome::Failed, Some("bad prompt")));
    assert_eq!(world.sent.len(), 1);
}

/// WIRE §2, rfc9110: 303 says where the result is.
#[test]
fn an_rfc9110_result_is_followed_to() {
    let backend = Backend::new(preset("rfc9110"), Some(BASE)).unwrap();
    for (answer, expected) in [
        (response(200, &[], r#"{"rows":[1,2]}"#), json!({"rows": [1, 2]})),
        (response(200, &[], "a,b\n1,2\n"), json!("a,b\n1,2\n")),
    ] {
        let mut world = World::new(|request: &Request<Vec<u8>>, _| match request.uri().path() {
            "/reports/7" => Reply::Answer(secs(0), answer.clone()),
            _ => reply(303, &[("Location", "/reports/7")], ""),
        });
        let finished = wait(&mut world, &backend, "https://api.example.com/v1/operations/7");
        assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(expected)));
        assert_eq!(world.urls(), ["https://api.example.com/v1/operations/7", "https://api.example.com/reports/7"]);
    }
}

/// WIRE §5: a presigned address of another origin is not asked, and is itself the result.
#[test]
fn an_rfc9110_result_elsewhere_is_its_address() {
    let backend = Backend::new(preset("rfc9110"), Some(BASE)).unwrap();
    let to = "https://files.example/7.csv?sig=1";
    let mut world = World::new(script(vec![reply(202, &[], ""), reply(303, &[("Location", to)], "")]));
    let finished = wait(&mut world, &backend, "https://api.example.com/v1/operations/7");
    assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(json!(to))));
    assert_eq!(world.sent.len(), 2);
}

/// WIRE §2, rfc9110: a 202 can move the job.
#[test]
fn an_rfc9110_job_moves() {
    let backend = Backend::new(preset("rfc9110"), Some(BASE)).unwrap();
    let moved = reply(202, &[("Location", "/v1/operations/8")], "");
    let mut world = World::new(script(vec![moved, reply(202, &[], ""), reply(204, &[], "")]));
    let finished = wait(&mut world, &backend, "https://api.example.com/v1/operations/7");
    assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, None));
    let urls =
        ["operations/7", "operations/8", "operations/8"].map(|path| format!("https://api.example.com/v1/{path}"));
    assert_eq!(world.urls(), urls);
}

/// WIRE §2, x-media: the vendor's own hint is followed in both directions.
#[test]
fn an_x_hint_is_followed() {
    let backend = Backend::new(preset("x-media"), None).unwrap();
    let info = |info: &str| reply(200, &[], &format!(r#"{{"data":{{"processing_info":{info}}}}}"#));
    let mut world = World::new(script(vec![
        info(r#"{"state":"pending","check_after_secs":40}"#),
        info(r#"{"state":"in_progress","check_after_secs":2}"#),
        info(r#"{"state":"succeeded"}"#),
    ]));
    assert_eq!(wait(&mut world, &backend, "1").outcome, Outcome::Succeeded);
    let gaps = gaps(&world);
    assert!(gaps[0] >= secs(40) && gaps[0] <= secs(41), "{gaps:?}");
    assert!(gaps[1] >= secs(2) && gaps[1] <= secs(3), "{gaps:?}");
}

fn wait<F: FnMut(&Request<Vec<u8>>, Duration) -> Reply>(world: &mut World<F>, backend: &Backend, id: &str) -> Finished {
    let policy = backend.dialect().policy().build().unwrap();
    world.drive(&mut Watch::new(backend, policy, job(id), START, &mut rng(7)))
}

/// The times between requests.
fn gaps<F>(world: &World<F>) -> Vec<Duration> {
    world.sent.windows(2).map(|pair| pair[1].at.saturating_since(pair[0].at)).collect()
}
