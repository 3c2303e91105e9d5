//! Mistakes seen in the wild, each with a test that fails if it is made here. Numbers 17, 25 to 27 and 30 concern HTTP
//! and fleets and are tested there.

mod support;

use core::time::Duration;

use jobwatch::{
    Action, EndReason, FirstLook, HintRule, Jitter, LookError, Observation, Outcome, Policy, PolicyError, Poller,
    Spacing, Timestamp, WaitReason,
};

use support::arbitrary::AnySchedule;
use support::{
    BROKEN, DENIED, RUNNING, Reply, START, Seed, World, at, every_second, hint, millis, mins, nanos, running_hint,
    secs, status, throttled_for,
};

/// The first waits of a thousand seeds after one unfinished look.
fn first_gaps(jitter: Jitter, max: Duration) -> Vec<Duration> {
    let policy = Policy::builder().with_jitter(jitter).with_max_delay(max).with_factor(100.0).with_max_polls(2);
    let gap = |seed| {
        let mut world = World::seeded(policy.clone(), seed);
        let _ = world.drive();
        world.gaps()[0]
    };
    (0..1_000).map(gap).collect()
}

const DRAWN: [Jitter; 3] = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated];

#[test]
fn mistake_01_jitter_never_exceeds_the_cap() {
    for jitter in DRAWN {
        assert!(first_gaps(jitter, secs(2)).into_iter().all(|gap| gap <= secs(2)), "{jitter:?}");
    }
}

#[test]
fn mistake_02_no_mass_on_the_cap_or_the_minimum() {
    for jitter in DRAWN {
        let gaps = first_gaps(jitter, secs(2));
        let on_a_bound = gaps.iter().filter(|gap| **gap <= millis(1_001) || **gap >= millis(1_999)).count();
        assert!(on_a_bound <= 10, "{jitter:?}: {on_a_bound} of 1000 gaps lie within a millisecond of a bound");
    }
}

#[test]
fn mistake_03_crossed_delays_are_refused_when_the_policy_is_built() {
    let crossed = Policy::builder().with_min_delay(secs(10)).with_max_delay(secs(1)).build();
    assert_eq!(crossed, Err(PolicyError::DelaysCrossed { min: secs(10), max: secs(1) }));
    let backoff = Policy::builder().with_failure_backoff(secs(10), secs(1)).build();
    assert_eq!(backoff, Err(PolicyError::DelaysCrossed { min: secs(10), max: secs(1) }));
}

#[test]
fn mistake_04_jitter_is_fine_grained_fresh_and_does_not_compound() {
    let policy = Policy::builder().with_jitter(Jitter::Equal).with_max_delay(secs(4)).with_max_polls(200);
    let mut world = World::new(policy.with_total_timeout(mins(60)));
    let _ = world.drive();
    let gaps = world.gaps();
    assert!(gaps.iter().all(|gap| gap.subsec_nanos() % 1_000 != 0 || gap.subsec_nanos() == 0), "truncated");
    let mut distinct = gaps.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), gaps.len(), "sampled once for ever");
    // Once at its cap, the range stays [2 s, 4 s]: the draws do not feed back into it.
    let (early, late) = gaps[4..].split_at(90);
    let mean = |gaps: &[Duration]| gaps.iter().sum::<Duration>() / u32::try_from(gaps.len()).unwrap();
    for part in [early, late] {
        assert!((millis(2_800)..millis(3_200)).contains(&mean(part)), "{:?}", mean(part));
    }
}

#[test]
fn mistake_05_pollers_of_one_generator_do_not_sleep_alike() {
    let mut rng = <rand_chacha::ChaCha8Rng as rand_core::SeedableRng>::seed_from_u64(1);
    let policy = Policy::builder().with_first_look(FirstLook::BySchedule).build().unwrap();
    let dues: Vec<_> = (0..100).map(|_| Poller::new(&policy, START, &mut rng).state().due()).collect();
    assert!(dues.iter().enumerate().all(|(index, due)| !dues[..index].contains(due)));
}

