//! The same behind a limit of requests per second, with jobs that arrive all the time.

use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use rand_core::Rng;

use super::peers::uniform;
use super::{Played, Rule};
use crate::learn::Lesson;
use crate::learn::budget::{Budget, PERIOD};
use crate::time::nanos;

/// How many jobs arrive, and how many requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Jobs that arrive per second, at random instants.
    pub arrivals: f64,
    /// Requests per second; they are served in the order in which they fall due.
    pub rate: f64,
}

/// A job that is waited for.
struct Waiting<J> {
    job: J,
    number: usize,
    born: u64,
    before: Duration,
    looks: u32,
}

/// What happens at an instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    Due(usize),
}

/// Plays a rule on jobs that arrive at random and share a limit: a look that is due waits for its turn.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // nanoseconds
pub fn play_limited<R: Rule>(rule: &mut R, durations: &[Duration], limit: Limit, rng: &mut dyn Rng) -> Played {
    let mut played = Played { looks: alloc::vec![0; durations.len()], delays: alloc::vec![None; durations.len()] };
    let mut jobs: Vec<Option<Waiting<R::Job>>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events = BinaryHeap::from([Reverse((0_u64, Event::Arrives))]);
    let mut line: VecDeque<usize> = VecDeque::new();
    let (service, mut served_until, mut arrived) = ((1e9 / limit.rate) as u64, 0_u64, 0);
    let (mut budget, mut budget_at, mut served) = (Budget::default(), 0, 0.0);
    loop {
        let next = events.peek().map(|Reverse((at, _))| *at);
        // A request in line goes as soon as the limit lets it, unless something happens before.
        if let Some(slot) = line.front().copied()
            && next.is_none_or(|at| served_until <= at)
        {
            line.pop_front();
            let Some(mut waiting) = jobs[slot].take() else { continue };
            let now = served_until;
            served_until += service;
            waiting.looks += 1;
            served += 1.0;
            let age = Duration::from_nanos(now - waiting.born);
            let duration = durations[waiting.number];
            played.looks[waiting.number] = waiting.looks;
            if age >= duration {
                played.delays[waiting.number] = Some(nanos(age.saturating_sub(duration)));
                rule.ended(&waiting.job, &Lesson::ended(waiting.before, age).beside(jobs.len() - free.len()));
                free.push(slot);
            } else if let Some(gap) = rule.next(&mut waiting.job, age, waiting.looks, rng) {
                waiting.before = age;
                events.push(Reverse((now.saturating_add(nanos(gap)), Event::Due(slot))));
                jobs[slot] = Some(waiting);
            } else {
                free.push(slot);
            }
            continue;
        }
        let Some(Reverse((now, event))) = events.pop() else { return played };
        if now >= budget_at {
            rule.budget(budget.next(limit.rate, served / PERIOD, limit.arrivals, line.len() as f64 / limit.rate));
            served = 0.0;
            budget_at = now + (PERIOD * 1e9) as u64;
        }
        match event {
            Event::Due(slot) => {
                // Nothing was served while nobody stood in line.
                if line.is_empty() {
                    served_until = served_until.max(now);
                }
                line.push_back(slot);
            }
            Event::Arrives if arrived < durations.len() => {
                let (job, first) = rule.start(rng);
                let waiting = Waiting { job, number: arrived, born: now, before: Duration::ZERO, looks: 0 };
                arrived += 1;
                let slot = free.pop().unwrap_or_else(|| {
                    jobs.push(None);
                    jobs.len() - 1
                });
                jobs[slot] = Some(waiting);
                events.push(Reverse((now.saturating_add(nanos(first)), Event::Due(slot))));
                let pause = -libm::log(1.0 - uniform(rng)) / limit.arrivals;
                events.push(Reverse((now.saturating_add((pause * 1e9) as u64), Event::Arrives)));
            }
            Event::Arrives => {}
        }
    }
}
