//! A datagram that is not JSON: one warning, one reply to its sender, and nobody else notices.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::common::{PATIENCE, Server, nc, own_address, php, publisher, receive, skip, udpush};

const CUT_OFF: &str =
    " (it ended too early: nc may have split it, every nc has its own block size)";

/// Bytes that are no JSON, and the sentence that says why.
fn refused() -> Vec<(&'static [u8], String)> {
    let mut refused: Vec<(&[u8], String)> = vec![
        (b"{\"a\": x}", "not JSON at byte 7: expected value".into()),
        (b"1\n2\n  x", "not JSON at byte 7: expected value".into()),
        (b"hello", "not JSON at byte 1: expected value".into()),
        (
            b"{\"a\":1} {a:1}",
            "not JSON at byte 10: key must be a string".into(),
        ),
        (
            b"{'a':1}",
            "not JSON at byte 2: key must be a string".into(),
        ),
        (b"[1,]", "not JSON at byte 4: expected value".into()),
        (b"12x", "not JSON at byte 3: trailing characters".into()),
        (b"01", "not JSON at byte 2: invalid number".into()),
        (b"NaN", "not JSON at byte 1: expected value".into()),
        (
            b"\xef\xbb\xbf{a}\0",
            "not JSON at byte 5: key must be a string".into(),
        ),
        (b"\"a\xff\"", "not UTF-8 at byte 3".into()),
        (
            b"\xff\xfe1\0",
            "UTF-16, not UTF-8: not JSON at byte 1".into(),
        ),
        (
            b"{\0\"\0a\0",
            "UTF-16, not UTF-8: not JSON at byte 2".into(),
        ),
        // Half of an é, and a surrogate as no UTF-8 may hold it.
        (b"\"\xc3\"", "not UTF-8 at byte 2".into()),
        (b"\"\xed\xa0\x80\"", "not UTF-8 at byte 2".into()),
    ];
    for cut in [
        &b"{\"a\":1,\"b\":"[..],
        b"[1,2",
        b"\"abc",
        b"tru",
        b"{\"a\":1}\n{\"b\"",
    ] {
        let byte = cut.len();
        // The parser's words differ by what it had expected.
        let reason = match cut[0] {
            b'[' => "EOF while parsing a list",
            b'"' => "EOF while parsing a string",
            b't' => "EOF while parsing a value",
            _ if cut.ends_with(b":") => "EOF while parsing a value",
            _ => "EOF while parsing an object",
        };
        refused.push((cut, format!("not JSON at byte {byte}: {reason}{CUT_OFF}")));
    }
    refused
}

/// What comes back for this datagram.
fn reply(socket: &UdpSocket, server: &Server, datagram: &[u8]) -> String {
    socket.send_to(datagram, server.publishers).unwrap();
    let (reply, from) = receive(socket);
    assert_eq!(from, server.publishers);
    reply
}

/// Nothing has come back.
fn assert_no_reply(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 500];
    match socket.recv(&mut buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        other => panic!("{other:?}: {}", buffer.escape_ascii()),
    }
}

#[test]
fn the_sender_and_the_log_are_told_the_same_sentence() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let socket = publisher();
    let port = socket.local_addr().unwrap().port();
    let mut expected_lines = Vec::new();
    for (datagram, sentence) in refused() {
        assert_eq!(
            reply(&socket, &server, datagram),
            format!("udpush: refused: {sentence}\n")
        );
        expected_lines.push(format!(
            "[WARN] refused datagram from 127.0.0.1:{port}: {sentence}"
        ));
    }
    // Nothing of what was refused was published, not even the good documents beside the bad.
    server.push("\"and on it goes\"");
    assert_eq!(client.text(), "\"and on it goes\"");
    drop(client);
    let log = server.stop();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("refused"))
        .collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.split_once(' ').unwrap().1)
        .map(|line| line.split_once(", it begins with ").unwrap().0)
        .collect();
    assert_eq!(lines, expected_lines);
    assert_no_reply(&socket);
}

