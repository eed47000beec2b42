//! What happens, for whoever listens. Whoever tells of it never waits: each listener has a queue of
//! its own, and what that has no room for is counted, and told in its place.
//!
//! Clients' threads, the UDP thread and the log thread tell; the trusted side's connections and the
//! webhook's thread listen.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::clock::Moment;
use crate::os::Waker;

/// Listeners of one feed at most.
pub(crate) const MAX_LISTENERS: usize = 32;

/// What may wait for one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Events.
    pub(crate) events: usize,
    /// Bytes of them. An event that is larger has room where nothing else waits.
    pub(crate) bytes: usize,
}

/// Something that is told. Cheap to clone.
pub(crate) trait Event: Clone {
    /// What it takes while it waits.
    fn bytes(&self) -> usize;
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed<E> {
    /// Whether anybody listens, or did when it was last told.
    heard: AtomicBool,
    /// Those whose listeners are gone are removed by whoever finds that out.
    queues: Mutex<Vec<Weak<Queue<E>>>>,
}

/// Why nobody more can listen.
#[derive(Debug)]
pub(crate) enum Deaf {
    /// There are [`MAX_LISTENERS`].
    Full,
    /// The process has no descriptor left.
    Waker(io::Error),
}

/// Somebody who listens, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener<E>(Arc<Queue<E>>);

#[derive(Debug)]
struct Queue<E> {
    bounds: Bounds,
    waker: Waker,
    state: Mutex<State<E>>,
}

#[derive(Debug)]
struct State<E> {
    waiting: VecDeque<Told<E>>,
    /// Events that wait or were taken last, and their bytes.
    events: usize,
    bytes: usize,
    /// Of these, those that were taken last.
    taken: (usize, usize),
    lost: u64,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told<E> {
    /// An event.
    Event(E),
    /// Here the queue had no room.
    Lost {
        /// For the first of those that are missing.
        since: Moment,
        /// How many they are.
        count: u64,
    },
}

impl<E: Event> Feed<E> {
    /// Nobody listens yet.
    pub(crate) const fn new() -> Self {
        Feed {
            heard: AtomicBool::new(false),
            queues: Mutex::new(Vec::new()),
        }
    }

    /// Whether it is worth telling anything.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Tells of events, in this order.
    pub(crate) fn tell(&self, events: &[E]) {
        let mut queues = self.queues();
        queues.retain(|queue| {
            let queue = queue.upgrade();
            queue.inspect(|queue| queue.push(events)).is_some()
        });
        self.heard.store(!queues.is_empty(), Ordering::Relaxed);
    }

    /// Listens, from now on.
    ///
    /// # Errors
    /// When there are too many listeners.
    pub(crate) fn listen(&self, bounds: Bounds) -> Result<Listener<E>, Deaf> {
        let waker = Waker::new().map_err(Deaf::Waker)?;
        let queue = Arc::new(Queue {
            bounds,
            waker,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                events: 0,
                bytes: 0,
                taken: (0, 0),
                lost: 0,
            }),
        });
        let mut queues = self.queues();
        queues.retain(|queue| queue.strong_count() > 0);
        if queues.len() >= MAX_LISTENERS {
            return Err(Deaf::Full);
        }
        queues.push(Arc::downgrade(&queue));
        self.heard.store(true, Ordering::Relaxed);
        Ok(Listener(queue))
    }

