//! Who is online, sending clients away, and who would hear a document.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

use crate::common::{AtEnd, Client, Curl, Listener, Server, eventually, php, skip, udpush};

/// A server whose signs of life do not come between what is expected.
fn start(flags: &[&str]) -> Server {
    Server::start(&[flags, &["--heartbeat", "3600"]].concat())
}

/// The status and the body.
fn ask(server: &Server, method: &str, target: &str, body: &str) -> (u16, String) {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{target}", server.publishers));
    let answer = match method {
        "POST" => agent.run(request.body(body).unwrap()),
        _ => agent.run(request.body(()).unwrap()),
    };
    let mut answer = answer.unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text)
}

/// The answer where all is well: a line each.
fn lines(server: &Server, target: &str) -> Vec<Value> {
    let (status, text) = ask(server, "GET", target, "");
    assert_eq!(status, 200, "{target}: {text}");
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

fn numbers(server: &Server, target: &str) -> Vec<u64> {
    let number = |line: &Value| line["client"].as_u64().unwrap();
    lines(server, target).iter().map(number).collect()
}

fn object(server: &Server, method: &str, target: &str, body: &str) -> (u16, Value) {
    let (status, text) = ask(server, method, target, body);
    (status, serde_json::from_str(&text).expect(&text))
}

/// One of each way to listen, with what they registered.
fn one_of_each(server: &mut Server) -> (Client, Client, Curl) {
    let plain = Client::connect(server.clients, "/?user=u7");
    let mut v1 = server.connect_v1("/?user=u8&class[]=b&class[]=a");
    v1.json();
    let events = Curl::start(&[&format!("http://{}/events?user=u9", server.clients)]);
    server.wait_for_line("client 3 registered");
    (plain, v1, events)
}

#[test]
fn each_client_is_told_of_with_what_it_has_been_sent() {
    let mut server = start(&[]);
    let (mut plain, mut v1, mut events) = one_of_each(&mut server);
    let begun = events.event();
    assert!(begun.contains(&"event: hello".to_owned()), "{begun:?}");
    for number in 1..=3 {
        server.push(format!("{{\"number\":{number}}}"));
        assert_eq!(plain.text(), format!("{{\"number\":{number}}}"));
        assert_eq!(v1.json()["data"]["number"], number);
        assert!(!events.event().is_empty());
    }
    let told = lines(&server, "/clients");
    let modes: Vec<_> = told.iter().map(|client| &client["mode"]).collect();
    assert_eq!(modes, ["plain", "v1", "events"]);
    let registrations: Vec<_> = told.iter().map(|client| &client["registration"]).collect();
    assert_eq!(
        registrations,
        [
            &json!({"user": "u7"}),
            &json!({"class": ["a", "b"], "user": "u8"}),
            &json!({"user": "u9"})
        ]
    );
    let listening = server.wait_for_line("listening: clients on ");
    for (client, number) in told.iter().zip(1..) {
        assert_eq!(client["client"], number);
        assert_eq!(client["replaying"], false);
        assert_eq!(client["queued"], json!({"messages": 0, "bytes": 0}));
        assert_eq!(client["sent"]["messages"], 3, "{client}");
        assert!(client["sent"]["bytes"].as_u64() > Some(100), "{client}");
        assert!(client["seen"].as_f64() <= client["seconds"].as_f64());
        // As the log has it.
        let words = format!("client {number} connected from ");
        let line = server.wait_for_line(&words);
        let (time, rest) = line.split_once(' ').unwrap();
        let (_, address) = rest.split_once(&words).unwrap();
        assert_eq!(client["address"], address.split_once(' ').unwrap().0);
        let since = client["since"].as_str().unwrap();
        assert!(
            &listening[..time.len()] <= since && since <= time,
            "{since} {time}"
        );
    }
    let (status, one) = object(&server, "GET", "/clients/2", "");
    assert_eq!((status, &one["registration"]), (200, registrations[1]));
    assert_eq!(one["sent"], told[1]["sent"]);
    for target in ["/clients/4", "/clients/x", "/clients/"] {
        let (status, refusal) = object(&server, "GET", target, "");
        assert_eq!((status, &refusal["ok"]), (404, &json!(false)), "{target}");
    }
    // Nobody who left is online.
    drop(plain);
    server.wait_for_line("client 1 closed");
    assert_eq!(numbers(&server, "/clients"), [2, 3]);
}

#[test]
fn a_client_by_ipv4_has_an_address_of_ipv4() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    let mut command = udpush();
    command.args(["--listen", "[::]:0", "--publish", "[::1]:0"]);
    let mut server = Server::start_command(command);
    let port = server.clients.port();
    let _ipv4 = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "/");
    server.clients = format!("[::1]:{port}").parse().unwrap();
    let _ipv6 = server.connect();
    let told = lines(&server, "/clients");
    let begins = |client: &Value, with| client["address"].as_str().unwrap().starts_with(with);
    assert!(begins(&told[0], "127.0.0.1:"), "{told:?}");
    assert!(begins(&told[1], "[::1]:"), "{told:?}");
}

