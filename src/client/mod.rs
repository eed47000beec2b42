//! 6552, the public side: a thread for each browser.

pub mod accept;
pub mod census;
pub mod handshake;
pub mod session;

mod beat;
mod ending;
mod inbound;
mod linger;
mod meter;
