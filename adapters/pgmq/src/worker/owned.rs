//! The jobs that a worker owns, and what the database has not heard of them.

use std::collections::HashMap;
use std::time::Duration;

use jobwatch::{Fleet, JobHandle, JobSnapshot, Timestamp};

use crate::Claim;
use crate::queue::Wanted;

/// Looks that are due within this time are asked for together: a grant reaches so far.
const AHEAD: Duration = Duration::from_secs(1);

/// So many changes are written at once.
const BATCH: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Owned {
    jobs: HashMap<JobHandle, Job>,
    handles: HashMap<i64, JobHandle>,
    /// Jobs in another state than their messages tell.
    changed: Vec<JobHandle>,
    /// Jobs at which a look was begun, as the database knows, and of which it has not heard that the look is over.
    begun: Vec<JobHandle>,
}

#[derive(Debug)]
struct Job {
    claim: Claim,
    look: FirstLook,
    changed: bool,
}

/// How the first look of this ownership stands, by which crashes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstLook {
    ToCome,
    /// The database knows that it begins; so many requests had come to their end before.
    Begun(u32),
    Over,
}

/// What there is to ask for.
pub(super) struct Demand {
    pub(super) wanted: Wanted,
    started: Vec<JobHandle>,
}

impl Owned {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn insert(&mut self, handle: JobHandle, claim: Claim) {
        self.jobs.insert(handle, Job { claim, look: FirstLook::ToCome, changed: false });
        self.handles.insert(claim.id, handle);
    }

    pub(super) fn remove(&mut self, handle: JobHandle) -> Option<Claim> {
        let claim = self.jobs.remove(&handle)?.claim;
        // The same message may be owned again, in a later epoch.
        if self.handles.get(&claim.id) == Some(&handle) {
            self.handles.remove(&claim.id);
        }
        Some(claim)
    }

    /// The job of this ownership.
    pub(super) fn handle(&self, claim: Claim) -> Option<JobHandle> {
        self.handles
            .get(&claim.id)
            .copied()
            .filter(|handle| self.jobs.get(handle).is_some_and(|job| job.claim == claim))
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.jobs.values().map(|job| job.claim)
    }

    pub(super) fn all(&self) -> Vec<JobHandle> {
        self.jobs.keys().copied().collect()
    }

    pub(super) fn note_changed(&mut self, handle: JobHandle) {
        if let Some(job) = self.jobs.get_mut(&handle)
            && !job.changed
        {
            job.changed = true;
            self.changed.push(handle);
        }
    }

    /// The looks that are due now or soon, in their order, those first whose requests are ready.
    pub(super) fn demand(&self, fleet: &Fleet, now: Timestamp, each: u16, held: bool) -> Demand {
        let soon = now.saturating_add(AHEAD);
        let (mut due, mut started) = (0_usize, Vec::new());
        // In the order of the fleet's places, in which it asks for those that are due at the same instant.
        for (handle, _) in fleet.jobs() {
            let (Some(job), Some(progress)) = (self.jobs.get(&handle), fleet.progress(handle)) else { continue };
            let is_due = !progress.in_flight && progress.next <= soon;
            due += usize::from(is_due);
            if job.look == FirstLook::ToCome && (is_due || progress.in_flight) {
                started.push((!progress.in_flight, progress.next, job.claim.id, handle));
            }
        }
        // Stable: the places stay in their order.
        started.sort_by_key(|(is_later, next, ..)| (*is_later, *next));
        let requests = due.div_ceil(usize::from(each.max(1))) + usize::from(held);
        let ids = started.iter().map(|(.., id, _)| *id).collect();
        let started = started.into_iter().map(|(.., handle)| handle).collect();
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        Demand { wanted: Wanted { requests, started: ids, each }, started }
    }

    /// So many of these requests were granted.
    pub(super) fn note_begun(&mut self, fleet: &Fleet, demand: &Demand, granted: u32) {
        let most = (granted as usize).saturating_mul(usize::from(demand.wanted.each));
        for handle in demand.started.iter().take(most) {
            let (Some(job), Some(progress)) = (self.jobs.get_mut(handle), fleet.progress(*handle)) else { continue };
            job.look = FirstLook::Begun(progress.requests.saturating_sub(u32::from(progress.in_flight)));
            self.begun.push(*handle);
        }
    }

    /// Whether there is something that the database should hear.
    pub(super) fn has_news(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Whether there may be something, to be looked for from time to time.
    pub(super) fn may_have_news(&self) -> bool {
        !self.begun.is_empty()
    }

    /// What the database should hear now, a batch of it.
    pub(super) fn news(&mut self, fleet: &Fleet) -> Vec<(Claim, Option<JobSnapshot>)> {
        let mut news = Vec::new();
        while news.len() < BATCH
            && let Some(handle) = self.changed.pop()
        {
            let Some(job) = self.jobs.get_mut(&handle) else { continue };
            job.changed = false;
            if let Some(snapshot) = fleet.snapshot(handle) {
                job.look = FirstLook::Over;
                news.push((job.claim, Some(snapshot)));
            }
        }
        let begun = std::mem::take(&mut self.begun);
        for handle in begun {
            let Some(job) = self.jobs.get_mut(&handle) else { continue };
            let FirstLook::Begun(before) = job.look else { continue };
            let Some(progress) = fleet.progress(handle) else { continue };
            if news.len() < BATCH && !progress.in_flight && progress.requests > before {
                job.look = FirstLook::Over;
                news.push((job.claim, None));
            } else {
                self.begun.push(handle);
            }
        }
        news
    }

    /// The database has not heard it.
    pub(super) fn take_back(&mut self, news: Vec<(Claim, Option<JobSnapshot>)>) {
        for (claim, snapshot) in news {
            let Some(handle) = self.handle(claim) else { continue };
            if snapshot.is_some() {
                self.note_changed(handle);
            } else if let Some(job) = self.jobs.get_mut(&handle) {
                // Whatever was requested until now counts: the look is over.
                job.look = FirstLook::Begun(0);
                self.begun.push(handle);
            }
        }
    }
}
