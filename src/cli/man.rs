//! `udpush man`: manual pages, from the same definitions as `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, roman};

use super::CommandLine;
use super::output;
use super::tools::{Reached, Stop};

const EXAMPLES: &str = "\
Examples:
  udpush man | man -l -
  udpush man listen | man -l -
  udpush man --all /usr/local/share/man/man1
      udpush.1, udpush-listen.1 and so on; then: man udpush-listen";

/// Print the manual page of udpush, or of one of its commands
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Man {
    /// Of this command
    #[arg(value_name = "COMMAND", conflicts_with = "all")]
    command: Option<String>,

    /// Write all pages into this directory
    #[arg(long, value_name = "DIRECTORY")]
    all: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let mut udpush = CommandLine::command().disable_help_subcommand(true);
        udpush.build();
        if let Some(directory) = &self.all {
            write_all(&udpush, directory)?;
            return Ok(Reached::Somebody);
        }
        let command = match &self.command {
            None => &udpush,
            Some(name) => find(&udpush, name)?,
        };
        let mut out = output::stdout();
        render(command, &mut out)?;
        out.flush()?;
        Ok(Reached::Somebody)
    }
}

fn find<'a>(udpush: &'a Command, name: &str) -> Result<&'a Command, String> {
    udpush.find_subcommand(name).ok_or_else(|| {
        let names: Vec<_> = udpush.get_subcommands().map(Command::get_name).collect();
        format!("{name} is no command; there are {}", names.join(", "))
    })
}

/// The page's sections. That of the examples is our own: clap_mangen's fills its lines.
fn render(command: &Command, out: &mut impl Write) -> io::Result<()> {
    let page = page(command);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(out)?;
    }
    if let Some(help) = command.get_after_help() {
        let help = help.to_string();
        let text = help.strip_prefix("Examples:\n").unwrap_or(&help);
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in text.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.to_writer(out)?;
    }
    match command.get_version() {
        Some(_) => page.render_version_section(out),
        None => Ok(()),
    }
}

fn page(command: &Command) -> Page {
    Page::new(command.clone()).manual("udpush")
}

fn write_all(udpush: &Command, directory: &Path) -> Result<(), String> {
    for command in [udpush].into_iter().chain(udpush.get_subcommands()) {
        let path = directory.join(page(command).get_filename());
        let write = || -> io::Result<()> {
            let mut text = Vec::new();
            render(command, &mut text)?;
            fs::write(&path, text)
        };
        write().map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
