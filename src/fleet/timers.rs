//! When each job is to be stepped next: two heaps with lazy deletion.
//!
//! Most timers lie far ahead, and a million of them should be small: the far heap packs an instant, rounded down to
//! about a millisecond, and a slot into eight bytes, four children to a node. What comes up is moved into the near heap,
//! which knows the exact instant. An entry counts only while its slot still has that instant; leftovers are swept before
//! they are a quarter of the timers.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::Vec;

use dary_heap::QuaternaryHeap;

use super::slab::{excess, growth};
use crate::Timestamp;

/// So many leftovers are not worth a sweep.
const LEFTOVERS: usize = 64;

/// Bits of a far entry that name the slot.
const SLOT_BITS: u32 = 28;

/// The most slots there can be.
pub(super) const MOST_SLOTS: u32 = 1 << SLOT_BITS;

/// Nanoseconds are shifted by this: a far instant is known to 1.05 ms.
const GRAIN: u32 = 20;

/// The last far instant that can be told, 834 days after the first timer; what lies further is moved near in time and
/// waits there.
const LAST: u64 = (1 << (64 - SLOT_BITS)) - 1;

/// What is set after the first timer may come before it, but hardly by more than an hour; what does is only larger.
const MARGIN: u64 = 3_600_000_000_000;

/// No timer.
const NEVER: u64 = u64::MAX;

/// One timer for each slot at the most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    far: QuaternaryHeap<Reverse<u64>>,
    near: BinaryHeap<Reverse<(u64, u32)>>,
    /// By slot, in nanoseconds.
    due: Vec<u64>,
    /// The far heap counts from here.
    base: u64,
}

impl Timers {
    /// Sets a slot's timer, in place of the one it had.
    pub(super) fn set(&mut self, slot: u32, at: Timestamp) {
        let (index, at) = (slot as usize, at.as_nanos().min(NEVER - 1));
        if index >= self.due.len() {
            if let Some(more) = growth(self.due.len(), self.due.capacity()) {
                self.due.reserve_exact(more);
            }
            self.due.resize(index + 1, NEVER);
        }
        if self.due[index] != at {
            if self.far.is_empty() && self.near.is_empty() {
                self.base = at.saturating_sub(MARGIN);
            }
            self.due[index] = at;
            self.push(at, slot);
            if self.far.len() + self.near.len() > self.due.len() + self.due.len() / 4 + LEFTOVERS {
                self.sweep();
            }
        }
    }

    pub(super) fn clear(&mut self, slot: u32) {
        if let Some(due) = self.due.get_mut(slot as usize) {
            *due = NEVER;
        }
    }

    /// The slot whose timer is due first, and at or before `now`; its timer is taken.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<u32> {
        self.next().filter(|at| *at <= now)?;
        self.pop_first().map(|(_, slot)| slot)
    }

    /// The slot whose timer is due first, and when that is; its timer is taken.
    pub(super) fn pop_first(&mut self) -> Option<(Timestamp, u32)> {
        self.next()?;
        let Reverse((at, slot)) = self.near.pop()?;
        self.clear(slot);
        self.give_back();
        Some((Timestamp::from_nanos(at), slot))
    }

    /// When the first timer is due.
    pub(super) fn next(&mut self) -> Option<Timestamp> {
        loop {
            while let Some(Reverse((at, slot))) = self.near.peek()
                && self.due[*slot as usize] != *at
            {
                self.near.pop();
            }
            let first = self.near.peek().map(|Reverse((at, _))| *at);
            // Whatever may come before that has to be looked at.
            let far = self.far.peek().map(|Reverse(packed)| self.begin(*packed));
            match (far, first) {
                (Some(far), first) if first.is_none_or(|first| far <= first) => {
                    let Some(Reverse(packed)) = self.far.pop() else { continue };
                    self.bring_near(packed);
                }
                (_, first) => return first.map(Timestamp::from_nanos),
            }
        }
    }

    /// Timers and leftovers.
    #[cfg(feature = "testing")]
    pub(super) fn kept(&self) -> usize {
        self.far.len() + self.near.len()
    }

    fn push(&mut self, at: u64, slot: u32) {
        if at < self.base {
            self.near.push(Reverse((at, slot)));
        } else {
            if let Some(more) = growth(self.far.len(), self.far.capacity()) {
                self.far.reserve_exact(more);
            }
            self.far.push(pack(at - self.base, slot));
        }
    }

    /// The earliest instant that a far entry can stand for.
    fn begin(&self, packed: u64) -> u64 {
        self.base.saturating_add(packed >> SLOT_BITS << GRAIN)
    }

    #[allow(clippy::cast_possible_truncation)] // cut to the slot's bits
    fn bring_near(&mut self, packed: u64) {
        let slot = (packed & u64::from(MOST_SLOTS - 1)) as u32;
        let at = self.due[slot as usize];
        let grains = (at.saturating_sub(self.base) >> GRAIN).min(LAST);
        // A leftover stands for another instant than its slot's.
        if at != NEVER && at >= self.base && grains == packed >> SLOT_BITS {
            self.near.push(Reverse((at, slot)));
        }
    }

    fn sweep(&mut self) {
        self.near.clear();
        self.give_back();
        let base = self.due.iter().min().map_or(0, |first| first.saturating_sub(MARGIN));
        let timers = (0..).zip(&self.due).filter(|(_, at)| **at != NEVER);
        let mut far = core::mem::take(&mut self.far).into_vec();
        far.clear();
        far.extend(timers.map(|(slot, at)| pack(*at - base, slot)));
        (self.base, self.far) = (base, far.into());
    }

    /// After many have come due at once, the room they took is given back.
    fn give_back(&mut self) {
        if let Some(enough) = excess(self.near.len(), self.near.capacity()) {
            self.near.shrink_to(enough);
        }
    }
}

