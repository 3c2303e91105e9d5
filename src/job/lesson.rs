//! What a wait teaches about how long such jobs take, and what the backend's guesses say of this one.

use core::time::Duration;

use http::{HeaderMap, HeaderName};

use super::Job;
use crate::learn::{Lesson, Since, Taught};
use crate::{GapRange, HintRule, Outcome, Policy, Position, Schedule, Timestamp};

/// The header by which jobwatch's own simulator tells when a job was created.
pub(super) static SIMULATED: HeaderName = HeaderName::from_static("x-jobwatch-created-at");

/// A job that has done less than this says nothing about the rest.
const LEAST_PROGRESS: f64 = 0.02;

impl Job {
    /// Where the job's age is counted from.
    pub(crate) fn since(&self) -> Since {
        let told = self.extra.as_ref().is_some_and(|extra| extra.created_at.is_some());
        if told || self.job.creation().is_some() { Since::Creation } else { Since::PickUp }
    }

    /// What the end of the wait teaches; `None` while it goes on, or where it says nothing about durations.
    pub(crate) fn taught(&self) -> Option<Taught> {
        let extra = self.extra.as_ref();
        if let Some(taught) = extra.and_then(|extra| extra.taught) {
            return Some(taught);
        }
        let ended = self.poller.ended()?;
        let (outcome, _) = self.verdict(&ended);
        let (since, born) = (self.since(), Timestamp::from_nanos(self.poller.born));
        let unfinished = self.unfinished_at.map(|at| at.saturating_since(born));
        let lesson = match outcome {
            // What was over before anybody looked says nothing about how long it takes from then on.
            Outcome::Succeeded | Outcome::Failed if since == Since::PickUp && unfinished.is_none() => return None,
            Outcome::Succeeded | Outcome::Failed => {
                let now = self.over_at(&ended);
                let (from, by) = (unfinished.unwrap_or_default(), now.saturating_since(born));
                let told = extra.and_then(|extra| extra.ended_at).map(|end| end.saturating_since(born));
                // An end that contradicts what was seen comes from another clock.
                match told.filter(|told| (from..=by).contains(told)) {
                    Some(told) => Lesson::ended(told, told),
                    None => Lesson::ended(from.min(by), by),
                }
            }
            // Left alone it would have taken longer.
            Outcome::Cancelled | Outcome::TimedOut | Outcome::GaveUp | Outcome::Stopped => {
                Lesson::outlasted(unfinished.filter(|age| !age.is_zero())?)
            }
            Outcome::Lost | Outcome::Rejected => return None,
        };
        Some(Taught { since, lesson, simulated: extra.is_some_and(|extra| extra.simulated) })
    }

    /// Keeps what was taught, with its weight among others.
    pub(crate) fn keep_taught(&mut self, taught: Taught) {
        self.extra().taught = Some(taught);
    }

    pub(super) fn note_simulation(&mut self, headers: &HeaderMap) {
        if headers.contains_key(&SIMULATED) {
            self.extra().simulated = true;
        }
    }

    /// The age at which the job will end, by the progress that was told just now or by what the backend expects.
    pub(super) fn expected_end(&self, progress: Option<f64>, now: Timestamp) -> Option<Duration> {
        let born = Timestamp::from_nanos(self.poller.born);
        let started = self.extra.as_ref().and_then(|extra| extra.started_at);
        let by_progress = progress.filter(|progress| (LEAST_PROGRESS..1.0).contains(progress)).and_then(|progress| {
            let begin = started.map_or(Duration::ZERO, |started| started.saturating_since(born));
            let worked = now.saturating_since(born).saturating_sub(begin);
            Some(begin.saturating_add(Duration::try_from_secs_f64(worked.as_secs_f64() / progress).ok()?))
        });
        by_progress.or(self.job.expected_duration())
    }
}

/// A schedule for one job whose end is expected.
#[derive(Debug)]
pub(super) struct Expecting<'a, S> {
    pub(super) schedule: &'a S,
    /// The age at which the job is expected to end.
    pub(super) end: Option<Duration>,
}

impl<S: Schedule> Schedule for Expecting<'_, S> {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        self.schedule.gap(policy, &Position { expected_end: self.end, ..*at })
    }

    fn hint_rule(&self) -> HintRule {
        self.schedule.hint_rule()
    }
}
