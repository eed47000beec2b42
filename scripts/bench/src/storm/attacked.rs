//! The server that is attacked: one that the storm starts itself, or one that runs already.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server_stats::{Resources, Server, Table, dropped_before_sockets};

/// Starting, and answering a question, takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What was taken for clients is given back by then: the end of one connection takes at most as long.
const RELEASE: Duration = Duration::from_secs(25);
/// So long a thread waits for the next client.
const KEPT: Duration = Duration::from_secs(60);

/// What is needed of it.
#[derive(Debug)]
pub(crate) struct Attacked {
    /// Where clients connect.
    pub(crate) clients: SocketAddr,
    /// Where messages go in.
    pub(crate) publishers: SocketAddr,
    /// Its process, where it is on this machine.
    pub(crate) process: Option<Server>,
    own: Option<Own>,
}

/// A server of the storm's own: killed when this is dropped.
#[derive(Debug)]
struct Own {
    binary: PathBuf,
    flags: Vec<String>,
    directory: PathBuf,
    child: Child,
}

/// The file that its tokens are signed with, in its directory.
const SECRET_FILE: &str = "secret";
/// A server that only this program reaches needs no better one.
const SECRET: &str = "the secret of a storm, which is none";

impl Attacked {
    /// One that runs already.
    pub(crate) fn given(clients: SocketAddr, publishers: SocketAddr) -> Self {
        Attacked {
            clients,
            publishers,
            process: Server::find(clients, Table::Tcp),
            own: None,
        }
    }

    /// A new one of this binary, on free ports of loopback, with its log in a directory of its own.
    pub(crate) fn start(binary: &Path, flags: &[&str]) -> Result<Self, String> {
        let name = format!("udpush-storm-{}-{}", std::process::id(), unique());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        make_secret(&directory).map_err(|error| format!("cannot write a secret: {error}"))?;
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = spawn(binary, &flags, &directory, free, free)?;
        let own = Own {
            binary: binary.to_owned(),
            flags,
            directory,
            child,
        };
        let mut attacked = Attacked {
            clients: free,
            publishers: free,
            process: None,
            own: Some(own),
        };
        attacked.await_listening(0)?;
        Ok(attacked)
    }

