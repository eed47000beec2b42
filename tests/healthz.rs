//! Whether messages get through: what `/healthz` answers, and that asking leaves no trace.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::{Server, conversation, eventually, publisher, receive, skip, udpush};

/// What a canary begins with.
const MARK: &[u8] = b"udpush canary ";

/// An answer is given again for so long, in milliseconds.
const FRESH: u128 = 250;

/// The status and the sentence.
fn healthz(server: &Server) -> (String, String) {
    let answer = conversation(server.clients, "GET /healthz HTTP/1.0\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nCache-Control: no-store\r\n"), "{head}");
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), body.trim_end().to_owned())
}

fn ok() -> (String, String) {
    ("200".to_owned(), "ok".to_owned())
}

fn get(server: &Server, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    let answer = conversation(server.publishers, request);
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn status(server: &Server) -> Value {
    serde_json::from_str(&get(server, "/status")).unwrap()
}

fn sent(server: &Server) -> u64 {
    status(server)["canary"]["sent"].as_u64().unwrap_or(0)
}

#[test]
fn asking_leaves_no_trace_but_the_figure_that_tells_of_it() {
    let mut server = Server::start(&[]);
    let mut client = server.connect_v1("/");
    let mut plain = server.connect();
    let hello = client.json();
    let before = status(&server);
    assert_eq!(before["canary"], json!(null));
    assert!(!get(&server, "/metrics").contains("canary"));
    eventually("several canaries", || {
        assert_eq!(healthz(&server), ok());
        (sent(&server) >= 3).then_some(())
    });
    let after = status(&server);
    for figure in [
        "newest",
        "clients",
        "messages",
        "deliveries",
        "refused",
        "closed",
        "refused_visitors",
        "queues",
        "rates",
        "history",
        "dropped_by_kernel",
    ] {
        assert_eq!(before[figure], after[figure], "{figure}");
    }
    let canary = &after["canary"];
    assert!(canary["took"].as_f64().unwrap() > 0.0, "{canary}");
    assert_eq!(canary["failure"], json!(null));
    assert!(get(&server, "/metrics").contains("\nudpush_canary_success 1\n"));
    assert_eq!(get(&server, "/history"), "");
    // What comes next is the first message, for the two who are there.
    server.push("1");
    let message = client.json();
    let epoch = hello["id"].as_str().unwrap().strip_suffix("-0").unwrap();
    assert_eq!(message["id"], format!("{epoch}-1"));
    assert_eq!(plain.text(), "1");
    let line = server.wait_for_line(" message ");
    assert!(line.ends_with(" for 2 clients (1, 2)"), "{line}");
    assert!(!server.stop().contains("canary"));
}

#[test]
fn many_who_ask_at_once_are_answered_by_few_canaries() {
    let server = Server::start(&[]);
    let start = Instant::now();
    thread::scope(|scope| {
        let asking: Vec<_> = (0..200).map(|_| scope.spawn(|| healthz(&server))).collect();
        for asked in asking {
            assert_eq!(asked.join().unwrap(), ok());
        }
    });
    let most = 1 + start.elapsed().as_millis() / FRESH;
    let sent = sent(&server);
    assert!(
        (1..=most).contains(&sent.into()),
        "{sent} of at most {most}"
    );
}

#[test]
fn what_only_looks_like_a_canary_is_refused_as_any_other_datagram() {
    let mut server = Server::start(&[]);
    assert_eq!(healthz(&server), ok());
    let stranger = publisher();
    for rest in [&[0; 24][..], &[b'0'; 24], b"", b"{}"] {
        let datagram = [MARK, rest].concat();
        stranger.send_to(&datagram, server.publishers).unwrap();
        let (reply, _) = receive(&stranger);
        assert!(
            reply.starts_with("udpush: refused: not JSON at byte 1: "),
            "{reply}"
        );
    }
    assert_eq!(status(&server)["refused"]["datagrams"], 4);
    server.wait_for_line("it begins with udpush canary ");
}

#[test]
fn it_is_well_wherever_messages_are_taken() {
    // The address of this machine that others know; no packet is sent for that.
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let outside = match probe.connect("198.51.100.1:9") {
        Ok(()) => format!("{}:0", probe.local_addr().unwrap().ip()),
        Err(_) => "127.0.0.2:0".to_owned(),
    };
    for publish in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0", &outside] {
        if publish.starts_with('[') && UdpSocket::bind(publish).is_err() {
            continue;
        }
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0", "--publish", publish]);
        // None of them is the machine's own.
        command.args(["--publish-from", "198.51.100.0/24"]);
        let mut server = Server::start_command(command);
        assert_eq!(healthz(&server), ok(), "{publish}");
        let log = server.stop();
        assert!(!log.contains("refused"), "{log}");
    }
}

/// One thread of a server that hangs until this is dropped.
struct Hanging(Pid);

impl Hanging {
    /// `None` where nobody may trace a process of his own.
    fn thread(server: &Server, name: &str) -> Option<Hanging> {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let mut tasks = tasks.map(|task| task.unwrap().path());
        let task = tasks.find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == name);
        let id = task.unwrap().file_name().unwrap().to_str().unwrap().parse();
        let id = Pid::from_raw(id.unwrap());
        match ptrace::seize(id, ptrace::Options::empty()) {
            Err(Errno::EPERM) => return None,
            outcome => outcome.unwrap(),
        }
        let hanging = Hanging(id);
        ptrace::interrupt(id).unwrap();
        waitpid(id, Some(WaitPidFlag::__WALL)).unwrap();
        Some(hanging)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn a_udp_thread_that_hangs_is_told_until_it_goes_on() {
    let mut server = Server::start(&[]);
    assert_eq!(healthz(&server), ok());
    let Some(hanging) = Hanging::thread(&server, "udp") else {
        return skip("needs to trace a process of its own");
    };
    let why = "no answer from the UDP thread within a second: it hangs, or is flooded";
    eventually("a canary that does not come back", || {
        let answer = healthz(&server);
        (answer != ok()).then(|| assert_eq!(answer, ("503".to_owned(), why.to_owned())))
    });
    let told = status(&server);
    assert_eq!(told["canary"]["failure"], why);
    assert_eq!(told["canary"]["took"], json!(null));
    assert!(get(&server, "/metrics").contains("\nudpush_canary_success 0\n"));
    // Whoever watches is no visitor that was refused.
    assert_eq!(told["refused_visitors"], json!({}));
    server.wait_for_line(&format!("[WARN] messages do not get through: {why}"));
    drop(hanging);
    eventually("a canary that comes back", || {
        (healthz(&server) == ok()).then_some(())
    });
    server.wait_for_line("[INFO] messages get through again");
    // Those that were late are no messages either.
    let told = status(&server);
    assert_eq!(told["messages"]["since_start"], 0);
    assert_eq!(told["refused"]["datagrams"], 0);
    let log = server.stop();
    assert!(!log.contains("refused"), "{log}");
    assert_eq!(log.matches("messages do not get through").count(), 1);
}
