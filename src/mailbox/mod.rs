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
//! 4. Others send at most once, at most a batch of parcels; the owner loops.
//! 5. The bound is judged after the attempt, on what is left. Beyond it, a flag and a wake; the
//!    owner drops the queue, lets the frame that is half out end, and closes.
//! 6. The last parcel ends it: nothing is taken after it, nothing accepted.
//! 7. Waking comes after posting, clearing the waker before delivering.
//!
//! The socket and the waker live as long as the mailbox: nobody who holds one can reach a
//! descriptor that has become another's.

pub(crate) mod card;
pub(crate) mod encoding;
pub(crate) mod events;
pub(crate) mod frames;
pub(crate) mod outlet;
pub(crate) mod parcel;
pub(crate) mod wire;

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use crossbeam_channel::{Sender, unbounded};

use crate::os::Waker;
use card::Card;
use outlet::Outlet;
use parcel::{Memory, Parcel};
use wire::Wire;

/// Sends that the owner makes before it looks at its socket and its clock again.
const OWNER_SENDS: usize = 16;

/// What a waiting parcel costs beside its bytes: a slot in the channel and one under the mutex.
const SLOT: usize = 24;

/// The write end of a client's socket.
pub(crate) trait Outflow {
    /// Sends what is taken now of `parts`, and says how many bytes that was.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is taken now; every other error is final.
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What may wait in one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Messages; control frames count too.
    pub(crate) messages: usize,
    /// Bytes that the kernel has not taken yet.
    pub(crate) bytes: usize,
}

/// Why somebody else than the client wants it gone, the most urgent reason last. The owner acts on
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Dismissal {
    /// More waits for it than [`Limits`] or the memory of all mailboxes allows.
    TooSlow = 1,
    /// The server stops.
    Stop = 2,
    /// The operator wants it gone, and not back: so it is told, even when the server stops.
    Operator = 3,
    /// It is the oldest of too many that are no members of the hub: it is to go at once, without
    /// another byte.
    Crowded = 4,
}

/// How far the owner's delivery came.
#[derive(Debug)]
pub(crate) enum Progress {
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
pub(crate) struct Mailbox<S = Wire> {
    posts: Sender<Arc<Parcel>>,
    waiting: Waiting,
    card: Card,
    closing: AtomicBool,
    dismissal: AtomicU8,
    limits: Limits,
    waker: Arc<Waker>,
    memory: Arc<Memory>,
    outlet: Mutex<Outlet>,
    wire: S,
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
    pub(crate) fn new(
        wire: S,
        waker: impl Into<Arc<Waker>>,
        limits: Limits,
        memory: Arc<Memory>,
    ) -> Self {
        // The bound is kept by counting: a bounded channel would allocate all its slots at once.
        let (sender, receiver) = unbounded();
        Mailbox {
            posts: sender,
            waiting: Waiting::default(),
            card: Card::default(),
            closing: AtomicBool::new(false),
            dismissal: AtomicU8::new(0),
            limits,
            waker: waker.into(),
            memory,
            outlet: Mutex::new(Outlet::new(receiver)),
            wire,
        }
    }

    /// The client's connection, for its owner to read from.
    pub(crate) fn wire(&self) -> &S {
        &self.wire
    }

    /// Wakes the owner; its delivery clears it.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Messages and bytes that wait now.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.waiting.get()
    }

    /// What is told of the client.
    pub(crate) fn card(&self) -> &Card {
        &self.card
    }

