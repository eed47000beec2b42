//! Gives memory back when three quarters of it are not used any more: what once was crowded does not
//! stay large, and shrinking costs no more than growing did.

use std::collections::HashMap;
use std::hash::Hash;

/// To be called after taking something out.
pub(super) fn trim_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.len() * 4 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}

/// To be called after taking something out.
pub(super) fn trim_list<T>(list: &mut Vec<T>) {
    if list.len() * 4 < list.capacity() {
        list.shrink_to(list.len() * 2);
    }
}
