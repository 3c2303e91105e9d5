//! Progress on a terminal: a line for each job while they fit, then a block of figures; below, a bar for all.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use comfy_table::Table;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jobwatch::{Finished, Fleet, JobHandle, Outcome, Progress, Stats, Timestamp};

use crate::report::one_line;
use crate::view::block::Block;
use crate::view::{how_far, shorten};

/// Jobs with a line of their own. When more are unfinished at once, a block of figures takes the place of all lines.
const MOST_LINES: usize = 12;

/// How often live lines are written anew.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// An id is cut to this many characters, so that its line fits into 80 columns.
const ID_WIDTH: usize = 36;

/// The bar for all jobs.
const BAR: &str = "{bar:24.green/dim} {pos}/{len}";

/// How the line of a job looks that ended well, badly, or in an unknown way.
const ENDED: [&str; 3] =
    ["✔ {prefix}  {wide_msg:.green}", "✘ {prefix}  {wide_msg:.red}", "? {prefix}  {wide_msg:.yellow}"];

pub(crate) struct Live {
    bars: MultiProgress,
    total: ProgressBar,
    detail: Detail,
    counts: [u64; 3],
    clock: Clock,
    /// Standard output goes to this terminal, too.
    pub(super) shares_terminal: bool,
}

/// What stands above the bar.
enum Detail {
    Lines(Lines),
    /// The bar's own message, of many lines: a line drawn before the next is set would tell a job twice.
    Figures(Box<Block>),
}

#[derive(Default)]
struct Lines {
    open: HashMap<JobHandle, (ProgressBar, Instant)>,
    /// Lines of jobs that have ended, the oldest first: they make room for others.
    ended: VecDeque<ProgressBar>,
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
}

impl Live {
    pub(super) fn new(speed: f64) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let total = bars.add(ProgressBar::new(0));
        total.set_style(bar(&format!("{BAR}  {{wide_msg}}")));
        Self {
            bars,
            total,
            detail: Detail::Lines(Lines::default()),
            counts: [0; 3],
            clock: Clock { start: Instant::now(), speed },
            shares_terminal: io::stdout().is_terminal(),
        }
    }

    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }

    pub(super) fn close(&mut self) {
        if let Detail::Lines(lines) = &self.detail {
            lines.bars().for_each(ProgressBar::finish_and_clear);
        }
        self.total.finish_and_clear();
    }

    pub(super) fn added(&mut self, handle: JobHandle, fleet: &Fleet) {
        self.total.inc_length(1);
        let now = Instant::now();
        match &mut self.detail {
            Detail::Figures(block) => block.added(handle, now),
            Detail::Lines(lines) => {
                if lines.open.len() >= MOST_LINES {
                    self.show_figures(handle, now);
                    return;
                }
                if lines.open.len() + lines.ended.len() >= MOST_LINES
                    && let Some(line) = lines.ended.pop_front()
                {
                    line.finish_and_clear();
                    self.bars.remove(&line);
                }
                let Some(job) = fleet.job(handle) else { return };
                let line = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
                line.set_style(style("{spinner:.cyan} {prefix}  {wide_msg}"));
                line.set_prefix(shorten(&one_line(job.id()), ID_WIDTH));
                lines.open.insert(handle, (line, now));
            }
        }
    }

    /// Another job has come for which there is no line.
    fn show_figures(&mut self, handle: JobHandle, now: Instant) {
        let mut jobs = vec![(handle, now)];
        if let Detail::Lines(lines) = &self.detail {
            for line in lines.bars() {
                line.finish_and_clear();
                self.bars.remove(line);
            }
            jobs.extend(lines.open.iter().map(|(handle, (_, since))| (*handle, *since)));
        }
        jobs.sort_unstable_by_key(|(_, since)| *since);
        let mut block = Box::new(Block::new(self.clock));
        for (handle, since) in jobs {
            block.added(handle, since);
        }
        self.total.set_style(bar(&format!("{{msg}}\n{BAR}  {{prefix}}")));
        self.detail = Detail::Figures(block);
    }

    pub(super) fn tick(&mut self, fleet: &Fleet, now: Timestamp) {
        match &mut self.detail {
            Detail::Lines(lines) => {
                for (handle, (line, _)) in &lines.open {
                    if let Some(progress) = fleet.progress(*handle) {
                        line.set_message(words(&progress, now, self.clock));
                        line.tick();
                    }
                }
                self.total.set_message(figures(self.counts, fleet.stats(), self.clock));
            }
            Detail::Figures(block) => {
                self.total.set_prefix(format!("{:.0} s", self.clock.elapsed()));
                let lines = block.lines(fleet, now);
                // A line that wraps would push the bar out of a small window.
                let width = Table::new().use_stderr().width().map_or(usize::MAX, usize::from).max(1);
                let lines: Vec<_> = lines.iter().map(|line| shorten(line, width)).collect();
                self.total.set_message(lines.join("\n"));
            }
        }
    }

    pub(super) fn finished(&mut self, handle: JobHandle, finished: &Finished, fleet: &Fleet) {
        let count = match finished.outcome {
            Outcome::Succeeded => 0,
            Outcome::Failed | Outcome::Cancelled | Outcome::Lost => 1,
            Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped => 2,
        };
        self.counts[count] += 1;
        self.total.inc(1);
        let Detail::Lines(lines) = &mut self.detail else { return };
        if let Some((line, _)) = lines.open.remove(&handle) {
            line.set_style(style(ENDED[count]));
            let late = finished.detection_delay.map(|delay| format!("  noticed +{:.1} s", self.clock.seconds(delay)));
            line.finish_with_message(format!(
                "{:<10} {:>3} requests{}",
                finished.outcome.as_str(),
                finished.requests,
                late.unwrap_or_default()
            ));
            lines.ended.push_back(line);
        }
        self.total.set_message(figures(self.counts, fleet.stats(), self.clock));
    }
}

impl Lines {
    fn bars(&self) -> impl Iterator<Item = &ProgressBar> {
        self.open.values().map(|(line, _)| line).chain(&self.ended)
    }
}

/// What a job does just now.
fn words(progress: &Progress<'_>, now: Timestamp, clock: Clock) -> String {
    let mut state = one_line(progress.state.unwrap_or("…"));
    if let Some(how_far) = how_far(progress.fraction, progress.queue_position) {
        state = format!("{state} {how_far}");
    }
    format!("{state:<10} {:>3} requests  {}", progress.requests, next_look(progress, now, clock))
}

pub(super) fn next_look(progress: &Progress<'_>, now: Timestamp, clock: Clock) -> String {
    if progress.in_flight {
        return "asking".to_owned();
    }
    match clock.seconds(progress.next.saturating_since(now)) {
        // It is due; the limits of rate and concurrency hold it back.
        0.0 => "in line".to_owned(),
        time => format!("next in {time:.1} s"),
    }
}

fn figures(counts: [u64; 3], stats: &Stats, clock: Clock) -> String {
    let [good, bad, unknown] = counts;
    let unknown = if unknown > 0 { format!("  ? {unknown}") } else { String::new() };
    format!("✔ {good}  ✘ {bad}{unknown}  {} requests  {:.0} s", stats.requests, clock.elapsed())
}

fn bar(template: &str) -> ProgressStyle {
    style(template).progress_chars("━╸─")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well-formed")
}

#[cfg(test)]
impl Clock {
    pub(super) fn real() -> Self {
        Self { start: Instant::now(), speed: 1.0 }
    }
}
