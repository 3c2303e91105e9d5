//! Pictures as SVG: what those of `plan` and `compare` share.
//!
//! They are drawn on white, so that they can be read on any page, in quarters of a pixel, since the library places
//! everything on whole units.

mod axis;
mod labels;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, IntoFont, RGBColor, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, TextStyle};

use crate::failure::Failure;
use crate::saving::temporary;

pub(crate) use axis::{Axis, clock, time};
pub(crate) use labels::Labels;

/// Units to a pixel.
const SCALE: u32 = 4;

pub(crate) const INK: RGBColor = RGBColor(31, 35, 40);
pub(crate) const MUTED: RGBColor = RGBColor(89, 99, 110);
pub(crate) const GRID: RGBColor = RGBColor(226, 230, 235);
const PAPER: RGBColor = RGBColor(255, 255, 255);
pub(crate) const BLUE: RGBColor = RGBColor(9, 105, 218);
pub(crate) const ORANGE: RGBColor = RGBColor(207, 85, 0);
pub(crate) const GREEN: RGBColor = RGBColor(26, 127, 55);

/// A part of a picture.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Drawing into memory fails only where the picture itself is impossible.
pub(crate) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<io::Error>>;

/// Pixels in units.
#[allow(clippy::cast_possible_wrap)] // some thousand
pub(crate) const fn px(pixels: u32) -> i32 {
    (pixels * SCALE) as i32
}

/// A picture of this size in pixels, with a title, and what a screen reader says of it.
pub(crate) fn draw(
    (width, height): (u32, u32),
    title: &str,
    subtitle: &str,
    paint: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, Failure> {
    let mut svg = String::new();
    let painted = (|| {
        let whole = SVGBackend::with_string(&mut svg, (width * SCALE, height * SCALE)).into_drawing_area();
        whole.fill(&PAPER)?;
        for (text, y, font) in [(title, px(16), font(17, INK).bold()), (subtitle, px(40), font(13, MUTED))] {
            let text = font.cut(text, px(width - 40));
            write(&whole, &text, (px(20), y), Pos::new(HPos::Left, VPos::Top), font)?;
        }
        paint(&whole)?;
        whole.present()
    })();
    painted.map_err(|error| Failure::local(format_args!("cannot draw: {error}")))?;
    // The library's own first line has neither a size in pixels nor a name.
    let body = without_empty_texts(svg.split_once('\n').map_or("", |(_, body)| body));
    let name = escaped(&format!("{title}. {subtitle}"));
    let (units_wide, units_high) = (width * SCALE, height * SCALE);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {units_wide} {units_high}\" style=\"max-width:100%;height:auto\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n{body}"
    ))
}

/// Marks without a name are texts without words to the library, on a line of their own.
fn without_empty_texts(body: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut all = body.lines();
    while let Some(line) = all.next() {
        if line.is_empty() {
            // Between its two tags.
            (_, _) = (lines.pop(), all.next());
        } else {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

/// Text in one line at a place in units.
pub(crate) fn write(area: &Area<'_>, text: &str, at: (i32, i32), anchor: Pos, font: Font) -> Drawn {
    area.draw_text(text, &font.style().pos(anchor), at)
}

/// Size in pixels, and colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Font {
    size: u32,
    color: RGBColor,
    is_bold: bool,
}

pub(crate) const fn font(size: u32, color: RGBColor) -> Font {
    Font { size, color, is_bold: false }
}

impl Font {
    pub(crate) const fn bold(self) -> Self {
        Self { is_bold: true, ..self }
    }

    /// What the library takes for a font. It divides sizes by 1.24.
    fn family(self) -> (&'static str, f64, plotters::style::FontStyle) {
        let style = if self.is_bold { plotters::style::FontStyle::Bold } else { plotters::style::FontStyle::Normal };
        (FAMILY, f64::from(self.size * SCALE) * 1.24, style)
    }

    pub(crate) fn style(self) -> TextStyle<'static> {
        let mut style = TextStyle::from(self.family().into_font());
        style.color = self.color.to_backend_color();
        style
    }

    /// As much of a text as there is room for.
    fn cut(self, text: &str, width: i32) -> String {
        let mut cut = text.to_owned();
        while self.width(&cut) > width {
            cut.pop();
            while cut.pop().is_some_and(|letter| letter == ' ') {}
            cut.push('\u{2026}');
        }
        cut
    }

    /// About how wide a text is, in units.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // some hundred letters
    pub(crate) fn width(self, text: &str) -> i32 {
        let em = if self.is_bold { 0.59 } else { 0.53 };
        (text.chars().count() as f64 * em * f64::from(self.size * SCALE)) as i32
    }
}

/// What every browser and viewer has, whatever its system.
const FAMILY: &str = "system-ui, Helvetica, Arial, sans-serif";

/// The picture under this name, whole or not at all.
pub(crate) fn save(path: &Path, svg: &str) -> Result<(), Failure> {
    let saved = (|| {
        // A pipe or a device is written to, not replaced.
        if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            return fs::write(path, svg);
        }
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let mut file = temporary(directory.unwrap_or(Path::new(".")))?;
        file.write_all(svg.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    })();
    saved.map_err(|error: io::Error| Failure::local(format_args!("cannot write {}: {error}", path.display())))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
