//! The limits of one origin, counted request by request as somebody outside would.

use core::time::Duration;
use std::collections::BTreeMap;

use jobwatch::{RateLimit, Timestamp};

/// So many failed rounds are an outage.
const OUTAGE: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Requests under way, and when their time is over.
    open: BTreeMap<u64, Timestamp>,
    /// When so many requests would be nothing remarkable any more.
    paid_at: Timestamp,
    silent_until: Timestamp,
    /// After a throttle one goes first.
    probing: bool,
    /// Failures in a row, those that overlap counted once.
    rounds: u32,
    failed_at: Timestamp,
    /// Whatever may count as one of them.
    troubles: u32,
}

impl Lane {
    /// A request leaves: nothing may be exceeded by it.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        number: u64,
        expires: Timestamp,
        limit: usize,
        rate: Option<RateLimit>,
    ) {
        self.open.retain(|_, expires| *expires > now);
        assert!(
            now >= self.silent_until,
            "throttles: sent at {now}, silence was asked for until {}",
            self.silent_until
        );
        let one = self.probing || self.rounds >= OUTAGE;
        assert!(!one || self.open.is_empty(), "probes: sent beside {} others, {self:?}", self.open.len());
        assert!(self.open.len() < limit, "limits: {} in flight, {limit} allowed", self.open.len() + 1);
        self.open.insert(number, expires);
        let Some(rate) = rate else { return };
        let debt = self.paid_at.saturating_since(now);
        assert!(debt <= rate.interval() * (rate.burst() - 1), "limits: a request too many at {now}, {debt:?} ahead");
        self.paid_at = self.paid_at.max(now).saturating_add(rate.interval());
    }

    pub(crate) fn end(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// An answer was heard: one that asks all for patience, by so much, or another.
    pub(crate) fn hear(&mut self, sent_at: Timestamp, now: Timestamp, throttled: bool, silence: Option<Duration>) {
        self.rounds = 0;
        self.troubles += 1;
        if let Some(silence) = silence {
            self.silent_until = self.silent_until.max(now.saturating_add(silence));
        }
        if throttled || silence.is_some() {
            self.probing = true;
        } else if sent_at >= self.silent_until {
            self.probing = false;
        }
    }

    /// The answer told what it was asked for.
    pub(crate) fn hear_well(&mut self) {
        self.troubles = 0;
    }

    /// Nothing keeps a request back.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        now >= self.silent_until && self.troubles < 2 && self.open.values().all(|expires| *expires <= now)
    }

    pub(crate) fn fail(&mut self, sent_at: Timestamp, now: Timestamp) {
        self.troubles += 1;
        if self.rounds == 0 || sent_at >= self.failed_at {
            self.rounds += 1;
            self.failed_at = now;
        }
    }
}
