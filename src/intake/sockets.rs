//! The UDP sockets, and what has been taken out of them.
//!
//! Taking never waits, never parses and never logs, so that it can be done in the midst of
//! posting: the kernel's buffer may hold no more than two milliseconds of a burst.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use tungstenite::Bytes;

use crate::os::{self, Waker};

/// Nothing is ever truncated: UDP's largest payload is 65,507 bytes.
const LARGEST_DATAGRAM: usize = 65_535;

/// Bytes of datagrams that are kept at most; beyond that the kernel keeps, drops and counts them.
const MAX_BYTES: usize = 4 << 20;

/// What a kept datagram costs beside its bytes.
const OVERHEAD: usize = 128;

/// Datagrams taken from one socket before the next gets its turn.
const TURN: usize = 64;

/// Datagrams taken at once from all sockets at most, so that what was taken gets on its way.
const MAX_TAKEN: usize = 1024;

/// A datagram as it came.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) bytes: Bytes,
    pub(super) sender: SocketAddr,
    /// Which socket it came in at.
    socket: usize,
}

#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<Source>,
    buffer: Box<[u8]>,
    arrivals: VecDeque<Arrival>,
    bytes: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Source {
    socket: UdpSocket,
    /// What the kernel had dropped here when it last told.
    dropped: u32,
}

impl Sockets {
    pub(super) fn new(sockets: Vec<UdpSocket>) -> Self {
        Sockets {
            sockets: sockets
                .into_iter()
                .map(|socket| Source { socket, dropped: 0 })
                .collect(),
            buffer: vec![0; LARGEST_DATAGRAM].into_boxed_slice(),
            arrivals: VecDeque::new(),
            bytes: 0,
            dropped: 0,
        }
    }

    /// Waits for a datagram, if there is room for one, or for the waker, which is cleared then.
    pub(super) fn wait(&self, waker: &Waker, timeout: Option<Duration>) -> io::Result<()> {
        let mut interests = Vec::with_capacity(1 + self.sockets.len());
        interests.push(PollFd::new(waker.as_fd(), PollFlags::POLLIN));
        if self.bytes < MAX_BYTES {
            let sockets = self.sockets.iter();
            interests.extend(sockets.map(|s| PollFd::new(s.socket.as_fd(), PollFlags::POLLIN)));
        }
        os::wait(&mut interests, timeout)?;
        if os::is_readable(&interests[0]) {
            waker.clear();
        }
        Ok(())
    }

    /// Waits for one more datagram, if there is room for it; false when none has come.
    pub(super) fn wait_for_more(&self, timeout: Duration) -> bool {
        let sockets = self.sockets.iter();
        let mut interests: Vec<_> = sockets
            .map(|s| PollFd::new(s.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let waited = os::wait_precisely(&mut interests, timeout);
        self.bytes < MAX_BYTES && waited.is_ok() && interests.iter().any(os::is_readable)
    }

    /// Takes what has arrived; says whether there was anything.
    pub(super) fn take(&mut self) -> bool {
        let mut taken = 0;
        loop {
            let before = taken;
            for socket in 0..self.sockets.len() {
                for _ in 0..TURN {
                    if self.bytes >= MAX_BYTES || !self.take_one(socket) {
                        break;
                    }
                    taken += 1;
                }
            }
            if taken == before || taken >= MAX_TAKEN {
                return taken > 0;
            }
        }
    }

    /// Takes one datagram; false when none has arrived.
    fn take_one(&mut self, index: usize) -> bool {
        let source = &mut self.sockets[index];
        let datagram = match os::receive_datagram_now(&source.socket, &mut self.buffer) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // What an earlier reply met, such as a port that is closed; the wait tells of whatever
            // has arrived behind it.
            Err(_) => return false,
        };
        if let Some(dropped) = datagram.dropped {
            self.dropped += u64::from(dropped.wrapping_sub(source.dropped));
            source.dropped = dropped;
        }
        self.bytes += datagram.length + OVERHEAD;
        self.arrivals.push_back(Arrival {
            bytes: Bytes::copy_from_slice(&self.buffer[..datagram.length]),
            sender: datagram.sender,
            socket: index,
        });
        true
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

    /// Datagrams that the kernel is known to have dropped since this was last asked.
    pub(super) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
