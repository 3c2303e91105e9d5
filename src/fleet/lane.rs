//! What all jobs of one origin share: places and the rate, cool-downs and outages, and who waits in line for them.

use core::time::Duration;
use std::collections::VecDeque;
use std::string::String;

use super::company::Company;
use super::rate::{Pace, RateLimit};
use super::requests::Batch;
use super::slab::Queue;
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

    /// Those who are due, and those who are so at or after their deadline.
    pub(super) fn line(&mut self, queue: Queue) -> &mut VecDeque<u32> {
        if queue == Queue::Urgent { &mut self.urgent } else { &mut self.ready }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(600);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000).saturating_add(Duration::from_millis(millis))
    }

    fn lane(rate: Option<f64>) -> Lane {
        Lane::new(String::new(), 8, rate.and_then(|rate| RateLimit::per_second(rate).ok()))
    }

    #[test]
    fn whoever_stands_anywhere_is_a_line() {
        assert!(!lane(None).has_line());
        let stand: [fn(&mut Lane); 4] = [
            |lane| lane.hops.push_back(0),
            |lane| lane.batches.push_back(Batch::default()),
            |lane| lane.urgent.push_back(0),
            |lane| lane.ready.push_back(0),
        ];
        for stand in stand {
            let mut lane = lane(None);
            stand(&mut lane);
            assert!(lane.has_line());
        }
    }

    /// What is sent as the silence ends was sent after it; what was under way before proves nothing.
    #[test]
    fn the_probe_may_go_at_the_very_end_of_a_cool_down() {
        let mut lane = lane(None);
        let throttled = Taken { throttled: true, cool_down: Some(Duration::from_secs(5)), ..Taken::default() };
        lane.note_answer(&throttled, at(0), at(100), LONGEST);
        assert_eq!((lane.cooling(at(5_099)), lane.cooling(at(5_100))), (Some(at(5_100)), None));
        lane.note_sent(at(5_100));
        let answered = Taken { answered: true, ..Taken::default() };
        lane.note_answer(&answered, at(5_099), at(5_200), LONGEST);
        assert!(!lane.has_room());
        lane.note_answer(&answered, at(5_100), at(5_200), LONGEST);
        assert!(lane.has_room());
    }

    #[test]
    fn what_no_backend_can_mean_cools_nobody() {
        let hint = |time: Duration| {
            let mut lane = lane(None);
            lane.note_answer(&Taken { cool_down: Some(time), ..Taken::default() }, at(0), at(0), LONGEST);
            lane.cooling(at(0))
        };
        assert_eq!(hint(LONGEST_CREDIBLE_HINT), Some(at(600_000)));
        assert_eq!(hint(LONGEST_CREDIBLE_HINT.saturating_add(Duration::from_nanos(1))), None);
    }

    /// Each of these requests is sent as the one before fails.
    #[test]
    fn three_failures_in_a_row_are_an_outage_that_began_with_the_first() {
        let mut lane = lane(None);
        let (second, none) = (Duration::from_secs(1), Duration::ZERO);
        for round in 0..3 {
            assert!(!lane.is_out() && lane.open_at(second) <= at(0));
            // What overlaps is one round.
            lane.note_failure(LookError::Unreachable, at(round * 1_000), at(round * 1_000 + 1_000));
            lane.note_failure(LookError::Expired, at(round * 1_000), at(round * 1_000 + 1_001));
        }
        assert!(lane.is_out());
        assert_eq!(lane.open_at(second), at(4_000));
        let lasts = |rounds, time, now| lane.outage(rounds, time, now).map(|outage| outage.error);
        let two = Duration::from_secs(2);
        assert_eq!(lasts(3, two, at(3_000)), Some(LookError::Expired));
        assert_eq!((lasts(3, two, at(2_999)), lasts(4, none, at(9_000))), (None, None));
    }

    /// What was sent since the last time, and the line, of which a request takes several at once.
    #[test]
    fn a_budget_is_what_is_left_of_the_rate() {
        let (mut lane, mut budget) = (lane(Some(10.0)), Budget::default());
        for (requests, used, ready, wait) in [(9, 9.0, 0, 0.0), (17, 8.0, 80, 2.0)] {
            lane.stats.requests = requests;
            lane.ready.extend(0..ready);
            assert_eq!(lane.budget(3.0, 4.0), Some(budget.next(10.0, used, 3.0, wait)));
        }
    }

    #[test]
    fn places_limit_the_rate_where_answers_take_long() {
        let mut lane = lane(None);
        assert_eq!(lane.capacity(), None);
        lane.stats.response_time.record(Duration::ZERO);
        assert_eq!(lane.capacity(), None);
        lane.stats.response_time.record(Duration::from_secs(8));
        // Eight places for four seconds each.
        assert_eq!(lane.capacity(), Some(2.0));
        lane.set_rate(RateLimit::per_second(1.0).ok());
        assert_eq!(lane.capacity(), Some(1.0));
    }
}
