//! The fleet and the reference side by side: the same is done to both, and every action, every piece of news, every job's
//! standing and every snapshot is compared.
//!
//! Who stands in a list is taken from the fleet and held against the rules; everything else the reference knows before.

use core::time::Duration;
use std::sync::Arc;

use jobwatch::{
    Action, Fleet, FleetAction, Jitter, JobHandle, JobSnapshot, Policy, RateLimit, RequestId, Spacing, Timestamp,
    TransportError,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::fleet_support::Sent;
use crate::http_support::{START, every_second, job, millis, rng, secs};
use crate::list_job::{Job, Line, Under, Way};
use crate::list_key::{Key, Renewal};
use crate::list_lane::Lane;
use crate::list_next::Next;
use crate::list_reference::{Asks, List, OnWire, Reference};
use crate::list_says::{ORIGINS, Place, Say, Subject, backend};

/// How the two are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) size: u16,
    pub(crate) detail: bool,
    pub(crate) limit: usize,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) proven: bool,
    pub(crate) renewable: bool,
}

pub(crate) struct Duo {
    setup: Setup,
    pub(crate) fleet: Fleet,
    seeds: ChaCha8Rng,
    pub(crate) reference: Reference,
    /// In the reference's order.
    wire: Vec<RequestId>,
    pub(crate) clock: Timestamp,
    /// Lists that were compared, and the jobs that stood in them.
    pub(crate) lists: usize,
    pub(crate) members: usize,
    pub(crate) renewals: usize,
    /// Sleeps while a rate had to be kept.
    pub(crate) paced: usize,
    /// Requests to other origins.
    pub(crate) elsewhere: usize,
    pub(crate) steps: usize,
}

fn policies() -> Vec<Arc<Policy>> {
    let steady = every_second().with_attempt_timeout(secs(10)).with_total_timeout(secs(240));
    let wide = Policy::builder().with_spacing(Spacing::Exponential { factor: 2.0 }).with_jitter(Jitter::Equal);
    let wide = wide.with_min_delay(millis(700)).with_max_delay(secs(20)).with_attempt_timeout(secs(4));
    let few = every_second().with_min_delay(secs(3)).with_max_polls(5).with_attempt_timeout(secs(6));
    let all = [steady, wide.with_total_timeout(secs(100)), few.with_total_timeout(secs(100))];
    all.map(|policy| Arc::new(policy.with_max_failure_time(secs(30)).build().unwrap())).into()
}

fn fleet(setup: Setup, seed: u64, proven: bool) -> (Fleet, ChaCha8Rng) {
    let policies = policies();
    let backend = Arc::new(backend(setup.size, setup.detail));
    let fleet = Fleet::new(backend, Arc::clone(&policies[0]), &mut rng(seed));
    let mut fleet = fleet.with_max_in_flight(setup.limit).with_rate(setup.rate);
    for policy in &policies[1..] {
        fleet.add_class("", Arc::clone(policy));
    }
    if setup.renewable {
        fleet = fleet.with_renewal();
    }
    if proven {
        fleet.note_backend_proven();
    }
    (fleet, ChaCha8Rng::from_rng(&mut rng(seed)))
}

fn lane(setup: Setup, proven: bool) -> Lane {
    Lane::new(ORIGINS[0], setup.limit, setup.rate, setup.size.into(), proven)
}

impl Duo {
    pub(crate) fn new(setup: Setup) -> Self {
        let (fleet, seeds) = fleet(setup, setup.seed, setup.proven);
        let lane = lane(setup, setup.proven);
        let reference = Reference::new(policies(), setup.detail, lane, Key::new(setup.renewable));
        let (wire, lists, members, renewals, paced, elsewhere, steps) = (Vec::new(), 0, 0, 0, 0, 0, 0);
        Self { setup, fleet, seeds, reference, wire, clock: START, lists, members, renewals, paced, elsewhere, steps }
    }

    fn class(&mut self, class: usize) -> jobwatch::ClassId {
        self.fleet.add_class("", Arc::clone(&self.reference.policies[class]))
    }

    pub(crate) fn insert(&mut self, class: usize) {
        self.insert_as(class, format!("job-{}", self.reference.jobs.len()));
    }

