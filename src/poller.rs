//! When to ask, for one job.
//!
//! A wait begins *waiting* for its first look, alternates between *in flight* and *waiting*, and ends once:
//!
//! ```text
//!                 poll at or after t               the answer tells the job's end, or it may not be asked,
//!   ┌────────────┐ ───────────────▶ ┌───────────┐  or a budget is spent, or the deadline has passed  ┌───────┐
//!   │ waiting(t) │                  │ in flight │ ──────────────────────────────────────────────────▶ │ ended │
//!   └────────────┘ ◀─────────────── └───────────┘                                                     └───────┘
//!         │          unfinished, failed,                          stop                                    ▲
//!         │          throttled, expired     ──────────────────────────────────────────────────────────────┤
//!         └───────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! | state | input | next |
//! |---|---|---|
//! | waiting until t | poll, now < t | sleep until t |
//! | waiting until t | poll, now ≥ t | in flight: send |
//! | waiting | wake | look at max(now, last answer + `min_delay`, end of a throttle); several wakes are one |
//! | in flight | poll before the attempt's timeout; wake (remembered) | sleep until it |
//! | in flight | poll at or after it | as a transient failure, which also heals a driver that died between send and answer |
//! | in flight | pending, running | failure streak = 0; wait by the schedule |
//! | in flight | transient | failure streak + 1, backoff step + 1; wait by the failure backoff; budget spent: gave up |
//! | in flight | throttled | backoff step + 1; wait by hint or failure backoff |
//! | in flight | lost | the third in a row, over at least 15 s: lost; until then as unfinished. Definite: lost at once |
//! | in flight | fatal | rejected |
//! | in flight | succeeded, failed, cancelled | ended, latched for ever |
//! | in flight, waiting | now ≥ deadline | the final look; the first answer or expiry at or after the deadline ends the wait |
//! | any | stop | stopped |
//! | ended | anything | the same end; an observation is stale |
//! | any | an old or foreign attempt id | [`StaleAttempt`], state untouched |
//!
//! Time that goes backwards counts as no time passing. Nothing here allocates, draws entropy or reads a clock.

mod state;

use core::borrow::Borrow;

use rand_core::Rng;

use crate::{
    Action, Attempt, AttemptId, Ended, Explanation, Observation, Policy, PolicySchedule, Schedule, StaleAttempt,
    Timestamp,
};
#[cfg(feature = "serde")]
pub(crate) use state::Phase;
pub use state::PollerState;

/// Decides when to look at one job: [`PollerState`] together with its policy and schedule.
///
/// The calling order: [`poll`](Self::poll) at the start and after every wait; carry out the [`Action`] it returns; hand
/// what an answer says to [`handle_observation`](Self::handle_observation), which returns the next action. Everything
/// else may come at any time.
///
/// ```
/// use core::time::Duration;
/// use jobwatch::{Action, Observation, Outcome, Policy, Poller, Timestamp};
/// # use rand_chacha::ChaCha8Rng;
/// # use rand_core::SeedableRng;
/// # let mut rng = ChaCha8Rng::seed_from_u64(0);
/// let start = Timestamp::from_secs(1_700_000_000);
/// let mut poller = Poller::new(Policy::default(), start, &mut rng);
///
/// let Action::Send(first) = poll_now(&mut poller, start) else { panic!("the first look comes at once") };
/// # fn poll_now(poller: &mut Poller<Policy>, now: Timestamp) -> Action { poller.poll(now) }
/// let Ok(Action::Sleep { until, .. }) = poller.handle_observation(start, first.id, Observation::Running { hint: None })
/// else { panic!("then comes a wait") };
/// let Action::Send(second) = poller.poll(until) else { panic!("and the second look") };
/// let end = poller.handle_observation(until, second.id, Observation::Succeeded)?;
/// assert_eq!(end.ended().map(|ended| ended.outcome), Some(Outcome::Succeeded));
/// # Ok::<(), jobwatch::StaleAttempt>(())
/// ```
#[derive(Clone, Debug)]
pub struct Poller<P, S = PolicySchedule> {
    policy: P,
    schedule: S,
    state: PollerState,
}

impl<P: Borrow<Policy>> Poller<P> {
    /// A wait that starts now, spaced as the policy says. Takes one `u64` from the generator.
    pub fn new(policy: P, now: Timestamp, rng: &mut impl Rng) -> Self {
        Self::with_schedule(policy, PolicySchedule, now, rng)
    }
}

impl<P: Borrow<Policy>, S: Schedule> Poller<P, S> {
    /// A wait that starts now, spaced by a schedule of the caller's within the policy's bounds.
    pub fn with_schedule(policy: P, schedule: S, now: Timestamp, rng: &mut impl Rng) -> Self {
        let state = PollerState::new(policy.borrow(), &schedule, now, rng);
        Self { policy, schedule, state }
    }

    /// A wait taken up where a snapshot or another owner left it. Call [`PollerState::rebase`] first if the state comes
    /// from another clock.
    pub fn from_state(policy: P, schedule: S, state: PollerState) -> Self {
        Self { policy, schedule, state }
    }

    /// The plain state, to be stored.
    pub fn state(&self) -> &PollerState {
        &self.state
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        self.policy.borrow()
    }

    /// What to do at this instant. See the [module's table](self).
    pub fn poll(&mut self, now: Timestamp) -> Action {
        self.state.poll(self.policy.borrow(), now)
    }

    /// Takes what an answer says, and tells what to do next.
    ///
    /// # Errors
    /// The attempt is not in flight; the state is untouched.
    pub fn handle_observation(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        observation: Observation,
    ) -> Result<Action, StaleAttempt> {
        self.state.handle_observation(self.policy.borrow(), &self.schedule, now, attempt, observation)
    }

    /// Something outside (a webhook, a user) says "look now": the next look comes as soon as `min_delay` and a throttle
    /// allow.
    pub fn wake(&mut self, now: Timestamp) -> Action {
        self.state.wake(self.policy.borrow(), now)
    }

    /// A look before its time, for a free place in a shared request; `None` while `min_delay` or a hint forbids it.
    pub fn look_early(&mut self, now: Timestamp) -> Option<Attempt> {
        self.state.look_early(self.policy.borrow(), now)
    }

    /// Ends the wait, never the job.
    pub fn stop(&mut self, now: Timestamp) -> Action {
        self.state.stop(now)
    }

    /// How the wait ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        self.state.ended()
    }

    /// Which rule set the present wait; `None` once the wait has ended.
    pub fn explain(&self) -> Option<Explanation> {
        self.state.explain(self.policy.borrow())
    }
}
