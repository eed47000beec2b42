//! What others send, from a fuzzer's hand, and what must hold of it whatever it is.
//!
//! A function for each road in. scripts/fuzz calls them without end; the tests here call them with
//! what a fuzzer once found, and with what has a bit of everything.

mod documents;
mod pipe;
mod registrations;
#[cfg(test)]
mod tests;

pub(crate) use pipe::Pipe;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use crate::audience::rule::Rule;

/// A datagram: what is found in it, who hears that, and how it goes out.
pub fn datagrams(bytes: &[u8]) {
    documents::datagram(bytes);
}

/// Documents by TCP.
pub fn lines(bytes: &[u8]) {
    documents::lines(bytes);
}

/// What a client says after its handshake.
pub fn frames(bytes: &[u8]) {
    check_log();
    crate::client::fuzzing::frames(bytes);
}

/// What a visitor of the public side says first.
pub fn heads(bytes: &[u8]) {
    check_log();
    crate::client::fuzzing::heads(bytes);
}

/// The query of a URL, or a text frame.
pub fn registrations(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        registrations::query(text);
        registrations::frame(text);
    }
}

/// What somebody signed, and what nobody did.
pub fn tokens(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        crate::admission::token::fuzzing::tokens(text);
    }
}

/// HTTP on the trusted side.
pub fn requests(bytes: &[u8]) {
    crate::trusted::fuzzing::requests(bytes);
}

/// Both kinds of rules.
pub(crate) fn rules() -> [&'static Rule; 2] {
    static CLOSED: LazyLock<Rule> = LazyLock::new(|| {
        let fields = ["school_id", "a", "é"];
        Rule::Closed(fields.map(str::to_owned).into())
    });
    [&Rule::Open, &CLOSED]
}

pub(crate) use registrations::check as check_registration;

/// The bytes in pieces, up to eight of them: where they are cut depends on the bytes.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let mut random = hasher.finish();
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while pieces.len() < 7 && !rest.is_empty() {
        // Short ones are as likely as long ones.
        let bound = (rest.len() >> (random & 7)).max(1);
        random = random.rotate_right(11);
        let (piece, behind) = rest.split_at(1 + (random & 0xffff) as usize % bound);
        pieces.push(piece);
        rest = behind;
        random = random.rotate_right(7);
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// Holds of each line that is logged: it is one, and steers no terminal.
pub(crate) fn check_line(line: &str) {
    assert!(!line.contains(char::is_control), "{line:?}");
}

/// Whatever is logged from here on is a line; a test has its own logger.
fn check_log() {
    #[cfg(fuzzing)]
    {
        struct Lines;

        impl log::Log for Lines {
            fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
                metadata.target().starts_with("udpush")
            }

            fn log(&self, record: &log::Record<'_>) {
                if self.enabled(record.metadata()) {
                    check_line(&record.args().to_string());
                }
            }

            fn flush(&self) {}
        }

        if log::set_logger(&Lines).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
    }
}
