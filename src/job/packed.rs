//! A job that sleeps and has had no trouble, in a third of the memory.

use core::time::Duration;
use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use super::{Extra, Job};
use crate::poller::Phase;
use crate::{EndReason, JobRef, Outcome, PollerState, Timestamp, WaitReason};

/// So many words are enough for any honest backend; a job in another state is not packed.
const MOST_WORDS: usize = 64;

/// No instant.
const NEVER: u64 = u64::MAX;

/// The state words of many jobs, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Words(Vec<Arc<str>>);

impl Words {
    /// The number of a word from 1, and 0 for none; `None` where there are too many.
    fn number(&mut self, word: Option<&Arc<str>>) -> Option<u8> {
        let Some(word) = word else { return Some(0) };
        let index = match self.0.iter().position(|known| known == word) {
            Some(index) => index,
            None if self.0.len() < MOST_WORDS => {
                self.0.push(Arc::clone(word));
                self.0.len() - 1
            }
            None => return None,
        };
        u8::try_from(index + 1).ok()
    }

    fn word(&self, number: u8) -> Option<&Arc<str>> {
        self.0.get(usize::from(number).checked_sub(1)?)
    }
}

/// A sleeping job whose only story is that it is unfinished: every field that is not here has its first value.
#[derive(Debug)]
pub(crate) struct Packed {
    job: JobRef,
    seed: u64,
    started: u64,
    born: u64,
    latest: u64,
    anchor: u64,
    floor: u64,
    previous_gap: u64,
    until: u64,
    unfinished_at: u64,
    looks: u32,
    gaps: u32,
    requests: u32,
    state: u8,
    /// `None` for a wait that was stopped.
    reason: Option<WaitReason>,
    flags: u8,
}

const SEEN: u8 = 1;
const PROVEN: u8 = 2;
/// The backend has told when the job was created, which is when it was born.
const CREATED: u8 = 4;
const SIMULATED: u8 = 8;

impl Packed {
    /// Packs a job, of which nothing of value is left then; `None` where it has to stay as it is.
    pub(crate) fn pack(job: &mut Job, words: &mut Words) -> Option<Self> {
        let (created, simulated) = match job.extra.as_deref() {
            None => (false, false),
            Some(extra) if extra.is_creation_at(job.poller.born) => (true, extra.simulated),
            Some(_) => return None,
        };
        let (until, reason) = match job.poller.phase {
            Phase::Waiting { until, reason } => (until, Some(reason)),
            Phase::Ended { at, outcome: Outcome::Stopped, reason: EndReason::Stopped } => (at, None),
            Phase::InFlight { .. } | Phase::Ended { .. } => return None,
        };
        if job.hop.is_some() || job.message.is_some() || job.failed_requests > 0 || !job.poller.is_untroubled() {
            return None;
        }
        let state = words.number(job.state.as_ref())?;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let poller = &job.poller;
        Some(Self {
            seed: poller.seed,
            started: poller.started,
            born: poller.born,
            latest: poller.latest,
            anchor: poller.anchor,
            floor: poller.floor,
            previous_gap: poller.previous_gap,
            until,
            unfinished_at: job.unfinished_at.map_or(NEVER, Timestamp::as_nanos),
            looks: poller.looks,
            gaps: poller.gaps,
            requests: job.requests,
            state,
            reason,
            flags: flag(job.seen, SEEN)
                | flag(poller.proven, PROVEN)
                | flag(created, CREATED)
                | flag(simulated, SIMULATED),
            job: core::mem::replace(&mut job.job, JobRef::nobody()),
        })
    }

    pub(crate) fn unpack(self, words: &Words) -> Job {
        self.unpack_with(None, words)
    }

    /// The same in the memory of one that was packed before.
    pub(crate) fn unpack_into(self, job: &mut Job, words: &Words) {
        *job = self.unpack_with(job.extra.take(), words);
    }

    fn unpack_with(self, spare: Option<Box<Extra>>, words: &Words) -> Job {
        let phase = match self.reason {
            Some(reason) => Phase::Waiting { until: self.until, reason },
            None => Phase::Ended { at: self.until, outcome: Outcome::Stopped, reason: EndReason::Stopped },
        };
        let created_at = (self.flags & CREATED > 0).then(|| Timestamp::from_nanos(self.born));
        let simulated = self.flags & SIMULATED > 0;
        let extra = created_at.map(|at| {
            let mut extra = spare.unwrap_or_default();
            *extra = Extra { created_at: Some(at), simulated, ..Extra::default() };
            extra
        });
        Job {
            poller: PollerState {
                seed: self.seed,
                started: self.started,
                born: self.born,
                latest: self.latest,
                anchor: self.anchor,
                floor: self.floor,
                failing_since: 0,
                denied_since: 0,
                previous_gap: self.previous_gap,
                phase,
                looks: self.looks,
                failed_looks: 0,
                gaps: self.gaps,
                failures: 0,
                setbacks: 0,
                denials: 0,
                last_error: None,
                throttled: false,
                woken: false,
                proven: self.flags & PROVEN > 0,
            },
            hop: None,
            state: words.word(self.state).cloned(),
            message: None,
            requests: self.requests,
            failed_requests: 0,
            seen: self.flags & SEEN > 0,
            sent_at: Timestamp::from_nanos(self.anchor),
            unfinished_at: (self.unfinished_at != NEVER).then(|| Timestamp::from_nanos(self.unfinished_at)),
            extra,
            job: self.job,
        }
    }

