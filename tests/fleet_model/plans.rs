//! A learned schedule in a fleet of many: each job is looked at exactly as in a fleet of its own that knows at each instant
//! what the many have learned until then.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::Response;
use jobwatch::learn::{History, Learner, Lesson, Since};
use jobwatch::{
    Backend, ClassId, Finished, Fleet, FleetAction, FleetEvent, JobHandle, JobRef, Policy, RequestId, Spacing,
    Timestamp,
};
use proptest::prelude::*;

use crate::http_support::{BASE, KILN, START, dialect, job, millis, response, rng, secs};

/// How a job is told of, and how long it takes.
#[derive(Clone, Copy, Debug)]
struct Firing {
    /// It is inserted so long after the one before.
    after: Duration,
    takes: Duration,
    ends_well: bool,
    /// We made it, or somebody else.
    ours: bool,
    /// How long its answers take.
    delay: Duration,
}

fn firing() -> impl Strategy<Value = Firing> {
    let takes = prop_oneof![(5_000_u64..60_000), Just(20_000), Just(30_000)];
    (0_u64..20_000, takes, any::<bool>(), any::<bool>(), 0_u64..900).prop_map(
        |(after, takes, ends_well, ours, delay)| Firing {
            after: millis(after),
            takes: millis(takes),
            ends_well,
            ours,
            delay: millis(delay),
        },
    )
}

/// One fleet, with its requests by job.
struct One {
    fleet: Fleet,
    jobs: HashMap<JobHandle, usize>,
}

/// What was seen of one job.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    sent: Vec<(Timestamp, String, Duration)>,
    finished: Option<Finished>,
}

impl One {
    fn new(policy: &Arc<Policy>, known: &[Duration]) -> Self {
        let backend = Backend::new(dialect(KILN), Some(BASE)).unwrap();
        let fleet = Fleet::new(backend.into(), Arc::clone(policy), &mut rng(9));
        let mut fleet = fleet.with_max_in_flight(10_000).with_rate(None);
        fleet.note_backend_proven();
        let mut history = History::new();
        for duration in known {
            history.learn(&Lesson::ended(*duration, *duration));
        }
        for since in [Since::Creation, Since::PickUp] {
            fleet.set_learner(ClassId::default(), since, Learner::new(history.clone(), Arc::clone(policy)));
        }
        Self { fleet, jobs: HashMap::new() }
    }

    fn insert(&mut self, number: usize, job: JobRef, now: Timestamp) {
        self.jobs.insert(self.fleet.insert(job, now), number);
    }

    /// Everything that is to be done now: the requests that leave, and when there is more.
    fn poll(
        &mut self,
        now: Timestamp,
        seen: &mut BTreeMap<usize, Seen>,
    ) -> (Vec<(usize, RequestId)>, Option<Timestamp>) {
        let mut sends = Vec::new();
        let until = loop {
            match self.fleet.poll(now) {
                FleetAction::Send { id, request, timeout } => {
                    let number = self.jobs[&id.job()];
                    seen.entry(number).or_default().sent.push((now, request.uri().to_string(), timeout));
                    sends.push((number, id));
                }
                FleetAction::Sleep { until } => break Some(until),
                FleetAction::Idle => break None,
                FleetAction::Renew => panic!("nobody can renew"),
            }
        };
        while let Some(event) = self.fleet.next_event() {
            if let FleetEvent::Finished { handle, mut finished } = event {
                // The many have company, and what they teach together weighs another thing.
                finished.taught = None;
                seen.entry(self.jobs[&handle]).or_default().finished = Some(*finished);
            }
        }
        (sends, until)
    }

    fn know(&mut self, of: &Self) {
        for since in [Since::Creation, Since::PickUp] {
            let learner = of.fleet.learner(ClassId::default(), since).unwrap().clone();
            self.fleet.set_learner(ClassId::default(), since, learner);
        }
    }
}

