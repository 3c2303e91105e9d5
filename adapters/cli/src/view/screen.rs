//! The last lines of a terminal, drawn again and again.
//!
//! Lines are cut to the width that there is and end where they end: neither what the terminal does with a full line nor what
//! it writes itself (`^C`) moves the cursor into another row. When the window gets narrower, terminals wrap what is there, so
//! that it is known for each line how many rows it may take now.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use console::{Term, measure_text_width};

/// What is assumed where the terminal does not tell.
const SIZE: (u16, u16) = (24, 80);

pub(super) struct Screen {
    term: Term,
    /// The widths of the lines that are on the screen.
    drawn: Vec<usize>,
    /// The program was stopped and goes on: others have written on the terminal.
    resumed: Arc<AtomicBool>,
}

impl Screen {
    /// Standard error.
    pub(super) fn new() -> Self {
        let resumed = Arc::new(AtomicBool::new(false));
        // Without it a resumed program draws over what the shell said, and no more than that.
        #[cfg(unix)]
        let _ = signal_hook::flag::register(signal_hook::consts::SIGCONT, Arc::clone(&resumed));
        Self { term: Term::buffered_stderr(), drawn: Vec::new(), resumed }
    }

    /// The columns that a line may take.
    pub(super) fn width(&self) -> usize {
        usize::from(self.size().1).saturating_sub(1).max(1)
    }

    pub(super) fn rows(&self) -> usize {
        usize::from(self.size().0).max(1)
    }

    fn size(&self) -> (u16, u16) {
        self.term.size_checked().unwrap_or(SIZE)
    }

    /// These lines instead of those that are there; where there are too many, the last one and the first of the others.
    /// What a terminal that is gone does not show is lost.
    pub(super) fn draw(&mut self, lines: &[String]) {
        let _ = self.try_draw(lines);
    }

    /// Takes the lines away.
    pub(super) fn clear(&mut self) {
        let _ = self.erase().and_then(|()| self.term.flush());
    }

    fn try_draw(&mut self, lines: &[String]) -> io::Result<()> {
        self.erase()?;
        let Some((last, others)) = lines.split_last() else { return self.term.flush() };
        let width = self.width();
        let others = others.iter().take(self.rows().saturating_sub(2));
        for line in others {
            let line = console::truncate_str(line, width, "…");
            self.drawn.push(measure_text_width(&line));
            self.term.write_line(&line)?;
        }
        let last = console::truncate_str(last, width, "…");
        self.drawn.push(measure_text_width(&last));
        self.term.write_str(&last)?;
        self.term.flush()
    }

    fn erase(&mut self) -> io::Result<()> {
        let drawn = std::mem::take(&mut self.drawn);
        if self.resumed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        if drawn.is_empty() {
            return Ok(());
        }
        let width = usize::from(self.size().1).max(1);
        let rows: usize = drawn.iter().map(|line| line.div_ceil(width).max(1)).sum();
        // Row by row: where everything from the first row on is cleared at once, some terminals keep it as history.
        self.term.clear_line()?;
        for _ in 1..rows.min(self.rows()) {
            self.term.move_cursor_up(1)?;
            self.term.clear_line()?;
        }
        Ok(())
    }
}
