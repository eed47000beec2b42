//! What has happened since the start, counted where it happens, for whoever asks the trusted side.
//!
//! Counting is a step on an atomic, once for a round or a datagram, and waits for nobody; asking reads
//! the atomics. So the numbers of one answer may be some nanoseconds apart.

mod recent;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use recent::Recent;
pub(crate) use recent::{Flow, PerSecond};

/// One number that only grows.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    messages: Counter,
    bytes: Counter,
    deliveries: Counter,
    empty: Counter,
    refused_datagrams: Counter,
    refused_documents: Counter,
    dropped_by_kernel: Counter,
    too_slow: Counter,
    /// By the status that each was answered with: as many as this program knows by name. Only the
    /// threads of those who are refused wait here for each other.
    refused_visitors: Mutex<BTreeMap<&'static str, u64>>,
    /// The second since the start in which something was counted last.
    second: AtomicU64,
    recent: Mutex<Recent>,
}

/// What was counted, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Messages that were published.
    pub(crate) messages: u64,
    /// Bytes of their documents.
    pub(crate) bytes: u64,
    /// Posts into mailboxes: each message counts once for each client that hears it live.
    pub(crate) deliveries: u64,
    /// Documents that were dropped because they are what PHP calls empty.
    pub(crate) empty: u64,
    /// Datagrams that were refused.
    pub(crate) refused_datagrams: u64,
    /// The same by TCP: documents, bodies, and whoever may not publish or speaks something else.
    pub(crate) refused_documents: u64,
    /// Datagrams that the kernel is known to have dropped.
    pub(crate) dropped_by_kernel: u64,
    /// Clients that were closed as too slow.
    pub(crate) too_slow: u64,
    /// Visitors that became no clients, by the status that they were answered with.
    pub(crate) refused_visitors: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Nothing has happened; the time since the start begins now.
    pub(crate) fn new() -> Self {
        Tally {
            start: Instant::now(),
            messages: Counter::default(),
            bytes: Counter::default(),
            deliveries: Counter::default(),
            empty: Counter::default(),
            refused_datagrams: Counter::default(),
            refused_documents: Counter::default(),
            dropped_by_kernel: Counter::default(),
            too_slow: Counter::default(),
            refused_visitors: Mutex::default(),
            second: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// Since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// A round was published: so many messages, bytes of them, and clients that hear them in all.
    pub(crate) fn published(&self, messages: usize, bytes: usize, deliveries: usize) {
        self.begin_second();
        self.messages.add(messages as u64);
        self.bytes.add(bytes as u64);
        self.deliveries.add(deliveries as u64);
    }

    /// So many documents were dropped because they are empty.
    pub(crate) fn dropped_empty(&self, documents: u64) {
        self.empty.add(documents);
    }

    /// A datagram was refused.
    pub(crate) fn refused_datagram(&self) {
        self.begin_second();
        self.refused_datagrams.add(1);
    }

    /// A document that came by TCP was refused, or a whole body, or whoever would have sent it.
    pub(crate) fn refused_document(&self) {
        self.begin_second();
        self.refused_documents.add(1);
    }

    /// The kernel dropped so many datagrams.
    pub(crate) fn dropped_by_kernel(&self, datagrams: u64) {
        self.dropped_by_kernel.add(datagrams);
    }

    /// A client is closed as too slow.
    pub(crate) fn closed_as_too_slow(&self) {
        self.too_slow.add(1);
    }

    /// A visitor was refused with this status.
    pub(crate) fn refused_visitor(&self, status: &'static str) {
        *self.visitors().entry(status).or_default() += 1;
    }

    /// All of it.
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            messages: self.messages.get(),
            bytes: self.bytes.get(),
            deliveries: self.deliveries.get(),
            empty: self.empty.get(),
            refused_datagrams: self.refused_datagrams.get(),
            refused_documents: self.refused_documents.get(),
            dropped_by_kernel: self.dropped_by_kernel.get(),
            too_slow: self.too_slow.get(),
            refused_visitors: self.visitors().clone(),
        }
    }

    /// What happened in each of the last so many whole seconds, on average.
    pub(crate) fn per_second<const N: usize>(&self, seconds: [u64; N]) -> [PerSecond; N] {
        let now = self.uptime().as_secs();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.note(now, self.flow());
        seconds.map(|seconds| recent.per_second(now, seconds))
    }

    /// Before something is counted that there are rates of: the first time in a second, notes what
    /// was counted until then. So nobody needs to wake once a second.
    fn begin_second(&self) {
        let now = self.uptime().as_secs();
        if self.second.load(Ordering::Relaxed) == now {
            return;
        }
        // Whoever else is at it notes the same, and nobody who counts is to wait.
        if let Ok(mut recent) = self.recent.try_lock() {
            recent.note(now, self.flow());
            self.second.store(now, Ordering::Relaxed);
        }
    }

    fn flow(&self) -> Flow {
        Flow {
            messages: self.messages.get(),
            deliveries: self.deliveries.get(),
            refused: self.refused_datagrams.get() + self.refused_documents.get(),
        }
    }

    fn visitors(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        let visitors = self.refused_visitors.lock();
        visitors.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_by_many_threads_is_all_there() {
        let tally = Tally::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        tally.published(2, 30, 4);
                        tally.refused_datagram();
                        tally.refused_visitor("503 Service Unavailable");
                    }
                });
            }
        });
        let counted = tally.counted();
        assert_eq!(
            (counted.messages, counted.bytes, counted.deliveries),
            (8000, 120_000, 16_000)
        );
        assert_eq!(counted.refused_datagrams, 4000);
        let visitors: Vec<_> = counted.refused_visitors.into_iter().collect();
        assert_eq!(visitors, [("503 Service Unavailable", 4000)]);
    }
}
