//! EventSource and fetch in Chromium: pages of other origins, and a server that is full.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use serde_json::json;

use super::webdriver::Browser;
use crate::common::Server;

/// Another web server, whose page loads nothing of others that does not allow it.
pub fn serve_isolated(page: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for browser in listener.incoming() {
            let mut browser = browser.unwrap();
            let lines = BufReader::new(&browser).lines();
            for line in lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
            {
                drop(line);
            }
            let length = page.len();
            // The browser may have left.
            let _ = write!(
                browser,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                 Cross-Origin-Embedder-Policy: require-corp\r\n\
                 Cross-Origin-Opener-Policy: same-origin\r\nConnection: close\r\n\r\n{page}"
            );
        }
    });
    address
}

/// A script that keeps what a source hears in `heard`.
fn listen(server: &Server, options: &str) -> String {
    format!(
        "heard = []; source = new EventSource('http://{}/events?a=1', {options}); \
         for (const name of ['hello', 'heartbeat', 'message']) \
           source.addEventListener(name, ({{ type, data, lastEventId }}) => \
             heard.push([type, JSON.parse(data), lastEventId]));",
        server.clients
    )
}

#[test]
fn a_page_of_another_origin_hears_events_and_reads_answers() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&["--heartbeat", "1"]);
    let script = listen(&server, "{ withCredentials: true }");
    let address = server.clients;
    let page = serve_isolated(format!(
        r#"<!doctype html><script src="http://{address}/push.js"></script>
        <script>
          {script}
          answers = [];
          const ask = async (path, options) => {{
            const answer = await fetch("http://{address}" + path, options);
            answers.push([answer.status, (await answer.text()).split(" ")[0]]);
          }};
          const headers = {{ "Last-Event-ID": "x-1", "X-Mine": "1", "Cache-Control": "no-cache" }};
          (async () => {{
            await ask("/healthz", {{ headers }});
            await ask("/nowhere", {{ headers }});
            await ask("/events?a[b]=c", {{ headers, credentials: "include" }});
          }})();
        </script>"#
    ));
    browser.open(&format!("http://{page}/"));
    browser.wait_until("heard.some(([type]) => type === 'heartbeat')");
    server.push(r#"{"a":1}"#);
    browser.wait_until(
        "heard.some(([type, data, id]) => type === 'message' && data.a === 1 && id.endsWith('-1'))",
    );
    assert_eq!(browser.run("return heard[0][0]", &[]), "hello");
    browser.wait_until("answers.length === 3");
    let answers = json!([[200, "ok\n"], [404, "There"], [400, "Refused,"]]);
    assert_eq!(browser.run("return answers", &[]), answers);
    assert_eq!(
        browser.run("return crossOriginIsolated && typeof udpush", &[]),
        "function"
    );
}

#[test]
fn an_event_source_comes_back_by_itself_when_there_is_a_place() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut server = Server::start(&["--max-clients", "1"]);
    let client = server.connect();
    browser.open(&format!("http://{}/healthz", server.clients));
    browser.run(
        &format!(
            "globalThis.failed = 0; {} source.onerror = () => failed += 1",
            listen(&server, "{}")
        ),
        &[],
    );
    server.wait_for_line(": 503 Service Unavailable: As many clients as are allowed");
    browser.wait_until("failed > 0");
    assert_eq!(
        browser.run("return source.readyState", &[]),
        0,
        "it waits for its next attempt"
    );
    drop(client);
    browser.wait_until("heard.some(([type]) => type === 'hello')");
    server.push("1");
    browser.wait_until("heard.some(([type, data]) => type === 'message' && data === 1)");
}