#[test]
fn clients_are_found_by_what_they_registered_page_by_page() {
    for flags in [&[][..], &["--route", "user,class"]] {
        let server = start(flags);
        let mut clients: Vec<_> = ["/?user=u7", "/?user=u7&class=a", "/?user=u8&class=b", "/"]
            .iter()
            .map(|target| server.connect_v1(target))
            .collect();
        clients[3].json();
        clients[3].say(r#"{"type":"register","registration":{"class":["a","c d"]}}"#);
        clients[3].json();
        for (query, expected) in [
            ("", &[1, 2, 3, 4][..]),
            ("?user=u7", &[1, 2]),
            ("?user=u7&user=u8", &[1, 2, 3]),
            ("?user[]=u7&class=a", &[2]),
            ("?class=c%20d", &[4]),
            ("?class=c+d&class=b&user=u8", &[3]),
            ("?user=u9", &[]),
            ("?user=", &[]),
            ("?school=2", &[]),
            ("?limit=2", &[1, 2]),
            ("?limit=2&after=2", &[3, 4]),
            ("?after=4", &[]),
            ("?limit=0", &[]),
            ("?class=a&class=b&limit=2&after=2", &[3, 4]),
        ] {
            let found = numbers(&server, &format!("/clients{query}"));
            assert_eq!(found, expected, "{flags:?} {query}");
        }
        for query in ["?limit=x", "?after=-1", "?user[x]=1", "?user=%ff"] {
            let (status, refusal) = object(&server, "GET", &format!("/clients{query}"), "");
            assert_eq!((status, &refusal["ok"]), (400, &json!(false)), "{query}");
        }
    }
}

#[test]
fn php_asks_who_is_online() {
    let server = start(&[]);
    let _clients = ["/?user=u7", "/?user=u7", "/?user=u8"].map(|target| server.connect_v1(target));
    let code = format!(
        r#"foreach (["u7", "u8", "u9"] as $user) {{
            $lines = file("http://{}/clients?user=$user");
            $clients = array_map(fn ($line) => json_decode($line)->client, $lines);
            echo $user, ": ", implode(", ", $clients), "\n";
        }}"#,
        server.publishers
    );
    assert_eq!(php(&code, &[], b""), "u7: 1, 2\nu8: 3\nu9: \n");
}

