//! The workers: threads that empty the mailboxes of a large audience, so that the thread that
//! published is back at its socket at once.
//!
//! A posted round is one job for all of them; they take its mailboxes in chunks until none is
//! left. At most [`MAX_OUTSTANDING`] rounds are outstanding; while they are, publishers gather.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Audience;
use crate::os::Waker;

/// Rounds that may be handed over and not finished.
pub const MAX_OUTSTANDING: usize = 2;

/// Mailboxes that a worker takes at a time.
const CHUNK: usize = 64;

/// Rounds that a worker may sleep through while others deliver them. One that sleeps longer misses
/// the next: whoever has come furthest has at most [`MAX_OUTSTANDING`] in its channel, so that
/// somebody always takes them.
const BACKLOG: usize = 16;

/// A round's audience, to be delivered to.
#[derive(Debug)]
struct Job {
    audience: Audience,
    /// The first mailbox that nobody has taken.
    next: AtomicUsize,
    /// Mailboxes that have been delivered to.
    done: AtomicUsize,
}

/// The publisher's end: hands jobs over.
#[derive(Debug)]
pub struct Workers {
    jobs: Vec<Sender<Arc<Job>>>,
    outstanding: Arc<Outstanding>,
}

/// Rounds handed over and not finished, and who wants to know when there is room again.
#[derive(Debug)]
struct Outstanding {
    rounds: AtomicUsize,
    publisher: Arc<Waker>,
}

/// A worker's end: [`run`](Worker::run) is its thread.
#[derive(Debug)]
pub struct Worker {
    jobs: Receiver<Arc<Job>>,
    outstanding: Arc<Outstanding>,
}

impl Workers {
    /// As many workers, not running yet. `publisher` is woken when there is room for a round again.
    pub fn new(count: usize, publisher: Arc<Waker>) -> (Self, Vec<Worker>) {
        let outstanding = Arc::new(Outstanding {
            rounds: AtomicUsize::new(0),
            publisher,
        });
        let (jobs, workers) = (0..count)
            .map(|_| {
                let (sender, receiver) = bounded(BACKLOG);
                let worker = Worker {
                    jobs: receiver,
                    outstanding: Arc::clone(&outstanding),
                };
                (sender, worker)
            })
            .unzip();
        (Workers { jobs, outstanding }, workers)
    }

    /// Whether another round may be handed over.
    pub fn have_room(&self) -> bool {
        self.outstanding.rounds.load(Ordering::Acquire) < MAX_OUTSTANDING
    }

    /// Hands a round over, whose parcels are posted.
    pub fn deliver(&self, audience: Audience) {
        self.outstanding.rounds.fetch_add(1, Ordering::AcqRel);
        let job = Arc::new(Job {
            audience,
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        });
        for worker in &self.jobs {
            // One that is gone ends the process.
            let _ = worker.try_send(Arc::clone(&job));
        }
    }
}

impl Worker {
    /// The worker's thread: until [`Workers`] is dropped.
    pub fn run(self) {
        for job in &self.jobs {
            if job.work() {
                self.outstanding.finish_one();
            }
        }
    }
}

impl Job {
    /// Delivers chunk after chunk, until none is left; true for whoever finished the last.
    fn work(&self) -> bool {
        let total = self.audience.len();
        loop {
            let first = self.next.fetch_add(CHUNK, Ordering::Relaxed);
            if first >= total {
                return false;
            }
            let count = CHUNK.min(total - first);
            self.audience.deliver(first, count);
            if self.done.fetch_add(count, Ordering::AcqRel) + count == total {
                return true;
            }
        }
    }
}

impl Outstanding {
    fn finish_one(&self) {
        // A publisher that may go on at two outstanding rounds waits for nothing.
        if self.rounds.fetch_sub(1, Ordering::AcqRel) == MAX_OUTSTANDING {
            self.publisher.wake();
        }
    }
}
