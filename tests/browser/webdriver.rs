//! A real browser, driven through chromedriver in the W3C's WebDriver protocol, which is JSON over
//! HTTP: a blocking HTTP client is all that it takes.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use crate::common::{Deadline, Directory, eventually, skip};

/// Started anew for each test, without anything remembered; dropped, it is gone.
pub struct Browser {
    agent: Agent,
    /// Where its commands go.
    session: String,
    _driver: Driver,
    /// Of all that it writes; the last to go.
    _files: Directory,
}

/// chromedriver; its output stays open, as it may go on writing.
struct Driver(Child, BufReader<ChildStdout>);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Browser {
    /// `None` where there is no browser, and the test is skipped then.
    pub fn start() -> Option<Browser> {
        let files = Directory::new();
        let deadline = Deadline::new();
        let (driver, port) = loop {
            let Some(mut driver) = start_driver(&files) else {
                skip("chromedriver is not installed");
                return None;
            };
            // It ends when the port that it got for IPv4 is somebody else's for IPv6.
            if let Some(port) = read_port(&mut driver) {
                break (driver, port);
            }
            deadline.check("chromedriver's port");
        };
        let agent = Agent::config_builder()
            // A browser takes its time to start on a machine that runs all other tests as well.
            .timeout_global(Some(Duration::from_secs(60)))
            // Errors have a body that says more.
            .http_status_as_error(false)
            .build()
            .new_agent();
        let capabilities = json!({"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": [
                "--headless",
                // The sandbox refuses to run as root, as tests in containers do.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                // As if their owners had pointed these names here.
                "--host-resolver-rules=MAP *.example 127.0.0.1",
                format!("--user-data-dir={}", files.file("profile").display()),
            ]},
        }});
        let sessions = format!("http://127.0.0.1:{port}/session");
        let new = json!({"capabilities": capabilities});
        let session = value_of(agent.post(&sessions).send(new.to_string()));
        let id = session["sessionId"].as_str().unwrap();
        Some(Browser {
            agent,
            session: format!("{sessions}/{id}"),
            _driver: driver,
            _files: files,
        })
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.command("url", json!({"url": url}));
    }

    /// Gives the page a window of this size, also a phone's.
    pub fn resize(&self, width: u32, height: u32) {
        let parameters = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters);
    }

    /// Tells pages from now on that this is the user's language.
    pub fn prefer(&self, language: &str) {
        let agent = self.run("return navigator.userAgent", &[]);
        let parameters = json!({"userAgent": agent, "acceptLanguage": language});
        self.devtools("Emulation.setUserAgentOverride", parameters);
    }

    /// Says yes to what pages will ask the user for, by the names of the DevTools protocol.
    pub fn grant(&self, permissions: &[&str]) {
        self.devtools(
            "Browser.grantPermissions",
            json!({"permissions": permissions}),
        );
    }

    /// What JavaScript comes to in the page: the body of a function with `arguments`.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("execute/sync", json!({"script": script, "args": arguments}))
    }

    /// Waits until an expression holds in the page.
    pub fn wait_until(&self, expression: &str) {
        eventually(expression, || {
            let holds = self.run(&format!("return !!({expression})"), &[]);
            (holds == true).then_some(())
        });
    }

    /// What was written to the console since the last look, complaints of the browser's included.
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({"type": "browser"}));
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    fn devtools(&self, command: &str, parameters: Value) {
        let execute = json!({"cmd": command, "params": parameters});
        self.command("goog/cdp/execute", execute);
    }

    fn command(&self, command: &str, parameters: Value) -> Value {
        let url = format!("{}/{command}", self.session);
        value_of(self.agent.post(&url).send(parameters.to_string()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killing the driver alone would leave the browser behind.
        let _ = self.agent.delete(&self.session).call();
    }
}

fn start_driver(files: &Directory) -> Option<Driver> {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null());
    command.env("TMPDIR", files.path());
    match command.stdout(Stdio::piped()).spawn() {
        Ok(mut child) => {
            let output = BufReader::new(child.stdout.take().unwrap());
            Some(Driver(child, output))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => panic!("chromedriver does not start: {error}"),
    }
}

/// It says `ChromeDriver was started successfully on port 41234.`, unless it ends.
fn read_port(driver: &mut Driver) -> Option<u16> {
    loop {
        let mut line = String::new();
        if driver.1.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return Some(port.trim_end().trim_end_matches('.').parse().unwrap());
        }
    }
}

/// The value of WebDriver's answer, which must be no error.
fn value_of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let text = answer.unwrap().body_mut().read_to_string().unwrap();
    let value = serde_json::from_str::<Value>(&text).unwrap()["value"].take();
    let error = value.get("error");
    assert!(error.is_none(), "{error:?}: {}", value["message"]);
    value
}
