//! Examples for a shell: commands alone, or with what they print.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use regex_lite::Regex;

use super::blocks::Block;
use super::world::{World, is_like};
use crate::common::{Directory, Ending, Server, eventually, udpush};

/// Commands, which are to succeed.
pub fn run_script(world: &World, block: &Block) -> Result<(), String> {
    let clients = world.online(block.remark("clients").unwrap_or_default());
    // A server goes on, so a block with one is run line by line.
    let has_server = block.text.lines().any(starts_server);
    let parts: Vec<_> = match has_server {
        true => block.text.lines().collect(),
        false => vec![&*block.text],
    };
    let mut fault = Ok(());
    for part in parts {
        if starts_server(part) {
            start_server(world, part);
            continue;
        }
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", &world.adapted(part)]);
        let output = Ending::start(prepared(world, &mut command)).output();
        if !output.status.success() {
            let printed = text(&output.stdout) + &text(&output.stderr);
            fault = Err(format!("{part}: {}: {printed}", output.status));
        }
    }
    world.leave(clients);
    fault
}

/// `$ command`, and below it what it prints on a terminal.
pub fn run_session(world: &World, block: &Block) -> Result<(), String> {
    for (command, shown) in commands(&block.text) {
        let clients = world.online(block.remark("clients").unwrap_or_default());
        let found = match block.remark("meanwhile") {
            None => on_terminal(world, &command),
            Some(steps) => on_terminal_until(world, &command, steps, &shown),
        };
        world.leave(clients);
        if !is_like(&shown, &found) {
            return Err(format!("{command}\nprints:\n{found}\nand not:\n{shown}"));
        }
    }
    Ok(())
}

fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some(last)) => last.1.extend([line, "\n"]),
            (None, None) => panic!("no command prints {line}"),
        }
    }
    commands
}

fn terminal(world: &World, command: &str) -> Command {
    let mut script = Command::new("script");
    script.args(["-qec", &world.adapted(command), "/dev/null"]);
    script.stdin(Stdio::null());
    prepared(world, &mut script);
    script
}

fn on_terminal(world: &World, command: &str) -> String {
    let output = Ending::start(&mut terminal(world, command)).output();
    text(&output.stdout)
}

/// The command goes on by itself: things happen until they are printed.
fn on_terminal_until(world: &World, command: &str, steps: &str, shown: &str) -> String {
    let files = Directory::new();
    let output = files.file("output");
    let file = File::create(&output).unwrap();
    let mut script = terminal(world, command);
    let child = script.stdout(file).stderr(Stdio::null()).spawn();
    let _child = Until(child.unwrap());
    let mut found = String::new();
    let mut seen = 0;
    eventually(&format!("{command} prints what is shown"), || {
        world.happen(steps);
        let printed = fs::read_to_string(&output).unwrap();
        let lines: Vec<_> = printed.lines().collect();
        let count = shown.lines().count();
        let mut windows = lines.windows(count).map(|lines| lines.join("\n"));
        found = windows
            .find(|lines| is_like(shown, lines))
            .unwrap_or_default();
        seen = lines.len();
        (!found.is_empty() || seen > 200).then_some(())
    });
    found
}

/// A process that goes on until this is dropped.
struct Until(Child);

impl Drop for Until {
    fn drop(&mut self) {
        // In order: script ends its command then.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.0.wait();
    }
}

/// Its tools are ours, it is where the server is, and nobody waits for a person.
fn prepared<'a>(world: &World, command: &'a mut Command) -> &'a mut Command {
    command
        .current_dir(world.directory())
        .env("PATH", world.path())
        .env("UDPUSH_PUBLISH", world.server.publishers.to_string())
        .env("NO_COLOR", "1")
        .env("PAGER", "cat")
        .stdin(Stdio::null())
}

/// Whether this line starts a server, which goes on.
fn starts_server(line: &str) -> bool {
    let server = Regex::new(r"^(\w+=\S* )*udpush( serve)?( --\S.*)?$").unwrap();
    server.is_match(line)
}

/// Starts it, and stops it when it listens.
pub fn start_server(world: &World, line: &str) {
    let line = world.adapted_for_server(line);
    let mut command = Command::new("sh");
    let mut flags = String::new();
    for (flag, variable) in [("--listen", "LISTEN="), ("--publish ", "PUBLISH=")] {
        if !line.contains(flag) && !line.contains(variable) && !line.contains("--config") {
            flags += &format!(" {} 127.0.0.1:0", flag.trim());
        }
    }
    // The shell becomes the server, so that a signal reaches it.
    let variables = Regex::new(r"^((?:\w+=\S* )*)udpush").unwrap();
    let line = variables.replace(&line, "${1}exec udpush");
    command.args(["-c", &format!("{line}{flags}")]);
    for (name, value) in udpush().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("PATH", world.path()).stdout(Stdio::null());
    let log = match told(&line, "--config (\\S+)") {
        Some(file) => told(&fs::read_to_string(file).unwrap(), "log-file = \"(.*)\""),
        None => told(&line, "--log-file (\\S+)"),
    };
    let log = log.unwrap_or_else(|| "udpush.log".to_owned());
    let mut server = Server::start_in(Directory::new(), command, &log);
    server.stop();
}

fn told(text: &str, pattern: &str) -> Option<String> {
    let found = Regex::new(pattern).unwrap().captures(text)?;
    Some(found[1].to_owned())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
