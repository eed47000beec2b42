//! UDP sockets: what a datagram tells besides its bytes, and what the kernel dropped.

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::libc::{self, in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    self, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt,
    setsockopt, sockopt,
};
use nix::{cmsg_space, getsockopt_impl, sockopt_impl};

/// One datagram as [`DatagramBuffer::receive_now`] found it.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    /// All of it.
    pub(crate) bytes: &'a [u8],
    /// Who sent it.
    pub(crate) sender: SocketAddr,
    /// Which address of this machine it came to, where the socket has all of them: see
    /// [`tell_addresses`].
    pub(crate) receiver: Option<IpAddr>,
    /// How many the kernel had dropped at this socket in all when it queued this one
    /// (`SO_RXQ_OVFL`; wraps around); `None` as long as there were none.
    pub(crate) dropped: Option<u32>,
}

/// Where datagrams are received, a few at a time. Its pages take memory only once a datagram was
/// as large.
#[derive(Debug)]
pub(crate) struct DatagramBuffer(Box<[u8]>);

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
    pub(crate) fn receive_now(
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
            // An error means that the kernel had more to tell about the datagram than there was room
            // for. The datagram itself is whole, so it is kept.
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
pub(crate) fn tell_addresses(socket: &UdpSocket) -> io::Result<()> {
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
pub(crate) fn send_datagram_now(
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

/// Gives a UDP socket the largest receive buffer up to `wanted` bytes that the kernel grants, has
/// it count what it drops, and says how many bytes it has now.
///
/// The kernel reserves twice what is asked for, for its bookkeeping, and reports that double;
/// `wanted` and the result are in the sysctl's terms (`net.core.rmem_max`), before doubling.
///
/// # Errors
/// When this is no socket.
pub(crate) fn enlarge_receive_buffer(socket: &UdpSocket, wanted: usize) -> io::Result<usize> {
    setsockopt(socket, sockopt::RxqOvfl, &1)?;
    // Only a privileged process may go beyond the sysctl.
    if setsockopt(socket, sockopt::RcvBufForce, &wanted).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &wanted)?;
    }
    Ok(getsockopt(socket, sockopt::RcvBuf)? / 2)
}

sockopt_impl!(
    /// `SO_MEMINFO`: what a socket holds, and as the last of it, what was dropped at it.
    MemInfo,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; 9]
);

/// How many datagrams the kernel has dropped at this socket in all (wraps around).
///
/// # Errors
/// When the kernel does not tell (before Linux 4.12).
pub(crate) fn dropped(socket: &UdpSocket) -> io::Result<u32> {
    Ok(getsockopt(socket, MemInfo)?[libc::SK_MEMINFO_DROPS as usize])
}
