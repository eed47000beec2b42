//! The commands that ask the server: what they say when it is not there; and `udpush send --udp`.

use std::net::SocketAddr;

use crate::common::{Ending, Server, own_address, udpush};

/// Exit status, standard output, standard error.
fn outcome(arguments: &[&str], variable: Option<&str>, input: &[u8]) -> (i32, String, String) {
    let mut command = udpush();
    if let Some(publish) = variable {
        command.env("UDPUSH_PUBLISH", publish);
    }
    let output = Ending::start_with_input(command.args(arguments), input).output();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().expect("no signal"), stdout, stderr)
}

#[test]
fn where_nobody_answers_each_says_what_to_do() {
    // Nobody has it.
    let address = SocketAddr::from((own_address(), 7553)).to_string();
    let two = format!("{address},127.0.0.1:1");
    for command in [
        &["send", "1"][..],
        &["status"],
        &["status", "--watch"],
        &["clients"],
        &["disconnect", "17"],
        &["explain", "{}"],
        &["history"],
    ] {
        let by_flag = [command, &["--publish", &address]].concat();
        for (arguments, variable) in [(&by_flag[..], None), (command, Some(two.as_str()))] {
            let (status, stdout, stderr) = outcome(arguments, variable, b"");
            let sentence = format!(
                "udpush: nothing answers on {address}: is udpush running? \
                 systemctl status udpush; another address: --publish\n"
            );
            assert_eq!((status, stdout, stderr), (1, String::new(), sentence));
        }
    }
}

#[test]
fn a_datagram_is_sent_as_it_was_given() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let publishers = server.publishers.to_string();
    let send = |arguments: &[&str], input: &[u8]| {
        let arguments = [&["send", "--udp", "--publish", &publishers], arguments].concat();
        outcome(&arguments, None, input)
    };
    let quiet = (0, String::new(), String::new());
    assert_eq!(send(&[r#"{"a" : 1.0}"#], b""), quiet);
    assert_eq!(client.text(), r#"{"a" : 1.0}"#);
    for arguments in [&[][..], &["-"]] {
        assert_eq!(send(arguments, b"[1]\n[2]\n"), quiet);
        assert_eq!(client.text(), "[1]");
        assert_eq!(client.text(), "[2]");
    }
    let (status, _, stderr) = send(&[], format!("\"{}\"", "x".repeat(65_507)).as_bytes());
    assert_eq!(status, 1);
    assert!(
        stderr.contains("at most 65507 bytes, these are 65509"),
        "{stderr}"
    );
}

#[test]
fn nothing_that_is_no_address_or_no_field_is_asked_for() {
    for (arguments, words) in [
        (&["status", "--publish", "6553"][..], "127.0.0.1:6553"),
        (&["clients", "user"], "school_id=2"),
        (&["disconnect"], "not provided: <CLIENT|FIELD=VALUE>"),
        (&["disconnect", "user"], "17 or user=u7"),
        (&["history", "--match", "=2"], "school_id=2"),
        (&["explain"], "<JSON>"),
        (&["send", "--color", "some", "1"], "always"),
    ] {
        let (status, stdout, stderr) = outcome(arguments, None, b"");
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}
