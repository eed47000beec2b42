//! Counts and times that have a bound, and what happens there.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

use crate::common::{Connection, Listener, PATIENCE, Server, conversation, frames, udpush_under};

#[test]
fn one_client_too_many_gets_503_and_a_place_is_free_again_when_one_has_left() {
    let mut server = Server::start(&["--max-clients", "2"]);
    let first = server.connect();
    let mut second = server.connect();
    for _ in 0..3 {
        let answer = conversation(server.clients, Listener::HANDSHAKE);
        assert!(
            answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
        assert!(
            answer.ends_with("connected: try again later.\n"),
            "{answer}"
        );
    }
    server.wait_for_line(": 503 Service Unavailable: As many clients as are allowed are connected");
    drop(first);
    server.wait_for_line("client 1 closed: gone without a close frame (1 online)");
    // Those who were refused have no number.
    let mut third = server.connect();
    server.wait_for_line("client 3 connected from ");
    server.push("1");
    for client in [&mut second, &mut third] {
        assert_eq!(client.text(), "1");
    }
}

#[test]
fn a_handshake_that_does_not_end_is_answered_after_its_deadline() {
    let mut server = Server::start(&["--log-level", "debug"]);
    // As browsers do that may need a second connection, and do not.
    let mut unused = Connection::to(server.clients);
    let begun = conversation(server.clients, "GET / HTTP/1.1\r\nHost: ");
    let mut answer = String::new();
    unused
        .read_to_string(&mut answer)
        .expect("an end, not a reset");
    for answer in [answer, begun] {
        assert!(
            answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
            "{answer}"
        );
    }
    server.wait_for_line(": 408 Request Timeout: The request did not end within 10 s");
    let log = server.stop();
    assert_eq!(log.matches("[WARN] refused visitor ").count(), 1, "{log}");
    assert!(log.contains(": it said nothing\n"), "{log}");
}

#[test]
fn a_head_of_32_kib_is_read_and_one_that_is_longer_is_not() {
    let server = Server::start(&[]);
    for (length, status) in [(32_768, "101 "), (32_769, "431 ")] {
        let handshake = String::from_utf8(Listener::HANDSHAKE.to_vec()).unwrap();
        let filling = "x".repeat(length - handshake.len());
        let request = handshake.replace("Host: x", &format!("Host: x{filling}"));
        assert_eq!(request.len(), length);
        let mut stream = TcpStream::connect(server.clients).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&answer),
            format!("HTTP/1.1 {status}")
        );
    }
}

#[test]
fn a_frame_of_16_kib_is_heard_and_one_that_is_larger_is_not() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut client = server.connect();
    for (length, is_allowed) in [(16_384u16, true), (16_385, false)] {
        let mut frame = vec![0x81, 0xfe];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(vec![b'x'; length.into()]);
        client.send_raw(&frame);
        if is_allowed {
            server.wait_for_line("ignored frame from client 1: xxx");
        } else {
            assert_eq!(client.close_code(), 1009);
        }
    }
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    let mut server = Server::start(&["--log-level", "debug"]);
    // More than may be under way.
    let silent: Vec<_> = (0..1050)
        .map(|_| {
            let mut stream = TcpStream::connect(server.clients).unwrap();
            // One that says nothing at all is not even accepted for a second.
            stream.write_all(b"G").unwrap();
            stream
        })
        .collect();
    let mut client = server.connect();
    server.push("1");
    assert_eq!(client.text(), "1");
    // It was the oldest that had to go: to read an end of the newest would wait.
    let mut oldest = &silent[0];
    oldest.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    oldest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    server.wait_for_line(
        ": 503 Service Unavailable: Too many connections are no clients, and this was the oldest",
    );
    let newest = &silent[1049];
    newest.set_nonblocking(true).unwrap();
    let nothing = newest.peek(&mut [0; 10]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_machine_that_allows_less_than_is_wanted_gets_a_server_that_keeps_to_it() {
    // Root could raise it again, unless it lacks the capability.
    let unable = [
        "setpriv",
        "--bounding-set",
        "-sys_resource",
        "--inh-caps",
        "-sys_resource",
    ];
    let limit = ["sh", "-c", "ulimit -n 520 && exec \"$@\"", "sh"];
    let mut command = match is_root() {
        true => udpush_under(&[&limit[..], &unable].concat()),
        false => udpush_under(&limit),
    };
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    let mut server = Server::start_command(command);
    server.wait_for_line(
        " 520 open files are allowed, enough for 88 clients, not for 10000: ulimit -n 22320, or LimitNOFILE=22320 in the unit file",
    );
    let _clients = server.connect_many(88);
    let answer = conversation(server.clients, Listener::HANDSHAKE);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        !server.log().contains("cannot accept"),
        "it never came to that"
    );
}

