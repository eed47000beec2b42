//! A connection within the process: the other side is the fuzzer's.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{self, AddressFamily, MsgFlags, Shutdown, SockFlag, SockType};

use crate::mailbox::wire::Wire;
use crate::mailbox::{Limits, Mailbox};
use crate::os::Waker;

/// The fuzzer's end.
pub(crate) struct Pipe(OwnedFd);

impl Pipe {
    /// A stream, and the server's end of it.
    pub(crate) fn stream() -> (Pipe, TcpStream) {
        Pipe::pair(SockType::Stream)
    }

    /// The same, but each receive takes what one [`send`](Self::send) sent, if it has room for that.
    pub(crate) fn of_packets() -> (Pipe, TcpStream) {
        Pipe::pair(SockType::SeqPacket)
    }

    fn pair(kind: SockType) -> (Pipe, TcpStream) {
        let (theirs, ours) =
            socket::socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
                .expect("descriptors");
        // Nothing is asked of it that TCP alone has.
        (Pipe(theirs), TcpStream::from(ours))
    }

    /// A stream, and a mailbox at its other end.
    pub(crate) fn to_mailbox() -> (Pipe, Arc<Mailbox>) {
        let (pipe, stream) = Pipe::stream();
        let limits = Limits {
            messages: 100_000,
            bytes: 1 << 30,
        };
        let wire = Wire::new(stream, Pipe::address());
        let waker = Waker::new().expect("descriptors");
        let mailbox = Mailbox::new(wire, waker, limits, Arc::default());
        (pipe, Arc::new(mailbox))
    }

    /// Whose it is, for the log.
    pub(crate) fn address() -> SocketAddr {
        ([10, 0, 0, 5], 51_234).into()
    }

    /// False when there is no room for it.
    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        socket::send(self.0.as_raw_fd(), bytes, flags) == Ok(bytes.len())
    }

    /// Nothing more will be sent.
    pub(crate) fn end(&self) {
        // It fails when the other end is gone already.
        let _ = socket::shutdown(self.0.as_raw_fd(), Shutdown::Write);
    }

    /// What the server has said by now.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        let flags = MsgFlags::MSG_DONTWAIT;
        while let Ok(count @ 1..) = socket::recv(self.0.as_raw_fd(), &mut buffer, flags) {
            received.extend_from_slice(&buffer[..count]);
        }
        received
    }
}
