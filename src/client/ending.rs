//! How a session ends: what the log says of it, and what the client is told.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use tungstenite::Error;
use tungstenite::error::ProtocolError;

use super::beat::Death;

/// The end of a session.
#[derive(Debug)]
pub(super) struct Ending {
    /// For the log.
    pub(super) why: Cow<'static, str>,
    /// For the client.
    pub(super) close: Close,
}

/// What the client is told, and when.
#[derive(Debug)]
pub(super) enum Close {
    /// The connection is of no more use.
    No,
    /// What is queued leaves first; a close frame is the last of it.
    Queued,
    /// What is queued leaves first, then a close frame (RFC 6455 §7.4.1).
    After(u16, &'static str),
    /// What is queued is dropped.
    Now(u16, &'static str),
}

impl Ending {
    pub(super) fn new(close: Close, why: impl Into<Cow<'static, str>>) -> Self {
        Ending {
            why: why.into(),
            close,
        }
    }

    /// A peer that goes away, or one that acknowledged nothing for as long as `patience`: the kernel
    /// tells of that with one of these errors, depending on what the network said meanwhile.
    pub(super) fn lost(error: &io::Error, patience: Duration) -> Self {
        let why = match error.kind() {
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Death::Full.why(patience),
            _ => format!("connection lost: {error}"),
        };
        Ending::new(Close::No, why)
    }

    /// What a fault of the protocol comes to (RFC 6455 §7.4.1); frames may be of `max_frame` bytes.
    pub(super) fn of(error: &Error, max_frame: usize, patience: Duration) -> Self {
        match error {
            Error::Capacity(_) => {
                let why = format!("its frame is larger than {max_frame} bytes");
                Ending::new(Close::After(1009, "frame too large"), why)
            }
            Error::Utf8(_) => {
                let why = "its text is not UTF-8";
                Ending::new(Close::After(1007, "text is not UTF-8"), why)
            }
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
            | Error::ConnectionClosed => Ending::new(Close::No, "gone without a close frame"),
            Error::Io(error) => Ending::lost(error, patience),
            error => {
                let why = format!("protocol error: {error}");
                Ending::new(Close::After(1002, "protocol error"), why)
            }
        }
    }
}
