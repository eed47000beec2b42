//! The routes: who is in, what each client registered, and which clients hear a message.
//!
//! Pure; the hub keeps it under its lock, and publishers, handshakes and sessions come through the
//! hub. The [rule](crate::audience::rule) is answered from an index, so that a message costs by whom it
//! reaches, not by who is connected:
//!
//! - Clients with equal registrations are a group: one list of members.
//! - Groups that registered the same fields, whatever the values, are a set: for each field a
//!   table from value to groups, and one list of all their members.
//! - A message with none of the fields that anybody registered goes to the one list of everyone;
//!   within a set whose fields it does not have, to the set's list. Otherwise the set's shortest
//!   table entry gives the candidates, and the message's other fields are checked one by one.
//!
//! Whatever visitors register, memory is linear in it, and whatever nobody registers any more is
//! gone at once. There is no bound on sets but that of clients: each costs a message at most what
//! its first group would cost without the index.

mod audience;
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

use crate::audience::addressed::{Addressed, Values};
use crate::audience::registration::Registration;
use crate::audience::rule::Rule;
use crate::message::id::ClientId;
pub(crate) use audience::Audience;
use audience::Roster;
use set::{Found, GroupIndex, Set};
use trim::trim_map;

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
    fields: FieldSet,
    /// Where its values are in the tables of its set; see [`Set::enter`].
    places: Box<[u32]>,
    roster: Roster<M>,
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
        let Group {
            registration,
            fields,
            roster,
            ..
        } = &mut self.groups[group];
        let shared = registration.clone();
        let in_group = roster.add(client, member.clone());
        let set = Self::set(&mut self.sets, fields);
        let in_set = set.roster.add(client, member);
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
        if let Some(set) = self.sets.get_mut(&group.fields)
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
        let fields = registration.fields();
        let fields: FieldSet = fields.map(|field| self.take_interest(field.name)).collect();
        let group = self.vacant.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            self.groups.len() - 1
        });
        // All groups of a set share one list of fields.
        let fields = match self.sets.get_key_value(&fields) {
            Some((shared, _)) => Arc::clone(shared),
            None => fields,
        };
        self.group_of.insert(registration.clone(), group);
        let set = Self::set(&mut self.sets, &fields);
        self.groups[group] = Group {
            registration,
            fields,
            places: Box::default(),
            roster: Roster::default(),
        };
        self.groups[group].places = set.enter(group, &self.groups);
        group
    }

    /// The set of these fields, a new one if need be.
    fn set<'a>(sets: &'a mut HashMap<FieldSet, Set<M>>, fields: &FieldSet) -> &'a mut Set<M> {
        let set = sets.entry(Arc::clone(fields));
        set.or_insert_with(|| Set::new(fields.len()))
    }

    fn close_group(&mut self, index: GroupIndex) {
        let group = mem::take(&mut self.groups[index]);
        self.group_of.remove(&group.registration);
        trim_map(&mut self.group_of);
        if let Some(set) = self.sets.get_mut(&group.fields) {
            if set.roster.members().is_empty() {
                self.sets.remove(&group.fields);
                trim_map(&mut self.sets);
            } else {
                let Group {
                    registration,
                    places,
                    ..
                } = &group;
                set.withdraw(index, registration, places, |moved, place| {
                    self.groups[moved.group()].places[moved.slot()] = place;
                });
            }
        }
        for field in group.registration.fields() {
            self.lose_interest(field.name);
        }
        self.vacant.push(index);
        if self.group_of.is_empty() {
            self.groups = Vec::new();
            self.vacant = Vec::new();
        }
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

    /// The clients that hear a message, each once, in no order.
    ///
    /// `document` is one whole JSON document of any kind; what is no object addresses nobody in
    /// particular and reaches everyone.
    pub(crate) fn audience(&self, document: &str) -> Audience<M> {
        let addressed = self.addressed(document);
        if addressed.is_empty() {
            return self.everyone();
        }
        let mut audience = Audience::default();
        for (fields, set) in &self.sets {
            let all_registered = || addressed.keys().all(|field| fields.contains(&field));
            if matches!(self.rule, Rule::Open) || all_registered() {
                let found = |roster: &Roster<M>| audience.push(roster);
                self.search(fields, set, &addressed, found);
            }
        }
        audience
    }

    /// The clients that registered each of so many fields with one of the values that `wanted`, a
    /// JSON object of texts and arrays of texts, has there; in no order.
    pub(crate) fn registered(&self, wanted: &str, fields: usize) -> Vec<ClientId> {
        let addressed = self.addressed(wanted);
        let mut clients = Vec::new();
        if addressed.keys().count() < fields {
            // Nobody registered one of them.
            return clients;
        }
        for (fields, set) in &self.sets {
            if addressed.keys().all(|field| fields.contains(&field)) {
                let found = |roster: &Roster<M>| clients.extend_from_slice(roster.clients());
                self.search(fields, set, &addressed, found);
            }
        }
        clients
    }

    /// Finds the lists of those clients of one set that hear a message.
    fn search(
        &self,
        fields: &[FieldId],
        set: &Set<M>,
        addressed: &Addressed<'_, FieldId>,
        mut found_list: impl FnMut(&Roster<M>),
    ) {
        let mut shortest: Option<(usize, &Values<'_>, Found<'_>)> = None;
        for (position, field) in fields.iter().enumerate() {
            if let Some(values) = addressed.get(*field) {
                let found = set.find(position, values, &self.groups);
                if found.len() == 0 {
                    return;
                }
                if shortest.is_none_or(|(_, _, least)| found.len() < least.len()) {
                    shortest = Some((position, values, found));
                }
            }
        }
        let Some((looked_up, values, found)) = shortest else {
            found_list(&set.roster);
            return;
        };
        set.candidates(looked_up, values, found, &self.groups, |candidate| {
            let group = &self.groups[candidate];
            let registered = group.registration.fields();
            let mut others = fields.iter().zip(registered).enumerate();
            let hears = others.all(|(position, (field, registered))| {
                position == looked_up
                    || addressed
                        .get(*field)
                        .is_none_or(|values| values.meet(registered))
            });
            if hears {
                found_list(&group.roster);
            }
        });
    }

    fn addressed<'a>(&self, document: &'a str) -> Addressed<'a, FieldId> {
        if self.fields.is_empty() {
            return Addressed::default();
        }
        Addressed::read(document, &self.rule, |name| {
            let interest = self.fields.get(name)?;
            self.rule.addresses(name).then_some(interest.field)
        })
    }
}

impl<M> Default for Group<M> {
    fn default() -> Self {
        Group {
            registration: Registration::default(),
            fields: FieldSet::default(),
            places: Box::default(),
            roster: Roster::default(),
        }
    }
}
