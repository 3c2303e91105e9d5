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

#[cfg(test)]
mod tests {
    use super::*;

    /// The last of so many budgets, where two jobs a second come and ten requests may go.
    fn after(periods: usize, used: f64, wait: f64) -> f64 {
        let mut budget = Budget::default();
        (0..periods).map(|_| budget.next(10.0, used, 2.0, wait)).last().unwrap()
    }

    fn is(budget: f64, expected: f64) {
        assert!((budget - expected).abs() < 1e-9, "{budget} instead of {expected}");
    }

    #[test]
    fn the_share_of_the_limit_is_divided_among_the_jobs() {
        is(after(100, 9.8, 0.0), 4.9);
    }

    #[test]
    fn too_much_or_too_little_is_corrected_bit_by_bit_and_within_bounds() {
        is(after(1, 10.8, 0.0), 4.9 * 0.999);
        is(after(2, 8.8, 0.0), 4.9 * 1.001 * 1.001);
        is(after(1_000, 30.0, 0.0), 4.9 * LEAST);
        // At seven tenths the limit may still be what is felt; below that it is not.
        is(after(1_000, 7.0, 0.0), 4.9 * MOST);
        is(after(1_000, 6.9, 0.0), 4.9 * 1.0029);
    }

    /// Ten seconds in line are half a limit that is used beside what is sent.
    #[test]
    fn who_stands_in_line_makes_the_others_look_less() {
        is(after(1, 9.8, 10.0), 4.9 * 0.995 / 1.5);
    }
}
