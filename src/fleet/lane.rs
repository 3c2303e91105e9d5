//! What all jobs of one origin and credential share: room, cool-downs, and whether the backend has ever answered well.

use core::time::Duration;
use std::string::String;

use crate::Timestamp;
use crate::job::{Refused, Taken};
use crate::policy::LONGEST_CREDIBLE_HINT;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) in_flight: usize,
    limit: usize,
    /// The backend has given a good answer.
    pub(super) proven: bool,
    cool_until: Timestamp,
    /// After a throttle one request goes first, and the others when it was answered well.
    probing: bool,
    pub(super) renewal: Renewal,
    /// Why nobody may ask any more: the credentials were refused for good.
    pub(super) refused: Option<String>,
}

/// Whether refused credentials can be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    Impossible,
    Possible,
    /// A request was refused, and nobody knows yet.
    Wanted,
    UnderWay,
    /// The new ones have not been accepted yet: if they are refused, it is for good.
    Unproven,
}

impl Lane {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            in_flight: 0,
            limit,
            proven: false,
            cool_until: Timestamp::UNIX_EPOCH,
            probing: false,
            renewal: Renewal::Impossible,
            refused: None,
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < if self.probing { 1 } else { self.limit }
    }

    /// The end of the present cool-down.
    pub(super) fn cooling(&self, now: Timestamp) -> Option<Timestamp> {
        (now < self.cool_until).then_some(self.cool_until)
    }

    pub(super) fn can_renew(&self) -> bool {
        !matches!(self.renewal, Renewal::Impossible | Renewal::Unproven)
    }

    pub(super) fn note_answer(&mut self, taken: &Taken, sent_at: Timestamp, now: Timestamp, longest: Duration) {
        self.proven |= taken.good;
        if taken.refused == Some(Refused::Renewable) && self.renewal == Renewal::Possible {
            self.renewal = Renewal::Wanted;
        } else if taken.good && self.renewal == Renewal::Unproven {
            self.renewal = Renewal::Possible;
        }
        if let Some(time) = taken.cool_down.filter(|time| *time <= LONGEST_CREDIBLE_HINT) {
            self.cool_until = self.cool_until.max(now.saturating_add(time.min(longest)));
            self.probing = true;
        } else if taken.throttled {
            // For how long is not told: until a request that is sent from now on is answered well.
            self.cool_until = self.cool_until.max(now);
            self.probing = true;
        } else if sent_at >= self.cool_until && taken.answered {
            self.probing = false;
        }
    }
}
