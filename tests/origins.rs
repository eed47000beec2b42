//! Which pages may connect, by what their browser says of them.

use std::io::{Read, Write};
use std::process::Command;

use crate::common::{
    Connection, Directory, Ending, Server, conversation, eventually, skip, udpush, udpush_under,
};

const FOREIGN: &str = "Origin: https://erp.example.com|Host: 127.0.0.1:6552";
const REBOUND: &str = "Origin: http://evil.example:6552|Host: evil.example:6552";
const FILE: &str = "Origin: null|Host: localhost:6552";

/// The answer to a request with these headers, parted by bars: of a session the head alone.
fn ask(server: &Server, path: &str, headers: &str) -> String {
    let lines = headers.split('|').map(|line| format!("{line}\r\n"));
    let lines: String = lines.collect();
    let mut connection = Connection::to(server.clients);
    write!(connection, "GET {path} HTTP/1.1\r\n{lines}\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("a whole head");
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") && !answer.starts_with(b"HTTP/1.1 200 ") {
        connection
            .read_to_end(&mut answer)
            .expect("an end, not a reset");
    }
    String::from_utf8(answer).unwrap()
}

fn handshake(server: &Server, headers: &str) -> String {
    let upgrade = "Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    ask(server, "/", &format!("{headers}|{upgrade}"))
}

