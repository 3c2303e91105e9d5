//! What becomes of requests that asked for many jobs at once.

use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

use http::Response;

use super::requests::{Batch, Page};
use super::{Fleet, Renewal};
use crate::dialect::{BulkAnswer, Reading};
use crate::finished::TransportError;
use crate::job::{Refused, Taken};
use crate::policy::LONGEST_CREDIBLE_HINT;
use crate::{LookError, Observation, Timestamp};

/// Pages of one answer that are asked for.
const MOST_PAGES: u8 = 20;

impl Fleet {
    pub(super) fn take_shared_answer<B: AsRef<[u8]>>(
        &mut self,
        lane: u8,
        mut batch: Batch,
        sent_at: Timestamp,
        now: Timestamp,
        response: &Response<B>,
    ) {
        let backend = Arc::clone(&self.backend);
        let longest = self.policy_of(0).max_retry_after();
        let (entries, next, cool_down) = match backend.dialect().read_bulk(response, now) {
            BulkAnswer::Entries { entries, next, cool_down } => (entries, next, cool_down),
            BulkAnswer::Failed(reading) => {
                self.count(lane, |stats| stats.failed_requests += 1);
                return self.take_shared_failure(lane, batch, sent_at, now, &reading);
            }
        };
        let detail = backend.dialect().bulk().is_some_and(|bulk| bulk.detail);
        let page = batch.page.as_ref();
        let is_last = |page: &Page| page.number >= MOST_PAGES;
        let next = next.filter(|token| page.is_none_or(|page| !is_last(page) && page.token != *token));
        let mut whole = Taken { answered: true, cool_down, ..Taken::default() };
        let mut missing = Vec::new();
        self.told_together = Some(Vec::new());
        self.slab.fetch(batch.members.iter().map(|(handle, _)| handle.slot));
        for (handle, attempt) in core::mem::take(&mut batch.members) {
            let Some(slot) = self.sharing((handle, attempt)) else { continue };
            let Some((terms, job)) = self.open(lane, slot) else { continue };
            let reading = entries.get(job.job.id()).cloned();
            if reading.is_none() && next.is_some() {
                missing.push((handle, attempt));
                continue;
            }
            let taken = job.take_shared(&terms, now, attempt, response, reading, detail);
            whole.good |= taken.good;
            whole.hinted |= taken.hinted;
            self.take_further(slot, now, &taken);
        }
        self.learn_together();
        self.count(lane, |stats| stats.hints += u64::from(whole.hinted));
        let kept = &mut self.lanes[usize::from(lane)];
        kept.note_answer(&whole, sent_at, now, longest);
        if whole.good {
            kept.company.note_good_list();
        }
        self.note_credentials(&whole, batch.renewals, now, response.status().as_u16());
        if let Some(token) = next.filter(|_| !missing.is_empty()) {
            self.ask_for_page(lane, Batch { members: missing, ..batch }, token, now);
        }
    }

    pub(super) fn take_shared_error(&mut self, lane: u8, batch: Batch, now: Timestamp, error: &TransportError) {
        self.count(lane, |stats| stats.failed_requests += 1);
        let company = &mut self.lanes[usize::from(lane)].company;
        if error.error == LookError::TooLarge && batch.members.len() > 1 {
            company.note_too_many(batch.ids.len());
            return self.split(lane, batch, false, now);
        }
        company.note_failure(batch.ids.len());
        self.fail_all(lane, batch, now, error.observation(), &error.to_string());
    }

