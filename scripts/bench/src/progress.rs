//! The line that shows how far a run is.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line on the terminal, drawn again and again; nothing where standard error is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(100);
    const WIDTH: usize = 30;

    pub(crate) fn new() -> Self {
        Progress {
            terminal: io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// `share` is from 0 to 1. `detail` is made only when the line is drawn.
    pub(crate) fn show(&mut self, what: &str, share: f64, detail: impl FnOnce() -> String) {
        if !self.terminal
            || self
                .shown
                .is_some_and(|shown| shown.elapsed() < Self::EVERY)
        {
            return;
        }
        self.shown = Some(Instant::now());
        let share = share.clamp(0.0, 1.0);
        let full = (share * Self::WIDTH as f64) as usize;
        let bar = "█".repeat(full) + &"░".repeat(Self::WIDTH - full);
        let _ = write!(
            io::stderr(),
            "\r\x1b[2K{what:<20} {bar} {:3.0} % {}",
            share * 100.0,
            detail()
        );
    }

    /// Makes room for a line of something else.
    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
