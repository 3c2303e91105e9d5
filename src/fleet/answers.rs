//! What becomes of the answers to requests for one job.

use std::collections::HashSet;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use http::Response;
use url::Url;

use super::slab::View;
use super::step::MOST_LEFTOVERS;
use super::words::JobHandle;
use super::{Fleet, News, Renewal};
use crate::dialect::exhausted_for;
use crate::finished::TransportError;
use crate::job::{HopId, Refused, Taken};
use crate::{Observation, Timestamp};

impl Fleet {
    /// Takes the answer to a request for one job; tells whether the job is there to hear it.
    pub(super) fn take_answer<B: AsRef<[u8]>>(
        &mut self,
        lane: u8,
        handle: JobHandle,
        hop: HopId,
        sent_at: Timestamp,
        now: Timestamp,
        response: &Response<B>,
    ) -> bool {
        let Some(slot) = self.waiting(handle) else { return false };
        let Some((terms, job)) = self.open(lane, slot) else { return false };
        let longest = terms.policy.max_retry_after();
        let (failed, renewals, led_by) = (job.failed_requests(), job.asked_with(), job.led_by());
        let Some(mut taken) = job.handle_response(&terms, now, hop, response) else {
            self.settle_unless_in_line(slot, now);
            return false;
        };
        // An exhausted quota is everybody's, also where the answer is a redirect, a result, or leads to one.
        taken.cool_down = taken.cool_down.or_else(|| exhausted_for(response.headers()));
        let failed = job.failed_requests() - failed;
        self.count(lane, |stats| {
            stats.failed_requests += u64::from(failed);
            stats.throttled_requests += u64::from(taken.throttled);
            stats.hints += u64::from(taken.hinted);
        });
        let kept = &mut self.lanes[usize::from(lane)];
        kept.note_answer(&taken, sent_at, now, longest);
        if let Some(error) = taken.failed {
            kept.note_failure(error, sent_at, now);
        }
        if taken.good {
            kept.company.note_good_answer();
            self.note_led_well(lane, led_by, now);
        }
        self.note_credentials(&taken, renewals, now, response.status().as_u16());
        self.take_further(slot, now, &taken);
        true
    }

    /// Redirects have led to a good answer: the origins that told them have done their work, as a redirect by itself does not
    /// show, which a wrong address gives as well.
    fn note_led_well(&mut self, lane: u8, (led_by, sent_at): (Vec<Url>, Timestamp), now: Timestamp) {
        let longest = self.policy_of(0).max_retry_after();
        for address in led_by {
            let by = self.lane_of(Some(address.as_str()));
            if by != lane {
                let taken = Taken { good: true, answered: true, ..Taken::default() };
                self.lanes[usize::from(by)].note_answer(&taken, sent_at, now, longest);
            }
        }
    }

    /// An answer that its job is not there to hear: whom the backend asks for patience, it asks all.
    pub(super) fn overhear<B: AsRef<[u8]>>(
        &mut self,
        lane: u8,
        sent_at: Timestamp,
        now: Timestamp,
        response: &Response<B>,
    ) {
        let reading = self.backend.dialect().read(response, now);
        let throttled = matches!(reading.observation, Observation::Throttled { .. });
        let cool_down = reading.cool_down.or_else(|| exhausted_for(response.headers()));
        let longest = self.policy_of(0).max_retry_after();
        let taken = Taken { throttled, cool_down, ..Taken::default() };
        self.lanes[usize::from(lane)].note_answer(&taken, sent_at, now, longest);
    }

    /// Takes the news that a request for one job brings no answer.
    pub(super) fn take_error(
        &mut self,
        lane: u8,
        handle: JobHandle,
        hop: HopId,
        now: Timestamp,
        error: &TransportError,
    ) {
        let Some(slot) = self.waiting(handle) else { return };
        let Some((terms, job)) = self.open(lane, slot) else { return };
        let failed = job.failed_requests();
        job.handle_error(&terms, now, hop, error);
        let failed = job.failed_requests() - failed;
        self.count(lane, |stats| stats.failed_requests += u64::from(failed));
        self.settle_unless_in_line(slot, now);
    }

    /// What follows from an answer for the job itself: news, a further request, another lane.
    pub(super) fn take_further(&mut self, slot: u32, now: Timestamp, taken: &Taken) {
        let handle = self.slab.handle(slot);
        if let Some(View::Open(job)) = self.slab.view(slot) {
            if let Some(state) = job.state_word().filter(|_| taken.changed) {
                if taken.unknown_state {
                    self.news.push_back(News::Changed { handle, state: Arc::clone(state), unknown: true });
                }
                self.news.push_back(News::Changed { handle, state: Arc::clone(state), unknown: false });
            }
            let hop = job.next_address().map(String::from);
            let address = job.asked_at().map(String::from);
            if let Some(address) = address {
                self.slab.at_mut(slot).lane = self.lane_of(Some(&address));
            }
            if let Some(hop) = hop {
                // It takes room where it goes, which need not be where the job is asked for.
                let lane = usize::from(self.lane_of(Some(&hop)));
                self.line_up_hop(lane, slot);
            }
        }
        self.forget_old_news();
        self.settle(slot, now);
    }

    /// Of the changes that nobody has drained only the last of each job is kept, once there are many.
    fn forget_old_news(&mut self) {
        if self.news.len() <= 4 * self.slab.len() as usize + MOST_LEFTOVERS {
            return;
        }
        let mut newer = HashSet::new();
        let mut kept: Vec<News> = core::mem::take(&mut self.news).into();
        kept.reverse();
        kept.retain(|news| match news {
            // Who was taken out without a word is not heard of again.
            News::Changed { handle, unknown, .. } => {
                self.slab.slot(*handle).is_some() && newer.insert((*handle, *unknown))
            }
            News::Finished(_) => true,
        });
        kept.reverse();
        self.news = kept.into();
    }

    /// What an answer says of the credentials that all jobs share, which were renewed so often when it was asked for.
    pub(super) fn note_credentials(&mut self, taken: &Taken, renewals: u32, now: Timestamp, status: u16) {
        let is_current = renewals == self.backend.renewals();
        match taken.refused {
            Some(Refused::Renewable) if self.renewal == Renewal::Possible && self.refused.is_none() => {
                self.renewal = Renewal::Wanted;
            }
            Some(Refused::Result) => self.results_refused = true,
            Some(Refused::ForGood) => self.refuse(now, format!("the credentials were refused: HTTP status {status}")),
            None if taken.good && is_current && self.renewal == Renewal::Unproven => self.renewal = Renewal::Possible,
            _ => {}
        }
    }

    /// Where the credentials were refused for good, nobody asks with them any more; what is under way may still tell an
    /// end.
    pub(super) fn refuse(&mut self, now: Timestamp, why: String) {
        self.refused = Some(why);
        for slot in 0..self.slab.len() {
            if self.slab.is_occupied(slot) {
                self.settle(slot, now);
            }
        }
    }
}
