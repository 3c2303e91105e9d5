//! The requests that were granted, each at its instant on the line of time that all workers of a lane share.

use std::collections::VecDeque;
use std::time::Duration;

use jobwatch::RateLimit;
use tokio::time::Instant;

use crate::Grant;

/// More is asked for when what was granted lasts no longer than this.
const ASK_AHEAD: Duration = Duration::from_millis(100);

/// Requests that could not be sent at their instants may be sent together afterwards, as many as fall into this time.
const SLACK: Duration = Duration::from_millis(50);

/// So long after its instant a request that was not sent is no longer granted.
const EXPIRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    grants: VecDeque<(Instant, u32)>,
    /// When the last of the requests allowed so far expires.
    expires: Option<Instant>,
    /// Nothing is asked for before.
    ask_at: Instant,
}

impl Pace {
    pub(super) fn new(rate: RateLimit, now: Instant) -> Self {
        Self { interval: rate.interval(), grants: VecDeque::new(), expires: None, ask_at: now }
    }

    pub(super) fn granted(&mut self, grant: Grant, now: Instant) {
        if grant.requests > 0 {
            self.grants.push_back((now + grant.wait, grant.requests));
        } else {
            // The next second is taken by others. A grant reaches one second ahead.
            self.ask_after(grant.wait.saturating_sub(Duration::from_secs(1)) + self.interval.min(ASK_AHEAD), now);
        }
    }

    /// Nothing is asked for within this time.
    pub(super) fn ask_after(&mut self, time: Duration, now: Instant) {
        self.ask_at = now + time;
    }

    /// Something has changed: asking may be worth it at once.
    pub(super) fn ask_now(&mut self, now: Instant) {
        self.ask_at = self.ask_at.min(now);
    }

    /// Granted requests whose instant is still to come.
    pub(super) fn left(&self) -> u32 {
        self.grants.iter().map(|(_, left)| left).sum()
    }

    /// Whether it is time to ask for more, if there is need of it.
    pub(super) fn is_short(&self, now: Instant) -> bool {
        now >= self.ask_at && self.is_running_out()
    }

    fn is_running_out(&self) -> bool {
        self.interval.saturating_mul(self.left()) <= ASK_AHEAD
    }

    /// How many requests are allowed at this instant, if so many were allowed before and not sent.
    pub(super) fn allowed(&mut self, unspent: u64, now: Instant) -> u64 {
        let mut allowed = if self.expires.is_some_and(|expires| now < expires) { unspent } else { 0 };
        while let Some((at, left)) = self.grants.front_mut() {
            if *at > now {
                break;
            }
            allowed += 1;
            *left -= 1;
            self.expires = Some(*at + EXPIRY);
            *at += self.interval;
            if *left == 0 {
                self.grants.pop_front();
            }
        }
        allowed.min(self.most_at_once())
    }

    fn most_at_once(&self) -> u64 {
        u64::try_from(SLACK.as_nanos() / self.interval.as_nanos().max(1)).unwrap_or(u64::MAX).max(1)
    }

    /// When something changes by itself.
    pub(super) fn next(&self, needy: bool) -> Option<Instant> {
        let due = self.grants.front().map(|(at, _)| *at);
        // Until it runs out, each request's own instant comes first.
        let ask = (needy && self.is_running_out()).then_some(self.ask_at);
        due.into_iter().chain(ask).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: f64) -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new(RateLimit::per_second(rate).unwrap(), now), now)
    }

    fn grant(requests: u32, wait_ms: u64) -> Grant {
        Grant { requests, wait: Duration::from_millis(wait_ms) }
    }

    #[test]
    fn each_request_has_its_instant() {
        let (mut pace, start) = pace(10.0);
        let at = |ms| start + Duration::from_millis(ms);
        assert!(pace.is_short(start));
        pace.granted(grant(5, 200), start);
        assert!(!pace.is_short(start));
        assert_eq!((pace.allowed(0, at(199)), pace.next(false)), (0, Some(at(200))));
        assert_eq!((pace.allowed(0, at(200)), pace.next(false)), (1, Some(at(300))));
        assert_eq!((pace.allowed(0, at(299)), pace.left()), (0, 4));
        assert_eq!(pace.allowed(0, at(300)), 1);
        assert!(!pace.is_short(at(300)) && pace.left() == 3);
        assert_eq!(pace.allowed(0, at(500)), 1, "two instants have passed, and the slack is less than an interval");
        assert!(pace.is_short(at(500)) && pace.left() == 1);
    }

    #[test]
    fn what_is_not_sent_lapses() {
        let (mut pace, start) = pace(100.0);
        let at = |ms| start + Duration::from_millis(ms);
        pace.granted(grant(50, 0), start);
        assert_eq!(pace.allowed(0, at(30)), 4);
        assert_eq!(pace.allowed(4, at(300)), 5, "fifty milliseconds' worth");
        assert_eq!((pace.allowed(5, at(490)), pace.left()), (5, 0));
        assert_eq!(pace.allowed(5, at(1_489)), 5);
        assert_eq!(pace.allowed(5, at(1_490)), 0);
    }

    #[test]
    fn a_full_second_is_not_asked_for_again_at_once() {
        let (mut pace, start) = pace(10.0);
        pace.granted(grant(0, 1_300), start);
        assert!(!pace.is_short(start + Duration::from_millis(399)));
        assert!(pace.is_short(start + Duration::from_millis(400)));
        pace.ask_now(start);
        assert!(pace.is_short(start));
    }
}
