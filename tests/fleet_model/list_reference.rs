//! The reference: a list of jobs, a list of requests, and what each answer does to each of them. No packing, no heaps, no
//! timers: at every instant it goes over all there is.

use std::collections::VecDeque;
use std::sync::Arc;

use jobwatch::{AttemptId, EndReason, LookError, Observation, Outcome, Policy, PollerState, Timestamp};

use crate::list_job::{Job, Line, News, Under};
use crate::list_key::{Key, Renewal};
use crate::list_lane::Lane;

/// A job by its number, and the attempt in which it is asked for.
pub(crate) type Member = (usize, AttemptId);

/// Jobs that one request asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) members: Vec<Member>,
    /// The ids of its first page.
    pub(crate) ids: Vec<String>,
    /// The page's token, and how many came before it.
    pub(crate) page: Option<(String, u32)>,
    /// A part of one that was refused.
    pub(crate) suspect: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Asks {
    Alone(Member, u32),
    List(List),
}

/// A request under way.
#[derive(Clone, Debug)]
pub(crate) struct OnWire {
    pub(crate) asks: Asks,
    pub(crate) ids: Vec<String>,
    pub(crate) sent_at: Timestamp,
    pub(crate) expires: Timestamp,
    /// The number of the key that it was sent with.
    pub(crate) key: u32,
}

/// What must be done now.
#[derive(Debug)]
pub(crate) enum Next {
    Nothing,
    /// Another key is needed.
    Renew,
    /// A further request for this job, in the attempt under way.
    Alone(usize),
    /// A part of a list, or its next page.
    List(List),
    /// A look at whoever is due first, and at those who join.
    Look,
}

/// Requests of all jobs, counted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) lists: u64,
    pub(crate) failed: u64,
    pub(crate) throttled: u64,
    pub(crate) hints: u64,
    pub(crate) ends: u64,
}

pub(crate) struct Reference {
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) detail: bool,
    pub(crate) lane: Lane,
    pub(crate) jobs: Vec<Job>,
    pub(crate) wire: Vec<OnWire>,
    /// Further requests that have to be sent, of one job and of lists.
    pub(crate) further: VecDeque<usize>,
    pub(crate) lists: VecDeque<List>,
    polls: u64,
    /// So many have left a line without a look; each place is taken by whoever comes next, or considered in vain, once.
    pub(crate) places_left: usize,
    pub(crate) key: Key,
    pub(crate) counts: Counts,
}

impl Reference {
    pub(crate) fn new(policies: Vec<Arc<Policy>>, detail: bool, lane: Lane, key: Key) -> Self {
        Self {
            policies,
            detail,
            lane,
            jobs: Vec::new(),
            wire: Vec::new(),
            further: VecDeque::new(),
            lists: VecDeque::new(),
            polls: 0,
            places_left: 0,
            key,
            counts: Counts::default(),
        }
    }

    pub(crate) fn policy(&self, number: usize) -> Arc<Policy> {
        Arc::clone(&self.policies[self.jobs[number].class])
    }

    pub(crate) fn deadline(&self, number: usize) -> Timestamp {
        let timeout = self.policy(number).total_timeout().unwrap();
        self.jobs[number].poller.started().saturating_add(timeout)
    }

