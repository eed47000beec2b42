//! One canary on its way, and the sockets at both ends of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::Why;
use crate::mailbox::parcel::{Layout, Parcel};
use crate::mailbox::wire::Wire;
use crate::mailbox::{Dismissal, Limits, Mailbox, Progress};
use crate::os::{self, Waker};

/// How long a canary may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is sent again until the UDP thread has it: in a flood, the kernel may have dropped
/// it.
const AGAIN: Duration = Duration::from_millis(100);

/// What may wait in its mailbox: it is alone there.
const LIMITS: Limits = Limits {
    messages: 16,
    bytes: 1024,
};

/// How far a canary has come.
#[repr(u8)]
enum Stage {
    Sent,
    Taken,
    Posted,
}

/// One canary on its way. The UDP thread posts it as it would post a message to one client.
#[derive(Debug)]
pub(crate) struct Flight {
    number: u64,
    mailbox: Arc<Mailbox>,
    stage: AtomicU8,
}

impl Flight {
    /// Which canary it is.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that the UDP thread has it; false when it had it before.
    pub(super) fn is_taken_on(&self) -> bool {
        self.advance(Stage::Taken)
    }

    /// Where it is to be posted.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// What is to be posted.
    pub(crate) fn parcel(&self) -> Parcel {
        Parcel::alone(self.number.to_be_bytes().to_vec(), Layout::Whole)
    }

    /// Notes that it was posted.
    pub(crate) fn was_posted(&self) {
        self.advance(Stage::Posted);
    }

    /// Whoever waits for it is to wait no longer.
    pub(super) fn give_up(&self) {
        self.mailbox.dismiss(Dismissal::Stop);
    }

    fn advance(&self, stage: Stage) -> bool {
        let stage = stage as u8;
        self.stage.fetch_max(stage, Ordering::AcqRel) < stage
    }

    fn has_reached(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    fn why_it_is_late(&self) -> Why {
        if self.has_reached(Stage::Posted) {
            Why::NotDelivered
        } else if self.has_reached(Stage::Taken) {
            Why::NotPublished
        } else {
            Why::NotTaken
        }
    }
}

/// Where canaries are sent from, and where they come out.
#[derive(Debug)]
pub(super) struct Ends {
    /// Connected to where documents come in: an address of this machine, of which the kernel chooses
    /// one to send from.
    start: UdpSocket,
    mailbox: Arc<Mailbox>,
    /// The other end of the mailbox's socket.
    finish: TcpStream,
}

impl Ends {
    /// For canaries to this address.
    pub(super) fn new(target: SocketAddr) -> io::Result<Self> {
        let (any, loopback): (IpAddr, IpAddr) = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        };
        let start = UdpSocket::bind((any, 0))?;
        start.connect(target)?;
        start.set_nonblocking(true)?;
        let (stream, finish) = connection(loopback)?;
        let wire = Wire::new(stream, finish.local_addr()?);
        // What waits here is no client's, and counts as none.
        let mailbox = Mailbox::new(wire, Waker::new()?, LIMITS, Arc::default());
        Ok(Ends {
            start,
            mailbox: Arc::new(mailbox),
            finish,
        })
    }

    /// A canary that has not left yet.
    pub(super) fn flight(&self, number: u64) -> Flight {
        Flight {
            number,
            mailbox: Arc::clone(&self.mailbox),
            stage: AtomicU8::new(Stage::Sent as u8),
        }
    }

    /// Sends the canary, and waits until it comes out, as the owner of its mailbox; says how long it
    /// took. When it fails, the ends are of no more use: it may still be somewhere in between.
    pub(super) fn send_and_wait(&self, flight: &Flight, datagram: &[u8]) -> Result<Duration, Why> {
        let start = Instant::now();
        let deadline = start + PATIENCE;
        let (mut send_next, mut heard) = (start, Vec::new());
        loop {
            let now = Instant::now();
            if self.has_come_out(flight, &mut heard)? {
                return Ok(now - start);
            }
            if now >= deadline {
                return Err(flight.why_it_is_late());
            }
            if now >= send_next && !flight.has_reached(Stage::Taken) {
                self.send(datagram)?;
                send_next = now + AGAIN;
            }
            let until = match flight.has_reached(Stage::Taken) {
                true => deadline,
                false => deadline.min(send_next),
            };
            self.wait(until.saturating_duration_since(now))?;
        }
    }

    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.start.send(datagram) {
            // It is sent again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Takes what has come out.
    fn has_come_out(&self, flight: &Flight, heard: &mut Vec<u8>) -> io::Result<bool> {
        let expected = flight.number.to_be_bytes();
        let mut buffer = [0; 64];
        match os::receive_now(&self.finish, &mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(*heard == expected)
    }

    /// Until something has come out, the mailbox calls for its owner, or the time is over.
    fn wait(&self, timeout: Duration) -> Result<(), Why> {
        let mut interests = [
            PollFd::new(self.mailbox.waker().as_fd(), PollFlags::POLLIN),
            PollFd::new(self.finish.as_fd(), PollFlags::POLLIN),
        ];
        os::wait(&mut interests, Some(timeout))?;
        if !os::is_readable(&interests[0]) {
            return Ok(());
        }
        // Clears the waker, before the reason for it is looked at.
        let (progress, _) = self.mailbox.deliver_as_owner();
        match (self.mailbox.dismissal(), progress) {
            (Some(_), _) => Err(Why::Stopping),
            (None, Progress::Broken(error)) => Err(error.into()),
            (None, _) => Ok(()),
        }
    }
}

/// Both ends of a connection that only this process has.
fn connection(loopback: IpAddr) -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((loopback, 0))?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let address = ours.local_addr()?;
    loop {
        let (stream, peer) = listener.accept()?;
        // Somebody else may have found the port.
        if peer == address {
            stream.set_nodelay(true)?;
            return Ok((stream, ours));
        }
    }
}
