//! When each job is to be stepped next: a calendar with lazy deletion.
//!
//! Most timers lie far ahead, and a million of them should be small, and set without a walk through memory: the calendar
//! has a page for a stretch of time, the wider the further ahead it lies, with four bytes for each slot that is due then.
//! What comes up is entered anew on narrower pages, and from the narrowest into a heap, which knows the exact instants. An
//! entry counts only while its slot's timer is of that page; leftovers are swept before they are a quarter of the timers.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::vec::Vec;

use super::slab::{excess, growth};
use crate::Timestamp;

/// So many leftovers are not worth a sweep.
const LEFTOVERS: usize = 64;

/// The narrowest page is of so many nanoseconds, as a power of two: a quarter of a second.
const NARROWEST: u32 = 28;

/// A page is at most two to the minus this as wide as it lies ahead.
const FINENESS: u32 = 5;

/// No timer.
const NEVER: u64 = u64::MAX;

/// One timer for each slot at the most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pages: BTreeMap<Page, Vec<u32>>,
    near: BinaryHeap<Reverse<(u64, u32)>>,
    /// By slot, in nanoseconds.
    due: Vec<u64>,
    /// Entries on pages.
    far: usize,
}

/// A stretch of time, which begins at a multiple of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Page {
    begin: u64,
    /// The width in nanoseconds, as a power of two.
    bits: u32,
}

impl Page {
    /// Where an instant is entered, seen from an earlier one.
    fn of(at: u64, from: u64) -> Self {
        let ahead = u64::BITS - at.saturating_sub(from).leading_zeros();
        let bits = ahead.saturating_sub(FINENESS + 1).max(NARROWEST);
        Self { begin: at >> bits << bits, bits }
    }

    fn has(self, at: u64) -> bool {
        at >> self.bits == self.begin >> self.bits
    }
}

impl Timers {
    /// Sets a slot's timer, in place of the one it had.
    pub(super) fn set(&mut self, slot: u32, at: Timestamp, now: Timestamp) {
        let (index, at) = (slot as usize, at.as_nanos().min(NEVER - 1));
        if index >= self.due.len() {
            make_room(&mut self.due);
            self.due.resize(index + 1, NEVER);
        }
        if self.due[index] != at {
            self.due[index] = at;
            self.enter(slot, at, now.as_nanos());
            if self.far + self.near.len() > self.due.len() + self.due.len() / 4 + LEFTOVERS {
                self.sweep(now.as_nanos());
            }
        }
    }

    pub(super) fn clear(&mut self, slot: u32) {
        if let Some(due) = self.due.get_mut(slot as usize) {
            *due = NEVER;
        }
    }

    /// The slot whose timer is due first, and when that is; its timer is taken.
    pub(super) fn pop_first(&mut self) -> Option<(Timestamp, u32)> {
        self.pop_until((Timestamp::MAX, u32::MAX))
    }

    /// The same, if it is not after this timer.
    pub(super) fn pop_until(&mut self, last: (Timestamp, u32)) -> Option<(Timestamp, u32)> {
        let first = self.first().filter(|first| *first <= last)?;
        self.near.pop();
        self.clear(first.1);
        self.give_back();
        Some(first)
    }

    /// Sets a timer again that was the first a moment ago.
    pub(super) fn put_back(&mut self, slot: u32, at: Timestamp) {
        if let Some(due) = self.due.get_mut(slot as usize) {
            *due = at.as_nanos();
            self.near.push(Reverse((*due, slot)));
        }
    }

    /// When the first timer is due, and whose it is.
    pub(super) fn first(&mut self) -> Option<(Timestamp, u32)> {
        loop {
            while let Some(Reverse((at, slot))) = self.near.peek()
                && self.due[*slot as usize] != *at
            {
                self.near.pop();
            }
            let first = self.near.peek().map(|Reverse(first)| *first);
            match self.pages.first_key_value() {
                // Whatever may come before that has to be looked at.
                Some((page, _)) if first.is_none_or(|(first, _)| page.begin <= first) => self.turn_page(),
                _ => return first.map(|(at, slot)| (Timestamp::from_nanos(at), slot)),
            }
        }
    }

    /// Timers and leftovers.
    #[cfg(feature = "testing")]
    pub(super) fn kept(&self) -> usize {
        self.far + self.near.len()
    }

    fn enter(&mut self, slot: u32, at: u64, from: u64) {
        let page = Page::of(at, from);
        if self.near.peek().is_some_and(|Reverse((first, _))| page.begin <= *first) {
            self.near.push(Reverse((at, slot)));
        } else {
            let slots = self.pages.entry(page).or_default();
            make_room(slots);
            slots.push(slot);
            self.far += 1;
        }
    }

    /// Enters what is on the first page anew, and exactly in the end.
    fn turn_page(&mut self) {
        let Some((page, slots)) = self.pages.pop_first() else { return };
        self.far -= slots.len();
        for slot in slots {
            let at = self.due[slot as usize];
            // A leftover stands for another instant than its slot's.
            if at == NEVER || !page.has(at) {
                continue;
            }
            if page.bits == NARROWEST {
                self.near.push(Reverse((at, slot)));
            } else {
                self.enter(slot, at, page.begin);
            }
        }
    }

