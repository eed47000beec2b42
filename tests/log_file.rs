//! The file of the log: it is followed, rotated, and never in the way.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::libc;

use crate::common::{Directory, Server, eventually, own_address, udpush, udpush_under};

/// The sequence numbers of the messages that these lines tell of.
fn messages(log: &str) -> Vec<usize> {
    let lines = log.lines().filter_map(|line| line.split_once("] message "));
    lines
        .map(|(_, rest)| {
            let id = rest.split(' ').next().unwrap();
            id.split_once('-').unwrap().1.parse().unwrap()
        })
        .collect()
}

fn read(path: &Path) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    assert!(!log.contains('\0'), "a hole: {}", log.escape_debug());
    assert!(log.is_empty() || log.ends_with('\n'), "half a line: {log}");
    log
}

/// Waits until the server has this file open, or has it no more: it looks when it writes.
fn wait_for_open(server: &Server, path: &Path, is_open: bool) {
    let descriptors = format!("/proc/{}/fd", server.pid());
    eventually("a look at the log's path", || {
        let open = fs::read_dir(&descriptors).unwrap();
        let mut open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        (open.any(|open| open == path) == is_open).then_some(())
    });
}

/// Pushes one document, and waits until the log at its path tells of message `number`.
fn push_and_wait(server: &mut Server, number: usize) {
    server.push(number.to_string());
    server.wait_for_line(&format!("-{number} from 127.0.0.1:"));
}

#[test]
fn it_is_followed_when_it_is_moved_deleted_or_truncated() {
    let mut server = Server::start(&[]);
    let (path, moved) = (server.log_path(), server.directory.file("moved"));
    push_and_wait(&mut server, 1);
    fs::rename(&path, &moved).unwrap();
    push_and_wait(&mut server, 2);
    assert_eq!(messages(&read(&moved)), [1]);
    assert_eq!(messages(&read(&path)), [2]);

    fs::remove_file(&path).unwrap();
    push_and_wait(&mut server, 3);
    assert_eq!(messages(&read(&path)), [3]);

    // What logrotate's copytruncate does.
    let copy = server.directory.file("copy");
    fs::copy(&path, &copy).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    push_and_wait(&mut server, 4);
    assert_eq!(messages(&read(&copy)), [3]);
    assert_eq!(messages(&read(&path)), [4]);

    // What logrotate's create does.
    fs::rename(&path, &copy).unwrap();
    File::create_new(&path).unwrap();
    push_and_wait(&mut server, 5);
    assert_eq!(messages(&read(&copy)), [4]);
    assert_eq!(messages(&read(&path)), [5]);
    assert_eq!(messages(&read(&moved)), [1]);
}

#[test]
fn no_line_is_lost_or_doubled_when_it_is_moved_while_lines_come() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let mut moves = 0;
    // Fewer than there may be in a second: each has a line of its own.
    for number in 1..=90 {
        server.push(number.to_string());
        assert_eq!(client.text(), number.to_string());
        if number % 3 == 0 {
            let moved = server.directory.file(&format!("moved-{number:02}"));
            match fs::rename(server.log_path(), moved) {
                Ok(()) => moves += 1,
                // It is not there yet: nothing is to be moved.
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
            }
        }
    }
    drop(client);
    server.stop();
    let mut found = messages(&read(&server.log_path()));
    for number in 1..=90 {
        found.extend(messages(&read(
            &server.directory.file(&format!("moved-{number:02}")),
        )));
    }
    found.sort_unstable();
    assert_eq!(found, (1..=90).collect::<Vec<_>>());
    assert!(moves > 1, "it was moved under way");
}

