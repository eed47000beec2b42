//! Clients like push.js: they remember where they are, come back by themselves after a random while,
//! and ask for what they have missed.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::random::Random;
use crate::frames::{Header, client_frame};
use crate::os::{self, Readable};

/// push.js waits a random while, at first up to the first, at last up to the second of these.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A link that lasts as long makes the wait short again.
const STABLE: Duration = Duration::from_secs(5);
/// From the attempt to the hello.
const GREETING: Duration = Duration::from_secs(15);

/// Where in the server's order: `<epoch>-<sequence>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: Box<str>,
    pub(crate) sequence: u64,
}

impl Place {
    fn parse(id: &str) -> Option<Self> {
        let (epoch, sequence) = id.rsplit_once('-')?;
        Some(Place {
            epoch: epoch.into(),
            sequence: sequence.parse().ok()?,
        })
    }
}

/// What the storm's documents hold.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Data {
    pub(crate) user: Option<u32>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default, borrow)]
    id: Option<&'a str>,
    resumed: Option<bool>,
    data: Option<Data>,
}

/// What a follower has heard.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// `resumed` is there where it was asked for.
    Hello {
        place: Place,
        resumed: Option<bool>,
    },
    Message {
        place: Place,
        data: Data,
    },
    Heartbeat {
        place: Place,
    },
    /// It is gone, and will come back.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Away(Instant),
    Connecting,
    Asking,
    Open,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Follower {
    stream: Option<TcpStream>,
    state: State,
    /// Since when it is in this state.
    since: Instant,
    incoming: Vec<u8>,
    ceiling: Duration,
    /// It reads nothing until then.
    pub(crate) stalls_until: Option<Instant>,
    /// Where it is, once it has been greeted.
    pub(crate) place: Option<Place>,
    /// Its registration, as a query.
    pub(crate) query: String,
}

