//! What comes in from a client, counted before anybody reads it: how much it is, and whether the
//! client's close frame was among it.
//!
//! A thread that reads whatever comes takes a processor from all who only listen. So a client may
//! send so many frames and bytes a second, of whatever kind; none of those that the server asks
//! for comes near.

use std::io::Cursor;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

/// Frames in a second. Each fragment is one, and so is a receive that begins no frame: a frame
/// that drips in byte by byte costs as much as many.
const FRAMES: u32 = 100;

/// Bytes in a second.
const BYTES: u32 = 64 << 10;

/// What a client did not send for so long, it may send at once.
const BURST: Duration = Duration::from_secs(2);

/// Counts for one client.
#[derive(Debug)]
pub(super) struct Meter {
    frames: Rate,
    bytes: Rate,
    framing: Framing,
    excess: Option<Excess>,
}

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Frames,
    Bytes,
}

/// A rate, kept as the moment until which it is used up.
#[derive(Debug)]
struct Rate {
    each: Duration,
    used_up_until: Instant,
}

/// Where frames begin and end in what comes in (RFC 6455 §5.2).
#[derive(Debug)]
enum Framing {
    /// A frame's header, as far as it has come.
    Header(Vec<u8>),
    /// So many bytes are left of a frame's payload.
    Payload { left: u64, is_close: bool },
    /// The close frame has come: whatever follows says nothing (RFC 6455 §5.5.1).
    Closed,
    /// There are no frames, or what should be one is none.
    Unknown,
}

impl Meter {
    /// For a client that sends frames.
    pub(super) fn of_frames() -> Self {
        Meter::new(Framing::Header(Vec::new()))
    }

    /// For one that sends nothing that would matter.
    pub(super) fn of_bytes() -> Self {
        Meter::new(Framing::Unknown)
    }

    fn new(framing: Framing) -> Self {
        let now = Instant::now();
        Meter {
            frames: Rate::new(FRAMES, now),
            bytes: Rate::new(BYTES, now),
            framing,
            excess: None,
        }
    }

    /// Counts what one receive has brought; false from the moment on that it is too much.
    pub(super) fn count(&mut self, received: &[u8], now: Instant) -> bool {
        let frames = self.framing.advance(received).max(1);
        // Nothing received at once is as large as 4 GiB.
        let bytes = received.len() as u32;
        if !self.frames.use_up(frames, now) {
            self.excess.get_or_insert(Excess::Frames);
        }
        if !self.bytes.use_up(bytes, now) {
            self.excess.get_or_insert(Excess::Bytes);
        }
        self.excess.is_none()
    }

    /// What there was too much of, if ever.
    pub(super) fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// How long nothing more may be read.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        self.frames.pause(now).max(self.bytes.pause(now))
    }

    /// Whether the client's close frame is still to come, and can be told.
    pub(super) fn expects_close_frame(&self) -> bool {
        matches!(self.framing, Framing::Header(_) | Framing::Payload { .. })
    }
}

impl Excess {
    /// For the log.
    pub(super) fn why(self) -> String {
        match self {
            Excess::Frames => format!("more than {FRAMES} frames a second"),
            Excess::Bytes => format!("more than {BYTES} bytes a second"),
        }
    }

    /// For the client.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Excess::Frames => "too many frames",
            Excess::Bytes => "too many bytes",
        }
    }
}

impl Rate {
    fn new(a_second: u32, now: Instant) -> Self {
        Rate {
            each: Duration::from_secs(1) / a_second,
            used_up_until: now,
        }
    }

    /// False when that is more than the rate and what was saved allow.
    fn use_up(&mut self, count: u32, now: Instant) -> bool {
        self.used_up_until = self.used_up_until.max(now) + self.each * count;
        self.pause(now).is_zero()
    }

    fn pause(&self, now: Instant) -> Duration {
        self.used_up_until.saturating_duration_since(now + BURST)
    }
}

impl Framing {
    /// Follows the frames through `bytes`, and says how many began.
    fn advance(&mut self, mut bytes: &[u8]) -> u32 {
        let mut begun = 0;
        while let Some(first) = bytes.first() {
            let taken = match self {
                Framing::Header(header) => {
                    begun += u32::from(header.is_empty());
                    header.push(*first);
                    self.end_header();
                    1
                }
                Framing::Payload { left, .. } => {
                    // No more than there are bytes.
                    let taken = (*left).min(bytes.len() as u64) as usize;
                    *left -= taken as u64;
                    self.end_payload();
                    taken
                }
                Framing::Closed | Framing::Unknown => break,
            };
            bytes = &bytes[taken..];
        }
        begun
    }

