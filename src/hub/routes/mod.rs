//! The routes: who is in, what each client registered, and which clients hear a message.
//!
//! Pure; the hub keeps it under its lock, and publishers, handshakes and sessions come through the
//! hub. The [rule](crate::audience::rule) is answered from an index, so that a message costs by whom it
//! reaches, not by who is connected:
//!
//! - Clients with equal registrations are a group: one list of members.
//! - Filters with the same fields, whatever the values, are a set: for each field a table from value
//!   to the groups that have such a filter, and one list of the members of all those groups that
//!   have no other filter. Groups that have are found by each, and told once.
//! - A message with none of the fields that anybody registered goes to the one list of everyone;
//!   within a set whose fields it does not have, to the set's list. Otherwise the set's shortest
//!   table entry gives the candidates, and the message's other fields are checked one by one.
//!
//! Whatever visitors register, memory is linear in it, and whatever nobody registers any more is
//! gone at once. There is no bound on sets but that of clients: each costs a message at most what
//! its first group would cost without the index.

mod audience;
mod find;
mod postings;
#[cfg(test)]
mod property;
mod set;
#[cfg(test)]
mod tests;
mod trim;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crate::audience::registration::{Filter, Registration};
use crate::audience::rule::Rule;
use crate::message::id::ClientId;
pub(crate) use audience::Audience;
use audience::Roster;
use set::{FilterIndex, GroupIndex, Set};
use trim::{trim_list, trim_map};

/// The index; see the module. `M` is what the hub keeps for a client: cheap to clone, as each is in
/// three lists.
#[derive(Debug)]
pub(crate) struct Routes<M> {
    rule: Rule,
    clients: HashMap<ClientId, Seat>,
    everyone: Roster<M>,
    groups: Vec<Group<M>>,
    /// Places in `groups` that are vacant.
    vacant: Vec<GroupIndex>,
    group_of: HashMap<Registration, GroupIndex>,
    sets: HashMap<FieldSet, Set<M>>,
    /// The fields that anybody registered or `--route` names: a message is read for these only.
    fields: HashMap<Box<str>, Interest>,
    newest_field: u64,
}

/// Stands for a field's name while anybody is interested in it; never used again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FieldId(u64);

/// In the order of their names, as in a [`Registration`].
type FieldSet = Arc<[FieldId]>;

#[derive(Debug)]
struct Interest {
    field: FieldId,
    /// Groups that registered it; one more if `--route` names it.
    users: usize,
}

/// Where a client is in the three lists that it is in.
#[derive(Clone, Copy, Debug)]
struct Seat {
    group: GroupIndex,
    in_everyone: usize,
    in_set: usize,
    in_group: usize,
}

/// All clients with one registration. A vacant one has neither clients nor registration.
#[derive(Debug)]
struct Group<M> {
    registration: Registration,
    /// For the first of its filters, usually the only one.
    first: Entered,
    /// For the others.
    others: Vec<Entered>,
    roster: Roster<M>,
}

/// A group's filter, in the tables of its set.
#[derive(Debug, Default)]
struct Entered {
    fields: FieldSet,
    /// The number of its first value among those of the group.
    slot: usize,
    /// Where its values are in the tables of its set; see [`Set::enter`].
    places: Box<[u32]>,
    /// Its place among the set's unions, if the group has several filters.
    in_unions: usize,
}

impl<M: Clone> Routes<M> {
    /// No clients yet. Registrations that come in should have been read under the same rule.
    pub(crate) fn new(rule: Rule) -> Self {
        let mut routes = Routes {
            rule,
            clients: HashMap::new(),
            everyone: Roster::default(),
            groups: Vec::new(),
            vacant: Vec::new(),
            group_of: HashMap::new(),
            sets: HashMap::new(),
            fields: HashMap::new(),
            newest_field: 0,
        };
        if let Rule::Closed(names) = routes.rule.clone() {
            for name in names {
                routes.take_interest(&name);
            }
        }
        routes
    }

    /// Lets a client in, with what it registered so far. One that is in already leaves first.
    ///
    /// Returns the registration that all who registered the same share: to be kept instead of one's
    /// own. What is given up then is dropped by whoever keeps it, and not here, under a lock.
    pub(crate) fn join(
        &mut self,
        client: ClientId,
        registration: &Registration,
        member: M,
    ) -> Registration {
        self.leave(client);
        let in_everyone = self.everyone.add(client, member.clone());
        self.seat(client, registration, member, in_everyone)
    }

