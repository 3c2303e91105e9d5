//! The comparison as a picture: requests against delay, each policy a point.

use std::time::Duration;

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::cartesian::Cartesian2d;
use plotters::element::Circle;
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::{Color, RGBColor};

use crate::failure::Failure;
use crate::picture::{Area, Axis, BLUE, Drawn, Font, GREEN, GRID, INK, Labels, MUTED, ORANGE, draw, font, px, time};

const SIZE: (u32, u32) = (860, 600);
const HEADER: u32 = 66;

/// What a policy came to.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) name: String,
    pub(super) requests: f64,
    /// In seconds; none where it found no end.
    pub(super) delay: f64,
}

/// A policy over request costs, the least first.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) points: Vec<(Duration, Point)>,
}

/// Each policy a point; `limited` is a sentence about the limit, if there is one.
pub(super) fn picture(jobs: &str, limited: &str, points: &[Point], curves: &[Curve]) -> Result<String, Failure> {
    let costs = curves.first().and_then(|curve| Some((curve.points.first()?.0, curve.points.last()?.0)));
    let told = costs.map_or_else(String::new, |(least, most)| {
        let (least, most) = (time(least.as_secs_f64()), time(most.as_secs_f64()));
        format!(" Along a curve a request is worth {least} to {most} of delay.")
    });
    let bound = if curves.iter().any(|curve| curve.name == "oracle") { " oracle is the bound." } else { "" };
    let subtitle = format!("Down and to the left is better.{limited}{told}{bound}");
    draw(SIZE, &format!("Requests against delay: {jobs}"), &subtitle, |whole| {
        let (_, area) = whole.split_vertically(px(HEADER));
        chart(&area, points, curves)
    })
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// Something that gets a label.
#[derive(Debug)]
struct Mark {
    /// In units of the chart's area.
    at: (i32, i32),
    text: String,
    font: Font,
}

fn chart(area: &Area<'_>, points: &[Point], curves: &[Curve]) -> Drawn {
    let far = far(points);
    let all = points.iter().chain(curves.iter().flat_map(|curve| curve.points.iter().map(|(_, point)| point)));
    let near: Vec<&Point> = all.filter(|point| is_shown(point) && point.requests < far).collect();
    let across = axis(near.iter().map(|point| point.requests), Axis::number);
    let up = axis(near.iter().map(|point| point.delay), Axis::seconds);
    let mut builder = ChartBuilder::on(area);
    builder.margin_left(px(18)).margin_right(px(28)).margin_top(px(8)).margin_bottom(px(8));
    builder.set_label_area_size(LabelAreaPosition::Left, px(72)).set_label_area_size(LabelAreaPosition::Bottom, px(44));
    let mut chart = builder.build_cartesian_2d(across.clone(), up.clone())?;
    let thin = px(1).unsigned_abs();
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(MUTED.stroke_width(thin)).bold_line_style(GRID.stroke_width(thin)).light_line_style(GRID.mix(0.0));
    mesh.label_style(font(12, MUTED).style()).axis_desc_style(font(13, INK).style()).set_all_tick_mark_size(px(4));
    mesh.x_desc("requests for each job").y_desc("mean delay until the end is noticed").draw()?;

    let ((left, ceiling), (right, bottom)) =
        (place(&chart, area, (across.from(), up.to())), place(&chart, area, (across.to(), up.from())));
    let mut labels = Labels::within((left + px(4), ceiling, right, bottom - px(4)));
    let mut marks = Vec::new();
    for point in points.iter().filter(|point| is_shown(point)) {
        marks.push(draw_point(&mut chart, area, &mut labels, point, point.requests >= far)?);
    }
    for curve in curves {
        marks.extend(draw_curve(&mut chart, area, &mut labels, curve)?);
    }
    // Once everything is drawn that labels have to keep clear of.
    for mark in marks {
        labels.write(area, &mark.text, mark.at, mark.font)?;
    }
    Ok(())
}

/// A policy that found no end has no delay.
fn is_shown(point: &Point) -> bool {
    point.delay.is_finite() && point.requests.is_finite()
}

/// Where a value lies in the chart's area, in units.
fn place(chart: &Chart<'_, '_>, area: &Area<'_>, at: (f64, f64)) -> (i32, i32) {
    let ((x, y), (left, top)) = (chart.backend_coord(&at), area.get_base_pixel());
    (x - left, y - top)
}

fn draw_point(
    chart: &mut Chart<'_, '_>,
    area: &Area<'_>,
    labels: &mut Labels,
    point: &Point,
    is_far: bool,
) -> Drawn<Mark> {
    let (color, at) = (color(&point.name), (point.requests, point.delay));
    let style = if is_far { color.stroke_width(px(1).unsigned_abs()) } else { color.filled() };
    chart.draw_series([Circle::new(at, px(5), style)])?;
    let at = place(chart, area, at);
    labels.avoid(at, px(7));
    let numbers = format!("{}: {:.0} requests, {}", point.name, point.requests, time(point.delay));
    let text = if is_far { numbers } else { point.name.clone() };
    Ok(Mark { at, text, font: font(13, color).bold() })
}

/// Its ends are named by what a request is worth there.
fn draw_curve(chart: &mut Chart<'_, '_>, area: &Area<'_>, labels: &mut Labels, curve: &Curve) -> Drawn<Vec<Mark>> {
    let color = color(curve.name);
    let shown: Vec<_> = curve.points.iter().filter(|(_, point)| is_shown(point)).collect();
    let line: Vec<_> = shown.iter().map(|(_, point)| (point.requests, point.delay)).collect();
    chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(px(2).unsigned_abs())))?;
    chart.draw_series(line.iter().map(|at| Circle::new(*at, px(2), color.filled())))?;
    let places: Vec<_> = line.iter().map(|at| place(chart, area, *at)).collect();
    for pair in places.windows(2) {
        for part in 0..=PARTS {
            let between = |a: i32, b: i32| a + (b - a) * part / PARTS;
            labels.avoid((between(pair[0].0, pair[1].0), between(pair[0].1, pair[1].1)), px(5));
        }
    }
    let named = |((cost, _), at): (&&(Duration, Point), &(i32, i32))| {
        let text = format!("{} {}", curve.name, time(cost.as_secs_f64()));
        Mark { at: *at, text, font: font(11, color) }
    };
    let ends = shown.first().zip(places.first()).into_iter().chain(shown.last().zip(places.last()));
    Ok(ends.map(named).collect())
}

