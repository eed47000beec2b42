//! What whoever publishes by TCP is told of each document: one JSON object.

use std::fmt::Write;

use serde::Serialize;

use crate::http::Answer;
use crate::hub::Receipt;
use crate::message::Refusal;

/// It was published.
pub(super) fn published(receipt: &Receipt, into: &mut String) {
    let Receipt { id, clients, .. } = receipt;
    // Writing to a string cannot fail; ids have no letter that JSON escapes.
    let _ = write!(into, r#"{{"ok":true,"id":"{id}","clients":{clients}}}"#);
}

/// It is what PHP calls empty, and was dropped.
pub(super) const EMPTY: &str = r#"{"ok":true,"clients":0,"empty":true}"#;

/// It was not published.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    ok: bool,
    /// Why: for the log, too.
    #[serde(rename = "error")]
    pub(super) sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte: Option<usize>,
}

impl Refused {
    /// Why, and at which byte, counted from 1, if it is at one.
    pub(super) fn new(sentence: String, byte: Option<usize>) -> Self {
        Refused {
            ok: false,
            sentence,
            byte,
        }
    }

    pub(super) fn json(&self) -> String {
        // Texts and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused::new(refusal.to_string(), Some(refusal.byte()))
    }
}

/// Why something was refused.
pub(super) fn refused(error: &str) -> String {
    Refused::new(error.to_owned(), None).json()
}

/// An answer by HTTP that says what is wrong.
pub(super) fn refusal(status: &'static str, error: &str) -> Answer {
    Answer::json(status, refused(error))
}
