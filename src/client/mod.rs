//! 6552, the public side: a thread for each browser.

pub(crate) mod accept;
pub(crate) mod census;
pub(crate) mod handshake;
pub(crate) mod session;

mod beat;
mod ending;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inbound;
mod linger;
mod meter;
mod pool;
mod said;
