//! Signs of life: what is asked of a client so that it counts as there.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::common::{Client, Deadline, Listener, PATIENCE, Server, skip, udpush_under};

/// An empty pong, in hexadecimal digits.
const PONG: &str = "8a8000000000";

#[test]
fn who_has_ever_sent_a_byte_is_closed_when_it_sends_none_for_two_heartbeats() {
    let mut server = Server::start(&["--heartbeat", "1"]);
    let mut silent = server.connect();
    let mut lively = Client::connect(server.clients, "/");
    // Half a frame and then nothing.
    silent.send_raw(&[0x81, 0x85, 1, 2]);
    // Reading answers the pings.
    let reader = std::thread::spawn(move || lively.text());
    server.wait_for_line("client 1 closed: no sign of life for 2 s (1 online)");
    server.push("\"still there\"");
    assert_eq!(reader.join().unwrap(), "\"still there\"");
}

#[test]
fn who_has_sent_its_only_frame_with_the_handshake_is_closed_too() {
    let mut server = Server::start(&["--heartbeat", "1"]);
    let mut stream = TcpStream::connect(server.clients).unwrap();
    let pong = [0x8a, 0x80, 0, 0, 0, 0];
    stream
        .write_all(&[Listener::HANDSHAKE, &pong].concat())
        .unwrap();
    server.wait_for_line("client 1 closed: no sign of life for 2 s (0 online)");
}

#[test]
fn who_never_sent_a_byte_lives_as_long_as_its_system_acknowledges_what_comes() {
    let server = Server::start(&["--heartbeat", "1"]);
    // As libcurl, which answers no pings while only pings come.
    let mut client = Listener::connect(server.clients);
    for _ in 0..5 {
        assert_eq!(client.frame().0, 0x89);
    }
    server.push("1");
    assert_eq!(client.text(), Ok("1".to_owned()));
}

#[test]
fn a_client_of_events_lives_as_long_as_its_system_acknowledges_what_comes() {
    let server = Server::start(&["--heartbeat", "1"]);
    let mut stream = TcpStream::connect(server.clients).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\n\r\n").unwrap();
    // What it sends asks nothing of it.
    stream.write_all(b"x").unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    // The first is the hello's.
    assert_eq!(
        lines
            .filter(|line| line.starts_with("id: "))
            .take(6)
            .count(),
        6
    );
}

#[test]
fn who_takes_nothing_is_closed_after_two_heartbeats_though_it_goes_on_sending() {
    let server = Server::start(&["--heartbeat", "1"]);
    let mut stuck = Listener::connect_narrow(server.clients);
    let mut witness = Listener::connect(server.clients);
    // More than the kernel takes for it, less than may wait for it.
    let document = format!("\"{}\"", "x".repeat(4000));
    for _ in 0..200 {
        server.push(&document);
        witness.text_after_pings();
    }
    // A pong for each ping of the other one.
    let deadline = Deadline::new();
    while !server.log().contains("client 1 closed: ") {
        deadline.check("a closed client");
        assert_eq!(witness.frame().0, 0x89);
        stuck.send_raw(&[0x8a, 0x80, 0, 0, 0, 0]);
    }
    let log = server.log();
    assert!(
        log.contains("client 1 closed: took nothing for 2 s (1 online)"),
        "{log}"
    );
}

#[test]
fn who_is_always_behind_but_takes_something_within_two_heartbeats_lives_on() {
    let server = Server::start(&["--heartbeat", "2", "--queue-bytes", "33554432"]);
    let mut slow = Listener::connect(server.clients);
    let mut witness = Listener::connect(server.clients);
    // Several times what the kernel takes for it.
    let document = format!("\"{}\"", "x".repeat(60_000));
    for _ in 0..300 {
        server.push(&document);
        witness.text_after_pings();
    }
    let mut take = |count| {
        for _ in 0..count {
            assert!(slow.text_after_pings() == document.as_bytes());
        }
    };
    // Enough at each heartbeat of the other one that the socket is writable again.
    for _ in 0..5 {
        take(15);
        assert_eq!(witness.frame().0, 0x89);
    }
    take(300 - 5 * 15);
}

/// A browser of its own: a PHP process that says on its standard output when a ping has come.
struct Browser(Child);

