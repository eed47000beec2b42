//! What is gathered, and how much of it.

use std::net::{TcpListener, TcpStream, UdpSocket};

use crossbeam_channel::{Sender, bounded};

use super::*;
use crate::admission::Pass;
use crate::audience::registration::Registration;
use crate::audience::rule::Rule;
use crate::canary::{Canary, Why};
use crate::hub::Settings;
use crate::hub::ring::Bounds;
use crate::hub::workers::{Worker, Workers};
use crate::hub::{DIRECT, Wish};
use crate::intake::reply::Replies;
use crate::intake::rounds::{MAX_GATHERED, OVERHEAD};
use crate::intake::submissions::desk;
use crate::intake::trust::Trust;
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::Encoding;
use crate::message;

/// An intake that nobody runs, who keeps it from stopping, and a socket that sends to it.
fn intake() -> (Intake, Sender<()>, UdpSocket) {
    let (intake, stop, sender, ..) = intake_and_more();
    (intake, stop, sender)
}

/// The same with a canary for it, and with the worker of its hub, which nobody runs either.
fn intake_and_more() -> (Intake, Sender<()>, UdpSocket, Arc<Canary>, Worker) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(socket.local_addr().unwrap()).unwrap();
    let waker = Arc::new(Waker::new().unwrap());
    let (workers, mut ends) = Workers::new(1, Arc::clone(&waker));
    let settings = Settings {
        max_clients: 100,
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
    let canary = Arc::new(Canary::new(socket.local_addr().unwrap()));
    let intake = Intake::new(
        Datagrams::new(
            vec![socket],
            Trust::default(),
            replies,
            Arc::clone(&canary),
            Arc::clone(&tally),
        ),
        desk(Arc::clone(&waker)).1,
        sequencer,
        hub,
        tally,
        waker,
        stopped,
    );
    (intake, stop, sender, canary, ends.remove(0))
}

/// Asks until messages get through.
fn wait_until_well(canary: &Canary) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(why) = canary.sing() {
        assert!(Instant::now() < deadline, "{why}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_canary_comes_back_as_long_as_the_udp_thread_runs_and_leaves_no_trace() {
    let (intake, stop, _sender, canary, _worker) = intake_and_more();
    assert!(matches!(canary.sing(), Err(Why::NotTaken)));
    let (hub, tally) = (Arc::clone(&intake.hub), Arc::clone(&intake.tally));
    let waker = Arc::clone(&intake.waker);
    let thread = thread::spawn(|| intake.run());
    wait_until_well(&canary);
    let counted = tally.counted();
    assert_eq!((counted.messages, counted.refused_datagrams), (0, 0));
    let (oldest, newest) = hub.held();
    assert_eq!((oldest, newest.sequence), (newest, 0));
    drop(stop);
    waker.wake();
    thread.join().unwrap().unwrap();
    // What was well a moment ago is not asked again; then nobody is there.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match canary.sing() {
            Err(Why::Socket(error)) if error.kind() == io::ErrorKind::ConnectionRefused => break,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
}

#[test]
fn workers_that_hang_are_a_reason_why_the_canary_does_not_come_back() {
    let (mut intake, stop, sender, canary, worker) = intake_and_more();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mailbox = Mailbox::over(socket);
    let wish = Wish {
        encoding: Encoding::Plain,
        admitted: Pass::default().admit(Registration::default()).unwrap(),
        since: None,
        last: 0,
        watches: false,
    };
    let join = |_| intake.hub.join(&mailbox, wish.clone(), Vec::new()).unwrap();
    let _members: Vec<_> = (0..=DIRECT).map(join).collect();
    while intake.hub.has_room() {
        sender.send(b"1").unwrap();
        intake.gather();
        intake.publish();
    }
    let waker = Arc::clone(&intake.waker);
    let thread = thread::spawn(|| intake.run());
    assert!(matches!(canary.sing(), Err(Why::NotPublished)));
    let working = thread::spawn(|| worker.run());
    wait_until_well(&canary);
    drop(stop);
    waker.wake();
    thread.join().unwrap().unwrap();
    drop(_members);
    working.join().unwrap();
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

#[test]
fn a_flood_of_datagrams_does_not_keep_out_what_other_threads_hand_in() {
    let (mut intake, _stop, sender) = intake();
    let (desk, submissions) = desk(Arc::clone(&intake.waker));
    intake.submissions = submissions;
    // One of these leaves no room for anything else.
    let flood = "1\n".repeat(32_000);
    let fill = |intake: &mut Intake| {
        for _ in 0..3 {
            // What the kernel has no room for it drops.
            sender.send(flood.as_bytes()).unwrap();
        }
        intake.gather();
    };
    while intake.rounds.have_room() {
        fill(&mut intake);
    }
    let publisher = thread::spawn(move || {
        let mut places = Vec::new();
        let text = bytes::Bytes::from_static(b"2");
        message::split(&text, &mut places).unwrap();
        let document = Document::new(text).unwrap();
        desk.submit(vec![document], ([127, 0, 0, 1], 1).into())
    });
    while intake.submissions.is_empty() {
        thread::yield_now();
    }
    // Twice all that may be gathered has gone by then, and there were two turns.
    let rounds = 2 * (MAX_GATHERED / OVERHEAD + 32_000) / 1024;
    for _ in 0..rounds {
        intake.publish_round();
        fill(&mut intake);
    }
    assert!(intake.submissions.is_empty(), "it waits for ever");
    while !intake.rounds.is_empty() {
        intake.publish_round();
    }
    assert_eq!(publisher.join().unwrap().unwrap().len(), 1);
}
