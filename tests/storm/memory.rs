//! What a fleet may keep: as much as there are jobs and requests, and some leftovers, however long it runs.

use super::Client;

/// So many leftovers in one place are nothing.
const FEW: usize = 66;

impl Client {
    /// Requests whose answers will be heard.
    pub(super) fn alive(&self) -> usize {
        self.wire.values().filter(|request| request.alive).count()
    }

    /// What is over long since is not looked at any more: storms that go on for long stay quick.
    pub(crate) fn forget_the_past(&mut self) {
        let old = self.sent.saturating_sub(200);
        self.wire.retain(|number, request| request.alive || *number >= old);
        let over = self.waits.len().saturating_sub(100);
        let mut number = 0;
        self.waits.retain(|wait| {
            number += 1;
            wait.is_here() || number > over
        });
    }

    /// Nothing grows but with the waits and the requests.
    pub(crate) fn check_memory(&self) {
        let (kept, (jobs, requests)) = (self.fleet.kept(), self.most_at_once);
        assert!(kept.places <= jobs, "memory: {jobs} waits at once, {kept:?}");
        assert!(kept.timers <= kept.places + kept.places / 4 + FEW, "memory: timers, {kept:?}");
        assert_eq!(kept.requests, self.alive(), "memory: requests, {kept:?}");
        assert!(kept.expiries <= 2 * requests + FEW, "memory: {requests} requests at once, {kept:?}");
        assert!(kept.lanes <= 2, "memory: there are two origins, {kept:?}");
        assert!(kept.in_line <= 3 * kept.lanes * (2 * jobs + FEW), "memory: {jobs} waits at once, {kept:?}");
        assert!(kept.members <= 4 * jobs + FEW, "memory: {jobs} waits at once, {kept:?}");
        assert_eq!(kept.news, 0, "memory: it was all drained, {kept:?}");
        let here = self.waits.iter().filter(|wait| wait.is_here()).count();
        assert_eq!(self.fleet.snapshots().count(), here, "memory: jobs are left");
    }
}
