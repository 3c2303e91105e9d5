//! Edges: what is just allowed beside what is just not, where a rule speaks of "at least" and "longer than".

// Plain arithmetic on small numbers.
#![allow(clippy::unchecked_time_subtraction)]

mod support;

use core::time::Duration;

use jobwatch::{
    Action, Observation, Policy, PolicyBuilder, PolicyError, Poller, Steps, StepsError, Timestamp, WaitReason,
};

use support::{RUNNING, START, Seed, World, every_second, millis, mins, running_hint, secs};

const NANO: Duration = Duration::from_nanos(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sets one limit of a policy.
type Setter = fn(PolicyBuilder, Duration) -> PolicyBuilder;

/// Each limit with the name that an error gives it.
fn limits() -> [(&'static str, Setter); 4] {
    [
        ("total timeout", PolicyBuilder::with_total_timeout),
        ("attempt timeout", PolicyBuilder::with_attempt_timeout),
        ("final grace", PolicyBuilder::with_final_grace),
        ("request cost", PolicyBuilder::with_request_cost),
    ]
}

#[test]
fn a_millisecond_is_the_shortest_limit() {
    for (name, set) in limits() {
        assert!(set(Policy::builder(), millis(1)).build().is_ok(), "{name}");
        assert!(set(Policy::builder(), secs(9)).build().is_ok(), "{name}");
        for too_short in [millis(1) - NANO, NANO, Duration::ZERO] {
            assert_eq!(set(Policy::builder(), too_short).build(), Err(PolicyError::Zero(name)), "{too_short:?}");
        }
    }
}

#[test]
fn a_millisecond_is_the_shortest_delay() {
    assert!(Policy::builder().with_min_delay(millis(1)).build().is_ok());
    let shorter = millis(1) - NANO;
    let refused = Policy::builder().with_min_delay(shorter).build();
    assert_eq!(refused, Err(PolicyError::MinDelayTooShort(shorter)));
}

#[test]
fn delays_may_meet_and_not_cross() {
    let between = |min, max| Policy::builder().with_min_delay(min).with_max_delay(max).build();
    assert!(between(secs(5), secs(5)).is_ok());
    assert_eq!(between(secs(5), secs(5) - NANO), Err(PolicyError::DelaysCrossed { min: secs(5), max: secs(5) - NANO }));
    let failing = |from, to| Policy::builder().with_failure_backoff(from, to).build();
    assert!(failing(secs(5), secs(5)).is_ok());
    assert_eq!(failing(secs(5), secs(5) - NANO), Err(PolicyError::DelaysCrossed { min: secs(5), max: secs(5) - NANO }));
}

/// A day is the longest that a server is believed.
#[test]
fn a_hint_of_a_day_is_followed_and_a_longer_one_is_garbage() {
    let wait_after = |answer: Observation| {
        let policy = every_second().with_total_timeout(3 * DAY).with_max_retry_after(2 * DAY);
        let mut world = World::new(policy);
        let _ = world.send();
        let _ = world.answer(answer);
        let why = world.poller.explain().expect("it waits");
        (why.reason, why.until.saturating_since(START))
    };
    let (reason, wait) = wait_after(running_hint(DAY));
    assert_eq!(reason, WaitReason::Hint);
    assert!((DAY..=DAY + secs(1)).contains(&wait), "{wait:?}");
    assert_eq!(wait_after(running_hint(DAY + NANO)), wait_after(RUNNING));
    assert_eq!(wait_after(RUNNING), (WaitReason::Interval, secs(1)));
}

/// Where hints may be followed for longer than they are believed, the belief is what bounds a gap.
#[test]
fn no_gap_is_longer_than_the_longest_hint_that_is_believed() {
    let bounds = |longest| Policy::builder().with_max_retry_after(longest).build().expect("it is sound").bounds();
    assert_eq!(bounds(DAY).max_gap, Some(DAY + secs(1)));
    assert_eq!(bounds(9 * DAY).max_gap, Some(DAY + secs(1)));
    assert_eq!(bounds(mins(10)).max_gap, Some(mins(10) + secs(1)));
}

#[test]
fn durations_beyond_all_time_end_with_it() {
    let end = Timestamp::MAX.saturating_since(Timestamp::UNIX_EPOCH);
    for beyond in [end, end + NANO, end + DAY, Duration::MAX] {
        assert_eq!(Timestamp::UNIX_EPOCH.saturating_add(beyond), Timestamp::MAX, "{beyond:?}");
        assert_eq!(Timestamp::MAX.saturating_sub(beyond), Timestamp::UNIX_EPOCH, "{beyond:?}");
    }
    assert_eq!(Timestamp::UNIX_EPOCH.saturating_add(end - NANO), Timestamp::from_nanos(u64::MAX - 1));
}

#[test]
fn steps_may_be_as_many_as_there_is_room_for() {
    let steps = |count: u64| (0..count).map(|n| (secs(1 + n), secs(60 * n))).collect::<Vec<_>>();
    let full = Steps::new(&steps(8)).expect("there is room for eight");
    assert_eq!(full.iter().collect::<Vec<_>>(), steps(8));
    assert_eq!(Steps::new(&steps(9)), Err(StepsError::Count));
}

/// However little two waits differ, neither takes an answer that was meant for the other.
#[test]
fn seeds_that_differ_in_one_bit_give_attempts_other_names() {
    let first_look = |seed: u64| match Poller::new(Policy::default(), START, &mut Seed(seed)).poll(START) {
        Action::Send(look) => look.id,
        other => panic!("the first look comes at once: {other:?}"),
    };
    for seed in [0, u64::MAX, 0x0123_4567_89ab_cdef, 1_u64.rotate_right(1)] {
        for bit in 0..64 {
            let other = seed ^ (1 << bit);
            assert_ne!(first_look(seed), first_look(other), "{seed:x} and {other:x}");
        }
    }
}

/// A plan has a gap for every age there is, and is none with one gap more or less.
#[cfg(feature = "alloc")]
#[test]
fn a_plan_has_gaps_for_all_ages_and_no_others() {
    use jobwatch::PlanView;
    use jobwatch::learn::{History, Plan};

    let plan = Plan::new(&History::new(), secs(1), mins(1), secs(2));
    for age in [Duration::ZERO, NANO, secs(1), DAY, 26 * DAY, 27 * DAY, Duration::MAX] {
        let gap = plan.gap(age);
        // Its gaps are whole units of about a millisecond.
        assert!((secs(1) - millis(2)..=mins(1) + millis(2)).contains(&gap), "{gap:?} at {age:?}");
    }
    let gaps = plan.gaps();
    assert!(PlanView::new(gaps).is_some());
    assert!(PlanView::new(&gaps[1..]).is_none());
    assert!(PlanView::new(&[gaps, &gaps[..1]].concat()).is_none());
}

/// What a backend expects is a guess: it is followed shortly after it comes, and never makes a gap a different thing.
#[cfg(feature = "alloc")]
#[test]
fn a_job_is_asked_shortly_after_its_expected_end_within_a_quarter_and_four_gaps() {
    use jobwatch::learn::{History, Plan};
    use jobwatch::{Position, Schedule};

    let policy = Policy::builder().with_min_delay(millis(100)).without_max_delay().build().expect("it is sound");
    let plan = Plan::for_policy(&History::new(), &policy, 1.0);
    let age = mins(10);
    let gap = plan.gap(age);
    assert!(gap > secs(4), "{gap:?} is long enough for quarters to tell");
    let asked_with = |left: Duration| {
        let mut position = Position::new(age, 3, 3, None);
        position.expected_end = Some(age + left);
        let range = Schedule::gap(&plan, &policy, &position);
        (range.lo(), range.hi())
    };
    for left in [gap / 2, gap, gap * 2, gap * 3] {
        let (lo, hi) = asked_with(left);
        assert!(left < lo && hi < left + left / 8, "{left:?} are left, asked after {lo:?} to {hi:?}");
    }
    for (left, within) in [(Duration::ZERO, gap / 4), (gap / 100, gap / 4), (gap * 40, gap * 4)] {
        let (lo, hi) = asked_with(left);
        assert!(lo < within && within < hi && hi - lo <= within / 16, "{left:?} are left: {lo:?} to {hi:?}");
    }
}

/// What had faded to almost nothing was once shared out all the same, and a lesson lost a part of its weight.
#[cfg(feature = "alloc")]
#[test]
fn regression_a_lesson_beyond_everything_but_almost_nothing_counts_in_full() {
    use jobwatch::learn::{History, Lesson};

    let mut history = History::new();
    history.learn(&Lesson { weight: 1e-319, ..Lesson::outlasted(18 * DAY) });
    history.learn(&Lesson { weight: 0.136, ..Lesson::outlasted(10 * DAY) });
    let believed = history.survival(Duration::ZERO);
    assert!((history.jobs() - 0.136).abs() < 1e-12 && (believed - 1.0).abs() < 1e-12, "{believed} of {history:?}");
}

#[cfg(feature = "serde")]
#[test]
fn a_refused_snapshot_says_what_is_wrong_with_it() {
    use jobwatch::{SNAPSHOT_VERSION, SnapshotError};

    let newer = SnapshotError::Version(SNAPSHOT_VERSION + 6).to_string();
    assert!(newer.contains("version 7") && newer.contains(&format!("version {SNAPSHOT_VERSION}")), "{newer}");
    let damaged = SnapshotError::Impossible("more failures than looks").to_string();
    assert!(damaged.ends_with("damaged: more failures than looks"), "{damaged}");
}

/// A job that should have ended before it was picked up is looked at at once, and so is one that should end just now.
#[cfg(feature = "http")]
#[test]
fn a_job_whose_expected_end_has_passed_is_looked_at_at_once() {
    use jobwatch::{Backend, Dialect, JobRef, Watch, WatchAction};

    for late in [Duration::ZERO, NANO, secs(100)] {
        let backend = Backend::new(Dialect::tracker(), Some("http://kiln.example")).expect("it is an address");
        let job = JobRef::new("a").expect("it is an id").with_created_at(START).with_expected_duration(mins(5));
        let now = START.saturating_add(mins(5) + late);
        let action =
            Watch::new(backend, every_second().build().expect("it is sound"), job, now, &mut Seed(1)).poll(now);
        assert!(matches!(action, WatchAction::Send { .. }), "{late:?} late: {action:?}");
    }
}
