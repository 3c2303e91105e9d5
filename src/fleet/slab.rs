//! The jobs of a fleet: sleeping ones packed, the others open.

use core::ops::{Index, IndexMut};
use std::boxed::Box;
use std::vec::Vec;

use super::words::JobHandle;
use crate::job::{Job, Packed, Words};
use crate::{JobRef, Outcome};

/// Slots, each with a generation, so that no handle ever names two jobs.
#[derive(Debug, Default)]
pub(super) struct Slab {
    slots: Slots,
    free: Vec<u32>,
    words: Words,
    /// Where jobs were open that are packed now.
    #[allow(clippy::vec_box)] // the boxes are what is spared
    spare: Vec<Box<Job>>,
}

/// So many looks at once need no new memory.
const MOST_SPARE: usize = 1_024;

/// Aligned so that it is in two lines of the processor's cache, not in three.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Slot {
    generation: u32,
    pub(super) class: u16,
    pub(super) lane: u8,
    pub(super) queue: Queue,
    seat: Seat,
}

#[derive(Debug)]
enum Seat {
    Vacant,
    Packed(Packed),
    Open(Box<Job>),
}

/// Where a job waits for room; entries of the queues that disagree are leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    None,
    Ready,
    Urgent,
    /// Its wait has ended, and the news waits to be drained.
    Told,
}

impl Slab {
    pub(super) fn insert(&mut self, job: Job, class: u16, lane: u8) -> u32 {
        let seat = Seat::Open(self.boxed(job));
        if let Some(slot) = self.free.pop() {
            let kept = &mut self.slots[slot];
            (kept.class, kept.lane, kept.queue, kept.seat) = (class, lane, Queue::None, seat);
            return slot;
        }
        self.slots.push(Slot { generation: 0, class, lane, queue: Queue::None, seat })
    }

    /// Takes the job out; its handle names nothing any more.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Box<Job>> {
        let kept = &mut self.slots[slot];
        let job = match core::mem::replace(&mut kept.seat, Seat::Vacant) {
            Seat::Vacant => return None,
            Seat::Packed(packed) => Box::new(packed.unpack(&self.words)),
            Seat::Open(job) => job,
        };
        // A slot whose generations are used up is never used again, so that no handle can name two jobs.
        if let Some(next) = kept.generation.checked_add(1) {
            kept.generation = next;
            self.free.push(slot);
        }
        Some(job)
    }

    fn boxed(&mut self, job: Job) -> Box<Job> {
        match self.spare.pop() {
            Some(mut spare) => {
                *spare = job;
                spare
            }
            None => Box::new(job),
        }
    }

    pub(super) fn handle(&self, slot: u32) -> JobHandle {
        JobHandle { slot, generation: self.slots[slot].generation }
    }

    /// The slot that a handle names; `None` where that job is gone.
    pub(super) fn slot(&self, handle: JobHandle) -> Option<u32> {
        let kept = self.slots.get(handle.slot)?;
        (kept.generation == handle.generation && !matches!(kept.seat, Seat::Vacant)).then_some(handle.slot)
    }

    pub(super) fn at(&self, slot: u32) -> &Slot {
        &self.slots[slot]
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot]
    }

    /// A job to be stepped.
    pub(super) fn open(&mut self, slot: u32) -> Option<&mut Job> {
        let seat = &mut self.slots[slot].seat;
        if let Seat::Packed(_) = seat
            && let Seat::Packed(packed) = core::mem::replace(seat, Seat::Vacant)
        {
            let job = match self.spare.pop() {
                Some(mut spare) => {
                    packed.unpack_into(&mut spare, &self.words);
                    spare
                }
                None => Box::new(packed.unpack(&self.words)),
            };
            self.slots[slot].seat = Seat::Open(job);
        }
        match &mut self.slots[slot].seat {
            Seat::Open(job) => Some(job),
            Seat::Vacant | Seat::Packed(_) => None,
        }
    }

    /// A job whose wait has ended by itself.
    pub(super) fn ended(&mut self, slot: u32) -> Option<&mut Job> {
        let Seat::Open(job) = &mut self.slots[slot].seat else { return None };
        let ended = job.poller.ended()?;
        (ended.outcome != Outcome::Stopped).then_some(job)
    }

    /// Packs a job that was stepped, if it can be.
    pub(super) fn close(&mut self, slot: u32) {
        let seat = &mut self.slots[slot].seat;
        if let Seat::Open(job) = seat
            && let Some(packed) = Packed::pack(job, &mut self.words)
            && let Seat::Open(spare) = core::mem::replace(seat, Seat::Packed(packed))
            && self.spare.len() < MOST_SPARE
        {
            self.spare.push(spare);
        }
    }

    pub(super) fn job(&self, slot: u32) -> Option<&JobRef> {
        match &self.slots[slot].seat {
            Seat::Vacant => None,
            Seat::Packed(packed) => Some(packed.job()),
            Seat::Open(job) => Some(&job.job),
        }
    }

    /// A job to look at: the open one itself, or the packed one.
    pub(super) fn view(&self, slot: u32) -> Option<View<'_>> {
        match &self.slots[slot].seat {
            Seat::Vacant => None,
            Seat::Packed(packed) => Some(View::Packed(packed, &self.words)),
            Seat::Open(job) => Some(View::Open(job)),
        }
    }

    /// Reads a little of each of these jobs, one load not waiting for another: by the time they are stepped, one by one, they
    /// are in the processor's cache.
    pub(super) fn fetch(&self, slots: impl Iterator<Item = u32>) {
        let touch = |slot| self.job(slot).and_then(|job| job.id().as_bytes().first()).copied().unwrap_or_default();
        core::hint::black_box(slots.map(touch).fold(0, u8::wrapping_add));
    }

    /// Every slot that has a job whose wait has not ended.
    pub(super) fn occupied(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).filter(|slot| self.is_occupied(*slot))
    }

    /// Whether a slot has a job whose wait has not ended.
    pub(super) fn is_occupied(&self, slot: u32) -> bool {
        let kept = &self.slots[slot];
        kept.queue != Queue::Told && !matches!(kept.seat, Seat::Vacant)
    }

    pub(super) fn len(&self) -> u32 {
        self.slots.len()
    }
}

