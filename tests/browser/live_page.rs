//! What the live page shows, and how.

use serde_json::{Value, json};

use super::webdriver::Browser;
use super::{IS_OPEN, wait_for_shown};
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
