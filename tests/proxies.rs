//! Clients behind proxies, and limits for each address.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};
use serde_json::Value;

use crate::common::{
    Connection, Deadline, Directory, Listener, Server, conversation, eventually, own_address, skip,
    udpush,
};

/// A client's request with more header lines.
fn handshake(lines: &str) -> Vec<u8> {
    let request = String::from_utf8(Listener::HANDSHAKE.to_vec()).unwrap();
    let request = request.trim_end().to_owned();
    format!("{request}\r\n{lines}\r\n").into_bytes()
}

fn forwarded_for(addresses: &str) -> Vec<u8> {
    handshake(&format!("X-Forwarded-For: {addresses}\r\n"))
}

/// Sends these bytes, and is a client when this returns.
fn join(server: &Server, bytes: &[u8]) -> Connection {
    let mut connection = Connection::to(server.clients);
    connection.write_all(bytes).unwrap();
    expect_101(&mut connection);
    connection
}

fn expect_101(connection: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

/// What the trusted side answers.
fn ask(server: &Server, request: &str) -> String {
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = conversation(server.publishers, request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

fn addresses(server: &Server) -> Vec<String> {
    let clients = ask(server, "GET /clients?limit=1000");
    let lines = clients
        .split(['\r', '\n'])
        .filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["address"].to_string())
        .collect()
}

fn assert_turned_away(answer: &str, most: u32) {
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    let sentence = format!("{most} connections from one address are as many as are allowed: ");
    assert!(answer.contains(&sentence), "{answer}");
}

#[test]
fn a_trusted_proxy_says_where_its_client_is_wherever_that_is_told() {
    let mut server = Server::start(&["--trusted-proxy", "127.0.0.0/8"]);
    let mut activity = Connection::to(server.publishers);
    let request = b"GET /activity HTTP/1.1\r\nHost: localhost\r\n\r\n";
    activity.write_all(request).unwrap();
    let mut head = [0; 12];
    activity.read_exact(&mut head).unwrap();
    let mut clients = Vec::new();
    for (number, (bytes, address)) in (1..).zip([
        (forwarded_for("6.6.6.6, 10.0.0.5"), "10.0.0.5"),
        (forwarded_for("10.0.0.5, 127.1.1.1"), "10.0.0.5"),
        (forwarded_for("[2001:db8::1]:4711"), "[2001:db8::1]:4711"),
        (
            handshake("Forwarded: for=6.6.6.6\r\nForwarded: for=\"[2001:db8::1]\";proto=https\r\n"),
            "2001:db8::1",
        ),
    ]) {
        let client = join(&server, &bytes);
        let proxy = client.address();
        server.wait_for_line(&format!(
            "client {number} connected from {address} through {proxy} ({number} online)"
        ));
        assert_eq!(addresses(&server)[number - 1], format!("\"{address}\""));
        clients.push(client);
    }
    // Of one whose proxy does not tell, the proxy is what is known.
    let client = join(&server, &forwarded_for("unknown"));
    let proxy = client.address();
    server.wait_for_line(&format!("client 5 connected from {proxy} (5 online)"));
    let mut told = Vec::new();
    let deadline = Deadline::new();
    while String::from_utf8_lossy(&told)
        .matches("\"connected\"")
        .count()
        < 5
    {
        deadline.check("a line for each of them");
        let mut more = [0; 4096];
        let count = activity.read(&mut more).unwrap();
        told.extend(&more[..count]);
    }
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("\"address\":\"10.0.0.5\""), "{told}");
    assert!(
        told.contains("\"address\":\"[2001:db8::1]:4711\""),
        "{told}"
    );
    let mut stray = Connection::to(server.clients);
    stray
        .write_all(b"DELETE / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.7\r\n\r\n")
        .unwrap();
    let proxy = stray.address();
    server.wait_for_line(&format!("refused visitor 10.0.0.7 through {proxy}: 405 "));
}

#[test]
fn whoever_is_no_trusted_proxy_is_who_it_is() {
    for flags in [&[][..], &["--trusted-proxy", "10.0.0.0/8"]] {
        let mut server = Server::start(flags);
        let lines = "X-Forwarded-For: 10.0.0.5\r\nForwarded: for=10.0.0.5\r\n";
        let client = join(&server, &handshake(lines));
        let address = client.address();
        server.wait_for_line(&format!("client 1 connected from {address} (1 online)"));
        assert_eq!(addresses(&server), [format!("\"{address}\"")]);
    }
}

#[test]
fn an_address_has_so_many_connections_and_the_next_one_is_told_to_come_later() {
    let flags = [
        "--trusted-proxy",
        "127.0.0.0/8",
        "--max-clients-per-ip",
        "2",
    ];
    let mut server = Server::start(&flags);
    for (addresses, other) in [
        (["10.0.0.5", "10.0.0.5:80", "6.6.6.6, 10.0.0.5"], "10.0.0.6"),
        // Whoever has one of them has all.
        (
            ["2001:db8::1", "[2001:db8::2]:80", "2001:db8::ffff:0:0:3"],
            "2001:db8:0:1::1",
        ),
    ] {
        let [first, second, third] = addresses.map(forwarded_for);
        let leaving = join(&server, &first);
        let _staying = join(&server, &second);
        assert_turned_away(&conversation(server.clients, &third), 2);
        let get = third.strip_suffix(b"\r\n").unwrap();
        let get = String::from_utf8(get.to_vec()).unwrap();
        let events = get.replacen("GET / ", "GET /events ", 1);
        let events = events.replace("Upgrade", "X").replace("Sec-WebSocket", "X");
        let source = format!("{events}Accept: text/event-stream\r\n\r\n");
        let answer = conversation(server.clients, source);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let told = "retry: 5000\n: 503 Service Unavailable: 2 connections from one address";
        assert!(answer.contains(told), "{answer}");
        let _other = join(&server, &forwarded_for(other));
        // Its place is free when the log tells of its end.
        let ends = server.log().matches(" closed: ").count();
        drop(leaving);
        eventually("its end", || {
            (server.log().matches(" closed: ").count() > ends).then_some(())
        });
        drop(join(&server, &third));
        eventually("the end of the third", || {
            (server.log().matches(" closed: ").count() > ends + 1).then_some(())
        });
    }
    server.wait_for_line(
        ": 503 Service Unavailable: 2 connections from one address are as many as are allowed: try again later (GET /)",
    );
    let status: Value = serde_json::from_str(&ask(&server, "GET /status")).unwrap();
    assert_eq!(status["refused_visitors"]["503 Service Unavailable"], 4);
}

#[test]
fn connections_that_have_not_said_what_they_want_have_a_place_too() {
    let mut server = Server::start(&["--max-clients-per-ip", "2"]);
    let mut begun: Vec<_> = (0..2).map(|_| Connection::to(server.clients)).collect();
    for connection in &mut begun {
        connection.write_all(b"GET /").unwrap();
    }
    let answer = eventually("a bound", || {
        let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = conversation(server.clients, request);
        (!answer.starts_with("HTTP/1.1 200 ")).then_some(answer)
    });
    assert_turned_away(&answer, 2);
    server.wait_for_line(
        "try again later (GET /healthz); if 127.0.0.1 is a proxy: --trusted-proxy 127.0.0.1",
    );
    // One that is too many is not waited for until its deadline.
    assert_turned_away(&conversation(server.clients, "GET /"), 2);
    drop(begun);
    eventually("a place", || {
        let answer = conversation(server.clients, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        answer.starts_with("HTTP/1.1 200 ").then_some(())
    });
}

#[test]
fn without_the_setting_200_may_come_from_an_address_but_any_number_from_proxies_and_loopback() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.1"]);
    let mut clients: Vec<_> = (0..200)
        .map(|_| join(&server, &forwarded_for("10.0.0.5")))
        .collect();
    assert_turned_away(
        &conversation(server.clients, forwarded_for("10.0.0.5")),
        200,
    );
    for address in ["10.0.0.6", "unknown"] {
        clients.extend((0..201).filter_map(|number| match (address, number) {
            ("10.0.0.6", 1..) => None,
            _ => Some(join(&server, &forwarded_for(address))),
        }));
    }
    assert_eq!(clients.len(), 402);
    let server = Server::start(&[]);
    server.connect_many(201);
}

/// The binary header with this command, family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        rest,
    ]
    .concat()
}

