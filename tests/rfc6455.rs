//! Frames that clients may send, and some that they may not, as tables: what comes back, and how it ends
//! (RFC 6455 §5 to §8).
//!
//! Each row is sent in one piece, frame by frame, and byte by byte. A text that registers is heard if it
//! comes back in a hello.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};

use crate::common::{Deadline, Listener, Server};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;

/// The largest frame, and message, that the server takes.
const LARGEST: usize = 16 << 10;

/// A row of a table.
struct Row {
    what: String,
    frames: Vec<Vec<u8>>,
    /// What texts say that are heard.
    heard: Vec<String>,
    /// What the pongs hold.
    pongs: Vec<Vec<u8>>,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The connection goes on.
    None,
    /// The server's close frame holds this and nothing comes behind it: it answers the client's.
    Answered(Vec<u8>),
    /// The server closes with this code.
    Closed(u16),
}

fn row(what: impl Into<String>, frames: impl Into<Vec<Vec<u8>>>, end: End) -> Row {
    Row {
        what: what.into(),
        frames: frames.into(),
        heard: Vec::new(),
        pongs: Vec::new(),
        end,
    }
}

fn goes_on(what: impl Into<String>, frames: impl Into<Vec<Vec<u8>>>) -> Row {
    row(what, frames, End::None)
}

fn fails(what: impl Into<String>, frames: impl Into<Vec<Vec<u8>>>, code: u16) -> Row {
    row(what, frames, End::Closed(code))
}

impl Row {
    fn hears(mut self, text: &str) -> Row {
        self.heard.push(text.to_owned());
        self
    }

    fn pongs(mut self, payload: impl AsRef<[u8]>) -> Row {
        self.pongs.push(payload.as_ref().to_vec());
        self
    }
}

/// A masked frame (§5.2, §5.3) with these first four bits, this opcode, and the shortest length.
fn frame(bits: u8, opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let length = payload.as_ref().len();
    let length = match length {
        0..126 => vec![length as u8],
        126..65_536 => [&[126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[127][..], &(length as u64).to_be_bytes()].concat(),
    };
    frame_of_length(bits | opcode, &length, payload)
}

fn frame_of_length(first: u8, length: &[u8], payload: impl AsRef<[u8]>) -> Vec<u8> {
    // The example's key, §5.7.
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let masked = payload.as_ref().iter().zip(KEY.iter().cycle());
    let mut frame = vec![first, length[0] | 0x80];
    frame.extend(&length[1..]);
    frame.extend(KEY);
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

/// A text that comes back, §1.9: the subprotocol answers registrations.
fn telling(text: &str) -> Vec<u8> {
    let object = serde_json::json!({ "type": "register", "registration": { "k": text } });
    object.to_string().into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    frame(FINAL, TEXT, telling(text))
}

fn ping(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FINAL, PING, payload)
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FINAL, CLOSE, body(code, reason))
}

/// What a close frame holds, §5.5.1.
fn body(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_ref()].concat()
}

/// The payload in two fragments.
fn in_two(opcode: u8, payload: &[u8], at: usize) -> Vec<Vec<u8>> {
    vec![
        frame(0, opcode, &payload[..at]),
        frame(FINAL, CONTINUATION, &payload[at..]),
    ]
}

/// Tries all rows in each way.
fn check(rows: impl IntoIterator<Item = Row>) {
    let server = Server::start(&["--heartbeat", "3600"]);
    for row in rows {
        let whole = row.frames.concat();
        converse(&server, &row, &[&whole]);
        let frames: Vec<&[u8]> = row.frames.iter().map(Vec::as_slice).collect();
        converse(&server, &row, &frames);
        // A receive that begins no frame counts as one, and there is a bound.
        if whole.len() <= 120 {
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            converse(&server, &row, &bytes);
        }
    }
}

