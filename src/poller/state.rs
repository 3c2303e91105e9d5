//! The machine itself: see the [transition table](super).

use core::time::Duration;

use rand_core::Rng;

use crate::policy::{LONGEST_CREDIBLE_HINT, hint_jitter};
use crate::schedule::{backoff, jitter};
use crate::time::nanos;
use crate::{
    Action, Attempt, AttemptId, EndReason, Ended, Explanation, FirstLook, GapRange, Hint, HintRule, LookError,
    Observation, Outcome, Policy, Position, Schedule, StaleAttempt, Timestamp, WaitReason,
};

/// The state of one wait as plain data, for owners of many jobs that share policies and schedules.
///
/// The methods are those of [`Poller`](crate::Poller), with the policy and the schedule as arguments. Always hand in the same ones:
/// others are harmless but change the rules in mid-wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PollerState {
    pub(crate) seed: u64,
    /// When this wait began: the origin of the deadline.
    pub(crate) started: u64,
    /// When the job began, as far as is known: the origin of its age.
    pub(crate) born: u64,
    /// The greatest instant ever handed in.
    pub(crate) latest: u64,
    /// The last answer or expiry while waiting, the sending while in flight.
    pub(crate) anchor: u64,
    /// No look before this, by the server's word; zero: it said nothing.
    pub(crate) floor: u64,
    /// When the present streak of failures began.
    pub(crate) failing_since: u64,
    /// When the present streak of denials began.
    pub(crate) denied_since: u64,
    /// The gap drawn last; zero: none yet.
    pub(crate) previous_gap: u64,
    pub(crate) phase: Phase,
    pub(crate) looks: u32,
    pub(crate) failed_looks: u32,
    /// Gaps the schedule was asked for.
    pub(crate) gaps: u32,
    /// Failures since the last good answer.
    pub(crate) failures: u32,
    /// Failures and throttles since the last good answer.
    pub(crate) setbacks: u32,
    /// Denials since the last answer that knew the job.
    pub(crate) denials: u32,
    pub(crate) last_error: Option<LookError>,
    /// The floor is a throttle's, which binds wakes and the final look too.
    pub(crate) throttled: bool,
    /// A wake was heard and not yet followed.
    pub(crate) woken: bool,
    /// The backend has given a good answer, to us or to a neighbour.
    pub(crate) proven: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub(crate) enum Phase {
    Waiting { until: u64, reason: WaitReason },
    InFlight { expires: u64 },
    Ended { at: u64, outcome: Outcome, reason: EndReason },
}

impl PollerState {
    /// See [`Poller::with_schedule`](crate::Poller::with_schedule).
    pub fn new(policy: &Policy, schedule: &impl Schedule, now: Timestamp, rng: &mut impl Rng) -> Self {
        Self::seeded(policy, schedule, now, rng.next_u64())
    }

    pub(crate) fn seeded(policy: &Policy, schedule: &impl Schedule, now: Timestamp, seed: u64) -> Self {
        let now = now.as_nanos();
        let mut state = Self {
            seed,
            started: now,
            born: now,
            latest: now,
            anchor: now,
            floor: 0,
            failing_since: 0,
            denied_since: 0,
            previous_gap: 0,
            phase: Phase::Waiting { until: now, reason: WaitReason::InitialDelay },
            looks: 0,
            failed_looks: 0,
            gaps: 0,
            failures: 0,
            setbacks: 0,
            denials: 0,
            last_error: None,
            throttled: false,
            woken: false,
            proven: false,
        };
        match policy.first_look() {
            FirstLook::AtOnce => {}
            FirstLook::After(delay) => {
                state.wait(policy, now, hint_range(nanos(delay)), WaitReason::InitialDelay);
            }
            FirstLook::BySchedule => {
                let range = state.next_gap(policy, schedule, Duration::ZERO);
                state.previous_gap = state.wait(policy, now, range, WaitReason::InitialDelay);
            }
        }
        state
    }

    /// The job was created at this instant, not when the wait began: schedules that go by age count from there.
    #[must_use]
    pub fn with_born(mut self, born: Timestamp) -> Self {
        self.born = born.as_nanos().min(self.started);
        self
    }

    /// The first look comes after the schedule's first gap, counted from the job's birth.
    #[cfg(feature = "http")]
    pub(crate) fn look_first_by(&mut self, policy: &Policy, schedule: &impl Schedule, now: Timestamp) {
        let now = self.advance(now);
        if self.looks == 0 {
            let age = now.saturating_sub(self.born);
            let (lo, hi) = self.next_gap(policy, schedule, Duration::ZERO).nanos();
            let range = GapRange::from_nanos(lo.saturating_sub(age), hi.saturating_sub(age));
            self.previous_gap = self.wait(policy, now, range, WaitReason::InitialDelay);
        }
    }

