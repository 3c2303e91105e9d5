//! A history: what the jobs that were waited for have taught about how long such jobs take.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::histogram::{Histogram, Interval, LENGTH, edges_in_seconds};
use crate::schedule::grid::UNIT_BITS;
use crate::time::nanos;

/// What remains of the past with each job: the last five hundred count.
const KEEP: f64 = 0.998;

/// The last jobs, by which a change is noticed.
const RECENT: usize = 15;

/// What remains of the evidence for a change with each job.
const KEEP_EVIDENCE: f64 = 0.9;

/// One job is no more evidence than this: an outlier is not a change.
const MOST_EVIDENCE: f64 = 2.5;

/// With this much evidence (as a logarithm of odds) all but the last jobs are forgotten.
const CHANGE: f64 = 9.0;

/// So many jobs at a time halve what each of them teaches, once this many are known.
const COMPANY: f64 = 50.0;
const KNOWN: f64 = 100.0;

/// Told ends are precise, and few of them say little of the times in between: each is spread over this part of itself,
/// less as they become many.
const WIDTH: f64 = 0.4;

/// Of jobs that are waited for side by side the short ones end first, which looks like a change to shorter ones; so many
/// of them, however many there are, are few enough to stand for all.
const ABREAST: f64 = 8.0;

/// What one job has taught.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lesson {
    /// The greatest age at which the job was certainly unfinished.
    pub unfinished_at: Duration,
    /// The age by which it had certainly ended; `None` where the wait ended first.
    pub ended_by: Option<Duration>,
    /// How much it counts, from 0 to 1: jobs that ended together tell the same thing.
    pub weight: f64,
    /// Other jobs that were waited for at the time.
    pub beside: u32,
}

impl Lesson {
    /// The job ended between these ages; equal ones are an exact end.
    pub const fn ended(unfinished_at: Duration, ended_by: Duration) -> Self {
        Self { unfinished_at, ended_by: Some(ended_by), weight: 1.0, beside: 0 }
    }

    /// The wait ended while the job was unfinished at this age.
    pub const fn outlasted(unfinished_at: Duration) -> Self {
        Self { unfinished_at, ended_by: None, weight: 1.0, beside: 0 }
    }

    /// The same as one of so many that one answer told.
    #[must_use]
    pub fn among(self, jobs: usize) -> Self {
        let together = f64::from(u32::try_from(jobs.max(1)).unwrap_or(u32::MAX));
        Self { weight: self.weight / libm::sqrt(together), ..self }
    }

    /// The same with so many other jobs waited for at the time. What happens to all of them at once, a slow minute or a new
    /// plan, says as much as one job does, and must not be taken for a change for good.
    #[must_use]
    pub fn beside(self, jobs: usize) -> Self {
        Self { beside: u32::try_from(jobs).unwrap_or(u32::MAX), ..self }
    }
}

