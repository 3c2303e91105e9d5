//! A second poller, as plain as can be, beside the real one: the same history must give the same actions.
//!
//! It is written from the transition table of the design, keeps everything as plain options and whole numbers, and
//! derives its jitter as the documentation says: `ChaCha8` from `seed_from_u64`, stream = looks so far, first word,
//! widening multiplication.

mod support;

use core::time::Duration;
use std::cell::RefCell;

use jobwatch::{
    Action, EndReason, FirstLook, GapRange, Hint, HintRule, Jitter, LookError, Observation, Outcome, Policy, Position,
    Schedule, Spacing, WaitReason,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use support::arbitrary::{
    AnySchedule, Input, Move, Rules, any_instant, any_rules, any_schedule, ending_rules, ordinary_rules, wild_history,
};
use support::{START, Seed, nanos};

/// Nanoseconds since the epoch, wide enough that no sum overflows.
type Nanos = u128;

/// The last instant that can be told.
const END: Nanos = u64::MAX as Nanos;

const DAY: Nanos = 86_400_000_000_000;
const SECOND: Nanos = 1_000_000_000;

fn wide(duration: Duration) -> Nanos {
    nanos(duration).into()
}

/// What is expected of an action.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Sleep(Nanos, WaitReason),
    Send { number: u32, timeout: Nanos },
    Over { outcome: Outcome, reason: EndReason, last_error: Option<LookError>, looks: u32, failed: u32, elapsed: Nanos },
    NoLook,
    Ends(bool),
    Nothing,
}

impl Told {
    fn of(action: Action) -> Self {
        match action {
            Action::Sleep { until, reason } => Self::Sleep(until.as_nanos().into(), reason),
            Action::Send(look) => Self::Send { number: look.id.number(), timeout: wide(look.timeout) },
            Action::Done(ended) | Action::TimedOut(ended) => {
                assert_eq!(matches!(action, Action::TimedOut(_)), ended.outcome == Outcome::TimedOut);
                Self::Over {
                    outcome: ended.outcome,
                    reason: ended.reason,
                    last_error: ended.last_error,
                    looks: ended.looks,
                    failed: ended.failed_looks,
                    elapsed: wide(ended.elapsed),
                }
            }
        }
    }
}

/// A schedule that remembers what it was asked, so that the model can check the question and use the answer.
struct Recorder {
    schedule: AnySchedule,
    asked: RefCell<Vec<(Position, GapRange)>>,
}

impl Schedule for Recorder {
    fn gap(&self, policy: &Policy, at: &Position) -> GapRange {
        let range = self.schedule.gap(policy, at);
        self.asked.borrow_mut().push((*at, range));
        range
    }

    fn hint_rule(&self) -> HintRule {
        self.schedule.hint_rule()
    }
}

#[derive(Clone, Debug)]
enum Now {
    Waiting { until: Nanos, reason: WaitReason },
    Asking { expires: Nanos },
    Over { at: Nanos, outcome: Outcome, reason: EndReason },
}

struct Model<'a> {
    rules: Rules,
    schedule: &'a Recorder,
    seed: u64,
    started: Nanos,
    latest: Nanos,
    now: Now,
    /// When the last look was sent, or answered, whichever is later.
    last: Option<Nanos>,
    looks: u32,
    failed: u32,
    last_error: Option<LookError>,
    failing: Option<(u32, Nanos)>,
    denied: Option<(u32, Nanos)>,
    setbacks: u32,
    good_answer: bool,
    wake: bool,
    hint_ends: Option<Nanos>,
    throttle_ends: Option<Nanos>,
    gaps: u32,
    previous_gap: Option<Nanos>,
}

impl<'a> Model<'a> {
    fn new(rules: Rules, schedule: &'a Recorder, start: Nanos, seed: u64) -> Self {
        let mut model = Self {
            rules,
            schedule,
            seed,
            started: start,
            latest: start,
            now: Now::Waiting { until: start, reason: WaitReason::InitialDelay },
            last: None,
            looks: 0,
            failed: 0,
            last_error: None,
            failing: None,
            denied: None,
            setbacks: 0,
            good_answer: false,
            wake: false,
            hint_ends: None,
            throttle_ends: None,
            gaps: 0,
            previous_gap: None,
        };
        match model.rules.first {
            FirstLook::After(delay) => model.wait(hinted(wide(delay)), WaitReason::InitialDelay),
            FirstLook::BySchedule => {
                let range = model.scheduled();
                model.previous_gap = Some(model.draw(range));
                model.wait(range, WaitReason::InitialDelay);
            }
            _ => {}
        }
        model
    }

