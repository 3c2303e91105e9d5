//! How much a fleet keeps, for tests that hold it against the jobs and requests that there are.

use super::{Asks, Fleet};

/// Entries that a [`Fleet`] keeps, counted, leftovers included: none of these grows with time, but only with the jobs whose
/// wait has not ended or whose end was not drained, and with the requests under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptEntries {
    /// Places for jobs, taken ones and those that stand ready for others: so many as there were jobs at once.
    pub places: usize,
    /// Timers of jobs that sleep, and leftovers, which are swept before they are a quarter of the places.
    pub timers: usize,
    /// Requests under way.
    pub requests: usize,
    /// When requests expire, and leftovers of those that were answered before, which are swept as soon as they are many.
    pub expiries: usize,
    /// Entries of the lines of due jobs and of their further requests.
    pub in_line: usize,
    /// The jobs that requests for many ask for, under way or still to be sent.
    pub members: usize,
    /// News that nobody has drained.
    pub news: usize,
    /// Origins that were asked.
    pub lanes: usize,
}

impl Fleet {
    /// What the fleet keeps at present.
    pub fn kept(&self) -> KeptEntries {
        let lines = self.lanes.iter().map(|lane| lane.hops.len() + lane.urgent.len() + lane.ready.len());
        let waiting = self.lanes.iter().flat_map(|lane| &lane.batches).map(|batch| batch.members.len());
        let (requests, expiries) = self.requests.kept();
        let under_way = self.requests.asks().map(|asks| match asks {
            Asks::One(..) => 0,
            Asks::Many(batch) => batch.members.len(),
        });
        KeptEntries {
            places: self.slab.len() as usize,
            timers: self.timers.kept(),
            requests,
            expiries,
            in_line: lines.sum(),
            members: waiting.chain(under_way).sum(),
            news: self.news.len(),
            lanes: self.lanes.len(),
        }
    }
}
