//! push.js in the oldest Chromium that README.md names.

use std::env;
use std::fs;
use std::process::{Child, Command, Stdio};

use crate::common::{Directory, Server, eventually};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// There is no driver for it, and none is needed: the page tells by what it registers.
#[test]
#[ignore = "needs an old Chromium, named in UDPUSH_OLD_CHROMIUM"]
fn push_js_works_in_an_old_chromium() {
    let program = env::var_os("UDPUSH_OLD_CHROMIUM").expect("UDPUSH_OLD_CHROMIUM");
    let server = Server::start(&super::FILES);
    let address = server.clients;
    let files = Directory::new();
    let page = format!(
        r#"<!doctype html>
        <script>
          const tell = (what) => new WebSocket("ws://{address}/?told=" + encodeURIComponent(what));
          onerror = (message) => tell(message);
          Math.random = () => 0;
        </script>
        <script src="http://{address}/push.js" crossorigin></script>
        <script>
          let refused;
          try {{ udpush("ws://{address}/", {{ a: [] }}); }} catch (error) {{ refused = error.name; }}
          const events = [refused];
          const link = udpush("ws://{address}/", {{ a: ["1", "2"] }}, (data, id, raw) => {{
            events.push(raw);
            if (data.end) {{
              link.close();
              // Nothing is to come of these.
              dispatchEvent(new Event("online"));
              dispatchEvent(new Event("pageshow"));
              setTimeout(() => tell(events.concat(link.state).join(" ")), 1);
            }}
          }});
          for (const type of ["open", "resumed", "closed", "registered"]) {{
            link.addEventListener(type, () => events.push(type));
          }}
          link.addEventListener("resumed", () => link.register({{ a: "3" }}));
          link.addEventListener("registered", () => tell("ready"));
          link.addEventListener("open", () => {{
            if (events.includes("closed")) return;
            dispatchEvent(new Event("pagehide"));
            dispatchEvent(new Event("pageshow"));
          }});
        </script>"#
    );
    let file = files.file("page.html");
    fs::write(&file, page).unwrap();
    let mut command = Command::new(program);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
    ]);
    command.arg(format!(
        "--user-data-dir={}",
        files.file("profile").display()
    ));
    command.arg(format!("file://{}", file.display()));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _browser = Killed(command.spawn().unwrap());
    let told = |what: &str| {
        let line = format!(r#"registered {{"told":"{what}"}}"#);
        eventually(&line, || {
            let log = server.log();
            assert!(!log.contains("Uncaught"), "{log}");
            log.contains(&line).then_some(())
        });
    };
    told("ready");
    server.push(r#"{"a":1}"#);
    server.push(r#"{"a":3,"end":1.10}"#);
    // The log escapes the quotes.
    told(r#"TypeError open closed open resumed registered {\"a\":3,\"end\":1.10} closed closed"#);
}
