//! A message as it was posted: what the trusted side tells of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::clock::Moment;
use crate::feed::Event;
use crate::message::Document;
use crate::message::id::MessageId;

/// See the module. Small, as the ring holds many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    /// Its bytes.
    pub(crate) document: Document,
    /// When it was published.
    pub(crate) time: Moment,
    /// Who sent it.
    pub(crate) sender: Sender,
    /// For how many clients it was.
    pub(crate) clients: u32,
}

/// An address and a port, without what only IPv6's local networks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    ip: IpAddr,
    port: u16,
}

impl From<SocketAddr> for Sender {
    fn from(address: SocketAddr) -> Self {
        Sender {
            ip: address.ip().to_canonical(),
            port: address.port(),
        }
    }
}

impl From<Sender> for SocketAddr {
    fn from(sender: Sender) -> Self {
        SocketAddr::new(sender.ip, sender.port)
    }
}

/// A message that is told while it is new.
#[derive(Clone, Debug)]
pub(crate) struct News(Arc<(MessageId, Posted)>);

impl News {
    /// One message.
    pub(super) fn new(id: MessageId, posted: Posted) -> Self {
        News(Arc::new((id, posted)))
    }

    /// Its id, and what there is to tell of it.
    pub(crate) fn message(&self) -> &(MessageId, Posted) {
        &self.0
    }
}

impl Event for News {
    fn bytes(&self) -> usize {
        self.0.1.document.len() + size_of::<(MessageId, Posted)>()
    }
}
