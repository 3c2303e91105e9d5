//! Labels that keep clear of each other and of what is drawn.

use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Drawn, Font, px, write};

/// Where a label stands beside its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Right,
    Left,
    Above,
    Below,
}

/// A box in units: left, top, right, bottom.
type Rect = (i32, i32, i32, i32);

/// What is taken already.
#[derive(Debug)]
pub(crate) struct Labels {
    taken: Vec<Rect>,
    bounds: Rect,
}

impl Labels {
    /// All labels stay within these bounds, in units: left, top, right, bottom.
    pub(crate) fn within(bounds: Rect) -> Self {
        Self { taken: Vec::new(), bounds }
    }

    /// Something is drawn there, so wide to each side.
    pub(crate) fn avoid(&mut self, (x, y): (i32, i32), half: i32) {
        self.taken.push((x - half, y - half, x + half, y + half));
    }

    /// Writes a label beside a point, on the side and at the distance that is least in the way of others.
    pub(crate) fn write(&mut self, area: &Area<'_>, text: &str, at: (i32, i32), font: Font) -> Drawn {
        let width = font.width(text);
        let sides = [Side::Right, Side::Left, Side::Above, Side::Below];
        let places = (0..8).flat_map(|step| sides.map(|side| (place(side, at, width, step), side, step)));
        let best = places.min_by_key(|(rect, _, step)| (self.in_the_way(*rect), *step));
        let Some((rect, side, _)) = best else { return Ok(()) };
        self.taken.push(rect);
        // Nobody knows how wide a text is: it begins or ends at its point.
        let (x, anchor) = match side {
            Side::Right => (rect.0, HPos::Left),
            Side::Left => (rect.2, HPos::Right),
            Side::Above | Side::Below => (i32::midpoint(rect.0, rect.2), HPos::Center),
        };
        write(area, text, (x, i32::midpoint(rect.1, rect.3)), Pos::new(anchor, VPos::Center), font)
    }

    /// How much of a box is taken, and how much lies outside.
    fn in_the_way(&self, rect: Rect) -> i64 {
        let area = |rect: Rect| i64::from((rect.2 - rect.0).max(0)) * i64::from((rect.3 - rect.1).max(0));
        let common = |a: Rect, b: Rect| area((a.0.max(b.0), a.1.max(b.1), a.2.min(b.2), a.3.min(b.3)));
        let outside = area(rect) - common(rect, self.bounds);
        outside * 4 + self.taken.iter().map(|taken| common(rect, *taken)).sum::<i64>()
    }
}

/// The box of a label on this side, so many steps away from its point.
fn place(side: Side, (x, y): (i32, i32), width: i32, step: i32) -> Rect {
    // Up and down by turns.
    let aside = if step % 2 == 0 { step / 2 } else { -(step + 1) / 2 };
    let (height, gap, shift) = (px(14), px(8) + step * px(7), aside * px(7));
    match side {
        Side::Right => (x + px(8), y - height / 2 + shift, x + px(8) + width, y + height / 2 + shift),
        Side::Left => (x - px(8) - width, y - height / 2 + shift, x - px(8), y + height / 2 + shift),
        Side::Above => (x - width / 2, y - gap - height, x + width / 2, y - gap),
        Side::Below => (x - width / 2, y + gap, x + width / 2, y + gap + height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_in_the_way() {
        let mut labels = Labels::within((0, 0, 1_000, 1_000));
        assert_eq!(labels.in_the_way((10, 10, 20, 20)), 0);
        labels.avoid((15, 15), 10);
        assert_eq!(labels.in_the_way((10, 10, 20, 20)), 100);
        assert_eq!(labels.in_the_way((25, 10, 40, 20)), 0);
        assert!(labels.in_the_way((995, 0, 1_005, 10)) > 0);
    }
}
