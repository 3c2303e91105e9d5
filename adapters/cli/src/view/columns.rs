//! Lines of jobs in columns that fit the terminal: what matters least gives way first.

use console::{Style, measure_text_width};

use crate::report::counted;
use crate::view::shorten;

/// The columns beside the mark, from left to right.
const COLUMNS: usize = 5;

/// Their indices.
const ID: usize = 0;
const STATE: usize = 1;
const AGE: usize = 2;
const REQUESTS: usize = 3;
const NEXT: usize = 4;

/// The mark, and between two columns.
const GAP: usize = 2;

/// What a column takes at the most, however wide the terminal is.
const WIDEST: [usize; COLUMNS] = [64, 32, 8, 16, 40];

/// What it takes at the least, so that columns do not move with what is in them.
const NARROWEST: [usize; COLUMNS] = [0, 10, 6, 10, 15];

/// Below this an id or a state says little.
const SHORT_ID: usize = 18;
const SHORT_STATE: usize = 10;

/// What is told of a job in a line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) mark: &'static str,
    pub(super) id: String,
    pub(super) state: String,
    pub(super) age: String,
    pub(super) requests: u32,
    pub(super) next: String,
    /// Of the mark.
    pub(super) style: Style,
    /// Whether the state is in this style, too: how it ended.
    pub(super) has_ended: bool,
}

impl Row {
    fn cells(&self) -> [String; COLUMNS] {
        let requests = counted(self.requests.into(), "request");
        [self.id.clone(), self.state.clone(), self.age.clone(), requests, self.next.clone()]
    }
}

/// The rows as lines of at most this width. An id is cut to `id_width` before another column is left out.
pub(super) fn lines(rows: &[Row], width: usize, id_width: usize) -> Vec<String> {
    let cells: Vec<_> = rows.iter().map(Row::cells).collect();
    let mut widths = NARROWEST;
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let widths = fitted(widths, width, id_width);
    rows.iter().zip(cells).map(|(row, cells)| line(row, &cells, widths)).collect()
}

fn line(row: &Row, cells: &[String; COLUMNS], widths: [usize; COLUMNS]) -> String {
    let mut line = row.style.apply_to(row.mark).to_string();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if width == 0 {
            continue;
        }
        let cell = shorten(cell, width);
        let blanks = " ".repeat(width - measure_text_width(&cell));
        let gap = if column == ID { " " } else { "  " };
        line.push_str(gap);
        match column {
            AGE | REQUESTS => line.extend([blanks.as_str(), &cell]),
            STATE if row.has_ended => line.extend([row.style.apply_to(&cell).to_string().as_str(), &blanks]),
            _ => line.extend([cell.as_str(), &blanks]),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// The widths with which a line fits; 0 for a column that is left out.
fn fitted(natural: [usize; COLUMNS], width: usize, id_width: usize) -> [usize; COLUMNS] {
    let mut widths = natural;
    for (width, widest) in widths.iter_mut().zip(WIDEST) {
        *width = (*width).min(widest);
    }
    let excess = |widths: &[usize; COLUMNS]| {
        let shown = widths.iter().filter(|width| **width > 0);
        shown.map(|width| GAP + width).sum::<usize>().saturating_sub(width)
    };
    let shrink = |widths: &mut [usize; COLUMNS], column: usize, least: usize| {
        let excess = excess(widths);
        widths[column] = widths[column].saturating_sub(excess).max(least.min(widths[column]));
    };
    let leave_out = |widths: &mut [usize; COLUMNS], column: usize| {
        if excess(widths) > 0 {
            widths[column] = 0;
        }
    };
    shrink(&mut widths, ID, id_width);
    shrink(&mut widths, STATE, SHORT_STATE);
    leave_out(&mut widths, AGE);
    shrink(&mut widths, ID, SHORT_ID);
    leave_out(&mut widths, REQUESTS);
    leave_out(&mut widths, NEXT);
    shrink(&mut widths, ID, SHORT_STATE);
    leave_out(&mut widths, STATE);
    shrink(&mut widths, ID, 1);
    // What a column that was left out would have taken is the id's.
    let taken: usize = widths.iter().filter(|width| **width > 0).map(|width| GAP + width).sum();
    widths[ID] = (widths[ID] + width.saturating_sub(taken)).min(natural[ID].min(WIDEST[ID])).max(1);
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, state: &str, requests: u32, next: &str) -> Row {
        let [id, state, next] = [id, state, next].map(str::to_owned);
        let age = "100 min".to_owned();
        Row { mark: "⠋", id, state, age, requests, next, style: Style::new(), has_ended: false }
    }

    #[test]
    fn lines_fit_into_every_width() {
        let rows = [
            row("6f35fc9a-0115-475c-ab32-090fee056c3d", "pending", 1, "next in 18.6 s"),
            row(&"動画の翻訳".repeat(20), "待機中です、もう少しお待ちください", 9_999, "asking"),
            row(&"ä".repeat(200), "a state with so many words that no column holds it", 99_999, "next in 10000.0 s"),
            row("a", "", 0, ""),
        ];
        for width in 3..250 {
            for id_width in [24, 36] {
                for line in lines(&rows, width, id_width) {
                    assert!(measure_text_width(&line) <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn what_matters_least_gives_way_first() {
        let rows = [row("6f35fc9a-0115-475c-ab32-090fee056c3d", "pending", 12, "next in 18.6 s")];
        let at = |width| lines(&rows, width, 36).remove(0);
        assert_eq!(at(100), "⠋ 6f35fc9a-0115-475c-ab32-090fee056c3d  pending     100 min  12 requests  next in 18.6 s");
        assert_eq!(at(81), "⠋ 6f35fc9a-0115-475c-ab32-090fee056c3d  pending     12 requests  next in 18.6 s");
        assert_eq!(at(70), "⠋ 6f35fc9a-0115-475c-ab32-0…  pending     12 requests  next in 18.6 s");
        assert_eq!(at(50), "⠋ 6f35fc9a-0115-475c…  pending     next in 18.6 s");
        assert_eq!(at(40), "⠋ 6f35fc9a-0115-475c-ab32-0…  pending");
        assert_eq!(at(25), "⠋ 6f35fc9a-0…  pending");
        assert_eq!(at(20), "⠋ 6f35fc9a-0115-475…");
        assert_eq!(at(10), "⠋ 6f35fc9…");
    }

    #[test]
    fn wide_letters_keep_their_columns() {
        let rows = [row("動画", "処理中", 1, "asking"), row("abcde", "pending", 2, "asking")];
        let lines = lines(&rows, 100, 36);
        let start = |line: &str| measure_text_width(line.split("100 min").next().unwrap_or_default());
        assert_eq!(start(&lines[0]), start(&lines[1]), "{lines:#?}");
    }
}
