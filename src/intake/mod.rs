//! 6553, the trusted side: where documents come in.

pub mod reply;
pub mod udp;
