//! What the kit for users' own tests finds, and what it does not find where there is nothing.

mod support;

use core::time::Duration;

use jobwatch::testing::{
    AnySchedule, Breach, Looks, START, Seed, Temper, World, any_answer, any_policy, any_schedule, assert_within,
    assert_within_bounds, check_bounds, ending_policy, ordinary_policy,
};
use jobwatch::{
    Action, Bounds, GapRange, Observation, Outcome, Policy, PolicySchedule, Poller, Position, Schedule, Spacing,
    Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{RUNNING, every_second, millis, secs};

proptest! {
    #![proptest_config(support::cases(100))]

    #[test]
    fn guarantee_04_live_and_within_its_bounds_against_every_temper(policy in ending_policy(), schedule in any_schedule(), seed: u64) {
        prop_assert_eq!(check_bounds(&policy.bounds(), &policy, &schedule, seed), Ok(()));
    }

    #[test]
    fn a_world_records_what_a_wait_really_did(policy in ordinary_policy(), answers in vec(any_answer(), 1..20), seed: u64) {
        let mut world = World::seeded(policy.to_builder(), seed).answering(answers);
        let ended = world.drive();
        prop_assert_eq!(world.looks.times().count(), usize::try_from(ended.looks).expect("few"));
        prop_assert_eq!(world.looks.check(&policy.bounds()), Ok(()));
    }

    #[test]
    fn any_policy_is_one_that_can_be_built_again(policy in any_policy()) {
        prop_assert_eq!(policy.to_builder().build(), Ok(policy));
    }

    #[test]
    fn bounds_that_a_policy_does_not_promise_are_found_broken(policy in ordinary_policy(), seed: u64) {
        let mut narrow = policy.bounds();
        narrow.max_looks = Some(0);
        let found = check_bounds(&narrow, &policy, &PolicySchedule, seed);
        // A gap may be broken first nowhere: the others are the policy's own.
        prop_assert!(matches!(found, Err((Temper::Prompt, Breach::TooManyLooks { most: 0, .. }))), "{:?}", found);
    }
}

/// A loop around a poller, with a clock of the test's; it may be told to err.
fn lived(policy: &Policy, sleep: impl Fn(Duration) -> Duration, looks_twice: bool) -> Looks {
    let mut poller = Poller::new(policy, START, &mut Seed(1));
    let (mut now, mut looks) = (START, Looks::new(START));
    loop {
        match poller.poll(now) {
            Action::Sleep { until, .. } => {
                let time = sleep(until.saturating_since(now));
                if time < until.saturating_since(now) {
                    // It does not ask again whether it may.
                    looks.sent(now.saturating_add(time));
                    looks.answered(now.saturating_add(time));
                }
                now = now.saturating_add(time.max(until.saturating_since(now)));
            }
            Action::Send(attempt) => {
                looks.sent(now);
                looks.answered(now);
                if looks_twice {
                    looks.sent(now);
                    looks.answered(now);
                }
                let _ = poller.handle_observation(now, attempt.id, RUNNING).expect("it is the look under way");
            }
            Action::Done(_) | Action::TimedOut(_) => {
                looks.ended(now);
                return looks;
            }
        }
    }
}

fn policy() -> Policy {
    every_second().with_max_delay(secs(1)).with_total_timeout(secs(60)).build().expect("it is sound")
}

/// The same without the room that long hints have.
fn bounds() -> Bounds {
    let mut bounds = policy().bounds();
    bounds.max_gap = Some(secs(1));
    bounds
}

#[test]
fn a_loop_that_keeps_to_what_it_is_told_keeps_the_bounds() {
    assert_eq!(lived(&policy(), |time| time, false).check(&bounds()), Ok(()));
}

#[test]
fn a_loop_that_sleeps_too_short_is_found() {
    let breach = lived(&policy(), |time| time / 2, false).check(&bounds());
    assert_eq!(breach, Err(Breach::GapTooShort { look: 2, gap: millis(500), least: secs(1) }));
}

#[test]
fn a_loop_that_sleeps_too_long_is_found() {
    let breach = lived(&policy(), |time| time * 2, false).check(&bounds());
    assert_eq!(breach, Err(Breach::GapTooLong { look: 2, gap: secs(2), most: secs(1) }));
}

#[test]
fn a_loop_that_looks_twice_is_found() {
    let breach = lived(&policy(), |time| time, true).check(&bounds());
    assert_eq!(breach, Err(Breach::GapTooShort { look: 2, gap: Duration::ZERO, least: secs(1) }));
}

#[test]
fn a_wait_that_is_too_long_is_found_and_one_that_goes_on_is_not() {
    let after = |time| START.saturating_add(time);
    let mut looks = Looks::new(START);
    looks.sent(after(secs(70)));
    assert_eq!(looks.check(&bounds()), Ok(()));
    looks.ended(after(secs(70)));
    assert_eq!(looks.check(&bounds()), Err(Breach::WaitTooLong { lasted: secs(70), most: secs(65) }));
    looks.ended(after(secs(71)));
    assert_eq!(looks.check(&bounds()), Err(Breach::WaitTooLong { lasted: secs(70), most: secs(65) }), "an end stays");
}

#[test]
fn the_last_look_alone_keeps_no_shortest_gap() {
    let after = |ms| START.saturating_add(millis(ms));
    let mut looks = Looks::new(START);
    for ms in [0, 1_000, 1_400] {
        looks.sent(after(ms));
        looks.answered(after(ms));
    }
    assert_eq!(looks.check(&bounds()), Ok(()));
    looks.sent(after(2_400));
    assert_eq!(looks.check(&bounds()), Err(Breach::GapTooShort { look: 3, gap: millis(400), least: secs(1) }));
}

#[test]
#[should_panic(
    expected = "against a backend that is prompt, with seed 3: 60 looks were made, and at most 10 are allowed"
)]
fn a_promise_that_is_too_narrow_is_told_with_its_backend() {
    let mut promised = bounds();
    promised.max_looks = Some(10);
    promised.max_gap = None;
    let policy = policy().to_builder().with_max_polls(60).build().expect("it is sound");
    assert_within(&promised, &policy, &PolicySchedule, 3);
}

