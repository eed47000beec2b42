//! Bytes: WebSocket frames as a client sees them (RFC 6455 §5.2), and the document that is measured
//! with. Pure, no I/O.
//!
//! The document always has the same length, and its number always the same place in it, so that
//! finding the number in a frame is one comparison and one load, whatever a server puts around the
//! document.

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    /// RFC 6455 §5.2: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub(crate) opcode: u8,
    /// Whether the message ends with this frame.
    pub(crate) fin: bool,
    /// Bytes of the header itself.
    pub(crate) size: usize,
    /// Bytes of the payload.
    pub(crate) length: usize,
}

impl Header {
    /// A longer payload counts as this long: sums with it don't overflow, and nobody lives to see its
    /// end.
    const LONGEST: usize = usize::MAX / 4;

    /// `None`: there are not enough bytes yet.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        let (&first, rest) = bytes.split_first()?;
        let (&second, rest) = rest.split_first()?;
        let (size, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => {
                let length = u64::from_be_bytes(*rest.first_chunk()?);
                (
                    10,
                    usize::try_from(length)
                        .unwrap_or(usize::MAX)
                        .min(Self::LONGEST),
                )
            }
            // A server must not mask (§5.1); one that does makes no sense here, and soon no frame.
            length => (2, usize::from(length)),
        };
        Some(Header {
            opcode: first & 0x0f,
            fin: first & 0x80 != 0,
            size,
            length,
        })
    }
}

/// A frame from a client. The mask is four zero bytes: allowed, and nothing needs to be masked
/// then.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// An unmasked frame's header, as servers send it.
pub(crate) fn server_header(length: usize, into: &mut Vec<u8>) {
    into.push(0x81);
    match u16::try_from(length) {
        Ok(short) if short < 126 => into.push(short as u8),
        Ok(long) => {
            into.push(126);
            into.extend(long.to_be_bytes());
        }
        Err(_) => {
            into.push(127);
            into.extend((length as u64).to_be_bytes());
        }
    }
}

/// `{"bench":"<tag><number>xxxx…"}`, with `,"<key>":"<client>"` when it is addressed.
#[derive(Debug)]
pub(crate) struct Document {
    /// Tells this run's messages from all others.
    tag: [u8; 8],
    size: usize,
    register: Option<String>,
}

impl Document {
    const OPENING: &str = r#"{"bench":""#;
    const CLOSING: &str = r#""}"#;
    /// Digits of a number.
    const DIGITS: usize = 8;

    /// The smallest document with this field.
    pub(crate) fn smallest(register: Option<&str>) -> usize {
        let plain = Self::OPENING.len() + 8 + Self::DIGITS + Self::CLOSING.len();
        // ,"key":"99999"
        plain + register.map_or(0, |key| key.len() + 11)
    }

    /// `size` is at least `smallest`.
    pub(crate) fn new(tag: u32, size: usize, register: Option<String>) -> Self {
        let mut text = [0; 8];
        text.copy_from_slice(format!("{tag:08x}").as_bytes());
        Document {
            tag: text,
            size,
            register,
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Replaces what is in `into` by the document with this number, addressed to `client` where
    /// there is one.
    pub(crate) fn write(&self, sequence: u32, client: Option<u32>, into: &mut Vec<u8>) {
        let closing = match (&self.register, client) {
            (Some(key), Some(client)) => format!(r#"","{key}":"{client}"}}"#),
            _ => Self::CLOSING.to_owned(),
        };
        into.clear();
        into.extend(Self::OPENING.as_bytes());
        into.extend(self.tag);
        into.extend(format!("{sequence:08}").as_bytes());
        into.resize(self.size - closing.len(), b'x');
        into.extend(closing.as_bytes());
    }

    /// The number of the document that `item` is; `None` if it is something else.
    #[inline]
    pub(crate) fn sequence(&self, item: &[u8]) -> Option<u32> {
        let place = item.get(Self::OPENING.len()..)?;
        let (tag, rest) = place.split_first_chunk::<8>()?;
        if *tag != self.tag || item.len() != self.size {
            return None;
        }
        Some(decimal(*rest.first_chunk()?))
    }
}

/// Eight digits at once: neighbours are joined to pairs, pairs to fours, fours to eight.
#[inline]
fn decimal(digits: [u8; Document::DIGITS]) -> u32 {
    let ones = u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = fours * 10_000 + (fours >> 32);
    eight as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_read_at_once() {
        for number in [0, 1, 9, 10, 255, 12_345_678, 87_654_321, 99_999_999_u32] {
            let mut digits = [0; 8];
            digits.copy_from_slice(format!("{number:08}").as_bytes());
            assert_eq!(decimal(digits), number);
        }
    }

    #[test]
    fn a_document_is_json_of_its_size_and_gives_its_number_back() {
        for (register, client) in [(None, None), (Some("user"), None), (Some("user"), Some(12))] {
            let smallest = Document::smallest(register);
            for size in [smallest, smallest + 1, 128.max(smallest)] {
                let document = Document::new(0xabc, size, register.map(str::to_owned));
                let mut bytes = Vec::new();
                document.write(4_711, client, &mut bytes);
                assert_eq!(bytes.len(), size);
                assert_eq!(document.sequence(&bytes), Some(4_711));
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(value["user"].as_str(), client.map(|_| "12"));
            }
        }
    }

    #[test]
    fn what_others_publish_has_no_number() {
        let document = Document::new(1, 64, None);
        let mut bytes = Vec::new();
        Document::new(2, 64, None).write(1, None, &mut bytes);
        assert_eq!(document.sequence(&bytes), None);
        assert_eq!(document.sequence(b"{}"), None);
    }

    #[test]
    fn a_header_is_read_at_each_of_its_three_sizes() {
        for (length, size) in [(5, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut bytes = Vec::new();
            server_header(length, &mut bytes);
            let expected = Header {
                opcode: 1,
                fin: true,
                size,
                length,
            };
            assert_eq!(Header::parse(&bytes), Some(expected));
            assert_eq!(Header::parse(&bytes[..size - 1]), None);
        }
    }
}