/// How long the jobs of one kind take: a histogram that fades, and that is made anew when the durations change for good.
#[derive(Clone, Debug)]
pub struct History {
    estimate: Histogram,
    /// The last jobs, the last one last, and the estimate from them alone.
    last: VecDeque<Interval>,
    recent: Histogram,
    /// How much better the last jobs are foretold by those just before them than by all.
    evidence: f64,
    /// What lighter lessons add up to until they are a job's.
    credit: f64,
    /// The same for the last jobs: one in so many counts among them.
    turn: f64,
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl History {
    /// Nothing is known: every order of magnitude is as likely as every other.
    pub fn new() -> Self {
        let (estimate, recent) = (Histogram::new(), Histogram::new());
        Self { estimate, last: VecDeque::new(), recent, evidence: 0.0, credit: 0.0, turn: 0.0 }
    }

    /// Exactly these durations are known, and nothing is believed beside them: what a client would know that has seen the
    /// very jobs it is about to wait for.
    pub fn of(durations: &[Duration]) -> Self {
        Self { estimate: Histogram::of(durations.iter().map(|duration| units(*duration))), ..Self::new() }
    }

    /// How many jobs it remembers, older ones counted for less.
    pub fn jobs(&self) -> f64 {
        self.estimate.jobs()
    }

    /// Learns from a job. Where many are waited for at once, each counts for less; `true` is told once they add up to a job.
    pub fn learn(&mut self, lesson: &Lesson) -> bool {
        let share = if lesson.weight.is_finite() { lesson.weight.clamp(0.0, 1.0) } else { 0.0 };
        let (jobs, beside) = (self.jobs(), f64::from(lesson.beside));
        // Company matters as soon as something is known.
        let weight = share / (1.0 + beside / COMPANY * jobs / (jobs + KNOWN));
        let interval = self.interval(lesson);
        self.turn += share / (1.0 + beside / ABREAST);
        let has_changed = is_whole(&mut self.turn) && self.note_last(interval);
        if has_changed {
            (self.estimate, self.evidence) = (self.recent.clone(), 0.0);
        } else {
            self.estimate.learn(Interval { weight, ..interval }, libm::pow(KEEP, weight));
        }
        self.credit += weight;
        is_whole(&mut self.credit) || has_changed
    }

    /// One more of the last jobs; tells whether they are foretold so badly by all before them that the durations must have
    /// changed.
    fn note_last(&mut self, interval: Interval) -> bool {
        if interval.to.is_finite() {
            let before = self.estimate.probability(interval.from, interval.to);
            let recently = self.recent.probability(interval.from, interval.to);
            if before > 0.0 && recently > 0.0 {
                let better = libm::log(recently / before).clamp(-MOST_EVIDENCE, MOST_EVIDENCE);
                self.evidence = KEEP_EVIDENCE * self.evidence + better;
            }
        }
        self.last.push_back(interval);
        if self.last.len() > RECENT {
            self.last.pop_front();
        }
        self.recent = Histogram::fit(self.last.make_contiguous());
        self.evidence > CHANGE
    }

    /// Adds what another history of the same kind of jobs remembers, as the later one.
    pub fn merge(&mut self, later: &Self) {
        self.estimate.merge(&later.estimate);
        (self.last, self.recent) = (later.last.clone(), later.recent.clone());
    }

    /// The share of jobs that are believed to take longer than this.
    pub fn survival(&self, age: Duration) -> f64 {
        self.estimate.probability(units(age), f64::INFINITY)
    }

    /// The believed density of durations as steps: from and to in seconds, and the share of jobs in between.
    pub fn density(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        steps(self.estimate.survival())
    }

    /// The same of the jobs that were seen, as far as there were any, without what is believed beside them: what
    /// forecasts are made from.
    pub fn seen_density(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        steps(self.estimate.seen_survival())
    }

    pub(super) fn histogram(&self) -> &Histogram {
        &self.estimate
    }

    fn interval(&self, lesson: &Lesson) -> Interval {
        let from = units(lesson.unfinished_at);
        let Some(to) = lesson.ended_by.map(units) else { return Interval { from, to: f64::INFINITY, weight: 1.0 } };
        let width = WIDTH * to / libm::sqrt(1.0 + self.jobs());
        let missing = (width.max(1.0) - (to - from)).max(0.0);
        Interval { from: (from.min(to) - missing / 2.0).max(0.0), to: to + missing / 2.0, weight: 1.0 }
    }
}

/// Whether parts have added up to a whole, which is then taken off.
fn is_whole(parts: &mut f64) -> bool {
    let is_whole = *parts >= 1.0;
    *parts -= f64::from(u8::from(is_whole));
    is_whole
}

/// What each bucket holds: from and to in seconds, and the share of jobs in between.
fn steps(survival: Vec<f64>) -> impl Iterator<Item = (f64, f64, f64)> {
    (0..LENGTH).map(move |bucket| {
        let (from, to) = edges_in_seconds(bucket);
        (from, to, survival[bucket] - survival[bucket + 1])
    })
}

/// A duration in units of the grid.
#[allow(clippy::cast_precision_loss)] // what is lost is below a bucket
fn units(duration: Duration) -> f64 {
    nanos(duration) as f64 / f64::from(1_u32 << UNIT_BITS)
}

/// A history as a value that can be stored: versioned, and validated when it is read.
#[cfg(feature = "serde")]
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct HistorySnapshot {
    v: u16,
    /// Buckets and the jobs in them.
    jobs: Vec<(u16, f64)>,
    /// The last jobs alone.
    last: Vec<(f64, Option<f64>)>,
}

/// Why a stored history was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// It was written by another version of the format.
    Version(u16),
    /// No jobs can have taught this; it was damaged or tampered with.
    Impossible,
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(v) => write!(f, "the history has version {v}, this release reads version 1"),
            Self::Impossible => f.write_str("the history is damaged: no jobs can have taught this"),
        }
    }
}

