//! Which pages may read what 6552 answers (the Fetch standard's CORS protocol): those of any origin
//! whatever is no secret, such as why they were refused; events those that may connect.

use std::borrow::Cow;

use super::{Answer, Head};

/// Where a GET is answered without end, and not from here.
pub(crate) const EVENTS: &str = "/events";

/// The header line that lets pages of any origin read an answer, if they sent no credentials.
pub(crate) const ANYONE: &str = "Access-Control-Allow-Origin: *\r\n";

/// Request headers that a page may send when its browser does not ask for certain ones.
const HEADERS: &str = "Last-Event-ID, Cache-Control, Content-Type, X-Requested-With";

/// Bytes of a request's header that are sent back at most.
const MAX_ECHO: usize = 1024;

/// The header lines that let the page behind this request read the answer: events, if it may listen,
/// also with credentials, for which the page's origin is to be named.
pub(crate) fn readers(head: &Head, may_listen: impl FnOnce() -> bool) -> Cow<'static, str> {
    let is_plain = |origin: &&str| {
        origin.len() <= MAX_ECHO && origin.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match head.header("origin").filter(is_plain) {
        Some(origin) if head.path_and_query().0 == EVENTS && may_listen() => format!(
            "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
        )
        .into(),
        _ => ANYONE.into(),
    }
}

/// The answer to OPTIONS: of browsers that ask whether a page may ask, and of proxies that ask
/// whether the server is up.
pub(crate) fn preflight(head: &Head) -> Answer {
    let is_list = |names: &&str| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(&byte);
        (1..=MAX_ECHO).contains(&names.len()) && names.bytes().all(is_name)
    };
    let asked = head.header("access-control-request-headers");
    Answer::no_content()
        .header("Allow", "GET, HEAD, OPTIONS")
        .header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
        .header(
            "Access-Control-Allow-Headers",
            asked.filter(is_list).unwrap_or(HEADERS),
        )
        .header("Access-Control-Max-Age", "86400")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Head {
        let text = format!("{text}\r\n\r\n");
        Head::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn events_are_for_a_page_that_may_listen_and_all_else_is_for_anyone() {
        let named = "Access-Control-Allow-Origin: http://a.b:1\r\n\
                     Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n";
        for (path, origin, lines) in [
            ("/events?a=b", "\r\nOrigin: http://a.b:1", named),
            ("//events", "\r\nOrigin: http://a.b:1", named),
            ("/healthz", "\r\nOrigin: http://a.b:1", ANYONE),
            ("/events", "", ANYONE),
            ("/events", "\r\nOrigin: é", ANYONE),
        ] {
            let head = parse(&format!("GET {path} HTTP/1.1{origin}"));
            assert_eq!(readers(&head, || true), lines, "{path} {origin}");
            assert_eq!(readers(&head, || false), ANYONE, "{path} {origin}");
        }
    }

    #[test]
    fn a_page_may_send_the_headers_that_its_browser_asks_for() {
        let long = "x".repeat(MAX_ECHO + 1);
        for (asked, allowed) in [
            ("x-mine,last-event-id", "x-mine,last-event-id"),
            ("", HEADERS),
            ("<script>", HEADERS),
            (&*long, HEADERS),
        ] {
            let head = parse(&format!(
                "OPTIONS / HTTP/1.1\r\nAccess-Control-Request-Headers: {asked}"
            ));
            let answer = String::from_utf8(preflight(&head).bytes(false)).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 204 No Content\r\n"),
                "{answer}"
            );
            assert!(
                answer.ends_with("\r\n\r\n") && !answer.contains("\r\nContent-"),
                "{answer}"
            );
            let line = format!("\r\nAccess-Control-Allow-Headers: {allowed}\r\n");
            assert!(answer.contains(&line), "{answer}");
        }
    }
}