    /// Adds a parcel to the queue. Delivering is a step of its own: [`deliver`](Self::deliver).
    ///
    /// Returns false, and drops it, after the last parcel.
    pub(crate) fn post(&self, parcel: Arc<Parcel>) -> bool {
        if self.is_closing() {
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

    /// The same for what is for this client alone; it counts as memory as long as it waits.
    pub(crate) fn post_alone(&self, parcel: Parcel) -> bool {
        self.post(Arc::new(parcel.counted_in(&self.memory)))
    }

    /// Whether a last parcel has been posted.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Delivery by anybody but the owner: one send at most, no wait at all.
    pub(crate) fn deliver(&self) {
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

    /// Delivery by the owner, after the socket was seen writable, the waker woke it, or its own
    /// post. Clears the waker first: whoever posts too late for this delivery wakes it once more.
    ///
    /// The second value tells whether a socket that had been full took something: the only proof
    /// of life that sending gives.
    pub(crate) fn deliver_as_owner(&self) -> (Progress, bool) {
        self.waker.clear();
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
    pub(crate) fn close_at_once(&self, last: Parcel) {
        self.closing.store(true, Ordering::Release);
        let Ok(mut outlet) = self.outlet.lock() else {
            return;
        };
        let outlet = &mut *outlet;
        if outlet.sealed {
            return;
        }
        let (messages, bytes) = outlet.drop_all_but_the_frame_that_is_half_out();
        self.waiting.subtract(messages, bytes);
        let last = last.and_no_more();
        self.waiting.add(last.message_count(), last.bytes().len());
        outlet.seal(last);
        self.account(outlet);
    }

    /// Asks the owner to end this client. A more urgent reason takes the place of the one before: no
    /// reason, whoever acted on it or not, makes a client deaf to the next.
    ///
    /// Returns whether there was no reason as urgent before.
    pub(crate) fn dismiss(&self, why: Dismissal) -> bool {
        let is_new = self.dismissal.fetch_max(why as u8, Ordering::AcqRel) < why as u8;
        if is_new {
            self.waker.wake();
        }
        is_new
    }

    /// Why the client is to be ended, if it is.
    pub(crate) fn dismissal(&self) -> Option<Dismissal> {
        match self.dismissal.load(Ordering::Acquire) {
            1 => Some(Dismissal::TooSlow),
            2 => Some(Dismissal::Stop),
            3 => Some(Dismissal::Operator),
            4 => Some(Dismissal::Crowded),
            _ => None,
        }
    }

    fn judge(&self) {
        let (messages, bytes) = self.waiting.get();
        let over = messages > self.limits.messages || bytes > self.limits.bytes;
        if over && !self.is_closing() {
            self.dismiss(Dismissal::TooSlow);
        }
    }

    /// Tells [`Memory`] of the slots that are in use after an attempt: none, for whoever keeps up.
    fn account(&self, outlet: &mut Outlet) {
        let parcels = match self.waiting.get().1 {
            0 => 0,
            _ => outlet.len(),
        };
        let slots = parcels * SLOT;
        if slots > outlet.accounted {
            self.memory.take(slots - outlet.accounted);
        } else if slots < outlet.accounted {
            self.memory.give_back(outlet.accounted - slots);
        }
        outlet.accounted = slots;
    }

    /// One send of what is at hand, at most a batch of parcels.
    fn send_once(&self, outlet: &mut Outlet) -> Sent {
        let emptied = outlet.fill();
        if outlet.is_empty() {
            return if outlet.sealed { Sent::Last } else { Sent::All };
        }
        let (wanted, sent) = outlet.send_to(&self.wire);
        match sent {
            Ok(sent) => {
                let settled = outlet.settle(sent);
                self.waiting.subtract(settled.parts, sent);
                self.card.count(settled.messages, sent);
                if settled.last {
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
}

#[cfg(test)]
impl Mailbox {
    /// One over this connection, with room for whatever a test posts.
    pub(crate) fn over(connection: std::net::TcpStream) -> Arc<Self> {
        let limits = Limits {
            messages: 10_000,
            bytes: 1 << 30,
        };
        let peer = connection.peer_addr().unwrap();
        let (wire, waker) = (Wire::new(connection, peer), Arc::new(Waker::new().unwrap()));
        Arc::new(Mailbox::new(wire, waker, limits, Arc::default()))
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