    /// What becomes of a shared request that failed as a whole.
    fn take_shared_failure(&mut self, lane: u8, batch: Batch, sent_at: Timestamp, now: Timestamp, reading: &Reading) {
        let longest = self.policy_of(0).max_retry_after();
        // By a further page, too, all of them are asked for.
        let asked = batch.ids.len();
        let kept = &mut self.lanes[usize::from(lane)];
        let mut taken = Taken { cool_down: reading.cool_down, ..Taken::default() };
        let message = |what: LookError| reading.message.clone().unwrap_or_else(|| format!("{what}"));
        match reading.observation {
            // What was refused for good is not asked with again, though it may have been on its way by then.
            Observation::Fatal { error: LookError::Status(401) }
                if self.refused.is_none() && batch.renewals < self.backend.renewals() =>
            {
                self.repeat(lane, batch, now);
            }
            Observation::Fatal { error: LookError::Status(401) }
                if self.refused.is_none() && !matches!(self.renewal, Renewal::Impossible | Renewal::Unproven) =>
            {
                taken.refused = Some(Refused::Renewable);
                let renewals = batch.renewals;
                self.repeat(lane, batch, now);
                self.note_credentials(&taken, renewals, now, 401);
            }
            // There are no bulk requests here, whatever the dialect says.
            Observation::Lost { .. } | Observation::Fatal { error: LookError::Status(405) } => {
                taken.answered = true;
                kept.note_answer(&taken, sent_at, now, longest);
                kept.company.end();
                for member in batch.members {
                    self.ask_alone(member, now, true);
                }
            }
            Observation::Fatal { error } if lies_in_the_list(error) => {
                taken.answered = true;
                kept.note_answer(&taken, sent_at, now, longest);
                let too_many = matches!(error, LookError::Status(413 | 414 | 431));
                if too_many {
                    kept.company.note_too_many(asked);
                }
                self.split(lane, batch, !too_many, now);
            }
            observation @ (Observation::Throttled { error, .. } | Observation::Fatal { error }) => {
                taken.throttled = matches!(observation, Observation::Throttled { .. });
                taken.answered = !taken.throttled;
                kept.note_answer(&taken, sent_at, now, longest);
                let (throttled, hinted) = (u64::from(taken.throttled), u64::from(tells_a_hint(observation)));
                self.count(lane, |stats| {
                    stats.throttled_requests += throttled;
                    stats.hints += hinted;
                });
                let renewals = batch.renewals;
                self.fail_all(lane, batch, now, observation, &message(error));
                if error == LookError::Status(401) {
                    taken.refused = Some(Refused::ForGood);
                    self.note_credentials(&taken, renewals, now, 401);
                }
            }
            observation => {
                let (error, hint) = match observation {
                    Observation::Transient { error, hint } => (error, hint),
                    _ => (LookError::Malformed, None),
                };
                kept.note_answer(&taken, sent_at, now, longest);
                kept.note_failure(error, sent_at, now);
                kept.company.note_failure(asked);
                let observation = Observation::Transient { error, hint };
                self.count(lane, |stats| stats.hints += u64::from(tells_a_hint(observation)));
                self.fail_all(lane, batch, now, observation, &message(error));
            }
        }
    }

    fn fail_all(&mut self, lane: u8, batch: Batch, now: Timestamp, observation: Observation, message: &str) {
        for member in batch.members {
            if let Some(slot) = self.sharing(member)
                && let Some((terms, job)) = self.open(lane, slot)
            {
                job.fail_shared(&terms, now, member.1, observation, message);
                self.settle(slot, now);
            }
        }
    }
}

/// One id may spoil the request for all, or there are too many; no part of the list helps against credentials that are
/// refused, against a bill that is not paid (402) or a quota that is spent (429).
fn lies_in_the_list(error: LookError) -> bool {
    match error {
        LookError::Status(401 | 402 | 429) => false,
        LookError::Status(status) => (400..500).contains(&status),
        error => error == LookError::Envelope,
    }
}

fn tells_a_hint(observation: Observation) -> bool {
    match observation {
        Observation::Throttled { hint, .. } | Observation::Transient { hint, .. } => {
            hint.is_some_and(|hint| hint.delay() <= LONGEST_CREDIBLE_HINT)
        }
        _ => false,
    }
}
