//! A network that can be cut: a TCP relay between browser and server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Runs until the test ends.
pub struct Relay {
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    network: Network,
    /// Both ends of every connection that there was.
    streams: Vec<TcpStream>,
    /// WebSockets that the browser holds now, and at most held at once.
    sockets: usize,
    most_sockets: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Network {
    Up,
    /// Connections end, and new ones do as they begin.
    Cut,
    /// Connections stay, but nothing gets through.
    Silent,
    /// HTTP gets through, as a proxy passes it on that knows of no upgrades.
    WithoutUpgrades,
}

impl Relay {
    pub fn start(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            network: Network::Up,
            streams: Vec::new(),
            sockets: 0,
            most_sockets: 0,
        }));
        let relay = Relay {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for browser in listener.incoming() {
                let browser = browser.unwrap();
                let mut state = shared.lock().unwrap();
                // Without a server, as if it were cut.
                if state.network != Network::Cut
                    && let Ok(server) = TcpStream::connect(server)
                {
                    for stream in [&browser, &server] {
                        state.streams.push(stream.try_clone().unwrap());
                    }
                    carry(&browser, &server, &shared, true);
                    carry(&server, &browser, &shared, false);
                }
            }
        });
        relay
    }

    pub fn cut(&self) {
        self.become_(Network::Cut);
    }

    pub fn fall_silent(&self) {
        self.become_(Network::Silent);
    }

    pub fn lose_upgrades(&self) {
        self.become_(Network::WithoutUpgrades);
    }

    /// What was connected before is gone for good.
    pub fn mend(&self) {
        self.become_(Network::Cut);
        self.shared.lock().unwrap().network = Network::Up;
    }

    fn become_(&self, network: Network) {
        let mut state = self.shared.lock().unwrap();
        state.network = network;
        if network == Network::Cut {
            for stream in state.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// How many WebSockets the browser has held at once.
    pub fn most_sockets(&self) -> usize {
        self.shared.lock().unwrap().most_sockets
    }
}

fn carry(from: &TcpStream, to: &TcpStream, shared: &Arc<Mutex<Shared>>, is_browser: bool) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut is_socket = false;
        let mut buffer = vec![0; 64 << 10];
        let mut pass = || -> io::Result<()> {
            loop {
                let count = from.read(&mut buffer)?;
                if count == 0 {
                    return Ok(());
                }
                let mut bytes = buffer[..count].to_vec();
                let mut state = shared.lock().unwrap();
                if is_browser && let Some(at) = position(&bytes, UPGRADE) {
                    if state.network == Network::WithoutUpgrades {
                        bytes.drain(at..at + UPGRADE.len());
                    }
                    is_socket = true;
                    state.sockets += 1;
                    state.most_sockets = state.most_sockets.max(state.sockets);
                }
                let gets_through = matches!(state.network, Network::Up | Network::WithoutUpgrades);
                drop(state);
                if gets_through {
                    to.write_all(&bytes)?;
                }
            }
        };
        // However it ends, the other end is told.
        let _ = pass();
        let _ = to.shutdown(Shutdown::Both);
        if is_socket {
            shared.lock().unwrap().sockets -= 1;
        }
    });
}

const UPGRADE: &[u8] = b"Upgrade: websocket\r\n";

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
