//! The hub: gives each message its id, finds its audience, posts it into the audience's mailboxes.
//!
//! One lock, never held across anything that may wait. Messages have one order, and because they
//! are posted under the lock, every client sees that order. Publishers call [`Hub::publish`],
//! clients' threads [`Hub::join`] and, by dropping their [`Membership`], leave.

pub mod id;
pub mod workers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tungstenite::Bytes;

use crate::client::frames;
use crate::client::mailbox::{Dismissal, Mailbox};
use crate::client::parcel::{Memory, Parcel};
use id::{ClientId, Epoch, MessageId};
use workers::Workers;

/// Deliveries of one round that the publisher makes itself; more are the workers' job.
const DIRECT: usize = 64;

/// Bytes that may wait in all mailboxes together.
const MAX_MEMORY: usize = 256 << 20;

/// What becomes of one message.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// Its id.
    pub id: MessageId,
    /// Clients into whose mailboxes it was posted.
    pub clients: usize,
}

/// Why a client cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are as many as `--max-clients` allows.
    Full,
    /// The server stops.
    Stopping,
}

/// The mailboxes that a round goes to: lists that the hub shares rather than copies.
#[derive(Debug, Default)]
pub struct Audience {
    lists: Vec<Arc<Vec<Member>>>,
    length: usize,
}

#[derive(Clone, Debug)]
struct Member {
    client: ClientId,
    mailbox: Arc<Mailbox>,
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    max_clients: usize,
    memory: Arc<Memory>,
    workers: Workers,
}

#[derive(Debug)]
struct State {
    newest: MessageId,
    newest_client: u64,
    everyone: Arc<Vec<Member>>,
    /// Where each client is in `everyone`.
    places: HashMap<ClientId, usize>,
    stopping: bool,
}

/// A client's place in the hub; dropping it, in a panic too, is leaving.
#[derive(Debug)]
pub struct Membership {
    hub: Arc<Hub>,
    client: ClientId,
    online: usize,
}

impl Hub {
    /// An empty hub with a new epoch.
    pub fn new(max_clients: usize, memory: Arc<Memory>, workers: Workers) -> Self {
        Hub {
            state: Mutex::new(State {
                newest: MessageId {
                    epoch: Epoch::random(),
                    sequence: 0,
                },
                newest_client: 0,
                everyone: Arc::default(),
                places: HashMap::new(),
                stopping: false,
            }),
            max_clients,
            memory,
            workers,
        }
    }

    /// Whether a round may be published now; the publisher's waker tells when it is so again.
    pub fn has_room(&self) -> bool {
        self.workers.have_room()
    }

    /// Publishes a round of documents in their order, and tells what became of each in `receipts`.
    pub fn publish(&self, round: &[Bytes], receipts: &mut Vec<Receipt>) {
        receipts.clear();
        let mut state = self.lock();
        let audience = Audience::of(Arc::clone(&state.everyone));
        for _ in round {
            state.newest.sequence += 1;
            receipts.push(Receipt {
                id: state.newest,
                clients: audience.length,
            });
        }
        if audience.length > 0 && !round.is_empty() {
            let parcel = Arc::new(self.parcel(round));
            for member in audience.members() {
                member.mailbox.post(Arc::clone(&parcel));
            }
        }
        if self.memory.in_use() > MAX_MEMORY {
            state.dismiss_the_furthest_behind();
        }
        drop(state);
        if audience.length <= DIRECT {
            audience.deliver(0, audience.length);
        } else {
            self.workers.deliver(audience);
        }
    }

    /// The frames of a run of documents, joined.
    fn parcel(&self, run: &[Bytes]) -> Parcel {
        let length = run.iter().map(|d| frames::text_frame_length(d.len())).sum();
        let mut bytes = Vec::with_capacity(length);
        for document in run {
            frames::append_text(&mut bytes, document);
        }
        // A round has at most some thousand messages.
        Parcel::messages(bytes, run.len() as u32, &self.memory)
    }

    /// Makes a client one of the audience, its `greeting` before anything else: one step.
    ///
    /// # Errors
    /// When there are too many, or the server stops.
    pub fn join(
        self: &Arc<Self>,
        mailbox: &Arc<Mailbox>,
        greeting: Parcel,
    ) -> Result<Membership, Refusal> {
        let mut state = self.lock();
        if state.stopping {
            return Err(Refusal::Stopping);
        }
        if state.everyone.len() >= self.max_clients {
            return Err(Refusal::Full);
        }
        mailbox.post(Arc::new(greeting));
        state.newest_client += 1;
        let client = ClientId(state.newest_client);
        let place = state.everyone.len();
        state.places.insert(client, place);
        Arc::make_mut(&mut state.everyone).push(Member {
            client,
            mailbox: Arc::clone(mailbox),
        });
        Ok(Membership {
            hub: Arc::clone(self),
            client,
            online: place + 1,
        })
    }

    /// Lets nobody join any more, and asks every client's owner to close.
    pub fn stop(&self) {
        let everyone = {
            let mut state = self.lock();
            state.stopping = true;
            Arc::clone(&state.everyone)
        };
        for member in everyone.iter() {
            member.mailbox.dismiss(Dismissal::Stop);
        }
    }

    /// Clients that have joined.
    pub fn online(&self) -> usize {
        self.lock().everyone.len()
    }

    /// A client that cannot be told of a panic elsewhere is still to be served: what the lock
    /// guards is whole after each step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leave(&mut self, client: ClientId) {
        let Some(place) = self.places.remove(&client) else {
            return;
        };
        let everyone = Arc::make_mut(&mut self.everyone);
        everyone.swap_remove(place);
        if let Some(moved) = everyone.get(place) {
            self.places.insert(moved.client, place);
        }
    }

    /// Too much memory waits: the client with the most goes, one a round. What it frees is known
    /// when its owner has dropped its queue.
    fn dismiss_the_furthest_behind(&self) {
        let slowest = self
            .everyone
            .iter()
            .filter(|member| member.mailbox.dismissal().is_none())
            .max_by_key(|member| member.mailbox.waiting().1);
        if let Some(member) = slowest {
            member.mailbox.dismiss(Dismissal::TooSlow);
        }
    }
}

impl Audience {
    fn of(list: Arc<Vec<Member>>) -> Self {
        Audience {
            length: list.len(),
            lists: vec![list],
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.lists.iter().flat_map(|list| list.iter())
    }

    /// Clients in it.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Delivers to `count` mailboxes from number `first` on.
    pub fn deliver(&self, first: usize, count: usize) {
        for member in self.members().skip(first).take(count) {
            member.mailbox.deliver();
        }
    }
}

impl Membership {
    /// The client's id.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Clients online when this one joined, itself included.
    pub fn online(&self) -> usize {
        self.online
    }

    /// Leaves, and says how many are online now. Nothing is posted into its mailbox any more.
    pub fn leave(&mut self) -> usize {
        let mut state = self.hub.lock();
        state.leave(self.client);
        state.everyone.len()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}
