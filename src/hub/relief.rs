//! Who goes when too much memory waits in all mailboxes together.
//!
//! Only clients that have something waiting go, whoever has most of it first. What those who were
//! told to go are about to free counts as freed. The hub asks under its lock.

use std::sync::{Arc, Weak};

use crate::mailbox::{Dismissal, Mailbox};

/// Bytes that may wait in all mailboxes together.
pub(super) const MAX_MEMORY: usize = 256 << 20;

/// Where doubling ends: more clients than there can be.
const MAX_DOUBLINGS: u32 = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Relief {
    /// Those who were told to go; they free what waits for them when their threads have run.
    leaving: Vec<Weak<Mailbox>>,
    /// How often in a row clients had gone and it was not enough. Clients share what waits for them,
    /// so that one that goes may free nothing: each time twice as many go.
    doublings: u32,
}

impl Relief {
    /// Tells clients to go if `in_use`, the bytes in use, are too many.
    pub(super) fn relieve<'a>(
        &mut self,
        in_use: usize,
        clients: impl Iterator<Item = &'a Arc<Mailbox>>,
    ) {
        if in_use <= MAX_MEMORY {
            *self = Relief::default();
            return;
        }
        let mut left = in_use.saturating_sub(self.about_to_be_freed());
        if left <= MAX_MEMORY {
            return;
        }
        let mut behind: Vec<_> = clients
            .filter(|mailbox| mailbox.dismissal().is_none())
            .map(|mailbox| (mailbox.waiting().1, mailbox))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        behind.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        // As long as some are on their way out, what they free is only guessed.
        let at_least = match self.leaving.is_empty() {
            true => 1 << self.doublings,
            false => 1,
        };
        for (count, (bytes, mailbox)) in behind.into_iter().enumerate() {
            if count >= at_least && left <= MAX_MEMORY {
                break;
            }
            mailbox.dismiss(Dismissal::TooSlow);
            self.leaving.push(Arc::downgrade(mailbox));
            left = left.saturating_sub(bytes);
        }
        if at_least > 1 || self.doublings == 0 {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
        }
    }

    fn about_to_be_freed(&mut self) -> usize {
        let mut bytes = 0;
        self.leaving.retain(|mailbox| {
            let mailbox = mailbox.upgrade();
            let Some(mailbox) = mailbox.filter(|mailbox| !mailbox.is_closing()) else {
                return false;
            };
            bytes += mailbox.waiting().1;
            true
        });
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::mailbox::parcel::Parcel;

    /// Mailboxes in which so many bytes wait.
    fn mailboxes(waiting: &[usize]) -> Vec<Arc<Mailbox>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mailbox = |bytes: &usize| {
            let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mailbox = Mailbox::over(socket);
            if *bytes > 0 {
                mailbox.post(Arc::new(Parcel::frames(vec![0; *bytes])));
            }
            mailbox
        };
        waiting.iter().map(mailbox).collect()
    }

    /// The places of those who were told to go.
    fn told(mailboxes: &[Arc<Mailbox>]) -> Vec<usize> {
        let told = |place: &usize| mailboxes[*place].dismissal().is_some();
        (0..mailboxes.len()).filter(told).collect()
    }

    fn drop_queue(mailbox: &Mailbox) {
        mailbox.close_at_once(Parcel::frames(vec![0; 4]));
    }

    #[test]
    fn nobody_goes_who_has_nothing_waiting() {
        let clients = mailboxes(&[0, 0, 0]);
        let mut relief = Relief::default();
        for _ in 0..5 {
            relief.relieve(2 * MAX_MEMORY, clients.iter());
        }
        assert_eq!(told(&clients), [0usize; 0]);
    }

    #[test]
    fn whoever_is_furthest_behind_goes_and_nobody_else_while_that_is_enough() {
        let clients = mailboxes(&[10, 3000, 2000, 0]);
        let mut relief = Relief::default();
        relief.relieve(MAX_MEMORY, clients.iter());
        assert_eq!(told(&clients), [0usize; 0]);
        for _ in 0..5 {
            relief.relieve(MAX_MEMORY + 3000, clients.iter());
            assert_eq!(told(&clients), [1]);
        }
        relief.relieve(MAX_MEMORY + 3001, clients.iter());
        assert_eq!(told(&clients), [1, 2]);
    }

    #[test]
    fn as_long_as_going_frees_nothing_each_time_twice_as_many_go() {
        let clients = mailboxes(&[100; 10]);
        let mut relief = Relief::default();
        for expected in [1, 3, 7, 10] {
            relief.relieve(MAX_MEMORY + 1, clients.iter());
            let told = told(&clients);
            assert_eq!(told.len(), expected);
            for place in told {
                drop_queue(&clients[place]);
            }
        }
    }
}
