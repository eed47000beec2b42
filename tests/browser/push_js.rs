//! push.js in pages of other origins, and in all that may happen to a page.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::FILES;
use super::relay::Relay;
use super::webdriver::Browser;
use crate::common::{Directory, Ending, Server, eventually};

/// A page of its own origin that includes push.js from `server`; what is remembered for it is
/// remembered for its path.
pub(super) struct Page {
    directory: Directory,
}

impl Page {
    /// The script runs when push.js is there, with the WebSocket's address as `server`, and with a
    /// count of the sockets that were opened.
    pub(super) fn new(server: impl std::fmt::Display, script: &str) -> Page {
        let directory = Directory::new();
        let page = format!(
            r#"<!doctype html>
            <script>
              const server = "ws://{server}/";
              let sockets = 0;
              const Original = WebSocket;
              WebSocket = function (...all) {{ sockets += 1; return new Original(...all); }};
              WebSocket.CLOSED = Original.CLOSED;
              // At once, whatever is to come at a random time.
              Math.random = () => 0;
            </script>
            <script src="http://{server}/push.js"></script>
            <script>{script}</script>"#
        );
        fs::write(directory.file("page.html"), page).unwrap();
        Page { directory }
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.directory.file("page.html").display())
    }
}

/// Waits until the browser has run all that was due.
fn settle(browser: &Browser) {
    browser.run(
        "return new Promise((resolve) => setTimeout(resolve, 1))",
        &[],
    );
}

#[test]
fn push_js_is_a_script_and_a_module_for_pages_of_any_origin() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let address = server.clients;
    let own = Directory::new();
    let file = own.file("page.html");
    let listen = |name: &str| {
        format!(
            "globalThis.{name} = []; udpush('http://{address}', {{kind: ['a', 'b']}}, (data, id) => {{
                 {name}.push([data, id]);
                 if (data === 'throw') throw new Error('from a handler');
             }}).addEventListener('open', () => opened += 1);"
        )
    };
    let page = format!(
        r#"<!doctype html>
        <script>
          opened = 0;
        </script>
        <script src="http://{address}/push.js"></script>
        <script>{}</script>
        <script type="module">
          import byDefault, {{ udpush }} from "http://{address}/push.js";
          globalThis.same = byDefault === udpush && udpush !== window.udpush;
          {}
        </script>"#,
        listen("script"),
        listen("module")
    );
    fs::write(&file, page).unwrap();
    browser.open(&format!("file://{}", file.display()));
    browser.wait_until("opened === 2");
    assert_eq!(browser.run("return same", &[]), true);
    for message in ["\"throw\"", r#"{"kind":"c"}"#, r#"{"kind":["b","c"]}"#] {
        server.push(message);
    }
    browser.wait_until("script.length === 2 && module.length === 2");
    let (script, module) = (
        browser.run("return script", &[]),
        browser.run("return module", &[]),
    );
    assert_eq!(script, module);
    assert_eq!(script[0][0], "throw");
    assert_eq!(script[1][0], json!({"kind": ["b", "c"]}));
    assert!(script[1][1].as_str().unwrap().ends_with("-3"));
    let console = browser.console();
    assert_eq!(
        console
            .iter()
            .filter(|line| line.contains("from a handler"))
            .count(),
        2
    );
}

#[test]
fn the_handler_has_the_bytes_that_were_pushed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "const all = []; let opened = false;
        udpush(server, {}, (data, id, raw) => all.push(raw))
            .addEventListener('open', () => { opened = true; });";
    browser.open(&Page::new(server.clients, script).url());
    browser.wait_until("opened");
    let documents = [
        r#"{"b": 12345678901234567890,"2":1.10,"1":"\u00e9\/","data":"}"}"#,
        r#"",\"data\":""#,
        "[1e400]",
    ];
    for document in documents {
        server.push(document);
    }
    browser.wait_until("all.length === 3");
    assert_eq!(browser.run("return all", &[]), json!(documents));
}

