//! The groups that registered the same fields: per field a table from value to groups.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::audience::Roster;
use super::trim::{trim_list, trim_map};
use crate::registration::Registration;
use crate::rule::Values;

/// A place in the list of all groups.
pub(super) type GroupIndex = usize;

/// Looks up groups by their values.
///
/// Fields go by their position: the order is that of a registration, the same in all its groups.
#[derive(Debug)]
pub(super) struct Set<M> {
    /// One for each field. Their keys are a registration's own texts, shared with it.
    tables: Box<[HashMap<Arc<str>, Vec<Posting>>]>,
    /// All clients of all its groups.
    pub(super) roster: Roster<M>,
}

/// One group in one value's list; small, as there is one for each registered value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    group: u32,
    slot: u16,
}

impl Posting {
    /// The group.
    pub(super) fn group(self) -> GroupIndex {
        self.group as GroupIndex
    }

    /// Which of the group's values it is, counted through all its fields.
    pub(super) fn slot(self) -> usize {
        self.slot.into()
    }
}

impl<M> Set<M> {
    /// Without groups.
    pub(super) fn new(fields: usize) -> Self {
        Set {
            tables: (0..fields).map(|_| HashMap::new()).collect(),
            roster: Roster::default(),
        }
    }

    /// Enters a group into the tables, and returns where: for each of its values, counted through
    /// all fields, the place in that value's list.
    pub(super) fn enter(&mut self, group: GroupIndex, registration: &Registration) -> Box<[u32]> {
        let mut places = Vec::new();
        for (table, field) in self.tables.iter_mut().zip(registration.fields()) {
            for value in &field.values {
                let posting = Posting {
                    // Each group has a client, each client a descriptor: far fewer than 2^32.
                    group: group as u32,
                    // At most 16 fields of 64 values.
                    slot: places.len() as u16,
                };
                // Most values are one group's own: room for no more.
                let list = table.entry(Arc::clone(value));
                let list = list.or_insert_with(|| Vec::with_capacity(1));
                places.push(list.len() as u32);
                list.push(posting);
            }
        }
        places.into()
    }

    /// Takes a group out of the tables. In each list the last posting takes its place; `moved` is
    /// told of those and their new places.
    pub(super) fn withdraw(
        &mut self,
        registration: &Registration,
        places: &[u32],
        mut moved: impl FnMut(Posting, u32),
    ) {
        let mut places = places.iter();
        for (table, field) in self.tables.iter_mut().zip(registration.fields()) {
            for (value, place) in field.values.iter().zip(&mut places) {
                let Entry::Occupied(mut entry) = table.entry(Arc::clone(value)) else {
                    continue;
                };
                let list = entry.get_mut();
                list.swap_remove(*place as usize);
                if let Some(last) = list.get(*place as usize) {
                    moved(*last, *place);
                }
                trim_list(list);
                if list.is_empty() {
                    entry.remove();
                }
            }
            trim_map(table);
        }
    }

    /// How many postings the lists of these values have together.
    pub(super) fn count(&self, field: usize, values: &Values<'_>) -> usize {
        let mut count = 0;
        self.lists(field, values, |list| count += list.len());
        count
    }

    /// The groups in the lists of these values, each once. `count` is what [`Set::count`] said.
    pub(super) fn candidates(
        &self,
        field: usize,
        values: &Values<'_>,
        count: usize,
        mut found: impl FnMut(GroupIndex),
    ) {
        if let Values::One(_) = values {
            self.lists(field, values, |list| {
                list.iter().for_each(|posting| found(posting.group()));
            });
            return;
        }
        // A group that registered several of the values is in several of the lists.
        let mut groups = Vec::with_capacity(count);
        self.lists(field, values, |list| {
            groups.extend(list.iter().map(|posting| posting.group()));
        });
        groups.sort_unstable();
        groups.dedup();
        groups.into_iter().for_each(found);
    }

    fn lists(&self, field: usize, values: &Values<'_>, mut found: impl FnMut(&[Posting])) {
        let table = &self.tables[field];
        match values {
            Values::One(text) => {
                if let Some(list) = table.get(&**text) {
                    found(list);
                }
            }
            Values::AnyOf(texts) if texts.len() <= table.len() => {
                for list in texts.iter().filter_map(|text| table.get(&**text)) {
                    found(list);
                }
            }
            // A message may name thousands of values, and there may be many small sets.
            Values::AnyOf(_) => {
                for (value, list) in table {
                    if values.contain(value) {
                        found(list);
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
        let lists = self.tables.iter().flat_map(HashMap::values);
        let tables = self.tables.iter().map(HashMap::capacity);
        tables.chain(lists.map(Vec::capacity)).sum::<usize>() + self.roster.capacity()
    }

    /// Postings in all its lists; none of them may be empty.
    pub(super) fn postings(&self) -> usize {
        let lists = self.tables.iter().flat_map(HashMap::values);
        lists
            .inspect(|list| assert!(!list.is_empty()))
            .map(Vec::len)
            .sum()
    }

    /// Whether a group is where its places say.
    pub(super) fn assert_entered(
        &self,
        group: GroupIndex,
        registration: &Registration,
        places: &[u32],
    ) {
        let mut slot = 0;
        for (table, field) in self.tables.iter().zip(registration.fields()) {
            for value in &field.values {
                let posting = table[value][places[slot] as usize];
                assert_eq!((posting.group(), posting.slot()), (group, slot));
                slot += 1;
            }
        }
        assert_eq!(slot, places.len());
    }
}
