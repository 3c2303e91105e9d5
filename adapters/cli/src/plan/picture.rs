//! The plan as a picture: how long jobs take, when it looks, and how late an end is noticed, above the same ages.

use jobwatch::Spacing;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::prelude::SVGBackend;
use plotters::series::{AreaSeries, LineSeries};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

use super::Reckoned;
use super::forecast::AtLook;
use super::looks::Rule;
use crate::failure::Failure;
use crate::picture::{Area, Axis, BLUE, Drawn, GREEN, GRID, INK, MUTED, ORANGE, draw, font, px, time, write};

const WIDTH: u32 = 860;

/// Title, three charts, and the ages below them.
const HEADER: u32 = 66;
const HEIGHTS: [u32; 3] = [150, 210, 170];

/// Where the longest job takes so many times as long as the shortest, ages are drawn by orders of magnitude.
const FAR: f64 = 25.0;

/// Points of a curve.
const POINTS: u32 = 722;

/// Looks at most whose instants are drawn through all charts.
const MOST_LINES: usize = 40;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

pub(super) fn picture(reckoned: &Reckoned) -> Result<String, Failure> {
    let title = format!("When the {} schedule looks at a job", reckoned.schedule);
    let cost = match reckoned.policy.spacing() {
        Spacing::Learned => format!(", a request being worth {}", time(reckoned.policy.request_cost().as_secs_f64())),
        _ => String::new(),
    };
    let requests = reckoned.forecast.requests;
    let late = reckoned.forecast.delay().map(time);
    let expected =
        late.map_or_else(String::new, |late| format!("{requests:.1} requests a job, {late} late in the mean{cost}. "));
    let height = HEADER + HEIGHTS.iter().sum::<u32>();
    draw((WIDTH, height), &title, &format!("{expected}Jobs: {}", reckoned.source), |whole| {
        let ages = ages(reckoned);
        let (_, rest) = whole.split_vertically(px(HEADER));
        let (upper, rest) = rest.split_vertically(px(HEIGHTS[0]));
        let (middle, lower) = rest.split_vertically(px(HEIGHTS[1]));
        let looks = shown(reckoned, &ages);
        density(&upper, &ages, reckoned, &looks)?;
        instants(&middle, &ages, &looks)?;
        delays(&lower, &ages, reckoned, &looks)
    })
}

/// The ages that are worth drawing: to where nearly all jobs have ended and been found, or the wait is over.
fn ages(reckoned: &Reckoned) -> Axis {
    let jobs = &reckoned.distribution;
    let mut to = jobs.quantile(0.995);
    if let Some(look) = reckoned.forecast.looks.iter().find(|look| look.age >= to) {
        to = look.usual.1;
    }
    if let Some(limit) = reckoned.policy.total_timeout() {
        to = to.min(limit.as_secs_f64());
    }
    let (early, to) = (jobs.quantile(0.02).min(to / 2.0), to * 1.04);
    if to / early < FAR {
        return Axis::seconds(0.0, to);
    }
    let first = reckoned.looks.iter().map(|look| look.from.as_secs_f64()).find(|age| *age > 0.0);
    let from = early.min(first.unwrap_or(early)) / 1.5;
    Axis::seconds(from.max(to * 1e-6), to).logarithmic()
}

/// The looks within these ages that most waits get to, by their numbers.
fn shown(reckoned: &Reckoned, ages: &Axis) -> Vec<(usize, AtLook)> {
    let looks = (1..).zip(reckoned.forecast.looks.iter().copied());
    looks.filter(|(_, look)| look.reached >= 0.5 && look.usual.0 <= ages.to()).collect()
}