const PROXY_PROTOCOL: [&str; 3] = ["--trusted-proxy", "127.0.0.0/8", "--proxy-protocol"];

#[test]
fn a_proxy_header_says_where_the_client_is() {
    let mut server = Server::start(&PROXY_PROTOCOL);
    let v4 = [10, 0, 0, 5, 10, 9, 9, 9, 0x12, 0x34, 0, 80];
    let mapped = [&[0; 10][..], &[0xff; 2], &v4[..4], &[0; 16], &v4[8..]].concat();
    let with_more = [&v4[..], &[4, 0, 9], &[0; 9]].concat();
    let mut clients = Vec::new();
    for (number, (header, address)) in (1..).zip([
        (
            b"PROXY TCP4 10.0.0.5 10.9.9.9 4660 80\r\n".to_vec(),
            "10.0.0.5:4660",
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n".to_vec(),
            "[2001:db8::1]:4660",
        ),
        (v2(0x21, 0x11, &v4), "10.0.0.5:4660"),
        (v2(0x21, 0x11, &with_more), "10.0.0.5:4660"),
        (v2(0x21, 0x21, &mapped), "10.0.0.5:4660"),
    ]) {
        // What a stranger says of others is nothing to go by.
        let client = join(&server, &[header, forwarded_for("6.6.6.6")].concat());
        let proxy = client.address();
        server.wait_for_line(&format!(
            "client {number} connected from {address} through {proxy} ("
        ));
        clients.push(client);
    }
    for (number, header) in (6..).zip([b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, &[])]) {
        let client = join(&server, &[&header[..], Listener::HANDSHAKE].concat());
        let proxy = client.address();
        server.wait_for_line(&format!("client {number} connected from {proxy} ("));
        clients.push(client);
    }
}

