//! The threads of the trusted side's TCP, from the first to the last.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::error::StartError;
use super::threads::{self, Event};
use crate::os;
use crate::trusted::Trusted;
use crate::trusted::accept::{self, Callers};
use crate::words::plural;

/// How long publishers may take to read their last replies when the server stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// Listeners, their accept loops, and the connections' threads.
#[derive(Debug)]
pub(super) struct TrustedSide {
    listeners: Vec<Arc<TcpListener>>,
    callers: Arc<Callers>,
    /// Closing it is the order to stop.
    stop: Option<Sender<()>>,
    accepting: Vec<JoinHandle<()>>,
}

impl TrustedSide {
    /// Starts an accept loop for each listener.
    pub(super) fn start(
        trusted: Arc<Trusted>,
        listeners: Vec<Arc<TcpListener>>,
        events: &Sender<Event>,
    ) -> Result<Self, StartError> {
        let callers = accept::callers();
        let (stop, stopped) = bounded(0);
        let accepting = listeners.iter().map(|listener| {
            let (listener, trusted) = (Arc::clone(listener), Arc::clone(&trusted));
            let (callers, stopped) = (Arc::clone(&callers), stopped.clone());
            threads::start("trusted", events, move || {
                accept::run(&listener, &trusted, &callers, &stopped);
                Ok(())
            })
        });
        Ok(TrustedSide {
            accepting: accepting.collect::<Result<_, _>>()?,
            listeners,
            callers,
            stop: Some(stop),
        })
    }

    /// Takes no new connection.
    pub(super) fn stop_accepting(&mut self) {
        self.stop = None;
        for listener in &self.listeners {
            os::shut_listener(listener);
        }
        for thread in self.accepting.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }

    /// Ends the connections, once nothing is published any more: whoever waits has an answer. Says
    /// how many have not left in time.
    pub(super) fn stop(&self) -> usize {
        self.callers.stop();
        let left = self.callers.wait_until_empty(FAREWELL);
        if left > 0 {
            log::debug!(
                "{left} publisher{} did not leave in time",
                plural(left as u64)
            );
        }
        left
    }
}