/// Sends the pieces, and compares what comes with what the row says.
fn converse(server: &Server, row: &Row, pieces: &[&[u8]]) {
    let mut client = Listener::connect_v1(server.clients);
    assert_eq!(client.frame().0, FINAL | TEXT, "hello");
    for piece in pieces {
        // The server may have closed before all is out.
        client.send_raw(piece);
    }
    let (mut heard, mut pongs) = (Vec::new(), Vec::new());
    if row.end == End::None {
        client.send_raw(&ping("end"));
    }
    let deadline = Deadline::new();
    let what = format!("{} in {} pieces", row.what, pieces.len());
    let end = loop {
        deadline.check(&what);
        match client.frame() {
            (0x81, text) => heard.push(registered(&text)),
            (0x8a, payload) => pongs.push(payload),
            (0x88, body) => break Some(body),
            (other, _) => panic!("{what}: {other:x}"),
        }
        let is_complete = heard.len() >= row.heard.len() && pongs.len() > row.pongs.len();
        if row.end == End::None && is_complete {
            assert_eq!(pongs.pop().as_deref(), Some(&b"end"[..]), "{what}");
            break None;
        }
    };
    assert_eq!(heard, row.heard, "{what}");
    assert_eq!(pongs, row.pongs, "{what}");
    match (&row.end, end) {
        (End::None, None) => {
            assert!(client.send_raw(&close(1000, "")), "{what}");
            assert_eq!(client.frame(), (0x88, body(1000, "")), "{what}");
        }
        (End::Answered(expected), Some(body)) => assert_eq!(body, *expected, "{what}"),
        (End::Closed(expected), Some(body)) => {
            let code = u16::from_be_bytes([body[0], body[1]]);
            assert_eq!(code, *expected, "{what}");
            assert!(str::from_utf8(&body[2..]).is_ok(), "{what}");
            // What was promised of a frame is not to come any more, so that no answer can be told.
            client.send_raw(&close(code, ""));
            client.shut_down();
        }
        (expected, end) => panic!("{what}: {end:?} instead of {expected:?}"),
    }
    client.wait_for_end();
}

/// What the hello says that was registered.
fn registered(text: &[u8]) -> String {
    let hello: serde_json::Value = serde_json::from_slice(text).unwrap();
    assert_eq!(hello["type"], "hello");
    hello["registration"]["k"].as_str().unwrap().to_owned()
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let longest = [0xfe; 125];
    let ten: Vec<Vec<u8>> = (0..10).map(|number| ping([number])).collect();
    let ten = (0..10).fold(goes_on("ten pings, §5.5.2", ten), |row, number| {
        row.pongs([number])
    });
    check([
        goes_on("a ping without payload, §5.5.2", [ping("")]).pongs(""),
        goes_on("a ping with text, §5.5.3", [ping("Hello, world!")]).pongs("Hello, world!"),
        goes_on("a ping with bytes, §5.5.3", [ping(binary)]).pongs(binary),
        goes_on("the longest ping, §5.5", [ping(longest)]).pongs(longest),
        fails("a ping that is too long, §5.5", [ping([0xfe; 126])], 1002),
        fails(
            "a pong that is too long, §5.5",
            [frame(FINAL, PONG, [0; 126])],
            1002,
        ),
        ten,
        goes_on(
            "a pong that nobody asked for, §5.5.3",
            [frame(FINAL, PONG, "")],
        ),
        goes_on("one with payload, §5.5.3", [frame(FINAL, PONG, "unasked")]),
        goes_on(
            "one in front of a ping, §5.5.3",
            [frame(FINAL, PONG, "unasked"), ping("asked")],
        )
        .pongs("asked"),
    ]);
}

#[test]
fn reserved_bits_and_opcodes_fail_the_connection() {
    let mut rows = Vec::new();
    for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
        for reserved in 1..8 {
            let what = format!("reserved bits {reserved}, opcode {opcode}, §5.2");
            let bad = frame(FINAL | reserved << 4, opcode, "");
            rows.push(fails(&what, [bad.clone()], 1002));
            rows.push(
                fails(
                    format!("{what}, behind others"),
                    [text("1"), ping("p"), bad, ping("lost")],
                    1002,
                )
                .hears("1")
                .pongs("p"),
            );
        }
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        let what = format!("reserved opcode {opcode}, §5.2");
        rows.push(fails(&what, [frame(FINAL, opcode, "")], 1002));
        rows.push(fails(&what, [frame(FINAL, opcode, "payload")], 1002));
        rows.push(fails(&what, [frame(0, opcode, "not final")], 1002));
        rows.push(
            fails(
                format!("{what}, behind others"),
                [text("1"), ping("p"), frame(FINAL, opcode, ""), ping("lost")],
                1002,
            )
            .hears("1")
            .pongs("p"),
        );
    }
    check(rows);
}

