//! udpush: one UDP datagram in, a WebSocket frame to every browser out.
//!
//! # The way of a datagram
//!
//! The source tree shows it, from top to bottom, and nobody further down calls anybody further up:
//!
//! 1. [`intake::sockets`]: the UDP thread ([`intake::udp`]) receives it, with whatever else has
//!    arrived, without waiting.
//! 2. [`intake::datagrams`]: whoever sent it may publish ([`intake::trust`]), and the documents in it
//!    are found ([`message`]); or it is refused ([`intake::reply`]).
//! 3. [`intake::rounds`]: they are gathered in one order, and make a round.
//! 4. [`sequencer`]: each gets its id.
//! 5. [`hub`]: the round goes into the [ring](hub::ring), from which clients that come back are told
//!    what they missed; the [routes](hub::routes) know who hears each message
//!    ([`audience`] is the rule that they go by).
//! 6. [`mailbox::encoding`]: a run of messages with the same audience becomes one
//!    [parcel](mailbox::parcel), once for all who hear it in the same way.
//! 7. [`mailbox`]: the parcel is posted to each of them.
//! 8. [`mailbox::outlet`], [`mailbox::wire`]: whoever can, empties the mailboxes into the sockets,
//!    without ever waiting: the UDP thread for a small audience, the [workers](hub::workers) for a
//!    large one, and the client's own thread ([`client::session`]) when its socket was full; it
//!    alone waits.
//!
//! # Threads, and who ends them
//!
//! ```text
//!  thread   how many           what it does                        how it ends                      who waits for it
//!  -------  -----------------  ----------------------------------  -------------------------------  --------------------
//!  main     1                  waits for a signal, stops the rest  returns                          the shell
//!  ctrl-c   1                  hears the signals                   with the process
//!  log      1                  writes the log                      told, after the last line        main, at most 1 s
//!  udp      1                  publishes: steps 1 to 8             its stop channel is closed       server::stop
//!  worker   --workers          empties mailboxes                   the hub is dropped               server::stop
//!  accept   1                  finds a thread for each client      listener shut, channel closed    server::stop
//!  client   one a connection   handshake, session, last bytes;     its connection ends, or it is    census, at most 5 s
//!                              then the next client's, within a    told to go; idle, with the
//!                              minute                              process
//!  online   1                  tells how many are online, where    its stop channel is closed       server::stop
//!                              clients ask for it
//!  webhook  1, by --webhook    POSTs what clients do               its stop channel is closed       server::stop, at
//!                                                                                                   most 1.25 s
//! ```
//!
//! When the log, udp, worker, accept or webhook thread ends by itself, main stops the server, with
//! exit status 1.
//!
//! # The order in which the server stops
//!
//! ```text
//!  signal ──► whoever waits for the canary is told; accept loop ends: no new clients
//!             └─► UDP thread publishes what its sockets hold, at most 0.5 s
//!                 └─► handshakes are told to go; nobody can join any more
//!                     └─► each client is told: what is queued leaves, close 1001, at most 5 s
//!                         └─► the webhook is sent what waits for it, once, at most 1 s
//!                             └─► the hub is dropped, and with it the workers end
//!                                 └─► the last lines of the log ──► exit status 0
//! ```
//!
//! # Locks
//!
//! No lock is held while anybody waits, makes a system call that may wait, or logs. Where two are
//! held, the one further up was taken first.
//!
//! ```text
//!  lock            guards                                                    held by
//!  --------------  --------------------------------------------------------  -----------------------------------------
//!  hub state       ring, routes, who replays, whether it stops               the UDP thread to publish; a client's
//!                                                                            thread to join, register, replay, beat,
//!                                                                            and leave
//!  outlet          what came out of one mailbox's channel and is not sent    whoever delivers (tries, never waits), and
//!                                                                            the owner (waits)
//!  canary          the one under way, and how the last one fared             whoever asks /healthz; the UDP thread when
//!                                                                            it comes by; whoever asks for the status
//!  census          client threads, and which are no members                  the accept loop, each client's thread
//!  pool            client threads that wait for a client                     the accept loop, a client's thread at its end
//!  crowd           connections of each address                               each client's thread, at its beginning and end
//!  tally           what rates are made of; visitors refused, by status       whoever counts first in a second (tries,
//!                                                                            never waits); threads of those who are
//!                                                                            refused; whoever asks for the status
//!  log's tail      the newest lines of the log                               the log thread; whoever begins to follow it
//!  feed            who listens to it                                         whoever tells or begins to listen
//!  listener        what waits for one                                        whoever tells, and the listener
//!  log's file      nothing: the log thread alone has it
//! ```
//!
//! [`canary`] finds out whether messages get through, on the thread of whoever asks `/healthz`: it waits
//! for a second at most, also when it is told to go in the meantime, but for when the server stops.
//! [`admission`] says who may listen, to what, and until when. [`tally`] counts what happens, where it
//! happens, for [`trusted`], the HTTP of 6553.
//! A [`feed`] tells it, as it happens, to whoever listens there: [`activity`] is what clients do, also
//! for the [`webhook`].
//! [`manual`] is what people read of all this.
//! [`web`] is the live page and push.js, [`http`] the little HTTP that 6552 speaks. [`server`] starts
//! and stops the threads; [`config`] and [`logging`] are what operators see; [`os`] is what std lacks.

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "whoever reads this has it made with --document-private-items"
)]

mod activity;
mod address;
mod admission;
mod audience;
mod canary;
pub mod cli;
mod client;
mod clock;
mod config;
mod feed;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod hub;
mod intake;
mod logging;
mod mailbox;
pub mod manual;
mod message;
mod os;
mod sequencer;
mod server;
mod tally;
mod trusted;
mod web;
mod webhook;
mod words;
