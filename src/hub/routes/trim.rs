//! Gives memory back when three quarters of it are not used any more: what once was crowded does not
//! stay large, and shrinking costs no more than growing did.

use std::collections::HashMap;
use std::hash::Hash;

use hashbrown::HashTable;

/// To be called after taking something out.
pub(super) fn trim_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.len() * 4 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}

/// To be called after taking something out.
pub(super) fn trim_table<T>(table: &mut HashTable<T>, hash_of: impl Fn(&T) -> u64) {
    if table.len() * 4 < table.capacity() {
        table.shrink_to(table.len() * 2, hash_of);
    }
}

/// To be called after taking something out.
pub(super) fn trim_list<T>(list: &mut Vec<T>) {
    if list.len() * 4 < list.capacity() {
        list.shrink_to(list.len() * 2);
    }
}
