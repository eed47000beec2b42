//! What the live page shows, and how.

use serde_json::{Value, json};

use super::webdriver::Browser;
use super::{IS_OPEN, shown, wait_for_shown};
use crate::common::Server;

fn open(browser: &Browser, server: &Server, query: &str) {
    browser.open(&format!("http://{}/{query}", server.clients));
    browser.wait_until(IS_OPEN);
}

/// The texts of these elements.
fn texts(browser: &Browser, selector: &str) -> Value {
    let script = "return Array.from(document.querySelectorAll(arguments[0]), \
                  (found) => found.textContent)";
    browser.run(script, &[json!(selector)])
}

#[test]
fn the_live_page_shows_the_bytes_that_were_pushed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "");
    let document = "{\"b\": 12345678901234567890,\"2\":1.10,\r\n\"1\":\"\\u00e9\\\"\",\"b\":[]}";
    server.push(document);
    wait_for_shown(&browser, 1);
    assert_eq!(texts(&browser, ".message pre"), json!([document]));
    let names = json!(["\"b\"", "\"2\"", "\"1\"", "\"b\""]);
    assert_eq!(texts(&browser, ".message .name"), names);
    assert_eq!(
        texts(&browser, ".message .literal"),
        json!(["12345678901234567890", "1.10"])
    );
    // What turns the line around, or cannot be seen, is shown by its escape, and marked.
    browser.run("document.getElementById('clear').click()", &[]);
    let letters = "a\u{202e}b\u{7f}\u{e0041}\u{1f468}\u{200d}\u{1f469}";
    server.push(json!([letters]).to_string());
    assert_eq!(wait_for_shown(&browser, 1), [json!([letters])]);
    let escapes = json!(["\\u202e", "\\u007f", "\\udb40\\udc41"]);
    assert_eq!(texts(&browser, ".message .escape"), escapes);
    // A long one is shown in part.
    browser.run("document.getElementById('clear').click()", &[]);
    server.push(format!("\"{}\"", "x".repeat(30_000)));
    browser.wait_until("document.querySelector('.message em')");
    assert_eq!(
        texts(&browser, ".message em"),
        json!([" … 10,002 more characters"])
    );
}

#[test]
fn the_page_begins_with_the_last_messages_and_tells_how_many_are_online() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut server = Server::start(&[]);
    for number in 1..=50 {
        server.push(json!({"class": number % 2, "n": number}).to_string());
    }
    server.wait_for_line("-50 from ");
    open(&browser, &server, "?class=1");
    let last: Vec<_> = (11..50).step_by(2).collect();
    let numbers = |messages: Vec<Value>| -> Vec<u64> {
        let numbers = messages.iter().map(|message| message["n"].as_u64());
        numbers.map(Option::unwrap).collect()
    };
    assert_eq!(numbers(wait_for_shown(&browser, 20)), last);
    // When they came is not when they were pushed, and they are no news.
    browser.wait_until("document.querySelector('.message time').textContent.startsWith('before ')");
    server.push(r#"{"class":1,"n":51}"#);
    assert_eq!(
        numbers(wait_for_shown(&browser, 21)),
        [&last[..], &[51]].concat()
    );
    let online = "document.getElementById('online').textContent";
    browser.wait_until(&format!("{online} === '1 online'"));
    let other = server.connect();
    browser.wait_until(&format!("{online} === '2 online'"));
    // It is asked for again when the link is made anew, also after another registration.
    browser.run("document.forms[0].requestSubmit()", &[]);
    browser.wait_until("document.querySelector('.note.good')");
    browser.run(
        "dispatchEvent(new Event('pagehide')); dispatchEvent(new Event('pageshow'))",
        &[],
    );
    browser.wait_until("document.querySelectorAll('.note.good').length === 2");
    drop(other);
    browser.wait_until(&format!("{online} === '1 online'"));
}

#[test]
fn what_came_during_a_pause_is_shown_after_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "");
    server.push("1");
    wait_for_shown(&browser, 1);
    browser.run("document.getElementById('pause').click()", &[]);
    server.push("2");
    let button = "document.getElementById('pause').textContent";
    browser.wait_until(&format!("{button} === 'Go on (1 new)'"));
    browser.run("document.getElementById('clear').click()", &[]);
    assert_eq!(texts(&browser, ".message pre"), json!([]));
    assert_eq!(
        browser.run(&format!("return {button}"), &[]),
        "Go on (1 new)"
    );
    browser.run("document.getElementById('pause').click()", &[]);
    assert_eq!(wait_for_shown(&browser, 1), [json!(2)]);
}

#[test]
fn a_long_pause_counts_all_that_came_and_keeps_the_newest() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "");
    let button = "document.getElementById('pause').textContent";
    browser.run("document.getElementById('pause').click()", &[]);
    for number in 1..=1234 {
        server.push(number.to_string());
    }
    browser.wait_until(&format!("{button} === 'Go on (1,234 new)'"));
    browser.run("document.getElementById('pause').click()", &[]);
    let kept: Vec<_> = (1035..=1234).map(|number| json!(number)).collect();
    assert_eq!(wait_for_shown(&browser, 200), kept);
    let hint = "document.getElementById('hint').textContent";
    browser.wait_until(&format!("{hint}.includes('The newest 200 are kept')"));
}

