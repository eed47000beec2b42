//! SIGINT and SIGTERM: everyone is told, what has come is delivered, the exit status is right.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::common::{AtEnd, Listener, Server, eventually, publisher};

#[test]
fn everyone_gets_close_1001_and_what_was_pushed_before() {
    let mut server = Server::start(&[]);
    let mut clients = server.connect_many(3);
    server.push("\"the last\"");
    server.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.text(), "\"the last\"");
        assert_eq!(client.close_code(), 1001);
    }
    drop(clients);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert_eq!(log.matches(" closed: the server stops (").count(), 3);
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&[]);
    // It never reads, so that the server waits for it.
    let _client = server.connect();
    server.signal("INT");
    server.wait_for_line("stopping");
    // Two signals at once would be one: timeout(1) sends such.
    let status = eventually("the end of udpush", || {
        server.signal("INT");
        server.ended()
    });
    assert_eq!(status.code(), Some(130));
    assert!(server.log().contains("a second signal: stopped at once"));
}

#[test]
fn if_the_udp_thread_ends_by_itself_the_process_ends_with_status_1() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    // poll(2) refuses to wait for more descriptors than a process may have.
    let pid = server.pid().to_string();
    let limit = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=1:1"])
        .status();
    assert!(limit.unwrap().success());
    // It wakes up for this one, and then cannot wait for the next.
    server.push("1");
    assert_eq!(client.text(), "1");
    assert_eq!(server.wait().code(), Some(1));
    let log = server.log();
    assert!(log.contains("the udp thread ended by itself"), "{log}");
    drop(client);
}

#[test]
fn a_closed_terminal_does_nothing() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.signal("HUP");
    server.push("1");
    assert_eq!(client.text(), "1");
    server.signal("TERM");
    assert_eq!(client.close_code(), 1001);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn under_load_everyone_gets_close_1001_after_whole_messages_in_order() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let listeners: Vec<_> = (0..100)
        .map(|_| Listener::connect(server.clients))
        .collect();
    let slowest = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let (slowest, stopped) = (&slowest, &stopped);
        let _stopped = AtEnd(|| stopped.store(true, Ordering::Release));
        let clients: Vec<_> = listeners
            .into_iter()
            .enumerate()
            .map(|(place, mut listener)| {
                scope.spawn(move || {
                    let mut count = 0;
                    loop {
                        match listener.text() {
                            Ok(text) => assert_eq!(text, format!("[{count}]")),
                            Err(code) => return (code, count),
                        }
                        count += 1;
                        if place == 0 {
                            slowest.store(count, Ordering::Release);
                        }
                    }
                })
            })
            .collect();
        let publishers = server.publishers;
        let burst = server.burst();
        scope.spawn(move || {
            let socket = publisher();
            // Never so far ahead that the kernel would drop any.
            for number in 0.. {
                while number >= slowest.load(Ordering::Acquire) + burst {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    thread::yield_now();
                }
                let document = format!("[{number}]");
                socket.send_to(document.as_bytes(), publishers).unwrap();
            }
        });
        eventually("a load", || {
            (slowest.load(Ordering::Acquire) > 2000).then_some(())
        });
        server.signal("TERM");
        let ends: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
        // All the same: whatever was published reached everyone.
        assert!(ends[0].1 > 2000);
        assert_eq!(ends, vec![(1001, ends[0].1); 100]);
    });
    assert_eq!(server.wait().code(), Some(0));
    // Sums of what was too much to be written may follow.
    let log = server.log();
    assert!(log.contains(" closed: the server stops ("), "{log}");
    assert!(log.contains("] stopped\n"), "{log}");
}

#[test]
fn who_is_in_the_middle_of_a_handshake_does_not_hold_the_stop_up() {
    let mut server = Server::start(&[]);
    let _silent = std::net::TcpStream::connect(server.clients).unwrap();
    // Accepted in order: it is in its handshake when the next one has joined.
    let mut client = server.connect();
    server.signal("TERM");
    assert_eq!(client.close_code(), 1001);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    assert!(!log.contains("did not leave in time"), "{log}");
}

#[test]
fn neither_a_flood_nor_a_client_that_is_stuck_holds_the_stop_up() {
    let mut server = Server::start(&["--heartbeat", "3600"]);
    let stuck = Listener::connect_narrow(server.clients);
    let mut client = Listener::connect(server.clients);
    let publishers = server.publishers;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ended = AtEnd(|| ended.store(true, Ordering::Release));
        scope.spawn(|| {
            let socket = publisher();
            let document = format!("\"{}\"", "x".repeat(1000));
            while !ended.load(Ordering::Acquire) {
                // Once the server is gone, there is nobody to take it.
                let _ = socket.send_to(document.as_bytes(), publishers);
            }
        });
        for _ in 0..2000 {
            client.text().unwrap();
        }
        server.signal("TERM");
        // Whoever reads is told; the flood may have been too much for it before.
        let code = client.close_code();
        drop(client);
        let status = server.wait();
        assert!(code == 1001 || code == 1013, "{code}");
        assert_eq!(status.code(), Some(0));
    });
    drop(stuck);
}

#[test]
fn what_a_stop_had_no_time_for_is_counted() {
    /// Documents in a datagram: two bytes each, so that publishing takes longer than taking.
    const DOCUMENTS: usize = 32_001;
    let mut server = Server::start(&["--heartbeat", "3600", "--history", "0"]);
    let datagram = "7 ".repeat(DOCUMENTS);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ended = AtEnd(|| ended.store(true, Ordering::Release));
        let publishers = server.publishers;
        let ended = &ended;
        scope.spawn(move || {
            let socket = publisher();
            while !ended.load(Ordering::Acquire) {
                // Once the server is gone, there is nobody to take it.
                let _ = socket.send_to(datagram.as_bytes(), publishers);
            }
        });
        server.wait_for_line(" more messages, ");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
    });
    let log = server.log();
    let line = log.lines().find(|line| line.contains("] stopping with "));
    let numbers: Vec<usize> = line
        .expect("something is left of a flood")
        .split(' ')
        .filter_map(|word| word.replace(',', "").parse().ok())
        .collect();
    assert!(numbers[0] > 0, "{line:?}");
    // Of what was read each document was published or is told of: datagrams are read whole.
    let published: usize = log
        .lines()
        .filter_map(|line| match line.split_once(" more message") {
            Some((start, _)) => start.rsplit(' ').next(),
            None => line.contains("] message ").then_some("1"),
        })
        .map(|count| count.replace(',', "").parse::<usize>().unwrap())
        .sum();
    assert_eq!(
        (published + numbers[1]) % DOCUMENTS,
        0,
        "{published} and {line:?}"
    );
}
