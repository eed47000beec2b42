//! The workers: threads that empty the mailboxes of a large audience, so that the thread that
//! published is back at its socket at once.
//!
//! A posted round is one job for all of them; they take its mailboxes in chunks until none is
//! left. At most [`MAX_OUTSTANDING`] rounds are outstanding; while they are, publishers gather. A
//! publisher that has nothing else to do takes chunks, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Member;
use super::routes::Audience;
use crate::os::Waker;

/// Rounds that may be handed over and not finished.
pub(crate) const MAX_OUTSTANDING: usize = 2;

/// Mailboxes that a thread takes at a time: less than half a millisecond for a publisher that
/// looks at its socket in between.
const CHUNK: usize = 32;

/// Deliveries of a round beyond which its publisher helps: some milliseconds of work. With fewer
/// the last client gains little.
const HELP: usize = 512;

/// Rounds that a worker may sleep through while others deliver them. One that sleeps longer misses
/// the next. When all workers do, because they do not get a processor, the publisher delivers the
/// round by itself.
const BACKLOG: usize = 16;

/// The audiences of a round's messages, one after another; a client may be in several.
#[derive(Debug, Default)]
pub(crate) struct Round {
    audiences: Vec<Audience<Member>>,
    length: usize,
}

/// A round to be delivered.
#[derive(Debug)]
struct Job {
    round: Round,
    /// The first mailbox that nobody has taken.
    next: AtomicUsize,
    /// Mailboxes that have been delivered to.
    done: AtomicUsize,
}

/// The publisher's end: hands jobs over.
#[derive(Debug)]
pub(crate) struct Workers {
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
pub(crate) struct Worker {
    jobs: Receiver<Arc<Job>>,
    outstanding: Arc<Outstanding>,
}

impl Workers {
    /// As many workers, not running yet. `publisher` is woken when there is room for a round again.
    pub(crate) fn new(count: usize, publisher: Arc<Waker>) -> (Self, Vec<Worker>) {
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
    pub(crate) fn have_room(&self) -> bool {
        self.outstanding.rounds.load(Ordering::Acquire) < MAX_OUTSTANDING
    }

    /// Hands a round over, whose parcels are posted. Where it has more than [`HELP`] deliveries, the
    /// caller helps until `is_wanted` says that it has something else to do; not while an earlier
    /// round is unfinished: the longer a publisher gathers then, the less each message costs.
    pub(super) fn deliver(&self, round: Round, is_wanted: &mut dyn FnMut() -> bool) {
        let is_first = self.outstanding.rounds.fetch_add(1, Ordering::AcqRel) == 0;
        let helps = is_first && round.len() > HELP;
        let job = Arc::new(Job {
            round,
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        });
        let mut is_taken = false;
        for worker in &self.jobs {
            // One that is gone ends the process.
            is_taken |= worker.try_send(Arc::clone(&job)).is_ok();
        }
        if !is_taken {
            job.work(&self.outstanding, || true);
        } else if helps {
            job.work(&self.outstanding, || !is_wanted());
        }
    }
}

impl Worker {
    /// The worker's thread: until [`Workers`] is dropped.
    pub(crate) fn run(self) {
        for job in &self.jobs {
            job.work(&self.outstanding, || true);
        }
    }
}

impl Round {
    pub(super) fn add(&mut self, audience: Audience<Member>) {
        if !audience.is_empty() {
            self.length += audience.len();
            self.audiences.push(audience);
        }
    }

    /// Deliveries to make.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Makes `count` of the deliveries, from number `first` on; fewer where they end.
    pub(super) fn deliver(&self, mut first: usize, mut count: usize) {
        for audience in &self.audiences {
            if first >= audience.len() {
                first -= audience.len();
                continue;
            }
            let here = count.min(audience.len() - first);
            audience.range(first, here).for_each(Member::deliver);
            count -= here;
            first = 0;
            if count == 0 {
                return;
            }
        }
    }
}

impl Job {
    /// Delivers chunk after chunk until none is left, as long as `goes_on` says so.
    fn work(&self, outstanding: &Outstanding, mut goes_on: impl FnMut() -> bool) {
        let total = self.round.len();
        while goes_on() {
            let first = self.next.fetch_add(CHUNK, Ordering::Relaxed);
            if first >= total {
                return;
            }
            let count = CHUNK.min(total - first);
            self.round.deliver(first, count);
            if self.done.fetch_add(count, Ordering::AcqRel) + count == total {
                outstanding.finish_one();
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::audience::registration::Registration;
    use crate::audience::rule::Rule;
    use crate::hub::routes::Routes;
    use crate::mailbox::Mailbox;
    use crate::mailbox::encoding::Encoding;
    use crate::mailbox::parcel::Parcel;
    use crate::message::id::ClientId;

    /// A round for so many clients, who share one mailbox over this socket; and that.
    fn round(clients: u64, socket: TcpStream) -> (Round, Arc<Mailbox>) {
        let mailbox = Mailbox::over(socket);
        let mut routes = Routes::new(Rule::Open);
        for client in 0..clients {
            let member = Member {
                mailbox: Arc::clone(&mailbox),
                encoding: Encoding::Plain,
            };
            routes.join(ClientId(client), &Registration::default(), member);
        }
        let mut round = Round::default();
        round.add(routes.audience("1"));
        (round, mailbox)
    }

    #[test]
    fn a_round_that_no_worker_takes_is_delivered_by_its_publisher() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let publisher = Arc::new(Waker::new().unwrap());
        // The worker never gets a processor.
        let (workers, _asleep) = Workers::new(1, publisher);
        for _ in 0..BACKLOG {
            let (round, _) = round(HELP as u64 + 1, socket());
            workers.deliver(round, &mut || false);
        }
        assert!(workers.have_room());
        for _ in 0..=MAX_OUTSTANDING {
            let (round, mailbox) = round(HELP as u64 + 1, socket());
            mailbox.post(Arc::new(Parcel::frames(b"x".to_vec())));
            // It has something else to do, but nobody else would do this.
            workers.deliver(round, &mut || true);
            assert_eq!(mailbox.waiting(), (0, 0));
            assert!(workers.have_room());
        }
    }

    #[test]
    fn beyond_two_unfinished_rounds_there_is_no_room_and_the_publisher_is_woken_when_there_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let publisher = Arc::new(Waker::new().unwrap());
        let (workers, ends) = Workers::new(1, Arc::clone(&publisher));
        for _ in 0..MAX_OUTSTANDING {
            assert!(workers.have_room());
            let (round, _) = round(CHUNK as u64 + 1, socket());
            workers.deliver(round, &mut || true);
        }
        assert!(!workers.have_room());
        assert_eq!(publisher.clear(), 0);
        let [worker] = <[Worker; 1]>::try_from(ends).unwrap();
        let outstanding = Arc::clone(&workers.outstanding);
        // It ends when it has done all that was handed over.
        drop(workers);
        worker.run();
        assert_eq!(outstanding.rounds.load(Ordering::Acquire), 0);
        assert_eq!(publisher.clear(), 1);
    }
}
