//! A client's mailbox: its crossbeam channel, the write end of its socket, and a waker.
//!
//! Publishers post parcels; `deliver` empties the channel into the socket without ever waiting.
//! Whoever can, delivers: the publisher, a worker, or, when the socket was full, the thread that
//! owns the client, which alone waits. The rules that keep this right:
//!
//! 1. All bytes for the socket come out of the channel; the unsent rest stays under the mutex.
//! 2. The owner locks, everybody else only tries; busy means: wake the owner. A poisoned lock is a
//!    closed mailbox.
//! 3. A full socket sets `stalled` and wakes the owner once; until the owner has seen it writable,
//!    nobody else sends or wakes. Anything left over without that: wake the owner.
//! 4. Others send at most once, at most [`BATCH`] parcels; the owner loops.
//! 5. The bound is judged after the attempt, on what is left. Beyond it, a flag and a wake; the
//!    owner drops the queue, lets the frame that is half out end, and closes.
//! 6. The last parcel ends it: nothing is taken after it, nothing accepted.
//! 7. Waking comes after posting, clearing the waker before delivering.
//!
//! The socket and the waker live as long as the mailbox: nobody who holds one can reach a
//! descriptor that has become another's.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::iter;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::parcel::{Memory, Parcel};
use crate::os::{self, Waker};

/// Parcels in one send at most.
pub const BATCH: usize = 64;

/// Sends that the owner makes before it looks at its socket and its clock again.
const OWNER_SENDS: usize = 16;

/// What a waiting parcel costs beside its bytes: a slot in the channel and one under the mutex.
const SLOT: usize = 24;

/// The write end of a client's socket.
pub trait Outflow {
    /// Sends what is taken now of `parts`, and says how many bytes that was.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is taken now; every other error is final.
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Outflow for TcpStream {
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        os::send_now(self, parts)
    }
}

/// What may wait in one mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages; control frames count too.
    pub messages: usize,
    /// Bytes that the kernel has not taken yet.
    pub bytes: usize,
}

/// Why somebody else than the client wants it gone. The owner acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dismissal {
    /// More waits for it than [`Limits`] or the memory of all mailboxes allows.
    TooSlow = 1,
    /// The server stops.
    Stop = 2,
    /// Its handshake is the oldest of too many.
    Crowded = 3,
}

/// How far the owner's delivery came.
#[derive(Debug)]
pub enum Progress {
    /// All is out.
    Idle,
    /// There is more to send, and the socket may take it: call again soon.
    More,
    /// The socket is full: call again when it can be written.
    Stalled,
    /// The last parcel is out.
    Finished,
    /// The socket is broken.
    Broken(io::Error),
}

/// One client's mailbox over its socket `S`.
#[derive(Debug)]
pub struct Mailbox<S = TcpStream> {
    posts: Sender<Arc<Parcel>>,
    waiting: Waiting,
    closing: AtomicBool,
    dismissal: AtomicU8,
    limits: Limits,
    waker: Waker,
    memory: Arc<Memory>,
    outlet: Mutex<Outlet>,
    socket: S,
}

/// Messages and bytes that wait, in one word: posting and delivering cost one atomic step each.
#[derive(Debug, Default)]
struct Waiting(AtomicU64);

impl Waiting {
    const BYTES: u32 = 40;

    fn weight(messages: usize, bytes: usize) -> u64 {
        ((messages as u64) << Self::BYTES) + bytes as u64
    }

    fn add(&self, messages: usize, bytes: usize) {
        self.0
            .fetch_add(Self::weight(messages, bytes), Ordering::Release);
    }

    fn subtract(&self, messages: usize, bytes: usize) {
        self.0
            .fetch_sub(Self::weight(messages, bytes), Ordering::Release);
    }

    /// (messages, bytes)
    fn get(&self) -> (usize, usize) {
        let both = self.0.load(Ordering::Acquire);
        let bytes = both & ((1 << Self::BYTES) - 1);
        ((both >> Self::BYTES) as usize, bytes as usize)
    }
}

/// What the mutex guards: the receiving end, and what has come out of it but is not sent.
#[derive(Debug)]
struct Outlet {
    posts: Receiver<Arc<Parcel>>,
    unsent: Unsent,
    /// Bytes of the first unsent parcel that are out.
    sent: usize,
    /// Where the first unsent parcel ends: at its end, unless it was cut.
    cut: Option<usize>,
    /// The socket was full, and the owner has not seen it writable since.
    stalled: bool,
    /// The last parcel is in `unsent` or out: nothing more is taken from the channel.
    sealed: bool,
    /// The socket's error, until the owner takes it.
    broken: Option<io::Error>,
    /// Slots of waiting parcels that [`Memory`] knows of, in bytes.
    accounted: usize,
}

