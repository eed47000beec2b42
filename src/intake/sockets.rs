//! The UDP sockets, and what has been taken out of them.
//!
//! Taking never waits, never parses and never logs, so that it can be done in the midst of
//! posting: the kernel's buffer may hold no more than two milliseconds of a burst.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::poll::{PollFd, PollFlags};

use crate::os::{self, DatagramBuffer, Waker};

/// Bytes of datagrams that are kept at most; beyond that the kernel keeps, drops and counts them.
const MAX_BYTES: usize = 4 << 20;

/// What a kept datagram costs beside its bytes.
const OVERHEAD: usize = 128;

/// Datagrams taken at once from all sockets at most, so that what was taken gets on its way.
const MAX_TAKEN: usize = 1024;

/// A datagram as it came.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) bytes: Bytes,
    pub(super) sender: SocketAddr,
    /// Which address it came to, where its socket has several.
    pub(super) receiver: Option<IpAddr>,
    /// Which socket it came in at.
    socket: usize,
}

#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<Source>,
    buffer: DatagramBuffer,
    arrivals: VecDeque<Arrival>,
    bytes: usize,
    dropped: u64,
    /// Several came at once, and the kernel was not asked since what it dropped behind the last one.
    is_burst: bool,
}

#[derive(Debug)]
struct Source {
    socket: UdpSocket,
    /// A wait has found a datagram, and it has not been emptied since.
    is_ready: bool,
    /// What the kernel had dropped here when it last told.
    dropped: u32,
}

impl Source {
    fn interest(&self) -> PollFd<'_> {
        PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)
    }
}

/// How many of those that were dropped in all were not known before. A datagram tells how many that
/// were when it came in: fewer than the kernel has told meanwhile, if it was asked.
fn note_dropped(known: &mut u32, dropped: u32) -> u64 {
    let more = dropped.wrapping_sub(*known);
    if more > u32::MAX / 2 {
        return 0;
    }
    *known = dropped;
    more.into()
}

impl Sockets {
    pub(super) fn new(sockets: Vec<UdpSocket>) -> Self {
        Sockets {
            sockets: sockets
                .into_iter()
                .map(|socket| Source {
                    socket,
                    is_ready: false,
                    dropped: 0,
                })
                .collect(),
            buffer: DatagramBuffer::default(),
            arrivals: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            is_burst: false,
        }
    }

    /// Waits for a datagram, if there is room for one, or for the waker, which is cleared then.
    pub(super) fn wait(&mut self, waker: &Waker, timeout: Option<Duration>) -> io::Result<()> {
        let mut interests = Vec::with_capacity(1 + self.sockets.len());
        interests.push(PollFd::new(waker.as_fd(), PollFlags::POLLIN));
        if self.has_room() {
            interests.extend(self.sockets.iter().map(Source::interest));
        }
        os::wait(&mut interests, timeout)?;
        let ready: Vec<_> = interests.iter().map(os::is_readable).collect();
        if ready[0] {
            waker.clear();
        }
        self.note(&ready[1..]);
        Ok(())
    }

    fn note(&mut self, ready: &[bool]) {
        for (source, is_ready) in self.sockets.iter_mut().zip(ready) {
            source.is_ready |= is_ready;
        }
    }

    fn has_room(&self) -> bool {
        self.bytes < MAX_BYTES
    }

    /// Finds out, without waiting, which sockets have something.
    fn look(&mut self) {
        let mut interests: Vec<_> = self.sockets.iter().map(Source::interest).collect();
        // When the kernel is out of memory, nothing has come.
        let _ = os::wait(&mut interests, Some(Duration::ZERO));
        let ready: Vec<_> = interests.iter().map(os::is_readable).collect();
        self.note(&ready);
    }

    /// Takes what has arrived; says whether there was anything.
    pub(super) fn take(&mut self) -> bool {
        if !self.sockets.iter().any(|source| source.is_ready) {
            self.look();
        }
        let mut taken = 0;
        // The sockets take turns.
        while self.has_room() && taken < MAX_TAKEN {
            let before = taken;
            for index in 0..self.sockets.len() {
                if self.sockets[index].is_ready {
                    taken += self.take_some(index);
                }
            }
            if taken == before {
                break;
            }
        }
        self.is_burst |= taken > 1;
        taken > 0
    }

    /// Takes a few datagrams from one socket, and says how many.
    fn take_some(&mut self, index: usize) -> usize {
        let source = &mut self.sockets[index];
        let mut count = 0;
        let received = self.buffer.receive_now(&source.socket, |datagram| {
            if let Some(dropped) = datagram.dropped {
                self.dropped += note_dropped(&mut source.dropped, dropped);
            }
            self.bytes += datagram.bytes.len() + OVERHEAD;
            self.arrivals.push_back(Arrival {
                bytes: Bytes::copy_from_slice(datagram.bytes),
                sender: datagram.sender,
                receiver: datagram.receiver,
                socket: index,
            });
            count += 1;
        });
        // An error is that none has arrived, or what an earlier reply met, such as a port that is
        // closed: the next wait tells of whatever has arrived behind it.
        source.is_ready = received.is_ok_and(|may_hold_more| may_hold_more);
        count
    }

    /// Whether nothing was taken that is still to be read.
    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// The oldest datagram that was taken.
    pub(super) fn next(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.pop_front()?;
        self.bytes -= arrival.bytes.len() + OVERHEAD;
        Some(arrival)
    }

    /// The socket that a datagram came in at.
    pub(super) fn socket_of(&self, arrival: &Arrival) -> &UdpSocket {
        &self.sockets[arrival.socket].socket
    }

    /// Counts what nobody will read any more: what was taken, and what the kernel holds, as far as
    /// that is to be found out until then.
    pub(super) fn discard(&mut self, deadline: Instant) -> usize {
        let mut count = 0;
        loop {
            count += self.arrivals.len();
            self.arrivals.clear();
            self.bytes = 0;
            if Instant::now() >= deadline || !self.take() {
                return count;
            }
        }
    }

    /// Asks the kernel what it dropped behind the last datagram of a burst: of that no datagram tells
    /// until the next one comes. A lone one leaves room for others, and is not worth the question.
    pub(super) fn ask_what_was_dropped(&mut self) {
        if !std::mem::take(&mut self.is_burst) {
            return;
        }
        for source in &mut self.sockets {
            if let Ok(dropped) = os::dropped(&source.socket) {
                self.dropped += note_dropped(&mut source.dropped, dropped);
            }
        }
    }

    /// Datagrams that the kernel is known to have dropped since this was last asked.
    pub(super) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests;