    /// One whose id contains what separates the ids of a list.
    pub(crate) fn insert_awkward(&mut self) {
        self.insert_as(0, format!("job,{}", self.reference.jobs.len()));
    }

    /// One that is named by where it is asked for.
    pub(crate) fn insert_elsewhere(&mut self, class: usize, place: Place) {
        self.insert_as(class, place.address());
    }

    fn insert_as(&mut self, class: usize, id: String) {
        let now = self.clock;
        let in_fleet = self.class(class);
        let handle = self.fleet.insert_in(in_fleet, job(&id), now);
        let poller = self.reference.poller(class, now, &mut self.seeds);
        self.reference.insert(Job::new(handle, id, class, poller, now), now);
    }

    fn pick(&self, which: usize) -> Option<usize> {
        let number = which % self.reference.jobs.len().max(1);
        self.reference.jobs.get(number).filter(|job| job.is_known).map(|_| number)
    }

    pub(crate) fn wake(&mut self, which: usize) {
        let Some(number) = self.pick(which) else { return };
        let is_here = self.reference.jobs[number].is_here;
        assert_eq!(self.fleet.wake(self.reference.jobs[number].handle, self.clock), is_here);
        if is_here {
            self.reference.expire(number, self.reference.jobs[number].lane, self.clock);
            let policy = self.reference.policy(number);
            self.reference.jobs[number].poller.note_wake(&policy, self.clock);
            self.reference.settle(number, self.clock);
        }
    }

    pub(crate) fn stop(&mut self, which: usize) {
        let Some(number) = self.pick(which) else { return };
        let is_here = self.reference.jobs[number].is_here;
        assert_eq!(self.fleet.stop(self.reference.jobs[number].handle, self.clock), is_here);
        let _ = self.reference.jobs[number].poller.stop(self.clock);
        self.reference.settle(number, self.clock);
    }

    /// Taken out, written down, read again, taken up, as another job of the same story.
    pub(crate) fn take_up_again(&mut self, which: usize) {
        let Some(number) = self.pick(which) else { return };
        let (is_here, now) = (self.reference.jobs[number].is_here, self.clock);
        let snapshot = self.fleet.remove(self.reference.jobs[number].handle);
        assert_eq!(snapshot.is_some(), is_here);
        let Some(snapshot) = snapshot else { return };
        let mut again = self.reference.take_out(number);
        again.is_here = true;
        again.poller.abandon_in_flight(&self.reference.policies[again.class], now);
        (again.under, again.line) = (Under::Nothing, Line::Nowhere);
        let class = self.class(again.class);
        again.handle = self.fleet.resume_in(class, read_again(&snapshot), now).unwrap();
        self.reference.insert(again, now);
    }

    /// The process dies at this instant, and another takes everybody up.
    pub(crate) fn cut(&mut self) {
        let (proven, now, seed) = (self.reference.lanes[0].proven, self.clock, self.setup.seed.wrapping_add(1));
        self.setup.seed = seed;
        let (fleet, seeds) = fleet(self.setup, seed, proven);
        let dead = std::mem::replace(&mut self.fleet, fleet);
        for number in 0..self.reference.jobs.len() {
            let Job { handle, class, is_here, .. } = self.reference.jobs[number];
            self.reference.jobs[number].is_known = is_here;
            if is_here {
                let snapshot = dead.snapshot(handle).expect("it is there");
                let class = self.class(class);
                self.reference.jobs[number].handle = self.fleet.resume_in(class, read_again(&snapshot), now).unwrap();
            }
        }
        (self.seeds, self.wire) = (seeds, Vec::new());
        let lane = lane(self.setup, proven);
        self.reference.restart(lane, Key::new(self.setup.renewable), now);
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.setup.limit = limit;
        self.fleet.set_max_in_flight(limit);
        self.reference.lanes.iter_mut().for_each(|lane| lane.limit = limit.max(1));
    }

    pub(crate) fn set_rate(&mut self, rate: Option<RateLimit>) {
        self.setup.rate = rate;
        self.fleet.set_rate(rate);
        self.reference.lanes.iter_mut().for_each(|lane| lane.rate = rate);
    }

