//! Clients that send garbage, too much, or nothing: their own threads end, nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::{Client, PATIENCE, Server};

/// Sends raw bytes, and reads all that comes until the server closes.
fn conversation(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.clients).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("an end, not a reset");
    String::from_utf8(answer).unwrap()
}

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
        let answer = conversation(&server, request);
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{expected}: {answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000));
    assert!(conversation(&server, long.as_bytes()).starts_with("HTTP/1.1 431 "));
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
fn a_client_that_says_nothing_for_two_heartbeats_is_closed() {
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
