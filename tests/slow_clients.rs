//! Clients that stop reading, or living: they are closed at their bounds, and nobody else notices.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::{Client, Listener, Server, eventually, skip, udpush_under};

/// A document of 4 KB with a number in front.
fn numbered(number: usize) -> String {
    format!(
        "{{\"n\":\"{number:08}\",\"filling\":\"{}\"}}",
        "x".repeat(4000)
    )
}

/// Pushes numbered documents, each when the one before was heard, until the log has this line;
/// returns the line and how many there were.
fn push_until(server: &Server, witnesses: &mut [Listener], words: &str) -> (String, usize) {
    let mut count = 0;
    let line = eventually(words, || {
        for _ in 0..16 {
            server.push(numbered(count));
            for witness in &mut *witnesses {
                assert_eq!(witness.text(), Ok(numbered(count)));
            }
            count += 1;
        }
        let log = server.log();
        let line = log.lines().find(|line| line.contains(words))?;
        Some(line.to_owned())
    });
    (line, count)
}

/// What was `<number> <word>` in a log line.
fn number_before(word: &str, line: &str) -> usize {
    let (before, _) = line.split_once(word).unwrap();
    let number = before.trim_end().rsplit(' ').next().unwrap();
    number.replace(',', "").parse().unwrap()
}

fn closed_at_its_bound(flags: &[&str], is_over: impl Fn(usize, usize) -> bool) {
    let flags = [flags, &["--heartbeat", "3600"]].concat();
    let server = Server::start(&flags);
    let mut stuck = Listener::connect_narrow(server.clients);
    let mut witnesses: Vec<_> = (0..3).map(|_| Listener::connect(server.clients)).collect();
    let (line, count) = push_until(&server, &mut witnesses, "client 1 closed: ");
    let (messages, bytes) = (
        number_before("messages", &line),
        number_before("bytes", &line),
    );
    let expected = format!("too slow: {messages} messages, {bytes} bytes waited (3 online)");
    assert!(line.ends_with(&expected), "{line}");
    assert!(is_over(messages, bytes), "{line}");
    // It reads at last: whole messages without a gap, then why there are no more.
    let mut read = 0;
    let code = loop {
        match stuck.text() {
            Ok(text) => assert_eq!(text, numbered(read)),
            Err(code) => break code,
        }
        read += 1;
    };
    assert_eq!(code, 1013);
    assert!(read < count);
    server.push("\"on it goes\"");
    for witness in &mut witnesses {
        assert_eq!(witness.text().unwrap(), "\"on it goes\"");
    }
}

#[test]
fn a_client_that_stops_reading_is_closed_when_too_many_messages_wait() {
    let bounds = ["--queue", "16", "--queue-bytes", "1000000"];
    closed_at_its_bound(&bounds, |messages, bytes| {
        messages > 16 && bytes < 1_000_000
    });
}

#[test]
fn a_client_that_stops_reading_is_closed_when_too_many_bytes_wait() {
    let bounds = ["--queue", "1000", "--queue-bytes", "140000"];
    closed_at_its_bound(&bounds, |messages, bytes| {
        messages < 1000 && bytes > 140_000
    });
}

#[test]
fn a_client_that_reads_slowly_but_reads_is_not_closed() {
    let server = Server::start(&["--heartbeat", "3600"]);
    let mut slow = Listener::connect_narrow(server.clients);
    let mut witness = [Listener::connect(server.clients)];
    let mut heard = 0;
    // The default bound is 1 MiB: it is behind by half of that again and again.
    for round in 1..=8 {
        for number in heard..round * 128 {
            server.push(numbered(number));
            assert_eq!(witness[0].text(), Ok(numbered(number)));
        }
        while heard < round * 128 {
            assert_eq!(slow.text(), Ok(numbered(heard)));
            heard += 1;
        }
    }
}

/// A browser of its own: a PHP process that answers pings and says so on its standard output.
struct Browser(Child);

impl Browser {
    /// Connects from `address`; `wrapper` is a command that becomes PHP.
    fn start(
        server: &Server,
        address: &str,
        wrapper: &[&str],
    ) -> (Browser, impl Iterator<Item = String> + use<>) {
        let code = r#"
            $from = stream_context_create(['socket' => ['bindto' => $argv[2].':0']]);
            $s = stream_socket_client('tcp://'.$argv[1], $errno, $error, 20, STREAM_CLIENT_CONNECT, $from);
            fwrite($s, $argv[3]);
            while (($line = fgets($s)) !== "\r\n") if ($line === false) exit(1);
            while (($header = fread($s, 2)) !== '') {
                // Pings are the only frames that come.
                fwrite($s, "\x8a\x80\0\0\0\0");
                echo "ping\n";
            }"#;
        let words = [wrapper, &["php", "-n", "-r", code, "--"]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args([&server.clients.to_string(), address])
            .arg(str::from_utf8(Listener::HANDSHAKE).unwrap())
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
    let (browser, mut pings) = Browser::start(&server, "127.0.0.1", &[]);
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
    let (browser, mut pings) = Browser::start(&server, "127.0.0.1", &[]);
    pings.next().expect("a ping");
    browser.signal("KILL");
    let line = server.wait_for_line("client 1 closed: ");
    assert!(
        line.ends_with("closed: gone without a close frame (0 online)"),
        "{line}"
    );
}

#[test]
fn a_browser_that_vanishes_without_a_fin_is_closed_after_two_heartbeats() {
    // A network of its own, in which an address can vanish and every packet with it.
    if !run(&["unshare", "-Urn", "true"]) {
        return skip("this machine allows no namespaces");
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
    let (_browser, mut pings) = Browser::start(&server, "10.9.9.1", &enter);
    for _ in 0..4 {
        pings.next().expect("a ping");
    }
    let delete = ["ip", "address", "del", "10.9.9.1/32", "dev", "lo"];
    assert!(run(&[&enter[..], &delete].concat()));
    // Which of the two limits is seen first is a matter of luck: that of pings that were not
    // answered, or that of bytes that were not acknowledged.
    let line = server.wait_for_line("client 1 closed: ");
    let why = line.split_once("closed: ").unwrap().1;
    assert!(
        why == "no sign of life for 2 s (0 online)" || why.starts_with("connection lost: "),
        "{line}"
    );
    let port = server.publishers.port().to_string();
    let push = format!("echo 1 | nc.openbsd -u -q0 127.0.0.1 {port}");
    assert!(run(&[&enter[..], &["sh", "-c", &push]].concat()));
    server.wait_for_line("1 bytes, for 0 clients");
}

fn run(words: &[&str]) -> bool {
    let status = Command::new(words[0]).args(&words[1..]).status();
    status.is_ok_and(|status| status.success())
}
