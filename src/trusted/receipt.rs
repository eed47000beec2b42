//! What whoever publishes by TCP is told of each document: one JSON object.

use std::fmt::Write;

use serde::Serialize;

use crate::http::Answer;
use crate::hub::Receipt;
use crate::message::Refusal;

/// It was published.
pub(super) fn published(receipt: &Receipt, into: &mut String) {
    let Receipt { id, clients } = receipt;
    // Writing to a string cannot fail; ids have no letter that JSON escapes.
    let _ = write!(into, r#"{{"ok":true,"id":"{id}","clients":{clients}}}"#);
}

/// It is what PHP calls empty, and was dropped.
pub(super) const EMPTY: &str = r#"{"ok":true,"clients":0,"empty":true}"#;

/// It was not published.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    ok: bool,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte: Option<usize>,
}

/// Why something was refused, and at which byte, counted from 1, if it is at one.
pub(super) fn refused(error: &str, byte: Option<usize>) -> String {
    let refused = Refused {
        ok: false,
        error,
        byte,
    };
    // Texts and numbers always have a JSON form.
    serde_json::to_string(&refused).unwrap_or_default()
}

/// An answer by HTTP that says what is wrong.
pub(super) fn refusal(status: &'static str, error: &str) -> Answer {
    Answer::json(status, refused(error, None))
}

/// A fault in a document that begins behind so many bytes.
pub(super) fn fault(refusal: &Refusal, before: usize) -> String {
    refused(&refusal.to_string(), Some(before + refusal.byte()))
}
