//! Clients that send garbage, too much, or nothing: their own threads end, nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::{Listener, PATIENCE, Server, conversation};

#[test]
fn what_is_no_handshake_gets_an_answer_in_http() {
    let server = Server::start(&[]);
    for (request, status) in [
        (
            &b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"[..],
            "405 ",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 "),
        (b"hello\r\n\r\n", "400 "),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "426 "),
        (
            b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "426 ",
        ),
        (
            b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n",
            "426 ",
        ),
        (
            b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            "400 ",
        ),
    ] {
        let answer = conversation(server.clients, request);
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{expected}: {answer}");
    }
    for long in [
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(40_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(257)),
    ] {
        assert!(conversation(server.clients, long).starts_with("HTTP/1.1 431 "));
    }
}

#[test]
fn faults_in_frames_are_closed_with_their_codes() {
    let mut server = Server::start(&[]);
    let mut witness = server.connect();
    let mut oversized = vec![0x82, 0xfe, 0x40, 0x01, 0, 0, 0, 0];
    oversized.extend([0; 100]);
    for (frame, code) in [
        (&[0x81, 0x02, b'h', b'i'][..], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0xf1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&oversized, 1009),
    ] {
        let mut client = server.connect();
        client.send_raw(frame);
        assert_eq!(client.close_code(), code, "{frame:x?}");
        client.wait_for_end();
    }
    for why in [
        "protocol error",
        "its text is not UTF-8",
        "its frame is larger than 16384 bytes",
    ] {
        server.wait_for_line(why);
    }
    server.push("1");
    assert_eq!(witness.text(), "1");
}

#[test]
fn the_closing_handshake_is_answered_and_logged() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]);
    assert_eq!(client.close_code(), 1001);
    client.wait_for_end();
    server.wait_for_line("client 1 closed: closed by the client: 1001 (0 online)");
    drop(server.connect());
    server.wait_for_line("client 2 closed: gone without a close frame (0 online)");
}

#[test]
fn a_client_that_sends_without_pause_is_closed_whatever_it_sends() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let mut witness = server.connect();
    let fragments = [
        &[0x01, 0x80, 0, 0, 0, 0][..],
        &[0x00, 0x80, 0, 0, 0, 0].repeat(1000),
    ];
    let mut binary = vec![0x82, 0xfe, 0x40, 0, 0, 0, 0, 0];
    binary.extend([0; 16 << 10]);
    let floods = [
        ([0x89, 0x80, 0, 0, 0, 0].repeat(1000), "100 frames"),
        ([0x8a, 0x80, 0, 0, 0, 0].repeat(1000), "100 frames"),
        ([0x81, 0x81, 0, 0, 0, 0, b'1'].repeat(1000), "100 frames"),
        ([0x82, 0x81, 0, 0, 0, 0, b'1'].repeat(1000), "100 frames"),
        (fragments.concat(), "100 frames"),
        (binary.repeat(20), "65536 bytes"),
    ];
    for (client, (flood, bound)) in (2..).zip(floods) {
        let mut flooder = Listener::connect(server.clients);
        // The server may be gone before all is out.
        flooder.send_raw(&flood);
        let close = loop {
            match flooder.frame() {
                // Pongs to what was within the bound.
                (0x8a, _) => {}
                (0x88, close) => break close,
                (other, _) => panic!("neither pong nor close: {other:x}"),
            }
        };
        assert_eq!(close[..2], 1008u16.to_be_bytes());
        server.wait_for_line(&format!(
            "client {client} closed: more than {bound} a second (1 online)"
        ));
        server.push("1");
        assert_eq!(witness.text(), "1");
    }
}

#[test]
fn a_client_of_events_that_sends_without_pause_is_closed() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let request = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
    let said = conversation(server.clients, [&request[..], &[b'x'; 300_000]].concat());
    assert!(said.contains(": 1008 too many "), "{said}");
    server.wait_for_line("client 1 closed: more than ");
}

#[test]
fn a_hundred_pings_at_once_are_answered() {
    let server = Server::start(&["--heartbeat", "3600"]);
    let mut client = Listener::connect(server.clients);
    assert!(client.send_raw(&[0x89, 0x80, 0, 0, 0, 0].repeat(100)));
    for _ in 0..100 {
        assert_eq!(client.frame(), (0x8a, Vec::new()));
    }
    server.push("1");
    assert_eq!(client.text(), Ok("1".to_owned()));
}

#[test]
fn a_message_in_many_fragments_is_bounded_as_a_whole() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    // A text of 20 × 1,000 bytes.
    for fragment in 0..20 {
        let first_byte = if fragment == 0 { 0x01 } else { 0x00 };
        let mut frame = vec![first_byte, 0xfe, 0x03, 0xe8, 0, 0, 0, 0];
        frame.extend([b'x'; 1000]);
        client.send_raw(&frame);
    }
    assert_eq!(client.close_code(), 1009);
    client.wait_for_end();
}

#[test]
fn what_comes_right_behind_the_handshake_is_read() {
    let server = Server::start(&[]);
    // A close frame with code 1000 in the same segment.
    let both = [Listener::HANDSHAKE, &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]].concat();
    let mut stream = TcpStream::connect(server.clients).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&both).unwrap();
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("an end, not a reset");
    assert!(
        answer.starts_with(b"HTTP/1.1 101 "),
        "{}",
        answer.escape_ascii()
    );
    assert!(
        answer.ends_with(b"\r\n\r\n\x88\x02\x03\xe8"),
        "{}",
        answer.escape_ascii()
    );
}

#[test]
fn a_handshake_that_drips_in_byte_by_byte_is_one() {
    let server = Server::start(&[]);
    let mut stream = TcpStream::connect(server.clients).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // As a browser sends it; the extension that it offers is not taken.
    let request = "GET /?a=b HTTP/1.1\r\nHost: intranet:6552\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nAccept-Language: de\r\nAccept-Encoding: gzip, deflate\r\nSec-WebSocket-Version: 13\r\nOrigin: http://intranet\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\nCookie: a=b\r\nPragma: no-cache\r\nUpgrade: websocket\r\n\r\n";
    for byte in request.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    // RFC 6455 §1.3 has this key and its answer.
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    assert!(
        !head.contains("sec-websocket-extensions") && !head.contains("sec-websocket-protocol"),
        "{head}"
    );
    server.push("1");
    let mut frame = [0; 3];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x011");
}
