//! The blocking accept loop, and the count of what it starts: a thread for each connection.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::mailbox::{Dismissal, Limits, Mailbox};
use super::parcel::Memory;
use super::session;
use crate::hub::Hub;
use crate::os::Waker;

/// Handshakes under way at most; with more, the oldest goes.
pub const MAX_HANDSHAKES: usize = 1000;

/// How old the oldest handshake must be to go. Thousands that connect at once are no attack: until
/// then the others wait in the backlog.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long to wait after an error such as having no descriptor left, before it is tried again.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A thread's stack, of which a session touches a fraction.
const STACK: usize = 256 << 10;

/// What all client threads share, and how many there are.
#[derive(Debug)]
pub struct Clients {
    /// Where clients join.
    pub hub: Arc<Hub>,
    limits: Limits,
    memory: Arc<Memory>,
    present: Mutex<Present>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Present {
    /// Connections so far.
    connections: u64,
    threads: usize,
    /// By number: the first is the oldest.
    handshakes: BTreeMap<u64, (Instant, Arc<Mailbox>)>,
}

/// A handshake under way; dropping it, it is over.
#[derive(Debug)]
pub(super) struct Handshake {
    clients: Arc<Clients>,
    number: u64,
}

/// A thread that runs; dropped as the last thing it does.
struct Running(Arc<Clients>);

impl Clients {
    /// Nobody yet.
    pub fn new(hub: Arc<Hub>, limits: Limits, memory: Arc<Memory>) -> Self {
        Clients {
            hub,
            limits,
            memory,
            present: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The accept loop: until `stop` is closed and the listener shut.
    pub fn accept(self: &Arc<Self>, listener: &TcpListener, stop: &Receiver<()>) {
        let mut spare = None;
        loop {
            let accepted = self.accept_one(listener, &mut spare);
            if stop.try_recv() == Err(TryRecvError::Disconnected) {
                return;
            }
            match accepted {
                Ok(()) => {}
                // It left before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::warn!("cannot accept a client: {error}");
                    let stopped = stop.recv_timeout(BACK_OFF);
                    if stopped == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for a connection. Its waker is there before: a client that is accepted with the last
    /// descriptor would have to be turned away, one that is not waits in the backlog.
    fn accept_one(
        self: &Arc<Self>,
        listener: &TcpListener,
        spare: &mut Option<Waker>,
    ) -> io::Result<()> {
        let waker = match spare.take() {
            Some(waker) => waker,
            None => Waker::new()?,
        };
        match listener.accept() {
            Ok((stream, peer)) => self.welcome(stream, peer, waker),
            Err(error) => {
                *spare = Some(waker);
                Err(error)
            }
        }
    }

    /// Starts a thread for a connection.
    fn welcome(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        waker: Waker,
    ) -> io::Result<()> {
        let memory = Arc::clone(&self.memory);
        let mailbox = Arc::new(Mailbox::new(stream, waker, self.limits, memory));
        let handshake = self.begin_handshake(Arc::clone(&mailbox));
        let running = self.begin_thread();
        thread::Builder::new()
            .name("client".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let running = running;
                session::run(&mailbox, peer, &running.0, handshake);
                // The socket is closed before the thread counts as gone.
                drop(mailbox);
            })?;
        Ok(())
    }

    fn begin_handshake(self: &Arc<Self>, mailbox: Arc<Mailbox>) -> Handshake {
        let mut present = self.present();
        while present.handshakes.len() >= MAX_HANDSHAKES
            && let Some(oldest) = present.handshakes.first_entry()
        {
            let age = oldest.get().0.elapsed();
            if age >= PATIENCE {
                oldest.remove().1.dismiss(Dismissal::Crowded);
                break;
            }
            let waited = self.changed.wait_timeout(present, PATIENCE - age);
            present = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        present.connections += 1;
        let number = present.connections;
        present.handshakes.insert(number, (Instant::now(), mailbox));
        Handshake {
            clients: Arc::clone(self),
            number,
        }
    }

    fn begin_thread(self: &Arc<Self>) -> Running {
        self.present().threads += 1;
        Running(Arc::clone(self))
    }

    /// Asks every handshake under way to end. Those who have joined are the hub's.
    pub fn dismiss_handshakes(&self) {
        for (_, mailbox) in self.present().handshakes.values() {
            mailbox.dismiss(Dismissal::Stop);
        }
    }

    /// Waits until no client's thread is left, and says how many still are.
    pub fn wait_until_gone(&self, timeout: Duration) -> usize {
        let present = self.present();
        let outcome = self
            .changed
            .wait_timeout_while(present, timeout, |present| present.threads > 0);
        outcome.unwrap_or_else(PoisonError::into_inner).0.threads
    }

    /// Each step under this lock leaves what it guards whole.
    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Both tell only when somebody may wait for just that: telling is a system call.

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut present = self.clients.present();
        let was_full = present.handshakes.len() >= MAX_HANDSHAKES;
        present.handshakes.remove(&self.number);
        if was_full {
            self.clients.changed.notify_all();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut present = self.0.present();
        present.threads -= 1;
        if present.threads == 0 {
            self.0.changed.notify_all();
        }
    }
}
