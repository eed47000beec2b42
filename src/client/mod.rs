//! 6552, the public side: a thread for each browser.

pub mod accept;
pub mod census;
pub mod encoding;
pub mod events;
pub mod frames;
pub mod handshake;
pub mod http;
pub mod mailbox;
pub mod parcel;
pub mod session;

mod beat;
mod ending;
mod inbound;
mod linger;
mod meter;
