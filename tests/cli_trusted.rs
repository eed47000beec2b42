//! The commands that ask the server, and what comes of it.

use std::process::Command;

use serde_json::Value;

use crate::common::{Ending, Server, udpush};

/// A server, and the way to ask it.
struct Asked(Server);

impl Asked {
    fn start(flags: &[&str]) -> Asked {
        // No sign of life is to come between what is expected.
        Asked(Server::start(&[flags, &["--heartbeat", "3600"]].concat()))
    }

    /// Exit status, standard output, standard error.
    fn ask_with(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut command = udpush();
        // Of no use here, and not to be followed.
        command.env("HTTP_PROXY", "http://127.0.0.1:1");
        command.env("UDPUSH_PUBLISH", self.0.publishers.to_string());
        let ending = Ending::start_with_input(command.args(arguments), input.as_bytes());
        let output = ending.output();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code().expect("no signal"), stdout, stderr)
    }

    fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        self.ask_with(arguments, "")
    }

    /// What it prints, where all is well.
    fn told(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.ask(arguments);
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}");
        stdout
    }

    /// What it shows on a terminal.
    fn shown(&self, arguments: &str, variables: &[(&str, &str)]) -> String {
        let binary = udpush().get_program().to_str().unwrap().to_owned();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{binary} {arguments}"), "/dev/null"]);
        command.env_remove("NO_COLOR");
        command.env("UDPUSH_PUBLISH", self.0.publishers.to_string());
        command.envs(variables.iter().copied());
        let output = Ending::start_with_input(&mut command, b"").output();
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    }
}

/// The id, and how many hear it.
fn receipt(line: &str) -> (&str, &str) {
    line.split_once('\t').unwrap()
}

#[test]
fn whoever_sends_is_told_how_many_hear_it() {
    let asked = Asked::start(&[]);
    let document = r#"{"school_id":2,"n" : 1.0}"#;
    let (status, stdout, stderr) = asked.ask(&["send", document]);
    assert_eq!((status, stderr.as_str()), (3, ""));
    assert_eq!(receipt(stdout.trim_end()).1, "0");

    let mut first = asked.0.connect_v1("/?school_id=2");
    let mut second = asked.0.connect_v1("/?school_id=3");
    first.json();
    second.json();
    let told = asked.told(&["send", document]);
    let (id, clients) = receipt(told.trim_end());
    assert_eq!(clients, "1");
    let expected = format!(r#"{{"type":"message","id":"{id}","data":{document}}}"#);
    assert_eq!(first.text(), expected);

    let (status, stdout, _) = asked.ask_with(&["send"], "[1]\n0\n{\"school_id\":4}\n");
    // What PHP calls empty is no message.
    let counts: Vec<_> = stdout.lines().map(|line| receipt(line).1).collect();
    assert_eq!((status, &counts[..]), (0, &["2", "0"][..]));
    let (status, stdout, _) = asked.ask(&["send", "0"]);
    assert_eq!((status, receipt(stdout.trim_end())), (3, ("-", "0")));
    assert_eq!(second.json()["data"][0], 1);
    assert_eq!(asked.told(&["send", "--quiet", "1"]), "");
    let json: Value = serde_json::from_str(&asked.told(&["send", "--json", "1"])).unwrap();
    assert_eq!((&json["ok"], &json["clients"]), (&true.into(), &2.into()));
}

#[test]
fn a_document_that_no_datagram_holds_is_sent() {
    let asked = Asked::start(&[]);
    let mut client = asked.0.connect();
    let large = format!("\"{}\"", "x".repeat(200_000));
    let (status, _, stderr) = asked.ask_with(&["send", "-"], &large);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(client.text(), large);
}

#[test]
fn what_is_refused_is_not_pushed_and_the_server_says_why() {
    let asked = Asked::start(&[]);
    let mut client = asked.0.connect();
    let (status, stdout, stderr) = asked.ask_with(&["send"], "1\n{\"msg\":}");
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr,
        "udpush: refused: not JSON at byte 10: expected value\n"
    );
    asked.told(&["send", "2"]);
    assert_eq!(client.text(), "2");
}

