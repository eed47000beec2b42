//! What the log says: each line true, and the sums right.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{Client, Directory, Ending, PATIENCE, Server};
use crate::common::{conversation, eventually, own_address, publisher, skip, udpush};

/// What each line says, behind its time and level.
fn texts(log: &str) -> Vec<String> {
    log.lines()
        .map(|line| {
            // 2026-11-23T14:10:48.128+00:00 [INFO] …
            let (time, rest) = line.split_at_checked(29).expect(line);
            let shape: String = time
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            let shape = shape.replace("-00:00", "+00:00");
            assert_eq!(shape, "0000-00-00T00:00:00.000+00:00", "{line}");
            let (level, text) = rest.split_once("] ").expect(line);
            assert!(
                [" [ERROR", " [WARN", " [INFO", " [DEBUG"].contains(&level),
                "{line}"
            );
            text.to_owned()
        })
        .collect()
}

/// A number as a person reads it: 12,345.
fn number(text: &str) -> usize {
    text.replace(',', "").parse().expect(text)
}

/// What stands before a noun, and how many that is: 1 client, 2 clients.
fn split_at<'a>(text: &'a str, noun: &str) -> Option<(&'a str, &'a str)> {
    let (before, after) = text.split_once(noun)?;
    let count = before
        .split(' ')
        .find(|word| word.parse::<u64>().is_ok() || word.contains(','));
    let is_one = count.expect(text) == "1";
    assert_eq!(is_one, !after.starts_with('s'), "{text}");
    Some((before, after.strip_prefix('s').unwrap_or(after)))
}

/// What lines like `12,345 more <noun>s<words>…` add up to, and those lines' rests.
fn sums<'a>(texts: &'a [String], noun: &str, words: &str) -> (usize, Vec<&'a str>) {
    let mut total = 0;
    let mut rests = Vec::new();
    for text in texts {
        if text.contains(&format!(" more {noun}"))
            && let Some((count, rest)) = split_at(text, &format!(" more {noun}"))
            && let Some(rest) = rest.strip_prefix(words)
        {
            total += number(count);
            rests.push(rest);
        }
    }
    (total, rests)
}

#[test]
fn message_lines_and_their_sums_add_up_to_what_was_published() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let socket = publisher();
    let documents: Vec<_> = (1..=3000).map(|n| "7".repeat(1 + n % 50)).collect();
    for burst in documents.chunks(server.burst()) {
        for document in burst {
            socket
                .send_to(document.as_bytes(), server.publishers)
                .unwrap();
        }
        for document in burst {
            assert_eq!(&client.text(), document);
        }
    }
    drop(client);
    let log = server.stop();
    let texts = texts(&log);
    let from = format!(" from {}, ", socket.local_addr().unwrap());
    let (mut count, mut bytes) = (0, 0);
    for text in texts.iter().filter(|text| text.starts_with("message ")) {
        let (id, rest) = text.split_once(&from).expect(text);
        let (length, audience) = split_at(rest, " byte").expect(text);
        assert_eq!(audience, ", for 1 client (1)");
        let sequence: usize = id.split_once('-').unwrap().1.parse().unwrap();
        assert_eq!(number(length), documents[sequence - 1].len(), "{text}");
        count += 1;
        bytes += number(length);
    }
    let (more, rests) = sums(&texts, "message", ", ");
    assert!(count >= 100 && more > 0, "{count} lines, {more} more");
    for rest in rests {
        bytes += number(split_at(rest, " byte").expect(rest).0);
    }
    assert_eq!(count + more, 3000);
    assert_eq!(bytes, documents.iter().map(String::len).sum::<usize>());
}

#[test]
fn refusals_and_clients_are_summed_up_too() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut witness = server.connect();
    let socket = publisher();
    for number in 1..=5 {
        for _ in 0..60 {
            socket.send_to(b"garbage", server.publishers).unwrap();
            socket.send_to(b"null 0", server.publishers).unwrap();
        }
        socket
            .send_to(number.to_string().as_bytes(), server.publishers)
            .unwrap();
        assert_eq!(witness.text(), number.to_string());
    }
    drop(server.connect_many(250));
    drop(witness);
    // Sums come while it runs, not only at its end.
    server.wait_for_line(" more publication");
    let log = server.stop();
    let texts = texts(&log);
    let lines = |words: &str| texts.iter().filter(|text| text.contains(words)).count();
    assert_eq!(
        lines("refused datagram from ") + sums(&texts, "publication", " refused").0,
        300
    );
    assert_eq!(
        2 * lines("dropped 2 empty documents from ") + dropped(&texts),
        600
    );
    for (line, sum) in [("connected from ", " connected"), (" closed: ", " closed")] {
        assert_eq!(lines(line) + sums(&texts, "client", sum).0, 251, "{line}");
    }
}

