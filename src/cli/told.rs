//! What was set, for the log's first line.

use clap::{ArgMatches, Command, FromArgMatches};

use crate::config::{Config, Settings};

/// The settings that are not as without them, wherever they come from, each as the flag that would
/// do the same. One whose value the help is to hide (`hide_env_values`) is left out: a secret.
pub(super) fn other_than_default(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let (command, matches) = match matches.subcommand() {
        Some((name, matches)) => (command.find_subcommand(name).unwrap_or(command), matches),
        None => (command, matches),
    };
    let all = config(matches);
    let mut told = Vec::new();
    for flag in command.get_arguments() {
        let id = flag.get_id().as_str();
        let Some(name) = flag.get_long().filter(|_| !flag.is_hide_env_values_set()) else {
            continue;
        };
        let Ok(Some(values)) = matches.try_get_raw(id) else {
            continue;
        };
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        let mut others = matches.clone();
        // It is there.
        let _ = others.try_clear_id(id);
        if name == "config" || config(&others) != all {
            let value = values.join(",");
            let equals = match flag.is_require_equals_set() {
                true => '=',
                false => ' ',
            };
            told.push(format!("--{name}{equals}{}", value.escape_debug()));
        }
    }
    // The parser has those that the file sets last.
    told.sort_unstable();
    told
}

fn config(matches: &ArgMatches) -> Option<Config> {
    Settings::from_arg_matches(matches).ok()?.check().ok()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory};

    use super::super::CommandLine;
    use super::*;

    fn told(command: Command, flags: &str) -> String {
        let words = std::iter::once("udpush").chain(flags.split(' '));
        let matches = command.clone().try_get_matches_from(words).unwrap();
        other_than_default(&command, &matches).join(" ")
    }

    #[test]
    fn what_differs_from_the_defaults_is_told_as_flags() {
        let same = "--queue 4096 --listen 0.0.0.0:6552 --log-level info --history-bytes 64M";
        assert_eq!(told(CommandLine::command(), same), "");
        let other =
            "--listen [::1]:1 --publish [::]:1,0.0.0.0:1 --publish-from 10.0.0.0/8 --queue 100";
        assert_eq!(told(CommandLine::command(), other), other);
        let serve = "serve --queue 100 --log-file \u{1b}";
        let expected = "--log-file \\u{1b} --queue 100";
        assert_eq!(told(CommandLine::command(), serve), expected);
        let switch = "--proxy-protocol --trusted-proxy 10.0.0.7";
        let expected = "--proxy-protocol=true --trusted-proxy 10.0.0.7";
        assert_eq!(told(CommandLine::command(), switch), expected);
        let lists = "--route a --route b";
        assert_eq!(told(CommandLine::command(), lists), "--route a,b");
    }

    #[test]
    fn a_secret_is_not_told() {
        let hidden = |flag: Arg| flag.hide_env_values(true);
        let command = CommandLine::command().mut_arg("route", hidden);
        assert_eq!(told(command, "--route a --queue 100"), "--queue 100");
    }
}
