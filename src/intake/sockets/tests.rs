//! How much is taken, and from whom.

use super::*;

fn sockets(count: usize) -> (Sockets, Vec<SocketAddr>, UdpSocket) {
    let sockets = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let sockets: Vec<_> = sockets.collect();
    let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap());
    let addresses = addresses.collect();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    (Sockets::new(sockets), addresses, sender)
}

#[test]
fn no_more_is_kept_than_may_be_and_the_rest_waits_in_the_kernel() {
    let (mut sockets, addresses, sender) = sockets(1);
    // One look finds a few at a time.
    let most = MAX_BYTES + 8 * (65_507 + OVERHEAD);
    for datagram in [vec![b'x'; 60_000], vec![b'x'; 10]] {
        for _ in 0..2 * MAX_BYTES / (datagram.len() + OVERHEAD) {
            sender.send_to(&datagram, addresses[0]).unwrap();
            sockets.take();
            assert!(sockets.bytes < most, "{}", sockets.bytes);
        }
        assert!(sockets.bytes >= MAX_BYTES);
        assert!(!sockets.take(), "there is no room");
        while let Some(arrival) = sockets.next() {
            assert_eq!(arrival.bytes.len(), datagram.len());
        }
        assert_eq!(sockets.bytes, 0);
        assert!(sockets.take(), "the kernel kept some");
        while sockets.take() || sockets.next().is_some() {}
    }
}

#[test]
fn sockets_take_turns_and_each_datagram_knows_its_own() {
    let (mut sockets, addresses, sender) = sockets(2);
    for number in 0..100u8 {
        for address in &addresses {
            sender.send_to(&[number], address).unwrap();
        }
    }
    while sockets.take() {}
    let mut next = [0, 0];
    let mut longest_turn = (0, 0);
    while let Some(arrival) = sockets.next() {
        let address = sockets.socket_of(&arrival).local_addr().unwrap();
        assert_eq!(address, addresses[arrival.socket]);
        assert_eq!(arrival.sender, sender.local_addr().unwrap());
        assert_eq!(arrival.bytes[0], next[arrival.socket]);
        next[arrival.socket] += 1;
        longest_turn = match longest_turn {
            (socket, turn) if socket == arrival.socket => (socket, turn + 1),
            _ => (arrival.socket, 1),
        };
        assert!(longest_turn.1 <= 8, "one keeps the other waiting");
    }
    assert_eq!(next, [100, 100]);
}

#[test]
fn what_the_kernel_dropped_is_counted_once_although_it_is_asked_before_all_is_taken() {
    const SENT: u64 = 5000;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    os::enlarge_receive_buffer(&socket, 64 << 10).unwrap();
    let address = socket.local_addr().unwrap();
    let mut sockets = Sockets::new(vec![socket]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let more_than_it_holds = || {
        for _ in 0..SENT / 2 {
            sender.send_to(b"x", address).unwrap();
        }
    };
    more_than_it_holds();
    // Some make room in the kernel for others, which tell what was dropped so far. The kernel frees
    // a quarter of its buffer at a time.
    for _ in 0..10 {
        sockets.bytes = MAX_BYTES - 1;
        assert!(sockets.take());
    }
    more_than_it_holds();
    sockets.ask_what_was_dropped();
    sockets.bytes = 0;
    assert!(sockets.take(), "the kernel kept some");
    while sockets.take() {}
    sockets.ask_what_was_dropped();
    let taken = sockets.arrivals.len() as u64;
    assert_eq!((taken < SENT, taken + sockets.dropped()), (true, SENT));
}

#[test]
fn a_count_that_is_older_than_what_is_known_tells_nothing_new_and_one_may_wrap_around() {
    let mut known = u32::MAX - 1;
    let told = [u32::MAX - 1, u32::MAX - 3, u32::MAX, 2, u32::MAX, 2, 5];
    let news = told.map(|dropped| note_dropped(&mut known, dropped));
    assert_eq!(news, [0, 0, 1, 3, 0, 0, 3]);
}
