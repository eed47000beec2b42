//! The scripts that users push with, run by the real sh, nc, bash and php.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::{Directory, Ending, Server};

/// A document of this many bytes.
fn document(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

fn script(name: &str) -> String {
    format!("{}/scripts/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn push_sh(server: &Server) -> Command {
    let mut command = Command::new("sh");
    command.arg(script("push.sh"));
    command.env("UDPUSH_PUBLISH", server.publishers.to_string());
    command
}

fn push_php(server: &Server) -> Command {
    let mut command = Command::new("php");
    command.arg(script("push.php"));
    command.env("UDPUSH_PUBLISH", server.publishers.to_string());
    command
}

/// PHP that has the function, as a project has it.
fn php_code(server: &Server, code: &str) -> Output {
    let code = format!("require '{}'; {code}", script("push.php"));
    let mut command = Command::new("php");
    command.args(["-d", "display_errors=stderr", "-r", &code]);
    command.env("UDPUSH_PUBLISH", server.publishers.to_string());
    run(&mut command, "")
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = Ending::start(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin();
    // In parts, as most programs write into a pipe. A script that fails early does not read.
    for part in input.as_bytes().chunks(4096) {
        let _ = stdin.write_all(part);
    }
    drop(stdin);
    child.output()
}

/// It printed nothing: cron mails whatever a job prints.
fn assert_silent(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

fn assert_fails(output: &Output, status: i32, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// A directory for PATH with these programs alone.
fn programs(names: &[&str]) -> Directory {
    let directory = Directory::new();
    let path = std::env::var_os("PATH").unwrap();
    for name in names {
        let found = std::env::split_paths(&path)
            .map(|place| place.join(name))
            .find(|file| file.exists())
            .unwrap_or_else(|| panic!("no {name} in PATH"));
        symlink(found, directory.file(name)).unwrap();
    }
    directory
}

fn only(path: &Path, mut command: Command) -> Command {
    command.env("PATH", path);
    command
}

#[test]
fn push_sh_takes_an_argument_or_standard_input() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let argument = r#"{"b":"\u00e9 é $HOME `id` %s \\n","a":[1, 2]}"#;
    assert_silent(&run(push_sh(&server).arg(argument), ""));
    assert_eq!(client.text(), argument);
    // The most that nc sends in one datagram.
    let largest = document(16_384);
    assert_silent(&run(&mut push_sh(&server), &largest));
    assert_eq!(client.text(), largest);
}

#[test]
fn push_sh_tells_what_was_refused_and_what_is_wrong() {
    let server = Server::start(&[]);
    let refused = run(push_sh(&server).arg(r#"{"msg":}"#), "");
    let sentence = "udpush: refused: not JSON at byte 8: expected value\n";
    assert_fails(&refused, 1, sentence);

    let too_many = run(&mut push_sh(&server), &document(16_385));
    assert_fails(&too_many, 1, "nc sends at most 16384 in one datagram");
    assert_fails(&too_many, 1, "scripts/push.php");
    assert_fails(&run(push_sh(&server).args(["1", "2"]), ""), 2, "usage: ");
    assert_fails(&run(&mut push_sh(&server), ""), 2, "usage: ");
}

#[test]
fn push_sh_does_without_nc_where_there_is_bash() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let tools = programs(&["sh", "bash", "cat", "head", "mktemp", "rm", "timeout", "wc"]);
    let push = || only(tools.path(), push_sh(&server));
    for size in [100, 65_507] {
        assert_silent(&run(&mut push(), &document(size)));
        assert_eq!(client.text(), document(size));
    }
    let refused = run(push().arg("hello"), "");
    let sentence = "udpush: refused: not JSON at byte 1: expected value\n";
    assert_fails(&refused, 1, sentence);
    let too_many = run(&mut push(), &document(65_508));
    assert_fails(&too_many, 1, "a datagram holds at most 65507");

    let tools = programs(&["sh", "cat", "mktemp", "rm", "wc"]);
    let neither = run(only(tools.path(), push_sh(&server)).arg("1"), "");
    assert_fails(&neither, 1, "netcat-openbsd");
}

#[test]
fn push_php_takes_an_argument_or_standard_input() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let argument = r#"{"b":"\u00e9 é","a":[1, 2]}"#;
    assert_silent(&run(push_php(&server).arg(argument), ""));
    assert_eq!(client.text(), argument);
    // The most that a datagram holds, and the most that the server takes.
    for size in [65_507, 1_048_576] {
        assert_silent(&run(push_php(&server).arg("-"), &document(size)));
        assert_eq!(client.text(), document(size));
    }
}

#[test]
fn push_php_tells_what_was_refused_and_what_is_wrong() {
    let mut server = Server::start(&[]);
    let refused = run(push_php(&server).arg(r#"{"msg":}"#), "");
    let sentence = "udpush: refused: not JSON at byte 8: expected value\n";
    assert_fails(&refused, 1, sentence);
    let too_many = run(push_php(&server).arg("-"), &document(1_048_577));
    assert_fails(&too_many, 1, "a document has at most 1048576 bytes");
    assert_fails(&run(&mut push_php(&server), ""), 2, "usage: ");

    server.signal("TERM");
    server.wait();
    let nobody = run(push_php(&server).arg("1"), "");
    assert_fails(&nobody, 1, "nobody listens on 127.0.0.1:");
}

#[test]
fn a_php_project_pushes_arrays_and_strings_and_is_told_only_if_it_waits() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let code = r#"udpush(["msg" => "é / \"", "n" => 1.5]); udpush('[1,  2]');"#;
    assert_silent(&php_code(&server, code));
    assert_eq!(client.text(), r#"{"msg":"é / \"","n":1.5}"#);
    assert_eq!(client.text(), "[1,  2]");

    assert_silent(&php_code(&server, "udpush('hello');"));
    server.wait_for_line("not JSON at byte 1: expected value");
    let caught = "try { udpush('hello', 5000); } catch (RuntimeException $e) { fwrite(STDERR, $e->getMessage()); exit(3); }";
    assert_fails(
        &php_code(&server, caught),
        3,
        "udpush: refused: not JSON at byte 1: expected value",
    );
}
