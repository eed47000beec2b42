//! The groups that registered one value.

use super::set::GroupIndex;
use super::trim::trim_list;

/// One group in one value's list; small, as there is one for each registered value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    group: u32,
    slot: u16,
}

impl Posting {
    /// The value with number `slot`, counted through all its fields, of a group.
    pub(super) fn new(group: GroupIndex, slot: usize) -> Self {
        Posting {
            // Each group has a client, each client a descriptor: far fewer than 2^32.
            group: group as u32,
            // A registration has at most 64 values.
            slot: slot as u16,
        }
    }

    /// The group.
    pub(super) fn group(self) -> GroupIndex {
        self.group as GroupIndex
    }

    /// Which of the group's values it is, counted through all its fields.
    pub(super) fn slot(self) -> usize {
        self.slot.into()
    }
}

/// One list. Most values are one group's own: no allocation for those.
#[derive(Debug)]
pub(super) enum Postings {
    One(Posting),
    Many(Vec<Posting>),
}

impl Postings {
    pub(super) fn as_slice(&self) -> &[Posting] {
        match self {
            Postings::One(posting) => std::slice::from_ref(posting),
            Postings::Many(list) => list,
        }
    }

    /// Returns the posting's place.
    pub(super) fn push(&mut self, posting: Posting) -> u32 {
        match self {
            Postings::One(first) => {
                *self = Postings::Many(vec![*first, posting]);
                1
            }
            Postings::Many(list) => {
                list.push(posting);
                list.len() as u32 - 1
            }
        }
    }

    /// Removes the posting at `place`, where the last one moves, and returns that one, itself where
    /// it is the last; `None`, and nothing is removed, where there is no other.
    pub(super) fn swap_remove(&mut self, place: u32) -> Option<Posting> {
        let Postings::Many(list) = self else {
            return None;
        };
        let last = list.last().copied();
        list.swap_remove(place as usize);
        if let [only] = list[..] {
            *self = Postings::One(only);
        } else {
            trim_list(list);
        }
        last
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        match self {
            Postings::One(_) => 0,
            Postings::Many(list) => list.capacity(),
        }
    }
}
