//! What the trusted side tells: what was pushed, and what happens, as it happens.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Connection, Curl, Deadline, Ending, Server, eventually};

/// The status and the body of the answer to a GET.
fn get(server: &Server, path: &str) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "-g", "-w", "\n%{http_code}"]);
    command.arg(format!("http://{}{path}", server.publishers));
    let output = Ending::start(&mut command).output();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The lines of a history that is there.
fn history(server: &Server, query: &str) -> Vec<Value> {
    let (status, body) = get(server, &format!("/history{query}"));
    assert_eq!(status, 200, "{query}: {body}");
    let lines = body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn data(lines: &[Value]) -> Vec<&Value> {
    lines.iter().map(|line| &line["data"]).collect()
}

/// Pushes from one connection, and waits until it is published; returns the connection's address.
fn push_all(server: &Server, documents: &[&str]) -> String {
    let mut connection = Connection::to(server.publishers);
    let address = connection.address().to_string();
    let input = documents.join("\n") + "\n";
    connection.write_all(input.as_bytes()).unwrap();
    let replies = BufReader::new(connection).lines();
    for reply in replies.map(Result::unwrap).take(documents.len()) {
        assert!(reply.starts_with(r#"{"ok":true,"#), "{reply}");
    }
    address
}

/// A live stream.
struct Stream(BufReader<Connection>);

impl Stream {
    /// Asks for one, and returns the status of the answer.
    fn ask(server: &Server, path: &str) -> (String, Stream) {
        let mut connection = Connection::to(server.publishers);
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut stream = Stream(BufReader::new(connection));
        let status = stream.line().unwrap();
        while !stream.line().expect("a head").is_empty() {}
        (status, stream)
    }

    /// Follows one, from when this returns.
    fn follow(server: &Server, path: &str) -> Stream {
        let (status, stream) = Stream::ask(server, path);
        assert_eq!(status, "HTTP/1.1 200 OK");
        stream
    }

    /// The next line; none at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let line = line.strip_suffix('\n')?;
        Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    /// The next line's object, without the time.
    fn next(&mut self) -> Value {
        let line = self.line().expect("a line, not the end");
        let mut value: Value = serde_json::from_str(&line).expect(&line);
        let time = value.as_object_mut().unwrap().remove("time").expect(&line);
        let pattern = "2026-11-25T10:00:00.123+01:00";
        assert_eq!(time.as_str().unwrap().len(), pattern.len(), "{line}");
        value
    }
}

#[test]
fn the_history_tells_what_was_pushed_by_whom_and_for_how_many() {
    let server = Server::start(&[]);
    let mut seven = server.connect_v1("/?user=u7");
    let start = seven.json()["id"].as_str().unwrap().to_owned();
    let mut eight = server.connect_v1("/?user=u8");
    eight.json();
    let documents = [
        r#"{"user":"u7","n":1}"#,
        r#"{"user":"u8","n":2}"#,
        "{\"n\":\n3e0}",
        r#"{"user":"u7","n":4}"#,
    ];
    let sender = push_all(&server, &documents);

    let all = history(&server, "");
    let clients: Vec<_> = all.iter().map(|line| &line["clients"]).collect();
    assert_eq!(clients, [1, 1, 2, 1]);
    assert!(all.iter().all(|line| line["from"] == *sender), "{all:?}");
    let epoch = start.strip_suffix("-0").unwrap();
    let ids: Vec<_> = (1..=4).map(|n| format!("{epoch}-{n}")).collect();
    for (line, id) in all.iter().zip(&ids) {
        assert_eq!(line["id"], **id);
        let time = line["time"].as_str().unwrap();
        assert_eq!(time.len(), "2026-11-25T10:00:00.123+01:00".len());
    }

    // The bytes that were pushed, on one line.
    let (status, third) = get(&server, &format!("/history/{}", ids[2]));
    assert_eq!(status, 200);
    assert!(
        third
            .trim_end()
            .ends_with(r#","clients":2,"data":{"n": 3e0}}"#),
        "{third}"
    );

    let n = |query: &str| -> Vec<u64> {
        let lines = history(&server, query);
        let numbers = lines
            .iter()
            .map(|line| line["data"]["n"].as_f64().unwrap() as u64);
        numbers.collect()
    };
    assert_eq!(n("?last=2"), [3, 4]);
    assert_eq!(n(&format!("?since={}", ids[1])), [3, 4]);
    assert_eq!(n(&format!("?since={start}&last=3")), [2, 3, 4]);
    assert_eq!(n(&format!("?since={}", ids[3])), [0; 0]);
    assert_eq!(n(&format!("?until={}&last=2", ids[2])), [2, 3]);
    let user = "match=%7B%22user%22:%22u7%22%7D";
    assert_eq!(n(&format!("?{user}")), [1, 3, 4]);
    assert_eq!(n(&format!("?{user}&last=2")), [3, 4]);
    assert_eq!(n(&format!("?{user}&until={}&last=2", ids[2])), [1, 3]);
    assert_eq!(n(&format!("?since={}&{user}", ids[0])), [3, 4]);
    assert_eq!(n(&format!("?{user}&last=0")), [0; 0]);
    let other = "match=%7B%22user%22:%5B%22u9%22,%22u8%22%5D%7D";
    assert_eq!(n(&format!("?{other}")), [2, 3]);
}

#[test]
fn a_history_that_is_not_held_or_not_understood_is_refused_with_a_sentence() {
    let server = Server::start(&["--history", "2"]);
    push_all(&server, &["1", "2", "3"]);
    let held = history(&server, "");
    assert_eq!(data(&held), [2, 3]);
    let newest = held[1]["id"].as_str().unwrap();
    let epoch = newest.strip_suffix("-3").unwrap();
    assert_eq!(
        data(&history(&server, &format!("?since={epoch}-1"))),
        [2, 3]
    );
    for (path, status, words) in [
        (format!("?since={epoch}-0"), 409, "not held any more"),
        (format!("?since={epoch}-4"), 409, "yet to come"),
        ("?since=zzzzzzzz-1".to_owned(), 409, "another epoch"),
        ("?since=x".to_owned(), 400, "not an id"),
        ("?last=x".to_owned(), 400, "`last` is no number"),
        ("?match=x".to_owned(), 400, "`match` is no registration"),
        ("?match=%7B%22a%22:%7B%7D%7D".to_owned(), 400, "`match`"),
        ("?lasst=3".to_owned(), 400, "`lasst` means nothing here"),
        (format!("/{epoch}-1"), 404, "no such message"),
        (format!("/{epoch}-4"), 404, "no such message"),
        ("/x".to_owned(), 404, "not an id"),
    ] {
        let (answered, body) = get(&server, &format!("/history{path}"));
        assert_eq!(answered, status, "{path}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ok"], false);
        assert!(body["error"].as_str().unwrap().contains(words), "{body}");
    }
}

#[test]
fn a_long_history_comes_whole_and_in_order() {
    let server = Server::start(&[]);
    let document = |n: u32| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(3_000));
    for round in 0..20 {
        let documents: Vec<_> = (20 * round..20 * round + 20).map(document).collect();
        push_all(&server, &documents.iter().map(|d| &**d).collect::<Vec<_>>());
    }
    let lines = history(&server, "?last=390");
    let numbers = lines.iter().map(|line| line["data"]["n"].as_u64().unwrap());
    assert!(numbers.eq(10..400), "{}", lines.len());
}

#[test]
fn what_clients_do_is_told_as_it_happens() {
    let server = Server::start(&["--route", "user"]);
    let mut activity = Stream::follow(&server, "/activity");
    let mut client = server.connect_v1("/?user=u7");
    let number = client.json()["client"].clone();
    let connected = activity.next();
    let address = connected["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{connected}");
    assert_eq!(
        connected,
        json!({"event": "connected", "client": number, "address": address, "mode": "v1"})
    );
    let registered = |user: &str| {
        let registration = json!({"user": user});
        json!({"event": "registered", "client": number, "registration": registration})
    };
    assert_eq!(activity.next(), registered("u7"));
    // What says nothing to anybody is not told.
    for text in [r#"{"type":"ping"}"#, "ping", "{\"a\":"] {
        client.say(text);
    }
    client.say(r#"{"user":"u8"}"#);
    assert_eq!(activity.next(), registered("u8"));
    for text in ["{\"chat\":\r\n\"h\u{2028}i\"}", "[1]"] {
        client.say(text);
        let data: Value = serde_json::from_str(text).unwrap();
        let said = json!({"event": "said", "client": number, "data": data});
        assert_eq!(activity.next(), said);
    }
    client.0.close(None).unwrap();
    let closed = json!({"event": "closed", "client": number, "why": "closed by the client"});
    assert_eq!(activity.next(), closed);
}

#[test]
fn of_what_one_client_says_ten_are_told_in_a_second_and_the_others_are_counted() {
    let server = Server::start(&[]);
    let mut activity = Stream::follow(&server, "/activity");
    let mut client = server.connect();
    assert_eq!(activity.next()["event"], "connected");
    for n in 1..=60 {
        client.say(&format!("[{n}]"));
    }
    client.0.close(None).unwrap();
    let (mut told, mut left_out) = (0, 0);
    loop {
        let event = activity.next();
        left_out += event["left_out"].as_u64().unwrap_or(0);
        if event["event"] == "closed" {
            break;
        }
        told += 1;
        assert_eq!(event["data"], json!([told + left_out]));
    }
    assert_eq!(told + left_out, 60);
    assert!((10..60).contains(&told), "{told}");
}

#[test]
fn each_message_is_told_as_it_is_published() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut messages = Stream::follow(&server, "/messages");
    server.push("{\"a\":\n1e0}");
    let line = messages.line().unwrap();
    assert!(line.starts_with("{\"id\":\""), "{line}");
    assert!(
        line.ends_with(r#","clients":1,"data":{"a": 1e0}}"#),
        "{line}"
    );
    assert_eq!(
        history(&server, "")[0],
        serde_json::from_str::<Value>(&line).unwrap()
    );
    assert_eq!(client.text(), "{\"a\":\n1e0}");
}

#[test]
fn the_log_is_told_from_its_newest_lines_on() {
    let mut server = Server::start(&[]);
    server.wait_for_line("listening");
    let mut log = Curl::start(&[&format!("http://{}/log", server.publishers)]);
    let first = log.line().unwrap();
    assert!(server.log().starts_with(&format!("{first}\n")), "{first}");
    server.push("x");
    let deadline = Deadline::new();
    let told = loop {
        deadline.check("the line about the datagram");
        let line = log.line().unwrap();
        if line.contains("refused datagram") {
            break line;
        }
    };
    assert_eq!(server.wait_for_line("refused datagram"), told);
}

#[test]
fn a_listener_that_does_not_read_is_told_what_it_lost_and_pushes_go_on() {
    const MESSAGES: usize = 1500;
    let server = Server::start(&["--history", "0"]);
    let mut client = server.connect();
    let mut stream = Stream::follow(&server, "/messages");
    // It has the head, and reads no more for now. Much more than sockets and its queue hold:
    let padding = "x".repeat(40_000);
    for n in 0..MESSAGES {
        let document = format!("{{\"n\":{n},\"padding\":\"{padding}\"}}");
        server.push(&document);
        assert_eq!(client.text(), document);
    }
    server.push("{\"n\":\"end\"}");
    let (mut expected, mut lost) = (0, 0);
    loop {
        let line = stream.line().expect("a line, not the end");
        let told: Value = serde_json::from_str(&line).unwrap();
        if told["event"] == "lost" {
            assert!(
                line.starts_with("{\"event\":\"lost\",\"time\":\""),
                "{line}"
            );
            let count = told["count"].as_u64().unwrap();
            expected += count;
            lost += count;
        } else if told["data"]["n"] == "end" {
            break;
        } else {
            assert_eq!(told["data"]["n"], expected);
            expected += 1;
        }
        if expected == MESSAGES as u64 + 1 {
            // The end was lost, too.
            break;
        }
    }
    assert!(lost > 0);
    assert!(expected >= MESSAGES as u64, "{expected}");
}

#[test]
fn there_are_so_many_listeners_at_most_and_a_place_is_free_when_one_is_gone() {
    let server = Server::start(&[]);
    let mut listeners: Vec<_> = (0..32)
        .map(|_| Stream::follow(&server, "/activity"))
        .collect();
    let (status, body) = get(&server, "/activity");
    assert_eq!(status, 503, "{body}");
    // Other feeds have places of their own.
    Stream::follow(&server, "/log");
    listeners.pop();
    eventually("a free place", || {
        (Stream::ask(&server, "/activity").0 == "HTTP/1.1 200 OK").then_some(())
    });
}

#[test]
fn streams_end_in_order_when_the_server_stops() {
    let mut server = Server::start(&[]);
    let mut streams = ["/activity", "/messages"].map(|path| Stream::follow(&server, path));
    let mut curl = Curl::start(&[&format!("http://{}/log", server.publishers)]);
    curl.line().expect("a line");
    let log = server.stop();
    for stream in &mut streams {
        assert_eq!(stream.line(), None);
    }
    while curl.line().is_some() {}
    // A chunked answer that is cut off is a failure to curl.
    assert!(curl.succeeded());
    assert!(!log.contains("did not leave in time"), "{log}");
}

#[test]
fn what_is_told_is_only_read() {
    let server = Server::start(&[]);
    for path in ["/history", "/history/x", "/activity", "/messages", "/log"] {
        let url = format!("http://{}{path}", server.publishers);
        for (flag, status) in [("-d1", "405"), ("-I", "")] {
            let mut command = Command::new("curl");
            command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", flag, &url]);
            let output = Ending::start(&mut command).output();
            let answered = String::from_utf8(output.stdout).unwrap();
            assert!(answered.starts_with(status), "{path} {flag}: {answered}");
        }
    }
}
