//! Progress for people, on standard error: live on a terminal, a line per change elsewhere, and figures where there are
//! more jobs than lines can be read.

mod block;
mod columns;
mod live;
mod plain;
mod screen;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use console::{Term, measure_text_width};
use jobwatch::{Finished, Fleet, JobHandle, Stats, Timestamp};

use crate::report::counted;
use live::Live;
use plain::Plain;

pub(crate) enum View {
    Quiet,
    Lines(Plain),
    Live(Box<Live>),
}

impl View {
    /// What suits standard error. With a log on it, live lines would be torn, and a terminal without a cursor that moves
    /// has none. `prints` tells whether outcomes go to standard output.
    pub(crate) fn new(quiet: bool, logging: bool, speed: f64, prints: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() && !logging && !console::is_dumb() {
            Self::Live(Box::new(Live::new(speed, prints && io::stdout().is_terminal())))
        } else {
            Self::Lines(Plain::new())
        }
    }

    /// How often it wants to be told that time has passed.
    pub(crate) fn period(&self) -> Option<Duration> {
        match self {
            Self::Quiet => None,
            Self::Lines(_) => Some(plain::TICK),
            Self::Live(_) => Some(live::TICK),
        }
    }

    /// Another job is waited for.
    pub(crate) fn added(&mut self, handle: JobHandle) {
        match self {
            Self::Quiet => {}
            Self::Lines(plain) => plain.added(),
            Self::Live(live) => live.added(handle),
        }
    }

    /// Something to know that is no trouble.
    pub(crate) fn remark(&mut self, line: fmt::Arguments<'_>) {
        match self {
            Self::Quiet => {}
            Self::Lines(_) | Self::Live(_) => self.aside(|| sentence(line)),
        }
    }

    /// A job is in another state.
    pub(crate) fn changed(&mut self, fleet: &Fleet, handle: JobHandle, state: &str) {
        if let (Self::Lines(plain), Some(job)) = (&self, fleet.job(handle)) {
            plain.changed(job.id(), state);
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, fleet: &Fleet, now: Timestamp) {
        match self {
            Self::Quiet => {}
            Self::Lines(plain) => plain.tick(fleet),
            Self::Live(live) => live.tick(fleet, now),
        }
    }

    /// A job's wait has ended.
    pub(crate) fn finished(&mut self, handle: JobHandle, finished: &Finished) {
        if let Self::Live(live) = self {
            live.finished(handle, finished);
        }
    }

    /// Writes something else on standard error, without tearing live lines.
    pub(crate) fn aside<T>(&mut self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Live(live) => live.suspend(write),
            Self::Quiet | Self::Lines(_) => write(),
        }
    }

    /// Writes on standard output. Live lines give way where that is the same terminal; into a pipe or a file, thousands of
    /// lines a second must not make them flicker.
    pub(crate) fn print<T>(&mut self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Live(live) if live.shares_terminal => live.suspend(write),
            _ => write(),
        }
    }

    /// Takes live lines away.
    pub(crate) fn close(&mut self) {
        if let Self::Live(live) = self {
            live.close();
        }
    }
}

/// How far a job is, in a few words: `45%`, or `3 before it` while it is in line.
pub(crate) fn how_far(fraction: Option<f64>, queue_position: Option<u64>) -> Option<String> {
    let percent = fraction.map(|fraction| format!("{:.0}%", (fraction * 100.0).clamp(0.0, 100.0)));
    let ahead = queue_position.map(|ahead| format!("{ahead} before it"));
    let words: Vec<_> = percent.into_iter().chain(ahead).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// How many requests there were, and how many of them failed.
pub(crate) fn requests(stats: &Stats) -> String {
    let failed = match stats.failed_requests {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!("{}{failed}", counted(stats.requests, "request"))
}

/// A line on standard error; where nobody can read it, nothing is lost.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The same, broken between words where a terminal would break within one. Nothing that is to be copied.
pub(crate) fn sentence(line: fmt::Arguments<'_>) {
    let width = Term::stderr().size_checked().filter(|_| io::stderr().is_terminal()).map(|(_, columns)| columns.into());
    note(format_args!("{}", wrapped(&line.to_string(), width.unwrap_or(usize::MAX))));
}

fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// The beginning of a text that is too wide for its place.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 9), "one two\nthree");
        assert_eq!(wrapped("one two three", 3), "one\ntwo\nthree");
        assert_eq!(wrapped("動画 翻訳", 8), "動画\n翻訳");
        assert_eq!(wrapped("one  two", usize::MAX), "one  two");
    }

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
