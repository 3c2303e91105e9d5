//! How long simulated jobs take.

mod error;
mod parse;
mod value;

pub use error::DurationsError;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, StandardNormal};

/// The longest duration that can be asked for or drawn: 3650 days. As good as "never ends".
pub const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// A distribution of job durations, or recorded durations in their order.
///
/// | written | jobs take |
/// |---|---|
/// | `uniform:20..40` | 20 to 40 s, equally likely |
/// | `constant:5` or `fixed:5` | 5 s, always |
/// | `lognormal:480,0.5` | a median of 480 s, with this standard deviation of the logarithm |
/// | `exponential:60` | a mean of 60 s |
/// | `pareto:1.5,10` | at least 10 s, with a tail of shape 1.5 (smaller is heavier) |
/// | `list:5,2,9` | 5 s, then 2 s, then 9 s, and again from the start |
/// | `file:PATH` | the same from a file: one time a line; blank lines and what follows `#` are skipped |
/// | `mix:0.6*lognormal:30,0.2+0.4*uniform:5m..10m` | one of several, by weight; not of files or mixes |
///
/// A time is a decimal number of seconds, or has units: `500ms`, `30s`, `5m`, `1h30m`, `2d`.
/// All are above zero and at most [`LONGEST`]; draws beyond that are cut to it.
/// [`Display`](fmt::Display) writes a form that reads back as an equal value (for `file:`, as long
/// as the file is there and unchanged).
///
/// ```
/// use jobwatch_simulator::Durations;
///
/// let durations: Durations = "uniform:20s..1m".parse()?;
/// assert_eq!(durations.to_string(), "uniform:20..60");
/// assert!(Durations::parse("uniform:40..20").is_err());
/// # Ok::<(), jobwatch_simulator::DurationsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Durations(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Uniform { low: Duration, high: Duration },
    Constant(Duration),
    Lognormal { median: Duration, sigma: f64 },
    Exponential { mean: Duration },
    Pareto { shape: f64, scale: Duration },
    Recorded { path: Option<PathBuf>, values: Arc<[Duration]> },
    Mix(Vec<(f64, Durations)>),
}

impl Default for Durations {
    /// `uniform:20..40`.
    fn default() -> Self {
        Self(Form::Uniform { low: Duration::from_secs(20), high: Duration::from_secs(40) })
    }
}

impl Durations {
    /// Reads one of the forms of the table above; the same as `spec.parse()`.
    pub fn parse(spec: &str) -> Result<Self, DurationsError> {
        spec.parse()
    }

    /// Equally likely from `low` to `high`, both included.
    pub fn uniform(low: Duration, high: Duration) -> Result<Self, DurationsError> {
        check("low end", low)?;
        check("high end", high)?;
        if low > high {
            return Err(DurationsError::BadValue {
                what: "low end",
                value: value::text(low),
                reason: "is above the high end",
            });
        }
        Ok(Self(Form::Uniform { low, high }))
    }

    /// Always the same. With [`LONGEST`], jobs that never end.
    pub fn constant(duration: Duration) -> Result<Self, DurationsError> {
        check("constant", duration)?;
        Ok(Self(Form::Constant(duration)))
    }

    /// `median · e^(sigma · Z)` with `Z` normal. A `sigma` of 0 is a constant.
    pub fn lognormal(median: Duration, sigma: f64) -> Result<Self, DurationsError> {
        check("median", median)?;
        if !(sigma.is_finite() && sigma >= 0.0) {
            return Err(bad_number("sigma", sigma, "is not a finite number from 0 up"));
        }
        Ok(Self(Form::Lognormal { median, sigma }))
    }

    /// Exponential: most jobs short, and no memory.
    pub fn exponential(mean: Duration) -> Result<Self, DurationsError> {
        check("mean", mean)?;
        Ok(Self(Form::Exponential { mean }))
    }

    /// Pareto: never below `scale`, and longer than `x` with probability `(scale / x)^shape`.
    pub fn pareto(shape: f64, scale: Duration) -> Result<Self, DurationsError> {
        check("scale", scale)?;
        check_positive("shape", shape)?;
        Ok(Self(Form::Pareto { shape, scale }))
    }

    /// These durations in this order, over and over.
    pub fn list(values: impl Into<Vec<Duration>>) -> Result<Self, DurationsError> {
        let values: Vec<Duration> = values.into();
        if values.is_empty() {
            return Err(DurationsError::BadValue { what: "list", value: String::new(), reason: "is empty" });
        }
        for value in &values {
            check("list value", *value)?;
        }
        Ok(Self(Form::Recorded { path: None, values: values.into() }))
    }

