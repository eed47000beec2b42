//! The ways in which clients hear messages, each encoded once for all who use it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;

use super::Mailbox;
use super::events;
use super::frames;
use super::parcel::{Layout, Parcel};
use crate::message::Document;
use crate::message::id::{ClientId, MessageId};

/// The subprotocol of pages that want ids (RFC 6455 §1.9).
pub(crate) const SUBPROTOCOL: &str = "udpush.v1";

/// How a client hears messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Encoding {
    /// Each message is a text frame that holds the document; there is nothing else.
    Plain,
    /// [`SUBPROTOCOL`]: text frames with a JSON object each.
    V1,
    /// Server-sent events, one behind the other until the connection ends, as HTTP/1.0 knows it.
    Events,
    /// Server-sent events, each a chunk of HTTP/1.1: there are clients that wait for a chunk's end
    /// only, and without any for as many bytes as their buffer takes.
    ChunkedEvents,
}

/// What a client is told when it has connected or registered.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "hello")]
pub(crate) struct Hello<'a> {
    /// The client's number, as in the log.
    pub(crate) client: u64,
    /// From where on this connection hears messages: those after this one.
    pub(crate) id: String,
    /// Whether it goes on where `since` said; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resumed: Option<bool>,
    /// Seconds between heartbeats.
    pub(crate) heartbeat: u64,
    /// Whole seconds until it is closed, unless it has another token by then; absent without tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    /// What the client has registered.
    pub(crate) registration: &'a RawValue,
    /// The fields that address, where not any may: a page with several registrations judges by them,
    /// too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a BTreeSet<String>>,
    /// Clients online, if it asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) online: Option<usize>,
}

impl Encoding {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// Whether it is HTTP to the end; all else is WebSocket.
    pub(crate) fn is_events(self) -> bool {
        matches!(self, Encoding::Events | Encoding::ChunkedEvents)
    }

    /// What the trusted side calls it.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Encoding::Plain => "plain",
            Encoding::V1 => "v1",
            Encoding::Events | Encoding::ChunkedEvents => "events",
        }
    }

    /// Where bytes in this encoding may be cut.
    pub(crate) fn layout(self) -> Layout {
        match self {
            Encoding::Plain | Encoding::V1 => Layout::Frames,
            Encoding::Events => Layout::Events,
            Encoding::ChunkedEvents => Layout::Chunks,
        }
    }

    /// What a message takes beside its document, about.
    fn overhead(self) -> usize {
        match self {
            Encoding::Plain => 4,
            Encoding::V1 => 64,
            Encoding::Events => 40,
            Encoding::ChunkedEvents => 50,
        }
    }

    /// Appends messages to `bytes`; `id` is that of the first, each has the next.
    pub(crate) fn append_run(self, bytes: &mut Vec<u8>, mut id: MessageId, run: &[Document]) {
        let overhead = self.overhead();
        bytes.reserve(run.iter().map(|document| document.len() + overhead).sum());
        for document in run {
            self.append_message(bytes, id, document);
            id.sequence += 1;
        }
    }

    /// Appends one message to `bytes`.
    pub(crate) fn append_message(self, bytes: &mut Vec<u8>, id: MessageId, document: &Document) {
        match self {
            Encoding::Plain => frames::append_text(bytes, &[document.as_bytes()]),
            Encoding::V1 => {
                // An epoch and the longest sequence fit.
                let mut head = [0; 80];
                let mut rest = &mut head[..];
                let _ = write!(rest, r#"{{"type":"message","id":"{id}","data":"#);
                let length = 80 - rest.len();
                frames::append_text(bytes, &[&head[..length], document.as_bytes(), b"}"]);
            }
            Encoding::Events | Encoding::ChunkedEvents => {
                self.append_event(bytes, None, &id, document);
            }
        }
    }

    /// What a client is told first; nothing, in plain mode.
    pub(crate) fn append_hello(self, bytes: &mut Vec<u8>, hello: &Hello<'_>) {
        if self == Encoding::Plain {
            return;
        }
        let Ok(text) = serde_json::to_string(hello) else {
            // Strings and numbers always have a JSON form.
            return;
        };
        match self {
            Encoding::Plain => {}
            Encoding::V1 => frames::append_text(bytes, &[text.as_bytes()]),
            Encoding::Events | Encoding::ChunkedEvents => {
                self.append_event(bytes, Some("hello"), &hello.id, &text);
            }
        }
    }

    /// Tells a client what it has registered; nothing, in plain mode.
    pub(crate) fn post_hello(self, mailbox: &Mailbox, hello: &Hello<'_>) {
        let mut bytes = Vec::new();
        self.append_hello(&mut bytes, hello);
        if !bytes.is_empty() {
            mailbox.post_alone(Parcel::alone(bytes, self.layout()));
        }
    }

    /// A sign of life that tells the newest id, where ids are told, with a ping where there are
    /// pings.
    pub(crate) fn heartbeat(self, newest: MessageId) -> Parcel {
        let mut bytes = Vec::with_capacity(160);
        let text = || format!(r#"{{"type":"heartbeat","id":"{newest}"}}"#);
        match self {
            Encoding::Plain => frames::append_ping(&mut bytes),
            Encoding::V1 => {
                frames::append_ping(&mut bytes);
                frames::append_text(&mut bytes, &[text().as_bytes()]);
            }
            // A lone id would do by HTML §9.2.6, but some libraries take it for an empty message.
            Encoding::Events | Encoding::ChunkedEvents => {
                self.append_event(&mut bytes, Some("heartbeat"), &newest, &text());
            }
        }
        Parcel::alone(bytes, self.layout())
    }

    /// How many clients are online; `newest` is the id that goes with it where each event has one.
    pub(crate) fn online(self, clients: usize, newest: MessageId) -> Parcel {
        let mut bytes = Vec::with_capacity(64);
        let text = format!(r#"{{"type":"online","clients":{clients}}}"#);
        match self {
            Encoding::Plain => {}
            Encoding::V1 => frames::append_text(&mut bytes, &[text.as_bytes()]),
            Encoding::Events | Encoding::ChunkedEvents => {
                self.append_event(&mut bytes, Some("online"), &newest, &text);
            }
        }
        Parcel::alone(bytes, self.layout())
    }

    /// A client's last words from us: a close frame, or a comment where there are no such frames.
    pub(crate) fn close(self, code: u16, reason: &'static str) -> Parcel {
        match self {
            Encoding::Plain | Encoding::V1 => Parcel::frames(frames::close(code, reason)),
            Encoding::Events | Encoding::ChunkedEvents => {
                let mut bytes = format!(": {code} {reason}\n\n").into_bytes();
                if self == Encoding::ChunkedEvents {
                    events::make_chunk(&mut bytes, 0);
                    bytes.extend_from_slice(events::LAST_CHUNK);
                }
                Parcel::alone(bytes, self.layout())
            }
        }
    }

    fn append_event(self, bytes: &mut Vec<u8>, event: Option<&str>, id: &impl Display, data: &str) {
        let start = bytes.len();
        events::append(bytes, event, id, data);
        if self == Encoding::ChunkedEvents {
            events::make_chunk(bytes, start);
        }
    }

    /// What a client of [`SUBPROTOCOL`] is told when something it said is refused.
    pub(crate) fn error(self, why: &impl Display) -> Option<Parcel> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename = "error")]
        struct Refused {
            error: String,
        }
        if self != Encoding::V1 {
            return None;
        }
        let error = why.to_string();
        let text = serde_json::to_string(&Refused { error }).ok()?;
        let mut bytes = Vec::new();
        frames::append_text(&mut bytes, &[text.as_bytes()]);
        Some(Parcel::alone(bytes, self.layout()))
    }
}

