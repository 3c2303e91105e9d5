//! What is known of one wait from outside: what it was told, when it may ask again, and how it may end.

use core::time::Duration;
use std::sync::Arc;

use jobwatch::{EndReason, Finished, JobHandle, JobRef, Outcome, Policy, Timestamp};

use super::clock::Clock;
use super::ledger::{Reply, Tell, What};
use super::server::Server;

/// What is longer is no hint.
pub(crate) const CREDIBLE: Duration = Duration::from_secs(24 * 60 * 60);

/// A policy, and what it does not tell of itself.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Arc<Policy>,
    /// So many denials are believed.
    pub(crate) patience: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Here,
    /// Taken out without a word.
    Removed,
    Finished,
}

/// A look under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) sent_at: Timestamp,
    /// The same in nanoseconds of the world.
    pub(crate) sent_in_world: u64,
    pub(crate) expires: Timestamp,
    /// Its present request, while no answer has come.
    pub(crate) request: Option<u64>,
    /// The same, or the one before.
    pub(crate) last: u64,
    pub(crate) in_list: bool,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Wait {
    /// Its name in a fleet.
    pub(crate) handle: Option<JobHandle>,
    /// As the client names it.
    pub(crate) job: JobRef,
    /// As the backend names it.
    pub(crate) id: String,
    pub(crate) class: usize,
    pub(crate) stage: Stage,
    /// The instant of the final look, which a clock that was set back between two lives of the client blurs.
    pub(crate) deadline: Option<(Timestamp, Timestamp)>,
    /// When a driver came first at or after the deadline.
    pub(crate) overdue_since: Option<Timestamp>,
    /// No new look before this, the final one aside.
    pub(crate) free_at: Timestamp,
    /// No look before this by the server's word on this job; it binds neither wakes nor the final look.
    pub(crate) hinted_until: Timestamp,
    /// The same after a throttle, which binds all.
    pub(crate) throttled_until: Timestamp,
    pub(crate) woken: bool,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) attempts: u32,
    /// When the last look was over.
    over_at: Option<Timestamp>,
    /// Looks that a crash forgot.
    pub(crate) forgotten: u32,
    pub(crate) finals: u32,
    pub(crate) requests: u32,
    /// The ends it was told of.
    pub(crate) ends_heard: Vec<Outcome>,
    /// The first of them, if nobody may take it back.
    pub(crate) told: Option<Outcome>,
    /// When that was, in nanoseconds of the world.
    told_at: Option<u64>,
    /// Denials in a row, and how many the policy wants.
    pub(crate) denials: u32,
    patience: u32,
    pub(crate) gone: bool,
    pub(crate) stopped: bool,
}

impl Wait {
    pub(crate) fn new(
        handle: Option<JobHandle>,
        job: JobRef,
        id: String,
        class: usize,
        rules: &Rules,
        now: Timestamp,
    ) -> Self {
        let deadline = rules.policy.total_timeout().map(|total| now.saturating_add(total));
        Self {
            handle,
            job,
            id,
            class,
            stage: Stage::Here,
            deadline: deadline.map(|at| (at, at)),
            overdue_since: None,
            free_at: now,
            hinted_until: Timestamp::UNIX_EPOCH,
            throttled_until: Timestamp::UNIX_EPOCH,
            woken: false,
            attempt: None,
            attempts: 0,
            over_at: None,
            forgotten: 0,
            finals: 0,
            requests: 0,
            ends_heard: Vec::new(),
            told: None,
            told_at: None,
            denials: 0,
            patience: rules.patience,
            gone: false,
            stopped: false,
        }
    }

