//! The canary: a datagram of the server's own that goes the whole way of a message, to find out
//! whether messages get through: through a socket of 6553, the UDP thread, the hub and a mailbox
//! into a socket, at whose other end somebody waits for it. It is no message: it has no id, no
//! place in the history, and no client hears it.
//!
//! Whoever asks sends it, on a thread that may wait for a second: [`Canary::sing`]. There is one
//! at a time; whoever asks meanwhile waits for the same one. The UDP thread asks of each datagram
//! whether it is the canary, and takes it on.

mod flight;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{error, fmt};

pub(crate) use flight::Flight;
use flight::{Ends, PATIENCE};

/// How long an answer is given again: so a flood of questions is no flood of canaries.
const FRESH: Duration = Duration::from_millis(250);

/// How much longer than the canary itself somebody waits who did not send it.
const MARGIN: Duration = Duration::from_millis(500);

/// What it begins with; no JSON does.
const MARK: &[u8] = b"udpush canary ";

/// See the module.
#[derive(Debug)]
pub(crate) struct Canary {
    /// Where documents come in.
    target: SocketAddr,
    /// What only the server's own canary knows.
    nonce: u128,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Canaries that were sent so far.
    sent: u64,
    /// Somebody is about to send the newest one, or waits for it.
    is_under_way: bool,
    /// The newest one, as long as somebody waits for it.
    flight: Option<Arc<Flight>>,
    last: Option<Outcome>,
    /// Kept as long as canaries come back.
    ends: Option<Ends>,
    stopping: bool,
}

/// How a canary fared.
#[derive(Clone, Debug)]
struct Outcome {
    canary: u64,
    ended: Instant,
    result: Result<Duration, Why>,
}

/// What there is to tell of the canaries so far.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// How many were sent.
    pub(crate) sent: u64,
    /// How long ago the last one came back, or was given up.
    pub(crate) ago: Duration,
    /// How long it took.
    pub(crate) result: Result<Duration, Why>,
}

/// Why a canary did not come back.
#[derive(Clone, Debug)]
pub(crate) enum Why {
    /// The server stops.
    Stopping,
    /// Its sockets cannot be had, or are broken.
    Socket(Arc<io::Error>),
    /// The UDP thread has not taken it out of its socket.
    NotTaken,
    /// The UDP thread has taken it, but it was not its turn to be published.
    NotPublished,
    /// It was posted, but did not come out of its mailbox.
    NotDelivered,
    /// Whoever sent it does not tell.
    NotTold,
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        Why::Socket(Arc::new(error))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Why::Stopping => "the server stops",
            Why::Socket(error) => return write!(f, "no canary can be sent: {error}"),
            Why::NotTaken => {
                "no answer from the UDP thread within a second: it hangs, or is flooded"
            }
            Why::NotPublished => {
                "the UDP thread did not publish within a second: the workers are busy or hang"
            }
            Why::NotDelivered => "nothing came out of a mailbox within a second",
            Why::NotTold => "whoever looked whether messages get through does not tell",
        };
        f.write_str(words)
    }
}

impl error::Error for Why {}

