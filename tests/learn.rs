//! The learned schedule: within every bound whatever was learned, good where jobs are steady, and back after a change.
#![cfg(all(feature = "alloc", feature = "serde"))]
#![allow(clippy::unwrap_used)] // in shared functions too

#[path = "support/cases.rs"]
mod cases;

use core::time::Duration;
use std::sync::Arc;

use jobwatch::learn::{History, HistorySnapshot, Lesson, Plan};
use jobwatch::play::{Learned, Oracle, Peer, play};
use jobwatch::{Action, Observation, Policy, PollerState, Timestamp};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn uniform(jobs: u32, from: u64, to: u64, seed: u64) -> Vec<Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..jobs).map(|_| millis(from + rng.next_u64() % (to - from))).collect()
}

fn policy(min: Duration, max: Duration) -> Policy {
    Policy::builder().with_min_delay(min).with_max_delay(max).with_request_cost(secs(1)).build().unwrap()
}

fn arbitrary_lesson() -> impl Strategy<Value = Lesson> {
    let time = prop_oneof![4 => 0..3_600_000_u64, 1 => Just(0), 1 => any::<u64>()];
    (time.clone(), prop::option::of(time), prop_oneof![0.0..=1.0, Just(f64::NAN), any::<f64>()], any::<u16>()).prop_map(
        |(from, to, weight, beside)| {
            let (from, to) = (Duration::from_millis(from), to.map(Duration::from_millis));
            Lesson { unfinished_at: from, ended_by: to, weight, beside: u32::from(beside) }
        },
    )
}

fn arbitrary_history() -> impl Strategy<Value = History> {
    prop::collection::vec(arbitrary_lesson(), 0..60).prop_map(|lessons| {
        let mut history = History::new();
        for lesson in &lessons {
            history.learn(lesson);
        }
        history
    })
}

fn arbitrary_policy() -> impl Strategy<Value = Policy> {
    (1..60_000_u64, 0..600_000_u64, 1..600_000_u64, 1..7_200_000_u64).prop_map(|(min, more, cost, timeout)| {
        let policy = Policy::builder().with_min_delay(millis(min)).with_max_delay(millis(min + more));
        policy.with_request_cost(millis(cost)).with_total_timeout(millis(timeout)).build().unwrap()
    })
}

/// Drives one wait to its end; the job ends at this age. Returns how it ended and when looks were sent.
fn wait(policy: &Policy, plan: &Plan, duration: Duration, seed: u64) -> (jobwatch::Ended, Vec<Timestamp>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut state = PollerState::new(policy, plan, START, &mut rng);
    let (mut now, mut sent) = (START, Vec::new());
    loop {
        match state.poll(policy, now) {
            Action::Done(ended) | Action::TimedOut(ended) => return (ended, sent),
            Action::Sleep { until, .. } => {
                assert!(until > now, "a hot loop");
                now = until;
            }
            Action::Send(attempt) => {
                sent.push(now);
                let is_over = now.saturating_since(START) >= duration;
                let observation = if is_over { Observation::Succeeded } else { Observation::Running { hint: None } };
                let _ = state.handle_observation(policy, plan, now, attempt.id, observation).unwrap();
            }
        }
    }
}

/// Of jobs that take twenty seconds or a hundred, those that are about to be over at twenty are not left alone until then.
#[test]
fn regression_the_last_of_the_short_jobs_were_looked_at_with_the_long_ones() {
    let durations: Vec<_> = (0..20).map(|n| secs(if n < 12 { 20 } else { 100 })).collect();
    let history = History::of(&durations);
    let plan = Plan::new(&history, secs(1), secs(600), millis(500));
    for age in (15_000..21_000).step_by(20).map(millis) {
        let are_short_ones_left = history.survival(age) > 0.56;
        let next = age + plan.gap(age);
        assert!(!are_short_ones_left || next < secs(25), "at {age:?} the next look is at {next:?}");
    }
}

proptest! {
    #![proptest_config(cases::cases(48))]

    /// Guarantees 2 to 5, whatever was learned and under whatever policy.
    #[test]
    fn every_bound_holds_for_learned_schedules(
        history in arbitrary_history(), policy in arbitrary_policy(), duration in 0..10_000_000_u64, seed: u64
    ) {
        let plan = Plan::for_policy(&history, &policy, 1.0);
        let (min, max) = (policy.min_delay(), policy.max_delay().unwrap());
        let (ended, sent) = wait(&policy, &plan, millis(duration), seed);
        let bounds = policy.bounds();
        prop_assert!(ended.looks <= bounds.max_looks.unwrap());
        prop_assert!(ended.elapsed <= bounds.max_wait.unwrap());
        let deadline = START.saturating_add(policy.total_timeout().unwrap());
        for pair in sent.windows(2) {
            let gap = pair[1].saturating_since(pair[0]);
            // The final look alone may come sooner.
            prop_assert!(gap >= min || pair[1] >= deadline, "{gap:?}");
            prop_assert!(gap <= max, "{gap:?}");
        }
    }

    /// A stored history comes back as it was; a damaged one is refused or is some history, whose plans keep the bounds.
    #[test]
    fn tampered_histories_never_break_a_bound(
        history in arbitrary_history(), at in any::<prop::sample::Index>(), byte: u8, age in 0..1_000_000_u64
    ) {
        let text = serde_json::to_string(&HistorySnapshot::of(&history)).unwrap();
        let again = serde_json::from_str::<HistorySnapshot>(&text).unwrap().restore().unwrap();
        prop_assert!((history.survival(millis(age)) - again.survival(millis(age))).abs() < 1e-6);
        let mut bytes = text.into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let (min, max) = (secs(1), secs(60));
        if let Ok(snapshot) = serde_json::from_slice::<HistorySnapshot>(&bytes)
            && let Ok(history) = snapshot.restore()
        {
            let gap = Plan::new(&history, min, max, secs(2)).gap(millis(age));
            // To the grain of a plan, a millisecond; the poller cuts it exactly.
            prop_assert!(gap + millis(2) >= min && gap <= max + millis(2), "{gap:?}");
        }
    }
}

