//! The transition table, row by row, as lives of jobs.

mod support;

use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;

use jobwatch::{
    Action, EndReason, FirstLook, GapRange, HintRule, Jitter, LookError, Observation, Outcome, Policy, PolicyError,
    Poller, PollerState, Spacing, StaleAttempt, Steps, StepsError, Timestamp, WaitReason,
};

use support::arbitrary::AnySchedule;
use support::{
    BROKEN, DENIED, Event, RUNNING, Reply, START, Seed, THROTTLED, World, at, every_second, millis, mins, running_hint,
    secs, status, throttled_for,
};

fn sleep(until: Duration, reason: WaitReason) -> Action {
    Action::Sleep { until: at(until), reason }
}

// --- waiting ---

#[test]
fn waiting_a_poll_before_its_time_sleeps_on() {
    let mut world = World::new(every_second());
    let _ = world.send();
    assert_eq!(world.answer(RUNNING), sleep(secs(1), WaitReason::Interval));
    world.clock = at(millis(999));
    assert_eq!(world.poll(), sleep(secs(1), WaitReason::Interval));
}

#[test]
fn waiting_a_poll_in_time_sends() {
    let mut world = World::new(every_second());
    let first = world.send();
    assert_eq!((first.id.number(), first.timeout), (1, secs(20)));
    let _ = world.answer(RUNNING);
    world.clock = at(secs(1));
    assert!(matches!(world.poll(), Action::Send(look) if look.id.number() == 2));
}

#[test]
fn waiting_a_wake_brings_the_look_forward_as_far_as_the_minimum_allows() {
    let mut world = World::new(every_second().with_min_delay(secs(2))).answering([running_hint(mins(5)), RUNNING]);
    let _ = world.step();
    let _ = world.step();
    world.clock = at(secs(1));
    assert_eq!(world.wake(), sleep(secs(2), WaitReason::Hint));
    assert_eq!(world.wake(), sleep(secs(2), WaitReason::Hint), "several wakes are one");
    world.clock = at(secs(2));
    assert!(matches!(world.poll(), Action::Send(_)));
    // The wake has been followed: the next wait is an ordinary one.
    let _ = world.step();
    assert!(world.poller.explain().is_some_and(|why| !why.woken));
}

#[test]
fn waiting_a_wake_after_the_minimum_looks_at_once() {
    let mut world = World::new(every_second()).answering([running_hint(mins(5))]);
    world.advance(secs(30));
    assert!(matches!(world.wake(), Action::Send(_)));
}

#[test]
fn waiting_a_wake_during_a_throttle_waits_for_its_end() {
    let mut world = World::new(every_second()).answering([throttled_for(secs(60))]);
    world.advance(secs(10));
    assert_eq!(world.wake(), sleep(secs(60), WaitReason::Hint));
    let why = world.poller.explain().unwrap();
    assert!(why.woken && !why.clipped_to_deadline);
}

#[test]
fn waiting_a_wake_before_the_first_look_sends_it() {
    let mut world = World::new(every_second().with_first_look(FirstLook::After(mins(5))));
    assert!(matches!(world.wake(), Action::Send(_)));
}

#[test]
fn waiting_an_early_look_is_allowed_once_the_minimum_and_the_hint_permit() {
    let mut world = World::new(every_second().with_min_delay(secs(5)).with_spacing(Spacing::Steps(every(60))));
    let _ = world.send();
    let _ = world.answer(RUNNING);
    assert_eq!(world.poller.look_early(at(millis(4_999))), None);
    assert!(world.poller.look_early(at(secs(5))).is_some_and(|look| look.id.number() == 2));
    assert_eq!(world.poller.look_early(at(secs(5))), None, "one look at a time");

    let mut hinted = World::new(every_second().with_min_delay(secs(5)));
    let _ = hinted.send();
    let _ = hinted.answer(running_hint(secs(30)));
    assert_eq!(hinted.poller.look_early(at(millis(29_999))), None);
    assert!(hinted.poller.look_early(at(secs(30))).is_some());
}

