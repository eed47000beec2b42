//! Messages whose home is this process: the next number of this epoch, and nothing in between.
//!
//! A restart is a new epoch: everybody who comes back is told so.

use crate::message::id::{Epoch, MessageId};

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    newest: MessageId,
}

/// A new epoch, without a message.
impl Default for Memory {
    fn default() -> Self {
        Memory {
            newest: MessageId {
                epoch: Epoch::random(),
                sequence: 0,
            },
        }
    }
}

impl Memory {
    /// The newest message's id; before the first message, the one that it follows.
    pub(crate) fn newest(&self) -> MessageId {
        self.newest
    }

    /// Gives so many messages their ids, and says the first one's; each that follows has the next.
    pub(crate) fn sequence(&mut self, messages: usize) -> MessageId {
        let first = self.newest.next();
        self.newest.sequence += messages as u64;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_begin_at_1_and_have_no_holes() {
        let mut memory = Memory::default();
        assert_eq!(memory.newest().sequence, 0);
        assert_eq!(memory.sequence(3).sequence, 1);
        assert_eq!(memory.sequence(1).sequence, 4);
        assert_eq!(memory.newest().sequence, 4);
        assert_ne!(memory.newest().epoch, Memory::default().newest().epoch);
    }
}
