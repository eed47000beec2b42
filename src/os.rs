//! Every system call that `std` lacks, in safe wrappers.
//!
//! Nothing here waits but [`wait`], and nothing here retries but where it says so.

pub mod machine;

use std::array;
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::poll::{self, PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{
    self, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, Shutdown,
    SockaddrStorage, getsockopt, setsockopt, sockopt,
};
use nix::unistd;
use nix::{cmsg_space, getsockopt_impl, libc, sockopt_impl};

/// Connections that the kernel completes and keeps until they are accepted: std's 128 are too few
/// when every page reconnects at once.
const BACKLOG: i32 = 4096;

/// Wakes a thread that waits in [`wait`]: an eventfd.
///
/// The thread clears it first and looks for work then; whoever has work for it makes the work
/// visible first and wakes then. So no work is ever overlooked.
#[derive(Debug)]
pub struct Waker(EventFd);

impl Waker {
    /// A waker that nobody has woken yet.
    ///
    /// # Errors
    /// When the process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Waker(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?))
    }

    /// Makes the waiting thread, or the next wait, return. Never waits itself: the counter behind
    /// it overflows after 2^64 - 1 wakes, and an overflow would mean that it is awake anyway.
    pub fn wake(&self) {
        while self.0.write(1) == Err(Errno::EINTR) {}
    }

    /// Forgets all wakes so far, and says how many there were.
    pub fn clear(&self) -> u64 {
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
pub fn wait(interests: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
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
pub fn is_readable(interest: &PollFd<'_>) -> bool {
    let readable = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
    interest
        .revents()
        .is_some_and(|events| events.intersects(readable))
}

/// Sends what the socket takes of `parts` now, and says how many bytes that was.
///
/// # Errors
/// `WouldBlock` when it takes nothing now; whatever else ends a connection. Never SIGPIPE.
pub fn send_now(socket: &impl AsRawFd, parts: &[IoSlice<'_>]) -> io::Result<usize> {
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
pub fn receive_now(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let received = socket::recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT);
        if received != Err(Errno::EINTR) {
            return Ok(received?);
        }
    }
}

/// One datagram as [`DatagramBuffer::receive_now`] found it.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// All of it.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub sender: SocketAddr,
    /// Which address of this machine it came to, where the socket has all of them: see
    /// [`tell_addresses`].
    pub receiver: Option<IpAddr>,
    /// How many the kernel had dropped at this socket in all when it queued this one
    /// (`SO_RXQ_OVFL`; wraps around); `None` as long as there were none.
    pub dropped: Option<u32>,
}

/// Where datagrams are received, a few at a time. Its pages take memory only once a datagram was
/// as large.
#[derive(Debug)]
pub struct DatagramBuffer(Box<[u8]>);

impl DatagramBuffer {
    /// Nothing is ever truncated: UDP's largest payload is 65,507 bytes.
    const LARGEST: usize = 65_535;

    /// Datagrams received at once at most.
    const COUNT: usize = 8;

    /// Takes the next datagrams that have arrived, hands each to `found`, and says whether there
    /// may be more. One call finds a lone datagram and that it is alone: to find that out by
    /// asking again took a sixth of what a message to one client costs.
    ///
    /// # Errors
    /// `WouldBlock` when none has arrived; what an earlier reply from this socket met.
    pub fn receive_now(
        &mut self,
        socket: &UdpSocket,
        mut found: impl FnMut(Datagram<'_>),
    ) -> io::Result<bool> {
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(
            Self::COUNT,
            // The headers are told what each call found: they serve once.
            Some(cmsg_space!(u32, in6_pktinfo)),
        );
        let mut slots = self.0.chunks_exact_mut(Self::LARGEST);
        let mut parts: [_; Self::COUNT] =
            array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let received = socket::recvmmsg(
            socket.as_raw_fd(),
            &mut headers,
            parts.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        let mut count = 0;
        for message in received {
            count += 1;
            // An error would say that the kernel told more than there is room for: not why to lose
            // the datagrams.
            let (mut dropped, mut receiver) = (None, None);
            for told in message.cmsgs().into_iter().flatten() {
                match told {
                    ControlMessageOwned::RxqOvfl(count) => dropped = Some(count),
                    // Of a broadcast it is the address to answer from.
                    ControlMessageOwned::Ipv4PacketInfo(told) => {
                        let address = told.ipi_spec_dst.s_addr.to_ne_bytes();
                        receiver = Some(Ipv4Addr::from(address).into());
                    }
                    ControlMessageOwned::Ipv6PacketInfo(told) => {
                        receiver = Some(Ipv6Addr::from(told.ipi6_addr.s6_addr).into());
                    }
                    _ => {}
                }
            }
            let sender = message.address.as_ref().and_then(internet_address);
            let Some(sender) = sender else { continue };
            found(Datagram {
                // An empty datagram has no part.
                bytes: message.iovs().next().unwrap_or_default(),
                sender,
                receiver,
                dropped,
            });
        }
        Ok(count == Self::COUNT)
    }
}

impl Default for DatagramBuffer {
    fn default() -> Self {
        DatagramBuffer(vec![0; Self::COUNT * Self::LARGEST].into_boxed_slice())
    }
}

/// Has a socket that is bound to all addresses tell of each datagram to which of them it came.
///
/// # Errors
/// When this is no socket.
pub fn tell_addresses(socket: &UdpSocket) -> io::Result<()> {
    match socket.local_addr()? {
        SocketAddr::V4(bound) if bound.ip().is_unspecified() => {
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        SocketAddr::V6(bound) if bound.ip().is_unspecified() => {
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        _ => {}
    }
    Ok(())
}

/// Sends one datagram, if the kernel takes it now, from this address of the machine; `None`: from
/// the one that it would choose.
///
/// # Errors
/// `WouldBlock` when it does not; whatever the addresses cannot do.
pub fn send_datagram_now(
    socket: &UdpSocket,
    bytes: &[u8],
    sender: Option<IpAddr>,
    receiver: SocketAddr,
) -> io::Result<()> {
    let receiver = SockaddrStorage::from(receiver);
    let (v4, v6);
    let control = match sender {
        None => None,
        Some(IpAddr::V4(sender)) => {
            v4 = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr {
                    s_addr: u32::from_ne_bytes(sender.octets()),
                },
                ipi_addr: in_addr { s_addr: 0 },
            };
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(sender)) => {
            v6 = in6_pktinfo {
                ipi6_addr: in6_addr {
                    s6_addr: sender.octets(),
                },
                ipi6_ifindex: 0,
            };
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
    };
    let (parts, flags) = ([IoSlice::new(bytes)], MsgFlags::MSG_DONTWAIT);
    let control = control.as_slice();
    socket::sendmsg(socket.as_raw_fd(), &parts, control, flags, Some(&receiver))?;
    Ok(())
}

fn internet_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::from(*v6).into())
}

/// What this machine is called in its network; `localhost` where nobody has given it a name.
pub fn host_name() -> String {
    let is_part_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    match unistd::gethostname().map(OsString::into_string) {
        Ok(Ok(name)) if !name.is_empty() && name.chars().all(is_part_of_name) => name,
        _ => "localhost".to_owned(),
    }
}

/// Gives a UDP socket the largest receive buffer up to `wanted` bytes that the kernel grants, has
/// it count what it drops, and says how many bytes it has now.
///
/// The kernel reserves twice what is asked for, for its bookkeeping, and reports that double;
/// `wanted` and the result are in the sysctl's terms (`net.core.rmem_max`), before doubling.
///
/// # Errors
/// When this is no socket.
pub fn enlarge_receive_buffer(socket: &UdpSocket, wanted: usize) -> io::Result<usize> {
    setsockopt(socket, sockopt::RxqOvfl, &1)?;
    // Only a privileged process may go beyond the sysctl.
    if setsockopt(socket, sockopt::RcvBufForce, &wanted).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &wanted)?;
    }
    Ok(getsockopt(socket, sockopt::RcvBuf)? / 2)
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
pub struct Outgoing {
    /// So many the peer's system has acknowledged so far.
    pub acknowledged: u64,
    /// So many the peer's system has no room for, or the network.
    pub unsent: u32,
}

/// How far the bytes have come that this socket took; nowhere, if the kernel cannot tell.
pub fn outgoing(socket: &TcpStream) -> Outgoing {
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
    }
}

/// Prepares a listener so that every connection inherits what a client's socket needs: no delay
/// (Nagle), `send_buffer` bytes at most in the kernel, and an end when the peer acknowledged
/// nothing for `user_timeout`. A long backlog, too.
///
/// # Errors
/// When this is no listener.
pub fn prepare_listener(
    listener: &TcpListener,
    send_buffer: usize,
    user_timeout: Duration,
) -> io::Result<()> {
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    setsockopt(listener, sockopt::SndBuf, &send_buffer)?;
    let milliseconds = u32::try_from(user_timeout.as_millis()).unwrap_or(u32::MAX);
    setsockopt(listener, sockopt::TcpUserTimeout, &milliseconds)?;
    // Listening again changes nothing but the backlog.
    socket::listen(listener, Backlog::new(BACKLOG)?)?;
    Ok(())
}

/// Ends a thread's wait in `accept`: it returns an error from now on.
pub fn shut_listener(listener: &TcpListener) {
    // Fails only when it is shut already.
    let _ = socket::shutdown(listener.as_raw_fd(), Shutdown::Both);
}

/// Raises the limit of open descriptors as far as this process may, at most to `wanted`, and says
/// where it is now.
///
/// # Errors
/// When the limit cannot be read.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
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
pub fn block_hangup() -> io::Result<()> {
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    Ok(hangup.thread_block()?)
}
