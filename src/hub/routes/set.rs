//! The filters with the same fields: per field a table from value to filters, by their groups.
//!
//! A table holds no texts, only their hashes, which came with the registrations: what it compares
//! is the registration of a group in the list. So entering and withdrawing a value costs two looks
//! into a table, and a table that grows or shrinks looks at nothing but itself.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Group;
use super::audience::Roster;
use super::postings::{Posting, Postings};
use super::trim::trim_table;
use crate::audience::addressed::Values;
use crate::audience::registration::{self, Filter};

/// A place in the list of all groups.
pub(super) type GroupIndex = usize;

/// Looks up groups by their values; told the list of all groups, since that has the texts.
///
/// Fields go by their position: the order is that of a registration, the same in all its groups.
#[derive(Debug)]
pub(super) struct Set<M> {
    /// One for each field.
    tables: Box<[HashTable<List>]>,
    /// All clients of those of its groups that have no other filter.
    pub(super) roster: Roster<M>,
    /// The filters of those that have more, which may be here several times.
    pub(super) unions: Vec<FilterIndex>,
}

/// One of a group's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FilterIndex {
    pub(super) group: GroupIndex,
    /// Counted through the group's.
    pub(super) filter: usize,
}

/// The groups that registered one value, at least one.
#[derive(Debug)]
struct List {
    hash: u64,
    postings: Postings,
}

impl List {
    /// The value, as its first group has it.
    fn value<'a, M>(&self, groups: &'a [Group<M>]) -> Option<&'a str> {
        let posting = self.postings.as_slice().first()?;
        groups[posting.group()].registration.value(posting.slot())
    }

    fn is_of<M>(&self, hash: u64, value: &str, groups: &[Group<M>]) -> bool {
        self.hash == hash && self.value(groups) == Some(value)
    }
}

/// What a set has of a message's values in one field.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// The message has one value: its list.
    List(&'a [Posting]),
    /// Several: how many postings their lists have together.
    Lists(usize),
}

impl Found<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Found::List(list) => list.len(),
            Found::Lists(count) => count,
        }
    }
}

fn look_up<'a, M>(table: &'a HashTable<List>, text: &str, groups: &[Group<M>]) -> Option<&'a List> {
    let hash = registration::hash(text);
    table.find(hash, |list| list.is_of(hash, text, groups))
}

impl<M> Set<M> {
    /// Without groups.
    pub(super) fn new(fields: usize) -> Self {
        Set {
            tables: (0..fields).map(|_| HashTable::new()).collect(),
            roster: Roster::default(),
            unions: Vec::new(),
        }
    }

    /// Whether it has no groups any more.
    pub(super) fn is_empty(&self) -> bool {
        self.roster.members().is_empty() && self.unions.is_empty()
    }

    /// Enters a filter of a group of the list into the tables, and returns where: for each of its
    /// values, counted through all fields, the place in that value's list. `first` is the number of
    /// the first of them among the values of the group.
    pub(super) fn enter(
        &mut self,
        group: GroupIndex,
        filter: &Filter,
        first: usize,
        groups: &[Group<M>],
    ) -> Box<[u32]> {
        let mut places = Vec::with_capacity(filter.value_count());
        for (table, field) in self.tables.iter_mut().zip(filter.fields()) {
            for (value, hash) in field.values().zip(field.hashes()) {
                let posting = Posting::new(group, first + places.len());
                let is_of = |list: &List| list.is_of(hash, value, groups);
                let place = match table.entry(hash, is_of, |list| list.hash) {
                    Entry::Occupied(mut list) => list.get_mut().postings.push(posting),
                    Entry::Vacant(vacant) => {
                        vacant.insert(List {
                            hash,
                            postings: Postings::One(posting),
                        });
                        0
                    }
                };
                places.push(place);
            }
        }
        places.into()
    }

