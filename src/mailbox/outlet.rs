//! What a mailbox's mutex guards: the receiving end of its channel, and what has come out of it but
//! is not sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::iter;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::Outflow;
use crate::mailbox::parcel::Parcel;

/// Parcels in one send at most.
pub(crate) const BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Outlet {
    posts: Receiver<Arc<Parcel>>,
    unsent: Unsent,
    /// Bytes of the first unsent parcel that are out.
    sent: usize,
    /// Where the first unsent parcel ends: at its end, unless it was cut.
    cut: Option<usize>,
    /// The socket was full, and the owner has not seen it writable since.
    pub(super) stalled: bool,
    /// The last parcel is in `unsent` or out: nothing more is taken from the channel.
    pub(super) sealed: bool,
    /// The socket's error, until the owner takes it.
    pub(super) broken: Option<io::Error>,
    /// Slots of waiting parcels that [`Memory`](crate::mailbox::parcel::Memory) knows of, in bytes.
    pub(super) accounted: usize,
}

/// What left with one send.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// What ended, as it counts for the queue: messages, control frames and answers.
    pub(super) parts: usize,
    /// Messages that ended.
    pub(super) messages: usize,
    /// The last parcel is out.
    pub(super) last: bool,
}

/// Parcels that are out of the channel, in order. Whoever keeps up has one at a time, for which no
/// memory beyond the mailbox is touched: with a thousand clients that saves a fifth of what udpush
/// itself spends on a delivery.
#[derive(Debug, Default)]
struct Unsent {
    first: Option<Arc<Parcel>>,
    others: VecDeque<Arc<Parcel>>,
}

impl Outlet {
    pub(super) fn new(posts: Receiver<Arc<Parcel>>) -> Self {
        Outlet {
            posts,
            unsent: Unsent::default(),
            sent: 0,
            cut: None,
            stalled: false,
            sealed: false,
            broken: None,
            accounted: 0,
        }
    }

    /// Parcels that wait, in the channel too.
    pub(super) fn len(&self) -> usize {
        self.unsent.len() + self.posts.len()
    }

    /// Whether nothing is left to send of what came out of the channel.
    pub(super) fn is_empty(&self) -> bool {
        self.unsent.first.is_none()
    }

    /// Moves parcels from the channel, until a batch is at hand; true when the channel is empty.
    pub(super) fn fill(&mut self) -> bool {
        while !self.sealed && self.unsent.len() < BATCH {
            let Ok(parcel) = self.posts.try_recv() else {
                return true;
            };
            self.sealed = parcel.is_last();
            self.unsent.push(parcel);
        }
        self.sealed
    }

    /// Sends the queue's first batch: how many bytes that is, and how many were taken.
    pub(super) fn send_to(&self, socket: &impl Outflow) -> (usize, io::Result<usize>) {
        let Some(first) = &self.unsent.first else {
            return (0, Ok(0));
        };
        let first = &first.bytes()[self.sent..self.cut.unwrap_or(first.bytes().len())];
        if self.unsent.others.is_empty() {
            return (first.len(), socket.send_now(&[IoSlice::new(first)]));
        }
        let mut parts = [IoSlice::new(&[]); BATCH];
        parts[0] = IoSlice::new(first);
        let (mut wanted, mut count) = (first.len(), 1);
        for (part, parcel) in parts[1..].iter_mut().zip(&self.unsent.others) {
            *part = IoSlice::new(parcel.bytes());
            wanted += parcel.bytes().len();
            count += 1;
        }
        (wanted, socket.send_now(&parts[..count]))
    }

    /// Takes `sent` bytes off the front of the queue.
    pub(super) fn settle(&mut self, sent: usize) -> Settled {
        let mut settled = Settled::default();
        self.sent += sent;
        while let Some(parcel) = &self.unsent.first {
            let end = self.cut.unwrap_or(parcel.bytes().len());
            if self.sent < end {
                break;
            }
            settled.parts += parcel.message_count();
            settled.messages += parcel.pushed_count();
            settled.last = parcel.is_last();
            self.sent -= end;
            self.cut = None;
            self.unsent.pop();
        }
        settled
    }

    /// Drops what waits, and says how many messages and bytes that was.
    pub(super) fn drop_all_but_the_frame_that_is_half_out(&mut self) -> (usize, usize) {
        let (mut messages, mut bytes) = (0, 0);
        let half = match self.sent {
            0 => None,
            _ => self.unsent.pop(),
        };
        let unsent = iter::from_fn(|| self.unsent.pop());
        for parcel in unsent.chain(self.posts.try_iter()) {
            messages += parcel.message_count();
            bytes += parcel.bytes().len();
        }
        if let Some(half) = half {
            let cut = half.cut_after(self.sent);
            bytes += half.bytes().len() - cut;
            self.cut = Some(cut);
            self.unsent.push(half);
        }
        (messages, bytes)
    }

    /// Puts the last parcel behind what is unsent. A post that came in at the same moment may still
    /// land in the channel: it never leaves it.
    pub(super) fn seal(&mut self, last: Parcel) {
        self.sealed = true;
        self.unsent.push(Arc::new(last));
    }
}

impl Unsent {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    fn push(&mut self, parcel: Arc<Parcel>) {
        match self.first {
            None => self.first = Some(parcel),
            Some(_) => self.others.push_back(parcel),
        }
    }

    fn pop(&mut self) -> Option<Arc<Parcel>> {
        std::mem::replace(&mut self.first, self.others.pop_front())
    }
}
