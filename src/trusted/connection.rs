//! A connection of the trusted side: what came in, what is to go out, and how long either may take.
//!
//! Its own thread reads and writes, and waits for both at once: somebody who sends much before he
//! reads his first reply is not to wait for ever for a server that waits for him.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::accept::Caller;
use crate::client::census::Presence;
use crate::os::{self, Waker};

/// How long the other side may be silent in the midst of a document or request, or take nothing of
/// what it asked for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a listener may take nothing of what there is to tell.
const LISTENERS_PATIENCE: Duration = Duration::from_secs(60);

/// Replies that may wait; with more, nothing is read until some of them are out.
const MAX_OUTPUT: usize = 1 << 20;

/// Bytes that are read at a time.
const READ: usize = 64 << 10;

/// See the module.
pub(crate) struct Connection<'a> {
    caller: &'a Arc<Caller>,
    presence: &'a mut Presence<Caller>,
    /// What came, and how much of it was taken.
    input: Vec<u8>,
    taken: usize,
    /// What is not sent.
    output: Vec<u8>,
    has_ended: bool,
}

impl<'a> Connection<'a> {
    pub(super) fn new(caller: &'a Arc<Caller>, presence: &'a mut Presence<Caller>) -> Self {
        Connection {
            caller,
            presence,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            has_ended: false,
        }
    }

    /// Who is there.
    pub(super) fn peer(&self) -> SocketAddr {
        self.caller.peer
    }

    /// What came and was not taken.
    pub(super) fn input(&self) -> &[u8] {
        &self.input[self.taken..]
    }

    /// Takes the first bytes of what came.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.input()[..count].to_vec();
        self.skip(count);
        bytes
    }

    /// The same for bytes that say nothing.
    pub(super) fn skip(&mut self, count: usize) {
        self.taken += count;
    }

    /// Whether nothing more will come.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Adds to what is to go out; [`exchange`](Self::exchange) sends it.
    pub(super) fn reply(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// It did something: it is not the one that has been idle for longest.
    pub(super) fn is_busy(&mut self) {
        if self.presence.settle() {
            self.presence.unsettle(self.caller);
        }
    }

    /// Sends what waits and reads what comes, until something has come, the other side has ended, or
    /// all is out where `until_out` says so.
    ///
    /// # Errors
    /// `TimedOut` after the deadline, or when nothing of what waits was taken for [`PATIENCE`];
    /// whatever else ends a connection.
    fn turn(&mut self, deadline: Option<Instant>, until_out: bool) -> io::Result<()> {
        let mut stuck_at = Instant::now() + PATIENCE;
        loop {
            if self.send()? {
                stuck_at = Instant::now() + PATIENCE;
            }
            if until_out && self.output.is_empty() {
                return Ok(());
            }
            let may_read = !until_out && !self.has_ended && self.output.len() < MAX_OUTPUT;
            if may_read && self.receive()? {
                return Ok(());
            }
            if self.output.is_empty() && self.has_ended {
                return Ok(());
            }
            let end = match self.output.is_empty() {
                true => deadline,
                false => Some(deadline.map_or(stuck_at, |deadline| deadline.min(stuck_at))),
            };
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut interest = PollFlags::empty();
            interest.set(PollFlags::POLLIN, may_read);
            interest.set(PollFlags::POLLOUT, !self.output.is_empty());
            let stream = &self.caller.stream;
            os::wait(&mut [PollFd::new(stream.as_fd(), interest)], left)?;
        }
    }

    /// Waits until more has come, or the other side has ended.
    ///
    /// # Errors
    /// See [`turn`](Self::turn).
    pub(super) fn exchange(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        self.turn(deadline, false)
    }

    /// Waits until all that was replied is out.
    ///
    /// # Errors
    /// See [`turn`](Self::turn).
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.turn(None, true)
    }

    /// Whether all that was replied is out.
    pub(super) fn is_out(&self) -> bool {
        self.output.is_empty()
    }

    /// Sends what waits; then waits until the waker is woken or the deadline has passed, or the
    /// other side has ended. What it says meanwhile says nothing.
    ///
    /// # Errors
    /// `TimedOut` when nothing of what waits was taken for [`LISTENERS_PATIENCE`]; whatever else
    /// ends a connection.
    pub(super) fn attend(&mut self, waker: &Waker, deadline: Instant) -> io::Result<()> {
        let mut stuck_at = Instant::now() + LISTENERS_PATIENCE;
        loop {
            if self.send()? {
                stuck_at = Instant::now() + LISTENERS_PATIENCE;
            }
            self.receive()?;
            self.input.clear();
            if self.has_ended {
                return Ok(());
            }
            let is_out = self.is_out();
            let end = if is_out { deadline } else { stuck_at };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return match is_out {
                    true => Ok(()),
                    false => Err(io::ErrorKind::TimedOut.into()),
                };
            }
            let (news, room) = match is_out {
                true => (PollFlags::POLLIN, PollFlags::empty()),
                false => (PollFlags::empty(), PollFlags::POLLOUT),
            };
            let stream = &self.caller.stream;
            let mut interests = [
                PollFd::new(waker.as_fd(), news),
                PollFd::new(stream.as_fd(), PollFlags::POLLIN | room),
            ];
            os::wait(&mut interests, Some(left))?;
            if is_out && os::is_readable(&interests[0]) {
                return Ok(());
            }
        }
    }

    /// Sends what is taken now; true when that was anything.
    fn send(&mut self) -> io::Result<bool> {
        if self.output.is_empty() {
            return Ok(false);
        }
        match os::send_now(&self.caller.stream, &[IoSlice::new(&self.output)]) {
            Ok(sent) => {
                self.output.drain(..sent);
                Ok(sent > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what has come now; true when that was anything, or the end.
    fn receive(&mut self) -> io::Result<bool> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let known = self.input.len();
        self.input.resize(known + READ, 0);
        let received = os::receive_now(&self.caller.stream, &mut self.input[known..]);
        let count = received.as_ref().map_or(0, |count| *count);
        self.input.truncate(known + count);
        match received {
            Ok(0) => {
                self.has_ended = true;
                Ok(true)
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
