//! One client: a fleet, its clock, the requests on its wire, and everything that was promised about them.

#[path = "hearing.rs"]
mod hearing;
#[path = "memory.rs"]
mod memory;
#[path = "visits.rs"]
mod visits;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::Request;
use jobwatch::{Backend, ClassId, Finished, Fleet, FleetAction, JobHandle, RateLimit, RequestId, Timestamp};

use super::clock::Clock;
use super::dice::Dice;
use super::lanes::Lane;
use super::speech::{ABROAD, Ask, Asked, HOME, Speech};
use super::waits::{Attempt, Rules, Wait};

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
    /// The ids in it, if it is a list.
    ids: Vec<String>,
    for_result: bool,
    key: u64,
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
    /// The key in use was accepted, or is the first.
    accepted: bool,
    /// The credentials were refused for good.
    refused: bool,
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
    /// The most waits, and the most requests under way, that this life has had at once.
    most_at_once: (usize, usize),
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
    let classes = policies.iter().enumerate();
    let classes = classes.map(|(n, rules)| fleet.add_class(&format!("class {n}"), Arc::clone(&rules.policy))).collect();
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
            accepted: true,
            refused: false,
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
            most_at_once: (0, 0),
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
        (self.renewing, self.accepted, self.refused) = (false, true, false);
        (self.sent_in_this_life, self.ended, self.idle, self.most_at_once) = (0, 0, 0, (0, 0));
        self.clock.forget();
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
                assert!(self.accepted, "credentials: new ones were refused, and are renewed again");
                (self.renewing, self.renewals, self.effects) = (true, self.renewals + 1, self.effects + 1);
                Want::Renew
            }
            FleetAction::Sleep { until } => {
                assert!(!self.fleet.is_empty(), "progress: it sleeps, and there is nobody to wait for");
                assert!(until > now || now == Timestamp::MAX, "no hot loop: a sleep that is over before it begins");
                self.check_deadlines(now);
                self.check_looks(now);
                self.check_memory();
                self.note_sleep();
                Want::Sleep(until)
            }
            FleetAction::Idle => {
                assert!(self.fleet.is_empty(), "progress: it is idle, and somebody waits");
                self.check_memory();
                Want::Idle
            }
        }
    }

    /// Nobody whose look goes on sits idle, if nothing keeps the next request back: a part or a page of a list, a redirect, a
    /// detail, a result.
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
        assert!(!self.refused, "credentials: sent though they were refused for good");
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
        let ids = if let Ask::List { ids, .. } = &asked.ask { ids.clone() } else { Vec::new() };
        self.wire.insert(
            number,
            OnWire { id, origin, sent_at: now, expires, alive: true, in_list, ids, for_result, key: self.key },
        );
        self.most_at_once.1 = self.most_at_once.1.max(self.alive());
        (number, asked)
    }

    /// Whether a request asks for this wait.
    fn takes_part(&self, wait: &Wait, first: JobHandle, ask: &Ask, now: Timestamp) -> bool {
        match ask {
            // A further page names those again who were told of on the one before, and may be in another list by now.
            Ask::List { ids, page } if *page > 0 => wait.attempt.is_some_and(|attempt| {
                let before = self.wire.get(&attempt.last).filter(|before| before.in_list && before.ids == *ids);
                attempt.request.is_none() && attempt.expires > now && before.is_some()
            }),
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
            (attempt.request, attempt.last, attempt.in_list) = (Some(number), number, in_list);
            return;
        }
        let progress =
            wait.handle.and_then(|handle| self.fleet.progress(handle)).expect("one end: sent for a job that is gone");
        let (expires, request) = (progress.next, Some(number));
        if self.calm && self.rate.is_none() {
            wait.check_gap(policy, now);
        }
        wait.begin(policy, now, Attempt { sent_at: now, sent_in_world, expires, request, last: number, in_list });
    }
}
