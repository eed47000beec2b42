//! What had been counted when each of the last seconds began: rates are differences of these.
//!
//! Pure; seconds count from the start.

use std::collections::VecDeque;

use serde::Serialize;

/// The longest that rates look back, in seconds.
const MEMORY: u64 = 60;

/// What there are rates of, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(super) messages: u64,
    pub(super) deliveries: u64,
    pub(super) refused: u64,
}

/// The same per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PerSecond {
    messages: f64,
    deliveries: f64,
    refused: f64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Recent {
    /// By second. A second in which nothing was counted may be missing: the next one that is there
    /// began with the same.
    noted: VecDeque<(u64, Flow)>,
}

/// Nothing was counted when the first second began.
impl Default for Recent {
    fn default() -> Self {
        Recent {
            noted: [(0, Flow::default())].into(),
        }
    }
}

impl Recent {
    /// Notes what had been counted when this second began, unless that is known.
    pub(super) fn note(&mut self, second: u64, counted: Flow) {
        if self.noted.back().is_some_and(|(last, _)| *last >= second) {
            return;
        }
        let oldest = second.saturating_sub(MEMORY);
        while self.noted.front().is_some_and(|(first, _)| *first < oldest) {
            self.noted.pop_front();
        }
        self.noted.push_back((second, counted));
    }

    /// What happened in each of so many seconds before `now`, which is noted, on average.
    pub(super) fn per_second(&self, now: u64, seconds: u64) -> PerSecond {
        let (before, until) = (self.at(now.saturating_sub(seconds)), self.at(now));
        let rate = |before: u64, until: u64| until.saturating_sub(before) as f64 / seconds as f64;
        PerSecond {
            messages: rate(before.messages, until.messages),
            deliveries: rate(before.deliveries, until.deliveries),
            refused: rate(before.refused, until.refused),
        }
    }

    fn at(&self, second: u64) -> Flow {
        let mut noted = self.noted.iter();
        let found = noted.find(|(noted, _)| *noted >= second);
        found.or(self.noted.back()).map_or(Flow::default(), |n| n.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(messages: u64) -> Flow {
        Flow {
            messages,
            ..Flow::default()
        }
    }

    /// Messages in the last second, and a second in the last minute.
    fn rates(recent: &mut Recent, now: u64, counted: u64) -> (f64, f64) {
        recent.note(now, messages(counted));
        let rate = |seconds| recent.per_second(now, seconds).messages;
        (rate(1), rate(60))
    }

    #[test]
    fn rates_are_of_whole_seconds_whenever_they_are_asked_for() {
        let mut recent = Recent::default();
        // 12 messages in second 0, which nobody noted; the second is not over yet.
        assert_eq!(rates(&mut recent, 0, 12), (0.0, 0.0));
        assert_eq!(rates(&mut recent, 1, 12), (12.0, 0.2));
        // 6 more in second 1, and then none: whoever counts next notes it, in second 5.
        recent.note(5, messages(18));
        assert_eq!(rates(&mut recent, 5, 20), (0.0, 0.3));
        assert_eq!(rates(&mut recent, 6, 30), (12.0, 0.5));
        // Second 0 is more than a minute ago, then second 1, then all.
        assert_eq!(rates(&mut recent, 60, 30), (0.0, 0.5));
        assert_eq!(rates(&mut recent, 61, 30), (0.0, 0.3));
        assert_eq!(rates(&mut recent, 62, 30), (0.0, 0.2));
        assert_eq!(rates(&mut recent, 1000, 30), (0.0, 0.0));
    }

    #[test]
    fn no_more_is_kept_than_a_minute_needs() {
        let mut recent = Recent::default();
        for second in 0..1000 {
            recent.note(second, messages(second));
        }
        assert_eq!(recent.noted.len(), MEMORY as usize + 1);
        assert_eq!(rates(&mut recent, 999, 0), (1.0, 1.0));
    }
}
