//! A request's head, as it comes in.

use std::mem::MaybeUninit;

/// Headers that a request may have; browsers send about twenty, and proxies add theirs.
pub(crate) const MAX_HEADERS: usize = 256;

/// A request's head.
#[derive(Debug)]
pub(crate) struct Head {
    /// Such as `GET`.
    pub(crate) method: String,
    /// What was asked for, path and query as they came.
    pub(crate) target: String,
    /// HTTP/1.`minor`
    pub(crate) minor_version: u8,
    /// Names and values as they came; what is no text in a value is �, so that nobody can have a
    /// line overlooked that a proxy has added to.
    pub(crate) headers: Vec<(String, String)>,
    /// Bytes of the head; what follows belongs to the protocol that was asked for.
    pub(crate) length: usize,
}

/// Why bytes are no request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// More than [`MAX_HEADERS`].
    TooManyHeaders,
    /// Not HTTP/1.
    NotHttp,
}

impl Head {
    /// Parses a head; `None` when it has not ended yet.
    ///
    /// # Errors
    /// When it can no longer become one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        // Not on the stack: what it touches there, a client keeps.
        let mut headers = vec![MaybeUninit::uninit(); MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooManyHeaders),
            Err(_) => return Err(Malformed::NotHttp),
        };
        let headers = request.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_owned(), value)
        });
        Ok(Some(Head {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            minor_version: request.version.unwrap_or_default(),
            headers: headers.collect(),
            length,
        }))
    }

    /// What was asked for, parted at the first `?`. Proxies ask with a whole URL (RFC 9112 §3.2.2),
    /// or begin with two slashes, one of which is left of the path that they serve this under.
    pub(crate) fn path_and_query(&self) -> (&str, &str) {
        let target = match self.target.split_once("://") {
            Some((_, rest)) if !self.target.starts_with('/') => {
                rest.find(['/', '?']).map_or("", |start| &rest[start..])
            }
            _ => &self.target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let slashes = path.bytes().take_while(|byte| *byte == b'/').count();
        match path {
            "" => ("/", query),
            path => (&path[slashes.saturating_sub(1)..], query),
        }
    }

    /// All headers of this name, whatever its case.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter();
        let found = headers.filter(move |header| header.0.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The elements of a header that is a list, however many lines it is spread over (RFC 9110
    /// §5.6.1).
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let elements = self.all(name).flat_map(|list| list.split(','));
        elements
            .map(str::trim)
            .filter(|element| !element.is_empty())
    }

    /// The first header of this name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Whether it wants to become a WebSocket, rightly or not. A proxy that does not let upgrades
    /// through leaves the headers of the second kind.
    pub(crate) fn asks_for_websocket(&self) -> bool {
        let mut names = self.headers.iter().map(|header| &header.0);
        self.list("upgrade")
            .any(|name| name.eq_ignore_ascii_case("websocket"))
            || names.any(|name| name.to_ascii_lowercase().starts_with("sec-websocket-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_when_it_has_ended() {
        let text = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-y: z\r\n\r\nrest";
        for end in 0..text.len() - 4 {
            assert!(Head::parse(&text[..end]).unwrap().is_none());
        }
        let head = Head::parse(text).unwrap().unwrap();
        assert_eq!(&text[head.length..], b"rest");
        assert_eq!(head.target, "/a?b=c");
        assert_eq!(head.header("x-Y"), Some("z"));
    }

    #[test]
    fn a_value_that_is_no_text_is_there() {
        let text = b"GET / HTTP/1.1\r\nX: a\xff, b\r\n\r\n";
        let head = Head::parse(text).unwrap().unwrap();
        assert_eq!(head.header("x"), Some("a\u{fffd}, b"));
    }

    #[test]
    fn a_target_may_be_a_whole_url() {
        for (target, parted) in [
            ("/a?b=c?d", ("/a", "b=c?d")),
            ("/a?b=c://d", ("/a", "b=c://d")),
            ("http://x:1/a?b=c", ("/a", "b=c")),
            ("http://x", ("/", "")),
            ("http://x?b=/c", ("/", "b=/c")),
            ("//a?b=c", ("/a", "b=c")),
            ("///?b=c", ("/", "b=c")),
            ("/a//b", ("/a//b", "")),
            ("http://x//a", ("/a", "")),
            ("?a", ("/", "a")),
            ("*", ("*", "")),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\n\r\n");
            let head = Head::parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!(head.path_and_query(), parted);
        }
    }

    #[test]
    fn a_list_may_be_spread_over_lines_and_parted_by_any_white_space() {
        let text = b"GET / HTTP/1.1\r\nConnection: a,\tb ,,c\r\nX: y\r\nconnection: d\r\n\r\n";
        let head = Head::parse(text).unwrap().unwrap();
        let list: Vec<_> = head.list("Connection").collect();
        assert_eq!(list, ["a", "b", "c", "d"]);
    }

    #[test]
    fn only_a_websocket_is_asked_for_as_one() {
        for (header, asks) in [
            ("Upgrade: WebSocket", true),
            ("Upgrade: h2c, websocket", true),
            ("sec-websocket-key: x", true),
            ("Upgrade: h2c", false),
            ("Connection: Upgrade", false),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{header}\r\n\r\n");
            let head = Head::parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!(head.asks_for_websocket(), asks, "{header}");
        }
    }

    #[test]
    fn what_is_no_http_is_found_out_early() {
        assert_eq!(
            Head::parse(b"\x16\x03\x01").unwrap_err(),
            Malformed::NotHttp
        );
        let with = |headers| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(headers));
        let error = Head::parse(with(MAX_HEADERS + 1).as_bytes()).unwrap_err();
        assert_eq!(error, Malformed::TooManyHeaders);
        let head = Head::parse(with(MAX_HEADERS).as_bytes()).unwrap().unwrap();
        assert_eq!(head.headers.len(), MAX_HEADERS);
    }
}