/// A schedule that never wants to look again.
struct Never;

impl Schedule for Never {
    fn gap(&self, _: &Policy, _: &Position) -> GapRange {
        GapRange::exactly(Duration::MAX)
    }
}

#[test]
fn schedules_of_ones_own_are_held_to_the_policy() {
    let policy = Policy::builder().with_max_delay(secs(30)).build().expect("it is sound");
    for seed in 0..10 {
        assert_within_bounds(&policy, &Never, seed);
        assert_within_bounds(&policy, &AnySchedule::Named, seed);
    }
}

#[test]
fn a_policy_of_millions_of_looks_is_followed_for_a_while() {
    let hurried = Policy::builder().with_spacing(Spacing::Constant).with_min_delay(millis(1)).with_max_delay(millis(1));
    let policy = hurried.with_total_timeout(secs(100_000)).build().expect("it is sound");
    assert_eq!(check_bounds(&policy.bounds(), &policy, &PolicySchedule, 1), Ok(()));
}

#[test]
fn a_world_starts_where_all_stories_do() {
    let mut world = World::new(every_second()).lasting(secs(5));
    assert_eq!(world.drive().outcome, Outcome::Succeeded);
    assert_eq!((world.clock, world.looks.times().next()), (Timestamp::from_secs(1_700_000_005), Some(START)));
    assert_eq!(world.looks.times().count(), 6);
}

#[test]
fn an_answer_at_once_is_the_shortest_script() {
    let mut world = World::new(every_second()).answering([Observation::Succeeded]);
    assert_eq!((world.drive().looks, world.now()), (1, Duration::ZERO));
}
