//! The reference: a list of jobs, a list of requests, and what each answer does to each of them. No packing, no heaps, no
//! timers: at every instant it goes over all there is.

use std::collections::VecDeque;
use std::sync::Arc;

use jobwatch::{AttemptId, LookError, Observation, Policy, PollerState, Timestamp};

use crate::list_job::{Job, Line, News, Under, Way};
use crate::list_key::{Key, Renewal};
use crate::list_lane::Lane;
use crate::list_says::{ORIGINS, Subject};

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
    pub(crate) subject: Subject,
    pub(crate) lane: usize,
    pub(crate) sent_at: Timestamp,
    pub(crate) expires: Timestamp,
    /// The number of the key that it was sent with.
    pub(crate) key: u32,
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
    /// The first is that of the backend's own origin, where the lists are.
    pub(crate) lanes: Vec<Lane>,
    /// The one whose turn it is.
    pub(crate) turn: usize,
    pub(crate) jobs: Vec<Job>,
    pub(crate) wire: Vec<OnWire>,
    /// Those that have to be sent in attempts that are under way.
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
            lanes: vec![lane],
            turn: 0,
            jobs: Vec::new(),
            wire: Vec::new(),
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

    /// The lane of an address.
    pub(crate) fn lane_of(&mut self, address: &str) -> usize {
        let origin = ORIGINS.into_iter().find(|origin| address.starts_with(origin)).expect("an origin of ours");
        if let Some(known) = self.lanes.iter().position(|lane| lane.origin == origin) {
            return known;
        }
        self.lanes.push(self.lanes[0].like(origin));
        self.lanes.len() - 1
    }

    /// Time passes: requests end, attempts end, jobs get in line, and leave it without a look.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        self.polls += 1;
        let (mut over, on_wire): (Vec<_>, Vec<_>) = self.wire.drain(..).partition(|request| request.expires <= now);
        self.wire = on_wire;
        over.sort_by_key(|request| request.expires);
        for request in over {
            self.lanes[request.lane].note_failure(LookError::Expired, request.sent_at, now);
            let members = match request.asks {
                Asks::Alone(member, _) => vec![member],
                Asks::List(list) => {
                    self.counts.failed += 1;
                    self.lanes[request.lane].note_failed_list(list.ids.len());
                    let is_sharing = |member: &Member| self.jobs[member.0].is_sharing(member.1);
                    list.members.into_iter().filter(is_sharing).collect()
                }
            };
            for (number, _) in members {
                self.expire(number, request.lane, now);
            }
        }
        for number in 0..self.jobs.len() {
            if self.jobs[number].is_overdue(now) {
                self.expire(number, self.jobs[number].lane, now);
            }
        }
        for number in 0..self.jobs.len() {
            if self.jobs[number].is_waiting() {
                self.line_up(number, now);
            }
        }
    }

    /// An attempt whose time is over is taken back as of then; its request was this lane's.
    pub(crate) fn expire(&mut self, number: usize, lane: usize, now: Timestamp) {
        self.note_proven(number, lane);
        let job = &self.jobs[number];
        let Some(expires) = job.poller.due().filter(|_| job.is_overdue(now)) else { return };
        let is_alone = matches!(job.under, Under::Alone { .. });
        let observation = Observation::Transient { error: LookError::Expired, hint: None };
        let failed = self.conclude(number, lane, expires, observation);
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

    /// Whatever is done to a job by a lane tells it whether good answers come from there.
    pub(crate) fn note_proven(&mut self, number: usize, lane: usize) {
        if self.jobs[number].is_here && self.lanes[lane].proven {
            self.jobs[number].poller.note_backend_proven();
        }
    }

    pub(crate) fn conclude(&mut self, number: usize, lane: usize, now: Timestamp, observation: Observation) -> bool {
        let policy = self.policy(number);
        self.note_proven(number, lane);
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
            self.key.results_refused = false;
        } else {
            self.key.renewal = Renewal::Possible;
            self.refuse(now);
        }
    }

    /// A job leaves its list and is asked for alone, in the same attempt.
    pub(crate) fn ask_alone(&mut self, number: usize) {
        self.jobs[number].way = Way::new(&self.jobs[number].home);
        self.ask_further(number);
    }

    /// A job goes on by another request of the same attempt, which is for it alone.
    pub(crate) fn ask_further(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        let before = if let Under::Alone { number, .. } = job.under { number } else { 0 };
        job.under = Under::Alone { number: before + 1, pending: true };
        let address = job.way.address().to_string();
        let lane = self.lane_of(&address);
        self.lanes[lane].further.push_back(number);
    }

    /// Everybody was written down and read again by somebody who knows nothing else.
    pub(crate) fn restart(&mut self, lane: Lane, key: Key, now: Timestamp) {
        (self.lanes, self.turn, self.key) = (vec![lane], 0, key);
        (self.counts, self.places_left) = (Counts::default(), 0);
        (self.wire, self.lists) = (Vec::new(), VecDeque::new());
        for number in 0..self.jobs.len() {
            let policy = self.policy(number);
            if self.jobs[number].is_here {
                self.go_home(number);
                let job = &mut self.jobs[number];
                (job.under, job.line, job.may_jump) = (Under::Nothing, Line::Nowhere, false);
                job.poller.rebase(now);
                job.poller.abandon_in_flight(&policy, now);
                self.settle(number, now);
            }
        }
    }

    /// Looks at this job are its home's.
    pub(crate) fn go_home(&mut self, number: usize) {
        let home = self.jobs[number].home.clone();
        self.jobs[number].lane = self.lane_of(&home);
    }

    /// A job comes in, perhaps as another one that was taken out.
    pub(crate) fn insert(&mut self, job: Job, now: Timestamp) {
        let number = self.jobs.len();
        self.jobs.push(Job { may_jump: self.places_left > 0, ..job });
        self.go_home(number);
        self.settle(number, now);
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
