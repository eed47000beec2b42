//! What is gathered, and how much of it.

use std::net::UdpSocket;

use crossbeam_channel::{Sender, bounded};

use super::*;
use crate::audience::rule::Rule;
use crate::hub::Settings;
use crate::hub::ring::Bounds;
use crate::hub::workers::Workers;
use crate::intake::reply::Replies;
use crate::intake::rounds::{MAX_GATHERED, OVERHEAD};
use crate::intake::submissions::desk;
use crate::intake::trust::Trust;

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
    let tally = Arc::new(Tally::new());
    let intake = Intake::new(
        Datagrams::new(vec![socket], Trust::default(), replies, Arc::clone(&tally)),
        desk(Arc::clone(&waker)).1,
        sequencer,
        hub,
        tally,
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
            assert!(intake.rounds.bytes() < most, "{}", intake.rounds.bytes());
        }
        assert!(!intake.rounds.have_room());
        assert!(!intake.datagrams.sockets.is_empty());
        // It goes on as soon as there is room: nothing is left behind, and the count is right.
        while !intake.rounds.is_empty() || !intake.datagrams.sockets.is_empty() {
            intake.publish_round();
            intake.gather();
        }
        assert_eq!(intake.rounds.bytes(), 0);
    }
}
