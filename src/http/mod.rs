//! As much HTTP as udpush speaks: a request's head in, a short answer out.

mod answer;
pub(crate) mod cors;
mod head;
pub(crate) mod host;
pub(crate) mod origin;
pub(crate) mod resource;

pub(crate) use answer::Answer;
pub(crate) use head::{Head, MAX_HEADERS, Malformed};