#[test]
fn mistake_06_a_long_wait_never_overflows_into_a_hot_loop() {
    for factor in [2.0, 1e300, f64::MAX] {
        let policy = Policy::builder().with_factor(factor).with_max_polls(1_100).without_total_timeout();
        let mut world = World::new(policy.with_jitter(Jitter::None));
        let ended = world.drive();
        assert_eq!((ended.looks, ended.reason), (1_100, EndReason::PollsSpent));
        assert!(world.gaps()[33..].iter().all(|gap| *gap == secs(60)));
    }
}

#[test]
fn mistake_06_a_long_outage_never_overflows_either() {
    let policy = Policy::builder().with_max_consecutive_failures(1_100).with_max_failure_time(Duration::MAX);
    let mut world = World::new(policy.without_total_timeout().with_max_polls(u32::MAX)).answering([BROKEN]);
    assert_eq!(world.drive().looks, 1_100);
    assert!(world.gaps().iter().all(|gap| (secs(1)..=secs(30)).contains(gap)));
}

#[test]
fn mistake_07_sums_near_the_end_of_time_neither_panic_nor_undo_the_limit() {
    for (total, min) in
        [(Duration::MAX, Duration::MAX), (Duration::from_nanos(u64::MAX), secs(1)), (secs(10), Duration::MAX)]
    {
        let policy = Policy::builder().with_min_delay(min).without_max_delay().with_total_timeout(total);
        let policy = policy.with_attempt_timeout(Duration::MAX).with_final_grace(Duration::MAX).build().unwrap();
        let start = Timestamp::from_nanos(u64::MAX - 5_000_000_000);
        let mut poller = Poller::new(policy, start, &mut Seed(1));
        let Action::Send(look) = poller.poll(start) else { panic!("the first look comes at once") };
        let _ = poller.handle_observation(start, look.id, RUNNING).unwrap();
        let Action::Send(look) = poller.poll(Timestamp::MAX) else { panic!("the final look comes") };
        let end = poller.handle_observation(Timestamp::MAX, look.id, RUNNING).unwrap();
        assert_eq!(end.ended().map(|ended| ended.reason), Some(EndReason::Deadline));
    }
}

#[test]
fn mistake_08_no_factor_and_no_delay_makes_the_loop_spin() {
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 0.999] {
        assert!(matches!(Policy::builder().with_factor(factor).build(), Err(PolicyError::Factor(_))), "{factor}");
    }
    for min in [Duration::ZERO, Duration::from_micros(999)] {
        assert_eq!(Policy::builder().with_min_delay(min).build(), Err(PolicyError::MinDelayTooShort(min)));
    }
    // A schedule of the caller's that wants no gap at all gets the minimum.
    let greedy = AnySchedule::Adversary { gaps: vec![(Duration::ZERO, Duration::ZERO)], rule: HintRule::Follow };
    let mut world = World::with_schedule(Policy::builder().with_max_polls(10), greedy, 1);
    let _ = world.drive();
    assert_eq!(world.gaps(), [secs(1); 9]);
}

#[test]
fn mistake_09_a_huge_hint_is_garbage_and_a_long_one_is_cut() {
    for garbage in [Duration::MAX, Duration::from_nanos(u64::MAX), secs(86_401)] {
        let mut world = World::new(every_second()).answering([running_hint(garbage), Observation::Succeeded]);
        let _ = world.drive();
        assert_eq!(world.gaps(), [secs(1)], "{garbage:?}");
    }
    let mut world = World::new(every_second()).answering([running_hint(secs(86_400)), Observation::Succeeded]);
    let _ = world.drive();
    assert!((mins(15)..=mins(15) + secs(1)).contains(&world.gaps()[0]));
}

#[test]
fn mistake_10_durations_keep_their_nanoseconds() {
    let delay = Duration::from_nanos(200_000_001);
    let mut world = World::new(every_second().with_min_delay(delay).with_max_polls(50));
    let _ = world.drive();
    assert_eq!(world.gaps(), [delay; 49]);
}

#[test]
fn mistake_11_delays_below_a_second_are_not_truncated_to_none() {
    let mut world = World::new(every_second().with_min_delay(millis(250)).with_total_timeout(millis(900)));
    let _ = world.drive();
    assert_eq!(world.sends(), [0, 250, 500, 750, 900].map(millis));
    assert_eq!(Action::Sleep { until: at(Duration::from_nanos(1)), reason: WaitReason::Interval }.delay(START), 1);
}