#[test]
fn fragments_are_joined_and_control_frames_may_stand_between_them() {
    let payload = telling("joined");
    let (first, last) = (
        frame(0, TEXT, &payload[..20]),
        frame(FINAL, CONTINUATION, &payload[20..]),
    );
    let middle = |bits, part: &[u8]| frame(bits, CONTINUATION, part);
    let pong = frame(FINAL, PONG, "unasked");
    let mut rows = vec![
        goes_on("a text in two, §5.4", [first.clone(), last.clone()]).hears("joined"),
        goes_on(
            "a binary message in two, §5.4",
            in_two(BINARY, &[0xff; 9], 3),
        ),
        goes_on(
            "fragments without payload, §5.4",
            [
                frame(0, TEXT, ""),
                middle(0, b""),
                middle(0, &payload),
                middle(FINAL, b""),
            ],
        )
        .hears("joined"),
        goes_on(
            "a text of nothing in two, §5.4",
            [frame(0, TEXT, ""), middle(FINAL, b"")],
        ),
        goes_on(
            "a ping between fragments, §5.4",
            [first.clone(), ping("p"), last.clone()],
        )
        .hears("joined")
        .pongs("p"),
        goes_on(
            "a pong between fragments, §5.4",
            [first.clone(), pong, last.clone()],
        )
        .hears("joined"),
        goes_on(
            "pings between three fragments, §5.4",
            [
                frame(0, TEXT, &payload[..9]),
                ping("p"),
                middle(0, &payload[9..20]),
                ping("q"),
                last.clone(),
            ],
        )
        .hears("joined")
        .pongs("p")
        .pongs("q"),
        goes_on(
            "two messages in two, §5.4",
            [
                &in_two(TEXT, &telling("1"), 5)[..],
                &in_two(TEXT, &telling("2"), 7),
            ]
            .concat(),
        )
        .hears("1")
        .hears("2"),
        row(
            "a close frame between fragments, §5.5.1",
            [first.clone(), close(1000, "")],
            End::Answered(body(1000, "")),
        ),
    ];
    for opcode in [PING, PONG, CLOSE] {
        let what = format!("a control frame {opcode} in fragments, §5.5");
        let fragments = [frame(0, opcode, ""), frame(FINAL, CONTINUATION, "")];
        rows.push(fails(what, fragments, 1002));
    }
    for bits in [0, FINAL] {
        let stray = middle(bits, b"stray");
        rows.push(fails("nothing to go on with, §5.4", [stray.clone()], 1002));
        rows.push(
            fails("a message that is over, §5.4", [text("whole"), stray], 1002).hears("whole"),
        );
        for opcode in [TEXT, BINARY] {
            let what = format!("a message {opcode} within another, §5.4");
            let within = [first.clone(), frame(bits, opcode, "x"), last.clone()];
            rows.push(fails(what, within, 1002));
        }
    }
    rows.push(fails(
        "a reserved bit in a later fragment, §5.2",
        [first, frame(FINAL | 0x40, CONTINUATION, "")],
        1002,
    ));
    check(rows);
}

