//! Arbitrary histories.

use core::time::Duration;

use jobwatch::{LookError, RateLimit};
use proptest::prelude::*;

use crate::http_support::{millis, secs};
use crate::model::{Model, Say};

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u8, usize),
    Answer(usize, Say),
    AnswerAgain(usize, Say),
    Forget,
    Stop(usize),
    StopAll,
    Remove(usize),
    Move(usize),
    Store(usize),
    TakeUp(usize),
    Wake(usize),
    Advance(Duration),
    ToTheNext,
    Back(Duration),
    Limit(usize),
    Rate(Option<(f64, u32)>),
    Renew(bool),
    Drain(bool),
    Poll,
}

fn say() -> impl Strategy<Value = Say> {
    const ERRORS: [LookError; 4] =
        [LookError::Disconnected, LookError::Unreachable, LookError::TooLarge, LookError::Expired];
    prop_oneof![
        4 => Just(Say::Heating),
        2 => Just(Say::Queued),
        1 => (0_u8..30).prop_map(Say::Hinted),
        2 => Just(Say::Fired),
        1 => Just(Say::Cracked),
        1 => Just(Say::Missing),
        1 => Just(Say::Gone),
        2 => (0_u8..4).prop_map(Say::Redirect),
        2 => (0_u8..4).prop_map(Say::Abroad),
        1 => (0_u8..4).prop_map(Say::Moved),
        2 => Just(Say::Broken),
        1 => (0_u8..40).prop_map(Say::Unavailable),
        1 => prop::option::of(0_u8..90).prop_map(Say::Throttled),
        1 => (0_u8..20).prop_map(Say::Exhausted),
        1 => Just(Say::Html),
        1 => Just(Say::Refused),
        1 => prop::sample::select(&ERRORS[..]).prop_map(Say::Error),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u8..6, 0_usize..3).prop_map(|(count, class)| Op::Insert(count, class)),
        16 => (any::<usize>(), say()).prop_map(|(which, say)| Op::Answer(which, say)),
        2 => (any::<usize>(), say()).prop_map(|(which, say)| Op::AnswerAgain(which, say)),
        1 => Just(Op::Forget),
        2 => any::<usize>().prop_map(Op::Stop),
        1 => Just(Op::StopAll),
        2 => any::<usize>().prop_map(Op::Remove),
        2 => any::<usize>().prop_map(Op::Move),
        1 => any::<usize>().prop_map(Op::Store),
        1 => any::<usize>().prop_map(Op::TakeUp),
        4 => any::<usize>().prop_map(Op::Wake),
        8 => (0_u64..3_000).prop_map(|ms| Op::Advance(millis(ms))),
        2 => (0_u64..200).prop_map(|s| Op::Advance(secs(s))),
        6 => Just(Op::ToTheNext),
        1 => (0_u64..5_000).prop_map(|ms| Op::Back(millis(ms))),
        2 => (0_usize..6).prop_map(Op::Limit),
        2 => prop::option::of((0.2_f64..50.0, 1_u32..9)).prop_map(Op::Rate),
        2 => any::<bool>().prop_map(Op::Renew),
        2 => any::<bool>().prop_map(Op::Drain),
        16 => Just(Op::Poll),
    ]
}

fn apply(model: &mut Model, op: Op) {
    match op {
        Op::Insert(count, class) => (0..count).for_each(|_| model.insert(class)),
        Op::Answer(which, say) => model.answer(which, say),
        Op::AnswerAgain(which, say) => model.answer_again(which, say),
        Op::Forget => model.forget(),
        Op::Stop(which) => model.stop(which),
        Op::StopAll => model.stop_all(),
        Op::Remove(which) => model.remove(which),
        Op::Move(which) => model.move_elsewhere(which),
        Op::Store(which) => model.store(which),
        Op::TakeUp(which) => model.take_up_stored(which),
        Op::Wake(which) => model.wake(which),
        Op::Advance(by) => model.advance(by),
        Op::ToTheNext => {
            if let Some(until) = model.poll().filter(|until| *until < jobwatch::Timestamp::MAX) {
                model.clock = model.clock.max(until);
            }
        }
        Op::Back(by) => model.go_back(by),
        Op::Limit(limit) => model.set_limit(limit),
        Op::Rate(rate) => {
            model.set_rate(rate.map(|(rate, burst)| RateLimit::per_second(rate).unwrap().with_burst(burst)));
        }
        Op::Renew(succeeds) => model.renew(succeeds),
        Op::Drain(drains) => model.drains = drains,
        Op::Poll => drop(model.poll()),
    }
    model.check();
}

proptest! {
    #![proptest_config(crate::http_support::cases(300))]

    #[test]
    fn whatever_happens_the_model_agrees(
        ops in prop::collection::vec(op(), 1..150),
        limit in 1_usize..6,
        renewable in any::<bool>(),
        end in prop::option::of(say()),
    ) {
        let mut model = Model::new(limit, renewable);
        for op in ops {
            apply(&mut model, op);
        }
        model.wind_up(end);
    }
}
