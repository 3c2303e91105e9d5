//! What the format's keys do to a wait, in simulated time.

use core::time::Duration;

use http_support::{Reply, START, World, at, every_second, job, millis, reply, rng, script, secs, state};
use jobwatch::{EndReason, JobSnapshot, Outcome, Watch, WatchAction};

use crate::{backend, http_support, with};

/// A success whose result is late: asked again for ten seconds, then believed.
const LATE_RESULT: &str =
    "result.pointer = \"/url\"\n[[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\nfor = \"10s\"";

fn gaps<F>(world: &World<F>) -> Vec<Duration> {
    world.sent.windows(2).map(|pair| pair[1].at.saturating_since(pair[0].at)).collect()
}

mod corrections_for_a_time {
    use super::*;

    #[test]
    fn they_run_out_and_the_original_class_stands() {
        let mut world = World::new(script(vec![state("done")]));
        let finished = world.wait(&backend(LATE_RESULT), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.elapsed, finished.requests), (Outcome::Succeeded, secs(10), 11));
        assert_eq!((finished.result, finished.error, finished.state.as_deref()), (None, None, Some("done")));
    }

    #[test]
    fn they_end_with_their_cause() {
        let mut world = World::new(|_: &_, time| match time.as_secs() {
            0..3 => state("done"),
            _ => reply(200, &[], r#"{"state":"done","url":"https://cdn.example/x"}"#),
        });
        let finished = world.wait(&backend(LATE_RESULT), every_second(), job("a"));
        assert_eq!((finished.elapsed, finished.result), (secs(3), Some("https://cdn.example/x".into())));
    }

    #[test]
    fn the_time_counts_from_the_first_correction_and_not_from_the_first_look() {
        let mut world = World::new(|_: &_, time| if time < secs(60) { state("working") } else { state("done") });
        let finished = world.wait(&backend(LATE_RESULT), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.elapsed), (Outcome::Succeeded, secs(70)));
    }

    #[test]
    fn it_counts_through_breakdowns_and_a_crash() {
        let backend = backend(LATE_RESULT);
        let policy = every_second().build().unwrap();
        let mut world = World::new(|_: &_, time| if time == secs(2) { reply(502, &[], "") } else { state("done") });
        let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(1));
        while world.clock < at(secs(5)) {
            assert!(world.step(&mut watch).is_none());
        }
        let stored = serde_json::to_string(&watch.snapshot().unwrap()).unwrap();
        let snapshot: JobSnapshot = serde_json::from_str(&stored).unwrap();
        let mut watch = Watch::resume(&backend, policy, snapshot, world.clock).unwrap();
        let finished = world.drive(&mut watch);
        assert_eq!(finished.outcome, Outcome::Succeeded);
        assert!(finished.elapsed >= secs(10) && finished.elapsed <= secs(12), "{:?}", finished.elapsed);
    }

    /// The time of one correction is not another's.
    #[test]
    fn regression_each_correction_has_its_own_time() {
        let keys = "[[refine]]\nwhen = \"pending\"\npresent = \"/warm\"\nthen = \"running\"\nfor = \"5s\"\n\
                    [[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\nfor = \"10s\"";
        let backend = backend(&format!("state.pending = [\"new\"]\n{keys}"));
        let mut world = World::new(|_: &_, time| match time.as_secs() {
            0..60 => reply(200, &[], r#"{"state":"new","warm":1}"#),
            _ => state("done"),
        });
        let finished = world.wait(&backend, every_second(), job("a"));
        assert_eq!((finished.outcome, finished.elapsed), (Outcome::Succeeded, secs(70)));
    }
}

mod asking_again {
    use super::*;

    const AFTER_30: &str =
        "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/url\"\nthen = \"running\"\nask_again = \"30s\"";

