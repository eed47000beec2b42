//! Who hears what: what a client may register, and the rule that messages go by.

pub(crate) mod addressed;
pub mod admission;
pub mod registration;
pub mod rule;
pub mod verdict;
