//! Gaps that depend on the job's age alone: "every 30 s for the first 3 min, then every 60 s".

use core::fmt;
use core::time::Duration;

use crate::time::nanos;

/// A gap for each stretch of a job's age, written `30s@0,60s@3m` on the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// `(from age, gap)`, ages rising from zero; only the first `len` count.
    steps: [(u64, u64); Self::MAX],
    len: u8,
}

impl Steps {
    /// The most steps that one schedule may have.
    pub const MAX: usize = 8;

    /// Steps given as `(gap, from age)`. Ages start at zero and rise; there are 1 to [`MAX`](Self::MAX) of them and no
    /// gap is zero.
    ///
    /// # Errors
    /// What is wrong with the steps.
    pub fn new(steps: &[(Duration, Duration)]) -> Result<Self, StepsError> {
        if steps.is_empty() || steps.len() > Self::MAX {
            return Err(StepsError::Count);
        }
        let len = u8::try_from(steps.len()).map_err(|_| StepsError::Count)?;
        let mut kept = [(0, 0); Self::MAX];
        for (index, &(gap, age)) in steps.iter().enumerate() {
            let (gap, age) = (nanos(gap), nanos(age));
            if gap == 0 {
                return Err(StepsError::ZeroGap);
            }
            if index == 0 && age != 0 {
                return Err(StepsError::Start);
            }
            if index > 0 && age <= kept[index - 1].0 {
                return Err(StepsError::Order);
            }
            kept[index] = (age, gap);
        }
        Ok(Self { steps: kept, len })
    }

    /// The gap at an age, in nanoseconds.
    pub(crate) fn gap(&self, age: u64) -> u64 {
        let steps = &self.steps[..usize::from(self.len)];
        steps.iter().rev().find(|step| step.0 <= age).unwrap_or(&steps[0]).1
    }

    /// The same steps with every time changed; `None` where they are no steps any more.
    pub(crate) fn map(&self, change: impl Fn(Duration) -> Duration) -> Option<Self> {
        let mut changed = [(Duration::ZERO, Duration::ZERO); Self::MAX];
        for (to, (gap, age)) in changed.iter_mut().zip(self.iter()) {
            *to = (change(gap), change(age));
        }
        Self::new(&changed[..usize::from(self.len)]).ok()
    }

    /// The steps as `(gap, from age)`, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Duration, Duration)> + '_ {
        let steps = self.steps[..usize::from(self.len)].iter();
        steps.map(|&(age, gap)| (Duration::from_nanos(gap), Duration::from_nanos(age)))
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Why steps were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepsError {
    /// There are none, or more than [`Steps::MAX`].
    Count,
    /// The first step does not begin at age zero.
    Start,
    /// A step does not begin later than the one before it.
    Order,
    /// A gap is zero.
    ZeroGap,
}

impl fmt::Display for StepsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "a schedule has 1 to {} steps", Steps::MAX),
            Self::Start => f.write_str("the first step must begin at age 0"),
            Self::Order => f.write_str("each step must begin at a later age than the one before it"),
            Self::ZeroGap => f.write_str("the gap of a step must be longer than zero"),
        }
    }
}

impl core::error::Error for StepsError {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_vendors_guidance() {
        let steps = Steps::new(&[(secs(30), secs(0)), (secs(60), secs(180))]).unwrap();
        let gaps = [0, 179, 180, 9_999].map(|age| steps.gap(nanos(secs(age))) / 1_000_000_000);
        assert_eq!(gaps, [30, 30, 60, 60]);
        assert_eq!(steps.gap(u64::MAX), nanos(secs(60)));
    }

    #[test]
    fn wrong_steps_are_refused() {
        assert_eq!(Steps::new(&[]), Err(StepsError::Count));
        assert_eq!(Steps::new(&[(secs(1), secs(0)); 9]), Err(StepsError::Count));
        assert_eq!(Steps::new(&[(secs(1), secs(1))]), Err(StepsError::Start));
        assert_eq!(Steps::new(&[(secs(1), secs(0)), (secs(1), secs(0))]), Err(StepsError::Order));
        assert_eq!(Steps::new(&[(secs(0), secs(0))]), Err(StepsError::ZeroGap));
    }
}
