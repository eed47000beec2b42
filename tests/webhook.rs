//! `--webhook`: what clients do reaches the site's own code, whatever state that is in.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Directory, Ending, Server, eventually, own_address, udpush};

/// A site, served by PHP's own server: it appends what is POSTed to a file.
struct Site {
    address: SocketAddr,
    directory: Directory,
    process: Option<Child>,
}

const SCRIPT: &str = r#"<?php
if (file_exists("broken")) {
    http_response_code(500);
    file_put_contents("tries", "x", FILE_APPEND);
    exit;
}
$type = $_SERVER["CONTENT_TYPE"];
if ($_SERVER["REQUEST_METHOD"] !== "POST" || $type !== "application/x-ndjson") {
    file_put_contents("events", "not as it should be: $type\n", FILE_APPEND);
}
foreach (file("php://input", FILE_IGNORE_NEW_LINES) as $line) {
    $event = json_decode($line, true);
    file_put_contents("events", json_encode($event) . "\n", FILE_APPEND);
}
"#;

impl Site {
    /// With an address, but not yet there.
    fn new() -> Site {
        let address: Ipv4Addr = own_address();
        Site {
            address: (address, 7391).into(),
            directory: Directory::new(),
            process: None,
        }
    }

    fn start(mut self) -> Site {
        self.begin();
        self
    }

    fn begin(&mut self) {
        fs::write(self.file("hook.php"), SCRIPT).unwrap();
        let mut command = Command::new("php");
        command.args(["-n", "-S", &self.address.to_string(), "hook.php"]);
        command.current_dir(self.directory.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        eventually("a site", || TcpStream::connect(self.address).ok());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.file(name)
    }

    fn url(&self) -> String {
        format!("http://{}/hook.php?key=x", self.address)
    }

    /// What came, without the times.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file("events")).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let lines = text[..whole].lines().map(|line| {
            let mut event: Value = serde_json::from_str(line).expect(line);
            event.as_object_mut().expect(line).remove("time");
            event
        });
        lines.collect()
    }

    /// What came, once it is so much.
    fn wait_for(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} events"), || {
            Some(self.events()).filter(|events| events.len() >= count)
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Clients come and go, one after the other; what they have to hear comes at once.
fn visit(server: &Server, count: usize) {
    for n in 0..count {
        let mut client = server.connect();
        let document = format!("[{n}]");
        server.push(&document);
        assert_eq!(client.text(), document);
        client.0.close(None).unwrap();
        client.wait_for_end();
    }
}

/// Each has come and gone, in order and once.
fn assert_in_order(events: &[Value], clients: usize) {
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event["client"].as_u64(), event["event"].as_str()))
        .collect();
    for client in 1..=clients as u64 {
        let own: Vec<_> = kinds
            .iter()
            .filter(|(who, _)| *who == Some(client))
            .map(|(_, event)| event.unwrap())
            .collect();
        assert_eq!(own, ["connected", "closed"], "client {client}");
    }
    let connected = kinds
        .iter()
        .filter(|(_, event)| *event == Some("connected"));
    assert!(
        connected
            .map(|(who, _)| who.unwrap())
            .eq(1..=clients as u64)
    );
}

#[test]
fn what_clients_do_is_posted_to_php() {
    let site = Site::new().start();
    let mut server = Server::start(&["--webhook", &site.url()]);
    let mut client = server.connect_v1("/?user=u7");
    client.json();
    client.say(r#"["to the site"]"#);
    let events = site.wait_for(3);
    let address = events[0]["address"].clone();
    let expected = [
        json!({"event": "connected", "client": 1, "address": address, "mode": "v1"}),
        json!({"event": "registered", "client": 1, "registration": {"user": "u7"}}),
        json!({"event": "said", "client": 1, "data": ["to the site"]}),
    ];
    assert_eq!(events, expected);
    // Also what the stop itself brings about.
    server.stop();
    let events = site.events();
    let closed = json!({"event": "closed", "client": 1, "why": "the server stops"});
    assert_eq!(events[3..], [closed]);
}

#[test]
fn nothing_is_lost_or_told_out_of_order_while_the_site_is_away() {
    let mut site = Site::new();
    let mut server = Server::start(&["--webhook", &site.url()]);
    visit(&server, 30);
    server.wait_for_line("the webhook has not taken");
    visit(&server, 30);
    site.begin();
    assert_in_order(&site.wait_for(120), 60);
    server.wait_for_line("the webhook takes events again");
    assert!(!server.stop().contains("stopping with"));
    assert_eq!(site.events().len(), 120);
}

#[test]
fn a_batch_that_is_answered_with_500_is_sent_again() {
    let site = Site::new().start();
    fs::write(site.file("broken"), "").unwrap();
    let mut server = Server::start(&["--webhook", &site.url()]);
    visit(&server, 5);
    server.wait_for_line("it answered 500 Internal Server Error");
    eventually("another try", || {
        (fs::read(site.file("tries")).ok()?.len() > 1).then_some(())
    });
    fs::remove_file(site.file("broken")).unwrap();
    assert_in_order(&site.wait_for(10), 5);
    server.wait_for_line("the webhook takes events again");
}

#[test]
fn a_site_that_never_answers_delays_neither_pushes_nor_the_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut server = Server::start(&["--webhook", &url]);
    visit(&server, 20);
    let log = server.stop();
    assert!(
        log.contains("events that the webhook did not take"),
        "{log}"
    );
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn what_there_is_no_room_for_is_counted_and_told_in_its_place() {
    const CLIENTS: usize = 100;
    const SAID: usize = 7;
    let mut site = Site::new();
    let mut server = Server::start(&["--webhook", &site.url()]);
    let text = format!("[\"{}\"]", "x".repeat(16_000));
    let mut clients = server.connect_many(CLIENTS);
    for client in &mut clients {
        for _ in 0..SAID {
            client.say(&text);
        }
    }
    for mut client in clients {
        client.0.close(None).unwrap();
        client.wait_for_end();
    }
    server.wait_for_line("events for the webhook lost: as many wait as may");
    site.begin();
    let sum = |events: &[Value]| -> u64 {
        let lost = |event: &Value| event["event"] == "lost";
        let each = events.iter().map(|event| match lost(event) {
            true => event["count"].as_u64().unwrap(),
            false => 1,
        });
        each.sum()
    };
    let all = (CLIENTS * (SAID + 2)) as u64;
    let events = eventually("what is left, and how much is not", || {
        Some(site.events()).filter(|events| sum(events) >= all)
    });
    assert_eq!(sum(&events), all);
    let lost = events.iter().filter(|event| event["event"] == "lost");
    assert!(lost.count() > 0);
}

#[test]
fn a_url_that_cannot_be_posted_to_is_refused_at_the_start() {
    for url in [
        "https://x/",
        "127.0.0.1:80",
        "http://",
        "http://a:b@x/",
        "x y",
    ] {
        let mut command = udpush();
        command.args(["--webhook", url]);
        let output = Ending::start(&mut command).output();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{url}: {sentence}");
        assert!(sentence.contains("--webhook"), "{sentence}");
        assert!(sentence.contains("a URL such as http://"), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}
