//! Durations, instants and policies.

use core::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::START;
use crate::time::nanos;
use crate::{FirstLook, Jitter, Policy, Spacing, Steps, Timestamp};

const SHORTEST: Duration = Duration::from_millis(1);

/// Evenly over the orders of magnitude, with both ends.
pub fn any_duration() -> BoxedStrategy<Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => Just(Duration::from_nanos(1)),
        1 => Just(Duration::from_nanos(u64::MAX)),
        1 => Just(Duration::MAX),
        4 => (0_u32..64, any::<u64>()).prop_map(|(bits, word)| Duration::from_nanos(word >> bits)),
        8 => ordinary_duration(),
    ]
    .boxed()
}

/// Up to half an hour.
pub fn ordinary_duration() -> BoxedStrategy<Duration> {
    prop_oneof![
        (0_u64..3_000).prop_map(Duration::from_millis),
        (0_u64..1_800).prop_map(Duration::from_secs),
        (0_u64..3_000_000_000).prop_map(Duration::from_nanos)
    ]
    .boxed()
}

/// When a wait may begin: mostly at [`START`], also at both ends of time.
pub fn any_instant() -> BoxedStrategy<Timestamp> {
    prop_oneof![
        4 => Just(START),
        1 => Just(Timestamp::UNIX_EPOCH),
        1 => (0_u64..5_000_000_000).prop_map(Timestamp::from_nanos),
        1 => (0_u64..5_000_000_000).prop_map(|back| Timestamp::from_nanos(u64::MAX - back)),
        1 => Just(Timestamp::MAX),
        2 => any::<u64>().prop_map(Timestamp::from_nanos),
    ]
    .boxed()
}

/// Every schedule that a policy can name but the learned one: see [`any_schedule`](super::any_schedule).
pub fn any_spacing() -> BoxedStrategy<Spacing> {
    let factor = prop_oneof![Just(1.0), 1.0..4.0_f64, Just(1.5), Just(2.0), Just(1e300), Just(f64::MAX)];
    let steps = vec((any_duration(), any_duration()), 1..=Steps::MAX).prop_map(|mut steps| {
        steps.sort_by_key(|step| nanos(step.1));
        steps.dedup_by_key(|step| nanos(step.1));
        steps[0].1 = Duration::ZERO;
        steps.dedup_by_key(|step| nanos(step.1));
        for step in &mut steps {
            step.0 = step.0.max(Duration::from_nanos(1));
        }
        Spacing::Steps(Steps::new(&steps).expect("the steps are sorted"))
    });
    prop_oneof![3 => factor.prop_map(|factor| Spacing::Exponential { factor }), 1 => Just(Spacing::Constant), 2 => steps]
    .boxed()
}

/// Every kind of jitter.
pub fn any_jitter() -> BoxedStrategy<Jitter> {
    prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated)].boxed()
}

fn first_look(delay: impl Strategy<Value = Duration> + 'static) -> BoxedStrategy<FirstLook> {
    prop_oneof![Just(FirstLook::AtOnce), delay.prop_map(FirstLook::After), Just(FirstLook::BySchedule)].boxed()
}

/// Everything that a policy is told, in plain sight: for properties that reckon with its parts, or change one of them.
///
/// ```
/// use jobwatch::testing::{Rules, any_rules};
/// use proptest::strategy::Strategy;
///
/// // Whatever a policy may be, but patient with failures.
/// let patient = any_rules().prop_map(|rules| Rules { failures: None, ..rules }.policy());
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// The schedule.
    pub spacing: Spacing,
    /// The jitter; `None` for the schedule's own.
    pub jitter: Option<Jitter>,
    /// `min_delay`.
    pub min: Duration,
    /// `max_delay`.
    pub max: Option<Duration>,
    /// When the first look comes.
    pub first: FirstLook,
    /// The total time limit.
    pub total: Option<Duration>,
    /// The time limit of one look.
    pub attempt: Duration,
    /// The time that the final look has.
    pub grace: Duration,
    /// The most looks.
    pub polls: Option<u32>,
    /// The most failures in a row; `None` for the default.
    pub failures: Option<u32>,
    /// How long looks may go on failing.
    pub failure_time: Duration,
    /// The ends of the backoff after failed looks.
    pub backoff: (Duration, Duration),
    /// The longest hint that is followed in full.
    pub retry_after: Duration,
    /// After how many denials, over how long, a job is lost.
    pub lost: (u32, Duration),
}