    /// A token that this registration is signed by, for so long; `None` where the server is not the
    /// storm's own.
    pub(crate) fn token(
        &self,
        time: Duration,
        registration: &str,
    ) -> Result<Option<String>, String> {
        let Some(own) = &self.own else {
            return Ok(None);
        };
        let seconds = time.as_secs().max(1).to_string();
        let mut command = Command::new(&own.binary);
        command.args(["token", "--secret-file", SECRET_FILE, "--seconds", &seconds]);
        command.args((!registration.is_empty()).then_some(registration));
        let output = command.current_dir(&own.directory).output();
        let output = output.map_err(|error| format!("cannot make a token: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cannot make a token: {}", why.trim()));
        }
        let token = String::from_utf8_lossy(&output.stdout);
        Ok(Some(token.trim().to_owned()))
    }

    /// Kills it with SIGKILL. Only for one of the storm's own.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let own = self
            .own
            .as_mut()
            .ok_or("it is not this program's to kill")?;
        let killed = own.child.kill().and_then(|()| own.child.wait());
        killed.map_err(|error| format!("cannot kill the server: {error}"))?;
        Ok(())
    }

    /// Starts it again on the same ports, and does not wait until it listens.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        let (clients, publishers) = (self.clients, self.publishers);
        let own = self
            .own
            .as_mut()
            .ok_or("it is not this program's to start")?;
        own.child = spawn(&own.binary, &own.flags, &own.directory, clients, publishers)?;
        self.process = Some(Server::with_pid(own.child.id())?);
        Ok(())
    }

    /// Its log, where it is the storm's own.
    pub(crate) fn log(&self) -> Option<String> {
        let own = self.own.as_ref()?;
        fs::read_to_string(own.directory.join("udpush.log")).ok()
    }

    /// Whether it is the storm's own, and has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        let own = self.own.as_mut();
        own.is_some_and(|own| !matches!(own.child.try_wait(), Ok(None)))
    }

    /// The log names the addresses when all of them are bound.
    fn await_listening(&mut self, from: usize) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let ended = self.has_ended();
            let log = self.log().unwrap_or_default();
            if let Some((clients, publishers)) = log.get(from..).and_then(addresses) {
                (self.clients, self.publishers) = (clients, publishers);
                let pid = self.own.as_ref().map(|own| own.child.id());
                self.process = pid.map(Server::with_pid).transpose()?;
                return Ok(());
            }
            if ended || begun.elapsed() > PATIENCE {
                return Err(format!("the server does not start; its log: {log}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it needs now; nothing where that cannot be known.
    pub(crate) fn resources(&self) -> Resources {
        let process = self.process.as_ref();
        process.map_or(Resources::default(), Server::resources)
    }

    /// Waits until it has no more connections than before, and says what it needs then.
    pub(crate) fn await_the_end_of_connections(&self, before: Resources) -> Resources {
        self.await_resources(RELEASE, |now| now.has_more_connections(before).is_none())
    }

    /// Waits until the threads that wait for clients have ended, too.
    pub(crate) fn await_the_end_of_threads(&self, before: Resources) -> Resources {
        self.await_resources(RELEASE + KEPT, |now| now.exceeds(before).is_none())
    }

    fn await_resources(
        &self,
        patience: Duration,
        is_enough: impl Fn(Resources) -> bool,
    ) -> Resources {
        let begun = Instant::now();
        loop {
            let now = self.resources();
            if is_enough(now) || begun.elapsed() > patience {
                return now;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Messages that it has published so far, and datagrams that the kernel has dropped: at its sockets,
    /// and packets of any kind before.
    pub(crate) fn intake(&self) -> Result<(u64, u64), String> {
        let status = self.status()?;
        let published = status["messages"]["since_start"].as_u64().unwrap_or(0);
        let dropped = status["dropped_by_kernel"].as_u64().unwrap_or(0);
        Ok((published, dropped + dropped_before_sockets()))
    }

    /// Visitors that it has refused so far.
    pub(crate) fn refused(&self) -> Result<u64, String> {
        let status = self.status()?;
        let refused = status["refused_visitors"].as_object();
        let counts = refused
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64());
        Ok(counts.sum())
    }

    /// What it tells of itself.
    pub(crate) fn status(&self) -> Result<Value, String> {
        let address = self.publishers;
        let answer = ask(address).map_err(|error| format!("{address} tells no status: {error}"))?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        body.and_then(|body| serde_json::from_str(body).ok())
            .ok_or_else(|| format!("{address} tells no status: is it udpush?"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn make_secret(directory: &Path) -> io::Result<()> {
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600);
    file.open(directory.join(SECRET_FILE))?
        .write_all(SECRET.as_bytes())
}

fn unique() -> u32 {
    std::time::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .subsec_nanos()
}

fn spawn(
    binary: &Path,
    flags: &[String],
    directory: &Path,
    clients: SocketAddr,
    publishers: SocketAddr,
) -> Result<Child, String> {
    let spawn = || {
        let stderr = File::create(directory.join("stderr"))?;
        let mut command = Command::new(binary);
        command.args(["--listen", &clients.to_string()]);
        command.args(["--publish", &publishers.to_string()]);
        command.args(["--log-file", "udpush.log"]).args(flags);
        command.current_dir(directory).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(stderr).spawn()
    };
    let name = binary.display();
    spawn().map_err(|error: io::Error| format!("cannot start {name}: {error}"))
}

/// Of the line `listening: clients on A (tcp), publishers on B (udp, tcp)`.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (_, rest) = log.split_once("listening: clients on ")?;
    let (clients, rest) = rest.split_once(" (tcp), publishers on ")?;
    let (publishers, _) = rest.split_once(" (udp, tcp)")?;
    Some((clients.parse().ok()?, publishers.parse().ok()?))
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_the_addresses() {
        let log = "… [INFO] listening: clients on 127.0.0.1:1 (tcp), publishers on 127.0.0.1:2 (udp, tcp)\n";
        let expected = (
            "127.0.0.1:1".parse().unwrap(),
            "127.0.0.1:2".parse().unwrap(),
        );
        assert_eq!(addresses(log), Some(expected));
        assert_eq!(addresses("… [INFO] listening: clients on 127"), None);
    }
}
