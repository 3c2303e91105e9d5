//! What each answer does to each job that it speaks of, and to all: lists of jobs.

use jobwatch::{Hint, LookError, Observation, Outcome, Timestamp};

use crate::list_job::Under;
use crate::list_lane::Heard;
use crate::list_reference::{Asks, List, Member, OnWire, Reference};
use crate::list_says::{Class, NO_WORD, Say, Tell};

/// So many further pages are asked for.
const MOST_PAGES: u32 = 20;

pub(crate) fn ended(outcome: Outcome) -> Observation {
    match outcome {
        Outcome::Succeeded => Observation::Succeeded,
        Outcome::Failed => Observation::Failed,
        _ => Observation::Cancelled,
    }
}

/// What a status says of the one job that was asked for.
pub(crate) fn of_status(status: u16, hint: Option<Hint>) -> Observation {
    let error = LookError::Status(status);
    match status {
        404 => Observation::Lost { definite: false },
        410 => Observation::Lost { definite: true },
        429 => Observation::Throttled { error, hint },
        400..=499 => Observation::Fatal { error },
        _ => Observation::Transient { error, hint },
    }
}

pub(crate) fn of_error(error: LookError) -> Observation {
    match error {
        LookError::Tls => Observation::Fatal { error },
        error => Observation::Transient { error, hint: None },
    }
}

impl Reference {
    pub(crate) fn answer(&mut self, request: OnWire, say: &Say, now: Timestamp) {
        let is_refused = matches!(say, Say::Status(401, _));
        let is_good = match request.asks {
            Asks::Alone((number, attempt), hop)
                if is_refused
                    && self.jobs[number].is_asked_alone(attempt, hop)
                    && self.key.is_cured(request.key, self.jobs[number].way.for_result) =>
            {
                self.note_proven(number, request.lane);
                self.counts.failed += 1;
                self.jobs[number].failed_requests += 1;
                self.ask_further(number);
                self.settle(number, now);
                false
            }
            Asks::List(list) if is_refused && !self.key.refused && self.key.is_cured(request.key, false) => {
                self.counts.failed += 1;
                self.go_on(&list.members, true, now);
                self.lists.push_back(list);
                false
            }
            Asks::Alone(member, hop) => self.answer_alone(member, hop, request.lane, request.sent_at, say, now),
            Asks::List(list) => self.answer_list(list, request.sent_at, say, now),
        };
        if is_good {
            self.key.note_good_answer(request.key);
        }
    }

    /// Tells whether it is a good one.
    fn answer_list(&mut self, list: List, sent_at: Timestamp, say: &Say, now: Timestamp) -> bool {
        match say {
            Say::Tell(tell) => return self.take_list(list, sent_at, say, tell, now),
            Say::Error(error) => {
                self.counts.failed += 1;
                let asked = list.ids.len();
                if *error == LookError::TooLarge && list.members.len() > 1 {
                    self.lanes[0].note_too_many(asked);
                    self.split(&list, false, now);
                } else {
                    // What is too large is an answer all the same.
                    if *error != LookError::TooLarge {
                        self.lanes[0].note_failure(*error, sent_at, now);
                    }
                    self.lanes[0].note_failed_list(asked);
                    self.fail_all(&list, of_error(*error), now);
                }
            }
            Say::Status(..) | Say::Redirect { .. } | Say::Html => {
                self.counts.failed += 1;
                self.refuse_list(list, sent_at, say, now);
            }
        }
        false
    }

    /// The list tells of its jobs; of one that it knows, if it is a good one.
    fn take_list(&mut self, list: List, sent_at: Timestamp, say: &Say, tell: &Tell, now: Timestamp) -> bool {
        let token = tell
            .token()
            .filter(|token| list.page.as_ref().is_none_or(|(page, number)| page != token && *number < MOST_PAGES));
        let mut heard = Heard { answered: true, cool_down: say.cool_down(), ..Heard::default() };
        let (mut missing, mut hinted) = (Vec::new(), false);
        for (number, attempt) in list.members.iter().copied() {
            if !self.jobs[number].is_sharing(attempt) {
                continue;
            }
            let place = list.ids.iter().position(|id| *id == self.jobs[number].id).expect("it was asked for");
            match tell.entry(place) {
                None if token.is_some() => missing.push((number, attempt)),
                None => self.miss(number, now),
                Some((word, class)) => {
                    heard.good |= class != Class::Denied;
                    hinted |= class == Class::Unfinished && say.hint().is_some();
                    self.take_entry(number, word, class, say, now);
                }
            }
        }
        self.counts.hints += u64::from(hinted);
        self.lanes[0].note_answer(heard, sent_at, now);
        if heard.good {
            self.lanes[0].note_good_list();
        }
        if let Some(token) = token.filter(|_| !missing.is_empty())
            && self.go_on(&missing, false, now)
        {
            let number = list.page.map_or(1, |(_, number)| number + 1);
            self.lists.push_back(List { members: missing, page: Some((token, number)), ..list });
        }
        heard.good
    }