fn answer(firing: Firing, age: Duration) -> Response<Vec<u8>> {
    let word = match (age < firing.takes, firing.ends_well) {
        (true, _) => "Heating",
        (false, true) => "fired",
        (false, false) => "cracked",
    };
    response(200, &[], format!(r#"{{"state":"{word}"}}"#))
}

/// An answer on its way: when it comes, to which job, under which names.
type OnWire = (Timestamp, usize, RequestId, RequestId);

fn play(firings: &[Firing], known: &[Duration]) -> [BTreeMap<usize, Seen>; 2] {
    let policy = Policy::builder().with_spacing(Spacing::Learned).with_total_timeout(secs(300));
    let policy = Arc::new(policy.with_max_delay(secs(20)).build().unwrap());
    let mut many = One::new(&policy, known);
    let (mut lone, mut born): (Vec<One>, Vec<Timestamp>) = (Vec::new(), Vec::new());
    let (mut by_many, mut by_lone) = (BTreeMap::new(), BTreeMap::new());
    let mut wire: Vec<OnWire> = Vec::new();
    let (mut now, mut next) = (START, START);
    loop {
        while let Some(firing) = firings.get(lone.len()).filter(|_| next <= now) {
            let (number, id) = (lone.len(), format!("job-{}", lone.len()));
            let job = if firing.ours { job(&id).with_created_at(now) } else { job(&id) };
            let mut one = One::new(&policy, known);
            // The same jitter as among the many.
            for other in 0..number {
                let handle = one.fleet.insert(crate::http_support::job(&format!("other-{other}")), now);
                one.fleet.remove(handle).unwrap();
            }
            one.know(&many);
            many.insert(number, job.clone(), now);
            one.insert(number, job, now);
            lone.push(one);
            born.push(now);
            next = next.saturating_add(firings.get(number + 1).map_or(Duration::ZERO, |firing| firing.after));
        }
        let (sends, mut until) = many.poll(now, &mut by_many);
        let mut names = BTreeMap::new();
        for one in &mut lone {
            let (sends, more) = one.poll(now, &mut by_lone);
            names.extend(sends);
            until = until.into_iter().chain(more).min();
        }
        for (number, id) in sends {
            // Where the two differ they are compared as they are.
            let Some(other) = names.get(&number) else { return [by_many, by_lone] };
            wire.push((now.saturating_add(firings[number].delay), number, id, *other));
        }
        let insertion = (lone.len() < firings.len()).then_some(next);
        let arrival = wire.iter().map(|(at, ..)| *at).min();
        let Some(then) = until.into_iter().chain(arrival).chain(insertion).min() else { break };
        now = then.max(now);
        wire.sort_unstable_by_key(|(at, number, ..)| (*at, *number));
        while let Some((_, number, id, other)) = wire.first().copied().filter(|(at, ..)| *at <= now) {
            wire.remove(0);
            let answer = answer(firings[number], now.saturating_since(born[number]));
            lone[number].fleet.handle_response(now, other, &answer);
            many.fleet.handle_response(now, id, &answer);
            for one in &mut lone {
                one.know(&many);
            }
        }
    }
    [by_many, by_lone]
}

proptest! {
    #![proptest_config(crate::http_support::cases(24))]

    #[test]
    fn a_learning_fleet_is_as_many_fleets_that_know_the_same(
        firings in prop::collection::vec(firing(), 1..10),
        known in prop::collection::vec((1_u64..60).prop_map(secs), 0..30),
    ) {
        let [many, lone] = play(&firings, &known);
        for (number, seen) in &many {
            let first = seen.sent.iter().zip(&lone[number].sent).find(|(many, lone)| many != lone);
            prop_assert!(first.is_none(), "job {}: {:?}", number, first);
        }
        prop_assert_eq!(&many, &lone);
        prop_assert!(many.values().all(|seen| seen.finished.is_some()) && many.len() == firings.len());
    }
}
