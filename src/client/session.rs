//! The life of one client's thread: handshake, then deliver, wait, read, until the end.
//!
//! It waits nowhere but in one poll(2), for its waker, its socket, and the next ping.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use nix::poll::{PollFd, PollFlags};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::accept::{Clients, Handshake};
use super::handshake::{self, Failure, Upgrade};
use super::http::Answer;
use super::mailbox::{Dismissal, Mailbox, Progress};
use super::parcel::Parcel;
use super::{frames, linger};
use crate::hub::{Membership, Refusal};
use crate::logging::{Kind, logged};
use crate::os;

/// Bytes of a client's frame, and of a message made of several.
const MAX_FRAME: usize = 16 << 10;

/// tungstenite's buffer for what a client says, which is little.
const READ_BUFFER: usize = 1024;

/// Frames read before it is time to deliver again.
const FRAMES_A_TURN: usize = 32;

/// The client's thread.
pub(super) fn run(
    mailbox: &Arc<Mailbox>,
    peer: SocketAddr,
    clients: &Clients,
    handshake: Handshake,
) {
    let (why, answer) = match handshake::perform(mailbox) {
        Ok(upgrade) => {
            let greeting = Parcel::answer(upgrade.response.clone());
            match clients.hub.join(mailbox, greeting) {
                Ok(membership) => {
                    drop(handshake);
                    let session = Session::new(mailbox, membership, upgrade, clients.heartbeat);
                    if session.run(peer) {
                        // Whether all leaves in time or not, this is the end.
                        let _ = linger::finish(mailbox);
                    }
                    return;
                }
                Err(refusal) => refused(refusal),
            }
        }
        Err(Failure::Answer(answer, why)) => (why, answer),
        Err(Failure::Silent(why)) => (why, Vec::new()),
    };
    logged!(
        Level::Debug,
        Kind::Handshake,
        "handshake with {peer} failed: {}",
        why.escape_debug()
    );
    if !answer.is_empty() {
        mailbox.post(Arc::new(Parcel::answer(answer).and_no_more()));
        // A client that does not wait for the answer is gone either way.
        let _ = linger::finish(mailbox);
    }
}

fn refused(refusal: Refusal) -> (String, Vec<u8>) {
    let sentence = match refusal {
        Refusal::Full => "As many clients as are allowed are connected: try again later.",
        Refusal::Stopping => "The server stops: try again later.",
    };
    let answer = Answer::new("503 Service Unavailable", sentence).header("Retry-After", "5");
    (sentence.to_owned(), answer.bytes(false))
}

struct Session<'a> {
    mailbox: &'a Arc<Mailbox>,
    membership: Membership,
    protocol: WebSocketContext,
    heartbeat: Duration,
    next_ping: Instant,
    last_sign_of_life: Instant,
    /// The socket was full when it was last sent to.
    stalled: bool,
    /// The log's reason; at first the only one that nobody gets to write down.
    why: Cow<'static, str>,
}

/// How a session ends.
struct Ending {
    why: Cow<'static, str>,
    close: Close,
}