/// Slots in blocks that stay where they are: a million of them are not copied when one more is added.
#[derive(Debug, Default)]
struct Slots(Vec<Vec<Slot>>);

/// Slots in a block.
const BLOCK: u32 = 1_024;

impl Slots {
    fn push(&mut self, slot: Slot) -> u32 {
        let number = self.len();
        if number.is_multiple_of(BLOCK) {
            // The first grows as it likes, for there may be few jobs.
            let room = if number == 0 { 0 } else { BLOCK as usize };
            self.0.push(Vec::with_capacity(room));
        }
        if let Some(last) = self.0.last_mut() {
            last.push(slot);
        }
        number
    }

    #[allow(clippy::cast_possible_truncation)] // no machine has room for 2^32 of them
    fn len(&self) -> u32 {
        let full = self.0.len().saturating_sub(1) * BLOCK as usize;
        (full + self.0.last().map_or(0, Vec::len)) as u32
    }

    fn get(&self, slot: u32) -> Option<&Slot> {
        self.0.get((slot / BLOCK) as usize)?.get((slot % BLOCK) as usize)
    }
}

impl Index<u32> for Slots {
    type Output = Slot;

    fn index(&self, slot: u32) -> &Slot {
        &self.0[(slot / BLOCK) as usize][(slot % BLOCK) as usize]
    }
}

impl IndexMut<u32> for Slots {
    fn index_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.0[(slot / BLOCK) as usize][(slot % BLOCK) as usize]
    }
}

/// A list of so many grows by a sixteenth: doubled it would waste as much as it holds.
const LONG: usize = 1_024;

/// By how much a list of this length and room grows before one is added; nothing means that it may do as it likes.
pub(super) fn growth(len: usize, room: usize) -> Option<usize> {
    (len == room && len >= LONG).then_some(len / 16)
}

/// The room that is enough for a list of this length, where most of what it has lies idle.
pub(super) fn excess(len: usize, room: usize) -> Option<usize> {
    (room >= LONG && len < room / 4).then_some(room / 2)
}

/// A job to look at.
#[derive(Debug)]
pub(super) enum View<'a> {
    Packed(&'a Packed, &'a Words),
    Open(&'a Job),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::{Backend, Dialect, Fleet, Policy, Timestamp};

    #[test]
    fn a_sleeping_job_is_packed() {
        let backend = Backend::new(Dialect::tracker(), Some("https://api.example.com")).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut fleet = Fleet::new(Arc::new(backend), Arc::new(Policy::default()), &mut rng);
        let now = Timestamp::from_secs(1_700_000_000);
        let slot = fleet.insert(JobRef::new("a").unwrap(), now).slot;
        assert!(matches!(fleet.slab.view(slot), Some(View::Packed(..))));
        let _ = fleet.poll(now);
        assert!(matches!(fleet.slab.view(slot), Some(View::Open(_))));
    }

    #[test]
    fn slots_are_found_in_every_block() {
        let mut slots = Slots::default();
        let slot = |generation| Slot { generation, class: 0, lane: 0, queue: Queue::None, seat: Seat::Vacant };
        for number in 0..=2 * BLOCK {
            assert_eq!((slots.len(), slots.get(number).is_none()), (number, true));
            assert_eq!(slots.push(slot(number)), number);
        }
        slots[BLOCK].class = 7;
        for number in 0..slots.len() {
            let class = if number == BLOCK { 7 } else { 0 };
            assert_eq!((slots[number].generation, slots[number].class), (number, class));
            assert_eq!(slots.get(number).map(|slot| slot.generation), Some(number));
        }
        assert_eq!((slots.get(2 * BLOCK + 1).is_none(), slots.0.len()), (true, 3));
    }

    #[test]
    fn a_slot_is_small() {
        assert_eq!(size_of::<Slot>(), 128);
    }

    #[test]
    fn long_lists_grow_by_a_sixteenth_and_give_back_the_half_that_lies_idle() {
        let grown = [(1_023, 1_023), (1_024, 1_025), (1_024, 1_024), (1_600, 1_600)];
        assert_eq!(grown.map(|(len, room)| growth(len, room)), [None, None, Some(64), Some(100)]);
        let idle = [(0, 1_023), (256, 1_024), (255, 1_024), (1_000, 8_000)];
        assert_eq!(idle.map(|(len, room)| excess(len, room)), [None, None, Some(512), Some(4_000)]);
    }
}
