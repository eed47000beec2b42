//! Bytes to messages: what a datagram holds, what PHP would call empty, what is refused and why.
//!
//! Pure: no I/O, no clock. The intake calls it; nothing is parsed into a tree, and nothing is
//! printed again.

mod document;
pub(crate) mod fields;
pub(crate) mod id;
pub(crate) mod stream;

use std::fmt;
use std::ops::Range;

use serde_json::value::RawValue;

pub(crate) use document::Document;

/// Arrays and objects in one another that a document may have, as in PHP's `json_decode`: its
/// default depth of 512 counts the value inside as a level, too.
pub(crate) const MAX_DEPTH: usize = 511;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a datagram is refused, whole: one sentence, the same in the log and in the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The bytes are not UTF-8 from this byte on, counted from 1.
    NotUtf8 {
        /// The first byte that is wrong, counted from 1.
        byte: usize,
    },
    /// The bytes are text in another encoding.
    Encoding {
        /// UTF-16 or UTF-32.
        name: &'static str,
        /// The first byte that is not JSON in UTF-8, counted from 1.
        byte: usize,
    },
    /// The text is not JSON.
    NotJson {
        /// Where, counted from 1.
        byte: usize,
        /// The parser's words.
        reason: String,
        /// It was fine until it ended: probably cut off on its way.
        cut_off: bool,
    },
    /// More than [`MAX_DEPTH`] arrays and objects in one another.
    TooDeep {
        /// The bracket or brace that is one too many, counted from 1.
        byte: usize,
    },
}

impl Refusal {
    /// Where the fault is, counted from 1.
    pub(crate) fn byte(&self) -> usize {
        match self {
            Refusal::NotUtf8 { byte }
            | Refusal::Encoding { byte, .. }
            | Refusal::NotJson { byte, .. }
            | Refusal::TooDeep { byte } => *byte,
        }
    }