/// Types into the search box.
fn search(browser: &Browser, text: &str) {
    let script = "const box = document.getElementById('search'); box.value = arguments[0]; \
                  box.dispatchEvent(new Event('input'))";
    browser.run(script, &[json!(text)]);
}

#[test]
fn the_page_finds_text_and_fields() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "");
    let documents = [
        r#"{"user": 12345678901234567890, "msg": "\u4f60\u597d", "in": {"team": "a"}}"#,
        r#"{"user": ["7", 8], "team": "b", "msg": "Hello"}"#,
        r#"["user", "7", "你好"]"#,
    ];
    for document in documents {
        server.push(document);
    }
    wait_for_shown(&browser, 3);
    for (text, found) in [
        ("hello", &[1][..]),
        // As PHP writes it, and as it is read.
        ("你好", &[0, 2]),
        (r"\u4F60", &[0]),
        ("user=7", &[1]),
        ("user=8 hello", &[1]),
        ("user=7 user=12345678901234567890", &[0, 1]),
        ("user=12345678901234567000", &[]),
        ("team=a", &[]),
        ("user=7 team=b", &[1]),
        ("", &[0, 1, 2]),
    ] {
        search(&browser, text);
        let expected: Vec<_> = found.iter().rev().map(|one| &documents[*one]).collect();
        let shown = texts(&browser, ".message:not([hidden]) pre");
        assert_eq!(shown, json!(expected), "{text}");
    }
    // What comes later is searched as well.
    search(&browser, "team=b");
    server.push(r#"{"team":"c"}"#);
    server.push(r#"{"team":"b"}"#);
    wait_for_shown(&browser, 5);
    let hint = "document.getElementById('hint').textContent";
    browser.wait_until(&format!("{hint}.startsWith('2 of 5 match.')"));
}

#[test]
fn clearing_takes_what_is_seen_and_gives_it_back() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "");
    for number in 1..=4 {
        server.push(json!({"n": number, "even": number % 2 == 0}).to_string());
    }
    let before = wait_for_shown(&browser, 4);
    search(&browser, "even=true");
    browser.run("document.getElementById('clear').click()", &[]);
    search(&browser, "");
    assert_eq!(shown(&browser), [before[0].clone(), before[2].clone()]);
    server.push("5");
    wait_for_shown(&browser, 3);
    browser.run("document.getElementById('undo').click()", &[]);
    assert_eq!(shown(&browser), [&before[..], &[json!(5)]].concat());
    let focused = browser.run("return document.activeElement.id", &[]);
    assert_eq!(focused, "clear");
}

#[test]
fn messages_are_copied_as_they_were_pushed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "");
    browser.grant(&["clipboardReadWrite", "clipboardSanitizedWrite"]);
    let document =
        "{\"b\": 12345678901234567890,\"2\":1.10,\r\n\"1\":\"\\u00e9 {\",\"b\":[{}, []]}";
    server.push(document);
    wait_for_shown(&browser, 1);
    server.push("[1,2]");
    wait_for_shown(&browser, 2);
    let copied = |button: &str| {
        let button = format!("document.querySelector('{button}')");
        browser.run(&format!("{button}.click()"), &[]);
        browser.wait_until(&format!("{button}.textContent === 'Copied'"));
        let text = browser.run("return navigator.clipboard.readText()", &[]);
        browser.wait_until(&format!("{button}.textContent !== 'Copied'"));
        text
    };
    assert_eq!(copied("li:last-child .copy"), document);
    let lines = document.replace("\r\n", "  ") + "\n[1,2]\n";
    assert_eq!(copied("#copy-all"), lines);
    // On many lines it has the same tokens.
    browser.run("document.getElementById('format').click()", &[]);
    let formatted = "{\n  \"b\": 12345678901234567890,\n  \"2\": 1.10,\n  \"1\": \"\\u00e9 {\",\n  \
                     \"b\": [\n    {},\n    []\n  ]\n}";
    assert_eq!(texts(&browser, "li:last-child pre"), json!([formatted]));
    assert_eq!(copied("li:last-child .copy"), formatted);
    let both = format!("{formatted}\n[\n  1,\n  2\n]\n");
    assert_eq!(copied("#copy-all"), both);
}

#[test]
fn the_page_offers_to_push_from_the_dashboard() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let mut client = server.connect();
    open(&browser, &server, "?team=a%2Bb&name=%E5%BC%A0");
    browser.wait_until("!document.getElementById('dashboard').hidden");
    let link = browser.run("return document.getElementById('dashboard').href", &[]);
    browser.open(link.as_str().unwrap());
    browser.wait_until("!document.getElementById('send').disabled");
    // It is there to be pushed, and is not pushed yet.
    let position = browser.run(
        "return document.getElementById('message-list').children.length",
        &[],
    );
    assert_eq!(position, 0);
    browser.run("document.getElementById('send').click()", &[]);
    assert_eq!(client.text(), r#"{"team":"a+b","name":"张","msg":"hi"}"#);
}