fn every(gap: u64) -> Steps {
    Steps::new(&[(secs(gap), Duration::ZERO)]).expect("one step")
}

// --- in flight ---

#[test]
fn in_flight_a_poll_waits_for_the_answer_and_a_wake_is_remembered() {
    let mut world = World::new(every_second().with_spacing(Spacing::Steps(every(60))));
    let _ = world.send();
    world.clock = at(secs(1));
    assert_eq!(world.poll(), sleep(secs(20), WaitReason::InFlight));
    assert_eq!(world.wake(), sleep(secs(20), WaitReason::InFlight));
    assert!(world.poller.explain().is_some_and(|why| !why.woken), "no wait has been cut short yet");
    assert_eq!(world.answer(RUNNING), sleep(secs(2), WaitReason::Interval), "remembered");
}

/// A remembered wake was once forgotten by an answer that told nothing, while `explain` still spoke of it.
#[test]
fn regression_a_wake_in_flight_is_remembered_over_a_failed_look() {
    let policy = every_second().with_failure_backoff(secs(30), secs(30));
    for (answer, until) in [(BROKEN, secs(1)), (throttled_for(secs(9)), secs(9))] {
        let mut world = World::new(policy.clone());
        let _ = world.send();
        let _ = world.wake();
        let Action::Sleep { until: due, .. } = world.answer(answer) else { panic!("it goes on") };
        assert_eq!(due, at(until));
        assert!(world.poller.explain().is_some_and(|why| why.woken));
    }
}

#[test]
fn in_flight_no_answer_in_time_is_a_failed_look() {
    let mut world = World::new(every_second()).answering([Reply::Never, Observation::Succeeded.into()]);
    let ended = world.drive();
    assert_eq!((ended.outcome, ended.looks, ended.failed_looks), (Outcome::Succeeded, 2, 1));
    assert!((secs(21)..=secs(22)).contains(&world.sends()[1]));
}

#[test]
fn in_flight_an_unfinished_answer_ends_the_streak_of_failures() {
    let good =
        [BROKEN, BROKEN, BROKEN, BROKEN, RUNNING, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, Observation::Succeeded];
    let ended = World::new(every_second()).answering(good).drive();
    assert_eq!((ended.outcome, ended.failed_looks), (Outcome::Succeeded, 9));
}

#[test]
fn in_flight_failures_back_off_with_full_jitter() {
    let policy = Policy::builder().with_max_consecutive_failures(9);
    let mut longest = Duration::ZERO;
    for seed in 0..50 {
        let mut world = World::seeded(policy.clone(), seed).answering([BROKEN]);
        let ended = world.drive();
        assert_eq!((ended.outcome, ended.reason), (Outcome::GaveUp, EndReason::FailuresSpent));
        for (gap, ceiling) in world.gaps().into_iter().zip([2, 4, 8, 16, 30, 30, 30, 30]) {
            assert!((secs(1)..=secs(ceiling)).contains(&gap));
            longest = longest.max(gap);
        }
    }
    assert!(longest > secs(29));
}

/// A backoff from zero once never grew, and after 1023 setbacks leapt to its end.
#[test]
fn regression_a_failure_backoff_from_zero_grows_from_the_minimum() {
    let policy = Policy::builder().with_failure_backoff(Duration::ZERO, secs(30)).with_max_consecutive_failures(20);
    let widest = |failures: usize| {
        let gaps = (0..100).map(|seed| {
            let mut world = World::seeded(policy.clone(), seed).answering([BROKEN]);
            let _ = world.drive();
            world.gaps()[failures]
        });
        gaps.max().expect("a hundred gaps")
    };
    assert!((millis(1_800)..=secs(2)).contains(&widest(0)));
    assert!((secs(27)..=secs(30)).contains(&widest(10)));
}

#[test]
fn in_flight_five_failures_before_the_first_good_answer_end_the_wait() {
    let mut world = World::new(Policy::builder()).answering([status(404)]);
    let ended = world.drive();
    assert_eq!((ended.outcome, ended.reason, ended.looks), (Outcome::GaveUp, EndReason::FailuresSpent, 5));
    assert_eq!(ended.last_error, Some(LookError::Status(404)));
}