    /// Replaces what a client registered. One that is not in, or not any more, stays out.
    ///
    /// Returns what [`join`](Self::join) does.
    pub(crate) fn register(
        &mut self,
        client: ClientId,
        registration: &Registration,
    ) -> Registration {
        let Some(seat) = self.clients.get(&client).copied() else {
            return registration.clone();
        };
        let group = &self.groups[seat.group];
        if group.registration == *registration {
            return group.registration.clone();
        }
        let member = group.roster.members()[seat.in_group].clone();
        // The new seat first: what both registrations need is not given up in between.
        let shared = self.seat(client, registration, member, seat.in_everyone);
        self.vacate(seat);
        shared
    }

    /// The registration that those share who registered the same, if anybody did.
    pub(crate) fn shared(&self, registration: &Registration) -> Option<Registration> {
        let (shared, _) = self.group_of.get_key_value(registration)?;
        Some(shared.clone())
    }

    /// Lets a client out; does nothing for one that is not in.
    pub(crate) fn leave(&mut self, client: ClientId) {
        let Some(seat) = self.clients.remove(&client) else {
            return;
        };
        trim_map(&mut self.clients);
        if let Some(moved) = self.everyone.remove(seat.in_everyone)
            && let Some(moved) = self.clients.get_mut(&moved)
        {
            moved.in_everyone = seat.in_everyone;
        }
        self.vacate(seat);
    }

    /// Puts a client into the lists of its group and its set.
    fn seat(
        &mut self,
        client: ClientId,
        registration: &Registration,
        member: M,
        in_everyone: usize,
    ) -> Registration {
        let group = match self.group_of.get(registration) {
            Some(group) => *group,
            None => self.open_group(registration.clone()),
        };
        let group_of = &mut self.groups[group];
        let shared = group_of.registration.clone();
        let in_group = group_of.roster.add(client, member.clone());
        let in_set = match group_of.is_union() {
            true => 0,
            false => {
                let set = Self::set(&mut self.sets, &group_of.first.fields);
                set.roster.add(client, member)
            }
        };
        let seat = Seat {
            group,
            in_everyone,
            in_set,
            in_group,
        };
        self.clients.insert(client, seat);
        shared
    }

    /// Takes a client out of the lists of its group and its set.
    fn vacate(&mut self, seat: Seat) {
        let group = &mut self.groups[seat.group];
        if let Some(moved) = group.roster.remove(seat.in_group)
            && let Some(moved) = self.clients.get_mut(&moved)
        {
            moved.in_group = seat.in_group;
        }
        if !group.is_union()
            && let Some(set) = self.sets.get_mut(&group.first.fields)
            && let Some(moved) = set.roster.remove(seat.in_set)
            && let Some(moved) = self.clients.get_mut(&moved)
        {
            moved.in_set = seat.in_set;
        }
        if group.roster.members().is_empty() {
            self.close_group(seat.group);
        }
    }

