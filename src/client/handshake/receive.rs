//! The request's head, out of the socket, within its deadline and its bound.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::proxy_header;
use super::refusal::Failure;
use crate::address::Address;
use crate::http::{Answer, Head, MAX_HEADERS, Malformed};
use crate::mailbox::Mailbox;
use crate::os;

/// From the connection to the end of the request's head, with the PROXY header before it.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a request's head at most: the cookies of all that runs on the same host come along, on
/// whichever port.
const MAX_HEAD: usize = 32 << 10;

/// What is received at first; most heads are smaller.
const FIRST: usize = 1024;

/// How a TLS handshake begins (RFC 8446 §5.1): a record of this type and major version.
const TLS: [u8; 2] = [0x16, 0x03];

/// What comes in, until the head is whole.
pub(super) struct Incoming<'a> {
    mailbox: &'a Mailbox,
    deadline: Instant,
    received: Vec<u8>,
}

impl<'a> Incoming<'a> {
    /// Of a connection that was just accepted: all of it is to be there within `patience`.
    pub(super) fn new(mailbox: &'a Mailbox, patience: Duration) -> Self {
        Incoming {
            mailbox,
            deadline: Instant::now() + patience,
            received: Vec::with_capacity(FIRST),
        }
    }

    /// The PROXY header that is to come first, and with it whom it names, if anybody.
    pub(super) fn proxy_header(&mut self) -> Result<Option<Address>, Failure> {
        loop {
            if let Some(header) = proxy_header::parse(&self.received)? {
                self.received.drain(..header.length);
                return Ok(header.source);
            }
            self.more()?;
        }
    }

    /// The head, and what came behind it.
    pub(super) fn head(mut self) -> Result<(Head, Vec<u8>), Failure> {
        // What came behind a PROXY header may be all of it; without one, nothing has come yet.
        let (mut known, mut parsed) = (0, 0);
        loop {
            if self.received.len() > known && is_worth_parsing(&self.received, known, parsed) {
                parsed = self.received.len();
                if let Some(head) = parse(&self.received)? {
                    let rest = self.received.split_off(head.length);
                    return Ok((head, rest));
                }
            }
            if self.received.len() >= MAX_HEAD {
                let sentence = format!("The request's head is longer than {MAX_HEAD} bytes.");
                return Err(too_large(&sentence));
            }
            known = self.received.len();
            self.more()?;
        }
    }

    /// Takes what has arrived, or waits until something may have, or the deadline has passed.
    fn more(&mut self) -> Result<(), Failure> {
        // Most requests are there before their thread is.
        if !receive(self.mailbox, &mut self.received)? {
            wait(self.mailbox, self.deadline)?;
        }
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(late(&self.received)),
        }
    }
}

/// Takes what has arrived; false when nothing has.
fn receive(mailbox: &Mailbox, received: &mut Vec<u8>) -> Result<bool, Failure> {
    let known = received.len();
    received.resize((known + known.max(FIRST)).min(MAX_HEAD), 0);
    let outcome = mailbox.wire().receive_now(&mut received[known..]);
    received.truncate(known + outcome.as_ref().map_or(0, |count| *count));
    match outcome {
        Ok(0) => Err(Failure::silent("it left during the handshake")),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(Failure::silent(error)),
    }
}

/// Whether what came behind the `known` bytes may have ended the head, or is so much more than was
/// `parsed` before that garbage would be found out by now. However a head drips in, it is parsed
/// for less than three times its length.
fn is_worth_parsing(received: &[u8], known: usize, parsed: usize) -> bool {
    // The longest end, `x\r\n\r\n`, came with its last byte at least.
    received.len() >= 2 * parsed || has_end(&received[known.saturating_sub(4)..])
}

/// Whether a line that is not blank is followed by one that is: only a head's end has that. Blank
/// lines that come before the head follow none.
fn has_end(bytes: &[u8]) -> bool {
    let mut line_feeds = None;
    for byte in bytes {
        match (byte, &mut line_feeds) {
            (b'\r', _) | (b'\n', None) => {}
            (b'\n', Some(count)) => *count += 1,
            _ => line_feeds = Some(0),
        }
        if line_feeds == Some(2) {
            return true;
        }
    }
    false
}

fn parse(received: &[u8]) -> Result<Option<Head>, Failure> {
    if received.starts_with(&TLS[..received.len().min(TLS.len())]) {
        return Err(bad_request(
            "TLS on a plain port: use ws:// and http://, or put a proxy with TLS in front.",
        ));
    }
    Head::parse(received).map_err(|error| match error {
        Malformed::NotHttp => bad_request("This is not HTTP/1."),
        Malformed::TooManyHeaders => {
            too_large(&format!("The request has more than {MAX_HEADERS} headers."))
        }
    })
}

/// Until more has come, or the deadline.
fn wait(mailbox: &Mailbox, deadline: Instant) -> Result<(), Failure> {
    let mut interests = [
        PollFd::new(mailbox.waker().as_fd(), PollFlags::POLLIN),
        PollFd::new(mailbox.wire().as_fd(), PollFlags::POLLIN),
    ];
    let left = deadline.saturating_duration_since(Instant::now());
    os::wait(&mut interests, Some(left)).map_err(Failure::silent)?;
    match mailbox.dismissal() {
        None => Ok(()),
        Some(dismissal) => Err(Failure::dismissed(dismissal)),
    }
}

fn late(received: &[u8]) -> Failure {
    let sentence = format!("The request did not end within {} s.", DEADLINE.as_secs());
    let answer = Answer::new("408 Request Timeout", &sentence);
    match received {
        // Browsers open connections ahead that they may never need.
        [] => Failure::served(&answer, "it said nothing"),
        _ => Failure::malformed(&answer),
    }
}

fn too_large(sentence: &str) -> Failure {
    let answer = Answer::new("431 Request Header Fields Too Large", sentence);
    Failure::malformed(&answer)
}

fn bad_request(sentence: &str) -> Failure {
    Failure::malformed(&Answer::new("400 Bad Request", sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_drips_in_is_parsed_for_less_than_three_times_its_length() {
        for (unit, count) in [("GET / HTTP/1.1\r\nabc: d\r\n", 1200), ("\r\n", 16_000)] {
            let bytes = format!("{}x\r\n\r\n", unit.repeat(count)).into_bytes();
            let (mut parsed, mut work) = (0, 0);
            for length in 1..=bytes.len() {
                if is_worth_parsing(&bytes[..length], length - 1, parsed) {
                    parsed = length;
                    work += length;
                }
            }
            assert_eq!(parsed, bytes.len(), "its end is seen");
            assert!(work < 3 * bytes.len(), "{work} of {}", bytes.len());
        }
    }

    #[test]
    fn a_heads_end_is_seen_however_it_is_cut() {
        for end in ["x\r\n\r\n", "x\n\n", "x\r\n\n", "x\n\r\n"] {
            let head = format!("\r\n\r\nGET / HTTP/1.1\r\na: b{end}").into_bytes();
            let whole = head.len();
            assert!(!has_end(&head[..whole - 1]), "{end:?}");
            for known in 0..whole {
                // Too little has come since the last time to look at it for its length alone.
                assert!(is_worth_parsing(&head, known, whole), "{end:?} {known}");
            }
        }
    }
}
