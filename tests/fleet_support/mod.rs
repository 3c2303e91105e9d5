//! A fleet in simulated time: a backend that is a closure, a wire between them, and limits that are counted beside the
//! fleet, request by request.
#![allow(dead_code)] // every test file uses a part of it

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jobwatch::{
    Backend, DEFAULT_MAX_IN_FLIGHT, Finished, Fleet, FleetAction, FleetEvent, JobHandle, Outcome, Policy,
    PolicyBuilder, RateLimit, RequestId, Timestamp, TransportError,
};
use url::Url;

use crate::http_support::{Reply, START, job, rng};

/// A request as it left, and what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) url: Url,
    pub(crate) ids: Vec<String>,
    pub(crate) bulk: bool,
    pub(crate) timeout: Duration,
}

impl Sent {
    pub(crate) fn new(at: Timestamp, url: &str, timeout: Duration) -> Self {
        let url = Url::parse(url).unwrap();
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let ids = parameter("ids").map(|ids| ids.split(',').map(str::to_owned).collect::<Vec<_>>());
        let bulk = ids.is_some();
        let last = url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
        Self { at, ids: ids.unwrap_or_else(|| vec![last]), bulk, timeout, url }
    }

    /// The time since the start of the story.
    pub(crate) fn time(&self) -> Duration {
        self.at.saturating_since(START)
    }

    /// The token of the page that is asked for.
    pub(crate) fn page(&self) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == "page").map(|(_, value)| value.into_owned())
    }

    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// The requests of one lane, counted as somebody outside would.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    open: HashMap<usize, Timestamp>,
    /// When so many requests would be nothing remarkable any more.
    paid_at: Timestamp,
    pub(crate) most: usize,
    pub(crate) times: Vec<Timestamp>,
}

impl Meter {
    /// A request leaves: no limit may be exceeded by it.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        expires: Timestamp,
        number: usize,
        limit: usize,
        rate: Option<RateLimit>,
    ) {
        self.open.retain(|_, expires| *expires > now);
        assert!(self.open.len() < limit, "{} in flight, {limit} allowed", self.open.len() + 1);
        self.open.insert(number, expires);
        self.most = self.most.max(self.open.len());
        self.times.push(now);
        let Some(rate) = rate else { return };
        let debt = self.paid_at.saturating_since(now);
        assert!(debt <= rate.interval() * (rate.burst() - 1), "one request too many at {now:?}: {debt:?} ahead");
        self.paid_at = self.paid_at.max(now).saturating_add(rate.interval());
    }

    pub(crate) fn end(&mut self, number: usize) {
        self.open.remove(&number);
    }

    pub(crate) fn under_way(&self) -> usize {
        self.open.len()
    }

    /// Under a rate that never changed: no window, however long, holds more requests than burst and rate allow.
    pub(crate) fn check_windows(&self, rate: RateLimit) {
        let burst = rate.burst() as usize;
        for width in std::iter::successors(Some(burst), |width| width.checked_mul(2)).take(24) {
            for window in self.times.windows(width + 1) {
                let took = window[width].saturating_since(window[0]).as_nanos();
                let least = (width + 1 - burst) as u128 * rate.interval().as_nanos();
                assert!(took >= least, "{} requests in {took} ns", width + 1);
            }
        }
    }
}

/// A fleet, its clock, and everything that was seen of it.
pub(crate) struct World {
    pub(crate) clock: Timestamp,
    pub(crate) fleet: Fleet,
    pub(crate) limit: usize,
    pub(crate) rate: Option<RateLimit>,
    /// By the time of arrival.
    wire: BTreeMap<(Timestamp, usize), (RequestId, Reply, String)>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) lanes: HashMap<String, Meter>,
    pub(crate) finished: HashMap<JobHandle, Finished>,
    /// In order of completion.
    pub(crate) ends: Vec<JobHandle>,
    pub(crate) changes: Vec<(JobHandle, String)>,
    pub(crate) renewals_wanted: usize,
    /// Sleeps after which nothing had happened.
    idle_turns: usize,
}

impl World {
    pub(crate) fn new(backend: Backend, policy: PolicyBuilder) -> Self {
        Self::of(Fleet::new(Arc::new(backend), Arc::new(build(policy)), &mut rng(11)))
    }

    pub(crate) fn of(fleet: Fleet) -> Self {
        Self {
            clock: START,
            fleet,
            limit: DEFAULT_MAX_IN_FLIGHT,
            rate: Some(RateLimit::POLITE),
            wire: BTreeMap::new(),
            sent: Vec::new(),
            lanes: HashMap::new(),
            finished: HashMap::new(),
            ends: Vec::new(),
            changes: Vec::new(),
            renewals_wanted: 0,
            idle_turns: 0,
        }
    }

    pub(crate) fn with_renewal(mut self) -> Self {
        self.fleet = self.fleet.with_renewal();
        self
    }

    pub(crate) fn limits(mut self, limit: usize, rate: Option<RateLimit>) -> Self {
        (self.limit, self.rate) = (limit, rate);
        self.fleet = self.fleet.with_max_in_flight(limit).with_rate(rate);
        self
    }

    pub(crate) fn insert(&mut self, count: usize) -> Vec<JobHandle> {
        (0..count).map(|n| self.insert_one(&format!("job-{n}"))).collect()
    }

