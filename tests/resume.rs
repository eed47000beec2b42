//! Ids, history and resume: a client that comes back has everything that it missed, once and in
//! order, or is told that it has not.

use serde_json::Value;
use tungstenite::Message;

use crate::common::{Client, Deadline, Server};

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
