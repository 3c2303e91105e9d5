//! What one decision of a poller costs.
//!
//! `with_draw` is a look's whole round: its answer is taken, the next gap is drawn, and when it is over comes the next
//! look. `without_draw` is a poll while nothing is due.

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use jobwatch::{Action, AttemptId, FirstLook, Jitter, Observation, Policy, Poller, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
/// About as many looks as a job of some minutes takes.
const ROUNDS: u32 = 16;
const RUNNING: Observation = Observation::Running { hint: None };

fn main() {
    divan::main();
}

fn poller(jitter: Jitter, first: FirstLook) -> Poller<Policy> {
    let policy = Policy::builder()
        .with_jitter(jitter)
        .with_first_look(first)
        .without_total_timeout()
        .with_max_polls(u32::MAX)
        .build()
        .expect("the policy is valid");
    Poller::new(policy, START, &mut ChaCha8Rng::seed_from_u64(1))
}

/// Answers the looks of a poller, one after the other.
fn rounds(poller: &mut Poller<Policy>) -> Option<AttemptId> {
    let (mut now, mut last) = (START, None);
    for _ in 0..ROUNDS {
        let Action::Send(look) = poller.poll(now) else { return None };
        last = Some(look.id);
        let Ok(Action::Sleep { until, .. }) = poller.handle_observation(now, look.id, black_box(RUNNING)) else {
            return None;
        };
        now = until;
    }
    last
}

/// One look: answer, draw, sleep, send.
#[divan::bench]
fn with_draw(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(ROUNDS))
        .with_inputs(|| poller(Jitter::Equal, FirstLook::AtOnce))
        .bench_values(|mut poller| rounds(black_box(&mut poller)).expect("it goes on"));
}

/// The same without randomness: what is left is the draw's cost.
#[divan::bench]
fn with_draw_of_no_width(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(ROUNDS))
        .with_inputs(|| poller(Jitter::None, FirstLook::AtOnce))
        .bench_values(|mut poller| rounds(black_box(&mut poller)).expect("it goes on"));
}

/// A poll while nothing is due.
#[divan::bench]
fn without_draw(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(ROUNDS))
        .with_inputs(|| poller(Jitter::Equal, FirstLook::After(Duration::from_secs(10))))
        .bench_refs(|poller| {
            for nanos in 0..ROUNDS {
                black_box(poller.poll(black_box(START.saturating_add(Duration::from_nanos(nanos.into()))))).ended();
            }
        });
}

/// The documented scheme alone: seed, stream, one word.
#[divan::bench]
fn the_draw_alone(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(ROUNDS)).bench(|| {
        (0..ROUNDS).fold(0, |sum: u64, attempt| {
            let mut rng = ChaCha8Rng::seed_from_u64(black_box(1));
            rng.set_stream(attempt.into());
            sum.wrapping_add(rng.next_u64())
        })
    });
}
