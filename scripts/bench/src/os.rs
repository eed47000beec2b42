//! Every system call that `std` lacks, in safe wrappers.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, SockFlag, SockType, SockaddrStorage, connect,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// As udpush has it: every server's clients may come at once.
const BACKLOG: i32 = 4096;

/// Begins a connection without waiting for it. The socket stays non-blocking. `true`: it is
/// established already, as on loopback it nearly always is.
///
/// # Errors
/// When there is no way to the address, or no descriptor or port left.
pub(crate) fn start_connecting(to: SocketAddr) -> io::Result<(TcpStream, bool)> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    let established = match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) => true,
        Err(Errno::EINPROGRESS) => false,
        Err(error) => return Err(error.into()),
    };
    Ok((TcpStream::from(socket), established))
}

/// Sends what the socket takes of `bytes` now, and says how many that was.
///
/// # Errors
/// `WouldBlock` when it takes nothing now; whatever else ends a connection. Never SIGPIPE.
pub(crate) fn send_now(socket: &impl AsRawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        let sent = socket::send(socket.as_raw_fd(), bytes, flags);
        if sent != Err(Errno::EINTR) {
            return Ok(sent?);
        }
    }
}

/// Receives what the socket holds now, at most a buffer full; 0 at the end of a stream.
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

/// Prepares a listener so that every connection inherits what udpush's have: no delay (Nagle), and
/// `send_buffer` bytes at most in the kernel. A long backlog, too.
///
/// # Errors
/// When this is no listener.
pub(crate) fn prepare_listener(listener: &TcpListener, send_buffer: usize) -> io::Result<()> {
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    setsockopt(listener, sockopt::SndBuf, &send_buffer)?;
    // Listening again changes nothing but the backlog.
    socket::listen(listener, Backlog::new(BACKLOG)?)?;
    Ok(())
}

/// Gives a UDP socket the largest receive buffer up to `wanted` bytes that the kernel grants.
///
/// # Errors
/// When this is no socket.
pub(crate) fn enlarge_receive_buffer(socket: &UdpSocket, wanted: usize) -> io::Result<()> {
    // Only a privileged process may go beyond the sysctl.
    if setsockopt(socket, sockopt::RcvBufForce, &wanted).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &wanted)?;
    }
    Ok(())
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

/// The processor time that a process has used since it started, user and system, of all its
/// threads, the ended ones included. Nanoseconds, where `/proc/PID/stat` counts in hundredths of a
/// second.
///
/// # Errors
/// When there is no such process.
pub(crate) fn processor_time(pid: u32) -> io::Result<Duration> {
    // The clock's number has no room for more (PID_MAX_LIMIT is 2^22).
    let pid = i32::try_from(pid).ok().filter(|&pid| pid <= 1 << 22);
    let pid = pid.ok_or(io::ErrorKind::NotFound)?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
    Ok(Duration::from(clock_gettime(clock)?))
}

/// The processor time of this process.
///
/// # Errors
/// Never on Linux.
pub(crate) fn own_processor_time() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(
        ClockId::CLOCK_PROCESS_CPUTIME_ID,
    )?))
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// The number that the socket was registered with.
    pub(crate) token: u64,
    /// It hung up or failed: read until the end, short reads prove nothing.
    pub(crate) hung_up: bool,
}

/// Many sockets, one wait. Edge-triggered: one that is reported is read until a read comes back
/// short.
#[derive(Debug)]
pub(crate) struct Readable {
    epoll: Epoll,
    events: Vec<EpollEvent>,
    found: usize,
}

impl Readable {
    /// At most this many sockets are reported by one wait.
    const BATCH: usize = 256;

    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the process or the system is out of descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Readable {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); Self::BATCH],
            found: 0,
        })
    }

    /// Reports `socket` when there is something to read and, with `writable`, once it can be
    /// written to.
    ///
    /// # Errors
    /// When the kernel is out of memory or watches (fs.epoll.max_user_watches).
    pub(crate) fn add(&self, socket: impl AsFd, token: u64, writable: bool) -> io::Result<()> {
        let mut interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        if writable {
            interest |= EpollFlags::EPOLLOUT;
        }
        Ok(self.epoll.add(socket, EpollEvent::new(interest, token))?)
    }

    /// Waits at most `timeout`, to the nanosecond where it is below a millisecond; then `get` has
    /// `0..count` of them. A signal ends the wait early.
    ///
    /// # Errors
    /// Never on Linux.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let mut milliseconds = u16::try_from(timeout.as_millis()).unwrap_or(u16::MAX);
        if milliseconds == 0 && !timeout.is_zero() {
            // epoll_wait only knows milliseconds; an epoll descriptor can itself be polled.
            let mut poll = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut poll, Some(TimeSpec::from(timeout)), None) {
                Ok(_) | Err(Errno::EINTR) => milliseconds = 0,
                Err(error) => return Err(error.into()),
            }
        }
        self.found = match self
            .epoll
            .wait(&mut self.events, EpollTimeout::from(milliseconds))
        {
            Ok(found) => found,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(self.found)
    }

    /// One of those that the last wait found.
    pub(crate) fn get(&self, index: usize) -> Readiness {
        let event = self.events[index];
        let ended = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        Readiness {
            token: event.data(),
            hung_up: event.events().intersects(ended),
        }
    }
}
