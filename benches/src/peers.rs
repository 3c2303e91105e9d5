//! Other ways to keep a million timers: pop the earliest, and push it again.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dary_heap::QuaternaryHeap;
use tokio::runtime;
use tokio_util::time::DelayQueue;

use crate::{Gaps, Memory, Stopwatch};

/// So many times each timer fires.
const ROUNDS: usize = 4;

/// What a way to keep timers costs.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Bytes that were asked for, a timer.
    pub bytes: f64,
    /// To pop one and push it again, in nanoseconds.
    pub nanos: f64,
}

/// Measures them all with so many timers.
pub fn peers(memory: &Memory, timers: usize) -> Vec<Peer> {
    vec![
        packed_heap(memory, timers),
        binary_heap(memory, timers),
        ordered_set(memory, timers),
        delay_queue(memory, timers),
        tasks(memory, timers),
    ]
}

fn packed_heap(memory: &Memory, timers: usize) -> Peer {
    // Milliseconds and a slot in one word.
    let pack = |at: u64, slot: u64| Reverse((at >> 20) << 28 | slot);
    let mut gaps = Gaps::new(1);
    let first = |slot: usize| pack(gaps.within(60_000_000_000), slot as u64);
    measure("4-ary heap of packed u64", memory, timers, first, QuaternaryHeap::with_capacity, QuaternaryHeap::push, {
        let mut gaps = Gaps::new(2);
        move |heap| {
            if let Some(Reverse(packed)) = heap.pop() {
                heap.push(pack(((packed >> 28) << 20) + gaps.draw(), packed & ((1 << 28) - 1)));
            }
        }
    })
}

fn binary_heap(memory: &Memory, timers: usize) -> Peer {
    let mut gaps = Gaps::new(1);
    let first = |slot| Reverse((gaps.within(60_000_000_000), slot_number(slot)));
    measure("BinaryHeap<(u64, u32)>", memory, timers, first, BinaryHeap::with_capacity, BinaryHeap::push, {
        let mut gaps = Gaps::new(2);
        move |heap| {
            if let Some(Reverse((at, slot))) = heap.pop() {
                heap.push(Reverse((at + gaps.draw(), slot)));
            }
        }
    })
}

fn ordered_set(memory: &Memory, timers: usize) -> Peer {
    let mut gaps = Gaps::new(1);
    let first = |slot| (gaps.within(60_000_000_000), slot_number(slot));
    let push = |set: &mut BTreeSet<_>, timer| {
        set.insert(timer);
    };
    measure("BTreeSet<(u64, u32)>", memory, timers, first, |_| BTreeSet::new(), push, {
        let mut gaps = Gaps::new(2);
        move |set| {
            if let Some((at, slot)) = set.pop_first() {
                set.insert((at + gaps.draw(), slot));
            }
        }
    })
}

fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).expect("fewer timers than four billion")
}

fn measure<C, T>(
    name: &'static str,
    memory: &Memory,
    timers: usize,
    first: impl FnMut(usize) -> T,
    new: impl FnOnce(usize) -> C,
    push: impl Fn(&mut C, T),
    mut turn: impl FnMut(&mut C),
) -> Peer {
    let before = memory.allocated();
    let mut kept = new(timers);
    (0..timers).map(first).for_each(|timer| push(&mut kept, timer));
    let bytes = memory.allocated() - before;
    let start = Stopwatch::start();
    for _ in 0..timers * ROUNDS {
        turn(black_box(&mut kept));
    }
    peer(name, timers, bytes, start.elapsed(), timers * ROUNDS)
}

/// On a clock that jumps to the next timer when there is nothing else to do.
fn delay_queue(memory: &Memory, timers: usize) -> Peer {
    paused().block_on(async {
        let (mut first, mut gaps) = (Gaps::new(1), Gaps::new(2));
        let before = memory.allocated();
        let mut queue = DelayQueue::with_capacity(timers);
        for slot in 0..timers {
            queue.insert(slot_number(slot), Duration::from_nanos(first.within(60_000_000_000)));
        }
        let bytes = memory.allocated() - before;
        let start = Stopwatch::start();
        for _ in 0..timers * ROUNDS {
            let fired = poll_fn(|cx| queue.poll_expired(cx)).await.expect("there are timers");
            queue.insert(fired.into_inner(), Duration::from_nanos(gaps.draw()));
        }
        peer("tokio-util's DelayQueue", timers, bytes, start.elapsed(), timers * ROUNDS)
    })
}

/// One task with a sleep for each timer, on the same kind of clock, in one thread.
fn tasks(memory: &Memory, timers: usize) -> Peer {
    let runtime = paused();
    let wakes = Arc::new(AtomicUsize::new(0));
    let before = memory.allocated();
    for slot in 0..timers {
        let (wakes, mut gaps) = (Arc::clone(&wakes), Gaps::new(slot as u64));
        runtime.spawn(async move {
            let mut gap = gaps.within(60_000_000_000).max(2_000_000);
            loop {
                tokio::time::sleep(Duration::from_nanos(gap)).await;
                wakes.fetch_add(1, Relaxed);
                gap = gaps.draw();
            }
        });
    }
    // The clock moves on when all of them sleep.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    let (bytes, woken) = (memory.allocated() - before, wakes.load(Relaxed));
    let start = Stopwatch::start();
    runtime.block_on(async {
        while wakes.load(Relaxed) - woken < timers * ROUNDS {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    peer("a tokio task with a sleep", timers, bytes, start.elapsed(), wakes.load(Relaxed) - woken)
}

fn paused() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime needs nothing")
}

#[allow(clippy::cast_precision_loss)] // these are counts of a benchmark
fn peer(name: &'static str, timers: usize, bytes: usize, time: Duration, turns: usize) -> Peer {
    Peer { name, bytes: bytes as f64 / timers as f64, nanos: time.as_secs_f64() * 1e9 / turns as f64 }
}
