//! What the machine has no more of: new clients wait for it, old ones notice nothing, and nobody asks for it without
//! pause.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::common::{Client, Directory, Listener, PATIENCE, Server, eventually, udpush};
use crate::limits::is_root;

/// Sends the handshakes of so many clients; the kernel takes connections that udpush cannot.
fn knock(server: &Server, count: usize) -> VecDeque<TcpStream> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(server.clients).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(Listener::HANDSHAKE).unwrap();
            stream
        })
        .collect()
}

/// They come in turn; who is in leaves, and so makes room.
fn come_and_go(mut clients: VecDeque<TcpStream>) {
    while let Some(mut first) = clients.pop_front() {
        let mut answer = [0; 12];
        let outcome = first.read_exact(&mut answer);
        assert!(
            outcome.is_ok(),
            "turned away, {} behind it: {outcome:?}",
            clients.len()
        );
        assert_eq!(&answer, b"HTTP/1.1 101");
    }
}

/// All of them get in.
fn all_come(clients: VecDeque<TcpStream>) {
    for mut client in clients {
        let mut answer = [0; 12];
        client.read_exact(&mut answer).expect("no reset");
        assert_eq!(&answer, b"HTTP/1.1 101");
    }
}

/// An old client hears what is pushed while the log tells again and again that there is no place for new ones, and
/// there is a pause between any two of these lines: each is an attempt.
fn expect_calm(server: &Server, old: &mut Client, words: &str) {
    const PAUSE: u64 = 95;
    let attempts = eventually(words, || {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains(words));
        let attempts: Vec<_> = lines.map(milliseconds).collect();
        (attempts.len() >= 3).then_some(attempts)
    });
    for pair in attempts.windows(2) {
        assert!(pair[1] >= pair[0] + PAUSE, "{attempts:?}");
    }
    server.push("1");
    assert_eq!(old.text(), "1");
}

/// When a line was written, after 2026-11-23T: 09:17:52.848+01:00.
fn milliseconds(line: &str) -> u64 {
    let part = |from: usize, to: usize| line[from..to].parse::<u64>().unwrap();
    let seconds = (part(11, 13) * 60 + part(14, 16)) * 60 + part(17, 19);
    let day = part(8, 10);
    (day * 86_400 + seconds) * 1000 + part(20, 23)
}

/// Sets a limit of the running server's, such as `--nofile=20:20`, as the user that it runs as.
fn limit(server: &Server, limit: &str, user: &[&str]) {
    let pid = server.pid().to_string();
    let prlimit = ["prlimit", "--pid", &pid, limit];
    let command = [user, &prlimit].concat();
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{limit}: {output:?}");
}

/// With so many descriptors left, 60 clients get in one after another, each in the place of one
/// that left, and none is turned away.
fn waits_for_descriptors(left: usize) {
    let server = Server::start(&[]);
    let mut old = server.connect();
    let taken = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let allowed = taken.count() + left;
    limit(&server, &format!("--nofile={allowed}:{allowed}"), &[]);
    let clients = knock(&server, 60);
    expect_calm(
        &server,
        &mut old,
        "cannot accept a client: Too many open files",
    );
    come_and_go(clients);
}

#[test]
fn without_descriptors_clients_wait_until_there_are_some_again() {
    // A client takes two: the last one may be missing, or the last two.
    waits_for_descriptors(40);
    waits_for_descriptors(41);
}

#[test]
fn without_threads_clients_wait_until_there_are_some_again() {
    // Root may have as many as it likes; and others may not reach where the binary lies.
    let directory = Directory::new();
    let copy = directory.file("udpush");
    fs::copy(udpush().get_program(), &copy).unwrap();
    let user: &[_] = match is_root() {
        true => &["setpriv", "--reuid", "65534", "--clear-groups"],
        false => &["env"],
    };
    let mut command = Command::new(user[0]);
    command
        .args(&user[1..])
        .arg(&copy)
        .args(["--log-file", "-"]);
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    let server = Server::start_in(directory, command, "stderr");
    let mut old = server.connect();
    limit(&server, "--nproc=1:5000", user);
    let clients = knock(&server, 20);
    expect_calm(
        &server,
        &mut old,
        "cannot accept a client: Resource temporarily unavailable",
    );
    limit(&server, "--nproc=5000:5000", user);
    all_come(clients);
}

/// With so much memory left beyond what the process has, nobody new gets in, and all do when there is more.
fn waits_for_memory(left: u64) {
    let server = Server::start(&[]);
    let mut old = server.connect();
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = size.unwrap().split_whitespace().next().unwrap();
    let allowed = (kibibytes.parse::<u64>().unwrap() << 10) + left;
    limit(&server, &format!("--as={allowed}:unlimited"), &[]);
    let clients = knock(&server, 20);
    expect_calm(
        &server,
        &mut old,
        "cannot accept a client: no memory for a thread",
    );
    limit(&server, "--as=unlimited:unlimited", &[]);
    all_come(clients);
}

#[test]
fn without_memory_for_a_thread_clients_wait_until_there_is_some_again() {
    // None; for a stack, but not for all that a thread needs; for some threads.
    for left in [0, 264 << 10, 276 << 10, 300 << 10, 8 << 20] {
        waits_for_memory(left);
    }
}
