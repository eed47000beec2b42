//! What a mailbox knows of its client beside what waits, for whoever asks who is online.
//!
//! Whoever delivers counts, and the client's own thread notes when it spoke; everybody may look,
//! without a lock. Nothing here is worth more to a push than a store to memory that it has at hand.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::message::id::ClientId;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Card {
    joined: OnceLock<(Instant, OffsetDateTime)>,
    client: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    /// Milliseconds from joining until it last spoke, and one more; 0 for one that never did.
    spoke: AtomicU64,
}

impl Card {
    /// It becomes a client now; which one, [`number`](Self::number) says.
    pub(crate) fn join(&self) {
        self.joined
            .get_or_init(|| (Instant::now(), OffsetDateTime::now_utc()));
    }

    /// It becomes the client of this number.
    pub(crate) fn number(&self, client: ClientId) {
        self.client.store(client.0, Ordering::Relaxed);
    }

    /// Which client it is; 0 for one that is none.
    pub(crate) fn client(&self) -> ClientId {
        ClientId(self.client.load(Ordering::Relaxed))
    }

    /// When it became a client; `None` for one that has not.
    pub(crate) fn joined(&self) -> Option<(Instant, OffsetDateTime)> {
        self.joined.get().copied()
    }

    /// Counts what the socket has taken. Only one at a time may: whoever holds the outlet's lock.
    pub(super) fn count(&self, messages: usize, bytes: usize) {
        for (count, more) in [(&self.messages, messages), (&self.bytes, bytes)] {
            count.store(
                count.load(Ordering::Relaxed) + more as u64,
                Ordering::Relaxed,
            );
        }
    }

    /// (messages that were pushed, bytes of whatever kind) that the socket has taken.
    pub(crate) fn sent(&self) -> (u64, u64) {
        let [messages, bytes] = [&self.messages, &self.bytes];
        (
            messages.load(Ordering::Relaxed),
            bytes.load(Ordering::Relaxed),
        )
    }

    /// It gives a sign of life.
    pub(crate) fn speaks(&self, now: Instant) {
        if let Some((joined, _)) = self.joined.get() {
            let passed = now.saturating_duration_since(*joined).as_millis() as u64;
            self.spoke.store(passed + 1, Ordering::Relaxed);
        }
    }

    /// How long ago it last gave a sign of life; `None` for one that never did.
    pub(crate) fn spoke(&self, now: Instant) -> Option<Duration> {
        let (joined, _) = self.joined.get()?;
        let passed = self.spoke.load(Ordering::Relaxed).checked_sub(1)?;
        let passed = Duration::from_millis(passed);
        Some(now.saturating_duration_since(*joined + passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_spoke_is_not_said_to_have_spoken() {
        let card = Card::default();
        card.speaks(Instant::now());
        card.join();
        let (joined, _) = card.joined().unwrap();
        assert_eq!(card.spoke(joined + Duration::from_secs(3)), None);
        card.speaks(joined);
        card.speaks(joined + Duration::from_secs(2));
        card.join();
        let ago = card.spoke(joined + Duration::from_secs(3));
        assert_eq!(ago, Some(Duration::from_secs(1)));
    }
}