#[test]
fn a_byte_order_mark_and_the_end_of_a_c_string_are_no_part_of_the_document() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.push(b"\xef\xbb\xbf{\"a\":1}\r\n");
    server.push(b"{\"a\":2}\0");
    server.push(b"\xef\xbb\xbf[3] [4]\0\0");
    for document in ["{\"a\":1}", "{\"a\":2}", "[3]", "[4]"] {
        assert_eq!(client.text(), document);
    }
    assert!(!server.stop().contains("refused"));
}

#[test]
fn nc_prints_the_reply() {
    let server = Server::start(&[]);
    let printed = nc(&["-w1"], server.publishers, b"{\"a\": x}\n");
    assert_eq!(
        printed,
        "udpush: refused: not JSON at byte 7: expected value\n"
    );
}

#[test]
fn the_reply_comes_from_the_address_that_was_pushed_to() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    for (everywhere, address, network) in [
        ("0.0.0.0:0", "127.0.0.2", "198.51.100.0/24"),
        ("[::]:0", "127.0.0.2", "198.51.100.0/24"),
        ("[::]:0", "::1", "198.51.100.0/24"),
    ] {
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", everywhere]);
        command.args(["--publish-from", network]);
        let server = Server::start_command(command);
        let target = SocketAddr::new(address.parse().unwrap(), server.publishers.port());
        let sentence = "udpush: refused: not JSON at byte 7: expected value\n";
        // Both hear only whom they sent to.
        assert_eq!(
            nc(&["-w1"], target, b"{\"a\": x}"),
            sentence,
            "{everywhere}"
        );
        let own: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let socket = UdpSocket::bind((own, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(target).unwrap();
        socket.send(b"{\"a\": x}").unwrap();
        assert_eq!(
            receive(&socket),
            (sentence.to_owned(), target),
            "{everywhere}"
        );
    }
}

#[test]
fn php_reads_the_reply() {
    let server = Server::start(&[]);
    let code = r"$s = stream_socket_client('udp://'.$argv[1]);
        fwrite($s, stream_get_contents(STDIN));
        stream_set_timeout($s, 20);
        echo fgets($s);";
    let printed = php(code, &[&server.publishers.to_string()], b"{\"a\":1");
    let sentence = "udpush: refused: not JSON at byte 6: EOF while parsing an object";
    assert_eq!(printed, format!("{sentence}{CUT_OFF}\n"));
}

#[test]
fn what_nc_splits_is_refused_piece_by_piece_and_said_to_be_cut_off() {
    let mut server = Server::start(&[]);
    let document = format!("[\"{}\"]", "x".repeat(20_000));
    let printed = nc(&["-w1"], server.publishers, document.as_bytes());
    // OpenBSD's nc sends 16,384 bytes a datagram.
    let first = format!("not JSON at byte 16384: EOF while parsing a string{CUT_OFF}");
    assert!(
        printed.starts_with(&format!("udpush: refused: {first}\n")),
        "{printed}"
    );
    server.wait_for_line(&first);
    server.wait_for_line("not JSON at byte 1: expected value");
}

#[test]
fn nesting_ends_where_it_ends_in_php() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let socket = publisher();
    let code = r"json_decode(stream_get_contents(STDIN), true);
        echo json_last_error() === JSON_ERROR_DEPTH ? 'too deep' : json_last_error_msg();";
    let mut deepest = 0;
    for (open, inner, close) in [("[", "1", "]"), ("[", "", "]"), ("{\"a\":", "1", "}")] {
        // Around json_decode's default depth.
        for levels in 509..=514 {
            let document = open.repeat(levels) + inner + &close.repeat(levels);
            match php(code, &[], document.as_bytes()).as_str() {
                "No error" => {
                    socket
                        .send_to(document.as_bytes(), server.publishers)
                        .unwrap();
                    assert_eq!(client.text(), document);
                    deepest = levels;
                }
                "too deep" => {
                    socket
                        .send_to(document.as_bytes(), server.publishers)
                        .unwrap();
                    server.push("\"next\"");
                    assert_eq!(client.text(), "\"next\"", "{levels} levels of {open}");
                    let byte = open.len() * deepest + 1;
                    assert_eq!(
                        receive(&socket).0,
                        format!(
                            "udpush: refused: more than {deepest} levels deep at byte {byte}\n"
                        )
                    );
                }
                other => panic!("{other}"),
            }
        }
    }
    // Brackets in strings are no levels, and several documents do not add up.
    for datagram in [
        format!("[\"\\\"{}\"]", "[{".repeat(600)),
        "[[1]]".repeat(600),
    ] {
        socket
            .send_to(datagram.as_bytes(), server.publishers)
            .unwrap();
    }
    assert_eq!(client.text().len(), 1206);
    assert_eq!(client.text(), "[[1]]");
}

