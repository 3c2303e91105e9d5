//! What all jobs of an origin share, as the reference knows it: how many a list asks for, a pace,
//! silences, outages.

use core::time::Duration;
use std::collections::VecDeque;

use jobwatch::{LookError, RateLimit, Timestamp};

/// What an answer says of the backend.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// It told the state of a job.
    pub(crate) good: bool,
    /// The backend has done its work.
    pub(crate) answered: bool,
    pub(crate) throttled: bool,
    pub(crate) cool_down: Option<Duration>,
    pub(crate) failed: Option<LookError>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) origin: String,
    pub(crate) requests: u64,
    /// Jobs of which a further request is to be sent here.
    pub(crate) further: VecDeque<usize>,
    pub(crate) limit: usize,
    pub(crate) rate: Option<RateLimit>,
    /// When the requests that went are paid for, each with the time between two: a burst may run ahead of it.
    paid_at: Timestamp,
    /// A good answer has come.
    pub(crate) proven: bool,
    /// So many jobs a list may ask for: by the dialect, by what was too many, by what failed.
    size: usize,
    ceiling: usize,
    most: usize,
    /// Good answers to jobs alone since lists failed, and how many there must be until one is tried again.
    alone: u32,
    patience: u32,
    pub(crate) silent_until: Timestamp,
    /// One request at a time until one was answered well.
    pub(crate) probing: bool,
    /// Failed rounds without an answer in between: their number, when the first and the last one failed.
    rounds: u32,
    out_since: Timestamp,
    out_last: Timestamp,
    pub(crate) error: LookError,
}

impl Lane {
    pub(crate) fn new(origin: &str, limit: usize, rate: Option<RateLimit>, size: usize, proven: bool) -> Self {
        Self {
            origin: origin.to_string(),
            requests: 0,
            further: VecDeque::new(),
            limit: limit.max(1),
            rate,
            paid_at: Timestamp::UNIX_EPOCH,
            proven,
            size,
            ceiling: usize::MAX,
            most: usize::MAX,
            alone: 0,
            patience: 4,
            silent_until: Timestamp::UNIX_EPOCH,
            probing: false,
            rounds: 0,
            out_since: Timestamp::UNIX_EPOCH,
            out_last: Timestamp::UNIX_EPOCH,
            error: LookError::Unreachable,
        }
    }

    /// Another origin under the same limits, of which nothing is known.
    pub(crate) fn like(&self, origin: &str) -> Self {
        Self::new(origin, self.limit, self.rate, self.size, false)
    }

    /// How many jobs a list asks for at present.
    pub(crate) fn list_size(&self) -> usize {
        if self.is_out() { 1 } else { self.size.min(self.ceiling).min(self.most).max(1) }
    }

    pub(crate) fn is_out(&self) -> bool {
        self.rounds >= 3
    }

    /// In an outage a probe goes every second, and a rate is kept.
    pub(crate) fn opens_at(&self) -> Timestamp {
        let probe =
            if self.is_out() { self.out_last.saturating_add(Duration::from_secs(1)) } else { Timestamp::UNIX_EPOCH };
        probe.max(self.paced_until())
    }

    /// When the rate lets the next request go.
    pub(crate) fn paced_until(&self) -> Timestamp {
        let ahead = |rate: RateLimit| rate.interval() * (rate.burst() - 1);
        self.rate.map_or(Timestamp::UNIX_EPOCH, |rate| self.paid_at.saturating_sub(ahead(rate)))
    }

    pub(crate) fn note_sent(&mut self, now: Timestamp) {
        self.requests += 1;
        if let Some(rate) = self.rate {
            self.paid_at = self.paid_at.max(now).saturating_add(rate.interval());
        }
    }

    /// Whether waiting for its end is of no use: after five rounds where no good answer was ever seen, else after this time.
    pub(crate) fn is_hopeless(&self, longest: Duration, now: Timestamp) -> bool {
        let is_long = if self.proven { now.saturating_since(self.out_since) >= longest } else { self.rounds >= 5 };
        self.is_out() && is_long
    }

    pub(crate) fn note_answer(&mut self, heard: Heard, sent_at: Timestamp, now: Timestamp) {
        self.proven |= heard.good;
        if let Some(time) = heard.cool_down {
            self.silent_until = self.silent_until.max(now.saturating_add(time));
            self.probing = true;
        } else if heard.throttled {
            self.silent_until = self.silent_until.max(now);
            self.probing = true;
        } else if heard.answered && sent_at >= self.silent_until {
            self.probing = false;
        }
        if heard.answered || heard.throttled {
            self.rounds = 0;
        }
        if let Some(error) = heard.failed {
            self.note_failure(error, sent_at, now);
        }
    }

    pub(crate) fn note_failure(&mut self, error: LookError, sent_at: Timestamp, now: Timestamp) {
        self.error = error;
        if self.rounds == 0 {
            self.out_since = now;
        }
        // What was sent before the last round failed belongs to it.
        if self.rounds == 0 || sent_at >= self.out_last {
            self.rounds += 1;
            self.out_last = now;
        }
    }

    pub(crate) fn note_no_lists(&mut self) {
        self.ceiling = 1;
    }

    pub(crate) fn note_too_many(&mut self, asked: usize) {
        self.ceiling = self.ceiling.min((asked / 2).max(1));
    }

    pub(crate) fn note_good_list(&mut self) {
        self.most = self.most.saturating_mul(2);
        self.patience = 4;
    }

    pub(crate) fn note_failed_list(&mut self, asked: usize) {
        let was_alone = self.most == 1;
        self.most = self.most.min((asked / 2).max(1));
        if self.most == 1 && !was_alone {
            (self.alone, self.patience) = (0, (2 * self.patience).min(256));
        }
    }

    pub(crate) fn note_good_answer_alone(&mut self) {
        if self.most == 1 {
            self.alone += 1;
            if self.alone >= self.patience {
                self.most = 2;
            }
        }
    }
}
