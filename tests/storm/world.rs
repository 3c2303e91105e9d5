//! One storm: clients, a backend, and the events between them in the order of their time.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use jobwatch::{JobRef, RateLimit, Timestamp};

use super::client::{Client, Want};
use super::clock::Clock;
use super::creates::{Create, Next};
use super::dice::Dice;
use super::ledger::Delivery;
use super::policies::{policy, start};
use super::server::{SECOND, Server};
use super::speech::{HOME, encoded, speeches};

/// So many events are more than any world has.
const MOST_STEPS: u64 = 200_000;

/// The last events of a storm, for those who replay it.
#[derive(Clone, Default)]
pub(crate) struct Trace(pub(crate) Option<Rc<RefCell<VecDeque<String>>>>);

impl Trace {
    fn note(&self, world: u64, text: impl FnOnce() -> String) {
        if let Some(lines) = &self.0 {
            let mut lines = lines.borrow_mut();
            lines.push_back(format!("{:>12.6} s  {}", Duration::from_nanos(world).as_secs_f64(), text()));
            if lines.len() > 400 {
                lines.pop_front();
            }
        }
    }
}

enum Event {
    Alarm { client: usize, token: u64 },
    Deliver { client: usize, life: u32, number: u64, delivery: Delivery },
    Renewed { client: usize, life: u32 },
    Outside,
    CreateAlarm { create: usize, token: u64 },
    CreateDeliver { create: usize, number: u64, delivery: Delivery },
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
    now: u64,
    dice: Dice,
    server: Server,
    clients: Vec<Client>,
    /// Until when each client sleeps like a closed laptop.
    suspended: Vec<u64>,
    /// Each client's present alarm; others are leftovers.
    alarms: Vec<u64>,
    creates: Vec<Create>,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    /// Nothing goes wrong with clocks, machines and keys.
    calm: bool,
    trace: Trace,
    tally: Tally,
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
            queue: BTreeMap::new(),
            events: 0,
            calm,
            trace,
            tally: Tally::default(),
        };
        world.populate();
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
    }

    fn schedule(&mut self, at: u64, event: Event) {
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
                    self.trace.note(now, || format!("client {client}: to {number} comes {}", told(&delivery)));
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
                self.trace.note(now, || format!("create {create}: to {number} comes {}", told(&delivery)));
                self.creates[create].deliver(now, number, &delivery);
                self.drive_create(create);
            }
        }
    }

    /// Lets a client do all that it has to do now.
    fn drive(&mut self, which: usize) {
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

    fn set_alarm(&mut self, which: usize, until: Timestamp) {
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

    fn note_endings(&mut self, which: usize) {
        for (wait, finished) in std::mem::take(&mut self.clients[which].endings) {
            self.trace
                .note(self.now, || format!("client {which}: {} {} {:?}", wait.id, finished.outcome, finished.reason));
            self.tally.ends += 1;
            wait.check_against(&self.server, &finished, &self.clients[which], self.calm);
        }
    }

    /// A job that exists already, in a client's hands.
    fn insert(&mut self, which: usize) {
        let known = self.server.jobs.len();
        let is_old = known > 0 && self.dice.percent(20);
        let number = if is_old { self.dice.index(known) } else { self.server.create(self.now, &mut self.dice) };
        if self.clients[which].asks_by_list(&self.server.jobs[number].id) {
            return;
        }
        let id = self.server.jobs[number].id.clone();
        let name = if self.server.speech.by_status { format!("{HOME}/v1/jobs/{}", encoded(&id)) } else { id.clone() };
        let mut job = JobRef::new(name).unwrap();
        let client = &mut self.clients[which];
        client.world = self.now;
        if !is_old && self.dice.percent(50) {
            job = job.with_created_at(client.clock.shows(self.now));
        }
        if self.dice.percent(20) {
            job = job.with_expected_duration(self.dice.millis(0, 60_000));
        }
        self.trace.note(self.now, || format!("client {which}: waits for {id}"));
        client.insert(&job, &id, self.dice.index(3));
    }

    /// Something from outside.
    fn visit(&mut self) {
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

    /// Lets a client hear of what has happened, as soon as it is awake.
    fn rouse(&mut self, client: usize) {
        if self.suspended[client] <= self.now {
            return self.drive(client);
        }
        let token = self.events + 1;
        self.alarms[client] = token;
        self.schedule(self.suspended[client], Event::Alarm { client, token });
    }

    /// Somebody takes up what a client has taken out or stored.
    fn hand_over(&mut self, which: usize) {
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

    fn create(&mut self, which: usize) {
        let client = &self.clients[which];
        let create = Create::new(self.now, which, client, &mut self.dice);
        self.creates.push(create);
        self.tally.creates += 1;
        self.drive_create(self.creates.len() - 1);
    }

    fn drive_create(&mut self, number: usize) {
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
}

fn told(delivery: &Delivery) -> Told<'_> {
    Told(delivery)
}

/// An answer in one line.
struct Told<'a>(&'a Delivery);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Delivery::Error(error) => write!(f, "{error:?}"),
            Delivery::Reply(reply) => {
                let headers: Vec<_> = reply.response.headers().iter().collect();
                let body = String::from_utf8_lossy(reply.response.body());
                write!(f, "{} {headers:?} {body} ({:?})", reply.response.status().as_u16(), reply.what)
            }
        }
    }
}
