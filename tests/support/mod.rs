//! A world for a poller to live in: a clock, a scripted backend, and a trace of what happened. Hours take microseconds.
#![allow(dead_code)] // every test file uses a part of it

pub(crate) mod arbitrary;

use core::convert::Infallible;
use core::time::Duration;

use jobwatch::{
    Action, Attempt, AttemptId, Ended, Hint, LookError, Observation, Policy, PolicyBuilder, PolicySchedule, Poller,
    PollerState, Schedule, Timestamp,
};
use proptest::test_runner::{Config as ProptestConfig, RngSeed};

/// When every story begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) const RUNNING: Observation = Observation::Running { hint: None };
pub(crate) const DENIED: Observation = Observation::Lost { definite: false };
pub(crate) const BROKEN: Observation = Observation::Transient { error: LookError::Disconnected, hint: None };
pub(crate) const THROTTLED: Observation = Observation::Throttled { error: LookError::Status(429), hint: None };

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn mins(mins: u64) -> Duration {
    Duration::from_secs(60 * mins)
}

/// The instant so long after the start of the story.
pub(crate) const fn at(since_start: Duration) -> Timestamp {
    START.saturating_add(since_start)
}

#[allow(clippy::unnecessary_wraps)] // it stands where an observation has its hint
pub(crate) const fn hint(delay: Duration) -> Option<Hint> {
    Some(Hint::after(delay))
}

pub(crate) const fn running_hint(delay: Duration) -> Observation {
    Observation::Running { hint: hint(delay) }
}

pub(crate) const fn throttled_for(delay: Duration) -> Observation {
    Observation::Throttled { error: LookError::Status(429), hint: hint(delay) }
}

pub(crate) const fn status(code: u16) -> Observation {
    Observation::Transient { error: LookError::Status(code), hint: None }
}

/// Nanoseconds, saturating, as the poller counts them.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A generator whose every word is this seed, so that a test can name a poller's seed.
pub(crate) struct Seed(pub(crate) u64);

impl rand_core::TryRng for Seed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("a poller takes one u64 and nothing else");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("a poller takes one u64 and nothing else");
    }
}

/// So many cases, or as many as `PROPTEST_CASES` says; each time the same ones, unless `PROPTEST_RNG_SEED` says otherwise.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..default }
}

/// Waits of exactly one second, for stories in which randomness is not the subject.
pub(crate) fn every_second() -> PolicyBuilder {
    Policy::builder().with_spacing(jobwatch::Spacing::Constant).with_min_delay(secs(1))
}

/// What the backend does with one look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It answers after this long.
    After(Duration, Observation),
    /// It never answers.
    Never,
}

impl From<Observation> for Reply {
    fn from(observation: Observation) -> Self {
        Self::After(Duration::ZERO, observation)
    }
}

/// What happened, and how long after the start of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Sent(Duration, Attempt),
    Heard(Duration, Observation),
    Ended(Duration, Ended),
}

type Script = Box<dyn FnMut(Duration) -> Reply>;

pub(crate) struct World<S = PolicySchedule> {
    pub(crate) clock: Timestamp,
    /// Asked once for each look, with the time since the start of the story.
    pub(crate) script: Script,
    pub(crate) trace: Vec<Event>,
    pub(crate) poller: Poller<Policy, S>,
    schedule: S,
    under_way: Option<(AttemptId, Timestamp, Observation)>,
}

impl World {
    /// A job under this policy that runs for ever, until the script is set.
    pub(crate) fn new(policy: PolicyBuilder) -> Self {
        Self::seeded(policy, 7)
    }

    pub(crate) fn seeded(policy: PolicyBuilder, seed: u64) -> Self {
        Self::with_schedule(policy, PolicySchedule, seed)
    }
}

impl<S: Schedule + Clone> World<S> {
    pub(crate) fn with_schedule(policy: PolicyBuilder, schedule: S, seed: u64) -> Self {
        let policy = policy.build().expect("the story's policy is valid");
        Self {
            clock: START,
            script: Box::new(|_| RUNNING.into()),
            trace: Vec::new(),
            poller: Poller::with_schedule(policy, schedule.clone(), START, &mut Seed(seed)),
            schedule,
            under_way: None,
        }
    }

