//! What the log says: each line true, and the sums right.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::{Client, PATIENCE, Server, own_address, publisher, udpush};

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

/// What lines like `12,345 more <words>…` add up to, and those lines' rests.
fn sums<'a>(texts: &'a [String], words: &str) -> (usize, Vec<&'a str>) {
    let mut total = 0;
    let mut rests = Vec::new();
    for text in texts {
        if let Some((count, rest)) = text.split_once(&format!(" more {words}")) {
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
        let (length, audience) = rest.split_once(" bytes, for ").expect(text);
        assert_eq!(audience, "1 clients");
        let sequence: usize = id.split_once('-').unwrap().1.parse().unwrap();
        assert_eq!(number(length), documents[sequence - 1].len(), "{text}");
        count += 1;
        bytes += number(length);
    }
    let (more, rests) = sums(&texts, "messages, ");
    assert!(count >= 100 && more > 0, "{count} lines, {more} more");
    for rest in rests {
        bytes += number(rest.strip_suffix(" bytes").expect(rest));
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
    server.wait_for_line(" more datagrams refused");
    let log = server.stop();
    let texts = texts(&log);
    let lines = |words: &str| texts.iter().filter(|text| text.contains(words)).count();
    assert_eq!(
        lines("refused datagram from ") + sums(&texts, "datagrams refused").0,
        300
    );
    assert_eq!(
        2 * lines("dropped 2 empty documents from ") + dropped(&texts),
        600
    );
    for (line, sum) in [
        ("connected from ", "clients connected"),
        (" closed: ", "clients closed"),
    ] {
        assert_eq!(lines(line) + sums(&texts, sum).0, 251, "{line}");
    }
}

/// What lines like `dropped 12,345 more empty documents` add up to.
fn dropped(texts: &[String]) -> usize {
    let counts = texts.iter().filter_map(|text| {
        let count = text.strip_suffix(" more empty documents")?;
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
        assert_eq!(log.contains("{\\\"secret\\\":1}"), is_there, "{log}");
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
