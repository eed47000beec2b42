//! A connection's last seconds: what is queued leaves, then both ends close in order.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::meter::Meter;
use crate::mailbox::wire::Wire;
use crate::mailbox::{Dismissal, Mailbox, Progress};
use crate::os::{self, Outgoing};

/// How long nothing may happen: the client's system acknowledges nothing of what is left, or all
/// is out and the client does not close.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long all of it may take.
const TOTAL: Duration = Duration::from_secs(20);

/// Sends what is queued, up to the last parcel, and closes.
///
/// Between WebSockets it is the server that closes the connection, once both close frames have
/// been sent (RFC 6455 §7.1.1): there are clients that take a FIN behind the server's close frame
/// for the end of everything, and drop what they have not read yet. Where `meter` expects no close
/// frame, the end of the stream is the end.
///
/// The input is read all the while, no faster than `meter` allows: closing a socket with unread
/// input sends a RST, which can eat what was sent last.
pub(super) fn finish(mailbox: &Mailbox, meter: Meter) -> io::Result<()> {
    let mut linger = Linger {
        mailbox,
        meter,
        clock: Clock::new(mailbox.wire()),
        is_out: false,
        is_shut: false,
        has_ended: false,
    };
    while linger.turn()? {}
    Ok(())
}

struct Linger<'a> {
    mailbox: &'a Mailbox,
    meter: Meter,
    clock: Clock,
    /// The last parcel is sent.
    is_out: bool,
    /// So is the end of the stream.
    is_shut: bool,
    /// The client's stream has ended.
    has_ended: bool,
}

impl Linger<'_> {
    /// Does what can be done now, and waits for more; false at the end.
    fn turn(&mut self) -> io::Result<bool> {
        let more_to_send = self.send()?;
        if self.mailbox.dismissal() == Some(Dismissal::Crowded) {
            // Others need its place.
            return Ok(false);
        }
        if self.is_out && !self.is_shut && !self.meter.expects_close_frame() {
            self.mailbox.wire().shut_down()?;
            self.is_shut = true;
        }
        if self.is_out && self.has_ended {
            return Ok(false);
        }
        let left = self.clock.left(self.mailbox.wire(), self.is_out)?;
        let pause = self.meter.pause(Instant::now());
        let is_reading = pause.is_zero() && !self.has_ended;
        let timeout = match (more_to_send, pause) {
            (true, _) => Duration::ZERO,
            (false, Duration::ZERO) => left,
            (false, pause) => left.min(pause),
        };
        if !self.wait(is_reading, timeout)? {
            return Ok(true);
        }
        if is_reading {
            self.read()?;
            return Ok(true);
        }
        // It was not asked whether there is input: both directions are closed, or it is broken.
        Ok(false)
    }

    /// True when the socket may take more. Whoever woke this thread is heard after it.
    fn send(&mut self) -> io::Result<bool> {
        if self.is_out {
            self.mailbox.waker().clear();
            return Ok(false);
        }
        match self.mailbox.deliver_as_owner().0 {
            Progress::Finished => {
                self.is_out = true;
                self.clock.restart(self.mailbox.wire());
                Ok(false)
            }
            Progress::Broken(error) => Err(error),
            Progress::More => Ok(true),
            Progress::Stalled | Progress::Idle => Ok(false),
        }
    }

    /// True when the socket has input, an end or an error.
    fn wait(&self, is_reading: bool, timeout: Duration) -> io::Result<bool> {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::POLLIN, is_reading);
        interest.set(PollFlags::POLLOUT, !self.is_out);
        let mut interests = [
            PollFd::new(self.mailbox.wire().as_fd(), interest),
            PollFd::new(self.mailbox.waker().as_fd(), PollFlags::POLLIN),
        ];
        os::wait(&mut interests, Some(timeout))?;
        Ok(os::is_readable(&interests[0]))
    }

    fn read(&mut self) -> io::Result<()> {
        let mut discarded = [0; 1024];
        match self.mailbox.wire().receive_now(&mut discarded) {
            Ok(0) => self.has_ended = true,
            Ok(count) => {
                self.meter.count(&discarded[..count], Instant::now());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whoever makes progress may take longer, but not for ever.
struct Clock {
    end: Instant,
    /// When it is looked again whether there was progress.
    next: Instant,
    /// What was seen when it was last looked.
    outgoing: Outgoing,
}

impl Clock {
    fn new(wire: &Wire) -> Self {
        let now = Instant::now();
        Clock {
            end: now + TOTAL,
            next: now + PATIENCE,
            outgoing: wire.outgoing(),
        }
    }

    fn restart(&mut self, wire: &Wire) {
        self.next = Instant::now() + PATIENCE;
        self.outgoing = wire.outgoing();
    }

    /// How long to wait now.
    fn left(&mut self, wire: &Wire, is_out: bool) -> io::Result<Duration> {
        let now = Instant::now();
        if now >= self.next {
            let before = self.outgoing;
            self.restart(wire);
            let progress = self.outgoing.acknowledged > before.acknowledged;
            // What the client's system has is the client's to read.
            let had_it_all = is_out && before.unsent == 0;
            if !progress || had_it_all {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        if now >= self.end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(self.next.min(self.end).saturating_duration_since(now))
    }
}
