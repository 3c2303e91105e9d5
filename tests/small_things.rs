//! Small functions of the public face that no story comes by, each held to what its documentation says.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)] // in shared functions too

mod http_support;

use core::time::Duration;
use std::sync::Arc;

use http_support::{BASE, START, at, dialect, every_second, job, millis, reply, rng, secs, state};
use jobwatch::driver::Feed;
use jobwatch::learn::{Histories, History, HistoryKey, Learner, Lesson, Since};
use jobwatch::play::{Exponential, Limit, play, play_limited};
use jobwatch::store::{Change, Intent, Kept};
use jobwatch::testing::{
    HttpWorld, Input, Move, any_duration, any_error, any_hint, any_jitter, any_move, any_spacing, peaceful_input,
    wild_move,
};
use jobwatch::{
    Action, Address, Backend, Dialect, Fleet, FleetEvent, GapRange, Hint, HintRule, Jitter, LookError, Observation,
    Outcome, Outcomes, PlanView, Policy, PolicySchedule, Poller, PollerState, Position, Schedule, Spacing, Stats,
    TransportError,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

const OUTCOMES: [(Outcome, &str); 8] = [
    (Outcome::Succeeded, "succeeded"),
    (Outcome::Failed, "failed"),
    (Outcome::Cancelled, "cancelled"),
    (Outcome::Lost, "lost"),
    (Outcome::TimedOut, "timed_out"),
    (Outcome::GaveUp, "gave_up"),
    (Outcome::Rejected, "rejected"),
    (Outcome::Stopped, "stopped"),
];

#[test]
fn an_outcome_has_one_word_everywhere() {
    for (outcome, word) in OUTCOMES {
        assert_eq!((outcome.as_str(), outcome.to_string().as_str()), (word, word));
        assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("{word:?}"));
    }
}

#[test]
fn outcomes_are_counted_and_added_up() {
    let (mut all, mut others) = (Outcomes::default(), Outcomes::default());
    for (number, (outcome, _)) in OUTCOMES.into_iter().enumerate() {
        (0..number).for_each(|_| all.count(outcome));
        others.count(outcome);
    }
    all.merge(&others);
    for (number, (outcome, _)) in OUTCOMES.into_iter().enumerate() {
        assert_eq!(all.of(outcome), number as u64 + 1, "{outcome}");
    }
    assert_eq!(all.total(), (1..=8).sum::<u64>());
}

#[test]
fn everything_that_was_counted_is_added_up() {
    let mut stats = Stats::default();
    assert_eq!(
        (stats.request_success_rate(), stats.response_time.max(), stats.response_time.quantile(0.5)),
        (None, None, None)
    );
    (stats.requests, stats.failed_requests, stats.throttled_requests, stats.bulk_requests) = (10, 4, 3, 2);
    (stats.hints, stats.bytes) = (1, 1_000);
    stats.response_time.record(secs(3));
    stats.detection_delay.record(secs(7_200));
    assert_eq!(stats.request_success_rate(), Some(0.6));
    let mut others = stats.clone();
    others.response_time.record(secs(6));
    stats.merge(&others);
    let (of, requests) = (stats.response_time, [stats.requests, stats.failed_requests, stats.throttled_requests]);
    assert_eq!((requests, stats.bulk_requests, stats.hints, stats.bytes), ([20, 8, 6], 4, 2, 2_000));
    assert_eq!((of.count(), of.mean(), of.max(), of.quantile(1.0)), (3, Some(secs(4)), Some(secs(6)), Some(secs(6))));
    // Within one percent, up to a day.
    let median = stats.detection_delay.quantile(0.5).unwrap();
    assert!(median.abs_diff(secs(7_200)) < secs(72), "{median:?}");
}

#[test]
fn every_kind_of_error_has_a_label_of_its_own() {
    let errors = [
        (LookError::Status(503), "status"),
        (LookError::Expired, "expired"),
        (LookError::Unreachable, "unreachable"),
        (LookError::Disconnected, "disconnected"),
        (LookError::Tls, "tls"),
        (LookError::Malformed, "malformed"),
        (LookError::Envelope, "envelope"),
        (LookError::Sink, "sink"),
        (LookError::UnknownState, "unknown_state"),
        (LookError::TooLarge, "too_large"),
        (LookError::RedirectLoop, "redirect_loop"),
        (LookError::ForeignOrigin, "foreign_origin"),
        (LookError::BadUrl, "bad_url"),
    ];
    for (error, label) in errors {
        assert_eq!(error.kind(), label);
    }
    assert_eq!(LookError::Status(404).kind(), LookError::Status(500).kind(), "a label is not a number");
}

