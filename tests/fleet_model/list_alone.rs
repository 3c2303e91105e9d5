//! What each answer does to the one job that was asked for: states, redirects, results.

use jobwatch::{Hint, LookError, Observation, Outcome, Timestamp};

use crate::list_answers::{ended, of_error, of_status};
use crate::list_lane::Heard;
use crate::list_reference::{Member, Reference};
use crate::list_says::{Class, NO_WORD, Place, Say};

/// So many redirects are followed in a row.
const MOST_REDIRECTS: usize = 5;

impl Reference {
    /// Tells whether it is a good one.
    pub(crate) fn answer_alone(
        &mut self,
        (number, attempt): Member,
        hop: u32,
        lane: usize,
        sent_at: Timestamp,
        say: &Say,
        now: Timestamp,
    ) -> bool {
        self.note_proven(number, lane);
        let is_heard = self.jobs[number].is_asked_alone(attempt, hop);
        if let Say::Error(error) = say {
            self.lanes[lane].note_failure(*error, sent_at, now);
            if is_heard {
                self.fail_alone(number, lane, *error, now);
                self.settle(number, now);
            }
            return false;
        }
        if !is_heard {
            // Whom the backend asks for patience, it asks all.
            let throttled = matches!(say, Say::Status(429, _));
            if throttled || say.cool_down().is_some() {
                let heard = Heard { throttled, cool_down: say.cool_down(), ..Heard::default() };
                self.lanes[lane].note_answer(heard, sent_at, now);
            }
            return false;
        }
        let (way, looked_at) = (self.jobs[number].way.clone(), self.jobs[number].sent_at);
        let heard = match say {
            Say::Redirect { to, permanent } => self.follow(number, lane, *to, *permanent, now),
            say if way.for_result => self.take_result(number, lane, say, now),
            say => self.take_look(number, lane, say, now),
        };
        self.counts.throttled += u64::from(heard.throttled);
        self.lanes[lane].note_answer(heard, sent_at, now);
        if heard.good {
            self.lanes[lane].note_good_answer_alone();
            self.note_led_well(&way.visited[..way.visited.len() - 1], lane, looked_at, now);
        }
        if matches!(say, Say::Status(401, _)) && !way.for_result {
            self.refuse(now);
        }
        self.settle(number, now);
        heard.good
    }

    /// Who led here, from another origin, has done its work.
    fn note_led_well(&mut self, led_by: &[String], lane: usize, looked_at: Timestamp, now: Timestamp) {
        for address in led_by {
            let by = self.lane_of(address);
            if by != lane {
                let heard = Heard { good: true, answered: true, ..Heard::default() };
                self.lanes[by].note_answer(heard, looked_at, now);
            }
        }
    }

    fn fail_alone(&mut self, number: usize, lane: usize, error: LookError, now: Timestamp) {
        let observation = of_error(error);
        let is_in_vain = error == LookError::TooLarge || matches!(observation, Observation::Fatal { .. });
        if self.jobs[number].way.for_result && is_in_vain {
            self.conclude_without_result(number, lane, now);
        } else {
            self.counts.failed += u64::from(self.conclude(number, lane, now, observation));
        }
    }

    /// The job has succeeded, and its result cannot be had.
    fn conclude_without_result(&mut self, number: usize, lane: usize, now: Timestamp) {
        self.counts.failed += 1;
        self.jobs[number].failed_requests += 1;
        self.conclude(number, lane, now, Observation::Succeeded);
    }

    fn follow(&mut self, number: usize, lane: usize, to: Place, permanent: bool, now: Timestamp) -> Heard {
        let job = &mut self.jobs[number];
        let (address, for_result) = (to.address(), job.way.for_result);
        if !to.is_allowed() {
            if for_result {
                // It may not see the key, and is told instead of asked.
                job.result = Some(address);
                self.conclude(number, lane, now, Observation::Succeeded);
            } else {
                let observation = Observation::Fatal { error: LookError::ForeignOrigin };
                self.counts.failed += u64::from(self.conclude(number, lane, now, observation));
            }
            return Heard { good: for_result, answered: true, ..Heard::default() };
        }
        if job.way.visited.len() > MOST_REDIRECTS || job.way.visited.contains(&address) {
            if for_result {
                self.conclude_without_result(number, lane, now);
                return Heard { answered: true, ..Heard::default() };
            }
            let error = LookError::RedirectLoop;
            let observation = Observation::Transient { error, hint: None };
            self.counts.failed += u64::from(self.conclude(number, lane, now, observation));
            return Heard { failed: Some(error), ..Heard::default() };
        }
        job.way.permanent &= permanent;
        if job.way.permanent && !for_result {
            (job.home, job.is_elsewhere) = (address.clone(), true);
        }
        job.way.visited.push(address);
        self.go_home(number);
        self.ask_further(number);
        Heard::default()
    }

