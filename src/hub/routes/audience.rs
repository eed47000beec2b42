//! Lists of clients: the hub changes them in place, and audiences share them.

use std::sync::Arc;

use super::trim::trim_list;
use crate::message::id::ClientId;

/// A list of clients that an [`Audience`] may hold beyond the hub's lock. Changing it while one
/// does copies it first.
#[derive(Debug)]
pub(super) struct Roster<M> {
    members: Arc<Vec<M>>,
    /// Whose they are, in the same order.
    clients: Vec<ClientId>,
}

impl<M> Roster<M> {
    pub(super) fn members(&self) -> &[M] {
        &self.members
    }

    /// Whose places they are.
    pub(super) fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &M)> {
        self.clients.iter().copied().zip(self.members())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.members.capacity().max(self.clients.capacity())
    }
}

impl<M: Clone> Roster<M> {
    /// Returns the client's place.
    pub(super) fn add(&mut self, client: ClientId, member: M) -> usize {
        Arc::make_mut(&mut self.members).push(member);
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// Removes the client at `place` and returns the one that has moved there, if any.
    pub(super) fn remove(&mut self, place: usize) -> Option<ClientId> {
        let members = Arc::make_mut(&mut self.members);
        members.swap_remove(place);
        trim_list(members);
        self.clients.swap_remove(place);
        trim_list(&mut self.clients);
        self.clients.get(place).copied()
    }
}

impl<M> Default for Roster<M> {
    fn default() -> Self {
        Roster {
            members: Arc::default(),
            clients: Vec::new(),
        }
    }
}

/// The clients that hear a message, each once: lists that the hub shares rather than copies, called
/// segments.
#[derive(Debug)]
pub(crate) struct Audience<M> {
    /// The first few, so that the usual message needs no allocation.
    few: [Option<Arc<Vec<M>>>; 2],
    many: Vec<Arc<Vec<M>>>,
    length: usize,
}

impl<M> Audience<M> {
    pub(super) fn push(&mut self, roster: &Roster<M>) {
        if roster.members.is_empty() {
            return;
        }
        self.length += roster.members.len();
        let segment = Arc::clone(&roster.members);
        match self.few.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(segment),
            None => self.many.push(segment),
        }
    }

    /// Clients in it.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The lists that it is made of; none is empty.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Vec<M>>> {
        self.few.iter().flatten().chain(&self.many)
    }

    /// All its clients.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.segments().flat_map(|segment| segment.iter())
    }

    /// `count` of its clients, from number `first` on; fewer where it ends. What is passed over
    /// costs by its segments, not by its clients.
    pub(crate) fn range(&self, first: usize, count: usize) -> impl Iterator<Item = &M> {
        let mut passed_over = first;
        self.segments()
            .flat_map(move |segment| {
                let start = passed_over.min(segment.len());
                passed_over -= start;
                &segment[start..]
            })
            .take(count)
    }

    /// Whether both are made of the same lists, so that they hold the same clients.
    ///
    /// While the hub's lock is held, this is so of any two messages that say the same in the fields
    /// that address them. After a client has come or gone in between, the same clients may be in
    /// other lists.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let mut pairs = self.segments().zip(other.segments());
        self.length == other.length && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// Nobody.
impl<M> Default for Audience<M> {
    fn default() -> Self {
        Audience {
            few: [None, None],
            many: Vec::new(),
            length: 0,
        }
    }
}

impl<M> Clone for Audience<M> {
    fn clone(&self) -> Self {
        Audience {
            few: self.few.clone(),
            many: self.many.clone(),
            length: self.length,
        }
    }
}