    /// Takes a filter of a group out of the tables. In each list the last posting takes its place;
    /// `moved` is told of those and their new places.
    pub(super) fn withdraw(
        &mut self,
        group: GroupIndex,
        filter: &Filter,
        first: usize,
        places: &[u32],
        mut moved: impl FnMut(Posting, u32),
    ) {
        let mut places = places.iter().enumerate();
        for (table, field) in self.tables.iter_mut().zip(filter.fields()) {
            for (hash, (number, place)) in field.hashes().zip(&mut places) {
                let posting = Posting::new(group, first + number);
                let has_it = |list: &List| {
                    list.hash == hash
                        && list.postings.as_slice().get(*place as usize) == Some(&posting)
                };
                let Ok(mut list) = table.find_entry(hash, has_it) else {
                    continue;
                };
                let Some(last) = list.get_mut().postings.swap_remove(*place) else {
                    list.remove();
                    continue;
                };
                if last != posting {
                    moved(last, *place);
                }
            }
            trim_table(table, |list| list.hash);
        }
    }

    /// Looks these values up.
    pub(super) fn find(&self, field: usize, values: &Values<'_>, groups: &[Group<M>]) -> Found<'_> {
        if let Values::One(text) = values {
            let list = look_up(&self.tables[field], text, groups);
            return Found::List(list.map_or(&[], |list| list.postings.as_slice()));
        }
        let mut count = 0;
        self.lists(field, values, groups, |list| count += list.len());
        Found::Lists(count)
    }

    /// The filters that have any of these values, each once. `found` is what [`Set::find`] said.
    pub(super) fn candidates(
        &self,
        field: usize,
        values: &Values<'_>,
        found: Found<'_>,
        groups: &[Group<M>],
        mut candidate: impl FnMut(FilterIndex),
    ) {
        let filter_of = |posting: &Posting| FilterIndex {
            group: posting.group(),
            filter: groups[posting.group()].filter_of(posting.slot()),
        };
        let count = match found {
            Found::List(list) => {
                list.iter().map(filter_of).for_each(candidate);
                return;
            }
            Found::Lists(count) => count,
        };
        // A filter that has several of the values is in several of the lists.
        let mut candidates = Vec::with_capacity(count);
        self.lists(field, values, groups, |list| {
            candidates.extend(list.iter().map(filter_of));
        });
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().for_each(&mut candidate);
    }

    /// Finds the lists of several values.
    fn lists(
        &self,
        field: usize,
        values: &Values<'_>,
        groups: &[Group<M>],
        mut found: impl FnMut(&[Posting]),
    ) {
        let table = &self.tables[field];
        match values {
            Values::AnyOf(texts) if texts.len() <= table.len() => {
                for list in texts.iter().filter_map(|text| look_up(table, text, groups)) {
                    found(list.postings.as_slice());
                }
            }
            // A message may name thousands of values, and there may be many small sets.
            _ => {
                let is_named = |value| values.contain(value);
                for list in table {
                    if list.value(groups).is_some_and(is_named) {
                        found(list.postings.as_slice());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
impl<M> Set<M> {
    /// Room in all its lists.
    pub(super) fn capacity(&self) -> usize {
        let lists = self.tables.iter().flatten();
        let tables = self.tables.iter().map(HashTable::capacity);
        let lists = lists.map(|list| list.postings.capacity());
        tables.chain(lists).sum::<usize>() + self.roster.capacity() + self.unions.capacity()
    }

    /// Postings in all its lists; none of them may be empty.
    pub(super) fn postings(&self) -> usize {
        let lists = self.tables.iter().flatten();
        lists
            .map(|list| list.postings.as_slice().len())
            .inspect(|length| assert!(*length > 0))
            .sum()
    }

    /// Whether a group's filter is where its places say.
    pub(super) fn assert_entered(
        &self,
        group: GroupIndex,
        filter: &Filter,
        first: usize,
        places: &[u32],
        groups: &[Group<M>],
    ) {
        let mut number = 0;
        for (table, field) in self.tables.iter().zip(filter.fields()) {
            for (value, hash) in field.values().zip(field.hashes()) {
                let list = table.find(hash, |list| list.is_of(hash, value, groups));
                let posting = list.unwrap().postings.as_slice()[places[number] as usize];
                assert_eq!(posting, Posting::new(group, first + number));
                number += 1;
            }
        }
        assert_eq!(number, places.len());
    }
}
