//! The guarantees, each as a property over arbitrary policies, schedules, seeds and histories.
//!
//! The numbers are those of the list in the crate's design; the strategies are in `support/arbitrary.rs`.

mod support;

use core::time::Duration;

use jobwatch::{Action, EndReason, LookError, Observation, Outcome, Poller, PollerState, StaleAttempt, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use support::arbitrary::{
    AnySchedule, Input, Move, Played, Rules, Said, any_answer, any_input, any_instant, any_move, any_played, any_rules,
    any_schedule, history, last_word, ordinary_duration, ordinary_played, ordinary_rules, peaceful_history, unfinished,
    wild_history,
};
use support::{BROKEN, RUNNING, START, Seed, hint, millis, running_hint, secs, throttled_for};

/// Inputs after which one wait ends, at most: each look is a send and its expiry, and then comes the end.
fn patience(played: &Played) -> u32 {
    3 * played.policy.bounds().max_looks.expect("an ending policy") + 10
}

/// Waits out of the way of the end of time, where sums saturate.
fn far_from_the_end(played: &Played) -> bool {
    played.latest.saturating_add(played.policy.min_delay()) < Timestamp::MAX
}

proptest! {
    #![proptest_config(support::cases(100))]

    #[test]
    fn guarantee_01_pure_the_same_inputs_give_the_same_actions(
        rules in any_rules(),
        schedule in any_schedule(),
        start in any_instant(),
        seed in any::<u64>(),
        history in wild_history(),
    ) {
        let mut one = Played::new(rules.clone(), schedule.clone(), start, seed);
        let mut other = Played::new(rules, schedule, start, seed);
        for step in history {
            // Questions do not disturb.
            let questions = (other.state.ended(), other.state.explain(&other.policy), other.state.due(), other.state.clone());
            prop_assert_eq!(&questions.3, &other.state);
            prop_assert_eq!(one.play(step), other.play(step));
            prop_assert_eq!(&one.state, &other.state);
        }
    }

    #[test]
    fn guarantee_01_pure_one_word_of_entropy_is_taken(rules in ordinary_rules(), seed in any::<u64>()) {
        let policy = rules.policy();
        let mut used = ChaCha8Rng::seed_from_u64(seed);
        let mut fresh = used.clone();
        let first = fresh.next_u64();
        let poller = Poller::new(&policy, START, &mut used);
        prop_assert_eq!(used.next_u64(), fresh.next_u64());
        let named = Poller::new(&policy, START, &mut Seed(first));
        prop_assert_eq!(poller.state(), named.state());
    }

    #[test]
    fn guarantee_02_bounds_without_a_hint_every_wait_is_within_the_delays(mut played in any_played(), history in history(), to in any_move(), answer in unfinished()) {
        played.play_while_alive(history);
        let answer = match answer {
            Observation::Transient { error, .. } => Observation::Transient { error, hint: None },
            Observation::Throttled { error, .. } => Observation::Throttled { error, hint: None },
            Observation::Lost { definite } => Observation::Lost { definite },
            _ => RUNNING,
        };
        let woken = played.state.explain(&played.policy).is_some_and(|why| why.woken);
        if played.state.in_flight().is_some()
            && !woken
            && let Said::Act(Action::Sleep { until, .. }) = played.play((to, Input::Answer(answer)))
            && played.state.in_flight().is_none()
        {
            let wait = until.saturating_since(played.latest);
            let (min, max) = (played.policy.min_delay(), played.policy.max_delay().unwrap_or(Duration::MAX));
            prop_assert!(wait <= max, "{wait:?} above {max:?}");
            let clipped = played.deadline() == Some(until) || until == Timestamp::MAX;
            prop_assert!(wait >= min || clipped, "{wait:?} below {min:?}");
        }
    }

    #[test]
    fn guarantee_02_bounds_after_a_throttle_no_look_comes_before_its_end(
        mut played in any_played(),
        before in history(),
        asked in ordinary_duration(),
        after in vec((any_move(), any_input()), 1..20),
    ) {
        played.play_while_alive(before);
        if played.state.in_flight().is_none() {
            let _ = played.play((Move::Due(Duration::ZERO), Input::Poll));
        }
        prop_assume!(played.state.in_flight().is_some());
        let heeded = asked.min(played.rules.retry_after);
        let throttle = Observation::Throttled { error: LookError::Status(429), hint: hint(asked) };
        let said = played.input(Input::Answer(throttle));
        let not_before = played.latest.saturating_add(heeded);
        if played.deadline().is_some_and(|deadline| not_before > deadline) {
            let Said::Act(Action::TimedOut(_)) = said else { panic!("it has to end at once: {said:?}") };
        }
        for step in after {
            if played.play(step).sent().is_some() {
                prop_assert!(played.latest >= not_before, "sent at {}, throttled until {not_before}", played.latest);
                break;
            }
        }
    }

    #[test]
    fn guarantee_03_deadline_exactly_one_final_look_and_an_end_in_time(
        rules in ordinary_rules(),
        schedule in any_schedule(),
        seed in any::<u64>(),
        total in ordinary_duration(),
        backend in vec((ordinary_duration(), prop_oneof![Just(RUNNING), Just(support::DENIED), Just(BROKEN)], any::<bool>()), 1..12),
        late in prop_oneof![Just(Duration::ZERO), ordinary_duration()],
    ) {
        // No budget but time, so that the deadline is what ends the wait.
        let total = total.clamp(rules.min / 50, rules.min.saturating_mul(50)).max(millis(1));
        let rules = Rules {
            total: Some(total),
            polls: None,
            failures: Some(u32::MAX),
            failure_time: Duration::MAX,
            lost: (u32::MAX, Duration::ZERO),
            ..rules
        };
        let grace = rules.grace;
        let mut played = Played::new(rules, schedule, START, seed);
        let deadline = START.saturating_add(total);
        let (mut finals, mut last_sent, mut in_time) = (0_u32, START, true);
        for round in 0..1_000 {
            // The driver is late now and then, also for the deadline.
            let lateness = if round % 3 == 2 { late } else { Duration::ZERO };
            in_time &= lateness.is_zero();
            let said = played.play((Move::Due(lateness), Input::Poll));
            if let Some(attempt) = said.sent() {
                last_sent = played.clock;
                let expires = last_sent.saturating_add(attempt.timeout);
                prop_assert!(attempt.timeout <= played.policy.attempt_timeout());
                prop_assert!(expires <= deadline.max(last_sent.saturating_add(grace)));
                let (takes, says, answers) = backend[round % backend.len()];
                let arrives = last_sent.saturating_add(takes);
                if answers && arrives < expires {
                    played.clock = arrives;
                    finals += u32::from(arrives >= deadline);
                    let _ = played.input(Input::Answer(says));
                } else {
                    finals += u32::from(expires >= deadline);
                }
            }
            if let Some(ended) = played.state.ended() {
                prop_assert_eq!((ended.outcome, ended.reason), (Outcome::TimedOut, EndReason::Deadline));
                prop_assert_eq!(finals, 1, "the final look comes once");
                let end = START.saturating_add(ended.elapsed);
                prop_assert!(end >= deadline);
                if in_time {
                    prop_assert!(end <= deadline.max(last_sent.saturating_add(grace)));
                    prop_assert!(ended.elapsed <= played.policy.bounds().max_wait.expect("a total timeout"));
                }
                return Ok(());
            }
        }
        prop_assert!(false, "it never ends");
    }

    #[test]
    fn guarantee_04_live_from_every_state_time_alone_ends_the_wait(mut played in any_played(), history in wild_history()) {
        for step in history {
            let _ = played.play(step);
        }
        for _ in 0..patience(&played) {
            if played.state.ended().is_some() {
                return Ok(());
            }
            let due = played.state.due();
            let said = played.play((Move::Due(Duration::ZERO), Input::Poll));
            if let Said::Act(Action::Sleep { until, .. }) = said {
                prop_assert!(due.is_none_or(|due| due < until || due == Timestamp::MAX), "a poll when due goes on");
            }
        }
        prop_assert!(false, "still at {:?}", played.state);
    }

    #[test]
    fn guarantee_04_live_and_within_its_bounds_under_any_backend(
        mut played in any_played(),
        history in peaceful_history(),
        backend in vec((ordinary_duration(), any_answer()), 1..20),
    ) {
        let mut watch = Watch::default();
        for step in history {
            let said = played.play(step);
            watch.see(&played, step.1, said)?;
        }
        watch.held = false;
        for (takes, says) in backend.iter().cycle().take(3 * usize::try_from(patience(&played)).expect("small")) {
            if played.state.ended().is_some() {
                break;
            }
            let answered = played.state.in_flight().is_some()
                && played.state.due().is_some_and(|due| played.latest.saturating_add(*takes) <= due);
            let step = if answered {
                (Move::Forward(*takes), Input::Answer(*says))
            } else {
                (Move::Due(Duration::ZERO), Input::Poll)
            };
            played.clock = played.clock.max(played.latest);
            let said = played.play(step);
            watch.see(&played, step.1, said)?;
        }
        let ended = played.state.ended();
        prop_assert!(ended.is_some(), "it never ends: {:?}", played.state);
        prop_assert_eq!(ended.map(|ended| ended.looks), Some(watch.looks));
    }

    #[test]
    fn guarantee_04_live_each_crash_at_the_deadline_adds_one_look_at_most(mut played in any_played(), history in vec((any_move(), prop_oneof![1 => Just(Input::Abandon), 2 => Just(Input::Poll), 1 => Just(Input::Answer(RUNNING))]), 0..80)) {
        let mut crashes = 0;
        for step in history {
            crashes += u32::from(matches!(step.1, Input::Abandon) && played.state.in_flight().is_some());
            let _ = played.play(step);
        }
        while played.state.ended().is_none() {
            let _ = played.play((Move::Due(Duration::ZERO), Input::Poll));
        }
        let most = played.policy.bounds().max_looks.expect("an ending policy");
        prop_assert!(played.state.looks() <= most.saturating_add(crashes));
        if let Some(polls) = played.policy.max_polls() {
            prop_assert!(played.state.looks() <= polls, "a number of looks is a number of looks");
        }
    }

    #[test]
    fn guarantee_05_nothing_panics_overflows_or_spins(
        rules in any_rules(),
        schedule in any_schedule(),
        start in any_instant(),
        born in any_instant(),
        seed in any::<u64>(),
        history in wild_history(),
        set_back in any_instant(),
    ) {
        let mut played = Played::new(rules, schedule, start, seed);
        played.state = played.state.with_born(born);
        let bounds = played.policy.bounds();
        prop_assert!(bounds.max_looks.is_some() && bounds.max_gap.is_none_or(|gap| gap >= bounds.min_gap));
        let middle = history.len() / 2;
        for (index, step) in history.into_iter().enumerate() {
            if index == middle {
                played.state.rebase(set_back);
                played.latest = played.latest.min(set_back);
                played.clock = played.clock.min(set_back);
            }
            if let Said::Act(action) = played.play(step) {
                let _ = (format!("{action:?}"), action.delay(played.clock), action.delay(Timestamp::UNIX_EPOCH));
                if let Action::Sleep { until, reason } = action {
                    prop_assert!(until > played.latest || until == Timestamp::MAX, "a sleep that is over spins");
                    let why = played.state.explain(&played.policy).expect("it sleeps");
                    prop_assert_eq!((why.until, why.reason), (until, reason));
                    prop_assert_eq!(played.state.due(), Some(until));
                    prop_assert!(!why.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn guarantee_06_time_going_backwards_is_no_time_passing(mut played in any_played(), history in wild_history()) {
        let mut clamped = played.clone();
        for (to, input) in history {
            played.clock = to.from(played.clock, played.state.due());
            clamped.clock = clamped.latest.max(played.clock);
            let said = played.input(input);
            prop_assert_eq!(said, clamped.input(input));
            prop_assert_eq!(&played.state, &clamped.state);
        }
    }

    #[test]
    fn guarantee_06_a_clock_that_was_set_back_shifts_every_instant(
        mut played in ordinary_played(),
        before in history(),
        back in ordinary_duration(),
        after in history(),
    ) {
        for step in before {
            let _ = played.play(step);
        }
        played.clock = played.latest;
        let mut shifted = played.clone();
        shifted.clock = played.clock.saturating_sub(back);
        shifted.latest = shifted.clock;
        shifted.state.rebase(shifted.clock);
        let earlier = |instant: Timestamp| instant.saturating_sub(back);
        prop_assert_eq!(shifted.state.due(), played.state.due().map(earlier));
        for (to, input) in after {
            if played.state.due() == Some(Timestamp::MAX) {
                return Ok(());
            }
            let input = if let Input::Hold(by) = input { Input::Hold(by.min(secs(86_400))) } else { input };
            played.clock = to.from(played.clock, played.state.due());
            shifted.clock = earlier(played.clock);
            let (said, moved) = (played.input(input), shifted.input(input));
            let expected = match said {
                Said::Act(Action::Sleep { until, reason }) => Said::Act(Action::Sleep { until: earlier(until), reason }),
                other => other,
            };
            if played.state.due() != Some(Timestamp::MAX) {
                prop_assert_eq!(moved, expected);
            }
        }
    }

    #[test]
    fn guarantee_06_a_clock_that_went_on_shifts_nothing(mut played in any_played(), history in history(), by in ordinary_duration()) {
        for step in history {
            let _ = played.play(step);
        }
        let mut later = played.state.clone();
        later.rebase(played.latest.saturating_add(by));
        prop_assert_eq!(&later, &played.state);
    }

    #[test]
    fn guarantee_07_late_repeated_and_foreign_answers_leave_the_state_untouched(
        mut played in any_played(),
        history in wild_history(),
        foreign in any::<u64>(),
        says in any_answer(),
        at in any_instant(),
    ) {
        // All ids that this wait has ever used, and one of another poller.
        let mut stranger = Played::new(played.rules.clone(), AnySchedule::Named, START, foreign);
        stranger.clock = Timestamp::MAX;
        let mut ids = Vec::from_iter(stranger.input(Input::Poll).sent().map(|attempt| attempt.id));
        for step in history {
            ids.extend(played.play(step).sent().map(|attempt| attempt.id));
            let in_flight = played.state.in_flight();
            for &id in ids.iter().filter(|&&id| Some(id) != in_flight) {
                let before = played.state.clone();
                let said = played.state.handle_observation(&played.policy, &played.schedule, at, id, says);
                prop_assert_eq!(said, Err(StaleAttempt(id)));
                prop_assert_eq!(&played.state, &before);
            }
        }
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        prop_assert_eq!(all, ids.len(), "no id is given twice");
    }

    #[test]
    fn guarantee_08_an_end_never_changes(
        mut played in any_played(),
        before in history(),
        says in prop_oneof![last_word(), unfinished()],
        after in wild_history(),
    ) {
        played.play_while_alive(before);
        let sent = played.play((Move::Due(Duration::ZERO), Input::Poll)).sent();
        let _ = played.input(Input::Answer(says));
        while played.state.ended().is_none() {
            let _ = played.play((Move::Due(Duration::ZERO), Input::Poll));
        }
        let end = played.state.ended().expect("it has ended");
        let action = played.state.poll(&played.policy, played.clock);
        let told = if end.outcome == Outcome::TimedOut { Action::TimedOut(end) } else { Action::Done(end) };
        prop_assert_eq!(action, told);
        for step in after {
            match played.play(step) {
                Said::Act(again) => prop_assert_eq!(again, action),
                Said::Early(early) => prop_assert_eq!(early, None),
                Said::Overdue(ends) => prop_assert!(!ends),
                Said::Nothing | Said::Stale(_) => {}
            }
            if let Some(attempt) = sent {
                let late = played.state.handle_observation(&played.policy, &played.schedule, played.clock, attempt.id, says);
                prop_assert_eq!(late, Err(StaleAttempt(attempt.id)));
            }
            prop_assert_eq!(played.state.ended(), Some(end));
            prop_assert!(played.state.due().is_none() && played.state.in_flight().is_none());
            prop_assert!(played.state.explain(&played.policy).is_none());
        }
    }

    #[test]
    fn guarantee_09_a_lost_action_heals(mut played in ordinary_played(), lost in vec(any::<bool>(), 1..40), late in ordinary_duration()) {
        let patience = patience(&played);
        let (mut unsent, mut answered) = (0, 0);
        for (_, lost) in (0..patience).zip(lost.iter().cycle()) {
            if played.latest == Timestamp::MAX {
                return Ok(()); // where time cannot go on, a look expires as it is sent
            }
            // The driver that lost everything just asks again, and gets the same.
            let action = played.state.poll(&played.policy, played.latest);
            if !matches!(action, Action::Send(_)) {
                prop_assert_eq!(played.state.poll(&played.policy, played.latest), action);
            }
            match action {
                Action::Send(_) if *lost => unsent += 1,
                Action::Send(_) => {
                    answered += 1;
                    let _ = played.input(Input::Answer(RUNNING));
                }
                Action::Sleep { until, .. } => {
                    played.clock = if *lost { until.saturating_add(late) } else { until };
                    played.latest = played.clock;
                }
                Action::Done(ended) | Action::TimedOut(ended) => {
                    prop_assert_eq!(ended.looks, unsent + answered);
                    prop_assert_eq!(ended.failed_looks, unsent, "a look that was lost is a failed one, no more");
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "it never ends");
    }

    #[test]
    fn guarantee_10_a_crash_makes_the_job_due_and_counts_no_failure(mut played in any_played(), history in history()) {
        played.play_while_alive(history);
        let sent_at = match played.state.in_flight() {
            Some(_) => None,
            None => played.play((Move::Due(Duration::ZERO), Input::Poll)).sent().map(|_| played.latest),
        };
        prop_assume!(played.state.in_flight().is_some());
        let failed = |state: &PollerState| {
            let mut state = state.clone();
            state.stop(Timestamp::UNIX_EPOCH).ended().map(|ended| (ended.failed_looks, ended.last_error))
        };
        let before = failed(&played.state);
        let abandoned = played.state.in_flight();
        let _ = played.input(Input::Abandon);
        prop_assert_eq!(failed(&played.state), before);
        prop_assert_eq!(played.state.in_flight(), None);
        let polls_spent = played.policy.max_polls() == Some(played.state.looks());
        if let Some(ended) = played.state.ended() {
            prop_assert!(polls_spent && ended.reason == EndReason::PollsSpent);
            return Ok(());
        }
        if let (Some(sent_at), Some(due)) = (sent_at, played.state.due()) {
            prop_assert!(due <= sent_at.saturating_add(played.policy.min_delay()).max(played.latest));
        }
        let next = played.play((Move::Due(Duration::ZERO), Input::Poll)).sent();
        prop_assert!(next.is_some() && next.map(|next| next.id) != abandoned);
    }
}

/// Watches a wait from outside and holds it to its bounds.
#[derive(Default)]
struct Watch {
    looks: u32,
    last_sent: Option<Timestamp>,
    last_heard: Option<Timestamp>,
    held: bool,
}

impl Watch {
    fn see(&mut self, played: &Played, input: Input, said: Said) -> Result<(), TestCaseError> {
        let bounds = played.policy.bounds();
        let now = played.latest;
        self.held |= matches!(input, Input::Hold(_));
        if let Some(attempt) = said.sent() {
            self.looks += 1;
            prop_assert_eq!(attempt.id.number(), self.looks);
            prop_assert!(self.looks <= bounds.max_looks.expect("an ending policy"));
            let is_final = played.deadline().is_some_and(|deadline| now >= deadline);
            if let Some(last) = self.last_sent
                && !is_final
                && far_from_the_end(played)
            {
                prop_assert!(now.saturating_since(last) >= bounds.min_gap, "{last} and {now}: too close");
            }
            self.last_sent = Some(now);
            self.last_heard = None;
        }
        if played.state.in_flight().is_none() && self.last_sent.is_some() && self.last_heard.is_none() {
            self.last_heard = Some(now);
        }
        // What is waited for, from the answer on: never longer than the bound, unless a neighbour's throttle says so.
        if let (Some(heard), Some(due), Some(most)) = (self.last_heard, played.state.due(), bounds.max_gap)
            && played.state.in_flight().is_none()
            && !self.held
        {
            prop_assert!(due.saturating_since(heard) <= most, "{heard} to {due}: too far");
        }
        if played.state.in_flight().is_some() {
            self.held = false;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod snapshots {
    use jobwatch::{PollerSnapshot, SNAPSHOT_VERSION, SnapshotError};
    use serde_json::Value;

    use super::*;

    fn stored(state: &PollerState) -> Value {
        serde_json::to_value(PollerSnapshot::of(state)).expect("plain data")
    }

    fn restored(stored: Value, now: Timestamp) -> Result<PollerState, Option<SnapshotError>> {
        let snapshot: PollerSnapshot = serde_json::from_value(stored).map_err(|_| None)?;
        snapshot.restore(now).map_err(Some)
    }

    /// The places in a snapshot, as paths of keys.
    fn places(value: &Value, here: &[String], all: &mut Vec<Vec<String>>) {
        all.push(here.to_vec());
        if let Value::Object(fields) = value {
            for (key, value) in fields {
                places(value, &[here, core::slice::from_ref(key)].concat(), all);
            }
        }
    }

    fn tamper(snapshot: &mut Value, place: usize, how: &Tampering) {
        let mut all = Vec::new();
        places(snapshot, &[], &mut all);
        let path = &all[place % all.len()];
        let Some((key, parents)) = path.split_last() else { return *snapshot = how.value.clone() };
        let mut at = snapshot;
        for parent in parents {
            at = &mut at[parent];
        }
        if how.remove {
            at.as_object_mut().expect("a parent").remove(key);
        } else {
            at[key] = how.value.clone();
        }
    }

    #[derive(Clone, Debug)]
    struct Tampering {
        remove: bool,
        value: Value,
    }

    fn tampering() -> impl Strategy<Value = Tampering> {
        let number = prop_oneof![
            Just(0),
            Just(1),
            Just(u64::from(u32::MAX)),
            Just(u64::MAX),
            any::<u64>(),
            any::<u64>().prop_map(|word| START.as_nanos().saturating_add(word >> 20)),
        ];
        let word = prop::sample::select(vec![
            "in_flight",
            "interval",
            "initial_delay",
            "succeeded",
            "timed_out",
            "told",
            "stopped",
            "waiting",
            "expired",
            "",
            "🦀",
        ]);
        let value = prop_oneof![
            6 => number.prop_map(Value::from),
            2 => word.prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
            1 => Just(Value::Null),
            1 => any::<i64>().prop_map(Value::from),
            1 => any::<f64>().prop_map(Value::from),
            1 => Just(Value::Array(Vec::new())),
            2 => (any::<u64>(), any::<u64>()).prop_map(|(at, _)| serde_json::json!({ "in_flight": { "expires": at } })),
            2 => any::<u64>().prop_map(|at| serde_json::json!({ "waiting": { "until": at, "reason": "hint" } })),
            2 => any::<u64>().prop_map(|at| serde_json::json!({ "ended": { "at": at, "outcome": "lost", "reason": "told" } })),
        ];
        (prop::bool::weighted(0.1), value).prop_map(|(remove, value)| Tampering { remove, value })
    }

    proptest! {
        #![proptest_config(support::cases(100))]

        #[test]
        fn guarantee_10_a_snapshot_cut_anywhere_has_the_identical_future(
            mut played in any_played(),
            history in wild_history(),
            cut in any::<prop::sample::Index>(),
            later in ordinary_duration(),
        ) {
            let cut = if history.is_empty() { 0 } else { cut.index(history.len()) };
            for &step in &history[..cut] {
                let _ = played.play(step);
            }
            let mut resumed = played.clone();
            let text = serde_json::to_string(&PollerSnapshot::of(&played.state)).expect("plain data");
            let snapshot: PollerSnapshot = serde_json::from_str(&text).expect("just written");
            resumed.state = snapshot.restore(played.latest.saturating_add(later)).expect("a true state");
            prop_assert_eq!(&resumed.state, &played.state);
            for &step in &history[cut..] {
                prop_assert_eq!(resumed.play(step), played.play(step));
            }
        }

        #[test]
        fn guarantee_10_what_was_set_back_can_be_stored_again(
            mut played in any_played(),
            history in wild_history(),
            set_back in any_instant(),
        ) {
            for step in history {
                let _ = played.play(step);
            }
            played.state.rebase(set_back);
            let again = restored(stored(&played.state), set_back);
            prop_assert_eq!(again, Ok(played.state));
        }

        #[test]
        fn guarantee_10_a_tampered_snapshot_is_refused_or_harmless(
            mut played in any_played(),
            history in history(),
            tamperings in vec((any::<usize>(), tampering()), 1..4),
            now in any_instant(),
            after in wild_history(),
        ) {
            for step in history {
                let _ = played.play(step);
            }
            let mut snapshot = stored(&played.state);
            for (place, how) in &tamperings {
                tamper(&mut snapshot, *place, how);
            }
            match restored(snapshot, now) {
                Err(None) => {}
                Err(Some(error)) => prop_assert!(error.to_string().starts_with("the snapshot ")),
                Ok(state) => {
                    played.state = state;
                    for step in after {
                        let _ = played.play(step);
                    }
                    for _ in 0..patience(&played) {
                        let _ = played.play((Move::Due(Duration::ZERO), Input::Poll));
                    }
                    prop_assert!(played.state.ended().is_some(), "{:?}", played.state);
                }
            }
        }

        #[test]
        fn guarantee_10_a_fresh_budget_makes_a_wait_like_any_other(
            mut played in any_played(),
            history in wild_history(),
            later in ordinary_duration(),
        ) {
            for step in history {
                let _ = played.play(step);
            }
            let before = played.state.clone();
            played.latest = played.latest.saturating_add(later);
            played.state.renew(&played.policy, played.latest);
            prop_assert_eq!(restored(stored(&played.state), played.latest), Ok(played.state.clone()), "it can be stored");
            if before.ended().is_some_and(|ended| ended.outcome.is_jobs_end()) {
                prop_assert_eq!(played.state.ended(), before.ended(), "an end stands");
                return Ok(());
            }
            prop_assert_eq!((played.state.looks(), played.state.in_flight()), (0, None));
            let longest = played.policy.max_retry_after();
            prop_assert!(played.state.due().is_some_and(|due| due <= played.latest.saturating_add(longest)));
            for _ in 0..patience(&played) {
                let _ = played.play((Move::Due(Duration::ZERO), Input::Poll));
            }
            let ended = played.state.ended();
            let most = played.policy.bounds().max_looks.expect("an ending policy");
            prop_assert!(ended.is_some_and(|ended| ended.looks <= most), "{:?}", played.state);
        }

        #[test]
        fn guarantee_10_a_newer_snapshot_is_refused_by_its_version(mut played in any_played(), history in history(), version in any::<u16>()) {
            prop_assume!(version != SNAPSHOT_VERSION);
            for step in history {
                let _ = played.play(step);
            }
            let mut snapshot = stored(&played.state);
            snapshot["v"] = version.into();
            snapshot["state"]["a_field_of_the_future"] = true.into();
            prop_assert_eq!(restored(snapshot, played.latest), Err(Some(SnapshotError::Version(version))));
        }
    }

    #[test]
    fn guarantee_10_impossible_states_are_named() {
        let mut poller = Poller::new(jobwatch::Policy::default(), START, &mut Seed(1));
        let Action::Send(_) = poller.poll(START) else { panic!("the first look comes at once") };
        let whole = stored(poller.state());
        let start = START.as_nanos();
        let ended = |outcome: &str, reason: &str| serde_json::json!({ "ended": { "at": start, "outcome": outcome, "reason": reason } });
        for (field, value, what) in [
            ("born", Value::from(start + 1), "the job began after its wait"),
            ("latest", (start - 1).into(), "the wait began in the future"),
            ("anchor", (start + 1).into(), "the last answer lies in the future"),
            ("anchor", (start - 1).into(), "the last answer precedes the wait"),
            ("failures", 1.into(), "more failures in a row than in all"),
            ("setbacks", 2.into(), "more setbacks than looks"),
            ("denials", 2.into(), "more denials than looks"),
            ("failed_looks", 2.into(), "more failed looks than looks"),
            ("failed_looks", 1.into(), "failed looks without an error"),
            ("failing_since", (start + 1).into(), "the failures began in the future"),
            ("denied_since", (start + 1).into(), "the denials began in the future"),
            ("looks", 0.into(), "in flight without a look"),
            (
                "phase",
                serde_json::json!({ "in_flight": { "expires": start - 1 } }),
                "the look in flight expired before it was sent",
            ),
            (
                "phase",
                serde_json::json!({ "waiting": { "until": start, "reason": "in_flight" } }),
                "waiting for an answer without a look in flight",
            ),
            (
                "phase",
                serde_json::json!({ "ended": { "at": start + 1, "outcome": "lost", "reason": "told" } }),
                "the wait ended outside its time",
            ),
            ("phase", ended("succeeded", "polls_spent"), "the wait's outcome contradicts its reason"),
            ("phase", ended("timed_out", "told"), "the wait's outcome contradicts its reason"),
            ("phase", ended("gave_up", "refused"), "the wait's outcome contradicts its reason"),
        ] {
            let mut damaged = whole.clone();
            damaged["state"][field] = value;
            assert_eq!(restored(damaged, START), Err(Some(SnapshotError::Impossible(what))));
        }
    }

    /// A throttle of no length, told in the first nanosecond of 1970, once made a snapshot that refused itself.
    #[test]
    fn regression_a_throttle_that_ends_at_the_epoch_can_be_stored() {
        let now = Timestamp::UNIX_EPOCH;
        let mut poller = Poller::new(jobwatch::Policy::default(), now, &mut Seed(1));
        let Action::Send(look) = poller.poll(now) else { panic!("the first look comes at once") };
        let _ = poller.handle_observation(now, look.id, throttled_for(Duration::ZERO)).expect("in flight");
        assert_eq!(restored(stored(poller.state()), now).as_ref(), Ok(poller.state()));
    }
}

/// Guarantee 11: clients that start together do not stay together.
mod spread {
    use jobwatch::{FirstLook, Jitter, Policy, PolicyBuilder};

    use super::*;

    /// The wait after this answer to the first look, for a thousand seeds.
    fn waits(policy: &PolicyBuilder, answer: Observation) -> Vec<u64> {
        let policy = policy.clone().build().expect("a valid policy");
        (0..1_000)
            .map(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut poller = Poller::new(&policy, START, &mut rng);
                let Action::Send(look) = poller.poll(START) else { panic!("the first look comes at once") };
                match poller.handle_observation(START, look.id, answer) {
                    Ok(Action::Sleep { until, .. }) => until.as_nanos() - START.as_nanos(),
                    other => panic!("it waits: {other:?}"),
                }
            })
            .collect()
    }

    /// Every tenth of the range has its share, and no value is special: not the ends, and no other.
    fn assert_spread(mut waits: Vec<u64>, lo: Duration, hi: Duration, name: &str) {
        let (lo, hi) = (support::nanos(lo), support::nanos(hi));
        let mut tenths = [0_u32; 10];
        for &wait in &waits {
            assert!((lo..=hi).contains(&wait), "{name}: {wait} is outside {lo}..={hi}");
            tenths[usize::try_from((wait - lo) * 10 / (hi - lo + 1)).expect("a tenth")] += 1;
        }
        assert!(tenths.iter().all(|n| (60..=140).contains(n)), "{name}: {tenths:?}");
        waits.sort_unstable();
        waits.dedup();
        assert_eq!(waits.len(), 1_000, "{name}: seeds coincide");
    }

    fn base() -> PolicyBuilder {
        Policy::builder().with_min_delay(secs(1)).with_max_delay(secs(60)).with_factor(8.0)
    }

    #[test]
    fn guarantee_11_schedules_spread_over_the_whole_range() {
        for (jitter, lo, hi) in [
            (Jitter::Full, secs(1), secs(8)),
            (Jitter::Equal, secs(4), secs(8)),
            (Jitter::Decorrelated, secs(1), secs(3)),
        ] {
            assert_spread(waits(&base().with_jitter(jitter), RUNNING), lo, hi, &format!("{jitter:?}"));
        }
        // The cap cuts the range, not the draw.
        let capped = base().with_max_delay(secs(5));
        assert_spread(waits(&capped, RUNNING), millis(2_500), secs(5), "capped");
        assert_spread(waits(&capped.clone().with_jitter(Jitter::Full), RUNNING), secs(1), secs(5), "capped full");
        let narrow = base().with_max_delay(secs(2)).with_jitter(Jitter::Decorrelated);
        assert_spread(waits(&narrow, RUNNING), secs(1), secs(2), "capped decorrelated");
    }

    #[test]
    fn guarantee_11_failures_throttles_and_hints_spread_too() {
        assert_spread(waits(&base(), BROKEN), secs(1), secs(2), "failure backoff");
        assert_spread(waits(&base(), support::THROTTLED), secs(1), secs(2), "throttled");
        assert_spread(waits(&base(), running_hint(secs(5))), secs(5), millis(5_500), "a short hint");
        assert_spread(waits(&base(), running_hint(secs(50))), secs(50), secs(51), "a long hint");
        assert_spread(waits(&base(), running_hint(Duration::ZERO)), secs(1), millis(1_100), "a hint of nothing");
        assert_spread(waits(&base(), throttled_for(secs(50))), secs(50), secs(51), "a throttle");
        // A neighbour's throttle, told to all at the same instant.
        let policy = base().build().expect("a valid policy");
        let held = (0..1_000).map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut state = PollerState::new(&policy, &jobwatch::PolicySchedule, START, &mut rng);
            state.hold(&policy, START, START.saturating_add(secs(50)));
            support::nanos(state.due().expect("it waits").saturating_since(START))
        });
        assert_spread(held.collect(), secs(50), secs(51), "held");
    }

    #[test]
    fn guarantee_11_first_looks_spread_too() {
        for (first, lo, hi) in
            [(FirstLook::After(secs(5)), secs(5), millis(5_500)), (FirstLook::BySchedule, secs(4), secs(8))]
        {
            let policy = base().with_first_look(first).build().expect("a valid policy");
            let waits = (0..1_000).map(|seed| {
                let poller = Poller::new(&policy, START, &mut ChaCha8Rng::seed_from_u64(seed));
                support::nanos(poller.state().due().expect("it waits").saturating_since(START))
            });
            assert_spread(waits.collect(), lo, hi, &format!("{first:?}"));
        }
    }

    #[test]
    fn guarantee_11_successive_gaps_of_one_poller_spread_too() {
        let policy = base().with_max_delay(secs(2)).with_max_polls(1_001).with_total_timeout(secs(86_400));
        let mut world = support::World::new(policy);
        let _ = world.drive();
        let gaps = world.gaps().into_iter().map(support::nanos).collect();
        assert_spread(gaps, secs(1), secs(2), "one poller's gaps");
    }

    #[test]
    fn guarantee_11_equal_seeds_coincide_and_no_others() {
        let policy = base().build().expect("a valid policy");
        let life = |seed| {
            let mut world = support::World::seeded(policy.to_builder(), seed).lasting(secs(600));
            let _ = world.drive();
            world.trace
        };
        assert_eq!(life(1), life(1));
        assert_ne!(life(1), life(2));
    }

    /// The waits are promised: a release that changes one of these numbers is a breaking one.
    #[test]
    fn guarantee_11_golden_vectors() {
        let waits = |policy: PolicyBuilder, seed| {
            let mut world = support::World::seeded(policy.with_max_polls(6), seed);
            let _ = world.drive();
            world.gaps().into_iter().map(support::nanos).collect::<Vec<_>>()
        };
        for (seed, jitter, golden) in GOLDEN {
            assert_eq!(waits(Policy::builder().with_jitter(jitter), seed), golden, "{seed} {jitter:?}");
        }
    }

    const GOLDEN: [(u64, Jitter, [u64; 5]); 6] = [
        (0, Jitter::Equal, [1_377_765_509, 1_498_747_897, 1_753_599_522, 4_697_868_667, 4_472_647_226]),
        (1, Jitter::Equal, [1_425_956_081, 2_110_943_388, 2_646_377_914, 4_207_089_536, 5_274_070_391]),
        (u64::MAX, Jitter::Equal, [1_147_256_993, 1_672_306_281, 2_622_711_072, 2_948_927_265, 5_412_105_281]),
        (0, Jitter::Full, [1_377_765_509, 1_415_275_441, 1_093_028_957, 4_477_289_218, 2_173_563_289]),
        (0, Jitter::Decorrelated, [2_511_062_034, 3_170_457_394, 1_333_391_192, 3_567_992_918, 2_727_125_418]),
        (0, Jitter::None, [1_000_000_000, 1_500_000_000, 2_250_000_000, 3_375_000_000, 5_062_500_000]),
    ];
}
