//! Many connections that behave badly, on one thread.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::front::Front;
use crate::os::{self, Readable};

/// How a connection behaves.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// What is said at once.
    pub(crate) opening: Vec<u8>,
    /// What is said then, again and again from its beginning.
    pub(crate) refrain: Vec<u8>,
    /// How many bytes of it at a time.
    pub(crate) piece: usize,
    /// How often. Nothing: whenever the socket takes more.
    pub(crate) every: Duration,
}

impl Manner {
    /// Says so much, then nothing.
    pub(crate) fn once(opening: Vec<u8>) -> Self {
        Manner {
            opening,
            refrain: Vec::new(),
            piece: 0,
            every: Duration::ZERO,
        }
    }
}

#[derive(Debug)]
struct Attacker {
    stream: TcpStream,
    established: bool,
    /// Where it is in the refrain.
    at: usize,
    next: Instant,
}

/// New connections in one turn, at most.
const AT_ONCE: usize = 100;
/// How often all of them are asked whether they have something to say.
const TURN: Duration = Duration::from_millis(5);

/// Keeps `size` connections up, which take turns in these manners; whoever is turned away comes
/// back at once.
pub(crate) fn besiege(front: &Front, size: usize, manners: &[Manner]) -> Result<(), String> {
    let mut readable = Readable::new().map_err(|error| format!("cannot use epoll: {error}"))?;
    let mut crowd: Vec<Option<Attacker>> = (0..size).map(|_| None).collect();
    let mut absent: VecDeque<usize> = (0..size).collect();
    while !front.is_over() {
        for _ in 0..AT_ONCE.min(absent.len()) {
            let Some(place) = absent.pop_front() else {
                break;
            };
            front.attempted();
            match Attacker::arrive(front, &readable, place, &manners[place % manners.len()]) {
                Ok(attacker) => crowd[place] = Some(attacker),
                Err(_) => absent.push_back(place),
            }
        }
        let found = readable.wait(TURN).map_err(|error| error.to_string())?;
        for index in 0..found {
            let place = readable.get(index).token as usize;
            let Some(attacker) = &mut crowd[place] else {
                continue;
            };
            if !attacker.is_welcome(&manners[place % manners.len()]) {
                front.was_turned_away();
                crowd[place] = None;
                absent.push_back(place);
            }
        }
        let now = Instant::now();
        for (place, attacker) in crowd.iter_mut().enumerate() {
            if let Some(attacker) = attacker {
                attacker.speak(&manners[place % manners.len()], now);
            }
        }
    }
    Ok(())
}

impl Attacker {
    fn arrive(
        front: &Front,
        readable: &Readable,
        place: usize,
        manner: &Manner,
    ) -> std::io::Result<Self> {
        let (stream, established) = os::start_connecting(front.clients)?;
        readable.add(&stream, place as u64, !established)?;
        if established {
            let _ = os::send_now(&stream, &manner.opening);
        }
        // Not all at the same moment.
        let delay = manner.every.mul_f64((place % 64) as f64 / 64.0);
        Ok(Attacker {
            stream,
            established,
            at: 0,
            next: Instant::now() + delay,
        })
    }

    /// Takes what has come; false when the server has ended the connection.
    fn is_welcome(&mut self, manner: &Manner) -> bool {
        if !self.established {
            if matches!(self.stream.take_error(), Ok(Some(_)) | Err(_)) {
                return false;
            }
            self.established = true;
            let _ = os::send_now(&self.stream, &manner.opening);
        }
        let mut bytes = [0; 16 << 10];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn speak(&mut self, manner: &Manner, now: Instant) {
        if manner.refrain.is_empty() || !self.established || now < self.next {
            return;
        }
        self.next = now + manner.every;
        let end = (self.at + manner.piece).min(manner.refrain.len());
        // One that fails is reported as readable, too.
        if let Ok(sent) = os::send_now(&self.stream, &manner.refrain[self.at..end]) {
            self.at = (self.at + sent) % manner.refrain.len();
        }
    }
}
