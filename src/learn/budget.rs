//! How many requests each job may cost where requests are limited: as many as there are, and no more.

/// The budget is set anew after so many seconds.
pub(crate) const PERIOD: f64 = 1.0;

/// A share that stands in line for less than this is short of nothing, in seconds.
const SHORT: f64 = 0.1;

/// A share that stands in line for longer than this asks for too much.
const LONG: f64 = 1.0;

/// By so much a budget grows in each period without a line ...
const GROWTH: f64 = 1.004;

/// ... and shrinks for each second that one stands in line, three at the most: what is decided now shows only when the
/// jobs end that begin now.
const DECAY: f64 = 0.01;

/// Follows a limit: additive in, multiplicative out, as congestion control does it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    share: f64,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { share: 0.95 }
    }

    /// The requests for each job, where so many are allowed per second, so many jobs come, and one stands in line for so
    /// many seconds. To be called once each period.
    pub(crate) fn set(&mut self, rate: f64, jobs: f64, wait: f64) -> f64 {
        if wait < SHORT {
            self.share *= GROWTH;
        } else if wait > LONG {
            self.share *= 1.0 - DECAY * wait.min(3.0);
        }
        self.share = self.share.clamp(0.4, 1.5);
        self.share * rate / jobs
    }
}
