//! Server-sent events, for browsers and for whatever else reads them.

use std::io::{BufRead, BufReader, Read, Write};

use crate::common::{Client, Connection, Curl, Deadline, Listener, Server, conversation};

/// A client that takes the stream as HTTP/1.1 makes it.
struct Chunks(BufReader<Connection>);

impl Chunks {
    fn request(target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    }

    /// Asks, and returns the answer's head too.
    fn ask(server: &Server, request: &str) -> (Chunks, String) {
        let mut connection = Connection::to(server.clients);
        connection.write_all(request.as_bytes()).unwrap();
        let mut chunks = Chunks(BufReader::new(connection));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(chunks.0.read_line(&mut head).unwrap(), 0, "{head}");
        }
        (chunks, head)
    }

    /// The next chunk; the last one is empty.
    fn next(&mut self) -> String {
        let mut size = String::new();
        self.0.read_line(&mut size).unwrap();
        let size = size.strip_suffix("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect(size);
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).expect("a whole chunk");
        let chunk = String::from_utf8(chunk).unwrap();
        chunk.strip_suffix("\r\n").expect(&chunk).to_owned()
    }

    /// Nothing more comes.
    fn expect_end(mut self) {
        assert_eq!(self.0.read(&mut [0]).expect("an end, not a reset"), 0);
    }
}

#[test]
fn over_http_1_1_each_event_is_a_chunk_of_its_own() {
    let server = Server::start(&["--heartbeat", "1"]);
    let (mut chunks, head) = Chunks::ask(&server, &Chunks::request("/events"));
    for line in [
        "HTTP/1.1 200 OK",
        "Content-Type: text/event-stream",
        "Transfer-Encoding: chunked",
        "Cache-Control: no-cache, no-transform",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{head}");
    }
    let hello = chunks.next();
    assert!(hello.starts_with("event: hello\nid: ") && hello.ends_with("}\n\n"));
    let id = hello.lines().nth(1).unwrap().strip_suffix("-0").unwrap();
    server.push("1 2");
    server.push("{\r\n\"a\":\n\r3}");
    let mut events = Vec::new();
    let deadline = Deadline::new();
    // Heartbeats come when they like.
    while events.len() < 3 {
        deadline.check("three messages");
        let event = chunks.next();
        if event.starts_with("id: ") {
            events.push(event);
        }
    }
    let expected = [
        "-1\ndata: 1\n\n",
        "-2\ndata: 2\n\n",
        "-3\ndata: {\ndata: \"a\":\ndata: \ndata: 3}\n\n",
    ];
    assert_eq!(events, expected.map(|event| format!("{id}{event}")));
    let number = id.strip_prefix("id: ").unwrap();
    let heartbeat = format!(
        "event: heartbeat\n{id}-3\ndata: {{\"type\":\"heartbeat\",\"id\":\"{number}-3\"}}\n\n"
    );
    // The first may be from before the messages.
    while chunks.next() != heartbeat {
        deadline.check("a heartbeat with the newest id");
    }
    server.signal("TERM");
    let last = loop {
        deadline.check("the last words");
        let event = chunks.next();
        if event != heartbeat {
            break event;
        }
    };
    assert_eq!(last, ": 1001 the server stops\n\n");
    assert_eq!(chunks.next(), "");
    chunks.expect_end();
}

#[test]
fn over_http_1_0_events_come_as_they_are_until_the_connection_ends() {
    let server = Server::start(&[]);
    let url = format!("http://{}/events", server.clients);
    let mut curl = Curl::start(&["--http1.0", "--raw", "-i", &url]);
    let head = curl.event().join("\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && !head.contains("chunked"),
        "{head}"
    );
    assert_eq!(curl.event()[0], "event: hello");
    server.push("1");
    assert_eq!(curl.event()[1..], ["data: 1"]);
    server.signal("TERM");
    assert_eq!(curl.event(), [": 1001 the server stops"]);
    assert_eq!(curl.event(), [""; 0]);
}

