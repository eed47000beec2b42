//! How a session ends: what the log says of it, and what the client is told.

use std::borrow::Cow;
use std::io;

use tungstenite::Error;
use tungstenite::error::ProtocolError;

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

    /// A peer that goes away.
    pub(super) fn lost(error: &io::Error) -> Self {
        Ending::new(Close::No, format!("connection lost: {error}"))
    }

    /// What a fault of the protocol comes to (RFC 6455 §7.4.1); frames may be of `max_frame` bytes.
    pub(super) fn of(error: &Error, max_frame: usize) -> Self {
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
            Error::Io(error) => Ending::lost(error),
            error => {
                let why = format!("protocol error: {error}");
                Ending::new(Close::After(1002, "protocol error"), why)
            }
        }
    }
}
