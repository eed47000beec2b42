//! The opening handshake (RFC 6455 §4.2), within its deadline, with an answer in HTTP to whatever
//! is not one.
//!
//! The client's own thread runs it. tungstenite judges the headers and makes the answer; it would
//! leave a bad request without one, and a read timeout is not a deadline.

mod asked;
mod proxy_header;
mod receive;
mod refusal;
mod stream;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use log::Level;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::server::{create_response, write_response};
use tungstenite::http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tungstenite::http::{Request, Version};

use crate::address::Address;
use crate::admission::{Admission, Pass, Place};
use crate::audience::registration::Registration;
use crate::audience::rule::Rule;
use crate::http::{Answer, Head, cors};
use crate::hub::Wish;
use crate::logging::{Kind, logged};
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::{Encoding, SUBPROTOCOL};
use crate::web::{self, Site};
use asked::Asked;
use receive::{DEADLINE, Incoming};
use refusal::excerpt;
pub(crate) use refusal::{Caller, Failure};

/// How long the request is waited for of a connection that is one too many: its answer depends on
/// what it asks for, but its place is somebody else's.
const BRIEFLY: Duration = Duration::from_secs(1);

/// A handshake that succeeded.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// What it may ask for later on.
    pub(crate) pass: Pass,
    /// What the client wants to hear, and how.
    pub(crate) wish: Wish,
    /// The answer's head: 101, or 200 for events.
    pub(crate) answer: Vec<u8>,
    /// What came behind the request's head: the first frames, perhaps.
    pub(crate) rest: Vec<u8>,
    /// Who it is, if there is no place for it.
    pub(crate) caller: Caller,
    /// Its place among the connections of its address.
    pub(crate) place: Place,
}

/// Reads the request and decides. `admission` judges who asks for a session, `rule` says which of
/// the query's fields register something; `site` answers whoever asks for none.
///
/// # Errors
/// See [`Failure`].
pub(crate) fn perform(
    mailbox: &Mailbox,
    peer: SocketAddr,
    admission: &Admission,
    rule: &Rule,
    site: &Site,
) -> Result<Visitor, Failure> {
    let (head, rest, place) = match admission.proxies.are_at(peer.ip()) {
        false => arrive(mailbox, peer, admission)?,
        true => arrive_through_proxy(mailbox, peer, admission)?,
    };
    let readers = readers(&head, admission);
    let (pass, wish, answer) = admit(&head, admission, rule, site, &readers)?;
    if wish.encoding == Encoding::Plain {
        tell_foreign_subprotocol(&head, mailbox.wire().address());
    }
    Ok(Visitor {
        pass,
        wish,
        answer,
        rest,
        caller: Caller::new(&head, readers),
        place,
    })
}

/// The request of a client that is at the other end itself, what came behind it, and its place,
/// which it has before it says anything.
fn arrive(
    mailbox: &Mailbox,
    peer: SocketAddr,
    admission: &Admission,
) -> Result<(Head, Vec<u8>, Place), Failure> {
    match admission.enter(peer.ip()) {
        Ok(place) => {
            let (head, rest) = Incoming::new(mailbox, DEADLINE).head()?;
            Ok((head, rest, place))
        }
        Err(crowded) => {
            let failure = match Incoming::new(mailbox, BRIEFLY).head() {
                Ok((head, _)) => {
                    Caller::new(&head, readers(&head, admission)).is_one_too_many(crowded)
                }
                Err(_) => Failure::one_too_many(crowded),
            };
            let proxy = peer.ip();
            let hint = format_args!("if {proxy} is a proxy: --trusted-proxy {proxy}");
            Err(failure.hinting(hint))
        }
    }
}

/// The same through a trusted proxy: who it asks for stands in what it sends.
fn arrive_through_proxy(
    mailbox: &Mailbox,
    peer: SocketAddr,
    admission: &Admission,
) -> Result<(Head, Vec<u8>, Place), Failure> {
    let mut incoming = Incoming::new(mailbox, DEADLINE);
    let nearest = match admission.proxies.send_header() {
        true => incoming.proxy_header()?,
        false => None,
    };
    let (head, rest) = incoming.head()?;
    let client = admission.proxies.client_through(peer, nearest, &head);
    mailbox.wire().comes_from(client);
    let place = admission.enter(client.ip);
    let place = place.map_err(|crowded| {
        Caller::new(&head, readers(&head, admission)).is_one_too_many(crowded)
    })?;
    Ok((head, rest, place))
}

/// The header lines that say which pages may read the answer.
fn readers(head: &Head, admission: &Admission) -> Cow<'static, str> {
    cors::readers(head, || admission.lets_read(head))
}