/// A chart above the ages, with a line at each look.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    (ages, across): (&Axis, &Axis),
    name: &str,
    looks: &[(usize, AtLook)],
    is_last: bool,
) -> Drawn<Chart<'a, 'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin_right(px(66)).margin_top(px(26)).margin_bottom(px(4)).set_left_and_bottom_label_area_size(px(0));
    builder.set_label_area_size(plotters::chart::LabelAreaPosition::Left, px(72));
    builder.set_label_area_size(plotters::chart::LabelAreaPosition::Bottom, px(if is_last { 40 } else { 8 }));
    let mut chart = builder.build_cartesian_2d(ages.clone(), across.clone())?;
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(MUTED.stroke_width(px(1).unsigned_abs())).bold_line_style(GRID.stroke_width(px(1).unsigned_abs()));
    mesh.light_line_style(GRID.mix(0.0)).label_style(font(12, MUTED).style()).set_all_tick_mark_size(px(4));
    let nameless = |_: &f64| String::new();
    if is_last {
        mesh.x_desc("age of the job").axis_desc_style(font(12, INK).style());
    } else {
        mesh.x_label_formatter(&nameless);
    }
    mesh.draw()?;
    if looks.len() <= MOST_LINES {
        let (bottom, top) = (across.from(), across.to());
        let lines = looks.iter().filter(|(_, look)| (ages.from()..=ages.to()).contains(&look.age));
        let line = |age: f64| {
            PathElement::new([(age, bottom), (age, top)], ORANGE.mix(0.22).stroke_width(px(1).unsigned_abs()))
        };
        chart.draw_series(lines.map(|(_, look)| line(look.age)))?;
    }
    write(area, name, (px(72), px(6)), Pos::new(HPos::Left, VPos::Top), font(13, INK).bold())?;
    Ok(chart)
}

/// How long such jobs take: what lies around each age.
fn density(area: &Area<'_>, ages: &Axis, reckoned: &Reckoned, looks: &[(usize, AtLook)]) -> Drawn {
    let name = if ages.is_log() { "tenth of their age" } else { width(ages).1 };
    let outline: Vec<_> = ages.values(POINTS).map(|age| (age, 100.0 * around(age, ages, reckoned))).collect();
    let highest = outline.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let across = Axis::number(0.0, highest * 1.12).with_marks(5);
    let name = format!("How long such jobs take: % of them in each {name}");
    let mut chart = chart(area, (ages, &across), &name, looks, false)?;
    let line = BLUE.stroke_width(px(1).unsigned_abs());
    chart.draw_series(AreaSeries::new(outline, 0.0, BLUE.mix(0.25)).border_style(line))?;
    Ok(())
}

/// A time of which the ages have many, in seconds.
fn width(ages: &Axis) -> (f64, &'static str) {
    let most = (ages.to() - ages.from()) / 20.0;
    WIDTHS.into_iter().rev().find(|(width, _)| *width <= most).unwrap_or(WIDTHS[0])
}

const WIDTHS: [(f64, &str); 7] = [
    (0.001, "millisecond"),
    (0.01, "hundredth of a second"),
    (0.1, "tenth of a second"),
    (1.0, "second"),
    (60.0, "minute"),
    (3_600.0, "hour"),
    (86_400.0, "day"),
];

/// The share of jobs that end around an age: in a second or its like, or where ages are drawn by orders of magnitude, in a tenth of
/// the age. It is the mean over a narrow window, since what few jobs have taught is ragged.
fn around(age: f64, ages: &Axis, reckoned: &Reckoned) -> f64 {
    let jobs = &reckoned.distribution;
    if ages.is_log() {
        // What is believed of jobs that nobody has seen is even by doublings, and by nothing less.
        let doublings: f64 = if reckoned.jobs < 1.0 { 1.0 } else { 0.25 };
        let half = (doublings / 2.0).exp2();
        (jobs.ended(age * half) - jobs.ended(age / half)) / doublings * 1.1_f64.log2()
    } else {
        let half = (ages.to() - ages.from()) / 80.0;
        let (from, to) = ((age - half).max(0.0), age + half);
        (jobs.ended(to) - jobs.ended(from)) / (to - from) * width(ages).0
    }
}