#[test]
fn mistake_12_counts_are_counts_and_the_first_gap_is_the_first() {
    for polls in [1, 2, 3] {
        let mut world = World::new(every_second().with_max_polls(polls));
        let ended = world.drive();
        assert_eq!((ended.looks, world.sends().len()), (polls, usize::try_from(polls).unwrap()));
    }
    for failures in [1, 2, 3] {
        let policy = every_second().with_max_consecutive_failures(failures);
        assert_eq!(World::new(policy).answering([BROKEN]).drive().looks, failures);
    }
    let policy = Policy::builder().with_jitter(Jitter::None).with_factor(3.0).with_max_polls(5);
    let mut world = World::new(policy);
    let _ = world.drive();
    assert_eq!(world.gaps(), [1, 3, 9, 27].map(secs));
}

#[test]
fn mistake_13_the_deadline_is_not_overshot_nor_restarted() {
    let policy = every_second().with_min_delay(secs(7)).with_total_timeout(secs(30));
    // Answers take a second each: neither the sum of the sleeps nor the last answer is the measure.
    let mut world = World::new(policy).answering([Reply::After(secs(1), RUNNING)]);
    let ended = world.drive();
    assert_eq!(world.sends(), [0, 8, 16, 24, 30].map(secs));
    assert_eq!((ended.reason, ended.elapsed), (EndReason::Deadline, secs(31)));
}

#[test]
fn mistake_14_a_job_that_ends_during_the_last_sleep_is_seen() {
    let policy = every_second().with_min_delay(secs(40)).with_total_timeout(secs(60));
    let ended = World::new(policy).lasting(secs(59)).drive();
    assert_eq!((ended.outcome, ended.elapsed), (Outcome::Succeeded, secs(60)));
}

#[test]
fn mistake_15_a_clock_that_steps_back_does_not_reset_the_elapsed_time() {
    let mut world = World::new(every_second().with_total_timeout(secs(60)));
    world.advance(secs(50));
    world.clock = at(secs(10));
    let before = world.poller.state().due();
    let _ = world.poll();
    assert_eq!(world.poller.state().due(), before);
    let ended = world.drive();
    assert_eq!((ended.reason, ended.elapsed), (EndReason::Deadline, secs(60)));
}

#[test]
fn mistake_16_the_time_limit_holds_while_answers_keep_coming() {
    let ended = World::new(every_second().with_total_timeout(secs(60))).drive();
    assert_eq!((ended.outcome, ended.reason, ended.elapsed), (Outcome::TimedOut, EndReason::Deadline, secs(60)));
}

#[test]
fn mistake_18_the_backoff_is_not_slept_on_top_of_a_hint() {
    for answer in [
        throttled_for(secs(20)),
        Observation::Transient { error: LookError::Status(503), hint: hint(secs(20)) },
        running_hint(secs(20)),
    ] {
        let mut world = World::new(Policy::builder()).answering([answer, Observation::Succeeded]);
        let _ = world.drive();
        assert!((secs(20)..=secs(21)).contains(&world.gaps()[0]), "{:?}", world.gaps());
    }
}

#[test]
fn mistake_19_one_bad_answer_does_not_end_the_wait() {
    for error in [LookError::Status(502), LookError::Disconnected, LookError::Malformed, LookError::TooLarge] {
        let broken = Observation::Transient { error, hint: None };
        let ended = World::new(every_second()).answering([broken, RUNNING, broken, Observation::Succeeded]).drive();
        assert_eq!((ended.outcome, ended.failed_looks, ended.last_error), (Outcome::Succeeded, 2, Some(error)));
    }
    let slow = [Reply::Never, RUNNING.into(), Observation::Succeeded.into()];
    let ended = World::new(every_second()).answering(slow).drive();
    assert_eq!((ended.outcome, ended.last_error), (Outcome::Succeeded, Some(LookError::Expired)));
}

