//! What 6552 answers to whatever comes that is no WebSocket as browsers open it.

use std::io::Write;
use std::net::TcpStream;

use crate::common::{Connection, Server, conversation, eventually};

const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The answer to a handshake with these lines, up to its end.
fn handshake(server: &Server, lines: &str) -> String {
    // A close frame behind it ends a session as it begins.
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}{KEY}\r\n");
    let bytes = [request.as_bytes(), &[0x88, 0x80, 0, 0, 0, 0]].concat();
    let mut connection = Connection::to(server.clients);
    connection.write_all(&bytes).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut connection, &mut answer).expect("an end, not a reset");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn lists_in_a_handshake_may_be_spread_over_lines_and_parted_by_any_white_space() {
    let server = Server::start(&[]);
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: keep-alive,\tUpgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade:\tWebSocket\r\n",
        "Connection: upgrade,keep-alive\r\nUpgrade: h2c,\twebsocket\r\n",
    ] {
        let answer = handshake(&server, lines);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{lines}: {answer}");
    }
    let both = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for protocols in [
        "other,\tudpush.v1",
        "other\r\nSec-WebSocket-Protocol: udpush.v1",
    ] {
        let lines = format!("{both}Sec-WebSocket-Protocol: {protocols}\r\n");
        let answer = handshake(&server, &lines).to_lowercase();
        assert!(
            answer.contains("\r\nsec-websocket-protocol: udpush.v1\r\n"),
            "{answer}"
        );
    }
}

#[test]
fn a_foreign_subprotocol_is_not_taken_and_the_log_names_it() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Protocol: graphql-ws, \u{9b}31m\r\nSec-WebSocket-Protocol: soap\r\n";
    let answer = handshake(&server, lines).to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
    server.wait_for_line(r" offers no subprotocol but graphql-ws, \u{9b}31m, soap: it gets none");
}

#[test]
fn http_1_0_and_a_path_that_a_proxy_left_a_slash_too_many_are_served() {
    let server = Server::start(&[]);
    for (request, status, end) in [
        // HAProxy's `option httpchk`.
        ("OPTIONS / HTTP/1.0", "204 No Content", "\r\n\r\n"),
        ("GET /healthz HTTP/1.0", "200 OK", "\r\n\r\nok\n"),
        ("GET //healthz HTTP/1.0", "200 OK", "\r\n\r\nok\n"),
        ("GET // HTTP/1.0", "200 OK", "</html>\n"),
        (
            "OPTIONS * HTTP/1.1\r\nHost: x",
            "204 No Content",
            "\r\n\r\n",
        ),
    ] {
        let answer = conversation(server.clients, format!("{request}\r\n\r\n"));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with(end), "{answer}");
    }
}

#[test]
fn pages_may_ask_and_read_whatever_the_answer_is() {
    let server = Server::start(&["--origin", "http://a.b:1"]);
    let named = "\r\nAccess-Control-Allow-Origin: http://a.b:1\r\n\
                 Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n";
    let anyone = "\r\nAccess-Control-Allow-Origin: *\r\n";
    for (request, status, readers) in [
        ("OPTIONS /events", "204", named),
        ("OPTIONS //events?a=b", "204", named),
        ("POST /events", "405", named),
        ("GET /events?a[b]=c", "400", named),
        ("OPTIONS /healthz", "204", anyone),
        ("GET /healthz", "200", anyone),
        ("GET /nowhere", "404", anyone),
        ("POST /", "405", anyone),
        ("GET /?a=b\u{e9}", "200", ""),
    ] {
        let request = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nOrigin: http://a.b:1\r\n\
             Access-Control-Request-Method: GET\r\n\
             Access-Control-Request-Headers: cache-control,x-mine\r\n\r\n"
        );
        let answer = conversation(server.clients, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}{answer}"
        );
        let may_be_read = answer.contains("Access-Control-Allow-Origin");
        assert!(
            answer.contains(readers) && may_be_read != readers.is_empty(),
            "{answer}"
        );
        let may_ask = answer.contains("\r\nAccess-Control-Allow-Headers: cache-control,x-mine\r\n");
        assert_eq!(may_ask, status == "204", "{answer}");
    }
}

#[test]
fn who_is_refused_stands_in_the_log_and_who_is_served_does_not() {
    let mut server = Server::start(&[]);
    let proxied = "426 Upgrade Required: A WebSocket handshake that lacks HTTP/1.1, \
                   \"Upgrade: websocket\" or \"Connection: Upgrade\", as a proxy leaves it";
    let long = format!("POST /{} HTTP/1.0\r\n\r\n", "x".repeat(500));
    let cut = format!("POST /{}…)", "x".repeat(99));
    let mut refused = 0;
    for (request, line) in [
        (
            "\u{16}\u{3}\u{1}\u{2}\0",
            "400 Bad Request: TLS on a plain port: use ws:// and http://, or",
        ),
        ("hello\r\n\r\n", "400 Bad Request: This is not HTTP/1"),
        (
            "GET / HTTP/1.1\r\n\r\n",
            "400 Bad Request: An HTTP/1.1 request names its host (GET /)",
        ),
        ("POST /a HTTP/1.0\r\n\r\n", "404 Not Found: "),
        ("POST /?\u{1b} HTTP/1.0\r\n\r\n", "400 Bad Request: "),
        ("POST / HTTP/1.0\r\n\r\n", "405 Method Not Allowed: "),
        (&long, &cut),
        (
            "GET /ws HTTP/1.0\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            proxied,
        ),
        (
            "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "proxy_set_header Connection \"upgrade\"; (GET /ws)",
        ),
        (
            "GET /events?a[b]=c HTTP/1.1\r\nHost: x\r\n\r\n",
            "400 Bad Request: Refused, the URL's query: ",
        ),
        (
            &format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(300)),
            "431 Request Header Fields Too Large: ",
        ),
    ] {
        conversation(server.clients, request);
        let line = server.wait_for_line(line);
        assert!(line.contains("[WARN] refused visitor 127.0.0.1:"), "{line}");
        refused += 1;
    }
    for served in [
        "GET / HTTP/1.0",
        "GET /favicon.ico HTTP/1.0",
        "OPTIONS / HTTP/1.0",
    ] {
        conversation(server.clients, format!("{served}\r\n\r\n"));
    }
    // As a watcher of ports does.
    drop(TcpStream::connect(server.clients).unwrap());
    // Too many are summed up.
    for _ in 0..250 {
        conversation(server.clients, "hello\r\n\r\n");
        refused += 1;
    }
    eventually("a sum", || {
        server
            .log()
            .contains(" more visitors refused")
            .then_some(())
    });
    let log = server.stop();
    let lines = log.matches("[WARN] refused visitor 127.0.0.1:").count();
    let sums = log.lines().filter_map(|line| {
        let (count, _) = line.split_once(" more visitors refused")?;
        assert!(count.contains("[WARN] "), "{line}");
        Some(count.rsplit(' ').next()?.parse::<usize>().unwrap())
    });
    // Those who were served, or left, are in neither.
    assert_eq!(lines + sums.sum::<usize>(), refused, "{log}");
}