/// What lines like `dropped 12,345 more empty documents` add up to.
fn dropped(texts: &[String]) -> usize {
    let counts = texts.iter().filter_map(|text| {
        let (count, _) = split_at(text, " more empty document")?;
        Some(number(count.strip_prefix("dropped ")?))
    });
    counts.sum()
}

#[test]
fn documents_appear_at_debug_and_not_before() {
    for (level, is_there) in [("debug", true), ("info", false)] {
        let mut server = Server::start(&["--log-level", level]);
        server.push("{\"secret\":1}");
        server.wait_for_line("12 bytes, for 0 clients");
        let log = server.stop();
        assert_eq!(log.contains(": {\"secret\":1}\n"), is_there, "{log}");
        assert_eq!(log.contains("secret"), is_there, "{log}");
    }
}

#[test]
fn at_warn_and_error_only_what_went_wrong_is_said() {
    for (level, is_there) in [("warn", true), ("error", false)] {
        // No line tells where it listens.
        let address = own_address();
        let (clients, publishers) = ((address, 9552).into(), (address, 9553).into());
        let mut command = udpush();
        command.args(["--log-level", level]);
        let mut server = Server::start_at(clients, publishers, command, "udpush.log");
        let mut client = server.connect();
        server.push("garbage");
        server.push("1");
        assert_eq!(client.text(), "1");
        drop(client);
        let log = server.stop();
        assert_eq!(log.contains("refused datagram"), is_there, "{log}");
        assert!(!log.contains("INFO") && !log.contains("DEBUG"), "{log}");
    }
}

