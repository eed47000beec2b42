//! The opening handshake (RFC 6455 §4.2), within its deadline, with an answer in HTTP to whatever
//! is not one.
//!
//! The client's own thread runs it. tungstenite judges the headers and makes the answer; it would
//! leave a bad request without one, and a read timeout is not a deadline.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use tungstenite::error::ProtocolError;
use tungstenite::handshake::server::{create_response, write_response};
use tungstenite::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tungstenite::http::{Request, Version};

use super::encoding::{Encoding, SUBPROTOCOL};
use super::http::{Answer, Head, Malformed};
use super::mailbox::Mailbox;
use crate::hub::Wish;
use crate::registration::Registration;
use crate::rule::Rule;
use crate::{os, web};

/// From the connection to the end of the request's head.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 8 << 10;

/// How events are to be sent, and the answer's head: for pages of any origin, as with WebSocket; not
/// to be kept, nor to be compressed or held back on the way.
fn events(head: &Head) -> (Encoding, Vec<u8>) {
    let (encoding, transfer) = match head.minor_version {
        0 => (Encoding::Events, ""),
        _ => (Encoding::ChunkedEvents, "Transfer-Encoding: chunked\r\n"),
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\nAccess-Control-Allow-Origin: *\r\n{transfer}Connection: close\r\n\r\n"
    );
    (encoding, answer.into_bytes())
}

/// A handshake that succeeded.
#[derive(Debug)]
pub struct Visitor {
    /// What the client wants to hear, and how.
    pub wish: Wish,
    /// The answer's head: 101, or 200 for events.
    pub answer: Vec<u8>,
    /// What came behind the request's head: the first frames, perhaps.
    pub rest: Vec<u8>,
}

/// A handshake that did not.
#[derive(Debug)]
pub enum Failure {
    /// The connection is to be closed with this answer; why, for the log.
    Answer(Vec<u8>, String),
    /// The client is gone, or is to go without a word; why, for the log.
    Silent(String),
}

/// Reads the request and decides. `rule` says which of the query's fields register something.
///
/// # Errors
/// See [`Failure`].
pub fn perform(mailbox: &Mailbox, rule: &Rule) -> Result<Visitor, Failure> {
    let (head, mut received) = read_head(mailbox, Instant::now() + DEADLINE)?;
    let (wish, answer) = admit(&head, rule)?;
    Ok(Visitor {
        wish,
        answer,
        rest: received.split_off(head.length),
    })
}

/// What the client wants, and the answer's head; or the answer, if that is all it gets.
fn admit(head: &Head, rule: &Rule) -> Result<(Wish, Vec<u8>), Failure> {
    let refuse = |answer: Answer| {
        let why = format!("{} {}: {}", head.method, head.target, answer.status());
        Failure::Answer(answer.bytes(head.method == "HEAD"), why)
    };
    let (path, query) = head.path_and_query();
    let is_events = head.method == "GET" && path == web::EVENTS && !head.asks_for_websocket();
    let (encoding, answer) = if is_events {
        events(head)
    } else {
        upgrade(head).map_err(refuse)?
    };
    let registration = match Registration::from_query(query, rule) {
        Ok(registration) => registration,
        Err(error) => {
            let why = format!("the URL's query: {error}");
            // A page cannot read the answer to a handshake that failed.
            let Some(told) = encoding.error(&why) else {
                return Err(refuse(bad_request(&format!("Refused, {why}."))));
            };
            let close = encoding.close(1008, "registration refused");
            return Err(Failure::Answer(
                [&answer, told.bytes(), close.bytes()].concat(),
                why,
            ));
        }
    };
    // A browser that reconnects by itself knows better than its URL.
    let since = match head.header("Last-Event-ID") {
        Some(id) if is_events => Some(id.to_owned()),
        _ => since(query),
    };
    let wish = Wish {
        encoding,
        registration,
        since: since.filter(|_| encoding != Encoding::Plain),
    };
    Ok((wish, answer))
}

fn read_head(mailbox: &Mailbox, deadline: Instant) -> Result<(Head, Vec<u8>), Failure> {
    let mut received = Vec::with_capacity(1024);
    loop {
        // Most requests are there before their thread is.
        match receive(mailbox, &mut received)? {
            Received::Nothing => wait(mailbox, deadline)?,
            Received::PartOfALine => {}
            Received::Line => {
                if let Some(head) = Head::parse(&received).map_err(malformed)? {
                    return Ok((head, received));
                }
            }
        }
        if received.len() >= MAX_HEAD {
            let sentence = format!("The request's head is longer than {MAX_HEAD} bytes.");
            return Err(answer("431 Request Header Fields Too Large", &sentence));
        }
        if Instant::now() >= deadline {
            let sentence = format!("The request did not end within {} s.", DEADLINE.as_secs());
            return Err(answer("408 Request Timeout", &sentence));
        }
    }
}

