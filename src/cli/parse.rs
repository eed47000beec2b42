//! The command line, the variables and the file, read by one parser; and what is wrong with them, in
//! one sentence that names its source.
//!
//! The file's values are given to the parser as defaults: so flags and variables win over them, and
//! a value means the same wherever it stands.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};

use super::{CommandLine, told};
use crate::config::file::{self, Entry};

/// What is wrong with what was given.
#[derive(Debug)]
pub(super) enum Fault {
    /// Of a flag or a variable: wrong usage.
    Usage(String),
    /// Of the file.
    File(String),
    /// Nothing: help or the version was asked for.
    Told(Error),
}

/// Reads everything, and says which settings differ from their defaults.
pub(super) fn parse() -> Result<(CommandLine, Vec<String>), Fault> {
    let arguments: Vec<OsString> = env::args_os().collect();
    let file = match config_file(&arguments) {
        None => None,
        Some(path) => {
            let entries = file::read(&path).map_err(Fault::File)?;
            Some((path, entries))
        }
    };
    let mut command = CommandLine::command();
    if let Some((path, entries)) = &file {
        check_keys(&command, path, entries)?;
        command = with_defaults(command, entries);
        command = command.mut_subcommand("serve", |serve| with_defaults(serve, entries));
    }
    let matches = command.try_get_matches_from_mut(&arguments);
    matches
        .and_then(|matches| {
            let command_line = CommandLine::from_arg_matches(&matches)?;
            // The other commands have no settings, and no log to tell of them.
            let told = match matches.subcommand_name() {
                None | Some("serve") => told::other_than_default(&command, &matches),
                Some(_) => Vec::new(),
            };
            Ok((command_line, told))
        })
        .map_err(|error| fault(error, &arguments, file.as_ref()))
}

/// What `--config` or its variable says. Whether it stands where it may is found out later.
fn config_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(|path| path.into_owned().into());
        }
        if let Some(path) = argument.strip_prefix("--config=") {
            return Some(path.into());
        }
    }
    env::var_os("UDPUSH_CONFIG").map(PathBuf::from)
}

fn check_keys(command: &Command, path: &Path, entries: &[Entry]) -> Result<(), Fault> {
    let names = || {
        let names = command.get_arguments().filter_map(|flag| flag.get_long());
        names.filter(|name| !matches!(*name, "config" | "help" | "version"))
    };
    for Entry { key, line, .. } in entries {
        if !names().any(|name| name == key) {
            let known = names().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let sentence = format!("unknown key `{key}`, there are {}", known.join(", "));
            return Err(Fault::File(file::at(path, *line, &sentence)));
        }
    }
    Ok(())
}

fn with_defaults(mut command: Command, entries: &[Entry]) -> Command {
    for Entry { key, values, .. } in entries {
        let id = key.replace('-', "_");
        let values: Vec<OsString> = values.iter().map(OsString::from).collect();
        command = command.mut_arg(id, |flag| flag.default_values(values));
    }
    command
}

/// One sentence about the parser's complaint.
fn fault(error: Error, arguments: &[OsString], file: Option<&(PathBuf, Vec<Entry>)>) -> Fault {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Fault::Told(error);
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // Such as `--max-clients <COUNT>` or `--proxy-protocol[=<BOOL>]`.
    let flag = text(ContextKind::InvalidArg).and_then(|flag| flag.split([' ', '[', '=']).next());
    let (Some(flag), Some(value)) = (flag, text(ContextKind::InvalidValue)) else {
        return Fault::Usage(first_sentence(&error));
    };
    let reason = reason(&error);
    let is_given = |argument: &OsString| {
        let argument = argument.to_string_lossy();
        argument == flag
            || argument
                .split_once('=')
                .is_some_and(|(name, _)| name == flag)
    };
    if arguments.iter().any(is_given) {
        return Fault::Usage(format!("{flag} {value:?}: {reason}"));
    }
    let name = flag.trim_start_matches('-');
    let variable = format!("UDPUSH_{}", name.to_uppercase().replace('-', "_"));
    if env::var_os(OsStr::new(&variable)).is_some() {
        return Fault::Usage(format!("{variable}={value:?}: {reason}"));
    }
    let entry = file.and_then(|(path, entries)| {
        let entry = entries.iter().find(|entry| entry.key == name)?;
        Some((path, entry))
    });
    match entry {
        Some((path, entry)) => {
            let fault = format!("{name} = {value:?}: {reason}");
            Fault::File(file::at(path, entry.line, &fault))
        }
        None => Fault::Usage(first_sentence(&error)),
    }
}

/// What a value should have been.
fn reason(error: &Error) -> String {
    if let Some(ContextValue::Strings(allowed)) = error.get(ContextKind::ValidValue)
        && !allowed.is_empty()
    {
        return format!("expected {}", allowed.join(", "));
    }
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => "a value is needed".to_owned(),
    }
}

/// What the parser says first, with its tips; not the usage, of which `--help` tells.
fn first_sentence(error: &Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let told =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let told: Vec<_> = told.filter(|line| !line.is_empty()).collect();
    // What is listed follows its colon.
    let sentence = told.join("; ").replace(":; ", ": ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    format!("{sentence} (udpush --help tells more)")
}
