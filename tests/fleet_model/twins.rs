//! A fleet packs its sleeping jobs, keeps them in heaps and shares policies between them; a watch does nothing of the
//! kind. Where no limit binds, both do the same to the nanosecond.

use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Response;
use jobwatch::{
    Backend, Finished, Fleet, FleetAction, FleetEvent, Jitter, JobHandle, JobSnapshot, LookError, Policy, RequestId,
    Spacing, Timestamp, TransportError, Watch, WatchAction, WatchRequestId,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::http_support::{BASE, KILN, START, dialect, job, millis, response, rng, secs};

/// What the backend says to a look.
#[derive(Clone, Copy, Debug)]
enum Say {
    Queued,
    Heating,
    Word(u8),
    Hint(u8),
    Created(u16),
    Fired,
    Cracked,
    Missing,
    Redirect(u8),
    Broken,
    Malformed,
    Disconnected,
    Nothing,
}

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        6 => Just(Say::Heating),
        3 => Just(Say::Queued),
        1 => (0_u8..99).prop_map(Say::Word),
        2 => (0_u8..30).prop_map(Say::Hint),
        1 => (0_u16..900).prop_map(Say::Created),
        1 => Just(Say::Fired),
        1 => Just(Say::Cracked),
        1 => Just(Say::Missing),
        1 => (0_u8..4).prop_map(Say::Redirect),
        1 => Just(Say::Broken),
        1 => Just(Say::Malformed),
        1 => Just(Say::Disconnected),
        1 => Just(Say::Nothing),
    ]
}

impl Say {
    /// Whether a lane would hear of it; two such in a row, and the fleet would begin to suspect an outage.
    fn is_bad(self) -> bool {
        matches!(self, Self::Broken | Self::Malformed | Self::Disconnected | Self::Nothing | Self::Redirect(_))
    }

