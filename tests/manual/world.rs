//! What an example meets: a server, its tools, and clients that are online.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use regex_lite::Regex;
use tungstenite::Message;

use super::repository;
use crate::common::{Client, Directory, Server, conversation, eventually, udpush};

/// See the module. Examples of one page share it: one may make what the next one needs.
pub struct World {
    pub server: Server,
    /// The programs that the examples call, first in the path.
    tools: Directory,
    /// Started when it is first needed.
    web: Option<Web>,
}

impl World {
    /// The directory of the examples has what a page says one should copy there.
    pub fn new() -> World {
        let server = Server::start(&[]);
        let tools = Directory::new();
        symlink(udpush().get_program(), tools.file("udpush")).unwrap();
        symlink("/usr/bin/nc.openbsd", tools.file("nc")).unwrap();
        let here = server.directory.path();
        symlink(repository("scripts"), here.join("scripts")).unwrap();
        fs::copy(repository("scripts/push.php"), here.join("push.php")).unwrap();
        for directory in ["etc", "var/log/udpush", "var/lib/udpush"] {
            fs::create_dir_all(here.join(directory)).unwrap();
        }
        World {
            server,
            tools,
            web: None,
        }
    }

    pub fn directory(&self) -> &Path {
        self.server.directory.path()
    }

    /// The path for programs.
    pub fn path(&self) -> String {
        let tools = self.tools.path().display();
        format!("{tools}:{}", std::env::var("PATH").unwrap())
    }

    /// The example as it is run: the server's own ports, and the machine's directories are those of
    /// the test.
    pub fn adapted(&self, text: &str) -> String {
        self.placed(text)
            .replace("6552", &self.server.clients.port().to_string())
            .replace("6553", &self.server.publishers.port().to_string())
    }

    /// The same for a server of the example's own.
    pub fn adapted_for_server(&self, text: &str) -> String {
        let ports = Regex::new("655[23]").unwrap();
        let address = Regex::new(r"\b10\.1\.0\.5\b").unwrap();
        let text = address.replace_all(text, "127.0.0.1");
        ports.replace_all(&self.placed(&text), "0").into_owned()
    }

    fn placed(&self, text: &str) -> String {
        let here = self.directory().display();
        ["/etc/", "/var/log/", "/var/lib/"]
            .iter()
            .fold(text.to_owned(), |text, place| {
                text.replace(place, &format!("{here}{place}"))
            })
    }

    /// Clients that are online for an example: `v1 /?user=u7, plain /`.
    pub fn connect(&self, wanted: &str) -> Vec<Client> {
        let clients = wanted.split(", ").filter(|one| !one.is_empty());
        clients
            .map(|one| match one.split_once(' ') {
                Some(("v1", target)) => self.server.connect_v1(target),
                Some(("plain", target)) => Client::connect(self.server.clients, target),
                _ => panic!("no client: {one}"),
            })
            .collect()
    }

    /// The same for an example that may show them: nothing waits for them any more.
    pub fn online(&self, wanted: &str) -> Vec<Client> {
        let clients = self.connect(wanted);
        eventually("clients that are told all", || {
            let answer = self.listed();
            let told = answer.matches("\"queued\":{\"messages\":0,").count();
            (told == clients.len()).then_some(())
        });
        clients
    }

    /// What `/clients` tells.
    fn listed(&self) -> String {
        conversation(self.server.publishers, "GET /clients HTTP/1.0\r\n\r\n")
    }

    /// The clients leave, and the server knows it: the next example meets nobody.
    pub fn leave(&self, clients: Vec<Client>) {
        drop(clients);
        eventually("nobody online", || {
            self.listed().ends_with("\r\n\r\n").then_some(())
        });
    }

    /// Does what happens meanwhile: `connect v1 /?user=u7; say {…}; push {…}; close`.
    pub fn happen(&self, steps: &str) {
        let mut clients = Vec::new();
        for step in steps.split("; ") {
            let (what, with) = step.split_once(' ').unwrap_or((step, ""));
            match what {
                "connect" => clients.extend(self.connect(with)),
                "say" => clients.last_mut().unwrap().say(with),
                "push" => self.server.push(with),
                "close" => {
                    let mut client = clients.pop().unwrap();
                    let close = Message::Close(Some(tungstenite::protocol::CloseFrame {
                        code: 1001.into(),
                        reason: "".into(),
                    }));
                    client.0.send(close).unwrap();
                    client.wait_for_end();
                }
                _ => panic!("nothing happens like this: {step}"),
            }
        }
    }

    /// The port of a web server, PHP's own, that has the files of the examples.
    pub fn web_server(&mut self) -> u16 {
        let directory = self.server.directory.path();
        self.web
            .get_or_insert_with(|| Web::start(directory, &[]))
            .port
    }

    /// Writes a file that is the example.
    pub fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.directory().join(name);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }
}

/// PHP's own web server; dropped, it is gone.
pub struct Web {
    child: Child,
    pub port: u16,
}

impl Web {
    pub fn start(directory: &Path, flags: &[&str]) -> Web {
        // It cannot choose a port by itself.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut php = Command::new("php");
        php.arg("-n")
            .args(flags)
            .arg("-S")
            .arg(format!("127.0.0.1:{port}"));
        php.current_dir(directory).stdin(Stdio::null());
        let log = fs::File::create(directory.join("php.log")).unwrap();
        let child = php.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let web = Web { child, port };
        eventually("PHP's web server", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        web
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is the same wherever and whenever it is printed: without ids, times, addresses, the numbers
/// of clients, and how long something took or is.
pub fn general(text: &str) -> String {
    let mut text = text.replace('\r', "");
    for (pattern, replacement) in [
        (r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", "TIME"),
        (r"\b[0-9a-z]{8}-(\d+)\b", "ID"),
        (r"\[::1\]:\d+|\b\d+\.\d+\.\d+\.\d+(:\d+)?\b", "ADDRESS"),
        (r#"("?client"?[: ]+)\d+"#, "${1}N"),
        (
            r#""(hears|uptime|seconds|seen|bytes|pid)":(\[[0-9,]*\]|[0-9.]+)"#,
            "\"$1\":N",
        ),
        (r"\b\d+(\.\d+)? (s|ms)\b", "N s"),
        (r"\budpush \d+\.\d+\.\d+", "udpush VERSION"),
        (r"(?m)^ *\d+  ", "N  "),
        // How wide a column is depends on what stands in it.
        (r"(?m)^ +", ""),
        (r"(?m) +$", ""),
        (r"  +", "  "),
    ] {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, replacement).into_owned();
    }
    text.trim_end().to_owned()
}

/// Whether something is as it is shown; `…` stands for anything within a line.
pub fn is_like(shown: &str, found: &str) -> bool {
    let (shown, found) = (general(shown), general(found));
    let mut found = found.lines();
    shown.lines().all(|line| {
        let line = line.split('…').map(regex_lite::escape);
        let pattern = line.collect::<Vec<_>>().join(".*");
        let pattern = Regex::new(&format!("^{pattern}$")).unwrap();
        found.next().is_some_and(|found| pattern.is_match(found))
    }) && found.next().is_none()
}
