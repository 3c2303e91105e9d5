//! Progress for people, on standard error: live on a terminal, a line per change elsewhere.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jobwatch::{Finished, Fleet, JobHandle, Outcome, Progress, Stats, Timestamp};

use crate::report::one_line;

/// Jobs with a line of their own; the total speaks for the rest.
const MOST_LINES: usize = 12;

/// How often live lines are written anew.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// An id is cut to this many characters, so that its line fits into 80 columns.
const ID_WIDTH: usize = 36;

/// How the line of a job looks that ended well, badly, or in an unknown way.
const ENDED: [&str; 3] =
    ["✔ {prefix}  {wide_msg:.green}", "✘ {prefix}  {wide_msg:.red}", "? {prefix}  {wide_msg:.yellow}"];

pub(crate) enum View {
    Quiet,
    Lines,
    Live(Live),
}

/// A line for each of the first jobs, and one for all.
pub(crate) struct Live {
    bars: MultiProgress,
    total: ProgressBar,
    lines: HashMap<JobHandle, ProgressBar>,
    /// Lines of jobs that have ended, the oldest first: they make room for others.
    ended: VecDeque<ProgressBar>,
    /// Jobs without a line.
    queue: VecDeque<JobHandle>,
    counts: [u64; 3],
    start: Instant,
    /// Simulated seconds for each real one.
    speed: f64,
}

impl View {
    /// What suits standard error. With a log on it, live lines would be torn.
    pub(crate) fn new(quiet: bool, logging: bool, speed: f64) -> Self {
        if quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() && !logging {
            Self::Live(Live::new(speed))
        } else {
            Self::Lines
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Another job is waited for.
    pub(crate) fn added(&mut self, handle: JobHandle, fleet: &Fleet) {
        if let Self::Live(live) = self {
            live.queue.push_back(handle);
            live.total.inc_length(1);
            live.open_lines(fleet);
        }
    }

    /// Something to know that is no trouble.
    pub(crate) fn remark(&self, line: fmt::Arguments<'_>) {
        match self {
            Self::Quiet => {}
            Self::Lines | Self::Live(_) => self.aside(|| note(line)),
        }
    }

    /// A job is in another state.
    pub(crate) fn changed(&mut self, fleet: &Fleet, handle: JobHandle, state: &str) {
        if let (Self::Lines, Some(job)) = (&self, fleet.job(handle)) {
            note(format_args!("{}: {}", one_line(job.id()), one_line(state)));
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, fleet: &Fleet, now: Timestamp) {
        if let Self::Live(live) = self {
            live.tick(fleet, now);
        }
    }

    /// A job's wait has ended.
    pub(crate) fn finished(&mut self, handle: JobHandle, finished: &Finished, fleet: &Fleet) {
        if let Self::Live(live) = self {
            live.finished(handle, finished, fleet.stats());
            live.open_lines(fleet);
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
            for line in live.lines.values().chain(&live.ended) {
                line.finish_and_clear();
            }
            live.total.finish_and_clear();
        }
    }
}

impl Live {
    fn new(speed: f64) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let total = bars.add(ProgressBar::new(0));
        total.set_style(style("{bar:24.green/dim} {pos}/{len}  {wide_msg}").progress_chars("━╸─"));
        Self {
            bars,
            total,
            lines: HashMap::new(),
            ended: VecDeque::new(),
            queue: VecDeque::new(),
            counts: [0; 3],
            start: Instant::now(),
            speed,
        }
    }

    /// Gives lines to the next jobs, as long as there is room.
    fn open_lines(&mut self, fleet: &Fleet) {
        while let Some(handle) = self.queue.front().copied() {
            if self.lines.len() + self.ended.len() >= MOST_LINES {
                match self.ended.pop_front() {
                    Some(line) => {
                        line.finish_and_clear();
                        self.bars.remove(&line);
                    }
                    None => return,
                }
            }
            self.queue.pop_front();
            let Some(job) = fleet.job(handle) else { continue };
            let line = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
            line.set_style(style("{spinner:.cyan} {prefix}  {wide_msg}"));
            line.set_prefix(shorten(&one_line(job.id()), ID_WIDTH));
            self.lines.insert(handle, line);
        }
    }

    fn tick(&mut self, fleet: &Fleet, now: Timestamp) {
        for (handle, line) in &self.lines {
            if let Some(progress) = fleet.progress(*handle) {
                line.set_message(self.words(&progress, now));
                line.tick();
            }
        }
        self.total.set_message(self.figures(fleet.stats()));
    }

    fn finished(&mut self, handle: JobHandle, finished: &Finished, stats: &Stats) {
        let count = match finished.outcome {
            Outcome::Succeeded => 0,
            Outcome::Failed | Outcome::Cancelled | Outcome::Lost => 1,
            Outcome::TimedOut | Outcome::GaveUp | Outcome::Rejected | Outcome::Stopped => 2,
        };
        self.counts[count] += 1;
        if let Some(line) = self.lines.remove(&handle) {
            line.set_style(style(ENDED[count]));
            let late = finished.detection_delay.map(|delay| format!("  noticed +{:.1} s", self.seconds(delay)));
            line.finish_with_message(format!(
                "{:<10} {:>3} requests{}",
                finished.outcome.as_str(),
                finished.requests,
                late.unwrap_or_default()
            ));
            self.ended.push_back(line);
        }
        self.total.inc(1);
        self.total.set_message(self.figures(stats));
    }

    /// What a job does just now.
    fn words(&self, progress: &Progress<'_>, now: Timestamp) -> String {
        let mut state = one_line(progress.state.unwrap_or("…"));
        if let Some(how_far) = how_far(progress.fraction, progress.queue_position) {
            state = format!("{state} {how_far}");
        }
        let next = if progress.in_flight {
            "asking".to_owned()
        } else {
            format!("next in {:.1} s", self.seconds(progress.next.saturating_since(now)))
        };
        format!("{state:<10} {:>3} requests  {next}", progress.requests)
    }

    fn figures(&self, stats: &Stats) -> String {
        let [good, bad, unknown] = self.counts;
        let unknown = if unknown > 0 { format!("  ? {unknown}") } else { String::new() };
        let elapsed = self.seconds(self.start.elapsed());
        format!("✔ {good}  ✘ {bad}{unknown}  {} requests  {elapsed:.0} s", stats.requests)
    }

    fn seconds(&self, time: Duration) -> f64 {
        time.as_secs_f64() * self.speed
    }
}

/// How far a job is, in a few words: `45%`, or `3 before it` while it is in line.
pub(crate) fn how_far(fraction: Option<f64>, queue_position: Option<u64>) -> Option<String> {
    let percent = fraction.map(|fraction| format!("{:.0}%", (fraction * 100.0).clamp(0.0, 100.0)));
    let ahead = queue_position.map(|ahead| format!("{ahead} before it"));
    let words: Vec<_> = percent.into_iter().chain(ahead).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// A line on standard error; where nobody can read it, nothing is lost.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well-formed")
}

/// The beginning of an id that is too long for its place.
pub(crate) fn shorten(id: &str, width: usize) -> String {
    if id.chars().count() <= width {
        return id.to_owned();
    }
    id.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_job_is_takes_few_words() {
        for (fraction, ahead, expected) in [
            (None, None, None),
            (Some(0.454), None, Some("45%")),
            (Some(1.0), None, Some("100%")),
            (None, Some(0), Some("0 before it")),
            (Some(0.0), Some(3), Some("0%, 3 before it")),
        ] {
            assert_eq!(how_far(fraction, ahead).as_deref(), expected);
        }
    }
}
