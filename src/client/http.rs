//! As much HTTP as 6552 speaks: a request's head in, a short answer out.

use std::fmt::Write;

/// Headers that a request may have; browsers send about twenty.
const MAX_HEADERS: usize = 64;

/// A request's head.
#[derive(Debug)]
pub struct Head {
    /// Such as `GET`.
    pub method: String,
    /// What was asked for, path and query as they came.
    pub target: String,
    /// HTTP/1.`minor`
    pub minor_version: u8,
    /// Names and values as they came, values that are no text left out.
    pub headers: Vec<(String, String)>,
    /// Bytes of the head; what follows belongs to the protocol that was asked for.
    pub length: usize,
}

/// Why bytes are no request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// More than 64 headers.
    TooManyHeaders,
    /// Not HTTP/1.
    NotHttp,
}

impl Head {
    /// Parses a head; `None` when it has not ended yet.
    ///
    /// # Errors
    /// When it can no longer become one.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooManyHeaders),
            Err(_) => return Err(Malformed::NotHttp),
        };
        let headers = request.headers.iter().filter_map(|header| {
            let value = std::str::from_utf8(header.value).ok()?;
            Some((header.name.to_owned(), value.to_owned()))
        });
        Ok(Some(Head {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            minor_version: request.version.unwrap_or_default(),
            headers: headers.collect(),
            length,
        }))
    }

    /// What was asked for, parted at the first `?`.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// All headers of this name, whatever its case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter();
        let found = headers.filter(move |header| header.0.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }
}

/// An answer after which the connection is closed.
#[derive(Clone, Debug)]
pub struct Answer {
    status: &'static str,
    headers: String,
    body: String,
}

impl Answer {
    /// A status line's code and words, and a sentence for a person.
    pub fn new(status: &'static str, sentence: &str) -> Self {
        Answer {
            status,
            headers: String::new(),
            body: format!("{sentence}\n"),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// The code and words.
    pub fn status(&self) -> &'static str {
        self.status
    }

    /// The bytes on the wire; a HEAD request gets no body, but its length.
    pub fn bytes(&self, is_head: bool) -> Vec<u8> {
        let Answer {
            status,
            headers,
            body,
        } = self;
        let length = body.len();
        let body = if is_head { "" } else { body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
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
    fn what_is_no_http_is_found_out_early() {
        assert_eq!(
            Head::parse(b"\x16\x03\x01").unwrap_err(),
            Malformed::NotHttp
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        let error = Head::parse(many.as_bytes()).unwrap_err();
        assert_eq!(error, Malformed::TooManyHeaders);
    }
}