impl Canary {
    /// One that is sent to this address, where documents come in.
    pub(crate) fn new(target: SocketAddr) -> Self {
        // std draws the keys of a RandomState from the system's random numbers.
        let half = |half: u8| u128::from(RandomState::new().hash_one(half));
        Canary {
            target,
            nonce: half(0) << 64 | half(1),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Finds out whether messages get through, and how long one takes. Waits for a second at most,
    /// or half a second more when somebody else is finding out already.
    ///
    /// # Errors
    /// Why none does.
    pub(crate) fn sing(&self) -> Result<Duration, Why> {
        let mut state = self.state();
        if state.stopping {
            return Err(Why::Stopping);
        }
        if state.is_under_way {
            return self.wait_for_the_other(state);
        }
        if let Some(last) = state.last.as_ref().filter(|last| last.is_fresh()) {
            return last.result.clone();
        }
        state.is_under_way = true;
        state.sent += 1;
        let canary = state.sent;
        let ends = state.ends.take();
        drop(state);
        let watch = Watch(self);
        let result = self.send(canary, ends);
        let change = self.note(canary, &result);
        drop(watch);
        match (change, &result) {
            (true, Ok(_)) => log::info!("messages get through again"),
            (true, Err(why)) => log::warn!("messages do not get through: {why}"),
            (false, _) => {}
        }
        result
    }

    /// Waits for the canary that is under way.
    fn wait_for_the_other(&self, state: MutexGuard<'_, State>) -> Result<Duration, Why> {
        let canary = state.sent;
        let patience = PATIENCE + MARGIN;
        let waited = self.changed.wait_timeout_while(state, patience, |state| {
            state.is_under_way && state.sent == canary && !state.stopping
        });
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match &state.last {
            _ if state.stopping => Err(Why::Stopping),
            Some(last) if last.canary >= canary => last.result.clone(),
            _ => Err(Why::NotTold),
        }
    }

    /// Sends a canary, and waits for it.
    fn send(&self, canary: u64, ends: Option<Ends>) -> Result<Duration, Why> {
        let ends = ends.map_or_else(|| Ends::new(self.target), Ok)?;
        let flight = Arc::new(ends.flight(canary));
        {
            let mut state = self.state();
            if state.stopping {
                return Err(Why::Stopping);
            }
            state.flight = Some(Arc::clone(&flight));
        }
        let took = ends.send_and_wait(&flight, &self.datagram(canary))?;
        self.state().ends = Some(ends);
        Ok(took)
    }

    /// Remembers how a canary fared; says whether that is worth a line in the log.
    fn note(&self, canary: u64, result: &Result<Duration, Why>) -> bool {
        let mut state = self.state();
        let was_well = state.last.as_ref().is_none_or(|last| last.result.is_ok());
        state.last = Some(Outcome {
            canary,
            ended: Instant::now(),
            result: result.clone(),
        });
        was_well != result.is_ok() && !state.stopping
    }

    fn datagram(&self, canary: u64) -> Vec<u8> {
        [MARK, &self.nonce.to_be_bytes(), &canary.to_be_bytes()].concat()
    }

    /// Which canary a datagram is; `None` for all that others have sent.
    pub(crate) fn number(&self, datagram: &[u8]) -> Option<u64> {
        let rest = datagram.strip_prefix(MARK)?;
        let (nonce, number) = rest.split_first_chunk()?;
        let number = <[u8; 8]>::try_from(number).ok()?;
        // One comparison of all of it: how long that takes tells nobody how much was right.
        (u128::from_be_bytes(*nonce) == self.nonce).then(|| u64::from_be_bytes(number))
    }

    /// The UDP thread takes this canary on, once, if somebody waits for it.
    pub(crate) fn take(&self, number: u64) -> Option<Arc<Flight>> {
        let state = self.state();
        let flight = state.flight.as_ref()?;
        (flight.number() == number && flight.is_taken_on()).then(|| Arc::clone(flight))
    }

    /// What there is to tell, if anybody has ever asked.
    pub(crate) fn report(&self) -> Option<Report> {
        let state = self.state();
        let last = state.last.as_ref()?;
        Some(Report {
            sent: state.sent,
            ago: last.ended.elapsed(),
            result: last.result.clone(),
        })
    }

    /// The server stops: whoever waits is told so, and whoever asks from now on.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        if let Some(flight) = &state.flight {
            flight.give_up();
        }
        self.changed.notify_all();
    }

    /// Each step under this lock leaves what it guards whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    fn is_fresh(&self) -> bool {
        self.ended.elapsed() < FRESH
    }
}

/// Held by whoever sent the canary; dropped, in a panic too, the next one may be sent.
struct Watch<'a>(&'a Canary);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_under_way = false;
        state.flight = None;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
