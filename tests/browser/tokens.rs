//! Pages whose registrations are signed: push.js has their tokens from the site's own PHP.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::push_js::Page;
use super::webdriver::Browser;
use crate::common::tokens::{SECRET, secret_file, token};
use crate::common::{AtEnd, Directory, Server, eventually, own_address};

/// A site in PHP that signs tokens for its visitors.
struct Site {
    child: Child,
    address: SocketAddr,
    files: Directory,
}

impl Site {
    fn start() -> Site {
        let files = Directory::new();
        let secret = secret_file(&files, SECRET);
        let script = format!("{}/scripts/push.php", env!("CARGO_MANIFEST_DIR"));
        let page = format!(
            "<?php require '{script}'; header('Access-Control-Allow-Origin: *');
            echo udpush_token(['room' => [1, 2]], 3, '{}'), \"\\n\";",
            secret.display()
        );
        fs::write(files.file("token.php"), page).unwrap();
        let address = SocketAddr::from((own_address(), 20_080));
        let mut command = Command::new("php");
        command.args(["-n", "-S", &address.to_string(), "-t"]);
        let command = command
            .arg(files.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let site = Site {
            child: command.spawn().unwrap(),
            address,
            files,
        };
        eventually("the site", || TcpStream::connect(address).ok());
        site
    }

    fn secret(&self) -> String {
        self.files.file("secret").display().to_string()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_page_has_a_new_token_before_the_old_one_ends_and_misses_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::start();
    let server = Server::start(&["--secret-file", &site.secret(), "--origin", "null"]);
    let script = format!(
        "const heard = [], events = [];
        let asked = 0, isFailing = false;
        const token = () => {{
            asked += 1;
            if (isFailing) throw new Error('the site is away');
            return fetch('http://{}/token.php').then((answer) => answer.text());
        }};
        const link = udpush(server, {{ room: [1, 3] }}, (data) => heard.push(data.n), {{ token }});
        for (const type of ['open', 'resumed', 'missed', 'error', 'closed']) {{
            link.addEventListener(type, ({{ detail }}) => events.push([type, detail]));
        }}
        const names = () => events.map(([type]) => type);",
        site.address
    );
    browser.open(&Page::new(server.clients, &script).url());
    browser.wait_until("link.state === 'open'");
    let registered = browser.run("return events[0][1].registration", &[]);
    assert_eq!(registered, json!({"room": "1"}));
    let (stop, pushed) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _stop = AtEnd(|| stop.store(true, Ordering::Relaxed));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let n = pushed.fetch_add(1, Ordering::Relaxed);
                server.push(json!({"n": n, "room": 1}).to_string());
                server.push(json!({"n": n, "room": 2}).to_string());
                thread::sleep(Duration::from_millis(5));
            }
        });
        // The third one is of use when the first and the second have ended.
        browser.wait_until("asked >= 4");
        assert_eq!(
            browser.run("return [sockets, names()]", &[]),
            json!([1, ["open"]])
        );
        // None is to be had until after the end, and for some attempts at coming back.
        browser.run("isFailing = true; asked = 0", &[]);
        browser.wait_until("names().includes('closed')");
        let closed = browser.run("return events[1][1]", &[]);
        let reason = "its time is over";
        assert_eq!(
            closed,
            json!({"code": 4401, "reason": reason, "final": false})
        );
        browser.wait_until("asked >= 5 && link.state !== 'open'");
        browser.run("isFailing = false", &[]);
        browser.wait_until("link.state === 'open' && names().includes('resumed')");
    });
    let last = pushed.load(Ordering::Relaxed) - 1;
    browser.wait_until(&format!("heard[heard.length - 1] === {last}"));
    assert_eq!(
        browser.run("return heard.every((n, i) => n === i)", &[]),
        true
    );
    assert_eq!(browser.run("return sockets", &[]), 2);
    let names = browser.run("return names()", &[]);
    assert_eq!(names, json!(["open", "closed", "open", "resumed"]));
}

#[test]
fn a_page_without_a_new_token_is_told_why_it_is_sent_away() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let directory = Directory::new();
    let secret = secret_file(&directory, SECRET);
    let server = Server::start(&[
        "--secret-file",
        secret.to_str().unwrap(),
        "--origin",
        "null",
    ]);
    let script = "const events = []; let link;
        const listen = (search, options) => {
            events.length = 0;
            link = udpush(server + search, {}, undefined, options);
            link.addEventListener('closed', ({ detail }) => events.push(detail));
        };";
    browser.open(&Page::new(server.clients, script).url());
    // One that is in the URL ends with it.
    browser.run(
        "listen(arguments[0])",
        &[json!(format!("?token={}", token(json!({}), 2)))],
    );
    browser.wait_until("link.state === 'closed'");
    let closed = json!([{"code": 4401, "reason": "its time is over", "final": true}]);
    assert_eq!(browser.run("return events", &[]), closed);
    for (listen, reason) in [
        ("listen('')", "A token is needed, as ?token= in the URL"),
        ("listen('', { token: () => 'x' })", "The token is no JWT"),
        (
            "listen('', { token: () => Promise.reject('away') })",
            "no token: away",
        ),
    ] {
        browser.run(listen, &[]);
        browser.wait_until("events.length === 1");
        let told = browser.run("return events[0].reason", &[]);
        assert!(told.as_str().unwrap().starts_with(reason), "{told}");
        assert_eq!(browser.run("return events[0].final", &[]), false);
        browser.run("link.close()", &[]);
    }
    // What comes after the page has closed the link connects nobody.
    browser.run(
        "sockets = 0; let answer; globalThis.give = (token) => answer(token);
        listen('', { token: () => new Promise((resolve) => { answer = resolve; }) })",
        &[],
    );
    browser.run(
        "return Promise.resolve().then(() => { link.close(); give('x'); })",
        &[],
    );
    assert_eq!(
        browser.run("return [sockets, link.state]", &[]),
        json!([0, "closed"])
    );
    // The live page takes the one in its own address.
    let page = format!(
        "http://{}/?token={}&room=1",
        server.clients,
        token(json!({}), 60)
    );
    browser.open(&page);
    browser.wait_until(super::IS_OPEN);
}
