//! What a client makes of the bytes that came: the answer to its upgrade, frames, the documents in
//! them.

use crate::clients::{Client, Clients, Dialect, State, Target};
use crate::frames::{Document, Header, client_frame};
use crate::tally::Tally;

/// An answer to an upgrade has no more bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Why a client's bytes are not read any further.
#[derive(Debug)]
pub(crate) enum Ended {
    /// This one is over.
    Closed(String),
    /// The run is.
    Fatal(String),
}

/// One client's turn with what it has received.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) target: &'a Target,
    pub(crate) document: &'a Document,
    pub(crate) client: u32,
    pub(crate) now: u64,
    pub(crate) tally: &'a mut Tally,
    pub(crate) open: &'a mut usize,
}

impl Reader<'_> {
    /// Takes all whole frames out of `bytes` and returns how many bytes they were.
    pub(crate) fn take(&mut self, client: &mut Client, bytes: &[u8]) -> Result<usize, Ended> {
        let mut at = 0;
        if client.state == State::Upgrading {
            match self.head(bytes)? {
                Some(size) => at = size,
                None => return Ok(0),
            }
            client.state = match self.target.dialect {
                Dialect::Frames { .. } => State::Open,
                Dialect::Nats { .. } => State::Subscribing,
            };
            *self.open += usize::from(client.state == State::Open);
        }
        loop {
            let skipped = client.skip.min(bytes.len() - at);
            client.skip -= skipped;
            at += skipped;
            let Some(header) = Header::parse(&bytes[at..]) else {
                return Ok(at);
            };
            let begin = at + header.size;
            let end = begin + header.length;
            let Some(payload) = bytes.get(begin..end) else {
                if end - at > Clients::BUFFER {
                    // Larger than any document of ours.
                    client.skip = header.length;
                    at = begin;
                    continue;
                }
                return Ok(at);
            };
            at = end;
            match (header.opcode, &self.target.dialect) {
                (1 | 2, Dialect::Frames { after }) if header.fin => {
                    self.document_at_end(client, payload, *after);
                }
                (2, Dialect::Nats { subject, line }) if header.fin => {
                    self.nats(client, payload, subject, line)?;
                }
                _ => control(client, header, payload)?,
            }
        }
    }

    #[inline]
    fn document_at_end(&mut self, client: &mut Client, payload: &[u8], after: usize) {
        let end = payload.len().saturating_sub(after);
        let begin = end.saturating_sub(self.document.size());
        if let Some(sequence) = self.document.sequence(&payload[begin..end]) {
            self.tally
                .arrived(&mut client.received, self.client, sequence, self.now);
        }
    }

    fn nats(
        &mut self,
        client: &mut Client,
        mut payload: &[u8],
        subject: &str,
        line: &[u8],
    ) -> Result<(), Ended> {
        let item = self.document.size() + b"\r\n".len();
        while !payload.is_empty() {
            if let Some(rest) = payload.strip_prefix(line) {
                let (message, rest) = rest.split_at(item.min(rest.len()));
                self.document_at_end(client, message, b"\r\n".len());
                payload = rest;
                continue;
            }
            let end = payload.iter().position(|&byte| byte == b'\n');
            let (said, rest) = payload.split_at(end.map_or(payload.len(), |end| end + 1));
            payload = rest;
            if said.starts_with(b"INFO ") && client.state == State::Subscribing {
                let hello = format!(
                    "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {subject} 1\r\nPING\r\n"
                );
                client.send(&client_frame(2, hello.as_bytes()));
            } else if said.starts_with(b"PING") {
                client.send(&client_frame(2, b"PONG\r\n"));
            } else if said.starts_with(b"PONG") && client.state == State::Subscribing {
                client.state = State::Open;
                *self.open += 1;
            } else if said.starts_with(b"-ERR") {
                return Err(Ended::Closed(printable(said)));
            }
        }
        Ok(())
    }

    /// The answer to the upgrade: its size, or `None` when it isn't all there.
    fn head(&self, bytes: &[u8]) -> Result<Option<usize>, Ended> {
        let address = self.target.address;
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if bytes.len() > LONGEST_HEAD {
                return Err(Ended::Fatal(format!(
                    "{address} does not speak HTTP: is the port right?"
                )));
            }
            return Ok(None);
        };
        if !bytes.starts_with(b"HTTP/1.1 101 ") {
            let status = bytes
                .split(|&byte| byte == b'\r')
                .next()
                .unwrap_or_default();
            return Err(Ended::Fatal(format!(
                "{address} answers the WebSocket upgrade with \"{}\": are --connect, --path and \
                 --protocol right?",
                printable(status)
            )));
        }
        Ok(Some(end + 4))
    }
}

/// Everything but documents.
#[cold]
fn control(client: &mut Client, header: Header, payload: &[u8]) -> Result<(), Ended> {
    match header.opcode {
        8 => {
            let code = payload
                .first_chunk()
                .map_or(1005, |code| u16::from_be_bytes(*code));
            client.send(&client_frame(8, payload.get(..2).unwrap_or_default()));
            let why = printable(payload.get(2..).unwrap_or_default());
            Err(Ended::Closed(format!("{code} {why}").trim().to_owned()))
        }
        9 => {
            client.send(&client_frame(10, payload));
            Ok(())
        }
        1 | 2 | 10 if header.fin => Ok(()),
        // Parts of a message in several frames: no server here sends documents so.
        0..=2 => Ok(()),
        opcode => Err(Ended::Closed(format!(
            "it sent a frame with opcode {opcode}"
        ))),
    }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]);
    text.trim().escape_debug().to_string()
}