    fn take_result(&mut self, number: usize, lane: usize, say: &Say, now: Timestamp) -> Heard {
        let heard = Heard { cool_down: say.cool_down(), ..Heard::default() };
        let job = &mut self.jobs[number];
        let observation = match say {
            Say::Status(status, _) => of_status(*status, say.hint().map(Hint::after)),
            Say::Tell(_) => {
                job.result = Some(format!("cake of {}", job.id));
                Observation::Succeeded
            }
            _ => {
                job.result = Some("<html>".to_string());
                Observation::Succeeded
            }
        };
        match observation {
            Observation::Succeeded => {
                self.conclude(number, lane, now, observation);
                Heard { good: true, answered: true, ..heard }
            }
            Observation::Transient { error, .. } => {
                self.counts.failed += u64::from(self.conclude(number, lane, now, observation));
                Heard { failed: Some(error), ..heard }
            }
            Observation::Throttled { .. } => {
                self.counts.failed += u64::from(self.conclude(number, lane, now, observation));
                Heard { throttled: true, ..heard }
            }
            _ => {
                self.conclude_without_result(number, lane, now);
                // That the key is good for looks does not make it good for this.
                self.key.results_refused |= matches!(say, Say::Status(401, _));
                Heard { answered: true, ..heard }
            }
        }
    }

    fn take_look(&mut self, number: usize, lane: usize, say: &Say, now: Timestamp) -> Heard {
        let observation = self.read_alone(number, say);
        if observation == Observation::Succeeded
            && let Some(result_at) = say.result_at()
        {
            let job = &mut self.jobs[number];
            (job.told, job.result) = (Some((Outcome::Succeeded, now)), None);
            job.poller.note_backend_proven();
            job.way.visited.push(result_at);
            job.way.for_result = true;
            self.ask_further(number);
            return Heard { good: true, answered: true, cool_down: say.cool_down(), ..Heard::default() };
        }
        let (fatal, throttled) = match observation {
            Observation::Fatal { .. } => (true, false),
            Observation::Throttled { .. } => (false, true),
            _ => (false, false),
        };
        // Who does not know a job any more that has ended has answered all the same.
        let is_denial = matches!(say, Say::Status(404 | 410, _))
            || matches!(say, Say::Tell(tell) if tell.word(0).1 == Class::Denied);
        let failed = match observation {
            Observation::Transient { error, .. } if !is_denial => Some(error),
            _ => None,
        };
        let told = !(fatal || throttled || failed.is_some());
        self.counts.hints += u64::from(hint_of(observation));
        self.counts.failed += u64::from(self.conclude(number, lane, now, observation));
        Heard { good: told && !is_denial, answered: told || fatal, throttled, cool_down: say.cool_down(), failed }
    }

    /// What an answer to a look at this job alone says of it. An end that was told never changes, and a job that has ended
    /// is not lost.
    fn read_alone(&mut self, number: usize, say: &Say) -> Observation {
        let hint = say.hint().map(Hint::after);
        let job = &mut self.jobs[number];
        let told = job.told.map(|(outcome, _)| outcome);
        let tell = match say {
            Say::Tell(tell) => tell,
            Say::Status(status, _) => {
                let observation = of_status(*status, hint);
                return match (observation, told) {
                    (Observation::Lost { .. }, Some(_)) => {
                        Observation::Transient { error: LookError::Status(*status), hint: None }
                    }
                    _ => observation,
                };
            }
            _ => return Observation::Transient { error: LookError::Malformed, hint },
        };
        let (word, class) = tell.word(0);
        match (class, told) {
            (Class::Unfinished, None) => job.unfinished_at = job.unfinished_at.max(Some(job.sent_at)),
            (Class::Unfinished, Some(_)) => return Observation::Running { hint },
            (Class::Ended(outcome), Some(told)) if outcome != told => return ended(told),
            (Class::Denied, Some(_)) => {
                return Observation::Transient { error: LookError::Status(200), hint: None };
            }
            _ => {}
        }
        job.note_state(word, word != NO_WORD);
        match class {
            Class::Unfinished => Observation::Running { hint },
            Class::Denied => Observation::Lost { definite: false },
            Class::Ended(outcome) => {
                if outcome == Outcome::Succeeded {
                    // What may not be asked is told by its address.
                    let cake = || format!("cake of {}", job.id);
                    job.result = Some(tell.cake_at.map_or_else(cake, Place::address));
                }
                ended(outcome)
            }
        }
    }
}

/// Whether an answer's hint is followed.
fn hint_of(observation: Observation) -> bool {
    match observation {
        Observation::Running { hint } | Observation::Transient { hint, .. } | Observation::Throttled { hint, .. } => {
            hint.is_some()
        }
        _ => false,
    }
}
