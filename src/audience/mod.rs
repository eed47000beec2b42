//! Who hears what: what a client may register, and the rule that messages go by.

pub(crate) mod addressed;
pub(crate) mod registration;
pub(crate) mod rule;
pub(crate) mod verdict;
