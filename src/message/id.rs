//! Names of clients and messages.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

/// A client of this process: 1, 2, 3 … in the order in which their handshakes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a history: new and random whenever the history is new, so that an id from another one is
/// never taken for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Epoch {
    /// Digits, in base 36.
    const DIGITS: u32 = 8;

    /// One that was not there before.
    pub(crate) fn random() -> Self {
        // std draws the keys of a RandomState from the system's random numbers.
        let random = RandomState::new().hash_one(std::process::id());
        Epoch(random % 36u64.pow(Self::DIGITS))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..Self::DIGITS).rev() {
            let digit = (self.0 / 36u64.pow(place) % 36) as u32;
            // Always below 36.
            f.write_str(
                char::from_digit(digit, 36)
                    .unwrap_or('0')
                    .encode_utf8(&mut [0; 4]),
            )?;
        }
        Ok(())
    }
}

/// A message's place in the one order of all messages: `<epoch>-<sequence>`; clients take it as it
/// is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId {
    /// The history's name.
    pub(crate) epoch: Epoch,
    /// 1 for its first message, one more for each that follows.
    pub(crate) sequence: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

impl MessageId {
    /// The one after it.
    pub(crate) fn next(self) -> Self {
        MessageId {
            sequence: self.sequence + 1,
            ..self
        }
    }
}

/// Why a text is no [`MessageId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    /// Reads exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (epoch, sequence) = text.split_once('-').ok_or(NotAnId)?;
        let id = MessageId {
            epoch: Epoch(u64::from_str_radix(epoch, 36).map_err(|_| NotAnId)?),
            sequence: sequence.parse().map_err(|_| NotAnId)?,
        };
        // Neither signs nor other spellings of the same numbers.
        (id.to_string() == text).then_some(id).ok_or(NotAnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_epoch_and_a_sequence() {
        let id = |epoch| MessageId {
            epoch: Epoch(epoch),
            sequence: 42,
        };
        assert_eq!(id(0).to_string(), "00000000-42");
        assert_eq!(id(36u64.pow(8) - 1).to_string(), "zzzzzzzz-42");
        assert_ne!(Epoch::random(), Epoch::random());
        assert_eq!("00000000-42".parse(), Ok(id(0)));
        let not_ids = [
            "",
            "0",
            "-",
            "00000000-",
            "-42",
            "0-42",
            "00000000-042",
            "00000000-+42",
            "00000000--42",
            "ZZZZZZZZ-42",
            "100000000-42",
            "00000000-42 ",
            "é0000000-42",
            "00000000-18446744073709551616",
            "zzzzzzzzzzzzzzzzzzzz-1",
        ];
        for text in not_ids {
            assert_eq!(text.parse::<MessageId>(), Err(NotAnId), "{text}");
        }
    }
}