#[test]
fn in_flight_afterwards_an_outage_is_ridden_out_for_fifteen_minutes() {
    let mut world = World::new(Policy::builder()).answering([RUNNING, BROKEN]);
    let ended = world.drive();
    assert_eq!((ended.outcome, ended.reason), (Outcome::GaveUp, EndReason::FailingTooLong));
    let outage = ended.elapsed.saturating_sub(world.sends()[1]);
    assert!((mins(15)..=mins(15) + secs(30)).contains(&outage), "{outage:?}");
    assert!(ended.looks > 30);

    let outage = |since: Duration| if (secs(60)..secs(60) + mins(14)).contains(&since) { BROKEN } else { RUNNING };
    let mut world = World::new(Policy::builder());
    world.script =
        Box::new(move |since| if since < mins(20) { outage(since).into() } else { Observation::Succeeded.into() });
    assert_eq!(world.drive().outcome, Outcome::Succeeded);
}

#[test]
fn in_flight_a_neighbours_good_answer_counts_as_one() {
    let mut world = World::new(Policy::builder()).answering([BROKEN]);
    world.edit(|state, _, _| state.note_backend_proven());
    assert_eq!(world.drive().reason, EndReason::FailingTooLong);
}

#[test]
fn in_flight_throttles_are_no_failures() {
    let mut world = World::new(Policy::builder()).answering([THROTTLED]);
    world.advance(mins(30));
    assert_eq!(world.poller.ended(), None);
    let ended = world.drive();
    assert_eq!((ended.reason, ended.failed_looks), (EndReason::Deadline, 0));
    assert_eq!(ended.last_error, Some(LookError::Status(429)));
    let answers = [BROKEN, BROKEN, THROTTLED, BROKEN, BROKEN, THROTTLED, Observation::Succeeded];
    assert_eq!(World::new(Policy::builder()).answering(answers).drive().outcome, Outcome::Succeeded);
}

#[test]
fn in_flight_a_throttle_past_the_deadline_ends_the_wait_at_once() {
    let policy = every_second().with_total_timeout(secs(60));
    let ended = World::new(policy.clone()).answering([throttled_for(secs(61))]).drive();
    assert_eq!((ended.outcome, ended.reason), (Outcome::TimedOut, EndReason::ThrottledPastDeadline));
    assert_eq!((ended.elapsed, ended.looks), (Duration::ZERO, 1));
    // Up to the deadline it is waited out, and the final look comes there.
    let mut world = World::new(policy).answering([throttled_for(secs(60)), RUNNING]);
    assert_eq!(world.drive().reason, EndReason::Deadline);
    assert_eq!(world.sends(), [0, 60].map(secs));
}

#[test]
fn in_flight_three_denials_over_fifteen_seconds_are_a_loss() {
    let slow = every_second().with_min_delay(secs(5));
    let ended = World::new(slow).answering([DENIED]).drive();
    assert_eq!((ended.outcome, ended.reason), (Outcome::Lost, EndReason::DeniedRepeatedly));
    assert_eq!((ended.looks, ended.elapsed), (4, secs(15)), "three came too soon");
    let slower = every_second().with_min_delay(secs(10));
    assert_eq!(World::new(slower.clone()).answering([DENIED]).drive().looks, 3);
    let mut found = World::new(slower).answering([DENIED, DENIED, RUNNING, DENIED, DENIED, Observation::Succeeded]);
    assert_eq!(found.drive().outcome, Outcome::Succeeded, "they have to be in a row");
}

#[test]
fn in_flight_a_definite_loss_a_refusal_and_every_end_end_it_at_once() {
    for (answer, outcome, reason) in [
        (Observation::Lost { definite: true }, Outcome::Lost, EndReason::Told),
        (Observation::Fatal { error: LookError::Tls }, Outcome::Rejected, EndReason::Refused),
        (Observation::Succeeded, Outcome::Succeeded, EndReason::Told),
        (Observation::Failed, Outcome::Failed, EndReason::Told),
        (Observation::Cancelled, Outcome::Cancelled, EndReason::Told),
    ] {
        let ended = World::new(every_second()).answering([answer]).drive();
        assert_eq!((ended.outcome, ended.reason, ended.looks), (outcome, reason, 1));
        assert_eq!(ended.failed_looks, u32::from(outcome == Outcome::Rejected));
    }
}

