//! One JSON document, its bytes exactly as they came.

use std::ops::Deref;

use bytes::Bytes;
use tungstenite::Utf8Bytes;

/// Text that was found to be one JSON document, without white space around it. Shared: cloning
/// copies nothing.
// tungstenite's text, since it knows how to share bytes that were checked to be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document(Utf8Bytes);

impl Document {
    /// Takes a part of a datagram or of a stream; `None` where it is no UTF-8.
    pub(crate) fn new(bytes: Bytes) -> Option<Self> {
        Utf8Bytes::try_from(bytes).ok().map(Document)
    }
}

impl Deref for Document {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
impl<T: Into<Utf8Bytes>> From<T> for Document {
    fn from(text: T) -> Self {
        Document(text.into())
    }
}