    /// Whether it was fine until it ended.
    pub(crate) fn is_cut_off(&self) -> bool {
        matches!(self, Refusal::NotJson { cut_off: true, .. })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotUtf8 { byte } => write!(f, "not UTF-8 at byte {byte}"),
            Refusal::Encoding { name, byte } => {
                write!(f, "{name}, not UTF-8: not JSON at byte {byte}")
            }
            Refusal::TooDeep { byte } => {
                write!(f, "more than {MAX_DEPTH} levels deep at byte {byte}")
            }
            Refusal::NotJson {
                byte,
                reason,
                cut_off,
            } => {
                write!(f, "not JSON at byte {byte}: {reason}")?;
                if *cut_off {
                    f.write_str(
                        " (it ended too early: nc may have split it, every nc has its own block size)",
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// Finds the documents in a datagram: one, or several one after another, with or without white
/// space between them (NDJSON, concatenated JSON).
///
/// Appends where each lies, outer white space trimmed, to `documents`, in order, and returns how
/// many more it found that PHP calls empty; those are dropped. A datagram without any document
/// counts as one empty one, as `json_decode('')` is null.
///
/// What text files and C programs leave around a text is skipped, too: a byte order mark in front,
/// NULs behind.
///
/// # Errors
/// The first fault in it; `documents` is as before then: a datagram is published whole or not at
/// all.
pub(crate) fn split(datagram: &[u8], documents: &mut Vec<Range<usize>>) -> Result<usize, Refusal> {
    let mark = match datagram.starts_with(BYTE_ORDER_MARK) {
        true => BYTE_ORDER_MARK.len(),
        false => 0,
    };
    let is_text = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
    let end = datagram.iter().rposition(is_text).map_or(mark, |at| at + 1);
    let known = documents.len();
    find(&datagram[mark..end.max(mark)], mark, documents).map_err(|refusal| {
        documents.truncate(known);
        refusal.in_whole(datagram, mark)
    })
}

/// Finds the documents in a text, which begins so many bytes behind where the datagram does.
fn find(text: &[u8], offset: usize, documents: &mut Vec<Range<usize>>) -> Result<usize, Refusal> {
    let valid = std::str::from_utf8(text).map_err(|error| Refusal::NotUtf8 {
        byte: error.valid_up_to() + 1,
    })?;
    check_depth(text)?;
    let known = documents.len();
    let mut empty = 0;
    let mut found = serde_json::Deserializer::from_str(valid).into_iter::<&RawValue>();
    while let Some(document) = found.next() {
        let document = document.map_err(|error| not_json(text, &error))?.get();
        if is_empty(document) {
            empty += 1;
        } else {
            let end = offset + found.byte_offset();
            documents.push(end - document.len()..end);
        }
    }
    if empty == 0 && documents.len() == known {
        empty = 1;
    }
    Ok(empty)
}

impl Refusal {
    /// The same, once the whole datagram is looked at: bytes are counted from its start, and text in
    /// another encoding is called so.
    fn in_whole(mut self, datagram: &[u8], offset: usize) -> Self {
        let (Refusal::NotUtf8 { byte }
        | Refusal::Encoding { byte, .. }
        | Refusal::NotJson { byte, .. }
        | Refusal::TooDeep { byte }) = &mut self;
        *byte += offset;
        let byte = *byte;
        match foreign_encoding(datagram) {
            Some(name) => Refusal::Encoding { name, byte },
            None => self,
        }
    }
}

/// What a datagram that is not JSON is encoded in, by its byte order mark, or by where the zeros are
/// in its first letters (RFC 4627 §3).
fn foreign_encoding(datagram: &[u8]) -> Option<&'static str> {
    match datagram {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => {
            let is_zero = |at| datagram.get(at).map(|byte| *byte == 0);
            let (zero, other) = (Some(true), Some(false));
            let zeros: [_; 5] = std::array::from_fn(is_zero);
            if zeros[..4] == [zero, zero, zero, other] || zeros == [other, zero, zero, zero, other]
            {
                return Some("UTF-32");
            }
            let is_utf16 = zeros[..2] == [zero, other] || zeros[..3] == [other, zero, other];
            is_utf16.then_some("UTF-16")
        }
    }
}

/// Counts levels outside of strings. serde_json has no limit where it does not build a tree, and
/// whoever reads the document later may.
fn check_depth(text: &[u8]) -> Result<(), Refusal> {
    // A text that is not longer than the limit cannot hold more brackets than the limit. Most
    // datagrams are as short as that.
    if text.len() <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0usize;
    let mut in_string = false;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Refusal::TooDeep { byte: at + 1 });
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn not_json(text: &[u8], error: &serde_json::Error) -> Refusal {
    // The error tells a line and a column in bytes, both counted from 1; a column of 0 is the end
    // of the line before.
    let lines_before = error.line().saturating_sub(1);
    let line_start = match lines_before {
        0 => 0,
        lines => text
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(lines - 1)
            .map_or(0, |(at, _)| at + 1),
    };
    let reason = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    Refusal::NotJson {
        byte: (line_start + error.column()).max(1),
        reason: reason.strip_suffix(&place).unwrap_or(&reason).to_owned(),
        cut_off: error.is_eof(),
    }
}

/// Whether a text is one JSON document, within [`MAX_DEPTH`].
pub(crate) fn is_json(text: &str) -> bool {
    check_depth(text.as_bytes()).is_ok() && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Whether PHP's `empty(json_decode($document, true))` is true: null, false, `""`, `"0"`, an empty
/// array or object, and every number that is 0.
///
/// `document` is one JSON document without white space around it.
pub(crate) fn is_empty(document: &str) -> bool {
    match document.as_bytes() {
        b"null" | b"false" => true,
        [b'[' | b'{', inner @ .., _] => inner.iter().all(u8::is_ascii_whitespace),
        // "0" may be spelt with an escape, "\u0030"; nothing longer can be empty.
        [b'"', ..] => {
            document == r#""""#
                || document == r#""0""#
                || document.eq_ignore_ascii_case(r#""\u0030""#)
        }
        // PHP turns a number into an integer or a double; one too small for a double is 0.
        [b'-' | b'0'..=b'9', ..] => document.parse::<f64>() == Ok(0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(datagram: &str) -> (Vec<&str>, usize) {
        let mut found = Vec::new();
        let empty = split(datagram.as_bytes(), &mut found).unwrap();
        (found.into_iter().map(|at| &datagram[at]).collect(), empty)
    }

    fn refusal(datagram: &[u8]) -> String {
        let before = vec![0..1, 1..2];
        let mut found = before.clone();
        let refusal = split(datagram, &mut found).unwrap_err();
        assert_eq!(found, before, "a refused datagram leaves nothing behind");
        refusal.to_string()
    }

    #[test]
    fn a_document_is_kept_byte_for_byte_without_the_white_space_around_it() {
        let document = r#"{ "b":1e400, "a" : "\u00e9\/",  "a":12345678901234567890123 }"#;
        assert_eq!(
            documents(&format!(" \r\n\t{document}\n")),
            (vec![document], 0)
        );
    }

    #[test]
    fn several_documents_in_one_datagram_are_found_in_order() {
        assert_eq!(
            documents("{\"a\":1}{\"a\":2}\n3 \"four\"[5]\ntrue"),
            (
                vec![r#"{"a":1}"#, r#"{"a":2}"#, "3", r#""four""#, "[5]", "true"],
                0
            )
        );
    }

    #[test]
    fn what_php_calls_empty_is_dropped_and_counted() {
        let empty = [
            "null",
            "false",
            r#""""#,
            r#""0""#,
            r#""\u0030""#,
            "[]",
            "{}",
            "[ ]",
            "{\n}",
            "0",
            "-0",
            "0.0",
            "-0.0",
            "0e5",
            "0E-3",
            "0.000e+0",
            "1e-400",
        ];
        for document in empty {
            assert_eq!(documents(document), (vec![], 1), "{document}");
        }
        for document in [
            r#""00""#,
            r#""0.0""#,
            r#"" ""#,
            "[[]]",
            "[0]",
            "[null]",
            r#"{"":0}"#,
            "true",
            "1",
            "-1",
            "0.1",
            "1e400",
            r#""false""#,
            r#""\u0031""#,
        ] {
            assert_eq!(documents(document), (vec![document], 0), "{document}");
        }
        assert_eq!(documents("0 1 null 2 {}"), (vec!["1", "2"], 3));
        assert_eq!(documents(""), (vec![], 1));
        assert_eq!(documents(" \n"), (vec![], 1));
    }

    #[test]
    fn what_is_not_json_is_refused_with_the_byte_and_the_reason() {
        assert_eq!(refusal(b"{\"a\": x}"), "not JSON at byte 7: expected value");
        assert_eq!(refusal(b"1\n2\n  x"), "not JSON at byte 7: expected value");
        assert_eq!(
            refusal(b"{\"a\":1} {a:1}"),
            "not JSON at byte 10: key must be a string"
        );
        assert_eq!(refusal(b"\"a\xff\""), "not UTF-8 at byte 3");
        assert_eq!(refusal(b"12x"), "not JSON at byte 3: trailing characters");
    }

    #[test]
    fn a_byte_order_mark_in_front_and_nuls_behind_are_skipped() {
        let find = |datagram: &[u8]| {
            let mut found = Vec::new();
            let empty = split(datagram, &mut found).unwrap();
            let ends: Vec<_> = found.iter().map(|at| (at.start, at.end)).collect();
            (ends, empty)
        };
        assert_eq!(find(b"\xef\xbb\xbf {\"a\":1}\n"), (vec![(4, 11)], 0));
        assert_eq!(find(b"\xef\xbb\xbf1 2\0"), (vec![(3, 4), (5, 6)], 0));
        assert_eq!(find(b"12\0\0\n\0"), (vec![(0, 2)], 0));
        for nothing in [
            &b"\xef\xbb\xbf"[..],
            b"\0",
            b"\0\0\0\0",
            b"\xef\xbb\xbf\n\0",
        ] {
            assert_eq!(find(nothing), (vec![], 1));
        }
        // Nowhere else, and bytes are counted from the datagram's first.
        assert_eq!(
            refusal(b"\xef\xbb\xbf{a}\0"),
            "not JSON at byte 5: key must be a string"
        );
        assert_eq!(refusal(b"\xef\xbb\xbf\"\xff\""), "not UTF-8 at byte 5");
        assert_eq!(
            refusal(&[&b"\xef\xbb\xbf"[..], &[b'['; 512]].concat()),
            "more than 511 levels deep at byte 515"
        );
        for inside in [&b"{}\0{}"[..], b" \xef\xbb\xbf1", b"1\xef\xbb\xbf"] {
            assert!(refusal(inside).starts_with("not JSON at byte "));
        }
        let cut = refusal(b"{\"a\":\0");
        assert!(cut.contains("at byte 5") && cut.contains("nc may"), "{cut}");
    }

    #[test]
    fn text_in_another_encoding_is_called_so() {
        let encoded = |text: &str, mark: bool, width: usize, little: bool| {
            let mark = mark.then_some('\u{feff}').into_iter();
            let letters = mark.chain(text.chars());
            let bytes = letters.flat_map(|letter| match little {
                true => u32::from(letter).to_le_bytes()[..width].to_vec(),
                false => u32::from(letter).to_be_bytes()[4 - width..].to_vec(),
            });
            bytes.collect::<Vec<u8>>()
        };
        for text in ["{\"a\":1}", "[1]\n", "\"é\"", "\"Ж\"", "12"] {
            for (name, width) in [("UTF-16", 2), ("UTF-32", 4)] {
                for (mark, little) in [(true, true), (true, false), (false, true), (false, false)] {
                    let sentence = refusal(&encoded(text, mark, width, little));
                    let start = format!("{name}, not UTF-8: not JSON at byte ");
                    assert!(sentence.starts_with(&start), "{text:?}: {sentence}");
                }
            }
        }
        assert_eq!(
            refusal(b"{\0\"\0a\0"),
            "UTF-16, not UTF-8: not JSON at byte 2"
        );
    }

    #[test]
    fn a_document_that_was_cut_off_is_said_to_be() {
        for cut in ["{\"a\":", "{\"a\"", "[1,", "\"abc", "tru"] {
            let sentence = refusal(cut.as_bytes());
            assert!(
                sentence.contains("nc may have split it"),
                "{cut}: {sentence}"
            );
        }
        assert!(!refusal(b"{\"a\":}").contains("nc may"));
    }

    #[test]
    fn nesting_ends_at_511_levels_as_in_php() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(documents(&nested(511)).0.len(), 1);
        assert_eq!(
            refusal(nested(512).as_bytes()),
            "more than 511 levels deep at byte 512"
        );
        // Brackets in strings are no levels, and an escaped quote ends no string.
        let text = format!(r#"["\"{}"]"#, "[".repeat(600));
        assert_eq!(documents(&text).0.len(), 1);
        let flat = "[] ".repeat(600) + "1";
        assert_eq!(documents(&flat), (vec!["1"], 600));
    }
}
