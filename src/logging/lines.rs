//! The channel that lines go through: bounded, and whoever logs never waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use time::OffsetDateTime;

/// Lines that may wait.
pub(super) const WAITING_LINES: usize = 4096;

/// Bytes of lines that may wait.
pub(super) const WAITING_BYTES: usize = 8 << 20;

/// What goes through the channel.
pub(super) enum Entry {
    /// When it was made, and all but its time.
    Line(OffsetDateTime, Vec<u8>),
    /// There are sums to write.
    Sums,
    /// Somebody waits until what came before is written; dropping it tells.
    Flush(Sender<()>),
    End,
}

/// The sending end: never waits.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    entries: Sender<Entry>,
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Of lines in the channel.
    pub(super) waiting_bytes: AtomicUsize,
    /// Lines that there was no room for, since this was last said.
    pub(super) overflowed: AtomicUsize,
}

/// The receiving end.
pub(super) struct Waiting {
    pub(super) entries: Receiver<Entry>,
    pub(super) shared: Arc<Shared>,
}

/// Both ends of a channel.
pub(super) fn lines() -> (Lines, Waiting) {
    let (sender, receiver) = bounded(WAITING_LINES);
    let shared = Arc::new(Shared::default());
    let lines = Lines {
        entries: sender,
        shared: Arc::clone(&shared),
    };
    let waiting = Waiting {
        entries: receiver,
        shared,
    };
    (lines, waiting)
}

impl Lines {
    pub(super) fn send(&self, moment: OffsetDateTime, line: Vec<u8>) {
        let length = line.len();
        let waiting = &self.shared.waiting_bytes;
        let fits = waiting.fetch_add(length, Ordering::Relaxed) + length <= WAITING_BYTES;
        if !fits || self.entries.try_send(Entry::Line(moment, line)).is_err() {
            waiting.fetch_sub(length, Ordering::Relaxed);
            self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A full channel means that the thread is awake, and it looks for sums whenever it is.
    pub(super) fn remind_of_sums(&self) {
        let _ = self.entries.try_send(Entry::Sums);
    }

    /// Waits until what was sent so far is written, at most so long.
    pub(super) fn flush(&self, timeout: Duration) {
        let (written, receiver) = bounded(0);
        if self
            .entries
            .send_timeout(Entry::Flush(written), timeout)
            .is_ok()
        {
            let _ = receiver.recv_timeout(timeout);
        }
    }

    pub(super) fn end(&self) {
        // Waits for a slot at most as long as the caller would wait for the end.
        let _ = self
            .entries
            .send_timeout(Entry::End, Duration::from_millis(500));
    }
}
