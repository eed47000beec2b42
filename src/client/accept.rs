//! The blocking accept loop: a thread for each connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::census::{Bounds, Census, Presence};
use super::pool::{Pool, Taken};
use super::session;
use crate::admission::Admission;
use crate::hub::Hub;
use crate::mailbox::parcel::Memory;
use crate::mailbox::wire::Wire;
use crate::mailbox::{Limits, Mailbox};
use crate::os::Waker;
use crate::tally::Tally;
use crate::web::Site;
use crate::words::canonical;

/// How long to wait after an error such as having no descriptor left, before it is tried again.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What all client threads share, and how many there are.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Where clients join.
    pub(crate) hub: Arc<Hub>,
    /// Who may join.
    pub(super) admission: Admission,
    /// What is served to whoever asks for no session.
    pub(super) site: Site,
    /// What visitors are refused for is counted here.
    pub(super) tally: Arc<Tally>,
    limits: Limits,
    memory: Arc<Memory>,
    census: Arc<Census>,
    pool: Arc<Pool<Presence>>,
}

/// What the accept loop holds when it has to try again.
#[derive(Default)]
struct Hand {
    /// A seat for the next client, with its waker: a client that is accepted with the last
    /// descriptor would have to be turned away, one that is not waits in the backlog.
    seat: Option<Taken<Presence>>,
    /// A client that there was no thread for.
    client: Option<(Arc<Mailbox>, SocketAddr)>,
}

/// Accepts one connection after another, until `stop` is closed and the listener shut. After an
/// error it waits a little, and says for whom there was no place.
pub(crate) fn keep_accepting(
    whom: &str,
    stop: &Receiver<()>,
    mut accept_one: impl FnMut() -> io::Result<()>,
) {
    loop {
        let accepted = accept_one();
        if stop.try_recv() == Err(TryRecvError::Disconnected) {
            return;
        }
        match accepted {
            Ok(()) => {}
            // It left before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::warn!("cannot accept {whom}: {error}");
                if stop.recv_timeout(BACK_OFF) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        }
    }
}

impl Clients {
    /// Nobody yet.
    pub(crate) fn new(
        hub: Arc<Hub>,
        admission: Admission,
        site: Site,
        limits: Limits,
        memory: Arc<Memory>,
        tally: Arc<Tally>,
        bounds: Bounds,
    ) -> Self {
        Clients {
            hub,
            admission,
            site,
            limits,
            memory,
            tally,
            census: Arc::new(Census::new(bounds)),
            pool: Arc::new(Pool::new(bounds.threads)),
        }
    }

    /// Client threads, for the end of the server.
    pub(crate) fn census(&self) -> &Census {
        &self.census
    }

    /// The accept loop: until `stop` is closed and the listener shut.
    pub(crate) fn accept(self: &Arc<Self>, listener: &TcpListener, stop: &Receiver<()>) {
        let mut hand = Hand::default();
        keep_accepting("a client", stop, || self.accept_one(listener, &mut hand));
    }

    /// Waits for a connection, and has a thread serve it.
    fn accept_one(self: &Arc<Self>, listener: &TcpListener, hand: &mut Hand) -> io::Result<()> {
        let mut seat = match hand.seat.take() {
            Some(seat) => seat,
            None => self.pool.take()?,
        };
        let client = match hand.client.take() {
            Some(client) => Ok(client),
            None => self.next_client(listener, seat.waker()),
        };
        let outcome = client.and_then(|(mailbox, peer)| {
            let started = self.start(&mut seat, &mailbox, peer);
            if started.is_err() {
                hand.client = Some((mailbox, peer));
            }
            started
        });
        if outcome.is_err() {
            hand.seat = Some(seat);
        }
        outcome
    }

    fn next_client(
        &self,
        listener: &TcpListener,
        waker: Arc<Waker>,
    ) -> io::Result<(Arc<Mailbox>, SocketAddr)> {
        let (stream, peer) = listener.accept()?;
        let peer = canonical(peer);
        let memory = Arc::clone(&self.memory);
        let mailbox = Mailbox::new(Wire::new(stream, peer), waker, self.limits, memory);
        Ok((Arc::new(mailbox), peer))
    }

    fn start(
        self: &Arc<Self>,
        seat: &mut Taken<Presence>,
        mailbox: &Arc<Mailbox>,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let presence = self.census.enter(mailbox);
        let (clients, mailbox) = (Arc::clone(self), Arc::clone(mailbox));
        let job = Box::new(move || {
            // The last to be dropped, in a panic too: all else is closed before the thread counts as
            // free.
            let mut presence = presence;
            let mailbox = mailbox;
            session::run(&mailbox, peer, &clients, &mut presence);
            drop(mailbox);
            presence
        });
        self.pool.start(seat, job)
    }
}
