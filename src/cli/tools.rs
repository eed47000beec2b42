//! The commands beside the server: for people at a terminal, and for scripts.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use super::{
    clients, completions, disconnect, explain, history, listen, man, manual, push_js, send, status,
    token,
};

/// Exit status when all went well, but nobody was meant.
const NOBODY: u8 = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Tool {
    Send(send::Send),
    Listen(listen::Listen),
    Status(status::Status),
    Clients(clients::Clients),
    Disconnect(disconnect::Disconnect),
    Explain(explain::Explain),
    History(history::History),
    Token(token::Token),
    #[command(name = "push.js")]
    PushJs(push_js::PushJs),
    Completions(completions::Completions),
    Man(man::Man),
    Manual(manual::Manual),
}

impl Tool {
    /// Does it, and tells the process's exit status.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let outcome = match self {
            Tool::Send(send) => send.run(),
            Tool::Listen(listen) => listen.run(),
            Tool::Status(status) => status.run(),
            Tool::Clients(clients) => clients.run(),
            Tool::Disconnect(disconnect) => disconnect.run(),
            Tool::Explain(explain) => explain.run(),
            Tool::History(history) => history.run(),
            Tool::Token(token) => token.run(),
            Tool::PushJs(push_js) => push_js.run(),
            Tool::Completions(completions) => completions.run(),
            Tool::Man(man) => man.run(),
            Tool::Manual(manual) => manual.run(),
        };
        match outcome {
            Ok(Reached::Somebody) | Err(Stop::Unread) => Ok(ExitCode::SUCCESS),
            Ok(Reached::Nobody) => Ok(ExitCode::from(NOBODY)),
            Err(Stop::Failed(sentence)) => Err(sentence),
        }
    }
}

/// What a tool that did its work came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Whoever was meant; or it is about nobody in particular.
    Somebody,
    Nobody,
}

impl Reached {
    /// What it comes to with so many.
    pub(super) fn of(count: u64) -> Self {
        match count {
            0 => Reached::Nobody,
            _ => Reached::Somebody,
        }
    }
}

/// What ended a tool before its work was done.
#[derive(Debug)]
pub(super) enum Stop {
    /// One sentence for standard error.
    Failed(String),
    /// Whoever read standard output has enough.
    Unread,
}

impl From<String> for Stop {
    fn from(sentence: String) -> Self {
        Stop::Failed(sentence)
    }
}

/// Of standard output: all other errors have become sentences where they were met.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Unread,
            _ => Stop::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}

/// A line on standard error, about what goes on meanwhile.
pub(super) fn remark(sentence: &str) {
    super::complain(sentence);
}
