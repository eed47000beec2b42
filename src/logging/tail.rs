//! The newest lines of the log, and each that follows, for the trusted side. The log thread appends
//! what it writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::feed::{Bounds, Deaf, Event, Feed, Listener};

/// Lines that are kept.
const KEPT: usize = 200;

/// What may wait for one listener.
const WAITING: Bounds = Bounds {
    events: 4096,
    bytes: 1 << 20,
};

/// A line with its end.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<[u8]>);

impl Line {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Event for Line {
    fn bytes(&self) -> usize {
        self.0.len() + size_of::<Line>()
    }
}

/// The log is one for the whole process.
static KEEPER: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());
static FEED: Feed<Line> = Feed::new();

/// Appends whole lines.
pub(super) fn append(batch: &[u8]) {
    let lines = batch.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<_> = lines.map(|line| Line(line.into())).collect();
    let mut kept = KEEPER.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = &lines[lines.len().saturating_sub(KEPT)..];
    let surplus = (kept.len() + newest.len()).saturating_sub(KEPT);
    kept.drain(..surplus);
    kept.extend(newest.iter().cloned());
    // Under the lock, so that nobody who begins to follow hears a line twice, or not at all.
    if FEED.is_heard() {
        FEED.tell(&lines);
    }
}

/// The newest lines, and whoever hears those that follow.
///
/// # Errors
/// When too many follow already.
pub(crate) fn follow() -> Result<(Vec<u8>, Listener<Line>), Deaf> {
    let kept = KEEPER.lock().unwrap_or_else(PoisonError::into_inner);
    let listener = FEED.listen(WAITING)?;
    let lines: Vec<_> = kept.iter().map(|line| &*line.0).collect();
    Ok((lines.concat(), listener))
}
