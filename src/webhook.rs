//! `--webhook`: what clients do is POSTed to the site's own code, in batches, in order.
//!
//! A thread of its own sends. What happens meanwhile waits in a bounded queue; a batch is tried
//! again until it is taken, so what the site hears may come twice after a failure, and what there
//! was no room for is missing, and told. Nothing of this delays a client or a push.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use nix::poll::{PollFd, PollFlags};
use ureq::Agent;

use crate::activity::{Activity, append_line};
use crate::clock::{Clock, Moment};
use crate::feed::{Bounds, Deaf, Feed, Listener};
use crate::os;
use crate::words::{grouped, plural};

/// What may wait, the batch at hand included.
const WAITING: Bounds = Bounds {
    events: 10_000,
    bytes: 8 << 20,
};

/// Bytes of events in one batch, about.
const BATCH: usize = 256 << 10;

/// How long a connection may take, and a whole request.
const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(10);

/// The pauses between tries: each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the last try may take when the server stops.
pub(crate) const LAST_TRY: Duration = Duration::from_secs(1);

/// The webhook, for its thread and for whoever asks how it does.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: String,
    events: Listener<Activity>,
    failing_since: Mutex<Option<Moment>>,
}

/// How the webhook does.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Where it sends to.
    pub(crate) url: String,
    /// Events that wait, or are on their way.
    pub(crate) waiting: usize,
    /// Events that there was no room for, since the start.
    pub(crate) lost: u64,
    /// When the batch at hand failed first.
    pub(crate) failing_since: Option<Moment>,
}

impl Webhook {
    /// One that hears everything from now on.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub(crate) fn new(url: &str, feed: &Feed<Activity>) -> io::Result<Self> {
        let events = feed.listen(WAITING).map_err(|deaf| match deaf {
            Deaf::Waker(error) => error,
            Deaf::Full => io::Error::other("too many listen"),
        })?;
        Ok(Webhook {
            url: url.to_owned(),
            events,
            failing_since: Mutex::new(None),
        })
    }

    /// How it does.
    pub(crate) fn status(&self) -> Status {
        Status {
            url: self.url.clone(),
            waiting: self.events.waiting(),
            lost: self.events.lost(),
            failing_since: *self.failing_since(),
        }
    }

    /// Has the thread look whether it is to stop.
    pub(crate) fn wake(&self) {
        self.events.waker().wake();
    }

    fn failing_since(&self) -> MutexGuard<'_, Option<Moment>> {
        self.failing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: until `stop` is closed; then what waits gets one try.
pub(crate) fn run(webhook: &Webhook, stop: &Receiver<()>) -> io::Result<()> {
    let mut sender = Sender {
        webhook,
        agent: agent(),
        clock: Clock::new(),
        batch: Vec::new(),
        lost: 0,
    };
    while stop.try_recv() != Err(TryRecvError::Disconnected) {
        if !sender.take(BATCH) {
            let waker = webhook.events.waker();
            os::wait(&mut [PollFd::new(waker.as_fd(), PollFlags::POLLIN)], None)?;
            continue;
        }
        if !sender.deliver(stop) {
            break;
        }
    }
    sender.try_the_rest();
    Ok(())
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        // Variables of the environment are not to lead it elsewhere.
        .proxy(None)
        .http_status_as_error(false)
        // What is redirected was not taken.
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(REQUEST))
        .user_agent(concat!("udpush/", env!("CARGO_PKG_VERSION")));
    config.build().new_agent()
}

struct Sender<'a> {
    webhook: &'a Webhook,
    agent: Agent,
    clock: Clock,
    /// The lines at hand.
    batch: Vec<u8>,
    /// What the log knows to be lost.
    lost: u64,
}

impl Sender<'_> {
    /// Adds what comes first to the batch; says whether there is one.
    fn take(&mut self, most: usize) -> bool {
        for told in self.webhook.events.take(most) {
            append_line(&told, &mut self.clock, &mut self.batch);
        }
        !self.batch.is_empty()
    }

    /// Sends the batch, as often as it takes; false when it is time to stop.
    fn deliver(&mut self, stop: &Receiver<()>) -> bool {
        let mut pause = FIRST_PAUSE;
        let mut failed = None;
        while let Err(why) = self.post(REQUEST) {
            let first = *failed.get_or_insert_with(Instant::now);
            self.webhook.failing_since().get_or_insert_with(Moment::now);
            self.tell_failure(&why, first, pause);
            if stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return false;
            }
            pause = LONGEST_PAUSE.min(2 * pause);
        }
        self.batch.clear();
        if let Some(first) = failed {
            *self.webhook.failing_since() = None;
            let seconds = first.elapsed().as_secs();
            log::info!("the webhook takes events again, after {seconds} s");
        }
        true
    }

    /// Sends the batch once.
    fn post(&mut self, patience: Duration) -> Result<(), String> {
        let request = self.agent.post(&self.webhook.url);
        let request = request.config().timeout_global(Some(patience)).build();
        let request = request.content_type("application/x-ndjson");
        let answer = request.send(&self.batch[..]);
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }

    /// A line for each try, and these are few; and what was lost meanwhile.
    fn tell_failure(&mut self, why: &str, first: Instant, pause: Duration) {
        let waiting = self.webhook.events.waiting();
        log::warn!(
            "the webhook has not taken {} event{} for {} s: {why}; tried again in {} s",
            grouped(waiting as u64),
            plural(waiting as u64),
            first.elapsed().as_secs(),
            pause.as_secs()
        );
        let lost = self.webhook.events.lost();
        let more = lost - std::mem::replace(&mut self.lost, lost);
        if more > 0 {
            log::warn!(
                "{} event{} for the webhook lost: as many wait as may",
                grouped(more),
                plural(more)
            );
        }
    }

    /// All that waits, once.
    fn try_the_rest(&mut self) {
        if !self.take(usize::MAX) {
            return;
        }
        if let Err(why) = self.post(LAST_TRY) {
            let lines = self.batch.iter().filter(|byte| **byte == b'\n').count();
            log::warn!(
                "stopping with {} event{} that the webhook did not take: {why}",
                grouped(lines as u64),
                plural(lines as u64)
            );
        }
    }
}
