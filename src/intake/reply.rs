//! The one reply datagram that a sender of garbage gets.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::message::Refusal;
use crate::os;
use crate::words::canonical;

/// Replies a second at most, to all senders together.
const RATE: u32 = 100;

/// Answers refused datagrams, in plain text, unless that could start a conversation between two
/// servers: never to a port below 1024, and never to one that takes documents itself.
#[derive(Debug)]
pub(crate) struct Replies {
    enabled: bool,
    /// Ports that take documents themselves: two servers must not start to talk.
    deaf_ports: Vec<u16>,
    second: Instant,
    sent: u32,
}

impl Replies {
    /// `deaf_ports` never get a reply.
    pub(crate) fn new(enabled: bool, deaf_ports: Vec<u16>) -> Self {
        Replies {
            enabled,
            deaf_ports,
            second: Instant::now(),
            sent: 0,
        }
    }

    /// Tells the sender why its datagram was refused, if it may be told, from the address that it
    /// sent to, where the socket has several: a sender that is connected to that hears no other.
    /// Never waits; a reply that cannot leave now is lost.
    pub(crate) fn refuse(
        &mut self,
        socket: &UdpSocket,
        sender: SocketAddr,
        receiver: Option<IpAddr>,
        why: &Refusal,
    ) {
        if !self.enabled || sender.port() < 1024 || self.deaf_ports.contains(&sender.port()) {
            return;
        }
        let now = Instant::now();
        if now - self.second >= Duration::from_secs(1) {
            self.second = now;
            self.sent = 0;
        }
        if self.sent == RATE {
            return;
        }
        self.sent += 1;
        let sentence = format!("udpush: refused: {why}\n");
        let reply = |from| os::send_datagram_now(socket, sentence.as_bytes(), from, sender);
        let outcome = match reply(receiver) {
            // From some addresses nobody can send, such as those of many machines.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => reply(None),
            outcome => outcome,
        };
        if let Err(error) = outcome
            && error.kind() != io::ErrorKind::WouldBlock
        {
            log::debug!("cannot reply to {}: {error}", canonical(sender));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    #[test]
    fn a_flood_of_refusals_gets_a_hundred_replies_a_second_and_later_ones_get_theirs() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.set_nonblocking(true).unwrap();
        let address = sender.local_addr().unwrap();
        let why = message::split(b"x", &mut Vec::new()).unwrap_err();
        let start = Instant::now();
        let mut replies = Replies::new(true, Vec::new());
        let mut count = 0;
        let mut refuse = || {
            replies.refuse(&socket, address, None, &why);
            // Taken out at once: no reply is lost for want of room.
            let received = sender.recv(&mut [0; 200]);
            count += u32::from(received.is_ok());
            count
        };
        let mut after_the_flood = 0;
        for _ in 0..20_000 {
            after_the_flood = refuse();
        }
        // Each second has its own hundred, the first and the last one in part.
        let seconds = 1 + start.elapsed().as_secs() as u32;
        assert!(after_the_flood > 0);
        assert!(after_the_flood <= seconds * RATE, "{after_the_flood}");
        while refuse() == after_the_flood {
            assert!(start.elapsed() < Duration::from_secs(60), "never again");
        }
    }
}
