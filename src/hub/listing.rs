//! Who is online: their numbers first, then a few clients at a time.
//!
//! A push may come at any moment, so that the hub's lock is held for microseconds only, however
//! long the list is. What a client registered is judged by the copy that is handed out.

use std::sync::Arc;
use std::vec;

use super::{Hub, Member, State};
use crate::audience::registration::Registration;
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::Encoding;
use crate::message::id::ClientId;

/// Clients that are looked up under the lock at a time.
const SLICE: usize = 64;

/// A client, as whoever asks is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) client: ClientId,
    /// What waits for it, and what it was sent.
    pub(crate) mailbox: Arc<Mailbox>,
    /// How it hears messages.
    pub(crate) encoding: Encoding,
    /// What it registered.
    pub(crate) registration: Registration,
    /// Whether it is still being told what it missed.
    pub(crate) is_replaying: bool,
}

/// Slices of clients in the order of their numbers. Whoever leaves meanwhile is not in it, nor is
/// whoever joins.
#[derive(Debug)]
pub(crate) struct Listing {
    hub: Arc<Hub>,
    clients: vec::IntoIter<ClientId>,
    wanted: Registration,
}

impl Hub {
    /// The clients with numbers above `after` that registered each field of `wanted`, or of one of its
    /// filters, with at least one of its values.
    pub(crate) fn list(self: &Arc<Self>, wanted: Registration, after: u64) -> Listing {
        let mut clients = self.numbers(&wanted);
        clients.retain(|client| client.0 > after);
        clients.sort_unstable();
        clients.dedup();
        Listing {
            hub: Arc::clone(self),
            clients: clients.into_iter(),
            wanted,
        }
    }

    /// The client of this number.
    pub(crate) fn client(&self, client: ClientId) -> Option<Listed> {
        self.lock().look_up(client)
    }

    /// Those who may be wanted, in no order; of those that replay, all.
    fn numbers(&self, wanted: &Registration) -> Vec<ClientId> {
        let state = self.lock();
        let mut clients = match wanted.is_empty() {
            true => state.routes.clients().to_vec(),
            false => {
                let filters = wanted.filters();
                filters
                    .flat_map(|filter| state.routes.registered(filter))
                    .collect()
            }
        };
        clients.extend(state.replaying.keys());
        clients
    }
}

impl State {
    fn look_up(&self, client: ClientId) -> Option<Listed> {
        let replaying = self.replaying.get(&client);
        let live = || self.routes.look_up(client);
        let known = replaying.map(|replaying| (&replaying.member, &replaying.registration));
        let (Member { mailbox, encoding }, registration) = known.or_else(live)?;
        Some(Listed {
            client,
            mailbox: Arc::clone(mailbox),
            encoding: *encoding,
            registration: registration.clone(),
            is_replaying: replaying.is_some(),
        })
    }
}

/// Empty slices are none of the end: nobody of so many numbers was wanted, or is still online.
impl Iterator for Listing {
    type Item = Vec<Listed>;

    fn next(&mut self) -> Option<Vec<Listed>> {
        let mut slice = Vec::with_capacity(SLICE);
        let numbers = self.clients.by_ref().take(SLICE);
        if numbers.len() == 0 {
            return None;
        }
        let state = self.hub.lock();
        slice.extend(numbers.filter_map(|client| state.look_up(client)));
        drop(state);
        slice.retain(|listed| listed.registration.has_of_each(&self.wanted));
        Some(slice)
    }
}
