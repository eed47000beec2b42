//! What mailboxes hold: the encoded bytes of a run of messages, joined, shared by reference count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{events, frames};

/// Memory that is taken by what waits in all mailboxes together, in bytes; a parcel counts once,
/// however many wait for it.
#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    /// Bytes in use now.
    pub(crate) fn in_use(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more.
    pub(crate) fn take(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` less.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Where a parcel may be cut, when a queue is dropped while it is half out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// WebSocket frames, one after another: between any two of them.
    Frames,
    /// Server-sent events, one after another: between any two of them.
    Events,
    /// Chunks of HTTP, one after another: between any two of them.
    Chunks,
    /// An HTTP answer: nowhere.
    Whole,
}

/// What a parcel takes beside its bytes: itself, the counts of its owners, and what the allocator
/// needs for two pieces of memory.
const OVERHEAD: usize = size_of::<Parcel>() + 2 * size_of::<usize>() + 2 * 16;

/// Bytes for a socket, and what a mailbox needs to know of them.
#[derive(Debug)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    /// None in what is for one client alone.
    messages: u32,
    layout: Layout,
    last: bool,
    memory: Option<Arc<Memory>>,
}

impl Parcel {
    /// A run of `messages` encoded messages.
    pub(crate) fn messages(bytes: Vec<u8>, messages: u32, layout: Layout) -> Self {
        let mut parcel = Parcel::alone(bytes, layout);
        parcel.messages = messages;
        parcel
    }

    /// One or more whole frames for one client alone.
    pub(crate) fn frames(bytes: Vec<u8>) -> Self {
        Parcel::alone(bytes, Layout::Frames)
    }

    /// An HTTP answer for one client alone.
    pub(crate) fn answer(bytes: Vec<u8>) -> Self {
        Parcel::alone(bytes, Layout::Whole)
    }

    /// Whatever else is for one client alone.
    pub(crate) fn alone(bytes: Vec<u8>, layout: Layout) -> Self {
        Parcel {
            bytes,
            messages: 0,
            layout,
            last: false,
            memory: None,
        }
    }

    /// The same, counted in `memory` as long as anybody holds it.
    pub(crate) fn counted_in(mut self, memory: &Arc<Memory>) -> Self {
        // Most are encoded into just as much as they need; the rest is given back.
        self.bytes.shrink_to_fit();
        memory.take(self.size());
        self.memory = Some(Arc::clone(memory));
        self
    }

    fn size(&self) -> usize {
        self.bytes.capacity() + OVERHEAD
    }

    /// The same, as the last that its client gets.
    pub(crate) fn and_no_more(mut self) -> Self {
        self.last = true;
        self
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Messages in it; control frames and answers count as one.
    pub(crate) fn message_count(&self) -> usize {
        self.messages.max(1) as usize
    }

    /// Messages that were pushed in it.
    pub(crate) fn pushed_count(&self) -> usize {
        self.messages as usize
    }

    /// Whether nothing may follow it.
    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    /// The first place at or after `offset` where it may be cut.
    pub(crate) fn cut_after(&self, offset: usize) -> usize {
        match self.layout {
            Layout::Whole => self.bytes.len(),
            Layout::Frames => frames::boundary_after(&self.bytes, offset),
            Layout::Events => events::boundary_after(&self.bytes, offset),
            Layout::Chunks => events::chunk_boundary_after(&self.bytes, offset),
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.give_back(self.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_answer_is_never_cut() {
        assert_eq!(Parcel::answer(vec![0; 50]).cut_after(1), 50);
    }

    #[test]
    fn memory_counts_a_parcel_once_however_many_hold_it() {
        let memory = Arc::new(Memory::default());
        // Reserved bytes are no less memory than those in use.
        let mut bytes = Vec::with_capacity(1000);
        bytes.extend([0; 100]);
        let parcel = Parcel::messages(bytes, 1, Layout::Frames).counted_in(&memory);
        let parcel = Arc::new(parcel);
        let other = Arc::clone(&parcel);
        let size = 100 + OVERHEAD;
        assert_eq!(memory.in_use(), size);
        drop(parcel);
        assert_eq!(memory.in_use(), size);
        drop(other);
        assert_eq!(memory.in_use(), 0);
    }
}