    fn end_header(&mut self) {
        let Framing::Header(header) = self else {
            return;
        };
        match FrameHeader::parse(&mut Cursor::new(header)) {
            Ok(None) => {}
            Ok(Some((header, left))) => {
                let is_close = header.opcode == OpCode::Control(Control::Close);
                *self = Framing::Payload { left, is_close };
                self.end_payload();
            }
            Err(_) => *self = Framing::Unknown,
        }
    }

    fn end_payload(&mut self) {
        if let Framing::Payload { left: 0, is_close } = self {
            *self = match is_close {
                true => Framing::Closed,
                false => Framing::Header(Vec::new()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_FRAGMENT: &[u8] = &[0x00, 0x80, 1, 2, 3, 4];
    const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

    /// How often that may come at the same moment.
    fn allowed(received: &[u8]) -> usize {
        let mut meter = Meter::of_frames();
        let now = Instant::now();
        (0..1_000_000)
            .take_while(|_| meter.count(received, now))
            .count()
    }

    #[test]
    fn what_two_seconds_allow_may_come_at_once() {
        assert_eq!(allowed(EMPTY_FRAGMENT), 200);
        assert_eq!(allowed(&EMPTY_FRAGMENT.repeat(10)), 20);
        // A frame of 4 KiB with a header of 8 bytes.
        let large = [&[0x82, 0xfe, 0x10, 0, 0, 0, 0, 0][..], &[0; 4096]].concat();
        assert_eq!(allowed(&large), 31);
    }

    #[test]
    fn a_receive_without_a_frames_begin_counts_as_a_frame() {
        let mut meter = Meter::of_frames();
        let now = Instant::now();
        assert!(meter.count(&[0x82, 0xfe, 0x10, 0, 0, 0, 0, 0], now));
        let drips = (0..1000).take_while(|_| meter.count(&[0], now)).count();
        assert_eq!(drips, 199);
        assert_eq!(meter.excess(), Some(Excess::Frames));
    }

    #[test]
    fn a_rate_within_the_bound_lasts_for_ever() {
        let mut meter = Meter::of_frames();
        let start = Instant::now();
        for number in 0..10_000 {
            let now = start + Duration::from_millis(10) * number;
            assert!(meter.count(EMPTY_FRAGMENT, now), "{number}");
        }
        let pause = meter.pause(start + Duration::from_millis(99_990));
        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn after_too_much_there_is_a_pause() {
        let mut meter = Meter::of_frames();
        let now = Instant::now();
        assert!(!meter.count(&EMPTY_FRAGMENT.repeat(250), now));
        let pause = meter.pause(now);
        assert!(pause > Duration::from_millis(400), "{pause:?}");
        assert!(meter.pause(now + pause).is_zero());
    }

    #[test]
    fn the_close_frame_is_found_wherever_it_is_cut() {
        let text = [0x81, 0x82, 0, 0, 0, 0, 0x88, 0x80];
        let bytes = [&text[..], EMPTY_FRAGMENT, CLOSE, b"whatever"].concat();
        let end = text.len() + EMPTY_FRAGMENT.len() + CLOSE.len();
        for cut in 1..bytes.len() {
            let mut framing = Framing::Header(Vec::new());
            let begun = framing.advance(&bytes[..cut]);
            assert_eq!(matches!(framing, Framing::Closed), cut >= end, "{cut}");
            let begun = begun + framing.advance(&bytes[cut..]);
            assert!(matches!(framing, Framing::Closed), "{cut}");
            assert_eq!(begun, 3, "{cut}");
        }
    }

    #[test]
    fn behind_what_is_no_frame_no_close_frame_is_expected() {
        let mut meter = Meter::of_frames();
        assert!(meter.expects_close_frame());
        meter.count(&[0x83, 0x80, 0, 0, 0, 0], Instant::now());
        assert!(!meter.expects_close_frame());
        assert!(!Meter::of_bytes().expects_close_frame());
    }
}