#[test]
fn only_who_was_not_reached_is_named() {
    let server = |text: &str| text.parse::<http::Uri>().unwrap().into_parts().authority;
    let told = |error, at: &str| TransportError::new(error, "refused").at(server(at).as_ref()).message;
    assert_eq!(
        told(LookError::Unreachable, "https://user:secret@api.example.com:8443/x?key=1"),
        "api.example.com:8443: refused"
    );
    assert_eq!(told(LookError::Unreachable, "https://api.example.com/"), "api.example.com: refused");
    assert_eq!(told(LookError::Disconnected, "https://api.example.com/"), "refused");
    assert_eq!(TransportError::new(LookError::Unreachable, "refused").at(None).message, "refused");
}

#[test]
fn what_may_be_printed_of_an_address() {
    let backend = Backend::new(dialect(http_support::KILN), Some("https://api.example.com:444/v1/")).unwrap();
    assert_eq!(backend.origin(), "https://api.example.com:444");
    let address = Address::new("https://user:secret@files.example/v.mp4?Signature=secret#secret");
    assert!(!address.without_secrets().contains("secret") && address.without_secrets().contains("files.example/v.mp4"));
    assert!(address.contains("Signature=secret"), "it is itself all the same");
}

#[test]
fn another_file_has_another_digest() {
    let kiln = || dialect(http_support::KILN).digest();
    let other = dialect(&http_support::KILN.replace("fired", "burnt")).digest();
    assert_eq!(kiln(), kiln());
    assert_ne!(kiln(), other);
    assert_eq!(Dialect::tracker().digest(), Dialect::preset("tracker").unwrap().digest());
}

#[test]
fn jobs_that_come_after_the_stop_are_told_as_stopped() {
    let backend = Backend::new(dialect(http_support::KILN), Some(BASE)).unwrap();
    let mut fleet = Fleet::new(backend.into(), every_second().build().unwrap().into(), &mut rng(1));
    let mut feed = Feed::new((0..1_500).map(|id| job(&id.to_string())));
    assert!(feed.take_some(&mut fleet, START));
    feed.stop();
    assert!(!feed.take_some(&mut fleet, START));
    assert_eq!(fleet.len(), 1_000, "what was taken before is the caller's to stop");
    let ends = core::iter::from_fn(|| fleet.next_event());
    let stopped = ends
        .filter(|event| matches!(event, FleetEvent::Finished { finished, .. } if finished.outcome == Outcome::Stopped));
    assert_eq!(stopped.count(), 500);
}

#[test]
fn what_has_to_survive_the_loss_of_power() {
    let backend = Backend::new(dialect(http_support::KILN), Some(BASE)).unwrap();
    let intent = Intent::new(&backend, b"{}".to_vec(), START, 0xabc);
    assert_eq!((intent.id(), intent.at(), intent.body()), ("00000000000000000000000000000abc", START, &b"{}"[..]));
    let stored = Intent::stored(intent.id().to_owned(), None, Vec::new(), at(secs(1)));
    assert_eq!((stored.id(), stored.at()), (intent.id(), at(secs(1))));
    assert!(Change::Intended(intent).is_lasting());
    assert!(Change::Settled { intent: stored.id().to_owned(), jobs: Vec::new() }.is_lasting());
    assert!(!Change::Told("a".to_owned()).is_lasting(), "told twice is better than never");

    let policy = every_second().build().unwrap();
    let mut world = HttpWorld::new(http_support::script(vec![state("fired")]));
    let mut watch = jobwatch::Watch::new(&backend, policy, job("a"), START, &mut rng(1));
    let snapshot = watch.snapshot().unwrap();
    assert!(!Change::Moved(Box::new(snapshot.clone())).is_lasting(), "a look that is forgotten costs one request");
    assert!(Change::Added(Kept::Wait(Box::new(snapshot))).is_lasting());
    assert!(Change::Ended(Box::new(world.drive(&mut watch))).is_lasting());
}

mod learning {
    use super::*;

