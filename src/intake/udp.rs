//! The UDP thread: datagrams in, rounds out.
//!
//! It waits for a datagram, then takes, without waiting, whatever else has arrived. A burst
//! becomes one round: routed, posted and handed over before the next is begun. While the workers
//! have enough to do, it gathers; when it has gathered enough, the kernel's buffer fills, drops
//! and counts.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use ipnet::IpNet;
use log::Level;
use nix::poll::{PollFd, PollFlags};
use tungstenite::Bytes;

use super::reply::Replies;
use crate::hub::{Hub, Receipt};
use crate::logging::{Kind, logged};
use crate::message::{self, Document};
use crate::os::{self, Waker};

/// Nothing is ever truncated: UDP's largest payload is 65,507 bytes.
const LARGEST_DATAGRAM: usize = 65_535;

/// Messages in a round at most.
const ROUND_MESSAGES: usize = 1024;

/// Bytes of documents in a round at most; a larger document is a round of its own.
const ROUND_BYTES: usize = 256 << 10;

/// Bytes of documents gathered at most while the workers are busy.
const MAX_GATHERED: usize = 8 << 20;

/// What a gathered document costs beside its bytes.
const DOCUMENT_OVERHEAD: usize = 128;

/// Datagrams taken from one socket before the next gets its turn.
const TURN: usize = 64;

/// How long a stopping intake still takes what the kernel holds.
const DRAIN: Duration = Duration::from_millis(500);

/// The UDP thread's state; [`run`](Intake::run) is the thread.
#[derive(Debug)]
pub struct Intake {
    sockets: Vec<Source>,
    /// Networks besides loopback that may publish.
    trusted: Vec<IpNet>,
    hub: Arc<Hub>,
    waker: Arc<Waker>,
    stop: Receiver<()>,
    replies: Replies,
    gathered: Gathered,
    buffer: Box<[u8]>,
    /// Where the documents of the datagram at hand lie.
    documents: Vec<Range<usize>>,
    receipts: Vec<Receipt>,
}

#[derive(Debug)]
struct Source {
    socket: UdpSocket,
    /// What the kernel had dropped here when it last told.
    dropped: u32,
}

/// Documents that have come in and are not published, in order.
#[derive(Debug, Default)]
struct Gathered {
    documents: VecDeque<Document>,
    senders: VecDeque<SocketAddr>,
    bytes: usize,
}

/// Documents and bytes at which gathering ends.
struct Goal {
    documents: usize,
    bytes: usize,
}

impl Intake {
    /// `waker` wakes the thread when the hub has room again, and after `stop` was closed.
    pub fn new(
        sockets: Vec<UdpSocket>,
        trusted: Vec<IpNet>,
        replies: Replies,
        hub: Arc<Hub>,
        waker: Arc<Waker>,
        stop: Receiver<()>,
    ) -> Self {
        Intake {
            sockets: sockets
                .into_iter()
                .map(|socket| Source { socket, dropped: 0 })
                .collect(),
            trusted,
            hub,
            waker,
            stop,
            replies,
            gathered: Gathered::default(),
            buffer: vec![0; LARGEST_DATAGRAM].into_boxed_slice(),
            documents: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// The thread: until it is told to stop, and then until it has published what the sockets
    /// hold, for at most half a second.
    ///
    /// # Errors
    /// When waiting itself fails, for want of memory.
    pub fn run(mut self) -> io::Result<()> {
        while self.stop.try_recv() != Err(TryRecvError::Disconnected) {
            if self.gathered.is_empty() || !self.hub.has_room() {
                self.wait(None)?;
            }
            self.gather();
            self.publish_round();
        }
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            let found_any = self.gather();
            self.publish_round();
            if !self.gathered.is_empty() {
                self.wait(Some(deadline.saturating_duration_since(Instant::now())))?;
            } else if !found_any {
                break;
            }
        }
        Ok(())
    }

    /// Waits for a datagram, unless enough is gathered, or for the waker.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let mut interests = Vec::with_capacity(1 + self.sockets.len());
        interests.push(PollFd::new(self.waker.as_fd(), PollFlags::POLLIN));
        if self.gathered.bytes < MAX_GATHERED {
            let sockets = self.sockets.iter();
            interests.extend(sockets.map(|s| PollFd::new(s.socket.as_fd(), PollFlags::POLLIN)));
        }
        os::wait(&mut interests, timeout)?;
        self.waker.clear();
        Ok(())
    }

    /// Takes what has arrived, a round's worth at most, as long as there is room for it. Says
    /// whether there was anything.
    fn gather(&mut self) -> bool {
        let goal = self.gathered.after_a_round();
        let mut found_any = false;
        loop {
            let mut found = false;
            for source in 0..self.sockets.len() {
                for _ in 0..TURN {
                    if self.gathered.has_reached(&goal) || !self.take(source) {
                        break;
                    }
                    found = true;
                }
            }
            if !found {
                return found_any;
            }
            found_any = true;
        }
    }

