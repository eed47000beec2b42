//! How a connection ends: in the order that RFC 6455 §7.1.1 asks for, and never without an end.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::{Deadline, Listener, PATIENCE, Server};

/// A client's close frame with code 1000.
const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

#[test]
fn the_server_ends_the_stream_only_when_both_close_frames_were_sent() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let mut clients: Vec<_> = (0..20).map(|_| Listener::connect(server.clients)).collect();
    server.push("1");
    server.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.text(), Ok("1".to_owned()));
        assert_eq!(client.text(), Err(1001));
    }
    for client in &mut clients {
        assert!(!client.has_ended());
        // What says nothing may come before it.
        assert!(client.send_raw(&[0x8a, 0x80, 0, 0, 0, 0]));
        assert!(client.send_raw(CLOSE));
        client.wait_for_end();
    }
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(!log.contains("did not leave in time"), "{log}");
}

#[test]
fn a_page_that_may_not_register_what_its_url_says_is_told_before_the_stream_ends() {
    let server = Server::start(&[]);
    let handshake = String::from_utf8(Listener::HANDSHAKE.to_vec()).unwrap();
    let request = handshake.replace("GET / ", &format!("GET /?a={} ", "x".repeat(300)));
    let request = request.replace("Host: x", "Host: x\r\nSec-WebSocket-Protocol: udpush.v1");
    let mut streams: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(server.clients).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let reason = b"\x03\xf0registration refused";
    for stream in &mut streams {
        let mut answer = Vec::new();
        while !answer.ends_with(reason) {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a close frame");
            answer.push(byte[0]);
        }
    }
    for stream in &mut streams {
        stream.set_nonblocking(true).unwrap();
        assert!(stream.peek(&mut [0]).is_err(), "an end");
        stream.set_nonblocking(false).unwrap();
        stream.write_all(CLOSE).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_client_that_never_answers_the_close_frame_is_left() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let mut client = Listener::connect(server.clients);
    server.signal("TERM");
    assert_eq!(client.text(), Err(1001));
    client.wait_for_end();
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(!log.contains("did not leave in time"), "{log}");
}

#[test]
fn a_client_that_goes_on_sending_after_the_close_frame_does_not_hold_the_stop_up() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let mut client = Listener::connect(server.clients);
    server.signal("TERM");
    assert_eq!(client.text(), Err(1001));
    // Until the server has closed the connection.
    let deadline = Deadline::new();
    while client.send_raw(&[0x8a, 0x80, 0, 0, 0, 0].repeat(1000)) {
        deadline.check("the end of the connection");
    }
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(!log.contains("did not leave in time"), "{log}");
}

#[test]
fn who_reads_slowly_but_reads_gets_the_close_frame() {
    // Its pings are a clock that ticks once a second.
    let clock = Server::start(&["--heartbeat", "1"]);
    let mut ticks = Listener::connect(clock.clients);
    let mut server = Server::start(&["--heartbeat", "3600", "--queue", "100"]);
    let mut slow = Listener::connect_narrow(server.clients);
    let document = format!("\"{}\"", "x".repeat(998));
    let mut witness = Listener::connect(server.clients);
    let deadline = Deadline::new();
    while !server.log().contains("client 1 closed: too slow: ") {
        deadline.check("a client that is too slow");
        server.push(&document);
        assert_eq!(witness.text(), Ok(document.clone()));
    }
    // Longer than a client may take that does not read: a little in every second.
    for _ in 0..5 {
        assert_eq!(ticks.frame().0, 0x89);
        slow.skip(16 * 1004);
    }
    let code = loop {
        match slow.text() {
            Ok(text) => assert_eq!(text, document),
            Err(code) => break code,
        }
    };
    assert_eq!(code, 1013);
    assert!(slow.send_raw(CLOSE));
    slow.wait_for_end();
    server.stop();
}
