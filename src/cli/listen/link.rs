//! One connection to the server, blocking.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use tungstenite::client::IntoClientRequest;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderValue, Response};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use super::address::Address;

/// The subprotocol with ids.
pub(super) const V1: &str = "udpush.v1";

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Link(WebSocket<TcpStream>);

/// Why there is no link, or none any more.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) why: String,
    /// Whether trying again is of no use.
    pub(super) is_final: bool,
    /// Whether it is of use with another token.
    pub(super) is_end_of_token: bool,
}

impl Lost {
    fn for_now(why: impl ToString) -> Self {
        Lost {
            why: why.to_string(),
            is_final: false,
            is_end_of_token: false,
        }
    }

    pub(super) fn finally(why: impl ToString) -> Self {
        Lost {
            why: why.to_string(),
            is_final: true,
            is_end_of_token: false,
        }
    }
}

/// To connect, to be answered, and to say goodbye.
const PATIENCE: Duration = Duration::from_secs(10);

impl Link {
    pub(super) fn open(address: &Address, token: Option<&str>) -> Result<Link, Lost> {
        let stream = connect(&address.place).map_err(Lost::for_now)?;
        let prepare = || {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))
        };
        prepare().map_err(Lost::for_now)?;
        let request = address.url().into_client_request();
        let mut request = request.map_err(Lost::finally)?;
        let protocol = HeaderValue::from_static(V1);
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        if let Some(token) = token {
            let credentials = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut credentials = credentials.map_err(|_| Lost::finally("that is no token"))?;
            credentials.set_sensitive(true);
            request.headers_mut().insert("Authorization", credentials);
        }
        // The server knows how large a document may be.
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        match tungstenite::client::client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => Ok(Link(socket)),
            Err(HandshakeError::Failure(error)) => Err(refused(error)),
            Err(HandshakeError::Interrupted(_)) => Err(Lost::for_now("no answer within 10 s")),
        }
    }

    /// As long as nothing at all was heard for two and a half of these, the line is dead.
    pub(super) fn expect_every(&mut self, heartbeat: u64) {
        let silence = Duration::from_millis(2500).saturating_mul(heartbeat.min(86_400) as u32);
        // Only of no time at all this complains.
        let _ = self
            .0
            .get_ref()
            .set_read_timeout(Some(silence.max(PATIENCE)));
    }

    /// The next text frame.
    pub(super) fn text(&mut self) -> Result<Utf8Bytes, Lost> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Ok(text),
                Ok(Message::Close(None)) => return Err(Lost::for_now("closed")),
                Ok(Message::Close(Some(frame))) => {
                    let code = u16::from(frame.code);
                    let why = format!("closed with {code} {}", frame.reason);
                    let is_final = FINAL.contains(&code);
                    let why = why.trim_end().to_owned();
                    let is_end_of_token = code == TOKEN_ENDED;
                    return Err(Lost {
                        why,
                        is_final,
                        is_end_of_token,
                    });
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(Error::Io(error)) if is_timeout(&error) => {
                    return Err(Lost::for_now("nothing was heard for too long"));
                }
                Err(Error::Io(error)) => return Err(Lost::for_now(error)),
                Err(error) => return Err(Lost::for_now(error)),
            }
        }
    }

    /// Closes in order, so that the server's log says so; and waits for the server to have heard it.
    pub(super) fn leave(mut self) {
        let _ = self.0.close(None);
        let _ = self.0.flush();
        let stream = self.0.get_mut();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    }
}

/// Close codes after which push.js does not come back, either: too many registrations, the token
/// ended, disconnected by the operator.
const FINAL: [u16; 3] = [1008, TOKEN_ENDED, 4403];

const TOKEN_ENDED: u16 = 4401;

/// The first of the host's addresses that answers.
fn connect(place: &str) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::other("the host has no address"));
    for address in place.to_socket_addrs()? {
        outcome = TcpStream::connect_timeout(&address, PATIENCE);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn refused(error: Error) -> Lost {
    match error {
        Error::Http(response) => by_http(&response),
        Error::Io(error) if is_timeout(&error) => Lost::for_now("no answer within 10 s"),
        Error::Io(error) => Lost::for_now(error),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            Lost::for_now("it closed the connection without an answer")
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Lost::finally(format!("it does not speak {V1}: is that udpush?"))
        }
        error => Lost::finally(error),
    }
}

/// The server's sentence; a request that it cannot take it will not take later.
fn by_http(response: &Response<Option<Vec<u8>>>) -> Lost {
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    let body = String::from_utf8_lossy(body);
    let sentence = body.lines().next().unwrap_or_default().trim();
    let why = match sentence {
        "" => status.to_string(),
        _ => format!("{status}: {sentence}"),
    };
    match status.is_client_error() && !matches!(status.as_u16(), 408 | 429) {
        true => Lost::finally(why),
        false => Lost::for_now(why),
    }
}
