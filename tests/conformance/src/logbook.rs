//! What drivers tell with `tracing`, while all stories of a process are told.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static BEGUN: Once = Once::new();
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// From here on everything is kept, of the drivers and the core, in the most talkative level.
pub(crate) fn begin() {
    BEGUN.call_once(|| {
        let ours = filter_fn(|told| told.target().starts_with("jobwatch"));
        tracing_subscriber::registry().with(layer().with_ansi(false).with_writer(|| Logbook).with_filter(ours)).init();
    });
}

/// Everything kept so far.
pub(crate) fn read() -> String {
    String::from_utf8_lossy(&LINES.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

struct Logbook;

impl Write for Logbook {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
