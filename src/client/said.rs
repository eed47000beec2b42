//! What a client says to the site's own code: how much of it is told.

use std::time::{Duration, Instant};

use crate::audience::registration::is_heartbeat;
use crate::message;

/// Of one client, in a second.
const MOST: u32 = 10;

/// Counts what one client says.
#[derive(Debug)]
pub(super) struct Said {
    /// The second that `count` is about.
    second: Instant,
    count: u32,
    left_out: u64,
}

impl Said {
    pub(super) fn new(now: Instant) -> Self {
        Said {
            second: now,
            count: 0,
            left_out: 0,
        }
    }

    /// Whether a frame that registers nothing is told: then says how many before it were not.
    pub(super) fn admit(&mut self, text: &str, now: Instant) -> Option<u64> {
        if is_heartbeat(text) || !message::is_json(text) {
            return None;
        }
        if now - self.second >= Duration::from_secs(1) {
            (self.second, self.count) = (now, 0);
        }
        self.count += 1;
        if self.count > MOST {
            self.left_out += 1;
            return None;
        }
        Some(self.take_left_out())
    }

    /// How many were not told since this was last asked.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_in_a_second_is_counted() {
        let start = Instant::now();
        let mut said = Said::new(start);
        for _ in 0..MOST {
            assert_eq!(said.admit("[1]", start), Some(0));
        }
        assert_eq!(said.admit("[1]", start), None);
        assert_eq!(said.admit("[1]", start), None);
        let later = start + Duration::from_secs(1);
        assert_eq!(said.admit("[1]", later), Some(2));
        assert_eq!(said.admit("[1]", later), Some(0));
        assert_eq!(said.take_left_out(), 0);
    }

    #[test]
    fn heartbeats_and_what_is_not_json_are_not_told() {
        let now = Instant::now();
        for (text, told) in [
            (r#"{"type":"ping"}"#, None),
            (r#"{"ping":1}"#, None),
            (r#""ping""#, None),
            ("ping", None),
            ("hello", None),
            (r#"{"a":1"#, None),
            ("", None),
            (r#"{"type":"chat","msg":"x"}"#, Some(0)),
            (r#""hello""#, Some(0)),
            ("0", Some(0)),
            (" [ ] ", Some(0)),
        ] {
            assert_eq!(Said::new(now).admit(text, now), told, "{text}");
        }
    }
}
