//! udpush: one UDP datagram in, a WebSocket frame to every browser out.
//!
//! A message's way, which the source tree shows:
//!
//! datagram → [`intake`] → [`message`] → [`hub`] (id, routes) → [`mailbox`] →
//! [`worker`](hub::workers) → socket
//!
//! - The UDP thread takes whatever has arrived and makes rounds of it ([`intake::udp`]).
//! - The hub gives each message its id and posts it into its audience's mailboxes ([`hub`]).
//! - Whoever can, empties the mailboxes, without ever waiting: the UDP thread for a small
//!   audience, the workers for a large one, and the client's own thread
//!   ([`session`](client::session)) when its socket was full: it alone waits.
//!
//! [`web`] is the live page and push.js. [`server`] starts and stops the threads; [`config`] and
//! [`logging`] are what operators see.

pub mod audience;
pub mod cli;
pub mod client;
pub mod config;
pub mod http;
pub mod hub;
pub mod intake;
pub mod logging;
pub mod mailbox;
pub mod message;
pub mod os;
pub mod sequencer;
pub mod server;
pub mod web;
mod words;
