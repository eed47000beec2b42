//! A real browser misses nothing: the live page, push.js and the dashboard in
//! Chromium.

mod dashboard;
mod events;
mod live_page;
mod old;
mod push_js;
mod refused;
pub mod relay;
mod tokens;
pub mod webdriver;

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::relay::Relay;
use self::webdriver::Browser;
use crate::common::{Directory, Ending, Server, eventually, own_address, udpush};

/// Pages that the tests open from files may connect.
const FILES: [&str; 2] = ["--origin", "null"];

const IS_OPEN: &str = "document.getElementById('state').dataset.state === 'open'";

/// Publishes with a command line, as cron jobs do.
fn run(command: &str) {
    let output = Ending::start(Command::new("sh").args(["-c", command])).output();
    assert!(output.status.success(), "{command}");
}

/// The messages that the page shows, oldest first.
fn shown(browser: &Browser) -> Vec<Value> {
    let script = "return Array.from(document.querySelectorAll('.message pre'), \
                  (pre) => pre.textContent).reverse()";
    let texts = browser.run(script, &[]);
    let texts = texts.as_array().unwrap().iter();
    texts
        .map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap())
        .collect()
}

fn wait_for_shown(browser: &Browser, count: usize) -> Vec<Value> {
    browser.wait_until(&format!(
        "document.querySelectorAll('.message').length >= {count}"
    ));
    shown(browser)
}

#[test]
fn the_live_page_shows_what_nc_pushes() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    browser.open(&format!("http://{}/?school_id=2", server.clients));
    browser.wait_until(IS_OPEN);
    let port = server.publishers.port();
    let markup = r#"{"school_id":"2","msg":"<img src=x onerror=alert(1)>"}"#;
    for document in [r#"{"school_id":"3"}"#, markup, r#"["the","last"]"#] {
        run(&format!(
            "echo '{document}' | nc.openbsd -u -w1 127.0.0.1 {port}"
        ));
    }
    let messages = wait_for_shown(&browser, 2);
    let markup: Value = serde_json::from_str(markup).unwrap();
    assert_eq!(messages, [markup, json!(["the", "last"])]);
    let ids = "return Array.from(document.querySelectorAll('.message .id'), \
               (id) => id.textContent.split('-')[1])";
    assert_eq!(browser.run(ids, &[]), json!(["3", "2"]));
    // The page passes its own policy, asks for nothing that is not there, and runs no markup.
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_commands_on_the_page_are_right_for_whatever_was_typed_in() {
    let Some(browser) = Browser::start() else {
        return;
    };
    for (field, value) in [
        ("school_id", "2"),
        ("it's", r#"'; exit 1 #"$HOME`id`!!"#),
        ("back\\slash", r"\n\\0\"),
        ("msg", "${x} {$x} \u{202e}\u{7f}é😀"),
        ("0", "</script><script>"),
    ] {
        let server = Server::start(&FILES);
        browser.open(&format!("http://{}/", server.clients));
        browser.wait_until(IS_OPEN);
        let register = "const inputs = document.querySelectorAll('#rows input'); \
                        [inputs[0].value, inputs[1].value] = arguments; \
                        document.forms[0].requestSubmit()";
        browser.run(register, &[json!(field), json!(value)]);
        browser.wait_until(IS_OPEN);
        let command = |id: &str| {
            let script = "return document.getElementById(arguments[0]).textContent";
            let text = browser.run(script, &[json!(id)]);
            text.as_str().unwrap().to_owned()
        };
        let shell = command("shell").replace("nc -u", "nc.openbsd -u");
        run(&shell);
        let bash = Ending::start(Command::new("bash").args(["-c", &shell])).output();
        assert!(bash.status.success());
        let php = Ending::start(Command::new("php").args(["-r", &command("php")])).output();
        assert!(php.status.success());
        for message in wait_for_shown(&browser, 3) {
            assert_eq!(message[field], value);
            assert_eq!(message.as_object().unwrap().len(), 2);
        }
        // The same registration in a page of one's own.
        let own = Directory::new();
        let file = own.file("page.html");
        fs::write(&file, format!("<!doctype html>{}", command("html"))).unwrap();
        let visits = || server.log().matches(" connected from ").count();
        let before = visits();
        browser.open(&format!("file://{}", file.display()));
        eventually("the page's link", || (visits() > before).then_some(()));
        server.push(json!({field: value}).to_string());
        eventually("the message in the page's console", || {
            let console = browser.console();
            let mut lines = console.iter();
            lines.any(|line| line.contains(" Object")).then_some(())
        });
    }
}

#[test]
fn a_page_reconnects_after_a_crash_and_says_that_messages_were_missed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    // Addresses that nobody gets by chance while the server is away.
    let address = SocketAddr::from((own_address(), 20_000));
    let publishers = format!("{}:20001", address.ip());
    let start = || {
        let mut command = udpush();
        command.args(["--listen", &address.to_string(), "--publish", &publishers]);
        command.stdout(Stdio::null());
        Server::start_command(command)
    };
    let mut server = start();
    browser.open(&format!("http://{address}/"));
    browser.wait_until(IS_OPEN);
    server.push("\"before\"");
    wait_for_shown(&browser, 1);
    server.signal("KILL");
    server.wait();
    browser.wait_until("document.getElementById('state').textContent === 'Reconnecting…'");
    let server = start();
    browser.wait_until(IS_OPEN);
    browser.wait_until(
        "document.querySelector('.note.bad')?.textContent.includes('Messages are missing')",
    );
    server.push("\"after\"");
    assert_eq!(
        wait_for_shown(&browser, 2),
        [json!("before"), json!("after")]
    );
}

#[test]
fn a_page_whose_link_was_cut_gets_exactly_what_it_missed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&["--heartbeat", "1"]);
    let relay = Relay::start(server.clients);
    browser.open(&format!("http://{}/?school_id=2", relay.address));
    browser.wait_until(IS_OPEN);
    let mut expected = Vec::new();
    let mut push = |count| {
        for _ in 0..count {
            let message = json!({"school_id": 2, "number": expected.len()});
            server.push(message.to_string());
            server.push(r#"{"school_id":3}"#);
            expected.push(message);
        }
        expected.clone()
    };
    let messages = push(3);
    assert_eq!(wait_for_shown(&browser, messages.len()), messages);
    // The first time it knows at once, the second time it has to find out that nothing comes.
    for lose in [Relay::cut, Relay::fall_silent] {
        push(20);
        lose(&relay);
        push(20);
        browser.wait_until("document.getElementById('state').dataset.state === 'waiting'");
        push(20);
        relay.mend();
        browser.wait_until(
            "document.querySelector('.note.good')?.textContent.includes('Nothing was missed')",
        );
        let messages = push(5);
        assert_eq!(wait_for_shown(&browser, messages.len()), messages);
        browser.run("document.querySelector('.note.good').remove()", &[]);
    }
    assert_eq!(relay.most_sockets(), 1);
}