#[test]
fn curl_prints_events_as_they_come_and_last_event_id_resumes() {
    let mut server = Server::start(&[]);
    let url = format!("http://{}/events?school_id=2", server.clients);
    let mut curl = Curl::start(&[&url]);
    let hello = curl.event();
    assert_eq!(hello[0], "event: hello");
    assert!(hello[2].contains(r#""registration":{"school_id":"2"}"#));
    server.push(r#"{"school_id":3}"#);
    server.push("{\"school_id\":2,\n\"text\":\"two lines\"}");
    let event = curl.event();
    let id = event[0].strip_prefix("id: ").unwrap().to_owned();
    let data = ["data: {\"school_id\":2,", "data: \"text\":\"two lines\"}"];
    assert_eq!(event[1..], data);
    drop(curl);
    server.wait_for_line("client 1 closed: closed by the client");

    server.push(r#"{"missed":true}"#);
    let mut curl = Curl::start(&["-H", &format!("Last-Event-ID: {id}"), &url]);
    assert!(curl.event()[2].contains(r#""resumed":true"#));
    assert_eq!(curl.event()[1], r#"data: {"missed":true}"#);
    server.signal("TERM");
    assert_eq!(curl.event(), [": 1001 the server stops"]);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_last_id_may_be_in_the_query_and_registers_nothing() {
    for rule in [&[][..], &["--route", "lastEventId,Last-Event-ID,a"]] {
        let mut server = Server::start(rule);
        let mut witness = server.connect_v1("/");
        let start = witness.json()["id"].as_str().unwrap().to_owned();
        server.push("1");
        witness.json();
        for name in ["lastEventId", "Last-Event-ID"] {
            let url = format!("http://{}/events?a=2&{name}={start}", server.clients);
            // An id in the page's own URL is from before.
            for url in [&url, &format!("{url}&since=0")] {
                let mut curl = Curl::start(&[url]);
                let hello = curl.event().pop().unwrap();
                assert!(hello.contains(r#""resumed":true"#), "{hello}");
                assert!(hello.contains(r#""registration":{"a":"2"}"#), "{hello}");
                assert_eq!(curl.event()[1], "data: 1");
            }
        }
        // Elsewhere it is a field like any other.
        let _client = Client::connect(server.clients, "/?lastEventId=3");
        server.wait_for_line(r#" registered {"lastEventId":"3"}"#);
    }
}

#[test]
fn a_stream_that_is_cut_as_too_slow_ends_with_whole_chunks() {
    let server = Server::start(&["--heartbeat", "3600", "--queue", "16"]);
    let (mut stuck, _) = Chunks::ask(&server, &Chunks::request("/events"));
    let mut witness = Listener::connect(server.clients);
    let filler = "0,\n".repeat(8_000);
    // 0 would be empty.
    let mut count = 1;
    let deadline = Deadline::new();
    while !server.log().contains("client 1 closed: too slow: ") {
        deadline.check("the end of who does not read");
        // Together in one datagram they are one parcel, which is cut.
        server.push(format!("{count}\n[{filler}1]"));
        assert_eq!(witness.text(), Ok(count.to_string()));
        witness.text().unwrap();
        count += 1;
    }
    assert!(stuck.next().starts_with("event: hello\n"));
    let mut read = 0;
    let last = loop {
        let event = stuck.next();
        if event.starts_with(": ") {
            break event;
        }
        let (_, data) = event.split_once("\ndata: ").expect(&event);
        match read % 2 {
            0 => assert_eq!(data, format!("{}\n\n", 1 + read / 2)),
            _ => assert!(data.ends_with("\ndata: 1]\n\n")),
        }
        read += 1;
    };
    assert_eq!(last, ": 1013 too slow\n\n");
    assert!(read < 2 * count);
    assert_eq!(stuck.next(), "");
    stuck.expect_end();
}

#[test]
fn at_a_full_server_an_event_source_is_asked_to_come_back_and_others_get_503() {
    let mut server = Server::start(&["--max-clients", "1"]);
    let _client = server.connect();
    let ask = |more: &str| {
        let request = format!("GET /events HTTP/1.1\r\nHost: x\r\n{more}Origin: http://x\r\n\r\n");
        conversation(server.clients, request)
    };
    let why = "As many clients as are allowed are connected: try again later.";
    let source = ask("Accept: text/event-stream\r\n");
    assert!(source.starts_with("HTTP/1.1 200 OK\r\n"), "{source}");
    assert!(
        source.contains("\r\nContent-Type: text/event-stream\r\n"),
        "{source}"
    );
    let stream = format!("\r\n\r\nretry: 5000\n: 503 Service Unavailable: {why}\n\n");
    assert!(source.ends_with(&stream), "{source}");
    let other = ask("Accept: */*\r\n");
    assert!(
        other.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{other}"
    );
    assert!(other.contains("\r\nRetry-After: 5\r\n"), "{other}");
    assert!(other.ends_with(&format!("\r\n\r\n{why}\n")), "{other}");
    for answer in [source, other] {
        let readers = "\r\nAccess-Control-Allow-Origin: http://x\r\nAccess-Control-Allow-Credentials: true\r\n";
        assert!(answer.contains(readers), "{answer}");
    }
    let log = server.stop();
    let line = format!(
        ": 503 Service Unavailable: {} (GET /events)\n",
        why.trim_end_matches('.')
    );
    assert_eq!(log.matches(&line).count(), 2, "{log}");
}
