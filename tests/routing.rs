//! A message goes to every client that it does not contradict.

use std::process::Command;

use crate::common::{Client, Server};

/// Pushes what a shell would, through nc.
fn push_with_nc(server: &Server, document: &str) {
    let command = r#"printf '%s\n' "$1" | nc.openbsd -u -w1 "$2" "$3""#;
    let address = server.publishers;
    let status = Command::new("sh")
        .args(["-c", command, "sh", document])
        .args([address.ip().to_string(), address.port().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The documents that each client hears, up to the one that all hear.
fn heard(client: &mut Client) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let text = client.text();
        if text.contains("the end") {
            return heard;
        }
        heard.push(text);
    }
}

#[test]
fn the_recipes_example_reaches_class_school_and_everyone() {
    let mut server = Server::start(&[]);
    let mut by_frame = server.connect();
    by_frame.say(r#"{"school_class_id":"1","school_id":"2"}"#);
    server.wait_for_line(r#"client 1 registered {"school_class_id":"1","school_id":"2"}"#);
    let mut by_url = Client::connect(server.clients, "/?school_id=2&school_class_id=1");
    let mut other_class = Client::connect(server.clients, "/page?school_id=2&school_class_id=9");
    let mut other_school = Client::connect(server.clients, "/?school_id=3");
    let mut anybody = server.connect();
    let class = r#"{"school_id":"2","school_class_id":1,"to":"class"}"#;
    let school = r#"{"school_id":2,"to":"school"}"#;
    let other = r#"{"school_id":"3","to":"other school"}"#;
    let everyone = r#"{"notice":"to everyone"}"#;
    for document in [class, school, other, everyone, r#""the end""#] {
        push_with_nc(&server, document);
    }
    assert_eq!(heard(&mut by_frame), [class, school, everyone]);
    assert_eq!(heard(&mut by_url), [class, school, everyone]);
    assert_eq!(heard(&mut other_class), [school, everyone]);
    assert_eq!(heard(&mut other_school), [other, everyone]);
    assert_eq!(heard(&mut anybody), [class, school, other, everyone]);
    server.wait_for_line(", for 3 clients");
}

#[test]
fn with_route_a_message_reaches_only_those_who_registered_it() {
    let server = Server::start(&["--route", "school_id,user_id"]);
    let mut two = Client::connect(server.clients, "/?school_id=2&color=red");
    let mut anybody = server.connect();
    let school = r#"{"school_id":2,"color":"blue"}"#;
    let notice = r#"{"schoolid":7}"#;
    for document in [
        school,
        r#"{"school_id":null}"#,
        r#"{"user_id":{}}"#,
        r#"{"school_id":2,"user_id":1}"#,
        r#"{"user_id":2}"#,
        notice,
        r#""the end""#,
    ] {
        server.push(document);
    }
    assert_eq!(heard(&mut two), [school, notice]);
    assert_eq!(heard(&mut anybody), [notice]);
}

#[test]
fn the_newest_registration_replaces_the_one_before() {
    let server = Server::start(&[]);
    let mut client = server.connect_v1("/?a=1");
    assert_eq!(client.json()["registration"]["a"], "1");
    for (registration, printed) in [
        (r#"{"a":[2,"3",2],"b":null}"#, r#"{"a":["2","3"],"b":[]}"#),
        ("{}", "{}"),
        (
            r#"{"type":"register","registration":{"b":true}}"#,
            r#"{"b":"true"}"#,
        ),
    ] {
        client.say(registration);
        let hello = client.json();
        assert_eq!(hello["type"], "hello");
        assert_eq!(hello["registration"].to_string(), printed);
    }
    server.push(r#"{"b":false}"#);
    server.push(r#"{"b":"true"}"#);
    assert_eq!(client.json()["data"]["b"], "true");
}

#[test]
fn a_refused_registration_is_told_and_the_former_one_stays() {
    let mut server = Server::start(&[]);
    let mut client = server.connect_v1("/?a=1");
    client.json();
    client.say(r#"{"a":{"b":1}}"#);
    let error = client.json();
    assert_eq!(error["type"], "error");
    let why = r#""a" is neither a scalar nor an array of scalars"#;
    assert_eq!(error["error"], why);
    server.wait_for_line(&format!("client 1: registration refused: {why}"));
    server.push(r#"{"a":2}"#);
    server.push(r#"{"a":1}"#);
    assert_eq!(client.json()["data"]["a"], 1);
}

#[test]
fn a_registration_has_64_values_in_all_in_a_frame_and_in_a_url() {
    let server = Server::start(&[]);
    let list = |first: u32, end: u32| (first..end).map(|value| value.to_string());
    let frame = |first, end| {
        let values: Vec<_> = list(first, end).collect();
        let (a, b) = values.split_at(32);
        format!(r#"{{"a":[{}],"b":[{}]}}"#, a.join(","), b.join(","))
    };
    let mut client = server.connect_v1("/");
    client.json();
    client.say(&frame(100, 164));
    assert_eq!(client.json()["registration"]["b"][31], "163");
    client.say(&frame(200, 265));
    let why = "a registration of 65 values, at most 64 are allowed";
    assert_eq!(client.json()["error"], why);
    server.push(r#"{"a":200}"#);
    server.push(r#"{"b":163}"#);
    assert_eq!(client.json()["data"]["b"], 163);

    let query = |end: u32| {
        let values = (0..end).map(|value| format!("{}={value}", value % 7));
        values.collect::<Vec<_>>().join("&")
    };
    let mut client = server.connect_v1(&format!("/?{}", query(64)));
    assert_eq!(client.json()["type"], "hello");
    let mut client = server.connect_v1(&format!("/?{}", query(65)));
    assert_eq!(client.json()["error"], format!("the URL's query: {why}"));
    assert_eq!(client.close_code(), 1008);
}

#[test]
fn frames_that_say_nothing_are_ignored() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut client = server.connect();
    for frame in ["hello\n", "[1]", "7", ""] {
        client.say(frame);
    }
    client.say(r#"{"a":1}"#);
    server.wait_for_line("client 1 registered");
    server.wait_for_line(r"ignored frame from client 1: hello\n");
    server.push(r#"{"a":1}"#);
    assert_eq!(client.text(), r#"{"a":1}"#);
}

#[test]
fn a_clients_own_heartbeat_changes_nothing_of_what_it_hears() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut client = Client::connect(server.clients, "/?school_id=2");
    let mut by_frame = server.connect();
    by_frame.say(r#"{"school_class_id":"1","school_id":"2"}"#);
    server.wait_for_line("client 2 registered");
    for frame in [r#"{"type":"ping"}"#, r#"{"mood":"fine"}"#] {
        client.say(frame);
        by_frame.say(r#"{"event":"keep-alive","at":1}"#);
        let said = frame.replace('"', r#"\""#);
        server.wait_for_line(&format!("ignored frame from client 1: {said}"));
    }
    server.wait_for_line(r#"ignored frame from client 2: {\"event"#);
    let (mine, foreign) = (r#"{"school_id":2,"type":"news"}"#, r#"{"school_id":3}"#);
    for document in [foreign, mine, r#""the end""#] {
        server.push(document);
    }
    assert_eq!(heard(&mut client), [mine]);
    assert_eq!(heard(&mut by_frame), [mine]);
    // What is asked for is done.
    client.say(r#"{"type":"register","registration":{"mood":"fine"}}"#);
    server.wait_for_line(r#"client 1 registered {"mood":"fine"}"#);
    for document in [foreign, r#""the end""#] {
        server.push(document);
    }
    assert_eq!(heard(&mut client), [foreign]);
}

#[test]
fn who_registers_a_field_without_a_value_hears_nothing_of_it() {
    for flags in [&[][..], &["--route", "school_id"]] {
        let mut server = Server::start(flags);
        let targets = [
            "/?school_id=",
            "/?school_id",
            "/?school_id[]",
            "/?school_id[]=",
        ];
        let mut clients: Vec<_> = targets
            .iter()
            .map(|target| Client::connect(server.clients, target))
            .collect();
        for (client, frame) in (5..).zip([r#"{"school_id":[]}"#, r#"{"school_id":null}"#]) {
            clients.push(server.connect());
            clients.last_mut().unwrap().say(frame);
            server.wait_for_line(&format!(r#"client {client} registered {{"school_id":[]}}"#));
        }
        let notice = r#"{"notice":1}"#;
        for document in [r#"{"school_id":2}"#, notice, r#""the end""#] {
            server.push(document);
        }
        for client in &mut clients {
            assert_eq!(heard(client), [notice]);
        }
    }
}

#[test]
fn a_percent_sign_in_a_url_may_stand_for_itself() {
    let server = Server::start(&[]);
    let mut client = server.connect_v1("/?a=100%&b=%zz");
    let registration = &client.json()["registration"];
    assert_eq!(registration.to_string(), r#"{"a":"100%","b":"%zz"}"#);
}

#[test]
fn who_registers_more_than_20_times_a_second_is_closed() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    for number in 0..40 {
        client.say(&format!(r#"{{"a":{number}}}"#));
    }
    assert_eq!(client.close_code(), 1008);
    server.wait_for_line("client 1 closed: more than 20 registrations in a second");
}

#[test]
fn a_page_can_read_why_its_url_was_refused() {
    let server = Server::start(&[]);
    let mut client = server.connect_v1("/?a[b]=1");
    let error = client.json();
    assert_eq!(error["type"], "error");
    let why = r#"the URL's query: "a" is neither a scalar nor an array of scalars"#;
    assert_eq!(error["error"], why);
    assert_eq!(client.close_code(), 1008);
}

#[test]
fn a_url_that_cannot_be_read_is_refused_in_http() {
    let server = Server::start(&[]);
    for (target, why) in [("/?a=%ff", "not UTF-8"), ("/?a[b]=1", "neither a scalar")] {
        let stream = std::net::TcpStream::connect(server.clients).unwrap();
        let url = format!("ws://{}{target}", server.clients);
        let error = tungstenite::client(url, stream).unwrap_err();
        let tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response)) = error else {
            panic!("not an HTTP answer: {error}");
        };
        assert_eq!(response.status(), 400);
        let body = String::from_utf8(response.into_body().unwrap_or_default()).unwrap();
        assert!(body.contains(why), "{body}");
    }
}