/// A browser that offered subprotocols closes a connection that has none of them: then this is the
/// one place that tells why.
fn tell_foreign_subprotocol(head: &Head, client: Address) {
    let offers: Vec<_> = head.list(SEC_WEBSOCKET_PROTOCOL.as_str()).collect();
    if !offers.is_empty() {
        logged!(
            Level::Debug,
            Kind::Subprotocol,
            "{} offers no subprotocol but {}: it gets none",
            client.with_proxy(),
            excerpt(&offers.join(", "))
        );
    }
}

/// What the client may and wants, and the answer's head; or the answer, if that is all it gets.
/// `readers` say which pages may read it.
fn admit(
    head: &Head,
    admission: &Admission,
    rule: &Rule,
    site: &Site,
    readers: &str,
) -> Result<(Pass, Wish, Vec<u8>), Failure> {
    let refuse = |answer: Answer| Failure::of(head, answer, readers);
    let (_, query) = head.path_and_query();
    let is_events = stream::is_asked_for(head);
    let (encoding, answer) = match is_events {
        true => stream::answer(head, readers),
        false => upgrade(head, site).map_err(refuse)?,
    };
    let pass = admission.judge(head).map_err(refuse)?;
    let (last_id, query) = match is_events {
        true => stream::last_id(head, query),
        false => (None, query.into()),
    };
    let read = Registration::from_query(&query, rule).and_then(|asked| pass.admit(asked));
    let read = read.map_err(|error| error.to_string());
    let (admitted, asked) = match read.and_then(|admitted| Ok((admitted, Asked::read(&query)?))) {
        Ok(both) => both,
        Err(error) => {
            let why = format!("the URL's query: {error}");
            // A page cannot read the answer to a handshake that failed.
            let Some(told) = encoding.error(&why) else {
                return Err(refuse(bad_request(&format!("Refused, {why}."))));
            };
            let close = encoding.close(1008, "registration refused");
            let answer = [&answer, told.bytes(), close.bytes()].concat();
            return Err(Failure::closed(answer, "close 1008", &why));
        }
    };
    let has_ids = encoding != Encoding::Plain;
    let wish = Wish {
        encoding,
        admitted,
        since: last_id.or(asked.since).filter(|_| has_ids),
        last: asked.last,
        watches: has_ids && asked.online,
    };
    Ok((pass, wish, answer))
}

/// How the client hears messages, and the 101 response; or why there is none.
fn upgrade(head: &Head, site: &Site) -> Result<(Encoding, Vec<u8>), Answer> {
    if !head.asks_for_websocket() {
        return Err(web::answer(site, head));
    }
    if head.method != "GET" {
        let sentence = "Only GET is answered here.";
        return Err(Answer::new("405 Method Not Allowed", sentence).header("Allow", "GET"));
    }
    let request = judged(head)?;
    let mut response = create_response(&request).map_err(|error| no_upgrade(&error))?;
    let mut offers = head.list(SEC_WEBSOCKET_PROTOCOL.as_str());
    let encoding = if offers.any(|offer| offer == SUBPROTOCOL) {
        let chosen = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        Encoding::V1
    } else {
        // None of those that were offered: none in the answer (RFC 6455 §4.2.2).
        Encoding::Plain
    };
    let mut bytes = Vec::with_capacity(256);
    write_response(&mut bytes, &response).map_err(|error| no_upgrade(&error))?;
    Ok((encoding, bytes))
}

/// What tungstenite judges, with the lists as it reads them: on one line, and with spaces only.
fn judged(head: &Head) -> Result<Request<()>, Answer> {
    let mut request = Request::builder().version(match head.minor_version {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    });
    let connection: Vec<_> = head.list(CONNECTION.as_str()).collect();
    request = request.header(CONNECTION, connection.join(", "));
    let mut upgrades = head.list(UPGRADE.as_str());
    if upgrades.any(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        request = request.header(UPGRADE, "websocket");
    }
    let singles: [HeaderName; 2] = [SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_KEY];
    for name in singles {
        if let Some(value) = head.header(name.as_str()) {
            request = request.header(name, value);
        }
    }
    request
        .body(())
        .map_err(|error| bad_request(&format!("A header cannot be read: {error}.")))
}

fn no_upgrade(error: &tungstenite::Error) -> Answer {
    match error {
        tungstenite::Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::WrongHttpVersion,
        ) => Answer::new(
            "426 Upgrade Required",
            "A WebSocket handshake that lacks HTTP/1.1, \"Upgrade: websocket\" or \"Connection: \
             Upgrade\", as a proxy leaves it that has not been told to pass it on. nginx has to be \
             told: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
             proxy_set_header Connection \"upgrade\";",
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

fn bad_request(why: &str) -> Answer {
    Answer::new("400 Bad Request", why)
}
