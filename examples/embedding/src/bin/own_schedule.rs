//! A schedule of one's own: a tenth of the job's age, so that the delay is small beside what the job has cost. The policy's
//! bounds hold for it as for any other.

use std::error::Error;
use std::time::Duration;

use jobwatch::{Action, GapRange, Observation, Outcome, Policy, Poller, Position, Schedule, Timestamp};

struct TenthOfAge;

impl Schedule for TenthOfAge {
    fn gap(&self, _policy: &Policy, at: &Position) -> GapRange {
        GapRange::new(at.age / 11, at.age / 9) // a range: the poller draws, and keeps clients apart
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::builder().with_max_delay(Duration::from_secs(300)).build()?;
    let start = Timestamp::from_secs(1_700_000_000); // simulated time: 40 minutes take no time
    let (mut now, end) = (start, start.saturating_add(Duration::from_secs(2_400)));
    let mut poller = Poller::with_schedule(&policy, TenthOfAge, now, &mut rand::rng());
    let ended = loop {
        match poller.poll(now) {
            Action::Sleep { until, reason } => {
                println!("{:>5.0} s: sleeps {:.1} s, {reason}", secs(start, now), secs(now, until));
                now = until;
            }
            Action::Send(attempt) => {
                let says = if now < end { Observation::Running { hint: None } } else { Observation::Succeeded };
                let _ = poller.handle_observation(now, attempt.id, says)?;
            }
            Action::Done(ended) | Action::TimedOut(ended) => break ended,
        }
    };
    let late = now.saturating_since(end);
    println!("{} after {} looks, {late:?} late", ended.outcome, ended.looks);
    let kept = ended.outcome == Outcome::Succeeded && late <= Duration::from_secs(2_400 / 9);
    if kept { Ok(()) } else { Err("the job should be seen to succeed, at most a ninth of its age late".into()) }
}

fn secs(from: Timestamp, to: Timestamp) -> f64 {
    to.saturating_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use jobwatch::testing::{assert_within_bounds, ending_policy};
    use proptest::prelude::*;

    use super::TenthOfAge;

    proptest! {
        #[test]
        fn it_keeps_the_bounds_of_every_policy(policy in ending_policy(), seed: u64) {
            assert_within_bounds(&policy, &TenthOfAge, seed);
        }
    }
}
