//! The count of client threads, and who goes when there are too many.
//!
//! A thread counts from before it starts until it has ended, whatever its connection is up to: it
//! shakes hands, is a member of the hub, or takes its last bytes. Those that are no members are
//! unsettled. A member has its place by `--max-clients`; when the unsettled are too many, or the
//! threads in all, the oldest of them is told to go at once. So threads are bounded, and no
//! visitor who does nothing keeps another out.
//!
//! The accept loop counts threads in, each thread counts itself out, and the server waits for the
//! last one.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::mailbox::{Dismissal, Mailbox};

/// Connections that may be no members of the hub, where the machine has room for them.
pub(crate) const MAX_UNSETTLED: usize = 1000;

/// How long an unsettled connection is left alone, even when there are too many. Thousands that
/// connect at once are no attack: until then the others wait in the backlog.
const PATIENCE: Duration = Duration::from_millis(250);

/// What may be there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Threads, one for each connection.
    pub(crate) threads: usize,
    /// Connections that are no members of the hub: not yet, not any more, or never.
    pub(crate) unsettled: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Census<G = Mailbox> {
    bounds: Bounds,
    state: Mutex<State<G>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<G> {
    /// Connections that have become unsettled so far.
    newest: u64,
    threads: usize,
    /// By number: the first is the oldest.
    unsettled: BTreeMap<u64, Unsettled<G>>,
    /// Threads that wait for a change. Telling nobody would be a system call for nothing.
    waiting: usize,
}

#[derive(Debug)]
struct Unsettled<G> {
    since: Instant,
    guest: Arc<G>,
}

/// Whose connection it is: somebody who can be told to go.
pub(crate) trait Guest {
    /// Asks its thread to end.
    fn dismiss(&self, why: Dismissal);
}

impl Guest for Mailbox {
    fn dismiss(&self, why: Dismissal) {
        Mailbox::dismiss(self, why);
    }
}

/// One connection's place in the census. Dropping it, as the last thing that its thread does, gives
/// the place back.
#[derive(Debug)]
pub(crate) struct Presence<G: Guest = Mailbox> {
    census: Arc<Census<G>>,
    /// Its number as long as it is unsettled and nobody has told it to go.
    number: Option<u64>,
}

impl<G: Guest> Census<G> {
    /// Nobody yet.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Census {
            bounds,
            state: Mutex::new(State {
                newest: 0,
                threads: 0,
                unsettled: BTreeMap::new(),
                waiting: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Counts a connection in, which is unsettled; waits until there is room for it. The oldest
    /// unsettled one makes room once it has had its time.
    pub(crate) fn enter(self: &Arc<Self>, guest: &Arc<G>) -> Presence<G> {
        let mut state = self.state();
        while !self.has_room(&state) {
            let wait = state.dismiss_the_oldest();
            // The place of one that was told to go is free at once, its thread when it has ended.
            if wait.is_some() || !self.has_room(&state) {
                state = self.wait(state, wait.unwrap_or(PATIENCE));
            }
        }
        state.threads += 1;
        Presence {
            number: Some(state.add(guest)),
            census: Arc::clone(self),
        }
    }

    fn has_room(&self, state: &State<G>) -> bool {
        state.threads < self.bounds.threads && state.unsettled.len() < self.bounds.unsettled
    }

    /// Tells everybody who is unsettled that the server stops. The members are the hub's.
    pub(crate) fn stop(&self) {
        for unsettled in self.state().unsettled.values() {
            unsettled.guest.dismiss(Dismissal::Stop);
        }
    }

    /// Waits until no thread is left, at most so long, and says how many still are.
    pub(crate) fn wait_until_empty(&self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        while state.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.wait(state, left);
        }
        state.threads
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State<G>>,
        timeout: Duration,
    ) -> MutexGuard<'a, State<G>> {
        state.waiting += 1;
        let waited = self.changed.wait_timeout(state, timeout);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting -= 1;
        state
    }

    fn tell(&self, state: &State<G>) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Each step under this lock leaves what it guards whole.
    fn state(&self) -> MutexGuard<'_, State<G>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G: Guest> State<G> {
    fn add(&mut self, guest: &Arc<G>) -> u64 {
        self.newest += 1;
        let unsettled = Unsettled {
            since: Instant::now(),
            guest: Arc::clone(guest),
        };
        self.unsettled.insert(self.newest, unsettled);
        self.newest
    }

    /// The oldest unsettled connection goes, if it has had its time; else says how long that will
    /// take. `None` when there is nobody to wait for but those who are on their way out.
    fn dismiss_the_oldest(&mut self) -> Option<Duration> {
        let oldest = self.unsettled.first_entry()?;
        let age = oldest.get().since.elapsed();
        if age < PATIENCE {
            return Some(PATIENCE - age);
        }
        oldest.remove().guest.dismiss(Dismissal::Crowded);
        None
    }
}

impl<G: Guest> Presence<G> {
    /// It is about to become a member. False when it has been told to go in the meantime, and must
    /// not.
    pub(crate) fn settle(&mut self) -> bool {
        let Some(number) = self.number.take() else {
            return false;
        };
        let mut state = self.census.state();
        let was_there = state.unsettled.remove(&number).is_some();
        self.census.tell(&state);
        was_there
    }

    /// It is no member any more, and only takes its last bytes.
    pub(crate) fn unsettle(&mut self, guest: &Arc<G>) {
        self.number = Some(self.census.state().add(guest));
    }
}

impl<G: Guest> Drop for Presence<G> {
    fn drop(&mut self) {
        // The socket is closed before the thread counts as gone, and not under the lock.
        let number = self.number.take();
        let unsettled = number.and_then(|number| self.census.state().unsettled.remove(&number));
        drop(unsettled);
        let mut state = self.census.state();
        state.threads -= 1;
        self.census.tell(&state);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    fn mailbox() -> Arc<Mailbox> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Mailbox::over(socket)
    }

    fn census(threads: usize, unsettled: usize) -> Arc<Census> {
        Arc::new(Census::new(Bounds { threads, unsettled }))
    }

    #[test]
    fn whoever_was_told_to_go_never_settles() {
        let census = census(10, 1);
        let (first, second) = (mailbox(), mailbox());
        let mut dismissed = census.enter(&first);
        let mut newer = census.enter(&second);
        assert_eq!(first.dismissal(), Some(Dismissal::Crowded));
        assert!(!dismissed.settle());
        assert!(newer.settle());
        assert_eq!(second.dismissal(), None);
    }

    #[test]
    fn a_thread_that_takes_its_last_bytes_counts_and_is_told_to_go_although_it_was_dismissed_before()
     {
        let census = census(2, 2);
        let (leaving, waiting) = (mailbox(), mailbox());
        let mut presence = census.enter(&leaving);
        assert!(presence.settle());
        leaving.dismiss(Dismissal::TooSlow);
        presence.unsettle(&leaving);
        let _other = census.enter(&mailbox());
        thread::scope(|scope| {
            let third = scope.spawn(|| census.enter(&waiting));
            let deadline = Instant::now() + Duration::from_secs(20);
            while leaving.dismissal() != Some(Dismissal::Crowded) {
                assert!(Instant::now() < deadline, "it is never told to go");
                thread::yield_now();
            }
            // Told to go is not gone.
            assert_eq!(census.state().threads, 2);
            drop(presence);
            drop(third.join().unwrap());
        });
        assert_eq!(census.state().threads, 1);
    }

    #[test]
    fn members_are_no_reason_to_send_anybody_away() {
        let census = census(10, 1);
        let members: Vec<_> = (0..5)
            .map(|_| {
                let mut member = census.enter(&mailbox());
                assert!(member.settle());
                member
            })
            .collect();
        let newest = mailbox();
        let _newest = census.enter(&newest);
        assert_eq!(newest.dismissal(), None);
        drop(members);
        assert_eq!(census.wait_until_empty(Duration::ZERO), 1);
    }
}
