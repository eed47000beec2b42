//! What signs tokens: the secrets' file, PHP and the commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use crate::common::tokens::{HEADER, SECRET, end, signed};
use crate::common::{Directory, Ending, eventually, udpush};
use crate::tokens::{OTHER, refusal, registered, start, start_with};

#[test]
fn two_secrets_are_good_at_a_time() {
    let old = "the old secret, as long as it must be";
    let server = start_with(&format!("{SECRET}\n{old}\n"), &[]);
    let claims = json!({"reg": {}, "exp": end(60)}).to_string();
    for secret in [SECRET, old] {
        let token = signed(HEADER, &claims, secret);
        registered(&mut server.connect_v1(&format!("/?token={token}")));
    }
    let other = signed(HEADER, &claims, OTHER);
    assert!(refusal(&server, &format!("/?token={other}")).contains("another secret"));
}

#[test]
fn a_file_that_is_none_to_have_a_secret_from_is_refused_at_the_start() {
    let directory = Directory::new();
    let path = directory.file("secret");
    let name = path.to_str().unwrap();
    let long = SECRET.repeat(200);
    let three = format!("{SECRET}\n{OTHER}\n\n{SECRET}{SECRET}\n");
    let make = "openssl rand -hex 32 makes";
    for (text, mode, sentence) in [
        (
            Some(SECRET),
            0o640,
            format!("is open to others than its owner: chmod 600 {name}"),
        ),
        (
            Some(SECRET),
            0o604,
            format!("is open to others than its owner: chmod 600 {name}"),
        ),
        (
            Some(SECRET),
            0o620,
            format!("is open to others than its owner: chmod 600 {name}"),
        ),
        (Some(""), 0o600, format!("is empty: {make} a secret")),
        (Some(" \n\n"), 0o600, format!("is empty: {make} a secret")),
        (
            Some("short"),
            0o600,
            format!("has a secret of 5 bytes, at least 32 are needed: {make} one"),
        ),
        (
            Some(&long),
            0o600,
            "has more than 4096 bytes: it holds one secret, or two, each on a line".to_owned(),
        ),
        (
            Some(&three),
            0o600,
            "has 3 lines with a secret: at most 2 are used, the new one and the one before"
                .to_owned(),
        ),
        (None, 0, "No such file or directory (os error 2)".to_owned()),
    ] {
        let _ = fs::remove_file(&path);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut command = udpush();
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--publish",
            "127.0.0.1:0",
            "--log-file",
            "-",
        ]);
        let output = Ending::start(command.env("UDPUSH_SECRET_FILE", &path)).output();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let (_, told) = stderr.split_once("[ERROR] ").expect(&stderr);
        let told = told.trim_end();
        assert!(told.contains(&format!("secret file {name}")), "{told}");
        assert!(told.ends_with(&sentence), "{told}");
        if let Some(text) = text.filter(|text| text.len() > 6) {
            assert!(!stderr.contains(&text[..6]), "{stderr}");
        }
        let output = Ending::start(udpush().args(["token", "--secret-file", name])).output();
        let same = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), &*same),
            (Some(1), &*format!("udpush: {told}\n"))
        );
    }
    let mut command = udpush();
    command
        .args(["--listen", "127.0.0.1:0", "--secret-file"])
        .arg(directory.path());
    let output = Ending::start(command.args(["--log-file", "-"])).output();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(" is no file\n"), "{stderr}");
}

