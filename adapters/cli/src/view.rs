//! Progress for people, on standard error: live on a terminal, a line per change elsewhere, and figures where there are
//! more jobs than lines can be read.

mod block;
mod live;
mod plain;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use jobwatch::{Finished, Fleet, JobHandle, Timestamp};

use live::Live;
use plain::Plain;

pub(crate) enum View {
    Quiet,
    Lines(Plain),
    Live(Box<Live>),
}

impl View {
    /// What suits standard error. With a log on it, live lines would be torn.
    pub(crate) fn new(quiet: bool, logging: bool, speed: f64) -> Self {
        if quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() && !logging {
            Self::Live(Box::new(Live::new(speed)))
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
    pub(crate) fn added(&mut self, handle: JobHandle, fleet: &Fleet) {
        match self {
            Self::Quiet => {}
            Self::Lines(plain) => plain.added(),
            Self::Live(live) => live.added(handle, fleet),
        }
    }

    /// Something to know that is no trouble.
    pub(crate) fn remark(&self, line: fmt::Arguments<'_>) {
        match self {
            Self::Quiet => {}
            Self::Lines(_) | Self::Live(_) => self.aside(|| note(line)),
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
    pub(crate) fn finished(&mut self, handle: JobHandle, finished: &Finished, fleet: &Fleet) {
        if let Self::Live(live) = self {
            live.finished(handle, finished, fleet);
        }
    }

    /// Writes something else on standard error, without tearing live lines.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Live(live) => live.suspend(write),
            Self::Quiet | Self::Lines(_) => write(),
        }
    }

    /// Writes on standard output. Live lines give way where that is the same terminal; into a pipe or a file, thousands of
    /// lines a second must not make them flicker.
    pub(crate) fn print<T>(&self, write: impl FnOnce() -> T) -> T {
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

/// A line on standard error; where nobody can read it, nothing is lost.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
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
