//! As much HTTP as udpush speaks: a request's head in, a short answer out.

mod answer;
pub mod cors;
mod head;

pub use answer::Answer;
pub use head::{Head, MAX_HEADERS, Malformed};
