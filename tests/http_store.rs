//! What a store gives back: creates that were cut short, waits that are taken up again, ends that are told again.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;

use http_support::{
    BASE, KILN, START, Sent, World, at, dialect, every_second, job, millis, reply, response, rng, script, secs, state,
};
use jobwatch::store::{BackendKey, Intent, Kept};
use jobwatch::{
    Action, Backend, Finished, FirstLook, JobSnapshot, LookError, Observation, Outcome, Policy, PolicySchedule,
    PollerState, SnapshotError, Submit, SubmitAction, SubmitError, Timestamp, Watch,
};

fn keyed() -> Backend {
    let text = KILN.replace("[create]", "[create]\nidempotency_header = \"Idempotency-Key\"\nidempotency_ttl = \"1h\"");
    Backend::new(dialect(&text), Some(BASE)).unwrap()
}

/// One that a store gives back, made at this instant.
fn stored(key: Option<&str>, at: Timestamp) -> Intent {
    Intent::stored("i".into(), key.map(Into::into), b"{}".to_vec(), at)
}

/// What the first step of carrying it out is: the key that is sent, or why nothing is.
fn first_step(backend: &Backend, intent: &Intent, now: Timestamp) -> Result<Option<String>, SubmitError> {
    let mut submit = Submit::of_intent(backend, Policy::default(), intent, now, &mut rng(1));
    match submit.poll(now) {
        SubmitAction::Send { request, .. } => {
            assert_eq!(request.body(), intent.body());
            Ok(request.headers().get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()))
        }
        SubmitAction::Failed(error) => Err(error),
        action => panic!("{action:?}"),
    }
}

#[test]
fn a_new_intent_is_sent_under_its_key_if_it_has_one() {
    let intent = Intent::new(&keyed(), b"{}".to_vec(), START, 0xfeed);
    assert_eq!(intent.key(), Some("0000000000000000000000000000feed"));
    assert_eq!(first_step(&keyed(), &intent, START).unwrap().as_deref(), intent.key());
    let keyless = Intent::new(&http_support::kiln(), b"{}".to_vec(), START, 0xfeed);
    assert_eq!((keyless.key(), first_step(&http_support::kiln(), &keyless, START)), (None, Ok(None)));
}

#[test]
fn what_may_have_been_sent_is_sent_again_only_where_it_makes_no_second_job() {
    let life = secs(3_600);
    let rows = [
        (Some("k"), Duration::ZERO, true),
        (Some("k"), secs(1_800), true),
        // The request has to arrive within the key's life, too.
        (Some("k"), life.checked_sub(secs(61)).unwrap(), true),
        (Some("k"), life.checked_sub(secs(60)).unwrap(), false),
        (Some("k"), life, false),
        (Some("k"), secs(1_000_000), false),
        (None, Duration::ZERO, false),
    ];
    for (key, age, sent) in rows {
        let intent = stored(key, START);
        match first_step(&keyed(), &intent, at(age)) {
            Ok(told) => assert!(sent && told.as_deref() == key, "{key:?} after {age:?} was sent"),
            Err(error) => assert!(!sent && error.maybe_created && error.message.contains("not repeated"), "{error}"),
        }
        assert_eq!((intent.may_have_been_sent(), intent.can_be_repeated(&keyed(), at(age))), (true, sent));
    }
    // A clock that was set back by a day, and one that is a little off.
    assert!(first_step(&keyed(), &stored(Some("k"), at(secs(86_400))), START).is_err());
    assert!(first_step(&keyed(), &stored(Some("k"), at(secs(5))), START).is_ok());
}

#[test]
fn a_repeated_create_that_is_refused_may_have_been_accepted_before() {
    for (repeated, maybe_created) in [(false, false), (true, true)] {
        let backend = keyed();
        let intent = if repeated { stored(Some("k"), START) } else { Intent::new(&backend, b"{}".to_vec(), START, 1) };
        let mut submit = Submit::of_intent(&backend, Policy::default(), &intent, START, &mut rng(1));
        let SubmitAction::Send { id, .. } = submit.poll(START) else { panic!("it is sent") };
        submit.handle_response(START, id, &response(400, &[], "{}"));
        let SubmitAction::Failed(error) = submit.poll(START) else { panic!("it was refused") };
        assert_eq!(error.maybe_created, maybe_created, "{error}");
    }
}