    /// The job is expected to end at this instant: the first look comes then, and at most `max_delay` after the start.
    #[cfg(feature = "http")]
    pub(crate) fn expect(&mut self, policy: &Policy, now: Timestamp, end: Timestamp) {
        let now = self.advance(now);
        if self.looks == 0 && end.as_nanos() > now {
            let (_, max) = policy.delay_bounds();
            self.wait(policy, now, hint_range(end.as_nanos() - now).cut(0, max), WaitReason::InitialDelay);
        }
    }

    /// The job was created at this instant, it is learned; see [`with_born`](Self::with_born).
    pub fn note_born(&mut self, born: Timestamp) {
        self.born = born.as_nanos().min(self.started);
    }

    /// Replaces the wait that has just begun after an unfinished answer by this one, with a hint's small upward jitter,
    /// within the policy's bounds and no sooner than the server's own hint.
    pub fn ask_again_after(&mut self, policy: &Policy, now: Timestamp, after: Duration) {
        let now = self.advance(now);
        if matches!(self.phase, Phase::Waiting { .. }) {
            let (min, max) = policy.delay_bounds();
            let floor = GapRange::from_nanos(self.floor.saturating_sub(now), 0);
            let range = hint_range(nanos(after)).cut(min, max).raised_to(floor);
            self.wait(policy, now, range, WaitReason::Interval);
            self.follow_wake(policy, now);
        }
    }

    /// The answer that the present wait follows is repeated for so long: a look before would be wasted. Within `max_delay`,
    /// with a hint's small upward jitter.
    #[cfg(feature = "http")]
    pub(crate) fn skip_repetitions(&mut self, policy: &Policy, now: Timestamp, time: Duration) {
        let now = self.advance(now);
        let (_, max) = policy.delay_bounds();
        let fresh = nanos(time).min(max);
        if let Phase::Waiting { until, .. } = self.phase
            && until < now.saturating_add(fresh)
        {
            self.floor = self.floor.max(now.saturating_add(fresh));
            self.wait(policy, now, hint_range(fresh).cut(0, max), WaitReason::Hint);
            self.follow_wake(policy, now);
        }
    }

    /// The backend refuses the credentials that this wait would be asked with: it ends as rejected.
    pub fn refuse(&mut self, now: Timestamp, error: LookError) {
        let now = self.advance(now);
        if !matches!(self.phase, Phase::Ended { .. }) {
            self.last_error = Some(error);
            self.end(now, Outcome::Rejected, EndReason::Refused);
        }
    }

    /// Ends the wait as given up for a reason that does not lie in this job: nobody gets an answer from its backend.
    #[cfg(feature = "http")]
    pub(crate) fn give_up(&mut self, now: Timestamp, error: LookError, reason: EndReason) {
        let now = self.advance(now);
        if !matches!(self.phase, Phase::Ended { .. }) {
            self.last_error = Some(error);
            self.end(now, Outcome::GaveUp, reason);
        }
    }

    /// Whether nothing has gone wrong so far, and nobody has said "look now".
    #[cfg(feature = "http")]
    pub(crate) fn is_untroubled(&self) -> bool {
        let troubles = [self.failed_looks, self.failures, self.setbacks, self.denials];
        troubles == [0; 4] && self.last_error.is_none() && !self.throttled && !self.woken
    }

    /// See [`Poller::poll`](crate::Poller::poll).
    pub fn poll(&mut self, policy: &Policy, now: Timestamp) -> Action {
        let now = self.advance(now);
        if let Phase::InFlight { expires } = self.phase
            && now >= expires
        {
            self.anchor = now;
            self.fail(policy, now, LookError::Expired, None, deadline_reached(self.deadline(policy), expires));
        }
        match self.phase {
            Phase::Waiting { until, .. } if now >= until => Action::Send(self.send(policy, now)),
            _ => self.standing_action(),
        }
    }

