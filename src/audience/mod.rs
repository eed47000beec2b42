//! Who hears what: what a client may register, and the rule that messages go by.

pub mod registration;
pub mod rule;
