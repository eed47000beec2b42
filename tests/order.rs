//! Messages have one order, and every client sees all of them in that order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::common::{Listener, Server, eventually, frames};

const CLIENTS: usize = 100;

/// 100 clients read these bytes, step by step; `publish` runs meanwhile, and can wait until one of
/// them has come so far: the others may be behind it.
fn hear(server: &Server, steps: &[Vec<u8>], publish: impl FnOnce(&dyn Fn(usize))) {
    // One more frame than there are: what comes twice would come before it.
    let end = frames(["\"the end\""]);
    let listeners: Vec<_> = (0..CLIENTS)
        .map(|_| Listener::connect(server.clients))
        .collect();
    let heard: Vec<_> = (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for (mut listener, heard) in listeners.into_iter().zip(&heard) {
            let end = &end;
            scope.spawn(move || {
                for step in steps {
                    listener.expect(step);
                    heard.fetch_add(1, Ordering::Release);
                }
                listener.expect(end);
            });
        }
        publish(&|count| {
            let heard = &heard[count % CLIENTS];
            eventually("the burst at one client", || {
                (heard.load(Ordering::Acquire) >= count).then_some(())
            });
        });
        server.push("\"the end\"");
    });
}

fn bursts_arrive_whole(workers: &str) {
    let mut server = Server::start(&["--heartbeat", "3600", "--workers", workers]);
    let documents: Vec<_> = (0..20_000).map(|n| format!("{{\"n\":{n}}}")).collect();
    let bursts: Vec<_> = documents.chunks(server.burst()).collect();
    let steps: Vec<_> = bursts.iter().map(|burst| frames(*burst)).collect();
    hear(&server, &steps, |wait_for| {
        for (number, burst) in bursts.iter().enumerate() {
            server.push_burst(*burst);
            wait_for(number + 1);
        }
    });
    let log = server.stop();
    assert!(!log.contains("dropped"), "{log}");
}

#[test]
fn bursts_to_100_clients_arrive_whole_and_in_order_with_one_worker() {
    bursts_arrive_whole("1");
}

#[test]
fn bursts_to_100_clients_arrive_whole_and_in_order_with_two_workers() {
    bursts_arrive_whole("2");
}

#[test]
fn bursts_to_100_clients_arrive_whole_and_in_order_with_four_workers() {
    bursts_arrive_whole("4");
}

/// Bursts of so many messages, each after the one before was heard by all.
fn bursts_are_heard(server: &Server, listeners: &mut [Listener], lengths: &[usize]) {
    let mut number = 0;
    for length in lengths {
        let numbers = number..number + length;
        number = numbers.end;
        let documents: Vec<_> = numbers.map(|n| format!("[{n}]")).collect();
        server.push_burst(&documents);
        let expected = frames(&documents);
        for listener in &mut *listeners {
            listener.expect(&expected);
        }
    }
}

#[test]
fn bursts_arrive_in_order_where_the_udp_thread_delivers_by_itself() {
    // At most 64 clients are served without any worker.
    let server = Server::start(&["--heartbeat", "3600"]);
    let mut listeners: Vec<_> = (0..60).map(|_| Listener::connect(server.clients)).collect();
    bursts_are_heard(&server, &mut listeners, &[server.burst(); 20]);
}

#[test]
fn a_datagram_of_32000_tiny_documents_arrives_in_order_and_closes_nobody() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    // 1 to 9 over and over again; 64,000 bytes.
    let documents: Vec<_> = (0..32_000).map(|n| (n % 9 + 1).to_string()).collect();
    let datagram = documents.join("\n");
    hear(&server, &[frames(&documents)], |_| server.push(datagram));
    let log = server.stop();
    assert!(!log.contains("too slow"), "{log}");
}

#[test]
fn several_documents_in_one_datagram_are_several_messages_in_order() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    server.push("{\"a\":1}{\"a\":2}\n3 \"four\"\"five\"[6]\r\n\ttrue");
    for document in [
        "{\"a\":1}",
        "{\"a\":2}",
        "3",
        "\"four\"",
        "\"five\"",
        "[6]",
        "true",
    ] {
        assert_eq!(client.text(), document);
    }
}

#[test]
fn a_burst_to_hundreds_arrives_to_its_end_without_another_datagram() {
    // While it posts to so many, it takes more datagrams: none may wait for the next to come.
    let server = Server::start(&[]);
    let _audience = server.connect_many(600);
    let mut witness = server.connect();
    for burst in 0..40 {
        let numbers = burst * 200 + 1..=(burst + 1) * 200;
        server.push_burst(numbers.clone().map(|number| number.to_string()));
        for number in numbers {
            assert_eq!(witness.text(), number.to_string());
        }
    }
}

#[test]
fn messages_to_thousands_arrive_in_order_alone_and_in_bursts() {
    // Beyond 512 clients the UDP thread helps with a lone message; from 2,000 on each message waits
    // for the rest of its burst.
    let server = Server::start(&["--heartbeat", "3600"]);
    let mut listeners: Vec<_> = (0..2_050)
        .map(|_| Listener::connect(server.clients))
        .collect();
    let burst = server.burst();
    bursts_are_heard(&server, &mut listeners, &[1, 1, burst, 1, burst, burst]);
}
