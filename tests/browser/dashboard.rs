//! The trusted side's page, in a real browser.

use serde_json::json;

use super::IS_OPEN;
use super::webdriver::Browser;
use crate::common::{Client, Server};

/// Types a document into the dashboard's box.
fn type_in(browser: &Browser, document: &str) {
    let script = "const box = document.getElementById('document'); box.value = arguments[0]; \
                  box.dispatchEvent(new Event('input', { bubbles: true }))";
    browser.run(script, &[json!(document)]);
}

/// And pushes it.
fn push(browser: &Browser, document: &str) {
    type_in(browser, document);
    browser.run("document.getElementById('send').click()", &[]);
}

#[test]
fn a_push_from_the_dashboard_is_published_and_heard() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let mut client = server.connect();
    server.push("\"before\"");
    assert_eq!(client.text(), "\"before\"");
    browser.open(&format!("http://{}/", server.publishers));
    browser.wait_until(IS_OPEN);
    push(&browser, r#"{"msg":"from the dashboard"}"#);
    assert_eq!(client.text(), r#"{"msg":"from the dashboard"}"#);
    let answer = "document.getElementById('answer').textContent";
    browser.wait_until(&format!("{answer}.endsWith('-2, for 1 client.')"));
    // As it was pushed, to the letter; what was pushed before the page came is there, too.
    let message = "document.querySelector('.message pre')?.textContent";
    browser.wait_until(&format!(
        "{message} === '{{\"msg\":\"from the dashboard\"}}'"
    ));
    browser.wait_until("document.querySelectorAll('.message').length === 2");
    browser.wait_until(
        "document.getElementById('log-list').textContent.includes('client 1 connected')",
    );
    push(&browser, r#"{"msg":}"#);
    browser.wait_until(&format!("{answer}.includes('not JSON at byte 8')"));
    // What was refused is told here, too; apart from that nothing is wrong, and the page passes its
    // own policy.
    let mut console = browser.console();
    console.retain(|line| !line.contains("status of 400"));
    assert_eq!(console, Vec::<String>::new());
}

#[test]
fn the_dashboard_speaks_chinese_to_who_asks_for_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    for (language, heading, locale) in [
        ("zh-CN", "日志", "zh-CN"),
        ("de,zh-Hant-TW,en", "日志", "zh-CN"),
        ("de", "Log", "en"),
    ] {
        browser.prefer(language);
        browser.open(&format!("http://{}/", server.publishers));
        browser.wait_until(IS_OPEN);
        let found = browser.run(
            "return [document.getElementById('log-heading').textContent, \
             document.documentElement.lang]",
            &[],
        );
        assert_eq!(found, json!([heading, locale]), "{language}");
    }
}

#[test]
fn the_dashboard_tells_who_hears_a_document_and_sends_a_client_away() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    let mut first = Client::connect(server.clients, "/?user=u7");
    let _second = Client::connect(server.clients, "/?user=u8");
    browser.open(&format!("http://{}/", server.publishers));
    browser.wait_until("document.querySelectorAll('#rows tr').length === 2");
    type_in(&browser, r#"{"user":"u7"}"#);
    let verdict = "document.getElementById('verdict').textContent";
    browser.wait_until(&format!("{verdict}.startsWith('1 client hears it')"));
    browser.run(
        "document.getElementById('search').value = 'user=u7'; \
         document.getElementById('search').dispatchEvent(new Event('input'))",
        &[],
    );
    browser.wait_until("document.querySelectorAll('#rows tr').length === 1");
    browser.run(
        "document.querySelector('#rows button').click(); \
         document.getElementById('yes').click()",
        &[],
    );
    assert_eq!(first.close_code(), 4403);
    browser.wait_until(
        "document.getElementById('clients-said').textContent === 'Client 1 is disconnected.'",
    );
}
