//! 6553, the trusted side: where documents come in.
//!
//! sockets → datagrams (trust, replies) → rounds → udp, which publishes them.

pub(crate) mod datagrams;
pub(crate) mod pace;
pub(crate) mod reply;
pub(crate) mod rounds;
pub(crate) mod sockets;
pub(crate) mod submissions;
pub(crate) mod trust;
pub(crate) mod udp;

pub(crate) use trust::Trust;
