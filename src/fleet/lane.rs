//! What all jobs of one origin share: places and the rate, cool-downs and outages, and who waits in line for them.

use core::time::Duration;
use std::collections::VecDeque;
use std::string::String;

use super::company::Company;
use super::rate::{Pace, RateLimit};
use super::requests::Batch;
use crate::job::Taken;
use crate::learn::budget::{Budget, PERIOD};
use crate::policy::LONGEST_CREDIBLE_HINT;
use crate::{LookError, Stats, Timestamp};

/// So many failed rounds without an answer in between are an outage. Requests that overlap are one round.
const OUTAGE: u32 = 3;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) origin: String,
    pub(super) stats: Stats,
    /// In flight, with a redirect to follow.
    pub(super) hops: VecDeque<u32>,
    /// Shared requests to be sent in a running attempt: parts, further pages, repetitions.
    pub(super) batches: VecDeque<Batch>,
    /// Due at or after their deadline.
    pub(super) urgent: VecDeque<u32>,
    /// Due, in the order in which they became so.
    pub(super) ready: VecDeque<u32>,
    /// When those who are due are searched for deadlines that come soon.
    pub(super) search_at: Option<Timestamp>,
    pub(super) company: Company,
    /// The backend has given a good answer.
    pub(super) proven: bool,
    in_flight: usize,
    limit: usize,
    pace: Pace,
    budget: Budget,
    /// Requests that the budget has counted.
    counted: u64,
    cool_until: Timestamp,
    /// After a throttle one request goes first, and the others when it was answered well.
    probing: bool,
    outage: Outage,
}

/// Failed requests since the last answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    rounds: u32,
    since: Timestamp,
    /// When the present round failed.
    last: Timestamp,
    pub(super) error: LookError,
}

impl Lane {
    pub(super) fn new(origin: String, limit: usize, rate: Option<RateLimit>) -> Self {
        let outage = Outage {
            rounds: 0,
            since: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            error: LookError::Unreachable,
        };
        Self {
            origin,
            stats: Stats::default(),
            hops: VecDeque::new(),
            batches: VecDeque::new(),
            urgent: VecDeque::new(),
            ready: VecDeque::new(),
            search_at: None,
            company: Company::default(),
            proven: false,
            in_flight: 0,
            limit: limit.max(1),
            pace: Pace::new(rate),
            budget: Budget::default(),
            counted: 0,
            cool_until: Timestamp::UNIX_EPOCH,
            probing: false,
            outage,
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    pub(super) fn set_rate(&mut self, rate: Option<RateLimit>) {
        self.pace.set_limit(rate);
    }

    pub(super) fn has_line(&self) -> bool {
        !(self.hops.is_empty() && self.batches.is_empty() && self.urgent.is_empty() && self.ready.is_empty())
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < if self.probing || self.is_out() { 1 } else { self.limit }
    }

    /// When the next request may go, as far as that is a matter of time; the past means now.
    pub(super) fn open_at(&self, spacing: Duration) -> Timestamp {
        let probe = if self.is_out() { self.outage.last.saturating_add(spacing) } else { Timestamp::UNIX_EPOCH };
        self.pace.next().max(probe)
    }

    pub(super) fn note_sent(&mut self, now: Timestamp) {
        self.in_flight += 1;
        self.pace.take(now);
    }

    pub(super) fn note_ended(&mut self) {
        self.in_flight -= 1;
    }

    /// The requests that each of so many jobs a second may cost, once in each [`PERIOD`]; `None` where nothing limits them.
    /// A request asks for so many of those in line at once.
    #[allow(clippy::cast_precision_loss)] // nobody has 2^52 of them
    pub(super) fn budget(&mut self, jobs: f64, company: f64) -> Option<f64> {
        let rate = self.capacity()?;
        let used = (self.stats.requests - self.counted) as f64 / PERIOD;
        self.counted = self.stats.requests;
        Some(self.budget.next(rate, used, jobs, self.ready.len() as f64 / company / rate))
    }

    /// The requests per second that its limits allow.
    #[allow(clippy::cast_precision_loss)] // nobody has 2^52 places
    fn capacity(&self) -> Option<f64> {
        let by_rate = self.pace.limit().map(|limit| 1.0 / limit.interval().as_secs_f64());
        let by_places = self.stats.response_time.mean().filter(|time| !time.is_zero());
        let by_places = by_places.map(|time| self.limit as f64 / time.as_secs_f64());
        by_rate.into_iter().chain(by_places).min_by(f64::total_cmp)
    }

    /// The end of the present cool-down.
    pub(super) fn cooling(&self, now: Timestamp) -> Option<Timestamp> {
        (now < self.cool_until).then_some(self.cool_until)
    }

    pub(super) fn note_answer(&mut self, taken: &Taken, sent_at: Timestamp, now: Timestamp, longest: Duration) {
        self.proven |= taken.good;
        if let Some(time) = taken.cool_down.filter(|time| *time <= LONGEST_CREDIBLE_HINT) {
            self.cool_until = self.cool_until.max(now.saturating_add(time.min(longest)));
            self.probing = true;
        } else if taken.throttled {
            // For how long is not told: until a request that is sent from now on is answered well.
            self.cool_until = self.cool_until.max(now);
            self.probing = true;
        } else if sent_at >= self.cool_until && taken.answered {
            self.probing = false;
        }
        if taken.answered || taken.throttled {
            self.outage.rounds = 0;
        }
    }

    /// A request brought no answer, or one that says that the backend is broken.
    pub(super) fn note_failure(&mut self, error: LookError, sent_at: Timestamp, now: Timestamp) {
        let outage = &mut self.outage;
        if outage.rounds == 0 {
            outage.since = now;
        }
        // What was sent before the round failed belongs to it.
        if outage.rounds == 0 || sent_at >= outage.last {
            outage.rounds = outage.rounds.saturating_add(1);
            outage.last = now;
        }
        outage.error = error;
    }

    /// There is an outage: one request at a time finds out whether it is over.
    pub(super) fn is_out(&self) -> bool {
        self.outage.rounds >= OUTAGE
    }

    /// The outage that has lasted for at least so many rounds, and for at least this time.
    pub(super) fn outage(&self, rounds: u32, time: Duration, now: Timestamp) -> Option<Outage> {
        let lasted = now.saturating_since(self.outage.since);
        (self.is_out() && self.outage.rounds >= rounds && lasted >= time).then_some(self.outage)
    }
}