#[test]
fn whoever_is_sent_away_is_told_so_and_the_others_stay() {
    let mut server = start(&[]);
    let (mut plain, mut v1, mut events) = one_of_each(&mut server);
    events.event();
    let mut other = server.connect_v1("/?user=u8");
    other.json();
    for target in [
        "/clients",
        "/clients?limit=5",
        "/clients?after=0",
        "/clients?token=x",
    ] {
        let (status, refusal) = object(&server, "DELETE", target, "");
        assert_eq!((status, &refusal["ok"]), (400, &json!(false)), "{target}");
    }
    assert_eq!(numbers(&server, "/clients"), [1, 2, 3, 4]);

    let closed = |target| object(&server, "DELETE", target, "");
    assert_eq!(closed("/clients/1"), (200, json!({"closed": 1})));
    assert_eq!(plain.close_code(), 4403);
    assert_eq!(closed("/clients/1").0, 404);
    assert_eq!(
        closed("/clients?user=u8&class=a"),
        (200, json!({"closed": 1}))
    );
    assert_eq!(v1.close_code(), 4403);
    assert_eq!(closed("/clients?user=u9"), (200, json!({"closed": 1})));
    assert_eq!(events.event(), [": 4403 disconnected by the operator"]);
    assert!(events.event().is_empty());
    assert_eq!(closed("/clients?user=u9"), (200, json!({"closed": 0})));

    server.push("1");
    assert_eq!(other.json()["data"], 1);
    for client in 1..=3 {
        let words = format!("client {client} closed: disconnected by the operator (");
        server.wait_for_line(&words);
    }
}