    /// See [`Poller::handle_observation`](crate::Poller::handle_observation).
    ///
    /// # Errors
    /// The attempt is not in flight; the state is untouched.
    pub fn handle_observation(
        &mut self,
        policy: &Policy,
        schedule: &impl Schedule,
        now: Timestamp,
        attempt: AttemptId,
        observation: Observation,
    ) -> Result<Action, StaleAttempt> {
        if self.in_flight() != Some(attempt) {
            return Err(StaleAttempt(attempt));
        }
        let at = self.advance(now);
        let over = deadline_reached(self.deadline(policy), at);
        self.anchor = at;
        match observation {
            Observation::Pending { hint } | Observation::Running { hint } => {
                self.denials = 0;
                self.proven = true;
                self.unfinished(policy, schedule, at, hint, over);
            }
            Observation::Succeeded => self.end(at, Outcome::Succeeded, EndReason::Told),
            Observation::Failed => self.end(at, Outcome::Failed, EndReason::Told),
            Observation::Cancelled => self.end(at, Outcome::Cancelled, EndReason::Told),
            Observation::Lost { definite: true } => self.end(at, Outcome::Lost, EndReason::Told),
            Observation::Lost { definite: false } => self.denied(policy, schedule, at, over),
            Observation::Transient { error, hint } => self.fail(policy, at, error, hint, over),
            Observation::Throttled { error, hint } => self.throttle(policy, at, error, hint, over),
            Observation::Fatal { error } => {
                self.last_error = Some(error);
                self.failed_looks = self.failed_looks.saturating_add(1);
                self.end(at, Outcome::Rejected, EndReason::Refused);
            }
        }
        Ok(self.standing_action())
    }

    /// See [`Poller::wake`](crate::Poller::wake).
    pub fn wake(&mut self, policy: &Policy, now: Timestamp) -> Action {
        self.note_wake(policy, now);
        self.poll(policy, now)
    }

    /// Like [`wake`](Self::wake), for owners that poll later, when they have room: see [`due`](Self::due).
    pub fn note_wake(&mut self, policy: &Policy, now: Timestamp) {
        let now = self.advance(now);
        if !matches!(self.phase, Phase::Ended { .. }) {
            self.woken = true;
            self.follow_wake(policy, now);
        }
    }

    /// See [`Poller::look_early`](crate::Poller::look_early).
    pub fn look_early(&mut self, policy: &Policy, now: Timestamp) -> Option<Attempt> {
        let now = self.advance(now);
        match self.phase {
            Phase::Waiting { until, .. } if now >= until || now >= self.earliest(policy).max(self.floor) => {
                Some(self.send(policy, now))
            }
            _ => None,
        }
    }

    /// See [`Poller::stop`](crate::Poller::stop).
    pub fn stop(&mut self, now: Timestamp) -> Action {
        let now = self.advance(now);
        if !matches!(self.phase, Phase::Ended { .. }) {
            self.end(now, Outcome::Stopped, EndReason::Stopped);
        }
        self.standing_action()
    }

    /// A throttle that was told to somebody else holds for this job too: no look before `until`, plus jitter. Where
    /// that is past the deadline, the wait ends.
    pub fn hold(&mut self, policy: &Policy, now: Timestamp, until: Timestamp) {
        let now = self.advance(now);
        if let Phase::Waiting { until: due, reason } = self.phase
            && until.as_nanos() > now
        {
            let range = hint_range(until.as_nanos() - now).raised_to(GapRange::from_nanos(due.saturating_sub(now), 0));
            self.floor = self.floor.max(until.as_nanos());
            self.throttled = true;
            // Not the floor: a hint may reach past the deadline, where the final look is due all the same.
            if self.deadline(policy).is_some_and(|deadline| until.as_nanos() > deadline) {
                self.end(now, Outcome::TimedOut, EndReason::ThrottledPastDeadline);
            } else {
                let reason = if due < until.as_nanos() { WaitReason::Hint } else { reason };
                self.wait(policy, now, range, reason);
            }
        }
    }

    /// The deadline and the final look's grace have passed while there was no room to look: ends the wait. Tells
    /// whether it did.
    pub fn end_overdue(&mut self, policy: &Policy, now: Timestamp) -> bool {
        let now = self.advance(now);
        let overdue = self.deadline(policy).is_some_and(|at| now >= at.saturating_add(nanos(policy.final_grace())));
        if overdue && matches!(self.phase, Phase::Waiting { .. }) {
            self.end(now, Outcome::TimedOut, EndReason::NoRoomAtDeadline);
            return true;
        }
        false
    }

    /// The backend has given a good answer about another job: from now on an outage is ridden out.
    pub fn note_backend_proven(&mut self) {
        self.proven = true;
    }

