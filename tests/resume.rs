//! Ids, history and resume: a client that comes back has everything that it missed, once and in
//! order, or is told that it has not.

use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use serde_json::Value;
use tungstenite::Message;

use crate::common::{Client, Connection, Deadline, Server};

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Connects with `since` and returns whether it was resumed.
fn resume(server: &Server, since: &str) -> (Client, Value) {
    let mut client = server.connect_v1(&format!("/?since={since}"));
    let hello = client.json();
    assert_eq!(hello["type"], "hello");
    (client, hello)
}

#[test]
fn a_v1_client_hears_hello_and_then_messages_with_ids() {
    let server = Server::start(&[]);
    let mut client = server.connect_v1("/?school_id=2");
    let hello = client.json();
    assert_eq!(hello["client"], 1);
    assert_eq!(hello["heartbeat"], 25);
    assert_eq!(hello["registration"]["school_id"], "2");
    assert_eq!(hello.get("resumed"), None);
    let (epoch, sequence) = hello["id"].as_str().unwrap().split_once('-').unwrap();
    assert_eq!(sequence, "0");
    server.push(r#"{"school_id":3}"#);
    server.push(r#"{"a" : "\u00e9", "n":1.0}"#);
    let expected =
        format!(r#"{{"type":"message","id":"{epoch}-2","data":{{"a" : "\u00e9", "n":1.0}}}}"#);
    assert_eq!(client.text(), expected);
}

#[test]
fn what_was_missed_comes_first_then_what_is_live() {
    let server = Server::start(&[]);
    let mut witness = server.connect();
    let mut client = server.connect_v1("/?class=1");
    let start = text_of(&client.json()["id"]);
    drop(client);
    for number in 0..3_000 {
        server.push(format!(r#"{{"class":{},"number":{number}}}"#, number % 2));
        witness.text();
    }
    let mut client = server.connect_v1(&format!("/?class=1&since={start}"));
    let hello = client.json();
    assert_eq!(
        (&hello["resumed"], &hello["id"]),
        (&true.into(), &start.into())
    );
    server.push(r#"{"class":1,"number":"live"}"#);
    for number in (1..3_000).step_by(2) {
        assert_eq!(client.json()["data"]["number"], number);
    }
    let last = client.json();
    assert_eq!(last["data"]["number"], "live");
    // Nothing was missed: that is resumed, too.
    let (_, hello) = resume(&server, last["id"].as_str().unwrap());
    assert_eq!(hello["resumed"], true);
}

#[test]
fn whatever_cannot_be_resumed_is_said_and_the_stream_goes_on_live() {
    let server = Server::start(&["--history", "2"]);
    let mut client = server.connect_v1("/");
    let start = text_of(&client.json()["id"]);
    let epoch = start.split_once('-').unwrap().0;
    for number in 1..=3 {
        server.push(number.to_string());
        client.json();
    }
    let too_old = start.clone();
    let future = format!("{epoch}-4");
    let huge = format!("{epoch}-99999999999999999999999");
    for since in [
        &too_old,
        &future,
        &huge,
        "aaaaaaaa-1",
        "0",
        "",
        "%00%ff",
        "x y",
    ] {
        let since = since.replace(' ', "+");
        let (mut client, hello) = resume(&server, &since);
        assert_eq!(hello["resumed"], false, "{since}");
        assert_eq!(hello["id"], format!("{epoch}-3"), "{since}");
        drop(server.connect());
        client.say(r#"{"still":"there"}"#);
        assert_eq!(client.json()["registration"]["still"], "there");
    }
    let (mut client, hello) = resume(&server, &format!("{epoch}-1"));
    assert_eq!(hello["resumed"], true);
    assert_eq!(client.json()["data"], 2);
    assert_eq!(client.json()["data"], 3);
}

#[test]
fn heartbeats_carry_the_newest_id_to_whom_nothing_was_addressed() {
    let server = Server::start(&["--heartbeat", "1", "--history", "5"]);
    let mut witness = server.connect();
    let mut client = server.connect_v1("/?class=1");
    client.json();
    for number in 1..=20 {
        server.push(format!(r#"{{"class":2,"number":{number}}}"#));
        witness.text();
    }
    let deadline = Deadline::new();
    let newest = loop {
        deadline.check("a heartbeat with the newest id");
        let heartbeat = client.json();
        assert_eq!(heartbeat["type"], "heartbeat");
        let id = text_of(&heartbeat["id"]);
        if id.ends_with("-20") {
            break id;
        }
    };
    let (_, hello) = resume(&server, &newest);
    assert_eq!(hello["resumed"], true);
}

#[test]
fn plain_clients_hear_nothing_but_documents() {
    let server = Server::start(&["--heartbeat", "1"]);
    // `since` means nothing to them.
    let mut client = Client::connect(server.clients, "/?since=0");
    let mut v1 = server.connect_v1("/");
    v1.json();
    // A heartbeat has passed for both.
    assert_eq!(v1.json()["type"], "heartbeat");
    assert_eq!(v1.json()["type"], "heartbeat");
    client.say(r#"{"a":1}"#);
    client.say(r#"{"a":{}}"#);
    server.push("1");
    assert_eq!(client.text(), "1");
}

/// A document of 60 KB: a few of them are more than the kernel takes for a client that reads none.
fn large(number: usize) -> String {
    format!(r#"{{"number":{number},"filler":"{}"}}"#, "x".repeat(60_000))
}

/// Pushes large documents, each when the one before was heard.
fn push_large(server: &Server, witness: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        server.push(large(number));
        assert_eq!(witness.text(), large(number));
    }
}

/// A client that resumes, is to be told 60 large documents, and has read nothing of them.
fn resume_without_reading(server: &Server, witness: &mut Client) -> Client {
    let start = text_of(&server.connect_v1("/").json()["id"]);
    push_large(server, witness, 0..60);
    let target = format!("/?since={start}");
    let mut client = Client::connect_v1_narrow(server.clients, &target);
    assert_eq!(client.json()["resumed"], true);
    client
}

/// Reads the documents from the first one on, without a gap, until the close frame: how many there
/// were, and its code.
fn read_to_the_close(client: &mut Client) -> (usize, u16) {
    let mut read = 0;
    loop {
        match client.0.read().expect("a frame") {
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(message["data"]["number"], read);
                read += 1;
            }
            Message::Close(frame) => return (read, frame.expect("a code").code.into()),
            other => panic!("neither text nor close: {other:?}"),
        }
    }
}

#[test]
fn a_client_whom_the_history_overtakes_while_it_is_told_what_it_missed_is_closed() {
    let mut server = Server::start(&["--heartbeat", "3600", "--history", "100"]);
    let mut witness = server.connect();
    let mut client = resume_without_reading(&server, &mut witness);
    // None of what it is to be told next is held after that.
    push_large(&server, &mut witness, 60..160);
    let (read, code) = read_to_the_close(&mut client);
    assert_eq!(code, 1013);
    assert!(read < 60, "{read}");
    server.wait_for_line("closed: too slow: the history went on without it (1 online)");
}

#[test]
fn a_client_that_is_told_what_it_missed_hears_of_a_stop() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let mut witness = server.connect();
    let mut client = resume_without_reading(&server, &mut witness);
    drop(witness);
    server.signal("TERM");
    server.wait_for_line("stopping");
    let (read, code) = read_to_the_close(&mut client);
    assert_eq!(code, 1001);
    assert!(read < 60, "{read}");
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(!log.contains("did not leave in time"), "{log}");
}

#[test]
fn the_log_tells_what_was_replayed_or_why_nothing_was() {
    let mut server = Server::start(&["--history", "20"]);
    let mut witness = server.connect();
    let start = text_of(&server.connect_v1("/").json()["id"]);
    let epoch = start.split_once('-').unwrap().0;
    server.push(r#"{"class":1} {"class":2} {"class":1} 1"#);
    for _ in 0..4 {
        witness.text();
    }
    let (_client, _) = resume(&server, &format!("{start}&class=1"));
    server.wait_for_line(&format!(
        "] client 3 resumed after {start}: 3 messages replayed"
    ));
    let (_client, _) = resume(&server, &format!("{epoch}-3"));
    server.wait_for_line(&format!(
        "] client 4 resumed after {epoch}-3: 1 message replayed"
    ));
    let (_client, _) = resume(&server, &format!("{epoch}-4"));
    server.wait_for_line(&format!(
        "] client 5 resumed after {epoch}-4: 0 messages replayed"
    ));

    server.push("1 ".repeat(100));
    for _ in 0..100 {
        witness.text();
    }
    let long = "x".repeat(100);
    for (since, told) in [
        (&*start, format!("{start}: not held any more")),
        (
            &format!("{epoch}-999"),
            format!("{epoch}-999: it is yet to come"),
        ),
        ("00000000-1", "00000000-1: another epoch".to_owned()),
        ("", ": not an id".to_owned()),
        (&long, format!("{}…: not an id", &long[..40])),
    ] {
        let (_client, hello) = resume(&server, since);
        let client = &hello["client"];
        server.wait_for_line(&format!("] client {client} could not resume after {told}"));
    }
}

#[test]
fn a_page_that_opens_begins_with_the_newest_that_are_for_it_in_every_mode() {
    let server = Server::start(&[]);
    let mut witness = server.connect();
    for number in 1..=50 {
        server.push(format!(r#"{{"class":{},"n":{number}}}"#, number % 2));
        witness.text();
    }
    let mut v1 = server.connect_v1("/?class=1&last=3");
    let hello = v1.json();
    assert_eq!(hello.get("resumed"), None);
    assert!(text_of(&hello["id"]).ends_with("-44"), "{hello}");
    let mut plain = Client::connect(server.clients, "/?last=3&class=1");
    server.push(r#"{"class":1,"n":"live"}"#);
    for number in ["45", "47", "49", r#""live""#] {
        let document = format!(r#"{{"class":1,"n":{number}}}"#);
        let message = v1.text();
        assert!(
            message.ends_with(&format!(r#""data":{document}}}"#)),
            "{message}"
        );
        assert_eq!(plain.text(), document);
    }
    // Fewer than asked for; and who knows an id goes on from there.
    let mut all = server.connect_v1("/?class=0&last=1000");
    all.json();
    for number in (2..=50).step_by(2) {
        assert_eq!(all.json()["data"]["n"], number);
    }
    let since = text_of(&hello["id"]);
    let mut resumed = server.connect_v1(&format!("/?last=1&since={since}"));
    assert_eq!(resumed.json()["resumed"], true);
    assert_eq!(resumed.json()["data"]["n"], 45);
    // What is no number is refused where the page can see it.
    let mut wrong = server.connect_v1("/?last=many");
    assert_eq!(
        wrong.json()["error"],
        "the URL's query: last= is a number from 0 to 1000"
    );
    assert_eq!(wrong.close_code(), 1008);
}

#[test]
fn a_page_that_opens_under_load_has_its_newest_and_then_all_without_a_gap() {
    let server = Server::start(&[]);
    let (stop, stopped) = mpsc::channel::<()>();
    let publishers = server.publishers;
    let pushing = thread::spawn(move || {
        // By TCP nothing is dropped on the way.
        let mut lines = BufReader::new(Connection::to(publishers));
        let mut number = 0;
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            number += 1;
            let document = format!("{{\"class\":{},\"n\":{number}}}\n", number % 3);
            lines.get_mut().write_all(document.as_bytes()).unwrap();
            lines.read_line(&mut String::new()).unwrap();
        }
    });
    let mut witness = server.connect_v1("/");
    for _ in 0..20 {
        witness.json();
    }
    for _ in 0..20 {
        let mut client = server.connect_v1("/?class=1&last=5");
        client.json();
        let mut next = None;
        for _ in 0..50 {
            let number = client.json()["data"]["n"].as_u64().unwrap();
            assert_eq!(next.unwrap_or(number), number);
            next = Some(number + 3);
        }
    }
    drop(stop);
    pushing.join().unwrap();
}

#[test]
fn whoever_asks_is_told_how_many_are_online_when_that_changes() {
    let server = Server::start(&[]);
    let mut watcher = server.connect_v1("/?online&class=1");
    let hello = watcher.json();
    assert_eq!(hello["online"], 1);
    assert_eq!(hello["registration"], serde_json::json!({"class":"1"}));
    let mut other = server.connect_v1("/");
    assert_eq!(other.json().get("online"), None);
    let crowd = server.connect_many(9);
    let until = |watcher: &mut Client, count: u64| {
        let deadline = Deadline::new();
        loop {
            deadline.check("the number online");
            let frame = watcher.json();
            assert_eq!(frame["type"], "online", "{frame}");
            if frame["clients"] == count {
                return;
            }
        }
    };
    until(&mut watcher, 11);
    drop(crowd);
    until(&mut watcher, 2);
    // Whoever did not ask is told nothing of it.
    server.push("1");
    assert_eq!(other.json()["type"], "message");
    assert_eq!(watcher.json()["type"], "message");
}
