//! The newest messages, for clients that come back and for whoever asks what was pushed: a ring
//! bounded by count and bytes.
//!
//! Pure; the hub keeps it under its lock. Whatever the messages' home is, resumes are answered from
//! here: everything after an id, or "not any more".

use std::collections::VecDeque;

use super::posted::Posted;
use super::standing::Held;
use super::{Batch, Receipt};
use crate::message::id::MessageId;

/// Documents in one slice at most.
const SLICE_MESSAGES: usize = 1024;

/// Bytes of documents in one slice at most; a larger document is a slice of its own.
const SLICE_BYTES: usize = 64 << 10;

/// What a held document costs beside its bytes, at most: its place in the ring, twice that while
/// the ring grows, and two small allocations.
const OVERHEAD: usize = 2 * size_of::<Posted>() + 64;

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
    held: VecDeque<Posted>,
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

    /// The id after which the oldest held message comes.
    pub(crate) fn beginning(&self) -> MessageId {
        MessageId {
            sequence: self.newest.sequence - self.held.len() as u64,
            ..self.newest
        }
    }

    /// The id after which the newest messages come, so many and so many bytes of them at most.
    pub(super) fn before_newest(&self, messages: usize, bytes: usize) -> MessageId {
        let mut left = bytes;
        let newest = self.held.iter().rev().take(messages);
        let count = newest.take_while(|posted| {
            let fits = posted.document.len() <= left;
            left = left.saturating_sub(posted.document.len());
            fits
        });
        MessageId {
            sequence: self.newest.sequence - count.count() as u64,
            ..self.newest
        }
    }

    /// Appends messages in their order: the first has the id after the newest so far, and each that
    /// follows has the next. For how many clients they were is [noted](Self::note) later.
    pub(crate) fn append(&mut self, batch: &Batch<'_>) {
        debug_assert_eq!(batch.first, self.newest.next());
        self.newest.sequence += batch.documents.len() as u64;
        for (document, sender) in batch.documents.iter().zip(batch.senders) {
            self.bytes += document.len() + OVERHEAD;
            self.held.push_back(Posted {
                document: document.clone(),
                time: batch.time,
                sender: *sender,
                clients: 0,
            });
        }
        while self.held.len() > self.bounds.messages || self.bytes > self.bounds.bytes {
            let Some(oldest) = self.held.pop_front() else {
                break;
            };
            self.bytes -= oldest.document.len() + OVERHEAD;
        }
    }

    /// Notes for how many clients the newest messages were, as far as they are held.
    pub(crate) fn note(&mut self, receipts: &[Receipt]) {
        for (posted, receipt) in self.held.iter_mut().rev().zip(receipts.iter().rev()) {
            posted.clients = u32::try_from(receipt.clients).unwrap_or(u32::MAX);
        }
    }

    /// Whether every message after this one is still held. Not so for whatever is no id of this
    /// epoch, and for ids that are yet to come.
    pub(crate) fn reaches_back_to(&self, id: MessageId) -> bool {
        id.epoch == self.newest.epoch
            && id.sequence <= self.newest.sequence
            && self.newest.sequence - id.sequence <= self.held.len() as u64
    }

    /// The message of this id, if everything after it is still held, or why not.
    pub(crate) fn find(&self, id: &str) -> Result<MessageId, &'static str> {
        match id.parse::<MessageId>() {
            Ok(id) if self.reaches_back_to(id) => Ok(id),
            Ok(id) if id.epoch != self.newest.epoch => Err("another epoch"),
            Ok(id) if id.sequence > self.newest.sequence => Err("it is yet to come"),
            Ok(_) => Err("not held any more"),
            Err(_) => Err("not an id"),
        }
    }

    /// Whether a client can go on after the last id that it knows, or why not.
    pub(crate) fn resume(&self, since: String) -> Resumption {
        match self.find(&since) {
            Ok(since) => Resumption::Replayed { since, messages: 0 },
            Err(why) => Resumption::Refused { since, why },
        }
    }

    /// The message of this id, if it is held.
    pub(crate) fn get(&self, id: MessageId) -> Option<Posted> {
        let place = id.sequence.checked_sub(self.beginning().sequence + 1)?;
        let is_own = id.epoch == self.newest.epoch;
        self.held
            .get(usize::try_from(place).ok().filter(|_| is_own)?)
            .cloned()
    }

    /// The first messages after this one, oldest first; none at the head, `None` when they are not
    /// all held any more.
    pub(crate) fn after(&self, id: MessageId) -> Option<Vec<(MessageId, Posted)>> {
        if !self.reaches_back_to(id) {
            return None;
        }
        // At most as many as are held.
        let behind = (self.newest.sequence - id.sequence) as usize;
        let mut bytes = 0;
        let rest = self.held.range(self.held.len() - behind..);
        let mut slice = Vec::new();
        for (posted, sequence) in rest.zip(id.sequence + 1..).take(SLICE_MESSAGES) {
            bytes += posted.document.len();
            if bytes > SLICE_BYTES && !slice.is_empty() {
                break;
            }
            slice.push((MessageId { sequence, ..id }, posted.clone()));
        }
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::clock::Moment;
    use crate::hub::FEW;
    use crate::hub::Sender;
    use crate::message::Document;
    use crate::message::id::ClientId;
    use crate::sequencer::Memory;

    fn ring(messages: usize, bytes: usize) -> Ring {
        Ring::new(Bounds { messages, bytes }, Memory::default().newest())
    }

    fn documents(range: std::ops::Range<u64>) -> Vec<Document> {
        range.map(|number| number.to_string().into()).collect()
    }

    fn append(ring: &mut Ring, documents: &[Document]) {
        ring.append(&Batch {
            first: ring.newest().next(),
            documents,
            senders: &vec![Sender::from(SocketAddr::from(([127, 0, 0, 1], 1))); documents.len()],
            time: Moment::now(),
        });
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
            for (id, posted) in &slice {
                let expected = (next, &*next.to_string());
                assert_eq!((id.sequence, &*posted.document), expected);
                assert_eq!(ring.get(*id).as_ref(), Some(posted));
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
        assert_eq!(ring.beginning(), id(&ring, 2_000));
        for absent in [0, 2_000, 5_001] {
            assert_eq!(ring.get(id(&ring, absent)), None);
        }
        assert_eq!(ring.get(self::ring(1, 1).newest()), None);
        assert_eq!(position, ring.newest());
    }

    #[test]
    fn it_is_noted_for_how_many_clients_a_message_was_if_it_is_held() {
        let mut ring = ring(3, 1 << 20);
        append(&mut ring, &documents(1..3));
        let receipt = |sequence| Receipt {
            few: [ClientId(0); FEW],
            id: id(&ring, sequence),
            clients: 10 * sequence as usize,
        };
        let (first, second) = ([1, 2].map(receipt), [3, 4].map(receipt));
        ring.note(&first);
        append(&mut ring, &documents(3..5));
        ring.note(&second);
        let clients = [2, 3, 4].map(|sequence| ring.get(id(&ring, sequence)).unwrap().clients);
        assert_eq!(clients, [20, 30, 40]);
        let mut none = self::ring(0, 0);
        append(&mut none, &documents(1..3));
        none.note(&first);
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