#[test]
fn those_who_are_refused_take_no_more_threads_than_handshakes_may() {
    let server = Server::start(&["--max-clients", "10"]);
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        tasks.count()
    };
    let mut most = 0;
    // They read their answers, or not, and never close: each takes its thread for a while.
    let _refused: Vec<_> = (0..3000)
        .map(|_| {
            let mut stream = TcpStream::connect(server.clients).unwrap();
            stream.write_all(b"GET /nothing HTTP/1.1\r\n\r\n").unwrap();
            most = most.max(threads());
            stream
        })
        .collect();
    let mut client = server.connect();
    server.push("1");
    assert_eq!(client.text(), "1");
    most = most.max(threads());
    // Threads that have counted themselves out come on top until the kernel has ended them.
    assert!(most < 2000, "{most} threads");
}

#[test]
fn a_history_of_small_documents_takes_no_more_memory_than_it_may() {
    let server = Server::start(&[
        "--history",
        "100000000",
        "--history-bytes",
        "16777216",
        "--heartbeat",
        "3600",
    ]);
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kibibytes.parse::<u64>().unwrap() << 10
    };
    let mut witness = Listener::connect(server.clients);
    let before = memory();
    // Each in a datagram of its own: nothing is shared.
    let documents = vec![r#"{"number":12345678}"#; server.burst()];
    let expected = frames(&documents);
    for _ in 0..220_000 / documents.len() {
        server.push_burst(&documents);
        witness.expect(&expected);
    }
    let taken = memory() - before;
    assert!(taken <= 16 << 20, "{taken} bytes");
}

/// A masked frame with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    [&[first, 0xfe], &length[..], &[0; 4], payload].concat()
}

#[test]
fn each_bound_on_what_a_visitor_sends_has_its_answer_and_its_line_in_the_log() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    for (request, answer, line) in [
        (
            head(&format!("a: {}\r\n", "x".repeat(33_000))),
            "431 ",
            "refused visitor 127.0.0.1:",
        ),
        (
            head(&"a: b\r\n".repeat(256)),
            "431 ",
            "The request has more than 256 headers",
        ),
        (
            String::from_utf8(Listener::HANDSHAKE.to_vec())
                .unwrap()
                .replace("GET / ", &format!("GET /?a={} ", "x".repeat(257))),
            "400 ",
            "400 Bad Request: Refused, the URL's query: ",
        ),
    ] {
        let told = conversation(server.clients, request);
        assert!(told.starts_with(&format!("HTTP/1.1 {answer}")), "{told}");
        server.wait_for_line(line);
    }
    let fragments = [frame(0x01, &[b'x'; 9000]), frame(0x80, &[b'x'; 9000])].concat();
    let register = |number| frame(0x81, format!(r#"{{"a":{number}}}"#).as_bytes());
    for (client, (sent, code, line)) in (1..).zip([
        (
            frame(0x81, &[b'x'; 16_385]),
            1009,
            "its frame is larger than 16384 bytes",
        ),
        (fragments, 1009, "its frame is larger than 16384 bytes"),
        (
            (0..21).flat_map(register).collect(),
            1008,
            "more than 20 registrations in a second",
        ),
        (
            frame(0x82, b"").repeat(300),
            1008,
            "more than 100 frames a second",
        ),
        (
            frame(0x82, &[0; 16_384]).repeat(9),
            1008,
            "more than 65536 bytes a second",
        ),
    ]) {
        let mut listener = Listener::connect(server.clients);
        // The server may be gone before all is out.
        listener.send_raw(&sent);
        assert_eq!(listener.close_code(), code, "{line}");
        server.wait_for_line(&format!("client {client} closed: {line} (0 online)"));
    }
}

/// Root is not held to everything.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
