//! A publisher over TCP: documents out, answers in.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Route;

/// Messages without an answer at most: about as many as a server takes at a time, and few enough
/// for what both ends hold, so that neither waits for the other for ever.
const IN_FLIGHT: usize = 1024;

/// Bytes that are written at a time, flat out.
const BATCH: usize = 64 << 10;

#[derive(Debug)]
enum Speech {
    Lines,
    Http { head: String },
    Nats { head: String },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    address: SocketAddr,
    speech: Speech,
    /// Messages without an answer at most.
    window: usize,
    /// What the socket has not taken yet.
    out: Vec<u8>,
    /// What came, up to the last whole answer.
    incoming: Vec<u8>,
    /// Documents that wait for answers to those before.
    waiting: VecDeque<Vec<u8>>,
    /// Answers that are due. NATS only answers a PING.
    due: usize,
}

impl Stream {
    /// At most this many bytes wait here; a server that makes more wait is too slow for the rate.
    const LONGEST_QUEUE: usize = 64 << 20;

    pub(crate) fn connect(route: &Route) -> Result<Self, String> {
        let address = route.address();
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
        let mut out = Vec::new();
        let (speech, window) = match route {
            Route::Udp(_) | Route::Lines(_) => (Speech::Lines, IN_FLIGHT),
            Route::Http {
                path, is_pipelined, ..
            } => {
                let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: ");
                (
                    Speech::Http { head },
                    if *is_pipelined { IN_FLIGHT } else { 1 },
                )
            }
            Route::Nats { subject, .. } => {
                out.extend(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
                let head = format!("PUB {subject} ");
                (Speech::Nats { head }, usize::MAX)
            }
        };
        Ok(Stream {
            stream,
            address,
            speech,
            window,
            out,
            incoming: Vec::new(),
            waiting: VecDeque::new(),
            due: 0,
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn publish(&mut self, document: &[u8]) -> Result<(), String> {
        if self.out.len() + self.waiting.len() * document.len() > Self::LONGEST_QUEUE {
            return Err(format!(
                "{} does not take messages so fast: lower --rate",
                self.address
            ));
        }
        if self.due >= self.window {
            self.waiting.push_back(document.to_vec());
            return Ok(());
        }
        self.write(document);
        self.flush()
    }

    /// Publishes so many, as fast as the answers allow, and waits for the last of these. `write`
    /// replaces what it is given by the document with this number.
    pub(crate) fn flat_out(
        &mut self,
        count: u32,
        mut write: impl FnMut(u32, &mut Vec<u8>),
    ) -> Result<(), String> {
        let failed = |error| format!("cannot wait for the publishing socket: {error}");
        self.stream.set_nonblocking(false).map_err(failed)?;
        let mut text = Vec::new();
        let mut sent = 0;
        while sent < count || self.due > 0 {
            while sent < count && self.due < self.window && self.out.len() < BATCH {
                write(sent, &mut text);
                self.write(&text);
                sent += 1;
                if sent == count && matches!(self.speech, Speech::Nats { .. }) {
                    self.out.extend(b"PING\r\n");
                    self.due = 1;
                }
            }
            self.flush()?;
            if self.due > 0 {
                self.receive()?;
                self.take_answers()?;
            }
        }
        Ok(())
    }

    /// A document, as it is said here.
    fn write(&mut self, document: &[u8]) {
        let length = document.len();
        // Writing to a vector cannot fail.
        match &self.speech {
            Speech::Lines => {
                self.due += 1;
                self.out.extend(document);
                self.out.push(b'\n');
            }
            Speech::Http { head } => {
                self.due += 1;
                let _ = write!(self.out, "{head}{length}\r\n\r\n");
                self.out.extend(document);
            }
            Speech::Nats { head } => {
                let _ = write!(self.out, "{head}{length}\r\n");
                self.out.extend(document);
                self.out.extend(b"\r\n");
            }
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot publish to {}: {error}", self.address)),
            }
        }
        self.out.drain(..written);
        Ok(())
    }

    pub(super) fn ready(&mut self) -> Result<(), String> {
        while self.receive()? {}
        self.take_answers()?;
        while self.due < self.window
            && let Some(document) = self.waiting.pop_front()
        {
            self.write(&document);
        }
        self.flush()
    }

    /// Reads once; false when there is nothing now.
    fn receive(&mut self) -> Result<bool, String> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(format!("{} closed the publishing connection", self.address)),
            Ok(length) => {
                self.incoming.extend(&chunk[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(format!("cannot publish to {}: {error}", self.address)),
        }
    }

    fn take_answers(&mut self) -> Result<(), String> {
        let mut taken = 0;
        loop {
            let rest = &self.incoming[taken..];
            let length = match self.speech {
                Speech::Http { .. } => self.answer(rest)?,
                Speech::Lines | Speech::Nats { .. } => {
                    let end = rest.iter().position(|&byte| byte == b'\n');
                    end.map(|end| end + 1)
                }
            };
            let Some(length) = length else {
                break;
            };
            let is_answer = match self.speech {
                Speech::Http { .. } => true,
                Speech::Lines if rest.starts_with(br#"{"ok":true"#) => true,
                Speech::Nats { .. } if rest.starts_with(b"PONG") => true,
                Speech::Nats { .. } if rest.starts_with(b"PING") => {
                    self.out.extend(b"PONG\r\n");
                    false
                }
                Speech::Nats { .. } if !rest.starts_with(b"-ERR") => false,
                Speech::Lines | Speech::Nats { .. } => {
                    return Err(format!(
                        "{} refuses a message: {}",
                        self.address,
                        String::from_utf8_lossy(&rest[..length])
                            .trim()
                            .escape_debug()
                    ));
                }
            };
            self.due -= usize::from(is_answer);
            taken += length;
        }
        self.incoming.drain(..taken);
        Ok(())
    }

    /// The length of the answer by HTTP that `incoming` begins with, if it is all there.
    fn answer(&self, incoming: &[u8]) -> Result<Option<usize>, String> {
        let ends = |four: &[u8]| four == b"\r\n\r\n";
        let Some(end) = incoming.windows(4).position(ends) else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&incoming[..end]);
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
        Ok((incoming.len() >= whole).then_some(whole))
    }
}