impl Browser {
    /// Connects from `address`, and answers each ping with `pong`; `wrapper` is a command that
    /// becomes PHP.
    fn start(
        server: &Server,
        address: &str,
        pong: &str,
        wrapper: &[&str],
    ) -> (Browser, impl Iterator<Item = String> + use<>) {
        let code = r#"
            $from = stream_context_create(['socket' => ['bindto' => $argv[2].':0']]);
            $s = stream_socket_client('tcp://'.$argv[1], $errno, $error, 20, STREAM_CLIENT_CONNECT, $from);
            fwrite($s, $argv[3]);
            while (($line = fgets($s)) !== "\r\n") if ($line === false) exit(1);
            while (($header = fread($s, 2)) !== '') {
                // Pings are the only frames that come.
                fwrite($s, hex2bin($argv[4]));
                echo "ping\n";
            }"#;
        let words = [wrapper, &["php", "-n", "-r", code, "--"]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args([&server.clients.to_string(), address])
            .arg(str::from_utf8(Listener::HANDSHAKE).unwrap())
            .arg(pong)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (Browser(child), lines.map(|line| line.unwrap()))
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_browser_whose_process_is_stopped_is_closed_after_two_heartbeats() {
    let mut server = Server::start(&["--heartbeat", "1"]);
    let (browser, mut pings) = Browser::start(&server, "127.0.0.1", PONG, &[]);
    // It lives for longer than two heartbeats: what follows is due to the stop.
    for _ in 0..4 {
        pings.next().expect("a ping");
    }
    browser.signal("STOP");
    server.wait_for_line("client 1 closed: no sign of life for 2 s (0 online)");
    let mut client = Client::connect(server.clients, "/");
    server.push("1");
    assert_eq!(client.text(), "1");
}

#[test]
fn a_process_that_is_killed_is_gone_at_once() {
    let mut server = Server::start(&["--heartbeat", "1"]);
    let (browser, mut pings) = Browser::start(&server, "127.0.0.1", PONG, &[]);
    pings.next().expect("a ping");
    browser.signal("KILL");
    let line = server.wait_for_line("client 1 closed: ");
    assert!(
        line.ends_with("closed: gone without a close frame (0 online)"),
        "{line}"
    );
}

/// What the log says of a browser whose network is gone, and every packet with it.
fn end_of_one_that_vanished(pong: &str) -> Option<String> {
    // A network of its own, in which an address can vanish.
    if !run(&["unshare", "-Urn", "true"]) {
        skip("this machine allows no namespaces");
        return None;
    }
    let prepare = "ip link set lo up && ip address add 10.9.9.1/32 dev lo && exec \"$@\"";
    let mut command = udpush_under(&["unshare", "-Urn", "sh", "-c", prepare, "sh"]);
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.args(["--heartbeat", "1"]);
    let mut server = Server::start_command(command);
    let target = server.pid().to_string();
    let enter = [
        "nsenter",
        "--preserve-credentials",
        "-U",
        "-n",
        "-t",
        &target,
    ];
    let (_browser, mut pings) = Browser::start(&server, "10.9.9.1", pong, &enter);
    for _ in 0..4 {
        pings.next().expect("a ping");
    }
    let delete = ["ip", "address", "del", "10.9.9.1/32", "dev", "lo"];
    assert!(run(&[&enter[..], &delete].concat()));
    let line = server.wait_for_line("client 1 closed: ");
    let port = server.publishers.port().to_string();
    let push = format!("echo 1 | nc.openbsd -u -q0 127.0.0.1 {port}");
    assert!(run(&[&enter[..], &["sh", "-c", &push]].concat()));
    server.wait_for_line("1 byte, for 0 clients");
    Some(line.split_once("closed: ").unwrap().1.to_owned())
}

#[test]
fn a_browser_that_vanishes_without_a_fin_is_closed_after_two_heartbeats() {
    let Some(why) = end_of_one_that_vanished(PONG) else {
        return;
    };
    // Which of the two limits is seen first is a matter of luck: that of pings that were not
    // answered, or that of bytes that were not acknowledged.
    let reasons = [
        "no sign of life for 2 s (0 online)",
        "took nothing for 2 s (0 online)",
    ];
    assert!(reasons.contains(&why.as_str()), "{why}");
}

#[test]
fn one_that_never_sent_a_byte_is_closed_when_nothing_is_acknowledged_any_more() {
    let Some(why) = end_of_one_that_vanished("") else {
        return;
    };
    assert_eq!(why, "took nothing for 2 s (0 online)");
}

fn run(words: &[&str]) -> bool {
    let status = Command::new(words[0]).args(&words[1..]).status();
    status.is_ok_and(|status| status.success())
}