#[test]
fn the_page_notifies_who_looks_elsewhere_and_chose_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    browser.grant(&["notifications"]);
    open(&browser, &server, "");
    // The first may be ones that were pushed before: nobody is called for them.
    for early in 0..20 {
        server.push(json!([early]).to_string());
    }
    wait_for_shown(&browser, 20);
    // Whatever is shown is noted, too.
    browser.run(
        "const real = Notification; window.told = []; \
         window.Notification = class extends real { \
             constructor(title, options) { super(title, options); told.push(options.body); } \
         }; \
         document.hasFocus = () => window.looks",
        &[],
    );
    browser.run("document.getElementById('notify').click()", &[]);
    let pressed = "document.getElementById('notify').getAttribute('aria-pressed') === 'true'";
    browser.wait_until(pressed);
    server.push("\"one\"");
    browser.wait_until("told.length === 1");
    browser.run("window.looks = true", &[]);
    server.push("\"two\"");
    wait_for_shown(&browser, 22);
    browser.run(
        "window.looks = false; document.getElementById('notify').click()",
        &[],
    );
    server.push("\"three\"");
    wait_for_shown(&browser, 23);
    browser.run("document.getElementById('notify').click()", &[]);
    browser.wait_until(pressed);
    server.push(r#""\u4f60\u597d""#);
    browser.wait_until("told.length > 1");
    let told = browser.run("return told", &[]);
    assert_eq!(told, json!(["\"one\"", "\"你好\""]));
}

#[test]
fn the_page_says_that_the_server_was_stopped() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let mut server = Server::start(&[]);
    browser.prefer("zh-TW,en");
    open(&browser, &server, "");
    assert_eq!(texts(&browser, "#messages-heading"), json!(["消息"]));
    server.signal("TERM");
    server.wait();
    browser
        .wait_until("document.querySelector('.note.wait')?.textContent.includes('服务器已停止')");
    let all = browser.run("return document.body.textContent", &[]);
    assert!(!all.as_str().unwrap().contains("1001"), "{all}");
}

#[test]
fn listening_to_something_else_loses_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    open(&browser, &server, "?school_id=1");
    let mut expected = Vec::new();
    for round in 0..10 {
        // What both registrations hear is pushed all the while.
        let register = "document.querySelectorAll('#rows input')[1].value = arguments[0]; \
                        document.forms[0].requestSubmit()";
        browser.run(register, &[json!(round.to_string())]);
        server.push(round.to_string());
        expected.push(json!(round));
        server.push(r#"{"school_id":"other"}"#);
    }
    // From nought on, of which PHP would say that it is empty.
    expected.remove(0);
    assert_eq!(wait_for_shown(&browser, expected.len()), expected);
    browser.wait_until("document.querySelector('.note.good:nth-last-child(n)')?.textContent.includes('school_id=9')");
    assert_eq!(server.log().matches(" connected from ").count(), 1);
    assert_eq!(browser.run("return location.search", &[]), "?school_id=9");
    // A field that cannot be one is told, and changes nothing.
    browser.run(
        "document.querySelector('#rows input').value = 'since'; document.forms[0].requestSubmit()",
        &[],
    );
    browser.wait_until("document.querySelector('.note.bad')?.textContent.includes('\"since\"')");
    server.push(r#"{"school_id":9}"#);
    wait_for_shown(&browser, expected.len() + 1);
}

#[test]
fn the_page_says_why_it_cannot_connect() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&["--max-clients", "1"]);
    let _holder = server.connect();
    browser.open(&format!("http://{}/", server.clients));
    browser.wait_until(
        "document.querySelector('.note.wait')?.textContent.includes('As many clients as are allowed')",
    );
    let state = "document.getElementById('state').textContent === 'Reconnecting…'";
    browser.wait_until(state);
}

#[test]
fn nothing_covers_anything_however_much_is_registered() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let long = "x".repeat(200);
    let query = format!(
        "?school_id=2&school_class_id=1&department=accounting&room=017&name={long}&name=Zoe"
    );
    for width in [320, 390, 800, 1280, 1920] {
        browser.resize(width, 900);
        open(&browser, &server, &query);
        let measure = "const right = (element) => element.getBoundingClientRect().right;
            const cards = Array.from(document.querySelectorAll('.card'), right);
            return {
                scroll: document.documentElement.scrollWidth,
                cards: Math.max(...cards),
                messages: document.querySelector('section').getBoundingClientRect().left,
            }";
        for open in ["false", "true"] {
            browser.run(
                &format!(
                    "document.querySelectorAll('details').forEach((d) => {{ d.open = {open} }})"
                ),
                &[],
            );
            let measured = browser.run(measure, &[]);
            let number = |name: &str| measured[name].as_f64().unwrap();
            let fits = number("scroll") <= f64::from(width);
            assert!(fits, "it scrolls sideways at {width}: {measured}");
            let covers = width >= 800 && number("cards") > number("messages");
            assert!(!covers, "at {width}: {measured}");
        }
    }
}