#[test]
fn in_flight_a_hint_is_followed_in_both_directions() {
    let patient = Policy::builder().with_min_delay(secs(2)).with_spacing(Spacing::Steps(every(60)));
    for (asked, lo, hi) in [(0, 2_000, 2_200), (5, 5_000, 5_500), (300, 300_000, 301_000)] {
        let mut world = World::new(patient.clone()).answering([running_hint(secs(asked)), Observation::Succeeded]);
        let _ = world.drive();
        assert!((millis(lo)..=millis(hi)).contains(&world.gaps()[0]), "{asked}: {:?}", world.gaps());
    }
}

#[test]
fn in_flight_a_schedule_that_knows_something_takes_a_hint_as_its_floor() {
    let knows = AnySchedule::Adversary { gaps: vec![(secs(30), secs(30))], rule: HintRule::Floor };
    for (asked, lo, hi, reason) in [(5, 30, 30, WaitReason::Interval), (40, 40, 41, WaitReason::Hint)] {
        let mut world = World::with_schedule(Policy::builder(), knows.clone(), 1);
        let _ = world.send();
        let Action::Sleep { until, reason: why } = world.answer(running_hint(secs(asked))) else { panic!("it waits") };
        assert!((at(secs(lo))..=at(secs(hi))).contains(&until));
        assert_eq!(why, reason);
    }
}

// --- the deadline ---

#[test]
fn deadline_the_final_look_comes_exactly_once() {
    let mut world = World::new(every_second().with_min_delay(secs(25)).with_total_timeout(secs(60)));
    let ended = world.drive();
    assert_eq!(world.sends(), [0, 25, 50, 60].map(secs), "exempt from the minimum");
    assert_eq!((ended.outcome, ended.reason, ended.looks), (Outcome::TimedOut, EndReason::Deadline, 4));
    let Some(Event::Sent(_, last)) = world.trace.iter().rfind(|event| matches!(event, Event::Sent(..))) else {
        panic!("looks were sent")
    };
    assert_eq!(last.timeout, secs(5), "the final grace");
}

#[test]
fn deadline_the_final_look_comes_however_late() {
    for late in [Duration::ZERO, secs(1), mins(60), Duration::from_secs(86_400 * 365)] {
        let mut world = World::new(every_second().with_min_delay(secs(50)).with_total_timeout(secs(60)));
        world.advance(secs(59));
        world.clock = at(secs(60) + late);
        assert!(matches!(world.poll(), Action::Send(look) if look.timeout == secs(5)));
        assert!(matches!(world.step(), Action::TimedOut(ended) if ended.elapsed == secs(60) + late));
        assert_eq!(world.sends().len(), 3);
    }
}

#[test]
fn deadline_the_final_look_may_still_bring_the_end() {
    let policy = every_second().with_min_delay(secs(50)).with_total_timeout(secs(60));
    let replies = [RUNNING.into(), RUNNING.into(), Reply::After(secs(4), Observation::Failed)];
    let ended = World::new(policy).answering(replies).drive();
    assert_eq!((ended.outcome, ended.elapsed), (Outcome::Failed, secs(64)));
}

#[test]
fn deadline_a_look_in_flight_across_it_is_the_final_one() {
    let policy = every_second().with_min_delay(secs(59)).with_total_timeout(secs(60));
    for (takes, ends) in [(secs(3), secs(62)), (mins(9), secs(64))] {
        let mut world = World::new(policy.clone()).answering([RUNNING.into(), Reply::After(takes, RUNNING)]);
        let ended = world.drive();
        assert_eq!((ended.reason, ended.looks, ended.elapsed), (EndReason::Deadline, 2, ends));
    }
}