    /// Reads a file of durations, one a line; they are taken in order, over and over.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, DurationsError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| DurationsError::Unreadable { path: path.to_owned(), source })?;
        let mut values = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            values.push(value::parse(line).map_err(|reason| DurationsError::BadLine {
                path: path.to_owned(),
                line: index + 1,
                text: line.to_owned(),
                reason,
            })?);
        }
        if values.is_empty() {
            return Err(DurationsError::NoValues(path.to_owned()));
        }
        Ok(Self(Form::Recorded { path: Some(path.to_owned()), values: values.into() }))
    }

    /// One of several distributions, each by its weight. Recorded durations from a file and other
    /// mixes cannot be parts.
    pub fn mix(parts: Vec<(f64, Self)>) -> Result<Self, DurationsError> {
        if parts.is_empty() {
            return Err(DurationsError::BadValue { what: "mix", value: String::new(), reason: "has no parts" });
        }
        for (weight, part) in &parts {
            check_positive("weight", *weight)?;
            if matches!(part.0, Form::Mix(_) | Form::Recorded { path: Some(_), .. }) {
                return Err(DurationsError::BadValue {
                    what: "mix",
                    value: part.to_string(),
                    reason: "cannot be a part of a mix",
                });
            }
        }
        if !total_weight(&parts).is_finite() {
            return Err(bad_number("weights", f64::INFINITY, "have no finite sum"));
        }
        Ok(Self(Form::Mix(parts)))
    }

    /// Draws one duration, above zero and at most [`LONGEST`]. Of recorded durations, any one.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> Duration {
        match &self.0 {
            Form::Uniform { low, high } => {
                let (low, high) = (crate::clock::nanoseconds(*low), crate::clock::nanoseconds(*high));
                Duration::from_nanos(rng.random_range(low..=high))
            }
            Form::Constant(duration) => *duration,
            Form::Lognormal { median, sigma } => {
                let z: f64 = StandardNormal.sample(rng);
                seconds(median.as_secs_f64() * (sigma * z).exp())
            }
            Form::Exponential { mean } => {
                let e: f64 = Exp1.sample(rng);
                seconds(mean.as_secs_f64() * e)
            }
            Form::Pareto { shape, scale } => {
                let e: f64 = Exp1.sample(rng);
                seconds(scale.as_secs_f64() * (e / shape).exp())
            }
            Form::Recorded { values, .. } => values[rng.random_range(0..values.len())],
            Form::Mix(parts) => {
                let mut left = rng.random::<f64>() * total_weight(parts);
                for (weight, part) in parts {
                    left -= weight;
                    if left < 0.0 {
                        return part.sample(rng);
                    }
                }
                // Rounding may leave a hair over: it belongs to the last part.
                parts[parts.len() - 1].1.sample(rng)
            }
        }
    }

    /// The duration of job `number` (from 0): recorded durations go in order and wrap around,
    /// everything else is a [`sample`](Self::sample).
    pub fn nth<R: Rng + ?Sized>(&self, number: u64, rng: &mut R) -> Duration {
        let Some(values) = self.recorded() else {
            return self.sample(rng);
        };
        let index = number % values.len() as u64;
        values[usize::try_from(index).unwrap_or(0)]
    }

    /// The values of `list:` and `file:` in their order; `None` for distributions.
    pub fn recorded(&self) -> Option<&[Duration]> {
        match &self.0 {
            Form::Recorded { values, .. } => Some(values),
            _ => None,
        }
    }
}

impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use value::text;
        match &self.0 {
            Form::Uniform { low, high } => write!(f, "uniform:{}..{}", text(*low), text(*high)),
            Form::Constant(duration) => write!(f, "constant:{}", text(*duration)),
            Form::Lognormal { median, sigma } => write!(f, "lognormal:{},{sigma}", text(*median)),
            Form::Exponential { mean } => write!(f, "exponential:{}", text(*mean)),
            Form::Pareto { shape, scale } => write!(f, "pareto:{shape},{}", text(*scale)),
            Form::Recorded { path: Some(path), .. } => write!(f, "file:{}", path.display()),
            Form::Recorded { path: None, values } => {
                let values: Vec<String> = values.iter().map(|value| text(*value)).collect();
                write!(f, "list:{}", values.join(","))
            }
            Form::Mix(parts) => {
                f.write_str("mix:")?;
                for (index, (weight, part)) in parts.iter().enumerate() {
                    let plus = if index == 0 { "" } else { "+" };
                    write!(f, "{plus}{weight}*{part}")?;
                }
                Ok(())
            }
        }
    }
}

fn total_weight(parts: &[(f64, Durations)]) -> f64 {
    parts.iter().map(|(weight, _)| weight).sum()
}

/// Cuts a draw to what a duration may be: a nanosecond to [`LONGEST`].
fn seconds(drawn: f64) -> Duration {
    let seconds = drawn.max(1e-9).min(LONGEST.as_secs_f64());
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).max(Duration::from_nanos(1))
}

fn check(what: &'static str, duration: Duration) -> Result<(), DurationsError> {
    value::in_range(duration).map(drop).map_err(|reason| DurationsError::BadValue {
        what,
        value: value::text(duration),
        reason,
    })
}

fn check_positive(what: &'static str, number: f64) -> Result<(), DurationsError> {
    if number.is_finite() && number > 0.0 {
        return Ok(());
    }
    Err(bad_number(what, number, "is not a finite number above zero"))
}

fn bad_number(what: &'static str, number: f64, reason: &'static str) -> DurationsError {
    DurationsError::BadValue { what, value: number.to_string(), reason }
}