    fn taking(seconds: &[u64]) -> History {
        let mut history = History::new();
        for seconds in seconds {
            history.learn(&Lesson::ended(secs(*seconds), secs(*seconds)));
        }
        history
    }

    #[test]
    fn histories_are_kept_by_their_keys() {
        let backend = Backend::new(Dialect::tracker(), Some("https://api.example.com/v1")).unwrap();
        let key = |class: &str, since| HistoryKey::of(&backend, class, since);
        let first = key("long", Since::Creation);
        assert_eq!((first.dialect.as_str(), first.origin.as_str()), ("tracker", "https://api.example.com"));
        let mut all = Histories::new();
        assert!(all.is_empty() && all.get(&first).is_none());
        all.insert(first.clone(), taking(&[10, 20]));
        all.insert(key("long", Since::PickUp), taking(&[30]));
        all.insert(key("", Since::Creation), taking(&[1]));
        all.insert(first.clone(), taking(&[10, 20, 30]));
        assert_eq!((all.len(), all.is_empty()), (3, false));
        assert!((all.get(&first).unwrap().jobs() - 3.0).abs() < 0.1);
        let classes: Vec<_> = all.iter().map(|(key, _)| (key.class.as_str(), key.since)).collect();
        assert_eq!(classes, [("", Since::Creation), ("long", Since::Creation), ("long", Since::PickUp)]);
    }

    #[test]
    fn merged_histories_know_what_both_know() {
        let (mut short, long) = (taking(&[10; 20]), taking(&[100; 20]));
        let at_a_minute = |history: &History| history.survival(secs(60));
        assert!(at_a_minute(&short) < 0.2 && at_a_minute(&long) > 0.8);
        short.merge(&long);
        assert!((short.jobs() - 40.0).abs() < 2.0, "{}", short.jobs());
        assert!((0.3..0.7).contains(&at_a_minute(&short)), "{}", at_a_minute(&short));
    }

    #[test]
    fn a_learner_plans_by_what_it_is_told() {
        let policy = Arc::new(Policy::builder().with_spacing(Spacing::Learned).build().unwrap());
        let mut learner = Learner::new(History::new(), Arc::clone(&policy));
        assert!(Arc::ptr_eq(learner.policy(), &policy));
        // When the next look comes at a job that was found unfinished at this age.
        let next = |learner: &Learner, age: u64| secs(age) + learner.plan().gap(secs(age));
        // The plan is not made anew for every job.
        let made = (0..40).filter(|number| learner.learn(*number, &Lesson::ended(secs(29), secs(31)))).count();
        assert!((1..40).contains(&made), "{made}");
        assert!((secs(28)..secs(36)).contains(&next(&learner, 26)), "{:?}", next(&learner, 26));
        learner.set_history(taking(&[5; 40]));
        assert!((secs(4)..secs(8)).contains(&next(&learner, 3)), "{:?}", next(&learner, 3));
        assert!((learner.history().jobs() - 40.0).abs() < 2.0);
    }

    /// What is compiled into a program without an allocator says the same.
    #[test]
    fn a_plan_is_its_gaps() {
        let policy = Arc::new(Policy::builder().with_spacing(Spacing::Learned).build().unwrap());
        let learner = Learner::new(taking(&[20, 25, 30, 35, 40]), policy);
        let gaps = learner.plan().gaps();
        let view = PlanView::new(gaps).unwrap();
        for seconds in [0, 1, 5, 19, 20, 33, 40, 100, 10_000, 100_000_000] {
            assert_eq!(view.gap(secs(seconds)), learner.plan().gap(secs(seconds)), "{seconds}");
        }
        assert!(PlanView::new(&gaps[1..]).is_none() && PlanView::new(&[]).is_none());
    }
}

/// Behind a limit that nobody feels it is the same rule; behind one that is too tight jobs wait in line, and all are seen.
#[test]
fn rules_are_played_behind_a_limit() {
    let policy = every_second().build().unwrap();
    let durations: Vec<_> = (0..200).map(|number| millis(2_500 + 37 * number % 1_000)).collect();
    let free = play(&mut Exponential::new(&policy), &durations, &mut rng(1));
    assert_eq!((free.jobs(), free.given_up()), (200, 0));
    let limited = |rate| {
        let limit = Limit { arrivals: 5.0, rate };
        play_limited(&mut Exponential::new(&policy), &durations, limit, &mut rng(1))
    };
    let (wide, tight) = (limited(10_000.0), limited(4.0));
    assert_eq!((wide.requests(), wide.given_up()), (free.requests(), 0));
    assert!((wide.mean_delay() - free.mean_delay()).abs() < 0.1, "{} {}", wide.mean_delay(), free.mean_delay());
    assert_eq!(tight.given_up(), 0);
    assert!(tight.mean_delay() > 10.0 * wide.mean_delay(), "{} {}", tight.mean_delay(), wide.mean_delay());
}

