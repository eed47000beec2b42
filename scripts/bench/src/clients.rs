//! The clients: one thread, one epoll, one buffer for all of them.
//!
//! A client costs as little as can be, so that what is measured is the server: one recv for each
//! report of epoll, as large as it gets; of each frame only the header and the message's number are
//! looked at; time is read once for each recv.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::frames::Document;
use crate::os::{self, Readable, Readiness};
use crate::reader::{Ended, Reader};
use crate::tally::{Received, Tally};

/// What a server puts around the documents.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    /// A document is a frame's payload, but for this many bytes before and after it.
    Frames {
        /// 0 in plain mode; in udpush.v1 it varies, and only what follows is known.
        after: usize,
    },
    /// NATS: a frame holds any number of `MSG` lines with their payloads (docs.nats.io, client
    /// protocol).
    Nats {
        /// What is subscribed to.
        subject: String,
        /// The line before each document.
        line: Vec<u8>,
    },
}

/// How to reach the server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) protocol: Option<String>,
    /// The field that each client registers its number with, in the query.
    pub(crate) register: Option<String>,
    pub(crate) dialect: Dialect,
}

impl Target {
    fn request(&self, client: usize) -> String {
        let path = &self.path;
        let query = self.register.as_ref().map_or(String::new(), |key| {
            let sign = if path.contains('?') { '&' } else { '?' };
            format!("{sign}{key}={client}")
        });
        let protocol = self.protocol.as_ref().map_or(String::new(), |name| {
            format!("Sec-WebSocket-Protocol: {name}\r\n")
        });
        // The key is RFC 6455's example: nobody has to guess it, and the answer to it is not
        // checked.
        format!(
            "GET {path}{query} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n",
            self.address
        )
    }
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Connecting,
    Upgrading,
    /// NATS: after the handshake, before the subscription is confirmed.
    Subscribing,
    Open,
    Closed,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) state: State,
    /// Bytes of the current frame that nobody needs.
    pub(crate) skip: usize,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
    pub(crate) received: Received,
}

/// What came of connecting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected {
    pub(crate) clients: usize,
    pub(crate) time: Duration,
}

/// All the clients.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) readable: Readable,
    target: Target,
    document: Document,
    list: Vec<Client>,
    buffer: Vec<u8>,
    open: usize,
    /// Why servers closed connections, and how many for each reason.
    pub(crate) closed: BTreeMap<String, usize>,
    started: Instant,
}

impl Clients {
    /// Handshakes under way at one time: below every server's backlog, the smallest being 128.
    const HANDSHAKES: usize = 100;
    /// Connecting ends when nothing has happened for so long.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// One recv takes at most so much: what is copied is still in the processor's cache when it is
    /// looked at.
    const CHUNK: usize = 256 * 1024;
    /// Frames up to this size are looked at: NATS puts all that waits into one.
    pub(crate) const BUFFER: usize = 4 << 20;

    pub(crate) fn new(
        target: Target,
        document: Document,
        started: Instant,
    ) -> Result<Self, String> {
        Ok(Clients {
            readable: Readable::new().map_err(|error| format!("cannot use epoll: {error}"))?,
            target,
            document,
            list: Vec::new(),
            buffer: vec![0; Self::BUFFER],
            open: 0,
            closed: BTreeMap::new(),
            started,
        })
    }

    /// How many are connected.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Connects `wanted` clients, as fast as the server takes them.
    pub(crate) fn connect(
        &mut self,
        wanted: usize,
        tally: &mut Tally,
        mut progress: impl FnMut(usize),
    ) -> Result<Connected, String> {
        let begun = Instant::now();
        let mut moved = Instant::now();
        self.list.reserve_exact(wanted);
        while self.open < wanted {
            while self.list.len() < wanted && self.list.len() - self.open < Self::HANDSHAKES {
                self.start_one()?;
            }
            let before = self.open;
            let wait = Duration::from_millis(200);
            let found = self
                .readable
                .wait(wait)
                .map_err(|error| error.to_string())?;
            for index in 0..found {
                let ready = self.readable.get(index);
                self.read(ready, tally)?;
            }
            progress(self.open);
            if self.open > before {
                moved = Instant::now();
            }
            let address = self.target.address;
            if let Some((reason, _)) = self.closed.first_key_value() {
                return Err(format!(
                    "{address} closed a new connection after {} of {wanted} ({reason}); see its log and its \
                     limits of clients and open files",
                    self.open
                ));
            }
            if moved.elapsed() > Self::PATIENCE {
                return Err(format!(
                    "{address} took {} of {wanted} clients, then none for {} s; see its log and \
                     its limits of clients and open files",
                    self.open,
                    Self::PATIENCE.as_secs()
                ));
            }
        }
        Ok(Connected {
            clients: wanted,
            time: begun.elapsed(),
        })
    }