#[test]
fn it_is_rotated_at_its_size_and_five_old_ones_are_kept() {
    let server = Server::start(&["--log-max-size", "4096", "--log-level", "debug"]);
    let file = |age: usize| match age {
        0 => server.log_path(),
        age => server.directory.file(&format!("udpush.log.{age}")),
    };
    // Three or four of these fill a file.
    let filling = "x".repeat(1000);
    for number in 1..=40 {
        server.push(format!("\"{number} {filling}\""));
        // One after another, so that each is a write of its own; it may be rotated meanwhile.
        let words = format!("-{number}: \"{number} x");
        eventually(&words, || {
            let found = (0..2).any(|age| read(&file(age)).contains(&words));
            found.then_some(())
        });
    }
    let files: Vec<_> = (0..=5).rev().map(|age| read(&file(age))).collect();
    assert!(!file(6).exists());
    for (number, text) in files.iter().enumerate() {
        assert!(text.len() <= 4096, "{} bytes in {number}", text.len());
        assert!(!text.is_empty());
    }
    // The newest ones, without a gap; and those before were read in their time, one by one.
    let kept = messages(&files.concat());
    let first = kept[0];
    assert!(first > 1, "nothing was rotated away");
    assert_eq!(kept, (first..=40).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_neither_ends_the_server_nor_delays_it_and_is_told_of_later() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.wait_for_line("client 1 connected");
    push_and_wait(&mut server, 1);
    assert_eq!(client.text(), "1");
    // Writing to it works as on a full disk.
    let (path, before) = (server.log_path(), server.directory.file("before"));
    fs::rename(&path, &before).unwrap();
    symlink("/dev/full", &path).unwrap();
    for number in 2..=50 {
        server.push(number.to_string());
        assert_eq!(client.text(), number.to_string());
    }
    wait_for_open(&server, Path::new("/dev/full"), true);
    // There is room again.
    fs::remove_file(&path).unwrap();
    push_and_wait(&mut server, 51);
    let line = server.wait_for_line(" log lines were lost: No space left on device");
    let (start, _) = line.split_once(" log lines").unwrap();
    let lost: usize = start.rsplit(' ').next().unwrap().parse().unwrap();
    // What was on its way when the disk was exchanged is in one of the files; the sum is right.
    let written = [messages(&read(&before)), messages(&read(&path))].concat();
    assert_eq!(lost + written.len(), 51, "{written:?}");
}

#[test]
fn a_log_on_a_full_disk_from_the_start_does_not_keep_it_from_serving() {
    let address = own_address();
    let mut command = udpush();
    command.args(["--log-file", "/dev/full", "--log-level", "debug"]);
    let (clients, publishers) = ((address, 9552).into(), (address, 9553).into());
    let mut server = Server::start_at(clients, publishers, command, "no log");
    let mut client = server.connect();
    for number in 1..=200 {
        server.push(number.to_string());
        assert_eq!(client.text(), number.to_string());
    }
    drop(client);
    server.stop();
}

#[test]
fn a_directory_that_vanishes_and_comes_back_is_told_of() {
    let directory = Directory::new();
    fs::create_dir(directory.file("logs")).unwrap();
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.args(["--log-file", "logs/udpush.log"]);
    let mut server = Server::start_in(directory, command, "logs/udpush.log");
    let (logs, gone) = (server.directory.file("logs"), server.directory.file("gone"));
    fs::rename(&logs, &gone).unwrap();
    let mut client = server.connect();
    server.push("1");
    assert_eq!(client.text(), "1");
    // A line is lost.
    wait_for_open(&server, &gone.join("udpush.log"), false);
    fs::create_dir(&logs).unwrap();
    server.push("2");
    assert_eq!(client.text(), "2");
    server.wait_for_line("-2 from 127.0.0.1:");
    server.wait_for_line(" lost: No such file or directory");
}

#[test]
fn a_log_that_is_stuck_delays_neither_a_push_nor_the_end() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut client = server.connect();
    push_and_wait(&mut server, 1);
    assert_eq!(client.text(), "1");
    // Nobody reads it: whoever opens or writes it waits.
    let path = server.log_path();
    fs::rename(&path, server.directory.file("before")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    for number in 2..=200 {
        server.push(number.to_string());
        assert_eq!(client.text(), number.to_string());
    }
    // When it is read at last, nothing of it is missing.
    let mut pipe = File::options();
    pipe.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let mut pipe = pipe.open(&path).unwrap();
    let mut text = Vec::new();
    let found = eventually("the lines that waited", || {
        // That nothing more is there now is no fault.
        let _ = pipe.read_to_end(&mut text);
        let end = text.iter().rposition(|byte| *byte == b'\n')?;
        let found = messages(str::from_utf8(&text[..end]).unwrap());
        (found.len() >= 89).then_some(found)
    });
    assert_eq!(found[..89], (2..=90).collect::<Vec<_>>());
    drop(pipe);
    drop(client);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_minus_is_stderr_alone() {
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.args(["--log-file", "-"]);
    let mut server = Server::start_in(Directory::new(), command, "stderr");
    push_and_wait(&mut server, 1);
    server.stop();
    let files = fs::read_dir(server.directory.path()).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["stderr"]);
}

#[test]
fn a_restart_goes_on_at_the_end_of_it() {
    let directory = Directory::new();
    fs::write(directory.file("udpush.log"), "a line from before\n").unwrap();
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    let mut server = Server::start_in(directory, command, "udpush.log");
    let log = server.stop();
    let (first, rest) = log.split_once('\n').unwrap();
    assert_eq!(first, "a line from before");
    assert!(rest.lines().next().unwrap().contains("] udpush "), "{log}");
    // It says where it is, as an operator may not know where the process was started.
    let line = rest.lines().nth(1).unwrap();
    assert!(
        line.ends_with(&format!("] log: {}", server.log_path().display())),
        "{line}"
    );
}

#[test]
fn after_half_a_line_from_before_the_next_has_a_line_of_its_own() {
    let directory = Directory::new();
    fs::write(directory.file("udpush.log"), "a line\nhalf a line").unwrap();
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    let mut server = Server::start_in(directory, command, "udpush.log");
    let log = server.stop();
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("a line"));
    assert_eq!(lines.next(), Some("half a line"));
    assert!(lines.next().unwrap().contains("] udpush "), "{log}");
}