#[test]
fn the_status_has_a_line_a_figure() {
    let asked = Asked::start(&[]);
    let _client = asked.0.connect();
    asked.told(&["send", "1"]);
    let told = asked.told(&["status"]);
    for line in [
        "clients.online\t1",
        "clients.plain\t1",
        "messages.since_start\t1",
        "deliveries\t1",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    let status: Value = serde_json::from_str(&asked.told(&["status", "--json"])).unwrap();
    assert_eq!(status["clients"]["online"], 1);
}

#[test]
fn clients_are_found_by_what_they_registered() {
    let asked = Asked::start(&[]);
    let (status, stdout, _) = asked.ask(&["clients"]);
    assert_eq!((status, stdout.as_str()), (3, ""));
    let _clients: Vec<_> = ["/?user=u7&class=a+b", "/?user=u8", "/"]
        .iter()
        .map(|target| asked.0.connect_v1(target))
        .collect();
    let numbers = |arguments: &[&str]| -> Vec<String> {
        let told = asked.told(&[&["clients"], arguments].concat());
        let lines = told.lines();
        lines
            .map(|line| line.split('\t').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(numbers(&[]), ["1", "2", "3"]);
    assert_eq!(numbers(&["user=u7", "user=u8"]), ["1", "2"]);
    assert_eq!(numbers(&["user=u7", "class=a b"]), ["1"]);
    assert_eq!(asked.ask(&["clients", "user=u9"]).0, 3);
    let told = asked.told(&["clients", "--json", "user=u8"]);
    let client: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(client["registration"]["user"], "u8");
}

#[test]
fn clients_are_closed_by_number_or_by_what_they_registered() {
    let asked = Asked::start(&[]);
    let mut clients: Vec<_> = ["/", "/?user=u7", "/?user=u7", "/"]
        .iter()
        .map(|target| asked.0.connect_v1(target))
        .collect();
    assert_eq!(asked.told(&["disconnect", "1"]), "1\n");
    assert_eq!(asked.told(&["disconnect", "user=u7"]), "2\n");
    for client in &mut clients[..3] {
        assert_eq!(client.close_code(), 4403);
    }
    let (status, stdout, _) = asked.ask(&["disconnect", "user=u7"]);
    assert_eq!((status, stdout.as_str()), (3, "0\n"));
    let (status, _, stderr) = asked.ask(&["disconnect", "99"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("udpush: "), "{stderr}");
    asked.told(&["send", "1"]);
    clients[3].json();
    assert_eq!(clients[3].json()["data"], 1);
}

#[test]
fn a_listener_that_is_disconnected_does_not_come_back() {
    let mut asked = Asked::start(&[]);
    let mut command = udpush();
    command.args(["listen", &format!("ws://{}/", asked.0.clients)]);
    let listening = Ending::start(&mut command);
    asked.0.wait_for_line("client 1 connected");
    asked.told(&["disconnect", "1"]);
    let output = listening.output();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("closed with 4403"), "{stderr}");
}

#[test]
fn a_document_is_explained_and_not_pushed() {
    let asked = Asked::start(&[]);
    let mut clients: Vec<_> = ["/?user=u7", "/?user=u8", "/"]
        .iter()
        .map(|target| asked.0.connect_v1(target))
        .collect();
    let told = asked.told(&["explain", r#"{"user":"u7"}"#]);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[..2], ["1\thears", "3\thears"]);
    assert!(lines[2].starts_with("2\tnot\tuser\t"), "{told}");
    assert_eq!(asked.ask_with(&["explain", "-"], "{").0, 1);
    asked.told(&["send", "\"end\""]);
    clients[2].json();
    assert_eq!(clients[2].json()["data"], "end");
}

#[test]
fn what_was_pushed_is_shown_again() {
    let asked = Asked::start(&["--history", "50"]);
    assert_eq!(asked.ask(&["history"]).0, 3);
    for number in 1..=60 {
        asked.ask(&["send", &format!(r#"{{"user" : {number}}}"#)]);
    }
    let lines = |arguments: &[&str]| -> Vec<String> {
        let told = asked.told(&[&["history"], arguments].concat());
        told.lines().map(str::to_owned).collect()
    };
    let newest = lines(&[]);
    assert_eq!(newest.len(), 20);
    let fields: Vec<_> = newest[19].split('\t').collect();
    assert!(fields[0].ends_with("-60"), "{newest:?}");
    assert_eq!(fields[3..], ["0", r#"{"user" : 60}"#]);
    let id = newest[0].split('\t').next().unwrap();
    assert_eq!(lines(&["--since", id]), newest[1..]);
    assert_eq!(lines(&["--last", "1"]), newest[19..]);
    let matching = lines(&["--last", "50", "--match", "user=50", "--match", "user=55"]);
    assert_eq!(matching, [newest[9].clone(), newest[14].clone()]);
    let (epoch, _) = id.split_once('-').unwrap();
    let (status, _, stderr) = asked.ask(&["history", "--since", &format!("{epoch}-1")]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("udpush: "), "{stderr}");
}

#[test]
fn a_terminal_has_tables_and_colours_unless_they_are_not_wanted() {
    let asked = Asked::start(&[]);
    let _client = asked.0.connect_v1("/?user=u7");
    let shown = asked.shown("clients", &[]);
    assert!(shown.starts_with("\x1b[1mclient  address "), "{shown}");
    assert!(shown.contains("{\"user\":\"u7\"}\n"), "{shown}");
    let plain = asked.shown("clients --color never", &[]);
    assert!(plain.starts_with("client  address "), "{plain}");
    let no_color = asked.shown("clients", &[("NO_COLOR", "1")]);
    assert!(no_color.starts_with("client  address "), "{no_color}");
    let always = asked.shown("clients --color always", &[("NO_COLOR", "1")]);
    assert!(always.starts_with("\x1b[1m"), "{always}");
    assert!(
        asked
            .shown("send 1", &[])
            .starts_with("1 client hears it (")
    );
    assert!(!asked.told(&["clients"]).contains('\x1b'));
}