    /// Ends the renewal under way, if there is one.
    pub(crate) fn renew(&mut self, succeeds: bool) {
        if self.reference.key.renewal != Renewal::UnderWay {
            return;
        }
        self.reference.renewed(succeeds, self.clock);
        let key = self.reference.key.number.to_string();
        let backend = self.fleet.backend().renewed([("x-api-key", key)]).unwrap();
        self.fleet.renewed(self.clock, if succeeds { Ok(Arc::new(backend)) } else { Err("no".into()) });
    }

    /// The driver has lost its connections.
    pub(crate) fn forget(&mut self) {
        self.fleet.forget_requests();
        self.wire.clear();
        self.reference.wire.clear();
    }

    pub(crate) fn answer(&mut self, which: usize, say: &Say) {
        if self.wire.is_empty() {
            return;
        }
        let which = which % self.wire.len();
        let (id, request) = (self.wire.swap_remove(which), self.reference.wire.swap_remove(which));
        match say.answer(&request.ids, request.subject) {
            Ok(response) => self.fleet.handle_response(self.clock, id, &response),
            Err(error) => self.fleet.handle_error(self.clock, id, &TransportError::new(error, "")),
        }
        self.reference.answer(request, say, self.clock);
    }

    /// Everything that is to be done now; then when to come again.
    pub(crate) fn poll(&mut self) -> Option<Timestamp> {
        loop {
            let now = self.clock;
            let action = self.fleet.poll(now);
            self.pass(now);
            let next = self.reference.next(now);
            match (action, next) {
                (FleetAction::Renew, Next::Renew) => self.renewals += 1,
                (FleetAction::Send { id, request, timeout }, next) => {
                    let key = request.headers().get("x-api-key").map_or("0", |key| key.to_str().unwrap());
                    assert_eq!(key, self.reference.key.number.to_string());
                    self.send(id, &Sent::new(now, &request.uri().to_string(), timeout), next);
                }
                (FleetAction::Sleep { until }, Next::Nothing) => {
                    self.check();
                    self.check_sleep(until);
                    self.paced += usize::from(self.reference.lanes.iter().any(|lane| lane.paced_until() > now));
                    return Some(until);
                }
                (FleetAction::Idle, Next::Nothing) => {
                    self.check();
                    assert!(self.reference.jobs.iter().all(|job| !job.is_here));
                    return None;
                }
                (action, next) => panic!("{action:?}, where this is to be done: {next:?}"),
            }
            self.check();
        }
    }

    fn pass(&mut self, now: Timestamp) {
        let expired: Vec<bool> = self.reference.wire.iter().map(|request| request.expires <= now).collect();
        let mut expired = expired.into_iter();
        self.wire.retain(|_| !expired.next().unwrap());
        self.reference.pass(now);
    }

    fn send(&mut self, id: RequestId, sent: &Sent, next: Next) {
        let now = self.clock;
        let (asks, ids, expires) = match next {
            Next::Nothing | Next::Renew => panic!("nothing is to be sent: {sent:?}"),
            Next::Alone(number) => self.go_on(number, id, sent),
            Next::List(mut list) => {
                let jobs = &mut self.reference.jobs;
                if list.page.is_none() {
                    list.ids = list.members.iter().map(|(number, _)| jobs[*number].id.clone()).collect();
                }
                for (number, _) in &list.members {
                    jobs[*number].under = Under::List { pending: false };
                    jobs[*number].requests += 1;
                }
                self.of_list(list)
            }
            Next::Look(lane) => match self.look(lane, id, sent) {
                Ok(list) => self.of_list(list),
                Err(number) => self.of_one(number, 0),
            },
        };
        let (subject, address) = match &asks {
            Asks::List(list) => {
                assert_eq!((&sent.ids, sent.bulk), (&list.ids, true));
                assert_eq!(sent.page(), list.page.as_ref().map(|(token, _)| token.clone()));
                assert_eq!(self.fleet.asked_for(id), list.members.len());
                (self.lists, self.members) = (self.lists + 1, self.members + list.members.len());
                self.reference.counts.lists += 1;
                (Subject::List, sent.url.to_string())
            }
            Asks::Alone((number, _), _) => {
                let way = &self.reference.jobs[*number].way;
                (if way.for_result { Subject::Result } else { Subject::Job }, way.address().to_string())
            }
        };
        assert_eq!(sent.url.as_str(), address);
        assert_eq!(sent.timeout, expires.saturating_since(now), "{asks:?}");
        let (lane, key) = (self.reference.lane_of(&address), self.reference.key.number);
        self.elsewhere += usize::from(lane > 0);
        self.reference.counts.requests += 1;
        self.reference.lanes[lane].note_sent(now);
        self.wire.push(id);
        self.reference.wire.push(OnWire { asks, ids, subject, lane, sent_at: now, expires, key });
    }