/// From so many requests on, policies are so far from the others that they stand at the edge with their numbers: where
/// they make several times as many as the policy before them, and are few.
fn far(points: &[Point]) -> f64 {
    let mut requests: Vec<f64> = points.iter().map(|point| point.requests).filter(|count| count.is_finite()).collect();
    requests.sort_by(f64::total_cmp);
    let few = requests.len() / 3;
    let gaps = requests.windows(2).skip(requests.len().saturating_sub(few + 1));
    gaps.filter(|pair| pair[1] > FAR * pair[0]).map(|pair| pair[1]).next().unwrap_or(f64::INFINITY)
}

/// A piece of a curve is so many places that labels keep clear of.
const PARTS: i32 = 6;

/// So many times as many requests are far.
const FAR: f64 = 2.5;

/// From the least to the greatest, by orders of magnitude, so that none squashes the others.
fn axis(values: impl Iterator<Item = f64>, make: fn(f64, f64) -> Axis) -> Axis {
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for value in values {
        // A policy that is never late stands at the foot.
        if value > FOOT {
            least = least.min(value);
        }
        most = most.max(value);
    }
    let least = if least.is_finite() { least } else { 1.0 };
    make(least / 1.3, most.max(least) * 1.3).logarithmic()
}

/// Smaller delays are none, in seconds.
const FOOT: f64 = 0.01;

fn color(name: &str) -> RGBColor {
    match name {
        "learned" => ORANGE,
        "oracle" => GREEN,
        "exponential" => BLUE,
        _ => MUTED,
    }
}