    fn min(&self) -> Nanos {
        wide(self.rules.min)
    }

    fn max(&self) -> Nanos {
        self.rules.max.map_or(END, wide)
    }

    fn cut(&self, (lo, hi): (Nanos, Nanos)) -> (Nanos, Nanos) {
        (lo.clamp(self.min(), self.max()), hi.clamp(self.min(), self.max()))
    }

    fn deadline(&self) -> Option<Nanos> {
        Some((self.started + wide(self.rules.total?)).min(END))
    }

    fn passed(&self, at: Nanos) -> bool {
        self.deadline().is_some_and(|deadline| at >= deadline)
    }

    fn end(&mut self, outcome: Outcome, reason: EndReason) {
        if !matches!(self.now, Now::Over { .. }) {
            self.now = Now::Over { at: self.latest, outcome, reason };
        }
    }

    // --- inputs ---

    fn input(&mut self, at: Nanos, input: Input) -> Told {
        if !matches!(input, Input::Proven) {
            self.latest = self.latest.max(at);
        }
        match input {
            Input::Poll => self.poll(),
            Input::Answer(says) => match self.now {
                Now::Asking { .. } => self.answer(says),
                _ => self.poll(),
            },
            Input::Wake => {
                self.wake = true;
                self.heed_wake();
                self.poll()
            }
            Input::LookEarly => match self.now {
                Now::Waiting { until, .. } => {
                    let allowed = self.soonest().max(self.hint_ends.max(self.throttle_ends).unwrap_or(0));
                    if self.latest >= until.min(allowed) { self.send() } else { Told::NoLook }
                }
                _ => Told::NoLook,
            },
            Input::Stop => {
                self.end(Outcome::Stopped, EndReason::Stopped);
                self.standing()
            }
            Input::Hold(by) => {
                self.hold((self.latest + wide(by)).min(END));
                Told::Nothing
            }
            Input::EndOverdue => {
                let ends = matches!(self.now, Now::Waiting { .. })
                    && self.deadline().is_some_and(|d| self.latest >= (d + wide(self.rules.grace)).min(END));
                if ends {
                    self.end(Outcome::TimedOut, EndReason::NoRoomAtDeadline);
                }
                Told::Ends(ends)
            }
            Input::Proven => {
                self.good_answer = true;
                Told::Nothing
            }
            Input::Abandon => {
                if let Now::Asking { .. } = self.now {
                    let due = self.latest.max(self.soonest()).min(self.deadline().unwrap_or(END));
                    self.now = Now::Waiting { until: due, reason: WaitReason::Interval };
                    self.end_if_looks_are_spent();
                }
                Told::Nothing
            }
        }
    }

    fn poll(&mut self) -> Told {
        if let Now::Asking { expires } = self.now
            && self.latest >= expires
        {
            self.last = Some(self.latest);
            self.failure(LookError::Expired, None, self.passed(expires));
        }
        match self.now {
            Now::Waiting { until, .. } if self.latest >= until => self.send(),
            _ => self.standing(),
        }
    }

    fn send(&mut self) -> Told {
        let longest = wide(self.rules.attempt);
        let timeout = match self.deadline() {
            Some(deadline) => longest.min(deadline.saturating_sub(self.latest).max(wide(self.rules.grace))),
            None => longest,
        };
        self.looks += 1;
        self.last = Some(self.latest);
        (self.wake, self.hint_ends, self.throttle_ends) = (false, None, None);
        self.now = Now::Asking { expires: (self.latest + timeout).min(END) };
        Told::Send { number: self.looks, timeout }
    }

    fn standing(&self) -> Told {
        match self.now {
            Now::Waiting { until, reason } => Told::Sleep(until, reason),
            Now::Asking { expires } => Told::Sleep(expires, WaitReason::InFlight),
            Now::Over { at, outcome, reason } => Told::Over {
                outcome,
                reason,
                last_error: self.last_error,
                looks: self.looks,
                failed: self.failed,
                elapsed: at - self.started,
            },
        }
    }

