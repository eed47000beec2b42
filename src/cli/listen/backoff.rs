//! How long to wait before connecting again: at random, so that not all come back at once, and
//! longer the more attempts have failed; as push.js does.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Attempts since a link has lasted.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
    /// Attempts since a link was open.
    failed: u32,
    opened: Option<Instant>,
}

impl Backoff {
    const SHORTEST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    /// A link that lasts as long makes the wait short again.
    const STABLE: Duration = Duration::from_secs(5);

    /// There is a link.
    pub(super) fn opened(&mut self) {
        self.opened = Some(Instant::now());
        self.failed = 0;
    }

    /// There is none any more, or still none: the time until the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        if let Some(opened) = self.opened.take()
            && opened.elapsed() >= Self::STABLE
        {
            self.attempts = 0;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.failed = self.failed.saturating_add(1);
        // std draws the keys of a RandomState from the system's random numbers.
        let random = RandomState::new().hash_one(self.attempts) as f64 / u64::MAX as f64;
        longest_wait(self.attempts).mul_f64(random)
    }

    /// Whether the wait is the first since there was a link.
    pub(super) fn is_first(&self) -> bool {
        self.failed == 1
    }

    /// Whether there was a wait since there was a link.
    pub(super) fn has_waited(&self) -> bool {
        self.failed > 0
    }
}

fn longest_wait(attempts: u32) -> Duration {
    // Beyond this the longest is reached long since.
    let doubled = 1 << attempts.saturating_sub(1).min(16);
    Backoff::LONGEST.min(Backoff::SHORTEST * doubled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let waits: Vec<_> = (1..=8).map(|n| longest_wait(n).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(longest_wait(u32::MAX), Backoff::LONGEST);
    }

    #[test]
    fn a_link_that_is_lost_at_once_does_not_make_the_wait_short_again() {
        let mut backoff = Backoff::default();
        assert!(!backoff.has_waited());
        for attempt in 1..=5 {
            assert!(backoff.next() <= longest_wait(attempt));
            assert_eq!(backoff.is_first(), attempt == 1);
        }
        backoff.opened();
        assert!(!backoff.has_waited());
        backoff.next();
        assert!(backoff.is_first());
        assert_eq!(backoff.attempts, 6);
    }
}
