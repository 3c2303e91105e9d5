//! The fleet and the reference side by side: the same is done to both, and every action, every piece of news, every job's
//! standing and every snapshot is compared.
//!
//! Who stands in a list is taken from the fleet and held against the rules; everything else the reference knows before.

use core::time::Duration;
use std::sync::Arc;

use jobwatch::{
    Action, Fleet, FleetAction, FleetEvent, Jitter, JobHandle, JobSnapshot, Policy, RateLimit, RequestId, Spacing,
    Timestamp, TransportError,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::fleet_support::Sent;
use crate::http_support::{START, every_second, job, millis, rng, secs};
use crate::list_job::{Job, Line, News, Over, Under};
use crate::list_key::{Key, Renewal};
use crate::list_lane::Lane;
use crate::list_reference::{Asks, Counts, List, Next, OnWire, Reference};
use crate::list_says::{Say, backend};

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
    fleet: Fleet,
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
    steps: usize,
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
    Lane::new(setup.limit, setup.rate, setup.size, proven)
}

impl Duo {
    pub(crate) fn new(setup: Setup) -> Self {
        let (fleet, seeds) = fleet(setup, setup.seed, setup.proven);
        let lane = lane(setup, setup.proven);
        let reference = Reference::new(policies(), setup.detail, lane, Key::new(setup.renewable));
        let (wire, lists, members, renewals, paced, steps) = (Vec::new(), 0, 0, 0, 0, 0);
        Self { setup, fleet, seeds, reference, wire, clock: START, lists, members, renewals, paced, steps }
    }

    fn class(&mut self, class: usize) -> jobwatch::ClassId {
        self.fleet.add_class("", Arc::clone(&self.reference.policies[class]))
    }

    pub(crate) fn insert(&mut self, class: usize, is_awkward: bool) {
        let (now, number) = (self.clock, self.reference.jobs.len());
        let id = format!("job{}{number}", if is_awkward { ',' } else { '-' });
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
            self.reference.expire(number, self.clock);
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
        let (proven, now, seed) = (self.reference.lane.proven, self.clock, self.setup.seed.wrapping_add(1));
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
        self.reference.lane.limit = limit.max(1);
    }

