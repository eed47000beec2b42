//! Where other threads hand in documents: they are published by the UDP thread, in one order with
//! what comes as datagrams, and each gets a receipt.
//!
//! A desk with many submissions makes the next one wait, never the UDP thread.

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::hub::Receipt;
use crate::message::Document;
use crate::os::Waker;

/// Submissions that wait at most; each is about a round.
const WAITING: usize = 16;

/// Documents that were handed in together.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(super) documents: Vec<Document>,
    pub(super) ticket: Ticket,
}

/// Who handed documents in, and where the receipts go.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) sender: SocketAddr,
    pub(super) receipts: Sender<Vec<Receipt>>,
}

/// The handing end; each thread has its own.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    submissions: Sender<Submission>,
    /// Wakes the UDP thread.
    waker: Arc<Waker>,
}

/// The server stops: what was handed in is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopping;

/// Both ends; `waker` wakes the thread that has the other one.
pub(crate) fn desk(waker: Arc<Waker>) -> (Desk, Receiver<Submission>) {
    let (submissions, waiting) = bounded(WAITING);
    (Desk { submissions, waker }, waiting)
}

impl Desk {
    /// Hands documents in, and waits until they are published: a receipt each, in order.
    ///
    /// # Errors
    /// When the server stops before all of them are.
    pub(crate) fn submit(
        &self,
        documents: Vec<Document>,
        sender: SocketAddr,
    ) -> Result<Vec<Receipt>, Stopping> {
        let count = documents.len();
        // At most one entry a round, and the rounds of one submission are few.
        let (receipts, published) = unbounded();
        let ticket = Ticket { sender, receipts };
        self.submissions
            .send(Submission { documents, ticket })
            .map_err(|_| Stopping)?;
        self.waker.wake();
        let mut all: Vec<Receipt> = Vec::with_capacity(count);
        while all.len() < count {
            all.extend(published.recv().map_err(|_| Stopping)?);
        }
        Ok(all)
    }
}