#[test]
fn from_a_proxy_whose_header_is_missing_or_malformed_nothing_is_taken() {
    let mut server = Server::start(&PROXY_PROTOCOL);
    for (bytes, why) in [
        (
            Listener::HANDSHAKE.to_vec(),
            "it sent no PROXY header, which --proxy-protocol asks of trusted proxies",
        ),
        (
            b"PROXY TCP4 10.0.0.5\r\n".to_vec(),
            "its PROXY header is malformed",
        ),
        (
            [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
            "its PROXY header is longer than 107 bytes",
        ),
        (
            v2(0x21, 0x11, &[0; 600]),
            "its PROXY header is longer than 536 bytes",
        ),
    ] {
        assert_eq!(conversation(server.clients, bytes), "");
        let line = server.wait_for_line(&format!(": no answer: {why}"));
        assert!(line.contains("[WARN] refused visitor 127.0.0.1:"), "{line}");
    }
    let log = server.stop();
    assert_eq!(log.matches("[WARN] refused").count(), 4, "{log}");
}

#[test]
fn the_proxy_protocol_is_turned_on_by_a_flag_a_variable_or_the_file() {
    for (flag, variable, file) in [
        ("--proxy-protocol", "false", "false"),
        ("", "true", "false"),
        ("", "", "true"),
    ] {
        let directory = Directory::new();
        let config = format!("trusted-proxy = ['127.0.0.1']\nproxy-protocol = {file}\n");
        fs::write(directory.file("udpush.toml"), config).unwrap();
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
        command.args(["--config", "udpush.toml"]);
        if !flag.is_empty() {
            command.arg(flag);
        }
        if !variable.is_empty() {
            command.env("UDPUSH_PROXY_PROTOCOL", variable);
        }
        let mut server = Server::start_in(directory, command, "udpush.log");
        server.wait_for_line(" --proxy-protocol=true ");
        join(
            &server,
            &[b"PROXY UNKNOWN\r\n", Listener::HANDSHAKE].concat(),
        );
    }
}

#[test]
fn from_others_no_proxy_header_is_read() {
    let mut server = Server::start(&["--trusted-proxy", "10.9.9.9", "--proxy-protocol"]);
    let client = join(&server, Listener::HANDSHAKE);
    let address = client.address();
    server.wait_for_line(&format!("client 1 connected from {address} (1 online)"));
    let header = b"PROXY TCP4 10.0.0.5 10.9.9.9 4660 80\r\n";
    let answer = conversation(server.clients, [header, Listener::HANDSHAKE].concat());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// Sends a byte every now and then until there is an answer.
fn drip(server: &Server, bytes: &[u8], pause: Duration) -> String {
    let mut stream = TcpStream::connect(server.clients).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(pause)).unwrap();
    let mut answer = vec![0; 4096];
    for byte in bytes {
        // The server may have gone on.
        let _ = stream.write_all(&[*byte]);
        if let Ok(count) = stream.read(&mut answer) {
            answer.truncate(count);
            return String::from_utf8(answer).unwrap();
        }
    }
    panic!("all of it was sent, and nothing was answered");
}

#[test]
fn a_byte_now_and_then_does_not_put_the_handshakes_deadline_off() {
    // Each takes longer than the deadline to be sent, and would be answered with 200 then.
    let request = "GET /healthz HTTP/1.1\r\nHost: intranet:6552\r\n\r\n";
    let header = "PROXY TCP4 10.0.0.5 10.9.9.9 4660 80\r\n";
    let direct = Server::start(&[]);
    let proxied = Server::start(&PROXY_PROTOCOL);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| drip(&direct, request.as_bytes(), Duration::from_millis(500)));
        // The header takes nearly half of the time, and the head behind it gets none of its own.
        let both = [header, request].concat();
        let second = drip(&proxied, both.as_bytes(), Duration::from_millis(180));
        for answer in [slow.join().unwrap(), second] {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    });
}

