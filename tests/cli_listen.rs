//! `udpush listen`: what is pushed, a line each, through lost links and restarts of the server.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus};

use crate::browser::relay::Relay;
use crate::common::{Directory, Ending, Server, eventually, nc, own_address, udpush};

/// A running listener; dropped, it is killed.
struct Listening {
    child: Child,
    files: Directory,
}

impl Listening {
    /// To a server at this address, with these flags besides.
    fn to(server: SocketAddr, path: &str, flags: &[&str]) -> Listening {
        let mut command = udpush();
        command.args(["listen", &format!("ws://{server}{path}")]);
        Listening::start(command.args(flags))
    }

    /// To a server that has nobody else yet; it is connected when this returns.
    fn joined(server: &mut Server, path: &str, flags: &[&str]) -> Listening {
        let listening = Listening::to(server.clients, path, flags);
        server.wait_for_line("client 1 connected");
        listening
    }

    fn start(command: &mut Command) -> Listening {
        let files = Directory::new();
        let file = |name| File::create(files.file(name)).unwrap();
        let command = command.stdout(file("stdout")).stderr(file("stderr"));
        Listening {
            child: command.spawn().unwrap(),
            files,
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.files.file(name)).unwrap()
    }

    /// All that it has printed, once that is so many lines.
    fn lines(&self, count: usize) -> Vec<String> {
        eventually("as many lines", || {
            let printed = self.read("stdout");
            let lines: Vec<_> = printed.lines().map(str::to_owned).collect();
            (printed.ends_with('\n') && lines.len() >= count).then_some(lines)
        })
    }

