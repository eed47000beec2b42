//! Bytes on the wire: how frames are encoded, once for all clients.
//!
//! Frames from a server are not masked (RFC 6455 §5.1), so every client gets the same bytes.

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// Appends one unfragmented text frame, its payload given in parts, to `frames` (RFC 6455 §5.2).
pub(crate) fn append_text(frames: &mut Vec<u8>, payload: &[&[u8]]) {
    append(frames, OpCode::Data(Data::Text), payload);
}

/// Appends an empty ping to `frames` (RFC 6455 §5.5.2).
pub(crate) fn append_ping(frames: &mut Vec<u8>) {
    append(frames, OpCode::Control(Control::Ping), &[]);
}

/// A close frame with a code and a reason of at most 123 bytes (RFC 6455 §5.5.1).
pub(crate) fn close(code: u16, reason: &'static str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = Frame::close(Some(CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    }));
    // Writing to memory cannot fail; were it to, the client would see an end without a reason.
    let _ = frame.format(&mut bytes);
    bytes
}

fn append(frames: &mut Vec<u8>, opcode: OpCode, payload: &[&[u8]]) {
    let header = FrameHeader {
        is_final: true,
        opcode,
        ..FrameHeader::default()
    };
    let length: usize = payload.iter().map(|part| part.len()).sum();
    // Writing to memory cannot fail.
    let _ = header.format(length as u64, frames);
    for part in payload {
        frames.extend_from_slice(part);
    }
}

/// The first boundary between frames at or after `offset`. `frames` are whole unmasked frames.
pub(crate) fn boundary_after(frames: &[u8], offset: usize) -> usize {
    let mut end = 0;
    while end < offset.min(frames.len()) {
        end += frame_length(&frames[end..]);
    }
    end
}

/// Length of the unmasked frame that `bytes` begins with, header included.
fn frame_length(bytes: &[u8]) -> usize {
    match bytes {
        [_, 127, a, b, c, d, e, f, g, h, ..] => {
            10 + u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize
        }
        [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        [_, length, ..] => 2 + usize::from(*length),
        // Only whole frames are put into parcels.
        _ => bytes.len().max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_lie_between_frames_of_every_length() {
        let mut frames = Vec::new();
        let mut ends = vec![0];
        for length in [0usize, 5, 125, 126, 300, 65_535, 65_536, 70_000] {
            append_text(&mut frames, &[&vec![b'x'; length]]);
            ends.push(frames.len());
        }
        for pair in ends.windows(2) {
            assert_eq!(boundary_after(&frames, pair[0]), pair[0]);
            assert_eq!(boundary_after(&frames, pair[0] + 1), pair[1]);
            assert_eq!(boundary_after(&frames, pair[1] - 1), pair[1]);
        }
    }
}
