//! How many requests each job may cost where requests are limited.

/// The budget is set anew after so many seconds.
pub(crate) const PERIOD: f64 = 1.0;

/// The part of the limit that a plan may count on: the rest is for chance.
const SHARE: f64 = 0.95;

/// A line in which one stands for so many seconds halves the budget.
const PATIENCE: f64 = 20.0;

/// The requests for each job, where so many are allowed per second, so many jobs come, and one stands in line for so many
/// seconds: who stands in line makes the others look less, until it is short again.
pub(crate) fn budget(rate: f64, jobs: f64, wait: f64) -> f64 {
    SHARE * rate / jobs / (1.0 + wait / PATIENCE)
}
