//! What the process costs, and what it was asked to do.

use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use rustix::time::{ClockId, clock_gettime};

/// A page is this large on every machine that these benchmarks have seen.
const PAGE: usize = 4_096;

/// The first number on the command line; `cargo bench` adds flags of its own.
pub fn argument(default: usize) -> usize {
    std::env::args().skip(1).find_map(|word| word.replace('_', "").parse().ok()).unwrap_or(default)
}

/// The cargo that has started this.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether this part was asked for on the command line, by a word that is in its name; without one, all of them are.
pub fn is_wanted(name: &str) -> bool {
    let is_word = |word: &String| !word.starts_with('-') && word.replace('_', "").parse::<usize>().is_err();
    let mut words = std::env::args().skip(1).filter(is_word).peekable();
    words.peek().is_none() || words.any(|word| name.contains(&word))
}

/// Bytes of the process that are in memory.
pub fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: usize| pages * PAGE)
}

/// The time that the process has spent on processors, in all its threads, those that have ended included.
pub fn cpu_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// A stopwatch that stands still while the thread does not run: what else the machine does is not measured.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// Starts to measure this thread.
    pub fn start() -> Self {
        Self(read(ClockId::ThreadCPUTime))
    }

    /// The time that this thread has spent on a processor since then.
    pub fn elapsed(self) -> Duration {
        read(ClockId::ThreadCPUTime).saturating_sub(self.0)
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
