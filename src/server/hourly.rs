//! A line an hour in the log: who was online at ten, and how much there was to hear.

use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::tally::Counted;
use crate::words::{grouped, plural};

/// The hours' ends, as the clock on the wall has them, and what was counted by the last one.
#[derive(Debug)]
pub(crate) struct Hourly {
    clock: Clock,
    told: Counted,
}

impl Hourly {
    /// From these numbers on.
    pub(super) fn new(told: Counted) -> Self {
        Hourly {
            clock: Clock::new(),
            told,
        }
    }

    /// Until the next line is due.
    pub(crate) fn wait(&mut self) -> Duration {
        self.clock.until_next_hour(Moment::now())
    }

    /// The line.
    pub(super) fn tell(&mut self, online: usize, counted: Counted) {
        let last = std::mem::replace(&mut self.told, counted);
        log::info!(
            "on the hour: {} client{} online; since the last: {}",
            grouped(online as u64),
            plural(online as u64),
            news(&last, &self.told)
        );
    }
}

fn news(last: &Counted, now: &Counted) -> String {
    let visitors = |counted: &Counted| counted.refused_visitors.values().sum::<u64>();
    let messages = now.messages - last.messages;
    let deliveries = now.deliveries - last.deliveries;
    let mut news = format!(
        "{} message{}, {} deliver{}",
        grouped(messages),
        plural(messages),
        grouped(deliveries),
        match deliveries {
            1 => "y",
            _ => "ies",
        }
    );
    let refused = |counted: &Counted| counted.refused_datagrams + counted.refused_documents;
    for (count, what) in [
        (refused(now) - refused(last), "refused as publications"),
        (
            now.dropped_by_kernel - last.dropped_by_kernel,
            "dropped by the kernel",
        ),
        (visitors(now) - visitors(last), "refused as visitors"),
        (now.too_slow - last.too_slow, "closed as too slow"),
    ] {
        if count > 0 {
            news += &format!(", {} {what}", grouped(count));
        }
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn the_line_tells_what_was_new_and_names_trouble_only_where_there_was_some() {
        let tally = Tally::new();
        tally.published(1, 30, 1);
        let first = tally.counted();
        assert_eq!(
            news(&Tally::new().counted(), &first),
            "1 message, 1 delivery"
        );
        tally.published(2000, 30, 4_000_000);
        tally.refused_datagram();
        tally.refused_document();
        tally.dropped_by_kernel(1200);
        tally.refused_visitor("503 Service Unavailable");
        tally.closed_as_too_slow();
        assert_eq!(
            news(&first, &tally.counted()),
            "2,000 messages, 4,000,000 deliveries, \
             2 refused as publications, 1,200 dropped by the kernel, 1 refused as visitors, 1 closed as too slow"
        );
    }
}