enum Close {
    /// The connection is of no more use.
    No,
    /// What is queued leaves first, then a close frame that is queued already.
    Queued,
    /// What is queued leaves first, then a close frame.
    After(u16, &'static str),
    /// What is queued is dropped.
    Now(u16, &'static str),
}

impl Ending {
    fn new(close: Close, why: impl Into<Cow<'static, str>>) -> Self {
        Ending {
            why: why.into(),
            close,
        }
    }
}

impl<'a> Session<'a> {
    fn new(
        mailbox: &'a Arc<Mailbox>,
        membership: Membership,
        upgrade: Upgrade,
        heartbeat: Duration,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        let now = Instant::now();
        // Spread over the interval, so that clients that came together are not pinged together:
        // multiples of the golden ratio leave no gap.
        let fraction = membership.client().0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let first = heartbeat.mul_f64(fraction as f64 / f64::from(u32::MAX));
        Session {
            mailbox,
            membership,
            protocol: WebSocketContext::from_partially_read(
                upgrade.rest,
                Role::Server,
                Some(config),
            ),
            heartbeat,
            next_ping: now + first,
            last_sign_of_life: now,
            stalled: false,
            why: "its thread panicked: a bug in udpush".into(),
        }
    }

    /// From the first line in the log to the last; true when the last bytes are still to be sent.
    fn run(mut self, peer: SocketAddr) -> bool {
        let (client, online) = (self.membership.client(), self.membership.online());
        logged!(
            Level::Info,
            Kind::Connected,
            "client {client} connected from {peer} ({online} online)"
        );
        let (Ok(ending) | Err(ending)) = self.serve();
        self.why = ending.why;
        match ending.close {
            Close::No => return false,
            Close::Queued => {}
            Close::After(code, reason) => {
                let close = Parcel::frames(frames::close(code, reason));
                self.mailbox.post(Arc::new(close.and_no_more()));
            }
            Close::Now(code, reason) => {
                let close = Parcel::frames(frames::close(code, reason));
                self.mailbox.close_at_once(close);
            }
        }
        true
    }

    /// Deliver, wait, read; until the end. Both sides of the result are one, for the `?`.
    fn serve(&mut self) -> Result<Ending, Ending> {
        // What came with the handshake is in the buffer already: no poll would tell of it.
        let mut more_to_read = true;
        loop {
            let deadline = self.keep_alive()?;
            let (progress, relieved) = self.mailbox.deliver_as_owner();
            let now = Instant::now();
            if relieved {
                self.last_sign_of_life = now;
            }
            self.heed_dismissal()?;
            let (interest, at_once) = match progress {
                Progress::Idle => (PollFlags::POLLIN, more_to_read),
                Progress::Stalled => (PollFlags::POLLIN | PollFlags::POLLOUT, more_to_read),
                Progress::More => (PollFlags::POLLIN, true),
                Progress::Finished => return Ok(Ending::new(Close::Queued, "closed")),
                Progress::Broken(error) => return Ok(lost(&error)),
            };
            self.stalled = matches!(progress, Progress::Stalled);
            let timeout = match at_once {
                true => Duration::ZERO,
                false => deadline.saturating_duration_since(now),
            };
            let mut interests = [
                PollFd::new(self.mailbox.waker().as_fd(), PollFlags::POLLIN),
                PollFd::new(self.mailbox.socket().as_fd(), interest),
            ];
            os::wait(&mut interests, Some(timeout)).map_err(|error| lost(&error))?;
            if os::is_readable(&interests[0]) {
                self.mailbox.waker().clear();
            }
            if more_to_read || os::is_readable(&interests[1]) {
                more_to_read = self.read()?;
            }
        }
    }

    fn heed_dismissal(&self) -> Result<(), Ending> {
        match self.mailbox.dismissal() {
            None => Ok(()),
            Some(Dismissal::TooSlow) => {
                let (messages, bytes) = self.mailbox.waiting();
                let why = format!("too slow: {messages} messages, {bytes} bytes waited");
                Err(Ending::new(Close::Now(1013, "too slow"), why))
            }
            Some(Dismissal::Stop) => {
                let close = Close::After(1001, "the server stops");
                Err(Ending::new(close, "the server stops"))
            }
            // Its handshake is over.
            Some(Dismissal::Crowded) => Ok(()),
        }
    }

    /// Pings when it is time, and says until when there is nothing to do.
    fn keep_alive(&mut self) -> Result<Instant, Ending> {
        let now = Instant::now();
        let dead = self.last_sign_of_life + 2 * self.heartbeat;
        if now >= dead {
            let seconds = 2 * self.heartbeat.as_secs();
            let why = format!("no sign of life for {seconds} s");
            return Err(Ending::new(Close::No, why));
        }
        if now >= self.next_ping {
            self.next_ping = now + self.heartbeat;
            // Behind a full socket a ping would tell nothing.
            if !self.stalled {
                self.mailbox.post(Arc::new(Parcel::frames(frames::ping())));
            }
        }
        Ok(self.next_ping.min(dead))
    }

    /// Reads the frames that have come; true when there may be more in the buffer.
    fn read(&mut self) -> Result<bool, Ending> {
        let mut stream = ClientStream {
            mailbox: self.mailbox,
            received: false,
            closing: false,
        };
        let mut outcome = Ok(true);
        for _ in 0..FRAMES_A_TURN {
            match self.protocol.read(&mut stream) {
                Ok(Message::Close(frame)) => {
                    // The reply to it is written by the next flush.
                    stream.closing = true;
                    let _ = self.protocol.flush(&mut stream);
                    let why = match frame {
                        None => "closed by the client".to_owned(),
                        Some(frame) => format!(
                            "closed by the client: {} {}",
                            u16::from(frame.code),
                            frame.reason.escape_debug()
                        ),
                    };
                    return Err(Ending::new(Close::Queued, why.trim_end().to_owned()));
                }
                Ok(message) => self.hear(&message),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    outcome = Ok(false);
                    break;
                }
                Err(error) => {
                    outcome = Err(ending_for(&error));
                    break;
                }
            }
        }
        if stream.received {
            self.last_sign_of_life = Instant::now();
        }
        outcome
    }

    /// Frames of a plain client that say nothing to us.
    fn hear(&self, message: &Message) {
        let client = self.membership.client();
        match message {
            Message::Text(text) => logged!(
                Level::Debug,
                Kind::ClientFrame,
                "client {client} said what says nothing here: {}",
                text.escape_debug()
            ),
            Message::Binary(bytes) => logged!(
                Level::Debug,
                Kind::ClientFrame,
                "client {client} said what says nothing here: {} binary bytes",
                bytes.len()
            ),
            // tungstenite answers pings by itself.
            _ => {}
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let client = self.membership.client();
        let online = self.membership.leave();
        let why = &self.why;
        logged!(
            Level::Info,
            Kind::Closed,
            "client {client} closed: {why} ({online} online)"
        );
    }
}

/// What a fault of the protocol comes to (RFC 6455 §7.4.1).
fn ending_for(error: &Error) -> Ending {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        Error::Capacity(_) => {
            let why = format!("its frame is larger than {MAX_FRAME} bytes");
            Ending::new(Close::After(1009, "frame too large"), why)
        }
        Error::Utf8(_) => Ending::new(
            Close::After(1007, "text is not UTF-8"),
            "its text is not UTF-8",
        ),
        Error::Protocol(ResetWithoutClosingHandshake) | Error::ConnectionClosed => {
            Ending::new(Close::No, "gone without a close frame")
        }
        Error::Io(error) => lost(error),
        error => Ending::new(
            Close::After(1002, "protocol error"),
            format!("protocol error: {error}"),
        ),
    }
}

fn lost(error: &io::Error) -> Ending {
    Ending::new(Close::No, format!("connection lost: {error}"))
}

/// What tungstenite reads from and writes to: reading takes what the socket holds, writing posts
/// into the mailbox, as all bytes for the socket go through it.
struct ClientStream<'a> {
    mailbox: &'a Mailbox,
    received: bool,
    closing: bool,
}

impl Read for ClientStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = os::receive_now(self.mailbox.socket(), buffer)?;
        self.received |= count > 0;
        Ok(count)
    }
}

impl Write for ClientStream<'_> {
    /// Takes whole frames: with a write buffer of 0 tungstenite writes each at once. The loop
    /// delivers when it is done with reading.
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        let parcel = Parcel::frames(frames.to_vec());
        self.mailbox.post(Arc::new(if self.closing {
            parcel.and_no_more()
        } else {
            parcel
        }));
        Ok(frames.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
