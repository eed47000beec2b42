//! `udpush completions`: what a shell has to know to complete command lines.

use std::io::Write;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::CommandLine;
use super::output;
use super::tools::{Reached, Stop};

const EXAMPLES: &str = "\
Examples:
  source <(udpush completions bash)
      for this shell only
  udpush completions bash >/usr/share/bash-completion/completions/udpush
  udpush completions zsh >/usr/local/share/zsh/site-functions/_udpush
  udpush completions fish >/etc/fish/completions/udpush.fish";

/// Print a script that completes udpush's command lines in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Known,
}

/// The shells of people who run Linux servers.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        // clap_complete panics when it cannot write: not into a pipe that may be closed.
        let mut script = Vec::new();
        let mut command = CommandLine::command();
        clap_complete::generate(shell, &mut command, "udpush", &mut script);
        let mut out = output::stdout();
        out.write_all(&script)?;
        out.flush()?;
        Ok(Reached::Somebody)
    }
}