/// Until more has come, or the deadline.
fn wait(mailbox: &Mailbox, deadline: Instant) -> Result<(), Failure> {
    let mut interests = [
        PollFd::new(mailbox.waker().as_fd(), PollFlags::POLLIN),
        PollFd::new(mailbox.socket().as_fd(), PollFlags::POLLIN),
    ];
    let left = deadline.saturating_duration_since(Instant::now());
    os::wait(&mut interests, Some(left)).map_err(silent)?;
    match mailbox.dismissal() {
        None => Ok(()),
        Some(dismissal) => Err(Failure::Silent(format!("dismissed: {dismissal:?}"))),
    }
}

/// What one attempt to receive has brought.
enum Received {
    Nothing,
    PartOfALine,
    /// The end of a line, and perhaps of the head.
    Line,
}

/// Takes what has arrived.
fn receive(mailbox: &Mailbox, received: &mut Vec<u8>) -> Result<Received, Failure> {
    let known = received.len();
    received.resize((known + 1024).min(MAX_HEAD), 0);
    match os::receive_now(mailbox.socket(), &mut received[known..]) {
        Ok(0) => Err(Failure::Silent("it left during the handshake".to_owned())),
        Ok(count) => {
            received.truncate(known + count);
            // Garbage is found out at once, and a head that drips in is parsed once for each line.
            let is_first = known == 0;
            Ok(match is_first || received[known..].contains(&b'\n') {
                true => Received::Line,
                false => Received::PartOfALine,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            received.truncate(known);
            Ok(Received::Nothing)
        }
        Err(error) => Err(silent(error)),
    }
}

/// How the client hears messages, and the 101 response; or why there is none.
fn upgrade(head: &Head) -> Result<(Encoding, Vec<u8>), Answer> {
    if !head.asks_for_websocket() {
        return Err(web::answer(head));
    }
    if head.method != "GET" {
        let sentence = "Only GET is answered here.";
        return Err(Answer::new("405 Method Not Allowed", sentence).header("Allow", "GET"));
    }
    let mut request = Request::builder().version(match head.minor_version {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    });
    for (name, value) in &head.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(())
        .map_err(|error| bad_request(&format!("A header cannot be read: {error}.")))?;
    let mut response = create_response(&request).map_err(|error| no_upgrade(&error))?;
    let offered = head.all(SEC_WEBSOCKET_PROTOCOL.as_str());
    let mut offers = offered.flat_map(|list| list.split(',')).map(str::trim);
    let encoding = if offers.any(|offer| offer == SUBPROTOCOL) {
        let chosen = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        Encoding::V1
    } else {
        Encoding::Plain
    };
    let mut bytes = Vec::with_capacity(256);
    write_response(&mut bytes, &response).map_err(|error| no_upgrade(&error))?;
    Ok((encoding, bytes))
}

fn no_upgrade(error: &tungstenite::Error) -> Answer {
    match error {
        tungstenite::Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::WrongHttpVersion,
        ) => Answer::new(
            "426 Upgrade Required",
            "This port speaks WebSocket: connect to it with new WebSocket(\"ws://...\").",
        )
        .header("Upgrade", "websocket"),
        // RFC 6455 §4.4: tell the version that is supported.
        tungstenite::Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            Answer::new(
                "426 Upgrade Required",
                "This server speaks version 13 of WebSocket.",
            )
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
        }
        error => bad_request(&format!("Not a WebSocket handshake: {error}.")),
    }
}

/// The last id that the client knows, as it says; ids need no escapes, so that whatever has any
/// is none.
fn since(query: &str) -> Option<String> {
    let parameters = query.split('&');
    let mut since = parameters.filter_map(|parameter| match parameter.split_once('=') {
        Some(("since", id)) => Some(id),
        None if parameter == "since" => Some(""),
        _ => None,
    });
    since.next().map(str::to_owned)
}

fn bad_request(why: &str) -> Answer {
    Answer::new("400 Bad Request", why)
}

fn malformed(error: Malformed) -> Failure {
    match error {
        Malformed::NotHttp => answer("400 Bad Request", "This is not HTTP/1.1."),
        Malformed::TooManyHeaders => answer(
            "431 Request Header Fields Too Large",
            "The request has too many headers.",
        ),
    }
}

fn answer(status: &'static str, sentence: &str) -> Failure {
    let bytes = Answer::new(status, sentence).bytes(false);
    Failure::Answer(bytes, status.to_owned())
}

fn silent(error: io::Error) -> Failure {
    Failure::Silent(error.to_string())
}
