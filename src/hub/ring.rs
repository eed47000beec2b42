//! The newest messages, for clients that come back: a ring bounded by count and bytes.
//!
//! Pure; the hub keeps it under its lock. Whatever the messages' home is, resumes are answered from
//! here: everything after an id, or "not any more".

use std::collections::VecDeque;

use super::standing::Held;
use crate::message::Document;
use crate::message::id::MessageId;

/// Documents in one slice at most.
const SLICE_MESSAGES: usize = 1024;

/// Bytes of documents in one slice at most; a larger document is a slice of its own.
const SLICE_BYTES: usize = 64 << 10;

/// What a held document costs beside its bytes, at most: its place in the ring, twice that while
/// the ring grows, and two small allocations.
const OVERHEAD: usize = 128;

/// What may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Messages.
    pub(crate) messages: usize,
    /// Bytes of their documents, with what holding each costs.
    pub(crate) bytes: usize,
}

/// What becomes of a client that wants to go on where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resumption {
    /// It was told so many messages after this one, as far as they are for it.
    Replayed {
        /// The last one that it knew.
        since: MessageId,
        /// So far.
        messages: u64,
    },
    /// Nothing is replayed.
    Refused {
        /// What it sent as the last id that it knew.
        since: String,
        /// The reason.
        why: &'static str,
    },
}

impl Resumption {
    /// The message after which it goes on.
    pub(super) fn start(&self) -> Option<MessageId> {
        match self {
            Resumption::Replayed { since, .. } => Some(*since),
            Resumption::Refused { .. } => None,
        }
    }
}

/// The messages of one epoch, of which the newest are held.
#[derive(Debug)]
pub(crate) struct Ring {
    newest: MessageId,
    held: VecDeque<Document>,
    bytes: usize,
    bounds: Bounds,
}

impl Ring {
    /// An empty ring; the first message that comes follows `newest`.
    pub(crate) fn new(bounds: Bounds, newest: MessageId) -> Self {
        Ring {
            newest,
            held: VecDeque::new(),
            bytes: 0,
            bounds,
        }
    }

    /// The newest message's id; before the first message, the one that it follows.
    pub(crate) fn newest(&self) -> MessageId {
        self.newest
    }

    /// What is held, in numbers.
    pub(super) fn held(&self) -> Held {
        let messages = self.held.len();
        Held {
            messages,
            bytes: self.bytes - messages * OVERHEAD,
            oldest: (messages > 0).then(|| MessageId {
                sequence: self.newest.sequence - messages as u64 + 1,
                ..self.newest
            }),
        }
    }

    /// Appends messages in their order: the first has the id `first`, which is the one after the
    /// newest so far, and each that follows has the next.
    pub(crate) fn append(&mut self, first: MessageId, batch: &[Document]) {
        debug_assert_eq!(first, self.newest.next());
        self.newest.sequence += batch.len() as u64;
        for document in batch {
            self.bytes += document.len() + OVERHEAD;
            self.held.push_back(document.clone());
        }
        while self.held.len() > self.bounds.messages || self.bytes > self.bounds.bytes {
            let Some(oldest) = self.held.pop_front() else {
                break;
            };
            self.bytes -= oldest.len() + OVERHEAD;
        }
    }

    /// Whether every message after this one is still held. Not so for whatever is no id of this
    /// epoch, and for ids that are yet to come.
    pub(crate) fn reaches_back_to(&self, id: MessageId) -> bool {
        id.epoch == self.newest.epoch
            && id.sequence <= self.newest.sequence
            && self.newest.sequence - id.sequence <= self.held.len() as u64
    }

    /// Whether a client can go on after the last id that it knows, or why not.
    pub(crate) fn resume(&self, since: String) -> Resumption {
        let why = match since.parse::<MessageId>() {
            Ok(since) if self.reaches_back_to(since) => {
                return Resumption::Replayed { since, messages: 0 };
            }
            Ok(since) if since.epoch != self.newest.epoch => "another epoch",
            Ok(since) if since.sequence > self.newest.sequence => "it is yet to come",
            Ok(_) => "not held any more",
            Err(_) => "not an id",
        };
        Resumption::Refused { since, why }
    }

