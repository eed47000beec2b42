//! `udpush-bench floor`: the least that a push server can do, to measure the others against.
//!
//! A bare loop of non-waiting sends over all sockets, on one thread; no protocol but the answer
//! that lets WebSocket clients in and the frame's header. Nobody is pinged, nobody is missed. With
//! one client it is the bare UDP-to-TCP relay.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::frames::server_header;
use crate::os;

/// Be the floor: a bare loop of sends, with no protocol, to measure servers against
#[derive(Debug, clap::Args)]
pub(crate) struct Floor {
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6552")]
    listen: SocketAddr,
    /// Where datagrams come in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6553")]
    publish: SocketAddr,
}

/// A batch is sent when it has this many bytes, even if more datagrams wait.
const BATCH: usize = 256 * 1024;
/// A datagram is never longer.
const DATAGRAM: usize = 65_535;
/// As udpush has them: what differs is to be the program, not its sockets.
const SEND_BUFFER: usize = 256 * 1024;
const RECEIVE_BUFFER: usize = 32 << 20;
/// What every request for an upgrade gets.
const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

type Clients = Arc<Mutex<Vec<TcpStream>>>;

impl Floor {
    /// Runs until it is killed.
    pub(crate) fn run(self) -> Result<(), String> {
        let cannot_bind =
            |address: SocketAddr| move |error| format!("cannot bind {address}: {error}");
        // Only a wish: connecting tells when it is not granted.
        let _ = os::raise_descriptor_limit(20_000);
        let listener = TcpListener::bind(self.listen).map_err(cannot_bind(self.listen))?;
        os::prepare_listener(&listener, SEND_BUFFER).map_err(cannot_bind(self.listen))?;
        let socket = UdpSocket::bind(self.publish).map_err(cannot_bind(self.publish))?;
        os::enlarge_receive_buffer(&socket, RECEIVE_BUFFER).map_err(cannot_bind(self.publish))?;
        let clients = Clients::default();
        let joining = Arc::clone(&clients);
        let accepting = std::thread::Builder::new().name("accept".to_owned());
        accepting
            .spawn(move || accept(&listener, &joining))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        send_all(&socket, &clients)
            .map_err(|error| format!("cannot read from {}: {error}", self.publish))
    }
}

/// Answers each client's request, whatever it says.
fn accept(listener: &TcpListener, clients: &Clients) {
    for stream in listener.incoming() {
        let joined = stream.and_then(|mut stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let mut request = [0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\n") {
                match stream.read(&mut request[length..])? {
                    0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                    more => length += more,
                }
            }
            stream.write_all(ANSWER)?;
            Ok(stream)
        });
        match joined {
            Ok(stream) => clients
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(stream),
            // Out of descriptors, or a client that went away: a floor has no log, but it must not
            // spin.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn send_all(socket: &UdpSocket, clients: &Clients) -> std::io::Result<()> {
    let mut datagram = vec![0; DATAGRAM];
    let mut batch = Vec::with_capacity(BATCH + 2 * DATAGRAM);
    loop {
        batch.clear();
        let mut length = socket.recv(&mut datagram)?;
        loop {
            server_header(length, &mut batch);
            batch.extend_from_slice(&datagram[..length]);
            if batch.len() > BATCH {
                break;
            }
            match os::receive_now(socket, &mut datagram) {
                Ok(more) => length = more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain_mut(|client| send_batch(client, &batch));
    }
}

/// Whether the client is still there. A full socket misses the whole batch; one that takes a part
/// is waited for, or the next frame would begin in the middle of this one.
fn send_batch(client: &mut TcpStream, batch: &[u8]) -> bool {
    match os::send_now(client, batch) {
        Ok(sent) => sent == batch.len() || client.write_all(&batch[sent..]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
