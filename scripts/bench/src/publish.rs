//! The publishing side: one connection to the server's intake, in the way that this server takes
//! messages.
//!
//! UDP sends at once. HTTP and NATS hold what the socket does not take yet, or, HTTP, what must
//! wait for the answer to the request before; that wait is part of the time to delivery, as it
//! would be for any publisher.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::os::{self, Readable};

/// Where messages go in.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// One datagram each.
    Udp(SocketAddr),
    /// One POST each, on one kept connection, each after the answer to the one before.
    Http {
        address: SocketAddr,
        /// With the query.
        path: String,
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
            Route::Udp(address) | Route::Http { address, .. } | Route::Nats { address, .. } => {
                address
            }
        }
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
        match route {
            Route::Udp(address) => {
                let socket = udp(*address)?;
                readable.add(&socket, Self::TOKEN, false).map_err(watch)?;
                Ok(Publisher::Udp(socket, *address))
            }
            Route::Http { address, path } => {
                let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: ");
                let stream = Stream::connect(*address, Speech::Http { head })?;
                readable
                    .add(&stream.stream, Self::TOKEN, true)
                    .map_err(watch)?;
                Ok(Publisher::Stream(stream))
            }
            Route::Nats { address, subject } => {
                let head = format!("PUB {subject} ");
                let mut stream = Stream::connect(*address, Speech::Nats { head })?;
                stream
                    .out
                    .extend(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
                readable
                    .add(&stream.stream, Self::TOKEN, true)
                    .map_err(watch)?;
                Ok(Publisher::Stream(stream))
            }
        }
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

#[derive(Debug)]
enum Speech {
    Http { head: String },
    Nats { head: String },
}

/// A publisher over TCP.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    address: SocketAddr,
    speech: Speech,
    /// What the socket has not taken yet.
    out: Vec<u8>,
    /// What came, up to the last whole answer.
    incoming: Vec<u8>,
    /// HTTP: documents that wait for the answer to the request before.
    waiting: VecDeque<Vec<u8>>,
    /// HTTP: an answer is due.
    asked: bool,
}

impl Stream {
    /// At most this many bytes wait here; a server that makes more wait is too slow for the rate.
    const LONGEST_QUEUE: usize = 64 << 20;

    fn connect(address: SocketAddr, speech: Speech) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5));
        let stream = stream.and_then(|stream| {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| {
            format!(
                "cannot connect to {address} to publish: {error}; start the server there or \
                 name its address with --publish"
            )
        })?;
        Ok(Stream {
            stream,
            address,
            speech,
            out: Vec::new(),
            incoming: Vec::new(),
            waiting: VecDeque::new(),
            asked: false,
        })
    }

    fn publish(&mut self, document: &[u8]) -> Result<(), String> {
        if self.out.len() + self.waiting.len() * document.len() > Self::LONGEST_QUEUE {
            return Err(format!(
                "{} does not take messages so fast: lower --rate",
                self.address
            ));
        }
        if self.asked {
            self.waiting.push_back(document.to_vec());
            return Ok(());
        }
        let length = document.len();
        match &self.speech {
            Speech::Http { head } => {
                self.asked = true;
                let _ = write!(self.out, "{head}{length}\r\n\r\n");
                self.out.extend(document);
            }
            Speech::Nats { head } => {
                let _ = write!(self.out, "{head}{length}\r\n");
                self.out.extend(document);
                self.out.extend(b"\r\n");
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), String> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot publish to {}: {error}", self.address)),
            }
        }
        Ok(())
    }

    fn ready(&mut self) -> Result<(), String> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(format!("{} closed the publishing connection", self.address)),
                Ok(length) => self.incoming.extend(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot publish to {}: {error}", self.address)),
            }
        }
        match self.speech {
            Speech::Http { .. } => self.answers()?,
            Speech::Nats { .. } => self.lines()?,
        }
        self.flush()
    }

    fn answers(&mut self) -> Result<(), String> {
        while let Some(length) = self.answer()? {
            self.incoming.drain(..length);
            self.asked = false;
            if let Some(document) = self.waiting.pop_front() {
                self.publish(&document)?;
            }
        }
        Ok(())
    }

    /// The length of the answer that `incoming` begins with, if it is all there.
    fn answer(&self) -> Result<Option<usize>, String> {
        let ends = |four: &[u8]| four == b"\r\n\r\n";
        let Some(end) = self.incoming.windows(4).position(ends) else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&self.incoming[..end]);
        let status = head.lines().next().unwrap_or_default();
        if !status.starts_with("HTTP/1.1 2") {
            return Err(format!(
                "{} answers a POST with \"{}\": is the URL of --publish right?",
                self.address,
                status.escape_debug()
            ));
        }
        let body = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        let whole = end + 4 + body.unwrap_or(0);
        Ok((self.incoming.len() >= whole).then_some(whole))
    }

    fn lines(&mut self) -> Result<(), String> {
        while let Some(end) = self.incoming.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.incoming.drain(..=end).collect();
            if line.starts_with(b"PING") {
                self.out.extend(b"PONG\r\n");
            } else if line.starts_with(b"-ERR") {
                let said = String::from_utf8_lossy(&line);
                return Err(format!(
                    "{} refuses a message: {}",
                    self.address,
                    said.trim().escape_debug()
                ));
            }
        }
        Ok(())
    }
}
