//! What must be done at an instant, and when there is more.

use jobwatch::{EndReason, Outcome, Timestamp};

use crate::list_job::{Job, Line, News, Under};
use crate::list_key::Renewal;
use crate::list_reference::{List, Reference};

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
    /// A look at whoever is due first in this lane, and at those who join.
    Look(usize),
}

impl Reference {
    /// Whether it is in this lane that the job's further request is to be sent.
    fn goes_on_in(&self, lane: usize, number: usize) -> bool {
        let job = &self.jobs[number];
        job.is_here
            && matches!(job.under, Under::Alone { pending: true, .. })
            && job.way.address().starts_with(&self.lanes[lane].origin)
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
        let (turn, lanes) = (self.turn, self.lanes.len());
        for lane in (0..lanes).map(|number| (turn + number) % lanes) {
            let next = self.next_of(lane, now);
            if !matches!(next, Next::Nothing) {
                self.turn = (lane + 1) % lanes;
                return next;
            }
        }
        Next::Nothing
    }

    fn next_of(&mut self, lane: usize, now: Timestamp) -> Next {
        let kept = &self.lanes[lane];
        if now < kept.silent_until {
            self.send_away(lane, now);
            return Next::Nothing;
        }
        let places = if kept.probing || kept.is_out() { 1 } else { kept.limit };
        let taken = self.wire.iter().filter(|request| request.lane == lane).count();
        if taken >= places || now < kept.opens_at() {
            return Next::Nothing;
        }
        loop {
            if let Some(number) = self.lanes[lane].further.pop_front() {
                if self.goes_on_in(lane, number) {
                    return Next::Alone(number);
                }
            } else if let Some(mut list) = self.next_list(lane) {
                list.members.retain(|(number, attempt)| self.jobs[*number].is_sharing(*attempt));
                match list.members[..] {
                    [] => {}
                    [(number, _)] if list.page.is_none() => {
                        self.jobs[number].apart |= list.suspect;
                        self.ask_alone(number);
                        self.settle(number, now);
                    }
                    _ => return Next::List(list),
                }
            } else {
                return self.next_look(lane, now);
            }
        }
    }

    fn next_list(&mut self, lane: usize) -> Option<List> {
        if lane == 0 { self.lists.pop_front() } else { None }
    }

    /// Final looks go first; where an outage is hopeless, nobody else waits for its end.
    fn next_look(&mut self, lane: usize, now: Timestamp) -> Next {
        let in_line = |line: fn(Line) -> bool| move |job: &Job| job.is_waiting() && job.lane == lane && line(job.line);
        if self.jobs.iter().any(in_line(|line| matches!(line, Line::Urgent { .. }))) {
            return Next::Look(lane);
        }
        let is_ready = in_line(|line| matches!(line, Line::Ready { .. }));
        let longest = self.policies[0].max_failure_time();
        if self.lanes[lane].is_hopeless(longest, now) {
            for number in 0..self.jobs.len() {
                if is_ready(&self.jobs[number]) {
                    self.give_up(number, now);
                }
            }
        }
        if self.jobs.iter().any(is_ready) { Next::Look(lane) } else { Next::Nothing }
    }

    /// The public poller cannot be told to give up: the end is written down as it must be.
    fn give_up(&mut self, number: usize, now: Timestamp) {
        let job = &mut self.jobs[number];
        let lane = &self.lanes[job.lane];
        let reason = if lane.proven { EndReason::FailingTooLong } else { EndReason::FailuresSpent };
        (job.is_here, job.line) = (false, Line::Nowhere);
        self.counts.ends += 1;
        let over = job.over_as(Outcome::GaveUp, reason, Some(lane.error), now);
        job.news.push(News::Over(over));
    }

    /// In a silence nobody stands in line: each waits for its end.
    fn send_away(&mut self, lane: usize, now: Timestamp) {
        let until = self.lanes[lane].silent_until;
        let mut away: Vec<usize> = std::mem::take(&mut self.lanes[lane].further).into();
        away.retain(|number| self.goes_on_in(lane, *number));
        let lists = core::iter::from_fn(|| self.next_list(lane)).collect::<Vec<_>>();
        for (number, attempt) in lists.into_iter().flat_map(|list| list.members) {
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
            } else if !(job.is_waiting() && job.lane == lane && job.line != Line::Nowhere) {
                continue;
            }
            job.poller.hold(&policy, now, until);
            job.line = Line::Nowhere;
            self.settle(number, now);
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
        // While the key is renewed, nobody waits for room.
        let lanes = if self.key.renewal == Renewal::UnderWay { 0 } else { self.lanes.len() };
        for lane in (0..lanes).filter(|lane| self.is_line(*lane)) {
            let opens_at = Some(self.lanes[lane].opens_at()).filter(|at| *at > now);
            let wire = self.wire.iter().filter(|request| request.lane == lane);
            let place = wire.map(|request| request.expires).min();
            until = until.min(opens_at.or(place).unwrap_or(Timestamp::MAX));
        }
        until
    }

    fn is_line(&self, lane: usize) -> bool {
        let stands = |job: &Job| job.is_here && job.lane == lane && job.line != Line::Nowhere;
        !self.lanes[lane].further.is_empty() || lane == 0 && !self.lists.is_empty() || self.jobs.iter().any(stands)
    }
}