/// A far entry, by the time from the base.
fn pack(time: u64, slot: u32) -> Reverse<u64> {
    Reverse((time >> GRAIN).min(LAST) << SLOT_BITS | u64::from(slot))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leftovers_are_swept_and_no_timer_is_lost() {
        for slots in [10_u32, 1_000] {
            let mut timers = Timers::default();
            for round in 0..100_000 / slots {
                for slot in 0..slots {
                    timers.set(slot, Timestamp::from_nanos(1_000_000 - u64::from(round * slots + slot)));
                }
                let slots = slots as usize;
                assert!(timers.far.len() + timers.near.len() <= slots + slots / 4 + LEFTOVERS);
            }
            let order = std::iter::from_fn(|| timers.pop_due(Timestamp::MAX)).collect::<Vec<_>>();
            assert_eq!(order, (0..slots).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_lies_ahead_stays_far() {
        let mut timers = Timers::default();
        let at = |slot| Timestamp::from_secs(1_700_000_000 + u64::from(slot));
        (0..100).for_each(|slot| timers.set(slot, at(slot)));
        assert_eq!((timers.next(), timers.near.len(), timers.far.len()), (Some(at(0)), 1, 99));
    }

    #[test]
    fn room_for_many_that_come_due_at_once_is_given_back() {
        let mut timers = Timers::default();
        let at = Timestamp::from_secs(1_700_000_000);
        (0..100_000).for_each(|slot| timers.set(slot, at));
        assert!(timers.far.capacity() < 107_000 && timers.due.capacity() < 107_000);
        assert_eq!(std::iter::from_fn(|| timers.pop_due(at)).count(), 100_000);
        assert!(timers.near.capacity() < 1_024, "{}", timers.near.capacity());
    }

    fn instant() -> impl Strategy<Value = u64> {
        let start = 1_700_000_000_000_000_000_u64;
        prop_oneof![
            4 => start..start + 10_000_000,
            4 => start..start + 3_600_000_000_000,
            1 => 0..start,
            1 => Just(u64::MAX),
            1 => start..u64::MAX,
        ]
    }

    proptest! {
        /// Against an ordered set: the same slots at the same instants in the same order.
        #[test]
        fn timers_are_an_ordered_set(ops in prop::collection::vec((0_u8..4, 0_u32..12, instant()), 1..300)) {
            let (mut timers, mut model) = (Timers::default(), BTreeSet::new());
            for (op, slot, at) in ops {
                match op {
                    0 | 1 => {
                        timers.set(slot, Timestamp::from_nanos(at));
                        model.retain(|(_, other)| *other != slot);
                        model.insert((at.min(u64::MAX - 1), slot));
                    }
                    2 => {
                        timers.clear(slot);
                        model.retain(|(_, other)| *other != slot);
                    }
                    _ => {
                        let due = model.first().copied().filter(|(first, _)| *first <= at);
                        prop_assert_eq!(timers.pop_due(Timestamp::from_nanos(at)), due.map(|(_, slot)| slot));
                        if let Some(due) = due {
                            model.remove(&due);
                        }
                    }
                }
                prop_assert_eq!(timers.next().map(Timestamp::as_nanos), model.first().map(|(at, _)| *at));
            }
        }
    }
}
