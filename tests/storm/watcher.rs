//! One job in a loop of its own: a watch, its clock, the requests on its wire, and everything that was promised about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwatch::{
    Backend, Finished, JobRef, JobSnapshot, Outcome, Policy, Timestamp, TransportError, WaitReason, Watch, WatchAction,
    WatchRequestId,
};

use super::client::backend;
use super::clock::Clock;
use super::dice::Dice;
use super::ledger::{Delivery, Tell, What, asks_again};
use super::speech::{ABROAD, Ask, Asked, HOME, Speech};
use super::waits::{Attempt, Rules, Stage, Wait};

pub(crate) struct Watcher {
    watch: Watch<Arc<Backend>, Arc<Policy>>,
    pub(crate) clock: Clock,
    /// The greatest instant that the present watch was told.
    latest: Timestamp,
    speech: &'static Speech,
    rules: Rules,
    pub(crate) wait: Wait,
    key: u64,
    /// Grows with each life: what was sent in an earlier one is not heard.
    pub(crate) life: u32,
    pub(crate) alarm: u64,
    /// By its number: its name, when its time is over, and whether it asks for a result.
    wire: BTreeMap<u64, (WatchRequestId, Timestamp, bool)>,
    pub(crate) sent: u64,
    /// Answers, errors and expiries that tell nothing of the job, and those that refuse.
    failures: u64,
    refusals: u64,
    /// An answer told the end, and nothing is left to be asked.
    must_end: bool,
    /// Requests at the present instant, and waking up in vain.
    busy: (Timestamp, usize),
    idle: usize,
    /// Nothing but the policy delays anything.
    calm: bool,
}

/// What a watcher wants of its world.
pub(crate) enum Wish {
    Send { number: u64, asked: Asked, over: u64 },
    Sleep(u64),
    Ended(Box<Finished>),
    Nothing,
}

impl Watcher {
    pub(crate) fn new(
        speech: &'static Speech,
        rules: Rules,
        (job, id): (JobRef, String),
        mut clock: Clock,
        (world, key, calm): (u64, u64, bool),
        dice: &mut Dice,
    ) -> Self {
        let now = clock.hear(world);
        let mut rng = crate::http_support::rng(dice.roll());
        let (backend, policy) = (Arc::new(backend(speech, key)), Arc::clone(&rules.policy));
        let watch = Watch::new(backend, policy, job.clone(), now, &mut rng);
        let wait = Wait::new(None, job, id, 0, &rules, now);
        Self {
            watch,
            clock,
            latest: now,
            speech,
            rules,
            wait,
            key,
            life: 0,
            alarm: 0,
            wire: BTreeMap::new(),
            sent: 0,
            failures: 0,
            refusals: 0,
            must_end: false,
            busy: (now, 0),
            idle: 0,
            calm,
        }
    }

    fn hear(&mut self, world: u64) -> (Timestamp, Timestamp) {
        let shown = self.clock.hear(world);
        self.latest = self.latest.max(shown);
        (shown, self.latest)
    }

    pub(crate) fn is_here(&self) -> bool {
        self.wait.is_here()
    }

    /// One action, and what must hold of it.
    pub(crate) fn poll(&mut self, world: u64) -> Wish {
        let (shown, now) = self.hear(world);
        match self.watch.poll(shown) {
            WatchAction::Send { id, request, timeout } => {
                assert!(!self.must_end, "truth: an end was told, and the wait goes on, {:?}", self.wait);
                let asked = Asked::of(&request);
                assert!([HOME, ABROAD].contains(&asked.origin.as_str()), "credentials: sent to {}", asked.url);
                assert_eq!(asked.api_key, Some(format!("key-{}", self.key)), "credentials: not the present ones");
                assert_eq!(self.refusals, 0, "credentials: sent though they were refused for good");
                self.busy = (now, if self.busy.0 == now { self.busy.1 + 1 } else { 1 });
                // At the end of time, where it stands still, come all looks.
                let most = if now == Timestamp::MAX { 20_000 } else { 20 };
                assert!(self.busy.1 <= most, "no hot loop: {} requests at {now}", self.busy.1);
                let (number, expires) = (self.sent, now.saturating_add(timeout));
                (self.sent, self.idle) = (self.sent + 1, 0);
                self.note_look(number, now, expires, world);
                self.wire.insert(number, (id, expires, matches!(asked.ask, Ask::Result(_))));
                Wish::Send { number, asked, over: self.clock.when(expires) }
            }
            WatchAction::Sleep { until, reason } if self.is_here() => {
                assert!(!self.must_end, "truth: an end was told, and the wait goes on, {:?}", self.wait);
                assert!(until > now || now == Timestamp::MAX, "no hot loop: a sleep that is over before it begins");
                self.idle += 1;
                assert!(self.idle < 200, "no hot loop: it wakes up over and over, and nothing happens");
                if reason != WaitReason::InFlight {
                    self.end_attempt(now);
                }
                let idle = self.wait.attempt.is_some_and(|attempt| attempt.request.is_none() && attempt.expires > now);
                assert!(!idle, "progress: a look goes on without a request, {:?}", self.wait);
                self.check_deadline(now);
                Wish::Sleep(self.clock.when(until))
            }
            WatchAction::Sleep { until, .. } => {
                assert_eq!(until, Timestamp::MAX, "one end: it was handed out, and there is more to do");
                Wish::Nothing
            }
            WatchAction::Finished(finished) => {
                self.finish(&finished, now);
                Wish::Ended(Box::new(finished))
            }
        }
    }

