//! What a connection speaks, told by its first bytes: documents, or HTTP.

use std::io;

use log::Level;

use super::connection::Connection;
use super::{Trusted, http, lines};
use crate::logging::{Kind, logged};

/// What whoever speaks something else is told.
const NEITHER: &[u8] = b"udpush: this port takes JSON documents, or HTTP\n";

/// What whoever may not publish is told.
const STRANGER: &[u8] = b"udpush: refused: its network is not in --publish-from\n";

/// Serves one connection to its end.
///
/// # Errors
/// When the other side is gone, or too slow.
pub(super) fn serve(connection: &mut Connection<'_>, trusted: &Trusted) -> io::Result<()> {
    let peer = connection.peer();
    if !trusted.trust.may_publish(peer) {
        trusted.tally.refused_document();
        logged!(
            Level::Warn,
            Kind::Refused,
            "refused publisher {peer}: its network is not in --publish-from"
        );
        connection.reply(STRANGER);
        return connection.flush();
    }
    let first = loop {
        let first = connection.input().iter().find(|byte| !is_blank(**byte));
        if let Some(first) = first {
            break *first;
        }
        if connection.has_ended() {
            return Ok(());
        }
        let blank = connection.input().len();
        connection.skip(blank);
        connection.exchange(None)?;
    };
    match first {
        b'A'..=b'Z' => http::serve(connection, trusted),
        // A byte order mark may stand in front.
        b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | 0xef => {
            lines::serve(connection, trusted)
        }
        _ => {
            trusted.tally.refused_document();
            logged!(
                Level::Warn,
                Kind::Refused,
                "refused publisher {peer}: neither JSON nor HTTP"
            );
            connection.reply(NEITHER);
            connection.flush()
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0
}