/// A server that can write so many times 512 bytes into a file, and no more: a disk that is full in
/// the midst of a line.
fn start_on_a_small_disk(blocks: usize, flags: &[&str]) -> Server {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = udpush_under(&["sh", "-c", &script]);
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.args(["--log-level", "debug"]).args(flags);
    command.env("TZ", "UTC0");
    Server::start_command(command)
}

/// Pushes a document whose line the disk does not hold, and waits until it is full.
fn fill(server: &Server, bytes: u64) {
    server.push(format!("\"{}\"", "x".repeat(2 * bytes as usize)));
    eventually("a full disk", || {
        // Between two files there is none for a moment.
        let file = fs::metadata(server.log_path()).ok()?;
        (file.len() == bytes).then_some(())
    });
}

/// Each line is whole, but for the last one of a file that is torn.
fn assert_whole(log: &str, is_torn: bool) {
    let mut lines: Vec<_> = log.split('\n').collect();
    let last = lines.pop().unwrap();
    assert_eq!(!last.is_empty(), is_torn, "{log}");
    for line in lines {
        assert!(
            line.get(23..29) == Some("+00:00") && line[29..].starts_with(" ["),
            "{log}"
        );
    }
}

#[test]
fn half_a_line_on_a_full_disk_leaves_no_trace_in_the_next_file() {
    let mut server = start_on_a_small_disk(16, &["--log-max-size", "4096"]);
    fill(&server, 8192);
    push_and_wait(&mut server, 2);
    assert_whole(&server.log(), false);
    let torn = fs::read_to_string(server.directory.file("udpush.log.1")).unwrap();
    assert_whole(&torn, true);
    server.wait_for_line("1 log line was lost: File too large");
}

#[test]
fn half_a_line_that_is_truncated_away_leaves_no_trace() {
    let mut server = start_on_a_small_disk(16, &[]);
    fill(&server, 8192);
    File::options()
        .write(true)
        .open(server.log_path())
        .unwrap()
        .set_len(0)
        .unwrap();
    push_and_wait(&mut server, 2);
    assert_whole(&server.log(), false);
    server.wait_for_line("1 log line was lost: File too large");
}
