//! A whole wait without std, alloc, clock or entropy, linked against libc alone.
#![no_std]
#![no_main]

use core::convert::Infallible;
use core::panic::PanicInfo;
use core::time::Duration;

use jobwatch::{Action, Observation, Outcome, Policy, Poller, Timestamp};

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

/// The precompiled `core` was built to unwind and names it; with `panic = "abort"` nobody calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The seed, in place of a generator.
struct Seed(u64);

impl rand_core::TryRng for Seed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0 as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0 as u8);
        Ok(())
    }
}

/// A job that takes 95 s, looked at by the default policy.
fn wait() -> Option<(Outcome, u32, Duration)> {
    let start = Timestamp::from_secs(1_700_000_000);
    let end = start.saturating_add(Duration::from_secs(95));
    let mut poller = Poller::new(Policy::default(), start, &mut Seed(1));
    let mut now = start;
    let mut action = poller.poll(now);
    loop {
        action = match action {
            Action::Sleep { until, .. } => {
                now = until;
                poller.poll(now)
            }
            Action::Send(look) => {
                let says = if now < end { Observation::Running { hint: None } } else { Observation::Succeeded };
                poller.handle_observation(now, look.id, says).ok()?
            }
            Action::Done(ended) | Action::TimedOut(ended) => return Some((ended.outcome, ended.looks, ended.elapsed)),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    match wait() {
        Some((Outcome::Succeeded, looks, elapsed)) => {
            let soon = (95..95 + 60).contains(&elapsed.as_secs());
            if soon && (5..20).contains(&looks) { 0 } else { 2 }
        }
        _ => 1,
    }
}
