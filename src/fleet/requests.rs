//! The requests under way: each holds one place, until its answer, its error, or the end of its time.

use core::cmp::Reverse;
use std::boxed::Box;
use std::collections::BinaryHeap;
use std::string::String;
use std::vec::Vec;

use super::words::{JobHandle, RequestId};
use crate::job::HopId;
use crate::{AttemptId, Timestamp};

/// So many leftovers are not worth a sweep.
const LEFTOVERS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: Vec<(u32, Option<Under>)>,
    free: Vec<u32>,
    expiries: BinaryHeap<Reverse<(Timestamp, u32, u32)>>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Under {
    pub(super) lane: u8,
    pub(super) sent_at: Timestamp,
    expires: Timestamp,
    pub(super) asks: Asks,
}

/// Whom a request asks for.
#[derive(Debug)]
pub(super) enum Asks {
    One(JobHandle, HopId),
    Many(Batch),
}

/// Jobs that one request asks for, each by an attempt of its own.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) members: Vec<(JobHandle, AttemptId)>,
    /// The ids that were asked for, each once. A further page is asked for with the same ones, whoever has been told of or
    /// has left meanwhile: its token belongs to that list alone (AIP-158).
    pub(super) ids: Vec<Box<str>>,
    /// The page that is asked for; the first has no name.
    pub(super) page: Option<Page>,
    /// Not the first request of its members' attempts.
    pub(super) again: bool,
    /// A part of a list that was refused: one of its members may be to blame.
    pub(super) suspect: bool,
    /// How often the backend's credentials had been renewed when it was sent.
    pub(super) renewals: u32,
}

/// A further page of an answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) token: String,
    /// Pages asked for before this one.
    pub(super) number: u8,
}

impl Requests {
    pub(super) fn insert(&mut self, lane: u8, sent_at: Timestamp, expires: Timestamp, asks: Asks) -> Option<RequestId> {
        let first = match &asks {
            Asks::One(handle, _) => *handle,
            Asks::Many(batch) => batch.members.first()?.0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let (generation, kept) = &mut self.slots[slot as usize];
        *kept = Some(Under { lane, sent_at, expires, asks });
        let generation = *generation;
        self.expiries.push(Reverse((expires, slot, generation)));
        // Most requests are answered long before their time is over.
        if self.expiries.len() > 2 * (self.slots.len() - self.free.len()) + LEFTOVERS {
            let slots = &self.slots;
            self.expiries.retain(|Reverse((_, slot, generation))| {
                let (current, kept) = &slots[*slot as usize];
                current == generation && kept.is_some()
            });
        }
        Some(RequestId { slot, generation, first })
    }

    /// Ends a request; `None` where it has ended already, or never was.
    pub(super) fn take(&mut self, id: RequestId) -> Option<Under> {
        self.end(id.slot, id.generation)
    }

    /// Requests under way, and their expiries with leftovers.
    #[cfg(feature = "testing")]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.slots.len() - self.free.len(), self.expiries.len())
    }

    /// Whom the requests under way ask for.
    #[cfg(feature = "testing")]
    pub(super) fn asks(&self) -> impl Iterator<Item = &Asks> {
        self.slots.iter().filter_map(|(_, under)| under.as_ref()).map(|under| &under.asks)
    }

    /// How many jobs a request asks for; zero where it has ended.
    pub(super) fn asked_for(&self, id: RequestId) -> usize {
        let kept = self.slots.get(id.slot as usize).filter(|(generation, _)| *generation == id.generation);
        match kept.and_then(|(_, under)| under.as_ref()).map(|under| &under.asks) {
            None => 0,
            Some(Asks::One(..)) => 1,
            Some(Asks::Many(batch)) => batch.members.len(),
        }
    }

    /// Ends the next request whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<Under> {
        loop {
            let Reverse((_, slot, generation)) = *self.expiries.peek().filter(|Reverse((at, ..))| *at <= now)?;
            self.expiries.pop();
            if let Some(under) = self.end(slot, generation) {
                return Some(under);
            }
        }
    }

    /// Ends any request.
    pub(super) fn forget(&mut self) -> Option<Under> {
        loop {
            let Reverse((_, slot, generation)) = self.expiries.pop()?;
            if let Some(under) = self.end(slot, generation) {
                return Some(under);
            }
        }
    }

    /// When the next place is free at the latest.
    pub(super) fn next_expiry(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((at, slot, generation))) = self.expiries.peek() {
            let (current, kept) = &self.slots[*slot as usize];
            if current == generation && kept.as_ref().is_some_and(|under| under.expires == *at) {
                return Some(*at);
            }
            self.expiries.pop();
        }
        None
    }

    fn end(&mut self, slot: u32, generation: u32) -> Option<Under> {
        let (current, kept) = self.slots.get_mut(slot as usize)?;
        if *current != generation {
            return None;
        }
        let under = kept.take()?;
        if let Some(next) = current.checked_add(1) {
            *current = next;
            self.free.push(slot);
        }
        Some(under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of those that were answered, in great numbers and long before their time, hardly anything is kept.
    #[test]
    fn a_request_that_hangs_ends_at_its_time_whatever_was_answered_meanwhile() {
        let (now, expires) = (Timestamp::from_secs(1_700_000_000), Timestamp::from_secs(1_700_000_060));
        let ask = |requests: &mut Requests, lane| {
            let (handle, attempt) = (JobHandle { slot: 0, generation: 0 }, AttemptId::new(1, 7));
            let asks = Asks::One(handle, HopId { attempt, hop: 0 });
            requests.insert(lane, now, expires, asks).unwrap()
        };
        let mut requests = Requests::default();
        let hanging = ask(&mut requests, 1);
        for _ in 0..1_000 {
            let id = ask(&mut requests, 0);
            assert!(requests.take(id).is_some() && requests.take(id).is_none());
            assert!(requests.expiries.len() <= 2 * 2 + LEFTOVERS);
        }
        assert_eq!((requests.asked_for(hanging), requests.next_expiry()), (1, Some(expires)));
        assert_eq!(requests.expire(expires).map(|under| under.lane), Some(1));
        assert!(requests.expire(expires).is_none());
    }
}
