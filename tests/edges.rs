//! Edges: what is just allowed beside what is just not, where a rule speaks of "at least" and "longer than".

mod support;

use core::time::Duration;

use jobwatch::{Observation, Policy, PolicyBuilder, PolicyError, Steps, StepsError, Timestamp, WaitReason};

use support::{RUNNING, START, World, every_second, millis, mins, running_hint, secs};

const NANO: Duration = Duration::from_nanos(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Each limit with its name, as an ordinary policy that has only this one changed.
fn limits() -> [(&'static str, fn(PolicyBuilder, Duration) -> PolicyBuilder); 4] {
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
