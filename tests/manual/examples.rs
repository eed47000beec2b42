//! Every example is run as it stands there.
//!
//! What kind of example a block is, its language says: `sh`, `console` (commands and what they
//! print), `php`, `html`, `js`, `json`, `toml`, `ini` (a unit of systemd), `nginx`, `crontab`, `log`
//! (lines of the log). systemd and nginx are asked where they are installed. A remark in front of it,
//! an HTML comment, says what else there is to it:
//!
//! - `not run: why`: there is a reason not to.
//! - `clients: v1 /?user=u7, plain /`: these are online meanwhile.
//! - `meanwhile: connect v1 /; say {…}; push {…}; close`: this happens until what is shown came.
//! - `shows: {…} → text`: pushed, this makes the page show that.
//! - `heard: v1 /?user=u7; push {…}; hear; say {…}`: such a client hears the lines.
//! - `at: /push/`: there nginx passes clients on.
//! - `webhook: function`: it is the site's own code, which calls this.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use regex_lite::Regex;
use serde_json::Value;

use super::blocks::{Block, blocks};
use super::shell::{run_script, run_session, start_server, text};
use super::world::{World, is_like};
use super::{Page, browsing, log_lines, pages, repository, webhook};
use crate::common::{Ending, eventually, udpush};

#[test]
fn every_example_of_the_manual_is_as_it_stands_there() {
    let faults: Vec<_> = thread::scope(|scope| {
        let pages = pages();
        let threads = pages.into_iter().map(|page| {
            // A test's thread has its name, also for skip().
            let named = thread::Builder::new().name(format!("examples of {}", page.path));
            named.spawn_scoped(scope, move || faults(&page)).unwrap()
        });
        let threads: Vec<_> = threads.collect();
        let joined = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(faults) => faults,
            Err(_) => vec!["a page's examples could not be run".to_owned()],
        });
        joined.collect()
    });
    assert!(faults.is_empty(), "\n{}", faults.join("\n\n"));
}

fn faults(page: &Page) -> Vec<String> {
    let blocks = blocks(page);
    let mut world = None;
    let mut faults = Vec::new();
    for block in blocks {
        match block.remark("not run") {
            Some("") => faults.push(format!("{}: it does not say why", block.place)),
            Some(_) => {}
            None => {
                let world = world.get_or_insert_with(World::new);
                if let Err(fault) = run(world, &block) {
                    faults.push(format!("{}: {fault}", block.place));
                }
            }
        }
    }
    faults
}

fn run(world: &mut World, block: &Block) -> Result<(), String> {
    match &*block.language {
        "sh" => run_script(world, block),
        "console" => run_session(world, block),
        "crontab" => run_crontab(world, block),
        "php" if block.remark("webhook").is_some() => webhook::run(world, block),
        "php" => run_php(world, block),
        "html" => browsing::open(world, block),
        "js" => browsing::run(world, block),
        "json" => hear(world, block),
        "toml" => {
            let file = world.write("example.toml", &world.adapted_for_server(&block.text));
            start_server(world, &format!("udpush --config {}", file.display()));
            Ok(())
        }
        "ini" => verify_unit(world, block),
        "nginx" => test_nginx(world, block),
        "log" => log_lines::are_possible(&block.text),
        other => Err(format!("nothing runs {other}, and no remark says why")),
    }
}

/// In PHP as Debian has it, without any setting of this machine.
fn run_php(world: &World, block: &Block) -> Result<(), String> {
    let clients = world.online(block.remark("clients").unwrap_or_default());
    let code = world.adapted(&block.text);
    let code = match code.starts_with("<?php") {
        true => code,
        false => format!("<?php\n{code}"),
    };
    let file = world.write("example.php", &code);
    let mut php = Command::new("php");
    php.args(["-n", "-d", "display_errors=stderr"]).arg(file);
    php.current_dir(world.directory()).stdin(Stdio::null());
    php.env("UDPUSH_PUBLISH", world.server.publishers.to_string());
    let output = Ending::start(&mut php).output();
    let printed = text(&output.stdout) + &text(&output.stderr);
    world.leave(clients);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {printed}", output.status)),
    }
}

/// Each job once, as cron runs it: it prints nothing, or there would be mail.
fn run_crontab(world: &World, block: &Block) -> Result<(), String> {
    for line in block.text.lines() {
        let command = line
            .splitn(6, ' ')
            .nth(5)
            .ok_or("five fields and a command")?;
        let mut sh = Command::new("sh");
        sh.args(["-c", &world.adapted(&command.replace("\\%", "%"))]);
        sh.env("PATH", world.path()).stdin(Stdio::null());
        let output = Ending::start(sh.current_dir(world.directory())).output();
        let printed = text(&output.stdout) + &text(&output.stderr);
        if !output.status.success() || !printed.is_empty() {
            return Err(format!("{command}: {}: {printed}", output.status));
        }
    }
    Ok(())
}

