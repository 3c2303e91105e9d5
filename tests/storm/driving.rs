//! Lets everybody do what is to be done now, and hear of it again when there is more.

use jobwatch::Timestamp;

use super::client::Want;
use super::creates::{Create, Next};
use super::ledger::Delivery;
use super::server::SECOND;
use super::watcher::Wish;
use super::world::{Event, World};

impl World {
    /// Lets a client do all that it has to do now.
    pub(crate) fn drive(&mut self, which: usize) {
        loop {
            let client = &mut self.clients[which];
            client.world = self.now;
            let want = client.poll();
            self.note_endings(which);
            match want {
                Want::Send(number, asked) => {
                    self.trace
                        .note(self.now, || format!("client {which}: {number} asks {:?} at {}", asked.ask, asked.url));
                    let (now, life) = (self.now, self.clients[which].life);
                    for (after, delivery) in self.server.serve(now, &asked, &mut self.dice) {
                        self.schedule(now + after, Event::Deliver { client: which, life, number, delivery });
                    }
                    if self.dice.percent(50) {
                        // Drivers may tell of the end of a request's time, or leave that to the fleet.
                        let over = self.clients[which].over(number);
                        let delivery = Delivery::Error(jobwatch::LookError::Expired);
                        self.schedule(over, Event::Deliver { client: which, life, number, delivery });
                    }
                }
                Want::Renew => {
                    self.trace.note(self.now, || format!("client {which}: wants another key"));
                    let (at, life) = (self.now + self.dice.below(5 * SECOND), self.clients[which].life);
                    self.schedule(at, Event::Renewed { client: which, life });
                }
                Want::Sleep(until) => {
                    self.trace.note(self.now, || format!("client {which}: sleeps until {until}"));
                    return self.set_alarm(which, until);
                }
                Want::Idle => {
                    self.alarms[which] = 0;
                    return;
                }
            }
        }
    }

    pub(crate) fn set_alarm(&mut self, which: usize, until: Timestamp) {
        let client = &self.clients[which];
        let at = client.clock.when(until);
        let may_wait = client.renewing || at <= u64::MAX / 2;
        assert!(may_wait, "progress: nothing would ever happen again to client {which}");
        if at > u64::MAX / 2 || (client.renewing && until == Timestamp::MAX) {
            return;
        }
        let late = if self.dice.percent(self.server.weather.late) { self.dice.below(2 * SECOND) } else { 0 };
        self.alarms[which] = self.events + 1;
        let token = self.alarms[which];
        self.schedule(at + late, Event::Alarm { client: which, token });
    }

    pub(crate) fn note_endings(&mut self, which: usize) {
        for (wait, finished) in std::mem::take(&mut self.clients[which].endings) {
            self.trace
                .note(self.now, || format!("client {which}: {} {} {:?}", wait.id, finished.outcome, finished.reason));
            self.tally.ends += 1;
            let client = &self.clients[which];
            wait.check_against(&self.server, &finished, (client.world, &client.clock), self.calm);
        }
    }

    /// Lets a client hear of what has happened, as soon as it is awake.
    pub(crate) fn rouse(&mut self, client: usize) {
        if self.suspended[client] <= self.now {
            return self.drive(client);
        }
        let token = self.events + 1;
        self.alarms[client] = token;
        self.schedule(self.suspended[client], Event::Alarm { client, token });
    }

    pub(crate) fn create(&mut self, which: usize) {
        let client = &self.clients[which];
        let create = Create::new(self.now, which, client, &mut self.dice);
        self.creates.push(create);
        self.tally.creates += 1;
        self.drive_create(self.creates.len() - 1);
    }

    pub(crate) fn drive_create(&mut self, number: usize) {
        loop {
            let next = self.creates[number].poll(self.now, &self.server);
            match next {
                Next::Send { number: request, asked, over } => {
                    self.trace.note(self.now, || format!("create {number}: {request} asks at {}", asked.url));
                    let known = self.server.jobs.len();
                    let deliveries = self.server.serve(self.now, &asked, &mut self.dice);
                    self.creates[number].created.extend(known..self.server.jobs.len());
                    for (after, delivery) in deliveries {
                        let event = Event::CreateDeliver { create: number, number: request, delivery };
                        self.schedule(self.now + after, event);
                    }
                    let delivery = Delivery::Error(jobwatch::LookError::Expired);
                    self.schedule(over, Event::CreateDeliver { create: number, number: request, delivery });
                }
                Next::Sleep(at) => {
                    let token = self.events + 1;
                    self.creates[number].alarm = token;
                    return self.schedule(at, Event::CreateAlarm { create: number, token });
                }
                Next::Renew => {
                    let key = self.dice.percent(80).then_some(self.server.key);
                    self.creates[number].renewed(self.now, key);
                }
                Next::Created(jobs) => {
                    let which = self.creates[number].client;
                    for (job, id) in jobs {
                        if self.clients[which].asks_by_list(&id) {
                            continue;
                        }
                        self.trace.note(self.now, || format!("create {number}: {id}"));
                        self.clients[which].world = self.now;
                        self.clients[which].insert(&job, &id, self.dice.index(3));
                    }
                    return self.rouse(which);
                }
                Next::Nothing => return,
            }
        }
    }

    /// Lets a watcher do all that it has to do now.
    pub(crate) fn drive_watcher(&mut self, which: usize) {
        loop {
            let (now, wish) = (self.now, self.watchers[which].poll(self.now));
            let life = self.watchers[which].life;
            let event = |number, delivery| Event::WatchDeliver { watcher: which, life, number, delivery };
            match wish {
                Wish::Send { number, asked, over } => {
                    self.trace.note(now, || format!("watcher {which}: {number} asks {:?} at {}", asked.ask, asked.url));
                    for (after, delivery) in self.server.serve(now, &asked, &mut self.dice) {
                        self.schedule(now + after, event(number, delivery));
                    }
                    if self.dice.percent(50) {
                        self.schedule(over, event(number, Delivery::Error(jobwatch::LookError::Expired)));
                    }
                }
                Wish::Sleep(at) => {
                    assert!(at <= u64::MAX / 2, "progress: nothing would ever happen again to watcher {which}");
                    let late =
                        if self.dice.percent(self.server.weather.late) { self.dice.below(2 * SECOND) } else { 0 };
                    let token = self.events + 1;
                    self.watchers[which].alarm = token;
                    return self.schedule(at + late, Event::WatchAlarm { watcher: which, token });
                }
                Wish::Ended(finished) => {
                    let watcher = &self.watchers[which];
                    self.trace.note(now, || format!("watcher {which}: {} {:?}", finished.outcome, finished.reason));
                    self.tally.ends += 1;
                    watcher.wait.check_against(&self.server, &finished, (now, &watcher.clock), self.calm);
                }
                Wish::Nothing => return,
            }
        }
    }
}
