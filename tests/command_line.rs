//! Settings, where they come from, and what is said when one of them is wrong.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use crate::common::{Client, Directory, Ending, Listener, PATIENCE, Server, udpush};

/// A process that is to end by itself: exit status, standard output, standard error.
fn outcome(directory: &Directory, command: &mut Command) -> (i32, String, String) {
    let output = Ending::start(command.current_dir(directory.path())).output();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().expect("no signal"), stdout, stderr)
}

/// udpush with these flags on free ports, unless they say something else.
fn with(flags: &[&str]) -> Command {
    let mut command = udpush();
    for (flag, address) in [("--listen", "127.0.0.1:0"), ("--publish", "127.0.0.1:0")] {
        if !flags.contains(&flag) {
            command.args([flag, address]);
        }
    }
    command.args(flags);
    command
}

/// It fails, and the only line on stderr has all of these words.
fn assert_fails(flags: &[&str], words: &[&str]) {
    let directory = Directory::new();
    let (status, stdout, stderr) = outcome(&directory, &mut with(flags));
    assert_eq!(status, 1, "{flags:?}: {stderr}");
    assert_eq!(stdout, "");
    assert_one_line(&stderr, words);
}

fn assert_one_line(stderr: &str, words: &[&str]) {
    assert!(stderr.starts_with("udpush: "), "{stderr}");
    assert_eq!(
        stderr.matches('\n').count(),
        1,
        "one line, and its end: {stderr}"
    );
    for word in words {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
}

#[test]
fn a_port_in_use_is_named_with_a_remedy() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let sentence = format!("cannot bind {address}: address in use: ");
    assert_fails(&["--listen", &address], &[&sentence, "ss -l", "--listen"]);

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap().to_string();
    let sentence = format!("cannot bind {address}: address in use: ");
    assert_fails(&["--publish", &address], &[&sentence, "ss -l", "--publish"]);
}

#[test]
fn a_second_server_on_the_same_ports_fails_and_the_first_goes_on() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let (clients, publishers) = (server.clients.to_string(), server.publishers.to_string());
    let both = ["--listen", &clients, "--publish", &publishers];
    assert_fails(&both, &[&clients, "address in use"]);
    assert_fails(&both[2..], &[&publishers, "address in use"]);
    // In the same directory, and so with the same log, which tells of it.
    let (status, _, stderr) = outcome(
        &Directory::new(),
        with(&both).arg("--log-file").arg(server.log_path()),
    );
    assert_eq!(status, 1, "{stderr}");
    assert!(
        server.log().contains("[ERROR] cannot bind"),
        "{}",
        server.log()
    );
    server.push("1");
    assert_eq!(client.text(), "1");
}

#[test]
fn an_address_that_is_not_ours_is_named_with_a_remedy() {
    // From RFC 5737: nobody has it.
    let foreign = "198.51.100.1:6552";
    let sentence = format!("cannot bind {foreign}: not an address of this machine");
    assert_fails(&["--listen", foreign], &[&sentence, "--listen"]);
    assert_fails(
        &["--publish", foreign, "--publish-from", "198.51.100.0/24"],
        &[&sentence, "--publish"],
    );
}