    /// A further request for one job, in the attempt under way.
    fn go_on(&mut self, number: usize, id: RequestId, sent: &Sent) -> (Asks, Vec<String>, Timestamp) {
        let lane = self.reference.lane_of(sent.url.as_str());
        self.reference.note_proven(number, lane);
        let job = &mut self.reference.jobs[number];
        let Under::Alone { number: hop, .. } = job.under else { unreachable!() };
        assert_eq!((job.handle, sent.bulk), (id.job(), false));
        job.under = Under::Alone { number: hop, pending: false };
        job.requests += 1;
        self.of_one(number, hop)
    }

    fn of_one(&self, number: usize, hop: u32) -> (Asks, Vec<String>, Timestamp) {
        let job = &self.reference.jobs[number];
        let member = (number, job.poller.in_flight().unwrap());
        (Asks::Alone(member, hop), vec![job.id.clone()], job.poller.due().unwrap())
    }

    fn of_list(&self, list: List) -> (Asks, Vec<String>, Timestamp) {
        let expires = list.members.iter().map(|(number, _)| self.reference.jobs[*number].poller.due().unwrap());
        let (ids, expires) = (list.ids.clone(), expires.max().unwrap());
        (Asks::List(list), ids, expires)
    }

    /// Who is looked at is the fleet's choice, by the rules.
    fn look(&mut self, lane: usize, id: RequestId, sent: &Sent) -> Result<List, usize> {
        let now = self.clock;
        let number_of = |handle: JobHandle| {
            let jobs = &self.reference.jobs;
            jobs.iter().rposition(|job| job.is_here && job.handle == handle).expect("a job of ours")
        };
        let numbers: Vec<usize> = if sent.bulk {
            let by_id = |id: &String| self.reference.jobs.iter().rposition(|job| job.is_here && job.id == *id);
            sent.ids.iter().map(|id| by_id(id).expect("a job of ours")).collect()
        } else {
            vec![number_of(id.job())]
        };
        assert_eq!(number_of(id.job()), numbers[0]);
        self.reference.check_company(lane, &numbers, now);
        for number in &numbers {
            self.reference.note_proven(*number, lane);
            let policy = self.reference.policy(*number);
            let job = &mut self.reference.jobs[*number];
            if sent.bulk {
                let _ = job.poller.look_early(&policy, now).expect("it may be looked at");
                job.under = Under::List { pending: false };
            } else {
                assert!(matches!(job.poller.poll(&policy, now), Action::Send(_)), "{job:?}");
                job.under = Under::Alone { number: 0, pending: false };
                job.way = Way::new(&job.home);
            }
            (job.line, job.sent_at, job.requests) = (Line::Nowhere, now, job.requests + 1);
        }
        if !sent.bulk {
            return Err(numbers[0]);
        }
        let members = numbers.iter().map(|number| (*number, self.reference.jobs[*number].poller.in_flight().unwrap()));
        Ok(List { members: members.collect(), ids: sent.ids.clone(), ..List::default() })
    }
}

fn read_again(snapshot: &JobSnapshot) -> JobSnapshot {
    serde_json::from_str(&serde_json::to_string(snapshot).unwrap()).unwrap()
}

impl Duo {
    pub(crate) fn under_way(&self) -> usize {
        self.wire.len()
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock = self.clock.saturating_add(by);
    }
}