/// When it looks: a row for each look.
fn instants(area: &Area<'_>, ages: &Axis, looks: &[(usize, AtLook)]) -> Drawn {
    let name = "When it looks: a row for each request, from left to right as jitter spreads nine in ten";
    let last = looks.last().map_or(1, |(number, _)| *number);
    let across = Axis::count(row(last) + 1.0).with_marks(6);
    let mut chart = chart(area, (ages, &across), name, looks, false)?;
    // No more rows than there are pixels.
    let (every, half, dot) =
        (looks.len().div_ceil(150).max(1), if last > 40 { 0.5 } else { 0.3 }, if last > 40 { 2 } else { 3 });
    for (number, look) in looks.iter().step_by(every) {
        let (from, to) = look.usual;
        if to > ages.from() && to > from {
            let bar = [(from, row(*number) - half), (to, row(*number) + half)];
            chart.draw_series([Rectangle::new(bar, ORANGE.mix(0.4).filled())])?;
        }
        // A look before the first age of a logarithmic axis stands at its end.
        let color = if look.age < ages.from() { MUTED } else { ORANGE };
        chart.draw_series([Circle::new((look.age, row(*number)), px(dot), color.filled())])?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // ten thousand
fn row(number: usize) -> f64 {
    number as f64
}

/// How late an end is noticed, by the age at which the job ends: green where jobs end.
fn delays(area: &Area<'_>, ages: &Axis, reckoned: &Reckoned, looks: &[(usize, AtLook)]) -> Drawn {
    let name = "How late an end is noticed, by the age at which the job ends; grey where hardly any does";
    let curve = late(ages, reckoned);
    let highest = curve.iter().filter(|point| point.2).map(|point| point.1).fold(0.0, f64::max);
    let mean = reckoned.forecast.delay();
    let across = Axis::seconds(0.0, highest.max(mean.unwrap_or(0.0)) * 1.25).with_marks(5);
    let mut chart = chart(area, (ages, &across), name, looks, true)?;
    // What lies above is left out, and not drawn along the edge.
    let inside = |point: &(f64, f64, bool)| point.1 <= across.to();
    let mut first = 0;
    for piece in curve.chunk_by(|a, b| a.2 == b.2 && inside(a) == inside(b)) {
        // Each piece goes on to where the next one begins.
        let end = (first + piece.len() + 1).min(curve.len());
        let points: Vec<_> = curve[first..end].iter().filter(|point| inside(point)).collect();
        first += piece.len();
        if inside(&piece[0]) {
            let color = if piece[0].2 { GREEN } else { FAINT };
            let line = points.into_iter().map(|(age, delay, _)| (*age, *delay));
            chart.draw_series(LineSeries::new(line, color.stroke_width(px(2).unsigned_abs())))?;
        }
    }
    let Some(mean) = mean else { return Ok(()) };
    let ends = [(ages.from(), mean), (ages.to(), mean)];
    chart.draw_series(LineSeries::new(ends, INK.stroke_width(px(1).unsigned_abs())))?;
    let (right, y) = chart.backend_coord(&ends[1]);
    let (left, top) = area.get_base_pixel();
    let anchor = Pos::new(HPos::Left, VPos::Center);
    for (text, lower) in [("mean", px(0) - px(7)), (&time(mean), px(7))] {
        write(area, text, (right - left + px(4), y - top + lower), anchor, font(11, INK).bold())?;
    }
    Ok(())
}

/// Ages, the delay of a job that ends then, and whether any number of jobs does; to where waits are over.
fn late(ages: &Axis, reckoned: &Reckoned) -> Vec<(f64, f64, bool)> {
    let highest = ages.values(POINTS).map(|age| around(age, ages, reckoned)).fold(0.0, f64::max);
    let (early, late) = (reckoned.distribution.quantile(FEW), reckoned.distribution.quantile(1.0 - FEW));
    let delays = instants_and_between(ages, reckoned).into_iter().map_while(|age| {
        let is_common = around(age, ages, reckoned) > RARE * highest && (early..=late).contains(&age);
        Some((age, reckoned.forecast.delay_at(age)?, is_common))
    });
    delays.collect()
}

/// Where the density is below this part of its greatest, hardly any job ends ...
const RARE: f64 = 0.02;

/// ... nor before or after this share of them has.
const FEW: f64 = 0.004;

const FAINT: RGBColor = RGBColor(175, 184, 193);

/// Ages at even distances, and just before and after each instant that no jitter blurs.
fn instants_and_between(ages: &Axis, reckoned: &Reckoned) -> Vec<f64> {
    let mut all: Vec<f64> = ages.values(POINTS).collect();
    let sharp = reckoned.looks.iter().filter(|look| look.from == look.to || look.rule == Rule::Deadline);
    for age in sharp.map(|look| look.from.as_secs_f64()).take(POINTS as usize) {
        all.extend([age, age * (1.0 + 1e-9)]);
    }
    all.retain(|age| (ages.from()..=ages.to()).contains(age));
    all.sort_by(f64::total_cmp);
    all
}
