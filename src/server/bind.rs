//! The sockets, and the lines of the log that say where they are.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use super::error::StartError;
use crate::config::{Config, Publish};
use crate::os;

/// A client's bytes in the kernel at most: a stuck one must not hold 4 MB there.
const SEND_BUFFER: usize = 256 << 10;

/// What the receive buffer should hold; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Where browsers connect.
pub(super) fn listener(config: &Config) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(config.listen)
        .map_err(|error| StartError::bind(config.listen, error, "--listen"))?;
    os::prepare_listener(&listener, SEND_BUFFER, 2 * config.hub.heartbeat)
        .map_err(|error| StartError::bind(config.listen, error, "--listen"))?;
    Ok(listener)
}

/// One address of the trusted side: datagrams, and connections on the same port.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) socket: UdpSocket,
    pub(super) listener: TcpListener,
}

/// How often a free port is looked for that both have.
const TRIES: usize = 20;

/// Where documents come in.
pub(super) fn publishers(publish: &Publish) -> Result<Vec<Publisher>, StartError> {
    let (addresses, may_lack) = match publish {
        Publish::Loopback => (&Publish::LOOPBACK[..], true),
        Publish::At(addresses) => (&addresses[..], false),
    };
    let mut publishers = Vec::with_capacity(addresses.len());
    for address in addresses {
        match publisher(*address) {
            Ok(publisher) => {
                prepare_publisher(&publisher.socket, address)?;
                publishers.push(publisher);
            }
            // A machine without IPv6.
            Err(error) if may_lack && address.is_ipv6() && is_unavailable(&error) => {}
            Err(error) => return Err(StartError::bind(*address, error, "--publish")),
        }
    }
    Ok(publishers)
}

fn publisher(address: SocketAddr) -> io::Result<Publisher> {
    for _ in 1..TRIES {
        match publisher_once(address) {
            // The port that is free for datagrams is not for connections.
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
    publisher_once(address)
}

fn publisher_once(address: SocketAddr) -> io::Result<Publisher> {
    let socket = UdpSocket::bind(address)?;
    let listener = TcpListener::bind((address.ip(), socket.local_addr()?.port()))?;
    Ok(Publisher { socket, listener })
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

fn prepare_publisher(socket: &UdpSocket, address: &SocketAddr) -> Result<(), StartError> {
    let unprepared = |error| StartError::Prepare {
        address: *address,
        error,
    };
    let granted = os::enlarge_receive_buffer(socket, RECEIVE_BUFFER).map_err(unprepared)?;
    os::tell_addresses(socket).map_err(unprepared)?;
    if granted < RECEIVE_BUFFER {
        log::warn!(
            "the receive buffer of {address} is {granted} bytes, a burst may overflow it: sysctl -w net.core.rmem_max={RECEIVE_BUFFER}"
        );
    }
    Ok(())
}

/// The one line that says that all is bound, and one for whoever wants to see something.
pub(super) fn announce(listener: &TcpListener, publishers: &[Publisher]) -> io::Result<()> {
    let clients = listener.local_addr()?;
    let publishers = publishers
        .iter()
        .map(|publisher| Ok(publisher.socket.local_addr()?.to_string()))
        .collect::<io::Result<Vec<_>>>()?
        .join(" and ");
    log::info!("listening: clients on {clients} (tcp), publishers on {publishers} (udp, tcp)");
    let host = match clients.ip() {
        address if address.is_unspecified() => os::host_name(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    log::info!("live page: http://{host}:{}/", clients.port());
    Ok(())
}
