//! Threads for clients. A thread whose client is gone waits for the next one: a thread's end costs
//! more than its start, as its stack is given back on all processors at once.
//!
//! An idle thread waits in poll(2) on a waker of its own, which its next client inherits. It ends
//! after a minute, and at once when there are more threads than clients may have.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use crate::os::{self, Waker, machine};

/// A thread's stack, of which a session touches a fraction.
const STACK: usize = 256 << 10;

/// Threads that wait for a client at most: as many as come back at once when a server or a switch was
/// down. Each takes about 26 KiB, as it did with its client.
const MAX_IDLE: usize = 4096;

/// How long one waits.
const KEPT: Duration = Duration::from_secs(60);

/// One client's work. What it returns is dropped when the thread is idle: whoever waits for a place
/// then finds it.
pub(super) type Job<P> = Box<dyn FnOnce() -> P + Send>;

/// See the module.
#[derive(Debug)]
pub(super) struct Pool<P> {
    /// The one that was busy last is the last: it is still in the processor's cache.
    idle: Mutex<Vec<Arc<Seat<P>>>>,
    /// Threads, busy and idle.
    alive: AtomicUsize,
    /// With more, those that become idle end.
    most: usize,
}

/// Where a thread is told what to do next.
pub(super) struct Seat<P> {
    waker: Arc<Waker>,
    next: Mutex<Option<Job<P>>>,
    /// Nothing more will come.
    is_retired: AtomicBool,
}

/// A seat that was taken for the next client: with a thread that waits, or one that is to be
/// started. Dropped without a job, its thread ends.
#[derive(Debug)]
pub(super) struct Taken<P> {
    seat: Arc<Seat<P>>,
    has_thread: bool,
    has_job: bool,
}

impl<P> std::fmt::Debug for Seat<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

impl<P: Send + 'static> Pool<P> {
    /// Without a thread yet; for so many clients at most.
    pub(super) fn new(most: usize) -> Self {
        Pool {
            idle: Mutex::default(),
            alive: AtomicUsize::new(0),
            most,
        }
    }

    /// Takes a seat for the next client.
    ///
    /// # Errors
    /// When no thread is idle, and there is no descriptor for a waker.
    pub(super) fn take(&self) -> io::Result<Taken<P>> {
        if let Some(seat) = self.idle().pop() {
            return Ok(Taken {
                seat,
                has_thread: true,
                has_job: false,
            });
        }
        Ok(Taken {
            seat: Arc::new(Seat {
                waker: Arc::new(Waker::new()?),
                next: Mutex::new(None),
                is_retired: AtomicBool::new(false),
            }),
            has_thread: false,
            has_job: false,
        })
    }

    /// Has a job done.
    ///
    /// # Errors
    /// When a thread is needed and there is none; the job is dropped then, and the seat still taken.
    pub(super) fn start(self: &Arc<Self>, taken: &mut Taken<P>, job: Job<P>) -> io::Result<()> {
        if taken.has_thread {
            taken.has_job = true;
            *lock(&taken.seat.next) = Some(job);
            taken.seat.waker.wake();
            return Ok(());
        }
        machine::expect_memory_for_a_thread()?;
        let (pool, seat) = (Arc::clone(self), Arc::clone(&taken.seat));
        let thread = thread::Builder::new().name("client".to_owned());
        thread.stack_size(STACK).spawn(move || {
            let alive = Alive::new(&pool);
            pool.live(&seat, job);
            drop(alive);
        })?;
        taken.has_job = true;
        Ok(())
    }

    /// A thread's life.
    fn live(&self, seat: &Arc<Seat<P>>, mut job: Job<P>) {
        loop {
            let place = job();
            let is_idle = self.add_idle(seat);
            drop(place);
            if !is_idle {
                return;
            }
            match self.next(seat) {
                Some(next) => job = next,
                None => return,
            }
        }
    }

    fn add_idle(&self, seat: &Arc<Seat<P>>) -> bool {
        let mut idle = self.idle();
        let is_wanted = idle.len() < MAX_IDLE && self.alive.load(Ordering::Relaxed) <= self.most;
        if is_wanted {
            idle.push(Arc::clone(seat));
        }
        is_wanted
    }

    /// Waits for the next job.
    fn next(&self, seat: &Arc<Seat<P>>) -> Option<Job<P>> {
        let deadline = Instant::now() + KEPT;
        loop {
            seat.waker.clear();
            if let Some(job) = lock(&seat.next).take() {
                return Some(job);
            }
            if seat.is_retired.load(Ordering::Acquire) {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && self.leave(seat) {
                return None;
            }
            // One that was taken in this moment is told soon.
            let timeout = (!left.is_zero()).then_some(left);
            let mut interests = [PollFd::new(seat.waker.as_fd(), PollFlags::POLLIN)];
            if os::wait(&mut interests, timeout).is_err() && self.leave(seat) {
                return None;
            }
        }
    }

    /// Gives the seat up; false when it has been taken.
    fn leave(&self, seat: &Arc<Seat<P>>) -> bool {
        let mut idle = self.idle();
        let place = idle.iter().position(|other| Arc::ptr_eq(other, seat));
        place.map(|place| idle.remove(place)).is_some()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Arc<Seat<P>>>> {
        lock(&self.idle)
    }
}

impl<P> Taken<P> {
    /// What wakes the thread, and so its next client.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.seat.waker)
    }
}