/// A wait that timed out after half an hour, with looks five minutes apart, as it was stored before its last one.
fn timed_out(backend: &Backend, policy: &Policy) -> (JobSnapshot, Timestamp) {
    let mut world = World::new(script(vec![state("queued"), state("Heating")]));
    let mut watch = Watch::new(backend, policy.clone(), job("a"), START, &mut rng(3));
    let mut snapshot = watch.snapshot().unwrap();
    loop {
        if let Some(finished) = world.step(&mut watch) {
            assert_eq!(finished.outcome, Outcome::TimedOut);
            return (snapshot, world.clock);
        }
        snapshot = watch.snapshot().unwrap_or(snapshot);
    }
}

fn patient() -> Policy {
    Policy::builder().with_max_delay(secs(300)).with_total_timeout(secs(1_800)).build().unwrap()
}

/// What was sent in a wait that was taken up, when it ended, and how.
struct TakenUp {
    sent: Vec<Sent>,
    clock: Timestamp,
    finished: Finished,
}

/// Takes a wait up, to whom the backend says for the third time how the job is.
fn take_up(backend: &Backend, policy: Policy, snapshot: &JobSnapshot, now: Timestamp, word: &str) -> TakenUp {
    let stored = serde_json::to_string(snapshot).unwrap();
    let snapshot: JobSnapshot = serde_json::from_str(&stored).unwrap();
    let mut world = World::new(script(vec![state("Heating"), state("Heating"), state(word)]));
    world.clock = now;
    let mut watch = Watch::resume(backend, policy, snapshot.anew(), now).unwrap();
    let finished = world.drive(&mut watch);
    TakenUp { sent: world.sent, clock: world.clock, finished }
}

#[test]
fn a_wait_that_timed_out_is_taken_up_with_a_fresh_budget() {
    let backend = http_support::kiln();
    let (snapshot, end) = timed_out(&backend, &patient());
    // At once, and a day later.
    for later in [Duration::ZERO, secs(86_400)] {
        let now = end.saturating_add(later);
        let TakenUp { sent, clock, finished } = take_up(&backend, patient(), &snapshot, now, "fired");
        assert_eq!((finished.outcome, sent[0].at), (Outcome::Succeeded, now));
        assert_eq!(finished.elapsed, clock.saturating_since(now), "this wait's own time");
        assert!(finished.requests > 3, "the looks of the first wait are counted: {finished:?}");
        // It does not begin anew with looks a second apart.
        assert!(sent[1].at.saturating_since(sent[0].at) > secs(100), "{sent:?}");
    }
    // The fresh budget ends, too.
    let TakenUp { clock, finished, .. } = take_up(&backend, patient(), &snapshot, end, "Heating");
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert!(finished.elapsed >= secs(1_800) && clock >= end.saturating_add(secs(1_800)));
}

#[test]
fn failures_and_looks_of_an_earlier_wait_do_not_count_against_the_new_one() {
    let backend = http_support::kiln();
    let policy = every_second().with_max_polls(4).with_max_consecutive_failures(3).build().unwrap();
    let mut world = World::new(script(vec![state("Heating"), reply(502, &[], ""), reply(502, &[], "")]));
    let mut watch = Watch::new(&backend, policy.clone(), job("a"), START, &mut rng(3));
    while world.sent.len() < 3 {
        assert!(world.step(&mut watch).is_none());
    }
    let TakenUp { finished, .. } = take_up(&backend, policy, &watch.snapshot().unwrap(), world.clock, "fired");
    assert_eq!((finished.outcome, finished.requests, finished.failed_requests), (Outcome::Succeeded, 6, 2));
}