    /// Left out once is no news; twice, and where there is no other look, it is asked for alone.
    fn miss(&mut self, number: usize, now: Timestamp) {
        let (policy, deadline) = (self.policy(number), self.deadline(number));
        self.note_proven(number, 0);
        let job = &mut self.jobs[number];
        let is_last = now >= deadline || policy.max_polls().is_some_and(|most| job.poller.looks() >= most);
        if std::mem::replace(&mut job.missed, true) || is_last {
            self.ask_alone(number);
        } else {
            job.conclude_untold(&policy, now);
        }
        self.settle(number, now);
    }

    fn take_entry(&mut self, number: usize, word: &str, class: Class, say: &Say, now: Timestamp) {
        let detail = self.detail;
        let job = &mut self.jobs[number];
        job.missed = false;
        job.note_state(word, word != NO_WORD);
        match class {
            Class::Ended(outcome) if detail => {
                job.told = Some((outcome, now));
                job.poller.note_backend_proven();
                self.ask_alone(number);
            }
            Class::Ended(outcome) => drop(self.conclude(number, 0, now, ended(outcome))),
            Class::Denied => drop(self.conclude(number, 0, now, Observation::Lost { definite: false })),
            Class::Unfinished => {
                job.unfinished_at = job.unfinished_at.max(Some(job.sent_at));
                self.conclude(number, 0, now, Observation::Running { hint: say.hint().map(Hint::after) });
            }
        }
        self.settle(number, now);
    }

    /// The list as a whole says nothing.
    fn refuse_list(&mut self, list: List, sent_at: Timestamp, say: &Say, now: Timestamp) {
        let hint = say.hint().map(Hint::after);
        let observation = match say {
            Say::Status(status, _) => of_status(*status, hint),
            _ => Observation::Transient { error: LookError::Malformed, hint },
        };
        let asked = list.ids.len();
        let answered = Heard { answered: true, ..Heard::default() };
        match (say, observation) {
            // There are no lists here.
            (Say::Status(404 | 405 | 410, _), _) => {
                self.lanes[0].note_answer(answered, sent_at, now);
                self.lanes[0].note_no_lists();
                for (number, attempt) in list.members {
                    if self.jobs[number].is_sharing(attempt) {
                        self.jobs[number].failed_requests += 1;
                        self.ask_alone(number);
                    }
                    self.settle(number, now);
                }
            }
            (Say::Status(status @ (400 | 403 | 413 | 414 | 422 | 431), _), _) => {
                self.lanes[0].note_answer(answered, sent_at, now);
                let is_too_long = matches!(status, 413 | 414 | 431);
                if is_too_long {
                    self.lanes[0].note_too_many(asked);
                }
                self.split(&list, !is_too_long, now);
            }
            (_, Observation::Fatal { error }) => {
                self.lanes[0].note_answer(answered, sent_at, now);
                self.fail_all(&list, observation, now);
                if error == LookError::Status(401) {
                    self.refuse(now);
                }
            }
            (_, Observation::Throttled { .. }) => {
                let heard = Heard { throttled: true, cool_down: say.cool_down(), ..Heard::default() };
                self.lanes[0].note_answer(heard, sent_at, now);
                self.counts.throttled += 1;
                self.counts.hints += u64::from(hint.is_some());
                self.fail_all(&list, observation, now);
            }
            (_, Observation::Transient { error, .. }) => {
                let heard = Heard { cool_down: say.cool_down(), failed: Some(error), ..Heard::default() };
                self.lanes[0].note_answer(heard, sent_at, now);
                self.lanes[0].note_failed_list(asked);
                self.counts.hints += u64::from(hint.is_some());
                self.fail_all(&list, observation, now);
            }
            (_, observation) => panic!("{observation:?}"),
        }
    }

    fn fail_all(&mut self, list: &List, observation: Observation, now: Timestamp) {
        for (number, attempt) in list.members.iter().copied() {
            if self.jobs[number].is_sharing(attempt) {
                self.conclude(number, 0, now, observation);
                self.settle(number, now);
            }
        }
    }

    /// Another request follows in the same attempts. Tells whether anybody may ask.
    fn go_on(&mut self, members: &[Member], failed: bool, now: Timestamp) -> bool {
        for (number, attempt) in members.iter().copied() {
            let job = &mut self.jobs[number];
            if job.is_sharing(attempt) {
                job.under = Under::List { pending: true };
                job.failed_requests += u32::from(failed);
                self.settle(number, now);
            }
        }
        !self.key.refused
    }

    /// Each half is asked for by itself, at once, the first one first.
    fn split(&mut self, list: &List, suspect: bool, now: Timestamp) {
        if !self.go_on(&list.members, true, now) {
            return;
        }
        let (first, second) = list.members.split_at(list.members.len().div_ceil(2));
        for half in [second, first].into_iter().filter(|half| !half.is_empty()) {
            self.lists.push_front(List { members: half.to_vec(), suspect, ..List::default() });
        }
    }
}