impl<P> Drop for Taken<P> {
    fn drop(&mut self) {
        if self.has_thread && !self.has_job {
            self.seat.is_retired.store(true, Ordering::Release);
            self.seat.waker.wake();
        }
    }
}

/// Counts a thread, in a panic too.
struct Alive<'a>(&'a AtomicUsize);

impl<'a> Alive<'a> {
    fn new<P>(pool: &'a Pool<P>) -> Self {
        pool.alive.fetch_add(1, Ordering::Relaxed);
        Alive(&pool.alive)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Each step under these locks leaves what they guard whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, bounded};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "never {what}");
            thread::yield_now();
        }
    }

    /// Has a job done, and says on which thread that was.
    fn run(pool: &Arc<Pool<()>>) -> Receiver<thread::ThreadId> {
        let (tell, told) = bounded(1);
        let mut seat = pool.take().unwrap();
        let job = move || tell.send(thread::current().id()).unwrap();
        pool.start(&mut seat, Box::new(job)).unwrap();
        told
    }

    fn alive(pool: &Pool<()>) -> usize {
        pool.alive.load(Ordering::Relaxed)
    }

    #[test]
    fn a_thread_serves_one_client_after_another() {
        let pool = Arc::new(Pool::new(10));
        let first = run(&pool).recv_timeout(PATIENCE).unwrap();
        for _ in 0..100 {
            eventually("idle", || !pool.idle().is_empty());
            assert_eq!(run(&pool).recv_timeout(PATIENCE).unwrap(), first);
        }
        assert_eq!(alive(&pool), 1);
    }

    #[test]
    fn a_thread_that_is_taken_for_nobody_ends() {
        let pool = Arc::new(Pool::new(10));
        run(&pool).recv_timeout(PATIENCE).unwrap();
        eventually("idle", || !pool.idle().is_empty());
        drop(pool.take().unwrap());
        eventually("gone", || alive(&pool) == 0);
        run(&pool).recv_timeout(PATIENCE).unwrap();
    }

    #[test]
    fn more_threads_than_clients_may_have_do_not_wait() {
        let pool = Arc::new(Pool::new(0));
        run(&pool).recv_timeout(PATIENCE).unwrap();
        eventually("gone", || alive(&pool) == 0);
        assert!(pool.idle().is_empty());
    }

    #[test]
    fn a_panic_ends_its_own_thread_only() {
        let pool: Arc<Pool<()>> = Arc::new(Pool::new(10));
        let mut seat = pool.take().unwrap();
        pool.start(&mut seat, Box::new(|| panic!("on purpose")))
            .unwrap();
        eventually("gone", || alive(&pool) == 0);
        run(&pool).recv_timeout(PATIENCE).unwrap();
    }
}
