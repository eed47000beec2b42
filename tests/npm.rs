//! push.js as a package: what `npm pack` gives, in a project with a bundler and types.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::browser::webdriver::Browser;
use crate::common::{Directory, Ending, Server, skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const PAGE: &str = r#"
import udpush, { type Link, type Hello } from "udpush";
interface Order { order: number }
const heard: string[] = [];
const link: Link = udpush("ws://SERVER/", undefined, null, { remember: "orders", online: true });
const mine = link.subscribe<Order>({ order: [7, "8"] }, ({ order }, id, raw) => {
  heard.push(`${order.toFixed(1)} ${id.length > 0} ${raw}`);
});
link.addEventListener("load", ({ detail }) => {
  const hello: Hello = detail;
  heard.push(`load ${hello.online}`);
  // @ts-expect-error: a field has values
  if (heard.length < 0) link.register({ order: null });
});
Object.assign(globalThis, { heard, mine, link });
"#;

fn run(command: &mut Command) {
    let output = Ending::start(command).output();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn a_bundler_takes_the_package_and_its_types_hold() {
    let tools = Path::new(ROOT).join("target/npm/node_modules/.bin");
    if !tools.exists() {
        return skip("esbuild and TypeScript are not there: scripts/test installs them");
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&["--origin", "null"]);
    let own = Directory::new();
    run(Command::new("cp")
        .args(["-r", &format!("{ROOT}/src/web")])
        .arg(own.file("web")));
    let npm = |arguments: &[&str], at: &Path| {
        let mut npm = Command::new("npm");
        npm.args(arguments).current_dir(at);
        run(npm.args(["--silent", "--offline", "--no-audit", "--no-fund"]));
    };
    npm(
        &["pack", "--pack-destination", "../.."],
        &own.file("web/npm"),
    );
    fs::write(own.file("package.json"), r#"{"type":"module"}"#).unwrap();
    npm(&["install", "./udpush-0.1.0.tgz"], own.path());
    let page = PAGE.replace("SERVER", &server.clients.to_string());
    fs::write(own.file("page.ts"), page).unwrap();
    let mut types = Command::new(tools.join("tsc"));
    types.args([
        "--noEmit", "--strict", "--target", "es2020", "--module", "nodenext", "page.ts",
    ]);
    run(types.current_dir(own.path()));
    let mut bundle = Command::new(tools.join("esbuild"));
    bundle.args([
        "page.ts",
        "--bundle",
        "--minify",
        "--outfile=page.js",
        "--log-level=warning",
    ]);
    run(bundle.current_dir(own.path()));
    let html = "<!doctype html><script src=page.js></script>";
    fs::write(own.file("page.html"), html).unwrap();
    browser.open(&format!("file://{}", own.file("page.html").display()));
    browser.wait_until("heard.join() === 'load 1'");
    server.push(r#"{"order":9}"#);
    server.push(r#"{"order":8}"#);
    browser.wait_until(r#"heard[1] === '8.0 true {"order":8}'"#);
}
