//! A clock, a scripted backend and a trace around one poller.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::vec::Vec;

use super::{Answer, Looks, START, Seed};
use crate::{
    Action, Attempt, AttemptId, Ended, Observation, Policy, PolicyBuilder, PolicySchedule, Poller, PollerState,
    Schedule, Timestamp,
};

const RUNNING: Observation = Observation::Running { hint: None };

/// What happened, and how long after the start of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look was sent.
    Sent(Duration, Attempt),
    /// An answer came.
    Heard(Duration, Observation),
    /// The wait has ended.
    Ended(Duration, Ended),
}

/// What the backend does with each look, by the time since the start of the story.
pub type Script = Box<dyn FnMut(Duration) -> Answer>;

/// A world for one poller to live in: a clock, a scripted backend, and a trace of what happened. Hours take microseconds.
///
/// ```
/// use core::time::Duration;
/// use jobwatch::testing::World;
/// use jobwatch::{Outcome, Policy};
///
/// let mut world = World::new(Policy::builder().with_max_delay(Duration::from_secs(10)));
/// world = world.lasting(Duration::from_secs(95));
/// assert_eq!(world.drive().outcome, Outcome::Succeeded);
/// assert!(world.now() < Duration::from_secs(105), "noticed {:?} after the start", world.now());
/// assert!(world.gaps().iter().all(|gap| *gap <= Duration::from_secs(10)));
/// ```
pub struct World<S = PolicySchedule> {
    /// The present instant.
    pub clock: Timestamp,
    /// Asked once for each look, with the time since the start of the story.
    pub script: Script,
    /// What happened so far.
    pub trace: Vec<Event>,
    /// The looks so far, to be held to [bounds](Looks::check).
    pub looks: Looks,
    /// The poller under test.
    pub poller: Poller<Policy, S>,
    schedule: S,
    under_way: Option<(AttemptId, Timestamp, Observation)>,
}

impl World {
    /// A job under this policy that runs for ever, until the script is set.
    ///
    /// # Panics
    /// The policy is not valid.
    pub fn new(policy: PolicyBuilder) -> Self {
        Self::seeded(policy, 7)
    }

    /// The same with this seed of the jitter.
    ///
    /// # Panics
    /// The policy is not valid.
    pub fn seeded(policy: PolicyBuilder, seed: u64) -> Self {
        Self::with_schedule(policy, PolicySchedule, seed)
    }
}

impl<S: Schedule + Clone> World<S> {
    /// The same with a schedule of one's own.
    ///
    /// # Panics
    /// The policy is not valid.
    pub fn with_schedule(policy: PolicyBuilder, schedule: S, seed: u64) -> Self {
        let policy = policy.build().expect("the story's policy is valid");
        Self {
            clock: START,
            script: Box::new(|_| RUNNING.into()),
            trace: Vec::new(),
            looks: Looks::new(START),
            poller: Poller::with_schedule(policy, schedule.clone(), START, &mut Seed(seed)),
            schedule,
            under_way: None,
        }
    }

    /// The backend gives these answers in turn, and the last one for ever.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn answering<R: Into<Answer>>(mut self, replies: impl IntoIterator<Item = R>) -> Self {
        let mut replies: Vec<Answer> = replies.into_iter().map(Into::into).collect();
        assert!(!replies.is_empty(), "a script has an answer");
        replies.reverse();
        self.script = Box::new(move |_| match replies.as_slice() {
            [last] => *last,
            _ => replies.pop().expect("the last one is kept"),
        });
        self
    }

    /// The job runs for so long and then succeeds.
    #[must_use]
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.script =
            Box::new(move |since| if since < duration { RUNNING.into() } else { Observation::Succeeded.into() });
        self
    }

    /// Time goes on to the next thing that happens, and it happens.
    pub fn step(&mut self) -> Action {
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
    pub fn advance(&mut self, by: Duration) {
        let end = self.clock.saturating_add(by);
        while self.next().is_some_and(|next| next <= end) {
            let _ = self.step();
        }
        self.clock = end;
    }

    /// To the end of the wait.
    ///
    /// # Panics
    /// It does not end within 100,000 steps.
    pub fn drive(&mut self) -> Ended {
        for _ in 0..100_000 {
            if let Some(ended) = self.step().ended() {
                return ended;
            }
        }
        panic!("the wait does not end");
    }

    /// Until a look is under way, whose attempt is returned; the script's reply to it is not delivered.
    ///
    /// # Panics
    /// No look comes any more.
    pub fn send(&mut self) -> Attempt {
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
    ///
    /// # Panics
    /// No look is under way.
    pub fn answer(&mut self, says: Observation) -> Action {
        let id = self.poller.state().in_flight().expect("a look is under way");
        self.hear(id, says)
    }

    /// The driver calls `poll` now, whether or not anything is due.
    pub fn poll(&mut self) -> Action {
        let asked = self.poller.state().in_flight();
        let action = self.poller.poll(self.clock);
        if asked.is_some() && self.poller.state().in_flight() != asked {
            self.looks.answered(self.clock); // it has expired
        }
        self.carry_out(action)
    }

    /// Somebody says "look now".
    pub fn wake(&mut self) -> Action {
        let action = self.poller.wake(self.clock);
        self.carry_out(action)
    }

    /// What only the state can do, not the wrapper.
    pub fn edit<T>(&mut self, change: impl FnOnce(&mut PollerState, &Policy, Timestamp) -> T) -> T {
        let mut state = self.poller.state().clone();
        let result = change(&mut state, self.poller.policy(), self.clock);
        let policy = self.poller.policy().clone();
        self.poller = Poller::from_state(policy, self.schedule.clone(), state);
        result
    }

    /// Times of the looks sent, since the start of the story.
    pub fn sends(&self) -> Vec<Duration> {
        self.trace.iter().filter_map(|event| if let Event::Sent(at, _) = event { Some(*at) } else { None }).collect()
    }

    /// Times from each look to the next; with a backend that answers at once, the gaps.
    pub fn gaps(&self) -> Vec<Duration> {
        self.sends().windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }

    /// The time since the start of the story.
    pub fn now(&self) -> Duration {
        self.clock.saturating_since(START)
    }

    fn next(&self) -> Option<Timestamp> {
        let due = self.poller.state().due()?;
        Some(self.under_way.map_or(due, |(_, arrives, _)| arrives.min(due)))
    }

    fn hear(&mut self, id: AttemptId, says: Observation) -> Action {
        self.under_way = None;
        match self.poller.handle_observation(self.clock, id, says) {
            Ok(action) => {
                self.trace.push(Event::Heard(self.now(), says));
                self.looks.answered(self.clock);
                self.carry_out(action)
            }
            // Nobody waits for it any more: its time was over.
            Err(_) => self.poll(),
        }
    }

    fn carry_out(&mut self, action: Action) -> Action {
        match action {
            Action::Send(attempt) => {
                self.trace.push(Event::Sent(self.now(), attempt));
                self.looks.sent(self.clock);
                let now = self.now();
                self.under_way = match (self.script)(now) {
                    Answer::After(delay, says) => Some((attempt.id, self.clock.saturating_add(delay), says)),
                    Answer::Never => None,
                };
            }
            Action::Done(ended) | Action::TimedOut(ended) => {
                if !matches!(self.trace.last(), Some(Event::Ended(..))) {
                    self.trace.push(Event::Ended(self.now(), ended));
                    self.looks.ended(self.clock);
                }
            }
            Action::Sleep { .. } => {}
        }
        action
    }
}

impl<S> fmt::Debug for World<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("clock", &self.clock).field("trace", &self.trace).finish_non_exhaustive()
    }
}
