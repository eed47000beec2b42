//! A client's connection: the one place that reads from it and writes to it. Nothing here waits.
//!
//! The thread that owns the client reads; whoever delivers writes, under the outlet's mutex.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

use super::Outflow;
use crate::address::Address;
use crate::os::{self, Outgoing};

/// See the module.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    peer: SocketAddr,
    /// Where the client is, if a proxy told it.
    client: OnceLock<Address>,
}

impl Wire {
    /// Over a connection that was accepted from there.
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Wire {
            stream,
            peer,
            client: OnceLock::new(),
        }
    }

    /// Where the client is, even if it is gone: at the other end, or where a proxy says.
    pub(crate) fn address(&self) -> Address {
        let told = self.client.get().copied();
        told.unwrap_or_else(|| Address::direct(self.peer))
    }

    /// A proxy at the other end says where the client is.
    pub(crate) fn comes_from(&self, client: Address) {
        // It is told once.
        let _ = self.client.set(client);
    }

    /// Takes what has arrived, at most a buffer full, and says how many bytes that were; 0 at the
    /// end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived; every other error is final.
    pub(crate) fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        os::receive_now(&self.stream, buffer)
    }

    /// Ends the stream to the client; what it sends can still be received.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// How much of what was sent has left, and was acknowledged.
    pub(crate) fn outgoing(&self) -> Outgoing {
        os::outgoing(&self.stream)
    }
}

impl Outflow for Wire {
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        os::send_now(&self.stream, parts)
    }
}

/// For waiting until it can be read or written.
impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
