//! What a succeeded job has made: in the answer that told the end, or fetched from where that answer points.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;
use std::sync::Arc;

use http::Request;
use http_support::{
    BASE, Reply, SECRET, START, World, at, dialect, every_second, job, millis, reply, response, rng, script, secs,
};
use jobwatch::{
    Backend, EndReason, Finished, Fleet, FleetAction, FleetEvent, JobSnapshot, LookError, Outcome, Policy,
    PolicyBuilder, TransportError, Watch, WatchAction,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A backend that tells with `done` where the result is.
const VASES: &str = r#"
name = "vases"
poll.path = "/vases/{id}"
state = { pointer = "/state", pending = ["queued"], running = ["working"], succeeded = ["done"], failed = ["broken"] }
error.pointer = "/error"
times.ended = "/ended"
"#;

fn vases(keys: &str) -> Backend {
    let backend = Backend::new(dialect(&format!("{VASES}{keys}")), Some(BASE)).unwrap();
    backend.with_header("x-api-key", SECRET).unwrap()
}

fn following() -> Backend {
    vases("result.follow = [\"/at\", { header = \"Location\" }]")
}

fn done(at: &str) -> Reply {
    reply(200, &[], &json!({ "state": "done", "at": at }).to_string())
}

fn working() -> Reply {
    reply(200, &[], r#"{"state":"working"}"#)
}

fn found(body: &str) -> Reply {
    reply(200, &[], body)
}

/// The addresses below the base's path.
fn paths<F>(world: &World<F>) -> Vec<String> {
    world.sent.iter().map(|sent| sent.url.replace(BASE, "")).collect()
}

fn live(backend: &Backend, replies: Vec<Reply>) -> (Finished, Vec<String>) {
    let mut world = World::new(script(replies));
    let finished = world.wait(backend, every_second(), job("a"));
    assert_eq!(finished.requests as usize, world.sent.len());
    (finished, paths(&world))
}

/// It succeeded, nothing of its result was had, and it is said why.
fn is_without_result(finished: &Finished, why: &str) {
    assert_eq!((finished.outcome, &finished.result), (Outcome::Succeeded, &None));
    assert_eq!(finished.state.as_deref(), Some("done"));
    let error = finished.error.as_deref().unwrap_or("nothing");
    assert!(error.starts_with("the result was not had: ") && error.contains(why), "{error}");
}

mod stories {
    use super::*;

    #[test]
    fn a_result_of_the_own_origin_is_fetched_at_once_with_the_credentials() {
        let mut world = World::new(|request: &Request<Vec<u8>>, time: Duration| {
            assert_eq!(request.headers()["x-api-key"], SECRET);
            match request.uri().path() {
                "/v1/vases/a" => done("/v1/files/7?sig=abc"),
                "/v1/files/7" => {
                    assert_eq!((request.method().as_str(), time), ("GET", Duration::ZERO));
                    found(r#"{"glaze":"blue"}"#)
                }
                path => panic!("{path}"),
            }
        });
        let finished = world.wait(&following(), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.reason), (Outcome::Succeeded, EndReason::Told));
        assert_eq!((finished.result, finished.error), (Some(json!({ "glaze": "blue" })), None));
        assert_eq!((finished.requests, finished.failed_requests), (2, 0));
        assert_eq!(paths(&world), ["/vases/a", "/files/7?sig=abc"]);
    }

    /// A look may be a POST, and so is one that is led elsewhere; what it has made is had by a GET.
    #[test]
    fn a_result_is_not_asked_for_as_the_job_is() {
        let mut asked = Vec::new();
        let mut world = World::new(|request: &Request<Vec<u8>>, _| {
            asked.push(format!("{} {}", request.method(), request.uri().path()));
            match request.uri().path() {
                "/v1/vases/a" => reply(307, &[("location", "/v1/b")], ""),
                "/v1/b" => done("/v1/r"),
                _ => found("1"),
            }
        });
        let finished = world.wait(&vases("poll.method = \"POST\"\nresult.follow = \"/at\""), every_second(), job("a"));
        assert_eq!(finished.result, Some(json!(1)));
        drop(world);
        assert_eq!(asked, ["POST /v1/vases/a", "POST /v1/b", "GET /v1/r"]);
    }

    #[test]
    fn where_an_address_leads() {
        for (told, asked) in [
            ("files/7", "https://api.example.com/v1/vases/files/7"),
            ("?full=1", "https://api.example.com/v1/vases/a?full=1"),
            ("/files/7", "https://api.example.com/files/7"),
            ("//api.example.com/7", "https://api.example.com/7"),
            ("https://API.example.com:443/7#part", "https://api.example.com/7"),
        ] {
            let mut world = World::new(script(vec![done(told), found("1")]));
            let finished = world.wait(&following(), every_second(), job("a"));
            assert_eq!((finished.result, world.urls()[1]), (Some(json!(1)), asked), "{told}");
        }
    }

    #[test]
    fn an_address_abroad_is_the_result_and_is_not_asked() {
        for (told, result) in [
            ("https://cdn.example/v.mp4?sig=abc", "https://cdn.example/v.mp4?sig=abc"),
            ("//cdn.example/v", "https://cdn.example/v"),
            ("https://api.example.com:8443/v", "https://api.example.com:8443/v"),
            ("http://api.example.com/v", "http://api.example.com/v"),
        ] {
            let (finished, paths) = live(&following(), vec![done(told), found("\"asked\"")]);
            assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(result.into())), "{told}");
            assert_eq!((finished.error, paths.len()), (None, 1));
        }
        let allowed = following().with_allowed_origin("https://cdn.example").unwrap();
        let (finished, paths) = live(&allowed, vec![done("https://cdn.example/v"), found("\"asked\"")]);
        assert_eq!((finished.result, paths.len()), (Some("asked".into()), 2));
    }

    #[test]
    fn an_address_that_nobody_can_ask_brings_no_result() {
        for told in ["ftp://api.example.com/v", "https://u:p@api.example.com/v", "javascript:x", "https://[::1"] {
            let (finished, paths) = live(&following(), vec![done(told), found("1")]);
            is_without_result(&finished, "the address cannot be asked");
            assert_eq!(paths.len(), 1, "{told}");
        }
    }

    #[test]
    fn the_first_place_that_is_there_counts_and_none_is_no_result() {
        let headers = [("location", "/v1/by-header")];
        let both = reply(200, &headers, r#"{"state":"done","at":"/v1/by-body"}"#);
        assert_eq!(live(&following(), vec![both, found("1")]).1[1], "/by-body");
        let header = reply(200, &headers, r#"{"state":"done","at":null}"#);
        assert_eq!(live(&following(), vec![header, found("1")]).1[1], "/by-header");
        let (finished, paths) = live(&following(), vec![reply(200, &[], r#"{"state":"done"}"#)]);
        assert_eq!(
            (finished.outcome, finished.result, finished.error, paths.len()),
            (Outcome::Succeeded, None, None, 1)
        );
    }

    #[test]
    fn a_path_with_the_id_is_fetched_too() {
        let backend = vases("result.path = \"/vases/{id}/result\"");
        let (finished, paths) = live(&backend, vec![working(), done("/v1/other"), found("[1]")]);
        assert_eq!((finished.result, finished.requests), (Some(json!([1])), 3));
        assert_eq!(paths, ["/vases/a", "/vases/a", "/vases/a/result"]);
    }

    #[test]
    fn a_job_that_its_address_names_has_no_such_path() {
        let backend = vases("result = { path = \"/vases/{id}/result\", pointer = \"/r\" }");
        let mut world = World::new(script(vec![found(r#"{"state":"done","r":3}"#), found("[1]")]));
        let finished = world.wait(&backend, every_second(), job("https://api.example.com/v1/there"));
        assert_eq!((finished.result, finished.requests), (Some(json!(3)), 1));
    }

    #[test]
    fn the_pointer_is_one_into_what_was_followed() {
        let backend = vases("result = { follow = \"/at\", pointer = [\"/video\", \"/image\"] }");
        for (body, result) in [
            (r#"{"video":"v","image":"i"}"#, json!("v")),
            (r#"{"video":null,"image":"i"}"#, json!("i")),
            // Nothing there, or no JSON: the address and the text are better than nothing.
            (r#"{"state":"done"}"#, json!("https://api.example.com/v1/r")),
            ("no JSON", json!("no JSON")),
        ] {
            let (finished, _) = live(&backend, vec![done("/v1/r"), found(body)]);
            assert_eq!((finished.outcome, finished.result, finished.error), (Outcome::Succeeded, Some(result), None));
        }
        // Without an address, it is one into the answer itself.
        let (finished, paths) = live(&backend, vec![found(r#"{"state":"done","image":"i"}"#)]);
        assert_eq!((finished.result, paths.len()), (Some(json!("i")), 1));
    }

    #[test]
    fn what_is_no_text_is_told_by_its_address() {
        let bytes = Reply::Answer(Duration::ZERO, response(200, &[("content-type", "video/mp4")], [0xff, 0xd8, 0]));
        for answer in [bytes, reply(200, &[], ""), reply(204, &[], "")] {
            let (finished, _) = live(&following(), vec![done("/v1/v.mp4"), answer]);
            assert_eq!((finished.result, finished.error), (Some("https://api.example.com/v1/v.mp4".into()), None));
        }
        let (finished, _) = live(&following(), vec![done("/v1/v.srt"), found("1\n00:00 väse")]);
        assert_eq!(finished.result, Some("1\n00:00 väse".into()));
    }

    #[test]
    fn only_a_success_is_followed() {
        let failed = reply(200, &[("location", "/v1/r")], r#"{"state":"broken","at":"/v1/r"}"#);
        let unfinished = reply(200, &[], r#"{"state":"working","at":"/v1/r"}"#);
        let (finished, paths) = live(&following(), vec![unfinished, failed, found("1")]);
        assert_eq!((finished.outcome, finished.result, paths.len()), (Outcome::Failed, None, 2));
    }

    #[test]
    fn a_declared_303_is_followed_as_the_result() {
        let text = "name = \"x\"\npoll.path = \"/{id}\"\nstate.status = { 202 = \"running\", 303 = \"succeeded\" }\n\
                    result.follow = { header = \"Location\" }";
        let backend = Backend::new(dialect(text), Some(BASE)).unwrap();
        let see_other = |to: &str| reply(303, &[("location", to)], "");
        let (finished, paths) = live(&backend, vec![reply(202, &[], ""), see_other("/v1/r"), found("{}")]);
        assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(json!({}))));
        assert_eq!(paths, ["/a", "/a", "/r"]);
        let (finished, paths) = live(&backend, vec![see_other("https://cdn.example/r"), found("{}")]);
        assert_eq!((finished.result, paths.len()), (Some("https://cdn.example/r".into()), 1));
        // To itself it leads nowhere.
        let (finished, _) = live(&backend, vec![see_other("/v1/a")]);
        assert_eq!((finished.outcome, finished.result, finished.requests), (Outcome::Succeeded, None, 2));
    }
}

mod troubles {
    use super::*;

    #[test]
    fn what_may_pass_is_ridden_out_and_counted() {
        for trouble in [
            reply(500, &[], ""),
            reply(503, &[], ""),
            reply(409, &[], ""),
            reply(425, &[], ""),
            Reply::Error(millis(5), LookError::Disconnected),
            Reply::Error(millis(5), LookError::Unreachable),
            Reply::Never,
        ] {
            let told = || done("/v1/r");
            let (finished, paths) =
                live(&following(), vec![told(), trouble.clone(), told(), trouble.clone(), told(), found("1")]);
            assert_eq!(
                (finished.outcome, finished.result, finished.error),
                (Outcome::Succeeded, Some(json!(1)), None),
                "{trouble:?}"
            );
            assert_eq!((finished.requests, finished.failed_requests), (6, 2), "{trouble:?}");
            assert_eq!(paths, ["/vases/a", "/r", "/vases/a", "/r", "/vases/a", "/r"]);
            assert!(finished.last_error.is_some());
        }
    }

    #[test]
    fn a_202_is_no_failure_and_its_hint_is_followed() {
        let told = || done("/v1/r");
        let mut world = World::new(script(vec![told(), reply(202, &[("retry-after", "40")], ""), told(), found("1")]));
        let finished = world.wait(&following(), every_second(), job("a"));
        assert_eq!((finished.result, finished.failed_requests, finished.error), (Some(json!(1)), 0, None));
        assert!(finished.elapsed >= secs(40) && finished.elapsed <= secs(41));
    }

    /// What the dialect says of a status holds for the result as well.
    #[test]
    fn a_declared_status_is_read_so_here_too() {
        let declared = "status = { 425 = \"running\", 409 = \"pending\", 423 = \"lost\", 204 = \"failed\" }, pending";
        let text = format!("{VASES}result.follow = \"/at\"").replace("pending", declared);
        let vases = Backend::new(dialect(&text), Some(BASE)).unwrap();
        for early in [425, 409] {
            let told = || done("/v1/r");
            let replies = vec![told(), reply(early, &[("retry-after", "40")], ""), told(), found("1")];
            let finished = World::new(script(replies)).wait(&vases, every_second(), job("a"));
            assert_eq!((finished.result, finished.failed_requests, finished.error), (Some(json!(1)), 0, None));
            assert!(finished.elapsed >= secs(40), "{early}");
        }
        for never in [423, 204] {
            let (finished, paths) = live(&vases, vec![done("/v1/r"), reply(never, &[], "")]);
            is_without_result(&finished, &format!("HTTP status {never}"));
            assert_eq!((paths.len(), finished.failed_requests), (2, 1), "{never}");
        }
    }

    #[test]
    fn a_throttle_is_obeyed() {
        let told = || done("/v1/r");
        let replies = vec![told(), reply(429, &[("retry-after", "40")], ""), told(), found("1")];
        let mut world = World::new(script(replies));
        let policy = every_second().with_max_consecutive_failures(1);
        let finished = world.wait(&following(), policy, job("a"));
        assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(json!(1))));
        assert!(finished.elapsed >= secs(40));
    }

    #[test]
    fn a_refusal_is_final_and_the_job_has_succeeded_all_the_same() {
        for status in [400, 401, 403, 404, 405, 410, 422] {
            let refusal = reply(status, &[], r#"{"error":"swept up"}"#);
            let (finished, paths) = live(&following(), vec![done("/v1/r"), refusal, done("/v1/r"), found("1")]);
            is_without_result(&finished, "swept up");
            assert_eq!((finished.reason, paths.len()), (EndReason::Told, 2), "{status}");
        }
    }

    #[test]
    fn a_body_that_is_too_large_gets_no_smaller() {
        for error in [LookError::TooLarge, LookError::BadUrl, LookError::Tls] {
            let (finished, paths) = live(&following(), vec![done("/v1/r"), Reply::Error(millis(5), error), found("1")]);
            is_without_result(&finished, &error.to_string());
            assert_eq!(paths.len(), 2);
        }
    }

    #[test]
    fn regression_a_bad_envelope_is_no_result() {
        let keys =
            "result.follow = \"/at\"\nenvelope = { pointer = \"/code\", ok = [0], fatal = [13], throttled = [29] }";
        let told = || reply(200, &[], r#"{"code":0,"state":"done","at":"/v1/r"}"#);
        let busy = found(r#"{"code":7,"error":"busy"}"#);
        let slow = reply(200, &[("retry-after", "40")], r#"{"code":29}"#);
        let replies = vec![told(), busy, told(), slow, told(), found(r#"{"code":0,"r":1}"#)];
        let (finished, _) = live(&vases(keys), replies);
        assert_eq!((finished.result, finished.error), (Some(json!({ "code": 0, "r": 1 })), None));
        assert_eq!(finished.failed_requests, 2);
        assert!(finished.elapsed >= secs(40));
        let (finished, paths) = live(&vases(keys), vec![told(), found(r#"{"code":13,"error":"no access"}"#)]);
        is_without_result(&finished, "no access");
        assert_eq!(paths.len(), 2);
        // A result need not be wrapped.
        let (finished, _) = live(&vases(keys), vec![told(), found("[1]")]);
        assert_eq!(finished.result, Some(json!([1])));
    }

    #[test]
    fn redirects_are_followed_at_home_and_told_from_abroad() {
        let redirect = |to: &str| reply(302, &[("location", to)], "");
        let (finished, paths) = live(&following(), vec![done("/v1/r"), redirect("/v1/s"), redirect("t"), found("1")]);
        assert_eq!((finished.result, finished.failed_requests), (Some(json!(1)), 0));
        assert_eq!(paths, ["/vases/a", "/r", "/s", "/t"]);

        let (finished, paths) =
            live(&following(), vec![done("/v1/r"), redirect("https://cdn.example/x?s=1"), found("1")]);
        assert_eq!((finished.result, finished.error), (Some("https://cdn.example/x?s=1".into()), None));
        assert_eq!(paths.len(), 2);

        // One that leads nowhere is a breakdown, which may pass.
        let nowhere = reply(302, &[], "");
        let (finished, _) = live(&following(), vec![done("/v1/r"), nowhere, done("/v1/r"), found("1")]);
        assert_eq!((finished.result, finished.error, finished.failed_requests), (Some(json!(1)), None, 1));

        for to in ["/v1/r", "/v1/vases/a", "javascript:x", "https://u@api.example.com/"] {
            let (finished, paths) = live(&following(), vec![done("/v1/r"), redirect(to), found("1")]);
            is_without_result(&finished, "");
            assert_eq!(paths.len(), 2, "{to}");
        }
    }

    #[test]
    fn redirects_of_the_look_and_of_its_result_are_five_in_all() {
        let redirect = |to: usize| reply(302, &[("location", &format!("/v1/{to}"))], "");
        let chain = |before: usize, after: usize| {
            let mut replies: Vec<_> = (0..before).map(redirect).collect();
            replies.push(done("/v1/r"));
            replies.extend((100..100 + after).map(redirect));
            replies.push(found("1"));
            live(&following(), replies).0
        };
        assert_eq!(chain(2, 2).result, Some(json!(1)));
        let finished = chain(0, 6);
        is_without_result(&finished, "redirects do not end");
    }

    /// A permanent redirect of the result does not move the job.
    #[test]
    fn the_job_stays_where_it_is_when_its_result_moves() {
        let moved = reply(301, &[("location", "/v1/s")], "");
        let replies = vec![done("/v1/r"), moved, reply(500, &[], ""), done("/v1/r"), found("1")];
        let (finished, paths) = live(&following(), replies);
        assert_eq!(finished.result, Some(json!(1)));
        assert_eq!(paths, ["/vases/a", "/r", "/s", "/vases/a", "/r"]);
    }
}

mod ends {
    use super::*;

    /// A backend whose result is never there.
    fn broken_result(status: u16) -> impl FnMut(&Request<Vec<u8>>, Duration) -> Reply {
        move |request, time| match request.uri().path() {
            "/v1/vases/a" if time.is_zero() => working(),
            "/v1/vases/a" => done("/v1/r"),
            _ => reply(status, &[], ""),
        }
    }

    fn wait(status: u16, policy: PolicyBuilder) -> Finished {
        World::new(broken_result(status)).wait(&following(), policy, job("a"))
    }

    #[test]
    fn whatever_is_spent_the_outcome_stands() {
        let by_deadline = wait(500, every_second().with_total_timeout(secs(30)));
        is_without_result(&by_deadline, "HTTP status 500");
        assert_eq!(by_deadline.reason, EndReason::Deadline);

        let by_failures = wait(500, every_second().with_max_consecutive_failures(3));
        is_without_result(&by_failures, "HTTP status 500");
        assert_eq!((by_failures.reason, by_failures.requests), (EndReason::FailuresSpent, 7));

        let by_polls = wait(202, every_second().with_max_polls(4));
        is_without_result(&by_polls, "");
        assert_eq!((by_polls.reason, by_polls.requests), (EndReason::PollsSpent, 7));

        let throttled = World::new(|request: &Request<Vec<u8>>, _| match request.uri().path() {
            "/v1/vases/a" => done("/v1/r"),
            _ => reply(429, &[("retry-after", "600")], ""),
        })
        .wait(&following(), every_second().with_total_timeout(secs(30)), job("a"));
        is_without_result(&throttled, "");
        assert_eq!(throttled.reason, EndReason::ThrottledPastDeadline);
    }

    /// A first answer that tells the end is a good answer: what comes after it is an outage, not a wrong address.
    #[test]
    fn regression_a_backend_that_told_a_success_is_proven() {
        let mut world = World::new(|request: &Request<Vec<u8>>, _| match request.uri().path() {
            "/v1/vases/a" => done("/v1/r"),
            _ => reply(500, &[], ""),
        });
        let finished = world.wait(&following(), every_second().with_total_timeout(secs(300)), job("a"));
        is_without_result(&finished, "HTTP status 500");
        assert_eq!(finished.reason, EndReason::Deadline);
    }

    /// "Failed" after "done" changes no end, and is no reason why there is no result either.
    #[test]
    fn regression_a_contradiction_is_not_told_as_a_success_with_the_failures_words() {
        for body in [r#"{"state":"broken","error":"hot"}"#, r#"{"state":"broken"}"#] {
            let (finished, _) = live(&following(), vec![done("/v1/r"), reply(503, &[], ""), found(body)]);
            assert_eq!((finished.outcome, &finished.result), (Outcome::Succeeded, &None));
            let error = finished.error.unwrap_or_default();
            assert!(error.starts_with("the result was not had: "), "{error:?}");
        }
    }

    /// Its answer had come when the look's time was over, and nobody had noticed.
    #[test]
    fn a_wait_is_not_over_before_the_success_was_told() {
        let policy = every_second().with_attempt_timeout(secs(10)).with_max_polls(1).build().unwrap();
        let mut fleet = Fleet::new(Arc::new(following()), Arc::new(policy), &mut rng(1));
        fleet.insert(job("a"), START);
        let FleetAction::Send { id, .. } = fleet.poll(START) else { panic!() };
        fleet.handle_response(at(secs(12)), id, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        assert!(matches!(fleet.poll(at(secs(15))), FleetAction::Idle));
        let finished = std::iter::from_fn(|| fleet.next_event()).find_map(|event| match event {
            FleetEvent::Finished { finished, .. } => Some(finished),
            _ => None,
        });
        let finished = finished.unwrap();
        assert_eq!((finished.outcome, finished.elapsed), (Outcome::Succeeded, secs(12)));
    }

    #[test]
    fn stopping_undoes_no_success() {
        let backend = following();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        let WatchAction::Send { id, .. } = watch.poll(START) else { panic!() };
        watch.handle_response(START, id, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        let WatchAction::Send { id, .. } = watch.poll(START) else { panic!("the result") };
        watch.stop(at(secs(1)));
        watch.handle_response(at(secs(1)), id, &response(200, &[], "1"));
        let WatchAction::Finished(finished) = watch.poll(at(secs(1))) else { panic!() };
        is_without_result(&finished, "");
        assert_eq!(finished.reason, EndReason::Stopped);
    }

    #[test]
    fn a_success_is_latched_whatever_is_told_later() {
        for (status, body) in [
            (200, r#"{"state":"working"}"#),
            (200, r#"{"state":"queued"}"#),
            (200, r#"{"state":"new word"}"#),
            (202, ""),
            (304, ""),
            (404, ""),
            (410, ""),
            (401, ""),
            (400, ""),
            (500, ""),
            (200, "<html>"),
        ] {
            let mut world = World::new(|request: &Request<Vec<u8>>, time: Duration| match request.uri().path() {
                "/v1/vases/a" if time.is_zero() => done("/v1/r"),
                "/v1/vases/a" => reply(status, &[], body),
                _ => reply(503, &[], ""),
            });
            let finished = world.wait(&following(), every_second().with_total_timeout(secs(60)), job("a"));
            assert_eq!((finished.outcome, &finished.result), (Outcome::Succeeded, &None), "{status} {body}");
            let error = finished.error.as_deref().unwrap();
            assert!(error.starts_with("the result was not had: "), "{status} {body}: {error}");
        }
    }

    #[test]
    fn a_state_that_flaps_back_is_not_the_last_state() {
        let flapping = vec![done("/v1/r"), reply(503, &[], ""), working(), working(), done("/v1/r"), found("1")];
        let (finished, paths) = live(&following(), flapping);
        assert_eq!((finished.outcome, finished.result, finished.error), (Outcome::Succeeded, Some(json!(1)), None));
        assert_eq!((finished.state.as_deref(), paths.len()), (Some("done"), 6));
    }

    #[test]
    fn regression_a_state_that_flaps_back_does_not_narrow_the_delay() {
        let flapping = vec![working(), done("/v1/r"), reply(503, &[], ""), working(), done("/v1/r"), found("1")];
        let (finished, _) = live(&following(), flapping);
        assert_eq!(finished.detection_delay_max, Some(finished.elapsed));
    }

    #[test]
    fn regression_what_is_to_be_fetched_is_not_taken_from_the_answer_before() {
        let backend = vases("result = { path = \"/vases/{id}/result\", pointer = \"\" }");
        let (finished, _) = live(&backend, vec![done("x"), reply(404, &[], "")]);
        is_without_result(&finished, "HTTP status 404");
    }

    #[test]
    fn regression_a_fleet_and_its_jobs_count_the_same_failed_requests() {
        let policy = every_second().build().unwrap();
        let mut fleet = Fleet::new(Arc::new(following()), Arc::new(policy), &mut rng(1));
        fleet.insert(job("a"), START);
        let FleetAction::Send { id, .. } = fleet.poll(START) else { panic!() };
        fleet.handle_response(START, id, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        let FleetAction::Send { id, .. } = fleet.poll(START) else { panic!("the result") };
        fleet.handle_error(START, id, &TransportError::new(LookError::TooLarge, ""));
        let counted = std::iter::from_fn(|| fleet.next_event()).find_map(|event| match event {
            FleetEvent::Finished { finished, .. } => Some(finished.failed_requests),
            _ => None,
        });
        assert_eq!(counted.map(u64::from), Some(fleet.stats().failed_requests));
    }

    #[test]
    fn the_final_look_fetches_too() {
        let mut world = World::new(|request: &Request<Vec<u8>>, time: Duration| match request.uri().path() {
            "/v1/vases/a" if time < secs(10) => working(),
            "/v1/vases/a" => Reply::Answer(secs(2), response(200, &[], r#"{"state":"done","at":"/v1/r"}"#)),
            _ => Reply::Answer(secs(2), response(200, &[], "1")),
        });
        let policy = || every_second().with_total_timeout(millis(10_500)).with_first_look(jobwatch::FirstLook::AtOnce);
        let finished = world.wait(&following(), policy().with_max_delay(secs(60)), job("a"));
        assert_eq!((finished.outcome, finished.result), (Outcome::Succeeded, Some(json!(1))));
        // Both share the look's time: with less of it, the outcome is told without the result.
        let mut world = World::new(|request: &Request<Vec<u8>>, _| match request.uri().path() {
            "/v1/vases/a" => Reply::Answer(secs(2), response(200, &[], r#"{"state":"done","at":"/v1/r"}"#)),
            _ => Reply::Answer(secs(2), response(200, &[], "1")),
        });
        let finished =
            world.wait(&following(), every_second().with_attempt_timeout(secs(3)).with_max_polls(1), job("a"));
        is_without_result(&finished, "no answer in time");
        assert_eq!((finished.elapsed, finished.requests), (secs(3), 2));
    }
}

mod snapshots {
    use super::*;

    fn stored(watch: &Watch<&Backend, Policy>) -> JobSnapshot {
        let text = serde_json::to_string(&watch.snapshot().unwrap()).unwrap();
        assert!(!text.contains(SECRET));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_crash_while_fetching_asks_again_and_the_end_stands() {
        let backend = following();
        let policy = every_second().build().unwrap();
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(1));
        let WatchAction::Send { id, .. } = watch.poll(START) else { panic!() };
        watch.handle_response(START, id, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        let before = stored(&watch);
        let WatchAction::Send { .. } = watch.poll(START) else { panic!("the result") };
        let during = stored(&watch);
        for snapshot in [before, during] {
            let mut watch = Watch::resume(&backend, policy.clone(), snapshot, at(secs(9))).unwrap();
            let mut world = World::new(script(vec![done("/v1/r"), found("1")]));
            world.clock = at(secs(9));
            let finished = world.drive(&mut watch);
            assert_eq!((finished.outcome, finished.result, finished.error), (Outcome::Succeeded, Some(json!(1)), None));
            assert_eq!(paths(&world), ["/vases/a", "/r"]);
        }
    }

    #[test]
    fn a_crash_forgets_no_success_that_the_backend_takes_back() {
        let backend = following();
        let policy = every_second().with_total_timeout(secs(30)).build().unwrap();
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(1));
        let WatchAction::Send { id, .. } = watch.poll(START) else { panic!() };
        watch.handle_response(START, id, &response(200, &[], r#"{"state":"done","at":"/v1/r"}"#));
        let mut watch = Watch::resume(&backend, policy, stored(&watch), at(secs(9))).unwrap();
        let mut world = World::new(script(vec![reply(404, &[], "")]));
        world.clock = at(secs(9));
        is_without_result(&world.drive(&mut watch), "");
    }
}

/// An answer of the backend about the job, or of where its result is.
fn any_reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        3 => Just(working()),
        3 => Just(done("/v1/r")),
        1 => Just(done("https://cdn.example/r")),
        1 => Just(found(r#"{"state":"broken"}"#)),
        1 => (0_usize..3).prop_map(|n| reply(302, &[("location", &format!("/v1/{n}"))], "")),
        2 => prop::sample::select(vec![202_u16, 304, 400, 401, 404, 410, 425, 429, 500, 503])
            .prop_map(|status| reply(status, &[("retry-after", "2")], "")),
        1 => prop::sample::select(vec![LookError::Disconnected, LookError::TooLarge, LookError::Tls])
            .prop_map(|error| Reply::Error(millis(10), error)),
        1 => Just(Reply::Never),
    ]
}

proptest! {
    #![proptest_config(http_support::cases(400))]

    /// The first end that an answer about the job tells is the outcome, whatever comes afterwards; the result is one that
    /// was found or an address abroad, and where there is none it is said why.
    #[test]
    fn the_first_end_that_was_told_is_the_outcome(replies in prop::collection::vec(any_reply(), 1..25), seed: u64) {
        let backend = following();
        let (mut next, mut told, mut fetching) = (0, None, false);
        let mut world = World::new(|request: &Request<Vec<u8>>, _| {
            let reply = replies[next % replies.len()].clone();
            next += 1;
            // A look may be redirected, and so may the request for the result.
            fetching &= request.uri().path() != "/v1/vases/a";
            if !fetching
                && let Reply::Answer(_, response) = &reply
                && response.status() == 200
            {
                let body: Value = serde_json::from_slice(response.body()).unwrap();
                let end = match body["state"].as_str() {
                    Some("done") => Some(Outcome::Succeeded),
                    Some("broken") => Some(Outcome::Failed),
                    _ => None,
                };
                told = told.or(end);
                fetching = end == Some(Outcome::Succeeded);
            }
            reply
        });
        let policy = every_second().with_total_timeout(secs(120)).build().unwrap();
        let mut watch = Watch::new(&backend, policy, job("a"), START, &mut rng(seed));
        let finished = world.drive(&mut watch);
        let requests = world.sent.len();
        drop(world);
        prop_assert_eq!(finished.requests as usize, requests);
        prop_assert!(finished.failed_requests <= finished.requests);
        match told {
            Some(outcome) => prop_assert_eq!(finished.outcome, outcome),
            None => prop_assert!(!matches!(finished.outcome, Outcome::Succeeded | Outcome::Failed), "{:?}", finished),
        }
        prop_assert!(finished.result.is_none() || finished.error.is_none(), "{:?}", finished);
        if finished.outcome == Outcome::Succeeded {
            prop_assert_eq!(finished.result.is_none(), finished.error.is_some(), "{:?}", finished);
        }
    }
}