/// A real HAProxy in front of the server; dropped, it is killed.
struct HaProxy {
    child: Child,
    address: SocketAddr,
    _directory: Directory,
}

impl HaProxy {
    /// `None` where there is none.
    fn start(server: &Server, mode: &str) -> Option<HaProxy> {
        let directory = Directory::new();
        let file = directory.file("haproxy.cfg");
        let address = SocketAddr::from((own_address(), 6500));
        let config = format!(
            "defaults\n timeout connect 20s\n timeout client 20s\n timeout server 20s\n timeout tunnel 20s\n\
             listen push\n bind {address}\n {mode} check inter 100ms\n",
        );
        let config = config.replace("SERVER", &format!("server udpush {}", server.clients));
        fs::write(&file, config).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.ok()?;
        Some(HaProxy {
            child,
            address,
            _directory: directory,
        })
    }

    /// A connection from this address of the machine's own.
    fn connect(&self, from: Ipv4Addr) -> TcpStream {
        eventually("HAProxy", || {
            let (family, kind) = (AddressFamily::Inet, SockType::Stream);
            let fd = socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
            let own = SockaddrStorage::from(SocketAddr::from((from, 0)));
            socket::bind(fd.as_raw_fd(), &own).unwrap();
            let connected = socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(self.address));
            connected.ok().map(|()| TcpStream::from(fd))
        })
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn behind_a_real_haproxy_the_log_names_the_client() {
    for (mode, flags) in [
        ("mode tcp\n SERVER send-proxy", &PROXY_PROTOCOL[..]),
        ("mode tcp\n SERVER send-proxy-v2", &PROXY_PROTOCOL),
        (
            "mode tcp\n SERVER send-proxy-v2 proxy-v2-options unique-id,crc32c",
            &PROXY_PROTOCOL,
        ),
        (
            "mode http\n option forwardfor\n SERVER",
            &PROXY_PROTOCOL[..2],
        ),
    ] {
        let flags = [&["--trusted-proxy", "127.0.0.1"], &flags[2..]].concat();
        let mut server = Server::start(&flags);
        let Some(proxy) = HaProxy::start(&server, mode) else {
            return skip("there is no haproxy");
        };
        let from = own_address();
        let mut client = proxy.connect(from);
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client.write_all(Listener::HANDSHAKE).unwrap();
        expect_101(&mut client);
        let line = server.wait_for_line("client 1 connected from ");
        let told = match mode.starts_with("mode tcp") {
            true => client.local_addr().unwrap().to_string(),
            false => from.to_string(),
        };
        let told = format!("client 1 connected from {told} through 127.0.0.1:");
        assert!(line.contains(&told), "{mode}: {line}");
        server.push("1");
        let mut frame = [0; 3];
        client.read_exact(&mut frame).unwrap();
        assert_eq!(&frame, b"\x81\x011");
        // Its health checks are no reason for a warning.
        assert!(!server.log().contains("[WARN] refused"), "{}", server.log());
    }
}
