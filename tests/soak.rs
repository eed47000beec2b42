//! Clients that register, leave and come back at random while messages flow.
//!
//! A few seconds at a size that a debug build manages; `UDPUSH_SOAK=60 cargo test --release soak`
//! runs them for a minute, at full size.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{AtEnd, Client, Server, publisher};

/// How long and how large.
struct Size {
    duration: Duration,
    clients: usize,
    /// Messages a second.
    rate: u64,
}

fn size(full: Size) -> Size {
    match std::env::var("UDPUSH_SOAK") {
        Ok(seconds) => Size {
            duration: Duration::from_secs(seconds.parse().unwrap()),
            ..full
        },
        Err(_) => Size {
            duration: Duration::from_secs(3),
            clients: 12,
            rate: 400,
        },
    }
}

/// A small generator (splitmix64): the tests need variety, not quality.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Publishes message after message at a rate, until the time is over; no datagram may be lost, so
/// a witness hears each burst before the next. Returns how many there were.
fn publish(server: &Server, size: &Size, document: impl Fn(u64) -> String) -> u64 {
    let socket = publisher();
    let mut witness = server.connect();
    let start = Instant::now();
    let burst = (size.rate / 100).max(1);
    let mut published = 0;
    while start.elapsed() < size.duration {
        for _ in 0..burst {
            published += 1;
            socket
                .send_to(document(published).as_bytes(), server.publishers)
                .unwrap();
        }
        for _ in 0..burst {
            witness.text();
        }
        let due = Duration::from_secs_f64(published as f64 / size.rate as f64);
        // The load's pace, nothing that the test waits for.
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
    published
}

fn sequence(message: &Value) -> u64 {
    let id = message["id"].as_str().unwrap();
    id.split_once('-').unwrap().1.parse().unwrap()
}

/// What one client heard: which group it was in from which id on, and the messages.
#[derive(Default)]
struct Heard {
    groups: BTreeMap<u64, u64>,
    messages: Vec<u64>,
    until: u64,
}

#[test]
fn registering_under_load_neither_loses_nor_leaks_a_message() {
    const GROUPS: u64 = 4;
    let size = size(Size {
        duration: Duration::ZERO,
        clients: 100,
        rate: 5_000,
    });
    // Only a registered field addresses; the witness, who registers nothing, hears everything.
    let server = Server::start(&[]);
    let group_of = |number: u64| number * 7 % 11 % GROUPS;
    let last = AtomicU64::new(u64::MAX);
    let register = |client: &mut Client, group| client.say(&format!(r#"{{"group":{group}}}"#));

    let session = |random: &mut Random| -> Heard {
        let mut heard = Heard::default();
        let group = random.below(GROUPS);
        let mut client = server.connect_v1(&format!("/?group={group}"));
        let mut next = Instant::now();
        let leave_after = random.below(3_000);
        loop {
            let message = client.json();
            match message["type"].as_str().unwrap() {
                "hello" => {
                    let group = message["registration"]["group"].as_str().unwrap();
                    heard
                        .groups
                        .insert(sequence(&message), group.parse().unwrap());
                }
                "message" => {
                    let number = message["data"]["number"].as_u64().unwrap();
                    assert_eq!(sequence(&message), number);
                    heard.messages.push(number);
                }
                _ => {}
            }
            heard.until = sequence(&message);
            let enough = heard.messages.len() as u64 >= leave_after;
            if enough || heard.until >= last.load(Ordering::Acquire) {
                return heard;
            }
            if Instant::now() >= next {
                register(&mut client, random.below(GROUPS));
                next = Instant::now() + Duration::from_millis(60 + random.below(100));
            }
        }
    };
    thread::scope(|scope| {
        let _end = AtEnd(|| last.store(0, Ordering::Release));
        let clients: Vec<_> = (0..size.clients)
            .map(|seed| {
                let (session, last) = (&session, &last);
                scope.spawn(move || {
                    let mut random = Random(seed as u64);
                    let mut all = Vec::new();
                    while last.load(Ordering::Acquire) == u64::MAX {
                        all.push(session(&mut random));
                    }
                    all
                })
            })
            .collect();
        let document = |number| format!(r#"{{"group":{},"number":{number}}}"#, group_of(number));
        let published = publish(&server, &size, document);
        last.store(published, Ordering::Release);
        // Whoever waits for a message hears of the end.
        for group in (0..GROUPS).chain(0..GROUPS) {
            let number = published + 1 + group;
            server.push(format!(r#"{{"number":{number}}}"#));
        }
        let mut judged = 0;
        for client in clients {
            for heard in client.join().unwrap() {
                let start = *heard.groups.keys().next().unwrap();
                let in_group = |number: u64| *heard.groups.range(..number).next_back().unwrap().1;
                let expected: Vec<u64> = (start + 1..=heard.until.min(published))
                    .filter(|number| group_of(*number) == in_group(*number))
                    .collect();
                let messages = heard.messages.iter().copied();
                let messages: Vec<u64> = messages.filter(|number| *number <= published).collect();
                assert_eq!(messages, expected);
                judged += messages.len();
            }
        }
        assert!(judged > 0);
    });
}

#[test]
fn clients_that_drop_and_resume_have_every_message_once_and_in_order() {
    let size = size(Size {
        duration: Duration::ZERO,
        clients: 50,
        rate: 2_000,
    });
    let server = Server::start(&[]);
    let done = AtomicBool::new(false);
    let last = AtomicU64::new(u64::MAX);
    thread::scope(|scope| {
        let _end = AtEnd(|| last.store(0, Ordering::Release));
        let clients: Vec<_> = (0..size.clients)
            .map(|seed| {
                let (server, done, last) = (&server, &done, &last);
                scope.spawn(move || {
                    let mut random = Random(seed as u64);
                    let mut known: Option<String> = None;
                    let mut next = 1;
                    let mut resumed = 0;
                    while next <= last.load(Ordering::Acquire) {
                        let target = match &known {
                            None => "/".to_owned(),
                            Some(id) => format!("/?since={id}"),
                        };
                        let mut client = server.connect_v1(&target);
                        let hello = client.json();
                        if known.is_some() && hello["resumed"] == true {
                            resumed += 1;
                        } else {
                            next = sequence(&hello) + 1;
                        }
                        assert_eq!(sequence(&hello) + 1, next);
                        known = hello["id"].as_str().map(str::to_owned);
                        for _ in 0..random.below(500) {
                            if next > last.load(Ordering::Acquire) {
                                break;
                            }
                            let message = client.json();
                            known = message["id"].as_str().map(str::to_owned);
                            if message["type"] == "message" {
                                assert_eq!(sequence(&message), next);
                                assert_eq!(message["data"]["number"], next);
                                next += 1;
                            }
                        }
                        // The connection goes away as it is, perhaps in the midst of a frame.
                        drop(client);
                        if !done.load(Ordering::Relaxed) {
                            thread::sleep(Duration::from_millis(random.below(200)));
                        }
                    }
                    resumed
                })
            })
            .collect();
        let document = |number| format!(r#"{{"number":{number}}}"#);
        let published = publish(&server, &size, document);
        last.store(published, Ordering::Release);
        done.store(true, Ordering::Relaxed);
        // Whoever waits for a message hears of the end.
        server.push(document(published + 1));
        let resumed: u32 = clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum();
        assert!(resumed > 0);
    });
}
