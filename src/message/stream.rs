//! Documents in a stream: the same sequence of JSON documents as a datagram carries, but one that
//! comes in pieces, and goes on after a fault.
//!
//! Pure. Each byte is looked at once to find where a document ends, and once more when it is read;
//! a document that never ends is found out no later than when it has doubled.

use std::ops::Range;

use bytes::Bytes;

use super::{Document, Refusal, split};

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A document.
    Document(Document),
    /// One that PHP calls empty.
    Empty,
    /// A fault. What stands between it and the next line break is skipped.
    Refused(Refusal),
    /// A document of more bytes than are allowed; it is skipped to the next line break, too.
    TooLong,
}

/// Finds documents in a stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What came and is not done with.
    buffer: Vec<u8>,
    /// Where the document at hand starts.
    start: usize,
    /// Up to where it was looked at.
    scanned: usize,
    shape: Shape,
    /// How long the document at hand may become before it is checked although it has not ended.
    check_at: usize,
    most: usize,
    has_ended: bool,
    /// Nothing has come yet: a byte order mark may stand here.
    is_fresh: bool,
}

/// Where in a document a look has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Between two documents.
    Between,
    /// In an array or object, so many deep.
    Nested { depth: usize },
    /// In a string, in so many arrays and objects.
    Text { depth: usize, is_escaped: bool },
    /// In something else: a number, a word, or a fault.
    Word,
    /// Behind a fault.
    Skipping,
}

/// Documents of fewer bytes are not checked before they have ended.
const FIRST_CHECK: usize = 4096;

impl Stream {
    /// Documents of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Stream {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            shape: Shape::Between,
            check_at: FIRST_CHECK,
            most,
            has_ended: false,
            is_fresh: true,
        }
    }

    /// Adds what came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What is done with is given up when that costs no more than it brings.
        if self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing more will come: the last document ends here.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether a document has begun and not ended.
    pub(crate) fn is_within(&self) -> bool {
        !matches!(self.shape, Shape::Between | Shape::Skipping)
    }

    /// What comes next; `None` when more has to come first.
    pub(crate) fn next(&mut self) -> Option<Found> {
        if !self.skip_mark() {
            return None;
        }
        while self.scanned < self.buffer.len() {
            let byte = self.buffer[self.scanned];
            let has_ended = self.take(byte);
            if self.scanned - self.start > self.most {
                self.skip_from(self.scanned);
                return Some(Found::TooLong);
            }
            if has_ended {
                return Some(self.read());
            }
            if byte == b'\n' && self.scanned - self.start >= self.check_at && self.is_within() {
                self.check_at = 2 * (self.scanned - self.start);
                if let Some(refusal) = self.fault() {
                    return Some(Found::Refused(refusal));
                }
            }
        }
        if self.has_ended && self.is_within() {
            return Some(self.read());
        }
        None
    }

    /// A byte order mark in front of everything is none of it. False as long as it is not known
    /// whether there is one.
    fn skip_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let is_known = self.buffer.len() >= MARK.len() || !MARK.starts_with(&self.buffer);
        if self.is_fresh && is_known && self.buffer.starts_with(MARK) {
            (self.start, self.scanned) = (MARK.len(), MARK.len());
        }
        self.is_fresh &= !is_known;
        !self.is_fresh || self.has_ended
    }

    /// Looks at one byte; true when a document ends before or behind it.
    fn take(&mut self, byte: u8) -> bool {
        let is_space = byte.is_ascii_whitespace() || byte == 0;
        match self.shape {
            Shape::Skipping => {
                self.scanned += 1;
                self.start = self.scanned;
                if byte == b'\n' {
                    self.shape = Shape::Between;
                }
                false
            }
            Shape::Between => {
                if is_space {
                    self.scanned += 1;
                    self.start = self.scanned;
                    return false;
                }
                self.start = self.scanned;
                self.check_at = FIRST_CHECK;
                self.scanned += 1;
                self.shape = match byte {
                    b'{' | b'[' => Shape::Nested { depth: 1 },
                    b'"' => Shape::Text {
                        depth: 0,
                        is_escaped: false,
                    },
                    _ => Shape::Word,
                };
                false
            }
            Shape::Word => {
                if is_space || matches!(byte, b'{' | b'[' | b'"') {
                    return true;
                }
                self.scanned += 1;
                false
            }
            Shape::Text { depth, is_escaped } => {
                self.scanned += 1;
                self.shape = match byte {
                    b'"' if !is_escaped && depth == 0 => return true,
                    b'"' if !is_escaped => Shape::Nested { depth },
                    _ => Shape::Text {
                        depth,
                        is_escaped: byte == b'\\' && !is_escaped,
                    },
                };
                false
            }
            Shape::Nested { depth } => {
                self.scanned += 1;
                self.shape = match byte {
                    b'"' => Shape::Text {
                        depth,
                        is_escaped: false,
                    },
                    b'{' | b'[' => Shape::Nested { depth: depth + 1 },
                    b'}' | b']' if depth == 1 => return true,
                    b'}' | b']' => Shape::Nested { depth: depth - 1 },
                    _ => self.shape,
                };
                false
            }
        }
    }

    /// Reads the document that ends where was looked to.
    fn read(&mut self) -> Found {
        let at = self.start..self.scanned;
        self.shape = Shape::Between;
        match document(&self.buffer[at.clone()]) {
            Ok(found) => {
                self.start = at.end;
                found
            }
            Err(refusal) => {
                self.skip_from(self.fault_at(&refusal, at));
                Found::Refused(refusal)
            }
        }
    }

    /// Whether the document at hand is wrong already, although it has not ended.
    fn fault(&mut self) -> Option<Refusal> {
        let at = self.start..self.scanned;
        let refusal = document(&self.buffer[at.clone()]).err()?;
        if refusal.is_cut_off() {
            return None;
        }
        self.skip_from(self.fault_at(&refusal, at));
        Some(refusal)
    }

    /// Where in the buffer a fault is: a line break behind it may stand in the document.
    fn fault_at(&self, refusal: &Refusal, at: Range<usize>) -> usize {
        (at.start + refusal.byte().saturating_sub(1)).min(at.end)
    }

    fn skip_from(&mut self, place: usize) {
        (self.start, self.scanned) = (place, place);
        self.shape = Shape::Skipping;
    }
}

