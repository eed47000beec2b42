//! A short answer, as it goes out.

use std::borrow::Cow;
use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::cors;

/// RFC 9110 §5.6.7: such as `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE: StaticFormatDescription = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: &'static str,
    content_type: &'static str,
    headers: String,
    /// Header lines that say which pages may read it.
    readers: Cow<'static, str>,
    body: Cow<'static, str>,
    is_without_body: bool,
    /// Another request may follow on the same connection.
    keeps_connection: bool,
}

impl Answer {
    /// A status line's code and words, and a sentence for a person; any page may read it.
    pub(crate) fn new(status: &'static str, sentence: &str) -> Self {
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            headers: String::new(),
            readers: cors::ANYONE.into(),
            body: format!("{sentence}\n").into(),
            is_without_body: false,
            keeps_connection: false,
        }
    }

    /// 200, and a file; for nobody else's pages, unless they are named.
    pub(crate) fn file(content_type: &'static str, content: impl Into<Cow<'static, str>>) -> Self {
        Answer {
            status: "200 OK",
            content_type,
            headers: String::new(),
            readers: Cow::Borrowed(""),
            body: content.into(),
            is_without_body: false,
            keeps_connection: false,
        }
    }

    /// 204, for any page.
    pub(crate) fn no_content() -> Self {
        Answer {
            status: "204 No Content",
            content_type: "",
            headers: String::new(),
            readers: cors::ANYONE.into(),
            body: Cow::Borrowed(""),
            is_without_body: true,
            keeps_connection: false,
        }
    }

    /// JSON on a line, for programs, not for pages of another origin.
    pub(crate) fn json(status: &'static str, json: String) -> Self {
        Answer {
            status,
            ..Answer::file("application/json", json + "\n")
        }
    }

    /// The same, after which another request may follow.
    pub(crate) fn keeping_connection(mut self, keeps: bool) -> Self {
        self.keeps_connection = keeps;
        self
    }

    /// The same, but the client has the file: 304, without a body (RFC 9110 §15.4.5).
    pub(crate) fn not_modified(mut self) -> Self {
        self.status = "304 Not Modified";
        self.is_without_body = true;
        self
    }

    /// Names the pages that may read it: header lines, as [`cors`] makes them.
    pub(crate) fn readers(mut self, lines: impl Into<Cow<'static, str>>) -> Self {
        self.readers = lines.into();
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// The code and words.
    pub(crate) fn status(&self) -> &'static str {
        self.status
    }

    /// What it says to a person.
    pub(crate) fn sentence(&self) -> &str {
        self.body.trim_end()
    }

    /// The bytes on the wire; a HEAD request gets no body, but its length.
    pub(crate) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let Answer {
            status,
            content_type,
            headers,
            readers,
            body,
            is_without_body,
            keeps_connection,
        } = self;
        let connection = match keeps_connection {
            true => "keep-alive",
            false => "close",
        };
        let content = match *content_type {
            // RFC 9110 §8.6: none, not a length of 0.
            "" => String::new(),
            kind => format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()),
        };
        let body = if is_head || *is_without_body {
            ""
        } else {
            body
        };
        // The format asks for nothing that a time in UTC lacks.
        let date = OffsetDateTime::now_utc().format(DATE).unwrap_or_default();
        format!(
            "HTTP/1.1 {status}\r\nDate: {date}\r\n{content}{headers}{readers}Connection: {connection}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_date() {
        let answer = String::from_utf8(Answer::new("200 OK", "ok").bytes(false)).unwrap();
        let (_, rest) = answer.split_once("\r\nDate: ").unwrap();
        let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let date: String = rest.chars().take(29).map(shape).collect();
        let (day, month) = (&date[..3], &date[8..11]);
        assert_eq!(date, format!("{day}, 00 {month} 0000 00:00:00 GMT"));
    }
}
