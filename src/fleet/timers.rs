//! When each job is to be stepped next: a heap with lazy deletion.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::Vec;

use crate::Timestamp;

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
}
