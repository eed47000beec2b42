//! What the server says in the subprotocol `udpush.v1`. Pure, no I/O.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One frame, understood.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    Hello(Hello),
    Message {
        id: Cow<'a, str>,
        /// The document, byte for byte.
        data: &'a str,
    },
    Heartbeat {
        id: Cow<'a, str>,
    },
    Error(Cow<'a, str>),
    /// Of a server that can more.
    Unknown,
}

/// What comes first.
#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) id: String,
    /// Absent where nothing was to be resumed.
    pub(super) resumed: Option<bool>,
    /// Seconds between signs of life.
    pub(super) heartbeat: u64,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

/// Understands a frame.
///
/// # Errors
/// One sentence, when it is not of this protocol.
pub(super) fn read(text: &str) -> Result<Frame<'_>, String> {
    let not = |error: &dyn std::fmt::Display| format!("this is not {}: {error}", super::link::V1);
    let kind: Kind = serde_json::from_str(text).map_err(|error| not(&error))?;
    match (&*kind.kind, kind.id, kind.data, kind.error) {
        ("hello", ..) => {
            let hello = serde_json::from_str(text).map_err(|error| not(&error))?;
            Ok(Frame::Hello(hello))
        }
        ("message", Some(id), Some(data), _) => Ok(Frame::Message {
            id,
            data: data.get(),
        }),
        ("heartbeat", Some(id), ..) => Ok(Frame::Heartbeat { id }),
        ("error", _, _, Some(error)) => Ok(Frame::Error(error)),
        ("message" | "heartbeat" | "error", ..) => Err(not(&"something is missing in a frame")),
        _ => Ok(Frame::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_taken_as_it_came() {
        let deep = format!("{}1{}", "[".repeat(511), "]".repeat(511));
        for document in [r#"{"b" : 1.0,"a":"\u00e9", "b":-0}"#, "[\n1e400 ]", &deep] {
            let text = format!(r#"{{"type":"message","id":"a-1","data":{document}}}"#);
            match read(&text).unwrap() {
                Frame::Message { id, data } => assert_eq!((&*id, data), ("a-1", document)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn each_kind_of_frame_is_known_and_what_is_new_is_none_of_ours() {
        let hello = r#"{"type":"hello","client":2,"id":"a-0","heartbeat":25,"resumed":true,"registration":{}}"#;
        assert!(matches!(
            read(hello),
            Ok(Frame::Hello(Hello {
                resumed: Some(true),
                heartbeat: 25,
                ..
            }))
        ));
        assert!(matches!(
            read(r#"{"type":"heartbeat","id":"a-1"}"#),
            Ok(Frame::Heartbeat { .. })
        ));
        assert!(matches!(
            read(r#"{"type":"error","error":"\"a\""}"#),
            Ok(Frame::Error(sentence)) if sentence == "\"a\""
        ));
        assert!(matches!(read(r#"{"type":"news"}"#), Ok(Frame::Unknown)));
        for wrong in ["", "[]", "{}", r#"{"type":"message","id":"a-1"}"#] {
            assert!(read(wrong).unwrap_err().contains("udpush.v1"), "{wrong}");
        }
    }
}
