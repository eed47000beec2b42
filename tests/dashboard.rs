//! The trusted side's page and its files: what they are, and who gets them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use crate::common::{PATIENCE, Server, skip, udpush};

/// The answer to a request: its head and its body.
fn ask(to: SocketAddr, request: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{request} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn status(to: SocketAddr, request: &str, headers: &str) -> u16 {
    let (head, _) = ask(to, request, headers);
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    Some(lines.find(|line| line.0 == name)?.1)
}

/// The address of this machine that others know; no packet is sent for that.
fn outside() -> Option<IpAddr> {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    probe.connect("198.51.100.1:9").ok()?;
    Some(probe.local_addr().unwrap().ip())
}

#[test]
fn each_file_of_the_dashboard_comes_with_its_type_and_only_once() {
    let server = Server::start(&[]);
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard.css", "text/css; charset=utf-8"),
        ("/dashboard.js", "text/javascript; charset=utf-8"),
        ("/server.js", "text/javascript; charset=utf-8"),
        ("/charts.js", "text/javascript; charset=utf-8"),
        ("/clients.js", "text/javascript; charset=utf-8"),
        ("/messages.js", "text/javascript; charset=utf-8"),
        ("/explain.js", "text/javascript; charset=utf-8"),
        ("/words.js", "text/javascript; charset=utf-8"),
        ("/base.css", "text/css; charset=utf-8"),
        ("/language.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let (head, body) = ask(server.publishers, &format!("GET {path}"), "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(header(&head, "Content-Type"), Some(content_type));
        assert_eq!(
            header(&head, "Content-Length"),
            Some(&*body.len().to_string())
        );
        assert_eq!(header(&head, "X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(header(&head, "Access-Control-Allow-Origin"), None);
        let policy = header(&head, "Content-Security-Policy");
        assert_eq!(policy.is_some(), path == "/", "{path}");
        if path == "/" {
            // The live page's own, which may look for the dashboard's icon.
            let (page, _) = ask(server.clients, "GET /", "Host: x\r\n");
            let more = format!(" *:{}", server.publishers.port());
            let pages = header(&page, "Content-Security-Policy").unwrap();
            assert_eq!(policy, Some(&*pages.replace(&more, "")));
        }
        let known = format!("If-None-Match: {}\r\n", header(&head, "ETag").unwrap());
        let (again, nothing) = ask(server.publishers, &format!("GET {path}"), &known);
        assert!(again.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
        assert_eq!(nothing, "");
        let (same, nothing) = ask(server.publishers, &format!("HEAD {path}"), "");
        let length = header(&same, "Content-Length");
        assert_eq!((length, &*nothing), (header(&head, "Content-Length"), ""));
        let (refused, _) = ask(server.publishers, &format!("PUT {path}"), "");
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        let allowed = match path {
            "/" => "GET, HEAD, POST",
            _ => "GET, HEAD",
        };
        assert_eq!(header(&refused, "Allow"), Some(allowed));
    }
    let (_, body) = ask(server.publishers, "GET /nothing", "");
    assert_eq!(body, "{\"ok\":false,\"error\":\"there is nothing here\"}\n");
}

#[test]
fn from_networks_of_publish_from_one_may_publish_and_from_those_of_trust_from_look_inside() {
    let Some(outside) = outside() else {
        return skip("this machine has no network");
    };
    for (flag, may_look) in [("--publish-from", false), ("--trust-from", true)] {
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", "0.0.0.0:0"]);
        command.args([flag, &outside.to_string()]);
        let server = Server::start_command(command);
        let mut client = server.connect();
        let to = SocketAddr::new(outside, server.publishers.port());
        assert_eq!(status(to, "POST /", "Content-Length: 0\r\n"), 200);
        UdpSocket::bind((outside, 0))
            .unwrap()
            .send_to(b"2", to)
            .unwrap();
        assert_eq!(client.text(), "2");
        let expected = if may_look { 200 } else { 403 };
        for path in ["/", "/dashboard.js", "/icon.svg"] {
            assert_eq!(status(to, &format!("GET {path}"), ""), expected, "{path}");
        }
        let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to.port());
        assert_eq!(status(here, "GET /", ""), 200);
    }
}

#[test]
fn names_that_the_operator_gives_may_be_asked_for() {
    let server = Server::start(&["--trusted-host", "Intranet,push.example.org"]);
    for (host, expected) in [
        ("intranet:6553", 200),
        ("push.EXAMPLE.org", 200),
        ("localhost", 200),
        ("evil.example", 403),
    ] {
        let found = status(server.publishers, "GET /", &format!("Host: {host}\r\n"));
        assert_eq!(found, expected, "{host}");
    }
    let own = "Host: intranet:6553\r\nOrigin: http://intranet:6553\r\n";
    assert_eq!(status(server.publishers, "GET /", own), 200);
    let others = "Host: intranet:6553\r\nOrigin: http://intranet:80\r\n";
    assert_eq!(status(server.publishers, "GET /", others), 403);
}
