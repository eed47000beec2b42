//! When the UDP thread waits for the rest of a burst before it publishes: the figures that were
//! tuned, each with what it pays.
//!
//! Posting to thousands of clients takes milliseconds, and Debian's receive buffer holds 1.3 ms of
//! a burst as fast as one sender can make it. Measured with 9,900 clients and 2,000 datagrams in
//! 10 ms: with all of this some datagrams are lost in 2 to 5 bursts of 30, without it in 16 to 22.
//!
//! The thread sleeps while it waits, so that it comes first whenever it wakes. Busy with posting,
//! on few cores, it would be put behind the sender for a tick of the scheduler (4 ms); a loop that
//! does nothing but receive is put there by each datagram.

use std::time::Duration;

/// Clients from whom on a message waits for the rest of its burst: those that are told last hear of
/// a lone one a hundredth later, 0.1 ms of the 10 ms that 1,000 deliveries take.
pub(super) const MANY: usize = 2000;

/// How often the sockets are looked at meanwhile.
pub(super) const GLANCE: Duration = Duration::from_micros(100);

/// Without a datagram for so long, a burst is over.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// How long a message may wait for its burst at most: about a third of what its deliveries take.
pub(super) fn longest_wait(deliveries: usize) -> Duration {
    // At most some tens of thousands.
    Duration::from_micros(2) * deliveries as u32
}