    fn answer(&mut self, says: Observation) -> Told {
        let late = self.passed(self.latest);
        self.last = Some(self.latest);
        match says {
            Observation::Succeeded => self.end(Outcome::Succeeded, EndReason::Told),
            Observation::Failed => self.end(Outcome::Failed, EndReason::Told),
            Observation::Cancelled => self.end(Outcome::Cancelled, EndReason::Told),
            Observation::Lost { definite: true } => self.end(Outcome::Lost, EndReason::Told),
            Observation::Lost { definite: false } => {
                let (times, since) = self.denied.unwrap_or((0, self.latest));
                self.denied = Some((times + 1, since));
                let (enough, over) = self.rules.lost;
                if times + 1 >= enough && self.latest - since >= wide(over) {
                    self.end(Outcome::Lost, EndReason::DeniedRepeatedly);
                } else {
                    self.unfinished(None, late);
                }
            }
            Observation::Pending { hint } | Observation::Running { hint } => {
                self.denied = None;
                self.good_answer = true;
                self.unfinished(hint, late);
            }
            Observation::Transient { error, hint } => self.failure(error, hint, late),
            Observation::Throttled { error, hint } => {
                self.last_error = Some(error);
                self.setbacks += 1;
                let hint = self.heeded(hint);
                let too_long = hint.is_some_and(|h| self.deadline().is_some_and(|d| (self.latest + h).min(END) > d));
                if late {
                    self.end(Outcome::TimedOut, EndReason::Deadline);
                } else if too_long {
                    self.end(Outcome::TimedOut, EndReason::ThrottledPastDeadline);
                } else {
                    self.back_off(hint, true);
                }
            }
            Observation::Fatal { error } => {
                self.last_error = Some(error);
                self.failed += 1;
                self.end(Outcome::Rejected, EndReason::Refused);
            }
            other => panic!("a new observation, unknown to the model: {other:?}"),
        }
        self.standing()
    }

    // --- the rules ---

    fn unfinished(&mut self, hint: Option<Hint>, late: bool) {
        (self.failing, self.setbacks) = (None, 0);
        if late {
            return self.end(Outcome::TimedOut, EndReason::Deadline);
        }
        if self.end_if_looks_are_spent() {
            return;
        }
        let h = self.heeded(hint);
        self.hint_ends = h.map(|h| (self.latest + h).min(END));
        let by_hint = h.map(|h| hinted(h.max(self.min())));
        if let (Some(range), HintRule::Follow) = (by_hint, self.schedule.hint_rule()) {
            self.wait(range, WaitReason::Hint);
        } else {
            let scheduled = self.scheduled();
            let range = raise(scheduled, by_hint);
            self.previous_gap = Some(self.draw(range));
            self.wait(range, if range == scheduled { WaitReason::Interval } else { WaitReason::Hint });
        }
        self.heed_wake();
    }

