//! Arbitrary histories of a backend that can be asked for many jobs at once.

use core::time::Duration;

use jobwatch::{RateLimit, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::http_support::millis;
use crate::list_duo::{Duo, Setup};
use crate::list_says::{Place, Say, place, say};

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u8, usize),
    /// One whose id contains what separates the ids of a list.
    InsertAwkward,
    /// One that is named by where it is asked for.
    InsertElsewhere(usize, Place),
    Answer(usize, Say),
    Poll,
    ToTheNext,
    Advance(Duration),
    Wake(usize),
    Stop(usize),
    TakeUpAgain(usize),
    Limit(usize),
    Rate(Option<RateLimit>),
    Renew(bool),
    Forget,
    Cut,
}

fn rate() -> impl Strategy<Value = Option<RateLimit>> {
    let rate = (0.3_f64..20.0, 1_u32..6);
    prop::option::of(rate.prop_map(|(rate, burst)| RateLimit::per_second(rate).unwrap().with_burst(burst)))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1_u8..9, 0_usize..3).prop_map(|(count, class)| Op::Insert(count, class)),
        1 => Just(Op::InsertAwkward),
        1 => (0_usize..3, place().prop_filter("it may be asked", |place| place.is_allowed()))
            .prop_map(|(class, place)| Op::InsertElsewhere(class, place)),
        18 => (any::<usize>(), say()).prop_map(|(which, say)| Op::Answer(which, say)),
        14 => Just(Op::Poll),
        10 => Just(Op::ToTheNext),
        4 => (0_u64..2_500).prop_map(|ms| Op::Advance(millis(ms))),
        1 => (0_u64..60_000).prop_map(|ms| Op::Advance(millis(ms))),
        2 => any::<usize>().prop_map(Op::Wake),
        1 => any::<usize>().prop_map(Op::Stop),
        1 => any::<usize>().prop_map(Op::TakeUpAgain),
        1 => (0_usize..4).prop_map(Op::Limit),
        1 => rate().prop_map(Op::Rate),
        2 => any::<bool>().prop_map(Op::Renew),
        1 => Just(Op::Forget),
        1 => Just(Op::Cut),
    ]
}

fn apply(duo: &mut Duo, op: &Op) {
    match op {
        Op::Insert(count, class) => (0..*count).for_each(|_| duo.insert(*class)),
        Op::InsertAwkward => duo.insert_awkward(),
        Op::InsertElsewhere(class, place) => duo.insert_elsewhere(*class, *place),
        Op::Answer(which, say) => duo.answer(*which, say),
        Op::Poll => drop(duo.poll()),
        Op::ToTheNext => {
            if let Some(until) = duo.poll() {
                duo.clock = until;
            }
        }
        Op::Advance(by) => duo.advance(*by),
        Op::Wake(which) => duo.wake(*which),
        Op::Stop(which) => duo.stop(*which),
        Op::TakeUpAgain(which) => duo.take_up_again(*which),
        Op::Limit(limit) => duo.set_limit(*limit),
        Op::Rate(rate) => duo.set_rate(*rate),
        Op::Renew(succeeds) => duo.renew(*succeeds),
        Op::Forget => duo.forget(),
        Op::Cut => duo.cut(),
    }
    duo.check();
}

fn setup() -> impl Strategy<Value = Setup> {
    let limits = (1_usize..4, rate());
    (any::<u64>(), 2_u16..9, any::<bool>(), limits, any::<bool>(), prop::bool::weighted(0.75)).prop_map(
        |(seed, size, detail, (limit, rate), proven, renewable)| Setup {
            seed,
            size,
            detail,
            limit,
            rate,
            proven,
            renewable,
        },
    )
}

/// What is left gets these answers in turns, each at once or not at all; every wait ends.
fn wind_up(duo: &mut Duo, says: &[Say]) {
    let mut turn = 0;
    while let Some(until) = duo.poll() {
        turn += 1;
        assert!(turn < 20_000, "this does not end");
        duo.renew(turn % 3 != 0);
        if duo.under_way() > 0 && turn % 7 != 0 {
            duo.clock = duo.clock.saturating_add(millis(50)).min(until);
            duo.answer(turn, &says[turn % says.len()]);
            duo.check();
        } else {
            assert!(until < Timestamp::MAX);
            duo.clock = until;
        }
    }
}

/// What is compared is there: lists of several jobs, again and again, renewed keys, kept rates, other origins.
#[test]
fn the_histories_are_full_of_lists() {
    let mut runner = TestRunner::deterministic();
    let story = (setup(), prop::collection::vec(op(), 150), prop::collection::vec(say(), 20));
    let [mut lists, mut members, mut renewals, mut paced, mut elsewhere] = [0; 5];
    for _ in 0..20 {
        let (setup, ops, says) = story.new_tree(&mut runner).unwrap().current();
        let mut duo = Duo::new(setup);
        for op in &ops {
            apply(&mut duo, op);
        }
        wind_up(&mut duo, &says);
        (lists, members, renewals) = (lists + duo.lists, members + duo.members, renewals + duo.renewals);
        (paced, elsewhere) = (paced + duo.paced, elsewhere + duo.elsewhere);
    }
    println!("{lists} lists of {members} jobs in twenty histories, {elsewhere} requests to other origins");
    println!("{renewals} renewals; {paced} times a rate kept a request back");
    assert!(lists > 200 && members > 2 * lists, "{lists} lists of {members} jobs");
    assert!(renewals > 5 && paced > 100 && elsewhere > 100, "{renewals}, {paced}, {elsewhere}");
}

proptest! {
    #![proptest_config(crate::http_support::cases(100))]

    #[test]
    fn lists_are_as_the_reference_says(
        setup in setup(),
        ops in prop::collection::vec(op(), 1..150),
        says in prop::collection::vec(say(), 1..40),
    ) {
        let mut duo = Duo::new(setup);
        for op in &ops {
            apply(&mut duo, op);
        }
        wind_up(&mut duo, &says);
    }

    /// Cut after each step: nobody remembers more than what was written down.
    #[test]
    fn snapshots_cut_at_every_step_go_on_alike(
        setup in setup(),
        ops in prop::collection::vec(op(), 1..60),
        says in prop::collection::vec(say(), 1..40),
    ) {
        let mut duo = Duo::new(setup);
        for op in &ops {
            apply(&mut duo, op);
            apply(&mut duo, &Op::Cut);
        }
        wind_up(&mut duo, &says);
    }
}