/// Parcels that are out of the channel, in order. Whoever keeps up has one at a time, for which no
/// memory beyond the mailbox is touched: with thousands of clients that is a tenth of the cost.
#[derive(Debug, Default)]
struct Unsent {
    first: Option<Arc<Parcel>>,
    others: VecDeque<Arc<Parcel>>,
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

/// How one send went.
enum Sent {
    All,
    Some,
    Full,
    Last,
    Broken,
}

impl<S: Outflow> Mailbox<S> {
    /// An empty mailbox; `waker` wakes its owner.
    pub fn new(socket: S, waker: Waker, limits: Limits, memory: Arc<Memory>) -> Self {
        // The bound is kept by counting: a bounded channel would allocate all its slots at once.
        let (sender, receiver) = unbounded();
        Mailbox {
            posts: sender,
            waiting: Waiting::default(),
            closing: AtomicBool::new(false),
            dismissal: AtomicU8::new(0),
            limits,
            waker,
            memory,
            outlet: Mutex::new(Outlet {
                posts: receiver,
                unsent: Unsent::default(),
                sent: 0,
                cut: None,
                stalled: false,
                sealed: false,
                broken: None,
                accounted: 0,
            }),
            socket,
        }
    }

    /// The client's socket, for its owner to read from.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Wakes the owner; the owner clears it before it delivers.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Messages and bytes that wait now.
    pub fn waiting(&self) -> (usize, usize) {
        self.waiting.get()
    }

    /// Adds a parcel to the queue. Delivering is a step of its own: [`deliver`](Self::deliver).
    ///
    /// Returns false, and drops it, after the last parcel.
    pub fn post(&self, parcel: Arc<Parcel>) -> bool {
        if self.closing.load(Ordering::Acquire) {
            return false;
        }
        if parcel.is_last() {
            self.closing.store(true, Ordering::Release);
        }
        self.waiting
            .add(parcel.message_count(), parcel.bytes().len());
        // The receiver lives in this mailbox: there is always one.
        self.posts.send(parcel).is_ok()
    }

    /// Delivery by anybody but the owner: one send at most, no wait at all.
    pub fn deliver(&self) {
        if self.waiting.get().1 == 0 {
            return;
        }
        match self.outlet.try_lock() {
            Ok(mut outlet) => {
                if !outlet.stalled && outlet.broken.is_none() {
                    match self.send_once(&mut outlet) {
                        Sent::All => {}
                        Sent::Full => {
                            outlet.stalled = true;
                            self.waker.wake();
                        }
                        Sent::Some | Sent::Last | Sent::Broken => self.waker.wake(),
                    }
                }
                self.account(&mut outlet);
            }
            Err(TryLockError::WouldBlock) => self.waker.wake(),
            Err(TryLockError::Poisoned(_)) => return,
        }
        self.judge();
    }

    /// Delivery by the owner, after the socket was seen writable, the waker was cleared, or its
    /// own post.
    ///
    /// The second value tells whether a socket that had been full took something: the only proof
    /// of life that sending gives.
    pub fn deliver_as_owner(&self) -> (Progress, bool) {
        let mut outlet = match self.outlet.lock() {
            Ok(outlet) => outlet,
            Err(_) => return (Progress::Broken(io::ErrorKind::Other.into()), false),
        };
        let was_stalled = std::mem::take(&mut outlet.stalled);
        let waited = self.waiting.get().1;
        let mut progress = Progress::More;
        for _ in 0..OWNER_SENDS {
            if let Some(error) = outlet.broken.take() {
                progress = Progress::Broken(error);
                break;
            }
            match self.send_once(&mut outlet) {
                Sent::All => {
                    progress = Progress::Idle;
                    break;
                }
                Sent::Full => {
                    outlet.stalled = true;
                    progress = Progress::Stalled;
                    break;
                }
                Sent::Last => {
                    progress = Progress::Finished;
                    break;
                }
                Sent::Some | Sent::Broken => {}
            }
        }
        let relieved = was_stalled && self.waiting.get().1 < waited;
        self.account(&mut outlet);
        drop(outlet);
        self.judge();
        (progress, relieved)
    }

