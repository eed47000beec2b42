//! 6553 by TCP, the trusted side: documents a line, or HTTP; a thread each.
//!
//! What changes or reveals anything is here and nowhere else. Asking never holds up a push: what is
//! told is read from counters and snapshots.
//!
//! accept → connection → lines, or http → publish and the others.

pub(crate) mod accept;
mod clients;
pub(crate) mod connection;
pub(crate) mod dashboard;
mod door;
mod explain;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod history;
mod http;
mod lines;
mod live;
mod manual;
mod metrics;
pub(crate) mod publish;
mod receipt;
mod request;
pub(crate) mod status;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::canary::Canary;
use crate::http::host::Host;
use crate::hub::Hub;
use crate::intake::Trust;
use crate::intake::submissions::Desk;
use crate::tally::Tally;
use crate::webhook::Webhook;

/// What the threads of the trusted side share.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Where documents are handed in.
    pub(crate) desk: Desk,
    /// Who is online, and what they hear.
    pub(crate) hub: Arc<Hub>,
    /// Whether messages get through.
    pub(crate) canary: Arc<Canary>,
    /// What has happened.
    pub(crate) tally: Arc<Tally>,
    /// Of this process, what never changes.
    pub(crate) facts: status::Facts,
    /// Where what clients do is sent, if anywhere.
    pub(crate) webhook: Option<Arc<Webhook>>,
    /// Who may publish, and who may look inside.
    pub(crate) trust: Trust,
    /// Names that a request may ask for besides addresses and localhost.
    pub(crate) hosts: Vec<Host>,
    /// Bytes of one document at most.
    pub(crate) max_message: usize,
    /// What was answered to requests with a key, so that they can be sent again.
    pub(crate) answered: publish::Answered,
    /// What `GET /` shows.
    pub(crate) dashboard: dashboard::Dashboard,
}

impl Trusted {
    /// Whether somebody at this address may look inside, and end clients.
    pub(crate) fn may_look(&self, peer: SocketAddr) -> bool {
        self.trust.may_look(peer)
    }
}