#[test]
fn what_others_wrote_is_escaped() {
    let mut server = Server::start(&["--log-level", "debug"]);
    // The raw control characters that JSON allows: white space outside of strings, DEL, C1, and
    // those that turn or part lines.
    let document = "{\r\n\t\"a\":\"\u{7f}\u{9b}31m\u{85}\u{2028}\u{202e}\"}";
    server.push(document);
    server.wait_for_line("document ");
    let mut client = server.connect();
    // A mask of zeros leaves the text as it is.
    let frame = |opcode: u8, payload: &[u8]| {
        let mut frame = vec![opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend(payload);
        frame
    };
    client.send_raw(&frame(
        0x81,
        "said\n2026-01-01 [INFO] forged \u{1b}[2J".as_bytes(),
    ));
    server.wait_for_line("said\\n2026");
    client.send_raw(&frame(0x88, b"\x03\xe8bye\nforged \x1b[2J"));
    server.wait_for_line("client 1 closed: closed by the client: 1000 bye\\nforged ");
    for request in [
        &b"POST /\xc2\x9b31m\xe2\x80\xae HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"G\x1b[2JT / HTTP/1.1\r\n\r\n",
        b"GET /\x1b[2J HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.clients).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    let log = server.stop();
    assert_eq!(
        log.matches("[WARN] refused visitor 127.0.0.1:").count(),
        3,
        "{log}"
    );
    assert_harmless(&log);
}

/// Nothing in it steers a terminal, or turns or parts a line.
fn assert_harmless(log: &str) {
    for line in texts(log) {
        assert!(!line.starts_with("forged"), "{line}");
        let is_harmless = |c: char| !c.is_control() && !"\u{2028}\u{2029}\u{202e}".contains(c);
        assert!(line.chars().all(is_harmless), "{}", line.escape_debug());
    }
}

#[test]
fn what_clients_register_is_escaped() {
    let mut server = Server::start(&[]);
    // As a text frame, as a query, and one that is refused.
    let mut client = server.connect();
    client.say("{\"a\":\"\u{9b}31m\u{7f}\u{2028}\u{202e}\\nforged\"}");
    server.wait_for_line("client 1 registered ");
    let target = "/?a=%C2%9B31m%7F%E2%80%A8%E2%80%AE%0Aforged%1B%5B2J";
    let _second = Client::connect(server.clients, target);
    server.wait_for_line("client 2 registered ");
    client.say("{\"\u{9b}31m\u{202e}\\nforged\":[{}]}");
    server.wait_for_line("client 1: registration refused: ");
    assert_harmless(&server.log());
}

#[test]
fn documents_are_there_for_jq() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let documents = [
        "{\r\n\t\"a\": \"\u{7f}\u{9b}31m\u{85}\u{2028}\u{202e}'\", \"b\": \"\\\"\\\\\\n\\u001b\"\n}",
        "\"document k3f9x0ab-1: [DEBUG] e\u{301} \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947} \u{1f600}\"",
        "[1, -0.5,\ttrue]",
    ];
    for document in documents {
        server.push(document);
    }
    // As the manual has it.
    let read = r"sed -n 's/^[^ ]* \[DEBUG\] document [^ ]*: //p' udpush.log | jq -c .";
    eventually("all documents", || {
        let mut jq = Command::new("sh");
        jq.args(["-c", read]).current_dir(server.directory.path());
        let printed = Ending::start(&mut jq).output().stdout;
        let values = serde_json::Deserializer::from_slice(&printed).into_iter::<Value>();
        let values: Vec<_> = values.map(Result::unwrap).collect();
        let expected = documents.map(|document| serde_json::from_str::<Value>(document).unwrap());
        (values.len() == documents.len()).then(|| assert_eq!(values, expected))
    });
    assert_harmless(&server.stop());
}

#[test]
fn a_refused_datagram_is_shown_as_it_begins() {
    let mut server = Server::start(&[]);
    server.push("{\"msg\":}\n");
    let line = server.wait_for_line("refused datagram from 127.0.0.1:");
    let end = r#": not JSON at byte 8: expected value, it begins with {"msg":}\n"#;
    assert!(line.ends_with(end), "{line}");
    server.push(
        [
            "\u{1b}[2J\n\u{202e}\u{9b}".as_bytes(),
            b"\xff\\",
            &[b'x'; 60_000],
        ]
        .concat(),
    );
    let start = format!(r"\u{{1b}}[2J\n\u{{202e}}\u{{9b}}\xff\\{}…", "x".repeat(28));
    let line = server.wait_for_line("not UTF-8 at byte 11, it begins with ");
    assert!(line.ends_with(&format!("begins with {start}")), "{line}");
    assert_harmless(&server.stop());
}

#[test]
fn ipv4_is_told_as_ipv4_where_a_socket_takes_both() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    let mut command = udpush();
    command.args(["--listen", "[::]:0", "--publish", "[::]:0"]);
    command.args(["--publish-from", "198.51.100.0/24", "--log-level", "debug"]);
    let mut server = Server::start_command(command);
    let over_ipv4 = |address: SocketAddr| SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    server.clients = over_ipv4(server.clients);
    server.publishers = over_ipv4(server.publishers);
    let _client = server.connect();
    server.wait_for_line("client 1 connected from 127.0.0.1:");
    server.push("1");
    server.wait_for_line("-1 from 127.0.0.1:");
    server.push("garbage");
    server.wait_for_line("refused datagram from 127.0.0.1:");
    conversation(server.clients, "GET /nowhere HTTP/1.0\r\n\r\n");
    server.wait_for_line("no session with 127.0.0.1:");
    let log = server.stop();
    assert!(!log.contains("::ffff:"), "{log}");
}

#[test]
fn one_is_singular_in_every_line() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut client = server.connect();
    client.send_raw(&[
        0x82, 0x81, 0, 0, 0, 0, b'x', 0x82, 0x82, 0, 0, 0, 0, b'x', b'x',
    ]);
    server.wait_for_line("ignored frame from client 1: 2 binary bytes");
    server.push("1");
    server.push("null");
    server.wait_for_line("dropped 1 empty document from ");
    server.signal("TERM");
    assert_eq!(client.close_code(), 1001);
    drop(client);
    server.wait();
    let log = server.log();
    for line in [
        "ignored frame from client 1: 1 binary byte\n",
        ", 1 byte, for 1 client (1)\n",
        "] stopping: 1 client online\n",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn the_first_lines_tell_of_version_settings_log_addresses_and_the_page() {
    let directory = Directory::new();
    fs::write(directory.file("c.toml"), "queue = 100\nheartbeat = 25\n").unwrap();
    let mut command = udpush();
    command.args(["--config", "c.toml", "--listen", "127.0.0.1:0"]);
    command.args(["--publish", "127.0.0.1:0", "--route", "a", "--route", "b"]);
    command.env("UDPUSH_MAX_CLIENTS", "7");
    let mut server = Server::start_in(directory, command, "udpush.log");
    let log = server.stop();
    let told = texts(&log);
    let version = env!("CARGO_PKG_VERSION");
    // The listening line may have warnings in front of it.
    let places: Vec<_> = [
        format!("udpush {version}, with --config c.toml --listen 127.0.0.1:0 --max-clients 7 --publish 127.0.0.1:0 --queue 100 --route a,b"),
        format!("log: {}", server.log_path().display()),
        format!("listening: clients on {} (tcp), publishers on {} (udp, tcp)", server.clients, server.publishers),
        format!("live page: http://{}/", server.clients),
    ]
    .iter()
    .map(|line| told.iter().position(|text| text == line).expect(line))
    .collect();
    assert_eq!(places[..2], [0, 1]);
    assert!(places.is_sorted(), "{log}");
    assert_eq!(log.matches("listening: ").count(), 1);
}

#[test]
fn the_page_of_a_server_that_listens_everywhere_has_the_machines_name() {
    let mut command = udpush();
    command.args(["--listen", "0.0.0.0:0", "--publish", "127.0.0.1:0"]);
    let mut server = Server::start_command(command);
    let name = Command::new("uname").arg("-n").output().unwrap().stdout;
    let name = String::from_utf8(name).unwrap();
    let port = server.clients.port();
    server.wait_for_line(&format!("] live page: http://{}:{port}/", name.trim()));
}

#[test]
fn times_are_local() {
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    // As POSIX spells five and a half hours east of Greenwich.
    command.env("TZ", "TEST-5:30");
    let mut server = Server::start_command(command);
    let log = server.stop();
    for line in log.lines() {
        assert_eq!(&line[23..29], "+05:30", "{line}");
    }
}

/// A server whose clock stands still, at what a file says.
fn with_faked_clock(now: &Path) -> Command {
    let printed = Command::new("faketime")
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    let library = String::from_utf8(printed.unwrap().stdout).unwrap();
    let mut command = udpush();
    command.env("LD_PRELOAD", library.trim());
    command.env("FAKETIME_TIMESTAMP_FILE", now);
    command.envs([("FAKETIME_NO_CACHE", "1"), ("DONT_FAKE_MONOTONIC", "1")]);
    command
}

#[test]
fn times_follow_summer_time() {
    let directory = Directory::new();
    let now = directory.file("now");
    let mut command = with_faked_clock(&now);
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.env("TZ", "Europe/Berlin");
    fs::write(&now, "2026-10-25 01:30:00").unwrap();
    let mut server = Server::start_in(directory, command, "udpush.log");
    server.push("1");
    server.wait_for_line("2026-10-25T01:30:00.000+02:00 [INFO] message ");
    // Eleven hours later by the hands of the clock, twelve in truth.
    fs::write(&now, "2026-10-25 12:30:00").unwrap();
    server.push("2");
    server.wait_for_line("2026-10-25T12:30:00.000+01:00 [INFO] message ");
}

#[test]
fn a_message_says_whom_it_was_for_and_by_what() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<_> = (0..6)
        .map(|user| server.connect_v1(&format!("/?user={user}&school=2")))
        .collect();
    let first = &mut clients[0];
    first.json();
    server.push(r#"{"user":["0",3,7],"school":2,"msg":"secret"}"#);
    server.wait_for_line(r#" bytes, for 2 clients (1, 4), by school=2, user=["0",3,7]"#);
    // More than a few are not named, nor is what addresses nobody.
    server.push(r#"{"school":2,"user":null}"#);
    server.wait_for_line(" bytes, for 6 clients, by school=2");
    server.push(r#"{"msg":"secret"}"#);
    let line = server.wait_for_line("-3 from ");
    assert!(line.ends_with(", 16 bytes, for 6 clients"), "{line}");
    server.push(format!(r#"{{"user":"{}\n"}}"#, "x".repeat(200)));
    let line = server.wait_for_line("-4 from ");
    let told = format!(", for 0 clients, by user={}…", "x".repeat(115));
    assert!(line.ends_with(&told), "{line}");
}

#[test]
fn on_the_hour_there_is_a_line_that_sums_it_up() {
    let directory = Directory::new();
    let now = directory.file("now");
    let mut command = with_faked_clock(&now);
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.env("TZ", "Europe/Berlin");
    // It stands still: the line is due in six seconds, and every six seconds then.
    fs::write(&now, "2026-11-25 09:59:54").unwrap();
    let mut server = Server::start_in(directory, command, "udpush.log");
    let mut client = server.connect();
    server.push("1 2 3");
    for number in ["1", "2", "3"] {
        assert_eq!(client.text(), number);
    }
    server.push("garbage");
    server.wait_for_line("refused datagram");
    let line = server.wait_for_line("on the hour: ");
    let told = "] on the hour: 1 client online; since the last: 3 messages, 3 deliveries, \
                1 refused as publications";
    assert!(line.ends_with(told), "{line}");
    let line = server.wait_for_line("since the last: 0 messages");
    assert!(line.ends_with("0 messages, 0 deliveries"), "{line}");
}