    pub(crate) fn set_rate(&mut self, rate: Option<RateLimit>) {
        self.setup.rate = rate;
        self.fleet.set_rate(rate);
        self.reference.lane.rate = rate;
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
        let is_list = matches!(request.asks, Asks::List(_));
        match say.answer(&request.ids, is_list) {
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
                    self.paced += usize::from(self.reference.lane.paced_until() > now);
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

    /// Nobody is woken late, nor early for nothing.
    fn check_sleep(&self, until: Timestamp) {
        let now = self.clock;
        let latest = self.reference.next_instant(now);
        assert!(until > now && until <= latest, "until {until:?}, where something is to be done at {latest:?}");
        // The line is searched for those whose deadline comes soon, and who has left it is not known to have left.
        let is_ready = |job: &Job| job.is_here && matches!(job.line, Line::Ready { .. });
        let is_searched = self.reference.places_left > 0 || self.reference.jobs.iter().any(is_ready);
        let place = self.reference.wire.iter().map(|request| request.expires).min();
        let is_known = until == latest || Some(until) == place || until == self.reference.lane.opens_at();
        assert!(is_known || is_searched, "until {until:?}, not {latest:?}");
    }

    fn send(&mut self, id: RequestId, sent: &Sent, next: Next) {
        let now = self.clock;
        let reference = &mut self.reference;
        reference.counts.requests += 1;
        let (asks, ids, expires) = match next {
            Next::Nothing | Next::Renew => panic!("nothing is to be sent: {sent:?}"),
            Next::Alone(number) => {
                let job = &mut reference.jobs[number];
                let Under::Alone { number: hop, .. } = job.under else { unreachable!() };
                assert_eq!((job.handle, sent.bulk), (id.job(), false));
                job.under = Under::Alone { number: hop, pending: false };
                job.requests += 1;
                let member = (number, job.poller.in_flight().unwrap());
                (Asks::Alone(member, hop), vec![job.id.clone()], job.poller.due().unwrap())
            }
            Next::List(mut list) => {
                if list.page.is_none() {
                    list.ids = list.members.iter().map(|(number, _)| reference.jobs[*number].id.clone()).collect();
                }
                for (number, _) in &list.members {
                    reference.jobs[*number].under = Under::List { pending: false };
                    reference.jobs[*number].requests += 1;
                }
                self.of_list(list)
            }
            Next::Look => match self.look(id, sent) {
                Ok(list) => self.of_list(list),
                Err(number) => {
                    let job = &self.reference.jobs[number];
                    let member = (number, job.poller.in_flight().unwrap());
                    (Asks::Alone(member, 0), vec![job.id.clone()], job.poller.due().unwrap())
                }
            },
        };
        if let Asks::List(list) = &asks {
            assert_eq!((&sent.ids, sent.bulk), (&list.ids, true));
            assert_eq!(sent.page(), list.page.as_ref().map(|(token, _)| token.clone()));
            assert_eq!(self.fleet.asked_for(id), list.members.len());
            (self.lists, self.members) = (self.lists + 1, self.members + list.members.len());
            self.reference.counts.lists += 1;
        }
        assert_eq!(sent.timeout, expires.saturating_since(now), "{asks:?}");
        self.wire.push(id);
        self.reference.lane.note_sent(now);
        self.reference.wire.push(OnWire { asks, ids, sent_at: now, expires, key: self.reference.key.number });
    }

    fn of_list(&self, list: List) -> (Asks, Vec<String>, Timestamp) {
        let expires = list.members.iter().map(|(number, _)| self.reference.jobs[*number].poller.due().unwrap());
        let (ids, expires) = (list.ids.clone(), expires.max().unwrap());
        (Asks::List(list), ids, expires)
    }

    /// Who is looked at is the fleet's choice, by the rules.
    fn look(&mut self, id: RequestId, sent: &Sent) -> Result<List, usize> {
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
        self.reference.check_company(&numbers, now);
        let proven = self.reference.lane.proven;
        for number in &numbers {
            let policy = self.reference.policy(*number);
            let job = &mut self.reference.jobs[*number];
            if proven {
                job.poller.note_backend_proven();
            }
            if sent.bulk {
                let _ = job.poller.look_early(&policy, now).expect("it may be looked at");
                job.under = Under::List { pending: false };
            } else {
                assert!(matches!(job.poller.poll(&policy, now), Action::Send(_)), "{job:?}");
                job.under = Under::Alone { number: 0, pending: false };
            }
            (job.line, job.sent_at, job.requests) = (Line::Nowhere, now, job.requests + 1);
        }
        if !sent.bulk {
            return Err(numbers[0]);
        }
        let members = numbers.iter().map(|number| (*number, self.reference.jobs[*number].poller.in_flight().unwrap()));
        Ok(List { members: members.collect(), ids: sent.ids.clone(), ..List::default() })
    }

    /// What both know after each step.
    pub(crate) fn check(&mut self) {
        self.check_news();
        let counted = self.fleet.stats();
        let counts = Counts {
            requests: counted.requests,
            lists: counted.bulk_requests,
            failed: counted.failed_requests,
            throttled: counted.throttled_requests,
            hints: counted.hints,
            ends: counted.outcomes.total(),
        };
        assert_eq!(counts, self.reference.counts);
        assert_eq!(self.fleet.is_backend_proven(), self.reference.lane.proven);
        let here: Vec<&Job> = self.reference.jobs.iter().filter(|job| job.is_here).collect();
        assert_eq!(self.fleet.len(), here.len());
        for job in &here {
            let progress = self.fleet.progress(job.handle).expect("it is there");
            assert_eq!(progress.job.id(), job.id);
            let told = (progress.state, progress.requests, progress.in_flight, progress.next);
            let in_flight = job.poller.in_flight().is_some();
            assert_eq!(told, (job.state.as_deref(), job.requests, in_flight, job.poller.due().unwrap()), "{job:?}");
        }
        // One at a time: they come round.
        self.steps += 1;
        if !here.is_empty() {
            self.check_snapshot(here[self.steps % here.len()]);
        }
    }

    fn check_news(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            let (handle, news) = match event {
                FleetEvent::Changed { handle, state } => (handle, News::Changed(state)),
                FleetEvent::UnknownState { handle, state } => (handle, News::Unknown(state)),
                FleetEvent::Finished { handle, finished } => (
                    handle,
                    News::Over(Over {
                        outcome: finished.outcome,
                        reason: finished.reason,
                        state: finished.state.clone(),
                        result: finished.result.as_ref().and_then(|result| result.as_str()).map(String::from),
                        last_error: finished.last_error,
                        requests: finished.requests,
                        failed_requests: finished.failed_requests,
                        elapsed: finished.elapsed,
                        delay: finished.detection_delay_max,
                    }),
                ),
                event => panic!("{event:?}"),
            };
            let jobs = &mut self.reference.jobs;
            let job = jobs.iter_mut().rfind(|job| job.handle == handle && !job.news.is_empty());
            let job = job.unwrap_or_else(|| panic!("news of nobody: {news:?}"));
            assert_eq!(news, job.news.remove(0), "{job:?}");
        }
        assert!(self.reference.jobs.iter().all(|job| job.news.is_empty()), "news that were not told");
    }

    /// A snapshot of this instant has everything that matters. A fleet tells a sleeping job nothing of the time, nor of its
    /// neighbours; and when a streak began is of no matter once it is over.
    fn check_snapshot(&self, job: &Job) {
        let snapshot = serde_json::to_value(self.fleet.snapshot(job.handle).unwrap()).unwrap();
        let of_matter = |mut poller: serde_json::Value| {
            for (streak, began) in [("failures", "failing_since"), ("denials", "denied_since")] {
                if poller[streak] == 0 {
                    poller[began] = 0.into();
                }
            }
            (poller["latest"], poller["proven"]) = (0.into(), 0.into());
            poller
        };
        let (poller, expected) = (snapshot["job"]["poller"].clone(), serde_json::to_value(&job.poller).unwrap());
        assert_eq!(of_matter(poller), of_matter(expected), "{job:?}");
        let extra = &snapshot["job"]["extra"];
        let is_set = |name: &str| extra.is_object() && !(extra[name].is_null() || extra[name] == false);
        assert_eq!((is_set("missed"), is_set("apart"), is_set("told")), (job.missed, job.apart, job.told.is_some()));
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
