//! A connection's last seconds: what is queued leaves, then both ends close in order.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::mailbox::{Dismissal, Mailbox, Progress};
use crate::os;

/// How long the last parcel may take to leave.
const LEAVING: Duration = Duration::from_secs(2);

/// How long the client may take to close its side after that.
const READING: Duration = Duration::from_secs(2);

/// Sends what is queued, up to the last parcel, and closes.
///
/// The write side is shut down first and the rest of the input read: closing a socket with unread
/// input sends a RST, which can eat what was sent last.
pub(super) fn finish(mailbox: &Mailbox) -> io::Result<()> {
    let deadline = Instant::now() + LEAVING;
    loop {
        match mailbox.deliver_as_owner().0 {
            Progress::Finished => break,
            Progress::Broken(error) => return Err(error),
            Progress::More => {}
            Progress::Stalled | Progress::Idle => {
                heed_dismissal(mailbox)?;
                let interests = [
                    PollFd::new(mailbox.waker().as_fd(), PollFlags::POLLIN),
                    PollFd::new(mailbox.socket().as_fd(), PollFlags::POLLOUT),
                ];
                wait_until(interests, deadline)?;
            }
        }
    }
    mailbox.socket().shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + READING;
    let mut discarded = [0; 512];
    loop {
        match os::receive_now(mailbox.socket(), &mut discarded) {
            Ok(0) => return Ok(()),
            Ok(_) if Instant::now() < deadline => {}
            Ok(_) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                mailbox.waker().clear();
                heed_dismissal(mailbox)?;
                let interests = [
                    PollFd::new(mailbox.waker().as_fd(), PollFlags::POLLIN),
                    PollFd::new(mailbox.socket().as_fd(), PollFlags::POLLIN),
                ];
                wait_until(interests, deadline)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Others may need its place.
fn heed_dismissal(mailbox: &Mailbox) -> io::Result<()> {
    match mailbox.dismissal() {
        Some(Dismissal::Crowded) => Err(io::ErrorKind::Interrupted.into()),
        _ => Ok(()),
    }
}

fn wait_until<const N: usize>(mut interests: [PollFd<'_>; N], deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    os::wait(&mut interests, Some(left))
}
