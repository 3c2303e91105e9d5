//! When each job is to be stepped next: a heap with lazy deletion, swept before leftovers outnumber the timers.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::Vec;

use crate::Timestamp;

/// So many leftovers are not worth a sweep.
const LEFTOVERS: usize = 64;

/// One timer for each slot at the most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// Entries that disagree with `due` are leftovers.
    heap: BinaryHeap<Reverse<(Timestamp, u32)>>,
    due: Vec<Option<Timestamp>>,
}

impl Timers {
    /// Sets a slot's timer, in place of the one it had.
    pub(super) fn set(&mut self, slot: u32, at: Timestamp) {
        let index = slot as usize;
        if index >= self.due.len() {
            self.due.resize(index + 1, None);
        }
        if self.due[index] != Some(at) {
            self.due[index] = Some(at);
            self.heap.push(Reverse((at, slot)));
            if self.heap.len() > 2 * self.due.len() + LEFTOVERS {
                self.sweep();
            }
        }
    }

    pub(super) fn clear(&mut self, slot: u32) {
        if let Some(due) = self.due.get_mut(slot as usize) {
            *due = None;
        }
    }

    /// The slot whose timer is due first, and at or before `now`; its timer is taken.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<u32> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, slot)) = self.heap.pop()?;
        self.clear(slot);
        Some(slot)
    }

    /// When the first timer is due.
    pub(super) fn next(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((at, slot))) = self.heap.peek() {
            if self.due[*slot as usize] == Some(*at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    fn sweep(&mut self) {
        let timers = (0..).zip(&self.due).filter_map(|(slot, due)| Some(Reverse(((*due)?, slot))));
        self.heap = timers.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_swept_and_no_timer_is_lost() {
        let mut timers = Timers::default();
        for round in 0..10_000 {
            for slot in 0..10 {
                timers.set(slot, Timestamp::from_nanos(1_000_000 - round * 10 - u64::from(slot)));
            }
        }
        assert!(timers.heap.len() <= 2 * 10 + LEFTOVERS);
        let order = std::iter::from_fn(|| timers.pop_due(Timestamp::MAX)).collect::<Vec<_>>();
        assert_eq!(order, (0..10).rev().collect::<Vec<_>>());
    }
}
