//! Axes: what they span, where their marks are, and what these are called.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Marks on an axis, unless it is told otherwise.
const MARKS: u32 = 9;

/// Times that people count by, in seconds.
const TIMES: [f64; 38] = [
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1_200.0,
    1_800.0,
    3_600.0,
    7_200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    432_000.0,
    864_000.0,
    1_728_000.0,
    4_320_000.0,
    8_640_000.0,
    17_280_000.0,
    43_200_000.0,
    86_400_000.0,
];

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Number,
    /// Whole numbers.
    Count,
}

/// One axis of a chart. What lies beyond it is drawn at its end.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    unit: Unit,
    most: u32,
}

impl Axis {
    pub(crate) fn seconds(from: f64, to: f64) -> Self {
        Self { from, to: to.max(from + 1e-9), is_log: false, unit: Unit::Seconds, most: MARKS }
    }

    pub(crate) fn number(from: f64, to: f64) -> Self {
        Self { from, to: to.max(from + 1e-9), is_log: false, unit: Unit::Number, most: MARKS }
    }

    pub(crate) fn count(to: f64) -> Self {
        Self { unit: Unit::Count, ..Self::number(0.0, to) }
    }

    /// By orders of magnitude; both ends are above zero.
    pub(crate) fn logarithmic(self) -> Self {
        let from = self.from.max(1e-6);
        Self { from, to: self.to.max(from * 1.01), is_log: true, ..self }
    }

    /// About so many marks.
    pub(crate) fn with_marks(self, most: u32) -> Self {
        Self { most, ..self }
    }

    pub(crate) fn is_log(&self) -> bool {
        self.is_log
    }

    pub(crate) fn from(&self) -> f64 {
        self.from
    }

    pub(crate) fn to(&self) -> f64 {
        self.to
    }

    /// Where a value lies, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let at = |value: f64| if self.is_log { value.log10() } else { value };
        (at(value.clamp(self.from, self.to)) - at(self.from)) / (at(self.to) - at(self.from))
    }

    /// So many values from one end to the other, at even distances.
    pub(crate) fn values(&self, count: u32) -> impl Iterator<Item = f64> {
        let Self { from, to, is_log, .. } = *self;
        (0..=count).map(move |n| {
            let part = f64::from(n) / f64::from(count.max(1));
            if is_log { from * (to / from).powf(part) } else { from + (to - from) * part }
        })
    }

    fn marks(&self) -> Vec<f64> {
        if !self.is_log {
            return self.even_marks();
        }
        // As many as there is room for; of many orders of magnitude whole ones.
        let apart = (self.to / self.from).log10() / f64::from(self.most);
        let apart = if apart > 0.5 { apart.ceil() - 0.1 } else { apart };
        let mut marks: Vec<f64> = Vec::new();
        for mark in self.candidates().filter(|mark| (self.from..=self.to).contains(mark)) {
            if marks.last().is_none_or(|last| (mark / last).log10() >= apart) {
                marks.push(mark);
            }
        }
        // Less than an order of magnitude has no round numbers enough.
        if marks.len() < 3 { self.even_marks() } else { marks }
    }

    fn even_marks(&self) -> Vec<f64> {
        let least = (self.to - self.from) / f64::from(self.most);
        let step = self.candidates().find(|step| *step >= least).unwrap_or(self.to - self.from);
        let first = (self.from / step).ceil();
        (0..=self.most).map(|n| (first + f64::from(n)) * step).filter(|mark| *mark <= self.to).collect()
    }

    /// Round numbers, and times that people count by.
    fn candidates(&self) -> Box<dyn Iterator<Item = f64>> {
        match self.unit {
            Unit::Seconds => Box::new(TIMES.into_iter()),
            Unit::Number => Box::new(round_numbers(-6)),
            Unit::Count => Box::new(round_numbers(0)),
        }
    }
}

/// One, two and five, from this power of ten on.
fn round_numbers(from: i32) -> impl Iterator<Item = f64> {
    (from..12).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10.0_f64.powi(power)))
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[allow(clippy::cast_possible_truncation)] // a place on the picture
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.part(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        number(*value)
    }

    fn format_ext(&self, value: &f64) -> String {
        match self.unit {
            Unit::Seconds => time(*value),
            Unit::Number | Unit::Count => number(*value),
        }
    }
}

/// Seconds as they are read off an axis: `0.5 s`, `90 s`, `15 min`, `2.5 h`.
pub(crate) fn time(seconds: f64) -> String {
    let whole = |value: f64, unit: &str| format!("{} {unit}", number(value));
    match seconds {
        ..1.0 if seconds > 0.0 && seconds < 0.01 => whole(seconds * 1e3, "ms"),
        ..120.0 => whole(seconds, "s"),
        ..7_200.0 => whole(seconds / 60.0, "min"),
        ..172_800.0 => whole(seconds / 3_600.0, "h"),
        _ => whole(seconds / 86_400.0, "d"),
    }
}

/// Seconds as they are read off a clock: `84.3 s`, `3m20s`, `2h05m`.
pub(crate) fn clock(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    let whole = seconds.round() as u64;
    match whole {
        ..120 => time(seconds),
        120..7_200 if whole.is_multiple_of(60) => format!("{}m", whole / 60),
        120..7_200 => format!("{}m{:02}s", whole / 60, whole % 60),
        7_200..172_800 => format!("{}h{:02}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3_600 % 24),
    }
}

/// To three digits, without zeros at the end.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // some digits
    let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let times = [0.0, 0.005, 0.25, 1.0, 21.04, 90.0, 125.0, 3_600.0, 5_400.0, 90_000.0, 864_000.0].map(time);
        assert_eq!(
            times,
            ["0 s", "5 ms", "0.25 s", "1 s", "21 s", "90 s", "2.08 min", "60 min", "90 min", "25 h", "10 d"]
        );
    }

    #[test]
    fn clocks_tell_minutes_and_seconds() {
        let clocks = [0.0, 84.31, 119.7, 120.0, 126.8, 3_600.0, 7_500.0, 200_000.0].map(clock);
        assert_eq!(clocks, ["0 s", "84.3 s", "2m", "2m", "2m07s", "60m", "2h05m", "2d07h"]);
    }

    #[test]
    fn marks_are_round_and_few() {
        let names = |axis: &Axis| -> Vec<String> { axis.marks().iter().map(|mark| axis.format_ext(mark)).collect() };
        assert_eq!(
            names(&Axis::seconds(0.0, 45.0)),
            ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s", "35 s", "40 s", "45 s"]
        );
        assert_eq!(names(&Axis::number(1.5, 40.0).logarithmic()), ["2", "5", "10", "20"]);
        assert_eq!(names(&Axis::number(5.5, 9.0).with_marks(4).logarithmic()), ["6", "7", "8", "9"]);
        assert_eq!(names(&Axis::count(2.0)), ["0", "1", "2"]);
        for (from, to) in [(0.0, 1e-3), (0.0, 1e9), (5.0, 5.0), (1e-6, 1e6), (0.0, 0.0)] {
            for axis in [Axis::seconds(from, to), Axis::number(from, to)] {
                assert!(names(&axis).len() <= 12, "{axis:?}: {:?}", names(&axis));
                assert!(
                    names(&axis.clone().logarithmic()).len() <= 14,
                    "{axis:?} {:?}",
                    names(&axis.clone().logarithmic())
                );
            }
        }
    }
}