#[test]
fn a_throttle_outlives_a_restart() {
    let backend = http_support::kiln();
    let mut world = World::new(script(vec![reply(429, &[("retry-after", "600")], "")]));
    let mut watch = Watch::new(&backend, patient(), job("a"), START, &mut rng(3));
    while world.sent.is_empty() {
        assert!(world.step(&mut watch).is_none());
    }
    let snapshot = watch.snapshot().unwrap();
    let TakenUp { sent, .. } = take_up(&backend, patient(), &snapshot, at(secs(10)), "fired");
    assert!(sent[0].at >= at(secs(600)), "{sent:?}");
    // On a clock that was set back by an hour it is no longer than it was.
    let early = START.saturating_sub(secs(3_600));
    let TakenUp { sent, .. } = take_up(&backend, patient(), &snapshot, early, "fired");
    assert!(sent[0].at.saturating_since(early) <= secs(600), "{sent:?}");
}

#[test]
fn an_end_is_not_taken_up_again() {
    let policy = patient();
    for (observation, ends) in [(Observation::Succeeded, true), (Observation::Fatal { error: LookError::Tls }, false)] {
        let mut state = PollerState::new(&policy, &PolicySchedule, START, &mut rng(3));
        let Action::Send(attempt) = state.poll(&policy, START) else { panic!("it looks at once") };
        let _ = state.handle_observation(&policy, &PolicySchedule, START, attempt.id, observation).unwrap();
        let before = state.ended();
        state.renew(&policy, at(secs(5)));
        assert_eq!(state.ended(), before.filter(|_| ends), "{observation:?}");
    }
}

#[test]
fn a_snapshot_anew_is_checked_like_any_other() {
    let (snapshot, _) = timed_out(&http_support::kiln(), &patient());
    let newer = serde_json::to_string(&snapshot).unwrap().replacen("\"v\":1", "\"v\":2", 1);
    let newer: JobSnapshot = serde_json::from_str(&newer).unwrap();
    let refused = Watch::resume(&http_support::kiln(), patient(), newer.anew(), START).err();
    assert_eq!(refused, Some(SnapshotError::Version(2)));
}

#[test]
fn an_end_comes_back_from_json_as_it_was() {
    let backend = http_support::kiln();
    for (word, policy) in
        [("fired", patient()), ("cracked", patient()), ("no such firing", patient()), ("queued", patient())]
    {
        let answer =
            format!(r#"{{"state":"{word}","vase":{{"url":"https://x/1?sig=2","n":1.5}},"error":{{"message":"ä"}}}}"#);
        let mut world = World::new(script(vec![reply(200, &[("x-jobwatch-ended-at", "1700000001")], &answer)]));
        let mut finished = world.wait(
            &backend,
            policy.to_builder().with_first_look(FirstLook::After(millis(1))),
            job("a").with_created_at(START),
        );
        finished.taught = None; // what is told again teaches nothing
        let json = serde_json::to_string(&finished).unwrap();
        assert_eq!(serde_json::from_str::<Finished>(&json).unwrap(), finished, "{json}");
    }
}

#[test]
fn what_is_kept_names_its_job() {
    let (snapshot, _) = timed_out(&http_support::kiln(), &patient());
    for kept in [Kept::Job(job("a")), Kept::Wait(Box::new(snapshot))] {
        let json = serde_json::to_string(&kept).unwrap();
        let again: Kept = serde_json::from_str(&json).unwrap();
        assert_eq!((kept.job().id(), again.job()), ("a", kept.job()));
    }
}

#[test]
fn backends_are_told_apart_by_dialect_and_address() {
    let key = |text: &str, url: &str| BackendKey::of(&Backend::new(dialect(text), Some(url)).unwrap());
    let kiln = key(KILN, BASE);
    assert_eq!((&*kiln.dialect, &*kiln.base_url), ("kiln", BASE));
    assert_eq!(key(KILN, &format!("{BASE}/?key=hush#top")), kiln);
    let mended = key(&KILN.replace("queued", "waiting"), BASE);
    assert_eq!((&mended.dialect, &mended.base_url), (&kiln.dialect, &kiln.base_url));
    assert_ne!(mended.digest, kiln.digest);
    assert_ne!(key(KILN, "https://api.example.com/v2").base_url, kiln.base_url);
}
