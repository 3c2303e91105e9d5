//! A timer for one instant after the other.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jobwatch::Timestamp;
use tokio::time::{Instant, Sleep, sleep};

use crate::clock::Clock;

/// A machine that was suspended notices within this time that it is late.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// A timer that is set anew only where it would ring too late, or has rung. One that rings too soon does no harm, and
/// costs less than to set it for each of many instants that mostly do not come.
#[derive(Default)]
pub(crate) struct Alarm {
    /// Made when it is polled first, since it needs a runtime.
    timer: Option<Pin<Box<Sleep>>>,
    rings_at: Timestamp,
}

impl Alarm {
    /// When it wakes who has polled it last; `None` where it is not set.
    pub(crate) fn rings_at(&self) -> Option<Timestamp> {
        self.timer.as_ref().filter(|timer| !timer.is_elapsed()).map(|_| self.rings_at)
    }

    /// Ready at this instant.
    ///
    /// # Panics
    /// Outside of a runtime with time enabled.
    pub(crate) fn poll(&mut self, clock: &Clock, at: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = &mut self.timer
            && self.rings_at <= at
        {
            ready!(timer.as_mut().poll(cx));
        }
        loop {
            let now = clock.now();
            let left = at.saturating_since(now);
            if left.is_zero() {
                return Poll::Ready(());
            }
            // tokio's timers round up to whole milliseconds, so that nothing is polled a moment too early, over and over.
            let left = left.min(LONGEST_SLEEP);
            self.rings_at = now.saturating_add(left);
            let timer = match &mut self.timer {
                Some(timer) => {
                    timer.as_mut().reset(Instant::now() + left);
                    timer
                }
                none => none.insert(Box::pin(sleep(left))),
            };
            ready!(timer.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_instant_that_was_asked_for_last() {
        let (clock, mut alarm) = (Clock::start(), Alarm::default());
        let late = clock.now().saturating_add(Duration::from_secs(3_600));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(&clock, late, cx))).await.is_pending());
        for millis in [5, 1, 20] {
            let at = clock.now().saturating_add(Duration::from_millis(millis));
            poll_fn(|cx| alarm.poll(&clock, at, cx)).await;
            assert!(clock.now() >= at, "not before");
        }
        poll_fn(|cx| alarm.poll(&clock, Timestamp::UNIX_EPOCH, cx)).await;
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(&clock, Timestamp::MAX, cx))).await.is_pending());
    }
}
