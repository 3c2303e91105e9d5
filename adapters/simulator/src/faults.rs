//! Faults: what goes wrong between a client and the backend, at a rate, repeatable from the seed.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use serde::{Serialize, Serializer};

use crate::seed::{Domain, stream};

/// One way in which a status request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// `bad-gateway`: 502 with a page of HTML, as a proxy sends it.
    BadGateway,
    /// `server-error`: 500 with a JSON error.
    ServerError,
    /// `throttle`: 429 that asks to wait for one simulated second.
    Throttle,
    /// `unavailable`: 503 that asks to wait for two simulated seconds.
    Unavailable,
    /// `truncated`: 200 with JSON that stops in the middle; 502 where the HTTP status is the state.
    Truncated,
    /// `html`: 200 with a page of HTML, as a login page or a captive portal sends it; 502 where the
    /// HTTP status is the state.
    Html,
    /// `reset`: the connection is reset (TCP RST) instead of an answer.
    Reset,
    /// `close`: the connection is closed in good order, without an answer.
    Close,
    /// `hang`: the request is taken and never answered, until the client leaves or the server stops.
    Hang,
}

impl FaultKind {
    /// Every kind there is.
    pub const ALL: &'static [Self] = &[
        Self::BadGateway,
        Self::ServerError,
        Self::Throttle,
        Self::Unavailable,
        Self::Truncated,
        Self::Html,
        Self::Reset,
        Self::Close,
        Self::Hang,
    ];

    /// The name as it is written in a specification and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadGateway => "bad-gateway",
            Self::ServerError => "server-error",
            Self::Throttle => "throttle",
            Self::Unavailable => "unavailable",
            Self::Truncated => "truncated",
            Self::Html => "html",
            Self::Reset => "reset",
            Self::Close => "close",
            Self::Hang => "hang",
        }
    }

    /// A hang costs its client a whole attempt timeout, so it is drawn a tenth as often.
    fn weight(self) -> u32 {
        if self == Self::Hang { 1 } else { 10 }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FaultKind {
    type Err = FaultsError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| FaultsError::UnknownKind(name.to_owned()))
    }
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How often status requests meet a fault, and of which kinds.
///
/// Only status requests do, those for many jobs at once included. A create is spared: most creates
/// have no idempotency key, so a client that got no answer could neither repeat it nor find its job,
/// and nothing would be learnt.
///
/// Whether a request meets a fault, and which, depends on the seed and on how many status requests
/// came before it. The kinds are equally likely, but [`FaultKind::Hang`] a tenth as likely as each
/// other one, since it keeps a client waiting for its whole attempt timeout.
///
/// Written as a rate, or as a rate and kinds:
///
/// ```
/// use jobwatch_simulator::{FaultKind, Faults};
///
/// let some = Faults::rate(0.25).only(&[FaultKind::Throttle, FaultKind::Reset]);
/// assert_eq!("0.25:throttle,reset".parse::<Faults>()?, some);
/// assert_eq!("0.25".parse::<Faults>()?, Faults::rate(0.25));
/// # Ok::<(), jobwatch_simulator::FaultsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    rate: f64,
    kinds: Vec<FaultKind>,
}

impl Default for Faults {
    /// None at all.
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// No faults: the default.
    pub fn none() -> Self {
        Self::rate(0.0)
    }

    /// Faults of every kind with this probability, 0 to 1. A rate outside of that is refused when
    /// the simulator starts.
    pub fn rate(rate: f64) -> Self {
        Self { rate, kinds: FaultKind::ALL.to_vec() }
    }

    /// Only these kinds, in place of all. Without any, there are no faults.
    #[must_use]
    pub fn only(self, kinds: &[FaultKind]) -> Self {
        Self { kinds: kinds.to_vec(), ..self }
    }

    /// The probability that a status request meets a fault.
    pub fn probability(&self) -> f64 {
        self.rate
    }

    /// The kinds that are drawn from.
    pub fn kinds(&self) -> &[FaultKind] {
        &self.kinds
    }

    /// The fault of the status request of this number, if it has one.
    pub(crate) fn draw(&self, seed: u64, number: u64) -> Option<FaultKind> {
        let total: u32 = self.kinds.iter().map(|kind| kind.weight()).sum();
        if self.rate <= 0.0 || total == 0 {
            return None;
        }
        let mut rng = stream(seed, Domain::Fault, number);
        if rng.random::<f64>() >= self.rate {
            return None;
        }
        let mut left = rng.random_range(0..total);
        self.kinds.iter().copied().find(|kind| {
            let found = left < kind.weight();
            left = left.saturating_sub(kind.weight());
            found
        })
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(spec: &str) -> Result<Self, Self::Err> {
        let (rate, kinds) = match spec.split_once(':') {
            Some((rate, kinds)) => (rate, Some(kinds)),
            None => (spec, None),
        };
        let rate = rate
            .trim()
            .parse()
            .ok()
            .filter(|rate| is_probability(*rate))
            .ok_or_else(|| FaultsError::BadRate(rate.trim().to_owned()))?;
        let faults = Self::rate(rate);
        let Some(kinds) = kinds else {
            return Ok(faults);
        };
        let kinds: Result<Vec<FaultKind>, _> = kinds.split(',').map(|kind| kind.trim().parse()).collect();
        Ok(faults.only(&kinds?))
    }
}

impl fmt::Display for Faults {
    /// A form that reads back as an equal value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kinds.is_empty() {
            return f.write_str("0");
        }
        write!(f, "{}", self.rate)?;
        if self.kinds == FaultKind::ALL {
            return Ok(());
        }
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        write!(f, ":{}", names.join(","))
    }
}

pub(crate) fn is_probability(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

/// Why a specification of faults was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultsError {
    /// The rate is not a number from 0 to 1.
    BadRate(String),
    /// There is no kind of this name.
    UnknownKind(String),
}

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRate(text) => {
                write!(f, "fault rate '{text}' is not a number from 0 to 1")
            }
            Self::UnknownKind(name) => {
                let names: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
                write!(f, "unknown fault '{name}': want some of {}", names.join(", "))
            }
        }
    }
}

impl std::error::Error for FaultsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(faults: &Faults, kind: FaultKind) -> usize {
        let drawn = (0..20_000).filter_map(|number| faults.draw(3, number));
        drawn.filter(|drawn| *drawn == kind).count()
    }

    #[test]
    fn the_rate_and_the_weights_hold() {
        let faults = Faults::rate(0.5);
        let total: usize = FaultKind::ALL.iter().map(|kind| count(&faults, *kind)).sum();
        assert!((9_500..10_500).contains(&total), "{total}");
        let (hang, reset) = (count(&faults, FaultKind::Hang), count(&faults, FaultKind::Reset));
        assert!(hang > 0 && hang * 5 < reset, "{hang} hangs, {reset} resets");
    }

    #[test]
    fn the_edges_of_the_rate() {
        assert_eq!(count(&Faults::none(), FaultKind::Html), 0);
        assert_eq!(count(&Faults::rate(1.0).only(&[]), FaultKind::Html), 0);
        let always = Faults::rate(1.0).only(&[FaultKind::Hang]);
        assert_eq!(count(&always, FaultKind::Hang), 20_000);
    }
}
