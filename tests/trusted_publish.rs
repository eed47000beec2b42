//! Publishing by TCP: documents a line, or POST, with an answer for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::common::{Connection, Ending, Listener, PATIENCE, Server, frames, php};

fn curl(server: &Server, arguments: &[&str]) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args(["-s", "-w", "\n%{http_code}"]).args(arguments);
    command.arg(format!("http://{}/", server.publishers));
    let output = Ending::start(&mut command).output();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| body.trim_end().into());
    (status.parse().unwrap(), body)
}

/// Everything that is said on a connection to the trusted side, once all of this was sent.
pub fn lines(server: &Server, input: &[u8]) -> Vec<String> {
    let mut stream = TcpStream::connect(server.publishers).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let input = input.to_vec();
    let sender = thread::spawn(move || {
        // One who is refused early may close.
        let _ = sending.write_all(&input);
        let _ = sending.shutdown(Shutdown::Write);
    });
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    sender.join().unwrap();
    text.lines().map(str::to_owned).collect()
}

fn objects(lines: &[String]) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).expect(line);
    lines.iter().map(parse).collect()
}

#[test]
fn curl_and_php_publish_and_read_the_answer() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let (status, answer) = curl(&server, &["-d", r#"{"a":1}"#]);
    assert_eq!(
        (status, &answer["ok"], &answer["clients"]),
        (200, &json!(true), &json!(1))
    );
    assert!(answer["id"].as_str().unwrap().ends_with("-1"));
    assert_eq!(client.text(), r#"{"a":1}"#);

    let publish = format!(
        r#"$options = ["http" => ["method" => "POST", "header" => "Content-Type: application/json", "content" => '{{"b":2}}']];
        echo file_get_contents("http://{}/", false, stream_context_create($options));"#,
        server.publishers
    );
    let output = php(&publish, &[], b"");
    let answer: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(answer["clients"], 1);
    assert_eq!(client.text(), r#"{"b":2}"#);
}

#[test]
fn several_documents_in_a_body_are_published_together_or_not_at_all() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let (status, refusal) = curl(&server, &["-d", r#"{"a":1} {"b":}"#]);
    assert_eq!(status, 400);
    assert_eq!(
        refusal,
        json!({"ok": false, "error": "not JSON at byte 14: expected value", "byte": 14})
    );
    let (status, answer) = curl(&server, &["-d", r#"{"a":1} null {"b":2}"#]);
    assert_eq!((status, answer.as_array().unwrap().len()), (200, 2));
    assert_eq!([client.text(), client.text()], [r#"{"a":1}"#, r#"{"b":2}"#]);
    let (status, answer) = curl(&server, &["-d", "[]"]);
    assert_eq!(
        (status, answer),
        (200, json!({"ok": true, "clients": 0, "empty": true}))
    );
}

#[test]
fn large_documents_come_in_by_either_way_and_with_chunks_and_expectations() {
    let server = Server::start(&["--heartbeat", "3600"]);
    let mut client = Listener::connect(server.clients);
    let document = format!("\"{}\"", "x".repeat(500_000));
    let answers = objects(&lines(&server, document.as_bytes()));
    assert_eq!(answers[0]["clients"], 1);
    client.expect(&frames([&document]));
    let file = server.directory.file("document");
    std::fs::write(&file, &document).unwrap();
    let data = format!("@{}", file.display());
    for more in [
        &[][..],
        &["-H", "Transfer-Encoding: chunked"],
        &["-H", "Expect: 100-continue"],
    ] {
        let (status, _) = curl(&server, &[&["--data-binary", &data], more].concat());
        assert_eq!(status, 200, "{more:?}");
        client.expect(&frames([&document]));
    }
    std::fs::write(&file, format!("\"{}\"", "x".repeat(1 << 20))).unwrap();
    let (status, refusal) = curl(&server, &["--data-binary", &data]);
    assert_eq!(status, 413, "{refusal}");
}

#[test]
fn each_line_is_answered_in_order_and_a_fault_ends_with_its_line() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let input = "{\"a\":1}\n{\"b\":}\n\nnull\n{\"c\":\n2}\n";
    let answers = objects(&lines(&server, input.as_bytes()));
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert_eq!(answers[0]["clients"], 1);
    assert_eq!(
        answers[1],
        json!({"ok": false, "error": "not JSON at byte 6: expected value", "byte": 6})
    );
    assert_eq!(answers[2], json!({"ok": true, "clients": 0, "empty": true}));
    assert_eq!(answers[3]["clients"], 1);
    assert_eq!([client.text(), client.text()], ["{\"a\":1}", "{\"c\":\n2}"]);
    let neither = lines(&server, b"hello\n{\"a\":1}\n");
    assert_eq!(neither, ["udpush: this port takes JSON documents, or HTTP"]);
    for (what, why) in [
        (
            " refused document from ",
            ": not JSON at byte 6: expected value",
        ),
        (" refused publisher ", ": neither JSON nor HTTP"),
    ] {
        let line = server.wait_for_line(what);
        assert!(line.ends_with(why), "{line}");
    }
}

#[test]
fn lines_and_datagrams_have_one_order_and_every_line_is_answered() {
    const LINES: usize = 50_000;
    let server = Server::start(&["--heartbeat", "3600", "--history", "0"]);
    let mut client = Listener::connect(server.clients);
    let input: String = (0..LINES).map(|n| format!("{{\"line\":{n}}}\n")).collect();
    let answers = thread::scope(|scope| {
        let answers = scope.spawn(|| objects(&lines(&server, input.as_bytes())));
        for n in 0..1000 {
            server.push(format!("{{\"datagram\":{n}}}"));
        }
        // All of it, each in its order.
        let (mut next_line, mut next_datagram) = (0, 0);
        while next_line < LINES || next_datagram < 1000 {
            let heard: Value = serde_json::from_str(&client.text().unwrap()).unwrap();
            if let Some(n) = heard["line"].as_u64() {
                assert_eq!(n as usize, next_line);
                next_line += 1;
            } else {
                assert_eq!(heard["datagram"].as_u64(), Some(next_datagram));
                next_datagram += 1;
            }
        }
        answers.join().unwrap()
    });
    assert_eq!(answers.len(), LINES);
    let mut last = 0;
    for answer in answers {
        assert_eq!(answer["clients"], 1);
        let (_, sequence) = answer["id"].as_str().unwrap().split_once('-').unwrap();
        let sequence: u64 = sequence.parse().unwrap();
        assert!(sequence > last);
        last = sequence;
    }
}

#[test]
fn a_request_with_a_key_publishes_once_however_often_it_is_sent() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let ask = |key: &str| {
        curl(
            &server,
            &["-H", &format!("Idempotency-Key: {key}"), "-d", "1"],
        )
    };
    let first = ask("a");
    assert_eq!(first, ask("a"));
    assert_ne!(first, ask("b"));
    server.push("\"end\"");
    let heard = [client.text(), client.text(), client.text()];
    assert_eq!(heard, ["1", "1", "\"end\""]);
}

#[test]
fn pages_and_names_that_may_be_pointed_here_are_refused() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Host: evil.example",
    ] {
        let (status, _) = curl(&server, &["-H", header, "-d", "1"]);
        assert_eq!(status, 403, "{header}");
    }
    let own = format!("Origin: http://{}", server.publishers);
    assert_eq!(curl(&server, &["-H", &own, "-d", "2"]).0, 200);
    assert_eq!(client.text(), "2");
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let server = Server::start(&[]);
    for (headers, status) in [
        ("Content-Length: 1\r\nContent-Length: 2\r\n", "400 "),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "400 ",
        ),
        ("Content-Length: +1\r\n", "400 "),
        ("Content-Length:\r\n", "400 "),
        ("Content-Length: 99999999\r\n", "413 "),
        ("Transfer-Encoding: gzip\r\n", "501 "),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n1");
        let answer = lines(&server, request.as_bytes());
        assert!(
            answer[0].starts_with(&format!("HTTP/1.1 {status}")),
            "{headers}: {answer:?}"
        );
    }
}

#[test]
fn a_chunk_has_a_size_on_a_line_that_ends_soon() {
    let server = Server::start(&[]);
    let line = "x".repeat(300);
    for body in [
        "\r\n\r\n",
        ";x\r\n\r\n",
        " \r\n\r\n",
        "x\r\n\r\n",
        &format!("1;{line}\r\n1\r\n0\r\n\r\n"),
    ] {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = lines(&server, format!("{head}{body}").as_bytes());
        assert!(answer[0].starts_with("HTTP/1.1 400 "), "{answer:?}");
    }
}

#[test]
fn a_heads_last_bytes_may_come_with_the_body() {
    let server = Server::start(&[]);
    let first = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let filling = "x".repeat(600);
    let head =
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nX: {filling}\r\nContent-Length: 1\r\n\r\n");
    for cut in head.len() - 4..head.len() {
        let (begun, rest) = head.split_at(cut);
        let mut connection = Connection::to(server.publishers);
        connection
            .write_all(format!("{first}{begun}").as_bytes())
            .unwrap();
        // Answered, so that what came with it is read.
        let mut answer = BufReader::new(connection);
        assert_eq!(status(&mut answer), 404);
        let rest = format!("{rest}1");
        answer.get_mut().write_all(rest.as_bytes()).unwrap();
        assert_eq!(status(&mut answer), 200, "{cut}");
    }
}

/// The status of the next answer, which is read to its end.
fn status(answers: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    let status = line[9..12].parse().unwrap();
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        answers.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    answers.read_exact(&mut vec![0; length]).unwrap();
    status
}

#[test]
fn requests_that_came_together_are_answered_in_order() {
    let server = Server::start(&[]);
    let one = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
    let none = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = lines(&server, format!("{one}{one}{none}").as_bytes());
    let statuses: Vec<_> = answers
        .iter()
        .filter(|line| line.starts_with("HTTP/1.1 "))
        .collect();
    assert_eq!(
        statuses,
        [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 404 Not Found"
        ]
    );
}

#[test]
fn a_thousand_idle_and_a_thousand_slow_connections_keep_nobody_from_publishing() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let _waiting: Vec<_> = (0..2000)
        .map(|number| {
            let mut stream = TcpStream::connect(server.publishers).unwrap();
            if number % 2 == 0 {
                // One that was sent away already is no failure of this test.
                let _ = stream.write_all(b"{\"a\":");
            }
            stream
        })
        .collect();
    assert_eq!(curl(&server, &["-d", "1"]).0, 200);
    assert_eq!(client.text(), "1");
    assert_eq!(objects(&lines(&server, b"2\n"))[0]["clients"], 1);
}

#[test]
fn a_large_document_reaches_all_though_one_of_them_is_stuck() {
    let server = Server::start(&["--heartbeat", "3600"]);
    let _stuck = Listener::connect_narrow(server.clients);
    let mut clients: Vec<_> = (0..99).map(|_| Listener::connect(server.clients)).collect();
    let document = format!("\"{}\"", "x".repeat(60_000));
    // More than the kernel holds for the one that does not read.
    for _ in 0..10 {
        let answers = objects(&lines(&server, document.as_bytes()));
        assert_eq!(answers[0]["clients"], 100);
        for client in &mut clients {
            client.expect(&frames([&document]));
        }
    }
}

#[test]
fn a_stop_answers_whoever_waits_and_takes_nothing_more() {
    let mut server = Server::start(&[]);
    let mut stream = TcpStream::connect(server.publishers).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"1\n").unwrap();
    let mut reply = [0; 200];
    assert!(stream.read(&mut reply).unwrap() > 0);
    // An idle connection does not hold the stop up.
    server.stop();
    assert_eq!(stream.read(&mut reply).unwrap(), 0);
    assert!(TcpStream::connect(server.publishers).is_err());
}
