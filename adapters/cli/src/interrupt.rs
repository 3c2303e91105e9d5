//! Ctrl-C and SIGTERM: the first stops the wait, the second the program.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::failure::Failure;

/// Tells whether, and by what, the program was interrupted.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    signal: Arc<AtomicI32>,
    came: watch::Receiver<bool>,
}

impl Interrupt {
    /// From now on the first signal is told, and a second one ends the program at once. Until then one is
    /// enough.
    pub(crate) fn watch() -> Result<Self, Failure> {
        Self::watch_and(|| ()).map_err(Failure::local)
    }

    /// The same; the first signal calls `stop`.
    pub(crate) fn watch_and(stop: impl Fn() + Send + 'static) -> io::Result<Self> {
        let signal = Arc::new(AtomicI32::new(0));
        let (sender, came) = watch::channel(false);
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let first = Arc::clone(&signal);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                if first.swap(number, Ordering::SeqCst) != 0 {
                    if io::stderr().is_terminal() {
                        // Live lines end without one.
                        let _ = writeln!(io::stderr());
                    }
                    std::process::exit(128 + number);
                }
                sender.send_replace(true);
                stop();
            }
        })?;
        Ok(Self { signal, came })
    }

    /// Comes when a signal comes, and at once where one has come.
    pub(crate) async fn came(&self) {
        let mut came = self.came.clone();
        if came.wait_for(|came| *came).await.is_err() {
            // The thread lives as long as the program.
            std::future::pending::<()>().await;
        }
    }

    /// The exit status of an interrupted program: 130 or 143.
    pub(crate) fn status(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => u8::try_from(128 + number).ok(),
        }
    }

    /// Carries the work out unless a signal comes, which drops it.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.came() => Err(self.failure()),
        }
    }

    /// What ends a command that was interrupted and has nothing to tell.
    pub(crate) fn failure(&self) -> Failure {
        Failure { status: self.status().unwrap_or(130), message: String::new() }
    }
}
