//! The steps of the core, one by one, and what others take for the same: each a function that makes a step so many
//! times, to be measured by its instructions or by its time.

mod answers;
mod decisions;
mod fleets;
#[cfg(feature = "peers")]
mod peers;

use jobwatch::{Policy, Timestamp};

use crate::Stopwatch;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// So often each is timed.
const TRIES: u32 = 9;

/// A step to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What it is, in words that stay the same.
    pub name: &'static str,
    /// Ours, whose instructions are guarded; others are what it is compared with.
    pub is_ours: bool,
    /// Gets ready, which takes the same however often, and then makes the step so many times.
    pub run: fn(u32),
    /// So many of them take about a millisecond.
    pub times: u32,
}

impl Step {
    const fn ours(name: &'static str, times: u32, run: fn(u32)) -> Self {
        Self { name, is_ours: true, run, times }
    }

    #[cfg(feature = "peers")]
    const fn others(name: &'static str, times: u32, run: fn(u32)) -> Self {
        Self { name, is_ours: false, run, times }
    }

    /// What one step takes of a processor's time, in nanoseconds: from the least of several tries, since whatever else
    /// the machine does can only add to it.
    pub fn nanos(&self) -> f64 {
        let time = |times| {
            let start = Stopwatch::start();
            (self.run)(times);
            start.elapsed().as_secs_f64() * 1e9
        };
        let least = |times| (0..TRIES).map(|_| time(times)).fold(f64::INFINITY, f64::min);
        let (few, many) = (least(self.times), least(11 * self.times));
        ((many - few) / f64::from(10 * self.times)).max(0.0)
    }
}

/// All of them, ours first.
pub fn steps() -> Vec<Step> {
    #[allow(unused_mut)]
    let mut steps = [&decisions::STEPS[..], &answers::STEPS, &fleets::STEPS].concat();
    #[cfg(feature = "peers")]
    steps.extend(peers::STEPS);
    steps
}

/// Waits that never end by themselves.
pub(crate) fn endless() -> Policy {
    Policy::builder().without_total_timeout().with_max_polls(u32::MAX).build().expect("the policy is valid")
}
