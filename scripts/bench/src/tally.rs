//! What was sent and what arrived: times, and whatever is lost, doubled or out of order. Pure, no
//! I/O.
//!
//! `arrived` runs once for each delivery, millions of times a second: it touches one line of the
//! ring, one of the histogram and the client's own, and allocates nothing as long as messages come
//! in order.

use std::time::Duration;

use crate::histogram::Histogram;

/// What one client has had, by the sequence numbers of the messages.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The number expected next.
    next: u32,
    /// Ranges that were skipped, oldest first: lost, unless they still come.
    skipped: Vec<(u32, u32)>,
}

/// How a message's number compares with what the client has had.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Right,
    Late,
    Doubled,
}

impl Received {
    /// At most this many gaps are remembered for each client; what closes an older one counts as
    /// doubled.
    const SKIPPED: usize = 1024;

    /// Expects `next` from here on.
    pub(crate) fn expect(&mut self, next: u32) {
        self.next = next;
        self.skipped.clear();
    }

    /// `step` is how far apart the numbers of two messages to the same client are.
    #[inline]
    fn order(&mut self, sequence: u32, step: u32) -> Order {
        if sequence == self.next {
            self.next = sequence + step;
            return Order::Right;
        }
        self.order_of_unexpected(sequence, step)
    }

    #[cold]
    fn order_of_unexpected(&mut self, sequence: u32, step: u32) -> Order {
        if sequence > self.next {
            if self.skipped.len() == Self::SKIPPED {
                self.skipped.remove(0);
            }
            self.skipped.push((self.next, sequence));
            self.next = sequence + step;
            return Order::Right;
        }
        let holds = |&(from, to): &(u32, u32)| (from..to).contains(&sequence);
        let Some(index) = self.skipped.iter().rposition(holds) else {
            return Order::Doubled;
        };
        let (from, to) = self.skipped.remove(index);
        if sequence + step < to {
            self.skipped.insert(index, (sequence + step, to));
        }
        if from < sequence {
            self.skipped.insert(index, (from, sequence));
        }
        Order::Late
    }
}

/// A message on its way. `remaining` is 0 when all who should have it do.
#[derive(Clone, Copy, Debug, Default)]
struct Flight {
    sequence: u32,
    remaining: u32,
    sent_at: u64,
    /// When it last got somewhere.
    moved_at: u64,
}

/// Sums over the part of the run that is measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) messages: u64,
    /// Deliveries that should happen.
    pub(crate) expected: u64,
    pub(crate) deliveries: u64,
    pub(crate) out_of_order: u64,
    pub(crate) doubled: u64,
    /// Messages that arrived at a client that they were not addressed to.
    pub(crate) misrouted: u64,
}

/// All messages of a run. Times are nanoseconds since the run's beginning.
#[derive(Debug)]
pub(crate) struct Tally {
    ring: Vec<Flight>,
    /// The number of the next message.
    next: u32,
    /// Everything below has arrived everywhere or was given up.
    oldest: u32,
    /// The first number that counts.
    first: u32,
    in_flight: u32,
    /// How far apart the numbers of two messages to the same client are.
    step: u32,
    pub(crate) counts: Counts,
    pub(crate) to_delivery: Histogram,
    pub(crate) to_last: Histogram,
    /// When something was last delivered.
    pub(crate) moved_at: u64,
    /// When the newest of those that have arrived everywhere was sent.
    finished: u64,
}

impl Tally {
    /// How many messages are remembered until they have arrived everywhere.
    const RING: usize = 1 << 17;
    /// Numbers have eight digits.
    const NUMBERS: u32 = 100_000_000;
    /// Nothing at all was delivered for so long: what is in flight is lost.
    const PATIENCE: Duration = Duration::from_secs(2);
    /// Messages that were sent so much later have arrived everywhere, and this one has not moved
    /// for as long: it is lost.
    const OVERTAKEN: Duration = Duration::from_millis(200);

    pub(crate) fn new() -> Self {
        Tally {
            ring: vec![Flight::default(); Self::RING],
            // 0 is what an unused place of the ring says.
            next: 1,
            oldest: 1,
            first: 1,
            in_flight: 0,
            step: 1,
            counts: Counts::default(),
            to_delivery: Histogram::new(),
            to_last: Histogram::new(),
            moved_at: 0,
            finished: 0,
        }
    }

    /// Forgets what has been measured. Messages from before count no more. `step` is 1 when each
    /// message is for every client; else the number of clients, each message being for one of them.
    pub(crate) fn begin(&mut self, step: u32, now: u64) {
        self.step = step;
        self.first = self.next;
        self.oldest = self.next;
        self.in_flight = 0;
        self.counts = Counts::default();
        self.to_delivery = Histogram::new();
        self.to_last = Histogram::new();
        self.moved_at = now;
    }