#[test]
fn a_client_that_replays_is_listed_judged_and_sent_away_too() {
    let mut server = start(&[]);
    let mut first = server.connect_v1("/");
    let start = first.json()["id"].as_str().unwrap().to_owned();
    // More than its socket takes.
    let document = format!("[\"{}\"]", "x".repeat(50_000));
    for _ in 0..200 {
        server.push(&document);
        first.json();
    }
    let target = format!("/?user=u7&since={start}");
    let mut slow = Client::connect_v1_narrow(server.clients, &target);
    let told = eventually("a queue", || {
        let told = lines(&server, "/clients?user=u7").pop().unwrap();
        (told["queued"]["bytes"].as_u64() > Some(0)).then_some(told)
    });
    assert_eq!(
        (&told["client"], &told["replaying"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(numbers(&server, "/clients"), [1, 2]);
    assert_eq!(numbers(&server, "/clients?user=u8"), [0; 0]);
    let (_, explained) = object(&server, "POST", "/explain", r#"{"user":"u7"}"#);
    assert_eq!(explained["hears"], json!([1, 2]));
    slow.say(r#"{"user":"u8"}"#);
    server.wait_for_line(r#"client 2 registered {"user":"u8"}"#);
    assert_eq!(numbers(&server, "/clients?user=u8"), [2]);
    let (_, explained) = object(&server, "POST", "/explain", r#"{"user":"u7"}"#);
    assert_eq!(explained["hears"], json!([1]));
    let (_, answer) = object(&server, "DELETE", "/clients?user=u8", "");
    assert_eq!(answer, json!({"closed": 1}));
    server.wait_for_line("client 2 closed: disconnected by the operator (1 online)");
    assert_eq!(slow.close_code(), 4403);
}

#[test]
fn what_is_explained_is_not_pushed() {
    let server = start(&[]);
    let mut client = server.connect();
    let _other = server.connect_v1("/?user=u8");
    let explain = |body: &str| object(&server, "POST", "/explain", body);
    assert_eq!(
        explain(" {\"user\":\"u7\"}\n"),
        (
            200,
            json!({
                "clients": 1,
                "hears": [1],
                "not": [{
                    "client": 2,
                    "field": "user",
                    "why": "registered \"user\" with other values"
                }]
            })
        )
    );
    assert_eq!(explain("[]"), (200, json!({"clients": 0, "empty": true})));
    assert_eq!(
        explain("{\"user\":}"),
        (
            400,
            json!({"ok": false, "error": "not JSON at byte 9: expected value", "byte": 9})
        )
    );
    assert_eq!(explain("1 2").0, 400);
    assert_eq!(explain("1 null").0, 400);
    assert_eq!(explain(&format!("\"{}\"", "x".repeat(1 << 20))).0, 413);
    assert_eq!(object(&server, "POST", "/", "\"end\"").0, 200);
    assert_eq!(client.text(), "\"end\"");
}

/// A pseudo-random number (Knuth's MMIX).
fn next(random: &mut u64, bound: u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*random >> 33) % bound
}

#[test]
fn explain_agrees_with_who_hears_a_document() {
    const CASES: u64 = 300;
    const REGISTRATIONS: [&str; 10] = [
        "/",
        "/?a=1",
        "/?a=1&a=2",
        "/?a=2&b=1",
        "/?b=1&b=true",
        "/?a=&b=2",
        "/?c=1",
        "/?a=1&b=1&c=1",
        "/?a=3&c=2",
        "/?b=x%20y",
    ];
    const VALUES: [&str; 12] = [
        "1",
        "2",
        "\"1\"",
        "\"\"",
        "null",
        "true",
        "[1,2]",
        "[]",
        "[3,null]",
        "\"x y\"",
        "{}",
        "[\"true\",1]",
    ];
    for flags in [&[][..], &["--route", "a,b"]] {
        let server = start(flags);
        let mut clients: Vec<_> = REGISTRATIONS
            .iter()
            .map(|target| server.connect_v1(target))
            .collect();
        let mut random = 1;
        let mut expected = vec![Vec::new(); clients.len()];
        for case in 0..CASES {
            let mut document = format!("{{\"case\":{case}");
            for field in ["a", "b", "c", "a"] {
                if next(&mut random, 2) == 0 {
                    let value = VALUES[next(&mut random, VALUES.len() as u64) as usize];
                    document.push_str(&format!(",\"{field}\":{value}"));
                }
            }
            document.push('}');
            let (_, explained) = object(&server, "POST", "/explain", &document);
            let (_, answer) = object(&server, "POST", "/", &document);
            assert_eq!(explained["clients"], answer["clients"], "{document}");
            let mut named = BTreeSet::new();
            for client in explained["hears"].as_array().unwrap() {
                let client = client.as_u64().unwrap();
                expected[client as usize - 1].push(case);
                named.insert(client);
            }
            for not in explained["not"].as_array().unwrap() {
                let why = not["why"].as_str().unwrap();
                assert!(why.contains(&not["field"].to_string()), "{not}");
                named.insert(not["client"].as_u64().unwrap());
            }
            assert_eq!(named.len(), clients.len(), "{document}: {explained}");
        }
        server.push("[\"end\"]");
        for (client, expected) in clients.iter_mut().zip(&expected) {
            client.json();
            let mut heard = Vec::new();
            while let Some(case) = client.json()["data"]["case"].as_u64() {
                heard.push(case);
            }
            assert_eq!(&heard, expected);
        }
        // Neither everything nor nothing.
        let deliveries: usize = expected.iter().map(Vec::len).sum();
        let all = CASES as usize * clients.len();
        assert!((all / 5..all * 4 / 5).contains(&deliveries), "{deliveries}");
    }
}

#[test]
fn a_crowd_is_listed_while_pushes_go_on() {
    const CLIENTS: usize = 2000;
    let server = start(&[]);
    let mut first = Listener::connect(server.clients);
    let _crowd: Vec<_> = (1..CLIENTS)
        .map(|_| Listener::connect(server.clients))
        .collect();
    let all: Vec<u64> = (1..=CLIENTS as u64).collect();
    let enough = AtomicBool::new(false);
    let pushed = thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            let mut pushed = 0;
            while !enough.load(Ordering::Relaxed) {
                pushed += 1;
                assert_eq!(object(&server, "POST", "/", &pushed.to_string()).0, 200);
            }
            pushed
        });
        let listed = {
            let _end = AtEnd(|| enough.store(true, Ordering::Relaxed));
            (0..5)
                .map(|_| numbers(&server, "/clients"))
                .collect::<Vec<_>>()
        };
        let pushed: u64 = pushing.join().unwrap();
        for listed in listed {
            assert_eq!(listed, all);
        }
        pushed
    });
    for number in 1..=pushed {
        assert_eq!(first.text(), Ok(number.to_string()));
    }
    let (_, answer) = object(&server, "GET", "/clients/1", "");
    assert_eq!(answer["sent"]["messages"], pushed);
}