#[test]
fn deadline_a_look_that_expired_before_it_is_not_the_final_one() {
    let policy = every_second().with_total_timeout(secs(60)).with_attempt_timeout(secs(10));
    let mut world = World::new(policy);
    let _ = world.send();
    world.clock = at(secs(90)); // the driver slept through the expiry and the deadline
    assert!(matches!(world.poll(), Action::Send(_)));
    assert!(matches!(world.answer(Observation::Succeeded), Action::Done(_)));
}

#[test]
fn deadline_a_wait_cut_short_by_it_says_so() {
    let mut world = World::new(every_second().with_min_delay(secs(50)).with_total_timeout(secs(60)));
    world.advance(secs(51));
    let why = world.poller.explain().unwrap();
    assert_eq!((why.until, why.reason, why.clipped_to_deadline), (at(secs(60)), WaitReason::Interval, true));
    assert_eq!(why.to_string(), "waiting until 1700000060.000000000 by the rule: interval, cut short by the deadline");
}

#[test]
fn deadline_without_room_for_the_final_look_the_wait_ends_after_the_grace() {
    let mut world = World::new(every_second().with_min_delay(secs(50)).with_total_timeout(secs(60)));
    world.advance(secs(55));
    world.clock = at(millis(64_999));
    assert!(!world.edit(PollerState::end_overdue));
    world.clock = at(secs(65));
    assert!(world.edit(PollerState::end_overdue));
    assert!(matches!(world.poll(), Action::TimedOut(ended) if ended.reason == EndReason::NoRoomAtDeadline));
}

// --- neighbours, crashes, the first look ---

#[test]
fn hold_a_neighbours_throttle_holds_here_too() {
    let mut world = World::new(every_second());
    world.advance(millis(500));
    world.edit(|state, policy, now| state.hold(policy, now, at(secs(30))));
    assert!(matches!(world.wake(), Action::Sleep { until, .. } if until >= at(secs(30)) && until <= at(secs(33))));
    let Action::Sleep { until, reason: WaitReason::Hint } = world.poll() else { panic!("it is held") };
    assert!(until >= at(secs(30)));
    // Past the deadline, it ends the wait.
    world.edit(|state, policy, now| state.hold(policy, now, at(mins(61))));
    assert_eq!(world.poller.ended().map(|ended| ended.reason), Some(EndReason::ThrottledPastDeadline));
}

/// A short throttle once ended the wait, when a hint that reached past the deadline was being waited out.
#[test]
fn regression_hold_a_long_hint_and_a_short_throttle_do_not_end_the_wait() {
    let policy = every_second().with_total_timeout(secs(60));
    let mut world = World::new(policy).answering([running_hint(mins(10)), Observation::Succeeded]);
    world.advance(secs(10));
    world.edit(|state, policy, now| state.hold(policy, now, at(secs(20))));
    let ended = world.drive();
    assert_eq!((ended.outcome, ended.elapsed), (Outcome::Succeeded, secs(60)));
}

#[test]
fn crash_a_look_under_way_is_given_up_without_a_failure() {
    let mut world = World::new(every_second());
    let lost = world.send();
    world.clock = at(millis(400));
    world.edit(PollerState::abandon_in_flight);
    assert_eq!(world.poll(), sleep(secs(1), WaitReason::Interval), "due as soon as the minimum allows");
    assert_eq!(world.poller.handle_observation(world.clock, lost.id, RUNNING), Err(StaleAttempt(lost.id)));
    let _ = world.send();
    let Action::Done(ended) = world.answer(Observation::Succeeded) else { panic!("it ends") };
    assert_eq!((ended.looks, ended.failed_looks, ended.last_error), (2, 0, None));
}

#[test]
fn restart_on_a_clock_that_was_set_back_keeps_the_wait_and_the_hint() {
    let back = mins(60);
    let mut world = World::new(every_second()).answering([running_hint(secs(100))]);
    world.advance(secs(10));
    let _ = world.poll(); // the last instant that the poller sees on the old clock
    let due = world.poller.state().due().unwrap();
    world.clock = world.clock.saturating_sub(back);
    world.edit(|state, _, now| state.rebase(now));
    assert_eq!(world.poller.state().due(), Some(due.saturating_sub(back)));
    // Between the hint and its jitter an early look is allowed, and not before.
    let hint_ends = at(secs(100)).saturating_sub(back);
    assert_eq!(world.poller.look_early(hint_ends.saturating_sub(millis(1))), None);
    assert!(world.poller.look_early(hint_ends).is_some());
}