    /// Waits for a remark on its standard error.
    fn wait_for_remark(&self, words: &str) {
        eventually(words, || self.read("stderr").contains(words).then_some(()));
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the end of udpush listen", || {
            self.child.try_wait().unwrap()
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One that is to end by itself, with this status: what it says on standard error.
fn ends(server: SocketAddr, path: &str, flags: &[&str], status: i32) -> String {
    let mut command = udpush();
    command.args(["listen", &format!("ws://{server}{path}")]);
    let output = Ending::start(command.args(flags)).output();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(output.stdout, b"");
    stderr
}

#[test]
fn each_document_is_a_line_as_it_came() {
    let mut server = Server::start(&[]);
    let listening = Listening::joined(&mut server, "/", &[]);
    let deep = format!("{}\"\"{}", "[".repeat(511), "]".repeat(511));
    for document in [r#"{"b" : 1.0,"a":"\u00e9ü", "b":1e400}"#, "\"\\n\"", &deep] {
        nc(&["-w1"], server.publishers, document.as_bytes());
    }
    server.push("{\n  \"a\":\r\n  1}\n[2]");
    let expected = [
        r#"{"b" : 1.0,"a":"\u00e9ü", "b":1e400}"#,
        "\"\\n\"",
        &deep,
        "{   \"a\":    1}",
        "[2]",
    ];
    assert_eq!(listening.lines(5), expected);
    assert_eq!(listening.read("stderr"), "");
}

#[test]
fn what_is_registered_is_heard_only_and_ids_are_told() {
    let mut server = Server::start(&[]);
    let flags = [
        "--ids",
        "--register",
        "class=a b&c",
        "-r",
        "school_id=2",
        "-r",
        "school_id=3",
    ];
    let listening = Listening::joined(&mut server, "/?year=1", &flags);
    let line = server.wait_for_line("client 1 registered");
    let registration = r#"{"class":"a b&c","school_id":["2","3"],"year":"1"}"#;
    assert!(line.ends_with(registration), "{line}");
    for school in 1..=3 {
        server.push(format!(r#"{{"school_id":{school}}}"#));
    }
    let lines = listening.lines(2);
    let parted: Vec<_> = lines
        .iter()
        .map(|line| line.split_once('\t').unwrap())
        .collect();
    for ((id, document), number) in parted.iter().zip([2, 3]) {
        assert!(id.ends_with(&format!("-{number}")), "{lines:?}");
        assert_eq!(*document, format!(r#"{{"school_id":{number}}}"#));
    }
    assert_eq!(lines.len(), 2);
}

#[test]
fn it_ends_after_as_many_documents_as_were_asked_for() {
    let mut server = Server::start(&[]);
    let mut listening = Listening::joined(&mut server, "/", &["--count", "3"]);
    server.push("1 2");
    server.push("3 4 5");
    assert_eq!(listening.wait().code(), Some(0));
    assert_eq!(listening.read("stdout"), "1\n2\n3\n");
    assert_eq!(listening.read("stderr"), "");
    // In order, as the server sees it.
    server.wait_for_line("client 1 closed: closed by the client");
}

#[test]
fn a_signal_ends_it_and_all_is_well() {
    for signal in ["INT", "TERM"] {
        let mut server = Server::start(&[]);
        let mut listening = Listening::joined(&mut server, "/", &[]);
        server.push("1");
        listening.lines(1);
        listening.signal(signal);
        assert_eq!(listening.wait().code(), Some(0));
        assert_eq!(listening.read("stderr"), "");
    }
}

#[test]
fn what_is_pushed_while_the_link_is_cut_comes_once_it_is_mended() {
    let mut server = Server::start(&[]);
    let relay = Relay::start(server.clients);
    let listening = Listening::to(relay.address, "/", &["-r", "school_id=2"]);
    server.wait_for_line("client 1 connected");
    server.push(r#"{"school_id":2,"n":1}"#);
    listening.lines(1);
    relay.cut();
    listening.wait_for_remark("is lost");
    server.push(r#"{"school_id":2,"n":2}"#);
    server.push(r#"{"school_id":3,"n":3}"#);
    relay.mend();
    listening.wait_for_remark("connected again, nothing was missed");
    server.push(r#"{"school_id":2,"n":4}"#);
    let expected = [1, 2, 4].map(|n| format!(r#"{{"school_id":2,"n":{n}}}"#));
    assert_eq!(listening.lines(3), expected);
}

#[test]
fn a_restart_of_the_server_is_survived_and_said() {
    let address = own_address();
    let (clients, publishers) = ((address, 7552).into(), (address, 7553).into());
    let start = || Server::start_at(clients, publishers, udpush(), "udpush.log");
    let mut server = start();
    let listening = Listening::to(clients, "/", &["--wait"]);
    server.wait_for_line("client 1 connected");
    server.push("1");
    listening.lines(1);
    server.stop();
    listening.wait_for_remark("is lost (closed with 1001");
    let server = start();
    listening.wait_for_remark("connected again, but messages may have been missed");
    server.push("2");
    assert_eq!(listening.lines(2), ["1", "2"]);
    let remarks = listening.read("stderr");
    assert_eq!(remarks.lines().count(), 2, "{remarks}");
}

#[test]
fn who_asks_for_an_id_begins_after_it_or_is_told_that_it_cannot() {
    let mut server = Server::start(&[]);
    let first = Listening::joined(&mut server, "/", &["--ids"]);
    server.push("1 2 3");
    let lines = first.lines(3);
    let (id, _) = lines[0].split_once('\t').unwrap();
    for (path, flags) in [
        ("/".to_owned(), &["--since", id][..]),
        (format!("/?since={id}"), &[]),
    ] {
        let second = Listening::to(server.clients, &path, flags);
        assert_eq!(second.lines(2), ["2", "3"]);
        assert_eq!(second.read("stderr"), "");
    }
    let others = ["aaaaaaaa-1", "no id"].map(|id| {
        let other = Listening::to(server.clients, "/", &["--since", id]);
        other.wait_for_remark("not everything after this id is held any more");
        other
    });
    server.push("4");
    for other in others {
        assert_eq!(other.lines(1), ["4"]);
    }
}

#[test]
fn who_asks_for_the_newest_begins_with_them_and_has_them_once() {
    let mut server = Server::start(&[]);
    let mut witness = server.connect();
    for number in 1..=6 {
        server.push(format!(r#"{{"class":{},"n":{number}}}"#, number % 2));
        witness.text();
    }
    let relay = Relay::start(server.clients);
    let flags = ["--last", "2", "-r", "class=1"];
    let listening = Listening::to(relay.address, "/", &flags);
    let document = |number| format!(r#"{{"class":1,"n":{number}}}"#);
    assert_eq!(listening.lines(2), [document(3), document(5)]);
    let line = server.wait_for_line("client 2 registered");
    assert!(line.ends_with(r#"{"class":"1"}"#), "{line}");
    relay.cut();
    listening.wait_for_remark("is lost");
    server.push(document(7));
    relay.mend();
    let expected = [3, 5, 7].map(document);
    assert_eq!(listening.lines(3), expected);
}

#[test]
fn where_nobody_is_it_says_what_to_do_or_waits() {
    let address = own_address();
    let (clients, publishers) = ((address, 7552).into(), (address, 7553).into());
    let stderr = ends(clients, "/", &[], 1);
    let start = format!("udpush: cannot connect to {clients}: Connection refused");
    assert!(stderr.starts_with(&start), "{stderr}");
    assert!(stderr.contains("systemctl status udpush") && stderr.contains("--wait"));
    assert_eq!(stderr.matches('\n').count(), 1, "{stderr}");

    let waiting = Listening::to(clients, "/", &["--wait"]);
    waiting.wait_for_remark(&format!("waiting for {clients} (Connection refused"));
    let mut server = Server::start_at(clients, publishers, udpush(), "udpush.log");
    waiting.wait_for_remark("udpush: connected\n");
    server.push("1");
    assert_eq!(waiting.lines(1), ["1"]);
    server.stop();
}

#[test]
fn the_servers_own_sentence_is_told_when_it_refuses() {
    let server = Server::start(&["--max-clients", "1"]);
    let long = format!("a={}", "x".repeat(300));
    let stderr = ends(server.clients, "/", &["--wait", "-r", &long], 1);
    assert!(stderr.contains("at most 256 are allowed"), "{stderr}");
    assert!(stderr.contains("1008"), "{stderr}");
    let _full = server.connect();
    let stderr = ends(server.clients, "/", &[], 1);
    assert!(stderr.contains("503 Service Unavailable: "), "{stderr}");
}

#[test]
fn whoever_speaks_something_else_is_told_apart() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let closing = std::thread::spawn(move || drop(other.accept().unwrap()));
    let stderr = ends(address, "/", &[], 1);
    closing.join().unwrap();
    assert!(stderr.contains(&address.to_string()), "{stderr}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_any_more() {
    let mut server = Server::start(&[]);
    let mut command = Command::new("bash");
    let pipe = "\"$0\" listen \"$1\" | head -n1; exit ${PIPESTATUS[0]}";
    command.args(["-c", pipe]).arg(udpush().get_program());
    command.arg(format!("ws://{}/", server.clients));
    let mut listening = Listening::start(&mut command);
    server.wait_for_line("client 1 connected");
    // It finds out when it prints; head may take its time to go.
    let status = eventually("the end of the pipe", || {
        server.push("1");
        listening.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(listening.read("stdout"), "1\n");
    assert_eq!(listening.read("stderr"), "");
}

#[test]
fn wrong_urls_and_fields_are_wrong_usage() {
    for (arguments, words) in [
        (&["ftp://127.0.0.1/"][..], "ws://127.0.0.1:6552/"),
        (&["wss://127.0.0.1/"], "no TLS"),
        (&["--register", "school_id"], "school_id=2"),
        (&["--register", "since=1"], "\"since\" is no field"),
        (&["--count", "0"], "--count"),
    ] {
        let output = Ending::start(udpush().arg("listen").args(arguments)).output();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
