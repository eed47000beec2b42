//! Server-sent events as bytes (HTML §9.2.5), and the chunks that carry them over HTTP/1.1
//! (RFC 9112 §7.1).

use std::fmt::Display;
use std::io::Write;

/// What ends a stream of chunks.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends one event to `bytes`. A line break in the data, of whichever kind, starts another data
/// line, and comes out as a line feed; in JSON, breaks are white space.
pub(crate) fn append(bytes: &mut Vec<u8>, event: Option<&str>, id: &impl Display, data: &str) {
    if let Some(event) = event {
        bytes.extend_from_slice(format!("event: {event}\n").as_bytes());
    }
    // Writing to memory cannot fail.
    let _ = writeln!(bytes, "id: {id}");
    let lines = data.split("\r\n").flat_map(|part| part.split(['\n', '\r']));
    for line in lines {
        bytes.extend_from_slice(b"data: ");
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes.push(b'\n');
}

/// Makes a chunk of what `bytes` holds from `start` on, which must be something: a chunk of nothing
/// ends the stream.
pub(crate) fn make_chunk(bytes: &mut Vec<u8>, start: usize) {
    let size = format!("{:x}\r\n", bytes.len() - start);
    bytes.splice(start..start, size.into_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// The first boundary between events at or after `offset`. `events` are whole events.
pub(crate) fn boundary_after(events: &[u8], offset: usize) -> usize {
    let from = offset.saturating_sub(2);
    let pairs = events[from..].windows(2);
    let mut ends = pairs.zip(from + 2..).filter(|(pair, _)| *pair == b"\n\n");
    ends.next().map_or(events.len(), |(_, end)| end)
}

/// The first boundary between chunks at or after `offset`. `chunks` are whole chunks.
pub(crate) fn chunk_boundary_after(chunks: &[u8], offset: usize) -> usize {
    let mut end = 0;
    while end < offset.min(chunks.len()) {
        end += chunk_length(&chunks[end..]);
    }
    end
}

/// Length of the chunk that `bytes` begins with, its size and line ends included.
fn chunk_length(bytes: &[u8]) -> usize {
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((header, size))) => header + size as usize + 2,
        // Only whole chunks are put into parcels.
        _ => bytes.len().max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> String {
        let mut bytes = Vec::new();
        append(&mut bytes, None, &"x-1", data);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_has_a_data_line_for_each_line_of_the_document() {
        for (document, lines) in [
            ("1", "data: 1\n"),
            ("{\n\"a\":1}", "data: {\ndata: \"a\":1}\n"),
            ("{\r\"a\":1}", "data: {\ndata: \"a\":1}\n"),
            ("{\r\n\"a\":1}", "data: {\ndata: \"a\":1}\n"),
            ("{\r\n\n\"a\":1}", "data: {\ndata: \ndata: \"a\":1}\n"),
            (
                "[\n\r\n1,\r\r2]",
                "data: [\ndata: \ndata: 1,\ndata: \ndata: 2]\n",
            ),
        ] {
            assert_eq!(event(document), format!("id: x-1\n{lines}\n"));
        }
    }

    #[test]
    fn boundaries_lie_behind_the_blank_lines_of_events() {
        let events = b"data: 1\n\ndata: 22\n\n";
        for (offset, end) in [(0, 9), (1, 9), (8, 9), (9, 9), (10, 19), (19, 19)] {
            assert_eq!(boundary_after(events, offset), end, "{offset}");
        }
    }

    #[test]
    fn boundaries_lie_between_chunks_of_every_length() {
        let mut chunks = Vec::new();
        let mut ends = vec![0];
        // What looks like the end of an event, or of a chunk, inside of one is none.
        for length in [0usize, 5, 15, 16, 300, 5_000, 70_000] {
            let start = chunks.len();
            append(&mut chunks, None, &"x-1", &"\n0\r\n\r\nx".repeat(length));
            make_chunk(&mut chunks, start);
            ends.push(chunks.len());
        }
        chunks.extend_from_slice(LAST_CHUNK);
        ends.push(chunks.len());
        for pair in ends.windows(2) {
            assert_eq!(chunk_boundary_after(&chunks, pair[0]), pair[0]);
            assert_eq!(chunk_boundary_after(&chunks, pair[0] + 1), pair[1]);
            assert_eq!(chunk_boundary_after(&chunks, pair[1] - 1), pair[1]);
        }
    }
}
