//! A request for events: who asks, from where on, and the answer's head.

use std::borrow::Cow;

use crate::http::cors;
use crate::http::{Answer, Head};
use crate::mailbox::encoding::Encoding;

const CONTENT_TYPE: &str = "text/event-stream";

/// Not to be kept, nor to be compressed on the way, which would hold events back.
const CACHE_CONTROL: (&str, &str) = ("Cache-Control", "no-cache, no-transform");

/// Names in the query under which libraries that cannot set the header send the last event's id.
const LAST_ID: [&str; 2] = ["lastEventId", "Last-Event-ID"];

/// Whether events are asked for.
pub(super) fn is_asked_for(head: &Head) -> bool {
    let (path, _) = head.path_and_query();
    head.method == "GET" && path == cors::EVENTS && !head.asks_for_websocket()
}

/// Whether it is an `EventSource`, or asks like one: it comes back by itself, unless it gets an
/// answer of another kind.
pub(super) fn is_event_source(head: &Head) -> bool {
    is_asked_for(head)
        && head
            .list("accept")
            .any(|kind| kind.starts_with(CONTENT_TYPE))
}

/// The answer's head, with the lines that say who may read it, and how the events are to follow.
pub(super) fn answer(head: &Head, readers: &str) -> (Encoding, Vec<u8>) {
    let (encoding, transfer) = match head.minor_version {
        0 => (Encoding::Events, ""),
        _ => (Encoding::ChunkedEvents, "Transfer-Encoding: chunked\r\n"),
    };
    let (name, value) = CACHE_CONTROL;
    // nginx holds back what it has not been told to pass on. A page that may not read this may not
    // include it as something else either, for which browsers name no origin.
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\n{name}: {value}\r\nX-Accel-Buffering: no\r\n\
         X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
         {readers}{transfer}Connection: close\r\n\r\n"
    );
    (encoding, answer.into_bytes())
}

/// The same refusal as a stream that ends at once: with any other status, a browser would not come
/// back.
pub(super) fn come_back(refusal: &Answer) -> Answer {
    let (status, sentence) = (refusal.status(), refusal.sentence());
    let stream = format!("retry: 5000\n: {status}: {sentence}\n\n");
    let (name, value) = CACHE_CONTROL;
    Answer::file(CONTENT_TYPE, stream).header(name, value)
}

/// The last event's id, if the client knows one, and the query without it.
pub(super) fn last_id<'a>(head: &Head, query: &'a str) -> (Option<String>, Cow<'a, str>) {
    let is_last_id = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or(parameter);
        LAST_ID.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let mut asked = query.split('&').filter(is_last_id);
    let asked = asked.find_map(|parameter| parameter.split_once('='));
    // A browser that reconnects by itself knows better than its URL.
    let known = head.header("Last-Event-ID").into_iter();
    let mut known = known.chain(asked.map(|(_, id)| id));
    let id = known.find(|id| !id.is_empty()).map(str::to_owned);
    if !query.split('&').any(|parameter| is_last_id(&parameter)) {
        return (id, query.into());
    }
    let rest: Vec<_> = query
        .split('&')
        .filter(|parameter| !is_last_id(parameter))
        .collect();
    (id, rest.join("&").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_id_is_in_the_header_or_in_the_query_and_registers_nothing() {
        for (header, query, id, rest) in [
            ("", "a=1&since=x-1", None, "a=1&since=x-1"),
            ("x-2", "a=1", Some("x-2"), "a=1"),
            ("", "a=1&lastEventId=x-3&b", Some("x-3"), "a=1&b"),
            ("", "Last-Event-ID=x-4", Some("x-4"), ""),
            ("x-5", "lasteventid=x-4&b", Some("x-5"), "b"),
            // Before the first event there is none.
            ("", "a&lastEventId=", None, "a"),
            ("", "lastEventId&a", None, "a"),
            ("", "lastEventIds=x-1", None, "lastEventIds=x-1"),
        ] {
            let text = format!("GET / HTTP/1.1\r\nLast-Event-ID: {header}\r\n\r\n");
            let head = Head::parse(text.as_bytes()).unwrap().unwrap();
            let (found, left) = last_id(&head, query);
            assert_eq!((found.as_deref(), &*left), (id, rest), "{header}, {query}");
        }
    }
}
