//! Who is answered what, without anybody who lets the canary through; the intake's tests have that.

use std::net::UdpSocket;
use std::thread;

use super::*;

impl Canary {
    /// One that has left, of a canary of its own.
    pub(crate) fn flying() -> Arc<Flight> {
        let ends = Ends::new(([127, 0, 0, 1], 1).into()).unwrap();
        Arc::new(ends.flight(1))
    }

    /// Waits until it is on its way.
    fn wait_for_flight(&self) -> Arc<Flight> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(flight) = &self.state().flight {
                return Arc::clone(flight);
            }
            assert!(Instant::now() < deadline, "it never left");
            thread::yield_now();
        }
    }
}

/// A canary, and the socket that it is sent to.
fn canary() -> (Canary, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (Canary::new(socket.local_addr().unwrap()), socket)
}

/// What the UDP thread does with a datagram.
fn let_through(canary: &Canary, datagram: &[u8]) -> bool {
    let taken = canary
        .number(datagram)
        .and_then(|number| canary.take(number));
    if let Some(flight) = &taken {
        flight.mailbox().post_alone(flight.parcel());
        flight.was_posted();
        flight.mailbox().deliver();
    }
    taken.is_some()
}

#[test]
fn only_what_knows_the_nonce_is_the_canary() {
    let (canary, _socket) = canary();
    let genuine = canary.datagram(7);
    assert_eq!(canary.number(&genuine), Some(7));
    for place in 0..MARK.len() + 16 {
        let mut other = genuine.clone();
        other[place] ^= 1;
        assert_eq!(canary.number(&other), None, "{place}");
    }
    let longer = [&genuine[..], b" "].concat();
    for other in [&longer, &genuine[..genuine.len() - 1], MARK, b"", b"{}"] {
        assert_eq!(canary.number(other), None);
    }
    let stranger = Canary::new(canary.target);
    assert_eq!(stranger.number(&genuine), None);
    // Nobody waits for it.
    assert!(!let_through(&canary, &genuine));
}

#[test]
fn whoever_asks_meanwhile_or_soon_after_is_answered_by_the_same_canary() {
    let (canary, socket) = canary();
    let start = Instant::now();
    thread::scope(|scope| {
        let first = scope.spawn(|| canary.sing());
        canary.wait_for_flight();
        let others: Vec<_> = (0..20).map(|_| scope.spawn(|| canary.sing())).collect();
        let mut datagram = [0; 100];
        while !first.is_finished() || !others.iter().all(|other| other.is_finished()) {
            socket
                .set_read_timeout(Some(Duration::from_millis(10)))
                .unwrap();
            if let Ok(length) = socket.recv(&mut datagram) {
                let_through(&canary, &datagram[..length]);
                // What comes twice is not let through again.
                assert!(!let_through(&canary, &datagram[..length]));
            }
        }
        for answer in [first].into_iter().chain(others) {
            answer.join().unwrap().unwrap();
        }
    });
    // Each answer is given again for so long.
    let most = 1 + start.elapsed().as_millis() / FRESH.as_millis();
    let sent = canary.report().unwrap().sent;
    assert!(u128::from(sent) <= most, "{sent} of at most {most}");
}

#[test]
fn a_canary_that_is_lost_is_sent_again() {
    let (canary, socket) = canary();
    thread::scope(|scope| {
        let asked = scope.spawn(|| canary.sing());
        let mut datagram = [0; 100];
        socket.recv(&mut datagram).unwrap();
        let length = socket.recv(&mut datagram).unwrap();
        assert!(let_through(&canary, &datagram[..length]));
        asked.join().unwrap().unwrap();
    });
    assert_eq!(canary.report().unwrap().sent, 1);
}

#[test]
fn why_it_did_not_come_back_is_where_it_was_seen_last() {
    let (canary, _socket) = canary();
    let sing = || canary.sing().unwrap_err().to_string();
    assert_eq!(
        sing(),
        "no answer from the UDP thread within a second: it hangs, or is flooded"
    );
    // It was not looked again.
    assert!(sing().starts_with("no answer from the UDP thread"));
    assert_eq!(canary.report().unwrap().sent, 1);
    for is_posted in [false, true] {
        canary.state().last = None;
        thread::scope(|scope| {
            let asked = scope.spawn(sing);
            let flight = canary.wait_for_flight();
            assert!(canary.take(flight.number()).is_some());
            if is_posted {
                flight.was_posted();
            }
            let why = asked.join().unwrap();
            let is_lost_late = why == "nothing came out of a mailbox within a second";
            assert_eq!(is_lost_late, is_posted, "{why}");
            assert!(is_posted || why.starts_with("the UDP thread did not publish"));
        });
    }
}

#[test]
fn a_server_that_stops_lets_nobody_wait() {
    let (canary, _socket) = canary();
    thread::scope(|scope| {
        let asked = scope.spawn(|| canary.sing());
        canary.wait_for_flight();
        let other = scope.spawn(|| canary.sing());
        canary.stop();
        for asked in [asked, other] {
            assert!(matches!(asked.join().unwrap(), Err(Why::Stopping)));
        }
    });
    assert!(matches!(canary.sing(), Err(Why::Stopping)));
}

#[test]
fn whoever_panics_while_it_is_under_way_leaves_room_for_the_next() {
    let (canary, _socket) = canary();
    canary.state().is_under_way = true;
    canary.state().sent = 1;
    thread::scope(|scope| {
        let waiting = scope.spawn(|| canary.sing());
        let sending = scope.spawn(|| {
            let _watch = Watch(&canary);
            panic!("on purpose");
        });
        assert!(sending.join().is_err());
        // Who came too late to wait for it sent one itself, which nobody lets through.
        let told = waiting.join().unwrap();
        assert!(
            matches!(told, Err(Why::NotTold | Why::NotTaken)),
            "{told:?}"
        );
    });
    assert!(!canary.state().is_under_way);
}