    fn failure(&mut self, error: LookError, hint: Option<Hint>, late: bool) {
        self.last_error = Some(error);
        self.failed += 1;
        self.setbacks += 1;
        let (times, since) = self.failing.unwrap_or((0, self.latest));
        self.failing = Some((times + 1, since));
        let allowed = if self.good_answer { self.rules.failures } else { Some(self.rules.failures.unwrap_or(5)) };
        if late {
            self.end(Outcome::TimedOut, EndReason::Deadline);
        } else if allowed.is_some_and(|allowed| times + 1 >= allowed) {
            self.end(Outcome::GaveUp, EndReason::FailuresSpent);
        } else if self.good_answer && self.latest - since >= wide(self.rules.failure_time) {
            self.end(Outcome::GaveUp, EndReason::FailingTooLong);
        } else {
            self.back_off(self.heeded(hint), false);
        }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn back_off(&mut self, hint: Option<Nanos>, throttled: bool) {
        if self.end_if_looks_are_spent() {
            return;
        }
        let (from, to) = self.cut((wide(self.rules.backoff.0), wide(self.rules.backoff.1)));
        // The poller counts in doubles, which beyond 104 days of nanoseconds are rounded.
        let doubled = (0..self.setbacks).fold(from as f64 as Nanos, |ceiling, _| (2 * ceiling).min(to)).clamp(from, to);
        let range = raise((from, doubled), hint.map(|h| hinted(h.max(self.min()))));
        if let Some(h) = hint {
            let ends = Some((self.latest + h).min(END));
            if throttled { self.throttle_ends = ends } else { self.hint_ends = ends }
        }
        self.wait(range, if range == (from, doubled) { WaitReason::FailureBackoff } else { WaitReason::Hint });
        self.heed_wake();
    }

    fn hold(&mut self, until: Nanos) {
        let Now::Waiting { until: due, reason } = self.now else { return };
        if until <= self.latest {
            return;
        }
        // The hint that is being waited out becomes part of the throttle.
        self.throttle_ends = self.throttle_ends.max(self.hint_ends).max(Some(until));
        if self.deadline().is_some_and(|deadline| until > deadline) {
            return self.end(Outcome::TimedOut, EndReason::ThrottledPastDeadline);
        }
        let rest = due.saturating_sub(self.latest);
        let range = raise(hinted(until - self.latest), Some((rest, rest)));
        self.wait(range, if due < until { WaitReason::Hint } else { reason });
    }

    fn heeded(&self, hint: Option<Hint>) -> Option<Nanos> {
        let asked = wide(hint?.delay());
        (asked <= DAY).then(|| asked.min(wide(self.rules.retry_after)))
    }

    fn soonest(&self) -> Nanos {
        self.last.map_or(self.started, |last| (last + self.min()).min(END))
    }

    fn heed_wake(&mut self) {
        let (soonest, latest, throttle) = (self.soonest(), self.latest, self.throttle_ends.unwrap_or(0));
        if let Now::Waiting { until, .. } = &mut self.now
            && self.wake
        {
            *until = (*until).min(soonest.max(latest).max(throttle));
        }
    }

    fn end_if_looks_are_spent(&mut self) -> bool {
        let spent = self.rules.polls.is_some_and(|polls| self.looks >= polls);
        if spent {
            self.end(Outcome::TimedOut, EndReason::PollsSpent);
        }
        spent
    }

    /// The schedule's next gap: the question is checked, and for a named schedule the answer too.
    fn scheduled(&mut self) -> (Nanos, Nanos) {
        let (at, range) = self.schedule.asked.borrow_mut().pop().expect("the poller asks its schedule");
        assert_eq!(wide(at.age), self.latest - self.started);
        assert_eq!((at.looks, at.gaps), (self.looks, self.gaps));
        assert_eq!(at.previous_gap.map(wide), self.previous_gap);
        self.gaps += 1;
        let range = (wide(range.lo()), wide(range.hi()));
        if let AnySchedule::Named = self.schedule.schedule {
            self.check_named(&at, range);
        }
        self.cut(range)
    }

    /// The ranges as the design has them, in plain floating point and so up to rounding.
    #[allow(clippy::cast_precision_loss)]
    fn check_named(&self, at: &Position, (lo, hi): (Nanos, Nanos)) {
        let (min, max) = (self.min() as f64, self.max() as f64);
        let (ceiling, next) = match self.rules.spacing {
            Spacing::Exponential { factor } => {
                let ceiling = |n: u32| (min * factor.powf(f64::from(n))).min(max);
                (ceiling(at.gaps), ceiling(at.gaps + 1))
            }
            Spacing::Steps(steps) => {
                let gap = steps.iter().filter(|(_, from)| *from <= at.age).last().expect("from age zero").0;
                (wide(gap) as f64, wide(gap) as f64)
            }
            _ => (min, min),
        };
        let jitter = self.rules.jitter.unwrap_or(match self.rules.spacing {
            Spacing::Exponential { .. } => Jitter::Equal,
            _ => Jitter::None,
        });
        let expected = match jitter {
            Jitter::None => (ceiling, ceiling),
            Jitter::Equal => (min.max(next / 2.0), next),
            Jitter::Full => (min, next),
            Jitter::Decorrelated => (min, max.min(3.0 * self.previous_gap.map_or(min, |gap| gap as f64))),
            other => panic!("the model knows no {other:?}"),
        };
        for (got, expected) in [(lo, expected.0), (hi, expected.1.max(expected.0))] {
            let error = (got as f64 - expected).abs();
            assert!(error <= 2.0 + expected * 1e-9, "{jitter:?} at {at:?}: {got}, expected {expected}");
        }
    }

    fn wait(&mut self, range: (Nanos, Nanos), reason: WaitReason) {
        let until = (self.latest + self.draw(range)).min(END).min(self.deadline().unwrap_or(END));
        self.now = Now::Waiting { until, reason };
    }

    fn draw(&self, (lo, hi): (Nanos, Nanos)) -> Nanos {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.looks.into());
        lo + ((Nanos::from(rng.next_u64()) * (hi.min(END) - lo + 1)) >> 64)
    }
}