#[test]
fn text_is_utf_8_wherever_it_is_cut() {
    let mut rows = Vec::new();
    // Also those that are no characters, and the first and last of each length.
    for good in [
        "κόσμε",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fdd0}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{10000}",
        "\u{1fffe}",
        "\u{1ffff}",
        "\u{10ffff}",
    ] {
        rows.push(goes_on(format!("{good:?}, §8.1"), [text(good)]).hears(good));
        let payload = telling(good);
        let start = payload.len() - 3 - good.len();
        for at in start..start + good.len() {
            let what = format!("{good:?} cut at {at}, §5.6");
            rows.push(goes_on(what, in_two(TEXT, &payload, at)).hears(good));
        }
    }
    for bad in [
        // No first byte, none to follow, two that begin.
        &b"\x80"[..],
        b"\xbf",
        b"\xfe",
        b"\xff",
        b"\xce\xce",
        b"\xf0\x9f\x98 ",
        // Longer than need be.
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        // Halves of surrogate pairs.
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        // Beyond the last.
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        // Cut off.
        b"\xce",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
    ] {
        let what = format!("{}, §8.1", bad.escape_ascii());
        let within = [b"\"\xce\xba", bad, b"\""].concat();
        let behind = [b"\xce\xba", bad].concat();
        for payload in [bad, &within, &behind] {
            rows.push(fails(&what, [frame(FINAL, TEXT, payload)], 1007));
            for at in 0..payload.len() {
                let what = format!("{what}, in fragments cut at {at}");
                rows.push(fails(what, in_two(TEXT, payload, at), 1007));
            }
        }
        rows.push(goes_on(
            format!("{what}, but binary"),
            [frame(FINAL, BINARY, bad)],
        ));
    }
    rows.push(
        fails(
            "bad in a fragment that is not the last, §8.1",
            [
                text("1"),
                frame(0, TEXT, "\u{3ba}"),
                frame(0, CONTINUATION, b"\xff"),
            ],
            1007,
        )
        .hears("1"),
    );
    check(rows);
}

#[test]
fn a_close_frame_is_answered_once_and_nothing_behind_it() {
    let mut rows = vec![
        row(
            "a close frame without a code, §5.5.1",
            [frame(FINAL, CLOSE, "")],
            End::Answered(Vec::new()),
        ),
        fails("half a code, §5.5.1", [frame(FINAL, CLOSE, [3])], 1002),
        row(
            "the longest reason, §5.5",
            [close(1000, "r".repeat(123))],
            End::Answered(body(1000, "r".repeat(123))),
        ),
        fails(
            "a reason that is too long, §5.5",
            [close(1000, "r".repeat(124))],
            1002,
        ),
        row(
            "a reason beyond ASCII, §5.5.1",
            [close(1000, "κόσμε")],
            End::Answered(body(1000, "κόσμε")),
        ),
        fails(
            "a reason that is not UTF-8, §8.1",
            [close(
                1000,
                b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80",
            )],
            1007,
        ),
        row(
            "a ping in front of it, §5.5.2",
            [ping("p"), close(1000, "")],
            End::Answered(body(1000, "")),
        )
        .pongs("p"),
    ];
    for (behind, frames) in [
        ("a ping", ping("late")),
        ("a text", text("late")),
        ("another", close(1001, "late")),
        ("what is no frame", vec![0xff; 20]),
    ] {
        rows.push(row(
            format!("{behind} behind it, §5.5.1"),
            [close(1000, ""), frames],
            End::Answered(body(1000, "")),
        ));
    }
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        for reason in ["", "why"] {
            rows.push(row(
                format!("code {code}, §7.4"),
                [close(code, reason)],
                End::Answered(body(code, reason)),
            ));
        }
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        for reason in ["", "why"] {
            let what = format!("code {code}, which may not be sent, §7.4");
            rows.push(fails(what, [close(code, reason)], 1002));
        }
    }
    check(rows);
}