#[test]
fn a_registration_that_would_hear_what_nobody_meant_is_refused() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "let client; const attempt = (registration) => {
            try { udpush(server, registration); } catch (error) { return String(error); }
        };";
    browser.open(&Page::new(server.clients, script).url());
    for (registration, words) in [
        ("{school_id: []}", r#""school_id" has no values"#),
        (
            "{a: 1, school_id: undefined}",
            r#""school_id" cannot be undefined"#,
        ),
        ("{school_id: null}", r#""school_id" cannot be null"#),
        (
            "{school_id: [2, undefined]}",
            r#""school_id" cannot be undefined"#,
        ),
        ("{school_id: NaN}", r#""school_id" cannot be NaN"#),
        ("{school_id: -Infinity}", r#""school_id" cannot be"#),
        (
            "{school_id: 12345678901234567890}",
            r#""school_id" cannot be"#,
        ),
        ("{school_id: {}}", r#""school_id" cannot be"#),
        ("{school_id: [['2']]}", r#""school_id" cannot be"#),
        ("{school_id: () => 2}", r#""school_id" cannot be"#),
        ("{since: '2'}", r#""since" is none in a URL"#),
        ("{last: '2'}", r#""last" is none in a URL"#),
        ("{token: '2'}", r#""token" is none in a URL"#),
        ("{lastEventId: '2'}", r#""lastEventId" is none in a URL"#),
        (
            "{'Last-Event-ID': '2'}",
            r#""Last-Event-ID" is none in a URL"#,
        ),
        ("{'': '2'}", r#""" is none in a URL"#),
        ("{'school_id[]': '2'}", r#""school_id[]" is none in a URL"#),
        ("null", "a registration is an object"),
        (
            "new Map([['school_id', '2']])",
            "a registration is an object",
        ),
        (
            "new URLSearchParams('school_id=2')",
            "a registration is an object",
        ),
        ("['school_id']", "a registration is an object"),
        ("'school_id=2'", "a registration is an object"),
    ] {
        let error = browser.run(&format!("return attempt({registration})"), &[]);
        let error = error.as_str().unwrap_or("no error");
        assert!(
            error.starts_with("TypeError: udpush: "),
            "{registration}: {error}"
        );
        assert!(error.contains(words), "{registration}: {error}");
    }
    assert_eq!(browser.run("return sockets", &[]), 0);
    // All else is heard by its text.
    let fields = r#"{type: "x", n: 2, f: -1.5, no: false, "é&=": ["", "2"], "__proto__": 1}"#;
    let fields = fields.replace(r#""__proto__""#, r#"["__proto__"]"#);
    let open = format!(
        "udpush(server, {fields}).addEventListener('open', (event) => {{ client = event.detail; }})"
    );
    browser.run(&open, &[]);
    browser.wait_until("client");
    let registered =
        r#"{"__proto__":"1","f":"-1.5","n":"2","no":"false","type":"x","é&=":["","2"]}"#;
    let registration = browser.run("return JSON.stringify(client.registration)", &[]);
    assert_eq!(registration, registered);
}

#[test]
fn a_page_that_is_left_connects_no_more_until_it_is_back() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "const link = udpush(server, {}); let resumed = false;
        link.addEventListener('resumed', () => { resumed = true; });";
    let page = Page::new(server.clients, script);
    browser.open(&page.url());
    browser.wait_until("link.state === 'open'");
    let leave = "dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}));
        dispatchEvent(new Event('online'));
        document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))";
    browser.run(leave, &[]);
    eventually("the end of its socket", || {
        server.log().contains("closed by the client").then_some(())
    });
    settle(&browser);
    assert_eq!(
        browser.run("return [link.state, sockets]", &[]),
        json!(["waiting", 1])
    );
    let back = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))";
    browser.run(back, &[]);
    browser.wait_until("link.state === 'open' && resumed");
    assert_eq!(browser.run("return sockets", &[]), 2);
    // The same when the browser does it: none of these pages comes back when the next is there.
    for _ in 0..5 {
        browser.open(&page.url());
        browser.wait_until("link.state === 'open'");
    }
    browser.open("about:blank");
    let count = |what: &str| server.log().matches(what).count();
    eventually("the end of all", || {
        (count(" closed: ") >= 2 + 5).then_some(())
    });
    assert_eq!(count(" connected from "), 2 + 5);
}

#[test]
fn nothing_wakes_a_link_that_is_closed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    // As browsers have it that do not know `signal`.
    let script = "const add = addEventListener;
        window.addEventListener = (type, act) => add(type, act);
        const events = [];
        const link = udpush(server, {});
        link.addEventListener('closed', ({ detail }) => events.push(detail));";
    browser.open(&Page::new(server.clients, script).url());
    browser.wait_until("link.state === 'open'");
    let wake = "link.close(); link.close();
        for (const type of ['online', 'pageshow', 'pagehide', 'pageshow', 'visibilitychange']) {
            dispatchEvent(new Event(type));
        }";
    browser.run(wake, &[]);
    eventually("the end of its socket", || {
        server.log().contains("(0 online)").then_some(())
    });
    browser.run("dispatchEvent(new Event('online'))", &[]);
    settle(&browser);
    let outcome = browser.run("return [link.state, sockets, events]", &[]);
    let closed = json!({"code": 1000, "reason": "closed by the page", "final": true});
    assert_eq!(outcome, json!(["closed", 1, [closed]]));
}

#[test]
fn a_page_that_was_sent_away_does_not_come_back() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "const events = [];
        const link = udpush(server, {user: 'u7'});
        link.addEventListener('closed', ({ detail }) => events.push(detail));";
    browser.open(&Page::new(server.clients, script).url());
    browser.wait_until("link.state === 'open'");
    let url = format!("http://{}/clients?user=u7", server.publishers);
    let output = Ending::start(Command::new("curl").args(["-s", "-X", "DELETE", &url])).output();
    assert_eq!(output.stdout, b"{\"closed\":1}\n");
    browser.wait_until("link.state === 'closed'");
    browser.run("dispatchEvent(new Event('online'))", &[]);
    settle(&browser);
    let outcome = browser.run("return [link.state, sockets, events]", &[]);
    let why = "disconnected by the operator";
    let closed = json!({"code": 4403, "reason": why, "final": true});
    assert_eq!(outcome, json!(["closed", 1, [closed]]));
}

#[test]
fn a_page_that_stays_out_of_date_does_not_reload_for_ever() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "sessionStorage.loads = Number(sessionStorage.loads || 0) + 1;
        let hello, heard;
        const since = decodeURIComponent(location.search.slice(1));
        const link = udpush(`${server}?since=${since}`, {}, (data) => { heard = data; });
        link.addEventListener('open', ({ detail }) => { hello = detail; });
        link.addEventListener('missed', () => location.reload());";
    let page = Page::new(server.clients, script);
    let mut newest = String::new();
    let mut loads = |since: &str, expected: usize| {
        browser.open(&format!("{}?{since}", page.url()));
        browser.wait_until(&format!("sessionStorage.loads >= {expected} && hello"));
        // Were it told that it has `missed` something, it would be before it has heard this.
        server.push(expected.to_string());
        browser.wait_until(&format!("heard === {expected}"));
        settle(&browser);
        let loads = browser.run("return Number(sessionStorage.loads)", &[]);
        assert_eq!(loads, expected, "since {since}");
        newest = browser
            .run("return hello.id", &[])
            .as_str()
            .unwrap()
            .to_owned();
        newest.clone()
    };
    // It reloads, and comes out of its cache.
    let id = loads("stale-1", 2);
    // In vain before, it is not to be tried again soon.
    loads("stale-1", 3);
    // Up to date, and then out of date again: that is another matter.
    loads(&id, 4);
    loads("stale-2", 6);
}

#[test]
fn a_page_is_told_why_its_first_attempt_failed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&["--max-clients", "1", "--origin", "null"]);
    let relay = Relay::start(server.clients);
    let script = "const events = []; let link;
        const listen = (registration) => {
            events.length = 0;
            link = udpush(server, registration);
            link.addEventListener('closed', ({ detail }) => events.push(detail));
        };";
    let page = Page::new(relay.address, script);
    browser.open(&page.url());
    let closed = |why: &str| {
        browser.wait_until(&format!(
            "events.some(({{ reason }}) => reason.includes('{why}'))"
        ));
        // It goes on meanwhile, and is not told the same again.
        browser.wait_until("sockets >= 3");
        let events = browser.run("return events.map(({ code, final }) => [code, final])", &[]);
        assert_eq!(events, json!([[1006, false]]));
        browser.run("link.close(); sockets = 0", &[]);
    };
    let holder = server.connect();
    browser.run("listen({})", &[]);
    closed("As many clients as are allowed are connected");
    relay.cut();
    browser.run("listen({})", &[]);
    browser.wait_until("events.length === 1");
    closed("");
    // When it gets through after all, it has missed what was pushed before.
    relay.mend();
    drop(holder);
    let missed = "let gap = false;
        listen({}); link.addEventListener('missed', () => { gap = true; })";
    relay.cut();
    browser.run(&missed.replace("let gap", "globalThis.gap"), &[]);
    browser.wait_until("events.length === 1");
    relay.mend();
    browser.wait_until("link.state === 'open'");
}

#[test]
fn a_link_registers_anew_without_losing_anything() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let relay = Relay::start(server.clients);
    let script = "const heard = [], registered = [];
        const link = udpush(`${server}?school_id=1`, {}, (data) => heard.push(data.n));
        for (const type of ['open', 'registered']) {
            link.addEventListener(type, ({ detail }) => registered.push(detail.registration));
        }
        // Before the link is open.
        link.register({ school_id: ['2', '3'] });";
    browser.open(&Page::new(relay.address, script).url());
    browser.wait_until("registered.length === 1");
    let push = |n: u32, school: u32| server.push(json!({"n": n, "school_id": school}).to_string());
    push(0, 1);
    push(1, 3);
    browser.wait_until("heard.length === 1");
    browser.run("link.register({ school_id: 4 })", &[]);
    browser.wait_until("registered.length === 2");
    push(2, 2);
    push(3, 4);
    browser.wait_until("heard.length === 2");
    let refused = "try { link.register({ school_id: [] }) } catch (error) { return error.message }";
    let refused = browser.run(refused, &[]);
    assert!(refused.as_str().unwrap().contains("no values"), "{refused}");
    // It is registered so when it connects again, too.
    relay.cut();
    browser.wait_until("link.state !== 'open'");
    push(4, 2);
    push(5, 4);
    browser.run("link.register({ school_id: [4, 5] })", &[]);
    push(6, 5);
    relay.mend();
    browser.wait_until("heard.length === 4");
    assert_eq!(browser.run("return heard", &[]), json!([1, 3, 5, 6]));
    // Another field takes the place of the one in the URL.
    browser.run("link.register({ room: 7 })", &[]);
    browser.wait_until("registered.length === 4");
    server.push(r#"{"n":7,"room":8}"#);
    push(8, 1);
    browser.wait_until("heard.length === 5");
    assert_eq!(browser.run("return heard[4]", &[]), 8);
    let registrations = browser.run("return registered.map((one) => JSON.stringify(one))", &[]);
    let expected = [
        r#"{"school_id":["2","3"]}"#,
        r#"{"school_id":"4"}"#,
        r#"{"school_id":["4","5"]}"#,
        r#"{"room":"7"}"#,
    ];
    assert_eq!(registrations, json!(expected));
    browser.run("link.close()", &[]);
    let refused = "try { link.register({}) } catch (error) { return error.message }";
    assert_eq!(browser.run(refused, &[]), "udpush: the link is closed");
}

#[test]
fn a_link_with_several_subscriptions_gives_each_message_to_whom_it_is_for() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "const heard = [], link = udpush(server);
        const note = (name) => (data, id, raw) => heard.push(name + raw);
        const sales = link.subscribe({department: 'sales'}, note('sales '));
        link.subscribe({user: [7, '12345678901234567890'], on: true}, note('user '));
        link.subscribe({user: 7}, () => { throw new Error('from a handler'); });
        let loads = 0; link.addEventListener('load', () => loads += 1);";
    let page = Page::new(server.clients, script);
    browser.open(&page.url());
    browser.wait_until("link.state === 'open' && loads === 1");
    assert_eq!(browser.run("return sockets", &[]), 1);
    let push = |document: &str| server.push(document);
    push(r#"{"department":"sales","user":8}"#);
    push(r#"{"department":"hr","user":7}"#);
    push(r#"{"department":"hr","user":8}"#);
    push(r#"{"department":["hr","sales"],"user":[1,12345678901234567890],"on":true}"#);
    push(r#"{"department":"hr","user":12345678901234567891}"#);
    push(r#"{"department":"hr","user":7.0}"#);
    push(r#"{"department":"hr","user":7,"on":false}"#);
    push(r#"{"department":null,"user":{}}"#);
    push("[1]");
    let expected = [
        r#"sales {"department":"sales","user":8}"#,
        r#"user {"department":"hr","user":7}"#,
        r#"sales {"department":["hr","sales"],"user":[1,12345678901234567890],"on":true}"#,
        r#"user {"department":["hr","sales"],"user":[1,12345678901234567890],"on":true}"#,
        r#"sales {"department":null,"user":{}}"#,
        "sales [1]",
        "user [1]",
    ];
    browser.wait_until(&format!("heard.length === {}", expected.len()));
    assert_eq!(browser.run("return heard", &[]), json!(expected));
    let server_side = browser.run(
        "return new Promise((resolve) => {
             link.addEventListener('registered', ({detail}) => resolve(detail.registration));
             heard.length = 0;
             sales.unsubscribe();
             sales.unsubscribe();
         })",
        &[],
    );
    assert_eq!(
        server_side,
        json!([{"on": "true", "user": ["12345678901234567890", "7"]}, {"user": "7"}])
    );
    push(r#"{"department":"sales","user":8}"#);
    push(r#"{"department":"sales","user":7}"#);
    browser.wait_until("heard.length === 1");
    assert_eq!(
        browser.run("return heard", &[]),
        json!([r#"user {"department":"sales","user":7}"#])
    );
    browser.run("link.register({class: 1})", &[]);
    browser.wait_until("link.state === 'open'");
    assert_eq!(browser.run("return sockets", &[]), 1);
}

#[test]
fn with_routes_each_subscription_hears_only_what_it_registered() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&["--origin", "null", "--route", "department,user"]);
    let script = "const heard = [];
        const note = (name) => (data, id, raw) => heard.push(name + raw);
        const link = udpush(server, {department: 'sales', note: 1}, note('sales '));
        link.subscribe({user: 7}, note('user '));";
    let page = Page::new(server.clients, script);
    browser.open(&page.url());
    browser.wait_until("link.state === 'open'");
    for document in [
        r#"{"user":7,"note":2}"#,
        r#"{"department":"sales"}"#,
        r#"{"department":"sales","user":7}"#,
        r#"{"department":"sales","user":null}"#,
        r#"{"note":2}"#,
    ] {
        server.push(document);
    }
    let expected = [
        r#"user {"user":7,"note":2}"#,
        r#"sales {"department":"sales"}"#,
        r#"sales {"note":2}"#,
        r#"user {"note":2}"#,
    ];
    browser.wait_until(&format!("heard.length === {}", expected.len()));
    assert_eq!(browser.run("return heard", &[]), json!(expected));
}

#[test]
fn a_page_that_is_loaded_again_goes_on_where_it_was_and_knows_who_is_there() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let script = "const heard = [], hellos = [], counts = [];
        const link = udpush(server, {}, (data) => heard.push(data), {remember: 'news', online: true});
        link.addEventListener('load', ({detail}) => hellos.push(detail));
        link.addEventListener('online', ({detail}) => counts.push(detail));";
    let page = Page::new(server.clients, script);
    browser.open(&page.url());
    browser.wait_until("hellos.length === 1 && counts[0] === 1");
    server.push("1");
    browser.wait_until("heard.length === 1");
    assert_eq!(
        browser.run("return sessionStorage['udpush news'] === link.id", &[]),
        true
    );
    browser.open("about:blank");
    server.push("2");
    server.push("3");
    let other = server.connect();
    browser.open(&page.url());
    browser.wait_until("heard.join() === '2,3'");
    assert_eq!(browser.run("return hellos[0].resumed", &[]), true);
    browser.wait_until("counts.includes(2)");
    drop(other);
    browser.wait_until("counts[counts.length - 1] === 1");
}

#[test]
fn where_websocket_does_not_get_through_events_do() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&FILES);
    let relay = Relay::start(server.clients);
    relay.lose_upgrades();
    let script = "const heard = [], closed = [];
        const link = udpush(server, {user: 7}, (data, id, raw) => heard.push(raw));
        link.addEventListener('closed', ({detail}) => closed.push(detail.reason));";
    let page = Page::new(relay.address, script);
    browser.open(&page.url());
    browser.wait_until("link.state === 'open'");
    server.push(r#"{"user":7, "n":1.0}"#);
    server.push(r#"{"user":8}"#);
    server.push(r#"{"user":7,"n":2}"#);
    browser.wait_until("heard.length === 2");
    assert_eq!(
        browser.run("return heard", &[]),
        json!([r#"{"user":7, "n":1.0}"#, r#"{"user":7,"n":2}"#])
    );
    assert_eq!(
        browser.run("return closed", &[]),
        json!(["HTTP gets through, WebSocket does not"])
    );
    // A new registration is a new stream, that goes on where this one was.
    browser.run(
        "heard.length = 0; link.subscribe({user: 8}, (data, id, raw) => heard.push(raw))",
        &[],
    );
    browser.wait_until("link.state === 'open'");
    server.push(r#"{"user":8,"n":3}"#);
    browser.wait_until("heard.length === 1");
    // The line may be cut.
    relay.cut();
    browser.wait_until("closed.length === 2");
    server.push(r#"{"user":7,"n":4}"#);
    relay.mend();
    browser.wait_until("heard.length === 2");
}
