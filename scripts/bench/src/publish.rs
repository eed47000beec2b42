//! The publishing side: one connection to the server's intake, in the way that this server takes
//! messages.
//!
//! UDP sends at once. A stream holds what the socket does not take yet, and what must wait for
//! answers to what was sent before; that wait is part of the time to delivery, as it would be for
//! any publisher.

mod stream;

use std::fmt;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::os::{self, Readable};
pub(crate) use stream::Stream;

/// Where messages go in.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// One datagram each.
    Udp(SocketAddr),
    /// One line each, and a line of answer.
    Lines(SocketAddr),
    /// One POST each, on one kept connection.
    Http {
        address: SocketAddr,
        /// With the query.
        path: String,
        /// Not each after the answer to the one before.
        is_pipelined: bool,
    },
    /// One PUB each.
    Nats {
        address: SocketAddr,
        subject: String,
    },
}

impl Route {
    /// Of the server's intake.
    pub(crate) fn address(&self) -> SocketAddr {
        match *self {
            Route::Udp(address)
            | Route::Lines(address)
            | Route::Http { address, .. }
            | Route::Nats { address, .. } => address,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Route::Udp(_) => "by UDP",
            Route::Lines(_) => "by lines",
            Route::Http {
                is_pipelined: false,
                ..
            } => "by POST, one after another",
            Route::Http { .. } => "by POST, pipelined",
            Route::Nats { .. } => "by NATS",
        })
    }
}

/// A connected publisher.
#[derive(Debug)]
pub(crate) enum Publisher {
    /// Datagrams.
    Udp(UdpSocket, SocketAddr),
    /// A byte stream.
    Stream(Stream),
}

impl Publisher {
    /// The token that it is registered with at `Readable`.
    pub(crate) const TOKEN: u64 = u64::MAX;

    pub(crate) fn connect(route: &Route, readable: &Readable) -> Result<Self, String> {
        let watch = |error| format!("cannot watch the publishing socket: {error}");
        if let Route::Udp(address) = route {
            let socket = udp(*address)?;
            readable.add(&socket, Self::TOKEN, false).map_err(watch)?;
            return Ok(Publisher::Udp(socket, *address));
        }
        let stream = Stream::connect(route)?;
        readable
            .add(stream.socket(), Self::TOKEN, true)
            .map_err(watch)?;
        Ok(Publisher::Stream(stream))
    }

    /// Hands a document over.
    pub(crate) fn publish(&mut self, document: &[u8]) -> Result<(), String> {
        match self {
            Publisher::Udp(socket, address) => match socket.send(document) {
                Ok(_) => Ok(()),
                Err(error) => Err(cannot_send(*address, &error)),
            },
            Publisher::Stream(stream) => stream.publish(document),
        }
    }

    /// Its socket has become readable or writable.
    pub(crate) fn ready(&mut self) -> Result<(), String> {
        match self {
            Publisher::Udp(socket, address) => {
                let mut reply = [0; 512];
                match os::receive_now(socket, &mut reply) {
                    Ok(length) => Err(format!(
                        "{address} answers a message with \"{}\"",
                        String::from_utf8_lossy(&reply[..length])
                            .trim()
                            .escape_debug()
                    )),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                    Err(error) => Err(cannot_send(*address, &error)),
                }
            }
            Publisher::Stream(stream) => stream.ready(),
        }
    }
}

/// A socket that sends to `address`. Sending waits where the kernel makes it wait, as for every
/// publisher.
pub(crate) fn udp(address: SocketAddr) -> Result<UdpSocket, String> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(address)?;
        Ok(socket)
    });
    socket.map_err(|error| cannot_send(address, &error))
}

/// One sentence for every way in which a datagram can't be sent.
pub(crate) fn cannot_send(address: SocketAddr, error: &std::io::Error) -> String {
    format!(
        "cannot publish to {address} (udp): {error}; start the server there or name its \
         address with --publish"
    )
}
