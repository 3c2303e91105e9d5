//! Progress on a terminal: a line for each job while they fit, then a block of figures; below, a bar for all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::{Style, style};
use jobwatch::{Finished, Fleet, JobHandle, Outcome, Progress, Stats, Timestamp};

use crate::report::one_line;
use crate::view::block::Block;
use crate::view::columns::{self, Row};
use crate::view::screen::Screen;
use crate::view::{how_far, requests};

/// Jobs with a line of their own, on half of the screen. When more are unfinished at once, a block of figures takes the
/// place of all lines.
const FEWEST_LINES: usize = 4;
const MOST_LINES: usize = 24;

/// How often live lines are written anew.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// After a line above them they are written anew at once, but not more often than this: thousands of lines a second must
/// not make them flicker.
const SHORTEST_PAUSE: Duration = Duration::from_millis(30);

/// An id is cut to this only where there is no other way: it is a UUID's.
const ID_WIDTH: usize = 36;

/// The bar's own width and what stands beside it.
const LONGEST_BAR: usize = 60;
const SHORTEST_BAR: usize = 6;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

pub(crate) struct Live {
    screen: Screen,
    /// What was drawn last.
    frame: Vec<String>,
    drawn: Instant,
    detail: Detail,
    jobs: u64,
    counts: [u64; 3],
    clock: Clock,
    ticks: usize,
    /// Outcomes are printed on this terminal, too: a job that has ended needs no line here.
    pub(super) shares_terminal: bool,
}

/// What stands above the bar.
enum Detail {
    Lines(Lines),
    Figures(Box<Block>),
}

/// The jobs that have a line, in the order in which they came; those that have ended make room for others.
#[derive(Default)]
struct Lines {
    open: Vec<(JobHandle, Instant)>,
    ended: VecDeque<(JobHandle, Row)>,
    /// All of them, as they are shown.
    order: Vec<JobHandle>,
}

/// Simulated seconds for each real one, since the start.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    speed: f64,
}

impl Clock {
    pub(super) fn seconds(self, time: Duration) -> f64 {
        time.as_secs_f64() * self.speed
    }

    fn elapsed(self) -> f64 {
        self.seconds(self.start.elapsed())
    }

    /// The time since then, in a few letters.
    pub(super) fn age(self, since: Instant) -> String {
        age_in_words(self.seconds(since.elapsed()))
    }
}

impl Live {
    pub(super) fn new(speed: f64, shares_terminal: bool) -> Self {
        let start = Instant::now();
        Self {
            screen: Screen::new(),
            frame: Vec::new(),
            drawn: start,
            detail: Detail::Lines(Lines::default()),
            jobs: 0,
            counts: [0; 3],
            clock: Clock { start, speed },
            ticks: 0,
            shares_terminal,
        }
    }

    /// Lets something else write on the terminal, above the lines.
    pub(super) fn suspend<T>(&mut self, write: impl FnOnce() -> T) -> T {
        self.screen.clear();
        let written = write();
        if self.drawn.elapsed() >= SHORTEST_PAUSE {
            self.draw();
        }
        written
    }

    fn draw(&mut self) {
        self.screen.draw(&self.frame);
        self.drawn = Instant::now();
    }

    pub(super) fn close(&mut self) {
        self.screen.clear();
        self.frame.clear();
    }

    pub(super) fn added(&mut self, handle: JobHandle) {
        self.jobs += 1;
        let (now, most) = (Instant::now(), (self.screen.rows() / 2).clamp(FEWEST_LINES, MOST_LINES));
        match &mut self.detail {
            Detail::Figures(block) => block.added(handle, now),
            Detail::Lines(lines) if lines.open.len() < most => lines.added(handle, now, most),
            Detail::Lines(lines) => {
                let mut block = Box::new(Block::new(self.clock));
                for (handle, since) in lines.open.drain(..).chain([(handle, now)]) {
                    block.added(handle, since);
                }
                self.detail = Detail::Figures(block);
            }
        }
    }

    pub(super) fn tick(&mut self, fleet: &Fleet, now: Timestamp) {
        self.ticks += 1;
        let width = self.screen.width();
        let bar = self.bar(fleet.stats(), width);
        let spinner = SPINNER[self.ticks % SPINNER.len()];
        self.frame = match &mut self.detail {
            Detail::Lines(lines) => {
                let rows: Vec<_> = lines.rows(fleet, now, self.clock, spinner).collect();
                columns::lines(&rows, width, ID_WIDTH)
            }
            Detail::Figures(block) => block.lines(fleet, now, width),
        };
        self.frame.push(bar);
        self.draw();
    }

    pub(super) fn finished(&mut self, handle: JobHandle, finished: &Finished) {
        let (count, mark, style) = match finished.outcome {
            Outcome::Succeeded => (0, "✔", Style::new().for_stderr().green()),
            Outcome::Failed | Outcome::Cancelled | Outcome::Lost => (1, "✘", Style::new().for_stderr().red()),
            // Yellow cannot be read on white.
            Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped => {
                (2, "?", Style::new().for_stderr().magenta())
            }
        };
        self.counts[count] += 1;
        let Detail::Lines(lines) = &mut self.detail else { return };
        let Some(place) = lines.open.iter().position(|(open, _)| *open == handle) else { return };
        let (_, since) = lines.open.remove(place);
        if self.shares_terminal {
            lines.order.retain(|shown| *shown != handle);
            return;
        }
        let late = finished.detection_delay.map(|delay| format!("noticed +{:.1} s", self.clock.seconds(delay)));
        let row = Row {
            mark,
            id: one_line(finished.job.id()),
            state: finished.outcome.to_string(),
            age: self.clock.age(since),
            requests: finished.requests,
            next: late.unwrap_or_default(),
            style,
            has_ended: true,
        };
        lines.ended.push_back((handle, row));
    }

