//! When a client is sent a sign of life, and what counts as one of its own.
//!
//! - What is sent must be taken, in every way of listening: a socket that is full and takes nothing
//!   for two heartbeats is the end, whatever the client sends meanwhile. The kernel ends a
//!   connection whose peer acknowledges nothing for as long (`TCP_USER_TIMEOUT`).
//! - A WebSocket client that has ever sent a byte after its handshake is expected to go on, as
//!   whoever answers pings does: a browser that vanished behind a proxy is found out so, where the
//!   proxy acknowledges everything.
//! - Of one that never did, and of a client of events, nothing more is asked for.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::message::id::ClientId;

/// Groups in which clients are pinged, in each interval.
const GROUPS: u32 = 100;

/// One client's clock.
#[derive(Debug)]
pub(super) struct Beat {
    heartbeat: Duration,
    next: Instant,
    /// When it last sent something, or a full socket took something; never, for whoever need not
    /// send.
    heard: Option<Instant>,
    /// Since when the socket has been full, and has taken nothing.
    full: Option<Instant>,
}

/// Why a client is gone, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    Silent,
    Full,
}

impl Beat {
    /// For a client that joined now.
    pub(super) fn new(client: ClientId, heartbeat: Duration) -> Self {
        Beat {
            heartbeat,
            next: first(client, heartbeat),
            heard: None,
            full: None,
        }
    }

    /// How long a client may be without a sign of life.
    pub(super) fn patience(&self) -> Duration {
        2 * self.heartbeat
    }

    /// It sent something, and is expected to go on.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// It was sent to: whether its socket is full, and whether one that had been full took
    /// something.
    pub(super) fn sent(&mut self, is_full: bool, took: bool, now: Instant) {
        if took {
            self.heard = self.heard.map(|_| now);
            self.full = None;
        }
        self.full = match is_full {
            true => self.full.or(Some(now)),
            false => None,
        };
    }

    /// Whether its socket was full when it was last sent to.
    pub(super) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Whether it is time for the next sign of life; if so, the one after it is due an interval
    /// later.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next += self.heartbeat;
        if self.next <= now {
            // The machine slept.
            self.next = now + self.heartbeat;
        }
        true
    }

    /// Until when there is nothing to do; or why the client is gone.
    pub(super) fn deadline(&self, now: Instant) -> Result<Instant, Death> {
        let patience = self.patience();
        let mut deadline = self.next;
        let limits = [(self.full, Death::Full), (self.heard, Death::Silent)];
        for (since, death) in limits {
            let Some(since) = since else { continue };
            if now >= since + patience {
                return Err(death);
            }
            deadline = deadline.min(since + patience);
        }
        Ok(deadline)
    }
}

impl Death {
    /// For the log.
    pub(super) fn why(self, patience: Duration) -> String {
        let seconds = patience.as_secs();
        match self {
            Death::Silent => format!("no sign of life for {seconds} s"),
            Death::Full => format!("took nothing for {seconds} s"),
        }
    }
}

/// When a client that has just joined gets its first ping: at a moment of the interval that is its
/// own, so that clients that came together do not all wake together.
///
/// They wake in a hundred groups, though: a processor that wakes for one client after another
/// spends more on waking than on them.
fn first(client: ClientId, heartbeat: Duration) -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    // Multiples of the golden ratio leave no gap.
    let fraction = client.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let first = heartbeat.mul_f64(fraction as f64 / f64::from(u32::MAX));
    let start = *START.get_or_init(Instant::now);
    let moment = Instant::now() + first;
    let group = (heartbeat / GROUPS).as_nanos();
    // Less than a group, which is less than an hour.
    let past_group = ((moment - start).as_nanos() % group) as u64;
    moment - Duration::from_nanos(past_group) + heartbeat / GROUPS
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(25);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn beat() -> (Beat, Instant) {
        (Beat::new(ClientId(1), HEARTBEAT), Instant::now())
    }

    #[test]
    fn who_never_sent_a_byte_need_not() {
        let (beat, start) = beat();
        assert!(beat.deadline(start + seconds(1000)).is_ok());
    }

    #[test]
    fn who_has_sent_a_byte_is_to_go_on() {
        let (mut beat, start) = beat();
        beat.heard(start);
        assert!(beat.deadline(start + seconds(49)).is_ok());
        assert_eq!(beat.deadline(start + seconds(50)), Err(Death::Silent));
        beat.heard(start + seconds(49));
        assert!(beat.deadline(start + seconds(98)).is_ok());
    }

    #[test]
    fn a_full_socket_must_take_something_whatever_is_heard() {
        let (mut beat, start) = beat();
        beat.sent(true, false, start);
        for second in 0..50 {
            beat.heard(start + seconds(second));
            beat.sent(true, false, start + seconds(second));
            assert!(beat.deadline(start + seconds(second)).is_ok());
        }
        assert_eq!(beat.deadline(start + seconds(50)), Err(Death::Full));
    }

    #[test]
    fn what_a_full_socket_takes_is_a_sign_of_life() {
        let (mut beat, start) = beat();
        beat.heard(start);
        beat.sent(true, false, start);
        beat.sent(true, true, start + seconds(40));
        assert!(beat.deadline(start + seconds(89)).is_ok());
        assert_eq!(beat.deadline(start + seconds(90)), Err(Death::Full));
        beat.sent(false, true, start + seconds(80));
        assert!(beat.deadline(start + seconds(129)).is_ok());
        assert_eq!(beat.deadline(start + seconds(130)), Err(Death::Silent));
    }
}
