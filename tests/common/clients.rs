//! Clients that the tests themselves are: one that speaks WebSocket, one that takes the bytes.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use super::{Deadline, PATIENCE};

/// A connection whose reads and writes have a deadline, and which minds no signal: the end of another test's
/// child interrupts such a read, and the kernel resumes only those without a deadline.
pub struct Connection(TcpStream);

impl Connection {
    /// Waits at most [`PATIENCE`].
    pub fn to(server: SocketAddr) -> Connection {
        Connection::over(TcpStream::connect(server).unwrap())
    }

    /// Its own end.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn over(stream: TcpStream) -> Connection {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Connection(stream)
    }
}

/// A stream with a receive buffer so small that the server's side is soon full.
fn connect_narrow(server: SocketAddr) -> TcpStream {
    let family = AddressFamily::Inet;
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    // Before connecting, or the window is wider already.
    socket::setsockopt(&fd, sockopt::RcvBuf, &4096).unwrap();
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(server)).unwrap();
    TcpStream::from(fd)
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends raw bytes, and reads all that comes until the server closes.
pub fn conversation(server: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = Connection::to(server);
    connection.write_all(bytes.as_ref()).unwrap();
    let mut answer = Vec::new();
    connection
        .read_to_end(&mut answer)
        .expect("an end, not a reset");
    String::from_utf8(answer).unwrap()
}

/// A WebSocket client that waits at most [`PATIENCE`].
pub struct Client(pub WebSocket<Connection>);

impl Client {
    /// Has joined when this returns: the 101 response and the route are one step.
    pub fn connect(server: SocketAddr, target: &str) -> Client {
        let stream = Connection::to(server);
        let url = format!("ws://{server}{target}");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Client(socket)
    }

    /// The same with the subprotocol `udpush.v1`.
    pub fn connect_v1(server: SocketAddr, target: &str) -> Client {
        Client::v1_over(Connection::to(server), server, target)
    }

    /// The same with a receive buffer so small that the server's side is soon full.
    pub fn connect_v1_narrow(server: SocketAddr, target: &str) -> Client {
        let stream = Connection::over(connect_narrow(server));
        Client::v1_over(stream, server, target)
    }

    fn v1_over(stream: Connection, server: SocketAddr, target: &str) -> Client {
        let mut request = format!("ws://{server}{target}")
            .into_client_request()
            .unwrap();
        let protocol = HeaderValue::from_static("udpush.v1");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        Client(socket)
    }

