//! One job's life over HTTP, as stories: what is asked, when, where, and what is told in the end.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;

use http_support::{
    BASE, KILN, Reply, SECRET, START, World, at, dialect, every_second, job, kiln, millis, reply, response, rng,
    script, secs, state,
};
use jobwatch::{
    Backend, Dialect, EndReason, Finished, IdError, JobRef, JobSnapshot, LookError, Outcome, Policy, SnapshotError,
    TransportError, Watch, WatchAction, WatchRequestId,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn live(replies: Vec<Reply>) -> (Finished, Vec<String>) {
    let mut world = World::new(script(replies));
    let finished = world.wait(&kiln(), every_second(), job("a"));
    (finished, world.sent.into_iter().map(|sent| sent.url).collect())
}

/// The next request, after sleeping as long as is asked.
fn next_request(
    watch: &mut Watch<&Backend, Policy>,
    clock: &mut jobwatch::Timestamp,
) -> (WatchRequestId, http::Request<Vec<u8>>, Duration) {
    loop {
        match watch.poll(*clock) {
            WatchAction::Send { id, request, timeout } => return (id, request, timeout),
            WatchAction::Sleep { until, .. } => *clock = until,
            WatchAction::Finished(finished) => panic!("{finished:?}"),
        }
    }
}

fn redirect(status: u16, to: &str) -> Reply {
    reply(status, &[("location", to)], "")
}

mod lives {
    use super::*;

    #[test]
    fn the_trackers_success() {
        let tracker = Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000")).unwrap();
        let mut world = World::new(|request: &http::Request<Vec<u8>>, time: Duration| {
            assert_eq!(request.method(), "GET");
            assert_eq!(request.uri(), "http://127.0.0.1:5000/status/7e7bfe92");
            assert_eq!(request.headers()["accept"], "application/json");
            let word = if time < secs(3) { "pending" } else { "completed" };
            reply(200, &[], &format!(r#"{{"result":"{word}"}}"#))
        });
        let finished = world.wait(&tracker, every_second(), job("7e7bfe92"));
        assert_eq!((finished.outcome, finished.reason), (Outcome::Succeeded, EndReason::Told));
        assert_eq!(finished.state.as_deref(), Some("completed"));
        assert_eq!((finished.requests, finished.failed_requests, finished.elapsed), (4, 0, secs(3)));
        assert_eq!((finished.error, finished.last_error), (None, None));
        assert_eq!(finished.job.id(), "7e7bfe92");
    }

    #[test]
    fn the_trackers_failure() {
        let tracker = Backend::new(Dialect::tracker(), Some("http://127.0.0.1:5000")).unwrap();
        let mut world = World::new(script(vec![reply(200, &[], r#"{"result":"error"}"#)]));
        let finished = world.wait(&tracker, every_second(), job("a"));
        assert_eq!(finished.outcome, Outcome::Failed);
        assert_eq!(finished.error.as_deref(), Some("the backend reports that the job failed"));
    }

    #[test]
    fn success_with_a_result_and_failure_with_words() {
        let (finished, _) = live(vec![reply(200, &[], r#"{"state":"fired","vase":{"url":"x"}}"#)]);
        assert_eq!(finished.result, Some(json!({ "url": "x" })));
        let body = r#"{"state":"cracked","error":{"message":"too hot"}}"#;
        let (finished, _) = live(vec![state("Heating"), reply(200, &[], body)]);
        assert_eq!((finished.outcome, finished.error.as_deref()), (Outcome::Failed, Some("too hot")));
        let (finished, _) = live(vec![state("cooled early")]);
        assert_eq!((finished.outcome, finished.error.as_deref()), (Outcome::Cancelled, Some("the job was cancelled")));
    }

    /// BASELINES 23.
    #[test]
    fn regression_an_earlier_breakdown_is_not_why_the_job_failed() {
        let (finished, _) = live(vec![reply(502, &[], "<html>"), state("Heating"), state("cracked")]);
        assert_eq!(finished.outcome, Outcome::Failed);
        assert_eq!(finished.error.as_deref(), Some("the backend reports that the job failed"));
        assert_eq!(finished.last_error, Some(LookError::Status(502)));
    }

    /// Nobody has said anything better since.
    #[test]
    fn an_earlier_breakdown_in_its_words_is_the_last_error_of_a_wait_that_ran_out() {
        let replies = vec![reply(502, &[], r#"{"error":{"message":"no gas"}}"#), state("Heating")];
        let mut world = World::new(script(replies));
        let finished = world.wait(&kiln(), every_second().with_total_timeout(secs(10)), job("a"));
        assert_eq!(finished.outcome, Outcome::TimedOut);
        assert!(finished.error.as_ref().is_some_and(|error| error.contains("no gas")), "{:?}", finished.error);
    }

    #[test]
    fn a_result_is_handed_out_once() {
        let backend = kiln();
        let mut world = World::new(script(vec![state("fired")]));
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        world.drive(&mut watch);
        assert!(matches!(watch.poll(START), WatchAction::Sleep { until, .. } if until == jobwatch::Timestamp::MAX));
        assert!(watch.snapshot().is_none());
        watch.wake(START);
        watch.stop(START);
    }

    #[test]
    fn unauthorised_is_rejected_with_the_backends_words() {
        let (finished, urls) = live(vec![reply(401, &[], r#"{"error":{"message":"unknown key"}}"#)]);
        assert_eq!((finished.outcome, finished.reason), (Outcome::Rejected, EndReason::Refused));
        assert!(finished.error.unwrap().contains("unknown key"));
        assert_eq!((finished.last_error, urls.len()), (Some(LookError::Status(401)), 1));
        let (finished, _) = live(vec![reply(401, &[], "<html>")]);
        assert!(finished.error.unwrap().contains("HTTP status 401"));
    }

    #[test]
    fn html_with_200_is_a_failed_look() {
        let (finished, urls) = live(vec![reply(200, &[], "<html>"), state("fired")]);
        assert_eq!((finished.outcome, finished.failed_requests, urls.len()), (Outcome::Succeeded, 1, 2));
        assert_eq!(finished.last_error, Some(LookError::Malformed));
    }

    #[test]
    fn a_spent_budget_gives_up_with_the_last_error_in_words() {
        let (finished, urls) = live(vec![reply(500, &[], ""), Reply::Error(millis(1), LookError::Unreachable)]);
        assert_eq!((finished.outcome, finished.reason), (Outcome::GaveUp, EndReason::FailuresSpent));
        assert_eq!((finished.requests, finished.failed_requests, urls.len()), (5, 5, 5));
        assert_eq!(finished.last_error, Some(LookError::Unreachable));
        assert!(finished.error.unwrap().ends_with("the last error was: the server could not be reached"));
    }

    #[test]
    fn requests_that_hang_expire_and_are_repeated() {
        let policy = every_second().with_attempt_timeout(secs(10));
        let mut world = World::new(script(vec![Reply::Never, state("fired")]));
        let finished = world.wait(&kiln(), policy, job("a"));
        assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Succeeded, 2, 1));
        assert_eq!(finished.last_error, Some(LookError::Expired));
        assert!(world.sent[1].at >= at(secs(11)));
    }

    #[test]
    fn the_deadline_brings_a_final_look() {
        let policy = every_second().with_total_timeout(millis(3_500));
        let mut world = World::new(script(vec![state("Heating")]));
        let finished = world.wait(&kiln(), policy.clone(), job("a"));
        assert_eq!((finished.outcome, finished.reason), (Outcome::TimedOut, EndReason::Deadline));
        assert_eq!(finished.state.as_deref(), Some("Heating"));
        assert_eq!(world.sent.last().unwrap().at, at(millis(3_500)));
        assert_eq!((finished.elapsed, finished.requests), (millis(3_500), 5));

        let mut world = World::new(|_: &_, time| if time < millis(3_500) { state("Heating") } else { state("fired") });
        assert_eq!(world.wait(&kiln(), policy, job("a")).outcome, Outcome::Succeeded);
    }

    #[test]
    fn throttled_looks_wait_and_cost_no_budget() {
        let mut replies = vec![reply(429, &[("retry-after", "30")], ""); 9];
        replies.push(state("fired"));
        let mut world = World::new(script(replies));
        let finished = world.wait(&kiln(), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Succeeded, 10, 9));
        assert!(world.sent.windows(2).all(|pair| pair[1].at.saturating_since(pair[0].at) >= secs(30)));
    }

    #[test]
    fn stop_and_wake() {
        let backend = kiln();
        let policy = every_second().with_min_delay(secs(10)).build().unwrap();
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(1));
        let mut clock = START;
        let (id, ..) = next_request(&mut watch, &mut clock);
        watch.handle_response(clock, id, &response(200, &[], r#"{"state":"queued"}"#));
        watch.wake(at(secs(2)));
        watch.wake(at(secs(3)));
        next_request(&mut watch, &mut clock);
        assert_eq!(clock, at(secs(10)));
        watch.stop(clock);
        let WatchAction::Finished(finished) = watch.poll(clock) else { panic!() };
        assert_eq!((finished.outcome, finished.state.as_deref()), (Outcome::Stopped, Some("queued")));
    }

    #[test]
    fn who_stops_before_any_look_told_a_state_hears_what_went_wrong() {
        let stopped = |replies: &[&http::Response<Vec<u8>>]| {
            let (backend, mut clock) = (kiln(), START);
            let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
            for reply in replies {
                let (id, ..) = next_request(&mut watch, &mut clock);
                watch.handle_response(clock, id, reply);
            }
            watch.stop(clock);
            let WatchAction::Finished(finished) = watch.poll(clock) else { panic!() };
            (finished.outcome, finished.error.unwrap())
        };
        let (broken, queued) = (response(502, &[], ""), response(200, &[], r#"{"state":"queued"}"#));
        let told = |error: &str| (Outcome::Stopped, error.to_owned());
        assert_eq!(stopped(&[]), told("the wait was stopped"));
        assert_eq!(stopped(&[&broken]), told("the wait was stopped; the last error was: HTTP status 502"));
        assert_eq!(stopped(&[&broken, &queued]), told("the wait was stopped"));
    }
}

mod unknown_jobs {
    use super::*;

    fn created_at_start() -> JobRef {
        job("a").with_created_at(START)
    }

    /// BASELINES 25.
    #[test]
    fn right_after_our_own_create_404_means_not_yet_visible() {
        let mut world = World::new(|_: &_, time| if time < secs(29) { reply(404, &[], "") } else { state("fired") });
        let finished = world.wait(&kiln(), every_second(), created_at_start());
        assert_eq!((finished.outcome, finished.failed_requests), (Outcome::Succeeded, 0));
        assert_eq!(finished.state.as_deref(), Some("fired"));
        // It was not seen unfinished, so the end may have come at any time since the create.
        assert_eq!(finished.detection_delay_max, Some(secs(29)));
    }

    #[test]
    fn for_ever_it_is_lost() {
        for (job, at_least) in [(created_at_start(), secs(45)), (job("a"), secs(15))] {
            let mut world = World::new(script(vec![reply(404, &[], "")]));
            let finished = world.wait(&kiln(), every_second(), job);
            assert_eq!((finished.outcome, finished.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
            assert!(finished.elapsed >= at_least && finished.elapsed <= at_least + secs(1));
            assert_eq!(finished.error.unwrap(), "the backend does not know the job");
        }
    }

    #[test]
    fn once_seen_the_grace_is_over() {
        let mut world = World::new(script(vec![state("queued"), reply(404, &[], "")]));
        let finished = world.wait(&kiln(), every_second(), created_at_start());
        assert_eq!((finished.outcome, finished.elapsed), (Outcome::Lost, secs(16)));
    }

    #[test]
    fn regression_once_seen_by_status_alone_the_grace_is_over() {
        let text = "name = \"s\"\npoll.path = \"/{id}\"\nstate.status = { 200 = \"succeeded\" }";
        let backend = Backend::new(dialect(text), Some(BASE)).unwrap();
        let mut world = World::new(script(vec![reply(202, &[], ""), reply(404, &[], "")]));
        let finished = world.wait(&backend, every_second(), created_at_start());
        assert_eq!((finished.outcome, finished.elapsed), (Outcome::Lost, secs(16)));
    }

    #[test]
    fn one_denial_among_answers_is_nothing() {
        let denied = || reply(404, &[], "");
        let (finished, _) = live(vec![denied(), denied(), state("Heating"), denied(), state("fired")]);
        assert_eq!(finished.outcome, Outcome::Succeeded);
    }

    #[test]
    fn gone_is_lost_at_once() {
        let mut world = World::new(script(vec![reply(410, &[], "")]));
        let finished = world.wait(&kiln(), every_second(), created_at_start());
        assert_eq!((finished.outcome, finished.reason, finished.requests), (Outcome::Lost, EndReason::Told, 1));
        assert_eq!(finished.error.unwrap(), "the backend does not know the job any more");
    }
}

mod redirects {
    use super::*;

    #[test]
    fn the_same_origin_is_followed_within_one_look() {
        let (finished, urls) = live(vec![redirect(302, "/v1/other?x=1"), redirect(307, "deeper"), state("fired")]);
        assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Succeeded, 3, 0));
        assert_eq!(
            urls,
            [
                "https://api.example.com/v1/firings/a",
                "https://api.example.com/v1/other?x=1",
                "https://api.example.com/v1/deeper",
            ]
        );
    }

    #[test]
    fn hops_share_the_attempts_time() {
        let mut world = World::new(|request: &http::Request<Vec<u8>>, _| {
            let step: u8 = request.uri().query().map_or(0, |query| query.parse().unwrap());
            Reply::Answer(secs(3), response(302, &[("location", &format!("?{}", step + 1))], ""))
        });
        let policy = every_second().with_attempt_timeout(secs(10)).with_max_polls(1);
        let finished = world.wait(&kiln(), policy, job("a"));
        // The fourth is cut short, at ten seconds.
        assert_eq!((finished.requests, finished.failed_requests, finished.elapsed), (4, 1, secs(10)));
        assert_eq!(finished.last_error, Some(LookError::Expired));
    }

    #[test]
    fn five_in_a_row_at_the_most() {
        let hops = |count: usize| {
            let mut replies = (0..count).map(|n| redirect(302, &format!("/v1/{n}"))).collect::<Vec<_>>();
            replies.push(state("fired"));
            replies
        };
        let (finished, _) = live(hops(5));
        assert_eq!((finished.requests, finished.last_error), (6, None));
        let (finished, urls) = live(hops(6));
        // The sixth redirect is not followed; the next look begins at the job's own address.
        assert_eq!((finished.outcome, finished.last_error), (Outcome::Succeeded, Some(LookError::RedirectLoop)));
        assert_eq!((urls.len(), finished.failed_requests), (7, 1));
        assert_eq!(urls[6], "https://api.example.com/v1/firings/a");
    }

    #[test]
    fn loops_are_refused() {
        let to_self = redirect(302, "/v1/firings/a");
        let (finished, urls) = live(vec![to_self]);
        assert_eq!((finished.outcome, finished.last_error), (Outcome::GaveUp, Some(LookError::RedirectLoop)));
        assert_eq!((urls.len(), finished.failed_requests), (5, 5));
        let (finished, urls) = live(vec![redirect(302, "/b"), redirect(302, "/v1/firings/a"), state("fired")]);
        assert_eq!((finished.last_error, urls.len()), (Some(LookError::RedirectLoop), 3));
    }

    #[test]
    fn foreign_origins_are_refused_and_never_asked() {
        for to in [
            "https://evil.example/firings/a",
            "//evil.example/firings/a",
            "https:\\\\evil.example/",
            "https://api.example.com.evil.example/",
            "https://api.example.com:8443/v1/firings/a",
            "https://api.example.com@evil.example/",
            "https://user:pass@api.example.com/v1/firings/a",
            "http://api.example.com/v1/firings/a",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://[::1",
        ] {
            for status in [301, 302, 303, 307, 308] {
                let (finished, urls) = live(vec![redirect(status, to), state("fired")]);
                assert_eq!((finished.outcome, urls.len()), (Outcome::Rejected, 1), "{status} {to}");
                assert!(
                    matches!(finished.last_error, Some(LookError::ForeignOrigin | LookError::BadUrl)),
                    "{status} {to}: {finished:?}"
                );
            }
            // A 202 cannot move the poll URL there either; the job goes on at its own address.
            let (finished, urls) = live(vec![redirect(202, to), state("fired")]);
            assert_eq!(finished.outcome, Outcome::Succeeded);
            assert!(urls.iter().all(|url| url == "https://api.example.com/v1/firings/a"), "{to}: {urls:?}");
        }
    }

    #[test]
    fn the_refusal_names_the_address_without_its_secrets() {
        let (finished, _) = live(vec![redirect(302, "https://evil.example/x?token=abc")]);
        let error = finished.error.unwrap();
        assert!(error.contains("https://evil.example/x") && !error.contains("abc"), "{error}");
    }

    #[test]
    fn allowed_origins_are_followed_but_never_from_https_to_http() {
        let backend = kiln().with_allowed_origin("https://eu.example.com").unwrap();
        let backend = backend.with_allowed_origin("http://plain.example.com").unwrap();
        for (to, expected) in [
            ("https://eu.example.com/x", Outcome::Succeeded),
            ("http://eu.example.com/x", Outcome::Rejected),
            ("http://plain.example.com/x", Outcome::Rejected),
        ] {
            let mut world = World::new(script(vec![redirect(302, to), state("fired")]));
            assert_eq!(world.wait(&backend, every_second(), job("a")).outcome, expected, "{to}");
        }
        let mut world = World::new(script(vec![state("fired")]));
        let finished = world.wait(&backend, every_second(), job("http://plain.example.com/x"));
        assert_eq!((finished.outcome, world.sent.len()), (Outcome::Rejected, 0));
    }

    #[test]
    fn regression_https_never_leads_back_to_http_not_even_to_our_own_origin() {
        let backend = Backend::new(dialect(KILN), Some("http://api.example.com")).unwrap();
        let backend = backend.with_allowed_origin("https://api.example.com").unwrap();
        let replies = vec![redirect(302, "https://api.example.com/x"), redirect(302, "http://api.example.com/y")];
        let mut world = World::new(script(replies));
        let finished = world.wait(&backend, every_second(), job("a"));
        assert_eq!((finished.outcome, finished.last_error), (Outcome::Rejected, Some(LookError::ForeignOrigin)));
        assert_eq!(world.urls(), ["http://api.example.com/firings/a", "https://api.example.com/x"]);
    }

    #[test]
    fn permanent_redirects_are_remembered_and_others_are_not() {
        for (status, second) in [(301, "/new"), (308, "/new"), (302, "/v1/firings/a"), (307, "/v1/firings/a")] {
            let (_, urls) = live(vec![redirect(status, "/new"), state("Heating"), state("fired")]);
            assert_eq!(urls[2], format!("https://api.example.com{second}"), "{status}");
        }
    }

    #[test]
    fn regression_what_a_temporary_address_says_of_itself_is_not_remembered() {
        let (_, urls) = live(vec![redirect(302, "/b"), redirect(301, "/c"), state("Heating"), state("fired")]);
        assert_eq!(urls[3], "https://api.example.com/v1/firings/a");
        let (_, urls) =
            live(vec![redirect(308, "/b"), redirect(301, "/c"), redirect(302, "/d"), state("queued"), state("fired")]);
        assert_eq!(urls[4], "https://api.example.com/c");
    }

    #[test]
    fn accepted_moves_the_poll_url() {
        let (_, urls) = live(vec![redirect(202, "/operations/7"), state("Heating"), state("fired")]);
        assert_eq!(urls[1..], ["https://api.example.com/operations/7"; 2]);
    }

    /// RFC 3986 §5.1.3: a reference is relative to where it was told.
    #[test]
    fn regression_a_moved_address_is_relative_to_the_answering_one() {
        let moved = redirect(202, "/operations/7/status");
        let (_, urls) = live(vec![moved, redirect(202, "result"), state("fired")]);
        assert_eq!(urls[2], "https://api.example.com/operations/7/result");
    }

    #[test]
    fn regression_an_address_that_no_request_can_have_does_not_move_the_job() {
        let long = format!("/{}", "x".repeat(70_000));
        let (finished, urls) = live(vec![redirect(202, &long), state("fired")]);
        assert_eq!((finished.outcome, urls[1].as_str()), (Outcome::Succeeded, "https://api.example.com/v1/firings/a"));
        let (finished, urls) = live(vec![redirect(302, &long), state("fired")]);
        assert_eq!((finished.outcome, finished.last_error), (Outcome::Rejected, Some(LookError::BadUrl)));
        assert!(finished.error.unwrap().len() < 2_000);
        assert_eq!((urls.len(), finished.elapsed), (1, Duration::ZERO));
    }
}

mod request_ids {
    use super::*;

    #[test]
    fn late_repeated_and_foreign_answers_change_nothing() {
        let backend = kiln();
        let policy = every_second().build().unwrap();
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(1));
        let mut other = Watch::new(&backend, policy, job("a"), START, &mut rng(2));
        let mut clock = START;
        let fired = response(200, &[], r#"{"state":"fired"}"#);
        let moved = response(302, &[("location", "/hop")], "");

        let (foreign, ..) = next_request(&mut other, &mut clock);
        let (first, ..) = next_request(&mut watch, &mut clock);
        watch.handle_response(clock, foreign, &fired);
        watch.handle_error(clock, foreign, &TransportError::new(LookError::Tls, ""));
        watch.handle_response(clock, first, &moved);
        // The attempt goes on under the hop's id; the id before it is used up.
        watch.handle_response(clock, first, &fired);
        watch.handle_response(clock, first, &moved);
        let (hop, request, _) = next_request(&mut watch, &mut clock);
        assert_eq!(request.uri(), "https://api.example.com/hop");
        assert_ne!(hop, first);
        watch.handle_response(clock, first, &fired);
        watch.handle_response(clock, hop, &response(200, &[], r#"{"state":"queued"}"#));
        watch.handle_response(clock, hop, &fired);
        watch.handle_error(clock, hop, &TransportError::new(LookError::Tls, ""));

        let (second, ..) = next_request(&mut watch, &mut clock);
        assert_eq!(clock, at(secs(1)));
        for late in [foreign, first, hop] {
            watch.handle_response(clock, late, &fired);
        }
        watch.handle_response(clock, second, &response(200, &[], r#"{"state":"cracked"}"#));
        let WatchAction::Finished(finished) = watch.poll(clock) else { panic!() };
        assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Failed, 3, 0));
    }

    #[test]
    fn an_answer_after_its_time_is_late() {
        let backend = kiln();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        let mut clock = START;
        let (first, _, timeout) = next_request(&mut watch, &mut clock);
        clock = clock.saturating_add(timeout);
        assert!(matches!(watch.poll(clock), WatchAction::Sleep { .. }));
        watch.handle_response(clock, first, &response(200, &[], r#"{"state":"fired"}"#));
        assert!(matches!(watch.poll(clock), WatchAction::Sleep { .. }));
    }
}

mod detection_delay {
    use super::*;

    /// Looks at 0 s and 10 s; the job ends at 4 s.
    fn detected(first: &[(&str, &str)], second: &[(&str, &str)]) -> Finished {
        let replies = vec![
            reply(200, first, r#"{"state":"Heating"}"#),
            Reply::Answer(millis(500), response(200, second, r#"{"state":"fired"}"#)),
        ];
        let mut world = World::new(script(replies));
        world.wait(&kiln(), every_second().with_min_delay(secs(10)), job("a"))
    }

    const ENDED: (&str, &str) = ("x-jobwatch-ended-at", "1700000004.000000001");

    #[test]
    fn exact_where_the_backend_tells_the_end_and_bounded_otherwise() {
        let finished = detected(&[], &[ENDED]);
        assert_eq!(finished.detection_delay, Some(Duration::from_nanos(6_499_999_999)));
        assert_eq!(finished.detection_delay_max, Some(millis(10_500)));
        assert_eq!(detected(&[], &[]).detection_delay, None);
        assert_eq!(detected(&[], &[("x-jobwatch-ended-at", "just now")]).detection_delay, None);
    }

    #[test]
    fn an_old_answer_widens_the_bound() {
        assert_eq!(detected(&[("age", "7")], &[]).detection_delay_max, Some(millis(17_500)));
        assert_eq!(detected(&[("age", "-7")], &[]).detection_delay_max, Some(millis(10_500)));
        let ages = [("age", "99999999999999999999")];
        assert_eq!(detected(&ages, &[]).detection_delay_max, Some(millis(10_500)));
    }

    #[test]
    fn regression_an_older_answer_does_not_unsay_a_younger_one() {
        let running = r#"{"state":"Heating"}"#;
        let mut world =
            World::new(script(vec![reply(200, &[], running), reply(200, &[("age", "3600")], running), state("fired")]));
        let finished = world.wait(&kiln(), every_second(), job("a"));
        assert_eq!(finished.detection_delay_max, Some(secs(2)));
    }

    #[test]
    fn the_servers_clock_is_corrected_by_its_date() {
        // An hour ahead: its 23:13:24 is our 22:13:24.
        let headers = [("date", "Tue, 14 Nov 2023 23:13:30 GMT"), ("x-jobwatch-ended-at", "1700003604")];
        assert_eq!(detected(&[], &headers).detection_delay, Some(millis(6_000)));
        // An hour behind.
        let headers = [("date", "Tue, 14 Nov 2023 21:13:30 GMT"), ("x-jobwatch-ended-at", "1699996404")];
        assert_eq!(detected(&[], &headers).detection_delay, Some(millis(6_000)));
        // A second off is within what a Date can tell.
        let headers = [("date", "Tue, 14 Nov 2023 22:13:31 GMT"), ("x-jobwatch-ended-at", "1700000004")];
        assert_eq!(detected(&[], &headers).detection_delay, Some(millis(6_500)));
    }

    #[test]
    fn an_end_in_the_future_is_no_delay() {
        let finished = detected(&[], &[("x-jobwatch-ended-at", "99999999999999999999")]);
        assert_eq!(finished.detection_delay, Some(Duration::ZERO));
    }

    #[test]
    fn an_unknown_end_has_no_delay() {
        let mut world = World::new(|_: &_, _| reply(200, &[ENDED], r#"{"state":"Heating"}"#));
        let finished = world.wait(&kiln(), every_second().with_max_polls(2), job("a"));
        assert_eq!(finished.outcome, Outcome::TimedOut);
        assert_eq!((finished.detection_delay, finished.detection_delay_max), (None, None));
    }

    #[test]
    fn regression_the_delay_ends_with_the_answer_and_not_when_the_loop_comes_round() {
        let backend = kiln();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        let mut clock = START;
        let (id, ..) = next_request(&mut watch, &mut clock);
        watch.handle_response(at(secs(6)), id, &response(200, &[ENDED], r#"{"state":"fired"}"#));
        let WatchAction::Finished(finished) = watch.poll(at(secs(600))) else { panic!() };
        assert_eq!(finished.detection_delay, Some(Duration::from_nanos(1_999_999_999)));
    }
}

mod addresses {
    use super::*;

    fn asked(base: &str, id: &str) -> String {
        let backend = Backend::new(dialect(KILN), Some(base)).unwrap();
        let mut world = World::new(script(vec![state("fired")]));
        world.wait(&backend, every_second(), job(id));
        world.sent.remove(0).url
    }

    #[test]
    fn ids_are_percent_encoded() {
        for (id, encoded) in [
            ("plain-1_2.3~4", "plain-1_2.3~4"),
            ("a/b", "a%2Fb"),
            ("../../admin", "..%2F..%2Fadmin"),
            ("...", "..."),
            ("%2e%2e", "%252e%252e"),
            ("a?b=c", "a%3Fb%3Dc"),
            ("a#b", "a%23b"),
            ("a b", "a%20b"),
            (" ", "%20"),
            ("a\\b", "a%5Cb"),
            ("a;b@c:d&e+f", "a%3Bb%40c%3Ad%26e%2Bf"),
            ("größe", "gr%C3%B6%C3%9Fe"),
            ("日本", "%E6%97%A5%E6%9C%AC"),
            ("{id}", "%7Bid%7D"),
        ] {
            assert_eq!(asked(BASE, id), format!("https://api.example.com/v1/firings/{encoded}"), "{id:?}");
        }
    }

    #[test]
    fn ids_that_no_request_can_ask_for_are_refused() {
        for id in ["", ".", "..", "a\nb", "a\r\nx: y", "\0", "a\u{7f}", "\u{85}", "a\tb"] {
            let error: IdError = JobRef::new(id).unwrap_err();
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn regression_a_stored_id_is_validated_like_a_new_one() {
        for id in ["..", "", "a\nb"] {
            let stored = json!({ "id": id, "poll_url": null, "created_at": null });
            assert!(serde_json::from_value::<JobRef>(stored).is_err(), "{id:?}");
        }
        let job = job("a/b").with_created_at(START);
        let stored = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<JobRef>(&stored).unwrap(), job);
    }

    #[test]
    fn base_addresses() {
        for (base, url) in [
            ("https://api.example.com", "https://api.example.com/firings/x"),
            ("https://api.example.com/", "https://api.example.com/firings/x"),
            ("https://api.example.com/a/b//", "https://api.example.com/a/b/firings/x"),
            ("https://api.example.com/a?key=1#f", "https://api.example.com/a/firings/x"),
            ("http://127.0.0.1:5000/p", "http://127.0.0.1:5000/p/firings/x"),
            ("http://[::1]:80/p", "http://[::1]/p/firings/x"),
            ("https://API.example.com:443", "https://api.example.com/firings/x"),
        ] {
            assert_eq!(asked(base, "x"), url, "{base}");
        }
        for base in ["", "api.example.com", "ftp://x", "mailto:a@b", "https://", "https://u:p@x", "https://u@x", "/v1"]
        {
            assert!(Backend::new(dialect(KILN), Some(base)).is_err(), "{base}");
        }
        assert!(Backend::new(dialect(KILN), None).unwrap_err().to_string().contains("give a base URL"));
    }

    #[test]
    fn an_id_in_the_query_stays_in_the_query() {
        let text = KILN.replace("/firings/{id}", "/firings?id={id}&full=1");
        let backend = Backend::new(dialect(&text), Some(BASE)).unwrap();
        let mut world = World::new(script(vec![state("fired")]));
        world.wait(&backend, every_second(), job("a&b=?#c d"));
        assert_eq!(world.urls(), ["https://api.example.com/v1/firings?id=a%26b%3D%3F%23c%20d&full=1"]);
    }

    #[test]
    fn a_job_can_be_named_by_its_poll_url() {
        let mut world = World::new(script(vec![state("fired")]));
        let finished = world.wait(&kiln(), every_second(), job("https://api.example.com/elsewhere?x=1"));
        assert_eq!(finished.outcome, Outcome::Succeeded);
        assert_eq!(world.urls(), ["https://api.example.com/elsewhere?x=1"]);
    }

    #[test]
    fn a_foreign_poll_url_is_rejected_without_a_request() {
        for url in ["https://evil.example/x", "http://api.example.com/x", "https://k:v@api.example.com/", "https://["] {
            let mut world = World::new(script(vec![state("fired")]));
            let finished = world.wait(&kiln(), every_second(), job(url));
            assert_eq!((finished.outcome, world.sent.len()), (Outcome::Rejected, 0), "{url}");
            // Nothing was sent, so nothing failed.
            assert_eq!((finished.requests, finished.failed_requests), (0, 0), "regression: {url}");
        }
    }
}

mod secrets {
    use super::*;

    #[test]
    fn header_values_are_in_no_debug_output() {
        let backend = kiln().with_header("authorization", &format!("Bearer {SECRET}")).unwrap();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        let action = watch.poll(START);
        let WatchAction::Send { request, .. } = &action else { panic!() };
        assert_eq!(request.headers()["x-api-key"], SECRET);
        let mut submit = jobwatch::Submit::new(&backend, Policy::default(), vec![1, 2, 3], START, &mut rng(1));
        let texts = [
            format!("{backend:?}"),
            format!("{watch:?}"),
            format!("{action:?}"),
            format!("{:?}", watch.snapshot()),
            serde_json::to_string(&watch.snapshot()).unwrap(),
            format!("{submit:?} {:?}", submit.poll(START)),
            format!("{:?}", jobwatch::Fleet::new(backend.clone().into(), Policy::default().into(), &mut rng(1))),
        ];
        for text in texts {
            assert!(!text.contains(SECRET), "{text}");
        }
    }

    #[test]
    fn wrong_headers_are_told_without_their_value() {
        let line = format!("x-api-key: {SECRET}");
        for (name, value) in
            [("x-api-key", "a\nb".to_owned() + SECRET), ("a b", SECRET.to_owned()), (&line, String::new())]
        {
            let error = kiln().with_header(name, &value).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET), "regression: {error}");
        }
    }

    #[test]
    fn regression_presigned_addresses_are_in_no_debug_output() {
        let backend = kiln();
        let url = job("https://api.example.com/x?token=hush");
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), url.clone(), START, &mut rng(1));
        let mut clock = START;
        let (id, ..) = next_request(&mut watch, &mut clock);
        watch.handle_response(clock, id, &response(301, &[("location", "/y?token=hush")], ""));
        let texts = [format!("{url:?}"), format!("{watch:?}"), format!("{:?}", watch.snapshot())];
        for text in texts {
            assert!(!text.contains("hush"), "{text}");
        }
        let job = job("https://user:hush@api.example.com/x");
        assert!(!format!("{job:?}").contains("hush"));
    }

    #[test]
    fn addresses_with_passwords_are_refused_without_repeating_them() {
        let error = Backend::new(dialect(KILN), Some("https://me:hush@api.example.com")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
        let error = kiln().with_allowed_origin("https://me:hush@api.example.com").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

mod snapshots {
    use super::*;

    fn stored(watch: &Watch<&Backend, Policy>) -> Value {
        serde_json::to_value(watch.snapshot().unwrap()).unwrap()
    }

    /// A watch that has seen a state, a breakdown and a permanent redirect, with a request under way.
    fn a_life(backend: &Backend) -> (Watch<&Backend, Policy>, jobwatch::Timestamp) {
        let mut world = World::new(script(vec![
            state("queued"),
            reply(500, &[], ""),
            redirect(301, "/moved/a"),
            state("Heating"),
            Reply::Never,
        ]));
        let mut watch = Watch::new(backend, every_second().build().unwrap(), job("a"), START, &mut rng(3));
        while world.sent.len() < 5 {
            assert!(world.step(&mut watch).is_none());
        }
        (watch, world.clock)
    }

    #[test]
    fn a_crash_loses_nothing_but_the_request_under_way() {
        let backend = kiln();
        let (watch, clock) = a_life(&backend);
        let text = serde_json::to_string(&watch.snapshot().unwrap()).unwrap();
        drop(watch);
        let snapshot: JobSnapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(snapshot.job().id(), "a");
        let mut world = World::new(script(vec![state("fired")]));
        world.clock = clock;
        let mut watch = Watch::resume(&backend, every_second().build().unwrap(), snapshot, clock).unwrap();
        let finished = world.drive(&mut watch);
        assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Succeeded, 6, 1));
        assert_eq!(world.urls(), ["https://api.example.com/moved/a"]);
    }

    /// What was wrong before is forgotten with the budget that it has cost.
    #[test]
    fn a_wait_that_begins_anew_has_no_earlier_error() {
        let backend = kiln();
        let mut world = World::new(script(vec![reply(502, &[], r#"{"error":{"message":"no gas"}}"#), Reply::Never]));
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(3));
        while world.sent.len() < 2 {
            assert!(world.step(&mut watch).is_none());
        }
        let error = |snapshot: JobSnapshot| serde_json::to_value(snapshot).unwrap()["job"]["message"].clone();
        let snapshot = watch.snapshot().unwrap();
        assert_eq!(error(snapshot.clone()), "no gas");
        let watch = Watch::resume(&backend, every_second().build().unwrap(), snapshot.anew(), world.clock).unwrap();
        assert_eq!(error(watch.snapshot().unwrap()), Value::Null);
    }

    /// However often an answer says so.
    #[test]
    fn a_correction_for_a_while_is_remembered_once() {
        let keys = "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/vase\"\nthen = \"running\"\nfor = \"10m\"";
        let backend = Backend::new(dialect(&format!("{KILN}{keys}")), Some(BASE)).unwrap();
        let mut world = World::new(script(vec![state("fired")]));
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(3));
        while world.sent.len() < 9 {
            assert!(world.step(&mut watch).is_none());
        }
        assert_eq!(stored(&watch)["job"]["extra"]["refined"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_moved_address_is_trusted_no_more_than_when_it_was_told() {
        let backend = kiln();
        let (watch, clock) = a_life(&backend);
        for to in ["https://evil.example/a", "http://api.example.com/moved/a", "//evil.example", "javascript:1"] {
            let mut value = stored(&watch);
            value["job"]["extra"]["moved_to"] = json!(to);
            let snapshot = serde_json::from_value(value).unwrap();
            let mut watch = Watch::resume(&backend, every_second().build().unwrap(), snapshot, clock).unwrap();
            let mut world = World::new(script(vec![state("fired")]));
            world.clock = clock;
            let finished = world.drive(&mut watch);
            assert_eq!((finished.outcome, world.sent.len()), (Outcome::Rejected, 0), "{to}");
        }
    }

    #[test]
    fn other_versions_are_refused() {
        let backend = kiln();
        let (watch, clock) = a_life(&backend);
        for version in [0, 2, u16::MAX] {
            let mut value = stored(&watch);
            value["v"] = json!(version);
            let snapshot = serde_json::from_value(value).unwrap();
            let error = Watch::resume(&backend, every_second().build().unwrap(), snapshot, clock).err();
            assert_eq!(error, Some(SnapshotError::Version(version)));
        }
    }

    #[test]
    fn impossible_states_are_refused() {
        let backend = kiln();
        let (watch, clock) = a_life(&backend);
        let mut value = stored(&watch);
        value["job"]["poller"]["failed_looks"] = json!(1_000_000);
        let snapshot = serde_json::from_value(value).unwrap();
        let error = Watch::resume(&backend, every_second().build().unwrap(), snapshot, clock).err();
        assert!(matches!(error, Some(SnapshotError::Impossible(_))), "{error:?}");
        let mut value = stored(&watch);
        value["job"]["job"]["id"] = json!("..");
        assert!(serde_json::from_value::<JobSnapshot>(value).is_err());
    }

    /// All instants of the job's story move with the clock, so that nothing lasts longer than it would have.
    #[test]
    fn a_clock_set_back_moves_what_was_corrected_and_told() {
        let keys = "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/vase\"\nthen = \"running\"\nfor = \"10m\"";
        let backend = Backend::new(dialect(&format!("{KILN}{keys}")), Some(BASE)).unwrap();
        let (policy, mut world) = (every_second().build().unwrap(), World::new(script(vec![state("fired")])));
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(3));
        while world.sent.len() < 3 {
            assert!(world.step(&mut watch).is_none());
        }
        let mut before = stored(&watch);
        let latest = before["job"]["poller"]["latest"].as_u64().unwrap();
        before["job"]["extra"]["told_at"] = json!(latest);
        let instants = |stored: &Value| {
            let (job, extra) = (&stored["job"], &stored["job"]["extra"]);
            [&job["sent_at"], &extra["refined"][0][1], &extra["told_at"]].map(|at| at.as_u64().expect("an instant"))
        };
        let back = secs(500);
        let earlier = jobwatch::Timestamp::from_nanos(latest).saturating_sub(back);
        let snapshot = serde_json::from_value(before.clone()).unwrap();
        let after = stored(&Watch::resume(&backend, policy, snapshot, earlier).unwrap());
        assert_eq!(
            instants(&after)
                .map(|at| jobwatch::Timestamp::from_nanos(at).saturating_add(back))
                .map(jobwatch::Timestamp::as_nanos),
            instants(&before)
        );
    }

    #[test]
    fn regression_a_clock_set_back_moves_the_bounds_too() {
        let backend = kiln();
        let replies = vec![state("Heating"), state("Heating"), state("fired")];
        let mut world = World::new(script(replies));
        world.clock = at(secs(3_600));
        let policy = every_second().build().unwrap();
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), world.clock, &mut rng(3));
        while world.sent.len() < 2 {
            assert!(world.step(&mut watch).is_none());
        }
        let snapshot = watch.snapshot().unwrap();
        world.clock = START;
        let finished = world.drive(&mut Watch::resume(&backend, policy, snapshot, START).unwrap());
        assert_eq!((finished.elapsed, finished.detection_delay_max), (secs(2), Some(secs(1))));
    }

    #[test]
    fn regression_an_end_that_was_not_handed_out_has_no_snapshot_without_its_result() {
        let backend = kiln();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        let mut clock = START;
        let (id, ..) = next_request(&mut watch, &mut clock);
        watch.handle_response(clock, id, &response(200, &[], r#"{"state":"fired","vase":1}"#));
        assert!(watch.snapshot().is_none());
        let WatchAction::Finished(finished) = watch.poll(clock) else { panic!() };
        assert_eq!(finished.result, Some(json!(1)));
    }

    /// Every path in a JSON value.
    fn paths(value: &Value, here: &str, all: &mut Vec<String>) {
        all.push(here.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| paths(value, &format!("{here}/{key}"), all)),
            Value::Array(list) => {
                for (n, value) in list.iter().enumerate() {
                    paths(value, &format!("{here}/{n}"), all);
                }
            }
            _ => {}
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop_oneof![Just(0), Just(1), Just(u64::from(u32::MAX)), Just(u64::MAX)].prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            prop_oneof![Just("in_flight"), Just("stopped"), Just("//x"), Just("told")].prop_map(Value::from),
            Just(json!({})),
            Just(json!([])),
        ]
    }

    proptest! {
        #![proptest_config(http_support::cases(400))]

        /// A tampered snapshot is refused with a typed error, or lives on and ends; it asks no foreign origin.
        #[test]
        fn tampering_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), anything()), 1..4), later in 0_u64..10_000) {
            let backend = kiln();
            let (watch, clock) = a_life(&backend);
            let mut value = stored(&watch);
            for (index, new) in changes {
                let mut all = Vec::new();
                paths(&value, "", &mut all);
                let path = index.get(&all).clone();
                *value.pointer_mut(&path).unwrap() = new;
            }
            let Ok(snapshot) = serde_json::from_value::<JobSnapshot>(value) else { return Ok(()) };
            let mut world = World::new(script(vec![state("Heating"), state("fired")]));
            world.clock = clock.saturating_add(secs(later));
            let Ok(mut watch) = Watch::resume(&backend, every_second().build().unwrap(), snapshot, world.clock) else {
                return Ok(());
            };
            world.drive(&mut watch);
            for sent in &world.sent {
                prop_assert!(sent.url.starts_with("https://api.example.com/"), "{}", sent.url);
            }
        }
    }
}

mod properties {
    use super::*;

    fn any_reply() -> impl Strategy<Value = Reply> {
        let body = prop_oneof![
            Just(r#"{"state":"fired"}"#.to_owned()),
            Just(r#"{"state":"cracked"}"#.to_owned()),
            Just(r#"{"state":"cooled early"}"#.to_owned()),
            Just(String::new()),
            Just("<html>".to_owned()),
        ];
        let status = prop_oneof![100_u16..200, 203_u16..1000, Just(429_u16), Just(503), Just(404), Just(302)];
        let retry = prop::option::of(0_u32..5);
        let answer = (status, body, retry, 0_u64..3).prop_map(|(status, body, retry, seconds)| {
            let mut response = response(status, &[("location", "/x")], body);
            if let Some(retry) = retry {
                response.headers_mut().insert("retry-after", retry.into());
            }
            Reply::Answer(secs(seconds), response)
        });
        let error = prop_oneof![
            Just(LookError::Unreachable),
            Just(LookError::Disconnected),
            Just(LookError::TooLarge),
            Just(LookError::Expired),
        ];
        prop_oneof![6 => answer, 1 => error.prop_map(|error| Reply::Error(millis(5), error)), 1 => Just(Reply::Never)]
    }

    fn unfinished() -> impl Strategy<Value = Reply> {
        prop_oneof![
            Just(state("Heating")),
            Just(state("queued")),
            Just(reply(202, &[], "")),
            Just(reply(200, &[("retry-after", "3")], r#"{"state":"Heating"}"#))
        ]
    }

    proptest! {
        #![proptest_config(http_support::cases(300))]

        /// Guarantee 12: a failed request is never reported as a failed job.
        #[test]
        fn a_failed_request_is_never_a_jobs_end(replies in prop::collection::vec(any_reply(), 1..30), seed: u64) {
            let backend = kiln();
            let policy = every_second().with_total_timeout(secs(120)).build().unwrap();
            let mut watch = Watch::new(&backend, policy, job("a"), START, &mut rng(seed));
            let mut world = World::new(script(replies));
            let finished = world.drive(&mut watch);
            prop_assert!(
                !matches!(finished.outcome, Outcome::Succeeded | Outcome::Failed | Outcome::Cancelled),
                "{finished:?}"
            );
            prop_assert!(finished.error.is_some());
            prop_assert_eq!(finished.requests as usize, world.sent.len());
            prop_assert!(finished.failed_requests <= finished.requests);
        }

        /// Guarantee 10: a snapshot at every step, and the same outcome.
        #[test]
        fn a_snapshot_anywhere_gives_the_same_outcome(replies in prop::collection::vec(unfinished(), 0..8), cut in 0_usize..30, seed: u64, end in prop_oneof![Just("fired"), Just("cracked")]) {
            let backend = kiln();
            let policy = every_second().build().unwrap();
            let mut replies = replies;
            replies.push(state(end));
            let live = |cut: Option<usize>| {
                let mut world = World::new(script(replies.clone()));
                let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(seed));
                let mut steps = 0;
                loop {
                    if Some(steps) == cut && let Some(snapshot) = watch.snapshot() {
                        let text = serde_json::to_string(&snapshot).unwrap();
                        let snapshot = serde_json::from_str(&text).unwrap();
                        watch = Watch::resume(&backend, policy.clone(), snapshot, world.clock).unwrap();
                    }
                    steps += 1;
                    if let Some(finished) = world.step(&mut watch) {
                        return (finished, world.sent);
                    }
                }
            };
            prop_assert_eq!(live(None), live(Some(cut)));
        }

        #[test]
        fn no_body_panics(body: Vec<u8>, status in 100_u16..1000, headers in prop::collection::vec((0_usize..5, prop::collection::vec(32_u8..=255, 0..20)), 0..4)) {
            const NAMES: [&str; 5] = ["location", "retry-after", "age", "date", "x-jobwatch-ended-at"];
            let mut answer = response(status, &[], &body);
            for (name, value) in headers {
                if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                    answer.headers_mut().append(NAMES[name], value);
                }
            }
            let backend = kiln();
            let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
            let mut clock = START;
            let (id, ..) = next_request(&mut watch, &mut clock);
            watch.handle_response(clock, id, &answer);
            let _ = watch.poll(clock);
        }

        /// Nearly JSON, and nearly a state.
        #[test]
        fn no_text_panics(text in r#"[{"\[]{0,5}("state"|"vase"|"error")?:?("fired"|1e999|-0|[0-9]{1,40}|\\u[dD]8[0-9]{2})?[}"\]]{0,5}"#) {
            let reading = Dialect::from_toml(KILN).unwrap().read(&response(200, &[], &text), START);
            let _ = format!("{reading:?}");
        }
    }

    #[test]
    fn deep_nesting_is_malformed() {
        let (finished, _) = live(vec![reply(200, &[], &"[".repeat(1_000_000)), state("fired")]);
        assert_eq!((finished.outcome, finished.last_error), (Outcome::Succeeded, Some(LookError::Malformed)));
    }
}
