//! One job as the reference knows it: a poller that says when, and plain facts about its requests.

use core::time::Duration;

use jobwatch::{
    AttemptId, EndReason, JobHandle, LookError, Observation, Outcome, Policy, PolicySchedule, PollerState, Timestamp,
};

use crate::list_says::home;

/// What is under way for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    Nothing,
    /// A list that asks for others, too; `pending`: the next one of the same attempt is still to be sent.
    List {
        pending: bool,
    },
    /// The n-th request of the attempt, for this job alone.
    Alone {
        number: u32,
        pending: bool,
    },
}

/// The addresses of an attempt, the last of which is asked or is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) visited: Vec<String>,
    /// Every redirect so far was for ever.
    pub(crate) permanent: bool,
    /// It has led from the job to its result.
    pub(crate) for_result: bool,
}

impl Way {
    pub(crate) fn new(home: &str) -> Self {
        Self { visited: vec![home.to_string()], permanent: true, for_result: false }
    }

    pub(crate) fn address(&self) -> &str {
        self.visited.last().expect("it begins somewhere")
    }
}

/// Since when a job is due: by the poll that found it so, and among those of one poll by the instant.
pub(crate) type Since = (u64, Timestamp);

/// Where a due job waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Nowhere,
    Ready {
        since: Since,
    },
    /// At or after its deadline: it goes first, and finds room until then.
    Urgent {
        since: Since,
        until: Timestamp,
    },
}

/// What the fleet has to tell of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    Unknown(String),
    Changed(String),
    Over(Over),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Over {
    pub(crate) outcome: Outcome,
    pub(crate) reason: EndReason,
    pub(crate) state: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) last_error: Option<LookError>,
    pub(crate) requests: u32,
    pub(crate) failed_requests: u32,
    pub(crate) elapsed: Duration,
    pub(crate) delay: Option<Duration>,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Job {
    pub(crate) handle: JobHandle,
    pub(crate) id: String,
    pub(crate) class: usize,
    /// Where it is asked for, and by which lane.
    pub(crate) home: String,
    pub(crate) lane: usize,
    /// That is not where the dialect says.
    pub(crate) is_elsewhere: bool,
    pub(crate) poller: PollerState,
    pub(crate) way: Way,
    pub(crate) under: Under,
    pub(crate) line: Line,
    /// Its wait has not ended, and it was not taken out.
    pub(crate) is_here: bool,
    /// Its handle is of the present fleet.
    pub(crate) is_known: bool,
    /// It may stand in the place of one who left the line: when its turn comes is told by that place.
    pub(crate) may_jump: bool,
    /// Its end, which a list told that carries no result, and when.
    pub(crate) told: Option<(Outcome, Timestamp)>,
    /// The last list that asked for it did not mention it.
    pub(crate) missed: bool,
    /// Lists that named it were refused.
    pub(crate) apart: bool,
    pub(crate) state: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) requests: u32,
    pub(crate) failed_requests: u32,
    pub(crate) sent_at: Timestamp,
    pub(crate) unfinished_at: Option<Timestamp>,
    /// Not told yet.
    pub(crate) news: Vec<News>,
}

impl Job {
    pub(crate) fn new(handle: JobHandle, id: String, class: usize, poller: PollerState, now: Timestamp) -> Self {
        let is_elsewhere = id.starts_with("https:");
        let home = if is_elsewhere { id.clone() } else { home(&id) };
        Self {
            handle,
            id,
            class,
            way: Way::new(&home),
            home,
            lane: 0,
            is_elsewhere,
            poller,
            under: Under::Nothing,
            line: Line::Nowhere,
            is_here: true,
            is_known: true,
            may_jump: false,
            told: None,
            missed: false,
            apart: false,
            state: None,
            result: None,
            requests: 0,
            failed_requests: 0,
            sent_at: now,
            unfinished_at: None,
            news: Vec::new(),
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.is_here && self.poller.in_flight().is_none()
    }

    /// The time of its attempt is over.
    pub(crate) fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_here && self.poller.in_flight().is_some() && self.poller.due().is_some_and(|due| due <= now)
    }

