//! The webhook's thread, from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::error::StartError;
use super::threads::{self, Event};
use crate::hub::Hub;
use crate::webhook::{self, LAST_TRY, Webhook};
use crate::words::{grouped, plural};

/// What a try may take beside waiting for the answer.
const MARGIN: Duration = Duration::from_millis(250);

/// The thread, and the webhook.
#[derive(Debug)]
pub(super) struct WebhookThread {
    pub(super) webhook: Arc<Webhook>,
    /// Closing it is the order to stop.
    stop: Sender<()>,
    finished: Receiver<()>,
}

impl WebhookThread {
    /// Hears what clients do from now on.
    pub(super) fn start(url: &str, hub: &Hub, events: &Sender<Event>) -> Result<Self, StartError> {
        let webhook = Arc::new(Webhook::new(url, &hub.activity).map_err(StartError::Waker)?);
        let (stop, stopped) = bounded(0);
        let (finish, finished) = bounded::<()>(0);
        let body = Arc::clone(&webhook);
        threads::start("webhook", events, move || {
            let outcome = webhook::run(&body, &stopped);
            drop(finish);
            outcome
        })?;
        Ok(WebhookThread {
            webhook,
            stop,
            finished,
        })
    }

    /// What waits gets one try. A request that is under way may take longer than there is time: it
    /// ends with the process.
    pub(super) fn stop(self) {
        drop(self.stop);
        self.webhook.wake();
        if self.finished.recv_timeout(LAST_TRY + MARGIN) == Err(RecvTimeoutError::Timeout) {
            let waiting = self.webhook.status().waiting as u64;
            log::warn!(
                "stopping with {} event{} that the webhook did not take: it did not answer in time",
                grouped(waiting),
                plural(waiting)
            );
        }
    }
}