    /// The backend gives these replies in turn, and the last one for ever.
    pub(crate) fn answering<R: Into<Reply>>(mut self, replies: impl IntoIterator<Item = R>) -> Self {
        let mut replies: Vec<Reply> = replies.into_iter().map(Into::into).collect();
        replies.reverse();
        self.script = Box::new(move |_| match replies.as_slice() {
            [last] => *last,
            _ => replies.pop().expect("a script has a reply"),
        });
        self
    }

    /// The job runs for so long and then succeeds.
    pub(crate) fn lasting(mut self, duration: Duration) -> Self {
        self.script =
            Box::new(move |since| if since < duration { RUNNING.into() } else { Observation::Succeeded.into() });
        self
    }

    /// Time goes on to the next thing that happens, and it happens.
    pub(crate) fn step(&mut self) -> Action {
        let due = self.poller.state().due();
        if let Some((id, arrives, says)) = self.under_way
            && due.is_some_and(|due| arrives <= due)
        {
            self.clock = self.clock.max(arrives);
            return self.hear(id, says);
        }
        self.clock = self.clock.max(due.unwrap_or(self.clock));
        self.poll()
    }

    /// So much time passes, with all that happens in it.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.clock.saturating_add(by);
        while self.next().is_some_and(|next| next <= end) {
            let _ = self.step();
        }
        self.clock = end;
    }

    /// To the end of the wait.
    pub(crate) fn drive(&mut self) -> Ended {
        for _ in 0..100_000 {
            if let Some(ended) = self.step().ended() {
                return ended;
            }
        }
        panic!("the wait does not end");
    }

    /// Until a look is under way, whose attempt is returned; the script's reply to it is not delivered.
    pub(crate) fn send(&mut self) -> Attempt {
        let attempt = loop {
            match self.step() {
                Action::Send(attempt) => break attempt,
                Action::Sleep { .. } => {}
                ended => panic!("no look comes any more: {ended:?}"),
            }
        };
        self.under_way = None;
        attempt
    }

    /// The look under way is answered now.
    pub(crate) fn answer(&mut self, says: Observation) -> Action {
        let id = self.poller.state().in_flight().expect("a look is under way");
        self.hear(id, says)
    }

    /// The driver calls `poll` now, whether or not anything is due.
    pub(crate) fn poll(&mut self) -> Action {
        let action = self.poller.poll(self.clock);
        self.carry_out(action)
    }

    pub(crate) fn wake(&mut self) -> Action {
        let action = self.poller.wake(self.clock);
        self.carry_out(action)
    }

    /// What only the state can do, not the wrapper.
    pub(crate) fn edit<T>(&mut self, change: impl FnOnce(&mut PollerState, &Policy, Timestamp) -> T) -> T {
        let mut state = self.poller.state().clone();
        let result = change(&mut state, self.poller.policy(), self.clock);
        let policy = self.poller.policy().clone();
        self.poller = Poller::from_state(policy, self.schedule.clone(), state);
        result
    }

    /// Times of the looks sent, since the start of the story.
    pub(crate) fn sends(&self) -> Vec<Duration> {
        self.trace.iter().filter_map(|event| if let Event::Sent(at, _) = event { Some(*at) } else { None }).collect()
    }

    /// Times from each look to the next; with a backend that answers at once, the gaps.
    pub(crate) fn gaps(&self) -> Vec<Duration> {
        self.sends().windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }

    /// The time since the start of the story.
    pub(crate) fn now(&self) -> Duration {
        self.clock.saturating_since(START)
    }

    fn next(&self) -> Option<Timestamp> {
        let due = self.poller.state().due()?;
        Some(self.under_way.map_or(due, |(_, arrives, _)| arrives.min(due)))
    }

    fn hear(&mut self, id: AttemptId, says: Observation) -> Action {
        self.under_way = None;
        self.trace.push(Event::Heard(self.now(), says));
        let action = self.poller.handle_observation(self.clock, id, says).expect("the look is under way");
        self.carry_out(action)
    }

    fn carry_out(&mut self, action: Action) -> Action {
        match action {
            Action::Send(attempt) => {
                self.trace.push(Event::Sent(self.now(), attempt));
                let now = self.now();
                self.under_way = match (self.script)(now) {
                    Reply::After(delay, says) => Some((attempt.id, self.clock.saturating_add(delay), says)),
                    Reply::Never => None,
                };
            }
            Action::Done(ended) | Action::TimedOut(ended) => {
                if !matches!(self.trace.last(), Some(Event::Ended(..))) {
                    self.trace.push(Event::Ended(self.now(), ended));
                }
            }
            Action::Sleep { .. } => {}
        }
        action
    }
}
