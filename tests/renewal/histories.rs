//! Arbitrary interleavings of jobs, answers, rotations of the key, and renewals.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use http::{Request, Response};
use jobwatch::{Finished, Fleet, FleetAction, FleetEvent, JobHandle, Outcome, PolicyBuilder, RequestId, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::http_support::{START, every_second, job, millis, response, rng, secs};
use super::{key_of, locked, unauthorised};

#[derive(Clone, Debug)]
enum Op {
    Insert,
    /// Answers one of the requests under way, in this mood.
    Answer(usize, Mood),
    /// The key changes, if the present one has been accepted.
    Rotate,
    /// The provider is done, if it was asked.
    Renewed,
    Wake(usize),
    Advance(Duration),
    Poll,
}

#[derive(Clone, Copy, Debug)]
enum Mood {
    Plain,
    Redirect,
    Breakdown,
}

fn op() -> impl Strategy<Value = Op> {
    let mood = prop_oneof![6 => Just(Mood::Plain), 1 => Just(Mood::Redirect), 1 => Just(Mood::Breakdown)];
    prop_oneof![
        1 => Just(Op::Insert),
        6 => (any::<usize>(), mood).prop_map(|(which, mood)| Op::Answer(which, mood)),
        2 => Just(Op::Rotate),
        2 => Just(Op::Renewed),
        1 => any::<usize>().prop_map(Op::Wake),
        3 => (0_u64..4_000).prop_map(|ms| Op::Advance(millis(ms))),
        6 => Just(Op::Poll),
    ]
}

/// A request as the backend has it: whether its key is right is decided when it arrives.
struct Open {
    id: RequestId,
    path: String,
    key: u32,
    accepted: bool,
    expires: Timestamp,
}

/// A backend that accepts the present key alone, the source that knows it, and what must hold.
struct World {
    fleet: Fleet,
    clock: Timestamp,
    key: u32,
    rotations: u32,
    /// A good answer to a request with the present key has been taken.
    proven: bool,
    open: Vec<Open>,
    names: HashMap<JobHandle, usize>,
    ends: HashMap<JobHandle, Finished>,
    /// A refusal of the fleet's present key was taken: nothing may be sent.
    locked_out: bool,
    /// The source was asked and has not answered.
    asked: bool,
    renewals: u32,
    sent: u64,
}

impl World {
    fn new(limit: usize, renewable: bool) -> Self {
        let policy = policy().build().unwrap();
        let mut fleet = Fleet::new(Arc::new(locked(0)), Arc::new(policy), &mut rng(1)).with_max_in_flight(limit);
        if renewable {
            fleet = fleet.with_renewal();
        }
        Self {
            fleet,
            clock: START,
            key: 0,
            rotations: 0,
            proven: true,
            open: Vec::new(),
            names: HashMap::new(),
            ends: HashMap::new(),
            locked_out: false,
            asked: false,
            renewals: 0,
            sent: 0,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Insert => {
                let name = self.names.len();
                let handle = self.fleet.insert(job(&name.to_string()), self.clock);
                assert!(self.names.insert(handle, name).is_none());
            }
            Op::Answer(which, mood) if !self.open.is_empty() => {
                let open = self.open.remove(which % self.open.len());
                self.answer(&open, mood);
            }
            Op::Rotate if self.proven => {
                self.key += 1;
                self.rotations += 1;
            }
            Op::Renewed if self.asked => self.renew(),
            Op::Wake(which) if !self.names.is_empty() => {
                let handle = *self.names.iter().find(|(_, name)| **name == which % self.names.len()).unwrap().0;
                self.fleet.wake(handle, self.clock);
            }
            Op::Advance(by) => {
                self.clock = self.clock.saturating_add(by);
                self.open.retain(|open| open.expires > self.clock);
            }
            Op::Poll => drop(self.poll()),
            _ => {}
        }
        self.drain();
    }

    fn renew(&mut self) {
        let backend = self.fleet.backend().renewed([("x-api-key", format!("key-{}", self.key))]).unwrap();
        self.fleet.renewed(self.clock, Ok(Arc::new(backend)));
        (self.asked, self.locked_out, self.proven) = (false, false, false);
    }

    /// The key that the fleet has now.
    fn fleets_key(&self) -> u32 {
        let mut probe = Fleet::new(Arc::clone(self.fleet.backend()), Arc::new(policy().build().unwrap()), &mut rng(1));
        probe.insert(job("probe"), START);
        let FleetAction::Send { request, .. } = probe.poll(START) else { panic!("at once") };
        key_of(&request)
    }

    fn answer(&mut self, open: &Open, mood: Mood) {
        if !open.accepted {
            self.locked_out |= open.key == self.fleets_key();
            self.fleet.handle_response(self.clock, open.id, &unauthorised());
            return;
        }
        self.proven |= !matches!(mood, Mood::Redirect | Mood::Breakdown) && open.key == self.key;
        let name = self.names[&open.id.job()];
        self.fleet.handle_response(self.clock, open.id, &answer(&open.path, name, mood, self.sent, self.clock));
    }

    /// Everything that is to be sent now; then when to come again.
    fn poll(&mut self) -> Option<Timestamp> {
        loop {
            let action = self.fleet.poll(self.clock);
            self.drain();
            match action {
                FleetAction::Send { id, request, timeout } => {
                    assert!(!self.locked_out, "sent while the credentials are being renewed");
                    assert!(!self.ends.contains_key(&id.job()), "sent for a job that has ended");
                    self.sent += 1;
                    self.open.push(self.arrive(id, &request, timeout));
                }
                FleetAction::Renew => {
                    assert!(!self.asked, "asked while it is under way");
                    assert!(self.locked_out, "asked without a reason");
                    self.asked = true;
                    self.renewals += 1;
                }
                FleetAction::Sleep { until } => return Some(until),
                FleetAction::Idle => return None,
            }
        }
    }

    fn arrive(&self, id: RequestId, request: &Request<Vec<u8>>, timeout: Duration) -> Open {
        let key = key_of(request);
        let expires = self.clock.saturating_add(timeout);
        Open { id, path: request.uri().path().to_owned(), key, accepted: key == self.key, expires }
    }

    fn drain(&mut self) {
        while let Some(event) = self.fleet.next_event() {
            if let FleetEvent::Finished { handle, finished } = event {
                self.open.retain(|open| open.id.job() != handle);
                assert!(self.ends.insert(handle, *finished).is_none(), "two ends of one job");
            }
        }
    }

    /// Answers everything at once until all waits have ended.
    fn finish(&mut self) {
        let mut turns = 0;
        while let Some(until) = self.poll() {
            turns += 1;
            assert!(turns < 10_000, "this does not end");
            if self.asked {
                self.renew();
            } else if self.open.is_empty() {
                self.clock = self.clock.max(until);
            }
            for open in core::mem::take(&mut self.open) {
                self.answer(&open, Mood::Plain);
                self.drain();
            }
        }
    }
}

/// Patient enough that nothing but the credentials is the subject.
fn policy() -> PolicyBuilder {
    let policy = every_second().with_max_consecutive_failures(u32::MAX).with_max_failure_time(secs(90_000));
    policy.with_total_timeout(secs(80_000))
}

/// Every third job fails, the others have their own number as the result; all end 30 s after the beginning.
fn answer(path: &str, name: usize, mood: Mood, salt: u64, now: Timestamp) -> Response<Vec<u8>> {
    match mood {
        // A result moves to another place for results.
        Mood::Redirect => {
            let folder = if path.starts_with("/v1/r/") { "r" } else { "x" };
            response(302, &[("location", &format!("/v1/{folder}/{salt}"))], "")
        }
        Mood::Breakdown => response(503, &[], ""),
        Mood::Plain if path.starts_with("/v1/r/") => response(200, &[], name.to_string()),
        Mood::Plain if now.saturating_since(START) < secs(30) => response(200, &[], r#"{"state":"working"}"#),
        Mood::Plain if name.is_multiple_of(3) => response(200, &[], r#"{"state":"broken"}"#),
        Mood::Plain => response(200, &[], json!({ "state": "done", "at": format!("/v1/r/{name}") }).to_string()),
    }
}

proptest! {
    #![proptest_config(crate::http_support::cases(300))]

    /// However often and whenever the key changes, every job gets its true end, once; each change costs one renewal at
    /// the most, and nothing is sent between a refusal and the new key.
    #[test]
    fn every_job_gets_its_true_end(ops in prop::collection::vec(op(), 1..250), limit in 1_usize..6) {
        let mut world = World::new(limit, true);
        for op in [Op::Insert, Op::Insert].iter().chain(&ops) {
            world.apply(op);
        }
        world.finish();
        prop_assert_eq!(world.ends.len(), world.names.len());
        prop_assert!(world.renewals <= world.rotations, "{} renewals for {}", world.renewals, world.rotations);
        for (handle, end) in &world.ends {
            let name = world.names[handle];
            if name.is_multiple_of(3) {
                prop_assert_eq!(end.outcome, Outcome::Failed);
            } else {
                prop_assert_eq!((end.outcome, &end.result, &end.error), (Outcome::Succeeded, &Some(json!(name)), &None));
            }
        }
        let sum = |count: fn(&Finished) -> u32| world.ends.values().map(|end| u64::from(count(end))).sum::<u64>();
        prop_assert_eq!(world.fleet.stats().requests, world.sent);
        prop_assert_eq!(sum(|end| end.requests), world.sent);
        prop_assert_eq!(sum(|end| end.failed_requests), world.fleet.stats().failed_requests);
    }

    /// Without a source of credentials no request follows a refusal, and an end that is told all the same counts.
    #[test]
    fn without_a_provider_nothing_is_sent_after_a_refusal(ops in prop::collection::vec(op(), 1..250), limit in 1_usize..6) {
        let mut world = World::new(limit, false);
        for op in [Op::Insert, Op::Insert].iter().chain(&ops) {
            world.apply(op);
            prop_assert!(!world.asked);
            if world.locked_out {
                let under_way = world.open.len();
                prop_assert!(world.fleet.len() <= under_way + world.names.len() - world.ends.len());
            }
        }
        world.finish();
        prop_assert_eq!(world.ends.len(), world.names.len());
        for (handle, end) in &world.ends {
            let expected = if world.names[handle].is_multiple_of(3) { Outcome::Failed } else { Outcome::Succeeded };
            let rejected = world.locked_out && end.outcome == Outcome::Rejected;
            prop_assert!(end.outcome == expected || rejected, "{:?}", end);
        }
    }
}
