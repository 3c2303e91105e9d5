//! One client: a fleet, its clock, the requests on its wire, and everything that was promised about them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use jobwatch::{
    Backend, ClassId, Finished, Fleet, FleetAction, FleetEvent, JobHandle, JobRef, JobSnapshot, LookError, Outcome,
    RateLimit, RequestId, Timestamp, TransportError,
};

use super::clock::Clock;
use super::dice::Dice;
use super::lanes::Lane;
use super::server::{Delivery, Reply, Tell, What, asks_again};
use super::speech::{ABROAD, Ask, Asked, HOME, Lists, Speech};
use super::waits::{Attempt, Rules, Stage, Wait};

/// What is longer is no hint.
const CREDIBLE: Duration = Duration::from_secs(24 * 60 * 60);

/// A request, for as long as somebody may answer it, which is longer than the fleet waits.
#[derive(Debug)]
pub(crate) struct OnWire {
    id: RequestId,
    origin: String,
    sent_at: Timestamp,
    expires: Timestamp,
    /// It holds a place, and its answer will be heard.
    alive: bool,
    in_list: bool,
    for_result: bool,
}

#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Client {
    pub(crate) fleet: Fleet,
    pub(crate) clock: Clock,
    pub(crate) speech: &'static Speech,
    pub(crate) policies: Vec<Rules>,
    pub(crate) limit: usize,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) renewable: bool,
    pub(crate) renewing: bool,
    /// The number of its API key.
    pub(crate) key: u64,
    pub(crate) renewals: u32,
    classes: Vec<ClassId>,
    /// Grows with each life: what was sent in an earlier one is not heard.
    pub(crate) life: u32,
    pub(crate) waits: Vec<Wait>,
    pub(crate) stored: Vec<(String, Wait, Timestamp)>,
    pub(crate) wire: BTreeMap<u64, OnWire>,
    lanes: BTreeMap<String, Lane>,
    pub(crate) sent: u64,
    sent_in_this_life: u64,
    failures: u64,
    refusals: u64,
    throttles: u64,
    ended: usize,
    /// Actions at the present instant, and waking up in vain.
    busy: (Timestamp, usize),
    idle: usize,
    effects: u64,
    /// Ends that nobody has compared with the ledger yet.
    pub(crate) endings: Vec<(Wait, Finished)>,
    /// Nothing but the policies delays anything.
    pub(crate) calm: bool,
    /// Nanoseconds of the world.
    pub(crate) world: u64,
}

/// What a client wants of its world.
pub(crate) enum Want {
    Send(u64, Asked),
    Renew,
    Sleep(Timestamp),
    Idle,
}

pub(crate) fn backend(speech: &Speech, key: u64) -> Backend {
    let backend = Backend::new(speech.dialect.clone(), Some(&format!("{HOME}/v1"))).unwrap();
    backend.with_allowed_origin(ABROAD).unwrap().with_header("x-api-key", &format!("key-{key}")).unwrap()
}

fn fleet(speech: &Speech, key: u64, policies: &[Rules], renewable: bool, dice: &mut Dice) -> (Fleet, Vec<ClassId>) {
    let (backend, mut rng) = (Arc::new(backend(speech, key)), crate::http_support::rng(dice.roll()));
    let mut fleet = Fleet::new(backend, Arc::clone(&policies[0].policy), &mut rng);
    if renewable {
        fleet = fleet.with_renewal();
    }
    let classes = policies.iter().map(|policy| fleet.add_class(Arc::clone(&policy.policy))).collect();
    (fleet, classes)
}

impl Client {
    pub(crate) fn new(speech: &'static Speech, policies: Vec<Rules>, clock: Clock, dice: &mut Dice) -> Self {
        let rate = |dice: &mut Dice| {
            let hertz = 1.0 + f64::from(u32::try_from(dice.below(20)).unwrap()) / 2.0;
            RateLimit::per_second(hertz).unwrap().with_burst(u32::try_from(dice.between(1, 9)).unwrap())
        };
        let (limit, rate) = (dice.index(6) + 1, dice.percent(60).then(|| rate(dice)));
        let renewable = dice.percent(70);
        let (fleet, classes) = fleet(speech, 0, &policies, renewable, dice);
        Self {
            fleet: fleet.with_max_in_flight(limit).with_rate(rate),
            clock,
            speech,
            policies,
            limit,
            rate,
            renewable,
            renewing: false,
            key: 0,
            renewals: 0,
            classes,
            life: 0,
            waits: Vec::new(),
            stored: Vec::new(),
            wire: BTreeMap::new(),
            lanes: BTreeMap::new(),
            sent: 0,
            sent_in_this_life: 0,
            failures: 0,
            refusals: 0,
            throttles: 0,
            ended: 0,
            busy: (Timestamp::UNIX_EPOCH, 0),
            idle: 0,
            effects: 0,
            endings: Vec::new(),
            calm: false,
            world: 0,
        }
    }