    /// As a snapshot that was taken now remembers it, taken up at another instant, perhaps of another clock.
    pub(crate) fn resumed(
        &self,
        handle: Option<JobHandle>,
        policy: &Policy,
        stored: Timestamp,
        now: Timestamp,
    ) -> Self {
        let mut wait = Self { handle, stage: Stage::Here, overdue_since: None, over_at: None, ..self.clone() };
        if let Some(attempt) = wait.attempt.take() {
            wait.free_at = attempt.sent_at.saturating_add(policy.min_delay());
            (wait.finals, wait.forgotten) = (0, wait.forgotten + 1);
        }
        // The clock was set back by so much at the most.
        let back = stored.saturating_since(now);
        if !back.is_zero() {
            for instant in [&mut wait.free_at, &mut wait.hinted_until, &mut wait.throttled_until] {
                *instant = instant.saturating_sub(back);
            }
            let latest = policy.total_timeout().map(|total| now.saturating_add(total));
            // What is moved before the epoch stays there, and the wait grows.
            let is_cut = policy.total_timeout().is_some_and(|total| now.saturating_sub(total) == Timestamp::UNIX_EPOCH);
            wait.forgotten += if is_cut { wait.attempts } else { 0 };
            wait.deadline = wait.deadline.map(|(lo, hi)| (lo.saturating_sub(back), latest.map_or(hi, |at| at.min(hi))));
        }
        wait
    }

    pub(crate) fn is_here(&self) -> bool {
        self.stage == Stage::Here
    }