    /// The next text frame as JSON.
    pub fn json(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// Sends a text frame.
    pub fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next text frame.
    pub fn text(&mut self) -> String {
        let deadline = Deadline::new();
        loop {
            deadline.check("a text frame");
            match self.0.read().expect("a text frame") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => {}
                other => panic!("not a text frame: {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes next; it is answered.
    pub fn close_code(&mut self) -> u16 {
        let deadline = Deadline::new();
        loop {
            deadline.check("a close frame");
            match self.0.read().expect("a close frame") {
                Message::Close(frame) => {
                    // The answer is queued; a server that is gone already does not need it.
                    let _ = self.0.flush();
                    return frame.expect("a code").code.into();
                }
                Message::Ping(_) | Message::Text(_) => {}
                other => panic!("not a close frame: {other:?}"),
            }
        }
    }

    /// Sends raw bytes past the protocol.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Reads until the server has closed the connection, whatever it says before: in order, as a
    /// reset could eat it.
    pub fn wait_for_end(&mut self) {
        let deadline = Deadline::new();
        loop {
            deadline.check("the end of the connection");
            match self.0.get_mut().read(&mut [0; 4096]) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => panic!("no end: {error}"),
            }
        }
    }
}

/// A client that takes the server's bytes as they come: millions of frames are quickly compared,
/// and nothing can be mended on the way.
pub struct Listener(BufReader<TcpStream>);

impl Listener {
    /// What a client sends first.
    pub const HANDSHAKE: &'static [u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// Has joined when this returns. It answers no pings: the server is to have a long heartbeat.
    pub fn connect(server: SocketAddr) -> Listener {
        Listener::over(TcpStream::connect(server).unwrap())
    }

    /// The same with a receive buffer so small that the server's side is soon full.
    pub fn connect_narrow(server: SocketAddr) -> Listener {
        Listener::over(connect_narrow(server))
    }

    /// With the subprotocol `udpush.v1`: what it hears first is its hello.
    pub fn connect_v1(server: SocketAddr) -> Listener {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        Listener::over_v1(stream)
    }

    /// The same over a connection of the test's own.
    pub fn over_v1(stream: TcpStream) -> Listener {
        let (line, rest) = Self::HANDSHAKE.split_at(b"GET / HTTP/1.1\r\n".len());
        let protocol = b"Sec-WebSocket-Protocol: udpush.v1\r\n";
        Listener::asking(stream, &[line, protocol, rest].concat())
    }

    fn over(stream: TcpStream) -> Listener {
        Listener::asking(stream, Self::HANDSHAKE)
    }

    fn asking(mut stream: TcpStream, handshake: &[u8]) -> Listener {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(handshake).unwrap();
        let mut listener = Listener(BufReader::with_capacity(64 << 10, stream));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            listener.0.read_exact(&mut byte).expect("a 101 response");
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101 "),
            "{}",
            head.escape_ascii()
        );
        listener
    }

    /// Sends raw bytes past the protocol, and says whether that is still possible.
    pub fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Reads as many bytes as these, and they are these.
    pub fn expect(&mut self, bytes: &[u8]) {
        let mut read = [0; 16 << 10];
        for expected in bytes.chunks(read.len()) {
            let read = &mut read[..expected.len()];
            self.0.read_exact(read).expect("more frames");
            if read != expected {
                let at = (0..read.len()).find(|at| read[*at] != expected[*at]);
                let from = at.unwrap().saturating_sub(20);
                let end = (from + 60).min(read.len());
                panic!(
                    "not what was pushed: {} instead of {}",
                    read[from..end].escape_ascii(),
                    expected[from..end].escape_ascii()
                );
            }
        }
    }

    /// The next frame: its first byte and its payload.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).expect("a frame");
        let length = match header[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                u16::from_be_bytes(length).into()
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length) as usize
            }
            length => length.into(),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).expect("a whole frame");
        (header[0], payload)
    }

    /// Ends its own direction.
    pub fn shut_down(&self) {
        // The server may be gone.
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
    }

    /// Whether the server has ended the stream by now; nothing else has come.
    pub fn has_ended(&self) -> bool {
        assert!(self.0.buffer().is_empty());
        let stream = self.0.get_ref();
        stream.set_nonblocking(true).unwrap();
        let outcome = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        match outcome {
            Ok(count) => count == 0,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        }
    }

    /// Waits until the server has ended the stream; nothing else comes.
    pub fn wait_for_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an end, not a reset");
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
    }

    /// Reads so many bytes and throws them away.
    pub fn skip(&mut self, count: usize) {
        self.0.read_exact(&mut vec![0; count]).expect("more frames");
    }

    /// The next text, or the code of the close frame.
    pub fn text(&mut self) -> Result<String, u16> {
        match self.frame() {
            (0x81, text) => Ok(String::from_utf8(text).unwrap()),
            (0x88, close) => Err(u16::from_be_bytes([close[0], close[1]])),
            (other, _) => panic!("neither text nor close: {other:x}"),
        }
    }

    /// The next text, whatever pings come before it.
    pub fn text_after_pings(&mut self) -> Vec<u8> {
        let deadline = Deadline::new();
        loop {
            deadline.check("a text frame");
            match self.frame() {
                (0x81, text) => return text,
                (0x89, _) => {}
                (other, _) => panic!("neither text nor ping: {other:x}"),
            }
        }
    }

    /// The code of the close frame that comes after whatever else is still to come.
    pub fn close_code(&mut self) -> u16 {
        let deadline = Deadline::new();
        loop {
            deadline.check("a close frame");
            if let Err(code) = self.text() {
                return code;
            }
        }
    }
}

/// What these documents are on the wire (RFC 6455 §5.2: final text frames, not masked).
pub fn frames(documents: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for document in documents {
        let document = document.as_ref();
        bytes.push(0x81);
        match document.len() {
            length @ 0..126 => bytes.push(length as u8),
            length @ 126..65_536 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(document);
    }
    bytes
}