/// What one text is that should be one document.
fn document(text: &[u8]) -> Result<Found, Refusal> {
    let mut places = Vec::with_capacity(1);
    split(text, &mut places)?;
    let Some(place) = places.pop() else {
        return Ok(Found::Empty);
    };
    let document = Document::new(Bytes::copy_from_slice(&text[place]));
    // What was found to be JSON is text.
    Ok(document.map_or(Found::Empty, Found::Document))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &mut Stream) -> Vec<String> {
        std::iter::from_fn(|| stream.next())
            .map(|found| match found {
                Found::Document(document) => document.to_string(),
                Found::Empty => "empty".to_owned(),
                Found::Refused(refusal) => format!("! {refusal}"),
                Found::TooLong => "too long".to_owned(),
            })
            .collect()
    }

    /// What is found when the text comes in pieces of so many bytes.
    fn in_pieces(text: &str, length: usize) -> Vec<String> {
        let mut stream = Stream::new(1 << 20);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(length) {
            stream.push(piece);
            found.extend(all(&mut stream));
        }
        stream.end();
        found.extend(all(&mut stream));
        found
    }

    #[test]
    fn documents_are_found_however_they_are_parted() {
        let text = "\u{feff}{\"a\":1}\n{ \"b\" :\n [1, \"]}\\\"\"] }3 \"four\"[5]\ntrue null\r\n12";
        for length in [1, 2, 3, 7, 1000] {
            assert_eq!(
                in_pieces(text, length),
                [
                    "{\"a\":1}",
                    "{ \"b\" :\n [1, \"]}\\\"\"] }",
                    "3",
                    "\"four\"",
                    "[5]",
                    "true",
                    "empty",
                    "12"
                ],
                "{length}"
            );
        }
    }

    #[test]
    fn after_a_fault_it_goes_on_at_the_next_line() {
        let text = "{\"a\":} {\"lost\":1}\n{\"b\":1}\nhello\n{\"c\":\n2,}\n{\"d\":1}";
        for length in [1, 5, 1000] {
            assert_eq!(
                in_pieces(text, length),
                [
                    "! not JSON at byte 6: expected value",
                    "{\"b\":1}",
                    "! not JSON at byte 1: expected value",
                    "! not JSON at byte 9: key must be a string",
                    "{\"d\":1}",
                ]
                .map(str::to_owned),
                "{length}"
            );
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_the_last_document() {
        assert_eq!(in_pieces("12", 1), ["12"]);
        let [refused] = &in_pieces("{\"a\":", 1)[..] else {
            panic!("one");
        };
        assert!(refused.contains("it ended too early"), "{refused}");
        assert_eq!(in_pieces(" \n", 1), [""; 0]);
    }

    #[test]
    fn what_can_never_end_well_is_found_out_before_it_ends() {
        let mut stream = Stream::new(1 << 20);
        stream.push(b"{\"a\": x\n");
        for _ in 0..1000 {
            stream.push(b"{\"b\":1}\n");
        }
        let found = all(&mut stream);
        assert_eq!(found[0], "! not JSON at byte 7: expected value");
        // From the line behind the fault on.
        assert_eq!(found.len(), 1001);
    }

    #[test]
    fn a_document_that_is_too_long_is_skipped() {
        let mut stream = Stream::new(100);
        stream.push(format!("\"{}\"\n1\n", "x".repeat(200)).as_bytes());
        assert_eq!(all(&mut stream), ["too long", "1"]);
        for (length, found) in [(100, None), (101, Some("too long"))] {
            let text = format!("\"{}\"", "x".repeat(length - 2));
            stream.push(text.as_bytes());
            stream.push(b"\n");
            assert_eq!(all(&mut stream), [found.unwrap_or(&text)]);
        }
    }
}
