//! What `GET /status` and `GET /metrics` tell of the server.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{
    Connection, Ending, Listener, Server, conversation, eventually, frames, publisher, receive,
    skip, udpush,
};
use crate::trusted_publish::lines;

/// The status and body that curl gets.
fn ask(server: &Server, path: &str, arguments: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "-w", "\n%{http_code}"]).args(arguments);
    command.arg(format!("http://{}{path}", server.publishers));
    let output = Ending::start(&mut command).output();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn status(server: &Server) -> Value {
    let (status, body) = ask(server, "/status", &[]);
    assert_eq!(status, 200, "{body}");
    assert!(body.ends_with("}\n"), "{body}");
    serde_json::from_str(&body).unwrap()
}

fn publish(server: &Server, body: &str) -> u16 {
    ask(server, "/", &["-d", body]).0
}

/// The value of a metric, with its labels if it has any.
fn metric(server: &Server, name: &str) -> String {
    let (_, text) = ask(server, "/metrics", &[]);
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
}

#[test]
fn a_server_that_has_done_nothing_tells_what_it_is() {
    let server = Server::start(&["--max-clients", "17"]);
    let mut status = status(&server);
    let taken = |name: &str, status: &mut Value| status[name].take();
    let started = taken("started", &mut status);
    let started = started.as_str().unwrap();
    assert_eq!(started.len(), "2026-11-25T10:00:00.000+01:00".len());
    assert!(server.log().starts_with(&started[..16]), "{started}");
    assert!(taken("uptime", &mut status).as_f64().unwrap() >= 0.0);
    let newest = taken("newest", &mut status);
    assert!(newest.as_str().unwrap().ends_with("-0"), "{newest}");
    let nothing = json!({"messages": 0.0, "deliveries": 0.0, "refused": 0.0});
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": server.pid(),
        "started": null,
        "uptime": null,
        "listen": server.clients.to_string(),
        "publish": [server.publishers.to_string()],
        "log": server.log_path(),
        "newest": null,
        "clients": {
            "online": 0, "most": 17, "plain": 0, "v1": 0, "events": 0, "replaying": 0, "since_start": 0
        },
        "messages": {"since_start": 0, "bytes": 0, "empty": 0},
        "deliveries": 0,
        "refused": {"datagrams": 0, "documents": 0},
        "dropped_by_kernel": 0,
        "closed": {"since_start": 0, "too_slow": 0},
        "refused_visitors": {},
        "queues": {"bytes": 0, "most": 256 << 20},
        "rates": {"1s": nothing, "60s": nothing},
        "history": {"home": "memory", "messages": 0, "bytes": 0, "oldest": null},
        "canary": null,
    });
    assert_eq!(status, expected);
}

