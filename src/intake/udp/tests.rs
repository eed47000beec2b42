//! What is gathered, and how much of it.

use std::net::UdpSocket;

use crossbeam_channel::{Sender, bounded};

use super::*;
use crate::audience::rule::Rule;
use crate::hub::Settings;
use crate::hub::ring::Bounds;
use crate::hub::workers::Workers;

/// An intake that nobody runs, who keeps it from stopping, and a socket that sends to it.
fn intake() -> (Intake, Sender<()>, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(socket.local_addr().unwrap()).unwrap();
    let waker = Arc::new(Waker::new().unwrap());
    let (workers, _) = Workers::new(1, Arc::clone(&waker));
    let settings = Settings {
        max_clients: 1,
        rule: Rule::Open,
        registrations: usize::MAX,
        history: Bounds {
            messages: 0,
            bytes: 0,
        },
        heartbeat: Duration::from_secs(25),
    };
    let sequencer = sequencer::Memory::default();
    let newest = sequencer.newest();
    let hub = Arc::new(Hub::new(settings, newest, Arc::default(), workers));
    let (stop, stopped) = bounded(0);
    let replies = Replies::new(false, Vec::new());
    let intake = Intake::new(
        vec![socket],
        Vec::new(),
        replies,
        sequencer,
        hub,
        waker,
        stopped,
    );
    (intake, stop, sender)
}

#[test]
fn no_more_is_gathered_than_may_be_and_then_datagrams_wait_unread() {
    let (mut intake, _stop, sender) = intake();
    // Much of what a small document costs is not its bytes.
    let large = format!("\"{}\"", "x".repeat(60_000));
    let small = "1\n".repeat(1000);
    for datagram in [large, small] {
        for _ in 0..3 * MAX_GATHERED / 60_000 {
            sender.send(datagram.as_bytes()).unwrap();
            intake.gather();
            let most = MAX_GATHERED + 1000 * (OVERHEAD + 1) + 60_000;
            assert!(intake.gathered.bytes < most, "{}", intake.gathered.bytes);
        }
        assert!(intake.gathered.bytes >= MAX_GATHERED);
        assert!(!intake.sockets.is_empty());
        // It goes on as soon as there is room: nothing is left behind, and the count is right.
        while !intake.gathered.is_empty() || !intake.sockets.is_empty() {
            intake.publish_round();
            intake.gather();
        }
        assert_eq!(intake.gathered.bytes, 0);
    }
}

fn gathered(datagram: &Bytes) -> Gathered {
    let mut places = Vec::new();
    message::split(datagram, &mut places).unwrap();
    let mut gathered = Gathered::default();
    gathered.add(datagram, &places, ([127, 0, 0, 1], 1).into());
    gathered
}

/// The lengths of the rounds that documents make.
fn rounds(documents: String) -> Vec<usize> {
    let mut gathered = gathered(&documents.into());
    let mut lengths = Vec::new();
    while !gathered.is_empty() {
        let mut round = Vec::new();
        gathered.take_round(&mut round);
        lengths.push(round.len());
    }
    assert_eq!(gathered.bytes, 0);
    lengths
}

#[test]
fn a_round_has_its_most_messages_or_its_most_bytes_or_one_that_is_larger() {
    assert_eq!(rounds("1\n".repeat(2_500)), [1024, 1024, 452]);
    let quarter = format!("\"{}\"", "x".repeat(ROUND_BYTES / 4 - 2));
    assert_eq!(rounds(quarter.repeat(9)), [4, 4, 1]);
    let larger = format!("\"{}\"", "x".repeat(ROUND_BYTES));
    assert_eq!(rounds(format!("1 {larger} 2 3")), [1, 1, 2]);
}

#[test]
fn a_document_holds_the_bytes_of_others_only_where_they_are_its_neighbours() {
    let filling = "0 ".repeat(50);
    for (text, is_shared) in [
        ("{\"a\":1} {\"b\":2}".to_owned(), true),
        (format!("{{\"a\":1}} {filling}"), false),
    ] {
        let datagram = Bytes::from(text);
        let gathered = gathered(&datagram);
        let document = &*gathered.documents[0];
        assert_eq!(document, "{\"a\":1}");
        let is_within = datagram.as_ptr_range().contains(&document.as_ptr());
        assert_eq!(is_within, is_shared);
    }
}

#[test]
fn loopback_is_trusted_and_networks_that_were_named_however_an_address_is_written() {
    let trusted = ["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
    for (address, is_trusted) in [
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("10.1.255.1:1", true),
        ("10.2.0.1:1", false),
        ("[fd12::1]:1", true),
        ("[fe80::1]:1", false),
        // What a socket of IPv6 says of IPv4.
        ("[::ffff:127.0.0.1]:1", true),
        ("[::ffff:10.1.0.1]:1", true),
        ("[::ffff:10.2.0.1]:1", false),
    ] {
        let sender = address.parse().unwrap();
        assert_eq!(super::is_trusted(&trusted, sender), is_trusted, "{address}");
    }
}