impl core::error::Error for HistoryError {}

#[cfg(feature = "serde")]
impl HistorySnapshot {
    /// The version this release writes, and the only one it reads.
    pub const VERSION: u16 = 1;

    /// Takes a snapshot.
    pub fn of(history: &History) -> Self {
        let told = |interval: &Interval| (interval.from, Some(interval.to).filter(|to| to.is_finite()));
        Self { v: Self::VERSION, jobs: history.estimate.sparse(), last: history.last.iter().map(told).collect() }
    }

    /// The history again.
    ///
    /// # Errors
    /// The snapshot is of another version, or damaged.
    pub fn restore(&self) -> Result<History, HistoryError> {
        if self.v != Self::VERSION {
            return Err(HistoryError::Version(self.v));
        }
        let estimate = Histogram::from_sparse(&self.jobs).ok_or(HistoryError::Impossible)?;
        let mut history = History { estimate, ..History::new() };
        for (from, to) in self.last.iter().take(RECENT) {
            let to = to.unwrap_or(f64::INFINITY);
            if !(*from >= 0.0 && from.is_finite() && to >= *from) {
                return Err(HistoryError::Impossible);
            }
            history.last.push_back(Interval { from: *from, to, weight: 1.0 });
        }
        history.recent = Histogram::fit(history.last.make_contiguous());
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(seconds: u64) -> Lesson {
        Lesson::ended(Duration::from_secs(seconds), Duration::from_secs(seconds))
    }

    fn after(lessons: impl IntoIterator<Item = Lesson>) -> History {
        let mut history = History::new();
        lessons.into_iter().for_each(|lesson| _ = history.learn(&lesson));
        history
    }

    #[test]
    fn lessons_add_up_to_jobs() {
        let mut history = History::new();
        assert!(history.learn(&exactly(20)));
        let half = Lesson { weight: 0.5, ..exactly(20) };
        assert_eq!([0; 4].map(|_| history.learn(&half)), [false, true, false, true]);
    }

    /// One in two of those who are waited for beside eight others, and no more than fifteen.
    #[test]
    fn the_last_jobs() {
        assert_eq!(after([exactly(20).beside(8); 12]).last.len(), 6);
        assert_eq!(after([exactly(20); 20]).last.len(), 15);
    }

    #[test]
    fn a_told_end_is_spread_over_four_tenths_of_itself() {
        let Interval { from, to, .. } = History::new().interval(&exactly(100));
        let seconds = |seconds| units(Duration::from_secs(seconds));
        assert!((from - seconds(80)).abs() < 1.0 && (to - seconds(120)).abs() < 1.0, "{from} {to}");
    }

    /// Nor is the end of a wait that the job outlasted.
    #[test]
    fn what_was_thought_impossible_is_no_evidence_of_a_change() {
        let evidence = |mut history: History, lesson: Lesson| {
            let before = history.evidence;
            assert!(before.is_finite());
            history.learn(&lesson);
            (before, history.evidence)
        };
        let days = Lesson::ended(Duration::from_secs(2 * 86_400), Duration::from_secs(4 * 86_400));
        // By nobody, by all that was known, and by the last ones.
        let mut forgotten = after([days]);
        (0..20).for_each(|_| _ = forgotten.learn(&exactly(20)));
        let known = History::of(&[Duration::from_secs(20)]);
        for (before, since) in [
            evidence(History::new(), days),
            evidence(known, exactly(100)),
            evidence(forgotten, days),
            evidence(after([exactly(20); 5]), Lesson::outlasted(Duration::from_secs(90))),
        ] {
            assert!((before - since).abs() < 1e-9, "{before} {since}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_history_of_jobs_that_were_over_at_once_can_be_stored() {
        let history = after([Lesson::ended(Duration::ZERO, Duration::from_secs(5))]);
        let again = HistorySnapshot::of(&history).restore().unwrap();
        assert_eq!(again.last, history.last);
    }
}