#[test]
fn mistake_20_refusals_and_deleted_jobs_are_not_polled_for_days() {
    let refused = Observation::Fatal { error: LookError::Status(401) };
    let ended = World::new(every_second()).answering([refused]).drive();
    assert_eq!((ended.outcome, ended.looks, ended.last_error), (Outcome::Rejected, 1, Some(LookError::Status(401))));
    let ended = World::new(every_second()).answering([Observation::Lost { definite: true }]).drive();
    assert_eq!((ended.outcome, ended.looks), (Outcome::Lost, 1));
    let ended = World::new(every_second()).answering([DENIED]).drive();
    assert_eq!((ended.outcome, ended.elapsed), (Outcome::Lost, secs(15)));
    let ended = World::new(every_second()).answering([status(500)]).drive();
    assert_eq!((ended.outcome, ended.looks), (Outcome::GaveUp, 5));
}

#[test]
fn mistake_21_every_terminal_word_ends_the_wait() {
    for (word, outcome) in [
        (Observation::Succeeded, Outcome::Succeeded),
        (Observation::Failed, Outcome::Failed),
        (Observation::Cancelled, Outcome::Cancelled),
        (Observation::Lost { definite: true }, Outcome::Lost),
    ] {
        let ended = World::new(every_second()).answering([RUNNING, word]).drive();
        assert_eq!((ended.outcome, ended.reason, ended.looks), (outcome, EndReason::Told, 2));
        assert!(ended.outcome.is_jobs_end());
    }
}

#[test]
fn mistake_22_an_unknown_state_is_not_the_end() {
    let unknown = Observation::Transient { error: LookError::UnknownState, hint: None };
    let mut world = World::new(every_second()).answering([RUNNING, unknown]);
    world.advance(mins(5));
    assert_eq!(world.poller.ended(), None);
    let ended = world.drive();
    assert_eq!((ended.outcome, ended.last_error), (Outcome::GaveUp, Some(LookError::UnknownState)));
}

#[test]
fn mistake_23_a_failed_look_is_no_failed_job_and_a_timeout_hides_no_cause() {
    let ended = World::new(every_second()).answering([BROKEN]).drive();
    assert_eq!((ended.outcome, ended.outcome.is_jobs_end()), (Outcome::GaveUp, false));
    let ended = World::new(every_second()).answering([Observation::Failed]).drive();
    assert_eq!((ended.outcome, ended.failed_looks, ended.last_error), (Outcome::Failed, 0, None));
    let policy = every_second().with_total_timeout(secs(10));
    let ended = World::new(policy).answering([RUNNING, status(502), RUNNING]).drive();
    assert_eq!((ended.outcome, ended.last_error), (Outcome::TimedOut, Some(LookError::Status(502))));
    assert_eq!((ended.failed_looks, ended.looks), (1, 11));
}

#[test]
fn mistake_24_an_end_is_told_with_the_answer_not_an_interval_later() {
    let mut world = World::new(every_second());
    let _ = world.send();
    let Action::Done(ended) = world.answer(Observation::Succeeded) else { panic!("it is told at once") };
    assert_eq!(ended.elapsed, Duration::ZERO);
}

#[test]
fn mistake_28_jobs_of_one_batch_do_not_stay_on_one_tick() {
    let policy = Policy::builder().with_spacing(Spacing::Exponential { factor: 1.5 }).with_max_polls(4);
    let third_look = |seed| {
        let mut world = World::seeded(policy.clone(), seed);
        let _ = world.drive();
        nanos(world.sends()[2]) / 50_000_000
    };
    let mut ticks: Vec<_> = (0..100).map(third_look).collect();
    ticks.sort_unstable();
    let busiest = ticks.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap();
    assert!(busiest <= 12, "{busiest} of 100 jobs look within the same 50 ms");
}

#[test]
fn mistake_29_an_attempt_id_never_names_another_look() {
    let (mut one, mut other) = (World::seeded(every_second(), 1), World::seeded(every_second(), 2));
    let (first, foreign) = (one.send(), other.send());
    assert_ne!(first.id, foreign.id, "equal numbers of two pollers");
    let before = one.poller.state().clone();
    assert!(one.poller.handle_observation(START, foreign.id, Observation::Succeeded).is_err());
    assert_eq!(one.poller.state(), &before);
    let _ = one.answer(RUNNING);
    let second = one.send();
    assert!(one.poller.handle_observation(one.clock, first.id, Observation::Succeeded).is_err());
    assert_eq!(one.poller.state().in_flight(), Some(second.id));
}