#[test]
fn impossible_histories_are_refused() {
    for text in [
        r#"{"v":2,"jobs":[],"last":[]}"#,
        r#"{"v":1,"jobs":[[60000,1.0]],"last":[]}"#,
        r#"{"v":1,"jobs":[[5,-1.0]],"last":[]}"#,
        r#"{"v":1,"jobs":[[5,1e300]],"last":[]}"#,
        r#"{"v":1,"jobs":[],"last":[[5.0,4.0]]}"#,
        r#"{"v":1,"jobs":[],"last":[[-5.0,null]]}"#,
    ] {
        let snapshot: HistorySnapshot = serde_json::from_str(text).unwrap();
        assert!(snapshot.restore().is_err(), "{text}");
    }
}

#[test]
fn with_nothing_known_looks_space_out_like_a_backoff() {
    let plan = Plan::new(&History::new(), secs(1), secs(600), secs(2));
    let gaps = [0, 10, 60, 600, 3_600].map(|age| plan.gap(secs(age)));
    assert!(gaps.is_sorted() && gaps[0] < secs(10) && gaps[4] > secs(60), "{gaps:?}");
}

#[test]
fn what_a_plan_expects_is_what_comes() {
    let durations = uniform(400, 20_000, 40_000, 3);
    let history = History::of(&durations);
    let plan = Plan::new(&history, millis(500), secs(30), secs(1));
    let mut oracle = Oracle::new(&durations, millis(500), secs(30), secs(1));
    let played = play(&mut oracle, &durations, &mut ChaCha8Rng::seed_from_u64(4));
    assert!((plan.expected_requests() / played.requests_per_job() - 1.0).abs() < 0.05);
    assert!((plan.expected_delay() / played.mean_delay() - 1.0).abs() < 0.1);
}

/// The numbers of five distributions are printed by the example `learning`; this holds the most important one.
#[test]
fn twenty_jobs_teach_enough_for_half_the_requests_and_a_quarter_of_the_delay() {
    let durations = uniform(220, 20_000, 40_000, 5);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut learned = Learned::new(Arc::new(policy(millis(500), secs(30))));
    let ours = play(&mut learned, &durations, &mut rng).part(20..220);
    let theirs = play(&mut Peer::Tracker, &durations, &mut rng).part(20..220);
    assert!(ours.requests() * 2 <= theirs.requests(), "{} of {}", ours.requests(), theirs.requests());
    assert!(ours.mean_delay() * 4.0 <= theirs.mean_delay(), "{} of {}", ours.mean_delay(), theirs.mean_delay());
}

#[test]
fn a_change_for_good_is_noticed() {
    let mut durations = uniform(150, 20_000, 40_000, 7);
    durations.extend(uniform(150, 200_000, 400_000, 8));
    let mut learned = Learned::new(Arc::new(policy(millis(500), secs(30))));
    play(&mut learned, &durations, &mut ChaCha8Rng::seed_from_u64(9));
    let history = learned.learner().history();
    assert!(history.survival(secs(60)) > 0.9, "{}", history.survival(secs(60)));
}

/// What the original client measures with sixty concurrent jobs of its own: 7.8 requests, 12.3 s.
#[test]
fn the_original_clients_rule_reproduces_its_measurement() {
    let durations = uniform(4_000, 20_000, 40_000, 10);
    let played = play(&mut Peer::Tracker, &durations, &mut ChaCha8Rng::seed_from_u64(11));
    assert!((played.requests_per_job() - 7.8).abs() < 0.1, "{}", played.requests_per_job());
    assert!((played.mean_delay() - 12.3).abs() < 0.4, "{}", played.mean_delay());
}

#[cfg(feature = "serde")]
#[test]
fn kinds_of_jobs_are_kept_apart_and_stored_as_one_value() {
    use jobwatch::learn::{Histories, HistoryKey, Since};

    let key = |class: &str, since| HistoryKey {
        dialect: "tracker".into(),
        origin: "https://api.example.com".into(),
        class: class.into(),
        since,
    };
    let mut histories = Histories::new();
    for seconds in 20..40 {
        histories.learn(&key("short", Since::Creation), &Lesson::ended(secs(seconds - 1), secs(seconds)));
        histories.learn(&key("long", Since::PickUp), &Lesson::ended(secs(100 * seconds), secs(100 * seconds)));
    }
    let stored = serde_json::to_string(&histories).unwrap();
    let read: Histories = serde_json::from_str(&stored).unwrap();
    let jobs = read.get(&key("short", Since::Creation)).map(History::jobs);
    assert!(jobs.is_some_and(|jobs| (jobs - 19.6).abs() < 0.1), "{jobs:?}");
    let survival = |class, since| read.get(&key(class, since)).map(|history| history.survival(secs(60)));
    assert!(survival("short", Since::Creation).is_some_and(|share| share < 0.1));
    assert!(survival("long", Since::PickUp).is_some_and(|share| share > 0.9));
    assert!(survival("short", Since::PickUp).is_none());

    let newer = stored.replacen("\"v\":1", "\"v\":2", 1);
    let error = serde_json::from_str::<Histories>(&newer).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    let spoilt = stored.replace("\"last\":[[", "\"last\":[[-1.0,null],[");
    assert!(serde_json::from_str::<Histories>(&spoilt).is_err());
}
