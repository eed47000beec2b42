//! The command line: one file a command.

mod amounts;
mod clients;
mod completions;
mod disconnect;
mod explain;
mod history;
mod listed;
mod listen;
mod man;
mod manual;
mod output;
mod pairs;
mod parse;
mod push_js;
mod send;
mod serve;
mod status;
mod table;
mod token;
mod told;
mod tools;
mod trusted;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Settings;
use parse::Fault;

const AFTER_HELP: &str = "\
Examples:
  udpush
      browsers connect to ws://this-machine:6552/, and whatever this prints reaches them all:
  echo '{\"msg\":\"hi\"}' | nc -u -w1 127.0.0.1 6553

  udpush --listen 10.0.0.5:6552 --log-file /var/log/udpush.log
  UDPUSH_MAX_CLIENTS=500 udpush --config /etc/udpush.toml

Each setting has one name: --max-clients, UDPUSH_MAX_CLIENTS, max-clients = 500 in the file.
A flag wins over a variable, a variable over the file.

Lists are repeated flags (--route a --route b) or have commas (--route a,b, UDPUSH_ROUTE=a,b); in
the file they are arrays, too (route = [\"a\", \"b\"]). Bytes may be 10485760, 10240K or 10M.

Exit status: 0 done, 1 failed (the reason is on stderr), 2 wrong usage, 130 a second signal.";

/// Push JSON to every connected browser with one UDP datagram
#[derive(Debug, Parser)]
#[command(name = "udpush", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is but one, once")]
enum Command {
    /// Serve browsers and publishers, as without any command
    #[command(after_help = AFTER_HELP)]
    Serve(Box<Settings>),
    #[command(flatten)]
    Tool(tools::Tool),
}

/// Does what the command line says, and tells the process's exit status.
pub fn run() -> ExitCode {
    let (command_line, told) = match parse::parse() {
        Ok(parsed) => parsed,
        Err(Fault::Told(text)) => text.exit(),
        Err(Fault::Usage(sentence)) => {
            complain(&sentence);
            return ExitCode::from(WRONG_USAGE);
        }
        Err(Fault::File(sentence)) => {
            complain(&sentence);
            return ExitCode::FAILURE;
        }
    };
    let outcome = match command_line.command {
        None => serve::run(command_line.settings, &told, &known_variables()),
        Some(Command::Serve(settings)) => serve::run(*settings, &told, &known_variables()),
        Some(Command::Tool(tool)) => match tool.run() {
            Ok(status) => return status,
            Err(reason) => Err(Failure::Untold(reason)),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Untold(reason)) => {
            complain(&reason);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be there yet")]
fn complain(sentence: &str) {
    eprintln!("udpush: {sentence}");
}

/// Exit status for what a flag or a variable says.
const WRONG_USAGE: u8 = 2;

/// What ended a command.
enum Failure {
    /// One sentence for standard error.
    Untold(String),
    /// Standard error has it already, as a line of the log.
    Told,
}

/// The environment variables that are settings.
fn known_variables() -> Vec<OsString> {
    let command = CommandLine::command();
    let variables = command.get_arguments().filter_map(|flag| flag.get_env());
    variables.map(OsStr::to_owned).collect()
}