impl Follower {
    /// Comes at `first`.
    pub(crate) fn new(query: String, first: Instant) -> Self {
        Follower {
            stream: None,
            state: State::Away(first),
            since: first,
            incoming: Vec::new(),
            ceiling: SHORTEST,
            stalls_until: None,
            place: None,
            query,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn is_away(&self) -> bool {
        matches!(self.state, State::Away(_))
    }

    fn enter(&mut self, state: State) {
        (self.state, self.since) = (state, Instant::now());
    }

    /// Does what is due by the clock; true when an attempt was made.
    pub(crate) fn look_at_the_clock(
        &mut self,
        now: Instant,
        server: SocketAddr,
        token: u64,
        readable: &Readable,
        random: &mut Random,
    ) -> bool {
        match self.state {
            State::Away(until) if now >= until => {
                let begun = os::start_connecting(server).and_then(|(stream, _)| {
                    // Always told when it can be written to: also where it is established at once.
                    readable.add(&stream, token, true)?;
                    Ok(stream)
                });
                match begun {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        self.incoming.clear();
                        self.enter(State::Connecting);
                    }
                    Err(_) => self.leave(random),
                }
                true
            }
            State::Connecting | State::Asking if now - self.since > GREETING => {
                self.leave(random);
                false
            }
            _ => false,
        }
    }

    /// Hangs up, or has been hung up on; comes back after a random while.
    pub(crate) fn leave(&mut self, random: &mut Random) {
        if self.state == State::Open && self.since.elapsed() > STABLE {
            self.ceiling = SHORTEST;
        }
        let wait = random.up_to(self.ceiling);
        self.ceiling = LONGEST.min(2 * self.ceiling);
        self.stay_away(wait);
    }

    /// Hangs up, and comes back after so long.
    pub(crate) fn stay_away(&mut self, wait: Duration) {
        self.stream = None;
        self.stalls_until = None;
        self.enter(State::Away(Instant::now() + wait));
    }

    /// Its socket is ready, or its stall over: hears what has come.
    pub(crate) fn hear(
        &mut self,
        random: &mut Random,
        heard: &mut Vec<Heard>,
    ) -> Result<(), String> {
        if self.stalls_until.is_some() {
            return Ok(());
        }
        if self.state == State::Connecting {
            let failed = |stream: &TcpStream| !matches!(stream.take_error(), Ok(None));
            if self.stream.as_ref().is_none_or(failed) {
                self.leave(random);
                return Ok(());
            }
            let request = self.request();
            self.say(request.as_bytes());
            self.enter(State::Asking);
        }
        let ended = !self.receive()?;
        let had = heard.len();
        let closed = self.take_frames(heard)?;
        for one in &heard[had..] {
            match one {
                Heard::Hello { place, .. }
                | Heard::Message { place, .. }
                | Heard::Heartbeat { place } => self.place = Some(place.clone()),
                Heard::Lost => {}
            }
        }
        if ended || closed {
            self.leave(random);
            heard.push(Heard::Lost);
        }
        Ok(())
    }

    fn request(&self) -> String {
        let since = self.place.as_ref().map_or(String::new(), |place| {
            format!("&since={}-{}", place.epoch, place.sequence)
        });
        format!(
            "GET /?{}{since} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: udpush.v1\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.query
        )
    }

    /// Registers anew.
    pub(crate) fn register(&self, registration: &str) {
        self.say(&client_frame(1, registration.as_bytes()));
    }

    /// Goes on with another token.
    pub(crate) fn show(&self, token: &str) {
        let frame = format!(r#"{{"type":"token","token":"{token}"}}"#);
        self.say(&client_frame(1, frame.as_bytes()));
    }

    fn say(&self, bytes: &[u8]) {
        if let Some(stream) = &self.stream {
            // Small things, into an empty buffer; what fails is seen by reading.
            let _ = os::send_now(stream, bytes);
        }
    }

    /// False at the end of the stream.
    fn receive(&mut self) -> Result<bool, String> {
        let Some(stream) = &mut self.stream else {
            return Ok(true);
        };
        let mut bytes = [0; 64 << 10];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(length) => self.incoming.extend(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(false),
            }
        }
    }

    /// True when the server has said that it closes, or refuses.
    fn take_frames(&mut self, heard: &mut Vec<Heard>) -> Result<bool, String> {
        let mut at = 0;
        if self.state == State::Asking {
            let end = self
                .incoming
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            let Some(end) = end else {
                return Ok(false);
            };
            if !self.incoming.starts_with(b"HTTP/1.1 101 ") {
                return Ok(true);
            }
            at = end + 4;
            self.enter(State::Open);
        }
        while self.state == State::Open
            && let Some(header) = Header::parse(&self.incoming[at..])
        {
            let begin = at + header.size;
            let Some(payload) = self.incoming.get(begin..begin + header.length) else {
                break;
            };
            at = begin + header.length;
            match header.opcode {
                1 => heard.extend(understand(payload)?),
                8 => return Ok(true),
                9 => self.say(&client_frame(10, payload)),
                _ => {}
            }
        }
        self.incoming.drain(..at);
        Ok(false)
    }
}

/// An object of the subprotocol.
fn understand(text: &[u8]) -> Result<Option<Heard>, String> {
    let strange = || {
        let text = String::from_utf8_lossy(text);
        format!("no message of udpush.v1: {}", text.escape_debug())
    };
    let said: Said<'_> = serde_json::from_slice(text).map_err(|_| strange())?;
    let place = said.id.and_then(Place::parse).ok_or_else(strange);
    Ok(match said.kind {
        "hello" => Some(Heard::Hello {
            place: place?,
            resumed: said.resumed,
        }),
        "message" => Some(Heard::Message {
            place: place?,
            data: said.data.unwrap_or_default(),
        }),
        "heartbeat" => Some(Heard::Heartbeat { place: place? }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_understood() {
        let hello = br#"{"type":"hello","client":1,"id":"ab-12","heartbeat":25,"resumed":false,"registration":{}}"#;
        let Some(Heard::Hello { place, resumed }) = understand(hello).unwrap() else {
            panic!("no hello");
        };
        assert_eq!((place.epoch.as_ref(), place.sequence), ("ab", 12));
        assert_eq!(resumed, Some(false));
        let message = br#"{"type":"message","id":"ab-13","data":{"user":7,"x":"y"}}"#;
        let Some(Heard::Message { data, .. }) = understand(message).unwrap() else {
            panic!("no message");
        };
        assert_eq!(data.user, Some(7));
        assert!(understand(b"hello").is_err());
    }
}