    fn sweep(&mut self, now: u64) {
        self.near.clear();
        self.give_back();
        self.pages.clear();
        self.far = 0;
        let due = core::mem::take(&mut self.due);
        for (slot, at) in (0..).zip(&due).filter(|(_, at)| **at != NEVER) {
            self.enter(slot, *at, now);
        }
        self.due = due;
    }

    /// After many have come due at once, the room they took is given back.
    fn give_back(&mut self) {
        if let Some(enough) = excess(self.near.len(), self.near.capacity()) {
            self.near.shrink_to(enough);
        }
    }
}

/// For one more, in a list that may be long.
fn make_room<T>(list: &mut Vec<T>) {
    if let Some(more) = growth(list.len(), list.capacity()) {
        list.reserve_exact(more);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn pop_due(timers: &mut Timers, now: Timestamp) -> Option<u32> {
        timers.pop_until((now, u32::MAX)).map(|(_, slot)| slot)
    }

    #[test]
    fn leftovers_are_swept_and_no_timer_is_lost() {
        for slots in [10_u32, 1_000] {
            let mut timers = Timers::default();
            for round in 0..100_000 / slots {
                for slot in 0..slots {
                    let at = Timestamp::from_nanos(1_000_000 - u64::from(round * slots + slot));
                    timers.set(slot, at, Timestamp::UNIX_EPOCH);
                }
                let slots = slots as usize;
                assert!(timers.far + timers.near.len() <= slots + slots / 4 + LEFTOVERS);
            }
            let order = std::iter::from_fn(|| pop_due(&mut timers, Timestamp::MAX)).collect::<Vec<_>>();
            assert_eq!(order, (0..slots).rev().collect::<Vec<_>>());
            assert_eq!((timers.far, timers.near.len()), (0, 0));
        }
    }

    /// One for each second of a day: a page an hour ahead is of a minute or two, and only the first ones are looked into.
    #[test]
    fn what_lies_ahead_is_on_few_pages_and_only_the_first_are_turned() {
        let mut timers = Timers::default();
        let at = |slot| START.saturating_add(Duration::from_secs(u64::from(slot)));
        (0..86_400).for_each(|slot| timers.set(slot, at(slot), START));
        assert!(timers.pages.len() < 512, "{}", timers.pages.len());
        assert_eq!((timers.first(), timers.near.len()), (Some((at(0), 0)), 1));
        for slot in 0..86_400 {
            assert_eq!((pop_due(&mut timers, at(slot)), pop_due(&mut timers, at(slot))), (Some(slot), None));
            assert!(timers.near.len() <= 1 && timers.pages.len() < 512);
        }
    }

    /// Whoever sleeps for long does not keep the others' timers from the calendar.
    #[test]
    fn what_is_set_before_the_first_timer_is_far_again() {
        let mut timers = Timers::default();
        let at = |seconds| START.saturating_add(Duration::from_secs(seconds));
        timers.set(0, at(3_600), START);
        assert_eq!(timers.first(), Some((at(3_600), 0)));
        (1..1_000).for_each(|slot| timers.set(slot, at(u64::from(slot) + 9), START));
        assert_eq!((timers.first(), timers.near.len()), (Some((at(10), 1)), 2));
    }

    #[test]
    fn room_for_many_that_come_due_at_once_is_given_back() {
        let mut timers = Timers::default();
        (0..100_000).for_each(|slot| timers.set(slot, START, START));
        let room: usize = timers.pages.values().map(Vec::capacity).sum();
        assert!(room < 107_000 && timers.due.capacity() < 107_000);
        assert_eq!(std::iter::from_fn(|| pop_due(&mut timers, START)).count(), 100_000);
        assert!(timers.near.capacity() < 1_024 && timers.pages.is_empty(), "{}", timers.near.capacity());
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
        fn timers_are_an_ordered_set(ops in prop::collection::vec((0_u8..5, 0_u32..12, instant()), 1..300)) {
            let (mut timers, mut model, mut now) = (Timers::default(), BTreeSet::new(), Timestamp::UNIX_EPOCH);
            for (op, slot, at) in ops {
                match op {
                    // Whoever is first is taken, and put back.
                    4 => if let Some((at, slot)) = timers.pop_first() {
                        timers.put_back(slot, at);
                    }
                    0 | 1 => {
                        timers.set(slot, Timestamp::from_nanos(at), now);
                        model.retain(|(_, other)| *other != slot);
                        model.insert((at.min(u64::MAX - 1), slot));
                    }
                    2 => {
                        timers.clear(slot);
                        model.retain(|(_, other)| *other != slot);
                    }
                    _ => {
                        now = now.max(Timestamp::from_nanos(at));
                        let due = model.first().copied().filter(|(first, _)| *first <= at);
                        prop_assert_eq!(pop_due(&mut timers, Timestamp::from_nanos(at)), due.map(|(_, slot)| slot));
                        if let Some(due) = due {
                            model.remove(&due);
                        }
                    }
                }
                prop_assert_eq!(timers.first().map(|(at, slot)| (at.as_nanos(), slot)), model.first().copied());
            }
        }
    }
}