#[test]
fn what_comes_in_and_goes_out_is_counted_by_whatever_way_it_came() {
    let server = Server::start(&[]);
    let mut clients = server.connect_many(2);
    server.push(r#"{"a":1} null "b""#);
    for client in &mut clients {
        assert_eq!([client.text(), client.text()], [r#"{"a":1}"#, "\"b\""]);
    }
    let refused = publisher();
    refused.send_to(b"{", server.publishers).unwrap();
    assert!(receive(&refused).0.starts_with("udpush: refused: "));
    assert_eq!(publish(&server, "[] 12 {}"), 200);
    assert_eq!(publish(&server, "0"), 200);
    assert_eq!(publish(&server, "{"), 400);
    assert_eq!(lines(&server, b"\"c\"\nnull\n{]\n").len(), 3);
    assert!(conversation(server.publishers, "hello\n").contains("JSON documents, or HTTP"));

    let status = status(&server);
    let documents = [r#"{"a":1}"#, "\"b\"", "12", "\"c\""];
    let bytes: usize = documents.iter().map(|document| document.len()).sum();
    assert_eq!(
        status["messages"],
        json!({"since_start": 4, "bytes": bytes, "empty": 5})
    );
    assert_eq!(status["deliveries"], 8);
    assert_eq!(status["refused"], json!({"datagrams": 1, "documents": 3}));
    let newest = status["newest"].as_str().unwrap();
    let (epoch, sequence) = newest.split_once('-').unwrap();
    assert_eq!(sequence, "4");
    let oldest = format!("{epoch}-1");
    assert_eq!(
        status["history"],
        json!({"home": "memory", "messages": 4, "bytes": bytes, "oldest": oldest})
    );
    assert_eq!(metric(&server, "udpush_messages_total"), "4");
    assert_eq!(metric(&server, "udpush_deliveries_total"), "8");
    assert_eq!(metric(&server, "udpush_refused_documents_total"), "3");
}

#[test]
fn whoever_may_not_publish_is_counted_as_refused() {
    // The address of this machine that others know; no packet is sent for that.
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    if probe.connect("198.51.100.1:9").is_err() {
        return skip("this machine has no network");
    }
    let outside = probe.local_addr().unwrap().ip();
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "0.0.0.0:0"]);
    command.args(["--publish-from", "198.51.100.0/24"]);
    let mut server = Server::start_command(command);
    let target = SocketAddr::from((outside, server.publishers.port()));
    server.publishers.set_ip(Ipv4Addr::LOCALHOST.into());
    let stranger = UdpSocket::bind((outside, 0)).unwrap();
    stranger.send_to(b"1", target).unwrap();
    assert!(conversation(target, "").contains("not in --publish-from"));
    eventually("two who were refused", || {
        (status(&server)["refused"] == json!({"datagrams": 1, "documents": 1})).then_some(())
    });
}

#[test]
fn what_the_kernel_dropped_is_counted() {
    const SENT: usize = 400;
    let server = Server::start(&[]);
    server.signal("STOP");
    // More than the largest receive buffer holds.
    let document = format!("\"{}\"", "x".repeat(60_000));
    server.push_burst(vec![document; SENT]);
    server.signal("CONT");
    let dropped = eventually("each datagram, published or dropped", || {
        let status = status(&server);
        let dropped = status["dropped_by_kernel"].as_u64().unwrap();
        let published = status["messages"]["since_start"].as_u64().unwrap();
        (published + dropped == SENT as u64).then_some(dropped)
    });
    assert!(dropped > 0);
    assert_eq!(
        metric(&server, "udpush_dropped_datagrams_total"),
        dropped.to_string()
    );
}

#[test]
fn clients_are_counted_by_how_they_listen_and_when_they_have_gone() {
    let server = Server::start(&["--max-clients", "7"]);
    let plain = server.connect_many(3);
    let v1 = [server.connect_v1("/"), server.connect_v1("/")];
    // In chunks, and without.
    let events = ["HTTP/1.1", "HTTP/1.0"].map(|version| {
        let mut connection = Connection::to(server.clients);
        let request = format!("GET /events {version}\r\nHost: a\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        connection
    });
    let clients = |status: &Value| status["clients"].clone();
    let seven = json!({
        "online": 7, "most": 7, "plain": 3, "v1": 2, "events": 2, "replaying": 0, "since_start": 7
    });
    eventually("seven clients", || {
        (clients(&status(&server)) == seven).then_some(())
    });
    assert_eq!(metric(&server, "udpush_clients{mode=\"v1\"}"), "2");
    drop((plain, v1, events));
    let none = json!({
        "online": 0, "most": 7, "plain": 0, "v1": 0, "events": 0, "replaying": 0, "since_start": 7
    });
    let status = eventually("the end of seven clients", || {
        Some(status(&server)).filter(|status| clients(status) == none)
    });
    assert_eq!(status["closed"], json!({"since_start": 7, "too_slow": 0}));
}

#[test]
fn a_client_that_is_closed_as_too_slow_is_counted_so_and_what_waited_for_it_is_told() {
    let mut server = Server::start(&["--queue", "16", "--heartbeat", "3600"]);
    let stuck = Listener::connect_narrow(server.clients);
    let mut witness = Listener::connect(server.clients);
    let document = format!("\"{}\"", "x".repeat(4000));
    let mut waited = 0;
    eventually("a client that is too slow", || {
        for _ in 0..8 {
            server.push(&document);
            witness.expect(&frames([&document]));
        }
        let status = status(&server);
        waited = waited.max(status["queues"]["bytes"].as_u64().unwrap());
        (status["closed"]["too_slow"] == 1).then_some(())
    });
    assert!(waited > 4000, "{waited}");
    drop(stuck);
    server.wait_for_line("client 1 closed: too slow");
    let status = status(&server);
    assert_eq!(status["closed"], json!({"since_start": 1, "too_slow": 1}));
    assert_eq!(metric(&server, "udpush_clients_too_slow_total"), "1");
}

#[test]
fn whoever_has_not_heard_all_that_it_missed_is_counted_as_replaying() {
    let server = Server::start(&["--queue-bytes", "33554432", "--heartbeat", "3600"]);
    let document = format!("\"{}\"", "x".repeat(60_000));
    let mut client = server.connect_v1("/");
    let first = client.json()["id"].as_str().unwrap().to_owned();
    for _ in 0..100 {
        server.push(&document);
        client.text();
    }
    let handshake = String::from_utf8(Listener::HANDSHAKE.to_vec()).unwrap();
    let slow = format!("/?since={first}");
    let handshake = handshake.replacen("GET / ", &format!("GET {slow} "), 1);
    let v1 = "Sec-WebSocket-Protocol: udpush.v1\r\n\r\n";
    let handshake = handshake.strip_suffix("\r\n").unwrap().to_owned() + v1;
    // It reads nothing of it.
    let mut slow = TcpStream::connect(server.clients).unwrap();
    slow.write_all(handshake.as_bytes()).unwrap();
    eventually("one who is behind", || {
        let clients = &status(&server)["clients"];
        (clients["v1"] == 2 && clients["replaying"] == 1).then_some(())
    });
    slow.shutdown(Shutdown::Both).unwrap();
    eventually("its end", || {
        let clients = &status(&server)["clients"];
        (clients["v1"] == 1 && clients["replaying"] == 0).then_some(())
    });
}

#[test]
fn visitors_who_are_refused_are_counted_by_status() {
    let server = Server::start(&["--max-clients", "1"]);
    let _client = server.connect();
    for _ in 0..2 {
        let answer = conversation(server.clients, Listener::HANDSHAKE);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    let delete = conversation(server.clients, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(delete.starts_with("HTTP/1.1 405 "), "{delete}");
    // One who is refused over its WebSocket.
    let handshake = String::from_utf8(Listener::HANDSHAKE.to_vec()).unwrap();
    let path = format!("GET /?a={} ", "x".repeat(20_000));
    let v1 = "\r\nSec-WebSocket-Protocol: udpush.v1\r\n\r\n";
    let handshake = handshake.trim_end().replacen("GET / ", &path, 1) + v1;
    let mut closed = Connection::to(server.clients);
    closed.write_all(handshake.as_bytes()).unwrap();
    // These are no refusals.
    for path in ["/", "/nothing"] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        conversation(server.clients, get);
    }
    let refused = json!({
        "405 Method Not Allowed": 1, "503 Service Unavailable": 2, "close 1008": 1
    });
    eventually("four who were refused", || {
        (status(&server)["refused_visitors"] == refused).then_some(())
    });
    let refused = "udpush_refused_visitors_total{status=\"503 Service Unavailable\"}";
    assert_eq!(metric(&server, refused), "2");
}

#[test]
fn the_time_goes_on_and_rates_follow_what_happens() {
    let server = Server::start(&[]);
    let mut clients = server.connect_many(2);
    let uptime = |status: &Value| status["uptime"].as_f64().unwrap();
    let first = uptime(&status(&server));
    for _ in 0..6 {
        server.push("1");
        for client in &mut clients {
            assert_eq!(client.text(), "1");
        }
    }
    let later = eventually("a second that is over", || {
        Some(status(&server)).filter(|status| status["rates"]["60s"]["messages"] == 0.1)
    });
    assert_eq!(later["rates"]["60s"]["deliveries"], 0.2);
    assert!(uptime(&later) > first);
    // And a second in which nothing happened.
    eventually("nothing any more", || {
        let rates = &status(&server)["rates"];
        (rates["1s"]["messages"] == 0.0 && rates["60s"]["messages"] == 0.1).then_some(())
    });
}

#[test]
fn prometheus_own_tool_finds_no_fault_with_the_metrics() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return skip("needs promtool, of Debian's package prometheus");
    }
    let server = Server::start(&["--max-clients", "1"]);
    for is_first in [true, false] {
        if !is_first {
            // With all labels that there are.
            let _client = server.connect();
            conversation(server.clients, Listener::HANDSHAKE);
            server.push("1");
            let healthz = conversation(server.clients, "GET /healthz HTTP/1.0\r\n\r\n");
            assert!(healthz.ends_with("\r\n\r\nok\n"), "{healthz}");
        }
        let (status, text) = ask(&server, "/metrics", &[]);
        assert_eq!(status, 200);
        assert!(text.ends_with('\n'));
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]);
        let output = Ending::start_with_input(&mut promtool, text.as_bytes()).output();
        let faults = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{faults}\n{text}");
        assert_eq!(faults, "");
    }
    let (_, head) = ask(&server, "/metrics", &["-I"]);
    let content_type = "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    assert!(head.contains(content_type), "{head}");
}

#[test]
fn only_those_who_may_look_inside_are_told() {
    let server = Server::start(&[]);
    let own = format!("Origin: http://{}", server.publishers);
    for path in ["/status", "/metrics"] {
        for header in [
            "Origin: http://evil.example",
            "Origin: null",
            "Host: evil.example",
        ] {
            let (status, body) = ask(&server, path, &["-H", header]);
            assert_eq!(status, 403, "{header}: {body}");
            assert!(!body.contains("uptime") && !body.contains("udpush_"));
        }
        assert_eq!(ask(&server, path, &["-H", &own]).0, 200);
        let (status, head) = ask(&server, path, &["-X", "DELETE", "-i"]);
        assert_eq!(status, 405);
        assert!(head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
        // Where pages are served, nothing is told.
        let answer = conversation(
            server.clients,
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"),
        );
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}
