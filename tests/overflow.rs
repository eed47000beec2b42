//! What comes in faster than it is taken: the kernel drops it, and that is told.

use std::fs;

use crate::common::{Listener, Server, eventually};

/// What the kernel knows of the server's UDP socket: bytes that wait, and datagrams dropped.
fn udp_socket(server: &Server) -> (usize, usize) {
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let local = format!(" 0100007F:{:04X} ", server.publishers.port());
    let line = table.lines().find(|line| line.contains(&local)).unwrap();
    let columns: Vec<_> = line.split_whitespace().collect();
    let (_, waiting) = columns[4].split_once(':').unwrap();
    let waiting = usize::from_str_radix(waiting, 16).unwrap();
    (waiting, columns.last().unwrap().parse().unwrap())
}

/// How many were dropped, as the log tells.
fn told(log: &str) -> usize {
    let counts = log.lines().filter_map(|line| {
        let (_, count) = line.split_once("the kernel dropped ")?;
        Some(count.split(' ').next()?.replace(',', ""))
    });
    counts.map(|count| count.parse::<usize>().unwrap()).sum()
}

#[test]
fn what_the_kernel_drops_is_counted_and_told() {
    const SENT: usize = 400;
    // The witness reads last: whatever was kept may wait for it.
    let mut server = Server::start(&["--heartbeat", "3600", "--queue-bytes", "33554432"]);
    let mut witness = Listener::connect(server.clients);
    server.signal("STOP");
    // More than the largest receive buffer holds.
    let filler = "x".repeat(60_000);
    server.push_burst(vec![format!("\"{filler}\""); SENT]);
    server.signal("CONT");
    eventually("an empty receive buffer", || {
        (udp_socket(&server).0 == 0).then_some(())
    });
    // It is told at once, not only when the next datagram comes.
    let dropped = udp_socket(&server).1;
    assert!(dropped > 0);
    eventually("all that was dropped", || {
        (told(&server.log()) == dropped).then_some(())
    });
    server.push("\"the end\"");
    let mut heard = 0;
    while witness.text().unwrap() != "\"the end\"" {
        heard += 1;
    }
    assert_eq!(heard + dropped, SENT);
    drop(witness);
    let log = server.stop();
    assert_eq!(told(&log), dropped, "{log}");
}
