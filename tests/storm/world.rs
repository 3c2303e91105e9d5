//! One storm: clients, a backend, and the events between them in the order of their time.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::client::Client;
use super::clock::Clock;
use super::creates::Create;
use super::dice::Dice;
use super::ledger::Delivery;
use super::policies::{policy, start};
use super::server::{SECOND, Server};
use super::speech::speeches;
use super::watcher::Watcher;

/// So many events are more than any world has.
const MOST_STEPS: u64 = 200_000;

/// The last events of a storm, for those who replay it.
#[derive(Clone, Default)]
pub(crate) struct Trace(pub(crate) Option<Rc<RefCell<VecDeque<String>>>>);

impl Trace {
    pub(crate) fn note(&self, world: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &self.0 {
            let mut lines = lines.borrow_mut();
            lines.push_back(format!("{:>12.6} s  {}", Duration::from_nanos(world).as_secs_f64(), text()));
            if lines.len() > 400 {
                lines.pop_front();
            }
        }
    }
}

pub(crate) enum Event {
    Alarm { client: usize, token: u64 },
    Deliver { client: usize, life: u32, number: u64, delivery: Delivery },
    Renewed { client: usize, life: u32 },
    Outside,
    CreateAlarm { create: usize, token: u64 },
    CreateDeliver { create: usize, number: u64, delivery: Delivery },
    WatchAlarm { watcher: usize, token: u64 },
    WatchDeliver { watcher: usize, life: u32, number: u64, delivery: Delivery },
}

/// What one storm came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) requests: u64,
    pub(crate) ends: u64,
    pub(crate) creates: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.requests += other.requests;
        self.ends += other.ends;
        self.creates += other.creates;
    }
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    pub(crate) server: Server,
    pub(crate) clients: Vec<Client>,
    /// Until when each client sleeps like a closed laptop.
    pub(crate) suspended: Vec<u64>,
    /// Each client's present alarm; others are leftovers.
    pub(crate) alarms: Vec<u64>,
    pub(crate) creates: Vec<Create>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) events: u64,
    /// Nothing goes wrong with clocks, machines and keys.
    pub(crate) calm: bool,
    /// It goes on with the same machines, and never clears.
    pub(crate) long: bool,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let mut dice = Dice::new(seed);
        let all = speeches();
        let server = Server::new(&all[dice.index(all.len())], &mut dice);
        let calm = server.weather.calm;
        let mut world = Self {
            now: 0,
            dice,
            server,
            clients: Vec::new(),
            suspended: Vec::new(),
            alarms: Vec::new(),
            creates: Vec::new(),
            watchers: Vec::new(),
            queue: BTreeMap::new(),
            events: 0,
            calm,
            long: false,
            trace,
            tally: Tally::default(),
        };
        world.populate();
        world
    }

    /// The same, with so many visits more, one a second.
    pub(crate) fn long(seed: u64, visits: u64, trace: Trace) -> Self {
        let mut world = Self::new(seed, trace);
        (world.long, world.server.weather.clears_at) = (true, u64::MAX);
        for number in 0..visits {
            let at = number * SECOND + world.dice.below(SECOND);
            world.schedule(at, Event::Outside);
        }
        world
    }

    fn populate(&mut self) {
        let server = &self.server;
        self.trace.note(0, || format!("{:?}\n{:?}", server.speech, server.weather));
        for number in 0..self.dice.between(1, 3) {
            let policies: Vec<_> = (0..self.dice.between(1, 3)).map(|_| policy(&mut self.dice)).collect();
            self.trace.note(0, || format!("client {number}: {policies:#?}"));
            let clock = Clock::starting_at(start(&mut self.dice, self.calm));
            let mut client = Client::new(self.server.speech, policies, clock, &mut self.dice);
            client.calm = self.calm;
            self.clients.push(client);
            self.suspended.push(0);
            self.alarms.push(0);
            for _ in 0..self.dice.between(0, 8) {
                self.insert(usize::try_from(number).unwrap());
            }
        }
        for _ in 0..self.dice.between(0, 25) {
            let at =
                u64::try_from(self.dice.time(Duration::from_millis(1), Duration::from_secs(200)).as_nanos()).unwrap();
            self.schedule(at, Event::Outside);
        }
        (0..self.clients.len()).for_each(|client| self.drive(client));
        (0..self.dice.between(0, 2)).for_each(|_| self.watch_over());
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.events += 1;
        self.queue.insert((at.max(self.now), self.events), event);
    }

    /// Until nothing is left to do.
    pub(crate) fn run(&mut self) -> Tally {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.tally.steps += 1;
            assert!(self.tally.steps < MOST_STEPS, "progress: this does not end");
            self.step(event);
        }
        for client in &self.clients {
            assert!(client.fleet.is_empty(), "progress: {} waits never ended", client.fleet.len());
            client.check_memory();
            self.tally.requests += client.sent;
        }
        assert!(self.creates.iter().all(Create::is_done), "progress: a create never ended");
        assert!(!self.watchers.iter().any(Watcher::is_here), "progress: a watch never ended");
        self.tally.requests += self.watchers.iter().map(|watcher| watcher.sent).sum::<u64>();
        self.tally
    }

    fn step(&mut self, event: Event) {
        let now = self.now;
        let asleep = match &event {
            Event::Alarm { client, .. } | Event::Deliver { client, .. } | Event::Renewed { client, .. } => {
                Some(self.suspended[*client]).filter(|until| *until > now)
            }
            _ => None,
        };
        if let Some(until) = asleep {
            return self.schedule(until, event);
        }
        match event {
            Event::Alarm { client, token } => {
                if self.alarms[client] == token {
                    self.drive(client);
                }
            }
            Event::Deliver { client, life, number, delivery } => {
                if self.clients[client].life == life {
                    self.trace.note(now, || format!("client {client}: to {number} comes {delivery}"));
                    self.clients[client].world = now;
                    self.clients[client].deliver(number, &delivery);
                    self.drive(client);
                }
            }
            Event::Renewed { client, life } => {
                if self.clients[client].life == life {
                    let key = self.dice.percent(80).then_some(self.server.key);
                    self.trace.note(now, || format!("client {client}: renewed {key:?}"));
                    self.clients[client].world = now;
                    self.clients[client].renewed(key);
                    self.drive(client);
                }
            }
            Event::Outside => self.visit(),
            Event::CreateAlarm { create, token } => {
                if self.creates[create].alarm == token {
                    self.drive_create(create);
                }
            }
            Event::CreateDeliver { create, number, delivery } => {
                self.trace.note(now, || format!("create {create}: to {number} comes {delivery}"));
                self.creates[create].deliver(now, number, &delivery);
                self.drive_create(create);
            }
            Event::WatchAlarm { watcher, token } => {
                if self.watchers[watcher].alarm == token {
                    self.drive_watcher(watcher);
                }
            }
            Event::WatchDeliver { watcher, life, number, delivery } => {
                if self.watchers[watcher].life == life {
                    self.trace.note(now, || format!("watcher {watcher}: to {number} comes {delivery}"));
                    self.watchers[watcher].deliver(now, number, &delivery);
                    self.drive_watcher(watcher);
                }
            }
        }
    }
}