    /// After a crash: the look that was under way will never be answered. The job is due again, as soon as `min_delay`
    /// allows, and no failure is counted.
    pub fn abandon_in_flight(&mut self, policy: &Policy, now: Timestamp) {
        let now = self.advance(now);
        if matches!(self.phase, Phase::InFlight { .. }) {
            let until = now.max(self.earliest(policy));
            let until = self.deadline(policy).map_or(until, |deadline| until.min(deadline));
            self.phase = Phase::Waiting { until, reason: WaitReason::Interval };
            self.end_if_polls_spent(policy, now);
        }
    }

    /// The look under way was refused for a reason that is cured by now: it does not count, and no answer to it either.
    #[cfg(feature = "http")]
    pub(crate) fn give_back(&mut self, policy: &Policy, now: Timestamp) {
        if matches!(self.phase, Phase::InFlight { .. }) {
            self.looks = self.looks.saturating_sub(1);
            // The next look has the same number, and may not have the same name.
            self.seed = self.seed.wrapping_add(1);
            self.abandon_in_flight(policy, now);
        }
    }

    /// Takes a wait that did not see its job's end up again with a fresh budget of time, looks and failures; the job's age,
    /// and how far its looks were apart, are kept. The first look comes at once, or when a throttle is over.
    pub fn renew(&mut self, policy: &Policy, now: Timestamp) {
        self.rebase(now);
        let now = self.advance(now);
        if let Phase::Ended { outcome, .. } = self.phase
            && outcome.is_jobs_end()
        {
            return;
        }
        (self.started, self.anchor, self.throttled, self.woken) = (now, now, false, false);
        (self.failing_since, self.denied_since, self.last_error) = (0, 0, None);
        (self.looks, self.failed_looks, self.failures, self.setbacks, self.denials) = (0, 0, 0, 0, 0);
        // No attempt of the earlier wait may have the name of one of this.
        self.seed = self.seed.wrapping_add(1);
        let longest = nanos(policy.max_retry_after());
        self.floor = self.floor.min(now.saturating_add(longest));
        let until = self.floor.max(now);
        let until = self.deadline(policy).map_or(until, |deadline| until.min(deadline));
        self.phase = Phase::Waiting { until, reason: WaitReason::InitialDelay };
    }

    /// Takes up a stored state on a clock that shows `now`. Where that is before the last instant the state has seen,
    /// the clock was set back: every instant is moved by the difference, so that no wait grows.
    pub fn rebase(&mut self, now: Timestamp) {
        let back = self.latest.saturating_sub(now.as_nanos());
        if back == 0 {
            return;
        }
        for instant in [
            &mut self.started,
            &mut self.born,
            &mut self.latest,
            &mut self.anchor,
            &mut self.floor,
            &mut self.failing_since,
            &mut self.denied_since,
        ] {
            *instant = instant.saturating_sub(back);
        }
        match &mut self.phase {
            Phase::Waiting { until: at, .. } | Phase::InFlight { expires: at } | Phase::Ended { at, .. } => {
                *at = at.saturating_sub(back);
            }
        }
    }

    /// The attempt under way.
    pub fn in_flight(&self) -> Option<AttemptId> {
        matches!(self.phase, Phase::InFlight { .. }).then(|| self.attempt_id())
    }