    /// The first messages after this one, oldest first; none at the head, `None` when they are not
    /// all held any more.
    pub(crate) fn after(&self, id: MessageId) -> Option<Vec<(MessageId, Document)>> {
        if !self.reaches_back_to(id) {
            return None;
        }
        // At most as many as are held.
        let behind = (self.newest.sequence - id.sequence) as usize;
        let mut bytes = 0;
        let rest = self.held.range(self.held.len() - behind..);
        let mut slice = Vec::new();
        for (document, sequence) in rest.zip(id.sequence + 1..).take(SLICE_MESSAGES) {
            bytes += document.len();
            if bytes > SLICE_BYTES && !slice.is_empty() {
                break;
            }
            slice.push((MessageId { sequence, ..id }, document.clone()));
        }
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequencer::Memory;

    fn ring(messages: usize, bytes: usize) -> Ring {
        Ring::new(Bounds { messages, bytes }, Memory::default().newest())
    }

    fn documents(range: std::ops::Range<u64>) -> Vec<Document> {
        range.map(|number| number.to_string().into()).collect()
    }

    fn append(ring: &mut Ring, batch: &[Document]) {
        ring.append(ring.newest().next(), batch);
    }

    fn id(ring: &Ring, sequence: u64) -> MessageId {
        MessageId {
            sequence,
            ..ring.newest()
        }
    }

    #[test]
    fn everything_after_an_id_comes_in_slices_or_not_at_all() {
        let mut ring = ring(3_000, 1 << 20);
        append(&mut ring, &documents(1..1001));
        append(&mut ring, &documents(1001..5001));
        assert!(!ring.reaches_back_to(id(&ring, 1_999)));
        assert!(ring.after(id(&ring, 1_999)).is_none());

        let mut position = id(&ring, 2_000);
        let mut next = 2_001;
        loop {
            let slice = ring.after(position).unwrap();
            let Some((last, _)) = slice.last() else { break };
            assert!(slice.len() <= SLICE_MESSAGES);
            position = *last;
            for (id, document) in &slice {
                assert_eq!((id.sequence, &**document), (next, &*next.to_string()));
                next += 1;
            }
        }
        assert_eq!(next, 5_001);
        let held = Held {
            messages: 3_000,
            bytes: 3_000 * "2001".len(),
            oldest: Some(id(&ring, 2_001)),
        };
        assert_eq!(ring.held(), held);
        assert_eq!(position, ring.newest());
    }

    #[test]
    fn ids_of_another_epoch_or_from_the_future_are_not_reached() {
        let mut ring = ring(10, 1 << 20);
        let stranger = self::ring(10, 1 << 20);
        assert!(ring.reaches_back_to(ring.newest()));
        assert!(!ring.reaches_back_to(stranger.newest()));
        assert!(!ring.reaches_back_to(id(&ring, 1)));
        append(&mut ring, &documents(1..2));
        assert!(ring.reaches_back_to(id(&ring, 0)));
    }

    #[test]
    fn bytes_are_bounded_and_a_large_document_is_a_slice_of_its_own() {
        let large: Document = "x".repeat(60_000).into();
        let mut ring = ring(1_000, 10 * (60_000 + OVERHEAD));
        append(&mut ring, &vec![large; 25]);
        assert!(!ring.reaches_back_to(id(&ring, 14)));
        let slice = ring.after(id(&ring, 15)).unwrap();
        assert_eq!(slice.len(), 1);
        // Nothing at all can be held, and that is said.
        let mut none = self::ring(0, 0);
        append(&mut none, &documents(1..3));
        assert_eq!(none.held().oldest, None);
        assert!(none.reaches_back_to(none.newest()));
        assert!(!none.reaches_back_to(id(&none, 1)));
    }
}