/// A hint with the jitter that is added to it.
fn hinted(h: Nanos) -> (Nanos, Nanos) {
    (h, (h + (h / 10).min(SECOND)).min(END))
}

fn raise((lo, hi): (Nanos, Nanos), floor: Option<(Nanos, Nanos)>) -> (Nanos, Nanos) {
    floor.map_or((lo, hi), |floor| (lo.max(floor.0), hi.max(floor.1)))
}

/// Plays one history on both.
fn compare(
    rules: Rules,
    schedule: AnySchedule,
    start: jobwatch::Timestamp,
    seed: u64,
    history: Vec<(Move, Input)>,
) -> Result<(), TestCaseError> {
    let policy = rules.policy();
    let schedule = Recorder { schedule, asked: RefCell::default() };
    let mut real = jobwatch::PollerState::new(&policy, &schedule, start, &mut Seed(seed));
    let mut model = Model::new(rules, &schedule, start.as_nanos().into(), seed);
    let mut clock = start;
    for (to, input) in history {
        clock = to.from(clock, real.due());
        let latest = clock.max(jobwatch::Timestamp::from_nanos(u64::try_from(model.latest).expect("an instant")));
        let told = match input {
            Input::Answer(says) if real.in_flight().is_some() => {
                let id = real.in_flight().expect("just seen");
                Told::of(real.handle_observation(&policy, &schedule, clock, id, says).expect("in flight"))
            }
            Input::Poll | Input::Answer(_) => Told::of(real.poll(&policy, clock)),
            Input::Wake => Told::of(real.wake(&policy, clock)),
            Input::LookEarly => match real.look_early(&policy, clock) {
                Some(look) => Told::of(Action::Send(look)),
                None => Told::NoLook,
            },
            Input::Stop => Told::of(real.stop(clock)),
            Input::Hold(by) => {
                real.hold(&policy, clock, latest.saturating_add(by));
                Told::Nothing
            }
            Input::EndOverdue => Told::Ends(real.end_overdue(&policy, clock)),
            Input::Proven => {
                real.note_backend_proven();
                Told::Nothing
            }
            Input::Abandon => {
                real.abandon_in_flight(&policy, clock);
                Told::Nothing
            }
        };
        prop_assert_eq!(told, model.input(clock.as_nanos().into(), input), "after {:?}", input);
        prop_assert!(schedule.asked.borrow().is_empty(), "a gap was asked for in vain");
        let due = match model.now {
            Now::Waiting { until: at, .. } | Now::Asking { expires: at } => Some(at),
            Now::Over { .. } => None,
        };
        prop_assert_eq!(real.due().map(|due| due.as_nanos().into()), due);
        prop_assert_eq!(real.in_flight().is_some(), matches!(model.now, Now::Asking { .. }));
    }
    Ok(())
}

proptest! {
    #![proptest_config(support::cases(400))]

    #[test]
    fn the_model_and_the_poller_agree_on_ordinary_lives(
        rules in ordinary_rules(),
        schedule in any_schedule(),
        seed in any::<u64>(),
        history in wild_history(),
    ) {
        compare(rules, schedule, START, seed, history)?;
    }

    #[test]
    fn the_model_and_the_poller_agree_on_extreme_ones(
        rules in prop_oneof![any_rules(), ending_rules()],
        schedule in any_schedule(),
        start in any_instant(),
        seed in any::<u64>(),
        history in wild_history(),
    ) {
        compare(rules, schedule, start, seed, history)?;
    }
}