    fn open_group(&mut self, registration: Registration) -> GroupIndex {
        let group = self.vacant.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            self.groups.len() - 1
        });
        self.group_of.insert(registration.clone(), group);
        self.groups[group].registration = registration.clone();
        let is_union = registration.only_filter().is_none();
        let mut slot = 0;
        for (index, filter) in registration.filters().enumerate() {
            let fields = filter.fields();
            let fields: FieldSet = fields.map(|field| self.take_interest(field.name)).collect();
            // All filters of a set share one list of fields.
            let fields = match self.sets.get_key_value(&fields) {
                Some((shared, _)) => Arc::clone(shared),
                None => fields,
            };
            let set = Self::set(&mut self.sets, &fields);
            let places = set.enter(group, filter, slot, &self.groups);
            let in_unions = set.unions.len();
            if is_union {
                set.unions.push(FilterIndex {
                    group,
                    filter: index,
                });
            }
            let entered = Entered {
                fields,
                slot,
                places,
                in_unions,
            };
            slot += filter.value_count();
            match index {
                0 => self.groups[group].first = entered,
                _ => self.groups[group].others.push(entered),
            }
        }
        group
    }

    /// The set of these fields, a new one if need be.
    fn set<'a>(sets: &'a mut HashMap<FieldSet, Set<M>>, fields: &FieldSet) -> &'a mut Set<M> {
        let set = sets.entry(Arc::clone(fields));
        set.or_insert_with(|| Set::new(fields.len()))
    }

    fn close_group(&mut self, index: GroupIndex) {
        let registration = self.groups[index].registration.clone();
        self.group_of.remove(&registration);
        trim_map(&mut self.group_of);
        let is_union = self.groups[index].is_union();
        // The others are where they were until it is their turn.
        for (number, filter) in registration.filters().enumerate() {
            let entered = mem::take(self.groups[index].entered_mut(number));
            self.withdraw(index, filter, entered, is_union);
            for field in filter.fields() {
                self.lose_interest(field.name);
            }
        }
        self.groups[index] = Group::default();
        self.vacant.push(index);
        if self.group_of.is_empty() {
            self.groups = Vec::new();
            self.vacant = Vec::new();
        }
    }

    /// Takes one filter of a group that closes out of its set.
    fn withdraw(&mut self, group: GroupIndex, filter: &Filter, entered: Entered, is_union: bool) {
        let Entered {
            fields,
            slot,
            places,
            in_unions,
        } = entered;
        let Some(set) = self.sets.get_mut(&fields) else {
            return;
        };
        if is_union {
            set.unions.swap_remove(in_unions);
            trim_list(&mut set.unions);
            if let Some(moved) = set.unions.get(in_unions) {
                self.groups[moved.group].entered_mut(moved.filter).in_unions = in_unions;
            }
        }
        if set.is_empty() {
            self.sets.remove(&fields);
            trim_map(&mut self.sets);
            return;
        }
        set.withdraw(group, filter, slot, &places, |moved, place| {
            self.groups[moved.group()].place(moved.slot(), place);
        });
    }

    fn take_interest(&mut self, name: &str) -> FieldId {
        if let Some(interest) = self.fields.get_mut(name) {
            interest.users += 1;
            return interest.field;
        }
        self.newest_field += 1;
        let field = FieldId(self.newest_field);
        self.fields
            .insert(name.into(), Interest { field, users: 1 });
        field
    }

    fn lose_interest(&mut self, name: &str) {
        if let Some(interest) = self.fields.get_mut(name) {
            interest.users -= 1;
            if interest.users == 0 {
                self.fields.remove(name);
                trim_map(&mut self.fields);
            }
        }
    }

    /// Clients that are in.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// All clients, in no order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (ClientId, &M)> {
        self.everyone.iter()
    }

    /// The numbers of all clients, in no order.
    pub(crate) fn clients(&self) -> &[ClientId] {
        self.everyone.clients()
    }

    /// What is kept for a client that is in, and what it registered.
    pub(crate) fn look_up(&self, client: ClientId) -> Option<(&M, &Registration)> {
        let seat = self.clients.get(&client)?;
        let member = &self.everyone.members()[seat.in_everyone];
        Some((member, &self.groups[seat.group].registration))
    }

    #[cfg(test)]
    /// What a client that is in has registered.
    pub(crate) fn registration(&self, client: ClientId) -> Option<&Registration> {
        self.look_up(client).map(|(_, registration)| registration)
    }

    /// All clients, whatever they registered.
    pub(crate) fn everyone(&self) -> Audience<M> {
        let mut audience = Audience::default();
        audience.push(&self.everyone);
        audience
    }
}

impl<M> Group<M> {
    /// Whether it has several filters.
    fn is_union(&self) -> bool {
        !self.others.is_empty()
    }

    fn entered_mut(&mut self, filter: usize) -> &mut Entered {
        match filter {
            0 => &mut self.first,
            other => &mut self.others[other - 1],
        }
    }

    /// Which of its filters has this value, counted through all of them.
    fn filter_of(&self, slot: usize) -> usize {
        self.others.partition_point(|entered| entered.slot <= slot)
    }

    /// A value's new place in its list.
    fn place(&mut self, slot: usize, place: u32) {
        let filter = self.filter_of(slot);
        let entered = self.entered_mut(filter);
        entered.places[slot - entered.slot] = place;
    }
}

impl<M> Default for Group<M> {
    fn default() -> Self {
        Group {
            registration: Registration::default(),
            first: Entered::default(),
            others: Vec::new(),
            roster: Roster::default(),
        }
    }
}