fn status(answer: &str) -> u16 {
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

/// Both ways to listen come to this.
fn assert_both(server: &Server, headers: &str, expected: u16) {
    let answers = [handshake(server, headers), ask(server, "/events", headers)];
    let expected = match expected {
        200 => [101, 200],
        refused => [refused; 2],
    };
    assert_eq!(
        answers.each_ref().map(|answer| status(answer)),
        expected,
        "{headers}: {answers:?}"
    );
}

#[test]
fn pages_of_the_host_that_they_connect_to_may_and_others_are_told_what_would_let_them() {
    let mut server = Server::start(&[]);
    for (headers, expected) in [
        ("Origin: http://intranet|Host: intranet:6552", 200),
        ("Origin: https://10.1.0.5:8443|Host: 10.1.0.5", 200),
        ("Origin: http://localhost:8000|Host: LOCALHOST:6552", 200),
        (FOREIGN, 403),
        (REBOUND, 403),
        (FILE, 403),
        ("Origin: what?|Host: intranet", 403),
        (
            "Origin: http://intranet|Origin: http://intranet|Host: intranet",
            400,
        ),
        (
            "Origin: http://a.b|X-Forwarded-Host: a.b|Host: intranet",
            403,
        ),
    ] {
        assert_both(&server, headers, expected);
    }
    for (headers, words) in [
        (
            FOREIGN,
            "Pages of https://erp.example.com may not connect to 127.0.0.1:6552. If they \
                   should, start udpush with --origin https://erp.example.com.",
        ),
        (REBOUND, "start udpush with --host evil.example."),
        (FILE, "start udpush with --origin null."),
    ] {
        let answer = ask(
            &server,
            "/events",
            &format!("Accept: text/event-stream|{headers}"),
        );
        // An EventSource that hears of a stream would come back for ever.
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        assert!(
            answer.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nAccess-Control-Allow-Origin: *\r\n"),
            "{answer}"
        );
        assert!(
            !answer.contains("Access-Control-Allow-Credentials"),
            "{answer}"
        );
        assert!(answer.contains(words), "{answer}");
        let line = server.wait_for_line(words.trim_end_matches('.'));
        assert!(line.contains("[WARN] refused visitor 127.0.0.1:"), "{line}");
        assert!(line.contains(": 403 Forbidden: "), "{line}");
    }
    let status = Command::new("curl")
        .args(["-s", &format!("http://{}/status", server.publishers)])
        .output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    let refused = r#""refused_visitors":{"400 Bad Request":2,"403 Forbidden":13}"#;
    assert!(status.contains(refused), "{status}");
}

#[test]
fn without_an_origin_a_websocket_may_connect_and_events_go_by_the_name() {
    let server = Server::start(&["--host", "push.example.org"]);
    for (host, of_events) in [
        ("intranet:6552", 200),
        ("push.example.org", 200),
        ("Push.Example.ORG.:6552", 200),
        ("evil.example:6552", 403),
        ("erp.example.com", 403),
    ] {
        let host = format!("Host: {host}");
        assert_eq!(status(&handshake(&server, &host)), 101, "{host}");
        assert_eq!(status(&ask(&server, "/events", &host)), of_events, "{host}");
    }
    assert_both(
        &server,
        "Origin: http://push.example.org|Host: push.example.org:6552",
        200,
    );
    assert_both(
        &server,
        "Origin: http://other.example.org|Host: push.example.org:6552",
        403,
    );
}

#[test]
fn what_the_operator_lists_may_connect_wherever_he_lists_it() {
    let start = |prepare: &dyn Fn(&mut Command)| {
        let directory = Directory::new();
        let text = "origin = ['https://ERP.example.com:443', 'null']";
        std::fs::write(directory.file("c.toml"), text).unwrap();
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
        prepare(&mut command);
        Server::start_in(directory, command, "udpush.log")
    };
    for server in [
        start(&|command| {
            command.args(["--origin", "https://erp.example.com", "--origin", "null"]);
        }),
        start(&|command| {
            command.args(["--origin", "null, https://erp.example.com"]);
        }),
        start(&|command| {
            command.env("UDPUSH_ORIGIN", "https://erp.example.com,null");
        }),
        start(&|command| {
            command.args(["--config", "c.toml"]);
        }),
    ] {
        assert_both(&server, FOREIGN, 200);
        assert_both(&server, FILE, 200);
        assert_both(&server, REBOUND, 403);
        assert_both(&server, "Origin: http://erp.example.com|Host: x", 403);
        assert_both(
            &server,
            "Origin: https://erp.example.com|Host: evil.example",
            200,
        );
        // Who may listen may read, and send cookies; nobody else.
        let named = "\r\nAccess-Control-Allow-Origin: https://erp.example.com\r\n\
                     Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n";
        for (path, expected) in [("/events", 200), ("/events?a[b]=c", 400)] {
            let answer = ask(&server, path, FOREIGN);
            assert_eq!(status(&answer), expected);
            assert!(answer.contains(named), "{answer}");
        }
    }
    let all = start(&|command| {
        command.args(["--origin", "*"]);
    });
    for headers in [FOREIGN, FILE, REBOUND] {
        assert_both(&all, headers, 200);
    }
}

#[test]
fn the_name_of_the_machine_is_its_own() {
    let enter = [
        "unshare",
        "-Uru",
        "sh",
        "-c",
        "hostname Push.example.net && exec \"$@\"",
        "sh",
    ];
    let probe = Ending::start(Command::new("unshare").args(["-Uru", "hostname", "x"])).output();
    if !probe.status.success() {
        return skip("this machine allows no namespaces");
    }
    let mut command = udpush_under(&enter);
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    let server = Server::start_command(command);
    assert_both(
        &server,
        "Origin: http://push.example.net|Host: push.example.net:6552",
        200,
    );
    assert_both(
        &server,
        "Origin: http://www.example.net|Host: www.example.net:6552",
        403,
    );
}

#[test]
fn what_is_no_secret_is_for_pages_of_any_origin() {
    let server = Server::start(&[]);
    for path in ["/push.js", "/healthz", "/nowhere"] {
        for headers in [FOREIGN, REBOUND, FILE] {
            let lines = headers.replace('|', "\r\n");
            let request = format!("GET {path} HTTP/1.1\r\n{lines}\r\n\r\n");
            let answer = conversation(server.clients, request);
            assert_ne!(status(&answer), 403, "{answer}");
            assert!(
                answer.contains("\r\nAccess-Control-Allow-Origin: *\r\n"),
                "{answer}"
            );
        }
    }
}

#[test]
fn refusals_of_pages_are_summed_up_when_they_are_many() {
    let server = Server::start(&[]);
    for _ in 0..150 {
        assert_eq!(status(&ask(&server, "/events", FOREIGN)), 403);
    }
    eventually("a sum", || {
        server
            .log()
            .contains(" more visitors refused")
            .then_some(())
    });
}