    pub(crate) fn is_sharing(&self, attempt: AttemptId) -> bool {
        self.is_here && self.poller.in_flight() == Some(attempt) && matches!(self.under, Under::List { .. })
    }

    /// Whether the answer to this request is waited for.
    pub(crate) fn is_asked_alone(&self, attempt: AttemptId, number: u32) -> bool {
        self.is_here
            && self.poller.in_flight() == Some(attempt)
            && self.under == Under::Alone { number, pending: false }
    }

    /// A list may ask for it: it is where the dialect says, its id does not contain the separator, its end is not known, lists that named it were not
    /// refused, and its last look did not fail for the second time.
    pub(crate) fn may_share(&self) -> bool {
        let failures = serde_json::to_value(&self.poller).unwrap()["failures"].as_u64().unwrap();
        self.is_waiting()
            && !self.is_elsewhere
            && !self.id.contains(',')
            && self.told.is_none()
            && !self.apart
            && failures < 2
    }

    /// The look under way says this. Tells whether a request of it has failed.
    pub(crate) fn conclude(&mut self, policy: &Policy, now: Timestamp, observation: Observation) -> bool {
        let is_asked =
            !matches!(self.under, Under::Nothing | Under::List { pending: true } | Under::Alone { pending: true, .. });
        let is_bad = matches!(
            observation,
            Observation::Transient { .. } | Observation::Throttled { .. } | Observation::Fatal { .. }
        );
        self.under = Under::Nothing;
        self.failed_requests += u32::from(is_asked && is_bad);
        let attempt = self.poller.in_flight().expect("a look is under way");
        let _ = self.poller.handle_observation(policy, &PolicySchedule, now, attempt, observation).unwrap();
        is_asked && is_bad
    }

    /// The list is silent about it: it goes on, and what was denied before is neither confirmed nor taken back.
    pub(crate) fn conclude_untold(&mut self, policy: &Policy, now: Timestamp) {
        let before = serde_json::to_value(&self.poller).unwrap();
        self.conclude(policy, now, Observation::Running { hint: None });
        let mut after = serde_json::to_value(&self.poller).unwrap();
        for kept in ["denials", "proven"] {
            after[kept] = before[kept].clone();
        }
        self.poller = serde_json::from_value(after).unwrap();
    }

    pub(crate) fn note_state(&mut self, word: &str, is_known_word: bool) {
        if self.state.as_deref() != Some(word) {
            self.state = Some(word.to_string());
            self.news.extend((!is_known_word).then(|| News::Unknown(word.to_string())));
            self.news.push(News::Changed(word.to_string()));
        }
    }

    /// What is to be told if the wait has ended.
    pub(crate) fn over(&self) -> Option<Over> {
        let ended = self.poller.ended()?;
        let at = self.poller.started().saturating_add(ended.elapsed);
        Some(self.over_as(ended.outcome, ended.reason, ended.last_error, at))
    }

    /// The same of a wait that ended in this way: an end that was told stands, whatever came after.
    pub(crate) fn over_as(
        &self,
        outcome: Outcome,
        reason: EndReason,
        last_error: Option<LookError>,
        at: Timestamp,
    ) -> Over {
        let outcome = self.told.filter(|_| !outcome.is_jobs_end()).map_or(outcome, |(told, _)| told);
        let at = self.told.map_or(at, |(_, told_at)| at.max(told_at));
        Over {
            outcome,
            reason,
            state: self.state.clone(),
            result: self.result.clone().filter(|_| outcome == Outcome::Succeeded),
            last_error,
            requests: self.requests,
            failed_requests: self.failed_requests,
            elapsed: at.saturating_since(self.poller.started()),
            delay: self.unfinished_at.filter(|_| outcome.is_jobs_end()).map(|last| at.saturating_since(last)),
        }
    }
}
