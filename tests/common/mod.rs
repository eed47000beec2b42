//! Starts the real binary on free ports, and stops it.

mod clients;
mod skip;
pub mod tokens;
mod tools;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub use clients::{Client, Connection, Listener, conversation, frames};
pub use skip::skip;
pub use tools::{Curl, Ending, nc, php, php_push};

/// The longest that anything may take that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; dropped, it is killed and its directory removed.
pub struct Server {
    child: Child,
    pub clients: SocketAddr,
    /// The first of the addresses where datagrams come in.
    pub publishers: SocketAddr,
    pub all_publishers: Vec<SocketAddr>,
    pub directory: Directory,
    log_path: PathBuf,
}

/// A directory of a test's own.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        let name = format!("udpush-test-{}-{}", std::process::id(), unique());
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

/// A number that no other test of this process has.
fn unique() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A loopback address that nobody else uses: for the tests in which a port must be known before
/// the server has it, so that none can be taken away in between. The port is to be one that nobody
/// has on all addresses: not udpush's own, and none that the kernel gives out.
pub fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + (unique() % 128) as u8, high, low)
}

/// The tests have hundreds of clients at a time; 1,024 descriptors, as many systems allow at first,
/// are too few for all of them.
fn allow_descriptors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(8192)), hard).unwrap();
    });
}

/// The binary under test, the one that scripts/test built, else cargo's; with no settings but
/// those that the test gives it.
pub fn udpush() -> Command {
    udpush_under(&[])
}

/// The same as the last argument of another command, which becomes it.
pub fn udpush_under(wrapper: &[&str]) -> Command {
    allow_descriptors();
    let binary = std::env::var_os("UDPUSH_BINARY");
    let binary = binary.unwrap_or(env!("CARGO_BIN_EXE_udpush").into());
    let mut command = match wrapper {
        [] => Command::new(binary),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UDPUSH_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Looks again and again until `look` finds something.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same with a patience of its own.
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(found) = look() {
            return found;
        }
        deadline.check(what);
        thread::sleep(Duration::from_millis(2));
    }
}

/// For loops that end when something comes: where other things may come instead for ever, the
/// deadline of a single read never passes.
pub struct Deadline(Instant);

impl Deadline {
    /// In [`PATIENCE`].
    pub fn new() -> Deadline {
        Deadline::after(PATIENCE)
    }

    fn after(patience: Duration) -> Deadline {
        Deadline(Instant::now() + patience)
    }

    /// Fails when it has passed.
    pub fn check(&self, what: &str) {
        assert!(Instant::now() < self.0, "it never came: {what}");
    }
}

/// Runs this when it is dropped, after a failed assertion, too: so threads are told to end that a
/// scope would wait for.
pub struct AtEnd<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
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
    pub fn start_command(command: Command) -> Server {
        Server::start_in(Directory::new(), command, "udpush.log")
    }

    /// In a directory that may hold files already, with the log in this file of it: "stderr" is
    /// where the standard error goes.
    pub fn start_in(directory: Directory, command: Command, log: &str) -> Server {
        let mut server = Server::spawn(directory, command, log);
        let line = server.wait_for_line("listening: clients on ");
        let (_, addresses) = line.split_once("clients on ").unwrap();
        let (clients, publishers) = addresses.split_once(" (tcp), publishers on ").unwrap();
        let publishers = publishers.strip_suffix(" (udp, tcp)").unwrap();
        server.clients = clients.parse().unwrap();
        let publishers = publishers.split(" and ").map(|a| a.parse().unwrap());
        server.all_publishers = publishers.collect();
        server.publishers = server.all_publishers[0];
        server
    }

    /// With addresses that are known beforehand, and perhaps without a log to tell of them.
    pub fn start_at(
        clients: SocketAddr,
        publishers: SocketAddr,
        mut command: Command,
        log: &str,
    ) -> Server {
        command.args(["--listen", &clients.to_string()]);
        command.args(["--publish", &publishers.to_string()]);
        let mut server = Server::spawn(Directory::new(), command, log);
        server.clients = clients;
        server.publishers = publishers;
        server.all_publishers = vec![publishers];
        eventually("a server that listens", || {
            assert_eq!(server.ended(), None, "{}", server.stderr());
            TcpStream::connect(clients).ok()
        });
        server
    }

    fn spawn(directory: Directory, mut command: Command, log: &str) -> Server {
        let stderr = File::create(directory.file("stderr")).unwrap();
        let child = command.current_dir(directory.path()).stderr(stderr).spawn();
        Server {
            child: child.unwrap(),
            clients: ([0, 0, 0, 0], 0).into(),
            publishers: ([0, 0, 0, 0], 0).into(),
            all_publishers: Vec::new(),
            log_path: directory.file(log),
            directory,
        }
    }

    pub fn log_path(&self) -> PathBuf {
        self.log_path.clone()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.directory.file("stderr")).unwrap()
    }

    /// The first line of the log that holds these words.
    pub fn wait_for_line(&mut self, words: &str) -> String {
        eventually(words, || {
            // Asked first: what a process that has ended wrote is there.
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            let line = log.lines().find(|line| line.contains(words));
            if let (None, Some(status)) = (line, ended) {
                panic!("udpush has ended, {status}: {}", self.stderr());
            }
            line.map(str::to_owned)
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

    /// Ends it in order, so that its log is complete, and returns the log.
    pub fn stop(&mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.wait().code(), Some(0));
        self.log()
    }

    /// Publishes from a socket of the test's own.
    pub fn push(&self, datagram: impl AsRef<[u8]>) {
        publisher()
            .send_to(datagram.as_ref(), self.publishers)
            .unwrap();
    }

    /// Publishes each in a datagram of its own, as fast as one socket can.
    pub fn push_burst(&self, documents: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let socket = publisher();
        for document in documents {
            socket.send_to(document.as_ref(), self.publishers).unwrap();
        }
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

    /// How many datagrams may be sent at once so that the kernel drops none, even if the server
    /// does not get to run meanwhile: Debian's default buffer holds 256 small ones.
    pub fn burst(&self) -> usize {
        if self.log().contains("a burst may overflow it") {
            200
        } else {
            500
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(150).collect();
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

/// The next datagram, as text, and who sent it.
pub fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 1000];
    loop {
        match socket.recv_from(&mut buffer) {
            // As a `Connection`'s reads.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => {
                let (length, sender) = outcome.expect("a datagram");
                return (
                    String::from_utf8_lossy(&buffer[..length]).into_owned(),
                    sender,
                );
            }
        }
    }
}
