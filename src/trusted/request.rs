//! A request in HTTP/1.1 with its body: length or chunks, keep-alive and pipelining, and what may
//! not be (RFC 9112).

use std::io;
use std::time::Instant;

use super::connection::{Connection, PATIENCE};
use super::receipt::refusal;
use crate::http::{Answer, Head, Malformed};

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 32 << 10;

/// Bytes of a body at most, and of what its chunks are wrapped in.
pub(super) const MAX_BODY: usize = 16 << 20;

/// Bytes of a line that says how long a chunk is, at most.
const MAX_CHUNK_LINE: usize = 256;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Fault {
    /// The other side has ended, where a request may.
    End,
    /// It is answered so, and the connection closed.
    Answer(Answer),
    /// The connection is of no more use.
    Broken(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => {
                let sentence = format!("the request did not end within {} s", PATIENCE.as_secs());
                Fault::Answer(refusal("408 Request Timeout", &sentence))
            }
            _ => Fault::Broken(error),
        }
    }
}

/// Reads the next request.
///
/// # Errors
/// See [`Fault`].
pub(super) fn next(connection: &mut Connection<'_>) -> Result<Request, Fault> {
    let head = head(connection)?;
    connection.is_busy();
    let length = length(&head)?;
    if head
        .list("expect")
        .any(|expected| expected.eq_ignore_ascii_case("100-continue"))
        && head.minor_version > 0
        && length != Length::Bytes(0)
    {
        connection.reply(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let body = match length {
        Length::Bytes(length) => body(connection, length)?,
        Length::Chunks => chunks(connection)?,
    };
    Ok(Request { head, body })
}

fn head(connection: &mut Connection<'_>) -> Result<Head, Fault> {
    let mut deadline = None;
    let (mut known, mut parsed) = (0, 0);
    loop {
        // Empty lines may stand in front of a request (RFC 9112 §2.2).
        let blank = connection
            .input()
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace());
        let blank = blank.count();
        connection.skip(blank);
        let input = connection.input();
        let is_last_chance = connection.has_ended() || input.len() >= MAX_HEAD;
        // A head that drips in is parsed again when it has grown by half, or may have ended.
        if is_last_chance || input.len() > parsed + parsed / 2 || has_end(input, known) {
            parsed = input.len();
            let head = Head::parse(&input[..parsed.min(MAX_HEAD)]).map_err(malformed)?;
            if let Some(head) = head {
                connection.skip(head.length);
                return Ok(head);
            }
        }
        known = input.len();
        if input.len() >= MAX_HEAD {
            let sentence = format!("the request's head is longer than {MAX_HEAD} bytes");
            let answer = refusal("431 Request Header Fields Too Large", &sentence);
            return Err(Fault::Answer(answer));
        }
        if !input.is_empty() {
            deadline = deadline.or_else(|| Some(Instant::now() + PATIENCE));
        }
        if connection.has_ended() {
            return Err(Fault::End);
        }
        connection.exchange(deadline)?;
    }
}

/// Whether an empty line has come behind the `known` bytes; a body may follow it at once.
fn has_end(input: &[u8], known: usize) -> bool {
    let new = &input[known.saturating_sub(2)..];
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

fn malformed(why: Malformed) -> Fault {
    let answer = match why {
        Malformed::NotHttp => refusal("400 Bad Request", "this is not HTTP/1.1"),
        Malformed::TooManyHeaders => refusal(
            "431 Request Header Fields Too Large",
            "the request has too many headers",
        ),
    };
    Fault::Answer(answer)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunks,
}

/// How long the body is. What could be read in two ways is refused (RFC 9112 §6.3).
fn length(head: &Head) -> Result<Length, Fault> {
    let bad = |sentence| Fault::Answer(refusal("400 Bad Request", sentence));
    let lengths: Vec<&str> = head.all("content-length").map(str::trim).collect();
    let codings: Vec<&str> = head.list("transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Length::Bytes(0)),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunks),
        ([], _) => Err(Fault::Answer(refusal(
            "501 Not Implemented",
            "of transfer codings, only chunked is understood",
        ))),
        ([""], []) => Err(bad("Content-Length is no number")),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            match length.parse() {
                Ok(length) if length <= MAX_BODY => Ok(Length::Bytes(length)),
                _ => Err(too_large()),
            }
        }
        ([_], []) => Err(bad("Content-Length is no number")),
        (_, []) => Err(bad("there is more than one Content-Length")),
        _ => Err(bad("there are both Content-Length and Transfer-Encoding")),
    }
}

fn too_large() -> Fault {
    let sentence = format!("a body has at most {MAX_BODY} bytes");
    Fault::Answer(refusal("413 Content Too Large", &sentence))
}

fn body(connection: &mut Connection<'_>, length: usize) -> Result<Vec<u8>, Fault> {
    while connection.input().len() < length {
        more(connection)?;
    }
    Ok(connection.take(length))
}

/// Waits for more of a body, which may be silent for so long but no longer.
fn more(connection: &mut Connection<'_>) -> Result<(), Fault> {
    if connection.has_ended() {
        return Err(Fault::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(connection.exchange(Some(Instant::now() + PATIENCE))?)
}

fn chunks(connection: &mut Connection<'_>) -> Result<Vec<u8>, Fault> {
    let bad = || Fault::Answer(refusal("400 Bad Request", "a chunk cannot be read"));
    let mut body = Vec::new();
    loop {
        let (line, length) = loop {
            let input = connection.input();
            // httparse takes none for 0, which would be the last chunk (RFC 9112 §7.1).
            if input.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
                return Err(bad());
            }
            match httparse::parse_chunk_size(input) {
                Ok(httparse::Status::Complete((line, length))) if line <= MAX_CHUNK_LINE => {
                    break (line, length);
                }
                Ok(httparse::Status::Partial) if input.len() < MAX_CHUNK_LINE => more(connection)?,
                _ => return Err(bad()),
            }
        };
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_BODY)
        else {
            return Err(too_large());
        };
        if body.len() + length > MAX_BODY {
            return Err(too_large());
        }
        connection.skip(line);
        if length == 0 {
            return trailers(connection).map(|()| body);
        }
        body.append(&mut self::body(connection, length)?);
        if self::body(connection, 2)? != b"\r\n" {
            return Err(bad());
        }
    }
}

/// What may follow the last chunk, up to an empty line; it says nothing here.
fn trailers(connection: &mut Connection<'_>) -> Result<(), Fault> {
    let mut length = 0;
    loop {
        let input = connection.input();
        let end = input.windows(2).position(|pair| pair == b"\r\n");
        if length + end.unwrap_or(input.len()) > MAX_HEAD {
            let answer = refusal("400 Bad Request", "the trailers are too long");
            return Err(Fault::Answer(answer));
        }
        match end {
            Some(end) => {
                connection.skip(end + 2);
                length += end + 2;
                if end == 0 {
                    return Ok(());
                }
            }
            None => more(connection)?,
        }
    }
}