    /// Drops whatever waits, lets the frame that is half out end, and puts `last` behind it.
    /// For the owner.
    pub fn close_at_once(&self, last: Parcel) {
        self.closing.store(true, Ordering::Release);
        let Ok(mut outlet) = self.outlet.lock() else {
            return;
        };
        let outlet = &mut *outlet;
        if outlet.sealed {
            return;
        }
        // A post that came in at the same moment may still land in the channel: `sealed` keeps it
        // from ever leaving it.
        outlet.sealed = true;
        let half = match outlet.sent {
            0 => None,
            _ => outlet.unsent.pop(),
        };
        let unsent = iter::from_fn(|| outlet.unsent.pop());
        for parcel in unsent.chain(outlet.posts.try_iter()) {
            self.waiting
                .subtract(parcel.message_count(), parcel.bytes().len());
        }
        if let Some(half) = half {
            let cut = half.cut_after(outlet.sent);
            self.waiting.subtract(0, half.bytes().len() - cut);
            outlet.cut = Some(cut);
            outlet.unsent.push(half);
        }
        let last = Arc::new(last.and_no_more());
        self.waiting.add(last.message_count(), last.bytes().len());
        outlet.unsent.push(last);
        self.account(outlet);
    }

    /// Asks the owner to end this client; the first reason stands.
    pub fn dismiss(&self, why: Dismissal) {
        let asked =
            self.dismissal
                .compare_exchange(0, why as u8, Ordering::AcqRel, Ordering::Acquire);
        if asked.is_ok() {
            self.waker.wake();
        }
    }

    /// Why the client is to be ended, if it is.
    pub fn dismissal(&self) -> Option<Dismissal> {
        match self.dismissal.load(Ordering::Acquire) {
            1 => Some(Dismissal::TooSlow),
            2 => Some(Dismissal::Stop),
            3 => Some(Dismissal::Crowded),
            _ => None,
        }
    }

    fn judge(&self) {
        let (messages, bytes) = self.waiting.get();
        let over = messages > self.limits.messages || bytes > self.limits.bytes;
        if over && !self.closing.load(Ordering::Acquire) {
            self.dismiss(Dismissal::TooSlow);
        }
    }

    /// Tells [`Memory`] of the slots that are in use after an attempt: none, for whoever keeps up.
    fn account(&self, outlet: &mut Outlet) {
        let parcels = match self.waiting.get().1 {
            0 => 0,
            _ => outlet.unsent.len() + outlet.posts.len(),
        };
        let slots = parcels * SLOT;
        if slots > outlet.accounted {
            self.memory.take(slots - outlet.accounted);
        } else if slots < outlet.accounted {
            self.memory.give_back(outlet.accounted - slots);
        }
        outlet.accounted = slots;
    }

    /// One send of what is at hand, at most [`BATCH`] parcels.
    fn send_once(&self, outlet: &mut Outlet) -> Sent {
        let emptied = outlet.fill();
        if outlet.unsent.first.is_none() {
            return if outlet.sealed { Sent::Last } else { Sent::All };
        }
        let (wanted, sent) = outlet.send_to(&self.socket);
        match sent {
            Ok(sent) => {
                let last = self.settle(outlet, sent);
                if last {
                    Sent::Last
                } else if sent == wanted && emptied {
                    // Whatever was posted since the channel was seen empty has a poster behind it
                    // who delivers, or wakes the owner because the lock is taken.
                    Sent::All
                } else {
                    Sent::Some
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Full,
            Err(error) => {
                outlet.broken = Some(error);
                Sent::Broken
            }
        }
    }

    /// Takes `sent` bytes off the front of the queue; true when the last parcel is out.
    fn settle(&self, outlet: &mut Outlet, sent: usize) -> bool {
        let mut messages = 0;
        let mut last = false;
        outlet.sent += sent;
        while let Some(parcel) = &outlet.unsent.first {
            let end = outlet.cut.unwrap_or(parcel.bytes().len());
            if outlet.sent < end {
                break;
            }
            messages += parcel.message_count();
            last = parcel.is_last();
            outlet.sent -= end;
            outlet.cut = None;
            outlet.unsent.pop();
        }
        self.waiting.subtract(messages, sent);
        last
    }
}

impl Outlet {
    /// Moves parcels from the channel, until a batch is at hand; true when the channel is empty.
    fn fill(&mut self) -> bool {
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
    fn send_to(&self, socket: &impl Outflow) -> (usize, io::Result<usize>) {
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
}

impl<S> Drop for Mailbox<S> {
    fn drop(&mut self) {
        let accounted = match self.outlet.get_mut() {
            Ok(outlet) => outlet.accounted,
            Err(poisoned) => poisoned.into_inner().accounted,
        };
        self.memory.give_back(accounted);
    }
}

#[cfg(test)]
mod tests;