    fn answer(self) -> Option<Result<Response<Vec<u8>>, LookError>> {
        Some(Ok(match self {
            Self::Queued => response(200, &[], r#"{"state":"queued"}"#),
            Self::Heating => response(200, &[], r#"{"state":"Heating"}"#),
            Self::Word(n) => response(200, &[], format!(r#"{{"state":"word {n}"}}"#)),
            Self::Hint(n) => response(200, &[("retry-after", &n.to_string())], r#"{"state":"Heating"}"#),
            Self::Created(ago) => {
                let created = START.as_nanos() / 1_000_000_000 - u64::from(ago);
                response(200, &[], format!(r#"{{"state":"Heating","created":{created}}}"#))
            }
            Self::Fired => response(200, &[], r#"{"state":"fired","vase":1}"#),
            Self::Cracked => response(200, &[], r#"{"state":"cracked","error":{"message":"too hot"}}"#),
            Self::Missing => response(404, &[], ""),
            Self::Redirect(n) => response(302, &[("location", &format!("/v1/x/{n}"))], ""),
            Self::Broken => response(502, &[], "<html>"),
            Self::Malformed => response(200, &[], "<html>"),
            Self::Disconnected => return Some(Err(LookError::Disconnected)),
            Self::Nothing => return None,
        }))
    }
}

/// What one job was seen to do.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    sent: Vec<(Timestamp, String, Duration)>,
    finished: Option<Finished>,
}

/// What the backend says to the n-th request for each job, and how long that takes.
struct Script {
    says: Vec<Say>,
    delays: Vec<u64>,
    /// There is one job: then what it does not hear delays nobody.
    alone: bool,
    asked: HashMap<usize, usize>,
    /// Jobs that an answer has come for: one that was under way at a cut never comes.
    heard: HashSet<usize>,
    bad: usize,
}

impl Script {
    /// How long the next answer takes; `None` for ever.
    fn delay(&mut self, job: usize) -> Option<Duration> {
        let asked = self.asked.entry(job).or_default();
        *asked += 1;
        let number = *asked * 31 + job * 7;
        let silent = matches!(self.says[number % self.says.len()], Say::Nothing);
        let silent = silent && self.alone && *asked > 1 && self.bad < 2;
        self.bad += usize::from(silent);
        (!silent).then(|| millis(self.delays[number % self.delays.len()]))
    }

    /// What it says when it arrives. The first answer proves the backend to everybody, since a fleet passes that on; and
    /// there are never so many bad ones that a fleet would suspect an outage.
    fn say(&mut self, job: usize) -> Say {
        let asked = self.asked[&job];
        let say = self.says[(asked * 31 + job * 7) % self.says.len()];
        self.bad = if say.is_bad() { self.bad + 1 } else { 0 };
        if self.heard.insert(job) || self.bad > 2 || matches!(say, Say::Nothing) {
            self.bad = 0;
            return Say::Heating;
        }
        say
    }
}

type Twin = Watch<Arc<Backend>, Arc<Policy>>;

/// The fleet and the watches, driven on time and given the same answers.
struct Twins {
    clock: Timestamp,
    fleet: Fleet,
    watches: Vec<(Twin, Option<WatchRequestId>)>,
    /// `None` for those who had ended before another fleet took over.
    handles: Vec<Option<JobHandle>>,
    wire: Vec<(Timestamp, usize, RequestId)>,
    by_fleet: Vec<Trace>,
    by_watch: Vec<Trace>,
}

impl Twins {
    fn new(policy: Policy, seed: u64) -> Self {
        let fleet = Fleet::new(Arc::new(backend()), Arc::new(policy), &mut rng(seed));
        Self {
            clock: START,
            fleet: fleet.with_max_in_flight(10_000).with_rate(None),
            watches: Vec::new(),
            handles: Vec::new(),
            wire: Vec::new(),
            by_fleet: Vec::new(),
            by_watch: Vec::new(),
        }
    }

    fn insert(&mut self, policy: &Arc<Policy>, rng: &mut ChaCha8Rng) {
        let id = format!("job-{}", self.handles.len());
        self.handles.push(Some(self.fleet.insert(job(&id), self.clock)));
        let backend = Arc::clone(self.fleet.backend());
        self.watches.push((Watch::new(backend, Arc::clone(policy), job(&id), self.clock, rng), None));
        self.by_fleet.push(Trace::default());
        self.by_watch.push(Trace::default());
    }

    /// Everybody is written down, read again and taken up by others, who get their entropy from this seed.
    fn cut(&mut self, policy: &Arc<Policy>, seed: u64) {
        let fleet = Fleet::new(Arc::clone(self.fleet.backend()), Arc::clone(policy), &mut rng(seed));
        let mut fleet = fleet.with_max_in_flight(10_000).with_rate(None);
        fleet.note_backend_proven();
        for (handle, (watch, asked)) in self.handles.iter_mut().zip(&mut self.watches) {
            let by_fleet = handle.and_then(|handle| self.fleet.snapshot(handle));
            let (Some(by_fleet), Some(by_watch)) = (&by_fleet, watch.snapshot()) else {
                assert!(by_fleet.is_none() && watch.snapshot().is_none(), "one has ended alone");
                *handle = None;
                continue;
            };
            // A fleet tells a sleeping job nothing of the time: what they remember differs, what they will do does not.
            let again = |snapshot: &JobSnapshot| {
                let stored = serde_json::to_string(snapshot).unwrap();
                serde_json::from_str::<JobSnapshot>(&stored).unwrap()
            };
            *handle = Some(fleet.resume(again(by_fleet), self.clock).unwrap());
            let backend = Arc::clone(fleet.backend());
            *watch = Watch::resume(backend, Arc::clone(policy), again(&by_watch), self.clock).unwrap();
            *asked = None;
        }
        self.wire.clear();
        self.fleet = fleet;
    }

    fn number(&self, handle: JobHandle) -> usize {
        self.handles.iter().position(|known| *known == Some(handle)).unwrap()
    }

    /// Both do what is to be done now; returns when there is more.
    fn poll(&mut self, script: &mut Script) -> Option<Timestamp> {
        let mut sends = Vec::new();
        let fleet = loop {
            match self.fleet.poll(self.clock) {
                FleetAction::Send { id, request, timeout } => {
                    let number = self.number(id.job());
                    self.by_fleet[number].sent.push((self.clock, request.uri().to_string(), timeout));
                    sends.push((number, id, timeout));
                }
                FleetAction::Sleep { until } => break Some(until),
                FleetAction::Idle => break None,
                FleetAction::Renew => panic!("nobody can renew"),
            }
        };
        while let Some(event) = self.fleet.next_event() {
            if let FleetEvent::Finished { handle, mut finished } = event {
                // A watch has no company.
                if let Some(taught) = &mut finished.taught {
                    taught.lesson.beside = 0;
                }
                let number = self.number(handle);
                self.by_fleet[number].finished = Some(*finished);
            }
        }
        let mut watches = None;
        for (number, (watch, asked)) in self.watches.iter_mut().enumerate() {
            loop {
                let until = match watch.poll(self.clock) {
                    WatchAction::Send { id, request, timeout } => {
                        self.by_watch[number].sent.push((self.clock, request.uri().to_string(), timeout));
                        *asked = Some(id);
                        continue;
                    }
                    WatchAction::Finished(finished) => {
                        self.by_watch[number].finished = Some(finished);
                        break;
                    }
                    WatchAction::Sleep { until, .. } => until,
                };
                watches = Some(watches.map_or(until, |first: Timestamp| first.min(until)));
                break;
            }
        }
        for (number, id, timeout) in sends {
            if let Some(after) = script.delay(number).filter(|after| *after < timeout) {
                self.wire.push((self.clock.saturating_add(after), number, id));
            }
        }
        fleet.into_iter().chain(watches.filter(|until| *until < Timestamp::MAX)).min()
    }

    fn arrive(&mut self, script: &mut Script) {
        let (arrived, later): (Vec<_>, _) = self.wire.drain(..).partition(|(at, ..)| *at <= self.clock);
        self.wire = later;
        for (_, number, id) in arrived {
            let (watch, asked) = &mut self.watches[number];
            match script.say(number).answer() {
                Some(Ok(response)) => {
                    self.fleet.handle_response(self.clock, id, &response);
                    watch.handle_response(self.clock, asked.unwrap(), &response);
                }
                Some(Err(error)) => {
                    let error = TransportError::new(error, "");
                    self.fleet.handle_error(self.clock, id, &error);
                    watch.handle_error(self.clock, asked.unwrap(), &error);
                }
                None => {}
            }
        }
    }

    fn check(&self) {
        for (number, (fleet, watch)) in self.by_fleet.iter().zip(&self.by_watch).enumerate() {
            let first = fleet.sent.iter().zip(&watch.sent).find(|(fleet, watch)| fleet != watch);
            assert!(first.is_none(), "job {number}: {first:?}");
            assert_eq!((fleet.sent.len(), &fleet.finished), (watch.sent.len(), &watch.finished), "job {number}");
        }
    }
}

fn backend() -> Backend {
    let text = KILN.replace("[times]", "[times]\n    created = \"/created\"");
    Backend::new(dialect(&text), Some(BASE)).unwrap()
}

fn policy() -> impl Strategy<Value = Policy> {
    let spacing =
        prop_oneof![Just(Spacing::Constant), (1.0_f64..3.0).prop_map(|factor| Spacing::Exponential { factor })];
    let jitter = prop::sample::select(&[Jitter::None, Jitter::Equal, Jitter::Full, Jitter::Decorrelated][..]);
    let polls = prop::option::of(1_u32..30);
    (spacing, jitter, 100_u64..3_000, 0_u64..30_000, 10_u64..400, 3_u64..20, polls).prop_map(
        |(spacing, jitter, min, more, total, attempt, polls)| {
            let policy = Policy::builder().with_spacing(spacing).with_jitter(jitter).with_min_delay(millis(min));
            let policy = policy.with_max_delay(millis(min + more)).with_total_timeout(secs(total));
            let policy =
                policy.with_attempt_timeout(secs(attempt)).with_failure_backoff(millis(min), millis(min + more));
            match polls {
                Some(polls) => policy.with_max_polls(polls).build().unwrap(),
                None => policy.build().unwrap(),
            }
        },
    )
}

#[derive(Clone, Copy, Debug)]
enum Outside {
    Insert,
    Wake(usize),
    Stop(usize),
    /// Both die, and others go on from what was written down at this instant.
    Cut,
}

fn outside() -> impl Strategy<Value = Outside> {
    prop_oneof![
        3 => Just(Outside::Insert),
        2 => any::<usize>().prop_map(Outside::Wake),
        1 => any::<usize>().prop_map(Outside::Stop),
        3 => Just(Outside::Cut),
    ]
}

proptest! {
    #![proptest_config(crate::http_support::cases(150))]

    #[test]
    fn a_fleet_without_limits_is_as_many_watches(
        policy in policy(),
        seed in any::<u64>(),
        says in prop::collection::vec(say(), 1..80),
        delays in prop::collection::vec(0_u64..2_500, 1..20),
        visits in prop::collection::vec((0_u64..9_000, outside()), 1..25),
        alone in any::<bool>(),
    ) {
        let (mut policy, mut visits) = (policy, visits);
        if alone {
            visits.retain(|(_, outside)| !matches!(outside, Outside::Insert));
        } else {
            // Nothing expires: the others would have to find out whether there is an outage.
            policy = policy.to_builder().with_attempt_timeout(secs(20)).with_final_grace(secs(20)).build().unwrap();
        }
        let mut twins = Twins::new(policy.clone(), seed);
        let (policy, mut seeds) = (Arc::new(policy), ChaCha8Rng::from_rng(&mut rng(seed)));
        let mut script = Script { says, delays, alone, asked: HashMap::new(), heard: HashSet::new(), bad: 0 };
        twins.fleet.note_backend_proven();
        twins.insert(&policy, &mut seeds);
        let mut visits = visits.into_iter();
        let mut next_visit = visits.next().map(|(gap, outside)| (twins.clock.saturating_add(millis(gap)), outside));
        let (mut turns, mut cuts) = (0, 0);
        loop {
            let until = twins.poll(&mut script);
            turns += 1;
            prop_assert!(turns < 100_000, "this does not end");
            let arrival = twins.wire.iter().map(|(at, ..)| *at).min();
            let visit = next_visit.map(|(at, _)| at);
            let Some(next) = until.into_iter().chain(arrival).chain(visit).min() else { break };
            twins.clock = next.max(twins.clock);
            twins.arrive(&mut script);
            while let Some((_, outside)) = next_visit.filter(|(at, _)| *at <= twins.clock) {
                let pick = |which: usize| which % twins.handles.len();
                match outside {
                    Outside::Insert => twins.insert(&policy, &mut seeds),
                    Outside::Wake(which) => {
                        let number = pick(which);
                        // A watch hears of a wake before it is polled, a fleet takes an expired attempt back first.
                        twins.poll(&mut script);
                        twins.handles[number].map(|handle| twins.fleet.wake(handle, twins.clock));
                        twins.watches[number].0.wake(twins.clock);
                    }
                    Outside::Cut => {
                        twins.poll(&mut script);
                        cuts += 1;
                        twins.cut(&policy, seed.wrapping_add(cuts));
                        seeds = ChaCha8Rng::from_rng(&mut rng(seed.wrapping_add(cuts)));
                    }
                    Outside::Stop(which) => {
                        let number = pick(which);
                        twins.poll(&mut script);
                        twins.handles[number].map(|handle| twins.fleet.stop(handle, twins.clock));
                        twins.watches[number].0.stop(twins.clock);
                    }
                }
                next_visit = visits.next().map(|(gap, outside)| (twins.clock.saturating_add(millis(gap)), outside));
            }
        }
        twins.check();
        prop_assert!(twins.fleet.is_empty());
    }
}