    pub(crate) fn is_final(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|(lo, _)| now >= lo)
    }

    /// Nothing but the policy sets the next look, which comes in time.
    pub(crate) fn check_gap(&self, policy: &Policy, now: Timestamp) {
        // What others take of the limits for a moment.
        let moment = Duration::from_millis(10);
        if let (Some(over), Some(most)) = (self.over_at, policy.bounds().max_gap) {
            assert!(now <= over.saturating_add(most + moment), "bounds: no look since {over}, at {now}, {self:?}");
        }
    }

    /// A look begins.
    pub(crate) fn begin(&mut self, policy: &Policy, now: Timestamp, attempt: Attempt) {
        assert!(now >= self.free_at || self.is_final(now), "distance: a look at {now}, {self:?}");
        assert!(now >= self.throttled_until, "throttles: a look at {now}, {self:?}");
        let is_free = self.woken || self.is_final(now);
        assert!(now >= self.hinted_until || is_free, "hints: a look at {now}, {self:?}");
        if let Some((_, hi)) = self.deadline {
            self.finals += u32::from(now >= hi);
            assert!(self.finals <= 1, "deadline: two final looks, {self:?}");
            let grace = now.saturating_add(policy.final_grace());
            assert!(attempt.expires <= hi.max(grace), "deadline: a look until {}, {self:?}", attempt.expires);
        }
        assert!(attempt.expires <= now.saturating_add(policy.attempt_timeout()), "deadline: a long look, {self:?}");
        self.attempts += 1;
        let most = policy.bounds().max_looks.unwrap_or(u32::MAX);
        assert!(self.attempts <= most.saturating_add(self.forgotten), "bounds: {} looks of {most}", self.attempts);
        (self.hinted_until, self.throttled_until, self.woken) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, false);
        self.attempt = Some(attempt);
    }

    /// The look is over since this instant.
    pub(crate) fn end_attempt(&mut self, policy: &Policy, at: Timestamp) {
        (self.attempt, self.over_at) = (None, Some(at));
        self.free_at = self.free_at.max(at.saturating_add(policy.min_delay()));
    }

    /// Its request is over, and the look may go on.
    pub(crate) fn forget_request(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.request = None;
        }
    }

    /// What an answer says to it, with the longest hint that is followed.
    pub(crate) fn hear_reply(
        &mut self,
        reply: &Reply,
        longest: Duration,
        now: Timestamp,
        world: u64,
        for_result: bool,
    ) {
        self.forget_request();
        let hint = reply.hint.filter(|time| *time <= CREDIBLE).map(|time| now.saturating_add(time.min(longest)));
        match &reply.what {
            What::States(tells) if !for_result => {
                let Some((_, tell)) = tells.iter().find(|(id, _)| *id == self.id) else { return };
                self.hear(*tell, world);
                if let (Tell::Unfinished, Some(hint)) = (tell, hint) {
                    self.hinted_until = hint;
                }
            }
            What::Throttled => self.throttled_until = hint.unwrap_or(self.throttled_until),
            What::Broken => self.hinted_until = hint.unwrap_or(self.hinted_until),
            _ => {}
        }
    }

    /// What an answer says of it.
    fn hear(&mut self, tell: Tell, world: u64) {
        match tell {
            Tell::Unfinished => self.denials = 0,
            Tell::End(outcome) => {
                self.ends_heard.push(outcome);
                self.told_at = self.told_at.or(Some(world));
                self.told = self.told.or(Some(outcome));
            }
            Tell::Incomplete => {
                self.denials = 0;
                self.ends_heard.push(Outcome::Succeeded);
            }
            Tell::Denied { definite } => {
                self.denials += 1;
                self.gone |= definite;
            }
        }
    }

    /// The end is the one that was told, and has the reason that it gives.
    pub(crate) fn check_end(&self, finished: &Finished, policy: &Policy, now: Timestamp) {
        assert_eq!(finished.job, self.job, "truth: an end of another job");
        assert!(finished.failed_requests <= finished.requests, "counts: {finished:?}");
        let outcome = finished.outcome;
        match self.told {
            Some(told) => assert_eq!(outcome, told, "truth: another end was told, {self:?} {finished:?}"),
            None if outcome == Outcome::Lost => {
                let denied = self.denials >= self.patience;
                assert!(self.gone || denied, "truth: lost after too few denials, {self:?} {finished:?}");
            }
            None if outcome.is_jobs_end() => {
                assert!(self.ends_heard.contains(&outcome), "truth: nobody said so, {self:?} {finished:?}");
            }
            None => {}
        }
        assert!(finished.error.is_some() || outcome == Outcome::Succeeded, "truth: an end without a reason");
        match finished.reason {
            EndReason::Deadline => {
                assert!(self.is_final(now) && self.attempt.is_some(), "deadline: no final look, {self:?} {finished:?}");
            }
            EndReason::NoRoomAtDeadline => {
                let late = self.deadline.map(|(lo, _)| lo.saturating_add(policy.final_grace()));
                assert!(late.is_some_and(|late| now >= late), "deadline: no room so early, {self:?}");
            }
            EndReason::PollsSpent => {
                assert!(
                    policy.max_polls().is_some_and(|most| self.attempts >= most),
                    "bounds: looks are left, {self:?}"
                );
            }
            EndReason::Stopped => assert!(self.stopped, "truth: nobody stopped it, {self:?}"),
            _ => {}
        }
    }

    /// The end is the job's own, unless the backend lied; and where nothing goes wrong, it is noticed.
    pub(crate) fn check_against(&self, server: &Server, finished: &Finished, by: (u64, &Clock), calm: bool) {
        let (world, clock) = by;
        let Some(job) = server.job(&self.id) else { return };
        let is_end = finished.outcome.is_jobs_end() && finished.outcome != Outcome::Lost;
        if is_end && job.honest {
            assert!(job.end == finished.outcome && job.ends <= world, "truth: {job:?} {finished:?}");
            let is_known = job.timely && clock.is_true() && !job.is_late();
            if let (Some(most), Some(told_at)) = (finished.detection_delay_max.filter(|_| is_known), self.told_at) {
                let real = Duration::from_nanos(told_at.saturating_sub(job.ends));
                assert!(real <= most, "delay: {real:?} in truth, at most {most:?} is told, {job:?}");
            }
        }
        if calm && finished.reason == EndReason::Deadline {
            let sent = self.attempt.map_or(world, |attempt| attempt.sent_in_world);
            assert!(!is_end || self.told.is_some());
            assert!(
                job.ends > sent || self.told.is_some() || job.is_late(),
                "deadline: it had ended, {job:?} {self:?}"
            );
        }
        assert!(!calm || finished.outcome != Outcome::Lost, "truth: {job:?} {finished:?}");
        let is_refused = matches!(finished.outcome, Outcome::Rejected | Outcome::GaveUp);
        assert!(!calm || !is_refused, "truth: nothing went wrong, {finished:?} {self:?}");
    }
}
