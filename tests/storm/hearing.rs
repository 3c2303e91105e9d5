//! What a client hears, and what must have become of it.

use std::rc::Rc;

use jobwatch::{Finished, FleetEvent, LookError, Outcome, Timestamp, TransportError};

use super::Client;
use crate::ledger::{Delivery, Reply, Tell, What, asks_again};
use crate::speech::Lists;
use crate::waits::{CREDIBLE, Stage};

impl Client {
    /// Hands in what came of a request, as often as it comes.
    pub(crate) fn deliver(&mut self, number: u64, delivery: &Delivery) {
        let (shown, now) = self.hear();
        let Some(request) = self.wire.get(&number) else { return };
        let (id, alive, sent_at, origin) = (request.id, request.alive, request.sent_at, request.origin.clone());
        let (in_list, for_result, is_current) = (request.in_list, request.for_result, request.key == self.key);
        let before = (!alive).then(|| self.fingerprint());
        match delivery {
            Delivery::Reply(reply) => self.fleet.handle_response(shown, id, &reply.response),
            Delivery::Error(error) => self.fleet.handle_error(shown, id, &TransportError::new(*error, "the wire")),
        }
        if let Some(before) = before {
            assert_eq!(before, self.fingerprint(), "stale: an answer was heard that came too late");
            return;
        }
        self.effects += 1;
        self.bury(number);
        let asked: Vec<_> = (0..self.waits.len())
            .filter(|which| {
                let wait = &self.waits[*which];
                wait.is_here() && wait.attempt.is_some_and(|attempt| attempt.request == Some(number))
            })
            .collect();
        match delivery {
            Delivery::Reply(reply) => {
                self.accepted |= is_current && reply.what != What::Refused;
                self.note_reply(now, sent_at, &origin, reply);
                for which in &asked {
                    let (wait, world) = (&mut self.waits[*which], self.world);
                    let longest = self.policies[wait.class].policy.max_retry_after();
                    wait.hear_reply(reply, longest, now, world, for_result);
                }
                self.settle_after(Some(now));
                for which in asked {
                    self.check_heard(which, reply, in_list, for_result);
                }
            }
            Delivery::Error(error) => {
                self.failures += 1;
                if !(in_list && *error == LookError::TooLarge) {
                    self.lanes.entry(origin).or_default().fail(sent_at, now);
                }
                for which in asked {
                    self.waits[which].forget_request();
                }
            }
        }
        self.settle_after(Some(now));
    }

    /// When the time of a request is over, in nanoseconds of the world.
    pub(crate) fn over(&self, number: u64) -> u64 {
        self.clock.when(self.wire[&number].expires)
    }

    /// What an answer says to all.
    fn note_reply(&mut self, now: Timestamp, sent_at: Timestamp, origin: &str, reply: &Rc<Reply>) {
        let longest = self.policies.iter().map(|rules| rules.policy.max_retry_after()).min().unwrap();
        let silence = reply.cool_down.filter(|time| *time <= CREDIBLE).map(|time| time.min(longest));
        let throttled = reply.what == What::Throttled;
        self.lanes.entry(origin.to_owned()).or_default().hear(sent_at, now, throttled, silence);
        self.throttles += u64::from(throttled || silence.is_some());
        match &reply.what {
            What::Refused | What::Fatal => self.refusals += 1,
            What::Broken | What::Redirect => self.failures += 1,
            // That a job which has ended is not known is no answer that was asked for.
            What::States(tells) if tells.iter().all(|(_, tell)| matches!(tell, Tell::Denied { .. })) => {}
            What::States(_) | What::Result => self.lanes.entry(origin.to_owned()).or_default().hear_well(),
            _ => {}
        }
    }

