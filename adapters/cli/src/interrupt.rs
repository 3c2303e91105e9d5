//! Ctrl-C and SIGTERM: the first stops the wait, the second the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Tells whether, and by what, the program was interrupted.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    signal: Arc<AtomicI32>,
}

impl Interrupt {
    /// From now on the first signal calls `stop`, and a second one ends the program at once.
    pub(crate) fn watch(stop: impl Fn() + Send + 'static) -> io::Result<Self> {
        let signal = Arc::new(AtomicI32::new(0));
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let first = Arc::clone(&signal);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                if first.swap(number, Ordering::SeqCst) != 0 {
                    std::process::exit(128 + number);
                }
                stop();
            }
        })?;
        Ok(Self { signal })
    }

    /// The exit status of an interrupted program: 130 or 143.
    pub(crate) fn status(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => u8::try_from(128 + number).ok(),
        }
    }
}
