//! The plan as a table for people: looks that are alike are one line.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::Reckoned;
use super::looks::{Look, Rule};
use crate::picture::clock;

/// Lines at the most; what is left is told in one.
const MOST_LINES: usize = 24;

/// Gaps that differ by less than this part are alike.
const ALIKE: f64 = 0.1;

/// Looks that are told in one line.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: Look,
    last: Look,
    gap: (Duration, Duration),
    rule: Option<Rule>,
}

impl Group {
    fn of(look: Look) -> Self {
        Self { first: look, last: look, gap: look.gap, rule: Some(look.rule) }
    }

    fn add(&mut self, look: &Look) {
        self.last = *look;
        // A gap that the time limit cuts says nothing of the others.
        if look.gap.0 >= self.gap.0.mul_f64(1.0 - ALIKE) {
            self.gap = (self.gap.0.min(look.gap.0), self.gap.1.max(look.gap.1));
        }
        self.rule = self.rule.filter(|rule| *rule == look.rule);
    }

    /// Whether the look goes on as the one before it; one that the time limit may cut short does.
    fn is_like(&self, look: &Look, limit: Option<Duration>) -> bool {
        let near = |a: Duration, b: Duration| (a.as_secs_f64() / b.as_secs_f64() - 1.0).abs() < ALIKE;
        let is_cut = Some(look.to) == limit;
        self.rule == Some(look.rule) && (is_cut || near(look.gap.0, self.gap.0) && near(look.gap.1, self.gap.1))
    }
}

pub(super) fn table(reckoned: &Reckoned) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["look", "age", "after", "ended", "late", "why"]);
    for group in groups(&reckoned.looks, reckoned.policy.total_timeout()) {
        table.add_row(row(&group, reckoned));
    }
    for column in table.column_iter_mut().take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn groups(looks: &[Look], limit: Option<Duration>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for look in looks {
        match groups.last_mut() {
            Some(group) if group.is_like(look, limit) => group.add(look),
            _ => groups.push(Group::of(*look)),
        }
    }
    if groups.len() > MOST_LINES
        && let Some(last) = groups.pop()
    {
        let mut rest = groups.split_off(MOST_LINES - 2).into_iter();
        if let Some(mut one) = rest.next() {
            for group in rest {
                one.last = group.last;
                one.gap = (one.gap.0.min(group.gap.0), one.gap.1.max(group.gap.1));
                one.rule = one.rule.filter(|rule| group.rule == Some(*rule));
            }
            groups.push(one);
        }
        groups.push(last);
    }
    groups
}

fn row(group: &Group, reckoned: &Reckoned) -> [String; 6] {
    let Group { first, last, gap, rule } = group;
    let number = if first.number == last.number {
        first.number.to_string()
    } else {
        format!("{}-{}", first.number, last.number)
    };
    let inside = first.number - 1..last.number.min(reckoned.forecast.looks.len());
    let looks = reckoned.forecast.looks.get(inside).unwrap_or_default();
    let (found, delay) = looks.iter().fold((0.0, 0.0), |sum, look| (sum.0 + look.found, sum.1 + look.delay));
    let late = if found > 1e-4 { clock(delay / found) } else { String::new() };
    [
        number,
        span(first.from, last.to),
        if *gap == (Duration::ZERO, Duration::ZERO) { String::new() } else { span(gap.0, gap.1) },
        looks.last().or(reckoned.forecast.looks.last()).map_or_else(String::new, |look| share(look.ended)),
        late,
        rule.map_or("ever wider", Rule::words).to_owned(),
    ]
}

/// `21-23 s`.
fn span(from: Duration, to: Duration) -> String {
    let (from, to) = (clock(from.as_secs_f64()), clock(to.as_secs_f64()));
    if from == to {
        return from;
    }
    match (from.rsplit_once(' '), to.rsplit_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}-{to}"),
        _ if !from.contains(' ') && !to.contains(' ') => format!("{from}-{to}"),
        _ => format!("{from} - {to}"),
    }
}

/// `37 %`.
pub(super) fn share(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        99.9.. if percent < 100.0 - 1e-6 => "> 99.9 %".to_owned(),
        ..0.1 if percent > 1e-6 => "< 0.1 %".to_owned(),
        1.0..99.0 => format!("{percent:.0} %"),
        _ => format!("{percent:.1} %").replace(".0 ", " "),
    }
}
