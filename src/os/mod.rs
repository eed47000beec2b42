//! Every system call that `std` lacks, in safe wrappers.
//!
//! Nothing here waits but [`wait`], and nothing here retries but where it says so.

mod datagrams;
pub(crate) mod machine;

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{self, Backlog, MsgFlags, Shutdown, getsockopt, setsockopt, sockopt};
use nix::unistd;
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

pub(crate) use datagrams::{
    DatagramBuffer, dropped, enlarge_receive_buffer, send_datagram_now, tell_addresses,
};

/// Connections that the kernel completes and keeps until they are accepted: std's 128 are too few
/// when every page reconnects at once.
const BACKLOG: i32 = 4096;

/// Wakes a thread that waits in [`wait`]: an eventfd.
///
/// The thread clears it first and looks for work then; whoever has work for it makes the work
/// visible first and wakes then. So no work is ever overlooked.
#[derive(Debug)]
pub(crate) struct Waker(EventFd);

impl Waker {
    /// A waker that nobody has woken yet.
    ///
    /// # Errors
    /// When the process or the system is out of descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Waker(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?))
    }

    /// Makes the waiting thread, or the next wait, return. Never waits itself: the counter behind
    /// it overflows after 2^64 - 1 wakes, and an overflow would mean that it is awake anyway.
    pub(crate) fn wake(&self) {
        while self.0.write(1) == Err(Errno::EINTR) {}
    }

    /// Forgets all wakes so far, and says how many there were.
    pub(crate) fn clear(&self) -> u64 {
        loop {
            match self.0.read() {
                Err(Errno::EINTR) => {}
                Err(_) => return 0,
                Ok(wakes) => return wakes,
            }
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `interests` has come true, or `timeout` has passed (`None`: for ever).
///
/// A signal ends the wait early, as if nothing had come true: callers look at their own clocks.
/// Timeouts are rounded up to whole milliseconds.
///
/// # Errors
/// When the kernel is out of memory.
pub(crate) fn wait(interests: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = match timeout {
        None => PollTimeout::NONE,
        Some(timeout) => {
            let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
        }
    };
    match poll::poll(interests, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a read from this descriptor would not wait; an end or an error counts, as the read
/// tells of it.
pub(crate) fn is_readable(interest: &PollFd<'_>) -> bool {
    let readable = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
    interest
        .revents()
        .is_some_and(|events| events.intersects(readable))
}

/// Sends what the socket takes of `parts` now, and says how many bytes that was.
///
/// # Errors
/// `WouldBlock` when it takes nothing now; whatever else ends a connection. Never SIGPIPE.
pub(crate) fn send_now(socket: &impl AsRawFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        let sent = match parts {
            [part] => socket::send(socket.as_raw_fd(), part, flags),
            parts => socket::sendmsg::<()>(socket.as_raw_fd(), parts, &[], flags, None),
        };
        if sent != Err(Errno::EINTR) {
            return Ok(sent?);
        }
    }
}

/// Receives what the socket holds now, at most a buffer full; 0 at the end of the stream.
///
/// # Errors
/// `WouldBlock` when it holds nothing now; whatever else ends a connection.
pub(crate) fn receive_now(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let received = socket::recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT);
        if received != Err(Errno::EINTR) {
            return Ok(received?);
        }
    }
}

/// What this machine is called in its network; `localhost` where nobody has given it a name.
pub(crate) fn host_name() -> String {
    let is_part_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    match unistd::gethostname().map(OsString::into_string) {
        Ok(Ok(name)) if !name.is_empty() && name.chars().all(is_part_of_name) => name,
        _ => "localhost".to_owned(),
    }
}

sockopt_impl!(
    /// The first part of `struct tcp_info`, as Linux has had it since 4.6: `tcpi_notsent_bytes` is the
    /// last of it here.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u32; 37]
);

/// How far the bytes have come that a socket took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outgoing {
    /// So many the peer's system has acknowledged so far.
    pub(crate) acknowledged: u64,
    /// So many the peer's system has no room for, or the network.
    pub(crate) unsent: u32,
    /// So long ago the peer's system last acknowledged anything.
    pub(crate) silence: Duration,
}

/// How far the bytes have come that this socket took; nowhere, if the kernel cannot tell.
pub(crate) fn outgoing(socket: &TcpStream) -> Outgoing {
    let Ok(info) = getsockopt(socket, TcpInfo) else {
        return Outgoing::default();
    };
    // tcpi_bytes_acked is one number of 64 bits.
    let [low, high] = [info[30].to_ne_bytes(), info[31].to_ne_bytes()];
    let mut acknowledged = [0; 8];
    acknowledged[..4].copy_from_slice(&low);
    acknowledged[4..].copy_from_slice(&high);
    Outgoing {
        acknowledged: u64::from_ne_bytes(acknowledged),
        unsent: info[36],
        silence: Duration::from_millis(info[14].into()),
    }
}

sockopt_impl!(
    /// Seconds for which a connection without data is kept from its listener.
    TcpDeferAccept,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32
);

/// Prepares a listener so that every connection inherits what a client's socket needs: no delay
/// (Nagle), `send_buffer` bytes at most in the kernel, and an end when the peer acknowledged
/// nothing for `user_timeout`. A long backlog, too; and a client is accepted when its request has
/// come, or after a second: its thread need not wait for it.
///
/// # Errors
/// When this is no listener.
pub(crate) fn prepare_listener(
    listener: &TcpListener,
    send_buffer: usize,
    user_timeout: Duration,
) -> io::Result<()> {
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    setsockopt(listener, sockopt::SndBuf, &send_buffer)?;
    let milliseconds = u32::try_from(user_timeout.as_millis()).unwrap_or(u32::MAX);
    setsockopt(listener, sockopt::TcpUserTimeout, &milliseconds)?;
    setsockopt(listener, TcpDeferAccept, &1)?;
    // Listening again changes nothing but the backlog.
    socket::listen(listener, Backlog::new(BACKLOG)?)?;
    Ok(())
}

/// Ends a thread's wait in `accept`: it returns an error from now on.
pub(crate) fn shut_listener(listener: &TcpListener) {
    // Fails only when it is shut already.
    let _ = socket::shutdown(listener.as_raw_fd(), Shutdown::Both);
}

/// Raises the limit of open descriptors as far as this process may, at most to `wanted`, and says
/// where it is now.
///
/// # Errors
/// When the limit cannot be read.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    // A privileged process may raise the hard limit, too.
    if hard < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    let soft = hard.min(wanted);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    Ok(soft)
}

/// Blocks SIGHUP in this thread and all that it starts from now on, so that a closed terminal does
/// nothing.
///
/// # Errors
/// Never on Linux.
pub(crate) fn block_hangup() -> io::Result<()> {
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    Ok(hangup.thread_block()?)
}
