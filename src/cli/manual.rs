//! `udpush manual`: the manual itself, topic by topic. The pages for man are [`man`](super::man)'s.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use clap::builder::PossibleValuesParser;

use super::output;
use super::tools::{Reached, Stop};
use crate::manual::{TOPICS, Topic, find};

const EXAMPLES: &str = "\
Examples:
  udpush manual              which topics there are
  udpush manual protocol
  udpush manual log | grep refused

On a terminal, $PAGER shows it, or less. With PAGER=cat it is just printed.";

/// Print a topic of the manual, or tell which there are
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Manual {
    /// The topic
    #[arg(value_name = "TOPIC", value_parser = names())]
    topic: Option<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(TOPICS.iter().map(|topic| topic.name))
}

impl Manual {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        // clap lets no other name pass.
        match self.topic.as_deref().and_then(find) {
            None => print(&list())?,
            Some(topic) => show(topic)?,
        }
        Ok(Reached::Somebody)
    }
}

fn list() -> String {
    let width = TOPICS.iter().map(|topic| topic.name.len()).max();
    let width = width.unwrap_or_default();
    let lines = TOPICS
        .iter()
        .map(|Topic { name, about, .. }| format!("{name:width$}  {about}\n"));
    lines.collect()
}

fn print(text: &str) -> io::Result<()> {
    let mut out = output::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// On a terminal, this process becomes the pager: so that it gets the terminal's signals alone.
fn show(topic: &Topic) -> Result<(), Stop> {
    let text = topic.plain();
    if !io::stdout().is_terminal() {
        return Ok(print(&text)?);
    }
    let pager = env::var("PAGER").unwrap_or_else(|_| DEFAULT_PAGER.to_owned());
    // A topic fits into a pipe, which nobody reads yet: see its test.
    let (input, mut end) = io::pipe()?;
    end.write_all(text.as_bytes())?;
    drop(end);
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::from(input));
    if env::var_os("LESS").is_none() {
        // As git has it: it ends at once where all fits on the screen, which it leaves as it is.
        command.env("LESS", "FRX");
    }
    let error = command.exec();
    Err(Stop::Failed(format!("cannot run sh for a pager: {error}")))
}

const DEFAULT_PAGER: &str = "if command -v less >/dev/null; then exec less; else exec cat; fi";
