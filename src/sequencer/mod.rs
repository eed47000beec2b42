//! Gives each message its id and its home, in one order.
//!
//! The thread that publishes asks; the hub publishes what has an id, in the order of the ids, and
//! nothing else. Sequences have no holes inside an epoch. The only home so far is memory.

mod memory;

pub(crate) use memory::Memory;