    fn begin_life(&mut self, dice: &mut Dice) {
        let (fleet, classes) = fleet(self.speech, self.key, &self.policies, self.renewable, dice);
        self.fleet = fleet.with_max_in_flight(self.limit).with_rate(self.rate);
        self.classes = classes;
        self.life += 1;
        self.wire.clear();
        self.lanes.clear();
        self.renewing = false;
        (self.sent_in_this_life, self.ended, self.idle) = (0, 0, 0);
        self.clock.forget();
    }

    pub(crate) fn insert(&mut self, job: &JobRef, id: &str, class: usize) {
        let (shown, now) = self.hear();
        let class = class % self.classes.len();
        let handle = self.fleet.insert_in(self.classes[class], job.clone(), shown);
        self.greet(Wait::new(Some(handle), job.clone(), id.to_owned(), class, &self.policies[class], now));
        self.settle();
    }

    /// What the clock shows, and what the fleet holds it to be.
    fn hear(&mut self) -> (Timestamp, Timestamp) {
        let shown = self.clock.hear(self.world);
        (shown, self.clock.latest())
    }

    /// Whether another wait for this job could not be told from the present one by what lists name.
    pub(crate) fn asks_by_list(&self, id: &str) -> bool {
        self.speech.lists != Lists::None && self.waits.iter().any(|wait| wait.is_here() && wait.id == id)
    }

    fn greet(&mut self, wait: Wait) {
        assert!(self.waits.iter().all(|known| known.handle != wait.handle), "handles: one names two jobs");
        self.waits.push(wait);
    }

    fn name(&self, number: usize) -> JobHandle {
        self.waits[number].handle.unwrap()
    }

    fn here(&self, which: usize) -> Option<usize> {
        let here: Vec<_> = (0..self.waits.len()).filter(|n| self.waits[*n].is_here()).collect();
        (!here.is_empty()).then(|| here[which % here.len()])
    }

    pub(crate) fn stop(&mut self, which: usize) {
        let Some(number) = self.here(which) else { return };
        let (shown, _) = self.hear();
        self.waits[number].stopped = true;
        assert!(self.fleet.stop(self.name(number), shown), "one end: it was gone without a word");
        self.settle();
        assert!(!self.waits[number].is_here(), "one end: a wait was stopped and goes on");
        assert!(!self.fleet.stop(self.name(number), shown), "one end: a wait was stopped twice");
    }

    pub(crate) fn wake(&mut self, which: usize) {
        let Some(number) = self.here(which) else { return };
        let (shown, _) = self.hear();
        assert!(self.fleet.wake(self.name(number), shown));
        // An attempt whose time is over has been taken back, and then the wake was heard.
        self.settle();
        self.waits[number].woken = true;
    }

    /// Takes a wait out; it may be taken up again from the store.
    pub(crate) fn remove(&mut self, which: usize) {
        let Some(number) = self.here(which) else { return };
        let snapshot = self.fleet.remove(self.name(number)).expect("one end: it was gone without a word");
        let stored = serde_json::to_string(&snapshot).unwrap();
        self.stored.push((stored, self.waits[number].clone(), self.clock.latest()));
        self.waits[number].stage = Stage::Removed;
        assert!(self.fleet.remove(self.name(number)).is_none(), "handles: it was removed twice");
        self.settle();
    }

    /// Takes up what was stored, by this client or another.
    pub(crate) fn take_up(&mut self, (stored, wait, at): (String, Wait, Timestamp)) {
        let (shown, now) = self.hear();
        let snapshot: JobSnapshot = serde_json::from_str(&stored).unwrap();
        let handle = self.fleet.resume_in(self.classes[wait.class], snapshot, shown).unwrap();
        self.greet(wait.resumed(Some(handle), &self.policies[wait.class].policy, at, now));
        self.settle();
    }

