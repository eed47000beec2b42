//! Starts the real binary on free ports, and stops it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

/// The longest that anything may take that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; dropped, it is killed and its directory removed.
pub struct Server {
    child: Child,
    pub clients: SocketAddr,
    pub publishers: SocketAddr,
    pub directory: Directory,
}

/// A directory of a test's own.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "udpush-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The binary under test: the one that scripts/test built, else cargo's.
pub fn udpush() -> Command {
    let binary = std::env::var_os("UDPUSH_BINARY");
    let mut command = Command::new(binary.unwrap_or(env!("CARGO_BIN_EXE_udpush").into()));
    command.stdin(Stdio::null());
    command
}

/// Looks again and again until `look` finds something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Server {
    /// On free ports of 127.0.0.1, with these flags besides.
    pub fn start(flags: &[&str]) -> Server {
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
        command.args(flags);
        Server::start_command(command)
    }

    /// With a command that may have more to it; it runs in a directory of its own.
    pub fn start_command(mut command: Command) -> Server {
        let directory = Directory::new();
        let child = command
            .current_dir(directory.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Server {
            child,
            clients: ([0, 0, 0, 0], 0).into(),
            publishers: ([0, 0, 0, 0], 0).into(),
            directory,
        };
        let line = server.wait_for_line("listening: clients on ");
        let mut words = line.split(" on ").skip(1);
        let mut address = || {
            words
                .next()
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        server.clients = address();
        server.publishers = address();
        server
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.file("udpush.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The first line of the log that holds these words.
    pub fn wait_for_line(&mut self, words: &str) -> String {
        eventually(words, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut stderr = String::new();
                let _ = self
                    .child
                    .stderr
                    .take()
                    .map(|mut s| s.read_to_string(&mut stderr));
                panic!("udpush has ended, {status}: {stderr}");
            }
            let log = self.log();
            let line = log.lines().find(|line| line.contains(words))?;
            Some(line.to_owned())
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// The exit status, if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of udpush", || self.ended())
    }

    /// Publishes from a socket of the test's own.
    pub fn push(&self, datagram: impl AsRef<[u8]>) {
        publisher()
            .send_to(datagram.as_ref(), self.publishers)
            .unwrap();
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.clients, "/")
    }

    /// A client of the subprotocol with ids; what it hears first is its hello.
    pub fn connect_v1(&self, target: &str) -> Client {
        Client::connect_v1(self.clients, target)
    }

    /// As many clients that have all joined.
    pub fn connect_many(&self, count: usize) -> Vec<Client> {
        (0..count).map(|_| self.connect()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("the log's last lines, newest first:\n{}", lines.join("\n"));
        }
    }
}

/// A socket to publish from, with a deadline for replies.
pub fn publisher() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A WebSocket client that waits at most [`PATIENCE`].
pub struct Client(pub WebSocket<TcpStream>);

impl Client {
    /// Has joined when this returns: the 101 response and the route are one step.
    pub fn connect(server: SocketAddr, target: &str) -> Client {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{server}{target}");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Client(socket)
    }

    /// The same with the subprotocol `udpush.v1`.
    pub fn connect_v1(server: SocketAddr, target: &str) -> Client {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
        loop {
            match self.0.read().expect("a text frame") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => {}
                other => panic!("not a text frame: {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes next.
    pub fn close_code(&mut self) -> u16 {
        loop {
            match self.0.read().expect("a close frame") {
                Message::Close(frame) => return frame.expect("a code").code.into(),
                Message::Ping(_) | Message::Text(_) => {}
                other => panic!("not a close frame: {other:?}"),
            }
        }
    }

    /// Sends raw bytes past the protocol.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Reads until the server has closed the connection, whatever it says before.
    pub fn wait_for_end(&mut self) {
        loop {
            match self.0.get_mut().read(&mut [0; 4096]) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("no end: {error}"),
            }
        }
    }
}