#[test]
fn first_look_at_once_after_a_delay_or_by_the_schedule() {
    let due = |first| {
        let policy = Policy::builder().with_first_look(first).build().unwrap();
        Poller::new(policy, START, &mut Seed(3)).state().due().unwrap().saturating_since(START)
    };
    assert_eq!(due(FirstLook::AtOnce), Duration::ZERO);
    assert_eq!(due(FirstLook::After(Duration::ZERO)), Duration::ZERO);
    assert!((secs(30)..=secs(31)).contains(&due(FirstLook::After(secs(30)))));
    assert!((secs(1)..=millis(1_500)).contains(&due(FirstLook::BySchedule)));
    let late = World::new(Policy::builder().with_first_look(FirstLook::After(mins(90)))).drive();
    assert_eq!((late.looks, late.elapsed), (1, mins(60)), "never after the deadline");
}

#[test]
fn steps_go_by_the_jobs_age() {
    let steps = Steps::new(&[(secs(30), Duration::ZERO), (secs(60), mins(3))]).unwrap();
    let policy = Policy::builder().with_spacing(Spacing::Steps(steps)).with_total_timeout(secs(400));
    let mut world = World::new(policy.clone());
    let _ = world.drive();
    assert_eq!(world.sends(), [0, 30, 60, 90, 120, 150, 180, 240, 300, 360, 400].map(secs));
    // A job that is known to be older is looked at as such.
    let policy = policy.build().unwrap();
    let born = START.saturating_sub(mins(3));
    let mut state = PollerState::new(&policy, &jobwatch::PolicySchedule, START, &mut Seed(1)).with_born(born);
    let Action::Send(look) = state.poll(&policy, START) else { panic!("the first look comes at once") };
    let next = state.handle_observation(&policy, &jobwatch::PolicySchedule, START, look.id, RUNNING);
    assert_eq!(next, Ok(sleep(secs(60), WaitReason::Interval)));
}

// --- any state ---

#[test]
fn any_stop_ends_the_wait_and_never_the_job() {
    for looks in [0, 1, 2] {
        let mut world = World::new(every_second());
        for _ in 0..looks {
            let _ = world.step();
        }
        let Action::Done(ended) = world.poller.stop(world.clock) else { panic!("it stops") };
        assert_eq!((ended.outcome, ended.reason), (Outcome::Stopped, EndReason::Stopped));
        assert!(!ended.outcome.is_jobs_end());
    }
}

#[test]
fn any_end_repeats_and_makes_observations_stale() {
    let mut world = World::new(every_second());
    let look = world.send();
    let end = world.answer(Observation::Failed);
    assert_eq!((world.poll(), world.wake(), world.poller.stop(world.clock)), (end, end, end));
    let stale = world.poller.handle_observation(world.clock, look.id, Observation::Succeeded);
    assert_eq!(stale, Err(StaleAttempt(look.id)));
    assert_eq!(StaleAttempt(look.id).to_string(), "attempt 1 is not in flight");
}

// --- promises of the types ---

#[test]
fn the_defaults_are_the_documented_ones() {
    let policy = Policy::default();
    assert_eq!(Policy::builder().build().as_ref(), Ok(&policy));
    assert_eq!((policy.spacing(), policy.jitter()), (Spacing::Learned, Jitter::Equal));
    assert_eq!((policy.min_delay(), policy.max_delay()), (secs(1), Some(secs(60))));
    assert_eq!((policy.total_timeout(), policy.max_polls()), (Some(mins(60)), None));
    assert_eq!((policy.attempt_timeout(), policy.final_grace()), (secs(20), secs(5)));
    assert_eq!((policy.first_look(), policy.max_retry_after()), (FirstLook::AtOnce, mins(15)));
    let bounds = policy.bounds();
    assert_eq!((bounds.max_looks, bounds.min_gap), (Some(3_601), secs(1)));
    assert_eq!((bounds.max_gap, bounds.max_wait), (Some(mins(15) + secs(1)), Some(mins(60) + secs(5))));
    assert_eq!(policy.to_builder().build().as_ref(), Ok(&policy));
    let constant = Policy::builder().with_spacing(Spacing::Constant).build().unwrap();
    assert_eq!(constant.jitter(), Jitter::None, "somebody's words are not jittered");
}