    /// Time passes: requests end, attempts end, jobs get in line, and leave it without a look.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        self.polls += 1;
        let (mut over, on_wire): (Vec<_>, Vec<_>) = self.wire.drain(..).partition(|request| request.expires <= now);
        self.wire = on_wire;
        over.sort_by_key(|request| request.expires);
        for request in over {
            self.lane.note_failure(LookError::Expired, request.sent_at, now);
            if let Asks::List(list) = request.asks {
                self.counts.failed += 1;
                self.lane.note_failed_list(list.ids.len());
            }
        }
        for number in 0..self.jobs.len() {
            self.expire(number, now);
        }
        for number in 0..self.jobs.len() {
            if self.jobs[number].is_waiting() {
                self.line_up(number, now);
            }
        }
    }

    /// An attempt whose time is over is taken back as of then.
    pub(crate) fn expire(&mut self, number: usize, now: Timestamp) {
        let job = &self.jobs[number];
        let Some(expires) = job.poller.due().filter(|due| job.is_here && !job.is_waiting() && *due <= now) else {
            return;
        };
        let is_alone = matches!(job.under, Under::Alone { .. });
        let observation = Observation::Transient { error: LookError::Expired, hint: None };
        let failed = self.conclude(number, expires, observation);
        // A list is counted once, by itself.
        self.counts.failed += u64::from(failed && is_alone);
        self.settle(number, now);
    }

    fn line_up(&mut self, number: usize, now: Timestamp) {
        let (deadline, grace) = (self.deadline(number), self.policy(number).final_grace());
        let polls = self.polls;
        let urgent = |since| Line::Urgent { since: (polls, since), until: now.saturating_add(grace) };
        let job = &mut self.jobs[number];
        let due = job.poller.due().expect("it waits");
        job.line = match job.line {
            Line::Nowhere if due <= now && deadline <= now => urgent(due),
            Line::Nowhere if due <= now => Line::Ready { since: (polls, due) },
            Line::Ready { .. } if deadline <= now => {
                self.places_left += 1;
                urgent(deadline)
            }
            line => line,
        };
        if let Line::Urgent { until, .. } = job.line
            && until <= now
        {
            assert!(job.poller.end_overdue(&self.policies[job.class], now));
            self.settle(number, now);
        }
    }

    pub(crate) fn conclude(&mut self, number: usize, now: Timestamp, observation: Observation) -> bool {
        let policy = self.policy(number);
        if self.lane.proven {
            self.jobs[number].poller.note_backend_proven();
        }
        self.jobs[number].conclude(&policy, now, observation)
    }

    /// What follows from what a job has become.
    pub(crate) fn settle(&mut self, number: usize, now: Timestamp) {
        let refused = self.key.refused;
        let job = &mut self.jobs[number];
        if !job.is_here {
            return;
        }
        let is_between =
            matches!(job.under, Under::List { pending: true } | Under::Alone { pending: true, .. }) || job.is_waiting();
        if refused && is_between {
            job.poller.refuse(now, LookError::Status(401));
        }
        if let Some(over) = job.over() {
            self.places_left += usize::from(job.line != Line::Nowhere);
            (job.is_here, job.line) = (false, Line::Nowhere);
            self.counts.ends += 1;
            job.news.push(News::Over(over));
        }
    }

    pub(crate) fn refuse(&mut self, now: Timestamp) {
        self.key.refused = true;
        (0..self.jobs.len()).for_each(|number| self.settle(number, now));
    }

    /// The renewal under way has ended.
    pub(crate) fn renewed(&mut self, succeeds: bool, now: Timestamp) {
        if succeeds {
            (self.key.number, self.key.renewal) = (self.key.number + 1, Renewal::Unproven);
        } else {
            self.key.renewal = Renewal::Possible;
            self.refuse(now);
        }
    }

    /// A job goes on by the n-th request of the same attempt, which is for it alone.
    pub(crate) fn ask_alone(&mut self, job: usize, number: u32) {
        self.jobs[job].under = Under::Alone { number, pending: true };
        self.further.push_back(job);
    }

    /// What must be done at this instant.
    pub(crate) fn next(&mut self, now: Timestamp) -> Next {
        match self.key.renewal {
            Renewal::Wanted => {
                self.key.renewal = Renewal::UnderWay;
                return Next::Renew;
            }
            Renewal::UnderWay => return Next::Nothing,
            _ => {}
        }
        if now < self.lane.silent_until {
            self.send_away(now);
            return Next::Nothing;
        }
        let places = if self.lane.probing || self.lane.is_out() { 1 } else { self.lane.limit };
        if self.wire.len() >= places || now < self.lane.opens_at() {
            return Next::Nothing;
        }
        loop {
            if let Some(number) = self.further.pop_front() {
                if self.jobs[number].is_here && matches!(self.jobs[number].under, Under::Alone { pending: true, .. }) {
                    return Next::Alone(number);
                }
            } else if let Some(mut list) = self.lists.pop_front() {
                list.members.retain(|(number, attempt)| self.jobs[*number].is_sharing(*attempt));
                match list.members[..] {
                    [] => {}
                    [(number, _)] if list.page.is_none() => {
                        self.jobs[number].apart |= list.suspect;
                        self.ask_alone(number, 1);
                        self.settle(number, now);
                    }
                    _ => return Next::List(list),
                }
            } else {
                return self.next_look(now);
            }
        }
    }

    /// Final looks go first; where an outage is hopeless, nobody else waits for its end.
    fn next_look(&mut self, now: Timestamp) -> Next {
        let in_line = |line: fn(Line) -> bool| move |job: &Job| job.is_waiting() && line(job.line);
        if self.jobs.iter().any(in_line(|line| matches!(line, Line::Urgent { .. }))) {
            return Next::Look;
        }
        let is_ready = in_line(|line| matches!(line, Line::Ready { .. }));
        let longest = self.policies[0].max_failure_time();
        if self.lane.is_hopeless(longest, now) {
            for number in 0..self.jobs.len() {
                if is_ready(&self.jobs[number]) {
                    self.give_up(number, now);
                }
            }
        }
        if self.jobs.iter().any(is_ready) { Next::Look } else { Next::Nothing }
    }

    /// The public poller cannot be told to give up: the end is written down as it must be.
    fn give_up(&mut self, number: usize, now: Timestamp) {
        let reason = if self.lane.proven { EndReason::FailingTooLong } else { EndReason::FailuresSpent };
        let job = &mut self.jobs[number];
        (job.is_here, job.line) = (false, Line::Nowhere);
        self.counts.ends += 1;
        let over = job.over_as(Outcome::GaveUp, reason, Some(self.lane.error), now);
        job.news.push(News::Over(over));
    }

    /// In a silence nobody stands in line: each waits for its end.
    fn send_away(&mut self, now: Timestamp) {
        let until = self.lane.silent_until;
        let mut away: Vec<usize> = std::mem::take(&mut self.further).into();
        away.retain(|number| matches!(self.jobs[*number].under, Under::Alone { pending: true, .. }));
        for (number, attempt) in std::mem::take(&mut self.lists).into_iter().flat_map(|list| list.members) {
            if self.jobs[number].is_sharing(attempt) {
                away.push(number);
            }
        }
        for number in 0..self.jobs.len() {
            let policy = self.policy(number);
            let job = &mut self.jobs[number];
            if job.is_here && away.contains(&number) {
                job.under = Under::Nothing;
                job.poller.abandon_in_flight(&policy, now);
            } else if !(job.is_waiting() && job.line != Line::Nowhere) {
                continue;
            }
            job.poller.hold(&policy, now, until);
            job.line = Line::Nowhere;
            self.settle(number, now);
        }
    }

    /// Everybody was written down and read again by somebody who knows nothing else.
    pub(crate) fn restart(&mut self, lane: Lane, key: Key, now: Timestamp) {
        (self.lane, self.key, self.counts, self.places_left) = (lane, key, Counts::default(), 0);
        (self.wire, self.further, self.lists) = (Vec::new(), VecDeque::new(), VecDeque::new());
        for number in 0..self.jobs.len() {
            let policy = self.policy(number);
            let job = &mut self.jobs[number];
            if job.is_here {
                (job.under, job.line, job.may_jump) = (Under::Nothing, Line::Nowhere, false);
                job.poller.rebase(now);
                job.poller.abandon_in_flight(&policy, now);
                self.settle(number, now);
            }
        }
    }

    /// When something must be done at the latest, if no answer comes.
    pub(crate) fn next_instant(&self, now: Timestamp) -> Timestamp {
        let of_job = |number: usize| match self.jobs[number].line {
            Line::Nowhere => self.jobs[number].poller.due().expect("it goes on"),
            Line::Ready { .. } => self.deadline(number),
            Line::Urgent { until, .. } => until,
        };
        let here = (0..self.jobs.len()).filter(|number| self.jobs[*number].is_here);
        let mut until = here.map(of_job).min().unwrap_or(Timestamp::MAX);
        let is_line = !(self.further.is_empty() && self.lists.is_empty())
            || self.jobs.iter().any(|job| job.is_here && job.line != Line::Nowhere);
        // While the key is renewed, nobody waits for room.
        if is_line && self.key.renewal != Renewal::UnderWay {
            let opens_at = Some(self.lane.opens_at()).filter(|at| *at > now);
            let place = self.wire.iter().map(|request| request.expires).min();
            until = until.min(opens_at.or(place).unwrap_or(Timestamp::MAX));
        }
        until
    }

    /// A job comes in, perhaps as another one that was taken out.
    pub(crate) fn insert(&mut self, job: Job, now: Timestamp) {
        self.jobs.push(Job { may_jump: self.places_left > 0, ..job });
        self.settle(self.jobs.len() - 1, now);
    }

    /// A job is taken out.
    pub(crate) fn take_out(&mut self, number: usize) -> Job {
        let job = &mut self.jobs[number];
        self.places_left += usize::from(job.line != Line::Nowhere);
        job.is_here = false;
        job.clone()
    }

    pub(crate) fn poller(&self, class: usize, now: Timestamp, rng: &mut impl jobwatch::rand_core::Rng) -> PollerState {
        PollerState::new(&self.policies[class], &jobwatch::PolicySchedule, now, rng)
    }
}