#[test]
fn php_signs_what_the_server_takes() {
    let old = "the old secret, as long as it must be";
    let server = start_with(&format!("\r\n {SECRET} \r\n{old}\n"), &[]);
    let script = format!("{}/scripts/push.php", env!("CARGO_MANIFEST_DIR"));
    let sign = |arguments: &str| {
        let code = format!("require '{script}'; echo udpush_token({arguments});");
        let mut command = Command::new("php");
        command.args(["-n", "-d", "display_errors=stderr", "-r", &code]);
        command.env("UDPUSH_SECRET_FILE", server.directory.file("secret"));
        let output = Ending::start(&mut command).output();
        assert_eq!(output.stderr, b"");
        String::from_utf8(output.stdout).unwrap()
    };
    for (arguments, expected) in [
        ("[], 60", json!({})),
        (
            "['department' => 'Käse/ß?>', 'room' => [1, 2]], 60",
            json!({"department": "Käse/ß?>", "room": ["1", "2"]}),
        ),
        ("['user' => null], 60", json!({"user": []})),
    ] {
        let mut client = server.connect_v1(&format!("/?token={}", sign(arguments)));
        assert_eq!(registered(&mut client), expected);
    }
    let late = sign("[], -1");
    assert!(refusal(&server, &format!("/?token={late}")).contains("The token has expired."));
    let file = server.directory.file("secret");
    let refused =
        "try { udpush_token([], 1, FILE); } catch (RuntimeException $e) { echo $e->getMessage(); }";
    for wrong in ["'/nowhere'", "''"] {
        let code = format!("require '{script}'; {}", refused.replace("FILE", wrong));
        let output = Ending::start(Command::new("php").args(["-n", "-r", &code])).output();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            told.starts_with("udpush: there is no secret in the file "),
            "{told}"
        );
    }
    assert!(file.exists());
}

#[test]
fn the_commands_make_tokens_and_listen_with_them() {
    let mut server = start(&[]);
    let files = Directory::new();
    let secret = server.directory.file("secret");
    let make = |seconds: &str, fields: &[&str]| {
        let mut command = udpush();
        command.args(["token", "--seconds", seconds]).args(fields);
        let output = Ending::start(command.env("UDPUSH_SECRET_FILE", &secret)).output();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let path = files.file("token");
    let url = format!("ws://{}/", server.clients);
    let listen = |command: &mut Command| {
        command.args(["listen", &url]);
        let stdout = fs::File::create(files.file("stdout")).unwrap();
        let stderr = fs::File::create(files.file("stderr")).unwrap();
        command.stdout(stdout).stderr(stderr);
    };
    let read = |name| fs::read_to_string(files.file(name)).unwrap();

    let mut command = udpush();
    listen(&mut command);
    let output = Ending::start(&mut command).output();
    assert_eq!(output.status.code(), Some(1));

    let mut command = udpush();
    listen(&mut command);
    command
        .args(["-n", "1"])
        .env("UDPUSH_TOKEN", make("60", &["room=1", "room=2"]).trim());
    let mut listening = command.spawn().unwrap();
    server.wait_for_line(r#"registered {"room":["1","2"]}"#);
    server.push(r#"{"room":3}"#);
    server.push(r#"{"room":2}"#);
    assert!(eventually("its end", || listening.try_wait().unwrap()).success());
    assert_eq!(read("stdout"), "{\"room\":2}\n");

    // After the end of the first, the file has another one.
    fs::write(&path, make("2", &["room=4"])).unwrap();
    let mut command = udpush();
    listen(&mut command);
    command.args(["-n", "1", "--token-file"]).arg(&path);
    let mut listening = command.spawn().unwrap();
    server.wait_for_line(r#"registered {"room":"4"}"#);
    fs::write(&path, make("60", &["room=5"])).unwrap();
    server.wait_for_line(r#"registered {"room":"5"}"#);
    server.push(r#"{"room":5}"#);
    assert!(eventually("its end", || listening.try_wait().unwrap()).success());
    let told = read("stderr");
    assert!(
        told.contains("closed with 4401") && told.contains("nothing was missed"),
        "{told}"
    );

    let many: Vec<_> = (0..17).map(|n| format!("f{n}=1")).collect();
    let mut command = udpush();
    command
        .arg("token")
        .args(many)
        .env("UDPUSH_SECRET_FILE", &secret);
    let output = Ending::start(&mut command).output();
    let sentence = b"udpush: a registration of 17 fields, at most 16 are allowed\n";
    assert_eq!(
        (output.status.code(), &*output.stderr),
        (Some(1), &sentence[..])
    );
}
