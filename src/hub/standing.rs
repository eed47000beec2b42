//! How the hub stands, in numbers: what whoever asks from the trusted side is told.

use super::Hub;
use super::relief::MAX_MEMORY;
use crate::mailbox::encoding::Encoding;
use crate::message::id::MessageId;

/// See the module. All but what waits was so at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The newest message's id; before the first message, the one that it follows.
    pub(crate) newest: MessageId,
    /// Clients that are online.
    pub(crate) online: Online,
    /// Clients that have joined since the start.
    pub(crate) joined: u64,
    /// Clients at most.
    pub(crate) most_clients: usize,
    /// What is held for clients that come back.
    pub(crate) held: Held,
    /// Bytes that wait in all mailboxes together.
    pub(crate) waiting: usize,
    /// Bytes that may.
    pub(crate) most_waiting: usize,
}

/// Clients that are online, by how they hear messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Online {
    by_encoding: [usize; Encoding::COUNT],
    /// Of all of them, those that are still being told what they missed.
    pub(crate) replaying: usize,
}

/// The messages that the ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// How many they are.
    pub(crate) messages: usize,
    /// Bytes of their documents.
    pub(crate) bytes: usize,
    /// The oldest one.
    pub(crate) oldest: Option<MessageId>,
}

impl Online {
    /// One more hears messages so.
    pub(super) fn add(&mut self, encoding: Encoding) {
        self.by_encoding[encoding as usize] += 1;
    }

    /// One less does.
    pub(super) fn subtract(&mut self, encoding: Encoding) {
        self.by_encoding[encoding as usize] -= 1;
    }

    /// How many they are in all.
    pub(crate) fn all(&self) -> usize {
        self.by_encoding.iter().sum()
    }

    /// Those without a subprotocol.
    pub(crate) fn plain(&self) -> usize {
        self.by_encoding[Encoding::Plain as usize]
    }

    /// Those with the subprotocol of ids.
    pub(crate) fn v1(&self) -> usize {
        self.by_encoding[Encoding::V1 as usize]
    }

    /// Those with server-sent events, in chunks or not.
    pub(crate) fn events(&self) -> usize {
        self.by_encoding[Encoding::Events as usize]
            + self.by_encoding[Encoding::ChunkedEvents as usize]
    }
}

impl Standing {
    /// Clients that have left since the start.
    pub(crate) fn left(&self) -> u64 {
        self.joined - self.online.all() as u64
    }
}

impl Hub {
    /// How it stands now: some numbers are copied under its lock, whatever their sizes.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing {
            newest: state.ring.newest(),
            online: Online {
                replaying: state.replaying.len(),
                ..state.online
            },
            joined: state.newest_client,
            most_clients: self.settings.max_clients,
            held: state.ring.held(),
            waiting: self.memory.in_use(),
            most_waiting: MAX_MEMORY,
        }
    }
}
