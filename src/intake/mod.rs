//! 6553, the trusted side: where documents come in.
//!
//! sockets → datagrams (trust, replies) → rounds → udp, which publishes them.

mod datagrams;
mod pace;
pub mod reply;
mod rounds;
mod sockets;
mod trust;
pub mod udp;

pub use trust::Trust;