    /// The number of the next message; `None` when there are no more numbers.
    pub(crate) fn next(&self) -> Option<u32> {
        (self.next < Self::NUMBERS).then_some(self.next)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The number that `client` should see first from here on.
    pub(crate) fn first_for(&self, client: u32) -> u32 {
        let after = self.next % self.step;
        self.next + (client % self.step + self.step - after) % self.step
    }

    /// The next message goes out, to `audience` clients.
    pub(crate) fn sent(&mut self, audience: u32, now: u64) {
        if self.next - self.oldest >= Self::RING as u32 {
            self.give_up_oldest();
        }
        if self.in_flight == 0 {
            self.moved_at = now;
        }
        self.ring[self.next as usize % Self::RING] = Flight {
            sequence: self.next,
            remaining: audience,
            sent_at: now,
            moved_at: now,
        };
        self.next += 1;
        self.in_flight += u32::from(audience > 0);
        self.counts.messages += 1;
        self.counts.expected += u64::from(audience);
    }

    /// Message `sequence` has arrived at `client`.
    #[inline]
    pub(crate) fn arrived(
        &mut self,
        received: &mut Received,
        client: u32,
        sequence: u32,
        now: u64,
    ) {
        if sequence < self.first {
            return;
        }
        if self.step > 1 && sequence % self.step != client {
            self.counts.misrouted += 1;
            return;
        }
        match received.order(sequence, self.step) {
            Order::Right => {}
            Order::Late => self.counts.out_of_order += 1,
            Order::Doubled => {
                self.counts.doubled += 1;
                return;
            }
        }
        self.counts.deliveries += 1;
        self.moved_at = now;
        let flight = &mut self.ring[sequence as usize % Self::RING];
        if flight.sequence != sequence || flight.remaining == 0 {
            return;
        }
        let time = now.saturating_sub(flight.sent_at);
        flight.moved_at = now;
        flight.remaining -= 1;
        self.to_delivery.record(time);
        if flight.remaining == 0 {
            self.to_last.record(time);
            self.finished = self.finished.max(flight.sent_at);
            self.in_flight -= u32::from(sequence >= self.oldest);
        }
    }

    /// Stops waiting for messages that no longer move. They may still come, and then are not lost.
    pub(crate) fn give_up_stuck(&mut self, now: u64) {
        let waited = |since: u64| Duration::from_nanos(now.saturating_sub(since));
        let all_stuck = waited(self.moved_at) > Self::PATIENCE;
        while self.oldest < self.next {
            let flight = self.ring[self.oldest as usize % Self::RING];
            let overtaken = flight.sent_at + Self::OVERTAKEN.as_nanos() as u64 <= self.finished;
            let stuck = all_stuck || (overtaken && waited(flight.moved_at) > Self::OVERTAKEN);
            if flight.remaining > 0 && !stuck {
                break;
            }
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        let flight = self.ring[self.oldest as usize % Self::RING];
        self.in_flight -= u32::from(flight.remaining > 0);
        self.oldest += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_delivered_to_the_last_when_all_have_it() {
        let mut tally = Tally::new();
        let mut clients = [Received::default(), Received::default()];
        clients.iter_mut().for_each(|client| client.expect(1));
        tally.sent(2, 100);
        tally.arrived(&mut clients[0], 0, 1, 200);
        assert_eq!((tally.in_flight(), tally.to_last.max()), (1, None));
        tally.arrived(&mut clients[1], 1, 1, 350);
        assert_eq!(tally.in_flight(), 0);
        assert_eq!(tally.to_last.max(), Some(Duration::from_nanos(250)));
        assert_eq!(tally.counts.deliveries, 2);
    }

    #[test]
    fn late_and_doubled_messages_are_told_from_lost_ones() {
        let mut tally = Tally::new();
        let mut client = Received::default();
        client.expect(1);
        for _ in 0..6 {
            tally.sent(1, 0);
        }
        for sequence in [1, 5, 3, 3, 1, 6] {
            tally.arrived(&mut client, 0, sequence, 1);
        }
        assert_eq!(tally.counts.deliveries, 4);
        assert_eq!(tally.counts.out_of_order, 1);
        assert_eq!(tally.counts.doubled, 2);
        assert_eq!(client.skipped, [(2, 3), (4, 5)]);
    }

    #[test]
    fn a_message_to_one_of_three_is_expected_by_that_one_alone() {
        let mut tally = Tally::new();
        tally.begin(3, 0);
        let mut clients: [Received; 3] = Default::default();
        for (index, client) in (0..).zip(clients.iter_mut()) {
            client.expect(tally.first_for(index));
        }
        assert_eq!(clients.each_ref().map(|client| client.next), [3, 1, 2]);
        tally.sent(1, 0);
        tally.arrived(&mut clients[0], 0, 1, 1);
        assert_eq!((tally.counts.misrouted, tally.in_flight()), (1, 1));
        tally.arrived(&mut clients[1], 1, 1, 1);
        assert_eq!((tally.counts.deliveries, tally.in_flight()), (1, 0));
    }

    #[test]
    fn one_that_later_ones_have_overtaken_is_given_up() {
        let mut tally = Tally::new();
        let mut client = Received::default();
        client.expect(1);
        let millisecond = 1_000_000;
        tally.sent(1, 0);
        for (sequence, at) in [(2, 100), (3, 250)] {
            tally.sent(1, at * millisecond);
            tally.arrived(&mut client, 0, sequence, (at + 1) * millisecond);
            tally.give_up_stuck((at + 2) * millisecond);
            assert_eq!(tally.in_flight(), u32::from(sequence == 2));
        }
        assert_eq!(tally.counts.expected - tally.counts.deliveries, 1);
    }

    #[test]
    fn what_does_not_move_is_given_up_and_may_still_come() {
        let mut tally = Tally::new();
        let mut client = Received::default();
        client.expect(1);
        tally.sent(1, 0);
        tally.give_up_stuck(1_900_000_000);
        assert_eq!(tally.in_flight(), 1);
        tally.give_up_stuck(2_100_000_000);
        assert_eq!(tally.in_flight(), 0);
        tally.arrived(&mut client, 0, 1, 2_200_000_000);
        assert_eq!((tally.counts.deliveries, tally.in_flight()), (1, 0));
    }
}