#[test]
fn a_datagram_with_one_bad_document_publishes_none_of_its_documents() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let socket = publisher();
    let many = "{\"good\":1}\n".repeat(3000);
    for bad in ["x", "{\"a\":", "{} }", "\"\u{1}\""] {
        reply(&socket, &server, format!("{many}{bad}").as_bytes());
    }
    server.push("\"next\"");
    assert_eq!(client.text(), "\"next\"");
}

#[test]
fn with_udp_reply_never_only_the_log_is_told() {
    let mut server = Server::start(&["--udp-reply", "never"]);
    let socket = publisher();
    socket.send_to(b"x", server.publishers).unwrap();
    server.wait_for_line("refused datagram from 127.0.0.1:");
    // What came after it is served: a reply would have been sent by now.
    let mut client = server.connect();
    server.push("1");
    assert_eq!(client.text(), "1");
    assert_no_reply(&socket);
}

#[test]
fn a_port_that_takes_documents_itself_gets_no_reply() {
    // Two servers could talk for ever otherwise.
    let server = Server::start(&[]);
    let own = server.publishers.port();
    for port in [own, 6553] {
        let address = SocketAddr::from((own_address(), port));
        let other = UdpSocket::bind(address).unwrap();
        other.send_to(b"x", server.publishers).unwrap();
        // The thread that replies has been there when the next one has its reply.
        reply(&publisher(), &server, b"x");
        assert_no_reply(&other);
    }
}

#[test]
fn a_system_port_gets_no_reply() {
    let address = SocketAddr::from((own_address(), 7));
    let Ok(echo) = UdpSocket::bind(address) else {
        return skip("only root may have port 7");
    };
    let server = Server::start(&[]);
    echo.send_to(b"x", server.publishers).unwrap();
    reply(&publisher(), &server, b"x");
    assert_no_reply(&echo);
}

#[test]
fn a_sender_outside_of_publish_from_is_refused_in_silence() {
    // The address of this machine that others know; no packet is sent for that.
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    if probe.connect("198.51.100.1:9").is_err() {
        return skip("this machine has no network");
    }
    let outside = probe.local_addr().unwrap().ip();
    let start = |network: &str| {
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", "0.0.0.0:0"]);
        command.args(["--publish-from", network]);
        Server::start_command(command)
    };
    let stranger = UdpSocket::bind((outside, 0)).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();

    let mut server = start("198.51.100.0/24");
    let mut client = server.connect();
    let target = (outside, server.publishers.port());
    stranger.send_to(b"\"from outside\"", target).unwrap();
    stranger.send_to(b"garbage", target).unwrap();
    publisher()
        .send_to(b"\"from here\"", ("127.0.0.1", target.1))
        .unwrap();
    assert_eq!(client.text(), "\"from here\"");
    server.wait_for_line(&format!(
        "refused datagram from {}: its network is not in --publish-from",
        stranger.local_addr().unwrap()
    ));
    assert_no_reply(&stranger);

    let server = start(&format!("198.51.100.0/24,{outside}/32"));
    let mut client = server.connect();
    let target = (outside, server.publishers.port());
    stranger.send_to(b"\"from outside\"", target).unwrap();
    assert_eq!(client.text(), "\"from outside\"");
}