    /// Like [`unpack`](Self::unpack), and leaves the packed one as it is.
    pub(crate) fn unpacked(&self, words: &Words) -> Job {
        let copy = Self { job: self.job.clone(), ..*self };
        copy.unpack(words)
    }

    pub(crate) fn job(&self) -> &JobRef {
        &self.job
    }

    pub(crate) fn state<'w>(&self, words: &'w Words) -> Option<&'w str> {
        words.word(self.state).map(|word| &**word)
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    /// When the next look is due; `None` where the wait was stopped.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.reason.map(|_| Timestamp::from_nanos(self.until))
    }

    /// The instant of the final look under this time limit.
    pub(crate) fn deadline(&self, timeout: Duration) -> Timestamp {
        Timestamp::from_nanos(self.started).saturating_add(timeout)
    }
}

impl Extra {
    /// There is nothing in it but the creation, at this instant.
    fn is_creation_at(&self, born: u64) -> bool {
        let created = self.created_at == Some(Timestamp::from_nanos(born));
        created
            && !self.missed
            && !self.apart
            && self.moved_to.is_none()
            && self.told.is_none()
            && self.refined.is_empty()
            && self.started_at.is_none()
            && self.ended_at.is_none()
            && self.result.is_none()
            && self.progress.is_none()
            && self.queue_position.is_none()
            && self.cancel_at.is_none()
            && self.taught.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::{Address, JobClass};
    use crate::job::hop::Hop;
    use crate::learn::{Lesson, Since, Taught};
    use crate::{LookError, Observation, Policy, PolicySchedule};

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_packed_job_is_small() {
        assert!(size_of::<Packed>() <= 120, "{}", size_of::<Packed>());
        assert!(size_of::<Job>() <= 336, "{}", size_of::<Job>());
    }

    /// A job that was looked at twice, and sleeps until the third time.
    fn sleeper() -> Box<Job> {
        let (policy, reference) = (Policy::default(), JobRef::new("job-7").unwrap());
        let mut job = Job::new(reference, &policy, &PolicySchedule, START, 42);
        for second in [3, 9] {
            let now = START.saturating_add(Duration::from_secs(second));
            let attempt = job.poller.look_early(&policy, now).unwrap();
            let unfinished = Observation::Running { hint: None };
            let _ = job.poller.handle_observation(&policy, &PolicySchedule, now, attempt.id, unfinished).unwrap();
            (job.unfinished_at, job.sent_at) = (Some(now), now);
        }
        (job.requests, job.seen) = (5, true);
        Box::new(job)
    }

    /// The same, where the backend tells when it was created.
    fn dated(simulated: bool) -> Box<Job> {
        let mut job = sleeper();
        job.poller.note_born(START.saturating_sub(Duration::from_secs(30)));
        let created_at = Some(Timestamp::from_nanos(job.poller.born));
        job.extra = Some(Box::new(Extra { created_at, simulated, ..Extra::default() }));
        job
    }

    /// Everything that a job remembers, what no snapshot carries included.
    fn remembered(job: &Job) -> (Value, [Value; 7]) {
        let extra = job.extra.as_deref().cloned().unwrap_or_default();
        let unstored = [
            json!(job.hop.is_some()),
            json!(extra.result),
            json!(extra.progress),
            json!(extra.queue_position),
            json!(extra.cancel_at.is_some()),
            json!(extra.simulated),
            json!(extra.taught.is_some()),
        ];
        (serde_json::to_value(job).unwrap(), unstored)
    }

    /// Puts a job to sleep and wakes it up. Tells whether it slept packed.
    fn sleeps_packed(mut job: Box<Job>) -> bool {
        let (before, mut words) = (remembered(&job), Words::default());
        let (due, started) = (job.poller.due(), job.poller.started());
        let state = job.state.clone();
        match Packed::pack(&mut job, &mut words) {
            None => {
                assert_eq!(remembered(&job), before);
                false
            }
            Some(packed) => {
                assert_eq!((packed.due(), packed.requests()), (due, 5));
                assert_eq!((packed.job().id(), packed.state(&words)), ("job-7", state.as_deref()));
                let timeout = Duration::from_secs(100);
                assert_eq!(packed.deadline(timeout), started.saturating_add(timeout));
                assert_eq!(remembered(&packed.unpacked(&words)), before);
                assert_eq!(remembered(&packed.unpack(&words)), before);
                true
            }
        }
    }

    /// What most jobs of a million are: they must be small.
    #[test]
    fn a_job_without_a_story_sleeps_packed() {
        assert!(sleeps_packed(sleeper()) && sleeps_packed(dated(false)) && sleeps_packed(dated(true)));
        for (seen, proven, unfinished) in
            [(false, false, None), (true, false, Some(START)), (false, true, Some(Timestamp::UNIX_EPOCH))]
        {
            for mut job in [sleeper(), dated(false), dated(true)] {
                (job.seen, job.poller.proven, job.unfinished_at) = (seen, proven, unfinished);
                job.state = Some("heating".into());
                assert!(sleeps_packed(job), "{seen} {proven} {unfinished:?}");
            }
        }
        let mut ours = sleeper();
        ours.job = ours.job.clone().with_created_at(START);
        assert!(sleeps_packed(ours));
        let mut stopped = sleeper();
        let _ = stopped.poller.stop(START.saturating_add(Duration::from_secs(20)));
        assert!(sleeps_packed(stopped));
    }

    /// A job with a story is not packed, or what it has been through would be forgotten.
    #[test]
    fn whatever_a_job_has_been_through_survives_its_sleep() {
        let jobs: [fn(&mut Job); 14] = [
            |job| job.message = Some("it was too hot".into()),
            |job| job.failed_requests = 1,
            |job| job.hop = Some(Box::new(Hop::new(0, None))),
            |job| job.poller.failed_looks = 1,
            |job| job.poller.failures = 1,
            |job| job.poller.setbacks = 1,
            |job| job.poller.denials = 1,
            |job| job.poller.last_error = Some(LookError::Expired),
            |job| job.poller.throttled = true,
            |job| job.poller.woken = true,
            |job| job.poller.phase = Phase::InFlight { expires: START.as_nanos() + 30_000_000_000 },
            |job| {
                let (outcome, reason) = (Outcome::Succeeded, EndReason::Told);
                job.poller.phase = Phase::Ended { at: START.as_nanos(), outcome, reason };
            },
            // As a total timeout ends it while somebody stops it.
            |job| {
                let (outcome, reason) = (Outcome::Stopped, EndReason::Deadline);
                job.poller.phase = Phase::Ended { at: START.as_nanos(), outcome, reason };
            },
            |job| {
                let (outcome, reason) = (Outcome::TimedOut, EndReason::Stopped);
                job.poller.phase = Phase::Ended { at: START.as_nanos(), outcome, reason };
            },
        ];
        for (number, story) in jobs.iter().enumerate() {
            for mut job in [sleeper(), dated(true)] {
                story(&mut job);
                assert!(!sleeps_packed(job), "{number}");
            }
        }
        let extras: [fn(&mut Extra); 13] = [
            |extra| extra.missed = true,
            |extra| extra.apart = true,
            |extra| extra.moved_to = Some("https://example.com/x".into()),
            |extra| extra.told = Some(JobClass::Failed),
            |extra| extra.refined = [(1, START)].into(),
            |extra| extra.created_at = Some(START),
            |extra| extra.started_at = Some(START),
            |extra| extra.ended_at = Some(START),
            |extra| extra.result = Some(json!(7)),
            |extra| extra.progress = Some(0.5),
            |extra| extra.queue_position = Some(3),
            |extra| extra.cancel_at = Some(Address::new("https://example.com/x".to_string())),
            |extra| {
                let lesson = Lesson::ended(Duration::ZERO, Duration::from_secs(1));
                extra.taught = Some(Taught { since: Since::Creation, lesson, simulated: false });
            },
        ];
        for (number, story) in extras.iter().enumerate() {
            let mut job = dated(false);
            story(job.extra());
            assert!(!sleeps_packed(job), "{number}");
        }
    }

    /// Words are kept once for all; a backend that invents ever new ones fills nothing, and no job gets another's word.
    #[test]
    fn words_are_shared_and_only_so_many() {
        let mut words = Words::default();
        let mut pack = |word: &str| {
            let mut job = sleeper();
            job.state = Some(word.into());
            let packed = Packed::pack(&mut job, &mut words);
            (packed, job, words.0.len())
        };
        let mut packed = Vec::new();
        for n in 0..2 * MOST_WORDS {
            let word = (n % MOST_WORDS).to_string();
            packed.push((word.clone(), pack(&word).0.unwrap()));
        }
        let (packed_too, one_more, kept) = pack("one more");
        assert_eq!((packed_too.is_some(), one_more.state.as_deref(), kept), (false, Some("one more"), MOST_WORDS));
        for (word, job) in packed {
            assert_eq!(job.state(&words), Some(word.as_str()));
            assert_eq!(job.unpack(&words).state.as_deref(), Some(word.as_str()));
        }
    }
}
