//! The accept loop of the trusted side: a thread for each connection.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Receiver;

use super::connection::Connection;
use super::{Trusted, door};
use crate::client::accept::keep_accepting;
use crate::client::census::{Bounds, Census, Guest, Presence};
use crate::mailbox::Dismissal;
use crate::os::machine;

/// Connections at most. Whoever has been idle or slow for longest makes room for a new one.
pub(crate) const MAX_CONNECTIONS: usize = 256;

/// A thread's stack.
const STACK: usize = 256 << 10;

/// One connection, for its thread and for whoever ends it.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

impl Guest for Caller {
    fn dismiss(&self, why: Dismissal) {
        let end = match why {
            // What was read is still answered.
            Dismissal::Stop => Shutdown::Read,
            Dismissal::TooSlow | Dismissal::Operator | Dismissal::Crowded => Shutdown::Both,
        };
        // One that is gone needs no telling.
        let _ = self.stream.shutdown(end);
    }
}

/// The connections' threads.
pub(crate) type Callers = Census<Caller>;

/// Nobody yet.
pub(crate) fn callers() -> Arc<Callers> {
    Arc::new(Census::new(Bounds {
        threads: MAX_CONNECTIONS + MAX_CONNECTIONS / 8,
        unsettled: MAX_CONNECTIONS,
    }))
}

/// The loop: until `stop` is closed and the listener shut.
pub(crate) fn run(
    listener: &TcpListener,
    trusted: &Arc<Trusted>,
    callers: &Arc<Callers>,
    stop: &Receiver<()>,
) {
    keep_accepting("a publisher", stop, || {
        accept_one(listener, trusted, callers)
    });
}

fn accept_one(
    listener: &TcpListener,
    trusted: &Arc<Trusted>,
    callers: &Arc<Callers>,
) -> io::Result<()> {
    let (stream, peer) = listener.accept()?;
    // A reply is to leave at once.
    stream.set_nodelay(true)?;
    let caller = Arc::new(Caller { stream, peer });
    let presence = callers.enter(&caller);
    machine::expect_memory_for_a_thread()?;
    let trusted = Arc::clone(trusted);
    thread::Builder::new()
        .name("publisher".to_owned())
        .stack_size(STACK)
        .spawn(move || serve(&caller, &trusted, presence))?;
    Ok(())
}

fn serve(caller: &Arc<Caller>, trusted: &Trusted, mut presence: Presence<Caller>) {
    let mut connection = Connection::new(caller, &mut presence);
    // A peer that goes away, or is too slow, is no error of ours.
    if let Err(error) = door::serve(&mut connection, trusted) {
        log::debug!("publisher {}: {error}", caller.peer);
    }
}
