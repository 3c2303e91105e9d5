//! What is done to a client from outside.

use std::sync::Arc;

use jobwatch::{JobHandle, JobRef, JobSnapshot, RateLimit, Timestamp};

use super::Client;
use crate::dice::Dice;
use crate::speech::Lists;
use crate::waits::{Stage, Wait};

impl Client {
    pub(crate) fn insert(&mut self, job: &JobRef, id: &str, class: usize) {
        let (shown, now) = self.hear();
        let class = class % self.classes.len();
        let handle = self.fleet.insert_in(self.classes[class], job.clone(), shown);
        self.greet(Wait::new(Some(handle), job.clone(), id.to_owned(), class, &self.policies[class], now));
        self.settle();
    }

    /// What the clock shows, and what the fleet holds it to be.
    pub(super) fn hear(&mut self) -> (Timestamp, Timestamp) {
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
        self.most_at_once.0 = self.most_at_once.0.max(self.waits.iter().filter(|wait| wait.is_here()).count());
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
            let stored = if let Some(known) = known.filter(|_| !is_careful) {
                self.stored[known].clone()
            } else {
                let snapshot = self.fleet.snapshot(self.name(number)).unwrap();
                (serde_json::to_string(&snapshot).unwrap(), self.waits[number].clone(), latest)
            };
            lost.push(stored);
        }
        self.begin_life(dice);
        self.stored.clear();
        self.waits.clear();
        for stored in lost {
            self.take_up(stored);
        }
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
    pub(super) fn bury(&mut self, number: u64) {
        let Some(request) = self.wire.get_mut(&number).filter(|request| request.alive) else { return };
        request.alive = false;
        self.lanes.entry(request.origin.clone()).or_default().end(number);
    }

    pub(crate) fn renewed(&mut self, key: Option<u64>) {
        if !std::mem::take(&mut self.renewing) {
            return;
        }
        let (shown, _) = self.hear();
        if let Some(key) = key {
            (self.key, self.accepted, self.refused) = (key, false, false);
            let backend = self.fleet.backend().renewed([("x-api-key", format!("key-{key}"))]).unwrap();
            self.fleet.renewed(shown, Ok(Arc::new(backend)));
        } else {
            self.refusals += 1;
            self.refused = true;
            self.fleet.renewed(shown, Err("nobody has another".to_owned()));
        }
        self.effects += 1;
        self.settle();
    }
}
