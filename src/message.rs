//! Bytes to messages: what a datagram holds, what PHP would call empty, what is refused and why.
//!
//! Pure: no I/O, no clock. The intake calls it; nothing is parsed into a tree, and nothing is
//! printed again.

use std::fmt;
use std::ops::Range;

use serde_json::value::RawValue;
use tungstenite::Utf8Bytes;

/// One JSON document, its bytes exactly as they came: shared, cheap to clone.
pub type Document = Utf8Bytes;

/// Arrays and objects in one another that a document may have, as in PHP's `json_decode`: its
/// default depth of 512 counts the value inside as a level, too.
pub const MAX_DEPTH: usize = 511;

/// Why a datagram is refused, whole: one sentence, the same in the log and in the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are not UTF-8 from this byte on, counted from 1.
    NotUtf8 {
        /// The first byte that is wrong, counted from 1.
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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotUtf8 { byte } => write!(f, "not UTF-8 at byte {byte}"),
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
/// # Errors
/// The first fault in it; `documents` is as before then: a datagram is published whole or not at
/// all.
pub fn split(datagram: &[u8], documents: &mut Vec<Range<usize>>) -> Result<usize, Refusal> {
    let text = std::str::from_utf8(datagram).map_err(|error| Refusal::NotUtf8 {
        byte: error.valid_up_to() + 1,
    })?;
    check_depth(datagram)?;
    let known = documents.len();
    let mut empty = 0;
    let mut found = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    while let Some(document) = found.next() {
        match document {
            Ok(document) => {
                if is_empty(document.get()) {
                    empty += 1;
                } else {
                    let end = found.byte_offset();
                    documents.push(end - document.get().len()..end);
                }
            }
            Err(error) => {
                documents.truncate(known);
                return Err(not_json(datagram, &error));
            }
        }
    }
    if empty == 0 && documents.len() == known {
        empty = 1;
    }
    Ok(empty)
}

/// Counts levels outside of strings. serde_json has no limit where it does not build a tree, and
/// whoever reads the document later may.
fn check_depth(text: &[u8]) -> Result<(), Refusal> {
    // Fewer brackets than levels, and no limit can be broken: most datagrams end here.
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

/// Whether PHP's `empty(json_decode($document, true))` is true: null, false, `""`, `"0"`, an empty
/// array or object, and every number that is 0.
///
/// `document` is one JSON document without white space around it.
pub fn is_empty(document: &str) -> bool {
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
