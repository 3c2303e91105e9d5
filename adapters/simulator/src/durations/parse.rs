//! Reading a specification such as `lognormal:480,0.5`.

use std::str::FromStr;

use super::{Durations, DurationsError, value};

impl FromStr for Durations {
    type Err = DurationsError;

    /// The forms are listed at [`Durations`].
    fn from_str(spec: &str) -> Result<Self, Self::Err> {
        let spec = spec.trim();
        let (form, rest) = spec.split_once(':').ok_or_else(|| DurationsError::UnknownForm(spec.to_owned()))?;
        match form.trim() {
            "uniform" => {
                let (low, high) =
                    rest.split_once("..").ok_or_else(|| bad(spec, "wants two times, as in uniform:20..40"))?;
                Self::uniform(time(spec, low)?, time(spec, high)?)
            }
            "constant" | "fixed" => Self::constant(time(spec, rest)?),
            "lognormal" => {
                let (median, sigma) = pair(spec, rest, "wants median and sigma, as in lognormal:480,0.5")?;
                Self::lognormal(time(spec, median)?, number(spec, sigma)?)
            }
            "exponential" => Self::exponential(time(spec, rest)?),
            "pareto" => {
                let (shape, scale) = pair(spec, rest, "wants shape and scale, as in pareto:1.5,10")?;
                Self::pareto(number(spec, shape)?, time(spec, scale)?)
            }
            "list" => {
                let values: Result<Vec<_>, _> = rest.split(',').map(|v| time(spec, v)).collect();
                Self::list(values?)
            }
            "file" => Self::file(rest),
            "mix" => mix(spec, rest),
            _ => Err(DurationsError::UnknownForm(spec.to_owned())),
        }
    }
}

fn mix(spec: &str, rest: &str) -> Result<Durations, DurationsError> {
    let mut parts = Vec::new();
    for part in rest.split('+') {
        let (weight, inner) = part
            .split_once('*')
            .ok_or_else(|| bad(spec, "wants WEIGHT*FORM+WEIGHT*FORM, as in mix:0.6*constant:5+0.4*uniform:20..40"))?;
        let form = inner.split(':').next().unwrap_or_default().trim();
        if matches!(form, "file" | "mix") {
            return Err(bad(spec, "cannot hold a file or another mix"));
        }
        parts.push((number(spec, weight)?, inner.parse()?));
    }
    Durations::mix(parts)
}

fn pair<'t>(spec: &str, text: &'t str, wanted: &'static str) -> Result<(&'t str, &'t str), DurationsError> {
    text.split_once(',').ok_or_else(|| bad(spec, wanted))
}

fn time(spec: &str, text: &str) -> Result<std::time::Duration, DurationsError> {
    value::parse(text).map_err(|reason| DurationsError::BadTime {
        spec: spec.to_owned(),
        text: text.trim().to_owned(),
        reason,
    })
}

/// A plain decimal number; exponents are refused because `+` separates the parts of a mix.
fn number(spec: &str, text: &str) -> Result<f64, DurationsError> {
    let text = text.trim();
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|number: &f64| plain && number.is_finite()).ok_or_else(|| DurationsError::BadTime {
        spec: spec.to_owned(),
        text: text.to_owned(),
        reason: "is not a plain decimal number such as 0.5",
    })
}

fn bad(spec: &str, reason: &'static str) -> DurationsError {
    DurationsError::BadSpec { spec: spec.to_owned(), reason }
}