    /// Takes one datagram; false when none has arrived.
    fn take(&mut self, source: usize) -> bool {
        let source = &mut self.sockets[source];
        let datagram = match os::receive_datagram_now(&source.socket, &mut self.buffer) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => {
                // What an earlier reply met, such as a port that is closed: once each.
                log::debug!("the UDP socket tells: {error}");
                return true;
            }
        };
        let sender = datagram.sender;
        if let Some(dropped) = datagram.dropped {
            let lost = dropped.wrapping_sub(source.dropped);
            source.dropped = dropped;
            if lost > 0 {
                logged!(
                    Level::Warn,
                    Kind::Dropped(u64::from(lost)),
                    "the kernel dropped {lost} datagrams: its receive buffer was full"
                );
            }
        }
        if !is_trusted(&self.trusted, sender) {
            logged!(
                Level::Warn,
                Kind::Refused,
                "refused datagram from {sender}: its network is not in --publish-from"
            );
            return true;
        }
        let bytes = &self.buffer[..datagram.length];
        self.documents.clear();
        match message::split(bytes, &mut self.documents) {
            Ok(empty) => {
                if empty > 0 {
                    logged!(
                        Level::Debug,
                        Kind::Empty(empty as u64),
                        "dropped {empty} empty documents from {sender}"
                    );
                }
                self.gathered.add(bytes, &self.documents, sender);
            }
            Err(refusal) => {
                logged!(
                    Level::Warn,
                    Kind::Refused,
                    "refused datagram from {sender}: {refusal}"
                );
                self.replies.refuse(&source.socket, sender, &refusal);
            }
        }
        true
    }

    /// Publishes one round of what is gathered, if the hub has room.
    fn publish_round(&mut self) {
        if self.gathered.is_empty() || !self.hub.has_room() {
            return;
        }
        let count = self.gathered.round_length();
        let round = &self.gathered.documents.make_contiguous()[..count];
        self.hub.publish(round, &mut self.receipts);
        let receipts = self.receipts.iter().zip(round);
        for ((receipt, document), sender) in receipts.zip(&self.gathered.senders) {
            tell(receipt, document, *sender);
        }
        self.gathered.remove(count);
    }
}

/// The log's line for one message, and at debug the document itself.
fn tell(receipt: &Receipt, document: &Document, sender: SocketAddr) {
    let Receipt { id, clients } = receipt;
    let length = document.len();
    logged!(
        Level::Info,
        Kind::Message(length as u64),
        "message {id} from {sender}, {length} bytes, for {clients} clients"
    );
    logged!(
        Level::Debug,
        Kind::Document,
        "document {id}: {}",
        document.escape_debug()
    );
}

fn is_trusted(trusted: &[IpNet], sender: SocketAddr) -> bool {
    let address = sender.ip().to_canonical();
    address.is_loopback() || trusted.iter().any(|network| network.contains(&address))
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Where gathering is to end: a round from now, or when there is no more room.
    fn after_a_round(&self) -> Goal {
        Goal {
            documents: self.documents.len() + ROUND_MESSAGES,
            bytes: (self.bytes + ROUND_BYTES).min(MAX_GATHERED),
        }
    }

    fn has_reached(&self, goal: &Goal) -> bool {
        self.documents.len() >= goal.documents || self.bytes >= goal.bytes
    }

    /// Adds the documents of one datagram. They share one copy of its bytes, unless most of it was
    /// dropped: a document may be held for long, and should not hold much else.
    fn add(&mut self, datagram: &[u8], documents: &[Range<usize>], sender: SocketAddr) {
        let (Some(first), Some(last)) = (documents.first(), documents.last()) else {
            return;
        };
        let (start, end) = (first.start, last.end);
        let share = 2 * documents.iter().map(Range::len).sum::<usize>() > end - start;
        let shared = share.then(|| Bytes::copy_from_slice(&datagram[start..end]));
        for document in documents {
            let bytes = match &shared {
                Some(shared) => shared.slice(document.start - start..document.end - start),
                None => Bytes::copy_from_slice(&datagram[document.clone()]),
            };
            let Ok(document) = Document::try_from(bytes) else {
                // Documents in a text are text.
                continue;
            };
            self.bytes += document.len() + DOCUMENT_OVERHEAD;
            self.documents.push_back(document);
            self.senders.push_back(sender);
        }
    }

    /// Documents that make the next round; at least one.
    fn round_length(&self) -> usize {
        let mut bytes = 0;
        let fitting = self.documents.iter().take(ROUND_MESSAGES).take_while(|d| {
            bytes += d.len();
            bytes <= ROUND_BYTES
        });
        fitting.count().max(1)
    }

    fn remove(&mut self, count: usize) {
        for document in self.documents.drain(..count) {
            self.bytes -= document.len() + DOCUMENT_OVERHEAD;
        }
        self.senders.drain(..count);
    }
}