    fn first_gap(keys: &str, policy: jobwatch::PolicyBuilder, first: Reply) -> Duration {
        let mut world = World::new(script(vec![first, reply(200, &[], r#"{"state":"done","url":1}"#)]));
        assert_eq!(world.wait(&backend(keys), policy, job("a")).requests, 2);
        gaps(&world)[0]
    }

    fn hinted(seconds: &str) -> Reply {
        reply(200, &[("retry-after", seconds)], r#"{"state":"done"}"#)
    }

    #[test]
    fn after_the_time_of_the_rule_and_a_little_jitter() {
        let gap = first_gap(AFTER_30, every_second(), state("done"));
        assert!(gap >= secs(30) && gap <= secs(31), "{gap:?}");
    }

    #[test]
    fn at_most_max_delay_and_no_sooner_than_min_delay() {
        assert_eq!(first_gap(AFTER_30, every_second().with_max_delay(secs(12)), state("done")), secs(12));
        let rarely = every_second().with_min_delay(secs(45));
        assert_eq!(first_gap(AFTER_30, rarely, state("done")), secs(45));
    }

    #[test]
    fn never_before_the_servers_own_hint() {
        let gap = first_gap(AFTER_30, every_second(), hinted("90"));
        assert!(gap >= secs(90) && gap <= secs(91), "{gap:?}");
        // Nor is max_delay a hint's bound.
        let gap = first_gap(AFTER_30, every_second().with_max_delay(secs(12)), hinted("90"));
        assert!(gap >= secs(90) && gap <= secs(91), "{gap:?}");
        // A shorter hint leaves the rule what it is.
        let gap = first_gap(AFTER_30, every_second(), hinted("2"));
        assert!(gap >= secs(30) && gap <= secs(31), "{gap:?}");
    }

    #[test]
    fn the_deadline_cuts_it_short() {
        let mut world = World::new(script(vec![state("done")]));
        let finished = world.wait(&backend(AFTER_30), every_second().with_total_timeout(secs(20)), job("a"));
        assert_eq!(
            (finished.outcome, finished.reason, finished.elapsed),
            (Outcome::TimedOut, EndReason::Deadline, secs(20))
        );
    }

    #[test]
    fn a_failed_look_has_its_own_backoff() {
        let mut world = World::new(script(vec![
            state("done"),
            reply(503, &[], r#"{"state":"done"}"#),
            reply(200, &[], r#"{"state":"done","url":1}"#),
        ]));
        world.wait(&backend(AFTER_30), every_second(), job("a"));
        assert!(gaps(&world)[1] < secs(10), "{:?}", gaps(&world));
    }

    #[test]
    fn the_rule_alone_that_was_applied_last_counts() {
        let keys = format!(
            "{AFTER_30}\n[[refine]]\nwhen = \"running\"\npresent = \"/soon\"\nthen = \"pending\"\nask_again = \"5s\""
        );
        let gap = first_gap(&keys, every_second(), reply(200, &[], r#"{"state":"done","soon":1}"#));
        assert!(gap >= secs(5) && gap <= secs(6), "{gap:?}");
    }

    #[test]
    fn a_wake_looks_sooner_but_keeps_its_distance() {
        let backend = backend(AFTER_30);
        let mut world = World::new(script(vec![state("done"), reply(200, &[], r#"{"state":"done","url":1}"#)]));
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        assert!(world.step(&mut watch).is_none());
        watch.wake(at(millis(300)));
        assert_eq!(world.drive(&mut watch).elapsed, secs(1));
    }
}

mod freshness {
    use super::*;

    #[test]
    fn the_default_distance_grows_to_it() {
        let policy = with("freshness = \"90s\"").policy().build().unwrap();
        assert_eq!((policy.min_delay(), policy.max_delay()), (secs(90), Some(secs(90))));
        assert_eq!(with("freshness = \"10ms\"").policy().build().unwrap().min_delay(), secs(1));
    }

    #[test]
    fn an_old_answer_widens_what_the_delay_can_have_been() {
        let widest = |keys: &str, headers: &[_]| {
            let working = reply(200, headers, r#"{"state":"working"}"#);
            let mut world = World::new(script(vec![working, state("done")]));
            let policy = every_second().with_min_delay(secs(20));
            world.wait(&backend(keys), policy, job("a")).detection_delay_max
        };
        assert_eq!(widest("", &[]), Some(secs(20)));
        assert_eq!(widest("freshness = \"10s\"", &[]), Some(secs(30)));
        assert_eq!(widest("freshness = \"10s\"", &[("age", "4")]), Some(secs(30)));
        assert_eq!(widest("freshness = \"10s\"", &[("age", "15")]), Some(secs(35)));
    }
}

mod lanes_and_times {
    use super::*;

    #[test]
    fn a_429_with_a_quota_code_rejects_and_another_is_waited_out() {
        let keys = "error = { code = \"/code\", quota = [\"spent\"], pointer = \"/why\" }";
        let told = |code| reply(429, &[("retry-after", "5")], &format!(r#"{{"code":"{code}","why":"no money"}}"#));
        let mut world = World::new(script(vec![told("slow"), told("spent")]));
        let finished = world.wait(&backend(keys), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.requests), (Outcome::Rejected, 2));
        assert!(gaps(&world)[0] >= secs(5) && finished.error.unwrap().contains("no money"));
    }

    #[test]
    fn an_envelope_lost_job_is_believed_at_the_third_time() {
        let keys = "envelope = { pointer = \"/code\", lost = [404] }";
        let mut world = World::new(script(vec![reply(200, &[], r#"{"code":404}"#)]));
        let finished = world.wait(&backend(keys), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
    }

    #[test]
    fn the_servers_clock_is_corrected() {
        let keys = "times = { created = \"/c\", started = \"/s\", ended = \"/e\" }";
        // An hour ahead of ours: it is 22:13:20 here.
        let date = [("date", "Tue, 14 Nov 2023 23:13:20 GMT")];
        let body = r#"{"state":"done","c":1700003540,"s":"2023-11-14T23:12:30Z","e":1700003599000}"#;
        let mut world = World::new(script(vec![reply(200, &date, body)]));
        let finished = world.wait(&backend(keys), every_second(), job("a"));
        assert_eq!(finished.created_at, Some(START.saturating_sub(secs(60))));
        assert_eq!(finished.started_at, Some(START.saturating_sub(secs(50))));
        assert_eq!((finished.ended_at, finished.detection_delay), (Some(START.saturating_sub(secs(1))), Some(secs(1))));
    }

    #[test]
    fn a_job_that_is_too_early_is_waited_for() {
        let keys = "state.status = { 425 = \"running\" }";
        let mut world = World::new(|_: &_, time| if time < secs(30) { reply(425, &[], "") } else { state("done") });
        let finished = world.wait(&backend(keys), every_second(), job("a"));
        assert_eq!((finished.outcome, finished.failed_requests, finished.elapsed), (Outcome::Succeeded, 0, secs(30)));
    }

    #[test]
    fn what_was_last_told_of_the_progress_is_kept() {
        let keys = "progress = { pointer = \"/p\", of = 100, queue = \"/q\" }";
        let told = |body: &str| reply(200, &[], body);
        let backend = backend(keys);
        let mut world = World::new(script(vec![
            told(r#"{"state":"working","p":10,"q":4}"#),
            told(r#"{"state":"working"}"#),
            told(r#"{"state":"broken","p":99}"#),
        ]));
        let finished = world.wait(&backend, every_second(), job("a"));
        assert_eq!((finished.progress, finished.queue_position), (Some(0.1), Some(4)));
    }

    #[test]
    fn a_path_below_the_base_is_asked_at_each_look() {
        let backend = backend("");
        let mut watch = Watch::new(&backend, every_second().build().unwrap(), job("a"), START, &mut rng(1));
        assert!(matches!(watch.poll(START), WatchAction::Send { .. }));
        assert!(matches!(watch.poll(at(secs(1))), WatchAction::Sleep { .. }));
    }
}
