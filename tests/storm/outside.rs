//! What comes from outside: jobs to wait for, wakes, crashes, and clocks, keys and limits that change.

use core::time::Duration;

use jobwatch::{JobRef, RateLimit, Timestamp};

use super::clock::Clock;
use super::policies::{policy, start};
use super::server::SECOND;
use super::speech::{HOME, encoded};
use super::watcher::Watcher;
use super::world::World;

impl World {
    /// A job for somebody whose clock shows this: one that exists already, or has just begun; its number.
    fn job(&mut self, shown: Timestamp) -> (usize, JobRef) {
        let known = self.server.jobs.len();
        let is_old = known > 0 && self.dice.percent(20);
        let number = if is_old { self.dice.index(known) } else { self.server.create(self.now, &mut self.dice) };
        let id = self.server.jobs[number].id.clone();
        let name = if self.server.speech.by_status { format!("{HOME}/v1/jobs/{}", encoded(&id)) } else { id };
        let mut job = JobRef::new(name).unwrap();
        if !is_old && self.dice.percent(50) {
            job = job.with_created_at(shown);
        }
        if self.dice.percent(20) {
            job = job.with_expected_duration(self.dice.millis(0, 60_000));
        }
        (number, job)
    }

    /// A job in a client's hands.
    pub(crate) fn insert(&mut self, which: usize) {
        let (number, job) = self.job(self.clients[which].clock.shows(self.now));
        let id = self.server.jobs[number].id.clone();
        if self.clients[which].asks_by_list(&id) {
            return;
        }
        let client = &mut self.clients[which];
        client.world = self.now;
        self.trace.note(self.now, || format!("client {which}: waits for {id}"));
        client.insert(&job, &id, self.dice.index(3));
    }

    /// A job in a loop of its own.
    pub(crate) fn watch_over(&mut self) {
        let (rules, clock) = (policy(&mut self.dice), Clock::starting_at(start(&mut self.dice, self.calm)));
        let (number, job) = self.job(clock.shows(self.now));
        let id = self.server.jobs[number].id.clone();
        let which = self.watchers.len();
        self.trace.note(self.now, || format!("watcher {which}: waits for {id}, {:#?}", rules.policy));
        let at = (self.now, self.server.key, self.calm);
        self.watchers.push(Watcher::new(self.server.speech, rules, (job, id), clock, at, &mut self.dice));
        self.drive_watcher(which);
    }

    /// Something happens to a watcher.
    fn visit_watcher(&mut self) {
        let (which, now) = (self.dice.index(self.watchers.len()), self.now);
        let kind = if self.calm { self.dice.below(3) } else { self.dice.below(7) };
        self.trace.note(now, || format!("watcher {which}: outside {kind}"));
        let watcher = &mut self.watchers[which];
        match kind {
            0 | 1 => watcher.wake(now),
            2 => watcher.stop(now),
            3 => watcher.clock.jump(self.dice.millis(1, 100_000_000).as_nanos().cast_signed()),
            4 => watcher.clock.jump(-self.dice.millis(1, 1_000_000).as_nanos().cast_signed()),
            _ => watcher.crash(now, self.server.key),
        }
        self.drive_watcher(which);
    }

    /// Something from outside.
    pub(crate) fn visit(&mut self) {
        if !self.watchers.is_empty() && self.dice.percent(15) {
            return self.visit_watcher();
        }
        let which = self.dice.index(self.clients.len());
        let pick = self.dice.index(100);
        let now = self.now;
        self.clients[which].world = now;
        // In a calm world clocks, machines and keys are what they should be.
        let kind = if self.calm { self.dice.below(8) } else { self.dice.below(22) };
        self.trace.note(now, || format!("client {which}: outside {kind}"));
        let client = &mut self.clients[which];
        match kind {
            0 | 1 => self.insert(which),
            11 | 13..=15 | 17 | 18 if self.long => {
                client.forget_the_past();
                self.insert(which);
            }
            2 | 3 => client.wake(pick),
            4 => client.stop(pick),
            5 => client.remove(pick),
            6 => client.store(pick),
            7 | 8 => self.create(which),
            9 => client.set_limit(self.dice.index(6)),
            10 => {
                let hertz = 0.5 + f64::from(u32::try_from(self.dice.below(40)).unwrap()) / 2.0;
                let burst = u32::try_from(self.dice.between(1, 9)).unwrap();
                client.set_rate(self.dice.percent(80).then(|| RateLimit::per_second(hertz).unwrap().with_burst(burst)));
            }
            11 => client
                .clock
                .jump(self.dice.time(Duration::from_millis(1), Duration::from_secs(100_000)).as_nanos().cast_signed()),
            12 => client
                .clock
                .jump(-self.dice.time(Duration::from_millis(1), Duration::from_secs(1_000)).as_nanos().cast_signed()),
            13 => self.suspended[which] = now + u64::try_from(self.dice.millis(1, 100_000).as_nanos()).unwrap(),
            14 | 15 => {
                if self.dice.percent(30) {
                    let back = self.dice.time(Duration::from_millis(1), Duration::from_secs(1_000));
                    client.clock.jump(-back.as_nanos().cast_signed());
                }
                client.crash(&mut self.dice);
            }
            16 => {
                let forgets = self.dice.percent(30);
                self.server.crash(now + self.dice.below(60 * SECOND), forgets);
                self.creates.iter_mut().filter(|_| forgets).for_each(|create| create.amnesias += 1);
            }
            17 | 18 => {
                self.server.key += 1;
                self.server.old_key_until = now + self.dice.below(5 * SECOND);
            }
            19 => client.forget_requests(),
            _ => self.hand_over(which),
        }
        (0..self.clients.len()).for_each(|client| self.rouse(client));
    }

    /// Somebody takes up what a client has taken out or stored.
    pub(crate) fn hand_over(&mut self, which: usize) {
        let to = self.dice.index(self.clients.len());
        if let Some(mut stored) = self.clients[which].stored.pop() {
            stored.1.class = stored.1.class.min(self.clients[to].policies.len() - 1);
            // Under other rules the wait has another deadline, which cannot be known from outside.
            if to == which && !self.clients[to].asks_by_list(&stored.1.id) {
                self.clients[to].world = self.now;
                self.clients[to].take_up(stored);
            }
        }
    }
}
