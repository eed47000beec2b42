//! The blocking accept loop: a thread for each connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::census::{Bounds, Census};
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

/// A thread's stack, of which a session touches a fraction.
const STACK: usize = 256 << 10;

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
}

/// What the accept loop holds when it has to try again.
#[derive(Default)]
struct Hand {
    /// A connection's waker is there before: a client that is accepted with the last descriptor
    /// would have to be turned away, one that is not waits in the backlog.
    waker: Option<Waker>,
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

    /// Waits for a connection, and starts a thread for it.
    fn accept_one(self: &Arc<Self>, listener: &TcpListener, hand: &mut Hand) -> io::Result<()> {
        let (mailbox, peer) = match hand.client.take() {
            Some(client) => client,
            None => self.next_client(listener, hand)?,
        };
        let started = self.start(&mailbox, peer);
        if started.is_err() {
            hand.client = Some((mailbox, peer));
        }
        started
    }

    fn next_client(
        &self,
        listener: &TcpListener,
        hand: &mut Hand,
    ) -> io::Result<(Arc<Mailbox>, SocketAddr)> {
        let waker = match hand.waker.take() {
            Some(waker) => waker,
            None => Waker::new()?,
        };
        match listener.accept() {
            Ok((stream, peer)) => {
                let peer = canonical(peer);
                Ok((self.mailbox(Wire::new(stream, peer), waker), peer))
            }
            Err(error) => {
                hand.waker = Some(waker);
                Err(error)
            }
        }
    }

    fn mailbox(&self, wire: Wire, waker: Waker) -> Arc<Mailbox> {
        let memory = Arc::clone(&self.memory);
        Arc::new(Mailbox::new(wire, waker, self.limits, memory))
    }

    fn start(self: &Arc<Self>, mailbox: &Arc<Mailbox>, peer: SocketAddr) -> io::Result<()> {
        let presence = self.census.enter(mailbox);
        let (clients, mailbox) = (Arc::clone(self), Arc::clone(mailbox));
        thread::Builder::new()
            .name("client".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                // The last to be dropped, in a panic too: all else is closed before the thread
                // counts as gone.
                let mut presence = presence;
                let mailbox = mailbox;
                session::run(&mailbox, peer, &clients, &mut presence);
            })?;
        Ok(())
    }
}
