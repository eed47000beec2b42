//! What each client should have heard, by what one heard who hears everything. Pure.

use std::collections::BTreeMap;

/// A message's place in the server's order, and whom it was for: `None` is everybody.
pub(crate) type User = Option<u32>;

/// Messages, as a number and a sum: two runs of the same order with the same of both are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    mixed: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, sequence: u64) {
        self.count += 1;
        let spread = (sequence + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.mixed = self.mixed.wrapping_add(spread ^ (spread >> 31));
    }
}

/// What a client heard while it was registered as one user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) user: u32,
    /// Nothing up to this one counts.
    pub(crate) after: u64,
    /// Everything up to this one does.
    pub(crate) until: u64,
    pub(crate) heard: Sum,
}

/// All messages of an epoch, in order.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    to_all: Vec<u64>,
    to_user: BTreeMap<u32, Vec<u64>>,
    /// Everything up to here is known.
    pub(crate) newest: u64,
    pub(crate) count: u64,
}

impl Ledger {
    pub(crate) fn record(&mut self, sequence: u64, user: User) {
        self.newest = sequence;
        self.count += 1;
        match user {
            None => self.to_all.push(sequence),
            Some(user) => self.to_user.entry(user).or_default().push(sequence),
        }
    }

    /// Whether it heard all that was for it, and nothing else; `None` as long as not all of it is
    /// known here.
    pub(crate) fn judge(&self, stretch: &Stretch) -> Option<bool> {
        if stretch.until > self.newest {
            return None;
        }
        let mut due = Sum::default();
        let own = self.to_user.get(&stretch.user);
        for messages in [Some(&self.to_all), own].into_iter().flatten() {
            let first = messages.partition_point(|&sequence| sequence <= stretch.after);
            let rest = &messages[first..];
            let end = rest.partition_point(|&sequence| sequence <= stretch.until);
            for &sequence in &rest[..end] {
                due.add(sequence);
            }
        }
        Some(due == stretch.heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_right_when_all_of_its_own_and_nothing_else_was_heard() {
        let mut ledger = Ledger::default();
        for (sequence, user) in [
            (1, None),
            (2, Some(7)),
            (3, Some(8)),
            (4, None),
            (5, Some(7)),
        ] {
            ledger.record(sequence, user);
        }
        let stretch = |after, until, sequences: &[u64]| {
            let mut heard = Sum::default();
            sequences.iter().for_each(|&sequence| heard.add(sequence));
            Stretch {
                user: 7,
                after,
                until,
                heard,
            }
        };
        for (after, until, heard, right) in [
            (0, 5, &[1, 2, 4, 5][..], Some(true)),
            (1, 4, &[2, 4], Some(true)),
            (2, 3, &[], Some(true)),
            (1, 4, &[2], Some(false)),
            (1, 4, &[2, 3], Some(false)),
            (1, 4, &[2, 3, 4], Some(false)),
            (1, 6, &[2, 4, 5], None),
        ] {
            assert_eq!(
                ledger.judge(&stretch(after, until, heard)),
                right,
                "{after} {until}"
            );
        }
    }
}