#[test]
fn frames_have_a_mask_and_a_length_within_the_bound() {
    let mut rows = Vec::new();
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        let what = format!("opcode {opcode} without a mask, §5.1");
        rows.push(fails(&what, [vec![FINAL | opcode, 0]], 1002));
        let payload = vec![FINAL | opcode, 2, 0x03, 0xe8];
        rows.push(fails(&what, [text("1"), payload], 1002).hears("1"));
    }
    for opcode in [TEXT, BINARY] {
        for length in [0, 1, 125, 126, 127, 128, 255, 256, LARGEST - 1, LARGEST] {
            let what = format!("{length} bytes of {opcode}, §5.2");
            rows.push(goes_on(what, [frame(FINAL, opcode, vec![b'x'; length])]));
        }
        let large = LARGEST + 1;
        let header = |length: &[u8]| vec![frame_of_length(FINAL | opcode, length, "")];
        let too_large = (large as u16).to_be_bytes();
        let what = format!("{large} bytes of {opcode}, §7.4.1");
        rows.push(fails(
            &what,
            [frame(FINAL, opcode, vec![b'x'; large])],
            1009,
        ));
        // It need not come for that.
        rows.push(fails(
            &what,
            header(&[&[126][..], &too_large].concat()),
            1009,
        ));
        let what = format!("{large} bytes of {opcode} in two fragments, §7.4.1");
        rows.push(fails(what, in_two(opcode, &vec![b'x'; large], 9000), 1009));
        let fragments = [
            frame(0, opcode, vec![b'x'; LARGEST]),
            frame(0, CONTINUATION, "x"),
        ];
        rows.push(fails("a message without end, §7.4.1", fragments, 1009));
        for length in [65_535, 65_536, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX] {
            let what = format!("{length} bytes of {opcode}, §5.2");
            let length = [&[127][..], &length.to_be_bytes()].concat();
            rows.push(fails(what, header(&length), 1009));
        }
    }
    // The shortest form must be sent; nobody must refuse another.
    let payload = telling("1");
    let length = payload.len() as u8;
    for form in [
        vec![126, 0, length],
        [&[127, 0, 0, 0, 0, 0, 0, 0][..], &[length]].concat(),
    ] {
        let what = format!("a length in {} bytes, §5.2", form.len());
        let long = frame_of_length(FINAL | TEXT, &form, &payload);
        rows.push(goes_on(what, [long]).hears("1"));
    }
    check(rows);
}

/// A connection from this address, which another may have had before.
fn connect_from(address: SocketAddr, server: SocketAddr) -> TcpStream {
    let family = AddressFamily::Inet;
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(server)).unwrap();
    TcpStream::from(fd)
}

#[test]
fn whoever_comes_from_the_same_address_and_port_is_another_client() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let mut any = SocketAddr::from(([127, 0, 0, 1], 0));
    for client in 1..=6 {
        let stream = connect_from(any, server.clients);
        any = stream.local_addr().unwrap();
        let handle = stream.try_clone().unwrap();
        let mut listener = Listener::over_v1(stream);
        let (_, hello) = listener.frame();
        let hello: serde_json::Value = serde_json::from_slice(&hello).unwrap();
        assert_eq!(hello["client"], client);
        assert_eq!(hello["registration"], serde_json::json!({}));
        server.wait_for_line(&format!("client {client} connected from {any} (1 online)"));
        // It would not hear this if it had what the one before registered.
        server.push(format!(r#"{{"k":"none","for":{client}}}"#));
        let (_, message) = listener.frame();
        let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(message["data"]["for"], client);
        assert!(listener.send_raw(&text("mine")));
        assert_eq!(registered(&listener.frame().1), "mine");
        // Half a message, of which the next one knows nothing.
        assert!(listener.send_raw(&frame(0, TEXT, "half")));
        match client % 3 {
            0 => {
                assert!(listener.send_raw(&close(1000, "")));
                assert_eq!(listener.frame(), (0x88, body(1000, "")));
                listener.wait_for_end();
            }
            1 => {
                // It is the server that ends, so that the port is free at once.
                assert!(listener.send_raw(&frame(FINAL, TEXT, "whole")));
                let (_, close) = listener.frame();
                assert_eq!(close[..2], 1002u16.to_be_bytes());
                assert!(listener.send_raw(&self::close(1002, "")));
                listener.wait_for_end();
            }
            _ => {
                // A reset: neither side keeps anything.
                let at_once = libc::linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                socket::setsockopt(&handle, sockopt::Linger, &at_once).unwrap();
            }
        }
        drop((listener, handle));
        server.wait_for_line(&format!("client {client} closed: "));
    }
}
