//! How many requests each job may cost where requests are limited.

/// The budget is set anew after so many seconds.
pub(crate) const PERIOD: f64 = 1.0;

/// The part of the limit that is to be used: the rest is for chance.
const SHARE: f64 = 0.98;

/// A line in which one stands for so many seconds halves the budget.
const PATIENCE: f64 = 20.0;

/// What is not used, or too much, moves the correction by this part of itself with each period: slower than a job's life,
/// so that what was changed is seen before more is.
const GAIN: f64 = 0.01;

/// Below this load the limit does not bind, and there is nothing to correct.
const IDLE: f64 = 0.7;

/// The correction makes up for plans that turn out a little cheaper or dearer than they expect, and no more.
const LEAST: f64 = 0.8;
const MOST: f64 = 1.25;

/// Sets the requests that each job may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    correction: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { correction: 1.0 }
    }
}

impl Budget {
    /// The requests for each job, where `rate` are allowed per second and `used` were sent in the last one, so many `jobs`
    /// come per second, and one stands in line for `wait` seconds: who stands in line makes the others look less, until it
    /// is short again.
    pub(crate) fn next(&mut self, rate: f64, used: f64, jobs: f64, wait: f64) -> f64 {
        let load = used / rate + wait / PATIENCE;
        if load < IDLE {
            self.correction = 1.0;
        }
        self.correction = (self.correction * (1.0 + GAIN * (SHARE - load).clamp(-1.0, 1.0))).clamp(LEAST, MOST);
        SHARE * self.correction * rate / jobs / (1.0 + wait / PATIENCE)
    }
}
