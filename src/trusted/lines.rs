//! Documents a line: a sequence of JSON documents in, one reply line for each, in order.

use std::io;
use std::time::Instant;

use log::Level;

use super::Trusted;
use super::connection::{Connection, PATIENCE};
use super::receipt::{self, Refused};
use crate::hub::Receipt;
use crate::intake::submissions::Stopping;
use crate::logging::{Kind, logged};
use crate::message::Document;
use crate::message::stream::{Found, Stream};
use crate::words::plural;

/// Documents, and bytes of them, that are handed in together at most: about a round.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 256 << 10;

/// Serves documents until the other side has ended, and all replies are out.
///
/// # Errors
/// When the other side is gone, or too slow.
pub(super) fn serve(connection: &mut Connection<'_>, trusted: &Trusted) -> io::Result<()> {
    let mut stream = Stream::new(trusted.max_message);
    loop {
        let input = connection.input().len();
        stream.push(&connection.take(input));
        if connection.has_ended() {
            stream.end();
        }
        let batch = Batch::take(&mut stream, trusted.max_message);
        if batch.replies.is_empty() {
            if connection.has_ended() {
                return connection.flush();
            }
            let deadline = stream.is_within().then(|| Instant::now() + PATIENCE);
            connection.exchange(deadline)?;
            continue;
        }
        connection.is_busy();
        let peer = connection.peer();
        let stopping = batch.publish(trusted, connection);
        if stopping == Err(Stopping) {
            log::debug!("publisher {peer}: the server stops");
            return connection.flush();
        }
    }
}

/// Documents that have come together, and what their senders are told.
#[derive(Default)]
struct Batch {
    documents: Vec<Document>,
    bytes: usize,
    replies: Vec<Reply>,
}

enum Reply {
    /// What becomes of the next document.
    Receipt,
    Empty,
    Refused(Refused),
}

impl Batch {
    fn take(stream: &mut Stream, max_message: usize) -> Batch {
        let mut batch = Batch::default();
        while batch.replies.len() < BATCH
            && batch.bytes < BATCH_BYTES
            && let Some(found) = stream.next()
        {
            let reply = match found {
                Found::Document(document) => {
                    batch.bytes += document.len();
                    batch.documents.push(document);
                    Reply::Receipt
                }
                Found::Empty => Reply::Empty,
                Found::Refused(refusal) => Reply::Refused(refusal.into()),
                Found::TooLong => {
                    let sentence = format!("a document has at most {max_message} bytes");
                    Reply::Refused(Refused::new(sentence, None))
                }
            };
            batch.replies.push(reply);
        }
        batch
    }

    /// Publishes the documents and replies to all.
    fn publish(self, trusted: &Trusted, connection: &mut Connection<'_>) -> Result<(), Stopping> {
        let peer = connection.peer();
        let receipts = match self.documents.is_empty() {
            true => Ok(Vec::new()),
            false => trusted.desk.submit(self.documents, peer),
        };
        let mut next = receipts.iter().flatten();
        let mut text = String::with_capacity(64 * self.replies.len());
        let mut empty = 0;
        for reply in self.replies {
            match reply {
                Reply::Receipt => match next.next() {
                    Some(published) => receipt::published(published, &mut text),
                    None => text.push_str(&receipt::refused("the server stops")),
                },
                Reply::Empty => {
                    empty += 1;
                    text.push_str(receipt::EMPTY);
                }
                Reply::Refused(refused) => {
                    trusted.tally.refused_document();
                    logged!(
                        Level::Warn,
                        Kind::Refused,
                        "refused document from {peer}: {}",
                        refused.sentence
                    );
                    text.push_str(&refused.json());
                }
            }
            text.push('\n');
        }
        if empty > 0 {
            trusted.tally.dropped_empty(empty);
            logged!(
                Level::Debug,
                Kind::Empty(empty),
                "dropped {empty} empty document{} from {peer}",
                plural(empty)
            );
        }
        connection.reply(text.as_bytes());
        receipts.map(|_: Vec<Receipt>| ())
    }
}
