//! The thread that tells how many are online to those who ask, from its start to its end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

use super::error::StartError;
use super::threads::{self, Event};
use crate::hub::Hub;

/// Between two numbers.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct OnlineThread {
    /// Closing it is the order to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl OnlineThread {
    pub(super) fn start(hub: &Arc<Hub>, events: &Sender<Event>) -> Result<Self, StartError> {
        let (stop, stopped) = bounded(0);
        let (hub, changes) = (Arc::clone(hub), hub.online_changes());
        let thread = threads::start("online", events, move || {
            keep_telling(&hub, &changes, &stopped);
            Ok(())
        })?;
        Ok(OnlineThread { stop, thread })
    }

    pub(super) fn stop(self) {
        drop(self.stop);
        // One that panicked has said so already.
        let _ = self.thread.join();
    }
}

fn keep_telling(hub: &Hub, changes: &Receiver<()>, stopped: &Receiver<()>) {
    loop {
        select! {
            recv(stopped) -> _ => return,
            recv(changes) -> _ => hub.tell_online(),
        }
        if stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}
