//! Pages that may not connect: they are told why, and what the operator would have to do; and the
//! way that README.md shows to a newcomer, which works.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::json;

use super::events::serve_isolated;
use super::webdriver::Browser;
use crate::common::{Directory, Server};

/// A page for the server that its URL names behind the `?`: it keeps what it hears of its link in
/// `events`, and what comes of an event source in `source`.
const PAGE: &str = r#"<!doctype html>
    <script>
      const server = location.search.slice(1), events = [];
      let link, source;
      const script = document.createElement("script");
      script.src = `http://${server}/push.js`;
      script.onload = () => {
        link = udpush(`ws://${server}/`, {});
        link.addEventListener("closed", ({ detail }) => events.push(detail));
        source = new EventSource(`http://${server}/events`, { withCredentials: true });
      };
      document.head.append(script);
    </script>"#;

/// Waits until the link was told so, and the event source has given up.
fn wait_for_refusal(browser: &Browser, words: &str) {
    browser.wait_until("events.length > 0");
    let told = browser.run("return events[0]", &[]);
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains(words), "{told}");
    assert_eq!(
        (&told["code"], &told["final"]),
        (&json!(1006), &json!(false))
    );
    browser.wait_until("source.readyState === EventSource.CLOSED");
    // Where whoever writes the page looks first.
    let console = browser.console();
    assert!(
        console.iter().any(|line| line.contains(words)),
        "{console:?}"
    );
}

#[test]
fn a_page_of_another_host_is_told_what_would_let_it_in() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let own = Directory::new();
    fs::write(own.file("page.html"), PAGE).unwrap();
    let file = format!("file://{}", own.file("page.html").display());
    browser.open(&format!("{file}?{}", server.clients));
    wait_for_refusal(&browser, "start udpush with --origin null.");
    // Another web server.
    let origin = format!(
        "http://erp.example:{}",
        serve_isolated(PAGE.to_owned()).port()
    );
    browser.open(&format!("{origin}/?{}", server.clients));
    wait_for_refusal(&browser, &format!("start udpush with --origin {origin}."));
    assert!(!server.log().contains(" connected from "));
    // In a way for which browsers name no origin it gets nothing that it could make sense of.
    let include = "return fetch(`http://${server}/events`, { mode: 'no-cors' })
        .then(() => 'included', (error) => error.name)";
    assert_eq!(browser.run(include, &[]), "TypeError");
    // As it was told.
    let server = Server::start(&["--origin", &origin]);
    browser.open(&format!("{origin}/?{}", server.clients));
    browser.wait_until("link?.state === 'open' && source.readyState === EventSource.OPEN");
}

#[test]
fn a_name_that_a_stranger_pointed_here_is_refused_and_the_live_page_says_why() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let port = server.clients.port();
    browser.open(&format!("http://evil.example:{port}/"));
    let note = "document.querySelector('.note.wait')?.textContent";
    let flag = "start udpush with --host evil.example.";
    browser.wait_until(&format!("{note}.includes('{flag}')"));
    browser.wait_until("document.getElementById('state').textContent === 'Reconnecting…'");
    // No origin is sent along here: it is the page's own.
    browser.run("globalThis.source = new EventSource('/events')", &[]);
    browser.wait_until("source.readyState === EventSource.CLOSED");
    assert!(!server.log().contains(" connected from "));
    // As it says.
    let server = Server::start(&["--host", "evil.example"]);
    let port = server.clients.port();
    browser.open(&format!("http://evil.example:{port}/"));
    browser.wait_until(super::IS_OPEN);
}

/// A proxy that names its server in the Host header, as nginx does by itself.
fn start_proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for browser in listener.incoming() {
            let browser = browser.unwrap();
            // Either may have left.
            thread::spawn(move || carry(&browser, server));
        }
    });
    address
}

/// One request, and whatever follows it both ways.
fn carry(browser: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let mut from_browser = BufReader::new(browser);
    loop {
        let mut line = String::new();
        from_browser.read_line(&mut line)?;
        match line.to_lowercase().starts_with("host:") {
            true => write!(&server, "Host: {}\r\n", server.peer_addr()?)?,
            false => (&server).write_all(line.as_bytes())?,
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let (mut back, to) = (server.try_clone()?, browser.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut back, &mut &to);
        to.shutdown(Shutdown::Both)
    });
    io::copy(&mut from_browser.by_ref(), &mut &server)?;
    server.shutdown(Shutdown::Both)
}

#[test]
fn behind_a_proxy_that_changes_the_host_a_page_is_told_both_remedies() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut server = Server::start(&[]);
    let port = start_proxy(server.clients).port();
    browser.open(&format!("http://erp.example:{port}/"));
    let note = "document.querySelector('.note.wait')?.textContent";
    for words in [
        &format!("start udpush with --origin http://erp.example:{port}."),
        "proxy_set_header Host $host;",
    ] {
        browser.wait_until(&format!("{note}.includes('{words}')"));
        server.wait_for_line(words.trim_end_matches('.'));
    }
}

/// PHP's own web server.
struct Php(Child);

impl Drop for Php {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_example_works_as_it_is_written() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    // On ports that are free, as those that it names may not be.
    let server_at = format!("localhost:{}", server.clients.port());
    let readme = readme.replace("localhost:6552", &server_at);
    let (_, page) = readme.split_once("```html\n").unwrap();
    let (page, rest) = page.split_once("```\n").unwrap();
    let own = Directory::new();
    fs::write(own.file("page.html"), page).unwrap();
    let (_, command) = rest.split_once("`php ").unwrap();
    let (command, rest) = command.split_once('`').unwrap();
    assert!(rest.contains("`http://localhost:8000/page.html`"));
    let mut php = Command::new("php");
    php.args(command.replace("localhost:8000", "localhost:0").split(' '));
    php.current_dir(own.path()).stderr(Stdio::piped());
    let mut php = Php(php.spawn().unwrap());
    let mut lines = BufReader::new(php.0.stderr.take().unwrap()).lines();
    // `… PHP 8.2.36 Development Server (http://localhost:38357) started`
    let started = lines.next().unwrap().unwrap();
    let (_, started) = started.split_once("(http://localhost:").expect(&started);
    let (port, _) = started.split_once(')').unwrap();
    // It goes on writing.
    thread::spawn(move || lines.for_each(drop));
    browser.open(&format!("http://localhost:{port}/page.html"));
    browser.wait_until("link.state === 'open'");
    server.push(r#"{"msg":"hi"}"#);
    browser.wait_until("document.querySelector('#messages li')?.textContent === 'hi'");
}
