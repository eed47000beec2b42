//! Examples for a browser, which gets them from a web server, as they say.

use serde_json::json;

use super::blocks::Block;
use super::world::World;
use crate::browser::webdriver::Browser;
use crate::common::{eventually, publisher};

/// A page, from a file. Nothing is wrong with it, and what is pushed it shows.
pub fn open(world: &mut World, block: &Block) -> Result<(), String> {
    let page = world.adapted(&block.text);
    show(world, block, &page)
}

/// A page's script, where push.js is loaded already; or a module.
pub fn run(world: &mut World, block: &Block) -> Result<(), String> {
    let script = world.adapted(&block.text);
    let loaded = match script.contains("import ") {
        true => "",
        false => "<script src=\"http://localhost:6552/push.js\"></script>",
    };
    let page = format!(
        "<!doctype html><meta charset=utf-8>{}<body><ul id=messages></ul><script type=module>{script}</script>",
        world.adapted(loaded)
    );
    show(world, block, &page)
}

fn show(world: &mut World, block: &Block, page: &str) -> Result<(), String> {
    world.write("page.html", page);
    let port = world.web_server();
    let shows = block.remark("shows").map(str::to_owned);
    let server = world.server.publishers;
    // One of its own: a page that was left may live on in a browser, and its connections with it.
    let Some(browser) = Browser::start() else {
        return Ok(());
    };
    browser.open(&format!("http://localhost:{port}/page.html"));
    if let Some((document, text)) = shows.as_deref().and_then(|shows| shows.split_once(" → ")) {
        // Whether it is connected, only the page knows: so this is pushed again.
        let script = "return document.body.innerText.includes(arguments[0])";
        let socket = publisher();
        eventually(text, || {
            socket.send_to(document.as_bytes(), server).unwrap();
            let shown = browser.run(script, &[json!(text)]);
            (shown == true).then_some(())
        });
    }
    let mut console = browser.console();
    // No example has an icon, and browsers ask for one.
    console.retain(|line| !line.contains("/favicon.ico"));
    drop(browser);
    world.leave(Vec::new());
    match console.is_empty() {
        true => Ok(()),
        false => Err(console.join("\n")),
    }
}