#[test]
fn an_open_publish_address_without_networks_is_refused() {
    for open in ["0.0.0.0:0", "[::]:0", "198.51.100.1:6553"] {
        let words = [open, "--publish-from", "10.1.0.0/16"];
        assert_fails(&["--publish", open], &words);
        assert_fails(&["--publish", "127.0.0.1:0", "--publish", open], &words);
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_named_with_a_remedy() {
    let words = [
        "nowhere/udpush.log",
        "No such file or directory",
        "--log-file",
    ];
    assert_fails(&["--log-file", "nowhere/udpush.log"], &words);
    assert_fails(
        &["--log-file", "/"],
        &["log file /: ", "Is a directory", "--log-file"],
    );
}

#[test]
fn what_is_wrong_in_the_config_file_is_named() {
    for (text, words) in [
        (
            "max-client = 5",
            &["line 1: ", "max-client`", "`max-clients`"][..],
        ),
        ("queue = 100\n\n[section]\n", &["line 3: ", "section"]),
        (
            "queue = 100\nworkers = 'two'",
            &["line 2: ", "two", "expected a number from 1 to 256"],
        ),
        ("listen = '0.0.0.0'", &["line 1: ", "address"]),
        ("log-level = 'loud'", &["line 1: ", "loud", "debug"]),
        ("queue = 100\nqueue = 100", &["line 2: ", "duplicate key"]),
        (
            "\nmax-clients = 0",
            &["line 2: ", "max-clients = \"0\"", "from 1 to 15000"],
        ),
        (
            "queue-bytes = 1000",
            &["line 1: ", "queue-bytes = \"1000\"", "from 131014 to"],
        ),
        (
            "heartbeat = 4000",
            &["line 1: ", "heartbeat = \"4000\"", "from 1 to 3600"],
        ),
        ("max-clients = -1", &["line 1: ", "-1"]),
        // Without a name it would be as if nothing were routed.
        ("route = []", &["line 1: ", "route = []: the list is empty"]),
        (
            "route = ['a', '']",
            &["line 1: ", "a field's name is needed"],
        ),
        ("route = 'a b'", &["line 1: ", "no white space"]),
        ("queue-bytes = true", &["line 1: ", "a number of bytes"]),
        ("publish = ['0.0.0.0:0']", &["0.0.0.0:0", "--publish-from"]),
        ("this is no TOML", &["line 1: "]),
    ] {
        let directory = Directory::new();
        fs::write(directory.file("udpush.toml"), text).unwrap();
        let mut command = udpush();
        command.args(["--config", "udpush.toml"]);
        let (status, _, stderr) = outcome(&directory, &mut command);
        assert_eq!(status, 1, "{text}: {stderr}");
        assert_one_line(&stderr, words);
        if words[0].starts_with("line") {
            assert_one_line(&stderr, &["config file udpush.toml, "]);
        }
    }
    let words = ["cannot read the config file missing.toml: No such file"];
    assert_fails(&["--config", "missing.toml"], &words);
}

#[test]
fn wrong_usage_has_exit_status_2_and_one_line_that_names_the_flag_and_what_is_allowed() {
    for (flags, words) in [
        (
            &["--max-clients", "0"][..],
            &["--max-clients \"0\": expected a number from 1 to 15000"][..],
        ),
        (
            &["serve", "--max-clients=15001"],
            &["--max-clients \"15001\": expected a number from 1 to 15000"],
        ),
        (
            &["--workers", "many"],
            &["--workers \"many\": ", "1 to 256"],
        ),
        (&["--workers"], &["--workers", "a value is needed"]),
        (&["--queue", "15"], &["--queue \"15\": ", "16 to 1000000"]),
        (
            &["--queue-bytes", "131013"],
            &["--queue-bytes \"131013\": ", "from 131014 to"],
        ),
        (&["--queue-bytes", "1T"], &["--queue-bytes \"1T\": ", "10M"]),
        (&["--heartbeat", "0"], &["--heartbeat \"0\": ", "1 to 3600"]),
        (
            &["--log-max-size", "4095"],
            &["--log-max-size \"4095\": ", "from 4096 on"],
        ),
        (&["--listen", "localhost"], &["--listen \"localhost\": "]),
        (&["--publish", "6553"], &["--publish \"6553\": "]),
        (
            &["--publish-from", "10.0.0.0/33"],
            &["--publish-from \"10.0.0.0/33\": "],
        ),
        (&["--publish-from", ""], &["--publish-from \"\": "]),
        (
            &["--origin", "erp.example.com"],
            &[
                "--origin \"erp.example.com\": ",
                "such as https://erp.example.com",
            ],
        ),
        (
            &["--origin", "null,https://erp.example.com/"],
            &["--origin \"https://erp.example.com/\": ", "without a path"],
        ),
        (&["--origin", ""], &["--origin \"\": ", "or null, or *"]),
        (
            &["--host", "push.example.org:6552"],
            &["--host \"push.example.org:6552\": ", "without a port"],
        ),
        (
            &["--trusted-host", "intranet:6553"],
            &["--trusted-host \"intranet:6553\": ", "push.example.org"],
        ),
        (
            &["--trusted-proxy", "intranet"],
            &["--trusted-proxy \"intranet\": ", "10.1.2.3"],
        ),
        (
            &["--proxy-protocol=maybe"],
            &["--proxy-protocol \"maybe\": expected true or false"],
        ),
        (
            &["--max-clients-per-ip", "0"],
            &["--max-clients-per-ip \"0\": expected a number from 1 to 15000"],
        ),
        (
            &["--udp-reply", "always"],
            &["--udp-reply \"always\": expected errors, never"],
        ),
        (&["--log-level", "trace"], &["--log-level \"trace\": "]),
        (
            &["--route", ""],
            &["--route \"\": a field's name is needed"],
        ),
        (&["--route", "a,,b"], &["--route \"\": a field's name"]),
        (&["--route", "[\"a\"]"], &["--route", "no white space"]),
        (
            &["--max-client", "5"],
            &["'--max-client'", "'--max-clients'"],
        ),
        (&["lisen"], &["'lisen'", "udpush --help"]),
    ] {
        let directory = Directory::new();
        let (status, stdout, stderr) = outcome(&directory, udpush().args(flags));
        assert_eq!((status, stdout.as_str()), (2, ""), "{flags:?}: {stderr}");
        assert_one_line(&stderr, words);
        assert!(!directory.file("udpush.log").exists());
    }
}

#[test]
fn a_wrong_variable_is_wrong_usage_too() {
    for (variable, value, reason) in [
        (
            "UDPUSH_MAX_CLIENTS",
            "none",
            "expected a number from 1 to 15000",
        ),
        ("UDPUSH_ROUTE", "", "a field's name is needed"),
    ] {
        let directory = Directory::new();
        // The file's value, which is right, is not the one to be named.
        fs::write(directory.file("c.toml"), "max-clients = 5\nroute = 'a'").unwrap();
        let mut command = with(&["--config", "c.toml"]);
        command.env(variable, value);
        let (status, _, stderr) = outcome(&directory, &mut command);
        assert_eq!(status, 2, "{stderr}");
        assert_one_line(&stderr, &[&format!("{variable}={value:?}: {reason}")]);
    }
}

#[test]
fn white_space_in_a_list_is_no_part_of_a_name_wherever_it_comes_from() {
    type Prepare = fn(&mut Command);
    let flag: Prepare = |command| {
        command.args(["--route", "school_id, user_id"]);
    };
    let variable: Prepare = |command| {
        command.env("UDPUSH_ROUTE", " school_id ,user_id ");
    };
    let text: Prepare = |command| {
        command.args(["--config", "text.toml"]);
    };
    let array: Prepare = |command| {
        command.args(["--config", "array.toml"]);
    };
    for prepare in [flag, variable, text, array] {
        let directory = Directory::new();
        fs::write(directory.file("text.toml"), "route = 'school_id, user_id'").unwrap();
        fs::write(
            directory.file("array.toml"),
            "route = ['school_id', ' user_id ']\nlog-level = 'INFO'\nhistory-bytes = '10M'",
        )
        .unwrap();
        let mut command = with(&[]);
        prepare(&mut command);
        let server = Server::start_in(directory, command, "udpush.log");
        let mut anybody = server.connect();
        let mut user = Client::connect(server.clients, "/?user_id=2");
        server.push(r#"{"user_id":2}"#);
        server.push("1");
        assert_eq!(user.text(), r#"{"user_id":2}"#);
        assert_eq!(anybody.text(), "1");
    }
}

#[test]
fn help_tells_of_every_setting_and_version_of_the_version() {
    let directory = Directory::new();
    for command in [&["--help"][..], &["serve", "--help"], &["-h"]] {
        let (status, help, stderr) = outcome(&directory, udpush().args(command));
        assert_eq!((status, stderr.as_str()), (0, ""));
        for setting in [
            "config",
            "listen",
            "origin",
            "host",
            "publish",
            "publish-from",
            "trust-from",
            "trusted-host",
            "trusted-proxy",
            "udp-reply",
            "max-clients",
            "max-clients-per-ip",
            "workers",
            "queue",
            "queue-bytes",
            "max-message",
            "heartbeat",
            "log-file",
            "log-level",
            "log-max-size",
        ] {
            let variable = setting.to_uppercase().replace('-', "_");
            assert!(
                help.contains(&format!("--{setting} <")),
                "{setting}: {help}"
            );
            assert!(
                help.contains(&format!("UDPUSH_{variable}=")),
                "{setting}: {help}"
            );
        }
        assert!(help.contains("nc -u -w1 127.0.0.1 6553"), "{help}");
    }
    let (status, version, _) = outcome(&directory, udpush().arg("--version"));
    assert_eq!(status, 0);
    assert_eq!(version, concat!("udpush ", env!("CARGO_PKG_VERSION"), "\n"));
    // Nothing of this has started anything.
    assert!(!directory.file("udpush.log").exists());
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let file = "max-clients = 1\nlisten = '127.0.0.1:0'\npublish = ['127.0.0.1:0']\n";
    for serve in [&[][..], &["serve"]] {
        for (variable, flag, most) in [
            (None, None, 1),
            (Some("2"), None, 2),
            (Some("2"), Some("3"), 3),
        ] {
            let directory = Directory::new();
            fs::write(directory.file("udpush.toml"), file).unwrap();
            let mut command = udpush();
            command.args(serve);
            // The file's own name comes from a flag or a variable, too.
            match flag {
                Some(count) => command.args(["--config", "udpush.toml", "--max-clients", count]),
                None => command.env("UDPUSH_CONFIG", "udpush.toml"),
            };
            if let Some(count) = variable {
                command.env("UDPUSH_MAX_CLIENTS", count);
            }
            let server = Server::start_in(directory, command, "udpush.log");
            let clients = server.connect_many(most);
            let mut refused = TcpStream::connect(server.clients).unwrap();
            refused.set_read_timeout(Some(PATIENCE)).unwrap();
            refused.write_all(Listener::HANDSHAKE).unwrap();
            let mut answer = String::new();
            refused.read_to_string(&mut answer).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 503 "),
                "{} clients: {answer}",
                clients.len()
            );
        }
    }
}

#[test]
fn lists_are_given_by_repeated_flags_commas_or_arrays() {
    let two = "127.0.0.1:0,127.0.0.1:0";
    let start = |directory: Directory, prepare: &dyn Fn(&mut Command)| {
        let mut command = udpush();
        command.args(["--listen", "127.0.0.1:0"]);
        prepare(&mut command);
        let server = Server::start_in(directory, command, "udpush.log");
        let mut client = server.connect();
        assert_eq!(server.all_publishers.len(), 2);
        for publishers in &server.all_publishers {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"1", publishers).unwrap();
            assert_eq!(client.text(), "1");
        }
    };
    start(Directory::new(), &|command| {
        command.args(["--publish", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    });
    start(Directory::new(), &|command| {
        command.args(["--publish", two]);
    });
    start(Directory::new(), &|command| {
        command.env("UDPUSH_PUBLISH", two);
    });
    let directory = Directory::new();
    fs::write(
        directory.file("c.toml"),
        "publish = ['127.0.0.1:0', '127.0.0.1:0']",
    )
    .unwrap();
    start(directory, &|command| {
        command.args(["--config", "c.toml"]);
    });
}

#[test]
fn where_all_is_well_nothing_is_on_stderr_or_stdout() {
    let directory = Directory::new();
    let stdout = fs::File::create(directory.file("stdout")).unwrap();
    let mut command = with(&[]);
    command.stdout(stdout);
    let mut server = Server::start_in(directory, command, "udpush.log");
    server.push("1");
    server.stop();
    assert_eq!(server.stderr(), "");
    assert_eq!(
        fs::read_to_string(server.directory.file("stdout")).unwrap(),
        ""
    );
}