    pub(crate) fn insert_one(&mut self, id: &str) -> JobHandle {
        self.fleet.insert(job(id), self.clock)
    }

    /// Polls until there is nothing to send; returns when to poll again, `None` if idle.
    pub(crate) fn poll(&mut self, backend: &mut impl FnMut(&Sent) -> Reply) -> Option<Timestamp> {
        loop {
            let action = self.fleet.poll(self.clock);
            self.drain();
            match action {
                FleetAction::Renew => self.renewals_wanted += 1,
                FleetAction::Idle => {
                    assert!(self.fleet.is_empty());
                    return None;
                }
                FleetAction::Sleep { until } => {
                    assert!(!self.fleet.is_empty());
                    assert!(until > self.clock, "a sleep that is over before it begins");
                    return Some(until);
                }
                FleetAction::Send { id, request, timeout } => {
                    self.idle_turns = 0;
                    self.send(id, Sent::new(self.clock, &request.uri().to_string(), timeout), backend);
                }
            }
        }
    }

    fn send(&mut self, id: RequestId, sent: Sent, backend: &mut impl FnMut(&Sent) -> Reply) {
        assert!(self.sent.len() < 2_000_000, "this does not end");
        let (number, origin, expires) = (self.sent.len(), sent.origin(), self.clock.saturating_add(sent.timeout));
        self.lanes.entry(origin.clone()).or_default().send(self.clock, expires, number, self.limit, self.rate);
        let reply = backend(&sent);
        let (Reply::Answer(after, _) | Reply::Error(after, _)) = reply else {
            self.sent.push(sent);
            return;
        };
        if after < sent.timeout {
            self.wire.insert((self.clock.saturating_add(after), number), (id, reply, origin));
        }
        self.sent.push(sent);
    }

    /// Hands in everything that has arrived by now.
    pub(crate) fn arrive(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.clock) {
            let ((_, number), (id, reply, origin)) = entry.remove_entry();
            if let Some(lane) = self.lanes.get_mut(&origin) {
                lane.end(number);
            }
            self.idle_turns = 0;
            match reply {
                Reply::Answer(_, response) => self.fleet.handle_response(self.clock, id, &response),
                Reply::Error(_, error) => self.fleet.handle_error(self.clock, id, &TransportError::new(error, "")),
                Reply::Never => {}
            }
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            self.idle_turns = 0;
            match event {
                FleetEvent::Changed { handle, state } => {
                    assert!(!self.finished.contains_key(&handle), "news of a job after its end");
                    self.changes.push((handle, state));
                }
                FleetEvent::Finished { handle, finished } => {
                    assert!(self.finished.insert(handle, *finished).is_none(), "two ends of one job");
                    self.ends.push(handle);
                }
                FleetEvent::UnknownState { .. } => {}
                event => panic!("{event:?}"),
            }
        }
    }

    /// Moves to the next arrival, or to this instant where that is sooner.
    pub(crate) fn pass_until(&mut self, until: Timestamp) {
        self.idle_turns += 1;
        let patience = 100 + 20 * (self.fleet.len() + self.wire.len());
        assert!(self.idle_turns < patience, "it wakes up over and over, and nothing happens");
        let arrival = self.wire.first_key_value().map(|(key, _)| key.0);
        self.clock = arrival.map_or(until, |arrival| arrival.min(until)).max(self.clock);
        self.arrive();
    }

    /// Drives time forward to this instant.
    pub(crate) fn run_until(&mut self, end: Timestamp, backend: &mut impl FnMut(&Sent) -> Reply) {
        while self.clock < end {
            let until = self.poll(backend).unwrap_or(end);
            self.pass_until(until.min(end));
        }
    }

    /// Drives time forward until nothing is left to do.
    pub(crate) fn run(&mut self, backend: &mut impl FnMut(&Sent) -> Reply) {
        while let Some(until) = self.poll(backend) {
            self.pass_until(until);
        }
        self.drain();
        self.check();
    }

    /// What holds at the end of every story.
    pub(crate) fn check(&self) {
        let stats = self.fleet.stats();
        assert_eq!(stats.requests, self.sent.len() as u64);
        assert_eq!(stats.bulk_requests, self.bulk().count() as u64);
        assert_eq!(stats.outcomes.total(), self.finished.len() as u64);
        assert!(stats.throttled_requests <= stats.failed_requests && stats.failed_requests <= stats.requests);
        for (handle, finished) in &self.finished {
            assert!(finished.failed_requests <= finished.requests, "{handle:?} {finished:?}");
        }
        if let Some(rate) = self.rate {
            self.lanes.values().for_each(|lane| lane.check_windows(rate));
        }
    }

    pub(crate) fn bulk(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.bulk)
    }

    /// Requests for this job alone.
    pub(crate) fn alone(&self, id: &str) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |sent| !sent.bulk && sent.ids == [id])
    }

    /// Requests that name this job.
    pub(crate) fn naming(&self, id: &str) -> usize {
        self.sent.iter().filter(|sent| sent.ids.iter().any(|named| named == id)).count()
    }

    pub(crate) fn ended(&self, outcome: Outcome) -> usize {
        self.finished.values().filter(|finished| finished.outcome == outcome).count()
    }
}

pub(crate) fn build(policy: PolicyBuilder) -> Policy {
    policy.build().unwrap()
}
