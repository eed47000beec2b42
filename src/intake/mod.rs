//! 6553, the trusted side: where documents come in.

pub mod reply;
mod sockets;
pub mod udp;
