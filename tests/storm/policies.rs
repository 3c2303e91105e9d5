//! Clocks and policies, any of them.

use core::time::Duration;
use std::sync::Arc;

use jobwatch::{FirstLook, Jitter, Policy, Spacing, Steps};

use super::dice::Dice;
use super::server::SECOND;
use super::waits::Rules;

/// What a clock shows when the world begins.
pub(crate) fn start(dice: &mut Dice, calm: bool) -> u64 {
    let usual = 1_700_000_000 * SECOND;
    match dice.below(20) {
        _ if calm => usual,
        0 => 0,
        1 => dice.below(100 * SECOND),
        2 => u64::MAX - dice.below(200 * SECOND),
        3 => dice.roll(),
        _ => usual + dice.below(600 * SECOND),
    }
}

/// Any policy whose waits end within minutes.
pub(crate) fn policy(dice: &mut Dice) -> Rules {
    let total = dice.time(Duration::from_secs(2), Duration::from_secs(300));
    let shortest = Duration::from_millis(1);
    let min = (total / u32::try_from(dice.between(4, 100)).unwrap()).max(shortest);
    let max = min.saturating_mul(u32::try_from(dice.between(1, 30)).unwrap());
    let steps = |dice: &mut Dice| {
        let gap = |dice: &mut Dice| dice.time(shortest, Duration::from_secs(30));
        let steps =
            [(gap(dice), Duration::ZERO), (gap(dice), Duration::from_secs(3)), (gap(dice), Duration::from_secs(20))];
        Spacing::Steps(Steps::new(&steps[..=dice.index(3)]).unwrap())
    };
    let spacing = match dice.below(48) {
        0..8 => Spacing::Constant,
        8..16 => steps(dice),
        // Plans take their time.
        16 => Spacing::Learned,
        _ => Spacing::Exponential { factor: dice.of(&[1.0, 1.1, 1.5, 2.0, 10.0]) },
    };
    let first = match dice.below(4) {
        0 => FirstLook::After(dice.time(shortest, Duration::from_secs(20))),
        1 => FirstLook::BySchedule,
        _ => FirstLook::AtOnce,
    };
    let patience = u32::try_from(dice.between(1, 4)).unwrap();
    let mut policy = Policy::builder()
        .with_spacing(spacing)
        .with_min_delay(min)
        .with_first_look(first)
        .with_total_timeout(total)
        .with_attempt_timeout(dice.time(Duration::from_millis(200), Duration::from_secs(30)))
        .with_final_grace(dice.time(shortest, Duration::from_secs(10)))
        .with_max_failure_time(dice.time(Duration::from_millis(100), Duration::from_secs(200)))
        .with_max_retry_after(dice.time(shortest, Duration::from_secs(60)))
        .with_lost_after(patience, dice.time(shortest, Duration::from_secs(15)));
    let backoff = dice.time(shortest, Duration::from_secs(2));
    policy = policy.with_failure_backoff(backoff, backoff * u32::try_from(dice.between(1, 30)).unwrap());
    policy = if dice.percent(80) { policy.with_max_delay(max) } else { policy.without_max_delay() };
    if dice.percent(50) {
        policy = policy.with_jitter(dice.of(&[Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated]));
    }
    if dice.percent(30) {
        policy = policy.with_max_consecutive_failures(u32::try_from(dice.between(1, 8)).unwrap());
    }
    if dice.percent(20) {
        policy = policy.with_max_polls(u32::try_from(dice.between(1, 30)).unwrap());
        if dice.percent(30) {
            policy = policy.without_total_timeout();
        }
    }
    Rules { policy: Arc::new(policy.build().unwrap()), patience }
}