#[test]
fn a_bound_that_does_not_exist_is_none() {
    let open = Policy::builder().without_max_delay().without_total_timeout().with_max_polls(7).build().unwrap();
    let bounds = open.bounds();
    assert_eq!((bounds.max_looks, bounds.max_gap, bounds.max_wait), (Some(7), None, None));
}

#[test]
fn every_policy_error_is_reachable_and_says_what_to_do() {
    let ms = millis(1);
    let half = Duration::from_micros(500);
    let new = Policy::builder;
    for (policy, error, words) in [
        (new().with_factor(0.5), PolicyError::Factor(0.5), "the factor must be a number of at least 1, not 0.5"),
        (
            new().with_min_delay(half),
            PolicyError::MinDelayTooShort(half),
            "the minimum delay must be at least 1ms, not 500µs",
        ),
        (
            new().with_min_delay(secs(5)).with_max_delay(ms),
            PolicyError::DelaysCrossed { min: secs(5), max: ms },
            "the minimum delay of 5s is longer than the maximum delay of 1ms",
        ),
        (
            new().without_total_timeout(),
            PolicyError::Endless,
            "the wait could last for ever: give a total timeout or a maximum of polls",
        ),
        (
            new().with_total_timeout(half),
            PolicyError::Zero("total timeout"),
            "the total timeout must be greater than zero (a time: at least 1ms)",
        ),
        (
            new().with_attempt_timeout(half),
            PolicyError::Zero("attempt timeout"),
            "the attempt timeout must be greater than zero (a time: at least 1ms)",
        ),
        (
            new().with_final_grace(half),
            PolicyError::Zero("final grace"),
            "the final grace must be greater than zero (a time: at least 1ms)",
        ),
        (
            new().with_max_polls(0),
            PolicyError::Zero("number of polls"),
            "the number of polls must be greater than zero (a time: at least 1ms)",
        ),
        (
            new().with_max_consecutive_failures(0),
            PolicyError::Zero("number of failures"),
            "the number of failures must be greater than zero (a time: at least 1ms)",
        ),
        (
            new().with_lost_after(0, ms),
            PolicyError::Zero("number of denials"),
            "the number of denials must be greater than zero (a time: at least 1ms)",
        ),
    ] {
        let got = policy.build().expect_err(words);
        assert_eq!((got, got.to_string().as_str()), (error, words));
    }
    // What is just allowed.
    let least = new()
        .with_total_timeout(ms)
        .with_attempt_timeout(ms)
        .with_final_grace(ms)
        .with_min_delay(ms)
        .with_max_delay(ms);
    assert!(least.with_max_polls(1).with_factor(1.0).build().is_ok());
}

#[test]
fn every_steps_error_is_reachable_and_says_what_to_do() {
    let zero = Duration::ZERO;
    for (steps, error, words) in [
        (vec![], StepsError::Count, "a schedule has 1 to 8 steps"),
        ((0..9).map(|n| (secs(1), secs(n))).collect(), StepsError::Count, "a schedule has 1 to 8 steps"),
        (vec![(secs(1), secs(1))], StepsError::Start, "the first step must begin at age 0"),
        (
            vec![(secs(1), zero), (secs(2), zero)],
            StepsError::Order,
            "each step must begin at a later age than the one before it",
        ),
        (vec![(zero, zero)], StepsError::ZeroGap, "the gap of a step must be longer than zero"),
    ] {
        let got = Steps::new(&steps).expect_err(words);
        assert_eq!((got, got.to_string().as_str()), (error, words));
    }
    let eight: Vec<_> = (0..8).map(|n| (secs(1), secs(n))).collect();
    assert_eq!(Steps::new(&eight).unwrap().iter().collect::<Vec<_>>(), eight);
}