    fn start_one(&mut self) -> Result<(), String> {
        let address = self.target.address;
        let (stream, established) =
            os::start_connecting(address).map_err(|error| cannot_connect(address, &error))?;
        let token = self.list.len();
        let mut client = Client {
            stream,
            state: State::Connecting,
            skip: 0,
            rest: Vec::new(),
            received: Received::default(),
        };
        if established {
            client.upgrade(&self.target, token);
        }
        self.readable
            .add(&client.stream, token as u64, !established)
            .map_err(|error| format!("cannot watch one more connection: {error}"))?;
        self.list.push(client);
        Ok(())
    }

    /// From here on every client expects the tally's next message.
    pub(crate) fn expect_next(&mut self, tally: &Tally) {
        for (index, client) in (0..).zip(self.list.iter_mut()) {
            client.received.expect(tally.first_for(index));
        }
    }

    /// Reads what has come for one client.
    pub(crate) fn read(&mut self, ready: Readiness, tally: &mut Tally) -> Result<(), String> {
        let token = ready.token as usize;
        let client = &mut self.list[token];
        if client.state == State::Connecting {
            let address = self.target.address;
            if let Ok(Some(error)) | Err(error) = client.stream.take_error() {
                return Err(cannot_connect(address, &error));
            }
            client.upgrade(&self.target, token);
        }
        while client.state != State::Closed {
            let held = client.rest.len();
            self.buffer[..held].copy_from_slice(&client.rest);
            // Never 0: what is held is less than one frame, and none that is held is larger.
            let room = Self::CHUNK.min(Self::BUFFER - held);
            let reason = match client.stream.read(&mut self.buffer[held..held + room]) {
                Ok(0) => "without a close frame".to_owned(),
                Ok(length) => {
                    let now = self.started.elapsed().as_nanos() as u64;
                    let filled = held + length;
                    let mut reader = Reader {
                        target: &self.target,
                        document: &self.document,
                        client: token as u32,
                        now,
                        tally: &mut *tally,
                        open: &mut self.open,
                    };
                    let outcome = reader.take(client, &self.buffer[..filled]);
                    match outcome {
                        Ok(used) => {
                            client.rest.clear();
                            client.rest.extend_from_slice(&self.buffer[used..filled]);
                            // A short read has emptied the socket: the next edge will tell.
                            if length < room && !ready.hung_up {
                                return Ok(());
                            }
                            continue;
                        }
                        Err(Ended::Fatal(error)) => return Err(error),
                        Err(Ended::Closed(reason)) => reason,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error.to_string(),
            };
            self.open -= usize::from(client.state == State::Open);
            client.state = State::Closed;
            client.rest = Vec::new();
            *self.closed.entry(reason).or_default() += 1;
        }
        // Closed: what else comes is of no interest, but must not be reported again and again.
        while matches!(client.stream.read(&mut self.buffer), Ok(length) if length > 0) {}
        Ok(())
    }
}

fn cannot_connect(address: SocketAddr, error: &std::io::Error) -> String {
    format!(
        "cannot connect to {address}: {error}; start the server there or name its address with --connect"
    )
}

impl Client {
    fn upgrade(&mut self, target: &Target, number: usize) {
        self.state = State::Upgrading;
        self.send(target.request(number).as_bytes());
    }

    /// The few small things that a client says fit into any socket's buffer. Where one does not,
    /// the server misses it and says so by closing.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write(bytes);
    }
}
