//! Clients that stop reading: they are closed at their bounds, and nobody else notices.

use crate::common::{Listener, Server, eventually};

/// A document of 4 KB with a number in front.
fn numbered(number: usize) -> String {
    format!(
        "{{\"n\":\"{number:08}\",\"filling\":\"{}\"}}",
        "x".repeat(4000)
    )
}

/// Pushes numbered documents, each when the one before was heard, until the log has this line;
/// returns the line and how many there were.
fn push_until(server: &Server, witnesses: &mut [Listener], words: &str) -> (String, usize) {
    let mut count = 0;
    let line = eventually(words, || {
        for _ in 0..16 {
            server.push(numbered(count));
            for witness in &mut *witnesses {
                assert_eq!(witness.text(), Ok(numbered(count)));
            }
            count += 1;
        }
        let log = server.log();
        let line = log.lines().find(|line| line.contains(words))?;
        Some(line.to_owned())
    });
    (line, count)
}

/// What was `<number> <word>` in a log line.
fn number_before(word: &str, line: &str) -> usize {
    let (before, _) = line.split_once(word).unwrap();
    let number = before.trim_end().rsplit(' ').next().unwrap();
    number.replace(',', "").parse().unwrap()
}

fn closed_at_its_bound(flags: &[&str], is_over: impl Fn(usize, usize) -> bool) {
    let flags = [flags, &["--heartbeat", "3600"]].concat();
    let server = Server::start(&flags);
    let mut stuck = Listener::connect_narrow(server.clients);
    let mut witnesses: Vec<_> = (0..3).map(|_| Listener::connect(server.clients)).collect();
    let (line, count) = push_until(&server, &mut witnesses, "client 1 closed: ");
    let (messages, bytes) = (
        number_before("messages", &line),
        number_before("bytes", &line),
    );
    let expected = format!("too slow: {messages} messages, {bytes} bytes waited (3 online)");
    assert!(line.ends_with(&expected), "{line}");
    assert!(is_over(messages, bytes), "{line}");
    // It reads at last: whole messages without a gap, then why there are no more.
    let mut read = 0;
    let code = loop {
        match stuck.text() {
            Ok(text) => assert_eq!(text, numbered(read)),
            Err(code) => break code,
        }
        read += 1;
    };
    assert_eq!(code, 1013);
    assert!(read < count);
    server.push("\"on it goes\"");
    for witness in &mut witnesses {
        assert_eq!(witness.text().unwrap(), "\"on it goes\"");
    }
}

#[test]
fn a_client_that_stops_reading_is_closed_when_too_many_messages_wait() {
    let bounds = ["--queue", "16", "--queue-bytes", "1000000"];
    closed_at_its_bound(&bounds, |messages, bytes| {
        messages > 16 && bytes < 1_000_000
    });
}

#[test]
fn a_client_that_stops_reading_is_closed_when_too_many_bytes_wait() {
    let bounds = ["--queue", "1000", "--queue-bytes", "140000"];
    closed_at_its_bound(&bounds, |messages, bytes| {
        messages < 1000 && bytes > 140_000
    });
}

#[test]
fn a_client_that_reads_slowly_but_reads_is_not_closed() {
    let server = Server::start(&["--heartbeat", "3600"]);
    let mut slow = Listener::connect_narrow(server.clients);
    let mut witness = [Listener::connect(server.clients)];
    let mut heard = 0;
    // The default bound is 1 MiB: it is behind by half of that again and again.
    for round in 1..=8 {
        for number in heard..round * 128 {
            server.push(numbered(number));
            assert_eq!(witness[0].text(), Ok(numbered(number)));
        }
        while heard < round * 128 {
            assert_eq!(slow.text(), Ok(numbered(heard)));
            heard += 1;
        }
    }
}