    /// When the next input is needed; `None` once the wait has ended.
    pub fn due(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Waiting { until: at, .. } | Phase::InFlight { expires: at } => Some(Timestamp::from_nanos(at)),
            Phase::Ended { .. } => None,
        }
    }

    /// How the wait ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        let Phase::Ended { at, outcome, reason } = self.phase else { return None };
        Some(Ended {
            outcome,
            reason,
            last_error: self.last_error,
            looks: self.looks,
            failed_looks: self.failed_looks,
            elapsed: Duration::from_nanos(at.saturating_sub(self.started)),
        })
    }

    /// See [`Poller::explain`](crate::Poller::explain).
    pub fn explain(&self, policy: &Policy) -> Option<Explanation> {
        let (until, reason) = match self.phase {
            Phase::Waiting { until, reason } => (until, reason),
            Phase::InFlight { expires } => (expires, WaitReason::InFlight),
            Phase::Ended { .. } => return None,
        };
        Some(Explanation {
            reason,
            until: Timestamp::from_nanos(until),
            clipped_to_deadline: reason != WaitReason::InFlight && self.deadline(policy) == Some(until),
            woken: self.woken && reason != WaitReason::InFlight,
        })
    }

    /// When this wait began.
    pub fn started(&self) -> Timestamp {
        Timestamp::from_nanos(self.started)
    }

    /// Looks sent so far.
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// The instant of the final look; `None` without a total timeout.
    fn deadline(&self, policy: &Policy) -> Option<u64> {
        policy.total_timeout().map(|timeout| self.started.saturating_add(nanos(timeout)))
    }

    /// The one place where time comes in: it never goes backwards.
    fn advance(&mut self, now: Timestamp) -> u64 {
        self.latest = self.latest.max(now.as_nanos());
        self.latest
    }

    /// The earliest look that `min_delay` allows.
    fn earliest(&self, policy: &Policy) -> u64 {
        match self.looks {
            0 => self.started,
            _ => self.anchor.saturating_add(policy.delay_bounds().0),
        }
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::new(((self.seed ^ (self.seed >> 32)) & 0xffff_ffff) as u32, self.looks)
    }

    fn send(&mut self, policy: &Policy, now: u64) -> Attempt {
        let longest = nanos(policy.attempt_timeout());
        let timeout = self
            .deadline(policy)
            .map_or(longest, |deadline| longest.min(deadline.saturating_sub(now).max(nanos(policy.final_grace()))));
        self.looks = self.looks.saturating_add(1);
        self.anchor = now;
        self.floor = 0;
        self.throttled = false;
        self.woken = false;
        self.phase = Phase::InFlight { expires: now.saturating_add(timeout) };
        Attempt { id: self.attempt_id(), timeout: Duration::from_nanos(timeout) }
    }

    /// The action that the present state stands for, without changing it.
    fn standing_action(&self) -> Action {
        match self.phase {
            Phase::Waiting { until, reason } => Action::Sleep { until: Timestamp::from_nanos(until), reason },
            Phase::InFlight { expires } => {
                Action::Sleep { until: Timestamp::from_nanos(expires), reason: WaitReason::InFlight }
            }
            Phase::Ended { .. } => match self.ended() {
                Some(ended) if ended.outcome == Outcome::TimedOut => Action::TimedOut(ended),
                ended => Action::Done(ended.expect("the phase is ended")),
            },
        }
    }

    fn unfinished(&mut self, policy: &Policy, schedule: &impl Schedule, now: u64, hint: Option<Hint>, over: bool) {
        self.failures = 0;
        self.setbacks = 0;
        if over {
            return self.end(now, Outcome::TimedOut, EndReason::Deadline);
        }
        if self.end_if_polls_spent(policy, now) {
            return;
        }
        let hint = credible(policy, hint);
        if let Some(h) = hint {
            self.floor = now.saturating_add(h);
        }
        match (hint.map(|h| hint_range(h.max(policy.delay_bounds().0))), schedule.hint_rule()) {
            (Some(hinted), HintRule::Follow) => {
                self.wait(policy, now, hinted, WaitReason::Hint);
            }
            (hinted, _) => {
                let age = Duration::from_nanos(now.saturating_sub(self.born));
                let gap = self.next_gap(policy, schedule, age);
                let range = hinted.map_or(gap, |hinted| gap.raised_to(hinted));
                let reason = if range == gap { WaitReason::Interval } else { WaitReason::Hint };
                self.previous_gap = self.wait(policy, now, range, reason);
            }
        }
        self.follow_wake(policy, now);
    }

    fn denied(&mut self, policy: &Policy, schedule: &impl Schedule, now: u64, over: bool) {
        if self.denials == 0 {
            self.denied_since = now;
        }
        self.denials = self.denials.saturating_add(1);
        let (denials, time) = policy.set.lost_after;
        if self.denials >= denials && now.saturating_sub(self.denied_since) >= nanos(time) {
            self.end(now, Outcome::Lost, EndReason::DeniedRepeatedly);
        } else {
            self.unfinished(policy, schedule, now, None, over);
        }
    }

    fn fail(&mut self, policy: &Policy, now: u64, error: LookError, hint: Option<Hint>, over: bool) {
        if self.failures == 0 {
            self.failing_since = now;
        }
        self.failed_looks = self.failed_looks.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        self.setbacks = self.setbacks.saturating_add(1);
        self.last_error = Some(error);
        if over {
            return self.end(now, Outcome::TimedOut, EndReason::Deadline);
        }
        let most = if self.proven { policy.set.max_failures } else { Some(policy.set.max_first_failures) };
        if most.is_some_and(|most| self.failures >= most) {
            return self.end(now, Outcome::GaveUp, EndReason::FailuresSpent);
        }
        if self.proven && now.saturating_sub(self.failing_since) >= nanos(policy.set.max_failure_time) {
            return self.end(now, Outcome::GaveUp, EndReason::FailingTooLong);
        }
        self.back_off(policy, now, credible(policy, hint), false);
    }

    fn throttle(&mut self, policy: &Policy, now: u64, error: LookError, hint: Option<Hint>, over: bool) {
        self.setbacks = self.setbacks.saturating_add(1);
        self.last_error = Some(error);
        let hint = credible(policy, hint);
        if over {
            return self.end(now, Outcome::TimedOut, EndReason::Deadline);
        }
        if let (Some(h), Some(deadline)) = (hint, self.deadline(policy))
            && now.saturating_add(h) > deadline
        {
            return self.end(now, Outcome::TimedOut, EndReason::ThrottledPastDeadline);
        }
        self.back_off(policy, now, hint, true);
    }

    /// Waits after a look that told nothing: by the failure backoff, with the hint as its floor.
    fn back_off(&mut self, policy: &Policy, now: u64, hint: Option<u64>, throttled: bool) {
        if self.end_if_polls_spent(policy, now) {
            return;
        }
        let (min, max) = policy.delay_bounds();
        // The ends are cut before they are doubled, so that a backoff from zero grows too.
        let (from, to) = policy.set.failure_backoff;
        let (from, to) = GapRange::new(from, to).cut(min, max).nanos();
        let range = GapRange::from_nanos(from, backoff::ceiling(from, to, 2.0, self.setbacks));
        match hint {
            None => {
                self.wait(policy, now, range, WaitReason::FailureBackoff);
            }
            Some(h) => {
                let hinted = range.raised_to(hint_range(h.max(min)));
                let reason = if hinted == range { WaitReason::FailureBackoff } else { WaitReason::Hint };
                self.floor = now.saturating_add(h);
                self.throttled = throttled;
                self.wait(policy, now, hinted, reason);
            }
        }
        self.follow_wake(policy, now);
    }

    /// The schedule's next range, cut to the policy's bounds.
    fn next_gap(&mut self, policy: &Policy, schedule: &impl Schedule, age: Duration) -> GapRange {
        let position = Position {
            age,
            looks: self.looks,
            gaps: self.gaps,
            previous_gap: (self.previous_gap > 0).then(|| Duration::from_nanos(self.previous_gap)),
            expected_end: None,
        };
        self.gaps = self.gaps.saturating_add(1);
        let (min, max) = policy.delay_bounds();
        schedule.gap(policy, &position).cut(min, max)
    }

    /// Draws a wait from the range and begins it, cut short by the deadline; returns what was drawn.
    fn wait(&mut self, policy: &Policy, now: u64, range: GapRange, reason: WaitReason) -> u64 {
        let (lo, hi) = range.nanos();
        let gap = jitter::draw(self.seed, self.looks, lo, hi);
        let until = now.saturating_add(gap);
        let until = self.deadline(policy).map_or(until, |deadline| until.min(deadline));
        self.phase = Phase::Waiting { until, reason };
        gap
    }

    /// Brings the present wait forward, if a wake was heard.
    fn follow_wake(&mut self, policy: &Policy, now: u64) {
        let earliest = self.earliest(policy);
        if let Phase::Waiting { until, .. } = &mut self.phase
            && self.woken
        {
            let throttle = if self.throttled { self.floor } else { 0 };
            *until = (*until).min(now.max(earliest).max(throttle));
        }
    }

    fn end_if_polls_spent(&mut self, policy: &Policy, now: u64) -> bool {
        let spent = self.looks >= policy.max_polls().unwrap_or(u32::MAX);
        if spent {
            self.end(now, Outcome::TimedOut, EndReason::PollsSpent);
        }
        spent
    }

    fn end(&mut self, at: u64, outcome: Outcome, reason: EndReason) {
        self.phase = Phase::Ended { at, outcome, reason };
    }
}

fn deadline_reached(deadline: Option<u64>, now: u64) -> bool {
    deadline.is_some_and(|deadline| now >= deadline)
}

/// The hint in nanoseconds as far as it is followed: garbage is not, and none longer than the policy's longest.
fn credible(policy: &Policy, hint: Option<Hint>) -> Option<u64> {
    let hint = hint?.delay();
    (hint <= LONGEST_CREDIBLE_HINT).then(|| nanos(hint.min(policy.set.max_retry_after)))
}

/// A hint with its upward jitter.
fn hint_range(hint: u64) -> GapRange {
    GapRange::from_nanos(hint, hint.saturating_add(hint_jitter(hint)))
}
