//! Which fields of a message address it: any, or those that `--route` names.

use std::collections::BTreeSet;

/// Which fields of a message address it, and what becomes of a client that did not register them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A message goes to every client that it does not contradict. It contradicts a client when it
    /// has a field that the client registered with other values.
    #[default]
    Open,
    /// `--route`: only these fields address, and a message that carries one of them reaches only
    /// clients that registered it so.
    Closed(BTreeSet<String>),
}

impl Rule {
    /// The only fields that address; `None` where any may.
    pub(crate) fn names(&self) -> Option<&BTreeSet<String>> {
        match self {
            Rule::Open => None,
            Rule::Closed(fields) => Some(fields),
        }
    }

    /// Whether a field of this name can address a message.
    pub(crate) fn addresses(&self, field: &str) -> bool {
        match self {
            Rule::Open => true,
            Rule::Closed(fields) => fields.contains(field),
        }
    }
}