#[test]
fn a_schedule_is_tried_at_any_position() {
    let policy = Policy::builder().with_spacing(Spacing::Exponential { factor: 2.0 }).with_jitter(Jitter::None);
    let policy = policy.with_min_delay(secs(1)).with_max_delay(secs(10)).build().unwrap();
    let gaps = (0..6).map(|gaps| PolicySchedule.gap(&policy, &Position::new(Duration::ZERO, gaps + 1, gaps, None)));
    let gaps: Vec<_> = gaps.collect();
    assert_eq!(gaps, [1, 2, 4, 8, 10, 10].map(|seconds| GapRange::exactly(secs(seconds))));
    assert_eq!(PolicySchedule.hint_rule(), HintRule::Follow);
}

#[test]
fn a_poller_is_taken_up_where_its_state_was_left() {
    let policy = every_second().with_request_cost(secs(7)).build().unwrap();
    assert_eq!((policy.request_cost(), Policy::default().request_cost()), (secs(7), secs(2)));
    let mut poller = Poller::with_schedule(&policy, PolicySchedule, START, &mut rng(1));
    assert_eq!(*poller.policy(), policy);
    let Action::Send(attempt) = poller.poll(START) else { panic!("the first look comes at once") };
    let _ = poller.handle_observation(at(millis(200)), attempt.id, Observation::Running { hint: None }).unwrap();
    let mut again = Poller::from_state(&policy, PolicySchedule, PollerState::clone(poller.state()));
    assert_eq!(again.state().started(), START);
    // A wake brings the look forward to the least distance.
    for poller in [&mut poller, &mut again] {
        let Action::Sleep { until, .. } = poller.wake(at(millis(300))) else { panic!("min_delay is not over") };
        assert_eq!(until, at(millis(1_200)));
    }
    assert_eq!(poller.poll(at(secs(2))), again.poll(at(secs(2))));
}

proptest! {
    #![proptest_config(http_support::cases(200))]

    /// The parts of the kit are what their names say.
    #[test]
    fn strategies_keep_their_word(
        hint in any_hint(),
        error in any_error(),
        input in peaceful_input(),
        duration in any_duration(),
        (spacing, jitter) in (any_spacing(), any_jitter()),
    ) {
        prop_assert!(hint.is_none_or(|hint| hint == Hint::after(hint.delay())));
        prop_assert!(!error.to_string().is_empty());
        prop_assert!(!matches!(input, Input::Stop | Input::Abandon), "{:?}", input);
        let built = Policy::builder().with_spacing(spacing).with_jitter(jitter).build();
        prop_assert!(built.is_ok_and(|policy| policy.spacing() == spacing), "with {:?} and {:?}", jitter, duration);
    }
}

#[test]
fn wild_moves_leap_and_others_do_not() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut longest = |moves: BoxedStrategy<Move>| {
        let drawn = (0..500).map(|_| moves.new_tree(&mut runner).unwrap().current());
        let forward = drawn.filter_map(|step| match step {
            Move::Forward(by) | Move::Due(by) => Some(by),
            _ => None,
        });
        forward.max().unwrap()
    };
    assert!(longest(any_move()) <= secs(1_800));
    assert!(longest(wild_move()) > secs(100 * 365 * 86_400));
}

#[test]
fn a_question_takes_the_time_of_its_answer() {
    let answers = vec![reply(200, &[], "{}").later(secs(3)), reply(200, &[], "{}").later(secs(9))];
    let mut world = HttpWorld::new(http_support::script(answers));
    let request = || http::Request::get("https://api.example.com/x").body(Vec::new()).unwrap();
    assert_eq!(world.ask(&request(), secs(5)).unwrap().unwrap().status(), 200);
    assert_eq!(world.now(), secs(3));
    assert!(world.ask(&request(), secs(5)).is_none());
    assert_eq!((world.now(), world.urls().len()), (secs(8), 2));
}