impl Rules {
    /// The policy.
    ///
    /// # Panics
    /// A field was changed so that the rules contradict each other.
    pub fn policy(&self) -> Policy {
        let mut policy = Policy::builder()
            .with_spacing(self.spacing)
            .with_min_delay(self.min)
            .with_first_look(self.first)
            .with_attempt_timeout(self.attempt)
            .with_final_grace(self.grace)
            .with_max_failure_time(self.failure_time)
            .with_failure_backoff(self.backoff.0, self.backoff.1)
            .with_max_retry_after(self.retry_after)
            .with_lost_after(self.lost.0, self.lost.1);
        policy = match self.max {
            Some(max) => policy.with_max_delay(max),
            None => policy.without_max_delay(),
        };
        policy = match self.total {
            Some(total) => policy.with_total_timeout(total),
            None => policy.without_total_timeout(),
        };
        if let Some(jitter) = self.jitter {
            policy = policy.with_jitter(jitter);
        }
        if let Some(failures) = self.failures {
            policy = policy.with_max_consecutive_failures(failures);
        }
        if let Some(polls) = self.polls {
            policy = policy.with_max_polls(polls);
        }
        policy.build().expect("the rules were made to fit")
    }

    /// Cuts the time, and where that does not suffice the looks, until the wait ends soon.
    fn ending(mut self, quarters: u32, polls: u32) -> Self {
        let soon = |rules: &Self| rules.policy().bounds().max_looks.is_some_and(|looks| looks <= 200);
        if !soon(&self) {
            match self.total {
                Some(_) => self.total = Some((self.min / 4).saturating_mul(quarters).max(SHORTEST)),
                None => self.polls = Some(polls),
            }
        }
        assert!(soon(&self), "{self:?}");
        self
    }
}

fn rules_of<D: Strategy<Value = Duration> + 'static>(duration: impl Fn() -> D) -> BoxedStrategy<Rules> {
    let spaced = (any_spacing(), option::of(any_jitter()), duration(), option::weighted(0.7, duration()));
    let limits = (
        first_look(duration()),
        option::weighted(0.7, duration()),
        duration(),
        duration(),
        option::weighted(0.5, prop_oneof![4 => 1_u32..40, 1 => 1..=u32::MAX]),
    );
    let budgets = (
        option::of(prop_oneof![4 => 1_u32..8, 1 => Just(u32::MAX)]),
        duration(),
        (duration(), duration()),
        duration(),
        (1_u32..5, duration()),
    );
    (spaced, limits, budgets)
        .prop_map(|((spacing, jitter, min, max), limits, budgets)| {
            let (first, total, attempt, grace, polls) = limits;
            let (failures, failure_time, (one, other), retry_after, lost) = budgets;
            let min = min.max(SHORTEST);
            Rules {
                spacing,
                jitter,
                min,
                max: max.map(|max| max.max(min)),
                first,
                total: total.map(|total| total.max(SHORTEST)),
                attempt: attempt.max(SHORTEST),
                grace: grace.max(SHORTEST),
                polls: if total.is_none() { polls.or(Some(9)) } else { polls },
                failures,
                failure_time,
                backoff: (one.min(other), one.max(other)),
                retry_after,
                lost,
            }
        })
        .boxed()
}

/// Whatever `build` accepts.
pub fn any_rules() -> BoxedStrategy<Rules> {
    rules_of(any_duration)
}

/// With times up to half an hour, so that nothing saturates in our century; ends within some hundred looks.
pub fn ordinary_rules() -> BoxedStrategy<Rules> {
    (rules_of(ordinary_duration), 1_u32..200, 1_u32..60)
        .prop_map(|(rules, quarters, polls)| rules.ending(quarters, polls))
        .boxed()
}

/// Whatever `build` accepts and that ends within some hundred looks, so that a test can see the end.
pub fn ending_rules() -> BoxedStrategy<Rules> {
    (any_rules(), 1_u32..200, 1_u32..60).prop_map(|(rules, quarters, polls)| rules.ending(quarters, polls)).boxed()
}

/// Whatever a builder accepts, the extremes included.
///
/// ```
/// use jobwatch::testing::any_policy;
/// use proptest::prelude::*;
///
/// proptest!(|(policy in any_policy())| {
///     let bounds = policy.bounds();
///     prop_assert!(bounds.max_gap.is_none_or(|gap| gap >= bounds.min_gap));
/// });
/// ```
pub fn any_policy() -> BoxedStrategy<Policy> {
    any_rules().prop_map(|rules| rules.policy()).boxed()
}

/// A policy under which each wait ends within some hundred looks, so that a test can see the end; with times up to half an
/// hour, so that nothing saturates in our century.
pub fn ordinary_policy() -> BoxedStrategy<Policy> {
    ordinary_rules().prop_map(|rules| rules.policy()).boxed()
}

/// The same with the extremes included.
pub fn ending_policy() -> BoxedStrategy<Policy> {
    ending_rules().prop_map(|rules| rules.policy()).boxed()
}
