//! Signed registrations: who may listen, to what, and until when.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::tokens::{HEADER, SECRET, end, secret_file, signed, token};
use crate::common::{
    AtEnd, Client, Curl, Deadline, Directory, Ending, Listener, PATIENCE, Server, conversation,
    udpush,
};

/// Another secret than the server's.
pub const OTHER: &str = "another secret, as long as it must be";

/// A server that wants tokens, and tells all it can; its signs of life do not come between.
pub fn start(flags: &[&str]) -> Server {
    start_with(SECRET, flags)
}

pub fn start_with(secrets: &str, flags: &[&str]) -> Server {
    let directory = Directory::new();
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.args(["--heartbeat", "3600", "--log-level", "debug"]);
    command.arg("--secret-file");
    command.arg(secret_file(&directory, secrets));
    command.args(flags).stdout(Stdio::null());
    Server::start_in(directory, command, "udpush.log")
}

/// The answer to a WebSocket handshake, or to a request for events, when it is no session.
pub fn refusal(server: &Server, target: &str) -> String {
    let mut request = format!("GET {target} HTTP/1.1\r\n");
    if target.starts_with("/events") {
        request += "Host: x\r\nAccept: text/event-stream\r\n\r\n";
    } else {
        let handshake = std::str::from_utf8(Listener::HANDSHAKE).unwrap();
        request += handshake.split_once("\r\n").unwrap().1;
    }
    conversation(server.clients, request)
}