    /// A request leaves: the first of a new look, or one more of the same.
    fn note_look(&mut self, number: u64, now: Timestamp, expires: Timestamp, world: u64) {
        let policy = &self.rules.policy;
        self.wait.requests += 1;
        if self.wait.attempt.is_some_and(|attempt| attempt.expires <= now) {
            self.failures += 1;
            self.wait.end_attempt(policy, now);
        }
        if let Some(attempt) = &mut self.wait.attempt {
            assert!(attempt.request.is_none(), "limits: two requests for one job, {:?}", self.wait);
            assert_eq!(attempt.expires, expires, "deadline: a look has one time, whatever it is led to");
            attempt.request = Some(number);
            return;
        }
        if self.calm {
            self.wait.check_gap(policy, now);
        }
        let request = Some(number);
        let (sent_at, sent_in_world, last) = (now, world, number);
        self.wait.begin(policy, now, Attempt { sent_at, sent_in_world, expires, request, last, in_list: false });
    }

    fn end_attempt(&mut self, now: Timestamp) {
        if let Some(attempt) = self.wait.attempt {
            self.failures += u64::from(attempt.expires <= now);
            self.wait.end_attempt(&self.rules.policy, now);
        }
    }

    fn check_deadline(&mut self, now: Timestamp) {
        if self.wait.deadline.is_some_and(|(_, hi)| now >= hi) {
            let since = *self.wait.overdue_since.get_or_insert(now);
            let grace = self.rules.policy.final_grace() * 2;
            let in_time = now < since.saturating_add(grace) || now == Timestamp::MAX;
            assert!(in_time, "deadline: it goes on since {since}, at {now}, {:?}", self.wait);
        }
    }

    fn finish(&mut self, finished: &Finished, now: Timestamp) {
        let over = self.wait.attempt.is_some_and(|attempt| attempt.expires <= now);
        self.wait.check_end(finished, &self.rules.policy, now);
        assert_eq!(finished.requests, self.wait.requests, "counts: {:?} {finished:?}", self.wait);
        let cause = match finished.outcome {
            Outcome::Rejected => self.refusals,
            Outcome::GaveUp => self.failures + u64::from(over),
            _ => 1,
        };
        assert!(cause > 0, "truth: nobody gave a reason, {finished:?}");
        assert!(self.watch.snapshot().is_none(), "one end: it could be taken up again");
        self.wait.stage = Stage::Finished;
    }

    /// Hands in what came of a request, as often as it comes.
    pub(crate) fn deliver(&mut self, world: u64, number: u64, delivery: &Delivery) {
        let Some((id, _, for_result)) = self.wire.get(&number).copied() else { return };
        let (shown, now) = self.hear(world);
        let is_awaited = self.wait.attempt.is_some_and(|attempt| attempt.request == Some(number)) && self.is_here();
        let before = (!is_awaited).then(|| self.fingerprint());
        match delivery {
            Delivery::Reply(reply) => self.watch.handle_response(shown, id, &reply.response),
            Delivery::Error(error) => self.watch.handle_error(shown, id, &TransportError::new(*error, "the wire")),
        }
        if let Some(before) = before {
            assert_eq!(before, self.fingerprint(), "stale: an answer was heard that came too late");
            return;
        }
        self.idle = 0;
        let Delivery::Reply(reply) = delivery else {
            self.failures += 1;
            return self.wait.forget_request();
        };
        match &reply.what {
            What::Refused | What::Fatal => self.refusals += 1,
            What::States(tells) if tells.iter().any(|(_, tell)| !matches!(tell, Tell::Denied { .. })) => {}
            _ => self.failures += 1,
        }
        self.wait.hear_reply(reply, self.rules.policy.max_retry_after(), now, world, for_result);
        if let What::States(tells) = &reply.what
            && let Some((_, Tell::End(end))) = tells.iter().find(|(id, _)| *id == self.wait.id && !for_result)
        {
            self.must_end = !asks_again(self.speech, false, *end);
        }
    }

    /// All that is to be seen of it from outside.
    fn fingerprint(&self) -> String {
        format!("{} {:?}", serde_json::to_string(&self.watch.snapshot()).unwrap(), self.watch)
    }

    pub(crate) fn wake(&mut self, world: u64) {
        let (shown, _) = self.hear(world);
        self.watch.wake(shown);
        self.wait.woken = true;
    }

    pub(crate) fn stop(&mut self, world: u64) {
        let (shown, _) = self.hear(world);
        self.watch.stop(shown);
        self.wait.stopped |= self.is_here();
    }

    /// Dies, and begins again with what it has stored just now, and with a key that is good.
    pub(crate) fn crash(&mut self, world: u64, key: u64) {
        let Some(snapshot) = self.watch.snapshot() else { return };
        let (stored, at) = (serde_json::to_string(&snapshot).unwrap(), self.latest);
        let snapshot: JobSnapshot = serde_json::from_str(&stored).unwrap();
        self.clock.forget();
        self.latest = Timestamp::UNIX_EPOCH;
        let (shown, now) = self.hear(world);
        let (backend, policy) = (Arc::new(backend(self.speech, key)), Arc::clone(&self.rules.policy));
        self.watch = Watch::resume(backend, Arc::clone(&policy), snapshot, shown).unwrap();
        self.wait = self.wait.resumed(None, &policy, at, now);
        self.wire.clear();
        (self.key, self.life, self.idle, self.refusals, self.must_end) = (key, self.life + 1, 0, 0, false);
    }
}
