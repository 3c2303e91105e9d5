//! Asking the backend to cancel a job: after a look, as often as it takes, and never more than that.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;

use http::Request;
use http_support::{
    BASE, Reply, SECRET, START, World, at, dialect, every_second, job, millis, reply, response, rng, script, secs,
    state,
};
use jobwatch::{
    Backend, Cancel, CancelAction, CancelError, Cancellation, FirstLook, JobRef, LookError, Outcome, PolicyBuilder,
    Status, TransportError, Watch, WatchAction,
};
use proptest::prelude::*;

type Cancelled = Result<Cancellation, CancelError>;

const OVENS: &str = r#"
name = "ovens"
poll.path = "/jobs/{id}"
state.pointer = "/state"
state.pending = ["queued"]
state.running = ["working"]
state.succeeded = ["done"]
state.failed = ["broken"]
state.cancelled = ["cut"]
state.lost = ["none"]
error.pointer = "/error"
"#;

fn ovens(keys: &str) -> Backend {
    let backend = Backend::new(dialect(&format!("{OVENS}{keys}")), Some(BASE)).unwrap();
    backend.with_header("x-api-key", SECRET).unwrap()
}

fn by_path() -> Backend {
    ovens("cancel = { path = \"/jobs/{id}/cancel\" }")
}

fn by_url() -> Backend {
    ovens("cancel = { url = [\"/urls/cancel\", { header = \"X-Cancel\" }], method = \"PUT\" }")
}

/// Looks once, as one does before a cancellation.
fn look<F: FnMut(&Request<Vec<u8>>, Duration) -> Reply>(
    world: &mut World<F>,
    backend: &Backend,
    job: JobRef,
) -> Status {
    let policy = every_second().build().unwrap().one_look();
    Status::of(world.wait(backend, policy.to_builder(), job))
}

/// What comes of cancelling a job of which a look says `first`, where the backend replies to the requests that follow.
fn cancelled(backend: &Backend, policy: PolicyBuilder, first: Reply, replies: Vec<Reply>) -> (Cancelled, Vec<String>) {
    let mut world = World::new(script([vec![first], replies].concat()));
    let status = look(&mut world, backend, job("a"));
    world.sent.clear();
    let mut cancel = Cancel::new(backend, policy.build().unwrap(), status, world.clock, &mut rng(1));
    let done = world.cancel(&mut cancel);
    // The end stands, whenever it is asked for.
    for later in [Duration::ZERO, secs(1_000_000)] {
        let CancelAction::Done(again) = cancel.poll(world.clock.saturating_add(later)) else { panic!("it is over") };
        assert_eq!(again, done);
    }
    (done, world.sent.into_iter().map(|sent| sent.url).collect())
}

fn after(first: Reply, replies: Vec<Reply>) -> (Cancelled, usize) {
    let (done, urls) = cancelled(&by_path(), every_second(), first, replies);
    (done, urls.len())
}

fn requested(done: &Cancelled) -> bool {
    done.as_ref().unwrap().requested
}

mod stories {
    use super::*;

    #[test]
    fn an_unfinished_job_is_cancelled_with_one_request() {
        let mut world = World::new(|request: &Request<Vec<u8>>, _| {
            assert_eq!(request.headers()["x-api-key"], SECRET);
            match request.uri().path() {
                "/v1/jobs/a" => state("working"),
                "/v1/jobs/a/cancel" => {
                    assert_eq!((request.method().as_str(), request.body().len()), ("POST", 0));
                    reply(202, &[], "")
                }
                path => panic!("{path}"),
            }
        });
        let backend = by_path();
        let status = look(&mut world, &backend, job("a"));
        let mut cancel = Cancel::new(&backend, every_second().build().unwrap(), status, START, &mut rng(1));
        let done = world.cancel(&mut cancel).unwrap();
        assert!(done.requested);
        assert_eq!(
            (done.status.state.as_deref(), done.status.outcome, done.status.requests),
            (Some("working"), None, 1)
        );
        assert_eq!(world.sent.len(), 2);
    }