pub fn status(server: &Server) -> String {
    let url = format!("http://{}/status", server.publishers);
    let output = Ending::start(Command::new("curl").args(["-s", &url])).output();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether `hello` came, and what it says is registered.
pub fn registered(client: &mut Client) -> Value {
    let hello = client.json();
    assert_eq!(hello["type"], "hello", "{hello}");
    hello["registration"].clone()
}

#[test]
fn a_good_token_lets_in_wherever_it_stands() {
    let mut server = start(&[]);
    let token = token(json!({"user": "u7"}), 60);
    let mut v1 = server.connect_v1(&format!("/?token={token}"));
    let hello = v1.json();
    assert_eq!(hello["registration"], json!({"user": "u7"}));
    assert!(
        (50..=60).contains(&hello["expires"].as_u64().unwrap()),
        "{hello}"
    );
    let mut plain = Client::connect(server.clients, &format!("/ws?token[]=%0a{token}%0A"));
    let bearer = format!("Authorization: bearer {token}");
    let events = format!("http://{}/events", server.clients);
    let mut events = Curl::start(&["-H", &bearer, &events]);
    assert!(events.event()[2].contains(r#""registration":{"user":"u7"}"#));
    // No typ is needed, other claims may be there, and the end may be far away.
    let claims = json!({"reg": {"user": "u7"}, "exp": u64::MAX, "nbf": 1, "aud": "x", "iss": "y"});
    let other = signed(r#"{"alg":"HS256"}"#, &claims.to_string(), SECRET);
    let mut other = server.connect_v1(&format!("/?token={other}"));
    assert_eq!(registered(&mut other), json!({"user": "u7"}));
    for document in [r#"{"user":"u8"}"#, r#"{"user":"u7"}"#] {
        server.push(document);
    }
    assert_eq!(plain.text(), r#"{"user":"u7"}"#);
    assert_eq!(v1.json()["data"], json!({"user": "u7"}));
    assert_eq!(other.json()["data"], json!({"user": "u7"}));
    assert_eq!(events.event()[1], r#"data: {"user":"u7"}"#);
    // Files are for everybody.
    assert!(
        conversation(server.clients, "GET /push.js HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 ")
    );
    assert!(!server.stop().contains(&token));
}

#[test]
fn what_a_client_asks_for_only_narrows_what_its_token_lets_it_hear() {
    let granted = json!({"department": ["sales", "support"], "user": "u7"});
    // What is asked for, what is registered then.
    let all = json!({"department": ["sales", "support"], "user": "u7"});
    let open = [
        (json!({}), all.clone()),
        (
            json!({"department": "sales"}),
            json!({"department": "sales", "user": "u7"}),
        ),
        (
            json!({"department": ["sales", "board"], "user": ["u7", "u8"]}),
            json!({"department": "sales", "user": "u7"}),
        ),
        (
            json!({"user": "u8"}),
            json!({"department": ["sales", "support"], "user": []}),
        ),
        (
            json!({"room": "1"}),
            json!({"department": ["sales", "support"], "user": "u7", "room": "1"}),
        ),
    ];
    let closed = [
        (json!({}), all),
        (
            json!({"user": "u8"}),
            json!({"department": ["sales", "support"], "user": []}),
        ),
        // Where nothing is granted in a field, there is nothing of it to be had.
        (
            json!({"room": "1"}),
            json!({"department": ["sales", "support"], "user": "u7", "room": []}),
        ),
        (
            json!({"other": "1"}),
            json!({"department": ["sales", "support"], "user": "u7"}),
        ),
    ];
    let routes = ["--route", "department,user,room"];
    let tables = [(&[][..], &open[..], true), (&routes, &closed, false)];
    for (flags, table, hears_of_other_rooms) in tables {
        let server = start(flags);
        let token = token(granted.clone(), 60);
        let mut by_frame = server.connect_v1(&format!("/?token={token}"));
        registered(&mut by_frame);
        for (asked, expected) in table {
            let mut query = String::new();
            for (field, values) in asked.as_object().unwrap() {
                let one = std::slice::from_ref(values);
                for value in values.as_array().map_or(one, Vec::as_slice) {
                    query += &format!("&{field}={}", value.as_str().unwrap());
                }
            }
            let mut by_url = server.connect_v1(&format!("/?token={token}{query}"));
            assert_eq!(registered(&mut by_url), *expected, "{flags:?} {asked}");
            by_frame.say(&json!({"type": "register", "registration": asked}).to_string());
            assert_eq!(registered(&mut by_frame), *expected, "{flags:?} {asked}");
        }
        by_frame.say(r#"{"type":"register","registration":{"room":"1"}}"#);
        registered(&mut by_frame);
        for document in [
            r#"{"department":"board"}"#,
            r#"{"user":"u8","room":1}"#,
            r#"{"room":1}"#,
            r#"{"department":"sales","user":"u7"}"#,
            r#"{"notice":1}"#,
        ] {
            server.push(document);
        }
        if hears_of_other_rooms {
            assert_eq!(by_frame.json()["data"], json!({"room": 1}));
        }
        assert_eq!(
            by_frame.json()["data"],
            json!({"department": "sales", "user": "u7"})
        );
        assert_eq!(by_frame.json()["data"], json!({"notice": 1}));
    }
}

#[test]
fn a_bare_frame_is_a_registration_if_it_has_the_fields_of_the_url_whatever_the_token_has() {
    let server = start(&[]);
    let token = token(json!({"department": "sales"}), 60);
    let mut client = server.connect_v1(&format!("/?token={token}&user=u7"));
    registered(&mut client);
    client.say(r#"{"mood":"fine"}"#);
    client.say(r#"{"user":"u8"}"#);
    assert_eq!(
        registered(&mut client),
        json!({"department": "sales", "user": "u8"})
    );
    // What is too much together is refused, and nothing changes.
    let fields: Vec<_> = (0..16).map(|field| format!(r#""f{field}":1"#)).collect();
    let much = format!(
        r#"{{"type":"register","registration":{{{}}}}}"#,
        fields.join(",")
    );
    client.say(&much);
    let sentence = "a registration of 17 fields, at most 16 are allowed";
    assert_eq!(client.json(), json!({"type": "error", "error": sentence}));
    server.push(r#"{"user":"u8"}"#);
    assert_eq!(client.json()["data"], json!({"user": "u8"}));
}

#[test]
fn at_its_tokens_end_a_client_is_closed() {
    let mut server = start(&[]);
    let token = token(json!({}), 2);
    let target = format!("?token={token}");
    let mut v1 = server.connect_v1(&format!("/{target}"));
    let mut plain = Client::connect(server.clients, &format!("/{target}"));
    let mut events = Curl::start(&[&format!("http://{}/events{target}", server.clients)]);
    assert_eq!(events.event()[0], "event: hello");
    assert_eq!(v1.close_code(), 4401);
    assert_eq!(plain.close_code(), 4401);
    assert_eq!(events.event(), [": 4401 its time is over"]);
    assert_eq!(events.line(), None);
    server.wait_for_line("closed: its time is over (0 online)");
    assert!(refusal(&server, &format!("/{target}")).contains("The token has expired."));
}

#[test]
fn a_new_token_takes_the_place_of_the_old_one_without_a_gap() {
    let server = start(&[]);
    let first = token(json!({"room": [1, 2]}), 3);
    let first_end = Instant::now() + Duration::from_secs(3);
    let mut client = server.connect_v1(&format!("/?token={first}&room=1&room=3"));
    assert_eq!(registered(&mut client), json!({"room": "1"}));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = AtEnd(|| stop.store(true, Ordering::Relaxed));
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for room in [1, 2, 3] {
                    server.push(json!({"n": number, "room": room}).to_string());
                }
                number += 1;
                thread::sleep(Duration::from_millis(2));
            }
        });
        let (mut expected, mut renewed) = (None, false);
        let deadline = Deadline::new();
        while Instant::now() < first_end + Duration::from_millis(300) {
            deadline.check("the first token's end");
            let frame = client.json();
            if frame["type"] == "hello" {
                // By the new token, and what was asked for before.
                assert_eq!(frame["registration"], json!({"room": ["1", "3"]}));
                assert!(frame["expires"].as_u64().unwrap() > 50, "{frame}");
                renewed = true;
                continue;
            }
            let (number, room) = (&frame["data"]["n"], &frame["data"]["room"]);
            // From the hello on it hears of another room, too.
            assert!(*room == 1 || renewed && *room == 3, "{frame}");
            if *room == 1 {
                let number = number.as_u64().unwrap();
                assert_eq!(number, expected.unwrap_or(number));
                expected = Some(number + 1);
                if number % 10 == 0 && !renewed {
                    let next = token(json!({"room": [1, 3, 4]}), 60);
                    client.say(&json!({"type": "token", "token": next}).to_string());
                }
            }
        }
        assert!(renewed);
    });
}

#[test]
fn a_bad_token_on_the_way_is_told_and_changes_nothing() {
    let mut server = start(&[]);
    let good = token(json!({"user": "u7"}), 2);
    let mut client = server.connect_v1(&format!("/?token={good}"));
    registered(&mut client);
    let mut plain = Client::connect(server.clients, &format!("/?token={good}"));
    let forged = signed(
        HEADER,
        &json!({"reg": {}, "exp": end(60)}).to_string(),
        OTHER,
    );
    let late = token(json!({}), -1);
    let table = [
        (
            json!(forged),
            "the token's signature is wrong: it was made with another secret",
        ),
        (json!(late), "the token has expired"),
        (json!("x"), "the token is no JWT that is signed with HS256"),
        (json!(null), "the token is no JWT that is signed with HS256"),
        (
            json!({"a": forged}),
            "the token is no JWT that is signed with HS256",
        ),
    ];
    for (token, sentence) in &table {
        let frame = json!({"type": "token", "token": token}).to_string();
        client.say(&frame);
        assert_eq!(client.json(), json!({"type": "error", "error": sentence}));
        plain.say(&frame);
    }
    for document in [r#"{"user":"u8"}"#, r#"{"user":"u7"}"#] {
        server.push(document);
    }
    assert_eq!(client.json()["data"], json!({"user": "u7"}));
    assert_eq!(plain.text(), r#"{"user":"u7"}"#);
    // The end is the old one's.
    assert_eq!(client.close_code(), 4401);
    let log = server.stop();
    for (_, sentence) in table {
        let line = format!("client 1: token refused: {sentence}");
        assert!(log.contains(&line), "{line}");
    }
    for token in [good, forged, late] {
        assert!(!log.contains(&token));
    }
}

#[test]
fn tokens_count_as_registrations() {
    let mut server = start(&[]);
    let token = token(json!({}), 60);
    let mut client = server.connect_v1(&format!("/?token={token}"));
    let frame = json!({"type": "token", "token": token}).to_string();
    for _ in 0..21 {
        client.say(&frame);
    }
    assert_eq!(client.close_code(), 1008);
    server.wait_for_line("closed: more than 20 registrations in a second");
}

#[test]
fn a_page_with_tokens_goes_on_where_none_are_asked_for() {
    let mut server = Server::start(&["--heartbeat", "3600", "--log-level", "debug"]);
    let url = format!("http://{}/activity", server.publishers);
    let mut activity = Curl::start(&["-i", &url]);
    assert_eq!(activity.event()[0], "HTTP/1.1 200 OK");
    let token = token(json!({"user": "u7"}), 60);
    let mut client = server.connect_v1(&format!("/?token={token}&user=u8"));
    let hello = client.json();
    assert_eq!(hello["registration"], json!({"user": "u8"}));
    assert_eq!(hello["expires"], Value::Null);
    client.say(&json!({"type": "token", "token": token}).to_string());
    client.say(r#"{"user":"u9"}"#);
    assert_eq!(registered(&mut client), json!({"user": "u9"}));
    let mut events = Vec::new();
    while !events
        .last()
        .is_some_and(|line: &String| line.contains("u9"))
    {
        let line = activity.line().expect("an event");
        // Whoever listens is told at once that there is nothing yet.
        if line.contains("\"event\"") {
            events.push(line);
        }
    }
    let kinds = events.iter().map(|line| line.split('"').nth(3).unwrap());
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, ["connected", "registered", "registered"]);
    let log = server.stop();
    assert!(log.contains("ignored frame from client 1: a token, and none is asked for"));
    assert!(!log.contains(&token) && !events.concat().contains(&token));
}

#[test]
fn neither_a_secret_nor_a_token_shows_anywhere() {
    let site = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = format!("http://{}/", site.local_addr().unwrap());
    let mut server = start(&["--webhook", &webhook]);
    let token = token(json!({"user": "u7"}), 60);
    let mut client = server.connect_v1(&format!("/?token={token}&room=1"));
    registered(&mut client);
    client.say(&json!({"type": "token", "token": token}).to_string());
    registered(&mut client);
    let mut told = String::new();
    let mut ask = |url: String| {
        let output = Ending::start(Command::new("curl").args(["-s", &url])).output();
        told += std::str::from_utf8(&output.stdout).unwrap();
    };
    for path in ["/status", "/metrics", "/clients", "/clients/1", "/history"] {
        ask(format!("http://{}{path}", server.publishers));
    }
    assert!(told.contains(r#""user":"u7""#), "{told}");
    // What the webhook is sent.
    let mut request = String::new();
    let deadline = Deadline::new();
    while !request.contains(r#""registered""#) {
        deadline.check("what the webhook is sent");
        let (mut posted, _) = site.accept().unwrap();
        posted.set_read_timeout(Some(PATIENCE)).unwrap();
        // Its head may come before its lines.
        let mut post = String::new();
        while !post.ends_with("}\n") {
            let mut buffer = [0; 4096];
            let count = std::io::Read::read(&mut posted, &mut buffer).unwrap();
            assert_ne!(count, 0, "{post}");
            post += std::str::from_utf8(&buffer[..count]).unwrap();
        }
        request += &post;
        // With anything else the same lines would come again, and no others.
        let answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        posted.write_all(answer.as_bytes()).unwrap();
    }
    told += &request;
    told += &fs::read_to_string(format!("/proc/{}/cmdline", server.pid())).unwrap();
    told += &server.stop();
    for secret in [SECRET, &token, token.rsplit('.').next().unwrap()] {
        assert!(!told.contains(secret), "{told}");
    }
}