/// Lines that are JSON, and, where it is said so, what a client hears.
fn hear(world: &World, block: &Block) -> Result<(), String> {
    for line in block.text.lines() {
        serde_json::from_str::<Value>(line).map_err(|error| format!("{line}: {error}"))?;
    }
    let Some(heard) = block.remark("heard") else {
        return Ok(());
    };
    let mut steps = heard.split("; ");
    let mut clients = world.connect(steps.next().unwrap_or_default());
    let mut found = Vec::new();
    for step in steps {
        match step.split_once(' ') {
            Some(("push", document)) => world.server.push(document),
            Some(("say", frame)) => clients[0].say(frame),
            // What came so far: a client's word may be heard before what was pushed.
            None => found.push(clients[0].text()),
            _ => panic!("nobody hears {step}"),
        }
    }
    for _ in found.len()..block.text.lines().count() {
        found.push(clients[0].text());
    }
    world.leave(clients);
    match is_like(&block.text, &found.join("\n")) {
        true => Ok(()),
        false => Err(format!("heard was:\n{}", found.join("\n"))),
    }
}

/// systemd itself reads the unit.
fn verify_unit(world: &World, block: &Block) -> Result<(), String> {
    let program = udpush().get_program().to_str().unwrap().to_owned();
    let unit = block.text.replace("/usr/local/bin/udpush", &program);
    let unit = Regex::new("(?m)^User=.*$")
        .unwrap()
        .replace_all(&unit, "User=daemon");
    let file = world.write("udpush.service", &unit);
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").arg("--man=no").arg(file);
    verify.stdin(Stdio::null());
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return Ok(());
    }
    let output = Ending::start(&mut verify).output();
    let printed = text(&output.stdout) + &text(&output.stderr);
    // What else is wrong on this machine is not the unit's.
    let faults: Vec<_> = printed
        .lines()
        .filter(|line| line.contains("udpush.service"))
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n")),
    }
}

/// nginx passes a client on, with this in its `http` block or in a `server` of it.
fn test_nginx(world: &World, block: &Block) -> Result<(), String> {
    let Some(nginx) = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|path| fs::exists(path).unwrap_or_default())
    else {
        return Ok(());
    };
    let here = world.directory().join("nginx");
    fs::create_dir_all(&here).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let text = world.adapted(&block.text);
    let secure =
        Regex::new(r"(?m)^\s*(listen|ssl_certificate|ssl_certificate_key|server_name) .*;\n")
            .unwrap();
    let text = secure.replace_all(&text, "");
    let inner = match text.contains("server {") {
        true => text.replace("server {", &format!("server {{ listen {address};")),
        false => format!("server {{ listen {address};\n{text}\n}}"),
    };
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", here.display()));
    let configuration = format!(
        "daemon off; pid {0}/pid; error_log {0}/error.log;\nevents {{}}\nhttp {{ access_log off;\n{1}{inner}\n}}\n",
        here.display(),
        places.concat()
    );
    let file = world.write("nginx/nginx.conf", &configuration);
    let mut child = Command::new(nginx)
        .arg("-c")
        .arg(file)
        .args(["-e", "stderr"])
        .stdin(Stdio::null())
        .stderr(fs::File::create(here.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let target = block.remark("at").unwrap_or("/");
    let passed = eventually("nginx", || {
        let ended = child.try_wait().unwrap();
        if ended.is_some() {
            return Some(Err(fs::read_to_string(here.join("stderr")).unwrap()));
        }
        std::net::TcpStream::connect(address).ok().map(Ok)
    });
    let result = passed.and_then(|_| {
        let mut client = crate::common::Client::connect(address, target);
        world.server.push("\"through nginx\"");
        match client.text() {
            text if text == "\"through nginx\"" => Ok(()),
            text => Err(text),
        }
    });
    // In order, so that its workers end, too.
    let pid = child.id().to_string();
    let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
    let _ = child.wait();
    result
}

#[test]
fn a_page_is_found_wherever_it_is() {
    let paths: Vec<_> = pages().into_iter().map(|page| page.path).collect();
    for path in ["README.md", "src/manual/inside.md"] {
        assert!(paths.iter().any(|found| found == path), "{path}");
        assert!(repository(path).exists());
    }
}
