//! What a client says: frames, or nothing that matters.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::ending::{Close, Ending};
use super::meter::Meter;
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::Encoding;
use crate::mailbox::parcel::Parcel;

/// Bytes of a client's frame, and of a message made of several.
const MAX_FRAME: usize = 16 << 10;

/// tungstenite's buffer for what a client says, which is little.
const READ_BUFFER: usize = 1024;

/// Frames read before it is time to deliver again.
const FRAMES_A_TURN: usize = 32;

/// The reading side of a session.
pub(super) struct Inbound {
    source: Source,
    meter: Meter,
    /// What came behind the request is the beginning.
    has_begun: bool,
    /// For the log, when the kernel's patience ends.
    patience: Duration,
}

enum Source {
    /// Frames.
    WebSocket(Box<WebSocketContext>),
    /// A client of events has said all with its request.
    Events,
}

/// What one turn of reading has brought.
#[derive(Default)]
pub(super) struct Heard {
    /// Text frames, in order.
    pub(super) texts: Vec<tungstenite::Utf8Bytes>,
    /// Bytes of each binary frame, which say nothing here.
    pub(super) binary: Vec<usize>,
    /// A WebSocket client sent something: a sign of life.
    pub(super) anything: bool,
    /// There may be more in the buffer, of which no poll tells.
    pub(super) more: bool,
    /// The end of the session, behind all this.
    pub(super) end: Option<Ending>,
}

impl Inbound {
    /// `rest` is what came behind the request; the client's signs of life may be as far apart as
    /// `patience`.
    pub(super) fn new(encoding: Encoding, rest: Vec<u8>, patience: Duration) -> Self {
        if encoding.is_events() {
            return Inbound {
                source: Source::Events,
                meter: Meter::of_bytes(),
                has_begun: false,
                patience,
            };
        }
        let mut meter = Meter::of_frames();
        let has_begun = !rest.is_empty();
        if has_begun {
            meter.count(&rest, Instant::now());
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        let context = WebSocketContext::from_partially_read(rest, Role::Server, Some(config));
        Inbound {
            source: Source::WebSocket(Box::new(context)),
            meter,
            has_begun,
            patience,
        }
    }

    /// Whether the first frames came with the request: no poll tells of them.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes what has come, without waiting.
    ///
    /// # Errors
    /// The end of the session at once: a client of events went away, or any sent too much.
    pub(super) fn read(&mut self, mailbox: &Mailbox) -> Result<Heard, Ending> {
        let (meter, patience) = (&mut self.meter, self.patience);
        let outcome = match &mut self.source {
            Source::WebSocket(context) => Ok(read_frames(context, meter, mailbox, patience)),
            Source::Events => discard(meter, mailbox, patience),
        };
        // Before whatever it is too much of.
        match self.meter.excess() {
            Some(excess) => Err(Ending::new(
                Close::After(1008, excess.reason()),
                excess.why(),
            )),
            None => outcome,
        }
    }

    /// What is left of it when the session is over.
    pub(super) fn into_meter(self) -> Meter {
        self.meter
    }
}

fn read_frames(
    context: &mut WebSocketContext,
    meter: &mut Meter,
    mailbox: &Mailbox,
    patience: Duration,
) -> Heard {
    let mut heard = Heard::default();
    let mut stream = Stream {
        mailbox,
        meter,
        received: false,
        drained: false,
        closing: false,
    };
    heard.more = true;
    for _ in 0..FRAMES_A_TURN {
        match context.read(&mut stream) {
            Ok(Message::Text(text)) => heard.texts.push(text),
            Ok(Message::Binary(bytes)) => heard.binary.push(bytes.len()),
            Ok(Message::Close(frame)) => {
                // The reply to it is written by the next flush, which then has nothing more to do.
                stream.closing = true;
                let _ = context.flush(&mut stream);
                let said = frame.map_or(String::new(), |frame| {
                    let code = u16::from(frame.code);
                    format!(": {code} {}", frame.reason.escape_debug())
                });
                let why = format!("closed by the client{said}");
                heard.end = Some(Ending::new(Close::Queued, why.trim_end().to_owned()));
                break;
            }
            // tungstenite answers pings by itself.
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                heard.more = false;
                break;
            }
            Err(error) => {
                heard.end = Some(Ending::of(&error, MAX_FRAME, patience));
                break;
            }
        }
    }
    heard.anything = stream.received;
    heard
}

fn discard(meter: &mut Meter, mailbox: &Mailbox, patience: Duration) -> Result<Heard, Ending> {
    let mut discarded = [0; 1024];
    match mailbox.wire().receive_now(&mut discarded) {
        Ok(0) => Err(Ending::new(Close::No, "closed by the client")),
        Ok(count) => {
            meter.count(&discarded[..count], Instant::now());
            Ok(Heard {
                more: true,
                ..Heard::default()
            })
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Heard::default()),
        Err(error) => Err(Ending::lost(&error, patience)),
    }
}

/// What tungstenite reads from and writes to: reading takes what the socket holds, writing posts
/// into the mailbox, as all bytes for the socket go through it.
struct Stream<'a> {
    mailbox: &'a Mailbox,
    meter: &'a mut Meter,
    received: bool,
    /// The last read was short: it brought less than there was room for, so that the socket was
    /// empty at that moment. Asking again would be a system call for nothing; if more has come since,
    /// poll(2) tells.
    drained: bool,
    closing: bool,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.drained || self.meter.excess().is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.mailbox.wire().receive_now(buffer)?;
        if count > 0 && !self.meter.count(&buffer[..count], Instant::now()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.received |= count > 0;
        self.drained = count > 0 && count < buffer.len();
        Ok(count)
    }
}

impl Write for Stream<'_> {
    /// Takes whole frames: with a write buffer of 0 tungstenite writes each at once. The session
    /// delivers when it is done with reading.
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        let parcel = Parcel::frames(frames.to_vec());
        self.mailbox.post_alone(if self.closing {
            parcel.and_no_more()
        } else {
            parcel
        });
        Ok(frames.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