    /// Each step under this lock, and under a queue's, leaves what it guards whole.
    fn queues(&self) -> MutexGuard<'_, Vec<Weak<Queue<E>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Event> Queue<E> {
    fn push(&self, events: &[E]) {
        let mut state = self.state();
        let was_empty = state.waiting.is_empty();
        for event in events {
            state.push(event, self.bounds);
        }
        drop(state);
        // Whoever has left something comes again by itself.
        if was_empty {
            self.waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Event> State<E> {
    fn push(&mut self, event: &E, bounds: Bounds) {
        let bytes = event.bytes();
        let has_room = self.events < bounds.events && self.bytes + bytes <= bounds.bytes;
        if has_room || self.events == 0 {
            self.events += 1;
            self.bytes += bytes;
            self.waiting.push_back(Told::Event(event.clone()));
            return;
        }
        self.lost += 1;
        if let Some(Told::Lost { count, .. }) = self.waiting.back_mut() {
            *count += 1;
            return;
        }
        let since = Moment::now();
        self.waiting.push_back(Told::Lost { since, count: 1 });
    }
}

impl<E: Event> Listener<E> {
    /// Is woken when there is something to take where nothing was.
    pub(crate) fn waker(&self) -> &Waker {
        &self.0.waker
    }

    /// Takes what comes first, at most about so many bytes; nothing when it is time to wait for the
    /// waker. What it took counts as waiting until it takes more.
    pub(crate) fn take(&self, most: usize) -> Vec<Told<E>> {
        self.0.waker.clear();
        let mut state = self.0.state();
        let (events, bytes) = std::mem::take(&mut state.taken);
        state.events -= events;
        state.bytes -= bytes;
        let (mut events, mut bytes) = (0, 0);
        let mut taken = Vec::new();
        while bytes < most
            && let Some(told) = state.waiting.pop_front()
        {
            if let Told::Event(event) = &told {
                events += 1;
                bytes += event.bytes();
            }
            taken.push(told);
        }
        state.taken = (events, bytes);
        taken
    }

    /// Events that wait, those that were taken last included.
    pub(crate) fn waiting(&self) -> usize {
        self.0.state().events
    }

    /// Events that there was no room for, so far.
    pub(crate) fn lost(&self) -> u64 {
        self.0.state().lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Event for u32 {
        fn bytes(&self) -> usize {
            10
        }
    }

    fn listen(feed: &Feed<u32>, events: usize, bytes: usize) -> Listener<u32> {
        feed.listen(Bounds { events, bytes }).unwrap()
    }

    /// What was told: events, and how many were lost between them.
    fn take(listener: &Listener<u32>, most: usize) -> Vec<Result<u32, u64>> {
        let told = listener.take(most).into_iter();
        let told = told.map(|told| match told {
            Told::Event(event) => Ok(event),
            Told::Lost { count, .. } => Err(count),
        });
        told.collect()
    }

    #[test]
    fn what_a_queue_has_no_room_for_is_told_in_its_place() {
        for (events, bytes) in [(3, 1000), (1000, 35)] {
            let feed = Feed::new();
            let (slow, other) = (listen(&feed, events, bytes), listen(&feed, 100, 1000));
            feed.tell(&[1, 2, 3, 4, 5]);
            // What was taken counts until more is taken.
            assert_eq!(take(&slow, 20), [Ok(1), Ok(2)]);
            feed.tell(&[6]);
            assert_eq!((slow.waiting(), slow.lost()), (3, 3));
            assert_eq!(take(&slow, 10), [Ok(3)]);
            feed.tell(&[7, 8, 9]);
            assert_eq!(take(&slow, 100), [Err(3), Ok(7), Ok(8), Err(1)]);
            assert_eq!(take(&slow, 100), []);
            assert_eq!((slow.waiting(), slow.lost()), (0, 4));
            assert_eq!(take(&other, 100), [1, 2, 3, 4, 5, 6, 7, 8, 9].map(Ok));
        }
    }

    #[test]
    fn an_event_that_is_larger_than_the_bound_has_room_alone() {
        let feed = Feed::new();
        let listener = listen(&feed, 10, 5);
        feed.tell(&[1, 2]);
        assert_eq!(take(&listener, 1), [Ok(1)]);
        assert_eq!(take(&listener, 1), [Err(1)]);
    }

    #[test]
    fn it_is_heard_as_long_as_somebody_listens() {
        let feed = Feed::new();
        assert!(!feed.is_heard());
        let mut listeners: Vec<_> = (0..MAX_LISTENERS).map(|_| listen(&feed, 1, 1)).collect();
        let bounds = Bounds {
            events: 1,
            bytes: 1,
        };
        assert!(matches!(feed.listen(bounds), Err(Deaf::Full)));
        listeners.pop();
        listeners.push(listen(&feed, 1, 1));
        drop(listeners);
        feed.tell(&[1]);
        assert!(!feed.is_heard());
    }
}
