//! Progress for people, on standard error: live on a terminal, a line per change elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jobwatch::{Finished, JobRef, Outcome, Stats};

use crate::report::one_line;

/// Jobs with a line of their own; the total speaks for the rest.
const MOST_LINES: usize = 12;

/// How often a live line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// An id is cut to this many characters in a live view, so that its line fits into 80 columns.
const ID_WIDTH: usize = 36;

pub(crate) enum View {
    Quiet,
    Lines,
    Live(Live),
}

/// A line for each of the first jobs, and one for all.
pub(crate) struct Live {
    bars: MultiProgress,
    total: ProgressBar,
    lines: HashMap<String, ProgressBar>,
    waiting: Vec<String>,
    counts: [u64; 3],
    start: Instant,
}

impl View {
    /// What suits standard error. With a log on it, live lines would be torn.
    pub(crate) fn new(quiet: bool, logging: bool, jobs: &[JobRef]) -> Self {
        if quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() && !logging {
            Self::Live(Live::new(jobs))
        } else {
            Self::Lines
        }
    }

    /// A job is in another state.
    pub(crate) fn changed(&mut self, id: &str, state: &str) {
        match self {
            Self::Quiet => {}
            Self::Lines => note(format_args!("{}: {}", one_line(id), one_line(state))),
            Self::Live(live) => {
                if let Some(line) = live.lines.get(id) {
                    line.set_message(one_line(state));
                }
            }
        }
    }

    /// A job's wait has ended.
    pub(crate) fn finished(&mut self, finished: &Finished, stats: &Stats) {
        if let Self::Live(live) = self {
            live.finished(finished, stats);
        }
    }

    /// Writes something else on the terminal, without tearing live lines.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Live(live) => live.bars.suspend(write),
            Self::Quiet | Self::Lines => write(),
        }
    }

    /// Takes live lines away.
    pub(crate) fn close(&mut self) {
        if let Self::Live(live) = self {
            for line in live.lines.values() {
                line.finish_and_clear();
            }
            live.total.finish_and_clear();
        }
    }
}

impl Live {
    fn new(jobs: &[JobRef]) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let total = bars.add(ProgressBar::new(jobs.len() as u64));
        total.set_style(style("{bar:24.green/dim} {pos}/{len}  {msg}  {elapsed}").progress_chars("━╸─"));
        total.enable_steady_tick(TICK);
        let mut live = Self {
            bars,
            total,
            lines: HashMap::new(),
            waiting: jobs.iter().rev().map(|job| job.id().to_owned()).collect(),
            counts: [0; 3],
            start: Instant::now(),
        };
        while live.lines.len() < MOST_LINES && live.open_line() {}
        live
    }

    /// Gives the next job in line a line of its own.
    fn open_line(&mut self) -> bool {
        let Some(id) = self.waiting.pop() else { return false };
        if !self.lines.contains_key(&id) {
            let line = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
            line.set_style(style("{spinner:.cyan} {prefix}  {msg:.dim}  {elapsed:.dim}"));
            line.set_prefix(shorten(&one_line(&id), ID_WIDTH));
            line.set_message("…");
            line.enable_steady_tick(TICK);
            // A job whose line opens late has been waited for all the while.
            let line = line.with_elapsed(self.start.elapsed());
            self.lines.insert(id, line);
        }
        true
    }

    fn finished(&mut self, finished: &Finished, stats: &Stats) {
        let count = match finished.outcome {
            Outcome::Succeeded => 0,
            Outcome::Failed | Outcome::Cancelled | Outcome::Lost => 1,
            Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped => 2,
        };
        self.counts[count] += 1;
        if let Some(line) = self.lines.remove(finished.job.id()) {
            line.finish_and_clear();
            self.bars.remove(&line);
            while !self.waiting.is_empty() && self.lines.len() < MOST_LINES {
                self.open_line();
            }
        } else {
            self.waiting.retain(|id| id != finished.job.id());
        }
        let [good, bad, unknown] = self.counts;
        let mut message = format!("✔ {good}  ✘ {bad}");
        if unknown > 0 {
            message += &format!("  ? {unknown}");
        }
        message += &format!("  {} requests", stats.requests);
        self.total.set_message(message);
        self.total.inc(1);
    }
}

/// A line on standard error; where nobody can read it, nothing is lost.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well-formed")
}

/// The beginning of an id that is too long for a line.
pub(crate) fn shorten(id: &str, width: usize) -> String {
    if id.chars().count() <= width {
        return id.to_owned();
    }
    id.chars().take(width - 1).chain(['…']).collect()
}
