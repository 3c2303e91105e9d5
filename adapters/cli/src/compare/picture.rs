//! The comparison as a picture: requests against delay, each policy a point.

use std::time::Duration;

use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::element::Circle;
use plotters::series::LineSeries;
use plotters::style::{Color, RGBColor};

use crate::failure::Failure;
use crate::picture::{Area, Axis, BLUE, Drawn, GREEN, GRID, INK, Labels, MUTED, ORANGE, draw, font, px, time};

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

fn chart(area: &Area<'_>, points: &[Point], curves: &[Curve]) -> Drawn {
    let all = || points.iter().chain(curves.iter().flat_map(|curve| curve.points.iter().map(|(_, point)| point)));
    let shown = |point: &&Point| point.delay.is_finite() && point.requests.is_finite();
    let far = far(points);
    let near = |point: &&Point| shown(point) && point.requests < far;
    let (across, up) = (
        axis(all().filter(near).map(|point| point.requests), Axis::number),
        axis(all().filter(near).map(|point| point.delay), Axis::seconds),
    );
    let mut builder = ChartBuilder::on(area);
    builder.margin_left(px(18)).margin_right(px(28)).margin_top(px(8)).margin_bottom(px(8));
    builder.set_label_area_size(LabelAreaPosition::Left, px(72)).set_label_area_size(LabelAreaPosition::Bottom, px(44));
    let mut chart = builder.build_cartesian_2d(across.clone(), up.clone())?;
    let thin = px(1).unsigned_abs();
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(MUTED.stroke_width(thin)).bold_line_style(GRID.stroke_width(thin)).light_line_style(GRID.mix(0.0));
    mesh.label_style(font(12, MUTED).style()).axis_desc_style(font(13, INK).style()).set_all_tick_mark_size(px(4));
    mesh.x_desc("requests for each job").y_desc("mean delay until the end is noticed").draw()?;

    let (left, top) = area.get_base_pixel();
    let (right, bottom) = chart.backend_coord(&(across.to(), up.from()));
    let (edge, ceiling) = chart.backend_coord(&(across.from(), up.to()));
    let mut labels = Labels::within((edge - left + px(4), ceiling - top, right - left, bottom - top - px(4)));
    let mut marks: Vec<(f64, f64, String, RGBColor, bool)> = Vec::new();
    for curve in curves {
        let color = color(curve.name);
        let line: Vec<_> = curve
            .points
            .iter()
            .filter(|(_, point)| shown(&point))
            .map(|(cost, point)| (*cost, point.requests, point.delay))
            .collect();
        chart.draw_series(LineSeries::new(
            line.iter().map(|(_, x, y)| (*x, *y)),
            color.stroke_width(px(2).unsigned_abs()),
        ))?;
        chart.draw_series(line.iter().map(|(_, x, y)| Circle::new((*x, *y), px(2), color.filled())))?;
        for (cost, x, y) in line.first().into_iter().chain(line.last()) {
            marks.push((*x, *y, format!("{} {}", curve.name, time(cost.as_secs_f64())), color, false));
        }
        let places: Vec<_> = line.iter().map(|(_, x, y)| chart.backend_coord(&(*x, *y))).collect();
        for pair in places.windows(2) {
            for part in 0..=PARTS {
                let between = |a: i32, b: i32| a + (b - a) * part / PARTS;
                labels.avoid((between(pair[0].0, pair[1].0) - left, between(pair[0].1, pair[1].1) - top), px(5));
            }
        }
    }
    for point in points.iter().filter(shown) {
        let color = color(&point.name);
        let is_far = point.requests >= far;
        let style = if is_far { color.stroke_width(px(1).unsigned_abs()) } else { color.filled() };
        chart.draw_series([Circle::new((point.requests, point.delay), px(5), style)])?;
        let (x, y) = chart.backend_coord(&(point.requests, point.delay));
        labels.avoid((x - left, y - top), px(7));
        let more =
            if is_far { format!(": {:.0} requests, {}", point.requests, time(point.delay)) } else { String::new() };
        marks.insert(0, (point.requests, point.delay, format!("{}{more}", point.name), color, true));
    }
    for (x, y, text, color, is_policy) in marks {
        let (x, y) = chart.backend_coord(&(x, y));
        let font = if is_policy { font(13, color).bold() } else { font(11, color) };
        labels.write(area, &text, (x - left, y - top), font)?;
    }
    Ok(())
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
