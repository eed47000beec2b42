//! `udpush status`: how the server is.

mod lines;
mod summary;

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use super::output::{self, Form, Look};
use super::tools::{Reached, Stop};
use super::trusted::{self, Trusted};
use summary::Summary;

const EXAMPLES: &str = "\
Examples:
  udpush status
  udpush status --watch
  udpush status --json | jq .clients.online
  udpush status | awk '$1 == \"clients.online\" { print $2 }'

In a pipe, for each figure: its name, tab, the figure. --json has the same names.
Exit status: 0 it runs, 1 it does not answer, 2 wrong usage.";

/// Show how the server is: clients, messages, what was refused or lost
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    /// Again each second, until Ctrl-C
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    trusted: Trusted,

    #[command(flatten)]
    look: Look,
}

/// To the upper left corner (ECMA-48 §8.3.21).
const HOME: &str = "\x1b[H";
/// What was in the rest of the line before goes (ECMA-48 §8.3.41).
const REST_OF_LINE: &str = "\x1b[K";
/// And what was below (ECMA-48 §8.3.39).
const BELOW: &str = "\x1b[J";

impl Status {
    const EVERY: Duration = Duration::from_secs(1);

    pub(super) fn run(self) -> Result<Reached, Stop> {
        // Nobody there at first: more likely a wrong address than a restart.
        let mut text = self.text()?;
        let redraw = self.watch && io::stdout().is_terminal() && !self.look.json;
        if redraw {
            // What was on the screen stays above, where one can scroll to.
            output::stdout().write_all(b"\x1b[2J")?;
        }
        loop {
            let mut out = output::stdout();
            match redraw {
                true => write!(out, "{HOME}{}{BELOW}", erasing(&text))?,
                false => out.write_all(text.as_bytes())?,
            }
            out.flush()?;
            drop(out);
            if !self.watch {
                return Ok(Reached::Somebody);
            }
            thread::sleep(Self::EVERY);
            text = match self.text() {
                Ok(text) => text,
                Err(Stop::Failed(sentence)) if redraw => {
                    format!("{}\n", self.look.paint().warning(&sentence))
                }
                Err(stop) => return Err(stop),
            };
        }
    }

    /// What is printed, once.
    fn text(&self) -> Result<String, Stop> {
        let answer = self.trusted.get("/status")?.text()?;
        let mut out = Vec::new();
        let written = match self.look.form() {
            Form::Json => output::write_line(&mut out, answer.trim_end()),
            Form::Lines => lines::write(&mut out, &trusted::understood(&answer)?),
            Form::Table => {
                let summary: Summary = trusted::understood(&answer)?;
                summary.write(&mut out, self.look.paint())
            }
        };
        written?;
        String::from_utf8(out).map_err(|error| Stop::Failed(error.to_string()))
    }
}

/// Each line ends what was there before.
fn erasing(text: &str) -> String {
    text.replace('\n', &format!("{REST_OF_LINE}\n"))
}
