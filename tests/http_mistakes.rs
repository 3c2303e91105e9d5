//! Mistakes that polling loops make with HTTP answers, each a story that fails where it is made; those of the poller
//! alone are in `mistakes.rs`, the one about connections (26) is told by the conformance suite.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;
use std::sync::Arc;

use http_support::{START, World, every_second, job, kiln, reply, response, rng, script, secs, state};
use jobwatch::{Fleet, FleetAction, JobRef, Outcome, Submit, SubmitAction, Timestamp};

/// The gaps between the requests of a life that these replies make.
fn gaps(replies: Vec<http_support::Reply>) -> Vec<Duration> {
    let mut world = World::new(script(replies));
    let finished = world.wait(&kiln(), every_second(), job("a"));
    assert_eq!(finished.outcome, Outcome::Succeeded);
    world.sent.windows(2).map(|pair| pair[1].at.saturating_since(pair[0].at)).collect()
}

/// Whether a gap is a hint's, with the jitter that only ever adds.
fn follows(gap: Duration, hint: u64) -> bool {
    gap >= secs(hint) && gap <= secs(hint) + (secs(hint) / 10).min(secs(1))
}

#[test]
fn mistake_17_retry_after_is_read_in_both_forms_and_followed_each_time_anew() {
    // 50 s after the story's beginning, in the form of RFC 9110 §5.6.7, §5.6.7's second, and asctime.
    for date in ["Tue, 14 Nov 2023 22:14:10 GMT", "Tuesday, 14-Nov-23 22:14:10 GMT", "Tue Nov 14 22:14:10 2023"] {
        let told = gaps(vec![reply(429, &[("retry-after", date)], ""), state("fired")]);
        assert!(follows(told[0], 50), "{date}: {told:?}");
    }
    let hint = |secs: &str| reply(200, &[("retry-after", secs)], r#"{"state":"queued"}"#);
    // Longer than 30 s, not clamped; shorter than the gap before, followed too; and gone with the answer that told it.
    let told = gaps(vec![hint("300"), hint("2"), state("queued"), state("fired")]);
    assert!(follows(told[0], 300) && follows(told[1], 2), "{told:?}");
    assert_eq!(told[2], secs(1));
}

#[test]
fn mistake_18_the_backoff_is_not_slept_on_top_of_retry_after() {
    let told = gaps(vec![reply(503, &[("retry-after", "20")], ""), state("fired")]);
    assert!(follows(told[0], 20), "{told:?}");
}

#[test]
fn mistake_19_one_bad_answer_does_not_end_the_wait() {
    for bad in [reply(502, &[], "<html>Bad Gateway</html>"), reply(200, &[], "<html>"), reply(200, &[], "{\"sta")] {
        assert_eq!(gaps(vec![state("Heating"), bad, state("fired")]).len(), 2);
    }
}

#[test]
fn mistake_20_a_permanent_401_is_not_polled_for_days() {
    let mut world = World::new(script(vec![reply(401, &[], "")]));
    let finished = world.wait(&kiln(), every_second(), job("a"));
    assert_eq!((finished.outcome, finished.requests), (Outcome::Rejected, 1));
}

#[test]
fn mistake_25_a_404_after_create_is_waited_out_and_a_404_for_ever_is_not() {
    let just_created = || JobRef::new("a").unwrap().with_created_at(START);
    let mut world = World::new(script(vec![reply(404, &[], ""), reply(404, &[], ""), state("fired")]));
    assert_eq!(world.wait(&kiln(), every_second(), just_created()).outcome, Outcome::Succeeded);

    let mut world = World::new(script(vec![reply(404, &[], "")]));
    let finished = world.wait(&kiln(), every_second(), just_created());
    assert_eq!(finished.outcome, Outcome::Lost);
    assert!(finished.elapsed < secs(60), "{:?}", finished.elapsed);
}

#[test]
fn mistake_27_a_429_on_one_job_silences_the_others_of_its_backend() {
    let policy = every_second().build().unwrap();
    let mut fleet = Fleet::new(Arc::new(kiln()), Arc::new(policy), &mut rng(1)).with_max_in_flight(1);
    fleet.insert(job("a"), START);
    fleet.insert(job("b"), START);
    let FleetAction::Send { id, .. } = fleet.poll(START) else { panic!("the first looks at once") };
    fleet.handle_response(START, id, &response(429, &[("retry-after", "60")], ""));
    let FleetAction::Sleep { until } = fleet.poll(START) else { panic!("the second has nothing to do with it?") };
    assert!(until >= Timestamp::saturating_add(START, secs(60)));
}

#[test]
fn mistake_30_every_id_of_a_create_is_told() {
    let policy = every_second().build().unwrap();
    let backend = kiln();
    let mut submit = Submit::new(&backend, &policy, Vec::new(), START, &mut rng(1));
    let SubmitAction::Send { id, .. } = submit.poll(START) else { panic!("it is sent at once") };
    submit.handle_response(START, id, &response(200, &[], r#"{"id":["spanish","french","german"]}"#));
    let SubmitAction::Created(jobs) = submit.poll(START) else { panic!("they exist") };
    assert_eq!(jobs.iter().map(JobRef::id).collect::<Vec<_>>(), ["spanish", "french", "german"]);
}