    /// The last line: how many have ended how, on a bar that is as long as there is room.
    fn bar(&self, stats: &Stats, width: usize) -> String {
        let [good, bad, unknown] = self.counts;
        let ended = good + bad + unknown;
        let requests = requests(stats);
        let unknown = if unknown > 0 { format!("  ? {unknown}") } else { String::new() };
        let time = self.clock.elapsed();
        let words = format!(" {ended}/{}  ✔ {good}  ✘ {bad}{unknown}  {requests}  {time:.0} s", self.jobs);
        // So much is left where the terminal itself writes ^C.
        let room = width.saturating_sub(console::measure_text_width(&words) + 4);
        let length = (width * 3 / 10).min(room).min(LONGEST_BAR);
        if length < SHORTEST_BAR {
            return words.trim_start().to_owned();
        }
        let full = if self.jobs == 0 { 0 } else { part(length, ended, self.jobs) };
        let edge = if full > 0 && full < length { "╸" } else { "" };
        let (done, left) = ("━".repeat(full - edge.chars().count()), "─".repeat(length - full));
        format!("{}{}{words}", style(done + edge).for_stderr().green(), style(left).for_stderr().dim())
    }
}

/// So many of the cells of a bar are full.
#[allow(clippy::cast_possible_truncation)] // it is no more than the length
fn part(length: usize, ended: u64, jobs: u64) -> usize {
    (length as u64).saturating_mul(ended).checked_div(jobs).unwrap_or(0).min(length as u64) as usize
}

impl Lines {
    fn added(&mut self, handle: JobHandle, now: Instant, most: usize) {
        while self.order.len() >= most
            && let Some((ended, _)) = self.ended.pop_front()
        {
            self.order.retain(|shown| *shown != ended);
        }
        self.open.push((handle, now));
        self.order.push(handle);
    }

    fn rows(&self, fleet: &Fleet, now: Timestamp, clock: Clock, spinner: &'static str) -> impl Iterator<Item = Row> {
        self.order.iter().filter_map(move |handle| {
            if let Some((_, row)) = self.ended.iter().find(|(ended, _)| ended == handle) {
                return Some(row.clone());
            }
            let (_, since) = self.open.iter().find(|(open, _)| open == handle)?;
            Some(row(&fleet.progress(*handle)?, now, clock, *since, spinner))
        })
    }
}

/// What a job does just now.
pub(super) fn row(progress: &Progress<'_>, now: Timestamp, clock: Clock, since: Instant, mark: &'static str) -> Row {
    let mut state = one_line(progress.state.unwrap_or("…"));
    if let Some(how_far) = how_far(progress.fraction, progress.queue_position) {
        state = format!("{state} {how_far}");
    }
    Row {
        mark,
        id: one_line(progress.job.id()),
        state,
        age: clock.age(since),
        requests: progress.requests,
        next: next_look(progress, now, clock),
        style: Style::new().for_stderr().cyan(),
        has_ended: false,
    }
}

fn next_look(progress: &Progress<'_>, now: Timestamp, clock: Clock) -> String {
    if progress.in_flight {
        return "asking".to_owned();
    }
    match clock.seconds(progress.next.saturating_since(now)) {
        // It is due; the limits of rate and concurrency hold it back.
        0.0 => "in line".to_owned(),
        time => format!("next in {time:.1} s"),
    }
}

fn age_in_words(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.0} s"),
        ..6_000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3_600.0),
    }
}

#[cfg(test)]
impl Clock {
    pub(super) fn real() -> Self {
        Self { start: Instant::now(), speed: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_short() {
        let cases = [(0.0, "0 s"), (99.4, "99 s"), (180.0, "3 min"), (36_000.0, "10 h")];
        assert_eq!(cases.map(|(seconds, _)| age_in_words(seconds)), cases.map(|(_, words)| words.to_owned()));
    }

    #[test]
    fn the_bar_fits_and_fills() {
        let mut live = Live::new(1.0, false);
        let mut stats = Stats::default();
        stats.requests = 99_999;
        for (jobs, counts) in [(0, [0; 3]), (1, [1, 0, 0]), (1_000_000, [999_999, 0, 0]), (9, [3, 3, 3])] {
            (live.jobs, live.counts) = (jobs, counts);
            for width in 1..300 {
                let bar = live.bar(&stats, width);
                let words = bar.trim_start_matches(['━', '╸', '─', ' ']);
                let needed = console::measure_text_width(words);
                assert!(console::measure_text_width(&bar) <= width.max(needed), "{width}: {bar}");
            }
        }
        assert!(live.bar(&stats, 80).starts_with(&"━".repeat(24)), "{}", live.bar(&stats, 80));
        stats.failed_requests = 7;
        assert!(live.bar(&stats, 80).contains("99999 requests, 7 failed"), "{}", live.bar(&stats, 80));
        live.counts = [0, 3, 0];
        assert!(live.bar(&stats, 80).starts_with("━━━━━━━╸────────────────"), "{}", live.bar(&stats, 80));
    }
}