impl Hello<'_> {
    /// The fields in their own types.
    pub(crate) fn new(
        client: ClientId,
        id: MessageId,
        resumed: Option<bool>,
        heartbeat: Duration,
        registration: &RawValue,
    ) -> Hello<'_> {
        Hello {
            client: client.0,
            id: id.to_string(),
            resumed,
            heartbeat: heartbeat.as_secs(),
            expires: None,
            registration,
            route: None,
            online: None,
        }
    }

    /// The same for a client that has to go then.
    pub(crate) fn until(mut self, until: Option<Instant>) -> Self {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.expires = until.map(|until| left(until).as_secs());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::registration::Registration;
    use crate::message::id::Epoch;

    fn id() -> MessageId {
        MessageId {
            epoch: Epoch::random(),
            sequence: u64::MAX,
        }
    }

    fn text(encoding: Encoding, document: &str) -> String {
        let mut bytes = Vec::new();
        encoding.append_message(&mut bytes, id(), &document.into());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn v1_wraps_the_documents_bytes() {
        let text = text(Encoding::V1, r#"{"a" : "\u00e9"}"#);
        let json = &text[text.find('{').unwrap()..];
        assert!(json.starts_with(r#"{"type":"message","id":""#));
        assert!(json.ends_with(r#"-18446744073709551615","data":{"a" : "\u00e9"}}"#));
    }

    #[test]
    fn each_event_is_a_whole_chunk_and_the_last_words_end_the_stream() {
        let id = id();
        let encoded = |encoding: Encoding| {
            let mut bytes = Vec::new();
            encoding.append_message(&mut bytes, id, &"1".into());
            String::from_utf8(bytes).unwrap()
        };
        let event = encoded(Encoding::Events);
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        assert_eq!(encoded(Encoding::ChunkedEvents), chunk);
        let last = Encoding::ChunkedEvents.close(1001, "bye");
        assert_eq!(last.bytes(), b"c\r\n: 1001 bye\n\n\r\n0\r\n\r\n");
    }

    #[test]
    fn hello_says_whether_it_resumed_only_when_asked() {
        let registration = Registration::default().to_json();
        let heartbeat = Duration::from_secs(25);
        let mut hello = Hello::new(ClientId(17), id(), None, heartbeat, &registration);
        hello.id = "x-1".to_owned();
        let json = |hello: &Hello<'_>| serde_json::to_string(hello).unwrap();
        assert_eq!(
            json(&hello),
            r#"{"type":"hello","client":17,"id":"x-1","heartbeat":25,"registration":{}}"#
        );
        hello.resumed = Some(false);
        assert!(json(&hello).contains(r#""resumed":false"#));
        let hello = hello.until(Some(Instant::now()));
        assert!(json(&hello).contains(r#""heartbeat":25,"expires":0,"#));
    }
}
