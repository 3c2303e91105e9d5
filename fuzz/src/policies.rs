//! Policies: whatever is set is refused, or keeps what it promises.

use arbitrary::{Arbitrary, Result, Unstructured};
use jobwatch::{
    Action, FirstLook, Hint, Jitter, LookError, Observation, Policy, PolicyBuilder, Poller, Spacing, Steps, Timestamp,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::time::Duration;

/// So many steps are played of a wait that may take years.
const STEPS: usize = 400;

/// A policy is refused with a reason, or every wait under it keeps its bounds.
pub fn policy(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(builder) = builder(&mut data) else { return };
    match builder.build() {
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
        Ok(policy) => {
            assert_eq!(policy.to_builder().build().as_ref(), Ok(&policy), "what is valid stays valid");
            if let Ok(speed) = f64::arbitrary(&mut data)
                && let Ok(faster) = policy.at_speed(speed)
            {
                assert!(faster.to_builder().build().is_ok(), "{faster:?}");
            }
            let _ = play(policy, &mut data);
        }
    }
}

/// One wait, with answers for as long as there are any.
fn play(policy: Policy, data: &mut Unstructured<'_>) -> Result<()> {
    let bounds = policy.bounds();
    let total = policy.total_timeout();
    let (seed, start) = (data.arbitrary()?, Timestamp::from_nanos(data.arbitrary()?));
    let deadline = total.map(|total| start.saturating_add(total));
    let mut poller = Poller::new(policy, start, &mut ChaCha8Rng::seed_from_u64(seed));
    let (mut now, mut looks, mut answered): (_, _, Option<Timestamp>) = (start, 0_u32, None);
    for _ in 0..STEPS {
        let attempt = match poller.poll(now) {
            Action::Done(ended) | Action::TimedOut(ended) => {
                assert!(ended.looks == looks && bounds.max_looks.is_none_or(|most| looks <= most), "{ended:?}");
                return Ok(());
            }
            Action::Sleep { until, .. } => {
                assert!(until > now || now == Timestamp::MAX, "a sleep that is over before it begins");
                if let (Some(last), Some(most)) = (answered, bounds.max_gap) {
                    assert!(until <= last.saturating_add(most), "a gap that is too long");
                }
                now = until;
                continue;
            }
            Action::Send(attempt) => attempt,
        };
        looks += 1;
        let is_final = deadline.is_some_and(|deadline| now >= deadline);
        if let Some(last) = answered.filter(|last| !is_final && last.saturating_add(bounds.min_gap) < Timestamp::MAX) {
            assert!(now.saturating_since(last) >= bounds.min_gap, "a look came too soon");
        }
        now = now
            .saturating_add(Duration::from_nanos(u64::from(data.arbitrary::<u32>().unwrap_or(0))).min(attempt.timeout));
        let observation = observation(data).unwrap_or(Observation::Running { hint: None });
        let _ = poller.handle_observation(now, attempt.id, observation).expect("it is in flight");
        answered = Some(now);
        if data.ratio(1, 16).unwrap_or(false) {
            let _ = poller.stop(now);
        }
    }
    Ok(())
}

fn observation(data: &mut Unstructured<'_>) -> Result<Observation> {
    let hint = data.arbitrary::<Option<Duration>>()?.map(Hint::after);
    let error = LookError::Status(503);
    Ok(match data.int_in_range(0..=9)? {
        0 => Observation::Pending { hint },
        1..=3 => Observation::Running { hint },
        4 | 5 => Observation::Transient { error, hint },
        6 => Observation::Throttled { error, hint },
        7 => Observation::Lost { definite: data.arbitrary()? },
        8 => data.choose(&[Observation::Succeeded, Observation::Failed, Observation::Cancelled]).copied()?,
        _ => Observation::Fatal { error },
    })
}

/// Everything that can be set, each with anything.
fn builder(data: &mut Unstructured<'_>) -> Result<PolicyBuilder> {
    let mut builder = Policy::builder();
    for _ in 0..data.int_in_range(0..=24)? {
        builder = match data.int_in_range(0..=16)? {
            0 => builder.with_spacing(spacing(data)?),
            1 => builder.with_factor(data.arbitrary()?),
            2 => builder.with_request_cost(time(data)?),
            3 => {
                builder.with_jitter(*data.choose(&[Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated])?)
            }
            4 => builder.with_min_delay(time(data)?),
            5 => builder.with_max_delay(time(data)?),
            6 => builder.without_max_delay(),
            7 => builder.with_first_look(match data.int_in_range(0..=2)? {
                0 => FirstLook::AtOnce,
                1 => FirstLook::After(time(data)?),
                _ => FirstLook::BySchedule,
            }),
            8 => builder.with_total_timeout(time(data)?),
            9 => builder.without_total_timeout(),
            10 => builder.with_attempt_timeout(time(data)?),
            11 => builder.with_final_grace(time(data)?),
            12 => builder.with_max_polls(data.arbitrary()?),
            13 => builder.with_max_consecutive_failures(data.arbitrary()?).with_max_failure_time(time(data)?),
            14 => builder.with_failure_backoff(time(data)?, time(data)?),
            15 => builder.with_max_retry_after(time(data)?),
            _ => builder.with_lost_after(data.arbitrary()?, time(data)?),
        };
    }
    Ok(builder)
}

fn spacing(data: &mut Unstructured<'_>) -> Result<Spacing> {
    Ok(match data.int_in_range(0..=3)? {
        0 => Spacing::Constant,
        1 => Spacing::Learned,
        2 => Spacing::Exponential { factor: data.arbitrary()? },
        _ => {
            let steps: Vec<(Duration, Duration)> = data.arbitrary()?;
            Steps::new(&steps).map_or(Spacing::Constant, Spacing::Steps)
        }
    })
}

/// Mostly times that a person would set.
fn time(data: &mut Unstructured<'_>) -> Result<Duration> {
    Ok(match data.int_in_range(0..=3)? {
        0 => data.arbitrary()?,
        1 => Duration::from_secs(data.arbitrary::<u16>()?.into()),
        _ => Duration::from_millis(data.arbitrary::<u16>()?.into()),
    })
}
