//! The rules of other clients, as they are published.

use core::time::Duration;

use rand_core::Rng;

use super::Rule;

/// The rule of a widely used client. In seconds, with `U` uniform:
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Peer {
    /// The original client of the status tracker: looks at once, then waits `min(0.5·2ⁿ, 30)·U[0.5, 1)`.
    Tracker,
    /// A vendor's command line: looks at once, then waits `min(2·2ⁿ, 30)·U[0.75, 1.25)`.
    HeygenCli,
    /// The same vendor's guide: every 30 until the age of 180, then every 60.
    HeygenGuide,
    /// The waiter that AWS prescribes for its SDKs, with its default delays of 2 to 120: looks at once, then waits a whole
    /// number of seconds from 2 to a doubling ceiling.
    AwsWaiter,
    /// Google's long-running operations: waits `min(60, 2ⁿ)` before each look, without jitter.
    GoogleLro,
    /// Azure's: looks at once, then every 30.
    AzureLro,
    /// The `OpenAI` SDKs: every 1.
    OpenAiSdk,
    /// Kubernetes' wait helpers: every 1.
    K8s,
    /// Every so often.
    Fixed(Duration),
}

impl Rule for Peer {
    type Job = ();

    fn start(&mut self, _rng: &mut dyn Rng) -> ((), Duration) {
        let first = match self {
            Self::Tracker | Self::HeygenCli | Self::AwsWaiter | Self::AzureLro => 0.0,
            Self::HeygenGuide => 30.0,
            Self::GoogleLro | Self::OpenAiSdk | Self::K8s => 1.0,
            Self::Fixed(gap) => return ((), *gap),
        };
        ((), Duration::from_secs_f64(first))
    }

    fn next(&mut self, (): &mut (), age: Duration, looks: u32, rng: &mut dyn Rng) -> Option<Duration> {
        let n = looks.saturating_sub(1).min(30);
        let doubled = f64::from(1_u32 << n);
        let gap = match self {
            Self::Tracker => (0.5 * doubled).min(30.0) * (0.5 + 0.5 * uniform(rng)),
            Self::HeygenCli => (2.0 * doubled).min(30.0) * (0.75 + 0.5 * uniform(rng)),
            Self::HeygenGuide if age < Duration::from_secs(180) => 30.0,
            Self::HeygenGuide => 60.0,
            Self::AwsWaiter => {
                // ceil = floor(log2(120/2)) + 1 = 6; from the seventh attempt on the ceiling is the maximum.
                let ceiling = if looks > 6 { 120.0 } else { 2.0 * doubled };
                libm::floor(2.0 + uniform(rng) * (ceiling - 1.0))
            }
            Self::GoogleLro => f64::from(1_u32 << looks.min(30)).min(60.0),
            Self::AzureLro => 30.0,
            Self::OpenAiSdk | Self::K8s => 1.0,
            Self::Fixed(gap) => return Some(*gap),
        };
        Some(Duration::from_secs_f64(gap))
    }
}

/// Uniform in `[0, 1)`.
#[allow(clippy::cast_precision_loss)] // 53 bits fit
pub(super) fn uniform(rng: &mut dyn Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