#[test]
fn a_delay_is_rounded_up_so_that_a_timer_does_not_fire_early() {
    let until = |nanos| Action::Sleep { until: at(Duration::from_nanos(nanos)), reason: WaitReason::Interval };
    for (nanos, delay) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)] {
        assert_eq!(until(nanos).delay(START), delay, "{nanos}");
    }
    assert_eq!(until(5).delay(at(secs(1))), 0, "overdue");
    let end = Action::Sleep { until: Timestamp::MAX, reason: WaitReason::Hint };
    assert_eq!(end.delay(Timestamp::UNIX_EPOCH), 18_446_744_073_710);
    assert_eq!(World::new(every_second()).poll().delay(START), 0, "a send");
}

#[test]
fn words_are_the_same_on_every_interface() {
    use Outcome::{Cancelled, Failed, GaveUp, Lost, Rejected, Stopped, Succeeded, TimedOut};
    let words = [Succeeded, Failed, Cancelled, Lost, TimedOut, GaveUp, Rejected, Stopped].map(|word| word.to_string());
    assert_eq!(words, ["succeeded", "failed", "cancelled", "lost", "timed_out", "gave_up", "rejected", "stopped"]);
    assert_eq!(format!("{TimedOut:>10}|{Lost:<8}|"), " timed_out|lost    |", "tables can be set");
    let mut world = World::new(every_second());
    assert!(format!("{:?}", world.send().id).ends_with(":1)"));
    assert_eq!(format!("{START} {START:?}"), "1700000000.000000000 1700000000.000000000");
    assert_eq!(LookError::Status(503).to_string(), "HTTP status 503");
    assert_eq!(WaitReason::FailureBackoff.to_string(), "failure backoff");
    assert_eq!(EndReason::Deadline.to_string(), "the time limit was reached");
    assert_eq!(format!("{:?}", every(60)), "[(60s, 0ns)]");
    let range = GapRange::new(secs(2), secs(1));
    assert_eq!((range.lo(), range.hi()), (secs(2), secs(2)), "never crossed");
}

#[test]
fn instants_saturate_at_both_ends() {
    assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
    assert_eq!(START.saturating_sub(Duration::MAX), Timestamp::UNIX_EPOCH);
    assert_eq!(START.saturating_since(Timestamp::MAX), Duration::ZERO);
}

#[test]
fn a_state_is_small_and_goes_anywhere() {
    fn goes_anywhere<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}
    goes_anywhere::<Poller<Policy>>();
    goes_anywhere::<PollerState>();
    goes_anywhere::<Policy>();
    goes_anywhere::<Action>();
    goes_anywhere::<Observation>();
    goes_anywhere::<PolicyError>();
    assert!(size_of::<PollerState>() <= 128, "{}", size_of::<PollerState>());
}

#[test]
fn a_policy_at_ten_times_the_speed_waits_a_tenth_and_looks_as_long() {
    let steps = Steps::new(&[(secs(30), secs(0)), (secs(60), secs(180))]).unwrap();
    let policy = Policy::builder().with_spacing(Spacing::Steps(steps)).with_first_look(FirstLook::After(secs(20)));
    let fast = policy.build().unwrap().at_speed(10.0).unwrap();
    assert_eq!((fast.min_delay(), fast.max_delay()), (Duration::from_millis(100), Some(secs(6))));
    assert_eq!((fast.total_timeout(), fast.max_retry_after()), (Some(secs(360)), secs(90)));
    assert_eq!(fast.first_look(), FirstLook::After(secs(2)));
    assert_eq!(fast.spacing(), Spacing::Steps(Steps::new(&[(secs(3), secs(0)), (secs(6), secs(18))]).unwrap()));
    assert_eq!((fast.attempt_timeout(), fast.final_grace()), (secs(20), secs(5)), "requests are real");
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e6] {
        assert!(Policy::default().at_speed(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Policy::default().at_speed(1.0), Ok(Policy::default()));
}
