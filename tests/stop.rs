//! SIGINT and SIGTERM: everyone is told, what has come is delivered, the exit status is right.

use crate::common::{Server, eventually};

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