    /// Dies, and begins again with what it has stored: now, or some steps ago.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        let latest = self.clock.latest();
        let mut lost = Vec::new();
        let is_careful = dice.percent(50);
        for number in 0..self.waits.len() {
            if !self.waits[number].is_here() {
                continue;
            }
            let known = self.stored.iter().rposition(|(_, wait, _)| wait.handle == self.waits[number].handle);
            let stored = match known.filter(|_| !is_careful) {
                Some(known) => self.stored[known].clone(),
                None => {
                    let snapshot = self.fleet.snapshot(self.name(number)).unwrap();
                    (serde_json::to_string(&snapshot).unwrap(), self.waits[number].clone(), latest)
                }
            };
            lost.push(stored);
        }
        self.begin_life(dice);
        self.stored.clear();
        self.waits.clear();
        lost.into_iter().for_each(|stored| self.take_up(stored));
    }

    /// Stores what one wait has come to.
    pub(crate) fn store(&mut self, which: usize) {
        let Some(number) = self.here(which) else { return };
        let snapshot = self.fleet.snapshot(self.name(number)).unwrap();
        let wait = self.waits[number].clone();
        self.stored.retain(|(_, known, _)| known.handle != wait.handle);
        self.stored.push((serde_json::to_string(&snapshot).unwrap(), wait, self.clock.latest()));
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
        self.fleet.set_max_in_flight(limit);
    }

    pub(crate) fn set_rate(&mut self, rate: Option<RateLimit>) {
        self.rate = rate;
        self.fleet.set_rate(rate);
    }

    /// The driver lost its connections.
    pub(crate) fn forget_requests(&mut self) {
        self.fleet.forget_requests();
        for number in self.wire.keys().copied().collect::<Vec<_>>() {
            self.bury(number);
        }
    }

    /// A request is over: it holds no place, and is not heard.
    fn bury(&mut self, number: u64) {
        let Some(request) = self.wire.get_mut(&number).filter(|request| request.alive) else { return };
        request.alive = false;
        self.lanes.entry(request.origin.clone()).or_default().end(number);
    }

    pub(crate) fn renewed(&mut self, key: Option<u64>) {
        if !std::mem::take(&mut self.renewing) {
            return;
        }
        let (shown, _) = self.hear();
        match key {
            Some(key) => {
                self.key = key;
                let backend = self.fleet.backend().renewed([("x-api-key", format!("key-{key}"))]).unwrap();
                self.fleet.renewed(shown, Ok(Arc::new(backend)));
            }
            None => {
                self.refusals += 1;
                self.fleet.renewed(shown, Err("nobody has another".to_owned()));
            }
        }
        self.effects += 1;
        self.settle();
    }

    /// One action, and what must hold of it.
    pub(crate) fn poll(&mut self) -> Want {
        let (shown, now) = self.hear();
        let action = self.fleet.poll(shown);
        self.expire(now);
        self.settle();
        if now != self.busy.0 {
            self.busy = (now, 0);
        }
        self.busy.1 += usize::from(matches!(action, FleetAction::Send { .. } | FleetAction::Renew));
        // Each job has one attempt at an instant, of six hops at the most, each of which may be refused once.
        // At the end of time, where it stands still, each has all its looks.
        let most = if now == Timestamp::MAX { 20_000 } else { 100 + 20 * self.waits.len() };
        assert!(self.busy.1 <= most, "no hot loop: {} actions at {now}", self.busy.1);
        match action {
            FleetAction::Send { id, request, timeout } => {
                let (number, asked) = self.send(now, id, &request, timeout);
                Want::Send(number, asked)
            }
            FleetAction::Renew => {
                assert!(self.renewable && !self.renewing, "credentials: one renewal at a time");
                (self.renewing, self.renewals, self.effects) = (true, self.renewals + 1, self.effects + 1);
                Want::Renew
            }
            FleetAction::Sleep { until } => {
                assert!(!self.fleet.is_empty(), "progress: it sleeps, and there is nobody to wait for");
                assert!(until > now || now == Timestamp::MAX, "no hot loop: a sleep that is over before it begins");
                self.check_deadlines(now);
                self.check_looks(now);
                self.note_sleep();
                Want::Sleep(until)
            }
            FleetAction::Idle => {
                assert!(self.fleet.is_empty(), "progress: it is idle, and somebody waits");
                Want::Idle
            }
        }
    }

    /// Nobody who has begun a look sits idle, if nothing keeps its next request back.
    fn check_looks(&self, now: Timestamp) {
        let is_open = self.rate.is_none() && !self.renewing && self.lanes.values().all(|lane| lane.is_open(now));
        let idle = self
            .waits
            .iter()
            .filter(|wait| wait.is_here())
            .find(|wait| wait.attempt.is_some_and(|attempt| attempt.request.is_none() && attempt.expires > now));
        assert!(!is_open || idle.is_none(), "progress: a look goes on without a request, {idle:?}");
    }

    fn note_sleep(&mut self) {
        let most = 200 + 20 * self.waits.len();
        self.idle = if self.effects > 0 { 0 } else { self.idle + 1 };
        self.effects = 0;
        assert!(self.idle <= most, "no hot loop: it wakes up over and over, and nothing happens");
    }

    /// Every wait that is here has its end close ahead.
    fn check_deadlines(&mut self, now: Timestamp) {
        for wait in self.waits.iter_mut().filter(|wait| wait.is_here()) {
            if wait.deadline.is_some_and(|(_, hi)| now >= hi) {
                let since = *wait.overdue_since.get_or_insert(now);
                let grace = self.policies[wait.class].policy.final_grace() * 2;
                let in_time = now < since.saturating_add(grace) || now == Timestamp::MAX;
                assert!(in_time, "deadline: it goes on since {since}, at {now}, {wait:?}");
            }
        }
    }

    /// Takes those off the wire whose time is over.
    fn expire(&mut self, now: Timestamp) {
        let over = self.wire.iter().filter(|(_, request)| request.alive && request.expires <= now);
        let mut over: Vec<_> = over.map(|(number, request)| (request.expires, *number)).collect();
        over.sort_unstable();
        for (_, number) in over {
            self.bury(number);
            let request = &self.wire[&number];
            self.lanes.entry(request.origin.clone()).or_default().fail(request.sent_at, now);
            (self.failures, self.effects) = (self.failures + 1, self.effects + 1);
        }
    }

    fn send(&mut self, now: Timestamp, id: RequestId, request: &Request<Vec<u8>>, timeout: Duration) -> (u64, Asked) {
        let asked = Asked::of(request);
        let number = self.sent;
        (self.sent, self.sent_in_this_life, self.effects) =
            (self.sent + 1, self.sent_in_this_life + 1, self.effects + 1);
        assert!([HOME, ABROAD].contains(&asked.origin.as_str()), "credentials: sent to {}", asked.url);
        assert_eq!(asked.api_key, Some(format!("key-{}", self.key)), "credentials: not the present ones");
        assert!(!self.renewing, "credentials: sent while they are renewed");
        let expires = now.saturating_add(timeout);
        let (in_list, for_result) = (matches!(asked.ask, Ask::List { .. }), matches!(asked.ask, Ask::Result(_)));
        let lane = self.lanes.entry(asked.origin.clone()).or_default();
        lane.send(now, number, expires, self.limit, self.rate);
        for which in 0..self.waits.len() {
            let wait = &self.waits[which];
            if wait.is_here() && self.takes_part(wait, id.job(), &asked.ask, now) {
                self.note_look(which, number, now, in_list);
            }
        }
        assert!(
            self.waits.iter().any(|wait| wait.handle == Some(id.job()) && wait.is_here()),
            "one end: sent for a job that is gone"
        );
        let origin = asked.origin.clone();
        self.wire.insert(number, OnWire { id, origin, sent_at: now, expires, alive: true, in_list, for_result });
        (number, asked)
    }

    /// Whether a request asks for this wait.
    fn takes_part(&self, wait: &Wait, first: JobHandle, ask: &Ask, now: Timestamp) -> bool {
        match ask {
            Ask::List { ids, .. } => {
                let is_free = wait.attempt.is_none_or(|attempt| attempt.expires <= now || attempt.request.is_none());
                let is_open = wait.told.is_none() && is_free && ids.contains(&wait.id);
                let progress = wait.handle.and_then(|handle| self.fleet.progress(handle));
                is_open && progress.is_some_and(|progress| progress.in_flight)
            }
            _ => wait.handle == Some(first),
        }
    }

    /// A request of a wait's leaves: the first of a new look, or one more of the same.
    fn note_look(&mut self, which: usize, number: u64, now: Timestamp, in_list: bool) {
        let (wait, sent_in_world) = (&mut self.waits[which], self.world);
        let policy = &self.policies[wait.class].policy;
        wait.requests += 1;
        if let Some(attempt) = wait.attempt.filter(|attempt| attempt.expires <= now) {
            wait.end_attempt(policy, attempt.expires);
        }
        if let Some(attempt) = &mut wait.attempt {
            assert!(attempt.request.is_none(), "limits: two requests for one job, {wait:?}");
            (attempt.request, attempt.in_list) = (Some(number), in_list);
            return;
        }
        let progress =
            wait.handle.and_then(|handle| self.fleet.progress(handle)).expect("one end: sent for a job that is gone");
        let (expires, request) = (progress.next, Some(number));
        if self.calm && self.rate.is_none() {
            wait.check_gap(policy, now);
        }
        wait.begin(policy, now, Attempt { sent_at: now, sent_in_world, expires, request, in_list });
    }

    /// Hands in what came of a request, as often as it comes.
    pub(crate) fn deliver(&mut self, number: u64, delivery: &Delivery) {
        let (shown, now) = self.hear();
        let Some(request) = self.wire.get(&number) else { return };
        let (id, alive, sent_at, origin) = (request.id, request.alive, request.sent_at, request.origin.clone());
        let (in_list, for_result) = (request.in_list, request.for_result);
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
                self.note_reply(now, sent_at, &origin, reply);
                for which in &asked {
                    self.note_answer(*which, now, reply, for_result);
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
                asked.into_iter().for_each(|which| self.forget_request(which));
            }
        }
        self.settle_after(Some(now));
    }

    /// When the time of a request is over, in nanoseconds of the world.
    pub(crate) fn over(&self, number: u64) -> u64 {
        self.clock.when(self.wire[&number].expires)
    }

    /// Nothing is kept of jobs that are gone.
    pub(crate) fn check_memory(&self) {
        assert_eq!((self.fleet.jobs().count(), self.fleet.snapshots().count()), (0, 0), "memory: jobs are left");
    }

    fn forget_request(&mut self, which: usize) {
        if let Some(attempt) = &mut self.waits[which].attempt {
            attempt.request = None;
        }
    }

    /// What an answer says to all.
    fn note_reply(&mut self, now: Timestamp, sent_at: Timestamp, origin: &str, reply: &Rc<Reply>) {
        let longest = self.policies.iter().map(|rules| rules.policy.max_retry_after()).min().unwrap();
        let silence = reply.cool_down.filter(|time| *time <= CREDIBLE).map(|time| time.min(longest));
        let throttled = reply.what == What::Throttled;
        self.lanes.entry(origin.to_owned()).or_default().hear(sent_at, now, throttled, silence);
        self.throttles += u64::from(throttled || silence.is_some());
        match reply.what {
            What::Refused | What::Fatal => self.refusals += 1,
            What::Broken | What::Redirect => self.failures += 1,
            What::States(_) | What::Result => self.lanes.entry(origin.to_owned()).or_default().hear_well(),
            _ => {}
        }
    }

    /// What it says to one wait.
    fn note_answer(&mut self, which: usize, now: Timestamp, reply: &Rc<Reply>, for_result: bool) {
        self.forget_request(which);
        let world = self.world;
        let wait = &mut self.waits[which];
        let longest = self.policies[wait.class].policy.max_retry_after();
        let hint = reply.hint.filter(|time| *time <= CREDIBLE).map(|time| now.saturating_add(time.min(longest)));
        match &reply.what {
            What::States(tells) if !for_result => {
                let Some((_, tell)) = tells.iter().find(|(id, _)| *id == wait.id) else { return };
                wait.hear(*tell, now, world);
                if let (Tell::Unfinished, Some(hint)) = (tell, hint) {
                    wait.hinted_until = hint;
                }
            }
            What::Throttled => wait.throttled_until = hint.unwrap_or(wait.throttled_until),
            What::Broken => wait.hinted_until = hint.unwrap_or(wait.hinted_until),
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

    fn settle(&mut self) {
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
        self.ended += 1;
        self.endings.push((self.waits[which].clone(), finished.clone()));
    }
}