    /// An end that was told is the end, unless its result has to be asked for.
    fn check_heard(&self, which: usize, reply: &Rc<Reply>, in_list: bool, for_result: bool) {
        let (wait, What::States(tells)) = (&self.waits[which], &reply.what) else { return };
        let told = tells.iter().find(|(id, _)| *id == wait.id && !for_result);
        if let Some((_, Tell::End(end))) = told
            && !asks_again(self.speech, in_list, *end)
        {
            assert_eq!(wait.stage, Stage::Finished, "truth: an end was told, and the wait goes on, {wait:?}");
        }
    }

    /// What is known of each wait; nothing of it may change for nothing.
    fn fingerprint(&mut self) -> Vec<(u64, u64, bool, Timestamp)> {
        let stats = self.fleet.stats();
        let all = (stats.requests, stats.failed_requests + stats.throttled_requests, false, Timestamp::UNIX_EPOCH);
        let each = self.waits.iter().filter_map(|wait| {
            let progress = self.fleet.progress(wait.handle?)?;
            Some((u64::from(progress.requests), 0, progress.in_flight, progress.next))
        });
        core::iter::once(all).chain(each).collect()
    }

    pub(super) fn settle(&mut self) {
        self.settle_after(None);
    }

    /// Drains the news, and finds out whose look is over: since an answer `heard` at this instant, or by itself.
    fn settle_after(&mut self, heard: Option<Timestamp>) {
        while let Some(event) = self.fleet.next_event() {
            self.effects += 1;
            let (FleetEvent::Changed { handle, .. }
            | FleetEvent::UnknownState { handle, .. }
            | FleetEvent::Finished { handle, .. }) = event
            else {
                panic!("{event:?}")
            };
            let which = self.waits.iter().position(|wait| wait.handle == Some(handle)).expect("handles: a job of ours");
            assert!(self.waits[which].is_here(), "one end: news of a job that is gone");
            if let FleetEvent::Finished { finished, .. } = event {
                self.finish(which, &finished);
            }
        }
        let latest = self.clock.latest();
        for wait in self.waits.iter_mut().filter(|wait| wait.is_here()) {
            let progress = wait
                .handle
                .and_then(|handle| self.fleet.progress(handle))
                .expect("one end: a job is gone without a word");
            if let Some(attempt) = wait.attempt.filter(|_| !progress.in_flight) {
                let at = match heard {
                    _ if attempt.expires <= latest => attempt.expires,
                    Some(heard) if attempt.request.is_none() => heard,
                    // A redirect that leads into a cool-down is not followed, and nothing is counted.
                    _ => attempt.sent_at,
                };
                wait.end_attempt(&self.policies[wait.class].policy, at);
            }
        }
        let here = self.waits.iter().filter(|wait| wait.is_here()).count();
        assert_eq!((self.fleet.len(), self.fleet.jobs().count()), (here, here), "memory: other jobs than ours");
    }

    fn finish(&mut self, which: usize, finished: &Finished) {
        let latest = self.clock.latest();
        // A look in company may be over before its request.
        let mut looks = self.waits.iter().filter_map(|wait| wait.attempt).map(|attempt| attempt.expires);
        let requests = self.wire.values().map(|request| request.expires);
        let over = u64::from(looks.any(|expires| expires <= latest) || requests.into_iter().any(|at| at <= latest));
        let wait = &mut self.waits[which];
        let policy = &self.policies[wait.class].policy;
        wait.check_end(finished, policy, latest);
        if self.speech.lists == Lists::None {
            assert_eq!(finished.requests, wait.requests, "counts: {wait:?} {finished:?}");
        }
        let cause = match finished.outcome {
            Outcome::Rejected => self.refusals,
            Outcome::GaveUp => self.failures + over,
            _ => 1,
        };
        assert!(cause > 0, "truth: nobody gave a reason, {finished:?}");
        wait.stage = Stage::Finished;
        self.refused |= finished.outcome == Outcome::Rejected && finished.last_error == Some(LookError::Status(401));
        self.ended += 1;
        self.endings.push((self.waits[which].clone(), finished.clone()));
    }
}