    #[test]
    fn any_success_is_an_agreement() {
        for (status, body) in
            [(200, ""), (200, r#"{"state":"cut"}"#), (200, "<html>"), (201, "{}"), (202, ""), (204, "")]
        {
            let (done, requests) = after(state("queued"), vec![reply(status, &[], body)]);
            assert_eq!((requested(&done), requests), (true, 1), "{status}");
        }
    }

    #[test]
    fn a_job_that_has_ended_is_left_alone() {
        for (word, outcome) in [("done", Outcome::Succeeded), ("broken", Outcome::Failed), ("cut", Outcome::Cancelled)]
        {
            let (done, requests) = after(state(word), vec![reply(500, &[], "")]);
            let done = done.unwrap();
            assert_eq!((done.requested, done.status.outcome, requests), (false, Some(outcome), 0));
        }
        for (first, outcome) in
            [(state("none"), Outcome::Lost), (reply(404, &[], ""), Outcome::Lost), (reply(410, &[], ""), Outcome::Lost)]
        {
            let (done, requests) = after(first, vec![reply(500, &[], "")]);
            let done = done.unwrap();
            assert_eq!((done.requested, done.status.outcome, requests), (false, Some(outcome), 0));
        }
    }

    #[test]
    fn a_job_that_could_not_be_looked_at_is_not_cancelled() {
        for (first, error) in [
            (reply(401, &[], r#"{"error":"wrong key"}"#), LookError::Status(401)),
            (reply(500, &[], r#"{"error":"wrong key"}"#), LookError::Status(500)),
            (reply(429, &[], r#"{"error":"wrong key"}"#), LookError::Status(429)),
        ] {
            let (done, requests) = after(first, vec![reply(200, &[], "")]);
            let failed = done.unwrap_err();
            assert_eq!((failed.error, requests), (Some(error), 0));
            assert!(failed.message.contains("wrong key"), "{failed}");
        }
        let (done, requests) = after(Reply::Never, vec![reply(200, &[], "")]);
        assert_eq!((done.unwrap_err().error, requests), (Some(LookError::Expired), 0));
    }

    #[test]
    fn a_dialect_that_cannot_cancel_says_so_and_sends_nothing() {
        for first in [state("working"), state("done")] {
            let (done, urls) = cancelled(&ovens(""), every_second(), first, vec![reply(200, &[], "")]);
            let failed = done.unwrap_err();
            assert_eq!(failed.to_string(), "the dialect \"ovens\" does not say how to cancel a job");
            assert_eq!((failed.error, urls.len()), (None, 0));
        }
    }
}

mod addresses {
    use super::*;

    fn told(address: &str) -> Reply {
        reply(200, &[], &format!(r#"{{"state":"working","urls":{{"cancel":"{address}"}}}}"#))
    }

    #[test]
    fn the_look_tells_where() {
        let agreed = || vec![reply(200, &[], "")];
        let (done, urls) =
            cancelled(&by_url(), every_second(), told("https://api.example.com/v1/stop/7?k=1"), agreed());
        assert_eq!((requested(&done), urls), (true, vec!["https://api.example.com/v1/stop/7?k=1".to_owned()]));
        let by_header = reply(200, &[("x-cancel", "/v1/stop")], r#"{"state":"working"}"#);
        let (done, urls) = cancelled(&by_url(), every_second(), by_header, agreed());
        assert_eq!((requested(&done), urls), (true, vec!["https://api.example.com/v1/stop".to_owned()]));
    }

    #[test]
    fn the_address_that_was_told_comes_before_the_path() {
        let both = ovens("cancel = { url = \"/urls/cancel\", path = \"/jobs/{id}/cancel\" }");
        for (first, url) in [
            (told("/v1/stop"), "https://api.example.com/v1/stop"),
            (state("working"), "https://api.example.com/v1/jobs/a/cancel"),
        ] {
            let (done, urls) = cancelled(&both, every_second(), first, vec![reply(200, &[], "")]);
            assert_eq!((requested(&done), urls), (true, vec![url.to_owned()]));
        }
    }

    #[test]
    fn nobody_told_where() {
        let (done, urls) = cancelled(&by_url(), every_second(), state("working"), vec![reply(200, &[], "")]);
        let failed = done.unwrap_err();
        assert_eq!(failed.message, "nobody has told where this job can be cancelled");
        assert_eq!((failed.error, urls.len()), (Some(LookError::BadUrl), 0));

        // A path wants an id, and an address is none.
        let backend = by_path();
        let mut world = World::new(script(vec![state("working"), reply(200, &[], "")]));
        let status = look(&mut world, &backend, job("https://api.example.com/v1/there"));
        let mut cancel = Cancel::new(&backend, every_second().build().unwrap(), status, START, &mut rng(1));
        assert_eq!(world.cancel(&mut cancel).unwrap_err().error, Some(LookError::BadUrl));
        assert_eq!(world.sent.len(), 1);
    }

    #[test]
    fn credentials_go_to_no_foreign_address() {
        for address in [
            "https://evil.example/stop",
            "//evil.example/stop",
            "http://api.example.com/v1/stop",
            "https://api.example.com:8443/stop",
            "https://u:p@api.example.com/stop",
            "ftp://api.example.com/stop",
        ] {
            let (done, urls) = cancelled(&by_url(), every_second(), told(address), vec![reply(200, &[], "")]);
            let failed = done.unwrap_err();
            assert!(
                matches!(failed.error, Some(LookError::ForeignOrigin | LookError::BadUrl)),
                "{address}: {failed:?}"
            );
            assert!(urls.is_empty() && !failed.message.contains("u:p"), "{address}");
        }
    }

    /// RFC 3986 §5: relative to the answer that told it.
    #[test]
    fn regression_an_address_is_relative_to_where_it_was_told() {
        for (address, url) in [
            ("a/cancel", "https://api.example.com/v1/jobs/a/cancel"),
            ("?cancel=1", "https://api.example.com/v1/jobs/a?cancel=1"),
        ] {
            let (_, urls) = cancelled(&by_url(), every_second(), told(address), vec![reply(200, &[], "")]);
            assert_eq!(urls, [url]);
        }
    }
}

mod answers {
    use super::*;

    #[test]
    fn a_job_that_is_gone_by_now_needs_no_cancelling() {
        for gone in [reply(404, &[], ""), reply(410, &[], "")] {
            let (done, requests) = after(state("working"), vec![gone]);
            assert_eq!((requested(&done), requests), (true, 1));
        }
    }

    #[test]
    fn refusals_are_final() {
        for status in [400, 401, 403, 405, 409, 422, 423, 300, 301, 302, 303, 304, 307, 308] {
            let refusal = reply(status, &[("location", "/v1/elsewhere")], r#"{"error":"too late"}"#);
            let (done, requests) = after(state("working"), vec![refusal, reply(200, &[], "")]);
            let failed = done.unwrap_err();
            assert_eq!(requests, 1, "{status}");
            assert!(failed.error.is_some() && !failed.message.is_empty(), "{status}: {failed:?}");
            assert_eq!(failed.status.state.as_deref(), Some("working"));
            if !(300..400).contains(&status) {
                assert_eq!((failed.error, failed.message.as_str()), (Some(LookError::Status(status)), "too late"));
            }
        }
    }

    #[test]
    fn what_may_pass_is_repeated() {
        for trouble in [
            reply(408, &[], ""),
            reply(425, &[], ""),
            reply(429, &[], ""),
            reply(500, &[], ""),
            reply(503, &[], ""),
            Reply::Error(millis(5), LookError::Unreachable),
            Reply::Error(millis(5), LookError::Disconnected),
            Reply::Error(millis(5), LookError::TooLarge),
            Reply::Never,
        ] {
            let (done, requests) = after(state("working"), vec![trouble.clone(), trouble.clone(), reply(204, &[], "")]);
            assert_eq!((requested(&done), requests), (true, 3), "{trouble:?}");
            // Gone in the meantime: the first one may have worked.
            let (done, requests) = after(state("working"), vec![trouble, reply(404, &[], "")]);
            assert_eq!((requested(&done), requests), (true, 2));
        }
    }

    #[test]
    fn transport_errors_that_do_not_pass_are_final() {
        for error in [LookError::Tls, LookError::BadUrl, LookError::ForeignOrigin] {
            let (done, requests) = after(state("working"), vec![Reply::Error(millis(5), error), reply(200, &[], "")]);
            assert_eq!((done.unwrap_err().error, requests), (Some(error), 1));
        }
    }

    #[test]
    fn throttles_are_obeyed_and_keep_the_budget() {
        let mut replies = vec![reply(429, &[("retry-after", "30")], ""); 8];
        replies.push(reply(200, &[], ""));
        let mut world = World::new(script([vec![state("working")], replies].concat()));
        let backend = by_path();
        let status = look(&mut world, &backend, job("a"));
        let mut cancel = Cancel::new(&backend, every_second().build().unwrap(), status, START, &mut rng(1));
        assert!(requested(&world.cancel(&mut cancel)));
        assert!(world.sent[1..].windows(2).all(|pair| pair[1].at.saturating_since(pair[0].at) >= secs(30)));
    }

    #[test]
    fn a_spent_budget_tells_the_last_error() {
        let (done, requests) = after(state("working"), vec![reply(500, &[], r#"{"error":"busy"}"#)]);
        let failed = done.unwrap_err();
        assert_eq!((failed.error, failed.message.as_str(), requests), (Some(LookError::Status(500)), "busy", 5));
        let policy = every_second().with_total_timeout(secs(2)).with_max_consecutive_failures(100);
        let (done, _) = cancelled(&by_path(), policy, state("working"), vec![reply(503, &[], "")]);
        assert_eq!(done.unwrap_err().error, Some(LookError::Status(503)));
    }

    #[test]
    fn nothing_but_silence() {
        let policy = every_second().with_attempt_timeout(secs(2));
        let (done, urls) = cancelled(&by_path(), policy, state("working"), vec![Reply::Never]);
        let failed = done.unwrap_err();
        assert_eq!(
            (failed.error, failed.message.as_str(), urls.len()),
            (Some(LookError::Expired), "no answer in time", 5)
        );
    }

    #[test]
    fn regression_silence_after_an_answer_is_not_told_in_the_answers_words() {
        let policy = every_second().with_attempt_timeout(secs(2));
        let replies = vec![reply(500, &[], r#"{"error":"busy"}"#), Reply::Never];
        let failed = cancelled(&by_path(), policy, state("working"), replies).0.unwrap_err();
        assert_eq!((failed.error, failed.message.as_str()), (Some(LookError::Expired), "no answer in time"));
    }

    #[test]
    fn an_envelope_is_read_here_too() {
        let keys = "cancel.path = \"/jobs/{id}/cancel\"\n\
                    envelope = { pointer = \"/code\", ok = [0], throttled = [29], lost = [4], fatal = [13] }";
        let look = || reply(200, &[], r#"{"code":0,"state":"working"}"#);
        let told = |body: &str| reply(200, &[("retry-after", "3")], body);
        let (done, urls) =
            cancelled(&ovens(keys), every_second(), look(), vec![told(r#"{"code":29}"#), told(r#"{"code":0}"#)]);
        assert_eq!((requested(&done), urls.len()), (true, 2));
        let (done, urls) =
            cancelled(&ovens(keys), every_second(), look(), vec![told(r#"{"code":7}"#), told(r#"{"code":4}"#)]);
        assert_eq!((requested(&done), urls.len()), (true, 2));
        let (done, urls) =
            cancelled(&ovens(keys), every_second(), look(), vec![told(r#"{"code":13,"error":"not yours"}"#)]);
        let failed = done.unwrap_err();
        assert_eq!((failed.error, failed.message.as_str(), urls.len()), (Some(LookError::Envelope), "not yours", 1));
        // No JSON, no envelope.
        let (done, _) = cancelled(&ovens(keys), every_second(), look(), vec![reply(204, &[], "")]);
        assert!(requested(&done));
    }

    /// What the dialect declares of a job's statuses says nothing of a cancellation's.
    #[test]
    fn declared_statuses_agree_to_nothing() {
        let keys = "cancel.path = \"/jobs/{id}/cancel\"\nstate.status = { 409 = \"cancelled\", 303 = \"succeeded\", 202 = \"running\" }";
        for (status, agreed) in [(409, false), (303, false), (202, true)] {
            let (done, urls) = cancelled(&ovens(keys), every_second(), state("working"), vec![reply(status, &[], "")]);
            assert_eq!((done.is_ok(), urls.len()), (agreed, 1), "{status}");
        }
    }
}

mod time {
    use super::*;

    #[test]
    fn the_policys_first_look_is_not_waited_for() {
        for first in [FirstLook::After(secs(600)), FirstLook::BySchedule] {
            let mut world = World::new(script(vec![state("working"), reply(200, &[], "")]));
            let backend = by_path();
            let status = look(&mut world, &backend, job("a"));
            let policy = every_second().with_first_look(first).build().unwrap();
            let mut cancel = Cancel::new(&backend, policy, status, world.clock, &mut rng(1));
            world.cancel(&mut cancel).unwrap();
            assert_eq!(world.sent[1].at, START);
        }
    }

    #[test]
    fn late_repeated_and_foreign_answers_change_nothing() {
        let backend = by_path();
        let mut world = World::new(script(vec![state("working")]));
        let status = look(&mut world, &backend, job("a"));
        let policy = every_second().build().unwrap();
        let begin = |seed| Cancel::new(&backend, policy.clone(), status.clone(), START, &mut rng(seed));
        let (mut one, mut other) = (begin(1), begin(2));
        let CancelAction::Send { id: first, .. } = one.poll(START) else { panic!() };
        let CancelAction::Send { id: foreign, .. } = other.poll(START) else { panic!() };
        one.handle_response(START, foreign, &response(200, &[], ""));
        one.handle_error(START, foreign, &TransportError::new(LookError::Tls, ""));
        assert!(matches!(one.poll(START), CancelAction::Sleep { .. }));
        one.handle_response(START, first, &response(503, &[], ""));
        one.handle_response(START, first, &response(200, &[], ""));
        let CancelAction::Sleep { until } = one.poll(START) else { panic!("it was refused once") };
        let CancelAction::Send { id: second, .. } = one.poll(until) else { panic!("and is repeated") };
        assert_ne!(first, second);
        one.handle_response(until, second, &response(200, &[], ""));
        one.handle_response(until, second, &response(400, &[], ""));
        let CancelAction::Done(done) = one.poll(until) else { panic!() };
        assert!(requested(&done));
    }

    /// Also where the policy has but one look, since nothing was asked with credentials that are good.
    #[test]
    fn refused_credentials_are_renewed_once() {
        let backend = by_path();
        let renewed = backend.renewed([("x-api-key", "new")]).unwrap();
        let mut world = World::new(script(vec![state("working")]));
        let status = look(&mut world, &backend, job("a"));
        let begin = || {
            let policy = every_second().with_max_polls(1).build().unwrap();
            let mut cancel = Cancel::new(&backend, policy, status.clone(), START, &mut rng(1)).with_renewal();
            let CancelAction::Send { id, .. } = cancel.poll(START) else { panic!() };
            cancel.handle_response(START, id, &response(401, &[], ""));
            for _ in 0..2 {
                assert!(matches!(cancel.poll(START), CancelAction::Renew), "until it is done");
            }
            (cancel, id)
        };
        for (status, agreed) in [(204, true), (401, false)] {
            let (mut cancel, refused) = begin();
            cancel.renewed(START, Ok(&renewed));
            let CancelAction::Send { id, request, .. } = cancel.poll(START) else { panic!("at once") };
            assert_eq!(request.headers()["x-api-key"], "new");
            cancel.handle_response(START, refused, &response(200, &[], ""));
            assert!(matches!(cancel.poll(START), CancelAction::Sleep { .. }), "the first one is over");
            cancel.handle_response(START, id, &response(status, &[], ""));
            let CancelAction::Done(done) = cancel.poll(START) else { panic!("not twice") };
            assert_eq!(done.is_ok(), agreed);
        }
        let (mut cancel, _) = begin();
        cancel.renewed(START, Err("the vault is shut".to_owned()));
        let CancelAction::Done(Err(error)) = cancel.poll(START) else { panic!() };
        assert!(error.message.ends_with("not renewed: the vault is shut"), "{error}");
        assert_eq!(error.error, Some(LookError::Status(401)));
    }

    #[test]
    fn a_driver_that_comes_back_late_repeats_it() {
        let backend = by_path();
        let mut world = World::new(script(vec![state("working")]));
        let status = look(&mut world, &backend, job("a"));
        let mut cancel = Cancel::new(&backend, every_second().build().unwrap(), status, START, &mut rng(1));
        let CancelAction::Send { .. } = cancel.poll(START) else { panic!() };
        let CancelAction::Sleep { until } = cancel.poll(at(secs(60))) else { panic!("a failure has its backoff") };
        assert!(matches!(cancel.poll(until), CancelAction::Send { .. }));
    }

    /// Stopping a wait asks for nothing.
    #[test]
    fn stopping_cancels_nothing() {
        let backend = by_path();
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        watch.stop(START);
        let WatchAction::Finished(finished) = watch.poll(START) else { panic!("nothing is sent") };
        assert_eq!((finished.outcome, finished.requests), (Outcome::Stopped, 0));
    }
}

proptest! {
    #![proptest_config(http_support::cases(300))]

    /// Whatever is answered and whenever the driver comes round, a cancellation ends, within its time and its budget.
    #[test]
    fn it_ends(
        replies in prop::collection::vec((100_u16..1000, 0_u64..200, "[{}\"a-z:0-9]{0,12}"), 1..12),
        steps in prop::collection::vec(0_u64..5_000, 1..40),
    ) {
        let backend = ovens("cancel.path = \"/{id}\"\nenvelope = { pointer = \"/c\", ok = [0] }");
        let mut world = World::new(script(vec![reply(200, &[], r#"{"c":0,"state":"working"}"#)]));
        let status = look(&mut world, &backend, job("a"));
        let policy = every_second().with_total_timeout(secs(600)).build().unwrap();
        let bounds = policy.bounds();
        let mut cancel = Cancel::new(&backend, policy, status, START, &mut rng(1)).with_renewal();
        let (mut clock, mut sends, mut turn) = (START, 0, 0);
        let done = loop {
            turn += 1;
            prop_assert!(turn < 10_000, "this does not end");
            match cancel.poll(clock) {
                CancelAction::Done(done) => break done,
                CancelAction::Renew => cancel.renewed(clock, if steps[0] % 2 == 0 { Ok(&backend) } else { Err("no".into()) }),
                CancelAction::Sleep { until } => clock = until.saturating_add(millis(steps[turn % steps.len()])),
                CancelAction::Send { id, .. } => {
                    sends += 1;
                    let (status, hint, body) = &replies[sends as usize % replies.len()];
                    let answer = response(*status, &[("retry-after", &hint.to_string())], body);
                    clock = clock.saturating_add(millis(steps[turn % steps.len()]));
                    cancel.handle_response(clock, id, &answer);
                }
            }
        };
        // What was refused for its credentials is sent once more.
        prop_assert!(Some(sends) <= bounds.max_looks.map(|most| most + 1));
        if let Err(error) = done {
            prop_assert!(error.error.is_some() && !error.message.is_empty());
        }
    }
}
